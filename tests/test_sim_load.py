"""Load: what goes round and round reads like a market that never stops, and reaches a rate that no rendering would."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from k4._codegen import exchange, fbs, ir
from k4._codegen.bind import render
from k4._codegen.reference import Interpreter, Outcome
from k4._codegen.refrecord import Record
from k4.errors import UsageError
from k4.sim import command, load, pace
from k4.sim.desk import Desk
from k4.sim.load import Lap, Reel, told_first
from k4.sim.net import Request
from k4.sim.rest import Shelf, served
from k4.sim.server import Simulator
from k4.sim.tls import ca_file
from k4.sim.venue import Stream

from .test_sim_spoken import symbols_of

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")
FLAGS = dict(RECORDS.enum("Flag").values)
SPECS = sorted(
    [*(ROOT / "schema/exchange").glob("*.toml"), *(ROOT / "tests/cases/sim").glob("*.toml"), ROOT / "tests/cases/specs/nova.toml"]
)
NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def _short(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STEPS", 400)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def desk_of(file: Path, product: str) -> Desk:
    found = exchange.load(file, RECORDS)
    named = found.product(product)
    assert named is not None
    return Desk(found, named, symbols_of(found, product)[:2], seed=3)


def payloads(data: bytes) -> list[bytes]:
    """The payloads of frames that stand one behind the other."""
    out, at = [], 0
    while at < len(data):
        assert data[at] == 0x81
        size, at = data[at + 1], at + 2
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2]), at + 2
        elif size == 127:
            size, at = int.from_bytes(data[at : at + 8]), at + 8
        out.append(data[at : at + size])
        at += size
    return out


def products() -> list[tuple[Path, str]]:
    return [(file, product.name) for file in SPECS for product in exchange.load(file, RECORDS).products]


@pytest.mark.parametrize(("file", "product"), products(), ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_rounds_go_on_from_each_other(file: Path, product: str) -> None:
    """Ids of every stream go on over three rounds as its order says, ids that step leave nothing out, books never break, the last round's
    book is the first's."""
    desk = desk_of(file, product)
    reel = Reel(desk, NOW_NS)
    streams = frozenset(one.stream for one in reel.messages)
    lap = Lap(reel, streams)
    assert lap.frames == len(reel.messages)
    assert lap.rounds > 10**6
    reader = Interpreter(RECORDS, desk.venue.messages)
    for stream in streams:
        for frame in told_first(reel, stream, 5):
            (payload,) = payloads(frame)
            assert all(isinstance(item, Record) for item in reader.decode(payload).items)
    fetched = {m.record: i for i, m in enumerate(desk.venue.messages) if m.url is not None and m.record in ir.MARKET_RECORDS}
    last: dict[tuple[int, str, str], int] = {}
    tops: dict[int, dict[tuple[int, str], object]] = {}
    for number in (5, 6, 7):
        if number == 6:
            # A fetched snapshot is the book as the next round begins with it.
            reel.snapshots_at(6)
            for record, index in fetched.items():
                for symbol in desk.symbols:
                    url = desk.venue.messages[index].url
                    assert url is not None
                    target = "/" + render(url, {"symbol": symbol}).split("/", 3)[3]
                    answer = served([Shelf(desk)], Request("GET", target), NOW_NS)
                    assert [item.record for item in _records(reader.decode_fetched(index, answer.body, {"symbol": symbol}))] == [record]
        pieces = list(lap.round(number))
        assert sum(frames for _, frames in pieces) == lap.frames
        for payload in payloads(b"".join(data for data, _ in pieces)):
            outcome = reader.decode(payload)
            if outcome.skip == "stale_book" and fetched and number == 5:
                continue
            assert outcome.skip in (None, "unchanged"), (payload, outcome)
            for item in outcome.items:
                assert isinstance(item, Record), (payload, outcome)
                _follow(item, desk.venue.messages[item.message], last)
                if item.record.startswith("depth"):
                    tops.setdefault(number, {})[item.message, item.symbol] = [
                        item.values[name] for name in ("bid_price", "bid_qty", "ask_price")
                    ]
    assert tops.get(6) == tops.get(7)
    assert fetched or tops.get(5) == tops.get(6)
    assert bool(tops) == any(m.record.startswith("depth") for m in desk.venue.messages)


def _records(outcome: Outcome) -> list[Record]:
    assert all(isinstance(item, Record) for item in outcome.items), outcome
    return [item for item in outcome.items if isinstance(item, Record)]


def _follow(item: Record, message: ir.Message, last: dict[tuple[int, str, str], int]) -> None:
    name = next((name for name in ("trade_id", "agg_id", "update_id") if item.values.get(name) is not None), None)
    if name is None or item.flags >> FLAGS["HASHED_ID"] & 1:
        return
    value = item.values[name]
    assert isinstance(value, int)
    key = (item.message, item.symbol, item.record)
    before = last.get(key)
    if message.order == "contiguous":
        assert before is None or value == before + 1, (key, before, value)
    else:
        assert before is None or value > before, (key, before, value)
    if item.record == "aggtrade" and item.values.get("first_id") is not None:
        first, end = item.values["first_id"], item.values["last_id"]
        assert isinstance(first, int)
        assert isinstance(end, int)
        assert first <= end
    last[key] = value


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncIterator[Callable[[str], connect]]:
    """Gives what dials these streams."""
    try:
        port = await simulator.start("127.0.0.1", 0)
        trusted = ssl.create_default_context(cafile=ca_file())
        yield lambda streams: connect(f"wss://127.0.0.1:{port}/stream?streams={streams}", ssl=trusted, compression=None, close_timeout=0.2)
    finally:
        await simulator.close()


