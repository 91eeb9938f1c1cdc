"""The connections that carry an entry's streams over one transport: redundant ones, and parts where one cannot carry all.

    name#0   name#1   name#2     redundancy.connections = 3: each carries everything
    name#0.1 name#1.1 name#2.1   the second part, where the venue's limits ask for one

A stream stays on its part for as long as it is asked for; what is new goes where there is room (`session.spread`). Where more or fewer
redundant connections are asked for, those with the highest numbers come and go. Imports `connection`,
`job`, `session`, `venue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from . import session
from .connection import Connection
from .job import Entry
from .session import Plan
from .venue import Venue

Plans = Mapping[int, Plan]  # by the number of the part


class Rank(NamedTuple):
    """The place of a connection among all of its entry: what they do now and then they do one after the other."""

    number: int
    of: int


Opens = Callable[[Plan, str, Rank], Connection]  # a plan and a name; raises K4Error


class Fleet:
    """`place`: a plan with the endpoint that is really dialled. `first`: index of the first of the redundant connections."""

    def __init__(self, entry: Entry, venue: Venue, transport: str, *, first: int, place: Callable[[Plan], Plan], opens: Opens) -> None:
        self._entry = entry
        self._venue = venue
        self._transport = transport
        self._first = first
        self._place = place
        self._opens = opens
        self._plans: Plans = {}
        self._connections: dict[tuple[int, int], Connection] = {}  # by part and index
        self._opened: dict[tuple[int, int], Connection] = {}

    def planned(self, symbols: tuple[str, ...]) -> Plans:
        """What the parts would carry for `symbols`. Changes nothing: may run in a thread."""
        wanted = session.streams(self._venue.product, self._venue.messages, self._entry.records, symbols, self._transport)
        return session.spread(self._venue.product, wanted, self._plans)

    def open(self, plans: Plans, redundant: int) -> list[Connection]:
        """Makes what `plans` need, each carried by so many, beyond what is there; it is the fleet's from `settle` on. Raises K4Error, with
        nothing left open."""
        made: dict[tuple[int, int], Connection] = {}
        parts = max(plans, default=0) + 1
        of = redundant * len(self._entry.redundancy.transports) * parts
        try:
            for index in range(self._first, self._first + redundant):
                for part in plans:
                    if (part, index) not in self._connections:
                        name = f"{self._entry.name}#{index}" + (f".{part}" if part else "")
                        rank = Rank(index * parts + part, of)
                        made[part, index] = self._opens(self._place(plans[part]), name, rank)
        except BaseException:
            for connection in made.values():
                connection.close()
            raise
        self._opened = made  # what an attempt left that failed elsewhere was closed there
        return list(made.values())

    def settle(self, plans: Plans, redundant: int) -> list[Connection]:
        """From now on the parts carry `plans`, for which `open` was called. Returns the connections that have nothing to carry any more."""
        there = {**self._connections, **self._opened}
        stay = {(part, index): one for (part, index), one in there.items() if part in plans and index < self._first + redundant}
        for (part, index), connection in self._connections.items():
            if (part, index) in stay and plans[part] is not self._plans[part]:
                connection.change(self._place(plans[part]))
        gone = [connection for key, connection in self._connections.items() if key not in stay]
        self._connections = stay
        self._opened = {}
        self._plans = plans
        return gone

    def siblings(self) -> list[tuple[Connection, ...]]:
        """The connections that carry the same, of each part."""
        return [tuple(one for (of, _), one in self._connections.items() if of == part) for part in self._plans]

    def carriers(self) -> dict[tuple[str, str | None], list[Connection]]:
        """(record, symbol or None for all) → the connections that bring it."""
        found: dict[tuple[str, str | None], list[Connection]] = {}
        for (part, _), connection in self._connections.items():
            for stream in self._plans[part].streams:
                for record in stream.records:
                    found.setdefault((record, stream.symbol), []).append(connection)
        return found
