"""The tolerant tier against the reference interpreter: same items, codes, offsets and skip reasons on every input tried."""

from __future__ import annotations

import ctypes
import json
import random
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen import exchange, generate, ir, places, sizes, tolerant
from tests.codegen import compiled
from tests.codegen.compiled import Given, Reference, Tolerant

# A venue that uses what the language has: captures, folds, members, both ends of arrays, searches, maps, words, lists of sources.
PROBE = r"""
name = "probe"
[product.spot]
url = "wss://feed.example/$path"
vars = { market = "SPOT", path = "x" }
[product.perp]
url = "wss://feed.example/$path"
vars = { market = "PERP", path = "x" }

[[message]]
record = "bbo"
channel = "top.${symbol:lower}"
match = { topic = "$channel", mkt = "$market" }
order = "increasing"
[message.fields]
update_id = ["d.seq?", "d.alt?"]
reset = { "d.seq?" = { 1 = true, "*" = false } }
bid_price = "d.bid[0]"
bid_qty = "d.bid[1]"
ask_price = "d.ask[0]"
ask_qty = { "d.ask[1]" = "nonzero" }
bid_count = "d.bid[-1]?"
event_ns = { "t?" = "ms" }
backfill = { "late?" = { yes = true, no = "", "*" = false } }

[[message]]
record = "trade"
match = { topic = "trades", mkt = ["$market", ""], "@.class" = ["", "regular", "block", "x*y"] }
each = "d.$symbol[-*]"
order = "window"
[message.fields]
trade_id = "@.id"
price = { "@.px" = "e-4" }
qty = { "@.sz" = "abs" }
buyer_is_maker = { "@.sz" = "negative" }
kind = { "@.class?" = { regular = "market", block = "block", "*" = "other" } }
engine_ns = { "@.ts?" = "iso" }
event_ns = { "t?" = "auto" }

[[message]]
record = "dropped"
match = { topic = "trades", "@.class" = "none" }
each = "d.$symbol[*]"

[[message]]
record = "aggtrade"
match = { topic = "agg.$seq.$symbol" }
each = ["rows[*].in", "row", "."]
order = "window"
[message.fields]
agg_id = { "@.a" = "nonzero" }
first_id = { "@.f?" = "iso" }
last_id = "@.l?"
price = "@.legs[type=PX].v"
qty = ["@.q[-2]?", "@.legs[type=Q].v[-1]?", "@.q2"]
buyer_is_maker = { "@.m" = { b = false, s = true, "é" = true, 7 = false } }
event_ns = { "@.ns?" = "ns" }
engine_ns = { "@.us?" = "us" }

[[message]]
record = "aggtrade"
match = { kind = "agg2", "list[-1].ok" = "*" }
order = "window"
[message.fields]
symbol = ["s?", "t?"]
agg_id = "seq"
first_id = "f?"
last_id = { "l?" = "nonzero" }
price = "=1.50"
qty = "q"
buyer_is_maker = "=false"

[[message]]
record = ["bbo", "depth5"]
match = { kind = "book${n}${k}!" }
each = ["data", "."]
order = "increasing"
fields = { symbol = "@.s", update_id = { "@.u" = "s" }, bid_price = "@.b[*][0]", bid_qty = "@.b[*][1]", ask_price = "@.ap[*]", ask_qty = "@.aq[*].x[-1]", ask_count = "@.n[*]?", bid_count = "@.b[*][2]?" }

[[message]]
record = "depth20"
match = { kind = "deep", n = "*" }
order = "increasing"
fields = { update_id = "u", bid_price = "b[*].p", bid_qty = "=", ask_price = { "a[*].p?" = "nonzero" }, ask_qty = "a[*].q?", bid_count = "=" }

[[message]]
record = ["depth5", "depth20"]
match = { kind = "both" }
order = "increasing"
fields = { symbol = "s", update_id = "u", bid_price = "b[*][0]", bid_qty = "b[*][1]", ask_price = "a[*][0]", ask_qty = "a[*][1]", bid_count = "b[*][2]?", ask_count = "a[*][2]?" }

[[message]]
record = "ack"
match = { op = "sub", ok = true, id = ["$id", ""] }

[[message]]
record = "error"
match = { ok = false, why = ["unknown $channel", "*"] }

[[message]]
record = "pong"
match = { "." = ["pong", "$n!"] }

[[message]]
record = "ping"
match = { hb = "$n" }
send = '{"hb":$n}'

[[message]]
record = "notice"
match = { "rows[kind=note].text" = "*" }
"""

