"""Dialling: names of hosts, TCP, TLS, the handshake; each failure is named and tried again, and a stop waits for none of them."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k4.clock import Clock
from k4.link import DIAL_S, Event, Link, LinkError, Resolver, State, dial, target
from tests.links import BBO, Bench, events, run, running, until
from tests.logs import Lines
from tests.venue_server import Authority, Peer, Script, authority, quiet, serve


def test_localhost_by_name(bench: Bench, tls: Authority) -> None:
    async def main() -> None:
        async with serve(tls.server(), quiet) as server:
            connection = bench.connection(server.port)
            connection.plan = replace(connection.plan, url=connection.plan.url.replace("127.0.0.1", "localhost"))
            async with running(connection):
                await until(lambda: connection.links == 1)

    run(main())


async def refuse(peer: Peer) -> None:
    await peer.reader.readuntil(b"\r\n\r\n")
    peer.send_raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\nnot for you")


async def refuse_open_end(peer: Peer) -> None:
    await peer.reader.readuntil(b"\r\n\r\n")
    peer.send_raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n")


async def wrong_key(peer: Peer) -> None:
    await peer.handshake(key="bm90IHlvdXIga2V5")


async def no_http(peer: Peer) -> None:
    await peer.reader.readuntil(b"\r\n\r\n")
    peer.send_raw(b"220 mail.example ready\r\n\r\n")


async def endless_head(peer: Peer) -> None:
    await peer.reader.readuntil(b"\r\n\r\n")
    peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 40000)
    await peer.listen()


async def hang_up(peer: Peer) -> None:
    await peer.reader.readuntil(b"\r\n\r\n")


HANDSHAKES: list[tuple[Script, str]] = [
    (refuse, "handshake refused: HTTP 403 Forbidden: not for you"),
    (refuse_open_end, "handshake refused: HTTP 429 Too Many Requests"),
    (wrong_key, "handshake: invalid Sec-WebSocket-Accept header: bm90IHlvdXIga2V5"),
    (no_http, "handshake: the peer answers b'220 mail.example ready\\r\\n\\r\\n', not HTTP; is this the right address?"),
    (endless_head, "handshake: the response head is longer than 32768 bytes"),
    (hang_up, "the peer closed the connection"),
]


@pytest.mark.parametrize(("script", "reason"), HANDSHAKES, ids=[script.__name__ for script, _ in HANDSHAKES])
def test_a_failed_handshake_is_told_and_tried_again(script: Script, reason: str, bench: Bench, tls: Authority, lines: Lines) -> None:
    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: len(server.peers) >= 3)
            assert [line["reason"] for line in events(lines, "dial failed")][:2] == [f"127.0.0.1:{server.port}: {reason}"] * 2
            assert connection.links == 0
            assert connection.healthy_since_ns == 0

    run(main())


def test_a_stop_while_it_dials_leaves_nothing_unsaid(bench: Bench) -> None:
    """The TLS handshake is never answered; whoever stops then is not told of an exception that nobody fetched."""
    unfetched: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unfetched.append(context))
        dialled = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            dialled.set()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            connection = bench.connection(server.sockets[0].getsockname()[1])
            async with running(connection):
                await dialled.wait()
            del connection
            gc.collect()
            await asyncio.sleep(0)

    run(main())
    assert unfetched == []


def test_a_stop_just_when_tls_is_up_lets_go_of_the_transport(bench: Bench, tls: Authority) -> None:
    """The dial ends by closing the socket: a transport that went on to say its farewell would use a number that is another's by then."""

    async def main() -> None:
        async with serve(tls.server(), quiet) as server:
            core = bench.connection(server.port)
            url = f"wss://127.0.0.1:{server.port}/"

            class Stopped(Link):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    super().connection_made(transport)
                    dialling.cancel()

            link = Stopped(Nobody(), bench.native.lib, bench.native.ffi, core._slots[0], target(url), Clock())
            dialling = asyncio.ensure_future(dial(link, url, tls.client(), Resolver()))
            await asyncio.wait([dialling])
            assert dialling.cancelled()
            for _ in range(3):
                await asyncio.sleep(0)
            assert link._transport is None
            assert link.state is State.LOST
            core.close()

    run(main())


