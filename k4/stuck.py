"""Streams that are stuck on one connection: the link lives and brings others, and nothing of them. They are subscribed anew there.

A stream counts as stuck on a connection that has not brought it for longer than the venue says it is quiet at most; and, whatever the venue
says, on one that has brought nothing for MISSING_S since another connection published something newer of it. Siblings are left alone.
What each connection has brought is noted in C, a mark for each record, and looked at twice a second. Time is an argument. Imports `log`
for its type only.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .log import Logger

LOOK_S = 0.5
# For so long a connection may be behind one that has published something newer; a link that is slow brings at least old things.
MISSING_S = 10.0
# What is stuck is subscribed anew not sooner than so long after the last time, then after twice as long, and so on.
RENEW_S = 5.0
RENEW_MOST_S = 600.0

Key = tuple[str, str]  # record, symbol


class Expected(NamedTuple):
    """Instruments of one record that a connection is to bring, each `silence_ns` after the last at most; None: as late as it likes."""

    record: int
    silence_ns: int | None
    instruments: array[int]


class Carrier(Protocol):
    """A connection, as far as its streams go."""

    name: str
    stale_books: frozenset[Key]  # what it has no good book of
    refused: frozenset[Key]  # what the venue does not give it

    def stuck(self, expected: Expected, missing_ns: int) -> list[int]:
        """The instruments that its link, though all was asked for, has not brought in time, as of the last survey."""

    def renew(self, keys: frozenset[Key]) -> None:
        """Subscribes these anew."""


class Stream(Protocol):
    """One that is carried by connections, of whom each is to bring all of it."""

    @property
    def record(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def key(self) -> Key: ...
    @property
    def silence_ns(self) -> int | None: ...


@dataclass(slots=True)
class _Renewed:
    """How it went with a stream of a connection so far."""

    again_ns: int
    pause_ns: int


@dataclass(slots=True)
class _Watched:
    carrier: Carrier
    expected: dict[tuple[int, int | None], Expected] = field(default_factory=dict)
    keys: dict[tuple[int, int], Key] = field(default_factory=dict)  # by record and instrument
    renewed: dict[tuple[int, int], _Renewed] = field(default_factory=dict)


class Stuck:
    """The streams of one group. `feed`: its `k4_feed *`."""

    def __init__(self, lib: Any, feed: Any, log: Logger) -> None:
        self._lib = lib
        self._feed = feed
        self._log = log
        self._due_ns = 0
        self._watched: dict[int, _Watched] = {}  # by id() of the carrier

    def expect(self, streams: Iterable[tuple[Stream, Iterable[Carrier]]]) -> None:
        """From now on these, each on all of its carriers."""
        before, self._watched = self._watched, {}
        for stream, carriers in streams:
            for carrier in carriers:
                of = self._watched.get(id(carrier))
                if of is None:
                    of = self._watched[id(carrier)] = _Watched(carrier)
                    if id(carrier) in before:
                        of.renewed = before[id(carrier)].renewed
                basket = (stream.record, stream.silence_ns)
                if basket not in of.expected:
                    of.expected[basket] = Expected(*basket, array("I"))
                of.expected[basket].instruments.append(stream.instrument)
                of.keys[stream.record, stream.instrument] = stream.key
        for of in self._watched.values():
            of.renewed = {place: renewed for place, renewed in of.renewed.items() if place in of.keys}

    def tick(self, now_ns: int) -> None:
        """Looks, where it is time to. `now_ns`: monotonic."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + int(LOOK_S * 1e9)
        self._lib.k4_feed_survey(self._feed, now_ns)
        for of in self._watched.values():
            self._look(of, now_ns)

    def _look(self, of: _Watched, now_ns: int) -> None:
        keys: list[Key] = []
        for expected in of.expected.values():
            limit_ns = int(MISSING_S * 1e9) if expected.silence_ns is None else expected.silence_ns
            for instrument in of.carrier.stuck(expected, int(MISSING_S * 1e9)):
                key = of.keys[expected.record, instrument]
                # These are looked after elsewhere, in their own time.
                if key in of.carrier.stale_books or is_refused(of.carrier, key):
                    continue
                if _is_due(of.renewed, (expected.record, instrument), limit_ns, now_ns):
                    keys.append(key)
        if keys:
            names = named([f"{symbol} {record}" for record, symbol in keys])
            self._log.warning("stuck on this connection, subscribed anew", connection=of.carrier.name, streams=names)
            of.carrier.renew(frozenset(keys))


def _is_due(renewed: dict[tuple[int, int], _Renewed], place: tuple[int, int], limit_ns: int, now_ns: int) -> bool:
    """Whether what is stuck is subscribed anew now; then it is noted when it may be again."""
    last = renewed.get(place)
    if last is not None and now_ns < last.again_ns:
        return False
    least_ns = int(RENEW_S * 1e9)
    pause_ns = least_ns
    # Later than that it was not stuck all the time: it would have been found before.
    if last is not None and now_ns <= last.again_ns + 2 * limit_ns + least_ns:
        pause_ns = min(2 * last.pause_ns, int(RENEW_MOST_S * 1e9))
    renewed[place] = _Renewed(now_ns + max(pause_ns, limit_ns), pause_ns)
    return True


def is_refused(carrier: Carrier, key: Key) -> bool:
    """Whether the venue refuses it the stream, or the one for all symbols, ""."""
    return bool(carrier.refused) and (key in carrier.refused or (key[0], "") in carrier.refused)


def named(labels: list[str], most: int = 50) -> str:
    """The streams by name, for the log; a long list is cut and says so."""
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")
