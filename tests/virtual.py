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

from k4.link import Link, LinkError, State


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
    """Keeps what the link sends."""

    def __init__(self) -> None:
        self.sent = b""
        self.closing = False

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def write(self, data: bytes) -> None:
        self.sent += data

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


def dialler(serve: Callable[[Link], None]) -> Callable[..., Any]:
    """In place of `k4.link.dial`: hands each link to `serve`, which may refuse it by raising LinkError."""

    async def dial(link: Link, *_: Any, **__: Any) -> None:
        try:
            serve(link)
        except LinkError:
            link.drop("dial failed")
            raise

    return dial
