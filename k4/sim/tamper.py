"""Changes messages that are to be told, at the places that the spec's paths name: ids, prices, checksums, keys, whoever the venue is.

What is no JSON (SBE) can be left out, repeated and delayed, and is not changed. Imports `example`, `spell`, `voice` and, of the generator,
`ir`, `refjson`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from k4._codegen import ir
from k4._codegen.refjson import ARRAY, OBJECT, STRING, FrameError, Node, parse
from k4.sim.example import holds, reach
from k4.sim.spell import simple_sources
from k4.sim.voice import Said

IDS = ("update_id", "trade_id", "agg_id", "first_id", "last_id", "prev_id")
# What a record cannot be without, in the order in which a fault takes one.
NEEDED = ("bid_price", "price", "ask_price", "qty", "bid_qty")
LAST = ("bid_qty", "qty", "ask_qty", "price")  # of the same, what has least behind it where values stand in lists

Edit = tuple[int, int, str]


@dataclass(slots=True)
class Told:
    """A message on its way to one client. `memory`: of this fault on this client's stream, `shared`: of this fault on all clients.

    In `memory`, "more" asks for the stream's next message too.
    """

    said: Said
    message: ir.Message
    symbol: str
    options: Mapping[str, float | str]
    random: Random
    memory: MutableMapping[str, Any]
    shared: MutableMapping[Any, Any]
    schema: ir.SbeSchema | None = None  # of a message in SBE
    _root: Node | None = None
    _parents: dict[int, Node] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return self.said.encode() if isinstance(self.said, str) else self.said

    @property
    def root(self) -> Node | None:
        """None: it is no JSON."""
        if self._root is None and isinstance(self.said, str):
            try:
                self._root = parse(self.data)
            except FrameError:
                return None
            self._note(self._root)
        return self._root

    def nodes(self, *names: str) -> list[Node]:
        """The scalars of the fields of these names, in their order, levels included."""
        if self.root is None:
            return []
        found: list[Node] = []
        for name in names:
            spec = self.message.field(name)
            for source in () if spec is None else simple_sources(spec.source):
                each = [node for path in self.message.each for node in reach(self.root, path.steps)]
                starts = each if source.path.element else [self.root]
                own = [node for start in starts for node in reach(start, source.path.steps) if node.scalar]
                found += own
                if own:
                    break
        return list({(node.start, node.end): node for node in found}.values())

    def key(self, node: Node) -> tuple[int, int, str] | None:
        """Where the key of a member's value begins, where the member ends, and its name; None: it is no member."""
        parent = self._parents.get(node.start)
        for member in () if parent is None else parent.members:
            if member.value.start == node.start:
                return member.start, node.end, member.key
        return None

    def parent(self, node: Node) -> Node | None:
        return self._parents.get(node.start)

    def without(self, node: Node) -> Edit:
        """The edit that takes a value away, with its key and a comma."""
        found = self.key(node)
        start, end = (node.start, node.end) if found is None else found[:2]
        data = self.data
        after = end
        while data[after : after + 1].isspace():
            after += 1
        if data[after : after + 1] == b",":
            return start, after + 1, ""
        before = start
        while data[before - 1 : before].isspace():
            before -= 1
        return (before - 1 if data[before - 1 : before] == b"," else start), end, ""

    def put(self, *edits: Edit) -> str:
        """The text with the edits made."""
        out = self.data
        for start, end, text in sorted(edits, reverse=True):
            out = out[:start] + text.encode() + out[end:]
        return out.decode()

    def _note(self, node: Node) -> None:
        for child in (*(member.value for member in node.members), *node.items):
            self._parents[child.start] = node
            self._note(child)


Out = list[tuple[float, Said]]  # seconds from now, message
Alter = Callable[[Told], Out | None]  # None: this message has nothing to change


def message_of(messages: Sequence[ir.Message], said: Said) -> int | None:
    """Which message of a product a recorded frame is."""
    if not isinstance(said, str):
        return None
    pushed = [(i, one) for i, one in enumerate(messages) if one.channel is not None and one.template is None]
    return next((i for i, one in pushed if holds(one, said)), None)


# --------------------------------------------------------------------------- whole messages


def gap(_: Told) -> Out:
    return []


def stuck(told: Told) -> Out:
    """Nothing of the stream from here on, until it is ended."""
    told.memory["more"] = True
    return []


def duplicate(told: Told) -> Out:
    return [(0.0, told.said), (0.0, told.said)]


def reorder(told: Told) -> Out:
    """Kept until the stream's next one has gone before it."""
    held = told.memory.pop("more", None)
    if held is None:
        told.memory["more"] = told.said
        return []
    return [(0.0, told.said), (0.0, held)]


def late(told: Told) -> Out:
    return [(float(told.options["ms"]) / 1000, told.said)]


