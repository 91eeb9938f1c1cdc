"""One child process and its successors: started, told its job, listened to, started anew when it crashes or hangs, ended in the end.

A child beats twice a second once it has begun (`k4.pipe`). One that is silent for `HUNG` looks in a row is killed: its event loop is
stuck, or it was stopped. Looks are counted, not seconds, so that a supervisor that was stopped itself blames nobody for that time.
Imports `backoff`, `job`, `log`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .backoff import Backoff
from .job import REFUSED, FetcherJob, Job
from .log import Logger

# After SIGTERM a child has so long to drain, then it is killed.
DRAIN_S = 5.0
# How often the supervisor looks whether a child has beaten. After so many looks without a beat it is late, after so many it hangs;
# until it has begun it may be silent for longer: memory is allocated, page by page.
LOOK_S = 0.5
LATE, HUNG, SLOW_START = 4, 10, 120
# A child that is told of a change answers within this time, or hangs.
ANSWER_S = 30.0
# A child that worked for so long has not crashed for what it was started with: its successor begins as soon as after the first crash.
# The waits are there for a crash that comes back at every start; dials are counted by themselves, whoever makes them.
WELL_S = 10.0

Process = asyncio.subprocess.Process
Start = Callable[[], Awaitable[Process]]


class Keeper:
    """`start`: makes a process that waits for its job on standard input. `backoff_s`: first and longest wait before a restart."""

    def __init__(self, job: Job | FetcherJob, log: Logger, start: Start, backoff_s: tuple[float, float] = (0.25, 30.0)) -> None:
        self.job = job
        self.begun = asyncio.Event()  # said anything for the first time, or ended before it could
        self.refused = False  # it cannot run, as it said at its first start
        self.unclean = False  # it did not end as it should
        self.says: Mapping[str, Any] = {}  # with its last beat
        self._log = log
        self._start = start
        self._backoff_s = backoff_s
        self._stop = asyncio.Event()
        self._process: Process | None = None  # while it runs and is to go on
        self._beating = False  # it has begun
        self._missed = 0  # looks since it said something
        self._answer: asyncio.Future[Mapping[str, Any]] | None = None

    async def run(self) -> None:
        """Keeps the process alive until `stop`, or until it is refused at its first start: only the user can help then."""
        backoff = Backoff(*self._backoff_s, good=WELL_S)
        first = True
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._once()
            up_s = time.monotonic() - began
            self.refused = code == REFUSED and first  # it has said why
            self.begun.set()
            if self.refused:
                return
            if self._stop.is_set():
                return
            first = False
            backoff.ended(up_s)
            wait = backoff.next()
            self._log.error("worker ended", group=self.job.group, how=_how(code), up_s=round(up_s, 1), restart_in_s=round(wait, 2))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)

    def stop(self) -> None:
        """Makes `run` end the process and return."""
        self._stop.set()

    @property
    def late(self) -> bool:
        """Whether a process that should have beaten has not."""
        return self._process is not None and self._beating and self._missed >= LATE

    def look(self) -> None:
        """Called every LOOK_S: kills a process that hangs."""
        if self._process is None:
            return
        self._missed += 1
        most = HUNG if self._beating else SLOW_START
        if self._missed == most:
            self._log.error("worker hangs; killing it", group=self.job.group, silent_s=most * LOOK_S)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def change(self, job: Job | FetcherJob) -> str | None:
        """Gives the process another job while it works; one that is started later has it too. Returns why it was refused, None: it was not.

        A process that does not answer in time is killed, and its successor has the new job.
        """
        former, self.job = self.job, job
        process = self._process
        if process is None or process.stdin is None:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ConnectionError):
            process.stdin.write(job.to_json().encode() + b"\n")
            await process.stdin.drain()
        await asyncio.wait([self._answer], timeout=ANSWER_S)
        if not self._answer.done():
            self._log.error("worker does not take its new job; killing it", group=job.group, after_s=ANSWER_S)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return None
        answer = self._answer.result()
        if answer.get("said") == "refused":
            self.job = former
            return str(answer.get("reason"))
        return None

    # ------------------------------------------------------------------ one process

    async def _once(self) -> int:
        """Starts a process and waits for its end, which is brought about when it is to stop. Returns its code, < 0: a signal."""
        process = await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._beating, self._missed = process, False, 0
        heard = asyncio.create_task(self._hear(process.stdout))
        with contextlib.suppress(ConnectionError):
            process.stdin.write(self.job.to_json().encode() + b"\n")
            await process.stdin.drain()
        ended = asyncio.create_task(process.wait())
        asked = asyncio.create_task(self._stop.wait())
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not ended.done():
            await self._end(process, ended)
        process.stdin.close()
        await heard
        return await ended

    async def _hear(self, stdout: asyncio.StreamReader) -> None:
        """Whatever a process says first means that it has begun."""
        while line := await stdout.readline():
            self._missed = 0
            self._beating = True
            self.begun.set()
            with contextlib.suppress(ValueError):
                self._heard(json.loads(line))
        self._process = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({})  # its successor has the job

    def _heard(self, said: Any) -> None:
        if not isinstance(said, dict):
            return
        if said.get("said") == "alive":
            self.says = said
        elif said.get("said") in {"changed", "refused"} and self._answer is not None and not self._answer.done():
            self._answer.set_result(said)

    async def _end(self, process: Process, ended: asyncio.Task[int]) -> None:
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ended], timeout=DRAIN_S)
        if not ended.done():
            self._log.error("worker does not stop; killing it", group=self.job.group, after_s=DRAIN_S)
            self.unclean = True
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        elif ended.result() not in (0, -signal.SIGTERM):  # by the signal itself: it had not begun to work yet
            self._log.error("worker ended", group=self.job.group, how=_how(ended.result()))
            self.unclean = True


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
