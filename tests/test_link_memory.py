"""A link that is gone leaves nothing behind: its memory goes with it, without a garbage collector having to find it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from k4 import life
from k4.link import Link
from tests.links import BBO, Bench, run, running, until
from tests.venue_server import Authority, Peer, serve

LINKS = 4
Links = list[weakref.ref[Link]]


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Links:
    """Every link that is made, without keeping it."""
    made: Links = []

    def make(*args: Any, **named: Any) -> Link:
        link = Link(*args, **named)
        made.append(weakref.ref(link))
        return link

    monkeypatch.setattr(life, "Link", make)
    return made


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def cut(peer: Peer) -> None:
    peer.writer.transport.abort()


async def forget(peer: Peer) -> None:
    """Neither sends nor answers any more."""
    peer.pongs = False
    await peer.listen()


async def close(peer: Peer) -> None:
    peer.send_raw(b"\x88\x02\x03\xe9")
    await peer.listen()


async def break_the_protocol(peer: Peer) -> None:
    peer.send_raw(b"\x83\x00")
    await peer.listen()


async def announce(peer: Peer) -> None:
    peer.send('{"e":"serverShutdown","E":1}')
    await peer.listen()


async def refuse(peer: Peer) -> None:
    peer.send_raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


async def hang_up(peer: Peer) -> None:
    """Before the handshake."""
    await cut(peer)


@pytest.mark.parametrize("end", [cut, forget, close, break_the_protocol, announce, refuse, hang_up])
def test_a_link_that_is_gone_leaves_nothing(end: Any, bench: Bench, tls: Authority, links: Links) -> None:
    """A worker freezes what it began with and makes little afterwards, so that its collector hardly ever runs."""
    server: Any = None

    async def script(peer: Peer) -> None:
        last = len(server.peers) == LINKS
        if last or end not in (refuse, hang_up):
            await peer.handshake()
            peer.send(BBO.format(len(server.peers)))
        await (Peer.listen if last else end)(peer)

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                with uncollected():
                    await until(lambda: len(server.peers) == LINKS and len(links) == LINKS)
                    await until(lambda: [n for n, link in enumerate(links) if link() is not None] == [LINKS - 1])

    run(main())


def test_nor_does_it_wait_for_the_next_one(bench: Bench, tls: Authority, links: Links) -> None:
    """Which is being dialled, and gets no answer for as long as it may."""
    connection: Any = None

    async def script(peer: Peer) -> None:
        if len(links) == 1:
            await peer.handshake()
            await until(lambda: connection.links == 1)
            peer.writer.transport.abort()
        else:
            await peer.reader.read()

    async def main() -> None:
        nonlocal connection
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                with uncollected():
                    await until(lambda: len(links) == 2 and links[0]() is None)
                assert connection.links == 1

    run(main())
