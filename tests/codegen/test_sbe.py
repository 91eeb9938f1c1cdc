"""The SBE schema reader: layouts worked out by hand, and every refusal with its line; then what a spec may say of a schema."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k4._codegen import exchange, ir, sbe
from tests.codegen.specs import RECORDS

ROOT = Path(__file__).resolve().parents[2]
YARD = ROOT / "tests/cases/sbe/yard.xml"
SPEC = YARD.with_suffix(".toml")


@pytest.fixture(scope="module")
def yard() -> ir.SbeSchema:
    return sbe.load(YARD)


def test_the_header_and_the_version(yard: ir.SbeSchema) -> None:
    assert (yard.name, yard.id, yard.version, yard.big_endian, yard.header) == ("yard", 700, 2, True, 12)
    assert (yard.acting, yard.template) == (ir.SbeSize("uint8", 0), ir.SbeSize("uint8", 1))
    assert (yard.schema, yard.block) == (ir.SbeSize("uint16", 2), ir.SbeSize("uint32", 8))


def test_places_of_fields(yard: ir.SbeSchema) -> None:
    """Offsets, holes, nested composites, choices of a set, constants that take no room."""
    quote = yard.message("Quote")
    assert quote is not None
    assert [(f.name, f.offset) for f in quote.body.fields if "." not in f.name] == [
        ("name", 0), ("bid", 10), ("ask", 18), ("bidSize", 26), ("askSize", 31), ("seq", 36), ("orders", 40), ("at", 48),
    ]  # fmt: skip
    assert (quote.body.lengths, quote.body.block_length) == (((0, 40), (1, 48), (2, 56)), 64)
    assert quote.body.field("bid") == ir.SbeField("bid", "int64", 10, exponent=-4, line=quote.body.fields[1].line)
    size = quote.body.field("bidSize")
    assert size is not None
    assert (size.primitive, size.exponent, size.null) == ("int32", "bidSize.exponent", -(1 << 31))
    total = yard.message("Sum")
    assert total is not None
    named = {f.name: f for f in total.body.fields}
    assert (named["box.deep.inner.pad"].offset, named["box.deep.inner.size"].offset, named["box.deep.inner.side"].offset) == (3, 4, 9)
    assert (named["box.marks"].offset, named["box.marks.anew"].bit, named["box.marks.late"].bit) == (11, 11, 0)
    assert (named["last"].null, named["kindOf"].constant, named["names"].offset) == (-7, 500, 34)
    assert (named["names"].length, named["names"].text, named["box.deep.inner.own"].null) == (8, True, 255)
    assert yard.enum(named["kindOf"].enum or "").values == (("Lit", -3), ("Dark", 500))


def test_groups_and_data(yard: ir.SbeSchema) -> None:
    deals = yard.message("Deals")
    assert deals is not None
    venues = deals.body.group("venues")
    assert venues is not None
    assert (venues.header, venues.count, venues.block) == (20, ir.SbeSize("uint64", 0), ir.SbeSize("uint64", 12))
    fills = venues.body.group("fills")
    assert fills is not None
    assert (fills.header, fills.body.lengths, fills.body.data[0].header) == (2, ((0, 19), (1, 21)), 4)
    assert [group.since for group in venues.body.groups] == [0, 2]
    assert (deals.body.data[0].since, deals.body.data[0].length) == (1, ir.SbeSize("uint16", 0))


HEAD = """<messageSchema package="p" id="1" version="0">
<types>
<composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint8"/>
<type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite>
<composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint16"/></composite>
"""


@pytest.mark.parametrize(
    ("types", "messages", "expected"),
    [
        ('<type name="a" primitiveType="int65"/>', "", ['6: type "a": primitiveType="int65" is not known; did you mean "int64"?']),
        ('<type name="a"/>', "", ['6: type "a": primitiveType is missing; write primitiveType="…"']),
        (
            '<enum name="e" encodingType="uint8"><validValue name="A">256</validValue></enum>',
            "",
            ['6: validValue "A": "256" is no uint8 (0 to 255)'],
        ),
        (
            '<enum name="e" encodingType="uint8"><validValue name="A">1</validValue><validValue name="B">1</validValue></enum>',
            "",
            ['6: validValue "B": its number is given before in enum "e"'],
        ),
        ('<set name="s" encodingType="uint8"><choice name="A">8</choice></set>', "", ['6: choice "A": "8" is no bit of uint8 (0 to 7)']),
        (
            '<composite name="c"><type name="x" primitiveType="int64"/><type name="y" primitiveType="int8" offset="7"/></composite>',
            "",
            ['6: type "y": offset="7": what stands before it in composite "c" ends at 8; write 8 or more'],
        ),
        ('<composite name="c"><ref name="x" type="c"/></composite>', "", ['6: composite "c": is part of itself']),
        ("", '<message name="M" id="256"/>', ['8: message "M": id="256" does not fit the templateId of messageHeader, a uint8']),
        (
            "",
            '<message name="M" id="1"><field name="a" type="int23"/>\n<field name="a" type="int8" sincVersion="1"/></message>',
            [
                '8: field "a": type "int23" is not known; did you mean "int32"?',
                '9: field "a": the name is given before in message "M"; give it another',
                '9: field "a": unknown attribute "sincVersion"; did you mean "sinceVersion"?',
            ],
        ),
        (
            "",
            '<message name="M" id="1" blockLength="3"><field name="a" type="int32"/></message>',
            ['8: message "M": blockLength="3": its fields end at 4; write 4 or more'],
        ),
        (
            "",
            '<message name="M" id="1"><group name="g"><field name="a" type="int8"/></group>\n<field name="b" type="int8"/></message>',
            ['9: field "b": stands behind a group; fields come first, then groups, then data'],
        ),
        (
            "",
            '<message name="M" id="1"><group name="g" dimensionType="nope"/>\n<data name="d" type="groupSizeEncoding"/></message>',
            [
                '8: group "g": needs a composite "nope" with blockLength and numInGroup',
                '5: composite "groupSizeEncoding": as part of "groupSizeEncoding", length must be there as one of uint8 uint16 uint32 uint64',
                '5: type "numInGroup": as type of data, "groupSizeEncoding" must end in varData of char or uint8',
            ],
        ),
        (
            "",
            '<message name="M" id="1"><field name="a" type="int64" xmlns:x="u" x:exponent="pow"/><field name="power" type="int8"/></message>',
            ['8: field "a": exponent="pow" is no integer field of it; did you mean "power"?'],
        ),
        (
            "",
            '<message name="M" id="1"><feild name="a"/></message>',
            ['8: feild "a": does not belong into message "M"; did you mean "field"?'],
        ),
        (
            '<enum name="e" encodingType="uint8"><validValue name="On">1</validValue></enum>',
            '<message name="M" id="1"><field name="a" type="e" presence="constant" valueRef="e.Off"/></message>',
            ['8: field "a": valueRef="e.Off" names no value of an enum; write one of On'],
        ),
        (
            "",
            '<message name="M" id="1"/><message name="N" id="1"/>',
            ['8: message "N": its id is given before, in line 8; give it another'],
        ),
    ],
)
def test_refusals(tmp_path: Path, types: str, messages: str, expected: list[str]) -> None:
    """Each names its line and its element, all of them at once."""
    file = tmp_path / "p.xml"
    file.write_text(f"{HEAD}{types}\n</types>\n{messages}</messageSchema>")
    _, findings = sbe.read(file)
    assert sorted(str(finding).removeprefix(f"{file}:") for finding in findings) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<a", "1: not XML: unclosed token, at column 1"),
        ("<types/>", "1: types: is no SBE schema; its root is messageSchema"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<messageSchema/>', "1: an entity is declared; a schema needs none, and none is read"),
        ("<a>" * 40 + "</a>" * 40, "1: elements stand deeper than 32 inside each other"),
    ],
)
def test_no_schema(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p.xml"
    file.write_text(text)
    schema, findings = sbe.read(file)
    assert schema is None
    assert [str(finding) for finding in findings] == [f"{file}:{says}"]


def test_included_types(tmp_path: Path) -> None:
    """A file beside it may bring types; what is wrong there is told there."""
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{}"/>'
    (tmp_path / "common.xml").write_text('<types>\n<type name="a" primitiveType="int9"/></types>')
    (tmp_path / "p.xml").write_text(
        f'{HEAD}</types>{include.format("common.xml")}<message name="M" id="1"><field name="x" type="a"/></message></messageSchema>'
    )
    assert [str(one) for one in sbe.read(tmp_path / "p.xml")[1]] == [
        f'{tmp_path}/common.xml:2: type "a": primitiveType="int9" is not known; did you mean "int8"?'
    ]
    (tmp_path / "q.xml").write_text(f"{HEAD}</types>{include.format('../common.xml')}{include.format('q.xml')}</messageSchema>")
    assert [str(one).removeprefix(f"{tmp_path}/q.xml:6: include: ") for one in sbe.read(tmp_path / "q.xml")[1]] == [
        'href="../common.xml": must be the name of a file beside this one',
        'href="q.xml": includes itself',
    ]


# --------------------------------------------------------------------------- specs


def broken(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """Findings of the yard's spec after each `old` was replaced by `new`."""
    shutil.copy(YARD, folder)
    text = SPEC.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file = folder / "yard.toml"
    file.write_text(text)
    return [str(found).removeprefix(f"{folder}/yard.toml:").partition(" ")[2] for found in exchange.read(file, RECORDS)[1]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('template = "Quote"', 'template = "Quota"'), ['message "bbo": template = "Quota" is not in yard; did you mean "Quote"?']),
        (('template = "Quote"', 'template = "Quote"\nmatch = { a = 1 }'), ['message "bbo": an SBE message is recognised by its template; take match out']),
        (('schema = "yard"', 'schema = "yart"'), ['schema = "yart": there is no yart.xml beside this file']),
        (('schema = "yard"', 'schema = "../yard"'), ['product "spot", sbe: schema = "../yard": a name of letters, digits, - and _, without folder and ending']),
        (('url = "wss://yard.example/sbe?of=$args"', 'url = "ws://yard.example/$lane"'), [
            'product "spot", sbe: url = "ws://yard.example/$lane": must begin with wss://',
            'product "spot", sbe: url: ${lane} is not known; known here: args',
        ]),
        (("{ X-Key =", "{ Host ="), ['product "spot", sbe: headers: "Host" is no header that can be added']),
        (('bid_price = "bid?"', 'bid_price = "bit?"'), [
            ('message "bbo": bid_price: "bit?": Quote has name, bid, bid.mantissa, bid.exponent, ask, ask.mantissa, ask.exponent, bidSize, bidSize.mantissa, '
            "bidSize.exponent, askSize, askSize.mantissa, askSize.exponent, seq, orders, at")
        ]),
        (('symbol    = "name"\nevent_ns', 'symbol    = "seq"\nevent_ns'), ['message "bbo": symbol: "seq" is uint32; a text is wanted']),
        (('"@.price"', '"@.note"'), ['message "trade": price: "note" is data of varying length; an integer is wanted']),
        (('"@.price"', '"@.prize"'), ['message "trade": price: "@.prize": fills has id, price, size, taker, sort, note']),
        (('"@.price"', '"venues[*].pricePower"'), ['message "trade": price = "venues[*].pricePower": one value is wanted, not every one; write [0], or put [*] into each']),
        (('{ Buy = false, "*" = true }', '{ Bye = false, "*" = true }'), ['message "trade": buyer_is_maker: "Bye" is not a value of it; did you mean "Buy"?']),
        (('each     = "venues[*].fills[*]"', 'each     = "venues[*].fill[*]"'), ['message "trade": "fill" is no group; venues has fills[*], none[*]']),
        (('"box.deep.inner.size"', '"box.deep"'), [
            ('message "aggtrade": qty: "box.deep": Sum has box.deep.inner.pad, box.deep.inner.size, box.deep.inner.size.mantissa, box.deep.inner.size.exponent, '
            "box.deep.inner.side, box.deep.inner.own, box.marks, box.marks.late, box.marks.anew, id, first, last, price, kindOf, names, ratio; "
            '"box.deep" is made of these, name one of them')
        ]),
        (('"box.deep.inner.size"', '"ratio"'), ['message "aggtrade": qty: "ratio" is double; an integer is wanted']),
        (('bid_qty   = "bids[*].size?"', 'bid_qty   = "asks[*].size?"'), ['message "bbo": bid_qty is in another group than bid_price; a level is one entry of one group']),
        (('record   = "control"', 'record   = "pong"'), ['message "pong": pong is not read from SBE; a message with a template gives market data, or is control or dropped']),
        (('wire = "00 05', 'wire = "0x 05'), ['message "control", example 1: wire of an SBE message is hex: two digits per byte, blanks between them at will']),
        (('wire = "00 05', 'wire = "00 04'), ['message "control", example 1: the frame is refused as a whole: malformed (byte 8)']),
    ],
)  # fmt: skip
def test_findings_of_specs(tmp_path: Path, change: tuple[str, str], expected: list[str]) -> None:
    assert broken(tmp_path, change) == expected


def test_a_template_needs_an_endpoint(tmp_path: Path) -> None:
    line = next(line for line in SPEC.read_text().splitlines() if line.startswith("sbe = "))
    found = broken(tmp_path, (line + "\n", ""))
    what = 'but product "spot" has no sbe; write sbe = { schema = "…", url = "…" } there'
    names = [("bbo", "Quote"), ("trade", "Deals"), ("aggtrade", "Sum"), ("bbo", "Ladder"), ("bbo", "Moves")]
    names += [("control", "Beat"), ("dropped", "Empty")]
    assert found == [f'message "{record}": template = "{template}", {what}' for record, template in names]
