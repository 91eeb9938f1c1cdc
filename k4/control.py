"""How a command finds the run of a configuration and speaks with it: a Unix socket in the abstract name space.

Its name is made of the user, the folder of the segments and the configuration's real path: whoever names the same file for the same
segments finds it, and nothing is left behind by a run that was killed. Both sides look who the other is. One request, one answer, a line
of JSON each. Imports `errors`, `segments`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from . import segments
from .errors import K4Error

# A reload asks venues for their lists, and may restart groups.
ANSWER_S = 120.0
LINE_BYTES = 1 << 20

Handler = Callable[[str], Awaitable[dict[str, Any]]]


def address(config: Path) -> str:
    """The name of the socket of the run of `config` by this user."""
    told = f"{os.getuid()}\0{os.path.realpath(segments.directory())}\0{os.path.realpath(config)}"  # of a loop of links, too
    return f"\0k4-run-{hashlib.sha256(told.encode(errors='surrogateescape')).hexdigest()[:32]}"


@contextlib.contextmanager
def listening(config: Path) -> Iterator[socket.socket]:
    """The socket of this run. Raises K4Error where there is another one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as made:
        try:
            made.bind(address(config))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise K4Error(f"{str(config)!r} is run already{_by_whom(config)}", hint="stop that first, or: k4 reload CONFIG") from None
        made.listen(16)
        yield made


@contextlib.asynccontextmanager
async def serving(sock: socket.socket, handler: Handler) -> AsyncIterator[None]:
    """Answers requests; `handler` gets what is asked for, and gives the answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):  # who went away, or is not one of ours
            if _peer(writer.get_extra_info("socket"))[1] in {0, os.getuid()}:
                asked = json.loads(await reader.readline())
                answer = await handler(str(asked["do"])) if isinstance(asked, dict) and "do" in asked else {"error": "what is to be done?"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, sock=sock, limit=LINE_BYTES)
    try:
        yield
    finally:
        server.close()


def ask(config: Path, do: str) -> dict[str, Any]:
    """What the run of `config` answers. Raises K4Error where there is none, or it does not answer."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(ANSWER_S)
        try:
            made.connect(address(config))
        except OSError:
            hint = "it must be run by the same user, with the same $K4_SHM_DIR, and named by the same file"
            raise K4Error(f"no run of {str(config)!r} is there", hint=hint) from None
        pid, uid = _peer(made)
        if uid != os.getuid():
            raise K4Error(f"the run of {str(config)!r} is not of this user: user number {uid}, process {pid}")
        made.sendall(json.dumps({"do": do}).encode() + b"\n")
        try:
            with made.makefile("rb") as stream:
                line = stream.readline(LINE_BYTES)
        except TimeoutError:
            raise K4Error(f"process {pid} does not answer within {ANSWER_S:g} s", hint="its log says what it does") from None
    if not line.endswith(b"\n"):
        raise K4Error(f"process {pid} ended before it had answered", hint="its log says why")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _by_whom(config: Path) -> str:
    with socket.socket(socket.AF_UNIX) as made, contextlib.suppress(OSError):
        made.settimeout(1.0)
        made.connect(address(config))
        return f" by process {_peer(made)[0]}"
    return ""


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Process and user number of the other side."""
    pid, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid
