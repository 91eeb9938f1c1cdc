"""Runs the tables of docs/arbitration.md through the real C arbiter."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.arbiter_driver import ABSENT, FLAG_NAMES, LEADER, RESET, RULES, SECOND, Arbiter, Verdict, compile_library, load_library
from tests.conftest import Once

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "arbitration.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Row:
    ms: int
    connection: str
    brings: str
    becomes: str


def tables() -> list[tuple[str, list[Row]]]:
    out = []
    for match in re.finditer(r"<!-- rule: (\w+) -->\n((?:\|.*\n)+)", TEXT):
        cells = [[c.strip() for c in line.strip("|").split("|")] for line in match[2].splitlines()[2:]]
        out.append((match[1], [Row(int(c[0]), c[1], c[2], c[3]) for c in cells]))
    return out


@pytest.fixture(scope="module")
def lib(once: Once, headers: Path) -> ctypes.CDLL:
    return load_library(once("arbiter", lambda folder: compile_library(folder, headers)))


def spoken(verdict: Verdict) -> str:
    if not verdict.publish:
        return f"dropped: {verdict.cause}"
    words = ["published", *(name for bit, name in FLAG_NAMES.items() if verdict.flags & bit)]
    return " ".join([*words, str(verdict.gap)] if verdict.gap else words)


def test_there_is_a_table_for_every_rule() -> None:
    assert {rule for rule, _ in tables()} == {"increasing", "stepping", "contiguous", "window", "leader"}


@pytest.mark.parametrize(("rule", "rows"), tables(), ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(tables())])
def test_table(lib: ctypes.CDLL, rule: str, rows: list[Row]) -> None:
    with Arbiter(lib, RULES[rule]) as arbiter:
        conns: dict[str, int] = {}
        for row in rows:
            if row.connection not in conns:
                conns[row.connection] = arbiter.join(len(conns))
            if row.brings == "leaves":
                arbiter.leave(conns.pop(row.connection))
                continue
            word, *signal = row.brings.split()
            identity = ABSENT if RULES[rule] == LEADER else int(word)
            verdict = arbiter.decide(conns[row.connection], identity, 100 * SECOND + row.ms * 1_000_000, flags=RESET if signal else 0)
            assert spoken(verdict) == row.becomes, row
