"""The instruments of a product: asked of the venue page by page, and kept in the user's cache.

    `$XDG_CACHE_HOME/k4/instruments/<exchange>_<product>_<digest>.json`

The digest is of the messages that describe the list and of the host that was asked, so that neither a changed spec nor a simulator is
answered from a list that is not theirs. Imports `errors`, `fetch`, `home`, `instrument`, `session` and, of the generator, `bind`,
`ir`, `reference`, `refload`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from . import home, instrument, session
from ._codegen import bind, ir, refload
from ._codegen.reference import Fetched, FetchError, Interpreter, captured
from .errors import K4Error
from .fetch import BODY_BYTES, Asked
from .instrument import Instrument, Listing

FRESH_S = 3600.0
# A run is not kept waiting for a list longer than this.
WAIT_S = 10.0
MOST_PAGES = 1000
_SECOND_NS = 1_000_000_000

Get = Callable[[str, str | None, int], Awaitable[bytes]]  # URL, body to POST, weight


class Fetcher(Protocol):
    """Who speaks HTTPS."""

    async def fetch(self, asked: Asked) -> bytes:
        """The body of the answer. Raises K4Error."""


class Warns(Protocol):
    """Who hears of what is amiss: a log."""

    def warning(self, event: str, **values: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where a product's list is: the spec that describes it, and `base`, `https://HOST[:PORT]` to ask instead of what the spec names.

    `kept`: the list goes to the cache and is taken from there, and what is fetched for it counts together with what other processes
    fetch there; a simulator's is not and does not, since tomorrow there may be another on its port.
    """

    exchange: ir.Exchange
    product: str
    records: ir.Records
    base: str | None = None
    kept: bool = True

    @property
    def title(self) -> str:
        return f"{self.exchange.name} {self.product}"

    @property
    def messages(self) -> tuple[ir.Message, ...]:
        """The product's messages, as they are bound."""
        return bind.bind(self.exchange, self.product)

    @property
    def exists(self) -> bool:
        """Whether the spec says how instruments are listed."""
        return any(message.record == "instrument" for message in self.messages)

    def by(self, fetcher: Fetcher, ca_files: Sequence[str]) -> Get:
        """Asks the venue by `fetcher`, which counts it with all that is fetched there; `ca_files`: trusted besides the system's CAs."""
        product = self.exchange.product(self.product)
        assert product is not None
        limits, trusted = product.session.limits.weight, tuple(ca_files)
        return lambda url, body, weight: fetcher.fetch(Asked(url, body, trusted, BODY_BYTES, weight, limits, shared=self.kept))

    def file(self) -> Path:
        """Where the list is kept."""
        told = [repr((message, self.base)) for message in self.messages if message.record == "instrument"]
        digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        return home.folder("instruments") / f"{self.exchange.name}_{self.product}_{digest}.json"


def cached(source: Source) -> Listing | None:
    """The list as it was last fetched; None where it never was, or is damaged."""
    if not source.kept:
        return None
    try:
        return Listing.from_json(orjson.loads(source.file().read_bytes()))
    except (OSError, ValueError, K4Error):
        return None


def fresh(listing: Listing, now_ns: int | None = None) -> bool:
    """Whether the list is young enough to be taken for the venue's own."""
    age_ns = (time.time_ns() if now_ns is None else now_ns) - listing.fetched_ns
    return 0 <= age_ns < FRESH_S * _SECOND_NS


async def fetch(source: Source, get: Get, log: Warns) -> Listing:
    """Asks the venue for the whole list and keeps it. `log` hears of instruments that are left out. Raises K4Error."""
    messages = source.messages
    interpreter = Interpreter(source.records, messages)
    found: dict[str, Instrument] = {}
    wrong: list[str] = []
    for index, message in enumerate(messages):
        if message.record == "instrument":
            async for url, fetched in _pages(source, interpreter, index, message, get):
                _take(url, fetched, found, wrong)
    if wrong and not found:
        raise K4Error(f"{source.title}: every instrument of the list is refused: {wrong[0]}")
    if wrong:
        log.warning("instruments are left out", product=source.title, count=len(wrong), first=wrong[0])
    listing = Listing(found.values(), time.time_ns())
    if source.kept:
        _keep(source.file(), listing)
    return listing


async def have(source: Source, get: Get, log: Warns, *, anew: bool = False) -> Listing | None:
    """The list for a run: the kept one while it is fresh (unless `anew`), else the venue's, else the kept one however old. None: none.

    A run begins without a list rather than late or not at all: what it then lacks is told in the log.
    """
    kept = cached(source)
    if kept is not None and fresh(kept) and not anew:
        return kept
    try:
        async with asyncio.timeout(WAIT_S):
            return await fetch(source, get, log)
    except TimeoutError:
        reason = f"no answer within {WAIT_S:g} s"
    except K4Error as error:
        reason = str(error)
    age_s = None if kept is None else round((time.time_ns() - kept.fetched_ns) / _SECOND_NS)
    log.warning("instruments cannot be listed", product=source.title, reason=reason, kept_one_is_old_s=age_s)
    return kept


async def _pages(source: Source, interpreter: Interpreter, index: int, message: ir.Message, get: Get) -> AsyncIterator[tuple[str, Fetched]]:
    """Every page of one message: what `match` captures for the `url` is the key of the next, until there is none."""
    assert message.url is not None
    product = source.exchange.product(source.product)
    assert product is not None
    keys = captured(message) & {*bind.names_in(message.url), *(bind.names_in(message.send) if message.send else ())}
    known: dict[str, str] = {}
    asked: set[str] = set()
    while len(asked) < MOST_PAGES:
        now_ns = time.time_ns()
        url, body = session.fetch_url(product, message, known, now_ns=now_ns), session.fetch_body(product, message, known, now_ns=now_ns)
        page = f"{url} {sorted(known.items())}"
        if page in asked:
            raise K4Error(f"{url}: the venue gives a page that it has given before")
        asked.add(page)
        answer = await get(url if source.base is None else session.replace_host(url, source.base), body, message.weight)
        try:
            fetched = interpreter.fetched(index, answer, known, refload.load)
        except FetchError as error:
            raise K4Error(f"{url}: {error}: {answer[:200].decode(errors='replace')}") from error
        yield url, fetched
        known = {name: text for name, text in fetched.captures.items() if name in keys}
        if not any(known.values()):
            return
    raise K4Error(f"{source.title}: more than {MOST_PAGES} pages of instruments")


def _take(url: str, fetched: Fetched, found: dict[str, Instrument], wrong: list[str]) -> None:
    wrong += (f"{url}: {refusal.field or 'an element'} is refused: {refusal.code}" for refusal in fetched.refusals)
    for row in fetched.rows:
        try:
            one = instrument.of_row(row)
        except (ValueError, ArithmeticError) as error:
            wrong.append(f"{url}: {row.get('symbol')}: {error}")
            continue
        found[one.symbol] = one


def _keep(file: Path, listing: Listing) -> None:
    """Under a temporary name first: nobody reads half a list. A cache that cannot be written is no reason to do without the list."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(orjson.dumps(listing.to_json()))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
