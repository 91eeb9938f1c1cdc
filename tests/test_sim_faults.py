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

pytestmark = pytest.mark.alone
ROOT = Path(__file__).resolve().parent.parent
PATH = "/stream?streams=foobar@bookTicker"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def play(
    scene: Callable[[Simulator, Callable[..., Awaitable[ClientConnection]]], Awaitable[None]], *orders: str, **options: object
) -> None:
    found = exchange.load(ROOT / "schema/exchange/binance.toml", fbs.load(ROOT / "schema/records.fbs"))
    desk = Desk(found, found.products[0], ("FOOBAR",), 1)
    recording = options.pop("recording", ())
    replay = {desk: recording} if recording else None
    simulator = Simulator([desk], faults=[parse(text) for text in orders], rate=500.0, replay=replay, **options)  # type: ignore[arg-type]

    async def run() -> None:
        port = await simulator.start("127.0.0.1", 0)
        trusted = ssl.create_default_context(cafile=ca_file())

        async def dial(path: str = PATH) -> ClientConnection:
            dialled.append(await connect(f"wss://127.0.0.1:{port}{path}", ssl=trusted, compression=None, ping_interval=None))
            return dialled[-1]

        dialled: list[ClientConnection] = []
        try:
            await scene(simulator, dial)
        finally:
            await simulator.close()
            for socket in dialled:
                await socket.close()

    asyncio.run(run())


async def ends(socket: ClientConnection, seconds: float = 3.0) -> float:
    """When it does, in seconds from now."""
    began = time.monotonic()
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), seconds)
    return time.monotonic() - began


async def lives(socket: ClientConnection, seconds: float) -> int:
    """Messages in that time."""
    count = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            await asyncio.wait_for(socket.recv(), max(0.01, until - time.monotonic()))
            count += 1
        except TimeoutError:
            pass
    return count


@pytest.mark.alone
def test_a_place_is_taken_again() -> None:
    """The second connection is cut every 0.4 s by the simulator's clock; who takes its place is cut next; the first lives on."""

    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        began = time.monotonic()
        first = await dial()
        for turn in (1, 2, 3):
            second = await dial()
            await ends(second)
            assert 0.4 * turn - 0.1 < time.monotonic() - began < 0.4 * turn + 0.35
        assert await lives(first, 0.2) > 10

    play(scene, "cut@conn=1,every=0.4")


def test_after_is_by_the_connections_own_clock_and_times_is_in_all() -> None:
    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        await asyncio.sleep(0.3)
        assert 0.2 < await ends(await dial()) < 0.6
        assert 0.2 < await ends(await dial()) < 0.6
        assert await lives(await dial(), 0.6) > 10

    play(scene, "cut@after=0.3,times=2")


def test_a_stall_holds_back_and_gives_back_in_order() -> None:
    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        socket = await dial()
        gaps: list[float] = []
        ids: list[int] = []
        last = time.monotonic()
        while last < began[0] + 1.4:
            text = str(await asyncio.wait_for(socket.recv(), 3))
            ids.append(int(text.split('"u":')[1].split(",", 1)[0]))
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        assert 0.4 < max(gaps) < 0.8, "stalled for half a second, once"
        assert sum(gap > 0.3 for gap in gaps) == 1
        assert ids == sorted(set(ids)), "nothing was lost for good, and nothing came twice"

    began = [time.monotonic()]
    play(scene, "stall@conn=0,at=0.5,for=0.5")


def test_slow_is_so_many_bytes_a_second() -> None:
    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        slow, fast = await dial(), await dial()
        counts = await asyncio.gather(lives(slow, 1.0), lives(fast, 1.0))
        assert 10 < counts[0] < 35, counts  # 3 000 bytes of some 130 each
        assert counts[1] > 100, counts

    play(scene, "slow@conn=0,rate=3000")


def test_a_path_and_a_share_choose() -> None:
    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        other = await dial("/stream?streams=foobar@trade")
        assert await ends(await dial()) < 0.5
        assert await lives(other, 0.2) > 0

    play(scene, "cut@path=/stream*bookTicker")

    async def none(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        assert all([await lives(await dial(), 0.05) for _ in range(4)])

    play(none, "cut@share=0")


def test_the_door_is_closed_for_a_while() -> None:
    async def scene(simulator: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        assert simulator._door is not None
        reader, writer = await asyncio.open_connection(*simulator._door._listening[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert simulator.counts.accepted == 0
        assert simulator.accepted == 1
        await asyncio.sleep(0.5)
        assert await lives(await dial(), 0.2) > 0

    play(scene, "accept-close@at=0,for=0.4")


QUOTE = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'


def test_a_recording_has_its_faults_too() -> None:
    """Messages are left out by lot, the same for the same seed; quotes of the recording are told apart from what else it holds."""
    recording = [(0.05 + n / 1000, QUOTE.format(n)) for n in range(1, 201)]
    heard: list[list[int]] = []

    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        socket = await dial()
        ids: list[int] = []
        with contextlib.suppress(TimeoutError):
            while True:
                text = str(await asyncio.wait_for(socket.recv(), 0.6))
                ids.append(int(text.split('"u":')[1].split(",", 1)[0]))
        heard.append(ids)

    for seed in (1, 1, 2):
        play(scene, "gap@p=0.5,record=bbo", "gap@p=1,record=trade", recording=recording, seed=seed)
    assert heard[0] == heard[1] != heard[2]
    assert all(50 < len(ids) < 150 and ids == sorted(set(ids)) for ids in heard)


def test_two_connections_keep_their_delays_and_only_one_is_at_fault() -> None:
    """Every second quote of the first is told twice; the second, ten milliseconds behind, hears the market as it is."""

    async def scene(_: Simulator, dial: Callable[..., Awaitable[ClientConnection]]) -> None:
        one, two = await dial(), await dial()
        heard = await asyncio.gather(*(_ids(socket, 300) for socket in (one, two)))
        assert len(heard[0]) > len(set(heard[0])) > 0.6 * len(heard[0])
        assert len(heard[1]) == len(set(heard[1]))
        assert set(heard[0]) & set(heard[1]) > set(heard[1][:100])

    play(scene, "duplicate@conn=0,p=0.3", delays_s=(0.0, 0.01))


async def _ids(socket: ClientConnection, count: int) -> list[int]:
    texts = [str(await asyncio.wait_for(socket.recv(), 5)) for _ in range(count)]
    return [int(text.split('"u":')[1].split(",", 1)[0]) for text in texts]
