"""`k4 run`: from a configuration file to running workers. Nothing of what a worker does is loaded here.

The first worker is started before anything else: what it needs is loaded beside what reading the configuration needs.
Imports `config`, `errors`, `fetch`, `job`, `log`, `lookup`, `native`, `notify`, `session`, `supervisor` and, of the generator, `bind`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import supervisor
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
    waiting = await supervisor.start()
    with contextlib.ExitStack() as stack:
        stack.callback(notifier.close)
        try:
            logger, jobs = await _prepared(stack, config, level, sim, ca, spec)
        except BaseException:
            await supervisor.dismiss(waiting)
            raise
        return await supervisor.Supervisor(jobs, logger, waiting=waiting, notifier=notifier).run(seconds)


async def _prepared(
    stack: contextlib.ExitStack, config: Path, level: str | None, sim: str | None, ca: Path | None, spec: Sequence[Path]
) -> tuple[Logger, list[Job | FetcherJob]]:
    """The log and the jobs of a configuration; `stack` holds the fetcher's socket while they are worked on."""
    from . import config as configuration
    from . import fetch, log, native

    built = native.load(list(spec) or None)
    checked = configuration.load_reported(config, built.exchanges)
    folder = None if checked.log.dir is None else Path(checked.log.dir)
    logger = log.setup(level=level or checked.log.level, folder=folder, retain_days=checked.log.retain_days)
    checked, units = await _looked_up(config, checked, built, sim, ca, logger)
    common = (level or checked.log.level, checked.log.dir, checked.log.retain_days)
    groups = configuration.groups(checked)
    fetching = [group.name for group in groups if _fetches(group, built)]
    path, fd = stack.enter_context(fetch.listening()) if fetching else (None, -1)
    jobs: list[Job | FetcherJob] = [
        Job(
            group.name,
            tuple(Entry.of(entry.model_dump()) for entry in group.connections),
            *common,
            sim=sim,
            sim_ca=None if ca is None else str(ca),
            spec=tuple(str(path.resolve()) for path in spec),
            fetch=str(path) if group.name in fetching else None,
            build=str(built.file.parent),
            units={entry.name: units[entry.name] for entry in group.connections},
        )
        for group in groups
    ]
    if fetching:
        jobs.append(FetcherJob(fd, *common))
    return logger, jobs


async def _looked_up(
    path: Path, config: Config, built: Native, sim: str | None, ca: Path | None, logger: Logger
) -> tuple[Config, dict[str, dict[str, tuple[str, str]]]]:
    """The configuration with the venues' own symbols, and for each entry what the quantities of its symbols count."""
    from . import lookup

    asked = {entry.name: lookup.asking(entry, built, sim, ca) for entry in config.connections}
    wanted = [one for one in asked.values() if one is not None]
    began_ns = time.time_ns()
    lists = await lookup.lists(wanted, logger)
    found = {name: None if one is None else lists[one.source.file()] for name, one in asked.items()}
    try:
        resolved = lookup.resolve(path, config, lambda entry: found[entry.name])
    except K4Error:
        if not any(one is not None and one.fetched_ns < began_ns for one in lists.values()):
            raise
        # A list that was kept may lack what was listed since.
        lists = await lookup.lists(wanted, logger, anew=True)
        found = {name: None if one is None else lists[one.source.file()] for name, one in asked.items()}
        resolved = lookup.resolve(path, config, lambda entry: found[entry.name])
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
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    ca = cache / "k4" / "sim" / "ca.pem"
    if not ca.is_file():
        raise K4Error(f"{str(ca)!r} is not there: no simulator has run for this user", hint="start one first: k4 sim CONFIG")
    return ca
