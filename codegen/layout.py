"""Where each field of a record stands, whether the records fit K4, and the layout hash readers and writers compare.

Layouts are FlatBuffers structs: every member aligned to its own size, the struct to its largest member. K4 adds that nothing is
left to the compiler (no implicit padding) and that all records begin alike. Imports `ir` and `errors` only.

The layout hash of a record is the first eight bytes, big-endian, of the SHA-256 of this UTF-8 text, one line each, every line ended
by a newline:

    k4 segment <SEGMENT_VERSION>
    symbol <fields of the symbol table's entry>
    record <fields of the record>

where fields are `name:type@offset`, joined by one space, `type` a FlatBuffers scalar (`[scalar:N]` for an array). Comments, enum
values and other records are not part of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from . import ir
from .errors import Finding

SEGMENT_VERSION = 1

SCALAR_SIZE = {
    "bool": 1, "byte": 1, "ubyte": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "long": 8, "ulong": 8,
}  # fmt: skip

# What `schema/records.fbs` may say under a kind: the scalars it may stand on, and whether it may be an array.
KIND_SCALARS: dict[str, tuple[str, ...]] = {
    "time": ("long",),
    "price": ("long",),
    "qty": ("long",),
    "id": ("long",),
    "integer": ("long",),
    "count": ("int",),
    "level_count": ("ubyte",),
    "exponent": ("byte",),
    "index": ("uint", "ushort"),
    "flags": ("ushort",),
    "pad": ("ubyte",),
}
ARRAY_KINDS = ("price", "qty", "count", "pad")

# Every record begins with these, at these offsets: hand-written C reaches them through `struct k4_common`.
COMMON: tuple[tuple[str, str, int, str], ...] = (
    ("instrument", "uint", 0, "index"),
    ("source", "ushort", 0, "index"),
    ("flags", "ushort", 0, "flags"),
    ("event_ns", "long", 0, "time"),
    ("engine_ns", "long", 0, "time"),
    ("recv_ns", "long", 0, "time"),
    ("price_exp", "byte", 0, "exponent"),
    ("qty_exp", "byte", 0, "exponent"),
    ("pad0", "ubyte", 6, "pad"),
)
COMMON_SIZE = 40
FLAG_ENUM = "Flag"


@dataclass(frozen=True, slots=True)
class EntryField:
    """A member of the symbol table's entry; `length` 0 is a scalar."""

    name: str
    scalar: str
    length: int
    doc: str


# The symbol table's entry. Texts are UTF-8, not terminated when they fill their array, zero behind.
SYMBOL_ENTRY: tuple[EntryField, ...] = (
    EntryField("symbol", "byte", 48, "the venue's own name"),
    EntryField("exchange", "byte", 32, ""),
    EntryField("product", "byte", 32, ""),
    EntryField("contract_size", "byte", 32, "decimal text: of qty_unit per unit of quantity; empty: 1, or not known"),
    EntryField("qty_unit", "byte", 16, "base or quote currency, contract where neither is known; empty: not given"),
    EntryField("symbol_len", "uint", 0, "bytes of symbol in use"),
    EntryField("state", "uint", 0, "0 LIVE, 1 STALE, 2 RESYNC, 3 REMOVED"),
    EntryField("state_since_ns", "long", 0, ""),
    EntryField("last_recv_ns", "long", 0, "INT64_MIN: nothing received yet"),
    EntryField("reserved", "ulong", 0, "zero"),
)


def type_text(scalar: str, length: int) -> str:
    """A member's type as the schema writes it: `long`, `[long:5]`."""
    return f"[{scalar}:{length}]" if length else scalar


def place(members: tuple[tuple[str, int], ...]) -> tuple[tuple[tuple[int, int], ...], int]:
    """Offsets and sizes in bytes of (scalar, length) members laid out without any padding, and their sum."""
    offset = 0
    placed: list[tuple[int, int]] = []
    for scalar, length in members:
        size = SCALAR_SIZE[scalar] * max(length, 1)
        placed.append((offset, size))
        offset += size
    return tuple(placed), offset


