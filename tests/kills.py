"""A worker that is killed again and again under load: do readers that stay attached go on, and is what they read and lose exact?

    python -m tests.kills --kills 50 --rate 10000            # the whole figure; `tests/test_kills.py` runs a small one

`k4 run` feeds one group over two connections from a venue in a process of its own (tests/redundancy.py), whose every id is known. The
worker is killed (SIGKILL) at random moments, three times soon after it is back and then once after it has run well. Attached all the time,
never opened anew: for each segment a reader in C that waits asleep (tests/c/segment_reader.c), one more in C that looks so rarely that it
is lapped, and one in Python.

Measured per kill: how soon sleeping readers are told WRITER_GONE, how long the supervisor waits, and how long it is from the start of the
new process to the first record that a reader has in its hands, of each kind of record; besides, the same without the time in which the new
process was ready to run and others had the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import k4
from k4.segments import WriterGoneError
from tests.redundancy import IDS, SYMBOLS, ask, entry, live, pipe, prepare, process, say
from tests.segments import compile_c, write_headers
from tests.theatre import wait_for

ROOT = Path(__file__).resolve().parent.parent
GROUP = "kills"
RING_SLOTS = 4096
WELL_S = 10.0  # after so long a worker has run well: the supervisor's wait is the first one again (k4/keeper.py)
SOON = 3  # kills soon after the worker is back, then one after it has run well
RECORD, LOST, GONE = 1, 2, 3
GAP, LATE, RESTART = 1 << 0, 1 << 3, 1 << 7

Rows = npt.NDArray[np.void]  # of ROW
ROW = np.dtype([(name, "<i8") for name in ("what", "sequence", "last", "instrument", "id", "flags", "recv_ns", "read_ns")])


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. Times in ns since 1970."""

    killed_ns: int
    started_ns: int  # of the new process, as the kernel has it: exact to 10 ms, never too late
    queued_ns: int  # so long the new process waited for a processor until it had published


@dataclass
class Report:
    """What came of it. Times in ms, one for each kill (and segment)."""

    kills: list[Kill]
    read: int = 0
    lost_ranges: int = 0
    lost: int = 0
    missed: int = 0  # said while no worker was connected
    wrong: list[str] = field(default_factory=list)  # findings; none: all is as promised
    waits: list[float] = field(default_factory=list)  # from the kill to the new process
    firsts: list[float] = field(default_factory=list)  # from there to the first new record of each segment, read
    undisturbed: list[float] = field(default_factory=list)  # the same without what the new process waited for a processor
    gones: list[float] = field(default_factory=list)  # from the kill until a sleeping reader is told
    wakes: list[float] = field(default_factory=list)  # from the receipt of a first new record until a sleeping reader has it

    def __str__(self) -> str:
        lines = [
            f"{len(self.kills)} kills, {len(self.wrong)} wrong; {self.read:,} records read by sleeping readers; a slow one lost {self.lost:,} in {self.lost_ranges} ranges; {self.missed:,} updates told while nobody was connected"
        ]
        for what, found in (
            ("kill to WRITER_GONE at a sleeping reader", self.gones),
            ("kill to start of the new process (the supervisor's wait)", self.waits),
            ("start of the new process to the first record read, each segment", self.firsts),
            ("the same without its waits for a processor that others had", self.undisturbed),
            ("receipt of that record to its reader awake with it", self.wakes),
        ):
            lines.append(f"  {what}, ms: median {np.median(found):.0f}, worst {max(found):.0f}")
        return "\n".join([*lines, *(f"  WRONG: {one}" for one in self.wrong[:20])]) + "\n"


# --------------------------------------------------------------------------- the readers


