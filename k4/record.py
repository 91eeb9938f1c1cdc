"""Records as Python values and as JSON: one road for bytes (from shared memory or the compiled parsers) and for what the reference gives.

Numbers stay exact: a mantissa and its exponent become the digits they are. May import, of the generator, `ir`, and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

from ._codegen import ir

INT64_MIN = -(1 << 63)
_FORMATS = {
    "byte": "b", "ubyte": "B", "bool": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "long": "q", "ulong": "Q",
    "float": "f", "double": "d",
}  # fmt: skip
_FEED_KINDS = frozenset({"index", "flags", "exponent", "pad"})
_ABSENT = {"time": INT64_MIN, "price": INT64_MIN, "qty": INT64_MIN, "id": INT64_MIN, "integer": INT64_MIN, "count": -1}

Scalar = int | bool | None
Values = Mapping[str, "Scalar | list[int | None]"]


def unpack(record: ir.RecordType, data: bytes) -> dict[str, Scalar | list[int | None]]:
    """The members of a record's bytes by name, pads left out: absent as None, level lists cut to their levels, bools as bool.

    Raises ValueError when `data` is not as long as the record.
    """
    if len(data) != record.size:
        raise ValueError(f"a {record.word} record is {record.size} bytes, not {len(data)}")
    flat = iter(_layout(record).unpack(data))
    raw = {f.name: tuple(next(flat) for _ in range(f.length)) if f.length else next(flat) for f in record.fields}
    values: dict[str, Scalar | list[int | None]] = {}
    for field in record.fields:
        if field.kind == "pad":
            continue
        value = raw[field.name]
        if isinstance(value, tuple):
            levels = raw[f"{field.name.partition('_')[0]}_levels"]
            cut = value[:levels] if isinstance(levels, int) else value
            values[field.name] = [_present(field, item) for item in cut]
        else:
            values[field.name] = bool(value) if field.scalar == "bool" else _present(field, value)
    return values


def to_json(records: ir.Records, record: ir.RecordType, data: bytes) -> dict[str, object]:
    """A record's bytes as the object tools print: instrument, source, recv_ns and exponents beside what `fields_json` gives."""
    values = unpack(record, data)
    price_exp, qty_exp, flags = (_int(values[name]) for name in ("price_exp", "qty_exp", "flags"))
    own = fields_json(records, record, values, flags, price_exp, qty_exp)
    first = {name: values[name] for name in ("instrument", "source")}
    times = {name: own.pop(name) for name in ("event_ns", "engine_ns")}
    return {
        **first, "flags": own.pop("flags"), **times, "recv_ns": values["recv_ns"], "price_exp": price_exp, "qty_exp": qty_exp, **own,
    }  # fmt: skip


def fields_json(records: ir.Records, record: ir.RecordType, values: Values, flags: int, price_exp: int, qty_exp: int) -> dict[str, object]:
    """event_ns, engine_ns, flags, then the own fields in the order of the schema; decimals as text with exactly -exponent fraction
    digits, enums and flags by name, absent as null."""
    shown: dict[str, object] = {"event_ns": values["event_ns"], "engine_ns": values["engine_ns"], "flags": flag_names(records, flags)}
    exps = {"price": price_exp, "qty": qty_exp}
    for field in record.fields:
        if field.kind in _FEED_KINDS or field.kind == "time":
            continue
        value = values[field.name]
        if field.kind in exps:
            exp = exps[field.kind]
            shown[field.name] = [_decimal(item, exp) for item in value] if isinstance(value, list) else _decimal(value, exp)
        elif field.enum:
            shown[field.name] = _enum_name(records, field.enum, _int(value))
        else:
            shown[field.name] = value
    return shown


def flag_names(records: ir.Records, flags: int) -> list[str]:
    """The names of the bits that are set, lowest first."""
    return [name for name, bit in sorted(records.enum("Flag").values, key=lambda one: one[1]) if flags >> bit & 1]


def decimal_text(mantissa: int, exp: int) -> str:
    """mantissa * 10^exp with exactly -exp fraction digits."""
    if exp >= 0:
        return str(mantissa * 10**exp)
    digits = str(abs(mantissa)).rjust(1 - exp, "0")
    return f"{'-' if mantissa < 0 else ''}{digits[:exp]}.{digits[exp:]}"


def _decimal(mantissa: Scalar | list[int | None], exp: int) -> str | None:
    return None if mantissa is None else decimal_text(_int(mantissa), exp)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _present(field: ir.RecordField, value: int) -> int | None:
    return None if value == _ABSENT.get(field.kind) else value


def _enum_name(records: ir.Records, enum: str, number: int) -> str | int:
    """The name; a number that a newer writer knows and this schema does not stays a number."""
    return next((name for name, value in records.enum(enum).values if value == number), number)


# --------------------------------------------------------------------------- layout


@lru_cache
def _layout(record: ir.RecordType) -> struct.Struct:
    """Little-endian, no padding of its own: the schema names every pad."""
    return struct.Struct("<" + "".join(f"{field.length or ''}{_FORMATS[field.scalar]}" for field in record.fields))