def malformed(told: Told) -> Out | None:
    """Half of it, as a whole message."""
    return [(0.0, told.said[: len(told.said) // 2])] if isinstance(told.said, str) else None


# --------------------------------------------------------------------------- ids


def _numbers(told: Told) -> list[tuple[str, Node]]:
    found: dict[tuple[int, int], tuple[str, Node]] = {}
    for name in IDS:
        for node in told.nodes(name):
            if node.text.isascii() and node.text.isdigit():
                found.setdefault((node.start, node.end), (name, node))
    return list(found.values())


def _family(name: str, told: Told) -> tuple[str, str]:
    if name == "agg_id":
        return "agg", told.symbol
    trades = told.message.field("update_id") is None
    return "trade" if trades else f"update {told.message.line}", told.symbol


def _renumber(told: Told, change: Callable[[int, int], int]) -> Out | None:
    """Every id by `change(id, the lowest when the fault began)`; for all clients and from then on."""
    edits: list[Edit] = []
    numbers = _numbers(told)
    for name, node in numbers:
        family = _family(name, told)
        lowest = told.shared.setdefault(family, min(int(one.text) for of, one in numbers if _family(of, told) == family))
        edits.append(_text(node, str(change(int(node.text), lowest))))
    return [(0.0, told.put(*edits))] if edits else None


def id_reset(told: Told) -> Out | None:
    return _renumber(told, lambda number, lowest: max(number - lowest + 1, 0))


def id_wrap(told: Told) -> Out | None:
    """They run up to the largest, and begin again at 0."""
    top = 2**63
    return _renumber(told, lambda number, lowest: (number - lowest + top - int(float(told.options["left"]))) % top)


def id_zero(told: Told) -> Out | None:
    edits = [_text(node, "0") for _, node in _numbers(told)]
    return [(0.0, told.put(*edits))] if edits else None


# --------------------------------------------------------------------------- values


def _text(node: Node, text: str) -> Edit:
    """`text` in place of a scalar, in quotes if that was."""
    return node.start, node.end, f'"{text}"' if node.kind == STRING else text


def value(text: str) -> Alter:
    """The first needed number becomes this, in quotes if it was."""

    def alter(told: Told) -> Out | None:
        nodes = told.nodes(*NEEDED)
        return [(0.0, told.put(_text(nodes[0], text)))] if nodes else None

    return alter


def token(text: str) -> Alter:
    """The first needed number becomes this JSON."""

    def alter(told: Told) -> Out | None:
        nodes = told.nodes(*NEEDED)
        return [(0.0, told.put((nodes[0].start, nodes[0].end, text)))] if nodes else None

    return alter


def missing_key(told: Told) -> Out | None:
    """A key goes with its value; a list ends in front of it."""
    for node in told.nodes(*LAST):
        parent = told.parent(node)
        if parent is not None and parent.kind == ARRAY:
            at = parent.items.index(node)
            return [(0.0, told.put((parent.items[at - 1].end if at else node.start, parent.items[-1].end, "")))]
        return [(0.0, told.put(told.without(node)))]
    return None


def _keyed(told: Told) -> tuple[int, int, str] | None:
    """Of a key on the way to a needed value: where it begins, where its value ends, and its name. A quote may do without a side's list."""
    for node in told.nodes(*NEEDED):
        at: Node | None = node
        while at is not None:
            found = told.key(at)
            if found is not None:
                return found if at is node or "bbo" not in told.message.records else None
            at = told.parent(at)
    return None


def double_key(told: Told) -> Out | None:
    found = _keyed(told)
    if found is None:
        return None
    start, end, _ = found
    member = told.data[start:end].decode()
    return [(0.0, told.put((end, end, "," + member)))]


def renamed_key(told: Told) -> Out | None:
    found = _keyed(told)
    if found is None:
        return None
    start, _, key = found
    quoted = told.data.index(b'"', start + 1) + 1 if "\\" not in key else start
    return [(0.0, told.put((start, quoted, '"k4_renamed"')))]


def extra_key(told: Told) -> Out | None:
    """One more in every object."""
    if told.root is None:
        return None
    opened = [told.root] if told.root.kind == OBJECT else []
    rest = [told.root]
    while rest:
        node = rest.pop()
        children = [*(member.value for member in node.members), *node.items]
        opened += [child for child in children if child.kind == OBJECT and child.members]
        rest += [child for child in children if child.kind in (OBJECT, ARRAY)]
    edits = [(node.start + 1, node.start + 1, '"k4_extra":{"a":[1]},') for node in opened]
    return [(0.0, told.put(*edits))] if edits else None


def symbol(text: str) -> Alter:
    """Another name wherever the message has the instrument's."""

    def alter(told: Told) -> Out | None:
        nodes = told.nodes("symbol")
        return [(0.0, told.put(*(_text(node, text) for node in nodes)))] if nodes else None

    return alter


def checksum(told: Told) -> Out | None:
    edits = [_text(node, str(int(node.text) ^ 1)) for node in told.nodes("checksum")]
    return [(0.0, told.put(*edits))] if edits else None


def chain_break(told: Told) -> Out | None:
    """The update says that it follows one that nobody has seen."""
    nodes = told.nodes("prev_id") or told.nodes("first_id")
    if not told.message.book or not nodes:
        return None
    return [(0.0, told.put(*(_text(node, str(int(node.text) + 3)) for node in nodes if node.text.isdigit())))]


def crossed(told: Told) -> Out | None:
    """Of a quote, the prices of the two sides change places."""
    bids, asks = told.nodes("bid_price"), told.nodes("ask_price")
    if len(bids) != 1 or len(asks) != 1:
        return None
    return [(0.0, told.put(_text(bids[0], asks[0].text), _text(asks[0], bids[0].text)))]
