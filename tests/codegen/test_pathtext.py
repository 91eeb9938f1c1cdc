"""Paths and texts: what each notation becomes, and where a wrong one is wrong."""

from __future__ import annotations

import pytest

from k4._codegen import ir
from k4._codegen.pathtext import NotationError, parse_path, parse_text

K, I, E, F, M = ir.Key, ir.Index, ir.Every, ir.Find, ir.Members


@pytest.mark.parametrize(
    ("source", "element", "steps", "optional"),
    [
        (".", False, (), False),
        ("@", True, (), False),
        ("@?", True, (), True),
        ("a", False, (K("a"),), False),
        ("a b/c-d:e", False, (K("a b/c-d:e"),), False),
        ("data.b?", False, (K("data"), K("b")), True),
        ("@.px", True, (K("px"),), False),
        ("@[0]", True, (I(0),), False),
        ("[2].a", False, (I(2), K("a")), False),
        ("a[0][-1]", False, (K("a"), I(0), I(-1)), False),
        ("d.asks[*].p", False, (K("d"), K("asks"), E(False), K("p")), False),
        ("d.$symbol[-*]", False, (K("d"), M("symbol"), E(True)), False),
        (".$day.x", False, (M("day"), K("x")), False),
        ("rules[type=PRICE].step", False, (K("rules"), F("type", "PRICE"), K("step")), False),
        ("a[k=]", False, (K("a"), F("k", "")), False),
        ("a[k=x.y$z]", False, (K("a"), F("k", "x.y$z")), False),
    ],
)
def test_path(source: str, element: bool, steps: tuple[ir.Step, ...], optional: bool) -> None:
    assert parse_path(source) == ir.Path(element, steps, optional, source)


@pytest.mark.parametrize(
    ("source", "column", "what"),
    [
        ("", 1, "a path is empty"),
        ("?", 1, "a path needs a step"),
        ("a..b", 3, 'a key is wanted here, not "."'),
        ("a.", 3, "a key is wanted here, not the end"),
        ("a[", 2, 'this "[" is never closed'),
        ("a[x]", 3, "[x] is none of [n] [-n] [*] [-*] [key=text]"),
        ("a[]", 3, "[] is none of"),
        ("a[=b]", 3, "[=b] is none of"),
        ("a[b.c=d]", 4, "[b.c=d] is none of"),
        ("a[-0]", 3, "there is no [-0]"),
        ("a]", 2, '"]" cannot stand in a key'),
        ("a@b", 2, '"@" cannot stand in a key'),
        ("a.@b", 3, "`@` stands at the front only"),
        ("a.$", 4, "a name must follow `.$`"),
        ("a*", 2, '"*" cannot stand in a key'),
        ("a.?.b", 3, "`?` stands at the end only"),
        ("a$b", 2, '"$" cannot stand in a key'),
    ],
)
def test_wrong_path(source: str, column: int, what: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse_path(source)
    assert caught.value.column == column
    assert what in str(caught.value)
    assert str(caught.value).startswith(f'"{source}", column {column}: ')


@pytest.mark.parametrize(
    ("source", "pattern", "parts"),
    [
        ("", True, ()),
        ("*", True, (ir.Star(),)),
        ("*", False, (ir.Lit("*"),)),
        ("top.${symbol:lower}", True, (ir.Lit("top."), ir.Ref("symbol", True))),
        ("$a$b", True, (ir.Ref("a", False), ir.Ref("b", False))),
        ("${a}b*c", True, (ir.Ref("a", False), ir.Lit("b"), ir.Star(), ir.Lit("c"))),
        ('{"id":$id,"x":[$args]}', False, (ir.Lit('{"id":'), ir.Ref("id", False), ir.Lit(',"x":['), ir.Ref("args", False), ir.Lit("]}"))),
    ],
)
def test_text(source: str, pattern: bool, parts: tuple[ir.Lit | ir.Ref | ir.Star, ...]) -> None:
    assert parse_text(source, pattern) == ir.Text(parts, source)


@pytest.mark.parametrize(
    ("source", "column", "what"),
    [
        ("a$", 2, "a name must follow `$`"),
        ("$1", 1, "a name must follow `$`"),
        ("x${a", 2, "this `${` is never closed"),
        ("${a:upper}", 4, "`:upper` is not known"),
        ("${}", 1, "a name must follow `$`"),
    ],
)
def test_wrong_text(source: str, column: int, what: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse_text(source, pattern=True)
    assert caught.value.column == column
    assert what in str(caught.value)
