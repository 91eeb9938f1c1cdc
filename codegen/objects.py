"""Compiled objects, kept in the user's cache, so that a build compiles only what no earlier one did.

An object is found by a hash over all that makes it: what the compiler is, what it makes of the flags (it says so itself, `-###`), and the
source as it leaves the preprocessor, so with every header as it is now. Not kept is what may hold more than that: whatever was compiled
with flags that read or write other files or leave paths in an object, and what the compiler warned of, for it is to warn again.
Imports `cache` and `compiler`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import cache
from .compiler import compiler_identity, flags

KEPT_OBJECTS = 512  # one build has about fifty; what was not used for longest goes
_PLAIN = re.compile(r"-(?:[DUOm].*|fno-[\w-]+)")  # a flag that only this object's code depends on
_SEAL = hashlib.sha256().digest_size


class Objects:
    """The objects in `folder`, for one build by `compiler` (a command). Its methods may be called from several threads."""

    def __init__(self, folder: Path, compiler: Sequence[str]) -> None:
        self._folder = folder
        self._compiler = compiler
        self._plain = all(_PLAIN.fullmatch(word) for word in (*compiler[1:], *flags()))
        self._new: dict[str, bytes] = {}
        self._setting = functools.cache(self._ask)

    def key(self, options: Sequence[str], include: Sequence[str], source: Path) -> str | None:
        """What the object of `source` is kept as; None where none may be."""
        if not self._plain or (setting := self._setting(tuple(options))) is None:
            return None
        seen = _said([*self._compiler, *options, *include, "-E", "-P", str(source)])
        return None if seen is None else hashlib.sha256(hashlib.sha256(setting).digest() + seen[0]).hexdigest()

    def take(self, key: str, output: Path) -> bool:
        """Writes the kept object into `output`; False when there is none, or it is damaged."""
        file = self._folder / key
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            return False
        if data[:_SEAL] != _seal(key, data[_SEAL:]):
            return False
        output.write_bytes(data[_SEAL:])
        return True

    def add(self, key: str, output: Path) -> None:
        """An object just compiled, to be kept if the build succeeds."""
        self._new[key] = output.read_bytes()

    def keep(self) -> None:
        """Writes down what was added, each object whole or not at all, and clears old ones away. Raises BuildError."""
        for key, data in self._new.items():
            cache.write(self._folder / key, _seal(key, data) + data)
        with contextlib.suppress(FileNotFoundError):  # another process may clear away, too
            for old in sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)[:-KEPT_OBJECTS]:
                old.unlink()

    def _ask(self, options: tuple[str, ...]) -> bytes | None:
        program = Path(shutil.which(self._compiler[0]) or self._compiler[0]).absolute()
        # From the same place always: clang names it.
        said = _said([str(program), *self._compiler[1:], *options, "-###", "-S", "-o", os.devnull, "-x", "c", os.devnull], Path("/"))
        return None if said is None else compiler_identity().encode() + said[1]


def _seal(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()


def _said(command: list[str], where: Path | None = None) -> tuple[bytes, bytes] | None:
    """Output and errors of the compiler; None when it failed."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=600, cwd=where)  # noqa: S603 (the user's own compiler)
    except OSError:
        return None
    return None if done.returncode else (done.stdout, done.stderr)
