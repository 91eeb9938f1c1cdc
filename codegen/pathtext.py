"""The two small notations inside a spec: paths (`data[0].p?`) and texts (`top.${symbol:lower}`).

Turns strings into `ir.Path` and `ir.Text`, or says what is wrong at which column. May import `ir`.
"""

from __future__ import annotations

import re

from . import ir

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_STOPS = frozenset(".[]$?@*")
_INDEX = re.compile(r"-?[0-9]+")


class NotationError(ValueError):
    """`column` is 1-based and counts characters of the notation itself, not of the line."""

    def __init__(self, source: str, column: int, what: str) -> None:
        self.column = column
        super().__init__(f'"{source}", column {column}: {what}')


def parse_path(source: str) -> ir.Path:
    """Reads a path. Raises NotationError."""
    if source == ".":
        return ir.Path(False, (), False, source)
    if not source:
        raise NotationError(source, 1, 'a path is empty; the frame itself is "."')
    body = source.removesuffix("?")
    at = 1 if body.startswith("@") else 0
    steps: list[ir.Step] = []
    position = at
    after_key = False
    while position < len(body):
        step, position = _step(source, body, position, after_key)
        steps.append(step)
        after_key = isinstance(step, ir.Key | ir.Members)
    if not at and not steps:
        raise NotationError(source, 1, 'a path needs a step; the frame itself is "."')
    return ir.Path(bool(at), tuple(steps), body != source, source)


def _step(source: str, body: str, position: int, after_key: bool) -> tuple[ir.Step, int]:
    char = body[position]
    if char == "[":
        return _bracket(source, body, position)
    if char == ".":
        position += 1
        if body[position : position + 1] == "$":
            name = _NAME.match(body, position + 1)
            if not name:
                raise NotationError(source, position + 2, "a name must follow `.$`, as in `.$symbol`")
            return ir.Members(name[0]), name.end()
    elif after_key:
        raise NotationError(source, position + 1, f'"{char}" cannot stand in a key; keys are parted by "."')
    end = position
    while end < len(body) and body[end] not in _KEY_STOPS:
        end += 1
    if end == position:
        found = f'"{body[end]}"' if end < len(body) else "the end"
        hint = "; `?` stands at the end only" if found == '"?"' else "; `@` stands at the front only" if found == '"@"' else ""
        raise NotationError(source, end + 1, f"a key is wanted here, not {found}{hint}")
    return ir.Key(body[position:end]), end


def _bracket(source: str, body: str, position: int) -> tuple[ir.Step, int]:
    close = body.find("]", position)
    if close < 0:
        raise NotationError(source, position + 1, 'this "[" is never closed')
    inner, after = body[position + 1 : close], close + 1
    if inner in ("*", "-*"):
        return ir.Every(inner == "-*"), after
    if _INDEX.fullmatch(inner):
        if inner.startswith("-") and int(inner) == 0:
            raise NotationError(source, position + 2, "[-1] is the last element; there is no [-0]")
        return ir.Index(int(inner)), after
    key, equals, text = inner.partition("=")
    stop = next((i for i, char in enumerate(key) if char in _KEY_STOPS), None)
    if equals and key and stop is None:
        return ir.Find(key, text), after
    column = position + 2 + (stop or 0)
    raise NotationError(source, column, f"[{inner}] is none of [n] [-n] [*] [-*] [key=text]")


def parse_text(source: str, pattern: bool) -> ir.Text:
    """Reads a template, or (`pattern`) a text in which `*` stands for any run. Raises NotationError."""
    parts: list[ir.Lit | ir.Ref | ir.Star] = []
    position = 0
    while position < len(source):
        char = source[position]
        if char == "$":
            ref, position = _ref(source, position)
            parts.append(ref)
        elif char == "*" and pattern:
            parts.append(ir.Star())
            position += 1
        else:
            stops = "$*" if pattern else "$"
            end = next((i for i in range(position, len(source)) if source[i] in stops), len(source))
            parts.append(ir.Lit(source[position:end]))
            position = end
    return ir.Text(tuple(parts), source)


def _ref(source: str, position: int) -> tuple[ir.Ref, int]:
    braces = source[position + 1 : position + 2] == "{"
    name = _NAME.match(source, position + (2 if braces else 1))
    if not name:
        raise NotationError(source, position + 1, "a name must follow `$`, as in `$symbol` or `${symbol}`")
    if not braces:
        return ir.Ref(name[0], False), name.end()
    close = source.find("}", name.end())
    if close < 0:
        raise NotationError(source, position + 1, "this `${` is never closed")
    word = source[name.end() : close]
    if word not in ("", ":lower"):
        raise NotationError(source, name.end() + 1, f"`{word}` is not known; a name may only be followed by `:lower`")
    return ir.Ref(name[0], word == ":lower"), close + 1
