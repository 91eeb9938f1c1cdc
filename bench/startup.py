"""How long commands and a start take, and what a worker occupies. Wall clock, as a user waits; processor time beside it.

Everything happens in folders of its own: caches, segments and certificates are made anew. May import `k4` and what stands in bench.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.tools import ROOT, BenchError, Figure, command, run, spread

K4 = (sys.executable, "-m", "k4")
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"]
PATIENCE_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Runs and prints."""
    return command("startup", __doc__, arguments, measure, rounds=5)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Commands first, then a whole start against the simulator."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(dir="/dev/shm") as segments:
        folder = Path(name)
        os.environ.update({"XDG_CACHE_HOME": str(folder / "cache"), "K4_SHM_DIR": segments, "PYTHONPATH": str(ROOT)})
        out = _timed("k4 --help", [*K4, "--help"], options.rounds, 150)
        out += _timed("  an empty Python", [sys.executable, "-c", ""], options.rounds)
        out += _timed("import k4", [sys.executable, "-c", "import k4"], options.rounds)
        out += _timed("k4 codegen, all of it", [*K4, "codegen"], 1, 15000)
        out += _timed("k4 codegen, a spec more", [*K4, "codegen", "--spec", str(_spec(folder))], 1)
        out += _timed("k4 codegen, nothing to do", [*K4, "codegen"], options.rounds, 300)
        firsts, processors, sizes = [], [], []
        with _simulator(folder) as (config, port):
            for _ in range(options.rounds):
                first, processor, size = _start(config, port, Path(segments))
                firsts.append(first)
                processors.append(processor)
                sizes.append(size)
        out.append(spread("first record after start", "ms", firsts, 1500))
        out.append(spread("first record after start (processor)", "ms", processors))
        return [*out, spread("worker beside its segments", "MB", sizes, 60)]


def _timed(name: str, words: Sequence[str], rounds: int, goal: float | None = None) -> list[Figure]:
    """Wall clock and processor time of a command, ms."""
    wall, processor = [], []
    for _ in range(rounds):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        run(words)
        wall.append(1000 * (time.perf_counter() - begun))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return [spread(name, "ms", wall, goal), spread(f"{name} (processor)", "ms", processor)]


def _spec(folder: Path) -> Path:
    """A folder with a venue that is not built in."""
    made = folder / "specs"
    made.mkdir()
    shutil.copyfile(ROOT / "tests/cases/specs/nova.toml", made / "nova.toml")
    return made


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[tuple[Path, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    records = ["bbo", "trade", "aggtrade", "depth5"]
    entry = {"name": "main", "exchange": "binance", "product": "spot", "symbols": SYMBOLS, "records": records}
    config = folder / "config.json"
    config.write_text(json.dumps({"connections": [entry], "log": {"level": "warning"}}))
    words = [*K4, "sim", str(config), "--listen", f"127.0.0.1:{port}", "--rate", "2000"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: _answers(port), "the simulator to listen")
            yield config, port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _start(config: Path, port: int, segments: Path) -> tuple[float, float, float]:
    """ms from the start of `k4 run` to the first record in shared memory, ms of processor time of both; MB of its worker soon after."""
    import k4
    from k4.errors import K4Error

    def head() -> int:
        with contextlib.suppress(K4Error), k4.open("binance_spot_bbo") as reader:
            return reader.info.head
        return 0

    for file in segments.iterdir():
        file.unlink()
    words = [*K4, "run", str(config), "--sim", f"127.0.0.1:{port}"]
    begun = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: head() > 0, "the first record")
            first = 1000 * (time.perf_counter() - begun)
            processor = sum(_processor(pid) for pid in (process.pid, *_children(process.pid)))
            time.sleep(1)
            return first, processor, max(_beside_segments(pid) for pid in _children(process.pid))
        finally:
            process.terminate()


def _until(true: object, what: str) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while not true():  # type: ignore[operator]
        if time.perf_counter() > deadline:
            raise BenchError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.005)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _processor(pid: int) -> float:
    """ms of processor time so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return 1000 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _beside_segments(pid: int) -> float:
    """Resident MB, without what lies in /dev/shm."""
    total, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            counts = not (len(rest) >= 5 and rest[4].startswith("/dev/shm/"))
        elif first == "Rss:" and counts:
            total += int(rest[0])
    return total / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
