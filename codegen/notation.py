"""The notations of the language, each with a sample and what it means: what the reference page and its test take them from.

Keyed by what the readers make of them, so that one that is added to `ir` or `fields` and not told here is seen. May import `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import ir


@dataclass(frozen=True, slots=True)
class Notation:
    """`samples`: as they are written. `made`: the class of `ir` that each becomes, None where it is part of another."""

    samples: tuple[str, ...]
    made: type | None
    means: str


PATHS = (
    Notation(("a.b",), ir.Key, "member `b` of member `a`; a key is any text without `. [ ] $ ? @ *`"),
    Notation(("a[0]", "a[-1]"), ir.Index, "an element counted from the front, from the end"),
    Notation(("a[*]", "a[-*]"), ir.Every, "every element, first to last; last to first, for lists with the newest first"),
    Notation(("a[kind=STEP]",), ir.Find, "the first element whose member `kind` is the text `STEP`"),
    Notation(("a.$name",), ir.Members, "every member of `a`; its key becomes `$name`"),
    Notation(("@.b", "@[0]", "@"), None, "from the current element of `each` instead of the root"),
    Notation((".",), None, "the frame itself, also one that is no JSON"),
    Notation(("a.b?",), None, 'may be absent: no such key, `null`, `""`, or past the end of a list'),
)

TEXTS = (
    Notation(("btc",), ir.Lit, "itself"),
    Notation(("$name", "${name}"), ir.Ref, "sent: the name's value; matched: compared where it is known, else the shortest run that fits"),
    Notation(("${name:lower}",), ir.Ref, "written in lower case, read back in upper case (ASCII letters only)"),
    Notation(("*",), ir.Star, "in patterns: alone any value that is there, within a text any run of characters"),
    Notation(("",), None, "in patterns: absent"),
)

SOURCES = (
    Notation(('price = "@.px"',), ir.FromPath, "the value at a path, read by the field's own type, number or string alike"),
    Notation(('event_ns = { "@.t" = "ms" }',), ir.FromPath, "a path and the word that says how to read it"),
    Notation(
        ('buyer_is_maker = { "@.side" = { buy = false, sell = true } }',),
        ir.FromMap,
        'a path and a map of the value as written; `"*"`: any other; `""` as a result is absent; what the map lacks refuses the record',
    ),
    Notation(('backfill = "=true"',), ir.FromText, 'a constant; `"="` alone: the venue does not give this field'),
    Notation(('qty_unit = "$qty_unit"',), ir.FromName, "a known name or a capture"),
    Notation(('price_step = ["@.tick?", "@.step"]',), ir.FromFirst, "the first that is not absent"),
)

# Names that have a value by themselves; `vars` may not use them.
NAMES = {
    "channel": "the message's own `channel`, its `$symbol` still open",
    "symbol": "the instrument: of a stream asked for, of what is fetched, of a connection with a single stream; a capture elsewhere",
    "args": "the rendered `arg`s: in a request with commas between, in a product's `url` with `/`",
    "id": "a number that counts requests",
    "now_s": "the time in seconds, where something is sent or fetched",
    "now_ms": "the same in milliseconds",
}

WORDS = {
    "s": "seconds; fractions are kept to the nanosecond",
    "ms": "milliseconds, likewise",
    "us": "microseconds, likewise",
    "ns": "nanoseconds",
    "auto": "s, ms, us or ns, by 10, 13, 16 or 19 digits",
    "iso": "a date with a time: `2023-11-14T22:13:20.25Z`",
    "e-4": "decimal point moved, by any number: `e-8`, `e2`",
    "abs": "without its sign",
    "nonzero": "0 counts as absent",
    "negative": "true where the number is below 0",
    "crc32-interleaved-25": "CRC-32 of `bid:qty:ask:qty…`, 25 levels, texts as received",
    "crc32-digits-10": "CRC-32 of ten asks, then ten bids, digits without point and leading zeros",
}

TYPES = {
    "symbol": "a text of 1 to 48 bytes",
    "time": "a number with a word for its unit, or a date; kept in ns",
    "price": "a JSON number or a string of one, digit for digit, exponent allowed",
    "integer": "an int64, number or string",
    "count": "an integer from 0 to 2^31 - 1",
    "id": "digits that fit an int64 are that integer; any other text its hash, flag HASHED_ID",
    "bool": "`true`, `false`, or a map to them",
    "enum": "a map to the words that the field's table names",
    "text": "a string, or a number as written",
    "checksum": "a number, signed or not, with the word of its rule",
}

ORDERS = {
    "increasing": "a greater id is new; a lower one on the same connection, or `reset`, begins a new epoch",
    "window": "an id that was not seen before is new",
    "contiguous": "the same as `window` for trades, as `increasing` for state, and ids step by one, so holes are counted",
    "leader": "there is no usable id: one connection publishes, another takes over when it is silent",
}

RECORDS = {
    "bbo": "best bid and offer",
    "trade": "one trade",
    "aggtrade": "trades that the venue has put together",
    "depth5": "the best five levels of each side; with `snapshot`, cut from a book that is kept",
    "depth20": "the same with twenty",
    "instrument": "fetched: one instrument of a product's list",
    "vars": "fetched before each connect: names for templates",
    "ack": "what was asked is granted",
    "error": "what was asked is refused",
    "pong": "answers `ping.send`",
    "ping": "the venue asks, `send` answers",
    "notice": "this link is about to be closed: K4 replaces it",
    "control": "known, without a meaning",
    "dropped": "data that K4 never publishes",
}


def kind_title(kind: str) -> str:
    """A field's kind as the page calls it: prices, quantities and other decimals are read alike."""
    return "decimal" if kind in {"price", "qty", "decimal"} else kind
