"""Known names are put in their place per product; what is left is captured or filled in at run time."""

from __future__ import annotations

from pathlib import Path

import pytest

from k4._codegen import bind, exchange, fbs, ir
from k4._codegen.pathtext import parse_text

ROOT = Path(__file__).resolve().parents[2]
RECORDS = fbs.load(ROOT / "schema/records.fbs")


@pytest.fixture(scope="module")
def nova() -> ir.Exchange:
    return exchange.load(ROOT / "tests/cases/specs/nova.toml", RECORDS)


def patterns(message: ir.Message) -> dict[str, list[tuple[object, ...]]]:
    return {match.path.source: [pattern.parts for pattern in match.patterns] for match in message.match}


def test_names_differ_by_product(nova: ir.Exchange) -> None:
    spot, perp = bind.bind(nova, "spot"), bind.bind(nova, "perp")
    assert [message.record for message in spot] == ["bbo", "trade", "depth5", "instrument", "ack", "error", "pong", "ping"]
    assert patterns(spot[0]) == {"topic": [(ir.Lit("top."), ir.Ref("symbol", True))], "mkt": [(ir.Lit("SPOT"),)]}
    assert patterns(perp[0])["mkt"] == [(ir.Lit("PERP"),)]
    assert patterns(spot[1]) == {
        "topic": [(ir.Lit("trades"),)],
        "mkt": [(ir.Lit("SPOT"),)],
        "@.class": [(), (ir.Lit("plain"),), (ir.Lit("block"),)],
    }
    unit = [message.field("qty_unit") for message in (spot[3], perp[3])]
    assert [field.source if field else None for field in unit] == [ir.FromText("base"), ir.FromText("contract")]


def test_open_names_stay(nova: ir.Exchange) -> None:
    spot = bind.bind(nova, "spot")
    url = spot[3].url
    assert url is not None
    assert bind.names_in(url) == ("after",)
    assert bind.render(url, {}, unset="") == "https://api.nova.example/v1/markets?type=SPOT&after="
    assert patterns(spot[5])["why"] == [(ir.Lit("no such topic "), ir.Ref("channel", False)), (ir.Star(),)]
    assert patterns(spot[7]) == {"hb": [(ir.Ref("n", False),)]}


def test_addresses_and_requests(nova: ir.Exchange) -> None:
    product, message = nova.products[0], nova.messages[0]
    assert bind.render(bind.stream_url(product, message), {}) == "wss://feed.nova.example/fast"
    assert bind.render(bind.stream_url(product, nova.messages[1]), {}) == "wss://feed.nova.example/bulk"
    subscribe, bound = product.session.subscribe, bind.bind_message(message, product)
    assert subscribe is not None
    assert subscribe.arg is not None
    assert bound.channel is not None
    args = [bind.render(subscribe.arg, {"channel": bind.render(bound.channel, {"symbol": symbol})}) for symbol in ("QUX", "ZÄ")]
    assert args == ['"top.qux"', '"top.zÄ"']
    request = bind.render(subscribe.send, {"id": "7", "args": bind.request_args(args)})
    assert request == '{"op":"sub","id":7,"topics":["top.qux","top.zÄ"]}'
    assert bind.url_args(args) == "top.qux/top.zÄ"
    assert bind.url_args(['{"c":"x"}', '"a\\u0062"', '"broken', "plain"]) == '{"c":"x"}/ab/"broken/plain'


def test_lower_reaches_into_what_is_put_in() -> None:
    product = ir.Product("p", ir.Text((), ""), (("v", "AbÄ"), ("none", "")), ir.Session(None, None, None, ir.Limits(), None), 1)
    path = ir.Path(False, (ir.Key("x"),), False, "x")
    texts = [parse_text(source, pattern=True) for source in ("${v:lower}-$v", "${channel:lower}", "$none", "*$v*")]
    channel = parse_text("C.$symbol.*", pattern=False)
    message = ir.Message(("bbo",), ("p",), channel, (), (ir.Match(path, tuple(texts), 1),), (), (), None, None, None, (), 1)
    bound = bind.bind_message(message, product)
    assert [pattern.parts for pattern in bound.match[0].patterns] == [
        (ir.Lit("abÄ-AbÄ"),),
        (ir.Lit("c."), ir.Ref("symbol", True), ir.Lit(".*")),
        (),
        (ir.Star(), ir.Lit("AbÄ"), ir.Star()),
    ]


def test_message_vars_win_over_those_of_the_product() -> None:
    product = ir.Product("p", parse_text("$v/$w", False), (("v", "1"), ("w", "2")), ir.Session(None, None, None, ir.Limits(), None), 1)
    message = ir.Message(("bbo",), ("p",), None, (("v", "9"),), (), (), (), None, None, None, (), 1)
    assert bind.render(bind.stream_url(product, message), {}) == "9/2"


def test_unknown_names_are_errors(nova: ir.Exchange) -> None:
    with pytest.raises(KeyError):
        bind.bind(nova, "swap")
    with pytest.raises(KeyError):
        bind.render(parse_text("$nope", pattern=False), {})
