# ruff: noqa: ISC004, Q000, Q003  cases are findings and TOML as they are written, one a line
"""What the checker says of a spec that means something wrong, by file, line and wording; and that right specs pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k4._codegen import exchange, fbs
from k4._codegen.errors import Finding

from .specs import NOVA, RECORDS, ROOT, broken, findings

Changes = tuple[tuple[str, str], ...]

TOPIC = 'match   = { topic = "$channel", mkt = "$market" }        #'
UNITS = "one of s ms us ns auto iso"
EXCLUDE = "make their `match` exclude each other"

# The eight sample findings of the language's reference.
SAMPLES: list[tuple[Changes, list[str]]] = [
    ((('order   = "window"', 'oder    = "window"'),), ['36: message "trade": unknown key "oder"; did you mean "order"?']),
    (
        (('{ "t" = "ms" }', '"t"'),),
        [f'26: message "bbo": event_ns = "t": a time needs its unit; write event_ns = {{ "t" = "ms" }} ({UNITS})'],
    ),
    (
        (('"d.bid[0]"', '"d.bit[0]"'),),
        ['22: message "bbo": bid_price: no example has "d.bit[0]"; "d" has bid, ask, seq. If it may be absent, write "d.bit[0]?"'],
    ),
    (
        (('bid_qty   = "d.bid[1]"\n', ""),),
        ['13: message "bbo": bid_qty is needed; if the venue does not give it, write bid_qty = "="'],
    ),
    (
        (('bid_price = "20.50", bid_qty', 'bid_price = "20.51", bid_qty'),),
        ['29: message "bbo", example 1: bid_price is "20.50", expect says "20.51"'],
    ),
    (
        (
            ('channel = "book.${symbol:lower}"', 'channel = "top.b.${symbol:lower}"'),
            ('"topic":"book.', '"topic":"top.b.'),
            ('"topic":"book.', '"topic":"top.b.'),
        ),
        [
            f'58: message "depth5", example 1 is also taken by message "bbo" (line 13) and refused there: event_ns is missing; {EXCLUDE}',
            f'61: message "depth5", example 2 is also taken by message "bbo" (line 13) and refused there: event_ns is missing; {EXCLUDE}',
        ],
    ),
    (
        (('record  = "pong"', 'record  = "control"'),),
        ['11: session: ping.send is given, but no message has record = "pong"'],
    ),
    (
        (('vars    = { path = "fast" }\n', "\n"),),
        ['15: message "bbo": ${path} is not known; known here: market, qty_unit, symbol, channel'],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), SAMPLES)
def test_samples(changes: Changes, expected: list[str], tmp_path: Path) -> None:
    assert broken(tmp_path, *changes) == [f"nova.toml:{line}" for line in expected]


def test_a_quote_without_sides_is_no_quote(tmp_path: Path) -> None:
    """Where nothing else is needed, a match too wide would publish empty quotes."""
    wide = [('event_ns  = { "t" = "ms" }', 'event_ns  = { "t?" = "ms" }'), ('channel = "book.$', 'channel = "top.b.$')]
    assert broken(tmp_path, *wide, *[('"topic":"book.', '"topic":"top.b.')] * 2)[0] == (
        'nova.toml:58: message "depth5", example 1 is also taken by message "bbo" (line 13) '
        f"and gives a quote without any side there; {EXCLUDE}"
    )


def test_an_answer_is_not_taken_by_market_data(tmp_path: Path) -> None:
    """A frame in which market data finds nothing is `empty`, and nobody would look into it for an answer."""
    match = 'match   = { topic = "$channel", mkt = "$market", "@.class" = ["", "plain", "block"] }'
    wide = (match, 'match   = { topic = ["$channel", ""], mkt = ["$market", ""] }')
    told = f'is also taken by message "trade" (line 30) and is reported as empty; {EXCLUDE}'
    assert [line for line in broken(tmp_path, wide) if "reported" in line] == [
        f'nova.toml:{line}: message "{record}", example 1 {told}'
        for line, record in ((76, "ack"), (81, "error"), (85, "pong"), (90, "ping"))
    ]


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


def test_what_is_fetched_before_a_connect_is_no_part_of_frames(tmp_path: Path) -> None:
    """Parsers are made long before: such a name in a pattern would be a capture that fits anything."""
    fetched = (
        '\n[[message]]\nrecord = "vars"\nurl = "https://api.nova.example/token"\nfields = { token = "t" }\n'
        '[[message.example]]\nwire = \'{"t":"x"}\'\nexpect = [{ token = "x" }]\n'
    )
    text = (
        NOVA.read_text()
        .replace('channel = "top.$', 'channel = "$token.top.$')
        .replace("match   = { ok = false,", 'match   = { ok = false, key = "$token",')
    )
    text = text.replace('fields  = { id = "id?", text', 'fields  = { code = "$token", id = "id?", text')
    assert [line for line in findings(text + fetched, tmp_path) if "fetched" in line] == [
        'nova.toml:15: message "bbo": channel: $token is fetched: known to url, send and arg alone; put it into the arg of subscribe',
        'nova.toml:79: message "error": match "key": $token is fetched: known to url, send and arg alone; '
        'write "*" in its place, or another name for a capture',
        'nova.toml:80: message "error": code: $token is fetched: known to url, send and arg alone',
    ]


def test_what_is_asked_offline_alone(tmp_path: Path) -> None:
    """It takes nothing out, and does not tell products apart that share an address."""
    old, new = 'mkt = "$market" }        #', "mkt = {{ is = {}, offline = {} }} }}        #"
    shared = (
        'products "spot" and "perp" share a url, and no `match` tells them apart; match something that differs, as a name in their vars'
    )
    assert broken(tmp_path, (old, new.format('"$market"', "true"))) == [f'nova.toml:17: message "bbo": {shared}']
    assert (
        'nova.toml:17: message "bbo": match "mkt": $other is taken out of recorded frames alone, which is what offline says; write "*"'
        in (broken(tmp_path, (old, new.format('"$other"', "true"))))
    )
    assert 'nova.toml:17: message "bbo": match "mkt": offline is true or not there' in broken(tmp_path, (old, new.format('"$market"', "1")))


def test_all_at_once_in_file_order(tmp_path: Path) -> None:
    found = broken(
        tmp_path,
        ('record  = "pong"', 'record  = "control"'),
        ('order   = "window"', 'oder    = "window"'),
        ('{ "t" = "ms" }', '"t"'),
        ('id = "id?", text', 'id = "id?", txt'),
    )
    assert [line.split(": ")[0] for line in found] == ["nova.toml:11", "nova.toml:26", "nova.toml:36", "nova.toml:80"]


@pytest.mark.parametrize(
    "path", [NOVA, ROOT / "tests/cases/specs/solo.toml", *sorted(ROOT.glob("schema/exchange/*.toml"))], ids=lambda path: path.name
)
def test_right_specs_pass(path: Path) -> None:
    assert [str(finding) for finding in exchange.read(path, RECORDS)[1]] == []


def test_one_fault_hides_no_other_of_its_message(tmp_path: Path) -> None:
    found = broken(
        tmp_path,
        ('order   = "increasing"', 'oder    = "increasing"'),
        ('"d.bid[0]"', '"d.bit[0]"'),
        ('bid_qty   = "d.bid[1]"\n', "\n"),
        ('{ "t" = "ms" }', '"t"'),
        ('ask_price = "20.52"', 'ask_price = "20.53"'),
        ("ask_qty = ", "ask_quantity = "),
    )
    assert [line.split(": ", 1)[1] for line in found] == [
        'message "bbo": bid_qty is needed; if the venue does not give it, write bid_qty = "="',
        'message "bbo": unknown key "oder"; did you mean "order"?',
        'message "bbo": bid_price: no example has "d.bit[0]"; "d" has bid, ask, seq. If it may be absent, write "d.bit[0]?"',
        f'message "bbo": event_ns = "t": a time needs its unit; write event_ns = {{ "t" = "ms" }} ({UNITS})',
        'message "bbo", example 1: expect: unknown field "ask_quantity"; did you mean "ask_qty"?',
        'message "bbo", example 1: ask_price is "20.52", expect says "20.53"',
    ]


def test_a_symbol_from_the_frame_or_else_from_the_connection(tmp_path: Path) -> None:
    solo = (ROOT / "tests/cases/specs/solo.toml").read_text()
    assert findings(solo.replace('symbol    = "$symbol"', 'symbol = ["s?", "$symbol"]'), tmp_path, "solo.toml") == []


# --------------------------------------------------------------------------- names

NAMES: list[tuple[Changes, str]] = [
    (
        (('channel = "top.${symbol:lower}"', 'channel = "${pfad}.${symbol:lower}"'), ('"topic":"top.', '"topic":"fast.')),
        '15: message "bbo": ${pfad} is not known; known here: market, qty_unit, path, symbol, channel',
    ),
    (
        (('channel = "top.${symbol:lower}"', 'channel = "top.$channel"'),),
        '15: message "bbo": ${channel} stands in channel itself; write what it is made of',
    ),
    (
        (("wss://feed.nova.example/$path", "wss://feed.nova.example/$paht"),),
        '3: product "spot": url: ${paht} is not known; known here: market, qty_unit, args, channel, id, now_ms, now_s, symbol',
    ),
    (
        (('"id":$id,"topics":[$args]}', '"id":$number,"topics":[$args]}'),),
        "9: session: subscribe.send: ${number} is not known; known here: market, qty_unit, args, channel, id, now_ms, now_s, symbol",
    ),
    (
        (("arg = '\"$channel\"'", "arg = '\"$chanel\"'"),),
        "9: session: subscribe.arg: ${chanel} is not known; known here: market, qty_unit, channel, id, now_ms, now_s, symbol",
    ),
    (
        (('{ send = \'{"op":"ping"}\'', '{ send = \'{"op":"$args"}\''),),
        "11: session: ping.send: ${args} is not known; known here: market, qty_unit, id, now_s, now_ms",
    ),
    (
        (("&after=$after", "&after=$next"),),
        '65: message "instrument": ${next} is not known; known here: market, qty_unit, symbol, after, now_s, now_ms',
    ),
    (
        (("send    = '{\"hb\":$n}'", "send    = '{\"hb\":$m}'"),),
        '89: message "ping": ${m} is not known; known here: market, qty_unit, symbol, n, now_s, now_ms',
    ),
    (
        (('qty_unit = "$qty_unit"', 'qty_unit = "$unit"'),),
        '68: message "instrument": qty_unit: ${unit} is not known; known here: market, qty_unit, symbol, after',
    ),
    (
        (("send    = '{\"hb\":$n}'", "send    = '{\"hb\":1}'"),),
        '88: message "ping": capture $n is not used; write "*" in its place, or name a field of ping (none)',
    ),
    (
        ((TOPIC, 'match   = { topic = "$channel", mkt = "$market", t = "$event_ns" }        #'),),
        '17: message "bbo": capture $event_ns is not used, since fields gives event_ns; '
        'write "*" in its place, or take event_ns out of fields',
    ),
    (
        ((TOPIC, 'match   = { topic = "$channel", mkt = "$market", "d.seq" = "$update_id" }        #'), ('update_id = "d.seq"\n', "\n")),
        '17: message "bbo": match "d.seq" = "$update_id" takes the whole value; write update_id = "d.seq" in fields',
    ),
]


@pytest.mark.parametrize(("changes", "expected"), NAMES)
def test_names(changes: Changes, expected: str, tmp_path: Path) -> None:
    assert f"nova.toml:{expected}" in broken(tmp_path, *changes)


def test_captures_that_are_of_use(tmp_path: Path) -> None:
    """Compared with each other, put into an answer, filling an answer's id, part of the channel though `fields` gives the symbol."""
    assert broken(tmp_path, ('match   = { op = "sub", ok = true }\nfields  = { id = "id" }', 'match   = { op = "sub", id = "$id" }')) == []
    assert broken(tmp_path, ('match   = { hb = "$n" }', 'match   = { hb = ["a$n", "$n"] }')) == []
    symbol = ('update_id = "d.seq"\n', 'update_id = "d.seq"\nsymbol = "d.s"\n')
    assert broken(tmp_path, symbol, ('"seq":412}}', '"seq":412,"s":"QUXZOT"}}')) == []
    dropped = """
[[message]]
record  = "dropped"
match   = { topic = "trades", mkt = "$market", "@.class" = "test" }
each    = "d.$any[*]"
example = [{ wire = '{"topic":"trades","mkt":"SPOT","d":{"QUXZOT":[{"id":"1","class":"test"}]}}' }]
"""
    assert findings(NOVA.read_text() + dropped, tmp_path) == []  # `.$any` is the only way past members of any name


