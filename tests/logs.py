"""What the code under test logs, as a list of lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from k4.log import Event, Logger

Lines = list[Event]

_captures: list[Lines] = []


@contextlib.contextmanager
def captured() -> Iterator[Lines]:
    """The lines that loggers of `logger` write meanwhile, without their times."""
    lines: Lines = []
    _captures.append(lines)
    try:
        yield lines
    finally:
        _captures.remove(lines)


def logger() -> Logger:
    return Logger([_take])


def _take(line: Event) -> None:
    kept = {name: value for name, value in line.items() if name != "timestamp"}
    for lines in _captures:
        lines.append(kept)
