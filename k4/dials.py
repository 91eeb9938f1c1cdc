"""How often a host is dialled, counted by all processes of a user together.

Venues limit dials per address, not per process, and remember them when a process has crashed. So each dial is noted before it is made, as
a stamp in a file that every process shares (`k4.dials.<uid>.<host>`, see `ledger`). A dial that must wait gets its stamp in the future: who
comes later waits behind it. Imports `ledger`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

from . import ledger
from .ledger import SECOND_NS, Ledger

Windows = Sequence[tuple[int, float]]
Limits = Sequence[tuple[int, int]]  # count and nanoseconds

# Of what a venue allows an address, the part for everybody; and the part up to which those dial who have no healthy connection left.
SHARE = 0.7
LONELY_SHARE = 0.85


def path_for(folder: Path, host: str) -> Path:
    """The file of a host, as a venue's URL names it."""
    return ledger.path_for(folder, host, "dials")


class Dials:
    """The dials to one host. `windows`: at most `count` in any `seconds`; none: no limit.

    `path`: the file that is shared; None: only this object's own dials count. `lonely`: has the asking group no healthy connection?
    Raises K4Error where the file cannot be used.
    """

    def __init__(self, windows: Windows, path: Path | None = None, *, lonely: Callable[[], bool] = lambda: False) -> None:
        self._windows = tuple(windows)
        self.lonely = lonely
        self._ledger = Ledger(path if self._windows else None, 1, "the dials to its host")

    def close(self) -> None:
        self._ledger.close()

    def reserve(self, now: float) -> float | None:
        """Seconds from `now` (monotonic) until a dial may be made; it is counted already. None: ask again in some milliseconds."""
        if not self._windows:
            return 0.0
        share = LONELY_SHARE if self.lonely() else SHARE
        limits = [(max(1, int(count * share)), int(seconds * SECOND_NS)) for count, seconds in self._windows]
        now_ns = int(now * SECOND_NS)
        with self._ledger.rows(now_ns) as rows:
            if rows is None:
                return None
            at = earliest([stamp for (stamp,) in rows], now_ns, limits)
            rows.append((at,))
            return (at - now_ns) / SECOND_NS

    def spare(self, now: float) -> bool:
        """Whether dials are plenty: half of what is for everybody is free, so that one may go into what can wait. Nothing is counted."""
        now_ns = int(now * SECOND_NS)
        with self._ledger.rows(now_ns) as rows:
            if rows is None:
                return False
            used = [sum(stamp > now_ns - int(seconds * SECOND_NS) for (stamp,) in rows) for _, seconds in self._windows]
        return all(count < max(1, int(most * SHARE)) / 2 for count, (most, _) in zip(used, self._windows, strict=True))


def earliest(stamps: Sequence[int], now: int, limits: Limits) -> int:
    """From `now` on, the first time at which one more stamp fits: no window of a limit's nanoseconds then holds more than its count.

    `stamps` are in order, and may lie in the future.
    """
    later = sorted({stamp + length for stamp in stamps for _, length in limits if stamp + length > now})
    return next(at for at in (now, *later) if all(_fits(stamps, at, count, length) for count, length in limits))


def _fits(stamps: Sequence[int], at: int, count: int, length: int) -> bool:
    """Whether every window [t, t + length) that holds `at` has at most `count` stamps, `at` included."""
    near = stamps[bisect_right(stamps, at - length) : bisect_left(stamps, at + length)]
    if len(near) < count:
        return True
    starts = (stamp for stamp in near if stamp <= at)
    return all(bisect_left(near, start + length) - bisect_left(near, start) < count for start in (*starts, at))
