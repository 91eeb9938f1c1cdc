"""Connections against a small venue on loopback: TLS, handshake, framing in C, liveness, subscription, replacement, errors."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from k4 import session
from k4._codegen import exchange
from k4.clock import Clock
from k4.connection import Connection
from k4.fetch import Fetch, FetchError
from k4.link import Event, Link, LinkError, Resolver, State, dial, target
from k4.session import Plan
from k4.venue import Venue
from tests.links import BBO, Bench, events, limit, run, running, until
from tests.logs import Lines
from tests.venue_server import CLOSE, PING, PONG, TEXT, Authority, Peer, Script, authority, frame, serve

# What a busy machine may take besides.
BUSY_S = 0.5
NOTICE = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000325}}'


async def plain(peer: Peer) -> None:
    """A well-behaved venue that says nothing by itself."""
    await peer.handshake()
    await peer.listen()


# --------------------------------------------------------------------------- handshake and data


def test_frames_reach_c_from_the_first_byte_on(bench: Bench, tls: Authority, lines: Lines) -> None:
    """Frames that come in one piece with the handshake response, cut anywhere, and large ones."""

    async def script(peer: Peer) -> None:
        first = frame(BBO.format(1).encode()) + frame(BBO.format(2).encode())
        await peer.handshake(first[:-7])
        peer.send_raw(first[-7:])
        for id_ in range(3, 2003):
            peer.send(BBO.format(id_))
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 2002)
                assert connection.stats()["wins"] == 2002
                assert connection.stats()["refused"] == 0
                assert connection.healthy_since_ns > 0
            (peer,) = server.peers
            assert peer.target == "/stream?streams=foobar@bookTicker"
            assert peer.headers["host"] == f"127.0.0.1:{server.port}"
            assert "sec-websocket-extensions" not in peer.headers
            assert [payload[:2] for payload in peer.said(CLOSE)] == [b"\x03\xe8"]

    run(main())
    assert [line["event"] for line in lines] == ["connected"]


def test_localhost_by_name(bench: Bench, tls: Authority) -> None:
    async def main() -> None:
        async with serve(tls.server(), plain) as server:
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


def test_a_port_where_nobody_listens_is_tried_until_somebody_does(bench: Bench, tls: Authority, lines: Lines) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
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
            async with serve(tls.server(), plain, port):
                await until(lambda: connection.links == 1)

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

    async def reason(context: ssl.SSLContext | None, client: ssl.SSLContext, host: str = "127.0.0.1", script: Script = plain) -> str:
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


@pytest.mark.alone
def test_a_name_server_that_blocks_costs_no_link_and_no_time(
    bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look-up takes six seconds from the second one on: the last good address is dialled after half a second, the loop goes on, and
    no more than one look-up runs at a time. A host that is not known gets an error after five seconds."""
    looked: list[str] = []
    running_now = most = 0
    real = socket.getaddrinfo

    def blocking(host: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal running_now, most
        looked.append(host)
        if len(looked) > 1:
            running_now += 1
            most = max(most, running_now)
            time.sleep(6.0)
            running_now -= 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **kwargs)

    async def quotes(peer: Peer) -> None:
        await peer.handshake()
        peer.send(BBO.format(time.monotonic_ns()))
        await peer.listen()

    async def main() -> None:
        worst = 0.0

        async def feel() -> None:
            nonlocal worst
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.01)
                worst = max(worst, time.monotonic() - began)

        feeling = asyncio.create_task(feel())
        async with serve(tls.server(), quotes) as server:
            connection = bench.connection(server.port)
            connection.plan = replace(connection.plan, url=connection.plan.url.replace("127.0.0.1", "localhost"))
            async with running(connection):
                for links in (1, 2, 3):
                    began = time.monotonic()
                    await until(lambda: connection.links == links)  # noqa: B023
                    assert time.monotonic() - began < 1.0 + BUSY_S
                    await until(lambda: connection.stats()["records"] == links)  # noqa: B023
                    if links < 3:
                        server.peers[-1].writer.close()
            assert looked == ["localhost"] * 2
            began = time.monotonic()
            with pytest.raises(LinkError, match=r"other\.invalid: the name cannot be resolved: no answer within 5 s"):
                await connection._shared.resolver.addresses("other.invalid", 1)
            assert 4.9 < time.monotonic() - began < 5.5 + BUSY_S
        feeling.cancel()
        assert worst < 0.3 + BUSY_S, "the loop was never held"
        assert most == 2, "one for each host"

    monkeypatch.setattr(socket, "getaddrinfo", blocking)
    with asyncio.Runner() as runner:  # asyncio's own loop: it asks through the module, in a thread
        runner.run(asyncio.wait_for(main(), 30))
    assert [line["event"] for line in lines if line["level"] == "error"] == []


