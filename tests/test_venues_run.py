"""Every configuration in config/, and every venue of the simulator's own cases, through `k4 run`: what the simulator sent is what readers get.

Two connections per stream, one behind the other. One is cut and comes back, then another: every update is published once, values and ids
as they were sent, books level by level.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

import k4
from k4 import native
from k4._codegen.xxh64 import xxh64
from k4.errors import K4Error
from k4.sim.wire import BOOK

from .codegen.compiled import build_extension
from .theatre import Said, Stage, Theatre, wait_for

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "config").glob("*.json"))
CASES = [*(ROOT / "tests/cases/sim").glob("*.toml"), ROOT / "tests/cases/specs/nova.toml"]
DELAY_S = 0.01
TOTAL_RATE = 600.0  # updates per second over all products: the simulator shares two cores with all workers
IDS = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id", "depth5": "update_id", "depth20": "update_id"}
EVENTS = ("trade", "aggtrade")
MOST = {"depth5": 5, "depth20": 20}

OWN = {
    "depot spot": (["FOO-BAR", "QUX-BAR"], ["bbo", "trade", "depth5", "depth20"]),
    "depot perp": (["FOO-BAR-PERP"], ["bbo", "trade", "depth5"]),
    "nova spot": (["FOOBAR", "BARFOO"], ["bbo", "trade", "depth5"]),
    "nova perp": (["FOOBAR"], ["bbo", "trade"]),
    "booth spot": (["FOOBAR", "BARFOO"], ["bbo", "depth5", "depth20"]),
    "booth perp": (["FOOBAR"], ["bbo", "depth5", "depth20"]),
    "relay perp": (["FOOBAR", "BARFOO"], ["bbo", "aggtrade", "depth20"]),
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    for name in ("shm", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path / "shm"))
    monkeypatch.setenv("BINANCE_API_KEY", "made-up-for-the-simulator")
    return Stage(tmp_path)


def quiet(config: Path, folder: Path) -> Path:
    """The configuration, logging into the test's own folder."""
    value = json.loads(config.read_text())
    value["log"] = {"dir": str(folder / "log"), "level": "info"}
    copy = folder / config.name
    copy.write_text(json.dumps(value))
    return copy


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_every_configuration_runs(config: Path, stage: Stage, native: native.Native) -> None:
    del native  # compiled by then
    play(stage, quiet(config, stage.folder), cuts=2)


@pytest.mark.slow
def test_the_cases_run(stage: Stage, tmp_path: Path) -> None:
    """Venues of all manners: answers per stream and per request, books with checksums, chains and fetched snapshots, UUIDs, venue's pings."""
    folder = tmp_path / "spec"
    folder.mkdir()
    for file in CASES:
        shutil.copy(file, folder)
    build_extension(folder)
    entries = []
    for name, (symbols, records) in OWN.items():
        exchange, product = name.split()
        entries.append(
            {
                "name": f"{exchange}_{product}",
                "exchange": exchange,
                "product": product,
                "symbols": symbols,
                "records": records,
                "redundancy": {"connections": 2},
            }
        )
    config = tmp_path / "own.json"
    config.write_text(json.dumps({"connections": entries, "log": {"dir": str(tmp_path / "log")}}))
    play(stage, config, spec=[folder], cuts=4)


def play(stage: Stage, config: Path, *, spec: list[Path] | None = None, cuts: int) -> None:
    entries = json.loads(config.read_text())["connections"]
    words = [word for folder in spec or () for word in ("--spec", folder)]
    rate = max(20.0, TOTAL_RATE / len(entries))
    with Theatre(config, spec=spec, delays_s=(0.0, DELAY_S), rate=rate) as theatre:
        with stage.running("run", config, "--sim", theatre.address, *words) as output:
            segments = {(e["name"], r): f"{e['exchange']}_{e['product']}_{r}" for e in entries for r in e["records"]}
            wait_for(lambda: all(live(name, 20) for name in segments.values()), lambda: f"records: {output.read_text()}", 60)
            carried = streams(theatre)
            began = {desk: len(said) for desk, said in theatre.said.items()}
            for number in theatre.numbers()[:cuts]:
                time.sleep(0.5)
                theatre.drop(number)
                wait_for(lambda gone=number: gone not in theatre.numbers() and streams(theatre) == carried, "the cut connection and its streams")  # type: ignore[misc]
            time.sleep(0.8)
            ended = {desk: len(said) for desk, said in theatre.said.items()}
            time.sleep(0.5)  # what was said by then has arrived, of states at least the most
            for entry in entries:
                desk = next(desk for desk in theatre.said if desk.name == f"{entry['exchange']} {entry['product']}")
                for record in entry["records"]:
                    segment = segments[entry["name"], record]
                    arrived(stage, segment, record, theatre.said[desk][began[desk] : ended[desk]])
                    check(stage, segment, record, theatre.said[desk], began[desk], ended[desk])
                    wait_for(lambda segment=segment: live(segment, 20), f"{segment} to be live")  # type: ignore[misc]
                    with k4.open(segment) as reader:
                        assert sorted(symbol.symbol for symbol in reader.symbols) == sorted(desk.symbols)
                        # Of a product with several URLs, not every connection carries every record.
                        carrying = [source for source in reader.sources if source.wins + source.duplicates > 0]
                        assert len(carrying) >= 2, reader.sources
            answered(theatre)
        log = output.read_text()
    for trouble in ("refused the subscription", "not answered", "unexpected", "broke the protocol"):
        assert trouble not in log, log
    counted = [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in log.splitlines() if "counters" in line]
    assert counted
    for counters in counted:
        assert counters["refused"] == "0", counters
        assert int(counters.get("fast", 0)) + int(counters.get("sbe", 0)) > 0, counters


