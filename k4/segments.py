"""Which segments there are, and what one says about itself: its header, symbols and sources, and what can be wrong with it.

    K4Error
    ├── NoSegmentError        there is no segment of that name
    ├── SegmentError          it is damaged, of another layout, or may not be read
    ├── NoSymbolError         the segment has no such symbol, or several
    ├── WriterGoneError       its writer died; iterate again to wait for a successor
    └── ReplacedError         another segment took its place: open it anew

May import `errors`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import K4Error

STATES = ("LIVE", "STALE", "RESYNC", "REMOVED")
# What stands beside a segment, by the end of its name: no segment is called so.
BESIDE = (".lock", ".wait", ".new")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}")
_WRITERS = ("alive", "closed", "replaced")
_MAGIC = b"\x0a\x0d\x00GES4K"  # K4_SHM_MAGIC in csrc/k4_shm.h, as it lies in the file
_INT64_MIN = -(1 << 63)


class NoSegmentError(K4Error):
    """There is no segment of that name."""


class SegmentError(K4Error):
    """A segment that cannot be read: damaged, of another layout, or not ours."""


class NoSymbolError(K4Error):
    """The segment has no such symbol, or it has it several times."""


class WriterGoneError(K4Error):
    """The writer died without closing the segment. A later writer repairs it and goes on: iterate again to wait for that."""


class ReplacedError(K4Error):
    """Another segment of that name took this one's place: open it anew."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """An entry of the symbol table. Times in ns since 1970 UTC, None: never. `state`: LIVE, STALE, RESYNC or REMOVED.

    One unit of a quantity is `contract_size` ("": 1) of the currency that `qty_unit` names: base or quote; "", contract: not known.
    """

    instrument: int
    symbol: str
    exchange: str
    product: str
    state: str
    state_since_ns: int | None
    last_recv_ns: int | None
    qty_unit: str
    contract_size: str


@dataclass(frozen=True, slots=True)
class Source:
    """A connection's counters. Lead over the runner-up and lag behind the winner in ns (at most 12.5 % too low), None: no sample."""

    source: int
    name: str
    transport: str
    wins: int
    duplicates: int
    gaps: int
    late: int
    lead_p50_ns: int | None
    lead_p99_ns: int | None
    lag_p50_ns: int | None
    lag_p99_ns: int | None


@dataclass(frozen=True, slots=True)
class Info:
    """What a segment says about itself. `head`: sequence of the next record; `oldest`: of the oldest still held for sure.

    `writer`: alive, closed, replaced or gone. `heartbeat_ns`: ns since 1970 UTC, None: none yet.
    """

    name: str
    record: str
    record_size: int
    ring_slots: int
    symbol_capacity: int
    symbols: int
    sources: int
    layout_hash: str
    epoch: int
    head: int
    oldest: int
    writer: str
    writer_pid: int
    heartbeat_ns: int | None


def directory() -> Path:
    """Where segments are: $K4_SHM_DIR, else /dev/shm."""
    return Path(os.environ.get("K4_SHM_DIR") or "/dev/shm")  # noqa: S108 (that is where shared memory lives)


def names(folder: Path | None = None) -> list[str]:
    """The segments that exist, by name."""
    found = []
    for path in sorted((folder or directory()).glob("k4.*")):
        name = path.name.removeprefix("k4.")
        if not is_name(name) or path.is_symlink() or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                magic = file.read(8)
        except OSError:
            continue
        if magic == _MAGIC:
            found.append(name)
    return found


def is_name(text: str) -> bool:
    """Whether a segment can be called so: the same rule as `k4_shm_name_ok` in csrc/k4_shm.h."""
    return _NAME.fullmatch(text) is not None and not text.endswith(BESIDE)


def no_segment(name: str, folder: Path | None = None) -> NoSegmentError:
    """What to say where `name` is not there: names those that are."""
    folder = folder or directory()
    there = names(folder)
    listed = f"there are: {', '.join(there[:20])}" if there else "there is none: start a writer with k4 run"
    return NoSegmentError(f"there is no segment {name} in {folder}", hint=listed)


# --------------------------------------------------------------------------- from the C structs


def text_of(ffi: Any, field: Any) -> str:
    """A terminated text field."""
    text: bytes = ffi.string(field)
    return text.decode("utf-8", "replace")


def symbol_of(ffi: Any, instrument: int, info: Any) -> Symbol:
    """From a k4_symbol_info."""
    symbol, exchange, product = text_of(ffi, info.symbol), text_of(ffi, info.exchange), text_of(ffi, info.product)
    state = STATES[info.state] if 0 <= info.state < len(STATES) else str(info.state)
    unit, size = text_of(ffi, info.qty_unit), text_of(ffi, info.contract_size)
    return Symbol(instrument, symbol, exchange, product, state, _time(info.state_since_ns), _time(info.last_recv_ns), unit, size)


def source_of(ffi: Any, source: int, info: Any) -> Source:
    """From a k4_source_info."""
    return Source(
        source=source,
        name=text_of(ffi, info.name),
        transport=text_of(ffi, info.transport),
        wins=int(info.wins),
        duplicates=int(info.duplicates),
        gaps=int(info.gaps),
        late=int(info.late),
        lead_p50_ns=_sampled(info.lead_p50_ns),
        lead_p99_ns=_sampled(info.lead_p99_ns),
        lag_p50_ns=_sampled(info.lag_p50_ns),
        lag_p99_ns=_sampled(info.lag_p99_ns),
    )


def info_of(name: str, word: str, info: Any, alive: bool) -> Info:
    """From a k4_segment_info."""
    return Info(
        name=name,
        record=word,
        record_size=int(info.record_size),
        ring_slots=int(info.ring_slots),
        symbol_capacity=int(info.symbol_capacity),
        symbols=int(info.symbol_count),
        sources=int(info.source_count),
        layout_hash=f"{int(info.layout_hash):016x}",
        epoch=int(info.epoch),
        head=int(info.head),
        oldest=int(info.oldest),
        writer=_WRITERS[info.closed] if info.closed in {1, 2} or alive else "gone",
        writer_pid=int(info.writer_pid),
        heartbeat_ns=int(info.heartbeat_ns) or None,
    )


def _time(ns: int) -> int | None:
    return None if ns == _INT64_MIN else int(ns)


def _sampled(ns: int) -> int | None:
    return None if ns < 0 else int(ns)
