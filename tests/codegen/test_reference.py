"""The reference interpreter: the rules of docs/decoding.md as frames and what they give, on small invented specs."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen import bind, exchange, fbs, ir, places
from k4._codegen.reference import FetchError, Interpreter, Outcome, Record, Refusal

RECORDS = fbs.load(places.schema() / "records.fbs")
HEAD = """
name = "spec"
[product.spot]
url = "wss://feed.example/$path"
vars = { market = "SPOT", path = "x" }
[product.perp]
url = "wss://feed.example/$path"
vars = { market = "PERP", path = "x" }
"""
QUOTE = """
[[message]]
record = "bbo"
match = { type = "q" }
order = "increasing"
[message.fields]
symbol = "s"
event_ns = { "t?" = "ms" }
update_id = "u?"
bid_price = "d.bid[0]"
bid_qty = "d.bid[1]"
ask_price = "d.ask[0]"
ask_qty = "d.ask[1]"
bid_count = "d.bid[2]?"
backfill = { "late?" = { yes = true, "*" = false } }
"""
TRADES = """
[[message]]
record = "trade"
match = { type = "t", mkt = ["$market", ""], "@.class" = ["", "regular", "block"] }
each = "d.$symbol[-*]"
order = "window"
[message.fields]
trade_id = "@.id"
price = "@.px"
qty = { "@.sz" = "abs" }
buyer_is_maker = { "@.sz" = "negative" }
kind = { "@.class?" = { regular = "market", block = "block" } }
engine_ns = { "@.ts?" = "iso" }
"""
AGG = """
[[message]]
record = "aggtrade"
match = { type = "a" }
each = ["rows[*]", "row"]
order = "window"
[message.fields]
symbol = "s"
agg_id = "@.a"
first_id = "@.f?"
last_id = "@.l?"
price = "@.p"
qty = { "@.q" = "e-4" }
buyer_is_maker = "@.m"
"""
DEPTH = """
[[message]]
record = ["bbo", "depth5"]
channel = "top.${symbol:lower}"
match = { topic = "$channel" }
order = "increasing"
fields = { update_id = "u", bid_price = "b[*][0]", bid_qty = "b[*][1]", ask_price = "a[*].p", ask_qty = "a[*].q", ask_count = "a[*].n?" }
"""
BOOK = """
[[message]]
record = "depth5"
match = { type = "b" }
order = "ORDER"
[message.fields]
symbol = "s"
snapshot = { k = { full = true, diff = false } }
update_id = "u"
first_id = "f?"
prev_id = "p?"
bid_price = "b[*][0]?"
bid_qty = "b[*][1]?"
ask_price = "a[*][0]?"
ask_qty = "a[*][1]?"
"""


def messages(tmp_path: Path, text: str, product: str = "spot") -> tuple[tuple[ir.Message, ...], tuple[ir.Message, ...]]:
    file = tmp_path / "spec.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    found, _ = exchange.read(file, RECORDS)  # findings: these specs have no examples
    assert found is not None
    other = next(one.name for one in found.products if one.name != product)
    return bind.bind(found, product), bind.bind(found, other)


class Bench:
    """An interpreter of a small spec, spoken to in text."""

    def __init__(self, tmp_path: Path, text: str, symbol: str | None = None) -> None:
        own, other = messages(tmp_path, text)
        self.interpreter = Interpreter(RECORDS, own, (other,), symbol)

    def __call__(self, frame: str | bytes) -> Outcome:
        return self.interpreter.decode(frame if isinstance(frame, bytes) else frame.encode())

    def records(self, frame: str) -> list[Record]:
        outcome = self(frame)
        assert outcome.skip is None
        assert all(isinstance(item, Record) for item in outcome.items), outcome
        return [item for item in outcome.items if isinstance(item, Record)]

    def one(self, frame: str) -> Record:
        (found,) = self.records(frame)
        return found

    def refused(self, frame: str | bytes) -> list[tuple[str, int | None, int, str | None]]:
        outcome = self(frame)
        assert outcome.skip is None
        return [(item.code, item.message, item.offset, item.field) for item in outcome.items if isinstance(item, Refusal)]


def names(record: Record) -> set[str]:
    return {name for name, bit in RECORDS.enum("Flag").values if record.flags >> bit & 1}


@pytest.fixture
def quote(tmp_path: Path) -> Bench:
    return Bench(tmp_path, QUOTE)


def at(frame: str, piece: str, skip: int = 0) -> int:
    """The byte offset of `piece` in `frame`, plus `skip`."""
    return frame.encode().index(piece.encode()) + skip


# --------------------------------------------------------------------------- quotes


def test_a_quote(quote: Bench) -> None:
    found = quote.one(
        '{"type":"q","s":"A","t":1700000000123.5,"u":"9","d":{"bid":["10.50",3,7],"ask":[10.5e0,"0.250"]},"late":"yes","x":[{}]}'
    )
    assert found == Record(
        "bbo", 0, "A", 1 << 2,
        {
            "event_ns": 1700000000123500000, "engine_ns": None, "update_id": 9, "bid_price": 1050, "bid_qty": 3000, "ask_price": 1050,
            "ask_qty": 250, "bid_count": 7, "ask_count": None,
        },
        -2, -3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "side", ['"bid":[],"ask":["1","2"]', '"ask":["1","2"]', '"bid":null,"ask":["1","2"]', '"bid":["",null],"ask":["1","2"]']
)
def test_a_missing_side_is_published_absent(quote: Bench, side: str) -> None:
    found = quote.one(f'{{"type":"q","s":"A","d":{{{side}}}}}')
    assert names(found) == {"ONE_SIDED"}
    assert [found.values[name] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")] == [None, None, 1, 2]


def test_both_sides_may_be_missing(quote: Bench) -> None:
    found = quote.one('{"type":"q","s":"A","d":{}}')
    assert names(found) == {"ONE_SIDED"}
    assert (found.price_exp, found.qty_exp) == (0, 0)


@pytest.mark.parametrize(
    ("frame", "code", "piece", "skip", "field"),
    [
        ('{"type":"q","d":{"bid":["1","2"]}}', "missing", "{", 0, "symbol"),
        ('{"type":"q","s":"","d":{}}', "missing", "{", 0, "symbol"),
        ('{"type":"q","s":null,"d":{}}', "missing", "{", 0, "symbol"),
        ('{"type":"q","s":{},"d":{}}', "type", "{}", 0, "symbol"),
        ('{"type":"q","s":true,"d":{}}', "type", "true", 0, "symbol"),
        ('{"type":"q","s":"a\\u0007b","d":{}}', "symbol", '"a', 0, "symbol"),
        ('{"type":"q","s":"\\ud800","d":{}}', "utf8", '"\\ud', 0, "symbol"),
        ('{"type":"q","s":"A","s":"B","d":{}}', "duplicate", '"s":"B"', 0, "symbol"),
        ('{"type":"q","s":"A","t":"x","d":{}}', "type", '"x"', 0, "event_ns"),
        ('{"type":"q","s":"A","t":1e30,"d":{}}', "range", "1e30", 0, "event_ns"),
        ('{"type":"q","s":"A","u":1.5,"d":{}}', "type", "1.5", 0, "update_id"),
        ('{"type":"q","s":"A","u":9223372036854775808,"d":{}}', "range", "92233", 0, "update_id"),
        ('{"type":"q","s":"A","u":1,"u":null,"d":{}}', "duplicate", '"u":null', 0, "update_id"),
        ('{"type":"q","s":"A","d":{"bid":["1"]}}', "missing", '{"bid"', 0, "bid_qty"),
        ('{"type":"q","s":"A","d":{"bid":[null,"1"]}}', "missing", '{"bid"', 0, "bid_price"),
        ('{"type":"q","s":"A","d":{"bid":["1","+2"]}}', "type", '"+2"', 0, "bid_qty"),
        ('{"type":"q","s":"A","d":{"bid":[true,"2"]}}', "type", "true", 0, "bid_price"),
        ('{"type":"q","s":"A","d":{"bid":{"0":1}}}', "type", '{"0"', 0, "bid_price"),
        ('{"type":"q","s":"A","d":{"bid":7}}', "type", "7", 0, "bid_price"),
        ('{"type":"q","s":"A","d":[]}', "type", "[]", 0, "bid_price"),
        ('{"type":"q","s":"A","d":{},"d":{}}', "duplicate", ',"d":{}}', 1, "bid_price"),
        ('{"type":"q","s":"A","d":{"bid":["1","2"],"ask":[],"ask":[]}}', "duplicate", ',"ask":[]}', 1, "ask_price"),
        ('{"type":"q","s":"A","d":{"bid":["1","2",-1]}}', "range", "-1", 0, "bid_count"),
        ('{"type":"q","s":"A","d":{"bid":["1","2",2147483648]}}', "range", "2147", 0, "bid_count"),
        ('{"type":"q","s":"A","d":{"bid":["1","2"],"ask":["9223372036854775808","1"]}}', "range", '"922', 0, "ask_price"),
        ('{"type":"q","s":"A","d":{"bid":["9223372036854775807","2"],"ask":["0.1","1"]}}', "range", '"922', 0, "bid_price"),
        # a value that is wrong in itself counts before one that finds no exponent, whatever the order
        ('{"type":"q","s":"A","d":{"bid":["9223372036854775808","2"],"ask":["1","x"]}}', "type", '"x"', 0, "ask_qty"),
        # of two alignments that fail, the first value in record order
        ('{"type":"q","s":"A","d":{"bid":["1","9e99"],"ask":["9e98","1"]}}', "range", '"9e99"', 0, "bid_qty"),
    ],
)  # fmt: skip
def test_refusals_of_a_quote(quote: Bench, frame: str, code: str, piece: str, skip: int, field: str) -> None:
    assert quote.refused(frame) == [(code, 0, at(frame, piece, skip), field)]


def test_the_first_field_in_record_order_counts(quote: Bench) -> None:
    frame = '{"type":"q","d":{"bid":["x","y"],"ask":["1"]},"u":true,"t":[],"s":"A"}'
    assert quote.refused(frame) == [("type", 0, at(frame, "[],"), "event_ns")]


def test_offsets_are_bytes(quote: Bench) -> None:
    frame = '{"type":"q","ключ":"é","s":"A","d":{"bid":["1","x"]}}'
    assert quote.refused(frame) == [("type", 0, frame.encode().index(b'"x"'), "bid_qty")]


def test_unneeded_keys_may_repeat_and_keys_are_compared_without_escapes(quote: Bench) -> None:
    found = quote.one('{"z":1,"z":2,"\\u0074ype":"\\u0071","s":"A","d":{"b\\u0069d":["1","2"],"x":1,"x":1}}')
    assert (found.values["bid_price"], found.values["bid_qty"]) == (1, 2)


# --------------------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("frame", "code", "offset"),
    [
        (b"", "malformed", 0),
        (b"  ", "malformed", 2),
        (b"hello", "malformed", 0),
        (b'{"type":"q"', "malformed", 11),
        (b'{"type":"q","x":"\xff"}', "utf8", 16),
        (b'{"type":"q","x":' + b"[" * 32 + b"]" * 32 + b"}", "depth", 47),
        (b'{"type":"q","type":"q"}', "duplicate", 12),
        (b'{"x":1,"type":"other","type":"q"}', "duplicate", 22),
    ],
)
def test_the_frame_as_a_whole(quote: Bench, frame: bytes, code: str, offset: int) -> None:
    assert quote(frame) == Outcome((Refusal(code, None, offset),), None, None)


def test_other_channel_and_other_product(tmp_path: Path) -> None:
    bench = Bench(tmp_path, QUOTE + TRADES)
    assert bench('{"type":"z"}') == Outcome((), "other_channel", None)
    assert bench("[]").skip == "other_channel"
    assert bench('{"type":"t","mkt":"PERP","d":{"A":[{"id":1}]}}').skip == "other_product"
    assert bench('{"type":"t","mkt":"MARS","d":{"A":[{"id":1}]}}').skip == "other_channel"


CONTROL = """
[[message]]
record = "pong"
match = { "." = "pong" }
[[message]]
record = "ack"
match = { op = "sub", ok = true }
fields = { id = "id" }
[[message]]
record = "error"
match = { ok = false, why = ["unknown topic $channel", "*"] }
fields = { id = "id?", code = "code?", text = "why" }
[[message]]
record = "ping"
match = { hb = "$n" }
send = '{"hb":$n}'
[[message]]
record = "notice"
match = { bye = "*" }
[[message]]
record = "control"
match = { hello = "" , welcome = "*" }
[[message]]
record = "dropped"
match = { type = "liq" }
"""


@pytest.mark.parametrize(
    ("frame", "skip", "fields"),
    [
        ("pong", "pong", {}),
        ('"pong"', "pong", {}),
        ('{"op":"sub","ok":true,"id":7}', "ack", {"id": "7"}),
        ('{"op":"sub","ok":"true","id":"x7"}', "ack", {"id": "x7"}),
        ('{"ok":false,"why":"unknown topic a.b"}', "error", {"channel": "a.b", "text": "unknown topic a.b"}),
        ('{"ok":false,"why":"no","id":3,"code":-12.0}', "error", {"id": "3", "code": "-12.0", "text": "no"}),
        ('{"ok":false,"why":{"a": 1}}', "error", {"text": '{"a": 1}'}),
        ('{"hb":99}', "ping", {"n": "99"}),
        ('{"bye":[]}', "notice", {}),
        ('{"welcome":1,"hello":null}', "control", {}),
        ('{"type":"liq"}', "dropped_class", {}),
    ],
)
def test_messages_that_give_no_record(tmp_path: Path, frame: str, skip: str, fields: dict[str, str]) -> None:
    bench = Bench(tmp_path, CONTROL)
    outcome = bench(frame)
    assert (outcome.items, outcome.skip) == ((), skip)
    (reading,) = bench.interpreter.read(frame.encode())
    assert (reading.message, reading.fields) == (outcome.skip_message, fields)


@pytest.mark.parametrize(
    "frame", ['{"bye":null}', '{"bye":""}', '{"welcome":1,"hello":0}', '{"ok":true}', '{"op":{},"ok":true}', '{"hb":{}}']
)
def test_matches_that_do_not_hold(tmp_path: Path, frame: str) -> None:
    assert Bench(tmp_path, CONTROL)(frame).skip == "other_channel"


@pytest.mark.parametrize("frame", [b"ponk", b"pong ", b"\xffpong"])
def test_plain_text_must_fit_as_it_is(tmp_path: Path, frame: bytes) -> None:
    assert Bench(tmp_path, CONTROL)(frame).items == (Refusal("malformed", None, 0),)


def test_a_message_takes_a_frame_beside_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path, QUOTE + AGG.replace('type = "a"', 'type = ["a", "q"]'))
    frame = '{"type":"q","s":"A","d":{"bid":["1","2"]},"row":{"a":1,"p":"1"}}'
    bbo, refusal = bench(frame).items
    assert isinstance(bbo, Record)
    assert refusal == Refusal("missing", 1, at(frame, '{"a":1'), "qty")


# --------------------------------------------------------------------------- patterns

PATTERN = """
[[message]]
record = "error"
match = { a = %s }
"""


@pytest.mark.parametrize(
    ("pattern", "text", "captures"),
    [
        ('"$x.$y"', "a.b.c", {"x": "a", "y": "b.c"}),
        ('"$x.b.$y"', "a.b.b.c", {"x": "a", "y": "b.c"}),
        ('"$x-$x"', "ab-ab", {"x": "ab"}),
        ('"$x-$x"', "ab-ac", None),
        ('"$x$y"', "abc", {"x": "a", "y": "bc"}),
        ('"$x$y"', "a", None),
        ('"a$x"', "a", None),
        ('"${x:lower}@t"', "btcusdt@t", {"x": "BTCUSDT"}),
        ('"${x:lower}@t"', "btcÄö@t", {"x": "BTCÄö"}),
        ('"t.*.$x"', "t.1.2.z", {"x": "2.z"}),
        ('"t*$x"', "tz", {"x": "z"}),
        ('"*"', "x", {}),
        ('"*"', "", None),
        ('["b", "$x!", "a$x"]', "ab!", {"x": "ab"}),
        ('["", "b"]', "", {}),
        ('"$market"', "SPOT", {}),
        ('"$market"', "PERP", None),
        ('"m.${market:lower}.$x"', "m.spot.1", {"x": "1"}),
    ],
)  # fmt: skip
def test_patterns(tmp_path: Path, pattern: str, text: str, captures: dict[str, str] | None) -> None:
    readings = Bench(tmp_path, PATTERN % pattern).interpreter.read(('{"a":"' + text + '"}').encode())
    assert [reading.fields for reading in readings] == ([] if captures is None else [captures])


def test_a_lone_surrogate_fits_only_a_star(tmp_path: Path) -> None:
    frame = b'{"a":"\\ud800"}'
    assert Bench(tmp_path, PATTERN % '"*"')(frame).skip == "error"
    assert Bench(tmp_path, PATTERN % '"$x"')(frame).skip == "other_channel"


# --------------------------------------------------------------------------- elements


def test_members_newest_first_and_maps(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TRADES)
    found = bench.records(
        '{"type":"t","mkt":"SPOT","d":{"A":[{"id":"78","px":"10.51","sz":"1.5","ts":"2023-11-14T22:13:20.25Z"},'
        '{"id":"u-1","px":10.50,"sz":-2,"class":"block"},{"id":76,"px":1,"sz":1,"class":"odd"}],"B":[],"C":[{"id":1,"px":1,"sz":0}]}}'
    )
    assert [(r.symbol, r.values["price"], r.price_exp, r.values["qty"], r.values["buyer_is_maker"], r.values["kind"]) for r in found] == [
        ("A", 1050, -2, 2, True, 2),
        ("A", 1051, -2, 15, False, 0),
        ("C", 1, 0, 0, False, 0),
    ]
    assert found[1].values["engine_ns"] == 1700000000250000000
    assert found[1].values["trade_id"] == 78
    assert [names(record) for record in found] == [{"HASHED_ID"}, set(), set()]


def test_refused_elements_leave_the_others_alone(tmp_path: Path) -> None:
    frame = '{"type":"t","d":{"A":[{"id":3,"px":1,"sz":1},{"id":-1,"px":1,"sz":1},{"px":1,"sz":1},{"class":"block","class":"block"},7]}}'
    items = Bench(tmp_path, TRADES)(frame).items
    assert [item if isinstance(item, Refusal) else item.values["trade_id"] for item in items] == [
        # 7 has no `class`: a step into a number does not hold
        Refusal("duplicate", 0, at(frame, ',"class"', 1)),
        Refusal("missing", 0, at(frame, '{"px"'), "trade_id"),
        Refusal("type", 0, at(frame, "-1"), "trade_id"),
        3,
    ]


def test_each_takes_the_first_path_that_exists(tmp_path: Path) -> None:
    bench = Bench(tmp_path, AGG)
    row = '{"a":5,"f":1,"l":3,"p":"2.0","q":"15000","m":true}'
    for frame in (
        f'{{"type":"a","s":"A","rows":[{row}]}}',
        f'{{"type":"a","s":"A","row":{row}}}',
        f'{{"type":"a","s":"A","rows":7,"row":{row}}}',
    ):
        found = bench.one(frame)
        assert found.values == {
            "event_ns": None, "engine_ns": None, "agg_id": 5, "first_id": 1, "last_id": 3, "count": 3, "price": 20, "qty": 15000,
            "buyer_is_maker": True,
        }  # fmt: skip
        assert found.qty_exp == -4
    assert bench('{"type":"a","s":"A","rows":[],"row":' + row + "}") == Outcome((), "empty", 0)
    assert bench('{"type":"a","s":"A"}') == Outcome((), "empty", 0)
    assert bench.refused('{"type":"a","s":"A","rows":7}') == [("type", 0, 27, None)]
    assert bench.refused('{"type":"a","rows":[],"rows":[]}') == [("duplicate", 0, 22, None)]


@pytest.mark.parametrize(
    ("ids", "count", "refused"),
    [
        ('"f":5,"l":5', 1, None),
        ('"f":5', None, None),
        ('"f":5,"l":4', None, "4"),
        ('"f":0,"l":2147483647', None, "2147483647"),
        ('"f":1,"l":2147483647', 2147483647, None),
    ],
)
def test_count_of_an_aggregate(tmp_path: Path, ids: str, count: int | None, refused: str | None) -> None:
    bench = Bench(tmp_path, AGG)
    frame = f'{{"type":"a","s":"A","row":{{"a":5,{ids},"p":"2","q":"1","m":false}}}}'
    if refused is None:
        assert bench.one(frame).values["count"] == count
    else:
        assert bench.refused(frame) == [("range", 0, at(frame, f'"l":{refused}', 4), "count")]


def test_bool_without_a_map_is_a_literal(tmp_path: Path) -> None:
    frame = '{"type":"a","s":"A","row":{"a":5,"p":"2","q":"1","m":"true"}}'
    assert Bench(tmp_path, AGG).refused(frame) == [("type", 0, at(frame, '"true"'), "buyer_is_maker")]


# --------------------------------------------------------------------------- sources

SOURCES = """
[[message]]
record = "trade"
match = { type = "x" }
order = "window"
[message.fields]
symbol = ["inst?", "alt.name"]
trade_id = { "id?" = "nonzero" }
price = ["p1?", "p2"]
qty = "list[-1].q"
buyer_is_maker = { "legs[side=maker].dir" = { buy = true, sell = false } }
kind = "=block"
reset = { id = { 1 = true, "*" = false } }
engine_ns = { "when?" = "auto" }
"""
GOOD = {
    "type": '"x"', "inst": '"A"', "id": "7", "p1": '"1"', "list": '[{"q":"1"},{"q":"2"}]',
    "legs": '[{"side":"taker","dir":"?"},{"side":"maker","dir":"buy"},{"side":"maker","dir":"!"}]',
}  # fmt: skip


def frame_of(**changes: str | None) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in {**GOOD, **changes}.items() if value is not None) + "}"


def test_sources(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SOURCES)
    found = bench.one(frame_of())
    assert (found.symbol, found.flags, found.values["trade_id"], found.values["qty"]) == ("A", 0, 7, 2)
    assert (found.values["buyer_is_maker"], found.values["kind"]) == (True, 2)
    found = bench.one(frame_of(inst="null", alt='{"name":12.50}', id='"1"', p1=None, p2="3.5", when="1700000000123"))
    assert (found.symbol, found.values["price"], found.price_exp) == ("12.50", 35, -1)
    assert names(found) == {"RESET"}
    assert found.values["engine_ns"] == 1700000000123000000
    assert bench.one(frame_of(id="0")).values["trade_id"] is None


@pytest.mark.parametrize(
    ("changes", "code", "piece", "field"),
    [
        ({"inst": None}, "missing", "{", "symbol"),
        ({"inst": None, "alt": "{}"}, "missing", "{}", "symbol"),
        ({"inst": None, "alt": "[]"}, "type", "[]", "symbol"),
        ({"inst": '"A","alt":{},"alt":{}'}, "duplicate", '"alt":{},"id"', "symbol"),  # also where the first source has a value
        ({"p1": None}, "missing", "{", "price"),
        ({"p1": '"y"', "p2": "1"}, "type", '"y"', "price"),
        ({"list": "[]"}, "missing", "{", "qty"),
        ({"list": "[{}]"}, "missing", "{}", "qty"),
        ({"list": "[5]"}, "type", "5]", "qty"),
        ({"legs": "[]"}, "missing", "{", "buyer_is_maker"),
        ({"legs": '[{"side":"maker","dir":"up"}]'}, "unmapped", '"up"', "buyer_is_maker"),
        ({"legs": '[{"side":"maker","dir":[]}]'}, "unmapped", "[]}", "buyer_is_maker"),
        ({"when": "17"}, "range", "17", "engine_ns"),
        ({"id": None}, "missing", "{", "reset"),
    ],
)
def test_refusals_of_sources(tmp_path: Path, changes: dict[str, str | None], code: str, piece: str, field: str) -> None:
    frame = frame_of(**changes)
    assert Bench(tmp_path, SOURCES).refused(frame) == [(code, 0, at(frame, piece), field)]


def test_a_field_the_venue_does_not_give(tmp_path: Path) -> None:
    text = QUOTE.replace('bid_qty = "d.bid[1]"', 'bid_qty = "="').replace('ask_qty = "d.ask[1]"', 'ask_qty = "="')
    found = Bench(tmp_path, text).one('{"type":"q","s":"A","d":{"bid":["1.5"],"ask":["2"]}}')
    assert names(found) == set()
    assert [found.values[name] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")] == [15, None, 20, None]


def test_a_stream_that_only_its_connection_names(tmp_path: Path) -> None:
    text = QUOTE.replace('symbol = "s"\n', "")
    frame = '{"type":"q","d":{"bid":["1","2"]}}'
    assert Bench(tmp_path, text)(frame).skip == "other_channel"
    assert Bench(tmp_path, text, symbol="ZZ").one(frame).symbol == "ZZ"
    known = Bench(tmp_path, DEPTH, symbol="AB")
    assert known('{"topic":"top.ab","u":1,"b":[],"a":[]}').skip is None
    assert known('{"topic":"top.ac","u":1,"b":[],"a":[]}').skip == "other_channel"


# --------------------------------------------------------------------------- levels


def levels(n: int) -> str:
    return ",".join(f'["{100 - i}","{i}.5"]' for i in range(n))


def test_several_records_from_the_same_levels(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DEPTH)
    bbo, depth = bench.records(f'{{"topic":"top.ab","u":3,"b":[{levels(2)}],"a":[{{"p":"101.25","q":"2","n":4}}]}}')
    assert (bbo.record, bbo.symbol, bbo.price_exp, bbo.qty_exp) == ("bbo", "AB", -2, -1)
    assert bbo.values == {
        "event_ns": None, "engine_ns": None, "update_id": 3, "bid_price": 10000, "bid_qty": 5, "ask_price": 10125, "ask_qty": 20,
        "bid_count": None, "ask_count": 4,
    }  # fmt: skip
    assert depth.values == {
        "event_ns": None, "engine_ns": None, "update_id": 3, "bid_levels": 2, "ask_levels": 1, "bid_price": [10000, 9900],
        "bid_qty": [5, 15], "ask_price": [10125], "ask_qty": [20], "bid_count": [None, None], "ask_count": [4],
    }  # fmt: skip


def test_each_record_has_its_own_exponents(tmp_path: Path) -> None:
    bbo, depth = Bench(tmp_path, DEPTH).records('{"topic":"top.ab","u":3,"b":[["1","1"],["0.125","1"]],"a":[]}')
    assert (bbo.price_exp, depth.price_exp) == (0, -3)
    assert names(bbo) == {"ONE_SIDED"}
    assert names(depth) == set()


def test_what_stands_past_the_levels_is_grammar_only(tmp_path: Path) -> None:
    _, depth = Bench(tmp_path, DEPTH).records(f'{{"topic":"top.ab","u":3,"b":[{levels(5)},"x",{{}}],"a":[]}}')
    assert depth.values["bid_price"] == [100, 99, 98, 97, 96]
    assert depth.values["bid_qty"] == [5, 15, 25, 35, 45]


@pytest.mark.parametrize(
    ("body", "code", "piece", "field"),
    [
        ('"b":[]', "missing", "{", "ask_price"),
        ('"b":null,"a":[]', "missing", "{", "bid_price"),
        ('"b":{},"a":[]', "type", "{}", "bid_price"),
        ('"b":[["1"]],"a":[]', "missing", "{", "bid_qty"),
        ('"b":[["1","x"],["y","1"]],"a":[]', "type", '"y"', "bid_price"),
        ('"b":[],"a":[{"p":1,"q":2},{"p":1}]', "missing", '{"p":1}', "ask_qty"),
        ('"b":[],"a":[{"p":1,"q":2,"n":1.5}]', "type", "1.5", "ask_count"),
        ('"b":[],"a":[{"p":1,"p":1,"q":2}]', "duplicate", '"p":1,"q"', "ask_price"),
        ('"b":[],"a":[{"p":1,"q":9e19},{"p":1,"q":1}]', "range", "9e19", "ask_qty"),
    ],
)
def test_refusals_of_levels(tmp_path: Path, body: str, code: str, piece: str, field: str) -> None:
    frame = f'{{"topic":"top.ab","u":3,{body}}}'
    assert Bench(tmp_path, DEPTH).refused(frame) == [(code, 0, at(frame, piece), field)]


APART = """
[[message]]
record = "depth5"
match = { type = "p" }
order = "leader"
fields = { symbol = "s", bid_price = "bp[*]", bid_qty = "x.bq[*]", ask_price = "ap[*]", ask_qty = "aq[*]" }
"""


def test_prices_and_quantities_in_arrays_of_their_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, APART)
    frame = '{"type":"p","s":"A","bp":[3,2,1],"x":{"bq":[1,2]},"ap":[],"aq":[]}'
    assert bench.refused(frame) == [("missing", 0, at(frame, '{"bq"'), "bid_qty")]
    frame = '{"type":"p","s":"A","bp":[3],"x":{"bq":[1,2]},"ap":[],"aq":[]}'
    assert bench.refused(frame) == [("missing", 0, 0, "bid_price")]
    found = bench.one('{"type":"p","s":"A","bp":[6,5,4,3,2,1,0],"x":{"bq":[1,2,3,4,5,6]},"ap":[],"aq":[]}')
    assert (found.values["bid_levels"], found.values["update_id"]) == (5, None)


MIXED = """
[[message]]
record = "depth5"
match = { type = "m" }
order = "leader"
fields = { symbol = "s", side = { "l[*].s" = { B = "bid", S = "ask" } }, price = "l[*].p", qty = "l[*].q" }
"""


def test_levels_that_name_their_side(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MIXED)
    found = bench.one('{"type":"m","s":"A","l":[{"s":"B","p":"1.5","q":1},{"s":"S","p":2,"q":"0.5"},{"s":"B","p":1,"q":3}]}')
    assert (found.values["bid_price"], found.values["bid_qty"], found.values["ask_price"], found.values["ask_qty"]) == (
        [15, 10],
        [10, 30],
        [20],
        [5],
    )
    frame = '{"type":"m","s":"A","l":[{"s":"X","p":"1.5","q":1}]}'
    assert bench.refused(frame) == [("unmapped", 0, at(frame, '"X"'), "side")]


ALONE = """
[[message]]
record = "depth5"
match = { type = "l" }
each = "rows[*]"
order = "leader"
fields = { symbol = "s", side = { "@.side" = { B = "bid", S = "ask" } }, price = "@.l[*].p", qty = "@.l[*].q" }
"""


def test_levels_that_share_a_side(tmp_path: Path) -> None:
    found = Bench(tmp_path, ALONE).records(
        '{"type":"l","s":"A","rows":[{"side":"S","l":[{"p":2,"q":1},{"p":3,"q":1}]},{"side":"B","l":[]}]}'
    )
    assert [(record.values["bid_price"], record.values["ask_price"]) for record in found] == [([], [2, 3]), ([], [])]


# --------------------------------------------------------------------------- books


class BookBench:
    """A book fed with short words: what each update gives."""

    def __init__(self, tmp_path: Path, order: str = "increasing", more: str = "") -> None:
        self.bench = Bench(tmp_path, BOOK.replace("ORDER", order) + more)

    def __call__(self, kind: str, u: int, *, b: str = "", a: str = "", **ids: Any) -> Any:
        extra = "".join(f',"{key}":{value}' for key, value in ids.items())
        outcome = self.bench(f'{{"type":"b","s":"A","k":"{kind}","u":{u}{extra},"b":[{b}],"a":[{a}]}}')
        if outcome.skip is not None:
            return outcome.skip
        (item,) = outcome.items
        if isinstance(item, Refusal):
            return item.code, item.field
        return "SNAPSHOT" in names(item), item.values["bid_price"], item.values["bid_qty"], item.values["ask_price"]


def test_a_book_of_deltas(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    assert book("diff", 1, b="[5,1]") == "stale_book"
    assert book("full", 10, b="[5,1],[4,1]", a="[6,1]") == (True, [5, 4], [1, 1], [6])
    assert book("full", 10, b="[5,1],[4,1]", a="[6,1]") == (True, [5, 4], [1, 1], [6])  # a snapshot always publishes
    assert book("diff", 11, b='["5.00",1]') == "unchanged"
    assert book("diff", 12, b="[5,0],[9,0]") == (False, [4], [1], [6])
    assert book("diff", 12, b="[1,1]") == "unchanged"  # a duplicate
    assert book("diff", 20, b="[4.5,2]") == (False, [45, 40], [2, 1], [60])
    assert book("full", 3, a="[7,1]") == (True, [], [], [7])


def test_changes_below_the_levels_are_unchanged(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    book("full", 1, b=",".join(f"[{price},1]" for price in range(10, 3, -1)))
    assert book("diff", 2, b="[5,7]") == "unchanged"
    assert book("diff", 3, b="[10,0]") == (False, [9, 8, 7, 6, 5], [1, 1, 1, 1, 7], [])


def test_prev_id_chains(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    book("full", 10, b="[5,1]")
    assert book("diff", 15, p=10, b="[5,2]") == (False, [5], [2], [])
    assert book("diff", 3, p=15, b="[5,3]") == (False, [5], [3], [])  # the venue's own reset
    assert book("diff", 3, p=2, b="[5,4]") == "unchanged"
    assert book("diff", 9, p=7, b="[5,4]") == "stale_book"
    assert book("diff", 11, p=9, b="[5,4]") == "stale_book"
    assert book("full", 20, b="[5,1]") == (True, [5], [1], [])


def test_first_id_chains(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    book("full", 10, b="[5,1]")
    assert book("diff", 9, f=8, b="[5,9]") == "unchanged"
    assert book("diff", 12, f=9, b="[5,2]") == (False, [5], [2], [])
    assert book("diff", 13, f=13, b="[5,3]") == (False, [5], [3], [])
    assert book("diff", 16, f=15, b="[5,4]") == "stale_book"
    assert book("diff", 17, f=17, b="[5,4]") == "stale_book"


def test_behind_a_snapshot_an_update_may_begin_before_it(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    book("full", 10, b="[5,1]")
    assert book("diff", 12, f=9, p=8, b="[5,2]") == (False, [5], [2], [])
    assert book("diff", 14, f=13, p=12, b="[5,3]") == (False, [5], [3], [])
    assert book("diff", 16, f=15, p=13, b="[5,4]") == "stale_book"


def test_contiguous_ids_step_by_one(tmp_path: Path) -> None:
    book = BookBench(tmp_path, "contiguous")
    book("full", 10, b="[5,1]")
    assert book("diff", 11, b="[5,2]") == (False, [5], [2], [])
    assert book("diff", 13, b="[5,3]") == "stale_book"


def test_a_refused_update_is_a_hole(tmp_path: Path) -> None:
    book = BookBench(tmp_path)
    book("full", 10, b="[5,1]")
    assert book("diff", 11, b='[5,"x"]') == ("type", "bid_qty")
    assert book("diff", 12, b="[5,3]") == "stale_book"


def test_checksums(tmp_path: Path) -> None:
    for rule, text in (("crc32-interleaved-25", "5:1:6:2:4:1.0"), ("crc32-digits-10", "6251410")):
        good = zlib.crc32(text.encode())
        book = BookBench(tmp_path, more=f'checksum = {{ "c?" = "{rule}" }}\n')
        assert book("full", 1, b='[5,1],[4,"1.0"]', a="[6,2]", c=good) == (True, [5, 4], [10, 10], [6])
        assert book("full", 2, b='[5,1],[4,"1.0"]', a="[6,2]", c=good - (1 << 32)) == (True, [5, 4], [10, 10], [6])
        assert book("diff", 3, c=good + 1) == "stale_book"
        assert book("diff", 4) == "stale_book"
        assert book("full", 5, b="[5,1]", c="true") == ("type", "checksum")


def test_quotes_cut_from_a_book_change_less_often(tmp_path: Path) -> None:
    bench = Bench(tmp_path, BOOK.replace('"depth5"', '["bbo", "depth5"]').replace("ORDER", "increasing"))
    frame = '{{"type":"b","s":"A","k":"{}","u":{},"b":[{}],"a":[]}}'
    assert [r.record for r in bench.records(frame.format("full", 1, "[5,1],[4,1]"))] == ["bbo", "depth5"]
    assert [r.record for r in bench.records(frame.format("diff", 2, "[4,2]"))] == ["depth5"]
    assert [r.record for r in bench.records(frame.format("diff", 3, "[6,2]"))] == ["bbo", "depth5"]


# --------------------------------------------------------------------------- fetched

FETCHED = """
[[message]]
record = "instrument"
url = "https://api.example/m?type=$market&after=$after"
match = { ok = true, next = ["$after", ""] }
each = "rows[*]"
[message.fields]
symbol = "@.name"
base = "@.base?"
price_step = "@.rules[type=PRICE].step"
qty_unit = "$qty_unit"
trading = { "@.state" = { open = true, "*" = false } }
"""


def test_fetched_rows_and_paging(tmp_path: Path) -> None:
    interpreter = Bench(tmp_path, FETCHED).interpreter
    body = b'{"ok":true,"next":"p2","rows":[{"name":"A","state":"open","rules":[{"type":"SIZE"},{"type":"PRICE","step":0.10}]}]}'
    found = interpreter.fetched(0, body, {"after": "p1", "qty_unit": "base"})
    assert found.rows == ({"symbol": "A", "price_step": "0.10", "qty_unit": "base", "trading": True},)
    assert found.captures["after"] == "p2"
    assert interpreter.decode(body).skip == "other_channel"  # pushed frames are not tried on it
    with pytest.raises(FetchError, match="does not match"):
        interpreter.fetch(0, b'{"ok":false}')
    with pytest.raises(FetchError, match="malformed at byte 1"):
        interpreter.fetch(0, b"{")
    with pytest.raises(FetchError, match="price_step is refused: missing at byte 29"):
        interpreter.fetch(0, b'{"ok":true,"next":"","rows":[{"name":"A","rules":[],"state":1}]}')


# --------------------------------------------------------------------------- anything

pieces = st.sampled_from(
    [
        '{"type":"q","s":"A","d":{',
        '"bid":["1","2"]',
        '"type":"t"',
        '"d":{"A":[{"id":1',
        '"px":"1"',
        '"sz":-1',
        "}",
        "]",
        ",",
        ":",
        '"',
        "1",
        "[",
        "{",
        "pong",
        "\\",
    ]
)


@settings(max_examples=200)
@given(st.binary(max_size=40) | st.lists(pieces, max_size=14).map(lambda parts: "".join(parts).encode()))
def test_no_bytes_make_it_raise(tmp_path_factory: pytest.TempPathFactory, frame: bytes) -> None:
    bench = _anything(tmp_path_factory)
    outcome = bench(frame)
    assert bool(outcome.items) != (outcome.skip is not None)
    for item in outcome.items:
        if isinstance(item, Refusal):
            assert 0 <= item.offset <= len(frame)


_BENCHES: list[Bench] = []


def _anything(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    if not _BENCHES:
        _BENCHES.append(Bench(tmp_path_factory.mktemp("spec"), QUOTE + TRADES + AGG + DEPTH + CONTROL))
    return _BENCHES[0]
