"""The source table end to end: two connections, one 20 ms behind the other, through `k4 run`; read in Python and in C."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import k4
from k4.native import Native
from k4.segments import Source

from .segments import compile_c
from .theatre import Stage, wait_for

RECORDS = ("bbo", "trade", "depth5")
BEHIND_MS = 20
# Few enough that less than four updates of an instrument come in 20 ms: so many are remembered to measure by.
RATE = 40


@dataclass(frozen=True, slots=True)
class Counted:
    """What C read of one source. Histograms: the least ns of a bucket → how many are in it."""

    transport: str
    counts: tuple[int, ...]  # wins, duplicates, gaps, late
    lead: Mapping[int, int]
    lag: Mapping[int, int]


def read_in_c(program: Path, segment: str, stage: Stage) -> dict[str, Counted]:
    done = subprocess.run([program, segment], env=stage.env, capture_output=True, text=True, check=True, timeout=120)
    found = {}
    for line in done.stdout.splitlines():
        head, lead, lag = re.split(" lead| lag", line)
        name, transport, *counts = head.split()
        lead_, lag_ = ({int(floor): int(count) for floor, _, count in (part.partition(":") for part in text.split())} for text in (lead, lag))
        found[name] = Counted(transport, tuple(map(int, counts)), lead_, lag_)
    return found


def middle(histogram: Mapping[int, int]) -> int:
    """The least value of the bucket in which the median is."""
    below = 0
    for floor, count in sorted(histogram.items()):
        below += count
        if 2 * below >= sum(histogram.values()):
            return floor
    raise AssertionError


def sources(segment: str) -> dict[str, Source]:
    with k4.open(segment) as reader:
        return {source.name: source for source in reader.sources}


@pytest.mark.alone
def test_who_is_behind_is_seen_by_how_much(tmp_path: Path, shm: Path, headers: Path, native: Native) -> None:
    """The faster one wins everything, the slower one brings all of it again 20 ms later; nothing is missing or late."""
    del native  # compiled by then
    program = compile_c("segment_sources", tmp_path, headers)
    entry = {
        "name": "main",
        "exchange": "binance",
        "product": "spot",
        "symbols": ["FOOBAR", "BARBAZ"],
        "records": list(RECORDS),
        "shm": {record: f"main_{record}" for record in RECORDS},
        "redundancy": {"connections": 2},
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"connections": [entry], "log": {"dir": str(tmp_path / "log")}}))
    stage = Stage(tmp_path)
    with stage.running("sim", config, "--listen", "127.0.0.1:0", "--rate", str(RATE), "--delay", f"0,{BEHIND_MS}") as said:
        wait_for(lambda: "listening on" in said.read_text(), "the simulator")
        found = re.search(r"listening on (\S+):", said.read_text())
        assert found is not None
        with stage.running("run", config, "--sim", found[1]):
            wait_for(lambda: (shm / "k4.main_trade").exists() and {*sources("main_trade")} == {"main#0", "main#1"}, "the segments")
            wait_for(lambda: all(one.wins + one.duplicates > 3 for one in sources("main_trade").values()), "both connections")
            time.sleep(0.5)
            before = {record: sources(f"main_{record}") for record in RECORDS}
            time.sleep(6)
            after = {record: sources(f"main_{record}") for record in RECORDS}
        # Ended, so that what C and Python read now is the same.
        for record in RECORDS:
            slow, fast = sorted(after[record], key=lambda name: after[record][name].wins)
            judge(before[record], after[record], slow, fast)
            in_c = read_in_c(program, f"main_{record}", stage)
            for name, source in sources(f"main_{record}").items():
                assert in_c[name].transport == source.transport == "json"
                assert in_c[name].counts == (source.wins, source.duplicates, source.gaps, source.late)
                assert (middle(in_c[name].lag) if in_c[name].lag else None) == source.lag_p50_ns
                assert (middle(in_c[name].lead) if in_c[name].lead else None) == source.lead_p50_ns
            peak = max(in_c[slow].lag, key=lambda floor: in_c[slow].lag[floor])
            assert 0.875 * BEHIND_MS <= peak / 1e6 <= 1.25 * BEHIND_MS, (record, in_c[slow].lag)
            assert sum(in_c[slow].lag.values()) <= in_c[slow].counts[1]
            assert sum(in_c[fast].lead.values()) == sum(in_c[slow].lag.values()), "with two, whoever is behind is the runner-up"


def judge(before: Mapping[str, Source], after: Mapping[str, Source], slow: str, fast: str) -> None:
    won = after[fast].wins - before[fast].wins
    assert won > 40, after
    assert after[slow].wins == before[slow].wins, "everything by the faster one"
    assert after[fast].duplicates == before[fast].duplicates
    # What is on its way at either moment.
    assert abs(after[slow].duplicates - before[slow].duplicates - won) <= 4, after
    assert all(source.gaps == source.late == 0 for source in after.values()), after
    slow_lag, fast_lead = after[slow].lag_p50_ns, after[fast].lead_p50_ns
    assert slow_lag is not None
    assert fast_lead is not None
    assert 0.875 * BEHIND_MS <= slow_lag / 1e6 <= 1.25 * BEHIND_MS, after
    assert 0.875 * BEHIND_MS <= fast_lead / 1e6 <= 1.25 * BEHIND_MS, after
