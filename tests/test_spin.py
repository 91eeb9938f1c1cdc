"""The ring as a Spin model (tests/model/ring.pml): every interleaving is right, and one is wrong as soon as a rule is broken."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from . import segments as s

MODEL = s.ROOT / "tests" / "model" / "ring.pml"
SMALL = ("-DRECORDS=3", "-DLOOKS=3")
# A broken rule, and what Spin finds: an assertion, or a reader that nobody wakes.
BROKEN = {
    "LOOSE": "assertion violated",
    "ONCE": "assertion violated",
    "NO_ODD": "assertion violated",
    "HEAD_FIRST": "assertion violated",
    "LATEST_FIRST": "assertion violated",
    "NO_REPAIR": "assertion violated",
    "REPAIR_HEAD": "assertion violated",
    "REPAIR_LATEST": "assertion violated",
    "NOT_SEEN": "assertion violated",
    "ONE_MORE": "assertion violated",
}
ASLEEP = ("WAKE_EARLY", "COUNT_LATE", "NO_BUMP", "WORD_LATE", "NO_WAKE")


def check(folder: Path, *defines: str) -> tuple[str, int]:
    """What the search says, and the number of states it went through."""
    s.need("spin")
    shutil.copy(MODEL, folder)
    subprocess.run(["spin", *defines, "-a", MODEL.name], cwd=folder, check=True, capture_output=True, timeout=60)
    subprocess.run(["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"], cwd=folder, check=True, capture_output=True, timeout=60)
    done = subprocess.run(["./pan", "-m1000000"], cwd=folder, check=True, capture_output=True, text=True, timeout=300)
    states = re.search(r"(\d+) states, stored", done.stdout)
    assert states is not None, done.stdout
    assert "max search depth too small" not in done.stdout
    return done.stdout, int(states[1])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_reader_is_right_in_every_interleaving(tmp_path: Path) -> None:
    said, states = check(tmp_path)
    assert "errors: 0" in said
    assert states > 1_000_000  # 3.8 million


def test_a_sleeper_is_woken_in_every_interleaving(tmp_path: Path) -> None:
    said, states = check(tmp_path, "-DSLEEP")
    assert "errors: 0" in said
    assert states > 10_000
    assert "(0 of" in said.partition("proctype sleeper")[2]  # all of it was reached


@pytest.mark.parametrize(("rule", "finding"), BROKEN.items())
def test_a_broken_rule_is_found(tmp_path: Path, rule: str, finding: str) -> None:
    said, _ = check(tmp_path, f"-D{rule}")
    assert "errors: 1" in said
    assert finding in said


@pytest.mark.parametrize("rule", ASLEEP)
def test_a_reader_left_asleep_is_found(tmp_path: Path, rule: str) -> None:
    said, _ = check(tmp_path, "-DSLEEP", f"-D{rule}")
    assert "errors: 1" in said
    assert "invalid end state" in said
