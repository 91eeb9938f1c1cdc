"""What a service manager is told of a run: systemd's notification protocol, a datagram of NAME=VALUE lines to $NOTIFY_SOCKET.

    READY=1  STOPPING=1  STATUS=…  WATCHDOG=1  RELOADING=1 with MONOTONIC_USEC (sd_notify(3))

Where nobody asked to be told, nothing is sent; one who cannot be told any more never stops the feed. Imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """`environment`: where the manager says how it is told; taken out of it, since children must not speak for the run.

    `watchdog_s`: the manager ends a run that it has not heard of for so long; None: it does not watch.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        where, usec, pid = (environment.pop(name, "") for name in NAMES)
        self._socket: socket.socket | None = None
        if where[:1] in {"/", "@"} and len(where) > 1:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._address = "\0" + where[1:] if where.startswith("@") else where  # @: in the abstract name space
        ours = pid in {"", str(os.getpid())}
        self.watchdog_s = int(usec) / 1e6 if ours and self._socket is not None and usec.isascii() and usec.isdigit() and int(usec) else None
        self._status = ""

    def ready(self) -> None:
        """The run has begun, or a reload has ended."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins. The time says which: `systemctl reload` waits for the READY that follows it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """All is well: due at least once in `watchdog_s`."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people, told when it changes."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + " ".join(text.split()))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)
