"""What was asked of the venue on one link, and what it said to that.

Pure: time is an argument (monotonic seconds). Imports `k4.session` only. An ack proves no more than that a request was understood
(venues acknowledge streams that do not exist), so data is watched elsewhere; here only answers are matched to streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .session import Request, Stream

# A venue that has not answered a request for so long will not.
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """Streams the venue refused, in its own words; `streams` is empty when it does not say which."""

    streams: tuple[Stream, ...]
    code: str
    text: str


class Subscriptions:
    """The requests of one link. `open` streams were asked for and not answered yet."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[Request, float]] = {}
        self._open: dict[str, list[Stream]] = {}  # request id → its streams without an answer
        self._reported: set[str] = set()

    def sent(self, request: Request, now: float) -> None:
        self._sent[str(request.id)] = (request, now)
        self._open[str(request.id)] = list(request.streams)

    @property
    def open(self) -> tuple[Stream, ...]:
        return tuple(stream for streams in self._open.values() for stream in streams)

    def ack(self, said: Mapping[str, str]) -> tuple[Stream, ...]:
        """An ack with these fields has come; the streams it settles."""
        return self._settle(said)

    def error(self, said: Mapping[str, str]) -> Rejected:
        """An error with these fields has come."""
        streams = self._settle(said)
        if not streams and "id" not in said and "channel" not in said and len(self._open) == 1:
            streams = tuple(self._open.popitem()[1])  # it can only mean the one request that waits
        return Rejected(streams, said.get("code", ""), said.get("text", ""))

    def overdue(self, now: float) -> tuple[Stream, ...]:
        """Streams that the venue left unanswered for ANSWER_S; each is told once."""
        late = [id_ for id_, (_, at) in self._sent.items() if now - at >= ANSWER_S and id_ in self._open and id_ not in self._reported]
        self._reported.update(late)
        return tuple(stream for id_ in late for stream in self._open[id_])

    def _settle(self, said: Mapping[str, str]) -> tuple[Stream, ...]:
        id_, channel, symbol = said.get("id"), said.get("channel"), said.get("symbol")
        settled: list[Stream] = []
        for key in [id_] if id_ is not None and id_ in self._open else [*self._open]:
            if channel is None and symbol is None:
                if key != id_:
                    continue
                settled += self._open[key]
                rest: list[Stream] = []
            else:
                named = [s for s in self._open[key] if channel in (None, s.channel) and symbol in (None, s.symbol)]
                settled += named
                rest = [s for s in self._open[key] if s not in named]
            if rest:
                self._open[key] = rest
            else:
                del self._open[key]
        return tuple(settled)


def symbols(streams: Sequence[Stream], most: int = 20) -> str:
    """The streams by name, for the log; a long list is cut and says so."""
    names = list(dict.fromkeys(stream.label for stream in streams))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
