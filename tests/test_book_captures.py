"""Captured depth streams replayed through the C core, against a book of dicts that knows nothing of this project.

The specs are this file's own, as small as they can be. Every frame of a book must give what the plain book shows at that step:
the first five and twenty levels where they changed, or the reason why there is nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k4._codegen import exchange, ir

from .codegen import compiled
from .codegen.compiled import Given, Tolerant

SPEC = """
name = "replay"
[product.spot]
url = "wss://feed.example/x"

[[message]]
record = ["depth5", "depth20"]
match = { stream = "*@depth@100ms" }
order = "increasing"
[message.fields]
symbol = "data.s"
snapshot = "=false"
event_ns = { "data.E" = "ms" }
first_id = "data.U"
update_id = "data.u"
prev_id = "data.pu?"
bid_price = "data.b[*][0]"
bid_qty = "data.b[*][1]"
ask_price = "data.a[*][0]"
ask_qty = "data.a[*][1]"

[[message]]
record = ["depth5", "depth20"]
url = "https://rest.example/depth?symbol=$symbol"
[message.fields]
snapshot = "=true"
update_id = "lastUpdateId"
bid_price = "bids[*][0]"
bid_qty = "bids[*][1]"
ask_price = "asks[*][0]"
ask_qty = "asks[*][1]"

[[message]]
record = ["depth5", "depth20"]
match = { topic = "orderbook.50.$symbol" }
order = "increasing"
[message.fields]
snapshot = { type = { snapshot = true, delta = false } }
update_id = "data.u"
bid_price = "data.b[*][0]"
bid_qty = "data.b[*][1]"
ask_price = "data.a[*][0]"
ask_qty = "data.a[*][1]"

