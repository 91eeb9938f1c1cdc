"""Limits of the generated tables, far beyond what a venue needs. May import `ir`, `bind`, `errors`, `tree`."""

from __future__ import annotations

from collections.abc import Iterator

from . import ir
from .bind import bind
from .errors import Finding
from .tree import MAX_NODES, Forest

MAX_NAMES = 32


def check(exchange: ir.Exchange) -> tuple[Finding, ...]:
    """What of a valid spec is beyond them, in file order."""
    found: list[tuple[int, str]] = []
    for product in exchange.products:
        found += _beyond(product, tuple(message for message in bind(exchange, product.name) if message.json))
    return tuple(Finding(exchange.file, line, what) for line, what in sorted(dict.fromkeys(found)))


def names_of(message: ir.Message) -> tuple[str, ...]:
    """Every name that a bound message can know when a frame is read; `symbol` first."""
    names = ["symbol"]
    names += (part.name for match in message.match for text in match.patterns for part in text.parts if isinstance(part, ir.Ref))
    names += (step.name for path in message.each for step in path.steps if isinstance(step, ir.Members))
    return tuple(dict.fromkeys(names))


def _paths(source: ir.Source) -> tuple[ir.Path, ...]:
    if isinstance(source, ir.FromFirst):
        return tuple(path for one in source.sources for path in _paths(one))
    return (source.path,) if isinstance(source, ir.FromPath | ir.FromMap) else ()


def _beyond(product: ir.Product, messages: tuple[ir.Message, ...]) -> Iterator[tuple[int, str]]:
    forest = Forest()
    for message in messages:
        if len(names_of(message)) > MAX_NAMES:
            what = f"{len(names_of(message))} names; a message may have {MAX_NAMES}, write it as several"
            yield message.line, f'message "{message.record}": {what}'
        starts = [forest.spot(path.steps).end for path in message.each] or [(0, 0)]
        paths = [match.path for match in message.match] + [path for field in message.fields for path in _paths(field.source)]
        for path in paths:
            for start in starts if path.element else [(0, 0)]:
                forest.spot(path.steps, start)
    places = max(len(tree.nodes) for tree in forest.trees)
    if places > MAX_NODES:
        what = f"its messages read {places} places of a frame; a product may have {MAX_NODES}, write it as several"
        yield product.line, f'product "{product.name}": {what}'
