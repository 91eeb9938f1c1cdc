"""From spec folders to a compiled extension in the user's cache; see `cache` for where that is.

Imports `cache`, `cdef`, `compiler`, `digest`, `errors`, `exchange`, `fbs`, `generate`, `ir`, `objects`, `places`, `sizes`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import digest, exchange, fbs, generate, ir, places, sizes
from .cache import CONTENT, EXTENSION, WRITABLE, cache, check_folders, folder_for, own
from .cdef import write_bridge
from .compiler import NO_COMPILER, BuildError, find_compiler, flags
from .errors import Finding, FindingsError
from .objects import Objects

KEPT_BUILDS = 8
STANDARD = ("-std=c11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion", "-Wshadow")
# What is only a warning to some compilers, and never right.
NEVER = ("-Werror=int-conversion", "-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration")


def load(specs: Sequence[Path] = ()) -> tuple[ir.Records, tuple[ir.Exchange, ...]]:
    """Records and exchanges of the built-in specs and the folders `specs`.

    Raises FindingsError with everything that is wrong in any file, BuildError for a folder that is none.
    """
    check_folders(specs)
    records = fbs.load(places.schema() / digest.RECORDS)
    findings: list[Finding] = []
    exchanges: dict[str, ir.Exchange] = {}
    for file in digest.spec_files(specs):
        try:
            found = exchange.load(file, records)
        except FindingsError as error:
            findings += error.findings
            continue
        first = exchanges.setdefault(found.name, found)
        if first is not found:
            twice = f'exchange "{found.name}" is also in {first.file}; give it another name, and the file with it'
            findings.append(Finding(str(file), 1, twice))
        findings += sizes.check(found)
    if findings:
        raise FindingsError(findings)
    return records, tuple(exchanges.values())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time; a second one waits and then finds the work done."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(specs: Sequence[Path] = ()) -> Path:
    """The folder of the compiled extension for the built-in specs and the folders `specs`; compiles only what is not there yet.

    Raises FindingsError for what is wrong in specs, BuildError for all else.
    """
    check_folders(specs)
    content = digest.content(specs)
    target = folder_for(content)
    if target.is_dir():
        return target
    try:
        return _build(target, specs, content)
    except OSError as error:
        raise BuildError(f"{error.filename or target} cannot be written: {error.strerror}", WRITABLE) from error


def _build(target: Path, specs: Sequence[Path], content: str) -> Path:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    with _locked(target.parent):
        if target.is_dir():
            return target
        # We hold the lock, so whatever is under a temporary name was left behind by a build that was killed.
        for left in target.parent.glob(".new-*"):
            shutil.rmtree(left)
        kept = Objects(own(cache() / "objects"), find_compiler())
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            compile_into(temporary, specs, kept)
            _check_unchanged(specs, content)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        kept.keep()  # not before: an object of a source that changed meanwhile would be another one's
        _prune(target.parent)
    return target


def _check_unchanged(specs: Sequence[Path], content: str) -> None:
    if digest.content(specs) != content:
        raise BuildError("sources changed while they were compiled", "type it again")


def _prune(builds: Path) -> None:
    finished = sorted((p for p in builds.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: p.stat().st_mtime)
    for old in finished[:-KEPT_BUILDS]:
        shutil.rmtree(old, ignore_errors=True)


def compile_into(folder: Path, specs: Sequence[Path], kept: Objects | None = None) -> Path:
    """Generates and compiles into `folder`: the extension, the IR's literal and the generated text. Returns `folder`.

    What is in `kept` is not compiled again; what is not is added there.
    """
    compiler = find_compiler()
    content = digest.content(specs)
    records, exchanges = load(specs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTENT).write_text(content, encoding="ascii")
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    include = [f"-I{place}" for place in (folder, places.csrc(), sysconfig.get_path("include"))]
    jobs: list[concurrent.futures.Future[str]] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:

        def submit(source: Path, *options: str) -> None:
            output = objects / f"{source.stem}.o"
            jobs.append(pool.submit(_make_object, compiler, options, include, source, output, kept))

        # First, for it waits for nothing that is generated. cffi's text is not ours to warn about; its assertions would name this folder.
        submit(write_bridge(folder), "-std=c11", "-fPIC", "-fvisibility=hidden", "-w", "-DNDEBUG", *flags())
        for name, text in generate.files(records, exchanges, content):
            (folder / name).write_text(text, encoding="utf-8")
            if name.endswith(".c"):
                submit(folder / name, *STANDARD, *NEVER, *flags())
        for source in sorted(places.csrc().glob("*.c"), key=lambda file: file.stat().st_size, reverse=True):
            submit(source, *STANDARD, *NEVER, *flags())
        warnings = [job.result() for job in jobs]
    outputs = sorted(objects.iterdir())
    _compile([*compiler, "-shared", *flags(), *map(str, outputs), "-o", str(folder / EXTENSION)], folder / EXTENSION)
    shutil.rmtree(objects)
    _check_loads(folder / EXTENSION)
    sys.stderr.write("".join(warnings))
    return folder


def _check_loads(extension: Path) -> None:
    """A shared object links whatever is missing; only loading tells. In another process, so that this one stays clean."""
    script = (
        "import sys, importlib.util as util; from importlib.machinery import ExtensionFileLoader as Loader; "
        "util.module_from_spec(util.spec_from_loader('_k4', Loader('_k4', sys.argv[1])))"
    )
    command = [sys.executable, "-P", "-c", script, str(extension)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 (our own interpreter)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1]
        raise BuildError(f"what was compiled cannot be loaded: {why}", "this is a fault of K4 unless CC or K4_CFLAGS caused it")


def _make_object(
    compiler: Sequence[str], options: Sequence[str], include: Sequence[str], source: Path, output: Path, kept: Objects | None
) -> str:
    """Compiles `source`, unless its object is kept; what the compiler had to say."""
    key = kept.key(options, include, source) if kept else None
    if kept and key and kept.take(key, output):
        return ""
    said = _compile([*compiler, *options, *include, "-c", str(source), "-o", str(output)], source)
    if kept and key and not said:
        kept.add(key, output)
    return said


def _compile(command: list[str], what: Path) -> str:
    """Runs the compiler; what it had to say. Raises BuildError when it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 (the user's own compiler)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}", NO_COMPILER) from error
    if done.returncode:
        text = "\n".join(done.stderr.splitlines()[:40])
        hint = "this is a fault of K4 unless CC or K4_CFLAGS caused it"
        raise BuildError(f"{what.name} does not compile: {shlex.join(command)}\n{text}", hint)
    return done.stderr
