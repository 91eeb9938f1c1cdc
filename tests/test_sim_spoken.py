"""What the simulator says, for every product of every spec, is what its market did: read back by the reference interpreter.

The interpreter goes by the letter of docs/decoding.md and shares no code with what renders the frames.
"""

from __future__ import annotations

import http
import json
import uuid
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from k4._codegen import exchange, fbs, ir
from k4._codegen.bind import names_in, render
from k4._codegen.fields import book_of
from k4._codegen.reference import Interpreter, Outcome
from k4._codegen.refrecord import Record
from k4._codegen.xxh64 import xxh64
from k4.sim.books import Cursor
from k4.sim.desk import Desk
from k4.sim.market import Event
from k4.sim.net import Request
from k4.sim.rest import PAGE, Shelf, served
from k4.sim.venue import Stream
from k4.sim.voice import Said, kind_of
from k4.sim.wire import checked_text

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")
FLAGS = dict(RECORDS.enum("Flag").values)
SPECS = sorted(
    [*(ROOT / "schema/exchange").glob("*.toml"), *(ROOT / "tests/cases/specs").glob("*.toml"), *(ROOT / "tests/cases/sim").glob("*.toml")]
)
NOW_NS = 1_700_000_000_123_000_000
STEP_NS = 7_000_000
LEVELS = {"depth5": 5, "depth20": 20}


def products() -> list[tuple[Path, str]]:
    return [(file, product.name) for file in SPECS for product in exchange.load(file, RECORDS).products]


def desk_of(file: Path, product: str, symbols: tuple[str, ...] = ()) -> Desk:
    found = exchange.load(file, RECORDS)
    named = found.product(product)
    assert named is not None
    return Desk(found, named, symbols or symbols_of(found, product), seed=3)


def symbols_of(found: ir.Exchange, product: str) -> tuple[str, ...]:
    """Symbols as the product writes them: its example's, and others like it."""
    examples = [e for message in found.messages if product in message.products for e in message.examples]
    own = [example for example in examples if example.product == product] or examples
    symbol = next(str(value) for example in own for record in example.expect for name, value in record if name == "symbol")
    return (symbol, *(f"{base}{symbol[3:] if len(symbol) > 3 else symbol}" for base in ("MIX", "ZAP", "BTC")))


