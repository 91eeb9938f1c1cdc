"""The fast tier: the layouts of a product as one prefix tree, and the model from which templates spell its C.

What all layouts begin with is read once; where they part, the text just read or the next byte decides; only where neither does are
they tried in turn, the one that hit last first. Here is also counted how far behind the text's end a parser may stand between two
comparisons with it, so that no read leaves the slack. May import `bind`, `ir`, `layouts`, `puts`, `render`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from . import ir
from .bind import bind
from .layouts import Check, Layout, Like, Literal, Loop, Token, Value, layouts
from .puts import BOOL, DECIMAL, DIGITS, SKIP, TEXT, Path, Put
from .render import book_function, render

SLACK = 64  # K4_SLACK of csrc/k4_decode.h
WINDOW = 64  # bytes that stops are made for
LEVELS = 20  # K4_FAST_LEVELS of csrc/k4_fast.h
_PIECE = 32  # longest literal compared at once
_EDGE = 24  # most of an element's first and last literal that is compared together with its neighbour's

# How far a reader looks where it needs no new stops (those are only made at or before the end), and how far it moves; a text and
# what is skipped never lead behind the end.
_READS = {DIGITS: 20, DECIMAL: 20, TEXT: 1, BOOL: 5, SKIP: 5}
_MOVES = {DIGITS: 19, DECIMAL: 20, TEXT: 0, BOOL: 5, SKIP: 0}

# Which stops show where a value of a kind ends, the better ones first.
_WINDOWS = {DIGITS: ("numbers", "words"), DECIMAL: ("numbers",), TEXT: ("words",)}
_MARGIN = 3  # bytes by which values are expected to be longer than in the example
_UPDATE = (
    ("event_ns", "time"), ("engine_ns", "time"), ("update_id", "integer"), ("first_id", "integer"), ("prev_id", "integer"),
    ("snapshot", "bool"),
)  # fmt: skip
_TYPES = {
    DIGITS: "struct k4_fast_digits",
    DECIMAL: "struct k4_fast_decimal",
    TEXT: "struct k4_fast_text",
    BOOL: "bool",
}
_C_WORDS = frozenset(
    (
        "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "false",
        "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
        "static", "struct", "switch", "true", "typedef", "union", "unsigned", "void", "volatile", "while",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a parser does. `op`: literal, end (compare with the text's end), look (make stops), loop, framed or word (compare the
    text just read), or a value's kind."""

    op: str
    text: str = ""  # literal, word: as C spells it; framed: the prefix; look, digits: the kind of stops
    suffix: str = ""
    count: int = 0  # literal: bytes
    shifts: bool = False  # literal: stops are taken along
    slot: str = ""  # where the value goes, index included
    either: bool = False  # quotes may stand around it
    level: bool = False  # decimal: one of a side's levels
    between: str = ""  # loop: what stands between two elements; `text` is what begins it, `suffix` what ends it
    counts: tuple[int, int, int] = (0, 0, 0)  # loop: bytes of text, between, suffix
    levels: tuple[str, ...] = ()  # loop: the slots of its decimals
    put: str = ""  # loop: what fills a record from an element
    most: int = 0  # loop: levels kept, 0: one record per element
    pieces: tuple[tuple[str, int], ...] = ()  # like: what stands between any runs, with its length; `either`: it shall be so
    side: str = ""  # loop: of a book; `halves` are the slots of a level's price, quantity and count
    halves: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()
    place: str = ""  # for the reader of the C
    word: int = -1  # word: which of the product's own words, -1: `text`


@dataclass(frozen=True, slots=True)
class Branch:
    """A way on from a node. `op`: framed or word (a text just read), byte (the next one), or attempt."""

    op: str
    node: Node
    slot: str = ""
    text: str = ""
    suffix: str = ""
    word: int = -1
    only: bool = True  # no other way on is to be tried


