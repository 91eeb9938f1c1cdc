"""One WebSocket link: a TCP connection from dialling to its loss, whose bytes land in memory owned by C.

    socket ─ get_buffer: C's memory ─ buffer_updated: ONE C call per read ─▶ frames, decoding, rings
                                              └ flags ─▶ events (ping, close, ack …) ─▶ `Owner.event`

The handshake and outgoing frames are made by `websockets`' sans-I/O protocol; no extension is ever offered. After the
handshake nothing but C reads what the peer sends. A link is used once; `k4.connection` decides when to dial the next.
Imports websockets, aiofastnet, `k4.clock` and `k4.secrets`, and nothing that knows an exchange.
"""

from __future__ import annotations

import asyncio
import enum
import os
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import aiofastnet
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.protocol import State as WireState
from websockets.uri import WebSocketURI, parse_uri

from .clock import Clock
from .secrets import Secret

# More than this waiting to be sent means that the peer does not read; pongs are then held back, the newest only.
WRITE_LIMIT = 64 * 1024
HANDSHAKE_LIMIT = 32 * 1024
DIAL_S = 10.0
RESOLVE_S = 5.0
# Where an address is known already, a new one is waited for no longer; it serves the next dial.
KNOWN_S = 0.5
CLOSE_S = 1.0
_CLOSE_CODES = (1000, 1001, 1002, 1003, *range(1007, 1015))


class LinkError(Exception):
    """Why a link did not come up; the text is for the log."""


