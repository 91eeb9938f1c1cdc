"""One of two connections in trouble, in small: `python -m tests.redundancy` runs the whole figure."""

from __future__ import annotations

import pytest

from k4.native import Native
from tests.redundancy import IDS, TROUBLES, figures, namespace, table

RATE = 2000.0
SECONDS = 1.0


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(400)
def test_one_of_two_in_trouble(native: Native) -> None:
    """Cut, killed, stalled, slow, corrupted, shut down, ended by age, kept out, blackholed: every update is published, once and in order."""
    del native  # compiled by then
    found = figures(RATE, SECONDS)
    shown = table(found)
    assert [one.name for one in found] == [one.name for one in TROUBLES if one.order != "blackhole" or namespace() is not None]
    for one in found:
        assert one.times >= (0 if one.name == "none" else 1), shown
        assert one.said > RATE * SECONDS, shown
        assert one.missed == dict.fromkeys(IDS, 0), shown
        assert (one.twice, one.disordered, one.invented) == (0, 0, 0), shown
        assert one.alone_missed == 0, shown
        # The machine may be busy; what a connection in trouble would add is its trouble, half a second and more.
        assert one.pair_p99 < one.alone_p99 + 300, shown
