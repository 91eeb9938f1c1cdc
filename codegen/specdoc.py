"""The tables of docs/spec-language.md, as the checker has them: `python -m codegen.specdoc` from the checkout brings the page up to date.

May import `check_fields`, `fbs`, `fields`, `ir`, `keys`, `places`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import fields, ir, keys
from .check_fields import ORDERS

_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS = {
    "symbol": "text, 1 to 48 bytes",
    "time": "time",
    "price": "decimal",
    "qty": "decimal",
    "decimal": "decimal",
    "integer": "integer",
    "count": "count",
    "id": "id",
    "bool": "bool",
    "text": "text",
    "checksum": "checksum",
}


def tables(records: ir.Records) -> dict[str, str]:
    """Every table of the page, by name."""
    made = {"keys": _keys(), "limits": _limits(), "words": _words(), "orders": _orders()}
    for word in (*(record.word for record in records.records), *fields.OTHER_RECORDS):
        rules = fields.rules(word, records)
        if rules and word != "error":
            made[word] = _fields(word, rules)
    return made


def refresh(page: str, records: ir.Records) -> str:
    """The page with each table between its marks made anew. Raises KeyError for a table that is not known."""
    made = tables(records)
    return _BLOCK.sub(lambda block: block[1] + made[block[2]] + block[3], page)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _keys() -> str:
    rows = ((f"`{key.name}`", ", ".join(key.tables), key.holds, key.doc) for key in keys.KEYS)
    return _table(("key", "stands in", "holds", "meaning"), rows)


def _limits() -> str:
    return _table(("limit", "holds", "meaning"), ((f"`{limit.name}`", limit.holds, limit.doc) for limit in keys.LIMITS))


def _words() -> str:
    kinds: dict[str, list[str]] = {}
    for kind, words in fields.WORDS.items():
        for word in words:
            named = kinds.setdefault(word, [])
            if _KINDS.get(kind, kind) not in named:
                named.append(_KINDS.get(kind, kind))
    return _table(("word", "reads"), ((f"`{word}`", ", ".join(named)) for word, named in kinds.items()))


def _orders() -> str:
    words = dict.fromkeys(word for allowed in ORDERS.values() for word in allowed)
    says = {"trade": "trades", "state": "quotes and books"}
    rows = ((f"`{word}`", " and ".join(says[kind] for kind, allowed in ORDERS.items() if word in allowed)) for word in words)
    return _table(("order", "for"), rows)


def _fields(word: str, rules: Iterable[fields.FieldRule]) -> str:
    rows = []
    needed = {*fields.LEVEL_NEEDED} if fields.is_depth(word) else set()
    for rule in rules:
        kind = " ".join(rule.results) if rule.results else _KINDS[rule.kind]
        name = f"**`{rule.name}`**" if rule.needed or rule.name in needed else f"`{rule.name}`"
        rows.append((name, kind + (", per level" if rule.level else ""), rule.doc.replace("\n", " ")))
    return _table(("field", "type", "meaning"), rows)


def main() -> int:
    """Writes the page anew. Returns the exit code."""
    from . import fbs, places

    page = Path(__file__).resolve().parent.parent / "docs" / "spec-language.md"
    page.write_text(refresh(page.read_text(), fbs.load(places.schema() / "records.fbs")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