class State(enum.Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSING = "closing"
    LOST = "lost"


class Event(NamedTuple):  # made by the thousand when a peer floods: a frozen dataclass costs twice as much
    """What C hands over, copied: `kind` is one of the K4_EVENT_* numbers of csrc/k4_api.h."""

    kind: int
    code: int
    message: int
    offset: int
    data: bytes


class Owner(Protocol):
    """Who a link reports to. Called on the event loop, never from within another call of the link."""

    def event(self, link: Link, event: Event) -> None:
        """C met something that is no market data."""

    def writable(self, link: Link) -> None:
        """The write buffer has drained."""


class _Nobody:
    """Whom a link reports to that has been forgotten."""

    def event(self, link: Link, event: Event) -> None:
        pass

    def writable(self, link: Link) -> None:
        pass


_NOBODY = _Nobody()


class Link(asyncio.BufferedProtocol):
    """`conn`: a fresh or reset `k4_conn *`. `opened` and `lost` tell in words: why it did not come up (None: it did), why it was lost.

    `headers`: of the upgrade request, beyond those of every handshake.
    """

    def __init__(
        self, owner: Owner, lib: Any, ffi: Any, conn: Any, uri: WebSocketURI, clock: Clock, headers: Sequence[tuple[str, Secret]] = ()
    ) -> None:
        loop = asyncio.get_running_loop()
        self.conn = conn
        self.state = State.HANDSHAKE
        self.opened: asyncio.Future[str | None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.opened_ns = 0  # monotonic
        self.last_ns = time.monotonic_ns()  # monotonic, last bytes of any kind
        self.name = ""
        self._owner = owner
        self._clock = clock
        self._lib = lib
        self._ffi = ffi
        self._out = ffi.new("uint8_t **")
        self._at = ffi.NULL
        self._room = 0
        self._buffer: Any = None
        self._head = bytearray(HANDSHAKE_LIMIT)
        self._head_len = 0
        self._wire = ClientProtocol(uri, max_size=None)
        self._wire.debug = False  # it would log what the headers hold
        self._headers = headers
        self._transport: asyncio.Transport | None = None
        self._full = False
        self._feeding = False

    def fetched(self, message: int, symbol: str, body: bytes) -> bool:
        """Gives C a body that was fetched; whether the book it is for is live now."""
        wall, now = self._clock.read()
        name = symbol.encode()
        bits = int(self._lib.k4_conn_fetched(self.conn, message, name, len(name), body, len(body), wall, now))
        if bits & (self._lib.K4_CONN_EVENTS | self._lib.K4_CONN_FAILED):
            self._act(bits)
        return bool(bits & self._lib.K4_CONN_TOOK)

    # ------------------------------------------------------------------ asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # aiofastnet's has the methods of one without being one.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_LIMIT)
        request = self._wire.connect()
        for name, value in self._headers:
            request.headers[name] = value.reveal()
        self._wire.send_request(request)
        self._flush()

    def get_buffer(self, sizehint: int) -> Any:  # noqa: ARG002 (asyncio's signature)
        if not self._feeding:
            # After the end of the link this is where bytes go to be forgotten.
            return memoryview(self._head)[self._head_len if self.state is State.HANDSHAKE else 0 :]
        room = self._lib.k4_conn_buffer(self.conn, self._out)
        at = self._out[0]
        if at != self._at or room != self._room:
            self._at, self._room = at, room
            self._buffer = self._ffi.buffer(at, room)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._feeding:
            wall, now = self._clock.read()
            self.last_ns = now
            bits = self._lib.k4_conn_recv(self.conn, nbytes, wall, now)
            if bits:
                self._act(bits)
        elif self.state is State.HANDSHAKE:
            self.last_ns = time.monotonic_ns()
            self._head_len += nbytes
            self._handshake()

    def eof_received(self) -> bool:
        self._end("the peer closed the connection" if self.state is not State.CLOSING else "closed")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("connection lost" if exc is None else f"connection lost: {exc}")
        self._transport = None

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self.state is State.OPEN:
            self._owner.writable(self)

    # ------------------------------------------------------------------ the owner calls these

    @property
    def full(self) -> bool:
        """Is so much waiting to be sent that nothing should be added?"""
        return self._full

    def send_text(self, text: str) -> None:
        if self.state is State.OPEN:
            self._wire.send_text(text.encode())
            self._flush()

    def send_ping(self, payload: bytes) -> None:
        if self.state is State.OPEN:
            self._wire.send_ping(payload)
            self._flush()

    def send_pong(self, payload: bytes) -> None:
        if self.state is State.OPEN:
            self._wire.send_pong(payload)
            self._flush()

    async def close(self) -> None:
        """Closes politely: a close frame, then up to CLOSE_S for the peer's answer; what comes meanwhile is still taken."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self._wire.send_close(1000)
            self._flush()
            await asyncio.wait([self.lost], timeout=CLOSE_S)
        self.drop("closed")

    def drop(self, reason: str, code: int | None = None) -> None:
        """Ends the link at once: no byte is taken from here on. `code`: the close code to tell the peer, None = none."""
        if code is not None and self._wire.state is WireState.OPEN:
            self._wire.send_close(code)
            self._flush()
        self._end(reason)
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            # A peer that does not read could keep the socket for ever.
            asyncio.get_running_loop().call_later(CLOSE_S, transport.abort)

    def abort(self) -> None:
        """Lets go of the transport, with nothing more to say to the peer."""
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Lets go of who it reports to, once it is lost: two that hold each other wait for a collector, which a worker hardly ever runs."""
        self._owner = _NOBODY

    # ------------------------------------------------------------------ inside

    def _end(self, reason: str) -> None:
        if self.state is State.LOST:
            return
        self.state = State.LOST
        self._feeding = False
        self._buffer = None
        if not self.opened.done():
            self.opened.set_result(reason)
        if not self.lost.done():
            self.lost.set_result(reason)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._wire.data_to_send()))

    def _handshake(self) -> None:
        """Waits for the whole response head; what stands behind it is the venue's first frames and belongs to C."""
        end = self._head.find(b"\r\n\r\n", 0, self._head_len)
        if end < 0:
            if self._head_len == len(self._head):
                self.drop(f"handshake: the response head is longer than {HANDSHAKE_LIMIT} bytes")
            return
        head, rest = bytes(self._head[: end + 4]), bytes(self._head[end + 4 : self._head_len])
        accepted = head.split(b"\r\n", 1)[0].split(b" ")[1:2] == [b"101"]
        # A refusal's body may be of unknown length; what has come is enough for the log.
        self._wire.receive_data(head if accepted else head + rest)
        if not accepted:
            self._wire.receive_eof()
        if not accepted or self._wire.state is not WireState.OPEN:
            self.drop(_refused(self._wire, head))
            return
        self.state = State.OPEN
        self._feeding = True
        self.opened_ns = time.monotonic_ns()
        self.opened.set_result(None)
        self._feed(rest)

    def _feed(self, data: bytes) -> None:
        """Gives bytes to C as if they had been read into its memory."""
        while data and self._feeding:
            room = min(self._lib.k4_conn_buffer(self.conn, self._out), len(data))
            self._ffi.memmove(self._out[0], data[:room], room)
            data = data[room:]
            self.buffer_updated(room)

    def _act(self, bits: int) -> None:
        lib = self._lib
        if bits & lib.K4_CONN_EVENTS:
            # Copied first, acted on after: their pointers last until the next k4_conn_buffer.
            close = lib.K4_EVENT_CLOSE
            for event in self._events():
                if event.kind == close:
                    self._peer_closes(event)
                elif self.state is not State.LOST:
                    self._owner.event(self, event)
        if bits & lib.K4_CONN_FAILED and self.state is not State.LOST:
            reason = self._ffi.new("const char **")
            code = lib.k4_conn_failure(self.conn, reason)
            text = self._ffi.string(reason[0]).decode() if reason[0] != self._ffi.NULL else "protocol error"
            self.drop(f"the peer broke the protocol: {text}", code)

    def _events(self) -> list[Event]:
        events, out = [], self._ffi.new("k4_event *")
        take, conn, buffer = self._lib.k4_conn_event, self.conn, self._ffi.buffer
        while take(conn, out):
            size = out.len
            events.append(Event(out.kind, out.code, out.message, out.offset, buffer(out.data, size)[:] if size else b""))
        return events

    def _peer_closes(self, event: Event) -> None:
        ours = self.state is State.CLOSING
        text = event.data.decode(errors="replace")
        reason = "closed" if ours else f"the peer closed the connection: {event.code}{f' {text}' if text else ''}"
        # Its own code is the answer, where that is one that may be sent: 1005 stands for a close frame without a code.
        answer = event.code if event.code in _CLOSE_CODES or 3000 <= event.code < 5000 else 1000
        self.drop(reason, None if ours else answer)


