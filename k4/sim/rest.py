"""What a venue serves by HTTPS, from the specs' messages with a `url`: lists of instruments, books' snapshots, tokens.

A request finds its message by method, path and query, read with the `url` backwards. Imports `desk`, `market`, `names`, `net`, `venue`,
`example`, `wire` and, of the generator, `bind`, `ir`.
"""

from __future__ import annotations

import http
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qsl, unquote, urlsplit

from k4._codegen import ir
from k4._codegen.bind import names_in, render
from k4.sim.desk import Desk
from k4.sim.example import wires
from k4.sim.market import Values
from k4.sim.names import Names
from k4.sim.net import Answer, Request
from k4.sim.venue import answers, host_of
from k4.sim.wire import Frame

PAGE = 3  # instruments on a page where the venue pages: few, so that a client has to turn it; of a long list a third
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Place:
    """A message that is fetched: its host, path and query as patterns."""

    index: int
    message: ir.Message
    host: str
    path: re.Pattern[str]
    query: Mapping[str, re.Pattern[str]]

    def read(self, request: Request) -> dict[str, str] | None:
        """The names of the URL as the request has them; None: it asks for something else."""
        parts = urlsplit(request.target)
        found = self.path.fullmatch(unquote(parts.path) or "/")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        method = "GET" if self.message.send is None else "POST"
        if found is None or request.method != method:
            return None
        names = {name: value or "" for name, value in found.groupdict().items()}
        for key, pattern in self.query.items():
            value = pattern.fullmatch(given.get(key, ""))
            if value is None:
                return None
            names |= value.groupdict()
        if self.message.send is not None and not answers(self.message.send, names, request.body):
            return None
        return names


class Shelf:
    """What one product serves by HTTPS."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._places = [_place(index, message) for index, message in enumerate(desk.venue.messages) if message.url is not None]
        self._frames: dict[int, Frame] = {}
        self._bodies: dict[int, str] = {}
        product = desk.venue.product.name
        for place in self._places:
            if place.message.record in ir.MARKET_RECORDS:
                continue
            found = wires(place.message, product)
            if found:
                self._frames[place.index] = Frame(place.message, found[0], found)
            else:
                self._bodies[place.index] = place.message.examples[0].wire
        listing = next((place.message for place in self._places if place.message.record == "instrument"), None)
        self._names = Names(listing, product)

    def fetch(self, request: Request, now_ns: int) -> Answer | None:
        """The answer to a request; None: this product serves nothing there."""
        host = host_of(f"https://{request.host}")
        places = [place for place in self._places if place.host == host] or self._places
        best: tuple[int, Answer] | None = None
        for place in places:
            names = place.read(request)
            if names is None or (best is not None and len(place.query) <= best[0]):
                continue
            body = self._body(place, names, now_ns)
            answer = Answer(http.HTTPStatus.NOT_FOUND, b"there is no such instrument\n") if body is None else _ok(body)
            best = (len(place.query), answer)
        return best[1] if best else None

    def _body(self, place: _Place, names: Mapping[str, str], now_ns: int) -> str | None:
        if place.index in self._bodies:
            return self._bodies[place.index]
        if place.message.record == "instrument":
            return self._list(place, names)
        if place.message.record in ir.MARKET_RECORDS:
            return self._snapshot(place, names.get("symbol", ""), now_ns)
        return self._frames[place.index].page(names, [names])

    def _snapshot(self, place: _Place, symbol: str, now_ns: int) -> str | None:
        """The book as it is now, with the id it has in the stream of its changes."""
        desk = self._desk
        if symbol not in desk.market.instruments or not desk.voice.can(place.index, "first"):
            return None
        values = desk.market.instruments[symbol].depth()
        for stream, tape in desk.tapes.items():
            if stream.symbol == symbol and tape.steps and desk.venue.messages[stream.message].records == place.message.records:
                values = tape.snapshot()
        values.update(event_ns=now_ns, engine_ns=now_ns, symbol=symbol)
        said = desk.voice.say(place.index, [values], "first")[0]
        return said if isinstance(said, str) else None

    # ------------------------------------------------------------------ instruments

    def _list(self, place: _Place, names: Mapping[str, str]) -> str:
        frame = self._frames[place.index]
        rows = [self._row(place.message, symbol) for symbol in self._desk.symbols]
        cursor = _cursor(place.message)
        if cursor is None:
            return frame.page(names, rows)
        at = names.get(cursor, "")
        start = int(at) if at.isdecimal() else 0
        page = max(PAGE, len(rows) // 3)
        after = str(start + page) if start + page < len(rows) else ""
        return frame.page({**names, cursor: after}, rows[start : start + page])

    def _row(self, message: ir.Message, symbol: str) -> Values:
        base, quote = self._names.split(symbol)
        grid = self._desk.market.grid
        values: Values = {"symbol": symbol, "base": base, "quote": quote, "kind": self._names.kind(symbol), "trading": True}
        for name, step in (("price", grid.tick), ("qty", grid.lot)):
            if message.field(f"{name}_digits") is None:
                values[f"{name}_step"] = step
            else:
                values[f"{name}_step"] = Decimal(1)
                values[f"{name}_digits"] = -int(step.as_tuple().exponent)
        for name in ("settle", "contract_currency"):
            values[name] = self._names.like(name, base, quote)
        return values


def _ok(body: str) -> Answer:
    return Answer(http.HTTPStatus.OK, body.encode(), JSON)


def _cursor(message: ir.Message) -> str | None:
    """The capture that stands in the message's own `url`: what the next page is asked for with."""
    assert message.url is not None
    captured = [name for match in message.match for pattern in match.patterns for name in names_in(pattern)]
    return next((name for name in captured if name in names_in(message.url)), None)


def _place(index: int, message: ir.Message) -> _Place:
    assert message.url is not None
    text = render(message.url, {name: f"\0{name}\0" for name in names_in(message.url)})
    parts = urlsplit(text)
    query = {key: _pattern(value, ".*") for key, value in parse_qsl(parts.query, keep_blank_values=True)}
    return _Place(index, message, host_of(text), _pattern(parts.path or "/", "[^/]+"), query)


def _pattern(text: str, any_: str) -> re.Pattern[str]:
    """Names between NULs become groups."""
    words = text.split("\0")
    return re.compile("".join(f"(?P<{word}>{any_})" if i % 2 else re.escape(unquote(word)) for i, word in enumerate(words)))


def served(shelves: Sequence[Shelf], request: Request, now_ns: int) -> Answer:
    """The first shelf's answer; of several products on one path the one that lists the instrument."""
    found = [answer for shelf in shelves if (answer := shelf.fetch(request, now_ns)) is not None]
    for answer in found:
        if answer.status is http.HTTPStatus.OK:
            return answer
    return found[0] if found else Answer(http.HTTPStatus.NOT_FOUND, f"nothing is served at {request.target}\n".encode())
