"""Books kept from SBE updates and fetched JSON snapshots, by the C core and by the reference, against a book of dicts.

Frames are packed here, by the facts of the venue alone. The captured JSON streams, said again in SBE, give the same book at every step.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k4._codegen import exchange, ir, places

from .codegen import compiled
from .codegen.compiled import RECORDS, Given, Reference, Tolerant
from .oracles.book import Book, Change
from .oracles.common import Line

Level = list[str]
_TEMPLATE, _ABSENT = 10003, -(1 << 63)


def diff(
    symbol: str, event_us: int, first: int, last: int, bids: list[Level], asks: list[Level], exps: tuple[int, int] = (-8, -8)
) -> bytes:
    """A DepthDiffStreamEvent. Levels as the JSON stream has them, so that `exps` must have room for their digits."""
    block = struct.pack("<qqqbb", event_us, first, last, *exps)
    groups = b"".join(struct.pack("<HH", 16, len(side)) + b"".join(_entry(level, exps) for level in side) for side in (bids, asks))
    return struct.pack("<HHHH", len(block), _TEMPLATE, 1, 0) + block + groups + bytes([len(symbol)]) + symbol.encode()


def _entry(level: Level, exps: tuple[int, int]) -> bytes:
    scaled = [Decimal(text).scaleb(-exp) for text, exp in zip(level, exps, strict=True)]
    assert all(value == int(value) for value in scaled)
    return struct.pack("<qq", *map(int, scaled))


def snapshot(last: int, bids: list[Level], asks: list[Level]) -> bytes:
    return json.dumps({"lastUpdateId": last, "bids": bids, "asks": asks}).encode()


@dataclass
class Both:
    """The compiled decoders and the reference of Spot, asked together."""

    spec: ir.Exchange
    native: Tolerant
    reference: Reference
    messages: tuple[ir.Message, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.messages = tuple(m for m in self.spec.messages if "spot" in m.products)
        self.rest = next(i for i, m in enumerate(self.messages) if m.url is not None and "depth20" in m.records)

    def push(self, frame: bytes) -> Given:
        given = self.native(frame, True)
        assert given == self.reference(frame, True), frame.hex()
        return given

    def fetch(self, symbol: str, body: bytes) -> Given:
        """With nothing held: the reference holds nothing."""
        given = self.native.fetched(self.rest, symbol, body)
        assert given.items == compiled.given(self.reference.interpreter.decode_fetched(self.rest, body, {"symbol": symbol})).items
        return given


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[ir.Exchange, Any]:
    spec = exchange.load(places.schema() / "exchange/binance.toml", RECORDS)
    return spec, compiled.build(tmp_path_factory.mktemp("spot"), spec)


@pytest.fixture
def both(library: tuple[ir.Exchange, Any]) -> Iterator[Both]:
    spec, made = library
    pair = Both(spec, Tolerant(made, spec, "spot"), Reference(spec, "spot"))
    yield pair
    pair.native.close()


def shown(given: Given) -> list[Line]:
    """The records of a frame, as the plain book writes them: levels as decimals, by value."""
    if not given.items:
        return [{"skipped": given.skip}]
    lines: list[Line] = []
    for item in given.items:
        assert item[0] == "record", item
        record = RECORDS.record(str(item[1]))
        assert record is not None
        assert isinstance(item[4], bytes)
        values = compiled.unpack(record, item[4])
        (price_exp,), (qty_exp,), (flags,) = values["price_exp"], values["qty_exp"], values["flags"]
        line: Line = {"record": item[1], "symbol": item[3], "flags": ["SNAPSHOT"] if flags == 1 << 6 else [] if flags == 0 else flags}
        line |= {"event_ns": None if values["event_ns"][0] == _ABSENT else values["event_ns"][0], "update_id": values["update_id"][0]}
        for side in ("bid", "ask"):
            count = values[f"{side}_levels"][0]
            line[f"{side}_price"] = [Decimal(one).scaleb(price_exp) for one in values[f"{side}_price"][:count]]
            line[f"{side}_qty"] = [Decimal(one).scaleb(qty_exp) for one in values[f"{side}_qty"][:count]]
        lines.append(line)
    return lines


def wanted(lines: list[Line]) -> list[Line]:
    """The plain book's lines with numbers as `shown` has them."""
    names = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    keys = ("record", "symbol", "flags", "event_ns", "update_id")
    return [
        line if "skipped" in line else {key: line[key] for key in keys} | {name: [Decimal(text) for text in line[name]] for name in names}
        for line in lines
    ]


