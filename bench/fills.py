"""What a decoder on top of a general JSON reader does for the messages of a product: what it looks up, in which order, what it fills.

From this model templates of `bench/templates` spell peers that fill the very structs K4 fills, as somebody would write them by hand for
these messages alone: one tree of lookups per product, keys in the order of the examples, each looked up once; what several messages
begin with is looked up before they are told apart, and asked is only what tells them apart. May import `k4._codegen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path

import jinja2

from k4._codegen import bind, fields, ir, refjson

TEMPLATES = Path(__file__).resolve().parent / "templates"
NUMBERS = ("price", "qty")


class FillError(Exception):
    """A message that the peers have no words for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A value as an example has it: the how many-th of its container, and its JSON type."""

    position: int
    kind: str


@dataclass(eq=False, slots=True)
class Node:
    """A place in a frame. `seen`: by message, where its examples have it. `shared`: looked up before messages are told apart. `optional`:
    some message may lack it."""

    number: int
    parent: Node | None
    step: ir.Step | None  # None: the root, or the first of `either` that is there
    either: tuple[Node, ...] = ()
    children: list[Node] = field(default_factory=list)
    seen: dict[int, Seen] = field(default_factory=dict)
    shared: bool = False
    optional: bool = False

    @property
    def var(self) -> str:
        return f"v{self.number}"

    @property
    def key(self) -> str:
        assert isinstance(self.step, ir.Key)
        return self.step.name

    @property
    def index(self) -> int:
        assert isinstance(self.step, ir.Index)
        return self.step.n

    @property
    def loop(self) -> bool:
        return isinstance(self.step, ir.Every)


@dataclass(frozen=True, slots=True)
class Block:
    """Lookups in one container: `keys` and `indexes` in order; `either`: what stands for the first of several places that is there."""

    node: Node
    keys: tuple[Node, ...]
    indexes: tuple[Node, ...]
    either: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Affix:
    """A text that begins and ends so; `whole`: it is `head` and no more. `kind`: the JSON type of the value that is compared."""

    head: str
    tail: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `affixes` fits the value at `node`. `places`: all paths it may have; `absent`: there may be none."""

    node: Node
    kind: str
    affixes: tuple[Affix, ...]
    places: frozenset[tuple[ir.Step, ...]]
    absent: bool


@dataclass(frozen=True, slots=True)
class Source:
    """`how`: number, text, literal (the JSON type), map, constant or affix (a part of a text, without `cut` bytes at its ends)."""

    how: str
    node: Node | None
    optional: bool = False
    word: str = ""
    kind: str = ""
    entries: tuple[tuple[str, object], ...] = ()
    constant: object = None
    cut: tuple[int, int] = (0, 0)
    lower: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A field: the first of `sources` that is there."""

    name: str
    kind: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """The levels of a side. `rows`: the array, `row`: a level; the parts of it, None where the venue gives none."""

    name: str
    rows: Node
    row: Node
    price: Source
    qty: Source
    count: Source | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """A message. `record`: what it fills; `book`: an update of a book instead. `each`: the loop over elements, and whether from the last.

    `given`: variables looked up before; `before` and `inside`: lookups at the root and in each element.
    """

    number: int
    record: str
    book: bool
    conditions: tuple[Condition, ...]
    given: tuple[Node, ...]
    before: tuple[Block, ...]
    each: Node | None
    inside: tuple[Block, ...]
    values: dict[str, Value]
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """`name`: as part of a C name. `head`: lookups before the messages are told apart."""

    exchange: str
    product: str
    name: str
    head: tuple[Block, ...]
    fills: tuple[Fill, ...]


def render(template: str, products: Sequence[Product]) -> str:
    """The text of a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(products=products)


def name_of(exchange: str, product: str) -> str:
    """Of what is generated for a product."""
    return "".join(c if c.isalnum() else "_" for c in f"{exchange}_{product}")


def model(exchange: ir.Exchange, place: ir.Product, records: ir.Records) -> Product:
    """What is filled for all market data that can be subscribed in a product. Raises FillError."""
    messages = bind.bind(exchange, place.name)
    told = [(i, m) for i, m in enumerate(messages) if m.channel is not None and m.record in ir.MARKET_RECORDS and m.template is None]
    builder = _Builder(records)
    drafts = [builder.message(i, message, place.name) for i, message in told]
    asked = {draft.number: _told_apart(draft, [other for other in drafts if other is not draft]) for draft in drafts}
    builder.share(drafts, [one.node for conditions in asked.values() for one in conditions])
    fills = tuple(builder.fill(draft, asked[draft.number]) for draft in drafts)
    return Product(exchange.name, place.name, name_of(exchange.name, place.name), builder.head(), fills)


