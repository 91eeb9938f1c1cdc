# ruff: noqa: ISC004, Q003  cases are findings and TOML as they are written, one a line
"""What the checker says of wrong fields, levels and orders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k4._codegen import fields, ir

from .specs import NOVA, RECORDS, ROOT, Changes, broken, findings

FIELDS: list[tuple[Changes, str]] = [
    ((('bid_qty   = "d.bid[1]"', 'bid_qyt   = "d.bid[1]"'),), '23: message "bbo": unknown field "bid_qyt"; did you mean "bid_qty"?'),
    (
        (("match   = { op = \"pong\" }", 'match   = { op = "pong" }\nfields = { x = "y" }'),),
        '85: message "pong": unknown field "x"; record "pong" has none, take it out',
    ),
    (
        (('{ "t" = "ms" }', '{ "t" = "msec" }'),),
        '26: message "bbo": event_ns = { "t" = "msec" }: word "msec" is not known; write one of s ms us ns auto iso',
    ),
    (
        (('{ "t" = "ms" }', '{ "t" = "abs" }'),),
        '26: message "bbo": event_ns = { "t" = "abs" }: word "abs" does not read a time; write one of s ms us ns auto iso',
    ),
    (
        (('{ "@.sz" = "abs" }', '{ "@.sz" = "ab" }'),),
        '40: message "trade": qty = { "@.sz" = "ab" }: word "ab" is not known; did you mean "abs"?',
    ),
    (
        (('{ "@.sz" = "negative" }', '{ "@.sz" = "abs" }'),),
        '41: message "trade": buyer_is_maker = { "@.sz" = "abs" }: word "abs" does not read a bool; write one of negative',
    ),
    (
        (('block = "block" } }', 'block = "blok" } }'),),
        '42: message "trade": kind: map result of "block" is "blok"; did you mean "block"?',
    ),
    (
        (('{ 1 = true, "*" = false }', '{ 1 = "true", "*" = false }'),),
        '21: message "bbo": reset: map result of "1" is "true"; write true or false without quotes',
    ),
    (
        (('{ 1 = true, "*" = false }', '{ 1 = true, "*" = 0 }'),),
        "21: message \"bbo\": reset: map result of \"*\" is '0'; write true or false",
    ),
    (
        (('reset     = { "d.seq" = { 1 = true, "*" = false } }', 'reset     = "=yes"'),),
        "21: message \"bbo\": reset: the constant is 'yes'; write true or false",
    ),
    ((('update_id = "d.seq"\n', 'update_id = "=1.5"\n'),), '20: message "bbo": update_id: the constant is "1.5"; write a whole number'),
    ((('price          = "@.px"', 'price          = "=cheap"'),), '39: message "trade": price: the constant is "cheap"; write a decimal number'),
    (
        (('qty_unit = "contract"', 'qty_unit = "lots"'),),
        '68: message "instrument": qty_unit: the constant is "lots"; write one of base quote contract',
    ),
    (
        (('{ "t" = "ms" }', '{ "t" = { 1 = 2 } }'),),
        '26: message "bbo": event_ns: a time cannot be mapped, it is read by a word (s ms us ns auto iso)',
    ),
    (
        (('{ "@.class?" = { plain = "market", block = "block" } }', '{ "@.class?" = {} }'),),
        '42: message "trade": kind: the map of "@.class?" is empty; write what each value means',
    ),
    (
        (('"d.bid[0]"', '"d.bid[*]"'),),
        '22: message "bbo": bid_price = "d.bid[*]": one value is wanted, not every one; write [0], or put [*] into each',
    ),
    (
        (('"d.bids[*].p"', '"d.bids[0].p"'),),
        '56: message "depth5": bid_price = "d.bids[0].p": one value per level is wanted; write it with [*], as in "d.bids[*].p"',
    ),
    (
        (('"d.bids[*].p"', '"d.bids[*].p[*]"'),),
        '56: message "depth5": bid_price = "d.bids[*].p[*]": one [*] and nothing else of its kind may stand in it, levels best first ([-*]: best last)',
    ),
    (
        (('"d.$symbol[-*]"', '"@.d.$symbol[-*]"'),),
        '35: message "trade": each = "@.d.$symbol[-*]": `each` says what @ is, so it starts at the root; write it without @',
    ),
    (
        (('"@.class" = ["", "plain", "block"]', '"d[*].class" = ["", "plain", "block"]'),),
        '34: message "trade": match "d[*].class" needs one value; put the [*] or .$name into each, and write the path from @',
    ),
    (
        (('each    = "d.$symbol[-*]"', 'each    = "d.QUXZOT[-*]"'),),
        '30: message "trade": symbol is needed; take it from a path, or out of the channel: match = { "…" = "$channel" }',
    ),
    (
        (('ask_qty = "d.asks[*].q" }', 'ask_qty = "d.asks[*].q", side = "d.side" }'),),
        "56: message \"depth5\": bid_price cannot stand beside side; write either side price qty, or bid_price bid_qty ask_price ask_qty",
    ),
    (
        (('record  = "depth5" ', 'record  = ["trade", "depth5"] '),),
        '51: message "trade": record = [trade, depth5]: several records are cut from the same levels only; '
        "write a depth record, with bbo or another depth, and a message for each other",
    ),
    (
        (('prev_id = "d.prev?"', 'first_id = "d.prev?"'), ('update_id = "d.seq", ', ""), ('"increasing"\nfields', '"leader"\nfields')),
        '56: message "depth5": first_id needs update_id beside it; give update_id as well',
    ),
    (
        (('prev_id = "d.prev?"', 'checksum = "d.crc?"'),),
        '56: message "depth5": checksum = "d.crc?": a checksum needs its rule; '
        'write checksum = { "d.crc?" = "crc32-interleaved-25" } (one of crc32-interleaved-25 crc32-digits-10)',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), FIELDS)
def test_fields(changes: Changes, expected: str, tmp_path: Path) -> None:
    assert f"nova.toml:{expected}" in broken(tmp_path, *changes)


# --------------------------------------------------------------------------- order

ORDERS: list[tuple[Changes, str]] = [
    ((('order   = "window"\n', "\n"),), '30: message "trade": order is missing; write order = "window" (one of window contiguous leader)'),
    (
        (('order   = "window"', 'order   = "increasing"'),),
        '36: message "trade": order = "increasing" is not for trade; write one of window contiguous leader',
    ),
    (
        (('order   = "window"', 'order   = "windov"'),),
        '36: message "trade": order = "windov" is not known; did you mean "window"?',
    ),
    (
        (('trade_id       = "@.id"\n', "\n"),),
        '36: message "trade": order = "window" compares trade_id, which is not given; give it, or write order = "leader"',
    ),
    (
        (('record  = "pong"\n', 'record  = "pong"\norder = "window"\n'),),
        '84: message "pong": order is for market data that is pushed; take it out',
    ),
]


@pytest.mark.parametrize(("changes", "expected"), ORDERS)
def test_orders(changes: Changes, expected: str, tmp_path: Path) -> None:
    assert f"nova.toml:{expected}" in broken(tmp_path, *changes)


def test_one_record_has_one_order(tmp_path: Path) -> None:
    text = NOVA.read_text()
    start, end = text.index('[[message]]\nrecord  = "bbo"'), text.index('[[message]]\nrecord  = "trade"')
    second = text[start:end].replace("increasing", "leader").replace('"top.', '"tip.').replace('"reset', '"x')
    found = findings(text + second, tmp_path)
    assert found == [
        'nova.toml:96: message "bbo": order = "leader", but bbo of line 13 has "increasing"; all messages that give one record have one order'
    ]


# --------------------------------------------------------------------------- levels

ATTIC = (ROOT / "tests/cases/decode/attic.toml").read_text()
LEVELS = [
    ('price     = "rows[*][1]"', 'price     = "n"', "qty: price and qty of a level stand alike; write both with [*], or neither"),
    ('side     = "@.side"', 'side     = "@.side[*]"', "side: one side is wanted for one level; write it without [*]"),
    ('bid_price = "rows.b[-*].p"', 'bid_price = "="', "bid_price: a book needs both halves of every level, with their paths"),
    ('qty       = "rows[*][2]"', 'qty       = "=1"', "qty: a book needs both halves of every level, with their paths"),
    ('bid_price = "b[-*][0]"', 'bid_price = ["b[-*][0]?", "c[*]"]', "bid_price: levels stand in one place; write a message for each form"),
    ('S = "ask" }', 'S = "both" }', 'side: map result of "S" is "both"; write one of bid ask'),
]


@pytest.mark.parametrize(("old", "new", "expected"), LEVELS)
def test_levels(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in ATTIC
    line = ATTIC[: ATTIC.index(old)].count("\n") + 1
    found = findings(ATTIC.replace(old, new, 1), tmp_path, "attic.toml")
    assert len(found) == 1, found
    assert re.fullmatch(rf"attic\.toml:{line + ('price and qty' in expected)}: message \"\w+\": {re.escape(expected)}.*", found[0]), found


def test_every_record_of_the_schema_has_rules() -> None:
    for word in (*ir.MARKET_RECORDS, *ir.CONTROL_RECORDS, *ir.FETCHED_RECORDS):
        for rule in fields.rules(word, RECORDS):
            assert rule.kind in fields.WORDS
            assert rule.doc or RECORDS.record(word) is not None
