"""The client of `tests/test_faults.py`: one real connection per order, each in a process forked off for it.

An order is a line of JSON on standard input: `port`, `ca` (file), `wins` (records to wait for in all), `settings`. The process brings
a connection up, says `ready` once the first record is published, measures from there on, and answers with one line: counters, log,
growth of its memory, and how long its event loop was held. Its memory is its own: what the fault costs shows, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import ssl
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

import k4.link
from k4 import session
from k4.backoff import Backoff
from k4.clock import Clock
from k4.connection import Connection
from k4.dials import Dials
from k4.life import Core, Shared
from k4.link import Resolver
from k4.native import Native, load
from k4.venue import Venue
from tests import logs

PATIENCE_S = 15.0
TICK_S = 0.001


def memory_kb(name: str) -> int:
    """A figure of /proc/self/status: VmRSS, VmHWM."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise KeyError(name)


def forget_peak() -> None:
    """VmHWM starts over."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Stalls:
    """How long the loop does not come round: wall clock, and the processor time of this thread, which others' load does not touch."""

    def __init__(self) -> None:
        self.wall_ns = self.busy_ns = 0
        self._loop = asyncio.get_running_loop()
        self._last = time.monotonic_ns()
        self._used = time.thread_time_ns()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now, used = time.monotonic_ns(), time.thread_time_ns()
        self.wall_ns = max(self.wall_ns, now - self._last)
        self.busy_ns = max(self.busy_ns, used - self._used)
        self._last, self._used = now, used
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def stop(self) -> None:
        self._timer.cancel()


class Client:
    """A feed with one segment and one connection to the order's port."""

    def __init__(self, native: Native, order: dict[str, Any], folder: Path) -> None:
        lib, ffi = native.lib, native.ffi
        self.order = order
        self.native = native
        lib.k4_shm_dir_set(str(folder).encode())
        self.feed = lib.k4_feed_open()
        sizes = {"ring_slots": 1024, "symbol_capacity": 16, "window_ids": 64, "mode": 0o600, "lock_memory": 0}
        error = ffi.new("char[256]")
        number = native.records.record("bbo").number  # type: ignore[union-attr]
        status = lib.k4_feed_segment(self.feed, number, b"faults_bbo", ffi.new("k4_segment_options *", sizes), error, 256)
        assert status == 0, ffi.string(error)
        product = lib.k4_product_find(b"binance", b"spot")
        assert lib.k4_feed_instrument(self.feed, product, number, b"FOOBAR", 6, b"", b"") == 0
        self.connection = self._connection(product)

    def _connection(self, product: Any) -> Connection:
        settings = dict(self.order["settings"])
        if "dial_s" in settings:
            k4.link.DIAL_S = settings.pop("dial_s")
        if "requests" in settings:
            settings["requests"] = tuple(map(tuple, settings["requests"]))
        venue = Venue(self.native.exchanges["binance"], "spot", self.native.records)
        limits = replace(venue.product.session.limits, **settings)
        venue.product = replace(venue.product, session=replace(venue.product.session, limits=limits))
        (plan,) = session.plans(venue.product, session.streams(venue.product, venue.messages, ["bbo"], ("FOOBAR",)))
        plan = replace(plan, url=session.replace_host(plan.url, f"wss://127.0.0.1:{self.order['port']}"))
        tls = ssl.create_default_context(cafile=self.order["ca"])
        shared = Shared(tls, Resolver(), Dials(()), logs.logger(), Clock())
        made = Connection(Core(self.native.lib, self.native.ffi, self.feed, product), venue, plan, shared, name="one#0")
        made._backoff = Backoff(0.01, 0.05)
        return made

    async def run(self, lines: list[Any]) -> dict[str, Any]:
        """The order's outcome."""
        connection = self.connection
        task, ticker = asyncio.create_task(connection.run()), asyncio.create_task(self._tick())
        try:
            await self._wins(1)
            await asyncio.sleep(0.1)
            gc.collect()
            before = connection.stats()
            forget_peak()
            began_kb = memory_kb("VmRSS")
            stalls = Stalls()
            say({"ready": True})
            timely = await self._wins(self.order["wins"])
            await asyncio.sleep(0.05)
            stalls.stop()
            grown_kb = memory_kb("VmHWM") - began_kb
            after = connection.stats()
        finally:
            connection.stop()
            await task
            ticker.cancel()
            connection.close()
            self.native.lib.k4_feed_close(self.feed)
        return {
            "timely": timely,
            "wins": after["wins"],
            "counted": {name: after[name] - before[name] for name in after},
            "reasons": [line["reason"] for line in lines if line["event"] in ("link lost", "dial failed")],
            "warnings": [line for line in lines if line["level"] not in ("info", "debug")],
            "grown_kb": grown_kb,
            "stall_wall_ms": stalls.wall_ns / 1e6,
            "stall_busy_ms": stalls.busy_ns / 1e6,
        }

    async def _wins(self, count: int) -> bool:
        until = time.monotonic() + PATIENCE_S
        while self.connection.stats()["wins"] < count and time.monotonic() < until:  # noqa: ASYNC110 (a counter in C)
            await asyncio.sleep(0.005)
        return self.connection.stats()["wins"] >= count

    async def _tick(self) -> None:
        while True:
            self.connection.tick(time.monotonic_ns())
            await asyncio.sleep(0.02)


def say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def serve(native: Native, order: dict[str, Any]) -> None:
    """Runs one order in this process."""
    with tempfile.TemporaryDirectory(prefix="k4-faults-") as folder, logs.captured() as lines:

        async def main() -> dict[str, Any]:
            return await Client(native, order, Path(folder)).run(lines)

        say(uvloop.run(main()))


def main() -> None:
    native = load(())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(KeyboardInterrupt):
                serve(native, json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            say({"crashed": status})


if __name__ == "__main__":
    main()