[[message]]
record = ["depth5", "depth20"]
match = { "arg.channel" = "books", "arg.instId" = "$symbol" }
each = "data[*]"
order = "increasing"
[message.fields]
snapshot = { action = { snapshot = true, update = false } }
update_id = ["@.seqId?", "@.seq?", { "@.ts" = "ms" }]
prev_id = ["@.prevSeqId?", "@.pseq?"]
checksum = { "@.checksum?" = { 0 = "", "*" = "crc32-interleaved-25" } }
bid_price = "@.bids[*][0]"
bid_qty = "@.bids[*][1]"
ask_price = "@.asks[*][0]"
ask_qty = "@.asks[*][1]"
"""
SNAPSHOT, DIFF = 1, 0  # the fetched message's index; the pushed one's
Top = tuple[tuple[tuple[Decimal, Decimal], ...], tuple[tuple[Decimal, Decimal], ...]]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Tolerant]:
    folder = tmp_path_factory.mktemp("replay")
    file = folder / "replay.toml"
    file.write_text(SPEC)
    spec, _ = exchange.read(file, compiled.RECORDS)  # findings: this spec has no examples
    assert spec is not None
    made: ir.Exchange = spec
    library = compiled.build(folder, made)
    return lambda: Tolerant(library, made, "spot")


@dataclass
class Book:
    """Price text → quantity text, a side each; compared as decimals."""

    bids: dict[Decimal, tuple[str, str]] = field(default_factory=dict)
    asks: dict[Decimal, tuple[str, str]] = field(default_factory=dict)
    id: int = 0

    def change(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, qty, *_ in levels:
                if Decimal(qty):
                    side[Decimal(price)] = (price, qty)
                else:
                    side.pop(Decimal(price), None)

    def best(self, n: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        return [self.bids[p] for p in sorted(self.bids, reverse=True)[:n]], [self.asks[p] for p in sorted(self.asks)[:n]]

    def top(self, n: int) -> Top:
        bids, asks = self.best(n)
        return tuple((Decimal(p), Decimal(q)) for p, q in bids), tuple((Decimal(p), Decimal(q)) for p, q in asks)

    def checksum(self) -> int:
        bids, asks = self.best(25)
        parts = [text for i in range(25) for side in (bids, asks) if i < len(side) for text in side[i]]
        return zlib.crc32(":".join(parts).encode())


def tops(given: Given) -> dict[str, Top]:
    """What records of a frame show, by record word."""
    found: dict[str, Top] = {}
    for kind, word, _, _, data in given.items:
        assert kind == "record"
        record = compiled.RECORDS.record(str(word))
        assert record is not None
        assert isinstance(data, bytes)
        values = compiled.unpack(record, data)
        sides = []
        for side in ("bid", "ask"):
            levels = range(values[f"{side}_levels"][0])
            price, qty = (
                [Decimal(values[f"{side}_{half}"][i]).scaleb(values[f"{half}_exp"][0]) for i in levels] for half in ("price", "qty")
            )
            sides.append(tuple(zip(price, qty, strict=True)))
        found[str(word)] = (sides[0], sides[1])
    return found


def check(given: Given, book: Book, before: tuple[Top, Top] | None) -> None:
    """`before`: five and twenty levels as they were, None: behind a snapshot all is shown."""
    now = (book.top(5), book.top(20))
    shown = {word: now[i] for i, word in enumerate(("depth5", "depth20")) if before is None or before[i] != now[i]}
    assert tops(given) == shown
    assert given.skip == (None if shown else "unchanged")


# --------------------------------------------------------------------------- snapshots that are fetched


@dataclass
class Waiting:
    """A book that waits for its snapshot: the updates so far."""

    updates: list[dict[str, Any]] = field(default_factory=list)


@pytest.mark.parametrize(("name", "snapshots", "least"), [("spot", 4, 100), ("usdm", 4, 500), ("coinm", 10, 800)])
def test_fetched_snapshots_bridge(captures: Path, decoder: Callable[[], Tolerant], name: str, snapshots: int, least: int) -> None:
    folder = captures / "binance"
    frames = (folder / f"{name}_ws_cryptofeed_2021.jsonl").read_bytes().splitlines()
    times = [float(line) for line in (folder / f"{name}_ws_cryptofeed_2021.recv_ts").read_text().split()]
    bodies = (folder / f"{name}_rest_depth_cryptofeed_2021.jsonl").read_bytes().splitlines()
    urls = [line.split() for line in (folder / f"{name}_rest_depth_cryptofeed_2021.urls").read_text().splitlines()]
    asked = [(float(at), url.partition("symbol=")[2].partition("&")[0], body) for (at, url), body in zip(urls, bodies, strict=True)]
    assert len(asked) == snapshots
    decode = decoder()
    books: dict[str, Book | Waiting] = {}
    steps = bridged = 0
    for at, frame in zip(times, frames, strict=True):
        while asked and asked[0][0] <= at:
            bridged += fetch(decode, books, *asked.pop(0)[1:])
        given = decode(frame)
        message = json.loads(frame)
        if not message["stream"].endswith("@depth@100ms"):
            assert given.skip == "other_channel"
            continue
        steps += update(given, books, message["data"])
    while asked:
        bridged += fetch(decode, books, *asked.pop(0)[1:])
    decode.close()
    assert bridged == snapshots
    assert steps >= least, steps


def fetch(decode: Tolerant, books: dict[str, Book | Waiting], symbol: str, body: bytes) -> int:
    """Gives the snapshot and what waited for it to both; what is shown then is the state behind all of it."""
    snapshot = json.loads(body)
    waiting = books.get(symbol, Waiting())
    assert isinstance(waiting, Waiting)
    book = Book(id=snapshot["lastUpdateId"])
    book.change(snapshot["bids"], snapshot["asks"])
    fresh = True
    for held in waiting.updates:
        if held["u"] > book.id or held.get("pu") == book.id:
            assert held["U"] <= book.id + 1 if fresh else goes_on(held, book)
            book.change(held["b"], held["a"])
            book.id, fresh = held["u"], False
    check(decode.fetched(SNAPSHOT, symbol, body), book, None)
    books[symbol] = book
    return 1


def goes_on(data: dict[str, Any], book: Book) -> bool:
    return bool(data["pu"] == book.id if "pu" in data else data["U"] == book.id + 1)


def update(given: Given, books: dict[str, Book | Waiting], data: dict[str, Any]) -> int:
    """One update behind the snapshot; 0: it has to wait for that."""
    book = books.setdefault(data["s"], Waiting())
    if isinstance(book, Waiting):
        book.updates.append(data)
        assert given.skip == "stale_book"
        return 0
    before = (book.top(5), book.top(20))
    if data["u"] <= book.id:
        assert given.skip == "unchanged"
        return 0
    assert goes_on(data, book) or data["U"] <= book.id + 1
    book.change(data["b"], data["a"])
    book.id = data["u"]
    check(given, book, before)
    return 1


# --------------------------------------------------------------------------- snapshots that are pushed


@pytest.mark.parametrize(
    ("file", "books"),
    [
        ("bybit/fastmm.spot-testnet-session.jsonl", 19),
        ("okx/fastmm.btc-usdt-swap-prod.jsonl", 0),
        ("okx/cryptofeed-rs.synthetic-sync.jsonl", 3),
        ("bitget/tardis-node.spot-v2.jsonl", 1),
        ("bitget/arbitrage-observatory.v2.jsonl", 3),
        ("bitget/cointr-whitelabel.jsonl", 0),
    ],
)
def test_pushed_books(captures: Path, decoder: Callable[[], Tolerant], file: str, books: int) -> None:
    """`books`: frames that were applied. None of these files has a checksum other than 0 behind a whole snapshot."""
    decode = decoder()
    known: dict[str, Book] = {}
    applied = 0
    for frame in (captures / file).read_bytes().splitlines():
        given = decode(frame)
        for symbol, snapshot, data in depth_of(json.loads(frame)) if frame.startswith(b"{") else ():
            before = None
            if snapshot:
                known[symbol] = Book()
            elif symbol not in known:
                assert given.skip == "stale_book"
                continue
            else:
                before = (known[symbol].top(5), known[symbol].top(20))
            book = known[symbol]
            if before is not None and data.get("prev", book.id) != book.id and data["id"] > book.id:
                assert given.skip == "stale_book", frame
                del known[symbol]
                continue
            if before is not None and data["id"] <= book.id:
                assert given.skip == "unchanged"
                continue
            book.change(data["b"], data["a"])
            book.id = data["id"]
            if data["sum"] and data["sum"] & 0xFFFFFFFF != book.checksum():
                assert given.skip == "stale_book"
                del known[symbol]
                continue
            check(given, book, before)
            applied += 1
    decode.close()
    assert applied == books


def depth_of(message: Any) -> list[tuple[str, bool, dict[str, Any]]]:
    """The updates of a frame: symbol, whether it is a snapshot, and its parts by names of this test."""
    if str(message.get("topic", "")).startswith("orderbook.50."):
        data = message["data"]
        return [(data["s"], message["type"] == "snapshot", {"b": data["b"], "a": data["a"], "id": data["u"], "sum": 0})]
    arg = message.get("arg", {})
    if not isinstance(arg, dict) or arg.get("channel") != "books" or "data" not in message:
        return []
    found = []
    for data in message["data"]:
        parts = {"b": data["bids"], "a": data["asks"], "sum": data.get("checksum", 0)}
        parts["id"] = int(data.get("seqId", data.get("seq", int(data["ts"]) * 1_000_000)))
        if "prevSeqId" in data or "pseq" in data:
            parts["prev"] = int(data.get("prevSeqId", data.get("pseq")))
        found.append((arg["instId"], message["action"] == "snapshot", parts))
    return found
