"""Tries a spec on its own examples: what the reference interpreter makes of each is what `expect` must say.

Pushed frames are tried on all pushed messages of the product, fetched bodies on the message that is fetched. Messages that are
not recognised rightly stay out, and so do fields with other findings, so that one fault is told once and hides no other.
May import `about`, `bind`, `check_paths`, `check_session`, `errors`, `expected`, `ir`, `reference` and the `ref*` modules it
stands on.
"""

from __future__ import annotations

from . import bind, check_paths, expected, ir
from .about import About
from .check_session import not_json
from .errors import did_you_mean, nearest
from .reference import FetchError, Interpreter, Outcome, Record, Refusal
from .refjson import FrameError, parse

_FAULTS = {
    "missing": "is missing",
    "type": "is of another type",
    "range": "is out of range",
    "unmapped": "has a value that its map does not hold",
    "symbol": "is no symbol: longer than 48 bytes, or with control characters",
    "duplicate": "stands on a key that is given twice",
    "utf8": "is not UTF-8",
}


def check(exchange: ir.Exchange, messages: tuple[About, ...]) -> None:
    """Finds messages without examples, examples that no longer fit, and frames that several messages take."""
    for about in messages:
        if not about.message.examples:
            if not about.blocked:
                about.find(about.message.line, "no example; write [[message.example]] with a wire and all that it gives as expect")
            continue
        _expect_keys(about)
        if not about.blocked and about.message.template is None:
            check_paths.check(about)
    sound = [about for about in messages if not about.blocked]
    for product in exchange.products:
        trials = [(about, about.trial(product)) for about in sound if product.name in about.bound]
        here = [about for about, message in trials if message is not None]
        bound = tuple(message for _, message in trials if message is not None)
        for index, about in enumerate(here):
            before = about.wrong
            _Trial(here, bound, index, product).run()
            if about.wrong == before and any(match.offline for message in bound for match in message.match):
                _Trial(here, bound, index, product, sure=True).run()


def _expect_keys(about: About) -> None:
    allowed = [rule.name for rule in about.rules.values() if not rule.kept and rule.name not in ("side", "price", "qty")]
    if not about.rules or "trade" in about.message.record:
        allowed = list(about.rules)
    allowed += ["snapshot"] if "snapshot" in about.rules else []
    allowed += ["record"] if len(about.message.records) > 1 else []
    for number, example in enumerate(about.message.examples, start=1):
        for i, record in enumerate(example.expect):
            for key, _ in record:
                if key not in allowed and about.message.record != "vars":
                    line = about.line("example", number - 1, "expect", i, key)
                    hint = did_you_mean(key, allowed) if allowed else f"; {about.message.record} has no fields, write expect = [{{}}]"
                    about.find_example(number, line, f'expect: unknown field "{key}"{hint}')
                    about.faulty |= {key, nearest(key, allowed) or key}


