"""The whole road, every part real: simulator, TLS, worker process, arbiter, ring, reader.

The simulator runs in this process, where its market can be asked what it did; `k4 run` runs as users run it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

import k4
from k4 import native
from k4.errors import K4Error
from k4.sim.command import desks
from k4.sim.market import Event
from k4.sim.replay import Recording, read_recording
from tests import theatre
from tests.late import Late
from tests.theatre import wait_for

ROOT = Path(__file__).parent.parent
CAPTURES = Path(os.environ.get("K4_CAPTURES", ROOT.parent / "shared" / "captures"))
SYMBOLS = ["FOOBAR", "BARBAZ"]
RECORDS = ["bbo", "trade", "aggtrade", "depth5"]
DELAY_S = 0.015  # by which one of two connections is behind the other
JOININGS = 2  # connections that are cut and come back
IDS = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id", "depth5": "update_id"}


@dataclass
class Stage(theatre.Stage):
    """With a config of one entry."""

    symbols: list[str] = field(default_factory=lambda: list(SYMBOLS))
    connections: int = 1

    @property
    def config(self) -> Path:
        file = self.folder / "config.json"
        entry = {
            "name": "main",
            "exchange": "binance",
            "product": "spot",
            "symbols": self.symbols,
            "records": RECORDS,
            "redundancy": {"connections": self.connections},
        }
        file.write_text(json.dumps({"connections": [entry], "log": {"dir": str(self.folder / "log")}}))
        return file


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stage:
    request.getfixturevalue("native")  # `k4 run` compiles nothing
    memory = tmp_path / "shm"
    memory.mkdir()
    monkeypatch.setenv("K4_SHM_DIR", str(memory))
    return Stage(tmp_path, dict(os.environ))


class Theatre(theatre.Theatre):
    """One product's; `did`: everything that happened in its market; `late`: by how much the machine has held it up."""

    def __init__(self, stage: Stage, replay: Recording = (), **options: object) -> None:
        super().__init__(stage.config, replay=replay, **options)  # type: ignore[arg-type]
        self.did: list[Event] = []
        self.late = Late()
        (desk,) = self.simulator.desks
        step = desk.market.step

        def recorded(now_ns: int) -> Iterator[Event]:
            for event in step(now_ns):
                self.did.append(event)
                yield event

        desk.market.step = recorded  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        super().__enter__()
        asyncio.run_coroutine_threadsafe(self.late.__aenter__(), self._loop).result(60)
        return self

    def __exit__(self, *raised: object) -> None:
        asyncio.run_coroutine_threadsafe(self.late.__aexit__(*raised), self._loop).result(60)
        super().__exit__(*raised)


def tail(stage: Stage, record: str) -> list[dict[str, object]]:
    """Everything the record's segment holds, by the command a user would type."""
    with k4.open(f"binance_spot_{record}") as reader:
        count = reader.info.head
    done = stage.k4("tail", f"binance_spot_{record}", "--json", "--from", "oldest", "--count", str(count))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == count
    return lines


def bare(line: dict[str, object]) -> dict[str, object]:
    """A line of `k4 tail` or `k4 decode` without what only the other one has, and without the flags of a start."""
    extra = {"frame", "instrument", "source", "recv_ns", "price_exp", "qty_exp", "sequence"}
    out = {key: value for key, value in line.items() if key not in extra}
    flags = out["flags"]
    assert isinstance(flags, list)
    out["flags"] = [flag for flag in flags if flag not in ("RESET", "RESTART")]
    return out


def own_recording(file: Path, stage: Stage) -> None:
    """A recording with all four kinds, from another market than the one the simulator runs."""
    built = native.load()
    from k4.config import load_reported

    (desk,) = desks(load_reported(stage.config, built.exchanges), built, seed=99)
    frames = []
    for i in range(1500):
        for event in desk.market.step(1_700_000_000_000_000_000 + i * 3_000_000):
            values = {**event.values, "symbol": event.symbol}
            said = [frame for message in desk.voice.tellers(event.record) for frame in desk.voice.say(message, [values])]
            frames += [frame for frame in said if isinstance(frame, str)]
    file.write_text("\n".join(frames) + "\n")


