"""The user's cache of builds: where a build is, and which set of specs was built last.

The cache holds code that will be loaded, so it belongs to the user alone (0700, owner checked). A build lives in a folder named by
its key (see `digest`), made under a temporary name and renamed when it is whole: a folder that is there is complete.
Imports `compiler`, `digest` and `places` only, so that a command which builds nothing starts fast.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from . import digest, places
from .compiler import BuildError, compiler_identity, flags

EXTENSION = "_k4.abi3.so"
LITERAL = "_k4_ir.py"
WRITABLE = "make it writable, or set XDG_CACHE_HOME to a folder that is"
CONTENT = "content"  # holds the content digest of the build it stands in


def check_folders(specs: Sequence[Path]) -> None:
    """Every folder of `specs` is there and holds specs that can be read. Raises BuildError."""
    for folder in specs:
        if not folder.is_dir():
            raise BuildError(f"--spec {folder}: no such folder", "name the folder that holds your specs (*.toml)")
        files = [*folder.glob("*.toml"), *folder.glob("*.xml")]
        if not any(file.suffix == ".toml" for file in files):
            raise BuildError(f"--spec {folder}: no spec in it", "a spec is a file <exchange>.toml in that folder")
        for file in files:
            if not (file.is_file() and os.access(file, os.R_OK)):
                raise BuildError(f"{file} is not a file that can be read", "make it one, or take it out of the folder")


def place() -> Path:
    """The folder of all that is kept for later, whether it is there or not. Raises BuildError where nobody says which that is."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "k4"
    try:
        return Path.home() / ".cache" / "k4"
    except RuntimeError as error:
        raise BuildError("no home folder is known to keep builds in", "set XDG_CACHE_HOME to a folder of your own") from error


def cache() -> Path:
    """The same, made if need be. Raises BuildError when it is not the user's alone."""
    return own(place())


def own(root: Path) -> Path:
    """A folder that code is loaded from, made if need be. Raises BuildError when it is not the user's alone."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise BuildError(f"{root} cannot be made: {error.strerror}", WRITABLE) from error
    if not stat.S_ISDIR(found.st_mode):
        raise BuildError(f"{root} is not a folder; code is loaded from there", "remove it")
    if found.st_uid != os.getuid():
        raise BuildError(f"{root} belongs to another user; code is loaded from there", "set XDG_CACHE_HOME to a folder of your own")
    if found.st_mode & 0o022:
        raise BuildError(f"{root} can be written by others; code is loaded from there", f"chmod 700 {root}")
    return root


def folder_for(content: str) -> Path:
    """Where the build with this content is or will be, for the compiler and flags of now."""
    try:
        compiler = compiler_identity()
    except BuildError:
        compiler = "none"
    return cache() / "builds" / digest.key(content, compiler, flags())


def find(content: str) -> Path | None:
    """A finished build with this content, whatever compiler and flags made it; the one of now is preferred."""
    wanted = folder_for(content)
    if not wanted.is_dir():
        marks = sorted(wanted.parent.glob(f"[!.]*/{CONTENT}"), key=lambda mark: mark.stat().st_mtime, reverse=True)
        # Not those under a temporary name: they are not whole, or gone in a moment.
        found = next((mark.parent for mark in marks if mark.read_text(encoding="ascii") == content), None)
        if found is None:
            return None
        wanted = found
    with contextlib.suppress(OSError):
        os.utime(wanted)  # old builds are cleared away by last use
    return wanted


def _memory() -> Path:
    # One memory per installation: a checkout's built set is not another one's.
    return cache() / f"set-{digest.short(str(places.codegen()))}.json"


def remember(specs: Sequence[Path]) -> None:
    """Makes `specs` the set that commands use from now on."""
    write(_memory(), json.dumps({"specs": [str(folder.resolve()) for folder in specs]}).encode() + b"\n")


def make(folder: Path) -> None:
    """Makes a folder of the cache. Raises BuildError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"{folder} cannot be made: {error.strerror}", WRITABLE) from error


def write(path: Path, data: bytes) -> None:
    """Makes a file of the cache, whole or not at all, whoever else makes it at the same time. Raises BuildError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BuildError(
            f"{path} cannot be written: {error.strerror}", "make room there, or set XDG_CACHE_HOME to another folder"
        ) from error


def remembered() -> tuple[Path, ...]:
    """The spec folders of the last `k4 codegen`; none if there was none."""
    try:
        text = _memory().read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        return tuple(Path(folder) for folder in json.loads(text)["specs"])
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{_memory()} cannot be read: {error}", "type: k4 codegen") from error
