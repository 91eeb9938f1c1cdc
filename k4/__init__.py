"""K4: crypto market data from exchanges into lock-free shared memory, and out of it again.

    with k4.open("venue_spot_bbo") as reader:
        for record in reader: ...

`open`, `Reader` and `Lost` are loaded at first use, so that importing k4 costs nothing. Imports `reader`, `errors` and
`version`, each when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import K4Error, UsageError
from .version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from .reader import Lost, Reader, open  # noqa: A004 (k4.open is the name users know)

__all__ = ["K4Error", "Lost", "Reader", "UsageError", "__version__", "open"]


def __getattr__(name: str) -> object:
    if name in {"Lost", "Reader", "open"}:
        from . import reader

        return getattr(reader, name)
    raise AttributeError(f"module 'k4' has no attribute {name!r}")
