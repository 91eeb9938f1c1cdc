"""`k4 spec diff`: what each kind of change means, with file and line, and the exit code that goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from k4 import specs
from k4.errors import K4Error, UsageError

ROOT = Path(__file__).resolve().parent.parent
RECORDS = (ROOT / "schema/records.fbs").read_text()

Changes = list[tuple[str, str]]


def told(folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, name: str) -> tuple[int, list[str], str]:
    """Exit code, the lines without folder and line number, and the sum."""
    for side, text in (("old", old), ("new", new)):
        (folder / side).mkdir(exist_ok=True)
        (folder / side / name).write_text(text)
    code = specs.diff(folder / "old" / name, folder / "new" / name)
    said = capsys.readouterr()
    lines = []
    for line in said.out.splitlines():
        place, _, rest = line.removeprefix(f"{folder}/").partition(": ")
        file, _, number = place.partition(":")
        assert 1 <= int(number) <= max(old.count("\n"), new.count("\n")) + 1
        lines.append(f"{file.partition('/')[0]}: {rest}")
    return code, lines, said.err.strip()


def changed(text: str, changes: Changes) -> str:
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after, 1)
    return text


SMALL = """name = "small"
[product.spot]
url = "wss://h.example/ws"
[product.perp]
url = "wss://h.example/perp"
[session]
subscribe = { send = '{"SUB":[$args]}', arg = '"$channel"' }
[[message]]
record  = "trade"
channel = "t.$symbol"
match   = { ch = "$channel" }
order   = "window"
fields  = { trade_id = "i", price = "p", qty = "q", buyer_is_maker = { "s" = { b = false, s = true } }, event_ns = { "ts" = "ms" } }
[[message.example]]
wire   = '{"ch":"t.AB","i":1,"p":"1.5","q":"2","s":"b","ts":1700000000000}'
expect = [{ symbol = "AB", trade_id = 1, price = "1.5", qty = "2", buyer_is_maker = false, event_ns = 1700000000000000000 }]
[[message]]
record  = "bbo"
channel = "q.$symbol"
match   = { ch = "$channel" }
order   = "increasing"
fields  = { update_id = "i", bid_price = "b", bid_qty = "B", ask_price = "a", ask_qty = "A" }
[[message.example]]
wire   = '{"ch":"q.AB","i":1,"b":"1.5","B":"2","a":"1.6","A":"3"}'
expect = [{ symbol = "AB", update_id = 1, bid_price = "1.5", bid_qty = "2", ask_price = "1.6", ask_qty = "3" }]
"""
TRADE = SMALL[SMALL.index('[[message]]\nrecord  = "trade"') : SMALL.index('[[message]]\nrecord  = "bbo"')]
T, Q = 'message "trade" of spot, perp', 'message "bbo" of spot, perp'
SPECS: list[tuple[Changes, int, list[str]]] = [
    ([], 0, []),
    ([("SUB", "ADD")], 0, [f'new: compatible: wire: product "{name}": subscribe differs' for name in ("spot", "perp")]),
    (
        [("wss://h.example/perp", "wss://two.example/perp")],
        0,
        ['new: compatible: wire: product "perp" is at wss://two.example/perp, was at wss://h.example/perp'],
    ),
    (
        [('ask_qty = "A"', 'ask_qty = "C"'), ('"A":"3"', '"C":"3"')],
        0,
        [f'new: compatible: wire: {Q}: ask_qty is at "C", was at "A"'],
    ),
    (
        [('update_id = "i"', 'update_id = "n"'), ('"ch":"q.AB","i":1', '"ch":"q.AB","n":1')],
        4,
        [f'new: break: {Q}: update_id is another id, "n" for "i", not comparable with what came before'],
    ),
    (
        [('"window"', '"contiguous"')],
        0,
        [f"new: compatible: {T}: order is contiguous, was window: GAP, LATE and RESET follow the new rule"],
    ),
    (
        [("{ b = false, s = true }", "{ b = true, s = false }"), ("buyer_is_maker = false", "buyer_is_maker = true")],
        4,
        [f"new: break: {T}: buyer_is_maker is read in another way; the same bytes give another value"],
    ),
    (
        [('{ "ts" = "ms" }', '{ "ts" = "us" }'), ("event_ns = 1700000000000000000", "event_ns = 1700000000000000")],
        4,
        [f"new: break: {T}: event_ns is read in another way; the same bytes give another value"],
    ),
    (
        [(', event_ns = { "ts" = "ms" }', ""), (", event_ns = 1700000000000000000", "")],
        4,
        [f"old: break: {T}: event_ns is no longer given; readers find it absent"],
    ),
    ([(TRADE, "")], 4, [
        'old: break: product "spot" gives no trade any more: its segment is written no more',
        'old: break: product "perp" gives no trade any more: its segment is written no more',
        f"old: compatible: {T} is gone; the venue may still send it",
    ]),
    ([('[product.perp]\nurl = "wss://h.example/perp"\n', "")], 4, [
        'old: break: product "perp" is gone: its segments are written no more',
    ]),
    ([('"i", price', '"i?", price'), ('channel = "t.$symbol"', 'channel = "trades.$symbol"'), ("t.AB", "trades.AB")], 0, [
        f'new: compatible: wire: {T}: channel is "trades.$symbol", was "t.$symbol"',
        f"new: compatible: {T}: trade_id may be absent now",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "lines"), SPECS, ids=range(len(SPECS)))
def test_specs(changes: Changes, code: int, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = told(tmp_path, capsys, SMALL, changed(SMALL, changes), "small.toml")
    assert got[0] == code
    assert sorted(got[1]) == sorted(lines)
    assert got[2] == (
        "no difference" if not lines else {0: "compatible: readers go on as they are", 4: "break: readers must be looked at"}[code]
    )


def test_what_is_new_is_compatible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = told(tmp_path, capsys, SMALL.replace(TRADE, ""), SMALL, "small.toml")
    assert (code, sorted(lines)) == (0, [
        f"new: compatible: {T} is new",
        'new: compatible: product "perp" gives trade now',
        'new: compatible: product "spot" gives trade now',
    ])  # fmt: skip


def test_another_name_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "large.toml").write_text(SMALL.replace('"small"', '"large"'))
    assert specs.diff(tmp_path / "small.toml", tmp_path / "large.toml") == 4
    assert capsys.readouterr().out == (
        f'{tmp_path}/large.toml:1: break: the exchange is called "large", was "small": so do segments and the symbols in them\n'
    )


SCHEMAS: list[tuple[Changes, int, list[str]]] = [
    ([("/// One trade as the venue reports it.", "/// One trade.")], 0, []),
    ([("  update_id:long (integer);\n  bid_price:long (price, needed);", "  bid_price:long (price, needed);\n  update_id:long (integer);")], 3, [
        "new: rebuild: record bbo: bid_price is at 40, was at 48: another layout, segments are replaced",
        "new: rebuild: record bbo: update_id is at 48, was at 40: another layout, segments are replaced",
    ]),
    ([("  trade_id:long (id);", "  trade_id:long (id);\n  order_id:long (id);")], 3, [
        "new: rebuild: record trade: buyer_is_maker is at 72, was at 64: another layout, segments are replaced",
        "new: rebuild: record trade: kind is at 73, was at 65: another layout, segments are replaced",
        "new: rebuild: record trade: order_id is new: another layout, segments are replaced, both ends of the wire change together",
        "new: rebuild: record trade: price is at 56, was at 48: another layout, segments are replaced",
        "new: rebuild: record trade: qty is at 64, was at 56: another layout, segments are replaced",
    ]),
    ([("  trade_id:long (id);", "  trade_number:long (id);")], 4, [
        "new: rebuild: record trade: trade_number is new: another layout, segments are replaced, both ends of the wire change together",
        "old: break: record trade: trade_id is gone; readers name it",
    ]),
    ([("  trade_id:long (id);", "  trade_id:long (integer);")], 4, ["new: break: record trade: trade_id means integer, meant id"]),
    ([("adl, insurance, other }", "insurance, adl, other }")], 4, [
        "new: break: enum TradeKind: adl is 5, was 4; stored records have the old one",
        "new: break: enum TradeKind: insurance is 4, was 5; stored records have the old one",
    ]),
    ([("adl, insurance, other }", "adl, insurance, other, gift }")], 0, [
        "new: compatible: enum TradeKind: gift is new; readers that are not rebuilt see its number, 7",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "lines"), SCHEMAS, ids=range(len(SCHEMAS)))
def test_schemas(changes: Changes, code: int, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = told(tmp_path, capsys, RECORDS, changed(RECORDS, changes), "records.fbs")
    assert (got[0], sorted(got[1])) == (code, lines)
    assert got[2] == (
        "no difference" if not lines
        else {0: "compatible: readers go on as they are", 3: "rebuild: readers must be built again, their source stays",
              4: "break: readers must be looked at"}[code]
    )  # fmt: skip


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    with pytest.raises(UsageError, match="two exchange specs"):
        specs.diff(tmp_path / "small.toml", ROOT / "schema/records.fbs")
    with pytest.raises(K4Error, match=r"none\.toml: No such file"):
        specs.diff(tmp_path / "small.toml", tmp_path / "none.toml")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/small.toml").write_text(SMALL.replace("order   = ", "oder    = ", 1))
    with pytest.raises(K4Error, match='unknown key "oder"') as raised:
        specs.diff(tmp_path / "small.toml", tmp_path / "bad/small.toml")
    assert raised.value.hint == "correct this first"
