"""What a check needs to know of one message: where its parts stand in the file, and how to say that one is wrong.

May import `bind`, `errors`, `fields`, `ir`, `keylines`, `keys`, `spec`.
"""

from __future__ import annotations

from dataclasses import replace

from . import bind, fields, ir
from .errors import nearest
from .keylines import Where
from .keys import MESSAGE, of
from .spec import Spec


class About:
    """One message under check.

    `wrong` counts its findings. `faulty`: fields that one of them is about, left out where examples are tried, so that one fault
    is told once and hides no other. `blocked`: how the message is recognised is wrong, so that no example tells anything.
    """

    __slots__ = ("blocked", "bound", "exchange", "faulty", "message", "rules", "spec", "where", "who", "wrong")

    def __init__(self, spec: Spec, exchange: ir.Exchange, message: ir.Message, where: Where) -> None:
        self.spec = spec
        self.exchange = exchange
        self.message = message
        self.where = where
        self.who = f'message "{message.record}"'
        self.rules = fields.message_rules(message, spec.records)
        self.wrong = 0
        self.blocked = where in spec.broken
        read = {field.name for field in message.fields}
        self.faulty = {str(path[-1]) for path in spec.lines if path[:-1] == (*where, "fields")} - read
        self.bound = {product.name: bind.bind_message(message, product) for product in self.products}

    @property
    def products(self) -> tuple[ir.Product, ...]:
        return tuple(product for product in self.exchange.products if product.name in self.message.products)

    @property
    def market(self) -> bool:
        return self.spec.records.record(self.message.record) is not None

    @property
    def fetched(self) -> bool:
        return self.message.url is not None

    def line(self, *keys: str | int) -> int:
        """The line of a key of this message, the message's own where it has none."""
        return self.spec.line((*self.where, *keys))

    def find(self, line: int, what: str, field: str = "", blocks: bool = False) -> None:
        """Notes a finding: about a field of the record, or, if it `blocks`, about how the message is recognised."""
        self.wrong += 1
        self.blocked = self.blocked or blocks
        if field:
            self.faulty.add(field)
        self.spec.find(line, self.who, what)

    def trial(self, product: ir.Product) -> ir.Message | None:
        """The message without its faulty fields; None where it cannot be tried without them."""
        message = self.bound[product.name]
        if not self.faulty:
            return message
        levels = any(fields.is_depth(word) for word in message.records)
        if levels or "symbol" in self.faulty:
            return None
        needed = sorted(rule.name for rule in self.rules.values() if rule.needed and rule.name in self.faulty)
        kept = tuple(field for field in message.fields if field.name not in self.faulty)
        return replace(message, fields=(*kept, *(ir.Field(name, ir.FromText(""), message.line) for name in needed)))

    def find_example(self, number: int, line: int, what: str, joined: bool = False) -> None:
        """A finding about an example (1-based). `joined`: the example is the subject of `what`."""
        self.wrong += 1
        self.spec.find(line, "", f"{self.who}, example {number}{' ' if joined else ': '}{what}")

    def captures(self) -> dict[str, int]:
        """Names that this message takes out of frames, with how many patterns and paths take them."""
        taken: dict[str, int] = {}
        for name in self._captures():
            taken[name] = taken.get(name, 0) + 1
        return taken

    def _captures(self) -> list[str]:
        names: list[str] = []
        first = next(iter(self.bound.values()), self.message)
        for match in first.match:
            names += dict.fromkeys(name for pattern in match.patterns for name in bind.names_in(pattern))
        for path in self.message.each:
            names += [step.name for step in path.steps if isinstance(step, ir.Members)]
        return [name for name in names if not (self.fetched and name == "symbol")]

    def tried(self, name: str, *table: str) -> bool:
        """Whether a key of the message, or of a table in it, is this name or most likely a misspelling of it.

        What is wrong with such a key is told where it stands; that the name itself is missing would be told twice.
        """
        where = (*self.where, *table)
        written = [str(path[-1]) for path in self.spec.lines if path[:-1] == where]
        allowed = list(self.rules) if table else list(of(MESSAGE))
        return name in written or any(key not in allowed and nearest(key, allowed) == name for key in written)

    def given(self) -> set[str]:
        """Fields of the record that get a value: from `fields`, or from a capture of that name."""
        return {field.name for field in self.message.fields} | (set(self.captures()) & set(self.rules))


def about_all(spec: Spec, exchange: ir.Exchange) -> tuple[About, ...]:
    return tuple(About(spec, exchange, message, where) for message, where in zip(exchange.messages, spec.messages, strict=True))
