"""A worker killed under load, in small: `python -m tests.kills` does it fifty times. K4_KILLS sets the number here."""

from __future__ import annotations

import os

import numpy as np
import pytest

from k4.native import Native
from tests.kills import figure

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
    assert max(report.undisturbed) <= 1500, str(report)  # a busy machine may add to it
    assert np.median(report.gones) <= 150, str(report)  # nobody sleeps longer than 100 ms at a time
    assert np.median(report.wakes) <= 30, str(report)  # one that is not woken would sleep for 50 ms on average
