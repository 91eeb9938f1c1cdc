"""Python peers: the same fields taken out of the same frames, prices and quantities as floats, as most clients read them.

Each entry of `PEERS` makes a function that decodes a list of frames of one product, or None where its package is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Decode = Callable[[list[bytes]], None]
Take = Callable[[dict[str, Any]], list[tuple[object, ...]] | None]


def takers(text: str) -> dict[str, Take]:
    """The functions of a rendered `taking.py.j2`, by product."""
    made: dict[str, Any] = {}
    exec(compile(text, "taking.py", "exec"), made)
    return {name: take for name, take in made.items() if callable(take)}


def _orjson(take: Take) -> Decode | None:
    try:
        import orjson
    except ImportError:
        return None
    return _loading(orjson.loads, take)


def _json(take: Take) -> Decode:
    return _loading(json.loads, take)


def _loading(loads: Callable[[bytes], Any], take: Take) -> Decode:
    def decode(wires: list[bytes]) -> None:
        for wire in wires:
            take(loads(wire))

    return decode


PEERS: dict[str, Callable[[Take], Decode | None]] = {
    "orjson + float": _orjson,
    "json + float": _json,
}
