"""Links that grow old, over two days of a virtual clock: each is replaced ahead of the venue's limit, never two at a time, and no update
is missed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from k4 import session
from k4.backoff import Turns
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.life import TURN_S, Core, Shared
from k4.link import Link, Resolver, State
from k4.native import Native
from k4.venue import Venue
from tests import logs, virtual
from tests.venue_server import frame

BBO = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'
HOUR = 3600.0
STEP_S = 2.0
DAY = 24 * HOUR


class Day:
    """Connections of one group on a virtual clock, against a venue that cuts a link after 24 hours. `places`: index and of, of each."""

    def __init__(self, native: Native, loop: virtual.Loop, places: list[tuple[int, int]], dials: Dials) -> None:
        lib, ffi = native.lib, native.ffi
        self.loop = loop
        self.native = native
        self.up: dict[Link, float] = {}  # since when
        self.sent = 0
        self.feed = lib.k4_feed_open()
        sizes = {"ring_slots": 1024, "symbol_capacity": 16, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
        number = native.records.record("bbo").number  # type: ignore[union-attr]
        assert lib.k4_feed_segment(self.feed, number, b"day_bbo", ffi.new("k4_segment_options *", sizes), ffi.new("char[256]"), 256) == 0
        product = lib.k4_product_find(b"binance", b"spot")
        assert lib.k4_feed_instrument(self.feed, product, number, b"FOOBAR", 6, b"", b"") == 0
        venue = Venue(native.exchanges["binance"], "spot", native.records)
        (plan,) = session.plans(venue.product, session.streams(venue.product, venue.messages, ["bbo"], ("FOOBAR",)))
        clock = Clock(loop.clock().time_ns, loop.ns)
        tls, turns = ssl.create_default_context(), Turns(TURN_S)
        shared = Shared(tls, Resolver(), dials, logs.logger(), clock, turns=turns)
        core = Core(lib, ffi, self.feed, product)
        self.connections = [Connection(core, venue, plan, shared, name=f"c#{n}", index=i, of=of) for n, (i, of) in enumerate(places)]

    def serve(self, link: Link) -> None:
        virtual.accept(link)
        self.up[link] = self.loop.time()

    async def run(self, seconds: float, each: Callable[[float], None]) -> None:
        """`each` is called at every step with the hours since the beginning."""
        began = self.loop.time()
        tasks = [asyncio.create_task(connection.run()) for connection in self.connections]
        await asyncio.sleep(1.0)
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            self.sent += 1
            data = frame(BBO.format(self.sent).encode())
            self.up = {link: since for link, since in self.up.items() if link.state is State.OPEN}
            for link, since in list(self.up.items()):
                virtual.give(link, data)
                if self.loop.time() - since >= DAY:
                    virtual.hang_up(link)
            for connection in self.connections:
                connection.tick(self.loop.ns())
            each((self.loop.time() - began) / HOUR)
            await asyncio.sleep(STEP_S)
        for connection in self.connections:
            connection.stop()
        await asyncio.gather(*tasks)


def run(
    native: Native,
    folder: Path,
    patch: pytest.MonkeyPatch,
    places: list[tuple[int, int]],
    seconds: float,
    dials: Dials | None = None,
    each: Callable[[float], None] = lambda hours: None,
) -> tuple[Day, list[tuple[float, dict[str, Any]]], dict[str, int]]:
    """Runs it; gives also what was logged, with hours since the beginning, and the sums of the C counters."""
    loop = virtual.Loop()
    native.lib.k4_shm_dir_set(str(folder).encode())
    made: Day | None = None
    told: list[tuple[float, dict[str, Any]]] = []
    totals: dict[str, int] = {}

    async def main() -> None:
        nonlocal made
        made = Day(native, loop, places, dials or Dials(()))
        virtual.install(patch, loop, made.serve)

        def step(hours: float) -> None:
            told.extend((hours, line) for line in lines[len(told) :])
            each(hours)

        await made.run(seconds, step)

    try:
        with logs.captured() as lines, asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())
        assert made is not None
        for connection in made.connections:
            for name, count in connection.stats().items():
                totals[name] = totals.get(name, 0) + count
    finally:
        if made is not None:
            for connection in made.connections:
                connection.close()
            native.lib.k4_feed_close(made.feed)
        native.lib.k4_shm_dir_set(b"")
    return made, told, totals


def test_two_days_of_two_siblings_in_two_parts(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of a fifth connection that grows old together with the first."""
    places = [(0, 4), (1, 4), (2, 4), (3, 4), (0, 4)]
    made, told, totals = run(native, tmp_path, monkeypatch, places, 48 * HOUR)
    rotated = [(line["connection"], round(hours, 2)) for hours, line in told if line["event"] == "replacing the link"]
    assert rotated == [
        ("c#3", 14.70),
        ("c#2", 17.40),
        ("c#1", 20.10),
        ("c#0", 22.80),
        ("c#4", 22.82),
        ("c#3", 29.40),
        ("c#2", 34.80),
        ("c#1", 40.20),
        ("c#3", 44.10),
        ("c#0", 45.60),
        ("c#4", 45.62),
    ]
    times = [hours * HOUR for hours, line in told if line["event"] == "replacing the link"]
    assert min(b - a for a, b in pairwise(times)) >= TURN_S
    done = [hours * HOUR for hours, line in told if line["event"] == "replaced the link"]
    assert max(b - a for a, b in zip(times, done, strict=True)) < 10, "one is done before the next begins"
    assert {line["event"] for _, line in told} == {"connected", "replacing the link", "replaced the link"}
    assert all(line["proven"] for _, line in told if line["event"] == "replaced the link")
    assert made.sent == 48 * HOUR / STEP_S
    assert totals["wins"] == made.sent, "every update was published, once"


def test_while_dials_are_scarce_what_can_wait_waits(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dials of five minutes are more than half used up by others when a link reaches its age; it is replaced when they are not."""
    dials = Dials(((10, 300.0),))

    last = 0.0

    def busy(hours: float) -> None:
        """Others take five of the seven dials that are for everybody."""
        nonlocal last
        if 22.0 <= hours < 23.0 and hours - last >= 60 / HOUR:
            last = hours
            assert dials.reserve(1000.0 + hours * HOUR) == 0.0

    _, told, totals = run(native, tmp_path, monkeypatch, [(0, 1)], 25 * HOUR, dials, busy)
    ((hours, _),) = [(hours, line) for hours, line in told if line["event"] == "replacing the link"]
    assert 23.0 < hours < 23.0 + 300 / HOUR + 0.01
    assert totals["wins"] == 25 * HOUR / STEP_S


def test_a_link_at_the_venues_limit_is_replaced_whatever_dials_are_left(
    native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dials = Dials(((10, 300.0),))
    monkeypatch.setattr(dials, "spare", lambda now: False)
    _, told, totals = run(native, tmp_path, monkeypatch, [(0, 1)], 25 * HOUR, dials)
    ((hours, _),) = [(hours, line) for hours, line in told if line["event"] == "replacing the link"]
    assert hours == pytest.approx(0.98 * 24, abs=0.01)
    assert not [line for _, line in told if line["event"] == "link lost"]
    assert totals["wins"] == 25 * HOUR / STEP_S
