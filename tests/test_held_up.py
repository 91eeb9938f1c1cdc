"""A worker that gets no processor for a while, alone or with the whole machine: its own absence is not the peer's silence."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from k4.life import Life
from tests.links import BBO, Bench, events, run, running, until
from tests.logs import Lines
from tests.venue_server import PING, Authority, Peer, Server, serve

HELD_UP_S = 1.5


async def script(peer: Peer) -> None:
    await peer.handshake()
    peer.send(BBO.format(1))
    await peer.listen()


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When probes were sent. Right after the first one the loop is held up for longer than its answer may take."""
    probe, tick = Life._probe, Life.tick
    sent: list[int] = []

    def probing(self: Life, now_ns: int) -> None:
        probe(self, now_ns)
        sent.append(now_ns)

    def held_up(self: Life, now_ns: int) -> None:
        before = len(sent)
        tick(self, now_ns)
        if (before, len(sent)) == (0, 1):
            time.sleep(HELD_UP_S)

    monkeypatch.setattr(Life, "_probe", probing)
    monkeypatch.setattr(Life, "tick", held_up)
    return sent


def test_what_waits_to_be_read_is_a_sign_of_life(bench: Bench, tls: Authority, lines: Lines, probed: list[int]) -> None:
    """The answer comes meanwhile."""
    up = threading.Event()
    servers: list[Server] = []

    async def venue() -> None:  # on a loop of its own, which is never held up
        async with serve(tls.server(), script) as server:
            servers.append(server)
            up.set()
            while up.is_set():  # noqa: ASYNC110 (a thread's)
                await asyncio.sleep(0.01)

    async def main() -> None:
        connection: Any = bench.connection(servers[0].port)
        async with running(connection):
            await until(lambda: len(probed) > 2)
            assert connection.links == 1

    thread = threading.Thread(target=lambda: asyncio.run(venue()))
    thread.start()
    try:
        assert up.wait(60)
        run(main())
    finally:
        up.clear()
        thread.join()
    (peer,) = servers[0].peers
    assert len(peer.said(PING)) >= 3
    assert events(lines, "link lost") == []


def test_a_peer_that_was_held_up_as_well_has_time_to_answer(bench: Bench, tls: Authority, lines: Lines, probed: list[int]) -> None:
    """A machine that stands still: the probe has left, and the peer, on the same loop, has not read it yet."""

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: len(probed) > 2)
                assert connection.links == 1
                server.peers[0].pongs = False  # it is noticed all the same
                await until(lambda: connection.links == 2)

    run(main())
    (lost,) = events(lines, "link lost")
    assert lost["reason"] == "no answer to a probe for 1 s"
