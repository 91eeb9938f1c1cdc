"""Books of a connection that goes wrong: what is asked for anew, when, and what readers are told meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from k4 import native as natives
from k4 import session
from k4.books import FIRST_S, GRACE_S, LIVE, NO_SNAPSHOT, Books
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.fetch import Fetch, FetchError
from k4.life import Core, Shared
from k4.link import Resolver
from k4.native import Native
from k4.stuck import Expected
from k4.venue import Venue
from k4.watch import RESYNC, Watch
from tests import logs
from tests.codegen.compiled import build_extension
from tests.links import events, run, running, until
from tests.logs import Lines
from tests.venue_server import TEXT, Authority, Peer, quiet, serve

SPECS = Path(__file__).resolve().parent / "cases" / "decode"
DEPTH5, DEPTH20 = "depth5", "depth20"
GAP = 1
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def built() -> Native:
    build_extension(SPECS)
    return natives.load([SPECS])


# --------------------------------------------------------------------------- when a book is asked for


def test_a_stale_book_is_asked_for_again_with_growing_pauses(built: Native) -> None:
    books = Books(Venue(built.exchanges["shelf"], "spot", built.records).messages)
    books.turned(0, "AAABBB", GAP, 100.0)
    (stale,) = books.due(100.0)
    assert (stale.message, stale.snapshot, stale.symbol, stale.records) == (0, None, "AAABBB", (DEPTH5,))
    assert books.keys == {(DEPTH5, "AAABBB")}
    now, pause = 100.0, FIRST_S
    for _ in range(3):
        books.asked(stale, now)
        assert list(books.due(now + pause - 0.01)) == []
        now, pause = now + pause, 2 * pause
        assert list(books.due(now)) == [stale]
    assert books.turned(0, "AAABBB", LIVE, now) is stale
    assert (list(books.due(now)), books.keys) == ([], frozenset())


def test_a_book_that_is_live_for_a_moment_is_not_asked_for_in_a_storm(built: Native) -> None:
    books = Books(Venue(built.exchanges["shelf"], "spot", built.records).messages)
    asked: list[float] = []
    for tick in range(3000):  # five minutes in which it is live for a tenth of a second now and then
        now = 100.0 + tick / 10
        books.turned(0, "AAABBB", GAP if tick % 5 else LIVE, now)
        for stale in books.due(now):
            asked.append(round(now - 100, 1))
            books.asked(stale, now)
    assert asked == [0.1, 5.1, 15.1, 35.1, 75.1, 155.1, 275.1]
    books.turned(0, "AAABBB", LIVE, 500.0)
    books.turned(0, "AAABBB", GAP, 700.0)  # after a quiet time it begins anew
    (stale,) = books.due(700.0)
    books.asked(stale, 700.0)
    assert (stale.due, stale.pause) == (700.0 + FIRST_S, 2 * FIRST_S)


def test_a_pushed_snapshot_may_be_late_a_fetched_one_is_asked_for_at_once(built: Native) -> None:
    books = Books(Venue(built.exchanges["shelf"], "spot", built.records).messages)
    books.turned(0, "AAABBB", NO_SNAPSHOT, 100.0)
    assert list(books.due(100.0)) == []
    assert len(list(books.due(100.0 + GRACE_S))) == 1
    books.turned(2, "EEEFFF", NO_SNAPSHOT, 100.0)
    (fetched,) = books.due(100.0)
    assert (fetched.snapshot, fetched.records) == (3, (DEPTH5, DEPTH20))
    books.turned(3, "EEEFFF", GAP, 100.0)  # the snapshot itself did not help: the same book
    assert list(books.due(100.0)) == [fetched]


def test_a_book_that_is_no_longer_wanted_is_not_asked_for(built: Native) -> None:
    venue = Venue(built.exchanges["shelf"], "spot", built.records)
    books = Books(venue.messages)
    for symbol in ("AAABBB", "CCCDDD"):
        books.turned(0, symbol, GAP, 100.0)
    books.forget([s for s in session.streams(venue.product, venue.messages, [DEPTH5], ["AAABBB"]) if 0 in s.messages])
    assert [stale.symbol for stale in books.due(100.0)] == ["CCCDDD"]
    assert books.keys == {(DEPTH5, "CCCDDD")}


# --------------------------------------------------------------------------- a connection


class Snapshots(Fetch):
    """Serves what it is given, in order, then nothing."""

    def __init__(self, bodies: list[bytes]) -> None:
        self.bodies = bodies
        self.asked: list[str] = []

    async def get(self, url: str, body: str | None = None, *, most: int = 0, weight: int = 1) -> bytes:
        assert body is None
        assert most > 0
        self.asked.append(url)
        await asyncio.sleep(0)
        if not self.bodies:
            raise FetchError(f"{url}: no more of it")
        return self.bodies.pop(0)


@dataclass
class Bench:
    native: Native
    feed: Any
    venue: Venue
    tls: Authority
    numbers: dict[str, int]

    def connection(self, port: int, symbol: str, records: list[str], fetch: Fetch | None = None) -> Connection:
        lib, ffi = self.native.lib, self.native.ffi
        product = lib.k4_product_find(b"shelf", b"spot")
        for number in self.numbers.values():
            assert lib.k4_feed_instrument(self.feed, product, number, symbol.encode(), len(symbol), b"", b"") >= 0
        (plan,) = session.plans(self.venue.product, session.streams(self.venue.product, self.venue.messages, records, [symbol]))
        plan = session.Plan(session.replace_host(plan.url, f"wss://127.0.0.1:{port}"), plan.by_url, plan.by_message, plan.symbol)
        shared = Shared(self.tls.client(), Resolver(), Dials(()), logs.logger(), Clock(), fetch)
        return Connection(Core(lib, ffi, self.feed, product), self.venue, plan, shared, name="one#0")

    def latest(self, segment: str) -> tuple[int, Any] | None:
        """How many records the segment has had, and the newest one of its first symbol."""
        lib, ffi = self.native.lib, self.native.ffi
        error = ffi.new("char[256]")
        view = lib.k4_view_open(segment.encode(), error, 256)
        assert view != ffi.NULL, ffi.string(error)
        out, sequence = ffi.new("uint8_t[1024]"), ffi.new("uint64_t *")
        found = lib.k4_view_latest(view, 0, out, sequence)
        head = int(lib.k4_view_head(view))
        lib.k4_view_close(view)
        record = self.native.records.record(segment.rpartition("_")[2])
        assert record is not None
        from tests.codegen.compiled import unpack

        return (head, unpack(record, bytes(ffi.buffer(out, record.size)))) if found else None


@pytest.fixture
def bench(built: Native, tls: Authority, tmp_path: Path) -> Iterator[Bench]:
    lib, ffi = built.lib, built.ffi
    lib.k4_shm_dir_set(str(tmp_path).encode())
    feed = lib.k4_feed_open()
    sizes = {"ring_slots": 1024, "symbol_capacity": 16, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
    options, error = ffi.new("k4_segment_options *", sizes), ffi.new("char[256]")
    numbers = {}
    for word in (DEPTH5, DEPTH20):
        record = built.records.record(word)
        assert record is not None
        numbers[word] = record.number
        assert lib.k4_feed_segment(feed, record.number, f"test_{word}".encode(), options, error, 256) == 0, ffi.string(error)
    yield Bench(built, feed, Venue(built.exchanges["shelf"], "spot", built.records), tls, numbers)
    lib.k4_feed_close(feed)
    lib.k4_shm_dir_set(b"")


def book(kind: str, u: int, *, prev: int | None = None, bids: str = "[]", asks: str = "[]") -> str:
    chain = "" if prev is None else f',"pu":{prev}'
    return f'{{"ch":"book.AAABBB","t":1600000000100,"type":"{kind}","d":{{"b":{bids},"a":{asks},"u":{u}{chain}}}}}'


def said(peer: Peer) -> list[str]:
    return [json.loads(text)["op"] for text in peer.said(TEXT)]


def test_a_gap_is_answered_by_a_new_subscription(bench: Bench, lines: Lines) -> None:
    async def main() -> None:
        async with serve(bench.tls.server(), quiet) as server:
            connection = bench.connection(server.port, "AAABBB", [DEPTH5])
            async with running(connection):
                await until(lambda: server.peers and said(server.peers[0]) == ["sub"])
                peer = server.peers[0]
                peer.send(book("full", 10, bids='[["5","1"]]'))
                await until(lambda: bench.latest("test_depth5"))
                peer.send(book("diff", 20, prev=15, bids='[["6","1"]]'))
                await until(lambda: said(peer) == ["sub", "unsub", "sub"])
                assert connection.stale_books == {(DEPTH5, "AAABBB")}
                assert [json.loads(text)["args"] for text in peer.said(TEXT)] == [
                    ["book.AAABBB", "changes.aaabbb"],
                    ["book.AAABBB"],
                    ["book.AAABBB"],
                ]
                peer.send(book("diff", 21, prev=20, bids='[["7","1"]]'))  # of the old subscription: nobody shouts again
                peer.send(book("full", 30, bids='[["8","2"]]'))
                await until(lambda: not connection.stale_books)
                head, record = bench.latest("test_depth5") or (0, {})
                assert (head, record["update_id"], record["bid_price"][0]) == (2, (30,), 8)
                assert said(peer) == ["sub", "unsub", "sub"]
        assert [line["reason"] for line in events(lines, "book stale")] == ["gap"]

    run(main())


def test_a_link_ends_its_stale_books_with_it(bench: Bench) -> None:
    async def main() -> None:
        async with serve(bench.tls.server(), quiet) as server:
            connection = bench.connection(server.port, "AAABBB", [DEPTH5])
            async with running(connection):
                await until(lambda: server.peers and said(server.peers[0]))
                server.peers[0].send(book("diff", 10))
                await until(lambda: connection.stale_books)
                server.peers[0].writer.close()
                await until(lambda: not connection.stale_books)
                await until(lambda: len(server.peers) == 2 and said(server.peers[1]))
                server.peers[1].send(book("full", 40, bids='[["9","1"]]'))
                await until(lambda: bench.latest("test_depth5"))

    run(main())


def change(first: int, last: int, price: str) -> str:
    return f'{{"stream":"changes.eeefff","E":1600000000300,"U":{first},"u":{last},"b":[["{price}","1"]],"a":[]}}'


def test_updates_wait_for_the_snapshot_that_is_fetched(bench: Bench, lines: Lines) -> None:
    old = b'{"id":5,"bids":[["1","1"]],"asks":[]}'
    good = b'{"id":93,"bids":[["1","1"]],"asks":[["9","5"]]}'
    fetch = Snapshots([old, good])

    async def main() -> None:
        async with serve(bench.tls.server(), quiet) as server:
            connection = bench.connection(server.port, "EEEFFF", [DEPTH5, DEPTH20], fetch)
            async with running(connection):
                await until(lambda: server.peers and said(server.peers[0]) == ["sub"])
                for frame in (change(85, 90, "2"), change(91, 95, "3"), change(96, 99, "4")):
                    server.peers[0].send(frame)
                await until(lambda: events(lines, "a book's snapshot does not help"))
                assert fetch.asked == ["https://rest.shelf.example/depth?symbol=EEEFFF&limit=1000"]
                assert bench.latest("test_depth5") is None
                server.peers[0].send(change(100, 105, "5"))
                # What does not help is asked for again after a while.
                await until(lambda: not connection.stale_books, FIRST_S + 5)
                head, record = bench.latest("test_depth20") or (0, {})
                assert (head, record["update_id"], record["bid_levels"]) == (1, (105,), (4,))
                assert record["bid_price"][:4] == (5, 4, 3, 1), "what the first snapshot did not reach was kept for the second"
                server.peers[0].send(change(106, 110, "6"))
                await until(lambda: (bench.latest("test_depth5") or (0,))[0] == 2)
        assert said(server.peers[0]) == ["sub"]

    run(main())


# --------------------------------------------------------------------------- what readers are told


class Shm:
    def __init__(self) -> None:
        self.state = -1
        self.recv = 0

    def k4_feed_last_recv_ns(self, *_: Any) -> int:
        return self.recv

    def k4_feed_symbol_state(self, _feed: Any, _record: int, _instrument: int, state: int, _now_ns: int) -> int:
        self.state = state
        return 0

    def k4_feed_survey(self, _feed: Any, _now_ns: int) -> None:
        pass


@dataclass
class Carrier:
    healthy_since_ns: int
    stale_books: frozenset[tuple[str, str]] = frozenset()
    refused: frozenset[tuple[str, str]] = frozenset()
    name: str = "one#0"

    def stuck(self, _expected: Expected, _missing_ns: int) -> list[int]:
        return []

    def renew(self, keys: frozenset[tuple[str, str]]) -> None:
        raise AssertionError(keys)


def test_a_symbol_is_resync_while_nobody_has_a_good_book() -> None:
    shm, one, two = Shm(), Carrier(SECOND), Carrier(SECOND)
    watch = Watch(shm, None, logs.logger())
    watch.add(4, 0, (DEPTH5, "A"), [one, two], 0)
    shm.recv = 1
    watch.tick(2 * SECOND, 0)
    assert shm.state == 0
    one.stale_books = frozenset({(DEPTH5, "A")})
    watch.tick(3 * SECOND, 0)
    assert shm.state == 0, "its sibling goes on"
    two.stale_books = frozenset({(DEPTH5, "A"), (DEPTH5, "B")})
    watch.tick(4 * SECOND, 0)
    assert shm.state == RESYNC
    two.healthy_since_ns = 0
    watch.tick(5 * SECOND, 0)
    assert shm.state == RESYNC
    one.stale_books = frozenset()
    watch.tick(6 * SECOND, 0)
    assert shm.state == 0