@dataclass(slots=True)
class Node:
    """A run of steps, then a leaf (`put` or `took`, with the number of the layout) or branches. `first`..`last`: the layouts below."""

    number: int
    steps: tuple[Step, ...]
    branches: tuple[Branch, ...] = ()
    took: str = ""  # the frame gives no record: this is why
    message: int = 0
    put: str = ""
    book: str = ""  # what the update that was put is given to
    many: bool = False  # each element of a loop gave its record already
    late: str = ""  # fills those records with what stands behind the elements
    back: bool = False  # those records stand the other way round
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class At:
    """Where a parser stands: at most `past` bytes behind the text's end, and about `seen` bytes from where it made stops of some kind."""

    past: int
    window: str = ""
    seen: int = 0

    def moved(self, most: int, usual: int, shifts: bool) -> At:
        """After a value; `most` 0: it ends before the text does. `shifts`: its reader takes the stops along."""
        return At(self.past + most if most else 0, self.window if shifts else "", self.seen + usual + _MARGIN)

    def checked(self) -> At:
        return replace(self, past=0)

    def behind(self, count: int) -> At:
        """After that many bytes of a literal."""
        return At(self.past + count, self.window if self.seen + count < WINDOW else "", self.seen + count)


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    type: str
    length: int  # 0: one value


def render_exchange(exchange: ir.Exchange, records: ir.Records) -> str:
    """The text of `k4_<exchange>_fast.c`: one function per product, and what it calls. Products that differ in words alone share it."""
    neutral = [_Product(exchange, records, product.name, "").model() for product in exchange.products]
    groups: list[dict[str, object]] = []
    like: list[dict[str, object]] = []
    for product, model in zip(exchange.products, neutral, strict=True):
        shape = {key: value for key, value in model.items() if key not in ("name", "words")}
        if shape not in like:
            like.append(shape)
            groups.append(_Product(exchange, records, product.name, identifier(product.name)).model() | {"users": []})
        users = groups[like.index(shape)]["users"]
        assert isinstance(users, list)
        users.append({"name": product.name, "ident": identifier(product.name), "words": model["words"]})
    return render("fast.c.j2", sources=[records.file, exchange.file], exchange=identifier(exchange.name), groups=groups)


def identifier(name: str) -> str:
    """A name as part of a C identifier."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def c_text(data: bytes) -> str:
    """Bytes as the inside of a C string literal."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\?' else "\\" + (chr(byte) if byte in b'"\\?' else f"{byte:03o}")
        for byte in data
    )


@dataclass(slots=True)
class _Names:
    """Slots of a product's values, by place."""

    taken: dict[tuple[Path, str, bool], str] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)

    def slot(self, path: Path, kind: str, length: int, *, kept: bool = False) -> str:
        """The member that holds the values at a place; `length` of them where it is inside an array of levels that are kept.

        `kept`: it is, and its length is known already. A book's levels are read at the same places one at a time.
        """
        key = (path, kind, kept or length > 0)
        known = self.taken.get(key)
        if known is None:
            words = [part if isinstance(part, str) else str(part) for part in path if part != "*"]
            known = identifier("_".join(words)) or "value"
            known = f"at{known}" if known[0].isdigit() else known
            while known in self.slots or known in _C_WORDS or known == "words":
                known += "_"
            self.taken[key] = known
            levels = length > 0 and kind == DECIMAL
            type_ = "uint32_t" if kind == "count" else "struct k4_fast_levels" if levels else _TYPES[kind]
            self.slots[known] = Slot(known, type_, 0 if levels else length)
        return known


