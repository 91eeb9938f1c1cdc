"""Reading the fields of one element: sources, words, maps, and lists of levels (docs/decoding.md, rules 6 to 19).

Nothing here knows a record's layout; `reference` puts records together from what this reads. May import `fields`, `ir`, `refjson`,
`refmatch`, `refpath`, `refvalue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from . import ir
from .fields import TIME_WORDS, shift
from .refjson import LITERAL, NUMBER, STRING, Node, is_text
from .refpath import Absent, Found, Wrong, split, walk
from .refvalue import Dec, Place, RefusedError, count, decimal, identity, integer, symbol, time_ns, truth, word


@dataclass(frozen=True, slots=True)
class Id:
    """An id, and whether it is the hash of a text."""

    value: int
    hashed: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """No value. `allowed`: the spec says that this may be; else it is `missing` at `offset`."""

    offset: int
    allowed: bool


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a venue says its book sums up to, unsigned, and the rule by which it was made."""

    rule: str
    value: int


Value = int | bool | str | Dec | Id | Checksum
_Simple = ir.FromPath | ir.FromMap | ir.FromText | ir.FromName


def convert(place: Place, kind: str, how: str | None) -> Value | None:
    """The value a text has for a field of `kind`, read with the word `how`. None: there, but counted as absent (`nonzero`)."""
    if kind == "time" or (kind == "integer" and how in TIME_WORDS):
        return time_ns(place, how or "ns")
    if kind == "bool":
        return decimal(place).digits < 0 if how == "negative" else truth(place)
    if kind in ("price", "qty", "decimal"):
        return _decimal(place, how)
    if kind == "id":
        value, hashed = identity(place)
        return None if how == "nonzero" and not hashed and value == 0 else Id(value, hashed)
    if kind in ("integer", "count"):
        number = integer(place) if kind == "integer" else count(place)
        return None if how == "nonzero" and number == 0 else abs(number) if how == "abs" else number
    if kind == "symbol":
        return symbol(place)
    if kind == "checksum":
        return Checksum(how or "", integer(place) & 0xFFFFFFFF)  # venues give the 32 bits signed or unsigned
    if kind == "enum":
        if not place.scalar:
            raise RefusedError("unmapped", place.offset)
        return place.text
    return word(place)


def _decimal(place: Place, how: str | None) -> Dec | None:
    dec = decimal(place, shift(how) or 0)
    if how == "nonzero" and dec.digits == 0:
        return None
    return replace(dec, digits=abs(dec.digits)) if how == "abs" else dec


class Fields(Protocol):
    """What gives the fields of one message in one element, from whatever kind of frame."""

    names: Mapping[str, Place]

    def has(self, name: str) -> bool: ...
    def left_out(self, name: str) -> bool: ...
    def present(self, name: str) -> bool: ...
    def get(self, name: str, kind: str) -> Value | Gone: ...
    def place(self, name: str) -> Place | Gone: ...
    def sides(self, limit: int, whole: bool = False) -> Sides: ...


