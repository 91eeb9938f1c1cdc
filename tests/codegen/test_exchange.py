# ruff: noqa: Q003  cases are findings and TOML as they are written, one a line
"""Reading a spec: the IR that the worked example becomes, and what is said of a file of the wrong shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from k4._codegen import exchange, ir
from k4._codegen.errors import Finding, FindingsError

from .specs import NOVA, RECORDS, broken, findings, load

PERP_URL = '[product.perp]\nurl  = "wss://feed.nova.example/$path"\n'


def test_worked_example_becomes_ir() -> None:
    nova = exchange.load(NOVA, RECORDS)
    assert nova.name == "nova"
    assert [(product.name, product.vars, product.line) for product in nova.products] == [
        ("spot", (("market", "SPOT"), ("qty_unit", "base")), 2),
        ("perp", (("market", "PERP"), ("qty_unit", "contract")), 5),
    ]
    session = nova.products[0].session
    assert session.limits == ir.Limits(25.0, 43200.0, 100, 10, 2048, ((4, 1.0), (200, 3600.0)), ((30, 60.0),))
    assert session.ping is not None
    assert (session.ping.every_s, session.ping.line) == (15.0, 11)
    assert [(message.records, message.line) for message in nova.messages] == [
        (("bbo",), 13),
        (("trade",), 30),
        (("depth5",), 50),
        (("instrument",), 63),
        (("ack",), 72),
        (("error",), 77),
        (("pong",), 82),
        (("ping",), 86),
    ]
    trade = nova.messages[1]
    assert trade.products == ("spot", "perp")
    assert trade.each == (ir.Path(False, (ir.Key("d"), ir.Members("symbol"), ir.Every(True)), False, "d.$symbol[-*]"),)
    assert trade.match[2].patterns == (ir.Text((), ""), ir.Text((ir.Lit("plain"),), "plain"), ir.Text((ir.Lit("block"),), "block"))
    sources = {field.name: field.source for field in trade.fields}
    size = ir.Path(True, (ir.Key("sz"),), False, "@.sz")
    assert sources["qty"] == ir.FromPath(size, "abs")
    assert sources["buyer_is_maker"] == ir.FromPath(size, "negative")
    kind = ir.Path(True, (ir.Key("class"),), True, "@.class?")
    assert sources["kind"] == ir.FromMap(kind, (("plain", "market"), ("block", "block")), None)
    reset = nova.messages[0].field("reset")
    assert reset is not None
    seq = ir.Path(False, (ir.Key("d"), ir.Key("seq")), False, "d.seq")
    assert reset.source == ir.FromMap(seq, (("1", True),), (False,))
    assert trade.examples[0].expect[0][:3] == (("symbol", "QUXZOT"), ("trade_id", 61), ("price", "20.50"))
    assert (trade.examples[0].product, trade.examples[0].line) == ("spot", 45)
    hash(nova)


def test_sources_of_every_form(tmp_path: Path) -> None:
    text = NOVA.read_text().replace(
        'price_step = "@.rules[type=PRICE].step"', 'price_step = ["@.nope?", "@.rules[type=PRICE].step"], settle = "="'
    )
    nova = load(text, tmp_path, "nova.toml")
    fields = {field.name: field.source for field in nova.messages[3].fields}
    step = ir.Path(True, (ir.Key("rules"), ir.Find("type", "PRICE"), ir.Key("step")), False, "@.rules[type=PRICE].step")
    nope = ir.Path(True, (ir.Key("nope"),), True, "@.nope?")
    assert fields["price_step"] == ir.FromFirst((ir.FromPath(nope, None), ir.FromPath(step, None)))
    assert fields["settle"] == ir.FromText("")
    assert fields["qty_unit"] == ir.FromName("qty_unit")


def test_what_a_stream_and_a_fetch_are_limited_to(tmp_path: Path) -> None:
    text = NOVA.read_text().replace('connects = "30/60s"', 'connects = "30/60s", subscribes = "9/60s", weight = ["50/1s", "600/60s"]')
    text = text.replace('channel = "top.${', 'silence_s = 2.5\nchannel = "top.${').replace(
        'record = "instrument"', 'record = "instrument"\nweight = 40'
    )
    nova = load(text, tmp_path, "nova.toml")
    limits = nova.products[1].session.limits
    assert (limits.subscribes, limits.weight) == (((9, 60.0),), ((50, 1.0), (600, 60.0)))
    assert [(message.record, message.silence_s, message.weight) for message in nova.messages[:4]] == [
        ("bbo", 2.5, 1),
        ("trade", None, 1),
        ("depth5", None, 1),
        ("instrument", None, 40),
    ]


def test_a_product_overrides_the_session(tmp_path: Path) -> None:
    own = 'limits = { streams = 7 }\nping = { send = \'{"op":"ping"}\' }\n'
    nova = load(NOVA.read_text().replace(PERP_URL, PERP_URL + own), tmp_path, "nova.toml")
    spot, perp = nova.products
    assert perp.session.limits == ir.Limits(streams=7)
    assert perp.session.ping is not None
    assert perp.session.ping.every_s is None
    assert perp.session.subscribe == spot.session.subscribe
    assert spot.session.limits.streams == 100


def test_findings_are_sorted_and_told_once() -> None:
    error = FindingsError([Finding("b", 2, "x"), Finding("b", 1, "y"), Finding("a", 9, "z"), Finding("b", 2, "x")])
    assert str(error) == "a:9: z\nb:1: y\nb:2: x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "nova"\n\nx ==\n', "nova.toml:3: not TOML: "),
        ('name = "nova"\nname = "nova"\n', "nova.toml:2: not TOML: "),
        ('name = """nova\n', "nova.toml:1: not TOML: "),
    ],
)
def test_no_toml(text: str, expected: str, tmp_path: Path) -> None:
    found = findings(text, tmp_path)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "nova.toml"
    path.write_bytes(b'name = "nova"\n# \xff\n')
    with pytest.raises(FindingsError, match=r"nova.toml:2: byte 0xff is not UTF-8"):
        exchange.load(path, RECORDS)


