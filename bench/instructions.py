"""Instructions per message, by kind and road, beside those last kept in instructions.json: figures that no load on the machine moves.

callgrind counts a C driver: the fast parser, the tolerant parser, all the way from bytes to the ring, alone and as the first of two
connections, and the way of a duplicate.
What costs over 3 % more than the kept figure fails, and the functions that grew are named. Other compilers make other code: then it
is said that nothing was compared. May import `k4._codegen`, `bench.frames`, `bench.kinds` and
`bench.readme`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(ROOT))

from bench import frames, kinds, readme  # noqa: E402
from k4._codegen import exchange, fbs, generate, places  # noqa: E402

EXCHANGE = "binance"  # whose spec the frames follow
KEPT = ROOT / "bench/instructions.json"
FLAGS = ("-std=c11", "-O2")
COUNT = 256  # frames of each kind, of which the first quarter warms up
INSTRUMENTS = 16  # few, so that nearly all are met while warming up
TOLERATED = 0.03
BEGINS = ("fast", "sbe")  # the first road of a kind
ROADS = ("fast", "tolerant", "sbe", "publish", "first", "duplicate")
# memcpy and the like are chosen by processor; without this the same program counts differently on two machines.
PLAIN_LIBC = "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-RTM,-SSE4_2,-SSSE3,-BMI1,-BMI2,-MOVBE"


class CountError(Exception):
    """What stops the counting, for the one who started it."""


@dataclass(frozen=True, slots=True)
class Count:
    """One road of one kind, per message. `functions`: their own instructions, callees not included."""

    total: float
    functions: dict[str, float]


def main(arguments: list[str]) -> int:
    """Counts and compares; 1 when something costs more, or cannot be counted."""
    parser = argparse.ArgumentParser("bench instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help=f"write the counts into {KEPT.name}; later runs are compared with them")
    parser.add_argument("--against", type=Path, default=KEPT, metavar="FILE", help="compare with these counts instead")
    options = parser.parse_args(arguments)
    for tool in ("gcc", "valgrind"):
        if shutil.which(tool) is None:
            print(f"not run: instructions per message, {tool} is not installed (Debian package {tool})")
            return 0
    try:
        about, counts = count()
    except CountError as error:
        print(f"instructions: error: {error}", file=sys.stderr)
        return 1
    kept = json.loads(options.against.read_text()) if options.against.is_file() else None
    differs = None if kept is None else difference(kept["about"], about)
    print(table(counts, None if kept is None or differs else kept["counts"]))
    if options.keep:
        KEPT.write_text(json.dumps({"about": about, "counts": plain(counts)}, indent=1, sort_keys=True) + "\n")
        readme.write()
        print(f"kept in {KEPT.relative_to(ROOT)}, and in bench/README.md")
        return 0
    if kept is None:
        print(f"not compared: there is no {options.against.name}; --keep makes it")
        return 0
    if differs:
        print(f"not compared: {differs}")
        return 0
    grown = growth(kept["counts"], counts)
    print(*(grown or [f"nothing costs over {TOLERATED:.0%} more than what was kept"]), sep="\n")
    return 1 if grown else 0


# --------------------------------------------------------------------------- counting


def count() -> tuple[dict[str, str], dict[str, dict[str, Count]]]:
    """What the counts depend on, and the counts: kind → road → count. Raises CountError."""
    with tempfile.TemporaryDirectory(prefix="k4-instructions-") as name:
        folder = Path(name)
        driver = compile_driver(folder)
        files, symbols = [], set()
        spoken = frames.spoken((places.schema() / f"exchange/{EXCHANGE}.toml").read_text(encoding="utf-8"))
        told_of: dict[str, list[bytes]] = {}
        for kind in spoken:
            told_of[kind] = sorted(frames.frames(kind, COUNT, instruments_count=INSTRUMENTS), key=identity)
            symbols |= {re.findall(r'"stream":"(\w+)@', wire.decode())[0].upper() for wire in told_of[kind]}
        names = sorted(symbols)[:INSTRUMENTS]
        binaries = [kind for kind in kinds.kinds() if kind.binary and kind.exchange.name == EXCHANGE]
        told_of |= {f"{kind.word}.sbe": kinds.frames(kind, COUNT, names) for kind in binaries}
        for number, (kind_name, wires) in enumerate(told_of.items(), 3):
            files.append(folder / (kind_name if kind_name.endswith(".sbe") else f"{kind_name}.frames"))
            files[-1].write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in wires))
            (folder / str(number)).mkdir()
        (folder / "symbols").write_text("".join(f"{symbol}\n" for symbol in sorted(symbols)))
        output = run(
            [
                "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counted", "--collect-atstart=no", "--compress-strings=no",
                "--compress-pos=no", "--toggle-collect=steps_count_*", "--dump-after=steps_done", "--combine-dumps=no",
                str(driver), str(folder), str(folder / "symbols"), *map(str, files),
            ],
            environment={"GLIBC_TUNABLES": PLAIN_LIBC},
        )  # fmt: skip
        told = [line.split() for line in output.splitlines()]
        counts: dict[str, dict[str, Count]] = {}
        left = iter(told_of)
        for number, (road, messages) in enumerate(told):
            if road in BEGINS:
                counts[kind_name := next(left)] = {}
            counts[kind_name][road] = read_dump(folder / f"counted.{number + 1}", int(messages))
        if list(left) or any("duplicate" not in roads for kind, roads in counts.items() if not kind.startswith("depth.")):
            raise CountError(f"the driver did not count all: {', '.join(road for road, _ in told)}")
    return about_machine(), counts


def identity(wire: bytes) -> int:
    """A frame's id: the pipeline is to publish every frame, and publishes nothing older than what it has."""
    return int(re.findall(rb'"(?:u|t|a|lastUpdateId)":(\d+)', wire)[0])


