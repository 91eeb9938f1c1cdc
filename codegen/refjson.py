"""A JSON parser over bytes for the reference interpreter: slow, strict, and exact about where everything stands.

It keeps what ordinary parsers throw away: byte offsets, keys given twice, numbers as written. It implements rule 2 of
docs/decoding.md word for word and shares no code with the generated parsers, so that the two can be compared.
Imports nothing of the project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_DEPTH = 32
OBJECT, ARRAY, STRING, NUMBER, LITERAL, NULL = "object", "array", "string", "number", "literal", "null"

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]+")
_LITERALS = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}
_ESCAPES = {0x22: '"', 0x5C: "\\", 0x2F: "/", 0x62: "\b", 0x66: "\f", 0x6E: "\n", 0x72: "\r", 0x74: "\t"}
_HEX = frozenset(b"0123456789abcdefABCDEF")


class FrameError(Exception):
    """The frame as a whole is refused: `code` is malformed, utf8 or depth, `offset` a byte position as docs/decoding.md defines it."""

    def __init__(self, code: str, offset: int) -> None:
        super().__init__(f"{code} at byte {offset}")
        self.code = code
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: bytes [start, end).

    `text`: a string's content with escapes undone (a lone surrogate stays in it as such), a number or literal as written.
    """

    kind: str
    start: int
    end: int
    text: str = ""
    members: tuple[Member, ...] = ()
    items: tuple[Node, ...] = ()

    @property
    def absent(self) -> bool:
        """null and "" count as not there (rule 6)."""
        return self.kind == NULL or (self.kind == STRING and not self.text)

    @property
    def scalar(self) -> bool:
        return self.kind in (STRING, NUMBER, LITERAL)

    def named(self, name: str) -> list[Member]:
        """The members with this key."""
        return [member for member in self.members if member.key == name]


@dataclass(frozen=True, slots=True)
class Member:
    """One key and its value; `start` is the key's opening quote. Keys may repeat."""

    key: str
    start: int
    value: Node


