"""Values that no configuration may hold: it names an environment variable, or a file that is the user's alone.

A value shows itself to nobody but who asks for it: not in a log, not in an error, not in a repr. Imports `errors`.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .errors import K4Error

LONGEST = 4096
_PLAIN = re.compile(r"[\x21-\x7e]+")


class Secret:
    """A value read once. `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def read(name: str, *, env: str | None, file: str | None) -> Secret:
    """The secret called `name`, from the environment variable `env` or from `file`. Raises K4Error that tells everything but the value."""
    where = f"environment variable {env}" if env is not None else f"file {file!r}"
    text = _of_file(name, Path(file)) if file is not None else os.environ.get(env or "")
    if text is None:
        raise K4Error(f"secrets.{name}: {where} is not set", hint=f"set it for the process that runs k4, as in {env}=… k4 run …")
    value = text.strip()
    if not _PLAIN.fullmatch(value):
        what = "is empty" if not value else "holds more than one word of printable ASCII"
        raise K4Error(f"secrets.{name}: {where} {what}", hint="it must hold the value alone")
    return Secret(value)


def _of_file(name: str, path: Path) -> str:
    """The text of a file that is the user's alone, which is told of the open file: nobody can swap it in between."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        hint = "write the path of a file with the value, mode 0600; no symbolic link"
        raise K4Error(f"secrets.{name}: file {str(path)!r} cannot be opened: {error.strerror}", hint=hint) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise K4Error(f"secrets.{name}: {str(path)!r} is no regular file")
        if found.st_uid != os.geteuid():
            raise K4Error(f"secrets.{name}: file {str(path)!r} belongs to another user", hint="it must be owned by who runs k4")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise K4Error(f"secrets.{name}: file {str(path)!r} has mode {mode:04o}: others may use it", hint=f"type: chmod 600 {path}")
        data = os.read(handle, LONGEST + 1)
    finally:
        os.close(handle)
    if len(data) > LONGEST:
        raise K4Error(f"secrets.{name}: file {str(path)!r} is longer than {LONGEST} bytes")
    return data.decode("ascii", "replace")
