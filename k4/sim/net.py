"""One accepted connection: HTTP requests until one of them becomes a WebSocket, then frames in both directions.

The handshake and what a client sends are `websockets`' sans-I/O protocol; what the server sends is framed here and written straight to
the transport, so that one frame serves many clients and many frames leave in one write. Imports websockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

log = logging.getLogger(__name__)

HEAD_BYTES = 32 * 1024
BODY_BYTES = 64 * 1024
MESSAGE_BYTES = 1 << 20
BACKLOG_MAX = 1_000_000  # frames a client may lag behind before it is dropped
WRITE_HIGH = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: str = ""

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to one."""

    status: http.HTTPStatus
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()  # further ones
    wait_s: float = 0.0  # before it is given
    cut: bool = False  # half of it, then the end


class House(Protocol):
    """Who a peer reports to, on the event loop."""

    def admit(self, request: Request) -> Answer | None:
        """May this request become a WebSocket? None: it may."""

    def fetch(self, request: Request) -> Answer:
        """An ordinary request."""

    def greeted(self, peer: Peer, request: Request, head: bytes) -> bool:
        """A request for a WebSocket has come, and may be granted. False: the connection is in other hands now."""

    def opened(self, peer: Peer, request: Request) -> None:
        """A WebSocket is up."""

    def said(self, peer: Peer, text: str) -> None:
        """A client's text message."""

    def pinged(self, peer: Peer) -> None:
        """A WebSocket ping of a client."""

    def left(self, peer: Peer) -> None:
        """A WebSocket is gone; called once for each that was opened."""


