"""The benchmarks' peers and pages: peers ask as little as tells messages apart and take out what the reference interpreter reads."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from bench import decode, fills, kinds, peers, pipeline, readme, receive
from bench.kinds import Kind
from bench.tools import Figure
from k4._codegen import bind, fbs, places
from k4._codegen.reference import Interpreter
from k4._codegen.refrecord import Record

RECORDS = fbs.load(places.schema() / "records.fbs")
KINDS = {kind.name: kind for kind in kinds.kinds() if not kind.binary}


def fill_of(kind: Kind) -> fills.Fill:
    product = fills.model(kind.exchange, kind.product, RECORDS)
    return next(fill for fill in product.fills if fill.number == kind.index)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("binance spot bookTicker", [("stream", "", "@bookTicker", False)]),
        ("binance ubase aggTrade", [("e", "aggTrade", "", True)]),
        ("binance ubase depth@100ms", [("stream", "", one, False) for one in ("@depth@100ms", "@depth", "@depth@500ms")]),
        ("bitget spot books5", [("channel", "books5", "", True)]),
        ("bybit spot orderbook.50", [("topic", "orderbook.50.", "", False)]),
        ("okx swap trades", [("channel", "trades", "", True)]),
    ],
)
def test_one_value_tells_a_message_from_its_product_s_others(name: str, asked: list[tuple[str, str, str, bool]]) -> None:
    conditions = fill_of(KINDS[name]).conditions
    assert [(one.node.key, affix.head, affix.tail, affix.whole) for one in conditions for affix in one.affixes] == asked


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.message.field("snapshot") is None])
def test_the_python_peer_takes_out_what_the_reference_interpreter_reads(name: str) -> None:
    kind = KINDS[name]
    text = fills.render("taking.py.j2", [fills.model(kind.exchange, kind.product, RECORDS)])
    take = peers.takers(text)[fills.name_of(kind.exchange.name, kind.product.name)]
    fill = fill_of(kind)
    reference = Interpreter(RECORDS, bind.bind(kind.exchange, kind.product.name))
    for wire in kinds.frames(kind, 20):
        records = [item for item in reference.decode(wire).items if isinstance(item, Record)]
        taken = take(json.loads(wire))
        assert taken is not None
        assert len(taken) == len(records) > 0
        for values, record in zip(taken, records, strict=True):
            own = dict(zip([*fill.values, *(side.name for side in fill.sides)], values, strict=True))
            for field, value in own.items():
                if field in ("bid", "ask"):
                    assert isinstance(value, list)
                    columns = [list(column) for column in zip(*value, strict=True)]
                    assert columns[:2] == [numbers(record, f"{field}_price"), numbers(record, f"{field}_qty")]
                    assert columns[2:] == ([record.values[f"{field}_count"]] if len(columns) > 2 else [])
                elif field == "symbol":
                    assert value == record.symbol
                elif field.endswith(("price", "qty")):
                    assert value == number(record, field)
                elif field.endswith("_id") or field == "buyer_is_maker":
                    assert value == record.values[field]


def test_the_types_of_msgspec_are_those_of_the_frames() -> None:
    msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed: pip install k4[bench]")
    frames = [
        {"e": "x", "id": "7", "at": 5, "p": "1.50", "m": True, "rows": [["2", "0.1"], ["3.5", "4"]], "none": None, "more": {"k": 1}},
        {"e": "y", "id": "12", "at": 6, "p": "2", "m": False, "rows": [], "none": None},
    ]
    kind = peers.typed(frames)
    first, second = (msgspec.json.decode(json.dumps(frame), type=kind, strict=False) for frame in frames)
    told = msgspec.to_builtins(first)
    assert told == {"e": "x", "id": 7, "at": 5, "p": 1.5, "m": True, "rows": [[2.0, 0.1], [3.5, 4.0]], "none": None, "more": {"k": 1}}
    assert msgspec.to_builtins(second) == {"e": "y", "id": 12, "at": 6, "p": 2.0, "m": False, "rows": [], "none": None, "more": None}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"e":1}', type=kind, strict=False)


def number(record: Record, field: str) -> float | None:
    value = record.values[field]
    assert not isinstance(value, list)
    return None if value is None else float(Decimal(value).scaleb(record.price_exp if field.endswith("price") else record.qty_exp))


def numbers(record: Record, field: str) -> list[float]:
    value = record.values[field]
    assert isinstance(value, list)
    exponent = record.price_exp if field.endswith("price") else record.qty_exp
    return [float(Decimal(one).scaleb(exponent)) for one in value if one is not None]


def test_frames_differ_in_symbols_lengths_and_levels_and_are_the_same_every_time() -> None:
    wires = [json.loads(wire) for wire in kinds.frames(KINDS["okx spot books"], 100)]
    assert len({wire["arg"]["instId"] for wire in wires}) > 50
    changes = {len(wire["data"][0]["bids"]) for wire in wires}
    assert changes <= set(range(1, 9))
    assert len(changes) > 4
    assert len({len(wire["data"][0]["bids"][0][0]) for wire in wires}) > 4
    assert kinds.frames(KINDS["okx spot books"], 5) == kinds.frames(KINDS["okx spot books"], 5)


def test_a_table_marks_what_misses_its_goal() -> None:
    figures = [
        Figure("baseline/a b trade: fast", "ns", 50.0),
        Figure("baseline/a b trade: declined", "%", 0.0),
        Figure("baseline/a b trade: tolerant", "ns", 200.0),
        Figure("baseline/a b trade: yyjson", "ns", 149.0),
        Figure("baseline/a b trade: orjson + float", "ns", 1000.0),
    ]
    figures += decode._ratios(figures, ["a b trade"])
    assert [(f.name.partition(": ")[2], f.value, f.holds) for f in figures[5:]] == [
        ("yyjson / fast", 2.98, False),
        ("orjson + float / fast", 20.0, True),
        ("yyjson / tolerant", 0.745, False),
    ]
    assert list(readme._decode(figures)) == [
        "| -O2, ns | fast | tolerant | yyjson | orjson + float | yyjson / fast | orjson + float / fast | yyjson / tolerant |",
        "|---|---|---|---|---|---|---|---|",
        "| a b trade | 50.0 | 200 | 149 | 1000 | 2.98 **!** | 20.0 | 0.74 **!** |",
        "",
    ]
    assert decode.show(figures, {}).splitlines()[-3:] == [
        "yyjson / fast ≥ 3: 0 of 1 rows",
        "orjson + float / fast ≥ 15: 1 of 1 rows",
        "yyjson / tolerant ≥ 0.75: 0 of 1 rows",
    ]


def test_growth_is_what_a_message_costs_with_more() -> None:
    shapes = {"1 instr 1": 80.0, "10 instr 1": 80.0, "2000 instr 1": 120.0, "10 instr 8": 124.0}
    ns = {f"baseline bookTicker {shape} conn: published": value for shape, value in shapes.items()}
    ns["baseline bookTicker 10 instr 8 conn: duplicate"] = 36.0
    assert [(figure.name, figure.value, figure.holds) for figure in pipeline._growth("baseline", ns)] == [
        ("baseline 1 to 2000 instruments: published", 1.5, True),
        ("baseline 1 to 8 connections: published", 1.55, False),
        ("baseline 1 to 8 connections: all that arrive", (124 + 7 * 36) / 8 / 80, True),
    ]


@pytest.mark.parametrize(
    ("client", "mode", "secure"),
    [("k4", "bulk", False), ("k4", "bulk", True), ("k4", "burst", True), ("k4 busy_poll", "paced", False), ("bare", "paced", True)],
)
@pytest.mark.usefixtures("native")
def test_the_clients_of_receive_take_every_message(client: str, mode: str, *, secure: bool) -> None:
    count = 120
    result = receive.one(client, mode, count, secure)
    samples = result["samples"]
    assert isinstance(samples, list)
    assert (float(str(result["ns"])) > 0, len(samples)) == (True, 0 if mode == "bulk" else count)
    assert all(ns > 0 for ns in samples), "nothing is there before it is due"