class FieldReader:
    """The fields of one message in one element of one JSON frame."""

    def __init__(self, message: ir.Message, root: Node, node: Node, trail: int, names: Mapping[str, Place]) -> None:
        self.message = message
        self.root = root
        self.node = node
        self.trail = trail
        self.names = names

    def has(self, name: str) -> bool:
        """Whether the spec says where this field comes from."""
        return self.message.field(name) is not None or name in self.names

    def source(self, name: str) -> ir.Source | None:
        field = self.message.field(name)
        if field is not None:
            return field.source
        return ir.FromName(name) if name in self.names else None

    def get(self, name: str, kind: str) -> Value | Gone:
        """The field's value. Raises RefusedError for everything but absence."""
        source = self.source(name)
        if source is None:
            return Gone(self.trail, True)
        simple = source.sources if isinstance(source, ir.FromFirst) else (source,)
        for one in simple:
            self._no_second_key(one)
        gone = Gone(self.trail, True)
        for one in simple:
            value = self.simple(one, kind)
            if not isinstance(value, Gone):
                return value
            gone = value
        return gone

    def left_out(self, name: str) -> bool:
        """`"="`: the venue does not give this field."""
        return self.source(name) == ir.FromText("")

    def present(self, name: str) -> bool:
        """Whether there is a value, right or wrong."""
        try:
            return not isinstance(self.get(name, "qty" if name.endswith("qty") else "price"), Gone)
        except RefusedError:
            return True

    def place(self, name: str) -> Place | Gone:
        """The field as a text with its place: what a `range` of a derived value is reported at."""
        source = self.source(name)
        for one in source.sources if isinstance(source, ir.FromFirst) else () if source is None else (source,):
            if isinstance(one, ir.FromPath | ir.FromMap):
                reach = walk(*self._start(one.path), one.path.steps)
                if isinstance(reach, Found):
                    return Place.of(reach.node)
            if isinstance(one, ir.FromName) and one.name in self.names:
                return self.names[one.name]
        return Gone(self.trail, True)

    def sides(self, limit: int, whole: bool = False) -> Sides:
        """The levels of both sides, up to `limit` each. `whole`: both halves of a level must be there, whatever their `?`."""
        return LevelReader(self, limit, whole).sides()

    def _start(self, path: ir.Path) -> tuple[Node, int]:
        return (self.node, self.trail) if path.element else (self.root, 0)

    def _no_second_key(self, source: _Simple) -> None:
        if isinstance(source, ir.FromPath | ir.FromMap):
            reach = walk(*self._start(source.path), source.path.steps)
            if isinstance(reach, Wrong) and reach.code == "duplicate":
                raise RefusedError(reach.code, reach.offset)

    def simple(self, source: _Simple, kind: str) -> Value | Gone:
        if isinstance(source, ir.FromPath | ir.FromMap):
            return read(source, *self._start(source.path), source.path.steps, kind)
        if isinstance(source, ir.FromName):
            named = self.names.get(source.name)
            value = None if named is None else convert(named, kind, None)
        else:
            literal = source.text in ("true", "false") and kind == "bool"
            value = convert(Place(source.text, self.trail, LITERAL if literal else STRING), kind, None) if source.text else None
        return Gone(self.trail, True) if value is None else value


def read(source: ir.FromPath | ir.FromMap, node: Node, trail: int, steps: tuple[ir.Step, ...], kind: str) -> Value | Gone:
    """The value `steps` away from `node`, as `source` says to read it. Raises RefusedError."""
    reach = walk(node, trail, steps)
    if isinstance(reach, Wrong):
        raise RefusedError(reach.code, reach.offset)
    if isinstance(reach, Absent):
        return Gone(reach.trail, source.path.optional)
    place = Place.of(reach.node)
    if isinstance(source, ir.FromPath):
        value = convert(place, kind, source.word)
        return Gone(reach.trail, source.path.optional) if value is None else value
    mapped = _mapped(source, place)
    if mapped is None:
        return Gone(reach.trail, True)
    value = convert(place, kind, mapped.text) if kind == "checksum" else convert(mapped, kind, None)
    return Gone(reach.trail, True) if value is None else value


def _mapped(source: ir.FromMap, place: Place) -> Place | None:
    """What the map makes of the text, at the same place; None: absent."""
    results = [result for text, result in source.entries if place.scalar and text == place.text]
    if not results and source.default is None:
        raise RefusedError("unmapped", place.offset)
    result = results[0] if results or source.default is None else source.default[0]
    if result is None:
        return None
    if isinstance(result, bool):
        return Place("true" if result else "false", place.offset, LITERAL)
    return Place(str(result), place.offset, NUMBER if isinstance(result, int) else STRING)


# --------------------------------------------------------------------------- levels


@dataclass(frozen=True, slots=True)
class _Column:
    """One field of a list of levels: where its values stand. `items` None: there is no list."""

    source: _Simple
    items: tuple[Node, ...] | None
    trail: int
    steps: tuple[ir.Step, ...]
    wrong: Wrong | None
    single: bool  # no [*]: one value, which holds for all levels

    @property
    def constant(self) -> bool:
        return isinstance(self.source, ir.FromText | ir.FromName)


