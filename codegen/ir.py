"""The intermediate representation: what a schema or an exchange spec says, free of how it was written and of how it is spelled.

Parsers (`fbs`, `exchange`, `sbe`) produce it, `bind` closes its names per product, `reference` interprets it, `render` spells it.
Imports nothing of the project: it is the waist that keeps parsers and emitters apart.
All classes are frozen; every sequence is a tuple, so that an IR can be hashed, compared and written as a literal.
"""

from __future__ import annotations

from dataclasses import dataclass

# --------------------------------------------------------------------------- records (schema/records.fbs)


@dataclass(frozen=True, slots=True)
class EnumType:
    """A FlatBuffers enum: `values` are (name, number) in file order; `bit_flags`: numbers are bit positions."""

    name: str
    base: str  # FlatBuffers scalar name: ubyte, ushort, ...
    bit_flags: bool
    values: tuple[tuple[str, int], ...]
    doc: str
    line: int


@dataclass(frozen=True, slots=True)
class RecordField:
    """One member of a record, at a fixed offset.

    `scalar` is a FlatBuffers scalar name; `length` is 0 for a scalar, N for a fixed array of N.
    `kind` says what the value means: time, price, qty, id, integer, count, level_count, bool, enum, flags, exponent, index, pad.
    """

    name: str
    scalar: str
    length: int
    kind: str
    enum: str | None
    needed: bool
    offset: int
    size: int
    doc: str
    line: int


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record: `name` as in the schema (`AggTrade`), `word` as in specs and output (`aggtrade`), `number` from 1 in file order."""

    name: str
    word: str
    number: int
    fields: tuple[RecordField, ...]
    size: int
    doc: str
    line: int

    def field(self, name: str) -> RecordField | None:
        return next((f for f in self.fields if f.name == name), None)

    @property
    def levels(self) -> int:
        """How many a side has; 0: it is not made of levels."""
        price = self.field("bid_price")
        return price.length if price is not None else 0


@dataclass(frozen=True, slots=True)
class Records:
    """Everything `records.fbs` defines."""

    file: str
    enums: tuple[EnumType, ...]
    records: tuple[RecordType, ...]

    def record(self, word: str) -> RecordType | None:
        return next((r for r in self.records if r.word == word), None)

    def enum(self, name: str) -> EnumType:
        return next(e for e in self.enums if e.name == name)


# --------------------------------------------------------------------------- paths


@dataclass(frozen=True, slots=True)
class Key:
    """`.key`: a member of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`[n]` or `[-n]`: an element from the front (0 = first) or from the end (-1 = last)."""

    n: int


@dataclass(frozen=True, slots=True)
class Every:
    """`[*]` or, when `reverse`, `[-*]`: every element."""

    reverse: bool


@dataclass(frozen=True, slots=True)
class Find:
    """`[key=text]`: the first element whose member `key` is `text`."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Members:
    """`.$name`: every member of an object; its key becomes the capture `name`."""

    name: str


Step = Key | Index | Every | Find | Members


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value is. `element`: starts at `@`. No steps and not `element`: `.`, the frame itself."""

    element: bool
    steps: tuple[Step, ...]
    optional: bool
    source: str  # as written


# --------------------------------------------------------------------------- texts: templates and patterns


@dataclass(frozen=True, slots=True)
class Lit:
    text: str


@dataclass(frozen=True, slots=True)
class Ref:
    """`$name` or `${name:lower}`."""

    name: str
    lower: bool


@dataclass(frozen=True, slots=True)
class Star:
    """`*` inside a pattern: any run of characters."""


@dataclass(frozen=True, slots=True)
class Text:
    """Template when sent, pattern when matched. `parts` empty = "" (absent). A lone Star = any present value."""

    parts: tuple[Lit | Ref | Star, ...]
    source: str

    @property
    def absent(self) -> bool:
        return not self.parts

    @property
    def any(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], Star)


@dataclass(frozen=True, slots=True)
class Match:
    """One entry of `match`: the value at `path` fits one of `patterns` (tried in order), and none of `excluded`, which hold no captures.

    `offline`: asked only where frames of several products may be mixed, not on a connection, whose address says the product.
    """

    path: Path
    patterns: tuple[Text, ...]
    line: int
    excluded: tuple[Text, ...] = ()
    offline: bool = False


# --------------------------------------------------------------------------- sources: how a field gets its value


@dataclass(frozen=True, slots=True)
class FromPath:
    """The value at `path`, read by the field's own type. `word`: s ms us ns iso auto e-4 abs negative nonzero, or a checksum rule."""

    path: Path
    word: str | None