# --------------------------------------------------------------------------- what tells messages apart


def _told_apart(draft: _Draft, others: Sequence[_Draft]) -> tuple[Condition, ...]:
    """As few of a message's conditions as exclude all others. Raises FillError."""
    for count in range(len(draft.conditions) + 1):
        for some in combinations(draft.conditions, count):
            if all(any(_differ(mine, theirs) for mine, theirs in product(some, other.conditions)) for other in others):
                return some
    raise FillError("nothing tells its messages apart but what is absent")


def _differ(one: Condition, other: Condition) -> bool:
    if not one.places & other.places or (one.absent and other.absent):
        return False
    return not any(_both(a, b) for a, b in product(one.affixes, other.affixes))


def _both(a: Affix, b: Affix) -> bool:
    """Whether a text can fit both."""
    if a.whole or b.whole:
        text, affix = (a.head, b) if a.whole else (b.head, a)
        return text == affix.head if affix.whole else text.startswith(affix.head) and text.endswith(affix.tail)
    return (a.head.startswith(b.head) or b.head.startswith(a.head)) and (a.tail.endswith(b.tail) or b.tail.endswith(a.tail))


# --------------------------------------------------------------------------- building


@dataclass(frozen=True, slots=True)
class _Draft:
    number: int
    message: ir.Message
    at: Node
    conditions: tuple[Condition, ...]
    values: dict[str, Value]
    sides: tuple[tuple[str, Node, Source, Source, Source | None], ...]


