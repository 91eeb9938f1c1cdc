"""The reconnect storm of `k4.sim.faults`: a venue that accepts and closes, over hours of a virtual clock.

What must hold: waits are jittered over their whole range and bounded, the dials of all connections to a host stay inside the venue's
limit, and only a minute of good data makes a connection forget that it had failed.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from k4 import session
from k4.backoff import LAST_S
from k4.clock import Clock
from k4.connection import LONELY_S, Connection
from k4.dials import LONELY_SHARE, SHARE, Dials
from k4.life import Core, Shared
from k4.link import Link, LinkError, Resolver, State
from k4.native import Native
from k4.venue import Venue
from tests import logs, virtual
from tests.venue_server import frame

RECORD = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'
HOUR = 3600.0
WINDOW_S, DIALS = 300.0, 300


class Storm:
    """Connections of one group to one host, all on a virtual clock. `dials`: when each was made, of whom."""

    def __init__(self, native: Native, loop: virtual.Loop, count: int, serve: Callable[[Link], None], dials: Dials) -> None:
        lib, ffi = native.lib, native.ffi
        self.loop = loop
        self.native = native
        self.dials: list[tuple[float, str]] = []
        self.feed = lib.k4_feed_open()
        sizes = {"ring_slots": 1024, "symbol_capacity": 16, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
        error = ffi.new("char[256]")
        number = native.records.record("bbo").number  # type: ignore[union-attr]
        assert lib.k4_feed_segment(self.feed, number, b"storm_bbo", ffi.new("k4_segment_options *", sizes), error, 256) == 0
        product = lib.k4_product_find(b"binance", b"spot")
        assert lib.k4_feed_instrument(self.feed, product, number, b"FOOBAR", 6, b"", b"") == 0
        venue = Venue(native.exchanges["binance"], "spot", native.records)
        (plan,) = session.plans(venue.product, session.streams(venue.product, venue.messages, ["bbo"], ("FOOBAR",)))
        clock = Clock(loop.clock().time_ns, loop.ns)
        shared = Shared(ssl.create_default_context(), Resolver(), dials, logs.logger(), clock)
        core = Core(lib, ffi, self.feed, product)
        self.connections = [Connection(core, venue, plan, shared, name=f"c#{n}", index=n, of=count) for n in range(count)]
        self._serve = serve

    def served(self, link: Link) -> None:
        """One dial."""
        owner = next(c.name for c in self.connections if any(life.link is link for life in c._lives))
        self.dials.append((self.loop.time(), owner))
        self._serve(link)

    async def run(self, seconds: float) -> None:
        tasks = [asyncio.create_task(connection.run()) for connection in self.connections]
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            await asyncio.sleep(1.0)
            for connection in self.connections:
                connection.tick(self.loop.ns())
        for connection in self.connections:
            connection.stop()
        await asyncio.gather(*tasks)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.native.lib.k4_feed_close(self.feed)


def storm(
    native: Native,
    folder: Path,
    patch: pytest.MonkeyPatch,
    serve: Callable[[virtual.Loop], Callable[[Link], None]],
    *,
    count: int,
    dials: Dials,
    seconds: float,
) -> tuple[Storm, list[Any]]:
    """Runs it; gives also what was logged."""
    loop = virtual.Loop()
    native.lib.k4_shm_dir_set(str(folder).encode())
    made: Storm | None = None

    async def main() -> Storm:
        nonlocal made
        made = Storm(native, loop, count, serve(loop), dials)
        virtual.install(patch, loop, made.served)
        await made.run(seconds)
        return made

    try:
        with logs.captured() as lines, asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())
    finally:
        if made is not None:
            made.close()
        native.lib.k4_shm_dir_set(b"")
    assert made is not None
    return made, list(lines)


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same jitter in every run."""
    generator = random.Random(7)
    monkeypatch.setattr("k4.backoff.random.Random", lambda: generator)


def accepts_then_closes(loop: virtual.Loop) -> Callable[[Link], None]:
    def serve(link: Link) -> None:
        virtual.accept(link, frame(RECORD.format(int(loop.time())).encode()))
        loop.call_later(0.05, virtual.hang_up, link)

    return serve


def refuses(loop: virtual.Loop) -> Callable[[Link], None]:
    def serve(link: Link) -> None:
        raise LinkError(f"refused at {loop.time()}")

    return serve


def waits(times: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(times)]


