"""Which streams are alive: symbol states in shared memory, and streams that have been silent since they were subscribed.

A stream is LIVE while a connection that carries it is up and it has had data since that connection came up; otherwise STALE. A quiet
symbol on a healthy connection stays LIVE: that the link works is the connection's own watch. But where the venue says how long a stream
is quiet at most, one that is quiet for longer is STALE, and is subscribed anew; and so is what the venue refuses. A stream that is cut
from books is RESYNC while no connection that is up has a good one. Time is an argument. Imports `log` for its type only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .log import Logger

LIVE, STALE, RESYNC = 0, 1, 2
# A stream without any record for so long after its subscription is named in the log.
SILENT_S = 30.0
# At the end of a short run, they are named after so long.
SILENT_AT_END_S = 5.0
# A stream that is quiet for too long is subscribed anew after its limit, but not sooner than this after the last time, then after
# twice as long, and so on.
RENEW_S = 5.0
RENEW_MOST_S = 600.0
# So many streams are looked at in one tick, to keep the thread free for the feed.
SLICE = 256
_SILENT_NS = int(SILENT_S * 1e9)


class Carrier(Protocol):
    """A connection, as far as its streams' states go."""

    healthy_since_ns: int  # monotonic; 0 = not up
    stale_books: frozenset[tuple[str, str]]  # (record, symbol) of what it has no good book of
    refused: frozenset[tuple[str, str]]  # the same of what the venue does not give it

    def renew(self, keys: frozenset[tuple[str, str]]) -> None:
        """Subscribes these (record, symbol) anew."""


@dataclass(slots=True, eq=False)
class _Stream:
    record: int
    instrument: int
    key: tuple[str, str]  # record, symbol
    carriers: tuple[Carrier, ...]
    recv_ns: int
    silence_ns: int | None  # quiet for longer is a fault
    renew_ns: int = 0  # monotonic, not subscribed anew before
    pause_ns: int = int(RENEW_S * 1e9)
    changed_ns: int = 0  # monotonic, when recv_ns was last seen to move; 0 = never
    state: int = STALE
    silent: bool = False

    @property
    def label(self) -> str:
        return f"{self.key[1]} {self.key[0]}"