def spans(first: int, own: int) -> Any:
    """When an update of those ids goes on: its ids reach the next one of the book."""
    return lambda last: None if own <= last else first <= last + 1


def change(symbol: str, event_us: int, first: int, last: int, bids: list[Level], asks: list[Level]) -> Change:
    return Change(symbol, False, last, bids, asks, spans(first, last), event=event_us * 1000)


# --------------------------------------------------------------------------- books that go on


def levels(chance: random.Random, mid: int, count: int, sign: int) -> list[Level]:
    """Prices around `mid` ticks, some of them deleted."""
    found = []
    for _ in range(count):
        price = mid + sign * chance.randrange(1, 60)
        found.append([f"{price / 100:.2f}", "0.00000" if chance.random() < 0.4 else f"{chance.randrange(1, 10**7) / 10**5:.5f}"])
    return found


def test_every_step_shows_what_a_plain_book_shows(both: Both) -> None:
    """Chained updates with holes, repetitions and new snapshots now and then; exponents change from message to message."""
    chance = random.Random(3)
    plain, last, event = Book(), 5000, 1_700_000_000_000_000
    seen: dict[str, int] = {}
    for step in range(1500):
        event += 20_000
        if step % 150 == 0:
            sides = [sorted(levels(chance, 2000, 40, -1), reverse=True), levels(chance, 2000, 40, 1)]
            sides = [[level for level in side if float(level[1])] for side in sides]
            given = shown(both.fetch("FOOBAR", snapshot(last, *sides)))
            assert given == wanted(plain.take(Change("FOOBAR", True, last, sides[0], sides[1]), (20,)))
            owed = True
            continue
        first = last + chance.choice((1,) * 60 + (2, 0, -3))
        own = max(first, last) + chance.randrange(6) if first <= last + 1 else first + 1
        bids, asks = levels(chance, 2000, chance.randrange(5), -1), levels(chance, 2000, chance.randrange(5), 1)
        exps = (chance.randrange(-8, -1), chance.randrange(-8, -4))
        given = shown(both.push(diff("FOOBAR", event, first, own, bids, asks, exps)))
        # What the snapshot, which gives depth20 alone, did not show is shown behind it.
        before = plain.top(5, by_value=True)
        expected = wanted(plain.take(change("FOOBAR", event, first, own, bids, asks), (20, 5)))
        if plain.good and owed and own > last:
            assert given[-1]["record"] == "depth5"
            assert given[-1]["flags"] == ["SNAPSHOT"]
            given[-1] = given[-1] | {"flags": []}
            if plain.top(5, by_value=True) == before:
                expected = [line for line in expected if "skipped" not in line] + [given[-1]]
                best = plain.top(5, by_value=True)
                assert [[*given[-1][f"{side}_price"]] for side in ("bid", "ask")] == [[level[0] for level in side] for side in best]
            owed = False
        assert given == expected, step
        for line in given:
            word = str(line.get("record", line.get("skipped")))
            seen[word] = seen.get(word, 0) + 1
        last = max(own, last)
    assert min(seen[word] for word in ("depth20", "depth5", "unchanged", "stale_book")) > 20, seen


