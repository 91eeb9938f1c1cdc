"""One configured connection: keeps a link to the venue up, reconnects, replaces it in time, and changes what it carries.

A connection has one link at a time, two while one is being replaced: the new one is proven before the old one is closed. What a link
says and hears while it is up: `k4.life`. Imports `backoff`, `dials`, `drift`, `errors`, `life`, `link`, `names`, `session`, `slowest`,
`stuck`, `subscription`, `venue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any

from . import drift
from .backoff import Backoff
from .errors import K4Error
from .life import Core, Life, Shared
from .link import LinkError, State, dial
from .names import address
from .session import Plan
from .slowest import Race
from .stuck import Expected
from .subscription import symbols
from .venue import Venue

MESSAGE_CAP = 1 << 20
# A new link has so long to prove itself, once it has asked for everything.
PROVEN_S = 5.0
# After that both go on for so long: what the old one had under way comes yet, and an ack may come before the first update.
OVERLAP_S = 0.5
# Of what the venue allows, a link becomes so old at most, and so much less if all its siblings are older.
AGE_SHARE = 0.95
AGE_SPREAD = 0.45
# From here on it is replaced, be dials scarce or siblings being replaced.
AGE_LAST = 0.98
# Without any healthy connection left, a group does not wait for longer: the dials that are counted keep it polite.
LONELY_S = 5.0
# While another process holds the file that counts dials.
DIALS_BUSY_S = 0.005
_SECOND_NS = 1_000_000_000


class Connection:
    """`index` of `of` that are never to be replaced together: redundant siblings, and the parts of each.

    `plan.url` is dialled as it is: endpoints have been replaced in it before.

    Raises K4Error when C refuses the connection (too many sources, a product it cannot arbitrate).
    """

    def __init__(self, core: Core, venue: Venue, plan: Plan, shared: Shared, *, name: str, index: int = 0, of: int = 1) -> None:
        self.name = name
        self.plan = plan
        self.healthy_since_ns = 0  # monotonic; 0 = no link is up
        self.stale_books: frozenset[tuple[str, str]] = frozenset()  # (record, symbol) of what no link that is up has a good book of
        self.refused: frozenset[tuple[str, str]] = frozenset()  # the same of what the venue gives to no link that is up
        self.links = 0  # how often a link came up
        self.renewed = 0  # streams that were subscribed anew for being stuck
        self._core = core
        self._venue = venue
        self._shared = shared
        self._log = shared.log.bind(connection=name)
        self._slots: list[Any] = []
        self._free: list[Any] = []
        self._lives: list[Life] = []
        self._backoff = Backoff()
        self._turn = index
        self._fetches = any(message.record == "vars" for message in venue.messages)
        self._quick: frozenset[str] | None = None  # messages that the fast tier should take
        self._names: dict[str, str] = {}  # what was fetched before the newest connect
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        limits = venue.product.session.limits
        self._last_age_s = None if limits.age_s is None else limits.age_s * AGE_LAST
        self._age_s = None if limits.age_s is None else limits.age_s * (AGE_SHARE - AGE_SPREAD * index / of)
        self._free.append(self._slot())  # what C refuses is known before anything is dialled

    # ------------------------------------------------------------------ for the worker

    async def run(self) -> None:
        """Keeps the connection up until `stop`."""
        old: Life | None = None  # it still works while a new link is brought up in its place
        while not self._stopped.done():
            new = await self._bring_up()
            if new is not None and (old is None or await self._handed_over(old, new)):
                old = None  # it has ended, and its memory need not wait for the end of this one
                old = await self._live(new)
            new = None  # nor may one that is lost wait for the next one
            if not self._stopped.done():
                await self._pause(self._backoff.next(LONELY_S if self._shared.dials.lonely() else math.inf))
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

    def change(self, plan: Plan) -> None:
        """Carries `plan` from now on, at least one stream; what both plans have goes on without a gap.

        A link that is up is asked for what is new and told what is gone, within the venue's limits. Where the venue has no message
        for that, or the URL alone says what a link carries, another link takes over before this one is closed.
        """
        self.plan = plan
        for life in self._lives:
            if life.link.state is State.OPEN:
                life.change(plan)

    def renew(self, keys: frozenset[tuple[str, str]]) -> None:
        """Subscribes what brings these (record, symbol) anew: it is stuck."""
        for life in self._lives:
            if life.link.state is State.OPEN and not life.replace.done():
                streams = [s for s in life.plan.streams if any((record, s.symbol) in keys for record in s.records)]
                if streams:
                    self.renewed += len(streams)
                    life.renew(streams, f"{symbols(streams, 1)} is stuck, and only a new link subscribes it anew")

    def stuck(self, expected: Expected, missing_ns: int) -> list[int]:
        """The instruments that its link, though all was asked for, has not brought in time, as of the last survey."""
        return [instrument for life in self._lives for instrument in life.stuck(expected, missing_ns)]

    def tick(self, now_ns: int) -> None:
        """Looks after liveness, duties and pacing; ten times a second. `now_ns`: monotonic."""
        for life in [*self._lives]:
            if life.link.state is State.OPEN:
                life.tick(now_ns)
                self._look_at_age(life, now_ns)
        self._note_health(now_ns)

    def _look_at_age(self, life: Life, now_ns: int) -> None:
        """Has a link replaced in time; a little later where siblings are being replaced, or dials are scarce."""
        if self._age_s is None or self._last_age_s is None or life.replace.done():
            return
        age_s, now = (now_ns - life.link.opened_ns) / 1e9, now_ns / 1e9
        if (age_s >= self._age_s and self.spare(now)) or age_s >= self._last_age_s:
            life.ask_to_be_replaced(f"it is {min(age_s, self._age_s):g} s old")

    def stats(self) -> dict[str, int]:
        """The C counters of this connection, over all its links."""
        total: dict[str, int] = {}
        stats = self._core.ffi.new("k4_conn_stats *")
        for conn in self._slots:
            self._core.lib.k4_conn_stats_get(conn, stats)
            for name, _ in self._core.ffi.typeof("k4_conn_stats").fields:
                total[name] = total.get(name, 0) + int(getattr(stats, name))
        return total

    def race(self) -> Race:
        """How it does against its siblings, over all its links."""
        lib, ffi = self._core.lib, self._core.ffi
        stats, lags = ffi.new("k4_conn_stats *"), ffi.new("uint64_t[]", lib.K4_LAG_STEPS)
        wins = losses = 0
        for conn in self._slots:
            lib.k4_conn_stats_get(conn, stats)
            wins, losses = wins + int(stats.wins), losses + int(stats.duplicates)
        lib.k4_conn_lags(self._slots[0], lags)  # of the source, which is the same for all of them
        return Race(wins, losses, tuple(lags))

    def settled_since_ns(self) -> int:
        """Since when its one link is up (monotonic); 0: it has none, or is being replaced."""
        up = [life.link.opened_ns for life in self._lives if life.link.state is State.OPEN and not life.replace.done()]
        return up[0] if len(up) == 1 and len(self._lives) == 1 else 0

    def redial(self, reason: str) -> None:
        """Has another link take over, to the next address of the host."""
        self._turn += 1
        for life in self._lives:
            life.ask_to_be_replaced(reason)

    def spare(self, now: float) -> bool:
        """Whether a dial may go into what can wait, its turn being taken."""
        return self._shared.dials.spare(now) and self._shared.turns.take(now)

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

    async def _bring_up(self) -> Life | None:
        """Dials once. None: it did not work, which has been logged."""
        url = await self._address()
        if url is None:
            return None
        while (wait := self._shared.dials.reserve(time.monotonic())) is None:
            await self._pause(DIALS_BUSY_S)
        await self._pause(wait)
        if self._stopped.done():
            return None
        life = Life(self._core, self._venue, self._shared, self._log, self._slot(), self.plan, self._names, url)
        link = life.link
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
        del dialling  # it has the error, which has this frame, which would have it: such a ring keeps all that the link was made of
        if link.state is not State.OPEN:
            if link.opened_ns:
                self._log.warning("link lost", reason=link.lost.result(), up_s=0.0)
            link.drop("dial failed")
            self._turn += 1  # the next try goes to the next address of the host
            self._retire(life)
            return None
        self.links += 1
        self._note_health(time.monotonic_ns())
        self._log.info("connected", streams=len(life.plan.streams), by_message=len(life.plan.by_message))
        life.begin()
        if life.plan is not self.plan:
            life.change(self.plan)  # it has changed while the link was dialled
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

    async def _live(self, life: Life) -> Life | None:
        """Waits until the link is lost (None), or is to be replaced while it still works (then itself)."""
        ends: list[asyncio.Future[Any]] = [life.link.lost, life.replace, self._stopped]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._backoff.ended(life.good_s)
        if life.link.state is State.LOST:
            self._lost(life)
            return None
        if life.replace.done():
            self._log.info("replacing the link", reason=life.replace.result())
            return life
        return None

    async def _handed_over(self, old: Life, new: Life) -> bool:
        """Closes `old` once `new` is proven, or has had time enough to prove itself. False: `new` was lost before, and `old` goes on."""
        patience = 0.0  # until then it may prove itself
        ready = 0.0  # since then it could take over
        while State.LOST not in (new.link.state, old.link.state) and not self._stopped.done():
            now = time.monotonic()
            if not patience and new.subscriptions.next is None:
                patience = now + PROVEN_S
            proven = new.asked and new.spoken and new.stale_books <= old.stale_books
            if not ready and (proven or (patience and now >= patience)):
                ready = now
            if ready and now >= ready + OVERLAP_S:
                break
            await self._pause(0.02)
        if new.link.state is State.LOST and old.link.state is not State.LOST:
            self._lost(new)
            return False
        if not self._stopped.done():
            await old.link.close()
            self._retire(old)
            self._log.info("replaced the link", proven=new.spoken)
        return True

    def _slot(self) -> Any:
        """A `k4_conn *` that no link uses. The second one exists only while a link is being replaced; both are the same source."""
        lib, ffi = self._core.lib, self._core.ffi
        if self._free:
            return self._free.pop(0)
        error = ffi.new("char[256]")
        told = (text.encode() for text in (self.name, self._venue.transport, self.plan.symbol))
        conn = lib.k4_conn_open(self._core.feed, self._core.product, *told, MESSAGE_CAP, error, 256)
        if conn == ffi.NULL:
            raise K4Error(f"connection {self.name}: {ffi.string(error).decode()}")
        self._slots.append(conn)
        return conn

    def _lost(self, life: Life) -> None:
        up_s = round((time.monotonic_ns() - life.link.opened_ns) / 1e9, 1)
        self._log.warning("link lost", reason=life.link.lost.result(), up_s=up_s)
        self._retire(life)

    def _retire(self, life: Life) -> None:
        if life not in self._lives:
            return
        life.end()
        self._lives.remove(life)
        # At once, not when it is dialled again: a standby may have to take over.
        self._core.lib.k4_conn_reset(life.link.conn)
        self._free.append(life.link.conn)
        self._free.sort(key=self._slots.index)
        self._note_health(time.monotonic_ns())

    def _note_health(self, now_ns: int) -> None:
        up = [life for life in self._lives if life.link.state is State.OPEN]
        self.stale_books = frozenset.intersection(*(life.stale_books for life in up)) if up else frozenset()
        self.refused = frozenset.intersection(*(life.refused for life in up)) if up else frozenset()
        if not up:
            self.healthy_since_ns = 0
        elif not self.healthy_since_ns:
            self.healthy_since_ns = now_ns

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but not past `stop`."""
        if seconds > 0 and not self._stopped.done():
            await asyncio.wait([self._stopped], timeout=seconds)
