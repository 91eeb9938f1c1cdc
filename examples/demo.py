"""Ten seconds of K4, every part real: a simulated exchange behind TLS, the run time, shared memory, and readers.

Simulator, run time and readers are processes of their own, started as a user would type them. Shared memory goes to a folder of
its own under /dev/shm, which is removed again. Exit 0 if records of every kind came through, else 1.
Usage: demo.py [SECONDS]
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config" / "binance_spot.json"
K4 = [sys.executable, "-m", "k4"]
SHOWN = 3


def main(seconds: float) -> int:
    entry = json.loads(CONFIG.read_text(encoding="utf-8"))["connections"][0]
    segments = {record: f"{entry['exchange']}_{entry['product']}_{record}" for record in entry["records"]}
    memory = Path(tempfile.mkdtemp(prefix="k4-demo-", dir="/dev/shm"))
    environment = {**os.environ, "K4_SHM_DIR": str(memory), "XDG_STATE_HOME": str(memory / "state")}
    try:
        with simulator(environment, memory / "sim.txt") as address:
            print(f"\n$ k4 run {CONFIG.relative_to(ROOT)} --for {seconds:g} --sim {address}", flush=True)
            with started([*K4, "run", str(CONFIG), "--for", f"{seconds:g}", "--sim", address], environment) as run:
                readers = {record: reader(name, environment, memory) for record, name in segments.items() if appears(memory, name, run)}
                code = run.wait(timeout=seconds + 30)
            counts = {record: shown(record, name, readers.get(record), memory) for record, name in segments.items()}
    finally:
        shutil.rmtree(memory)
    missing = [record for record, count in counts.items() if not count]
    if missing or code:
        print(f"demo: failed: exit code {code} of k4 run, no records of: {', '.join(missing) or '-'}", file=sys.stderr)
        return 1
    print(f"\n{sum(counts.values())} records in {seconds:g} s: " + ", ".join(f"{record} {count}" for record, count in counts.items()))
    return 0


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block."""
    process: subprocess.Popen[str] = subprocess.Popen(command, env=environment, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def simulator(environment: dict[str, str], output: Path) -> Iterator[str]:
    """`k4 sim` on a free port; its HOST:PORT, once it listens. Its second connection is 3 ms slower than its first."""
    command = [*K4, "sim", str(CONFIG), "--listen", "127.0.0.1:0", "--delay", "0,3"]
    print(f"$ k4 {' '.join(command[3:])}".replace(str(CONFIG), str(CONFIG.relative_to(ROOT))), flush=True)
    with output.open("w") as file, started(command, environment, stdout=file, stderr=subprocess.STDOUT) as process:
        for _ in range(300):
            said = output.read_text(encoding="utf-8")
            found = re.search(r"listening on (\S+:\d+)", said)
            if found:
                print(said.strip())
                yield found[1]
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"demo: the simulator did not start:\n{output.read_text(encoding='utf-8')}")


def appears(memory: Path, name: str, run: subprocess.Popen[str]) -> bool:
    """Waits until the segment is there; False if `k4 run` ended or twenty seconds went by without it."""
    for _ in range(400):
        if (memory / f"k4.{name}").exists():
            return True
        if run.poll() is not None:
            break
        time.sleep(0.05)
    return False


def reader(name: str, environment: dict[str, str], memory: Path) -> subprocess.Popen[bytes]:
    """A reader in a process of its own. It ends by itself when the writer closes the segment."""
    with (memory / f"{name}.out").open("wb") as output:
        return subprocess.Popen([*K4, "tail", name, "--json", "--from", "oldest"], env=environment, stdout=output)


def shown(record: str, name: str, process: subprocess.Popen[bytes] | None, memory: Path) -> int:
    """Shows the first records the reader printed; the number of all of them."""
    if process is None:
        return 0
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(timeout=10)
    lines = (memory / f"{name}.out").read_text(encoding="utf-8").splitlines()
    records = [line for line in lines if json.loads(line).get("record") == record]
    print(f"\n$ k4 tail {name} --json --from oldest        # {len(records)} records, the first {min(SHOWN, len(records))}:")
    print("\n".join(records[:SHOWN]))
    return len(records)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
