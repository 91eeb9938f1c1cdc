"""What is said to venues: streams, URLs, requests, pings, in exact text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k4 import session
from k4._codegen import bind, exchange, fbs, ir, pathtext, places
from k4.session import Request, Stream

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def binance() -> ir.Exchange:
    return exchange.load(places.schema() / "exchange" / "binance.toml", fbs.load(places.schema() / "records.fbs"))


@pytest.fixture(scope="module")
def nova() -> ir.Exchange:
    return exchange.load(ROOT / "tests" / "cases" / "specs" / "nova.toml", fbs.load(places.schema() / "records.fbs"))


def product_of(found: ir.Exchange, name: str, *, url: str | None = None, **limits: Any) -> ir.Product:
    product = found.product(name)
    assert product is not None
    if limits:
        product = replace(product, session=replace(product.session, limits=replace(product.session.limits, **limits)))
    return product if url is None else replace(product, url=pathtext.parse_text(url, False))


def streams_of(found: ir.Exchange, product: str, records: list[str], symbols: list[str]) -> tuple[Stream, ...]:
    return session.streams(product_of(found, product), bind.bind(found, product), records, symbols)


def test_one_stream_per_channel_and_symbol(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo", "depth5"], ["FOOBAR", "BARBAZ"])
    assert [(s.channel, s.symbol, s.records) for s in wanted] == [
        ("foobar@bookTicker", "FOOBAR", ("bbo",)),
        ("barbaz@bookTicker", "BARBAZ", ("bbo",)),
        ("foobar@depth5@100ms", "FOOBAR", ("depth5",)),
        ("barbaz@depth5@100ms", "BARBAZ", ("depth5",)),
    ]


def test_a_symbol_that_stands_in_the_request_makes_streams_of_its_own() -> None:
    """The channel names no symbol; the request's argument does, or the URL."""
    records = fbs.load(places.schema() / "records.fbs")
    depot = exchange.load(ROOT / "tests" / "cases" / "sim" / "depot.toml", records)
    wanted = streams_of(depot, "perp", ["bbo", "depth5", "depth20"], ["FOO-BAR-PERP", "QUX-BAR-PERP"])
    assert [(s.channel, s.symbol, s.records) for s in wanted] == [
        ("top", "FOO-BAR-PERP", ("bbo",)),
        ("top", "QUX-BAR-PERP", ("bbo",)),
        ("book", "FOO-BAR-PERP", ("depth5", "depth20")),
        ("book", "QUX-BAR-PERP", ("depth5", "depth20")),
    ]
    product = product_of(depot, "perp")
    assert product.session.subscribe is not None
    (request,) = session.requests(product, product.session.subscribe, wanted[:2], 7)
    args = ",".join(f'{{"kind":"PERP","channel":"top","inst":"{symbol}"}}' for symbol in ("FOO-BAR-PERP", "QUX-BAR-PERP"))
    assert request.text == f'{{"id":"7","op":"subscribe","args":[{args}]}}'
    solo = exchange.load(ROOT / "tests" / "cases" / "specs" / "solo.toml", records)
    plans = session.plans(product_of(solo, "spot"), streams_of(solo, "spot", ["bbo"], ["AB", "CD"]))
    assert [(plan.url, plan.symbol) for plan in plans] == [("wss://solo.example/spot/AB", "AB"), ("wss://solo.example/spot/CD", "CD")]