def test_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "nova.toml"
    path.write_bytes(NOVA.read_bytes().replace(b"\n", b"\r\n").replace(b"bid_qty   =", b"bid_qtx   ="))
    _, found = exchange.read(path, RECORDS)
    assert [(finding.line, finding.message) for finding in found] == [
        (23, 'message "bbo": unknown field "bid_qtx"; did you mean "bid_qty"?')
    ]


def test_an_empty_spec(tmp_path: Path) -> None:
    assert findings("", tmp_path) == [
        'nova.toml:1: name is missing; write name = "…"',
        "nova.toml:1: no product; write [product.NAME] with a url",
        "nova.toml:1: no message; write [[message]] with a record",
    ]


BBO = '\nrecord  = "bbo"\n'
SHAPES = [
    ('name = "nova"', 'name = "nova"\nfoo = 1', 2, 'unknown key "foo"; write one of name product session message'),
    ('name = "nova"', 'name = "supernova"', 1, 'name = "supernova" must equal the file name; write name = "nova" or call the file supernova.toml'),
    ('name = "nova"', "name = 5", 1, 'name must be a text, not a whole number; write it like name = "…"'),
    ("[product.perp]", "[product.Perp]", 5, 'product "Perp": a product\'s name is lower-case letters, digits, - and _, and begins with a letter'),
    (PERP_URL, "[product.perp]\n", 5, 'product "perp": url is missing; write url = "…"'),
    (PERP_URL, PERP_URL + "sesion = 1\n", 7, 'product "perp": unknown key "sesion"; write one of url sbe vars subscribe unsubscribe ping limits encoding'),
    ('market = "PERP"', "market = 4", 7, 'product "perp": vars: market must be a text, not a whole number; write it in quotes'),
    ('market = "PERP"', 'market = "PERP", id = "x"', 7, 'product "perp": vars: "id" has a meaning of its own; choose another name'),
    ('market = "PERP"', 'market = "PERP", "a b" = "x"', 7, 'product "perp": vars: "a b" is no name; names are letters, digits and _'),
    ("[session]", "[session]\nencoding = 'zip'", 9, 'session: encoding = "zip" is not known; write one of gzip deflate'),
    ("subscribe   = { send", "subscribe   = { sent", 9, 'session, subscribe: unknown key "sent"; did you mean "send"?'),
    ("every_s = 15", "every_s = '15'", 11, "session, ping: every_s must be a number of seconds, not a text; write it like every_s = 20"),
    ("every_s = 15", "every_s = 0", 11, "session, ping: every_s = 0: must be a number of seconds above 0"),
    ("streams = 100", "streams = 0", 12, "session, limits: streams = 0: must be 1 or more; leave it out for no limit"),
    ("streams = 100", "stream = 100", 12, 'session, limits: unknown limit "stream"; did you mean "streams"?'),
    ('"4/1s"', '"4 per s"', 12, 'session, limits: requests = "4 per s": a rate is COUNT/SECONDSs; write it like "5/1s" or "300/3600s"'),
    ('"30/60s"', '"30/0s"', 12, 'session, limits: connects = "30/0s": a rate is COUNT/SECONDSs; write it like "5/1s" or "300/3600s"'),
    ('"30/60s"', "30", 12, "session, limits: connects must be a text or a list of texts, not a whole number"),
    (BBO, '\nrecord  = "bob"\n', 14, 'message "bob": unknown record "bob"; did you mean "bbo"?'),
    (BBO, '\nrecord  = "bbo"\nproduct = ["spot", "prep"]\n', 15, 'message "bbo": unknown product "prep"; did you mean "perp"?'),
    (BBO, "\nrecrod  = 'bbo'\n", 14, 'message: unknown key "recrod"; did you mean "record"?'),
    (BBO, "\n", 13, 'message: record is missing; write record = "…"'),
    ("topic = \"$channel\", mkt = \"$market\" }        #", "topic = \"$channel\", x.y = \"$market\" }        #", 17, 'message "bbo": match: a path with dots stands in quotes; write "x.y" = …'),
    ("mkt = \"$market\" }        #", "mkt = [] }        #", 17, 'message "bbo": match: "mkt" has an empty list of patterns; write at least one'),
    ("mkt = \"$market\" }        #", "mkt = \"${market\" }        #", 17, 'message "bbo": match "mkt": text "${market", column 1: this `${` is never closed'),
    ("mkt = \"$market\" }        #", "mkt = 2020-01-01 }        #", 17, 'message "bbo": match: "mkt" = a time; a pattern is a text, a number or a bool'),
    ('channel = "top.${symbol:lower}"', 'channel = "top.$"', 15, 'message "bbo": channel: text "top.$", column 5: a name must follow `$`, as in `$symbol` or `${symbol}`'),
    ('"d.$symbol[-*]"', '"d.$symbol[-x]"', 35, 'message "trade": each: path "d.$symbol[-x]", column 11: [-x] is none of [n] [-n] [*] [-*] [key=text]'),
    ('update_id = "d.seq"\n', "update_id = 5\n", 20, 'message "bbo": update_id is a whole number; a constant is written update_id = "=5"'),
    ('update_id = "d.seq"\n', "update_id = true\n", 20, 'message "bbo": update_id is true or false; a constant is written update_id = "=true"'),
    ('update_id = "d.seq"\n', "update_id = []\n", 20, 'message "bbo": update_id: an empty list; write the sources to try, first one first'),
    ('update_id = "d.seq"\n', 'update_id = [["d.seq"]]\n', 20, 'message "bbo": update_id is a list; lists cannot be nested'),
    ('update_id = "d.seq"\n', 'update_id = "$a.b"\n', 20, 'message "bbo": update_id = "$a.b": a source is one name as it is; write update_id = "$name"'),
    ('update_id = "d.seq"\n', 'update_id = { "d.seq" = 5 }\n', 20, 'message "bbo": update_id = { "d.seq" = a whole number }: right of a path stands a word or a map'),
    ('{ "t" = "ms" }', '{ "t" = "ms", "u" = "s" }', 26, 'message "bbo": event_ns = { … } holds 2 paths; write one path and how to read it, as in { "a.b" = "ms" }'),
    ("[[message.example]]\nwire   = '''{\"topic\":\"top", "[[message.example]]\nwyre   = '''{\"topic\":\"top", 28, 'message "bbo", example 1: unknown key "wyre"; did you mean "wire"?'),
    ("[[message.example]]\nwire   = '''{\"topic\":\"top", "[[message.example]]\nproduct = 'x'\nwire   = '''{\"topic\":\"top", 28, "message \"bbo\", example 1: product = \"x\" is none of the message's; write one of spot perp"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message"), SHAPES)
def test_wrong_shape(old: str, new: str, line: int, message: str, tmp_path: Path) -> None:
    assert f"nova.toml:{line}: {message}" in broken(tmp_path, (old, new))
