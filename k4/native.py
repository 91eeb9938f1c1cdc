"""Loads the compiled extension that matches the specs, and the IR it was compiled from.

Which one matches is told by content digest: the one that came with the package, else one in the user's cache. Nothing is compiled
here. May import `errors` and, of the generator, `cache`, `compiler`, `digest`, `ir`.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ._codegen import cache, digest, ir
from ._codegen.compiler import BuildError
from .errors import K4Error

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Native:
    """The compiled core: cffi's `ffi` and `lib` for csrc/k4_api.h, and what was compiled in."""

    ffi: Any
    lib: Any
    records: ir.Records
    exchanges: dict[str, ir.Exchange]
    digest: str
    file: Path


def load(specs: Sequence[Path] | None = None) -> Native:
    """The extension for the built-in specs and the folders `specs`; None: the set that was compiled last.

    Raises K4Error that says what to type when there is none, or when the specs changed since.
    """
    try:
        folders = cache.remembered() if specs is None else tuple(specs)
        cache.check_folders(folders)
        content = digest.content(folders)
        packaged = HERE / cache.EXTENSION
        if packaged.is_file() and (HERE / cache.LITERAL).is_file():
            native = opened(HERE)
            if native.digest == content:
                return native
        folder = cache.find(content)
    except BuildError as error:
        raise K4Error(str(error), hint=error.hint) from error
    if folder is None:
        command = " ".join(["k4 codegen", *(f"--spec {folder}" for folder in folders)])
        raise K4Error("no compiled extension matches the specs and sources as they are now", hint=f"type: {command}")
    return opened(folder)


@functools.cache
def opened(folder: Path) -> Native:
    """The extension in this folder, whatever it was made from."""
    module = _extension(folder / cache.EXTENSION)
    names: dict[str, Any] = dict(vars(ir))
    text = (folder / cache.LITERAL).read_text(encoding="utf-8")
    exec(compile(text, str(folder / cache.LITERAL), "exec"), names)  # noqa: S102 (our own literal, beside the code it belongs to)
    built = module.ffi.string(module.lib.k4_build_digest()).decode("ascii")
    return Native(module.ffi, module.lib, names["RECORDS"], {e.name: e for e in names["EXCHANGES"]}, built, folder / cache.EXTENSION)


def _extension(file: Path) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader("_k4", str(file))
    spec = importlib.util.spec_from_loader("_k4", loader)
    assert spec is not None
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise K4Error(f"{file} cannot be loaded: {error}", hint=f"remove the folder {file.parent} and type: k4 codegen") from error
    return module
