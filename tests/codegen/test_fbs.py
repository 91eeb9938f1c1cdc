"""The reader of records.fbs: what it makes of the schema, and what it says about every kind of wrong line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4._codegen import fbs, ir, places
from k4._codegen.errors import FindingsError

HEAD = """namespace k4;
attribute "time"; attribute "price"; attribute "qty"; attribute "id"; attribute "integer"; attribute "count"; attribute "needed";
attribute "level_count"; attribute "exponent"; attribute "index"; attribute "flags"; attribute "pad";
enum Flag : ushort (bit_flags) { GAP, RESET }
enum Kind : ubyte { market, other = 9 }
"""
COMMON = """struct Rec {
  instrument:uint (index); source:ushort (index); flags:ushort (flags);
  event_ns:long (time); engine_ns:long (time); recv_ns:long (time);
  price_exp:byte (exponent); qty_exp:byte (exponent); pad0:[ubyte:6] (pad);
"""
AT = HEAD.count("\n") + COMMON.count("\n") + 1  # the line of the first member behind the common ones


def wrong(members: str) -> list[str]:
    """What is said about a struct that has `members` behind the common ones."""
    return refused(f"{HEAD}{COMMON}{members}\n}}\n")


def refused(text: str) -> list[str]:
    with pytest.raises(FindingsError) as caught:
        fbs.parse(text, "r.fbs")
    return [str(f) for f in caught.value.findings]


def test_the_schema() -> None:
    records = fbs.load(places.schema() / "records.fbs")
    assert [(r.name, r.word, r.number, r.size) for r in records.records] == [
        ("Bbo", "bbo", 1, 88),
        ("Trade", "trade", 2, 72),
        ("AggTrade", "aggtrade", 3, 96),
        ("Depth5", "depth5", 4, 256),
        ("Depth20", "depth20", 5, 856),
    ]
    bbo = records.records[0]
    assert bbo.doc == "Best bid and offer."
    field = bbo.field("bid_count")
    assert field is not None
    assert (field.scalar, field.length, field.kind, field.needed, field.offset, field.size) == ("int", 0, "count", False, 80, 4)
    assert field.doc == "orders at the level"
    levels = records.records[3].field("ask_price")
    assert levels is not None
    assert (levels.scalar, levels.length, levels.kind, levels.needed, levels.offset, levels.size) == ("long", 5, "price", True, 136, 40)
    kind = records.records[1].field("kind")
    assert kind is not None
    assert (kind.kind, kind.enum, kind.scalar, kind.offset) == ("enum", "TradeKind", "ubyte", 65)
    assert records.enum("Flag").values[-1] == ("FORWARDED", 10)
    assert records.enum("Flag").bit_flags
    assert [name for name, _ in records.enum("TradeKind").values] == ["market", "rpi", "block", "liquidation", "adl", "insurance", "other"]


def test_enum_numbers_and_comments() -> None:
    text = HEAD + "/* over\ntwo lines */ /// what it\n/// is\n" + COMMON + "  // aside\n  kind:Kind; pad1:[ubyte:7] (pad);\n}"
    records = fbs.parse(text, "r.fbs")
    assert records.enum("Kind").values == (("market", 0), ("other", 9))
    assert records.records[0].doc == "what it is"
    assert records.records[0].line == HEAD.count("\n") + 4
    assert records.records[0].size == 48


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ("a:int (count); b:long (integer);", 'would stand at offset 44, 4 bytes before its alignment; write "pad1:[ubyte:4] (pad);"'),
        ("a:int (count);", 'ends at offset 44, 4 bytes before its alignment; write "pad1:[ubyte:4] (pad);" at its end'),
        ("a:bool; b:[ubyte:6] (pad);", 'ends at offset 47, 1 bytes before its alignment; write "pad1:ubyte (pad);" at its end'),
        ("a:string (id);", '"a": type "string" has no fixed size; allowed: bool, byte, ubyte,'),
        ("a:double (price);", '"a": type "double" has no fixed size'),
        ("a:[long] (price);", '"a": a vector has no fixed size; write [long:N]'),
        ("a:[long:0] (price);", '"a": an array of 0; allowed: 1 to 65535'),
        ("a:[long:2] (time);", '"a": an array of time; allowed as arrays: price, qty, count, pad'),
        ("a:int (time);", '"time" on int; allowed: long'),
        ("a:long (prize);", 'unknown attribute "prize"; allowed: time, price, qty'),
        ("a:long;", '"a": nothing says what it means; write one of (time) (price)'),
        ("a:long (time, price);", '"a": "time" and "price" at once'),
        ("a:long (time) = 3;", '";" is missing behind "a"; found "="'),
        ("a:long = 3 (time);", '"a" has a default; members of a struct have none'),
        ("a:long (time) b:long (time);", '";" is missing behind "a"; found "b"'),
        ("a long (time);", '":" is missing behind "a"; found "long"'),
        ("a:Kind (count); pad1:[ubyte:7] (pad);", '"count" on a Kind; a Kind says by itself what it means'),
        ("a:[Kind:8];", '"a": an array of Kind'),
        ("a:long (time); a:long (time);", '"a" is given twice; rename one'),
        ("pad1:[ubyte:8] (pad, needed);", 'a pad is zero and comes from nowhere; remove "needed"'),
        ("a:long (time); %", '"%" cannot stand in a schema; remove it'),
    ],
)
def test_wrong_members(members: str, says: str) -> None:
    found = wrong(members)
    assert len(found) == 1, found
    line = AT - COMMON.count("\n") if "ends at offset" in says else AT
    assert found[0].startswith(f"r.fbs:{line}: "), found
    assert says in found[0]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("table T { a:int; }\n", 6, '"table" is not built yet; allowed: namespace, attribute, enum, struct'),
        ("union U { A, B }\n", 6, '"union" is not built yet'),
        ('include "x.fbs";\n', 6, '"include" is not built yet'),
        ("root_type Rec;\n", 6, '"root_type" is not built yet'),
        ("strukt X { a:int; }\n", 6, 'unknown declaration "strukt"; allowed: namespace, attribute, enum, struct'),
        ("{ }\n", 6, '"{" cannot stand here'),
        ("enum E : int { A }\n", 6, 'enum E: type "int"; allowed: ubyte, ushort, uint, ulong'),
        ("enum E : ubyte { A,\n A }\n", 7, "E.A is given twice"),
        ("enum E : ubyte { A = 256 }\n", 6, "E.A = 256: a value of ubyte is 0 to 255"),
        ("enum E : ubyte (bit_flags) { A = 8 }\n", 6, "E.A = 8: a bit position of ubyte is 0 to 7"),
        ("enum E : ubyte { A = 5, B = 5 }\n", 6, "E.B = 5: values rise; write a number above 5"),
        ("enum E : ubyte { }\n", 6, "enum E has no values"),
        ("enum E : ubyte (flags) { A }\n", 6, 'enum E: unknown attribute "flags"; allowed: bit_flags'),
        ("enum Kind : ubyte { A }\n", 6, '"Kind" is declared twice'),
        ("enum E { A }\n", 6, '":" is missing behind enum E'),
    ],
)
def test_wrong_declarations(text: str, line: int, says: str) -> None:
    found = refused(f"{HEAD}{text}{COMMON}}}\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"r.fbs:{line}: "), found
    assert says in found[0]


def test_records_begin_alike() -> None:
    swapped = COMMON.replace("source:ushort (index); flags:ushort (flags);", "flags:ushort (flags); source:ushort (index);")
    found = refused(f"{HEAD}{swapped}}}\n")
    says = 'struct Rec: "flags:ushort (flags)" stands where all records have "source:ushort (index);"; all records begin alike'
    assert found == [f"r.fbs:7: {says}"]
    found = refused(f"{HEAD}struct Rec {{ instrument:uint (index); }}\n")
    assert found == ['r.fbs:6: struct Rec ends before member 2 of those all records begin with; write "source:ushort (index);"']


def test_flag_enum_is_needed() -> None:
    found = refused(HEAD.replace("enum Flag : ushort (bit_flags) { GAP, RESET }", "") + COMMON + "}\n")
    assert found == ['r.fbs:1: the flags of records need "enum Flag : ushort (bit_flags)"']


def test_an_attribute_must_be_declared() -> None:
    found = refused((HEAD + COMMON + "a:long (price);\n}\n").replace('attribute "price"; ', ""))
    assert found == [f'r.fbs:{AT}: struct Rec: "a": attribute "price" is not declared; write attribute "price"; at the top']


def test_all_findings_at_once_in_order() -> None:
    found = wrong("a:lang (time);\nb:long (tame);\nc:long (price\n;\nd:long (qty);")
    assert [f.split(": ")[0] for f in found] == [f"r.fbs:{AT}", f"r.fbs:{AT + 1}", f"r.fbs:{AT + 2}"], found


def test_unclosed_struct() -> None:
    found = refused(HEAD + COMMON)
    assert any('"}" is missing' in f for f in found)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FindingsError, match=r"none\.fbs:1: cannot be read: No such file"):
        fbs.load(tmp_path / "none.fbs")
    (tmp_path / "latin.fbs").write_bytes(b"// \xe4\n")
    with pytest.raises(FindingsError, match=r"latin\.fbs:1: is not UTF-8: byte 3"):
        fbs.load(tmp_path / "latin.fbs")


SCHEMA_TEXT = (places.schema() / "records.fbs").read_text(encoding="utf-8")
PIECES = st.sampled_from(["{", "}", "(", ")", "[", "]", ":", ";", ",", "=", "struct", "enum", "long", "///", "/*", "9", '"', "\n", "é", ""])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SCHEMA_TEXT)), st.integers(0, 80), PIECES)
def test_any_damage_is_either_harmless_or_found(at: int, size: int, piece: str) -> None:
    """Whatever is cut out or put in: records without holes, or findings with a line of the file; never another exception."""
    text = SCHEMA_TEXT[:at] + piece + SCHEMA_TEXT[at + size :]
    try:
        found: ir.Records | FindingsError = fbs.parse(text, "r.fbs")
    except FindingsError as error:
        found = error
    if isinstance(found, FindingsError):
        assert found.findings
        assert all(1 <= f.line <= text.count("\n") + 1 and f.file == "r.fbs" for f in found.findings)
        return
    for record in found.records:
        assert [f.offset for f in record.fields] == [sum(f.size for f in record.fields[:i]) for i in range(len(record.fields))]
        assert record.size == sum(f.size for f in record.fields)
        assert record.size % 8 == 0
