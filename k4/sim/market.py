"""An invented market: books and trades that hang together, from a seed.

One `Market` drives every connection, so that redundant connections see the same updates with the same ids. Values are
field dictionaries by record word (`bbo`, `trade`, ...), named as in the specs; how a venue writes them is `wire`'s
business. Imports the standard library only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

TICK = Decimal("0.01")
LOT = Decimal("0.00001")
LEVELS = 20
DEPTH_INTERVAL_NS = 100_000_000

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One update of one instrument: `record` is the record word, `values` its fields."""

    record: str
    symbol: str
    values: Values


@dataclass(slots=True)
class Instrument:
    """State of one symbol: a ladder of `LEVELS` prices per side around `mid` (in ticks) with sizes in lots."""

    symbol: str
    mid: int
    update_id: int
    trade_id: int
    agg_id: int
    bids: list[tuple[int, int]] = field(default_factory=list)  # (ticks, lots), best first
    asks: list[tuple[int, int]] = field(default_factory=list)
    depth_at_ns: int = 0
    depth_id: int = -1


class Market:
    """Moves the instruments and tells what changed.

    `symbols` are native symbols; the same `seed` gives the same sequence of events, apart from the times, which the caller gives.
    """

    def __init__(self, symbols: list[str], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (an invented market, no secret)
        self._instruments = [self._open(symbol) for symbol in symbols]

    def _open(self, symbol: str) -> Instrument:
        r = self._random
        instrument = Instrument(
            symbol=symbol,
            mid=r.randrange(1_000, 10_000_000),
            update_id=r.randrange(10**9, 10**11),
            trade_id=r.randrange(10**6, 10**10),
            agg_id=r.randrange(10**6, 10**9),
        )
        self._rebuild(instrument)
        return instrument

    def _size(self) -> int:
        return self._random.choice((self._random.randrange(1, 1000), self._random.randrange(1000, 10**7)))

    def _rebuild(self, instrument: Instrument) -> None:
        """A new ladder around `mid`: gaps of one to three ticks."""
        for side, sign in ((instrument.bids, -1), (instrument.asks, 1)):
            side.clear()
            price = instrument.mid
            for _ in range(LEVELS):
                price += sign * self._random.randrange(1, 4)
                if price > 0:
                    side.append((price, self._size()))

    def step(self, now_ns: int) -> Iterator[Event]:
        """One update of one instrument at `now_ns`: a quote change or a trade, and a depth cut when one is due."""
        instrument = self._random.choice(self._instruments)
        if self._random.random() < 0.3:
            yield from self._trade(instrument, now_ns)
        else:
            yield self._quote(instrument, now_ns)
        if now_ns - instrument.depth_at_ns >= DEPTH_INTERVAL_NS and instrument.depth_id != instrument.update_id:
            instrument.depth_at_ns, instrument.depth_id = now_ns, instrument.update_id
            yield self._depth(instrument, now_ns)

    def _quote(self, instrument: Instrument, now_ns: int) -> Event:
        instrument.update_id += self._random.randrange(1, 9)
        if self._random.random() < 0.2:
            instrument.mid = max(100, instrument.mid + self._random.randrange(-5, 6))
            self._rebuild(instrument)
        else:
            side = self._random.choice((instrument.bids, instrument.asks))
            side[0] = (side[0][0], self._size())
        return Event("bbo", instrument.symbol, self._bbo(instrument, now_ns))

    def _bbo(self, instrument: Instrument, now_ns: int) -> Values:
        (bid, bid_size), (ask, ask_size) = instrument.bids[0], instrument.asks[0]
        return {
            "update_id": instrument.update_id,
            "event_ns": now_ns,
            "engine_ns": now_ns,
            "bid_price": bid * TICK,
            "bid_qty": bid_size * LOT,
            "ask_price": ask * TICK,
            "ask_qty": ask_size * LOT,
        }

    def _trade(self, instrument: Instrument, now_ns: int) -> Iterator[Event]:
        """A taker order that meets one to three resting orders at the best price: that many trades, one aggregated trade."""
        maker_is_buyer = self._random.random() < 0.5
        price = (instrument.bids if maker_is_buyer else instrument.asks)[0][0] * TICK
        sizes = [self._random.randrange(1, 100_000) * LOT for _ in range(self._random.randrange(1, 4))]
        common: Values = {"price": price, "buyer_is_maker": maker_is_buyer, "event_ns": now_ns, "engine_ns": now_ns}
        first_id = instrument.trade_id + 1
        for size in sizes:
            instrument.trade_id += 1
            yield Event("trade", instrument.symbol, {**common, "trade_id": instrument.trade_id, "qty": size, "kind": "market"})
        instrument.agg_id += 1
        ids = {"agg_id": instrument.agg_id, "first_id": first_id, "last_id": instrument.trade_id, "count": len(sizes)}
        yield Event("aggtrade", instrument.symbol, {**common, **ids, "qty": sum(sizes, Decimal(0))})

    def _depth(self, instrument: Instrument, now_ns: int) -> Event:
        values: Values = {"update_id": instrument.update_id, "event_ns": now_ns, "engine_ns": now_ns}
        for name, side in (("bid", instrument.bids), ("ask", instrument.asks)):
            values[f"{name}_price"] = [price * TICK for price, _ in side]
            values[f"{name}_qty"] = [size * LOT for _, size in side]
        return Event("depth", instrument.symbol, values)
