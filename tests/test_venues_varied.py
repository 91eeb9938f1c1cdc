"""Every message of every built-in exchange and product, in other words and in wrong ones, made from the specs' own examples.

In other words: the same keys and values in any order, with white space, escapes and keys that nobody knows give what the example gives. In wrong
ones (tests/mutate.py, and numbers as texts and the reverse): the reference, the parsers as at run time and the tolerant one alone say the same.
"""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from k4._codegen import ir
from k4._codegen.bind import bind
from k4.decode import NativeDecoder, ReferenceDecoder
from k4.native import Native
from tests.mutate import Mutator
from tests.oracles.common import load
from tests.test_venues import PRODUCTS
from tests.test_venues_shuffled import written

ROUNDS = 12  # of a message's examples in other words
FRAMES = 120  # of a message in wrong ones


def messages(native: Native, exchange: str, product: str) -> list[ir.Message]:
    found = [message for message in native.exchanges[exchange].messages if message.json and product in message.products]
    assert found
    return found


def wires_of(native: Native, exchange: ir.Exchange, product: str, message: ir.Message) -> list[str]:
    """The message's examples as the product has them: those of another one with its words and a symbol of its own, if that makes them so."""
    decoder = NativeDecoder(native, exchange.name, product, None)
    bound = {name: next(m for m in bind(exchange, name) if m.line == message.line) for name in message.products}
    symbols = _symbols(exchange, product)
    found: list[str] = []
    for example in message.examples:
        wire = example.wire
        for own, theirs in zip(bound[product].match, bound[example.product].match, strict=True):
            for ours, other in zip(own.patterns, theirs.patterns, strict=True):
                if ours != other and all(isinstance(part, ir.Lit) for part in (*ours.parts, *other.parts)):
                    key = json.dumps(own.path.source.rpartition(".")[2])
                    for form in (json.dumps, str):
                        wire = wire.replace(f"{key}:{form(_text(other))}", f"{key}:{form(_text(ours))}")
        for symbol in _symbols(exchange, example.product) if symbols and example.product != product else ():
            wire = wire.replace(json.dumps(symbol), json.dumps(symbols[0]))
        if not any(line.get("skipped") in ("other_product", "other_channel") for line in decoder.lines(wire.encode())):
            found.append(wire)
    assert found, message
    return found


def _symbols(exchange: ir.Exchange, product: str) -> list[str]:
    expected = [record for m in exchange.messages for example in m.examples if example.product == product for record in example.expect]
    return [str(value) for record in expected for name, value in record if name == "symbol"]


def _text(pattern: ir.Text) -> str:
    return "".join(part.text for part in pattern.parts if isinstance(part, ir.Lit))


@pytest.mark.parametrize("tier", ["any", "tolerant"])
@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_examples_in_other_words(native: Native, exchange: str, product: str, tier: str) -> None:
    rng = random.Random(20261129)
    for message in messages(native, exchange, product):
        wires = [wire for wire in wires_of(native, native.exchanges[exchange], product, message) if wire.startswith("{")]
        told = [[written(load(wire.encode()), rng).encode() for wire in wires] for _ in range(ROUNDS)]
        plain = NativeDecoder(native, exchange, product, None, tier)
        wanted = [plain.lines(wire.encode()) for wire in wires]
        for frames in told:
            decoder = NativeDecoder(native, exchange, product, None, tier)
            for frame, lines in zip(frames, wanted, strict=True):
                assert decoder.lines(frame) == lines, frame


