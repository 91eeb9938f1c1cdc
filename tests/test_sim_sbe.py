"""The simulator's SBE: frames taken apart by hand and by the reference, the endpoint's key, and one market behind both transports."""

from __future__ import annotations

import asyncio
import http
import itertools
import json
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from k4._codegen import exchange, fbs
from k4._codegen.reference import Interpreter
from k4._codegen.refrecord import Record
from k4.errors import K4Error
from k4.sim.desk import Desk
from k4.sim.sbe import Packet
from tests.test_sim_served import Stage, play

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")
SPOT = ROOT / "schema/exchange/binance.toml"
YARD = ROOT / "tests/cases/sbe/yard.toml"
KEY = "Zx81-not-to-be-seen"
NOW = 1_700_000_000_123_456_789


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def spot(secrets: dict[str, str] | None = None) -> Desk:
    found = exchange.load(SPOT, RECORDS)
    return Desk(found, found.products[0], ("FOOBAR", "测试BAR"), 1, secrets)


def said(desk: Desk, template: str, rows: list[dict[str, object]]) -> list[bytes]:
    index = next(i for i, m in enumerate(desk.venue.messages) if m.template == template)
    frames = desk.voice.say(index, [{**row, "symbol": "测试BAR"} for row in rows])
    assert all(isinstance(frame, bytes) for frame in frames)
    return [frame for frame in frames if isinstance(frame, bytes)]


# --------------------------------------------------------------------------- what is packed


