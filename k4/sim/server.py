"""The simulator's network side: accepts clients over TLS, understands what they ask, and sends each stream to whoever asked.

Redundant connections are fed from one source with a delay each, so that they carry the same updates at different times.
Imports websockets, `market`, `tls`, `venue`, `wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from k4.sim.market import Event, Market
from k4.sim.tls import server_context
from k4.sim.venue import Asked, Stream, Venue
from k4.sim.wire import Voice

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

log = logging.getLogger(__name__)

SERVER_PING_S = 20.0
TICK_S = 0.002
BACKLOG_MAX = 1_000_000  # frames a client may lag behind before it is dropped


@dataclass(slots=True)
class Client:
    """One connection: its streams, and the frames on their way to it with the time each is due (monotonic s)."""

    number: int
    socket: ServerConnection
    desk: Desk
    delay_s: float
    streams: set[Stream] = field(default_factory=set)
    queue: deque[tuple[float, str]] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, text: str, *, due: float) -> None:
        self.queue.append((due, text))
        self.wake.set()
        if len(self.queue) > BACKLOG_MAX:
            log.warning("client %d does not read: dropped", self.number)
            self.socket.transport.abort()


@dataclass(slots=True)
class Desk:
    """One product at work: who understands (`venue`), who speaks (`voice`), what happens (`market`)."""

    venue: Venue
    voice: Voice
    symbols: tuple[str, ...]
    market: Market


class Simulator:
    """Serves `desks` on one port until closed. `delays_s` are given to connections in the order in which they come, in turn.

    `rate`: market updates per second over all symbols of a product. With `replay` (frames, and seconds since the first
    frame for each), the market stands still and every client gets those frames from the moment the first one connects.
    """

    def __init__(
        self,
        desks: Sequence[Desk],
        *,
        delays_s: Sequence[float] = (0.0,),
        rate: float = 200.0,
        replay: Sequence[tuple[float, str]] = (),
    ) -> None:
        self.desks = tuple(desks)
        self.clients: list[Client] = []
        self.accepted = 0
        self.sent = 0
        self.replayed = asyncio.Event()
        self._delays_s = tuple(delays_s) or (0.0,)
        self._rate = rate
        self._replay = replay
        self._replaying: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._server: Server | None = None

    # ------------------------------------------------------------------ life

    async def start(self, host: str, port: int) -> int:
        """Listens on `host:port` (0: any free port) and returns the port. OSError: the address cannot be had."""
        names = sorted({host, "localhost", "127.0.0.1", "::1"})
        self._server = await serve(
            self._handle,
            host,
            port,
            ssl=server_context(names),
            process_request=self._admit,
            compression=None,
            ping_interval=SERVER_PING_S,
            max_size=1 << 16,
            reuse_port=False,
        )
        if not self._replay:
            self._tasks = [asyncio.create_task(self._live(desk)) for desk in self.desks]
        bound: int = next(iter(self._server.sockets)).getsockname()[1]
        return bound

    async def close(self) -> None:
        """Closes every connection and stops the market."""
        for task in (*self._tasks, *([self._replaying] if self._replaying else [])):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def drop(self, number: int) -> None:
        """Cuts connection `number` (in the order of arrival, from 0) as a broken network would: no close handshake."""
        for client in self.clients:
            if client.number == number:
                client.socket.transport.abort()

    # ------------------------------------------------------------------ clients

    def _desk_of(self, path: str) -> tuple[Desk, tuple[Stream, ...]] | None:
        for desk in self.desks:
            streams = desk.venue.streams_of_url(path)
            if streams is not None:
                return desk, streams
        return None

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._desk_of(request.path) is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"no product of the simulator is served at {request.path}\n")
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        found = self._desk_of(socket.request.path) if socket.request else None
        if found is None:
            return
        desk, streams = found
        client = Client(self.accepted, socket, desk, self._delays_s[self.accepted % len(self._delays_s)], self._known(desk, streams))
        self.accepted += 1
        self.clients.append(client)
        sender = asyncio.create_task(self._send(client))
        if self._replay and self._replaying is None:
            self._replaying = asyncio.create_task(self._play())
        try:
            async for text in socket:
                if isinstance(text, str):
                    self._answer(client, text)
        except ConnectionClosed:
            pass
        finally:
            self.clients.remove(client)
            sender.cancel()

    @staticmethod
    def _known(desk: Desk, streams: Sequence[Stream]) -> set[Stream]:
        """Streams of symbols the venue lists; the others are accepted and stay silent, as real venues do."""
        return {stream for stream in streams if not stream.symbol or stream.symbol in desk.symbols}

    def _answer(self, client: Client, text: str) -> None:
        asked = client.desk.venue.read_request(text)
        if asked is None:
            reply = client.desk.voice.pong(text)
        elif asked.action == "error":
            reply = client.desk.voice.error(asked.id)
        else:
            self._apply(client, asked)
            reply = client.desk.voice.ack(asked.id)
        if reply is not None:
            client.push(reply, due=time.monotonic())

    def _apply(self, client: Client, asked: Asked) -> None:
        known = self._known(client.desk, asked.streams)
        if asked.action == "subscribe":
            client.streams |= known
        else:
            client.streams -= known

    async def _send(self, client: Client) -> None:
        """Sends what is due, oldest first; frames that are due together leave in one go."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                while client.queue:
                    due, text = client.queue[0]
                    wait = due - time.monotonic()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    client.queue.popleft()
                    await client.socket.send(text)
                    self.sent += 1
                client.wake.clear()
                await client.wake.wait()

    # ------------------------------------------------------------------ sources

    async def _live(self, desk: Desk) -> None:
        """Moves the market at the rate asked for, however the loop was delayed."""
        started, steps = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_S)
            due = int((time.monotonic() - started) * self._rate)
            for _ in range(due - steps):
                for event in desk.market.step(time.time_ns()):
                    self._publish(desk, event)
            steps = due

    def _publish(self, desk: Desk, event: Event) -> None:
        now = time.monotonic()
        for message in desk.voice.tellers(event.record):
            clients = [client for client in self.clients if client.desk is desk and _asked(client, message, event.symbol)]
            if clients:
                text = desk.voice.say(message, event)
                for client in clients:
                    client.push(text, due=now + client.delay_s)

    async def _play(self) -> None:
        started = time.monotonic()
        for offset_s, text in self._replay:
            wait = started + offset_s - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            now = time.monotonic()
            for client in self.clients:
                client.push(text, due=now + client.delay_s)
        while any(client.queue for client in self.clients):  # noqa: ASYNC110 (nothing else waits for this)
            await asyncio.sleep(TICK_S)
        self.replayed.set()


def _asked(client: Client, message: int, symbol: str) -> bool:
    return Stream(message, symbol) in client.streams or Stream(message, "") in client.streams
