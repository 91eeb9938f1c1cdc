"""`k4 config check`: what a configuration would run, or everything that is wrong with it. Nothing is connected.

Symbols are looked up in the lists of instruments that are kept from before. Imports `config`, `instrument`, `listing`, `lookup`, `native`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from . import config as configuration
from . import listing, lookup, native
from .config import Connection
from .instrument import Listing


def check(path: Path, *, spec: Sequence[Path] = ()) -> int:
    """Prints it. Returns the exit code. Raises K4Error with every finding."""
    built = native.load(list(spec) or None)
    config = configuration.load_reported(path, built.exchanges)
    asked = {entry.name: lookup.asking(entry, built, None, None) for entry in config.connections}
    kept = {name: None if one is None else listing.cached(one.source) for name, one in asked.items()}
    config = lookup.resolve(path, config, built.exchanges, lambda entry: kept[entry.name])
    for group in configuration.groups(config):
        for entry in group.connections:
            what = f"{entry.exchange} {entry.product}, {len(entry.symbols)} symbol(s), {', '.join(entry.records)}"
            print(f"{entry.name}: {what}, {entry.redundancy.connections} connection(s)")
            if asked[entry.name] is not None:
                print(f"  symbols: {_checked(entry, kept[entry.name])}")
        print(f"  segments: {', '.join(group.segments.values())}")
    return 0


def _checked(entry: Connection, kept: Listing | None) -> str:
    command = f"`k4 instruments {entry.exchange} {entry.product} --refresh`"
    if kept is None:
        return f"not looked up, no list of instruments is kept; {command} fetches it"
    age_s = (time.time_ns() - kept.fetched_ns) / 1e9
    if not listing.fresh(kept):
        return f"looked up in a list that is {age_s / 3600:.0f} h old, which may lack new ones; {command} fetches it anew"
    return f"looked up in a list that is {age_s:.0f} s old"
