"""The C compiler and its flags, found without starting it. Imports nothing of the project."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path

OPTIMISE = ("-O2",)
NO_COMPILER = "install one: apt-get install gcc (Debian package gcc), or name yours in CC"
NO_PYTHON_HEADERS = "install them: apt-get install python3-dev (Debian package python3-dev)"


class BuildError(Exception):
    """Something outside the specs stops the build. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def flags() -> tuple[str, ...]:
    """Optimisation and what K4_CFLAGS adds."""
    return (*OPTIMISE, *_words("K4_CFLAGS"))


def _words(variable: str) -> list[str]:
    """What a shell would make of an environment variable. Raises BuildError."""
    text = os.environ.get(variable, "")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BuildError(f"{variable}={text}: {error}", "quote it as a shell wants it") from error


def find_compiler() -> list[str]:
    """The C compiler as a command: CC, else cc, gcc or clang. Raises BuildError that names the missing Debian package."""
    words = _words("CC")
    if words:
        if shutil.which(words[0]) is None:
            raise BuildError(f"CC={os.environ['CC']}: no such compiler", NO_COMPILER)
    else:
        found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
        if found is None:
            raise BuildError("no C compiler found (looked for cc, gcc, clang)", NO_COMPILER)
        words = [found]
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise BuildError(f"Python.h is missing in {sysconfig.get_path('include')}", NO_PYTHON_HEADERS)
    return words


def compiler_identity() -> str:
    """What tells one compiler from another without starting it: command, and the program's file as it is now."""
    words = find_compiler()
    program = Path(shutil.which(words[0]) or words[0]).resolve()
    found = program.stat()
    return f"{shlex.join(words)} {program} {found.st_size} {found.st_mtime_ns}"
