"""What the venue of one product can say: its market data, and its answers to what clients ask.

Which answer a venue gives is told by its spec: an ack that names a stream is given once per stream, any other once per request; an error
that names a stream refuses streams that do not exist, and where no error does, those are acknowledged and stay silent.
Imports `spell`, `example`, `sbe`, `wire`, `k4.errors` and, of the generator, `bind`, `ir` and `refmatch`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from k4._codegen import ir
from k4._codegen.bind import names_in, render
from k4._codegen.refmatch import fits
from k4.errors import K4Error
from k4.sim.example import Wire, holds, rank, says, walk, wires
from k4.sim.sbe import Packet
from k4.sim.spell import Json, Values, simple_sources
from k4.sim.wire import Frame

Said = str | bytes  # a text frame's content, or a binary one's
Variant = Literal["live", "first"]  # "first": what a subscriber is told at once, a book's snapshot or past trades
_VARIANTS: tuple[tuple[Variant, bool], ...] = (("live", False), ("first", True))
_STREAM_NAMES = ("channel", "symbol")
_FIRST = {"book": "snapshot", "trade": "backfill", "aggtrade": "backfill"}


def kind_of(message: ir.Message) -> str:
    """What of the market a message tells: `bbo`, `trade`, `aggtrade`, `depth` (a cut of the book) or `book` (its changes)."""
    if message.book:
        return "book"
    depth = any(record.startswith("depth") for record in message.records)
    return "depth" if depth else message.record


@dataclass(frozen=True, slots=True)
class _Answer:
    """One example of an answer: a bare word (`frame` is None) or a frame."""

    message: ir.Message
    text: str
    frame: Frame | None
    names_stream: bool
    names_id: bool


class Voice:
    """Everything a product's venue can say. `messages`: as bound for the product; their order is the message index. `schema`: of those
    that are SBE, which are said in bytes.

    Raises K4Error for a message that the simulator cannot speak.
    """

    def __init__(self, messages: tuple[ir.Message, ...], session: ir.Session, product: str, schema: ir.SbeSchema | None = None) -> None:
        self._messages = messages
        self._session = session
        self._product = product
        self._schema = schema
        self._words = _request_words(session)
        self._frames: dict[tuple[int, Variant], Frame | Packet] = {}
        for index, message in enumerate(messages):
            if message.records[0] in ir.MARKET_RECORDS and (message.channel is not None or message.url is not None):
                self._learn(index, message)
        self._answers = {
            record: [self._answer(message, example) for message in messages if message.record == record for example in self._own(message)]
            for record in ("ack", "error", "pong", "ping", "notice")
        }

    # ------------------------------------------------------------------ market data

    def tellers(self, kind: str) -> list[int]:
        """The pushed messages that tell of `kind` while it happens."""
        found = [index for index, variant in self._frames if variant == "live" and self._messages[index].url is None]
        return [index for index in found if kind_of(self._messages[index]) == kind]

    def can(self, message: int, variant: Variant) -> bool:
        return (message, variant) in self._frames

    def say(self, message: int, rows: Sequence[Values], variant: Variant = "live") -> list[Said]:
        """The frames in which `message` tells of `rows`, which are given oldest first."""
        spec = self._messages[message]
        flag = _FIRST.get(kind_of(spec))
        extra = {} if flag is None else {flag: variant == "first"}
        return [*self._frames[message, variant].say([{"reset": False, "backfill": False, **row, **extra} for row in rows])]

    def _learn(self, index: int, message: ir.Message) -> None:
        flag = _FIRST.get(kind_of(message))
        can = {False} if flag is None else _flags(message, flag)
        variants: list[Variant] = [variant for variant, value in _VARIANTS if value in can]
        if message.template is not None:
            if self._schema is not None:
                packet = Packet(message, self._schema, message.frame(self._own(message)[0]))
                self._frames.update({(index, variant): packet for variant in variants})
            return
        known = sorted(wires(message, self._product), key=lambda wire: rank(message, wire, self._product))
        if not known:
            raise K4Error(
                f'the simulator has no example of message "{message.record}" (line {message.line}) for {self._product} to speak from'
            )
        for variant in variants:
            fitting = [wire for wire in known if flag is None or bool(says(message, wire, flag)) is (variant == "first")]
            best = fitting[0] if fitting else known[0]
            self._frames[index, variant] = Frame(message, best, known)

    # ------------------------------------------------------------------ answers

    @property
    def acks_streams(self) -> bool:
        """Does each stream get its own ack?"""
        return any(answer.names_stream for answer in self._answers["ack"])

    @property
    def refuses_streams(self) -> bool:
        """Does an error name the stream that does not exist?"""
        return any(answer.names_stream for answer in self._answers["error"])

    def ack(self, action: str, request_id: str, channel: str = "", symbol: str = "") -> str | None:
        """The answer to a request that was understood; `request_id` is JSON text. None: the venue sends none."""
        values: Values = {"id": Json(request_id), "channel": channel, "symbol": symbol}
        return self._first([a for a in self._answers["ack"] if a.names_stream == self.acks_streams], action, values)

    def refusal(self, action: str, request_id: str, channel: str, symbol: str) -> str | None:
        """The error that names a stream which does not exist."""
        values: Values = {"id": Json(request_id), "channel": channel, "symbol": symbol}
        return self._first([a for a in self._answers["error"] if a.names_stream], action, values)

    def error(self, request_id: str) -> str | None:
        """The answer to a request that was not understood."""
        answers = sorted(self._answers["error"], key=lambda a: (a.names_stream, a.names_id != (request_id != "null")))
        return self._first(answers, "subscribe", {"id": Json(request_id)})

    def notice(self) -> str | None:
        """The announcement that this link will close; None: this venue has none."""
        return self._first(self._answers["notice"], "subscribe", {})

    def pong(self, request_id: str) -> str | None:
        """The answer to a client's ping."""
        return self._first(self._answers["pong"], "subscribe", {"id": Json(request_id)})

    def ping(self, number: int) -> tuple[str, ir.Text, dict[str, str]] | None:
        """The venue's own ping number `number`, and what must come back: a text and its captures. None: this venue has none."""
        for answer in self._answers["ping"]:
            if answer.message.send is not None:
                captures = dict.fromkeys(_captures(answer.message), str(number))
                text = answer.text if answer.frame is None else answer.frame.say([captures])[0]
                return text, answer.message.send, captures if answer.frame is not None else {}
        return None

    def _own(self, message: ir.Message) -> list[ir.Example]:
        return [example for example in message.examples if example.product == self._product] or list(message.examples)

    def _answer(self, message: ir.Message, example: ir.Example) -> _Answer:
        wire = Wire.of(example)
        if wire is None:
            return _Answer(message, example.wire, None, names_stream=False, names_id=False)
        told = _told(message, wire)
        return _Answer(message, example.wire, Frame(message, wire), bool(told & set(_STREAM_NAMES)), "id" in told)

    def _first(self, answers: Sequence[_Answer], action: str, values: Values) -> str | None:
        """The answer that quotes the request's own word, else one that can be made to, else one that quotes none."""
        own = self._words.get(action)
        others = [word for name, word in self._words.items() if name != action]
        ranked = sorted(answers, key=lambda a: 0 if own and _quotes(a.text, own) else 1 + any(_quotes(a.text, word) for word in others))
        for answer in ranked:
            text = answer.text if answer.frame is None else answer.frame.say([values])[0]
            if own and not _quotes(text, own):
                for word in others:
                    changed = text.replace(json.dumps(word), json.dumps(own))
                    text = changed if holds(answer.message, changed) else text
            return text
        return None


