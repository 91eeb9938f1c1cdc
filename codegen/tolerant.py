"""The tolerant parser of an exchange as C: for each product one validating walk, `match` on its marks, then the fields of what holds.

This module decides what is marked, in which order fields are read and what each is read with; templates/parser*.j2 spell it, and
csrc/k4_parse.h is what it is spelled with. May import `ir`, `bind`, `fields`, `kept`, `parsermodel`, `render`, `sizes`, `tree`, and
from the reference interpreter what tells the types of the examples' values (`refjson`, `refpath`, `refvalue`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from . import fields, ir, kept, refjson, refpath
from .bind import bind
from .parsermodel import (
    AnchorModel,
    ColumnModel,
    ElementModel,
    EntryModel,
    FieldModel,
    HalfModel,
    HopModel,
    ListModel,
    MapModel,
    MatchModel,
    MessageModel,
    PartModel,
    PatternModel,
    PlaceModel,
    ProductModel,
    SourceModel,
)
from .refvalue import Place
from .render import book_function, render
from .sizes import names_of
from .tree import Forest, Hop, Node, Spot, Tree

_ROOT = ir.Path(False, (), False, ".")
_SHIFT = re.compile(r"e(-?[0-9]+)")
_JSON_TYPES = {refjson.STRING: "K4_STRING", refjson.NUMBER: "K4_NUMBER"}
_SIDES = ("bid", "ask")
_HALVES = (("side", "side"), ("price", "price"), ("qty", "qty"))


# --------------------------------------------------------------------------- building them


def render_exchange(exchange: ir.Exchange, records: ir.Records) -> str:
    """The text of `k4_<exchange>.c`. The exchange must be valid."""
    products = _products(exchange, records)
    fetched = [_Builder(exchange, product, records, fetched=True).build() for product in exchange.products]
    fetched = share([product for product in fetched if product.messages], exchange)
    parsers = products + fetched
    used = [record for record in records.records if any(record in m.records for p in parsers for m in p.messages)]
    scalars = [f for p in parsers for m in p.messages for e in m.elements for f in e.scalars]
    named = {f.enum for f in scalars if f.enum is not None and f.sources}
    return render(
        "parser.c.j2",
        exchange=exchange.name,
        ident=ident(exchange.name),
        sources=[records.file, exchange.file],
        records=used,
        market=[record.word for record in records.records],
        enums=[e for e in records.enums if e.name in named],
        enum_names={e.name: _enum_names(e) for e in records.enums},
        products=products,
        fetched=fetched,
        parsers=parsers,
        encodings={product.name: product.session.encoding for product in exchange.products},
        binary=[product.name for product in exchange.products if product.sbe is not None],
        books={message.book: message for parser in parsers for message in parser.messages if message.book},
        quote=quote,
        by_length=by_length,
        letters_of=letters_of,
        walked=walked,
        shift=_shift,
        levels=_levels,
    )


def leaders(exchange: ir.Exchange, records: ir.Records) -> tuple[str, ...]:
    """The products with code of their own: all others share it with one of them."""
    return tuple(product.name for product in _products(exchange, records) if product.code == product.ident)


def _products(exchange: ir.Exchange, records: ir.Records) -> list[ProductModel]:
    return share([_Builder(exchange, product, records).build() for product in exchange.products], exchange)


def ident(name: str) -> str:
    """A name as part of a C identifier."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def quote(text: str) -> str:
    """The characters of a C string literal; bytes that C or a terminal might take amiss are octal."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode())


def size(text: str) -> int:
    return len(text.encode())


def by_length(keys: dict[str, int]) -> list[tuple[int, list[tuple[str, int]]]]:
    """Keys of an object by their length in bytes: what a lookup switches on."""
    lengths = sorted({size(key) for key in keys})
    return [(n, [(key, node) for key, node in keys.items() if size(key) == n]) for n in lengths]


def letters_of(keys: dict[str, int]) -> list[tuple[str, int]]:
    """Keys that are one plain character, which are told apart without a look at their end."""
    return [(key, node) for key, node in keys.items() if len(key) == 1 and " " <= key < "\x7f" and key not in '"\\']


def walked(product: ProductModel, tree: Tree, node: Node) -> list[Node]:
    """The members of an object that are gone into themselves."""
    members = [tree.nodes[child] for child in node.keys.values()]
    return [member for member in members if member.walked or product.keeps(tree.number, member.index)]


def _shift(word: str | None) -> int:
    match = _SHIFT.fullmatch(word or "")
    return int(match[1]) if match else 0


def _levels(record: ir.RecordType) -> int:
    price = record.field("bid_price")
    return price.length if price is not None else 0


def _enum_names(enum: ir.EnumType) -> list[str]:
    names = {number: name for name, number in enum.values}
    return [names.get(i, "") for i in range(max(names) + 1)]


# --------------------------------------------------------------------------- products that share their code


def share(products: list[ProductModel], exchange: ir.Exchange) -> list[ProductModel]:
    """The products, each told whose code it uses: that of the first one that differs from it in the words of `match` alone."""
    shapes = [_shape(product, exchange) for product in products]
    first = [shapes.index(shape) for shape in shapes]
    shared: list[ProductModel] = []
    for i, product in enumerate(products):
        twins = [products[j] for j, other in enumerate(first) if other == first[i]]
        varied = {number for number, patterns in enumerate(zip(*(twin.patterns for twin in twins), strict=True)) if len(set(patterns)) > 1}
        alike = _alike(twins)
        messages = tuple(_matches(message, lambda one: _varied(one, varied, alike)) for message in product.messages)  # noqa: B023
        shared.append(replace(product, messages=messages, code=products[first[i]].ident))
    return shared


def _alike(twins: list[ProductModel]) -> set[int]:
    """The entries of `match`, by their first pattern, that have the same form in all of these products, the literals left out."""
    forms: dict[int, set[tuple[object, ...]]] = {}

    def note(one: MatchModel) -> MatchModel:
        forms.setdefault(one.patterns, set()).add((tuple((anchor.pattern, anchor.ends) for anchor in one.anchors), one.rest, one.words))
        return one

    for twin in twins:
        for message in twin.messages:
            _matches(message, note)
    return {first for first, met in forms.items() if len(met) == 1}


def _varied(match: MatchModel, varied: set[int], alike: set[int]) -> MatchModel:
    varies = not varied.isdisjoint(range(match.patterns, match.patterns + match.count))
    never = () if varies else match.never
    if match.patterns in alike:
        return replace(match, varies=varies, never=never)
    return replace(match, varies=varies, never=never, anchors=(), rest=None, words=False)


def _matches(message: MessageModel, change: Callable[[MatchModel], MatchModel]) -> MessageModel:
    elements = tuple(replace(element, match=tuple(map(change, element.match))) for element in message.elements)
    return replace(message, match=tuple(map(change, message.match)), elements=elements)


def _shape(product: ProductModel, exchange: ir.Exchange) -> tuple[object, ...]:
    """The product without what may differ where the code is shared: its names, and what patterns are made of beside captures."""
    written = {message.line: message for message in exchange.messages}
    patterns = [replace(one, parts=tuple(part for part in one.parts if part.kind == "K4_PART_NAME")) for one in product.patterns]
    messages = tuple(
        _matches(
            replace(message, source=written[message.source.line], book="book" if message.book else "", begins=()),
            lambda one: replace(one, anchors=(), rest=None, words=False, never=()),
        )
        for message in product.messages
    )
    trees = [tree.nodes for tree in product.trees]
    return trees, replace(product, name="", ident="", table=(), trees=[], patterns=patterns, messages=messages)


class _Builder:
    """One product's model: of what is pushed, or of the books' snapshots that are fetched. Paths are planted in the forest as they are met;
    it is whole when the last message is done."""

    def __init__(self, exchange: ir.Exchange, product: ir.Product, records: ir.Records, *, fetched: bool = False) -> None:
        self.fetched = fetched
        self.exchange = exchange.name
        self.product = product
        self.records = records
        self.table = bind(exchange, product.name)
        self.forest = Forest()
        self.hops: list[HopModel] = []
        self.patterns: list[PatternModel] = []
        self.maps: list[MapModel] = []

    def build(self) -> ProductModel:
        own = [
            (i, m)
            for i, m in enumerate(self.table)
            if m.template is None and (m.url is not None) is self.fetched and m.record not in ir.FETCHED_RECORDS
        ]
        messages = tuple(self._message(i, m) for i, m in own)
        spots = [self.forest.spot(match.path.steps) for _, m in own for match in m.match if not match.path.element]
        nodes = sorted({node for spot in spots for node in self.forest.trees[0].way(spot.node)} - {0})
        hopping = tuple(dict.fromkeys(self._place("root", spot, ()) for spot in spots if spot.hops))
        return ProductModel(
            self.product.name,
            ident(self.product.name) + ("_fetched" if self.fetched else ""),
            self.table,
            self.forest.trees,
            self.hops,
            self.patterns,
            self.maps,
            messages,
            tuple(nodes),
            hopping,
            kept.plan(self.forest, self.hops, messages),
        )

    def _message(self, index: int, message: ir.Message) -> MessageModel:
        market = [record for word in message.records if (record := self.records.record(word)) is not None]
        deepest = max(market, key=_levels) if market else None
        names = names_of(message)
        whole = [match for match in message.match if not match.path.element and not match.path.steps]
        texts = [text for match in whole for text in match.patterns]
        at_match = any(match.path.element for match in message.match)
        each = message.each or (_ROOT,)
        return MessageModel(
            index,
            message,
            deepest,
            tuple(market),
            _levels(deepest) if deepest else 0,
            bool(market) and not _names_symbol(message),
            tuple(self._match(match, (0, 0), "root", names) for match in message.match if not match.path.element),
            tuple(self._element(i, message, path, deepest, names) for i, path in enumerate(each)) if market or at_match else (),
            bool(whole),
            any(len(text.parts) == 1 and not isinstance(text.parts[0], ir.Lit) for text in texts),
            () if any(match.offline for match in whole) else _begins(texts),
            book_function(self.exchange, message.line, index) if message.field("snapshot") is not None else "",
            message.waits,
            fields.book_of(self.table, message) if message.field("snapshot") is not None else "",
        )

    def _element(
        self, number: int, message: ir.Message, path: ir.Path, record: ir.RecordType | None, names: tuple[str, ...]
    ) -> ElementModel:
        spot = self.forest.spot(path.steps)
        at = spot.end
        match = _in_turn([self._match(one, at, "element", names) for one in message.match if one.path.element])
        scalars: list[FieldModel] = []
        kept: list[FieldModel] = []
        lists: list[ListModel] = []
        columns: list[ColumnModel] = []
        halves: list[HalfModel] = []
        if record is not None:
            reader = _Reader(self, message, at, names)
            for rule in fields.rules(record.word, self.records):
                if rule.level and _levels(record):
                    continue
                if not rule.kept:
                    scalars.append(reader.field(rule, record))
                elif message.field("snapshot") is not None:
                    kept.append(reader.field(rule, record))
            if _levels(record) and reader.source("side") is not None:
                halves = reader.halves(lists)
            elif _levels(record):
                columns = reader.columns(lists)
        place = self._place("root", spot, names)
        return ElementModel(number, at[0], at[1], place, match, tuple(scalars), tuple(lists), tuple(columns), tuple(halves), tuple(kept))

    def _match(self, match: ir.Match, start: tuple[int, int], walk: str, names: tuple[str, ...]) -> MatchModel:
        first = len(self.patterns)
        for i, text in enumerate((*match.excluded, *match.patterns), first):
            self.patterns.append(PatternModel(i, tuple(_part(part, names) for part in text.parts)))
        absent = [text.absent for text in match.patterns]
        wants = "absent" if all(absent) else "" if any(absent) else "present"
        count = len(self.patterns) - first
        there = [one for one in self.patterns[first + len(match.excluded) :] if one.parts]
        anchors = [anchor for one in there if (anchor := _anchor(one)) is not None]
        anchors = anchors if len(anchors) == len(there) else []
        parts = there[0].parts if anchors and count == 1 else ()
        rest = next((part for part in parts if part.kind == "K4_PART_NAME"), None) if len(parts) == 2 else None
        words = bool(anchors) and not match.excluded and all(len(one.parts) == 1 for one in there)
        never = tuple(text.parts[0].text for text in match.excluded if len(text.parts) == 1 and isinstance(text.parts[0], ir.Lit))
        lacking = any(absent) and not match.excluded
        place = self._place(walk, self.forest.spot(match.path.steps, start), names)
        return MatchModel(place, first, len(match.excluded), count, wants, tuple(anchors), rest, words, never, lacking, match.offline)

    def _place(self, walk: str, spot: Spot, names: tuple[str, ...]) -> PlaceModel:
        return PlaceModel(walk, spot.node, self.chain(spot.hops, names))

    def chain(self, hops: tuple[Hop, ...], names: tuple[str, ...]) -> int | None:
        """The number of the first hop; the last ones come first, so that each can point to the next."""
        following: int | None = None
        for hop in reversed(hops):
            name = names.index(hop.step.name) if isinstance(hop.step, ir.Members) else 0
            like = (hop.step, hop.tree, hop.leaf, name, following)
            same = next((h for h in self.hops if (h.step, h.tree, h.leaf, h.name, h.next) == like), None)
            if same is None:
                same = HopModel(len(self.hops), hop.step, hop.tree, hop.leaf, name, following)
                self.hops.append(same)
            following = same.number
        return following

    def map(self, source: ir.FromMap) -> int:
        entries = tuple(_entry(text, result) for text, result in source.entries)
        other = None if source.default is None else _entry("", source.default[0])
        self.maps.append(MapModel(len(self.maps), entries, other))
        return len(self.maps) - 1


class _Reader:
    """The fields of one message, from one kind of element; `at`: tree and node of `@`."""

    def __init__(self, builder: _Builder, message: ir.Message, at: tuple[int, int], names: tuple[str, ...]) -> None:
        self.builder = builder
        self.message = message
        self.at = at
        self.names = names

    def source(self, name: str) -> ir.Source | None:
        field = self.message.field(name)
        if field is not None:
            return field.source
        return ir.FromName(name) if name in self.names else None

    def field(self, rule: fields.FieldRule, record: ir.RecordType) -> FieldModel:
        source = self.source(rule.name)
        member = record.field(rule.name)
        simple = source.sources if isinstance(source, ir.FromFirst) else () if source is None else (source,)
        models = tuple(self.simple(one, self.at, "element", ()) for one in simple)
        return FieldModel(rule.name, rule.kind, models, self.at[1], member.enum if member else None, rule.needed, source == ir.FromText(""))

    def simple(
        self, source: ir.FromPath | ir.FromMap | ir.FromText | ir.FromName, at: tuple[int, int], walk: str, before: tuple[ir.Step, ...]
    ) -> SourceModel:
        """`before`: steps of the path that lead to `at` already."""
        if isinstance(source, ir.FromText):
            kind = "K4_STRING" if source.text not in ("true", "false") else f"K4_{source.text.upper()}"
            return SourceModel("text", None, True, 0, source.text, kind, None, None, None)
        if isinstance(source, ir.FromName):
            known = source.name in self.names
            index = self.names.index(source.name) if known else 0
            return SourceModel("name" if known else "text", None, True, index, "", "K4_STRING", None, None, None)
        path = source.path
        if not path.element and not before:
            at, walk = (0, 0), "root"
        spot = self.builder.forest.spot(path.steps[len(before) :], at)
        place = PlaceModel(walk, spot.node, self.builder.chain(spot.hops, self.names))
        mapped = self.builder.map(source) if isinstance(source, ir.FromMap) else None
        word = source.word if isinstance(source, ir.FromPath) else None
        return SourceModel("path", place, path.optional, 0, "", "", mapped, word, self._odd(path))

    def halves(self, lists: list[ListModel]) -> list[HalfModel]:
        """Levels that say themselves which side they are on."""
        return [self._half(rank, name, kind, lists) for rank, (name, kind) in enumerate(_HALVES)]

    def _half(self, rank: int, name: str, kind: str, lists: list[ListModel]) -> HalfModel:
        field, number, optional = self._column(name, kind, lists)
        if field is None:
            source = self.source(name)
            assert source is not None
            simple = source.sources if isinstance(source, ir.FromFirst) else (source,)
            models = tuple(self.simple(one, self.at, "element", ()) for one in simple)
            field = FieldModel(name, kind, models, self.at[1], None, True, False)
        return HalfModel(name, rank, field, number, optional)

    def columns(self, lists: list[ListModel]) -> list[ColumnModel]:
        plans: dict[str, tuple[FieldModel | None, int | None, bool]] = {}
        for half, kind in (("price", "price"), ("qty", "qty"), ("count", "count")):
            for side in _SIDES:
                plans[f"{side}_{half}"] = self._column(f"{side}_{half}", kind, lists)
        columns: list[ColumnModel] = []
        for half, partner in (("price", "qty"), ("qty", "price")):
            columns += [self._column_model(plans, side, half, plans[f"{side}_{partner}"][1]) for side in _SIDES]
        columns.sort(key=lambda column: _SIDES.index(column.side))
        columns += [self._column_model(plans, side, "count", None) for side in _SIDES]
        return columns

    def _column_model(
        self, plans: dict[str, tuple[FieldModel | None, int | None, bool]], side: str, half: str, sibling: int | None
    ) -> ColumnModel:
        field, number, optional = plans[f"{side}_{half}"]
        return ColumnModel(f"{side}_{half}", side, half, half, field, number, optional, sibling)

    def _column(self, name: str, kind: str, lists: list[ListModel]) -> tuple[FieldModel | None, int | None, bool]:
        source = self.source(name)
        if not isinstance(source, ir.FromPath | ir.FromMap):
            return None, None, True  # a constant, or nothing: no levels of it
        path = source.path
        star = next((i for i, step in enumerate(path.steps) if isinstance(step, ir.Every)), None)
        if star is None:
            return None, None, True
        every = path.steps[star]
        before = path.steps[: star + 1]
        start = self.at if path.element else (0, 0)
        spot = self.builder.forest.spot(before, start)
        # The last hop is the levels' own; what is in front of it leads to the list.
        front = spot.hops[:-1]
        place = PlaceModel("element" if path.element and self.at[0] else "root", spot.node, self.builder.chain(front, self.names))
        tree = spot.hops[-1].tree
        back = every == ir.Every(True)
        found = next((one for one in lists if (one.place, one.tree, one.back) == (place, tree, back)), None)
        if found is None:
            found = ListModel(len(lists), place, tree, back)
            lists.append(found)
        model = self.simple(source, (tree, 0), "element", before)
        return FieldModel(name, kind, (model,), 0, None, False, False), found.number, path.optional

    def _odd(self, path: ir.Path) -> str | None:
        """The type that no example has at this path, where all have the other."""
        kinds = {node.kind for example in self.message.examples for node in _example_values(self.message, example, path)}
        if kinds == {refjson.STRING}:
            return _JSON_TYPES[refjson.NUMBER]
        return _JSON_TYPES[refjson.STRING] if kinds == {refjson.NUMBER} else None


def _in_turn(match: list[MatchModel]) -> tuple[MatchModel, ...]:
    """Entries of an element. Behind one that a hop leads to no glance may come first: a key given twice on that way refuses the element,
    whatever is said further on."""
    hop = next((i for i, one in enumerate(match) if one.place.hop is not None), len(match))
    rest = (replace(one, wants="", anchors=(), rest=None, words=False, never=()) for one in match[hop:])
    return (*match[:hop], *rest)


def _anchor(pattern: PatternModel) -> AnchorModel | None:
    last, first = pattern.parts[-1], pattern.parts[0]
    if last.kind == "K4_PART_LITERAL":
        return AnchorModel(pattern.number, True, last.text)
    return AnchorModel(pattern.number, False, first.text) if first.kind == "K4_PART_LITERAL" else None


def _begins(texts: Iterable[ir.Text]) -> tuple[int, ...]:
    """The first bytes of texts that fit one of these patterns; none: any."""
    firsts = [text.parts[0] if text.parts else None for text in texts]
    known = {first.text.encode()[0] for first in firsts if isinstance(first, ir.Lit)}
    return tuple(sorted(known)) if all(isinstance(first, ir.Lit) for first in firsts) else ()


def _part(part: ir.Lit | ir.Ref | ir.Star, names: tuple[str, ...]) -> PartModel:
    if isinstance(part, ir.Lit):
        return PartModel("K4_PART_LITERAL", 0, False, part.text)
    if isinstance(part, ir.Ref):
        return PartModel("K4_PART_NAME", names.index(part.name), part.lower, "")
    return PartModel("K4_PART_STAR", 0, False, "")


def _entry(text: str, result: str | bool | int | None) -> EntryModel:
    if result is None:
        return EntryModel(text, "", "K4_NOTHING")
    if isinstance(result, bool):
        return EntryModel(text, "true" if result else "false", "K4_TRUE" if result else "K4_FALSE")
    return EntryModel(text, str(result), "K4_NUMBER" if isinstance(result, int) else "K4_STRING")


def _names_symbol(message: ir.Message) -> bool:
    """Whether the frame itself says which instrument is meant."""
    field = message.field("symbol")
    if field is not None and field.source != ir.FromName("symbol"):
        return True
    refs = (part for match in message.match for text in match.patterns for part in text.parts)
    steps = (step for path in message.each for step in path.steps)
    return any(isinstance(part, ir.Ref) and part.name == "symbol" for part in refs) or ir.Members("symbol") in steps


# --------------------------------------------------------------------------- what the examples have


def _example_values(message: ir.Message, example: ir.Example, path: ir.Path) -> Iterator[refjson.Node]:
    try:
        root = refjson.parse(example.wire.encode())
    except refjson.FrameError:
        return
    starts: Iterable[refjson.Node] = (root,)
    if path.element:
        known: dict[str, Place] = {}
        reached = refpath.elements(root, message.each or (_ROOT,), known)
        starts = [one.node for one in reached if isinstance(one, refpath.Element)]
    for start in starts:
        yield from _values(start, path.steps)


def _values(node: refjson.Node, steps: tuple[ir.Step, ...]) -> Iterator[refjson.Node]:
    before, step, rest = refpath.split(steps)
    reach = refpath.walk(node, 0, before)
    if not isinstance(reach, refpath.Found):
        return
    if step is None:
        yield reach.node
        return
    for item in reach.node.items:
        yield from _values(item, rest)


__all__ = ["Node", "ident", "leaders", "render_exchange"]
