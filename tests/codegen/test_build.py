"""The build: what is compiled when, what makes two builds the same, and what is said when one cannot be made.

The builds made here are of a small core of their own where the real one would take too long.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from k4 import generate, native
from k4._codegen import build, cache, compiler, digest, places
from k4.errors import K4Error

ROOT = places.schema().parent


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("K4_CFLAGS", raising=False)
    return tmp_path / "cache" / "k4"


@pytest.fixture
def fake_compile(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Puts a file in place of a compiled extension; the folders it was asked to fill."""
    calls: list[Path] = []

    def compile_into(folder: Path, specs: object, kept: object) -> Path:
        calls.append(folder)
        (folder / cache.EXTENSION).write_text("not code")
        return folder

    monkeypatch.setattr(build, "compile_into", compile_into)
    return calls


# --------------------------------------------------------------------------- the digest


def test_digest_is_the_same_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("codegen", "csrc", "schema", "templates"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(places, part, lambda part=part: tmp_path / part)
    now = digest.content(())
    monkeypatch.undo()
    assert digest.content(()) == now, "the digest must not depend on the place"
    for part in ("codegen", "csrc", "schema", "templates"):
        monkeypatch.setattr(places, part, lambda part=part: tmp_path / part)
    for name in ("codegen/ir.py", "csrc/k4_api.h", "schema/records.fbs", "schema/exchange/binance.toml", "templates/c.j2"):
        file = tmp_path / name
        before = file.read_bytes()
        file.write_bytes(before + b"\n")
        assert digest.content(()) != now, name
        file.write_bytes(before)
        assert digest.content(()) == now, name
    (tmp_path / "csrc" / "notes.txt").write_text("not an input")
    assert digest.content(()) == now
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "nova.toml").write_text("")
    assert digest.content((specs,)) != now


def test_key_sees_compiler_and_flags() -> None:
    made = [("c", "gcc", ("-O2",)), ("c", "clang", ("-O2",)), ("c", "gcc", ("-O2", "-g")), ("d", "gcc", ("-O2",))]
    assert len({digest.key(*each) for each in made}) == 4
    assert digest.key("c", "gcc", ("-O2", "-g")) != digest.key("c", "gcc", ("-O2-g",))


# --------------------------------------------------------------------------- the cache


def test_built_once(own_cache: Path, fake_compile: list[Path]) -> None:
    folder = build.build()
    assert build.build() == folder
    assert len(fake_compile) == 1
    assert folder.parent == own_cache / "builds"
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    assert [p.name for p in folder.iterdir()] == [cache.EXTENSION]