def read_dump(file: Path, messages: int) -> Count:
    """callgrind's own costs per function, divided by the number of messages."""
    own: dict[str, int] = {}
    function, called = "", False
    for line in file.read_text().splitlines():
        if line.startswith("fn="):
            function = line[3:].partition("'")[0]
        elif line.startswith("calls="):
            called = True  # the next line is the callee's cost, which stands under its own name
        elif line[:1].isdigit():
            if not called:
                own[function] = own.get(function, 0) + int(line.split()[1])
            called = False
    total = sum(own.values()) / messages
    return Count(round(total, 1), {name: round(cost / messages, 1) for name, cost in sorted(own.items()) if cost / messages >= 0.05})


def compile_driver(folder: Path) -> Path:
    """The driver with the whole core and the generated parsers, as the wheel is compiled."""
    records = fbs.load(places.schema() / "records.fbs")
    spec = exchange.load(places.schema() / f"exchange/{EXCHANGE}.toml", records)
    made = []
    for name, text in generate.generate(records, [spec], "bench").items():
        (folder / name).write_text(text)
        made += [str(folder / name)] if name.endswith(".c") else []
    core = sorted(map(str, places.csrc().glob("*.c")))
    driver = folder / "steps"
    source = str(ROOT / "bench/c/steps.c")
    run(["gcc", *FLAGS, f"-I{folder}", f"-I{places.csrc()}", source, *made, *core, "-o", str(driver)])
    return driver


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}, timeout=1800)
    if done.returncode != 0:
        raise CountError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def about_machine() -> dict[str, str]:
    """What else than our code moves the counts."""
    return {
        "compiler": run(["gcc", "--version"]).splitlines()[0],
        "flags": " ".join(FLAGS),
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "frames": str(COUNT),
    }


# --------------------------------------------------------------------------- comparing and telling


def difference(kept: dict[str, str], about: dict[str, str]) -> str | None:
    """Why counts made there and here cannot be compared; None if they can."""
    found = [f"{key} was {kept.get(key)}, is {value}" for key, value in about.items() if kept.get(key) != value]
    return "; ".join(found) or None


def growth(kept: dict[str, Any], counts: dict[str, dict[str, Count]]) -> list[str]:
    """A line for each road that costs too much more, or is counted no more, and one for each function that grew on it."""
    out = []
    for kind, roads in counts.items():
        for road, now in roads.items():
            before = kept.get(kind, {}).get(road)
            if before is None:
                out.append(f"{kind} {road}: has no kept count; --keep makes one")
            elif now.total > before["total"] * (1 + TOLERATED):
                change = _change(before["total"], now.total)
                out.append(f"{kind} {road}: {before['total']:.1f} to {now.total:.1f} instructions per message ({change})")
                out += grown_functions(before["functions"], now.functions)
    gone = [f"{kind} {road}" for kind, roads in kept.items() for road in roads if road not in counts.get(kind, {})]
    return out + [f"{one}: was kept and is counted no more; --keep forgets it" for one in gone]


def grown_functions(before: dict[str, float], now: dict[str, float]) -> Iterable[str]:
    changes = {name: now.get(name, 0.0) - before.get(name, 0.0) for name in {*before, *now}}
    for name, more in sorted(changes.items(), key=lambda change: (-change[1], change[0])):
        if more >= 0.5:
            yield f"    {name}: {before.get(name, 0.0):.1f} to {now.get(name, 0.0):.1f}"


def plain(counts: dict[str, dict[str, Count]]) -> dict[str, Any]:
    return {kind: {road: {"total": c.total, "functions": c.functions} for road, c in roads.items()} for kind, roads in counts.items()}


def table(counts: dict[str, dict[str, Count]], kept: dict[str, Any] | None) -> str:
    """Instructions per message; in brackets, the change against what was kept."""
    out = ["instructions per message".ljust(26) + "".join(road.rjust(20) for road in ROADS)]
    for kind, roads in counts.items():
        cells = []
        for road in ROADS:
            before = (kept or {}).get(kind, {}).get(road)
            if road not in roads:
                cells.append("-")
                continue
            cells.append(f"{roads[road].total:.0f}" + (f" ({_change(before['total'], roads[road].total)})" if before else ""))
        out.append(kind.ljust(26) + "".join(cell.rjust(20) for cell in cells))
    return "\n".join(out)


def _change(before: float, now: float) -> str:
    return f"{(now - before) / before:+.1%}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
