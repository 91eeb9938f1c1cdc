"""Nanoseconds per message of both parser tiers and of their peers: every kind of market data of every built-in exchange, a row each.

The compiled decoders (fast tier, tolerant tier, yyjson, simdjson, SBE) stand in one program, compiled here with the same stated flags, once
as the wheel ships and once for x86-64-v3; all fill the same structs, which is compared. The Python peers take the same fields out and turn
every price and quantity into a float. May import `k4._codegen` and what stands in bench.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import fills, kinds, peers, sources
from bench.kinds import Kind
from bench.tools import BUILDS, ROOT, BenchError, Figure, builds, command, compiler, cpp_compiler, run, spread
from k4._codegen import exchange, fbs, generate, places

COUNT = 512  # frames of each kind
# How many times longer than a tier a peer must take at least, by the beginning of the kind's name.
GOALS = {
    ("yyjson", "fast"): {"binance spot bookTicker": 4.0, "": 3.0},
    ("orjson + float", "fast"): {"": 15.0},
    ("yyjson", "tolerant"): {"": 0.75},
}
SBE_NS = {"bestBidAsk": 15.0}  # by the channel's own word
COLUMNS = ("fast", "tolerant", "sbe", "yyjson", "yyjson, document", "simdjson")


def main(arguments: Sequence[str]) -> int:
    """Runs and prints; exit code 1 with a sentence when something is missing or two decoders read different values."""
    named = {"yyjson": "a folder with yyjson.c and yyjson.h", "simdjson": "a folder with simdjson.cpp and simdjson.h"}
    texts = {"only": "only kinds whose name holds this, as `okx spot` or `trade`"}
    return command("decode", __doc__, arguments, measure, show=show, folders=named, texts=texts, rounds=31)


def measure(options: argparse.Namespace) -> list[Figure]:
    """A figure per kind, build and decoder, then what the goals are about. Raises BenchError."""
    yyjson, simdjson = sources.find("yyjson", options.yyjson), sources.find("simdjson", options.simdjson)
    told = [kind for kind in kinds.kinds() if (options.only or "") in kind.name]
    if not told:
        raise BenchError(f"no kind's name holds {options.only}; they are {', '.join(kind.name for kind in kinds.kinds())}")
    wires = {kind.name: kinds.frames(kind, COUNT) for kind in told}
    for name, make in peers.PEERS.items():
        if make(lambda _: None, [b"{}"]) is None:
            print(f"not measured: {name}, it is not installed (pip install k4[bench])")
    out: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        takers = _generate(folder, told)
        for kind in told:
            (folder / f"{kind.name}.frames").write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in wires[kind.name]))
        for build, flags in builds():
            driver = compile_driver(folder, build, flags, yyjson, simdjson)
            for kind in told:
                out += _compiled(driver, folder / f"{kind.name}.frames", kind, build, options.rounds)
                if not kind.binary:  # close by in time, since the clock of many a machine moves
                    out += _python(kind, wires[kind.name], takers, build, options.rounds)
    return [*out, *_ratios(out, [kind.name for kind in told])]


def _compiled(driver: Path, file: Path, kind: Kind, build: str, rounds: int) -> Iterator[Figure]:
    goal = next((ns for word, ns in SBE_NS.items() if kind.binary and word in kind.name), None)
    mode = "binary" if kind.binary else "text"
    try:
        lines = run([driver, kind.exchange.name, kind.product.name, mode, file, str(rounds)]).splitlines()
    except BenchError as error:
        raise BenchError(f"{kind.name}: {error}") from error
    for line in lines:
        decoder, declined, *rest = line.split("\t")
        yield spread(f"{build}/{kind.name}: {decoder}", "ns", [float(ns) for ns in rest], goal)
        if decoder == "fast":
            yield Figure(f"{build}/{kind.name}: declined", "%", float(declined))


def _python(kind: Kind, wires: list[bytes], takers: Mapping[str, peers.Take], build: str, rounds: int) -> Iterator[Figure]:
    """The Python peers that are installed."""
    take = takers[fills.name_of(kind.exchange.name, kind.product.name)]
    for name, make in peers.PEERS.items():
        decode = make(take, wires)
        if decode is not None:
            times = [_timed(decode, wires) for _ in range(max(4, rounds // 6))]
            yield spread(f"{build}/{kind.name}: {name}", "ns", times[1:])


def _timed(decode: peers.Decode, wires: list[bytes]) -> float:
    start = time.process_time_ns()
    decode(wires)
    return (time.process_time_ns() - start) / len(wires)


def _ratios(figures: Sequence[Figure], names: Sequence[str]) -> Iterator[Figure]:
    """Of medians, from this run."""
    ns = {figure.name: figure.value for figure in figures}
    for build in BUILDS:
        for name in names:
            for (peer, tier), goals in GOALS.items():
                took, own = ns.get(f"{build}/{name}: {peer}"), ns.get(f"{build}/{name}: {tier}")
                if took is not None and own is not None:
                    goal = next(goal for start, goal in goals.items() if name.startswith(start))
                    yield Figure(f"{build}/{name}: {peer} / {tier}", "times", took / own, goal=goal, less=False)


# --------------------------------------------------------------------------- building


def _generate(folder: Path, told: Sequence[Kind]) -> dict[str, peers.Take]:
    """Writes the parsers of all exchanges and peers for the products that are measured; gives the Python peers' functions, by product."""
    records = fbs.load(places.schema() / "records.fbs")
    specs = [exchange.load(file, records) for file in sorted((places.schema() / "exchange").glob("*.toml"))]
    for file, text in generate.generate(records, specs, "bench").items():
        (folder / file).write_text(text)
    try:
        asked = {(kind.exchange.name, kind.product.name): kind for kind in told if not kind.binary}
        products = [fills.model(kind.exchange, kind.product, records) for kind in asked.values()]
    except fills.FillError as error:
        raise BenchError(f"the peers have no words for {error}; add them to bench/fills.py and bench/templates") from error
    (folder / "peer_yyjson.c").write_text(fills.render("yyjson.c.j2", products))
    (folder / "peer_simdjson.cpp").write_text(fills.render("simdjson.cpp.j2", products))
    return peers.takers(fills.render("taking.py.j2", products))


