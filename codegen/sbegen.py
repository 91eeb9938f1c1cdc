"""The SBE decoders of an exchange as C: for each product with a schema one walk per template, then the messages bound to it.

This module numbers the blocks and says what each field is read from; templates/sbe*.j2 spell it with csrc/k4_sbe.h. May import `bind`,
`fields`, `ir`, `render`, `sbebind`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import fields, ir, sbebind
from .bind import bind
from .render import book_function, identifier, render

_SIDES = ("bid", "ask")


@dataclass(frozen=True, slots=True)
class BlockModel:
    """A block of a template, numbered from 0, the message's own. `nested`: it has groups or data, which the walk leaves in a struct."""

    number: int
    body: ir.SbeBlock
    groups: tuple[tuple[ir.SbeGroup, BlockModel], ...]

    @property
    def nested(self) -> bool:
        return bool(self.groups or self.body.data)

    @property
    def all(self) -> tuple[BlockModel, ...]:
        """This one and all below it, the deepest first."""
        return (*(block for _, inner in self.groups for block in inner.all), self)


@dataclass(frozen=True, slots=True)
class SpotModel:
    """A value: in the block numbered `block`; data by its position there."""

    block: int
    field: ir.SbeField | None
    data: int | None
    since: int
    exponent: SpotModel | int | None

    @property
    def sure(self) -> bool:
        """Whether it is there in every frame."""
        own = self.since == 0 and (self.field is None or self.field.null is None or self.field.bit is not None)
        return own and (not isinstance(self.exponent, SpotModel) or self.exponent.sure)


@dataclass(frozen=True, slots=True)
class ReadModel:
    rule: fields.FieldRule
    given: bool  # the spec names a source
    read: sbebind.Read
    spot: SpotModel | None

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def sure(self) -> bool:
        """Whether it has a value in every frame."""
        return self.spot is not None and self.spot.sure and "nonzero" not in self.read.how

    @property
    def left_out(self) -> bool:
        return self.given and self.read == sbebind.Read(None)


@dataclass(frozen=True, slots=True)
class SideModel:
    """The levels of one side: entries of group number `group` of block `holder`."""

    side: str
    holder: int
    group: int
    block: BlockModel
    since: int
    columns: tuple[ReadModel, ...]


@dataclass(frozen=True, slots=True)
class StepModel:
    """One group on the way to the elements: number `group` of block `holder`, its entries, and the group inside them."""

    holder: int
    group: int
    block: BlockModel
    inner: StepModel | None


@dataclass(frozen=True, slots=True)
class MessageModel:
    """`blocks`: the message's own, and those on the `way` to an element. `book`: the function that cuts its records out of a book, "" where
    it keeps none; `holds`: that book's snapshots are fetched; `kept`: what only a book takes."""

    index: int
    message: ir.Message
    blocks: tuple[BlockModel, ...]
    way: StepModel | None
    records: tuple[ir.RecordType, ...]
    record: ir.RecordType | None  # of several: the one with the most levels
    levels: int
    scalars: tuple[ReadModel, ...]
    sides: tuple[SideModel, ...]
    book: str
    book_record: str  # whose books they are
    holds: bool
    kept: tuple[ReadModel, ...]

    @property
    def decimals(self) -> dict[str, tuple[ReadModel, ...]]:
        """Prices and quantities, levels' included, in record order."""
        columns = [column for side in self.sides for column in side.columns]
        return {kind: tuple(one for one in (*self.scalars, *columns) if one.rule.kind == kind) for kind in ("price", "qty")}

    @property
    def all_decimals(self) -> tuple[ReadModel, ...]:
        return (*self.decimals["price"], *self.decimals["qty"])

    @property
    def quick(self) -> bool:
        """Whether all decimals of a kind have one exponent and are always there: as a rule their mantissas are the record's."""
        flat = len(self.sides) in (0, 2) and not any(side.block.nested or side.since for side in self.sides)
        counted = any(column.spot for side in self.sides for column in side.columns if column.rule.kind == "count")
        kinds = self.decimals.values()
        if self.levels and not self.book and not all(record.field("bid_levels") for record in self.records):
            return False
        return flat and not counted and self.levels * 2 == self.levels * len(self.sides) and all(ones and _even(ones) for ones in kinds)

    @property
    def plain_scalars(self) -> tuple[ReadModel, ...]:
        """What is given beside the symbol and decimals."""
        return tuple(one for one in self.scalars if one.given and one.rule.kind not in ("symbol", "price", "qty"))

    @property
    def plain(self) -> bool:
        """Whether a frame without groups that is just as the schema has it is copied: everything is always there, at one place."""
        symbol = self.scalar("symbol")
        if not self.record or len(self.records) > 1 or self.levels or len(self.blocks) > 1 or not self.quick:
            return False
        root = self.blocks[0]
        if (
            root.groups
            or len(root.body.data) != 1
            or symbol is None
            or symbol.spot is None
            or symbol.spot.data is None
            or symbol.spot.since
        ):
            return False
        return all(_copied(one) for one in self.plain_scalars) and not any(
            one.rule.needed and not one.given for one in self.scalars if one.rule.kind not in ("symbol", "price", "qty")
        )

    def scalar(self, name: str) -> ReadModel | None:
        return next((one for one in self.scalars if one.name == name), None)


