"""Waiting and pacing: how long until the next try, and how many messages or dials a venue allows.

Pure: time is an argument (monotonic seconds), randomness is passed in. Imports nothing of the project.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence

FIRST_S = 0.25
LAST_S = 30.0
GOOD_S = 60.0


class Backoff:
    """Full jitter: each wait is uniform in 0..ceiling, the ceiling doubles from `first` to `last`.

    A connection that is accepted and dropped again must not be dialled in a tight loop, so only `GOOD_S` seconds of good data
    in a row bring the ceiling back, not a mere success.
    """

    def __init__(self, first: float = FIRST_S, last: float = LAST_S, *, good: float = GOOD_S, rng: random.Random | None = None) -> None:
        self._first = first
        self._last = last
        self._good = good
        self._rng = rng or random.Random()  # noqa: S311 (jitter, no secret)
        self.failures = 0

    @property
    def ceiling(self) -> float:
        """The longest wait that `next` may give now, seconds."""
        return min(self._last, self._first * 2.0 ** min(self.failures, 32))

    def next(self, most: float = math.inf) -> float:
        """Seconds to wait before the next try, `most` at most; the try after it waits longer."""
        wait = self._rng.uniform(0.0, min(self.ceiling, most))
        self.failures += 1
        return wait

    def ended(self, good_for: float) -> None:
        """A try has ended that gave good data for `good_for` seconds."""
        if good_for >= self._good:
            self.failures = 0


class Turns:
    """Whose turn it is to do what only one should do at a time: nobody's for `apart` seconds after somebody's."""

    def __init__(self, apart: float) -> None:
        self._apart = apart
        self._next = 0.0

    def take(self, now: float) -> bool:
        """Takes the turn if it is free."""
        if now < self._next:
            return False
        self._next = now + self._apart
        return True


class Budget:
    """At most `count` events in any `seconds`, for each of several windows. No window: no limit.

    The events of a window are remembered one by one: a venue counts exactly, so an average would not do.
    """

    def __init__(self, windows: Sequence[tuple[int, float]], share: float = 1.0) -> None:
        """`share`: the part of what is allowed that may be used; at least one event per window stays."""
        self._windows = [(max(1, int(count * share)), seconds, deque[float]()) for count, seconds in windows]

    def wait(self, now: float, reserve: int = 0) -> float:
        """Seconds from `now` until one more event fits and leaves `reserve` more for others; 0 = it fits now."""
        longest = 0.0
        for count, seconds, used in self._windows:
            while used and used[0] <= now - seconds:
                used.popleft()
            free = count - len(used)
            need = min(reserve, count - 1) + 1
            if free < need:
                longest = max(longest, used[need - free - 1] + seconds - now)
        return longest

    def spend(self, now: float) -> None:
        """Counts one event at `now`, whether or not it fits."""
        for _, _, used in self._windows:
            used.append(now)

    def take(self, now: float, reserve: int = 0) -> bool:
        """Counts one event if it fits."""
        if self.wait(now, reserve) > 0:
            return False
        self.spend(now)
        return True
