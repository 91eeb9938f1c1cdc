"""What the text of a value means: decimals, integers, ids, times, symbols. Rules 10 to 19 of docs/decoding.md, in plain Python.

Every reader takes a `Place` (a text and where it stands) and gives a value or raises `RefusedError`. Slow and obvious on purpose: the
generated parsers are compared with this. May import `refjson`, `xxh64`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .refjson import LITERAL, NUMBER, STRING, Node, is_text
from .xxh64 import xxh64

INT64_MAX = (1 << 63) - 1
INT32_MAX = (1 << 31) - 1
SYMBOL_MAX = 48
MAX_FRACTION = 128

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NATURAL = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))", re.ASCII
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_UNIT_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}  # power of ten that makes it nanoseconds
_AUTO_UNIT = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_ENORMOUS = 100_000  # digits of an exponent's effect past which only "does not fit" is left to say


class RefusedError(Exception):
    """This value refuses its element: `code` as docs/decoding.md names it, `offset` its place in the frame, `field` whose value it is."""

    def __init__(self, code: str, offset: int, field: str | None = None) -> None:
        super().__init__(f"{code} at byte {offset}")
        self.code = code
        self.offset = offset
        self.field = field


@dataclass(frozen=True, slots=True)
class Place:
    """A text and the byte it is reported at. `kind`: string, number or literal as in refjson, or `object`/`array` (no text then)."""

    text: str
    offset: int
    kind: str = STRING

    @classmethod
    def of(cls, node: Node) -> Place:
        return cls(node.text, node.start, node.kind)

    @property
    def scalar(self) -> bool:
        return self.kind in (STRING, NUMBER, LITERAL)


@dataclass(frozen=True, slots=True)
class Dec:
    """A decimal, digit for digit: value = digits * 10^-fraction; `fraction` is never negative. `text`: as received."""

    digits: int
    fraction: int
    offset: int
    text: str = ""

    @property
    def least_fraction(self) -> int:
        """The fraction digits it needs: trailing zeros of the fraction do not count."""
        digits, fraction = self.digits, self.fraction
        if digits == 0:
            return 0
        while fraction and digits % 10 == 0:
            digits //= 10
            fraction -= 1
        return fraction

    def at(self, fraction: int) -> int | None:
        """The mantissa with that many fraction digits, at least `least_fraction` of them; None if it does not fit int64."""
        if self.digits == 0:
            return 0
        shift = fraction - self.fraction
        if shift > 40:
            return None
        mantissa = self.digits * 10**shift if shift >= 0 else self.digits // 10**-shift
        return mantissa if abs(mantissa) <= INT64_MAX else None

    @property
    def key(self) -> tuple[int, int]:
        """Equal for equal values."""
        least = self.least_fraction
        return (0, 0) if self.digits == 0 else (self.digits // 10 ** (self.fraction - least), least)


def decimal(place: Place, shift: int = 0) -> Dec:
    """Rule 11. `shift` moves the decimal point, as the word e-4 does with -4."""
    match = _DECIMAL.fullmatch(place.text) if place.kind in (STRING, NUMBER) else None
    if match is None:
        raise RefusedError("type", place.offset)
    sign, whole, fraction, exponent = match.groups()
    digits = _whole(whole + (fraction or ""))
    places = len(fraction or "") - _exponent(exponent or "0") - shift
    if places < 0:
        # 10^-places would be a number nobody can hold; any that is too large for int64 says the same.
        digits *= 10 ** min(-places, 40)
        places = 0
    elif digits and places > _ENORMOUS:
        places = _ENORMOUS
    return Dec(-digits if sign else digits, places, place.offset, place.text)


class UnfitError(Exception):
    """No common exponent holds all values: `index` is the first that does not fit."""

    def __init__(self, index: int) -> None:
        super().__init__(f"value {index} does not fit")
        self.index = index


def align(values: Sequence[Dec | None]) -> tuple[list[int | None], int]:
    """All values of one kind in a record at their common exponent: (mantissas, exponent). Raises UnfitError (rule 11)."""
    present = [value for value in values if value is not None]
    fraction = max((value.fraction for value in present), default=0)
    least = max((value.least_fraction for value in present), default=0)
    if fraction > MAX_FRACTION:
        fraction = max(least, MAX_FRACTION)
    while fraction > least and any(value.at(fraction) is None for value in present):
        fraction -= 1
    for i, dec in enumerate(values):
        if dec is not None and dec.at(fraction) is None:
            raise UnfitError(i)
    if fraction > MAX_FRACTION:
        raise UnfitError(next(i for i, dec in enumerate(values) if dec is not None and dec.least_fraction > MAX_FRACTION))
    return [None if value is None else value.at(fraction) for value in values], -fraction


def integer(place: Place) -> int:
    """Rule 12: int64 without INT64_MIN."""
    if place.kind not in (STRING, NUMBER) or not _INTEGER.fullmatch(place.text):
        raise RefusedError("type", place.offset)
    value = _bounded(place.text)
    if abs(value) > INT64_MAX:
        raise RefusedError("range", place.offset)
    return value


def count(place: Place) -> int:
    """Rule 12: a number of orders or trades, an int32 that is not negative."""
    value = integer(place)
    if not 0 <= value <= INT32_MAX:
        raise RefusedError("range", place.offset)
    return value


def identity(place: Place) -> tuple[int, bool]:
    """Rule 13: (id, whether it is the hash of a text)."""
    if place.kind == NUMBER:
        if not _NATURAL.fullmatch(place.text):
            raise RefusedError("type", place.offset)
        value = _bounded(place.text)
        if value > INT64_MAX:
            raise RefusedError("range", place.offset)
        return value, False
    if place.kind != STRING:
        raise RefusedError("type", place.offset)
    if _NATURAL.fullmatch(place.text):
        value = _bounded(place.text)
        if value <= INT64_MAX:
            return value, False
    if not is_text(place.text):
        raise RefusedError("utf8", place.offset)
    return xxh64(place.text.encode()) & INT64_MAX, True


def _bounded(text: str) -> int:
    """An integer without leading zeros. int() refuses thousands of digits; past 64 bits it only counts that it is too large."""
    return int(text[:40])


def _whole(digits: str) -> int:
    """int() of any number of digits."""
    value = 0
    for at in range(0, len(digits), 4000):
        piece = digits[at : at + 4000]
        value = value * 10 ** len(piece) + int(piece)
    return value


def _exponent(text: str) -> int:
    """An exponent, which may have a sign and leading zeros."""
    value = int(text.lstrip("+-").lstrip("0")[:40] or "0")
    return -value if text.startswith("-") else value


def truth(place: Place) -> bool:
    """Rule 15, without a map: the literals true and false. A constant or a captured text may spell them."""
    if place.kind == LITERAL:
        return place.text == "true"
    raise RefusedError("type", place.offset)


def word(place: Place) -> str:
    """A text: a string, or a number as written."""
    if place.kind not in (STRING, NUMBER):
        raise RefusedError("type", place.offset)
    if not is_text(place.text):
        raise RefusedError("utf8", place.offset)
    return place.text


def symbol(place: Place) -> str:
    """Rule 16: 1 to 48 bytes of UTF-8 without control characters."""
    text = word(place)
    if not 1 <= len(text.encode()) <= SYMBOL_MAX or any(c < " " or c == "\x7f" for c in text):
        raise RefusedError("symbol", place.offset)
    return text


def time_ns(place: Place, unit: str) -> int:
    """Rule 14: nanoseconds since 1970 of a time in `unit` (s ms us ns auto iso); what is finer than a nanosecond is cut off."""
    value = _iso(place) if unit == "iso" else _counted(place, unit)
    if abs(value) > INT64_MAX:
        raise RefusedError("range", place.offset)
    return value


def _counted(place: Place, unit: str) -> int:
    dec = decimal(place)
    whole = _cut(abs(dec.digits), dec.fraction)
    if whole > 10**19:
        raise RefusedError("range", place.offset)
    if unit == "auto":
        if len(str(whole)) not in _AUTO_UNIT:
            raise RefusedError("range", place.offset)
        unit = _AUTO_UNIT[len(str(whole))]
    ns = _cut(abs(dec.digits) * 10 ** _UNIT_DIGITS[unit], dec.fraction)
    return -ns if dec.digits < 0 else ns


def _cut(digits: int, fraction: int) -> int:
    return 0 if fraction > 5000 + digits.bit_length() else digits // 10**fraction


def _iso(place: Place) -> int:
    match = _ISO.fullmatch(place.text) if place.kind == STRING else None
    if match is None:
        raise RefusedError("type", place.offset)
    year, month, day, hour, minute, second = (int(match.group(i)) for i in range(1, 7))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2) or hour > 23 or minute > 59 or second > 59:
        raise RefusedError("type", place.offset)
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    if match.group(8):
        zone_hour, zone_minute = int(match.group(9)), int(match.group(10))
        if zone_hour > 23 or zone_minute > 59:
            raise RefusedError("type", place.offset)
        seconds -= (1 if match.group(8) == "+" else -1) * (zone_hour * 60 + zone_minute) * 60
    return seconds * 10**9 + int((match.group(7) or "0")[:9].ljust(9, "0"))


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar, counted from March so that the leap day is a year's last."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