def test_a_port_where_nobody_listens_is_tried_until_somebody_does(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def main(port: int) -> None:
        connection = bench.connection(port)
        async with running(connection):
            await until(lambda: len(lines) >= 3)
            assert lines[0] == {
                "event": "dial failed",
                "connection": "one#0",
                "reason": f"127.0.0.1:{port} (127.0.0.1): Connection refused",
                "next_try_within_s": 0.01,
                "level": "warning",
            }
            async with serve(tls.server(), quiet, port):
                await until(lambda: connection.links == 1)

    with socket.socket() as free:  # bound all the time, so that nobody else can have it
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        run(main(free.getsockname()[1]))


def test_the_addresses_of_a_host_are_tried_in_turn(bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses(self: Resolver, host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.3", "127.0.0.1"]

    async def main() -> None:
        async with serve(tls.server(), quiet) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.links == 1)
        failed = [line["reason"] for line in lines if line["event"] == "dial failed"]
        assert failed == [f"127.0.0.1:{server.port} (127.0.0.{n}): Connection refused" for n in (2, 3)]

    monkeypatch.setattr(Resolver, "addresses", addresses)
    run(main())


class Nobody:
    """An owner that a link never reports to."""

    def event(self, link: Link, event: Event) -> None:
        raise AssertionError(event)

    def writable(self, link: Link) -> None:
        raise AssertionError(link)


async def greet(peer: Peer) -> None:
    peer.send_raw(b"220 mail.example ready\r\n")
    await asyncio.sleep(5)


async def deaf(_: Peer) -> None:
    await asyncio.sleep(5)


def test_tls_is_verified(bench: Bench, tls: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown CA, another CA, a name that is not in the certificate, and ports without TLS: each refused and named."""

    async def reason(context: ssl.SSLContext | None, client: ssl.SSLContext, host: str = "127.0.0.1", script: Script = quiet) -> str:
        async with serve(context, script, host=host) as server:
            core = bench.connection(server.port)
            url = f"wss://{host}:{server.port}/"
            link = Link(Nobody(), bench.native.lib, bench.native.ffi, core._slots[0], target(url), Clock())
            with pytest.raises(LinkError) as caught:
                await dial(link, url, client, Resolver())
            assert link.state is State.LOST
            assert not [peer for peer in server.peers if peer.target], "no request has left"
            core.close()
            return str(caught.value).replace(str(server.port), "PORT")

    async def main() -> None:
        unknown = "127.0.0.1:PORT: the certificate is not trusted: unable to get local issuer certificate; is its CA in tls.ca_file?"
        assert await reason(tls.server(), ssl.create_default_context()) == unknown
        assert "the certificate is not trusted: " in await reason(authority(tmp_path).server(), tls.client())
        other_name = await reason(tls.server(), tls.client(), "127.0.0.2")
        assert other_name == "127.0.0.2:PORT: the certificate is not trusted: IP address mismatch"
        text = await reason(None, tls.client(), script=greet)
        assert text.startswith("127.0.0.1:PORT (127.0.0.1): TLS failed: ")
        assert text.endswith("; does this port speak TLS?")
        monkeypatch.setattr("k4.link.DIAL_S", 0.3)
        assert await reason(None, tls.client(), script=deaf) == "127.0.0.1:PORT (127.0.0.1): no connection within 0.3 s"

    run(main())


def test_a_name_that_cannot_be_resolved(bench: Bench) -> None:
    async def main() -> None:
        resolver = Resolver()
        assert await resolver.addresses("127.0.0.1", 1) == ["127.0.0.1"]
        with pytest.raises(LinkError, match=r"no-such-host\.invalid: the name cannot be resolved"):
            await resolver.addresses("no-such-host.invalid", 1)
        resolver._known["no-such-host.invalid", 1] = ["192.0.2.1"]
        assert await resolver.addresses("no-such-host.invalid", 1) == ["192.0.2.1"], "the last good answer is used"
        for host in ("a..b", f"{'x' * 70}.invalid", "."):  # nobody is asked for these
            with pytest.raises(LinkError, match=f"the name cannot be resolved: '{host}' is no name of a host"):
                await resolver.addresses(host, 1)

    run(main())


def test_a_name_server_that_blocks_costs_no_link_and_no_time(
    bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look-up ends from the second one on: the last good address is dialled, again and again, the loop goes on, and no more than one
    look-up of a host runs at a time. A host that is not known gets an error after five seconds."""
    looked: list[str] = []
    hangs = threading.Event()
    real = socket.getaddrinfo

    def blocking(host: str, *args: Any, **kwargs: Any) -> Any:
        looked.append(host)
        if len(looked) > 1:
            hangs.wait(300)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **kwargs)

    async def quotes(peer: Peer) -> None:
        await peer.handshake()
        peer.send(BBO.format(time.monotonic_ns()))
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), quotes) as server:
            connection = bench.connection(server.port)
            connection.plan = replace(connection.plan, url=connection.plan.url.replace("127.0.0.1", "localhost"))
            async with running(connection):
                for links in (1, 2, 3):
                    await until(lambda: connection.links == links)  # noqa: B023
                    await until(lambda: connection.stats()["records"] == links)  # noqa: B023
                    if links < 3:
                        server.peers[-1].writer.close()
            with pytest.raises(LinkError, match=r"other\.invalid: the name cannot be resolved: no answer within 5 s"):
                await connection._shared.resolver.addresses("other.invalid", 1)
            assert looked == ["localhost", "localhost", "other.invalid"], "one for each host"

    async def limited() -> None:
        try:
            await asyncio.wait_for(main(), 180)
        finally:
            hangs.set()  # the loop's end waits for its threads

    monkeypatch.setattr(socket, "getaddrinfo", blocking)
    asyncio.run(limited())  # asyncio's own loop: it asks through the module, in a thread
    assert [line["event"] for line in lines if line["level"] == "error"] == []


def test_stopping_while_dialling_is_quick(bench: Bench) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]

        async def main() -> None:
            connection = bench.connection(port)
            async with running(connection):
                await asyncio.sleep(0.2)  # TCP is up, TLS never answers
                began = time.monotonic()
            assert time.monotonic() - began < DIAL_S / 2, "it does not wait for the dial"

        run(main())
