"""`python -m bench all`, or one of its tables: every measurement is one command.

Imports the measurement that is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
TABLES = ("decode", "books", "pipeline", "ring", "receive", "startup")
COMMANDS = {
    **{name: name for name in TABLES},
    "instructions": "instructions",
    "peers": "sources",
    "readme": "readme",
}  # and the module of each


def main(arguments: list[str]) -> int:
    """Exit code of the measurement; of `all [--json DIR] [--keep]`, the worst of them."""
    if arguments[:1] == ["all"]:
        return _all(arguments[1:])
    if not arguments or arguments[0] not in COMMANDS:
        print(f"python -m bench COMMAND: all or one of {', '.join(COMMANDS)}; --help says more of each", file=sys.stderr)
        return 2
    return _one(arguments[0], arguments[1:])


def _all(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("bench all")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write each table's result there")
    parser.add_argument("--keep", action="store_true", help="make them the kept results, bench/results/*.json")
    options = parser.parse_args(arguments)
    folder: Path | None = RESULTS if options.keep else options.json
    worst = 0
    for name in TABLES:
        print(f"\n== {name}", flush=True)
        worst = max(worst, _one(name, [] if folder is None else ["--json", str(folder / f"{name}.json")]))
    if options.keep:
        _one("readme", [])
    return worst


def _one(name: str, arguments: list[str]) -> int:
    result: int = importlib.import_module(f"bench.{COMMANDS[name]}").main(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
