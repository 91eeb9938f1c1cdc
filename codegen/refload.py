"""Large bodies, fast: the tree that `refjson` makes, by the standard library's reader and without places.

Lists of instruments have megabytes; where each value stands is of no use there, its text as written is. Repeated keys stay, numbers
keep their digits, and what nobody looks at is never made into nodes. The one difference: depth is bounded by what that reader can nest,
not by 32. May import `refjson`.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import NoReturn

from .refjson import ARRAY, LITERAL, NULL, NUMBER, OBJECT, STRING, FrameError, Member, Node

_TRUE, _FALSE, _NULL = Node(LITERAL, 0, 0, "true"), Node(LITERAL, 0, 0, "false"), Node(NULL, 0, 0, "null")


def load(data: bytes) -> Node:
    """The one JSON value that `data` is, every place 0. Raises FrameError as `refjson.parse` does; the offset of `utf8` is the byte's."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FrameError("utf8", error.start) from error
    try:
        value = json.loads(text, object_pairs_hook=_Object, parse_int=_number, parse_float=_number, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise FrameError("malformed", len(text[: error.pos].encode())) from error
    except _ConstantError as error:
        raise FrameError("malformed", 0) from error
    except RecursionError as error:
        raise FrameError("depth", 0) from error
    return _node(value)


class _ConstantError(Exception):
    """NaN or Infinity, which that reader would take."""


def _constant(text: str) -> NoReturn:
    raise _ConstantError(text)


def _number(text: str) -> Node:
    return Node(NUMBER, 0, 0, text)


class _Object(Node):
    """An object whose members become nodes when they are first asked for."""

    kind, start, end, text, items = OBJECT, 0, 0, "", ()

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        self.__dict__["pairs"] = pairs

    @cached_property
    def members(self) -> tuple[Member, ...]:
        return tuple([Member(key, 0, _node(value)) for key, value in self.__dict__["pairs"]])

    def named(self, name: str) -> list[Member]:
        return [Member(key, 0, _node(value)) for key, value in self.__dict__["pairs"] if key == name]


class _Array(Node):
    """The same for an array and its items."""

    kind, start, end, text, members = ARRAY, 0, 0, "", ()

    def __init__(self, values: list[object]) -> None:
        self.__dict__["values"] = values

    @cached_property
    def items(self) -> tuple[Node, ...]:
        return tuple([_node(value) for value in self.__dict__["values"]])


def _node(value: object) -> Node:
    if isinstance(value, str):
        return Node(STRING, 0, 0, value)
    if isinstance(value, Node):
        return value
    if isinstance(value, list):
        return _Array(value)
    return _NULL if value is None else _TRUE if value else _FALSE