def test_captured_streams_in_sbe(both: Both, captures: Path) -> None:
    """Every captured update of Spot, with the snapshots that were fetched in that run: SBE shows what the plain book shows."""
    folder = captures / "binance"
    frames = [json.loads(line)["data"] for line in (folder / "spot_ws_cryptofeed_2021.jsonl").read_text().splitlines() if "@depth" in line]
    urls = [
        line.split("symbol=")[1].split("&")[0]
        for line in (folder / "spot_rest_depth_cryptofeed_2021.urls").read_text().splitlines()
        if "symbol=" in line
    ]
    bodies = dict(zip(urls, (folder / "spot_rest_depth_cryptofeed_2021.jsonl").read_text().splitlines(), strict=True))
    shows = 0
    for symbol, body in bodies.items():
        told = json.loads(body)
        plain = Book()
        both.fetch(symbol, body.encode())
        plain.take(Change(symbol, True, told["lastUpdateId"], told["bids"], told["asks"]), (20,))
        for number, frame in enumerate(frame for frame in frames if frame["s"] == symbol and frame["u"] > told["lastUpdateId"]):
            given = both.push(diff(symbol, frame["E"] * 1000, frame["U"], frame["u"], frame["b"], frame["a"]))
            expected = wanted(plain.take(change(symbol, frame["E"] * 1000, frame["U"], frame["u"], frame["b"], frame["a"]), (20, 5)))
            found = shown(given)
            if number == 0:  # the first also shows the five that the snapshot did not give
                found = [line for line in found if line["record"] == "depth20"]
                expected = [line for line in expected if line.get("record", "") != "depth5"]
            assert found == expected, (symbol, number)
            shows += sum("record" in line for line in found)
    assert len(bodies) > 1
    assert shows > 50


# --------------------------------------------------------------------------- books that do not


def test_updates_are_held_for_the_snapshot(both: Both) -> None:
    """As the JSON stream's: what the snapshot has falls away, the first of the others reaches it, one record stands for all."""
    decode = both.native
    for first, last in ((10, 12), (13, 15), (16, 16)):
        assert decode(diff("FOOBAR", last, first, last, [["10.00", f"{last}"]], [], (-2, -2)), True).skip == "stale_book"
    given = shown(decode.fetched(both.rest, "FOOBAR", snapshot(13, [["10.00", "1"], ["9.00", "2"]], [["11.00", "3"]])))
    assert [(line["record"], line["update_id"], line["event_ns"], line["bid_qty"], line["flags"]) for line in given] == [
        ("depth20", 16, 16_000, [16, 2], ["SNAPSHOT"])
    ]
    given = shown(decode(diff("FOOBAR", 17, 17, 18, [], [["11.00", "0"]], (-2, -2)), True))
    assert [(line["record"], line["update_id"], line["ask_price"]) for line in given] == [("depth20", 18, []), ("depth5", 18, [])]


def test_json_and_sbe_share_one_book(both: Both) -> None:
    """One connection speaks one of them; a file may have both. Their ids are of one space."""
    both.fetch("FOOBAR", snapshot(100, [["10.00", "1"]], [["11.00", "3"]]))
    assert both.push(diff("FOOBAR", 1, 101, 101, [["10.00", "2"]], [], (-2, -2))).skip is None
    text = b'{"stream":"foobar@depth@100ms","data":{"e":"depthUpdate","E":1700000000068,"s":"FOOBAR","U":102,"u":103,"b":[["10.00","5"]],"a":[]}}'
    given = both.native(text)
    assert given == both.reference(text)
    assert [(line["record"], line["update_id"], line["bid_qty"]) for line in shown(given)] == [("depth20", 103, [5])]


