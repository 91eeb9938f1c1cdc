"""One configured connection: keeps a link to the venue up, subscribes, answers, watches, reconnects, and replaces it in time.

A connection has one life at a time, two while it is being replaced: the new one is proven by data before the old one is closed.
`tick` is called ten times a second and is all that measures time, on the monotonic clock. No exchange is known here: what is said
comes from `session`, what is understood from `venue`. Market data passes below this module, in C.
Imports `backoff`, `books`, `clock`, `dials`, `drift`, `errors`, `fetch`, `link`, `log`, `names`, `secrets`, `session`,
`subscription`, `venue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from . import drift, session
from .backoff import Backoff, Budget
from .books import LIVE, NO_SNAPSHOT, REASONS, Books, Stale
from .clock import Clock
from .dials import Dials
from .errors import K4Error
from .fetch import Fetch
from .link import Event, Link, LinkError, Resolver, State, dial, target
from .log import Logger
from .names import address
from .secrets import Secret
from .session import Plan
from .subscription import Subscriptions, symbols
from .venue import Reading, Venue

MESSAGE_CAP = 1 << 20
PROBE_IDLE_NS = 500_000_000
PROBE_DEAD_NS = 1_000_000_000
PROVEN_S = 5.0
# Kept free of requests, so that a pong and a probe always fit into what the venue allows.
RESERVE = 2
# While another process holds the file that counts dials.
DIALS_BUSY_S = 0.005
# Messages that are no market data are read in Python, slowly: a slice at a time, so that data is never kept waiting; a message or a
# backlog beyond any venue's need is not read at all.
READ_SLICE_NS = 500_000
READ_BYTES = 32 * 1024
BACKLOG_MESSAGES = 2048
BACKLOG_BYTES = 256 * 1024
# So many snapshots are asked for at a time; the fetcher paces them besides.
SNAPSHOTS_AT_ONCE = 4
SNAPSHOT_BYTES = 8 << 20
_SECOND_NS = 1_000_000_000
_REFUSALS = ("", "malformed", "depth", "utf8", "missing", "duplicate", "type", "range", "unmapped", "symbol")


@dataclass(frozen=True, slots=True)
class Core:
    """The compiled side: the extension, the group's `k4_feed *`, and the `k4_product *` of one exchange and product."""

    lib: Any
    ffi: Any
    feed: Any
    product: Any


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of an entry have in common. `base`: `wss://HOST[:PORT]` to dial instead of what a fetched URL names.

    `fetch`: None where the product fetches nothing. `headers`: of the upgrade request.
    """

    tls: ssl.SSLContext
    resolver: Resolver
    dials: Dials
    log: Logger
    clock: Clock
    fetch: Fetch | None = None
    base: str | None = None
    headers: tuple[tuple[str, Secret], ...] = ()


@dataclass(slots=True, eq=False)
class _Life:
    """A link while it is up, and what is known about it."""

    link: Link
    slot: int
    budget: Budget
    replace: asyncio.Future[str]
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    subscriber: asyncio.Task[None] | None = None
    probe_ns: int = 0  # when the probe was sent that has no answer yet
    probed_ns: int = 0  # when the last probe was sent
    duty_ns: int = 0  # when the venue's keepalive was last done
    messages: int = 0  # of the peer, as last counted
    messages_ns: int = 0  # when that count last grew
    pong: bytes | None = None  # the newest ping that could not be answered yet
    first_messages: int = 0  # the counter when the link came up
    backlog: deque[Event] = field(default_factory=deque)  # messages that are no market data, to be read
    backlog_bytes: int = 0
    books: Books = field(default_factory=lambda: Books(()))
    snapshots: set[asyncio.Task[None]] = field(default_factory=set)  # being fetched


class Connection:
    """`index` of `of` redundant siblings. `plan.url` is dialled as it is: endpoints have been replaced in it before.

    Raises K4Error when C refuses the connection (too many sources, a product it cannot arbitrate).
    """

    def __init__(self, core: Core, venue: Venue, plan: Plan, shared: Shared, *, name: str, index: int = 0, of: int = 1) -> None:
        self.name = name
        self.plan = plan
        self.healthy_since_ns = 0  # monotonic; 0 = no link is up
        self.stale_books: frozenset[tuple[str, str]] = frozenset()  # (record, symbol) of what no link that is up has a good book of
        self.links = 0  # how often a link came up
        self._core = core
        self._venue = venue
        self._shared = shared
        self._log = shared.log.bind(connection=name)
        self._slots: list[Any] = []
        self._free: list[int] = []
        self._lives: list[_Life] = []
        self._backoff = Backoff()
        self._next_id = 1
        self._turn = index
        self._fetches = any(message.record == "vars" for message in venue.messages)
        self._quick: frozenset[str] | None = None  # messages that the fast tier should take
        self._names: dict[str, str] = {}  # what was fetched before the newest connect
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        limits = venue.product.session.limits
        # Half of the sustained rate at most goes into probes.
        self._probe_every_ns = max([PROBE_IDLE_NS, *(int(2 * seconds / count * _SECOND_NS) for count, seconds in limits.requests)])
        self._silence_ns = None if limits.silence_s is None else int(limits.silence_s * _SECOND_NS)
        # Siblings are replaced at different ages, so that they never end together.
        self._age_ns = None if limits.age_s is None else int(limits.age_s * (0.95 - 0.45 * index / of) * _SECOND_NS)
        self._free.append(self._slot())  # what C refuses is known before anything is dialled

    # ------------------------------------------------------------------ for the worker

    async def run(self) -> None:
        """Keeps the connection up until `stop`."""
        old: _Life | None = None
        while not self._stopped.done():
            life = await self._bring_up()
            if life is not None and old is not None:
                await self._hand_over(old, life)
                old = None
            if life is not None:
                old = await self._live(life)
            if not self._stopped.done():
                await self._pause(self._backoff.next())
            if old is not None and old.link.state is State.LOST:
                self._retire(old)
                old = None
        await asyncio.gather(*(life.link.close() for life in self._lives))
        for life in [*self._lives]:
            self._retire(life)

    def stop(self) -> None:
        """Makes `run` close its links and return."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    def tick(self, now_ns: int) -> None:
        """Looks after liveness, duties and pacing. `now_ns`: monotonic."""
        for life in [*self._lives]:
            if life.link.state is State.OPEN:
                self._watch(life, now_ns)
        self._note_health(now_ns)

    def stats(self) -> dict[str, int]:
        """The C counters of this connection, over all its links."""
        total: dict[str, int] = {}
        for conn in self._slots:
            for name, count in self._stats(conn).items():
                total[name] = total.get(name, 0) + count
        return total

    def drift(self) -> dict[str, drift.Counts]:
        """What of the venue's messages is not as in the spec, per message, over all links."""
        lib, ffi, venue = self._core.lib, self._core.ffi, self._venue
        if self._quick is None:
            self._quick = drift.quick(lib, ffi, self._core.product, venue.messages, venue.product.name)
        return drift.differing(drift.of_connections(lib, ffi, self._slots, venue.messages), self._quick)

    def close(self) -> None:
        """Gives the C side back; only after `run` has returned."""
        for conn in self._slots:
            self._core.lib.k4_conn_close(conn)
        self._slots.clear()

    # ------------------------------------------------------------------ a link's beginning and end

    async def _bring_up(self) -> _Life | None:
        """Dials once. None: it did not work, which has been logged."""
        url = await self._address()
        if url is None:
            return None
        while (wait := self._shared.dials.reserve(time.monotonic())) is None:
            await self._pause(DIALS_BUSY_S)
        await self._pause(wait)
        if self._stopped.done():
            return None
        slot = self._slot()
        link = Link(self, self._core.lib, self._core.ffi, self._slots[slot], target(url), self._shared.clock, self._shared.headers)
        life = _Life(link, slot, Budget(self._venue.product.session.limits.requests), asyncio.get_running_loop().create_future())
        life.books = Books(self._venue.messages)
        life.first_messages = life.messages = self._messages(life)
        life.messages_ns = life.duty_ns = time.monotonic_ns()
        self._lives.append(life)
        dialling = asyncio.ensure_future(dial(link, url, self._shared.tls, self._shared.resolver, turn=self._turn))
        await asyncio.wait([dialling, self._stopped], return_when=asyncio.FIRST_COMPLETED)
        if not dialling.done():
            dialling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await dialling
            except LinkError as error:
                self._log.warning("dial failed", reason=str(error), next_try_within_s=round(self._backoff.ceiling, 2))
        if link.state is not State.OPEN:
            if link.opened_ns:
                self._log.warning("link lost", reason=link.lost.result(), up_s=0.0)
            link.drop("dial failed")
            self._turn += 1  # the next try goes to the next address of the host
            self._retire(life)
            return None
        self.links += 1
        self._note_health(time.monotonic_ns())
        self._log.info("connected", streams=len(self.plan.streams), by_message=len(self.plan.by_message))
        if self.plan.by_message:
            life.subscriber = asyncio.create_task(self._subscribe(life))
        return life

    async def _address(self) -> str | None:
        """Where to dial, after what that takes has been fetched. None: it could not be had, which has been logged, or all is to stop."""
        if not self._fetches:
            return self.plan.url
        asking = asyncio.ensure_future(address(self._venue, self.plan, self._shared.fetch, self._shared.base))
        ends: list[asyncio.Future[Any]] = [asking, self._stopped]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            return None
        try:
            url, self._names = asking.result()
        except K4Error as error:
            wait = round(self._backoff.ceiling, 2)
            self._log.warning("what a connect needs could not be fetched", reason=str(error), next_try_within_s=wait)
            return None
        return url

    async def _live(self, life: _Life) -> _Life | None:
        """Waits until the link is lost (None), or is to be replaced while it still works (then itself)."""
        ends: list[asyncio.Future[Any]] = [life.link.lost, life.replace, self._stopped]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        good_s = max(0, life.messages_ns - life.link.opened_ns) / 1e9 if life.messages > life.first_messages else 0.0
        self._backoff.ended(good_s)
        if life.link.state is State.LOST:
            self._log.warning("link lost", reason=life.link.lost.result(), up_s=round((time.monotonic_ns() - life.link.opened_ns) / 1e9, 1))
            self._retire(life)
            return None
        if life.replace.done():
            self._log.info("replacing the link", reason=life.replace.result())
            return life
        return None

    async def _hand_over(self, old: _Life, new: _Life) -> None:
        """Closes `old` once `new` has brought data, or has had time enough to."""
        deadline = time.monotonic() + PROVEN_S
        while new.link.state is State.OPEN and self._messages(new) == new.first_messages and time.monotonic() < deadline:
            await self._pause(0.02)
            if self._stopped.done():
                return
        if new.link.state is State.OPEN or old.link.state is State.LOST:
            await old.link.close()
            self._retire(old)
            self._log.info("replaced the link", proven=self._messages(new) > new.first_messages)

    def _slot(self) -> int:
        """A `k4_conn` that no link uses. The second one exists only while a link is being replaced, under a name of its own."""
        lib, ffi = self._core.lib, self._core.ffi
        if self._free:
            return self._free.pop(0)
        error = ffi.new("char[256]")
        name = self.name + ("" if not self._slots else "b")
        conn = lib.k4_conn_open(self._core.feed, self._core.product, name.encode(), self.plan.symbol.encode(), MESSAGE_CAP, error, 256)
        if conn == ffi.NULL:
            raise K4Error(f"connection {name}: {ffi.string(error).decode()}")
        self._slots.append(conn)
        return len(self._slots) - 1

    def _retire(self, life: _Life) -> None:
        if life not in self._lives:
            return
        if life.subscriber is not None:
            life.subscriber.cancel()
        for task in life.snapshots:
            task.cancel()
        self._lives.remove(life)
        # At once, not when it is dialled again: a standby may have to take over.
        self._core.lib.k4_conn_reset(self._slots[life.slot])
        self._free.append(life.slot)
        self._free.sort()
        self._note_health(time.monotonic_ns())

    def _note_health(self, now_ns: int) -> None:
        up = any(life.link.state is State.OPEN for life in self._lives)
        if not up:
            self.healthy_since_ns = 0
        elif not self.healthy_since_ns:
            self.healthy_since_ns = now_ns
        if self.stale_books:
            self._note_books()

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but not past `stop`."""
        if seconds > 0 and not self._stopped.done():
            await asyncio.wait([self._stopped], timeout=seconds)

    # ------------------------------------------------------------------ what is sent

    async def _subscribe(self, life: _Life) -> None:
        product = self._venue.product
        assert product.session.subscribe is not None
        asked = session.requests(product, product.session.subscribe, self.plan.by_message, self._next_id, self._names)
        self._next_id += len(asked)
        for request in asked:
            while (wait := life.budget.wait(time.monotonic(), RESERVE)) > 0 or life.link.full:  # noqa: ASYNC110 (a rate, not an event)
                await asyncio.sleep(max(wait, 0.01))
            if life.link.state is not State.OPEN:
                return
            life.budget.spend(time.monotonic())
            life.link.send_text(request.text)
            life.subscriptions.sent(request, time.monotonic())

    def _probe(self, life: _Life, now_ns: int) -> None:
        """Sends what makes the venue answer."""
        text = session.ping_text(self._venue.product, number=self._next_id, now_ns=time.time_ns(), fetched=self._names)
        if text is None:
            life.link.send_ping(b"k4")
        else:
            self._next_id += 1
            life.link.send_text(text)
        life.duty_ns = now_ns

    def _answer(self, life: _Life) -> None:
        """Sends the newest pong if the venue's limit and the write buffer allow, else keeps it for the next tick."""
        if life.pong is not None and not life.link.full and life.budget.take(time.monotonic()):
            life.link.send_pong(life.pong)
            life.pong = None

    # ------------------------------------------------------------------ books that are stale

    def _note_books(self) -> None:
        keys = [life.books.keys for life in self._lives if life.link.state is State.OPEN]
        self.stale_books = frozenset.intersection(*keys) if keys else frozenset()

    def _book(self, life: _Life, event: Event) -> None:
        symbol = event.data.decode(errors="replace")
        stale = life.books.turned(event.message, symbol, event.code, time.monotonic())
        self._note_books()
        if stale is None or stale.reason == NO_SNAPSHOT:
            return  # as every book begins
        if event.code == LIVE:
            self._log.info("book live", symbol=symbol, records="+".join(stale.records))
        else:
            self._log.warning("book stale", symbol=symbol, records="+".join(stale.records), reason=REASONS[event.code])

    def _ask_for_books(self, life: _Life, now: float) -> None:
        """Asks for the snapshots that are due, as far as the venue's limits allow."""
        for stale in life.books.due(now):
            if stale.snapshot is not None and self._shared.fetch is not None:
                if len(life.snapshots) == SNAPSHOTS_AT_ONCE:
                    return
                task = asyncio.create_task(self._fetch_book(life, stale, stale.snapshot, self._shared.fetch))
                life.snapshots.add(task)
                task.add_done_callback(life.snapshots.discard)
            elif not self._subscribe_anew(life, stale, now):
                return
            elif stale.reason == NO_SNAPSHOT:
                self._log.warning("no snapshot of a book has come", symbol=stale.symbol, records="+".join(stale.records))
            life.books.asked(stale, now)

    def _subscribe_anew(self, life: _Life, stale: Stale, now: float) -> bool:
        """Unsubscribes and subscribes the stream that brings a book. False: not now."""
        manners = self._venue.product.session
        streams = [s for s in self.plan.by_message if stale.message in s.messages and s.symbol in (None, stale.symbol)]
        if not streams or manners.subscribe is None or manners.unsubscribe is None:
            if not life.replace.done():
                life.replace.set_result(f"the book of {stale.symbol} is stale, and only a new link brings another")
            return True
        if life.link.full or life.budget.wait(now, RESERVE + 1) > 0:
            return False
        for manner in (manners.unsubscribe, manners.subscribe):
            for request in session.requests(self._venue.product, manner, streams, self._next_id, self._names):
                self._next_id += 1
                life.budget.spend(now)
                life.link.send_text(request.text)
                if manner is manners.subscribe:
                    life.subscriptions.sent(request, now)
        return True

    async def _fetch_book(self, life: _Life, stale: Stale, index: int, fetch: Fetch) -> None:
        message, product = self._venue.messages[index], self._venue.product
        known = {**self._names, "symbol": stale.symbol}
        url = session.fetch_url(product, message, known, now_ns=time.time_ns())
        try:
            body = await fetch.get(url, session.fetch_body(product, message, known, now_ns=time.time_ns()), most=SNAPSHOT_BYTES)
        except K4Error as error:
            self._log.warning("a book's snapshot could not be fetched", symbol=stale.symbol, reason=str(error))
            return
        if life.link.state is State.OPEN and not life.link.fetched(index, stale.symbol, body):
            self._log.warning("a book's snapshot does not help", symbol=stale.symbol, body=_sample(body))

    # ------------------------------------------------------------------ what is watched

    def _watch(self, life: _Life, now_ns: int) -> None:
        self._answer(life)
        self._count(life, now_ns)
        link = life.link
        if link.last_ns >= life.probe_ns:
            life.probe_ns = 0  # any byte is a sign of life
        if life.probe_ns and now_ns - life.probe_ns >= PROBE_DEAD_NS:
            link.drop(f"no answer to a probe for {PROBE_DEAD_NS / 1e9:g} s")
            return
        if self._silence_ns is not None and now_ns - life.messages_ns >= self._silence_ns:
            link.drop(f"no frame for {self._silence_ns / 1e9:g} s", 1000)
            return
        if self._age_ns is not None and now_ns - link.opened_ns >= self._age_ns and not life.replace.done():
            life.replace.set_result(f"it is {self._age_ns / 1e9:g} s old")
        idle = now_ns - link.last_ns >= PROBE_IDLE_NS and now_ns - life.probed_ns >= self._probe_every_ns and not life.probe_ns
        ping = self._venue.product.session.ping
        due = ping is not None and ping.every_s is not None and now_ns - life.duty_ns >= ping.every_s * _SECOND_NS
        if (idle or due) and not link.full and life.budget.take(now_ns / 1e9):
            self._probe(life, now_ns)
            if idle:
                life.probe_ns = life.probed_ns = now_ns
        self._ask_for_books(life, now_ns / 1e9)
        late = life.subscriptions.overdue(now_ns / 1e9)
        if late:
            self._log.warning("subscription not answered", streams=symbols(late))

    def _count(self, life: _Life, now_ns: int) -> None:
        messages = self._messages(life)
        if messages != life.messages:
            life.messages, life.messages_ns = messages, now_ns

    def _messages(self, life: _Life) -> int:
        """Messages and pings of the peer: what a link must bring to count as alive, other than answers to our probes."""
        stats = self._core.ffi.new("k4_conn_stats *")
        self._core.lib.k4_conn_stats_get(self._slots[life.slot], stats)
        return int(stats.messages + stats.pings)

    def _stats(self, conn: Any) -> dict[str, int]:
        stats = self._core.ffi.new("k4_conn_stats *")
        self._core.lib.k4_conn_stats_get(conn, stats)
        return {name: int(getattr(stats, name)) for name, _ in self._core.ffi.typeof("k4_conn_stats").fields}

    # ------------------------------------------------------------------ what the link reports

    def writable(self, link: Link) -> None:
        for life in self._lives:
            if life.link is link:
                self._answer(life)

    def event(self, link: Link, event: Event) -> None:
        for life in self._lives:
            if life.link is link:
                break
        else:
            return
        lib = self._core.lib
        if event.kind == lib.K4_EVENT_MESSAGE:
            self._note(life, event)
        elif event.kind == lib.K4_EVENT_PING:
            life.pong = event.data
            self._answer(life)
        elif event.kind == lib.K4_EVENT_REFUSED:
            self._refused(event)
        elif event.kind == lib.K4_EVENT_BOOK:
            self._book(life, event)

    def _note(self, life: _Life, event: Event) -> None:
        """Puts a message that is no market data where it is read in its turn."""
        if event.message < 0:  # known already that no message of the spec takes it
            self._log.warning("the spec has no message for a frame", frame=_sample(event.data))
            return
        size = len(event.data)
        if size > READ_BYTES:
            self._log.warning("a message that is no market data is too long to be read", frame=_sample(event.data))
            return
        if len(life.backlog) == BACKLOG_MESSAGES or life.backlog_bytes + size > BACKLOG_BYTES:
            life.link.drop("the peer floods with messages that are no market data", 1008)
            life.backlog.clear()
            return
        if not life.backlog:
            asyncio.get_running_loop().call_soon(self._read, life)
        life.backlog.append(event)
        life.backlog_bytes += size

    def _read(self, life: _Life) -> None:
        """Reads of the backlog what a slice of time allows, and comes back for the rest."""
        until = time.monotonic_ns() + READ_SLICE_NS
        while life.backlog and life.link.state is not State.LOST:
            event = life.backlog[0]
            readings = self._venue.read(event.data)
            for reading in readings:
                self._said(life, reading)
            if not readings:
                self._log.warning("the spec has no message for a frame", frame=_sample(event.data))
            # Taken out last: while anything is in it, this is scheduled.
            life.backlog.popleft()
            life.backlog_bytes -= len(event.data)
            if life.backlog and time.monotonic_ns() >= until:
                asyncio.get_running_loop().call_soon(self._read, life)
                return
        life.backlog.clear()
        life.backlog_bytes = 0

    def _refused(self, event: Event) -> None:
        kind = self._venue.messages[event.message].record if event.message >= 0 else None
        code = _REFUSALS[event.code] if event.code < len(_REFUSALS) else str(event.code)
        self._log.warning("refused", kind=kind, code=code, offset=event.offset, frame=_sample(event.data))

    def _said(self, life: _Life, reading: Reading) -> None:
        """Acts on one message that is no market data. `pong` and `control` mean nothing beyond being a sign of life."""
        if reading.kind == "ack":
            life.subscriptions.ack(reading.said)
        elif reading.kind == "error":
            rejected = life.subscriptions.error(reading.said)
            names = {"streams": symbols(rejected.streams)} if rejected.streams else {}
            self._log.error("the venue reports an error", code=rejected.code, text=rejected.text, **names)
        elif reading.kind == "notice":
            if not life.replace.done():
                life.replace.set_result("the venue announced that it will close it")
        elif reading.kind == "ping":
            text = session.answer(
                self._venue.product, reading.message, reading.said, number=self._next_id, now_ns=time.time_ns(), fetched=self._names
            )
            if text is not None and not life.link.full:
                life.budget.spend(time.monotonic())
                life.link.send_text(text)


def _sample(frame: bytes, most: int = 300) -> str:
    text = frame[:most].decode(errors="backslashreplace")
    return text if len(frame) <= most else f"{text}… ({len(frame)} bytes)"