def _flags(message: ir.Message, name: str) -> set[bool]:
    """What a message can say of a flag; one without it says no."""
    spec = message.field(name)
    if spec is None:
        return {False}
    if isinstance(spec.source, ir.FromText):
        return {spec.source.text == "true"}
    can: set[bool] = set()
    for source in simple_sources(spec.source):
        if isinstance(source, ir.FromPath):
            return {False, True}
        results = [result for _, result in source.entries] + list(source.default or ())
        can |= {result for result in results if isinstance(result, bool)}
    return can


def _captures(message: ir.Message) -> tuple[str, ...]:
    return tuple(name for match in message.match for pattern in match.patterns for name in names_in(pattern))


def _told(message: ir.Message, wire: Wire) -> set[str]:
    """What of `id`, `channel` and `symbol` an example tells."""
    told: set[str] = set()
    for name in ("id", *_STREAM_NAMES):
        spec = message.field(name)
        if spec is not None and any(walk(wire.root, source.path.steps) is not None for source in simple_sources(spec.source)):
            told.add(name)
    for match in message.match:
        node = walk(wire.root, match.path.steps)
        if node is None:
            continue
        for pattern in match.patterns:
            captured = fits(pattern.parts, node.text, {})
            if captured is not None:
                told |= {name for name in captured if name in ("id", *_STREAM_NAMES)}
                break
    return told


def _request_words(session: ir.Session) -> dict[str, str]:
    """The word by which a subscribe and an unsubscribe request differ."""
    if session.subscribe is None or session.unsubscribe is None:
        return {}
    words = {}
    for name, request in (("subscribe", session.subscribe), ("unsubscribe", session.unsubscribe)):
        words[name] = re.findall(r'"([^"]*)"', render(request.send, {}, ""))
    own = {name: [word for word in found if word not in words[other]] for name, other, found in _paired(words)}
    return {name: found[0] for name, found in own.items() if found}


def _paired(words: dict[str, list[str]]) -> list[tuple[str, str, list[str]]]:
    return [("subscribe", "unsubscribe", words["subscribe"]), ("unsubscribe", "subscribe", words["unsubscribe"])]


def _quotes(text: str, word: str) -> bool:
    return json.dumps(word) in text
