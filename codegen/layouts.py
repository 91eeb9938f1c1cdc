"""From a message's examples to the layouts that the fast tier reads: fixed bytes with values between them.

Each example fixes one layout: its keys and punctuation and the words of `match` are literal, every other scalar varies, arrays
under `[*]` are loops over the layout of their elements. A value is string or number as the examples have it; where they have
both, either is read. Equal layouts merge, at most `MOST` per product and message.

The fast tier takes a frame only where everything about it is certain, so a layout exists only where that can be proven here: no
other message of the product may take such a frame. What is beyond it gets no layout and is read by the tolerant tier:
- messages that cut several records from one list or mix their sides (`side`); frames with several updates of books;
- `[key=text]`, `.$name` and, for levels, `[-*]` in paths; an index inside an array whose length varies; `[*]` more than once;
- the words `iso abs negative nonzero e-4`; maps of numbers; constants other than true, false and enum words;
- patterns with a capture beside another or a `*`; captures that fill other fields than `symbol`;
- values behind the elements that give the records, other than times and ids;
- repeated or escaped keys in the example, arrays whose elements differ in their keys, or are empty in every example.

A message that is no market record (an ack, a notice) has layouts too: they fill nothing, and tell only that it took the frame.

May import `bind`, `ir`, `layoutmatch`, `layouttokens`, `layoutwords`, `puts`, `refjson`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from . import ir
from .bind import bind
from .layoutmatch import NOT_THERE, Kind, Path, Shape, could_take, fitting
from .layouttokens import Check, Layout, LeftOut, Literal, Loop, Own, Token, Value, joined, places
from .layoutwords import Words
from .puts import BOOL, DECIMAL, DIGITS, SIGNED, SKIP, TEXT, BeyondError, Put, Reads, puts_of
from .refjson import ARRAY, LITERAL, NULL, OBJECT, STRING, FrameError, Node, parse

MOST = 4


def layouts(exchange: ir.Exchange, records: ir.Records, product: str) -> tuple[tuple[Layout, ...], tuple[LeftOut, ...]]:
    """All layouts of a product, those of market messages first, and the examples that have none."""
    messages = bind(exchange, product)
    found: list[Layout] = []
    left: list[LeftOut] = []
    pushed = [(index, message) for index, message in enumerate(messages) if message.json]
    for index, message in sorted(pushed, key=lambda one: records.record(one[1].record) is None):
        record = _deepest(records, message)
        # A word where a market message has a text is a text to be compared: what is common to both stays one way to read.
        texts = frozenset[Path]() if record else frozenset(_texts(found))
        own: list[Layout] = []
        twins = [_twin(exchange, name, message) for name in message.products]
        quotes: dict[Path, set[bool]] = {}
        negative: set[Path] = set()
        readers: list[tuple[int, _Reader]] = []
        for number, example in enumerate(message.examples):
            foreign = message if example.product == product else _twin(exchange, example.product, message)
            try:
                if record is None and _bare(message, example.wire, [one for one in messages if one is not message]):
                    own.append(Layout(index, "", (Literal(example.wire.encode()),), ()))
                    continue
                readers.append((number, _Reader(records, record, message, foreign, example, quotes, negative, texts, twins)))
            except BeyondError as beyond:
                left.append(LeftOut(index, number, str(beyond)))
        for number, reader in readers:
            try:
                own.append(reader.layout(index, messages, readers))
            except BeyondError as beyond:
                left.append(LeftOut(index, number, str(beyond)))
        resolved = [replace(layout, tokens=_resolve(layout.tokens, quotes, negative)) for layout in own]
        found += tuple(dict.fromkeys(resolved))[:MOST]
    return tuple(found), tuple(left)


def _bare(message: ir.Message, wire: str, others: Iterable[ir.Message]) -> bool:
    """Whether a text that cannot begin JSON is all there is to a message that gives no record, and nothing to the others."""
    if wire[0] in '{["-0123456789tfn \t\r\n' or not all(_whole(match) for match in message.match):
        return False
    said = Shape(Kind.FIXED, text=wire)
    mine = all(any(fitting(pattern, said) for pattern in match.patterns) for match in message.match)
    tried = (pattern for one in others for match in one.match if _whole(match) for pattern in match.patterns)
    return mine and all(fitting(pattern, said) is False for pattern in tried)


def _whole(match: ir.Match) -> bool:
    return not match.path.steps and not match.path.element


def _texts(found: Iterable[Layout]) -> Iterable[Path]:
    """The places of texts in layouts, outside arrays of any length."""
    return (token.path for layout in found for token in layout.tokens if isinstance(token, Value) and token.kind == TEXT)


def _deepest(records: ir.Records, message: ir.Message) -> ir.RecordType | None:
    """The message's record; of a book's, the one with the most levels."""
    found = [record for word in message.records if (record := records.record(word)) is not None]
    if not message.book or not found:
        return records.record(message.record)
    return max(found, key=lambda record: max(member.length for member in record.fields))


def _twin(exchange: ir.Exchange, product: str, message: ir.Message) -> ir.Message:
    """The message as it is bound in another product, whose wire an example is."""
    return next(other for other in bind(exchange, product) if other.line == message.line)


def _resolve(tokens: tuple[Token, ...], quotes: dict[Path, set[bool]], negative: set[Path]) -> tuple[Token, ...]:
    """Values with the quotes that all examples of the message agree on; an ignored value that is always a string is a text, digits that
    are negative in one of them have a sign."""
    out: list[Token] = []
    for token in tokens:
        if isinstance(token, Loop):
            out.append(replace(token, tokens=_resolve(token.tokens, quotes, negative)))
        elif isinstance(token, Value):
            seen = quotes[token.path]
            quoted = next(iter(seen)) if len(seen) == 1 else None
            kind = TEXT if token.kind == SKIP and quoted else SIGNED if token.path in negative else token.kind
            out.append(replace(token, kind=kind, quoted=quoted))
        else:
            out.append(token)
    return tuple(out)


class _Reader:
    """One example on its way to a layout. `foreign`: the message as bound in the example's own product."""

    def __init__(
        self,
        records: ir.Records,
        record: ir.RecordType | None,
        message: ir.Message,
        foreign: ir.Message,
        example: ir.Example,
        quotes: dict[Path, set[bool]],
        negative: set[Path],
        texts: frozenset[Path],
        twins: list[ir.Message],
    ) -> None:
        self.records = records
        self.message = message
        self.record = record
        self.texts = texts
        self.wire = example.wire.encode()
        self.quotes = quotes
        self.negative = negative  # places of digits that are below 0 in some example
        self.tokens: list[Token] = []
        self.cursor = 0
        self.loops: dict[Path, int] = {}
        self.back = False
        try:
            self.root = parse(self.wire)
        except FrameError as error:
            raise BeyondError(f"the example is no JSON: {error}") from error
        self.base, self.element = self._each()
        self.words = Words(message, foreign, twins, self._locate, plain=record is None)
        self.reads = Reads()
        if record is not None:
            self.reads = puts_of(records, record, message, self._locate, self.words.captures, self.words.fixed)
        self._claim_loops()

    # ----------------------------------------------------------------------- places

    def _each(self) -> tuple[Path, Node]:
        """The path of `@` and what it is in the example: the first element."""
        for path in self.message.each or (ir.Path(False, (), False, "."),):
            place, node = _follow(self.root, (), path.steps[:-1] if _every(path) else path.steps)
            if node is None:
                continue
            if node.absent:
                raise BeyondError("`each` meets null in the example")
            if not _every(path):
                return place, node
            if self.record is None:
                raise BeyondError("elements that give no records")
            if node.kind != ARRAY or not node.items:
                raise BeyondError("`each` finds no element in the example")
            if self.message.book:
                if len(node.items) > 1:
                    raise BeyondError("several updates of books in one frame")
                return (*place, 0), node.items[0]
            self.loops[place] = 0
            self.back = path.steps[-1] == ir.Every(True)
            return (*place, "*"), node.items[0]
        raise BeyondError("`each` finds nothing in the example")

    def _locate(self, path: ir.Path) -> tuple[Path, Node | None]:
        """The place of a path and what stands there in the example, None where nothing does."""
        return _follow(self.element, self.base, path.steps) if path.element else _follow(self.root, (), path.steps)

    def _claim_loops(self) -> None:
        for place in self.reads.loops:
            if self.loops.get(place, 0) or place in self.loops:
                raise BeyondError("[*] twice at the same place")
            self.loops[place] = self.reads.loops[place]

    # ----------------------------------------------------------------------- the layout

    def layout(self, index: int, messages: tuple[ir.Message, ...], readers: list[tuple[int, _Reader]]) -> Layout:
        """The layout, once all examples of the message were looked at. Raises BeyondError with the reason where there is none."""
        self.readers = [reader for _, reader in readers]
        shape = self._walk(self.root, ())
        self._literal(len(self.wire))
        opening = next(token.data for token in self.tokens if isinstance(token, Literal)).decode()
        for other, message in enumerate(messages):
            # Of messages that give no record the first one counts.
            harmless = other == index or (self.record is None and other > index and self.records.record(message.record) is None)
            if not harmless and could_take(message, shape, opening):
                raise BeyondError(f'message "{message.record}" of line {message.line} may take such a frame too')
        if any(place not in self.seen_values() for place in self.reads.kinds):
            raise BeyondError("a value stands outside the layout")
        tokens = joined(self.tokens)
        puts = tuple(_timed(put, _behind(tokens)) for put in self.reads.puts)
        return Layout(index, self.record.word if self.record else "", tokens, puts, self.back)

    def seen_values(self) -> set[Path]:
        """The places of all values, those inside loops included."""
        return set(places(self.tokens))

    def _literal(self, until: int) -> None:
        self.tokens.append(Literal(self.wire[self.cursor : until]))
        self.cursor = until

    def _walk(self, node: Node, place: Path) -> Shape:
        if node.kind == OBJECT:
            names = [member.key for member in node.members]
            if len(set(names)) != len(names):
                raise BeyondError("a key is given twice in the example")
            for member in node.members:
                if not self.wire.startswith(f'"{member.key}"'.encode("utf-8", "surrogatepass"), member.start):
                    raise BeyondError("a key is escaped in the example")
            return Shape(Kind.OBJECT, members=tuple((m.key, self._walk(m.value, (*place, m.key))) for m in node.members))
        if node.kind == ARRAY and place in self.loops:
            return self._loop(node, place)
        if node.kind == ARRAY:
            return Shape(Kind.ARRAY, items=tuple(self._walk(item, (*place, i)) for i, item in enumerate(node.items)))
        return self._scalar(node, place)

    def _scalar(self, node: Node, place: Path) -> Shape:
        self._literal(node.start)
        self.cursor = node.end
        kind, words = self.reads.kinds.get(place), self.words
        if place in words.literals:
            if kind is not None:
                raise BeyondError("a field reads a match word")
            word = words.literals[place]
            if word.data and place in self.texts | words.varying and node.kind == STRING:
                self.quotes.setdefault(place, set()).add(True)
                self.tokens.append(Value(TEXT, place, usual=node.end - node.start - 2, digits=node.text.isdecimal()))
                self.tokens.append(Check(place, word.data[1:-1], whole=True, varies=place in words.varying))
            elif place in words.longest:
                self.tokens.append(Own(place, word.data, words.longest[place]))
            else:
                self.tokens.append(word if word.data else Literal(self.wire[node.start : node.end]))
            return Shape(Kind.FIXED, text=words.fixed[place]) if word.data else NOT_THERE
        if node.absent and place in self.reads.absent:
            self.tokens.append(Literal(self.wire[node.start : node.end]))
            return NOT_THERE
        string = node.kind == STRING
        if kind is None:
            kind = SKIP
            if place in words.frames or place in words.present:
                whole = self.record is None and node.text.isdigit()
                kind = TEXT if string else BOOL if node.kind == LITERAL else DIGITS if whole else DECIMAL
        if (
            (kind == TEXT) > string
            or (kind == BOOL and node.kind != LITERAL)
            or (node.kind in (NULL, LITERAL) and kind in (DIGITS, DECIMAL))
        ):
            raise BeyondError(f"{kind} is wanted where the example has another type")
        self.quotes.setdefault(place, set()).add(string)
        if kind == DIGITS and node.text.startswith("-") and place in self.reads.signed - self.reads.unsigned:
            self.negative.add(place)
        self.tokens.append(Value(kind, place, usual=node.end - node.start - 2 * string, digits=node.text.isdecimal()))
        if place in words.frames:
            prefix, suffix = words.frames[place]
            self.tokens.append(Check(place, prefix.encode(), suffix.encode()))
            self.tokens += words.likes.get(place, ())
            return Shape(Kind.FRAMED, prefix=prefix, suffix=suffix)
        if kind == TEXT and place in words.present:
            self.tokens.append(Check(place, b"", b""))
            self.tokens += words.likes.get(place, ())
            return Shape(Kind.FRAMED)
        if place in words.likes:
            raise BeyondError("`not` of what is no text")
        return Shape(Kind.UNKNOWN if kind in (SKIP, TEXT) else Kind.PRESENT)

    def _loop(self, node: Node, place: Path) -> Shape:
        self._literal(node.start)
        outer, self.tokens = self.tokens, []
        bodies: list[tuple[Token, ...]] = []
        shape: Shape | None = None
        end = node.start + 1
        for item in node.items:
            if self.wire[end : item.start] != (b"," if bodies else b""):
                raise BeyondError("white space between the elements of an array")
            self.tokens, self.cursor = [], item.start
            shape = self._walk(item, (*place, "*"))
            self._literal(item.end)
            bodies.append(joined(self.tokens))
            end = item.end
        if self.wire[end : node.end] != b"]":
            raise BeyondError("white space between the elements of an array")
        if not bodies:
            shape, body = self._borrow(place)
            bodies.append(body)
        if len(set(bodies)) != 1 or shape is None:
            raise BeyondError("the elements of an array differ in their layout")
        self.tokens, self.cursor = outer, node.end
        self.tokens.append(Loop(place, self.loops[place], bodies[0], self.reads.sides.get(place, "")))
        return Shape(Kind.LOOP, items=(shape,))

    def _borrow(self, place: Path) -> tuple[Shape, tuple[Token, ...]]:
        """The layout of an element that this example lacks: that of the first example which has one."""
        for other in self.readers:
            _, node = _follow(other.root, (), tuple(ir.Key(k) if isinstance(k, str) else ir.Index(k) for k in place))
            if "*" in place or node is None or node.kind != ARRAY or not node.items or other.loops.keys() != self.loops.keys():
                continue
            tokens, cursor, wire = self.tokens, self.cursor, self.wire
            self.tokens, self.cursor, self.wire = [], node.items[0].start, other.wire
            shape = self._walk(node.items[0], (*place, "*"))
            self._literal(node.items[0].end)
            body = joined(self.tokens)
            self.tokens, self.cursor, self.wire = tokens, cursor, wire
            return shape, body
        raise BeyondError("an array that is empty in every example")