# --------------------------------------------------------------------------- fields

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


# --------------------------------------------------------------------------- session, pushed and fetched

SESSION: list[tuple[Changes, str]] = [
    ((("wss://feed.", "wss://fe ed."),), '3: product "spot": url = "wss://fe ed.nova.example/$path": "fe ed.nova.example" is no host; write it like wss://ws.example.com or wss://ws.example.com:8443'),
    ((("example/$path", "example/a b"),), '3: product "spot": url = "wss://feed.nova.example/a b": a url holds no white space'),
    ((("wss://feed", "ws://feed"),), '3: product "spot": url = "ws://feed.nova.example/$path": must begin with wss://'),
    (
        (("https://api", "http://api"),),
        '65: message "instrument": url = "http://api.nova.example/v1/markets?type=$market&after=$after": '
        "must begin with https://",
    ),
    (
        (('"id":$id,"topics":[$args]}', '"id":$id"topics":[$args]}'),),
        '9: session: subscribe for message "bbo" gives {"op":"sub","id":1"topics":["top.quxzot"]}, '
        "which is not the JSON that its braces promise: Expecting ',' delimiter at column 19",
    ),
    (
        (("arg = '\"$channel\"'", "arg = '$channel'"),),
        '9: session: subscribe for message "bbo" gives {"op":"sub","id":1,"topics":[top.quxzot]}, '
        "which is not the JSON that its braces promise: Expecting value at column 30",
    ),
    (
        (("bytes = 2048", "bytes = 44"),),
        '10: session: unsubscribe for message "bbo" has 45 bytes, more than limits.bytes = 44; raise the limit or write less',
    ),
    (
        (('record = "instrument"', 'record = "instrument"\nsilence_s = 3'),),
        '65: message "instrument": silence_s is for a message with a channel of its own; take it out',
    ),
    ((('channel = "trades"', 'weight = 2\nchannel = "trades"'),), '32: message "trade": weight is for a message that is fetched; take it out'),
    (
        (('record = "instrument"', 'record = "instrument"\nweight = 40'), ('connects = "30/60s"', 'weight = "30/1s"')),
        '65: message "instrument": weight = 40 is more than product "spot" allows in 1 s, 30; correct one of them',
    ),
    ((("[$args]", "[]"),), "9: session: subscribe.arg is given, but subscribe.send holds no $args; write $args where the list of them stands"),
    (
        ((", arg = '\"$channel\"'", ""),),
        "9: session: subscribe.send holds $args, but there is no arg; write arg = '…', one stream's part of it",
    ),
    (
        (("{ send = '{\"op\":\"ping\"}'", "{ send = '{\"op\":ping}'"),),
        '11: session: ping.send gives {"op":ping}, which is not the JSON that its braces promise: Expecting value at column 7',
    ),
    (
        (('match   = { op = "pong" }\n', "\n"),),
        '82: message "pong": match is missing; a pushed message must say how it is recognised, as in match = { "…" = "…" }',
    ),
    ((("send    = '{\"hb\":$n}'\n", "\n"),), '86: message "ping": send is missing; write what answers this ping'),
    (
        (('record  = "pong"\n', "record  = \"pong\"\nsend = 'x'\n"),),
        '84: message "pong": send is for the answer to a ping and the body of what is fetched; take it out',
    ),
    (
        (("send    = '{\"hb\":$n}'", "send    = '{\"hb\":$n,}'"),),
        '89: message "ping": send gives {"hb":31,}, which is not the JSON that its braces promise: '
        "Expecting property name enclosed in double quotes at column 10",
    ),
    (
        (('url    = "https://api.nova.example/v1/markets?type=$market&after=$after"\n', "\n"),),
        '63: message "instrument": instrument is fetched; write its url',
    ),
    (
        (('record = "instrument"\n', 'record = "instrument"\nchannel = "x"\n'),),
        '65: message "instrument": a message is either pushed (channel) or fetched (url); take one of them out',
    ),
    (
        (('record  = "ack"\n', 'record  = "ack"\nurl = "https://x.example"\n'),),
        '74: message "ack": ack cannot be fetched, nothing asks for it; take out url',
    ),
    (
        ((TOPIC, 'match   = { topic = "$channel" }        #'),),
        '17: message "bbo": products "spot" and "perp" share a url, and no `match` tells them apart; '
        "match something that differs, as a name in their vars",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), SESSION)
