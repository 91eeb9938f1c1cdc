"""Keeps one worker process per group alive, and the fetcher where one is needed, and ends them all cleanly.

A worker that crashes is started again after a growing, jittered wait; one that is refused at its first start (a segment that another
writer holds, a CA file that cannot be read) ends the run, since only the user can help.
Imports `backoff`, `job` and `log`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Sequence

from .backoff import Backoff
from .job import REFUSED, FetcherJob, Job
from .log import Logger

# After SIGTERM a worker has so long to drain, then it is killed.
DRAIN_S = 5.0
# The time given to a run begins after so long even if a worker has not begun.
START_S = 30.0
WORKER = (sys.executable, "-m", "k4.worker")
FETCHER = (sys.executable, "-m", "k4.fetcher")

Process = asyncio.subprocess.Process


async def start(command: Sequence[str] = WORKER, *fds: int) -> Process:
    """A worker that waits for its job, and ends by itself if its standard input ends first. `fds`: descriptors that it inherits."""
    # Its own process group: a terminal's Ctrl-C reaches the supervisor alone, which then ends the workers in order.
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, process_group=0, pass_fds=fds)


async def dismiss(waiting: Process) -> None:
    """Ends a worker that has no job yet, and so nothing to close."""
    with contextlib.suppress(ProcessLookupError):
        waiting.kill()
    await waiting.wait()


class Supervisor:
    """`command`: what a worker is started with, its job on standard input. `backoff_s`: first and longest wait before a restart.
    `waiting`: a worker that was started already and waits for a job."""

    def __init__(
        self,
        jobs: Sequence[Job | FetcherJob],
        log: Logger,
        *,
        command: Sequence[str] = WORKER,
        backoff_s: tuple[float, float] = (0.25, 30.0),
        waiting: Process | None = None,
    ) -> None:
        self._jobs = jobs
        self._log = log
        self._command = tuple(command)
        self._backoff_s = backoff_s
        self._stop = asyncio.Event()
        self._begun = {job.group: asyncio.Event() for job in jobs}
        self._failed = False
        self._waiting = waiting

    async def run(self, seconds: float | None = None) -> int:
        """Runs until SIGTERM, SIGINT or for `seconds`. Returns the exit code: 0 stopped as asked, 1 a group could not run."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked, number)
        timer = None if seconds is None else asyncio.create_task(self._end_after(seconds))
        try:
            await asyncio.gather(*(self._keep(job) for job in self._jobs))
        finally:
            if timer is not None:
                timer.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return 1 if self._failed else 0

    def stop(self) -> None:
        """Makes `run` end."""
        self._stop.set()

    def _asked(self, number: signal.Signals) -> None:
        self._log.info("stopping", reason=signal.Signals(number).name)
        self._stop.set()

    async def _keep(self, job: Job | FetcherJob) -> None:
        backoff = Backoff(*self._backoff_s)
        first = True
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._once(job)
            up_s = time.monotonic() - began
            if code == REFUSED and first:
                # The worker has said why.
                self._failed = True
                self._stop.set()
            if self._stop.is_set():
                break
            first = False
            backoff.ended(up_s)
            wait = backoff.next()
            self._log.error("worker ended", group=job.group, how=_how(code), up_s=round(up_s, 1), restart_in_s=round(wait, 2))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)

    async def _once(self, job: Job | FetcherJob) -> int:
        """Starts a worker and waits for its end, which is brought about when the run is to stop. Returns its code, < 0: a signal."""
        if isinstance(job, FetcherJob):
            process = await start(FETCHER, job.fd)
        elif self._waiting is not None:
            process, self._waiting = self._waiting, None
        else:
            process = await start(self._command)
        assert process.stdin is not None
        assert process.stdout is not None
        heard = asyncio.create_task(self._hear(job, process.stdout))
        with contextlib.suppress(ConnectionError):
            process.stdin.write(job.to_json().encode() + b"\n")
            await process.stdin.drain()
        ended = asyncio.create_task(process.wait())
        asked = asyncio.create_task(self._stop.wait())
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not ended.done():
            await self._end(job, process, ended)
        process.stdin.close()
        await heard
        return await ended

    async def _hear(self, job: Job | FetcherJob, stdout: asyncio.StreamReader) -> None:
        """Whatever a worker says first, or its end, means that it has begun."""
        while await stdout.read(4096):
            self._begun[job.group].set()
        self._begun[job.group].set()

    async def _end_after(self, seconds: float) -> None:
        """The time of a run counts from when all its workers have begun: what a busy machine takes to start them is not part of it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(begun.wait() for begun in self._begun.values())), START_S)
        await asyncio.sleep(seconds)
        self._stop.set()

    async def _end(self, job: Job | FetcherJob, process: Process, ended: asyncio.Task[int]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait([ended], timeout=DRAIN_S)
        if not ended.done():
            self._log.error("worker does not stop; killing it", group=job.group, after_s=DRAIN_S)
            self._failed = True
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        elif ended.result() not in (0, -signal.SIGTERM):  # by the signal itself: it had not begun to work yet
            self._log.error("worker ended", group=job.group, how=_how(ended.result()))
            self._failed = True


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
