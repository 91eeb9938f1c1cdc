"""Writes the kept results into bench/README.md: one table per measurement, between its marks.

`python -m bench readme` does it; whatever keeps results does it, too. May import `bench.tools`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench.tools import BUILDS, RESULTS, ROOT, Figure, number

FILE = ROOT / "bench/README.md"
_MARKED = re.compile(r"(<!-- kept: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DECODE = ("fast", "tolerant", "sbe", "yyjson", "simdjson", "msgspec, typed floats", "orjson + float", "json + float")


def main(arguments: Sequence[str]) -> int:
    """`python -m bench readme`."""
    argparse.ArgumentParser("bench readme", description="writes the kept results' tables into bench/README.md").parse_args(arguments)
    write()
    return 0


def write() -> None:
    """Every table of which there is a kept result."""
    FILE.write_text(_MARKED.sub(lambda found: f"{found[1]}{_kept(found[2])}{found[3]}", FILE.read_text(encoding="utf-8")), encoding="utf-8")


def _kept(name: str) -> str:
    if name == "instructions":
        return "\n".join([*_instructions(), ""])
    file = RESULTS / f"{name}.json"
    if not file.is_file():
        return "Nothing is kept.\n"
    result: dict[str, Any] = json.loads(file.read_text())
    figures = [Figure(**figure) for figure in result["figures"]]
    about = result["machine"]
    lines = list(_decode(figures) if name == "decode" else _plain(figures))
    machine = f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['compiler']}, Python {about['python']}"
    return "\n".join([f"Kept: {result['measured']}, {machine}, load {about['load']}.", "", *lines, ""])


def _plain(figures: Sequence[Figure]) -> Iterator[str]:
    yield "| | median | p99 | goal |"
    yield "|---|---|---|---|"
    for figure in figures:
        p99 = "" if figure.p99 is None else number(figure.p99)
        yield f"| {figure.name.strip()} | {number(figure.value)} {figure.unit} | {p99} | {_goal(figure)} |"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'≤' if figure.less else '≥'} {number(figure.goal)}{'' if figure.holds else ' **!**'}"


def _decode(figures: Sequence[Figure]) -> Iterator[str]:
    """A table per build: a row per kind."""
    rows: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        kind, _, what = figure.name.partition(": ")
        rows.setdefault(kind, {})[what] = figure
    for build, flags in BUILDS.items():
        own = {kind.partition("/")[2]: row for kind, row in rows.items() if kind.startswith(f"{build}/")}
        if not own:
            continue
        ratios = list(dict.fromkeys(name for row in own.values() for name in row if " / " in name))
        columns = [name for name in _DECODE if any(name in row for row in own.values())]
        yield f"| {' '.join(flags)}, ns | {' | '.join([*columns, *ratios])} |"
        yield "|---" * (1 + len(columns) + len(ratios)) + "|"
        for kind, row in own.items():
            cells = [_cell(row.get(name)) for name in (*columns, *ratios)]
            yield f"| {kind} | {' | '.join(cells)} |"
        yield ""


def _instructions() -> Iterator[str]:
    """By kind and road."""
    counts: dict[str, dict[str, dict[str, float]]] = json.loads((ROOT / "bench/instructions.json").read_text())["counts"]
    roads = ("fast", "tolerant", "sbe", "publish", "first", "duplicate")
    yield f"| | {' | '.join(roads)} |"
    yield "|---" * (1 + len(roads)) + "|"
    for kind, row in counts.items():
        yield f"| {kind} | {' | '.join(number(row[road]['total']) if road in row else '' for road in roads)} |"


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else f"{number(figure.value)}{'' if figure.holds else ' **!**'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