@pytest.mark.parametrize("source", ["own", "capture"])
def test_replay_gives_what_decode_gives(stage: Stage, source: str) -> None:
    recording = stage.folder / "frames.jsonl"
    if source == "own":
        own_recording(recording, stage)
    else:
        capture = CAPTURES / "binance/spot_ws_cryptofeed_2021.jsonl"
        if not capture.exists():
            pytest.skip(f"not run: no {capture} (set K4_CAPTURES)")
        recording.write_bytes(capture.read_bytes())
        streams = [json.loads(line).get("stream", "") for line in recording.read_text().splitlines()]
        stage.symbols = sorted({stream.split("@")[0].upper() for stream in streams})
    done = stage.k4("decode", "--exchange", "binance", "--product", "spot", "--json", recording)
    assert done.returncode == 0, done.stderr
    expected = [line for line in map(json.loads, done.stdout.splitlines()) if "record" in line]
    counts = {record: sum(line["record"] == record for line in expected) for record in RECORDS}
    with (
        Theatre(stage, replay=read_recording(recording, "max")) as theatre,
        stage.running("run", stage.config, "--sim", f"127.0.0.1:{theatre.port}"),
    ):
        wait_for(theatre.simulator.replayed.is_set, "the replay's end")
        for record, count in counts.items():
            with k4.open(f"binance_spot_{record}") as reader:
                wait_for(lambda reader=reader, count=count: reader.info.head >= count, f"{count} {record} records")  # type: ignore[misc]
        for record in RECORDS:
            wanted = [bare(line) for line in expected if line["record"] == record]
            assert [bare(line) for line in tail(stage, record)] == wanted


def heads() -> dict[str, int]:
    out = {}
    for record in RECORDS:
        try:
            with k4.open(f"binance_spot_{record}") as reader:
                out[record] = reader.info.head
        except K4Error:
            out[record] = 0
    return out


def test_two_connections_publish_every_update_once(stage: Stage) -> None:
    """One connection is cut, comes back, then the other: nothing is missed, nothing comes twice, order holds but for LATE."""
    stage.connections = 2
    with (
        Theatre(stage, delays_s=(0.0, DELAY_S), rate=1500) as theatre,
        stage.running("run", stage.config, "--sim", f"127.0.0.1:{theatre.port}"),
    ):
        wait_for(lambda: len(theatre.numbers()) == 2 and min(heads().values()) > 20, "two connections and records of all kinds")
        began = len(theatre.did)
        for _ in range(JOININGS):
            oldest = theatre.numbers()[0]
            time.sleep(0.6)
            theatre.drop(oldest)
            wait_for(lambda gone=oldest: len(theatre.numbers()) == 2 and gone not in theatre.numbers(), "the cut connection to come back")  # type: ignore[misc]
        time.sleep(0.6)
        ended = len(theatre.did)
        wait_for(lambda: _published(theatre, began, ended), "the last update to be published")
        sources = {}
        for record in RECORDS:
            _check_exactly_once(record, [e for e in theatre.did[began:ended] if _word(e) == record], tail(stage, record), theatre.late.s)
            with k4.open(f"binance_spot_{record}") as reader:
                sources[record] = {source.name: source for source in reader.sources}
                assert reader.info.record_size > 0
    for record, by_name in sources.items():
        assert sorted(by_name) == ["main#0", "main#1"], record
        # The one that is behind brought what the other had brought already.
        assert by_name["main#1"].duplicates > 0, (record, by_name)
    # Each led while the other was away; how long that was is chance, and a book may have been quiet meanwhile.
    wins = {name: sum(by_name[name].wins for by_name in sources.values()) for name in ("main#0", "main#1")}
    assert min(wins.values()) > 0, wins


def _word(event: Event) -> str:
    return "depth5" if event.record == "depth" else event.record


def _published(theatre: Theatre, began: int, ended: int) -> bool:
    last = {(_word(e), e.symbol): e.values[IDS[_word(e)]] for e in theatre.did[began:ended]}
    for (record, symbol), number in last.items():
        with k4.open(f"binance_spot_{record}") as reader:
            newest = reader.latest(symbol)
            if newest is None or getattr(newest, IDS[record]) < number:
                return False
    return True


def _check_exactly_once(record: str, said: list[Event], lines: list[dict[str, object]], late_s: float) -> None:
    """No id comes twice, order holds but for LATE, and nothing is missing. `late_s`: so much later than meant may something have been sent.

    For quotes and books one exception is the rule: a connection that joins ahead of its sibling outdates the updates that the sibling
    still has on the way, and an older state is never published over a newer one.
    """
    for symbol in SYMBOLS:
        ids = [int(str(event.values[IDS[record]])) for event in said if event.symbol == symbol]
        own = [line for line in lines if line["symbol"] == symbol]
        published = [int(str(line[IDS[record]])) for line in own]
        assert len(published) == len(set(published)), f"{record} {symbol}: an update came twice"
        in_time = [int(str(line[IDS[record]])) for line in own if "LATE" not in line["flags"]]  # type: ignore[operator]
        assert in_time == sorted(in_time), f"{record} {symbol}: out of order without LATE"
        invented = {number for number in published if ids[0] <= number <= ids[-1]} - set(ids)
        assert not invented, f"{record} {symbol}: published what the market never said"
        missing = set(ids) - set(published)
        if record in ("trade", "aggtrade"):
            assert not missing, f"{record} {symbol}: missed {sorted(missing)}"
        else:
            sources = {int(str(line[IDS[record]])): line["source"] for line in own}
            _check_outdated(ids, missing, sources, said, symbol, record, 2 * (DELAY_S + late_s))