def streams(theatre: Theatre) -> list[int]:
    """How many each connection has subscribed."""
    return sorted(len(client.streams) for client in list(theatre.simulator.clients))


def live(segment: str, least: int) -> bool:
    try:
        with k4.open(segment) as reader:
            return reader.info.head >= least and all(symbol.state == "LIVE" for symbol in reader.symbols) and len(reader.sources) >= 2
    except K4Error:
        return False


def answered(theatre: Theatre) -> None:
    """Whatever the venues of this configuration have to say to clients has been said."""
    counts = theatre.simulator.counts
    asked = [desk for desk in theatre.said if "$args" not in desk.venue.product.url.source and desk.venue.product.session.subscribe]
    if any(desk.voice.ack("subscribe", "1") is not None for desk in asked):
        assert counts.acks > 0
    if any(desk.voice.ping(1) is not None for desk in theatre.said):
        wait_for(lambda: counts.answered > 0, "the answer to a venue's ping")
    assert counts.errors == 0
    if any(desk.venue.product.session.ping and desk.venue.product.session.ping.send for desk in theatre.said):
        before = counts.pongs
        theatre.simulator.still = True
        wait_for(lambda: counts.pongs > before, "a probe of an idle link", 60)
        theatre.simulator.still = False


# --------------------------------------------------------------------------- what was sent against what was read


def missed(lines: list[dict[str, object]], record: str, told: list[Said]) -> tuple[list[Said], list[Said]]:
    """What was told of a record live and not published, and all of it."""
    published = {(str(line["symbol"]), line[IDS[record]]) for line in lines}
    wanted = [one for one in told if record in one.records and one.variant == "live"]
    return [one for one in wanted if not any((one.symbol, key) in published for key in keys(one.values[IDS[record]]))], wanted


def arrived(stage: Stage, segment: str, record: str, told: list[Said]) -> None:
    """Waits until no event is on its way any more; of one that never comes, `check` says more."""
    until = time.monotonic() + 30
    while record in EVENTS and missed(stage.lines(segment), record, told)[0] and time.monotonic() < until:
        time.sleep(0.1)


def check(stage: Stage, segment: str, record: str, told: list[Said], began: int, ended: int) -> None:
    """Ids once each, in order but for LATE; all values as sent; of trades none missing, of states none but what a newer one outdates."""
    lines = stage.lines(segment)
    by_id: dict[tuple[str, object], list[Said]] = {}
    for one in told:
        if record in one.records or (one.kind == "depth" and record == "bbo"):
            for key in keys(one.values.get(IDS[record])):
                by_id.setdefault((one.symbol, key), []).append(one)
    assert by_id, segment
    seen: dict[str, list[int]] = {}
    for line in lines:
        symbol, number = str(line["symbol"]), line[IDS[record]]
        found = by_id.get((symbol, number))
        assert found, f"{segment}: published what was never sent: {line}"
        assert any(same(record, line, one) for one in found), (segment, line, found[0])
        flags = line["flags"]
        assert isinstance(flags, list)
        if "HASHED_ID" not in flags and "LATE" not in flags and "BACKFILL" not in flags:
            in_time = seen.setdefault(symbol, [])
            assert not in_time or int(str(number)) > in_time[-1], f"{segment}: {symbol} {number} out of order without LATE"
            in_time.append(int(str(number)))
    published = [(str(line["symbol"]), line[IDS[record]]) for line in lines]
    assert len(published) == len(set(published)), f"{segment}: an update came twice"
    missing, wanted = missed(lines, record, told[began:ended])
    if record in EVENTS:
        assert not missing, f"{segment}: missed {len(missing)} of {len(wanted)}, the first: {missing[0]}"
    elif all(one.kind != "book" for one in wanted):
        # A connection that joins ahead outdates what its sibling still has on the way; books publish what changes their top.
        assert len(missing) <= len(wanted) * 0.1, f"{segment}: missed {len(missing)} of {len(wanted)}"


def keys(number: object) -> list[object]:
    """An id as readers see it: itself, or the hash of its text where the venue's are no numbers."""
    if not isinstance(number, int):
        return []
    text = str(uuid.uuid5(uuid.UUID("6b6b3400-0000-4000-8000-000000000000"), "trades"))[:24] + f"{number:012}"
    return [number, xxh64(text.encode()) & (2**63 - 1)]


def same(record: str, line: dict[str, object], one: Said) -> bool:
    """Is every value of the line the one that was sent?"""
    values = dict(one.values)
    book = values.get(BOOK)
    if isinstance(book, dict):
        values |= {name: column for name, column in book.items() if isinstance(column, list)}
    if record == "bbo":  # it may be cut from levels
        values = {name: value[0] if isinstance(value, list) and value else value for name, value in values.items()}
    for name, got in line.items():
        if name in ("event_ns", "engine_ns"):
            # In the venue's unit; past trades are told later than they happened, a snapshot has the time of its telling.
            apart = 0 if got is None else int(str(values[name])) - int(str(got))
            if one.variant == "live" and not isinstance(book, dict) and not 0 <= apart < 10**9:
                return False
            continue
        if got is None or name not in values or name.endswith("_id"):
            continue
        if not equal(got, values[name], MOST.get(record)):
            return False
    return True


def equal(got: object, wanted: object, most: int | None) -> bool:
    if isinstance(wanted, list):
        if not isinstance(got, list):
            return False
        cut = wanted[:most]
        return all(item is None for item in got) or (len(got) == len(cut) and all(equal(a, b, None) for a, b in zip(got, cut, strict=True)))
    if isinstance(wanted, Decimal):
        return Decimal(str(got)) == wanted
    return got == wanted
