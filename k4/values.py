"""Records as light Python objects over their bytes: members are read when asked for, prices and quantities as exact Decimals.

May import `record` and, of the generator, `ir`.
"""

from __future__ import annotations

import enum
import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Protocol

from . import record as text
from ._codegen import ir

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMATS = {"byte": "b", "ubyte": "B", "bool": "?", "short": "h", "ushort": "H", "int": "i", "uint": "I", "long": "q", "ulong": "Q"}
_INT64_MIN = -(1 << 63)
_DECIMAL = frozenset({"price", "qty"})
_CONVERT = Context(prec=34)
_EXACT = Context(prec=64)  # room for every int64, whatever precision the program works with

Value = int | bool | str | Decimal | enum.IntFlag | tuple[int | Decimal | None, ...] | None


class Owner(Protocol):
    """Where a record comes from."""

    @property
    def kind(self) -> Kind: ...

    def symbol_of(self, instrument: int) -> tuple[str, str, str]: ...

    def unit_of(self, instrument: int) -> tuple[str, str]: ...


class _Member:
    """How one member is read."""

    __slots__ = ("absent", "count", "exponent", "kind", "levels", "name", "names", "offset", "unpack")

    def __init__(self, records: ir.Records, kind: ir.RecordType, field: ir.RecordField) -> None:
        self.name = field.name
        self.offset = field.offset
        self.count = field.length
        self.kind = field.kind
        self.unpack: Callable[[bytes, int], tuple[int, ...]] = struct.Struct(f"<{field.length or ''}{_FORMATS[field.scalar]}").unpack_from
        self.absent = -1 if field.kind == "count" else None if field.kind in {"flags", "index", "enum", "bool"} else _INT64_MIN
        self.exponent = _offset(kind, f"{field.kind}_exp") if field.kind in _DECIMAL else -1
        self.levels = _offset(kind, f"{field.name.partition('_')[0]}_levels") if field.length else -1
        self.names = {number: name for name, number in records.enum(field.enum).values} if field.enum and field.kind != "flags" else {}


def _offset(kind: ir.RecordType, name: str) -> int:
    field = kind.field(name)
    return -1 if field is None else field.offset


class Kind:
    """A record type, ready to read its members: shared by all records of a reader."""

    __slots__ = ("flag_type", "members", "record_type", "records")

    def __init__(self, records: ir.Records, record_type: ir.RecordType) -> None:
        self.records = records
        self.record_type = record_type
        self.members = {f.name: _Member(records, record_type, f) for f in record_type.fields if f.kind != "pad"}
        self.flag_type = enum.IntFlag("Flag", {name: 1 << bit for name, bit in records.enum("Flag").values})  # type: ignore[misc]

    @property
    def word(self) -> str:
        """bbo, trade, ..."""
        return self.record_type.word


