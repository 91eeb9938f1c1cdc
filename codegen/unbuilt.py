"""Valid parts of the spec language that the generated parsers do not do yet.

`k4 codegen` refuses to compile a spec that uses one: what is not built is said, never passed over.
May import `ir`, `bind`, `errors`, `tree`.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import ir
from .bind import bind, fetched_names, names_in
from .errors import Finding
from .tree import MAX_NODES, Forest

MAX_NAMES = 32
_HALVES = ("bid_price", "bid_qty", "ask_price", "ask_qty")


def unbuilt(exchange: ir.Exchange) -> tuple[Finding, ...]:
    """What of a valid spec the generated parsers leave out, in file order. Empty: all of it compiles."""
    found: list[tuple[int, str]] = []
    for message in exchange.messages:
        found += _message(message)
    for product in exchange.products:
        messages = tuple(message for message in bind(exchange, product.name) if message.json)
        found += _sizes(product, messages)
        found += _fetched(messages, set(fetched_names(exchange, product.name)))
    lines = sorted(dict.fromkeys(found))
    return tuple(Finding(exchange.file, line, f"{what} are not built yet") for line, what in lines)


def _message(message: ir.Message) -> Iterator[tuple[int, str]]:
    if message.template is None or not any(record.startswith("depth") for record in message.records):
        return
    for field in message.fields:
        if field.name in ("side", "price", "qty"):
            yield field.line, f'message "{message.record}": {field.name}: levels of mixed sides in SBE'
        elif field.name in _HALVES and message.field("snapshot") is not None and not paths_of(field.source):
            yield field.line, f'message "{message.record}": {field.name}: books in SBE without one half of their levels'


def _fetched(messages: tuple[ir.Message, ...], names: set[str]) -> Iterator[tuple[int, str]]:
    """Parsers are made before anything is fetched: they know none of its names."""
    for message in messages:
        texts = [pattern for match in message.match for pattern in match.patterns] + ([message.channel] if message.channel else [])
        used = {name for text in texts for name in names_in(text)}
        used |= {source.name for field in message.fields for source in sources_of(field.source) if isinstance(source, ir.FromName)}
        for name in sorted(used & names):
            yield message.line, f'message "{message.record}": channels, patterns and fields with the fetched ${name}'


def sources_of(source: ir.Source) -> tuple[ir.Source, ...]:
    """The sources that a source tries, in order."""
    return source.sources if isinstance(source, ir.FromFirst) else (source,)


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
