"""Records as values and as JSON: exact digits, what is absent, what is cut."""

from __future__ import annotations

import struct

import pytest

from k4 import record
from k4._codegen import fbs, ir, places

RECORDS = fbs.load(places.schema() / "records.fbs")
ABSENT = -(1 << 63)


def kind(word: str) -> ir.RecordType:
    found = RECORDS.record(word)
    assert found is not None
    return found


def head(flags: int = 0, event_ns: int = ABSENT, price_exp: int = -2, qty_exp: int = 0) -> bytes:
    return struct.pack("<IHHqqqbb6x", 7, 3, flags, event_ns, ABSENT, 1700000000000000009, price_exp, qty_exp)


def test_a_quote() -> None:
    data = head(0b10000, 5) + struct.pack("<qqqqqii", 9, 1050, 3, ABSENT, ABSENT, 4, -1)
    assert record.to_json(RECORDS, kind("bbo"), data) == {
        "instrument": 7, "source": 3, "flags": ["ONE_SIDED"], "event_ns": 5, "engine_ns": None, "recv_ns": 1700000000000000009,
        "price_exp": -2, "qty_exp": 0, "update_id": 9, "bid_price": "10.50", "bid_qty": "3", "ask_price": None, "ask_qty": None,
        "bid_count": 4, "ask_count": None,
    }  # fmt: skip


def test_trades_name_their_kind() -> None:
    for number, name in ((0, "market"), (3, "liquidation"), (99, 99)):
        data = head() + struct.pack("<qqqBB6x", 12, -5, 0, 1, number)
        shown = record.to_json(RECORDS, kind("trade"), data)
        assert (shown["trade_id"], shown["price"], shown["qty"], shown["buyer_is_maker"], shown["kind"]) == (12, "-0.05", "0", True, name)


def test_levels_are_cut() -> None:
    lists = [[100, 99], [1, 2], [], []]
    data = head() + struct.pack("<qBB6x", ABSENT, 2, 0)
    data += b"".join(struct.pack("<5q", *(values + [ABSENT] * (5 - len(values)))) for values in lists)
    data += struct.pack("<5i", 8, -1, -1, -1, -1) + struct.pack("<5i", *[-1] * 5)
    values = record.unpack(kind("depth5"), data)
    assert {name: value for name, value in values.items() if name.startswith(("bid", "ask", "update"))} == {
        "update_id": None, "bid_levels": 2, "ask_levels": 0, "bid_price": [100, 99], "bid_qty": [1, 2], "ask_price": [], "ask_qty": [],
        "bid_count": [8, None], "ask_count": [],
    }  # fmt: skip
    assert record.to_json(RECORDS, kind("depth5"), data)["bid_price"] == ["1.00", "0.99"]


def test_the_layout_is_the_schema_s() -> None:
    for one in RECORDS.records:
        assert record._layout(one).size == one.size


def test_bytes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="a bbo record is 88 bytes, not 87"):
        record.unpack(kind("bbo"), b"\0" * 87)


@pytest.mark.parametrize(
    ("mantissa", "exp", "text"),
    [
        (0, 0, "0"),
        (0, -2, "0.00"),
        (5, -1, "0.5"),
        (-5, -3, "-0.005"),
        (123, -2, "1.23"),
        (7, 3, "7000"),
        (-(1 << 63) + 1, -8, "-92233720368.54775807"),
        (1, -128, "0." + "0" * 127 + "1"),
    ],
)
def test_decimals_are_the_digits_they_are(mantissa: int, exp: int, text: str) -> None:
    assert record.decimal_text(mantissa, exp) == text


def test_flags_by_name() -> None:
    assert record.flag_names(RECORDS, 0b11_1111_1111_1) == [name for name, _ in RECORDS.enum("Flag").values]
    assert record.flag_names(RECORDS, 0) == []
