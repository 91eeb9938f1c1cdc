"""Books told as a snapshot and changes, each subscriber with its own batches.

A `Tape` is one stream of one instrument's book: it gathers what the market touches and is cut now and then, which gives the book a new id.
A `Cursor` is one subscriber's place on it. Subscribers may be told two cuts in one update: their ids then chain differently and lead to
the same book, as on redundant connections of a real venue. Imports `market`, `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k4.sim.market import Instrument, Touched, Values
from k4.sim.wire import BOOK

CUT_NS = 50_000_000


@dataclass(slots=True)
class Tape:
    """`steps`: ids of this stream go up by one with every update; else they are the instrument's own."""

    instrument: Instrument
    steps: bool
    id: int = 0
    fresh: Touched = field(default_factory=set)  # touched since the last cut
    at_ns: int = 0
    cursors: list[Cursor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = self.instrument.update_id
        self.instrument.watchers.append(self.fresh)

    def subscribe(self, *, every: int) -> Cursor:
        """A new subscriber, who has the book as of the last cut. `every`: how many cuts it is told at once, where ids allow."""
        cursor = Cursor(self, self.id, 1 if self.steps else every)
        self.cursors.append(cursor)
        return cursor

    def cut(self, now_ns: int) -> bool:
        """Ends the batch. False: nothing was touched."""
        self.at_ns = now_ns
        if not self.fresh:
            return False
        self.id = self.id + 1 if self.steps else self.instrument.update_id
        for cursor in self.cursors:
            cursor.pending |= self.fresh
            cursor.cuts += 1
        self.fresh.clear()
        return True

    def snapshot(self) -> Values:
        """The whole book as of the last cut, which must have been made just now."""
        whole = self.instrument.depth()
        return {**whole, "update_id": self.id, BOOK: whole}

    def close(self) -> None:
        """Stops gathering."""
        self.instrument.watchers[:] = [watcher for watcher in self.instrument.watchers if watcher is not self.fresh]


@dataclass(slots=True, eq=False)
class Cursor:
    """One subscriber of a tape: the id it has, and what was touched since."""

    tape: Tape
    id: int
    every: int
    cuts: int = 0
    pending: Touched = field(default_factory=set)

    def update(self, *, chained: bool) -> Values | None:
        """The next update, right after a cut; None: it is not due. `chained`: it names the one before, so that its first id may jump."""
        if self.cuts < self.every:
            return None
        tape = self.tape
        first = min(self.id + (2 if chained else 1), tape.id)
        values = {
            **tape.instrument.changes(self.pending),
            "update_id": tape.id,
            "prev_id": self.id,
            "first_id": first,
            BOOK: tape.instrument.depth(),
        }
        self.id, self.cuts = tape.id, 0
        self.pending.clear()
        return values
