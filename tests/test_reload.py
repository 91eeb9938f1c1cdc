"""`k4 reload` and SIGHUP as a user meets them: what is added and removed while the rest goes on, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import k4
from k4 import control
from k4.changes import between
from k4.errors import K4Error
from k4.job import Entry, Job
from k4.reader import Reader
from tests.service_manager import Manager
from tests.theatre import Stage, Theatre, wait_for

SEGMENT = "binance_spot_trade"


def entry(name: str = "one", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "exchange": "binance",
        "product": "spot",
        "symbols": ["AAAUSDT"],
        "records": ["trade"],
        "ring_slots": 8192,
        **changes,
    }


def write(stage: Stage, *entries: dict[str, Any], file: str = "config.json", **log: Any) -> Path:
    path = stage.folder / file
    path.write_text(json.dumps({"connections": list(entries), "log": {"dir": str(stage.folder / "log"), **log}}))
    return path


def names(first: int, last: int) -> list[str]:
    """Invented symbols, by number."""
    return [f"X{number:03}USDT" for number in range(first, last)]


def states(segment: str = SEGMENT) -> dict[str, str]:
    with k4.open(segment) as reader:
        return {symbol.symbol: symbol.state for symbol in reader.symbols}


def log_lines(stage: Stage, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for file in sorted((stage.folder / "log").glob("*.log")) for line in file.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def reload(stage: Stage, config: Path) -> tuple[int, list[str]]:
    done = stage.k4("reload", config)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def live(segment: str = SEGMENT) -> bool:
    try:
        return bool(states(segment)) and set(states(segment).values()) <= {"LIVE", "REMOVED"}
    except k4.K4Error:
        return False


def are(wanted: dict[str, str]) -> bool:
    """All of them at one moment: the segment may be replaced by another."""
    try:
        return states() == wanted
    except k4.K4Error:
        return False


def test_a_reload_that_adds_a_hundred_symbols_loses_nothing(stage: Stage) -> None:
    """Trades of this venue are numbered without a hole: a reader that stays attached sees each number of the symbols that stay, once."""
    everything = write(stage, entry(symbols=names(0, 130)), file="all.json")
    config = write(stage, entry(symbols=names(0, 30), redundancy={"connections": 2}))
    with Theatre(everything, rate=600, delays_s=(0.0, 0.005)) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(live, "every symbol to be live", 60)
        before = theatre.numbers()
        assert len(before) == 2
        with k4.open(SEGMENT) as reader:
            write(stage, entry(symbols=[*names(0, 10), *names(20, 130)], redundancy={"connections": 2}))
            code, told = reload(stage, config)
            assert code == 0, told
            assert told == [
                f"one: 100 symbols added: {' '.join(names(30, 50))} and 80 more; 10 symbols removed: {' '.join(names(10, 20))}",
            ]
            wait_for(live, "the new ones to be live", 60)
            assert states() == dict.fromkeys(names(0, 10) + names(20, 130), "LIVE") | dict.fromkeys(names(10, 20), "REMOVED")
            newest = {symbol: found.sequence if (found := reader.latest(symbol)) else None for symbol in names(10, 20)}
            time.sleep(0.5)
            for symbol, sequence in newest.items():
                assert not newer(reader, symbol, sequence), "nobody asks for it any more"
            write(stage, entry(symbols=names(0, 40), redundancy={"connections": 2}))
            told = [f"one: 10 symbols added: {' '.join(names(10, 20))}; 90 symbols removed: {' '.join(names(40, 60))} and 70 more"]
            assert reload(stage, config) == (0, told)
            wait_for(lambda: live() and states()["X010USDT"] == "LIVE", "those that come back", 60)
            for symbol, sequence in newest.items():
                wait_for(lambda symbol=symbol, sequence=sequence: newer(reader, symbol, sequence), f"records of {symbol} again")  # type: ignore[misc]
            assert theatre.numbers() == before, "no connection was made anew"
            ids = read_ids(reader)
    for symbol in names(0, 10) + names(20, 30):
        assert ids[symbol] == list(range(ids[symbol][0], ids[symbol][-1] + 1)), symbol
    assert sum(len(ids[symbol]) for symbol in names(0, 10) + names(20, 30)) > 100
    assert not log_lines(stage, "link lost")


def test_connections_come_and_go_while_the_others_feed(stage: Stage) -> None:
    """From one to three and back to two, in one worker: those that stay keep their links, and a reader misses nothing."""
    symbols = names(0, 20)
    everything = write(stage, entry(symbols=names(0, 21)), file="all.json")
    config = write(stage, entry(symbols=symbols))
    with Theatre(everything, rate=600) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(live, "every symbol to be live", 60)
        pid = worker(stage, "one")
        assert theatre.numbers() == [0]
        with k4.open(SEGMENT) as reader:
            write(stage, entry(symbols=symbols, redundancy={"connections": 3}))
            assert reload(stage, config) == (0, ["one: redundancy of one changed"])
            wait_for(lambda: theatre.numbers() == [0, 1, 2], "two more")
            wait_for(lambda: [source.name for source in reader.sources] == ["one#0", "one#1", "one#2"], "their names")
            wait_for(lambda: all(source.wins + source.duplicates > 50 for source in reader.sources), "all to bring the same")
            write(stage, entry(symbols=[*symbols[5:], "X020USDT"], redundancy={"connections": 2, "reset_slowest": 600}))
            code, told = reload(stage, config)
            assert (code, told) == (
                0,
                [f"one: redundancy of one changed; 1 symbol added: X020USDT; 5 symbols removed: {' '.join(symbols[:5])}"],
            )
            # Which of the two that came together was accepted first is chance.
            wait_for(lambda: theatre.numbers() in ([0, 1], [0, 2]), "the third to be closed")
            second = theatre.numbers()[1]
            time.sleep(0.5)
            theatre.drop(0)  # the second one feeds on
            wait_for(lambda: theatre.numbers() == [second, 3], "the first one's next link")
            write(stage, entry(symbols=[*symbols[5:], "X020USDT"], redundancy={"connections": 2}))
            assert reload(stage, config) == (0, ["one: redundancy of one changed"])
            assert reload(stage, config) == (0, ["nothing has changed"])
            ids = read_ids(reader)
            assert reader.info.epoch == 1
        assert worker(stage, "one") == pid
    for symbol in symbols[5:]:
        assert ids[symbol] == list(range(ids[symbol][0], ids[symbol][-1] + 1)), symbol
    assert sum(len(ids[symbol]) for symbol in symbols[5:]) > 100
    assert [line["connection"] for line in log_lines(stage, "link lost")] == ["one#0"]


def job(*transports: str, connections: int = 1, reset_slowest: int | None = None, cpu: int | None = None) -> Job:
    redundancy = {"connections": connections, "transports": transports, "reset_slowest": reset_slowest}
    known: dict[str, Any] = {"shm": {}, "symbol_capacity": 4096, "busy_poll": False, "endpoints": {"ws": None, "sbe": None, "rest": None}, "tls": {"ca_file": None}, "secrets": {}}
    return Job("one", (Entry.of(entry(redundancy=redundancy, cpu=cpu, **known)),), "info", None, 14)


@pytest.mark.parametrize(
    ("old", "new", "restart", "redundancy"),
    [
        (job("json"), job("json", connections=3), (), ("one",)),
        (job("json", connections=3), job("json", reset_slowest=60), (), ("one",)),
        (job("json"), job("json", connections=2, cpu=0), ("one.cpu",), ("one",)),
        (job("json"), job("sbe"), ("one.redundancy",), ("one",)),
        (job("json", "sbe"), job("json", "sbe", connections=2), ("one.redundancy",), ("one",)),
        (job("json"), job("json"), (), ()),
    ],
)
def test_what_a_worker_can_change_while_it_feeds(old: Job, new: Job, restart: tuple[str, ...], redundancy: tuple[str, ...]) -> None:
    difference = between(old, new)
    assert (difference.added, difference.removed, difference.restart, difference.redundancy) == ((), (), restart, redundancy)


def newer(reader: Reader, symbol: str, sequence: int | None) -> bool:
    found = reader.latest(symbol)
    return found is not None and (sequence is None or found.sequence > sequence)


def read_ids(reader: Reader) -> dict[str, list[int]]:
    """Trade ids by symbol of everything that came since the reader was attached; none is lost to it."""
    found: dict[str, list[int]] = {}
    while (item := reader.read()) is not None:
        assert not isinstance(item, k4.Lost), item
        found.setdefault(item.symbol, []).append(int(str(item.trade_id)))
    return {symbol: sorted(ids) for symbol, ids in found.items()}


def worker(stage: Stage, group: str) -> int:
    """The pid of the newest worker of a group."""
    return int([line for line in log_lines(stage, "started") if line["group"] == group][-1]["pid"])


def test_groups_start_end_and_are_restarted_by_themselves(stage: Stage) -> None:
    def group(name: str, **changes: Any) -> dict[str, Any]:
        return entry(name, shm={"trade": name}, **changes)

    config = write(stage, group("stays"), group("goes"), group("differs"))
    with Theatre(config, rate=200) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(lambda: all(live(name) for name in ("stays", "goes", "differs")), "three groups", 60)
        pids = {name: worker(stage, name) for name in ("stays", "differs")}
        with k4.open("stays") as staying, k4.open("goes") as going, k4.open("differs") as differing:
            write(stage, group("differs", ring_slots=1024, cpu=max(os.sched_getaffinity(0))), group("stays"), group("comes"))
            code, told = reload(stage, config)
            assert (code, sorted(told)) == (
                0,
                ["comes: started", "differs: restarted: other differs.ring_slots, differs.cpu", "goes: ended"],
            )
            assert going.info.writer == "closed"
            assert differing.info.writer == "replaced"
            assert staying.info.epoch == 1
        assert worker(stage, "stays") == pids["stays"]
        assert worker(stage, "differs") != pids["differs"]
        assert not Path(f"/proc/{pids['differs']}").exists()
        wait_for(lambda: all(live(name) for name in ("stays", "comes", "differs")), "the new ones", 60)
        with k4.open("differs") as reader:
            assert (reader.info.ring_slots, reader.info.epoch) == (1024, 2)
        assert reload(stage, config) == (0, ["nothing has changed"])
    assert not log_lines(stage, "worker ended")


def test_a_group_that_cannot_run_is_told_and_the_others_go_on(stage: Stage) -> None:
    """Another run holds the segment; once it is free, the next reload has it."""
    everything = write(stage, entry(symbols=["AAAUSDT", "BBBUSDT"]), file="all.json")
    one, other = write(stage, entry("one"), file="one.json"), write(stage, entry("other", shm={"trade": "taken"}), file="other.json")
    with Theatre(everything, rate=200) as theatre, stage.running("run", one, "--sim", theatre.address):
        wait_for(live, "the first group", 60)
        write(stage, entry("one", symbols=["AAAUSDT", "BBBUSDT"]), entry("more", shm={"trade": "taken"}), file="one.json")
        with stage.started("run", other, "--sim", theatre.address):
            wait_for(lambda: live("taken"), "the other run", 60)
            refused = "more: refused: its worker cannot run, and has said why in the log"
            assert reload(stage, one) == (1, ["one: 1 symbol added: BBBUSDT", refused])
        assert reload(stage, one) == (0, ["more: started"])
        assert set(states()) == {"AAAUSDT", "BBBUSDT"}


def test_a_wrong_configuration_changes_nothing(stage: Stage) -> None:
    config = write(stage, entry(symbols=["AAAUSDT", "BBBUSDT"]))
    with Theatre(config, rate=200) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(live, "both symbols", 60)
        pid = worker(stage, "one")
        config.write_text("{")
        assert reload(stage, config) == (
            1,
            [f"k4: error: {config}: 1 finding", f"{config}:1: not JSON at column 2: Expecting property name enclosed in double quotes"],
        )
        write(stage, entry(symbols=["AAAUSDT", "NONSENSE"], ring_slots=1000))
        code, told = reload(stage, config)
        assert (code, told[1:]) == (
            1,
            [f"{config}:1: connections[0].ring_slots: 1000 is wrong; allowed: a power of two; the next one is 1024"],
        )
        write(stage, entry(symbols=["AAAUSDT", "NONSENSE"]))
        code, told = reload(stage, config)
        assert (code, told[1:]) == (
            1,
            [
                f'{config}:1: connections[0].symbols[1]: "NONSENSE" is no instrument of binance spot; `k4 instruments binance spot` lists them'
            ],
        )
        assert states() == {"AAAUSDT": "LIVE", "BBBUSDT": "LIVE"}
        assert worker(stage, "one") == pid
    assert len(log_lines(stage, "reload refused; nothing has changed")) == 3


def test_a_signal_reloads_too(stage: Stage) -> None:
    """New listings are picked up by a pattern, what is listed no longer goes; the log's level follows; the service manager is told."""
    first, later = names(0, 3), names(1, 12)
    everything = write(stage, entry(symbols=names(0, 12)), file="all.json")
    config = write(stage, entry(symbols=["*USDT"], symbol_capacity=4))
    with Manager() as manager, Theatre(everything, rate=300) as theatre:
        stage.env |= manager.environment
        (desk,) = theatre.said
        desk.symbols = tuple(first)
        with stage.started("run", config, "--sim", theatre.address) as process:
            wait_for(lambda: are(dict.fromkeys(first, "LIVE")), "the first three")
            with k4.open(SEGMENT) as reader:
                desk.symbols = tuple(later)
                wait_for(lambda: manager.turns() == ["READY=1"], "the beginning")
                write(stage, entry(symbols=["*USDT"], symbol_capacity=4), level="error")
                process.send_signal(signal.SIGHUP)
                wait_for(lambda: are({"X000USDT": "REMOVED"} | dict.fromkeys(later, "LIVE")), lambda: f"twelve symbols: {states()}")
                assert reader.info.writer == "replaced", "its table was full"
            with k4.open(SEGMENT) as reader:
                assert reader.info.symbol_capacity == 16
                assert {symbol.qty_unit for symbol in reader.symbols} == {"base"}, "of new ones too"
            wait_for(lambda: len(manager.turns()) == 3, "the end of the reload")
            assert manager.turns() == ["READY=1", "RELOADING=1", "READY=1"]
            assert reload(stage, config) == (0, ["nothing has changed"])
    assert {line["level"] for line in log_lines(stage, "connected")} == {"info"}
    assert not log_lines(stage, "reloaded"), "that is said at level info"
    assert not log_lines(stage, "stopped"), "by the worker too"


