"""One group at work: its segments, symbols and connections, opened together and closed together.

Runs on the event loop of a worker process; `k4.worker` owns the process, this module the feed. It loads no aiohttp and no
cryptography, and nothing that is not needed to feed. Imports `backoff`, `clock`, `connection`, `dials`, `drift`, `errors`, `fetch`,
`job`, `life`, `link`, `log`, `native`, `secrets`, `segments`, `session`, `venue`, `watch`, and, of the generator, `bind` and `ir`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from websockets.exceptions import InvalidURI

from . import dials, secrets, segments, session
from ._codegen import bind, ir
from .backoff import Turns
from .clock import Clock
from .connection import Connection
from .dials import Dials
from .drift import Counts
from .errors import K4Error
from .fetch import Fetch
from .job import Entry, Job
from .life import TURN_S, Core, Shared
from .link import Resolver, target
from .log import Logger
from .native import Native
from .venue import Venue
from .watch import Watch

TICK_S = 0.1
COUNTERS_S = 60.0
WINDOW_IDS = 4096
FILE_MODE = 0o600


class Feed:
    """Opens everything a group needs; raises K4Error that says what could not be had, with nothing left open or newly made."""

    def __init__(self, native: Native, job: Job, log: Logger) -> None:
        self._native = native
        self._log = log
        self._sim = job.sim
        self._sim_ca = job.sim_ca
        self._fetch = None if job.fetch is None else Path(job.fetch)
        self._units = job.units
        self._drift: dict[str, dict[str, Counts]] = {}  # as last logged
        self._resolver = Resolver()
        self._clock = Clock()
        self._dials: dict[str, Dials] = {}
        self._turns = Turns(TURN_S)
        self.connections: list[Connection] = []
        self._feed = native.lib.k4_feed_open()
        self.watch = Watch(native.lib, self._feed, log)
        try:
            for record, segment in job.segments.items():
                self._segment(record, segment, job.connections[0])
            for entry in job.connections:
                self._entry(entry)
        except BaseException:
            self._discard()
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Feeds until `stop` is set, then drains: every link is closed politely, and what still arrives is taken.

        A connection that ends by an error ends the group: the supervisor starts it anew.
        """
        tasks = [asyncio.create_task(connection.run(), name=connection.name) for connection in self.connections]
        ticker = asyncio.create_task(self._tick())
        stopper = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, ticker, stopper], return_when=asyncio.FIRST_COMPLETED)
            self.watch.end(self._clock.read()[1])
            for connection in self.connections:
                connection.stop()
            for task in done:
                task.result()
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, ticker, stopper):
                task.cancel()
            await asyncio.gather(*tasks, ticker, stopper, return_exceptions=True)
            self.log_counters("stopped")

    def close(self) -> None:
        """Closes connections, then segments, which readers then see as closed."""
        for connection in self.connections:
            connection.close()
        if self._feed is not None:
            self._native.lib.k4_feed_close(self._feed)
            self._feed = None
        for counted in self._dials.values():
            counted.close()

    def _discard(self) -> None:
        """Closes what never began: segments that were made for it are taken away again."""
        feed, self._feed = self._feed, None
        self.close()
        self._native.lib.k4_feed_discard(feed)

    def log_counters(self, event: str) -> None:
        """One line for the group, one per connection."""
        states = self.watch.states()
        self._log.info(event, streams_live=states["live"], streams_stale=states["stale"], streams_silent=states["silent"])
        for connection in self.connections:
            counters = {name: count for name, count in connection.stats().items() if count or name in _ALWAYS}
            self._log.info("counters", connection=connection.name, links=connection.links, **counters)
            if (drift := connection.drift()) and drift != self._drift.get(connection.name):
                self._drift[connection.name] = drift
                self._log.warning("messages differ from the spec", connection=connection.name, messages=drift)

    # ------------------------------------------------------------------ opening

    def _segment(self, record: str, name: str, entry: Entry) -> None:
        ffi = self._native.ffi
        options = ffi.new(
            "k4_segment_options *",
            {
                "ring_slots": entry.ring_slots,
                "symbol_capacity": entry.symbol_capacity,
                "window_ids": WINDOW_IDS,
                "mode": FILE_MODE,
                "lock_memory": 0,
            },
        )
        error = ffi.new("char[512]")
        status = self._native.lib.k4_feed_segment(self._feed, self._number(record), name.encode(), options, error, 512)
        if status != 0:
            raise K4Error(f"segment {name}: {ffi.string(error).decode(errors='replace')}")

    def _entry(self, entry: Entry) -> None:
        exchange = self._native.exchanges[entry.exchange]
        venue = Venue(exchange, entry.product, self._native.records)
        product = self._native.lib.k4_product_find(entry.exchange.encode(), entry.product.encode())
        if product == self._native.ffi.NULL:
            raise K4Error(f"{entry.exchange} {entry.product} is not in the compiled extension", hint="type: k4 codegen")
        core = Core(self._native.lib, self._native.ffi, self._feed, product)
        carriers: dict[tuple[str, str | None], list[Connection]] = {}
        count = entry.redundancy.connections
        for turn, transport in enumerate(entry.redundancy.transports):
            over = venue.over(transport)
            asked = session.streams(over.product, venue.messages, entry.records, entry.symbols, transport)
            plans = session.plans(over.product, asked)
            for index in range(turn * count, (turn + 1) * count):
                for part, plan in enumerate(plans):
                    name = f"{entry.name}#{index}" + (f".{part}" if len(plans) > 1 else "")
                    place = index * len(plans) + part, count * len(entry.redundancy.transports) * len(plans)
                    self._connection(entry, core, over, plan, transport, carriers, name=name, place=place)
        self._symbols(entry, product, carriers, venue.messages)

    def _connection(
        self,
        entry: Entry,
        core: Core,
        venue: Venue,
        plan: session.Plan,
        transport: str,
        carriers: dict[tuple[str, str | None], list[Connection]],
        *,
        name: str,
        place: tuple[int, int],
    ) -> None:
        own = entry.endpoints.ws if transport == "json" else entry.endpoints.sbe
        base = f"wss://{self._sim}" if self._sim is not None else own
        placed = plan if base is None else replace(plan, url=session.replace_host(plan.url, base))
        headers = () if transport == "json" or venue.product.sbe is None else _headers(venue.product.sbe, venue.product, entry)
        shared = Shared(
            self._tls(entry),
            self._resolver,
            self._counted(placed.url, venue),
            self._log,
            self._clock,
            self._fetcher(entry),
            base,
            headers,
            self._turns,
        )
        connection = Connection(core, venue, placed, shared, name=name, index=place[0], of=place[1])
        self.connections.append(connection)
        for stream in plan.streams:
            for record in stream.records:
                carriers.setdefault((record, stream.symbol), []).append(connection)

    def _symbols(
        self,
        entry: Entry,
        product: Any,
        carriers: Mapping[tuple[str, str | None], list[Connection]],
        messages: Sequence[ir.Message],
    ) -> None:
        """Puts every symbol of the entry into the table of each of its segments, and under watch."""
        for record in entry.records:
            number, silence_s = self._number(record), session.silence_s(messages, record)
            for symbol in entry.symbols:
                raw = symbol.encode()
                unit, size = self._units.get(entry.name, {}).get(symbol, ("", ""))
                instrument = self._native.lib.k4_feed_instrument(self._feed, product, number, raw, len(raw), unit.encode(), size.encode())
                if instrument < 0:
                    reason = self._native.ffi.string(self._native.lib.k4_status_text(-instrument)).decode()
                    raise K4Error(f"segment {entry.segments()[record]}: symbol {symbol}: {reason}")
                # A record without a stream of its own comes along with any other.
                own = carriers.get((record, symbol))
                by = own or carriers.get((record, None)) or [c for group in carriers.values() for c in group]
                self.watch.add(number, instrument, (record, symbol), by, time.time_ns(), silence_s if own else None)

    def _counted(self, url: str, venue: Venue) -> Dials:
        """What counts the dials to the host of `url`: with other processes, unless a simulator stands for it."""
        try:
            host = target(url).host
        except InvalidURI:
            host = venue.exchange.name  # known only when it has been fetched
        if host not in self._dials:
            path = None if self._sim is not None else dials.path_for(segments.directory(), host)
            self._dials[host] = Dials(venue.product.session.limits.connects, path, lonely=self._lonely)
        return self._dials[host]

    def _lonely(self) -> bool:
        return not any(connection.healthy_since_ns for connection in self.connections)

    def _tls(self, entry: Entry) -> ssl.SSLContext:
        """Verification is always on; a CA file adds trust and nothing removes it."""
        context = ssl.create_default_context()
        ca_files = [("tls.ca_file", entry.tls.ca_file), ("the simulator's CA", self._sim_ca)]
        for what, ca_file in ca_files:
            if ca_file is None:
                continue
            try:
                context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise K4Error(f"{entry.name}: {what} {str(ca_file)!r} holds no certificate that can be read: {error}") from error
        return context

    def _fetcher(self, entry: Entry) -> Fetch | None:
        if self._fetch is None:
            return None
        base = f"https://{self._sim}" if self._sim is not None else entry.endpoints.rest
        ca_files = [entry.tls.ca_file, self._sim_ca]
        return Fetch(self._fetch, base=base, ca_files=[file for file in ca_files if file is not None])

    def _number(self, record: str) -> int:
        found = self._native.records.record(record)
        assert found is not None
        return found.number

    # ------------------------------------------------------------------ while it runs

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        counters = due + COUNTERS_S
        while True:
            wall_ns, now_ns = self._clock.read()
            self._native.lib.k4_feed_heartbeat(self._feed, wall_ns, now_ns)
            for connection in self.connections:
                connection.tick(now_ns)
            self.watch.tick(now_ns, wall_ns)
            if loop.time() >= counters:
                counters += COUNTERS_S
                self.log_counters("running")
            # After a stall ticks are dropped, not made up for.
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())


def _headers(endpoint: ir.Sbe, product: ir.Product, entry: Entry) -> tuple[tuple[str, secrets.Secret], ...]:
    """The headers of an endpoint with their names put in. Raises K4Error for a secret that cannot be read."""
    known = dict(product.vars)
    found: list[tuple[str, secrets.Secret]] = []
    for header, text in endpoint.headers:
        values = dict(known)
        for name in bind.names_in(text):
            if name not in known:
                where = entry.secrets[name]
                values[name] = secrets.read(name, env=where.env, file=where.file).reveal()
        found.append((header, secrets.Secret(bind.render(text, values))))
    return tuple(found)


_ALWAYS = ("messages", "records", "wins", "duplicates", "gaps", "late", "refused", "fast", "tolerant")