def test_other_flags_build_anew(own_cache: Path, fake_compile: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.build()
    monkeypatch.setenv("K4_CFLAGS", "-O1 -g")
    assert compiler.flags() == ("-O2", "-O1", "-g")
    assert build.build() != first
    assert len(fake_compile) == 2


def test_a_failed_build_leaves_nothing(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, specs: object, kept: object) -> Path:
        (folder / "half").write_text("done")
        raise compiler.BuildError("no")

    monkeypatch.setattr(build, "compile_into", fail)
    with pytest.raises(compiler.BuildError):
        build.build()
    assert [p.name for p in (own_cache / "builds").iterdir()] == ["lock"]


def test_what_a_killed_build_left_is_cleared(own_cache: Path, fake_compile: list[Path]) -> None:
    left = own_cache / "builds" / ".new-abc"
    left.mkdir(parents=True)
    own_cache.chmod(0o700)
    build.build()
    assert not left.exists()


def test_only_whole_builds_are_found(own_cache: Path, fake_compile: list[Path]) -> None:
    folder = build.build()
    for name in (".new-abc", "b" * 32):
        (folder.parent / name).mkdir()
        (folder.parent / name / cache.CONTENT).write_text("c" * 64)
        assert cache.find("c" * 64) == (None if name.startswith(".") else folder.parent / name)
    assert cache.find("d" * 64) is None


def test_sources_changed_meanwhile(own_cache: Path, fake_compile: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["a", "b"])
    monkeypatch.setattr(digest, "content", lambda specs: next(answers))
    with pytest.raises(compiler.BuildError, match="sources changed while they were compiled"):
        build.build()
    assert [p.name for p in (own_cache / "builds").iterdir()] == ["lock"]


def test_old_builds_go(own_cache: Path, fake_compile: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for i in range(build.KEPT_BUILDS + 2):
        monkeypatch.setenv("K4_CFLAGS", f"-DN={i}")
        folders.append(build.build())
        os.utime(folders[-1], (i, i))
    assert not folders[0].exists()
    assert all(folder.exists() for folder in folders[-build.KEPT_BUILDS :])


def test_one_build_at_a_time(own_cache: Path, fake_compile: list[Path]) -> None:
    """A second process waits for the lock, and then finds the work done."""
    build.build()
    (folder,) = [p for p in (own_cache / "builds").iterdir() if p.is_dir()]
    shutil.rmtree(folder)
    script = "import sys; from k4._codegen import build; build.compile_into = lambda folder, specs, kept: sys.exit('compiled'); build.build()"
    with (own_cache / "builds" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as process:
            time.sleep(1.5)
            assert process.poll() is None, "it must wait"
            folder.mkdir()
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert process.wait(timeout=20) == 0


def test_a_cache_others_can_write_is_refused(own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    own_cache.chmod(0o777)
    with pytest.raises(compiler.BuildError, match=r"can be written by others") as caught:
        cache.cache()
    assert caught.value.hint == f"chmod 700 {own_cache}"


def test_a_link_in_place_of_the_cache_is_refused(own_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    own_cache.parent.mkdir(parents=True)
    own_cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(compiler.BuildError, match=r"is not a folder"):
        cache.cache()


def test_a_foreign_cache_is_refused(own_cache: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    own_cache.mkdir(parents=True)
    os.chown(own_cache, 12345, 12345)
    with pytest.raises(compiler.BuildError, match=r"belongs to another user"):
        cache.cache()


def test_the_set_in_use_is_remembered(own_cache: Path, tmp_path: Path) -> None:
    assert cache.remembered() == ()
    cache.remember([tmp_path])
    assert cache.remembered() == (tmp_path,)
    (memory,) = own_cache.glob("set-*.json")
    memory.write_text("{")
    with pytest.raises(compiler.BuildError, match="cannot be read"):
        cache.remembered()


# --------------------------------------------------------------------------- what users are told


def test_nothing_built_says_what_to_type(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "HERE", tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "nova.toml").write_text("")
    with pytest.raises(K4Error, match="no compiled extension matches") as caught:
        native.load([tmp_path / "specs"])
    assert caught.value.hint == f"type: k4 codegen --spec {tmp_path / 'specs'}"


def test_missing_compiler_names_the_package(own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(K4Error, match=r"no C compiler found \(looked for cc, gcc, clang\)") as caught:
        generate.codegen([], None, check=False)
    assert caught.value.hint == "install one: apt-get install gcc (Debian package gcc), or name yours in CC"
    assert [p.name for p in (own_cache / "builds").iterdir()] == ["lock"]
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(K4Error, match="CC=no-such-cc: no such compiler"):
        generate.codegen([], None, check=False)


def test_missing_python_headers_name_the_package(own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiler.sysconfig, "get_path", lambda name: str(tmp_path))  # type: ignore[attr-defined]
    with pytest.raises(compiler.BuildError, match=r"Python\.h is missing") as caught:
        compiler.find_compiler()
    assert "python3-dev" in caught.value.hint


def test_compile_errors_show_the_command(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K4_CFLAGS", "-include no_such_header.h")
    with pytest.raises(K4Error, match=r"does not compile: .*-std=c11.*no_such_header\.h") as caught:
        generate.codegen([], None, check=False)
    assert "K4_CFLAGS" in caught.value.hint
    assert [p.name for p in (own_cache / "builds").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "no spec in it"),
        (lambda folder: (folder.mkdir(), (folder / "x.xml").write_text("")), "no spec in it"),  # a schema alone is none
    ],
)
def test_spec_folders_that_are_none(own_cache: Path, tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    make(tmp_path / "specs")
    for work in (lambda s: generate.codegen(s, None, check=False), lambda s: generate.codegen(s, None, check=True), native.load):
        with pytest.raises(K4Error, match=says):
            work([tmp_path / "specs"])


def test_wrong_specs_are_all_reported(own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "one.toml").write_text('name = "one"\nbogus = 1\n')
    (specs / "two.toml").write_text('name = "two"\nproduct = \n')
    for check in (True, False):
        assert generate.codegen([specs], None, check=check) == 1
        said = capsys.readouterr()
        lines = said.err.splitlines()
        assert any(line.startswith(f"{specs}/one.toml:2: ") and "bogus" in line for line in lines), lines
        assert any(line.startswith(f"{specs}/two.toml:2: ") for line in lines), lines
        assert lines[-1] == f"k4: error: {len(lines) - 1} findings; nothing was compiled"
        assert said.out == ""


def test_a_second_spec_of_the_same_exchange(own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    shutil.copyfile(places.schema() / "exchange" / "binance.toml", specs / "binance.toml")
    assert generate.codegen([specs], None, check=True) == 1
    assert f'{specs}/binance.toml:1: exchange "binance" is also in ' in capsys.readouterr().err


# --------------------------------------------------------------------------- the real thing


def test_the_extension_is_what_was_asked_for(native: native.Native) -> None:
    assert native.digest == digest.content(())
    assert set(native.exchanges) == {file.stem for file in digest.spec_files(())}
    for exchange in native.exchanges.values():
        for product in exchange.products:
            found = native.lib.k4_product_find(exchange.name.encode(), product.name.encode())
            assert found != native.ffi.NULL
            assert native.lib.k4_product_message_count(found) > 0
            assert native.lib.k4_product_message_kind(found, -1) == native.ffi.NULL
    assert native.lib.k4_product_find(b"nobody", b"spot") == native.ffi.NULL


def test_the_literal_is_the_ir(native: native.Native) -> None:
    records, exchanges = build.load()
    assert [r.name for r in native.records.records] == [r.name for r in records.records]
    assert native.records.records == records.records
    assert native.records.enums == records.enums
    for exchange in exchanges:
        mine = native.exchanges[exchange.name]
        assert mine.messages == exchange.messages
        assert mine.products == exchange.products
        assert mine.file == f"schema/exchange/{Path(exchange.file).name}"


def test_nothing_to_do_loads_neither_compiler_nor_templates(native: native.Native) -> None:
    """What makes it fast (bench/ has the figure): the digest alone is computed."""
    code = "import sys, k4.generate; assert k4.generate.codegen([], None, False) == 0; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    folder, modules = done.stdout.splitlines()
    assert Path(folder) == native.file.parent
    assert not {"jinja2", "cffi", "setuptools", "numpy", "pydantic"} & set(modules.split())


def test_headers_are_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.headers(tmp_path / "include") == 0
    assert sorted(p.name for p in (tmp_path / "include").iterdir()) == ["k4.h", "k4_records.h"]
    assert generate.headers(None) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    assert (folder / "k4.h").read_bytes() == (tmp_path / "include" / "k4.h").read_bytes()
