"""SBE frames: compiled decoders and the reference interpreter against values worked out by hand, and against each other on hostile bytes."""

from __future__ import annotations

import ctypes
import functools
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k4._codegen import exchange, places
from tests import sbe_oracle
from tests.codegen import compiled
from tests.codegen.compiled import RECORDS, Given, Reference, Tolerant

ROOT = Path(__file__).resolve().parents[2]
YARD = ROOT / "tests/cases/sbe/yard.toml"
SPOT = places.schema() / "exchange/binance.toml"
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


class Pair:
    """The compiled decoder of a product and the reference, asked together."""

    def __init__(self, file: Path, product: str, library: ctypes.CDLL) -> None:
        self.exchange = exchange.load(file, RECORDS)
        self.messages = self.exchange.messages
        self.native = Tolerant(library, self.exchange, product)
        self.reference = Reference(self.exchange, product)

    def __call__(self, frame: bytes) -> Given:
        one, other = self.native(frame, True), self.reference(frame, True)
        assert one == other, frame.hex()
        return one

    def examples(self) -> list[bytes]:
        return [message.frame(example) for message in self.messages if message.template for example in message.examples]


@pytest.fixture(scope="module")
def compile_yard(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ctypes.CDLL]:
    return functools.cache(lambda compiler: compiled.build(tmp_path_factory.mktemp("yard"), exchange.load(YARD, RECORDS), compiler))


@pytest.fixture(scope="module", params=COMPILERS)
def yard(request: pytest.FixtureRequest, compile_yard: Callable[[str], ctypes.CDLL]) -> Iterator[Pair]:
    pair = Pair(YARD, "spot", compile_yard(request.param))
    yield pair
    pair.native.close()


@pytest.fixture(scope="module")
def spot(built_in: Path) -> Iterator[Pair]:
    pair = Pair(SPOT, "spot", ctypes.CDLL(str(built_in / compiled.LIBRARY)))
    yield pair
    pair.native.close()


@pytest.fixture(scope="module", params=[YARD, SPOT], ids=["yard", "spot"])
def either(request: pytest.FixtureRequest, compile_yard: Callable[[str], ctypes.CDLL]) -> Iterator[Pair]:
    own = request.param == YARD
    library = compile_yard("gcc") if own else ctypes.CDLL(str(request.getfixturevalue("built_in") / compiled.LIBRARY))
    pair = Pair(request.param, "spot", library)
    yield pair
    pair.native.close()


def values(item: tuple[object, ...]) -> dict[str, Any]:
    """A record's bytes as its members."""
    kind = RECORDS.record(str(item[1]))
    assert kind is not None
    data = item[4]
    assert isinstance(data, bytes)
    out: dict[str, Any] = {}
    for field in kind.fields:
        form = f"<{max(field.length, 1)}{compiled._FORMATS[field.scalar]}"
        found = struct.unpack_from(form, data, field.offset)
        out[field.name] = list(found) if field.length else found[0]
    return out


# --------------------------------------------------------------------------- what is right


def test_every_example_gives_what_it_says(yard: Pair) -> None:
    """`expect` was worked out by hand, and the checker has held the reference against it."""
    for message in yard.messages:
        for example in message.examples if message.template else ():
            given = yard(message.frame(example))
            assert [item[1] for item in given.items if item[0] == "record"] == [
                dict(one).get("record", message.record) for one in example.expect
            ]
            assert given.skip == {"control": "control", "dropped": "dropped_class"}.get(message.record)


def quote(version: int = 2, **given: int) -> bytes:
    """A `Quote` of the yard, by hand."""
    own = {"bid": 1, "ask": 2, "bid_size": 3, "bid_power": 0, "ask_size": 4, "ask_power": 0, "seq": 9, "orders": 5, "at": 7} | given
    body = struct.pack(
        ">8s2xqqibibI", b"AB", own["bid"], own["ask"], own["bid_size"], own["bid_power"], own["ask_size"], own["ask_power"], own["seq"]
    )
    body += struct.pack(">Q", own["orders"]) if version > 0 else b""
    body += struct.pack(">Q", own["at"]) if version > 1 else b""
    return struct.pack(">BBHHxxI", version, 1, 700, 0, len(body)) + body


