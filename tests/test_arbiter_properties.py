"""Properties of the real C arbiter under generated interleavings: connections that come, go, lag and lose updates; resets of ids.

A small venue in plain Python numbers its updates by position; connections deliver positions in order (TCP), each with its own
delay. What the arbiter publishes is held against the positions, which it never sees.
"""

from __future__ import annotations

import bisect
import ctypes
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.arbiter_driver import (
    ABSENT,
    BACKFILL,
    CONTIGUOUS,
    GAP,
    HASHED_ID,
    INCREASING,
    LATE,
    LEADER,
    RESET,
    SECOND,
    STEPPING,
    WINDOW,
    Arbiter,
    Verdict,
    compile_library,
    load_library,
)
from tests.conftest import Once

MS = 1_000_000
EXAMPLES = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="session")
def lib(once: Once, headers: Path) -> ctypes.CDLL:
    return load_library(once("arbiter", lambda folder: compile_library(folder, headers)))


@dataclass(slots=True)
class Update:
    epoch: int
    identity: int
    engine: int
    signal: bool
    at: int  # when the venue sent it


@dataclass(slots=True)
class Conn:
    number: int
    at: int  # position of the next update it delivers
    life: int = 0  # updates it delivered
    in_step: bool = True  # it began in the epoch that the arbiter was in


@dataclass(slots=True)
class World:
    """A venue, its connections, and the arbiter between them and us."""

    arbiter: Arbiter
    step: int  # ids grow by 1..step
    signals: bool
    engine: bool
    now: int = 1000 * SECOND
    updates: list[Update] = field(default_factory=list)
    conns: list[Conn] = field(default_factory=list)
    published: list[tuple[int, Verdict]] = field(default_factory=list)
    dropped: list[tuple[int, Conn, Verdict, int]] = field(default_factory=list)

    def tick(self, count: int, seed: int = 0) -> None:
        for i in range(count):
            last = self.updates[-1] if self.updates else Update(0, 10**6, ABSENT, False, self.now)
            grow = 1 + (seed + i) % self.step
            self.updates.append(Update(last.epoch, last.identity + grow, self.now if self.engine else ABSENT, False, self.now))

    def connect(self, lag: int) -> None:
        if len(self.conns) < 5:
            at = len(self.updates)
            while at > 0 and lag > 0 and self.now - self.updates[at - 1].at < 900 * MS:
                at, lag = at - 1, lag - 1
            self.conns.append(Conn(self.arbiter.join(len(self.conns)), at))

    def disconnect(self, which: int) -> None:
        if self.conns:
            self.arbiter.leave(self.conns.pop(which % len(self.conns)).number)

    def deliver(self, conn: Conn, count: int, lose: int = 0) -> None:
        for _ in range(count):
            if conn.at == len(self.updates):
                return
            position, conn.at = conn.at, conn.at + 1
            if not lose or position % lose != 0:
                self.bring(conn, position)

    def bring(self, conn: Conn, position: int) -> None:
        update = self.updates[position]
        newest = max((p for p, _ in self.published), default=-1)
        if conn.life == 0:
            conn.in_step = newest < 0 or self.updates[newest].epoch == update.epoch
        conn.life += 1
        flags = RESET if update.signal and self.signals else 0
        verdict = self.arbiter.decide(conn.number, update.identity, self.now, engine=update.engine, flags=flags)
        if verdict.publish:
            self.published.append((position, verdict))
        else:
            self.dropped.append((position, conn, verdict, newest))

    def swap(self, conn: Conn) -> None:
        """The next two, of one epoch, come the wrong way round. Not its very first ones: lower than all is what a new epoch is known by."""
        at = conn.at
        if conn.life == 0 or at + 1 >= len(self.updates) or self.updates[at].epoch != self.updates[at + 1].epoch:
            return
        if any(p < at and self.updates[p].epoch == self.updates[at].epoch for p, _ in self.published):
            conn.at += 2
            self.bring(conn, at + 1)
            self.bring(conn, at)

    def flush(self) -> None:
        for conn in self.conns:
            self.deliver(conn, len(self.updates))

    def wait(self, ms: int) -> None:
        """Time goes by; nobody lags by more than the time that passes between two waits."""
        self.flush()
        self.now += ms * MS

    def reset(self, before: int) -> None:
        """Ids start anew, far from the old ones, with old updates still under way. One reset at a time: all have seen the last one."""
        self.wait(2000)
        self.tick(1)
        self.flush()
        for conn in [c for c in self.conns if not c.in_step]:
            self.arbiter.leave(conn.number)
            self.conns.remove(conn)
        self.tick(before)
        last = self.updates[-1]
        self.updates.append(Update(last.epoch + 1, last.identity - 10_000, self.now if self.engine else ABSENT, True, self.now))


