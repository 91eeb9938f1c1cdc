"""Nanoseconds per message of both parser tiers and of their peers, on the same invented frames, in the same run.

The C decoders (fast tier, tolerant tier, yyjson) are compiled here with the same stated flags, once as the wheel ships and once
for x86-64-v3. The Python peers turn every price and quantity into a float. May import `k4._codegen` and the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(ROOT))

from bench import frames, peers  # noqa: E402
from k4._codegen import exchange, fbs, generate, places  # noqa: E402

EXCHANGE = "binance"  # whose spec the frames follow
COUNT = 4096  # frames of each kind
BUILDS = {"baseline": ("-O2",), "x86-64-v3": ("-O2", "-march=x86-64-v3")}
SOURCES = ("k4_json", "k4_text", "k4_number", "k4_xxh64", "k4_parse", "k4_decode", "k4_product")
C_DECODERS = ("fast", "tolerant", "yyjson")


class BenchError(Exception):
    """What stops a measurement, for the one who started it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One decoder on one kind of message. `ns`: median, lowest and highest of the rounds, per message."""

    kind: str
    build: str
    decoder: str
    ns: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class YyJson:
    """Where yyjson is. `source`: its one C file; None: a library of the system, with flags of its own."""

    source: Path | None

    @property
    def flags(self) -> list[str]:
        return [f"-I{self.source.parent}"] if self.source is not None else []

    @property
    def links(self) -> list[str]:
        return [str(self.source)] if self.source is not None else ["-lyyjson"]


def main(arguments: list[str]) -> int:
    """Runs and prints; exit code 1 with a sentence when something is missing or two decoders read different values."""
    parser = argparse.ArgumentParser("bench decode", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here, too")
    parser.add_argument("--rounds", type=int, default=31, help="rounds of every decoder, of which the median counts (default 31)")
    parser.add_argument(
        "--yyjson", type=Path, metavar="DIR", help="a folder with yyjson.c and yyjson.h (default: $K4_YYJSON, then the system's)"
    )
    options = parser.parse_args(arguments)
    try:
        yyjson = find_yyjson(options.yyjson)
        rows = measure(options.rounds, yyjson)
    except BenchError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    about = machine()
    print(report(rows, about))
    if options.json is not None:
        result = {"machine": about, "frames": COUNT, "rounds": options.rounds, "rows": [_plain(row) for row in rows]}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def measure(rounds: int, yyjson: YyJson | None) -> list[Row]:
    """Every kind, build and decoder. Raises BenchError."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in frames.KINDS:
            wires = frames.frames(kind, COUNT)
            (folder / f"{kind}.frames").write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in wires))
            rows += peers_rows(kind, wires, rounds)
        for build, flags in BUILDS.items():
            if build == "x86-64-v3" and not _has_v3():
                print(f"not measured: build {build}, this processor does not have it")
                continue
            driver = compile_driver(folder, build, flags, yyjson)
            for kind in frames.KINDS:
                rows += _driver_rows(driver, folder / f"{kind}.frames", kind, build, rounds)
    return rows


def _driver_rows(driver: Path, file: Path, kind: str, build: str, rounds: int) -> Iterator[Row]:
    output = _run([str(driver), str(file), str(rounds)])
    sums: set[str] = set()
    for line in output.splitlines():
        decoder, checksum, *rest = line.split()
        if int(checksum) == 2**64 - 1:
            raise BenchError(f"{decoder} did not read a frame of kind {kind}")
        sums.add(checksum)
        yield _row(kind, build, decoder, [float(ns) for ns in rest])
    if len(sums) != 1:
        raise BenchError(f"{kind}: the decoders read different values")


