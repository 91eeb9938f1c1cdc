"""From the fields of an element to records: what is needed, what follows from what, flags, common exponents.

Field errors count in record order (docs/decoding.md, rule 7), alignment after all fields are read (rule 11). May import `ir` and the
`ref*` modules below it.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import ir
from .refbook import Update, fit
from .reffields import Checksum, Fields, Gone, Id, Level, Sides, Value
from .refvalue import INT32_MAX, Dec, RefusedError, UnfitError, align, symbol

NO_LIMIT = 1 << 30
_OWN = frozenset({"index", "flags", "exponent", "pad", "level_count"})
_LEVEL_NAMES = ("bid_price", "bid_qty", "ask_price", "ask_qty", "bid_count", "ask_count")

Scalar = int | bool | None
Values = dict[str, Scalar | list[int | None]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `values`: event_ns, engine_ns and the own fields in the order of the schema, without pads; prices and quantities as
    mantissas of `price_exp` and `qty_exp`, lists cut to their levels, enums as numbers, None for absent. `flags`: bits as in the schema."""

    record: str
    message: int
    symbol: str
    flags: int
    values: Values
    price_exp: int
    qty_exp: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An element that was read without error. `sides`: for what is made of levels; `update`: for a book."""

    symbol: str
    flags: frozenset[str]
    values: dict[str, Value | None]
    sides: Sides | None
    update: Update | None


def levels_of(records: ir.Records, word: str) -> int:
    """How many levels a side of this record has; 0 for a record that is not made of levels."""
    record = records.record(word)
    return 0 if record is None else record.levels


def members(record: ir.RecordType) -> tuple[ir.RecordField, ...]:
    """The members that a record's values are: times of the venue, then the own fields."""
    return tuple(f for f in record.fields if f.kind not in _OWN and f.name != "recv_ns")


class Drafter:
    """Reads elements of one message."""

    def __init__(self, records: ir.Records, message: ir.Message) -> None:
        self.records = records
        self.message = message
        self.depth = max(levels_of(records, word) for word in message.records)
        word = max(message.records, key=lambda name: levels_of(records, name))
        record = records.record(word)
        assert record is not None
        self.record = record

    def draft(self, reader: Fields) -> Draft:
        """All fields of an element. Raises RefusedError with the first field, in record order, that is wrong."""
        flags: set[str] = set()
        values: dict[str, Value | None] = {}
        name = symbol_of(reader)
        sides: Sides | None = None
        for member in members(self.record):
            if self.depth and member.name in _LEVEL_NAMES:
                book = self.message.book
                sides = sides or reader.sides(NO_LIMIT if book or reader.has("side") else self.depth, book)
                continue
            values[member.name] = self._value(reader, member, values)
            if member.name == "engine_ns":
                flags |= {flag.upper() for flag in ("backfill", "reset") if _flag(reader, flag)}
        update = self._update(reader, values, sides) if sides is not None and self.message.book else None
        if any(isinstance(value, Id) and value.hashed for value in values.values()):
            flags.add("HASHED_ID")
        return Draft(name, frozenset(flags), values, sides, update)

    def _value(self, reader: Fields, member: ir.RecordField, before: dict[str, Value | None]) -> Value | None:
        name = member.name
        value = _get(reader, name, member.kind or "integer")
        if not isinstance(value, Gone):
            if member.kind == "enum" and not isinstance(value, int):
                return self._enum(reader, member, str(value))
            return value
        if name == "count" and not reader.has("count"):
            return _count(reader, before)
        if member.needed and not reader.left_out(name):
            partner = _partner(name)
            if partner is not None and self.record.field(partner) is not None:
                if reader.present(partner):
                    raise RefusedError("missing", value.offset, name)
                return None
            if member.kind == "bool":
                raise RefusedError("missing", value.offset, name)
        if not value.allowed:
            raise RefusedError("missing", value.offset, name)
        return None

    def _enum(self, reader: Fields, member: ir.RecordField, word: str) -> int:
        names = dict(self.records.enum(member.enum or "").values)
        if word not in names:
            place = reader.place(member.name)
            raise RefusedError("unmapped", place.offset, member.name)
        return names[word]

    def _update(self, reader: Fields, values: dict[str, Value | None], sides: Sides) -> Update:
        snapshot = _get(reader, "snapshot", "bool")
        if isinstance(snapshot, Gone):
            raise RefusedError("missing", snapshot.offset, "snapshot")
        first_id, prev_id = (_optional_integer(reader, name) for name in ("first_id", "prev_id"))
        checksum = _get(reader, "checksum", "checksum")
        if isinstance(checksum, Gone) and not checksum.allowed:
            raise RefusedError("missing", checksum.offset, "checksum")
        update_id = values.get("update_id")
        fit(sides)
        return Update(
            snapshot is True,
            update_id if isinstance(update_id, int) else None,
            first_id,
            prev_id,
            checksum if isinstance(checksum, Checksum) else None,
            sides,
        )


def _get(reader: Fields, name: str, kind: str) -> Value | Gone:
    try:
        return reader.get(name, kind)
    except RefusedError as error:
        raise RefusedError(error.code, error.offset, name) from None


def symbol_of(reader: Fields) -> str:
    value = _get(reader, "symbol", "symbol")
    if isinstance(value, Gone):
        known = reader.names.get("symbol")
        if known is None or not value.allowed:
            raise RefusedError("missing", value.offset, "symbol")
        return symbol(known)
    return str(value)