Op = tuple[str, int, int]


def ops(*, resets: bool, swaps: bool = False) -> st.SearchStrategy[list[Op]]:
    small = st.integers(0, 12)
    names = ["tick", "deliver", "deliver", "deliver", "connect", "disconnect", "wait"]
    names += (["reset"] if resets else []) + (["swap", "swap"] if swaps else [])
    return st.lists(st.tuples(st.sampled_from(names), small, small), min_size=5, max_size=80)


def play(world: World, script: list[Op], *, lose: int = 0, keep_one: bool = False) -> None:
    world.connect(0)
    world.connect(0)
    for name, a, b in script:
        if name == "tick":
            world.tick(a, b)
        elif name == "deliver" and world.conns:
            world.deliver(world.conns[a % len(world.conns)], b, lose)
        elif name == "swap" and world.conns:
            world.swap(world.conns[a % len(world.conns)])
        elif name == "connect":
            world.connect(a)
        elif name == "disconnect" and not (keep_one and len(world.conns) == 1):
            world.disconnect(a)
        elif name == "wait":
            world.wait(a * 60)
        elif name == "reset" and world.conns:
            world.reset(a)
    world.flush()


@given(ops(resets=True, swaps=True), st.booleans(), st.booleans(), st.integers(1, 4))
@EXAMPLES
def test_state_is_published_once_in_order_and_never_late(
    lib: ctypes.CDLL, script: list[Op], signals: bool, engine: bool, step: int
) -> None:
    with Arbiter(lib, INCREASING) as arbiter:
        world = World(arbiter, step, signals, engine)
        play(world, script)
        positions = [p for p, _ in world.published]
        assert positions == sorted(set(positions))
        for position, conn, verdict, newest in world.dropped:
            # Whatever a connection in step brings first is published.
            assert position <= newest or not conn.in_step, (position, newest, verdict)
        check_reset_flags(world)


def check_reset_flags(world: World) -> None:
    """RESET exactly on the first record of each later epoch."""
    for i, (position, verdict) in enumerate(world.published):
        before = world.updates[world.published[i - 1][0]].epoch if i else world.updates[position].epoch
        signalled = i == 0 and world.signals and world.updates[position].signal
        if not verdict.has(LATE):
            assert verdict.has(RESET) == (world.updates[position].epoch != before or signalled)


@given(ops(resets=False, swaps=True), st.integers(0, 5))
@EXAMPLES
def test_state_that_steps_by_one_counts_its_holes(lib: ctypes.CDLL, script: list[Op], lose: int) -> None:
    with Arbiter(lib, STEPPING) as arbiter:
        world = World(arbiter, 1, signals=False, engine=False)
        play(world, script, lose=lose + 1 if lose else 0)
        previous: int | None = None
        for position, verdict in world.published:
            missing = 0 if previous is None else position - previous - 1
            assert verdict.gap == missing
            assert verdict.has(GAP) == (missing > 0)
            assert verdict.flags & ~GAP == 0
            previous = position