class _Builder:
    """The tree of one product."""

    def __init__(self, records: ir.Records) -> None:
        self.records = records
        self.nodes: list[Node] = []
        self.root = self._node(None, None)

    def _node(self, parent: Node | None, step: ir.Step | None, either: tuple[Node, ...] = ()) -> Node:
        node = Node(len(self.nodes), parent, step, either)
        self.nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        return node

    def node(self, steps: Sequence[ir.Step], start: Node) -> Node:
        for step in steps:
            if not isinstance(step, ir.Key | ir.Every) and not (isinstance(step, ir.Index) and step.n >= 0):
                raise FillError(f"a step {type(step).__name__}")
            start = next((child for child in start.children if child.step == step), None) or self._node(start, step)
        return start

    def message(self, number: int, message: ir.Message, place: str) -> _Draft:
        at = self._element(message.each)
        examples = sorted(message.examples, key=lambda example: example.product != place)  # its own say the order of keys
        conditions = [(match, self.node(match.path.steps, at if match.path.element else self.root)) for match in message.match]
        record = next(record for word in reversed(message.records) if (record := self.records.record(word)) is not None)
        rules = [rule for rule in fields.rules(record.word, self.records) if not rule.level]
        paths = {rule.name: self._paths(message, rule.name, at) for rule in rules}
        sides = [self._columns(message, name, at) for name in ("bid", "ask")] if fields.is_depth(record.word) else []
        for example in examples:
            self._look(self.root, refjson.parse(example.wire.encode()), number, 0)
        texts = tuple(self._condition(match, node, message, number) for match, node in conditions if not match.offline)
        values = {rule.name: value for rule in rules if (value := self._value(rule, paths[rule.name], message, number)) is not None}
        lists = tuple(self._side(name, columns, number) for name, columns in zip(("bid", "ask"), sides, strict=False))
        return _Draft(number, message, at, tuple(text for text in texts if text is not None), values, lists)

    def _element(self, each: tuple[ir.Path, ...]) -> Node:
        nodes = tuple(self.node(path.steps, self.root) for path in each)
        if len(nodes) < 2:
            return nodes[0] if nodes else self.root
        if any(node.loop for node in nodes):
            raise FillError("several lists of elements")
        for node in nodes:
            node.optional = True
        known = next((child for child in self.root.children if child.either == nodes), None)
        return known or self._node(self.root, None, nodes)

    def _paths(self, message: ir.Message, name: str, at: Node) -> list[Node | None]:
        found = message.field(name)
        source = None if found is None else found.source
        sources = source.sources if isinstance(source, ir.FromFirst) else (source,)
        return [
            self.node(one.path.steps, at if one.path.element else self.root) if isinstance(one, ir.FromPath | ir.FromMap) else None
            for one in sources
        ]

    def _look(self, node: Node, value: refjson.Node | None, number: int, position: int) -> None:
        """Says of every place what an example has there."""
        if value is None or value.kind == refjson.NULL:
            return
        node.seen.setdefault(number, Seen(position, value.kind))
        if node.seen[number].kind != value.kind:
            raise FillError("a value that is now of one type, now of another")
        for child in node.children:
            for at, found in self._below(child, value):
                self._look(child, found, number, at)

    def _below(self, child: Node, value: refjson.Node) -> Iterator[tuple[int, refjson.Node]]:
        if isinstance(child.step, ir.Key):
            yield from ((i, member.value) for i, member in enumerate(value.members) if member.key == child.key)
        elif isinstance(child.step, ir.Index):
            yield from ((i, item) for i, item in enumerate(value.items) if i == child.index)
        elif child.loop:
            yield from ((0, item) for item in value.items)
        else:  # the first place of several that is there
            wrapped = next((member.value for one in child.either if one.step for member in value.named(one.key)), value)
            yield len(value.members), wrapped

    def _condition(self, match: ir.Match, node: Node, message: ir.Message, number: int) -> Condition | None:
        """None: it asks for what is absent, or fits any text, or no example has it."""
        absent = any(pattern.absent for pattern in match.patterns)
        node.optional |= absent
        affixes = [affix for pattern in match.patterns if (affix := _affix(pattern)) is not None]
        if number not in node.seen or len(affixes) + absent != len({p.source for p in match.patterns}) or not affixes:
            return None
        starts = [path.steps for path in message.each or (ir.Path(False, (), False, "."),)] if match.path.element else [()]
        places = frozenset((*start, *match.path.steps) for start in starts)
        return Condition(node, node.seen[number].kind, tuple(affixes), places, absent)

    # ---- values

    def _value(self, rule: fields.FieldRule, paths: list[Node | None], message: ir.Message, number: int) -> Value | None:
        found = message.field(rule.name)
        if found is None:
            return self._captured(rule, message)
        sources = found.source.sources if isinstance(found.source, ir.FromFirst) else (found.source,)
        made = [self._source(rule, one, node, number) for one, node in zip(sources, paths, strict=True)]
        there = tuple(one for one in made if one is not None)
        return Value(rule.name, rule.kind, there) if there else None

    def _captured(self, rule: fields.FieldRule, message: ir.Message) -> Value | None:
        """A symbol that stands in a text beside others."""
        if rule.name != "symbol":
            return None
        for match in message.match:
            for pattern in match.patterns:
                affix = _affix(pattern)
                ref = next((part for part in pattern.parts if isinstance(part, ir.Ref) and part.name == "symbol"), None)
                if affix is not None and ref is not None:
                    cut = (len(affix.head), len(affix.tail))
                    node = self.node(match.path.steps, self.root)
                    return Value("symbol", "symbol", (Source("affix", node, cut=cut, lower=ref.lower),))
        raise FillError("a symbol that does not stand in the frame")

    def _source(self, rule: fields.FieldRule, source: ir.Source, node: Node | None, number: int) -> Source | None:
        """None: no example has it."""
        if isinstance(source, ir.FromText):
            return Source("constant", None, constant=_result(rule, source.text)) if source.text else None
        if node is None:
            raise FillError(f"{rule.name} from {type(source).__name__}")
        if number not in node.seen:
            return None
        kind = node.seen[number].kind
        assert isinstance(source, ir.FromPath | ir.FromMap)
        self._lacking(source.path, node)
        if isinstance(source, ir.FromPath):
            if source.word in ("iso", "abs", "negative", "nonzero") or (source.word or "").startswith("e"):
                raise FillError(f"the word {source.word}")
            return Source(kind, node, source.path.optional, source.word or "", kind)
        entries = [(text, _result(rule, result)) for text, result in source.entries]
        if source.default is not None:
            entries.append(("*", _result(rule, source.default[0])))
        return Source("map", node, source.path.optional, "", kind, tuple(entries))

    def _lacking(self, path: ir.Path, node: Node) -> None:
        """Marks what an optional path may lack: its last key, and elements of a list."""
        leaf: Node | None = node
        while path.optional and leaf is not None and (leaf is node or isinstance(leaf.step, ir.Index)):
            leaf.optional = True
            leaf = leaf.parent

    def _columns(self, message: ir.Message, name: str, at: Node) -> tuple[tuple[ir.Path, Node] | None, ...]:
        out: list[tuple[ir.Path, Node] | None] = []
        for half in ("price", "qty", "count"):
            found = message.field(f"{name}_{half}")
            if found is None:
                out.append(None)
            elif isinstance(found.source, ir.FromPath) and found.source.word is None:
                path = found.source.path
                out.append((path, self.node(path.steps, at if path.element else self.root)))
            else:
                raise FillError(f"{name}_{half}")
        return tuple(out)

    def _side(
        self, name: str, columns: tuple[tuple[ir.Path, Node] | None, ...], number: int
    ) -> tuple[str, Node, Source, Source, Source | None]:
        sources = [
            None if one is None or number not in one[1].seen else Source(one[1].seen[number].kind, one[1], kind=one[1].seen[number].kind)
            for one in columns
        ]
        price, qty, count = sources
        if price is None or qty is None or price.node is None or price.node.parent is None or not price.node.parent.loop:
            raise FillError("levels of another form than [price, qty, …]")
        return name, price.node.parent, price, qty, count

    # ---- lookups

    def share(self, drafts: Sequence[_Draft], asked: Sequence[Node]) -> None:
        """Marks what all messages look up outside of lists, and what tells them apart, with all on the way there."""
        common = set.intersection(*(set(_used(draft)) for draft in drafts))
        for node in _with_way([*asked, *common]):
            node.shared = not _in_list(node)

    def head(self) -> tuple[Block, ...]:
        return tuple(_blocks(self.root, lambda node: node.shared, lambda node: min((s.position for s in node.seen.values()), default=0)))

    def fill(self, draft: _Draft, asked: tuple[Condition, ...]) -> Fill:
        number = draft.number
        used = _used(draft)

        def wanted(node: Node) -> bool:
            return node in used and number in node.seen and not node.shared

        def order(node: Node) -> int:
            return node.seen[number].position

        sides = []
        for name, row, price, qty, count in draft.sides:
            cells = tuple(sorted((cell for cell in row.children if cell in used and number in cell.seen), key=order))
            keys = tuple(cell for cell in cells if isinstance(cell.step, ir.Key))
            indexes = tuple(cell for cell in cells if isinstance(cell.step, ir.Index))
            assert row.parent is not None
            sides.append(Side(name, row.parent, row, price, qty, count, (Block(row, keys, indexes, ()),)))
        sides.sort(key=lambda side: order(side.rows))
        each = draft.at if draft.at.loop else None
        before = tuple(_blocks(self.root, wanted, order))
        inside = tuple(_blocks(each, wanted, order)) if each is not None else ()
        leaves = [one.node for value in draft.values.values() for one in value.sources]
        named = [*leaves, *(block.node for block in before), *(side.rows for side in sides), each and each.parent]
        return Fill(
            number,
            draft.message.records[-1],
            draft.message.field("snapshot") is not None,
            asked,
            tuple(node for node in used if node.shared and node in named),
            before,
            each,
            inside,
            draft.values,
            tuple(sides),
        )