@pytest.mark.parametrize("serve", [accepts_then_closes, refuses])
def test_one_connection_is_patient_and_never_in_step(
    serve: Callable[[virtual.Loop], Callable[[Link], None]], native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of it: the first tries come quickly, then one in 15 s on average, anywhere between at once and half a minute."""
    made, lines = storm(native, tmp_path, monkeypatch, serve, count=1, dials=Dials(()), seconds=HOUR)
    times = [at for at, _ in made.dials]
    assert 200 < len(times) < 300
    between = waits(times)
    assert sum(between[:4]) < 0.25 + 0.5 + 1 + 2 + 0.3
    late = between[10:]
    assert max(late) < LAST_S + 0.2
    assert max(late) > 0.9 * LAST_S
    assert min(late) < 0.1 * LAST_S
    assert 0.4 * LAST_S < sum(late) / len(late) < 0.6 * LAST_S
    assert len([line for line in lines if line["level"] == "warning"]) == len(times), "each is named once"


def test_many_connections_stay_inside_the_hosts_limit(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty connections want to dial far more often than the venue allows: 70 % of its 300 in any five minutes, not one more."""
    dials = Dials(((DIALS, WINDOW_S),))
    made, _ = storm(native, tmp_path, monkeypatch, accepts_then_closes, count=40, dials=dials, seconds=HOUR)
    times = [at for at, _ in made.dials]
    most = max(n + 1 - bisect_left(times, at - WINDOW_S + 1e-6) for n, at in enumerate(times))
    assert most == int(DIALS * SHARE)
    per_connection = [sum(owner == name for _, owner in made.dials) for name in {owner for _, owner in made.dials}]
    assert len(per_connection) == 40
    assert min(per_connection) > 20, "nobody is starved"


@pytest.mark.parametrize(("count", "dialled", "most"), [(1, 1452, 135), (2, 2885, 255), (40, 12 * 255, 255)])
def test_a_group_with_nothing_left_is_back_within_seconds(
    count: int, dialled: int, most: int, native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of accept-then-close for connections that are all a group has: never more than 85 % of the venue's dials in five minutes, and
    as soon as links live, somebody dials. `dialled` in the hour; `most` in any five minutes."""
    opened: list[float] = []

    def closes_for_an_hour(loop: virtual.Loop) -> Callable[[Link], None]:
        began = loop.time()

        def serve(link: Link) -> None:
            virtual.accept(link, frame(RECORD.format(int(loop.time())).encode()))
            if loop.time() - began < HOUR:
                loop.call_later(0.05, virtual.hang_up, link)
            else:
                opened.append(loop.time() - began - HOUR)
                keep(link)

        def keep(link: Link) -> None:
            if link.state is State.OPEN:
                virtual.give(link, frame(RECORD.format(int(loop.time())).encode()))
                loop.call_later(0.3, keep, link)

        return serve

    dials = Dials(((DIALS, WINDOW_S),), lonely=lambda: not opened)
    made, _ = storm(native, tmp_path, monkeypatch, closes_for_an_hour, count=count, dials=dials, seconds=HOUR + 60)
    times = [at for at, _ in made.dials][: -len(opened)]
    assert len(times) == dialled
    assert max(n + 1 - bisect_left(times, at - WINDOW_S + 1e-6) for n, at in enumerate(times)) == most <= int(DIALS * LONELY_SHARE)
    assert opened[0] < LONELY_S
    assert len(opened) >= min(count, 30), "the others follow"


@pytest.mark.parametrize(("good_s", "forgets"), [(50.0, False), (70.0, True)])
def test_only_a_minute_of_good_data_is_a_new_beginning(
    good_s: float, forgets: bool, native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links that give data for a while and end: dialled at once after a good minute, with growing patience after less."""

    def lives_for_a_while(loop: virtual.Loop) -> Callable[[Link], None]:
        def tell(link: Link, left: float) -> None:
            if link.state is State.LOST:
                return
            if left <= 0:
                virtual.hang_up(link)
                return
            virtual.give(link, frame(RECORD.format(int(loop.time() * 10)).encode()))
            loop.call_later(0.4, tell, link, left - 0.4)

        def serve(link: Link) -> None:
            virtual.accept(link)
            tell(link, good_s)

        return serve

    made, lines = storm(native, tmp_path, monkeypatch, lives_for_a_while, count=1, dials=Dials(()), seconds=HOUR)
    assert {line["reason"] for line in lines if line["event"] == "link lost"} == {"the peer closed the connection"}
    pauses = [wait - good_s for wait in waits([at for at, _ in made.dials])]
    assert len(pauses) > 30
    assert min(pauses) > -0.1
    if forgets:
        assert max(pauses) < 0.25 + 0.5
    else:
        assert max(pauses[10:]) > 20
