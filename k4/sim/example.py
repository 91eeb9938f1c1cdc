"""Examples as the simulator sees them: parsed, with where their fields stand and what they say.

Imports `spell` and, of the generator, `ir`, `refjson` and `refmatch`.
"""

from __future__ import annotations

from dataclasses import dataclass

from k4._codegen import ir
from k4._codegen.refjson import FrameError, Node, parse
from k4._codegen.refmatch import fits
from k4.sim.spell import Simple, mapped_value, simple_sources


@dataclass(frozen=True, slots=True)
class Wire:
    """An example, parsed."""

    data: bytes
    root: Node
    product: str  # whose it is
    symbol: str  # of the instrument it tells of, "" if none

    @staticmethod
    def of(example: ir.Example) -> Wire | None:
        """None: the example is no JSON, a bare word."""
        data = example.wire.encode()
        try:
            symbol = next((str(value) for record in example.expect for name, value in record if name == "symbol"), "")
            return Wire(data, parse(data), example.product, symbol)
        except FrameError:
            return None


def wires(message: ir.Message, product: str) -> list[Wire]:
    """The parsed examples to speak from: the product's own, then those of others, which have the same layout where it has none."""
    ordered = sorted(message.examples, key=lambda example: example.product != product)
    return [wire for example in ordered if (wire := Wire.of(example)) is not None]


def rank(message: ir.Message, wire: Wire, product: str) -> tuple[bool, bool, int]:
    """How good an example is to speak from, best first: it shows all prices and quantities, is the product's own, shows most fields."""
    starts = [node for path in message.each if (node := walk(wire.root, path.steps)) is not None]
    fields = [spec for spec in message.fields if simple_sources(spec.source)]
    found = {
        spec.name
        for spec in fields
        if place(spec, wire.root, element=False) or any(place(spec, start, element=True) is not None for start in starts)
    }
    lacks = any(spec.name.endswith(("price", "qty")) and spec.name not in found for spec in fields)
    return lacks, wire.product != product, -len(found)


def says(message: ir.Message, wire: Wire, name: str) -> bool | None:
    """What an example says of a flag (`snapshot`, `backfill`); None: the message has no such field."""
    spec = message.field(name)
    if spec is None:
        return None
    if isinstance(spec.source, ir.FromText):
        return spec.source.text == "true"
    for source in simple_sources(spec.source):
        starts = (
            [node for path in message.each if (node := walk(wire.root, path.steps)) is not None] if source.path.element else [wire.root]
        )
        for start in starts:
            node = walk(start, source.path.steps)
            if node is not None:
                return bool(mapped_value(source, node.text)) if isinstance(source, ir.FromMap) else node.text == "true"
    return None


def holds(message: ir.Message, text: str) -> bool:
    """Does what stands at a frame's root say that it is this message?"""
    try:
        root = parse(text.encode())
    except FrameError:
        return False
    for match in message.match:
        if match.path.element:
            continue
        node = walk(root, match.path.steps)
        if node is None or node.absent:
            fitting = any(pattern.absent for pattern in match.patterns)
        else:
            fitting = any(
                pattern.any or (not pattern.absent and fits(pattern.parts, node.text, {}) is not None) for pattern in match.patterns
            )
        if not fitting:
            return False
    return True


def walk(node: Node | None, steps: tuple[ir.Step, ...]) -> Node | None:
    """The value the steps lead to, None where there is none; `[*]` and `.$name` go to the first element."""
    for step in steps:
        if node is None:
            return None
        match step:
            case ir.Key(name):
                node = next((member.value for member in node.members if member.key == name), None)
            case ir.Index(n):
                node = node.items[n] if -len(node.items) <= n < len(node.items) else None
            case ir.Every():
                node = node.items[0] if node.items else None
            case ir.Find(key, text):
                node = next((item for item in node.items if any(m.key == key and m.value.text == text for m in item.members)), None)
            case ir.Members():
                node = node.members[0].value if node.members else None
    return node


def place(spec: ir.Field, start: Node, *, element: bool) -> tuple[Node, Simple] | None:
    """Where the field stands in the example: its first source that leads anywhere. Of levels, their list."""
    for source in simple_sources(spec.source):
        if source.path.element != element:
            continue
        every = next((i for i, step in enumerate(source.path.steps) if isinstance(step, ir.Every)), None)
        node = walk(start, source.path.steps if every is None else source.path.steps[:every])
        if node is not None:
            return node, source
    return None


def reach(node: Node, steps: tuple[ir.Step, ...]) -> list[Node]:
    """All values the steps lead to."""
    found = [node]
    for step in steps:
        if isinstance(step, ir.Every):
            found = [item for one in found for item in one.items]
        elif isinstance(step, ir.Members):
            found = [member.value for one in found for member in one.members]
        else:
            found = [value for one in found if (value := walk(one, (step,))) is not None]
    return found
