"""Many books broken at once: snapshots are fetched at the venue's pace, nothing else of the same instruments stops, siblings' books go on,
and readers see what is going on."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web

import k4
from k4 import fetch, fetcher, session
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.fetch import Fetch
from k4.fetcher import Fetcher
from k4.life import Core, Shared
from k4.link import Resolver
from k4.native import Native
from k4.venue import Venue
from k4.watch import Watch
from k4.weights import Weights, part
from tests import logs
from tests.https_server import serving
from tests.links import events, until
from tests.logs import Lines
from tests.venue_server import Authority, Peer, quiet, serve

SYMBOLS = [f"S{n}BAR" for n in range(12)]
RECORDS = ("bbo", "trade", "depth20")
# Weight 50 each: the venue would take twelve in a second, and is asked for eight. Far less than the five seconds after which a book is asked for again.
WINDOW_S = 1.0
LIMITS = ((600, WINDOW_S),)
ASKED = part(LIMITS)[0][0] // 50


@dataclass
class Market:
    """One counter for everything of every symbol. `broken`: peers that miss the next change of every book."""

    number: int = 0
    broken: set[int] = field(default_factory=set)
    fetched: int = 0

    async def play(self, peers: list[Peer]) -> None:
        while True:
            self.number += 1
            n, missing = self.number, self.broken
            self.broken = set()
            for symbol in SYMBOLS:
                low = symbol.lower()
                quote = f'{{"stream":"{low}@bookTicker","data":{{"u":{n},"s":"{symbol}","b":"10","B":"{n}","a":"11","A":"1"}}}}'
                trade = (
                    f'{{"stream":"{low}@trade","data":{{"e":"trade","E":1700000000124,"s":"{symbol}","t":{n},"p":"10","q":"1",'
                    f'"T":1700000000123,"m":true,"M":true}}}}'
                )
                change = (
                    f'{{"stream":"{low}@depth@100ms","data":{{"e":"depthUpdate","E":1700000000068,"s":"{symbol}","U":{n},"u":{n},'
                    f'"b":[["10","{n}"]],"a":[]}}}}'
                )
                for index, peer in enumerate(peers):
                    if peer.target and not peer.gone.is_set():
                        peer.send(quote)
                        peer.send(trade)
                        if index not in missing:
                            peer.send(change)
            await asyncio.sleep(0.03)

    async def snapshot(self, request: web.Request) -> web.Response:
        self.fetched += 1
        assert (request.path, request.query["limit"], request.query["symbol"] in SYMBOLS) == ("/api/v3/depth", "1000", True)
        body = {"lastUpdateId": self.number, "bids": [["10", str(self.number)]], "asks": [["11", "1"]]}
        return web.Response(text=json.dumps(body))


class Bench:
    """Two redundant connections with books, and the watch of their symbols, as a worker has them."""

    def __init__(self, native: Native, tls: Authority, port: int, ask: Fetch) -> None:
        lib, ffi = native.lib, native.ffi
        self.native = native
        self.feed = lib.k4_feed_open()
        sizes = {"ring_slots": 1 << 14, "symbol_capacity": 64, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
        error = ffi.new("char[256]")
        venue = Venue(native.exchanges["binance"], "spot", native.records)
        product = lib.k4_product_find(b"binance", b"spot")
        for word in RECORDS:
            number = native.records.record(word).number  # type: ignore[union-attr]
            options = ffi.new("k4_segment_options *", sizes)
            assert lib.k4_feed_segment(self.feed, number, f"rec_{word}".encode(), options, error, 256) == 0, ffi.string(error)
        (plan,) = session.plans(venue.product, session.streams(venue.product, venue.messages, RECORDS, SYMBOLS))
        plan = replace(plan, url=session.replace_host(plan.url, f"wss://127.0.0.1:{port}"))
        shared = Shared(tls.client(), Resolver(), Dials(()), logs.logger(), Clock(), ask)
        core = Core(lib, ffi, self.feed, product)
        self.connections = [Connection(core, venue, plan, shared, name=f"one#{n}", index=n, of=2) for n in range(2)]
        self.watch = Watch(lib, self.feed, logs.logger())
        for word in RECORDS:
            number = native.records.record(word).number  # type: ignore[union-attr]
            for symbol in SYMBOLS:
                instrument = lib.k4_feed_instrument(self.feed, product, number, symbol.encode(), len(symbol), b"", b"")
                self.watch.add(number, instrument, (word, symbol), self.connections, time.time_ns())
        self.tasks: list[asyncio.Task[None]] = []

    def dial(self, connection: Connection) -> None:
        self.tasks.append(asyncio.create_task(connection.run()))

    async def tick(self) -> None:
        while True:
            for connection in self.connections:
                connection.tick(time.monotonic_ns())
            self.watch.tick(time.monotonic_ns(), time.time_ns())
            await asyncio.sleep(0.05)

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self.tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.stop()
        await asyncio.gather(*self.tasks)
        self._ticking.cancel()
        for connection in self.connections:
            connection.close()
        self.native.lib.k4_feed_close(self.feed)


class Readers:
    """What readers of the three segments see: ids per record and symbol, and the states that each record's symbols have been in."""

    def __init__(self) -> None:
        self.readers = {word: k4.open(f"rec_{word}") for word in RECORDS}
        self.clear()

    def clear(self) -> None:
        self.look()
        self.ids: dict[tuple[str, str], list[int]] = {(word, symbol): [] for word in RECORDS for symbol in SYMBOLS}
        self.states: dict[str, set[str]] = {word: set() for word in RECORDS}

    def look(self) -> None:
        for word, reader in self.readers.items():
            while (item := reader.read()) is not None:
                assert not isinstance(item, k4.Lost), item
                values: dict[str, Any] = item.to_json()
                if hasattr(self, "ids"):
                    self.ids[word, values["symbol"]].append(int(values["trade_id" if word == "trade" else "update_id"]))
            if hasattr(self, "states"):
                self.states[word] |= {symbol.state for symbol in reader.symbols}

    async def follow(self, until: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not until():
                self.look()
                await asyncio.sleep(0.02)

    def unbroken(self, word: str) -> bool:
        """Every symbol had every update, in order, once."""
        return all(ids and ids == list(range(ids[0], ids[-1] + 1)) for (of, _), ids in self.ids.items() if of == word)

    def now(self, word: str) -> set[str]:
        return {symbol.state for symbol in self.readers[word].symbols}

    def live(self) -> bool:
        return all(self.now(word) == {"LIVE"} for word in RECORDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self.readers.values():
            reader.close()


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each request might be sent; it comes a little later, on a busy machine much."""
    given: list[float] = []
    reserve = Weights.reserve

    def noted(self: Weights, weight: int, windows: Any, now: float, most: float) -> float | None:
        wait = reserve(self, weight, windows, now, most)
        if wait is not None:
            given.append(now + wait)
        return wait

    monkeypatch.setattr(Weights, "reserve", noted)
    return given


def paced(turns: list[float]) -> bool:
    """Whether no window had more than eight."""
    return all(later - at > WINDOW_S - 1e-6 for at, later in zip(turns, turns[ASKED:], strict=False))


def test_many_broken_books_recover_at_the_venues_pace(
    native: Native, tls: Authority, lines: Lines, turns: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    native.lib.k4_shm_dir_set(str(tmp_path).encode())
    market = Market()

    async def main() -> None:
        with fetch.listening() as (path, fd):
            async with serving(tls, market.snapshot) as rest, serve(tls.server(), quiet) as server, Fetcher() as made:
                asked = await asyncio.start_unix_server(
                    lambda r, w: fetcher.answer(made, r, w, logs.logger()), sock=socket.socket(fileno=os.dup(fd))
                )
                ask = Fetch(path, base=rest, ca_files=[str(tls.ca_file)], limits=LIMITS)
                playing = asyncio.create_task(market.play(server.peers))
                async with asked, Bench(native, tls, server.port, ask) as bench:
                    for number, connection in enumerate(bench.connections):
                        bench.dial(connection)
                        await until(lambda: sum(bool(peer.target) for peer in server.peers) == number + 1)  # noqa: B023
                    with Readers() as readers:
                        await scene(bench, readers)
                playing.cancel()

    async def scene(bench: Bench, readers: Readers) -> None:
        def recovered(fetched: int) -> bool:
            return market.fetched == fetched and not any(one.stale_books for one in bench.connections) and readers.live()

        def begin() -> None:
            market.fetched = 0
            turns.clear()
            readers.clear()

        await readers.follow(lambda: recovered(2 * len(SYMBOLS)))
        assert paced(turns), "at the start, of both"

        # One of the two misses a change of every book: it asks for all of them anew, and nobody sees anything of it.
        begin()
        market.broken = {0}
        await readers.follow(lambda: recovered(len(SYMBOLS)))
        assert len(turns) == len(SYMBOLS)
        assert paced(turns)
        assert [readers.unbroken(word) for word in RECORDS] == [True, True, True], "the sibling's books went on"
        assert readers.states == {word: {"LIVE"} for word in RECORDS}

        # Both miss one: the books are RESYNC until a snapshot has come, quotes and trades go on.
        begin()
        market.broken = {0, 1}
        await readers.follow(lambda: len(events(lines, "book stale")) == 3 * len(SYMBOLS))
        began = market.number
        await readers.follow(lambda: recovered(2 * len(SYMBOLS)))
        assert len(turns) == 2 * len(SYMBOLS)
        assert paced(turns)
        assert readers.states == {"bbo": {"LIVE"}, "trade": {"LIVE"}, "depth20": {"LIVE", "RESYNC"}}
        assert (readers.unbroken("bbo"), readers.unbroken("trade")) == (True, True)
        await readers.follow(lambda: all(readers.ids["depth20", symbol][-1] > began for symbol in SYMBOLS))
        for symbol in SYMBOLS:
            ids = readers.ids["depth20", symbol]
            after = [number for number in ids if number > began]
            assert after == list(range(after[0], after[-1] + 1)), "from its snapshot on, each change once"
            assert ids == sorted(set(ids))

    try:
        asyncio.run(asyncio.wait_for(main(), 300))
    finally:
        native.lib.k4_shm_dir_set(b"")
    assert {line["reason"] for line in events(lines, "book stale")} == {"gap"}
    assert len(events(lines, "book stale")) == 3 * len(SYMBOLS)
    assert [line for line in lines if line["level"] == "error"] == []
    assert list(itertools.chain(events(lines, "link lost"), events(lines, "a book's snapshot does not help"))) == []
