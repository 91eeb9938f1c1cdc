"""What can be wrong with configuration entries beyond their own shape: the built specs, and segments that entries share.

Works on the raw JSON value as far as it can, so that one wrong entry does not hide what is wrong with the others. The models come
in through `shape_of`. May import `keypath` and, of the generator, `bind`, `errors` and `ir`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from . import keypath
from ._codegen import bind, ir
from ._codegen.errors import did_you_mean
from .keypath import quoted

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """One finding: where, and what."""

    keys: keypath.Keys
    message: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What a well-formed entry asks of its segments. `alike`: the keys that are the same in all entries of a group."""

    segments: Mapping[str, str]  # record → segment
    symbols: frozenset[tuple[str, str, str]]  # (exchange, product, symbol)
    symbol_capacity: int
    alike: Mapping[str, int | None]


def findings(
    value: Mapping[str, object], exchanges: Mapping[str, ir.Exchange], cpus: set[int], shape_of: Callable[[Entry], Shape | None]
) -> list[Found]:
    """Everything wrong in the configuration `value`. `shape_of` gives None for an entry that is not well-formed by itself."""
    raw = value.get("connections")
    entries = [(i, e) for i, e in enumerate(raw) if isinstance(e, dict)] if isinstance(raw, list) else []
    found: list[Found] = []
    names: dict[str, int] = {}
    for i, entry in entries:
        name = entry.get("name")
        if isinstance(name, str) and names.setdefault(name, i) != i:
            found.append(
                _found(("connections", i, "name"), f"{quoted(name)} is also the name of connections[{names[name]}]; names are unique")
            )
        cpu = entry.get("cpu")
        if isinstance(cpu, int) and cpu >= 0 and cpu not in cpus:
            allowed = " ".join(map(str, sorted(cpus)))
            found.append(_found(("connections", i, "cpu"), f"{cpu} is not a CPU this process may use; allowed: {allowed}"))
        found += _spec(i, entry, exchanges) + _twice(i, entry)
    shapes = [(i, shape) for i, entry in entries if (shape := shape_of(entry)) is not None]
    return found + _segments(shapes) + capacity(shapes) + _alike(shapes)


def _found(keys: keypath.Keys, message: str) -> Found:
    return Found(keys, f"{keypath.show(keys)}: {message}")


def _items(entry: Entry, key: str) -> list[str | None]:
    """The list at `key`, with None for what is no text there."""
    values = entry.get(key)
    return [item if isinstance(item, str) else None for item in values] if isinstance(values, list) else []


def _twice(i: int, entry: Entry) -> list[Found]:
    found: list[Found] = []
    for key in ("symbols", "records"):
        seen: dict[str, int] = {}
        for n, item in enumerate(_items(entry, key)):
            if item is not None and seen.setdefault(item, n) != n:
                found.append(_found(("connections", i, key, n), f"{quoted(item)} is given twice; keep one of them"))
    return found


# --------------------------------------------------------------------------- against the built specs


def _spec(i: int, entry: Entry, exchanges: Mapping[str, ir.Exchange]) -> list[Found]:
    name, product = entry.get("exchange"), entry.get("product")
    if not isinstance(name, str):
        return []
    if name == "udp":
        return [_found(("connections", i, "exchange"), '"udp" is not built yet; remove the entry')]
    exchange = exchanges.get(name)
    if exchange is None:
        return [_found(("connections", i, "exchange"), f"no spec of {quoted(name)} is built{did_you_mean(name, exchanges)}")]
    if not isinstance(product, str):
        return []
    if exchange.product(product) is None:
        guess = did_you_mean(product, [p.name for p in exchange.products])
        return [_found(("connections", i, "product"), f'"{name}" has no product {quoted(product)}{guess}')]
    messages = bind.bind(exchange, product)
    known = exchange.product(product)
    assert known is not None
    wanted = _transports(entry)
    found = _transported(i, entry, f"{name} {product}", known, messages)
    of_these = [message for message in messages if message.transport in wanted]
    return found + _records(i, entry, f"{name} {product}", of_these) + _case(i, entry, of_these)


def _transports(entry: Entry) -> list[str]:
    redundancy = entry.get("redundancy")
    given = _items(redundancy, "transports") if isinstance(redundancy, dict) and "transports" in redundancy else ["json"]
    return [transport for transport in given if transport in ("json", "sbe")] or ["json"]


