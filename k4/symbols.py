"""What the symbols of a configuration mean: the venue's own, unified ones, and patterns, looked up in the venue's list.

    BTCUSDT          the venue's own, whether or not there is a list
    BTC-USDT-PERP    unified: the same at every venue
    *USDT            a pattern, `*` is any run: every instrument that is traded now and has such a name, native or unified

Pure. Imports `instrument` and, of the generator, `errors`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ._codegen.errors import nearest
from .instrument import Listing


@dataclass(frozen=True, slots=True)
class Meant:
    """The venue's own symbols that a list of symbols means, and what is wrong: (place in the list, message)."""

    symbols: tuple[str, ...]
    wrong: tuple[tuple[int, str], ...]


def resolve(asked: Sequence[str], listing: Listing | None, *, title: str, sure: bool = True) -> Meant:
    """What `asked` means in `listing` (None: there is none). `title`: exchange and product, for messages.

    `sure`: the list is the venue's own of now; else a symbol that it lacks may be new, and is taken for the venue's own.
    """
    found: dict[str, int | None] = {}  # native symbol → place of the name that brought it, None: a pattern
    wrong: list[tuple[int, str]] = []
    for place, name in enumerate(asked):
        natives = _meant(name, listing, title, sure)
        if isinstance(natives, str):
            wrong.append((place, natives))
            continue
        for symbol in natives:
            first = found.get(symbol)
            if "*" in name:
                found.setdefault(symbol, None)
            elif first is not None and asked[first] != name:
                wrong.append((place, f'"{name}" is "{symbol}", which "{asked[first]}" names already; keep one of them'))
            else:
                found[symbol] = place
    return Meant(tuple(found), tuple(wrong))


def _meant(name: str, listing: Listing | None, title: str, sure: bool) -> tuple[str, ...] | str:
    """The venue's own symbols of one name, or what is wrong with it."""
    if listing is None:
        return f'"{name}": a pattern needs the list of instruments of {title}, which cannot be had' if "*" in name else (name,)
    if "*" in name:
        natives = _matching(name, listing)
        return natives or f'"{name}": no instrument of {title} that is traded has such a name'
    if listing.native(name) is not None:
        return (name,)
    unified = listing.unified(name)
    if len(unified) > 1:
        listed = " ".join(one.symbol for one in unified)
        return f'"{name}" is several instruments of {title}; write the one that is meant: {listed}'
    if unified:
        return (unified[0].symbol,)
    if not sure:
        return (name,)
    guess = nearest(name, listing.names()) or nearest(name.upper(), listing.names())
    hint = f'; did you mean "{guess}"?' if guess else f"; `k4 instruments {title}` lists them"
    return f'"{name}" is no instrument of {title}{hint}'


def _matching(pattern: str, listing: Listing) -> tuple[str, ...]:
    fits = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch
    return tuple(one.symbol for one in listing.instruments if one.trading is not False and (fits(one.symbol) or fits(one.unified or "")))
