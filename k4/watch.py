"""Which streams are alive: symbol states in shared memory, and streams that have been silent since they were subscribed.

A stream is LIVE while a connection that carries it is up and it has had data since that connection came up; otherwise STALE. A quiet
symbol on a healthy connection stays LIVE: that the link works is the connection's own watch. But where the venue says how long a stream
is quiet at most, one that is quiet for longer is STALE; and so is what the venue refuses. A stream that is cut
from books is RESYNC while no connection that is up has a good one. What only some of its connections bring is LIVE; that the others bring
it again is the work of `stuck`. Time is an argument. Imports `stuck`, and `log` for its type only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import stuck
from .log import Logger
from .stuck import Stuck, named

LIVE, STALE, RESYNC = 0, 1, 2
# A stream without any record for so long after its subscription is named in the log.
SILENT_S = 30.0
# At the end of a short run, they are named after so long.
SILENT_AT_END_S = 5.0
# So many streams are looked at in one tick, to keep the thread free for the feed.
SLICE = 256
_SILENT_NS = int(SILENT_S * 1e9)


class Carrier(stuck.Carrier, Protocol):
    """A connection, as far as its streams' states go."""

    healthy_since_ns: int  # monotonic; 0 = not up


@dataclass(slots=True, eq=False)
class _Stream:
    record: int
    instrument: int
    key: tuple[str, str]  # record, symbol
    carriers: tuple[Carrier, ...]
    recv_ns: int
    silence_ns: int | None  # quiet for longer is a fault
    each: bool  # of the carriers is to bring it
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
        self._stuck = Stuck(lib, feed, log)
        self._expected = True  # it knows what to look for
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
        *,
        each: bool = True,
    ) -> None:
        """Watches (record number, instrument), which starts as STALE; of one that is watched already, changes who brings it.

        `key`: the record's word and the symbol. `silence_s`: the venue pushes it at least so often; None: as it likes.
        `each`: every carrier is to bring it, not one or another.
        """
        self._expected = False
        self._carriers.update((id(carrier), carrier) for carrier in carriers)
        silence_ns = None if silence_s is None else int(silence_s * 1e9)
        if (known := self._by_instrument.get((record, instrument))) is not None:
            known.carriers, known.silence_ns, known.each = tuple(carriers), silence_ns, each
            return
        self._lib.k4_feed_symbol_state(self._feed, record, instrument, STALE, wall_ns)
        # What a former writer left is no sign of life.
        recv_ns = self._lib.k4_feed_last_recv_ns(self._feed, record, instrument)
        stream = _Stream(record, instrument, key, tuple(carriers), recv_ns, silence_ns, each)
        self._by_instrument[record, instrument] = stream
        self._streams.append(stream)

    def remove(self, gone: Collection[tuple[int, int]], wall_ns: int) -> None:
        """Nobody asks for these (record number, instrument) any more: REMOVED, and nothing of them is published."""
        for record, instrument in gone:
            self._lib.k4_feed_remove(self._feed, record, instrument, wall_ns)
            self._by_instrument.pop((record, instrument), None)
        self._streams = list(self._by_instrument.values())
        self._expected = False

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
        self._look_for_stuck(now_ns)
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
            self._log.warning("no data since subscribed", streams=named(silent), for_s=round(waited_ns / 1e9, 1))

    def _look(self, stream: _Stream, now_ns: int, wall_ns: int) -> None:
        recv_ns = self._lib.k4_feed_last_recv_ns(self._feed, stream.record, stream.instrument)
        if recv_ns != stream.recv_ns:
            stream.recv_ns, stream.changed_ns = recv_ns, now_ns
        carriers = [carrier for carrier in stream.carriers if carrier.healthy_since_ns]
        up = [carrier.healthy_since_ns for carrier in carriers]
        given = [carrier.healthy_since_ns for carrier in carriers if not stuck.is_refused(carrier, stream.key)]
        quiet = stream.silence_ns is not None and now_ns - stream.changed_ns > stream.silence_ns
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

    def _look_for_stuck(self, now_ns: int) -> None:
        if not self._expected:
            self._expected = True
            wanted = [stream for stream in self._streams if stream.each and (stream.silence_ns is not None or len(stream.carriers) > 1)]
            self._stuck.expect((stream, stream.carriers) for stream in wanted)
        self._stuck.tick(now_ns)

    def _report(self) -> None:
        if self._silent:
            self._log.warning("no data since subscribed", streams=named(self._silent), for_s=SILENT_S)
        if self._resumed:
            self._log.info("data after all", streams=named(self._resumed))
        self._silent, self._resumed = [], []
