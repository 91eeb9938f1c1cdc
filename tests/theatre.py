"""A simulator on a thread of its own that notes everything it says, and `k4` commands run as users run them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import IO, Any, Self

import k4
from k4 import native
from k4.config import load_reported
from k4.sim import voice
from k4.sim.command import desks
from k4.sim.desk import Desk
from k4.sim.replay import Recording
from k4.sim.server import Simulator
from k4.sim.voice import Variant, kind_of


@dataclass(frozen=True, slots=True)
class Said:
    """One update as the simulator wrote it. `records`: the words of its message; `kind` and `variant` as in k4.sim.voice."""

    symbol: str
    records: tuple[str, ...]
    kind: str
    variant: str
    values: Mapping[str, object]


@dataclass
class Stage:
    """A folder with shared memory and caches of its own; what it starts is stopped with it."""

    folder: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def k4(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(words), env=self.env, capture_output=True, text=True, timeout=180, check=False)

    @contextmanager
    def running(self, *words: str | Path) -> Iterator[Path]:
        """A `k4` command in the background, ended by SIGTERM; it must then exit with 0. Gives the file of its output."""
        file = self.folder / f"{words[0]}.out"
        with file.open("w") as output, self.started(*words, output=output):
            yield file

    @contextmanager
    def started(self, *words: str | Path, output: IO[str] | int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
        """The same, as its process."""
        with subprocess.Popen(self._command(words), env=self.env, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                yield process
            finally:
                process.terminate()
                try:
                    code = process.wait(timeout=60)
                finally:
                    process.kill()
        assert code == 0, words

    def lines(self, segment: str) -> list[dict[str, Any]]:
        return everything(segment)

    def _command(self, words: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-m", "k4", *map(str, words)]


def everything(segment: str) -> list[dict[str, Any]]:
    """All that a segment holds, as `k4 tail --json` would show it."""
    with k4.open(segment, oldest=True) as reader:
        found = []
        for _ in range(reader.info.head):
            item = reader.read()
            assert item is not None
            assert not isinstance(item, k4.Lost), item
            found.append(item.to_json())
    return found


class Theatre:
    """`said`: per product, in the order in which it was rendered. `replay`: of the first product. `instruments`: of a pattern."""

    def __init__(
        self, config: Path, *, spec: Sequence[Path] | None = None, replay: Recording = (), instruments: int = 3, **options: object
    ) -> None:
        built = native.load(spec)
        served = desks(load_reported(config, built.exchanges), built, 5, instruments)
        recordings = {served[0]: replay} if replay else {}
        self.simulator = Simulator(served, replay=recordings, **options)  # type: ignore[arg-type]
        self.said: dict[Desk, list[Said]] = {desk: [] for desk in served}
        self.port = 0
        self.faults: list[str] = []  # exceptions that nobody took: the simulator's own
        self._loop = asyncio.new_event_loop()
        self._ready = Flag()
        self._thread = Thread(target=self._run, daemon=True)
        for desk in served:
            self._listen(desk)

    def _listen(self, desk: Desk) -> None:
        say = desk.voice.say

        def noted(message: int, rows: Sequence[Mapping[str, object]], variant: Variant = "live") -> list[voice.Said]:
            spec = desk.venue.messages[message]
            self.said[desk] += [Said(str(row["symbol"]), spec.records, kind_of(spec), variant, dict(row)) for row in rows]
            return say(message, rows, variant)

        desk.voice.say = noted  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self.simulator.close(), self._loop).result(60)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
        self._loop.close()
        assert not self.faults, self.faults

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._note)
        self.port = self._loop.run_until_complete(self.simulator.start("127.0.0.1", 0))
        self._ready.set()
        self._loop.run_forever()

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        exception = context.get("exception")
        gave_up = exception is ConnectionResetError or isinstance(exception, ConnectionResetError)  # asyncio gives the one or the other
        if not gave_up:  # a client, in its handshake
            self.faults.append(f"{context.get('message')}: {exception!r}")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def numbers(self) -> list[int]:
        """The connections that are up, by their order of arrival."""
        return sorted(client.number for client in list(self.simulator.clients))

    def drop(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self.simulator.drop, number)


def wait_for(condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s for {what if isinstance(what, str) else what()}"
        time.sleep(0.05)
