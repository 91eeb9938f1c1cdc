"""What each record takes from a spec: the fields by name, what they mean, which words may read them.

Members of market records come from `records.fbs`; what a spec may say beyond them (the symbol, flags, how a book is kept) and
the records that are no market data stand in the tables below. The checker, the docs' tables and the tests read the same tables.
May import `ir`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from . import ir

TIME_WORDS = ("s", "ms", "us", "ns", "auto", "iso")
CHECKSUM_RULES = ("crc32-interleaved-25", "crc32-digits-10")
_SHIFT = re.compile(r"e(-?[0-9]{1,2})")

# Which words may stand right of a path, by the kind of the field. `e-4` stands for any shift.
WORDS: dict[str, tuple[str, ...]] = {
    "time": TIME_WORDS,
    "price": ("e-4", "abs", "nonzero"),
    "qty": ("e-4", "abs", "nonzero"),
    "decimal": ("e-4", "abs", "nonzero"),
    "integer": ("nonzero", *TIME_WORDS),
    "count": ("nonzero",),
    "id": ("nonzero",),
    "bool": ("negative",),
    "checksum": CHECKSUM_RULES,
    "enum": (),
    "text": (),
    "symbol": (),
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One field a spec may give. `level`: one value per level of a depth record. `results`: all that an `enum` can be.

    `kept`: it steers how a book is kept and is no part of the record that comes out.
    """

    name: str
    kind: str
    needed: bool
    doc: str
    level: bool = False
    results: tuple[str, ...] = ()
    kept: bool = False


# --------------------------------------------------------------------------- beyond the members of market records

SYMBOL = FieldRule("symbol", "symbol", True, "the venue's own name of the instrument")
EVERY_MARKET = (
    FieldRule("backfill", "bool", False, "sent again or late on purpose: flag BACKFILL"),
    FieldRule("reset", "bool", False, "the venue's ids start anew: flag RESET"),
)
BOOK = (
    FieldRule("snapshot", "bool", False, "given: a book is kept; true replaces it, false changes it", kept=True),
    FieldRule("first_id", "integer", False, "first id an update covers", kept=True),
    FieldRule("prev_id", "integer", False, "id of the update before", kept=True),
    FieldRule("checksum", "checksum", False, "the venue's checksum over the book, with its rule", kept=True),
)
SIDED = (
    FieldRule("side", "enum", False, "which side a level belongs to, where levels are mixed or alone", True, ("bid", "ask")),
    FieldRule("price", "price", False, "price of a level, with `side`", True),
    FieldRule("qty", "qty", False, "quantity of a level, with `side`", True),
)
LEVEL_NEEDED = ("bid_price", "bid_qty", "ask_price", "ask_qty")
SIDED_NEEDED = ("side", "price", "qty")

INSTRUMENT = (
    SYMBOL,
    FieldRule("kind", "enum", False, "what sort of instrument it is", False, ("spot", "perpetual", "future", "option")),
    FieldRule("expiry_ns", "time", False, "when it expires"),
    FieldRule("base", "text", False, "base currency"),
    FieldRule("quote", "text", False, "quote currency"),
    FieldRule("settle", "text", False, "currency of settlement"),
    FieldRule("price_step", "decimal", False, "step of prices, default 1, times 10^-price_digits"),
    FieldRule("qty_step", "decimal", False, "step of quantities, default 1, times 10^-qty_digits"),
    FieldRule("price_digits", "integer", False, "fraction digits of prices, default 0"),
    FieldRule("qty_digits", "integer", False, "fraction digits of quantities, default 0"),
    FieldRule("contract_size", "decimal", False, "what one contract is worth, times contract_mult"),
    FieldRule("contract_mult", "decimal", False, "factor of contract_size, default 1"),
    FieldRule("contract_currency", "text", False, "currency of contract_size"),
    FieldRule("qty_unit", "enum", False, "what a quantity counts", False, ("base", "quote", "contract")),
    FieldRule("trading", "bool", False, "whether it is traded now"),
)
ANSWER = (
    FieldRule("id", "text", False, "id of the request that is answered"),
    FieldRule("channel", "text", False, "channel of the stream that is meant"),
    FieldRule("symbol", "text", False, "symbol of the stream that is meant"),
    FieldRule("code", "text", False, "the venue's code"),
    FieldRule("text", "text", False, "the venue's words"),
)
OTHER_RECORDS: dict[str, tuple[FieldRule, ...]] = {
    "instrument": INSTRUMENT,
    "vars": (),
    "ack": ANSWER,
    "error": ANSWER,
    "pong": (),
    "ping": (),
    "notice": (),
    "control": (),
    "dropped": (),
}

# Members that the feed fills in, not a spec.
_OWN_KINDS = frozenset({"index", "flags", "exponent", "pad", "level_count"})
_OWN_NAMES = frozenset({"recv_ns"})


def is_depth(word: str) -> bool:
    return word.startswith("depth")


def book_of(messages: Iterable[ir.Message], message: ir.Message) -> str:
    """The record whose books a depth message with `snapshot` changes: the deepest that it gives. A fetched snapshot is of the book of the
    pushed message that waits for it and gives the same record."""
    if message.url is not None:
        pushed = (one for one in messages if one.waits and message.record in one.records)
        message = next(pushed, message)
    return max(message.records, key=lambda word: int(word.removeprefix("depth")) if word.startswith("depth") else 0)


def rules(word: str, records: ir.Records) -> tuple[FieldRule, ...]:
    """The fields of a record in record order: symbol, the members as the schema has them, then what steers a book."""
    record = records.record(word)
    if record is None:
        return OTHER_RECORDS[word]
    members: list[FieldRule] = [SYMBOL]
    for field in record.fields:
        if field.kind in _OWN_KINDS or field.name in _OWN_NAMES:
            continue
        results = tuple(name for name, _ in records.enum(field.enum).values) if field.enum else ()
        members.append(FieldRule(field.name, field.kind, field.needed, field.doc, field.length > 0, results))
        if field.name == "engine_ns":
            members += EVERY_MARKET
    return (*members, *(BOOK + SIDED if is_depth(word) else ()))


def message_rules(message: ir.Message, records: ir.Records) -> dict[str, FieldRule]:
    """The fields a message may give, by name. A message that cuts several records takes the fields of the deepest one."""
    depths = [word for word in message.records if is_depth(word)]
    word = max(depths, key=lambda name: int(name.removeprefix("depth"))) if depths else message.record
    return {rule.name: rule for rule in rules(word, records)}


def shift(word: str | None) -> int | None:
    """How far the word moves the decimal point; None: it is another."""
    found = _SHIFT.fullmatch(word or "")
    return None if found is None else int(found[1])


def word_allowed(kind: str, word: str) -> bool:
    """Whether `word` may read a field of this kind."""
    return word in WORDS[kind] or ("e-4" in WORDS[kind] and shift(word) is not None)


def all_words() -> tuple[str, ...]:
    """Every word the language has, each once."""
    return tuple(dict.fromkeys(word for words in WORDS.values() for word in words))