def peers_rows(kind: str, wires: list[bytes], rounds: int) -> Iterator[Row]:
    """The Python peers that are installed; one line for each that is not."""
    for name, make in peers.PEERS.items():
        decode = make(kind)
        if decode is None:
            if kind == next(iter(frames.KINDS)):
                print(f"not measured: {name}, it is not installed")
            continue
        times = [_timed(decode, wires) for _ in range(max(3, rounds // 4))]
        yield _row(kind, "-", name, times[1:])


def _timed(decode: Callable[[list[bytes]], None], wires: list[bytes]) -> float:
    import time

    start = time.process_time_ns()
    decode(wires)
    return (time.process_time_ns() - start) / len(wires)


def _row(kind: str, build: str, decoder: str, times: list[float]) -> Row:
    return Row(kind, build, decoder, round(statistics.median(times), 2), min(times), max(times))


# --------------------------------------------------------------------------- building


def find_yyjson(folder: Path | None) -> YyJson | None:
    """yyjson's sources, else the system's library, else None and a line that says so."""
    named = folder or (Path(os.environ["K4_YYJSON"]) if os.environ.get("K4_YYJSON") else None)
    if named is not None:
        if not (named / "yyjson.c").is_file() or not (named / "yyjson.h").is_file():
            raise BenchError(f"{named} does not hold yyjson.c and yyjson.h")
        return YyJson(named / "yyjson.c")
    probe = subprocess.run([_compiler(), "-E", "-x", "c", "-"], input=b"#include <yyjson.h>\n", capture_output=True, check=False)
    if probe.returncode == 0:
        return YyJson(None)
    print(
        "not measured: yyjson; name a folder with its yyjson.c and yyjson.h (--yyjson), or apt-get install libyyjson-dev where there is one"
    )
    return None


def compile_driver(folder: Path, build: str, flags: tuple[str, ...], yyjson: YyJson | None) -> Path:
    """The driver with the generated parsers and, if there, yyjson, all with the same flags."""
    records = fbs.load(places.schema() / "records.fbs")
    spec = exchange.load(places.schema() / f"exchange/{EXCHANGE}.toml", records)
    made = []
    for name, text in generate.generate(records, [spec], "bench").items():
        (folder / name).write_text(text)
        made += [str(folder / name)] if name.endswith(".c") else []
    own = ROOT / "bench/c"
    core = [str(places.csrc() / f"{name}.c") for name in SOURCES]
    command = [_compiler(), "-std=c11", *flags, f"-I{folder}", f"-I{places.csrc()}", f"-I{own}", str(own / "driver.c"), *made, *core]
    if yyjson is not None:
        command += ["-DK4_BENCH_YYJSON", *yyjson.flags, str(own / "peer_yyjson.c"), *yyjson.links]
    driver = folder / f"driver-{build}"
    _run([*command, "-o", str(driver)])
    return driver


def _compiler() -> str:
    name = os.environ.get("CC") or next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), None)
    if name is None:
        raise BenchError("no C compiler; apt-get install gcc")
    return name


def _run(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BenchError(f"{Path(command[0]).name} ended with {result.returncode}: {result.stderr.strip()[:2000]}")
    return result.stdout


def _has_v3() -> bool:
    return platform.machine() == "x86_64" and {"avx2", "bmi2", "movbe", "fma"} <= set(_cpu("flags").split())


# --------------------------------------------------------------------------- telling


def machine() -> dict[str, str]:
    """What the figures depend on."""
    compiler = _run([_compiler(), "--version"]).splitlines()[0]
    return {
        "cpu": _cpu("model name") or platform.processor(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "compiler": compiler,
        "python": platform.python_version(),
    }


def _cpu(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def report(rows: list[Row], about: dict[str, str]) -> str:
    """A table per build: nanoseconds per message, and how many times longer than the fast tier."""
    out = [", ".join(f"{key} {value}" for key, value in about.items())]
    python = [row for row in rows if row.build == "-"]
    for build in dict.fromkeys(row.build for row in rows if row.build != "-"):
        own = [row for row in rows if row.build == build]
        out += ["", f"ns per message, median of rounds ({' '.join(BUILDS[build])}); in brackets: times the fast tier"]
        out.append("decoder".ljust(24) + "".join(kind.rjust(20) for kind in frames.KINDS))
        for decoder in dict.fromkeys(row.decoder for row in [*own, *python]):
            cells = [_cell([*own, *python], decoder, kind) for kind in frames.KINDS]
            out.append(decoder.ljust(24) + "".join(cell.rjust(20) for cell in cells))
    return "\n".join(out)


def _cell(rows: list[Row], decoder: str, kind: str) -> str:
    found = {row.decoder: row.ns for row in rows if row.kind == kind}
    return f"{found[decoder]:.0f} ({found[decoder] / found['fast']:.1f})" if decoder in found else "-"


def _plain(row: Row) -> dict[str, object]:
    return {"kind": row.kind, "build": row.build, "decoder": row.decoder, "ns": row.ns, "low": row.low, "high": row.high}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