def _refused(wire: ClientProtocol, head: bytes) -> str:
    error = wire.handshake_exc
    if isinstance(error, InvalidStatus):
        body = (error.response.body or b"")[:200].decode(errors="replace").strip()
        status = f"{error.response.status_code} {error.response.reason_phrase}"
        return f"handshake refused: HTTP {status}{f': {body}' if body else ''}"
    if isinstance(error, InvalidHandshake) and not isinstance(error, InvalidMessage):
        return f"handshake: {error}"
    return f"handshake: the peer answers {head[:80]!r}, not HTTP; is this the right address?"


# --------------------------------------------------------------------------- dialling


class Resolver:
    """Looks hosts up off the loop and remembers the last good answer, for the time when the name server is dead.

    A host is looked up once at a time, however many want it: a name server that does not answer blocks a thread for long.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[str]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of `host`, at least one; where no new answer comes soon, the last good one. Raises LinkError."""
        key = host, port
        known = self._known.get(key)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(host, port))
            asking.add_done_callback(lambda done: self._asked(key, done))
        patience = RESOLVE_S if known is None else KNOWN_S
        await asyncio.wait([asking], timeout=patience)
        try:
            if asking.done():
                return asking.result()
            why = f"no answer within {patience:g} s"
        except OSError as error:
            why = error.strerror or str(error)
        if known is None:
            raise LinkError(f"{host}: the name cannot be resolved: {why}")
        return known

    def _asked(self, key: tuple[str, int], done: asyncio.Task[list[str]]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # whoever waited was told; perhaps nobody does any more

    async def _ask(self, host: str, port: int) -> list[str]:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # an empty label, or one of more than 63 characters: no name server is asked
            raise OSError(f"{host!r} is no name of a host") from error
        found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        self._known[host, port] = found
        return found


async def dial(link: Link, url: str, tls: ssl.SSLContext, resolver: Resolver, *, turn: int = 0) -> None:
    """Brings `link` up: resolve, TCP, TLS, WebSocket handshake. Raises LinkError with the reason, in words.

    `turn` rotates the addresses of a host, so that redundant connections and retries spread over them.
    """
    uri = target(url)
    addresses = await resolver.addresses(uri.host, uri.port)
    address = addresses[turn % len(addresses)]
    where = f"{uri.host}:{uri.port}"
    try:
        async with asyncio.timeout(DIAL_S):
            try:
                await aiofastnet.create_connection(
                    asyncio.get_running_loop(), lambda: link, address, uri.port, ssl=tls, server_hostname=uri.host
                )
            except BaseException:
                # The socket is closed by now. If TLS came up just before, its farewell would go through a number that may be another's.
                link.abort()
                raise
            refused = await link.opened
    except TimeoutError as error:
        link.drop("dial timed out")
        raise LinkError(f"{where} ({address}): no connection within {DIAL_S:g} s") from error
    except ssl.SSLCertVerificationError as error:
        link.drop("TLS failed")
        hint = "; is its CA in tls.ca_file?" if "issuer" in error.verify_message or "self-signed" in error.verify_message else ""
        raise LinkError(f"{where}: the certificate is not trusted: {error.verify_message}{hint}") from error
    except ssl.SSLError as error:
        link.drop("TLS failed")
        raise LinkError(f"{where} ({address}): TLS failed: {error.reason or error}; does this port speak TLS?") from error
    except OSError as error:
        link.drop("dial failed")
        # A connection that ends within TLS's handshake raises without number or text.
        why = os.strerror(error.errno) if error.errno else str(error) or "the peer closed the connection during the TLS handshake"
        raise LinkError(f"{where} ({address}): {why}") from error
    except ValueError as error:  # TLS takes fewer names of hosts than the resolver
        link.drop("dial failed")
        raise LinkError(f"{where}: {error}") from error
    if refused is not None:
        link.drop("dial failed")
        raise LinkError(f"{where}: {refused}")


def target(url: str) -> WebSocketURI:
    """The parts of a `wss://` URL. Raises LinkError: what a venue gives for an address may be anything."""
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise LinkError("no wss:// address") from error
    if not uri.secure:
        raise LinkError("no wss:// address")
    return uri
