"""Readers in processes of their own against a writer at full speed (ring.c), over rings of 4, 1 024 and 65 536 slots.

Usage: run.py [--reads N] [--readers N]: N reads in total, 100 million unless said. `make stress READS=1000000000` runs this.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from k4._codegen import fbs, generate, places

HERE = Path(__file__).resolve().parent
STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
SLOTS = (4, 1024, 65536)
READS = 100_000_000
# Of the smallest ring little survives long enough to be read: its reads cost most.
SHARES = {4: 0.2, 1024: 0.3, 65536: 0.5}
LINE = re.compile(
    r"(?P<verdict>ok|FAILED): \w+, \d+ slots: (?P<published>\d+) published, (?P<read>\d+) read \((?P<ring>\d+) ring, (?P<latest>\d+) latest\), "
    r"(?P<lost>\d+) lost in (?P<ranges>\d+) ranges; torn (?P<torn>\d+), backwards (?P<backwards>\d+), latest backwards (?P<old>\d+), "
    r"wrong losses (?P<wrong>\d+); "
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run said. `wrong`: torn, backwards and inexact losses together."""

    line: str
    ok: bool
    published: int
    ring: int
    latest: int
    lost: int
    wrong: int

    @property
    def read(self) -> int:
        return self.ring + self.latest


def compile_ring(folder: Path, csrc: Path | None = None) -> Path:
    """The stress program, over the core's sources in `csrc`."""
    csrc = csrc or places.csrc()
    (folder / generate.RECORDS_HEADER).write_text(generate.records_header(fbs.load(places.schema() / "records.fbs")), encoding="utf-8")
    program = folder / "ring"
    core = [csrc / f"k4_{part}.c" for part in ("symtab", "entries", "shmfile", "takeover", "segment", "view")]
    command = ["gcc", *STRICT, f"-I{csrc}", f"-I{folder}", str(HERE / "ring.c"), *map(str, core), "-o", str(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(done.stderr)
    return program


def stress(program: Path, *, slots: int, reads: int, record: int = 2, readers: int = 1, seconds: int = 600) -> Result:
    """One run: `reads` by each of `readers`."""
    words = {"slots": slots, "reads": reads, "record": record, "readers": readers, "seconds": seconds}
    command = [str(program), *(word for name, value in words.items() for word in (f"--{name}", str(value)))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + 60)
    found = LINE.match(done.stdout)
    if found is None:
        raise SystemExit(f"{done.stdout}{done.stderr}\nexit {done.returncode}")
    number = {name: int(value) for name, value in found.groupdict().items() if name != "verdict"}
    wrong = sum(number[name] for name in ("torn", "backwards", "old", "wrong"))
    ok = found["verdict"] == "ok" and done.returncode == 0
    return Result(done.stdout.strip(), ok, number["published"], number["ring"], number["latest"], number["lost"], wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reads", type=int, default=READS, help="reads in total (100 000 000)")
    parser.add_argument("--readers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="reader processes (processors less one)")
    chosen = parser.parse_args()
    seconds = max(600, chosen.reads // 1_000_000)
    with tempfile.TemporaryDirectory(prefix="k4-stress-") as made:
        program = compile_ring(Path(made))
        results = []
        for slots in SLOTS:
            each = int(chosen.reads * SHARES[slots]) // chosen.readers + 1
            results.append(stress(program, slots=slots, reads=each, readers=chosen.readers, seconds=seconds))
            print(results[-1].line, flush=True)
    good = all(result.ok for result in results)
    wrong = sum(result.wrong for result in results)
    print(
        f"{'ok' if good else 'FAILED'}: {sum(result.read for result in results)} reads, {sum(result.lost for result in results)} lost, {wrong} wrong"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
