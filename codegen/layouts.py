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

May import `bind`, `ir`, `layoutmatch`, `puts`, `refjson`, `refmatch`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from . import ir
from .bind import bind
from .layoutmatch import NOT_THERE, Kind, Path, Shape, could_take, fitting
from .puts import BOOL, DECIMAL, DIGITS, SIGNED, SKIP, TEXT, BeyondError, Capture, Put, Reads, puts_of
from .refjson import ARRAY, LITERAL, NULL, OBJECT, STRING, FrameError, Node, parse
from .refmatch import fits

MOST = 4
SHORT = 8  # bytes of a word that products may have of their own where no string stands


@dataclass(frozen=True, slots=True)
class Literal:
    """These bytes, exactly."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar that varies. `kind`: digits, signed (digits, maybe behind a minus), decimal, text, bool, skip (ignored). `quoted`: given as
    a string; None: either way.

    `usual`: how long it is in the example, in bytes without quotes; `digits`: it is nothing else there. Two layouts may differ in these.
    """

    kind: str
    path: Path
    quoted: bool | None = None
    usual: int = field(default=0, compare=False)
    digits: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """The text just read at `path` is `prefix`, at least one character, `suffix`; where it is `whole`, exactly `prefix`.

    `varies`: another product has another word there.
    """

    path: Path
    prefix: bytes
    suffix: bytes = b""
    whole: bool = False
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Loop:
    """An array of elements laid out alike, any number of them. `most`: as many are kept; 0: each gives one record. `side`: all of them
    are levels of that side of a book."""

    path: Path
    most: int
    tokens: tuple[Token, ...]
    side: str = ""


@dataclass(frozen=True, slots=True)
class Like:
    """The text just read at `path` is made of `pieces` with any run between each two of them, or, unless `wanted`, it is not.

    `varies`: another product has other pieces there, as many of them.
    """

    path: Path
    pieces: tuple[bytes, ...]
    wanted: bool
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """These bytes in this product, others in another, at most `most`."""

    path: Path
    data: bytes
    most: int


Token = Literal | Own | Value | Check | Like | Loop