class _Trial:
    """The examples of one message in one product, in sequence on one interpreter; `sure`: as on a connection."""

    def __init__(self, here: list[About], bound: tuple[ir.Message, ...], index: int, product: ir.Product, *, sure: bool = False) -> None:
        self.here = here
        self.bound = bound
        self.index = index
        self.about = here[index]
        self.product = product
        self.schema = self.about.exchange.schema(product)
        self.binary = bound[index].template is not None
        self.interpreter = Interpreter(self.about.spec.records, bound, schema=self.schema, sure=sure)
        self.refused = False

    def run(self) -> None:
        """Tries them all; a book stops at the first that is refused, since what follows hangs on it."""
        book = self.about.message.book
        for number, example in enumerate(self.about.message.examples, start=1):
            if example.product != self.product.name or (book and self.refused):
                continue
            if self.about.fetched:
                self.fetched(number, example)
            elif self.about.market:
                self.market(number, example)
            else:
                self.other(number, example)

    # ----- market data

    def market(self, number: int, example: ir.Example) -> None:
        interpreter = self._interpreter(example)
        outcome = interpreter.decode(self.about.message.frame(example), self.binary)
        self._taken_elsewhere(number, example, outcome.items)
        own = [item for item in outcome.items if item.message in (self.index, None)]
        refusals = [item for item in own if isinstance(item, Refusal)]
        self.refused = bool(refusals)
        for item in refusals:
            hint = "; if it may be absent, put ? behind its path" if item.code == "missing" and item.field else ""
            self.about.find_example(number, example.line, fault(item) + hint)
        found = [item for item in own if isinstance(item, Record)]
        if not own and (outcome.skip_message != self.index or outcome.items):
            self._not_taken(number, example)
        elif not refusals:
            actual = [expected.market(item, self.about) for item in found]
            reason = f" ({outcome.skip})" if outcome.skip else ""
            self._compare(number, example, actual, reason)

    def _interpreter(self, example: ir.Example) -> Interpreter:
        """The message's interpreter; another where the symbol is only known from outside, as on a connection with one stream."""
        if self.about.fetched or not _symbol_from_outside(self.about):
            return self.interpreter
        symbol = next((value for record in example.expect for key, value in record if key == "symbol"), None)
        if not self.interpreter.known:
            self.interpreter = Interpreter(self.about.spec.records, self.bound, symbol=symbol if isinstance(symbol, str) else "FOOBAR")
        return self.interpreter

    def _taken_elsewhere(self, number: int, example: ir.Example, items: tuple[Record | Refusal, ...]) -> None:
        told: set[int] = set()
        for item in items:
            if item.message is None or item.message == self.index or item.message in told:
                continue
            if isinstance(item, Refusal):
                what = f"refused there: {fault(item, False)}"
            elif _no_quote(item) and not self.here[item.message].faulty:
                what = "gives a quote without any side there"
            else:
                continue
            told.add(item.message)
            other = self.here[item.message].message
            what = f'is also taken by message "{other.record}" (line {other.line}) and {what}; make their `match` exclude each other'
            self.about.find_example(number, example.line, what, joined=True)

    def _not_taken(self, number: int, example: ir.Example) -> None:
        message = self.bound[self.index]
        if message.template is not None:
            what = f"is not taken by its own message: it is of another template than {message.template}"
            self.about.find_example(number, example.line, what, joined=True)
            return
        try:
            root = parse(example.wire.encode())
        except FrameError:
            self.about.find_example(number, example.line, 'is not taken by its own message: no `match` on "." fits it', joined=True)
            return
        for match, written in zip(message.match, self.about.message.match, strict=True):
            if not match.path.element and check_paths.held(match, root, 0, {}) is None:
                what = f"{check_paths.spelled(written)} does not hold: {check_paths.unmet(match, root, root)}"
                self.about.find_example(number, example.line, f"is not taken by its own message: {what}", joined=True)
                return
        self.about.find_example(number, example.line, "is not taken by its own message: no element of it fits `match`", joined=True)

    # ----- all else

    def other(self, number: int, example: ir.Example) -> None:
        frame = self.about.message.frame(example)
        outcome = self.interpreter.decode(frame, self.binary)
        self._taken_elsewhere(number, example, outcome.items)
        for item in outcome.items:
            if isinstance(item, Refusal) and item.message is None:
                self.about.find_example(number, example.line, fault(item))
                return
        if self.binary:
            if outcome.skip_message != self.index:
                self._not_taken(number, example)
            return
        readings = [reading.fields for reading in self.interpreter.read(frame) if reading.message == self.index]
        if not readings:
            self._not_taken(number, example)
            return
        self._heard(number, example, outcome)
        send = self.bound[self.index].send
        for fields in readings if send is not None else ():
            answer = bind.render(send, {**fields, "now_s": "1700000000", "now_ms": "1700000000000"}, unset="") if send else ""
            if wrong := not_json(answer):
                what = f"send gives {answer}, which is not the JSON that its braces promise: {wrong}"
                self.about.find(self.about.line("send"), what)
        if "expect" in self._written(number) or self.about.given():
            self._compare(number, example, [expected.texts(fields, self.about) for fields in readings], "")

    def _heard(self, number: int, example: ir.Example, outcome: Outcome) -> None:
        """Nobody looks for an answer in a frame that gives market data, or that a message of market data took in front of it."""
        taker = next((item.message for item in outcome.items if isinstance(item, Record)), outcome.skip_message)
        if taker is None or taker == self.index or self.bound[taker].reason not in ("", "dropped_class"):
            return
        other = self.here[taker].message
        gives = "gives a record there" if outcome.items else f"is reported as {outcome.skip}"
        what = f'is also taken by message "{other.record}" (line {other.line}) and {gives}; make their `match` exclude each other'
        self.about.find_example(number, example.line, what, joined=True)

    def fetched(self, number: int, example: ir.Example) -> None:
        body, known = example.wire.encode(), self._fetch_names(example)
        try:
            if self.about.market:
                items = self.interpreter.decode_fetched(self.index, body, known).items
                refusals = [item for item in items if isinstance(item, Refusal)]
                actual = [expected.market(item, self.about) for item in items if isinstance(item, Record)]
            else:
                answer = self.interpreter.fetched(self.index, body, known)
                refusals = list(answer.refusals)
                actual = [expected.row(row, self.about) for row in answer.rows]
        except FetchError as error:
            self.about.find_example(number, example.line, str(error))
            return
        for refusal in refusals:
            self.about.find_example(number, example.line, fault(refusal))
        if not refusals:
            self._compare(number, example, actual, "")

    def _fetch_names(self, example: ir.Example) -> dict[str, str]:
        """Names known when the body came: the symbol it was fetched for, as `expect` tells it."""
        symbol = next((value for record in example.expect for key, value in record if key == "symbol"), None)
        return {"symbol": symbol} if isinstance(symbol, str) else {}

    # ----- expect

    def _written(self, number: int) -> set[str]:
        where = (*self.about.where, "example", number - 1)
        return {str(key[-1]) for key in self.about.spec.lines if key[:-1] == where}

    def _compare(self, number: int, example: ir.Example, actual: list[dict[str, expected.Value]], reason: str) -> None:
        line = self.about.line("example", number - 1, "expect")
        if len(actual) != len(example.expect):
            what = f"gives {_counted(len(actual))}{reason}, expect says {len(example.expect)}"
            shown = "; ".join(expected.spelled(record) for record in actual)
            self.about.find_example(number, line, f"{what}{'; it gives ' + shown if shown else ''}", joined=True)
            return
        for i, (found, pairs) in enumerate(zip(actual, example.expect, strict=True)):
            at = self.about.line("example", number - 1, "expect", i)
            ignored = self.about.faulty | ({"count"} if self.about.faulty & {"first_id", "last_id"} else set())
            values = {name: value for name, value in found.items() if name not in ignored}
            wanted = {name: value for name, value in pairs if name not in ignored}
            for what in expected.differences(values, wanted, self.about):
                self.about.find_example(number, at, what)


def _no_quote(record: Record) -> bool:
    """A bbo of which neither side is there: valid on the wire, but in another message's example a sign of a `match` too wide."""
    sides = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    return record.record == "bbo" and all(record.values.get(name) is None for name in sides)


def _counted(n: int) -> str:
    return f"{n or 'no'} record{'s' if n > 1 else ''}"


def _symbol_from_outside(about: About) -> bool:
    field = about.message.field("symbol")
    sources = field.source.sources if field and isinstance(field.source, ir.FromFirst) else (field.source,) if field else ()
    return ir.FromName("symbol") in sources and "symbol" not in about.captures()


def fault(refusal: Refusal, place: bool = True) -> str:
    """A refusal in words."""
    where = f" (byte {refusal.offset})" if place else ""
    if refusal.message is None:
        return f"the frame is refused as a whole: {refusal.code}{where}"
    subject = refusal.field or "the place that `each` names"
    return f"{subject} {_FAULTS.get(refusal.code, f'is refused: {refusal.code}')}{where}"