@given(st.integers(0, 10**6 - 1), st.lists(st.integers(0, 2), min_size=1, max_size=60), st.booleans())
@EXAMPLES
def test_a_single_wrong_id_sends_no_sibling_away(lib: ctypes.CDLL, wrong: int, turns: list[int], engine: bool) -> None:
    """One of three brings an id far below, then goes on where it was. As soon as a sibling has been level with it, it competes again."""
    with Arbiter(lib, INCREASING) as arbiter:
        conns = [arbiter.join(i) for i in range(3)]
        now, at, newest = 1000 * SECOND, [10**6] * 3, 0

        def go_on(which: int) -> Verdict:
            nonlocal now, newest
            now += MS
            at[which] += 1
            verdict = arbiter.decide(conns[which], at[which], now, engine=now if engine else ABSENT)
            assert verdict.flags == 0
            if verdict.publish:
                assert at[which] > newest, "nothing twice, nothing backwards"
                newest = at[which]
            return verdict

        for conn in conns:
            arbiter.decide(conn, 10**6, now)
        assert arbiter.decide(conns[0], wrong, now).has(RESET)
        for which in [0, *turns]:
            go_on(which)
        top = max(at) + 1
        for which in range(3):
            while at[which] < top:
                go_on(which)
        assert [go_on(which).cause for which in (1, 2, 2, 1, 1, 0)] == ["new", "duplicate", "new", "duplicate", "new", "behind"]


class Window:
    """What `window` and `contiguous` mean, as plainly as it can be said."""

    def __init__(self, size: int) -> None:
        self.size, self.ids, self.floor, self.top = size, list[int](), 0, 0

    def add(self, identity: int) -> str:
        if not self.ids:
            self.ids, self.floor, self.top = [identity], identity - 1, identity
            return "new"
        if identity <= self.floor:
            return "under"
        if identity in self.ids:
            return "duplicate"
        bisect.insort(self.ids, identity)
        if len(self.ids) > self.size:
            self.floor = self.ids.pop(0)
        new = identity > self.top
        self.top = max(self.top, identity)
        return "new" if new else "late"


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.one_of(st.integers(90, 140), st.integers(0, 10**6), st.integers(-(2**63) + 1, 2**63 - 1))),
        max_size=120,
    ),
    st.sampled_from([WINDOW, CONTIGUOUS]),
    st.sampled_from([16, 64]),
)
@EXAMPLES
def test_events_agree_with_a_plain_set(lib: ctypes.CDLL, arrivals: list[tuple[int, int]], rule: int, size: int) -> None:
    """Any ids from any connection, all within a second: every verdict, flag and gap is that of the model."""
    with Arbiter(lib, rule, window=size) as arbiter:
        conns = [arbiter.join(i) for i in range(4)]
        model = Window(size)
        for conn, identity in arrivals:
            top, first = model.top, not model.ids
            cause = model.add(identity)
            verdict = arbiter.decide(conns[conn], identity, 1000 * SECOND)
            gap = identity - top - 1 if rule == CONTIGUOUS and cause == "new" and not first else 0
            assert (verdict.cause, verdict.publish, verdict.gap) == (cause, cause in {"new", "late"}, gap)
            assert verdict.flags == (LATE if cause == "late" else 0) | (GAP if gap else 0)


@given(ops(resets=True), st.integers(1, 4), st.booleans(), st.integers(0, 5), st.booleans())
@EXAMPLES
def test_events_are_published_once_and_in_order_but_for_late_ones(
    lib: ctypes.CDLL, script: list[Op], step: int, contiguous: bool, lose: int, engine: bool
) -> None:
    with Arbiter(lib, CONTIGUOUS if contiguous else WINDOW) as arbiter:
        world = World(arbiter, 1 if contiguous else step, signals=True, engine=engine)
        # A lost reset signal is no signal: where ids start anew, nothing may be lost.
        play(world, script, lose=lose + 1 if lose and not any(op[0] == "reset" for op in script) else 0)
        positions = [p for p, _ in world.published]
        assert len(positions) == len(set(positions))
        newest = -1
        for position, verdict in world.published:
            assert verdict.has(LATE) == (position < newest)
            newest = max(newest, position)
        check_reset_flags(world)
        check_events_complete(world)
        if contiguous:
            check_gaps(world)


def check_events_complete(world: World) -> None:
    """What a connection in step delivered is published, unless it lies before the first record of its epoch or the epoch is over."""
    positions = {p for p, _ in world.published}
    first: dict[int, int] = {}
    for position, _ in world.published:
        first.setdefault(world.updates[position].epoch, position)
    for position, conn, verdict, newest in world.dropped:
        epoch = world.updates[position].epoch
        over = world.updates[newest].epoch > epoch
        if conn.in_step and not over and position >= first.get(epoch, position):
            assert position in positions, verdict


