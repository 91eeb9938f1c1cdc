"""A writer at full speed in one process, a reader in another, every record proving itself: nothing torn, nothing backwards, losses exact.

K4_STRESS_READS sets the number of reads (default 100 million); `make stress READS=1000000000` does the same by itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import segments as s
from .stress import run as stress

READS = int(os.environ.get("K4_STRESS_READS") or stress.READS)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stress.compile_ring(tmp_path_factory.mktemp("stress"))


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("slots", stress.SLOTS)
def test_a_hundred_million_reads(program: Path, slots: int) -> None:
    wanted = int(READS * stress.SHARES[slots]) + 1
    result = stress.stress(program, slots=slots, reads=wanted, seconds=800)
    assert result.ok, result.line
    assert result.wrong == 0
    assert result.read >= wanted
    assert result.ring > wanted // 20
    assert result.ring + result.lost == result.published
    assert result.lost > 0  # it was lapped


@pytest.mark.parametrize("slots", [2, 4, 64, 1024, 65536])
@pytest.mark.parametrize("kind", s.NUMBER)
def test_every_record_kind_at_every_size(program: Path, kind: str, slots: int) -> None:
    result = stress.stress(program, slots=slots, reads=100_000, record=s.NUMBER[kind], seconds=60)
    assert result.ok, result.line
    assert result.wrong == 0
    assert result.line.startswith(f"ok: {kind}, {slots} slots: ")
    assert result.ring + result.lost == result.published


def test_several_readers(program: Path) -> None:
    result = stress.stress(program, slots=64, reads=200_000, readers=4, seconds=60)
    assert result.ok, result.line
    assert result.read >= 800_000
    assert result.ring + result.lost == 4 * result.published
