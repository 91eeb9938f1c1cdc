"""`k4 shm`: the segments that exist, what one says about itself, and removing one that nobody writes.

May import `errors`, `native`, `reader`, `segments`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from .errors import K4Error
from .reader import Reader
from .segments import Info, SegmentError, Source, directory, is_name, names, no_segment

_OFD_SETLK = 37  # F_OFD_SETLK, which `fcntl` names only from Python 3.13 on


def ls(json_output: bool) -> int:
    """One line per segment; one that cannot be read is listed with the reason."""
    found: list[Info | tuple[str, str]] = []
    for name in names():
        try:
            with Reader(name) as reader:
                found.append(reader.info)
        except SegmentError as error:
            found.append((name, str(error)))
    if json_output or not sys.stdout.isatty():
        for entry in found:
            _line(asdict(entry) if isinstance(entry, Info) else {"name": entry[0], "error": entry[1]})
        return 0
    rows = [
        (e.name, e.record, e.writer, str(e.writer_pid), str(e.symbols), str(e.head), str(e.ring_slots), str(e.epoch))
        if isinstance(e, Info)
        else (e[0], "-", e[1], "", "", "", "", "")
        for e in found
    ]
    _table(("SEGMENT", "RECORD", "WRITER", "PID", "SYMBOLS", "HEAD", "SLOTS", "EPOCH"), rows)
    if not rows:
        print(f"there is no segment in {directory()}", file=sys.stderr)
    return 0


def inspect(name: str, json_output: bool) -> int:
    """A segment's header, symbols and sources."""
    with Reader(name) as reader:
        info, symbols, sources = reader.info, reader.symbols, reader.sources
    if json_output or not sys.stdout.isatty():
        _line({**asdict(info), "symbols": [asdict(s) for s in symbols], "sources": [asdict(s) for s in sources]})
        return 0
    for key, value in asdict(info).items():
        print(f"{key:<16}{value}")
    print()
    _table(
        ("INSTRUMENT", "SYMBOL", "EXCHANGE", "PRODUCT", "STATE", "LAST RECV NS"),
        [(str(s.instrument), s.symbol, s.exchange, s.product, s.state, _or_dash(s.last_recv_ns)) for s in symbols],
    )
    print()
    _table(
        ("SOURCE", "NAME", "TRANSPORT", "WINS", "DUPLICATES", "GAPS", "LATE", "LEAD P50 NS", "LAG P50 NS"),
        [_source_row(source) for source in sources],
    )
    return 0


def _source_row(s: Source) -> tuple[str, ...]:
    counts = map(str, (s.wins, s.duplicates, s.gaps, s.late))
    return (str(s.source), s.name, s.transport, *counts, _or_dash(s.lead_p50_ns), _or_dash(s.lag_p50_ns))


def rm(name: str) -> int:
    """Removes a segment and its wait page. Refuses while a living writer holds the lock; the lock file itself stays.

    Works on a damaged segment too: that is how one is got rid of.
    """
    segment = directory() / f"k4.{name}"
    if not is_name(name) or not (segment.exists() or segment.is_symlink()):
        raise no_segment(name)
    with _locked(name):
        try:
            segment.unlink()
            for ending in (".wait", ".new"):
                segment.with_name(segment.name + ending).unlink(missing_ok=True)
        except OSError as error:
            raise K4Error(f"{error.filename} cannot be removed: {error.strerror}") from error
    return 0


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Holding the writer's lock, so that no writer opens what we remove. Never makes a lock file where there is none."""
    path = directory() / f"k4.{name}.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise K4Error(f"{path} cannot be opened: {error.strerror}", hint="segments belong to the user who wrote them") from error
    try:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            fcntl.fcntl(fd, _OFD_SETLK, lock)
        except OSError:
            raise K4Error(f"segment {name} is being written by process {_writer(path)}", hint="stop that first") from None
        yield
    finally:
        os.close(fd)


def _writer(lock: Path) -> str:
    """The pid that the lock's holder wrote into it."""
    with contextlib.suppress(OSError, IndexError):
        return lock.read_text("ascii", "replace").split()[0]
    return "?"


def _line(value: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.flush()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their longest text."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
