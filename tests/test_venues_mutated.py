"""Every example of the built-in specs, what the simulator says for each product, and thousands of frames that are nearly one of these,
through the compiled parsers and all that tests/fuzz/fuzz_decode.h claims of them: the tiers agree, and what stands around a text changes
nothing, however it is cut. What the reference says of a part of them: tests/test_venues_agree.py.
"""

from __future__ import annotations

import functools
import random
import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from k4._codegen import bind, build, ir, places
from k4.sim.venue import Stream
from tests.codegen.compiled import REPLAY
from tests.mutate import Mutator
from tests.test_sim_spoken import NOW_NS, STEP_NS, desk_of, symbols_of
from tests.test_venues import PRODUCTS
from tests.test_venues_hostile import HOSTILE, spoiled

TEXT, BINARY, FETCHED = range(3)
FRAMES = 10000  # changed ones of a product
STEPS = 150  # of the simulator
WORSE = (
    *HOSTILE,
    '"' + "A" * 48 + '"',
    '"' + "A" * 49 + '"',
    "9223372036854775808",
    "1700000000123456789",
    '"\\u0041"',
    '[["1","x"]]',
    '[["1","2"],["3"]]',
    "[[]]",
    "0",
)


@functools.cache
def specs() -> dict[str, ir.Exchange]:
    return {exchange.name: exchange for exchange in build.load()[1]}


Kept = tuple[int, int, bytes]  # kind, number of its message, frame


def examples(exchange: ir.Exchange, product: str) -> list[Kept]:
    """All that the product's messages are like, other products' words among them; of a fetched one it is the body."""
    kinds = {"json": TEXT, "sbe": BINARY, "": FETCHED}
    return [
        (kinds[message.transport], number, message.frame(example))
        for number, message in enumerate(bind.bind(exchange, product))
        for example in message.examples
        if message.record not in ir.FETCHED_RECORDS
    ]


@functools.cache
def spoken(exchange: str, product: str) -> list[Kept]:
    """What the simulator says of the product, in order, books from their snapshots on."""
    desk = desk_of(places.schema() / "exchange" / f"{exchange}.toml", product)
    now = NOW_NS
    out: list[Kept] = []

    def note(stream: Stream, frames: Sequence[str | bytes]) -> None:
        kinds = ((TEXT, frame.encode()) if isinstance(frame, str) else (BINARY, frame) for frame in frames)
        out.extend((kind, stream.message, frame) for kind, frame in kinds)

    streams = {Stream(i, symbol) for i, m in enumerate(desk.venue.messages) if m.channel is not None for symbol in desk.symbols[:2]}
    cursors = {desk.open_book(stream, now, every=1)[0]: stream for stream in streams if desk.is_book(stream)}
    for stream in streams:
        note(stream, desk.first(stream, now))
    for _ in range(STEPS):
        now += STEP_NS
        for stream, frames in desk.live(now, streams.__contains__):
            note(stream, frames)
        for cursor, frames in desk.cut(now):
            note(cursors[cursor], frames)
    return out


def own_words(exchange: ir.Exchange, product: str, symbol: str) -> list[Kept]:
    """Examples of other products in this one's words: its symbol, its variables."""
    own = exchange.product(product)
    assert own is not None
    found = []
    for number, message in enumerate(bind.bind(exchange, product)):
        for example in message.examples if message.json else ():
            other = exchange.product(example.product)
            if other is None or other is own:
                continue
            wire = example.wire
            for name, value in other.vars:
                wire = wire.replace(f'"{value}"', f'"{dict(own.vars).get(name, value)}"')
            for theirs in {str(value) for record in example.expect for name, value in record if name == "symbol"}:
                wire = wire.replace(f'"{theirs}"', f'"{symbol}"').replace(f'"{theirs.lower()}@', f'"{symbol.lower()}@')
            found.append((TEXT, number, wire.encode()))
    return found


@functools.cache
def seeds(exchange: ir.Exchange, product: str) -> list[Kept]:
    """The examples, those of other products in this one's words, and of each message some that the simulator says."""
    said: dict[int, list[Kept]] = {}
    for one in spoken(exchange.name, product):
        said.setdefault(one[1], []).append(one)
    symbol = symbols_of(exchange, product)[0]
    some = [one for told in said.values() for one in told[:3]]
    return [*examples(exchange, product), *own_words(exchange, product, symbol), *some]


def damaged(frame: bytes, rng: random.Random) -> bytes:
    """Some of its bytes are others."""
    out = bytearray(frame)
    for _ in range(rng.choice((1, 1, 2, 4))):
        out[rng.randrange(len(out))] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(out)


@functools.cache
def changed(exchange: ir.Exchange, product: str) -> list[Kept]:
    """`FRAMES` frames that are nearly one of the seeds: texts as trees, SBE as bytes."""
    of = seeds(exchange, product)
    seed = PRODUCTS.index((exchange.name, product))
    rng = random.Random(seed)
    texts = Mutator([frame.decode() for kind, _, frame in of if kind == TEXT], seed)
    found = [(TEXT, 0, texts.frame()) for _ in range(FRAMES)]
    for number in {number for kind, number, _ in of if kind == FETCHED}:
        bodies = Mutator([frame.decode() for kind, other, frame in of if (kind, other) == (FETCHED, number)], seed)
        found += [(FETCHED, number, bodies.frame()) for _ in range(FRAMES // 10)]
    found += [
        (kind, number, bad) for kind, number, frame in of if kind != BINARY and len(frame) < 800 for bad in spoiled(frame.decode(), WORSE)
    ]
    binary = [frame for kind, _, frame in of if kind == BINARY]
    return found + [(BINARY, 0, damaged(rng.choice(binary), rng)) for _ in range(FRAMES // 10 if binary else 0)]


def packed(frames: list[Kept], *, cut: bool) -> bytes:
    """As replay.c reads them."""
    return b"".join(struct.pack("<IHBB", len(frame), number, kind, cut) + frame for kind, number, frame in frames)


@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_all_claims_hold(built_in: Path, tmp_path: Path, exchange: str, product: str) -> None:
    whole = seeds(specs()[exchange], product)
    others = changed(specs()[exchange], product)
    file = tmp_path / "frames"
    file.write_bytes(packed(whole, cut=True) + packed(others, cut=False))
    done = subprocess.run([built_in / REPLAY, file, exchange, product], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    said = re.fullmatch(r"(\d+) frames, (\d+) by the fast tier, (\d+) beginnings\n", done.stdout)
    assert said is not None, done.stdout
    tried, fast, beginnings = map(int, said.groups())
    assert tried == len(whole) + len(others)
    assert beginnings == sum(len(frame) for _, _, frame in whole)
    assert FRAMES // 50 < fast < FRAMES  # enough are left as they were, enough are not
