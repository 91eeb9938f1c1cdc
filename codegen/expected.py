"""What an example gives beside what its `expect` says: both as plain values, compared as numbers where fields are numbers.

May import `about`, `fields`, `ir`, `reference`, `refvalue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from . import fields
from .about import About
from .reference import Record
from .refvalue import Place, identity

Scalar = str | int | bool | Decimal
Value = Scalar | tuple[Scalar | None, ...]

_DECIMALS = ("price", "qty", "decimal")
_INTEGERS = ("time", "integer", "count", "id")
_FLAGS = ("reset", "backfill", "snapshot")


# --------------------------------------------------------------------------- what was decoded


def market(record: Record, about: About) -> dict[str, Value]:
    """The fields of a record that are present, and the flags that the message gives."""
    records = about.spec.records
    rules = {rule.name: rule for rule in fields.rules(record.record, records)}
    bits = {name.lower(): 1 << bit for name, bit in records.enum("Flag").values}
    values: dict[str, Value] = {"symbol": record.symbol}
    if len(about.message.records) > 1:
        values["record"] = record.record
    given = about.given()
    values |= {name: bool(record.flags & bits[name]) for name in _FLAGS if name in given}
    for name, value in record.values.items():
        rule = rules.get(name)
        if rule is None or value is None:
            continue
        exponent = {"price": record.price_exp, "qty": record.qty_exp}.get(rule.kind)
        if isinstance(value, list):
            values[name] = tuple(_scaled(item, exponent) for item in value)
        elif rule.kind == "enum":
            values[name] = rule.results[value]
        else:
            scaled = _scaled(value, exponent)
            if scaled is not None:
                values[name] = scaled
    return values


def _scaled(value: int | None, exponent: int | None) -> Scalar | None:
    return value if value is None or exponent is None else Decimal(value).scaleb(exponent)


def texts(read: Mapping[str, str], about: About) -> dict[str, Value]:
    """The fields of a message that is no market record."""
    return {name: text for name, text in read.items() if name in about.rules}


def row(values: Mapping[str, object], about: About) -> dict[str, Value]:
    """A row of what was fetched, each value as its field's type."""
    out: dict[str, Value] = {}
    for name, value in values.items():
        rule = about.rules.get(name)
        if isinstance(value, bool):
            out[name] = value
        elif rule is not None and rule.kind in (*_DECIMALS, *_INTEGERS):
            out[name] = _number(str(value), rule.kind) or str(value)
        else:
            out[name] = str(value)
    return out


# --------------------------------------------------------------------------- what was expected


def differences(actual: Mapping[str, Value], expect: Mapping[str, object], about: About) -> list[str]:
    """What of a record is otherwise than `expect` says, and what `expect` leaves out though the message gives it."""
    wrong: list[str] = []
    order = [name for name in ("record", *about.rules) if name in actual or name in expect]
    order += [name for name in (*expect, *actual) if name not in order]
    for name in dict.fromkeys(order):
        value = actual.get(name)
        if name not in expect:
            if value is not None and not _nothing(name, value, about) and _must_tell(name, about):
                wrong.append(f"expect is not complete: {name} is {show(value)}; write {name} = {show(value)}")
            continue
        wanted = expect[name]
        if value is None and wanted != "":
            wrong.append(f"{name} is absent, expect says {_shown(wanted)}")
        elif value is not None and not _same(name, value, wanted, about):
            wrong.append(f"{name} is {show(value)}, expect says {_shown(wanted)}")
    return wrong


def _nothing(name: str, value: Value | None, about: About) -> bool:
    """Counts of levels that have none: nothing is given there."""
    rule = about.rules.get(name)
    counts = rule is not None and rule.kind == "count"
    return counts and isinstance(value, tuple) and all(item is None for item in value)


def _must_tell(name: str, about: About) -> bool:
    rule = about.rules.get(name)
    if about.message.record == "vars":
        return name in {field.name for field in about.message.fields}
    return rule is not None and not rule.kept and name in {*about.given(), *_sided(about)}


def _sided(about: About) -> tuple[str, ...]:
    """A book told by side gives both sides."""
    return fields.LEVEL_NEEDED if "side" in about.given() else ()


def _same(name: str, value: Value, wanted: object, about: About) -> bool:
    if isinstance(value, tuple):
        if not isinstance(wanted, tuple) or len(value) != len(wanted):
            return False
        return all(one == "" if item is None else _same(name, item, one, about) for item, one in zip(value, wanted, strict=True))
    if isinstance(wanted, tuple | dict):
        return False
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    rule = about.rules.get(name)
    if isinstance(value, Decimal | int):
        return value == _number(str(wanted), rule.kind if rule else "decimal")
    return value == str(wanted)


def _number(text: str, kind: str) -> Decimal | int | None:
    """The number a text of `expect` stands for; an id that is no number is its hash."""
    if kind == "id":
        return identity(Place(text, 0))[0]
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def show(value: Value | None) -> str:
    """A value as findings print it: decimals with the digits they have."""
    if isinstance(value, tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f'"{value:f}"'
    return f'"{value}"' if isinstance(value, str) else '""' if value is None else str(value)


def _shown(wanted: object) -> str:
    if isinstance(wanted, tuple):
        return "[" + ", ".join(_shown(item) for item in wanted) + "]"
    if isinstance(wanted, bool):
        return "true" if wanted else "false"
    return f'"{wanted}"' if isinstance(wanted, str) else str(wanted)


def spelled(record: Mapping[str, Value]) -> str:
    """A record as `expect` would write it."""
    return "{ " + ", ".join(f"{name} = {show(value)}" for name, value in record.items()) + " }"
