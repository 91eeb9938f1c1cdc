"""A soak: four exchanges at once for as long as one likes. Does anything grow, is anything lost, does anything complain?

    python -m tests.soak --seconds 3600 --rate 50000          # an hour; `make soak`; `tests/test_soak.py` runs a short one

`k4 sim --load` tells N messages a second in all, `k4 run` takes them over two connections for each of four groups, each in a worker of its
own, with a fetcher beside them. A reader follows every segment. Each second the resident memory and the descriptors of the supervisor and
of each of its children are noted, and the state of every symbol. Gaps are counted after the warm-up: in it a connection may come up ahead
of a sibling that has a backlog, and what of a state is older than what that one brought is not published any more.

Flat is: after the warm-up no process's memory grows by more than `GROWTH_KIB` over the whole time, by the line fitted through all samples,
and each ends with as many descriptors as it began with. A fixed growth for any time: the longer the soak, the finer what it finds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import k4
from tests.kills import gaps, listen
from tests.redundancy import ask, pipe, say
from tests.theatre import Stage, wait_for

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_S = 15.0  # rings are full by then, and everything has been done once
GROWTH_KIB = 2048
RING_SLOTS = 4096
SYMBOLS = ("FOO", "BAR", "BAZ", "QUX")
# exchange, product, how it writes a symbol, records. One book of each kind: pushed, and of changes on fetched snapshots.
VENUES = (
    ("binance", "spot", "{}USDT", ("bbo", "trade", "aggtrade", "depth5", "depth20")),
    ("okx", "swap", "{}-USDT-SWAP", ("bbo", "trade", "depth5")),
    ("bitget", "spot", "{}USDT", ("bbo", "trade", "depth5")),
    ("bybit", "spot", "{}USDT", ("bbo", "trade", "depth5")),
)
ID = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id", "depth5": "update_id", "depth20": "update_id"}
LATE, HASHED = 1 << 3, 1 << 5
NAMED = {"GAP": 1 << 0, "RESET": 1 << 1, "LATE": LATE, "RESTART": 1 << 7, "SWITCH": 1 << 8}
LOAD = re.compile(r"k4 sim: ([0-9,]+) messages/s")


@dataclass
class Process:
    """One process over time. `rss_kib`: resident, what is shared included."""

    name: str
    pid: int
    at: list[float] = field(default_factory=list)
    rss_kib: list[int] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)

    def sample(self, now: float) -> None:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None, f"{self.name} has ended"
        self.at.append(now)
        self.rss_kib.append(int(found[1]))
        self.fds.append(sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def growth_kib(self) -> float:
        """Over the whole time, by the fitted line."""
        return float(np.polyfit(self.at, self.rss_kib, 1)[0]) * (self.at[-1] - self.at[0])

    def __str__(self) -> str:
        quarters = " ".join(f"{self.rss_kib[(len(self.at) - 1) * n // 4]:,}" for n in range(5))
        return f"{self.name}: {quarters} KiB, fitted growth {self.growth_kib:+,.0f} KiB; descriptors {self.fds[0]} to {self.fds[-1]}, at most {max(self.fds)}"


@dataclass
class Report:
    seconds: float
    processes: list[Process]
    heard: float = 0.0  # messages a second that the simulator told, both connections of each group together
    segments: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        records = sum(one["records"] for one in self.segments.values())
        lines = [
            f"{self.seconds:.0f} s, {self.heard:,.0f} messages/s over all connections, {records / self.seconds:,.0f} records/s published; {len(self.wrong)} wrong"
        ]
        lines += [f"  {one}" for one in self.processes]
        lines += [
            f"  {name}: {', '.join(f'{count:,} {what}' for what, count in one.items() if count)}" for name, one in self.segments.items()
        ]
        lines += [f"  warning in the log, {count} times: {what}" for what, count in self.warnings.items()]
        return "\n".join([*lines, *(f"  WRONG: {one}" for one in self.wrong)]) + "\n"


# --------------------------------------------------------------------------- the reader


class Follower:
    """One segment, read to the end of what there is again and again; counts what it sees and never keeps it."""

    def __init__(self, segment: str) -> None:
        self.reader = k4.open(segment)
        self.counts = Counter(dict.fromkeys(("records", "lost", "disordered", *NAMED), 0))
        self._key = ID[self.reader.kind.word]
        self._last: dict[int, int] = {}
        self._recent: npt.NDArray[Any] = np.empty(0, dtype=np.int64)

    def follow(self) -> None:
        while True:
            some = self.reader.drain(8192)
            if isinstance(some, k4.Lost):
                self.counts["lost"] += some.count
                continue
            if not len(some):
                return
            self.counts["records"] += len(some)
            flags = some["flags"].astype(np.int64)
            for name, bit in NAMED.items():
                self.counts[name] += int((flags & bit != 0).sum())
            self._order(some[flags & (LATE | HASHED) == 0])
            self._hashed(some[flags & HASHED != 0][self._key].astype(np.int64))

    def _order(self, some: npt.NDArray[Any]) -> None:
        """Ids rise for each instrument."""
        some = some[np.argsort(some["instrument"], kind="stable")]
        ids, of = some[self._key].astype(np.int64), some["instrument"]
        self.counts["disordered"] += int((np.diff(ids)[np.diff(of) == 0] <= 0).sum())
        for instrument in np.unique(of):
            own = ids[of == instrument]
            self.counts["disordered"] += int(own[0] <= self._last.get(int(instrument), -1))
            self._last[int(instrument)] = int(own[-1])

    def _hashed(self, ids: npt.NDArray[Any]) -> None:
        """Ids without an order come once, as far as the last batch tells."""
        if len(ids):
            both = np.concatenate([self._recent, ids])
            self.counts["disordered"] += len(both) - len(np.unique(both))
            self._recent = ids


def follow(segments: Sequence[str]) -> None:
    """Follows them until standard input ends."""
    ended = threading.Event()
    threading.Thread(target=listen, args=(ended,), daemon=True).start()
    followers = {segment: Follower(segment) for segment in segments}
    say(ready=True)
    while not ended.wait(0.02):
        for one in followers.values():
            one.follow()
    say(**{segment: dict(one.counts) for segment, one in followers.items()})


# --------------------------------------------------------------------------- the run


def configuration(folder: Path) -> Path:
    entries = [
        {
            "name": exchange,
            "exchange": exchange,
            "product": product,
            "symbols": [spelled.format(symbol) for symbol in SYMBOLS],
            "records": list(records),
            "shm": {record: f"{exchange}_{record}" for record in records},
            "ring_slots": RING_SLOTS,
            "symbol_capacity": 64,
            "redundancy": {"connections": 2},
        }
        for exchange, product, spelled, records in VENUES
    ]
    file = folder / "config.json"
    file.write_text(json.dumps({"connections": entries, "log": {"dir": str(folder / "log")}}))
    return file


def run(folder: Path, seconds: float, rate: float, warm_up_s: float = WARM_UP_S) -> Report:
    """`seconds` after the warm-up, at `rate` messages a second in all."""
    (folder / "shm").mkdir()
    os.environ["K4_SHM_DIR"] = str(folder / "shm")
    stage = Stage(folder)
    config = configuration(folder)
    segments = [f"{exchange}_{record}" for exchange, _, _, records in VENUES for record in records]
    with stage.running("sim", config, "--listen", "127.0.0.1:0", "--load", "--rate", str(rate / len(VENUES))) as said:
        wait_for(lambda: "listening on" in said.read_text(), "the simulator", 180)
        found = re.search(r"listening on (\S+):(\d+)", said.read_text())
        assert found is not None
        with stage.running("run", config, "--sim", f"{found[1]}:{found[2]}"):
            wait_for(lambda: not unwell(segments), lambda: f"live symbols: {unwell(segments)}", 180)
            time.sleep(warm_up_s)
            report = Report(seconds, processes(supervisor_of(segments[0])))
            missing = {segment: gaps(segment) for segment in segments}
            told = len(LOAD.findall(said.read_text()))
            watch(report, segments, seconds)
            heard = [float(number.replace(",", "")) for number in LOAD.findall(said.read_text())[told:]]
            report.heard = sum(heard) / max(1, len(heard))
            for segment, before in missing.items():
                if (more := gaps(segment) - before) != 0:
                    report.wrong.append(f"{segment}: {more} counted as gaps")
    complaints(report, folder / "log")
    return report


def watch(report: Report, segments: Sequence[str], seconds: float) -> None:
    """Samples every second while the follower reads."""
    command = [sys.executable, "-m", "tests.soak", "follow", *segments]
    unwell_at: Counter[str] = Counter()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as follower:
        assert ask(follower) == {"ready": True}
        began = time.monotonic()
        for n in range(int(seconds) + 1):
            time.sleep(max(0.0, began + n - time.monotonic()))
            for one in report.processes:
                one.sample(time.monotonic() - began)
            unwell_at.update(unwell(segments))
        pipe(follower.stdin).close()
        report.segments = ask(follower)
    report.wrong += [f"{symbol} for {count} s" for symbol, count in unwell_at.items()]
    flat(report)
    for segment, counts in report.segments.items():
        if not counts["records"]:
            report.wrong.append(f"{segment}: no records")
        # The reader's own laps are counted, and are no gaps of ours.
        report.wrong += [f"{segment}: {counts[what]} {what}" for what in ("disordered", *NAMED) if counts[what]]


def flat(report: Report) -> None:
    """Finds what grows."""
    for one in report.processes:
        if one.growth_kib > GROWTH_KIB:
            report.wrong.append(f"{one.name}: memory grew by {one.growth_kib:,.0f} KiB")
        if one.fds[-1] > one.fds[0]:
            report.wrong.append(f"{one.name}: descriptors went from {one.fds[0]} to {one.fds[-1]}")


def unwell(segments: Sequence[str]) -> list[str]:
    """The symbols that are not LIVE, and segments that are not there."""
    found = []
    for segment in segments:
        try:
            with k4.open(segment) as reader:
                found += [f"{segment} {one.symbol} {one.state}" for one in reader.symbols if one.state != "LIVE"]
        except k4.K4Error:
            found.append(f"{segment} is not there")
    return found


def supervisor_of(segment: str) -> int:
    """The parent of who writes a segment."""
    with k4.open(segment) as reader:
        return int(Path(f"/proc/{reader.info.writer_pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes(supervisor: int) -> list[Process]:
    """The supervisor and its children, by what they are."""
    writers: dict[int, str] = {}
    for exchange, _, _, records in VENUES:
        with k4.open(f"{exchange}_{records[0]}") as reader:
            writers[reader.info.writer_pid] = f"worker {exchange}"
    children = [int(pid) for file in Path(f"/proc/{supervisor}/task").glob("*/children") for pid in file.read_text().split()]
    return [Process("supervisor", supervisor), *(Process(writers.get(pid, "fetcher"), pid) for pid in sorted(children))]


def complaints(report: Report, folder: Path) -> None:
    """What the log of the run says: no errors; other warnings are told."""
    for file in folder.glob("*.log"):
        for line in file.read_text().splitlines():
            told = json.loads(line)
            if told["level"] == "error":
                report.wrong.append(f"log: {line[:300]}")
            elif told["level"] == "warning":
                where = told.get("connection", told.get("group", ""))
                report.warnings[f"{where}: {told['event']} ({told.get('reason', '')})"] += 1


def soak(seconds: float, rate: float, warm_up_s: float = WARM_UP_S) -> Report:
    with tempfile.TemporaryDirectory(prefix="k4-soak-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        return run(Path(folder), seconds, rate, warm_up_s)


def main() -> int:
    if sys.argv[1:2] == ["follow"]:
        follow(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Four exchanges at once for as long as one likes.")
    parser.add_argument("--seconds", type=float, default=3600, help="after the warm-up (3600)")
    parser.add_argument("--rate", type=float, default=50_000, help="messages a second, over all exchanges (50000)")
    given = parser.parse_args()
    report = soak(given.seconds, given.rate)
    sys.stdout.write(str(report))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
