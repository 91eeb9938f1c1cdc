"""The simulator: what it says decodes to what its market did, redundant clients agree, and wrong use is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from k4._codegen import exchange, fbs, ir
from k4.errors import K4Error, UsageError
from k4.sim.command import parse_listen
from k4.sim.desk import Desk
from k4.sim.market import Event, Market
from k4.sim.replay import read_recording, recordings
from k4.sim.server import Simulator
from k4.sim.tls import ca_file
from k4.sim.venue import Stream

ROOT = Path(__file__).parent.parent
SYMBOLS = ["FOOBAR", "测试BAR"]
PATH = "/stream?streams="


@pytest.fixture(scope="module")
def binance() -> ir.Exchange:
    return exchange.load(ROOT / "schema/exchange/binance.toml", fbs.load(ROOT / "schema/records.fbs"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def desk(binance: ir.Exchange, seed: int = 1) -> Desk:
    return Desk(binance, binance.products[0], tuple(SYMBOLS), seed)


def trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file())


def test_frames_say_what_the_market_did(binance: ir.Exchange) -> None:
    """Read back with json alone, by the venue's own key names."""
    voice = desk(binance).voice

    def say(record: str, **values: object) -> dict[str, object]:
        message = voice.tellers(record)[0]  # the JSON one
        (frame,) = voice.say(message, [{**values, "symbol": "测试BAR"}])
        parsed: dict[str, object] = json.loads(frame)
        return parsed

    quote = {"bid_price": Decimal("10.5"), "bid_qty": Decimal("0.00001"), "ask_price": Decimal("10.51"), "ask_qty": Decimal(7)}
    assert say("bbo", update_id=77, event_ns=1, engine_ns=1, **quote) == {
        "stream": "测试bar@bookTicker",
        "data": {"u": 77, "s": "测试BAR", "b": "10.50000000", "B": "0.00001000", "a": "10.51000000", "A": "7.00000000"},
    }
    ns = 1_700_000_000_123_456_789
    trade = {"price": Decimal("3.14"), "qty": Decimal("2.5"), "buyer_is_maker": True, "event_ns": ns, "engine_ns": ns - 2_000_000}
    times = {"E": 1_700_000_000_123, "T": 1_700_000_000_121}
    data = {"e": "trade", "s": "测试BAR", "t": 5, "p": "3.14000000", "q": "2.50000000", "m": True, "M": True, **times}
    assert say("trade", trade_id=5, kind="market", **trade) == {"stream": "测试bar@trade", "data": data}
    aggregated = say("aggtrade", agg_id=9, first_id=5, last_id=6, count=2, **trade)["data"]
    assert isinstance(aggregated, dict)
    assert [aggregated[key] for key in ("a", "f", "l", "p", "q", "m")] == [9, 5, 6, "3.14000000", "2.50000000", True]
    prices, sizes = [Decimal(9 - i) for i in range(6)], [Decimal(i + 1) for i in range(6)]
    depth = say("depth", update_id=78, bid_price=prices, bid_qty=sizes, ask_price=prices[:1], ask_qty=sizes[:1])
    assert depth["stream"] == "测试bar@depth5@100ms"
    assert depth["data"] == {
        "lastUpdateId": 78,
        "bids": [[f"{9 - i}.00000000", f"{i + 1}.00000000"] for i in range(5)],
        "asks": [["9.00000000", "1.00000000"]],
    }


