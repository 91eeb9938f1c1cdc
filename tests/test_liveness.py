"""How soon a dead link and a dead stream are noticed, and how soon a reader sees it, over real sockets."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import k4
from k4.clock import Clock
from k4.connection import Connection
from k4.link import CLOSE_S
from k4.watch import Watch
from tests import logs
from tests.links import Bench, events, run, until
from tests.logs import Lines
from tests.venue_server import Authority, Peer, serve

TICK_S = 0.1  # as a worker does
TRIES = 3  # a busy machine only adds to a time: the best of so many is judged


@asynccontextmanager
async def working(bench: Bench, connection: Connection, symbols: list[str], silence_s: float | None = None) -> AsyncIterator[Watch]:
    """The connection and the watch of its symbols at work, ticked as a worker ticks them."""
    watch = Watch(bench.native.lib, bench.feed, logs.logger())
    record = bench.native.records.record("bbo")
    assert record is not None
    product = bench.native.lib.k4_product_find(b"binance", b"spot")
    for symbol in symbols:
        instrument = bench.native.lib.k4_feed_instrument(bench.feed, product, record.number, symbol.encode(), len(symbol), b"", b"")
        watch.add(record.number, instrument, ("bbo", symbol), [connection], time.time_ns(), silence_s)

    async def tick() -> None:
        while True:
            connection.tick(time.monotonic_ns())
            watch.tick(time.monotonic_ns(), time.time_ns())
            await asyncio.sleep(TICK_S)

    task, ticker = asyncio.create_task(connection.run()), asyncio.create_task(tick())
    try:
        yield watch
    finally:
        connection.stop()
        await task
        ticker.cancel()
        connection.close()


def quote(symbol: str, number: int) -> str:
    return f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"u":{number},"s":"{symbol}","b":"1","B":"1","a":"2","A":"1"}}}}'


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def swallow(end: Any) -> None:
    """From now on the kernel drops every packet that comes for this socket: a socket filter that passes nothing."""
    instruction = ctypes.create_string_buffer(bytes([0x06, 0, 0, 0, 0, 0, 0, 0]))  # BPF_RET, 0 bytes
    program = _Program(1, ctypes.addressof(instruction))
    end.setsockopt(socket.SOL_SOCKET, 26, bytes(program))  # SO_ATTACH_FILTER


def stall(connection: Connection, peer: Peer) -> None:
    """The peer is there, its kernel acknowledges, but it neither sends nor answers."""
    peer.pongs = False


def blackhole(connection: Connection, peer: Peer) -> None:
    """The network between the two loses everything, both ways."""
    swallow(connection._lives[0].link._transport.get_extra_info("socket"))  # type: ignore[union-attr]
    swallow(peer.writer.get_extra_info("socket"))


@pytest.mark.alone
@pytest.mark.parametrize("silence", [stall, blackhole])
def test_a_silent_link_is_noticed_in_a_second_and_a_half_and_seen_by_readers_in_two(
    silence: Callable[[Connection, Peer], None], bench: Bench, tls: Authority, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    noticed: list[float] = []
    seen: list[float] = []

    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.3)  # a link that comes back within a tick is never STALE
        await peer.handshake()
        listening = asyncio.ensure_future(peer.listen())
        number = time.monotonic_ns()
        while peer.pongs and not peer.gone.is_set():
            number += 1
            peer.send(quote("FOOBAR", number))
            await asyncio.sleep(0.02)
        await listening

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with working(bench, connection, ["FOOBAR"]):
                with k4.open("test_bbo") as reader:
                    for attempt in range(TRIES):
                        await until(lambda: reader.symbols[0].state == "LIVE")
                        silence(connection, server.peers[-1])
                        began = time.monotonic()
                        lost = len(events(lines, "link lost"))
                        await until(lambda: len(events(lines, "link lost")) > lost)  # noqa: B023
                        noticed.append(time.monotonic() - began)
                        await until(lambda: reader.symbols[0].state == "STALE")
                        seen.append(time.monotonic() - began)
                        server.peers[attempt].writer.transport.abort()  # it would wait for the network
                        await until(lambda: connection.links == attempt + 2)  # noqa: B023
            await asyncio.sleep(CLOSE_S + 0.1)  # what could not be closed is aborted then

    run(main())
    assert 1.3 < min(noticed) <= 1.5
    assert min(seen) <= 2.0
    assert {line["reason"] for line in events(lines, "link lost")} == {"no answer to a probe for 1 s"}


def test_a_wall_clock_that_jumps_moves_no_deadline(
    bench: Bench, tls: Authority, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour back, then a day ahead, while quotes flow: the link lives, the symbol stays LIVE, the records tell."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    ahead_ns = 0

    async def script(peer: Peer) -> None:
        await peer.handshake()
        listening = asyncio.ensure_future(peer.listen())
        number = 0
        while not peer.gone.is_set():
            number += 1
            peer.send(quote("FOOBAR", number))
            await asyncio.sleep(0.05)
        await listening

    async def main() -> None:
        nonlocal ahead_ns
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port, silence_s=30, age_s=3600)
            clock = Clock(lambda: time.time_ns() + ahead_ns)
            connection._shared = replace(connection._shared, clock=clock)
            async with working(bench, connection, ["FOOBAR"], 5.0):
                with k4.open("test_bbo") as reader:
                    await until(lambda: reader.symbols[0].state == "LIVE")
                    steps = 0
                    for step_s in (-3600, 86400):
                        ahead_ns += step_s * 1_000_000_000
                        for _ in range(20):
                            await asyncio.sleep(0.05)
                            while (item := reader.read()) is not None:
                                assert not isinstance(item, k4.Lost)
                                steps += "CLOCK_STEP" in str(item.to_json()["flags"])
                            assert reader.symbols[0].state == "LIVE"
                    assert steps == 2
            assert connection.links == 1

    run(main())
    assert [line["event"] for line in lines if line["level"] != "info"] == []