@dataclass(frozen=True, slots=True)
class FromMap:
    """The value at `path` as written, mapped. `default` is the `"*"` entry. A result of None is `""`: absent.

    Results keep their TOML type, so that `true` and `"true"` stay apart.
    """

    path: Path
    entries: tuple[tuple[str, str | bool | int | None], ...]
    default: tuple[str | bool | int | None] | None  # 1-tuple, or None when the map has no "*"


@dataclass(frozen=True, slots=True)
class FromText:
    """`=text`: a constant. Empty text: the venue does not give this field."""

    text: str


@dataclass(frozen=True, slots=True)
class FromName:
    """`$name`: a known name or a capture."""

    name: str


@dataclass(frozen=True, slots=True)
class FromFirst:
    """The first of several sources that is not absent."""

    sources: tuple[FromPath | FromMap | FromText | FromName, ...]


Source = FromPath | FromMap | FromText | FromName | FromFirst


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    source: Source
    line: int


# --------------------------------------------------------------------------- SBE schemas


@dataclass(frozen=True, slots=True)
class SbeEnum:
    """`values` are (name, number); of a char enum the numbers are the bytes."""

    name: str
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SbeSize:
    """An unsigned number that says how much follows: `primitive` at `offset` of its composite."""

    primitive: str
    offset: int


@dataclass(frozen=True, slots=True)
class SbeField:
    """A fixed value of a block, composites taken apart: `price.mantissa`.

    `length` 0: one value, N: an array of N. `text`: an array that holds characters. `null`: the number that means absent, where the schema
    lets it be. `constant`: not on the wire. `bit`: a choice of a set. `exponent`: a field, of this block or one around it, or a number: the
    value is then a decimal. `since`: the first version that has it.
    """

    name: str
    primitive: str
    offset: int
    length: int = 0
    text: bool = False
    null: int | None = None
    constant: int | str | None = None
    enum: str | None = None
    bit: int | None = None
    exponent: str | int | None = None
    since: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class SbeData:
    """Bytes of varying length behind the groups: `header` bytes, of which `length` says how many follow."""

    name: str
    header: int
    length: SbeSize
    since: int
    line: int


@dataclass(frozen=True, slots=True)
class SbeBlock:
    """What a message, and each entry of a group, is made of, in this order.

    `lengths`: (version, bytes): from that version on the fixed part has at least so many; the first is (0, n).
    """

    lengths: tuple[tuple[int, int], ...]
    block_length: int
    fields: tuple[SbeField, ...]
    groups: tuple[SbeGroup, ...]
    data: tuple[SbeData, ...]

    def field(self, name: str) -> SbeField | None:
        return next((f for f in self.fields if f.name == name), None)

    def group(self, name: str) -> SbeGroup | None:
        return next((g for g in self.groups if g.name == name), None)


@dataclass(frozen=True, slots=True)
class SbeGroup:
    """A repeated block; its dimensions are a composite of `header` bytes."""

    name: str
    header: int
    block: SbeSize
    count: SbeSize
    body: SbeBlock
    since: int
    line: int


@dataclass(frozen=True, slots=True)
class SbeMessage:
    name: str
    id: int
    body: SbeBlock
    line: int


@dataclass(frozen=True, slots=True)
class SbeSchema:
    """An SBE schema. The header is a composite of `header` bytes that holds the four sizes."""

    name: str
    file: str
    id: int
    version: int
    big_endian: bool
    header: int
    block: SbeSize
    template: SbeSize
    schema: SbeSize
    acting: SbeSize
    enums: tuple[SbeEnum, ...]
    messages: tuple[SbeMessage, ...]

    def message(self, name: str) -> SbeMessage | None:
        return next((m for m in self.messages if m.name == name), None)

    def enum(self, name: str) -> SbeEnum:
        return next(e for e in self.enums if e.name == name)


# --------------------------------------------------------------------------- the exchange