def _even(ones: tuple[ReadModel, ...]) -> bool:
    plain = all(one.sure and one.spot and one.spot.field and one.spot.field.primitive != "uint64" and not one.read.how for one in ones)
    return plain and len({(one.spot.exponent if one.spot else None, one.read.shift) for one in ones}) == 1


def _copied(one: ReadModel) -> bool:
    """A number of the wire that is the record's, or a time in a fixed unit."""
    spot = one.spot
    if spot is None or spot.field is None or not one.sure or one.read.numbers is not None or one.read.how or one.read.unit == 0:
        return False
    plain = spot.field.constant is None and spot.field.bit is None and not spot.field.length and spot.field.primitive != "uint64"
    return plain and one.name not in ("backfill", "reset") and one.rule.kind in ("time", "integer", "id")


@dataclass(frozen=True, slots=True)
class PlainModel:
    """Where everything is in a frame that is to the byte what the schema says: header, block, and the symbol behind them."""

    message: MessageModel
    schema: ir.SbeSchema
    template: ir.SbeMessage

    @property
    def head(self) -> list[int]:
        """The header's bytes."""
        schema, out = self.schema, bytearray(self.schema.header)
        for size, number in (
            (schema.block, self.template.body.block_length),
            (schema.template, self.template.id),
            (schema.schema, schema.id),
            (schema.acting, schema.version),
        ):
            width = ir.SBE_SIZES[size.primitive]
            out[size.offset : size.offset + width] = number.to_bytes(width, "big" if schema.big_endian else "little")
        return list(out)

    @property
    def length(self) -> ir.SbeSize:
        """The symbol's length, from the frame's first byte on."""
        length = self.template.body.data[0].length
        return replace(length, offset=self.schema.header + self.template.body.block_length + length.offset)

    @property
    def symbol_at(self) -> int:
        return self.schema.header + self.template.body.block_length + self.template.body.data[0].header

    def at(self, spot: SpotModel) -> int:
        assert spot.field is not None
        return self.schema.header + spot.field.offset

    def own(self, name: str) -> bool:
        """Whether a field's value is read from the frame."""
        return any(one.name == name for one in (*self.message.all_decimals, *self.message.plain_scalars))


@dataclass(frozen=True, slots=True)
class TemplateModel:
    number: int
    template: ir.SbeMessage
    root: BlockModel
    messages: tuple[MessageModel, ...]

    def plain(self, schema: ir.SbeSchema) -> PlainModel | None:
        """How frames of a template with one message are copied where they are as the schema has them."""
        sizes = (schema.block, schema.template, schema.schema, schema.acting)
        whole = sum(ir.SBE_SIZES[size.primitive] for size in sizes) == schema.header
        if not whole or len(self.messages) != 1 or not self.messages[0].plain:
            return None
        return PlainModel(self.messages[0], schema, self.template)


@dataclass(frozen=True, slots=True)
class ProductModel:
    name: str
    ident: str
    schema: ir.SbeSchema
    templates: tuple[TemplateModel, ...]


def render_exchange(exchange: ir.Exchange, records: ir.Records) -> str | None:
    """The text of `k4_<exchange>_sbe.c`; None: no product of it speaks SBE. The exchange must be valid."""
    products = [
        _Builder(exchange, product, schema, records).build()
        for product in exchange.products
        if (schema := exchange.schema(product)) is not None
    ]
    if not products:
        return None
    used = [r for r in records.records if any(r in m.records for p in products for t in p.templates for m in t.messages)]
    return render(
        "sbe.c.j2",
        exchange=exchange.name,
        ident=identifier(exchange.name),
        sources=[records.file, exchange.file, *dict.fromkeys(p.schema.file for p in products)],
        records=used,
        products=products,
        books=list({m.book: m for p in products for t in p.templates for m in t.messages if m.book}.values()),
    )


