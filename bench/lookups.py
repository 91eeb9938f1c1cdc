"""The tree of lookups in the frames of a product: which places its messages name, where their examples have them, in which order.

May import `k4._codegen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from k4._codegen import ir, refjson


class FillError(Exception):
    """Something in a message that the peers have no words for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A value as an example has it: the how many-th of its container, and its JSON type."""

    position: int
    kind: str


@dataclass(eq=False, slots=True)
class Node:
    """A place in a frame.

    `step` None: the root, or the first of `either` that is there. `seen`: by message, where its examples have it. `users`: messages that
    take something from it or from below. `shared`: looked up before messages are told apart, and `ahead`: so by a reader that cannot go
    back. `optional`: some message may lack it.
    """

    number: int
    parent: Node | None
    step: ir.Step | None
    either: tuple[Node, ...] = ()
    children: list[Node] = field(default_factory=list)
    seen: dict[int, Seen] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)
    shared: bool = False
    ahead: bool = False
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
    def named(self) -> bool:
        return isinstance(self.step, ir.Key)

    @property
    def loop(self) -> bool:
        return isinstance(self.step, ir.Every)

    @property
    def leaf(self) -> bool:
        return all(seen.kind not in (refjson.OBJECT, refjson.ARRAY) for seen in self.seen.values())

    def below(self, number: int) -> list[Node]:
        """What a message takes from here, in the order of its examples."""
        found = [child for child in self.children if number in child.users and number in child.seen]
        return sorted(found, key=lambda child: child.seen[number].position)

    def began(self) -> list[Node]:
        """What is looked up ahead from here, in the order of the first message that has it."""
        found = [child for child in self.children if child.ahead]
        return sorted(found, key=lambda child: next(iter(child.seen.values())).position)


@dataclass(frozen=True, slots=True)
class Block:
    """Lookups in one container: `keys` and `indexes` in order; `either`: what stands for the first of several places that is there."""

    node: Node
    keys: tuple[Node, ...]
    indexes: tuple[Node, ...]
    either: tuple[Node, ...] = ()


class Tree:
    """All places that the messages of a product name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.root = self._node(None, None)

    def _node(self, parent: Node | None, step: ir.Step | None, either: tuple[Node, ...] = ()) -> Node:
        node = Node(len(self.nodes), parent, step, either)
        self.nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        return node

    def node(self, steps: Sequence[ir.Step], start: Node) -> Node:
        """The place at the end of `steps`. Raises FillError for steps that peers do not take."""
        for step in steps:
            if not isinstance(step, ir.Key | ir.Every) and not (isinstance(step, ir.Index) and step.n >= 0):
                raise FillError(f"a step {type(step).__name__}")
            start = next((child for child in start.children if child.step == step), None) or self._node(start, step)
        return start

    def element(self, each: tuple[ir.Path, ...]) -> Node:
        """What `@` is."""
        nodes = tuple(self.node(path.steps, self.root) for path in each)
        if len(nodes) < 2:
            return nodes[0] if nodes else self.root
        if any(node.loop for node in nodes):
            raise FillError("several lists of elements")
        for node in nodes:
            node.optional = True
        known = next((child for child in self.root.children if child.either == nodes), None)
        return known or self._node(self.root, None, nodes)

    def look(self, frame: bytes, number: int) -> None:
        """Says of every place what an example of a message has there."""
        self._look(self.root, refjson.parse(frame), number, 0)

    def _look(self, node: Node, value: refjson.Node, number: int, position: int) -> None:
        if value.kind == refjson.NULL:
            return
        if node.seen.setdefault(number, Seen(position, value.kind)).kind != value.kind:
            raise FillError("a value that is now of one type, now of another")
        for child in node.children:
            for at, found in _found(child, value):
                self._look(child, found, number, at)

    def share(self, asked: Iterable[Node], numbers: Sequence[int]) -> None:
        """Marks what is looked up before messages are told apart: what is asked of them and what all of them take, outside of lists; and,
        ahead for those who cannot go back, what is asked and the values in front of it."""
        common = [node for node in self.nodes if node.users.issuperset(numbers)]
        for node in with_way([*asked, *common]):
            node.shared = not in_list(node)
        way = with_way(asked)
        for node in way:
            node.ahead = True
        for node in way:
            last = max((self._first(child) for child in node.children if child in way), default=-1)
            for child in node.children:
                child.ahead |= child.leaf and bool(child.users) and self._first(child) < last

    def _first(self, node: Node) -> int:
        return next((seen.position for seen in node.seen.values()), 1000)

    def head(self) -> tuple[Block, ...]:
        return tuple(blocks(self.root, lambda node: node.shared, self._first))


def _found(child: Node, value: refjson.Node) -> Iterator[tuple[int, refjson.Node]]:
    if child.named:
        yield from ((i, member.value) for i, member in enumerate(value.members) if member.key == child.key)
    elif child.loop:
        yield from ((0, item) for item in value.items)
    elif child.step is not None:
        yield from ((i, item) for i, item in enumerate(value.items) if i == child.index)
    else:  # the first of several places that is there
        yield len(value.members), next((member.value for one in child.either if one.step for member in value.named(one.key)), value)


def with_way(nodes: Iterable[Node]) -> dict[Node, None]:
    """The nodes with all that leads to them, in the order in which they were made."""
    out: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        out.add(node)
        waiting += [*node.either, *([node.parent] if node.parent is not None else [])]
    return dict.fromkeys(sorted(out, key=lambda node: node.number))


def in_list(node: Node | None) -> bool:
    while node is not None and not node.loop:
        node = node.parent
    return node is not None


def blocks(start: Node, wanted: Callable[[Node], bool], order: Callable[[Node], int]) -> Iterator[Block]:
    """Lookups below a node, containers before what they hold; lists are not entered."""
    plain = sorted((child for child in start.children if not child.loop and wanted(child)), key=order)
    keys = tuple(child for child in plain if child.named)
    indexes = tuple(child for child in plain if isinstance(child.step, ir.Index))
    if keys or indexes:
        yield Block(start, keys, indexes)
    for child in plain:
        if child.either:
            yield Block(child, (), (), child.either)
    for child in start.children:
        if not child.loop and (wanted(child) or child.shared):
            yield from blocks(child, wanted, order)