@contextmanager
def attached(*command: str | Path, env: dict[str, str]) -> Iterator[None]:
    """A reader that is there; at the end it reads what is left."""
    with subprocess.Popen([*map(str, command)], cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        assert pipe(made.stdout).readline().strip() in {"ready", '{"ready": true}'}
        yield
        pipe(made.stdin).close()
        made.wait(60)
    assert made.returncode == 0, command


def listen(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def read(segment: str, out: Path) -> None:
    """The reader in Python: iterates, and iterates again when it is told that the writer is gone."""
    ended = threading.Event()
    threading.Thread(target=listen, args=(ended,), daemon=True).start()
    rows: list[tuple[int | None, ...]] = []
    with k4.open(segment) as reader:
        key = IDS[reader.kind.word]
        say(ready=True)
        while not ended.is_set():
            try:
                for item in reader:
                    if isinstance(item, k4.Lost):
                        rows.append((LOST, item.first, item.last, 0, 0, 0, 0, time.time_ns()))
                    else:
                        identity = (item.instrument, getattr(item, key), int(item.flags), item.recv_ns)
                        rows.append((RECORD, item.sequence, item.sequence, *identity, time.time_ns()))
                    if ended.is_set():
                        break
            except WriterGoneError:
                rows.append((GONE, reader.position, reader.position, 0, 0, 0, 0, time.time_ns()))
    np.array(rows, dtype=ROW).tofile(out)


# --------------------------------------------------------------------------- the run


def run(folder: Path, kills: int, rate: float, seed: int) -> Report:
    """`kills` kills under `rate` updates a second."""
    (folder / "shm").mkdir()
    env = {**os.environ, "K4_SHM_DIR": str(folder / "shm")}
    os.environ["K4_SHM_DIR"] = env["K4_SHM_DIR"]
    stage, config = prepare(folder, GROUP, 2, env)
    told = json.loads(config.read_text())
    told["connections"] = [entry(GROUP, 2) | {"ring_slots": RING_SLOTS}]
    config.write_text(json.dumps(told))
    write_headers(folder)
    program = compile_c("segment_reader", folder, folder)
    nap_ms = int(4 * RING_SLOTS / rate * 1000)  # a third of the updates at least are quotes
    segments = {record: f"{GROUP}_{record}" for record in IDS}
    with process("venue", config, str(rate), folder / "said.npz", env=env) as venue:
        with stage.running("run", config, "--sim", f"127.0.0.1:{ask(venue)['port']}"):
            wait_for(lambda: all(live(segment) for segment in segments.values()), "records of all kinds", 60)
            names = {record: [symbol.symbol for symbol in k4.open(segment).symbols] for record, segment in segments.items()}
            counted = {record: gaps(segment) for record, segment in segments.items()}
            with ExitStack() as stack:
                for record, segment in segments.items():
                    stack.enter_context(attached(program, segment, "0", folder / f"{record}.rows", env=env))
                stack.enter_context(attached(program, segments["bbo"], str(nap_ms), folder / "slow.rows", env=env))
                stack.enter_context(
                    attached(sys.executable, "-m", "tests.kills", "read", segments["trade"], folder / "python.rows", env=env)
                )
                found = [kill(segments, n, random.Random(seed + n)) for n in range(kills)]
                time.sleep(1.0)
            counted = {record: gaps(segment) - counted[record] for record, segment in segments.items()}
        pipe(venue.stdin).close()
        venue.wait(300)
    said = dict(np.load(folder / "said.npz"))
    tables = {name: np.fromfile(folder / f"{name}.rows", dtype=ROW) for name in (*IDS, "slow", "python")}
    return judge(Report(found), said, tables, names, counted)


def kill(segments: dict[str, str], n: int, chance: random.Random) -> Kill:
    """Kills the worker at a random moment, and waits until all segments have records of its successor."""
    time.sleep(chance.uniform(0.05, 2.0) + (WELL_S if n % (SOON + 1) == SOON else 0.0))
    with ExitStack() as stack:
        readers = [stack.enter_context(k4.open(segment)) for segment in segments.values()]
        pid = readers[0].info.writer_pid
        os.kill(pid, signal.SIGKILL)
        killed_ns = time.time_ns()
        wait_for(lambda: all(one.info.writer_pid != pid and one.info.writer == "alive" for one in readers), "a new worker", 60)
        pid = readers[0].info.writer_pid
        started_ns = start_of(pid)
        heads = [one.info.head for one in readers]
        wait_for(lambda: all(one.info.head > head for one, head in zip(readers, heads, strict=True)), "new records", 60)
        queued_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return Kill(killed_ns, started_ns, queued_ns)


def start_of(pid: int) -> int:
    """When a process was started, ns since 1970."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def gaps(segment: str) -> int:
    """What the segment's source table counts as missing in the end."""
    with k4.open(segment) as reader:
        return sum(source.gaps - source.late for source in reader.sources)


# --------------------------------------------------------------------------- the judgement


def judge(
    report: Report, said: dict[str, npt.NDArray[Any]], tables: dict[str, Rows], names: dict[str, list[str]], counted: dict[str, int]
) -> Report:
    # A new worker's first record comes later than this after its start, and its predecessor was dead before it.
    edges = np.array([kill.started_ns + 10_000_000 for kill in report.kills])
    report.waits = [(one.started_ns - one.killed_ns) / 1e6 for one in report.kills]
    for record in IDS:
        rows = tables[record]
        whole(report, record, rows)
        times(report, rows)
        if (rows["what"] == LOST).any():
            report.wrong.append(f"{record}: the sleeping reader was lapped")
            continue
        taken = rows[rows["what"] == RECORD]
        report.read += len(taken)
        missed = 0
        for instrument, symbol in enumerate(names[record]):
            own = taken[taken["instrument"] == instrument]
            told = said[record][said[record][:, 0] == SYMBOLS.index(symbol)][:, 1]
            missed += updates(report, f"{record} {symbol}", own, told, edges)
        report.missed += missed
        # Ids of trades step by one, so that what is missing is counted where readers see it.
        if record != "bbo" and counted[record] != missed:
            report.wrong.append(f"{record}: {missed} missed, but {counted[record]} counted as gaps in the source table")
    whole(report, "python", tables["python"])
    same(report, "python", tables["python"], tables["trade"])
    slow(report, tables["slow"], tables["bbo"])
    return report


def whole(report: Report, name: str, rows: Rows) -> None:
    """Every sequence was read or reported lost, once, in order."""
    kept = rows[rows["what"] != GONE]
    if (kept["sequence"][1:] != kept["last"][:-1] + 1).any():
        report.wrong.append(f"{name}: sequences are left out or come twice")
    # Each before the next; how soon is told in the report.
    seen = np.searchsorted([one.killed_ns for one in report.kills], rows[rows["what"] == GONE]["read_ns"], side="right")
    untold = sorted(set(range(1, len(report.kills) + 1)) - set(seen.tolist()))
    if name != "slow" and untold:
        report.wrong.append(f"{name}: kill {untold[0] - 1} was not told as WRITER_GONE")


def times(report: Report, rows: Rows) -> None:
    for one in report.kills:
        gone = rows[(rows["what"] == GONE) & (rows["read_ns"] >= one.killed_ns)]
        first = rows[(rows["what"] == RECORD) & (rows["recv_ns"] > one.started_ns)][:1]
        report.gones += [(int(found) - one.killed_ns) / 1e6 for found in gone["read_ns"][:1]]
        report.firsts += [(int(found) - one.started_ns) / 1e6 for found in first["read_ns"]]
        report.undisturbed += [(int(found) - one.started_ns - one.queued_ns) / 1e6 for found in first["read_ns"]]
        report.wakes += [int(found) / 1e6 for found in first["read_ns"] - first["recv_ns"]]


def updates(report: Report, name: str, own: Rows, told: npt.NDArray[Any], edges: npt.NDArray[Any]) -> int:
    """One instrument's updates against what the venue said. Returns how many are missing, all of them from between two workers."""
    ids = own["id"]
    if len(np.unique(ids)) != len(ids):
        report.wrong.append(f"{name}: {len(ids) - len(np.unique(ids))} updates twice")
    if (np.diff(ids[own["flags"] & LATE == 0]) <= 0).any():
        report.wrong.append(f"{name}: out of order")
    epoch = np.searchsorted(edges, own["recv_ns"])
    if set(epoch) != set(range(len(edges) + 1)):
        report.wrong.append(f"{name}: no records of epochs {sorted(set(range(len(edges) + 1)) - set(epoch))}")
        return 0
    starts = np.flatnonzero(np.diff(epoch)) + 1
    if not np.array_equal(np.flatnonzero(own["flags"] & RESTART), starts):
        report.wrong.append(f"{name}: RESTART is not on the first record of each epoch alone")
    for number in range(len(edges) + 1):
        some = ids[epoch == number]
        wanted = told[(told >= some.min()) & (told <= some.max())]
        if not np.array_equal(np.sort(some), wanted):
            report.wrong.append(
                f"{name}: epoch {number}: {len(np.setdiff1d(wanted, some))} missed, {len(np.setdiff1d(some, wanted))} invented"
            )
    return len(told[(told > ids[0]) & (told < ids[-1])]) - (len(ids) - 2)


def same(report: Report, name: str, rows: Rows, other: Rows) -> None:
    """What both read is the same."""
    mine, theirs = (table[table["what"] == RECORD] for table in (rows, other))
    _, at, there = np.intersect1d(mine["sequence"], theirs["sequence"], return_indices=True)
    fields = ["instrument", "id", "flags", "recv_ns"]
    if not len(at) or any((mine[field][at] != theirs[field][there]).any() for field in fields):
        report.wrong.append(f"{name}: has other records than the reader beside it")


def slow(report: Report, rows: Rows, other: Rows) -> None:
    """A reader that is lapped loses what was overwritten, and no more: with the sequence that follows on a range the ring was full."""
    whole(report, "slow", rows)
    same(report, "slow", rows, other)
    lost = rows[rows["what"] == LOST]
    report.lost_ranges, report.lost = len(lost), int((lost["last"] - lost["sequence"] + 1).sum())
    if not len(lost):
        report.wrong.append("slow: never lapped")
    theirs = other[other["what"] == RECORD]
    at = np.searchsorted(theirs["sequence"], lost["last"] + RING_SLOTS - 1)
    if (at >= len(theirs)).any() or (theirs["recv_ns"][at] > lost["read_ns"]).any():
        report.wrong.append("slow: told as lost what was still there")


def figure(kills: int, rate: float, seed: int) -> Report:
    with tempfile.TemporaryDirectory(prefix="k4-kills-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        return run(Path(folder), kills, rate, seed)


def main() -> int:
    match sys.argv[1:]:
        case ["read", segment, out]:
            read(segment, Path(out))
            return 0
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description="A worker that is killed again and again under load.")
    parser.add_argument("--kills", type=int, default=50, help="how often (50)")
    parser.add_argument("--rate", type=float, default=10_000, help="updates a second (10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    given = parser.parse_args()
    report = figure(given.kills, given.rate, given.seed)
    sys.stdout.write(str(report))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
