"""One link while it is up: what it is asked for, probes and answers, its liveness, its books.

`k4.connection` brings links up, replaces them and ends them; here is what a link says and hears in between. `tick` is called ten times a
second and is all that measures time, on the monotonic clock. No exchange is known here: what is said comes from `session`, what is
understood from `venue`. Market data passes below this module, in C.
Imports `backoff`, `books`, `clock`, `dials`, `errors`, `fetch`, `inbox`, `link`, `log`, `secrets`, `session`, `stuck`,
`subscription`, `venue`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import session
from .backoff import Budget, Turns
from .books import LIVE, NO_SNAPSHOT, REASONS, Books, Stale
from .clock import Clock
from .dials import Dials
from .errors import K4Error
from .fetch import Fetch
from .inbox import Inbox, sample
from .link import Event, Link, Resolver, State, target
from .log import Logger
from .secrets import Secret
from .session import Names, Plan, Stream
from .stuck import Expected
from .subscription import Rejected, Subscriptions, symbols
from .venue import Reading, Venue

# A link is looked at ten times a second, so it has been idle for half a second at most when it is probed.
PROBE_IDLE_NS = 400_000_000
PROBE_DEAD_NS = 1_000_000_000
# A look that comes so long after the last one tells that this process was held up, and perhaps the machine, the peer with it.
HELD_UP_NS = 500_000_000
# Kept free of requests, so that a pong and a probe always fit into what the venue allows.
RESERVE = 2
# Links are replaced so far apart at least, where that can wait.
TURN_S = 60.0
# So many snapshots are asked for at a time; the fetcher paces them besides.
SNAPSHOTS_AT_ONCE = 4
SNAPSHOT_BYTES = 8 << 20
_SECOND_NS = 1_000_000_000
_NEVER_NS = (1 << 63) - 1
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

    `fetch`: None where the product fetches nothing. `headers`: of the upgrade request. `turns`: whose link may be replaced without need.
    """

    tls: ssl.SSLContext
    resolver: Resolver
    dials: Dials
    log: Logger
    clock: Clock
    fetch: Fetch | None = None
    base: str | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    turns: Turns = field(default_factory=lambda: Turns(TURN_S))


