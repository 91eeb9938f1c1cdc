"""SBE frames as a venue writes them: packed by the schema, from the values of an update.

Nothing here reads what K4 generates: fields of the spec are looked up in the schema by their names, and every block is filled in with
values at the offsets that the schema gives. What no field names stays as the message's example has it. A decimal gets the exponent of the
example, or a lower one where its digits need that.
Imports `spell`, `k4.errors` and, of the generator, `fields`, `ir` and `refsbe` (to take the example apart).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from k4._codegen import ir, refsbe
from k4._codegen.fields import TIME_WORDS, shift
from k4.errors import K4Error
from k4.sim.spell import AUTO_NS, UNITS_NS, Simple, Values, mapped_value, simple_sources

Names = tuple[str, ...]  # of the groups that lead to a block
_LEVELS = {"depth5": 5, "depth20": 20}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a field of the record stands: value `name` of the block behind `groups`. `exponent`: block and field of its power of ten."""

    field: str
    groups: Names
    name: str
    source: Simple
    exponent: tuple[Names, str] | None

    @property
    def word(self) -> str | None:
        return self.source.word if isinstance(self.source, ir.FromPath) else None


class Packet:
    """One message of a spec as a template of its frames. Raises K4Error where the simulator cannot speak it."""

    def __init__(self, message: ir.Message, schema: ir.SbeSchema, wire: bytes) -> None:
        self._where = f'message "{message.record}" (line {message.line})'
        self._schema = schema
        self._order = "big" if schema.big_endian else "little"
        example = refsbe.parse(wire, schema)
        self._template = example.template
        self._each = tuple(step.name for path in message.each for step in path.steps if isinstance(step, ir.Key))
        book = message.book
        self._most = 0 if book else max((_LEVELS.get(record, 0) for record in message.records), default=0)
        self._kept: dict[Names, bytes] = {}
        self._keep((), self._template.body, example.root, example)
        self._places = [
            found for field in message.fields for source in simple_sources(field.source) for found in [self._place(field.name, source)]
        ]

        for place in self._places:
            spot = self._body(place.groups).field(place.name)
            if place.field == "checksum" and spot is not None:
                if spot.null is None:
                    raise K4Error(f"{self._where}: the simulator cannot write a checksum in SBE")
                block = bytearray(self._kept[place.groups])
                self._put(block, spot.offset, spot.primitive, spot.null)
                self._kept[place.groups] = bytes(block)

    def say(self, rows: Sequence[Values]) -> list[bytes]:
        """The frames that tell of `rows`, oldest first: one for all where the message has an entry for each, else one for each."""
        if not rows:
            return []
        return [self._frame(rows[-1], rows)] if self._each else [self._frame(row, [row]) for row in rows]

    # ------------------------------------------------------------------ looking up

    def _keep(self, groups: Names, body: ir.SbeBlock, block: refsbe.Block | None, example: refsbe.Frame) -> None:
        """The fixed part of every block as the example has it; what it lacks, being of an earlier version say, is absent, or 0."""
        known = max(length for version, length in body.lengths if version <= example.version) if block is not None else 0
        start = 0 if block is None else block.start
        held = bytearray(example.raw[start : start + known].ljust(body.block_length, b"\0"))
        for field in body.fields:
            if field.null is not None and (block is None or field.since > example.version) and not field.length:
                self._put(held, field.offset, field.primitive, field.null)
        self._kept[groups] = bytes(held)
        for group in body.groups:
            entries = block.groups.get(group.name, ()) if block is not None else ()
            self._keep((*groups, group.name), group.body, entries[0] if entries else None, example)

    def _body(self, groups: Names) -> ir.SbeBlock:
        body = self._template.body
        for name in groups:
            group = body.group(name)
            if group is None:
                raise K4Error(f'{self._where}: the schema has no group "{name}" there')
            body = group.body
        return body

    def _place(self, field: str, source: Simple) -> _Place:
        groups = self._each if source.path.element else ()
        steps = list(source.path.steps)
        while len(steps) > 1 and isinstance(steps[0], ir.Key) and isinstance(steps[1], ir.Every):
            groups, steps = (*groups, steps[0].name), steps[2:]
        name = ".".join(step.name for step in steps if isinstance(step, ir.Key))
        spot = self._body(groups).field(name)
        exponent = None
        if spot is not None and isinstance(spot.exponent, str):
            depths = range(len(groups), -1, -1)
            exponent = next((groups[:n], spot.exponent) for n in depths if self._body(groups[:n]).field(spot.exponent) is not None)
        return _Place(field, groups, name, source, exponent)

    # ------------------------------------------------------------------ packing

    def _frame(self, values: Values, rows: Sequence[Values]) -> bytes:
        schema, body = self._schema, self._template.body
        head = bytearray(schema.header)
        for size, number in (
            (schema.block, body.block_length),
            (schema.template, self._template.id),
            (schema.schema, schema.id),
            (schema.acting, schema.version),
        ):
            self._put(head, size.offset, size.primitive, number)
        return bytes(head) + self._block((), body, values, rows, self._powers(values, rows))

    def _block(
        self, groups: Names, body: ir.SbeBlock, values: Values, rows: Sequence[Values], powers: Mapping[tuple[Names, str], int]
    ) -> bytes:
        fixed = bytearray(self._kept[groups])
        texts: dict[str, bytes] = {}
        for place in self._places:
            value = values.get(self._asked(place))
            if place.groups != groups or value is None:
                continue
            field = body.field(place.name)
            if field is None:
                texts[place.name] = str(value).encode()
            elif field.constant is None:
                self._write(fixed, field, place, value, values, powers)
        for (holder, name), power in powers.items():
            field = body.field(name) if holder == groups else None
            if field is not None and field.constant is None:
                self._put(fixed, field.offset, field.primitive, power)
        out = bytes(fixed)
        for group in body.groups:
            entries = self._entries((*groups, group.name), values, rows)
            head = bytearray(group.header)
            self._put(head, group.block.offset, group.block.primitive, group.body.block_length)
            self._put(head, group.count.offset, group.count.primitive, len(entries))
            out += bytes(head) + b"".join(self._block((*groups, group.name), group.body, entry, rows, powers) for entry in entries)
        for data in body.data:
            text = texts.get(data.name, b"")
            head = bytearray(data.header)
            self._put(head, data.length.offset, data.length.primitive, len(text))
            out += bytes(head) + text
        return out

    def _entries(self, groups: Names, values: Values, rows: Sequence[Values]) -> list[Values]:
        """What the entries of a group are filled from: the rows, levels, or, on the way to them, the one that holds them."""
        if groups == self._each:
            return list(rows)
        if self._each[: len(groups)] == groups:
            return [values]
        columns = {place.field: _column(values, place.field) for place in self._places if place.groups == groups}
        count = min((len(column) for column in columns.values()), default=0)
        if self._most:
            count = min(count, self._most)
        return [{name: column[i] for name, column in columns.items()} for i in range(count)]

    def _powers(self, values: Values, rows: Sequence[Values]) -> dict[tuple[Names, str], int]:
        """The exponents of a frame: the example's, or what the digits of all values that have it need."""
        found: dict[tuple[Names, str], int] = {}
        for place in self._places:
            if place.exponent is None:
                continue
            holder, name = place.exponent
            field = self._body(holder).field(name)
            assert field is not None
            power = int(field.constant) if field.constant is not None else self._number(self._kept[holder], field)
            sources = rows if place.groups[: len(self._each)] == self._each else [values]
            numbers = [one for row in sources for one in (_column(row, place.field) or [row.get(place.field)]) if isinstance(one, Decimal)]
            needed = [_power(one) - (shift(place.word) or 0) for one in numbers]
            if field.constant is None:
                power = min([power, found.get(place.exponent, power), *needed])
            found[place.exponent] = power
        return found

    def _write(
        self, out: bytearray, field: ir.SbeField, place: _Place, value: object, values: Values, powers: Mapping[tuple[Names, str], int]
    ) -> None:
        if field.length:
            out[field.offset : field.offset + field.length] = str(value).encode().ljust(field.length, b"\0")
            return
        if field.bit is not None:
            number = self._number(out, field)
            self._put(out, field.offset, field.primitive, number | 1 << field.bit if value else number & ~(1 << field.bit))
            return
        if isinstance(place.source, ir.FromMap):
            number = self._mapped(field, place.source, value)
        elif place.word in TIME_WORDS:
            number = int(str(value)) // self._unit(place)
        elif place.word == "negative":
            return  # the sign of what stands there
        elif isinstance(value, Decimal):
            power = powers[place.exponent] if place.exponent is not None else int(field.exponent or 0)
            scaled = value.scaleb(-power - (shift(place.word) or 0))
            number = int(scaled)
            if number != scaled:
                raise K4Error(f"{self._where}: {place.field} {value} has more digits than {field.name} holds")
        else:
            number = int(str(value))
        sign = next((one for one in self._places if one.word == "negative" and (one.groups, one.name) == (place.groups, place.name)), None)
        self._put(out, field.offset, field.primitive, -number if sign is not None and values.get(sign.field) else number)

    def _mapped(self, field: ir.SbeField, source: ir.FromMap, value: object) -> int:
        known = dict(self._schema.enum(field.enum).values) if field.enum is not None else {}
        for text in (*(key for key, _ in source.entries), *known):
            if mapped_value(source, text) == value:
                return known[text] if text in known else ord(text) if field.primitive == "char" else int(text)
        raise K4Error(f"{self._where}: no value of {field.name} means {value}")

    def _asked(self, place: _Place) -> str:
        return "event_ns" if place.word in TIME_WORDS and not place.field.endswith("_ns") else place.field

    def _unit(self, place: _Place) -> int:
        if place.word in UNITS_NS:
            return UNITS_NS[place.word]
        field = self._body(place.groups).field(place.name)
        assert field is not None
        return AUTO_NS[len(str(self._number(self._kept[place.groups], field)))]

    def _number(self, block: bytes | bytearray, field: ir.SbeField) -> int:
        size = ir.SBE_SIZES[field.primitive]
        part = bytes(block[field.offset : field.offset + size])
        return int.from_bytes(part, "big" if self._schema.big_endian else "little", signed=field.primitive.startswith("int"))

    def _put(self, out: bytearray, at: int, primitive: str, number: int) -> None:
        size, signed = ir.SBE_SIZES[primitive], primitive.startswith("int")
        try:
            out[at : at + size] = number.to_bytes(size, "big" if self._schema.big_endian else "little", signed=signed)
        except OverflowError:
            raise K4Error(f"{self._where}: {number} is more than {primitive} holds") from None


def _column(values: Values, name: str) -> Sequence[object]:
    found = values.get(name)
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def _power(value: Decimal) -> int:
    """The power of ten of the last digit that is needed to write the value."""
    exponent = value.normalize().as_tuple().exponent
    return min(exponent, 0) if isinstance(exponent, int) else 0
