"""What tests of a connection share: a feed for it to fill, the connection at work, and waiting for what it does. The venue is venue_server.py's."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from k4 import session
from k4.backoff import Backoff
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.life import Core, Shared
from k4.link import Resolver
from k4.native import Native
from k4.session import Plan
from k4.venue import Venue
from tests import logs
from tests.logs import Lines
from tests.venue_server import Authority

BBO = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'


@dataclass
class Bench:
    """A feed with one segment, in a folder of its own, and what a connection needs besides."""

    native: Native
    feed: Any
    tls: ssl.SSLContext
    venue: Venue

    def connection(self, port: int, *, symbols: tuple[str, ...] = ("FOOBAR",), **limits: Any) -> Connection:
        product = self.venue.product
        changed = replace(product, session=replace(product.session, limits=replace(product.session.limits, **limits)))
        self.venue.product = changed
        streams = session.streams(self.venue.product, self.venue.messages, ["bbo"], symbols)
        (plan,) = session.plans(changed, streams)
        plan = replace(plan, url=session.replace_host(plan.url, f"wss://127.0.0.1:{port}"))
        return self.carrying(plan)

    def carrying(self, plan: Plan) -> Connection:
        lib, ffi = self.native.lib, self.native.ffi
        core = Core(lib, ffi, self.feed, lib.k4_product_find(b"binance", b"spot"))
        made = Connection(core, self.venue, plan, Shared(self.tls, Resolver(), Dials(()), logs.logger(), Clock()), name="one#0")
        made._backoff = Backoff(0.01, 0.05)
        return made


@contextmanager
def opened(native: Native, tls: Authority, folder: Path) -> Iterator[Bench]:
    """A bench whose segment is in `folder`."""
    lib, ffi = native.lib, native.ffi
    lib.k4_shm_dir_set(str(folder).encode())
    feed = lib.k4_feed_open()
    sizes = {"ring_slots": 16384, "symbol_capacity": 16, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
    options = ffi.new("k4_segment_options *", sizes)
    error = ffi.new("char[256]")
    record = native.records.record("bbo")
    assert record is not None
    status = lib.k4_feed_segment(feed, record.number, b"test_bbo", options, error, 256)
    assert status == 0, ffi.string(error)
    assert lib.k4_feed_instrument(feed, lib.k4_product_find(b"binance", b"spot"), record.number, b"FOOBAR", 6, b"", b"") == 0
    yield Bench(native, feed, tls.client(), Venue(native.exchanges["binance"], "spot", native.records))
    lib.k4_feed_close(feed)
    lib.k4_shm_dir_set(b"")


def limit(bench: Bench, **limits: Any) -> None:
    product = bench.venue.product
    bench.venue.product = replace(product, session=replace(product.session, limits=replace(product.session.limits, **limits)))


def run(main: Coroutine[Any, Any, None]) -> None:
    """As the worker does, on uvloop. It ends even if what it waits for never comes."""

    async def limited() -> None:
        async with asyncio.timeout(180):
            await main

    uvloop.run(limited())


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[None]:
    """The connection at work, ticked as the worker ticks it; stopped and closed in the end."""

    async def tick() -> None:
        while True:
            connection.tick(time.monotonic_ns())
            await asyncio.sleep(0.02)

    task, ticker = asyncio.create_task(connection.run()), asyncio.create_task(tick())
    try:
        yield
    finally:
        connection.stop()
        await task
        ticker.cancel()
        connection.close()


async def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (conditions of all kinds)
            await asyncio.sleep(0.005)


def events(lines: Lines, event: str) -> Lines:
    return [line for line in lines if line["event"] == event]