class Record:
    """A record of a segment, `sequence` its place in it. Members have the schema's names.

    Prices and quantities are Decimals with exactly the digits of the record's exponent, levels tuples cut to their number, times ns since
    1970 UTC; absent is None. `flags` is an IntFlag, enums are names. Beside them: `symbol`, `exchange`, `product`.
    """

    __slots__ = ("_owner", "data", "sequence")

    def __init__(self, owner: Owner, sequence: int, data: bytes) -> None:
        self._owner = owner
        self.sequence = sequence
        self.data = data

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> object: ...

        instrument: int
        source: int
        flags: enum.IntFlag
        event_ns: int | None
        engine_ns: int | None
        recv_ns: int | None
        price_exp: int
        qty_exp: int

    else:

        def __getattr__(self, name: str) -> Value:
            member = self._owner.kind.members.get(name)
            if member is None:
                kind = self._owner.kind
                raise AttributeError(f"a {kind.word} record has no member {name!r}; it has {', '.join(kind.members)}")
            return self._value(member)

    def _value(self, member: _Member) -> Value:
        raw = member.unpack(self.data, member.offset)
        if member.count:
            if member.levels >= 0:
                raw = raw[: self.data[member.levels]]
            return tuple(self._one(member, value) for value in raw)
        if member.kind == "flags":
            flags: enum.IntFlag = self._owner.kind.flag_type(raw[0])
            return flags
        if member.names:
            return member.names.get(raw[0], raw[0])
        return self._one(member, raw[0])

    def _one(self, member: _Member, value: int) -> int | Decimal | None:
        if value == member.absent:
            return None
        if member.exponent < 0:
            return value
        exponent = _signed(self.data[member.exponent])
        return _EXACT.scaleb(Decimal(value), exponent) if exponent <= 0 else Decimal(value * 10**exponent)

    def mantissa(self, name: str) -> int | tuple[int | None, ...] | None:
        """A price's or quantity's integer: the value is mantissa * 10 ** price_exp (qty_exp). Levels as a tuple; absent is None."""
        member = self._decimal(name)
        raw = member.unpack(self.data, member.offset)
        if not member.count:
            return None if raw[0] == member.absent else raw[0]
        return tuple(None if value == member.absent else value for value in raw[: self.data[member.levels]])

    def float(self, name: str) -> float | tuple[float | None, ...] | None:
        """A price or quantity as the nearest float. Levels as a tuple; absent is None."""
        exponent = _signed(self.data[self._decimal(name).exponent])
        whole = self.mantissa(name)
        if isinstance(whole, tuple):
            return tuple(_float(value, exponent) for value in whole)
        return _float(whole, exponent)

    def base(self, name: str) -> Decimal | tuple[Decimal | None, ...] | None:
        """A quantity in base currency, as its symbol's entry says to convert it, with 34 digits; levels as a tuple.

        None: absent, or what quantities count is not known there.
        """
        return self._converted(name, "base")

    def quote(self, name: str) -> Decimal | tuple[Decimal | None, ...] | None:
        """The same in quote currency."""
        return self._converted(name, "quote")

    def _converted(self, name: str, into: str) -> Decimal | tuple[Decimal | None, ...] | None:
        if self._decimal(name).kind != "qty":
            raise AttributeError(f"{name!r} is a price; quantities are converted")
        unit, size = self._owner.unit_of(self.instrument)
        factor = Decimal(size or 1)
        qtys, prices = getattr(self, name), getattr(self, name.replace("qty", "price"))

        def one(qty: Decimal | None, price: Decimal | None) -> Decimal | None:
            if qty is None or unit not in {"base", "quote"}:
                return None
            value = _CONVERT.multiply(qty, factor)
            if unit == into:
                return value
            if price is None or not price:
                return None
            return _CONVERT.multiply(value, price) if into == "quote" else _CONVERT.divide(value, price)

        if isinstance(qtys, tuple):
            return tuple(one(qty, price) for qty, price in zip(qtys, prices, strict=True))
        return one(qtys, prices)

    def _decimal(self, name: str) -> _Member:
        member = self._owner.kind.members.get(name)
        if member is None or member.kind not in _DECIMAL:
            wanted = ", ".join(m.name for m in self._owner.kind.members.values() if m.kind in _DECIMAL)
            raise AttributeError(f"{name!r} is no price or quantity of a {self._owner.kind.word} record; those are {wanted}")
        return member

    @property
    def exchange(self) -> str:
        return self._owner.symbol_of(self.instrument)[0]

    @property
    def product(self) -> str:
        return self._owner.symbol_of(self.instrument)[1]

    @property
    def symbol(self) -> str:
        """The venue's own name."""
        return self._owner.symbol_of(self.instrument)[2]

    def to_json(self) -> dict[str, object]:
        """The record as `k4 tail --json` prints it."""
        kind = self._owner.kind
        exchange, product, symbol = self._owner.symbol_of(self.instrument)
        shown = text.to_json(kind.records, kind.record_type, self.data)
        return {"record": kind.word, "exchange": exchange, "product": product, "symbol": symbol, **shown}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.to_json().items() if name not in {"record", "exchange", "product"})
        return f"<{self._owner.kind.word} {self.sequence}: {shown}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self.sequence == other.sequence and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.sequence, self.data))


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _float(mantissa: int | None, exponent: int) -> float | None:
    """The quotient of two integers is correctly rounded; a float power of ten would not be."""
    if mantissa is None:
        return None
    return mantissa / 10**-exponent if exponent < 0 else float(mantissa * 10**exponent)
