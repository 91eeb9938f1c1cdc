"""A group whose connections speak JSON and SBE: both reach one arbiter, the key is where it must be and nowhere else."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import uvloop

import k4
from k4.errors import K4Error
from k4.group import Feed
from k4.job import Entry, Job
from k4.native import Native
from tests import logs
from tests.links import until
from tests.venue_server import TEXT, Authority, Peer, frame, serve

BINARY = 2
KEY = "Zx81-not-to-be-seen"


def entry(tls: Authority, port: int, secret: dict[str, Any]) -> Entry:
    at = f"wss://127.0.0.1:{port}"
    return Entry.of(
        {
            "name": "one",
            "exchange": "binance",
            "product": "spot",
            "symbols": ["FOOBAR"],
            "records": ["bbo", "trade", "aggtrade", "depth20"],
            "shm": {},
            "ring_slots": 1024,
            "symbol_capacity": 16,
            "redundancy": {"connections": 1, "transports": ["json", "sbe"], "reset_slowest": None},
            "cpu": None,
            "busy_poll": False,
            "endpoints": {"ws": at, "sbe": at, "rest": None},
            "tls": {"ca_file": str(tls.ca_file)},
            "secrets": {"api_key": {"env": None, "file": None, **secret}},
        }
    )


def quote(number: int) -> bytes:
    """A bestBidAsk."""
    body = struct.pack("<qqbbqqqq", 1_700_000_000_000_000 + number, number, -2, -1, 2535, 312, 2536, 406)
    return struct.pack("<HHHH", len(body), 10001, 1, 0) + body + b"\x06FOOBAR"


def trades(first: int, count: int) -> bytes:
    rows = b"".join(struct.pack("<qqqB", first + i, 2535, 7, i % 2) for i in range(count))
    block = struct.pack("<qqbb", 1_700_000_000_000_000, 1_700_000_000_000_000, -2, -1)
    return struct.pack("<HHHH", 18, 10000, 1, 0) + block + struct.pack("<HI", 25, count) + rows + b"\x06FOOBAR"


def messages(feed: Feed) -> int:
    return sum(connection.stats()["messages"] for connection in feed.connections)


def test_both_transports_compete(native: Native, tls: Authority, shm: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)

    first = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.handshake()
        if "bestBidAsk" in peer.target:
            peer.send('{"result":null,"id":1}')  # text on the same link is JSON
            for number in range(1, 101):
                peer.send_raw(frame(quote(number), BINARY))
            peer.send_raw(frame(quote(101)[:40], BINARY))  # cut off: refused
            peer.send_raw(frame(struct.pack("<HHHH", 0, 9, 1, 0), BINARY))  # a template nobody knows
            peer.send_raw(frame(trades(1, 150), BINARY))  # more than a scratch holds
            peer.send_raw(frame(trades(151, 2), BINARY))
        else:
            await first.wait()
            for number in range(51, 121):
                text = (
                    f'{{"stream":"foobar@bookTicker","data":{{"u":{number},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'
                )
                peer.send_raw(frame(text.encode(), TEXT))
        await peer.listen()

    async def scene() -> tuple[list[Peer], dict[str, dict[str, int]]]:
        async with serve(tls.server(), script) as server:
            job = Job("one", (entry(tls, server.port, {"file": str(key)}),), "info", None, 1)
            feed = Feed(native, job, logs.logger())
            stop = asyncio.Event()
            running = asyncio.ensure_future(feed.run(stop))
            try:
                await until(lambda: messages(feed) == 1 + 100 + 4)
                first.set()
                await until(lambda: messages(feed) == 1 + 100 + 4 + 70)
                stats = {connection.name: connection.stats() for connection in feed.connections}
            finally:
                stop.set()
                await running
                feed.close()
            return server.peers, stats

    with logs.captured() as lines:
        peers, stats = uvloop.run(scene())
    json_peer, sbe_peer = sorted(peers, key=lambda peer: "bestBidAsk" in peer.target)
    assert "x-mbx-apikey" not in json_peer.headers
    assert sbe_peer.headers["x-mbx-apikey"] == KEY
    assert KEY not in json.dumps(lines, default=repr)
    assert set(sbe_peer.target.partition("streams=")[2].split("/")) == {"foobar@bestBidAsk", "foobar@trade", "foobar@depth"}
    assert "foobar@aggTrade" in json_peer.target
    assert (stats["one#1"]["sbe"], stats["one#1"]["refused"], stats["one#0"]["sbe"], stats["one#0"]["fast"]) == (104, 1, 0, 70)
    assert (stats["one#0"]["wins"], stats["one#0"]["duplicates"], stats["one#1"]["wins"]) == (20, 50, 100 + 152)
    with k4.open("binance_spot_bbo", oldest=True) as reader:
        quotes = [(record.update_id, record.source, str(record.bid_price)) for record in reader if not isinstance(record, k4.Lost)]
    assert quotes == [(number, 1 if number <= 100 else 0, "25.35") for number in range(1, 121)]
    with k4.open("binance_spot_trade", oldest=True) as reader:
        assert [record.trade_id for record in reader if not isinstance(record, k4.Lost)] == list(range(1, 153))


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ({"env": "K4_TEST_NO_SUCH_KEY"}, "environment variable K4_TEST_NO_SUCH_KEY is not set"),
        ({"file": "/nowhere/key"}, "cannot be opened"),
    ],
)
def test_without_its_key_a_group_does_not_start(native: Native, tls: Authority, shm: Path, secret: dict[str, Any], says: str) -> None:
    async def scene() -> None:
        Feed(native, Job("one", (entry(tls, 1, secret),), "info", None, 1), logs.logger())

    with pytest.raises(K4Error, match=says):
        uvloop.run(scene())
    assert not list(shm.glob("k4.binance*"))
