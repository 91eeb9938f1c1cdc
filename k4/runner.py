"""`k4 run`: from a configuration file to running workers. Nothing of what a worker does is loaded here.

Imports `config`, `errors`, `fetch`, `log`, `native`, `session`, `supervisor`, `worker` and, of the generator, `bind`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from . import config as configuration
from . import fetch, log, native, session
from ._codegen.bind import bind
from .errors import K4Error, UsageError
from .supervisor import Supervisor
from .worker import Job

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def run(config: Path, *, level: str | None, seconds: float | None, sim: str | None, spec: Sequence[Path]) -> int:
    """Runs `config` until stopped, or for `seconds`. `sim`: HOST:PORT of a simulator that stands for every endpoint.

    Returns the exit code. Raises K4Error, whose message names every finding in the configuration, and UsageError.
    """
    ca = None if sim is None else _sim_ca(sim)
    built = native.load(list(spec) or None)
    checked = configuration.load_reported(config, built.exchanges)
    folder = None if checked.log.dir is None else Path(checked.log.dir)
    logger = log.setup(level=level or checked.log.level, folder=folder, retain_days=checked.log.retain_days)
    common = (level or checked.log.level, checked.log.dir, checked.log.retain_days)
    groups = configuration.groups(checked)
    with contextlib.ExitStack() as stack:
        fetching = [group.name for group in groups if _fetches(group, built)]
        path, fd = stack.enter_context(fetch.listening()) if fetching else (None, -1)
        jobs: list[Job | fetch.FetcherJob] = [
            Job(
                group.name,
                tuple(entry.model_dump() for entry in group.connections),
                *common,
                sim=sim,
                sim_ca=None if ca is None else str(ca),
                spec=tuple(str(path.resolve()) for path in spec),
                fetch=str(path) if group.name in fetching else None,
            )
            for group in groups
        ]
        if fetching:
            jobs.append(fetch.FetcherJob(fd, *common))
        return asyncio.run(_supervise(jobs, logger, seconds))


async def _supervise(jobs: Sequence[Job | fetch.FetcherJob], logger: log.Logger, seconds: float | None) -> int:
    return await Supervisor(jobs, logger).run(seconds)


def _fetches(group: configuration.Group, built: native.Native) -> bool:
    """Whether what the group receives takes something that is fetched."""
    return any(session.fetches(bind(built.exchanges[entry.exchange], entry.product), entry.records) for entry in group.connections)


def _sim_ca(sim: str) -> Path:
    """The CA file of the simulator, which it keeps in the user's cache."""
    match = _HOST_PORT.fullmatch(sim)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UsageError(f"--sim {sim!r}: HOST:PORT is needed, as `k4 sim` prints it, for example --sim 127.0.0.1:9443")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    ca = cache / "k4" / "sim" / "ca.pem"
    if not ca.is_file():
        raise K4Error(f"{str(ca)!r} is not there: no simulator has run for this user", hint="start one first: k4 sim CONFIG")
    return ca
