"""What a decoder on top of a general JSON reader does for the messages of a product: what it looks up, what it asks, what it fills.

From this model templates of `bench/templates` spell peers that fill the very structs K4 fills, as somebody would write them by hand for
these messages alone: keys in the order of the examples, each looked up once; what several messages begin with is looked up before they
are told apart, and asked is only what tells them apart. May import `bench.lookups` and `k4._codegen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import jinja2

from bench.lookups import Block, FillError, Node, Tree, blocks, with_way
from k4._codegen import bind, fields, ir

TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True, slots=True)
class Affix:
    """A text that begins and ends so; `whole`: it is `head` and no more."""

    head: str
    tail: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `affixes` fits the value at `node`, of JSON type `kind`. `places`: all paths it may have; `absent`: there may be none."""

    node: Node
    kind: str
    affixes: tuple[Affix, ...]
    places: frozenset[tuple[ir.Step, ...]]
    absent: bool


@dataclass(frozen=True, slots=True)
class Source:
    """`how`: string, number, literal (the JSON type), map, constant or affix (a part of a text, without `cut` bytes at its ends)."""

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
    """The levels of a side. `rows`: the array, `row`: a level, `block`: the lookups in it; `count` None where the venue gives none."""

    name: str
    rows: Node
    row: Node
    block: Block
    price: Source
    qty: Source
    count: Source | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is taken. `use`: digits, integer, text or truth."""

    node: Node
    use: str


@dataclass(frozen=True, slots=True)
class Fill:
    """A message. `record`: what it fills; `book`: an update of a book instead. `each`: the loop over elements, if there is one.

    `given`: variables looked up before; `before` and `inside`: lookups at the root and in each element; `outer` and `inner`: what is taken
    there, levels apart.
    """

    number: int
    record: str
    book: bool
    conditions: tuple[Condition, ...]
    given: tuple[Node, ...]
    before: tuple[Block, ...]
    each: Node | None
    inside: tuple[Block, ...]
    outer: tuple[Leaf, ...]
    inner: tuple[Leaf, ...]
    values: dict[str, Value]
    sides: tuple[Side, ...]

    def late(self, name: str) -> bool:
        """Whether a field stands outside of the elements, perhaps behind them."""
        return name in self.values and any(leaf.node is one.node for leaf in self.outer for one in self.values[name].sources)


@dataclass(frozen=True, slots=True)
class Product:
    """`name`: as part of a C name. `root`: of the tree; `head`: lookups before the messages are told apart; `ahead`: what is taken there
    by who cannot go back."""

    exchange: str
    product: str
    name: str
    root: Node
    head: tuple[Block, ...]
    ahead: tuple[Leaf, ...]
    fills: tuple[Fill, ...]


def render(template: str, products: Sequence[Product]) -> str:
    """The text of a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(products=products)


def name_of(exchange: str, place: str) -> str:
    """Of what is generated for a product."""
    return "".join(c if c.isalnum() else "_" for c in f"{exchange}_{place}")


def model(exchange: ir.Exchange, place: ir.Product, records: ir.Records) -> Product:
    """What is filled for all market data that can be subscribed in a product. Raises FillError."""
    tree = Tree()
    readers = [
        _Reader(tree, records, number, message)
        for number, message in enumerate(bind.bind(exchange, place.name))
        if message.channel is not None and message.record in ir.MARKET_RECORDS and message.template is None
    ]
    for reader in readers:
        for example in sorted(reader.message.examples, key=lambda example: example.product != place.name):  # its own say the order of keys
            tree.look(example.wire.encode(), reader.number)
    for reader in readers:
        reader.read()
    asked = {reader.number: _told_apart(reader, [other for other in readers if other is not reader]) for reader in readers}
    tree.share([one.node for conditions in asked.values() for one in conditions], list(asked))
    fills = tuple(reader.fill(asked[reader.number]) for reader in readers)
    uses = {leaf.node: leaf for fill in fills for leaf in fill.outer if leaf.node.ahead}
    uses |= {one.node: Leaf(one.node, "text") for conditions in asked.values() for one in conditions}
    return Product(exchange.name, place.name, name_of(exchange.name, place.name), tree.root, tree.head(), tuple(uses.values()), fills)


