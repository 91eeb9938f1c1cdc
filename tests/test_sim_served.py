"""The simulator over the network: several products on one port, who is answered how, what is fetched, what is refused."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from k4._codegen import exchange, fbs
from k4.errors import UsageError
from k4.sim import server
from k4.sim.desk import Desk
from k4.sim.replay import recordings
from k4.sim.server import Simulator
from k4.sim.tls import ca_file

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests/cases"
RECORDS = fbs.load(ROOT / "schema/records.fbs")
SPOT, PERP = ("FOO-BAR", "QUX-BAR"), ("FOO-BAR-PERP",)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def desk(file: str, product: str, symbols: tuple[str, ...]) -> Desk:
    found = exchange.load(CASES / file, RECORDS)
    named = found.product(product)
    assert named is not None
    return Desk(found, named, symbols, seed=5)


class Stage:
    """A running simulator and clients of it."""

    def __init__(self, simulator: Simulator, port: int) -> None:
        self.simulator = simulator
        self.port = port

    def client(self, path: str, **options: object) -> connect:
        trusted = ssl.create_default_context(cafile=ca_file())
        return connect(f"wss://127.0.0.1:{self.port}{path}", ssl=trusted, compression=None, close_timeout=0.2, **options)  # type: ignore[arg-type]

    async def get(self, path: str, data: bytes | None = None, host: str | None = None) -> tuple[int, str]:
        """Status and body, fetched by a client that shares nothing with the simulator."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", data=data, headers={"Host": host} if host else {})

        def work() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca_file())) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return await asyncio.to_thread(work)


def play(desks: list[Desk], scene: Callable[[Stage], Awaitable[None]], **options: object) -> Simulator:
    simulator = Simulator(desks, **options)  # type: ignore[arg-type]

    async def run() -> None:
        port = await simulator.start("127.0.0.1", 0)
        try:
            await scene(Stage(simulator, port))
        finally:
            await simulator.close()

    asyncio.run(run())
    return simulator


async def heard(socket: ClientConnection, count: int = 1) -> list[str]:
    return [str(await asyncio.wait_for(socket.recv(), 60)) for _ in range(count)]


