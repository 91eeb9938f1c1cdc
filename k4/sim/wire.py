"""Frames as the venue writes them: each rendered from a message's example with new values put at the places of its fields.

The example is cut once into pieces around the values that change; saying something fills them in. Everything else stays as
the example has it, byte for byte. Imports `market` (its events), `k4.errors` and, of the generator, `bind`, `ir` and `refjson` (where
values stand).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from k4._codegen import ir
from k4._codegen.bind import render
from k4._codegen.refjson import Node, parse
from k4.errors import K4Error
from k4.sim.market import Event

Values = Mapping[str, object]
Writer = Callable[[Values], str]

_LEVELS = {"depth5": 5, "depth20": 20}
_UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_AUTO_NS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}


class Voice:
    """Everything a product's venue can say, over the messages of one product (bound, their order is the message index)."""

    def __init__(self, messages: tuple[ir.Message, ...], session: ir.Session, product: str) -> None:
        self._messages = messages
        self._session = session
        self._product = product
        self._frames: dict[int, _Frame] = {}
        for index, message in enumerate(messages):
            if message.channel is not None and message.record in ir.MARKET_RECORDS:
                self._frames[index] = _Frame(message, self._example(message))

    def tellers(self, record: str) -> list[int]:
        """Messages that tell of `record`; "depth" is told by every depth kind."""
        kinds = _LEVELS if record == "depth" else (record,)
        return [i for i in self._frames if self._messages[i].record in kinds]

    def say(self, message: int, event: Event) -> str:
        """The frame in which `message` tells of `event`."""
        return self._frames[message].say({**event.values, "symbol": event.symbol})

    def ack(self, request_id: str) -> str | None:
        """The answer to a request that was understood; `request_id` is JSON text. None: the venue sends none."""
        return self._control("ack", request_id)

    def error(self, request_id: str) -> str | None:
        """The answer to a request that was not understood."""
        return self._control("error", request_id)

    def notice(self) -> str | None:
        """The announcement that this link will close."""
        return self._control("notice", "null")

    def pong(self, text: str) -> str | None:
        """The answer to a text ping of the client; None: `text` is no ping."""
        ping = self._session.ping
        if ping is None or ping.send is None or render(ping.send, {}, "") != text:
            return None
        return self._control("pong", "null")

    def _example(self, message: ir.Message) -> ir.Example:
        for example in message.examples:
            if example.product == self._product and example.expect:
                return example
        raise K4Error(f'the simulator has no example of message "{message.record}" (line {message.line}) for {self._product} to speak from')

    def _control(self, record: str, request_id: str) -> str | None:
        for message in self._messages:
            if message.record != record:
                continue
            for example in message.examples:
                if example.product == self._product:
                    return _with_id(example.wire, _id_path(message), request_id)
        return None


def _id_path(message: ir.Message) -> ir.Path | None:
    """Where an answer carries the request's id: read by the field `id`, or captured as `$id`."""
    found = message.field("id")
    source = _first(found.source) if found else None
    if isinstance(source, ir.FromPath):
        return source.path
    return next((match.path for match in message.match if any(_names(text, "id") for text in match.patterns)), None)


def _names(text: ir.Text, name: str) -> bool:
    return any(isinstance(part, ir.Ref) and part.name == name for part in text.parts)


def _with_id(wire: str, path: ir.Path | None, request_id: str) -> str:
    """`wire` with the value at `path`, if there is one, replaced by `request_id` (JSON text)."""
    data = wire.encode()
    node = _find(parse(data), path) if path is not None else None
    return wire if node is None else (data[: node.start] + request_id.encode() + data[node.end :]).decode()