def test_session(changes: Changes, expected: str, tmp_path: Path) -> None:
    assert f"nova.toml:{expected}" in broken(tmp_path, *changes)


def test_nothing_subscribes(tmp_path: Path) -> None:
    text = NOVA.read_text()
    lines = [line for line in text.split("\n") if not line.startswith(("subscribe", "unsubscribe"))]
    what = "messages have a channel, but nothing subscribes it; write subscribe = { send = '…', arg = '…' } under [session]"
    assert findings("\n".join(lines), tmp_path) == [f'nova.toml:2: product "spot": {what}', f'nova.toml:5: product "perp": {what}']
    assert findings("\n".join(lines).replace("example/$path", "example/$path?c=$channel"), tmp_path) == []


def test_args_in_a_url_need_an_arg(tmp_path: Path) -> None:
    binance = (ROOT / "schema/exchange/binance.toml").read_text()
    lines = [line for line in binance.split("\n") if not line.startswith(("subscribe", "unsubscribe"))]
    assert findings("\n".join(lines), tmp_path, "binance.toml") == [
        f'binance.toml:{lines.index(f"[product.{product}]") + 2}: product "{product}": url holds $args, but subscribe has no arg; '
        "write what one stream's part is: subscribe = { send = '…', arg = '…' }"
        for product in ("spot", "ubase", "cbase")
    ]


