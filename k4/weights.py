"""What is fetched from a host, in the venue's own weights, counted by all processes of a user together.

Venues limit an address by the sum of what its requests weigh, and ban one that goes on after it was told to stop. So each request is
noted before it is made, in a file that every process shares (`k4.fetches.<uid>.<host>`, see `ledger`), as `dials` does for dials; and so is
until when a venue wants to be left alone. A request that must wait gets its stamp in the future: who comes later waits behind it.

A row is a stamp and a weight; a weight of 0 is a pause until then. Imports `dials`, `ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import ledger
from .dials import SHARE, Windows
from .ledger import KEEP_NS, SECOND_NS, Ledger, Row

MOST_WEIGHT = 1_000_000


def part(limits: Windows) -> Windows:
    """Of what a venue allows, the part that is used."""
    return tuple((max(1, int(count * SHARE)), seconds) for count, seconds in limits)


def path_for(folder: Path, host: str) -> Path:
    """The file of a host, as a URL names it."""
    return ledger.path_for(folder, host, "fetches")


class Weights:
    """The requests to one host. `path`: the file that is shared; None: only this object's own count.

    Raises K4Error where the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._ledger = Ledger(path, 2, "what is fetched from its host", lambda row: 0 <= row[1] <= MOST_WEIGHT)

    def close(self) -> None:
        self._ledger.close()

    def reserve(self, weight: int, windows: Windows, now: float, most: float) -> float | None:
        """Seconds from `now` (monotonic) until a request of this weight may be made; it is counted already.

        It is not where that is more than `most`. None: another process holds the file; ask again in some milliseconds.
        """
        now_ns = int(now * SECOND_NS)
        limits = [(count, int(seconds * SECOND_NS)) for count, seconds in windows]
        with self._ledger.rows(now_ns) as rows:
            if rows is None:
                return None
            begin = max([now_ns, *(at for at, weighs in rows if weighs == 0)])
            at = earliest([row for row in rows if row[1]], weight, begin, limits)
            wait = (at - now_ns) / SECOND_NS
            if wait <= most:
                rows.append((at, weight))
            return wait

    def pause(self, seconds: float, now: float) -> bool:
        """The venue wants no requests for so long. False: another process holds the file; ask again."""
        now_ns = int(now * SECOND_NS)
        with self._ledger.rows(now_ns) as rows:
            if rows is None:
                return False
            rows.append((now_ns + min(int(seconds * SECOND_NS), KEEP_NS - 1), 0))
            return True

    def paused(self, now: float) -> float | None:
        """For how many seconds yet it wants none; None: ask again."""
        now_ns = int(now * SECOND_NS)
        with self._ledger.rows(now_ns) as rows:
            if rows is None:
                return None
            return max([0, *(at - now_ns for at, weighs in rows if weighs == 0)]) / SECOND_NS


def earliest(rows: Sequence[Row], weight: int, begin: int, limits: Sequence[tuple[int, int]]) -> int:
    """From `begin` on, the first time at which `weight` more fits: no window of a limit's nanoseconds then weighs more than its count.

    What weighs more than a window holds goes when that is empty. `rows` are in order, and may lie in the future.
    """
    later = sorted({at + length for at, _ in rows for _, length in limits if at + length > begin})
    return next(at for at in (begin, *later) if all(_fits(rows, at, weight, count, length) for count, length in limits))


def _fits(rows: Sequence[Row], at: int, weight: int, count: int, length: int) -> bool:
    """Whether every window [t, t + length) that holds `at` weighs at most `count`, with what is added at `at`."""
    near = [row for row in rows if at - length < row[0] < at + length]
    starts = [start for start, _ in near if start <= at]
    heaviest = max((sum(w for when, w in near if start <= when < start + length) for start in (*starts, at)), default=0)
    return heaviest == 0 or heaviest + weight <= count
