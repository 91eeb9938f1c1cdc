"""The slowest of redundant connections is dialled anew: when it is that persistently, one at a time, and never the last one."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

import pytest

from k4 import session
from k4.backoff import Turns
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.life import TURN_S, Core, Shared
from k4.link import Resolver
from k4.session import Plan
from k4.slowest import LEAST_UPDATES, Race, Slowest
from tests import logs
from tests.links import BBO, Bench, events, run, until
from tests.logs import Lines
from tests.venue_server import Authority, Peer, serve

FLOORS_S = (0.0, 0.0005, 0.001, 0.002, 0.004)


def race(wins: int, losses: int, *lags: int) -> Race:
    return Race(wins, losses, (*lags, *[0] * (len(FLOORS_S) - len(lags))))


# --------------------------------------------------------------------------- the judge


@pytest.mark.parametrize(
    ("seen", "pace"),
    [
        (race(0, 99, 99), None),
        (race(99, 1, 1), 0.0),
        (race(50, 50, 0, 0, 0, 0, 50), 0.0),
        (race(49, 51, 0, 0, 0, 0, 51), 0.004),
        (race(0, 100, 20, 20, 20, 40), 0.001),
        (race(10, 90, 0, 0, 0, 10), math.inf),
    ],
)
def test_a_pace_is_the_median_lag_of_all_that_was_brought(seen: Race, pace: float | None) -> None:
    assert seen.pace_s(FLOORS_S) == pace


@dataclass
class Runner:
    """Brings a hundred updates in each window, late by the step `late`; 0: it wins."""

    name: str
    late: int = 0
    born: float = 0.001
    seen: Race = field(default_factory=lambda: race(0, 0))
    dialled: list[float] = field(default_factory=list)
    now: float = 0.0

    def race(self) -> Race:
        lags = list(self.seen.lags)
        lags[self.late] += LEAST_UPDATES if self.late else 0
        won = 0 if self.late else LEAST_UPDATES
        self.seen = Race(self.seen.wins + won, self.seen.losses + LEAST_UPDATES - won, tuple(lags))
        return self.seen

    def settled_since_ns(self) -> int:
        return int(self.born * 1e9)

    def redial(self, reason: str) -> None:
        self.dialled.append(self.now)
        self.born = self.now
        self.reason = reason


def play(runners: list[Runner], seconds: int, persist_s: float = 30.0, *, turns: Turns | None = None) -> None:
    turns = turns or Turns(0.0)
    judge = Slowest(runners, persist_s, FLOORS_S, turns.take)
    for second in range(seconds):
        for runner in runners:
            runner.now = float(second)
        judge.tick(float(second))


def test_the_slowest_for_three_windows_is_dialled_anew_and_no_other() -> None:
    fast, slow, middle = Runner("fast"), Runner("slow", 4), Runner("middle", 2)
    play([fast, slow, middle], 100)
    # Windows of ten seconds. In the first it has not been up throughout; three follow; then it is too young for thirty seconds.
    assert slow.dialled == [40.0, 70.0]
    assert slow.reason == "it has been the slowest for 30 s: 4 ms behind the first"
    assert (fast.dialled, middle.dialled) == ([], [])


def test_one_that_is_slow_now_and_then_is_left_alone() -> None:
    fast, slow = Runner("fast"), Runner("slow", 4)
    judge = Slowest([fast, slow], 30.0, FLOORS_S, lambda now: True)
    for second in range(300):
        slow.late = 4 if second // 10 % 3 else 0
        judge.tick(float(second))
    assert slow.dialled == []


def test_two_that_are_slow_by_turns_are_left_alone() -> None:
    runners = [Runner("fast"), Runner("one"), Runner("other")]
    judge = Slowest(runners, 30.0, FLOORS_S, lambda now: True)
    for second in range(300):
        runners[1].late, runners[2].late = (4, 0) if second // 10 % 2 else (0, 4)
        judge.tick(float(second))
    assert [runner.dialled for runner in runners] == [[], [], []]


def test_the_last_healthy_one_and_a_clear_winner_are_never_reset() -> None:
    alone = Runner("alone", 4)
    play([alone, Runner("down", 0, born=0.0)], 300)
    assert alone.dialled == []
    even, level = Runner("even", 1), Runner("level", 2)
    play([even, level], 300)
    assert level.dialled == [], "half a millisecond is no reason"


def test_not_while_it_is_not_its_turn() -> None:
    fast, slow = Runner("fast"), Runner("slow", 4)
    play([fast, slow], 300, turns=Turns(120.0))
    assert slow.dialled == [40.0, 160.0, 280.0]


# --------------------------------------------------------------------------- connections


def test_a_delayed_sibling_is_dialled_anew_until_it_is_fast(bench: Bench, tls: Authority, lines: Lines) -> None:
    """Two connections at some hundred updates a second. The first link of the second one is 30 ms late; what takes over from it is not."""

    async def main() -> None:
        queues: list[tuple[Peer, list[tuple[float, str]]]] = []

        async def script(peer: Peer) -> None:
            await peer.handshake()
            queues.append((peer, []))
            await peer.listen()

        def late(peer: Peer) -> float:
            return 0.03 if any(peer is second for second in server.peers[1:2]) else 0.0

        async def market() -> None:
            number = 0
            while True:
                number += 1
                now = time.monotonic()
                for peer, queue in reversed(queues):
                    queue.append((now + late(peer), BBO.format(number)))
                    while queue and queue[0][0] <= now and not peer.gone.is_set():
                        peer.send(queue.pop(0)[1])
                await asyncio.sleep(0.002)

        async with serve(tls.server(), script) as server:
            lib, ffi = bench.native.lib, bench.native.ffi
            streams = session.streams(bench.venue.product, bench.venue.messages, ["bbo"], ("FOOBAR",))
            (plan,) = session.plans(bench.venue.product, streams)
            plan = Plan(session.replace_host(plan.url, f"wss://127.0.0.1:{server.port}"), plan.by_url, plan.by_message, plan.symbol)
            core = Core(lib, ffi, bench.feed, lib.k4_product_find(b"binance", b"spot"))
            shared = Shared(bench.tls, Resolver(), Dials(()), logs.logger(), Clock(), turns=Turns(TURN_S))
            connections = [Connection(core, bench.venue, plan, shared, name=f"one#{n}", index=n, of=2) for n in range(2)]
            judge = Slowest(connections, 3.0, [lib.k4_lag_floor(n) / 1e9 for n in range(lib.K4_LAG_STEPS)], connections[0].spare)
            playing = asyncio.create_task(market())
            tasks = [asyncio.create_task(connections[0].run())]

            def fast() -> bool:
                """The slow one has been replaced by one that is first now."""
                for connection in connections:
                    connection.tick(time.monotonic_ns())
                judge.tick(time.monotonic())
                races = [connection.race() for connection in connections]
                return bool(events(lines, "replaced the link")) and sum(races[0].lags) > 0 and races[1].wins > 0

            try:
                await until(lambda: len(queues) == 1)
                tasks.append(asyncio.create_task(connections[1].run()))
                await until(fast)
                race = connections[0].race()
                connections[0]._slot()
                assert connections[0].race() == race, "a link that replaces another is the same source: not counted twice"
                assert [connection.links for connection in connections] == [1, 2]
            finally:
                for connection in connections:
                    connection.stop()
                await asyncio.gather(*tasks)
                playing.cancel()
                for connection in connections:
                    connection.close()

    run(main())
    ((reset),) = events(lines, "replacing the link")
    assert reset["connection"] == "one#1"
    assert reset["reason"].startswith("it has been the slowest for 3 s: ")
    assert [line["connection"] for line in events(lines, "replaced the link")] == ["one#1"]
    assert events(lines, "link lost") == []
