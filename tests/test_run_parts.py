"""The small parts of the run time, each on a clock of its own: waits, budgets, symbol states, the log."""

from __future__ import annotations

import asyncio
import io
import json
import random
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cffi
import pytest

from k4 import log
from k4.backoff import Backoff, Budget
from k4.clock import NEAR_NS, TRIES, Clock
from k4.connection import Connection
from k4.errors import K4Error
from k4.life import Life
from k4.link import State
from k4.native import Native
from k4.stuck import Expected
from k4.watch import LIVE, RESYNC, SLICE, STALE, Watch
from tests import logs
from tests.logs import Lines

# --------------------------------------------------------------------------- backoff, budget


def test_the_ceiling_doubles_and_waits_fill_it() -> None:
    backoff = Backoff(rng=random.Random(1))
    ceilings = []
    for _ in range(9):
        ceilings.append(backoff.ceiling)
        assert 0 <= backoff.next() <= ceilings[-1]
    assert ceilings == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    waits = [backoff.next() for _ in range(2000)]
    assert min(waits) < 0.5
    assert max(waits) > 29.5
    assert 14 < sum(waits) / len(waits) < 16


def test_only_a_minute_of_good_data_resets_it() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.next()
    backoff.ended(59.9)
    assert backoff.ceiling == 4
    backoff.ended(60)
    assert backoff.ceiling == 0.25


def test_a_budget_counts_exactly_in_every_window() -> None:
    budget = Budget([(2, 1.0), (3, 10.0)])
    assert [budget.take(now) for now in (0.0, 0.1, 0.2)] == [True, True, False]
    assert budget.wait(0.2) == pytest.approx(0.8)
    assert budget.take(1.0)
    assert budget.wait(1.1) == pytest.approx(8.9)
    assert not budget.take(9.9)
    assert budget.take(10.0)


def test_a_reserve_is_left_for_others() -> None:
    budget = Budget([(5, 1.0)])
    assert [budget.take(0.0, reserve=2) for _ in range(4)] == [True, True, True, False]
    assert budget.wait(0.0, reserve=2) == pytest.approx(1.0)
    assert [budget.take(0.0) for _ in range(3)] == [True, True, False]
    # A window of one cannot keep a reserve, or nothing would ever be sent.
    assert Budget([(1, 1.0)]).take(0.0, reserve=2)
    assert Budget([]).wait(0.0) == 0
    assert [Budget([(10, 1.0)], share=0.25).take(0.0) for _ in range(2)] == [True, True]
    shared = Budget([(10, 1.0)], share=0.25)
    assert [shared.take(0.0) for _ in range(3)] == [True, True, False]


# --------------------------------------------------------------------------- the clock


