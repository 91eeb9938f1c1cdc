"""Reading a segment from Python: `k4.open(name)`.

    with k4.open("venue_spot_bbo") as reader:
        for item in reader:                      # waits for more; ends when the writer closes the segment
            if isinstance(item, k4.reader.Lost):
                print("lost", item.first, item.last)
            else:
                print(item.symbol, item.bid_price, item.ask_price)   # exact Decimals

What can go wrong is listed in `segments`. May import `errors`, `native`, `segments`, `values` and, of the generator, `ir` and `layout`.
"""

from __future__ import annotations

import difflib
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import native
from ._codegen import ir, layout
from .errors import K4Error
from .segments import (
    Info,
    NoSymbolError,
    ReplacedError,
    SegmentError,
    Source,
    Symbol,
    WriterGoneError,
    info_of,
    is_name,
    no_segment,
    source_of,
    symbol_of,
    text_of,
)
from .values import Kind, Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_NOTHING, _RECORD, _LOST = 0, 1, 2
_CLOSED, _GONE, _REPLACED = 14, 15, 16  # enum k4_status in csrc/k4_shm.h
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Lost:
    """Sequences `first` to `last` were overwritten before this reader came to them."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


def open(name: str, *, oldest: bool = False) -> Reader:  # noqa: A001 (k4.open is the name users know)
    """Opens segment `name` for reading: at its newest (only what comes), or at the oldest record still held.

    Raises NoSegmentError or SegmentError.
    """
    return Reader(name, oldest=oldest)


class Reader:
    """One reader's place in one segment; for one thread. `kind` is the record's type, `name` the segment's name.

    Items come in order of publishing: records, and a `Lost` for every range that was overwritten before it was read.
    """

    def __init__(self, name: str, *, oldest: bool = False) -> None:
        self.name = name
        self._native = native.load()
        ffi, lib = self._native.ffi, self._native.lib
        folder = Path(text_of(ffi, lib.k4_shm_dir()))
        path = folder / f"k4.{name}"
        if not is_name(name) or not (path.exists() or path.is_symlink()):
            raise no_segment(name, folder)
        error = ffi.new("char[1024]")
        view = lib.k4_view_open(name.encode(), error, 1024)
        if view == ffi.NULL:
            raise SegmentError(text_of(ffi, error))
        # Closed when the last of reader, rings and arrays over it is dropped: no array ever points into unmapped memory.
        self._view = ffi.gc(view, lib.k4_view_close)
        self._closed = False
        info = self._info()
        self.record_type: ir.RecordType = next(r for r in self._native.records.records if r.number == info.record)
        self.kind = Kind(self._native.records, self.record_type)
        self._size = self.record_type.size
        self._out = ffi.new("uint64_t[]", _BATCH * self._size // 8)
        self._bytes = ffi.buffer(self._out)
        self._sequence = ffi.new("uint64_t *")
        self._first = ffi.new("uint64_t *")
        self._last = ffi.new("uint64_t *")
        self._taken = ffi.new("uint32_t *")
        self._batch = b""
        self._at = 0
        self._next = 0
        self._known: dict[int, tuple[str, str, str]] = {}
        self._units: dict[int, tuple[str, str]] = {}
        self._skip: dict[int, int] = {}
        self.seek(oldest=oldest)

    # ------------------------------------------------------------------ reading

    def __iter__(self) -> Iterator[Record | Lost]:
        """All that comes, waiting for it. Ends when the writer has closed the segment and everything is read.

        Raises WriterGoneError once the writer is found dead and everything is read, ReplacedError when another segment took its place.
        """
        while True:
            item = self.read()
            if item is not None:
                yield item
            elif self.closed:
                return
            else:
                self.wait(1.0)

    def read(self) -> Record | Lost | None:
        """The next item, or None: nothing there now. Raises WriterGoneError, ReplacedError."""
        while True:
            if self._at == len(self._batch) and (got := self._fill()) != _RECORD:
                return self._outcome(got)
            data = self._batch[self._at : self._at + self._size]
            self._at += self._size
            sequence = self._next
            self._next += 1
            if self._skip and self._skipped(data, sequence):
                continue
            return Record(self, sequence, data)

    def drain(self, limit: int = 4096) -> npt.NDArray[np.void] | Lost:
        """Up to `limit` records at once as a structured array (empty: nothing there now), or the range that was lost before them.

        The first record's sequence is `position - len(array)`. Raises WriterGoneError, ReplacedError.
        """
        import numpy as np

        self._place()
        array = np.empty(limit, self.dtype)
        ffi, lib = self._native.ffi, self._native.lib
        while True:
            got = lib.k4_view_drain(
                self._view, ffi.from_buffer("uint8_t[]", array), limit, self._taken, self._sequence, self._first, self._last
            )
            if got != _RECORD:
                lost = self._outcome(got)
                return array[:0] if lost is None else lost
            taken = int(self._taken[0])
            self._next = int(self._sequence[0]) + taken
            found = self._unskipped(array[:taken]) if self._skip else array[:taken]
            if len(found):
                return found

    def latest(self, symbol: str, *, exchange: str = "", product: str = "") -> Record | None:
        """The newest record of a symbol, None: none yet. Never older than what this reader gave before.

        Raises NoSymbolError when the segment has no such symbol, or the same one on several exchanges or products and none is named.
        """
        return self._latest(self.find(symbol, exchange=exchange, product=product))

    def snapshot(self) -> list[Record]:
        """The newest record of every symbol; reading then goes on right behind them: every later record once, none twice."""
        head = int(self._native.lib.k4_view_head(self._usable()))
        records = [found for i in range(self._info().symbol_count) if (found := self._latest(i)) is not None]
        self._go(head)
        # A record published since `head` may be in the snapshot already: it is skipped when it comes by.
        self._skip = {record.instrument: record.sequence for record in records if record.sequence >= head}
        return records

    def wait(self, timeout: float = 1.0) -> bool:
        """Sleeps until there is something to read (True), or until `timeout` seconds are over (False)."""
        if self._at < len(self._batch):
            return True
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            # At most 100 ms at a time, so that Ctrl-C is heard.
            if self._native.lib.k4_view_wait(self._usable(), max(0, int(left * 1e9))):
                return True
            if left <= 0:
                return False

    def seek(self, *, oldest: bool = False) -> None:
        """To the oldest record still held, or to the newest: only what comes after."""
        self._native.lib.k4_view_seek(self._usable(), 1 if oldest else 0)
        self._go(int(self._native.lib.k4_view_position(self._view)))

    def seek_to(self, sequence: int) -> None:
        """To `sequence`: what is no longer held of it will be reported as `Lost`."""
        self._go(sequence)

    @property
    def position(self) -> int:
        """The sequence of the next item."""
        return self._next

    # ------------------------------------------------------------------ arrays

    @functools.cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The record as numpy sees it: its own members, pads included."""
        import numpy as np

        return np.dtype(layout.numpy_fields(self.record_type))

    def ring(self) -> npt.NDArray[np.void]:
        """The whole ring without a copy, read-only, one element per slot: `sequence`, then the record's members.

        The writer goes on writing in it. An element holds record n, whole, while its `sequence` is 2n + 2: look at it before and after
        using the rest; odd is being written, 0 was never written. Record n is element n % len. The array stays valid after `close`.
        """
        import numpy as np

        ffi, lib = self._native.ffi, self._native.lib
        stride, slots = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        base = lib.k4_view_ring(self._usable(), stride, slots)
        fields = layout.numpy_fields(self.record_type)
        slot = np.dtype(
            {
                "names": ["sequence", *(f[0] for f in fields)],
                "formats": ["<u8", *(f[1:] if len(f) == 3 else f[1] for f in fields)],
                "offsets": [0, *(8 + f.offset for f in self.record_type.fields)],
                "itemsize": stride[0],
            }
        )
        view = self._view
        held = ffi.gc(ffi.cast("uint8_t *", base - 8), lambda _: view and None)  # keeps the mapping as long as the array
        array: npt.NDArray[np.void] = np.frombuffer(ffi.buffer(held, stride[0] * slots[0]), dtype=slot)
        array.flags.writeable = False
        return array

    # ------------------------------------------------------------------ what the segment says

    def find(self, symbol: str, *, exchange: str = "", product: str = "") -> int:
        """A symbol's instrument number. Raises NoSymbolError."""
        found = int(self._native.lib.k4_view_find(self._usable(), symbol.encode(), exchange.encode(), product.encode()))
        if found >= 0:
            return found
        there = self.symbols
        if found == -2:  # several
            same = ", ".join(f"{s.exchange} {s.product}" for s in there if s.symbol == symbol)
            raise NoSymbolError(f"segment {self.name} has {symbol} more than once ({same})", hint="say which: exchange=..., product=...")
        known = sorted({s.symbol for s in there})
        near = difflib.get_close_matches(symbol, known, 3, 0.7) or difflib.get_close_matches(symbol.upper(), known, 3, 0.7)
        where = "".join(f" {word}" for word in (exchange, product) if word)
        hint = "it has no symbols yet"
        if known:
            hint = f"did you mean {', '.join(near)}?" if near else f"it has {len(known)}: {', '.join(known[:10])}"
        raise NoSymbolError(f"segment {self.name} has no symbol {symbol}{' of' + where if where else ''}", hint=hint)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbol table as it is now; a symbol's place in it is its instrument number."""
        ffi, lib = self._native.ffi, self._native.lib
        entry = ffi.new("k4_symbol_info *")
        table: list[Symbol] = []
        while lib.k4_view_symbol(self._usable(), len(table), entry):
            table.append(symbol_of(ffi, len(table), entry))
        return tuple(table)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The source table as it is now; a source's place in it is what a record's `source` says."""
        ffi, lib = self._native.ffi, self._native.lib
        entry = ffi.new("k4_source_info *")
        table: list[Source] = []
        while lib.k4_view_source(self._usable(), len(table), entry):
            table.append(source_of(ffi, len(table), entry))
        return tuple(table)

    @property
    def info(self) -> Info:
        """The segment's header as it is now."""
        return info_of(self.name, self.record_type.word, self._info(), self._native.lib.k4_view_writer(self._view) == 1)

    def symbol_of(self, instrument: int) -> tuple[str, str, str]:
        """(exchange, product, symbol) of an instrument number; texts are empty where the table has no such entry."""
        known = self._known.get(instrument)
        if known is None:
            entry = self._native.ffi.new("k4_symbol_info *")
            if self._view is None or not self._native.lib.k4_view_symbol(self._view, instrument, entry):
                return ("", "", "")
            found = symbol_of(self._native.ffi, instrument, entry)
            known = self._known[instrument] = (found.exchange, found.product, found.symbol)
        return known

    def unit_of(self, instrument: int) -> tuple[str, str]:
        """(qty_unit, contract_size) of an instrument number, as its symbol's entry has them; empty where it has none."""
        known = self._units.get(instrument)
        if known is None:
            entry = self._native.ffi.new("k4_symbol_info *")
            if self._view is None or not self._native.lib.k4_view_symbol(self._view, instrument, entry):
                return ("", "")
            found = symbol_of(self._native.ffi, instrument, entry)
            known = self._units[instrument] = (found.qty_unit, found.contract_size)
        return known

    # ------------------------------------------------------------------ the end

    @property
    def closed(self) -> bool:
        """This reader was closed, or the writer has closed the segment and everything is read."""
        return self._closed

    def close(self) -> None:
        """Lets go of the segment. Arrays of `ring` and records stay valid."""
        self._view = None
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _usable(self) -> Any:
        if self._view is None:
            raise K4Error(f"the reader of segment {self.name} is closed")
        return self._view

    def _info(self) -> Any:
        info = self._native.ffi.new("k4_segment_info *")
        self._native.lib.k4_view_info(self._usable(), info)
        return info

    def _fill(self) -> int:
        """More records into the batch; else what the C side had to say instead."""
        got = int(self._native.lib.k4_view_drain(self._usable(), self._out, _BATCH, self._taken, self._sequence, self._first, self._last))
        if got == _RECORD:
            self._batch = self._bytes[: self._taken[0] * self._size]
            self._at = 0
            self._next = int(self._sequence[0])
            self._closed = False
        return got

    def _outcome(self, got: int) -> Lost | None:
        """What an answer other than records means."""
        if got == _LOST:
            lost = Lost(int(self._first[0]), int(self._last[0]))
            self._next = lost.last + 1
            return lost
        self._closed = got == -_CLOSED
        if got == -_GONE:
            pid = self._info().writer_pid
            hint = "all it published has been read; its successor goes on where it stopped"
            raise WriterGoneError(f"the writer of segment {self.name} (process {pid}) is gone", hint=hint)
        if got == -_REPLACED:
            raise ReplacedError(f"segment {self.name} was replaced by another", hint="open it anew")
        return None

    def _latest(self, instrument: int) -> Record | None:
        if not self._native.lib.k4_view_latest(self._usable(), instrument, self._single, self._sequence):
            return None
        return Record(self, int(self._sequence[0]), self._native.ffi.buffer(self._single, self._size)[:])

    @functools.cached_property
    def _single(self) -> Any:
        return self._native.ffi.new("uint64_t[]", self._size // 8)

    def _skipped(self, data: bytes, sequence: int) -> bool:
        instrument = int.from_bytes(data[:4], "little")
        last = self._skip.get(instrument)
        if last is None:
            return False
        if sequence >= last:
            del self._skip[instrument]
        return sequence <= last

    def _unskipped(self, array: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """The first records in a row that a snapshot has not given; what stands behind them is given back."""
        first = self._next - len(array)
        told = [sequence <= self._skip.get(int(instrument), -1) for sequence, instrument in enumerate(array["instrument"], first)]
        begin = told.index(False) if False in told else len(told)
        end = told.index(True, begin) if True in told[begin:] else len(told)
        self._next = first + end
        if end < len(told):
            self._native.lib.k4_view_seek_to(self._usable(), self._next)
        self._skip = {instrument: last for instrument, last in self._skip.items() if last >= self._next}
        return array[begin:end]

    def _place(self) -> None:
        """The C side stands where we stand: records taken in advance are given back."""
        if self._at < len(self._batch):
            self._native.lib.k4_view_seek_to(self._usable(), self._next)
            self._batch = b""
            self._at = 0
        self._usable()

    def _go(self, sequence: int) -> None:
        self._native.lib.k4_view_seek_to(self._usable(), sequence)
        self._batch = b""
        self._at = 0
        self._next = sequence
        self._skip = {}
