"""gcc -fanalyzer over the core and all generated C: `analyze.py [FILE...]`. Any warning fails, and so does a file that takes too long.

May import `k4._codegen`.
"""

from __future__ import annotations

import concurrent.futures
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from k4._codegen import build, generate, places

FLAGS = ("-std=c11", "-O1", "-fanalyzer", "-Wall", "-Wextra", "-Wconversion", "-Wshadow")
# gcc 12 loses sight of what a kept book holds; that nothing leaks there is seen by AddressSanitizer in tests/c/test_book.c.
MISTAKEN = {"k4_books.c": "-Wno-analyzer-malloc-leak"}
SECONDS = 600  # of processor time, for one file


def analyze(source: Path, include: list[str]) -> tuple[str, str, float]:
    """(file's name, what was found, seconds)."""
    start = time.monotonic()
    command = ["gcc", *FLAGS, MISTAKEN.get(source.name, "-Wall"), *include, "-c", str(source), "-o", os.devnull]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return source.name, said, time.monotonic() - start


def main(names: list[str]) -> int:
    """1 if anything was found."""
    if shutil.which("gcc") is None:
        print("analyze: gcc is needed; apt-get install gcc", file=sys.stderr)
        return 1
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # of each process; gcc says when it is ended by it
    records, exchanges = build.load()
    with tempfile.TemporaryDirectory(prefix="k4-analyze-") as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        folder = Path(made)
        for name, text in generate.generate(records, exchanges).items():
            (folder / name).write_text(text, encoding="utf-8")
        include = [f"-I{folder}", f"-I{places.csrc()}"]
        sources = sorted([*folder.glob("*.c"), *places.csrc().glob("*.c")], key=lambda file: -file.stat().st_size)  # the long ones first
        found = False
        for name, text, seconds in pool.map(lambda source: analyze(source, include), [s for s in sources if not names or s.name in names]):
            found |= bool(text)
            print(f"{'found' if text else 'clean'}: {name}, {seconds:.0f} s" + (f"\n{text}" if text else ""), flush=True)
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of processor time in all")
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
