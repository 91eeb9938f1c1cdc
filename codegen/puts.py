"""How the fields of a market record are filled from the values of a layout, decided for one example of one message.

Part of the fast tier: what it cannot read for certain raises `BeyondError` with the reason, and the message is left to the tolerant
tier. May import `fields`, `ir`, `refjson`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from . import ir
from .fields import CHECKSUM_RULES
from .refjson import ARRAY, LITERAL, STRING, Node

DIGITS, SIGNED, DECIMAL, TEXT, BOOL, SKIP = "digits", "signed", "decimal", "text", "bool", "skip"

Path = tuple[str | int, ...]
Simple = ir.FromPath | ir.FromMap | ir.FromText | ir.FromName
Locate = Callable[[ir.Path], tuple[Path, Node | None]]

_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1, "auto": 0}
_FILLED_BY_FEED = frozenset({"index", "pad", "level_count", "exponent", "flags"})
_FLAGS = ("backfill", "reset")
_SIDES = ("bid", "ask")
_BOOK = (("snapshot", "bool"), ("first_id", "integer"), ("prev_id", "integer"), ("checksum", "checksum"))


class BeyondError(Exception):
    """The fast tier does not read this; the text says why."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Part of the text at `path`: what is left without `before` bytes in front and `after` behind. `upper`: read in upper case."""

    path: Path
    before: int = 0
    after: int = 0
    upper: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """One member of a record and what it is filled from.

    `how`: symbol; price, qty (decimals); integer, count (digits); time (`per_unit` ns each, 0: by the number of digits); bool; hashed
    (an id that is a text); map, told (`entries` of the text, or of the bool, else `default`; `absent`: what stands for nothing, None:
    declined; `then`: what is read where the map gives nothing); const (`value`); spanned (ids `path` to `last`, counted); checksum (by the
    rule with number `value`; `default` 0: a 0 is none).
    A `path` with "*" is one value per level of that array. `backfill` and `reset` are flags. `late`: the value stands behind the
    elements that give the records.
    """

    member: str
    how: str
    path: Path = ()
    last: Path = ()
    per_unit: int = 0
    entries: tuple[tuple[str, int | None], ...] = ()
    default: int | None = None
    absent: int | None = None
    then: Put | None = None
    value: int = 0
    capture: Capture | None = None
    late: bool = False

    @property
    def chain(self) -> tuple[Put, ...]:
        """What is read where this gives nothing, in turn."""
        return () if self.then is None else (self.then, *self.then.chain)


@dataclass(slots=True)
class Reads:
    """What the fields need: the kind of value at each place, the arrays that hold levels (of a book: which side), the places that are
    absent, those of digits before which a sign means something, and those where for some field it means nothing."""

    kinds: dict[Path, str] = field(default_factory=dict)
    signed: set[Path] = field(default_factory=set)
    unsigned: set[Path] = field(default_factory=set)
    loops: dict[Path, int] = field(default_factory=dict)
    sides: dict[Path, str] = field(default_factory=dict)
    absent: set[Path] = field(default_factory=set)
    puts: tuple[Put, ...] = ()


def puts_of(
    records: ir.Records,
    record: ir.RecordType,
    message: ir.Message,
    locate: Locate,
    captures: Mapping[str, Capture],
    fixed: Mapping[Path, str],
) -> Reads:
    """All fields of the message's record. Raises BeyondError where one cannot be read for certain."""
    return _Filler(records, record, message, locate, captures, fixed).all()


