"""What Binance Spot frames give, written down a second time: from the venue's documentation, with json and decimal, and without a line
of the generator or the core. It knows valid frames only: whatever a well-behaved venue may send.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

HEAD = {"exchange": "binance", "product": "spot"}


class Number(str):
    """A number as written: the digits count, a float would lose them."""

    __slots__ = ()


def expected(number: int, frame: bytes) -> list[dict[str, Any]]:
    """The lines `k4 decode --json` shall print for the frame at line `number`."""
    message = json.loads(frame, parse_int=Number, parse_float=Number)
    return [{"frame": number, **line} for line in _lines(message)]


def expected_file(data: bytes) -> list[dict[str, Any]]:
    """The same for all lines of a file."""
    lines: list[dict[str, Any]] = []
    for number, frame in enumerate(data.split(b"\n"), 1):
        if frame.removesuffix(b"\r"):
            lines += expected(number, frame.removesuffix(b"\r"))
    return lines


def _lines(message: Any) -> list[dict[str, Any]]:
    if not isinstance(message, dict):
        return [{"skipped": "other_channel"}]
    stream = message.get("stream")
    if stream is None:
        return _bare(message)
    symbol, _, kind = str(stream).partition("@")
    data: Any = message.get("data")
    if kind == "bookTicker":
        return [_quote(data)]
    if kind == "trade":
        return [_trade(data)]
    if kind == "aggTrade":
        return [_aggregate(data)]
    if kind == "depth5@100ms":
        return [_depth(data, "".join(c.upper() if c.isascii() else c for c in symbol))]
    return [{"skipped": "notice" if stream == "!serverShutdown" else "other_channel"}]


def _bare(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A raw stream's payload, or an answer."""
    event = message.get("e")
    if event == "trade":
        return [_trade(message)]
    if event == "aggTrade":
        return [_aggregate(message)]
    if event == "serverShutdown":
        return [{"skipped": "notice"}]
    error = message.get("error")
    if ("code" in message and "msg" in message) or (isinstance(error, dict) and "code" in error and "msg" in error):
        return [{"skipped": "error"}]
    if event is None and "s" in message:
        return [_quote(message)]
    if "id" in message and "result" in message and "status" not in message:
        return [{"skipped": "ack" if message["result"] is None else "control"}]
    return [{"skipped": "other_channel"}]


def _quote(data: dict[str, Any]) -> dict[str, Any]:
    prices, qtys = _texts([data.get("b"), data.get("a")]), _texts([data.get("B"), data.get("A")])
    return {
        "record": "bbo",
        **HEAD,
        "symbol": data["s"],
        "event_ns": None,
        "engine_ns": None,
        "flags": ["ONE_SIDED"] if None in prices else [],
        "update_id": int(data["u"]),
        "bid_price": prices[0],
        "bid_qty": qtys[0],
        "ask_price": prices[1],
        "ask_qty": qtys[1],
        "bid_count": None,
        "ask_count": None,
    }


def _trade(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "record": "trade",
        **HEAD,
        "symbol": data["s"],
        **_times(data),
        "trade_id": int(data["t"]),
        **_price_and_qty(data),
        "buyer_is_maker": data["m"],
        "kind": "market",
    }


def _aggregate(data: dict[str, Any]) -> dict[str, Any]:
    first, last = int(data["f"]), int(data["l"])
    return {
        "record": "aggtrade",
        **HEAD,
        "symbol": data["s"],
        **_times(data),
        "agg_id": int(data["a"]),
        "first_id": first,
        "last_id": last,
        "count": last - first + 1,
        **_price_and_qty(data),
        "buyer_is_maker": data["m"],
    }


def _depth(data: dict[str, Any], symbol: str) -> dict[str, Any]:
    bids, asks = data["bids"][:5], data["asks"][:5]
    prices, qtys = (_texts([level[i] for level in bids + asks]) for i in (0, 1))
    cut = len(bids)
    return {
        "record": "depth5",
        **HEAD,
        "symbol": symbol,
        "event_ns": None,
        "engine_ns": None,
        "flags": [],
        "update_id": int(data["lastUpdateId"]),
        "bid_levels": cut,
        "ask_levels": len(asks),
        "bid_price": prices[:cut],
        "bid_qty": qtys[:cut],
        "ask_price": prices[cut:],
        "ask_qty": qtys[cut:],
        "bid_count": [None] * cut,
        "ask_count": [None] * len(asks),
    }


def _price_and_qty(data: dict[str, Any]) -> dict[str, Any]:
    return {"price": _texts([data["p"]])[0], "qty": _texts([data["q"]])[0]}


def _times(data: dict[str, Any]) -> dict[str, Any]:
    return {"event_ns": _nanoseconds(data["E"]), "engine_ns": _nanoseconds(data["T"]), "flags": []}


def _nanoseconds(text: str) -> int:
    """Milliseconds have 13 digits for a few centuries, microseconds 16."""
    return int(text) * {13: 1_000_000, 16: 1_000}[len(text)]


def _texts(values: list[Any]) -> list[str | None]:
    """Prices, or quantities, of one record: all with as many fraction digits as the longest of them, or as fit 64 bits."""
    decimals = [None if value in (None, "") else Decimal(value) for value in values]
    fraction = max((max(0, -int(one.as_tuple().exponent)) for one in decimals if one is not None), default=0)
    while fraction > 0 and any(abs(one) * 10**fraction > 2**63 - 1 for one in decimals if one is not None):
        fraction -= 1
    return [None if one is None else f"{one:.{fraction}f}".replace("-0", "-0" if one else "0") for one in decimals]
