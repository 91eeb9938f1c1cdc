"""Tests of pytest that drive the extension, with every C of theirs under AddressSanitizer and UBSan: `sanitize.py TEST...`.

Usually the Makefile's SANITIZED, which try most in the least time. The extension is loaded into an interpreter that knows nothing of
sanitizers, so their library is loaded before all else. The C tests have settings of their own for this in run.py, and the fuzz targets
are compiled so. May import `coverage`, which wraps the compiler.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(ROOT))

from tests.c import coverage  # noqa: E402

# Not optimised and, as for coverage, with always-inline code kept apart: the compiler then takes a small part of the time.
FLAGS = "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Dalways_inline=noinline -Wno-attributes"
# Python frees nothing at its end; wrong alignment and the like end the process with a trace of where it was.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
}


def main(tests: list[str]) -> int:
    if shutil.which("gcc") is None:
        print("sanitize: gcc is needed; apt-get install gcc", file=sys.stderr)
        return 1
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_file():
        print("sanitize: gcc has no libasan; apt-get install libgcc-12-dev, or that of your gcc", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="k4-sanitize-") as made:
        environment = coverage.wrapped(Path(made), FLAGS) | OPTIONS | {"LD_PRELOAD": os.path.realpath(library)}
        done = subprocess.run([*coverage.PYTEST, *tests], env=environment, cwd=coverage.ROOT, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