async def answer(socket: ClientConnection, what: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """The next frame that `what` is true of."""
    while True:
        frame: dict[str, object] = json.loads((await heard(socket))[0])
        if what(frame):
            return frame


def arg(kind: str, channel: str, inst: str) -> str:
    return f'{{"kind":"{kind}","channel":"{channel}","inst":"{inst}"}}'


def subscribe(number: int, *args: str, op: str = "subscribe") -> str:
    return f'{{"id":"{number}","op":"{op}","args":[{",".join(args)}]}}'


def both() -> list[Desk]:
    return [desk("sim/depot.toml", "spot", SPOT), desk("sim/depot.toml", "perp", PERP)]


def test_two_products_on_one_address_answer_stream_by_stream() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.client("/v1/public") as socket:
            await socket.send("ping")
            assert await heard(socket) == ["pong"]
            asked = [
                arg("SPOT", "trade", "FOO-BAR"),
                arg("PERP", "trade", "FOO-BAR-PERP"),
                arg("SPOT", "trade", "FOO-BAR-PERP"),
                arg("PERP", "tread", "FOO-BAR-PERP"),
            ]
            await socket.send(subscribe(41, *asked))
            answers = [await answer(socket, lambda frame: "event" in frame) for _ in asked]
            assert [a["event"] for a in answers] == ["subscribe", "subscribe", "error", "error"]
            assert answers[0] == {"id": "41", "event": "subscribe", "arg": json.loads(asked[0])}
            assert answers[1] == {"id": "41", "event": "subscribe", "arg": json.loads(asked[1])}
            assert [a["msg"] for a in answers[2:]] == ["no channel:trade,inst:FOO-BAR-PERP here", "no channel:tread,inst:FOO-BAR-PERP here"]
            seen: set[tuple[str, str]] = set()
            while len(seen) < 2:
                frame = await answer(socket, lambda frame: frame.get("action") == "update")
                about = frame["arg"]
                assert isinstance(about, dict)
                seen.add((about["kind"], about["inst"]))
            assert seen == {("SPOT", "FOO-BAR"), ("PERP", "FOO-BAR-PERP")}
            await socket.send(subscribe(42, asked[0], op="unsubscribe"))
            assert await answer(socket, lambda frame: "event" in frame) == {"id": "42", "event": "unsubscribe", "arg": json.loads(asked[0])}
            for _ in range(30):
                frame = json.loads((await heard(socket))[0])
                assert frame["arg"]["kind"] == "PERP"
            await socket.send('{"id":"43","op":"dance","args":[]}')
            assert await answer(socket, lambda frame: "event" in frame) == {
                "id": "43",
                "event": "error",
                "code": "402",
                "msg": "bad request",
            }

    counts = play(both(), scene, rate=1000).counts
    assert (counts.acks, counts.errors, counts.pongs) == (3, 3, 1)


def test_past_trades_come_first_and_once() -> None:
    """What is told at the start is what an earlier subscriber was told live, newest first, with the same ids."""

    async def scene(stage: Stage) -> None:
        async with stage.client("/v1/public") as early, stage.client("/v1/public") as late:
            request = subscribe(1, arg("SPOT", "trade", "FOO-BAR"))
            await early.send(request)
            await answer(early, lambda frame: "event" in frame)
            live = [trade for frame in await heard(early, 20) for trade in reversed(json.loads(frame)["data"])]
            await late.send(request)
            await answer(late, lambda frame: "event" in frame)
            first = json.loads((await heard(late))[0])
            assert first["action"] == "snapshot"
            past = list(reversed(first["data"]))
            assert len(past) == 20
            while live[-1]["i"] < past[-1]["i"]:  # ids end in their number, and are all as long
                live += reversed(json.loads((await heard(early))[0])["data"])
            ids = [trade["i"] for trade in live]
            assert [trade["i"] for trade in past] == ids[ids.index(past[0]["i"]) :][:20]
            told = {trade["i"]: trade for trade in live}
            assert [{**trade, "type": None} for trade in past] == [{**told[trade["i"]], "type": None} for trade in past]

    play(both(), scene, rate=2000)


def test_a_request_with_one_bad_part_is_refused_as_a_whole_where_acks_are_per_request() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.client("/bulk") as socket:
            await socket.send('{"op":"sub","id":7,"topics":["book.foobar","book.nosuch","trades"]}')
            assert await answer(socket, lambda frame: "ok" in frame) == {"ok": False, "id": 7, "why": "no such topic book.nosuch"}
            await socket.send('{"op":"sub","id":8,"topics":["book.foobar"]}')
            assert await answer(socket, lambda frame: "hb" not in frame) == {"op": "sub", "id": 8, "ok": True}
            assert json.loads((await heard(socket))[0])["kind"] == "full"
            assert {json.loads(frame).get("topic") for frame in await heard(socket, 5)} <= {"book.foobar", None}
            await socket.send('{"op":"ping"}')
            assert await answer(socket, lambda frame: "op" in frame) == {"op": "pong"}

    play([desk("specs/nova.toml", "spot", ("FOOBAR",)), desk("specs/nova.toml", "perp", ("FOXBAR",))], scene, rate=2000)


def test_what_is_asked_on_the_wrong_path_is_acked_and_silent() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.client("/market/stream?streams=foobar@top/foobar@agg") as socket:
            await socket.send('{"method":"SUBSCRIBE","params":["foobar@diff","foobar@nothing","nosuch@agg"],"id":3}')
            assert await answer(socket, lambda frame: "stream" not in frame) == {"result": None, "id": 3}
            assert {json.loads(frame)["stream"] for frame in await heard(socket, 40)} == {"foobar@agg"}
            await socket.send('{"method":"PROPERTY","id":4}')
            assert await answer(socket, lambda frame: "stream" not in frame) == {"code": 2, "msg": "unknown method", "id": 4}

    play([desk("sim/relay.toml", "perp", ("FOOBAR",))], scene, rate=1000)


def test_a_client_that_leaves_the_venues_pings_unanswered_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WATCH_S", 0.02)
    monkeypatch.setattr(server, "VENUE_PING_S", 0.2)

    async def scene(stage: Stage) -> None:
        async with stage.client("/fast") as deaf, stage.client("/fast") as polite:
            numbers = []
            for _ in range(8):
                said = json.loads((await heard(polite))[0])
                numbers.append(said["hb"])
                await polite.send(json.dumps(said, separators=(",", ":")))
            assert numbers == sorted(set(numbers))
            with pytest.raises(ConnectionClosed) as closed:
                await heard(deaf, 100)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    counts = play([desk("specs/nova.toml", "spot", ("FOOBAR",))], scene).counts
    assert counts.answered == 8


def test_what_is_fetched_and_what_is_not() -> None:
    async def scene(stage: Stage) -> None:
        status, body = await stage.get("/v1/instruments?kind=SPOT")
        assert (status, [row["id"] for row in json.loads(body)["data"]]) == (200, list(SPOT))
        status, body = await stage.get("/v1/instruments?kind=PERP")
        assert (status, [row["id"] for row in json.loads(body)["data"]]) == (200, list(PERP))
        status, body = await stage.get("/v1/depth?symbol=FOOBAR&limit=100")
        depth = json.loads(body)
        assert (status, len(depth["bids"]), len(depth["asks"])) == (200, 25, 25)
        assert depth["lastUpdateId"] > 10**9
        for path in ("/v1/depth?symbol=NOSUCH&limit=100", "/v1/depth?limit=100", "/nowhere", "/v1/instruments?kind=NONE"):
            status, body = await stage.get(path)
            assert status == 404, path
        assert (await stage.get("/v1/instruments?kind=SPOT", data=b"{}"))[0] == 404
        assert (await stage.get("/v1/instruments?kind=SPOT", host="rest.depot.example"))[0] == 200
        # a WebSocket address is no page
        assert (await stage.get("/v1/public"))[0] == 404

    play([*both(), desk("sim/relay.toml", "perp", ("FOOBAR",))], scene)


def test_one_connection_serves_several_requests() -> None:
    async def scene(stage: Stage) -> None:
        trusted = ssl.create_default_context(cafile=ca_file())
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, ssl=trusted)
        request = b"GET /v1/instruments?kind=SPOT HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(request + request[:20])
        for turn in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert len(json.loads(await reader.readexactly(length))["data"]) == 2
            if turn == 0:
                writer.write(request[20:])
        writer.write(b"NONSENSE\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()

    play(both(), scene)


def test_recordings_go_to_whom_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each product its own; of one that is spread over several URLs, each connection what its URL carries."""
    monkeypatch.setattr(server, "GATHER_S", 60.0)
    spot, perp, relay = *both(), desk("sim/relay.toml", "perp", ("FOOBAR",))
    desks = [spot, perp, relay]
    lines = {
        spot: [json.dumps({"arg": {"kind": "SPOT", "channel": "top"}, "n": n}) for n in range(30)],
        relay: [json.dumps({"stream": f"foobar@{'agg' if n % 3 else 'top'}", "n": n}) for n in range(30)] + ['{"stream":"unknown"}'],
    }
    given = []
    for one, frames in lines.items():
        file = tmp_path / f"{one.name.replace(' ', '.')}.jsonl"
        file.write_text("\n".join(frames) + "\n")
        given.append(f"{one.name.replace(' ', '.')}={file}")

    async def scene(stage: Stage) -> None:
        url = "/{}/stream?streams=foobar@top"
        async with (
            stage.client("/v1/public") as first,
            stage.client(url.format("public")) as top,
            stage.client(url.format("market")) as agg,
        ):
            assert await heard(first, 30) == lines[spot]
            assert await heard(top, 11) == [line for line in lines[relay] if "agg" not in line]
            assert await heard(agg, 21) == [line for line in lines[relay] if "top" not in line]
            await first.send("ping")
            assert await heard(first) == ["pong"]
        await asyncio.wait_for(stage.simulator.replayed.wait(), 60)

    play(desks, scene, replay=recordings(given, desks, "10"))

    def refused(*texts: str) -> str:
        with pytest.raises(UsageError) as error:
            recordings(texts, desks, "max")
        return str(error.value)

    assert refused("x.jsonl").startswith("--replay x.jsonl: whose is it? write EXCHANGE.PRODUCT=FILE with one of: depot.spot depot.perp")
    assert (
        refused("depot.swap=x.jsonl")
        == "--replay depot.swap=x.jsonl: the configuration has no depot.swap; it has: depot.spot depot.perp relay.perp"
    )
    assert refused(given[0], given[0]).endswith("depot spot has a recording already")


def test_the_end_is_announced_where_the_venue_does_so() -> None:
    last: list[str] = []

    async def scene(stage: Stage) -> None:
        async with stage.client("/v1/public") as socket:
            await socket.send("ping")
            assert await heard(socket) == ["pong"]

            async def listen() -> None:
                last.extend([str(text) async for text in socket])

            listener = asyncio.create_task(listen())
            await stage.simulator.close()
            await asyncio.wait_for(asyncio.gather(listener, return_exceptions=True), 60)

    play(both(), scene)
    assert last == ['{"event":"notice","msg":"closing soon"}']
