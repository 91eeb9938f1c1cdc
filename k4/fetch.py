"""Asks the fetcher for what a venue serves by HTTPS: books' snapshots, tokens, endpoints.

A worker does nothing but feed, and so it loads no HTTP and no certificates: it writes one line to a Unix socket and reads one answer.
`k4.fetcher`, the process on the other side, may be started anew at any time without its clients noticing more than one failed request.

    K4Error
    └── FetchError       no answer, or one that is none: where, and why

One request, one connection. Asked: a line of JSON. Answered: a line of JSON, then the body. Imports `errors`, `session`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import session
from .errors import K4Error

BODY_BYTES = 64 << 20  # the whole list of a large venue's instruments takes 20 MB
LINE_BYTES = 1 << 20
# A request may have to wait for its turn; after so long, what it asked for is of no use.
TIMEOUT_S = 60.0


class FetchError(K4Error):
    """A URL gave nothing. `status`: the HTTP status, where there was one."""

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `body`: what is POSTed, as JSON text (GET without it). `ca_files`: trusted besides the system's CAs.

    `weight`: what it counts of `limits`, the venue's, in any so many seconds; none: the fetcher has its own. `shared`: counted together
    with what other processes fetch from the host.
    """

    url: str
    body: str | None
    ca_files: tuple[str, ...]
    most: int
    weight: int = 1
    limits: tuple[tuple[int, float], ...] = ()
    shared: bool = False

    def to_line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> Asked:
        """Raises ValueError, KeyError or TypeError for a line that is no request."""
        values = json.loads(line)
        limits = tuple((int(count), float(seconds)) for count, seconds in values["limits"])
        given = str(values["url"]), values["body"], tuple(map(str, values["ca_files"])), int(values["most"])
        return Asked(*given, int(values["weight"]), limits, bool(values["shared"]))


class Fetch:
    """A way to the fetcher that listens at `path`. `base`: `https://HOST[:PORT]` to ask instead of what a URL names.

    `limits`: of the venue, in weights; `shared`: they are for all processes of the user.
    """

    def __init__(
        self,
        path: Path,
        *,
        base: str | None = None,
        ca_files: Sequence[str] = (),
        limits: Sequence[tuple[int, float]] = (),
        shared: bool = False,
    ) -> None:
        self._limits = tuple(limits)
        self._shared = shared
        self._path = path
        self._base = base
        self._ca_files = tuple(ca_files)

    async def get(self, url: str, body: str | None = None, *, most: int = BODY_BYTES, weight: int = 1) -> bytes:
        """What `url` serves, at most `most` bytes of it; with `body`, the answer to that POST. Raises FetchError."""
        at = url if self._base is None else session.replace_host(url, self._base)
        asked = Asked(at, body, self._ca_files, most, weight, self._limits, self._shared)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._ask(asked)
        except TimeoutError as error:
            raise FetchError(f"{asked.url}: no answer within {TIMEOUT_S:g} s") from error
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise FetchError(f"{asked.url}: the fetcher is not there; it is started again by itself") from error

    async def _ask(self, asked: Asked) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LINE_BYTES)
        try:
            writer.write(asked.to_line())
            await writer.drain()
            said = json.loads(await reader.readline())
            if "error" in said:
                raise FetchError(said["error"], hint=said["hint"], status=said["status"])
            return await reader.readexactly(said["bytes"])
        finally:
            writer.close()


# --------------------------------------------------------------------------- for who starts the fetcher


@contextlib.contextmanager
def listening() -> Iterator[tuple[Path, int]]:
    """Path and descriptor of a new listening socket, in a folder that only this user can enter and that is removed at the end.
    Raises K4Error.

    It outlives the fetcher: what workers ask while that is started anew waits here.
    """
    parent = os.environ.get("XDG_RUNTIME_DIR") or None
    with contextlib.ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k4-", dir=parent))) / "fetch"
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(str(path))
        except OSError as error:
            hint = "set XDG_RUNTIME_DIR, or TMPDIR, to a folder of yours with a short name"
            raise K4Error(
                f"no socket for the fetcher can be made in {parent or 'the folder of temporary files'}: {error}", hint=hint
            ) from error
        made.listen(128)
        yield path, made.fileno()
