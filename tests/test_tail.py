"""`k4 tail --json` and the C and C++ examples: the same lines, in every compiler, for every record; loss, end, and a dead writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import segments as s
from .theatre import wait_for

TAIL = (sys.executable, "-m", "k4", "tail")


def run(*command: str | Path, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=s.ROOT, env=os.environ)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@contextmanager
def started(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A reader that is not there any more when the test has ended: some wait for a successor for ever."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=s.ROOT) as reader:
        try:
            yield reader
        finally:
            reader.kill()


def line_of(reader: subprocess.Popen[str]) -> dict[str, Any]:
    assert reader.stdout is not None
    line: dict[str, Any] = json.loads(reader.stdout.readline())
    return line


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def fill(writer: s.Writer, word: str) -> None:
    """Records of a kind with everything that can be in one: absent values, flags, levels from none to all, signs, exponents."""
    big = (1 << 63) - 1
    if word == "bbo":
        writer.put(0, s.bbo(1, 123456, 10, 123457, 50000, source=2, event=1700000000000000001, engine=5, recv=9))
        writer.put(1, s.bbo(s.ABSENT, s.ABSENT, s.ABSENT, 1, 2, flags=0x7FF, event=s.ABSENT, price_exp=0, qty_exp=0))
        writer.put(2, s.bbo(big, -big, big, -1, 0, price_exp=-128, qty_exp=-19))
        writer.put(1, s.bbo(0, -5, 3, 10, 0, price_exp=-1, qty_exp=-8))
    elif word == "trade":
        for kind in range(8):  # 7 is a kind that this schema does not know
            writer.put(kind % 3, s.trade(kind, 10**kind, 3, maker=kind % 2 == 1, kind=kind, flags=1 << kind))
        writer.put(0, s.trade(s.ABSENT, 1, 1))
    elif word == "aggtrade":
        writer.put(0, s.aggtrade(77, 1, 5, 5, 100, 200, maker=True))
        writer.put(1, s.aggtrade(78, s.ABSENT, s.ABSENT, -1, 1, 2, flags=8))
    else:
        levels = int(word.removeprefix("depth"))
        sides = [(1000 - i, 7 * i) for i in range(levels)]
        writer.put(0, s.depth(levels, 5, sides, sides))
        writer.put(1, s.depth(levels, s.ABSENT, [], []))
        writer.put(2, s.depth(levels, 6, sides[:1], sides[:4], flags=64))


@pytest.mark.parametrize("word", list(s.NUMBER))
def test_examples_print_what_tail_prints(writer: s.Writer, examples: dict[str, Path], word: str) -> None:
    writer.open("x", word)
    for symbol in ("BTCUSDT", 'quo"te\\back', "币安人生USDT"):
        writer.symbol(symbol)
    fill(writer, word)
    writer.close()
    out, _ = run(*TAIL, "x", "--json", "--from", "oldest")
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["record"] for line in lines} == {word}
    assert {line["symbol"] for line in lines} <= {"BTCUSDT", 'quo"te\\back', "币安人生USDT"}
    assert len(lines) == {"bbo": 4, "trade": 9, "aggtrade": 2}.get(word, 3)
    assert len(examples) >= 2
    for name, program in examples.items():
        assert run(program, "x", "oldest")[0] == out, name


def test_lines_of_every_kind(writer: s.Writer) -> None:
    head = {"exchange": "nova", "product": "spot", "symbol": "A", "instrument": 0, "source": 0}
    times = {"event_ns": 1, "engine_ns": None, "recv_ns": 2, "price_exp": -2, "qty_exp": -4}
    wanted: dict[str, dict[str, object]] = {
        "bbo": {
            "update_id": 1, "bid_price": None, "bid_qty": None, "ask_price": "-0.05", "ask_qty": "0.0000", "bid_count": None,
            "ask_count": None,
        },
        "trade": {"trade_id": 8, "price": "1.00", "qty": "12.3456", "buyer_is_maker": True, "kind": "rpi"},
        "aggtrade": {"agg_id": 9, "first_id": 3, "last_id": 4, "count": 2, "price": "0.01", "qty": "0.0001", "buyer_is_maker": False},
        "depth5": {
            "update_id": 7, "bid_levels": 2, "ask_levels": 0, "bid_price": ["3.00", "2.00"], "bid_qty": ["0.0001", "0.0002"],
            "ask_price": [], "ask_qty": [], "bid_count": [None, None], "ask_count": [],
        },
    }  # fmt: skip
    records = {
        "bbo": s.bbo(1, s.ABSENT, s.ABSENT, -5, 0),
        "trade": s.trade(8, 100, 123456, maker=True, kind=1),
        "aggtrade": s.aggtrade(9, 3, 4, 2, 1, 1),
        "depth5": s.depth(5, 7, [(300, 1), (200, 2)], []),
    }
    for word, data in records.items():
        writer.open(word, word)
        writer.symbol("A")
        writer.put(0, data)
        writer.close()
        out, _ = run(*TAIL, word, "--json", "--from", "oldest")
        assert json.loads(out) == {"record": word, **head, "flags": [], **times, **wanted[word]}


def test_count_ends_it_and_counts_records_only(writer: s.Writer, examples: dict[str, Path]) -> None:
    writer.open("x", "trade", slots=8)
    writer.symbol("A")
    writer.many(0, 20, s.trade(0, 1, 1))
    commands: list[list[str | Path]] = [[*TAIL, "x", "--json", "--from", "oldest", "--count", "3"]]
    commands += [[program, "x", "oldest", "3"] for program in examples.values()]
    for command in commands:
        out, _ = run(*command)
        assert [json.loads(line)["trade_id"] for line in out.splitlines()] == [13, 14, 15]
    assert run(*TAIL, "x", "--json", "--count", "0")[0] == ""


def test_newest_gives_only_what_comes(writer: s.Writer) -> None:
    writer.open("x", "trade", slots=16384)
    writer.symbol("A")
    writer.many(0, 5, s.trade(0, 1, 1))
    with started(*TAIL, "x", "--json", "--count", "3") as reader:
        number = 100  # one after the other until it has seen three: what came before it opened the segment is never among them
        while reader.poll() is None and number < 16000:
            writer.put(0, s.trade(number, 1, 1))
            writer.do("wake")
            number += 1
            time.sleep(0.01)
        out = reader.communicate(timeout=60)[0]
    ids = [json.loads(line)["trade_id"] for line in out.splitlines()]
    assert ids == list(range(ids[0], ids[0] + 3))
    assert ids[0] >= 100
    assert reader.returncode == 0


def test_a_lapped_reader_says_what_it_lost(writer: s.Writer, examples: dict[str, Path]) -> None:
    """Stopped while it holds a place, lapped, then let go on."""
    writer.open("x", "trade", slots=8)
    writer.symbol("A")
    commands = {"tail": [*TAIL, "x", "--json", "--from", "oldest"], **{name: [str(p), "x", "oldest"] for name, p in examples.items()}}
    writer.put(0, s.trade(0, 1, 1))
    with ExitStack() as all_of_them:
        readers = {name: all_of_them.enter_context(started(*command)) for name, command in commands.items()}
        for reader in readers.values():
            assert line_of(reader)["trade_id"] == 0
            reader.send_signal(signal.SIGSTOP)
        wait_for(lambda: all(stopped(reader.pid) for reader in readers.values()), "all to stand still")
        writer.many(0, 100, s.trade(1, 1, 1))
        writer.close()
        for name, reader in readers.items():
            reader.send_signal(signal.SIGCONT)
            out = reader.communicate(timeout=60)[0]
            lines = [json.loads(line) for line in out.splitlines()]
            assert lines[0] == {"lost": [1, 93]}, name
            assert [line["trade_id"] for line in lines[1:]] == list(range(94, 101)), name


def test_a_dead_writer_is_waited_for(writer: s.Writer, program: Path) -> None:
    writer.open("x", "trade")
    writer.symbol("A")
    writer.put(0, s.trade(1, 1, 1))
    pid = writer.process.pid
    with started(*TAIL, "x", "--json", "--from", "oldest") as reader, s.Writer(program) as successor:
        assert reader.stderr is not None
        assert line_of(reader)["trade_id"] == 1
        writer.kill()
        assert reader.stderr.readline() == f"k4: warning: the writer of segment x (process {pid}) is gone; waiting for its successor\n"
        successor.open("x", "trade")
        successor.put(0, s.trade(2, 1, 1))
        successor.do("wake")
        line = line_of(reader)
        assert (line["trade_id"], line["flags"]) == (2, ["RESTART"])
        successor.close()
        reader.communicate(timeout=60)
        assert reader.returncode == 0


def test_a_replaced_segment_is_followed(writer: s.Writer) -> None:
    writer.open("x", "trade", symbols=2)
    writer.symbol("A")
    writer.symbol("B")
    writer.put(0, s.trade(1, 1, 1))
    with started(*TAIL, "x", "--json", "--from", "oldest") as reader:
        assert line_of(reader)["trade_id"] == 1
        writer.put(1, s.trade(2, 1, 1))
        writer.symbol("C")
        writer.put(2, s.trade(3, 1, 1))
        writer.do("wake")
        writer.close()
        out, err = reader.communicate(timeout=60)
    assert [json.loads(line)["trade_id"] for line in out.splitlines()] == [2, 3]
    assert err == "k4: warning: segment x was replaced by another; going on with the new one\n"


def test_columns_for_people() -> None:
    from k4.tail import columns

    line = {
        "record": "bbo", "exchange": "nova", "product": "spot", "symbol": "BTCUSDT", "instrument": 0, "source": 1, "flags": ["GAP"],
        "event_ns": 1, "engine_ns": None, "recv_ns": 1700000000123456789, "price_exp": -2, "qty_exp": -2, "update_id": 5,
        "bid_price": "1.50", "bid_qty": None,
    }  # fmt: skip
    assert columns(line) == "22:13:20.123456  bbo      BTCUSDT         update_id 5  bid_price 1.50  GAP"
    line = {**line, "record": "depth5", "flags": [], "bid_price": ["2.00", "1.00"], "bid_qty": ["7", "8"], "bid_levels": 2}
    assert columns(line) == "22:13:20.123456  depth5   BTCUSDT         update_id 5  bid 2.00x7 1.00x8"


def test_errors_and_exit_codes(writer: s.Writer, shm: Path, examples: dict[str, Path]) -> None:
    writer.open("there", "trade")
    _, err = run(*TAIL, "missing", "--json", code=1)
    assert err.startswith(f"k4: error: there is no segment missing in {shm}\n")
    assert "there are: there" in err
    for program in examples.values():
        assert run(program, "missing", code=1)[1] == f"{shm}/k4.missing: there is no such file\n"
        assert run(program, "bad/name", code=1)[1].startswith('"bad/name" is not a segment\'s name')
        assert run(program, code=2)[1] == "usage: reader SEGMENT [oldest|newest] [COUNT]\n"