def _check_outdated(
    ids: list[int], missing: set[int], sources: dict[int, object], said: list[Event], symbol: str, record: str, most_s: float
) -> None:
    """Every run of missing ids lies between two sources and is no longer than the delay between them; at most one per joining.

    A run at either end of what was looked at has no neighbour there: its length is all that can be judged.
    """
    times = {int(str(e.values[IDS[record]])): int(str(e.values["event_ns"])) for e in said if e.symbol == symbol}
    runs = 0
    at = 0
    while at < len(ids):
        if ids[at] not in missing:
            at += 1
            continue
        end = at
        while end < len(ids) and ids[end] in missing:
            end += 1
        runs += 1
        inside = at > 0 and end < len(ids)
        assert not inside or sources[ids[at - 1]] != sources[ids[end]], f"{record} {symbol}: {ids[at:end]} missed by one connection"
        last = ids[min(end, len(ids) - 1)]
        assert times[last] - times[ids[at]] < most_s * 1e9, f"{record} {symbol}: {ids[at:end]} missed for longer than the delay"
        at = end
    assert runs <= JOININGS


def test_readers_in_every_language_agree_while_the_feed_runs(stage: Stage, examples: dict[str, Path]) -> None:
    """All of them attach to a ring that is being written, and print the same lines; the writer is still at it when they end."""
    with (
        Theatre(stage, rate=800) as theatre,
        stage.running("run", stage.config, "--sim", f"127.0.0.1:{theatre.port}"),
    ):
        wait_for(lambda: min(heads().values()) > 0, "records of all kinds")
        count = max(heads().values()) + 200  # of each record: more than there are when the readers start
        printed: dict[str, dict[str, str]] = {record: {} for record in RECORDS}
        with ExitStack() as all_of_them:
            readers = {
                (record, name): all_of_them.enter_context(
                    subprocess.Popen(command, env=stage.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                )
                for record in RECORDS
                for name, command in _readers(f"binance_spot_{record}", count, examples).items()
            }
            for reader in readers.values():
                all_of_them.callback(reader.kill)  # before it is waited for
            for (record, name), reader in readers.items():
                out, err = reader.communicate(timeout=120)
                assert (reader.returncode, err) == (0, ""), (record, name)
                printed[record][name] = out
        ended = heads()
        wait_for(lambda: all(heads()[record] > ended[record] for record in RECORDS), "the feed to go on")
    for record, by_name in printed.items():
        assert count <= ended[record], record
        lines = [json.loads(line) for line in by_name["k4 tail"].splitlines()]
        assert [line["record"] for line in lines] == [record] * count
        assert {name: out == by_name["k4 tail"] for name, out in by_name.items()} == dict.fromkeys(["k4 tail", *examples], True)


def _readers(segment: str, count: int, examples: dict[str, Path]) -> dict[str, list[str]]:
    tail_command = [sys.executable, "-m", "k4", "tail", segment, "--json", "--from", "oldest", "--count", str(count)]
    return {"k4 tail": tail_command} | {name: [str(program), segment, "oldest", str(count)] for name, program in examples.items()}


def test_records_carry_what_the_market_did(stage: Stage) -> None:
    """Values, not ids alone: exact decimals and times of every record read from shared memory."""
    with (
        Theatre(stage, rate=800) as theatre,
        stage.running("run", stage.config, "--sim", f"127.0.0.1:{theatre.port}"),
    ):
        wait_for(lambda: min(heads().values()) > 30, "records of all kinds")
        by_id = {(_word(e), e.symbol, e.values[IDS[_word(e)]]): e.values for e in list(theatre.did)}
        for record in RECORDS:
            for line in tail(stage, record)[:30]:
                values = by_id[record, str(line["symbol"]), line[IDS[record]]]
                for name, value in values.items():
                    if name in ("event_ns", "engine_ns"):
                        assert line[name] is None or int(str(line[name])) // 10**6 == int(str(value)) // 10**6
                    elif name in ("bid_count", "ask_count"):
                        assert line[name] in (None, [None] * 5)  # this venue does not tell how many orders make up a level
                    elif isinstance(value, list):
                        shown = line[name]
                        assert isinstance(shown, list)
                        assert [float(text) for text in shown] == [float(v) for v in value[:5]]
                    elif isinstance(value, bool | str | int):
                        assert line[name] == value, (record, name)
                    else:
                        assert float(str(line[name])) == float(str(value)), (record, name)