INT64_MIN = -(1 << 63)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (quote(), {"bid_price": 1, "price_exp": -4, "bid_qty": 3, "qty_exp": 0, "update_id": 9, "bid_count": 5, "event_ns": 7_000_000}),
        (quote(0), {"bid_count": -1, "event_ns": INT64_MIN}),  # neither field is there yet
        (quote(1), {"bid_count": 5, "event_ns": INT64_MIN}),
        (quote(7), {"bid_count": 5, "event_ns": 7_000_000}),  # a version nobody here knows
        (
            quote(orders=(1 << 64) - 1, seq=(1 << 32) - 1, at=(1 << 64) - 1),
            {"bid_count": -1, "update_id": INT64_MIN, "event_ns": INT64_MIN},
        ),
        (quote(seq=0), {"update_id": INT64_MIN}),  # nonzero
        (quote(bid_power=-3, ask_power=-1), {"bid_qty": 3, "ask_qty": 400, "qty_exp": -3}),
        (quote(bid_power=3, ask_power=-2), {"bid_qty": 300_000, "ask_qty": 4, "qty_exp": -2}),
        (quote(bid_power=18), {"bid_qty": 3 * 10**18, "ask_qty": 4, "qty_exp": 0}),
        (quote(ask=0, ask_size=-(1 << 31)), {"ask_price": INT64_MIN, "ask_qty": INT64_MIN, "flags": 1 << 4}),  # one side alone
        (quote(bid=-(10**18)), {"bid_price": -(10**18)}),
        (quote(bid_power=-128, ask_power=-128), {"bid_qty": 3, "qty_exp": -128}),
    ],
)
def test_quotes(yard: Pair, frame: bytes, expected: dict[str, int]) -> None:
    (item,) = yard(frame).items
    assert item[0] == "record", item
    assert item[3] == "AB"
    found = values(item)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("frame", "refusal"),
    [
        (quote(ask=0), ("missing", 0, 12)),  # a price without its quantity: where its block begins
        (quote(ask_size=-(1 << 31)), ("missing", 0, 12)),
        (quote(bid=INT64_MIN), ("range", 0, 22)),
        (quote(bid_power=19), ("range", 0, 38)),
        (quote(bid_power=127), ("range", 0, 38)),
        (quote(bid_power=-128), ("range", 0, 43)),  # beside 3e-128 it is the 4 that does not fit
        (quote(orders=1 << 31), ("range", 0, 52)),
        (quote(at=1 << 60), ("range", 0, 60)),
        (quote()[:2] + b"\x02\xbd" + quote()[4:], ("malformed", None, 2)),
        (quote() + b"\0", ("malformed", None, 68)),
        (quote()[:8] + b"\0\0\0\x37" + quote()[12:], ("malformed", None, 8)),
        (quote()[:8] + b"\xff\xff\xff\xff" + quote()[12:], ("malformed", None, 68)),
        (quote()[:12] + bytes(8) + quote()[20:], ("missing", 0, 12)),  # no symbol
        (quote()[:12] + b"a\x01cdefgh" + quote()[20:], ("symbol", 0, 12)),
        (quote()[:12] + b"a\x7fcdefgh" + quote()[20:], ("symbol", 0, 12)),
        (quote()[:12] + b"a\x7f" + quote()[14:], ("symbol", 0, 12)),
        (quote()[:12] + b"a\xffcdefgh" + quote()[20:], ("utf8", 0, 12)),
    ],
)
def test_refusals_of_quotes(yard: Pair, frame: bytes, refusal: tuple[str, int | None, int]) -> None:
    assert yard(frame).items == (("refused", *refusal),)