def check_padding(file: str, record: ir.RecordType) -> list[Finding]:
    """Implicit padding, at every place where a compiler would insert some.

    Only the first in a record is certain: behind it all offsets move. So one finding per record, in front or at the end.
    """
    for field in record.fields:
        missing = -field.offset % SCALAR_SIZE[field.scalar]
        if missing:
            what = f'struct {record.name}: "{field.name}" ({type_text(field.scalar, field.length)}) would stand at offset {field.offset}'
            how = f"{missing} bytes before its alignment; write {_pad(record, missing)} in front of it"
            return [Finding(file, field.line, f"{what}, {how}")]
    align = max((SCALAR_SIZE[f.scalar] for f in record.fields), default=1)
    # Records are copied as 8-byte words, so the size must be a multiple of 8 whatever the members are.
    missing = -record.size % max(align, 8)
    if missing:
        what = f"struct {record.name} ends at offset {record.size}, {missing} bytes before its alignment"
        return [Finding(file, record.line, f"{what}; write {_pad(record, missing)} at its end")]
    return []


def _pad(record: ir.RecordType, size: int) -> str:
    taken = {f.name for f in record.fields}
    name = next(f"pad{i}" for i in range(len(taken) + 1) if f"pad{i}" not in taken)
    return f'"{name}:[ubyte:{size}] (pad);"' if size > 1 else f'"{name}:ubyte (pad);"'


def check_common(file: str, record: ir.RecordType) -> list[Finding]:
    """The record begins with the members that all records share: the first that differs."""
    for i, (name, scalar, length, kind) in enumerate(COMMON):
        want = f'"{name}:{type_text(scalar, length)} ({kind});"'
        if i >= len(record.fields):
            what = f"struct {record.name} ends before member {i + 1} of those all records begin with"
            return [Finding(file, record.line, f"{what}; write {want}")]
        field = record.fields[i]
        if (field.name, field.scalar, field.length, field.kind) != (name, scalar, length, kind):
            what = f'struct {record.name}: "{field.name}:{type_text(field.scalar, field.length)} ({field.kind})"'
            return [Finding(file, field.line, f"{what} stands where all records have {want}; all records begin alike")]
    return []


def fields_text(record: ir.RecordType) -> str:
    """The record's (name, type, offset) list in one line: what a segment carries so that a mismatch can name fields."""
    return " ".join(f"{f.name}:{type_text(f.scalar, f.length)}@{f.offset}" for f in record.fields)


def entry_fields() -> tuple[tuple[EntryField, int, int], ...]:
    """The symbol entry's members with offset and size."""
    placed, _ = place(tuple((f.scalar, f.length) for f in SYMBOL_ENTRY))
    return tuple((f, offset, size) for f, (offset, size) in zip(SYMBOL_ENTRY, placed, strict=True))


def entry_size() -> int:
    return place(tuple((f.scalar, f.length) for f in SYMBOL_ENTRY))[1]


def entry_text() -> str:
    return " ".join(f"{f.name}:{type_text(f.scalar, f.length)}@{offset}" for f, offset, _ in entry_fields())


def layout_hash(record: ir.RecordType) -> int:
    """The record's 64-bit layout hash, as the head of this module defines it."""
    text = f"k4 segment {SEGMENT_VERSION}\nsymbol {entry_text()}\nrecord {fields_text(record)}\n"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


NUMPY_SCALAR = {
    "bool": "?", "byte": "i1", "ubyte": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "long": "<i8", "ulong": "<u8",
}  # fmt: skip


def numpy_fields(record: ir.RecordType) -> list[tuple[str, str] | tuple[str, str, tuple[int]]]:
    """The record as a list that `numpy.dtype` takes: little-endian, no holes, so `dtype.itemsize == record.size`."""
    return [(f.name, NUMPY_SCALAR[f.scalar], (f.length,)) if f.length else (f.name, NUMPY_SCALAR[f.scalar]) for f in record.fields]
