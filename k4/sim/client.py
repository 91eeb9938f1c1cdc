"""What the simulator knows of one connection, and what it counts.

Imports `books`, `desk`, `line`, `net`, `venue` and, of the generator, `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k4._codegen import ir
from k4.sim.books import Cursor
from k4.sim.desk import Desk
from k4.sim.line import Line
from k4.sim.net import Peer
from k4.sim.venue import Stream

Told = tuple[Desk, Stream]


@dataclass(slots=True, eq=False)
class Client:
    """One connection. `carries`: per product, the messages that its URL can bring; what else is asked for stays silent."""

    number: int  # in the order of arrival
    place: int  # the lowest that was free
    target: str  # path and query
    peer: Peer
    carries: dict[Desk, frozenset[int]]
    delay_s: float
    streams: set[Told] = field(default_factory=set)
    asked: int = 0  # how often that has changed
    cursors: dict[Told, Cursor] = field(default_factory=dict)
    line: Line | None = None  # the newest fault's hold on it
    pinged_at: float = 0.0  # when the client last pinged
    waiting: list[tuple[ir.Text, dict[str, str]]] = field(default_factory=list)  # what is to answer the venue's pings

    @property
    def desk(self) -> Desk:
        return next(iter(self.carries))

    def wants(self, desk: Desk, stream: Stream) -> bool:
        return (desk, stream) in self.streams or (desk, Stream(stream.message, "")) in self.streams


@dataclass(slots=True)
class Counts:
    """What has been said to clients and by them, for tests and the last line of `k4 sim`."""

    accepted: int = 0
    acks: int = 0
    errors: int = 0
    pongs: int = 0
    pings: int = 0
    answered: int = 0  # of the venue's pings
    fetched: int = 0
    frames: int = 0  # of market data
    bytes: int = 0