FETCHED_BOOK = """
[[message]]
record = "depth5"
url    = "https://api.nova.example/v1/book?s=$symbol"
fields = { snapshot = "=true", symbol = "$symbol", update_id = "seq", bid_price = "b[*][0]", bid_qty = "b[*][1]", ask_price = "a[*][0]", ask_qty = "a[*][1]" }
[[message.example]]
wire   = '''{"seq":7,"b":[["20.5","1"]],"a":[]}'''
expect = [{ symbol = "QUXZOT", update_id = 7, bid_price = ["20.5"], bid_qty = ["1"], ask_price = [], ask_qty = [] }]
"""

VARS = """
[[message]]
record = "vars"
url    = "https://api.nova.example/v1/token"
fields = { token = "t" }
[[message.example]]
wire   = '{"t":"abc"}'
expect = [{ token = "abc" }]
"""


def test_fetched_book(tmp_path: Path) -> None:
    text = NOVA.read_text()
    assert findings(text + FETCHED_BOOK, tmp_path) == []
    line = text.count("\n") + 2
    assert findings(text + FETCHED_BOOK.replace('"=true"', '"=false"'), tmp_path) == [
        f'nova.toml:{line + 3}: message "depth5": a fetched book is a snapshot; write snapshot = "=true"'
    ]
    alone = text.replace('snapshot = { "kind" = { full = true, diff = false } }, ', "").replace(', prev_id = "d.prev?"', "")
    assert (
        f'nova.toml:{line}: message "depth5": nothing asks for this: no pushed depth5 keeps a book; give one `snapshot`, or take this out'
        in findings(alone + FETCHED_BOOK, tmp_path)
    )


