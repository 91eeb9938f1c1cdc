"""Load: frames rendered once and sent again and again from one buffer, as fast as clients take them.

A `Reel` is a stretch of a product's market as messages, its end leading back to its beginning. For a client it becomes a `Lap`, one
buffer of framed messages of the streams it asked for. Each time round, every id is raised by what its counter went up during the lap: the
digits are rewritten in place by numpy, so that ids go on as if the market did. Prices and times stay.
Imports numpy, `books`, `desk`, `market`, `net`, `venue`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from k4.sim.books import Cursor
from k4.sim.desk import Desk
from k4.sim.market import Values
from k4.sim.net import framed
from k4.sim.venue import Stream

STEPS = 6_000  # of the market, in a reel
STEP_NS = 1_000_000
WRITE_BYTES = 128 * 1024  # in one write, and so between two looks at anything else
FIRST_ID = 10**12  # ids keep their width for as long as anybody will wait
_IDS = ("update_id", "first_id", "prev_id", "trade_id", "agg_id", "last_id")
_MARK = re.compile("\ue000(\\d+)\ue001([^\ue002]*)\ue002")  # characters of private use: no venue's


class Marked(int):
    """An id that is written with the number of its counter around it."""

    counter: int

    def __new__(cls, value: int, counter: int) -> Self:
        made = super().__new__(cls, value)
        made.counter = counter
        return made

    def __format__(self, spec: str) -> str:
        return f"\ue000{self.counter}\ue001{int.__format__(self, spec)}\ue002"


@dataclass(slots=True)
class _Counter:
    """A row of ids that goes up: between `low` and `high` in a reel. `chained`: the lowest is the one before the reel."""

    low: int
    high: int
    chained: bool = False

    @property
    def step(self) -> int:
        return self.high - self.low + (0 if self.chained else 1)

    def see(self, value: int, *, before: bool) -> None:
        if value < self.low or (value == self.low and before):
            self.low, self.chained = value, before
        self.high = max(self.high, value)


@dataclass(slots=True)
class Message:
    """One message without its marks: where in its bytes which counter's ids stand."""

    stream: Stream
    text: bytes
    ids: list[tuple[int, int, int]] = field(default_factory=list)  # offset, width, counter


class Reel:
    """`STEPS` of a desk's market. `first` has what a subscriber is told at its beginning."""

    def __init__(self, desk: Desk, now_ns: int) -> None:
        self._desk = desk
        self._numbers: dict[tuple[str, str], int] = {}
        self.counters: list[_Counter] = []
        for instrument in desk.market.instruments.values():
            instrument.update_id += FIRST_ID
            instrument.trade_id += FIRST_ID // 10
            instrument.agg_id += FIRST_ID
        opened: dict[Cursor, Stream] = {}
        self.first: dict[Stream, list[Message]] = {}
        for index, message in enumerate(desk.venue.messages):
            if message.channel is None or not self._is_text(Stream(index, "")) or not desk.is_book(Stream(index, "")):
                continue
            for stream in (Stream(index, symbol) for symbol in desk.symbols):
                opened[desk.open_book(stream, now_ns, every=1)[0]] = stream
                told = desk.first(stream, now_ns, partial(self._mark, before=True))
                self.first[stream] = [self._message(stream, said) for said in told if isinstance(said, str)]
        ladders = [(one, [*one.bids], [*one.asks]) for one in desk.market.instruments.values()]
        self.messages = list(self._run(now_ns, opened))
        for instrument, bids, asks in ladders:
            instrument.touch()
            instrument.bids[:], instrument.asks[:] = bids, asks
            instrument.touch()
            instrument.update_id += 1
        self.messages += self._books(now_ns + (STEPS + 1000) * STEP_NS, opened)
        streams = {one.stream for one in self.messages}
        self.books = [stream for stream in opened.values() if stream in streams]

    def snapshots_at(self, number: int) -> None:
        """What is fetched from now on is the book as round `number` begins with it."""
        for stream in self.books:
            counter = self.counters[self._numbers[str(stream.message), stream.symbol]]
            self._desk.market.instruments[stream.symbol].update_id = counter.high + counter.step * (number - 1)

    def _run(self, now_ns: int, opened: dict[Cursor, Stream]) -> Iterator[Message]:
        for i in range(STEPS):
            at = now_ns + i * STEP_NS
            for stream, texts in self._desk.live(at, self._is_text, self._mark):
                yield from (self._message(stream, text) for text in texts if isinstance(text, str))
            yield from self._books(at, opened)

    def _is_text(self, stream: Stream) -> bool:
        """Ids are rewritten digit by digit, so that SBE has no load."""
        return self._desk.venue.messages[stream.message].template is None

    def _books(self, at: int, opened: dict[Cursor, Stream]) -> list[Message]:
        return [
            self._message(opened[cursor], said) for cursor, all_ in self._desk.cut(at, self._mark) for said in all_ if isinstance(said, str)
        ]

    def _mark(self, stream: Stream, values: Values, *, before: bool = False) -> Values:
        """`before`: this is what the reel starts from."""
        out = dict(values)
        trade = "trade_id" in values or "agg_id" in values
        for name in _IDS:
            value = values.get(name)
            if not isinstance(value, int):
                continue
            # Trades are counted by one counter, whoever tells of them; states by one for each stream.
            family = ("agg" if name == "agg_id" else "trade" if trade else str(stream.message), stream.symbol)
            number = self._numbers.setdefault(family, len(self.counters))
            if number == len(self.counters):
                self.counters.append(_Counter(value, value))
            chained = name == "prev_id" and self._desk.venue.messages[stream.message].field("prev_id") is not None
            if name != "prev_id" or chained:
                self.counters[number].see(value, before=chained or before)
            out[name] = Marked(value, number)
        return out

    @staticmethod
    def _message(stream: Stream, text: str) -> Message:
        made = Message(stream, b"")
        parts: list[bytes] = []
        at, length = 0, 0
        for found in _MARK.finditer(text):
            parts += (text[at : found.start()].encode(), found[2].encode())
            length += len(parts[-2])
            digits = re.search(r"\d+$", found[2])
            assert digits is not None
            made.ids.append((length + digits.start(), len(digits[0]), int(found[1])))
            length += len(parts[-1])
            at = found.end()
        parts.append(text[at:].encode())
        made.text = b"".join(parts)
        return made


