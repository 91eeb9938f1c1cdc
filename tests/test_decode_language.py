"""The whole language: parsers compiled from specs that use every part of it, against the reference interpreter, on mutated frames."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from k4 import native
from k4.decode import DeclinedError, NativeDecoder, ReferenceDecoder
from tests.codegen.compiled import build_extension
from tests.mutate import Mutator

if TYPE_CHECKING:
    from k4.native import Native

SPECS = Path(__file__).resolve().parent / "cases" / "decode"
FRAMES = 3000


@pytest.fixture(scope="module")
def built() -> Native:
    """The extension that knows the specs of tests/cases/decode."""
    build_extension(SPECS)
    return native.load([SPECS])


def wires(built: Native, exchange: str) -> list[str]:
    return [example.wire for message in built.exchanges[exchange].messages if message.json for example in message.examples]


@pytest.mark.parametrize(
    ("exchange", "product", "symbol"),
    [("binance", "spot", None), ("binance", "spot", "FOOBAR"), ("zoo", "spot", None), ("zoo", "perp", None), ("zoo", "spot", "QUX")],
)
def test_compiled_parsers_agree_with_the_reference(built: Native, exchange: str, product: str, symbol: str | None) -> None:
    reference = ReferenceDecoder(built.records, built.exchanges[exchange], product, symbol)
    tiers = [NativeDecoder(built, exchange, product, symbol, tier) for tier in ("any", "tolerant", "fast")]
    mutator = Mutator(wires(built, exchange), seed=20261123)
    for _ in range(FRAMES):
        frame = mutator.frame()
        expected = reference.lines(frame)
        for decoder in tiers:
            try:
                assert decoder.lines(frame) == expected, frame
            except DeclinedError:
                continue


def agree(built: Native, exchange: str, product: str, frame: Callable[[], bytes]) -> tuple[Counter[object], int]:
    """Every decoder keeps books over all frames; the fast tier alone would miss what it declines. What was seen, and how often it was fast."""
    reference = ReferenceDecoder(built.records, built.exchanges[exchange], product, None)
    tiers = [NativeDecoder(built, exchange, product, None, tier) for tier in ("any", "tolerant")]
    seen: Counter[object] = Counter()
    fast = 0
    for _ in range(FRAMES):
        told = frame()
        expected = reference.lines(told)
        seen.update(line.get("record") or line.get("refused") or line["skipped"] for line in expected)
        for decoder in tiers:
            assert decoder.lines(told) == expected, told
        fast += tiers[0].tier == "fast"
    return seen, fast


def test_books_agree_with_the_reference(built: Native) -> None:
    seen, fast = agree(built, "shelf", "spot", Mutator(wires(built, "shelf"), seed=20261129).frame)
    assert fast > FRAMES / 20, fast
    assert {"bbo", "depth5", "depth20", "unchanged", "stale_book", "malformed", "missing", "range", "duplicate", "unmapped"} <= set(seen), (
        seen
    )


@pytest.mark.parametrize("product", ["spot", "perp"])
def test_levels_of_every_kind_agree_with_the_reference(built: Native, product: str) -> None:
    seen, _ = agree(built, "attic", product, Mutator(wires(built, "attic"), seed=20261130).frame)
    told = {"depth5", "depth20", "unchanged", "stale_book", "missing", "type", "range", "duplicate", "unmapped"}
    assert told <= set(seen), seen


def test_words_that_are_left_out(built: Native) -> None:
    frame = next(wire for wire in wires(built, "attic") if "trade.MMM" in wire)
    reference = ReferenceDecoder(built.records, built.exchanges["attic"], "spot", None)
    for word, taken in (("real", True), ("test", False), ("tests", True), ("testtest", True), ("xtest", False), ("x.test.", False), ("xtes", True)):
        told = frame.replace('"real"', f'"{word}"').encode()
        assert ("record" in reference.lines(told)[0]) is taken, word
        for tier in ("any", "tolerant"):
            assert NativeDecoder(built, "attic", "spot", None, tier).lines(told) == reference.lines(told), (word, tier)


def test_packed_frames_agree_with_the_reference(built: Native) -> None:
    """Binary frames of a product that compresses them: the same as their text, or malformed where they cannot be unpacked."""
    reference = ReferenceDecoder(built.records, built.exchanges["attic"], "perp", None)
    plain = NativeDecoder(built, "attic", "perp", None)
    decoder = NativeDecoder(built, "attic", "perp", None)
    mutator, rng = Mutator(wires(built, "attic"), seed=7), random.Random(7)
    broken = 0
    for _ in range(1000):
        frame = mutator.frame()
        stream = zlib.compressobj(rng.choice((0, 1, 9)), zlib.DEFLATED, -15)
        packed = stream.compress(frame) + stream.flush()
        if rng.random() < 0.2:
            packed = packed[: rng.randrange(len(packed))]
            broken += 1
            wanted: list[object] = [{"refused": "malformed", "kind": None, "offset": 0}]
        else:
            wanted = [*plain.lines(frame)]
        assert decoder.lines(packed, True) == wanted, frame
        assert reference.lines(packed, True) == wanted, frame
    assert broken > 100


def test_runs_of_book_updates_agree_with_the_reference(built: Native) -> None:
    """Books that live long: mostly in order and laid out as the examples, with holes, duplicates, ids that start anew, odd numbers."""
    shelf = _Shelf(7)
    seen, fast = agree(built, "shelf", "spot", lambda: shelf.frame().encode())
    assert fast > FRAMES / 2, fast
    assert min(seen[word] for word in ("bbo", "depth5", "depth20", "unchanged", "stale_book", "range")) > 20, seen


class _Shelf:
    """Frames of the made-up venue's books."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.last = {"AAABBB": 0, "CCCDDD": 0, "eeefff": 0}

    def frame(self) -> str:
        rand = self.random
        symbol = rand.choice([*self.last, "AAABBB"])
        old = self.last[symbol]
        new = self.last[symbol] = max(0, old + rand.choice((1, 1, 2, 3, 7, 1, 1, 0, -3) if rand.random() < 0.3 else (1, 5)))
        whole = rand.random() < 0.06
        if symbol == "AAABBB":
            chain = "" if whole or rand.random() < 0.3 else f',"pu":{old if rand.random() < 0.97 else old - 1}'
            sides = f'"b":[{self.pairs(whole)}],"a":[{self.pairs(whole)}]'
            return f'{{"ch":"book.AAABBB","t":1600000000100,"type":"{"full" if whole else "diff"}","d":{{{sides},"u":{new}{chain}}}}}'
        if symbol == "CCCDDD":
            total = 0 if rand.random() < 0.9 else rand.getrandbits(32) - rand.getrandbits(1) * (1 << 32)
            sides = f'"bids":[{self.objects(whole)}],"asks":[{self.objects(whole)}]'
            rows = ",".join([f'{{"s":"CCCDDD","n":{new},"sum":{total},{sides}}}'] * (1 + (rand.random() < 0.05)))
            return f'{{"ch":"deep","what":"{"whole" if whole else "part"}","rows":[{rows}]}}'
        sides = f'"b":[{self.pairs(whole)}],"a":[{self.pairs(whole)}]'
        return f'{{"stream":"changes.{symbol}","E":1600000000300,"U":{old + 1},"u":{new},{sides}}}'

    def pairs(self, whole: bool) -> str:
        return ",".join(f'["{self.price()}","{self.qty()}"]' for _ in range(self.count(whole)))

    def objects(self, whole: bool) -> str:
        return ",".join(f'{{"p":"{self.price()}","q":"{self.qty()}","n":{self.random.randrange(9)}}}' for _ in range(self.count(whole)))

    def count(self, whole: bool) -> int:
        return self.random.randrange(120) if whole else self.random.choice((0, 1, 1, 2, 3, 8))

    def price(self) -> str:
        if self.random.random() < 0.01:
            return self.random.choice(("1e2", "9223372036854775807", "0.000000000000000001", "5." + "0" * 40, "-1"))
        return f"{self.random.randrange(100, 160) / 4:.{self.random.choice((2, 2, 2, 3))}f}"

    def qty(self) -> str:
        if self.random.random() < 0.01:
            return self.random.choice(("9223372036854775807", "123456789012345678.1", "1e30", "x"))
        return "0" if self.random.random() < 0.3 else f"{self.random.randrange(1, 5000) / 1000:.{self.random.choice((1, 3))}f}"


def test_mutated_frames_walk_every_road(built: Native) -> None:
    """Every kind of record, refusal and reason comes up, so that agreeing means something."""
    reference = ReferenceDecoder(built.records, built.exchanges["zoo"], "spot", None)
    mutator = Mutator(wires(built, "zoo"), seed=20261123)
    seen: Counter[object] = Counter()
    for _ in range(2 * FRAMES):
        seen.update(line.get("record") or line.get("refused") or line["skipped"] for line in reference.lines(mutator.frame()))
    assert set(seen) == {
        *("bbo", "trade", "aggtrade", "depth5", "depth20"),
        *("malformed", "depth", "utf8", "missing", "duplicate", "type", "range", "unmapped", "symbol"),
        *("control", "ack", "error", "pong", "ping", "notice", "empty", "other_channel", "other_product", "dropped_class"),
    }
