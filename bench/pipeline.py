"""Nanoseconds per message from a frame in the receive region to its record in ring and latest table, on one core.

By number of instruments, of connections and of frames per read. Published messages and duplicates are told apart: every connection
brings the same frames, who is first changes with every read. May import `k4._codegen` and what stands in bench.
"""

from __future__ import annotations

import argparse
import re
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import frames
from bench.tools import Figure, builds, command, compile_driver, generated, run, spread

EXCHANGE = "binance"  # whose spec the frames follow
KINDS = {"bookTicker": (1, '"u":'), "trade": (2, '"t":'), "aggTrade": (3, '"a":'), "depth5": (4, '"lastUpdateId":')}
FRAMES = 16384  # of each round
SHAPES = ((1, 1), (10, 1), (2000, 1), (1, 2), (10, 2), (2000, 2), (10, 8), (2000, 8))  # instruments, connections
READ = 64  # frames per read
GROWTH = 1.5  # how many times more a message may cost with 2000 instruments, or 8 connections, than with one


def main(arguments: Sequence[str]) -> int:
    """Runs and prints."""
    return command("pipeline", __doc__, arguments, measure, rounds=15)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Every build and shape of bookTicker; other kinds and sizes of reads in one shape each."""
    out: list[Figure] = []
    with generated(EXCHANGE) as folder:
        for build, flags in builds():
            driver = compile_driver(folder, "pipeline", flags)
            for instruments, connections in SHAPES:
                out += _shape(folder, driver, build, "bookTicker", instruments, connections, READ, options.rounds)
            for read in (1, 1024):
                out += _shape(folder, driver, build, "bookTicker", 200, 2, read, options.rounds)
            for kind in ("trade", "aggTrade", "depth5"):
                out += _shape(folder, driver, build, kind, 200, 2, READ, options.rounds)
            out += _growth(build, {figure.name: figure.value for figure in out})
    return out


def _growth(build: str, ns: dict[str, float]) -> Iterator[Figure]:
    """What a message costs with more instruments and connections, against what it costs with fewer."""
    one, many, eight = (f"{build} bookTicker {shape} conn" for shape in ("1 instr 1", "2000 instr 1", "10 instr 8"))
    alone = ns[f"{build} bookTicker 10 instr 1 conn: published"]
    published, duplicate = ns[f"{eight}: published"], ns[f"{eight}: duplicate"]
    yield Figure(f"{build} 1 to 2000 instruments: published", "times", ns[f"{many}: published"] / ns[f"{one}: published"], goal=GROWTH)
    yield Figure(f"{build} 1 to 8 connections: published", "times", published / alone, goal=GROWTH)
    yield Figure(f"{build} 1 to 8 connections: all that arrive", "times", (published + 7 * duplicate) / 8 / alone, goal=GROWTH)


def _shape(folder: Path, driver: Path, build: str, kind: str, instruments: int, connections: int, read: int, rounds: int) -> list[Figure]:
    record, key = KINDS[kind]
    file = folder / f"{kind}-{instruments}.frames"
    if not file.exists():
        write_frames(file, kind, instruments, FRAMES)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as segments:
        text = run([driver, file, str(record), key, str(connections), str(read), str(rounds)], K4_SHM_DIR=segments)
    shape = f"{build} {kind} {instruments} instr {connections} conn"
    if read != READ:
        shape += f", {read} per read"
    out = []
    for line in text.splitlines():
        word, *values = line.split()
        if values:
            goal = {"published": 100.0, "duplicate": 60.0}[word] if kind == "bookTicker" and read == READ else None
            out.append(spread(f"{shape}: {word}", "ns", [float(value) for value in values], goal))
    return out


def write_frames(file: Path, kind: str, instruments: int, count: int) -> None:
    """Frames whose ids rise, so that each is an update of its own."""
    key = re.escape(KINDS[kind][1])
    wires = frames.frames(kind, count, instruments_count=instruments)
    numbered = [re.sub(rf"{key}\d+".encode(), f"{KINDS[kind][1]}{68791858400 + 7 * n}".encode(), wire) for n, wire in enumerate(wires)]
    file.write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in numbered))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
