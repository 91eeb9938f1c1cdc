"""When a link may take over from another, by a virtual clock: proven, or given time enough, and after both have gone on together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from k4.connection import OVERLAP_S, PROVEN_S, Connection
from k4.link import State
from tests import logs, virtual

STEP_S = 0.02  # as often it is looked at
BOOK = frozenset({("depth5", "FOOBAR")})


@dataclass
class Wire:
    state: State = State.OPEN
    closed_at: float | None = None
    now: Callable[[], float] = lambda: 0.0
    lost: Any = None

    async def close(self) -> None:
        self.closed_at = self.now()


@dataclass
class Queue:
    next: str | None = None


@dataclass(eq=False)
class Life:
    """A link's life, as far as a hand-over goes."""

    asked: bool = True
    spoken: bool = True
    stale_books: frozenset[tuple[str, str]] = frozenset()
    link: Wire = field(default_factory=Wire)
    subscriptions: Queue = field(default_factory=Queue)


def play(patch: pytest.MonkeyPatch, old: Life, new: Life, then: dict[float, Callable[[], None]]) -> tuple[bool, float | None]:
    """What came of it, and after how many seconds the old link was closed. `then`: what happens when."""
    loop = virtual.Loop()
    begun = loop.time()
    patch.setattr("k4.connection.time", loop.clock())
    old.link.now = lambda: loop.time() - begun

    async def main() -> bool:
        connection = Connection.__new__(Connection)
        connection._stopped = loop.create_future()
        connection._log = logs.logger()
        gone: list[Any] = []
        patch.setattr(connection, "_retire", gone.append, raising=False)
        patch.setattr(connection, "_lost", gone.append, raising=False)
        for after, what in then.items():
            loop.call_later(after, what)
        done = await connection._handed_over(old, new)  # type: ignore[arg-type]
        assert gone == [old if done else new]
        return done

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main()), old.link.closed_at


def near(seconds: float) -> object:
    return pytest.approx(seconds, abs=2 * STEP_S)


def test_a_proven_link_and_the_old_one_go_on_together_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(monkeypatch, Life(), Life(), {}) == (True, near(OVERLAP_S))


@pytest.mark.parametrize("lacks", ["asked", "spoken"])
def test_a_link_is_proven_when_all_is_answered_and_something_has_come(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Life()
    setattr(new, lacks, False)
    assert play(monkeypatch, Life(), new, {2.0: lambda: setattr(new, lacks, True)}) == (True, near(2.0 + OVERLAP_S))


def test_a_link_with_worse_books_takes_over_when_they_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Life(stale_books=BOOK)
    assert play(monkeypatch, Life(), new, {3.0: lambda: setattr(new, "stale_books", frozenset())}) == (True, near(3.0 + OVERLAP_S))
    assert play(monkeypatch, Life(stale_books=BOOK), Life(stale_books=BOOK), {}) == (True, near(OVERLAP_S))


def test_a_link_that_proves_nothing_takes_over_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time begins once it has asked for everything, which the venue's limits may make long."""
    new = Life(spoken=False, subscriptions=Queue("more to ask for"))
    found = play(monkeypatch, Life(), new, {60.0: lambda: setattr(new.subscriptions, "next", None)})
    assert found == (True, near(60.0 + PROVEN_S + OVERLAP_S))


def test_a_new_link_that_is_lost_leaves_the_old_one_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Life()
    assert play(monkeypatch, Life(), new, {0.3: lambda: setattr(new.link, "state", State.LOST)}) == (False, None)


def test_an_old_link_that_is_lost_meanwhile_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Life()
    assert play(monkeypatch, old, Life(spoken=False), {0.3: lambda: setattr(old.link, "state", State.LOST)}) == (True, near(0.3))
