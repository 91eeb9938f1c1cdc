"""Requests of one link and the answers to them, without a link: what is sent in which order, and which streams an answer means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k4._codegen import bind, exchange, fbs, ir, places
from k4.session import Stream
from k4.subscription import Rejected, Subscriptions, symbols
from tests.test_session import product_of

SPECS = Path(__file__).resolve().parent / "cases" / "specs"


@pytest.fixture(scope="module")
def nova() -> ir.Exchange:
    return exchange.load(SPECS / "nova.toml", fbs.load(places.schema() / "records.fbs"))


def stream(channel: str, symbol: str | None = None) -> Stream:
    return Stream(channel, symbol, (0,), ("bbo",), ())


A, B, C = stream("a", "A"), stream("b", "B"), stream("c", "C")


def of(nova: ir.Exchange, **limits: Any) -> Subscriptions:
    """Nova's acks carry the id of the request and no stream."""
    return Subscriptions(product_of(nova, "spot", **limits), bind.bind(nova, "spot"))


def send(subscriptions: Subscriptions, now: float) -> list[str]:
    """Sends all that waits."""
    sent: list[str] = []
    while (request := subscriptions.next) is not None:
        sent.append(request.text)
        subscriptions.sent(now)
    return sent


@pytest.fixture
def asked(nova: ir.Exchange) -> Subscriptions:
    """Request 1 for A and B at 0 s, request 2 for C at 1 s."""
    made = of(nova)
    made.subscribe((A, B))
    assert [*made.open] == []
    assert send(made, 0.0) == ['{"op":"sub","id":1,"topics":["a","b"]}']
    made.subscribe((C,))
    assert send(made, 1.0) == ['{"op":"sub","id":2,"topics":["c"]}']
    assert [*made.open] == [A, B, C]
    return made


def test_an_ack_by_id_settles_the_request(asked: Subscriptions) -> None:
    assert asked.ack({"id": "1"}) == (A, B)
    assert [*asked.open] == [C]
    assert asked.ack({"id": "99"}) == ()
    assert asked.ack({"id": "2"}) == (C,)
    assert [*asked.open] == []


def test_an_ack_for_one_stream_leaves_the_others_open_and_late(asked: Subscriptions) -> None:
    assert asked.ack({"channel": "a"}) == (A,)
    assert asked.ack({"id": "1", "symbol": "B"}) == (B,)
    assert asked.overdue(9.9) == ()
    assert asked.overdue(11.0) == (C,)
    assert asked.overdue(99.0) == ()


def test_what_is_ended_without_an_answer_is_not_late(asked: Subscriptions) -> None:
    assert asked.overdue(11.0) == (A, B, C)
    asked.unsubscribe((C,))
    send(asked, 20.0)
    assert [*asked.open] == [A, B, C]
    assert asked.overdue(99.0) == ()


def test_errors_name_their_streams(asked: Subscriptions) -> None:
    assert asked.error({"text": "what?"}, 2.0) == Rejected((), (), "", "what?")
    assert asked.error({"id": "99", "text": "what?"}, 2.0) == Rejected((), (), "", "what?")
    assert asked.error({"id": "2", "code": "4", "text": "no"}, 2.0) == Rejected((C,), (), "4", "no")
    # Only one request waits: an error without an id can only mean that one.
    assert asked.error({"text": "no"}, 2.0) == Rejected((), (A, B), "", "no")
    assert [*asked.open] == []
    assert asked.refused == (C,)


def test_what_is_refused_with_a_bad_stream_is_asked_for_without_it(nova: ir.Exchange) -> None:
    made = of(nova)
    made.subscribe((A, B, C))
    send(made, 0.0)
    assert made.error({"channel": "b", "text": "unknown"}, 1.0) == Rejected((B,), (A, C), "", "unknown")
    assert send(made, 1.0) == ['{"op":"sub","id":2,"topics":["a","c"]}']
    assert made.ack({"id": "2"}) == (A, C)
    assert made.refused == (B,)


