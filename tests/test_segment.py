"""What opening a segment for writing does to files: locks, modes, links, other layouts, full file systems, damage."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import segments as s

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="not run: only root can give files away and mount")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def closed(folder: Path, name: str) -> int:
    value: int = struct.unpack_from("<I", (folder / f"k4.{name}").read_bytes(), 12)[0]
    return value


def test_files_and_their_modes(writer: s.Writer, shm: Path) -> None:
    before = os.umask(0)
    try:
        assert writer.open("one", "bbo") == [0, 1]
    finally:
        os.umask(before)
    assert files(shm) == ["k4.one", "k4.one.lock", "k4.one.wait"]
    for path in shm.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    header = (shm / "k4.one").read_bytes()[:4096]
    assert header[:8] == b"\x0a\x0d\x00GES4K"
    assert struct.unpack_from("<II", header, 8) == (1, 0)  # version, open
    assert struct.unpack_from("<Q", header, 24) == ((shm / "k4.one").stat().st_size,)
    assert struct.unpack_from("<IIII", header, 32) == (1, 88, 128, 64)  # record number, its size, distance of slots, slots
    assert struct.unpack_from("<q", header, 128) == (writer.process.pid,)
    assert header[320:324] == b"one\0"
    assert header[384:388] == b"bbo\0"
    blocks = (shm / "k4.one").stat().st_blocks * 512
    assert blocks >= (shm / "k4.one").stat().st_size  # every page is there: none can be missing later


def test_a_second_writer_is_refused_by_name(writer: s.Writer, program: Path, shm: Path) -> None:
    writer.open("one", "bbo")
    writer.symbol("A")
    second = s.Writer(program)
    assert second.ask("open one 1 64 8") == (
        f"error segment one has a writer already: process {writer.process.pid}; stop it first, or use another name"
    )
    assert writer.put(0, s.bbo(1, 2, 3, 4, 5)) == 0  # not disturbed
    assert closed(shm, "one") == 0
    writer.close()
    assert closed(shm, "one") == 1
    assert second.open("one", "bbo") == [1, 2]
    assert closed(shm, "one") == 0
    second.end()


def test_a_killed_writer_leaves_no_lock(writer: s.Writer, program: Path, shm: Path) -> None:
    writer.open("one", "bbo")
    writer.kill()
    assert closed(shm, "one") == 0
    second = s.Writer(program)
    assert second.open("one", "bbo") == [0, 2]
    second.end()


def test_what_a_killed_creation_left_is_swept(writer: s.Writer, shm: Path) -> None:
    (shm / "k4.one.new").write_bytes(b"half of a segment")
    (shm / "k4.one.lock").write_bytes(b"999999 1")
    (shm / "k4.one.lock").chmod(0o600)
    writer.open("one", "bbo")
    assert files(shm) == ["k4.one", "k4.one.lock", "k4.one.wait"]


def test_another_record_or_layout_is_replaced_and_closed(writer: s.Writer, shm: Path) -> None:
    writer.open("one", "bbo")
    writer.close()
    with (shm / "k4.one").open("rb") as old:
        assert writer.open("one", "trade") == [0, 1]
        assert struct.unpack_from("<I", os.pread(old.fileno(), 16, 0), 12) == (2,)  # its readers learn that it is over
    assert struct.unpack_from("<I", (shm / "k4.one").read_bytes(), 32) == (2,)
    writer.close()
    for place, value in ((16, b"\x07" * 8), (8, struct.pack("<I", 2))):  # another layout hash; another version
        with (shm / "k4.one").open("r+b") as old:
            old.seek(place)
            old.write(value)
            old.flush()
            assert writer.open("one", "trade") == [0, 1]
            assert struct.unpack_from("<I", os.pread(old.fileno(), 16, 0), 12) == (2,)
        writer.close()
    assert files(shm) == ["k4.one", "k4.one.lock", "k4.one.wait"]


@pytest.mark.parametrize("ending", ["", ".lock", ".wait"])
def test_links_are_not_followed(writer: s.Writer, shm: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / "precious"
    target.write_text("keep me")
    (shm / f"k4.one{ending}").symlink_to(target)
    answer = writer.ask("open one 1 64 8")
    assert answer == f"error {shm}/k4.one{ending} is a symbolic link; links are not followed: remove it"
    assert target.read_text() == "keep me"
    assert files(shm) == ([f"k4.one{ending}"] if ending != ".lock" else ["k4.one.lock"])


def test_a_folder_in_the_way(writer: s.Writer, shm: Path) -> None:
    (shm / "k4.one").mkdir()
    assert "k4.one" in writer.ask("open one 1 64 8")
    assert files(shm) == ["k4.one"]


@ROOT_ONLY
def test_files_of_somebody_else_are_refused(writer: s.Writer, shm: Path, monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    writer.open("one", "bbo")
    writer.close()
    for ending in ("", ".lock", ".wait"):
        path = shm / f"k4.one{ending}"
        os.chown(path, 12345, -1)
        assert writer.ask("open one 1 64 8") == (
            f"error {path} belongs to user 12345, not to user 0: not trusted (K4_SHM_OWNER=12345 would trust it)"
        )
        os.chown(path, 0, -1)
    os.chown(shm / "k4.one", 12345, -1)
    monkeypatch.setenv("K4_SHM_OWNER", "12345")
    trusting = s.Writer(program)
    assert trusting.open("one", "bbo") == [0, 2]
    trusting.end()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("open one 1 63 8", "ring_slots is 63, it must be a power of two from 2 to 268435456"),
        ("open one 1 1 8", "ring_slots is 1, it must be a power of two"),
        ("open one 9 64 8", r"there is no record number 9 \(1 to 5\)"),
        ("open one 1 64 9999999", "symbol_capacity is 9999999, at most 1048576 fit"),
        ("open a/b 1 64 8", "\"a/b\" is not a segment's name"),
        ("open .hidden 1 64 8", "is not a segment's name"),
        ("open x.lock 1 64 8", "is not a segment's name"),
        (f"open {'x' * 64} 1 64 8", "is not a segment's name"),
    ],
)
def test_wrong_arguments(writer: s.Writer, shm: Path, line: str, says: str) -> None:
    import re

    assert re.search(says, writer.ask(line))
    assert files(shm) == []


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", folder], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"not run: no tmpfs can be mounted here ({done.stderr.strip()})")
    monkeypatch.setenv("K4_SHM_DIR", str(folder))
    yield folder
    subprocess.run(["umount", folder], check=True)


@ROOT_ONLY
def test_a_full_file_system_is_an_error_and_nothing_is_left(tiny: Path, program: Path) -> None:
    writer = s.Writer(program)
    answer = writer.ask("open one 1 65536 4096")
    assert answer.startswith(f"error {tiny} is full: {tiny}/k4.one.new needs ")
    assert answer.endswith("free some, enlarge it, or ask for less (ring_slots, symbol_capacity)")
    assert files(tiny) == []
    assert writer.open("one", "bbo") == [0, 1]  # a small one fits
    # Enlarging it for more symbols does not, in the end; it stays as it was and goes on.
    added = 0
    while (answer := writer.ask(f"symbol nova spot S{added}")).startswith("ok"):
        added += 1
        assert added < 100_000
    assert answer == "error the file system of the segments is full"
    assert files(tiny) == ["k4.one", "k4.one.lock", "k4.one.wait"]
    assert writer.put(added - 1, s.bbo(1, 2, 3, 4, 5)) == 0
    writer.close()
    writer.end()


@ROOT_ONLY
def test_a_file_system_without_a_byte(tiny: Path, program: Path) -> None:
    with (tiny / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    writer = s.Writer(program)
    assert writer.ask("open one 1 2 1").startswith(f"error {tiny} is full: ")
    assert files(tiny) == ["filler"]
    writer.end()


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (168, struct.pack("<I", 9), "it is damaged: 9 symbols"),
        (172, struct.pack("<I", 65), "it is damaged: 1 symbols, 65 sources"),
        (192, struct.pack("<Q", 1 << 63), "it is damaged: 1 symbols"),
        (192, struct.pack("<Q", 5), "it is damaged: ring slot"),
        (176, struct.pack("<Q", 99), "it is damaged: 1 symbols"),
        (4096 + 160, struct.pack("<I", 49), "it is damaged: symbol 0 has 49 bytes"),
        (0, b"whatever", "it is not a K4 segment"),
    ],
)
def test_a_damaged_segment_is_not_guessed_at(writer: s.Writer, shm: Path, place: int, value: bytes, says: str) -> None:
    writer.open("one", "bbo", slots=8)
    writer.symbol("A")
    writer.many(0, 20, s.bbo(1, 2, 3, 4, 5))
    writer.close()
    before = (shm / "k4.one").read_bytes()
    with (shm / "k4.one").open("r+b") as file:
        file.seek(place)
        file.write(value)
    answer = writer.ask("open one 1 8 8")
    assert answer.startswith(f"error {shm}/k4.one cannot be taken over: {says}")
    assert answer.endswith("; if nobody needs it: k4 shm rm one")
    with (shm / "k4.one").open("r+b") as file:
        file.seek(place)
        file.write(before[place : place + len(value)])
    assert writer.open("one", "bbo", slots=8) == [20, 2]  # as soon as it is whole again
