"""`python -m bench decode [--json FILE] [--rounds N]`, `python -m bench instructions [--keep]`: every measurement is one command."""

from __future__ import annotations

import sys

from . import decode, instructions

COMMANDS = {"decode": decode.main, "instructions": instructions.main}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        print(f"python -m bench COMMAND: one of {', '.join(COMMANDS)}; --help says more of each", file=sys.stderr)
        return 2
    return COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
