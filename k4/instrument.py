"""Instruments as a venue lists them: one record each, and the list of a product, in which they are found by either of their names.

    native    the venue's own symbol, whatever it looks like
    unified   BASE-QUOTE, BASE-QUOTE-PERP, BASE-QUOTE-YYMMDD: the same at every venue; options and what lacks a currency have none

Pure. Imports `errors`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from .errors import K4Error

# Room for any exact product of what venues write; what still does not fit is refused, never rounded.
_EXACT = Context(prec=60, traps=[InvalidOperation])
_CURRENCY = re.compile(r"[^\s*-]{1,24}")
MAX_TEXT = 48
MAX_DIGITS = 31


def is_symbol(text: str) -> bool:
    """Whether a segment can hold this as a symbol, and a log and a terminal show it: no blanks, no control characters."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return 1 <= size <= MAX_TEXT and not any(c <= " " or "\x7f" <= c <= "\xa0" for c in text)


@dataclass(frozen=True, slots=True)
class Instrument:
    """`kind`: spot, perpetual, future, option. Steps and sizes are decimal texts without an exponent. None: the venue does not say.

    `qty_unit`: what a quantity counts (base, quote, contract); one contract is `contract_size` of `contract_currency`.
    """

    symbol: str
    kind: str | None = None
    expiry_ns: int | None = None
    base: str | None = None
    quote: str | None = None
    settle: str | None = None
    price_step: str | None = None
    qty_step: str | None = None
    contract_size: str | None = None
    contract_currency: str | None = None
    qty_unit: str | None = None
    trading: bool | None = None

    @property
    def unified(self) -> str | None:
        """The name that is the same at every venue."""
        if not (self.base and self.quote and _CURRENCY.fullmatch(self.base) and _CURRENCY.fullmatch(self.quote)):
            return None
        pair = f"{self.base}-{self.quote}".upper()
        if self.kind == "spot":
            return pair
        if self.kind == "perpetual":
            return f"{pair}-PERP"
        if self.kind == "future" and self.expiry_ns is not None:
            return f"{pair}-{datetime.fromtimestamp(self.expiry_ns // 1_000_000_000, UTC):%y%m%d}"
        return None

    def to_json(self) -> dict[str, object]:
        return {"symbol": self.symbol, "unified": self.unified, **{k: v for k, v in asdict(self).items() if k != "symbol"}}

    @staticmethod
    def from_json(values: Mapping[str, object]) -> Instrument:
        """What `to_json` gave. Raises ValueError where it is something else."""
        own = {name: values.get(name) for name in _NAMES}
        if not all(value is None or isinstance(value, _TYPES.get(name, str)) for name, value in own.items()) or not own["symbol"]:
            raise ValueError(f"not an instrument: {values!r}")
        return Instrument(**own)  # type: ignore[arg-type] # checked just now


_NAMES = tuple(field.name for field in fields(Instrument))
_TYPES = {"expiry_ns": int, "trading": bool}


def of_row(row: Mapping[str, object]) -> Instrument:
    """From a row of a fetched `instrument` message, its factors multiplied out. Raises ValueError for what is no instrument."""
    symbol = str(row.get("symbol", ""))
    if not is_symbol(symbol):
        raise ValueError(f"symbol {symbol!r}: 1 to {MAX_TEXT} bytes without blanks and control characters are wanted")
    kind, expiry = _text(row, "kind"), row.get("expiry_ns")
    expires = kind not in {"spot", "perpetual"} and isinstance(expiry, int) and 0 < expiry < 1 << 62
    return Instrument(
        symbol=symbol,
        kind=kind,
        expiry_ns=expiry if expires and isinstance(expiry, int) else None,  # a perpetual's is a day in the next century
        base=_text(row, "base"),
        quote=_text(row, "quote"),
        settle=_text(row, "settle"),
        price_step=_step(row, "price_step", "price_digits"),
        qty_step=_step(row, "qty_step", "qty_digits"),
        contract_size=_product(row, "contract_size", "contract_mult"),
        contract_currency=_text(row, "contract_currency"),
        qty_unit=_text(row, "qty_unit"),
        trading=row["trading"] if isinstance(row.get("trading"), bool) else None,  # type: ignore[arg-type] # a bool, as asked
    )


def _text(row: Mapping[str, object], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not (str(value).isprintable() and len(str(value)) <= MAX_TEXT):
        raise ValueError(f"{name} is {str(value)[:MAX_TEXT]!r}")
    return None if value is None else str(value)


def _decimal(row: Mapping[str, object], name: str) -> Decimal | None:
    value = row.get(name)
    return None if value is None else Decimal(str(value))


def _step(row: Mapping[str, object], step: str, digits: str) -> str | None:
    """A step, 1 where only its digits are told. A step of 0 says that there is none."""
    shift, value = _decimal(row, digits), _decimal(row, step)
    if shift is None and value is None:
        return None
    if shift is not None and not -30 <= shift <= 30:
        raise ValueError(f"{digits} is {shift}")
    return _spelled(_EXACT.scaleb(Decimal(1) if value is None else value, -int(shift or 0)))


def _product(row: Mapping[str, object], size: str, factor: str) -> str | None:
    value, times = _decimal(row, size), _decimal(row, factor)
    if value is None:
        return None
    return _spelled(value if times is None else _EXACT.multiply(value, times))


def _spelled(value: Decimal) -> str | None:
    """Without an exponent and without zeros at the end of a fraction; None for what is not positive."""
    if value <= 0:
        return None
    if value.is_finite() and abs(value.adjusted()) <= MAX_DIGITS:  # before it is written out: 1e999999 would be
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        if len(text) <= MAX_DIGITS:
            return text
    raise ValueError(f"{value!s:.40} has more digits than a segment's symbol entry")


class Listing:
    """The instruments of a product. `fetched_ns`: when the venue was asked, ns since 1970 UTC."""

    def __init__(self, instruments: Iterable[Instrument], fetched_ns: int) -> None:
        self.instruments = tuple(instruments)
        self.fetched_ns = fetched_ns
        self._native = {one.symbol: one for one in self.instruments}
        self._unified: dict[str, list[Instrument]] = {}
        for one in self.instruments:
            if (name := one.unified) is not None:
                self._unified.setdefault(name, []).append(one)

    def native(self, symbol: str) -> Instrument | None:
        return self._native.get(symbol)

    def unified(self, name: str) -> tuple[Instrument, ...]:
        """Those of this unified name: where there are several, those that are traded."""
        found = self._unified.get(name, [])
        trading = [one for one in found if one.trading is not False]
        return tuple(trading if len(found) > 1 and trading else found)

    def names(self) -> list[str]:
        """Every name by which an instrument is found."""
        return [*self._native, *self._unified]

    def to_json(self) -> dict[str, object]:
        return {"fetched_ns": self.fetched_ns, "instruments": [one.to_json() for one in self.instruments]}

    @staticmethod
    def from_json(value: Any) -> Listing:
        """What `to_json` gave. Raises K4Error where it is something else."""
        try:
            return Listing([Instrument.from_json(one) for one in value["instruments"]], int(value["fetched_ns"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise K4Error(f"a list of instruments is damaged: {error}") from error