def test_an_unbound_and_an_unknown_template_are_skipped(yard: Pair) -> None:
    for number in (250, 99):
        given = yard(quote()[:1] + bytes([number]) + quote()[2:])
        assert (given.items, given.skip) == ((), "unknown_template")


def deal(fills: list[bytes], version: int = 2, count: int | None = None, size: int = 21) -> bytes:
    """A `Deals` with one venue."""
    inner = bytes([size, len(fills) if count is None else count]) + b"".join(fills)
    inner += b"\x01\0" if version > 1 else b""  # group `none`, no entries
    inner += struct.pack(">H", 3) + b"abc"
    venue = struct.pack(">QxxxxQ", 1, 1) + struct.pack(">b", -2) + inner
    tail = struct.pack(">H", 3) + b"XYZ" if version > 0 else b""
    body = struct.pack(">qh", 1_600_000_000_123, -1)
    return struct.pack(">BBHHxxI", version, 2, 700, 0, len(body)) + body + venue + tail


def fill(number: int, price: int = 100, size: int = -5, taker: bytes = b"B", sort: int = -3, note: bytes = b"") -> bytes:
    return struct.pack(">QQhch", number, price, size, taker, sort) + struct.pack(">I", len(note)) + note


def test_nested_groups_with_data(yard: Pair) -> None:
    given = yard(deal([fill(1), fill(2, note=b"n" * 300, taker=b"S", sort=500), fill(3, taker=b"\0", sort=7)]))
    assert given.items[2][:2] == ("refused", "missing")  # its taker is null
    found = [values(item) for item in given.items[:2]]
    assert [(one["trade_id"], one["price"], one["qty"], one["buyer_is_maker"], one["kind"]) for one in found] == [
        (1, 100, 5, 0, 0),
        (2, 100, 5, 1, 2),
    ]
    assert {(one["price_exp"], one["qty_exp"], one["event_ns"]) for one in found} == {(-2, -1, 1_600_000_000_123_000_000)}


def test_more_fills_than_fit_at_once(yard: Pair) -> None:
    given = yard(deal([fill(i) for i in range(200)]))
    assert [values(item)["trade_id"] for item in given.items] == list(range(200))


def test_a_number_beyond_int64(yard: Pair) -> None:
    """Trailing zeros of a price go first; an id has none to give."""
    (price,) = yard(deal([fill(1, price=10**19)])).items
    assert (values(price)["price"], values(price)["price_exp"]) == (10**18, -1)
    (wrong,) = yard(deal([fill(1, price=10**19 + 1)])).items
    assert wrong[:2] == ("refused", "range")
    (wrong,) = yard(deal([fill(1 << 63)])).items
    assert wrong[:2] == ("refused", "range")


def test_counts_that_promise_too_much(yard: Pair) -> None:
    """Neither read past the end nor counted through."""
    venue = 12 + 10
    for count in (2, 1 << 40, (1 << 64) - 1):
        frame = deal([])
        frame = frame[:venue] + struct.pack(">Q", count) + frame[venue + 8 :]
        (item,) = yard(frame).items
        assert item[:3] == ("refused", "malformed", None)
    empty = struct.pack(">BBHHxxI", 0, 6, 700, 0, 0) + b"\0\0" + b"\0\xff"  # entries of no bytes at all
    assert yard(empty).items == (("refused", "malformed", None, 14),)
    assert yard(struct.pack(">BBHHxxI", 0, 6, 700, 0, 0) + b"\0\x05" + b"\0\0").items == (("refused", "malformed", None, 12),)


def test_entries_longer_than_the_schema(yard: Pair) -> None:
    longer = [fill(1)[:21] + b"\xee\xee\xee" + fill(1)[21:], fill(2)[:21] + b"\xdd\xdd\xdd" + fill(2)[21:]]
    assert [values(item)["trade_id"] for item in yard(deal(longer, size=24)).items] == [1, 2]
    (item,) = yard(deal([fill(1)], size=20)).items
    assert item[:3] == ("refused", "malformed", None)


# --------------------------------------------------------------------------- books