FRAMES = [
    '{"topic":"top.foobar","mkt":"SPOT","t":1700000000123,"d":{"bid":["10.50","3",4],"ask":["10.51","0.25"],"seq":881}}',
    '{"topic":"top.FOObar","mkt":"SPOT","late":"yes","d":{"bid":["10.50","3"],"ask":[],"alt":"1"}}',
    (
        '{"topic":"trades","mkt":"SPOT","t":1700000000,"d":{"FOOBAR":[{"id":"78","px":"105100","sz":"1.5","ts":"2023-11-14T22:13:20.25Z"},'
        '{"id":"u-77","px":105000,"sz":-2,"class":"block","ts":"2023-11-14 22:13:20+01:30"},{"class":"none"},{"class":"x1y","id":3,"px":1,"sz":2}],"B":[]}}'
    ),
    (
        '{"topic":"agg.17.FOO","rows":[{"in":{"a":4,"f":"2023-11-14T22:13:20Z","l":7,"legs":[{"type":"Z"},{"v":"1.25","type":"PX"}],"q":["1.0","2"],"m":"s","ns":5}},'
        '{"in":{"a":"x","legs":[{"type":"PX","v":1},{"type":"Q","v":[1,"2.50"]}],"m":7,"us":"1700000000123456.7"}}]}'
    ),
    '{"topic":"agg.1.2.F","row":{"a":9,"legs":[{"type":"PX","v":"0.1"}],"q2":"3","m":"\\u00e9"}}',
    '{"kind":"agg2","list":[1,{"ok":1}],"s":"","t":"FOO","seq":"12","f":3,"l":9,"q":"4"}',
    '{"kind":"book12!","data":{"s":"FOO","u":"17.5","b":[["10.5","1",2],["10.4","2",3]],"ap":["10.6"],"aq":[{"x":[1,"2.0"]}],"n":[7]}}',
    '{"kind":"book12!","s":"FOO","u":1,"b":[["1","1"],["2","1"],["3","1"],["4","1"],["5","1"],["6","x"]],"ap":[],"aq":[]}',
    '{"kind":"deep","n":[],"u":5,"b":[{"p":"1.5"},{"p":"1.4"}],"a":[{"p":"2","q":"1"},{"p":"0","q":"3"},{"q":1}]}',
    '{"op":"sub","ok":true,"id":7}',
    '{"ok":false,"why":"unknown top.x"}',
    "pong",
    "12!",
    '{"hb":99}',
    '{"rows":[{"kind":"note","text":"t"}],"topic":"top.a"}',
    '{"topic":"top.foobar","mkt":"PERP","d":{}}',
    '{"x":1}',
    (
        '{"kind":"both","s":"FOO","u":8,"b":[["9.7","1",1],["9.6","2",2],["9.5","3",3],["9.4","4",4],["9.3","5",5],["9.2","6",6],["9.12","7",7]],'
        '"a":[["10.1","11",8],["10.2","12",9],["10.3","13"],["10.4","14",10],["10.5","15",11],["10.6","16.5",12]]}'
    ),
]
HOSTILE = [
    "0", "-0", "1", "-1", "5", "1e5", "1.50e1", "-1.25E-3", "0e999", "1e400", "1e-400", "123456789012345678901234567890",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0.00000000000000000000000000000000000000000000001",
    "1.000000000000000000000000000000", "true", "false", "null", '""', '"NaN"', '"Infinity"', '"1e5"', '"+1"', '"1."', '".5"', '"01"', '" 1"',
    '"1 "', '"-0"', '"0"', '"1\\u0030.5"', '"\\ud800"', '"\\ud83d\\ude00"', '"a\\"b"', '"a\\nb"', '"\\u007f"', '"\x7f"', '"é"', '"' + "s" * 48 + '"',
    '"' + "s" * 49 + '"', '"SPOT"', '"PERP"', '"trades"', '"TOP.foo"', '"top.\\u0066oo"', '"agg.1.F"', "{}", "[]", "[[]]", '{"a":{"b":[1,2,{"c":null}]}}',
    "[1,2,3]", '["1"]', '{"p":1}', '[{"p":1,"q":2}]', '[{"type":"PX","v":"7"},{"type":"Q","v":["3"]}]', '"1700000000"', "1700000000123",
    "1700000000123456", "1700000000123456789", "17000000001234567890", '"2023-02-29T00:00:00Z"', '"2024-02-29T23:59:59.999999999999Z"',
    '"1677-09-21T00:12:43.145224192Z"', '"1677-09-21T00:12:43.145224193Z"', '"2262-04-11T23:47:16.854775807Z"', '"2262-04-11T23:47:16.854775808Z"',
    "2147483647", "2147483648", '"block"', '"x*y"', '"xy"', '"unknown "', '"9c1b0a2e-77f4-5d3a-8b1e-0f2d4c6a8e90"', "1.0", "1e0", '"18446744073709551616"',
]  # fmt: skip
SPLINTERS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\x00", b"\x1f", b"\x7f", b"\xff", b"\xc3\xa9", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98\x80",
             b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"0", b"-", b".", b"e", b"null", b"true", b"\\u00e9", b"\\ud800", b"\\u00", b'"a":1,', b"[" * 40]  # fmt: skip


