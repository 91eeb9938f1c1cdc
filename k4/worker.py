"""One worker process: one group, one thread, nothing but feeding.

Started by `k4.supervisor` as `python -m k4.worker`; what is said between the two stands in `k4.pipe`. It loads neither aiohttp nor
cryptography.
Imports `errors`, `group`, `job`, `log`, `native`, `pipe`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from . import log, native
from .errors import K4Error
from .group import Feed
from .job import REFUSED, Job
from .pipe import Pipe


async def _feed(job: Job, pipe: Pipe, logger: log.Logger) -> None:
    feed = Feed(_native(job), job, logger)
    try:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        changing: set[asyncio.Task[None]] = set()

        def told(line: str) -> None:
            task = asyncio.create_task(_change(feed, Job.from_json(line), pipe, logger))
            changing.add(task)
            # What it raises is a fault of ours, and leaves something half-done: the successor begins anew.
            task.add_done_callback(lambda done: stop.set() if done.exception() is not None else changing.discard(done))

        pipe.listen(told, stop.set)
        loop.set_exception_handler(lambda _, context: _unexpected(logger, context))
        pipe.say("begun")
        logger.info("started", segments=", ".join(job.segments.values()), connections=len(feed.connections), pid=os.getpid())
        # What has been made until now lives for ever; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        beating = asyncio.create_task(pipe.beat(lambda: _state(feed)))
        if job.connections[0].busy_poll:
            stay_awake(loop)
        await feed.run(stop)
        beating.cancel()
        await asyncio.gather(*changing)
    finally:
        feed.close()


async def _change(feed: Feed, job: Job, pipe: Pipe, logger: log.Logger) -> None:
    """Works on another job, and answers whether it can."""
    try:
        await feed.change(job)
        log.change(logger, level=job.level, folder=job.log_dir, retain_days=job.retain_days)
    except K4Error as error:
        pipe.say("refused", reason=str(error)[:1000])
        return
    pipe.say("changed")


def stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    """Has the loop always something to do, so that it asks for what has arrived (about once a microsecond) instead of waiting for it."""
    loop.call_soon(stay_awake, loop)


def _state(feed: Feed) -> dict[str, int]:
    """What goes with a beat: connections that are up, and all."""
    return {"up": sum(1 for one in feed.connections if one.healthy_since_ns), "of": len(feed.connections)}


def _native(job: Job) -> native.Native:
    """What the supervisor found, else (it may have been cleared away since) what matches now."""
    if job.build is not None and Path(job.build).is_dir():
        return native.opened(Path(job.build))
    return native.load([Path(folder) for folder in job.spec] or None)


def _unexpected(logger: log.Logger, context: dict[str, Any]) -> None:
    """An exception that nobody awaited: a fault of ours, which must be seen."""
    logger.error("unexpected", what=context.get("message"), exception=log.trace(context.get("exception")))


def main() -> int:
    """Runs the job given on standard input. Returns 0 when stopped, REFUSED when the group cannot run as it is."""
    # Until the loop has its own handlers; an exit while a feed is being opened closes it again.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    pipe = Pipe()
    line = pipe.line()
    if line is None:
        return 0
    job = Job.from_json(line)
    folder = None if job.log_dir is None else Path(job.log_dir)
    cpus = {entry.cpu for entry in job.connections if entry.cpu is not None}
    try:
        logger = log.setup(level=job.level, folder=folder, retain_days=job.retain_days, group=job.group)
    except K4Error as error:
        print(f"k4: error: {error}", file=sys.stderr)
        return REFUSED
    try:
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
        uvloop.run(_feed(job, pipe, logger))
    except K4Error as error:
        logger.error("cannot run", reason=str(error), **({"hint": error.hint} if error.hint else {}))  # noqa: TRY400 (expected)
        return REFUSED
    except Exception:
        logger.exception("crashed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
