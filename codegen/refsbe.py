"""The reference interpreter of SBE frames: docs/decoding.md, rules of SBE, in plain Python straight from the schema's IR.

`parse` takes a whole message apart, bound or not; `SbeReader` reads the fields of one element for the drafter that JSON frames share.
May import `ir`, `sbebind` and the `ref*` modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import ir, sbebind
from .reffields import Checksum, Gone, Id, Level, Sides, Value
from .refjson import FrameError
from .refvalue import INT32_MAX, INT64_MAX, Dec, Place, RefusedError, symbol

_FARTHEST = 1000  # an exponent beyond leaves no number that fits, whatever its digits
_AUTO = {10: "s", 13: "ms", 16: "us", 19: "ns"}


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a frame: where it begins, and what stands in it. A group or data that the acting version lacks is not in the tables."""

    start: int
    groups: dict[str, tuple[Block, ...]]
    data: dict[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a known template. `version`: the acting one."""

    raw: bytes
    schema: ir.SbeSchema
    version: int
    template: ir.SbeMessage
    root: Block

    def number(self, field: ir.SbeField, block: Block) -> int | None:
        """A value as the wire has it; None where it is absent."""
        if field.constant is not None:
            return field.constant if isinstance(field.constant, int) else None
        if self.version < field.since:
            return None
        at = block.start + field.offset
        value = _integer(self.raw, at, field.primitive, self.schema.big_endian)
        if field.bit is not None:
            return value >> field.bit & 1
        return None if value == field.null else value


class UnknownError(Exception):
    """A template that the schema does not have."""


def _integer(raw: bytes, at: int, primitive: str, big: bool) -> int:
    return int.from_bytes(raw[at : at + ir.SBE_SIZES[primitive]], "big" if big else "little", signed=primitive.startswith("int"))


def parse(raw: bytes, schema: ir.SbeSchema, templates: tuple[ir.SbeMessage, ...] | None = None) -> Frame:
    """Takes a frame apart. Raises FrameError where its sizes do not add up, UnknownError where its template is none of `templates`."""
    return _Walk(raw, schema).frame(schema.messages if templates is None else templates)


class _Walk:
    def __init__(self, raw: bytes, schema: ir.SbeSchema) -> None:
        self.raw = raw
        self.schema = schema
        self.at = 0
        self.version = 0

    def size(self, size: ir.SbeSize, start: int) -> int:
        return _integer(self.raw, start + size.offset, size.primitive, self.schema.big_endian)

    def skip(self, count: int) -> int:
        """Moves on by `count` bytes and gives where they begin."""
        if count > len(self.raw) - self.at:
            raise FrameError("malformed", len(self.raw))
        self.at += count
        return self.at - count

    def frame(self, templates: tuple[ir.SbeMessage, ...]) -> Frame:
        schema = self.schema
        self.skip(schema.header)
        if self.size(schema.schema, 0) != schema.id:
            raise FrameError("malformed", schema.schema.offset)
        self.version = self.size(schema.acting, 0)
        number = self.size(schema.template, 0)
        template = next((one for one in templates if one.id == number), None)
        if template is None:
            raise UnknownError
        root = self.block(template.body, self.size(schema.block, 0), schema.block.offset)
        if self.version <= schema.version and self.at < len(self.raw):
            raise FrameError("malformed", self.at)
        return Frame(self.raw, schema, self.version, template, root)

    def block(self, body: ir.SbeBlock, length: int, told: int) -> Block:
        """`told`: where its length was said."""
        if length < self.least(body):
            raise FrameError("malformed", told)
        start = self.skip(length)
        groups = {group.name: self.group(group) for group in body.groups if self.version >= group.since}
        data = {one.name: self.data(one) for one in body.data if self.version >= one.since}
        return Block(start, groups, data)

    def least(self, body: ir.SbeBlock) -> int:
        return max(length for version, length in body.lengths if version <= self.version)

    def group(self, group: ir.SbeGroup) -> tuple[Block, ...]:
        start = self.skip(group.header)
        told = start + group.block.offset
        length, count = self.size(group.block, start), self.size(group.count, start)
        if count and length < self.least(group.body):
            raise FrameError("malformed", told)
        if count and length == 0 and not group.body.groups and not group.body.data:
            raise FrameError("malformed", told)
        if count * length > len(self.raw) - self.at:
            raise FrameError("malformed", len(self.raw))
        blocks: list[Block] = []
        for _ in range(count):
            before = self.at
            blocks.append(self.block(group.body, length, told))
            if self.at == before:
                raise FrameError("malformed", told)
        return tuple(blocks)

    def data(self, data: ir.SbeData) -> tuple[int, bytes]:
        start = self.skip(data.header)
        at = self.skip(self.size(data.length, start))
        return at, self.raw[at : self.at]


def elements(frame: Frame, groups: tuple[ir.SbeGroup, ...]) -> Iterator[tuple[Block, ...]]:
    """The blocks on the way to each element, the message's own first."""
    yield from _below(frame.root, groups, ())


def _below(block: Block, groups: tuple[ir.SbeGroup, ...], above: tuple[Block, ...]) -> Iterator[tuple[Block, ...]]:
    if not groups:
        yield (*above, block)
        return
    for entry in block.groups.get(groups[0].name, ()):
        yield from _below(entry, groups[1:], (*above, block))


# --------------------------------------------------------------------------- fields


class SbeReader:
    """The fields of one bound message in one element; the counterpart of `reffields.FieldReader`."""

    def __init__(self, bound: sbebind.Bound, frame: Frame, blocks: tuple[Block, ...]) -> None:
        self.bound = bound
        self.frame = frame
        self.blocks = blocks
        self.names: Mapping[str, Place] = {}

    def has(self, name: str) -> bool:
        return self.bound.message.field(name) is not None

    def left_out(self, name: str) -> bool:
        return self.bound.message.field(name) is not None and self.bound.reads[name] == sbebind.Read(None)

    def present(self, name: str) -> bool:
        read = self.bound.reads.get(name)
        return read is not None and not isinstance(self._value(read, "price", self.blocks), Gone)

    def get(self, name: str, kind: str) -> Value | Gone:
        """The field's value. Raises RefusedError for everything but absence."""
        read = self.bound.reads.get(name)
        if read is None:
            return Gone(self.blocks[-1].start, True)
        return self._value(read, kind, self.blocks)

    def place(self, name: str) -> Place | Gone:
        read = self.bound.reads.get(name)
        if read is None or read.spot is None:
            return Gone(self.blocks[-1].start, True)
        return Place("", self._offset(read.spot, self.blocks))

    def _block(self, spot: sbebind.Spot, blocks: tuple[Block, ...]) -> Block:
        return blocks[spot.depth]

    def _offset(self, spot: sbebind.Spot, blocks: tuple[Block, ...]) -> int:
        block = self._block(spot, blocks)
        if spot.data is not None:
            return block.data[spot.data.name][0] if spot.data.name in block.data else block.start
        assert spot.field is not None
        return block.start if spot.field.constant is not None else block.start + spot.field.offset

    def _value(self, read: sbebind.Read, kind: str, blocks: tuple[Block, ...]) -> Value | Gone:
        if read.spot is None:
            return Gone(blocks[-1].start, True) if read.const is None else self._spoken(read.const, kind)
        gone = Gone(self._block(read.spot, blocks).start, read.optional)
        if kind == "symbol":
            return self._symbol(read.spot, blocks) or gone
        number = self.frame.number(read.spot.field, self._block(read.spot, blocks)) if read.spot.field is not None else None
        if number is None:
            return gone
        at = self._offset(read.spot, blocks)
        if read.numbers is not None:
            return self._mapped(read, number, at, kind, gone)
        if kind in ("price", "qty"):
            return self._decimal(read, number, at, blocks) or gone
        if "negative" in read.how:
            return number < 0
        if kind == "bool":
            return bool(number)
        return self._integer(read, number, at, kind, gone)

    def _spoken(self, number: int, kind: str) -> Value:
        return bool(number) if kind == "bool" else number

    def _mapped(self, read: sbebind.Read, number: int, at: int, kind: str, gone: Gone) -> Value | Gone:
        table = dict(read.numbers or ())
        if number not in table and read.default is None:
            raise RefusedError("unmapped", at)
        result = table[number] if number in table else read.default[0] if read.default else None
        return Gone(gone.offset, True) if result is None else self._spoken(result, kind)

    def _decimal(self, read: sbebind.Read, mantissa: int, at: int, blocks: tuple[Block, ...]) -> Dec | None:
        assert read.spot is not None
        power = read.spot.exponent
        if isinstance(power, sbebind.Spot):
            assert power.field is not None
            power = self.frame.number(power.field, self._block(power, blocks))
            if power is None:
                return None
        power = max(-_FARTHEST, min(_FARTHEST, (power or 0) + read.shift))
        if "nonzero" in read.how and mantissa == 0:
            return None
        digits = abs(mantissa) if "abs" in read.how else mantissa
        return Dec(digits * 10 ** max(power, 0), max(-power, 0), at)

    def _integer(self, read: sbebind.Read, number: int, at: int, kind: str, gone: Gone) -> Value | Gone:
        if read.unit is not None:
            unit = read.unit
            if unit == 0:
                word = _AUTO.get(len(str(abs(number))))
                if word is None:
                    raise RefusedError("range", at)
                unit = sbebind.NS[word]
            number *= unit
        elif "nonzero" in read.how and number == 0:
            return gone
        least, most = {"count": (0, INT32_MAX), "id": (0, INT64_MAX)}.get(kind, (-INT64_MAX, INT64_MAX))
        if not least <= number <= most:
            raise RefusedError("range", at)
        if kind == "checksum":
            return Checksum(read.how[0], number & 0xFFFFFFFF)  # venues give the 32 bits signed or unsigned
        return Id(number, False) if kind == "id" else number

    def _symbol(self, spot: sbebind.Spot, blocks: tuple[Block, ...]) -> str | None:
        raw, at = self._text(spot, blocks)
        if not raw:
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise RefusedError("utf8", at) from None
        return symbol(Place(text, at))

    def _text(self, spot: sbebind.Spot, blocks: tuple[Block, ...]) -> tuple[bytes, int]:
        block = self._block(spot, blocks)
        if spot.data is not None:
            at, raw = block.data.get(spot.data.name, (block.start, b""))
            return raw, at
        field = spot.field
        assert field is not None
        if self.frame.version < field.since:
            return b"", block.start
        at = block.start + field.offset
        return self.frame.raw[at : at + field.length].partition(b"\0")[0], at

    # ----- levels

    def sides(self, limit: int, whole: bool = False) -> Sides:
        """Both sides, in the order in which their errors count."""
        found = {
            name: self._column(name, limit, whole) for name in ("bid_price", "bid_qty", "ask_price", "ask_qty", "bid_count", "ask_count")
        }
        return Sides(*(self._levels(found, side) for side in ("bid", "ask")))

    def _levels(self, found: dict[str, list[Value | None]], side: str) -> tuple[Level, ...]:
        prices, qtys, counts = (found[f"{side}_{half}"] for half in ("price", "qty", "count"))
        most = max(len(prices), len(qtys))

        def at(column: list[Value | None], i: int) -> Value | None:
            return column[i] if i < len(column) else None

        return tuple(Level(_dec(at(prices, i)), _dec(at(qtys, i)), _whole(at(counts, i))) for i in range(most))

    def _column(self, name: str, limit: int, whole: bool) -> list[Value | None]:
        read = self.bound.reads.get(name)
        if read is None or read.spot is None:
            return []
        start = self.blocks[read.spot.depth - 1]
        group = read.spot.groups[-1]
        if group.name not in start.groups:
            if read.optional or name.endswith("count"):
                return []
            raise RefusedError("missing", start.start, name)
        values: list[Value | None] = []
        for entry in start.groups[group.name][:limit]:
            try:
                value = self._value(read, "count" if name.endswith("count") else "price", (*self.blocks[: read.spot.depth], entry))
            except RefusedError as error:
                raise RefusedError(error.code, error.offset, name) from None
            if isinstance(value, Gone) and not (value.allowed and not (whole and not name.endswith("count"))):
                raise RefusedError("missing", value.offset, name)
            values.append(None if isinstance(value, Gone) else value)
        return values


def _dec(value: Value | None) -> Dec | None:
    assert value is None or isinstance(value, Dec)
    return value


def _whole(value: Value | None) -> int | None:
    assert value is None or isinstance(value, int)
    return value
