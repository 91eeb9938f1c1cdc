"""The symbols of a configuration, looked up in the venues' lists before anything runs: what they mean, and what their quantities count.

Imports `config`, `fetcher`, `instrument`, `keypath`, `listing`, `native`, `session`, `symbols` and, of the generator, `bind`,
`errors`, `ir`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import keypath, listing, session, symbols
from ._codegen import bind, ir
from ._codegen.errors import Finding
from .config import Config, Connection, findings_error, groups
from .instrument import Instrument, Listing
from .listing import Source, Warns

if TYPE_CHECKING:
    from .native import Native

# Connections that one segment can name as sources (K4_SOURCES in csrc/k4_shm.h).
SOURCES = 64


@dataclass(frozen=True, slots=True)
class Asking:
    """A list that entries need, and what is trusted beside the system's CAs when the venue is asked for it."""

    source: Source
    ca_files: tuple[str, ...]


def asking(entry: Connection, built: Native, sim: str | None, sim_ca: Path | None) -> Asking | None:
    """Where the list of an entry's instruments is. None: the spec describes none, or the entry is of another venue than the spec's:
    it names where to connect, but not where to fetch."""
    base = f"https://{sim}" if sim is not None else entry.endpoints.rest
    source = Source(built.exchanges[entry.exchange], entry.product, built.records, base, kept=sim is None)
    if not source.exists or (base is None and entry.endpoints.ws is not None):
        return None
    ca_files = [entry.tls.ca_file, None if sim_ca is None else str(sim_ca)]
    return Asking(source, tuple(file for file in ca_files if file is not None))


async def lists(wanted: Sequence[Asking], log: Warns, *, anew: bool = False) -> dict[Path, Listing | None]:
    """The lists, by the file where each is kept: fresh ones as they are, unless `anew`; the others asked of their venues, all at once."""
    by_file = {one.source.file(): one for one in wanted}
    cached = {} if anew else {file: listing.cached(one.source) for file, one in by_file.items()}
    found = {file: kept for file, kept in cached.items() if kept is not None and listing.fresh(kept)}
    rest = {file: one for file, one in by_file.items() if file not in found}
    if rest:
        from .fetcher import Fetcher  # HTTP only where it is needed

        async with Fetcher() as fetcher:
            asked = (listing.have(one.source, one.source.by(fetcher, one.ca_files), log, anew=anew) for one in rest.values())
            answers = await asyncio.gather(*asked)
        return {**found, **dict(zip(rest, answers, strict=True))}
    return dict(found)


def resolve(file: Path, config: Config, exchanges: Mapping[str, ir.Exchange], list_of: Callable[[Connection], Listing | None]) -> Config:
    """The configuration with the venue's own symbols in place of what it says. Raises K4Error with every finding.

    A list that is not fresh may lack what is new: what is not in it is then taken for the venue's own. That a pattern finds more symbols
    than `symbol_capacity` is no finding: venues list new ones at any time, and the segment then grows.
    """
    places = keypath.places(file.read_text(encoding="utf-8"))
    entries: list[Connection] = []
    findings: list[Finding] = []
    for index, entry in enumerate(config.connections):
        found = list_of(entry)
        title = f"{entry.exchange} {entry.product}"
        meant = symbols.resolve(entry.symbols, found, title=title, sure=found is not None and listing.fresh(found))
        for place, message in meant.wrong:
            keys = ("connections", index, "symbols", place)
            findings.append(Finding(str(file), places.line(keys), f"{keypath.show(keys)}: {message}"))
        entries.append(entry.model_copy(update={"symbols": list(meant.symbols)}))
    resolved = config.model_copy(update={"connections": entries})
    if not findings:
        findings = [Finding(str(file), places.line(("connections", index)), message) for index, message in _crowded(resolved, exchanges)]
    if findings:
        raise findings_error(file, findings)
    return resolved


def _crowded(config: Config, exchanges: Mapping[str, ir.Exchange]) -> Iterator[tuple[int, str]]:
    """Groups of more connections than a segment has sources: the entry that takes most of them, and what to do."""
    indices = {entry.name: index for index, entry in enumerate(config.connections)}
    for group in groups(config):
        needs = {entry.name: parts(entry, exchanges) * entry.redundancy.connections for entry in group.connections}
        total = sum(needs.values())
        if total > SOURCES:
            most = max(group.connections, key=lambda entry: needs[entry.name])
            yield indices[most.name], f"connections[{indices[most.name]}]: {_crowd(most, needs[most.name], total, exchanges)}"


def _crowd(entry: Connection, needs: int, total: int, exchanges: Mapping[str, ir.Exchange]) -> str:
    product = exchanges[entry.exchange].product(entry.product)
    limit = None if product is None else product.session.limits.streams
    why = "" if limit is None else f", with {limit} streams at most on each"
    of = f"{entry.redundancy.connections} times {needs // entry.redundancy.connections}"
    return (
        f"{total} connections would write to each segment of the group, and a segment names {SOURCES}; this entry makes {of}{why}. "
        f"Lower redundancy.connections, name fewer symbols or records, or divide them among entries with segments of their own (shm)"
    )


def parts(entry: Connection, exchanges: Mapping[str, ir.Exchange]) -> int:
    """On how many connections the streams of an entry are spread, each of which is then made as often as redundancy says."""
    product = exchanges[entry.exchange].product(entry.product)
    assert product is not None
    messages = bind.bind(exchanges[entry.exchange], entry.product)
    count = 0
    for transport in entry.redundancy.transports:
        over = product if transport == "json" or product.sbe is None else replace(product, url=product.sbe.url)
        count += len(session.plans(over, session.streams(over, messages, entry.records, entry.symbols, transport)))
    return count


def units(entry: Connection, found: Listing | None) -> dict[str, tuple[str, str]]:
    """Symbol → (qty_unit, contract_size) for a segment's symbol table, of those that the list knows."""
    known = [one for symbol in entry.symbols if found is not None and (one := found.native(symbol)) is not None]
    return {one.symbol: told for one in known if any(told := unit(one))}


def unit(one: Instrument) -> tuple[str, str]:
    """Contracts are told by the currency that they are worth, where it is the base or the quote: readers can then convert."""
    size = one.contract_size or ""
    if one.qty_unit != "contract" or not size:
        return one.qty_unit or "", size if one.qty_unit else ""
    worth = (one.contract_currency or "").upper()
    if worth == (one.base or "").upper() != "":
        return "base", size
    if worth == (one.quote or "").upper() != "":
        return "quote", size
    return "contract", size


def idle(entry: Connection, found: Listing | None) -> list[str]:
    """The entry's symbols that are listed, but not traded now."""
    known = [] if found is None else [found.native(symbol) for symbol in entry.symbols]
    return [one.symbol for one in known if one is not None and one.trading is False]
