"""A connection at work against a small venue on loopback: frames reach C, broken peers, pings, silence, replacement, subscription."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from k4 import session
from k4.connection import Connection
from k4.session import Plan
from tests.links import BBO, Bench, events, run, running, until
from tests.logs import Lines
from tests.venue_server import CLOSE, PING, PONG, Authority, Peer, frame, quiet, serve

NOTICE = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000325}}'


def test_frames_reach_c_from_the_first_byte_on(bench: Bench, tls: Authority, lines: Lines) -> None:
    """Frames that come in one piece with the handshake response, cut anywhere, and large ones."""

    async def script(peer: Peer) -> None:
        first = frame(BBO.format(1).encode()) + frame(BBO.format(2).encode())
        await peer.handshake(first[:-7])
        peer.send_raw(first[-7:])
        for id_ in range(3, 2003):
            peer.send(BBO.format(id_))
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 2002)
                assert connection.stats()["wins"] == 2002
                assert connection.stats()["refused"] == 0
                assert connection.healthy_since_ns > 0
            (peer,) = server.peers
            assert peer.target == "/stream?streams=foobar@bookTicker"
            assert peer.headers["host"] == f"127.0.0.1:{server.port}"
            assert "sec-websocket-extensions" not in peer.headers
            assert [payload[:2] for payload in peer.said(CLOSE)] == [b"\x03\xe8"]

    run(main())
    assert [line["event"] for line in lines] == ["connected"]


# --------------------------------------------------------------------------- a peer that misbehaves

BROKEN = [
    (frame(b"x", first=0xC1), 1002),  # reserved bit
    (frame(b"x", first=0x83), 1002),  # opcode 3
    (b"\x81\x81\x00\x00\x00\x00x", 1002),  # a server must not mask
    (frame(b"x" * 126, PING), 1002),  # control frame too long
    (frame(b"x", first=0x80), 1002),  # continuation of nothing
    (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 1009),  # larger than any message
    (frame(b"\xc3\x28"), 1007),  # no UTF-8
]


@pytest.mark.parametrize(("data", "code"), BROKEN, ids=[f"{data[:4].hex()}-{code}" for data, code in BROKEN])
def test_a_broken_peer_costs_its_connection_only(data: bytes, code: int, bench: Bench, tls: Authority, lines: Lines) -> None:
    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake()
        if len(server.peers) == 1:
            peer.send_raw(data)
        else:
            peer.send(BBO.format(7))
        await peer.listen()

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 1)
                await until(server.peers[0].gone.is_set)
            assert [payload[:2] for payload in server.peers[0].said(CLOSE)] == [code.to_bytes(2, "big")]

    run(main())
    (lost,) = events(lines, "link lost")
    assert lost["reason"].startswith("the peer broke the protocol: ")


def test_the_peers_close_is_answered_and_named(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        peer.send_raw(frame(b"\x03\xf1going away for a while", CLOSE))
        peer.close_back = False
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: len(server.peers) >= 2 and server.peers[0].gone.is_set())
            assert server.peers[0].said(CLOSE) == [b"\x03\xf1"]

    run(main())
    assert events(lines, "link lost")[0]["reason"] == "the peer closed the connection: 1009 going away for a while"


def test_only_the_newest_ping_is_answered_and_within_the_venues_limit(bench: Bench, tls: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        for n in range(3000):
            peer.send_raw(frame(str(n).encode(), PING))
            if n % 100 == 0:
                await peer.writer.drain()
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port, requests=((5, 1.0),))
            began = time.monotonic()
            async with running(connection):
                await until(lambda: server.peers and b"2999" in server.peers[0].said(PONG))
            pongs = [int(payload) for payload in server.peers[0].said(PONG)]
            assert len(pongs) <= 5 * (time.monotonic() - began + 1), "five in any second"
            assert pongs == sorted(set(pongs))

    run(main())


# --------------------------------------------------------------------------- replacement


def test_a_shutdown_notice_brings_a_new_link_before_the_old_one_goes(
    bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k4.connection.PROVEN_S", 60.0)
    ids = iter(range(1, 1_000_000))

    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake()
        listening = asyncio.ensure_future(peer.listen())
        while peer is not server.peers[0] and overlap.count(2) <= 20:  # noqa: ASYNC110 (a count)
            await asyncio.sleep(0.01)  # the new link takes its time to bring data
        for n in range(400):
            if peer.gone.is_set():
                break
            peer.send(BBO.format(next(ids)))
            if n == 5 and peer is server.peers[0]:
                peer.send(NOTICE)
            overlap.append(sum(not other.gone.is_set() for other in server.peers))
            await asyncio.sleep(0.01)
        await listening

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: events(lines, "replaced the link"))
                since = connection.healthy_since_ns
                assert connection.links == 2
                await until(lambda: server.peers[0].said(CLOSE))
                assert server.peers[0].said(CLOSE)[0][:2] == b"\x03\xe8"
                count = connection.stats()["records"]
                await until(lambda: connection.stats()["records"] > count + 5)
                assert connection.healthy_since_ns == since, "it was never down"

    overlap: list[int] = []
    run(main())
    assert overlap.count(2) > 20
    assert events(lines, "replacing the link")[0]["reason"] == "the venue announced that it will close it"
    assert events(lines, "replaced the link")[0]["proven"] is True
    assert events(lines, "link lost") == []


def test_a_link_is_replaced_before_the_venue_ends_it(bench: Bench, tls: Authority, lines: Lines) -> None:
    server: Any = None

    async def script(peer: Peer) -> None:
        await peer.handshake(frame(BBO.format(len(server.peers)).encode()))
        await peer.listen()

    async def main() -> None:
        nonlocal server
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port, age_s=1.0)
            async with running(connection):
                await until(lambda: events(lines, "replaced the link"))

    run(main())
    assert events(lines, "replacing the link")[0]["reason"] == "it is 0.95 s old"


# --------------------------------------------------------------------------- subscription by message


def by_message(bench: Bench, port: int, count: int) -> Connection:
    streams = session.streams(bench.venue.product, bench.venue.messages, ["bbo"], [f"S{n}" for n in range(count)])
    return bench.carrying(Plan(f"wss://127.0.0.1:{port}/stream", (), streams, ""))


def test_unanswered_requests_are_named(bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k4.subscription.ANSWER_S", 0.3)

    async def main() -> None:
        async with serve(tls.server(), quiet) as server:
            connection = by_message(bench, server.port, 3)
            async with running(connection):
                await until(lambda: events(lines, "subscription not answered"))

    run(main())
    assert events(lines, "subscription not answered")[0]["streams"] == "S0 bbo, S1 bbo, S2 bbo"


def test_frames_that_mean_nothing_are_shown_once(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        for _ in range(3):
            peer.send('{"stream":"foobar@kline_1m","data":{"k":1}}')
            peer.send(BBO.format(1).replace("25.35", "x"))
        peer.send(BBO.format(2))
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = bench.connection(server.port)
            async with running(connection):
                await until(lambda: connection.stats()["records"] == 1)
                assert connection.stats()["refused"] == 3

    run(main())
    assert [line["frame"] for line in events(lines, "the spec has no message for a frame")] == [
        '{"stream":"foobar@kline_1m","data":{"k":1}}'
    ]
    (refused,) = events(lines, "refused")
    assert (refused["kind"], refused["code"], refused["offset"]) == ("bbo", "type", BBO.format(1).index('"25.35"'))
