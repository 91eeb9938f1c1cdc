"""The unit of examples/: systemd takes it without a word, and what it states fits what the code does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from k4 import keeper
from k4.cli import app

UNIT = Path(__file__).resolve().parent.parent / "examples" / "k4@.service"


def keys() -> dict[str, str]:
    """`Section.Key` → value; the last one counts where a key stands twice."""
    found: dict[str, str] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[f"{section}.{key}"] = value
    return found


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    program = tmp_path / "k4"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace("/usr/local/bin/k4", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "k4@some.service")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_waits_as_long_as_the_code_may_take() -> None:
    found = keys()
    assert found["Service.Type"] == "notify"
    assert found["Service.ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert found["Service.NotifyAccess"] == "main", "the supervisor alone speaks for the run"
    hung_s = keeper.HUNG * keeper.LOOK_S
    assert float(found["Service.WatchdogSec"]) > 2 * hung_s, "the run replaces a worker that hangs before systemd replaces the run"
    assert float(found["Service.TimeoutStopSec"]) > keeper.DRAIN_S + 5
    assert float(found["Service.TimeoutStartSec"]) > keeper.SLOW_START * keeper.LOOK_S
    assert found["Service.KillMode"] == "mixed", "workers are ended by the supervisor, in order"
    assert found["Service.LimitMEMLOCK"] == "infinity"
    assert (found["Service.Restart"], found["Service.RestartPreventExitStatus"]) == ("on-failure", "2")
    assert found["Unit.StartLimitIntervalSec"] == "0"


def test_the_unit_lets_the_run_do_its_work() -> None:
    found = keys()
    families = set(found["Service.RestrictAddressFamilies"].split())
    assert families == {"AF_UNIX", "AF_INET", "AF_INET6"}, "the manager and the fetcher; venues"
    assert found["Service.SystemCallFilter"] == "@system-service", "CPUs and memory are asked for"
    assert found["Service.ProtectSystem"] == "strict", "which leaves /dev/shm"
    folders = dict(pair.split("=") for pair in found["Service.Environment"].split())
    assert folders == {"XDG_STATE_HOME": "%S", "XDG_CACHE_HOME": "%C"}
    assert (found["Service.StateDirectory"], found["Service.CacheDirectory"]) == ("k4", "k4"), "the folders that these hold"


def test_the_unit_types_commands_that_exist() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    typed = [value.split()[1] for key, value in keys().items() if key.startswith("Service.Exec") and "/k4 " in value]
    assert typed
    assert set(typed) <= commands
