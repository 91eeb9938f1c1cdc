"""The processes of a run: one worker per group, and the fetcher where one is needed, kept alive and ended together.

A worker that is refused at the start of the run (a segment that another writer holds, a CA file that cannot be read) ends the run, since
only the user can help. A service manager is told when all have begun, and that all are alive while all are.
Imports `changes`, `job`, `keeper`, `log`, `notify`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from functools import partial

from .changes import Change, Difference, between
from .job import FetcherJob, Job
from .keeper import LOOK_S, Keeper, Process
from .log import Logger
from .notify import Notifier

# The time given to a run begins after so long even if a worker has not begun.
START_S = 30.0
WORKER = (sys.executable, "-m", "k4.worker")
FETCHER = (sys.executable, "-m", "k4.fetcher")


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
        notifier: Notifier | None = None,
    ) -> None:
        self._log = log
        self._command = tuple(command)
        self._notifier = notifier or Notifier({})
        self._stop = asyncio.Event()
        self._failed = False
        self._waiting = waiting
        self._backoff_s = backoff_s
        self._keepers = {job.group: self._keeper(job) for job in jobs}
        self._keeping: dict[Keeper, asyncio.Task[None]] = {}

    async def run(self, seconds: float | None = None) -> int:
        """Runs until SIGTERM, SIGINT or for `seconds`. Returns the exit code: 0 stopped as asked, 1 a group could not run."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked, number)
        for keeper in self._keepers.values():
            self._keeping[keeper] = asyncio.create_task(self._keep(keeper))
        beside = [asyncio.create_task(self._look()), asyncio.create_task(self._begin())]
        if seconds is not None:
            beside.append(asyncio.create_task(self._end_after(seconds)))
        try:
            await self._stop.wait()
            self._notifier.stopping()
            for keeper in self._keeping:
                keeper.stop()
            await asyncio.gather(*self._keeping.values())
        finally:
            for task in (*self._keeping.values(), *beside):
                task.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        return 1 if self._failed else 0

    def stop(self) -> None:
        """Makes `run` end."""
        self._stop.set()

    def _asked(self, number: signal.Signals) -> None:
        self._log.info("stopping", reason=signal.Signals(number).name)
        self._stop.set()

    def _keeper(self, job: Job | FetcherJob) -> Keeper:
        return Keeper(job, self._log, partial(self._start, job), self._backoff_s)

    async def _keep(self, keeper: Keeper, *, vital: bool = True) -> None:
        await keeper.run()
        if keeper.refused and vital:
            self._failed = True
            self._stop.set()
        self._failed |= keeper.unclean

    async def _start(self, job: Job | FetcherJob) -> Process:
        if isinstance(job, FetcherJob):
            return await start(FETCHER, job.fd)
        if self._waiting is not None:
            process, self._waiting = self._waiting, None
            return process
        return await start(self._command)

    # ------------------------------------------------------------------ other jobs

    async def apply(self, jobs: Sequence[Job | FetcherJob]) -> list[Change]:
        """Works on these jobs from now on, and says what that changed. A group whose worker can change is told so.
        What is to end has ended before anything begins, which may need its segments. A group that cannot run is left out."""
        wanted = {job.group: job for job in jobs}
        different = {group: between(keeper.job, wanted[group]) for group, keeper in self._keepers.items() if group in wanted}
        gone = [group for group in self._keepers if group not in wanted]
        await self._end([*gone, *(group for group, difference in different.items() if difference.restart)])
        done = await asyncio.gather(*(self._change(job, different.get(group)) for group, job in wanted.items()))
        return [*done, *(Change(group, "ended") for group in gone)]

    async def _change(self, job: Job | FetcherJob, difference: Difference | None) -> Change:
        """Starts a group that is not there, tells one that is."""
        keeper = self._keepers.get(job.group)
        if keeper is not None and difference is not None:
            reason = await keeper.change(job) if job != keeper.job else None
            if reason is not None:
                return Change(job.group, "refused", reason=reason)
            return Change(job.group, "changed", difference.added, difference.removed, redundancy=difference.redundancy)
        if self._stop.is_set():
            return Change(job.group, "refused", reason="the run is being stopped")
        keeper = self._keepers[job.group] = self._keeper(job)
        self._keeping[keeper] = asyncio.create_task(self._keep(keeper, vital=False))
        await keeper.begun.wait()
        if keeper.refused:
            await self._end([job.group])
            return Change(job.group, "refused", reason="its worker cannot run, and has said why in the log")
        if difference is None:
            return Change(job.group, "started")
        return Change(job.group, "restarted", difference.added, difference.removed, "other " + ", ".join(difference.restart))

    async def _end(self, groups: Sequence[str]) -> None:
        keepers = [self._keepers.pop(group) for group in groups]
        for keeper in keepers:
            keeper.stop()
        await asyncio.gather(*(self._keeping.pop(keeper) for keeper in keepers))

    # ------------------------------------------------------------------ beside

    async def _begun(self) -> None:
        await asyncio.gather(*(keeper.begun.wait() for keeper in self._keepers.values()))

    async def _begin(self) -> None:
        """The run is ready when all its segments are there: whether a venue answers is not for who starts after it to wait for."""
        await self._begun()
        self._notifier.ready()

    async def _end_after(self, seconds: float) -> None:
        """The time of a run counts from when all its workers have begun: what a busy machine takes to start them is not part of it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._begun(), START_S)
        await asyncio.sleep(seconds)
        self._stop.set()

    async def _look(self) -> None:
        """Looks after the workers; the service manager hears of the run only while none of them is late."""
        every = LOOK_S if self._notifier.watchdog_s is None else min(LOOK_S, self._notifier.watchdog_s / 4)
        loop = asyncio.get_running_loop()
        looked, well = loop.time(), True
        while True:
            if loop.time() - looked >= LOOK_S:
                looked = loop.time()
                for keeper in self._keepers.values():
                    keeper.look()
                well = not any(keeper.late for keeper in self._keepers.values())
                self._notifier.status(self._status())
            if well:
                self._notifier.alive()
            await asyncio.sleep(every)

    def _status(self) -> str:
        workers = [keeper for keeper in self._keepers.values() if isinstance(keeper.job, Job)]
        up, of = (sum(int(keeper.says.get(word, 0)) for keeper in workers) for word in ("up", "of"))
        return f"{len(workers)} group{'' if len(workers) == 1 else 's'}, {up} of {of} connections up"
