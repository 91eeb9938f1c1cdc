"""`k4 run`: from a configuration file to running workers. Nothing of what a worker does is loaded here.

The first worker is started before anything else: what it needs is loaded beside what reading the configuration needs.
Imports `changes`, `config`, `control`, `errors`, `fetch`, `home`, `job`, `log`, `lookup`, `native`, `notify`, `session`, `supervisor`
and, of the generator, `bind`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import control, home, log, supervisor
from .changes import Change
from .errors import K4Error, UsageError
from .job import Entry, FetcherJob, Job
from .log import Logger
from .notify import Notifier

if TYPE_CHECKING:
    from .config import Config, Group
    from .native import Native

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def run(config: Path, *, level: str | None, seconds: float | None, sim: str | None, spec: Sequence[Path]) -> int:
    """Runs `config` until stopped, or for `seconds`. `sim`: HOST:PORT of a simulator that stands for every endpoint.

    Returns the exit code. Raises K4Error, whose message names every finding in the configuration, and UsageError.
    """
    ca = None if sim is None else sim_ca(sim)
    return asyncio.run(_run(config, level, seconds, sim, ca, spec))


async def _run(config: Path, level: str | None, seconds: float | None, sim: str | None, ca: Path | None, spec: Sequence[Path]) -> int:
    notifier = Notifier()  # before anything is started that would inherit what it takes
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    with contextlib.ExitStack() as stack:
        stack.callback(notifier.close)
        socket = stack.enter_context(control.listening(config))
        waiting = await supervisor.start()
        try:
            reading = Reading(config, level, sim, ca, spec, stack)
            jobs = await reading.jobs()
        except BaseException:
            await supervisor.dismiss(waiting)
            raise
        running = supervisor.Supervisor(jobs, reading.log, waiting=waiting, notifier=notifier)
        reloads = Reloads(reading, running, notifier)
        hearing = asyncio.create_task(reloads.whenever(asked))
        try:
            async with control.serving(socket, reloads.answer):
                return await running.run(seconds)
        finally:
            hearing.cancel()


class Reading:
    """A configuration, read for a run; and again for each reload of it, with the specs that it began with.

    `stack` holds the fetcher's socket, once it is needed. Raises K4Error where the configuration cannot be run.
    """

    def __init__(
        self, config: Path, level: str | None, sim: str | None, ca: Path | None, spec: Sequence[Path], stack: contextlib.ExitStack
    ) -> None:
        from . import native

        self._path = config
        self._level = level
        self._sim = sim
        self._ca = ca
        self._spec = tuple(str(path.resolve()) for path in spec)
        self._stack = stack
        self._built = native.load(list(spec) or None)
        self._first = self._checked()
        to = self._first.log
        folder = None if to.dir is None else Path(to.dir)
        self.log = log.setup(level=level or to.level, folder=folder, retain_days=to.retain_days)
        self._fetcher: tuple[str, int] | None = None

    async def jobs(self, *, anew: bool = False) -> list[Job | FetcherJob]:
        """What the processes of the run are to do. `anew`: read again, with new lists of instruments, however fresh the kept ones are."""
        from . import config as configuration
        from . import fetch

        config = self._checked() if anew else self._first
        checked, units = await _looked_up(self._path, config, self._built, self._sim, self._ca, self.log, anew=anew)
        common = (self._level or checked.log.level, checked.log.dir, checked.log.retain_days)
        groups = configuration.groups(checked)
        fetching = {group.name for group in groups if _fetches(group, self._built)}
        if fetching and self._fetcher is None:
            path, fd = self._stack.enter_context(fetch.listening())
            self._fetcher = str(path), fd
        jobs: list[Job | FetcherJob] = [
            Job(
                group.name,
                tuple(Entry.of(entry.model_dump()) for entry in group.connections),
                *common,
                sim=self._sim,
                sim_ca=None if self._ca is None else str(self._ca),
                spec=self._spec,
                fetch=self._fetcher[0] if self._fetcher is not None and group.name in fetching else None,
                build=str(self._built.file.parent),
                units={entry.name: units[entry.name] for entry in group.connections},
            )
            for group in groups
        ]
        if self._fetcher is not None:
            jobs.append(FetcherJob(self._fetcher[1], *common))
        return jobs

    def _checked(self) -> Config:
        from . import config as configuration

        return configuration.load_reported(self._path, self._built.exchanges)


class Reloads:
    """Reads the configuration again when asked to, by a signal or by `k4 reload`, one time after the other."""

    def __init__(self, reading: Reading, running: supervisor.Supervisor, notifier: Notifier) -> None:
        self._reading = reading
        self._running = running
        self._notifier = notifier
        self._one = asyncio.Lock()

    async def whenever(self, asked: asyncio.Event) -> None:
        """Reloads each time that `asked` is set; where it was the end of the terminal that the run was typed in, that ends it."""
        typed = _terminal()
        while True:
            await asked.wait()
            asked.clear()
            if typed and not _terminal():
                self._reading.log.info("stopping", reason="the terminal was closed")
                self._running.stop()
                return
            with contextlib.suppress(K4Error):  # it is in the log
                await self.reload()

    async def answer(self, asked: str) -> dict[str, Any]:
        """To a command."""
        if asked != "reload":
            return {"error": f"{asked!r} is nothing that a run does"}
        try:
            changes = await self.reload()
        except K4Error as error:
            return {"error": str(error), "hint": error.hint}
        lines = [str(change) for change in changes] or ["nothing has changed"]
        return {"lines": lines, "code": 1 if any(change.how == "refused" for change in changes) else 0}

    async def reload(self) -> list[Change]:
        """Applies what differs. Raises K4Error where the configuration is refused: nothing has changed then."""
        logger = self._reading.log
        async with self._one:
            self._notifier.reloading()
            try:
                jobs = await self._reading.jobs(anew=True)
                log.change(logger, level=jobs[0].level, folder=jobs[0].log_dir, retain_days=jobs[0].retain_days)
                changes = [change for change in await self._running.apply(jobs) if change.happened]
            except K4Error as error:
                logger.error("reload refused; nothing has changed", reason=str(error))  # noqa: TRY400 (expected)
                raise
            finally:
                self._notifier.ready()
            for change in changes:
                tell = logger.error if change.how == "refused" else logger.info
                tell("reloaded", what=str(change))
            if not changes:
                logger.info("reloaded", what="nothing has changed")
            return changes


def _terminal() -> bool:
    """Whether this process has one."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


