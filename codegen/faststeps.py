"""What a fast parser does between two branches of its tree: steps, made of a layout's tokens.

Here is counted how far behind the text's end a parser may stand between two comparisons with it, so that no read leaves the slack; and
how far the stops go that were made last, so that new ones are made where the next value's end is out of their sight. May import
`fastslots`, `layouttokens`, `puts`, `render`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .fastslots import Names, place_of
from .layouttokens import Check, Layout, Like, Literal, Loop, Own, Token, Value
from .puts import BOOL, DECIMAL, DIGITS, SIGNED, SKIP, TEXT, Path
from .render import c_text

SLACK = 64  # K4_SLACK of csrc/k4_decode.h
WINDOW = 64  # bytes that stops are made for, or half of it
LEVELS = 20  # K4_FAST_LEVELS of csrc/k4_fast_value.h
_PIECE = 32  # longest literal compared at once
_EDGE = 24  # most of an element's first and last literal that is compared together with its neighbour's
_DIGITS = "skip_digits"  # ignored, and nothing but digits in the examples

# How far a reader looks where it needs no new stops (those are only made at or before the end), and how far it moves; a text and
# what is skipped never lead behind the end.
_READS = {DIGITS: 20, SIGNED: 21, DECIMAL: 20, TEXT: 1, BOOL: 5, SKIP: 5, _DIGITS: 20}
_MOVES = {DIGITS: 19, SIGNED: 20, DECIMAL: 20, TEXT: 0, BOOL: 5, SKIP: 0, _DIGITS: 16}
_MARGIN = 3  # bytes by which values are expected to be longer than in the example


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a parser does. `op`: literal, own (a literal of the product), end (compare with the text's end), look (make stops),
    loop, framed, word or like (compare the text just read), told (compare, where that text did not pass before), or a value's kind."""

    op: str
    text: str = ""  # literal, word: as C spells it; framed: the prefix; look, values: the kind of stops
    suffix: str = ""
    count: int = 0  # literal: bytes; look: as many stops; like: pieces, of which runs of any characters stand between
    shifts: bool = False  # literal: stops are taken along
    slot: str = ""  # where the value goes, index included
    either: bool = False  # quotes may stand around it; like: it shall be so
    level: bool = False  # decimal: one of a side's levels
    here: bool = False  # its slot is a variable of its own
    between: str = ""  # loop: what stands between two elements; `text` is what begins it, `suffix` what ends it
    counts: tuple[int, int, int] = (0, 0, 0)  # loop: bytes of text, between, suffix
    levels: tuple[str, ...] = ()  # loop: the slots of its decimals
    put: str = ""  # loop: what fills a record from an element
    most: int = 0  # loop: levels kept, 0: one record per element
    side: str = ""  # loop: of a book; `halves` are the slots of a level's price, quantity and count
    halves: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()
    place: str = ""  # for the reader of the C
    word: int = -1  # own, word, like: which of the product's words, -1: `text`; told: under which number


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


