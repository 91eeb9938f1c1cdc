"""What must be fetched before a connect: tokens, endpoints and the like, which a spec's `vars` messages bring.

They are asked for anew before each connect, since a token may be good for one. Imports `errors`, `fetch`,
`link`, `session`, `venue`.
"""

from __future__ import annotations

import time

from . import session
from .errors import K4Error
from .fetch import Fetch
from .link import LinkError, target
from .venue import Venue

# Names are few and short.
MOST_BYTES = 1 << 20


async def learn(venue: Venue, fetch: Fetch | None) -> dict[str, str]:
    """Every name that the product fetches, in the order of the spec: what one message brings, the next may use. Raises K4Error."""
    names: dict[str, str] = {}
    for index, message in enumerate(venue.messages):
        if message.record != "vars":
            continue
        if fetch is None:
            raise K4Error(f"{venue.exchange.name} {venue.product.name} must fetch names before it connects, and there is no fetcher")
        now_ns = time.time_ns()
        url = session.fetch_url(venue.product, message, names, now_ns=now_ns)
        asked = session.fetch_body(venue.product, message, names, now_ns=now_ns)
        body = await fetch.get(url, asked, most=MOST_BYTES, weight=message.weight)
        names |= venue.names(index, body, names, url)
    return names


async def address(venue: Venue, plan: session.Plan, fetch: Fetch | None, base: str | None) -> tuple[str, dict[str, str]]:
    """Where to dial for `plan`, and the names that were fetched for it. `base`: to dial instead of what the URL names. Raises K4Error."""
    names = await learn(venue, fetch)
    url = session.connect_url(venue.product, plan, names)
    url = url if base is None else session.replace_host(url, base)
    try:
        target(url)
    except LinkError as error:
        # A token may stand behind the path, and is nobody's business.
        raise K4Error(f"{url.partition('?')[0]!r}, which was fetched, is {error}") from error
    return url, names
