"""Frames as the venue writes them: each rendered from a message's example with new values put at the places of its fields.

An example is cut once into text and writers; saying something fills them in. What no field or match names stays as the example has it,
byte for byte. Lists are rendered from one of their elements: a row per update, a level per price.
Imports `example`, `spell`, `k4.errors` and, of the generator, `fields`, `ir` and `refjson`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

from k4._codegen import ir
from k4._codegen.fields import CHECKSUM_RULES
from k4._codegen.refjson import Node
from k4.errors import K4Error
from k4.sim.example import Wire, place, reach, walk
from k4.sim.spell import Simple, Values, Writer, fraction, match_writer, place_writer, quoted, simple_sources

Span = tuple[int, int]
_LEVELS = {"depth5": 5, "depth20": 20}
_KEY = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Cut:
    """A value of an example cut at the places that change: text, writer, text, …, text."""

    def __init__(self, data: bytes, node: Node, edits: Mapping[Span, Writer], only: Mapping[Span, Node]) -> None:
        self._data = data
        self._edits = edits
        self._only = only
        self._texts: list[str] = [""]
        self._writers: list[Writer] = []
        self._take(node)

    def fill(self, values: Values) -> str:
        out = [self._texts[0]]
        for writer, text in zip(self._writers, self._texts[1:], strict=True):
            out += (writer(values), text)
        return "".join(out)

    def _take(self, node: Node) -> None:
        """Containers are walked, and those in `only` keep that one child."""
        span = (node.start, node.end)
        if span in self._edits:
            self._writers.append(self._edits[span])
            self._texts.append("")
            return
        children = [(member.start, member.value) for member in node.members] + [(item.start, item) for item in node.items]
        at, end = node.start, node.end
        kept = self._only.get(span)
        if kept is not None:
            # The list's other elements are left out: from its bracket to the one kept, and on behind the last.
            self._text(at, children[0][0])
            end = children[-1][1].end
            children = [(start, child) for start, child in children if child is kept]
            at = children[0][0]
        for start, child in children:
            self._text(at, start)
            self._text(self._key(start) if node.members else start, child.start)
            self._take(child)
            at = child.end
        self._text(at if kept is None else end, node.end)

    def _key(self, start: int) -> int:
        """Takes the key at `start` if it changes; where the text goes on."""
        found = _KEY.match(self._data, start)
        if found is None or found.span() not in self._edits:
            return start
        self._writers.append(self._edits[found.span()])
        self._texts.append("")
        return found.end()

    def _text(self, start: int, end: int) -> None:
        self._texts[-1] += self._data[start:end].decode()


@dataclass(slots=True)
class _Row:
    """What `each` gives: `cut` renders one element of the list at `span`."""

    span: Span
    cut: Cut
    reverse: bool


@dataclass(slots=True)
class _Side:
    """Levels of a list: `cut` renders one of them; `names` are the columns it needs; `reverse`: the best level last."""

    cut: Cut
    names: tuple[str, ...]
    reverse: bool
    spell: dict[str, Writer] = field(default_factory=dict)  # column → its text, without quotes


class Frame:
    """One example as a template of its message. `spare`: further examples, for elements and levels that this one has none of."""

    def __init__(self, message: ir.Message, wire: Wire, spare: Sequence[Wire] = ()) -> None:
        self.message = message
        self._where = f'message "{message.record}" (line {message.line})'
        self._wire = wire
        self._spare = (wire, *spare)
        self._most = max((_LEVELS.get(record, 0) for record in message.records), default=0)
        self._book = message.book
        self._sides: dict[str, _Side] = {}
        self._only: dict[Span, Node] = {}
        edits: dict[Span, Writer] = {}
        element, self._rows = self._walk_each(edits)
        self._name(edits, wire.root)
        self._edit(edits, wire, wire.root, element=False)
        if self._rows is None:
            self._edit(edits, wire, element, element=True)
        else:
            edits[self._rows.span] = self._write_rows
        self._cut = Cut(wire.data, wire.root, edits, self._only)

    @property
    def listing(self) -> bool:
        """Can one frame hold several updates?"""
        return self._rows is not None

    def say(self, rows: Sequence[Values]) -> list[str]:
        """The frames that tell of `rows`, oldest first: one for all where the message is a list, else one for each."""
        rows = [row for values in rows for row in self._spread(values)]
        if self._rows is None:
            return [self._cut.fill(row) for row in rows]
        return [self.page(rows[-1], rows)] if rows else []  # it is told when the newest has happened

    def page(self, values: Values, rows: Sequence[Values]) -> str:
        """One frame with `values` outside the list and a row for each of `rows`, of which there may be none."""
        return self._cut.fill({**values, _ROWS: rows})

    def level_text(self, name: str, value: object) -> str:
        """A price or quantity as the levels have it."""
        name = name if name in self._sides else name.partition("_")[2]  # where sides are mixed
        return self._sides[name].spell[name]({name: value})

    # ------------------------------------------------------------------ cutting

    def _walk_each(self, edits: dict[Span, Writer]) -> tuple[Node, _Row | None]:
        """Finds what `@` is in the example, and the list that has a row per update, if `each` is one."""
        for path in self.message.each:
            node: Node | None = self._wire.root
            last: tuple[Node, ir.Every] | None = None
            for step in path.steps:
                if node is None:
                    break
                match step:
                    case ir.Every():
                        last = (node, step)
                        node = self._pick(node.items, node)
                    case ir.Members(name):
                        last = None
                        member = node.members[0] if node.members else None
                        if member is not None:
                            key = _KEY.match(self._wire.data, member.start)
                            assert key is not None
                            edits[key.span()] = partial(_key, name, member.key)
                            self._only[node.start, node.end] = member.value
                        node = member.value if member else None
                    case _:
                        node = walk(node, (step,))
            if node is None:
                continue
            return node, None if last is None else self._row(*last, node)
        raise K4Error(f"{self._where}: no element of `each` in its example, so the simulator cannot speak it")

    def _pick(self, items: Sequence[Node], parent: Node) -> Node | None:
        """The element that shows most fields; the only one that is kept, unless its list becomes the one with a row per update."""
        if not items:
            return None
        best = max(items, key=lambda item: sum(place(f, item, element=True) is not None for f in self.message.fields))
        self._only[parent.start, parent.end] = best
        return best

    def _row(self, array: Node, step: ir.Every, node: Node) -> _Row:
        span = (array.start, array.end)
        self._only.pop(span, None)
        # A step behind the last `[*]` leads from the list's element to `@`; the row is the whole element.
        element = next(item for item in array.items if item.start <= node.start < item.end)
        edits: dict[Span, Writer] = {}
        self._name(edits, element)
        self._edit(edits, self._wire, node, element=True)
        return _Row(span, Cut(self._wire.data, element, edits, {}), step.reverse)

    def _name(self, edits: dict[Span, Writer], node: Node) -> None:
        """The symbol is named wherever the example names its own, also where no field reads it."""
        if node.kind == "string" and self._wire.symbol and node.text == self._wire.symbol:
            edits[node.start, node.end] = partial(_key, "symbol", node.text)
        for child in (*(member.value for member in node.members), *node.items):
            self._name(edits, child)

    def _edit(self, edits: dict[Span, Writer], wire: Wire, start: Node, *, element: bool) -> None:
        """Puts writers for all matches and fields whose paths start at `start`."""
        for match in self.message.match:
            node = walk(start, match.path.steps) if match.path.element == element else None
            if node is not None and (node.scalar or node.absent) and (writer := match_writer(node, match)) is not None:
                edits[node.start, node.end] = writer
        places: dict[Span, tuple[Node, list[tuple[str, Simple]]]] = {}
        levels: dict[Span, list[tuple[str, ir.Path]]] = {}
        for spec in self.message.fields:
            found = place(spec, start, element=element)
            if found is None:
                continue
            node, source = found
            if any(isinstance(step, ir.Every) for step in source.path.steps):
                levels.setdefault((node.start, node.end), []).append((spec.name, source.path))
            elif spec.name == "checksum" and (rule := _rule(source)):
                edits[node.start, node.end] = partial(self._checksum, node, rule)
            elif node.scalar:
                if spec.name.endswith(("price", "qty")) and isinstance(source, ir.FromPath):
                    node = self._shortest(source.path, node)
                places.setdefault((node.start, node.end), (node, []))[1].append((spec.name, source))
        for span, (node, fields) in places.items():
            writer = place_writer(node, wire.data, fields, self._where, edits.get(span))
            if writer is not None:
                edits[span] = writer
        for span, columns in levels.items():
            edits[span] = self._levels(columns, start)

    def _levels(self, columns: list[tuple[str, ir.Path]], start: Node) -> Writer:
        every = next(i for i, step in enumerate(columns[0][1].steps) if isinstance(step, ir.Every))
        wire, level = self._level(columns[0][1], every, start)
        edits: dict[Span, Writer] = {}
        reverse = columns[0][1].steps[every] == ir.Every(True)
        side = _Side(Cut(b"", Node("null", 0, 0), {}, {}), tuple(name for name, _ in columns), reverse)
        for name, path in columns:
            node = walk(level, path.steps[every + 1 :])
            field_ = self.message.field(name)
            if node is None or field_ is None:
                continue
            # A level's text is the same in every frame of the message, since checksums are taken over it.
            fields = [(name, source) for source in simple_sources(field_.source)]
            writer = place_writer(self._shortest(path, node), wire.data, fields, self._where)
            if writer is not None:
                edits[node.start, node.end] = writer
                side.spell[name] = partial(_unquoted, writer)
            self._sides[name] = side
        side.cut = Cut(wire.data, level, edits, {})
        return partial(self._write_levels, side)

    def _level(self, path: ir.Path, every: int, start: Node) -> tuple[Wire, Node]:
        """A level to write levels from: of this list, else of another example's."""
        array = walk(start, path.steps[:every])
        if array is not None and array.items:
            return self._wire, array.items[0]
        for wire in self._spare:
            for begin in self._starts(wire, path):
                array = walk(begin, path.steps[:every])
                if array is not None and array.items:
                    return wire, array.items[0]
        raise K4Error(f"{self._where}: no level at {path.source} in its examples, so the simulator cannot speak it")

    def _shortest(self, path: ir.Path, node: Node) -> Node:
        """`node` with the shortest fraction that any example has at `path`: a venue writes a number in one way, wherever it stands."""
        alike = [wire for wire in self._spare if wire.product == self._wire.product]
        texts = [found.text for wire in alike for start in self._starts(wire, path) for found in reach(start, path.steps)]
        return replace(node, text=min(texts, key=fraction, default=node.text))

    def _starts(self, wire: Wire, path: ir.Path) -> list[Node]:
        """Every place of an example that `path` may start from."""
        return [node for each in self.message.each for node in reach(wire.root, each.steps)] if path.element else [wire.root]

    # ------------------------------------------------------------------ writing

    def _spread(self, values: Values) -> list[Values]:
        """One row, where the message has a list of levels per side or of both; else one per side, or per level, of which only the first
        is a snapshot."""
        if self.message.field("side") is None:
            return [values]
        levels = [level for side in ("bid", "ask") for level in self._side_levels(values, side)]
        if "side" in self._sides:
            groups = [levels]
        elif "price" in self._sides:
            groups = [list(group) for _, group in groupby(levels, key=lambda level: level["side"])]
        else:
            return [{**values, **level, **(_LATER if i else {})} for i, level in enumerate(levels)]
        rows: list[Values] = []
        for group in groups:
            columns: Values = {name: [level[name] for level in group] for name in ("side", "price", "qty")}
            if "side" not in self._sides:
                columns = {**columns, "side": group[0]["side"]}
            rows.append({**values, **columns, **(_LATER if rows else {})})
        return rows

    def _side_levels(self, values: Values, side: str) -> list[Values]:
        """One side's levels, best first; no more than the record has, unless it is a book's."""
        levels: list[Values] = [
            {"side": side, "price": price, "qty": qty}
            for price, qty in zip(_column(values, f"{side}_price"), _column(values, f"{side}_qty"), strict=True)
        ]
        return levels if self._book else levels[: self._most]

    def _write_rows(self, values: Values) -> str:
        assert self._rows is not None
        rows = values.get(_ROWS)
        assert isinstance(rows, Sequence)
        cut = self._rows.cut
        texts = [cut.fill({**values, **row}) for row in (reversed(rows) if self._rows.reverse else rows)]
        return "[" + ",".join(texts) + "]"

    def _write_levels(self, side: _Side, values: Values) -> str:
        columns = {name: _column(values, name) for name in side.names}
        count = min((len(column) for column in columns.values()), default=0)
        if self._most and not self._book and "side" not in self._sides:
            count = min(count, self._most)
        order = reversed(range(count)) if side.reverse else range(count)
        return "[" + ",".join(side.cut.fill({name: column[i] for name, column in columns.items()}) for i in order) + "]"

    def _checksum(self, node: Node, rule: str, values: Values) -> str:
        """Over the whole book as the levels are written; `values` hold it under the names of its columns."""
        book = values.get(BOOK)
        if not isinstance(book, Mapping):
            return self._wire.data[node.start : node.end].decode()
        sides = []
        for side in ("bid", "ask"):
            price, qty = f"{side}_price", f"{side}_qty"
            levels = zip(_column(book, price), _column(book, qty), strict=True)
            sides.append([(self.level_text(price, p), self.level_text(qty, q)) for p, q in levels])
        number = zlib.crc32(checked_text(rule, sides[0], sides[1]).encode())
        return quoted(node, str(number - (1 << 32) if number >= 1 << 31 and rule == CHECKSUM_RULES[0] else number))


_ROWS = "\0rows"
_LATER: Values = {"snapshot": False}


def _rule(source: Simple) -> str | None:
    """The rule of a checksum: the word, or what most values of a map mean."""
    if isinstance(source, ir.FromPath):
        return source.word
    rule = source.default[0] if source.default is not None else None
    return rule if isinstance(rule, str) else None


BOOK = "\0book"  # the whole book behind an update, for its checksum


def checked_text(rule: str, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> str:
    """What a venue's checksum is taken over, for the two rules of the language; levels are (price, quantity), best first."""
    if rule == CHECKSUM_RULES[0]:
        pairs = [side[i] for i in range(25) for side in (bids, asks) if i < len(side)]
        return ":".join(f"{price}:{qty}" for price, qty in pairs)
    digits = [text.replace(".", "").lstrip("0") for side in (asks, bids) for level in side[:10] for text in level]
    return "".join(digits)


def _column(values: Values, name: str) -> Sequence[object]:
    column = values.get(name)
    return column if isinstance(column, list) else ()


def _key(name: str, kept: str, values: Values) -> str:
    return json.dumps(str(values.get(name, kept)), ensure_ascii=False)


def _unquoted(writer: Writer, values: Values) -> str:
    return writer(values).strip('"')
