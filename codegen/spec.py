"""A spec while it is read: tables with their lines, typed access, and the findings made on the way.

Knows TOML's types and how to word a wrong one; knows nothing of what the keys mean. May import `errors`, `ir`, `keylines`,
`notation`, `pathtext`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import ir, notation, pathtext
from .errors import Finding, did_you_mean, nearest
from .keylines import Where

_TYPES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}


def type_name(value: object) -> str:
    """What a TOML value is, in words."""
    return _TYPES.get(type(value), "a time")


class Spec:
    """One file being read. `lines` come from `keylines`, `records` from the schema."""

    __slots__ = ("broken", "file", "findings", "lines", "messages", "records")

    def __init__(self, file: str, lines: dict[Where, int], records: ir.Records) -> None:
        self.file = file
        self.lines = lines
        self.records = records
        self.findings: list[Finding] = []
        self.messages: list[Where] = []  # where each message of the exchange stands
        self.broken: set[Where] = set()  # messages whose frame cannot be told: they are not tried on examples

    def find(self, line: int, who: str, what: str) -> None:
        """Notes a finding; `who` is the part of the spec it is about, as in `message "bbo"`."""
        self.findings.append(Finding(self.file, line, f"{who}: {what}" if who else what))

    def line(self, where: Where) -> int:
        """The line of a path, or of the nearest thing around it that has one."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def table(self, values: dict[str, object], where: Where, who: str = "") -> Table:
        return Table(self, values, where, who)


class Table:
    """One TOML table: where it stands and how its values are read. Readers return None and leave a finding when a value will not do."""

    __slots__ = ("spec", "values", "where", "who")

    def __init__(self, spec: Spec, values: dict[str, object], where: Where, who: str) -> None:
        self.spec = spec
        self.values = values
        self.where = where
        self.who = who

    @property
    def line(self) -> int:
        return self.spec.line(self.where)

    def at(self, key: str) -> int:
        return self.spec.line((*self.where, key))

    def wrong(self, key: str, what: str) -> None:
        self.spec.find(self.at(key), self.who, what)

    def only(self, *allowed: str, what: str = "key") -> None:
        """Finds keys that do not belong here."""
        for key in self.values:
            if key not in allowed:
                self.wrong(key, f'unknown {what} "{key}"{did_you_mean(key, allowed)}')

    def get(self, key: str, kind: type, example: str, required: bool = False) -> object | None:
        value = self.values.get(key)
        if value is None:
            if required and not any(nearest(other, [key]) for other in self.values):
                self.spec.find(self.line, self.who, f"{key} is missing; write {key} = {example}")
            return None
        if type(value) is not kind:
            self.wrong(key, f"{key} must be {_TYPES[kind]}, not {type_name(value)}; write it like {key} = {example}")
            return None
        return value

    def text(self, key: str, required: bool = False) -> str | None:
        value = self.get(key, str, '"…"', required)
        return value if isinstance(value, str) else None

    def template(self, key: str, required: bool = False) -> ir.Text | None:
        value = self.text(key, required)
        return None if value is None else self.notated(self.at(key), key, value, pattern=False)

    def notated(self, line: int, label: str, value: str, pattern: bool) -> ir.Text | None:
        try:
            return pathtext.parse_text(value, pattern)
        except pathtext.NotationError as error:
            self.spec.find(line, self.who, f"{label}: text {error}")
            return None

    def path(self, line: int, label: str, value: str) -> ir.Path | None:
        try:
            return pathtext.parse_path(value)
        except pathtext.NotationError as error:
            self.spec.find(line, self.who, f"{label}: path {error}")
            return None

    def count(self, key: str) -> int | None:
        value = self.get(key, int, "20")
        if isinstance(value, int) and value < 1:
            self.wrong(key, f"{key} = {value}: must be 1 or more; leave it out for no limit")
            return None
        return value if isinstance(value, int) else None

    def seconds(self, key: str) -> float | None:
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            self.wrong(key, f"{key} must be a number of seconds, not {type_name(value)}; write it like {key} = 20")
            return None
        number = float(value) if isinstance(value, int | float) else 0.0
        if not 0 < number < float("inf"):
            self.wrong(key, f"{key} = {value}: must be a number of seconds above 0")
            return None
        return number

    def texts_of(self, key: str) -> list[tuple[int, str]]:
        """A text or a list of texts, each with its line."""
        value = self.values.get(key)
        if value is None:
            return []
        if isinstance(value, str):
            return [(self.at(key), value)]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return [(self.spec.line((*self.where, key, i)), item) for i, item in enumerate(value)]
        self.wrong(key, f"{key} must be a text or a list of texts, not {type_name(value) if value else 'an empty list'}")
        return []

    def sub(self, key: str) -> Table | None:
        value = self.get(key, dict, "{ … }")
        return self.spec.table(value, (*self.where, key), self.inner(key)) if isinstance(value, dict) else None

    def inner(self, key: str) -> str:
        return f"{self.who}, {key}" if self.who else key

    def subs(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables inside the table `key`, in file order."""
        outer = self.sub(key)
        for name, value in (outer.values if outer else {}).items():
            if isinstance(value, dict):
                yield name, self.spec.table(value, (*self.where, key, name), f'{key} "{name}"')
            else:
                line = self.spec.line((*self.where, key, name))
                self.spec.find(line, self.who, f"{key}.{name} must be a table, not {type_name(value)}; write [{key}.{name}]")

    def tables(self, key: str) -> list[Table]:
        """The elements of an array of tables."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            header = ".".join(step for step in (*self.where, key) if isinstance(step, str))
            self.wrong(key, f"{key} must be an array of tables; write [[{header}]]")
            return []
        return [self.spec.table(item, (*self.where, key, i), self.who) for i, item in enumerate(value)]

    def vars(self) -> tuple[tuple[str, str], ...]:
        """`vars`: names for templates and patterns, with their texts."""
        table = self.sub("vars")
        pairs: list[tuple[str, str]] = []
        for name, value in (table.values if table else {}).items():
            line = self.spec.line((*self.where, "vars", name))
            if name in notation.NAMES:
                self.spec.find(line, self.who, f'vars: "{name}" has a meaning of its own; choose another name')
            elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                self.spec.find(line, self.who, f'vars: "{name}" is no name; names are letters, digits and _')
            elif not isinstance(value, str):
                self.spec.find(line, self.who, f"vars: {name} must be a text, not {type_name(value)}; write it in quotes")
            else:
                pairs.append((name, value))
        return tuple(pairs)