async def _looked_up(
    path: Path, config: Config, built: Native, sim: str | None, ca: Path | None, logger: Logger, *, anew: bool
) -> tuple[Config, dict[str, dict[str, tuple[str, str]]]]:
    """The configuration with the venues' own symbols, and for each entry what the quantities of its symbols count."""
    from . import lookup

    asked = {entry.name: lookup.asking(entry, built, sim, ca) for entry in config.connections}
    wanted = [one for one in asked.values() if one is not None]
    began_ns = time.time_ns()
    lists = await lookup.lists(wanted, logger, anew=anew)
    found = {name: None if one is None else lists[one.source.file()] for name, one in asked.items()}
    try:
        resolved = lookup.resolve(path, config, built.exchanges, lambda entry: found[entry.name])
    except K4Error:
        if not any(one is not None and one.fetched_ns < began_ns for one in lists.values()):
            raise
        # A list that was kept may lack what was listed since.
        lists = await lookup.lists(wanted, logger, anew=True)
        found = {name: None if one is None else lists[one.source.file()] for name, one in asked.items()}
        resolved = lookup.resolve(path, config, built.exchanges, lambda entry: found[entry.name])
    config = resolved
    for entry in config.connections:
        if idle := lookup.idle(entry, found[entry.name]):
            logger.warning("not traded now", entry=entry.name, symbols=", ".join(idle[:20]), count=len(idle))
    return config, {entry.name: lookup.units(entry, found[entry.name]) for entry in config.connections}


def _fetches(group: Group, built: Native) -> bool:
    """Whether what the group receives takes something that is fetched."""
    from . import session
    from ._codegen.bind import bind

    return any(
        session.fetches(bind(built.exchanges[entry.exchange], entry.product), entry.records, entry.redundancy.transports)
        for entry in group.connections
    )


def sim_ca(sim: str) -> Path:
    """The CA file of the simulator, which it keeps in the user's cache."""
    match = _HOST_PORT.fullmatch(sim)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UsageError(f"--sim {sim!r}: HOST:PORT is needed, as `k4 sim` prints it, for example --sim 127.0.0.1:9443")
    ca = home.folder("sim") / "ca.pem"
    if not ca.is_file():
        raise K4Error(f"{str(ca)!r} is not there: no simulator has run for this user", hint="start one first: k4 sim CONFIG")
    return ca