class _Product:
    """The model of one product's parser. `symbol`: what its functions are named by."""

    def __init__(self, exchange: ir.Exchange, records: ir.Records, product: str, symbol: str) -> None:
        self.records = records
        self.name = product
        self.symbol = f"read_{symbol}"
        self.words: list[tuple[str, int]] = []  # what only this product has, as C spells it, and how long it is
        self.exchange = exchange.name
        self.messages = bind(exchange, product)
        self.layouts, _ = layouts(exchange, records, product)
        self.names = _Names()
        self.nodes: list[Node] = []
        self.puts: dict[tuple[int, tuple[Put, ...]], str] = {}
        self.leaves = 0

    def model(self) -> dict[str, object]:
        """What the template needs."""
        entries = [(_spelled(layout.tokens), layout) for layout in self.layouts]
        root = self._node(entries, At(0)) if entries else None
        puts = [self._put(name, message, members) for (message, members), name in self.puts.items()]
        return {
            "name": self.name,
            "symbol": self.symbol,
            "slots": list(self.names.slots.values()),
            "nodes": self.nodes,
            "root": root,
            "puts": puts,
            "words": self.words,
        }

    # ----------------------------------------------------------------------- the tree

    def _node(self, entries: Sequence[tuple[tuple[Token, ...], Layout]], at: At) -> Node:
        """The tree of what the layouts still have before them."""
        common, rest = _common([tokens for tokens, _ in entries])
        steps, at = self._steps(common, at, 0, entries[0][1])
        node = Node(0, tuple(steps), first=self.leaves)
        if not rest[0]:
            self.leaves += 1
            layout = entries[0][1]
            if not layout.record:
                node.took, node.message = self.messages[layout.message].reason, layout.message
                node.last = self.leaves - 1
                return self._numbered(node)
            node.put = self._put_name(layout)
            node.book, node.message = self._book(layout.message), layout.message
            node.many = any(isinstance(token, Loop) and token.most == 0 for token in layout.tokens)
            node.back = layout.back
            node.late = f"{node.put}_late" if any(put.late for put in layout.puts) else ""
        else:
            if at.past + 1 > SLACK:
                node.steps += (Step("end"),)
                at = at.checked()
            node.branches = tuple(self._branches([(tokens, layout) for tokens, (_, layout) in zip(rest, entries, strict=True)], at))
        node.last = self.leaves - 1
        return self._numbered(node)

    def _book(self, message: int) -> str:
        """The function of a message that keeps a book, else ""."""
        kept = self.messages[message].field("snapshot") is not None
        return book_function(self.exchange, self.messages[message].line, message) if kept else ""

    def _numbered(self, node: Node) -> Node:
        node.number = len(self.nodes)
        self.nodes.append(node)
        return node

    def _branches(self, entries: list[tuple[tuple[Token, ...], Layout]], at: At) -> Iterable[Branch]:
        groups: dict[tuple[int, Token | int], list[tuple[tuple[Token, ...], Layout]]] = {}
        for tokens, layout in entries:
            head = tokens[0]
            rank = 0 if isinstance(head, Check) else 1 if isinstance(head, Literal) else 2
            groups.setdefault((rank, head.data[0] if isinstance(head, Literal) else head), []).append((tokens, layout))
        last = max(rank for rank, _ in groups)
        for (rank, key), members in sorted(groups.items(), key=lambda item: item[0][0]):
            only = rank == last  # what is tried behind it may read this, too
            if isinstance(key, Check):
                node = self._node([(tokens[1:], layout) for tokens, layout in members], at)
                slot, word = self._slot(key.path, TEXT), self._word(key)
                yield Branch(_op(key), node, slot, "" if word >= 0 else c_text(key.prefix), c_text(key.suffix), word, only)
            elif isinstance(key, int):
                yield Branch("byte", self._node(members, at), text=c_text(bytes([key])), only=only)
            else:
                yield Branch("attempt", self._node(members, at))

    # ----------------------------------------------------------------------- steps

    def _steps(self, tokens: Sequence[Token], at: At, length: int, layout: Layout) -> tuple[list[Step], At]:
        """The steps of some tokens; `length`: inside an array of that many levels. Also where they lead."""
        out: list[Step] = []

        def need(count: int) -> None:
            nonlocal at
            if at.past + count > SLACK:
                out.append(Step("end"))
                at = at.checked()

        for i, token in enumerate(tokens):
            if isinstance(token, Literal):
                for start in range(0, len(token.data), _PIECE):
                    piece = token.data[start : start + _PIECE]
                    need(max(len(piece), 8))
                    at = at.behind(len(piece))
                    out.append(Step("literal", c_text(piece), count=len(piece), shifts=at.window != ""))
            elif isinstance(token, Check):
                slot, word = self._slot(token.path, TEXT, length), self._word(token)
                text = "" if word >= 0 else c_text(token.prefix)
                out.append(Step(_op(token), text, c_text(token.suffix), slot=slot, word=word))
            elif isinstance(token, Like):
                pieces, word = _pieces(token), self._run(token)
                count, own = len(pieces), () if word >= 0 else pieces
                out.append(Step("like", count=count, slot=self._slot(token.path, TEXT, length), either=token.wanted, pieces=own, word=word))
            elif isinstance(token, Loop):
                need(SLACK // 2)
                step, at = self._loop(token, at, layout)
                out.append(step)
            else:
                if not _in_sight(tokens[i:], at):
                    need(SLACK)
                    at = At(0, _window(tokens[i:]))
                    out += [Step("look", at.window)] if at.window else []
                either = token.kind in (DIGITS, DECIMAL) and token.quoted is None
                need(_READS[token.kind] + 2 * either)
                slot = "" if token.kind == SKIP else self._slot(token.path, token.kind, length)
                level = length > 0 and token.kind == DECIMAL
                out.append(Step(token.kind, at.window, slot=slot, either=either, level=level, place=_place(token.path)))
                at = at.moved(
                    _MOVES[token.kind] + 2 * either if _MOVES[token.kind] else 0, token.usual + (token.kind == TEXT), token.kind in _WINDOWS
                )
        return out, at

    def _loop(self, token: Loop, at: At, layout: Layout) -> tuple[Step, At]:
        """An array. What ends an element and begins the next one is compared at once, as far as it is short enough."""
        if token.most > LEVELS:
            raise ValueError(f"{_place(token.path)}: {token.most} levels, but only {LEVELS} have a place")
        head, inner, tail = _turned(_spelled(token.tokens))
        steps, inside = self._steps(inner, At(0), 0 if token.side else token.most, layout)
        between = tail + b"," + head
        if inside.past + max(len(between), 8) > SLACK:
            steps.append(Step("end"))
            inside = inside.checked()
        values = _decimals(token.tokens) if token.most and not token.side else []
        step = Step(
            "loop",
            text=c_text(b"[" + head),
            suffix=c_text(tail + b"]"),
            between=c_text(between),
            counts=(len(head) + 1, len(between), len(tail) + 1),
            slot=self.names.slot(token.path, "count", 0) if token.most and not token.side else "",
            levels=tuple(self._slot(path, DECIMAL, token.most) for path in values),
            put="" if token.most else self._put_name(layout),
            most=token.most,
            side=token.side,
            halves=self._halves(token.side, layout),
            steps=tuple(steps),
            place=_place(token.path),
        )
        return step, At(max(at.past + 2, inside.past + len(tail) + 1))

    def _word(self, check: Check) -> int:
        """The place of a word among those that only this product has; -1: all have it."""
        if not check.varies:
            return -1
        word = (c_text(check.prefix), len(check.prefix))
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def _run(self, like: Like) -> int:
        """The place of the first of its pieces among those words, where all of them stand in a row; -1: all products have them."""
        if not like.varies:
            return -1
        pieces = list(_pieces(like))
        for at in range(len(self.words)):
            if self.words[at : at + len(pieces)] == pieces:
                return at
        self.words += pieces
        return len(self.words) - len(pieces)

    def _halves(self, side: str, layout: Layout) -> tuple[tuple[str, str], ...]:
        """Of a level of a book: which half, and the slot it is read into."""
        halves = {f"{side}_price": DECIMAL, f"{side}_qty": DECIMAL, f"{side}_count": DIGITS} if side else {}
        puts = [put for put in layout.puts if put.member in halves]
        return tuple((put.member.partition("_")[2], self.names.slot(put.path, halves[put.member], 0)) for put in puts)

    def _slot(self, path: Path, kind: str, length: int = 0) -> str:
        """One more than the levels kept: those past them go there."""
        name = self.names.slot(path, kind, length + 1 if length else 0)
        return f"{name}[n]" if length and kind != DECIMAL else name

    # ----------------------------------------------------------------------- filling a record

    def _put_name(self, layout: Layout) -> str:
        key = (layout.message, layout.puts)
        if key not in self.puts:
            self.puts[key] = f"{self.symbol}_put{len(self.puts)}"
        return self.puts[key]

    def _put(self, name: str, message: int, puts: tuple[Put, ...]) -> dict[str, object]:
        record = next(layout for layout in self.layouts if (layout.message, layout.puts) == (message, puts)).record
        type_ = next(r for r in self.records.records if r.word == record)
        by_member = {put.member: put for put in puts}
        if self._book(message):
            return self._update(name, message, by_member)
        return {
            "name": name,
            "book": "",
            "message": message,
            "record": type_,
            "symbol": self._filled(by_member["symbol"]),
            "members": [self._member(type_, f, by_member, puts) for f in type_.fields if f.name != "recv_ns" and f.kind != "index"],
            "exponents": {kind: self._kind(type_, by_member, kind) for kind in ("price", "qty")},
            "even": self._even(puts),
        }

    def _update(self, name: str, message: int, puts: dict[str, Put]) -> dict[str, object]:
        """How the update of a book is filled, its levels apart."""
        flags = [(word, self._filled(puts[word])) for word in ("backfill", "reset") if word in puts]
        members: list[dict[str, object]] = [{"name": "flags", "kind": "flags", "length": 0, "how": "flags", "put": None, "flags": flags}]
        for member, kind in _UPDATE:
            filled = self._filled(puts[member]) if member in puts else {"how": "absent", "put": None}
            members.append({"name": member, "kind": kind, "length": 0, **filled})
        sum_ = self._filled(puts["checksum"]) if "checksum" in puts else None
        order = self.messages[message].order or "none"
        return {
            "name": name,
            "book": self._book(message),
            "message": message,
            "symbol": self._filled(puts["symbol"]),
            "members": members,
            "checksum": sum_,
            "order": order,
        }

    def _filled(self, put: Put) -> dict[str, object]:
        """A put with the names of its slots in place of paths."""
        kinds = {
            "price": DECIMAL,
            "qty": DECIMAL,
            "bool": BOOL,
            "told": BOOL,
            "map": TEXT,
            "hashed": TEXT,
            "symbol": TEXT,
            "checksum": DECIMAL,
        }
        path = put.capture.path if put.capture is not None else put.path
        kind = kinds.get(put.how, DIGITS)
        return {
            "how": put.how,
            "slot": self.names.slot(path, kind, 0) if path else "",
            "last": self.names.slot(put.last, kind, 0) if put.last else "",
            "put": put,
            "entries": [(c_text(text.encode()), value) for text, value in put.entries],
            "told": [dict(put.entries).get(text, put.default) for text in ("true", "false")],
            "then": self._filled(put.then) if put.then is not None else None,
        }

    def _member(self, record: ir.RecordType, member: ir.RecordField, puts: dict[str, Put], every: tuple[Put, ...]) -> dict[str, object]:
        """What the template writes into one member of a record."""
        out: dict[str, object] = {"name": member.name, "kind": member.kind, "length": member.length, "how": "absent", "put": None}
        if member.kind == "flags":
            words = [(put.member, self._filled(put)) for put in every if put.member in ("backfill", "reset", "one_sided")]
            words += [("hashed_id", self._filled(put)) for put in every if put.how == "hashed"]
            return {**out, "how": "flags", "flags": words}
        if member.kind == "level_count":
            side = next(put for put in every if put.member == f"{member.name.removesuffix('_levels')}_price")
            most = next(f.length for f in record.fields if f.name == side.member)
            return {**out, "how": "levels", "most": most, "count": self.names.slot(_array(side.path), "count", 0)}
        put = puts.get(member.name)
        if put is None:
            return out
        if member.length:
            return {
                **out,
                "how": put.how,
                "put": put,
                "slot": self.names.slot(put.path, DIGITS if put.how == "count" else DECIMAL, 0, kept=True),
            } | {"count": self.names.slot(_array(put.path), "count", 0)}
        return {**out, **self._filled(put)}

    def _kind(self, record: ir.RecordType, puts: dict[str, Put], kind: str) -> list[dict[str, object]]:
        """All values of one kind, which share an exponent."""
        return [self._member(record, f, puts, tuple(puts.values())) for f in record.fields if f.kind == kind and f.name in puts]

    def _even(self, puts: tuple[Put, ...]) -> list[tuple[str, str]]:
        """Pairs of arrays of one side that must have as many levels: told apart only where a side has two arrays."""
        out: list[tuple[str, str]] = []
        for side in ("bid", "ask"):
            arrays = list(
                dict.fromkeys(
                    _array(put.path) for put in puts if put.member.startswith(f"{side}_") and "*" in put.path and put.how != "symbol"
                )
            )
            counts = [self.names.slot(array, "count", 0) for array in arrays if array]
            out += [(counts[0], other) for other in counts[1:]]
        return out


def _op(check: Check) -> str:
    return "word" if check.whole else "framed"


def _windows(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The stops that show where the first of these ends. Those of words do not tell a closing bracket."""
    value = tokens[0]
    if not isinstance(value, Value) or value.kind not in _WINDOWS:
        return ()
    behind = tokens[1] if len(tokens) > 1 else Literal(b"]")
    closed = isinstance(behind, Literal) and behind.data.startswith(b"]")
    return ("numbers",) if value.kind == DIGITS and closed else _WINDOWS[value.kind]


def _in_sight(tokens: Sequence[Token], at: At) -> bool:
    """Whether the stops, if the first of these needs any, probably reach to its end."""
    windows = _windows(tokens)
    value = tokens[0]
    return not windows or (at.window in windows and isinstance(value, Value) and at.seen + value.usual + _MARGIN < WINDOW)


def _window(tokens: Sequence[Token]) -> str:
    """The kind of stops to make for the first of these: where it has the choice, what the next value needs."""
    kinds = [windows for i in range(len(tokens)) if (windows := _windows(tokens[i:]))]
    if len(kinds[0]) == 1:
        return kinds[0][0]
    return next((kind[0] for kind in kinds if len(kind) == 1), kinds[0][0])


def _turned(tokens: Sequence[Token]) -> tuple[bytes, tuple[Token, ...], bytes]:
    """The tokens of an element without the literals that begin and end it, and those; of long ones, what is nearest to its neighbour."""
    inner = list(tokens)
    head = tail = b""
    if inner and isinstance(inner[0], Literal):
        head, rest = inner[0].data[:_EDGE], inner[0].data[_EDGE:]
        inner[:1] = [Literal(rest)] if rest else []
    if inner and isinstance(inner[-1], Literal):
        tail, rest = inner[-1].data[-_EDGE:], inner[-1].data[:-_EDGE]
        inner[-1:] = [Literal(rest)] if rest else []
    return head, tuple(inner), tail


def _pieces(token: Like) -> tuple[tuple[str, int], ...]:
    return tuple((c_text(piece), len(piece)) for piece in token.pieces)


def _decimals(tokens: Iterable[Token]) -> list[Path]:
    return [token.path for token in tokens if isinstance(token, Value) and token.kind == DECIMAL]


def _array(path: Path) -> Path:
    """The last array on the way: that of the levels."""
    at = len(path) - 1 - path[::-1].index("*")
    return path[:at]


def _place(path: Path) -> str:
    return (
        "".join(f"[{part}]" if isinstance(part, int) or part == "*" else f".{part}" for part in path).removeprefix(".").replace("*/", "* /")
    )


def _spelled(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """The tokens with the quotes of values as part of the literals around them. A text ends at its quote, and takes it."""
    out: list[Token] = []

    def literal(data: bytes) -> None:
        if out and isinstance(out[-1], Literal):
            out[-1] = Literal(out[-1].data + data)
        else:
            out.append(Literal(data))

    for token in tokens:
        if isinstance(token, Literal):
            literal(token.data)
            continue
        quoted = isinstance(token, Value) and token.kind in (TEXT, DIGITS, DECIMAL) and token.quoted is True
        if quoted:
            literal(b'"')
        out.append(token)
        if quoted and isinstance(token, Value) and token.kind != TEXT:
            literal(b'"')
    return tuple(out)


def _common(sequences: Sequence[tuple[Token, ...]]) -> tuple[list[Token], list[tuple[Token, ...]]]:
    """What all begin with, and what each has behind that. A literal may be cut."""
    out: list[Token] = []
    rest = list(sequences)
    while all(rest):
        heads = [tokens[0] for tokens in rest]
        if all(head == heads[0] for head in heads):
            out.append(heads[0])
            rest = [tokens[1:] for tokens in rest]
            continue
        literals = [head.data for head in heads if isinstance(head, Literal)]
        if len(literals) < len(heads):
            break
        same = _shared(literals)
        if not same:
            break
        out.append(Literal(same))
        rest = [_behind(tokens, len(same)) for tokens in rest]
    return out, rest


def _behind(tokens: tuple[Token, ...], count: int) -> tuple[Token, ...]:
    """The tokens without the first bytes of the literal they begin with."""
    head = tokens[0]
    if not isinstance(head, Literal):
        raise TypeError("only a literal can be cut")
    return (Literal(head.data[count:]), *tokens[1:]) if len(head.data) > count else tokens[1:]


def _shared(texts: Sequence[bytes]) -> bytes:
    first, last = min(texts), max(texts)
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]
