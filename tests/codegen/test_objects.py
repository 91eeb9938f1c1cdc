"""Compiled objects that are kept: which one is taken, which is made anew, and that no damaged one is ever linked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from k4._codegen import build, cache, compiler, objects, places
from tests.codegen.compiled import FUNCTIONS

ROOT = places.schema().parent
OPTIONS = ("-std=c11", "-Wall")
SOURCE = '#include "one.h"\nint f(void);\nint f(void) { return ONE; }\n'


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own with the folder of objects, by the compiler of every day."""
    for name in ("CC", "K4_CFLAGS", "CPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache.own(cache.cache() / "objects")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "src")


def write_source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "one.h").write_text("#define ONE 1\n")
    (folder / "f.c").write_text(SOURCE)
    return folder / "f.c"


def key(kept: Path, source: Path, options: tuple[str, ...] = OPTIONS) -> str | None:
    return objects.Objects(kept, compiler.find_compiler()).key((*options, *compiler.flags()), [f"-I{source.parent}"], source)


def make(kept: Path, source: Path, output: Path) -> tuple[str, bool]:
    """One build of one source: what the compiler said, and whether it was asked to compile."""
    store = objects.Objects(kept, compiler.find_compiler())
    ran: list[Path] = []
    real = build._compile

    def compile_told(command: list[str], what: Path) -> str:
        ran.append(what)
        return real(command, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_compile", compile_told)
        said = build._make_object(compiler.find_compiler(), (*OPTIONS, *compiler.flags()), [f"-I{source.parent}"], source, output, store)
    store.keep()
    return said, bool(ran)


# --------------------------------------------------------------------------- what makes another object


def test_the_same_text_is_the_same_object_wherever_it_stands(kept: Path, source: Path, tmp_path: Path) -> None:
    first = key(kept, source)
    assert first is not None
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert key(kept, write_source(tmp_path / "elsewhere")) == first
    (source.parent / "one.h").write_text("/* said otherwise */\n#define ONE 1\n")
    assert key(kept, source) == first


def _compiler_of_ones_own(source: Path, patch: pytest.MonkeyPatch) -> None:
    _script(source.parent / "cc", 'exec gcc "$@"')
    patch.setenv("CC", str(source.parent / "cc"))


def _header_in_front(source: Path, patch: pytest.MonkeyPatch) -> None:
    source.write_text(SOURCE.replace('"one.h"', "<one.h>"))
    (source.parent / "one.h").rename(source.parent.parent / "one.h")
    patch.setenv("CPATH", str(source.parent.parent))
    (source.parent.parent / "one.h").write_text("#define ONE 2\n")


OTHER: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "source": lambda source, patch: source.write_text(SOURCE.replace("ONE;", "ONE + 1;")),
    "header": lambda source, patch: (source.parent / "one.h").write_text("#define ONE 2\n"),
    "header of the system": _header_in_front,
    "flag": lambda source, patch: patch.setenv("K4_CFLAGS", "-O1"),
    "definition": lambda source, patch: patch.setenv("K4_CFLAGS", "-DONE_MORE"),
    "compiler": lambda source, patch: patch.setenv("CC", "clang"),
    "program": _compiler_of_ones_own,
}


