"""Who a fault meets and when, seen by clients of the simulator that are not K4's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from k4._codegen import exchange, fbs
from k4.sim.desk import Desk
from k4.sim.order import parse
from k4.sim.server import Simulator
from k4.sim.tls import ca_file
from tests.late import Late

ROOT = Path(__file__).resolve().parent.parent
PATH = "/stream?streams=foobar@bookTicker"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


Dial = Callable[..., Awaitable[ClientConnection]]
Scene = Callable[[Simulator, Dial, Late], Awaitable[None]]


def play(scene: Scene, *orders: str, **options: object) -> None:
    found = exchange.load(ROOT / "schema/exchange/binance.toml", fbs.load(ROOT / "schema/records.fbs"))
    desk = Desk(found, found.products[0], ("FOOBAR",), 1)
    recording = options.pop("recording", ())
    replay = {desk: recording} if recording else None
    simulator = Simulator([desk], faults=[parse(text) for text in orders], rate=500.0, replay=replay, **options)  # type: ignore[arg-type]

    async def run() -> None:
        async with Late() as late:
            port = await simulator.start("127.0.0.1", 0)
            trusted = ssl.create_default_context(cafile=ca_file())

            async def dial(path: str = PATH) -> ClientConnection:
                dialled.append(await connect(f"wss://127.0.0.1:{port}{path}", ssl=trusted, compression=None, ping_interval=None))
                return dialled[-1]

            dialled: list[ClientConnection] = []
            try:
                await scene(simulator, dial, late)
            finally:
                await simulator.close()
                for socket in dialled:
                    await socket.close()

    asyncio.run(run())


async def take(socket: ClientConnection, count: int = 1) -> list[str]:
    """The next messages: it lives."""
    return [str(await asyncio.wait_for(socket.recv(), 60)) for _ in range(count)]


async def ended(socket: ClientConnection) -> list[str]:
    """What it is told until it is cut."""
    heard: list[str] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            heard += await take(socket)
    return heard


def id_of(text: str) -> int:
    return int(text.split('"u":')[1].split(",", 1)[0])


def test_a_place_is_taken_again() -> None:
    """The second connection is cut every 0.4 s by the simulator's clock; who takes its place is cut next; the first lives on."""

    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        began = time.monotonic()
        first = await dial()
        for turn in (1, 2, 3):
            await ended(await dial())
            assert 0.4 * turn - 0.1 < time.monotonic() - began < 0.4 * turn + 0.35 + 2 * late.s
        await take(first, 10)

    play(scene, "cut@conn=1,every=0.4")


def test_after_is_by_the_connections_own_clock_and_times_is_in_all() -> None:
    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        await asyncio.sleep(0.3)
        for _turn in range(2):
            began = time.monotonic()
            await ended(await dial())
            assert 0.3 <= time.monotonic() - began < 0.6 + 2 * late.s
        third = await dial()
        await asyncio.sleep(0.6)
        await take(third, 10)

    play(scene, "cut@after=0.3,times=2")


def test_a_stall_holds_back_and_gives_back_in_order() -> None:
    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        began = last = time.monotonic()
        socket = await dial()
        gaps: list[float] = []
        ids: list[int] = []
        while last < began + 1.4:
            ids.append(id_of(*await take(socket)))
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        assert 0.4 < max(gaps) < 0.8 + 2 * late.s, "stalled for half a second"
        assert sum(gap > 0.3 + 2 * late.s for gap in gaps) <= 1, "once"
        assert ids == sorted(set(ids)), "nothing was lost for good, and nothing came twice"

    play(scene, "stall@conn=0,at=0.5,for=0.5")


def test_slow_is_so_many_bytes_a_second() -> None:
    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        slow, fast = await dial(), await dial()
        began = time.monotonic()
        told = len("".join(await take(slow, 20)))
        took = time.monotonic() - began
        assert 0.7 * told / 3000 < took < 1.5 * told / 3000 + 2 * late.s
        began = time.monotonic()
        await take(fast, 100)
        assert time.monotonic() - began < 0.5 + 2 * late.s

    play(scene, "slow@conn=0,rate=3000")


def test_a_path_and_a_share_choose() -> None:
    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        other = await dial("/stream?streams=foobar@trade")
        await ended(await dial())
        await take(other, 10)

    play(scene, "cut@path=/stream*bookTicker")

    async def none(_: Simulator, dial: Dial, late: Late) -> None:
        for _turn in range(4):
            await take(await dial(), 10)

    play(none, "cut@share=0")


def test_the_door_is_closed_for_a_while() -> None:
    async def scene(simulator: Simulator, dial: Dial, late: Late) -> None:
        assert simulator._door is not None
        reader, writer = await asyncio.open_connection(*simulator._door._listening[0].getsockname())
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        await writer.wait_closed()
        assert simulator.counts.accepted == 0
        assert simulator.accepted == 1
        await asyncio.sleep(2.5)
        await take(await dial())

    play(scene, "accept-close@at=0,for=2.5")


QUOTE = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'


def test_a_recording_has_its_faults_too() -> None:
    """Messages are left out by lot, the same for the same seed; quotes of the recording are told apart from what else it holds."""
    recording = [(0.05 + n / 1000, QUOTE.format(n)) for n in range(1, 201)]
    heard: list[list[int]] = []

    async def scene(simulator: Simulator, dial: Dial, late: Late) -> None:
        hearing = asyncio.create_task(ended(await dial()))
        await asyncio.wait_for(simulator.replayed.wait(), 60)
        await simulator.close()
        heard.append([id_of(text) for text in await hearing if '"u":' in text])

    for seed in (1, 1, 2):
        play(scene, "gap@p=0.5,record=bbo", "gap@p=1,record=trade", recording=recording, seed=seed)
    assert heard[0] == heard[1] != heard[2]
    assert all(50 < len(ids) < 150 and ids == sorted(set(ids)) for ids in heard)


def test_two_connections_keep_their_delays_and_only_one_is_at_fault() -> None:
    """Every second quote of the first is told twice; the second, ten milliseconds behind, hears the market as it is."""

    async def scene(_: Simulator, dial: Dial, late: Late) -> None:
        one, two = await dial(), await dial()
        second = [id_of(text) for text in await take(two, 300)]
        first = [id_of(text) for text in await take(one, 300)]
        while first[-1] < second[-1]:
            first += [id_of(text) for text in await take(one)]
        assert len(first) > len(set(first)) > 0.6 * len(first)
        assert len(second) == len(set(second))
        assert set(second) <= set(first)

    play(scene, "duplicate@conn=0,p=0.3", delays_s=(0.0, 0.01))
