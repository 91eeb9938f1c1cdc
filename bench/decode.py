"""Nanoseconds per message of both parser tiers and of their peers, on the same invented frames, in the same run.

The compiled decoders (fast tier, tolerant tier, yyjson, simdjson) are compiled here with the same stated flags, once as the wheel ships and
once for x86-64-v3. The Python peers turn every price and quantity into a float. May import the peers and what stands in bench.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import frames, kinds, peers, sources, tools
from bench.tools import BUILDS, ROOT, BenchError, Figure, builds, command, compiler, cpp_compiler, generated, run, spread

EXCHANGE = "binance"  # whose spec the frames follow
COUNT = 4096  # frames of each kind
# How many times longer than the fast tier a peer must take at least.
GOALS = {"yyjson": {"bookTicker": 4.0, "": 3.0}, "orjson + float": {"": 15.0}}
TOLERANT = 0.75  # how many times longer than the tolerant tier yyjson must take at least


@dataclass(frozen=True, slots=True)
class Compiled:
    """Peers' sources that are there."""

    yyjson: Path | None
    simdjson: Path | None


def main(arguments: Sequence[str]) -> int:
    """Runs and prints; exit code 1 with a sentence when something is missing or two decoders read different values."""
    named = {"yyjson": "a folder with yyjson.c and yyjson.h", "simdjson": "a folder with simdjson.cpp and simdjson.h"}
    return command("decode", __doc__, arguments, measure, show=show, folders=named, rounds=31)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Every kind, build and decoder, then what the goals are about, then the kinds of all exchanges. Raises BenchError."""
    found = Compiled(sources.find("yyjson", options.yyjson), sources.find("simdjson", options.simdjson))
    out: list[Figure] = []
    with generated(EXCHANGE) as folder:
        spoken = frames.spoken((ROOT / f"schema/exchange/{EXCHANGE}.toml").read_text(encoding="utf-8"))
        print(
            *(f"not measured: {kind}, the exchange's spec has no such message\n" for kind in frames.KINDS if kind not in spoken),
            end="",
            sep="",
        )
        for kind in spoken:
            wires = frames.frames(kind, COUNT)
            (folder / f"{kind}.frames").write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in wires))
            out += _python(kind, wires, options.rounds)
        for build, flags in builds():
            driver = compile_driver(folder, build, flags, found)
            for kind in spoken:
                out += _compiled(driver, folder / f"{kind}.frames", kind, build, options.rounds)
    build, flags = next(iter(builds()))
    return [*out, *_goals(out, spoken), *kinds.measure(build, flags, found.yyjson, options.rounds)]


def _compiled(driver: Path, file: Path, kind: str, build: str, rounds: int) -> Iterator[Figure]:
    sums: set[str] = set()
    for line in run([driver, file, str(rounds)]).splitlines():
        decoder, checksum, *rest = line.split()
        if int(checksum) == 2**64 - 1:
            raise BenchError(f"{decoder} did not read a frame of kind {kind}")
        sums.add(checksum)
        yield spread(f"{build} {kind}: {decoder}", "ns", [float(ns) for ns in rest])
    if len(sums) != 1:
        raise BenchError(f"{kind}: the decoders read different values")


def _python(kind: str, wires: list[bytes], rounds: int) -> Iterator[Figure]:
    """The Python peers that are installed; one line for each that is not."""
    for name, make in peers.PEERS.items():
        decode = make(kind)
        if decode is None:
            if kind == next(iter(frames.KINDS)):
                print(f"not measured: {name}, it is not installed (pip install k4[bench])")
            continue
        times = [_timed(decode, wires) for _ in range(max(3, rounds // 4))]
        yield spread(f"Python {kind}: {name}", "ns", times[1:])


def _timed(decode: Callable[[list[bytes]], None], wires: list[bytes]) -> float:
    start = time.process_time_ns()
    decode(wires)
    return (time.process_time_ns() - start) / len(wires)


def _goals(figures: Sequence[Figure], spoken: Sequence[str]) -> Iterator[Figure]:
    """Ratios of medians, from this run."""
    ns = {figure.name: figure.value for figure in figures}
    for build in BUILDS:
        for kind in spoken:
            if f"{build} {kind}: fast" not in ns:
                continue
            fast, tolerant = ns[f"{build} {kind}: fast"], ns[f"{build} {kind}: tolerant"]
            for peer, goals in GOALS.items():
                took = ns.get(f"{build} {kind}: {peer}") or ns.get(f"Python {kind}: {peer}")
                if took is not None:
                    yield Figure(f"{build} {kind}: {peer} / fast", "times", took / fast, goal=goals.get(kind, goals[""]), less=False)
            yyjson = ns.get(f"{build} {kind}: yyjson")
            if yyjson is not None:
                yield Figure(f"{build} {kind}: yyjson / tolerant", "times", yyjson / tolerant, goal=TOLERANT, less=False)


# --------------------------------------------------------------------------- building


def compile_driver(folder: Path, build: str, flags: tuple[str, ...], found: Compiled) -> Path:
    """The driver with the generated parsers and the peers that are there, all with the same flags."""
    own = ROOT / "bench/c"
    core = sorted((ROOT / "csrc").glob("*.c"))
    words: list[str | Path] = [
        "-std=c11",
        *flags,
        f"-I{folder}",
        f"-I{ROOT / 'csrc'}",
        f"-I{own}",
        own / "driver.c",
        *sorted(folder.glob("*.c")),
        *core,
    ]
    if found.yyjson is not None:
        words += ["-DK4_BENCH_YYJSON", f"-I{found.yyjson}", own / "peer_yyjson.c", found.yyjson / "yyjson.c"]
    if found.simdjson is not None:
        words += ["-DK4_BENCH_SIMDJSON", *_simdjson(folder, build, flags, found.simdjson), "-lstdc++"]
    driver = folder / f"driver-{build}"
    run([compiler(), *words, "-o", driver])
    return driver


def _simdjson(folder: Path, build: str, flags: tuple[str, ...], place: Path) -> list[Path]:
    """Its objects. It is C++, and takes half a minute."""
    objects = []
    for source in (ROOT / "bench/c/peer_simdjson.cpp", place / "simdjson.cpp"):
        objects.append(folder / f"{source.stem}-{build}.o")
        run([cpp_compiler(), "-std=c++17", *flags, f"-I{place}", f"-I{ROOT / 'bench/c'}", "-c", source, "-o", objects[-1]])
    return objects


# --------------------------------------------------------------------------- telling


def show(figures: list[Figure], before: dict[str, float]) -> str:
    """A table per build: nanoseconds per message, and how many times longer than the fast tier. Then all exchanges' kinds, the goals."""
    ns = {figure.name: figure.value for figure in figures if figure.unit == "ns"}
    shown = [kind for kind in frames.KINDS if any(f" {kind}: " in name for name in ns)]
    out = []
    for build in BUILDS:
        decoders = list(dict.fromkeys(name.partition(": ")[2] for name in ns if name.startswith((f"{build} ", "Python "))))
        if f"{build} {shown[0]}: fast" not in ns:
            continue
        decoders.sort(key=lambda name: name not in {"fast", "tolerant", "yyjson", "simdjson"})
        out.append(f"ns per message, median of rounds ({' '.join(BUILDS[build])}); in brackets: times the fast tier")
        out.append("decoder".ljust(24) + "".join(kind.rjust(20) for kind in shown))
        for decoder in decoders:
            cells = [_cell(ns, build, kind, decoder) for kind in shown]
            out.append(decoder.ljust(24) + "".join(cell.rjust(20) for cell in cells))
        out.append("")
    out += [kinds.show([figure for figure in figures if "/" in figure.name.partition(":")[0]]), ""]
    return "\n".join([*out, tools.report([figure for figure in figures if figure.goal is not None or figure.name in before], before)])


def _cell(ns: dict[str, float], build: str, kind: str, decoder: str) -> str:
    took = ns.get(f"{build} {kind}: {decoder}") or ns.get(f"Python {kind}: {decoder}")
    return "-" if took is None else f"{took:.0f} ({took / ns[f'{build} {kind}: fast']:.1f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
