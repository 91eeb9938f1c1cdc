"""Requests of one link and the answers to them, without a link: what is sent in which order, and which streams an answer means."""

from __future__ import annotations

from pathlib import Path

import pytest

from k4._codegen import exchange, fbs, ir, places
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
    made = Subscriptions(product_of(nova, "spot"))
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


def test_errors_name_their_streams(asked: Subscriptions) -> None:
    assert asked.error({"text": "what?"}) == Rejected((), "", "what?")
    assert asked.error({"channel": "b", "code": "4", "text": "no"}) == Rejected((B,), "4", "no")
    assert asked.error({"id": "1"}) == Rejected((A,), "", "")
    # Only one request waits: an error without an id can only mean that one.
    assert asked.error({"text": "no"}) == Rejected((C,), "", "no")
    assert [*asked.open] == []


def test_a_stream_that_is_ended_and_asked_for_anew_is_answered_in_that_order(nova: ir.Exchange) -> None:
    """A venue that names streams and no ids: the first answer is that to `unsub`, so the stream is still open."""
    made = Subscriptions(product_of(nova, "spot"))
    made.unsubscribe((A,))
    made.subscribe((A, B))
    assert send(made, 0.0) == ['{"op":"unsub","id":1,"topics":["a"]}', '{"op":"sub","id":2,"topics":["a","b"]}']
    assert [*made.open] == [A, B]
    assert made.ack({"channel": "a"}) == (A,)
    assert [*made.open] == [A, B]
    assert made.ack({"channel": "a"}) == (A,)
    assert [*made.open] == [B]


def test_requests_are_numbered_with_probes(nova: ir.Exchange) -> None:
    made = Subscriptions(product_of(nova, "spot", args=1))
    made.subscribe((A, B))
    assert made.number() == 3
    made.subscribe((C,))
    assert [text.split(",")[1] for text in send(made, 0.0)] == ['"id":1', '"id":2', '"id":4']


def test_long_lists_of_streams_are_cut() -> None:
    assert symbols([A, B]) == "A bbo, B bbo"
    assert symbols([stream("all"), A, B, C], most=2) == "all, A bbo and 2 more"
