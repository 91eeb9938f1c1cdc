"""Products whose parsers differ in the words of `match` alone share their code: which ones, and what of a `match` then varies.

May import `ir`, `parsermodel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import ir
from .parsermodel import MatchModel, MessageModel, ProductModel


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
