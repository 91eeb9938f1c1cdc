"""Where each value of a JSON text stands, key path → line, and how both are shown. Imports nothing of the project.

`json` tells values but not lines, and forgets a key that is given twice; this scanner is only trusted with text that `json`
has accepted, and is tested against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

Keys = tuple[str | int, ...]

LONGEST = 60  # characters of a value that a message shows

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


@dataclass(frozen=True, slots=True)
class Places:
    """`lines`: the line of every value (of its key, for a member). `twice`: keys given again, with the line of the second."""

    lines: dict[Keys, int]
    twice: tuple[tuple[Keys, int], ...]

    def line(self, keys: Keys) -> int:
        """The line of `keys`, or of the nearest enclosing value that is there."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


def places(text: str) -> Places:
    """Scans `text`, which must be valid JSON."""
    lines: dict[Keys, int] = {}
    twice: list[tuple[Keys, int]] = []
    stack: list[str | int] = []  # the key or index of each open container's current member
    opened: list[bool] = []  # True = object
    line, at, wants_key = 1, 0, False
    for match in _WORD.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        word = match.group()
        if word in "{[":
            lines.setdefault(tuple(stack), line)
            opened.append(word == "{")
            stack.append("" if word == "{" else 0)
            wants_key = word == "{"
        elif word in "}]":
            opened.pop()
            stack.pop()
            wants_key = False
        elif word == ",":
            wants_key = opened[-1]
            last = stack[-1]
            if isinstance(last, int):
                stack[-1] = last + 1
        elif word == ":":
            wants_key = False
        elif wants_key:
            stack[-1] = str(json.loads(word))
            if tuple(stack) in lines:
                twice.append((tuple(stack), line))
            lines[tuple(stack)] = line
        else:
            lines.setdefault(tuple(stack), line)
    return Places(lines, tuple(twice))


def show(keys: Keys) -> str:
    """`("connections", 0, "symbols")` → `connections[0].symbols`."""
    text = ""
    for key in keys:
        plain = key if isinstance(key, int) or key.isprintable() else repr(key)[1:-1]
        text += f"[{plain}]" if isinstance(key, int) else f".{plain}" if text else str(plain)
    return text


def quoted(value: object) -> str:
    """A value of a file in a message about it: as JSON writes it, cut where it is long, nothing in it that a terminal would obey."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
