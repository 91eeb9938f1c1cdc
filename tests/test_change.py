"""What a connection carries is changed while it is up: by message where the venue has one, by another link where it has not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k4 import session
from k4.session import Plan, Stream
from tests.links import Bench, events, limit, run, running, until
from tests.logs import Lines
from tests.theatre import everything
from tests.venue_server import TEXT, Authority, Peer, serve


def streams(bench: Bench, symbols: Sequence[str]) -> tuple[Stream, ...]:
    return session.streams(bench.venue.product, bench.venue.messages, ["bbo"], symbols)


def by_message(bench: Bench, port: int, *symbols: str) -> Plan:
    return Plan(f"wss://127.0.0.1:{port}/stream", (), streams(bench, symbols), "")


def by_url(bench: Bench, port: int, *symbols: str) -> Plan:
    (plan,) = session.plans(bench.venue.product, streams(bench, symbols))
    return replace(plan, url=session.replace_host(plan.url, f"wss://127.0.0.1:{port}"))


def asked(peer: Peer) -> list[tuple[str, list[str]]]:
    said = [json.loads(raw) for raw in peer.said(TEXT)]
    return [(one["method"], [name.partition("@")[0] for name in one["params"]]) for one in said]


class Market:
    """Quotes of several symbols, one after the other, to every peer that has subscribed them; each peer also lags by its number."""

    def __init__(self, bench: Bench, *symbols: str) -> None:
        self.symbols = symbols
        self.sent = 0
        self.told: dict[str, list[int]] = {symbol: [] for symbol in symbols}
        record = bench.native.records.record("bbo")
        assert record is not None
        product = bench.native.lib.k4_product_find(b"binance", b"spot")
        for symbol in symbols:
            assert bench.native.lib.k4_feed_instrument(bench.feed, product, record.number, symbol.encode(), len(symbol), b"", b"") >= 0

    async def play(self, peers: list[Peer]) -> None:
        while True:
            await asyncio.sleep(0.004)
            self.sent += 1
            for symbol in self.symbols:
                text = (
                    f'{{"stream":"{symbol.lower()}@bookTicker","data":'
                    f'{{"u":{self.sent},"s":"{symbol}","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'
                )
                heard = [peer for peer in peers if peer.target and not peer.gone.is_set() and symbol in carried(peer)]
                for peer in heard:
                    peer.send(text)
                if heard:
                    self.told[symbol].append(self.sent)


def carried(peer: Peer) -> set[str]:
    """What a peer has asked for, by its URL and by message."""
    named = {name.partition("@")[0].upper() for name in peer.target.partition("streams=")[2].split("/") if name}
    for method, names in asked(peer):
        named = named | {name.upper() for name in names} if method == "SUBSCRIBE" else named - {name.upper() for name in names}
    return named


async def acks(peer: Peer) -> None:
    await peer.handshake()
    listening = asyncio.ensure_future(peer.listen())
    answered = 0
    while not peer.gone.is_set():
        requests = peer.said(TEXT)
        for raw in requests[answered:]:
            peer.send(f'{{"result":null,"id":{json.loads(raw)["id"]}}}')
        answered = len(requests)
        await asyncio.sleep(0.005)
    await listening


def published() -> dict[str, list[int]]:
    """Of every symbol the update ids in the ring, in order."""
    found: dict[str, list[int]] = {}
    for values in everything("test_bbo"):
        found.setdefault(values["symbol"], []).append(values["update_id"])
    return found


def test_streams_are_added_and_removed_on_the_open_link(bench: Bench, tls: Authority, lines: Lines) -> None:
    async def main() -> None:
        limit(bench, args=2, requests=((5, 1.0),))
        async with serve(tls.server(), acks) as server:
            connection = bench.carrying(by_message(bench, server.port, "A", "B", "C"))
            async with running(connection):
                await until(lambda: server.peers and len(asked(server.peers[0])) == 2)
                connection.change(by_message(bench, server.port, "C", "D", "E", "F"))
                await until(lambda: len(asked(server.peers[0])) == 5)
                await until(lambda: connection._lives[0].asked)
                assert connection.links == 1
            assert asked(server.peers[0]) == [
                ("SUBSCRIBE", ["a", "b"]),
                ("SUBSCRIBE", ["c"]),
                ("UNSUBSCRIBE", ["a", "b"]),
                ("SUBSCRIBE", ["d", "e"]),
                ("SUBSCRIBE", ["f"]),
            ]
            assert [json.loads(raw)["id"] for raw in server.peers[0].said(TEXT)] == [1, 2, 3, 4, 5]

    run(main())
    assert [line for line in lines if line["level"] != "info"] == []


def test_nothing_is_asked_for_where_nothing_changes(bench: Bench, tls: Authority) -> None:
    async def main() -> None:
        async with serve(tls.server(), acks) as server:
            connection = bench.carrying(by_message(bench, server.port, "A"))
            async with running(connection):
                await until(lambda: server.peers and asked(server.peers[0]))
                connection.change(by_message(bench, server.port, "A"))
                await asyncio.sleep(0.2)
            assert asked(server.peers[0]) == [("SUBSCRIBE", ["a"])]
            assert len(server.peers) == 1

    run(main())


def test_a_change_while_it_dials_is_made_when_the_link_is_up(bench: Bench, tls: Authority) -> None:
    async def slow(peer: Peer) -> None:
        await dialled.wait()
        await acks(peer)

    async def main() -> None:
        async with serve(tls.server(), slow) as server:
            connection = bench.carrying(by_message(bench, server.port, "A", "B"))
            async with running(connection):
                await until(lambda: server.peers)
                connection.change(by_message(bench, server.port, "B", "C"))
                dialled.set()
                await until(lambda: len(asked(server.peers[0])) == 3)
            assert asked(server.peers[0]) == [("SUBSCRIBE", ["a", "b"]), ("UNSUBSCRIBE", ["a"]), ("SUBSCRIBE", ["c"])]

    dialled = asyncio.Event()
    run(main())


def test_what_the_url_lists_is_changed_by_message_and_the_next_dial_lists_it(bench: Bench, tls: Authority) -> None:
    async def main() -> None:
        async with serve(tls.server(), acks) as server:
            connection = bench.carrying(by_url(bench, server.port, "A", "B"))
            async with running(connection):
                await until(lambda: connection.links == 1)
                connection.change(by_url(bench, server.port, "B", "C"))
                await until(lambda: len(asked(server.peers[0])) == 2)
                assert asked(server.peers[0]) == [("UNSUBSCRIBE", ["a"]), ("SUBSCRIBE", ["c"])]
                server.peers[0].writer.close()
                await until(lambda: connection.links == 2)
            assert [peer.target for peer in server.peers] == [
                "/stream?streams=a@bookTicker/b@bookTicker",
                "/stream?streams=b@bookTicker/c@bookTicker",
            ]
            assert asked(server.peers[1]) == []

    run(main())


@pytest.mark.parametrize("lacks", ["subscribe", "unsubscribe"])
def test_where_the_venue_has_no_word_for_it_another_link_takes_over(
    lacks: str, bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While quotes flow: those that stay are published without a gap, and never twice."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))

    async def main() -> None:
        product = bench.venue.product
        bench.venue.product = replace(product, session=replace(product.session, **{lacks: None}))  # type: ignore[arg-type]
        market = Market(bench, "STAYS", "GOES", "COMES")
        async with serve(tls.server(), acks) as server:
            playing = asyncio.ensure_future(market.play(server.peers))
            connection = bench.carrying(by_url(bench, server.port, "STAYS", "GOES"))
            async with running(connection):
                await until(lambda: market.sent > 100)
                since = connection.healthy_since_ns
                connection.change(by_url(bench, server.port, "STAYS", "COMES"))
                await until(lambda: events(lines, "replaced the link"))
                assert connection.healthy_since_ns == since, "it was never down"
                sent = market.sent
                await until(lambda: market.sent > sent + 50)
                playing.cancel()
                await asyncio.sleep(0.1)
            assert [peer.target for peer in server.peers] == [
                "/stream?streams=stays@bookTicker/goes@bookTicker",
                "/stream?streams=stays@bookTicker/comes@bookTicker",
            ]
        assert published() == market.told

    run(main())
    assert events(lines, "replacing the link")[0]["reason"] == "what it carries has changed"
    assert events(lines, "replaced the link")[0]["proven"] is True
    assert events(lines, "link lost") == []


def test_the_new_link_takes_over_only_when_all_its_streams_are_subscribed(
    bench: Bench, tls: Authority, lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Twelve streams, one a request, five requests a second: the first has data long before the last is asked for."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    names = [f"S{n}" for n in range(12)]

    async def main() -> None:
        limit(bench, args=1, requests=((7, 1.0),))
        market = Market(bench, *names)
        async with serve(tls.server(), acks) as server:
            playing = asyncio.ensure_future(market.play(server.peers))
            connection = bench.carrying(by_message(bench, server.port, *names))
            async with running(connection):
                await until(lambda: server.peers and len(asked(server.peers[0])) == 12 and connection._lives[0].asked)
                connection._lives[0].ask_to_be_replaced("for a test")
                await until(lambda: events(lines, "replaced the link"))
                assert len(asked(server.peers[1])) == 12
                playing.cancel()
                await asyncio.sleep(0.1)
        assert published() == market.told

    run(main())


def test_a_new_link_that_is_lost_leaves_the_old_one_at_work(bench: Bench, tls: Authority, lines: Lines) -> None:
    """The first that is to take over is accepted and closed; the next one takes over."""
    server: Any = None

    async def script(peer: Peer) -> None:
        if len(server.peers) == 2:
            await peer.handshake()
            peer.target = ""  # the market does not see it: it proves nothing
            await until(lambda: len(events(lines, "connected")) == 2)
            return
        await acks(peer)

    async def main() -> None:
        nonlocal server
        product = bench.venue.product
        bench.venue.product = replace(product, session=replace(product.session, unsubscribe=None))
        market = Market(bench, "STAYS", "GOES")
        async with serve(tls.server(), script) as server:
            playing = asyncio.ensure_future(market.play(server.peers))
            connection = bench.carrying(by_url(bench, server.port, "STAYS", "GOES"))
            async with running(connection):
                await until(lambda: connection.stats()["wins"] > 10)
                since = connection.healthy_since_ns
                connection.change(by_url(bench, server.port, "STAYS"))
                await until(lambda: events(lines, "replaced the link"))
                assert connection.healthy_since_ns == since
                assert len(server.peers) == 3
                assert len(connection._lives) == 1
                assert len(connection._slots) == 2
            playing.cancel()

    run(main())
    assert [line["event"] for line in lines if line["event"] != "dial failed"][:4] == [
        "connected",
        "replacing the link",
        "connected",
        "link lost",
    ]