def test_market_is_consistent() -> None:
    """Ids step as the venue's do, an aggregated trade sums its trades, quotes are not crossed, depth agrees with the quote."""
    market = Market(SYMBOLS, 7)
    trades: dict[str, list[Event]] = defaultdict(list)
    quotes: dict[str, Event] = {}
    last: dict[tuple[str, str], int] = {}
    ids = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id", "depth": "update_id"}
    seen: dict[str, int] = defaultdict(int)
    for i in range(3000):
        for event in market.step(1_700_000_000_000_000_000 + i * 5_000_000):
            values, number = event.values, int(str(event.values[ids[event.record]]))
            before = last.get((event.symbol, event.record))
            if event.record in ("trade", "aggtrade"):
                assert before is None or number == before + 1
            else:
                assert before is None or number > before
            last[event.symbol, event.record] = number
            seen[event.record] += 1
            if event.record == "trade":
                trades[event.symbol].append(event)
            elif event.record == "aggtrade":
                parts = trades.pop(event.symbol)
                assert (values["first_id"], values["last_id"]) == (parts[0].values["trade_id"], parts[-1].values["trade_id"])
                assert values["qty"] == sum(Decimal(str(part.values["qty"])) for part in parts)
                assert {part.values["price"] for part in parts} == {values["price"]}
            elif event.record == "bbo":
                assert Decimal(str(values["bid_price"])) < Decimal(str(values["ask_price"]))
                quotes[event.symbol] = event
            elif event.symbol in quotes and quotes[event.symbol].values["update_id"] == values["update_id"]:
                bids, asks = values["bid_price"], values["ask_price"]
                assert isinstance(bids, list)
                assert isinstance(asks, list)
                assert bids == sorted(bids, reverse=True)
                assert asks == sorted(asks)
                assert (bids[0], asks[0]) == (quotes[event.symbol].values["bid_price"], quotes[event.symbol].values["ask_price"])
    assert min(seen.values()) > 100, seen


def test_the_same_seed_tells_the_same_story() -> None:
    def story(seed: int) -> list[Event]:
        market = Market(SYMBOLS, seed)
        return [event for i in range(200) for event in market.step(i * 10**7)]

    assert story(3) == story(3)
    assert story(3) != story(4)


def test_requests_and_urls_are_understood(binance: ir.Exchange) -> None:
    venue = desk(binance).venue
    kinds = [message.record for message in venue.messages]
    trade, depth = kinds.index("trade"), kinds.index("depth5")
    in_sbe = next(i for i, message in enumerate(venue.messages) if message.template is not None and message.record == "trade")
    carried = venue.served_at(PATH + "foobar@trade/%E6%B5%8B%E8%AF%95bar@depth5@100ms")
    assert carried is not None
    assert {index: [one.streams for one in wanted] for index, wanted in carried.items() if wanted} == {
        trade: [(Stream(trade, "FOOBAR"),)],
        depth: [(Stream(depth, "测试BAR"),)],
    }
    assert venue.served_at("/elsewhere?streams=foobar@trade") is None
    asked = venue.read_request('{"method": "SUBSCRIBE", "params":["foobar@trade","foobar@nothing"],"id":12}')
    assert asked is not None
    assert (asked.action, asked.id) == ("subscribe", "12")
    assert [(one.channel, one.symbol, one.streams) for one in asked.wanted] == [
        ("foobar@trade", "FOOBAR", (Stream(trade, "FOOBAR"), Stream(in_sbe, "FOOBAR"))),  # the connection tells which it brings
        ("foobar@nothing", "", ()),
    ]
    wrong = '{"method":"SUBSCRIBED","id":13}'
    assert venue.read_request(wrong) is None
    assert venue.id_of(wrong) == "13"


def client(url: str) -> connect:
    return connect(url, ssl=trusted(), compression=None, close_timeout=0.2)


async def collect(socket: ClientConnection, count: int) -> list[str]:
    return [str(await asyncio.wait_for(socket.recv(), 60)) for _ in range(count)]


@asynccontextmanager
async def serving(desk: Desk, **options: object) -> AsyncIterator[tuple[Simulator, int]]:
    """The simulator and its port."""
    simulator = Simulator([desk], **options)  # type: ignore[arg-type]
    try:
        yield simulator, await simulator.start("127.0.0.1", 0)
    finally:
        await simulator.close()


def test_redundant_clients_see_the_same_updates(binance: ir.Exchange) -> None:
    async def scene() -> None:
        async with serving(desk(binance), delays_s=(0.0, 0.05), rate=2000) as (_, port):
            url = f"wss://127.0.0.1:{port}{PATH}foobar@bookTicker/foobar@trade"
            async with client(url) as early, client(url) as late:
                second = await collect(late, 300)
                first = await collect(early, 300)
                while second[-1] not in first[-300:]:  # of all that it was told before the other one came
                    first += await collect(early, 300)
            start = first.index(second[0])
            assert first[start : start + 300] == second
            assert {json.loads(text)["stream"] for text in second} == {"foobar@bookTicker", "foobar@trade"}

    asyncio.run(scene())


