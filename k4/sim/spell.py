"""How a value is written at the place where an example has one: quoted or not, in its unit, with as many digits.

A writer turns the values of an update (field → value, named as in the specs) into the JSON text of one place. Several fields may stand
at the same place (a signed size gives quantity and side). Imports `k4.errors` and,
of the generator, `bind`, `fields`, `ir`, `refjson`, `refmatch`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from k4._codegen import ir
from k4._codegen.bind import names_in, render
from k4._codegen.fields import TIME_WORDS, shift
from k4._codegen.refjson import Node
from k4._codegen.refmatch import fits
from k4.errors import K4Error

Values = Mapping[str, object]
Writer = Callable[[Values], str]
Simple = ir.FromPath | ir.FromMap

UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
AUTO_NS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_UUIDS = uuid.UUID("6b6b3400-0000-4000-8000-000000000000")  # any fixed one: the same trade has the same id on every connection


class Json(str):
    """JSON text that is written as it is: a request's id, echoed."""

    __slots__ = ()


def simple_sources(source: ir.Source) -> tuple[Simple, ...]:
    """The paths a field may come from, in order."""
    many = source.sources if isinstance(source, ir.FromFirst) else (source,)
    return tuple(one for one in many if isinstance(one, ir.FromPath | ir.FromMap))


def place_writer(
    node: Node, data: bytes, fields: Sequence[tuple[str, Simple]], where: str, otherwise: Writer | None = None
) -> Writer | None:
    """Writes what `fields` say at `node`; for a value that is not given `otherwise` writes, or it stays as the example has it.

    None: it always stays.
    """
    text = data[node.start : node.end].decode()
    kept: Writer = otherwise or (lambda _: text)
    plain = [(name, source.word) for name, source in fields if isinstance(source, ir.FromPath)]
    maps = [(name, source) for name, source in fields if isinstance(source, ir.FromMap)]
    negative = next((name for name, word in plain if word == "negative"), None)
    plain = [(name, word) for name, word in plain if word != "negative"]
    plain.sort(key=lambda one: one[1] not in TIME_WORDS)  # a time that also serves as an id is a time first
    if not plain:
        return _mapped(node, kept, maps) if maps else otherwise
    name, word = plain[0]
    write = _scalar(name, word, node.text, where)
    source_name = "event_ns" if word in TIME_WORDS and not name.endswith("_ns") else name

    def put(values: Values) -> str:
        value = values.get(source_name)
        if value is None:
            return kept(values)
        if isinstance(value, Json):
            return value
        sign = "-" if negative is not None and values.get(negative) else ""
        return quoted(node, sign + write(value))

    return put


def quoted(node: Node, text: str) -> str:
    """`text` as the kind of JSON value that the example has: a string, or as it is."""
    return json.dumps(text, ensure_ascii=False) if node.kind in ("string", "null") else text


def match_writer(node: Node, match: ir.Match) -> Writer | None:
    """Writes a matched word as the product has it, with its names filled in. None: the example's word serves."""
    for pattern in match.patterns:
        found = None if node.absent else fits(pattern.parts, node.text, {})
        if pattern.any or (found is not None and not names_in(pattern)) or (pattern.absent and node.absent and len(match.patterns) == 1):
            return None
        if found is not None:
            return partial(_named, node, pattern, found)
    # What the example has is another product's word, or absent where a name may stand.
    for pattern in match.patterns:
        if not pattern.absent:
            return partial(_named, node, pattern, {})
    return None


def _named(node: Node, pattern: ir.Text, own: Mapping[str, str], values: Values) -> str:
    """A pattern with its names filled in: from `values`, else as the example has them (`own`)."""
    match pattern.parts:
        case (ir.Ref(name, False),) if isinstance(value := values.get(name), Json):
            return value
    text = _filled(pattern, node.text, {**own, **_texts(values)})
    return quoted(node, text) if text or not node.absent else _ABSENT[node.kind]


