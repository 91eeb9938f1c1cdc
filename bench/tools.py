"""What every measurement needs: a compiled driver, the machine's description, results kept and compared.

A result is a list of figures; each has a name, a unit and its median, and what else is known of its spread. May import `k4._codegen`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results"
BUILDS = {"baseline": ("-O2",), "x86-64-v3": ("-O2", "-march=x86-64-v3")}


class BenchError(Exception):
    """What stops a measurement, for the one who started it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `value`: the median; `goal`: what it is held against, in its own unit, and whether less is better."""

    name: str
    unit: str
    value: float
    p99: float | None = None
    p999: float | None = None
    goal: float | None = None
    less: bool = True

    @property
    def holds(self) -> bool:
        return self.goal is None or (self.value <= self.goal if self.less else self.value >= self.goal)


# --------------------------------------------------------------------------- running


def command(
    name: str,
    doc: str | None,
    arguments: Sequence[str],
    measure: Callable[[argparse.Namespace], list[Figure]],
    *,
    show: Callable[[list[Figure], dict[str, float]], str] | None = None,
    folders: Mapping[str, str] | None = None,
    switches: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    **options: int,
) -> int:
    """A measurement's command line: measures, prints, compares with the last kept result, writes what was asked for.

    `show`: prints figures and kept values in a form of its own. `folders`: options that name a folder, `switches`: options without a value,
    `texts`: with a word, each with its help; `options`: integer options with their defaults. Exit code 1 with a sentence when something is
    missing.
    """
    parser = argparse.ArgumentParser(f"bench {name}", description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here, too")
    parser.add_argument("--keep", action="store_true", help=f"make it the kept result, bench/results/{name}.json")
    for option, default in options.items():
        parser.add_argument(f"--{option}", type=int, default=default, metavar="N", help=f"default {default}")
    for option, help_text in (folders or {}).items():
        parser.add_argument(f"--{option}", type=Path, metavar="DIR", help=help_text)
    for option, help_text in (texts or {}).items():
        parser.add_argument(f"--{option}", metavar="TEXT", help=help_text)
    for option, help_text in (switches or {}).items():
        parser.add_argument(f"--{option}", action="store_true", help=help_text)
    chosen = parser.parse_args(arguments)
    try:
        figures = measure(chosen)
    except BenchError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print((show or report)(figures, kept(name, about)))
    result = {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": about, "figures": [asdict(figure) for figure in figures]}
    for file in [chosen.json] * (chosen.json is not None) + [RESULTS / f"{name}.json"] * chosen.keep:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(result, indent=1) + "\n")
    if chosen.keep:
        from bench import readme

        readme.write()
    return 0


def run(words: Sequence[str | Path], **environment: str) -> str:
    """A program's output. Raises BenchError with what it complained of."""
    text = [str(word) for word in words]
    result = subprocess.run(text, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if result.returncode != 0:
        raise BenchError(f"{Path(text[0]).name} ended with {result.returncode}: {result.stderr.strip()[:2000]}")
    return result.stdout


def spread(name: str, unit: str, values: Sequence[float], goal: float | None = None) -> Figure:
    """Median, p99 and p99.9 of many samples."""
    ordered = sorted(values)
    if not ordered:
        raise BenchError(f"{name}: nothing was measured")

    def at(part: float) -> float:
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    return Figure(name, unit, statistics.median(ordered), at(0.99), at(0.999), goal)


# --------------------------------------------------------------------------- compiling


@contextmanager
def generated(exchange_name: str) -> Iterator[Path]:
    """A folder with the generated C of one built-in exchange; gone afterwards."""
    from k4._codegen import exchange, fbs, generate, places

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = fbs.load(places.schema() / "records.fbs")
        spec = exchange.load(places.schema() / f"exchange/{exchange_name}.toml", records)
        for file, text in generate.generate(records, [spec], "bench").items():
            (folder / file).write_text(text)
        yield folder


def compile_driver(folder: Path, name: str, flags: Sequence[str], links: Sequence[str] = ()) -> Path:
    """bench/c/<name>.c with the whole core and what was generated into `folder`, all with the same flags, one unit each as in a wheel."""
    from k4._codegen import places

    driver = folder / "-".join([name, *(flag.strip("-").replace("=", "") for flag in flags)])
    sources = [ROOT / f"bench/c/{name}.c", *sorted(folder.glob("*.c")), *sorted(places.csrc().glob("*.c"))]
    run([compiler(), "-std=c11", *flags, f"-I{folder}", f"-I{places.csrc()}", *sources, "-o", driver, *links])
    return driver


def compiler() -> str:
    name = os.environ.get("CC") or next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), None)
    if name is None:
        raise BenchError("no C compiler; apt-get install gcc")
    return name


def cpp_compiler() -> str:
    name = os.environ.get("CXX") or next((name for name in ("g++", "c++", "clang++") if shutil.which(name)), None)
    if name is None:
        raise BenchError("no C++ compiler; apt-get install g++")
    return name


def builds() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The builds that this processor can run, by name."""
    for build, flags in BUILDS.items():
        if build == "x86-64-v3" and not (platform.machine() == "x86_64" and {"avx2", "bmi2", "movbe", "fma"} <= set(_cpu("flags").split())):
            print(f"not measured: build {build}, this processor does not have it")
            continue
        yield build, flags


# --------------------------------------------------------------------------- telling


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "cpu": _cpu("model name") or platform.processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "compiler": run([compiler(), "--version"]).splitlines()[0],
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _cpu(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def kept(name: str, about: dict[str, str]) -> dict[str, float]:
    """The kept result's values by figure, if it was measured on such a machine."""
    try:
        result = json.loads((RESULTS / f"{name}.json").read_text())
    except OSError:
        return {}
    if result["machine"]["cpu"] != about["cpu"]:
        print(f"the kept result is of another processor ({result['machine']['cpu']}): not compared")
        return {}
    return {figure["name"]: figure["value"] for figure in result["figures"]}


def report(figures: list[Figure], before: dict[str, float]) -> str:
    """One line per figure: median, spread, goal, and the change against the kept result."""
    width = max(len(figure.name) for figure in figures) + 2
    lines = ["".ljust(width) + "median".rjust(11) + "p99".rjust(10) + "p99.9".rjust(10) + "".ljust(8) + "goal".rjust(10) + "  against kept"]
    for f in figures:
        cells = [number(f.value).rjust(11), number(f.p99).rjust(10), number(f.p999).rjust(10), f" {f.unit}".ljust(8)]
        goal = "" if f.goal is None else f"{'≤' if f.less else '≥'} {number(f.goal)}{'' if f.holds else ' !'}"
        change = f"  {100 * (f.value / before[f.name] - 1):+.0f} %" if before.get(f.name) else ""
        lines.append(f.name.ljust(width) + "".join(cells) + goal.rjust(10) + change)
    return "\n".join(lines)


def number(value: float | None) -> str:
    """With as many digits as say something."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