@pytest.mark.parametrize("what", OTHER)
def test_anything_else_is_another_object(what: str, kept: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "compiler" and shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    first = key(kept, source)
    OTHER[what](source, monkeypatch)
    second = key(kept, source)
    assert second is not None
    assert second != first


def test_other_options_are_another_object(kept: Path, source: Path) -> None:
    assert len({key(kept, source), key(kept, source, ("-std=c11", "-Wall", "-fPIC")), key(kept, source, ("-std=c17", "-Wall"))}) == 3


def test_another_version_of_the_same_compiler_is_another_object(kept: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that only starts another one stays as it is when that one is replaced; what it says of itself does not."""
    behind = source.parent / "behind"
    _script(source.parent / "cc", f'exec {behind} "$@"')
    monkeypatch.setenv("CC", str(source.parent / "cc"))
    keys = []
    for version in ("12.2.0", "12.2.1"):
        _script(behind, f'echo "version {version}" >&2; for last; do :; done; cat "$last"')
        keys.append(key(kept, source))
    assert len({*keys, None}) == 3


def _script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o700)


@pytest.mark.parametrize("flags", ["-g", "--coverage", "-include one.h", "-fsanitize=address", "-flto", "-fprofile-use=x", "-D ONE_MORE", "@file"])
def test_flags_that_may_do_more_keep_nothing(flags: str, kept: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K4_CFLAGS", flags)
    assert key(kept, source) is None


@pytest.mark.parametrize("command", ["gcc gcc", "gcc -pipe", "gcc -B/tmp"])
def test_words_behind_the_compiler_count_as_flags(command: str, kept: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", command)
    assert key(kept, source) is None


@pytest.mark.parametrize("flags", ["", "-O3 -march=native", f"-O0 '{FUNCTIONS}'", "-fno-plt -UNDEBUG"])
def test_flags_that_objects_are_kept_with(flags: str, kept: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K4_CFLAGS", flags)
    assert key(kept, source) is not None


def test_a_source_that_cannot_be_read_has_none(kept: Path, source: Path) -> None:
    (source.parent / "one.h").unlink()
    assert key(kept, source) is None


# --------------------------------------------------------------------------- taking and keeping


def test_compiled_once(kept: Path, source: Path, tmp_path: Path) -> None:
    assert make(kept, source, tmp_path / "a.o") == ("", True)
    assert make(kept, source, tmp_path / "b.o") == ("", False)
    assert (tmp_path / "b.o").read_bytes() == (tmp_path / "a.o").read_bytes()
    (source.parent / "one.h").write_text("#define ONE 2\n")
    assert make(kept, source, tmp_path / "c.o") == ("", True)
    assert (tmp_path / "c.o").read_bytes() != (tmp_path / "a.o").read_bytes()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit": lambda data: data[:-7] + bytes([data[-7] ^ 4]) + data[-6:],
    "cut off": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "its seal": lambda data: bytes([data[0] ^ 1]) + data[1:],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_object_is_made_anew(how: str, kept: Path, source: Path, tmp_path: Path) -> None:
    make(kept, source, tmp_path / "a.o")
    (file,) = kept.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[how](whole))
    assert make(kept, source, tmp_path / "b.o") == ("", True)
    assert (tmp_path / "b.o").read_bytes() == (tmp_path / "a.o").read_bytes()
    assert file.read_bytes() == whole
    assert make(kept, source, tmp_path / "c.o") == ("", False)


def test_an_object_in_the_place_of_another_is_damaged(kept: Path, source: Path, tmp_path: Path) -> None:
    make(kept, source, tmp_path / "a.o")
    (first,) = kept.iterdir()
    source.write_text(SOURCE.replace("ONE;", "ONE + 1;"))
    make(kept, source, tmp_path / "b.o")
    (second,) = set(kept.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    assert make(kept, source, tmp_path / "c.o") == ("", True)
    assert (tmp_path / "c.o").read_bytes() == (tmp_path / "b.o").read_bytes()


def test_what_was_warned_of_is_warned_of_again(kept: Path, source: Path, tmp_path: Path) -> None:
    source.write_text(SOURCE.replace("{", "{ int unused;"))
    first, ran = make(kept, source, tmp_path / "a.o")
    assert ran
    assert "unused variable" in first
    assert list(kept.iterdir()) == []
    assert make(kept, source, tmp_path / "a.o") == (first, True)


def test_what_was_not_used_for_longest_goes(kept: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "KEPT_OBJECTS", 3)
    made: list[Path] = []
    for i in range(3):
        source.write_text(SOURCE.replace("ONE;", f"{i};"))
        make(kept, source, tmp_path / "a.o")
        made += set(kept.iterdir()) - set(made)
        os.utime(made[-1], (i, i))
    source.write_text(SOURCE.replace("ONE;", "0;"))
    assert make(kept, source, tmp_path / "a.o") == ("", False)  # used again: now the youngest
    source.write_text(SOURCE.replace("ONE;", "3;"))
    assert make(kept, source, tmp_path / "a.o") == ("", True)
    assert [file.exists() for file in made] == [True, False, True]
    assert len(list(kept.iterdir())) == 3


def test_objects_are_whole_whoever_writes_them(kept: Path) -> None:
    """Four processes write the same object again and again, and read it meanwhile: there is always one, and never a part of one."""
    script = """
import sys
from pathlib import Path
from k4._codegen import objects
folder, output = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(100):
    store = objects.Objects(folder, ["cc"])
    output.write_bytes(b"x" * 300_000)
    store.add("k", output)
    store.keep()
    output.unlink()
    assert objects.Objects(folder, ["cc"]).take("k", output)
    assert output.read_bytes() == b"x" * 300_000
"""
    processes = [subprocess.Popen([sys.executable, "-c", script, str(kept), str(kept.parent / f"out{i}")], cwd=ROOT) for i in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    assert [file.name for file in kept.iterdir()] == ["k"]


# --------------------------------------------------------------------------- the folder


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_objects_that_others_can_write_are_not_taken(mode: int, kept: Path) -> None:
    kept.chmod(mode)
    with pytest.raises(compiler.BuildError, match=r"objects can be written by others; code is loaded from there") as caught:
        build.build()
    assert caught.value.hint == f"chmod 700 {kept}"


def test_a_folder_that_cannot_be_made_is_told(kept: Path) -> None:
    kept.rmdir()
    kept.write_text("")
    with pytest.raises(compiler.BuildError, match=r"objects cannot be made: File exists") as caught:
        build.build()
    assert caught.value.hint == cache.WRITABLE


# --------------------------------------------------------------------------- the real thing


def test_a_build_of_kept_objects_is_the_one_from_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiled: list[str] = []
    real = build._compile

    def compile_told(command: list[str], what: Path) -> str:
        compiled.append(what.name)
        return real(command, what)

    def built(*specs: Path) -> tuple[bytes, set[str]]:
        """The extension of a build made now, and what was compiled for it."""
        compiled.clear()
        extension = build.build(specs) / cache.EXTENSION
        text = extension.read_bytes()
        shutil.rmtree(extension.parent)
        return text, set(compiled) - {cache.EXTENSION}

    monkeypatch.setenv("K4_CFLAGS", f"-O0 '{FUNCTIONS}'")
    monkeypatch.setattr(build, "_compile", compile_told)
    first, all_sources = built()
    assert {file.name for file in places.csrc().glob("*.c")} | {"k4_products.c", "_k4_bridge.c"} < all_sources
    damaged = min(kept.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    again, anew = built()
    assert again == first
    assert len(anew) == 1
    specs = tmp_path / "specs"
    specs.mkdir()
    shutil.copyfile(ROOT / "tests/cases/specs/nova.toml", specs / "nova.toml")
    assert built(specs)[1] == {"k4_nova.c", "k4_nova_fast.c", "k4_products.c"}