def _filled(pattern: ir.Text, example: str, values: Mapping[str, str]) -> str:
    """A pattern with its names filled in and its `*` as the example has them."""
    found = re.fullmatch("".join(_run(part) for part in pattern.parts), example, re.DOTALL)
    runs = iter(found.groups() if found else ())
    return "".join(next(runs, "") if isinstance(part, ir.Star) else render(ir.Text((part,), ""), values, "") for part in pattern.parts)


def _run(part: ir.Lit | ir.Ref | ir.Star) -> str:
    return re.escape(part.text) if isinstance(part, ir.Lit) else "(.*?)" if isinstance(part, ir.Star) else ".+?"


_ABSENT = {"string": '""', "null": "null"}


def _texts(values: Values) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def mapped_value(source: ir.FromMap, text: str) -> str | bool | int | None:
    """What a map makes of a text; None: absent, or not in it."""
    for key, result in source.entries:
        if key == text:
            return result
    return source.default[0] if source.default is not None else None


def _mapped(node: Node, kept: Writer, maps: Sequence[tuple[str, ir.FromMap]]) -> Writer:
    """The first text of which every map makes the value wanted; the example's where there is none."""
    texts = list(dict.fromkeys([*(key for _, source in maps for key, _ in source.entries), node.text]))

    def write(values: Values) -> str:
        asked = [(source, values[name]) for name, source in maps if values.get(name) is not None]
        for text in texts if asked else ():
            if all(mapped_value(source, text) == value for source, value in asked):
                return quoted(node, text)
        return kept(values)

    return write


def fraction(text: str) -> int:
    """Digits behind the point, as written."""
    found = re.fullmatch(r"[^.eE]*\.?([0-9]*)(?:[eE].*)?", text)
    return len(found.group(1)) if found and "." in text else 0


def _scalar(name: str, word: str | None, example: str, where: str) -> Callable[[object], str]:
    """Spells one value of a field that is read with `word`, as `example` is spelled."""
    if word == "iso":
        digits = len(found.group(1)) if (found := re.search(r"\.(\d+)", example)) else 0
        zone = found.group() if (found := re.search(r"[+-]\d\d:\d\d$", example)) else "Z" if example.endswith("Z") else ""
        return lambda value: _iso(int(str(value)), digits, "+00:00" if ":" in zone else zone)
    if word in TIME_WORDS:
        return _time(word, example)
    if name.endswith("_id"):
        return _identity(example)
    moved = shift(word) or 0
    if word in (None, "abs", "nonzero") or moved:
        digits = fraction(example)
        return lambda value: _spell(value.scaleb(-moved) if isinstance(value, Decimal) else value, digits)
    raise K4Error(f'{where}: the simulator cannot write {name}, which is read with "{word}"')


def _time(word: str, example: str) -> Callable[[object], str]:
    whole, _, part = example.partition(".")
    unit = UNITS_NS[word] if word in UNITS_NS else AUTO_NS[len(whole)]

    def write(value: object) -> str:
        ns = int(str(value))
        return str(ns // unit) + (f".{ns % unit * 10 ** len(part) // unit:0{len(part)}d}" if part else "")

    return write


def _identity(example: str) -> Callable[[object], str]:
    """Ids are numbers, but where the example's is none: a UUID, or any other word."""
    if re.fullmatch(r"-?[0-9]+", example):
        return lambda value: f"{value}"
    if _UUID.fullmatch(example):
        # The tail holds the number itself, so that two ids never meet.
        return lambda value: str(uuid.uuid5(_UUIDS, "trades"))[:24] + f"{value:012}"
    return lambda value: f"x{value}"


def _spell(value: object, digits: int) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            digits = max(digits, -int(value.normalize().as_tuple().exponent), 0)
            return f"{value:.{digits}f}"
        case _:
            return f"{value}"


def _iso(ns: int, digits: int, zone: str) -> str:
    part = f".{ns % 10**9:09d}"[: digits + 1] if digits else ""
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + part.ljust(digits + 1 if digits else 0, "0") + zone
