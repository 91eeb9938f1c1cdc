"""What tests share: where captures are, what is compiled once for all of them, and one line for each thing that is not there to test with.

Tests run side by side in worker processes: what a test touches (shared memory, caches, ports) is its own, and what is compiled for
several files goes through `once`.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from k4.native import Native

    from .links import Bench
    from .logs import Lines
    from .segments import Writer
    from .theatre import Stage
    from .venue_server import Authority

ROOT = Path(__file__).resolve().parent.parent
# No example is judged by its time. Where CI is set, hypothesis draws the same examples every time by itself.
if not os.environ.get("CI"):
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")

Once = Callable[[str, Callable[[Path], object]], Path]
CAPTURES = Path(os.environ.get("K4_CAPTURES") or ROOT.parent / "shared" / "captures")


def pytest_report_header() -> list[str]:
    lines = []
    if not CAPTURES.is_dir():
        lines.append(f"not run: tests on captured frames, {CAPTURES} is not there (set K4_CAPTURES)")
    if shutil.which("clang") is None:
        lines.append("not run: tests with clang, it is not installed (Debian package clang)")
    if shutil.which("flatc") is None:
        lines.append("not run: comparison with flatc, it is not installed (Debian package flatbuffers-compiler)")
    if shutil.which("spin") is None:
        lines.append("not run: the model of the ring, Spin is not installed (Debian package spin)")
    if shutil.which("systemd-analyze") is None:
        lines.append("not run: systemd's own check of the unit, systemd-analyze is not installed (Debian package systemd)")
    if shutil.which("git") is None:
        lines.append("not run: that nothing generated is committed, git is not installed (Debian package git)")
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """What a failed test has left open is collected before the next one begins, which would be blamed for it: warnings are errors."""
    done = yield
    if getattr(sys, "last_value", None) is not None:  # the traceback holds its frames
        sys.last_value = sys.last_traceback = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    return done


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once(name, make)`: a folder that `make` filled, for all workers of a run; the first one fills it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / f"once-{name}"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                begun = shared / f"once-{name}.begun"
                shutil.rmtree(begun, ignore_errors=True)
                begun.mkdir()
                make(begun)
                begun.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of captured frames."""
    if not CAPTURES.is_dir():
        pytest.skip(f"{CAPTURES} is not there (set K4_CAPTURES)")
    return CAPTURES


@pytest.fixture(scope="session")
def headers(once: Once) -> Path:
    """A folder with the generated headers k4_records.h and k4.h, for tests that compile C."""
    from .segments import write_headers

    return once("headers", write_headers)


@pytest.fixture(scope="session")
def examples(once: Once, headers: Path) -> dict[str, Path]:
    """The example readers as each compiler that is there makes them."""
    from .segments import compile_examples, example_programs

    return example_programs(once("examples", lambda folder: compile_examples(folder, headers)))


@pytest.fixture(scope="session")
def built_in(once: Once) -> Path:
    """The parsers of the built-in specs and the core, without the extension around them: tests.codegen.compiled names what is there."""
    from .codegen.compiled import build_built_in

    return once("built-in", build_built_in)


@pytest.fixture(scope="session")
def native() -> Native:
    """The extension of the built-in specs, compiled if the user's cache has none that matches."""
    from k4 import native
    from k4._codegen import build

    build.build()
    return native.load(())


@pytest.fixture(scope="session")
def program(once: Once, headers: Path) -> Path:
    """The writer of segments that is driven line by line, compiled."""
    from .segments import WRITER, compile_writer

    return once("writer", lambda folder: compile_writer(folder, headers)) / WRITER


@pytest.fixture
def shm(monkeypatch: pytest.MonkeyPatch, native: Native) -> Iterator[Path]:
    """A folder of its own for the segments of one test, read and written by everything that looks at $K4_SHM_DIR."""
    from .segments import folder_of_segments

    for folder in folder_of_segments():
        monkeypatch.setenv("K4_SHM_DIR", str(folder))
        yield folder


@pytest.fixture
def writer(shm: Path, program: Path) -> Iterator[Writer]:
    """A writer in a process of its own, in that folder."""
    from .segments import Writer

    with Writer(program) as made:
        yield made


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority, with what it gives a server on loopback and those that trust it."""
    from .venue_server import authority

    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged meanwhile, line by line."""
    from . import logs

    with logs.captured() as captured:
        yield captured


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: Native) -> Stage:
    """A folder for `k4` commands, with shared memory of its own."""
    from .theatre import Stage

    del native  # compiled by then
    for name in ("shm", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path / "shm"))
    return Stage(tmp_path)


@pytest.fixture
def bench(native: Native, tls: Authority, tmp_path: Path) -> Iterator[Bench]:
    """A feed of one segment, and what a connection needs to fill it."""
    from .links import opened

    with opened(native, tls, tmp_path) as made:
        yield made
