"""What is asked of the venue on one link, and what it said to that.

Pure: time is an argument (monotonic seconds). Imports `session` and, of the generator, `bind`, `ir`. An ack proves no more than that a
request was understood (venues acknowledge streams that do not exist), so data is watched elsewhere; here answers are matched to streams.

A venue may refuse a request as a whole for one bad stream in it. Then the others are asked for again: all of them where the venue says
which one is bad, in halves where it does not, until what it refuses stands alone. That is asked for again after a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import session
from ._codegen import bind, ir
from .session import NONE, Names, Request, Stream

# A venue that has not answered a request for so long will not.
ANSWER_S = 10.0
# What the venue refuses is asked for again after so long, then after twice as long, and so on: it may have been busy.
REFUSED_S = 60.0
REFUSED_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """What the venue refused, in its own words. `streams`: those it means; empty when it does not say which, or may mean any of `again`.

    `again`: streams that it refused with them, or among which it refused one, and that are asked for again.
    """

    streams: tuple[Stream, ...]
    again: tuple[Stream, ...]
    code: str
    text: str


@dataclass(slots=True)
class _Sent:
    """A request that was sent, and which of its streams have no answer yet."""

    adds: bool
    at: float
    open: list[Stream]
    reported: bool = False


@dataclass(slots=True)
class _Refused:
    due: float
    pause: float


class Subscriptions:
    """The requests of one link: some wait to be sent, some for an answer. `names`: what was fetched for its connect."""

    def __init__(self, product: ir.Product, messages: Sequence[ir.Message], names: Names = NONE) -> None:
        self._product = product
        self._names = names
        # Where an ack names no stream, a request has one answer: an error in its place refuses all of it.
        self._one_answer = not any(message.record == "ack" and _names_streams(message) for message in messages)
        self._next_id = 1
        self._queue: deque[tuple[bool, Request]] = deque()
        self._sent: dict[str, _Sent] = {}  # by the request's id, in the order of sending
        self._wanted: set[Stream] = set()
        self._refused: dict[Stream, _Refused] = {}

    def number(self) -> int:
        """A number that no request of the link has had."""
        self._next_id += 1
        return self._next_id - 1

    def subscribe(self, streams: Sequence[Stream]) -> None:
        """Queues the requests that ask for `streams`; the session has a `subscribe`."""
        assert self._product.session.subscribe is not None
        self._wanted.update(streams)
        self._ask(self._product.session.subscribe, streams, adds=True)

    def unsubscribe(self, streams: Sequence[Stream]) -> None:
        """Queues the requests that end `streams`; the session has an `unsubscribe`."""
        assert self._product.session.unsubscribe is not None
        self._wanted.difference_update(streams)
        for stream in streams:
            self._refused.pop(stream, None)
        self._ask(self._product.session.unsubscribe, streams, adds=False)

    def tick(self, now: float) -> None:
        """Queues anew what was refused long enough ago, each by itself: others shall not fail with it."""
        for stream, refused in self._refused.items():
            if now >= refused.due:
                refused.pause = min(2 * refused.pause, REFUSED_MOST_S)
                refused.due = now + refused.pause
                self.subscribe((stream,))

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

    @property
    def refused(self) -> tuple[Stream, ...]:
        """Streams that the venue refuses."""
        return tuple(self._refused)

    def ack(self, said: Mapping[str, str]) -> tuple[Stream, ...]:
        """An ack with these fields has come; the streams it settles."""
        settled: list[Stream] = []
        for key, streams in self._meant(said):
            self._take(key, streams)
            settled += streams
        for stream in settled:
            self._refused.pop(stream, None)
        return tuple(settled)

    def error(self, said: Mapping[str, str], now: float) -> Rejected:
        """An error with these fields has come."""
        named = "channel" in said or "symbol" in said
        meant = self._meant(said)
        if not meant and "id" not in said and not named and len(self._sent) == 1:
            meant = [(key, [*sent.open]) for key, sent in self._sent.items()]  # it can only mean the one request that waits
        refused: list[Stream] = []
        again: list[Stream] = []
        for key, streams in meant:
            sent = self._sent[key]
            with_it = [stream for stream in sent.open if stream not in streams] if named and self._one_answer else []
            self._take(key, [*streams, *with_it])
            if sent.adds and not named and len(streams) > 1:
                again += streams
                middle = (len(streams) + 1) // 2
                self._ask_again(streams[:middle])
                self._ask_again(streams[middle:])
                continue
            refused += streams
            if sent.adds:
                for stream in streams:
                    self._refused.setdefault(stream, _Refused(now + REFUSED_S, REFUSED_S))
                again += with_it
                self._ask_again(with_it)
        return Rejected(tuple(refused), tuple(again), said.get("code", ""), said.get("text", ""))

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

    def _ask_again(self, streams: Sequence[Stream]) -> None:
        """Unless they have been unsubscribed meanwhile."""
        self.subscribe([stream for stream in streams if stream in self._wanted])

    def _meant(self, said: Mapping[str, str]) -> list[tuple[str, list[Stream]]]:
        """What an answer means, by request: all of the one with its id, of that the stream it names, or that where it was asked first."""
        id_, channel, symbol = said.get("id"), said.get("channel"), said.get("symbol")
        if channel is None and symbol is None:
            return [(id_, [*self._sent[id_].open])] if id_ is not None and id_ in self._sent else []
        found: list[tuple[str, list[Stream]]] = []
        seen: set[Stream] = set()
        for key in [id_] if id_ is not None and id_ in self._sent else self._sent:
            named = [s for s in self._sent[key].open if channel in (None, s.channel) and symbol in (None, s.symbol) and s not in seen]
            if named:
                found.append((key, named))
                seen.update(named)
        return found

    def _take(self, key: str, streams: Sequence[Stream]) -> None:
        """They are answered."""
        sent = self._sent[key]
        sent.open = [stream for stream in sent.open if stream not in streams]
        if not sent.open:
            del self._sent[key]


def _names_streams(message: ir.Message) -> bool:
    """Whether a message of the venue tells of single streams."""
    captured = (name for match in message.match for pattern in match.patterns for name in bind.names_in(pattern))
    return any(name in ("channel", "symbol") for name in (*captured, *(field.name for field in message.fields)))


def symbols(streams: Sequence[Stream], most: int = 20) -> str:
    """The streams by name, for the log; a long list is cut and says so."""
    names = list(dict.fromkeys(stream.label for stream in streams))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