# --------------------------------------------------------------------------- a peer that misbehaves

BROKEN = [
    (frame(b"x", first=0xC1), 1002),  # reserved bit
    (frame(b"x", first=0x83), 1002),  # opcode 3
    (b"\x81\x81\x00\x00\x00\x00x", 1002),  # a server must not mask
    (frame(b"x" * 126, PING), 1002),  # control frame too long
    (frame(b"x", first=0x80), 1002),  # continuation of nothing
    (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 1009),  # larger than any message
    (frame(b"\xc3\x28"), 1007),  # no UTF-8
]


@pytest.mark.parametrize(("data", "code"), BROKEN, ids=[f"{data[:4].hex()}-{code}" for data, code in BROKEN])
def test_a_broken_peer_costs_its_connection_only(data: bytes, code: int, bench: Bench, tls: Authority, lines: Lines) -> None:
    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake()
        if len(server.peers) == 1:
            peer.send_raw(data)
        else:
            peer.send(BBO.format(7))
        await peer.listen()

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 1)
                await until(server.peers[0].gone.is_set)
            assert [payload[:2] for payload in server.peers[0].said(CLOSE)] == [code.to_bytes(2, "big")]

    run(main())
    (lost,) = events(lines, "link lost")
    assert lost["reason"].startswith("the peer broke the protocol: ")


def test_the_peers_close_is_answered_and_named(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        peer.send_raw(frame(b"\x03\xf1going away for a while", CLOSE))
        peer.close_back = False
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: len(server.peers) >= 2 and server.peers[0].gone.is_set())
            assert server.peers[0].said(CLOSE) == [b"\x03\xf1"]

    run(main())
    assert events(lines, "link lost")[0]["reason"] == "the peer closed the connection: 1009 going away for a while"


def test_only_the_newest_ping_is_answered_and_within_the_venues_limit(bench: Bench, tls: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        for n in range(3000):
            peer.send_raw(frame(str(n).encode(), PING))
            if n % 100 == 0:
                await peer.writer.drain()
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port, requests=((5, 1.0),))
            async with running(connection):
                await until(lambda: server.peers and b"2999" in server.peers[0].said(PONG))
            pongs = [int(payload) for payload in server.peers[0].said(PONG)]
            assert len(pongs) <= 15
            assert pongs == sorted(pongs)

    run(main())


# --------------------------------------------------------------------------- liveness


@pytest.mark.alone
def test_a_link_that_falls_silent_is_replaced_within_two_seconds(bench: Bench, tls: Authority, lines: Lines) -> None:
    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake()
        peer.send(BBO.format(len(server.peers)))
        peer.pongs = len(server.peers) > 1
        await peer.listen()

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 1)
                began = time.monotonic()
                await until(lambda: connection.stats()["records"] == 2)
                assert 1.3 < time.monotonic() - began < 1.6 + BUSY_S

    run(main())
    assert events(lines, "link lost")[0]["reason"] == "no answer to a probe for 1 s"


def test_probes_stay_inside_the_venues_limit(bench: Bench, tls: Authority) -> None:
    async def main() -> None:
        async with serve(tls.server(), plain) as server:
            connection = bench.connection(server.port, requests=((2, 2.0),))
            async with running(connection):
                await until(lambda: connection.links == 1)
                await asyncio.sleep(3.2)
            # Half of one a second, though the link is idle all the time.
            assert server.peers[0].said(PING) == [b"k4"] * 2
            assert len(server.peers) == 1

    run(main())


def test_a_link_without_frames_is_dropped_though_it_answers_probes(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def main() -> None:
        async with serve(tls.server(), plain) as server:
            connection = bench.connection(server.port, silence_s=1.2)
            async with running(connection):
                await until(lambda: len(server.peers) == 2)

    run(main())
    assert events(lines, "link lost")[0]["reason"] == "no frame for 1.2 s"


# --------------------------------------------------------------------------- replacement


def test_a_shutdown_notice_brings_a_new_link_before_the_old_one_goes(bench: Bench, tls: Authority, lines: Lines) -> None:
    ids = iter(range(1, 1_000_000))

    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake()
        listening = asyncio.ensure_future(peer.listen())
        if len(server.peers) == 2:
            await asyncio.sleep(0.3)  # the new link takes its time to bring data
        for n in range(400):
            if peer.gone.is_set():
                break
            peer.send(BBO.format(next(ids)))
            if n == 5 and peer is server.peers[0]:
                peer.send(NOTICE)
            overlap.append(sum(not other.gone.is_set() for other in server.peers))
            await asyncio.sleep(0.01)
        await listening

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: events(lines, "replaced the link"))
                since = connection.healthy_since_ns
                assert connection.links == 2
                assert server.peers[0].said(CLOSE)[0][:2] == b"\x03\xe8"
                count = connection.stats()["records"]
                await until(lambda: connection.stats()["records"] > count + 5)
                assert connection.healthy_since_ns == since, "it was never down"

    overlap: list[int] = []
    run(main())
    assert overlap.count(2) > 20
    assert events(lines, "replacing the link")[0]["reason"] == "the venue announced that it will close it"
    assert events(lines, "replaced the link")[0]["proven"] is True
    assert events(lines, "link lost") == []


