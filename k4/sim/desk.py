"""One product at work: who understands (`venue`), who speaks (`voice`), what happens (`market`), and what of it a subscriber is told.

Imports `books`, `market`, `net`, `venue`, `voice` and, of the generator, `ir`.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from k4._codegen import ir
from k4.sim import net
from k4.sim.books import CUT_NS, Cursor, Tape
from k4.sim.market import Event, Grid, Market, Values
from k4.sim.venue import Stream, Venue
from k4.sim.voice import Said, Voice, kind_of

MOST_DIGITS = 8

Change = Callable[[Stream, Values], Values]


def _as_it_is(_: Stream, values: Values) -> Values:
    return values


class Desk:
    """`symbols`: the native symbols it lists. The same `seed` gives the same market. `secrets`: what clients have to show, as far as it is
    known here. Raises K4Error where the spec cannot be spoken."""

    def __init__(
        self, exchange: ir.Exchange, product: ir.Product, symbols: tuple[str, ...], seed: int, secrets: Mapping[str, str] | None = None
    ) -> None:
        self.name = f"{exchange.name} {product.name}"
        self.venue = Venue(exchange, product, secrets or {})
        self.voice = Voice(self.venue.messages, product.session, product.name, exchange.schema(product))
        self.symbols = symbols
        self.market = Market(list(symbols), f"{seed} {self.name}", grid_of(self.venue.messages, product.name))
        self.tapes: dict[Stream, Tape] = {}
        self._stepped: dict[Stream, int] = {}

    def lists(self, symbol: str) -> bool:
        """Is there such an instrument? "" stands for all."""
        return not symbol or symbol in self.market.instruments

    def pack(self, said: Said) -> bytes:
        """A message as it leaves: framed, and compressed where the venue does so."""
        if isinstance(said, bytes):
            return net.framed(said, 2)
        text = said
        match self.venue.product.session.encoding:
            case "gzip":
                return net.framed(gzip.compress(text.encode(), 1), 2)
            case "deflate":
                raw = zlib.compressobj(1, zlib.DEFLATED, -15)
                return net.framed(raw.compress(text.encode()) + raw.flush(), 2)
        return net.framed(text.encode())

    # ------------------------------------------------------------------ what happens

    def live(self, now_ns: int, asked: Callable[[Stream], bool], change: Change = _as_it_is) -> Iterator[tuple[Stream, list[Said]]]:
        """One step of the market: the messages of each stream that was asked for. `change` sees all values before they are written."""
        for (kind, symbol), events in itertools.groupby(self.market.step(now_ns), key=_kind):
            rows = [event.values for event in events]
            for message in self.voice.tellers(kind):
                stream = Stream(message, symbol)
                if asked(stream):
                    yield stream, self._said(stream, kind, rows, change)

    def _said(self, stream: Stream, kind: str, rows: list[Values], change: Change) -> list[Said]:
        if kind in ("bbo", "depth") and self.venue.messages[stream.message].order == "contiguous":
            last = self._stepped.get(stream, self.market.instruments[stream.symbol].update_id)
            rows = [{**row, "update_id": last + 1 + i} for i, row in enumerate(rows)]
            self._stepped[stream] = last + len(rows)
        return self.voice.say(stream.message, [change(stream, {**row, "symbol": stream.symbol}) for row in rows])

    def cut(self, now_ns: int, change: Change = _as_it_is) -> Iterator[tuple[Cursor, list[Said]]]:
        """The updates of books that are due, each for the subscriber whose cursor it is."""
        for stream, tape in self.tapes.items():
            if now_ns - tape.at_ns >= CUT_NS:
                yield from self._cut(stream, tape, now_ns, change)

    def _cut(self, stream: Stream, tape: Tape, now_ns: int, change: Change = _as_it_is) -> Iterator[tuple[Cursor, list[Said]]]:
        tape.cut(now_ns)
        chained = self.venue.messages[stream.message].field("prev_id") is not None
        for cursor in tape.cursors:
            values = cursor.update(chained=chained)
            if values is not None:
                yield cursor, self.voice.say(stream.message, [change(stream, {**values, "symbol": stream.symbol})])

    # ------------------------------------------------------------------ what a subscriber is told first

    def is_book(self, stream: Stream) -> bool:
        return kind_of(self.venue.messages[stream.message]) == "book" and self.voice.can(stream.message, "live")

    def open_book(self, stream: Stream, now_ns: int, *, every: int) -> tuple[Cursor, list[tuple[Cursor, list[Said]]]]:
        """A cursor for a new subscriber of a book, and the updates that the others are told before it begins."""
        instrument = self.market.instruments[stream.symbol]
        tape = self.tapes.get(stream)
        if tape is None:
            tape = self.tapes[stream] = Tape(instrument, self.venue.messages[stream.message].order == "contiguous")
        told = list(self._cut(stream, tape, now_ns))
        return tape.subscribe(every=every), told

    def close_book(self, stream: Stream, cursor: Cursor) -> None:
        """The subscriber has gone; the last one's tape goes too, but for one whose ids are its own and must go on."""
        cursor.tape.cursors.remove(cursor)
        if not cursor.tape.cursors and not cursor.tape.steps:
            cursor.tape.close()
            del self.tapes[stream]

    def first(self, stream: Stream, now_ns: int, change: Change = _as_it_is) -> list[Said]:
        """What a venue tells a new subscriber of a stream at once: a book as of its last cut, or the last trades."""
        if not self.voice.can(stream.message, "first"):
            return []
        symbols = (stream.symbol,) if stream.symbol else self.symbols
        out: list[Said] = []
        for symbol in symbols:
            instrument = self.market.instruments[symbol]
            if kind_of(self.venue.messages[stream.message]) == "book":
                tape = self.tapes.get(stream)
                rows = [tape.snapshot() if tape is not None else instrument.depth()]
                rows[0].update(event_ns=now_ns, engine_ns=now_ns)
            else:
                rows = list(instrument.trades)
            out += self.voice.say(stream.message, [change(stream, {**row, "symbol": symbol}) for row in rows], "first")
        return out


def _kind(event: Event) -> tuple[str, str]:
    return event.record, event.symbol


def grid_of(messages: tuple[ir.Message, ...], product: str) -> Grid:
    """Steps of prices and quantities as fine as the examples show them, and whether trade ids may leave some out."""
    digits = {"price": 0, "qty": 0}
    for message in messages:
        for example in message.examples:
            for record in example.expect if example.product == product else ():
                for name, value in record:
                    kind = next((kind for kind in digits if name.endswith(kind)), None)
                    if kind is not None:
                        values = value if isinstance(value, list | tuple) else [value]
                        digits[kind] = max([digits[kind], *(_fraction(one) for one in values)])
    contiguous = any(message.order == "contiguous" for message in messages if message.record in ("trade", "aggtrade"))
    own = any(example.product == product for message in messages for example in message.examples)
    if not own and messages:
        return grid_of(messages, messages[0].examples[0].product)
    return Grid(Decimal(1).scaleb(-digits["price"]), Decimal(1).scaleb(-digits["qty"]), jumps=not contiguous)


def _fraction(value: object) -> int:
    """Digits behind the point that are needed to write the value."""
    try:
        exponent = Decimal(str(value)).normalize().as_tuple().exponent
    except ArithmeticError:
        return 0
    return min(-exponent, MOST_DIGITS) if isinstance(exponent, int) and exponent < 0 else 0
