"""What is certain about every frame of a layout, and which messages could take such a frame.

A layout fixes all keys and some texts; the rest varies. `Shape` says for each place what is known there, and `could_take` proves
from that alone that a message never takes a frame of this layout. "Perhaps" counts as yes: the fast tier must be certain.
May import `ir`, `refmatch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from . import ir
from .refmatch import fits

Path = tuple[str | int, ...]


class Kind(Enum):
    """What is known about a place."""

    OBJECT = auto()  # `members`, and no others
    ARRAY = auto()  # `items`, exactly these
    LOOP = auto()  # any number of `items[0]`
    FIXED = auto()  # a scalar with exactly this `text`
    FRAMED = auto()  # a text of `prefix`, at least one character, `suffix`
    PRESENT = auto()  # some scalar that is there
    ABSENT = auto()  # not there, null or ""
    UNKNOWN = auto()  # some scalar, null and "" included


@dataclass(frozen=True, slots=True)
class Shape:
    kind: Kind
    text: str = ""
    prefix: str = ""
    suffix: str = ""
    members: tuple[tuple[str, Shape], ...] = ()
    items: tuple[Shape, ...] = ()

    @property
    def container(self) -> bool:
        return self.kind in (Kind.OBJECT, Kind.ARRAY, Kind.LOOP)

    def member(self, name: str) -> Shape:
        return next((shape for key, shape in self.members if key == name), NOT_THERE)


NOT_THERE = Shape(Kind.ABSENT)
ANYTHING = Shape(Kind.UNKNOWN)


def fitting(pattern: ir.Text, shape: Shape) -> bool | None:
    """Whether a value of this shape fits the pattern: certainly, certainly not, or None for perhaps."""
    if shape.kind is Kind.UNKNOWN:
        return None
    if pattern.absent or shape.kind is Kind.ABSENT:
        return pattern.absent and shape.kind is Kind.ABSENT
    if pattern.any:
        return True
    if shape.container:
        return False
    if shape.kind is Kind.FIXED:
        return False if fits(_open(pattern), shape.text, {}) is None else (True if _plain(pattern) else None)
    if shape.kind is Kind.FRAMED:
        return None if _may_meet(pattern, shape) else False
    return None


def could_take(message: ir.Message, root: Shape, opening: str) -> bool:
    """False: no frame of this shape, whose text begins with `opening`, is ever taken by the message."""
    if not message.json:
        return False
    near = [match for match in message.match if match.path.element]
    for match in message.match:
        if match.path.element or match.offline:  # on a connection, that proves nothing
            continue
        if not match.path.steps:
            # Tried on the bare text too, before it is read as JSON.
            bare = Shape(Kind.FRAMED, prefix=opening)
            if not any(pattern.any or fitting(pattern, bare) is not False for pattern in match.patterns):
                return False
        elif _never(match, root):
            return False
    if not near:
        return True
    return any(not any(_never(match, element) for match in near if not match.offline) for element in _elements(message, root))


def _never(match: ir.Match, start: Shape) -> bool:
    shape = walk(start, match.path.steps)
    if shape is None or all(fitting(pattern, shape) is False for pattern in match.patterns):
        return True
    return any(fitting(pattern, shape) for pattern in match.excluded)


def walk(shape: Shape, steps: tuple[ir.Step, ...]) -> Shape | None:
    """What is known at the end of a path. None: the way runs into a value that is no such container."""
    for step in steps:
        if shape.kind in (Kind.ABSENT, Kind.UNKNOWN):
            return shape
        if isinstance(step, ir.Key):
            if shape.kind is not Kind.OBJECT:
                return None
            shape = shape.member(step.name)
        elif shape.kind is Kind.ARRAY and isinstance(step, ir.Index):
            inside = -len(shape.items) <= step.n < len(shape.items)
            shape = shape.items[step.n] if inside else NOT_THERE
        elif shape.kind in (Kind.ARRAY, Kind.LOOP):
            return ANYTHING
        else:
            return None
    return shape


def _elements(message: ir.Message, root: Shape) -> Iterator[Shape]:
    """Everything `@` could be: what each path of `each` reaches, since which of them exists may not be known."""
    for path in message.each or (ir.Path(False, (), False, "."),):
        yield from _expand(root, path.steps)


def _expand(shape: Shape, steps: tuple[ir.Step, ...]) -> Iterator[Shape]:
    if not steps:
        yield shape
        return
    if isinstance(steps[0], ir.Every):
        for item in shape.items:
            yield from _expand(item, steps[1:])
        return
    if isinstance(steps[0], ir.Members | ir.Find):
        yield ANYTHING
        return
    found = walk(shape, steps[:1])
    if found is not None and found.kind is not Kind.ABSENT:
        yield from _expand(found, steps[1:])


def _open(pattern: ir.Text) -> tuple[ir.Lit | ir.Ref | ir.Star, ...]:
    """The pattern with captures that know nothing of each other: it fits whatever the pattern fits."""
    return tuple(ir.Ref(f"{i}", part.lower) if isinstance(part, ir.Ref) else part for i, part in enumerate(pattern.parts))


def _plain(pattern: ir.Text) -> bool:
    return all(isinstance(part, ir.Lit) for part in pattern.parts)


def _may_meet(pattern: ir.Text, shape: Shape) -> bool:
    """Whether some text begins and ends as both the pattern and the shape say."""
    first, last = pattern.parts[0], pattern.parts[-1]
    front = first.text if isinstance(first, ir.Lit) else ""
    back = last.text if isinstance(last, ir.Lit) else ""
    if _plain(pattern):
        inside = len(front) > len(shape.prefix) + len(shape.suffix)
        return inside and front.startswith(shape.prefix) and front.endswith(shape.suffix)
    fronts = front.startswith(shape.prefix) or shape.prefix.startswith(front)
    return fronts and (back.endswith(shape.suffix) or shape.suffix.endswith(back))
