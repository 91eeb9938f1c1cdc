"""The supervisor with workers that are small scripts: restarts, refusals, signals, and a worker that does not want to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from k4 import job, keeper, supervisor
from k4.backoff import Backoff
from k4.config import Connection, Endpoints, Redundancy, Tls
from k4.job import REFUSED, Entry, Job
from k4.keeper import Keeper
from k4.notify import Notifier
from k4.pipe import Pipe
from k4.supervisor import Supervisor
from tests import logs
from tests.logs import Lines
from tests.service_manager import Manager

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
OBEDIENT = HEAD + "\nsys.stdin.read()\n"  # until it is asked to end, or nobody is there to ask
BEATING = (
    HEAD
    + """
while True:
    print('{"said": "alive", "up": 1, "of": 2}', flush=True)
    time.sleep(0.05)
"""
)


During = Callable[[Supervisor], Coroutine[Any, Any, None]]


def supervise(
    script: str, file: Path, *groups: str, seconds: float | None = None, during: During | None = None, notifier: Notifier | None = None
) -> int:
    jobs = [Job(group, (), "info", str(file), 14) for group in groups or ("g",)]

    async def main() -> int:
        command = [sys.executable, "-c", script]
        made = Supervisor(jobs, logs.logger(), command=command, backoff_s=(0.01, 0.02), notifier=notifier)
        helper = None if during is None else asyncio.create_task(during(made))
        code = await asyncio.wait_for(made.run(seconds), 180)
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
    assert time.monotonic() - began >= 0.8
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

    class Both(Keeper):
        async def _once(self) -> int:
            self.stop()
            return REFUSED

    async def main() -> bool:
        both = Both(Job("g", (), "info", None, 14), logs.logger(), supervisor.start)
        await asyncio.wait_for(both.run(), 60)
        return both.refused

    assert asyncio.run(main())


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


def test_a_worker_that_ran_well_is_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it was killed: only crashes in quick succession make the wait grow."""
    up_s = [0.5, 9.5, 1.0, 10.5, 11.0, 0.1, 3600.0]
    clock = [0.0]
    longest: list[float] = []
    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    class Scripted(Keeper):
        async def _once(self) -> int:
            clock[0] += up_s[len(longest)]
            return -signal.SIGKILL

    made = Scripted(Job("g", (), "info", None, 14), logs.logger(), supervisor.start)

    def wait(backoff: Backoff) -> float:
        longest.append(backoff.ceiling)
        backoff.failures += 1
        if len(longest) == len(up_s):
            made.stop()
        return 0.0

    monkeypatch.setattr(Backoff, "next", wait)
    asyncio.run(made.run())
    assert longest == [0.25, 0.5, 1.0, 0.25, 0.25, 0.5, 0.25]


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
    monkeypatch.setattr(keeper, "DRAIN_S", 0.3)
    file = tmp_path / "notes"
    script = HEAD + "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')\nsys.stdin.read()\n"

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
        return await asyncio.wait_for(made.run(0.2), 60), waiting.pid

    code, pid = asyncio.run(main())
    assert code == 0
    started = [line for line in file.read_text().splitlines() if line.startswith("start")]
    assert len(started) == 2
    assert sum(line.startswith(f"start {pid} ") for line in started) == 1


# --------------------------------------------------------------------------- a worker that hangs


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every tenth of a second: a worker that is silent for a second hangs."""
    for module in (keeper, supervisor):
        monkeypatch.setattr(module, "LOOK_S", 0.1)


@pytest.fixture
def looks(quick: None, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When they were counted: only where the worker of the group "good" has beaten since the last one. A busy machine may hold all of them up for
    as long as it likes."""
    look, counted, counts = Keeper.look, [0.0], True

    def after_a_beat(self: Keeper) -> None:
        nonlocal counts
        if self.job.group == "good":  # the first one of every round
            counts = self._missed == 0
            counted.extend([time.monotonic()] * counts)
        if counts:
            look(self)

    monkeypatch.setattr(Keeper, "look", after_a_beat)
    return counted