def _used(draft: _Draft) -> dict[Node, None]:
    """The places of everything a message fills in, and all on the way there."""
    leaves = [one.node for value in draft.values.values() for one in value.sources if one.node is not None]
    leaves += [one.node for _, _, *parts in draft.sides for one in parts if one is not None and one.node is not None]
    return _with_way([*leaves, draft.at])


def _with_way(nodes: Sequence[Node]) -> dict[Node, None]:
    out: dict[Node, None] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        out[node] = None
        waiting += [*node.either, *([node.parent] if node.parent is not None else [])]
    return dict.fromkeys(sorted(out, key=lambda node: node.number))


def _in_list(node: Node | None) -> bool:
    while node is not None and not node.loop:
        node = node.parent
    return node is not None


def _blocks(start: Node, wanted: Callable[[Node], bool], order: Callable[[Node], int]) -> Iterator[Block]:
    """Lookups below a node, containers before what they hold; lists are not entered."""
    plain = sorted((child for child in start.children if not child.loop and wanted(child)), key=order)
    keys = tuple(child for child in plain if isinstance(child.step, ir.Key))
    indexes = tuple(child for child in plain if isinstance(child.step, ir.Index))
    if keys or indexes:
        yield Block(start, keys, indexes, ())
    for child in plain:
        if child.either:
            yield Block(child, (), (), child.either)
    for child in start.children:
        if not child.loop and (wanted(child) or child.shared):
            yield from _blocks(child, wanted, order)


def _affix(pattern: ir.Text) -> Affix | None:
    """None: it fits more than one text with one gap."""
    parts = pattern.parts
    gaps = [i for i, part in enumerate(parts) if not isinstance(part, ir.Lit)]
    texts = [part.text for part in parts if isinstance(part, ir.Lit)]
    if not parts or len(gaps) > 1:
        return None
    if not gaps:
        return Affix(texts[0], "", True)
    head = texts[0] if gaps[0] == 1 else ""
    tail = texts[-1] if gaps[0] < len(parts) - 1 else ""
    return Affix(head, tail, False) if head or tail else None


def _result(rule: fields.FieldRule, result: str | bool | int | None) -> object:
    """What a map's result is in the struct; None: absent."""
    if rule.kind == "enum" and isinstance(result, str):
        return rule.results.index(result)
    if rule.kind == "bool" and isinstance(result, str):
        return result == "true"
    return result


__all__ = ["Block", "Condition", "Fill", "FillError", "Node", "Product", "Side", "Source", "Value", "model", "name_of", "render"]
