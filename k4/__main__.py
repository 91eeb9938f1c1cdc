"""The command `k4`, also as `python -m k4`. Imports `cli` only."""

from __future__ import annotations

import signal


def main() -> None:
    """While it is still being loaded Ctrl-C ends it as it ends any program, without a traceback. Who ignores it goes on doing so."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as command

    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


if __name__ == "__main__":
    main()
