"""A worker killed under load, in small: `python -m tests.kills` does it fifty times. K4_KILLS sets the number here."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from k4.native import Native
from tests.kills import GONE, LOST, RECORD, RESTART, RING_SLOTS, ROW, Kill, Report, Rows, figure, slow, updates, whole

KILLS = int(os.environ.get("K4_KILLS") or 5)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(200 + 30 * KILLS)
def test_readers_outlive_the_worker(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on without being opened anew: every update once, in order, none missed while a worker was there, losses exact, RESTART on
    the first record of each instrument, gaps counted; sleepers told that the writer is gone, and woken when it is back."""
    del native  # compiled by then
    monkeypatch.setenv("K4_SHM_DIR", "")  # put back afterwards
    report = figure(KILLS, rate=5000, seed=2)
    assert report.wrong == [], str(report)
    assert len(report.kills) == KILLS
    assert report.read > 5000, str(report)
    assert report.lost > 0, str(report)
    assert report.missed > 0, str(report)
    assert len(report.undisturbed) == len(report.gones) == 3 * KILLS
    assert np.median(report.undisturbed) <= 1500, str(report)  # a busy machine may add to it
    assert np.median(report.gones) <= 150, str(report)  # nobody sleeps longer than 100 ms at a time
    assert np.median(report.wakes) <= 30, str(report)  # one that is not woken would sleep for 50 ms on average


# --------------------------------------------------------------------------- the judge itself

KILL = Kill(killed_ns=1_000_000_000, started_ns=1_200_000_000, queued_ns=0)
EDGES = np.array([KILL.started_ns + 10_000_000])
TOLD = np.arange(100, 130)


def seen() -> Rows:
    """What a reader should have of one instrument: ids 100 to 109, a kill, ids 115 to 129."""
    ids = [*range(100, 110), *range(115, 130)]
    rows = np.zeros(len(ids), dtype=ROW)
    rows["what"], rows["id"], rows["sequence"], rows["last"] = RECORD, ids, range(len(ids)), range(len(ids))
    rows["recv_ns"] = rows["read_ns"] = [*range(10), *range(1_500_000_000, 1_500_000_015)]
    rows["flags"][10] = RESTART
    return rows


def judged(change: Callable[[Rows], Rows]) -> str:
    report = Report([KILL])
    missed = updates(report, "x", change(seen()), TOLD, EDGES)
    return "; ".join(report.wrong) or f"{missed} missed"


def changed(row: int, field: str, value: int) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        rows[field][row] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda rows: rows, "5 missed"),
        (lambda rows: np.delete(rows, 5), "x: epoch 0: 1 missed, 0 invented"),
        (lambda rows: np.delete(rows, 20), "x: epoch 1: 1 missed, 0 invented"),
        (lambda rows: np.insert(rows, 5, rows[5]), "x: 1 updates twice; x: out of order; x: epoch 0: 0 missed, 0 invented"),
        (changed(10, "id", 109), "x: 1 updates twice; x: out of order; x: epoch 1: "),
        (changed(24, "id", 131), "x: epoch 1: 1 missed, 1 invented"),
        (lambda rows: rows[[1, 0, *range(2, 25)]], "x: out of order"),
        (changed(10, "flags", 0), "x: RESTART is not on the first record of each epoch alone"),
        (changed(11, "flags", RESTART), "x: RESTART is not on the first record of each epoch alone"),
        (lambda rows: rows[:10], "x: no records of epochs [1]"),
    ],
)
def test_what_is_wrong_with_updates_is_found(change: Callable[[Rows], Rows], verdict: str) -> None:
    assert judged(change).startswith(verdict)


def test_what_is_wrong_with_sequences_is_found() -> None:
    rows = np.insert(seen(), 10, np.zeros(1, dtype=ROW))
    rows[10] = (GONE, 10, 10, 0, 0, 0, 0, KILL.killed_ns + 90_000_000)
    for change, verdict in (
        (rows, []),
        (np.delete(rows, 10), ["x: kill 0 was not told as WRITER_GONE"]),
        (np.delete(rows, 3), ["x: sequences are left out or come twice"]),
        (np.insert(rows, 3, rows[3]), ["x: sequences are left out or come twice"]),
    ):
        report = Report([KILL])
        whole(report, "x", change)
        assert report.wrong == verdict


def test_a_loss_of_what_was_still_there_is_found() -> None:
    """Record n is overwritten by record n + slots, a moment before that one is published."""
    other = np.zeros(RING_SLOTS + 20, dtype=ROW)
    other["what"], other["sequence"], other["last"] = RECORD, range(len(other)), range(len(other))
    other["recv_ns"] = other["sequence"]
    for read_ns, verdict in ((RING_SLOTS + 2, []), (RING_SLOTS + 1, ["slow: told as lost what was still there"])):
        rows = np.concatenate([np.zeros(1, dtype=ROW), other[4:]])
        rows[0] = (LOST, 0, 3, 0, 0, 0, 0, read_ns)
        report = Report([])
        slow(report, rows, other)
        assert report.wrong == verdict, read_ns
        assert (report.lost_ranges, report.lost) == (1, 4)
