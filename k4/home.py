"""Where what a user keeps for later is, beside builds: lists of instruments, the simulator's authority.

Imports `errors` and, of the generator, `cache` and `compiler`.
"""

from __future__ import annotations

from pathlib import Path

from ._codegen import cache
from ._codegen.compiler import BuildError
from .errors import K4Error


def folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/k4/NAME`, by default below `~/.cache`; it need not be there. Raises K4Error where no home folder is known."""
    try:
        return cache.place() / name
    except BuildError as error:
        raise K4Error(str(error), hint=error.hint) from error
