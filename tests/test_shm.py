"""`k4 shm ls|inspect|rm`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k4 import shm
from k4.errors import K4Error
from k4.segments import NoSegmentError

from . import segments as s


@pytest.fixture
def folder(shm: Path) -> Path:
    return shm


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_ls_shows_each_and_why_one_cannot_be_read(writer: s.Writer, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    writer.open("one", "bbo", slots=16, symbols=4)
    writer.symbol("A")
    writer.many(0, 20, s.bbo(1, 2, 3, 4, 5))
    whole = bytearray((folder / "k4.one").read_bytes())
    whole[8] = 9
    (folder / "k4.other").write_bytes(whole)
    (folder / "k4.dials.0.host").write_text("no segment")
    assert shm.ls(json_output=True) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert lines[0] == {
        "name": "one", "record": "bbo", "record_size": 88, "ring_slots": 16, "symbol_capacity": 4, "symbols": 1, "sources": 0,
        "layout_hash": lines[0]["layout_hash"], "epoch": 1, "head": 20, "oldest": 5, "writer": "alive", "writer_pid": writer.process.pid,
        "heartbeat_ns": None,
    }  # fmt: skip
    assert lines[1] == {"name": "other", "error": f"{folder}/k4.other cannot be read: it has version 9, this program reads version 1"}


def test_inspect(writer: s.Writer, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    writer.open("one", "trade")
    writer.symbol("A")
    writer.symbol("B", "nova", "perp")
    writer.do("state 1 2 555")
    writer.do("source nova#0 ws")
    writer.close()
    assert shm.inspect("one", json_output=True) == 0
    seen = json.loads(capfdbinary.readouterr().out)
    assert (seen["name"], seen["writer"], seen["head"]) == ("one", "closed", 0)
    assert [(x["instrument"], x["symbol"], x["product"], x["state"], x["state_since_ns"]) for x in seen["symbols"]] == [
        (0, "A", "spot", "STALE", None),
        (1, "B", "perp", "RESYNC", 555),
    ]
    assert [(x["source"], x["name"], x["wins"], x["lag_p99_ns"]) for x in seen["sources"]] == [(0, "nova#0", 0, None)]
    with pytest.raises(NoSegmentError):
        shm.inspect("two", json_output=True)


def test_tables_for_people(writer: s.Writer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    writer.open("one", "trade")
    writer.symbol("BTCUSDT")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert shm.ls(json_output=False) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["SEGMENT", "RECORD", "WRITER", "PID", "SYMBOLS", "HEAD", "SLOTS", "EPOCH"]
    assert line.split() == ["one", "trade", "alive", str(writer.process.pid), "1", "0", "64", "1"]
    assert shm.inspect("one", json_output=False) == 0
    out = capsys.readouterr().out
    assert "ring_slots      64\n" in out
    assert "0           BTCUSDT  nova      spot     STALE  -\n" in out


def test_rm_refuses_a_living_writer(writer: s.Writer, folder: Path) -> None:
    writer.open("one", "trade")
    with pytest.raises(K4Error, match=f"segment one is being written by process {writer.process.pid}"):
        shm.rm("one")
    assert files(folder) == ["k4.one", "k4.one.lock", "k4.one.wait"]
    writer.kill()
    assert shm.rm("one") == 0
    assert files(folder) == ["k4.one.lock"]  # never unlinked: two writers could hold two of that name
    with pytest.raises(NoSegmentError, match="there is no segment one"):
        shm.rm("one")


def test_rm_of_what_is_damaged_and_of_links(folder: Path) -> None:
    (folder / "k4.bad").write_bytes(b"\x0a\x0d\x00GES4K rest is missing")
    (folder / "elsewhere").write_text("keep me")
    (folder / "k4.link").symlink_to(folder / "elsewhere")
    assert shm.rm("bad") == 0
    assert shm.rm("link") == 0
    assert files(folder) == ["elsewhere"]
    for name in ("../elsewhere", "x.lock", ""):
        with pytest.raises(NoSegmentError):
            shm.rm(name)
    assert (folder / "elsewhere").read_text() == "keep me"