def test_subscribe_by_message_and_errors(binance: ir.Exchange) -> None:
    async def scene() -> None:
        async with serving(desk(binance), rate=2000) as (_, port):
            async with client(f"wss://127.0.0.1:{port}{PATH}") as socket:
                await socket.send('{"method":"SUBSCRIBE","params":["foobar@aggTrade"],"id":41}')
                assert json.loads(await socket.recv()) == {"result": None, "id": 41}
                assert {json.loads(text)["stream"] for text in await collect(socket, 20)} == {"foobar@aggTrade"}
                await socket.send('{"method":"NONSENSE","id":42}')
                while "stream" in (answer := json.loads((await collect(socket, 1))[0])):
                    pass
                assert answer["id"] == 42
                assert "code" in answer
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"wss://127.0.0.1:{port}/nowhere", ssl=trusted())
            assert refused.value.response.status_code == 404

    asyncio.run(scene())


def test_drop_cuts_one_connection_without_a_close(binance: ir.Exchange) -> None:
    async def scene() -> None:
        async with serving(desk(binance), rate=1000) as (simulator, port):
            url = f"wss://127.0.0.1:{port}{PATH}foobar@bookTicker"
            async with client(url) as cut, client(url) as kept:
                await collect(cut, 1)
                simulator.drop(0)
                with pytest.raises(ConnectionClosed) as closed:
                    await collect(cut, 100_000)
                assert closed.value.rcvd is None
                await collect(kept, 50)

    asyncio.run(scene())


def test_an_unknown_authority_is_not_trusted(binance: ir.Exchange) -> None:
    async def scene() -> None:
        async with serving(desk(binance)) as (_, port):
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(f"wss://127.0.0.1:{port}{PATH}foobar@trade", ssl=ssl.create_default_context())

    asyncio.run(scene())


def test_replay_sends_every_frame_as_recorded(binance: ir.Exchange, tmp_path: Path) -> None:
    lines = [f'{{"stream":"foobar@other","data": {{"n":{i}, "text":"\\u2028 {chr(0x2028)}"}}}}' for i in range(500)]
    recording = tmp_path / "frames.jsonl"
    recording.write_bytes("\n".join(lines).encode() + b"\n")

    async def scene() -> None:
        served = desk(binance)
        async with serving(served, replay=recordings([str(recording)], [served], "max")) as (simulator, port):
            async with client(f"wss://127.0.0.1:{port}{PATH}foobar@trade") as socket:
                assert await collect(socket, 500) == lines
            await asyncio.wait_for(simulator.replayed.wait(), 60)

    asyncio.run(scene())


def test_replay_keeps_the_recorded_times(tmp_path: Path) -> None:
    recording = tmp_path / "frames.jsonl"
    recording.write_text('{"a":1}\n{"a":2}\n{"a":3}\n')
    (tmp_path / "frames.recv_ts").write_text("100.5\n101.0\n103.5\n")
    assert read_recording(recording, "2") == [(0.0, '{"a":1}'), (0.25, '{"a":2}'), (1.5, '{"a":3}')]
    assert [at for at, _ in read_recording(recording, "max")] == [0.0, 0.0, 0.0]
    (tmp_path / "frames.recv_ts").write_text("100.5\n")
    with pytest.raises(K4Error, match="holds 1 times"):
        read_recording(recording, "1")


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_wrong_speed(tmp_path: Path, speed: str) -> None:
    with pytest.raises(UsageError, match="--speed"):
        read_recording(tmp_path / "x.jsonl", speed)


@pytest.mark.parametrize("listen", ["", "9443", ":9443", "host:", "host:-1", "host:70000", "host:x"])
def test_wrong_listen(listen: str) -> None:
    with pytest.raises(UsageError, match="--listen"):
        parse_listen(listen)


def test_listen_addresses() -> None:
    assert parse_listen("127.0.0.1:0") == ("127.0.0.1", 0)
    assert parse_listen("[::1]:9443") == ("::1", 9443)
