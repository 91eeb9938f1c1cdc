"""`k4 run` as a user runs it, against a small venue: from a configuration to records in shared memory, through crashes and signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import k4
import k4.segments
import k4.values
from k4.native import Native
from tests.https_server import serving
from tests.theatre import wait_for
from tests.venue_server import CLOSE, Authority, Peer, Server, serve

BBO = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'


@dataclass
class Stage:
    """A folder with everything a run touches, and a look at its segments."""

    native: Native
    folder: Path
    tls: Authority
    env: dict[str, str]

    def config(self, port: int, to: str = "config.json", **changes: Any) -> Path:
        entry = {
            "name": "one",
            "exchange": "binance",
            "product": "spot",
            "symbols": ["FOOBAR", "SILENT"],
            "records": ["bbo"],
            "ring_slots": 1024,
            "redundancy": {"connections": 2},
            "endpoints": {"ws": f"wss://127.0.0.1:{port}"},
            "tls": {"ca_file": str(self.tls.ca_file)},
            **changes,
        }
        file = self.folder / to
        file.write_text(json.dumps({"connections": [entry], "log": {"dir": "log", "level": "debug"}}))
        return file

    def log(self) -> list[dict[str, Any]]:
        lines = [line for file in sorted((self.folder / "log").glob("*.log")) for line in file.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    @asynccontextmanager
    async def running(self, *words: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """`k4 WORDS` until the block's end; then it is stopped by SIGTERM if it still runs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "k4", *map(str, words), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.communicate(), 60)

    def segment_head(self) -> int:
        """How many records the segment has had; 0 while it is not there."""
        try:
            with k4.open("binance_spot_bbo") as reader:
                return reader.info.head
        except k4.segments.NoSegmentError:
            return 0

    def view(self) -> Any:
        error = self.native.ffi.new("char[256]")
        return self.native.lib.k4_view_open(b"binance_spot_bbo", error, 256)

    def ids(self, view: Any) -> list[int]:
        """The update ids of the records that came since the last call."""
        record = self.native.records.record("bbo")
        assert record is not None
        field = record.field("update_id")
        assert field is not None
        ffi = self.native.ffi
        out, sequence, first, last = ffi.new(f"char[{record.size}]"), *(ffi.new("uint64_t *") for _ in range(3))
        found = []
        while self.native.lib.k4_view_next(view, out, sequence, first, last) == 1:
            found.append(int.from_bytes(ffi.buffer(out)[field.offset : field.offset + 8], "little", signed=True))
        return found


async def goes_on(stage: Stage, view: Any) -> None:
    """Records come, each once: who publishes now knows what has been published."""
    before = stage.ids(view)
    after: list[int] = []

    def enough() -> bool:
        after.extend(stage.ids(view))
        return len(after) > 20

    await until(enough)
    assert after == sorted(set(after))
    assert after[0] > max(before, default=0)


