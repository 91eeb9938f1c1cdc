"""What a fault may do with one connection: `Line` with a link over TLS, `Wire` with the TCP connection before any TLS.

A script is a coroutine that is handed one of them; it ends with its connection, at the latest. Imports `frames`, `net`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from k4.sim.frames import Listener
from k4.sim.net import Peer

HIGH_BYTES = 1 << 20  # kept back of a link that is held or slow; then whoever feeds it waits
VALVE_S = 0.01
DEAF_S = 0.05
_TCP_REPAIR = 19
_TCP_ESTABLISHED = 1
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Options = Mapping[str, float | str]


class GoneError(Exception):
    """The client has hung up."""


class Teller(Protocol):
    """Who can make a venue say something to this client."""

    async def more(self, count: int) -> bytes:
        """The next `count` messages of market data, framed, in the client's turn; none where no market moves."""

    def answer(self, number: int) -> str:
        """An answer to the request of that number."""

    def notice(self) -> str:
        """The announcement that the link will be closed; "" where the venue has none."""

    def pack(self, text: str) -> bytes:
        """A message as it leaves; of "" nothing."""


class Valve:
    """Lets `rate` bytes a second through, in pieces; 0: none. What is kept back leaves when it is opened."""

    def __init__(self, peer: Peer, rate: float) -> None:
        self._peer = peer
        self._rate = rate
        self._kept = bytearray()
        self._waits = False
        peer.bend = self._take
        self._task = asyncio.get_running_loop().create_task(self._drip()) if rate > 0 else None

    def open(self) -> None:
        """Gives everything back."""
        if self._task is not None:
            self._task.cancel()
        if self._peer.bend == self._take:
            self._peer.bend = None
        self._peer.raw(bytes(self._kept))
        self._kept.clear()
        self._note()

    def _take(self, data: bytes) -> None:
        self._kept += data
        self._note()

    async def _drip(self) -> None:
        allowance = 0.0
        while self._peer.connected:
            await asyncio.sleep(VALVE_S)
            allowance = min(allowance + self._rate * VALVE_S, max(self._rate, 1.0))
            count = min(int(allowance), len(self._kept))
            if count:
                allowance -= count
                self._peer.raw(bytes(self._kept[:count]))
                del self._kept[:count]
                self._note()

    def _note(self) -> None:
        if (len(self._kept) >= HIGH_BYTES) is not self._waits:
            self._waits = not self._waits
            self._peer.pause_writing() if self._waits else self._peer.resume_writing()


@dataclass(slots=True)
class Line:
    """An upgraded link, or one about to be: `head` is the client's request. `lasts_s`: how long the fault is to last; None: to the end."""

    peer: Peer
    tell: Teller
    options: Options
    random: Random
    lasts_s: float | None = None
    head: bytes = b""
    heard: Listener = field(default_factory=Listener)

    @property
    def gone(self) -> bool:
        return not self.peer.connected

    def option(self, name: str) -> float:
        return float(self.options[name])

    # ------------------------------------------------------------------ speaking and listening

    def take(self) -> None:
        """From here on nobody answers what the client says; it is noted in `heard`."""
        self.peer.divert = self.heard.take

    async def send(self, data: bytes) -> None:
        """These bytes, when there is room for them. Raises GoneError."""
        if not await self.peer.pump(data):
            raise GoneError
        await asyncio.sleep(0)

    async def send_for(self, make: Callable[[], bytes], seconds: float) -> None:
        """What `make` gives, again and again for so long, as fast as it is taken. Raises GoneError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.send(make())

    async def until_gone(self, *pieces: bytes, every_s: float = 0.0) -> None:
        """Sends the pieces again and again until the client hangs up."""
        for piece in itertools.cycle(pieces):
            await self.send(piece)
            if every_s:
                await asyncio.sleep(every_s)

    async def drop_by_drop(self, data: bytes, every_s: float) -> None:
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(every_s)

    async def listen(self, seconds: float | None = None) -> None:
        """Waits until the client hangs up, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.peer.gone.wait(), seconds)

    async def last(self) -> None:
        """Waits for as long as the fault is to last."""
        await self.listen(self.lasts_s)

    async def last_deaf(self) -> None:
        """The same where nothing is read, so that the client's end has to be looked for. Raises GoneError."""
        until = None if self.lasts_s is None else time.monotonic() + self.lasts_s
        while until is None or time.monotonic() < until:
            await self.listen(DEAF_S)
            self._below(_must_be_established)

    def response(self, *, key: bytes | None = None, drop: str = "", add: str = "") -> bytes:
        """The answer to the request. `key`: instead of the right one; `drop`: a header to leave out; `add`: header lines."""
        asked = next(line.split(b":", 1)[1].strip() for line in self.head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(asked + _GUID, usedforsecurity=False).digest()) if key is None else key
        lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept.decode()}"]
        kept = "".join(f"{line}\r\n" for line in lines if not drop or not line.startswith(drop))
        return f"HTTP/1.1 101 Switching Protocols\r\n{kept}{add}\r\n".encode()

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """The TCP connection ends, in order but without a word of TLS."""
        self._below(lambda sock: sock.shutdown(socket.SHUT_RDWR))

    def reset(self) -> None:
        """The TCP connection is torn down."""
        self._below(lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)))
        self.peer.abort()

    def vanish(self) -> None:
        """The TCP connection is forgotten without a word, as by a machine that lost power. Raises PermissionError without the right to."""
        self._below(lambda sock: sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1))
        self.peer.abort()

    def below(self, data: bytes) -> None:
        """Bytes that TLS would not send."""
        self._below(lambda sock: sock.send(data))

    def _below(self, act: Callable[[socket.socket], object]) -> None:
        sock = self.peer.below()
        if sock is None:
            raise GoneError
        with sock:
            try:
                act(sock)
            except PermissionError:
                raise
            except OSError as error:
                raise GoneError from error


def _must_be_established(sock: socket.socket) -> None:
    """Raises ConnectionError once the other end has closed."""
    if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED:
        raise ConnectionError


@dataclass(slots=True)
class Wire:
    """A TCP connection that has just been accepted."""

    sock: socket.socket
    lasts_s: float | None = None

    async def send(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self.sock, data)
        except OSError as error:
            raise GoneError from error

    async def last(self) -> None:
        """Keeps it and says nothing, until the client hangs up or for as long as the fault is to last."""
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._read(), self.lasts_s)

    async def _read(self) -> None:
        while await asyncio.get_running_loop().sock_recv(self.sock, 65536):
            pass

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Line], Awaitable[None]]
Below = Callable[[Wire], Awaitable[None]]
