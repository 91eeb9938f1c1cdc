"""What is fetched from a host, in the venue's own weights, counted by all processes of a user together.

Venues limit an address by the sum of what its requests weigh, and ban one that goes on after it was told to stop. So each request is
noted before it is made, in a file in shared memory (`k4.fetches.<uid>.<host>`) that every process reads under a lock, as `dials` does for
dials; and so is until when a venue wants to be left alone. A request that must wait gets its stamp in the future: who comes later waits
behind it.

The file is a row of pairs of 64-bit little-endian numbers, nanoseconds of CLOCK_MONOTONIC and a weight; a weight of 0 is a pause until
then. What is in it is not trusted: what no clock could have given and no request weighs is passed over. Imports `dials`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import dials
from .dials import KEEP_S, LOCK_S, SHARE, Windows

MOST_WEIGHT = 1_000_000
_SECOND_NS = 1_000_000_000
_KEEP_NS = KEEP_S * _SECOND_NS
_MOST_BYTES = 1 << 20
_ROW = struct.Struct("<qq")

Row = tuple[int, int]


def part(limits: Windows) -> Windows:
    """Of what a venue allows, the part that is used."""
    return tuple((max(1, int(count * SHARE)), seconds) for count, seconds in limits)


def path_for(folder: Path, host: str) -> Path:
    """The file of a host, as a URL names it."""
    return dials.path_for(folder, host, "fetches")


class Weights:
    """The requests to one host. `path`: the file that is shared; None: only this object's own count.

    Raises K4Error where the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._rows: list[Row] = []
        self._refused_at: int | None = None  # the first time in a row that somebody else held the file
        self._file = None if path is None else dials.opened(path, "what is fetched from its host")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def reserve(self, weight: int, windows: Windows, now: float, most: float) -> float | None:
        """Seconds from `now` (monotonic) until a request of this weight may be made; it is counted already.

        It is not where that is more than `most`. None: another process holds the file; ask again in some milliseconds.
        """
        now_ns = int(now * _SECOND_NS)
        limits = [(count, int(seconds * _SECOND_NS)) for count, seconds in windows]
        with self._held(now_ns) as rows:
            if rows is None:
                return None
            begin = max([now_ns, *(at for at, weighs in rows if weighs == 0)])
            at = earliest([row for row in rows if row[1]], weight, begin, limits)
            wait = (at - now_ns) / _SECOND_NS
            if wait <= most:
                rows.append((at, weight))
            return wait

    def pause(self, seconds: float, now: float) -> bool:
        """The venue wants no requests for so long. False: another process holds the file; ask again."""
        now_ns = int(now * _SECOND_NS)
        with self._held(now_ns) as rows:
            if rows is None:
                return False
            rows.append((now_ns + min(int(seconds * _SECOND_NS), _KEEP_NS - 1), 0))
            return True

    def paused(self, now: float) -> float | None:
        """For how many seconds yet it wants none; None: ask again."""
        now_ns = int(now * _SECOND_NS)
        with self._held(now_ns) as rows:
            if rows is None:
                return None
            return max([0, *(at - now_ns for at, weighs in rows if weighs == 0)]) / _SECOND_NS

    @contextlib.contextmanager
    def _held(self, now: int) -> Iterator[list[Row] | None]:
        """All rows that still count, in order; what is appended to them is kept. None: somebody else holds the file."""
        if self._file is not None and not dials.locked(self._file):
            self._refused_at = self._refused_at or now
            if now - self._refused_at <= LOCK_S * _SECOND_NS:
                yield None
                return
        elif self._file is not None:
            self._refused_at = None
        if self._file is None or self._refused_at is not None:
            self._rows = [row for row in self._rows if row[0] > now - _KEEP_NS]
            yield self._rows
            self._rows.sort()
            return
        try:
            rows = self._read(self._file, now)
            count = len(rows)
            yield rows
            if len(rows) != count:
                self._rows = rows
                data = b"".join(_ROW.pack(*row) for row in sorted(rows)[-_MOST_BYTES // _ROW.size :])
                os.pwrite(self._file, data, 0)
                os.ftruncate(self._file, len(data))
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @staticmethod
    def _read(file: int, now: int) -> list[Row]:
        size = min(os.fstat(file).st_size, _MOST_BYTES) // _ROW.size * _ROW.size
        rows = _ROW.iter_unpack(os.pread(file, size, 0)[:size])
        return sorted((at, weight) for at, weight in rows if abs(at - now) < _KEEP_NS and 0 <= weight <= MOST_WEIGHT)


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
