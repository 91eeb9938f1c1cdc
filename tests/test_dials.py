"""Dials to a host, counted over all processes of a user: never more than the venue allows in any window, whoever crashes meanwhile."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import time
from bisect import bisect_left
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k4 import dials, ledger
from k4.dials import LONELY_SHARE, SHARE, Dials, earliest
from k4.errors import K4Error
from k4.ledger import KEEP_S

WINDOWS = ((10, 60.0),)


def most(stamps: list[float], seconds: float) -> int:
    """The most stamps in any window, counted from each of them; a microsecond is nothing to a venue."""
    times = sorted(stamps)
    return max(bisect_left(times, at + seconds - 1e-6) - n for n, at in enumerate(times))


def reserved(counted: Dials, now: float) -> float:
    wait = counted.reserve(now)
    assert wait is not None
    return round(now + wait, 6)


def test_no_window_is_no_limit(tmp_path: Path) -> None:
    counted = Dials((), tmp_path / "file")
    assert [counted.reserve(1.0) for _ in range(100)] == [0.0] * 100
    assert not (tmp_path / "file").exists()


def test_what_is_over_waits_in_turn() -> None:
    counted = Dials(WINDOWS)
    assert [reserved(counted, 100.0) for _ in range(9)] == [100.0] * 7 + [160.0, 160.0]
    assert reserved(counted, 161.0) == 161.0
    assert [reserved(counted, 161.0) for _ in range(5)] == [161.0] * 4 + [220.0]


def test_several_windows_hold_at_once() -> None:
    counted = Dials(((10, 1.0), (20, 100.0)))
    assert [reserved(counted, 5.0) for _ in range(15)] == [5.0] * 7 + [6.0] * 7 + [105.0]


def test_who_has_no_healthy_connection_may_go_on_a_little(tmp_path: Path) -> None:
    """70 % of 100 for all, and half of the rest for the lonely: in any window 85 at most."""
    lonely = False
    path = dials.path_for(tmp_path, "host")
    counted = Dials(((100, 60.0),), path, lonely=lambda: lonely)
    assert [reserved(counted, 10.0) for _ in range(71)] == [10.0] * 70 + [70.0]
    lonely = True
    assert [reserved(counted, 10.0) for _ in range(16)] == [10.0] * 15 + [70.0]
    lonely = False
    assert reserved(counted, 11.0) == 70.0


@given(
    asked=st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60),
    windows=st.lists(st.tuples(st.integers(1, 12), st.floats(0.5, 30)), min_size=1, max_size=3),
)
def test_no_window_ever_holds_more(asked: list[tuple[float, bool]], windows: list[tuple[int, float]]) -> None:
    now, alone = 1000.0, False
    counted = Dials(windows, lonely=lambda: alone)
    given_to_all: list[float] = []
    given_to_any: list[float] = []
    for later, is_alone in asked:
        now, alone = now + later, is_alone
        at = reserved(counted, now)
        assert at >= now - 1e-6
        given_to_any.append(at)
        if not alone:
            given_to_all.append(at)
    for count, seconds in windows:
        if given_to_all:
            assert most(given_to_all, seconds) <= max(1, int(count * SHARE))
        if given_to_any:
            assert most(given_to_any, seconds) <= max(1, int(count * LONELY_SHARE))


@given(stamps=st.lists(st.integers(0, 100), max_size=30), now=st.integers(0, 120), count=st.integers(1, 6), length=st.integers(1, 30))
def test_earliest_is_the_first_that_fits(stamps: list[int], now: int, count: int, length: int) -> None:
    """Stamps that are too many already are nobody's fault; one more never makes a window that holds it exceed its count."""
    stamps.sort()
    at = earliest(stamps, now, ((count, length),))

    def fits(moment: int) -> bool:
        near = [one for one in stamps if moment - length < one < moment + length] + [moment]
        return all(sum(start <= one < start + length for one in near) <= count for start in near if start <= moment)

    assert fits(at)
    assert not any(fits(moment) for moment in range(now, at))


# --------------------------------------------------------------------------- between processes

