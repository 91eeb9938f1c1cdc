"""Frames made from good ones by changing them as trees: values swapped for awkward ones, keys repeated, lost, added or moved, lists grown
and cut, then now and then a byte. They stay close enough to their examples that every road of a parser is walked.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

# A tree: ["o", [[key text, tree], ...]], ["a", [tree, ...]] or ["v", text].
Tree = list[Any]

NUMBERS = """
0 -0 -1 1 01 1. .5 1e2 1e999 1e-999 0e99 1e0000000000000000000000001 9223372036854775807 9223372036854775808 -9223372036854775807
-9223372036854775808 2147483647 2147483648 1700000000 1700000000123 1700000000123456 17000000001 1700000000123.5
"""
STRINGS = r"""
1 01 +1 1.50e1 1e-128 1e-129 x 9223372036854775807 9223372036854775808 9223372036854775807.0 0.0000000000000000001
123456789012345678.123 1700000000123456789 1700000000.123456789987 0x1 1E+05 \u0041 1\u002e5 \ud800 \ud83d\ude00 é a\u0007 b\u007f
2022-04-15T05:20:00Z 2022-02-30T05:20:00Z 2022-04-15T05:20:00.123456789123+23:59 2022-04-15T05:20:00 0000-03-01T00:00:00Z
1677-09-21T00:12:43.145224193Z 1677-09-21T00:12:43.145224192Z 2262-04-11T23:47:16.854775807Z 2262-04-11T23:47:16.854775808Z
"""
LONG = ("5 ", "z" * 48, "z" * 49, "é" * 25, "0." + "0" * 150, "1." + "0" * 30, "9" * 40)
OTHERS = ("null", '""', "true", "false", "[]", "{}", "[null]", "[[]]", '[["1","2"]]', '[["1"]]', '[["1","2"],["3","x"]]', '{"a":1}', " 7 ")
NUMBER = re.compile(r'"?-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"?')
BYTES = (b"", b'"', b"\xff", b"\xe2\x82", b"\\", b"{", b"}", b"]", b",", b":", b"0", b"e", b".", b"-", b"\x00", b" ", b"\n")


class Mutator:
    """Makes frames from `wires`; the same seed gives the same frames. `retype`: numbers as texts and the reverse, too."""

    def __init__(self, wires: Sequence[str], seed: int, *, retype: bool = False) -> None:
        self.retype = retype
        self.random = random.Random(seed)
        self.texts = [wire for wire in wires if not wire.startswith("{")]
        self.trees = [_tree(json.loads(wire)) for wire in wires if wire.startswith("{")]
        nodes = [node for tree in self.trees for node in _nodes(tree)]
        self.keys = sorted({key for node in nodes if node[0] == "o" for key, _ in node[1]} | {'"new"', '""', '"\\ud800"'})
        own = sorted({node[1] for node in nodes if node[0] == "v"})
        self.values = [*NUMBERS.split(), *(f'"{text}"' for text in (*STRINGS.split(), *LONG)), *OTHERS, *own]

    def frame(self) -> bytes:
        if self.texts and (not self.trees or self.random.random() < 0.02):
            return self._damaged(self.random.choice(self.texts).encode())
        tree = json.loads(json.dumps(self.random.choice(self.trees)))
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            self._change(tree)
        frame = self._text(tree, self.random.random() < 0.2).encode()
        return self._damaged(frame) if self.random.random() < 0.25 else frame

    def _value(self) -> Tree:
        return ["v", self.random.choice(self.values)]

    def _change(self, tree: Tree) -> None:
        nodes = list(_nodes(tree))
        numbers = [node for node in nodes if node[0] == "v" and NUMBER.fullmatch(node[1])] if self.retype else []
        if numbers and self.random.random() < 0.3:
            node = self.random.choice(numbers)
            node[1] = node[1].strip('"') if node[1].startswith('"') else f'"{node[1]}"'
            return
        chance = self.random.random()
        if chance < 0.45:
            self.random.choice(nodes)[:] = self._value()
        elif chance < 0.8:
            objects = [node for node in nodes if node[0] == "o"]
            if objects:
                self._change_members(self.random.choice(objects)[1])
        elif chance < 0.9:
            arrays = [node for node in nodes if node[0] == "a"]
            if arrays:
                self._change_items(self.random.choice(arrays)[1])
        else:
            deep = self.random.choice((1, 2, 30, 31, 32, 33))
            self.random.choice(nodes)[:] = ["v", "[" * deep + "]" * deep]

    def _change_members(self, members: list[Any]) -> None:
        kind = self.random.randrange(4)
        at = self.random.randint(0, len(members))
        if kind == 0 and members:
            members.pop(at % len(members))
        elif kind == 1 and members:
            members.insert(at, [self.random.choice(members)[0], self._value()])
        elif kind == 2:
            members.insert(at, [self.random.choice(self.keys), self._value()])
        else:
            self.random.shuffle(members)

    def _change_items(self, items: list[Tree]) -> None:
        kind = self.random.randrange(3)
        at = self.random.randint(0, len(items))
        if kind == 0 and items:
            items.pop(at % len(items))
        elif kind == 1 and items:
            items.insert(at, json.loads(json.dumps(self.random.choice(items))))
        else:
            items.insert(at, self._value())

    def _text(self, tree: Tree, loose: bool) -> str:
        def space() -> str:
            return self.random.choice(("", "", "", " ", "\n", "\t \r")) if loose else ""

        if tree[0] == "v":
            return space() + str(tree[1]) + space()
        if tree[0] == "a":
            return space() + "[" + ",".join(self._text(item, loose) for item in tree[1]) + "]" + space()
        members = (space() + self._escaped(key) + space() + ":" + self._text(value, loose) for key, value in tree[1])
        return space() + "{" + ",".join(members) + "}" + space()

    def _escaped(self, key: str) -> str:
        if self.random.random() < 0.03 and len(key) > 2 and key[1] != "\\":
            return f'"\\u{ord(key[1]):04x}{key[2:]}'
        return key

    def _damaged(self, frame: bytes) -> bytes:
        for _ in range(self.random.choice((1, 1, 2))):
            at = self.random.randint(0, len(frame))
            frame = frame[:at] + self.random.choice(BYTES) + frame[at + self.random.choice((0, 1, 1, 2)) :]
        return frame[: self.random.randint(0, len(frame))] if self.random.random() < 0.05 else frame


def _tree(value: Any) -> Tree:
    if isinstance(value, dict):
        return ["o", [[json.dumps(key, ensure_ascii=False), _tree(inner)] for key, inner in value.items()]]
    if isinstance(value, list):
        return ["a", [_tree(inner) for inner in value]]
    return ["v", json.dumps(value, ensure_ascii=False)]


def _nodes(tree: Tree) -> list[Tree]:
    inner = [value for _, value in tree[1]] if tree[0] == "o" else tree[1] if tree[0] == "a" else []
    return [tree, *(node for value in inner for node in _nodes(value))]
