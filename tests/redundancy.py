"""One of two connections in trouble under load: is every update published, once, in order, and as soon as by a connection without trouble?

    python -m tests.redundancy --rate 20000 --seconds 30          # the whole figure; `tests/test_redundancy.py` runs a small one

A venue in a process of its own tells one load to three connections: two of the group `pair`, to which everything happens in turn, and one
of the group `alone`, which is left in peace and shows what the surviving connection sees. `k4 run` feeds each group, and a reader per group
notes every record. What is expected is read from the bytes that the venue wrote, with a JSON parser of its own.

Where that is allowed everything runs in a network namespace, in which the kernel can be told to lose one connection's packets.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

import k4
from k4 import native
from k4.config import load_reported
from k4.errors import K4Error
from k4.sim import pace
from k4.sim.command import desks
from k4.sim.order import parse
from k4.sim.server import Simulator
from tests.theatre import Stage, wait_for

ROOT = Path(__file__).resolve().parent.parent
SYMBOLS = ("FOOBAR", "BARFOO", "FOOBAZ", "BAZBAR")
IDS = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id"}
WIRE = {"bookTicker": ("bbo", "u"), "trade": ("trade", "t"), "aggTrade": ("aggtrade", "a")}  # the venue's words, for the oracle
LATE = 1 << 3
SETTLE_S = 1.5  # for the last trouble to be over
LOOSE_S = 0.3  # of the run's ends, where a reader or the venue may not have been there yet


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one of the two again and again. `order`: as `--fault` has it, with `{place}` for the connection; "": nothing.

    `every_s`: at the quickest; it must leave time to recover, for two connections in trouble at a time lose data.
    """

    name: str
    order: str
    every_s: float = 1.2


TROUBLES = (
    Trouble("none", ""),
    Trouble("cut", "cut@conn={place},times=1"),
    Trouble("killed", "reset@conn={place},times=1"),
    Trouble("stalled", "stall@conn={place},for=1.9,times=1", 2.5),
    Trouble("slow", "slow@conn={place},rate=20000,for=0.8,times=1", 1.5),
    Trouble("corrupted", "corrupt@conn={place},share=0.0002,for=0.5,times=1", 1.5),
    Trouble("shut down", "shutdown-notice@conn={place},grace=0.8,times=1", 1.8),
    Trouble("ended by age", "age-limit@conn={place},times=1"),
    Trouble("closed door", "accept-close@conn={place},times=2", 1.5),
    Trouble("blackholed", "blackhole", 2.5),
)


# --------------------------------------------------------------------------- the venue


