"""The table of mutants is up to date: `make mutants` runs it, too long for every run, and a row that fits nothing would take no guard away."""

from __future__ import annotations

import re

import pytest

from tests.fuzz import fuzz
from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_changes_one_place_and_names_a_test_that_is_there(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old
    kind, _, name = mutant.test.partition(" ")
    if kind == "ctest":
        assert (ROOT / "tests/c" / f"test_{name}.c").is_file()
    elif kind == "fuzz":
        assert name in {target.name for target in fuzz.targets()}
    else:
        file, _, function = mutant.test.partition("::")
        assert re.search(rf"^def {function.partition('[')[0]}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_no_mutant_is_there_twice() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len({(mutant.file, mutant.old, mutant.new, mutant.test) for mutant in MUTANTS}) == len(MUTANTS)
