"""What is asked of the venue on one link, and what it said to that.

Pure: time is an argument (monotonic seconds). Imports `session` and, of the generator, `ir`. An ack proves no more than that a request
was understood (venues acknowledge streams that do not exist), so data is watched elsewhere; here only answers are matched to streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import session
from ._codegen import ir
from .session import NONE, Names, Request, Stream

# A venue that has not answered a request for so long will not.
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """Streams the venue refused, in its own words; `streams` is empty when it does not say which."""

    streams: tuple[Stream, ...]
    code: str
    text: str


@dataclass(slots=True)
class _Sent:
    """A request that was sent, and which of its streams have no answer yet."""

    adds: bool
    at: float
    open: list[Stream]
    reported: bool = False


class Subscriptions:
    """The requests of one link: some wait to be sent, some for an answer. `names`: what was fetched for its connect."""

    def __init__(self, product: ir.Product, names: Names = NONE) -> None:
        self._product = product
        self._names = names
        self._next_id = 1
        self._queue: deque[tuple[bool, Request]] = deque()
        self._sent: dict[str, _Sent] = {}  # by the request's id, in the order of sending

    def number(self) -> int:
        """A number that no request of the link has had."""
        self._next_id += 1
        return self._next_id - 1

    def subscribe(self, streams: Sequence[Stream]) -> None:
        """Queues the requests that ask for `streams`; the session has a `subscribe`."""
        assert self._product.session.subscribe is not None
        self._ask(self._product.session.subscribe, streams, adds=True)

    def unsubscribe(self, streams: Sequence[Stream]) -> None:
        """Queues the requests that end `streams`; the session has an `unsubscribe`."""
        assert self._product.session.unsubscribe is not None
        self._ask(self._product.session.unsubscribe, streams, adds=False)

    @property
    def next(self) -> Request | None:
        """The request to send next. Who has sent it calls `sent`."""
        return self._queue[0][1] if self._queue else None

    def sent(self, now: float) -> None:
        adds, request = self._queue.popleft()
        self._sent[str(request.id)] = _Sent(adds, now, list(request.streams))

    @property
    def open(self) -> tuple[Stream, ...]:
        """Streams that were asked for and not answered yet."""
        return tuple(stream for sent in self._sent.values() if sent.adds for stream in sent.open)

    def ack(self, said: Mapping[str, str]) -> tuple[Stream, ...]:
        """An ack with these fields has come; the streams it settles."""
        return self._settle(said)

    def error(self, said: Mapping[str, str]) -> Rejected:
        """An error with these fields has come."""
        streams = self._settle(said)
        if not streams and "id" not in said and "channel" not in said and len(self._sent) == 1:
            streams = tuple(self._sent.popitem()[1].open)  # it can only mean the one request that waits
        return Rejected(streams, said.get("code", ""), said.get("text", ""))

    def overdue(self, now: float) -> tuple[Stream, ...]:
        """Streams that the venue left unanswered for ANSWER_S; each is told once."""
        late = [sent for sent in self._sent.values() if sent.adds and not sent.reported and now - sent.at >= ANSWER_S]
        for sent in late:
            sent.reported = True
        return tuple(stream for sent in late for stream in sent.open)

    def _ask(self, manner: ir.Request, streams: Sequence[Stream], *, adds: bool) -> None:
        asked = session.requests(self._product, manner, streams, self._next_id, self._names)
        self._next_id += len(asked)
        self._queue.extend((adds, request) for request in asked)

    def _settle(self, said: Mapping[str, str]) -> tuple[Stream, ...]:
        """Takes out what an answer means: the request with its id, of that the stream it names, or that stream where it was asked first."""
        id_, channel, symbol = said.get("id"), said.get("channel"), said.get("symbol")
        settled: list[Stream] = []
        for key in [id_] if id_ is not None and id_ in self._sent else [*self._sent]:
            sent = self._sent[key]
            if channel is None and symbol is None:
                if key != id_:
                    continue
                settled += sent.open
                sent.open = []
            else:
                named = [s for s in sent.open if channel in (None, s.channel) and symbol in (None, s.symbol) and s not in settled]
                settled += named
                sent.open = [s for s in sent.open if s not in named]
            if not sent.open:
                del self._sent[key]
        return tuple(settled)


def symbols(streams: Sequence[Stream], most: int = 20) -> str:
    """The streams by name, for the log; a long list is cut and says so."""
    names = list(dict.fromkeys(stream.label for stream in streams))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
