"""`k4 run` as its workers and its service manager see it: CPUs, workers that hang, what the manager hears."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from k4 import log
from tests.service_manager import Manager
from tests.test_run import Stage, goes_on, market, reading, run, stage, until, worker_pid

__all__ = ["stage"]  # a fixture


def test_a_worker_runs_where_it_is_pinned(stage: Stage) -> None:
    cpu = max(os.sched_getaffinity(0))

    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port, cpu=cpu)) as process:
            view = await reading(stage)
            assert os.sched_getaffinity(worker_pid(stage)) == {cpu}
            assert os.sched_getaffinity(process.pid) == os.sched_getaffinity(0), "the supervisor is not"
            os.kill(worker_pid(stage), signal.SIGKILL)
            await until(lambda: len(stage.events("started")) == 2)
            assert os.sched_getaffinity(worker_pid(stage)) == {cpu}, "nor does its successor forget"
            stage.native.lib.k4_view_close(view)

    run(main())


def processor_s(pid: int) -> float:
    """What it has had so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("busy", [True, False])
def test_a_worker_that_polls_never_sleeps(stage: Stage, *, busy: bool) -> None:
    """What it gives up of its own will the kernel counts; ten ticks a second wake one that sleeps."""

    def slept() -> int:
        status = Path(f"/proc/{worker_pid(stage)}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    async def main() -> None:
        async with market(stage) as (server, _), stage.running("run", stage.config(server.port, busy_poll=busy)) as process:
            view = await reading(stage)
            stage.ids(view)
            worked, before = processor_s(worker_pid(stage)), slept()
            if busy:
                await until(lambda: processor_s(worker_pid(stage)) > worked + 1.0)
                assert slept() - before < 8, "far less than it ticked"
            else:
                await until(lambda: slept() - before > 8)
                assert processor_s(worker_pid(stage)) < worked + 1.0
            await until(lambda: stage.ids(view))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            stage.native.lib.k4_view_close(view)

    run(main())


def test_a_stopped_worker_is_replaced_and_readers_go_on(stage: Stage) -> None:
    """SIGSTOP: no link is lost, nothing ends. The manager's watchdog, fed twice a second, hears nothing for a while before it is killed."""
    with Manager(watchdog_s=2.0) as manager:
        stage.env |= manager.environment
        silent = 0

        def starves() -> bool:
            """Nothing for sixty looks in a row, which take more than a second, however long the machine stands still."""
            nonlocal silent
            silent = 0 if "WATCHDOG=1" in manager.news() else silent + 1
            return silent == 60

        async def main() -> None:
            async with market(stage) as (server, _), stage.running("run", stage.config(server.port)) as process:
                view = await reading(stage)
                await until(lambda: manager.news() is None or "STATUS=1 group, 2 of 2 connections up" in manager.heard)
                assert manager.turns() == ["READY=1"]
                stage.ids(view)
                stopped = time.monotonic()
                os.kill(worker_pid(stage), signal.SIGSTOP)
                await until(starves)
                assert len(stage.events("started")) == 1, "not while it is started anew"
                await until(lambda: len(stage.events("started")) == 2)
                assert time.monotonic() - stopped > 4, "5 s of silence"
                await goes_on(stage, view)
                manager.news()
                await until(lambda: "WATCHDOG=1" in manager.news())
                process.terminate()
                assert await process.wait() == 0
                stage.native.lib.k4_view_close(view)

        run(main())
        # Until it has ended it is alive, and says so as often as its ending takes.
        assert manager.turns() == ["READY=1", "STOPPING=1"]
    (hangs,) = stage.events("worker hangs; killing it")
    assert (hangs["group"], hangs["silent_s"]) == ("one", 5.0)


# --------------------------------------------------------------------------- the log of several processes


def write_days(folder: Path, number: int, days: int) -> None:
    """One process of a run over `days` days, a hundred lines each."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    file = log.DailyFile(folder, 3, now=lambda: now)
    for day in range(days):
        now = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=day)
        for line in range(100):
            file({"event": "x" * 500, "process": number, "day": day, "line": line})
    file.close()


def test_processes_share_the_files_of_a_long_run(tmp_path: Path) -> None:
    """Each makes, writes and removes the same files as the others: no line is torn, what is older than three days is gone."""
    context = get_context("spawn")
    processes = [context.Process(target=write_days, args=(tmp_path, number, 20)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"k4-2026-03-{day}.log" for day in (18, 19, 20)]
    lines = [json.loads(line) for line in (tmp_path / "k4-2026-03-20.log").read_text().splitlines()]
    assert sorted((line["process"], line["line"]) for line in lines if line["day"] == 19) == [(n, i) for n in range(4) for i in range(100)]


@pytest.mark.parametrize("gone", ["folder", "file"])
def test_a_file_that_is_taken_away_stops_nothing(tmp_path: Path, gone: str) -> None:
    """A user who tidies up: the next day's file is there again, and the run never ends over its log."""
    now = datetime(2026, 3, 10, tzinfo=UTC)
    file = log.DailyFile(tmp_path / "log", 3, now=lambda: now)
    (tmp_path / "log" / "k4-2026-03-10.log").unlink()
    if gone == "folder":
        (tmp_path / "log").rmdir()
    file({"event": "a"})
    now += timedelta(days=1)
    file({"event": "b"})
    file.close()
    there = tmp_path / "log" / "k4-2026-03-11.log"
    assert there.read_text() == '{"event": "b"}\n'
