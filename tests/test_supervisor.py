"""The supervisor with workers that are small scripts: restarts, refusals, signals, and a worker that does not want to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from k4 import job, supervisor
from k4.config import Connection, Endpoints, Redundancy, Tls
from k4.job import REFUSED, Entry, FetcherJob, Job
from k4.supervisor import Supervisor
from tests import logs

Lines = list[dict[str, Any]]

# Each worker notes its beginning as `start PID` in the file that its job's log_dir names, then does as its script says.
HEAD = """
import json, os, signal, sys, time
job = json.loads(sys.stdin.readline())
note = lambda text: os.write(os.open(job["log_dir"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), (text + "\\n").encode())
signal.signal(signal.SIGTERM, lambda *_: (note("term"), sys.exit(0)))  # before its beginning is noted: the signal may come at once
note(f"start {os.getpid()} {job['group']}")
print("running", flush=True)
starts = sum(line.startswith("start") for line in open(job["log_dir"]))
"""
OBEDIENT = HEAD + "\nwhile True: time.sleep(0.05)\n"


@pytest.fixture
def lines() -> Iterator[Lines]:
    with logs.captured() as captured:
        yield captured


During = Callable[[Supervisor], Coroutine[Any, Any, None]]


def supervise(script: str, file: Path, *groups: str, seconds: float | None = None, during: During | None = None) -> int:
    jobs = [Job(group, (), "info", str(file), 14) for group in groups or ("g",)]

    async def main() -> int:
        made = Supervisor(jobs, logs.logger(), command=[sys.executable, "-c", script], backoff_s=(0.01, 0.02))
        helper = None if during is None else asyncio.create_task(during(made))
        code = await asyncio.wait_for(made.run(seconds), 20)
        if helper is not None:
            await helper
        return code

    return asyncio.run(main())


async def written(file: Path, text: str, count: int = 1) -> None:
    def enough() -> bool:
        return file.exists() and file.read_text().count(text) >= count

    while not enough():  # noqa: ASYNC110 (a file of another process)
        await asyncio.sleep(0.01)


def test_a_worker_per_group_ended_by_time(tmp_path: Path, lines: Lines) -> None:
    file = tmp_path / "notes"
    began = time.monotonic()
    assert supervise(OBEDIENT, file, "one", "two", seconds=0.8) == 0
    assert 0.8 <= time.monotonic() - began < 3
    notes = file.read_text().splitlines()
    assert sorted(note.split()[-1] for note in notes) == ["one", "term", "term", "two"]
    assert lines == []


def test_the_time_of_a_run_begins_with_its_workers(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    began = time.monotonic()
    assert supervise("import time; time.sleep(1)\n" + OBEDIENT, file, seconds=0.3) == 0
    assert time.monotonic() - began > 1.3
    assert file.read_text().splitlines()[-1] == "term"


def test_a_refusal_counts_though_the_run_ends(tmp_path: Path) -> None:
    """The worker is refused in the moment in which the time is up."""

    class Both(Supervisor):
        async def _once(self, job: Job | FetcherJob) -> int:
            self.stop()
            return REFUSED

    assert asyncio.run(Both([Job("g", (), "info", None, 14)], logs.logger()).run()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_workers_first(number: signal.Signals, tmp_path: Path, lines: Lines) -> None:
    file = tmp_path / "notes"

    async def during(_: Supervisor) -> None:
        await written(file, "start")
        os.kill(os.getpid(), number)

    assert supervise(OBEDIENT, file, during=during) == 0
    assert file.read_text().splitlines()[-1] == "term"
    assert lines == [{"event": "stopping", "reason": number.name, "level": "info"}]


def test_a_crashed_worker_is_started_again(tmp_path: Path, lines: Lines) -> None:
    file = tmp_path / "notes"
    script = HEAD + "\nif starts == 1: os.kill(os.getpid(), signal.SIGKILL)\nif starts == 2: sys.exit(5)\n" + OBEDIENT.removeprefix(HEAD)

    async def during(made: Supervisor) -> None:
        await written(file, "start", 3)
        await asyncio.sleep(0.2)
        made.stop()

    assert supervise(script, file, during=during) == 0
    assert file.read_text().count("start") == 3
    assert [line["how"] for line in lines] == ["signal SIGKILL", "exit code 5"]
    assert all(line["event"] == "worker ended" and line["group"] == "g" for line in lines)


def test_a_worker_refused_at_its_first_start_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    script = HEAD + f"\nif job['group'] == 'bad': sys.exit({REFUSED})\n" + OBEDIENT.removeprefix(HEAD)
    assert supervise(script, file, "good", "bad") == 1
    notes = file.read_text().splitlines()
    assert sum(note.endswith("bad") for note in notes) == 1, "it is not started again"


def test_a_worker_refused_later_is_tried_again(tmp_path: Path, lines: Lines) -> None:
    """After a crash the lock of the killed one may be held for a moment."""
    file = tmp_path / "notes"
    script = HEAD + f"\nif starts == 1: sys.exit(9)\nif starts == 2: sys.exit({REFUSED})\n" + OBEDIENT.removeprefix(HEAD)

    async def during(made: Supervisor) -> None:
        await written(file, "start", 3)
        made.stop()

    supervise(script, file, during=during)
    assert [line["how"] for line in lines][:2] == ["exit code 9", f"exit code {REFUSED}"]


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "DRAIN_S", 0.3)
    file = tmp_path / "notes"
    script = HEAD + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')\nwhile True: time.sleep(1)\n"

    async def during(made: Supervisor) -> None:
        await written(file, "deaf")
        made.stop()

    assert supervise(script, file, during=during) == 1
    assert lines == [{"event": "worker does not stop; killing it", "group": "g", "after_s": 0.3, "level": "error"}]
    pid = int(file.read_text().split()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_jobs_survive_their_way_to_the_worker() -> None:
    entry = Connection(name="x", exchange="e", product="p", symbols=["币"], records=["bbo"], tls=Tls(ca_file="/c"), shm={"bbo": "b"})
    told = Job("g", (Entry.of(entry.model_dump()),), "info", None, 3, "h:1", "/ca", ("/spec",), "/build")
    assert told.segments == entry.segments() == {"bbo": "b"}
    assert Job.from_json(told.to_json()) == told
    assert "\n" not in told.to_json()


@pytest.mark.parametrize(("model", "told"), [(Connection, Entry), (Redundancy, job.Redundancy), (Endpoints, job.Endpoints), (Tls, job.Tls)])
def test_a_worker_is_told_all_that_an_entry_says(model: type[BaseModel], told: type) -> None:
    assert [field.name for field in fields(told)] == list(model.model_fields)


def test_a_worker_that_waits_gets_the_first_job(tmp_path: Path) -> None:
    """It was started before its job was known."""
    file = tmp_path / "notes"

    async def main() -> tuple[int, int]:
        command = [sys.executable, "-c", OBEDIENT]
        waiting = await supervisor.start(command)
        jobs = [Job(group, (), "info", str(file), 14) for group in ("g", "h")]
        made = Supervisor(jobs, logs.logger(), command=command, waiting=waiting)
        return await asyncio.wait_for(made.run(0.2), 20), waiting.pid

    code, pid = asyncio.run(main())
    assert code == 0
    started = [line for line in file.read_text().splitlines() if line.startswith("start")]
    assert len(started) == 2
    assert sum(line.startswith(f"start {pid} ") for line in started) == 1