class Venue:
    """The simulator, told by lines on standard input what goes wrong. At its end it writes what it has said, and when."""

    def __init__(self, config: Path, rate: float) -> None:
        built = native.load()
        served = desks(load_reported(config, built.exchanges), built, seed=7)
        self.simulator = Simulator(served, load=1.0)
        (self.pace,) = self.simulator.paces
        messages = self.pace.desk.venue.messages
        asked = [
            one for one in self.pace.reel.messages if messages[one.stream.message].record in IDS and messages[one.stream.message].order
        ]
        self.pace._rate = rate * len(self.pace.reel.messages) / len(asked)
        self.told: list[tuple[int, pace.Track, int, int, int]] = []
        self.turn = 0

    async def run(self, out: Path) -> None:
        tell = pace.Track.tell

        def noted(track: pace.Track, number: int, start: int, end: int, now: float) -> None:
            self.told.append((time.time_ns(), track, number, start, end))
            tell(track, number, start, end, now)

        pace.Track.tell = noted  # type: ignore[method-assign, assignment]
        say(port=await self.simulator.start("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue()

        def listen() -> None:
            for line in itertools.chain(sys.stdin, [""]):
                loop.call_soon_threadsafe(lines.put_nowait, line)

        threading.Thread(target=listen, daemon=True).start()
        while line := (await lines.get()).strip():
            say(**self.do(line))
        self.pace._rate = 0.0
        await asyncio.sleep(0.2)
        told = [*self.told]
        await self.simulator.close()
        keep(out, expected(told))

    def do(self, line: str) -> dict[str, Any]:
        saboteur = self.simulator.saboteur
        if line == "calm":
            saboteur.clear()
        elif line != "look":
            others = sorted(client.place for client in self.simulator.clients if client.place)
            self.turn += 1
            place = others[self.turn % len(others)]
            if line.startswith("blackhole"):
                (client,) = (client for client in self.simulator.clients if client.place == place)
                sock = client.peer.below()
                assert sock is not None
                with sock:
                    return {"port": sock.getpeername()[1]}
            if line.startswith("accept-close"):
                self.simulator.drop(next(client.number for client in self.simulator.clients if client.place == place))
            saboteur.add(parse(line.format(place=place)))
        return {"clients": len(self.simulator.clients)}


def expected(told: Sequence[tuple[int, pace.Track, int, int, int]]) -> dict[str, npt.NDArray[Any]]:
    """Per record what was said, in order: symbol, id and time. Ids are read from the bytes of two rounds, and held against a third."""
    parts: list[npt.NDArray[Any]] = []
    read: dict[pace.Track, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}
    for at_ns, track, number, start, end in told:
        if track not in read:
            first, second = spoken(track, 0), spoken(track, 1)
            read[track] = first, second[:, 2] - first[:, 2]
            assert (spoken(track, number)[:, 2] == first[:, 2] + read[track][1] * number).all(), "ids go up by the same each round"
        frames, step = read[track]
        some = slice(*np.searchsorted(track._positions, (start, end)))
        rows = np.empty((len(frames[some]), 4), dtype=np.int64)
        rows[:, :2] = frames[some, :2]
        rows[:, 2] = frames[some, 2] + step[some] * number
        rows[:, 3] = at_ns
        parts.append(rows)
    whole = np.concatenate(parts)
    return {record: whole[whole[:, 0] == n, 1:] for n, record in enumerate(IDS)}


def spoken(track: pace.Track, number: int) -> npt.NDArray[Any]:
    """Record, symbol and id of every frame of a round."""
    data, starts = track.lap.bytes_of(number), track.lap.starts
    rows = []
    for start, end in itertools.pairwise(starts):
        frame = data[start:end]
        message = orjson.loads(frame[frame.index(b"{") :])
        record, key = WIRE[message["stream"].split("@")[1]]
        rows.append((list(IDS).index(record), SYMBOLS.index(message["data"]["s"]), message["data"][key]))
    return np.array(rows, dtype=np.int64)


def keep(file: Path, tables: Mapping[str, npt.NDArray[Any]]) -> None:
    np.savez(file, **tables)  # type: ignore[arg-type]  # numpy takes its own switch for one of the names


def say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


# --------------------------------------------------------------------------- the reader


def read(group: str, out: Path) -> None:
    """Notes every record of a group's segments until standard input ends."""
    readers = {record: k4.open(f"{group}_{record}") for record in IDS}
    names = {record: [symbol.symbol for symbol in reader.symbols] for record, reader in readers.items()}
    found: dict[str, list[npt.NDArray[Any]]] = {record: [] for record in IDS}
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    say(ready=True)
    while True:
        last = ended.is_set()
        for record, reader in readers.items():
            while True:
                some = reader.drain(8192)
                assert not isinstance(some, k4.Lost), f"{group} {record}: the reader was lapped"
                if not len(some):
                    break
                columns = [some[name].astype(np.int64) for name in ("instrument", IDS[record], "recv_ns", "flags", "source")]
                found[record].append(np.stack(columns, axis=1))
        if last:
            break
        time.sleep(0.01)
    whole = {}
    for record, parts in found.items():
        table = np.concatenate(parts) if parts else np.empty((0, 5), dtype=np.int64)
        table[:, 0] = np.array([SYMBOLS.index(name) for name in names[record]])[table[:, 0]]
        whole[record] = table
    keep(out, whole)


# --------------------------------------------------------------------------- the run


@dataclass
class Figure:
    """What came of one trouble, over all records of the time it took. Delays: from the venue's write to the read that won, in ms."""

    name: str
    times: int = 0
    said: int = 0
    missed: dict[str, int] = field(default_factory=dict)
    twice: int = 0
    disordered: int = 0
    late: int = 0
    invented: int = 0
    pair_p50: float = 0.0
    pair_p99: float = 0.0
    alone_p50: float = 0.0
    alone_p99: float = 0.0
    alone_missed: int = 0


@contextmanager
def process(*words: str | Path, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.redundancy", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        try:
            yield made
        finally:
            pipe(made.stdin).close()
            made.wait(120)
    assert made.returncode == 0, words


def pipe(file: IO[str] | None) -> IO[str]:
    assert file is not None
    return file


def ask(of: subprocess.Popen[str], line: str = "") -> dict[str, Any]:
    """Says a line, if there is one, and takes the answer."""
    if line:
        pipe(of.stdin).write(line + "\n")
        pipe(of.stdin).flush()
    answer = pipe(of.stdout).readline()
    assert answer, "it has ended"
    found: dict[str, Any] = json.loads(answer)
    return found


def entry(group: str, connections: int) -> dict[str, Any]:
    return {
        "name": group,
        "exchange": "binance",
        "product": "spot",
        "symbols": list(SYMBOLS),
        "records": list(IDS),
        "shm": {record: f"{group}_{record}" for record in IDS},
        "redundancy": {"connections": connections},
    }


def run(folder: Path, rate: float, seconds: float, troubles: Sequence[Trouble]) -> list[Figure]:
    """Every trouble for `seconds`, one after the other."""
    (folder / "shm").mkdir()
    env = {**os.environ, "K4_SHM_DIR": str(folder / "shm")}
    os.environ["K4_SHM_DIR"] = env["K4_SHM_DIR"]
    alone_stage, alone_config = prepare(folder, "alone", 1, env)
    windows: list[tuple[Trouble, int, int, int]] = []
    with process("venue", alone_config, str(rate), folder / "said.npz", env=env) as venue:
        words = ("--sim", f"127.0.0.1:{ask(venue)['port']}")
        with alone_stage.running("run", alone_config, *words):
            wait_for(lambda: ask(venue, "look")["clients"] == 1, "the connection of alone")
            for n, trouble in enumerate(troubles):  # each with a pair that has had none before: patience grows with trouble
                stage, config = prepare(folder, f"pair{n}", 2, env)
                with stage.running("run", config, *words), reading("alone", folder / f"alone{n}.npz", env):
                    wait_for(lambda: ask(venue, "look")["clients"] == 3, "both connections")
                    with reading(f"pair{n}", folder / f"pair{n}.npz", env):
                        time.sleep(LOOSE_S)
                        began = time.time_ns()
                        times = afflict(venue, trouble, seconds)
                        wait_for(lambda: ask(venue, "look")["clients"] == 3, f"both connections after {trouble.name}", 40)
                        time.sleep(SETTLE_S)
                        windows.append((trouble, times, began, time.time_ns()))
                        time.sleep(LOOSE_S)
        pipe(venue.stdin).close()
        venue.wait(120)
    said = dict(np.load(folder / "said.npz"))
    found = []
    for n, (trouble, times, began, ended) in enumerate(windows):
        pair, alone = (dict(np.load(folder / f"{group}{n}.npz")) for group in ("pair", "alone"))
        found.append(judge(Figure(trouble.name, times), said, pair, alone, began, ended))
    return found


def prepare(folder: Path, group: str, connections: int, env: dict[str, str]) -> tuple[Stage, Path]:
    """A folder for a run of its own, and the configuration in it."""
    own = folder / group
    own.mkdir()
    config = own / "config.json"
    config.write_text(json.dumps({"connections": [entry(group, connections)], "log": {"dir": str(own / "log")}}))
    return Stage(own, env), config


@contextmanager
def reading(group: str, out: Path, env: dict[str, str]) -> Iterator[None]:
    """A reader of a group's segments, once all have records."""
    wait_for(lambda: all(live(f"{group}_{record}") for record in IDS), "records of all kinds")
    with process("read", group, out, env=env) as reader:
        assert ask(reader) == {"ready": True}
        yield


def live(segment: str) -> bool:
    try:
        with k4.open(segment) as reader:
            return reader.info.head > 20 and all(symbol.state == "LIVE" for symbol in reader.symbols)
    except K4Error:
        return False


def afflict(venue: subprocess.Popen[str], trouble: Trouble, seconds: float) -> int:
    """How often it happened."""
    until = time.monotonic() + seconds
    every = max(trouble.every_s, min(10.0, seconds / 3))
    times = 0
    while trouble.order and time.monotonic() < until:
        wait_for(lambda: ask(venue, "look")["clients"] == 3, "both connections", 40)
        time.sleep(LOOSE_S)
        answer = ask(venue, trouble.order)
        times += 1
        if trouble.order == "blackhole":
            with blackhole(answer["port"]):
                time.sleep(2.0)
        time.sleep(min(every, max(trouble.every_s, until - time.monotonic())))
    time.sleep(max(0.0, until - time.monotonic()))
    ask(venue, "calm")
    return times


@contextmanager
def blackhole(port: int) -> Iterator[None]:
    """The kernel loses what goes from and to this port, without a word to anyone."""
    rules = [["pref", "5", "blackhole", "ipproto", "tcp", way, str(port)] for way in ("sport", "dport")]
    for rule in rules:
        subprocess.run(["ip", "rule", "add", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["ip", "rule", "del", *rule], check=True)


# --------------------------------------------------------------------------- the judgement

Tables = dict[str, npt.NDArray[Any]]


def judge(figure: Figure, said: Tables, pair: Tables, alone: Tables, began: int, ended: int) -> Figure:
    delays: dict[str, list[npt.NDArray[Any]]] = {"pair": [], "alone": []}
    for record in IDS:
        for symbol in range(len(SYMBOLS)):
            told = said[record][said[record][:, 0] == symbol]
            ids, times = told[:, 1], told[:, 2]
            assert (np.diff(ids) > 0).all(), "the venue's own ids rise"
            inside = (times >= began) & (times < ended)
            wanted = ids[inside]
            figure.said += len(wanted)
            for name, tables in (("pair", pair), ("alone", alone)):
                own = tables[record][tables[record][:, 0] == symbol]
                own = own[(own[:, 1] >= wanted[0]) & (own[:, 1] <= wanted[-1])]
                lost = len(np.setdiff1d(wanted, own[:, 1]))
                at = np.searchsorted(ids, own[:, 1])
                at[at == len(ids)] = 0
                delays[name].append(own[:, 2] - times[at])
                if name == "alone":
                    figure.alone_missed += lost
                    continue
                figure.missed[record] = figure.missed.get(record, 0) + lost
                figure.twice += len(own) - len(np.unique(own[:, 1]))
                figure.invented += len(np.setdiff1d(own[:, 1], ids))
                late = own[:, 3] & LATE != 0
                figure.late += int(late.sum())
                figure.disordered += int((np.diff(own[~late][:, 1]) <= 0).sum())
    for name, found in delays.items():
        whole = np.concatenate(found) / 1e6
        setattr(figure, f"{name}_p50", float(np.percentile(whole, 50)))
        setattr(figure, f"{name}_p99", float(np.percentile(whole, 99)))
    return figure


def table(figures: Sequence[Figure]) -> str:
    lines = [
        "| one of two connections is | times | updates | missed: quotes, trades, aggregated | twice | out of order | late | p50, p99 of the pair, ms | of the one in peace, ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        missed = ", ".join(str(one.missed[record]) for record in IDS)
        pair, alone = f"{one.pair_p50:.2f}, {one.pair_p99:.2f}", f"{one.alone_p50:.2f}, {one.alone_p99:.2f}"
        lines.append(
            f"| {one.name} | {one.times} | {one.said:,} | {missed} | {one.twice} | {one.disordered} | {one.late} | {pair} | {alone} |"
        )
    return "\n".join(lines) + "\n"


# --------------------------------------------------------------------------- the namespace


def namespace() -> list[str] | None:
    """The command in front of one that is to run in a network namespace of its own; None: that is not to be had here."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    # The rule that is looked at first must not be the one that finds every local address.
    steps = "ip link set lo up && ip rule add pref 10 lookup local && ip rule del pref 0"
    command = ["unshare", "--net", "sh", "-c", f'{steps} && exec "$@"', "sh"]
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if done.returncode == 0 else None


def figures(rate: float, seconds: float, names: Sequence[str] | None = None) -> list[Figure]:
    """Runs `troubles` by name, all if None; in a namespace where that can be had, and without `blackholed` where not."""
    chosen = [trouble for trouble in TROUBLES if names is None or trouble.name in names]
    inside = namespace()
    if inside is None:
        chosen = [trouble for trouble in chosen if trouble.order != "blackhole"]
    with tempfile.TemporaryDirectory(prefix="k4-redundancy-") as folder:
        out = Path(folder) / "figures.json"
        words = ["inside", folder, str(rate), str(seconds), *(trouble.name for trouble in chosen)]
        subprocess.run([*(inside or []), sys.executable, "-m", "tests.redundancy", *words], cwd=ROOT, check=True)
        return [Figure(**one) for one in json.loads(out.read_text())]


def main() -> int:
    match sys.argv[1:]:
        case ["venue", config, rate, out]:
            asyncio.run(Venue(Path(config), float(rate)).run(Path(out)))
        case ["read", group, out]:
            read(group, Path(out))
        case ["inside", folder, rate, seconds, *names]:
            chosen = [trouble for trouble in TROUBLES if trouble.name in names]
            found = run(Path(folder), float(rate), float(seconds), chosen)
            (Path(folder) / "figures.json").write_text(json.dumps([vars(one) for one in found]))
        case _:
            parser = argparse.ArgumentParser(prog="python -m tests.redundancy", description="One of two connections in trouble under load.")
            parser.add_argument("--rate", type=float, default=20_000, help="updates a second (20000)")
            parser.add_argument("--seconds", type=float, default=30, help="of each trouble (30)")
            parser.add_argument("--trouble", action="append", choices=[trouble.name for trouble in TROUBLES], help="only this; repeatable")
            given = parser.parse_args()
            if namespace() is None:
                print("not run: blackholed, which needs unshare and ip (Debian packages util-linux, iproute2) and the right to a namespace")
            sys.stdout.write(table(figures(given.rate, given.seconds, given.trouble)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