class _Open:
    """A container that is not closed yet. `keep` is false past the depth limit: then only the grammar is proven."""

    __slots__ = ("is_object", "items", "keep", "key", "key_start", "members", "start")

    def __init__(self, start: int, is_object: bool, keep: bool) -> None:
        self.start = start
        self.is_object = is_object
        self.keep = keep
        self.members: list[Member] = []
        self.items: list[Node] = []
        self.key = ""
        self.key_start = 0

    def add(self, node: Node) -> None:
        if not self.keep:
            return
        if self.is_object:
            self.members.append(Member(self.key, self.key_start, node))
        else:
            self.items.append(node)

    def close(self, end: int) -> Node:
        if self.is_object:
            return Node(OBJECT, self.start, end, members=tuple(self.members))
        return Node(ARRAY, self.start, end, items=tuple(self.items))


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.finding: FrameError | None = None  # the first utf8 or depth; malformed overrules it

    def malformed(self, at: int) -> FrameError:
        return FrameError("malformed", at)

    def peek(self) -> int:
        """The byte at the position, -1 at the end of the text."""
        return self.data[self.at] if self.at < len(self.data) else -1

    def space(self) -> int:
        match = _SPACE.match(self.data, self.at)
        assert match is not None
        self.at = match.end()
        return self.peek()

    def note(self, code: str, offset: int) -> None:
        if self.finding is None:
            self.finding = FrameError(code, offset)

    def document(self) -> Node:
        open_: list[_Open] = []
        while True:
            node = self.value(open_)
            while node is not None:
                if not open_:
                    self.space()
                    if self.at < len(self.data):
                        raise self.malformed(self.at)
                    if self.finding is not None:
                        raise self.finding
                    return node
                open_[-1].add(node)
                node = self.after_value(open_)

    def value(self, open_: list[_Open]) -> Node | None:
        """A scalar or empty container, or None after opening a container that has a first element."""
        byte = self.space()
        start = self.at
        if byte == 0x22:
            return self.string_node()
        if byte in _LITERALS:
            return self.literal(_LITERALS[byte])
        if byte == 0x2D or 0x30 <= byte <= 0x39:
            return self.number()
        if byte not in (0x7B, 0x5B):
            raise self.malformed(self.at)
        if len(open_) >= MAX_DEPTH:
            self.note("depth", start)
        self.at += 1
        container = _Open(start, byte == 0x7B, len(open_) < MAX_DEPTH)
        byte = self.space()
        if byte == (0x7D if container.is_object else 0x5D):
            self.at += 1
            return container.close(self.at)
        if container.is_object:
            self.key(container)
        open_.append(container)
        return None

    def after_value(self, open_: list[_Open]) -> Node | None:
        """Behind an element: the container, if it ends here; None when another element follows."""
        container = open_[-1]
        byte = self.space()
        if byte == 0x2C:
            self.at += 1
            self.space()
            if container.is_object:
                self.key(container)
            return None
        if byte == (0x7D if container.is_object else 0x5D):
            self.at += 1
            open_.pop()
            return container.close(self.at)
        raise self.malformed(self.at)

    def key(self, container: _Open) -> None:
        if self.peek() != 0x22:
            raise self.malformed(self.at)
        container.key_start = self.at
        container.key = self.string()
        if self.space() != 0x3A:
            raise self.malformed(self.at)
        self.at += 1

    def literal(self, word: bytes) -> Node:
        start = self.at
        for byte in word:
            if self.peek() != byte:
                raise self.malformed(self.at)
            self.at += 1
        return Node(NULL if word == b"null" else LITERAL, start, self.at, word.decode())

    def digits(self) -> None:
        match = _DIGITS.match(self.data, self.at)
        if match is None:
            raise self.malformed(self.at)
        self.at = match.end()

    def number(self) -> Node:
        start = self.at
        if self.peek() == 0x2D:
            self.at += 1
        if self.peek() == 0x30:
            self.at += 1
        else:
            self.digits()
        if self.peek() == 0x2E:
            self.at += 1
            self.digits()
        if self.peek() in (0x65, 0x45):
            self.at += 1
            if self.peek() in (0x2B, 0x2D):
                self.at += 1
            self.digits()
        return Node(NUMBER, start, self.at, self.data[start : self.at].decode())

    def string_node(self) -> Node:
        start = self.at
        text = self.string()
        return Node(STRING, start, self.at, text)

    def string(self) -> str:
        """The content of the string at the position; notes `utf8` at its opening quote."""
        start = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            match = _PLAIN.match(self.data, self.at)
            assert match is not None
            self.at = match.end()
            try:
                parts.append(match.group().decode())
            except UnicodeDecodeError:
                # Counts only if the text is JSON at all: a sequence cut off by its end is `malformed` with its string.
                self.note("utf8", start)
            byte = self.peek()
            if byte == 0x22:
                self.at += 1
                return _join(parts)
            if byte != 0x5C:
                raise self.malformed(self.at)
            self.at += 1
            parts.append(self.escape())

    def escape(self) -> str:
        byte = self.peek()
        if byte in _ESCAPES:
            self.at += 1
            return _ESCAPES[byte]
        if byte != 0x75:
            raise self.malformed(self.at)
        self.at += 1
        first = self.at
        for _ in range(4):
            if self.peek() not in _HEX:
                raise self.malformed(self.at)
            self.at += 1
        return chr(int(self.data[first : self.at], 16))


def _join(parts: list[str]) -> str:
    """Joins pieces of a string; two escaped halves of a surrogate pair become their character, a lone one stays."""
    text = "".join(parts)
    if any("\ud800" <= c <= "\udfff" for c in text):
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def parse(data: bytes) -> Node:
    """The one JSON value that `data` is. Raises FrameError with code and byte offset."""
    return _Parser(data).document()


def is_text(text: str) -> bool:
    """False for a text that no UTF-8 can hold: an escaped lone surrogate (rule 2)."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