def framed(payload: bytes, opcode: int = 1) -> bytes:
    """One message as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2) + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8) + payload


class Peer(asyncio.Protocol):
    """A client's connection.

    A fault may get between it and the network: `bend` takes what is to be written instead of the transport, `divert` what has come.
    """

    def __init__(self, house: House) -> None:
        self.bend: Callable[[bytes], None] | None = None
        self.divert: Callable[[bytes], None] | None = None
        self.gone = asyncio.Event()
        self._house = house
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._ws: ServerProtocol | None = None
        self._open = False
        self._parts: list[bytes] = []
        self._queue: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # ------------------------------------------------------------------ asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)

    def data_received(self, data: bytes) -> None:
        if self.divert is not None:
            self.divert(data)
        elif self._ws is None:
            self._head += data
            with contextlib.suppress(_BadRequestError):
                while self._request():
                    pass
                return
            self._reply(Answer(http.HTTPStatus.BAD_REQUEST, b"this is no HTTP request that the simulator takes\n"), keep=False)
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._transport = None
        self.gone.set()
        self._queue.clear()
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._open:
            self._open = False
            self._house.left(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._flush()

    # ------------------------------------------------------------------ the owner calls these

    def push(self, frame: bytes, *, due: float) -> None:
        """Sends a frame at `due` (the loop's clock), after all that were pushed before; those due together leave in one write."""
        if self._out is None:
            return
        self._queue.append((due, frame))
        if len(self._queue) > BACKLOG_MAX:
            log.warning("a client does not read: dropped")
            self.abort()
        elif self._timer is None:
            self._timer = self._loop.call_soon(self._flush)

    @property
    def connected(self) -> bool:
        return self._out is not None

    @property
    def waiting(self) -> int:
        """Frames that are pushed and not sent."""
        return len(self._queue)

    async def pump(self, data: bytes) -> bool:
        """Writes frames at once, when there is room for them. False: the client is gone."""
        await self._writable.wait()
        if self._out is None:
            return False
        self._write(data)
        return True

    def take_pushed(self) -> list[bytes]:
        """What was pushed and not sent, to be sent otherwise."""
        out = [frame for _, frame in self._queue]
        self._queue.clear()
        return out

    def raw(self, data: bytes) -> None:
        """Writes past everything that a fault has put in the way."""
        if self._out is not None:
            self._out.write(data)

    def deafen(self) -> None:
        """Reads nothing any more, until `hear`."""
        if self._out is not None:
            self._out.pause_reading()

    def hear(self) -> None:
        if self._out is not None:
            self._out.resume_reading()

    def below(self) -> socket.socket | None:
        """The TCP connection below TLS, as a socket that the caller closes."""
        if self._transport is None:
            return None
        return socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))

    def ping(self) -> None:
        """A WebSocket ping."""
        if self._ws is not None and self._ws.state is State.OPEN:
            self._ws.send_ping(b"k4 sim")
            self._send_protocol()

    def close(self, code: int, reason: str = "") -> None:
        """Sends what is due, then a close frame."""
        self._flush()
        if self._ws is not None and self._ws.state is State.OPEN:
            self._ws.send_close(code, reason)
            self._send_protocol()
        elif self._out is not None:
            self._out.close()

    def abort(self) -> None:
        """Cuts the connection as a broken network would: no close handshake."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self.bend is not None:
            self.bend(data)
        elif self._out is not None:
            self._out.write(data)

    @property
    def _out(self) -> asyncio.Transport | None:
        """The transport, while it takes bytes."""
        return None if self._transport is None or self._transport.is_closing() else self._transport

    # ------------------------------------------------------------------ HTTP

    def _request(self) -> bool:
        """Takes one request out of what has come; False: it is not whole yet."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > HEAD_BYTES:
                raise _BadRequestError
            return False
        request = _parse(self._head[:end])
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_BYTES or "transfer-encoding" in request.headers:
            raise _BadRequestError
        after = end + 4 + int(length)
        if len(self._head) < after:
            return False
        if request.headers.get("upgrade", "").lower() == "websocket":
            refused = self._house.admit(request)
            if refused is None:
                self._upgrade(request)
            else:
                self._reply(refused, keep=False)
            return False
        try:
            body = self._head[end + 4 : after].decode()
        except UnicodeDecodeError as error:
            raise _BadRequestError from error
        self._head = self._head[after:]
        keep = request.headers.get("connection", "").lower() != "close"
        answer = self._house.fetch(Request(request.method, request.target, request.headers, body))
        if answer.wait_s:
            self._loop.call_later(answer.wait_s, partial(self._reply, answer, keep=False))
            return False
        self._reply(answer, keep=keep and not answer.cut)
        return keep and bool(self._head)

    def _reply(self, answer: Answer, *, keep: bool) -> None:
        if self._out is None:
            return
        head = [
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            f"Content-Type: {answer.kind}",
            f"Content-Length: {len(answer.body)}",
            f"Connection: {'keep-alive' if keep else 'close'}",
            *answer.headers,
        ]
        body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
        self._write(("\r\n".join(head) + "\r\n\r\n").encode() + body)
        if not keep:
            self._out.close()

    def _upgrade(self, request: Request) -> None:
        if not self._house.greeted(self, request, self._head):
            return
        self._ws = ServerProtocol(max_size=MESSAGE_BYTES)
        head, self._head = self._head, b""
        self._ws.receive_data(head)
        for event in self._ws.events_received():
            if isinstance(event, Handshake):
                self._ws.send_response(self._ws.accept(event))
        self._send_protocol()
        if self._ws.state is State.OPEN:
            self._open = True
            self._house.opened(self, request)
            self._events()

    # ------------------------------------------------------------------ WebSocket

    def _feed(self, data: bytes) -> None:
        assert self._ws is not None
        self._ws.receive_data(data)
        self._events()
        self._send_protocol()

    def _events(self) -> None:
        """Messages of the client, put together; pings and closes are answered by the protocol."""
        assert self._ws is not None
        for event in self._ws.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                self._house.pinged(self)
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            self._parts.append(bytes(event.data))
            if event.fin:
                text, self._parts = b"".join(self._parts).decode(errors="replace"), []
                self._house.said(self, text)

    def _send_protocol(self) -> None:
        assert self._ws is not None
        for data in self._ws.data_to_send():
            if self._out is None:
                return
            if data:
                self._write(data)
            else:
                self._out.close()

    def _flush(self) -> None:
        """Sends what is due, in one write; a timer is set for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._out is None or not self._writable.is_set():
            return
        now = self._loop.time()
        out: list[bytes] = []
        while self._queue and self._queue[0][0] <= now:
            out.append(self._queue.popleft()[1])
        if out:
            self._write(b"".join(out))
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._flush)


class _BadRequestError(Exception):
    """What came is no HTTP request."""


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _BadRequestError
    pairs = (line.partition(":") for line in lines)
    return Request(words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in pairs})
