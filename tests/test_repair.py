"""Readers in Python over writers that are killed: nothing wrong, nothing twice, losses exact, one epoch per writer.

What a kill can leave is tried instruction by instruction in tests/c/test_segment_crash.c.
"""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import k4
from k4.reader import Lost, Reader
from k4.segments import WriterGoneError
from k4.values import Record

from . import segments as s

KILLS = 25


class Follower(threading.Thread):
    """Follows a segment through every death of its writer until it is closed; keeps what was not as it should be."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader
        self.wrong: list[str] = []
        self.read = 0
        self.lost = 0
        self.restarts = 0
        self.expected = 0

    def run(self) -> None:
        while True:
            try:
                for item in self.reader:
                    self.take(item)
            except WriterGoneError:
                continue
            return

    def take(self, item: Record | Lost) -> None:
        if isinstance(item, Lost):
            if item.first != self.expected or item.last < item.first:
                self.wrong.append(f"lost {item.first} to {item.last}, expected from {self.expected}")
            self.lost += item.count
            self.expected = item.last + 1
            return
        if item.sequence != self.expected:
            self.wrong.append(f"sequence {item.sequence} instead of {self.expected}")
        # The writer counts trade_id up from 10 * epoch million; price is the epoch: a mixed record would contradict itself.
        epoch, number = item.price_exp, item.mantissa("price")
        if not isinstance(item.trade_id, int) or item.trade_id // 10_000_000 != number or epoch != 0:
            self.wrong.append(f"a mixed record {item!r}")
        self.restarts += item.flags.name == "RESTART"
        self.read += 1
        self.expected = item.sequence + 1


def test_python_readers_survive_killed_writers(shm: Path, program: Path) -> None:
    with s.Writer(program) as first:
        first.open("t", "trade", slots=256)
        first.symbol("A")
        follower = Follower(k4.open("t", oldest=True))
        first.close()
    follower.reader.seek_to(0)
    with k4.open("t") as watching:
        for turn in range(KILLS):
            with s.Writer(program) as writer:
                head, epoch = writer.open("t", "trade", slots=256)
                assert epoch == turn + 2
                if turn == 0:
                    follower.start()
                data = s.trade(epoch * 10_000_000, epoch, 1, price_exp=0)
                # Asked for far more than it will live to write, so that it is killed in the middle of publishing.
                process = writer.process
                assert process.stdin is not None
                process.stdin.write(f"many 0 9000000 {data.hex()}\n")
                process.stdin.flush()
                while watching.info.head == head:
                    assert process.poll() is None
                time.sleep(0.0007 * turn)
                writer.kill()
    with s.Writer(program) as last:
        head, epoch = last.open("t", "trade", slots=256)
        assert epoch == KILLS + 2
        assert head > KILLS
        last.put(0, s.trade(epoch * 10_000_000, epoch, 1, price_exp=0))
        last.do("wake")
        last.close()
    follower.join(60)
    assert not follower.is_alive()
    assert follower.wrong == []
    assert follower.read > 0
    assert follower.read + follower.lost == head + 1
    newest = follower.reader.latest("A")
    assert newest is not None
    assert (newest.sequence, newest.mantissa("price"), newest.flags.name) == (head, epoch, "RESTART")


def test_restart_flags_are_per_instrument_and_once(shm: Path, program: Path) -> None:
    writer = s.Writer(program)
    writer.open("t", "trade")
    for symbol in "ABC":
        writer.symbol(symbol)
    writer.put(0, s.trade(1, 1, 1))
    with k4.open("t") as reader:
        writer.kill()
        successor = s.Writer(program)
        assert successor.open("t", "trade") == [1, 2]
        successor.symbol("D")
        for instrument in (0, 0, 1, 3, 1, 2):
            successor.put(instrument, s.trade(5, 1, 1))
        flags = []
        while (item := reader.read()) is not None:
            assert isinstance(item, Record)
            flags.append((item.symbol, item.flags.name or ""))
        # C had no record before, but its first one comes from a new writer all the same; D is this writer's own symbol
        assert flags == [("A", "RESTART"), ("A", ""), ("B", "RESTART"), ("D", ""), ("B", ""), ("C", "RESTART")]
        successor.end()


def test_readers_in_other_processes_see_every_record_once(shm: Path, program: Path, headers: Path, tmp_path: Path) -> None:
    """A C reader beside the Python one, both from the first record on, with a ring that holds everything."""
    example = tmp_path / "reader"
    source = s.ROOT / "examples" / "reader.c"
    subprocess.run(["gcc", "-std=c11", "-O2", f"-I{headers}", source, "-o", example], check=True, timeout=60)
    writer = s.Writer(program)
    writer.open("t", "trade", slots=8192)
    writer.symbol("A")
    other = subprocess.Popen([example, "t", "oldest"], stdout=subprocess.PIPE, text=True)
    with k4.open("t", oldest=True) as reader:
        for start in range(0, 5000, 500):
            writer.many(0, 500, s.trade(start, 3, 1))
            writer.do("wake")
        writer.close()
        seen = [item.to_json() for item in reader if isinstance(item, Record)]
    assert [line["trade_id"] for line in seen] == list(range(5000))
    import json

    assert [json.loads(line) for line in other.communicate(timeout=60)[0].splitlines()] == seen
    writer.end()
