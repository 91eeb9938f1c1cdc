"""Books whose snapshot is fetched, of the built-in specs: what the changes behind it make of it, value by value, in every tier."""

from __future__ import annotations

import json

import pytest

from k4._codegen import bind
from k4.decode import NativeDecoder
from k4.native import Native

BIDS = [["25.35", "3"], ["25.34", "1.5"], ["25.30", "10"]]
ASKS = [["25.36", "2"], ["25.40", "7"]]
# Changes in turn, and what the first levels are then: a level gone, one new in between, quantities changed, a side emptied.
STEPS = [
    ([["25.35", "0"]], [["25.37", "1.25"]], ["25.34", "25.30"], ["1.50", "10.00"], ["25.36", "25.37", "25.40"], ["2.00", "1.25", "7.00"]),
    ([["25.34", "2.5"], ["25.33", "4"]], [], ["25.34", "25.33", "25.30"], ["2.5", "4.0", "10.0"], None, None),
    ([], [["25.36", "0"], ["25.37", "0"], ["25.40", "0.0"]], None, None, [], []),
]


def change(wire: str, at: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    """The spec's example with other ids and levels."""
    frame = json.loads(wire)
    data = frame["data"]
    data.update({"U": 1000 + 10 * at, "u": 1009 + 10 * at, "b": bids, "a": asks})
    if "pu" in data:
        data["pu"] = 999 + 10 * at
    return json.dumps(frame, separators=(",", ":")).encode()


@pytest.mark.parametrize("tier", ["any", "tolerant"])
@pytest.mark.parametrize("product", ["spot", "ubase", "cbase"])
def test_changes_behind_a_fetched_snapshot(native: Native, product: str, tier: str) -> None:
    exchange = native.exchanges["binance"]
    messages = bind.bind(exchange, product)
    fetched = next(i for i, m in enumerate(messages) if m.url is not None and "depth20" in m.records)
    pushed = next(m for m in messages if m.url is None and "depth20" in m.records and m.field("first_id") is not None)
    wire = pushed.examples[0].wire
    if product == "cbase":  # the example is of the other product
        wire = wire.replace("foousdt", "foousd_perp").replace("FOOUSDT", "FOOUSD_PERP").replace('"st":1', '"st":2')
    symbol = json.loads(wire)["data"]["s"]
    decoder = NativeDecoder(native, "binance", product, None, tier)
    body = json.dumps({"lastUpdateId": 999, "bids": BIDS, "asks": ASKS}).encode()
    taken = decoder.lib.k4_decoder_fetched(decoder.decoder, fetched, symbol.encode(), len(symbol), body, len(body))
    assert taken == 1
    prices: dict[str, list[str]] = {}
    for at, (bids, asks, bid_price, bid_qty, ask_price, ask_qty) in enumerate(STEPS):
        changed = {"bid_price": bid_price, "bid_qty": bid_qty, "ask_price": ask_price, "ask_qty": ask_qty}
        prices.update({name: values for name, values in changed.items() if values is not None})
        (line,) = decoder.lines(change(wire, at, bids, asks))
        assert line["record"] == "depth20", line
        assert line["update_id"] == 1009 + 10 * at
        assert {name: [*map(float, line[name])] for name in prices} == {name: [*map(float, prices[name])] for name in prices}  # type: ignore[call-overload]
        assert decoder.tier == ("fast" if tier == "any" else tier)
