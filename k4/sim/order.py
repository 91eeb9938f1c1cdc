"""What `--fault` says: which fault, on which connections, when.

    NAME[@KEY=VALUE,...]        cut@conn=1,every=10    stall@conn=0,at=5,for=3    gap@product=nova.spot,symbol=FOOBAR,every=2

Imports `fault`, `faults`, `k4.errors`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k4.errors import UsageError
from k4.sim.fault import Door, Elsewhere, Fault, Message, Reply
from k4.sim.faults import FAULTS

WHERE = {
    "conn": "a connection by its place: 0 is the first; a place that is left is taken by the next that comes",
    "share": "this share of connections (0 to 1), by lot",
    "product": "EXCHANGE.PRODUCT",
    "path": "a pattern for path and query of the connection's URL; * is any run",
}
MESSAGES = {
    "symbol": "messages of this instrument, by its native name",
    "record": "messages that give this record",
    "p": "this share of them (0 to 1), by lot, instead of one",
}
WHEN = {
    "at": "seconds since the simulator began",
    "after": "seconds since the connection came; 0 if neither is given",
    "every": "again after so many seconds",
    "for": "how many seconds it lasts; to the connection's end if not given",
    "times": "how often in all",
}


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """`at`, `after`: at most one is given, of two clocks. Selectors that are None take all."""

    fault: Fault
    conn: int | None = None
    share: float | None = None
    product: str | None = None
    path: str | None = None
    symbol: str | None = None
    record: str | None = None
    p: float | None = None
    at: float | None = None
    after: float | None = None
    every: float | None = None
    lasts: float | None = None
    times: int | None = None
    options: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def first(self) -> float:
        """When it is due first, on its clock."""
        if self.at is not None:
            return self.at
        if self.after is not None:
            return self.after
        return self.every or 0.0

    @property
    def by_accept(self) -> bool:
        """Is its clock the connection's own? Repeated ones are on the simulator's, unless they say `after`."""
        return self.at is None and (self.after is not None or self.every is None)


def parse(text: str) -> Order:
    """An order as the command line has it. Raises UsageError that says what is allowed."""
    name, at, rest = text.partition("@")
    pairs: dict[str, str] = {}
    for part in rest.split(",") if at else ():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise UsageError(f'--fault {text}: "{part}" is no KEY=VALUE; write {name or "NAME"}@KEY=VALUE,KEY=VALUE')
        if key in pairs:
            raise UsageError(f"--fault {text}: {key} is given twice")
        pairs[key] = value
    return order(name, pairs, f"--fault {text}")


def load(file: Path) -> list[Order]:
    """A script: a JSON list of objects, each with "fault" and the keys of the command line. Raises UsageError."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--fault-file {file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--fault-file {file}: is no JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(one, dict) and isinstance(one.get("fault"), str) for one in value):
        example = '[{"fault": "cut", "conn": 1, "every": 10}]'
        raise UsageError(f'--fault-file {file}: a list of objects is expected, each with "fault": {example}')
    out = []
    for i, one in enumerate(value):
        where = f"--fault-file {file}, entry {i}"
        pairs = {key: given for key, given in one.items() if key != "fault"}
        wrong = next((key for key, given in pairs.items() if isinstance(given, bool) or not isinstance(given, str | int | float)), None)
        if wrong is not None:
            raise UsageError(f"{where}: {wrong}: a number or a text is expected")
        out.append(order(one["fault"], {key: str(given) for key, given in pairs.items()}, where))
    return out


def order(name: str, pairs: Mapping[str, str], where: str) -> Order:
    """Raises UsageError that begins with `where`."""
    fault = FAULTS.get(name)
    if fault is None:
        near = difflib.get_close_matches(name, FAULTS, 1)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        raise UsageError(f'{where}: there is no fault "{name}"; {hint}`k4 sim --faults` lists them')
    if isinstance(fault.inject, Elsewhere):
        raise UsageError(f"{where}: {name} is not for the simulator to inject: {fault.how}; it is shown by {fault.inject.test}")
    allowed = [*_where(fault), *WHEN, *fault.options]
    for key in pairs:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise UsageError(f'{where}: {name} has no "{key}"{hint} allowed: {" ".join(allowed)}')
    if "at" in pairs and "after" in pairs:
        raise UsageError(f"{where}: at and after are of two clocks; give one")
    number = _Numbers(pairs, where)
    return Order(
        fault,
        conn=number.whole("conn", 0),
        share=number.real("share", 0.0, 1.0),
        product=pairs.get("product"),
        path=pairs.get("path"),
        symbol=pairs.get("symbol"),
        record=pairs.get("record"),
        p=number.real("p", 0.0, 1.0),
        at=number.real("at"),
        after=number.real("after"),
        every=number.real("every", 0.001),
        lasts=number.real("for"),
        times=number.whole("times", 1),
        options={key: _option(key, pairs, default, number) for key, default in fault.options.items()},
    )


def check_products(orders: Sequence[Order], products: Sequence[str]) -> None:
    """Raises UsageError for an order of a product that is not served. `products`: EXCHANGE.PRODUCT each."""
    for one in orders:
        if one.product is not None and one.product not in products:
            raise UsageError(f"--fault {one.fault.name}@product={one.product}: the configuration has: {' '.join(products)}")


def _where(fault: Fault) -> list[str]:
    """What can be chosen where this fault strikes: below TLS and behind a fetch there is no connection of a product."""
    match fault.inject:
        case Door():
            return ["conn", "share"]
        case Reply():
            return ["path"]
        case Message():
            return [*WHERE, *MESSAGES]
    return [*WHERE]


def _option(key: str, pairs: Mapping[str, str], default: float | str, number: _Numbers) -> float | str:
    if key not in pairs:
        return default
    if isinstance(default, str):
        return pairs[key]
    value = number.real(key)
    assert value is not None
    return value


@dataclass(frozen=True, slots=True)
class _Numbers:
    pairs: Mapping[str, str]
    where: str

    def real(self, key: str, least: float = 0.0, most: float = 1e9) -> float | None:
        if key not in self.pairs:
            return None
        try:
            value = float(self.pairs[key])
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            allowed = f"from {least:g} to {most:g}" if most < 1e9 else f"of at least {least:g}"
            raise UsageError(f"{self.where}: {key}={self.pairs[key]} is wrong; allowed: a number {allowed}")
        return value

    def whole(self, key: str, least: int) -> int | None:
        if key not in self.pairs:
            return None
        if not self.pairs[key].isascii() or not self.pairs[key].isdecimal() or int(self.pairs[key]) < least:
            raise UsageError(f"{self.where}: {key}={self.pairs[key]} is wrong; allowed: a whole number of at least {least}")
        return int(self.pairs[key])