@pytest.mark.parametrize(
    ("entry", "exps", "refusal"),
    [
        (struct.pack("<qq", 1, _ABSENT), (-2, -2), ("range", 8)),
        (struct.pack("<qq", _ABSENT, 1), (-2, -2), ("range", 0)),
        (struct.pack("<qq", 7, 7), (19, -2), ("range", 0)),
        (struct.pack("<qq", 7, 7), (-2, 19), ("range", 8)),
    ],
)
def test_a_level_that_no_record_holds_ends_the_book(both: Both, entry: bytes, exps: tuple[int, int], refusal: tuple[str, int]) -> None:
    both.fetch("FOOBAR", snapshot(100, [["10.00", "1"]], [["11.00", "3"]]))
    good = diff("FOOBAR", 1, 101, 101, [], [["11.00", "4"], ["12.00", "1"]], (-2, -2))
    at = len(good) - 7 - 16
    bad = good[:32] + struct.pack("<bb", *exps) + good[34:at] + entry + good[at + 16 :]
    first = 8 + 26 + 4 + 4  # with these exponents the first entry is none that fits, either
    where = at + refusal[1] if exps == (-2, -2) else first + refusal[1]
    index = next(i for i, m in enumerate(both.messages) if m.template == "DepthDiffStreamEvent")
    assert both.push(bad).items == (("refused", refusal[0], index, where),)
    assert both.push(diff("FOOBAR", 2, 102, 102, [["10.00", "5"]], [], (-2, -2))).skip == "stale_book"


def test_exponents_that_are_far_apart(both: Both) -> None:
    """A level keeps up to 128 digits of a fraction; what is seen must have an exponent in common, or the update is refused at 0."""
    both.fetch("FOOBAR", snapshot(100, [["10.00", "1"]], [["11.00", "3"]]))
    assert shown(both.push(diff("FOOBAR", 1, 101, 101, [["10.00", "0"]], [], (-2, 0))))[0]["bid_price"] == []
    tiny = diff("FOOBAR", 1, 102, 102, [], [], (-128, -2))
    tiny = tiny[:34] + struct.pack("<HHqq", 16, 1, 5, 100) + tiny[38:]
    index = next(i for i, m in enumerate(both.messages) if m.template == "DepthDiffStreamEvent")
    assert both.push(tiny).items == (("refused", "range", index, 0),)  # 5e-128 beside 11


def test_a_frame_cut_anywhere_leaves_the_book_as_it_was(both: Both) -> None:
    both.fetch("FOOBAR", snapshot(100, [["10.00", "1"]], [["11.00", "3"]]))
    frame = diff("FOOBAR", 1, 101, 103, [["10.00", "2"], ["9.00", "1"]], [["11.00", "0"]], (-2, -2))
    for end in range(len(frame)):
        assert both.push(frame[:end]).items == (("refused", "malformed", None, end),)
    assert [line["record"] for line in shown(both.push(frame))] == ["depth20", "depth5"]


def test_counts_sizes_and_versions(both: Both) -> None:
    """Wrong dimensions are malformed; longer blocks and entries of a newer version are read past."""
    both.fetch("FOOBAR", snapshot(100, [["10.00", "1"]], [["11.00", "3"]]))
    frame = diff("FOOBAR", 1, 101, 103, [["10.00", "2"]], [], (-2, -2))
    bids = 8 + 26
    for at, value, where in (
        (bids, 15, bids),
        (bids, 0, bids),
        (bids, 0xFFFF, len(frame)),
        (bids + 2, 0xFFFF, len(frame)),
        (0, 25, 0),
        (0, 0xFFFF, len(frame)),
    ):
        bad = frame[:at] + struct.pack("<H", value) + frame[at + 2 :]
        assert both.push(bad).items == (("refused", "malformed", None, where),), (at, value)
    assert both.push(frame + b"\0").items == (("refused", "malformed", None, len(frame)),)
    newer = (
        struct.pack("<HHHH", 29, _TEMPLATE, 1, 7)
        + frame[8:34]
        + b"new"
        + struct.pack("<HH", 18, 1)
        + frame[38:54]
        + b"!!"
        + frame[54:]
        + b"more"
    )
    given = shown(both.push(newer))
    assert [(line["record"], line["bid_qty"]) for line in given] == [("depth20", [2]), ("depth5", [2])]
