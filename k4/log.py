"""The log: readable lines on stderr, JSON lines in one file per day, and repeats held back.

Times are UTC. Every process of a run appends to the same file; a line is one write, so lines stay whole. Loads nothing heavy: it stands
before the first record of every start. Imports `errors`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from .errors import K4Error

LEVELS = ("debug", "info", "warning", "error")
REPEATS = 3
REPEAT_WINDOW_S = 60.0
RETAIN_DAYS = 14
EVENT_WIDTH = 28

Event = dict[str, Any]
Sink = Callable[[Event], None]


class Repeats:
    """Lets the first `REPEATS` lines with the same event and connection pass in any `REPEAT_WINDOW_S`, holds the rest back and
    says how many they were in the first line of the next window. Errors always pass."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = REPEATS, window_s: float = REPEAT_WINDOW_S) -> None:
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._seen: dict[tuple[str, str], list[float]] = {}  # key → [window start, lines, held back]

    def passes(self, event: Event) -> bool:
        """May this line be shown? Adds `held_back` to it where others were not."""
        now = self._clock()
        key = (str(event.get("event")), str(event.get("connection", "")))
        state = self._seen.get(key)
        if state is None or now - state[0] >= self._window_s:
            if state is not None and state[2]:
                event["held_back"] = int(state[2])
            self._seen[key] = [now, 1, 0]
            return True
        if state[1] < self._most or event.get("level") == "error":
            state[1] += 1
            return True
        state[2] += 1
        return False


class DailyFile:
    """Appends one JSON line per event to DIR/k4-YYYY-MM-DD.log and removes files older than `retain_days` when the day changes."""

    def __init__(self, folder: Path, retain_days: int = RETAIN_DAYS, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._retain_days = retain_days
        self._now = now
        self._day = ""
        self._fd = -1
        try:
            self._roll(self._now())
        except OSError as error:
            message = f"log.dir {str(folder)!r} cannot be written: {error.strerror}"
            raise K4Error(message, hint="choose another folder, or null for no file") from error

    def __call__(self, event: Event) -> None:
        with contextlib.suppress(OSError):  # else yesterday's takes it
            self._roll(self._now())
        with contextlib.suppress(OSError):  # a full disk must not stop the feed; the console still has the line
            os.write(self._fd, json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace") + b"\n")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _roll(self, now: datetime) -> None:
        day = now.strftime("%Y-%m-%d")
        if day == self._day:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._folder / f"k4-{day}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.close()
        self._fd, self._day = fd, day
        oldest = (now - timedelta(days=self._retain_days - 1)).strftime("k4-%Y-%m-%d.log")
        for path in self._folder.glob("k4-????-??-??.log"):
            if path.name < oldest:
                path.unlink(missing_ok=True)


class Console:
    """Readable lines, coloured where `stream` is a terminal: time, level, event, then what else is known of it as name=value."""

    _COLOURS = {"debug": "32", "info": "32", "warning": "33", "error": "31"}  # noqa: RUF012 (a constant)

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = stream.isatty()

    def __call__(self, event: Event) -> None:
        rest = dict(event)
        at, level, what, trace = (rest.pop(key, "") for key in ("timestamp", "level", "event", "exception"))
        parts = [
            self._in("2", str(at)),
            f"[{self._in(self._COLOURS.get(level, '0'), str(level).ljust(8))}]",
            self._in("1", _shown(what, free=True).ljust(EVENT_WIDTH)),
            *(f"{self._in('36', name)}={self._in('35', _shown(value))}" for name, value in rest.items()),
        ]
        try:
            self._stream.write(" ".join(parts).rstrip() + "\n" + (f"{trace}\n" if trace else ""))
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody to tell

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def _shown(value: object, *, free: bool = False) -> str:
    """A text as it is where that is unmistakable, else quoted, so that what a peer said can neither end a line nor colour it."""
    if not isinstance(value, str):
        return repr(value)
    plain = value.isprintable() and (free or not set(value) & set(" =\"'"))
    return value if plain else repr(value)


class _Output:
    """Where the lines of a logger and of all that are bound from it go, and which."""

    __slots__ = ("least", "repeats", "sinks")

    def __init__(self, sinks: Sequence[Sink], least: int, repeats: Repeats | None) -> None:
        self.sinks = sinks
        self.least = least
        self.repeats = repeats


class Logger:
    """Tells `sinks` what happens, from `level` on; what is bound stands in every line."""

    __slots__ = ("_bound", "_output")

    def __init__(self, sinks: Sequence[Sink], *, level: str = "debug", repeats: Repeats | None = None, **bound: Any) -> None:
        self._output = _Output(sinks, LEVELS.index(level), repeats)
        self._bound = bound

    def bind(self, **bound: Any) -> Logger:
        """A logger that also says these."""
        other = Logger((), **{**self._bound, **bound})
        other._output = self._output
        return other

    def change(self, level: str, file: DailyFile | None) -> None:
        """From now on this level, and this file in the place of the last one; for all that are bound from the same logger."""
        for sink in self._output.sinks:
            if isinstance(sink, DailyFile) and sink is not file:
                sink.close()
        others = [sink for sink in self._output.sinks if not isinstance(sink, DailyFile)]
        self._output.sinks = [*([] if file is None else [file]), *others]
        self._output.least = LEVELS.index(level)

    def debug(self, event: str, **values: Any) -> None:
        self._say("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        self._say("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._say("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        self._say("error", event, values)

    def exception(self, event: str, **values: Any) -> None:
        """An error with the traceback of the exception that is being handled."""
        self._say("error", event, {**values, "exception": trace(sys.exc_info()[1])})

    def _say(self, level: str, event: str, values: Event) -> None:
        output = self._output
        if LEVELS.index(level) < output.least:
            return
        line = {**self._bound, **values, "event": event, "level": level}
        if output.repeats is not None and not output.repeats.passes(line):
            return
        line["timestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for sink in output.sinks:
            sink(line)


def trace(error: BaseException | None) -> str:
    """What a line says as `exception`."""
    return "".join(traceback.format_exception(error)).rstrip() if error is not None else ""


def setup(*, level: str = "info", folder: Path | None = None, retain_days: int = RETAIN_DAYS, **bound: str) -> Logger:
    """The logger of this process, with `bound` in every line. `folder` None: no file.

    Raises K4Error when the folder cannot be written.
    """
    sinks: list[Sink] = [] if folder is None else [DailyFile(folder, retain_days)]
    return Logger([*sinks, Console(sys.stderr)], level=level, repeats=Repeats(), **bound)


def change(logger: Logger, *, level: str, folder: str | None, retain_days: int) -> None:
    """What `setup` was told, told anew. Raises K4Error when the folder cannot be written; nothing has changed then."""
    logger.change(level, None if folder is None else DailyFile(Path(folder), retain_days))


def default_dir() -> Path:
    """Where logs go unless configured: the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "k4" / "log"
    try:
        return Path.home() / ".local" / "state" / "k4" / "log"
    except RuntimeError as error:
        hint = 'name a folder: "log": { "dir": "PATH" } (null: no file), or set XDG_STATE_HOME'
        raise K4Error("no home folder is known to keep logs in", hint=hint) from error
