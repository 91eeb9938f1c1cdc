"""How often a host is dialled, counted by all processes of a user together.

Venues limit dials per address, not per process, and remember them when a process has crashed. So each dial is noted before it is made, as
a stamp in a file in shared memory (`k4.dials.<uid>.<host>`) that every process reads under a lock; a restart of the machine empties the
file and the clock of its stamps alike. A dial that must wait gets its stamp in the future: who comes later waits behind it.

The file is a row of 64-bit little-endian nanoseconds of CLOCK_MONOTONIC. What is in it is not trusted: stamps no clock could have given are
passed over. Imports `errors`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import K4Error

Windows = Sequence[tuple[int, float]]
Limits = Sequence[tuple[int, int]]  # count and nanoseconds

# Of what a venue allows an address, the part for everybody; and the part up to which those dial who have no healthy connection left.
SHARE = 0.7
LONELY_SHARE = 0.85
# How long stamps are kept: longer than any window seen.
KEEP_S = 3600
_SECOND_NS = 1_000_000_000
_KEEP_NS = KEEP_S * _SECOND_NS
# A reader takes so much of a file, however large it has been made.
_MOST_BYTES = 1 << 19
# Who holds the lock does so for microseconds. One that was stopped while it did must not stop the others for ever.
LOCK_S = 5
ELSEWHERE = "remove it; where another user put it there, let K4_SHM_DIR name a folder of your own"


class Dials:
    """The dials to one host. `windows`: at most `count` in any `seconds`; none: no limit.

    `path`: the file that is shared; None: only this object's own dials count. `lonely`: has the asking group no healthy connection?
    Raises K4Error where the file cannot be used.
    """

    def __init__(self, windows: Windows, path: Path | None = None, *, lonely: Callable[[], bool] = lambda: False) -> None:
        self._windows = tuple(windows)
        self.lonely = lonely
        self._own: list[int] = []
        self._refused_at: int | None = None  # the first time in a row that somebody else held the file
        self._file: int | None = None
        if path is not None and self._windows:
            self._file = opened(path)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def reserve(self, now: float) -> float | None:
        """Seconds from `now` (monotonic) until a dial may be made; it is counted already. None: ask again in some milliseconds."""
        if not self._windows:
            return 0.0
        share = LONELY_SHARE if self.lonely() else SHARE
        limits = [(max(1, int(count * share)), int(seconds * _SECOND_NS)) for count, seconds in self._windows]
        now_ns = int(now * _SECOND_NS)
        with self._stamps(now_ns) as stamps:
            if stamps is None:
                return None
            at = earliest(stamps, now_ns, limits)
            stamps.append(at)
            return (at - now_ns) / _SECOND_NS

    def spare(self, now: float) -> bool:
        """Whether dials are plenty: half of what is for everybody is free, so that one may go into what can wait. Nothing is counted."""
        now_ns = int(now * _SECOND_NS)
        with self._stamps(now_ns) as stamps:
            if stamps is None:
                return False
            used = [sum(stamp > now_ns - int(seconds * _SECOND_NS) for stamp in stamps) for _, seconds in self._windows]
        return all(count < max(1, int(most * SHARE)) / 2 for count, (most, _) in zip(used, self._windows, strict=True))

    @contextlib.contextmanager
    def _stamps(self, now: int) -> Iterator[list[int] | None]:
        """All stamps that still count, in order; what is appended to them is kept. None: somebody else holds the file."""
        if self._file is not None and not locked(self._file):
            self._refused_at = self._refused_at or now
            if now - self._refused_at <= LOCK_S * _SECOND_NS:
                yield None
                return
        elif self._file is not None:
            self._refused_at = None
        if self._file is None or self._refused_at is not None:
            self._own = [stamp for stamp in self._own if stamp > now - _KEEP_NS]
            yield self._own
            self._own.sort()
            return
        try:
            stamps = _read(self._file, now)
            count = len(stamps)
            yield stamps
            if len(stamps) != count:
                _write(self._file, stamps)
                self._own = stamps
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def locked(file: int) -> bool:
    """Takes the lock of a file if nobody else has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


# --------------------------------------------------------------------------- the file


def path_for(folder: Path, host: str, what: str = "dials") -> Path:
    """The file of a host, as a venue's URL names it; the user's number is part of its name."""
    return folder / f"k4.{what}.{os.getuid()}.{re.sub('[^A-Za-z0-9.-]', '_', host.lower())[:128]}"


def opened(path: Path, counts: str = "the dials to its host") -> int:
    """A file that only this user can write; `counts`: what it counts, in words. Raises K4Error."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise K4Error(f"{path}, which counts {counts}, cannot be opened: {error.strerror}", hint=ELSEWHERE) from error
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        os.close(file)
        raise K4Error(f"{path}, which counts {counts}, is not a file that only this user can write", hint=ELSEWHERE)
    return file


def _read(file: int, now: int) -> list[int]:
    """Stamps that still count, in order. Whatever else is in the file is none."""
    size = min(os.fstat(file).st_size, _MOST_BYTES) // 8
    data = os.pread(file, size * 8, 0)
    raw = struct.unpack(f"<{len(data) // 8}q", data[: len(data) // 8 * 8])
    return sorted(stamp for stamp in raw if now - _KEEP_NS < stamp < now + _KEEP_NS)


def _write(file: int, stamps: Sequence[int]) -> None:
    """A process that is killed in between leaves stamps twice: too many, never too few."""
    newest = sorted(stamps)[-_MOST_BYTES // 8 :]
    os.pwrite(file, struct.pack(f"<{len(newest)}q", *newest), 0)
    os.ftruncate(file, len(newest) * 8)
