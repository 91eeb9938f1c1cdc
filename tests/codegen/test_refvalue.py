"""What single values mean: rules 11 to 16 of docs/decoding.md, one exact value per line, and decimals against the standard library."""

from __future__ import annotations

import ctypes.util
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k4._codegen.refvalue import (
    INT64_MAX,
    Dec,
    Place,
    RefusedError,
    UnfitError,
    align,
    count,
    decimal,
    identity,
    integer,
    symbol,
    time_ns,
    truth,
)
from k4._codegen.xxh64 import xxh64


def string(text: str) -> Place:
    return Place(text, 7, "string")


def number(text: str) -> Place:
    return Place(text, 7, "number")


def code(error: pytest.ExceptionInfo[RefusedError]) -> tuple[str, int]:
    return error.value.code, error.value.offset


@pytest.mark.parametrize(
    ("text", "digits", "fraction"),
    [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("10.50", 1050, 2),
        ("-2", -2, 0),
        ("1.50e1", 150, 1),
        ("1e2", 100, 0),
        ("1E-2", 1, 2),
        ("1.5e+0001", 15, 0),
        ("0.00", 0, 2),
        ("123456789012345678901234567890", 123456789012345678901234567890, 0),
        ("0e999999999999999999999", 0, 0),
    ],
)
@pytest.mark.parametrize("place", [string, number])
def test_decimal(place: Callable[[str], Place], text: str, digits: int, fraction: int) -> None:
    found = decimal(place(text))
    assert (found.digits, found.fraction) == (digits, fraction)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "1.", ".5", "01", "-", "1e", "1_000", "0x10", "NaN", "Infinity", "1,5", "\u0661", "1\n"]
)
def test_a_string_that_is_no_number(text: str) -> None:
    with pytest.raises(RefusedError) as error:
        decimal(string(text))
    assert code(error) == ("type", 7)


@pytest.mark.parametrize("kind", ["literal", "array", "object"])
def test_other_kinds_are_no_number(kind: str) -> None:
    for read in (decimal, integer, identity, count):
        with pytest.raises(RefusedError) as error:
            read(Place("1", 7, kind))
        assert code(error) == ("type", 7)


@pytest.mark.parametrize(
    ("texts", "mantissas", "exponent"),
    [
        (["1", "2.5", "0.125"], [1000, 2500, 125], -3),
        (["0.10", "0.1"], [10, 10], -2),
        (["7"], [7], 0),
        ([], [], 0),
        (["9223372036854775807"], [INT64_MAX], 0),
        (["-9223372036854775807"], [-INT64_MAX], 0),
        (["9223372036854775807.0"], [INT64_MAX], 0),  # the written zero gives way
        (["9223372036854775807", "1.00"], [INT64_MAX, 1], 0),
        (["922337203685477580", "1.50"], [9223372036854775800, 15], -1),
        (["0." + "0" * 200], [0], -128),
        (["1." + "0" * 200], [10**18], -18),
        (["0e-500", "3"], [0, 3 * 10**18], -18),
        (["1e-128"], [1], -128),
        (["12345678901234567890e-1"], [1234567890123456789], 0),
    ],
)
def test_common_exponent(texts: list[str], mantissas: list[int], exponent: int) -> None:
    assert align([decimal(string(text)) for text in texts]) == (mantissas, exponent)


@pytest.mark.parametrize(
    ("texts", "index"),
    [
        (["9223372036854775808"], 0),
        (["-9223372036854775808"], 0),  # stands for absent
        (["1e20"], 0),  # no exponent above 0
        (["1e19", "1"], 0),
        (["1", "9223372036854775807", "0.5"], 1),
        (["1", "0.0000000000000000001"], 1 - 1),  # 10^19 does not fit
        (["1e-129"], 0),
        (["0", "1e-129"], 1),
        (["1e-999999999999"], 0),
        (["1e999999999999"], 0),
    ],
)
def test_what_does_not_fit(texts: list[str], index: int) -> None:
    with pytest.raises(UnfitError) as error:
        align([decimal(string(text)) for text in texts])
    assert error.value.index == index


decimals = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]),
    st.integers(0, 10**20).map(str),
    st.text("0123456789", min_size=1, max_size=22).map(lambda digits: "." + digits) | st.just(""),
    st.integers(-25, 25).map(lambda n: f"e{n}") | st.just(""),
)