def _transported(i: int, entry: Entry, what: str, product: ir.Product, messages: Sequence[ir.Message]) -> list[Found]:
    """Whether each transport brings something, and has the secrets that its endpoint wants."""
    found: list[Found] = []
    transports = _transports(entry)
    for n, transport in enumerate(transports):
        place = ("connections", i, "redundancy", "transports", n)
        if transport in transports[:n]:
            found.append(_found(place, f'"{transport}" is given twice; keep one of them'))
        elif transport == "sbe" and product.sbe is None:
            found.append(_found(place, f'{what} has no "sbe"; allowed: json'))
        elif "redundancy" in entry:
            carried = {record for m in messages if m.transport == transport and m.channel is not None for record in m.records}
            wanted = {record for record in _items(entry, "records") if record in ir.MARKET_RECORDS}  # of others more is told elsewhere
            if carried and wanted and not carried & wanted:
                found.append(_found(place, f'"{transport}" brings none of the records; it has: {" ".join(sorted(carried))}'))
    given = entry.get("secrets")
    names = list(given) if isinstance(given, dict) else []
    headers = product.sbe.headers if product.sbe is not None and "sbe" in transports else ()
    needed = {name for _, text in headers for name in bind.names_in(text)} - set(dict(product.vars))
    for name in sorted(needed - set(names)):
        hint = f'write "secrets": {{ "{name}": {{ "env": "NAME" }} }}, or {{ "file": "PATH" }}'
        found.append(_found(("connections", i), f'{what} needs the secret "{name}" for its SBE endpoint; {hint}'))
    found += [
        _found(
            ("connections", i, "secrets", name), f'{quoted(name)} is put in nowhere; remove it, or write "sbe" into redundancy.transports'
        )
        for name in names
        if name not in needed
    ]
    return found


def _records(i: int, entry: Entry, what: str, messages: Sequence[ir.Message]) -> list[Found]:
    given = dict.fromkeys(record for message in messages for record in message.records if record in ir.MARKET_RECORDS)
    wanted = _items(entry, "records")
    found = [
        _found(("connections", i, "records", n), f'{what} gives no "{record}"; allowed: {" ".join(given)}')
        for n, record in enumerate(wanted)
        if record in ir.MARKET_RECORDS and record not in given
    ]
    carried = {record for message in messages if message.channel is not None for record in message.records}
    if found == [] and wanted and all(record in given and record not in carried for record in wanted):
        found.append(_found(("connections", i, "records"), f"{what} has no stream for these; they come along with others, add one"))
    shm = entry.get("shm")
    found += [
        _found(("connections", i, "shm", record), f'"{record}" is not in records; add it there or remove this')
        for record in (shm if isinstance(shm, dict) else {})
        if record in ir.MARKET_RECORDS and record not in wanted
    ]
    return found


def _case(i: int, entry: Entry, messages: Sequence[ir.Message]) -> list[Found]:
    """Where a symbol is read back out of a lower-case channel in upper case, only upper-case symbols can ever match."""
    folded = any(
        message.channel is not None
        and any(isinstance(part, ir.Ref) and part.name == "symbol" and part.lower for part in message.channel.parts)
        and message.field("symbol") is None
        for message in messages
    )
    if not folded:
        return []
    return [
        _found(("connections", i, "symbols", n), f"{quoted(symbol)}: symbols are in upper case here; write {quoted(_upper(symbol))}")
        for n, symbol in enumerate(_items(entry, "symbols"))
        if symbol is not None and _upper(symbol) != symbol
    ]


def _upper(text: str) -> str:
    return "".join(c.upper() if "a" <= c <= "z" else c for c in text)


# --------------------------------------------------------------------------- entry against entry


def _segments(shapes: Sequence[tuple[int, Shape]]) -> list[Found]:
    """Entries share all their segments, or none; a segment holds one kind of record."""
    found: list[Found] = []
    owners: dict[str, tuple[int, str, Shape]] = {}  # segment → first entry, its record, its shape
    for i, shape in shapes:
        for record, segment in shape.segments.items():
            first, other, theirs = owners.setdefault(segment, (i, record, shape))
            keys = ("connections", i, "shm", record)
            if other != record:
                what = f'segment "{segment}" is also of record "{other}" (connections[{first}])'
                found.append(_found(keys, f"{what}; one segment holds one kind"))
            elif theirs.segments != shape.segments:
                what = f'segment "{segment}" is shared with connections[{first}], but not all their segments are'
                found.append(_found(keys, f"{what}; share all of them or none"))
    return found


def capacity(shapes: Sequence[tuple[int, Shape]]) -> list[Found]:
    """The symbols of all entries fit into each segment."""
    held: dict[str, set[tuple[str, str, str]]] = {}
    found: list[Found] = []
    for i, shape in shapes:
        for segment in shape.segments.values():
            symbols = held.setdefault(segment, set())
            symbols |= shape.symbols
            if len(symbols) > shape.symbol_capacity:
                what = f'{shape.symbol_capacity} is too small: segment "{segment}" holds {len(symbols)} symbols'
                found.append(_found(("connections", i, "symbol_capacity"), what))
                break
    return found


def _alike(shapes: Sequence[tuple[int, Shape]]) -> list[Found]:
    """One group, one size of its segments, one worker."""
    found: list[Found] = []
    leaders: dict[frozenset[str], tuple[int, Shape]] = {}
    for i, shape in shapes:
        first, leader = leaders.setdefault(frozenset(shape.segments.values()), (i, shape))
        for key, value in shape.alike.items():
            if leader.alike[key] != value:
                here, there = json.dumps(value), json.dumps(leader.alike[key])
                what = f"{here}, but {there} in connections[{first}] of the same group; make them equal"
                found.append(_found(("connections", i, key), what))
    return found
