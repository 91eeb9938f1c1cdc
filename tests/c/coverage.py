"""Which lines and branches of the core and of the generated C the tests reach: `coverage.py [--uncovered] [--raise] TEST...`.

Every gcc that a test starts is answered by a wrapper that compiles for gcov as well, the extension's compiler included; then the C
tests run, and the given ones of pytest, those that drive C (the Makefile's COVERED). A branch of an inline function counts once, however
many files include it; nothing else is left out, what no input can reach included. The totals of the core and of what is generated may not
fall below the floor, which only rises (`--raise`). May import `k4._codegen` and `run`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k4._codegen import build, generate, places

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLOOR = HERE / "coverage.json"

# Always-inline code is kept apart, or every place that calls it would count its branches anew; the warning is about just that.
FLAGS = "-O0 --coverage -fprofile-update=single -Dalways_inline=noinline -Wno-attributes"
CHANCE = 0.5  # how far the totals may differ between runs: some tests draw their inputs, some race
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "logical", "--dist", "worksteal", "-m", "not alone")


@dataclass(slots=True)
class Line:
    count: int = 0
    branches: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Covered:
    """One source: (function, line) → how often each was reached, over all that was compiled from it."""

    lines: dict[tuple[str, int], Line] = field(default_factory=dict)

    def add(self, function: str, number: int, count: int, branches: list[int]) -> None:
        line = self.lines.get((function, number))
        if line is None:
            self.lines[function, number] = Line(count, branches)
            return
        line.count += count
        # Sanitizers add branches of their own; those of plain builds count, whichever comes first.
        if len(branches) < len(line.branches):
            line.branches = branches
        elif len(line.branches) == len(branches):
            line.branches = [a + b for a, b in zip(line.branches, branches, strict=True)]

    def figures(self) -> tuple[int, int, int, int]:
        """Lines reached, lines, branches taken, branches."""
        numbers: dict[int, int] = {}
        for (_, number), line in self.lines.items():
            numbers[number] = numbers.get(number, 0) + line.count
        branches = [taken for line in self.lines.values() for taken in line.branches]
        return sum(c > 0 for c in numbers.values()), len(numbers), sum(t > 0 for t in branches), len(branches)

    def open_branches(self) -> list[tuple[int, str]]:
        """Lines with a branch never taken, and how many of how many."""
        found: dict[int, list[int]] = {}
        for (_, number), line in self.lines.items():
            if line.branches and min(line.branches) == 0:
                found.setdefault(number, []).extend(line.branches)
        return [(number, f"{sum(t > 0 for t in taken)}/{len(taken)}") for number, taken in sorted(found.items())]


def main(arguments: list[str]) -> int:
    """Runs, prints the table; 1 when a test failed or a total fell below the floor."""
    parser = argparse.ArgumentParser("coverage.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--raise", dest="rise", action="store_true", help="write the totals into the floor's file where they are higher")
    parser.add_argument("--uncovered", action="store_true", help="name each line with a branch that was never taken")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep gcov's files here, and add to those of an earlier run")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="of pytest; without any, only what --data has")
    options = parser.parse_args(arguments)
    if shutil.which("gcc") is None or shutil.which("gcov") is None:
        print("coverage: gcc and gcov are needed; apt-get install gcc", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="k4-coverage-") as made:
        data = (options.data or Path(made) / "data").resolve()
        data.mkdir(parents=True, exist_ok=True)
        failed = run_tests(Path(made), data, options.tests)
        sources = collect(data)
    print(table(sources))
    if options.uncovered:
        for name, covered in sources.items():
            lines = source_lines(name)
            print(*(f"{name}:{number}: {share}: {lines[number - 1].strip()}" for number, share in covered.open_branches()), sep="\n")
    return max(failed, judge({name: totals(sources, generated=name == "generated") for name in ("core", "generated")}, rise=options.rise))


def run_tests(folder: Path, data: Path, tests: list[str]) -> int:
    """The C tests, then those of pytest; 1 if one failed."""
    if not tests:
        return 0
    environment = wrapped(folder, f'{FLAGS} -dumpdir "{data}/$$-"')
    done = [subprocess.run([sys.executable, str(HERE / "run.py"), "--setting", "gcc -O2"], env=environment, check=False)]
    done.append(subprocess.run([*PYTEST, *tests], env=environment, cwd=ROOT, check=False))
    return int(any(d.returncode for d in done))


def wrapped(folder: Path, flags: str) -> dict[str, str]:
    """An environment in which gcc takes `flags` too (as a shell reads them), and builds are kept apart from the user's."""
    tools = folder / "bin"
    tools.mkdir()
    wrapper = tools / "gcc"
    # What is loaded before a tested process is nothing for the compiler.
    wrapper.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {shutil.which("gcc")} "$@" {flags}\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "CC": "gcc", "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}


