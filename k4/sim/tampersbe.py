"""Changes SBE messages that are to be told, at the places that the schema names. Imports `tamper` and, of the generator, `ir`."""

from __future__ import annotations

from collections.abc import Callable

from k4._codegen import ir
from k4.sim.tamper import Alter, Out, Told

# What changes a message given its bytes, its schema and what it is; None: it has no such thing.
Change = Callable[[bytearray, ir.SbeSchema, ir.SbeMessage], bytes | bytearray | None]


def sbe(change: Change) -> Alter:
    def alter(told: Told) -> Out | None:
        schema = told.schema
        template = None if schema is None or told.message.template is None else schema.message(told.message.template)
        if schema is None or template is None or not isinstance(told.said, bytes):
            return None
        changed = change(bytearray(told.said), schema, template)
        return None if changed is None else [(0.0, bytes(changed))]

    return alter


def short(data: bytearray, _: ir.SbeSchema, __: ir.SbeMessage) -> bytes:
    return bytes(data[: len(data) // 2])


def tail(data: bytearray, _: ir.SbeSchema, __: ir.SbeMessage) -> bytes:
    return bytes(data) + b"\0\0\0"


def schema_id(data: bytearray, schema: ir.SbeSchema, _: ir.SbeMessage) -> bytearray:
    return _put(data, schema.schema, 0, _get(data, schema.schema, 0, schema) ^ 1, schema)


def template_id(data: bytearray, schema: ir.SbeSchema, _: ir.SbeMessage) -> bytearray:
    return _put(data, schema.template, 0, _most(schema.template), schema)


def version(data: bytearray, schema: ir.SbeSchema, _: ir.SbeMessage) -> bytearray:
    return _put(data, schema.acting, 0, schema.version + 1, schema)


def block(data: bytearray, schema: ir.SbeSchema, _: ir.SbeMessage) -> bytearray:
    return _put(data, schema.block, 0, 1, schema)


def group(data: bytearray, schema: ir.SbeSchema, template: ir.SbeMessage) -> bytearray | None:
    """As many entries as can be said, of no bytes each."""
    if not template.body.groups:
        return None
    first = template.body.groups[0]
    at = schema.header + _get(data, schema.block, 0, schema)
    _put(data, first.block, at, 0, schema)
    return _put(data, first.count, at, _most(first.count), schema)


def exponent(data: bytearray, schema: ir.SbeSchema, template: ir.SbeMessage) -> bytearray | None:
    """Every exponent of the message itself becomes 127, or -128 where that would be its null."""
    names = {one.exponent for one in template.body.fields if isinstance(one.exponent, str)}
    fields = [one for one in template.body.fields if one.name in names and one.constant is None and one.primitive == "int8"]
    for one in fields:
        data[schema.header + one.offset] = 0x80 if one.null == 127 else 0x7F
    return data if fields else None


def _most(size: ir.SbeSize) -> int:
    return int((1 << 8 * ir.SBE_SIZES[size.primitive]) - 1)


def _get(data: bytearray, size: ir.SbeSize, start: int, schema: ir.SbeSchema) -> int:
    at = start + size.offset
    raw = bytes(data[at : at + ir.SBE_SIZES[size.primitive]])
    return int.from_bytes(raw, "big" if schema.big_endian else "little")


def _put(data: bytearray, size: ir.SbeSize, start: int, value: int, schema: ir.SbeSchema) -> bytearray:
    at, width = start + size.offset, ir.SBE_SIZES[size.primitive]
    data[at : at + width] = value.to_bytes(width, "big" if schema.big_endian else "little")
    return data