@dataclass(frozen=True, slots=True)
class Layout:
    """How the frames of one example look, and how they fill the record of `message` (its index in the product).

    `record` empty: the message is no market record, and all there is to say is that it took the frame. `back`: the elements of the loop
    that gives the records count from the last on.
    """

    message: int
    record: str
    tokens: tuple[Token, ...]
    puts: tuple[Put, ...]
    back: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An example without a layout, and why."""

    message: int
    example: int
    reason: str


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
        self.foreign = foreign
        self.record = record
        self.texts = texts
        self.twins = twins
        self.varying: set[Path] = set()  # places with a word that another product has otherwise
        self.wire = example.wire.encode()
        self.quotes = quotes
        self.negative = negative  # places of digits that are below 0 in some example
        self.tokens: list[Token] = []
        self.cursor = 0
        self.words: dict[Path, Literal] = {}  # places with a fixed text: its bytes
        self.longest: dict[Path, int] = {}  # and how many they are at most in any product
        self.fixed: dict[Path, str] = {}  # the same places: the text itself
        self.frames: dict[Path, tuple[str, str]] = {}  # places with a text of which only both ends are known
        self.likes: dict[Path, list[Like]] = {}  # what else is asked of a text
        self.captures: dict[str, Capture] = {}
        self.loops: dict[Path, int] = {}
        self.present: set[Path] = set()
        self.back = False
        try:
            self.root = parse(self.wire)
        except FrameError as error:
            raise BeyondError(f"the example is no JSON: {error}") from error
        self.base, self.element = self._each()
        self._match()
        self.reads = Reads()
        if record is not None:
            self.reads = puts_of(records, record, message, self._locate, self.captures, self.fixed)
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

    # ----------------------------------------------------------------------- match

    def _match(self) -> None:
        for index, (own, theirs) in enumerate(zip(self.message.match, self.foreign.match, strict=True)):
            place, node = self._locate(own.path)
            twins = [twin.match[index] for twin in self.twins]
            if any(twin.patterns != own.patterns for twin in twins):
                self.varying.add(place)
            if not own.path.steps and not own.path.element:
                raise BeyondError("match on the whole frame")
            if place in self.words or place in self.frames or place in self.present:
                raise BeyondError("two match entries at one place")
            if node is None or node.absent:
                if not any(pattern.absent for pattern in theirs.patterns):
                    raise BeyondError("the example does not match")
                self.words[place] = Literal(b"")
                continue
            self._pattern(own.patterns, theirs.patterns, [twin.patterns for twin in twins], place, node)
            self._exclude(own.excluded, [twin.excluded for twin in twins], place)

    def _pattern(
        self, own: tuple[ir.Text, ...], theirs: tuple[ir.Text, ...], twins: list[tuple[ir.Text, ...]], place: Path, node: Node
    ) -> None:
        if len(own) != len(theirs):
            raise BeyondError("products differ in their patterns")
        for i, pattern in enumerate(theirs):
            if not pattern.any and (pattern.absent or not node.scalar or fits(pattern.parts, node.text, {}) is None):
                continue
            parts = own[i].parts
            if own[i].any or self._told(own[i], node):
                self._certain(own[:i], Shape(Kind.PRESENT))
                self.present.add(place)
                if own[i].any and node.kind == STRING and _starred(twin[i] for twin in twins):
                    self.likes[place] = [_like(place, own[i], [twin[i] for twin in twins], wanted=True)]
            elif own[i].absent or not node.scalar:
                raise BeyondError("products differ in their patterns")
            elif all(isinstance(part, ir.Lit) for part in parts):
                self._fix(place, node, "".join(part.text for part in parts if isinstance(part, ir.Lit)))
                self._own(place, node, [twin[i] for twin in twins])
                self._certain(own[:i], Shape(Kind.FIXED, text=self.fixed[place]))
            else:
                self._frame(place, node, own[i], [twin[i] for twin in twins])
                self._certain(own[:i], Shape(Kind.FRAMED, prefix=self.frames[place][0], suffix=self.frames[place][1]))
            return
        raise BeyondError("the example does not match")

    def _told(self, pattern: ir.Text, node: Node) -> bool:
        """Whether a message that gives no record only names the scalar here: whatever it is, it fits."""
        return self.record is None and node.scalar and len(pattern.parts) == 1 and isinstance(pattern.parts[0], ir.Ref)

    def _certain(self, earlier: Iterable[ir.Text], shape: Shape) -> None:
        if any(fitting(pattern, shape) is not False for pattern in earlier):
            raise BeyondError("an earlier pattern of the list may fit too")

    def _fix(self, place: Path, node: Node, text: str) -> None:
        if any(c in '"\\' or c < " " for c in text):
            raise BeyondError("a match word that JSON escapes")
        self.fixed[place] = text
        self.words[place] = Literal(f'"{text}"'.encode() if node.kind == STRING else text.encode())

    def _own(self, place: Path, node: Node, twins: list[ir.Text]) -> None:
        """Of a short word that is no string, how long it is in any product."""
        if place in self.varying and node.kind != STRING and all(isinstance(part, ir.Lit) for twin in twins for part in twin.parts):
            longest = max(len("".join(part.text for part in twin.parts if isinstance(part, ir.Lit)).encode()) for twin in twins)
            if longest <= SHORT:
                self.longest[place] = longest

    def _exclude(self, patterns: tuple[ir.Text, ...], twins: list[tuple[ir.Text, ...]], place: Path) -> None:
        for i, pattern in enumerate(patterns):
            if place in self.fixed:
                if fitting(pattern, Shape(Kind.FIXED, text=self.fixed[place])) is not False:
                    raise BeyondError("a match word that `not` may exclude")
            elif not pattern.absent:
                self.likes.setdefault(place, []).append(_like(place, pattern, [twin[i] for twin in twins], wanted=False))

    def _frame(self, place: Path, node: Node, pattern: ir.Text, twins: list[ir.Text]) -> None:
        parts = pattern.parts
        names = [part for part in parts if not isinstance(part, ir.Lit)]
        name = names[0]
        if len(names) > 1 and node.kind == STRING:
            self.frames[place] = ("", "")
            self.likes[place] = [_like(place, pattern, twins, wanted=True)]
            return
        if len(names) != 1 or node.kind != STRING or (isinstance(name, ir.Ref) and name.name in self.captures):
            raise BeyondError("a pattern with more than one open place")
        at = parts.index(name)
        prefix = "".join(part.text for part in parts[:at] if isinstance(part, ir.Lit))
        suffix = "".join(part.text for part in parts[at + 1 :] if isinstance(part, ir.Lit))
        self.frames[place] = (prefix, suffix)
        if isinstance(name, ir.Ref):
            self.captures[name.name] = Capture(place, len(prefix.encode()), len(suffix.encode()), name.lower)

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
        tokens = _joined(self.tokens)
        puts = tuple(_timed(put, _behind(tokens)) for put in self.reads.puts)
        return Layout(index, self.record.word if self.record else "", tokens, puts, self.back)

    def seen_values(self) -> set[Path]:
        """The places of all values, those inside loops included."""
        return set(_places(self.tokens))

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
        kind = self.reads.kinds.get(place)
        if place in self.words:
            if kind is not None:
                raise BeyondError("a field reads a match word")
            word = self.words[place]
            if word.data and place in self.texts | self.varying and node.kind == STRING:
                self.quotes.setdefault(place, set()).add(True)
                self.tokens.append(Value(TEXT, place, usual=node.end - node.start - 2, digits=node.text.isdecimal()))
                self.tokens.append(Check(place, word.data[1:-1], whole=True, varies=place in self.varying))
            elif place in self.longest:
                self.tokens.append(Own(place, word.data, self.longest[place]))
            else:
                self.tokens.append(word if word.data else Literal(self.wire[node.start : node.end]))
            return Shape(Kind.FIXED, text=self.fixed[place]) if word.data else NOT_THERE
        if node.absent and place in self.reads.absent:
            self.tokens.append(Literal(self.wire[node.start : node.end]))
            return NOT_THERE
        string = node.kind == STRING
        if kind is None:
            kind = SKIP
            if place in self.frames or place in self.present:
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
        if place in self.frames:
            prefix, suffix = self.frames[place]
            self.tokens.append(Check(place, prefix.encode(), suffix.encode()))
            self.tokens += self.likes.get(place, ())
            return Shape(Kind.FRAMED, prefix=prefix, suffix=suffix)
        if kind == TEXT and place in self.present:
            self.tokens.append(Check(place, b"", b""))
            self.tokens += self.likes.get(place, ())
            return Shape(Kind.FRAMED)
        if place in self.likes:
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
            bodies.append(_joined(self.tokens))
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
            body = _joined(self.tokens)
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
    return frozenset(_places(tokens[loop + 1 :]))


def _timed(put: Put, behind: frozenset[Path]) -> Put:
    """The put, told whether its value comes late. What decides about a record as a whole cannot."""
    path = put.capture.path if put.capture is not None else put.path
    if not {path, put.last, *(then.path for then in put.chain)} & behind:
        return put
    if put.how not in ("time", "integer"):
        raise BeyondError(f"{put.member}: a value behind the elements that give the records")
    return replace(put, late=True)


def _places(tokens: Iterable[Token]) -> Iterable[Path]:
    for token in tokens:
        if isinstance(token, Value):
            yield token.path
        elif isinstance(token, Loop):
            yield from _places(token.tokens)


def _like(place: Path, pattern: ir.Text, twins: list[ir.Text], *, wanted: bool) -> Like:
    """What a pattern asks of a text. Where products differ in it, all have as many pieces: between two runs there may be an empty one."""
    pieces = _pieces(pattern.parts)
    others = [_pieces(twin.parts) for twin in twins]
    if all(other == pieces for other in others) or min(map(len, (pieces, *others))) < 2:
        return Like(place, pieces, wanted)
    empty = (b"",) * (max(map(len, others)) - len(pieces))
    return Like(place, (pieces[0], *empty, *pieces[1:]), wanted, True)


def _starred(patterns: Iterable[ir.Text]) -> bool:
    """Whether one of them asks for more than one run, and none for a name."""
    told = [pattern.parts for pattern in patterns]
    plain = all(not isinstance(part, ir.Ref) for parts in told for part in parts)
    return plain and any(sum(isinstance(part, ir.Star) for part in parts) > 1 for parts in told)


def _pieces(parts: tuple[ir.Lit | ir.Ref | ir.Star, ...]) -> tuple[bytes, ...]:
    """What stands between the stars of a pattern."""
    pieces = [b""]
    for part in parts:
        if isinstance(part, ir.Ref):
            raise BeyondError("a pattern with more than one open place")
        if isinstance(part, ir.Star):
            pieces.append(b"")
        else:
            pieces[-1] += part.text.encode()
    return tuple(pieces)


def _joined(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """The tokens with neighbouring literals made one and empty ones left out."""
    out: list[Token] = []
    for token in tokens:
        last = out[-1] if out else None
        if isinstance(token, Literal) and isinstance(last, Literal):
            out[-1] = Literal(last.data + token.data)
        elif not isinstance(token, Literal) or token.data:
            out.append(token)
    return tuple(out)
