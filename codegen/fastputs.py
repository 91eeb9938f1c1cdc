"""How a record is filled from the values that the fast tier has read: the model of each function that does it.

May import `fastslots`, `ir`, `layouttokens`, `puts`, `render`.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import ir
from .fastslots import Names, array
from .layouttokens import Layout
from .puts import BOOL, DECIMAL, DIGITS, TEXT, Put
from .render import book_function, c_text

_UPDATE = (
    ("event_ns", "time"), ("engine_ns", "time"), ("update_id", "integer"), ("first_id", "integer"), ("prev_id", "integer"),
    ("snapshot", "bool"),
)  # fmt: skip
# What a member is filled from, where that is not digits.
_KINDS = {
    "price": DECIMAL,
    "qty": DECIMAL,
    "bool": BOOL,
    "told": BOOL,
    "map": TEXT,
    "hashed": TEXT,
    "symbol": TEXT,
    "checksum": DECIMAL,
}


class Puts:
    """Of one product. `symbol`: what its functions are named by."""

    def __init__(self, exchange: str, records: ir.Records, messages: Sequence[ir.Message], names: Names, symbol: str) -> None:
        self.exchange = exchange
        self.records = records
        self.messages = messages
        self.names = names
        self.symbol = symbol
        self.made: dict[tuple[int, tuple[Put, ...]], tuple[str, str]] = {}  # its name and the record's word

    def name(self, layout: Layout) -> str:
        """What fills the record of a layout."""
        key = (layout.message, layout.puts)
        name, _ = self.made.setdefault(key, (f"{self.symbol}_put{len(self.made)}", layout.record))
        return name

    def book(self, message: int) -> str:
        """The function of a message that keeps a book, else ""."""
        kept = self.messages[message].field("snapshot") is not None
        return book_function(self.exchange, self.messages[message].line, message) if kept else ""

    def models(self) -> list[dict[str, object]]:
        """Of all that were named."""
        return [self._put(name, record, message, puts) for (message, puts), (name, record) in self.made.items()]

    def _put(self, name: str, record: str, message: int, puts: tuple[Put, ...]) -> dict[str, object]:
        type_ = next(r for r in self.records.records if r.word == record)
        by_member = {put.member: put for put in puts}
        if self.book(message):
            return self._update(name, message, by_member)
        return {
            "name": name,
            "book": "",
            "message": message,
            "record": type_,
            "symbol": self._filled(by_member["symbol"]),
            "members": [self._member(type_, f, by_member, puts) for f in type_.fields if f.name != "recv_ns" and f.kind != "index"],
            "exponents": {kind: self._kind(type_, by_member, kind) for kind in ("price", "qty")},
            "even": self._even(puts),
        }

    def _update(self, name: str, message: int, puts: dict[str, Put]) -> dict[str, object]:
        """How the update of a book is filled, its levels apart."""
        flags = [(word, self._filled(puts[word])) for word in ("backfill", "reset") if word in puts]
        members: list[dict[str, object]] = [{"name": "flags", "kind": "flags", "length": 0, "how": "flags", "put": None, "flags": flags}]
        for member, kind in _UPDATE:
            filled = self._filled(puts[member]) if member in puts else {"how": "absent", "put": None}
            members.append({"name": member, "kind": kind, "length": 0, **filled})
        sum_ = self._filled(puts["checksum"]) if "checksum" in puts else None
        order = self.messages[message].order or "none"
        return {
            "name": name,
            "book": self.book(message),
            "message": message,
            "symbol": self._filled(puts["symbol"]),
            "members": members,
            "checksum": sum_,
            "order": order,
        }

    def _filled(self, put: Put) -> dict[str, object]:
        """A put with the names of its slots in place of paths."""
        path = put.capture.path if put.capture is not None else put.path
        kind = _KINDS.get(put.how, DIGITS)
        return {
            "how": put.how,
            "slot": self.names.slot(path, kind) if path else "",
            "last": self.names.slot(put.last, kind) if put.last else "",
            "put": put,
            "entries": [(c_text(text.encode()), value) for text, value in put.entries],
            "told": [dict(put.entries).get(text, put.default) for text in ("true", "false")],
            "then": self._filled(put.then) if put.then is not None else None,
        }

    def _member(self, record: ir.RecordType, member: ir.RecordField, puts: dict[str, Put], every: tuple[Put, ...]) -> dict[str, object]:
        """What the template writes into one member of a record."""
        out: dict[str, object] = {"name": member.name, "kind": member.kind, "length": member.length, "how": "absent", "put": None}
        if member.kind == "flags":
            words = [(put.member, self._filled(put)) for put in every if put.member in ("backfill", "reset", "one_sided")]
            words += [("hashed_id", self._filled(put)) for put in every if put.how == "hashed"]
            return {**out, "how": "flags", "flags": words}
        if member.kind == "level_count":
            side = next(put for put in every if put.member == f"{member.name.removesuffix('_levels')}_price")
            most = next(f.length for f in record.fields if f.name == side.member)
            return {**out, "how": "levels", "most": most, "count": self.names.slot(array(side.path), "count")}
        put = puts.get(member.name)
        if put is None:
            return out
        if member.length:
            return {
                **out,
                "how": put.how,
                "put": put,
                "slot": self.names.slot(put.path, DIGITS if put.how == "count" else DECIMAL, kept=True),
            } | {"count": self.names.slot(array(put.path), "count")}
        return {**out, **self._filled(put)}

    def _kind(self, record: ir.RecordType, puts: dict[str, Put], kind: str) -> list[dict[str, object]]:
        """All values of one kind, which share an exponent."""
        return [self._member(record, f, puts, tuple(puts.values())) for f in record.fields if f.kind == kind and f.name in puts]

    def _even(self, puts: tuple[Put, ...]) -> list[tuple[str, str]]:
        """Pairs of arrays of one side that must have as many levels: told apart only where a side has two arrays."""
        out: list[tuple[str, str]] = []
        for side in ("bid", "ask"):
            arrays = list(
                dict.fromkeys(
                    array(put.path) for put in puts if put.member.startswith(f"{side}_") and "*" in put.path and put.how != "symbol"
                )
            )
            counts = [self.names.slot(array, "count") for array in arrays if array]
            out += [(counts[0], other) for other in counts[1:]]
        return out