NONE32 = -(1 << 31)
Bid = tuple[int, int, int, int]  # price, size, its power, orders
Ask = tuple[int, int, int, bytes]  # price, size, its power, note


def moves(
    to: int, bids: list[Bid], asks: list[Ask], *, version: int = 2, power: int = -1, name: bytes = b"M", **given: int | bytes
) -> bytes:
    """A `Moves` of the yard, by hand."""
    own: dict[str, Any] = {"first": INT64_MIN, "before": -7, "checksum": -7, "whole": b"S"} | given
    body = struct.pack(">Qqiicb", to, own["first"], own["before"], own["checksum"], own["whole"], power)
    out = struct.pack(">BBHHxxI", version, 7, 700, 0, len(body)) + body
    out += struct.pack(">QxxxxQ", len(bids), 11) + b"".join(struct.pack(">iibH", *bid) for bid in bids)
    if version > 0:
        rows = [struct.pack(">QibH", *ask[:3], len(ask[3])) + ask[3] for ask in asks]
        out += bytes([13, len(asks)]) + b"".join(rows)
    return out + struct.pack(">H", len(name)) + name


def random_moves(chance: random.Random, last: int, first: bool) -> tuple[bytes, int]:
    """An update, as a rule one that goes on, now and then wrong in one of many ways; and its id."""

    def rarely(one_in: int) -> bool:
        return chance.randrange(one_in) == 0

    to = max(0, last + chance.choice((1, 1, 1, 1, 1, 2, 0, -1)))
    given: dict[str, Any] = {"whole": b"B" if first or rarely(15) else b"x" if rarely(50) else b"S"}
    if rarely(3):
        given["first"] = last + chance.choice((1, 1, 1, 0, -1, 2))
    if rarely(3):
        given["before"] = last + chance.choice((0, 0, 0, 1))
    if rarely(15):
        given["checksum"] = chance.choice((0, 5, -1))
    most = chance.choice((3, 3, 3, 8, 70))
    odd = rarely(12)

    def price() -> int:
        return chance.randrange(1, 40)

    def size() -> tuple[int, int]:
        power = chance.choice((0, -1, -1, 2)) if not odd else chance.choice((-128, 127, 17, -19, 0))
        return chance.choice((0, 1, 2, 10, 100, NONE32 if odd and rarely(4) else 7)), power

    bids = [(price(), *size(), chance.choice((1, 2, 65535))) for _ in range(chance.randrange(most))]
    asks = [
        ((1 << 64) - 1 if odd and rarely(5) else 10**19 if odd and rarely(5) else 40 + price(), *size(), b"n" * chance.randrange(4))
        for _ in range(chance.randrange(most))
    ]
    power = chance.choice((-1, -1, -1, 0, 1, -2)) if not rarely(20) else chance.choice((-128, -19, 19, 127))
    name = b"N" if rarely(8) else b"a\x01" if rarely(40) else b"M"
    frame = moves(to, bids, asks, version=0 if rarely(25) else 1 + chance.randrange(2), power=power, name=name, **given)
    return frame, to


def test_any_run_of_updates_gives_the_same(yard: Pair) -> None:
    chance = random.Random(23)
    met: set[object] = set()
    last = 100
    for step in range(4000):
        frame, last = random_moves(chance, last, step % 12 == 0)
        given = yard(frame)
        met |= {given.skip} | {item[1] for item in given.items}
    assert met >= {None, "stale_book", "unchanged", "bbo", "depth20", "missing", "range", "unmapped", "symbol"}, met


