"""From the IR to the text of every generated file. Pure: no clock, no folder, so the same input gives the same bytes.

Imports `ir`, `layout`, `render` and the parser generators.
"""

from __future__ import annotations

from pathlib import Path

from . import ir, layout
from .render import render

RECORDS_HEADER = "k4_records.h"


def records_header(records: ir.Records) -> str:
    """`k4_records.h`: every record as a C struct with an assert per offset. C11 and C++17."""
    common = records.records[0].fields[: len(layout.COMMON)]
    return render(
        "records.h.j2",
        sources=[_source(records.file)],
        segment_version=layout.SEGMENT_VERSION,
        enums=records.enums,
        bit_names={e.name: _bit_names(e) for e in records.enums if e.bit_flags},
        common=common,
        common_size=layout.COMMON_SIZE,
        records=records.records,
        layouts={r.word: layout.fields_text(r) for r in records.records},
        hashes={r.word: layout.layout_hash(r) for r in records.records},
        entry_fields=[{"field": f, "offset": offset} for f, offset, _ in layout.entry_fields()],
        entry_size=layout.entry_size(),
    )


def _bit_names(enum: ir.EnumType) -> list[str]:
    """Names by bit position, "" where a position has none."""
    names = {number: name for name, number in enum.values}
    return [names.get(i, "") for i in range(max(names) + 1)]


def _source(file: str) -> str:
    """A source's name in a banner: where it was checked out is nobody's business, and would change the bytes."""
    return Path(file).name