def test_a_link_is_replaced_before_the_venue_ends_it(bench: Bench, tls: Authority, lines: Lines) -> None:
    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake(frame(BBO.format(len(server.peers)).encode()))
        await peer.listen()

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port, age_s=1.0)
            async with running(connection):
                await until(lambda: events(lines, "replaced the link"))

    run(main())
    assert events(lines, "replacing the link")[0]["reason"] == "it is 0.95 s old"


# --------------------------------------------------------------------------- subscription by message


def by_message(bench: Bench, port: int, count: int) -> Connection:
    streams = session.streams(bench.venue.product, bench.venue.messages, ["bbo"], [f"S{n}" for n in range(count)])
    return bench.carrying(Plan(f"wss://127.0.0.1:{port}/stream", (), streams, ""))


@pytest.mark.alone
def test_requests_are_paced_and_answers_matched(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        listening = asyncio.ensure_future(peer.listen())
        answered = 0
        while not peer.gone.is_set():
            asked = peer.said(TEXT)
            for raw in asked[answered:]:
                request = json.loads(raw)
                at.append(time.monotonic())
                if "s3@bookTicker" in request["params"]:
                    peer.send(f'{{"code":2,"msg":"Invalid request: unknown stream","id":{request["id"]}}}')
                else:
                    peer.send(f'{{"result":null,"id":{request["id"]}}}')
            answered = len(asked)
            await asyncio.sleep(0.005)
        await listening

    async def main() -> None:
        limit(bench, args=2, requests=((5, 1.0),))
        async with serve(tls.server(), script) as server:
            connection = by_message(bench, server.port, 10)
            async with running(connection):
                await until(lambda: len(at) == 7 and connection._lives[0].asked)
                await until(lambda: connection.refused == {("bbo", "S3")})
            sent = [json.loads(raw) for raw in server.peers[0].said(TEXT)]
            pairs = [[f"s{2 * n}@bookTicker", f"s{2 * n + 1}@bookTicker"] for n in range(5)]
            asked = [*pairs, ["s2@bookTicker"], ["s3@bookTicker"]]
            assert sent == [{"method": "SUBSCRIBE", "params": names, "id": n + 1} for n, names in enumerate(asked)]

    at: list[float] = []
    run(main())
    # Two of five are kept for pongs and probes, so the fourth request waits for the window to move on.
    assert at[2] - at[0] < 0.5
    assert at[3] - at[0] > 0.8
    assert [
        (line["level"], line["code"], line.get("streams"), line.get("asked_again")) for line in events(lines, "the venue reports an error")
    ] == [
        ("info", "2", None, "S2 bbo, S3 bbo"),
        ("error", "2", "S3 bbo", None),
    ]


def test_unanswered_requests_are_named(bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k4.subscription.ANSWER_S", 0.3)

    async def main() -> None:
        async with serve(tls.server(), plain) as server:
            connection = by_message(bench, server.port, 3)
            async with running(connection):
                await until(lambda: events(lines, "subscription not answered"))

    run(main())
    assert events(lines, "subscription not answered")[0]["streams"] == "S0 bbo, S1 bbo, S2 bbo"


def test_frames_that_mean_nothing_are_shown_once(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        for _ in range(3):
            peer.send('{"stream":"foobar@kline_1m","data":{"k":1}}')
            peer.send(BBO.format(1).replace("25.35", "x"))
        peer.send(BBO.format(2))
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 1)
                assert connection.stats()["refused"] == 3

    run(main())
    assert [line["frame"] for line in events(lines, "the spec has no message for a frame")] == [
        '{"stream":"foobar@kline_1m","data":{"k":1}}'
    ]
    (refused,) = events(lines, "refused")
    assert (refused["kind"], refused["code"], refused["offset"]) == ("bbo", "type", BBO.format(1).index('"25.35"'))


@pytest.mark.alone
def test_stopping_while_dialling_and_while_waiting_is_quick(bench: Bench) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]

        async def main() -> None:
            connection = bench.connection(port)
            began = time.monotonic()
            async with running(connection):
                await asyncio.sleep(0.2)  # TCP is up, TLS never answers
            assert time.monotonic() - began < 1.0

        run(main())


# --------------------------------------------------------------------------- names that a connect needs

TOKEN = """
[[message]]
record = "vars"
product = "spot"
url    = "https://api.probe.example/endpoints?of=$market"
match  = { "list[0].host" = "$host" }
fields = { path = "list[0].path" }
[[message.example]]
wire   = '{"list":[{"host":"wss://a.example","path":"p"}]}'
expect = [{ host = "wss://a.example", path = "p" }]
[[message]]
record = "vars"
product = "spot"
url    = "https://api.probe.example/token?path=$path"
send   = '{"path":"$path"}'
fields = { token = "t" }
[[message.example]]
wire   = '{"t":"abc"}'
expect = [{ token = "abc" }]
"""


class Answers:
    """Stands for the fetcher: answers in turn, an exception by raising it."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []

    async def get(self, url: str, body: str | None = None, *, most: int = 0, weight: int = 1) -> bytes:
        self.asked.append((url, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetching(bench: Bench, tmp_path: Path, port: int, answers: Answers) -> Connection:
    """A connection of the spot product, whose address and token are fetched."""
    spec = tmp_path / "binance.toml"
    text = (Path(__file__).parent.parent / "schema/exchange/binance.toml").read_text()
    first, rest = text.index("url ="), text.index("sbe =")
    head = 'url = "$host/$path?streams=$args&k=$token"\nvars = { market = "SPOT" }\n'
    spec.write_text(text[:first] + head + text[rest:] + TOKEN)
    loaded = exchange.load(spec, bench.native.records)
    bench.venue = Venue(loaded, "spot", bench.native.records)
    (plan,) = session.plans(bench.venue.product, session.streams(bench.venue.product, bench.venue.messages, ["bbo"], ("FOOBAR",)))
    made = bench.carrying(plan)
    made._shared = replace(made._shared, fetch=cast("Fetch", answers), base=f"wss://127.0.0.1:{port}" if port else None)
    return made


def test_names_are_fetched_before_each_connect(bench: Bench, tls: Authority, tmp_path: Path) -> None:
    host = b'{"list":[{"host":"wss://a.example","path":"x/y"}]}'
    answers = Answers(host, b'{"t":"one=="}', host, b'{"t":"two %"}')

    async def script(peer: Peer) -> None:
        await peer.handshake()
        if peer.target.endswith("one=="):
            await asyncio.sleep(0.1)
            return
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = fetching(bench, tmp_path, server.port, answers)
            async with running(connection):
                await until(lambda: connection.links == 2)
            assert [peer.target for peer in server.peers] == [
                "/x/y?streams=foobar@bookTicker&k=one==",
                "/x/y?streams=foobar@bookTicker&k=two%20%",
            ]

    run(main())
    urls = [("https://api.probe.example/endpoints?of=SPOT", None), ("https://api.probe.example/token?path=x/y", '{"path":"x/y"}')]
    assert answers.asked == urls * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FetchError("https://h: status 500: out of order"), "https://h: status 500: out of order"),
        (b'{"list":[]}', 'https://api.probe.example/endpoints?of=SPOT: the body does not match: {"list":[]}'),
        (b"<html>", "https://api.probe.example/endpoints?of=SPOT: the body is malformed at byte 0: <html>"),
        (b'{"list":[{"host":"wss://h","path":{}}]}', "https://api.probe.example/endpoints?of=SPOT: path is refused: type at byte 34"),
        (b'{"list":[{"host":"ws://h","path":"p"}]}', "'ws://h/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"h","path":"p"}]}', "'h/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"wss://h:99999","path":"p"}]}', "'wss://h:99999/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"wss://[::zz","path":"p"}]}', "'wss://[::zz/p', which was fetched, is no wss:// address"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_tried_again(
    answer: bytes | Exception, reason: str, bench: Bench, tls: Authority, tmp_path: Path, lines: Lines
) -> None:
    more = [b'{"t":"secret"}'] if isinstance(answer, bytes) and b"h" in answer and b'"p"' in answer else []
    answers = Answers(answer, *more, b'{"list":[{"host":"wss://127.0.0.1:1","path":"p"}]}', *[FetchError("gone")] * 1000)

    async def main() -> None:
        connection = fetching(bench, tmp_path, 0, answers)
        async with running(connection):
            await until(lambda: len(lines) >= 2)
        assert connection.links == 0

    run(main())
    assert lines[0]["event"] == "what a connect needs could not be fetched"
    assert lines[0]["reason"] == reason
    assert lines[1]["reason"] == "gone"
    assert "secret" not in str(lines)


def test_stop_does_not_wait_for_what_is_fetched(bench: Bench, tmp_path: Path) -> None:
    class Silent(Answers):
        async def get(self, url: str, body: str | None = None, *, most: int = 0, weight: int = 1) -> bytes:
            await asyncio.sleep(3600)
            return b""

    async def main() -> None:
        connection = fetching(bench, tmp_path, 0, Silent())
        async with running(connection):
            await asyncio.sleep(0.05)

    run(main())
