"""The bridge between Python and C: cffi's declarations, taken from the header that C itself includes.

Imports `places` and `render` only.
"""

from __future__ import annotations

import re
from pathlib import Path

import cffi

from . import places
from .render import render

API = "k4_api.h"
MODULE = "_k4"


def declarations() -> str:
    """What cffi may read of `k4_api.h`: no preprocessor lines, no comments."""
    text = (places.csrc() / API).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return "".join(line + "\n" for line in text.splitlines() if line.strip() and not line.startswith("#"))


def write_bridge(folder: Path) -> Path:
    """Writes cffi's C source of the extension into `folder` and returns it. It keeps to Python's stable ABI."""
    ffi = cffi.FFI()
    ffi.cdef(declarations())
    ffi.set_source(MODULE, render("bridge.c.j2", api=API), py_limited_api=True, compiler_verbose=0)
    path = folder / f"{MODULE}_bridge.c"
    ffi.emit_c_code(str(path))
    return path
