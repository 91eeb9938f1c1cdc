"""`python -m k4` is `k4`. Imports `cli` only."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
