"""Wall and monotonic time, read as one moment. Imports nothing of the project.

The core takes a change of (wall minus monotonic) for a step of the wall clock and flags records with it. A thread that loses the CPU
between the two readings would look just like that, so a pair that differs from the last one is read again, with the wall reading
between two monotonic ones that prove it was quick.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Pairs this close to the last offset are taken as they are; the core's own threshold for a step is ten times as far.
NEAR_NS = 1_000_000
TRIES = 8


class Clock:
    """One per process. `wall`, `monotonic`: the system's clocks in ns, others in tests."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset_ns = 0
        self.read()

    def read(self) -> tuple[int, int]:
        """(wall ns, monotonic ns) of now."""
        monotonic = self._monotonic()
        wall = self._wall()
        if -NEAR_NS < wall - monotonic - self._offset_ns < NEAR_NS:
            return wall, monotonic
        return self._read_again()

    def _read_again(self) -> tuple[int, int]:
        """The pair that was read fastest in a few tries; the first that took less than NEAR_NS ends them."""
        best, best_ns = (0, 0), -1
        for _ in range(TRIES):
            before = self._monotonic()
            wall = self._wall()
            took = self._monotonic() - before
            if best_ns < 0 or took < best_ns:
                best, best_ns = (wall, before + took // 2), took
            if took < NEAR_NS:
                break
        self._offset_ns = best[0] - best[1]
        return best
