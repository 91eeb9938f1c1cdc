"""A book as plainly as it can be: a dict of levels per side, and the venue's rule as a function."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .common import Line, depth, skipped

Level = list[Any]  # price, quantity and, where the venue has it, the number of orders, as received


@dataclass
class Change:
    """What a frame says to a book. `goes_on`: whether it follows on the last id, None for one that is in already."""

    symbol: str
    snapshot: bool
    id: int | None
    bids: list[Level]
    asks: list[Level]
    goes_on: Callable[[int | None], bool | None] = lambda _: True
    checksum: Any = None
    event: int | None = None
    engine: int | None = None


@dataclass
class Book:
    bids: dict[Decimal, Level] = field(default_factory=dict)
    asks: dict[Decimal, Level] = field(default_factory=dict)
    last: int | None = None
    good: bool = False

    def take(self, change: Change, sizes: tuple[int, ...]) -> list[Line]:
        """The lines of all records that show so many levels."""
        before = {size: self.top(size, by_value=True) for size in sizes}
        if change.snapshot:
            self.bids, self.asks, self.good = {}, {}, True
        elif not self.good:
            return skipped("stale_book")
        else:
            follows = change.goes_on(self.last)
            if follows is None:
                return skipped("unchanged")
            if not follows:
                self.good = False
                return skipped("stale_book")
        self.last = change.id
        for side, levels in ((self.bids, change.bids), (self.asks, change.asks)):
            for level in levels:
                side.pop(Decimal(level[0]), None)
                if Decimal(level[1]):
                    side[Decimal(level[0])] = level
        if change.checksum not in (None, "", "0") and not self._adds_up(int(change.checksum)):
            self.good = False
            return skipped("stale_book")
        moved = [size for size in sizes if change.snapshot or self.top(size, by_value=True) != before[size]]
        flags = ["SNAPSHOT"] if change.snapshot else []
        lines = []
        for size in moved:
            bids, asks = self.top(size)
            line = depth(size, change.symbol, change.id, bids, asks, event=change.event, engine=change.engine)
            lines.append({**line, "flags": flags})
        return lines or skipped("unchanged")

    def top(self, size: int, by_value: bool = False) -> list[list[Level]]:
        sides = [[side[price] for price in sorted(side, reverse=side is self.bids)[:size]] for side in (self.bids, self.asks)]
        return [[[Decimal(price), Decimal(qty), *rest] for price, qty, *rest in side] for side in sides] if by_value else sides

    def _adds_up(self, checksum: int) -> bool:
        bids, asks = self.top(25)
        parts = [text for i in range(25) for side in (bids, asks) if i < len(side) for text in side[i][:2]]
        return zlib.crc32(":".join(parts).encode()) == checksum % 2**32


def chained(prev: Any, own: int | None) -> Callable[[int | None], bool | None]:
    """By the id of the update before. Without ids a checksum is all there is."""

    def goes_on(last: int | None) -> bool | None:
        if last is None or own is None:
            return last is own
        if prev is not None and int(prev) == last:
            return True
        return None if own <= last else False

    return goes_on
