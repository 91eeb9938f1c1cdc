"""The tables of docs/spec-language.md, as the checker has them: `python -m codegen.specdoc` from the checkout brings the page up to date.

May import `check_fields`, `fbs`, `fields`, `ir`, `keys`, `notation`, `places`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import fields, ir, keys, notation
from .check_fields import ORDERS

_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(records: ir.Records) -> dict[str, str]:
    """Every table of the page, by name."""
    made = {
        "paths": _notations(notation.PATHS),
        "texts": _notations(notation.TEXTS),
        "names": _table(("name", "value"), ((f"`${name}`", doc) for name, doc in notation.NAMES.items())),
        "sources": _notations(notation.SOURCES),
        "words": _words(),
        "types": _table(("type", "what it takes"), ((notation.kind_title(kind), doc) for kind, doc in notation.TYPES.items())),
        "keys": _keys(),
        "limits": _limits(),
        "records": _table(("record", "what it is"), ((f"`{word}`", notation.RECORDS[word]) for word in _records(records))),
        "orders": _orders(),
    }
    # A member that several records have is described where it comes first.
    docs = {field.name: field.doc for record in reversed(records.records) for field in record.fields if field.doc}
    for word in _records(records):
        rules = fields.rules(word, records)
        if rules and word != "error":
            made[word] = _fields(word, rules, docs)
    return made


def refresh(page: str, records: ir.Records) -> str:
    """The page with each table between its marks made anew. Raises KeyError for a table that is not known."""
    made = tables(records)
    return _BLOCK.sub(lambda block: block[1] + made[block[2]] + block[3], page)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _records(records: ir.Records) -> list[str]:
    return [*(record.word for record in records.records), *fields.OTHER_RECORDS]


def _notations(rows: Iterable[notation.Notation]) -> str:
    return _table(("written", "means"), ((", ".join(f"`{s}`" if s else '`""`' for s in row.samples), row.means) for row in rows))


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
            if notation.kind_title(kind) not in named:
                named.append(notation.kind_title(kind))
    rows = ((f"`{word}`", ", ".join(named), notation.WORDS[word]) for word, named in kinds.items())
    return _table(("word", "for", "reads"), rows)


def _orders() -> str:
    words = dict.fromkeys(word for allowed in ORDERS.values() for word in allowed)
    says = {"trade": "trades", "state": "quotes and books"}
    rows = []
    for word in words:
        whose = " and ".join(says[kind] for kind, allowed in ORDERS.items() if word in allowed)
        rows.append((f"`{word}`", whose, notation.ORDERS[word]))
    return _table(("order", "for", "compares"), rows)


def _fields(word: str, rules: Iterable[fields.FieldRule], docs: Mapping[str, str]) -> str:
    rows = []
    needed = {*fields.LEVEL_NEEDED} if fields.is_depth(word) else set()
    for rule in rules:
        kind = " ".join(rule.results) if rule.results else notation.kind_title(rule.kind)
        name = f"**`{rule.name}`**" if rule.needed or rule.name in needed else f"`{rule.name}`"
        rows.append((name, kind + (", per level" if rule.level else ""), (rule.doc or docs.get(rule.name, "")).replace("\n", " ")))
    return _table(("field", "type", "meaning"), rows)


def main() -> int:
    """Writes the page anew. Returns the exit code."""
    from . import fbs, places

    page = Path(__file__).resolve().parent.parent / "docs" / "spec-language.md"
    page.write_text(refresh(page.read_text(), fbs.load(places.schema() / "records.fbs")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