# --------------------------------------------------------------------------- what tells messages apart


def _told_apart(reader: _Reader, others: Sequence[_Reader]) -> tuple[Condition, ...]:
    """As few of a message's conditions as exclude all others. Raises FillError."""
    for count in range(len(reader.conditions) + 1):
        for some in combinations(reader.conditions, count):
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


def _affix(pattern: ir.Text) -> Affix | None:
    """None: it fits more than one text with one gap."""
    gaps = [i for i, part in enumerate(pattern.parts) if not isinstance(part, ir.Lit)]
    texts = [part.text for part in pattern.parts if isinstance(part, ir.Lit)]
    if not pattern.parts or len(gaps) > 1:
        return None
    if not gaps:
        return Affix(texts[0], "", True)
    head = texts[0] if gaps[0] == 1 else ""
    tail = texts[-1] if gaps[0] < len(pattern.parts) - 1 else ""
    return Affix(head, tail, False) if head or tail else None


# --------------------------------------------------------------------------- reading a message

_Column = tuple[ir.Path, Node] | None


class _Reader:
    """One message: names its places in the tree; when the examples have been looked at, says what is taken from them."""

    def __init__(self, tree: Tree, records: ir.Records, number: int, message: ir.Message) -> None:
        self.number = number
        self.message = message
        self.root = tree.root
        self.at = tree.element(message.each)
        self._tree = tree
        record = next(record for word in reversed(message.records) if (record := records.record(word)) is not None)
        self.record = record.word
        self._rules = [rule for rule in fields.rules(record.word, records) if not rule.level]
        self._asked = [(match, self._node(match.path)) for match in message.match if not match.offline]
        self._paths = {rule.name: [self._place(one) for one in self._sources(rule.name)] for rule in self._rules}
        sides = ("bid", "ask") if fields.is_depth(record.word) else ()
        self._sides = {side: [self._column(f"{side}_{half}") for half in ("price", "qty", "count")] for side in sides}
        self.conditions: tuple[Condition, ...] = ()
        self.values: dict[str, Value] = {}

    def _node(self, path: ir.Path) -> Node:
        return self._tree.node(path.steps, self.at if path.element else self.root)

    def _sources(self, name: str) -> tuple[ir.Source, ...]:
        found = self.message.field(name)
        if found is None:
            return ()
        return found.source.sources if isinstance(found.source, ir.FromFirst) else (found.source,)

    def _place(self, source: ir.Source) -> Node | None:
        return self._node(source.path) if isinstance(source, ir.FromPath | ir.FromMap) else None

    def _column(self, name: str) -> _Column:
        sources = self._sources(name)
        if not sources:
            return None
        (source,) = sources
        if not isinstance(source, ir.FromPath) or source.word is not None:
            raise FillError(f"{name} that is no plain path")
        return source.path, self._node(source.path)

    def read(self) -> None:
        conditions = [self._condition(match, node) for match, node in self._asked]
        self.conditions = tuple(one for one in conditions if one is not None)
        for rule in self._rules:
            made = [self._source(rule, one, node) for one, node in zip(self._sources(rule.name), self._paths[rule.name], strict=True)]
            sources = tuple(one for one in made if one is not None)
            if rule.name == "symbol" and not sources:
                sources = (self._captured(),)
            if sources:
                self.values[rule.name] = Value(rule.name, rule.kind, sources)
        self._use([one.node for value in self.values.values() for one in value.sources])
        self._use([column[1] for side in self._sides.values() for column in side if column is not None])

    def _use(self, nodes: Sequence[Node | None]) -> None:
        for node in with_way([self.at, *(node for node in nodes if node is not None and self.number in node.seen)]):
            node.users.add(self.number)

    def _condition(self, match: ir.Match, node: Node) -> Condition | None:
        """None: it asks for what is absent, or fits any text, or no example has it."""
        absent = any(pattern.absent for pattern in match.patterns)
        node.optional |= absent
        affixes = [affix for pattern in match.patterns if (affix := _affix(pattern)) is not None]
        if self.number not in node.seen or not affixes or len(affixes) + absent != len({one.source for one in match.patterns}):
            return None
        starts = [path.steps for path in self.message.each] if match.path.element and self.message.each else [()]
        places = frozenset((*start, *match.path.steps) for start in starts)
        return Condition(node, node.seen[self.number].kind, tuple(affixes), places, absent)

    def _captured(self) -> Source:
        """A symbol that stands in a text beside others."""
        for match, node in self._asked:
            for pattern in match.patterns:
                affix = _affix(pattern)
                ref = next((part for part in pattern.parts if isinstance(part, ir.Ref) and part.name == "symbol"), None)
                if affix is not None and ref is not None:
                    return Source("affix", node, cut=(len(affix.head), len(affix.tail)), lower=ref.lower)
        raise FillError("a symbol that does not stand in the frame")

    def _source(self, rule: fields.FieldRule, source: ir.Source, node: Node | None) -> Source | None:
        """None: no example has it."""
        if isinstance(source, ir.FromText):
            return Source("constant", None, constant=_result(rule, source.text)) if source.text else None
        if node is None or not isinstance(source, ir.FromPath | ir.FromMap):
            raise FillError(f"{rule.name} from {type(source).__name__}")
        if self.number not in node.seen:
            return None
        kind = node.seen[self.number].kind
        self._lacking(source.path, node)
        if isinstance(source, ir.FromPath):
            if source.word not in (None, "s", "ms", "us", "ns", "auto"):
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

    def _side(self, name: str) -> Side:
        made = [
            Source(column[1].seen[self.number].kind, column[1]) if column is not None and self.number in column[1].seen else None
            for column in self._sides[name]
        ]
        price, qty, count = made
        if price is None or qty is None or price.node is None or price.node.parent is None or not price.node.parent.loop:
            raise FillError("levels of another form than [price, qty, …]")
        row = price.node.parent
        assert row.parent is not None
        cells = row.below(self.number)
        block = Block(row, tuple(cell for cell in cells if cell.named), tuple(cell for cell in cells if not cell.named))
        return Side(name, row.parent, row, block, price, qty, count)

    def fill(self, asked: tuple[Condition, ...]) -> Fill:
        number = self.number

        def wanted(node: Node) -> bool:
            return number in node.users and number in node.seen and not node.shared

        def order(node: Node) -> int:
            return node.seen[number].position

        each = self.at if self.at.loop else None
        before = tuple(blocks(self.root, wanted, order))
        inside = tuple(blocks(each, wanted, order)) if each is not None else ()
        sides = tuple(sorted((self._side(name) for name in self._sides), key=lambda side: order(side.rows)))
        leaves = [Leaf(one.node, _use(value, one)) for value in self.values.values() for one in value.sources if one.node is not None]
        named = [*(leaf.node for leaf in leaves), *(block.node for block in before), *(side.rows for side in sides), each and each.parent]
        given = tuple(node for node in self._tree.nodes if node.shared and node in named)
        inner = tuple(leaf for leaf in leaves if each is not None and _within(leaf.node, each))
        outer = tuple(leaf for leaf in leaves if leaf not in inner)
        book = self.message.field("snapshot") is not None
        return Fill(number, self.record, book, asked, given, before, each, inside, outer, inner, self.values, sides)


def _within(node: Node | None, each: Node) -> bool:
    while node is not None and node is not each:
        node = node.parent
    return node is not None


def _use(value: Value, source: Source) -> str:
    if value.kind in ("price", "qty"):
        return "digits"
    if source.kind == "literal":
        return "truth"
    return "text" if (source.how in ("map", "affix") and source.kind != "number") or value.kind == "symbol" else "integer"


def _result(rule: fields.FieldRule, result: str | bool | int | None) -> object:
    """What a map's result is in the struct; None: absent."""
    if rule.kind == "enum" and isinstance(result, str):
        return rule.results.index(result)
    if rule.kind == "bool" and isinstance(result, str):
        return result == "true"
    return result


__all__ = ["FillError", "Product", "model", "name_of", "render"]