def check_gaps(world: World) -> None:
    """Per epoch: ids missing in the end = gaps counted - holes filled late."""
    for epoch in {u.epoch for u in world.updates}:
        of_epoch = [(p, v) for p, v in world.published if world.updates[p].epoch == epoch]
        if not of_epoch:
            continue
        ids = [world.updates[p].identity for p, _ in of_epoch]
        missing = max(ids) - ids[0] + 1 - len(ids)
        assert sum(v.gap for _, v in of_epoch) - sum(v.has(LATE) for _, v in of_epoch) == missing
        assert all(v.has(GAP) == (v.gap > 0) for _, v in of_epoch)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=200), st.just(16))
@EXAMPLES
def test_hashed_ids_are_a_set_of_the_last_n(lib: ctypes.CDLL, arrivals: list[tuple[int, int]], size: int) -> None:
    with Arbiter(lib, WINDOW, window=size) as arbiter:
        conns = [arbiter.join(i) for i in range(4)]
        recent: list[int] = []
        for conn, n in arrivals:
            identity = n * 0x1234567 % 2**40  # crowded and spread places of the table alike
            verdict = arbiter.decide(conns[conn], identity, SECOND, flags=HASHED_ID)
            assert verdict.publish == (identity not in recent)
            assert verdict.flags == 0
            if verdict.publish:
                recent = [*recent, identity][-size:]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 7),
            st.one_of(st.integers(0, 50), st.integers(10**6, 10**6 + 50)),
            st.integers(0, 3 * SECOND),
            st.sampled_from([0, 0, 0, RESET, BACKFILL]),
            st.sampled_from([ABSENT, 0, SECOND, 30 * SECOND]),
        ),
        max_size=60,
    ),
    st.sampled_from([INCREASING, STEPPING, WINDOW, CONTIGUOUS, LEADER]),
    st.integers(0, 60),
    st.booleans(),
)
@EXAMPLES
def test_nothing_is_silenced_for_good(
    lib: ctypes.CDLL, chaos: list[tuple[int, int, int, int, int]], rule: int, start: int, fresh: bool
) -> None:
    """After anything at all, one connection with rising ids is published again: at the latest after twice the patience."""
    with Arbiter(lib, rule, window=16) as arbiter:
        conns = [arbiter.join(i) for i in range(4)]
        now = 1000 * SECOND
        for who, identity, pause, flags, engine in chaos:
            now += pause
            if who >= 4:
                arbiter.renew(conns[who - 4])
            else:
                arbiter.decide(conns[who], identity, now, flags=flags, engine=engine)
        if fresh:
            arbiter.renew(conns[0])
        verdicts = []
        for i in range(230):
            now += SECOND // 10
            verdicts.append(arbiter.decide(conns[0], start + i, now))
        assert all(v.publish for v in verdicts[-20:])
        assert sum(v.has(RESET) for v in verdicts) <= 2


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40), st.lists(st.integers(0, 45), max_size=40), st.sampled_from([INCREASING, WINDOW])
)
@EXAMPLES
def test_nothing_is_published_twice_across_a_restart(lib: ctypes.CDLL, before: list[int], after: list[int], rule: int) -> None:
    published: list[tuple[int, int]] = []
    with Arbiter(lib, rule) as arbiter:
        conn = arbiter.join()
        for identity in sorted(set(before)):
            verdict = arbiter.decide(conn, identity, SECOND)
            published.append((identity, verdict.flags))
    with Arbiter(lib, rule) as arbiter:
        for identity, flags in published:
            arbiter.seed(identity, flags=flags)
        again = [i for i in sorted(set(after)) if arbiter.decide(arbiter.join(), i, SECOND).publish]
    ids = {i for i, _ in published}
    expected = [i for i in sorted(set(after)) if i not in ids and i > (max(ids) if rule == INCREASING else min(ids))]
    assert again == expected