@pytest.mark.parametrize(("exchange", "product", "sure"), [*((*pair, False) for pair in PRODUCTS), ("binance", "spot", True)])
def test_examples_in_wrong_words(native: Native, exchange: str, product: str, sure: bool) -> None:
    """`sure`: as on a connection, where a `match` that is asked offline is not asked."""
    reference = ReferenceDecoder(native.records, native.exchanges[exchange], product, None, sure=sure)
    decoders = [NativeDecoder(native, exchange, product, None, tier, sure=sure) for tier in ("any", "tolerant")]
    seen: Counter[object] = Counter()
    fast = 0
    for message in messages(native, exchange, product):
        wires = wires_of(native, native.exchanges[exchange], product, message)
        varied = Mutator(wires, seed=message.line, retype=True)
        frames = [varied.frame() for _ in range(FRAMES)]
        for frame in (*(wire.encode() for wire in wires), *frames):  # a book is live when it is tried
            wanted = reference.lines(frame)
            seen.update(line.get("refused") for line in wanted)
            for decoder in decoders:
                assert decoder.lines(frame) == wanted, frame
            fast += decoders[0].tier == "fast"
    assert fast > len(messages(native, exchange, product)), fast
    assert {None, "malformed", "missing", "duplicate"} <= set(seen), seen


@pytest.mark.parametrize("key", ["st", "X", "nq", "ps", "zz"])
def test_spot_is_read_whatever_key_the_venue_adds(native: Native, key: str) -> None:
    """Offline a mark of futures says that a frame is theirs; on a connection to Spot it is a key like any that nobody knows."""
    exchange = native.exchanges["binance"]
    market = [m for m in exchange.messages if m.products == ("spot",) and m.record in ("trade", "aggtrade") and m.json]
    wires = [example.wire for message in market for example in message.examples]
    assert len(wires) == 7
    for wire in wires:
        cut = wire.rindex('"M":true')
        frame = f'{wire[:cut]}"{key}":"1",{wire[cut:]}'.encode()
        told = NativeDecoder(native, "binance", "spot", None).lines(wire.encode())
        assert NativeDecoder(native, "binance", "spot", None, sure=True).lines(frame) == told
        assert ReferenceDecoder(native.records, exchange, "spot", None, sure=True).lines(frame) == told
        marks = ("st", "nq") if "agg" in wire else ("st", "X")
        offline = NativeDecoder(native, "binance", "spot", None).lines(frame)
        assert offline == told if key not in marks else "skipped" in offline[0]


@pytest.mark.parametrize("product", ["ubase", "cbase"])
def test_futures_are_read_whatever_key_the_venue_adds(native: Native, product: str) -> None:
    """Likewise `M`, which is Spot's, and a name that looks like the other's; `st` says whose it is wherever it comes."""
    symbol, own, other = {"ubase": ("FOOUSD_X", 1, 2), "cbase": ("FOOUSDT_X", 2, 1)}[product]
    for frame in (
        f'{{"e":"trade","E":1700000000002,"T":1700000000001,"s":"{symbol}","t":7,"p":"1.5","q":"2","X":"MARKET","m":true,"M":true,"st":%d}}',
        f'{{"e":"aggTrade","E":1700000000002,"a":7,"s":"{symbol}","p":"1.5","q":"2","f":5,"l":7,"T":1700000000001,"m":true,"M":true,"st":%d}}',
    ):
        reference = ReferenceDecoder(native.records, native.exchanges["binance"], product, None, sure=True)
        for lines in (
            reference.lines,
            *(NativeDecoder(native, "binance", product, None, tier, sure=True).lines for tier in ("any", "tolerant")),
        ):
            (line,) = lines((frame % own).encode())
            assert (line["symbol"], line["price"], line["engine_ns"]) == (symbol, "1.5", 1700000000001000000)
            assert "skipped" in lines((frame % other).encode())[0]
        assert "skipped" in NativeDecoder(native, "binance", product, None).lines((frame % own).encode())[0]


def test_retyped_values_come_up() -> None:
    """What the variations are made of is there: a text for a number, a number for a text."""
    varied = Mutator(['{"a":7,"b":"8"}'], seed=1, retype=True)
    trees = [json.loads(frame) for frame in (varied.frame() for _ in range(400)) if _sound(frame)]
    assert any(tree.get("a") == "7" for tree in trees if isinstance(tree, dict))
    assert any(tree.get("b") == 8 for tree in trees if isinstance(tree, dict))


def _sound(frame: bytes) -> bool:
    try:
        json.loads(frame)
    except ValueError:
        return False
    return True
