"""Instruction counts: how callgrind's output is read and what counts as growth. The counting itself is `make instructions`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import frames, instructions
from bench.instructions import Count

DUMP = """# callgrind format
positions: line
events: Ir

fl=/src/a.c
fn=decode
10 300
11 20
cfn=number
calls=4 30
12 400
12 8

fn=number'2
30 72
31 0

totals: 400
"""

ABOUT = {"compiler": "gcc 12.2.0", "flags": "-O2", "libc": "glibc 2.36"}


def test_a_dump_is_read_as_own_costs_per_message(tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text(DUMP)
    assert instructions.read_dump(file, 4) == Count(100.0, {"decode": 82.0, "number": 18.0})


def kept(total: float, **functions: float) -> dict[str, dict[str, dict[str, object]]]:
    return {"trade": {"fast": {"total": total, "functions": functions}}}


def now(total: float, **functions: float) -> dict[str, dict[str, Count]]:
    return {"trade": {"fast": Count(total, functions)}}


@pytest.mark.parametrize("total", [50.0, 100.0, 103.0])
def test_within_three_percent_nothing_is_said(total: float) -> None:
    assert instructions.growth(kept(100.0, decode=100.0), now(total, decode=total)) == []


def test_more_than_three_percent_is_told() -> None:
    assert instructions.growth(kept(1000.0), now(1030.1)) == ["trade fast: 1000.0 to 1030.1 instructions per message (+3.0%)"]


def test_growth_names_the_kind_the_road_and_the_functions() -> None:
    lines = instructions.growth(kept(100.0, decode=82.0, number=17.0, gone=1.0), now(104.0, decode=82.2, number=19.8, new=2.0))
    assert lines == [
        "trade fast: 100.0 to 104.0 instructions per message (+4.0%)",
        "    number: 17.0 to 19.8",
        "    new: 0.0 to 2.0",
    ]


def test_a_new_road_is_told() -> None:
    assert instructions.growth({}, now(1.0)) == ["trade fast: has no kept count; --keep makes one"]


def test_a_road_that_is_gone_is_told() -> None:
    """A tier that declines all frames would cost nothing."""
    found = instructions.growth(kept(1.0) | {"bbo": {"fast": {"total": 1.0, "functions": {}}}}, {"trade": {"publish": Count(2.0, {})}})
    assert found == [
        "trade publish: has no kept count; --keep makes one",
        "trade fast: was kept and is counted no more; --keep forgets it",
        "bbo fast: was kept and is counted no more; --keep forgets it",
    ]


def test_another_compiler_is_not_compared() -> None:
    assert instructions.difference(ABOUT, ABOUT) is None
    assert instructions.difference(ABOUT, ABOUT | {"compiler": "gcc 13.1.0"}) == "compiler was gcc 12.2.0, is gcc 13.1.0"


def test_frames_come_in_the_order_of_their_ids() -> None:
    wires = sorted(frames.frames("aggTrade", 64), key=instructions.identity)
    ids = [instructions.identity(wire) for wire in wires]
    assert ids == sorted(ids)
    assert min(ids) > 10**5
