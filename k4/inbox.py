"""Messages of a link that are no market data, on their way to being read.

They are rare and small, and read in Python, slowly: a slice of time at once, so that data is never kept waiting. What a peer that floods
brings beyond any venue's need is not read at all. Imports `link`, `log`, `venue`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from .link import Event, Link, State
from .log import Logger
from .venue import Reading, Venue

READ_SLICE_NS = 500_000
READ_BYTES = 32 * 1024
BACKLOG_MESSAGES = 2048
BACKLOG_BYTES = 256 * 1024


class Inbox:
    """Of one link. `said`: called for each message of the spec that takes a frame."""

    def __init__(self, link: Link, venue: Venue, log: Logger, said: Callable[[Reading], None]) -> None:
        self._link = link
        self._venue = venue
        self._log = log
        self._said = said
        self._waiting: deque[Event] = deque()
        self._bytes = 0

    def put(self, event: Event) -> None:
        """Puts a message where it is read in its turn."""
        if event.message < 0:  # known already that no message of the spec takes it
            self._log.warning("the spec has no message for a frame", frame=sample(event.data))
            return
        size = len(event.data)
        if size > READ_BYTES:
            self._log.warning("a message that is no market data is too long to be read", frame=sample(event.data))
            return
        if len(self._waiting) == BACKLOG_MESSAGES or self._bytes + size > BACKLOG_BYTES:
            self._link.drop("the peer floods with messages that are no market data", 1008)
            self._waiting.clear()
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._read)
        self._waiting.append(event)
        self._bytes += size

    def forget(self) -> None:
        """Lets go of who was told, once the link is lost."""
        self._said = lambda _: None

    def _read(self) -> None:
        """Reads what a slice of time allows, and comes back for the rest."""
        until = time.monotonic_ns() + READ_SLICE_NS
        while self._waiting and self._link.state is not State.LOST:
            event = self._waiting[0]
            readings = self._venue.read(event.data)
            for reading in readings:
                self._said(reading)
            if not readings:
                self._log.warning("the spec has no message for a frame", frame=sample(event.data))
            # Taken out last: while anything is in it, this is scheduled.
            self._waiting.popleft()
            self._bytes -= len(event.data)
            if self._waiting and time.monotonic_ns() >= until:
                asyncio.get_running_loop().call_soon(self._read)
                return
        self._waiting.clear()
        self._bytes = 0


def sample(frame: bytes, most: int = 300) -> str:
    """The beginning of a frame, for the log."""
    text = frame[:most].decode(errors="backslashreplace")
    return text if len(frame) <= most else f"{text}… ({len(frame)} bytes)"