def load(folder: Path, text: str, name: str) -> ir.Exchange:
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    found, _ = exchange.read(file, compiled.RECORDS)  # its findings are about examples, which these specs have none of
    assert found is not None
    return found


class Pair:
    """Both readers of one product; `agree` is what every test here asks."""

    def __init__(self, tolerant_tier: Tolerant, reference: Reference) -> None:
        self.tolerant = tolerant_tier
        self.reference = reference

    def agree(self, frame: bytes, binary: bool = False) -> Given:
        one, other = self.tolerant(frame, binary), self.reference(frame, binary)
        assert one == other, frame
        return one


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Pair]:
    folder = tmp_path_factory.mktemp("probe")
    spec = load(folder, PROBE, "probe")
    library = compiled.build(folder, spec)
    return lambda product, symbol: Pair(Tolerant(library, spec, product, symbol), Reference(spec, product, symbol))


@pytest.fixture(scope="module")
def spot(probe: Callable[[str, str], Pair]) -> Pair:
    return probe("spot", "")


@pytest.fixture(scope="module")
def binance(built_in: Path) -> tuple[ir.Exchange, Pair]:
    spec = exchange.load(places.schema() / "exchange/binance.toml", compiled.RECORDS)
    library = ctypes.CDLL(str(built_in / compiled.LIBRARY))
    return spec, Pair(Tolerant(library, spec, "spot"), Reference(spec, "spot"))


# --------------------------------------------------------------------------- ways to spoil a frame