class Steps:
    """Makes the steps of one product. `put_name`: what fills a record from an element of a layout's loop."""

    def __init__(self, names: Names, put_name: Callable[[Layout], str]) -> None:
        self.names = names
        self.put_name = put_name
        # What only this product has, and pieces of patterns, as C spells it, and how long it is; None: a pattern that any text fits.
        self.words: list[tuple[str | None, int]] = []
        self.told: list[tuple[Step, ...]] = []  # by number

    def of(self, tokens: Sequence[Token], at: At, length: int, layout: Layout, *, last: bool, book: bool = False) -> tuple[list[Step], At]:
        """The steps of some tokens, and where they lead. `length`: inside an array of that many levels; `book`: in one of a book's; `last`:
        no value follows."""
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
            elif isinstance(token, Own):
                need(8)
                at = at.behind(token.most)
                out.append(Step("own", shifts=at.window != "", word=self._word(token.data)))
            elif isinstance(token, Check):
                out.append(self.check(token, length))
            elif isinstance(token, Like):
                self._add_like(out, self._like(token, length))
            elif isinstance(token, Loop):
                need(SLACK // 2)
                step, at = self._loop(token, at, layout)
                out.append(step)
            else:
                if not _in_sight(tokens[i:], at):
                    need(SLACK)
                    window = _window(tokens[i:])
                    half = last and window != "" and _run(tokens[i:], window) <= WINDOW // 2
                    at = At(0, window, WINDOW // 2 if half else 0)
                    out += [Step("look", window, count=WINDOW - at.seen)] if window else []
                kind = _kind(token)
                either = kind in (DIGITS, SIGNED, DECIMAL) and token.quoted is None
                need(_READS[kind] + 2 * either)
                here = book and kind in (DIGITS, SIGNED, DECIMAL)
                unread = kind in (SKIP, _DIGITS)
                slot = "" if unread else self.names.half(token.path, kind) if here else self.names.read(token.path, kind, length)
                level = length > 0 and kind == DECIMAL
                out.append(Step(kind, at.window, slot=slot, either=either, level=level, here=here, place=place_of(token.path)))
                at = at.moved(_MOVES[kind] + 2 * either if _MOVES[kind] else 0, token.usual + (kind == TEXT), kind not in (BOOL, SKIP))
        return out, at

    def check(self, check: Check, length: int = 0) -> Step:
        """The comparison of a text that was read."""
        word = self._word(check.prefix) if check.varies else -1
        text = "" if word >= 0 else c_text(check.prefix)
        op = "word" if check.whole else "framed"
        return Step(op, text, c_text(check.suffix), slot=self.names.compared(check.path, length), word=word)

    def unread(self, step: Step) -> Step:
        """The step, once it is known which texts are wanted: the others are only gone over."""
        if step.op == TEXT and step.slot.removesuffix("[n]") not in self.names.wanted:
            return replace(step, op="skip_text", slot="")
        return replace(step, steps=tuple(map(self.unread, step.steps)))

    def _like(self, like: Like, length: int) -> Step:
        pieces = tuple((c_text(piece), len(piece)) for piece in like.pieces)
        any_ = like.wanted and not any(like.pieces)
        word = self._row([(None if any_ else text, count) for text, count in pieces])
        return Step("like", count=len(pieces), slot=self.names.compared(like.path, length), either=like.wanted, word=word)

    def _add_like(self, out: list[Step], like: Step) -> None:
        """Patterns of one text that follow each other are told together."""
        likes = [like]
        if out and out[-1].op == "told" and out[-1].slot == like.slot:
            likes = [*out.pop().steps, like]
        if tuple(likes) not in self.told:
            self.told.append(tuple(likes))
        out.append(Step("told", slot=like.slot, steps=tuple(likes), word=self.told.index(tuple(likes))))

    def _word(self, data: bytes) -> int:
        """The place of a word among those that only this product has."""
        return self._row([(c_text(data), len(data))])

    def _row(self, words: list[tuple[str | None, int]]) -> int:
        """The place of the first of some words, where all of them stand in a row."""
        for at in range(len(self.words)):
            if self.words[at : at + len(words)] == words:
                return at
        self.words += words
        return len(self.words) - len(words)

    # ----------------------------------------------------------------------- arrays

    def _loop(self, token: Loop, at: At, layout: Layout) -> tuple[Step, At]:
        """An array. What ends an element and begins the next one is compared at once, as far as it is short enough."""
        if token.most > LEVELS:
            raise ValueError(f"{place_of(token.path)}: {token.most} levels, but only {LEVELS} have a place")
        head, inner, tail = _turned(spelled(token.tokens))
        steps, inside = self.of(inner, At(0), 0 if token.side else token.most, layout, last=True, book=token.side != "")
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
            slot=self.names.slot(token.path, "count") if token.most and not token.side else "",
            levels=tuple(self.names.read(path, DECIMAL, token.most) for path in values),
            put="" if token.most else self.put_name(layout),
            most=token.most,
            side=token.side,
            halves=self._halves(token.side, layout),
            steps=tuple(steps),
            place=place_of(token.path),
        )
        return step, At(max(at.past + 2, inside.past + len(tail) + 1))

    def _halves(self, side: str, layout: Layout) -> tuple[tuple[str, str], ...]:
        """Of a level of a book: which half, and the variable it is read into."""
        halves = {f"{side}_price": DECIMAL, f"{side}_qty": DECIMAL, f"{side}_count": DIGITS} if side else {}
        puts = [put for put in layout.puts if put.member in halves]
        return tuple((put.member.partition("_")[2], self.names.half(put.path, halves[put.member])) for put in puts)


# --------------------------------------------------------------------------- stops


def _kind(value: Value) -> str:
    return _DIGITS if value.kind == SKIP and value.digits and value.quoted is False else value.kind


def _windows(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The stops that show where the first of these ends, the better ones first. Those of words do not tell a closing bracket; those of
    numbers tell the end of a text if it is digits."""
    value = tokens[0]
    if not isinstance(value, Value):
        return ()
    kind = _kind(value)
    if kind == DECIMAL:
        return ("numbers",)
    if kind == TEXT:
        return ("numbers", "words") if value.digits else ("words",)
    if kind not in (DIGITS, SIGNED, _DIGITS):
        return ()
    behind = tokens[1] if len(tokens) > 1 else Literal(b"]")
    closed = isinstance(behind, Literal) and behind.data.startswith(b"]")
    return ("numbers",) if closed else ("numbers", "words")


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


def _run(tokens: Sequence[Token], window: str) -> int:
    """About how far stops of this kind will be used from the first of these on."""
    used = at = 0
    for i, token in enumerate(tokens):
        if isinstance(token, Literal):
            at += len(token.data)
        elif isinstance(token, Own):
            at += token.most
        elif isinstance(token, Value):
            if window not in _windows(tokens[i:]):
                break
            at += token.usual + _MARGIN + (token.kind == TEXT)
            used = at
        elif isinstance(token, Loop):
            break
    return used


# --------------------------------------------------------------------------- tokens


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


def _decimals(tokens: Iterable[Token]) -> list[Path]:
    return [token.path for token in tokens if isinstance(token, Value) and token.kind == DECIMAL]


def spelled(tokens: Iterable[Token]) -> tuple[Token, ...]:
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
        quoted = isinstance(token, Value) and token.kind in (TEXT, DIGITS, SIGNED, DECIMAL) and token.quoted is True
        if quoted:
            literal(b'"')
        out.append(token)
        if quoted and isinstance(token, Value) and token.kind != TEXT:
            literal(b'"')
    return tuple(out)