class Lap:
    """The messages of a reel that one client asked for, framed, in one buffer that is written over for every round."""

    def __init__(self, reel: Reel, streams: frozenset[Stream]) -> None:
        chosen = [one for one in reel.messages if one.stream in streams or Stream(one.stream.message, "") in streams]
        self.frames = len(chosen)
        self._buffer, self.starts, self._ids, self.rounds = _buffer(reel, chosen)
        self._spans = _spans(self.starts)

    def round(self, number: int) -> Iterator[tuple[bytes, int]]:
        """The bytes of round `number` (from 0), cut between frames, and how many frames each piece holds.

        Raises OverflowError past `rounds`.
        """
        whole = self.bytes_of(number)
        for start, end, frames in self._spans:
            yield whole[start:end], frames

    def bytes_of(self, number: int) -> bytes:
        """The same in one piece; frame n begins at `starts[n]`, and behind the last of them is the end."""
        if number >= self.rounds:
            raise OverflowError("the ids of this load have no digit left")
        for places, powers, values, steps in self._ids:
            now = values + steps * number
            self._buffer[places] = (now[:, None] // powers % 10 + ord("0")).astype(np.uint8)
        whole: bytes = self._buffer.tobytes()
        return whole


_Ids = list[tuple[Any, Any, Any, Any]]  # per width of id: places of digits, powers of ten, values, steps


def _spans(starts: list[int]) -> list[tuple[int, int, int]]:
    """Pieces to write: where each begins and ends, and how many frames it holds."""
    spans: list[tuple[int, int, int]] = []
    first = 0
    for n, end in enumerate(starts):
        if end - starts[first] >= WRITE_BYTES or (n == len(starts) - 1 and n > first):
            spans.append((starts[first], end, n - first))
            first = n
    return spans


def _buffer(reel: Reel, messages: list[Message]) -> tuple[Any, list[int], _Ids, int]:
    frames = [framed(one.text) for one in messages]
    places: dict[int, list[tuple[int, int, int]]] = {}  # width → (offset, value, step)
    starts = [0]
    rounds = 1 << 62
    for one, frame in zip(messages, frames, strict=True):
        head, at = len(frame) - len(one.text), starts[-1]
        for offset, width, counter in one.ids:
            value, step = int(one.text[offset : offset + width]), reel.counters[counter].step
            places.setdefault(width, []).append((at + head + offset, value, step))
            rounds = min(rounds, (10**width - 1 - value) // max(step, 1) + 1)
        starts.append(at + len(frame))
    ids: _Ids = []
    for width, rows in places.items():
        offsets, values, steps = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
        ids.append((offsets[:, None] + np.arange(width), powers, values, steps))
    return np.frombuffer(b"".join(frames), dtype=np.uint8).copy(), starts, ids, rounds


def told_first(reel: Reel, stream: Stream, number: int) -> list[bytes]:
    """What a subscriber is told who begins with round `number`."""
    out = []
    for one in reel.first.get(stream, ()):
        text = bytearray(one.text)
        for offset, width, counter in one.ids:
            raised = int(text[offset : offset + width]) + reel.counters[counter].step * number
            text[offset : offset + width] = b"%0*d" % (width, raised)
        out.append(framed(bytes(text)))
    return out