def values_of(tree: object, way: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The ways to every value of a JSON tree of pairs."""
    yield way
    if isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from values_of(item[1] if isinstance(item, tuple) else item, (*way, i))


def parse_pairs(text: str) -> object:
    """JSON with objects as lists of (key, value) pairs, numbers as their text in a `Raw`."""
    return json.loads(text, object_pairs_hook=Pairs, parse_float=Raw, parse_int=Raw)


class Raw(str):
    """JSON as it stands."""

    __slots__ = ()


class Pairs(list[tuple[str, object]]):
    """An object: members in order, keys may repeat."""

    __slots__ = ()


def write(tree: object, rng: random.Random, loose: bool) -> str:
    def space() -> str:
        return rng.choice(["", "", "", " ", "\n\t", "  "]) if loose else ""

    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, Pairs):
        members = (f"{space()}{key(name, rng, loose)}{space()}:{space()}{write(value, rng, loose)}{space()}" for name, value in tree)
        return "{" + ",".join(members) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(f"{space()}{write(item, rng, loose)}{space()}" for item in tree) + "]"
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5)


def key(name: str, rng: random.Random, loose: bool) -> str:
    if name and loose and rng.random() < 0.1:
        at = rng.randrange(len(name))
        return f'"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"'
    return json.dumps(name)


def replace(tree: object, way: tuple[object, ...], new: object) -> object:
    if not way:
        return new
    i = way[0]
    assert isinstance(tree, list)
    assert isinstance(i, int)
    copy: list[Any] = tree[:] if not isinstance(tree, Pairs) else Pairs(tree)
    old = copy[i]
    copy[i] = (old[0], replace(old[1], way[1:], new)) if isinstance(tree, Pairs) else replace(old, way[1:], new)
    return copy


def spoil_tree(tree: object, rng: random.Random) -> object:
    """A change that leaves a JSON tree: a hostile value, a key twice, renamed or gone, members in another order, a part of another place."""
    ways = list(values_of(tree))
    way = rng.choice(ways)
    act = rng.randrange(6)
    if act <= 1:
        return replace(tree, way, Raw(rng.choice(HOSTILE)))
    part = tree
    for i in way:
        assert isinstance(part, list)
        assert isinstance(i, int)
        part = part[i][1] if isinstance(part, Pairs) else part[i]
    if not isinstance(part, list) or not part:
        return replace(tree, way, Raw(rng.choice(HOSTILE)))
    copy: list[Any] = Pairs(part) if isinstance(part, Pairs) else part[:]
    at = rng.randrange(len(copy))
    if act == 2:
        copy.insert(rng.randrange(len(copy) + 1), copy[at])
    elif act == 3:
        del copy[at]
    elif act == 4:
        rng.shuffle(copy)
    elif isinstance(copy, Pairs):
        copy.insert(at, (rng.choice([copy[at][0], "zzz", "", "é", copy[at][0].upper()]), Raw(rng.choice(HOSTILE))))
    else:
        copy.insert(at, Raw(rng.choice(HOSTILE)))
    return replace(tree, way, copy)


def spoil_bytes(frame: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(frame) + 1)
    act = rng.randrange(5)
    if act == 0:
        return frame[:at]
    if act == 1 and frame:
        at = min(at, len(frame) - 1)
        return frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]
    if act == 2:
        return frame[:at] + frame[at + rng.randrange(1, 4) :]
    return frame[:at] + rng.choice(SPLINTERS) + frame[at:]


def spoil(frame: str, rng: random.Random) -> bytes:
    """A frame with one to four things wrong or unusual."""
    try:
        tree = parse_pairs(frame)
    except json.JSONDecodeError:
        return spoil_bytes(frame.encode(), rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 4])):
        tree = spoil_tree(tree, rng)
    text = write(tree, rng, rng.random() < 0.5).encode()
    return spoil_bytes(text, rng) if rng.random() < 0.3 else text


# --------------------------------------------------------------------------- tests


def test_frames_as_they_are(spot: Pair) -> None:
    kinds = [spot.agree(frame.encode()) for frame in FRAMES]
    assert [[item[1] for item in one.items] or one.skip for one in kinds] == [
        ["bbo"], ["bbo"], ["trade", "trade", "trade"], ["range", "aggtrade"], ["aggtrade"], ["aggtrade"], ["bbo", "depth5"],
        ["bbo", "depth5"], "other_channel", "ack", "error", "pong", "pong", "ping", "notice", "other_product", "other_channel",
        ["depth5", "depth20"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [(0, (1 << 31) - 2, "aggtrade"), (0, (1 << 31) - 1, "range"), (5, 5, "aggtrade"), (5, 4, "range"), (0, (1 << 63) - 1, "range")],
)
def test_an_aggregate_sums_what_a_count_holds(spot: Pair, first: int, last: int, outcome: str) -> None:
    frame = f'{{"kind":"agg2","list":[1,{{"ok":1}}],"s":"FOO","seq":"12","f":{first},"l":{last},"q":"4"}}'
    assert [item[1] for item in spot.agree(frame.encode()).items] == [outcome]


def test_a_known_symbol_names_what_the_frame_does_not(probe: Callable[[str, str], Pair]) -> None:
    outcome = probe("spot", "FOO").agree(FRAMES[8].encode())
    assert [(item[1], item[3]) for item in outcome.items] == [("depth20", "FOO")]
    assert probe("spot", "FOO").agree(FRAMES[0].encode()).skip == "other_channel"
    assert [item[3] for item in probe("spot", "fooBAR").agree(FRAMES[0].encode()).items] == ["fooBAR"]


def test_every_example_and_capture(binance: tuple[ir.Exchange, Pair], captures: Path) -> None:
    spec, pair = binance
    for message in spec.messages:
        for example in message.examples if message.url is None else ():
            outcome = pair.agree(message.frame(example), message.template is not None)
            gives = message.record in ir.MARKET_RECORDS and example.product == "spot"
            assert len(outcome.items) == (len(example.expect) if gives else 0)
    files = sorted((captures / "binance").glob("*.jsonl"))
    assert files
    for file in files:
        for line in file.read_bytes().splitlines():
            pair.agree(line)


def test_cut_at_every_byte(spot: Pair) -> None:
    for frame in FRAMES:
        whole = frame.encode()
        for at in range(len(whole)):
            cut = whole[:at]
            outcome = spot.agree(cut)
            if whole[:1] == b"{" and not cut.endswith(b"!"):  # that would be a pong
                assert outcome.items == (("refused", "malformed", None, len(cut)),)


def test_one_splinter_at_every_byte(spot: Pair) -> None:
    whole = FRAMES[2].encode()
    for splinter in SPLINTERS:
        for at in range(0, len(whole), 3):
            spot.agree(whole[:at] + splinter + whole[at + 1 :])


def test_hostile_value_at_every_place(spot: Pair) -> None:
    rng = random.Random(7)
    for frame in FRAMES[:9]:
        tree = parse_pairs(frame)
        for way in values_of(tree):
            for value in rng.sample(HOSTILE, 30):
                spot.agree(write(replace(tree, way, Raw(value)), rng, loose=False).encode())


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(FRAMES), st.integers(0, 2**32))
def test_spoiled_frames(probe: Callable[[str, str], Pair], frame: str, seed: int) -> None:
    rng = random.Random(seed)
    PAIRS.setdefault("spot", probe("spot", ""))
    PAIRS.setdefault("perp", probe("perp", ""))
    PAIRS.setdefault("FOO", probe("spot", "FOO"))
    PAIRS[rng.choice(["spot", "spot", "perp", "FOO"])].agree(spoil(frame, rng))


@settings(max_examples=400, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_spoiled_binance_frames(binance: tuple[ir.Exchange, Pair], data: st.DataObject, seed: int) -> None:
    spec, pair = binance
    wires = [example.wire for message in spec.messages for example in message.examples]
    pair.agree(spoil(data.draw(st.sampled_from(wires)), random.Random(seed)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes(spot: Pair, frame: bytes) -> None:
    spot.agree(frame)


def test_nesting_has_no_end(spot: Pair) -> None:
    for depth in (31, 32, 33, 64, 65, 5000):
        opened = b'{"a":[' * (depth // 2) + b"{" * (depth % 2)
        closed = b"}" * (depth % 2) + b"]}" * (depth // 2)
        outcome = spot.agree(opened + closed)
        if depth > 32:
            assert outcome.items[0][1] == "depth"
        spot.agree(opened + closed[:-1])
        spot.agree(opened + closed.replace(b"]", b"}", 1))
        spot.agree(opened + b"1" + closed)


def test_nesting_past_what_the_stack_of_bits_holds(spot: Pair) -> None:
    """Deeper than 65536: brackets further out are found again by reading the text once more."""
    depth = 200_000
    opened, closed = b'[{"k":' * depth, b"}]" * depth
    assert spot.tolerant(opened + b"0" + closed).items == (("refused", "depth", None, 96),)
    wrong = len(opened) + 1 + 2 * (depth - 3)
    spoiled = opened + b"0" + closed[: 2 * (depth - 3)] + b"]" + closed[2 * (depth - 3) + 1 :]
    assert spot.tolerant(spoiled).items == (("refused", "malformed", None, wrong),)


def test_more_elements_than_fit_at_once(spot: Pair) -> None:
    """The connection's place for items is full every 64 of them: the rest follows, in order."""
    trades = [{"id": str(i), "px": "105100", "sz": "1.5" if i % 7 else "x"} for i in range(300)]
    frame = json.dumps({"topic": "trades", "mkt": "SPOT", "d": {"FOO": trades}})
    outcome = spot.agree(frame.encode())
    assert len(outcome.items) == 300
    assert [i for i, item in enumerate(reversed(outcome.items)) if item[0] == "refused"] == list(range(0, 300, 7))


NAMED = """
name = "named"
[product.spot]
url = "wss://feed.example/x"
[[message]]
record = "trade"
match = { k = "t" }
fields = { symbol = { "s" = { 7 = "QUX", ten = "BAR" } }, trade_id = "i", price = "p", qty = "q", buyer_is_maker = "=false" }
[[message]]
record = "trade"
match = { k = "u" }
fields = { symbol = "=FOO", trade_id = "i", price = "p", qty = "q", buyer_is_maker = "=false" }
"""


def test_a_symbol_that_the_spec_names_stands_in_its_item(tmp_path: Path) -> None:
    """Not in a constant: who looks it up reads sixteen bytes, however short it is (k4_segment_find_slack)."""
    spec = load(tmp_path, NAMED, "named")
    tolerant = Tolerant(compiled.build(tmp_path, spec), spec, "spot")
    pair = Pair(tolerant, Reference(spec, "spot"))
    for told, named in (('"k":"t","s":7', "QUX"), ('"k":"t","s":"ten"', "BAR"), ('"k":"u"', "FOO")):
        (item,) = pair.agree(f'{{{told},"i":1,"p":"1.5","q":"2"}}'.encode()).items
        assert item[3] == named
        symbol, data = tolerant.places(0)
        assert 16 <= data - symbol <= 64, "within the item, which its record ends"


# Sources behind the first one that are marked by another walk than that one: behind a choice, around the element.
LATER = """
name = "later"
[product.spot]
url = "wss://feed.example/x"
[[message]]
record = "trade"
match = { k = "t" }
each = "rows[*]"
order = "window"
[message.fields]
symbol = "@.s"
trade_id = ["@.i?", "alt.i?"]
price = ["@.p?", "@.l[-1].p?"]
qty = "@.q"
buyer_is_maker = "=false"
[[message]]
record = "trade"
match = { k = "m", "@.l[-1].x" = ["a", ""], "@.e" = ["yes", "s${symbol}"] }
each = ["rows[*]", "."]
order = "window"
fields = { trade_id = "@.i", price = "@.p", qty = "@.q", buyer_is_maker = "=false", symbol = ["@.s?", "$symbol"] }
"""


def test_a_choice_of_match_comes_in_its_turn(tmp_path: Path) -> None:
    spec = load(tmp_path, LATER, "later")
    pair = Pair(Tolerant(compiled.build(tmp_path, spec), spec, "spot"), Reference(spec, "spot"))
    for e, x, said in (
        ("yes", '"x":"a"', "trade"), ("yes", '"x":"b"', None), ("no", '"x":"a"', None), ("sA", '"y":"a"', "trade"),
        ("yes", '"x":"a","x":"a"', "duplicate"), ("no", '"x":"a","x":"a"', "duplicate"), ("s", '"x":"b","x":"a"', "duplicate"),
    ):  # fmt: skip
        members = f'"s":"A","i":1,"p":"1.5","q":"2","e":"{e}","l":[{{}},{{{x}}}]'
        for frame in (f'{{"k":"m","rows":[{{{members}}}]}}', f'{{"k":"m",{members}}}'):
            assert [item[1] for item in pair.agree(frame.encode()).items] == ([said] if said else []), frame


def test_a_later_source_given_twice(tmp_path: Path) -> None:
    spec = load(tmp_path, LATER, "later")
    pair = Pair(Tolerant(compiled.build(tmp_path, spec), spec, "spot"), Reference(spec, "spot"))

    def said(rows: list[str], more: str = "") -> list[str]:
        return [str(item[1]) for item in pair.agree(f'{{"k":"t","rows":[{",".join(rows)}]{more}}}'.encode()).items]

    row = '{"s":"A","i":1,"p":"1.5","q":"2"}'
    assert said([row] * 12, ',"alt":{"i":1}') == ["trade"] * 12
    assert said([row] * 12, ',"alt":{"i":1,"i":1}') == ["duplicate"] * 12
    twice = row.replace("}", ',"l":[{"p":"1","p":"1"}]}')
    assert said([row, twice, row] * 4) == ["trade", "duplicate", "trade"] * 4


def test_members_given_twice(spot: Pair) -> None:
    head = '{"topic":"trades","mkt":"SPOT","d":{'
    trade = '[{"id":1,"px":1,"sz":1}]'
    for one, other, code in (
        ("A", "A", "duplicate"),
        ("AB", "\\u0041B", "duplicate"),
        ("\\ud800", "\\ud800", "duplicate"),
        ("\\ud800", "\\ud801", "utf8"),
        ("A", "a", None),
    ):
        outcome = spot.agree(f'{head}"{one}":{trade},"C":{trade},"{other}":{trade}}}}}'.encode())
        assert [item[1] for item in outcome.items] == [code or "trade", "trade", code or "trade"]
    members = ",".join(f'"S{i % 290}":{trade}' for i in range(300))
    outcome = spot.agree(f"{head}{members}}}}}".encode())
    assert sum(item[1] == "duplicate" for item in outcome.items) == 20
    many = ",".join(f'"S{i}":{trade}' for i in range(30_000))
    assert len(spot.tolerant(f"{head}{many}}}}}".encode()).items) == 30_000


def test_long_texts(spot: Pair) -> None:
    for n in (10, 18, 19, 20, 64, 400, 4000):
        for text in (
            "1" * n,
            "0." + "0" * n,
            "1" + "0" * n,
            "1." + "0" * n,
            "1." + "0" * n + "1",
            "\\u0031" * n,
            "é" * n,
            "-" * n,
            "1e" + "0" * n + "1",
        ):
            for frame in (
                FRAMES[0].replace("10.50", text),
                FRAMES[2].replace("u-77", text),
                FRAMES[4].replace("agg.1.2.F", f"agg.{text}.F"),
            ):
                spot.agree(frame.encode())


PAIRS: dict[str, Pair] = {}


# --------------------------------------------------------------------------- the text


def test_the_same_input_gives_the_same_text(tmp_path: Path) -> None:
    spec = load(tmp_path, PROBE, "probe")
    assert tolerant.render_exchange(spec, compiled.RECORDS) == tolerant.render_exchange(spec, compiled.RECORDS)


def test_limits_of_the_tables_are_told_with_their_line(tmp_path: Path) -> None:
    names = ", ".join(f'"x.k{i}" = "a$n{i}"' for i in range(40))
    places_ = ", ".join(f'"y.p{i}" = "*"' for i in range(300))
    text = (
        PROBE
        + f"""
[[message]]
record = "control"
match = {{ {names} }}
[[message]]
record = "control"
match = {{ {places_} }}
"""
    )
    first = PROBE.count("\n") + 2
    found = sizes.check(load(tmp_path, text, "probe"))
    assert [(one.line, re.sub("[0-9]+ places of", "N places of", one.message)) for one in found] == [
        (3, 'product "spot": its messages read N places of a frame; a product may have 255, write it as several'),
        (6, 'product "perp": its messages read N places of a frame; a product may have 255, write it as several'),
        (first, 'message "control": 41 names; a message may have 32, write it as several'),
    ]


# --------------------------------------------------------------------------- hand-written parts, under the sanitizers


@pytest.mark.parametrize("name", ["json", "number"])
def test_core(tmp_path: Path, name: str) -> None:
    (tmp_path / "k4_records.h").write_text(generate.records_header(compiled.RECORDS))
    source = Path(__file__).resolve().parents[1] / "c" / f"test_{name}.c"
    core = [places.csrc() / f"k4_{part}.c" for part in ("json", "text", "number", "xxh64")]
    program = tmp_path / name
    compiled.compile_all(tmp_path, [source, *core], program, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_parsers_under_the_sanitizers(tmp_path: Path) -> None:
    """Frames, their beginnings, and spoiled ones in memory of exactly their size and slack, that the sanitizers watch."""
    spec = load(tmp_path, PROBE, "probe")
    rng = random.Random(11)
    whole = [frame.encode() for frame in FRAMES]
    spoiled = [spoil(rng.choice(FRAMES), rng) for _ in range(2000)]
    blob = tmp_path / "frames"
    heads = [(frame, True) for frame in whole] + [(frame, False) for frame in spoiled]
    blob.write_bytes(b"".join(struct.pack("<IHBB", len(frame), 0, 0, cut) + frame for frame, cut in heads))
    fuzz = Path(__file__).resolve().parents[1] / "fuzz"
    program = tmp_path / "replay"
    sources = [fuzz / "replay.c", *compiled.write_sources(tmp_path, spec)]
    flags = (f"-I{fuzz}", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    compiled.compile_all(tmp_path, sources, program, *flags)
    result = subprocess.run([program, blob, "probe", "spot"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"{len(heads)} frames, 0 by the fast tier, {sum(map(len, whole))} beginnings\n"