def test_fetched_vars(tmp_path: Path) -> None:
    text = NOVA.read_text()
    line = text.count("\n") + 2
    assert findings(text + VARS, tmp_path) == [
        f'nova.toml:{line}: message "vars": nothing asks for this: no url, request or message uses a name that it brings'
    ]
    assert findings(text.replace("example/$path", "example/$path?k=$token") + VARS, tmp_path) == []


# --------------------------------------------------------------------------- examples

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


def test_every_record_of_the_schema_has_rules() -> None:
    from k4._codegen import fields, ir

    records = fbs.load(ROOT / "schema/records.fbs")
    for word in (*ir.MARKET_RECORDS, *ir.CONTROL_RECORDS, *ir.FETCHED_RECORDS):
        for rule in fields.rules(word, records):
            assert rule.kind in fields.WORDS
            assert rule.doc or records.record(word) is not None


# --------------------------------------------------------------------------- whatever is wrong, it is told


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_spec_breaks_the_checker(data: st.DataObject, tmp_path: Path) -> None:
    """Specs with pieces taken out, doubled or swapped: findings with lines of the file, never an exception."""
    text = data.draw(st.sampled_from([NOVA.read_text(), (ROOT / "schema/exchange/binance.toml").read_text()]))
    pieces = re.findall(r"\n|[A-Za-z_0-9]+|[^A-Za-z_0-9\n]", text)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(pieces) - 1))
        other = data.draw(st.integers(0, len(pieces) - 1))
        pieces[at] = data.draw(st.sampled_from(["", pieces[at] * 2, pieces[other], "[*]", "$x", "@", "?", "true", '""', "{}", "*"]))
    changed = "".join(pieces)
    for line in findings(changed, tmp_path):
        number = int(line.split(":")[1])
        assert 1 <= number <= changed.count("\n") + 1
        assert line.split(": ", 1)[1]


def test_a_finding_is_one_line_that_no_terminal_obeys() -> None:
    assert str(Finding("x.toml", 3, 'match: "a\n\x1b[1m\ud800é"')) == 'x.toml:3: match: "a\\n\\x1b[1m\\ud800é"'
    assert str(Finding("x.toml", 3, "x" * 3000)) == f"x.toml:3: {'x' * 1999}…"
