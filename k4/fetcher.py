"""The fetcher: the one process of a run that speaks HTTP, for all its workers.

    worker ─ k4.fetch ─▶ Unix socket in a folder of the user's own ─▶ Server ─▶ Fetcher ─ HTTPS ─▶ venue

`Fetcher` is also what a command uses that needs one answer and no process. TLS is always verified. Requests to one host keep to the
venue's limits by weight, together with those of other runs, and pause as long as a venue that answers 429 or 418 asks for. Bodies are
bounded as they are read.
Started by `k4.supervisor` as `python -m k4.fetcher`; what is said between the two stands in `k4.pipe`.
Imports aiohttp and its yarl, `errors`, `fetch`, `job`, `log`, `pipe`, `segments`, `weights`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from . import log
from .errors import K4Error
from .fetch import LINE_BYTES, Asked, FetchError
from .job import FetcherJob
from .pipe import Pipe
from .segments import directory
from .weights import Weights, part, path_for

# Where a spec states no limit. Of what venues allow an address, the least: enough for a burst of books at the start, and a list of
# instruments page by page.
PACE = ((5, 1.0), (100, 60.0))
AT_ONCE = 4
CONNECT_S = 10.0
READ_S = 20.0
TOTAL_S = 50.0
# What a venue may ask to be left alone for without saying how long.
PAUSE_S = 10.0
# While another process holds the file that counts requests.
BUSY_S = 0.005
_CHUNK = 1 << 16
_SAID = 300


@dataclass(slots=True)
class _Host:
    """The requests to one host."""

    weights: Weights
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class Fetcher:
    """Fetches over HTTPS. Use as an async context manager."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._trust: dict[tuple[str, ...], ssl.SSLContext] = {}
        timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S, sock_read=READ_S)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for host in self._hosts.values():
            host.weights.close()
        await self._session.close()

    async def fetch(self, asked: Asked) -> bytes:
        """The body of the answer, of status 200. Raises FetchError."""
        parts = urlsplit(asked.url)
        if parts.scheme != "https" or not parts.hostname:
            raise FetchError(f"{asked.url}: not an https:// address")
        host = self._host(parts.netloc.lower(), asked)
        async with host.slots:
            await self._turn(host.weights, asked)
            try:
                return await self._fetch(asked, host)
            except TimeoutError as error:
                raise FetchError(f"{asked.url}: no answer within {TOTAL_S:g} s") from error
            except aiohttp.ClientConnectorCertificateError as error:
                why = getattr(error.certificate_error, "verify_message", error.certificate_error)
                raise FetchError(f"{asked.url}: the certificate is not trusted: {why}", hint="is its CA in tls.ca_file?") from error
            except aiohttp.ClientConnectorError as error:
                raise FetchError(f"{asked.url}: {error.os_error.strerror or error.os_error}") from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise FetchError(f"{asked.url}: {str(error) or type(error).__name__}") from error

    def _host(self, name: str, asked: Asked) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            try:
                weights = Weights(path_for(directory(), name) if asked.shared else None)
            except K4Error as error:
                raise FetchError(str(error), hint=error.hint) from error
            host = self._hosts[name] = _Host(weights)
        return host

    async def _turn(self, weights: Weights, asked: Asked) -> None:
        """Waits until the pace allows one more request. Raises FetchError where that takes longer than is of use."""
        windows = part(asked.limits) or PACE
        while True:
            wait = weights.reserve(asked.weight, windows, time.monotonic(), TOTAL_S)
            if wait is None:
                await asyncio.sleep(BUSY_S)
                continue
            if wait > TOTAL_S:
                pause = weights.paused(time.monotonic())
                why = "the venue wants no requests for another" if pause else "others come first; its turn is in"
                raise FetchError(f"{asked.url}: {why} {pause or wait:.0f} s")
            await asyncio.sleep(wait)
            if not weights.paused(time.monotonic()):  # it may have been told to stop meanwhile
                return

    async def _fetch(self, asked: Asked, host: _Host) -> bytes:
        post = asked.body is not None
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if post else {})}
        # A redirect would lead where neither the spec nor the configuration points.
        method, data = ("POST", asked.body) if post else ("GET", None)
        async with self._session.request(
            method,
            URL(asked.url, encoded=asked.url.isascii()),
            data=data,
            headers=headers,
            ssl=self._context(asked.ca_files),
            allow_redirects=False,
        ) as answer:
            if answer.status == 200:
                return await _bounded(answer.content, asked)
            said = (await answer.content.read(_SAID)).decode(errors="replace")
            if answer.status in {418, 429}:
                pause_s = _pause(answer.headers.get("Retry-After", ""))
                while not host.weights.pause(pause_s, time.monotonic()):  # noqa: ASYNC110 (a file, not an event)
                    await asyncio.sleep(BUSY_S)
            raise FetchError(f"{asked.url}: status {answer.status}: {said or answer.reason}", status=answer.status)

    def _context(self, ca_files: tuple[str, ...]) -> ssl.SSLContext:
        """Verification is always on; CA files add trust and nothing removes it."""
        context = self._trust.get(ca_files)
        if context is None:
            context = ssl.create_default_context()
            for ca_file in ca_files:
                try:
                    context.load_verify_locations(ca_file)
                except (OSError, ssl.SSLError) as error:
                    raise FetchError(f"{ca_file!r} holds no certificate that can be read: {error}") from error
            self._trust[ca_files] = context
        return context


async def _bounded(content: aiohttp.StreamReader, asked: Asked) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > asked.most:
            raise FetchError(f"{asked.url}: the answer has more than {asked.most} bytes")
    return bytes(body)


def _pause(text: str) -> float:
    """Seconds from a Retry-After header; a date in it counts as none."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else PAUSE_S


# --------------------------------------------------------------------------- the process


async def answer(fetcher: Fetcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, logger: log.Logger) -> None:
    """One client: its request read, fetched and answered. A client that goes away is nobody's fault."""
    with contextlib.suppress(OSError):
        try:
            asked = Asked.from_line(await reader.readline())
            body = await fetcher.fetch(asked)
            writer.write(json.dumps({"bytes": len(body)}).encode() + b"\n")
            writer.write(body)
        except FetchError as error:
            logger.warning("fetch failed", reason=str(error))
            said = {"error": str(error), "hint": error.hint, "status": error.status}
            writer.write(json.dumps(said).encode() + b"\n")
        except (ValueError, KeyError, TypeError) as error:
            logger.error("no request of a client of ours", what=repr(error))  # noqa: TRY400 (one line says it)
        await writer.drain()
        writer.close()


async def _serve(job: FetcherJob, pipe: Pipe, logger: log.Logger) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pipe.listen(lambda _: None, stop.set)
    listening = socket.socket(fileno=job.fd)
    async with Fetcher() as fetcher:
        server = await asyncio.start_unix_server(lambda r, w: answer(fetcher, r, w, logger), sock=listening, limit=LINE_BYTES)
        pipe.say("begun")
        beating = asyncio.create_task(pipe.beat())
        await stop.wait()
        beating.cancel()
        server.close()


def main() -> int:
    """Runs the job given on standard input, until that ends."""
    pipe = Pipe()
    line = pipe.line()
    if line is None:
        return 0
    job = FetcherJob(**json.loads(line))
    folder = None if job.log_dir is None else Path(job.log_dir)
    try:
        logger = log.setup(level=job.level, folder=folder, retain_days=job.retain_days, group=job.group)
    except K4Error as error:
        print(f"k4: error: {error}", file=sys.stderr)
        return 1
    asyncio.run(_serve(job, pipe, logger))
    return 0


if __name__ == "__main__":
    sys.exit(main())
