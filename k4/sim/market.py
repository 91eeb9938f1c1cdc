"""An invented market: books and trades that hang together, from a seed.

One `Market` drives every connection, so that redundant connections see the same updates with the same ids. Values are
field dictionaries by record word (`bbo`, `trade`, ...), named as in the specs; how a venue writes them is `wire`'s
business. Imports the standard library only.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

LEVELS = 25
DEPTH_INTERVAL_NS = 100_000_000
REMEMBERED = 20  # trades of an instrument that a new subscriber may be told

Values = dict[str, object]
Touched = set[tuple[str, int]]  # sides and prices that may have changed


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps of prices and quantities; `jumps`: trade ids leave some out between two orders."""

    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")
    jumps: bool = False


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
    grid: Grid
    bids: list[tuple[int, int]] = field(default_factory=list)  # (ticks, lots), best first
    asks: list[tuple[int, int]] = field(default_factory=list)
    depth_at_ns: int = 0
    depth_id: int = -1
    now_ns: int = 0
    trades: deque[Values] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    watchers: list[Touched] = field(default_factory=list)  # each learns of every change, and empties its own

    def depth(self) -> Values:
        """The whole ladder."""
        values = self._stamp()
        for name, side in (("bid", self.bids), ("ask", self.asks)):
            values |= self._levels(name, side)
        return values

    def changes(self, touched: Touched) -> Values:
        """What now stands at the prices `touched`: quantity 0 where there is nothing any more."""
        values = self._stamp()
        for name, side in (("bid", self.bids), ("ask", self.asks)):
            now = dict(side)
            prices = sorted((price for touched_side, price in touched if touched_side == name), reverse=name == "bid")
            values |= self._levels(name, [(price, now.get(price, 0)) for price in prices])
        return values

    def touch(self) -> None:
        """Everything on the ladder may change."""
        for watcher in self.watchers:
            watcher.update(("bid", price) for price, _ in self.bids)
            watcher.update(("ask", price) for price, _ in self.asks)

    def _stamp(self) -> Values:
        return {"update_id": self.update_id, "event_ns": self.now_ns, "engine_ns": self.now_ns}

    def _levels(self, name: str, side: list[tuple[int, int]]) -> Values:
        return {
            f"{name}_price": [price * self.grid.tick for price, _ in side],
            f"{name}_qty": [size * self.grid.lot for _, size in side],
            f"{name}_count": [orders(size) for _, size in side],
        }


def orders(size: int) -> int:
    """How many orders make up a level of `size` lots: told by some venues, so it must not differ between two tellings."""
    return size % 7 + 1 if size else 0


class Market:
    """Moves the instruments and tells what changed.

    `symbols` are native symbols; the same `seed` gives the same sequence of events, apart from the times, which the caller gives.
    """

    def __init__(self, symbols: list[str], seed: int | str, grid: Grid | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 (an invented market, no secret)
        self.grid = grid or Grid()
        self.instruments = {symbol: self._open(symbol) for symbol in symbols}
        self._all = list(self.instruments.values())

    def _open(self, symbol: str) -> Instrument:
        r = self._random
        instrument = Instrument(
            symbol=symbol,
            mid=r.randrange(1_000, 10_000_000),
            update_id=r.randrange(10**9, 10**11),
            trade_id=r.randrange(10**6, 10**10),
            agg_id=r.randrange(10**6, 10**9),
            grid=self.grid,
        )
        self._rebuild(instrument)
        return instrument

    def _size(self) -> int:
        return self._random.choice((self._random.randrange(1, 1000), self._random.randrange(1000, 10**7)))

    def _rebuild(self, instrument: Instrument) -> None:
        """A new ladder around `mid`: gaps of one to three ticks."""
        instrument.touch()
        for side, sign in ((instrument.bids, -1), (instrument.asks, 1)):
            side.clear()
            price = instrument.mid
            for _ in range(LEVELS):
                price += sign * self._random.randrange(1, 4)
                if price > 0:
                    side.append((price, self._size()))
        instrument.touch()

    def step(self, now_ns: int) -> Iterator[Event]:
        """One update of one instrument at `now_ns`: a quote change or a trade, and a depth cut when one is due."""
        instrument = self._random.choice(self._all)
        instrument.now_ns = now_ns
        if self._random.random() < 0.3:
            yield from self._trade(instrument, now_ns)
        else:
            yield self._quote(instrument, now_ns)
        if now_ns - instrument.depth_at_ns >= DEPTH_INTERVAL_NS and instrument.depth_id != instrument.update_id:
            instrument.depth_at_ns, instrument.depth_id = now_ns, instrument.update_id
            yield Event("depth", instrument.symbol, instrument.depth())

    def _quote(self, instrument: Instrument, now_ns: int) -> Event:
        instrument.update_id += self._random.randrange(1, 9)
        if self._random.random() < 0.2:
            instrument.mid = max(100, instrument.mid + self._random.randrange(-5, 6))
            self._rebuild(instrument)
        else:
            # A new size at one of the best prices of a side: mostly the very best.
            name, side = self._random.choice((("bid", instrument.bids), ("ask", instrument.asks)))
            at = self._random.choice((0, 0, 0, self._random.randrange(len(side))))
            side[at] = (side[at][0], self._size())
            for watcher in instrument.watchers:
                watcher.add((name, side[at][0]))
        return Event("bbo", instrument.symbol, bbo(instrument, now_ns))

    def _trade(self, instrument: Instrument, now_ns: int) -> Iterator[Event]:
        """A taker order that meets one to three resting orders at the best price: that many trades, one aggregated trade."""
        maker_is_buyer = self._random.random() < 0.5
        price = (instrument.bids if maker_is_buyer else instrument.asks)[0][0] * self.grid.tick
        sizes = [self._random.randrange(1, 100_000) * self.grid.lot for _ in range(self._random.randrange(1, 4))]
        common: Values = {"price": price, "buyer_is_maker": maker_is_buyer, "event_ns": now_ns, "engine_ns": now_ns}
        if self.grid.jumps:
            instrument.trade_id += self._random.randrange(4)
        first_id = instrument.trade_id + 1
        for size in sizes:
            instrument.trade_id += 1
            values = {**common, "trade_id": instrument.trade_id, "qty": size, "kind": "market"}
            instrument.trades.append(values)
            yield Event("trade", instrument.symbol, values)
        instrument.agg_id += 1
        ids = {"agg_id": instrument.agg_id, "first_id": first_id, "last_id": instrument.trade_id, "count": len(sizes)}
        yield Event("aggtrade", instrument.symbol, {**common, **ids, "qty": sum(sizes, Decimal(0))})


def bbo(instrument: Instrument, now_ns: int) -> Values:
    """The best price of each side."""
    (bid, bid_size), (ask, ask_size) = instrument.bids[0], instrument.asks[0]
    grid = instrument.grid
    return {
        "update_id": instrument.update_id,
        "event_ns": now_ns,
        "engine_ns": now_ns,
        "bid_price": bid * grid.tick,
        "bid_qty": bid_size * grid.lot,
        "bid_count": orders(bid_size),
        "ask_price": ask * grid.tick,
        "ask_qty": ask_size * grid.lot,
        "ask_count": orders(ask_size),
    }