@pytest.fixture
def stage(native: Native, tls: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    shm = tmp_path / "shm"
    shm.mkdir()
    native.lib.k4_shm_dir_set(str(shm).encode())
    # A cache of its own, with the builds of the user's.
    cache = tmp_path / "cache" / "k4"
    cache.mkdir(parents=True, mode=0o700)
    (cache / "builds").symlink_to(native.file.parent.parent)
    env = {**os.environ, "K4_SHM_DIR": str(shm), "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(cache.parent)}
    monkeypatch.setenv("K4_SHM_DIR", str(shm))
    yield Stage(native, tmp_path, tls, env)
    native.lib.k4_shm_dir_set(b"")


class Feed:
    """One market for every connection: the same ids, counted up while anybody listens."""

    def __init__(self) -> None:
        self.id = 0
        self.peers: list[Peer] = []
        self.paused = False

    async def __call__(self, peer: Peer) -> None:
        await peer.handshake()
        self.peers.append(peer)
        await peer.listen()
        self.peers.remove(peer)

    async def go(self) -> None:
        while True:
            self.id += 1
            for peer in () if self.paused else self.peers:
                peer.send(BBO.format(self.id))
            await asyncio.sleep(0.01)


@asynccontextmanager
async def market(stage: Stage, port: int = 0) -> AsyncIterator[tuple[Server, Feed]]:
    feed = Feed()
    async with serve(stage.tls.server(), feed, port) as server:
        going = asyncio.create_task(feed.go())
        try:
            yield server, feed
        finally:
            going.cancel()


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(180):
            await main

    asyncio.run(limited())


async def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (conditions of all kinds)
            await asyncio.sleep(0.02)


async def reading(stage: Stage) -> Any:
    """A view of the segment, once it is there and has records."""
    view = stage.native.ffi.NULL

    def has_records() -> bool:
        nonlocal view
        if view == stage.native.ffi.NULL:
            view = stage.view()
        return view != stage.native.ffi.NULL and bool(stage.ids(view))

    await until(has_records)
    return view


def worker_pid(stage: Stage) -> int:
    return int(stage.events("started")[-1]["pid"])


def test_records_once_from_two_connections_and_a_clean_end(stage: Stage) -> None:
    async def main() -> None:
        async with market(stage) as (server, feed), stage.running("run", stage.config(server.port)) as process:
            view = await reading(stage)
            await until(lambda: len(feed.peers) == 2)
            stage.ids(view)
            begin = feed.id
            await until(lambda: feed.id > begin + 100)
            process.terminate()
            assert await process.wait() == 0
            await until(lambda: all(peer.gone.is_set() for peer in server.peers))
            got = stage.ids(view)
            assert set(range(begin + 1, begin + 100)) <= set(got)
            assert got == sorted(set(got)), "each once, in order"
            assert stage.native.lib.k4_view_writer(view) == 0, "closed by its writer"
            assert [peer.said(CLOSE)[0][:2] for peer in server.peers] == [b"\x03\xe8"] * 2
            states = [symbol_state(stage, view, n) for n in range(2)]
            assert [name for name, _ in states] == ["FOOBAR", "SILENT"]
            stage.native.lib.k4_view_close(view)

    run(main())
    one, two = stage.events("counters")[-2:]
    assert {one["connection"], two["connection"]} == {"one#0", "one#1"}
    assert one["wins"] + two["wins"] == one["records"] + two["records"] - one["duplicates"] - two["duplicates"]
    assert one["fast"] == one["messages"]
    (ended,) = stage.events("stopped")
    assert (ended["streams_live"], ended["streams_stale"], ended["streams_silent"]) in {(1, 1, 1), (0, 2, 1)}


def symbol_state(stage: Stage, view: Any, instrument: int) -> tuple[str, int]:
    info = stage.native.ffi.new("k4_symbol_info *")
    assert stage.native.lib.k4_view_symbol(view, instrument, info) == 1
    return stage.native.ffi.string(info.symbol).decode(), int(info.state)


def test_states_follow_the_data(stage: Stage) -> None:
    live, stale = 0, 1

    async def main() -> None:
        async with market(stage) as (server, feed), stage.running("run", stage.config(server.port)):
            view = await reading(stage)
            await until(lambda: symbol_state(stage, view, 0) == ("FOOBAR", live))
            assert symbol_state(stage, view, 1) == ("SILENT", stale)
            feed.paused = True
            await asyncio.sleep(0.5)
            assert symbol_state(stage, view, 0) == ("FOOBAR", live), "quiet, but its connections are up"
            for peer in server.peers:
                peer.writer.transport.abort()
            await until(lambda: symbol_state(stage, view, 0) == ("FOOBAR", stale))
            await until(lambda: len(feed.peers) == 2)
            assert symbol_state(stage, view, 0) == ("FOOBAR", stale), "no connection has brought anything since"
            feed.paused = False
            await until(lambda: symbol_state(stage, view, 0) == ("FOOBAR", live))
            stage.native.lib.k4_view_close(view)

    run(main())


def test_a_killed_worker_is_replaced_and_readers_go_on(stage: Stage) -> None:
    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port)) as process:
            view = await reading(stage)
            os.kill(worker_pid(stage), signal.SIGKILL)
            await until(lambda: len(stage.events("started")) == 2)
            await goes_on(stage, view)
            process.terminate()
            assert await process.wait() == 0
            stage.native.lib.k4_view_close(view)

    run(main())
    (ended,) = stage.events("worker ended")
    assert (ended["group"], ended["how"]) == ("one", "signal SIGKILL")


