"""What the tests of segments share: a writer driven line by line, and records made by hand, independent of what reads them."""

from __future__ import annotations

import contextlib
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

import pytest

ROOT = Path(__file__).resolve().parent.parent
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
ABSENT = -(1 << 63)
NUMBER = {"bbo": 1, "trade": 2, "aggtrade": 3, "depth5": 4, "depth20": 5}


def common(
    *, source: int = 0, flags: int = 0, event: int = 1, engine: int = ABSENT, recv: int = 2, price_exp: int = -2, qty_exp: int = -4
) -> bytes:
    return struct.pack("<IHHqqqbb6x", 0, source, flags, event, engine, recv, price_exp, qty_exp)


def bbo(update_id: int, bid: int, bid_qty: int, ask: int, ask_qty: int, **head: int) -> bytes:
    return common(**head) + struct.pack("<qqqqqii", update_id, bid, bid_qty, ask, ask_qty, -1, -1)


def trade(trade_id: int, price: int, qty: int, *, maker: bool = False, kind: int = 0, **head: int) -> bytes:
    return common(**head) + struct.pack("<qqqBB6x", trade_id, price, qty, maker, kind)


def aggtrade(agg_id: int, first: int, last: int, count: int, price: int, qty: int, *, maker: bool = False, **head: int) -> bytes:
    return common(**head) + struct.pack("<qqqi4xqqB7x", agg_id, first, last, count, price, qty, maker)


def depth(levels: int, update_id: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]], **head: int) -> bytes:
    def column(side: list[tuple[int, int]], part: int) -> list[int]:
        return [level[part] for level in side] + [ABSENT] * (levels - len(side))

    numbers = column(bids, 0) + column(bids, 1) + column(asks, 0) + column(asks, 1)
    counts = [-1] * (2 * levels)
    return common(**head) + struct.pack(f"<qBB6x{4 * levels}q{2 * levels}i", update_id, len(bids), len(asks), *numbers, *counts)


class Writer:
    """The writer of one segment, in a process of its own (tests/c/segment_writer.c), which ends with its input."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, line: str) -> str:
        """The answer to a command, as it is."""
        pipe_in, pipe_out = self._pipes()
        pipe_in.write(line + "\n")
        pipe_in.flush()
        return pipe_out.readline().rstrip("\n")

    def do(self, line: str) -> list[int]:
        """The numbers of a command that must work."""
        answer = self.ask(line)
        assert answer.startswith("ok"), answer
        return [int(word) for word in answer.split()[1:]]

    def open(self, name: str, record: str, *, slots: int = 64, symbols: int = 8) -> list[int]:
        return self.do(f"open {name} {NUMBER[record]} {slots} {symbols}")

    def symbol(self, symbol: str, exchange: str = "nova", product: str = "spot") -> int:
        return self.do(f"symbol {exchange} {product} {symbol}")[0]

    def put(self, instrument: int, record: bytes) -> int:
        return self.do(f"put {instrument} {record.hex()}")[0]

    def many(self, instrument: int, count: int, record: bytes) -> int:
        return self.do(f"many {instrument} {count} {record.hex()}")[0]

    def close(self) -> None:
        self.do("close")

    def kill(self) -> None:
        """Dies as by SIGKILL: nothing is closed."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        for pipe in self._pipes():
            with contextlib.suppress(BrokenPipeError):  # what a killed one had not read
                pipe.close()
        self.process.wait(60)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout


WRITER = "segment_writer"


def write_headers(folder: Path) -> None:
    """The generated headers."""
    from k4._codegen import fbs, generate, places

    records = fbs.load(places.schema() / "records.fbs")
    (folder / generate.RECORDS_HEADER).write_text(generate.records_header(records), encoding="utf-8")
    (folder / generate.READER_HEADER).write_text(generate.reader_header(records), encoding="utf-8")


def compile_writer(folder: Path, headers: Path) -> None:
    core = [str(ROOT / "csrc" / f"k4_{name}.c") for name in ("symtab", "entries", "shmfile", "takeover", "segment", "view")]
    include = [f"-I{headers}", f"-I{ROOT / 'csrc'}"]
    source = str(ROOT / "tests" / "c" / "segment_writer.c")
    subprocess.run(["gcc", "-std=c11", "-O2", *STRICT, *include, source, *core, "-o", str(folder / WRITER)], check=True, timeout=60)


def compile_c(name: str, folder: Path, headers: Path) -> Path:
    """A program of tests/c that needs k4.h and nothing else, as a user's does."""
    program = folder / name
    source = str(ROOT / "tests" / "c" / f"{name}.c")
    subprocess.run(["gcc", "-std=c11", "-O2", *STRICT, f"-I{headers}", source, "-o", str(program)], check=True, timeout=120)
    return program


EXAMPLES = {
    "gcc": ("gcc", "-std=c11", "reader.c"),
    "clang": ("clang", "-std=c11", "reader.c"),
    "g++": ("g++", "-std=c++17", "reader.cpp"),
    "clang++": ("clang++", "-std=c++17", "reader.cpp"),
}


def example_programs(folder: Path) -> dict[str, Path]:
    """The readers of examples/ in `folder`, by the compiler that made them; compilers that are not there are left out."""
    return {name: folder / f"reader-{name}" for name, (compiler, _, _) in EXAMPLES.items() if shutil.which(compiler)}


def compile_examples(folder: Path, headers: Path) -> None:
    strict = ("-O2", "-Wall", "-Wextra", "-Werror")
    for name, program in example_programs(folder).items():
        compiler, standard, source = EXAMPLES[name]
        command = [compiler, standard, *strict, f"-I{headers}", str(ROOT / "examples" / source), "-o", str(program)]
        subprocess.run(command, check=True, timeout=120)


def folder_of_segments() -> Iterator[Path]:
    """A folder of its own in memory, removed afterwards."""
    import tempfile

    base = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="k4-test-", dir=base if base.is_dir() else None) as made:
        yield Path(made)


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