class Ear:
    """One client: an interpreter per symbol, since some venues have a connection for each."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._interpreters = {symbol: Interpreter(RECORDS, desk.venue.messages, (), symbol) for symbol in desk.symbols}
        self.shared = Interpreter(RECORDS, desk.venue.messages, schema=desk.venue.exchange.schema(desk.venue.product))

    def hear(self, frame: Said, symbol: str) -> Outcome:
        if isinstance(frame, bytes):
            return self.shared.decode(frame, True)
        single = any(name in self.desk.venue.product.url.source for name in ("$symbol", "$channel"))
        return (self._interpreters[symbol] if single else self.shared).decode(frame.encode())

    def records(self, frame: Said, symbol: str) -> list[Record]:
        outcome = self.hear(frame, symbol)
        assert outcome.skip is None, (frame, outcome)
        assert outcome.items
        assert all(isinstance(item, Record) for item in outcome.items), (frame, outcome)
        return [item for item in outcome.items if isinstance(item, Record)]


def number(value: object, exp: int) -> Decimal:
    assert isinstance(value, int)
    return Decimal(value).scaleb(exp)


def check(record: Record, values: dict[str, object], message: ir.Message) -> None:
    """Every value that the record has is what the market did."""
    for name, got in record.values.items():
        if got is None:
            assert message.field(name) is None or not _given(message, name) or values.get(name) is None, (name, record)
            continue
        if name in ("bid_levels", "ask_levels"):
            continue  # how long the lists are, which is looked at below
        wanted = values[name]
        exp = record.price_exp if name.endswith("price") else record.qty_exp
        if name in ("event_ns", "engine_ns"):
            assert 0 <= int(str(wanted)) - int(str(got)) < 10**9, name  # in the venue's unit
        elif isinstance(got, list):
            assert isinstance(wanted, list)
            most = LEVELS[record.record]
            assert message.field(name) is not None or message.field("side") is not None or set(got) <= {None}
            if set(got) <= {None}:
                continue
            shown = [number(one, exp) if "count" not in name else one for one in got]
            assert shown == wanted[:most], name
        elif name.endswith(("price", "qty")):
            assert number(got, exp) == wanted, name
        elif name == "kind":
            assert got == 0
        elif record.flags >> FLAGS["HASHED_ID"] & 1 and name.endswith("_id") and name != "update_id" and isinstance(wanted, int):
            assert got in {xxh64(text) & (2**63 - 1) for text in _texts(wanted)} or got == wanted, name
        else:
            assert got == wanted, name


def _given(message: ir.Message, name: str) -> bool:
    spec = message.field(name)
    return spec is not None and not (isinstance(spec.source, ir.FromText) and not spec.source.text)


def _texts(wanted: int) -> list[bytes]:
    """How the simulator spells an id that is no number."""
    prefix = str(uuid.uuid5(uuid.UUID("6b6b3400-0000-4000-8000-000000000000"), "trades"))[:24]
    return [f"{prefix}{wanted:012}".encode(), f"x{wanted}".encode()]


def steps(desk: Desk, count: int) -> Iterator[tuple[int, list[Event], list[tuple[Stream, list[Said]]]]]:
    """Steps of the market: the time, what it did, and what is said of that to one who asked for everything."""
    step = desk.market.step
    for i in range(count):
        now = NOW_NS + i * STEP_NS
        events: list[Event] = []

        def recorded(now_ns: int, events: list[Event] = events) -> Iterator[Event]:
            for event in step(now_ns):
                events.append(event)
                yield event

        desk.market.step = recorded  # type: ignore[method-assign]
        yield now, events, list(desk.live(now, lambda _: True))


def _id(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("file", "product"), products(), ids=_id)
def test_every_product_says_what_its_market_did(file: Path, product: str) -> None:
    desk = desk_of(file, product)
    ear = Ear(desk)
    heard: dict[int, int] = {}
    last: dict[tuple[Stream, str], int] = {}
    for _, events, told in steps(desk, 700):
        for stream, frames in told:
            message = desk.venue.messages[stream.message]
            kind = kind_of(message)
            wanted = [event for event in events if event.record == kind]
            records = [record for frame in frames for record in ear.records(frame, stream.symbol)]
            assert len(records) == len(wanted) * len(message.records)
            for at, event in enumerate(wanted):
                for record in records[at * len(message.records) : (at + 1) * len(message.records)]:
                    assert record.symbol == event.symbol == stream.symbol
                    values = dict(event.values)
                    for name in ("update_id", "trade_id", "agg_id"):
                        _ids(record, name, message, values, last, stream)
                    if record.record == "bbo" and kind == "depth":
                        values |= {name: column[0] for name, column in values.items() if isinstance(column, list)}
                    check(record, values, message)
                    assert not record.flags & ~(1 << FLAGS["HASHED_ID"]), record
            heard[stream.message] = heard.get(stream.message, 0) + len(records)
    books = {i for i, m in enumerate(desk.venue.messages) if kind_of(m) == "book"}
    pushed = {i for i, m in enumerate(desk.venue.messages) if m.channel is not None and m.record in ir.MARKET_RECORDS}
    firsts = {i for i in pushed if not desk.voice.can(i, "live")}
    assert set(heard) == pushed - books - firsts
    assert min(heard.values(), default=10) >= 10


def _ids(
    record: Record, name: str, message: ir.Message, values: dict[str, object], last: dict[tuple[Stream, str], int], stream: Stream
) -> None:
    """Ids rise as the message's `order` says; where a stream has ids of its own, they are what is wanted."""
    got = record.values.get(name)
    if got is None or record.flags >> FLAGS["HASHED_ID"] & 1:
        return
    assert isinstance(got, int)
    before = last.get((stream, name + record.record))
    if message.order == "contiguous":
        assert before is None or got == before + 1
        if name == "update_id":
            values[name] = got
    elif message.order in ("increasing", "window"):
        assert before is None or got > before
    spec = message.field(name)
    if spec is not None and isinstance(spec.source, ir.FromPath) and spec.source.word is not None:
        values[name] = got  # a time that serves as an id
    last[stream, name + record.record] = got


def books() -> list[tuple[Path, str, int]]:
    found = []
    for file, product in products():
        desk = desk_of(file, product)
        found += [(file, product, i) for i, m in enumerate(desk.venue.messages) if m.channel is not None and desk.is_book(Stream(i, ""))]
    return found