def _every(path: ir.Path) -> bool:
    return bool(path.steps) and isinstance(path.steps[-1], ir.Every)


def _follow(node: Node, place: Path, steps: tuple[ir.Step, ...]) -> tuple[Path, Node | None]:
    """The place of a path from `node`, and what stands there, None where nothing does.

    A way through a scalar is beyond: its value varies, and with it whether the path is absent or wrong.
    """
    found: Node | None = node
    for step in steps:
        if found is not None and (found.kind != OBJECT if isinstance(step, ir.Key) else found.kind != ARRAY):
            raise BeyondError("a path through a value that is no such container")
        if isinstance(step, ir.Key):
            place = (*place, step.name)
            found = None if found is None else next((member.value for member in found.members if member.key == step.name), None)
        elif isinstance(step, ir.Index):
            count = 0 if found is None else len(found.items)
            inside = -count <= step.n < count
            place = (*place, step.n % count if inside else step.n)
            found = found.items[step.n] if inside and found is not None else None
        else:
            raise BeyondError("a path with [key=text], .$name, or [*] where it cannot stand")
    return place, found


def _behind(tokens: tuple[Token, ...]) -> frozenset[Path]:
    """The places of values that stand behind elements which give a record each: those are put before the values are read."""
    loop = next((i for i, token in enumerate(tokens) if isinstance(token, Loop) and token.most == 0), len(tokens))
    return frozenset(places(tokens[loop + 1 :]))


def _timed(put: Put, behind: frozenset[Path]) -> Put:
    """The put, told whether its value comes late. What decides about a record as a whole cannot."""
    path = put.capture.path if put.capture is not None else put.path
    if not {path, put.last, *(then.path for then in put.chain)} & behind:
        return put
    if put.how not in ("time", "integer"):
        raise BeyondError(f"{put.member}: a value behind the elements that give the records")
    return replace(put, late=True)
