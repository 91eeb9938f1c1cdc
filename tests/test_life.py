"""What a link says and when, by a virtual clock: probes, the venue's keepalive, requests at their pace, silence and what it leads to."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import k4
from k4 import session
from k4._codegen import ir
from k4.clock import Clock
from k4.connection import Connection
from k4.link import Link, State
from k4.session import Plan
from k4.watch import Watch
from tests import logs, virtual
from tests.links import BBO, Bench, events, limit
from tests.logs import Lines
from tests.venue_server import CLOSE, PING, PONG, TEXT
from tests.virtual import Peer

TICK_S = 0.1  # as a worker does
HOUR = 3600.0


class Scene:
    """One connection of a bench and the venue's ends of its links, in the order in which they were dialled."""

    connection: Connection

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.loop = virtual.Loop()
        self.peers: list[Peer] = []
        self.accept: Callable[[Link], Peer] = Peer
        self.watch: Watch | None = None
        virtual.install(patch, self.loop, lambda link: self.peers.append(self.accept(link)))

    def play(self, made: Callable[[], Connection], seconds: float, venue: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Connection:
        """For so long, ticked as a worker ticks it. `venue`: what it does meanwhile."""

        async def main() -> Connection:
            connection = self.connection = made()
            connection._shared = replace(connection._shared, clock=Clock(self.loop.clock().time_ns, self.loop.ns))
            running = asyncio.create_task(connection.run())
            while not self.peers:  # noqa: ASYNC110 (a step of the loop)
                await asyncio.sleep(0)
            playing = None if venue is None else asyncio.create_task(venue())
            until = self.loop.time() + seconds
            while self.loop.time() < until:
                connection.tick(self.loop.ns())
                if self.watch is not None:
                    self.watch.tick(self.loop.ns(), self.loop.clock().time_ns())
                await asyncio.sleep(TICK_S)
            connection.stop()
            await running
            if playing is not None and not playing.cancel():
                playing.result()
            connection.close()
            return connection

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            return runner.run(main())

    def by_url(self) -> Connection:
        return self.bench.connection(1)

    def by_message(self, *symbols: str) -> Connection:
        streams = session.streams(self.bench.venue.product, self.bench.venue.messages, ["bbo"], symbols)
        return self.bench.carrying(Plan("wss://127.0.0.1:1/stream", (), streams, ""))


@pytest.fixture
def scene(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(bench, monkeypatch)


def granted(text: bytes) -> bytes:
    return b'{"result":null,"id":%d}' % json.loads(text)["id"]


def quote(symbol: str, number: int) -> bytes:
    return BBO.format(number).replace("FOOBAR", symbol).replace("foobar", symbol.lower()).encode()


# --------------------------------------------------------------------------- probes, keepalive


def test_probes_stay_inside_the_venues_limit(scene: Scene) -> None:
    """Half of one a second, though the link is idle all the time."""
    limit(scene.bench, requests=((2, 2.0),), silence_s=None)
    assert scene.play(scene.by_url, HOUR).links == 1
    (peer,) = scene.peers
    assert set(peer.said(PING)) == {b"k4"}
    between = [later - at for at, later in pairwise(peer.times(PING))]
    assert min(between) > 2.0 - 1e-6
    assert len(between) > HOUR / 2.2


def test_the_venues_keepalive_is_kept_while_data_flows_and_inside_its_limit(scene: Scene) -> None:
    """A link that is never idle: a ping every half second, as the venue asks, though only four messages in a second are allowed and it pings
    itself all the time."""
    limit(scene.bench, requests=((4, 1.0),))
    product = scene.bench.venue.product
    scene.bench.venue.product = replace(product, session=replace(product.session, ping=ir.Ping(send=None, every_s=0.5, line=1)))

    async def venue() -> None:
        for number in itertools.count():
            await asyncio.sleep(0.02)
            scene.peers[0].send(quote("FOOBAR", number))
            if number % 5 == 0:
                scene.peers[0].send(str(number).encode(), PING)

    assert scene.play(scene.by_url, HOUR / 10, venue).links == 1
    (peer,) = scene.peers
    pings, said = peer.times(PING), sorted(peer.times(PING) + peer.times(PONG))
    assert max(later - at for at, later in pairwise(pings)) < 0.75, "every half second, or when there is room again"
    assert min(later - at for at, later in pairwise(pings)) > 0.5 - 1e-6, "and no more often"
    assert min(later - at for at, later in zip(said, said[4:], strict=False)) > 1.0 - 1e-6
    pongs = [int(payload) for payload in peer.said(PONG)]
    assert pongs == sorted(set(pongs))


# --------------------------------------------------------------------------- silence


def watched(scene: Scene, *symbols: str) -> Connection:
    """A connection that subscribes these by message, none of which may be quiet for longer than a second."""
    bench = scene.bench
    connection = scene.by_message(*symbols)
    scene.watch = Watch(bench.native.lib, bench.feed, logs.logger())
    record = bench.native.records.record("bbo")
    assert record is not None
    product = bench.native.lib.k4_product_find(b"binance", b"spot")
    for symbol in symbols:
        instrument = bench.native.lib.k4_feed_instrument(bench.feed, product, record.number, symbol.encode(), len(symbol), b"", b"")
        scene.watch.add(record.number, instrument, ("bbo", symbol), [connection], 0, 1.0)
    return connection


def lasted(scene: Scene) -> float:
    """The first link, until the next one was dialled."""
    return scene.peers[1].dialled - scene.peers[0].dialled


def test_a_link_that_falls_silent_is_replaced_within_two_seconds(scene: Scene, lines: Lines) -> None:
    async def venue() -> None:
        scene.peers[0].pongs = False
        scene.peers[0].send(quote("FOOBAR", 1))

    assert scene.play(scene.by_url, 60.0, venue).links == 2
    assert 1.4 <= lasted(scene) <= 1.6
    assert [line["reason"] for line in events(lines, "link lost")] == ["no answer to a probe for 1 s"]


def test_a_link_without_frames_is_dropped_though_it_answers_probes(scene: Scene, lines: Lines) -> None:
    limit(scene.bench, silence_s=120.0)
    assert scene.play(scene.by_url, 150.0).links == 2
    assert 120.0 <= lasted(scene) <= 120.2
    assert [line["reason"] for line in events(lines, "link lost")] == ["no frame for 120 s"]
    assert scene.peers[0].said(CLOSE) == [(1000).to_bytes(2)]


def test_nothing_is_said_behind_a_close(scene: Scene) -> None:
    """What still comes is read, and may want an answer."""

    async def venue() -> None:
        await asyncio.sleep(0.2)
        link = scene.peers[0].link
        closing = asyncio.create_task(link.close())
        await asyncio.sleep(0)
        assert link.state is State.CLOSING
        link.send_text("late")
        link.send_ping(b"late")
        link.send_pong(b"late")
        await closing

    scene.play(scene.by_url, 0.3, venue)
    assert scene.peers[0].frames[-1][1:] == (CLOSE, (1000).to_bytes(2))


@pytest.mark.parametrize(
    ("said", "answer"), [(None, 1000), (1000, 1000), (1001, 1001), (1003, 1003), (1007, 1007), (1014, 1014), (3000, 3000), (4999, 4999)]
)
def test_a_close_is_answered_by_its_own_code(said: int | None, answer: int, scene: Scene, lines: Lines) -> None:
    async def venue() -> None:
        await asyncio.sleep(0.3)
        scene.peers[0].send(b"" if said is None else said.to_bytes(2) + b"bye", CLOSE)

    scene.play(scene.by_url, 0.5, venue)
    assert scene.peers[0].said(CLOSE) == [answer.to_bytes(2)]
    reason = f"the peer closed the connection: {'1005' if said is None else f'{said} bye'}"
    assert [line["reason"] for line in events(lines, "link lost")] == [reason]


def test_a_quiet_stream_on_a_link_that_lives_is_stale_within_its_limit_and_comes_back(
    scene: Scene, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two streams stops; it is subscribed anew, by message, and the other never notices."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    limit(scene.bench, args=2)
    scene.accept = lambda link: Peer(link, granted)
    stopped: list[float] = []
    seen: list[tuple[float, str, str]] = []  # by a reader: when, and the states of both

    async def venue() -> None:
        (peer,) = scene.peers
        with k4.open("test_bbo") as reader:
            for n in itertools.count(1):
                await asyncio.sleep(0.02)
                peer.send(quote("STAYS", n))
                if n < 25 or len(peer.said(TEXT)) == 3:
                    peer.send(quote("STOPS", n))
                    stopped[:] = stopped or [scene.loop.time()] * (n == 24)
                stays, stops = (symbol.state for symbol in reader.symbols if symbol.symbol != "FOOBAR")
                seen.append((scene.loop.time(), stays, stops))

    connection = scene.play(lambda: watched(scene, "STAYS", "STOPS"), 60.0, venue)
    assert connection.links == 1
    began = next(n for n, (_, _, stops) in enumerate(seen) if stops == "LIVE")
    assert {stays for _, stays, _ in seen[began:]} == {"LIVE"}
    stale = [at for at, _, stops in seen[began:] if stops == "STALE"]
    assert 1.0 <= stale[0] - stopped[0] <= 1.2
    assert stale[-1] - stale[0] < 1.0
    assert [(one["method"], one["params"]) for one in map(json.loads, scene.peers[0].said(TEXT))] == [
        ("SUBSCRIBE", ["stays@bookTicker", "stops@bookTicker"]),
        ("UNSUBSCRIBE", ["stops@bookTicker"]),
        ("SUBSCRIBE", ["stops@bookTicker"]),
    ]
    (told,) = events(lines, "stuck on this connection, subscribed anew")
    assert (told["streams"], told["connection"]) == ("STOPS bbo", "one#0")


def test_where_no_message_ends_a_stream_a_stuck_one_gets_another_link(scene: Scene, lines: Lines) -> None:
    bench = scene.bench
    limit(bench, args=2)
    bench.venue.product = replace(bench.venue.product, session=replace(bench.venue.product.session, unsubscribe=None))

    async def venue() -> None:
        for n in itertools.count(1):
            await asyncio.sleep(0.02)
            for peer in scene.peers:
                if peer.link.state is State.OPEN:
                    peer.send(quote("STAYS", n))
                    if n < 25 or peer is not scene.peers[0]:
                        peer.send(quote("STOPS", n))

    connection = scene.play(lambda: watched(scene, "STAYS", "STOPS"), 60.0, venue)
    assert (connection.links, connection.renewed) == (2, 1)
    (told,) = events(lines, "replacing the link")
    assert told["reason"] == "STOPS bbo is stuck, and only a new link subscribes it anew"
    assert len(events(lines, "replaced the link")) == 1
    assert len(events(lines, "stuck on this connection, subscribed anew")) == 1


# --------------------------------------------------------------------------- requests


def test_requests_are_paced_and_answers_matched(scene: Scene, lines: Lines) -> None:
    limit(scene.bench, args=2, requests=((5, 1.0),))
    refused: list[frozenset[tuple[str, str]]] = []

    def answer(text: bytes) -> bytes:
        request = json.loads(text)
        if "s3@bookTicker" in request["params"]:
            return b'{"code":2,"msg":"Invalid request: unknown stream","id":%d}' % request["id"]
        return granted(text)

    async def venue() -> None:
        await asyncio.sleep(8.0)
        refused.append(scene.connection.refused)

    scene.accept = lambda link: Peer(link, answer)
    scene.play(lambda: scene.by_message(*(f"S{n}" for n in range(10))), 10.0, venue)
    assert refused == [{("bbo", "S3")}]
    (peer,) = scene.peers
    pairs = [[f"s{2 * n}@bookTicker", f"s{2 * n + 1}@bookTicker"] for n in range(5)]
    asked = [*pairs, ["s2@bookTicker"], ["s3@bookTicker"]]
    assert [json.loads(text) for text in peer.said(TEXT)] == [
        {"method": "SUBSCRIBE", "params": names, "id": n + 1} for n, names in enumerate(asked)
    ]
    # Two of five are kept for pongs and probes, so the fourth request waits for the window to move on.
    at = [time - peer.dialled for time in peer.times(TEXT)]
    assert at[:3] == [0.0] * 3
    assert at[3] == pytest.approx(1.0, abs=TICK_S)
    said = sorted(at for at, _, _ in peer.frames)
    assert min(later - at for at, later in zip(said, said[5:], strict=False)) > 1.0 - 1e-6
    assert [
        (line["level"], line["code"], line.get("streams"), line.get("asked_again")) for line in events(lines, "the venue reports an error")
    ] == [
        ("info", "2", None, "S2 bbo, S3 bbo"),
        ("error", "2", "S3 bbo", None),
    ]


def test_subscriptions_have_a_pace_of_their_own(scene: Scene) -> None:
    limit(scene.bench, args=1, requests=(), subscribes=((2, 10.0),))
    scene.accept = lambda link: Peer(link, granted)
    scene.play(lambda: scene.by_message(*(f"S{n}" for n in range(5))), 25.0)
    (peer,) = scene.peers
    assert [json.loads(text)["params"] for text in peer.said(TEXT)] == [[f"s{n}@bookTicker"] for n in range(5)]
    at = [time - peer.dialled for time in peer.times(TEXT)]
    assert at == [0.0, 0.0, *(pytest.approx(10.0 * n, abs=2 * TICK_S) for n in (1, 1, 2))]
    assert at[2] >= 10.0
    assert at[4] >= at[2] + 10.0


def test_a_plan_that_changes_while_its_link_is_dialled_is_carried(scene: Scene) -> None:
    def accept(link: Link) -> Peer:
        streams = session.streams(scene.bench.venue.product, scene.bench.venue.messages, ["bbo"], ["S1", "S2"])
        scene.connection.change(Plan("wss://127.0.0.1:1/stream", (), streams, ""))
        return Peer(link, granted)

    scene.accept = accept
    scene.play(lambda: scene.by_message("S0", "S1"), 3.0)
    (peer,) = scene.peers
    asked = [json.loads(text) for text in peer.said(TEXT)]
    assert [(request["method"], request["params"]) for request in asked] == [
        ("SUBSCRIBE", ["s0@bookTicker", "s1@bookTicker"]),
        ("UNSUBSCRIBE", ["s0@bookTicker"]),
        ("SUBSCRIBE", ["s2@bookTicker"]),
    ]
