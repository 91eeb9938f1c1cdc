"""What is asked of the simulator, and of which product: a part of a request, or what a URL subscribes by itself.

Imports `desk`, `venue`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from k4.sim.desk import Desk
from k4.sim.venue import Stream, Wanted


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request and the product that it means. `known`: there is such a stream."""

    desk: Desk
    wanted: Wanted
    known: bool

    @property
    def addresses(self) -> set[str]:
        """The URLs of its streams."""
        venue = self.desk.venue
        return {str(venue.url_of(stream.message).parts) for stream in self.wanted.streams}


def choose(offers: Sequence[tuple[Desk, Wanted]]) -> list[Part]:
    """What a part of a request means: of the products that understand it the one that has the channel and lists the symbol.

    Several do where nothing that is asked tells them apart; those of the same address then all mean it.
    """
    having = [(desk, wanted) for desk, wanted in offers if wanted.streams]
    listing = [Part(desk, wanted, True) for desk, wanted in having if desk.lists(wanted.symbol)]
    if listing:
        return [part for part in listing if part.addresses == listing[0].addresses]
    desk, wanted = (having or sorted(offers, key=lambda offer: offer[1].foreign))[0]
    return [Part(desk, wanted, False)]


def by_url(found: Mapping[Desk, Mapping[int, tuple[Wanted, ...]]]) -> Iterator[Part]:
    """What a URL subscribes by itself."""
    offers: dict[tuple[str, str], list[tuple[Desk, Wanted]]] = {}
    for desk, messages in found.items():
        for wanted in messages.values():
            for one in wanted:
                offers.setdefault((one.channel, one.symbol), []).append((desk, one))
    for meant in offers.values():
        yield from (part for part in choose(meant) if part.known)


def books(desk: Desk, stream: Stream) -> tuple[Stream, ...]:
    """A stream of all books is kept per symbol."""
    if stream.symbol or not desk.is_book(stream):
        return (stream,)
    return tuple(Stream(stream.message, symbol) for symbol in desk.symbols)