class _Filler:
    def __init__(
        self,
        records: ir.Records,
        record: ir.RecordType,
        message: ir.Message,
        locate: Locate,
        captures: Mapping[str, Capture],
        fixed: Mapping[Path, str],
    ) -> None:
        self.records = records
        self.record = record
        self.message = message
        self.locate = locate
        self.captures = captures
        self.fixed = fixed
        self.reads = Reads()

    def all(self) -> Reads:
        book = self.message.book
        if len(self.message.records) > 1 and not book:
            raise BeyondError("several records from one message")
        members = {f.name for f in self.record.fields if f.kind not in _FILLED_BY_FEED} - {"recv_ns"}
        steering = dict(_BOOK) if book else {}
        for name in (*(f.name for f in self.message.fields), *(name for name in self.captures if self.record.field(name))):
            if name not in members and name != "symbol" and name not in _FLAGS and name not in steering:
                raise BeyondError(f"the field {name}")
        puts = [self._symbol()]
        for f in self.record.fields:
            if f.name in members:
                put = self._levels(f) if f.length else self._member(f.name, f.kind, f.enum)
                puts += [] if put is None else [put]
        puts += [put for put in (self._member(name, "bool", None) for name in _FLAGS) if put is not None]
        puts += [put for put in (self._member(name, kind, None) for name, kind in steering.items()) if put is not None]
        if book:
            self._sides(puts)
        self._defaults(puts)
        self._complete(puts)
        self.reads.puts = tuple(puts)
        return self.reads

    # ----------------------------------------------------------------------- sources

    def _source(self, name: str) -> Simple | None:
        """Where a field comes from in this layout; None: it is absent."""
        sources = self._sources(name)
        if len(sources) > 1:
            raise BeyondError(f"{name}: a map to absent with another source behind it")
        return sources[0] if sources else None

    def _sources(self, name: str) -> tuple[Simple, ...]:
        """Where a field comes from in this layout: maps that may give nothing, and what is read then."""
        given = self.message.field(name)
        if given is None:
            return (ir.FromName(name),) if name in self.captures else ()
        sources = given.source.sources if isinstance(given.source, ir.FromFirst) else (given.source,)
        found: list[Simple] = []
        for source in sources:
            if isinstance(source, ir.FromText) and not source.text:
                continue
            if isinstance(source, ir.FromText | ir.FromName) or any(isinstance(step, ir.Every) for step in source.path.steps):
                return (*found, source)
            place, node = self.locate(source.path)
            if node is None or node.absent:
                self.reads.absent.add(place)
                continue
            found.append(source)
            if not isinstance(source, ir.FromMap) or None not in (*dict(source.entries).values(), *(source.default or ())):
                return tuple(found)
        if not found and not all(
            isinstance(source, ir.FromText) or (isinstance(source, ir.FromPath | ir.FromMap) and source.path.optional) for source in sources
        ):
            raise BeyondError(f"{name} is absent in the example, but not optional")
        return tuple(found)

    def _place(self, path: ir.Path, kind: str) -> Path:
        place, _ = self.locate(path)
        self._claim(place, kind)
        return place

    def _is_text(self, path: ir.Path) -> bool:
        """Whether the example has a text there that is no number: an id to be hashed."""
        _, node = self.locate(path)
        return node is not None and node.kind == STRING and not node.text.isdecimal()

    def _claim(self, place: Path, kind: str) -> None:
        if self.reads.kinds.setdefault(place, kind) != kind:
            raise BeyondError("two fields read one value in different ways")

    # ----------------------------------------------------------------------- members

    def _symbol(self) -> Put:
        source = self._source("symbol")
        if isinstance(source, ir.FromName) and source.name in self.captures:
            return Put("symbol", "symbol", capture=self.captures[source.name])
        if isinstance(source, ir.FromPath) and source.word is None:
            return Put("symbol", "symbol", capture=Capture(self._place(source.path, TEXT)))
        raise BeyondError("a symbol that is no text of the frame")

    def _member(self, name: str, kind: str, enum: str | None) -> Put | None:
        if kind == "checksum":
            source = self._source(name)
            return None if source is None else self._checksum(source)
        put: Put | None = None
        for source in reversed(self._sources(name)):
            earlier = self._simple(name, source, kind, enum)
            if put is not None and (put.how not in ("map", "told", "const") or earlier.how not in ("map", "told")):
                raise BeyondError(f"{name}: a map to absent with another source behind it")
            put = earlier if put is None else replace(earlier, then=put)
        return put

    def _simple(self, name: str, source: Simple, kind: str, enum: str | None) -> Put:
        if isinstance(source, ir.FromText):
            return Put(name, "const", value=self._result(source.text, kind, enum))
        if isinstance(source, ir.FromMap):
            return self._map(name, source, kind, enum)
        if isinstance(source, ir.FromName):
            raise BeyondError(f"{name} from a capture")
        if kind in ("price", "qty") and source.word is None:
            return Put(name, kind, self._place(source.path, DECIMAL))
        if kind in ("time", "integer") and source.word in _NS:
            place = self._place(source.path, DIGITS)
            self.reads.unsigned.add(place)
            return Put(name, "time", place, per_unit=_NS[source.word])
        if kind == "id" and source.word is None and self._is_text(source.path):
            return Put(name, "hashed", self._place(source.path, TEXT))
        if kind in ("integer", "id", "count") and source.word is None:
            place = self._place(source.path, DIGITS)
            (self.reads.signed if kind == "integer" else self.reads.unsigned).add(place)
            return Put(name, "count" if kind == "count" else "integer", place)
        if kind == "bool" and source.word is None:
            return Put(name, "bool", self._place(source.path, BOOL))
        raise BeyondError(f"{name}: {kind} read as {source.word}")

    def _map(self, name: str, source: ir.FromMap, kind: str, enum: str | None) -> Put:
        entries = tuple((text, None if result is None else self._result(result, kind, enum)) for text, result in source.entries)
        default = source.default[0] if source.default else None
        other = None if default is None else self._result(default, kind, enum)
        place, node = self.locate(source.path)
        if place in self.fixed:
            value = dict(entries).get(self.fixed[place], other)
            if value is None:
                raise BeyondError(f"{name}: the match word maps to nothing")
            return Put(name, "const", value=value)
        bools = node is not None and node.kind == LITERAL
        self._claim(place, BOOL if bools else TEXT)
        absent = 0 if kind == "enum" else None
        return Put(name, "told" if bools else "map", place, entries=entries, default=other, absent=absent)

    def _checksum(self, source: ir.FromPath | ir.FromMap | ir.FromText | ir.FromName) -> Put:
        """With its sign as a decimal has one; of maps only the one that says that 0 is none."""
        if isinstance(source, ir.FromPath) and source.word is not None:
            return Put("checksum", "checksum", self._place(source.path, DECIMAL), value=CHECKSUM_RULES.index(source.word) + 1)
        if isinstance(source, ir.FromMap) and source.entries == (("0", None),) and source.default and source.default[0] in CHECKSUM_RULES:
            rule = CHECKSUM_RULES.index(str(source.default[0])) + 1
            return Put("checksum", "checksum", self._place(source.path, DECIMAL), value=rule, default=0)
        raise BeyondError("a checksum by another map")

    def _sides(self, puts: list[Put]) -> None:
        """The arrays of a book's levels: each holds both halves of one side."""
        for side in _SIDES:
            own = [put for put in puts if put.member in (f"{side}_price", f"{side}_qty", f"{side}_count")]
            arrays = {put.path[: put.path.index("*")] for put in own}
            if len(arrays) != 1 or len(own) < len(_SIDES):
                raise BeyondError(f"{side}: levels that are not one array")
            self.reads.sides[arrays.pop()] = side
        if len(self.reads.sides) != len(_SIDES):
            raise BeyondError("both sides in one array")

    def _result(self, result: str | bool | int, kind: str, enum: str | None) -> int:
        """A constant or a map's result as the number a record holds."""
        if kind == "bool" and result in (True, False, "true", "false") and not (isinstance(result, int) and not isinstance(result, bool)):
            return int(result in (True, "true"))
        if kind == "enum" and enum is not None and isinstance(result, str):
            numbers = dict(self.records.enum(enum).values)
            if result in numbers:
                return numbers[result]
        raise BeyondError(f"the constant {result!r}")

    def _levels(self, member: ir.RecordField) -> Put | None:
        """A member with one value per level."""
        source = self._source(member.name)
        if source is None:
            return None
        if not isinstance(source, ir.FromPath) or source.word is not None:
            raise BeyondError(f"{member.name}: levels that are more than a path")
        steps = source.path.steps
        at = next((i for i, step in enumerate(steps) if isinstance(step, ir.Every)), None)
        if at is None or steps[at] != ir.Every(False):
            raise BeyondError(f"{member.name}: levels without [*]")
        place, node = self.locate(ir.Path(source.path.element, steps[:at], False, source.path.source))
        if node is None or node.kind != ARRAY:
            raise BeyondError(f"{member.name}: the example has no array of levels")
        inside: list[str | int] = []
        for step in steps[at + 1 :]:
            if isinstance(step, ir.Key):
                inside.append(step.name)
            elif isinstance(step, ir.Index) and step.n >= 0:
                inside.append(step.n)
            else:
                raise BeyondError(f"{member.name}: the path inside a level")
        path = (*place, "*", *inside)
        self._claim(path, DIGITS if member.kind == "count" else DECIMAL)
        self.reads.loops[place] = member.length
        return Put(member.name, member.kind, path)

    # ----------------------------------------------------------------------- the record as a whole

    def _defaults(self, puts: list[Put]) -> None:
        """The number of trades an aggregate sums, where nothing else gives it (rule 19)."""
        ends = [next((put for put in puts if put.member == name), None) for name in ("first_id", "last_id")]
        if self.record.field("count") is None or self.message.field("count") is not None or None in ends:
            if (
                self.record.field("count") is not None
                and self.message.field("count") is not None
                and not any(p.member == "count" for p in puts)
            ):
                raise BeyondError("a count that is absent on purpose")
            return
        first, last = ends
        if first is None or last is None or first.how != "integer" or last.how != "integer":
            raise BeyondError("a count of ids that are more than digits")
        self.reads.unsigned |= {first.path, last.path}
        puts.append(Put("count", "spanned", first.path, last=last.path))

    def _complete(self, puts: list[Put]) -> None:
        """Everything needed is there; a quote without one side is flagged (rule 18)."""
        have = {put.member for put in puts}
        sided = self.record.field("bid_price") is not None and not any(f.length for f in self.record.fields if f.kind != "pad")
        for side in _SIDES if sided else ():
            pair = {f"{side}_price", f"{side}_qty"}
            if not pair & have:
                puts.append(Put("one_sided", "const", value=1))
                have |= pair
        missing = [f.name for f in self.record.fields if f.needed and f.name not in have]
        if missing:
            raise BeyondError(f"{missing[0]} is absent in the example")
