"""Python peers: the same fields taken out of the same frames, prices and quantities as floats, as most clients read them.

Each entry of `PEERS` makes a function that decodes a list of frames of one product, or None where its package is not installed. It is
given what takes the fields out, and frames of the kind that it will read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
Decode = Callable[[list[bytes]], None]
Take = Callable[[dict[str, Any]], list[tuple[object, ...]] | None]


def takers(text: str) -> dict[str, Take]:
    """The functions of a rendered `taking.py.j2`, by product."""
    made: dict[str, Any] = {}
    exec(compile(text, "taking.py", "exec"), made)
    return {name: take for name, take in made.items() if callable(take)}


def _orjson(take: Take, _: list[bytes]) -> Decode | None:
    try:
        import orjson
    except ImportError:
        return None
    return _loading(orjson.loads, take)


def _json(take: Take, _: list[bytes]) -> Decode:
    return _loading(json.loads, take)


def _loading(loads: Callable[[bytes], Any], take: Take) -> Decode:
    def decode(wires: list[bytes]) -> None:
        for wire in wires:
            take(loads(wire))

    return decode


def _msgspec(take: Take, wires: list[bytes]) -> Decode | None:  # noqa: ARG001 (its types take all that there is)
    try:
        import msgspec
    except ImportError:
        return None
    reader = msgspec.json.Decoder(typed([json.loads(wire) for wire in wires]), strict=False)

    def decode(wires: list[bytes]) -> None:
        for wire in wires:
            reader.decode(wire)

    return decode


def typed(values: list[Any]) -> Any:
    """The type that msgspec needs to read all of `values`, as somebody would declare it for these messages alone: a struct for an object,
    with default None where a key may be missing; a number for what is one, though it stands in quotes."""
    import msgspec

    told = [value for value in values if value is not None]
    kinds = {type(value) for value in told}
    if kinds == {dict}:
        keys = dict.fromkeys(key for value in told for key in value)
        members = []
        for n, key in enumerate(keys):
            kind = typed([value[key] for value in told if key in value])
            always = all(key in value for value in told)
            members.append((f"m{n}", kind) if always else (f"m{n}", kind | None, None))
        names = {f"m{n}": key for n, key in enumerate(keys)}
        kind = msgspec.defstruct("Typed", sorted(members, key=len), rename=names, gc=False)
    elif kinds == {list}:
        kind = list[typed([item for value in told for item in value])]  # type: ignore[misc]
    elif kinds == {str}:
        whole = all(_WHOLE.fullmatch(value) for value in told)
        kind = int if whole else float if all(_NUMBER.fullmatch(value) for value in told) else str
    else:
        kind = next(iter(kinds)) if len(kinds) == 1 else float if kinds == {int, float} else Any
    return kind if len(told) == len(values) or kind is Any else kind | None


PEERS: dict[str, Callable[[Take, list[bytes]], Decode | None]] = {
    "msgspec, typed floats": _msgspec,
    "orjson + float": _orjson,
    "json + float": _json,
}
