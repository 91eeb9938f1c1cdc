"""The log: readable lines on stderr, JSON lines in one file per day, and repeats held back.

Imports structlog and `errors`. Times are UTC. Every process of a run appends to the same file; a line is one write, so lines stay whole.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from .errors import K4Error

LEVELS = ("debug", "info", "warning", "error")
REPEATS = 3
REPEAT_WINDOW_S = 60.0
RETAIN_DAYS = 14

Event = MutableMapping[str, Any]
Logger = structlog.typing.FilteringBoundLogger


class Repeats:
    """Lets the first `REPEATS` lines with the same event and connection pass in any `REPEAT_WINDOW_S`, holds the rest back and
    says how many they were in the first line of the next window."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = REPEATS, window_s: float = REPEAT_WINDOW_S) -> None:
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._seen: dict[tuple[str, str], list[float]] = {}  # key → [window start, lines, held back]

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        now = self._clock()
        key = (str(event.get("event")), str(event.get("connection", "")))
        state = self._seen.get(key)
        if state is None or now - state[0] >= self._window_s:
            if state is not None and state[2]:
                event["held_back"] = int(state[2])
            self._seen[key] = [now, 1, 0]
            return event
        if state[1] < self._most or event.get("level") == "error":
            state[1] += 1
            return event
        state[2] += 1
        raise structlog.DropEvent


class DailyFile:
    """Appends one JSON line per event to DIR/k4-YYYY-MM-DD.log and removes files older than `retain_days` when the day changes."""

    def __init__(self, folder: Path, retain_days: int = RETAIN_DAYS, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._retain_days = retain_days
        self._now = now
        self._day = ""
        self._fd = -1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._roll(self._now())
        except OSError as error:
            message = f"log.dir {str(folder)!r} cannot be written: {error.strerror}"
            raise K4Error(message, hint="choose another folder, or null for no file") from error

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        try:
            self._roll(self._now())
            os.write(self._fd, json.dumps(event, default=str, ensure_ascii=False).encode() + b"\n")
        except OSError:
            pass  # a full disk must not stop the feed; the console still has the line
        return event

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _roll(self, now: datetime) -> None:
        day = now.strftime("%Y-%m-%d")
        if day == self._day:
            return
        fd = os.open(self._folder / f"k4-{day}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.close()
        self._fd, self._day = fd, day
        oldest = (now - timedelta(days=self._retain_days - 1)).strftime("k4-%Y-%m-%d.log")
        for path in self._folder.glob("k4-????-??-??.log"):
            if path.name < oldest:
                path.unlink(missing_ok=True)


def setup(*, level: str = "info", folder: Path | None = None, retain_days: int = RETAIN_DAYS, **bound: str) -> Logger:
    """Configures the log of this process and returns its logger with `bound` in every line. `folder` None: no file.

    Raises K4Error when the folder cannot be written.
    """
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        Repeats(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if folder is not None:
        processors.append(DailyFile(folder, retain_days))
    processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28, sort_keys=False))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logger: Logger = structlog.get_logger(**bound)
    return logger


def default_dir() -> Path:
    """Where logs go unless configured: the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "k4" / "log"
