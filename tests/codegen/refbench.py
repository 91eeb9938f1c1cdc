"""The reference interpreter on a small invented spec without examples, spoken to in text."""

from __future__ import annotations

from pathlib import Path

from k4._codegen import bind, exchange, ir
from k4._codegen.reference import Interpreter, Outcome, Record, Refusal

from .specs import RECORDS

HEAD = """
name = "spec"
[product.spot]
url = "wss://feed.example/$path"
vars = { market = "SPOT", path = "x" }
[product.perp]
url = "wss://feed.example/$path"
vars = { market = "PERP", path = "x" }
"""
DEPTH = """
[[message]]
record = ["bbo", "depth5"]
channel = "top.${symbol:lower}"
match = { topic = "$channel" }
order = "increasing"
fields = { update_id = "u", bid_price = "b[*][0]", bid_qty = "b[*][1]", ask_price = "a[*].p", ask_qty = "a[*].q", ask_count = "a[*].n?" }
"""


def messages(tmp_path: Path, text: str, product: str = "spot") -> tuple[tuple[ir.Message, ...], tuple[ir.Message, ...]]:
    file = tmp_path / "spec.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    found, _ = exchange.read(file, RECORDS)  # findings: these specs have no examples
    assert found is not None
    other = next(one.name for one in found.products if one.name != product)
    return bind.bind(found, product), bind.bind(found, other)


class Bench:
    """An interpreter of a small spec, spoken to in text."""

    def __init__(self, tmp_path: Path, text: str, symbol: str | None = None) -> None:
        own, other = messages(tmp_path, text)
        self.interpreter = Interpreter(RECORDS, own, (other,), symbol)

    def __call__(self, frame: str | bytes) -> Outcome:
        return self.interpreter.decode(frame if isinstance(frame, bytes) else frame.encode())

    def records(self, frame: str) -> list[Record]:
        outcome = self(frame)
        assert outcome.skip is None
        assert all(isinstance(item, Record) for item in outcome.items), outcome
        return [item for item in outcome.items if isinstance(item, Record)]

    def one(self, frame: str) -> Record:
        (found,) = self.records(frame)
        return found

    def refused(self, frame: str | bytes) -> list[tuple[str, int | None, int, str | None]]:
        outcome = self(frame)
        assert outcome.skip is None
        return [(item.code, item.message, item.offset, item.field) for item in outcome.items if isinstance(item, Refusal)]


def names(record: Record) -> set[str]:
    return {name for name, bit in RECORDS.enum("Flag").values if record.flags >> bit & 1}


def at(frame: str, piece: str, skip: int = 0) -> int:
    """The byte offset of `piece` in `frame`, plus `skip`."""
    return frame.encode().index(piece.encode()) + skip
