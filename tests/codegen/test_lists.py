"""Lists that are marked as their frame is proven, in the compiled tolerant tier against the reference: more elements than are kept, from either
end, lists in lists, elements that paths name by index besides, and whatever can be wrong with one of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.codegen import compiled
from tests.codegen.compiled import Reference, Tolerant

SPEC = """
name = "rows"
[product.spot]
url = "wss://feed.example/x"

[[message]]
record = "trade"
match = { kind = "first", "@.on" = { is = ["yes", "*", ""], not = ["no", "n-*"] } }
each = "data[*]"
order = "window"
[message.fields]
symbol = "@.s"
trade_id = "@.i"
price = "@.b[0][0]"
qty = "@.b[1][1]?"
buyer_is_maker = { "@.side" = { buy = false, sell = true } }

[[message]]
record = "trade"
match = { kind = ["last", "latest"], "@.on" = ["yes", "1", ""] }
each = "data[-*]"
order = "window"
[message.fields]
symbol = "@.s"
trade_id = "@.i"
price = "@.b[9].p[3]?"
qty = "@.b[0][1]"
buyer_is_maker = { "@.side" = { buy = false, sell = true } }

[[message]]
record = "depth5"
match = { kind = "levels-$symbol" }
each = "data[*]"
order = "increasing"
[message.fields]
update_id = "@.i"
bid_price = "@.b[*][0]"
bid_qty = "@.b[*][1]"
ask_price = "@.a[*].p"
ask_qty = "@.a[*].q"
ask_count = "@.a[*].n?"

[[message]]
record = "bbo"
match = { kind = "of $symbol" }
order = "increasing"
[message.fields]
update_id = "groups[1].rows[9].i"
bid_price = "groups[0].rows[2].b[0][0]"
bid_qty = "groups[0].rows[2].b[0][1]?"
ask_price = "groups[0].rows[0].a[0].p?"
ask_qty = "groups[0].rows[0].a[0].q?"

[[message]]
record = "bbo"
match = { kind = "$symbol-nested" }
each = "groups[*].rows[*]"
order = "increasing"
[message.fields]
update_id = "@.i"
bid_price = "@.b[0][0]"
bid_qty = "@.b[0][1]"
ask_price = "@.a[0].p?"
ask_qty = "@.a[0].q?"
"""
KINDS = ("first", "last", "latest", "levels-FOO", "BAR-nested", "of BAR", "levels-", "other")
ODD: tuple[Any, ...] = (None, "", 0, "x", [], {}, [[]], [None, "1"], True, "n-1", "no")


class Rows:
    """Frames of the made-up venue: most of them good, many of them long."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def rarely(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def value(self) -> Any:
        return self.random.choice(ODD) if self.rarely(60) else self.random.choice(("1", "2.5", "30", 4, 0.25))

    def element(self) -> str:
        count = self.random.choice((0, 1, 2, 2, 3, 5, 6, 12))
        members: list[tuple[str, Any]] = [
            ("s", self.random.choice(("FOO", "BÄR", "a\u0007"))) if self.rarely(8) else ("s", "FOO"),
            ("i", self.random.randrange(1000)),
            ("side", self.random.choice(("buy", "sell"))),
            ("b", [[self.value(), self.value()] for _ in range(max(count, 1))] if not self.rarely(20) else self.random.choice(ODD)),
            (
                "a",
                [{"p": self.value(), "q": self.value(), "n": 3} for _ in range(count)] if not self.rarely(20) else self.random.choice(ODD),
            ),
        ]
        if self.rarely(3):
            members.append(("on", self.random.choice(("yes", "no", "n-", "n-x", 1, None, "", [1]))))
        if self.rarely(6):
            members.append(self.random.choice(members))
        if self.rarely(6):
            members.pop(self.random.randrange(len(members)))
        self.random.shuffle(members)
        gap = self.random.choice(("", "", " ", "\n"))
        text = ",".join(f'{gap}"{key}"{gap}:{gap}{json.dumps(value, ensure_ascii=self.rarely(2))}{gap}' for key, value in members)
        return json.dumps(self.random.choice(ODD)) if self.rarely(25) else f"{{{text}}}"

    def elements(self) -> str:
        return json.dumps(self.random.choice(ODD)) if self.rarely(30) else f"[{','.join(self.element() for _ in range(self.count()))}]"

    def count(self) -> int:
        return self.random.choice((0, 1, 1, 2, 3, 7, 8, 9, 20))

    def frame(self) -> bytes:
        groups = ",".join(f'{{"rows":{self.elements()}}}' for _ in range(self.random.choice((0, 1, 2, 9))))
        members = [
            f'"kind":{json.dumps(self.random.choice(KINDS))}',
            f'"data":{self.elements()}',
            f'"groups":[{groups}]',
            '"more":[{"a":1}]',
        ]
        if self.rarely(12):
            members.append(self.random.choice(members))
        self.random.shuffle(members)
        text = f"{{{','.join(members)}}}"
        if self.rarely(20):
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice('"]},:x ') + text[at + self.random.randrange(2) :]
        return text.encode()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_lists_agree_with_the_reference(tmp_path: Path, compiler: str) -> None:
    from k4._codegen import exchange

    file = tmp_path / "rows.toml"
    file.write_text(SPEC)
    spec, _ = exchange.read(file, compiled.RECORDS)  # findings: this spec has no examples
    assert spec is not None
    native, reference = Tolerant(compiled.build(tmp_path, spec, compiler), spec, "spot"), Reference(spec, "spot")
    rows = Rows(20261129)
    seen: Counter[object] = Counter()
    most = 0
    for _ in range(1000):
        frame = rows.frame()
        wanted = reference(frame)
        assert native(frame) == wanted, frame
        seen.update((item[0], item[1]) for item in wanted.items)
        seen[wanted.skip] += 1
        most = max(most, len(wanted.items))
    assert most > 20
    told = {("record", word) for word in ("trade", "depth5", "bbo")} | {
        ("refused", code) for code in ("malformed", "missing", "duplicate", "type")
    }
    assert told | {"empty", "other_channel"} <= set(seen), seen