def test_where_acks_name_streams_an_error_concerns_what_it_names(nova: ir.Exchange) -> None:
    ack = next(message for message in bind.bind(nova, "spot") if message.record == "ack")
    naming = replace(ack, fields=(*ack.fields, replace(ack.fields[0], name="channel")))
    made = Subscriptions(product_of(nova, "spot"), (naming,))
    made.subscribe((A, B, C))
    send(made, 0.0)
    assert made.error({"id": "1", "channel": "b"}, 1.0) == Rejected((B,), (), "", "")
    assert [*made.open] == [A, C]
    assert made.ack({"channel": "a"}) == (A,)
    assert send(made, 1.0) == []


def test_a_request_refused_as_a_whole_is_asked_for_in_halves(nova: ir.Exchange) -> None:
    """A hundred streams, ten a request, three of them bad, against a venue that refuses all and does not say for what."""
    streams = tuple(stream(f"s{n}", f"S{n}") for n in range(100))
    bad = {"s3", "s4", "s77"}
    made = of(nova, args=10)
    made.subscribe(streams)
    good: set[str] = set()
    refused: list[Stream] = []
    requests = 0
    while (request := made.next) is not None:
        requests += 1
        assert len(request.streams) <= 10
        made.sent(0.0)
        asked = {s.channel for s in request.streams}
        if asked & bad:
            refused += made.error({"id": str(request.id)}, 0.0).streams
        else:
            good |= {s.channel for s in made.ack({"id": str(request.id)})}
    assert good == {s.channel for s in streams} - bad
    assert {s.channel for s in refused} == bad
    assert set(made.refused) == set(refused)
    assert requests == 22, "ten, and two for each of the six that are split"
    assert [*made.open] == []


def test_what_is_refused_is_asked_for_again_by_itself_with_growing_pauses(nova: ir.Exchange) -> None:
    made = of(nova)
    made.subscribe((A,))
    asked: list[int] = []
    for second in range(4 * 3600):
        made.tick(float(second))
        while (request := made.next) is not None:
            assert request.streams == (A,)
            made.sent(float(second))
            asked.append(second)
            made.error({"id": str(request.id)}, float(second))
    assert asked == [0, 60, 180, 420, 900, 1860, 3780, 7380, 10980]
    made.tick(20000.0)
    send(made, 20000.0)
    made.ack({"id": str(len(asked) + 1)})
    assert made.refused == (), "it is granted now"
    made.tick(99999.0)
    assert made.next is None


def test_what_was_unsubscribed_meanwhile_is_not_asked_for_again(asked: Subscriptions) -> None:
    asked.unsubscribe((A,))
    assert send(asked, 2.0) == ['{"op":"unsub","id":3,"topics":["a"]}']
    asked.error({"id": "1"}, 2.0)
    assert send(asked, 2.0) == ['{"op":"sub","id":4,"topics":["b"]}']
    asked.error({"id": "2"}, 3.0)
    asked.unsubscribe((C,))
    send(asked, 3.0)
    asked.tick(9999.0)
    assert asked.next is None


def test_a_stream_that_is_ended_and_asked_for_anew_is_answered_in_that_order(nova: ir.Exchange) -> None:
    """A venue that names streams and no ids: the first answer is that to `unsub`, so the stream is still open."""
    made = of(nova)
    made.unsubscribe((A,))
    made.subscribe((A, B))
    assert send(made, 0.0) == ['{"op":"unsub","id":1,"topics":["a"]}', '{"op":"sub","id":2,"topics":["a","b"]}']
    assert [*made.open] == [A, B]
    assert made.ack({"channel": "a"}) == (A,)
    assert [*made.open] == [A, B]
    assert made.ack({"channel": "a"}) == (A,)
    assert [*made.open] == [B]


def test_requests_are_numbered_with_probes(nova: ir.Exchange) -> None:
    made = of(nova, args=1)
    made.subscribe((A, B))
    assert made.number() == 3
    made.subscribe((C,))
    assert [text.split(",")[1] for text in send(made, 0.0)] == ['"id":1', '"id":2', '"id":4']


def test_long_lists_of_streams_are_cut() -> None:
    assert symbols([A, B]) == "A bbo, B bbo"
    assert symbols([stream("all"), A, B, C], most=2) == "all, A bbo and 2 more"
