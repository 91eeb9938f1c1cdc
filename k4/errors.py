"""The errors K4 reports to its user.

    Exception
    └── K4Error          something failed or was refused: exit code 1
        └── UsageError   the command line is wrong: exit code 2

An expected error is raised as one of these, caught once in `k4.cli`, and printed as `k4: error: MESSAGE` (with the hint below it),
never as a traceback. Imports nothing.
"""

from __future__ import annotations


class K4Error(Exception):
    """`message`: what is wrong and where, for the user. `hint`: what to do about it, or ""."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(K4Error):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


def shown(text: str) -> str:
    """What a terminal is given: a venue's own words may be in it, and nothing in them is obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
