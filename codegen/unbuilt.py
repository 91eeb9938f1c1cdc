"""Valid parts of the spec language that the generated parsers do not do yet.

`k4 codegen` refuses to compile a spec that uses one: what is not built is said, never passed over.
May import `ir`, `bind`, `errors`, `tree`.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import ir
from .bind import bind
from .errors import Finding
from .tree import MAX_NODES, Forest

MAX_NAMES = 32
_BOOK = ("snapshot", "first_id", "prev_id", "checksum")
_SIDED = ("side", "price", "qty")
_LEVELS = ("bid_price", "bid_qty", "ask_price", "ask_qty", "bid_count", "ask_count")


def unbuilt(exchange: ir.Exchange) -> tuple[Finding, ...]:
    """What of a valid spec the generated parsers leave out, in file order. Empty: all of it compiles."""
    found: list[tuple[int, str]] = []
    found += (
        (product.line, f'product "{product.name}": session.encoding = "{product.session.encoding}": compressed payloads')
        for product in exchange.products
        if product.session.encoding is not None
    )
    for message in exchange.messages:
        found += _message(message)
    for product in exchange.products:
        found += _sizes(product, bind(exchange, product.name))
    lines = sorted(dict.fromkeys(found))
    return tuple(Finding(exchange.file, line, f"{what} are not built yet") for line, what in lines)


def _message(message: ir.Message) -> Iterator[tuple[int, str]]:
    name = f'message "{message.record}"'
    if message.url is not None:
        yield message.line, f"{name}: fetched messages (`url`)"
        return
    if not message.record.startswith("depth") and not any(record.startswith("depth") for record in message.records):
        if len(message.records) > 1:
            yield message.line, f"{name}: several records that are not cut from levels"
        for field in message.fields:
            if any(isinstance(step, ir.Every | ir.Members) for path in paths_of(field.source) for step in path.steps):
                yield field.line, f"{name}: {field.name}: paths with [*] outside depth records"
        return
    for field in message.fields:
        if field.name in _BOOK:
            yield field.line, f"{name}: {field.name}: order books kept from updates"
        elif field.name in _SIDED:
            yield field.line, f"{name}: {field.name}: levels of mixed sides"
        elif field.name in _LEVELS:
            yield from _level(name, field)


def _level(name: str, field: ir.Field) -> Iterator[tuple[int, str]]:
    if isinstance(field.source, ir.FromFirst):
        yield field.line, f"{name}: {field.name}: lists of sources for levels"
        return
    for path in paths_of(field.source):
        if sum(isinstance(step, ir.Every) for step in path.steps) != 1 or any(isinstance(step, ir.Members) for step in path.steps):
            yield field.line, f"{name}: {field.name}: levels without exactly one [*]"
        elif any(isinstance(step, ir.Every) and step.reverse for step in path.steps):
            yield field.line, f"{name}: {field.name}: levels from the last on ([-*])"


def paths_of(source: ir.Source) -> tuple[ir.Path, ...]:
    """The paths a source reads, in order."""
    if isinstance(source, ir.FromFirst):
        return tuple(path for one in source.sources for path in paths_of(one))
    return (source.path,) if isinstance(source, ir.FromPath | ir.FromMap) else ()


def names_of(message: ir.Message) -> tuple[str, ...]:
    """Every name that a bound message can know when a frame is read; `symbol` first."""
    names = ["symbol"]
    names += (part.name for match in message.match for text in match.patterns for part in text.parts if isinstance(part, ir.Ref))
    names += (step.name for path in message.each for step in path.steps if isinstance(step, ir.Members))
    return tuple(dict.fromkeys(names))


def _sizes(product: ir.Product, messages: tuple[ir.Message, ...]) -> Iterator[tuple[int, str]]:
    """Limits of the generated tables, far beyond what a venue needs."""
    forest = Forest()
    for message in messages:
        if len(names_of(message)) > MAX_NAMES:
            yield message.line, f'message "{message.record}": more than {MAX_NAMES} names'
        starts = [forest.spot(path.steps).end for path in message.each] or [(0, 0)]
        paths = [match.path for match in message.match] + [path for field in message.fields for path in paths_of(field.source)]
        for path in paths:
            for start in starts if path.element else [(0, 0)]:
                forest.spot(path.steps, start)
    if any(len(tree.nodes) > MAX_NODES for tree in forest.trees):
        yield product.line, f'product "{product.name}": paths to more than {MAX_NODES} places'