class Life:
    """A link to `url` that carries `plan`, with a fresh or reset `k4_conn *`. `names`: what was fetched for its connect.

    `replace` becomes true, with the reason, when a new link should take over while this one still works.
    """

    def __init__(self, core: Core, venue: Venue, shared: Shared, log: Logger, conn: Any, plan: Plan, names: Names, url: str) -> None:
        self.link = Link(self, core.lib, core.ffi, conn, target(url), shared.clock, shared.headers)
        self.plan = plan
        self.replace: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.subscriptions = Subscriptions(venue.product, venue.messages, names)
        self._core = core
        self._venue = venue
        self._shared = shared
        self._log = log
        self._names = names
        limits = venue.product.session.limits
        self._budget = Budget(limits.requests)  # of all that is sent
        self._subscribes = Budget(limits.subscribes)
        # Half of the sustained rate at most goes into probes.
        self._probe_every_ns = max([PROBE_IDLE_NS, *(int(2 * seconds / count * _SECOND_NS) for count, seconds in limits.requests)])
        self._silence_ns = None if limits.silence_s is None else int(limits.silence_s * _SECOND_NS)
        self._books = Books(venue.messages, venue.transport)
        self._snapshots: set[asyncio.Task[None]] = set()  # being fetched
        self._inbox = Inbox(self.link, venue, log, self._said)
        self._pong: bytes | None = None  # the newest ping that could not be answered yet
        self._probe_ns = 0  # when the probe was sent that has no answer yet
        self._probed_ns = 0  # when the last probe was sent
        self._looked_ns = 0  # when liveness was last looked at
        self._duty_ns = time.monotonic_ns()  # when the venue's keepalive was last done
        self._first_messages = self._messages = self._count()  # of the peer, when the link was made and as last counted
        self._messages_ns = self._duty_ns  # when that count last grew

    # ------------------------------------------------------------------ for the connection

    def begin(self) -> None:
        """The link is up: asks for what its URL does not name."""
        self._core.lib.k4_conn_asked(self.link.conn)
        if self.plan.by_message:
            self.subscriptions.subscribe(self.plan.by_message)
            self._ask(time.monotonic())

    def end(self) -> None:
        """The link is lost: its parts let go of each other, and their memory goes at once."""
        for task in self._snapshots:
            task.cancel()
        self.link.forget()
        self._inbox.forget()

    def tick(self, now_ns: int) -> None:
        """Looks after liveness, duties and pacing. `now_ns`: monotonic."""
        self._answer()
        self._count_messages(now_ns)
        if not self._alive(now_ns):
            return
        ping = self._venue.product.session.ping
        idle = now_ns - self.link.last_ns >= PROBE_IDLE_NS and now_ns - self._probed_ns >= self._probe_every_ns and not self._probe_ns
        due = ping is not None and ping.every_s is not None and now_ns - self._duty_ns >= ping.every_s * _SECOND_NS
        if (idle or due) and not self.link.full and self._budget.take(now_ns / 1e9):
            self._probe(now_ns)
            if idle:
                self._probed_ns = now_ns
                self._expect_answer(now_ns)
        self._ask_for_books(now_ns / 1e9)
        self.subscriptions.tick(now_ns / 1e9)
        self._ask(now_ns / 1e9)
        late = self.subscriptions.overdue(now_ns / 1e9)
        if late:
            self._log.warning("subscription not answered", streams=symbols(late))

    def change(self, plan: Plan) -> None:
        """Carries `plan` from now on: what is new is subscribed, what is gone is unsubscribed; else by another link."""
        step = session.step(self._venue.product, self.plan, plan)
        if step is None:
            self.ask_to_be_replaced("what it carries has changed")
            return
        self.plan = plan
        self._books.forget(step.gone)
        if step.gone:
            self.subscriptions.unsubscribe(step.gone)
        if step.new:
            self.subscriptions.subscribe(step.new)
        self._ask(time.monotonic())

    def ask_to_be_replaced(self, reason: str) -> None:
        if not self.replace.done():
            self.replace.set_result(reason)

    def renew(self, streams: Sequence[Stream], otherwise: str) -> None:
        """Ends streams and asks for them anew; by another link where there is no message for that, `otherwise` being the reason."""
        manners = self._venue.product.session
        if manners.subscribe is None or manners.unsubscribe is None or session.of_one_stream(self._venue.product):
            self.ask_to_be_replaced(otherwise)
            return
        self.subscriptions.unsubscribe(streams)
        self.subscriptions.subscribe(streams)
        self._ask(time.monotonic())

    def stuck(self, expected: Expected, missing_ns: int) -> list[int]:
        """The instruments that it has not brought in time, though all was asked for, as of the last survey."""
        if self.link.state is not State.OPEN or self.replace.done() or self.subscriptions.next is not None:
            return []
        lib, ffi, count = self._core.lib, self._core.ffi, len(expected.instruments)
        instruments, out = ffi.from_buffer("uint32_t[]", expected.instruments), ffi.new("uint32_t[]", count)
        silence_ns = _NEVER_NS if expected.silence_ns is None else expected.silence_ns
        found = lib.k4_conn_stuck(self.link.conn, expected.record, instruments, count, silence_ns, missing_ns, out)
        return list(out[0:found])

    @property
    def asked(self) -> bool:
        """Has everything been asked for, and answered?"""
        return self.subscriptions.next is None and not self.subscriptions.open

    @property
    def spoken(self) -> bool:
        """Has the venue said anything on it, beyond answers to probes?"""
        return self._count() > self._first_messages

    @property
    def good_s(self) -> float:
        """For how long it gave good data."""
        return max(0, self._messages_ns - self.link.opened_ns) / 1e9 if self._messages > self._first_messages else 0.0

    @property
    def stale_books(self) -> frozenset[tuple[str, str]]:
        """(record, symbol) of everything that is cut from a stale book."""
        return self._books.keys

    @property
    def refused(self) -> frozenset[tuple[str, str]]:
        """(record, symbol) of what the venue refuses."""
        return frozenset((record, s.symbol or "") for s in self.subscriptions.refused for record in s.records)

    # ------------------------------------------------------------------ what is sent

    def _ask(self, now: float) -> None:
        """Sends the requests that wait, as far as the venue's limits allow."""
        while (request := self.subscriptions.next) is not None and self.link.state is State.OPEN:
            if self.link.full or self._budget.wait(now, RESERVE) > 0 or self._subscribes.wait(now) > 0:
                return
            self._budget.spend(now)
            self._subscribes.spend(now)
            self.link.send_text(request.text)
            self.subscriptions.sent(now)
            if self.subscriptions.next is None:
                self._core.lib.k4_conn_asked(self.link.conn)

    def _probe(self, now_ns: int) -> None:
        """Sends what makes the venue answer."""
        product = self._venue.product
        text = session.ping_text(product, number=self.subscriptions.number(), now_ns=time.time_ns(), fetched=self._names)
        if text is None:
            self.link.send_ping(b"k4")
        else:
            self.link.send_text(text)
        self._duty_ns = now_ns

    def _answer(self) -> None:
        """Sends the newest pong if the venue's limit and the write buffer allow, else keeps it for the next tick."""
        # One message is left for a probe and for the venue's keepalive: a venue that pings all the time must not keep us from these.
        if self._pong is not None and not self.link.full and self._budget.take(time.monotonic(), 1):
            self.link.send_pong(self._pong)
            self._pong = None

    # ------------------------------------------------------------------ books that are stale

    def _book(self, event: Event) -> None:
        symbol = event.data.decode(errors="replace")
        stale = self._books.turned(event.message, symbol, event.code, time.monotonic())
        if stale is None or stale.reason == NO_SNAPSHOT:
            return  # as every book begins
        if event.code == LIVE:
            self._log.info("book live", symbol=symbol, records="+".join(stale.records))
        else:
            self._log.warning("book stale", symbol=symbol, records="+".join(stale.records), reason=REASONS[event.code])

    def _ask_for_books(self, now: float) -> None:
        """Asks for the snapshots that are due, as far as the venue's limits allow."""
        for stale in self._books.due(now):
            if stale.snapshot is not None and self._shared.fetch is not None:
                if len(self._snapshots) == SNAPSHOTS_AT_ONCE:
                    return
                task = asyncio.create_task(self._fetch_book(stale, stale.snapshot, self._shared.fetch))
                self._snapshots.add(task)
                task.add_done_callback(self._snapshots.discard)
            elif self.subscriptions.next is not None:
                return  # others wait before it
            else:
                self._subscribe_anew(stale)
                if stale.reason == NO_SNAPSHOT:
                    self._log.warning("no snapshot of a book has come", symbol=stale.symbol, records="+".join(stale.records))
            self._books.asked(stale, now)

    def _subscribe_anew(self, stale: Stale) -> None:
        """Unsubscribes and subscribes the stream that brings a book."""
        streams = [s for s in self.plan.streams if stale.message in s.messages and s.symbol in (None, stale.symbol)]
        if streams:
            self.renew(streams, f"the book of {stale.symbol} is stale, and only a new link brings another")

    async def _fetch_book(self, stale: Stale, index: int, fetch: Fetch) -> None:
        message, product = self._venue.messages[index], self._venue.product
        known = {**self._names, "symbol": stale.symbol}
        url = session.fetch_url(product, message, known, now_ns=time.time_ns())
        try:
            asked = session.fetch_body(product, message, known, now_ns=time.time_ns())
            body = await fetch.get(url, asked, most=SNAPSHOT_BYTES, weight=message.weight)
        except K4Error as error:
            self._log.warning("a book's snapshot could not be fetched", symbol=stale.symbol, reason=str(error))
            return
        if self.link.state is State.OPEN and not self.link.fetched(index, stale.symbol, body):
            self._log.warning("a book's snapshot does not help", symbol=stale.symbol, body=sample(body))

    # ------------------------------------------------------------------ what is watched

    def _alive(self, now_ns: int) -> bool:
        """False: the link is dead."""
        if self.link.state is not State.OPEN:
            return False
        if self.link.last_ns >= self._probe_ns:
            self._probe_ns = 0  # any byte is a sign of life
        held_up, self._looked_ns = now_ns - self._looked_ns >= HELD_UP_NS, now_ns
        if self._probe_ns and held_up:
            self._expect_answer(now_ns)  # time in which nobody could answer does not count
        if self._probe_ns and now_ns - self._probe_ns >= PROBE_DEAD_NS:
            self.link.drop(f"no answer to a probe for {PROBE_DEAD_NS / 1e9:g} s")
            return False
        if self._silence_ns is not None and now_ns - self._messages_ns >= self._silence_ns:
            self.link.drop(f"no frame for {self._silence_ns / 1e9:g} s", 1000)
            return False
        return True

    def _expect_answer(self, now_ns: int) -> None:
        """From now on the probe may take its time."""
        self._probe_ns = now_ns
        asyncio.get_running_loop().call_later(PROBE_DEAD_NS / 1e9 + 0.001, lambda: self._alive(time.monotonic_ns()))

    def _count_messages(self, now_ns: int) -> None:
        messages = self._count()
        if messages != self._messages:
            self._messages, self._messages_ns = messages, now_ns

    def _count(self) -> int:
        """Messages and pings of the peer: what a link must bring to count as alive, other than answers to our probes."""
        stats = self._core.ffi.new("k4_conn_stats *")
        self._core.lib.k4_conn_stats_get(self.link.conn, stats)
        return int(stats.messages + stats.pings)

    # ------------------------------------------------------------------ what the link reports

    def writable(self, link: Link) -> None:  # noqa: ARG002 (it has one link)
        self._answer()

    def event(self, link: Link, event: Event) -> None:  # noqa: ARG002
        lib = self._core.lib
        if event.kind == lib.K4_EVENT_MESSAGE:
            self._inbox.put(event)
        elif event.kind == lib.K4_EVENT_PING:
            self._pong = event.data
            self._answer()
        elif event.kind == lib.K4_EVENT_REFUSED:
            self._refused(event)
        elif event.kind == lib.K4_EVENT_BOOK:
            self._book(event)

    def _refused(self, event: Event) -> None:
        kind = self._venue.messages[event.message].record if event.message >= 0 else None
        code = _REFUSALS[event.code] if event.code < len(_REFUSALS) else str(event.code)
        self._log.warning("refused", kind=kind, code=code, offset=event.offset, frame=sample(event.data))

    def _said(self, reading: Reading) -> None:
        """Acts on one message that is no market data. `pong` and `control` mean nothing beyond being a sign of life."""
        if reading.kind == "ack":
            self.subscriptions.ack(reading.said)
        elif reading.kind == "error":
            self._rejected(self.subscriptions.error(reading.said, time.monotonic()))
        elif reading.kind == "notice":
            self.ask_to_be_replaced("the venue announced that it will close it")
        elif reading.kind == "ping":
            self._answer_text(reading)

    def _rejected(self, rejected: Rejected) -> None:
        names = {"streams": symbols(rejected.streams)} if rejected.streams else {}
        again = {"asked_again": symbols(rejected.again)} if rejected.again else {}
        log = self._log.info if again and not names else self._log.error
        log("the venue reports an error", code=rejected.code, text=rejected.text, **names, **again)
        self._ask(time.monotonic())

    def _answer_text(self, reading: Reading) -> None:
        product, number = self._venue.product, self.subscriptions.number()
        text = session.answer(product, reading.message, reading.said, number=number, now_ns=time.time_ns(), fetched=self._names)
        if text is not None and not self.link.full:
            self._budget.spend(time.monotonic())
            self.link.send_text(text)
