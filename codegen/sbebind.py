"""A message that has a `template`, held against its SBE schema: which value of which block each field is read from, and how.

The checker, the generator and the reference interpreter read the same answer. May import `errors`, `fields`, `ir`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import fields, ir
from .errors import did_you_mean

NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1, "auto": 0}
_FLOATS = ("float", "double")
# A bound message may have records of these words besides market data: they carry nothing.
PLAIN = ("control", "dropped")


@dataclass(frozen=True, slots=True)
class Spot:
    """A value: in the block behind `groups` (none: the message's own). One of `field` and `data`. `exponent`: of a decimal."""

    groups: tuple[ir.SbeGroup, ...]
    field: ir.SbeField | None
    data: ir.SbeData | None = None
    exponent: Spot | int | None = None

    @property
    def depth(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, slots=True)
class Read:
    """How one field of the record gets its value. `spot` None: a constant, `const`, or, where that is None too, nothing at all.

    `numbers`: a map by the value's number, `default` for all others (1-tuple); a result of None is absent. Results of a bool are
    0 and 1, of an enum its numbers.
    """

    spot: Spot | None
    optional: bool = True
    const: int | None = None
    numbers: tuple[tuple[int, int | None], ...] | None = None
    default: tuple[int | None] | None = None
    shift: int = 0
    how: tuple[str, ...] = ()
    unit: int | None = None  # nanoseconds per unit of a time, 0: by its digits


@dataclass(frozen=True, slots=True)
class Bound:
    """A message of a spec bound to one of its schema. `each`: the groups that lead to an element; `reads`: by field of the record."""

    index: int
    message: ir.Message
    template: ir.SbeMessage
    each: tuple[ir.SbeGroup, ...]
    reads: dict[str, Read]

    def levels(self, side: str) -> tuple[ir.SbeGroup, ...]:
        """The groups that lead to a level of a side."""
        read = self.reads[f"{side}_price"]
        return read.spot.groups if read.spot is not None else ()


class UnboundError(Exception):
    """A message and its schema do not fit. `faults`: (field, what is wrong); field "" is the message's `template`, "each" its `each`."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(what for _, what in faults))
        self.faults = faults


class _WrongError(Exception):
    pass


def bind(index: int, message: ir.Message, schema: ir.SbeSchema, records: ir.Records) -> Bound:
    """`message` as `bind.bind` gives it, at `index` there. Raises UnboundError with everything that does not fit."""
    template = schema.message(message.template or "")
    if template is None:
        hint = did_you_mean(message.template or "", [one.name for one in schema.messages])
        raise UnboundError([("", f'template = "{message.template}" is not in {schema.name}{hint}')])
    return _Binder(schema, template, records, message).bound(index)


def bind_all(messages: tuple[ir.Message, ...], schema: ir.SbeSchema | None, records: ir.Records) -> tuple[Bound, ...]:
    """Every message that has a template. Raises UnboundError."""
    if schema is None:
        return ()
    return tuple(bind(i, message, schema, records) for i, message in enumerate(messages) if message.template is not None)


class _Binder:
    def __init__(self, schema: ir.SbeSchema, template: ir.SbeMessage, records: ir.Records, message: ir.Message) -> None:
        self.schema = schema
        self.template = template
        self.records = records
        self.message = message
        self.each: tuple[ir.SbeGroup, ...] = ()

    def bound(self, index: int) -> Bound:
        faults: list[tuple[str, str]] = []
        try:
            self.each = self._each()
        except _WrongError as error:
            raise UnboundError([("each", str(error))]) from None
        rules = fields.message_rules(self.message, self.records)
        reads: dict[str, Read] = {}
        for field in self.message.fields:
            rule = rules.get(field.name)
            if rule is None:
                continue
            try:
                reads[field.name] = self._read(rule, field.source)
            except _WrongError as error:
                faults.append((field.name, f"{field.name}: {error}"))
        faults += self._sides(reads)
        if faults:
            raise UnboundError(faults)
        return Bound(index, self.message, self.template, self.each, reads)

    def _sides(self, reads: dict[str, Read]) -> Iterator[tuple[str, str]]:
        """All columns of a side are of one group."""
        if not any(fields.is_depth(word) for word in self.message.records):
            return
        for side in ("bid", "ask"):
            places = {name: read.spot.groups for name in (f"{side}_price", f"{side}_qty", f"{side}_count")
                      if (read := reads.get(name)) is not None and read.spot is not None}  # fmt: skip
            first = next(iter(places.values()), ())
            for name, groups in places.items():
                if groups and groups == self.each[: len(groups)]:
                    yield name, f"{name} is in the group that each goes through; a level is an entry below it"
                if groups != first:
                    yield name, f"{name} is in another group than {next(iter(places))}; a level is one entry of one group"

    # ----- places

    def _each(self) -> tuple[ir.SbeGroup, ...]:
        if len(self.message.each) > 1:
            raise _WrongError("each: a list of paths; an SBE message has one way to its elements")
        path = self.message.each[0]
        groups, rest = self._groups((), path.steps)
        if rest:
            raise _WrongError(f'each = "{path.source}" must lead to the entries of a group; {self._known(groups, False)}')
        return groups

    def _groups(self, start: tuple[ir.SbeGroup, ...], steps: tuple[ir.Step, ...]) -> tuple[tuple[ir.SbeGroup, ...], tuple[ir.Step, ...]]:
        """Follows `a[*].b[*]` as far as it goes."""
        groups = start
        while len(steps) > 1 and isinstance(steps[0], ir.Key) and steps[1] == ir.Every(False):
            group = self._body(groups).group(steps[0].name)
            if group is None:
                raise _WrongError(f'"{steps[0].name}" is no group; {self._known(groups, False)}')
            groups, steps = (*groups, group), steps[2:]
        return groups, steps

    def _body(self, groups: tuple[ir.SbeGroup, ...]) -> ir.SbeBlock:
        return groups[-1].body if groups else self.template.body

    def _known(self, groups: tuple[ir.SbeGroup, ...], values: bool = True) -> str:
        body = self._body(groups)
        names = [f"{group.name}[*]" for group in body.groups]
        if values:
            names = [*(field.name for field in body.fields), *(one.name for one in body.data), *names]
        where = groups[-1].name if groups else self.template.name
        return f"{where} has {', '.join(names) or 'none'}"

    def _spot(self, path: ir.Path, level: bool) -> Spot:
        start = self.each if path.element else ()
        groups, rest = self._groups(start, path.steps)
        if len(groups) - len(start) != level:
            wanted = 'one value per level is wanted, as in "levels[*].price"' if level else "one value is wanted, not one of every entry"
            raise _WrongError(f'"{path.source}": {wanted}')
        if not rest or not all(isinstance(step, ir.Key) for step in rest):
            raise _WrongError(f'"{path.source}" is not a name of the schema; {self._known(groups)}')
        name = ".".join(step.name for step in rest if isinstance(step, ir.Key))
        body = self._body(groups)
        field = body.field(name)
        if field is not None:
            return Spot(groups, field, None, self._exponent(groups, field))
        data = next((one for one in body.data if one.name == name), None)
        if data is None:
            raise _WrongError(f'"{path.source}": {self._known(groups)}{self._inside(body, name)}')
        return Spot(groups, None, data)

    def _inside(self, body: ir.SbeBlock, name: str) -> str:
        part = any(field.name.startswith(f"{name}.") for field in body.fields)
        return f'; "{name}" is made of these, name one of them' if part else ""

    def _exponent(self, groups: tuple[ir.SbeGroup, ...], field: ir.SbeField) -> Spot | int | None:
        if not isinstance(field.exponent, str):
            return field.exponent
        for depth in range(len(groups), -1, -1):
            found = self._body(groups[:depth]).field(field.exponent)
            if found is not None:
                return Spot(groups[:depth], found) if found.constant is None else int(found.constant)
        raise _WrongError(f'its exponent "{field.exponent}" is not there')

    # ----- sources

    def _read(self, rule: fields.FieldRule, source: ir.Source) -> Read:
        if isinstance(source, ir.FromText):
            return self._const(rule, source.text)
        if isinstance(source, ir.FromFirst):
            raise _WrongError("a list of sources is not for SBE; write one of them")
        if isinstance(source, ir.FromName):
            raise _WrongError(f"${source.name} is not known; nothing is captured from SBE")
        spot = self._spot(source.path, rule.level)
        if rule.kind == "symbol":
            self._want(spot, spot.data is not None or (spot.field is not None and spot.field.text and spot.field.length > 0), "a text")
            return Read(spot, source.path.optional)
        if isinstance(source, ir.FromMap):
            return self._map(rule, source, spot)
        if rule.kind == "enum":
            raise _WrongError(f'"{source.path.source}" needs a map; write {rule.name} = {{ "{source.path.source}" = {{ … }} }}')
        if rule.kind == "bool" and source.word is None:
            if spot.field is None or spot.field.bit is None:
                what = "is no choice of a set; write what its values mean, as in"
                raise _WrongError(f'"{source.path.source}" {what} {rule.name} = {{ "{source.path.source}" = {self._values(spot)} }}')
            return Read(spot, source.path.optional)
        number = spot.field is not None and not spot.field.length and spot.field.enum is None and spot.field.bit is None
        number = number and spot.field is not None and spot.field.primitive not in (*_FLOATS, "char") and not spot.field.text
        self._want(spot, number, "an integer")
        if rule.kind in ("time", "integer", "count", "id", "checksum") and spot.exponent is not None:
            raise _WrongError(f'"{source.path.source}" is a decimal; {rule.name} wants an integer')
        return self._worded(source, spot)

    def _worded(self, source: ir.FromPath, spot: Spot) -> Read:
        word = source.word
        shift = fields.shift(word)
        if word in fields.TIME_WORDS:
            if word == "iso":
                raise _WrongError(f'"iso" reads a text; {self._what(spot)} is a number, write one of {" ".join(NS)}')
            return Read(spot, source.path.optional, unit=NS[word or "ns"])
        how = () if word is None or shift is not None else (word,)
        return Read(spot, source.path.optional, shift=shift or 0, how=how)

    def _want(self, spot: Spot, fits: bool, wanted: str) -> None:
        if not fits:
            raise _WrongError(f"{self._what(spot)}; {wanted} is wanted")

    def _what(self, spot: Spot) -> str:
        if spot.field is None:
            return f'"{spot.data.name if spot.data else ""}" is data of varying length'
        field = spot.field
        kind = f"enum {field.enum}" if field.enum else "choice of a set" if field.bit is not None else field.primitive
        return f'"{field.name}" is {"an array of " if field.length else ""}{kind}'

    def _values(self, spot: Spot) -> str:
        if spot.field is not None and spot.field.enum is not None:
            names = [name for name, _ in self.schema.enum(spot.field.enum).values]
            return "{ " + ", ".join(f"{name} = …" for name in names[:4]) + " }"
        return "{ 0 = false, 1 = true }"

    def _map(self, rule: fields.FieldRule, source: ir.FromMap, spot: Spot) -> Read:
        if rule.kind not in ("bool", "enum"):
            raise _WrongError("a map gives a bool or a word; of an SBE value it can give nothing else")
        field = spot.field
        if field is None or field.length or field.primitive in _FLOATS or field.bit is not None:
            raise _WrongError(f"{self._what(spot)}, which no map reads; an enum or an integer is wanted")
        known = dict(self.schema.enum(field.enum).values) if field.enum is not None else {}
        numbers: list[tuple[int, int | None]] = []
        for text, result in source.entries:
            number = known.get(text, self._number(field, text))
            if number is None:
                hint = did_you_mean(text, known) if known else f"; write numbers as {field.primitive} has them"
                raise _WrongError(f'"{text}" is not a value of it{hint}')
            numbers.append((number, self._result(rule, result)))
        default = None if source.default is None else (self._result(rule, source.default[0]),)
        return Read(spot, source.path.optional, numbers=tuple(dict(reversed(numbers)).items()), default=default)

    def _number(self, field: ir.SbeField, text: str) -> int | None:
        if field.primitive == "char":
            return ord(text) if len(text) == 1 and text.isascii() else None
        return int(text) if re.fullmatch(r"-?(0|[1-9][0-9]{0,19})", text, re.ASCII) else None

    def _const(self, rule: fields.FieldRule, text: str) -> Read:
        if not text:
            return Read(None)
        if rule.kind not in ("bool", "enum"):
            raise _WrongError(f'the constant "{text}" is not for {rule.name}; only bools and words can be constant here')
        return Read(None, const=self._result(rule, text == "true" if rule.kind == "bool" else text))

    def _result(self, rule: fields.FieldRule, result: str | bool | int | None) -> int | None:
        """The number a record holds for it. What does not suit the field has been found before, as of any message."""
        if result is None:
            return None
        if rule.kind == "bool":
            return int(result is True)
        for enum in self.records.enums:
            if tuple(name for name, _ in enum.values) == rule.results:
                return dict(enum.values).get(str(result))
        return None
