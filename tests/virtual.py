"""Connections without a network and without waiting: an event loop whose clock jumps to whatever is due next, and a dial that hands
the link a peer made of two functions. What is under test is the real `Connection` and the real `Link`, over hours in seconds.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import selectors
import types
from collections.abc import Callable
from typing import Any

import pytest

from k4.link import Link, LinkError, State
from tests.venue_server import CLOSE, PING, PONG, TEXT, frame


class _Jumping(selectors.SelectSelector):
    """Nothing ever comes from outside: waiting is a step of the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits for something that never comes"
        self.now += max(0.0, timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop of virtual seconds."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now

    def ns(self) -> int:
        return int(self.jumping.now * 1e9)

    def clock(self) -> types.SimpleNamespace:
        """What stands in for the module `time`."""
        return types.SimpleNamespace(monotonic=self.time, monotonic_ns=self.ns, time_ns=lambda: 1_700_000_000_000_000_000 + self.ns())


class Transport:
    """Keeps what the link sends, and tells `heard` of it."""

    def __init__(self) -> None:
        self.sent = b""
        self.closing = False
        self.heard: Callable[[bytes], None] = lambda data: None

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def write(self, data: bytes) -> None:
        self.sent += data
        self.heard(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close


def give(link: Link, data: bytes) -> None:
    """The link reads these bytes."""
    while data and link.state is not State.LOST:
        room = memoryview(link.get_buffer(-1))
        count = min(len(room), len(data))
        room[:count] = data[:count]
        link.buffer_updated(count)
        data = data[count:]


def accept(link: Link, first: bytes = b"") -> Transport:
    """TCP, TLS and the handshake have gone well; `first` came with the response."""
    transport = Transport()
    link.connection_made(transport)  # type: ignore[arg-type]
    key = next(line.split(b": ")[1] for line in transport.sent.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    digest = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    give(
        link,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + digest
        + b"\r\n\r\n"
        + first,
    )
    return transport


def hang_up(link: Link) -> None:
    link.eof_received()
    link.connection_lost(None)


class Peer:
    """The other end of a link that was accepted: notes what that says and when; answers pings and the close, and by `answer` texts, a moment
    later."""

    def __init__(self, link: Link, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.link = link
        self.dialled = asyncio.get_running_loop().time()
        self._answer = answer
        self.frames: list[tuple[float, int, bytes]] = []
        self.pongs = True
        self._rest = b""
        accept(link).heard = self._take

    def said(self, opcode: int) -> list[bytes]:
        return [payload for _, code, payload in self.frames if code == opcode]

    def times(self, opcode: int) -> list[float]:
        return [at for at, code, _ in self.frames if code == opcode]

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        give(self.link, frame(payload, opcode))

    def _take(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 6:
            size, begin = self._rest[1] & 0x7F, 6
            if size == 126:
                size, begin = int.from_bytes(self._rest[2:4]), 8
            if len(self._rest) < begin + size:
                return
            mask, masked = self._rest[begin - 4 : begin], self._rest[begin : begin + size]
            opcode, payload = self._rest[0] & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked))
            self._rest = self._rest[begin + size :]
            loop = asyncio.get_running_loop()
            self.frames.append((loop.time(), opcode, payload))
            if opcode == CLOSE:
                loop.call_soon(self.send, payload, CLOSE)
            elif opcode == PING and self.pongs:
                loop.call_soon(self.send, payload, PONG)
            elif opcode == TEXT and self._answer is not None:
                loop.call_soon(self.send, self._answer(payload))


def install(patch: pytest.MonkeyPatch, loop: Loop, serve: Callable[[Link], object]) -> None:
    """From now on links and connections live by this loop's clock, and who dials is given to `serve`."""
    for module in ("k4.connection", "k4.life", "k4.inbox", "k4.link"):
        patch.setattr(f"{module}.time", loop.clock())
    patch.setattr("k4.connection.dial", dialler(serve))


def dialler(serve: Callable[[Link], object]) -> Callable[..., Any]:
    """In place of `k4.link.dial`: hands each link to `serve`, which may refuse it by raising LinkError."""

    async def dial(link: Link, *_: Any, **__: Any) -> None:
        try:
            serve(link)
        except LinkError:
            link.drop("dial failed")
            raise

    return dial