class Machine:
    """Two clocks that run together; `stalls` are how long the thread loses the CPU after each of the coming readings."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        self.ahead = 1_700_000_000 * SECOND  # wall minus monotonic
        self.stalls: list[int] = []
        self.readings = 0

    def _read(self, ahead: int) -> int:
        self.readings += 1
        self.now += 100
        value = self.now + ahead
        self.now += self.stalls.pop(0) if self.stalls else 0
        return value

    def wall(self) -> int:
        return self._read(self.ahead)

    def monotonic(self) -> int:
        return self._read(0)

    def clock(self) -> Clock:
        return Clock(self.wall, self.monotonic)


SECOND = 1_000_000_000


def offset(clock: Clock) -> int:
    wall, monotonic = clock.read()
    return wall - monotonic


def test_a_stall_between_the_two_clocks_is_not_a_step() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.readings = 0
    assert abs(offset(clock) - machine.ahead) < 1000
    assert machine.readings == 2, "one reading of each in the steady state"
    for stalls in ([50_000_000], [50_000_000, 0, 30_000_000], [50_000_000, 0, 30_000_000, 0, 40_000_000, 0]):
        machine.stalls = [*stalls]
        assert abs(offset(clock) - machine.ahead) < 1000, stalls
    # A machine that stalls at every reading costs a bounded number of tries, and the best of them counts.
    machine.readings = 0
    machine.stalls = [20_000_000] * 5 + [2 * NEAR_NS] + [20_000_000] * 100
    assert abs(offset(clock) - machine.ahead) < 12_000_000
    assert machine.readings == 2 + 3 * TRIES


def test_a_real_step_is_seen_at_once_and_once() -> None:
    machine = Machine()
    clock = machine.clock()
    for step in (-3600 * SECOND, 11_000_000):
        machine.ahead += step
        assert abs(offset(clock) - machine.ahead) < 1000
        machine.readings = 0
        assert abs(offset(clock) - machine.ahead) < 1000
        assert machine.readings == 2


def test_time_goes_forward_through_a_stall() -> None:
    machine = Machine()
    clock = machine.clock()
    times = []
    for _ in range(50):
        machine.stalls = [7_000_000, 0, 9_000_000]
        times.append(clock.read())
    assert times == sorted(times)
    assert Clock().read() < Clock().read()


# --------------------------------------------------------------------------- symbol states


class Shm:
    """The functions of the core that the watch calls."""

    def __init__(self) -> None:
        self.recv: dict[tuple[int, int], int] = {}
        self.states: dict[tuple[int, int], int] = {}
        self.surveys: list[int] = []

    def k4_feed_last_recv_ns(self, _feed: Any, record: int, instrument: int) -> int:
        return self.recv.get((record, instrument), -(1 << 63))

    def k4_feed_symbol_state(self, _feed: Any, record: int, instrument: int, state: int, _now_ns: int) -> int:
        self.states[record, instrument] = state
        return 0

    def k4_feed_remove(self, _feed: Any, record: int, instrument: int, _now_ns: int) -> int:
        del self.states[record, instrument]
        return 0

    def k4_feed_survey(self, _feed: Any, now_ns: int) -> None:
        self.surveys.append(now_ns)


@dataclass
class Carrier:
    """`stuck_on`: (record, instrument) of what it does not bring; `asked`: what it was expected to, of the last look; `renewed`: what was to be
    subscribed anew, call by call."""

    healthy_since_ns: int = 0
    stale_books: frozenset[tuple[str, str]] = frozenset()
    refused: frozenset[tuple[str, str]] = frozenset()
    name: str = "one#0"
    stuck_on: set[tuple[int, int]] = field(default_factory=set)
    asked: dict[tuple[int, int | None], list[int]] = field(default_factory=dict)
    renewed: list[frozenset[tuple[str, str]]] = field(default_factory=list)

    def stuck(self, expected: Expected, missing_ns: int) -> list[int]:
        assert missing_ns == 10 * SECOND
        self.asked[expected.record, expected.silence_ns] = list(expected.instruments)
        return [instrument for instrument in expected.instruments if (expected.record, instrument) in self.stuck_on]

    def renew(self, keys: frozenset[tuple[str, str]]) -> None:
        self.renewed.append(keys)


def test_a_stream_lives_while_a_connection_is_up_and_has_brought_data(lines: Lines) -> None:
    shm, one, two = Shm(), Carrier(), Carrier()
    shm.recv[1, 0] = 5  # left by a former writer
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "FOOBAR"), [one, two], 0)
    assert shm.states == {(1, 0): STALE}
    one.healthy_since_ns = 1 * SECOND
    watch.tick(1 * SECOND, 0)
    assert shm.states == {(1, 0): STALE}
    shm.recv[1, 0] = 6
    watch.tick(2 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE}
    two.healthy_since_ns = 3 * SECOND
    one.healthy_since_ns = 0
    watch.tick(4 * SECOND, 0)
    assert shm.states == {(1, 0): STALE}, "the second connection has brought nothing yet"
    shm.recv[1, 0] = 7
    watch.tick(5 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE}
    watch.tick(5000 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE}, "a quiet symbol on a healthy connection stays live"
    two.healthy_since_ns = 0
    watch.tick(5001 * SECOND, 0)
    assert shm.states == {(1, 0): STALE}
    assert lines == []


def test_a_connection_lacks_what_none_of_its_links_has() -> None:
    """While a link is being replaced there are two: the new one's books are stale at first, and the old one's are good."""

    def keys(symbols: str) -> frozenset[tuple[str, str]]:
        return frozenset(("bbo", symbol) for symbol in symbols)

    def life(state: State, stale: str, refused: str) -> Any:
        return SimpleNamespace(link=SimpleNamespace(state=state), stale_books=keys(stale), refused=keys(refused))

    connection = Connection.__new__(Connection)
    connection.healthy_since_ns = 0
    connection._lives = [life(State.OPEN, "AB", "C"), life(State.OPEN, "B", "CD"), life(State.HANDSHAKE, "", "")]
    connection._note_health(5)
    assert (connection.stale_books, connection.refused) == (keys("B"), keys("C"))
    connection._lives.pop(0)
    connection._note_health(7)
    assert (connection.stale_books, connection.refused) == (keys("B"), keys("CD"))
    assert connection.healthy_since_ns == 5, "it was up all the time"
    connection._lives.pop(0)
    connection._note_health(9)
    assert (connection.stale_books, connection.refused, connection.healthy_since_ns) == (keys(""), keys(""), 0)


def test_a_stream_quiet_for_longer_than_the_venue_says_is_stale() -> None:
    shm, carrier = Shm(), Carrier(1 * SECOND)
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "FOOBAR"), [carrier], 0, 5.0)
    watch.add(1, 1, ("bbo", "NADA"), [carrier], 0, 5.0)
    watch.add(2, 0, ("trade", "FOOBAR"), [carrier], 0)
    shm.recv = {(1, 0): 1, (2, 0): 1}
    watch.tick(2 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE, (1, 1): STALE, (2, 0): LIVE}
    shm.recv[1, 0] = 2
    watch.tick(7 * SECOND, 0)
    watch.tick(12 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE, (1, 1): STALE, (2, 0): LIVE}, "five seconds are allowed"
    watch.tick(12 * SECOND + 1, 0)
    assert shm.states == {(1, 0): STALE, (1, 1): STALE, (2, 0): LIVE}
    shm.recv[1, 0] = 3
    watch.tick(2000 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE, (1, 1): STALE, (2, 0): LIVE}


def test_what_each_connection_is_expected_to_bring() -> None:
    """Its streams whose silence is bounded, and those that a sibling brings too."""
    shm, one, two = Shm(), Carrier(1), Carrier(1)
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "FOOBAR"), [one], 0)  # nobody to compare it with
    watch.add(1, 1, ("bbo", "BARFOO"), [one, two], 0)
    watch.add(1, 2, ("bbo", "BAZ"), [one], 0, 5.0)
    watch.add(1, 3, ("bbo", "QUX"), [one, two], 0)
    watch.add(1, 4, ("bbo", "QUUX"), [one, two], 0, each=False)  # by one or the other
    watch.add(2, 3, ("trade", "QUX"), [two, one], 0)
    watch.tick(10 * SECOND, 0)
    assert one.asked == {(1, None): [1, 3], (1, 5 * SECOND): [2], (2, None): [3]}
    assert two.asked == {(1, None): [1, 3], (2, None): [3]}
    for now_ns in (10 * SECOND + 100_000_000, 10 * SECOND + 499_999_999, 10 * SECOND + 500_000_000):
        watch.tick(now_ns, 0)
    assert shm.surveys == [10 * SECOND, 10 * SECOND + 500_000_000], "twice a second"
    watch.remove([(1, 3)], 0)
    watch.add(1, 0, ("bbo", "FOOBAR"), [one, two], 0)
    watch.add(1, 1, ("bbo", "BARFOO"), [one, two], 0, 5.0)
    watch.add(2, 3, ("trade", "QUX"), [two, one], 0, each=False)
    two.asked.clear()
    watch.tick(20 * SECOND, 0)
    assert two.asked == {(1, None): [0], (1, 5 * SECOND): [1]}


def test_what_is_stuck_on_a_connection_is_subscribed_anew_there_and_ever_more_rarely(lines: Lines) -> None:
    shm, one, two = Shm(), Carrier(1), Carrier(1, name="one#1")
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "FOOBAR"), [one, two], 0)
    watch.add(2, 0, ("trade", "FOOBAR"), [one, two], 0, 2.0)
    asked: list[tuple[int, set[tuple[str, str]]]] = []

    def until(begin: int, end: int) -> None:
        for now in range(begin, end):
            before = len(one.renewed)
            watch.tick(now * SECOND, 0)
            asked.extend((now, set(keys)) for keys in one.renewed[before:])

    one.stuck_on = {(1, 0), (2, 0)}
    until(100, 200)
    bbo, trade = ("bbo", "FOOBAR"), ("trade", "FOOBAR")
    assert [now for now, keys in asked if trade in keys] == [100, 105, 115, 135, 175], "5 s, 10, 20, 40"
    assert [now for now, keys in asked if bbo in keys] == [100, 110, 120, 140, 180], "not before it can be found again"
    assert asked[0] == (100, {bbo, trade})
    assert two.renewed == []
    one.stuck_on = {(1, 0)}
    asked.clear()
    watch.add(1, 5, ("bbo", "BARFOO"), [one, two], 0)  # another stream changes nothing about this one
    until(200, 2000)
    assert [now for now, _ in asked] == [260, 420, 740, 1340, 1940], "10 minutes at most"
    one.stuck_on = set()
    until(2000, 3000)
    one.stuck_on = {(1, 0)}
    asked.clear()
    until(3000, 3030)
    assert [now for now, _ in asked] == [3000, 3010, 3020], "it had come back, so all begins anew"
    assert lines[0] == {
        "event": "stuck on this connection, subscribed anew",
        "connection": "one#0",
        "streams": "FOOBAR bbo, FOOBAR trade",
        "level": "warning",
    }


def test_a_link_is_stuck_on_nothing_before_all_was_asked_for_or_while_it_is_replaced() -> None:
    asked: list[tuple[int, list[int], int, int]] = []

    def k4_conn_stuck(_conn: Any, record: int, instruments: Any, count: int, silence_ns: int, missing_ns: int, out: Any) -> int:
        asked.append((record, list(instruments[0:count]), silence_ns, missing_ns))
        out[0] = 5
        return 1

    life: Any = Life.__new__(Life)
    life._core = SimpleNamespace(lib=SimpleNamespace(k4_conn_stuck=k4_conn_stuck), ffi=cffi.FFI())
    life.link = SimpleNamespace(state=State.OPEN, conn=None)
    life.replace = SimpleNamespace(done=lambda: False)
    life.subscriptions = SimpleNamespace(next=None)
    bounded, unbounded = Expected(2, 7, array("I", [3, 5])), Expected(2, None, array("I", [5]))
    assert life.stuck(bounded, 10) == life.stuck(unbounded, 10) == [5]
    assert asked == [(2, [3, 5], 7, 10), (2, [5], (1 << 63) - 1, 10)]
    for name, other in (
        ("link", SimpleNamespace(state=State.CLOSING, conn=None)),
        ("replace", SimpleNamespace(done=lambda: True)),
        ("subscriptions", SimpleNamespace(next="a request that waits")),
    ):
        usual = getattr(life, name)
        setattr(life, name, other)
        assert life.stuck(bounded, 10) == [], name
        setattr(life, name, usual)
    assert len(asked) == 2


def test_a_link_that_is_lost_waits_for_no_snapshot() -> None:
    async def main() -> None:
        life: Any = Life.__new__(Life)
        life.link = life._inbox = SimpleNamespace(forget=lambda: None)
        fetching = asyncio.create_task(asyncio.sleep(3600))
        life._snapshots = {fetching}
        life.end()
        await asyncio.wait([fetching], timeout=1.0)
        assert fetching.cancelled()

    asyncio.run(main())


def test_what_is_refused_or_a_stale_book_is_not_subscribed_anew_as_stuck() -> None:
    shm, one, two = Shm(), Carrier(1), Carrier(1)
    watch = Watch(shm, None, logs.logger())
    for n, symbol in enumerate("ABC"):
        watch.add(1, n, ("bbo", symbol), [one, two], 0)
    watch.add(2, 0, ("trade", "A"), [one, two], 0)
    one.stuck_on = {(1, 0), (1, 1), (1, 2), (2, 0)}
    one.stale_books = frozenset({("bbo", "A")})
    one.refused = frozenset({("bbo", "B"), ("trade", "")})
    watch.tick(100 * SECOND, 0)
    assert one.renewed == [{("bbo", "C")}]


def test_a_stream_that_the_venue_refuses_is_stale_though_it_had_data() -> None:
    shm, one, two = Shm(), Carrier(1 * SECOND), Carrier(1 * SECOND)
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "FOOBAR"), [one, two], 0)
    shm.recv[1, 0] = 1
    watch.tick(2 * SECOND, 0)
    one.refused = frozenset({("bbo", "FOOBAR")})
    watch.tick(3 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE}, "the other one has it"
    two.refused = frozenset({("bbo", "")})
    watch.tick(4 * SECOND, 0)
    assert shm.states == {(1, 0): STALE}
    two.refused = frozenset()
    watch.tick(5 * SECOND, 0)
    assert shm.states == {(1, 0): LIVE}


def test_a_stream_silent_since_its_subscription_is_named_once(lines: Lines) -> None:
    shm, carrier = Shm(), Carrier(SECOND)
    watch = Watch(shm, None, logs.logger())
    for n, label in enumerate(["FOOBAR bbo", "NOPE bbo", "NADA bbo"]):
        watch.add(1, n, (label.split()[1], label.split()[0]), [carrier], 0)
    shm.recv[1, 0] = 1
    for now in (1, 2, 30, 31, 32, 60):
        watch.tick(now * SECOND, 0)
    assert lines == [{"event": "no data since subscribed", "streams": "NOPE bbo, NADA bbo", "for_s": 30.0, "level": "warning"}]
    shm.recv[1, 1] = 1
    watch.tick(70 * SECOND, 0)
    assert lines[1:] == [{"event": "data after all", "streams": "NOPE bbo", "level": "info"}]
    assert watch.states() == {"live": 2, "stale": 1, "silent": 1}


def test_a_stream_is_silent_since_the_first_of_its_connections_is_up(lines: Lines) -> None:
    shm, one, two = Shm(), Carrier(1 * SECOND), Carrier(25 * SECOND)
    watch = Watch(shm, None, logs.logger())
    watch.add(1, 0, ("bbo", "NOPE"), [one, two], 0)
    watch.tick(31 * SECOND - 1, 0)
    assert lines == []
    watch.tick(31 * SECOND, 0)
    assert lines == [{"event": "no data since subscribed", "streams": "NOPE bbo", "for_s": 30.0, "level": "warning"}]


def test_a_book_is_resynced_while_none_of_its_connections_has_a_good_one() -> None:
    shm, one, two, down = Shm(), Carrier(1 * SECOND), Carrier(1 * SECOND), Carrier()
    watch = Watch(shm, None, logs.logger())
    watch.add(4, 0, ("depth5", "FOOBAR"), [one, two, down], 0)
    shm.recv[4, 0] = 1
    one.stale_books = frozenset({("depth5", "FOOBAR")})
    watch.tick(2 * SECOND, 0)
    assert shm.states == {(4, 0): LIVE}, "the other one's is good"
    two.stale_books = frozenset({("depth5", "FOOBAR")})
    watch.tick(3 * SECOND, 0)
    assert shm.states == {(4, 0): RESYNC}
    one.healthy_since_ns = two.healthy_since_ns = 0
    watch.tick(4 * SECOND, 0)
    assert shm.states == {(4, 0): STALE}


def test_streams_still_silent_at_the_end_are_named(lines: Lines) -> None:
    shm, carrier, down = Shm(), Carrier(SECOND), Carrier(0)
    watch = Watch(shm, None, logs.logger())
    for n, (label, by) in enumerate([("FOOBAR bbo", carrier), ("NOPE bbo", carrier), ("DOWN bbo", down)]):
        watch.add(1, n, (label.split()[1], label.split()[0]), [by], 0)
    watch.tick(2 * SECOND, 0)
    watch.end(5 * SECOND)
    assert lines == [], "too early to say"
    shm.recv[1, 0] = 1
    watch.end(9 * SECOND)
    assert lines == [{"event": "no data since subscribed", "streams": "NOPE bbo", "for_s": 8.0, "level": "warning"}]
    for now in (31, 32):
        watch.tick(now * SECOND, 0)
    watch.end(33 * SECOND)
    assert len(lines) == 2, "what was named is not named again"


def test_a_lost_connection_makes_all_its_streams_stale_in_one_tick() -> None:
    shm, carrier = Shm(), Carrier(SECOND)
    watch = Watch(shm, None, logs.logger())
    count = 3 * SLICE
    for n in range(count):
        watch.add(2, n, ("trade", str(n)), [carrier], 0)
        shm.recv[2, n] = 1
    for _ in range(3):
        watch.tick(2 * SECOND, 0)
    assert list(shm.states.values()) == [LIVE] * count
    carrier.healthy_since_ns = 0
    watch.tick(3 * SECOND, 0)
    assert list(shm.states.values()) == [STALE] * count


# --------------------------------------------------------------------------- the log


def test_repeats_are_held_back_and_counted() -> None:
    now = 0.0
    repeats = log.Repeats(lambda: now, most=2, window_s=10)

    def passed(**event: Any) -> dict[str, Any] | None:
        line = {"event": "dial failed", "level": "warning", **event}
        return line if repeats.passes(line) else None

    assert [passed() is not None for _ in range(5)] == [True, True, False, False, False]
    assert passed(connection="other") is not None
    assert passed(event="something else") is not None
    now = 10.0
    assert passed() == {"event": "dial failed", "level": "warning", "held_back": 3}
    assert "held_back" not in (passed() or {})
    assert [passed(level="error", event="e") is not None for _ in range(5)] == [True] * 5


def test_files_are_daily_and_old_ones_go(tmp_path: Path) -> None:
    now = datetime(2026, 3, 10, 23, 59, tzinfo=UTC)
    for day in ("2026-03-01", "2026-03-08", "2026-03-09"):
        (tmp_path / f"k4-{day}.log").write_text("old\n")
    (tmp_path / "other.log").write_text("not ours\n")
    file = log.DailyFile(tmp_path, 2, now=lambda: now)
    file({"event": "a", "path": tmp_path})
    now += timedelta(minutes=2)
    file({"event": "b", "symbol": "币"})
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k4-2026-03-10.log", "k4-2026-03-11.log", "other.log"]
    assert json.loads((tmp_path / "k4-2026-03-10.log").read_text()) == {"event": "a", "path": str(tmp_path)}
    assert json.loads((tmp_path / "k4-2026-03-11.log").read_text()) == {"event": "b", "symbol": "币"}
    assert (tmp_path / "k4-2026-03-11.log").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(K4Error, match=r"log\.dir '.*/file/logs' cannot be written: Not a directory") as caught:
        log.DailyFile(tmp_path / "file" / "logs")
    assert caught.value.hint == "choose another folder, or null for no file"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console(stream: io.StringIO, **event: Any) -> str:
    log.Console(stream)({"timestamp": "2026-03-10T23:59:00.000000Z", "level": "info", "event": "connected", **event})
    return stream.getvalue()


def test_a_line_on_the_console() -> None:
    line = console(io.StringIO(), streams=4, name="one#0", reason="a peer's\nword", path=Path("/a b"))
    assert line == (
        "2026-03-10T23:59:00.000000Z [info    ] connected                    "
        "streams=4 name=one#0 reason=\"a peer's\\nword\" path=PosixPath('/a b')\n"
    )
    assert console(io.StringIO(), event="gone\x1b[2J") == "2026-03-10T23:59:00.000000Z [info    ] 'gone\\x1b[2J'\n"
    assert console(io.StringIO(), exception="Traceback\n  ValueError").endswith("connected\nTraceback\n  ValueError\n")
    assert console(Terminal(), level="error", n=1) == (
        "\x1b[2m2026-03-10T23:59:00.000000Z\x1b[0m [\x1b[31merror   \x1b[0m] \x1b[1mconnected                   \x1b[0m "
        "\x1b[36mn\x1b[0m=\x1b[35m1\x1b[0m\n"
    )


def test_a_logger_says_what_is_bound_from_its_level_on() -> None:
    lines: list[log.Event] = []
    logger = log.Logger([lines.append], level="warning", repeats=log.Repeats(lambda: 0.0, most=1), group="g").bind(connection="one#0")
    logger.info("not this")
    logger.warning("link lost", reason="x")
    logger.warning("link lost", reason="x")
    times = [line.pop("timestamp") for line in lines]
    assert datetime.strptime(times[0], "%Y-%m-%dT%H:%M:%S.%f%z").tzinfo == UTC
    assert lines == [{"group": "g", "connection": "one#0", "reason": "x", "event": "link lost", "level": "warning"}]
    try:
        int("k")
    except ValueError:
        logger.exception("crashed")
    assert lines[1].pop("exception").splitlines()[-1].startswith("ValueError: ")
    del lines[1]["timestamp"]
    assert lines[1] == {"group": "g", "connection": "one#0", "event": "crashed", "level": "error"}


def test_every_counter_is_documented(native: Native) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "running.md").read_text()
    table = page.split("<!-- table: the counters of `k4_conn_stats`")[1].split("<!-- end of table -->")[0]
    rows = [
        line.split(" | ")[0] + line.split(" | ")[1].partition("; `control` of them")[1]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    documented = [name for row in rows for name in row.split("`")[1::2]]
    assert sorted(documented) == sorted(name for name, _ in native.ffi.typeof("k4_conn_stats").fields)