def test_what_an_earlier_run_received_is_removed(stage: Stage) -> None:
    config = write(stage, entry(symbols=["AAAUSDT", "BBBUSDT"]))
    with Theatre(config, rate=200) as theatre:
        with stage.running("run", config, "--sim", theatre.address):
            wait_for(live, "both symbols", 60)
        write(stage, entry(symbols=["AAAUSDT"]))
        with stage.running("run", config, "--sim", theatre.address):
            wait_for(lambda: are({"AAAUSDT": "LIVE", "BBBUSDT": "REMOVED"}), lambda: f"the one that is named: {states()}")


# Makes its standard input the terminal of its session, and becomes `k4`.
TYPED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "k4", *sys.argv[1:]])
"""


def test_a_closed_terminal_ends_the_run_that_was_typed_in_it(stage: Stage) -> None:
    """Its SIGHUP is no reload; one that comes while the terminal is there is."""
    config = write(stage, entry())
    with Theatre(config, rate=100) as theatre:
        terminal, ours = os.openpty()
        words = [sys.executable, "-c", TYPED, "run", str(config), "--sim", theatre.address]
        with subprocess.Popen(words, env=stage.env, stdin=ours, stdout=ours, stderr=ours, start_new_session=True) as typed:
            os.close(ours)
            try:
                wait_for(live, "the run", 60)
                typed.send_signal(signal.SIGHUP)
                wait_for(lambda: bool(log_lines(stage, "reloaded")), "a reload")
            finally:
                os.close(terminal)
            assert typed.wait(60) == 0
    assert [line["reason"] for line in log_lines(stage, "stopping")] == ["the terminal was closed"]
    with k4.open(SEGMENT) as reader:
        assert reader.info.writer == "closed"


def test_a_run_is_found_by_its_file_and_is_the_only_one(stage: Stage) -> None:
    config = write(stage, entry())
    code, told = reload(stage, config)
    assert (code, told) == (
        1,
        [
            f"k4: error: no run of {str(config)!r} is there",
            "  it must be run by the same user, with the same $K4_SHM_DIR, and named by the same file",
        ],
    )
    with Theatre(config, rate=100) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(live, "the run", 60)
        link = stage.folder / "link.json"
        link.symlink_to(config)
        assert reload(stage, link) == (0, ["nothing has changed"])
        second = stage.k4("run", link, "--sim", theatre.address)
        assert second.returncode == 1
        first, hint = second.stderr.splitlines()
        assert first.startswith(f"k4: error: {str(link)!r} is run already by process ")
        assert Path(f"/proc/{first.split()[-1]}/exe").resolve() == Path(sys.executable).resolve()
        assert hint == "  stop that first, or: k4 reload CONFIG"
    assert reload(stage, config)[0] == 1, "it is not there any more"


def test_a_loop_of_links_is_no_configuration(tmp_path: Path) -> None:
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(K4Error, match=r"no run of .* is there"):
        control.ask(loop, "reload")


def test_what_is_asked_of_a_run_is_read_with_care(stage: Stage) -> None:
    config = write(stage, entry())

    def said(request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(60)
            made.connect(control.address(config))
            made.sendall(request)
            made.shutdown(socket.SHUT_WR)
            with made.makefile("rb") as stream:
                return stream.read()

    with Theatre(config, rate=100) as theatre, stage.running("run", config, "--sim", theatre.address):
        wait_for(live, "the run", 60)
        assert said(b"") == b""
        assert said(b"\xff\xfe\n") == b""
        with pytest.raises(OSError):  # it hangs up
            said(b"x" * (2 << 20))
        assert json.loads(said(b"[1]\n")) == {"error": "what is to be done?"}
        assert json.loads(said(b'{"do": "dance"}\n')) == {"error": "'dance' is nothing that a run does"}
        assert json.loads(said(b'{"do": "reload"}\n')) == {"lines": ["nothing has changed"], "code": 0}