ASK = """
import sys, time
from pathlib import Path
from k4 import dials, ledger
ledger.LOCK_S = 1e9  # whoever is stopped while it holds the file is waited for
counted = dials.Dials(((1000, 60.0),), Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    while (wait := counted.reserve(time.monotonic())) is None:
        time.sleep(0.001)
"""


def stamps_in(path: Path) -> list[float]:
    data = path.read_bytes()
    assert len(data) % 8 == 0
    return [one / 1e9 for one in struct.unpack(f"<{len(data) // 8}q", data)]


def test_processes_count_together_and_a_killed_one_is_remembered(tmp_path: Path) -> None:
    path = dials.path_for(tmp_path, "stream.venue.example")
    assert path.name == f"k4.dials.{os.getuid()}.stream.venue.example"
    began = time.monotonic()
    command = [sys.executable, "-c", ASK, str(path)]
    asking = [subprocess.Popen([*command, "300"]) for _ in range(3)]
    assert [process.wait(180) for process in asking] == [0, 0, 0]
    stamps = stamps_in(path)
    assert len(stamps) == 900, "each of them noted every dial of its own"
    assert most(stamps, 60.0) == 700
    assert min(stamps) >= began
    # Whoever comes after all of them have gone begins where they were.
    counted = Dials(((1000, 60.0),), path)
    assert reserved(counted, time.monotonic()) == round(sorted(stamps)[200] + 60.0, 6)
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_a_lock_that_is_held_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "file"
    counted = Dials(WINDOWS, path)
    assert reserved(counted, 5.0) == 5.0
    with path.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert [counted.reserve(at) for at in (6.0, 7.0, 6.0 + ledger.LOCK_S)] == [None] * 3
        assert [reserved(counted, 12.0) for _ in range(7)] == [12.0] * 6 + [65.0], "alone, but with what it knew"
    assert len(stamps_in(path)) == 1
    assert counted.reserve(13.0) is not None
    assert len(stamps_in(path)) == 2, "together again"


def test_what_no_clock_has_given_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    now = 50_000.0
    stamps = [now - 1, now - KEEP_S - 1, now + KEEP_S + 1, -5.0, 0.0]
    path.write_bytes(struct.pack("<5q", *(round(one * 1e9) for one in stamps)) + struct.pack("<2q", 2**63 - 1, -(2**63)) + b"odd")
    path.chmod(0o600)
    counted = Dials(WINDOWS, path)
    assert [reserved(counted, now) for _ in range(7)] == [now] * 6 + [now - 1 + 60.0]
    assert stamps_in(path) == [now - 1, *[now] * 6, now - 1 + 60.0]


def test_an_enormous_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    path.chmod(0o600)
    counted = Dials(WINDOWS, path)
    assert reserved(counted, 50_000.0) == 50_000.0
    assert path.stat().st_size == 8


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(K4Error, match=r"link, which counts the dials to its host, cannot be opened"):
        Dials(WINDOWS, link)
    for mode in (0o666, 0o620, 0o602):
        target.chmod(mode)
        with pytest.raises(K4Error, match=r"elsewhere, which counts the dials to its host, is not a file that only this user can write"):
            Dials(WINDOWS, target)
    target.chmod(0o644)
    Dials(WINDOWS, target).close()
    with pytest.raises(K4Error, match=r"cannot be opened: Is a directory"):
        Dials(WINDOWS, tmp_path)


def test_dials_are_plenty_while_half_of_what_is_for_everybody_is_free(tmp_path: Path) -> None:
    path = tmp_path / "dials"
    one, other = Dials(((10, 60.0),), path), Dials(((10, 60.0),), path)
    assert one.spare(100.0)
    for now in (100.0, 101.0, 102.0):
        assert other.reserve(now) == 0.0
    assert one.spare(103.0), "three of seven"
    assert other.reserve(103.0) == 0.0
    assert not one.spare(104.0)
    assert one.spare(160.5), "the first has gone out of the window"
    assert Dials(()).spare(0.0)
    one.close()
    other.close()