@dataclass(frozen=True, slots=True)
class Example:
    """A frame in exact wire form (hex where the message has a `template`) and every record it gives; `expect` holds (field, value) pairs,
    values as TOML gave them."""

    wire: str
    expect: tuple[tuple[tuple[str, object], ...], ...]
    product: str
    line: int


@dataclass(frozen=True, slots=True)
class Message:
    """One thing the venue says. `products` is never empty (default: all of the exchange). `template`: an SBE message, by its name there.

    `silence_s`: how long its stream is quiet at most; None: as long as it likes. `weight`: what fetching it counts.
    """

    records: tuple[str, ...]
    products: tuple[str, ...]
    channel: Text | None
    vars: tuple[tuple[str, str], ...]
    match: tuple[Match, ...]
    each: tuple[Path, ...]
    fields: tuple[Field, ...]
    order: str | None
    url: Text | None
    send: Text | None
    examples: tuple[Example, ...]
    line: int
    template: str | None = None
    silence_s: float | None = None
    weight: int = 1

    @property
    def record(self) -> str:
        return self.records[0]

    @property
    def reason(self) -> str:
        """Why a frame that this message takes gives no record; "" for a market message."""
        if self.record in MARKET_RECORDS:
            return ""
        return "dropped_class" if self.record == "dropped" else self.record

    @property
    def json(self) -> bool:
        """Whether it comes as a text frame: neither fetched nor SBE."""
        return self.url is None and self.template is None

    @property
    def transport(self) -> str:
        """What brings it: "json", "sbe", or "" where it is fetched."""
        return "" if self.url is not None else "json" if self.template is None else "sbe"

    def frame(self, example: Example) -> bytes:
        """An example of it as it comes."""
        return example.wire.encode() if self.template is None else bytes.fromhex(example.wire)

    def field(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    @property
    def book(self) -> bool:
        """It changes a book, or replaces one, and what it gives is cut from that."""
        return self.field("snapshot") is not None

    @property
    def waits(self) -> bool:
        """A book's changes alone: its snapshots come by another message."""
        snapshot = self.field("snapshot")
        return self.url is None and snapshot is not None and snapshot.source == FromText("false")


@dataclass(frozen=True, slots=True)
class Request:
    """`subscribe` or `unsubscribe`."""

    send: Text
    arg: Text | None
    line: int


@dataclass(frozen=True, slots=True)
class Ping:
    """`send` None: a WebSocket ping. `every_s` None: the venue asks for none."""

    send: Text | None
    every_s: float | None
    line: int


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. Rates are (count, seconds) pairs; that of `weight` counts what fetched messages weigh."""

    silence_s: float | None = None
    age_s: float | None = None
    streams: int | None = None
    args: int | None = None
    bytes: int | None = None
    requests: tuple[tuple[int, float], ...] = ()
    connects: tuple[tuple[int, float], ...] = ()
    subscribes: tuple[tuple[int, float], ...] = ()
    weight: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Manners of a connection, complete per product (top-level session with the product's overrides applied)."""

    subscribe: Request | None
    unsubscribe: Request | None
    ping: Ping | None
    limits: Limits
    encoding: str | None


@dataclass(frozen=True, slots=True)
class Sbe:
    """The SBE endpoint of a product: `schema` is the name of one of the exchange's; `headers` go with the upgrade request."""

    schema: str
    url: Text
    headers: tuple[tuple[str, Text], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Product:
    name: str
    url: Text
    vars: tuple[tuple[str, str], ...]
    session: Session
    line: int
    sbe: Sbe | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    file: str
    products: tuple[Product, ...]
    messages: tuple[Message, ...]
    schemas: tuple[SbeSchema, ...] = ()

    def schema(self, product: Product) -> SbeSchema | None:
        """The SBE schema of a product."""
        return next((s for s in self.schemas if product.sbe is not None and s.name == product.sbe.schema), None)

    def product(self, name: str) -> Product | None:
        return next((p for p in self.products if p.name == name), None)


MARKET_RECORDS = ("bbo", "trade", "aggtrade", "depth5", "depth20")
CONTROL_RECORDS = ("ack", "error", "pong", "ping", "notice", "control", "dropped")
FETCHED_RECORDS = ("instrument", "vars")

# Bytes of the primitive types of SBE 1.0.
SBE_SIZES = {
    "char": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "float": 4,
    "double": 8,
}
