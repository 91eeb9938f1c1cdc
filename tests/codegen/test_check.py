# ruff: noqa: ISC004  cases are findings and TOML as they are written, one a line
"""What the checker says of a spec that means something wrong, by file, line and wording; and that right specs pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k4._codegen import exchange
from k4._codegen.errors import Finding

from .specs import NOVA, RECORDS, ROOT, TOPIC, Changes, broken, findings

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