@dataclass(frozen=True, slots=True)
class Level:
    price: Dec | None
    qty: Dec | None
    orders: int | None


@dataclass(frozen=True, slots=True)
class Sides:
    bid: tuple[Level, ...]
    ask: tuple[Level, ...]


class LevelReader:
    """The levels of one element, up to `limit` a side. `whole`: both halves of a level must be there, whatever their `?`."""

    def __init__(self, fields: FieldReader, limit: int, whole: bool = False) -> None:
        self.fields = fields
        self.limit = limit
        self.whole = whole

    def column(self, name: str) -> _Column | None:
        source = self.fields.source(name)
        if source is None:
            return None
        choices = [self._column(one) for one in (source.sources if isinstance(source, ir.FromFirst) else (source,))]
        return next((c for c in choices if c.items is not None or c.wrong is not None or c.constant), choices[-1])

    def _column(self, source: _Simple) -> _Column:
        if not isinstance(source, ir.FromPath | ir.FromMap):
            return _Column(source, None, self.fields.trail, (), None, True)
        path = source.path
        before, every, rest = split(path.steps)
        node, trail = (self.fields.node, self.fields.trail) if path.element else (self.fields.root, 0)
        if every is None:
            reach = walk(node, trail, path.steps)
            items = None if isinstance(reach, Absent) else (node,)
            return _Column(source, items, trail, path.steps, None, True)
        reach = walk(node, trail, before)
        if isinstance(reach, Wrong):
            return _Column(source, None, trail, rest, reach, False)
        if isinstance(reach, Absent):
            return _Column(source, None, reach.trail, rest, None, False)
        if reach.node.kind != "array":
            return _Column(source, None, reach.trail, rest, Wrong("type", reach.node.start), False)
        way = -1 if isinstance(every, ir.Every) and every.reverse else 1
        return _Column(source, reach.node.items[::way][: self.limit], reach.trail, rest, None, False)

    def values(self, name: str, kind: str, sibling: str | None) -> list[Value | None]:
        """The values of one field, level by level. `sibling` must not be longer."""
        try:
            return self._values(name, kind, sibling)
        except RefusedError as error:
            raise RefusedError(error.code, error.offset, name) from None

    def _values(self, name: str, kind: str, sibling: str | None, whole: bool = False) -> list[Value | None]:
        column = self.column(name)
        if column is None:
            return []
        if column.wrong is not None:
            raise RefusedError(column.wrong.code, column.wrong.offset)
        if column.constant:
            return []
        if column.items is None:
            if sibling is not None and not _optional(column.source):
                raise RefusedError("missing", column.trail)
            return []
        values = [self._value(column, item, kind, whole or (self.whole and kind in ("price", "qty"))) for item in column.items]
        other = self.column(sibling) if sibling is not None else None
        if other is not None and other.items is not None and not other.single and not column.single and len(other.items) > len(values):
            raise RefusedError("missing", column.trail)
        return values

    def _value(self, column: _Column, item: Node, kind: str, whole: bool) -> Value | None:
        assert isinstance(column.source, ir.FromPath | ir.FromMap)
        value = read(column.source, item, column.trail, column.steps, kind)
        if isinstance(value, Gone):
            if not value.allowed or whole:
                raise RefusedError("missing", value.offset)
            return None
        if kind == "enum" and value not in ("bid", "ask"):
            raise RefusedError("unmapped", self._offset(column, item))
        return value

    def _offset(self, column: _Column, item: Node) -> int:
        """Where the value of a level stands."""
        reach = walk(item, column.trail, column.steps)
        assert isinstance(reach, Found)
        return reach.node.start

    def sides(self) -> Sides:
        """Both sides, in the order in which their errors count."""
        if self.fields.has("side"):
            return self._mixed()
        columns = {
            name: self.values(name, kind, sibling)
            for name, kind, sibling in (
                ("bid_price", "price", "bid_qty"),
                ("bid_qty", "qty", "bid_price"),
                ("ask_price", "price", "ask_qty"),
                ("ask_qty", "qty", "ask_price"),
                ("bid_count", "count", None),
                ("ask_count", "count", None),
            )
        }
        return Sides(*(_levels(columns[f"{side}_price"], columns[f"{side}_qty"], columns[f"{side}_count"]) for side in ("bid", "ask")))

    def _mixed(self) -> Sides:
        """Levels that say themselves which side they are on, or that share one `side`; without `[*]`, one level alone."""
        columns = {name: self.column(name) for name in ("side", "price", "qty")}
        longest = max((len(c.items) for c in columns.values() if c is not None and not c.single and c.items is not None), default=0)
        read = {name: self._whole_column(name, columns[name], longest) for name in columns}
        cut: dict[str, list[Level]] = {"bid": [], "ask": []}
        for side, price, qty in zip(read["side"], read["price"], read["qty"], strict=True):
            assert isinstance(price, Dec)
            assert isinstance(qty, Dec)
            cut[str(side)].append(Level(price, qty, None))
        return Sides(tuple(cut["bid"]), tuple(cut["ask"]))

    def _whole_column(self, name: str, column: _Column | None, longest: int) -> list[Value]:
        """One of `side price qty`: no level lacks it, and no list of it is shorter than the others."""
        kind = "enum" if name == "side" else name
        try:
            if column is None or column.single:
                value = self._given(name, kind)
                alone = self.column("price")
                return [value] * (1 if alone is None or alone.single else longest)
            return self._listed(name, kind, column, longest)
        except RefusedError as error:
            raise RefusedError(error.code, error.offset, name) from None

    def _listed(self, name: str, kind: str, column: _Column, longest: int) -> list[Value]:
        values = [value for value in self._values(name, kind, None, whole=True) if value is not None]
        if len(values) < longest or (column.items is None and not _optional(column.source)):
            raise RefusedError("missing", column.trail)
        return values

    def _given(self, name: str, kind: str) -> Value:
        value = self.fields.get(name, kind)
        if isinstance(value, Gone):
            raise RefusedError("missing", value.offset)
        if kind == "enum" and value not in ("bid", "ask"):
            place = self.fields.place(name)
            raise RefusedError("unmapped", place.offset)
        return value


