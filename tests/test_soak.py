"""Two minutes of a soak, beside everything else in `make test`; `python -m tests.soak` runs for as long as one likes.

K4_SOAK_SECONDS and K4_SOAK_RATE set both here.
"""

from __future__ import annotations

import os

import pytest

from k4.native import Native
from tests.soak import GROWTH_KIB, VENUES, Process, Report, flat, soak

SECONDS = float(os.environ.get("K4_SOAK_SECONDS") or 120)
RATE = float(os.environ.get("K4_SOAK_RATE") or 8000)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(450 + 2 * SECONDS)
def test_nothing_grows_and_nothing_is_lost(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and descriptors of the supervisor, of four workers and the fetcher are flat; every symbol LIVE all the time; no gap, nothing
    twice or out of order, no error in the log."""
    del native  # compiled by then
    monkeypatch.setenv("K4_SHM_DIR", "")  # put back afterwards
    report = soak(SECONDS, RATE, warm_up_s=10)
    shown = str(report)
    assert report.wrong == [], shown
    assert [one.name for one in report.processes] == ["supervisor", *(f"worker {venue[0]}" for venue in VENUES), "fetcher"], shown
    assert all(len(one.at) == SECONDS + 1 and one.growth_kib <= GROWTH_KIB for one in report.processes), shown
    assert len(report.segments) == sum(len(venue[3]) for venue in VENUES), shown
    assert sum(one["records"] for one in report.segments.values()) > 0.2 * RATE * SECONDS, shown


@pytest.mark.parametrize(
    ("rss_kib", "fds", "wrong"),
    [
        ([50_000, 50_400, 49_900, 50_100], [9, 12, 9, 9], []),
        ([50_000, 50_900, 51_900, 52_800], [9, 9, 9, 9], ["x: memory grew by 2,820 KiB"]),
        ([50_000, 50_000, 50_000, 50_000], [9, 9, 10, 10], ["x: descriptors went from 9 to 10"]),
    ],
)
def test_what_is_not_flat_is_found(rss_kib: list[int], fds: list[int], wrong: list[str]) -> None:
    report = Report(3, [Process("x", 1, [0.0, 1.0, 2.0, 3.0], rss_kib, fds)])
    flat(report)
    assert report.wrong == wrong
