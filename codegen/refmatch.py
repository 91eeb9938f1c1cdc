"""Patterns: whether a value's text fits one, and what its captures hold then (rule 10).

May import `ir`, `refjson`, `refpath`, `refvalue`.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import ir
from .refjson import Node, is_text
from .refpath import Absent, Found, Wrong, walk
from .refvalue import Place, RefusedError

_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(0x41, 0x5B)})
_UPPER = str.maketrans({chr(c + 32): chr(c) for c in range(0x41, 0x5B)})

Names = Mapping[str, Place]


def fits(parts: tuple[ir.Lit | ir.Ref | ir.Star, ...], text: str, names: Mapping[str, str]) -> dict[str, str] | None:
    """The captures with which `text` is what `parts` say, each as short as it can be, earlier ones first; None if there are none.

    A name in `names`, or captured further left, is compared instead; `:lower` compares without regard to ASCII case and reads
    back in upper case.
    """
    return _fit(parts, text, 0, dict(names), {})


def _fit(
    parts: tuple[ir.Lit | ir.Ref | ir.Star, ...], text: str, at: int, names: dict[str, str], captured: dict[str, str]
) -> dict[str, str] | None:
    if not parts:
        return captured if at == len(text) else None
    part, rest = parts[0], parts[1:]
    if isinstance(part, ir.Lit):
        return _fit(rest, text, at + len(part.text), names, captured) if text.startswith(part.text, at) else None
    if isinstance(part, ir.Ref) and part.name in names:
        known = names[part.name]
        end = at + len(known)
        same = _same(text[at:end], known, part.lower)
        return _fit(rest, text, end, names, captured) if same else None
    for end in range(at + isinstance(part, ir.Ref), len(text) + 1):
        if isinstance(part, ir.Star):
            found = _fit(rest, text, end, names, captured)
        else:
            run = text[at:end].translate(_UPPER) if part.lower else text[at:end]
            found = _fit(rest, text, end, {**names, part.name: run}, {**captured, part.name: run})
        if found is not None:
            return found
    return None


def _same(text: str, known: str, lower: bool) -> bool:
    return text.translate(_LOWER) == known.translate(_LOWER) if lower else text == known


def hold(match: ir.Match, start: Node, trail: int, names: Names) -> dict[str, Place] | None:
    """The captures of one `match` entry, or None where it does not hold. Raises RefusedError for a key on its way that is given twice."""
    reach = walk(start, trail, match.path.steps)
    if isinstance(reach, Wrong):
        if reach.code == "duplicate":
            raise RefusedError(reach.code, reach.offset)
        return None
    if isinstance(reach, Absent):
        absent = any(pattern.absent for pattern in match.patterns) and not any(pattern.absent for pattern in match.excluded)
        return {} if absent else None
    if fit_place(match.excluded, reach, names) is not None:
        return None
    return fit_place(match.patterns, reach, names)


def fit_place(patterns: tuple[ir.Text, ...], reach: Found, names: Names) -> dict[str, Place] | None:
    """The captures of the first pattern that the present value fits."""
    place = Place.of(reach.node)
    texts = {name: known.text for name, known in names.items()}
    for pattern in patterns:
        if pattern.any:
            return {}
        if pattern.absent or not place.scalar or not is_text(place.text):
            continue
        found = fits(pattern.parts, place.text, texts)
        if found is not None:
            return {name: Place(text, place.offset) for name, text in found.items()}
    return None
