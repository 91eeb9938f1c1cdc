# ruff: noqa: ISC004  cases are findings and TOML as they are written, one a line
"""What the checker says of wrong sessions and addresses, pushed and fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from .specs import NOVA, ROOT, TOPIC, Changes, broken, findings

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
