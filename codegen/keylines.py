"""On which line of a TOML file each key, table and array element stands.

`tomllib` gives values without places. This scanner gives places without values: it walks a text that `tomllib` has accepted
and notes one line per path, so that a finding can name the line it is about. It checks nothing. Imports nothing of the project.
"""

from __future__ import annotations

import tomllib

Where = tuple[str | int, ...]

_BARE_ENDS = frozenset(" \t.=]}\r\n,#")


def scan(text: str) -> dict[Where, int]:
    """Line (1-based) of every key, table and array element, by its path, as in `("message", 0, "match")`.

    A table that several lines make up has the line of its first mention. `text` must be valid TOML.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    __slots__ = ("arrays", "line", "lines", "position", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1
        self.lines: dict[Where, int] = {}
        self.arrays: dict[Where, int] = {}  # arrays of tables written as [[header]]: index of the last element

    def document(self) -> None:
        table: Where = ()
        while self.skip(newlines=True):
            if self.peek("[["):
                table = self.header(2)
            elif self.peek("["):
                table = self.header(1)
            else:
                self.pair(table)

    # ----- small steps

    def peek(self, word: str) -> bool:
        return self.text.startswith(word, self.position)

    def advance(self, end: int) -> str:
        """Moves to `end` and returns what was passed."""
        passed = self.text[self.position : end]
        self.line += passed.count("\n")
        self.position = end
        return passed

    def skip(self, newlines: bool) -> bool:
        """Passes white space and comments; False at the end of the text."""
        blank = " \t\r\n" if newlines else " \t"
        while self.position < len(self.text):
            char = self.text[self.position]
            if char == "#":
                end = self.text.find("\n", self.position)
                self.advance(len(self.text) if end < 0 else end)
            elif char in blank:
                self.advance(self.position + 1)
            else:
                return True
        return False

    def note(self, path: Where) -> None:
        self.lines.setdefault(path, self.line)

    # ----- the grammar

    def header(self, brackets: int) -> Where:
        line = self.line
        self.advance(self.position + brackets)
        keys = self.keys()
        self.advance(self.position + brackets)
        path: Where = ()
        for key in keys[:-1]:
            path = self.enter((*path, key), line)
        last = (*path, keys[-1])
        if brackets == 1:
            return self.enter(last, line)
        self.lines.setdefault(last, line)
        index = self.arrays[last] = self.arrays.get(last, -1) + 1
        element: Where = (*last, index)
        self.lines[element] = line
        return element

    def enter(self, path: Where, line: int) -> Where:
        self.lines.setdefault(path, line)
        return (*path, self.arrays[path]) if path in self.arrays else path

    def pair(self, table: Where) -> None:
        path = table
        for key in self.keys():
            path = (*path, key)
            self.note(path)
        self.advance(self.position + 1)  # =
        self.skip(newlines=False)
        self.value(path)

    def keys(self) -> list[str]:
        """A dotted key; afterwards the position is at the `=` or `]` behind it."""
        keys: list[str] = []
        while True:
            self.skip(newlines=False)
            if self.text[self.position] in "\"'":
                keys.append(str(tomllib.loads("key = " + self.string())["key"]))
            else:
                end = self.position
                while self.text[end] not in _BARE_ENDS:
                    end += 1
                keys.append(self.advance(end))
            self.skip(newlines=False)
            if not self.peek("."):
                return keys
            self.advance(self.position + 1)

    def value(self, path: Where) -> None:
        char = self.text[self.position]
        if char in "\"'":
            self.string()
        elif char == "[":
            self.array(path)
        elif char == "{":
            self.table(path)
        else:  # a number, a bool, a time: a time may hold one blank, which does no harm
            end = self.position
            while end < len(self.text) and self.text[end] not in ",]}\n#":
                end += 1
            self.advance(end)

    def array(self, path: Where) -> None:
        self.advance(self.position + 1)
        index = 0
        while self.skip(newlines=True) and not self.peek("]"):
            element: Where = (*path, index)
            self.note(element)
            self.value(element)
            index += 1
            self.skip(newlines=True)
            if self.peek(","):
                self.advance(self.position + 1)
        self.advance(self.position + 1)

    def table(self, path: Where) -> None:
        self.advance(self.position + 1)
        while self.skip(newlines=True) and not self.peek("}"):
            self.pair(path)
            self.skip(newlines=True)
            if self.peek(","):
                self.advance(self.position + 1)
        self.advance(self.position + 1)

    def string(self) -> str:
        quote = self.text[self.position]
        triple = quote * 3
        if self.peek(triple):
            end = self.closing(triple, self.position + 3)
            while self.text.startswith(quote, end):  # up to two quotes may stand right before the closing ones
                end += 1
            return self.advance(end)
        return self.advance(self.closing(quote, self.position + 1))

    def closing(self, quotes: str, start: int) -> int:
        position = start
        while not self.text.startswith(quotes, position):
            position += 2 if quotes[0] == '"' and self.text[position] == "\\" else 1
        return position + len(quotes)
