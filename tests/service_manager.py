"""Stands for the service manager: hears what a run tells of itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from typing import Self

_numbers = itertools.count()


class Manager:
    """`address`: a path, or @NAME in the abstract name space, which all of the machine share. `environment`: what it gives to who it starts.

    `heard`: all that it was told, in order.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        address = address or f"@k4-test-{os.getpid()}-{next(_numbers)}"
        self.heard: list[str] = []
        self.environment = {"NOTIFY_SOCKET": address}
        if watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def news(self) -> list[str]:
        """What it was told since it was asked last."""
        before = len(self.heard)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        return self.heard[before:]

    def turns(self) -> list[str]:
        """Of all that it was told, what is neither a sign of life nor a line for people."""
        self.news()
        return [line.split("\n")[0] for line in self.heard if not line.startswith(("STATUS=", "WATCHDOG="))]
