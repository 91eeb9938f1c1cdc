"""What `match` fixes in an example: the words that stand at its places, or what is asked of the texts there.

May import `ir`, `layoutmatch`, `layouttokens`, `puts`, `refjson`, `refmatch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import ir
from .layoutmatch import Kind, Path, Shape, fitting
from .layouttokens import Like, Literal
from .puts import BeyondError, Capture
from .refjson import STRING, Node
from .refmatch import fits

SHORT = 8  # bytes of a word that products may have of their own where no string stands

Locate = Callable[[ir.Path], tuple[Path, Node | None]]


class Words:
    """The entries of `message.match`, applied to one example of it: each says something of one place.

    `foreign`: the message as bound in the example's own product, `twins`: in each of its products. `plain`: it gives no record.
    `locate`: the place of a path and what stands there. Raises BeyondError where no layout can say what an entry asks for.
    """

    def __init__(self, message: ir.Message, foreign: ir.Message, twins: list[ir.Message], locate: Locate, *, plain: bool) -> None:
        self._plain = plain
        self.literals: dict[Path, Literal] = {}  # places with a fixed text: its bytes
        self.longest: dict[Path, int] = {}  # and how many they are at most in any product
        self.fixed: dict[Path, str] = {}  # the same places: the text itself
        self.varying: set[Path] = set()  # places with a word that another product has otherwise
        self.frames: dict[Path, tuple[str, str]] = {}  # places with a text of which only both ends are known
        self.likes: dict[Path, list[Like]] = {}  # what else is asked of a text
        self.captures: dict[str, Capture] = {}
        self.present: set[Path] = set()  # places where anything may stand, but something
        for index, (own, theirs) in enumerate(zip(message.match, foreign.match, strict=True)):
            place, node = locate(own.path)
            self._entry(own, theirs, [twin.match[index] for twin in twins], place, node)

    def _entry(self, own: ir.Match, theirs: ir.Match, twins: list[ir.Match], place: Path, node: Node | None) -> None:
        if any(twin.patterns != own.patterns for twin in twins):
            self.varying.add(place)
        if not own.path.steps and not own.path.element:
            raise BeyondError("match on the whole frame")
        if place in self.literals or place in self.frames or place in self.present:
            raise BeyondError("two match entries at one place")
        if node is None or node.absent:
            if not any(pattern.absent for pattern in theirs.patterns):
                raise BeyondError("the example does not match")
            self.literals[place] = Literal(b"")
            return
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
        return self._plain and node.scalar and len(pattern.parts) == 1 and isinstance(pattern.parts[0], ir.Ref)

    def _certain(self, earlier: Iterable[ir.Text], shape: Shape) -> None:
        if any(fitting(pattern, shape) is not False for pattern in earlier):
            raise BeyondError("an earlier pattern of the list may fit too")

    def _fix(self, place: Path, node: Node, text: str) -> None:
        if any(c in '"\\' or c < " " for c in text):
            raise BeyondError("a match word that JSON escapes")
        self.fixed[place] = text
        self.literals[place] = Literal(f'"{text}"'.encode() if node.kind == STRING else text.encode())

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
