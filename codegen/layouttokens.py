"""What a byte layout is made of: tokens, one behind the other from a frame's first byte to its last.

May import `layoutmatch`, `puts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .layoutmatch import Path
from .puts import Put


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


def places(tokens: Iterable[Token]) -> Iterable[Path]:
    """The places of all values, those inside loops included."""
    for token in tokens:
        if isinstance(token, Value):
            yield token.path
        elif isinstance(token, Loop):
            yield from places(token.tokens)


def joined(tokens: Iterable[Token]) -> tuple[Token, ...]:
    """The tokens with neighbouring literals made one and empty ones left out."""
    out: list[Token] = []
    for token in tokens:
        last = out[-1] if out else None
        if isinstance(token, Literal) and isinstance(last, Literal):
            out[-1] = Literal(last.data + token.data)
        elif not isinstance(token, Literal) or token.data:
            out.append(token)
    return tuple(out)
