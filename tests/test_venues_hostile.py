"""Every JSON example of the built-in specs, cut at every byte, and with each of its values replaced by hostile ones: the reference and the
parsers say the same: a record, a reason or a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from k4._codegen import ir
from k4.decode import NativeDecoder, open_reference
from k4.native import Native
from tests.test_venues import PRODUCTS

VALUE = re.compile(r'"(?:[^"\\]|\\.)*"(?=[,}\]])|(?<=[\[:,])(?:-?[0-9][0-9.eE+-]*|true|false|null)(?=[,}\]])')
HOSTILE = (
    "99999999999999999999", "-1", "1e400", '"1e3"', '"NaN"', "NaN", '""', "null", "[]", "{}", "true", '"-0.0"', '"0"', '"\\ud800"', '"é"',
)  # fmt: skip


def spoiled(wire: str, bad: Sequence[str] = HOSTILE) -> list[bytes]:
    """The example with one of its values replaced, in every way."""
    values = [match.span() for match in VALUE.finditer(wire)]
    return [(wire[:a] + other + wire[b:]).encode() for a, b in values for other in bad]


def cut(wire: str) -> list[bytes]:
    """What is left of it when it is cut."""
    whole = wire.encode()
    return [whole[:n] for n in range(1, len(whole))]


def frames(exchange: ir.Exchange, product: str) -> list[bytes]:
    examples = [e for m in exchange.messages if m.json and product in m.products for e in m.examples]
    return [frame for example in examples for frame in (example.wire.encode(), *spoiled(example.wire), *cut(example.wire))]


@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_spoiled_examples(native: Native, exchange: str, product: str) -> None:
    found = frames(native.exchanges[exchange], product)
    reference = open_reference(exchange, product, None, ())
    decoders = [NativeDecoder(native, exchange, product, None, tier) for tier in ("any", "tolerant")]
    for frame in found:
        wanted = reference.lines(frame)
        for decoder in decoders:
            assert decoder.lines(frame) == wanted, frame
