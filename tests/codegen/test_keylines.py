"""The key scanner finds what tomllib finds, and on the right lines."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen.keylines import Where, scan

ROOT = Path(__file__).resolve().parents[2]

SCALARS = st.sampled_from(
    [
        "1",
        "-0.5e3",
        "true",
        "inf",
        "1979-05-27 07:32:00Z",
        '"plain"',
        r'"a \" # ] } = [ \\"',
        "'lit # ] \" = {'",
        '""',
        "''",
        '"""one\ntwo # \\" ""\n"""',
        "'''x\n'' y'''''",
        '"""ends in a quote""""',
        '"""a \\\n   b"""',
    ]
)
TRAILS = st.sampled_from(["", " # note", '  # = [ { " \' """'])
NAMES = st.sampled_from(["{}", '"{}"', "'{}'", '"{} . # ="', "'{} ] '", '"\\u0041{}"'])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A TOML text in which every key is written once, so that its line can be found by searching."""
    count = 0

    def key() -> str:
        nonlocal count
        count += 1
        return draw(NAMES).format(f"key{count:04}")

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 5)) if depth < 3 else 0
        if kind == 4:
            items = [value(depth + 1) for _ in range(draw(st.integers(0, 3)))]
            gap = draw(st.sampled_from(["", " ", "\n  ", "  # note [ \n"]))
            return "[" + gap + ("," + gap).join(items) + gap + ("," if len(items) > 0 and draw(st.booleans()) else "") + gap + "]"
        if kind == 5:
            pairs = [f"{dotted()} = {value(depth + 1)}" for _ in range(draw(st.integers(0, 3)))]
            return "{ " + ", ".join(pairs) + " }"
        return draw(SCALARS)

    def dotted() -> str:
        return draw(st.sampled_from([".", " . "])).join(key() for _ in range(draw(st.integers(1, 2))))

    def pairs() -> list[str]:
        return [f"{dotted()} = {value(0)}{draw(TRAILS)}" for _ in range(draw(st.integers(0, 3)))]

    lines = pairs()
    for _ in range(draw(st.integers(0, 4))):
        name = dotted()
        if draw(st.booleans()):
            lines += [f"[ {name} ]{draw(TRAILS)}", *pairs(), ""]
            continue
        for _ in range(draw(st.integers(1, 3))):
            lines += [f"[[{name}]]{draw(TRAILS)}", *pairs()]
            if draw(st.booleans()):
                lines += [f"[{name}.{key()}]", *pairs()]
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


def paths(value: object, at: Where = ()) -> Iterator[Where]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from paths(inner, (*at, key))


@settings(max_examples=300, deadline=None)
@given(documents())
def test_scan_finds_what_tomllib_finds(text: str) -> None:
    lines = scan(text)
    assert set(lines) == set(paths(tomllib.loads(text)))
    split = text.split("\n")
    for where, line in lines.items():
        if isinstance(where[-1], str):
            token = where[-1][where[-1].index("key") :][:7]
            first = next(number for number, content in enumerate(split, start=1) if token in content)
            assert line == first, where


def test_lines_of_elements() -> None:
    text = """a = [ 1,
  { b = 2 }, [
  3 ],
]
[[t]]
x.y = '''
'''
z = 1
[t.u]
v = 1
[[t]]
[[t.w]]
[[t.w]]
q = 1
"""
    assert scan(text) == {
        ("a",): 1,
        ("a", 0): 1,
        ("a", 1): 2,
        ("a", 1, "b"): 2,
        ("a", 2): 2,
        ("a", 2, 0): 3,
        ("t",): 5,
        ("t", 0): 5,
        ("t", 0, "x"): 6,
        ("t", 0, "x", "y"): 6,
        ("t", 0, "z"): 8,
        ("t", 0, "u"): 9,
        ("t", 0, "u", "v"): 10,
        ("t", 1): 11,
        ("t", 1, "w"): 12,
        ("t", 1, "w", 0): 12,
        ("t", 1, "w", 1): 13,
        ("t", 1, "w", 1, "q"): 14,
    }


@pytest.mark.parametrize("path", sorted(ROOT.glob("schema/exchange/*.toml")) + sorted(ROOT.glob("tests/cases/specs/*.toml")), ids=str)
def test_scan_of_specs(path: Path) -> None:
    text = path.read_text()
    assert set(scan(text)) == set(paths(tomllib.loads(text)))