@pytest.mark.parametrize(("file", "product", "message"), books(), ids=_id)
def test_books_follow_the_market_whatever_the_batches(file: Path, product: str, message: int) -> None:
    """Two subscribers, one of which gets two batches at once and joins late: every record is the ladder as it was at that id.

    Where the snapshot is fetched, updates are held until it comes, in between two batches.
    """
    desk = desk_of(file, product)
    stream = Stream(message, desk.symbols[0])
    instrument = desk.market.instruments[desk.symbols[0]]
    ears: dict[Cursor, Ear] = {}
    seen: dict[Cursor, list[int]] = {}
    held: dict[Cursor, list[Said]] = {}
    truth: dict[int, dict[str, object]] = {}

    def hear(cursor: Cursor, frames: list[Said], fetched: Outcome | None = None) -> None:
        for frame in frames:
            outcome = ears[cursor].hear(frame, stream.symbol) if fetched is None else fetched
            assert outcome.skip in (None, "unchanged"), (frame, outcome)
            for record in outcome.items:
                assert isinstance(record, Record), (frame, outcome)
                book_id = record.values.get("update_id")
                assert isinstance(book_id, int)
                values = {**truth[book_id], "update_id": book_id}
                if record.record == "bbo":
                    values |= {name: column[0] for name, column in values.items() if isinstance(column, list)}
                if record.flags >> FLAGS["SNAPSHOT"] & 1:  # it has the time of its telling
                    values |= {name: record.values[name] for name in ("event_ns", "engine_ns")}
                check(record, values, desk.venue.messages[record.message])
                if record.record == desk.venue.messages[message].record:
                    seen[cursor].append(book_id)

    def told(updates: Iterable[tuple[Cursor, list[Said]]]) -> None:
        for cursor, frames in updates:
            truth[cursor.tape.id] = instrument.depth()
            if cursor in held:
                held[cursor] += frames
            else:
                hear(cursor, frames)

    def join(now: int, every: int) -> None:
        cursor, others = desk.open_book(stream, now, every=every)
        told(others)
        truth[cursor.tape.id] = instrument.depth()
        ears[cursor], seen[cursor] = Ear(desk), []
        if desk.voice.can(message, "first"):
            hear(cursor, desk.first(stream, now))
        else:
            held[cursor] = []

    def catch_up(cursor: Cursor) -> None:
        """The snapshot comes from elsewhere, and what was held goes on from it or is in it already."""
        truth[instrument.update_id] = instrument.depth()
        outcome = snapshot(desk, message, stream.symbol, ears[cursor])
        hear(cursor, [""], outcome)
        hear(cursor, held.pop(cursor))

    for i in range(700):
        now = NOW_NS + i * STEP_NS
        if i in (20, 200):
            join(now, every=1 if i == 20 else 2)
        list(desk.market.step(now))
        told(desk.cut(now))
        if i in (103, 303):
            for cursor in [*held]:
                catch_up(cursor)
    early, late = seen.values()
    assert early == sorted(set(early))
    assert late == sorted(set(late))
    assert len(early) > 40
    assert len(late) > 10
    if desk.venue.messages[message].order != "contiguous":
        assert len(late) < len(early) * 0.6


def snapshot(desk: Desk, pushed: int, symbol: str, ear: Ear) -> Outcome:
    """The fetched snapshot of a book, as the client's interpreter reads it."""
    messages = desk.venue.messages
    kept = book_of(messages, messages[pushed])
    fetched = [(i, m) for i, m in enumerate(messages) if m.url is not None and m.field("snapshot") is not None]
    index, message = next((i, m) for i, m in fetched if book_of(messages, m) == kept)
    assert message.url is not None
    status, body = fetch(desk, render(message.url, {"symbol": symbol}, ""))
    assert status == 200, body
    assert fetch(desk, render(message.url, {"symbol": "NOSUCH"}, ""))[0] == http.HTTPStatus.NOT_FOUND
    return ear.shared.decode_fetched(index, body.encode(), {"symbol": symbol})


