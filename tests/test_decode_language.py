"""The whole language: parsers compiled from specs that use every part of it, against the reference interpreter, on mutated frames."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from k4 import native
from k4._codegen import build
from k4.decode import DeclinedError, NativeDecoder, ReferenceDecoder
from tests.mutate import Mutator

if TYPE_CHECKING:
    from k4.native import Native

SPECS = Path(__file__).resolve().parent / "cases" / "decode"
FRAMES = 3000


@pytest.fixture(scope="module")
def built() -> Native:
    """The extension that knows the specs of tests/cases/decode."""
    build.build([SPECS])
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


def test_books_agree_with_the_reference(built: Native) -> None:
    """Each decoder keeps books over all frames; the fast tier alone would miss what it declines."""
    reference = ReferenceDecoder(built.records, built.exchanges["shelf"], "spot", None)
    tiers = [NativeDecoder(built, "shelf", "spot", None, tier) for tier in ("any", "tolerant")]
    mutator = Mutator(wires(built, "shelf"), seed=20261129)
    seen: Counter[object] = Counter()
    for _ in range(FRAMES):
        frame = mutator.frame()
        expected = reference.lines(frame)
        seen.update(line.get("record") or line.get("refused") or line["skipped"] for line in expected)
        for decoder in tiers:
            assert decoder.lines(frame) == expected, frame
    assert {"bbo", "depth5", "depth20", "unchanged", "stale_book", "malformed", "missing", "range", "duplicate", "unmapped"} <= set(seen), (
        seen
    )


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