def _optional(source: _Simple) -> bool:
    return isinstance(source, ir.FromPath | ir.FromMap) and source.path.optional


def _levels(prices: list[Value | None], qtys: list[Value | None], orders: list[Value | None]) -> tuple[Level, ...]:
    def at(column: list[Value | None], i: int) -> Value | None:
        return column[i] if i < len(column) else None

    found: list[Level] = []
    for i in range(max(len(prices), len(qtys))):
        price, qty, n = at(prices, i), at(qtys, i), at(orders, i)
        found.append(
            Level(price if isinstance(price, Dec) else None, qty if isinstance(qty, Dec) else None, n if isinstance(n, int) else None)
        )
    return tuple(found)


def text_of(source: ir.Source | None, reader: FieldReader, raw: bytes) -> str | None:
    """A field of a message that is no market record, as text: strings by content, all else as written; None when it is not there."""
    if source is None:
        return None
    for one in source.sources if isinstance(source, ir.FromFirst) else (source,):
        if isinstance(one, ir.FromPath):
            node, trail = (reader.node, reader.trail) if one.path.element else (reader.root, 0)
            reach = walk(node, trail, one.path.steps)
            if isinstance(reach, Found):
                found = reach.node
                if found.scalar and is_text(found.text):
                    return found.text
                return raw[found.start : found.end].decode("utf-8", "replace")
            continue
        try:
            value = reader.simple(one, "text" if not isinstance(one, ir.FromMap) else "enum")
        except RefusedError:
            continue
        if not isinstance(value, Gone):
            return str(value)
    return None