class Watch:
    """The streams of one group. `feed`: its `k4_feed *`."""

    def __init__(self, lib: Any, feed: Any, log: Logger) -> None:
        self._lib = lib
        self._feed = feed
        self._log = log
        self._streams: list[_Stream] = []
        self._by_instrument: dict[tuple[int, int], _Stream] = {}
        self._next = 0
        self._carriers: dict[int, Carrier] = {}  # by id()
        self._health: dict[int, tuple[object, ...]] = {}  # of each carrier, as last seen
        self._quiet: list[_Stream] = []  # for longer than the venue is
        self._silent: list[str] = []
        self._resumed: list[str] = []

    def add(
        self,
        record: int,
        instrument: int,
        key: tuple[str, str],
        carriers: Sequence[Carrier],
        wall_ns: int,
        silence_s: float | None = None,
    ) -> None:
        """Watches (record number, instrument), which starts as STALE; of one that is watched already, changes the carriers.

        `key`: the record's word and the symbol. `silence_s`: the venue pushes it at least so often; None: as it likes.
        """
        self._carriers.update((id(carrier), carrier) for carrier in carriers)
        if (known := self._by_instrument.get((record, instrument))) is not None:
            known.carriers = tuple(carriers)
            return
        self._lib.k4_feed_symbol_state(self._feed, record, instrument, STALE, wall_ns)
        # What a former writer left is no sign of life.
        recv_ns = self._lib.k4_feed_last_recv_ns(self._feed, record, instrument)
        silence_ns = None if silence_s is None else int(silence_s * 1e9)
        stream = self._by_instrument[record, instrument] = _Stream(record, instrument, key, tuple(carriers), recv_ns, silence_ns)
        self._streams.append(stream)

    def remove(self, gone: Collection[tuple[int, int]], wall_ns: int) -> None:
        """Nobody asks for these (record number, instrument) any more: REMOVED, and nothing of them is published."""
        for record, instrument in gone:
            self._lib.k4_feed_remove(self._feed, record, instrument, wall_ns)
            self._by_instrument.pop((record, instrument), None)
        self._streams = list(self._by_instrument.values())

    def forget(self, carrier: Carrier) -> None:
        """It carries nothing any more."""
        self._carriers.pop(id(carrier), None)
        self._health.pop(id(carrier), None)

    def tick(self, now_ns: int, wall_ns: int) -> None:
        """Looks at the next slice; at every stream of a connection that came up or went down, at once."""
        changed = self._changed_carriers()
        if changed:
            for stream in self._streams:
                if any(id(carrier) in changed for carrier in stream.carriers):
                    self._look(stream, now_ns, wall_ns)
        for stream in self._streams[self._next : self._next + SLICE]:
            self._look(stream, now_ns, wall_ns)
        self._renew()
        self._next += SLICE
        if self._next >= len(self._streams):
            self._next = 0
            self._report()

    def states(self) -> dict[str, int]:
        """How many streams are in which state, and how many of them have never had data."""
        live = sum(1 for stream in self._streams if stream.state == LIVE)
        return {"live": live, "stale": len(self._streams) - live, "silent": sum(1 for stream in self._streams if not stream.changed_ns)}

    def _changed_carriers(self) -> set[int]:
        changed: set[int] = set()
        for key, carrier in self._carriers.items():
            health = (carrier.healthy_since_ns, carrier.stale_books, carrier.refused)
            if self._health.get(key) != health:
                self._health[key] = health
                changed.add(key)
        return changed

    def end(self, now_ns: int) -> None:
        """The run ends: names the streams that have had no data and were not named yet. Call it while the connections are up."""
        silent: list[str] = []
        waited_ns = 0
        for stream in self._streams:
            recv_ns = self._lib.k4_feed_last_recv_ns(self._feed, stream.record, stream.instrument)
            since = min((carrier.healthy_since_ns for carrier in stream.carriers if carrier.healthy_since_ns), default=now_ns)
            without = recv_ns == stream.recv_ns and stream.changed_ns < since
            if without and not stream.silent and now_ns - since >= SILENT_AT_END_S * 1e9:
                silent.append(stream.label)
                waited_ns = max(waited_ns, now_ns - since)
        if silent:
            self._log.warning("no data since subscribed", streams=_names(silent), for_s=round(waited_ns / 1e9, 1))

    def _look(self, stream: _Stream, now_ns: int, wall_ns: int) -> None:
        recv_ns = self._lib.k4_feed_last_recv_ns(self._feed, stream.record, stream.instrument)
        if recv_ns != stream.recv_ns:
            stream.recv_ns, stream.changed_ns = recv_ns, now_ns
            stream.renew_ns, stream.pause_ns = 0, int(RENEW_S * 1e9)
        carriers = [carrier for carrier in stream.carriers if carrier.healthy_since_ns]
        up = [carrier.healthy_since_ns for carrier in carriers]
        given = [carrier.healthy_since_ns for carrier in carriers if not _refused(carrier, stream.key)]
        quiet = self._is_quiet(stream, given, now_ns)
        state = LIVE if any(since <= stream.changed_ns for since in given) and not quiet else STALE
        if up and all(stream.key in carrier.stale_books for carrier in carriers):
            state = RESYNC
        if state != stream.state:
            stream.state = state
            self._lib.k4_feed_symbol_state(self._feed, stream.record, stream.instrument, state, wall_ns)
        if not up:
            stream.silent = False
        elif not stream.silent and stream.changed_ns < min(up) and now_ns - min(up) >= _SILENT_NS:
            stream.silent = True
            self._silent.append(stream.label)
        elif stream.silent and stream.changed_ns >= min(up):
            stream.silent = False
            self._resumed.append(stream.label)

    def _is_quiet(self, stream: _Stream, since: Sequence[int], now_ns: int) -> bool:
        """Whether it is quiet for longer than the venue says; if so, it is subscribed anew in its time."""
        if stream.silence_ns is None or not since or now_ns - max(stream.changed_ns, min(since)) <= stream.silence_ns:
            return False
        if now_ns >= stream.renew_ns:
            stream.renew_ns = now_ns + max(stream.pause_ns, stream.silence_ns)
            stream.pause_ns = min(2 * stream.pause_ns, int(RENEW_MOST_S * 1e9))
            self._quiet.append(stream)
        return True

    def _renew(self) -> None:
        """Has what is quiet for too long subscribed anew, by all that carry it."""
        if not self._quiet:
            return
        by: dict[int, set[tuple[str, str]]] = {}
        for stream in self._quiet:
            for carrier in stream.carriers:
                by.setdefault(id(carrier), set()).add(stream.key)
        longest = max(stream.silence_ns or 0 for stream in self._quiet) / 1e9
        names = _names([stream.label for stream in self._quiet])
        self._log.warning("quiet for longer than the venue says, subscribed anew", streams=names, limit_s=longest)
        self._quiet = []
        for key, keys in by.items():
            self._carriers[key].renew(frozenset(keys))

    def _report(self) -> None:
        if self._silent:
            self._log.warning("no data since subscribed", streams=_names(self._silent), for_s=SILENT_S)
        if self._resumed:
            self._log.info("data after all", streams=_names(self._resumed))
        self._silent, self._resumed = [], []


def _refused(carrier: Carrier, key: tuple[str, str]) -> bool:
    """Whether the venue refuses it the stream, or the one for all symbols, ""."""
    return bool(carrier.refused) and (key in carrier.refused or (key[0], "") in carrier.refused)


def _names(labels: Sequence[str], most: int = 50) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")
