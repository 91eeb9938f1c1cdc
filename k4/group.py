"""One group at work: its segments, symbols and connections, opened together and closed together.

Runs on the event loop of a worker process; `k4.worker` owns the process, this module the feed. It loads no aiohttp and no
cryptography, and nothing that is not needed to feed. Imports `backoff`, `clock`, `connection`, `dials`, `drift`, `errors`, `fetch`,
`fleet`, `job`, `life`, `link`, `log`, `native`, `secrets`, `segments`, `session`, `slowest`, `venue`, `watch`, and, of the generator,
`bind` and `ir`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from . import dials, secrets, segments, session
from ._codegen import bind, ir
from .backoff import Turns
from .clock import Clock
from .connection import Connection
from .dials import Dials
from .drift import Counts
from .errors import K4Error
from .fetch import Fetch
from .fleet import Fleet, Plans, Rank
from .job import Entry, Job
from .life import TURN_S, Core, Shared
from .link import LinkError, Resolver, target
from .log import Logger
from .native import Native
from .slowest import Slowest
from .venue import Venue
from .watch import Watch

TICK_S = 0.1
COUNTERS_S = 60.0
WINDOW_IDS = 4096
FILE_MODE = 0o600

Place = tuple[int, int]  # record number and instrument


class Wanted(NamedTuple):
    """What an entry asks for."""

    entry: str
    record: str
    symbol: str


class Feed:
    """Opens everything a group needs; raises K4Error that says what could not be had, with nothing left open or newly made."""

    def __init__(self, native: Native, job: Job, log: Logger) -> None:
        self._native = native
        self._log = log
        self._sim = job.sim
        self._sim_ca = job.sim_ca
        self._fetch = None if job.fetch is None else Path(job.fetch)
        self._drift: dict[str, dict[str, Counts]] = {}  # as last logged
        self._resolver = Resolver()
        self._clock = Clock()
        self._dials: dict[str, Dials] = {}
        self._turns = Turns(TURN_S)
        self._races: dict[tuple[tuple[Connection, ...], int], Slowest] = {}  # of redundant connections, by these and the seconds
        self.connections: list[Connection] = []
        self._leaving: list[Connection] = []  # they carry nothing any more, and are being closed
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[None] | None = None  # while it runs
        self._fleets: dict[tuple[str, str], Fleet] = {}  # by entry and transport
        self._messages: dict[str, Sequence[ir.Message]] = {}  # of an entry's product
        self._watched: dict[Place, list[Wanted]] = {}
        self._feed = native.lib.k4_feed_open()
        self.watch = Watch(native.lib, self._feed, log)
        try:
            for record, segment in job.segments.items():
                self._segment(record, segment, job.connections[0])
            for entry in job.connections:
                self._entry(entry)
            self._carry(job, self._planned(job))
            self._end_others()
        except BaseException:
            self._discard()
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Feeds until `stop` is set, then drains: every link is closed politely, and what still arrives is taken.

        A connection that ends by an error ends the group: the supervisor starts it anew.
        """
        broken = self._broken = asyncio.get_running_loop().create_future()
        for connection in self.connections:
            self._start(connection)
        ticker = asyncio.create_task(self._tick())
        stopper = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([broken, ticker, stopper], return_when=asyncio.FIRST_COMPLETED)
            self.watch.end(self._clock.read()[1])
            self._broken = None
            for connection in self.connections:
                connection.stop()
            for ended in done:
                ended.result()
            await asyncio.gather(*self._tasks.values())
        finally:
            tasks = [*self._tasks.values(), ticker, stopper]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.log_counters("stopped")

    async def change(self, job: Job) -> None:
        """Works on `job` from now on, which differs from the last one in symbols, their units and the number of connections alone: streams
        are subscribed and unsubscribed, connections come and go with what they carry; what is carried before and after is not touched.

        Raises K4Error where that cannot be had; nothing has changed then.
        """
        planned = await asyncio.to_thread(self._planned, job)  # some thousand symbols take a while
        if self._broken is not None:
            self._carry(job, planned)

    def close(self) -> None:
        """Closes connections, then segments, which readers then see as closed."""
        for connection in (*self.connections, *self._leaving):
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
            self._log.info("counters", connection=connection.name, links=connection.links, renewed=connection.renewed, **counters)
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
            raise K4Error(ffi.string(error).decode(errors="replace"))

    def _entry(self, entry: Entry) -> None:
        exchange = self._native.exchanges[entry.exchange]
        venue = Venue(exchange, entry.product, self._native.records)
        self._messages[entry.name] = venue.messages
        core = Core(self._native.lib, self._native.ffi, self._feed, self._product(entry))
        for turn, transport in enumerate(entry.redundancy.transports):
            over = venue.over(transport)
            own = entry.endpoints.ws if transport == "json" else entry.endpoints.sbe
            base = f"wss://{self._sim}" if self._sim is not None else own
            first = turn * entry.redundancy.connections
            opens = partial(self._connection, entry, core, over, transport, base)
            place = partial(_placed, base=base)
            self._fleets[entry.name, transport] = Fleet(entry, over, transport, first=first, place=place, opens=opens)

    def _connection(
        self, entry: Entry, core: Core, venue: Venue, transport: str, base: str | None, plan: session.Plan, name: str, rank: Rank
    ) -> Connection:
        headers = () if transport == "json" or venue.product.sbe is None else _headers(venue.product.sbe, venue.product, entry)
        shared = Shared(
            self._tls(entry),
            self._resolver,
            self._counted(plan.url, venue),
            self._log,
            self._clock,
            self._fetcher(entry, venue.product.session.limits.weight),
            base,
            headers,
            self._turns,
        )
        return Connection(core, venue, plan, shared, name=name, index=rank.number, of=rank.of)

    # ------------------------------------------------------------------ what is carried

    def _planned(self, job: Job) -> dict[tuple[str, str], Plans]:
        symbols = {entry.name: entry.symbols for entry in job.connections}
        return {key: fleet.planned(symbols[key[0]]) for key, fleet in self._fleets.items()}

    def _carry(self, job: Job, planned: Mapping[tuple[str, str], Plans]) -> None:
        """Symbols first, so that nobody brings what has no place. Raises K4Error, with nothing changed."""
        redundant = {entry.name: entry.redundancy.connections for entry in job.connections}
        opened: list[Connection] = []
        places: dict[Place, list[Wanted]] = {}
        try:
            for entry in job.connections:
                self._places(entry, job.units.get(entry.name, {}), places)
            for key, fleet in self._fleets.items():
                opened += fleet.open(planned[key], redundant[key[0]])
        except BaseException:
            for connection in opened:
                connection.close()
            self.watch.remove(places.keys() - self._watched.keys(), time.time_ns())
            raise
        for key, fleet in self._fleets.items():
            self._leaving += fleet.settle(planned[key], redundant[key[0]])
        self.connections = [one for one in (*self.connections, *opened) if one not in self._leaving]
        self._observe(places)
        self._race(job)
        for connection in opened:
            self._start(connection)
        for connection in self._leaving:
            self.watch.forget(connection)
            connection.stop()

    def _places(self, entry: Entry, units: Mapping[str, tuple[str, str]], places: dict[Place, list[Wanted]]) -> None:
        """Puts every symbol of the entry into the table of each of its segments."""
        product = self._product(entry)
        for record in entry.records:
            number = self._number(record)
            for symbol in entry.symbols:
                raw = symbol.encode()
                unit, size = units.get(symbol, ("", ""))
                instrument = self._native.lib.k4_feed_instrument(self._feed, product, number, raw, len(raw), unit.encode(), size.encode())
                if instrument < 0:
                    reason = self._native.ffi.string(self._native.lib.k4_status_text(-instrument)).decode()
                    raise K4Error(f"segment {entry.segments()[record]}: symbol {symbol}: {reason}")
                places.setdefault((number, instrument), []).append(Wanted(entry.name, record, symbol))

    def _observe(self, places: dict[Place, list[Wanted]]) -> None:
        """Watches these, each on all connections that bring it, and no others."""
        carriers: dict[str, dict[tuple[str, str | None], list[Connection]]] = {}
        for (entry, _), fleet in self._fleets.items():
            of_entry = carriers.setdefault(entry, {})
            for key, connections in fleet.carriers().items():
                of_entry.setdefault(key, []).extend(connections)
        # A record without a stream of its own comes along with any other.
        everything = {entry: list(dict.fromkeys(chain.from_iterable(by.values()))) for entry, by in carriers.items()}
        now = time.time_ns()
        self.watch.remove(self._watched.keys() - places.keys(), now)
        for (number, instrument), wanted in places.items():
            by: list[Connection] = []
            silence_s: float | None = None
            each = True
            for entry, record, symbol in wanted:
                own = carriers[entry].get((record, symbol))
                each = each and own is not None
                by += own or carriers[entry].get((record, None)) or everything[entry]
                silence_s = session.silence_s(self._messages[entry], record) if own else None
            self.watch.add(number, instrument, wanted[0][1:], by, now, silence_s, each=each)
        self._watched = places

    def _race(self, job: Job) -> None:
        """Looks for the slowest among redundant connections, where that is asked for; who has not changed goes on."""
        lib, races = self._native.lib, self._races
        floors_s = [lib.k4_lag_floor(step) / 1e9 for step in range(lib.K4_LAG_STEPS)]
        self._races = {}
        for entry in job.connections:
            persist_s = entry.redundancy.reset_slowest
            if persist_s is None:
                continue
            for transport in entry.redundancy.transports:
                for same in self._fleets[entry.name, transport].siblings():
                    if len(same) > 1:
                        self._races[same, persist_s] = races.get((same, persist_s)) or Slowest(same, persist_s, floors_s, same[0].spare)

    def _end_others(self) -> None:
        """Symbols that an earlier run left in the segments and this one has not: nobody feeds them any more."""
        remove, now = self._native.lib.k4_feed_remove, time.time_ns()
        for number in {number for number, _ in self._watched}:
            instrument = 0
            while (number, instrument) in self._watched or not remove(self._feed, number, instrument, now):
                instrument += 1

    def _start(self, connection: Connection) -> None:
        if self._broken is not None:
            task = self._tasks[connection] = asyncio.create_task(connection.run(), name=connection.name)
            task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        """Its links are closed, or it has failed."""
        del self._tasks[connection]
        if not task.cancelled() and (error := task.exception()) is not None and self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)
        if connection in self._leaving:
            self._leaving.remove(connection)
            connection.close()

    # ------------------------------------------------------------------ what connections share

    def _product(self, entry: Entry) -> Any:
        product = self._native.lib.k4_product_find(entry.exchange.encode(), entry.product.encode())
        if product == self._native.ffi.NULL:
            raise K4Error(f"{entry.exchange} {entry.product} is not in the compiled extension", hint="type: k4 codegen")
        return product

    def _counted(self, url: str, venue: Venue) -> Dials:
        """What counts the dials to the host of `url`: with other processes, unless a simulator stands for it."""
        try:
            host = target(url).host
        except LinkError:
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

    def _fetcher(self, entry: Entry, limits: Sequence[tuple[int, float]]) -> Fetch | None:
        if self._fetch is None:
            return None
        base = f"https://{self._sim}" if self._sim is not None else entry.endpoints.rest
        ca_files = [entry.tls.ca_file, self._sim_ca]
        return Fetch(
            self._fetch,
            base=base,
            ca_files=[file for file in ca_files if file is not None],
            limits=limits,
            shared=self._sim is None,
        )

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
            for race in self._races.values():
                race.tick(now_ns / 1e9)
            if loop.time() >= counters:
                counters += COUNTERS_S
                self.log_counters("running")
            # After a stall ticks are dropped, not made up for.
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())


def _placed(plan: session.Plan, *, base: str | None) -> session.Plan:
    """The plan with the endpoint that is to stand for the spec's."""
    return plan if base is None else replace(plan, url=session.replace_host(plan.url, base))


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
