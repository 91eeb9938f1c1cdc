"""Every kind of market data of every built-in exchange, JSON and SBE, and frames of each.

Frames are the specs' own examples with other values: each has one of two hundred symbols, every number that the message still takes is
drawn anew, decimals in other lengths, and lists of levels have other counts; so that no branch predictor learns them. May import
`bench.tools`, `k4._codegen`, and k4's simulator, which packs SBE.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.tools import BenchError
from k4._codegen import bind, exchange, fbs, ir, places
from k4._codegen.reference import Interpreter

BASES = 200  # what stands for the FOO of the examples' symbols
LEVELS = 5  # of each side, where there is no book; updates of a book change one to eight
GROWN = 12  # examples made of one by other counts of levels
_ROWS = re.compile(r"\[(\[[^\[\]{}]*\](?:,\[[^\[\]{}]*\])*)\]")
_VALUE = re.compile(r'(?<=[:\[,])"?(-?[0-9]+(?:\.[0-9]+)?)"?(?=[,\]}])')


@dataclass(frozen=True, slots=True)
class Kind:
    """A message of a product. `word`: its channel without the symbol; `name`: exchange, product and that."""

    exchange: ir.Exchange
    product: ir.Product
    index: int
    message: ir.Message
    word: str
    name: str

    @property
    def binary(self) -> bool:
        return self.message.template is not None


def kinds() -> Iterator[Kind]:
    """One of each that is pushed: products that share a message are told once."""
    records = fbs.load(places.schema() / "records.fbs")
    for file in sorted((places.schema() / "exchange").glob("*.toml")):
        spec = exchange.load(file, records)
        met: set[int] = set()
        for product in spec.products:
            for index, message in enumerate(bind.bind(spec, product.name)):
                own = [example for example in message.examples if example.product == product.name]
                if message.channel is None or message.record not in ir.MARKET_RECORDS or message.line in met or not own:
                    continue
                met.add(message.line)
                word = re.sub(r"\$\{?[\w:]+\}?", "", message.channel.source).strip("@.:-")
                yield Kind(spec, product, index, message, word, f"{spec.name} {product.name} {word}{' sbe' if message.template else ''}")


def frames(kind: Kind, count: int, symbols: Sequence[str] = ()) -> list[bytes]:
    """`count` frames, all of which the reference interpreter takes; the same every time. `symbols`: of SBE, which come in turn, and one
    trade a frame."""
    rng = random.Random(kind.name)
    own = [example for example in kind.message.examples if example.product == kind.product.name]
    if kind.message.field("snapshot") is not None and not kind.binary:
        own = [example for example in own if _changes(kind, example)] or own
    return list(_binary(kind, own, rng, count, symbols) if kind.binary else _text(kind, own, rng, count))


def _changes(kind: Kind, example: ir.Example) -> bool:
    """Whether it changes a book: what comes all the time, where a snapshot comes once."""
    records = fbs.load(places.schema() / "records.fbs")
    fresh = Interpreter(records, bind.bind(kind.exchange, kind.product.name))
    return fresh.decode(example.wire.encode()).skip == "stale_book"


def _text(kind: Kind, own: Sequence[ir.Example], rng: random.Random, count: int) -> Iterator[bytes]:
    records = fbs.load(places.schema() / "records.fbs")
    messages = bind.bind(kind.exchange, kind.product.name)

    reference = Interpreter(records, messages)

    def taken(wire: str) -> bool:
        outcome = reference.decode(wire.encode())
        items = {item.message for item in outcome.items}
        good = all(hasattr(item, "record") for item in outcome.items)
        return good and (
            items == {kind.index} or (not items and outcome.skip in ("stale_book", "unchanged") and outcome.skip_message == kind.index)
        )

    grown = [wire for one in own for wire in _grown(kind, one.wire, rng) if taken(wire)]
    examples = [(wire, [span for span in _spans(wire) if taken(_drawn(wire, [span], random.Random(7)))]) for wire in grown]
    if not examples:
        raise BenchError(f"{kind.name}: no example stands alone")
    bases = ["".join(rng.choice("ABCDEFGHIJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(2, 6))) for _ in range(BASES)]
    made = 0
    for _ in range(100 * count):
        if made == count:
            return
        base = rng.choice(bases)
        wire = _drawn(*rng.choice(examples), rng).replace("FOO", base).replace("foo", base.lower())
        if taken(wire):  # digits that each are good may not be together: a first id above the last, say
            made += 1
            yield wire.encode()
    raise BenchError(f"{kind.name}: too few of the drawn frames are taken")


def _grown(kind: Kind, wire: str, rng: random.Random) -> Iterator[str]:
    """The example with other counts of levels, if it has levels."""
    if not kind.message.record.startswith("depth"):
        yield wire
        return
    book = kind.message.field("snapshot") is not None
    for _ in range(GROWN):
        yield _ROWS.sub(lambda found: _rows(found[1], rng.randint(1, 8) if book else LEVELS, rng), wire)


def _rows(rows: str, count: int, rng: random.Random) -> str:
    known = re.findall(r"\[[^\[\]]*\]", rows)
    return f"[{','.join(rng.choice(known) for _ in range(count))}]"


def _spans(wire: str) -> list[tuple[int, int]]:
    return [match.span(1) for match in _VALUE.finditer(wire)]


def _drawn(wire: str, spans: Sequence[tuple[int, int]], rng: random.Random) -> str:
    """The text with other numbers at these places. Integers have as many digits, and the first two of long ones stay, so that times keep
    their century. Decimals have one to five digits in front of the point, and behind it eight, where venues pad them, else up to five,
    every other one (prices, as it comes) as many in all the frame."""
    out, at = [], 0
    forms = (rng.randint(1, 5), rng.randint(1, 4))
    for number, (start, end) in enumerate(spans):
        text = wire[start:end]
        whole, _, fraction = text.partition(".")
        if fraction:
            front, behind = forms if number % 2 == 0 else (rng.randint(1, 4), rng.randint(1, 5))
            drawn = f"{_digits(front, rng)}.{_digits(8 if len(fraction) == 8 else behind, rng)}"
        else:
            kept = 2 if len(text) > 10 else int(text.startswith("-"))
            drawn = whole[:kept] + _digits(len(whole) - kept, rng)
        out += [wire[at:start], drawn]
        at = end
    return "".join(out) + wire[at:]


def _digits(count: int, rng: random.Random) -> str:
    return "".join(str(rng.randrange(1, 10)) for _ in range(count))


def _binary(kind: Kind, own: Sequence[ir.Example], rng: random.Random, count: int, symbols: Sequence[str]) -> Iterator[bytes]:
    """SBE frames from the simulator's packer: prices, sizes, ids and levels drawn, twenty levels a side, one to four trades."""
    from decimal import Decimal

    from k4.sim.sbe import Packet

    schema = kind.exchange.schema(kind.product)
    assert schema is not None
    packet = Packet(kind.message, schema, kind.message.frame(own[0]))

    def number(digits: int) -> Decimal:
        return Decimal(rng.randrange(1, 10 ** rng.randrange(4, 10))).scaleb(-digits)

    for n in range(count):
        base: dict[str, object] = {
            "update_id": 10**10 + n * 7,
            "first_id": 10**10 + n * 7 - 6,
            "event_ns": 1_768_627_409_826_000_000 + n * 1000,
        }
        drawn = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randrange(2, 6))) + rng.choice(("USDT", "BTC"))
        base["symbol"] = symbols[n % len(symbols)] if symbols else drawn
        base["engine_ns"] = base["event_ns"]
        rows: list[dict[str, object]]
        depth = 20 if kind.message.field("snapshot") is None else rng.randrange(1, 12)
        levels = {
            name: [number(2 if "price" in name else 5) for _ in range(depth)] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")
        }
        if kind.message.record == "trade":
            rows = [
                {**base, "trade_id": 10**9 + 4 * n + i, "price": number(2), "qty": number(5), "buyer_is_maker": rng.random() < 0.5}
                for i in range(1 if symbols else rng.choice((1, 1, 1, 2, 4)))
            ]
        elif kind.message.record == "bbo":
            rows = [{**base, **{name: column[0] for name, column in levels.items()}}]
        else:
            rows = [{**base, **levels}]
        yield packet.say(rows)[0]
