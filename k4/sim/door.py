"""Accepts TCP connections, and brings TLS up on those that no fault has taken before. Imports aiofastnet, `line`, `net`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import aiofastnet

from k4.sim.line import Wire
from k4.sim.net import Peer

BACKLOG = 128
TLS_S = 10.0

Taken = Callable[[Wire], Coroutine[Any, Any, None]]


class Door:
    """`taken`: asked for each connection; what it gives has it, and None lets it in. `accepted`: all of them."""

    def __init__(self, peer: Callable[[], Peer], context: ssl.SSLContext, taken: Callable[[], Taken | None]) -> None:
        self.accepted = 0
        self._peer = peer
        self._context = context
        self._taken = taken
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> int:
        """Listens on every address of `host` and returns the port. OSError: one cannot be had."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, number, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, number)
            self._listening.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            try:
                sock.bind((address[0], port, *address[2:]))
                sock.listen(BACKLOG)
            except OSError:
                self.close()
                raise
            port = sock.getsockname()[1]
        for sock in self._listening:
            self._start(self._accept(sock))
        return port

    def close(self) -> None:
        """Takes nobody in any more."""
        for task in [*self._tasks]:
            task.cancel()
        for sock in self._listening:
            sock.close()
        self._listening.clear()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            self.accepted += 1
            sock.setblocking(False)
            self._start(self._admit(sock))

    async def _admit(self, sock: socket.socket) -> None:
        taken = self._taken()
        if taken is not None:
            with sock:
                await taken(Wire(sock))
            return
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):  # a client that gives up is no fault of ours
            await aiofastnet.connect_accepted_socket(loop, self._peer, sock, ssl=self._context, ssl_handshake_timeout=TLS_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