def test_a_quote_byte_by_byte() -> None:
    """Little-endian at the schema's offsets; exponents of the example, and lower ones where digits need them."""
    quote: dict[str, object] = {
        "bid_price": Decimal("10.5"),
        "bid_qty": Decimal("0.00001"),
        "ask_price": Decimal("10.51"),
        "ask_qty": Decimal(7),
    }
    (frame,) = said(spot(), "BestBidAskStreamEvent", [{**quote, "update_id": 77, "event_ns": NOW}])
    block = struct.pack("<qqbbqqqq", NOW // 1000, 77, -4, -5, 105_000, 1, 105_100, 700_000)
    assert frame == struct.pack("<HHHH", 50, 10001, 1, 0) + block + b"\x09" + "测试BAR".encode()


def test_trades_of_one_taker_are_entries_of_one_message() -> None:
    common = {"price": Decimal("3.14"), "buyer_is_maker": True, "event_ns": NOW, "engine_ns": NOW - 5000, "kind": "market"}
    rows = [{**common, "trade_id": 5, "qty": Decimal("2.5")}, {**common, "trade_id": 6, "qty": Decimal(1), "buyer_is_maker": False}]
    (frame,) = said(spot(), "TradesStreamEvent", rows)
    head = struct.pack("<HHHH", 18, 10000, 1, 0) + struct.pack("<qqbb", NOW // 1000, (NOW - 5000) // 1000, -2, -5)
    entries = struct.pack("<qqqB", 5, 314, 250_000, 1) + struct.pack("<qqqB", 6, 314, 100_000, 0)
    assert frame == head + struct.pack("<HI", 25, 2) + entries + b"\x09" + "测试BAR".encode()


def test_levels_whole_and_changed() -> None:
    prices, sizes = [Decimal(30 - i) for i in range(25)], [Decimal(i) for i in range(25)]
    sides = {"bid_price": prices, "bid_qty": sizes, "ask_price": prices[:1], "ask_qty": sizes[:1]}
    (whole,) = said(spot(), "DepthSnapshotStreamEvent", [{**sides, "update_id": 8, "event_ns": NOW}])
    (changed,) = said(spot(), "DepthDiffStreamEvent", [{**sides, "update_id": 8, "first_id": 3, "prev_id": 2, "event_ns": NOW}])
    rows = [struct.pack("<qq", int(p * 10**4), int(q * 100)) for p, q in zip(prices, sizes, strict=True)]
    tail = struct.pack("<HH", 16, 1) + rows[0] + b"\x09" + "测试BAR".encode()
    head = struct.pack("<HHHH", 18, 10002, 1, 0) + struct.pack("<qqbb", NOW // 1000, 8, -4, -2)
    assert whole == head + struct.pack("<HH", 16, 20) + b"".join(rows[:20]) + tail
    head = struct.pack("<HHHH", 26, 10003, 1, 0) + struct.pack("<qqqbb", NOW // 1000, 3, 8, -4, -2)
    assert changed == head + struct.pack("<HH", 16, 25) + b"".join(rows) + tail


YARD_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("Quote", {"bid_price": Decimal("1.2345"), "bid_qty": Decimal("0.25"), "ask_price": Decimal(2), "ask_qty": Decimal(300), "update_id": 9, "bid_count": 4}),
    ("Deals", {"price": Decimal("1.25"), "qty": Decimal("2.5"), "trade_id": 7, "buyer_is_maker": True, "kind": 0}),
    ("Sum", {"price": Decimal(-300), "qty": Decimal("1.5"), "agg_id": 5, "first_id": 1, "last_id": 4, "count": 4, "buyer_is_maker": False}),
    ("Ladder", {"bid_price": [Decimal("1.5")], "bid_qty": [Decimal(3)], "ask_price": [Decimal("1.7"), Decimal(2)], "ask_qty": [Decimal("0.5"), Decimal(1)], "ask_count": [5, 6], "bid_count": [None], "update_id": -1}),
    ("Moves", {"bid_price": [Decimal("1.5")], "bid_qty": [Decimal(3)], "bid_count": [2], "ask_price": [Decimal("1.7")], "ask_qty": [Decimal("0.5")], "ask_count": [None], "update_id": 90, "snapshot": True}),
]  # fmt: skip


@pytest.mark.parametrize(("template", "values"), YARD_ROWS, ids=[name for name, _ in YARD_ROWS])
def test_every_construct_reads_back(template: str, values: dict[str, Any]) -> None:
    """Big-endian, composites, enums, sets, groups in groups, exponents of every sort: the reference reads what was said."""
    found = exchange.load(YARD, RECORDS)
    schema = found.schema(found.products[0])
    assert schema is not None
    message = next(m for m in found.messages if m.template == template)
    named = {"kind": "market"} if "kind" in values else {}
    row = {"backfill": True, "reset": False, "event_ns": 1_700_000_000_123_000_000, "symbol": "AB", **values, **named}
    (frame,) = Packet(message, schema, message.frame(message.examples[0])).say([row])
    outcome = Interpreter(RECORDS, found.messages, schema=schema).decode(frame, True)
    assert outcome.skip is None, outcome
    for record in outcome.items:
        assert isinstance(record, Record), outcome
        assert record.symbol == "AB"
        for name, got in record.values.items():
            if name not in values or not isinstance(got, list):
                continue
            exp = record.price_exp if name.endswith("price") else record.qty_exp
            shown = [Decimal(one).scaleb(exp) if name.endswith(("price", "qty")) and one is not None else one for one in got]
            assert shown == values[name], name
        if record.record in ("bbo", "trade", "aggtrade") and not isinstance(values.get("bid_price"), list):
            exps = {
                name: record.price_exp if name.endswith("price") else record.qty_exp for name in values if name.endswith(("price", "qty"))
            }
            scalars = {name: Decimal(int(str(record.values[name]))).scaleb(exp) for name, exp in exps.items()}
            assert {**{name: record.values[name] for name in values}, **scalars} == values
        if template != "Deals" and message.field("event_ns") is not None:
            assert record.values["event_ns"] == row["event_ns"]


def test_what_a_schema_cannot_hold_is_said() -> None:
    found = exchange.load(YARD, RECORDS)
    schema = found.schema(found.products[0])
    assert schema is not None
    message = next(m for m in found.messages if m.template == "Sum")
    packet = Packet(message, schema, message.frame(message.examples[0]))
    with pytest.raises(K4Error, match=r'message "aggtrade" \(line \d+\): 500 is more than int8 holds'):
        packet.say([{"symbol": "AB", "price": Decimal(50_000)}])
    with pytest.raises(K4Error, match=r"price 1\.5 has more digits than price holds"):
        packet.say([{"symbol": "AB", "price": Decimal("1.5")}])


# --------------------------------------------------------------------------- over the network


def test_the_endpoint_wants_its_key() -> None:
    """By its host or by what it alone has; a wrong or missing key is refused before anything is said."""

    async def scene(stage: Stage) -> None:
        async def refused(path: str, headers: dict[str, str]) -> str:
            with pytest.raises(InvalidStatus) as caught:
                async with stage.client(path, additional_headers=headers):
                    pass
            assert caught.value.response.status_code == http.HTTPStatus.UNAUTHORIZED
            return caught.value.response.body.decode()

        only_sbe = "/stream?streams=foobar@bestBidAsk"
        assert "x-mbx-apikey" in await refused(only_sbe, {})
        assert "x-mbx-apikey" in await refused(only_sbe, {"X-MBX-APIKEY": "another"})
        assert KEY not in await refused(only_sbe, {"X-MBX-APIKEY": ""})
        async with stage.client(only_sbe, additional_headers={"X-MBX-APIKEY": KEY}) as client:
            assert isinstance(await client.recv(), bytes)
        async with stage.client("/stream?streams=foobar@trade", additional_headers={"X-MBX-APIKEY": KEY}) as client:
            assert isinstance(await client.recv(), bytes)  # both have it: the header tells
        async with stage.client("/stream?streams=foobar@trade") as client:
            assert isinstance(await client.recv(), str)

    play([spot({"api_key": KEY})], scene, rate=400)


def test_manners_are_those_of_json() -> None:
    """Requests and answers are text on the same link; streams of the other transport are acknowledged and stay silent."""

    async def scene(stage: Stage) -> None:
        async with stage.client("/stream?streams=", additional_headers={"X-MBX-APIKEY": "any"}) as client:
            await client.send('{"method":"SUBSCRIBE","params":["foobar@bestBidAsk","foobar@bookTicker","nosuch@trade"],"id":4}')
            assert json.loads(await client.recv()) == {"result": None, "id": 4}
            frames = [await client.recv() for _ in range(20)]
            assert all(
                isinstance(frame, bytes) and frame[2:4] == struct.pack("<H", 10001) and frame.endswith(b"\x06FOOBAR") for frame in frames
            )
            await client.send('{"method":"NOSUCH"}')
            text = await client.recv()
            while isinstance(text, bytes):
                text = await client.recv()
            assert "error" in json.loads(text) or "code" in json.loads(text)
            await client.send('{"method":"UNSUBSCRIBE","params":["foobar@bestBidAsk"],"id":5}')
            while isinstance(text := await client.recv(), bytes):
                pass
            assert json.loads(text) == {"result": None, "id": 5}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.recv(), 0.3)

    play([spot()], scene, rate=400)


def test_both_transports_tell_of_one_market() -> None:
    """The same ids with the same prices, whoever tells them; a book's changes go on from the snapshot that is fetched."""

    async def scene(stage: Stage) -> None:
        async with (
            asyncio.timeout(180),
            stage.client("/stream?streams=foobar@bestBidAsk/foobar@trade/foobar@depth", additional_headers={"X-MBX-APIKEY": "x"}) as binary,
            stage.client("/stream?streams=foobar@bookTicker/foobar@trade") as text,
        ):
            told = [json.loads(await text.recv())["data"] for _ in range(150)]
            quotes = {one["u"]: [Decimal(one[key]) for key in "bBaA"] for one in told if "u" in one}
            trades: dict[int, list[Any]] = {one["t"]: [Decimal(one["p"]), Decimal(one["q"]), one["m"]] for one in told if "t" in one}
            status, body = await stage.get("/api/v3/depth?symbol=FOOBAR&limit=1000", host="api.binance.com")
            assert status == http.HTTPStatus.OK
            spans: list[tuple[int, int]] = []
            while quotes or trades or not spans or spans[-1][1] <= json.loads(body)["lastUpdateId"]:
                frame = await binary.recv()
                assert isinstance(frame, bytes)
                template = struct.unpack_from("<H", frame, 2)[0]
                if template == 10001:
                    _, number, p, q, *four = struct.unpack_from("<qqbbqqqq", frame, 8)
                    values = [Decimal(one).scaleb(p if i % 2 == 0 else q) for i, one in enumerate(four)]
                    assert quotes.pop(number, values) == values
                elif template == 10000:
                    p, q, _, count = struct.unpack_from("<bbHI", frame, 24)
                    for i in range(count):
                        number, price, qty, maker = struct.unpack_from("<qqqB", frame, 32 + 25 * i)
                        deal = [Decimal(price).scaleb(p), Decimal(qty).scaleb(q), bool(maker)]
                        assert trades.pop(number, deal) == deal
                else:
                    spans.append(struct.unpack_from("<qq", frame, 16))
            assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(spans))
            assert any(first <= json.loads(body)["lastUpdateId"] + 1 <= last for first, last in spans)

    play([spot()], scene, rate=600)
