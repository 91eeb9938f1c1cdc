"""Carries out what was ordered by `--fault`: decides who is meant and when, and runs the faults' scripts.

Imports `client`, `desk`, `fault`, `line`, `net`, `order`, `tamper`, `venue`, `voice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import http
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from k4.sim.client import Client
from k4.sim.desk import Desk
from k4.sim.fault import Door, Fault, Greeting, Link, Message, Reply, Request
from k4.sim.line import GoneError, Line, Teller, Wire
from k4.sim.net import Answer, Peer
from k4.sim.order import Order
from k4.sim.tamper import Told, message_of
from k4.sim.venue import Stream
from k4.sim.voice import Said

log = logging.getLogger(__name__)


class Mute:
    """A teller with nothing to say: there is no client yet, or no market that could be moved."""

    async def more(self, count: int) -> bytes:  # noqa: ARG002
        return b""

    def answer(self, number: int) -> str:  # noqa: ARG002
        return ""

    def notice(self) -> str:
        return ""

    def pack(self, text: str) -> bytes:  # noqa: ARG002
        return b""


class Saboteur:
    """`teller`: gives a client's. Times are monotonic and count from `begin`. `failed`: what scripts raised, for want of rights."""

    def __init__(self, orders: Sequence[Order] = (), *, seed: int = 0, teller: Callable[[Client], Teller] | None = None) -> None:
        self.orders = list(orders)
        self.failed: list[tuple[Fault, Exception]] = []
        self._seed = seed
        self._teller = teller
        self._began = time.monotonic()
        self._fired: dict[Order, int] = {}
        self._there: dict[Client, Sequence[str]] = {}
        self._came: dict[Client, float] = {}
        self._struck: dict[tuple[Order, Client], int] = {}  # in which of its periods an order last changed a message
        self._memory: dict[tuple[Order, Client, Stream], dict[str, Any]] = {}
        self._shared: dict[Order, dict[Any, Any]] = {}
        self._sequences: dict[Order, random.Random] = {}
        self._tasks: dict[asyncio.Task[None], Client | None] = {}

    def begin(self) -> None:
        self._began = time.monotonic()

    def add(self, order: Order) -> None:
        """One more, from now on: those who are there have come just now."""
        self.orders.append(order)
        for client, products in self._there.items():
            if self._concerns(order, client, products):
                self._start(self._wait(order, client), client)

    def clear(self) -> None:
        """Nothing goes wrong any more; what lasts ends."""
        self.orders.clear()
        for task in [*self._tasks]:
            task.cancel()

    async def close(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ a connection comes

    def at_door(self, place: int) -> Callable[[Wire], Coroutine[Any, Any, None]] | None:
        """What becomes of a TCP connection that has just been accepted; nobody knows yet what it wants. None: the usual."""
        for order in self.orders:
            inject = order.fault.inject
            if isinstance(inject, Door) and order.product is None and order.path is None and self._meets(order, place) and self._now(order):
                script = inject.script

                async def run(wire: Wire, script: Any = script, lasts: float | None = order.lasts) -> None:
                    wire.lasts_s = lasts
                    with contextlib.suppress(GoneError):
                        await script(wire)

                return run
        return None

    def greeted(self, peer: Peer, place: int, products: Sequence[str], target: str, head: bytes) -> bool:
        """A request for a WebSocket has come. False: a fault answers it."""
        for order in self.orders:
            inject = order.fault.inject
            if not self._meets(order, place, products, target):
                continue
            if isinstance(inject, Greeting) and self._now(order):
                line = Line(peer, Mute(), order.options, self._lot(order, place), order.lasts, head)
                peer.divert = line.heard.take
                self._start(self._run(order, inject.script(line), peer, ends=True), None)
                return False
            if isinstance(inject, Link) and inject.before is not None and order.first == 0 and self._left(order):
                inject.before(peer)
        return True

    def opened(self, client: Client, products: Sequence[str]) -> None:
        """A WebSocket is up."""
        self._there[client] = products
        self._came[client] = time.monotonic()
        for order in self.orders:
            if not self._concerns(order, client, products):
                continue
            if order.by_accept and order.first == 0 and order.every is None:
                self._count(order)
                self._start(self._act(order, client, order.lasts), client)
            else:
                self._start(self._wait(order, client), client)

    def left(self, client: Client) -> None:
        self._there.pop(client, None)
        self._came.pop(client, None)
        self._struck = {key: period for key, period in self._struck.items() if key[1] is not client}
        self._memory = {key: memory for key, memory in self._memory.items() if key[1] is not client}
        for task, whose in [*self._tasks.items()]:
            if whose is client:
                task.cancel()

    def ended(self, client: Client, stream: Stream) -> None:
        """It is not told of that stream any more: what has befallen it ends."""
        for key in [key for key in self._memory if key[1:] == (client, stream)]:
            del self._memory[key]

    # ------------------------------------------------------------------ what is told, asked and fetched

    @property
    def tampers(self) -> bool:
        return any(isinstance(order.fault.inject, Message) for order in self.orders)

    def alter(self, client: Client, desk: Desk, stream: Stream | None, said: Said) -> list[tuple[float, Said]]:
        """What becomes of a message on its way to a client, each with the seconds it waits."""
        if stream is None:
            index = message_of(desk.venue.messages, said)
            if index is None:
                return [(0.0, said)]
            stream = Stream(index, "")
        out = [(0.0, said)]
        for order in self.orders:
            if isinstance(order.fault.inject, Message) and self._meets(order, client.place, self._there.get(client, ()), client.target):
                changed = [(wait, self._altered(order, order.fault.inject, client, desk, stream, one)) for wait, one in out]
                out = [(wait + more, one) for wait, many in changed for more, one in many]
        return out

    def _altered(self, order: Order, inject: Message, client: Client, desk: Desk, stream: Stream, said: Said) -> list[tuple[float, Said]]:
        as_it_is = [(0.0, said)]
        memory = self._memory.setdefault((order, client, stream), {})
        shared = self._shared.setdefault(order, {})
        goes_on = "more" in memory or (inject.lasting and bool(shared))
        period = 0 if goes_on else self._period(order, client)
        if period is None:
            return as_it_is
        told = Told(said, desk.venue.messages[stream.message], stream.symbol, order.options, self._lots(order), memory, shared)
        told.schema = desk.venue.exchange.schema(desk.venue.product)
        if order.record not in (None, *told.message.records):
            return as_it_is
        if stream.symbol == "" and (named := told.nodes("symbol")):
            told.symbol = named[0].text
        if order.symbol not in (None, told.symbol):
            return as_it_is
        changed = inject.alter(told)
        if changed is None:
            return as_it_is
        if not goes_on:
            self._struck[order, client] = period
            self._count(order)
        return changed

    def _period(self, order: Order, client: Client) -> int | None:
        """In which of its periods an order is to change a message now; None: not now."""
        if not self._left(order):
            return None
        since = time.monotonic() - (self._came.get(client, 0.0) if order.by_accept else self._began) - order.first
        if since < 0:
            return None
        period = 0 if order.every is None else int(since / order.every)
        if order.lasts is not None and since - period * (order.every or 0.0) > order.lasts:
            return None
        if order.p is not None:
            return period if self._lots(order).random() < order.p else None
        return None if order.lasts is None and self._struck.get((order, client)) == period else period

    def asked(self, client: Client) -> str:
        """How a request to subscribe is answered (`Request.outcome`); "": as it is meant."""
        for order in self.orders:
            inject = order.fault.inject
            if not isinstance(inject, Request):
                continue
            if self._meets(order, client.place, self._there.get(client, ()), client.target) and self._now(order):
                return inject.outcome
        return ""

    def fetched(self, target: str, answer: Answer) -> Answer:
        """What becomes of an answer to what is fetched."""
        for order in self.orders:
            inject = order.fault.inject
            if isinstance(inject, Reply) and self._meets(order, 0, (), target) and self._now(order):
                headers = (f"Retry-After: {float(order.options['retry']):.0f}",) if "retry" in order.options else ()
                status = answer.status if inject.status == http.HTTPStatus.OK else http.HTTPStatus(inject.status)
                body = b"<html>maintenance</html>" if inject.garbage or inject.status != http.HTTPStatus.OK else answer.body
                return Answer(status, body, answer.kind, headers, float(order.options.get("wait", 0.0)), inject.cut)
        return answer

    # ------------------------------------------------------------------ when

    async def _wait(self, order: Order, client: Client) -> None:
        """Acts on one link whenever the order is due, until it is gone."""
        base = time.monotonic() if order.by_accept else self._began
        due = base + order.first
        came = time.monotonic()
        while True:
            lasts = order.lasts
            late = came - due
            if late > (lasts or 0.0) and not order.by_accept:
                if order.every is None:
                    return
                due += order.every * max(1, int(late / order.every))  # who comes later than that is not meant
                continue
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self._left(order):
                return
            self._count(order)
            await self._act(order, client, lasts if lasts is None or late < 0 else lasts - late)
            if order.every is None:
                return
            due = max(due + order.every, time.monotonic())

    async def _act(self, order: Order, client: Client, lasts: float | None) -> None:
        inject = order.fault.inject
        assert isinstance(inject, Link)
        tell = Mute() if self._teller is None else self._teller(client)
        line = Line(client.peer, tell, order.options, self._lot(order, client.number), lasts)
        client.line = line
        await self._run(order, inject.script(line), client.peer, ends=inject.ends)

    async def _run(self, order: Order, script: Any, peer: Peer, *, ends: bool) -> None:
        log.info("fault %s", order.fault.name)
        try:
            await script
        except GoneError:
            pass
        except PermissionError as error:
            self.failed.append((order.fault, error))
            log.warning("fault %s: not run: %s", order.fault.name, error)
        if ends:
            peer.abort()

    def _now(self, order: Order) -> bool:
        """Is an order that takes connections as they come due? Then it counts as carried out."""
        if not self._left(order):
            return False
        since = time.monotonic() - self._began - (order.first if not order.by_accept else 0.0)
        if since < 0:
            return False
        if order.every is not None:
            since %= order.every
        if not order.by_accept and order.lasts is not None and since > order.lasts:
            return False
        self._count(order)
        return True

    def _left(self, order: Order) -> bool:
        return order.times is None or self._fired.get(order, 0) < order.times

    def _count(self, order: Order) -> None:
        self._fired[order] = self._fired.get(order, 0) + 1

    # ------------------------------------------------------------------ who

    def _concerns(self, order: Order, client: Client, products: Sequence[str]) -> bool:
        return isinstance(order.fault.inject, Link) and self._left(order) and self._meets(order, client.place, products, client.target)

    def _meets(self, order: Order, place: int, products: Sequence[str] = (), target: str = "") -> bool:
        if order.conn is not None and order.conn != place:
            return False
        if order.product is not None and order.product not in products:
            return False
        if order.path is not None and not fnmatch.fnmatchcase(target, order.path):
            return False
        return order.share is None or self._lot(order, place).random() < order.share

    def _lots(self, order: Order) -> random.Random:
        """One sequence for all messages of an order."""
        return self._sequences.setdefault(order, self._lot(order, 0))

    def _lot(self, order: Order, number: int) -> random.Random:
        """The same for the same seed, order and connection."""
        return random.Random(f"{self._seed} {order.fault.name} {self.orders.index(order)} {number}")  # noqa: S311 (no secret)

    def _start(self, work: Coroutine[Any, Any, None], client: Client | None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = client
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("a fault failed", exc_info=task.exception())