def test_errors_of_an_update_count_in_record_order(yard: Pair) -> None:
    """All bids' prices before all bids' sizes, then asks; only then what no level can hold; a refusal makes the book stale."""
    good: Bid = (100, 1, 0, 1)

    def refused(frame: bytes) -> tuple[object, ...]:
        assert yard(moves(1, [good], [], whole=b"B")).skip is None
        (item,) = yard(frame).items
        assert yard(moves(3, [good], [])).skip == "stale_book"
        return item

    at = 12 + 26 + 20  # where bids begin
    index = next(i for i, m in enumerate(yard.messages) if m.template == "Moves")
    absent: Bid = (100, NONE32, 0, 1)
    assert refused(moves(2, [good, absent], [(1, NONE32, 0, b"")])) == ("refused", "missing", index, at + 11)
    assert refused(moves(2, [(1, 1, 127, 1), absent], [])) == ("refused", "missing", index, at + 11)
    assert refused(moves(2, [good], [(1, 1, 0, b"xy"), (1, NONE32, 0, b"")])) == ("refused", "missing", index, at + 11 + 2 + 15 + 2)
    assert refused(moves(2, [good], [], version=0)) == ("refused", "missing", index, 12)  # there are no asks yet
    assert refused(moves(2, [(1, 7, 127, 1), (1, 1, 99, 1)], [(1 << 63, 1, 0, b"")], power=0)) == ("refused", "range", index, at + 4)
    assert refused(moves(2, [good], [((1 << 64) - 1, 1, 0, b"")], power=0)) == ("refused", "range", index, at + 11 + 2)


# --------------------------------------------------------------------------- against a decoder of its own


def test_spot_against_the_oracle(spot: Pair) -> None:
    chance = random.Random(5)
    for _ in range(2000):
        frame, expected = sbe_oracle.frame(chance)
        given = spot(frame)
        found = [(item[1], item[3], values(item)) for item in given.items]
        assert [(word, symbol) for word, symbol, _ in found] == [(word, symbol) for word, symbol, _ in expected]
        for (_, _, got), (_, _, want) in zip(found, expected, strict=True):
            assert {name: got[name] for name in want} == want


# --------------------------------------------------------------------------- what is wrong


def frames_of(pair: Pair) -> list[bytes]:
    own = pair.examples()
    return [*own, quote(), deal([fill(1), fill(2, note=b"xy")])] if pair.exchange.name == "yard" else own


def test_cut_at_every_byte(either: Pair) -> None:
    for frame in frames_of(either):
        for end in range(len(frame)):
            (item,) = either(frame[:end]).items
            assert item == ("refused", "malformed", None, end), (frame.hex(), end)


def test_every_byte_made_hostile(either: Pair) -> None:
    """One byte, then two, replaced by what sizes and numbers trip over: a record or a refusal, and both decoders agree."""
    for frame in frames_of(either):
        for at in range(len(frame)):
            for value in (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF):
                either(frame[:at] + bytes([value]) + frame[at + 1 :])
                either(frame[:at] + bytes([value, value]) + frame[at + 2 :])


def test_the_number_that_stands_for_absent_at_every_place(either: Pair) -> None:
    """Eight bytes, then four, in either order of bytes: a price or quantity that is none is never published as one."""
    for frame in frames_of(either):
        for number in (bytes(7) + b"\x80", b"\x80" + bytes(7), bytes(3) + b"\x80", b"\x80" + bytes(3)):
            for at in range(len(frame) - len(number) + 1):
                either(frame[:at] + number + frame[at + len(number) :])


def test_random_changes(either: Pair) -> None:
    chance = random.Random(11)
    seeds = frames_of(either)
    outcomes: set[str] = set()
    for _ in range(20_000):
        frame = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(frame))
            match chance.randrange(4):
                case 0:
                    frame[at] = chance.randrange(256)
                case 1:
                    del frame[at : at + chance.randint(1, 8)]
                case 2:
                    frame[at:at] = chance.randbytes(chance.randint(1, 8))
                case _:
                    frame[at] = (frame[at] + chance.choice((-1, 1))) % 256
            if not frame:
                break
        given = either(bytes(frame))
        outcomes |= {str(item[1]) for item in given.items if item[0] == "refused"}
        outcomes |= {str(item[0]) for item in given.items} | ({given.skip} if given.skip else set())
    assert outcomes >= {"record", "refused", "malformed", "range", "symbol", "utf8", "unknown_template"}, outcomes
