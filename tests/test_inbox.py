"""Messages that are no market data wait to be read: in order, a slice of time at once, and never more than a bounded backlog."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from k4.inbox import BACKLOG_BYTES, BACKLOG_MESSAGES, READ_BYTES, READ_SLICE_NS, Inbox
from k4.link import Event, Link, State
from k4.venue import Reading, Venue
from tests import logs
from tests.logs import Lines


@dataclass
class Wire:
    """A link, as far as an inbox goes."""

    state: State = State.OPEN
    dropped: list[tuple[str, int]] = field(default_factory=list)

    def drop(self, reason: str, code: int) -> None:
        self.state = State.LOST
        self.dropped.append((reason, code))


class Spec:
    """Takes every frame, but for `?`."""

    def read(self, data: bytes) -> list[Reading]:
        return [] if data == b"?" else [cast("Reading", data)]


@dataclass
class Made:
    inbox: Inbox
    wire: Wire
    said: list[Any]

    def put(self, data: bytes, message: int = 0) -> None:
        self.inbox.put(Event(3, 0, message, 0, data))


def made() -> Made:
    wire, said = Wire(), list[Any]()
    return Made(Inbox(cast("Link", wire), cast("Venue", Spec()), logs.logger(), said.append), wire, said)


@pytest.fixture
def one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slice of time is over after one message."""
    ticks = iter(range(0, 1 << 60, READ_SLICE_NS))
    monkeypatch.setattr("k4.inbox.time.monotonic_ns", lambda: next(ticks))


FLOOD = ("the peer floods with messages that are no market data", 1008)


@pytest.mark.usefixtures("one_at_once")
def test_what_was_read_does_not_count_though_some_always_waits() -> None:
    async def run() -> Made:
        box = made()
        big = b"x" * READ_BYTES
        box.put(big)
        for _ in range(4 * BACKLOG_BYTES // READ_BYTES):
            box.put(big)
            await asyncio.sleep(0)
        assert len(box.said) >= 4 * BACKLOG_BYTES // READ_BYTES - 1
        return box

    assert asyncio.run(run()).wire.dropped == []


def test_a_backlog_has_bounds() -> None:
    async def run(count: int, size: int) -> tuple[list[tuple[str, int]], int]:
        box = made()
        for _ in range(count):
            box.put(b"x" * size)
        await asyncio.sleep(0.01)
        return box.wire.dropped, len(box.said)

    full = BACKLOG_BYTES // READ_BYTES
    assert asyncio.run(run(full, READ_BYTES))[0] == []
    assert asyncio.run(run(full + 1, READ_BYTES)) == ([FLOOD], 0)
    assert asyncio.run(run(BACKLOG_MESSAGES, 1))[0] == []
    assert asyncio.run(run(BACKLOG_MESSAGES + 1, 1)) == ([FLOOD], 0)


@pytest.mark.usefixtures("one_at_once")
def test_messages_are_read_in_order_until_the_link_is_lost(lines: Lines) -> None:
    async def run() -> Made:
        box = made()
        for data in (b"1", b"?", b"2", b"3"):
            box.put(data)
        box.put(b"no message of the spec", message=-1)
        box.put(b"x" * (READ_BYTES + 1))
        assert box.said == []  # not from within the call that brings it
        for _ in range(3):
            await asyncio.sleep(0)
        assert box.said == [b"1", b"2"]
        box.wire.state = State.LOST
        await asyncio.sleep(0.01)
        return box

    assert asyncio.run(run()).said == [b"1", b"2"]
    assert [line["event"] for line in lines] == [
        "the spec has no message for a frame",
        "a message that is no market data is too long to be read",
        "the spec has no message for a frame",
    ]
    assert [line["frame"] for line in lines] == ["no message of the spec", f"{'x' * 300}… ({READ_BYTES + 1} bytes)", "?"]
