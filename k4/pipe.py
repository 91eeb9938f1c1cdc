"""A child's side of the pipes to its supervisor: what it is told on standard input, and what it says on standard output.

    in    its job, a line of JSON; later, lines that change it; the end means that the supervisor is gone
    out   a line of JSON each: {"said": "begun"}, twice a second {"said": "alive", …}, answers

Beats come from the child's event loop, so that one that is stuck falls silent. Nothing that is said ever waits: a supervisor that does
not read misses it. Imports nothing of the project.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping

BEAT_S = 0.5
_READ = 1 << 16
# A line that is no longer is written whole or not at all (PIPE_BUF).
MOST_SAID = 4096


class Pipe:
    """`stdin`, `stdout`: descriptors of the pipes."""

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        self._in = stdin
        self._out = stdout
        self._rest = bytearray()
        with contextlib.suppress(OSError):
            os.set_blocking(stdout, False)

    def line(self) -> str | None:
        """Waits for one line; None: the supervisor is gone."""
        while (found := self._line()) is None:
            part = os.read(self._in, _READ)
            if not part:
                return None
            self._rest += part
        return found

    def listen(self, told: Callable[[str], None], end: Callable[[], None]) -> None:
        """From now on the running loop calls `told` with each line, and `end` once there will be none."""
        loop = asyncio.get_running_loop()

        def ready() -> None:
            part = os.read(self._in, _READ)
            if not part:
                loop.remove_reader(self._in)
                end()
            self._rest += part
            while (found := self._line()) is not None:
                told(found)

        loop.add_reader(self._in, ready)
        while (found := self._line()) is not None:
            told(found)

    def say(self, said: str, **values: object) -> None:
        line = json.dumps({"said": said, **values}).encode() + b"\n"
        assert len(line) <= MOST_SAID
        with contextlib.suppress(OSError):
            os.write(self._out, line)

    async def beat(self, values: Callable[[], Mapping[str, object]] = dict) -> None:
        """Says for ever that the event loop runs."""
        while True:
            self.say("alive", **values())
            await asyncio.sleep(BEAT_S)

    def _line(self) -> str | None:
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            return None
        self._rest = rest
        return line.decode()
