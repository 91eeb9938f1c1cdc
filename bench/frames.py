"""Invented frames of each kind, in wire form, no two alike: symbols, digits and lengths vary, so that nothing can be learned by heart.

Imports nothing of the project.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Instrument:
    symbol: str
    price: int  # in 1e-8, as prices are written with eight fraction digits
    step: int
    size: int  # typical quantity, in 1e-8

    @property
    def stream(self) -> str:
        return self.symbol.lower()


def _instruments(rng: random.Random, count: int) -> list[_Instrument]:
    """As many, no two of the same name, from fractions of a cent to a hundred thousand."""
    out: list[_Instrument] = []
    names: set[str] = set()
    while len(out) < count:
        name = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 6))) + rng.choice(
            ("USDT", "USDC", "BTC", "FDUSD")
        )
        if name in names:
            continue
        names.add(name)
        magnitude = rng.randint(4, 12)
        price = rng.randint(10**magnitude, 10 ** (magnitude + 1))
        out.append(_Instrument(name, price, 10 ** max(0, magnitude - 5), 10 ** rng.randint(5, 12)))
    return out


def _decimal(value: int) -> str:
    return f"{value // 10**8}.{value % 10**8:08d}"


def _size(rng: random.Random, instrument: _Instrument) -> str:
    return _decimal(rng.randint(1, instrument.size * 10))


def _price(rng: random.Random, instrument: _Instrument, steps: int = 0) -> str:
    return _decimal(max(1, instrument.price + (rng.randint(-400, 400) + steps) * instrument.step))


def book_ticker(rng: random.Random, i: _Instrument, n: int) -> str:
    """A combined-stream bookTicker."""
    return (
        f'{{"stream":"{i.stream}@bookTicker","data":{{"u":{_id(rng, n)},"s":"{i.symbol}","b":"{_price(rng, i)}","B":"{_size(rng, i)}"'
        f',"a":"{_price(rng, i, 1)}","A":"{_size(rng, i)}"}}}}'
    )


def trade(rng: random.Random, i: _Instrument, n: int) -> str:
    """A combined-stream trade."""
    event, engine = _times(rng, n)
    return (
        f'{{"stream":"{i.stream}@trade","data":{{"e":"trade","E":{event},"s":"{i.symbol}","t":{_id(rng, n) // 7},"p":"{_price(rng, i)}"'
        f',"q":"{_size(rng, i)}","T":{engine},"m":{_truth(rng)},"M":true}}}}'
    )


def agg_trade(rng: random.Random, i: _Instrument, n: int) -> str:
    """A combined-stream aggTrade."""
    event, engine = _times(rng, n)
    first = _id(rng, n) // 7
    return (
        f'{{"stream":"{i.stream}@aggTrade","data":{{"e":"aggTrade","E":{event},"s":"{i.symbol}","a":{first // 2},"p":"{_price(rng, i)}"'
        f',"q":"{_size(rng, i)}","f":{first},"l":{first + rng.choice((0, 0, 0, 1, 2, 9))},"T":{engine},"m":{_truth(rng)},"M":true}}}}'
    )


def _depth(levels: int) -> Callable[[random.Random, _Instrument, int], str]:
    """A combined-stream partial book with as many levels on each side."""

    def make(rng: random.Random, i: _Instrument, n: int) -> str:
        bids = ",".join(f'["{_price(rng, i, -level)}","{_size(rng, i)}"]' for level in range(levels))
        asks = ",".join(f'["{_price(rng, i, level)}","{_size(rng, i)}"]' for level in range(levels))
        return f'{{"stream":"{i.stream}@depth{levels}@100ms","data":{{"lastUpdateId":{_id(rng, n)},"bids":[{bids}],"asks":[{asks}]}}}}'

    return make


def _id(rng: random.Random, n: int) -> int:
    return rng.choice((10**8, 10**9, 10**10, 7 * 10**10)) + n * 13


def _times(rng: random.Random, n: int) -> tuple[int, int]:
    event = 1768627409826 + n * 3
    return event, event - rng.randint(0, 2)


def _truth(rng: random.Random) -> str:
    return rng.choice(("true", "false"))


KINDS: dict[str, Callable[[random.Random, _Instrument, int], str]] = {
    "bookTicker": book_ticker,
    "trade": trade,
    "aggTrade": agg_trade,
    "depth5": _depth(5),
    "depth20": _depth(20),
}


def spoken(spec: str) -> list[str]:
    """The kinds for which a spec, given as text, has an example on a combined stream."""
    return [kind for kind in KINDS if re.search(rf"\"stream\":\"\w+@{kind}\b", spec)]


def frames(kind: str, count: int, seed: int = 1, instruments_count: int = 200) -> list[bytes]:
    """`count` frames of one kind; the same seed gives the same frames."""
    rng = random.Random(seed)
    instruments = _instruments(rng, instruments_count)
    return [KINDS[kind](rng, rng.choice(instruments), n).encode() for n in range(count)]
