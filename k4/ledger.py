"""A file in which all processes of a user count together what a host is asked for: rows of stamps, read and written under a lock.

It is in shared memory (`k4.<what>.<uid>.<host>`), so that a restart of the machine empties the file and the clock of its stamps alike.
A row is 64-bit little-endian numbers, the first of them nanoseconds of CLOCK_MONOTONIC, which may lie in the future. What is in the file
is not trusted: rows that no clock could have given are passed over, and those that its user's `valid` does not take. Imports `errors`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import K4Error

Row = tuple[int, ...]

SECOND_NS = 1_000_000_000
# How long rows are kept: longer than any window seen.
KEEP_S = 3600
KEEP_NS = KEEP_S * SECOND_NS
# A reader takes so many of a file, however large it has been made.
_MOST_ROWS = 1 << 16
# Who holds the lock does so for microseconds. One that was stopped while it did must not stop the others for ever.
LOCK_S = 5
ELSEWHERE = "remove it; where another user put it there, let K4_SHM_DIR name a folder of your own"


class Ledger:
    """`path`: the file that is shared; None: only this object's own rows count. `width`: numbers of a row. `counts`: what it counts, in
    words. Raises K4Error where the file cannot be used.
    """

    def __init__(self, path: Path | None, width: int, counts: str, valid: Callable[[Row], bool] = lambda _: True) -> None:
        self._row = struct.Struct(f"<{width}q")
        self._valid = valid
        self._own: list[Row] = []
        self._refused_at: int | None = None  # the first time in a row that somebody else held the file
        self._file = None if path is None else opened(path, counts)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @contextlib.contextmanager
    def rows(self, now: int) -> Iterator[list[Row] | None]:
        """All rows that still count, in order; what is appended to them is kept. None: somebody else holds the file."""
        if self._file is not None and not locked(self._file):
            self._refused_at = self._refused_at or now
            if now - self._refused_at <= LOCK_S * SECOND_NS:
                yield None
                return
        elif self._file is not None:
            self._refused_at = None
        if self._file is None or self._refused_at is not None:
            self._own = [row for row in self._own if row[0] > now - KEEP_NS]
            yield self._own
            self._own.sort()
            return
        try:
            rows = self._read(self._file, now)
            count = len(rows)
            yield rows
            if len(rows) != count:
                self._write(self._file, rows)
                self._own = rows
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self, file: int, now: int) -> list[Row]:
        most = min(os.fstat(file).st_size // self._row.size, _MOST_ROWS)
        data = os.pread(file, most * self._row.size, 0)
        rows = self._row.iter_unpack(data[: len(data) // self._row.size * self._row.size])
        return sorted(row for row in rows if abs(row[0] - now) < KEEP_NS and self._valid(row))

    def _write(self, file: int, rows: Sequence[Row]) -> None:
        """A process that is killed in between leaves rows twice: too many, never too few."""
        data = b"".join(self._row.pack(*row) for row in sorted(rows)[-_MOST_ROWS:])
        os.pwrite(file, data, 0)
        os.ftruncate(file, len(data))


def path_for(folder: Path, host: str, what: str) -> Path:
    """The file of a host, as a venue's URL names it; the user's number is part of its name."""
    return folder / f"k4.{what}.{os.getuid()}.{re.sub('[^A-Za-z0-9.-]', '_', host.lower())[:128]}"


def opened(path: Path, counts: str) -> int:
    """A file that only this user can write. Raises K4Error."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise K4Error(f"{path}, which counts {counts}, cannot be opened: {error.strerror}", hint=ELSEWHERE) from error
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        os.close(file)
        raise K4Error(f"{path}, which counts {counts}, is not a file that only this user can write", hint=ELSEWHERE)
    return file


def locked(file: int) -> bool:
    """Takes the lock of a file if nobody else has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
