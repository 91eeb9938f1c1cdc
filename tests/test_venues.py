"""Every built-in exchange and product on captured frames: the reference, the parsers as at run time and the tolerant one alone give what
an oracle of their own says; nothing of a message's shape is foreign to the fast tier where the spec has an example of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k4.decode import NativeDecoder, open_reference
from tests.oracles import Oracle

CONFIG = Path(__file__).resolve().parent.parent / "config"
PRODUCTS = [
    ("binance", "spot"),
    ("binance", "ubase"),
    ("binance", "cbase"),
    ("okx", "spot"),
    ("okx", "swap"),
    ("okx", "futures"),
    ("bitget", "spot"),
    ("bitget", "usdt-futures"),
    ("bitget", "coin-futures"),
    ("bitget", "usdc-futures"),
    ("bybit", "spot"),
    ("bybit", "linear"),
    ("bybit", "inverse"),
]
# What is fetched, or only comes on private sockets, is no frame of a public stream.
OTHER_FILES = ("rest", "trading", "signing", "userdata")

Lines = Callable[[bytes], list[dict[str, Any]]]


def lines_of(request: pytest.FixtureRequest, exchange: str, product: str, source: str) -> Lines:
    """What gives lines: the reference, the parsers as at run time, the tolerant one alone."""
    if source == "reference":
        reference: Lines = open_reference(exchange, product, None, ()).lines
        return reference
    native: Lines = NativeDecoder(request.getfixturevalue("native"), exchange, product, None, source).lines
    return native


def frames_of(captures: Path, exchange: str) -> list[tuple[str, int, bytes]]:
    """All captured frames of an exchange with file and line."""
    files = [file for file in sorted((captures / exchange).glob("*.jsonl")) if not any(word in file.name for word in OTHER_FILES)]
    return [(file.name, n, frame) for file in files for n, frame in enumerate(file.read_bytes().split(b"\n"), 1) if frame]


@pytest.mark.parametrize("source", ["reference", "any", "tolerant"])
@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_captured_frames(request: pytest.FixtureRequest, captures: Path, exchange: str, product: str, source: str) -> None:
    frames = frames_of(captures, exchange)
    assert frames
    file = ""
    for name, number, frame in frames:
        if name != file:
            file, lines, oracle = name, lines_of(request, exchange, product, source), Oracle(exchange, product)
        assert lines(frame) == oracle.lines(frame), (name, number)


# What all of them are, so that neither a file nor an oracle can say less than it should.
KINDS = {
    ("binance", "spot"): "ack=1 aggtrade=94 bbo=85 error=2 notice=1 other_channel=128 other_product=3993 stale_book=178",
    ("binance", "ubase"): "ack=1 aggtrade=92 bbo=613 error=2 notice=1 other_channel=128 other_product=2879 stale_book=765 trade=1",
    ("binance", "cbase"): "ack=1 aggtrade=36 bbo=1400 error=2 notice=1 other_channel=128 other_product=1737 stale_book=1176 trade=1",
    ("okx", "spot"): "ack=21 bbo=2 control=1 depth20=3 depth5=1 error=2 notice=1 other_channel=19 other_product=51 stale_book=5 trade=2",
    ("okx", "swap"): "ack=21 bbo=29 control=1 error=2 notice=1 other_channel=19 other_product=13 stale_book=12 trade=10",
    ("okx", "futures"): "ack=21 control=1 error=2 notice=1 other_channel=19 other_product=64",
    ("bitget", "spot"): "ack=12 bbo=2 depth20=2 depth5=1 error=2 other_channel=6 other_product=8 pong=1 stale_book=2 trade=7 unchanged=1",
    ("bitget", "usdt-futures"): "ack=12 bbo=1 depth20=3 depth5=1 error=2 other_channel=6 other_product=15 pong=1 trade=3 unchanged=1",
    ("bitget", "coin-futures"): "ack=12 error=2 other_channel=6 other_product=23 pong=1",
    ("bitget", "usdc-futures"): "ack=12 error=2 other_channel=6 other_product=23 pong=1",
    ("bybit", "spot"): "ack=11 bbo=15 depth20=15 depth5=15 dropped_class=2 error=3 other_channel=15 pong=2 trade=11 unchanged=6",
    ("bybit", "linear"): "ack=11 bbo=15 depth20=15 depth5=15 dropped_class=2 error=3 other_channel=15 pong=2 trade=11 unchanged=6",
    ("bybit", "inverse"): "ack=11 bbo=15 depth20=15 depth5=15 dropped_class=2 error=3 other_channel=15 pong=2 trade=11 unchanged=6",
}


@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_captured_frames_hold_what_is_claimed(request: pytest.FixtureRequest, captures: Path, exchange: str, product: str) -> None:
    lines = lines_of(request, exchange, product, "tolerant")
    kinds = Counter(line.get("record", line.get("skipped")) for _, _, frame in frames_of(captures, exchange) for line in lines(frame))
    assert " ".join(f"{kind}={count}" for kind, count in sorted(kinds.items())) == KINDS[exchange, product]


def test_the_products_are_all_there_are(native: Any) -> None:
    assert {(e.name, p.name) for e in native.exchanges.values() for p in e.products} == set(PRODUCTS)


def test_every_market_example_is_taken_by_the_fast_tier(native: Any) -> None:
    taken: Counter[tuple[str, str]] = Counter()
    for exchange in native.exchanges.values():
        plain = [m for m in exchange.messages if m.order and m.json and m.field("snapshot") is None]  # books: tests/test_books.py
        for record, example in [(m.record, example) for m in plain for example in m.examples]:
            decoder = NativeDecoder(native, exchange.name, example.product, None)
            decoder.lines(example.wire.encode())
            assert decoder.tier == "fast", example.wire
            taken[exchange.name, record] += 1
    assert taken == {
        ("binance", "bbo"): 4,
        ("binance", "trade"): 8,
        ("binance", "aggtrade"): 5,
        ("binance", "depth5"): 2,
        ("binance", "depth20"): 2,
        ("okx", "bbo"): 2,
        ("okx", "trade"): 2,
        ("okx", "depth5"): 1,
        ("bitget", "bbo"): 3,
        ("bitget", "trade"): 3,
        ("bitget", "depth5"): 2,
        ("bybit", "bbo"): 2,
        ("bybit", "trade"): 2,
    }


@pytest.mark.parametrize("file", sorted(CONFIG.glob("*.json")), ids=lambda file: file.stem)
def test_the_examples_of_configurations_are_right(native: Any, file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "k4", "config", "check", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = {(one["exchange"], one["product"]) for one in json.loads(file.read_text())["connections"]}
    wanted = set(PRODUCTS) if file.stem == "everything" else {pair for pair in PRODUCTS if pair[0] == file.stem}
    assert names == ({("binance", "spot")} if file.stem.startswith("binance_spot") else wanted)
