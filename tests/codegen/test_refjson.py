"""The reference's JSON parser: every finding at its byte, values and validity against the standard library's parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k4._codegen import refjson
from k4._codegen.refjson import FrameError, Node


def value_of(node: Node) -> Any:
    """The node as the standard library would give it; keys given twice: the last."""
    if node.kind == refjson.OBJECT:
        return {member.key: value_of(member.value) for member in node.members}
    if node.kind == refjson.ARRAY:
        return [value_of(item) for item in node.items]
    if node.kind == refjson.STRING:
        return node.text
    return json.loads(node.text)


def finding(data: bytes) -> tuple[str, int] | None:
    try:
        refjson.parse(data)
    except FrameError as error:
        return error.code, error.offset
    return None


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"  ", 2),
        (b"\xef\xbb\xbf{}", 0),
        (b"\x00", 0),
        (b"{} x", 3),
        (b"{}{}", 2),
        (b"[1,]", 3),
        (b"[,1]", 1),
        (b"[1 2]", 3),
        (b"[1}", 2),
        (b"[1", 2),
        (b"{1:2}", 1),
        (b'{"a"}', 4),
        (b'{"a":}', 5),
        (b'{"a":1,}', 7),
        (b'{"a":1', 6),
        (b"{'a':1}", 1),
        (b"tru", 3),
        (b"trux", 3),
        (b"nullx", 4),
        (b"True", 0),
        (b"NaN", 0),
        (b"-Infinity", 1),
        (b"01", 1),
        (b"-01", 2),
        (b"+1", 0),
        (b".5", 0),
        (b"1.", 2),
        (b"1.e5", 2),
        (b"1e", 2),
        (b"1e+", 3),
        (b"-", 1),
        (b"0x1", 1),
        (b'"a', 2),
        (b'"a\n"', 2),
        (b'"\x1f"', 1),
        (b'"\\x"', 2),
        (b'"\\u12g4"', 5),
        (b'"\\u12', 5),
        (b'"\\', 2),
        (b'"\xc3', 2),  # cut off by the end of the text: not UTF-8's matter
        (b"[1,\x0b2]", 3),
        (b"1\x00", 1),
        (b"/**/1", 0),
    ],
)
def test_malformed_stands_at_the_first_byte_that_cannot_continue(data: bytes, offset: int) -> None:
    assert finding(data) == ("malformed", offset)


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (b'{"a":"\xff"}', "utf8", 5),
        (b'{"\xff":1}', "utf8", 1),
        (b'["\xc3"]', "utf8", 1),  # cut off by the closing quote
        (b'["ok","\xc0\xaf"]', "utf8", 6),  # overlong
        (b'["\xe0\x80\xaf"]', "utf8", 1),
        (b'["\xed\xa0\x80"]', "utf8", 1),  # a surrogate
        (b'["\xf4\x90\x80\x80"]', "utf8", 1),  # past U+10FFFF
        (b'["\xe2\\n\x82\xac"]', "utf8", 1),
        (b"[" * 33 + b"]" * 33, "depth", 32),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "depth", 160),
        (b"[" * 32 + b"[],[]" + b"]" * 32, "depth", 32),
        (b"[" * 5000 + b"]" * 5000, "depth", 32),
        (b'["\xff",' + b"[" * 33 + b"]" * 34, "utf8", 1),
        (b"[" + b"[" * 32 + b"]" * 32 + b',"\xff"]', "depth", 32),
    ],
)
def test_utf8_and_depth_concern_the_frame(data: bytes, code: str, offset: int) -> None:
    assert finding(data) == (code, offset)


@pytest.mark.parametrize(("data", "offset"), [(b'["\xff",', 5), (b"[" * 40 + b"}", 40), (b'["\xff" 1]', 5)])
def test_malformed_wins_over_what_stands_in_front(data: bytes, offset: int) -> None:
    assert finding(data) == ("malformed", offset)


def test_thirty_two_containers_are_allowed() -> None:
    assert finding(b"[" * 32 + b"]" * 32) is None


def test_places_texts_and_repeated_keys_are_kept() -> None:
    root = refjson.parse(b' {"a" : 1.50e1, "\\u0061":["\\ud83d\\ude00\\n", null, true]} ')
    assert [(m.key, m.start, m.value.kind, m.value.start, m.value.end) for m in root.members] == [
        ("a", 2, "number", 8, 14),
        ("a", 16, "array", 25, 55),
    ]
    assert root.members[0].value.text == "1.50e1"
    items = root.members[1].value.items
    assert [(item.kind, item.text, item.start) for item in items] == [
        ("string", "\U0001f600\n", 26),
        ("null", "null", 44),
        ("literal", "true", 50),
    ]
    assert (root.start, root.end) == (1, 56)


@pytest.mark.parametrize(
    ("text", "good"), [('"\\ud800"', False), ('"\\udc00\\ud800"', False), ('"\\ud83d\\ude00"', True), ('"\\u00e9"', True)]
)
def test_a_lone_surrogate_is_grammar_but_no_text(text: str, good: bool) -> None:
    assert refjson.is_text(refjson.parse(text.encode()).text) is good


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4))


@given(documents, st.booleans(), st.sampled_from([None, 1]))
def test_values_are_those_of_the_standard_library(document: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    data = text.encode("utf-8", "surrogatepass")
    if finding(data) is None:
        assert value_of(refjson.parse(data)) == json.loads(text)
    else:
        assert finding(data) == ("utf8", finding(data)[1])  # type: ignore[index]
        assert b"\xed" in data


pieces = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u00e9", b"0", b"1", b"-", b".", b"e", b"true", b"nul", b" ", b"\n", b"\xc3", b"a"]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = json.dumps(draw(documents)).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(pieces) + data[at + draw(st.integers(0, 2)) :]
    return data


def _refuse(text: str) -> Any:
    raise ValueError(text)


@given(damaged() | st.lists(pieces, max_size=12).map(b"".join))
def test_validity_is_that_of_the_standard_library(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        assert finding(data) is not None
        return
    try:
        expected = json.loads(text, parse_constant=_refuse)
    except ValueError:
        found = finding(data)
        assert found is not None
        assert found[0] == "malformed"
        return
    assert finding(data) is None
    assert value_of(refjson.parse(data)) == expected


@given(damaged())
def test_malformed_is_where_no_text_can_go_on(data: bytes) -> None:
    found = finding(data)
    if found is None or found[0] != "malformed":
        return
    offset = found[1]
    assert finding(data[:offset]) in (None, ("malformed", offset)) or finding(data[:offset])[0] == "utf8"  # type: ignore[index]
    assert finding(data[: offset + 1]) == ("malformed", offset)
