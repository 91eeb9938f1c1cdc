"""Every key of the spec language: where it stands, what it holds, what it means. The reader and the reference page share this table.

Imports nothing of the project.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One key. `tables`: what it stands in; `holds`: its type and default, in words."""

    name: str
    tables: tuple[str, ...]
    holds: str
    doc: str


@dataclass(frozen=True, slots=True)
class LimitRule:
    """One word of `limits`."""

    name: str
    holds: str
    doc: str


TOP, PRODUCT, SESSION, MESSAGE, EXAMPLE, SBE = "top", "product", "session", "message", "example", "sbe"
SUBSCRIBE, UNSUBSCRIBE, PING = "subscribe", "unsubscribe", "ping"
_MANNERS = (SESSION, PRODUCT)

KEYS = (
    KeyRule("name", (TOP,), "text", "the exchange; equals the name of the file"),
    KeyRule(
        "product",
        (TOP, MESSAGE, EXAMPLE),
        "tables; text or list, default all; text, default the message's first",
        "at the top: what is subscribed as one universe; on a message: the products it exists in; on an example: whose wire it is",
    ),
    KeyRule("session", (TOP,), "table", "manners of every connection; a product may give any of its keys itself, which then replaces it"),
    KeyRule("message", (TOP,), "array of tables", "one thing the venue says"),
    KeyRule("url", (PRODUCT, SBE, MESSAGE), "text", "where to connect; where to fetch"),
    KeyRule(
        "sbe",
        (PRODUCT,),
        "`{ schema, url, headers }`",
        "the same universe in SBE: a second endpoint, whose binary frames are messages with a `template`",
    ),
    KeyRule("schema", (SBE,), "text", "the SBE schema: `<schema>.xml` beside the spec, or one that K4 brings along"),
    KeyRule("headers", (SBE,), "`{ name = text }`", "headers of the upgrade request; `$name` is one of the config's `secrets`"),
    KeyRule("vars", (PRODUCT, MESSAGE), "table of texts", "names for templates and patterns; the message's win over the product's"),
    KeyRule(
        "subscribe",
        _MANNERS,
        "`{ send, arg }`",
        "how streams are asked for: `$args` in `send` is the list of rendered `arg`s; without `arg`, one request per stream",
    ),
    KeyRule("unsubscribe", _MANNERS, "`{ send, arg }`", "how streams are given up; same form"),
    KeyRule("ping", _MANNERS, "`{ send, every_s }`", "what makes the venue answer, and how often it wants to hear that"),
    KeyRule("limits", _MANNERS, "table, default none", "what the venue allows; its words stand below"),
    KeyRule("encoding", _MANNERS, "`gzip` or `deflate`, default none", "how the payload of binary frames is packed"),
    KeyRule(
        "send",
        (SUBSCRIBE, UNSUBSCRIBE, PING, MESSAGE),
        "text",
        "what K4 says: a request; the answer to a `ping` message; the body of a POST that fetches (GET without it)",
    ),
    KeyRule("arg", (SUBSCRIBE, UNSUBSCRIBE), "text", "one stream's part of a request"),
    KeyRule("every_s", (PING,), "seconds, default never", "the interval the venue asks for"),
    KeyRule("record", (MESSAGE,), "name or list", "what the message gives; a list cuts several records from the same levels"),
    KeyRule("channel", (MESSAGE,), "text, default none", "the stream to ask for; without it, the message comes along with others"),
    KeyRule("match", (MESSAGE,), "`{ path = pattern }`", "how the message is recognised: all entries must hold; needed unless fetched"),
    KeyRule(
        "template",
        (MESSAGE,),
        "text, default none",
        "an SBE message: the template of the schema that it is recognised by, in place of `match`; paths are then names of the schema",
    ),
    KeyRule("each", (MESSAGE,), 'path or list, default `"."`', "what `@` is; of a list, the first path that exists"),
    KeyRule("fields", (MESSAGE,), "`{ field = source }`", "where the fields of the record come from"),
    KeyRule(
        "silence_s",
        (MESSAGE,),
        "seconds, default never",
        "the venue pushes its stream at least so often, also when nothing changes: a symbol without it for so long is STALE",
    ),
    KeyRule("weight", (MESSAGE,), "count, default 1", "what fetching it once counts of `limits.weight`"),
    KeyRule("order", (MESSAGE,), "word", "how updates are told apart and sorted; needed for market data that is pushed"),
    KeyRule("example", (MESSAGE,), "array of tables", "frames of the venue, decoded in sequence; at least one"),
    KeyRule("wire", (EXAMPLE,), "text", "the frame as it comes, byte for byte, values invented; of an SBE message in hex, blanks between"),
    KeyRule("expect", (EXAMPLE,), "list of tables, default `[]`", "every record it gives, with every field that the message gives"),
)

LIMITS = (
    LimitRule("silence_s", "seconds", "a link without any frame for so long is dead"),
    LimitRule("age_s", "seconds", "the venue closes a connection after this time"),
    LimitRule("streams", "count", "streams on one connection"),
    LimitRule("args", "count", "`arg`s in one request"),
    LimitRule("bytes", "count", "size of one request"),
    LimitRule("requests", '`"5/1s"` or a list', "messages to the venue on one connection in so many seconds, pings and pongs among them"),
    LimitRule("subscribes", '`"5/1s"` or a list', "requests to subscribe and unsubscribe on one connection in so many seconds"),
    LimitRule("connects", '`"5/1s"` or a list', "connections made in so many seconds"),
    LimitRule("weight", '`"5/1s"` or a list', "what is fetched from the product's host in so many seconds, in the venue's own weights"),
)


def of(table: str) -> tuple[str, ...]:
    """The keys that may stand in a table."""
    return tuple(key.name for key in KEYS if table in key.tables)