async def take(socket: ClientConnection, count: int = 1) -> list[str]:
    return [str(await asyncio.wait_for(socket.recv(), 60)) for _ in range(count)]


def trade_id(text: str) -> int:
    return int(text.split('"t":')[1].split(",", 1)[0])


def test_clients_get_what_they_asked_for_without_end() -> None:
    desk = desk_of(ROOT / "schema/exchange/binance.toml", "spot")
    simulator = Simulator([desk], load=0.0)

    async def scene() -> None:
        async with serving(simulator) as dial, dial("foobar@trade") as socket:
            texts = await take(socket, 3000)  # many rounds
            assert {text.split(",")[0] for text in texts} == {'{"stream":"foobar@trade"'}
            ids = [trade_id(text) for text in texts]
            assert ids == list(range(ids[0], ids[0] + 3000))
            await socket.send('{"method":"SUBSCRIBE","params":["mixbar@trade"],"id":1}')
            seen: set[str] = set()
            while len(seen) < 3:
                seen.add((await take(socket))[0].split(",")[0])
            assert seen == {'{"stream":"foobar@trade"', '{"stream":"mixbar@trade"', '{"result":null'}

    asyncio.run(scene())
    trades = Stream(next(i for i, m in enumerate(desk.venue.messages) if m.record == "trade"), "FOOBAR")
    assert simulator.counts.frames > 3000
    assert simulator._pump is not None
    assert trades in {one.stream for one in simulator._pump._reels[desk].messages}


def test_a_paced_load_keeps_its_rate() -> None:
    simulator = Simulator([desk_of(ROOT / "schema/exchange/binance.toml", "spot")], load=2000.0)

    async def scene() -> None:
        began = time.monotonic()
        async with serving(simulator) as dial, dial("foobar@trade") as socket:
            while time.monotonic() - began < 1.5:
                await take(socket)
            rate = simulator.counts.frames / (time.monotonic() - began)
        # Whole pieces are paced, so there may be one more or less; far from what is possible without a pace.
        assert rate < 4000, rate

    asyncio.run(scene())


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    config = ROOT / "config/binance_spot.json"
    options = {"listen": "127.0.0.1:0", "speed": None, "delay": [0.0], "seed": 1, "seconds": 0.1, "spec": []}
    with pytest.raises(UsageError, match="--load and --replay"):
        command.run(config, replay=[str(tmp_path / "x.jsonl")], rate=None, load=True, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--rate and --replay"):
        command.run(config, replay=[str(tmp_path / "x.jsonl")], rate=5.0, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--speed 3: there is no --replay"):
        command.run(config, replay=[], rate=None, **{**options, "speed": "3"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--rate -1"):
        command.run(config, replay=[], rate=-1.0, **options)  # type: ignore[arg-type]


def test_a_paced_load_is_the_same_for_all_at_once() -> None:
    """Two clients, one 20 ms behind, hear the same frames, whole and in order; who comes later hears what the others hear then."""
    simulator = Simulator([desk_of(ROOT / "schema/exchange/binance.toml", "spot")], load=3000.0, delays_s=(0.0, 0.02))
    streams = "foobar@trade/foobar@bookTicker"

    async def scene() -> list[list[str]]:
        async with serving(simulator) as dial, dial(streams) as one, dial(streams) as two:
            heard = [await take(socket, 500) for socket in (one, two)]
            async with dial(streams) as three:
                heard.append(await take(three, 500))
                for socket, texts in ((one, heard[0]), (two, heard[1])):  # until they are where the last one is
                    while heard[2][-1] not in texts[-500:]:
                        texts.extend(await take(socket, 500))
            return heard

    first, second, third = asyncio.run(scene())
    for texts, later in ((first, second), (first, third), (second, third)):
        at = texts.index(later[0])
        both = min(len(texts) - at, len(later))
        assert both >= 500
        assert texts[at : at + both] == later[:both]
    assert len(set(first)) == len(first), "nothing twice"
    trades = [trade_id(text) for text in first if "@trade" in text]
    assert trades == list(range(trades[0], trades[0] + len(trades)))


def test_who_comes_back_waits_for_no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lap takes a while to make, and nobody is told anything meanwhile: those of the sets of streams asked for last are kept."""
    rendered: list[int] = []

    def counted(reel: Reel, streams: frozenset[Stream]) -> Lap:
        rendered.append(len(streams))
        return Lap(reel, streams)

    monkeypatch.setattr(pace, "Lap", counted)
    simulator = Simulator([desk_of(ROOT / "schema/exchange/binance.toml", "spot")], load=3000.0)

    async def scene() -> None:
        async with serving(simulator) as dial:
            for streams in ("foobar@trade/foobar@bookTicker", "foobar@trade", "foobar@trade/foobar@bookTicker", "foobar@trade"):
                async with dial(streams) as socket:
                    await take(socket, 20)

    asyncio.run(scene())
    assert rendered == [2, 1]
    (paced,) = simulator.paces
    for track in paced.tracks:
        track.clients.clear()
    for message in range(2 * pace.KEPT):
        paced._track(frozenset({Stream(message, "")}))
    assert len(paced.tracks) == pace.KEPT + 1
