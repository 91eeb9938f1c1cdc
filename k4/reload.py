"""`k4 reload`: tells the run of a configuration to read it anew, and says what came of it. Imports `control`, `errors`."""

from __future__ import annotations

from pathlib import Path

from . import control
from .errors import K4Error


def run(config: Path) -> int:
    """Prints what has changed, a line per group. Returns 0: all of it is done, 1: not all. Raises K4Error, nothing has changed then."""
    answer = control.ask(config, "reload")
    if "error" in answer:
        raise K4Error(str(answer["error"]), hint=str(answer.get("hint", "")))
    for line in answer["lines"]:
        print(line)
    return int(answer["code"])