@dataclass(slots=True)
class _Frame:
    """An example cut at the values that change: text, writer, text, writer, ..., text."""

    message: ir.Message
    example: ir.Example
    texts: list[str] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)

    def __post_init__(self) -> None:
        data = self.example.wire.encode()
        root = parse(data)
        element = self._element(root)
        edits: dict[tuple[int, int], Writer] = {}
        for match in self.message.match:
            self._edit_match(root, element, match, edits)
        levels: dict[tuple[int, int], list[tuple[str, ir.FromPath]]] = {}
        for spec_field in self.message.fields:
            source = _first(spec_field.source)
            if isinstance(source, ir.FromPath | ir.FromMap):
                self._edit_field(root, element, spec_field.name, source, edits, levels, data)
        for span, fields in levels.items():
            edits[span] = self._side(root, element, fields, data)
        at = 0
        for (start, end), writer in sorted(edits.items(), key=lambda item: item[0]):
            self.texts.append(data[at:start].decode())
            self.writers.append(writer)
            at = end
        self.texts.append(data[at:].decode())

    def say(self, values: Values) -> str:
        out = [self.texts[0]]
        for writer, text in zip(self.writers, self.texts[1:], strict=True):
            out += (writer(values), text)
        return "".join(out)

    def _element(self, root: Node) -> Node:
        """What `@` is in the example: with several elements the first; they all show the same layout."""
        for path in self.message.each:
            steps = tuple(ir.Index(0) if isinstance(step, ir.Every) else step for step in path.steps)
            found = _walk(root, steps)
            if found is not None:
                return found
        raise K4Error(f"{self._where()}: no element of `each` in its example, so the simulator cannot speak it")

    def _where(self) -> str:
        return f'message "{self.message.record}" (line {self.message.line})'

    def _edit_match(self, root: Node, element: Node, match: ir.Match, edits: dict[tuple[int, int], Writer]) -> None:
        """A matched text that holds the symbol (a stream's name, say) names the event's symbol."""
        node = _find(root, match.path, element)
        if node is None:
            return
        for pattern in match.patterns:
            if _names(pattern, "symbol"):
                edits[node.start, node.end] = partial(_name, pattern)
                return

    def _edit_field(
        self,
        root: Node,
        element: Node,
        name: str,
        source: ir.FromPath | ir.FromMap,
        edits: dict[tuple[int, int], Writer],
        levels: dict[tuple[int, int], list[tuple[str, ir.FromPath]]],
        data: bytes,
    ) -> None:
        path = source.path
        every = next((i for i, step in enumerate(path.steps) if isinstance(step, ir.Every)), None)
        if every is not None:
            side = _walk(element if path.element else root, path.steps[:every])
            if side is not None and isinstance(source, ir.FromPath):
                levels.setdefault((side.start, side.end), []).append((name, source))
            return
        node = _find(root, path, element)
        if node is not None and node.scalar:
            edits[node.start, node.end] = _writer(name, source, node, data, self._where())

    def _side(self, root: Node, element: Node, fields: list[tuple[str, ir.FromPath]], data: bytes) -> Writer:
        """One side of a book: the example's first level, once per level."""
        path = fields[0][1].path
        every = next(i for i, step in enumerate(path.steps) if isinstance(step, ir.Every))
        side = _walk(element if path.element else root, path.steps[:every])
        if side is None or not side.items:
            raise K4Error(f"{self._where()}: no level in its example, so the simulator cannot speak it")
        level = side.items[0]
        edits = []
        for name, source in fields:
            node = _walk(level, source.path.steps[every + 1 :])
            if node is not None:
                edits.append((node.start, node.end, name, _writer(name, source, node, data, self._where())))
        edits.sort(key=lambda edit: edit[:2])
        depth = _LEVELS.get(self.message.record, len(side.items))

        def write(values: Values) -> str:
            columns = {name: column for _, _, name, _ in edits if isinstance(column := values[name], list)}
            count = min(depth, *(len(column) for column in columns.values()))
            return "[" + ",".join(one({name: column[i] for name, column in columns.items()}) for i in range(count)) + "]"

        def one(values: Values) -> str:
            out: list[str] = []
            at = level.start
            for start, end, _, writer in edits:
                out += (data[at:start].decode(), writer(values))
                at = end
            out.append(data[at : level.end].decode())
            return "".join(out)

        return write


def _name(text: ir.Text, values: Values) -> str:
    return f'"{render(text, {"symbol": str(values["symbol"])})}"'


def _first(source: ir.Source) -> ir.Source:
    return source.sources[0] if isinstance(source, ir.FromFirst) else source


def _find(root: Node, path: ir.Path, element: Node | None = None) -> Node | None:
    return _walk(element if path.element and element is not None else root, path.steps)


def _walk(node: Node | None, steps: tuple[ir.Step, ...]) -> Node | None:
    """The value the steps lead to, None where there is none; `[*]` goes to the first element."""
    for step in steps:
        if node is None:
            return None
        match step:
            case ir.Key(name):
                node = next((member.value for member in node.members if member.key == name), None)
            case ir.Index(n):
                node = node.items[n] if -len(node.items) <= n < len(node.items) else None
            case ir.Every():
                node = node.items[0] if node.items else None
            case ir.Find(key, text):
                node = next((item for item in node.items if any(m.key == key and m.value.text == text for m in item.members)), None)
            case ir.Members():
                node = node.members[0].value if node.members else None
    return node


def _writer(name: str, source: ir.FromPath | ir.FromMap, node: Node, data: bytes, where: str) -> Writer:
    """Writes the field's value as the example has it: quoted or not, in its unit, with at least its fraction digits."""
    quote = '"' if node.kind == "string" else ""
    example = node.text
    if isinstance(source, ir.FromMap):
        spoken = {result: text for text, result in reversed(source.entries) if result is not None}
        kept = data[node.start : node.end].decode()
        return lambda values: f"{quote}{spoken[values[name]]}{quote}" if values.get(name) in spoken else kept  # type: ignore[index]
    write = _scalar(name, source.word, example, where)
    kept = data[node.start : node.end].decode()
    return lambda values: kept if values.get(name) is None else f"{quote}{write(values[name])}{quote}"


def _scalar(name: str, word: str | None, example: str, where: str) -> Callable[[object], str]:
    if word == "iso":
        return _iso
    if word == "auto" or word in _UNITS_NS:
        unit = _UNITS_NS[word] if word in _UNITS_NS else _AUTO_NS[len(example.partition(".")[0])]
        return lambda value: str(int(str(value)) // unit)
    if word is not None:
        raise K4Error(f'{where}: the simulator does not speak "{word}" of {name} yet')
    fraction = len(re.sub(r"^[^.]*\.?", "", example))
    return lambda value: _spell(value, fraction)


def _spell(value: object, fraction: int) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            digits = max(fraction, -int(value.normalize().as_tuple().exponent), 0)
            return f"{value:.{digits}f}"
        case _:
            return str(value)


def _iso(value: object) -> str:
    ns = int(str(value))
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"
