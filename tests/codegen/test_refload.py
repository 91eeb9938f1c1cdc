"""The fast reader of large bodies gives the tree of the strict one, places aside, and refuses what that refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k4._codegen import refjson, refload
from k4._codegen.refjson import FrameError, Node

BYTES = st.one_of(st.binary(max_size=40), st.text('{}[]":,\\u0019eE+-.ntflasr /dD8é\n', max_size=40).map(str.encode))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def picture(node: Node) -> object:
    """A tree without its places."""
    members = [(member.key, picture(member.value)) for member in node.members]
    return node.kind, node.text, members, [picture(item) for item in node.items]


def read(reader: object, data: bytes) -> object:
    try:
        return picture(reader(data))  # type: ignore[operator]
    except FrameError as error:
        return error.code


@given(VALUES, st.booleans())
def test_what_is_json_reads_the_same(value: object, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass" if ascii_only else "strict")
    assert read(refload.load, data) == read(refjson.parse, data)


@given(BYTES)
def test_what_is_none_is_refused_by_both(data: bytes) -> None:
    one, other = read(refload.load, data), read(refjson.parse, data)
    if {"utf8", "malformed"} >= {str(one), str(other)}:
        return  # which of two faults is told first is not the same
    assert one == other


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        "1.50e1",
        "-0",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "-Infinity",
        '"\\ud800"',
        '"\\u00e9\\ud83d\\ude00"',
        '"\t"',
        "",
        " 1 ",
        "\ufeff1",
    ],
)
def test_digits_and_repeated_keys_stay(text: str) -> None:
    assert read(refload.load, text.encode()) == read(refjson.parse, text.encode())


def test_where_it_goes_wrong() -> None:
    with pytest.raises(FrameError, match="malformed at byte 7"):
        refload.load('{"é":'.encode() + b" }")
    with pytest.raises(FrameError, match="utf8 at byte 2"):
        refload.load(b'["\xff"]')
    with pytest.raises(FrameError, match="depth"):
        refload.load(b"[" * 100_000)
