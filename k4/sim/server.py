"""The simulator: accepts clients over TLS, understands what they ask, and sends each stream to whoever asked.

All products of a configuration are served on one port. A connection belongs to the products whose URL it came by, told apart further by
the host it names, by what it asks for and by who lists the symbol. Redundant connections are fed from one market with a delay each, so
that they carry the same updates at different times.
Imports `books`, `client`, `desk`, `door`, `net`, `order`, `pace`, `part`, `pump`, `replay`, `rest`, `saboteur`, `tls`, `venue`, `voice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial

from k4.sim.books import Cursor
from k4.sim.client import Client, Counts, Told
from k4.sim.desk import Desk
from k4.sim.door import Door
from k4.sim.net import Answer, Peer, Request
from k4.sim.order import Order
from k4.sim.pace import Pace
from k4.sim.part import Part, books, by_url, choose
from k4.sim.pump import Pump
from k4.sim.replay import Recording, routed
from k4.sim.rest import Shelf, served
from k4.sim.saboteur import Saboteur
from k4.sim.tls import server_context
from k4.sim.venue import Asked, Stream, Wanted, answers, host_of
from k4.sim.voice import Said

log = logging.getLogger(__name__)

BUSY_S = 0.02  # so long the market may move in one go
TICK_S = 0.002
WATCH_S = 0.5
GATHER_S = 1.0
WS_PING_S = 20.0
VENUE_PING_S = 2.0  # between two messages by which a venue asks whether a client is there
UNANSWERED = 3  # of those, and the client is dropped
STEPS_MOST = 1000  # of a market, for one message that somebody wants
GRACE_S = 10.0  # beyond twice the interval in which a client has to ping


class Simulator:
    """Serves `desks` on one port until closed. `delays_s` are given to connections by their places, in turn.

    `rate`: market updates per second over all symbols of a product. With `replay` (per product its frames, and seconds since the first
    one for each) markets stand still, and the clients of a product get its frames from the moment the first of them connects.
    With `load`, clients get frames rendered before as fast as they take them, or `load` a second of each product.
    `faults` go wrong as they say, by lot from `seed`.
    """

    def __init__(
        self,
        desks: Sequence[Desk],
        *,
        delays_s: Sequence[float] = (0.0,),
        rate: float = 200.0,
        replay: Mapping[Desk, Recording] | None = None,
        load: float | None = None,
        faults: Sequence[Order] = (),
        seed: int = 0,
    ) -> None:
        self.desks = tuple(desks)
        self.clients: list[Client] = []
        self.counts = Counts()
        self.replayed = asyncio.Event()
        self.still = False  # nothing happens on any market while this is set
        self._shelves = [Shelf(desk) for desk in self.desks]
        self._by_peer: dict[Peer, Client] = {}
        self._delays_s = tuple(delays_s) or (0.0,)
        self._rate = rate
        self._replay = {desk: routed(desk, frames) for desk, frames in (replay or {}).items()}
        self._recorded = frozenset(self._replay)
        self._waiting = set(self._replay)  # recordings that nobody has come for yet
        self._rendered = load is not None
        self._pump = Pump(self.desks, self.counts) if load == 0 else None
        self.paces = [Pace(desk, load, self.counts) for desk in self.desks] if load else []
        self._tasks: list[asyncio.Task[None]] = []
        self._door: Door | None = None
        self.saboteur = Saboteur(faults, seed=seed, teller=partial(_Teller, self))

    # ------------------------------------------------------------------ life

    async def start(self, host: str, port: int) -> int:
        """Listens on `host:port` (0: any free port) and returns the port. OSError: the address cannot be had."""
        names = {host, "localhost", "127.0.0.1", "::1"} | {name for desk in self.desks for name in desk.venue.hosts}
        self._door = Door(lambda: Peer(self), server_context(sorted(names)), lambda: self.saboteur.at_door(self._place()))
        bound = await self._door.open(host, port)
        self.saboteur.begin()
        self._start(self._watch())
        for pace in self.paces:
            self._start(pace.run(lambda: self.clients))
        if not self._rendered:
            for desk in set(self.desks) - set(self._replay):
                self._start(self._live(desk))
        return bound

    @property
    def accepted(self) -> int:
        """TCP connections so far, whatever became of them."""
        return 0 if self._door is None else self._door.accepted

    async def close(self) -> None:
        """Tells every client, where the venue does, and closes all connections."""
        await self.saboteur.close()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for client in [*self.clients]:
            notice = client.desk.voice.notice()
            if notice is not None:
                self._say(client, notice)
            client.peer.close(1001, "the simulator ends")
        if self._door is not None:
            self._door.close()
        for client in [*self.clients]:
            client.peer.abort()

    def drop(self, number: int) -> None:
        """Cuts connection `number` (in the order of arrival, from 0) as a broken network would: no close handshake."""
        for client in [*self.clients]:
            if client.number == number:
                client.peer.abort()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_told)
        self._tasks.append(task)

    # ------------------------------------------------------------------ HTTP

    def _carried(self, request: Request) -> dict[Desk, dict[int, tuple[Wanted, ...]]]:
        """The products that a request's URL belongs to; where it names a venue's own host, only that venue's."""
        host = host_of(f"wss://{request.host}")
        means = {desk: desk.venue.transport(request.target, host, request.headers) for desk in self.desks}
        found = {desk: carries for desk in self.desks if (carries := desk.venue.served_at(request.target, means[desk])) is not None}
        return {desk: carries for desk, carries in found.items() if host in desk.venue.hosts} or found

    def admit(self, request: Request) -> Answer | None:
        found = self._carried(request)
        host = host_of(f"wss://{request.host}")
        wrong = [desk.venue.refuses(desk.venue.transport(request.target, host, request.headers), request.headers) for desk in found]
        if found and all(wrong):
            return Answer(http.HTTPStatus.UNAUTHORIZED, f"the header {wrong[0]} is not what this endpoint wants\n".encode())
        if found:
            return None
        return Answer(http.HTTPStatus.NOT_FOUND, f"no product of the simulator is served at {request.target}\n".encode())

    def fetch(self, request: Request) -> Answer:
        self.counts.fetched += 1
        return self.saboteur.fetched(request.target, served(self._shelves, request, time.time_ns()))

    # ------------------------------------------------------------------ clients

    def _place(self) -> int:
        """The lowest that no client has."""
        taken = {client.place for client in self.clients}
        return next(n for n in range(len(taken) + 1) if n not in taken)

    def greeted(self, peer: Peer, request: Request, head: bytes) -> bool:
        products = [desk.name.replace(" ", ".") for desk in self._carried(request)]
        return self.saboteur.greeted(peer, self._place(), products, request.target, head)

    def opened(self, peer: Peer, request: Request) -> None:
        found = self._carried(request)
        number, self.counts.accepted = self.counts.accepted, self.counts.accepted + 1
        carries = {desk: frozenset(messages) for desk, messages in found.items()}
        place = self._place()
        delay_s = self._delays_s[place % len(self._delays_s)]
        client = Client(number, place, request.target, peer, carries, delay_s, pinged_at=time.monotonic())
        self.clients.append(client)
        self._by_peer[peer] = client
        for desk in self._waiting & set(carries):
            self._waiting.remove(desk)
            self._start(self._play(desk))
        if self._pump is not None:
            self._start(self._pump.run(client))
        self.saboteur.opened(client, [desk.name.replace(" ", ".") for desk in carries])
        subscribed = list(by_url(found))
        outcome = self.saboteur.asked(client) if subscribed else ""
        for n, wanted in enumerate(subscribed):
            if not outcome or (outcome == "half" and n % 2 == 0):
                self._subscribe(client, wanted)

    def left(self, peer: Peer) -> None:
        client = self._by_peer.pop(peer)
        self.saboteur.left(client)
        self.clients.remove(client)
        for told in [*client.cursors]:
            self._unsubscribe(client, told)

    def pinged(self, peer: Peer) -> None:
        self._by_peer[peer].pinged_at = time.monotonic()

    def said(self, peer: Peer, text: str) -> None:
        client = self._by_peer[peer]
        asked = [(desk, one) for desk in client.carries if (one := desk.venue.read_request(text)) is not None]
        if asked:
            self._answer(client, asked)
            return
        for desk in client.carries:
            number = desk.venue.read_ping(text)
            if number is not None:
                client.pinged_at = time.monotonic()
                pong = desk.voice.pong(number)
                if pong is not None:
                    self.counts.pongs += 1
                    self._say(client, pong)
                return
        for i, (template, captures) in enumerate(client.waiting):
            if answers(template, captures, text):
                self.counts.answered += 1
                del client.waiting[: i + 1]
                return
        error = client.desk.voice.error(client.desk.venue.id_of(text))
        if error is not None:
            self.counts.errors += 1
            self._say(client, error)

    def _answer(self, client: Client, asked: list[tuple[Desk, Asked]]) -> None:
        """Acknowledges or refuses a request, part by part or as a whole, and does what it asks."""
        _, first = asked[0]
        voice = asked[0][0].voice
        alike = [(desk, one.wanted) for desk, one in asked if len(one.wanted) == len(first.wanted)]
        chosen = [choose([(desk, wanted[i]) for desk, wanted in alike]) for i in range(len(first.wanted))]
        parts = [meant[0] for meant in chosen]
        refused = [part for part in parts if not part.known] if voice.refuses_streams else []
        outcome = self.saboteur.asked(client) if first.action == "subscribe" else ""
        if outcome == "mute":
            return
        if outcome == "reject":
            self._reject(client, first, parts)
            return
        if refused and not voice.acks_streams:
            self._refuse(client, first, refused[0])  # one bad part and none of the request holds
            return
        if not voice.acks_streams:
            self._ack(client, asked[0][0], first, None)
        for part, meant in zip(parts, chosen, strict=True):
            if part in refused:
                self._refuse(client, first, part)
                continue
            if voice.acks_streams:
                self._ack(client, part.desk, first, part.wanted)
            for one in meant if not outcome or (outcome == "half" and parts.index(part) % 2 == 0) else ():
                self._do(client, first.action, one)

    def _reject(self, client: Client, asked: Asked, parts: Sequence[Part]) -> None:
        """Refuses a request that could be granted: part by part where the venue does that, else as a whole."""
        voice = parts[0].desk.voice
        if voice.refuses_streams:
            for part in parts if voice.acks_streams else parts[:1]:
                self._refuse(client, asked, part)
            return
        error = voice.error(asked.id)
        if error is not None:
            self.counts.errors += 1
            self._say(client, error)

    def _ack(self, client: Client, desk: Desk, asked: Asked, wanted: Wanted | None) -> None:
        named = (wanted.channel, wanted.symbol) if wanted is not None else ("", "")
        text = desk.voice.ack(asked.action, asked.id, *named)
        if text is not None:
            self.counts.acks += 1
            self._say(client, text)

    def _refuse(self, client: Client, asked: Asked, part: Part) -> None:
        text = part.desk.voice.refusal(asked.action, asked.id, part.wanted.channel, part.wanted.symbol)
        if text is not None:
            self.counts.errors += 1
            self._say(client, text)

    def _do(self, client: Client, action: str, part: Part) -> None:
        if not part.known:
            return
        if action == "subscribe":
            self._subscribe(client, part)
            return
        for stream in part.wanted.streams:
            for one in books(part.desk, stream):
                self._unsubscribe(client, (part.desk, one))

    def _subscribe(self, client: Client, part: Part) -> None:
        """From here on the client is told of these streams, beginning with what the venue tells at once."""
        desk, now_ns = part.desk, time.time_ns()
        for wanted in part.wanted.streams:
            if wanted.message not in client.carries.get(desk, frozenset()):
                continue  # acknowledged and silent: not on this URL
            for stream in books(desk, wanted):
                self._unsubscribe(client, (desk, stream))
                client.streams.add((desk, stream))
                client.asked += 1
                if desk in self._recorded or self._rendered:
                    continue
                if desk.is_book(stream):
                    cursor, told = desk.open_book(stream, now_ns, every=1 + client.number % 2)
                    self._tell(desk, told)
                    client.cursors[desk, stream] = cursor
                for text in desk.first(stream, now_ns):
                    self._give(client, desk, stream, text)

    def _unsubscribe(self, client: Client, told: Told) -> None:
        client.streams.discard(told)
        self.saboteur.ended(client, told[1])
        client.asked += 1
        cursor = client.cursors.pop(told, None)
        if cursor is not None:
            told[0].close_book(told[1], cursor)

    # ------------------------------------------------------------------ what is sent

    def _say(self, client: Client, text: str) -> None:
        """An answer: not delayed, but behind what is on its way."""
        client.peer.push(client.desk.pack(text), due=asyncio.get_running_loop().time())

    def _push(self, client: Client, frame: bytes) -> None:
        self.counts.frames += 1
        self.counts.bytes += len(frame)
        client.peer.push(frame, due=asyncio.get_running_loop().time() + client.delay_s)

    def _give(self, client: Client, desk: Desk, stream: Stream | None, said: Said, frame: bytes | None = None) -> None:
        """A message of market data, and what faults make of it. `frame`: as it leaves, where that is known."""
        if not self.saboteur.tampers:
            self._push(client, frame or desk.pack(said))
            return
        for wait_s, one in self.saboteur.alter(client, desk, stream, said):
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._push, client, desk.pack(one))
            else:
                self._push(client, desk.pack(one))

    def _tell(self, desk: Desk, updates: Sequence[tuple[Cursor, list[Said]]]) -> None:
        """Updates of books, each to the client whose cursor it is."""
        owners = {cursor: (client, told[1]) for client in self.clients for told, cursor in client.cursors.items()} if updates else {}
        for cursor, texts in updates:
            client, stream = owners[cursor]
            for text in texts:
                self._give(client, desk, stream, text)

    async def _live(self, desk: Desk) -> None:
        """Moves the market at the rate asked for, however the loop was delayed."""
        started, steps = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_S)
            if self.still:
                started, steps = time.monotonic(), 0
                continue
            now = time.monotonic()
            due = int((now - started) * self._rate)
            for _ in range(due - steps):
                self.step(desk)
                if time.monotonic() - now > BUSY_S:  # clients are answered and books are told meanwhile
                    self._tell(desk, list(desk.cut(time.time_ns())))
                    await asyncio.sleep(0)
                    now = time.monotonic()
            steps = due
            self._tell(desk, list(desk.cut(time.time_ns())))

    def step(self, desk: Desk) -> None:
        """One step of a market, told to whoever wants it."""
        clients = [client for client in self.clients if desk in client.carries]
        for stream, texts in desk.live(time.time_ns(), partial(_wanted, clients, desk)):
            frames = [(text, desk.pack(text)) for text in texts]
            for client in clients:
                if client.wants(desk, stream):
                    for text, frame in frames:
                        self._give(client, desk, stream, text, frame)

    @property
    def moves(self) -> bool:
        """Is it markets that clients are told of?"""
        return not self._rendered and not self._recorded

    async def _play(self, desk: Desk) -> None:
        """Sends a product's recording to its clients, to each what its URL can carry; where there are several URLs, all may come first."""
        needed = {message for _, _, message in self._replay[desk] if message is not None}
        until = time.monotonic() + GATHER_S
        while needed - self._carried_now(desk) and time.monotonic() < until:  # noqa: ASYNC110 (clients come when they come)
            await asyncio.sleep(TICK_S)
        started = time.monotonic()
        for offset_s, text, message in self._replay[desk]:
            wait = started + offset_s - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            frame, stream = desk.pack(text), None if message is None else Stream(message, "")
            for client in self.clients:
                if desk in client.carries and (message is None or message in client.carries[desk]):
                    self._give(client, desk, stream, text, frame)
        while any(client.peer.waiting for client in self.clients):  # noqa: ASYNC110 (nothing else waits for this)
            await asyncio.sleep(TICK_S)
        del self._replay[desk]
        if not self._replay:
            self.replayed.set()

    def _carried_now(self, desk: Desk) -> set[int]:
        return {message for client in self.clients for message in client.carries.get(desk, ())}

    async def _watch(self) -> None:
        """Pings clients as their venues do, and drops those that do not answer or do not ping as they must."""
        number, now = 0, time.monotonic()
        last_ws, last_venue = now, now
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            # After a stall none are made up for: clients have been held up, too.
            ws, venue = now - last_ws >= WS_PING_S, now - last_venue >= VENUE_PING_S
            last_ws, last_venue = now if ws else last_ws, now if venue else last_venue
            for client in [*self.clients]:
                if ws:
                    client.peer.ping()
                if venue:
                    number += 1
                    self._ask(client, number)
                ping = client.desk.venue.product.session.ping
                duty = None if ping is None else ping.every_s
                if duty is not None and time.monotonic() - client.pinged_at > 2 * duty + GRACE_S:
                    log.warning("client %d has not pinged for too long: dropped", client.number)
                    client.peer.close(1008, "no ping")

    def _ask(self, client: Client, number: int) -> None:
        """The venue's own ping."""
        if len(client.waiting) >= UNANSWERED:
            log.warning("client %d leaves pings unanswered: dropped", client.number)
            client.peer.close(1008, "ping unanswered")
            return
        ping = client.desk.voice.ping(number)
        if ping is not None:
            text, template, captures = ping
            self.counts.pings += 1
            client.waiting.append((template, captures))
            self._say(client, text)


