"""Books of the reference interpreter: a side is a dict of levels, an update is judged by the chain rules of the spec language, §4.

May import `reffields`, `refvalue`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from .reffields import Checksum, Level, Sides
from .refvalue import Dec, RefusedError, UnfitError, align

UNCHANGED, STALE = "unchanged", "stale_book"
MOST_FRACTION = 255  # digits of a fraction that a level keeps
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Update:
    """What a depth message says to a book; None: not given."""

    snapshot: bool
    update_id: int | None
    first_id: int | None
    prev_id: int | None
    checksum: Checksum | None
    sides: Sides


@dataclass(slots=True)
class Book:
    """One instrument's book on one connection. `fresh`: nothing was applied since the snapshot; `shown`: the records cut since then."""

    order: str
    live: bool = False
    fresh: bool = False
    id: int | None = None
    shown: set[str] = field(default_factory=set)
    bid: dict[Key, Level] = field(default_factory=dict)
    ask: dict[Key, Level] = field(default_factory=dict)

    def apply(self, update: Update) -> str | None:
        """Takes an update: None, or the reason why there is nothing to publish."""
        if update.snapshot:
            self.bid.clear()
            self.ask.clear()
            self.shown.clear()
            self.live = self.fresh = True
        else:
            if not self.live:
                return STALE
            verdict = self._goes_on(update)
            if verdict is not None:
                self.live = verdict != STALE
                return verdict
            self.fresh = False
        if update.update_id is not None or update.snapshot:
            self.id = update.update_id
        _change(self.bid, update.sides.bid)
        _change(self.ask, update.sides.ask)
        if update.checksum is not None and crc32(update.checksum.rule, self.cut(25)) != update.checksum.value:
            self.live = False
            return STALE
        return None

    def _goes_on(self, update: Update) -> str | None:
        """None when the update is the next one; else `unchanged` for one that is already in, `stale_book` for a gap."""
        new, old, first = update.update_id, self.id, update.first_id
        if self.order == "leader" and update.prev_id is None and first is None:
            return None
        if old is None or new is None:
            judged = new is None and update.checksum is not None  # without ids, the checksum tells
            return None if old is None and (self.fresh or judged) else STALE
        if update.prev_id is not None and update.prev_id == old:
            return None
        if new <= old:
            return UNCHANGED
        spans = first is not None and first <= old + 1 <= new
        if update.prev_id is not None:
            # A snapshot's id need not be one that an update ends with: the first update behind it may begin before it.
            return None if self.fresh and spans else STALE
        if first is not None:
            return None if spans else STALE
        if self.order == "contiguous":
            return None if new == old + 1 else STALE
        return None

    def cut(self, levels: int) -> Sides:
        """The best levels of each side, best first."""
        return Sides(_best(self.bid, levels, True), _best(self.ask, levels, False))


def _change(side: dict[Key, Level], levels: tuple[Level, ...]) -> None:
    for level in levels:
        if level.price is None or level.qty is None:
            continue  # of a list whose other half is not there
        if level.qty.digits == 0:
            side.pop(level.price.key, None)
        else:
            side[level.price.key] = level


def _best(side: dict[Key, Level], levels: int, highest: bool) -> tuple[Level, ...]:
    if not side:
        return ()
    most = max(fraction for _, fraction in side)
    keys = sorted(side, key=lambda key: key[0] * 10 ** (most - key[1]), reverse=highest)
    return tuple(side[key] for key in keys[:levels])


def crc32(rule: str, sides: Sides) -> int:
    """The checksum of a book's best levels by one of the two rules of the language, unsigned."""
    if rule == "crc32-interleaved-25":
        parts: list[str] = []
        for i in range(25):
            for side in (sides.bid, sides.ask):
                if i < len(side):
                    parts += [_text(side[i].price), _text(side[i].qty)]
        return zlib.crc32(":".join(parts).encode())
    if rule == "crc32-digits-10":
        digits = "".join(_digits(value) for side in (sides.ask, sides.bid) for level in side[:10] for value in (level.price, level.qty))
        return zlib.crc32(digits.encode())
    raise ValueError(f"no checksum rule {rule}")


def _text(value: Dec | None) -> str:
    """A value with the digits it was received with; an exponent is applied to them."""
    assert value is not None
    digits = str(abs(value.digits)).zfill(value.fraction + 1)
    whole, fraction = digits[: len(digits) - value.fraction], digits[len(digits) - value.fraction :]
    return f"{'-' if value.digits < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


def _digits(value: Dec | None) -> str:
    assert value is not None
    return "" if value.digits == 0 else str(value.digits)


def fit(sides: Sides) -> None:
    """Raises RefusedError for the first value, in record order, that no level of a book can hold."""
    for side, levels in (("bid", sides.bid), ("ask", sides.ask)):
        for half in ("price", "qty"):
            for level in levels:
                value: Dec | None = getattr(level, half)
                if value is None:
                    continue
                try:
                    align([value])
                except UnfitError:
                    raise RefusedError("range", value.offset, f"{side}_{half}") from None
                if value.fraction > MOST_FRACTION:
                    raise RefusedError("range", value.offset, f"{side}_{half}")