def test_a_stopped_worker_is_killed_and_started_again(tmp_path: Path, lines: Lines, looks: list[float]) -> None:
    """SIGSTOP: it neither works nor ends."""
    file = tmp_path / "notes"

    async def looked(count: int) -> None:
        until = len(looks) + count
        while len(looks) < until:  # noqa: ASYNC110 (looks of the supervisor)
            await asyncio.sleep(0.01)

    async def during(made: Supervisor) -> None:
        await beating(made)
        await looked(15)
        assert file.read_text().count("start") == 2, "one that beats is left alone"
        os.kill(pid_of(file, "bad"), signal.SIGSTOP)
        await looked(5)
        assert lines == [], "not before its time"
        await written(file, " bad", 2)
        made.stop()

    assert supervise(BEATING, file, "good", "bad", during=during) == 0
    assert file.read_text().count(" good") == 1
    assert [(line["event"], line.get("how")) for line in lines] == [("worker hangs; killing it", None), ("worker ended", "signal SIGKILL")]
    assert lines[0]["silent_s"] == 1.0


async def beating(made: Supervisor) -> None:
    """All workers have: until then they may be silent for longer."""
    while not all(one.says for one in made._keepers.values()):  # noqa: ASYNC110 (of other processes)
        await asyncio.sleep(0.01)


def pid_of(file: Path, group: str) -> int:
    """Of the first worker of a group."""
    return int(next(line for line in file.read_text().splitlines() if line.endswith(f" {group}")).split()[1])


@pytest.mark.usefixtures("looks")
def test_a_worker_whose_loop_is_stuck_is_killed(tmp_path: Path, lines: Lines) -> None:
    """It has begun and beats no more; another group's is not touched."""
    file = tmp_path / "notes"
    stuck = BEATING.replace("while True", "if job['group'] == 'bad' and starts <= 2: time.sleep(100)\nwhile True")

    async def during(made: Supervisor) -> None:
        await written(file, " bad", 2)
        made.stop()

    assert supervise(stuck, file, "good", "bad", during=during) == 0
    assert file.read_text().count(" good") == 1
    assert {line["group"] for line in lines} == {"bad"}