class _Builder:
    def __init__(self, exchange: ir.Exchange, product: ir.Product, schema: ir.SbeSchema, records: ir.Records) -> None:
        self.records = records
        self.exchange = exchange.name
        self.product = product
        self.schema = schema
        self.table = table = bind(exchange, product.name)
        self.bound = sbebind.bind_all(table, schema, records)

    def build(self) -> ProductModel:
        templates: list[TemplateModel] = []
        for template in dict.fromkeys(bound.template for bound in self.bound):
            root = _block(template.body, iter(range(1 << 16)))
            messages = tuple(self._message(bound, root) for bound in self.bound if bound.template == template)
            templates.append(TemplateModel(len(templates), template, root, messages))
        return ProductModel(self.product.name, identifier(self.product.name), self.schema, tuple(templates))

    def _message(self, bound: sbebind.Bound, root: BlockModel) -> MessageModel:
        market = tuple(record for word in bound.message.records if (record := self.records.record(word)) is not None)
        deepest = max(market, key=lambda record: record.levels, default=None)
        blocks = [root]
        for group in bound.each:
            blocks.append(next(inner for one, inner in blocks[-1].groups if one == group))
        scalars: list[ReadModel] = []
        kept: list[ReadModel] = []
        sides: list[SideModel] = []
        book = bound.message.book
        if deepest is not None:
            levels = deepest.levels
            rules = [rule for rule in fields.rules(deepest.word, self.records) if not (levels and rule.level)]
            scalars = [self._read(bound, root, rule) for rule in rules if not rule.kept]
            kept = [self._read(bound, root, rule) for rule in rules if rule.kept and book]
            sides = [side for name in _SIDES if levels and (side := self._side(bound, root, name, deepest)) is not None]
        return MessageModel(
            bound.index,
            bound.message,
            tuple(blocks),
            _way(root, bound.each),
            market,
            deepest,
            deepest.levels if deepest else 0,
            tuple(scalars),
            tuple(sides),
            book_function(self.exchange, bound.message.line, bound.index) if book else "",
            fields.book_of(self.table, bound.message) if book else "",
            bound.message.waits,
            tuple(kept),
        )

    def _read(self, bound: sbebind.Bound, root: BlockModel, rule: fields.FieldRule) -> ReadModel:
        read = bound.reads.get(rule.name)
        given = read is not None
        read = read or sbebind.Read(None)
        return ReadModel(rule, given, read, None if read.spot is None else _spot(root, read.spot))

    def _side(self, bound: sbebind.Bound, root: BlockModel, side: str, record: ir.RecordType) -> SideModel | None:
        rules = {rule.name: rule for rule in fields.rules(record.word, self.records)}
        columns = tuple(self._read(bound, root, rules[f"{side}_{half}"]) for half in ("price", "qty", "count"))
        spot = next((column.read.spot for column in columns if column.read.spot is not None), None)
        if spot is None:
            return None
        holder = _down(root, spot.groups[:-1])
        number, block = next((i, inner) for i, (one, inner) in enumerate(holder.groups) if one == spot.groups[-1])
        return SideModel(side, holder.number, number, block, spot.groups[-1].since, columns)


def _block(body: ir.SbeBlock, numbers: Iterator[int]) -> BlockModel:
    number = next(numbers)
    return BlockModel(number, body, tuple((group, _block(group.body, numbers)) for group in body.groups))


def _way(root: BlockModel, groups: tuple[ir.SbeGroup, ...]) -> StepModel | None:
    if not groups:
        return None
    number, block = next((i, inner) for i, (one, inner) in enumerate(root.groups) if one == groups[0])
    return StepModel(root.number, number, block, _way(block, groups[1:]))


def _down(root: BlockModel, groups: tuple[ir.SbeGroup, ...]) -> BlockModel:
    for group in groups:
        root = next(inner for one, inner in root.groups if one == group)
    return root


def _spot(root: BlockModel, spot: sbebind.Spot) -> SpotModel:
    block = _down(root, spot.groups)
    exponent = _spot(root, spot.exponent) if isinstance(spot.exponent, sbebind.Spot) else spot.exponent
    if spot.data is not None:
        return SpotModel(block.number, None, block.body.data.index(spot.data), spot.data.since, None)
    assert spot.field is not None
    return SpotModel(block.number, spot.field, None, spot.field.since, exponent)
