"""From the IR to the text of every generated file. Pure: no clock, no user's folder, so the same input gives the same bytes.

Imports `cache`, the parser generators `fast`, `sbegen` and `tolerant`, `ir`, `layout`, `places`, `render`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import fast, ir, layout, places, sbegen, tolerant
from .cache import LITERAL
from .render import identifier, render

RECORDS_HEADER = "k4_records.h"
READER_HEADER = "k4.h"
READER_SOURCE = "k4_reader.h"  # in csrc: what the reader header is made of, with all it includes
PRODUCTS = "k4_products.c"

_OWN_INCLUDE = re.compile(r'^#include "(k4_\w+\.h)".*\n', re.MULTILINE)


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


def reader_header(records: ir.Records) -> str:
    """`k4.h`: all that a reader in C or C++ includes, as one file."""
    used: list[str] = []
    body = _amalgamate(READER_SOURCE, {RECORDS_HEADER: records_header(records)}, used)
    sources = [_source(records.file), *(f"csrc/{name}" for name in used if name != RECORDS_HEADER)]
    return render("header.h.j2", sources=sources, body=body, values=render("values.h.j2", records=records.records))


def products_source(exchanges: Sequence[ir.Exchange], digest: str) -> str:
    """`k4_products.c`: the table of all that was compiled in, and the digest it can be told by."""
    products = [f"{identifier(e.name)}_{identifier(p.name)}" for e in exchanges for p in e.products]
    return render("products.c.j2", sources=[_source(e.file) for e in exchanges], products=products, digest=digest)


def literal(records: ir.Records, exchanges: Sequence[ir.Exchange]) -> str:
    """The IR as Python text, in the names of `ir`: what the run time reads instead of parsing and checking the specs again."""
    named = tuple(_named(e) for e in exchanges)
    return render(
        "ir.py.j2",
        sources=[_source(records.file), *(e.file for e in named)],
        records=repr(dataclasses.replace(records, file=_source(records.file))),
        exchanges=[repr(e) for e in named],
    )


def generate(records: ir.Records, exchanges: Sequence[ir.Exchange], digest: str = "") -> dict[str, str]:
    """Every generated file: name → text. `digest` is what the extension will answer when asked what it was made of."""
    return dict(files(records, exchanges, digest))


def files(records: ir.Records, exchanges: Sequence[ir.Exchange], digest: str = "") -> Iterator[tuple[str, str]]:
    """The same one by one, so that what is there can be compiled while the rest is made: headers first, then what takes longest."""
    yield RECORDS_HEADER, records_header(records)
    yield READER_HEADER, reader_header(records)
    relative = dataclasses.replace(records, file=_source(records.file))
    for exchange in exchanges:
        name = identifier(exchange.name)
        named = _named(exchange)
        yield f"k4_{name}_fast.c", fast.render_exchange(named, relative)
        yield f"k4_{name}.c", tolerant.render_exchange(named, relative)
        if (binary := sbegen.render_exchange(named, relative)) is not None:
            yield f"k4_{name}_sbe.c", binary
    yield PRODUCTS, products_source(exchanges, digest)
    yield LITERAL, literal(records, exchanges)


def _named(exchange: ir.Exchange) -> ir.Exchange:
    """The exchange with its files as banners name them."""
    schemas = tuple(dataclasses.replace(schema, file=_source(schema.file)) for schema in exchange.schemas)
    return dataclasses.replace(exchange, file=_source(exchange.file), schemas=schemas)


def _amalgamate(name: str, made: dict[str, str], used: list[str]) -> str:
    """A header with the project's own includes put in place of their lines, each at the first place that wants it."""
    used.append(name)
    text = made[name] if name in made else (places.csrc() / name).read_text(encoding="utf-8")
    return _OWN_INCLUDE.sub(lambda match: "" if match[1] in used else _amalgamate(match[1], made, used), text)


def _bit_names(enum: ir.EnumType) -> list[str]:
    """Names by bit position, "" where a position has none."""
    names = {number: name for name, number in enum.values}
    return [names.get(i, "") for i in range(max(names) + 1)]


def _source(file: str) -> str:
    """A source's name in a banner: where it was checked out is nobody's business, and would change the bytes."""
    path = Path(file)
    parent = places.schema()
    return f"schema/{path.relative_to(parent)}" if path.is_relative_to(parent) else path.name