def _flag(reader: Fields, name: str) -> bool:
    value = _get(reader, name, "bool")
    if isinstance(value, Gone) and not value.allowed:
        raise RefusedError("missing", value.offset, name)
    return value is True


def _optional_integer(reader: Fields, name: str) -> int | None:
    value = _get(reader, name, "integer")
    if isinstance(value, Gone):
        if not value.allowed:
            raise RefusedError("missing", value.offset, name)
        return None
    return value if isinstance(value, int) else None


def _partner(name: str) -> str | None:
    """The other half of a side of a quote."""
    side, _, half = name.partition("_")
    return f"{side}_{'qty' if half == 'price' else 'price'}" if side in ("bid", "ask") and half in ("price", "qty") else None


def _count(reader: Fields, values: dict[str, Value | None]) -> int | None:
    """Rule 19: how many trades an aggregate sums, where the venue only says which."""
    first, last = values.get("first_id"), values.get("last_id")
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    count = last - first + 1
    if not 1 <= count <= INT32_MAX:
        place = reader.place("last_id")
        raise RefusedError("range", place.offset, "count")
    return count


# --------------------------------------------------------------------------- records


def build(records: ir.Records, word: str, message: int, draft: Draft, sides: Sides | None, flags: frozenset[str]) -> Record:
    """The record `word` of a draft; `sides` are already cut to what it shall hold. Raises RefusedError `range` where no exponent fits."""
    record = records.record(word)
    assert record is not None
    values: dict[str, Value | list[Value | None] | None] = {}
    for field in record.fields:
        if field.kind == "level_count" and sides is not None:
            values[field.name] = len(_side(sides, field.name))
        elif field.kind not in _OWN and field.name != "recv_ns":
            values[field.name] = _member(field, draft, sides)
    names = set(draft.flags | flags)
    if not field_is_list(record, "bid_price") and {"bid_price", "ask_price"} <= values.keys():
        one_sided = any(values[f"{side}_price"] is None and values[f"{side}_qty"] is None for side in ("bid", "ask"))
        names |= {"ONE_SIDED"} if one_sided else set()
    exps = _align(values, record)
    bits = dict(records.enum("Flag").values)
    plain: Values = {}
    for name, value in values.items():
        plain[name] = [_plain(item) for item in value] if isinstance(value, list) else _plain(value)
    return Record(word, message, draft.symbol, sum(1 << bits[name] for name in names), plain, exps["price"], exps["qty"])


def field_is_list(record: ir.RecordType, name: str) -> bool:
    field = record.field(name)
    return field is not None and field.length > 0


def _side(sides: Sides, name: str) -> tuple[Level, ...]:
    return sides.bid if name.startswith("bid") else sides.ask


def _member(field: ir.RecordField, draft: Draft, sides: Sides | None) -> Value | list[Value | None] | None:
    if sides is None or field.name not in _LEVEL_NAMES:
        value = draft.values.get(field.name)
        return 0 if field.kind in ("enum", "bool") and value is None else value
    half = {"price": "price", "qty": "qty", "count": "orders"}[field.name.partition("_")[2]]
    column: list[Value | None] = [getattr(level, half) for level in _side(sides, field.name)]
    if field.length:
        return column[: field.length]
    return column[0] if column else None


def _align(values: dict[str, Value | list[Value | None] | None], record: ir.RecordType) -> dict[str, int]:
    """Brings prices and quantities to their exponents, in place. Of two that fail, the first value in record order is reported."""
    exps: dict[str, int] = {}
    unfit: list[tuple[int, Dec, str]] = []
    order: list[tuple[str, int | None, str]] = []  # (field, level, kind) of every decimal in record order
    for field in record.fields:
        if field.kind in ("price", "qty"):
            value = values[field.name]
            levels = range(len(value)) if isinstance(value, list) else (None,)
            order += [(field.name, i, field.kind) for i in levels]
    for kind in ("price", "qty"):
        places = [(at, name, i) for at, (name, i, of) in enumerate(order) if of == kind]
        decs = [_pick(values[name], i) for _, name, i in places]
        try:
            mantissas, exps[kind] = align([dec if isinstance(dec, Dec) else None for dec in decs])
        except UnfitError as error:
            at, name, _ = places[error.index]
            dec = decs[error.index]
            assert isinstance(dec, Dec)
            unfit.append((at, dec, name))
            continue
        for (_, name, i), mantissa in zip(places, mantissas, strict=True):
            _put(values, name, i, mantissa)
    if unfit:
        _, dec, name = min(unfit, key=lambda one: one[0])
        raise RefusedError("range", dec.offset, name)
    return exps


def _pick(value: Value | list[Value | None] | None, i: int | None) -> Value | None:
    if isinstance(value, list):
        assert i is not None
        return value[i]
    return value


def _put(values: dict[str, Value | list[Value | None] | None], name: str, i: int | None, mantissa: int | None) -> None:
    held = values[name]
    if isinstance(held, list):
        assert i is not None
        held[i] = mantissa
    else:
        values[name] = mantissa


def _plain(value: Value | None) -> int | bool | None:
    if isinstance(value, Id):
        return value.value
    assert value is None or isinstance(value, int)
    return value