# --------------------------------------------------------------------------- what gcov says


def collect(data: Path) -> dict[str, Covered]:
    """Every source of the core and every generated one → what was reached, by name."""
    own = {file.name for file in places.csrc().glob("*.[ch]")}
    records, exchanges = build.load()
    own |= {name for name in generate.generate(records, exchanges) if name.endswith(".c")}
    found: dict[str, Covered] = {}
    with tempfile.TemporaryDirectory(prefix="k4-gcov-") as out, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        notes = sorted(data.glob("*.gcno"))
        chunks = [notes[i : i + 32] for i in range(0, len(notes), 32)]
        for texts in pool.map(lambda i: _gcov(chunks[i], Path(out) / str(i)), range(len(chunks))):
            for text in texts:
                for file in text["files"]:
                    name = Path(file["file"]).name
                    if name in own:
                        _take(found.setdefault(name, Covered()), file["lines"])
    return dict(sorted(found.items()))


def _gcov(notes: list[Path], out: Path) -> list[dict[str, Any]]:
    out.mkdir()
    command = ["gcov", "--json-format", "--branch-probabilities", "--hash-filenames", *map(str, notes)]
    subprocess.run(command, cwd=out, check=True, capture_output=True, timeout=300)
    return [json.loads(gzip.decompress(file.read_bytes())) for file in sorted(out.glob("*.json.gz"))]


def _take(covered: Covered, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
        covered.add(line.get("function_name", ""), line["line_number"], line["count"], taken)


# --------------------------------------------------------------------------- telling and judging


def totals(sources: dict[str, Covered], *, generated: bool = False) -> dict[str, float]:
    """Percent of lines and of branches, over all of the core, or over all that is generated."""
    own = [covered for name, covered in sources.items() if (places.csrc() / name).is_file() != generated]
    sums = [max(1, sum(column)) for column in zip(*(covered.figures() for covered in own), strict=True)]
    return {"lines": round(100 * sums[0] / sums[1], 2), "branches": round(100 * sums[2] / sums[3], 2)}


def table(sources: dict[str, Covered]) -> str:
    out = [f"{'':28}{'lines':>8}{'reached':>9}{'%':>7}{'branches':>10}{'taken':>7}{'%':>7}"]
    for name, covered in sources.items():
        reached, lines, taken, branches = covered.figures()
        out.append(f"{name:28}{lines:8}{reached:9}{_percent(reached, lines):>7}{branches:10}{taken:7}{_percent(taken, branches):>7}")
    for what, total in (("core", totals(sources)), ("generated", totals(sources, generated=True))):
        out.append(f"{what:28}{'':17}{total['lines']:7.1f}{'':17}{total['branches']:7.1f}")
    return "\n".join(out)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def source_lines(name: str) -> list[str]:
    if (places.csrc() / name).is_file():
        return (places.csrc() / name).read_text(encoding="utf-8").splitlines()
    records, exchanges = build.load()
    return generate.generate(records, exchanges)[name].splitlines()


def judge(reached: dict[str, dict[str, float]], *, rise: bool, file: Path = FLOOR) -> int:
    """1 when a total is below the floor; `rise` puts the floor just under the totals, never down."""
    floor: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    low = [
        f"{part}, {name}: {reached[part][name]:.2f} %, the floor is {least:.2f} %"
        for part, of in floor.items()
        for name, least in of.items()
        if reached[part][name] < least
    ]
    print(*low, sep="\n", end="\n" if low else "")
    if rise:
        risen = {
            part: {name: max(floor.get(part, {}).get(name, 0.0), round(share - CHANCE, 1)) for name, share in of.items()}
            for part, of in reached.items()
        }
        file.write_text(json.dumps(risen, indent=1) + "\n", encoding="utf-8")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