def test_a_url_that_lists_streams_subscribes_by_itself(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo", "trade"], ["FOOBAR", "BARBAZ"])
    (plan,) = session.plans(product_of(binance, "spot"), wanted)
    assert plan.url == ("wss://stream.binance.com:9443/stream?streams=foobar@bookTicker/barbaz@bookTicker/foobar@trade/barbaz@trade")
    assert (plan.by_url, plan.by_message, plan.symbol) == (wanted, (), "")


def test_symbols_beyond_ascii_are_escaped_in_urls_and_not_in_requests(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo"], ['币安"X/&'])
    product = product_of(binance, "spot")
    (plan,) = session.plans(product, wanted)
    assert plan.url.endswith("?streams=%E5%B8%81%E5%AE%89%22x%2F%26@bookTicker")
    assert product.session.subscribe is not None
    (request,) = session.requests(product, product.session.subscribe, wanted, 1)
    assert request.text == '{"method":"SUBSCRIBE","params":["币安\\"x/&@bookTicker"],"id":1}'


def test_a_long_url_leaves_the_rest_to_messages(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo"], [f"SYMBOL{n:04}" for n in range(1000)])
    (plan,) = session.plans(product_of(binance, "spot"), wanted)
    assert len(plan.url) <= session.URL_BYTES < len(plan.url) + len("/symbol0000@bookTicker")
    assert plan.by_url + plan.by_message == wanted


def test_a_connection_carries_no_more_streams_than_the_venue_allows(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo"], [f"S{n}" for n in range(7)])
    plans = session.plans(product_of(binance, "spot", streams=3), wanted)
    assert [[s.symbol for s in plan.streams] for plan in plans] == [["S0", "S1", "S2"], ["S3", "S4", "S5"], ["S6"]]


def test_requests_hold_the_limits_of_the_venue(binance: ir.Exchange) -> None:
    wanted = streams_of(binance, "spot", ["bbo"], ["AA", "BB", "CC"])
    product = product_of(binance, "spot", args=2)
    subscribe, unsubscribe = product.session.subscribe, product.session.unsubscribe
    assert subscribe is not None
    assert unsubscribe is not None
    assert session.requests(product, subscribe, wanted, 7) == (
        Request(7, '{"method":"SUBSCRIBE","params":["aa@bookTicker","bb@bookTicker"],"id":7}', wanted[:2]),
        Request(8, '{"method":"SUBSCRIBE","params":["cc@bookTicker"],"id":8}', wanted[2:]),
    )
    assert [r.text for r in session.requests(product, unsubscribe, wanted[:1], 9)] == [
        '{"method":"UNSUBSCRIBE","params":["aa@bookTicker"],"id":9}'
    ]
    # 72 bytes hold two streams, 71 do not; one stream goes out even where the limit is smaller still.
    texts = session.requests(product_of(binance, "spot", bytes=72), subscribe, wanted, 7)
    assert [len(r.streams) for r in texts] == [2, 1]
    assert len(texts[0].text) == 72
    assert [len(r.streams) for r in session.requests(product_of(binance, "spot", bytes=71), subscribe, wanted, 7)] == [1, 1, 1]
    assert [len(r.streams) for r in session.requests(product_of(binance, "spot", bytes=5), subscribe, wanted, 7)] == [1, 1, 1]


def test_streams_whose_urls_differ_do_not_share_a_connection(nova: ir.Exchange) -> None:
    wanted = streams_of(nova, "spot", ["bbo", "trade", "depth5"], ["FOOBAR", "BARBAZ"])
    plans = session.plans(product_of(nova, "spot"), wanted)
    assert [(plan.url, [s.channel for s in plan.by_message], plan.by_url) for plan in plans] == [
        ("wss://feed.nova.example/fast", ["top.foobar", "top.barbaz"], ()),
        ("wss://feed.nova.example/bulk", ["trades", "book.foobar", "book.barbaz"], ()),
    ]
    product = product_of(nova, "spot")
    assert product.session.subscribe is not None
    (request,) = session.requests(product, product.session.subscribe, plans[1].by_message, 4)
    assert request.text == '{"op":"sub","id":4,"topics":["trades","book.foobar","book.barbaz"]}'
    assert [s.symbol for s in request.streams] == [None, "FOOBAR", "BARBAZ"]


def test_a_url_with_the_channel_carries_one_stream(nova: ir.Exchange) -> None:
    wanted = streams_of(nova, "spot", ["bbo", "depth5"], ["FOOBAR"])
    product = product_of(nova, "spot", url="wss://h/$path/$channel?m=$market&t=$token")
    plans = session.plans(product, wanted)
    assert [(plan.url, plan.symbol, len(plan.by_url), len(plan.by_message)) for plan in plans] == [
        ("wss://h/fast/top.foobar?m=SPOT&t=", "FOOBAR", 1, 0),
        ("wss://h/bulk/book.foobar?m=SPOT&t=", "FOOBAR", 1, 0),
    ]


def test_without_arg_every_stream_has_a_request_of_its_own(nova: ir.Exchange) -> None:
    product = product_of(nova, "spot")
    wanted = streams_of(nova, "spot", ["bbo"], ["FOOBAR", "BARBAZ"])
    request = ir.Request(send=pathtext.parse_text('{"sub":"$channel","of":"$symbol","n":$id}', False), arg=None, line=1)
    assert [r.text for r in session.requests(product, request, wanted, 1)] == [
        '{"sub":"top.foobar","of":"FOOBAR","n":1}',
        '{"sub":"top.barbaz","of":"BARBAZ","n":2}',
    ]


def test_without_subscribe_what_the_url_cannot_name_gets_another_connection(nova: ir.Exchange) -> None:
    product = product_of(nova, "spot", url="wss://h/$args")
    product = replace(product, session=replace(product.session, subscribe=None))
    wanted = streams_of(nova, "spot", ["bbo"], ["A" * 48 + str(n) for n in range(200)])
    plans = session.plans(product, wanted)
    assert [len(plan.by_message) for plan in plans] == [0, 0]
    assert plans[0].by_url + plans[1].by_url == wanted
    assert all(len(plan.url) <= session.URL_BYTES for plan in plans)


def test_what_a_link_is_asked_when_its_plan_changes(nova: ir.Exchange, binance: ir.Exchange) -> None:
    spot = product_of(nova, "spot")

    def plan(product: ir.Product, found: ir.Exchange, *wanted: str) -> session.Plan:
        return session.plans(product, streams_of(found, "spot", ["bbo"], list(wanted)))[0]

    def step(product: ir.Product, old: session.Plan, new: session.Plan) -> tuple[list[str | None], list[str | None]] | None:
        found = session.step(product, old, new)
        return None if found is None else ([s.symbol for s in found.new], [s.symbol for s in found.gone])

    ab, bc = plan(spot, nova, "A", "B"), plan(spot, nova, "B", "C")
    assert step(spot, ab, bc) == (["C"], ["A"])
    assert step(spot, ab, ab) == ([], [])
    silent = replace(spot, session=replace(spot.session, unsubscribe=None))
    assert step(silent, ab, bc) is None, "it has no word for what is gone"
    assert step(silent, ab, plan(spot, nova, "B", "A", "C")) == (["C"], [])
    listed = product_of(binance, "spot")
    assert step(listed, plan(listed, binance, "A", "B"), plan(listed, binance, "B", "C")) == (["C"], ["A"]), (
        "the URL lists them, messages change them"
    )
    assert (
        step(replace(listed, session=replace(listed.session, subscribe=None)), plan(listed, binance, "A"), plan(listed, binance, "A", "B"))
        is None
    )
    single = product_of(nova, "spot", url="wss://h/$path/$channel")
    assert step(single, plan(single, nova, "A"), plan(single, nova, "B")) is None, "the URL is for one stream"
    (trades,) = session.plans(spot, streams_of(nova, "spot", ["trade"], ["A"]))
    assert step(spot, ab, trades) is None, "another URL"


def test_how_long_a_stream_is_quiet_at_most(nova: ir.Exchange) -> None:
    messages = bind.bind(nova, "spot")
    assert session.silence_s(messages, "bbo") is None
    limited = tuple(replace(message, silence_s=4.0) if message.record == "bbo" else message for message in messages)
    assert (session.silence_s(limited, "bbo"), session.silence_s(limited, "trade")) == (4.0, None)
    quote = next(message for message in limited if message.record == "bbo")
    assert session.silence_s((*limited, replace(quote, silence_s=9.0)), "bbo") == 9.0
    assert session.silence_s((*limited, replace(quote, silence_s=None)), "bbo") is None, "one that may be quiet for longer"


def test_pings_and_answers(nova: ir.Exchange, binance: ir.Exchange) -> None:
    assert session.ping_text(product_of(nova, "spot"), number=1, now_ns=0) == '{"op":"ping"}'
    assert session.ping_text(product_of(binance, "spot"), number=1, now_ns=0) is None
    ping = next(message for message in bind.bind(nova, "spot") if message.record == "ping")
    assert session.answer(product_of(nova, "spot"), ping, {"n": "99"}, number=1, now_ns=0) == '{"hb":99}'
    pong = next(message for message in bind.bind(nova, "spot") if message.record == "pong")
    assert session.answer(product_of(nova, "spot"), pong, {}, number=1, now_ns=0) is None
    timed = replace(ping, send=pathtext.parse_text("$now_s $now_ms $id", False))
    assert session.answer(product_of(nova, "spot"), timed, {}, number=5, now_ns=1_700_000_000_123_456_789) == "1700000000 1700000000123 5"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://a.b:9443/stream?streams=x/y", "wss://127.0.0.1:1/stream?streams=x/y"),
        ("wss://a.b/ws", "wss://127.0.0.1:1/ws"),
        ("wss://a.b", "wss://127.0.0.1:1"),
        ("wss://a.b?q=/", "wss://127.0.0.1:1?q=/"),
    ],
)
def test_another_host_keeps_path_and_query(url: str, expected: str) -> None:
    assert session.replace_host(url, "wss://127.0.0.1:1") == expected


def test_levels_come_from_a_book_or_whole_and_not_by_both(binance: ir.Exchange) -> None:
    """SBE gives depth5 and depth20 on two channels, JSON each on one of its own."""
    product, messages = product_of(binance, "spot"), bind.bind(binance, "spot")
    for records in (["depth5"], ["depth20"], ["depth20", "depth5"]):
        (stream,) = session.streams(product, messages, records, ["FOOBAR"], "sbe")
        assert (stream.channel, set(stream.records)) == ("foobar@depth", set(records))
    whole = tuple(message for message in messages if message.field("snapshot") is None)
    (stream,) = session.streams(product, whole, ["depth5", "depth20"], ["FOOBAR"], "sbe")
    assert (stream.channel, set(stream.records)) == ("foobar@depth20", {"depth5", "depth20"})
    asked = session.streams(product, messages, ["depth5", "depth20"], ["FOOBAR"])
    assert [(stream.channel, stream.records) for stream in asked] == [
        ("foobar@depth5@100ms", ("depth5",)),
        ("foobar@depth@100ms", ("depth20",)),
    ]


def test_a_book_that_waits_for_its_snapshot_is_what_is_fetched_for(binance: ir.Exchange) -> None:
    messages = bind.bind(binance, "spot")
    for records, transports, fetched in (
        (["bbo", "trade", "depth5"], ["json"], False),  # JSON's five levels come whole
        (["depth20"], ["json"], True),
        (["bbo", "trade"], ["json", "sbe"], False),
        (["depth5"], ["json", "sbe"], True),
    ):
        assert session.fetches(messages, records, transports) is fetched, (records, transports)


def spread(product: ir.Product, wanted: tuple[Stream, ...], kept: dict[int, session.Plan]) -> dict[int, list[str | None]]:
    return {number: [s.symbol for s in plan.streams] for number, plan in session.spread(product, wanted, kept).items()}


def test_streams_stay_on_their_connections_and_new_ones_fill_gaps(binance: ir.Exchange) -> None:
    product = product_of(binance, "spot", streams=3)

    def wanted(*numbers: int) -> tuple[Stream, ...]:
        return streams_of(binance, "spot", ["bbo"], [f"S{n}" for n in numbers])

    kept = session.spread(product, wanted(*range(8)), {})
    assert {n: [s.symbol for s in plan.streams] for n, plan in kept.items()} == {
        0: ["S0", "S1", "S2"],
        1: ["S3", "S4", "S5"],
        2: ["S6", "S7"],
    }
    assert session.spread(product, wanted(*reversed(range(8))), kept) == kept, "in whatever order they are named"
    assert all(session.spread(product, wanted(*range(8)), kept)[n] is kept[n] for n in kept), "what is the same is not touched"
    gone = spread(product, wanted(0, 3, 4, 5, 6, 7, 8, 9, 10, 11), kept)
    assert gone == {0: ["S0", "S8", "S9"], 1: ["S3", "S4", "S5"], 2: ["S6", "S7", "S10"], 3: ["S11"]}
    fewer = session.spread(product, wanted(0, 7), kept)
    assert sorted(fewer) == [0, 2], "a connection without streams is none; the others keep their numbers"
    assert spread(product, wanted(0, 7, 20, 21, 22, 23, 24), fewer) == {0: ["S0", "S20", "S21"], 1: ["S24"], 2: ["S7", "S22", "S23"]}


def test_connections_of_different_urls_keep_to_their_streams(nova: ir.Exchange) -> None:
    product = product_of(nova, "spot", streams=2)
    kept = session.spread(product, streams_of(nova, "spot", ["bbo", "depth5"], ["A", "B", "C"]), {})
    assert {n: [s.channel for s in plan.streams] for n, plan in kept.items()} == {
        0: ["top.a", "top.b"],
        1: ["top.c"],
        2: ["book.a", "book.b"],
        3: ["book.c"],
    }
    more = session.spread(product, streams_of(nova, "spot", ["bbo", "depth5"], ["D", "B", "C", "A"]), kept)
    assert {n: [s.channel for s in plan.streams] for n, plan in more.items()} == {
        0: ["top.a", "top.b"],
        1: ["top.c", "top.d"],
        2: ["book.a", "book.b"],
        3: ["book.c", "book.d"],
    }


@pytest.mark.parametrize("url", ["wss://h/$path/$channel", "wss://h/$args"])
def test_connections_whose_url_alone_subscribes_are_spread_alike(nova: ir.Exchange, url: str) -> None:
    product = product_of(nova, "spot", url=url)
    product = replace(product, session=replace(product.session, subscribe=None))
    long = ["A" * 44 + f"{n:03}" for n in range(200)]
    kept = session.spread(product, streams_of(nova, "spot", ["bbo"], long), {})
    assert len(kept) == (200 if "channel" in url else 2)
    more = session.spread(product, streams_of(nova, "spot", ["bbo"], ["Z", *long[:5], *long[6:]]), kept)
    (changed,) = [n for n in more if n not in kept or more[n] is not kept[n]]
    assert [s.symbol for s in more[changed].streams][-1] == "Z", "in the place of the one that went"
    assert all(not plan.by_message and len(plan.url) <= session.URL_BYTES for plan in more.values())
