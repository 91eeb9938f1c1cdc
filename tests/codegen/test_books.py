"""Books in the compiled tolerant tier against the reference interpreter: any run of updates gives the same items, byte for byte."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen import ir
from tests.codegen import compiled
from tests.codegen.compiled import Given, Reference, Tolerant

HEAD = """
name = "books"
[product.spot]
url = "wss://feed.example/x"
"""
MESSAGE = """
[[message]]
record = {records}
match = {{ type = "{kind}" }}
each = ["data[*]", "."]
order = "{order}"
[message.fields]
symbol = "@.s"
event_ns = {{ "@.t?" = "ms" }}
reset = {{ "@.r?" = {{ y = true, "*" = false }} }}
snapshot = {{ "@.k" = {{ full = true, diff = false }} }}
update_id = "@.u?"
first_id = "@.f?"
prev_id = "@.p?"
checksum = {{ "@.c?" = {checksum} }}
"""
PAIRS = """bid_price = "@.b[*][0]?"
bid_qty = "@.b[*][1]"
ask_price = "@.a[*][0]?"
ask_qty = "@.a[*][1]?"
bid_count = "@.b[*][2]?"
ask_count = "@.a[*][2]?"
"""
OBJECTS = """bid_price = "@.b[*].p"
bid_qty = "@.b[*].q"
ask_price = "@.ap[*]?"
ask_qty = "@.aq[*]"
ask_count = "@.an[*].n[-1]?"
"""
KINDS = {
    "inc": ('"depth5"', "increasing", '"crc32-interleaved-25"', PAIRS),
    "con": ('["bbo", "depth5"]', "contiguous", '{ 0 = "", "*" = "crc32-interleaved-25" }', PAIRS),
    "led": ('["depth5", "depth20"]', "leader", '"crc32-digits-10"', PAIRS),
    "obj": ('["bbo", "depth20"]', "increasing", '{ none = "", 7 = "crc32-interleaved-25", "*" = "crc32-digits-10" }', OBJECTS),
}
SPEC = HEAD + "".join(
    MESSAGE.format(records=records, kind=kind, order=order, checksum=checksum) + levels
    for kind, (records, order, checksum, levels) in KINDS.items()
)
Pair = Callable[[bytes], Given]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pair]:
    """Makes a pair of decoders that have seen nothing; each frame must give the same on both."""
    folder = tmp_path_factory.mktemp("books")
    spec = _load(folder)
    library = compiled.build(folder, spec)

    def fresh() -> Pair:
        native, reference = Tolerant(library, spec, "spot"), Reference(spec, "spot")

        def decode(frame: bytes) -> Given:
            wanted = reference(frame)
            assert native(frame) == wanted, frame
            return wanted

        return decode

    return fresh


def _load(folder: Path) -> ir.Exchange:
    from k4._codegen import exchange

    file = folder / "books.toml"
    file.write_text(SPEC)
    found, _ = exchange.read(file, compiled.RECORDS)  # findings: this spec has no examples
    assert found is not None
    return found


# --------------------------------------------------------------------------- random runs

NUMBERS = ("1", "2", "2.0", "2.00", "1.5", "0.30", "10", "9.99", "1e1", "100", "0.00000001", "-1", "3", "4", "5", "6", "7", "8")
ODD = ("", "x", "1e300", "1e-300", "0e-300", "9223372036854775808", "9223372036854775807", "1" + "0" * 21)
WIDE = ("9223372036854775807", "0.1" + "0" * 30, "0.1" + "0" * 140, "1" + "0" * 18)
SUMS = (0, 7, "none", 4294967296, -1, True, "x")


class Run:
    """Frames of one kind of message, most of them good and in order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kind = self.random.choice(tuple(KINDS))
        self.last = 0

    def rarely(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def frames(self) -> Iterator[bytes]:
        for i in range(self.random.randrange(2, 16)):
            element = self.element("full" if i == 0 and not self.rarely(8) else "diff")
            both = [element, element] if self.rarely(6) else [element]
            yield json.dumps({"type": self.kind, **element} if self.rarely(2) else {"type": self.kind, "data": both}).encode()

    def element(self, word: str) -> dict[str, object]:
        choice = self.random.choice
        step = choice((1, 1, 1, 1, 1, 1, 2, 0, -1))
        element: dict[str, object] = {"s": "B" if self.rarely(6) else "a\n" if self.rarely(40) else "A"}
        element["k"] = "full" if self.rarely(12) else "odd" if self.rarely(60) else word
        if not self.rarely(30):
            element["u"] = self.last + step
        if self.rarely(3):
            element["f"] = self.last + choice((1, 1, 1, 0, -1, 2))
        if self.rarely(3):
            element["p"] = self.last + choice((0, 0, 0, 0, 1, -1))
        if self.rarely(12):
            element["c"] = choice(SUMS)
        if self.rarely(2):
            element["t"] = 1700000000123
            element["r"] = choice("ynm")
        self.last = max(self.last + step, 0)
        self.levels(element)
        return element

    def levels(self, element: dict[str, object]) -> None:
        least, most = (60, 140) if self.rarely(10) else (0, 6)
        numbers = NUMBERS + WIDE if self.rarely(15) else NUMBERS + ODD if self.rarely(15) else NUMBERS
        count, level = self.random.randrange(least, most), self.random.choice

        def price() -> str:
            return level(numbers) if count < 60 else str(self.random.randrange(1, 300))

        def qty() -> str:
            return level(("0", "0.000")) if self.rarely(4) else level(numbers)

        if self.kind == "obj":
            element["b"] = [{"p": price(), "q": qty()} for _ in range(count)]
            element["ap"] = [price() for _ in range(count)]
            element["aq"] = [qty() for _ in range(count + self.rarely(20))]
            element["an"] = [{"n": [1, self.random.randrange(3)]} for _ in range(count)]
            return
        sides = {
            side: [[price(), qty()] + [self.random.randrange(3)] * self.rarely(3) for _ in range(self.random.randrange(least, most))]
            for side in "ba"
        }
        element |= {side: levels for side, levels in sides.items() if side == "b" or not self.rarely(5)}


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_any_run_of_updates_gives_the_same(both: Callable[[], Pair], seed: int) -> None:
    decode = both()
    for frame in Run(seed).frames():
        decode(frame)


# --------------------------------------------------------------------------- checksums


def _texts(side: dict[float, tuple[str, str]], highest: bool, n: int) -> list[tuple[str, str]]:
    return [side[price] for price in sorted(side, reverse=highest)[:n]]


def _interleaved(bids: dict[float, tuple[str, str]], asks: dict[float, tuple[str, str]]) -> int:
    bid, ask = _texts(bids, True, 25), _texts(asks, False, 25)
    return zlib.crc32(":".join(text for i in range(25) for side in (bid, ask) if i < len(side) for text in side[i]).encode())


def _digits(bids: dict[float, tuple[str, str]], asks: dict[float, tuple[str, str]]) -> int:
    texts = [text for level in _texts(asks, False, 10) + _texts(bids, True, 10) for text in level]
    return zlib.crc32("".join(text.replace(".", "").lstrip("0") for text in texts).encode())


@pytest.mark.parametrize(("kind", "rule"), [("inc", _interleaved), ("con", _interleaved), ("led", _digits)])
def test_checksums_of_the_digits_as_received(
    both: Callable[[], Pair], kind: str, rule: Callable[[dict[float, tuple[str, str]], dict[float, tuple[str, str]]], int]
) -> None:
    """Prices and quantities with any zeros at their ends; right checksums, signed and not, go on, a wrong one ends the book."""
    decode, rand = both(), random.Random(7)
    bids: dict[float, tuple[str, str]] = {}
    asks: dict[float, tuple[str, str]] = {}
    for step in range(300):
        changes: dict[str, list[list[str]]] = {"b": [], "a": []}
        for key, side in (("b", bids), ("a", asks)):
            for _ in range(40 if step == 0 else rand.randrange(6)):
                price = f"{rand.randrange(1, 400) / 100:.{rand.choice((2, 2, 2, 5))}f}"
                qty = "0.00" if rand.random() < 0.3 else f"{rand.randrange(1, 3000) / 1000:.3f}" + "0" * rand.choice((0, 5, 20))
                changes[key].append([price, qty])
                if float(qty):
                    side[float(price)] = (price, qty)
                else:
                    side.pop(float(price), None)
        crc = rule(bids, asks)
        frame = {"type": kind, "s": "A", "k": "diff" if step else "full", "u": step, "c": crc - (rand.getrandbits(1) << 32), **changes}
        given = decode(json.dumps(frame).encode())
        assert given.skip in (None, "unchanged"), step
        assert all(item[0] == "record" for item in given.items), step
    wrong = {"type": kind, "s": "A", "k": "diff", "u": 300, "c": 1, "b": [], "a": []}
    assert decode(json.dumps(wrong).encode()).skip == "stale_book"


# --------------------------------------------------------------------------- whose book a snapshot is

TIDE = """
name = "tide"
[product.spot]
url = "wss://feed.example/x"
[[message]]
record = ["bbo", "depth5"]
match = { topic = "$symbol" }
order = "increasing"
[message.fields]
snapshot = "=false"
first_id = "from"
update_id = "to"
bid_price = "b[*][0]"
bid_qty = "b[*][1]"
ask_price = "a[*][0]"
ask_qty = "a[*][1]"
[[message]]
record = "depth5"
url = "https://rest.example/$symbol"
[message.fields]
symbol = "$symbol"
snapshot = "=true"
update_id = "to"
bid_price = "b[*][0]"
bid_qty = "b[*][1]"
ask_price = "a[*][0]"
ask_qty = "a[*][1]"
"""


def test_a_fetched_snapshot_is_of_the_book_that_gives_its_record(tmp_path: Path) -> None:
    from k4._codegen import exchange

    file = tmp_path / "tide.toml"
    file.write_text(TIDE)
    spec, _ = exchange.read(file, compiled.RECORDS)  # findings: this spec has no examples
    assert spec is not None
    native = Tolerant(compiled.build(tmp_path, spec), spec, "spot")

    def change(first: int, last: int) -> bytes:
        return f'{{"topic":"A","from":{first},"to":{last},"b":[["{last}","1"]],"a":[]}}'.encode()

    assert native(change(1, 2)).skip == "stale_book"
    assert native(change(3, 5)).skip == "stale_book"
    given = native.fetched(1, "A", b'{"to":2,"b":[["1","1"]],"a":[["90","1"]]}')
    ((_, word, _, symbol, data),) = given.items
    record = compiled.RECORDS.record("depth5")
    assert record is not None
    assert isinstance(data, bytes)
    values = compiled.unpack(record, data)
    assert (word, symbol, values["update_id"], values["bid_price"][:2]) == ("depth5", "A", (5,), (5, 1))
    assert [item[1] for item in native(change(6, 7)).items] == ["bbo", "depth5"]
    native.close()