class _Teller:
    """Makes a venue speak to one client, for a fault."""

    def __init__(self, simulator: Simulator, client: Client) -> None:
        self._simulator = simulator
        self._client = client

    async def more(self, count: int) -> bytes:
        client, simulator = self._client, self._simulator
        out: list[bytes] = []
        for step in range(STEPS_MOST * count if simulator.moves else 0):
            if len(out) >= count:
                break
            simulator.step(client.desk)
            out += client.peer.take_pushed()
            if step % 100 == 99:
                await asyncio.sleep(0)
                out += client.peer.take_pushed()
        return b"".join(out)

    def answer(self, number: int) -> str:
        voice = self._client.desk.voice
        return voice.ack("subscribe", str(number)) or voice.pong(str(number)) or voice.error(str(number)) or "{}"

    def notice(self) -> str:
        return self._client.desk.voice.notice() or ""

    def pack(self, text: str) -> bytes:
        return self._client.desk.pack(text) if text else b""


def _wanted(clients: Sequence[Client], desk: Desk, stream: Stream) -> bool:
    return any(client.wants(desk, stream) for client in clients)


def _told(task: asyncio.Task[None]) -> None:
    """A fault of the simulator's own must be seen."""
    if not task.cancelled() and task.exception() is not None:
        log.error("the simulator failed", exc_info=task.exception())
