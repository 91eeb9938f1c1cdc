"""The reference interpreter: levels of a depth, and books that are kept from changes (docs/decoding.md, docs/books.md)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from k4._codegen.reference import Refusal

from .refbench import DEPTH, Bench, at, names

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
