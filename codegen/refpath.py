"""Walking a path through a parsed frame, with what docs/decoding.md says about absence, wrong containers and repeated keys.

May import `ir`, `refjson`, `refvalue`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import ir
from .refjson import ARRAY, OBJECT, STRING, Member, Node, is_text
from .refvalue import Place


@dataclass(frozen=True, slots=True)
class Found:
    """A present value. `trail`: the innermost object on the way to it (0: none)."""

    node: Node
    trail: int


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing is there; `trail` is where `missing` is reported."""

    trail: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """The way itself is refused: `type` (a step into a value that is no such container) or `duplicate`."""

    code: str
    offset: int


Reach = Found | Absent | Wrong


@dataclass(frozen=True, slots=True)
class Element:
    """What `@` is: the value, the innermost object on the way to it, and what `.$name` steps captured."""

    node: Node
    trail: int
    captures: Mapping[str, Place]


def walk(node: Node, trail: int, steps: tuple[ir.Step, ...]) -> Reach:
    """The value at the end of `steps`, none of which is `[*]` or `.$name`."""
    for step in steps:
        if node.absent:
            return Absent(trail)
        reach = _step(node, trail, step)
        if not isinstance(reach, Found):
            return reach
        node, trail = reach.node, reach.trail
    return Absent(trail) if node.absent else Found(node, trail)


def _step(node: Node, trail: int, step: ir.Step) -> Reach:
    if isinstance(step, ir.Key):
        if node.kind != OBJECT:
            return Wrong("type", node.start)
        return _member(node, step.name)
    if node.kind != ARRAY:
        return Wrong("type", node.start)
    if isinstance(step, ir.Index):
        inside = -len(node.items) <= step.n < len(node.items)
        return Found(node.items[step.n], trail) if inside else Absent(trail)
    if isinstance(step, ir.Find):
        return _find(node, trail, step)
    raise ValueError(f"a step of {type(step).__name__} leads to more than one value")


def _member(node: Node, name: str) -> Reach:
    hits = node.named(name)
    if len(hits) > 1:
        return Wrong("duplicate", hits[1].start)
    return Found(hits[0].value, node.start) if hits else Absent(node.start)


def _find(node: Node, trail: int, step: ir.Find) -> Reach:
    for item in node.items:
        if item.kind != OBJECT:
            continue
        reach = _member(item, step.key)
        if isinstance(reach, Wrong):
            return reach
        if isinstance(reach, Found) and reach.node.scalar and reach.node.text == step.text:
            return Found(item, trail)
    return Absent(trail)


def second_keys(node: Node, steps: tuple[ir.Step, ...]) -> Iterator[int]:
    """Where keys that the path needs stand a second time; the way goes on through the first of them (rule 3)."""
    for step in steps:
        if isinstance(step, ir.Key):
            hits = node.named(step.name)
            if len(hits) > 1:
                yield hits[1].start
            if not hits:
                return
            node = hits[0].value
            continue
        if node.kind != ARRAY:
            return
        reach = _step(node, 0, step)
        if not isinstance(reach, Found):
            if isinstance(reach, Wrong):
                yield reach.offset
            return
        node = reach.node


def split(steps: tuple[ir.Step, ...]) -> tuple[tuple[ir.Step, ...], ir.Every | ir.Members | None, tuple[ir.Step, ...]]:
    """The steps before, at and behind the first one that leads to several values."""
    for i, step in enumerate(steps):
        if isinstance(step, ir.Every | ir.Members):
            return steps[:i], step, steps[i + 1 :]
    return steps, None, ()


def elements(root: Node, paths: tuple[ir.Path, ...], known: Mapping[str, Place]) -> list[Element | Wrong]:
    """What `each` reaches: the first of its paths that exists. A path that runs into a wrong container does not; but if none
    exists, the first such is what is reported."""
    wrong: Wrong | None = None
    for path in paths:
        before, step, _ = split(path.steps)
        reach = _container(walk(root, 0, before), step)
        if isinstance(reach, Found):
            return list(_expand(root, 0, path.steps, {}, known))
        if isinstance(reach, Wrong):
            if reach.code == "duplicate":
                return [reach]
            wrong = wrong or reach
    return [] if wrong is None else [wrong]


def _container(reach: Reach, step: ir.Every | ir.Members | None) -> Reach:
    """`reach`, refused where a `[*]` or `.$name` step finds another kind of value there."""
    if step is None or not isinstance(reach, Found):
        return reach
    wanted = ARRAY if isinstance(step, ir.Every) else OBJECT
    return reach if reach.node.kind == wanted else Wrong("type", reach.node.start)


def _expand(
    node: Node, trail: int, steps: tuple[ir.Step, ...], captures: Mapping[str, Place], known: Mapping[str, Place]
) -> Iterator[Element | Wrong]:
    before, step, rest = split(steps)
    reach = _container(walk(node, trail, before), step)
    if isinstance(reach, Absent):
        return
    if isinstance(reach, Wrong):
        yield reach
    elif step is None:
        yield Element(reach.node, reach.trail, captures)
    elif isinstance(step, ir.Every):
        for item in reversed(reach.node.items) if step.reverse else reach.node.items:
            yield from _each(item, reach.trail, rest, captures, known)
    else:
        for member in reach.node.members:
            yield from _each_member(reach.node, member, step.name, rest, captures, known)


def _each(
    item: Node, trail: int, rest: tuple[ir.Step, ...], captures: Mapping[str, Place], known: Mapping[str, Place]
) -> Iterator[Element | Wrong]:
    """One element, also where it is null: that it lacks its fields is then said of it."""
    if rest:
        yield from _expand(item, trail, rest, captures, known)
    else:
        yield Element(item, trail, captures)


def _each_member(
    node: Node, member: Member, name: str, rest: tuple[ir.Step, ...], captures: Mapping[str, Place], known: Mapping[str, Place]
) -> Iterator[Element | Wrong]:
    second = [other.start for other in node.members if other.key == member.key][1:]
    before = captures.get(name) or known.get(name)
    if before is not None and before.text != member.key:
        return
    if second:
        yield Wrong("duplicate", second[0])
    elif not is_text(member.key):
        yield Wrong("utf8", member.start)
    else:
        yield from _each(member.value, node.start, rest, {**captures, name: Place(member.key, member.start, STRING)}, known)
