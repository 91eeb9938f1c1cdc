# ruff: noqa: ISC004, Q000  cases are findings and TOML as they are written, one a line
"""What the checker says of wrong examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from .specs import Changes, broken

EXAMPLES: list[tuple[Changes, str]] = [
    (
        (("example = [{ wire = '{\"op\":\"pong\"}', expect = [{}] }]\n", "\n"),),
        '82: message "pong": no example; write [[message.example]] with a wire and all that it gives as expect',
    ),
    ((('{"topic":"top.quxzot",', '{"topic":"top.quxzot",,'),), '28: message "bbo", example 1: wire is not JSON: malformed at byte 22'),
    (
        (('"mkt":"SPOT","t"', '"mkt":"SPUT","t"'),),
        '17: message "bbo": match "mkt" = "$market": no example meets it; in example 1, "mkt" is "SPUT"',
    ),
    (
        (('mkt = "$market" }        #', 'mk = "$market" }        #'),),
        '17: message "bbo": match "mk" = "$market": no example meets it; in example 1, the frame has topic, mkt, t, d',
    ),
    (
        (('"@.class" = ["", "plain", "block"]', '"@.class" = ["plane", "blocks"]'),),
        '34: message "trade": match "@.class" = ["plane", "blocks"]: no example meets it; in example 1, "@.class" is "block"',
    ),
    (
        (('"d.$symbol[-*]"', '"e.$symbol[-*]"'),),
        '35: message "trade": each = "e.$symbol[-*]": no example has it; the frame has topic, mkt, d',
    ),
    (
        (('"@.px"', '"@.price"'),),
        '39: message "trade": price: no example has "@.price"; @ has id, px, sz, class, ts. If it may be absent, write "@.price?"',
    ),
    (
        (('"d.bids[*].p"', '"d.bids[*].price"'),),
        '56: message "depth5": bid_price: no example has "d.bids[*].price"; "d.bids[*]" has p, q. '
        'If it may be absent, write "d.bids[*].price?"',
    ),
    (
        (('"@.rules[type=PRICE].step"', '"@.rules[type=PRIZE].step"'),),
        '68: message "instrument": price_step: no example has "@.rules[type=PRIZE].step"; "@.rules" has 2 elements. '
        'If it may be absent, write "@.rules[type=PRIZE].step?"',
    ),
    (
        (('symbol = "@.name"', 'symbol = ["@.nam", "@.id"]'),),
        '68: message "instrument": symbol: no example has any of "@.nam", "@.id"; @ has name, base, quote, state, rules. '
        "If all may be absent, put ? behind them",
    ),
    ((('"seq":412}}', '"seq":""}}'),), '20: message "bbo": update_id: no example has "d.seq"; "d" has seq, but empty. If it may be absent, write "d.seq?"'),
    ((('"bid":["20.50"', '"bid":["20.5O"'),), '28: message "bbo", example 1: bid_price is of another type (byte 65)'),
    ((('"sz":"1.25"', '"sz":"1.2.5"'),), '45: message "trade", example 1: qty is of another type (byte 75)'),
    (
        (('update_id = 412, reset = false, ', "update_id = 412, "),),
        '29: message "bbo", example 1: expect is not complete: reset is false; write reset = false',
    ),
    (
        (('bid_price = ["20.4"], bid_qty = ["2"]', 'bid_qty = ["2"]'),),
        '62: message "depth5", example 2: expect is not complete: bid_price is ["20.4"]; write bid_price = ["20.4"]',
    ),
    (
        (('bid_price = ["20.50", "20.4"]', 'bid_price = ["20.50"]'),),
        '59: message "depth5", example 1: bid_price is ["20.50", "20.40"], expect says ["20.50"]',
    ),
    (
        (('buyer_is_maker = false, kind = "market"', 'buyer_is_maker = "false", kind = "market"'),),
        '48: message "trade", example 1: buyer_is_maker is false, expect says "false"',
    ),
    ((('trade_id = 61', "trade_id = 63"),), '47: message "trade", example 1: trade_id is 61, expect says 63'),
    (
        (('update_id = 412, reset = false', 'update_id = 412, ask_count = 3, reset = false'),),
        '29: message "bbo", example 1: ask_count is absent, expect says 3',
    ),
    (
        (('expect = [{ symbol = "QUXZOT", update_id = 420', 'expect = [{ symbol = "QUXZOT", updated_id = 420'),),
        '62: message "depth5", example 2: expect: unknown field "updated_id"; did you mean "update_id"?',
    ),
    (
        (('expect = [{ symbol = "QUXZOT", update_id = 420', 'expect = [{ prev_id = 412, symbol = "QUXZOT", update_id = 420'),),
        '62: message "depth5", example 2: expect: unknown field "prev_id"; did you mean',
    ),
    (
        (('"prev":412', '"prev":411'),),
        '62: message "depth5", example 2 gives no record (stale_book), expect says 1',
    ),
    (
        (('expect = [{ id = "4" }]', 'expect = [{ id = "4" }, { id = "5" }]'),),
        '76: message "ack", example 1 gives 1 record, expect says 2; it gives { id = "4" }',
    ),
    ((('channel = "top.nix", ', ""),), '81: message "error", example 1: expect is not complete: channel is "top.nix"; write channel = "top.nix"'),
    ((('base = "QUX"', 'base = "QUZ"'),), '71: message "instrument", example 1: base is "QUX", expect says "QUZ"'),
    ((('price_step = "0.02"', 'price_step = "0.03"'),), '71: message "instrument", example 1: price_step is "0.02", expect says "0.03"'),
    ((('"kind":"diff"', '"kind":"dif"'),), '61: message "depth5", example 2: snapshot has a value that its map does not hold (byte 43)'),
    (
        (('{"topic":"book.quxzot","mkt":"SPOT","kind":"diff"', '{"topic":"bok.quxzot","mkt":"SPOT","kind":"diff"'),),
        '61: message "depth5", example 2 is not taken by its own message: match "topic" = "$channel" does not hold: "topic" is "bok.quxzot"',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), EXAMPLES)
def test_examples(changes: Changes, expected: str, tmp_path: Path) -> None:
    found = broken(tmp_path, *changes)
    assert any(line.startswith(f"nova.toml:{expected}") for line in found), found


def test_expect_compares_numbers(tmp_path: Path) -> None:
    same = ('bid_price = "20.50", bid_qty = "7"', 'bid_price = 20.5, bid_qty = "7.0"')
    assert broken(tmp_path, same) == []
    hashed = (('"id":"61"', '"id":"b6f1-61"'), ("trade_id = 61", 'trade_id = "b6f1-61"'))
    assert broken(tmp_path, *hashed) == []
    wrong = broken(tmp_path, hashed[0], ("trade_id = 61", 'trade_id = "b6f1-62"'))
    assert len(wrong) == 1
    assert wrong[0].startswith('nova.toml:47: message "trade", example 1: trade_id is ')


def test_counts_that_no_level_has_need_no_mention(tmp_path: Path) -> None:
    counts = ('ask_qty = "d.asks[*].q"', 'ask_qty = "d.asks[*].q", ask_count = "d.asks[*].n?"')
    assert broken(tmp_path, counts, ('"asks":[{"p":"20.52","q":"5"}]', '"asks":[{"p":"20.52","q":"5"}]')) == []
    assert broken(tmp_path, counts, ('"asks":[{"p":"20.52","q":"5"}]', '"asks":[{"p":"20.52","q":"5","n":2}]')) == [
        'nova.toml:59: message "depth5", example 1: expect is not complete: ask_count is [2]; write ask_count = [2]'
    ]


def test_hint_for_what_is_there_in_one_example_only(tmp_path: Path) -> None:
    found = broken(tmp_path, ('prev_id = "d.prev?"', 'prev_id = "d.prev"'))
    assert found == [
        'nova.toml:58: message "depth5", example 1: prev_id is missing (byte 54); if it may be absent, put ? behind its path',
    ]


def test_two_records_from_the_same_levels(tmp_path: Path) -> None:
    both = ('record  = "depth5" ', 'record  = ["bbo", "depth5"] ')
    full = 'expect = [{ symbol = "QUXZOT", update_id = 412, bid_price = ["20.50", "20.4"]'
    quote = 'record = "bbo", symbol = "QUXZOT", update_id = {}, bid_price = "{}", bid_qty = "{}"'
    found = broken(tmp_path, both)
    assert any("gives 2 records, expect says 1" in line for line in found), found
    first = "expect = [{ " + quote.format(412, "20.50", 7) + ', ask_price = "20.52", ask_qty = "5" }, { record = "depth5",'
    second = "expect = [{ " + quote.format(420, "20.4", 2) + ' }, { record = "depth5",'
    start = 'expect = [{ symbol = "QUXZOT", update_id = 420'
    assert broken(tmp_path, both, (full, full.replace("expect = [{", first)), (start, start.replace("expect = [{", second))) == []