def test_a_killed_supervisor_takes_its_workers_along(stage: Stage) -> None:
    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port)) as process:
            view = await reading(stage)
            process.kill()
            await until(lambda: stage.native.lib.k4_view_writer(view) == 0)
            await until(lambda: ended(worker_pid(stage)))
            stage.native.lib.k4_view_close(view)

    run(main())


def ended(pid: int) -> bool:
    """It may be a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_second_writer_is_refused(stage: Stage) -> None:
    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port)) as first:
            view = await reading(stage)
            async with stage.running("run", stage.config(server.port, "other.json")) as second:
                assert await asyncio.wait_for(second.wait(), 60) == 1
            assert first.returncode is None
            stage.ids(view)
            await until(lambda: stage.ids(view))
            stage.native.lib.k4_view_close(view)

    run(main())
    (refused,) = stage.events("cannot run")
    assert refused["reason"].startswith("segment binance_spot_bbo has a writer already: process ")


def test_a_group_that_cannot_run_leaves_nothing_behind(stage: Stage) -> None:
    """Its first segment could be had, its second not: the first goes again. One that was there before stays."""

    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port)):
            view = await reading(stage)
            before = files(stage)
            trades = {"bbo": "fresh", "trade": "binance_spot_bbo"}
            async with stage.running("run", stage.config(server.port, "other.json", records=["bbo", "trade"], shm=trades)) as second:
                assert await asyncio.wait_for(second.wait(), 60) == 1
            assert files(stage) == before
            stage.native.lib.k4_view_close(view)
        after = files(stage)
        other = {"bbo": "binance_spot_bbo", "trade": "one"}
        (stage.folder / "shm" / "k4.one").symlink_to("elsewhere")
        async with stage.running("run", stage.config(1, records=["bbo", "trade"], shm=other)) as third:
            assert await asyncio.wait_for(third.wait(), 60) == 1
        assert files(stage) == sorted([*after, "k4.one"])

    run(main())


def files(stage: Stage) -> list[str]:
    return sorted(file.name for file in (stage.folder / "shm").iterdir())


def test_nobody_at_the_simulators_address(stage: Stage) -> None:
    """It is tried again and again, told each time, and stopping works all the same."""
    cache = stage.folder / "cache" / "k4" / "sim"
    cache.mkdir()
    (cache / "ca.pem").write_bytes(stage.tls.ca_file.read_bytes())
    command = [sys.executable, "-m", "k4", "run", str(stage.config(1)), "--sim", "127.0.0.1:9"]
    with subprocess.Popen(command, env=stage.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: len({line["connection"] for line in stage.events("dial failed")}) == 2, "both to be told")
        finally:
            process.terminate()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == ""
    failed = stage.events("dial failed")
    assert {line["reason"] for line in failed} == {"127.0.0.1:9 (127.0.0.1): Connection refused"}
    assert {line["connection"] for line in failed} == {"one#0", "one#1"}


@pytest.mark.parametrize("seconds", ["0", "0.2", "0.5", "0.8"])
def test_stopping_a_worker_that_is_still_starting(stage: Stage, seconds: str) -> None:
    command = [sys.executable, "-m", "k4", "run", str(stage.config(1)), "--for", seconds]
    done = subprocess.run(command, env=stage.env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_simulator_stands_for_every_endpoint(stage: Stage) -> None:
    cache = stage.folder / "cache" / "k4" / "sim"
    cache.mkdir()
    (cache / "ca.pem").write_bytes(stage.tls.ca_file.read_bytes())

    async def main() -> None:
        async with market(stage) as (server, _):
            config = stage.config(1, tls={}, endpoints={})
            async with stage.running("run", config, "--sim", f"127.0.0.1:{server.port}"):
                view = await reading(stage)
                asked = {"/api/v3/exchangeInfo?showPermissionSets=false", "/stream?streams=foobar@bookTicker/silent@bookTicker"}
                await until(lambda: {peer.target for peer in server.peers} == asked)
                stage.native.lib.k4_view_close(view)

    run(main())


def test_a_ca_file_without_certificates_ends_the_run(stage: Stage) -> None:
    (stage.folder / "empty.pem").write_text("nothing\n")
    command = [sys.executable, "-m", "k4", "run", str(stage.config(1, tls={"ca_file": "empty.pem"})), "--for", "5"]
    done = subprocess.run(command, env=stage.env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 1
    assert f"one: tls.ca_file '{stage.folder}/empty.pem' holds no certificate that can be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_ca_is_named_in_the_log(stage: Stage) -> None:
    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port, tls={})):
            await until(lambda: stage.events("dial failed"))

    run(main())
    reason = stage.events("dial failed")[0]["reason"]
    assert reason.endswith("the certificate is not trusted: unable to get local issuer certificate; is its CA in tls.ca_file?")


def test_workers_stay_lean() -> None:
    code = "import sys, k4.worker; print(sorted({'aiohttp', 'cryptography', 'typer', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def listed(symbol: str, base: str, status: str = "TRADING", quote: str = "BAR") -> dict[str, Any]:
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}, {"filterType": "LOT_SIZE", "stepSize": "0.00100000"}]
    return {"symbol": symbol, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": filters}


LISTED = [listed("FOOBAR", "FOO"), listed("QUXBAR", "QUX"), listed("OLDBAR", "OLD", "BREAK"), listed("ZOTZED", "ZOT", quote="ZED")]


async def exchange_info(request: web.Request) -> web.Response:
    assert request.raw_path == "/api/v3/exchangeInfo?showPermissionSets=false"
    return web.json_response({"symbols": LISTED})


def test_symbols_are_looked_up_before_anything_runs(stage: Stage) -> None:
    """Unified names and patterns become the venue's own, and each symbol's unit stands in shared memory."""

    async def script(peer: Peer) -> None:
        await peer.handshake()
        peer.send(BBO.format(1))
        await peer.listen()

    async def main() -> None:
        async with serve(stage.tls.server(), script) as server, serving(stage.tls, exchange_info) as rest:
            endpoints = {"ws": f"wss://127.0.0.1:{server.port}", "rest": rest}
            config = stage.config(1, symbols=["FOO-BAR", "OLD-BAR", "*BAR"], endpoints=endpoints, redundancy={"connections": 1})
            async with stage.running("run", config):
                await until(lambda: stage.segment_head() == 1)
            (peer,) = server.peers
            assert peer.target == "/stream?streams=foobar@bookTicker/oldbar@bookTicker/quxbar@bookTicker"

    asyncio.run(main())
    with k4.open("binance_spot_bbo", oldest=True) as reader:
        entries = [(symbol.symbol, symbol.qty_unit, symbol.contract_size) for symbol in reader.symbols]
        assert entries == [("FOOBAR", "base", ""), ("OLDBAR", "base", ""), ("QUXBAR", "base", "")]
        record = reader.read()
        assert isinstance(record, k4.values.Record)
        assert (record.base("bid_qty"), record.quote("bid_qty")) == (Decimal("31.2"), Decimal("790.920"))
    (line,) = stage.events("not traded now")
    assert (line["symbols"], line["count"]) == ("OLDBAR", 1)


@pytest.mark.parametrize("command", ["run", "config check"])
def test_an_unknown_symbol_is_told_with_the_nearest(stage: Stage, command: str) -> None:
    async def main() -> tuple[int | None, bytes]:
        async with serving(stage.tls, exchange_info) as rest:
            endpoints = {"ws": "wss://127.0.0.1:1", "rest": rest}
            config = stage.config(1, symbols=["FOOBAR", "QUXBAZ", "OL-BAR", "*NIL"], endpoints=endpoints)
            if command == "config check":  # asks nobody; the list must be there
                async with stage.running("run", stage.config(1, symbols=["FOOBAR"], endpoints=endpoints)):
                    await until(lambda: stage.events("started"))
                config = stage.config(1, symbols=["FOOBAR", "QUXBAZ", "OL-BAR", "*NIL"], endpoints=endpoints)
            async with stage.running(*command.split(), config) as process:
                _, said = await asyncio.wait_for(process.communicate(), 60)
                return process.returncode, said

    code, said = asyncio.run(main())
    assert code == 1
    where = f"{stage.folder / 'config.json'}:1: connections[0].symbols"
    assert said.decode().splitlines()[-3:] == [
        f'{where}[1]: "QUXBAZ" is no instrument of binance spot; did you mean "QUXBAR"?',
        f'{where}[2]: "OL-BAR" is no instrument of binance spot; did you mean "OLD-BAR"?',
        f'{where}[3]: "*NIL": no instrument of binance spot that is traded has such a name',
    ]


def test_a_kept_list_is_fetched_anew_before_a_symbol_is_unknown(stage: Stage) -> None:
    rows = [LISTED[0]]

    async def grows(request: web.Request) -> web.Response:
        return web.json_response({"symbols": rows})

    async def main() -> None:
        async with serve(stage.tls.server(), Feed()) as server, serving(stage.tls, grows) as rest:
            endpoints = {"ws": f"wss://127.0.0.1:{server.port}", "rest": rest}

            async def once(symbol: str, count: int) -> None:
                async with stage.running("run", stage.config(1, symbols=[symbol], endpoints=endpoints)):
                    await until(lambda: len(stage.events("started")) == count)

            await once("FOO-BAR", 1)
            rows.append(LISTED[1])
            await once("QUX-BAR", 2)

    asyncio.run(main())
    assert not stage.events("instruments cannot be listed")


def test_a_run_without_a_list_takes_symbols_as_they_stand(stage: Stage) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, text="later")

    async def main() -> None:
        async with serve(stage.tls.server(), Feed()) as server, serving(stage.tls, refuse) as rest:
            config = stage.config(1, symbols=["FOO-BAR"], endpoints={"ws": f"wss://127.0.0.1:{server.port}", "rest": rest})
            async with stage.running("run", config):
                await until(lambda: server.peers and server.peers[0].target)
            assert server.peers[0].target == "/stream?streams=foo-bar@bookTicker"

    asyncio.run(main())
    (line,) = stage.events("instruments cannot be listed")
    assert line["reason"].endswith("/api/v3/exchangeInfo?showPermissionSets=false: status 503: later")


def test_instruments_are_printed_and_kept(stage: Stage) -> None:
    asked = 0

    async def serve_once(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return await exchange_info(request)

    async def main() -> list[tuple[int | None, bytes, bytes]]:
        ends = []
        async with serving(stage.tls, serve_once) as rest:
            words = ["instruments", "binance", "spot", "--sim", rest.removeprefix("https://"), "--ca-file", str(stage.tls.ca_file)]
            cache = Path(stage.env["XDG_CACHE_HOME"]) / "k4" / "sim"
            cache.mkdir(parents=True, exist_ok=True)
            (cache / "ca.pem").write_bytes(stage.tls.ca_file.read_bytes())
            for more in ([], ["--json"], ["--refresh"]):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "k4", *words, *more, env=stage.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
                out, err = await process.communicate()
                ends.append((process.returncode, out, err))
        return ends

    ends = asyncio.run(main())
    assert [(code, err) for code, _, err in ends] == [(0, b"")] * 3
    assert asked == 3, "a simulator's list is not kept"
    rows = [json.loads(line) for line in ends[1][1].splitlines()]
    assert rows[0] == {
        "symbol": "FOOBAR", "unified": "FOO-BAR", "kind": "spot", "expiry_ns": None, "base": "FOO", "quote": "BAR", "settle": None,
        "price_step": "0.01", "qty_step": "0.001", "contract_size": None, "contract_currency": None, "qty_unit": "base", "trading": True,
    }  # fmt: skip
    assert [(row["symbol"], row["trading"]) for row in rows] == [("FOOBAR", True), ("QUXBAR", True), ("OLDBAR", False), ("ZOTZED", True)]


def test_config_check_says_what_would_run(stage: Stage) -> None:
    command = [sys.executable, "-m", "k4", "config", "check"]
    done = subprocess.run([*command, str(stage.config(1))], env=stage.env, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "one: binance spot, 2 symbol(s), bbo, 2 connection(s)\n  segments: binance_spot_bbo\n"
    bad = stage.config(1, records=["bboo"], cpu=-1)
    done = subprocess.run([*command, str(bad)], env=stage.env, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"k4: error: {bad}: 2 findings",
        f'{bad}:1: connections[0].records[0]: "bboo" is not allowed; did you mean "bbo"? allowed: bbo trade aggtrade depth5 depth20',
        f"{bad}:1: connections[0].cpu: -1 is wrong; allowed: 0 and above",
    ]
