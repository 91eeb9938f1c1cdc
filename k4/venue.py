"""One product of one exchange, as a connection speaks to it: bound messages, manners, and how its answers are read.

Acks, errors and the like are rare and small, and so C hands them over as bytes and the reference interpreter reads them. Market data
never comes here. Imports `errors` and, of the generator, `bind`, `ir` and `reference`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ._codegen import bind, ir
from ._codegen.reference import FetchError, Interpreter
from .errors import K4Error


@dataclass(frozen=True, slots=True)
class Reading:
    """One message that took a frame: its `record` word (`ack`, `error`, …), itself, and its captures and fields as text."""

    kind: str
    message: ir.Message
    said: Mapping[str, str]


class Venue:
    """Raises KeyError where the exchange has no such product."""

    def __init__(self, exchange: ir.Exchange, product: str, records: ir.Records) -> None:
        found = exchange.product(product)
        if found is None:
            raise KeyError(product)
        self.exchange = exchange
        self.product = found
        self.messages = bind.bind(exchange, product)
        self.transport = "json"
        self._interpreter = Interpreter(records, self.messages)

    def over(self, transport: str) -> Venue:
        """The same as a connection of that transport speaks to it. Raises KeyError where the product has no such."""
        if transport == "json":
            return self
        if self.product.sbe is None:
            raise KeyError(transport)
        other = copy.copy(self)
        other.transport = transport
        other.product = replace(self.product, url=self.product.sbe.url)
        return other

    def read(self, frame: bytes) -> tuple[Reading, ...]:
        """What the venue said in a frame that is no market data; empty if no message of the spec takes it."""
        return tuple(
            Reading(self.messages[reading.message].record, self.messages[reading.message], reading.fields)
            for reading in self._interpreter.read(frame)
        )

    def names(self, message: int, body: bytes, known: Mapping[str, str], url: str) -> dict[str, str]:
        """The names that a fetched `vars` message brings, beyond those `known`: its captures, and the fields of its first element.

        Raises K4Error where the body is not what the spec says.
        """
        try:
            fetched = self._interpreter.fetched(message, body, known)
        except FetchError as error:
            raise K4Error(f"{url}: {error}: {body[:200].decode(errors='replace')}") from error
        if fetched.refusals and not fetched.rows:
            refusal = fetched.refusals[0]
            raise K4Error(f"{url}: {refusal.field or 'an element'} is refused: {refusal.code} at byte {refusal.offset}")
        if not fetched.rows:
            raise K4Error(f"{url}: the answer has no element: {body[:200].decode(errors='replace')}")
        brought = {name: text for name, text in fetched.captures.items() if name not in known}
        return {**brought, **{name: str(value) for name, value in fetched.rows[0].items()}}
