"""Findings: what is wrong with a schema or a spec, where, and what to write instead.

Everything that reads input files reports through these two types. Imports nothing of the project.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

LONGEST = 2000  # characters of a finding that are shown


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong. `line` is 1-based; 0 where the file as a whole is meant."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """One line, in which nothing that was read from a file is obeyed by a terminal, nor fills it."""
        text = self.message if len(self.message) <= LONGEST else self.message[: LONGEST - 1] + "…"
        shown = text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return f"{self.file}:{self.line}: {shown}"


class FindingsError(Exception):
    """All findings of a run, sorted by file and line; those of one line stay in the order in which they were made."""

    findings: tuple[Finding, ...]

    def __init__(self, findings: Iterable[Finding]) -> None:
        unique = dict.fromkeys(findings)
        self.findings = tuple(sorted(unique, key=lambda finding: (finding.file, finding.line)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that `word` is most likely a misspelling of, if any is like it."""
    close = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean "order"?` when a word like it is allowed, else the list of what is."""
    words = list(allowed)
    close = nearest(word, words)
    if close is not None:
        return f'; did you mean "{close}"?'
    return f"; write one of {' '.join(words)}" if words else ""
