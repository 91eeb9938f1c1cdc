"""The reference interpreter: the rules of docs/decoding.md as frames and what they give, on small invented specs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen.reference import FetchError, Outcome, Record, Refusal

from .refbench import DEPTH, Bench, at, names

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


@pytest.fixture
def quote(tmp_path: Path) -> Bench:
    return Bench(tmp_path, QUOTE)


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
