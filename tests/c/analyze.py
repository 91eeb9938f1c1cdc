"""gcc -fanalyzer over the core and all generated C: `analyze.py [core | generated]`. Any warning fails, and so does a file that takes too long.

The core is read as it stands, calls followed as far as gcc does. In generated C and the headers that it includes every function is read
apart, as if what it calls stood in another file: there are hundreds, each called by many, and gcc, which follows every chain of calls anew,
gives up long before their end.

May import `k4._codegen`.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from k4._codegen import build, generate, places

FLAGS = ("-std=c11", "-O1", "-fanalyzer", "-Wall", "-Wextra", "-Wconversion", "-Wshadow")
# By default gcc stops, and says nothing, after five states for each place of a file; apart, all functions are seen to their ends.
ALL_STATES = ("--param", "analyzer-bb-explosion-factor=100")
# gcc 12 loses sight of what a kept book holds; that nothing leaks there is seen by AddressSanitizer in tests/c/test_book.c.
MISTAKEN = {"k4_books.c": "-Wno-analyzer-malloc-leak"}
SECONDS = 600  # of processor time, for one file
# The head of a function at the margin, its brace below it: what stands before the name, the name, the parameters.
FUNCTION = re.compile(r"^([A-Za-z_][^;{}#]*?\W)(\w+)(\((?:[^()]|\([^()]*\))*\))(?: /\*.*\*/)?\n\{", re.MULTILINE)
# What makes it the file's own, or part of its callers.
LINKAGE = re.compile(r"\b(static|inline|K4_SLOW|K4_FAST_INLINE|K4_FAST_APART|K4_FAST_RARE)\b|__attribute__\(\((?:[^()]|\([^()]*\))*\)\)")


def apart(text: str) -> str:
    """Every function under another name than the one that is called, line by line where it was."""

    def named_anew(found: re.Match[str]) -> str:
        before, name, parameters = LINKAGE.sub("", found[1]), found[2], found[3]
        return f"{before}{name}{parameters}; ".replace("\n", " ") + f"{before}apart_{name}{parameters}\n{{"

    return FUNCTION.sub(named_anew, text)


def write_apart(folder: Path) -> list[Path]:
    """Generated C and the headers that it includes, functions apart; the sources."""
    records, exchanges = build.load()
    for header in places.csrc().glob("*.h"):
        (folder / header.name).write_text(apart(header.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in generate.generate(records, exchanges).items():
        (folder / name).write_text(apart(text), encoding="utf-8")
    return list(folder.glob("*.c"))


def analyze(source: Path, options: list[str]) -> tuple[str, str, float]:
    """(file's name, what was found, seconds)."""
    start = time.monotonic()
    command = ["gcc", *FLAGS, MISTAKEN.get(source.name, "-Wall"), *options, "-c", str(source), "-o", os.devnull]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return source.name, said, time.monotonic() - start


def main(parts: list[str]) -> int:
    """1 if anything was found."""
    if shutil.which("gcc") is None:
        print("analyze: gcc is needed; apt-get install gcc", file=sys.stderr)
        return 1
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # of each process; gcc says when it is ended by it
    with tempfile.TemporaryDirectory(prefix="k4-analyze-") as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        folder = Path(made)
        jobs: list[tuple[Path, list[str]]] = []
        if "core" in parts or not parts:
            (folder / generate.RECORDS_HEADER).write_text(generate.records_header(build.load()[0]), encoding="utf-8")
            jobs += [(source, [f"-I{folder}", f"-I{places.csrc()}"]) for source in places.csrc().glob("*.c")]
        if "generated" in parts or not parts:
            (folder / "apart").mkdir()
            jobs += [(source, [f"-I{folder / 'apart'}", *ALL_STATES]) for source in write_apart(folder / "apart")]
        jobs.sort(key=lambda job: -job[0].stat().st_size)  # the long ones first
        found = False
        for name, text, seconds in pool.map(lambda job: analyze(*job), jobs):
            found |= bool(text)
            print(f"{'found' if text else 'clean'}: {name}, {seconds:.0f} s" + (f"\n{text}" if text else ""), flush=True)
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of processor time in all")
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