@pytest.mark.usefixtures("quick")
def test_a_worker_may_be_silent_while_it_starts(tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "notes"
    slow = "import time; time.sleep(1.6)\n" + BEATING
    assert supervise(slow, file, seconds=0.1) == 0
    assert lines == []
    monkeypatch.setattr(keeper, "SLOW_START", 5)

    async def during(made: Supervisor) -> None:
        while not lines:  # noqa: ASYNC110 (lines of a log)
            await asyncio.sleep(0.01)
        made.stop()

    supervise(slow, file, during=during)
    assert lines[0] == {"event": "worker hangs; killing it", "group": "g", "silent_s": 0.5, "level": "error"}


def test_a_supervisor_that_was_stopped_itself_blames_nobody(lines: Lines) -> None:
    """Whatever time passed between two looks, it counts as one."""

    async def main() -> None:
        made = Keeper(Job("g", (), "info", None, 14), logs.logger(), supervisor.start)
        made._process = await supervisor.start([sys.executable, "-c", "import sys; sys.stdin.read()"])
        made._beating = True
        for _ in range(keeper.HUNG - 1):
            made.look()
        assert made.late
        assert lines == []
        made.look()
        assert [line["event"] for line in lines] == ["worker hangs; killing it"]
        assert await asyncio.wait_for(made._process.wait(), 60) == -signal.SIGKILL

    asyncio.run(main())


# --------------------------------------------------------------------------- a worker that is told of another job

ANSWERING = HEAD + """
for line in sys.stdin:
    job = json.loads(line)
    note(f"told {job['group']} {job['level']}")
    if job["group"] == "deaf": time.sleep(100)
    if job["group"] == "dies" and starts == 1: sys.exit(7)
    if job["level"] == "error": print('{"said": "refused", "reason": "no room"}', flush=True)
    else: print('{"said": "changed"}', flush=True)
"""


def test_a_worker_never_waits_for_a_supervisor_that_does_not_read() -> None:
    out, into = os.pipe()
    pipe = Pipe(stdin=-1, stdout=into)
    for _ in range(10_000):
        pipe.say("alive", up=1, of=2)
    os.set_blocking(out, False)
    lines = os.read(out, 1 << 20).splitlines()
    assert set(lines) == {b'{"said": "alive", "up": 1, "of": 2}'}, "each line whole or not at all"
    assert 1000 < len(lines) < 10_000
    os.close(out)
    pipe.say("alive")
    os.close(into)


async def told_to_change(file: Path, group: str, *levels: str) -> tuple[list[str | None], list[str]]:
    """What a keeper answers to jobs of these levels in turn, and the level of the job that it has after each."""
    started = partial(supervisor.start, [sys.executable, "-c", ANSWERING])
    made = Keeper(Job(group, (), "info", str(file), 14), logs.logger(), started, (0.01, 0.02))
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(made.begun.wait(), 60)
    answers, jobs = [], []
    for level in levels:
        answers.append(await asyncio.wait_for(made.change(Job(group, (), level, str(file), 14)), 60))
        jobs.append(made.job.level)
    if group in {"deaf", "dies"}:
        await written(file, "start", 2)
    made.stop()
    await asyncio.wait_for(running, 60)
    return answers, jobs


def test_a_worker_takes_another_job_or_says_why_not(tmp_path: Path, lines: Lines) -> None:
    file = tmp_path / "notes"
    answers, jobs = asyncio.run(told_to_change(file, "g", "debug", "error", "warning"))
    assert answers == [None, "no room", None]
    assert jobs == ["debug", "debug", "warning"], "what it refuses it has not"
    assert file.read_text().count("start") == 1
    assert lines == []


def test_a_worker_that_ends_over_its_new_job_begins_with_it(tmp_path: Path, lines: Lines) -> None:
    file = tmp_path / "notes"
    assert asyncio.run(told_to_change(file, "dies", "debug")) == ([None], ["debug"])
    assert [line["how"] for line in lines] == ["exit code 7"]


def test_a_worker_that_does_not_answer_is_replaced(tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "ANSWER_S", 0.3)
    file = tmp_path / "notes"
    assert asyncio.run(told_to_change(file, "deaf", "debug")) == ([None], ["debug"])
    assert lines[0] == {"event": "worker does not take its new job; killing it", "group": "deaf", "after_s": 0.3, "level": "error"}
    assert lines[1]["how"] == "signal SIGKILL"


# --------------------------------------------------------------------------- what the service manager hears


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    with Manager(str(tmp_path / "n") if request.param == "path" else None, watchdog_s=0.4) as made:
        yield made


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    with contextlib.closing(Notifier(manager.environment)) as made:
        yield made


def test_the_manager_is_told_of_beginning_life_and_end(manager: Manager, tmp_path: Path) -> None:
    file = tmp_path / "notes"
    environment = {**manager.environment, "WATCHDOG_PID": str(os.getpid()), "OTHER": "stays"}

    async def during(made: Supervisor) -> None:
        while "STATUS=2 groups, 2 of 4 connections up" not in manager.heard or manager.heard.count("WATCHDOG=1") < 4:
            manager.news()
            await asyncio.sleep(0.02)
        made.stop()

    with contextlib.closing(Notifier(environment)) as notifier:
        assert environment == {"OTHER": "stays"}, "children do not inherit it"
        assert supervise("import time; time.sleep(0.3)\n" + BEATING, file, "a", "b", during=during, notifier=notifier) == 0
    assert manager.turns() == ["READY=1", "STOPPING=1"]
    assert manager.heard.index("READY=1") > 0, "not before the workers have begun"


def test_the_manager_hears_nothing_while_a_worker_hangs(
    manager: Manager, notifier: Notifier, tmp_path: Path, looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed worker is replaced and the run goes on being alive; one that cannot be killed ends in the manager's watchdog."""
    monkeypatch.setattr(keeper, "HUNG", 10**9)
    file = tmp_path / "notes"

    async def until(true: Callable[[], bool]) -> None:
        while not true():  # noqa: ASYNC110 (of other processes)
            await asyncio.sleep(0.01)

    async def during(made: Supervisor) -> None:
        await beating(made)
        await until(lambda: "WATCHDOG=1" in manager.news())
        pid = pid_of(file, "bad")
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: made._keepers["bad"].late)
        manager.news()
        begun = len(looks)
        await until(lambda: len(looks) > begun + 8)
        assert manager.news() == []
        os.kill(pid, signal.SIGCONT)
        await until(lambda: "WATCHDOG=1" in manager.news())
        made.stop()

    assert supervise(BEATING, file, "good", "bad", during=during, notifier=notifier) == 0


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1000000"}, None),  # nowhere to tell it
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1500000"}, 1.5),
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),  # meant for another process
        ({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, None),  # a kind of address that is not known
    ],
)
def test_a_manager_that_cannot_be_told_stops_nothing(environment: dict[str, str], watchdog_s: float | None) -> None:
    notifier = Notifier(environment)
    assert notifier.watchdog_s == watchdog_s
    notifier.ready()
    notifier.reloading()
    notifier.alive()
    notifier.status("x")
    notifier.stopping()
    notifier.close()
    assert environment == {}


def test_a_reload_is_told_with_its_time(manager: Manager, notifier: Notifier) -> None:
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    first, second = manager.news()
    reloading, usec = first.split("\n")
    assert reloading == "RELOADING=1"
    assert before <= int(usec.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert second == "STATUS=two lines"
