"""Which lists are marked as what is around them is proven: their first elements then need no pass of their own.

May import `ir`, `parsermodel`, `tree`.
"""

from __future__ import annotations

from . import ir
from .parsermodel import HopModel, KeptModel, MessageModel
from .tree import MAX_DEPTH, MAX_NODES, MOST_MARKS, Forest

_ELEMENTS = 8  # of `each`, and
_LEVELS = 8  # of levels in lists of any length: those of most frames
_ROOT_MARKS = 4096  # of a frame


def plan(forest: Forest, hops: list[HopModel], messages: tuple[MessageModel, ...]) -> tuple[KeptModel, ...]:
    """The lists of elements and of levels that are members of objects, inner ones first. Where a tree would take too many marks with
    its lists, some of these are not kept."""
    wanted: dict[tuple[int, int], tuple[int, int]] = {}

    def want(owner: int, node: int, tree: int, limit: int) -> None:
        planted = forest.trees[owner].nodes[node]
        if isinstance(planted.step, ir.Key) and planted.depth < MAX_DEPTH:
            wanted[owner, node] = tree, max(limit, wanted.get((owner, node), (tree, 0))[1])

    for message, element in ((one, element) for one in messages for element in one.elements):
        owner, node, number = 0, element.each.node, element.each.hop
        while number is not None:
            hop = hops[number]
            if isinstance(hop.step, ir.Every):
                want(owner, node, hop.tree, _ELEMENTS)
            owner, node, number = hop.tree, hop.leaf, hop.next
        for one in element.lists:
            if one.place.hop is None and not one.back:
                limit = message.levels if not message.book and not element.halves else _LEVELS
                want(owner if one.place.walk == "element" else 0, one.place.node, one.tree, limit)
    # Outer ones first: what they plant further in is copied there, too.
    copies = {place: _copies(forest, *place, tree) for place, (tree, _) in sorted(wanted.items()) if _has_room(forest, *place, tree)}
    copied = {(owner, node) for (owner, _), by in copies.items() for pairs in by.values() for node, _ in pairs}
    kept: list[KeptModel] = []
    sizes = [len(tree.nodes) for tree in forest.trees]
    for (owner, node), (tree, limit) in sorted(wanted.items(), reverse=True):
        most = max(limit, *(index + 1 for index in copies.get((owner, node), {})), 0)
        more = 1 + most * sizes[tree]
        if sizes[owner] + more <= (MOST_MARKS if owner else _ROOT_MARKS) and (owner, node) in copies.keys() - copied:
            holder = forest.trees[owner].nodes[node].parent
            kept.append(KeptModel(owner, node, tree, most, sizes[tree], sizes[owner], holder, copies[owner, node]))
            sizes[owner] += more
    return tuple(kept)


def _has_room(forest: Forest, owner: int, node: int, tree: int) -> bool:
    """Whether all that is below `node` can be planted in the tree, too."""
    nodes = forest.trees[owner].nodes
    below = {node}
    for child in nodes[node + 1 :]:
        below |= {child.index} if child.parent in below else set()
    return len(forest.trees[tree].nodes) + len(below) <= MAX_NODES


def _copies(forest: Forest, owner: int, node: int, tree: int) -> dict[int, list[tuple[int, int]]]:
    """What paths name of single elements of a list, by index: nodes of `owner`, each with its like in the tree over the list's
    elements, where it is planted if need be."""
    nodes, inner = forest.trees[owner].nodes, forest.trees[tree]
    found: dict[int, list[tuple[int, int]]] = {}
    for index, child in nodes[node].indices.items():
        found[index] = pairs = [(child, 0)]
        for at, like in pairs:
            steps: list[ir.Key | ir.Index] = [*(ir.Key(name) for name in nodes[at].keys), *(ir.Index(n) for n in nodes[at].indices)]
            after = [*nodes[at].keys.values(), *nodes[at].indices.values()]
            pairs += [(below, inner.child(like, step)) for step, below in zip(steps, after, strict=True)]
    return found
