"""Helpers of the spec tests: the worked example, broken on purpose, and what the checker says of it."""

from __future__ import annotations

from pathlib import Path

from k4._codegen import exchange, fbs, ir

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "tests/cases/specs"
NOVA = SPECS / "nova.toml"
TOPIC = 'match   = { topic = "$channel", mkt = "$market" }        #'  # of its bbo
RECORDS = fbs.load(ROOT / "schema/records.fbs")

Changes = tuple[tuple[str, str], ...]  # (old, new) each


def findings(text: str, folder: Path, name: str = "nova.toml") -> list[str]:
    """Every finding of a spec with this text, without the folder in front."""
    path = folder / name
    path.write_text(text)
    _, found = exchange.read(path, RECORDS)
    return [str(finding).removeprefix(f"{folder}/") for finding in found]


def broken(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """The findings of the worked example after each `old` has been replaced once by `new`."""
    text = NOVA.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return findings(text, folder)


def load(text: str, folder: Path, name: str) -> ir.Exchange:
    path = folder / name
    path.write_text(text)
    return exchange.load(path, RECORDS)
