"""Which of several redundant connections is persistently the slowest, so that it may be dialled anew.

A connection's pace in a window is its typical lag behind whoever was first: the median over all updates it brought, 0 where it was the
first itself, by the core's histograms; an update that came too late to be measured counts as later than any other. The slowest is one
whose pace is clearly worse than that of the fastest. Pure: time is an argument (monotonic seconds). Imports nothing of the project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

# One window is a third of the time that a connection must have been the slowest for.
WINDOWS = 3
# Fewer updates in a window say nothing.
LEAST_UPDATES = 100
# Twice as late as the fastest, and by a millisecond: less is what any two ways through a network differ by.
FACTOR = 2.0
LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Race:
    """Counters since a connection began: updates it brought first, those it brought later, and by how much, in steps of `floors_s`."""

    wins: int
    losses: int
    lags: tuple[int, ...]

    def since(self, before: Race) -> Race:
        lags = tuple(now - then for now, then in zip(self.lags, before.lags, strict=True))
        return Race(self.wins - before.wins, self.losses - before.losses, lags)

    def pace_s(self, floors_s: Sequence[float]) -> float | None:
        """The typical lag; inf: mostly too late to be measured; None: too few updates to tell."""
        total = self.wins + self.losses
        if total < LEAST_UPDATES:
            return None
        below = self.wins
        if 2 * below >= total:
            return 0.0
        for floor_s, count in zip(floors_s, self.lags, strict=True):
            below += count
            if 2 * below >= total:
                return floor_s
        return math.inf


class Racer(Protocol):
    """A connection, as far as this goes."""

    name: str

    def race(self) -> Race: ...

    def settled_since_ns(self) -> int:
        """Since when its one link is up (monotonic); 0: it has none, or two."""

    def redial(self, reason: str) -> None:
        """Has another link take over."""


class Slowest:
    """Redundant connections that carry the same streams by the same transport. `persist_s`: for so long one must be the slowest.

    `allowed`: asked, with the time, just before one is dialled anew; True takes the turn.
    """

    def __init__(self, racers: Sequence[Racer], persist_s: float, floors_s: Sequence[float], allowed: Callable[[float], bool]) -> None:
        self._racers = racers
        self._window_s = persist_s / WINDOWS
        self._persist_s = persist_s
        self._floors_s = floors_s
        self._allowed = allowed
        self._next = 0.0
        self._before: dict[str, Race] = {}
        self._slow = ""  # the slowest of the last window, of as many in a row:
        self._windows = 0

    def tick(self, now: float) -> None:
        """Judges when a window has ended."""
        if now < self._next:
            return
        self._next = now + self._window_s
        races = {racer.name: racer.race() for racer in self._racers}
        before, self._before = self._before, races
        # Never one that has just come up, and never the only one.
        settled = [r for r in self._racers if (since := r.settled_since_ns()) and now - since / 1e9 >= self._window_s]
        paces = {
            racer.name: pace
            for racer in settled
            if racer.name in before and (pace := races[racer.name].since(before[racer.name]).pace_s(self._floors_s)) is not None
        }
        slow = self._slowest(paces)
        self._windows = self._windows + 1 if slow and slow == self._slow else int(bool(slow))
        self._slow = slow
        if self._windows < WINDOWS:
            return
        racer = next(racer for racer in settled if racer.name == slow)
        if now - racer.settled_since_ns() / 1e9 >= self._persist_s and self._allowed(now):
            self._windows = 0
            late = "too late to be measured" if math.isinf(paces[slow]) else f"{paces[slow] * 1e3:.3g} ms"
            racer.redial(f"it has been the slowest for {self._persist_s:g} s: {late} behind the first")

    @staticmethod
    def _slowest(paces: dict[str, float]) -> str:
        """The one whose pace is clearly worse than the fastest's; "": none is."""
        if len(paces) < 2:
            return ""
        slow = max(paces, key=lambda name: paces[name])
        return slow if paces[slow] >= max(FACTOR * min(paces.values()), min(paces.values()) + LEAST_S) else ""
