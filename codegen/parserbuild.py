"""The tolerant parser's model of one product: what is marked, what `match` asks of it, in which order the fields are read.

May import `bind`, `fields`, `ir`, `kept`, `parserfields`, `parsermodel`, `render`, `sizes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from . import fields, ir, kept
from .bind import bind
from .parserfields import Ground, Reader
from .parsermodel import (
    AnchorModel,
    ColumnModel,
    ElementModel,
    FieldModel,
    HalfModel,
    ListModel,
    MatchModel,
    MessageModel,
    PartModel,
    PatternModel,
    ProductModel,
)
from .render import book_function, identifier
from .sizes import names_of

_ROOT = ir.Path(False, (), False, ".")


class Builder:
    """One product's model: of what is pushed, or of the books' snapshots that are fetched. It is whole when the last message is done: all
    are planted in the same ground."""

    def __init__(self, exchange: ir.Exchange, product: ir.Product, records: ir.Records, *, fetched: bool = False) -> None:
        self.fetched = fetched
        self.exchange = exchange.name
        self.product = product
        self.records = records
        self.table = bind(exchange, product.name)
        self.ground = Ground()
        self.patterns: list[PatternModel] = []

    def build(self) -> ProductModel:
        own = [
            (i, m)
            for i, m in enumerate(self.table)
            if m.template is None and (m.url is not None) is self.fetched and m.record not in ir.FETCHED_RECORDS
        ]
        messages = tuple(self._message(i, m) for i, m in own)
        spots = [self.ground.forest.spot(match.path.steps) for _, m in own for match in m.match if not match.path.element]
        nodes = sorted({node for spot in spots for node in self.ground.forest.trees[0].way(spot.node)} - {0})
        hopping = tuple(dict.fromkeys(self.ground.place("root", spot, ()) for spot in spots if spot.hops))
        return ProductModel(
            self.product.name,
            identifier(self.product.name) + ("_fetched" if self.fetched else ""),
            self.table,
            self.ground.forest.trees,
            self.ground.hops,
            self.patterns,
            self.ground.maps,
            messages,
            tuple(nodes),
            hopping,
            kept.plan(self.ground.forest, self.ground.hops, messages),
        )

    def _message(self, index: int, message: ir.Message) -> MessageModel:
        market = [record for word in message.records if (record := self.records.record(word)) is not None]
        deepest = max(market, key=lambda record: record.levels, default=None)
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
            deepest.levels if deepest else 0,
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
        spot = self.ground.forest.spot(path.steps)
        at = spot.end
        match = _in_turn([self._match(one, at, "element", names) for one in message.match if one.path.element])
        scalars: list[FieldModel] = []
        kept: list[FieldModel] = []
        lists: list[ListModel] = []
        columns: list[ColumnModel] = []
        halves: list[HalfModel] = []
        if record is not None:
            reader = Reader(self.ground, message, at, names)
            for rule in fields.rules(record.word, self.records):
                if rule.level and record.levels:
                    continue
                if not rule.kept:
                    scalars.append(reader.field(rule, record))
                elif message.field("snapshot") is not None:
                    kept.append(reader.field(rule, record))
            if record.levels and reader.source("side") is not None:
                halves = reader.halves(lists)
            elif record.levels:
                columns = reader.columns(lists)
        place = self.ground.place("root", spot, names)
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
        place = self.ground.place(walk, self.ground.forest.spot(match.path.steps, start), names)
        return MatchModel(place, first, len(match.excluded), count, wants, tuple(anchors), rest, words, never, lacking, match.offline)


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


def _names_symbol(message: ir.Message) -> bool:
    """Whether the frame itself says which instrument is meant."""
    field = message.field("symbol")
    if field is not None and field.source != ir.FromName("symbol"):
        return True
    refs = (part for match in message.match for text in match.patterns for part in text.parts)
    steps = (step for path in message.each for step in path.steps)
    return any(isinstance(part, ir.Ref) and part.name == "symbol" for part in refs) or ir.Members("symbol") in steps
