"""Holds paths and patterns of a message against its examples, before anything is decoded.

A path that no example has, or a pattern that none meets, is most likely misspelt: the finding shows what stands there instead.
May import `about`, `ir`, and the `ref*` modules that walk a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import ir
from .about import About
from .refjson import ARRAY, OBJECT, FrameError, Node, parse
from .refmatch import hold
from .refpath import Absent, Element, Found, elements, split, walk
from .refvalue import Place, RefusedError

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """A parsed example of the message as it is in the example's product.

    `reached`: whether `each` leads to anything; `elements`: what `match` leaves of that.
    """

    number: int
    root: Node
    reached: bool
    elements: tuple[Element, ...]


def check(about: About) -> None:
    """Finds wires that are no frames, and what no example of the message has."""
    bound = next(iter(about.bound.values()), about.message)
    samples: list[Sample] = []
    met: set[int] = set()
    for number, example in enumerate(about.message.examples, start=1):
        message = about.bound.get(example.product, bound)
        root = _parsed(about, message, number, example)
        if root is not None:
            samples.append(_sample(message, number, root, met))
    if not samples:
        return
    for index, match in enumerate(about.message.match):
        if index not in met:
            _unmet(about, match, samples)
    if not any(sample.reached for sample in samples):
        _no_element(about, samples)
    if not any(sample.elements for sample in samples):
        return
    for field in about.message.fields:
        if field.name not in about.faulty:
            _field(about, field, samples)


def _parsed(about: About, message: ir.Message, number: int, example: ir.Example) -> Node | None:
    try:
        return parse(example.wire.encode())
    except FrameError as error:
        if any(not match.path.steps and not match.path.element for match in message.match):
            return None  # a plain text, which only decoding can judge
        about.find_example(number, example.line, f"wire is not JSON: {error}")
        about.blocked = True
        return None


def _sample(message: ir.Message, number: int, root: Node, met: set[int]) -> Sample:
    """Notes in `met` which entries of `match` the example meets."""
    names: dict[str, Place] = {}
    for index, match in enumerate(message.match):
        if not match.path.element and (captures := held(match, root, 0, names)) is not None:
            met.add(index)
            names.update(captures)
    kept = []
    reached = [element for element in elements(root, message.each, names) if isinstance(element, Element)]
    for element in reached:
        own, fits = {**names, **element.captures}, True
        for index, match in enumerate(message.match):
            if match.path.element:
                captures = held(match, element.node, element.trail, own)
                fits = fits and captures is not None
                if captures is not None:
                    met.add(index)
                    own.update(captures)
        if fits:
            kept.append(element)
    return Sample(number, root, bool(reached), tuple(kept))


def held(match: ir.Match, node: Node, trail: int, names: dict[str, Place]) -> dict[str, Place] | None:
    """`refmatch.hold`, where a key given twice counts as not held."""
    try:
        return hold(match, node, trail, names)
    except RefusedError:
        return None


# --------------------------------------------------------------------------- findings


def unmet(match: ir.Match, root: Node, start: Node) -> str:
    """What stands where an entry of `match` wants something else."""
    reach = walk(start, 0, match.path.steps)
    if isinstance(reach, Found):
        return f'"{match.path.source}" is {show(reach.node)}'
    return _instead(match.path, start if match.path.element else root)


def spelled(match: ir.Match) -> str:
    """An entry of `match` as it is written."""
    wanted, excluded = _patterns(match.patterns), _patterns(match.excluded)
    parts = [f"is = {wanted}", *([f"not = {excluded}"] if match.excluded else []), *(["offline = true"] if match.offline else [])]
    return f'match "{match.path.source}" = ' + ("{ " + ", ".join(parts) + " }" if len(parts) > 1 else wanted)


def _patterns(texts: tuple[ir.Text, ...]) -> str:
    patterns = [f'"{pattern.source}"' for pattern in texts]
    return patterns[0] if len(patterns) == 1 else "[" + ", ".join(patterns) + "]"


def _unmet(about: About, match: ir.Match, samples: list[Sample]) -> None:
    first = samples[0]
    start = first.root
    if match.path.element:
        reached = [element for element in elements(first.root, about.message.each, {}) if isinstance(element, Element)]
        if not reached:
            return  # `each` itself finds nothing, which is told below
        start = reached[0].node
    what = f"no example meets it; in example {first.number}, {unmet(match, first.root, start)}"
    about.find(match.line, f"{spelled(match)}: {what}", blocks=True)


def _no_element(about: About, samples: list[Sample]) -> None:
    if any(example.expect for example in about.message.examples):
        sources = ", ".join(f'"{path.source}"' for path in about.message.each)
        what = f"each = {sources}: no example has it; {_instead(about.message.each[0], samples[0].root)}"
        about.find(about.line("each"), what, blocks=True)


def _field(about: About, field: ir.Field, samples: list[Sample]) -> None:
    sources = field.source.sources if isinstance(field.source, ir.FromFirst) else (field.source,)
    paths = [source.path for source in sources if isinstance(source, ir.FromPath | ir.FromMap)]
    if len(paths) < len(sources) or not paths or any(path.optional for path in paths):
        return
    if any(_has(path, sample) for path in paths for sample in samples):
        return
    sample = next(sample for sample in samples if sample.elements)
    path = paths[0]
    start = sample.elements[0].node if path.element else sample.root
    sources_text = f'"{path.source}"' if len(paths) == 1 else "any of " + ", ".join(f'"{path.source}"' for path in paths)
    hint = f'If it may be absent, write "{path.source}?"' if len(paths) == 1 else "If all may be absent, put ? behind them"
    about.find(field.line, f"{field.name}: no example has {sources_text}; {_instead(path, start)}. {hint}", field.name)


def _has(path: ir.Path, sample: Sample) -> bool:
    starts = [element.node for element in sample.elements] if path.element else [sample.root]
    return any(_reaches(node, path.steps) for node in starts)


def _reaches(node: Node, steps: tuple[ir.Step, ...]) -> bool:
    before, every, rest = split(steps)
    reach = walk(node, 0, before)
    if not isinstance(reach, Found):
        return isinstance(reach, Absent) is False  # a wrong container or a repeated key is for decoding to tell
    if every is None or reach.node.kind != ARRAY:
        return True
    return not reach.node.items or any(_reaches(item, rest) for item in reach.node.items)


def _instead(path: ir.Path, start: Node) -> str:
    """What is there: the last part of the way that exists, and what it holds."""
    node, count = start, 0
    steps = path.steps
    while count < len(steps):
        step = steps[count]
        if isinstance(step, ir.Every | ir.Members):
            if not node.items:
                break
            node = node.items[0]
        else:
            reach = walk(node, 0, (step,))
            if not isinstance(reach, Found):
                break
            node = reach.node
        count += 1
    place = spell(path.element, steps[:count])
    place = f'"{place}"' if place not in ("", "@") else place or "the frame"
    if node.kind == OBJECT:
        keys = ", ".join(member.key for member in node.members)
        wanted = steps[count] if count < len(steps) else None
        if isinstance(wanted, ir.Key) and any(member.key == wanted.name for member in node.members):
            return f"{place} has {wanted.name}, but empty"
        return f"{place} has {keys}" if keys else f"{place} is empty"
    if node.kind == ARRAY:
        return f"{place} has {len(node.items)} element{'' if len(node.items) == 1 else 's'}"
    return f"{place} is {show(node)}"


def spell(element: bool, steps: tuple[ir.Step, ...]) -> str:
    """A path from its steps."""
    text = "@" if element else ""
    for step in steps:
        if isinstance(step, ir.Key):
            text += f".{step.name}" if text else step.name
        elif isinstance(step, ir.Index):
            text += f"[{step.n}]"
        elif isinstance(step, ir.Every):
            text += "[-*]" if step.reverse else "[*]"
        elif isinstance(step, ir.Find):
            text += f"[{step.key}={step.text}]"
        else:
            text += f".${step.name}"
    return text


def show(node: Node) -> str:
    """A value in a few words."""
    if node.kind in (OBJECT, ARRAY):
        return "an object" if node.kind == OBJECT else "an array"
    text = node.text if len(node.text) <= _SHOWN else node.text[:_SHOWN] + "…"
    return f'"{text}"' if node.kind == "string" else text or "null"
