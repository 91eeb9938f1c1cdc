"""Compiles every tests/c/test_*.c with the whole core and runs it: strictly, optimised, and under sanitizers.

A test is a program that exits 0. It may include any header of csrc/ and the generated ones; it links only what it uses. A comment
`link: OPTION...` in it adds options for the linker.
Usage: run.py [--setting NAME] [NAME...], as in `run.py ws arbiter`; without names, all of them, in every setting.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from k4._codegen import build, digest, fbs, generate, places

HERE = Path(__file__).resolve().parent
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
# The fast tier's readers as functions; with this and without optimising it compiles in a tenth of the time, and is checked as well.
FUNCTIONS = "-DK4_FAST_INLINE=static __attribute__((unused))"


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to compile; `threads`: only for tests that start threads."""

    name: str
    compiler: str
    options: tuple[str, ...]
    threads: bool = False


SETTINGS = (
    Setting("gcc -O2", "gcc", ("-O2",)),
    Setting("gcc address,undefined", "gcc", ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", FUNCTIONS)),
    Setting("gcc thread", "gcc", ("-O1", "-g", "-fsanitize=thread"), threads=True),
    Setting("clang -O2", "clang", ("-O2",)),
)


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}\nexit {done.returncode}")


def link_options(test: Path) -> list[str]:
    found = re.search(r"link: (.*?)\*/", test.read_text(encoding="utf-8"), re.DOTALL)
    return found[1].replace("*", " ").split() if found else []


def looks_for_products(test: Path) -> bool:
    """Does it need what is generated for exchanges? Most tests need nothing that is generated but headers, and make up a product (made_up.h)."""
    return "k4_product_find(" in test.read_text(encoding="utf-8")


def archive(setting: Setting, sources: list[Path], include: list[str], folder: Path, pool: concurrent.futures.Executor) -> Path:
    """The core as a static library, so that a test pulls in only what it calls."""
    folder.mkdir()
    objects = [folder / f"{source.stem}.o" for source in sources]
    commands = [
        [setting.compiler, *STRICT, *setting.options, *include, "-c", str(source), "-o", str(output)]
        for source, output in zip(sources, objects, strict=True)
    ]
    for job in [pool.submit(run, command) for command in commands]:
        job.result()
    library = folder / "libk4.a"
    run(["ar", "rcs", str(library), *map(str, objects)])
    return library


def check(setting: Setting, test: Path, library: Path, include: list[str]) -> str:
    """Compiles one test and runs it: the line that says it was right."""
    program = library.parent / test.stem
    options = (*include, str(test), str(library), "-lm", "-pthread", *link_options(test), "-o", str(program))
    run([setting.compiler, *STRICT, *setting.options, *options])
    run([str(program)])
    return f"ok: {test.name}, {setting.name}"


def main(arguments: list[str]) -> int:
    settings: tuple[Setting, ...] = SETTINGS
    names = arguments
    if arguments[:1] == ["--setting"]:
        settings = tuple(setting for setting in SETTINGS if setting.name == arguments[1])
        names = arguments[2:]
        if not settings:
            raise SystemExit(f"no setting of that name; there are {', '.join(setting.name for setting in SETTINGS)}")
    tests = sorted(HERE.glob("test_*.c"))
    if names:
        tests = [test for test in tests if test.stem.removeprefix("test_") in names]
    if not tests:
        raise SystemExit("no test of that name")
    records, exchanges = build.load() if any(map(looks_for_products, tests)) else (fbs.load(places.schema() / digest.RECORDS), ())
    with tempfile.TemporaryDirectory(prefix="k4-ctest-") as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        folder = Path(made)
        for name, text in generate.generate(records, exchanges).items():
            (folder / name).write_text(text, encoding="utf-8")
        include = [f"-I{folder}", f"-I{places.csrc()}"]
        sources = sorted(places.csrc().glob("*.c")) + sorted(folder.glob("*.c"))
        for setting in settings:
            wanted = [test for test in tests if not setting.threads or "pthread.h" in test.read_text(encoding="utf-8")]
            if shutil.which(setting.compiler) is None:
                print(f"not run: {setting.name}, {setting.compiler} is not installed (Debian package {setting.compiler})")
                continue
            if not wanted:
                continue
            own = [source for source in sources if any(map(looks_for_products, wanted)) or source.parent != folder]
            library = archive(setting, own, include, folder / setting.name.replace(" ", "-"), pool)
            for job in [pool.submit(check, setting, test, library, include) for test in wanted]:
                print(job.result(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
