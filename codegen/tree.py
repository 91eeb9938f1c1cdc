"""All paths of a product's messages as trees of keys and indices: what one pass over a frame has to mark.

The root's tree holds the paths from the root of the frame. Where a path goes on behind a step that chooses among elements (`[*]`,
`[-1]`, `[key=text]`, `.$name`), another tree begins, over each such element; a `Hop` leads there. May import `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import ir

MAX_DEPTH = 32  # containers open at once; what a path wants further in is refused with its frame
MAX_NODES = 255
MOST_MARKS = 512  # of a tree over elements, with those of the lists in it; csrc/k4_parse.h has the same


@dataclass(slots=True)
class Node:
    """A place that a path names or passes. `depth`: containers around it, counted from the frame."""

    index: int
    parent: int
    step: ir.Key | ir.Index | None
    depth: int
    keys: dict[str, int] = field(default_factory=dict)
    indices: dict[int, int] = field(default_factory=dict)

    @property
    def walked(self) -> bool:
        """Whether the walk goes into the value."""
        return bool(self.keys or self.indices) and self.depth < MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Hop:
    """From a node to elements of its value: `tree` over each, `leaf` where the path goes on in it."""

    step: ir.Every | ir.Members | ir.Index | ir.Find
    tree: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Spot:
    """The end of a path: a node of a tree, and hops behind it."""

    tree: int
    node: int
    hops: tuple[Hop, ...]

    @property
    def end(self) -> tuple[int, int]:
        """The tree and node where the value is marked."""
        return (self.hops[-1].tree, self.hops[-1].leaf) if self.hops else (self.tree, self.node)


class Tree:
    """Paths from one kind of value. Children have higher indices than their parents; node 0 is the value itself."""

    def __init__(self, number: int, depth: int) -> None:
        self.number = number
        self.nodes: list[Node] = [Node(0, 0, None, depth)]

    def child(self, parent: int, step: ir.Key | ir.Index) -> int:
        node = self.nodes[parent]
        known = node.keys.get(step.name) if isinstance(step, ir.Key) else node.indices.get(step.n)
        if known is not None:
            return known
        index = len(self.nodes)
        self.nodes.append(Node(index, parent, step, node.depth + 1))
        if isinstance(step, ir.Key):
            node.keys[step.name] = index
        else:
            node.indices[step.n] = index
        return index

    def way(self, node: int) -> tuple[int, ...]:
        """The nodes from below the root down to `node`."""
        found: list[int] = []
        while node:
            found.append(node)
            node = self.nodes[node].parent
        return tuple(reversed(found))

    def holder(self, node: int) -> int | None:
        """The innermost object around `node` on the way to it, or None: there is none in this tree."""
        while node:
            if isinstance(self.nodes[node].step, ir.Key):
                return self.nodes[node].parent
            node = self.nodes[node].parent
        return None


class Forest:
    """The trees of one product. Tree 0 is the frame's."""

    def __init__(self) -> None:
        self.trees: list[Tree] = [Tree(0, 0)]
        self._hops: dict[tuple[int, int, object], int] = {}

    def over(self, tree: int, node: int, step: ir.Every | ir.Members | ir.Index | ir.Find) -> int:
        """The tree over the elements that `step` reaches. All elements of a container share one, whatever order they come in."""
        key = (tree, node, "every" if isinstance(step, ir.Every) else "members" if isinstance(step, ir.Members) else step)
        number = self._hops.get(key)
        if number is None:
            number = self._hops[key] = len(self.trees)
            self.trees.append(Tree(number, self.trees[tree].nodes[node].depth + 1))
        return number

    def spot(self, steps: tuple[ir.Step, ...], start: tuple[int, int] = (0, 0)) -> Spot:
        """Where `steps` end, counted from a node of a tree; what is missing on the way is planted."""
        tree, node = start
        first: int | None = None
        hops: list[Hop] = []
        for step in steps:
            if isinstance(step, ir.Key) or (isinstance(step, ir.Index) and step.n >= 0):
                node = self.trees[tree].child(node, step)
                continue
            if first is None:
                first = node
            else:
                hops[-1] = Hop(hops[-1].step, tree, node)
            tree, node = self.over(tree, node, step), 0
            hops.append(Hop(step, tree, 0))
        if first is None:
            return Spot(start[0], node, ())
        hops[-1] = Hop(hops[-1].step, tree, node)
        return Spot(start[0], first, tuple(hops))
