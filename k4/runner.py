"""`k4 run`: from a configuration file to running workers. Nothing of what a worker does is loaded here.

Imports `config`, `errors`, `log`, `native`, `supervisor`, `worker`."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from . import config as configuration
from . import log, native
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
    jobs = [
        Job(
            group=group.name,
            connections=tuple(entry.model_dump() for entry in group.connections),
            level=level or checked.log.level,
            log_dir=checked.log.dir,
            retain_days=checked.log.retain_days,
            sim=sim,
            sim_ca=None if ca is None else str(ca),
            spec=tuple(str(path.resolve()) for path in spec),
        )
        for group in configuration.groups(checked)
    ]
    return asyncio.run(_supervise(jobs, logger, seconds))


async def _supervise(jobs: Sequence[Job], logger: log.Logger, seconds: float | None) -> int:
    return await Supervisor(jobs, logger).run(seconds)


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