def test_checksums_by_hand() -> None:
    """The vectors of a venue that documents its rule, and the other rule on paper."""

    def signed(text: str) -> int:
        crc = zlib.crc32(text.encode())
        return crc - (1 << 32) if crc >= 1 << 31 else crc

    bids, asks = [("3366.1", "7"), ("3366", "6")], [("3366.8", "9"), ("3368", "8")]
    assert checked_text("crc32-interleaved-25", bids, asks) == "3366.1:7:3366.8:9:3366:6:3368:8"
    assert signed(checked_text("crc32-interleaved-25", bids, asks)) == -1881014294
    assert signed(checked_text("crc32-interleaved-25", bids[:1], [*asks, ("3372", "8")])) == 831078360
    assert checked_text("crc32-digits-10", [("0.05", "0.0070")], [("0.06", "10")]) == "6105" + "70"


# --------------------------------------------------------------------------- what is fetched


def fetch(desk: Desk, url: str, body: str = "") -> tuple[int, str]:
    host, _, target = url.removeprefix("https://").partition("/")
    answer = served([Shelf(desk)], Request("POST" if body else "GET", "/" + target, {"host": host}, body), NOW_NS)
    return int(answer.status), answer.body.decode()


def listed(desk: Desk) -> list[dict[str, object]]:
    """All instruments of a product, page by page, as its spec reads them."""
    reader = Interpreter(RECORDS, desk.venue.messages)
    rows: list[dict[str, object]] = []
    for index, message in enumerate(desk.venue.messages):
        if message.record != "instrument":
            continue
        assert message.url is not None
        captures: dict[str, str] = {}
        pages = 0
        while True:
            status, body = fetch(desk, render(message.url, captures, ""))
            assert status == 200, body
            found = reader.fetched(index, body.encode(), captures)
            assert not found.refusals, body
            rows += [dict(row) for row in found.rows]
            pages += 1
            captures = {name: found.captures.get(name, "") for name in names_in(message.url)}
            if not any(captures.values()):
                break
            assert len(found.rows) == PAGE
        assert pages == (1 if not names_in(message.url) else -(-len(desk.symbols) // PAGE))
    return rows


def listings() -> list[tuple[Path, str]]:
    return [(file, name) for file, name in products() if any(m.record == "instrument" for m in desk_of(file, name).venue.messages)]


@pytest.mark.parametrize(("file", "product"), listings(), ids=_id)
def test_listings_name_every_symbol(file: Path, product: str) -> None:
    desk = desk_of(file, product)
    rows = listed(desk)
    assert [row["symbol"] for row in rows] == list(desk.symbols)
    for row in rows:
        steps_ = {"price": desk.market.grid.tick, "qty": desk.market.grid.lot}
        for name, step in steps_.items():
            if row.get(f"{name}_step") is not None or row.get(f"{name}_digits") is not None:
                told = Decimal(str(row.get(f"{name}_step") or 1)).scaleb(-int(str(row.get(f"{name}_digits") or 0)))
                assert told == step, row
        assert row["trading"] in (True, None)


def test_nova_lists_pages_and_refuses() -> None:
    desk = desk_of(ROOT / "tests/cases/specs/nova.toml", "perp", ("FOOBAR", "BARBAZ", "BTCUSDT", "ETHUSDC"))
    status, body = fetch(desk, "https://api.nova.example/v1/markets?type=PERP&after=")
    assert status == 200
    first = json.loads(body)
    assert first == {
        "ok": True,
        "next": "3",
        "rows": [
            {
                "name": name,
                "base": base,
                "quote": quote,
                "state": "open",
                "rules": [{"type": "PRICE", "step": "0.01"}, {"type": "SIZE", "step": "0.005"}],
            }
            for name, base, quote in (("FOOBAR", "FOOBAR", "ZOT"), ("BARBAZ", "BARBAZ", "ZOT"), ("BTCUSDT", "BTC", "USDT"))
        ],
    }
    status, body = fetch(desk, "https://api.nova.example/v1/markets?after=3&type=PERP")
    assert (status, json.loads(body)["next"], [row["name"] for row in json.loads(body)["rows"]]) == (200, "", ["ETHUSDC"])
    assert fetch(desk, "https://api.nova.example/v1/markets?type=SPOT&after=")[0] == http.HTTPStatus.NOT_FOUND
    assert fetch(desk, "https://api.nova.example/v1/elsewhere?type=PERP&after=")[0] == http.HTTPStatus.NOT_FOUND
    assert fetch(desk, "https://api.nova.example/v1/markets?type=PERP&after=", body="{}")[0] == http.HTTPStatus.NOT_FOUND
