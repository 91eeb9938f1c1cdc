"""Requests by weight: never more in a window than its part of the venue's limit, over all processes; and pauses that a venue asks for."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k4 import weights
from k4.errors import K4Error
from k4.ledger import KEEP_S, LOCK_S
from k4.weights import MOST_WEIGHT, Weights, earliest, part

LIMITS = ((100, 60.0),)
SECOND = 1_000_000_000


def at(counted: Weights, weight: int, now: float, limits: tuple[tuple[int, float], ...] = LIMITS) -> float:
    wait = counted.reserve(weight, limits, now, 1e9)
    assert wait is not None
    return round(now + wait, 6)


def test_of_what_a_venue_allows_seventy_in_a_hundred_are_used() -> None:
    assert part(((6000, 60.0), (1, 1.0))) == ((4200, 60.0), (1, 1.0))
    assert part(()) == ()


def test_heavy_requests_are_rarer_than_light_ones() -> None:
    counted = Weights()
    assert [at(counted, 50, 1000.0) for _ in range(5)] == [1000.0, 1000.0, 1060.0, 1060.0, 1120.0]
    assert at(counted, 1, 1000.0) == 1120.0, "behind those that came before"
    light = Weights()
    assert [at(light, 1, 1000.0) for _ in range(101)] == [1000.0] * 100 + [1060.0]
    assert at(Weights(), 500, 1000.0) == 1000.0, "what is heavier than a window goes alone"


def test_what_must_wait_for_longer_than_is_of_use_is_not_counted() -> None:
    counted = Weights()
    assert counted.reserve(100, LIMITS, 1000.0, 50.0) == 0.0
    assert [counted.reserve(100, LIMITS, now, 50.0) for now in (1000.0, 1000.0, 1010.0, 1011.0)] == [60.0, 60.0, 50.0, 109.0]


def test_a_pause_holds_everybody_and_ends(tmp_path: Path) -> None:
    path = weights.path_for(tmp_path, "api.venue.example:443")
    assert path.name == f"k4.fetches.{os.getuid()}.api.venue.example_443"
    one, other = Weights(path), Weights(path)
    assert one.paused(1000.0) == 0.0
    assert one.pause(30.0, 1000.0)
    assert other.paused(1010.0) == 20.0
    assert at(other, 1, 1010.0) == 1030.0
    assert other.pause(7.0, 1011.0)
    assert one.paused(1012.0) == 18.0, "the longest counts"
    assert (one.paused(1030.0), at(one, 1, 1031.0)) == (0.0, 1031.0)
    assert one.pause(3 * 86400.0, 2000.0)
    assert one.paused(2000.0) == pytest.approx(KEEP_S), "no longer than an hour at a time"
    one.close()
    other.close()


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=30),
    st.lists(st.tuples(st.integers(60, 200), st.integers(1, 50)), min_size=1, max_size=3),
)
def test_no_window_ever_weighs_more(asked: list[tuple[int, int]], limits: list[tuple[int, int]]) -> None:
    rows: list[tuple[int, int]] = []
    now = 0
    for later, weight in asked:
        now += later
        rows.append((earliest(sorted(rows), weight, now, limits), weight))
    for count, length in limits:
        for start, _ in rows:
            assert sum(weight for when, weight in rows if start <= when < start + length) <= count


ASK = """
import sys, time
from pathlib import Path
from k4 import ledger, weights
ledger.LOCK_S = 1e9  # whoever is stopped while it holds the file is waited for
counted = weights.Weights(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    while counted.reserve(50, ((4200, 60.0),), time.monotonic(), 1e9) is None:
        time.sleep(0.001)
"""


def rows_in(path: Path) -> list[tuple[float, int]]:
    return [(when / SECOND, weight) for when, weight in struct.iter_unpack("<qq", path.read_bytes())]


def test_processes_count_together_and_who_comes_later_begins_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "file"
    began = time.monotonic()
    asking = [subprocess.Popen([sys.executable, "-c", ASK, str(path), "40"]) for _ in range(3)]
    assert [process.wait(180) for process in asking] == [0, 0, 0]
    rows = rows_in(path)
    assert len(rows) == 120
    assert min(when for when, _ in rows) >= began
    heaviest = max(sum(weight for when, weight in rows if start <= when < start + 60.0 - 1e-6) for start, _ in rows)
    assert heaviest == 4200, "84 snapshots of 50 a minute, not one more"
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_what_no_clock_has_given_and_no_request_weighs_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    now = 50_000 * SECOND
    rows = [(now - SECOND, 60), (now - KEEP_S * SECOND - 1, 99), (now + KEEP_S * SECOND + 1, 0), (now, -1), (now, MOST_WEIGHT + 1)]
    path.write_bytes(b"".join(struct.pack("<qq", *row) for row in rows) + b"odd")
    path.chmod(0o600)
    counted = Weights(path)
    assert at(counted, 40, 50_000.0) == 50_000.0
    assert at(counted, 1, 50_000.0) == 50_059.0
    assert [weight for _, weight in rows_in(path)] == [60, 40, 1]


def test_a_lock_that_is_held_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "file"
    one, other = Weights(path), Weights(path)
    assert at(one, 100, 5.0) == 5.0
    with other._ledger.rows(5):
        assert [one.reserve(1, LIMITS, now, 1e9) for now in (6.0, 7.0, 6.0 + LOCK_S)] == [None] * 3
        assert one.paused(7.0) is None
        assert not one.pause(1.0, 7.0)
        assert at(one, 1, 12.0) == 65.0, "alone, but with what it knew"
    assert len(rows_in(path)) == 1
    assert at(one, 1, 13.0) == 65.0


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(K4Error, match=r"link, which counts what is fetched from its host, cannot be opened"):
        Weights(tmp_path / "link")