@given(decimals)
def test_decimal_is_exact(text: str) -> None:
    found = decimal(string(text))
    assert Decimal(found.digits).scaleb(-found.fraction).compare(Decimal(text)) == 0 or _exact(found, text)


def _exact(found: Dec, text: str) -> bool:
    """Where the context of 28 digits rounds: by integers."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    whole = int("".join(map(str, digits))) * (-1 if sign else 1)
    shift = found.fraction + exponent
    return bool(found.digits == whole * 10**shift if shift >= 0 else found.digits * 10**-shift == whole)


@given(st.lists(decimals | st.none(), max_size=5))
def test_aligned_values_are_the_values_and_no_finer_than_needed(texts: list[str | None]) -> None:
    decs = [None if text is None else decimal(string(text)) for text in texts]
    try:
        mantissas, exponent = align(decs)
    except UnfitError as error:
        unfit = error.index
    else:
        unfit = -exponent - 1000
    assert naive(decs) == unfit
    if unfit >= 0:
        return
    for dec, mantissa in zip(decs, mantissas, strict=True):
        if dec is None:
            assert mantissa is None
        else:
            assert mantissa is not None
            assert abs(mantissa) <= INT64_MAX
            assert mantissa * 10**dec.fraction == dec.digits * 10**-exponent


def naive(decs: list[Dec | None]) -> int:
    """Rule 11 as it is written: the index of the first value that does not fit, or the fraction digits less 1000."""
    present = [(i, dec) for i, dec in enumerate(decs) if dec is not None]
    fraction = max((dec.fraction for _, dec in present), default=0)
    held = {i: dec.digits * 10 ** (fraction - dec.fraction) for i, dec in present}
    while fraction > 128 or any(abs(value) > INT64_MAX for value in held.values()):
        if fraction == 0 or any(value % 10 for value in held.values()):
            return next((i for i, value in held.items() if abs(value) > INT64_MAX), -1)
        fraction -= 1
        held = {i: value // 10 for i, value in held.items()}
    return fraction - 1000


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-0", 0), ("-5", -5), ("9223372036854775807", INT64_MAX), ("-9223372036854775807", -INT64_MAX)]
)
@pytest.mark.parametrize("kind", ["string", "number"])
def test_integer(kind: str, text: str, value: int) -> None:
    assert integer(Place(text, 0, kind)) == value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1.0", "type"),
        ("1e2", "type"),
        ("01", "type"),
        ("+1", "type"),
        ("", "type"),
        ("9223372036854775808", "range"),
        ("-9223372036854775808", "range"),
        ("1" * 5000, "range"),
    ],
)
def test_what_is_no_integer(text: str, wanted: str) -> None:
    with pytest.raises(RefusedError) as error:
        integer(string(text))
    assert code(error) == (wanted, 7)


def test_counts_are_int32_and_not_negative() -> None:
    assert count(number("2147483647")) == 2147483647
    for text in ("2147483648", "-1"):
        with pytest.raises(RefusedError) as error:
            count(number(text))
        assert code(error) == ("range", 7)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (string("0"), (0, False)),
        (string("42"), (42, False)),
        (number("42"), (42, False)),
        (string("9223372036854775807"), (INT64_MAX, False)),
        (string("9223372036854775808"), (xxh64(b"9223372036854775808") & INT64_MAX, True)),
        (string("042"), (xxh64(b"042") & INT64_MAX, True)),
        (string("-1"), (xxh64(b"-1") & INT64_MAX, True)),
        (string("9c1b0a2e-77f4-5d3a-8b1e-0f2d4c6a8e90"), (0x7819FE7DE40E24C4, True)),
    ],
)
def test_id(place: Place, value: tuple[int, bool]) -> None:
    assert identity(place) == value


@pytest.mark.parametrize(("text", "wanted"), [("-1", "type"), ("1.0", "type"), ("1e2", "type"), ("9223372036854775808", "range")])
def test_a_number_that_is_no_id(text: str, wanted: str) -> None:
    with pytest.raises(RefusedError) as error:
        identity(number(text))
    assert code(error) == (wanted, 7)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1700000000", "s", 1700000000 * 10**9),
        ("1700000000.123456789987", "s", 1700000000123456789),
        ("1700000000123.5", "ms", 1700000000123500000),
        ("1.7e12", "ms", 1700000000 * 10**9),
        ("1700000000123456", "us", 1700000000123456000),
        ("1700000000123456789", "ns", 1700000000123456789),
        ("1.9", "ns", 1),
        ("-1.9", "ns", -1),
        ("0", "ms", 0),
        ("1700000000", "auto", 1700000000 * 10**9),
        ("1700000000123", "auto", 1700000000123000000),
        ("1700000000123456", "auto", 1700000000123456000),
        ("1700000000123456789", "auto", 1700000000123456789),
        ("1700000000." + "1" * 5000, "auto", 1700000000111111111),
        ("-1700000000", "auto", -1700000000 * 10**9),
        ("2023-11-14T22:13:20Z", "iso", 1700000000 * 10**9),
        ("2023-11-14 22:13:20.25Z", "iso", 1700000000250000000),
        ("2023-11-15T01:43:20.0000000019+03:30", "iso", 1700000000000000001),
        ("2023-11-14T17:13:20-05:00", "iso", 1700000000 * 10**9),
        ("2024-02-29T00:00:00Z", "iso", 1709164800 * 10**9),
        ("1969-12-31T23:59:59.5Z", "iso", -500000000),
    ],
)
def test_time(text: str, unit: str, value: int) -> None:
    assert time_ns(string(text), unit) == value


@pytest.mark.parametrize(
    ("place", "unit", "wanted"),
    [
        (string("17000000001"), "auto", "range"),
        (string("0"), "auto", "range"),
        (string("9223372037"), "s", "range"),
        (string("1e30"), "ns", "range"),
        (string("1e999999"), "auto", "range"),
        (string("9999999999999999999"), "auto", "range"),
        (string("2300-01-01T00:00:00Z"), "iso", "range"),
        (string("2023-11-14T22:13:20"), "iso", "type"),
        (string("2023-11-14T22:13Z"), "iso", "type"),
        (string("2023-11-14T22:13:20.Z"), "iso", "type"),
        (string("2023-13-01T00:00:00Z"), "iso", "type"),
        (string("2023-02-29T00:00:00Z"), "iso", "type"),
        (string("2023-11-14T24:00:00Z"), "iso", "type"),
        (string("2023-11-14T22:13:60Z"), "iso", "type"),
        (string("2023-11-14T22:13:20+0330"), "iso", "type"),
        (string("2023-11-14t22:13:20Z"), "iso", "type"),
        (number("20231114"), "iso", "type"),
        (string("today"), "ms", "type"),
        (Place("true", 7, "literal"), "ms", "type"),
    ],
)
def test_what_is_no_time(place: Place, unit: str, wanted: str) -> None:
    with pytest.raises(RefusedError) as error:
        time_ns(place, unit)
    assert code(error) == (wanted, 7)


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 (the strategy adds none)
def test_iso_is_the_calendar_of_the_standard_library(moment: datetime) -> None:
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000
    assert time_ns(string(moment.isoformat(timespec="microseconds") + "Z"), "iso") == expected


def test_bool_is_the_literal_only() -> None:
    assert truth(Place("true", 7, "literal")) is True
    assert truth(Place("false", 7, "literal")) is False
    for place in (string("true"), number("1")):
        with pytest.raises(RefusedError) as error:
            truth(place)
        assert code(error) == ("type", 7)


def test_symbol() -> None:
    assert symbol(string("测试USDT")) == "测试USDT"
    assert symbol(number("1.50")) == "1.50"
    assert symbol(string("x" * 48)) == "x" * 48
    for text in ("x" * 49, "é" * 25, "a\nb", "a\x7f"):
        with pytest.raises(RefusedError) as error:
            symbol(string(text))
        assert code(error) == ("symbol", 7)
    with pytest.raises(RefusedError) as error:
        symbol(string("\ud800"))
    assert code(error) == ("utf8", 7)


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"9c1b0a2e-77f4-5d3a-8b1e-0f2d4c6a8e90", 0xF819FE7DE40E24C4)],
)
def test_hash_vectors(data: bytes, value: int) -> None:
    assert xxh64(data) == value


def test_hash_is_that_of_the_library() -> None:
    name = ctypes.util.find_library("xxhash")
    if name is None:
        pytest.skip("comparison with libxxhash not run: it is not installed (Debian package libxxhash0)")
    theirs = ctypes.CDLL(name).XXH64
    theirs.restype = ctypes.c_uint64
    theirs.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    data = bytes(range(1, 200))
    for size in range(len(data)):
        assert xxh64(data[:size]) == theirs(data[:size], size, 0)
