"""`k4 instruments`: the instruments of a product, as the venue lists them.

Imports `errors`, `fetcher`, `instrument`, `listing`, `native`, `runner` and, of the generator, `errors`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from . import listing, native
from ._codegen.errors import did_you_mean
from .errors import K4Error, UsageError, shown
from .instrument import Instrument, Listing
from .listing import Source
from .runner import sim_ca

_COLUMNS = ("symbol", "unified", "kind", "base", "quote", "settle", "price_step", "qty_step", "contract", "qty_unit", "trading")


def run(
    exchange: str, product: str, *, json_output: bool, refresh: bool, spec: Sequence[Path], sim: str | None, ca_file: Path | None
) -> int:
    """Prints them: a table on a terminal, else JSON lines. Returns the exit code. Raises K4Error."""
    ca_files = [str(file) for file in (ca_file, None if sim is None else sim_ca(sim)) if file is not None]
    if ca_file is not None and not ca_file.is_file():
        raise UsageError(f"--ca-file {str(ca_file)!r}: there is no such file")
    source = _source(exchange, product, spec, sim)
    kept = None if refresh else listing.cached(source)
    found = kept if kept is not None and listing.fresh(kept) else asyncio.run(_fetch(source, ca_files))
    if json_output or not sys.stdout.isatty():
        for one in found.instruments:
            print(orjson.dumps(one.to_json()).decode())
    else:
        _table(found)
    return 0


def _source(exchange: str, product: str, spec: Sequence[Path], sim: str | None) -> Source:
    built = native.load(list(spec) or None)
    found = built.exchanges.get(exchange)
    if found is None:
        raise UsageError(f'no spec of "{exchange}" is built{did_you_mean(exchange, built.exchanges)}')
    if found.product(product) is None:
        raise UsageError(f'"{exchange}" has no product "{product}"{did_you_mean(product, [p.name for p in found.products])}')
    source = Source(found, product, built.records, None if sim is None else f"https://{sim}", kept=sim is None)
    if not source.exists:
        raise K4Error(
            f"the spec of {source.title} does not say how its instruments are listed", hint='write a message with record = "instrument"'
        )
    return source


async def _fetch(source: Source, ca_files: Sequence[str]) -> Listing:
    from .fetcher import Fetcher  # HTTP only where it is needed

    async with Fetcher() as fetcher:
        return await listing.fetch(source, source.by(fetcher, ca_files), _Warnings())


class _Warnings:
    """Says on stderr what a log would be told."""

    def warning(self, event: str, **values: object) -> None:
        told = ", ".join(f"{name}={value}" for name, value in values.items())
        print(shown(f"k4: warning: {event}: {told}"), file=sys.stderr)


def _table(found: Listing) -> None:
    rows = [_COLUMNS, *(_row(one) for one in found.instruments)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    age_s = (time.time_ns() - found.fetched_ns) / 1e9
    print(f"{len(found.instruments)} instruments, listed {age_s:.0f} s ago")


def _row(one: Instrument) -> tuple[str, ...]:
    contract = None if one.contract_size is None else f"{one.contract_size} {one.contract_currency or ''}".strip()
    traded = None if one.trading is None else "yes" if one.trading else "no"
    cells = (
        one.symbol,
        one.unified,
        one.kind,
        one.base,
        one.quote,
        one.settle,
        one.price_step,
        one.qty_step,
        contract,
        one.qty_unit,
        traded,
    )
    return tuple(cell or "-" for cell in cells)
