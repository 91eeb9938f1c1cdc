"""Which books of a link are stale, and when each is asked for anew.

Pure: time is an argument (monotonic seconds). The core says when a book turns stale or live again; here it is kept until it is live, with
a pause between two tries that doubles. Imports `session` and, of the generator, `fields`, `ir`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ._codegen import fields, ir
from .session import Stream

# As csrc/k4_api.h numbers them (K4_BOOK_*).
LIVE, NO_SNAPSHOT = 0, 4
REASONS = ("live", "gap", "checksum", "refused", "no snapshot", "no memory")
# A venue that pushes snapshots may send them a little late.
GRACE_S = 2.0
# A snapshot that was asked for has so long to come before it is asked for again; then twice as long, and so on.
FIRST_S = 5.0
MOST_S = 120.0


@dataclass(slots=True)
class Stale:
    """`message`: the pushed message whose book it is; `snapshot`: the fetched one with its snapshots, None: it is subscribed anew."""

    message: int
    snapshot: int | None
    symbol: str
    records: tuple[str, ...]
    due: float
    reason: int
    pause: float = FIRST_S


class Books:
    """The stale books of one link, which speaks one transport."""

    def __init__(self, messages: Sequence[ir.Message], transport: str = "json") -> None:
        self._messages = messages
        self._transport = transport
        self._stale: dict[tuple[str, str], Stale] = {}
        self._asked: dict[tuple[str, str], tuple[float, float]] = {}  # of books asked for: when, and the pause from then on

    def turned(self, message: int, symbol: str, reason: int, now: float) -> Stale | None:
        """The core says that a book has become live, or is stale for a reason; what is known of it as a stale one."""
        told = self._messages[message]
        key = (fields.book_of(self._messages, told), symbol)
        if reason == LIVE:
            return self._stale.pop(key, None)
        stale = self._stale.get(key)
        if stale is None:
            asked, pause = self._asked.get(key, (now, FIRST_S))
            pushed = message if told.url is None else self._find(told, fetched=False)
            own = self._messages[pushed or 0]
            snapshot = self._find(told, fetched=True) if own.waits else None
            grace = GRACE_S if reason == NO_SNAPSHOT and snapshot is None else 0.0
            stale = self._stale[key] = Stale(pushed or 0, snapshot, symbol, own.records, now + grace, reason)
            if asked < now < asked + 2 * pause:  # it was live for a moment only: as if it had been stale all the time
                stale.due, stale.pause = max(stale.due, asked + pause), min(2 * pause, MOST_S)
        elif reason != NO_SNAPSHOT:
            stale.reason = reason
        return stale

    def due(self, now: float) -> Iterator[Stale]:
        """The books to ask for now. Who has been asked for calls `asked`."""
        return (stale for stale in list(self._stale.values()) if stale.due <= now)

    def asked(self, stale: Stale, now: float) -> None:
        """It comes up again if it is not live by then."""
        self._asked[fields.book_of(self._messages, self._messages[stale.message]), stale.symbol] = (now, stale.pause)
        stale.due = now + stale.pause
        stale.pause = min(2 * stale.pause, MOST_S)

    def forget(self, streams: Sequence[Stream]) -> None:
        """The books that these streams bring are no longer wanted."""
        for stream in streams:
            for key, stale in list(self._stale.items()):
                if stale.message in stream.messages and stream.symbol in (None, stale.symbol):
                    del self._stale[key]

    @property
    def keys(self) -> frozenset[tuple[str, str]]:
        """(record, symbol) of everything that is cut from a stale book."""
        return frozenset((record, stale.symbol) for stale in self._stale.values() for record in stale.records)

    def _find(self, like: ir.Message, *, fetched: bool) -> int | None:
        """The message that keeps the same books, pushed or fetched."""
        for index, message in enumerate(self._messages):
            keeps = message.book and (message.url is not None) is fetched
            keeps = keeps and (fetched or message.transport == self._transport)
            if keeps and fields.book_of(self._messages, message) == fields.book_of(self._messages, like):
                return index
        return None
