"""A worker that gets no processor for a while: its own absence is not the peer's silence."""

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


def test_what_waits_to_be_read_is_a_sign_of_life(bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held up right after a probe, whose answer comes meanwhile, for longer than an answer may take."""
    probe, probed = Life._probe, 0
    up = threading.Event()
    servers: list[Server] = []

    async def script(peer: Peer) -> None:
        await peer.handshake()
        peer.send(BBO.format(1))
        await peer.listen()

    async def venue() -> None:  # on a loop of its own, which is never held up
        async with serve(tls.server(), script) as server:
            servers.append(server)
            up.set()
            while up.is_set():  # noqa: ASYNC110 (a thread's)
                await asyncio.sleep(0.01)

    def held_up(self: Life, now_ns: int) -> None:
        nonlocal probed
        probe(self, now_ns)
        probed += 1
        if probed == 1:
            asyncio.get_running_loop().call_soon(time.sleep, HELD_UP_S)

    async def main() -> None:
        connection: Any = bench.connection(servers[0].port)
        async with running(connection):
            await until(lambda: probed > 2, 20)
            assert connection.links == 1

    monkeypatch.setattr(Life, "_probe", held_up)
    thread = threading.Thread(target=lambda: asyncio.run(venue()))
    thread.start()
    assert up.wait(10)
    try:
        run(main())
    finally:
        up.clear()
        thread.join()
    (peer,) = servers[0].peers
    assert len(peer.said(PING)) >= 3
    assert events(lines, "link lost") == []