def compile_driver(folder: Path, build: str, flags: Sequence[str], yyjson: Path | None, simdjson: Path | None) -> Path:
    """The driver with every exchange's parsers and the peers that are there, all with the same flags."""
    own = ROOT / "bench/c"
    core = [own / "decode.c", *sorted(folder.glob("k4_*.c")), *sorted((ROOT / "csrc").glob("*.c"))]
    words: list[str | Path] = [*flags, f"-I{folder}", f"-I{ROOT / 'csrc'}", f"-I{own}"]
    if simdjson is not None:
        words.append("-DK4_BENCH_SIMDJSON")
    if yyjson is not None:
        words += ["-DK4_BENCH_YYJSON", f"-I{yyjson}"]
        core += [folder / "peer_yyjson.c", yyjson / "yyjson.c"]
    jobs = [[compiler(), "-std=c11", *words, "-c", source] for source in core]
    if simdjson is not None:
        words.append(f"-I{simdjson}")
        here = (simdjson / "simdjson.cpp", folder / "peer_simdjson.cpp")  # half a minute, so they come first
        jobs = [*([cpp_compiler(), "-std=c++20", *words, "-c", source] for source in here), *jobs]
    objects = [folder / f"{Path(job[-1]).stem}-{build}.o" for job in jobs]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in [pool.submit(run, [*job, "-o", out]) for job, out in zip(jobs, objects, strict=True)]:
            made.result()
    driver = folder / f"decode-{build}"
    run([compiler() if simdjson is None else cpp_compiler(), *objects, "-o", driver])
    return driver


# --------------------------------------------------------------------------- telling


def show(figures: list[Figure], before: dict[str, float]) -> str:
    """A row per kind and build: nanoseconds, and how many times longer peers take, `!` where that misses a goal."""
    rows: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        kind, _, what = figure.name.partition(": ")
        rows.setdefault(kind, {})[what] = figure
    columns = [name for name in (*COLUMNS, *peers.PEERS) if any(name in row for row in rows.values())]
    ratios = [f"{peer} / {tier}" for peer, tier in GOALS]
    width = max(len(kind) for kind in rows) + 1
    out = ["ns per message, median of rounds; peer / tier: times longer, `!`: less than the goal; kept: the fast tier, or SBE, against it"]
    head = [_wrapped(name) for name in ("declined", *columns, *ratios, "kept")]
    out += ["".ljust(width) + "".join(lines[i].rjust(11) for lines in head) for i in range(2)]
    for kind, row in rows.items():
        cells = [f"{row['declined'].value:.0f} %" if "declined" in row else "-"]
        cells += [_cell(row.get(name)) for name in (*columns, *ratios)]
        own = row.get("fast") or row["sbe"]
        cells.append(f"{100 * (own.value / before[own.name] - 1):+.0f} %" if before.get(own.name) else "-")
        out.append(kind.ljust(width) + "".join(cell.rjust(11) for cell in cells))
    return "\n".join([*out, *_count(figures)])


def _wrapped(name: str) -> tuple[str, str]:
    """A column's name over two lines."""
    first, _, rest = name.partition(" " if " / " not in name else " / ")
    return (first, "/ " + rest) if " / " in name else (first.rstrip(","), rest)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    text = f"{figure.value:.2f}" if figure.unit == "times" else f"{figure.value:.1f}" if figure.value < 100 else f"{figure.value:.0f}"
    return text if figure.holds else f"{text} !"


def _count(figures: Sequence[Figure]) -> Iterator[str]:
    """How many rows reach each goal."""
    for peer, tier in GOALS:
        own = [figure for figure in figures if figure.name.endswith(f": {peer} / {tier}")]
        if own:
            goals = " or ".join(f"{goal:g}" for goal in sorted({figure.goal for figure in own if figure.goal is not None}))
            yield f"{peer} / {tier} ≥ {goals}: {sum(figure.holds for figure in own)} of {len(own)} rows"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
