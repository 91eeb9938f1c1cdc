"""What the oracles of all venues share: numbers as written, and the shape of a line."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

Line = dict[str, Any]


class Number(str):
    """A number as written: the digits count, a float would lose them."""

    __slots__ = ()


def load(frame: bytes) -> Any:
    """The JSON value of a frame; the text itself where it is none."""
    try:
        return json.loads(frame, parse_int=Number, parse_float=Number)
    except ValueError:
        return frame.decode()


def skipped(reason: str) -> list[Line]:
    return [{"skipped": reason}]


def quote(symbol: str, update_id: Any, bid: list[Any], ask: list[Any], *, event: int | None, engine: int | None) -> Line:
    """A bbo from its levels: price, qty and, where the venue has it, count; an empty list: no such side."""
    prices, qtys = texts([_at(bid, 0), _at(ask, 0)]), texts([_at(bid, 1), _at(ask, 1)])
    return {
        "record": "bbo",
        "symbol": symbol,
        "event_ns": event,
        "engine_ns": engine,
        "flags": ["ONE_SIDED"] if None in prices else [],
        "update_id": whole(update_id),
        "bid_price": prices[0],
        "bid_qty": qtys[0],
        "ask_price": prices[1],
        "ask_qty": qtys[1],
        "bid_count": whole(_at(bid, 2)),
        "ask_count": whole(_at(ask, 2)),
    }


def depth(size: int, symbol: str, update_id: Any, bids: list[Any], asks: list[Any], *, event: int | None, engine: int | None) -> Line:
    """A depth5 or depth20 from the levels of both sides, as in `quote`."""
    bids, asks = bids[:size], asks[:size]
    prices, qtys = (texts([level[i] for level in bids + asks]) for i in (0, 1))
    cut = len(bids)
    return {
        "record": f"depth{size}",
        "symbol": symbol,
        "event_ns": event,
        "engine_ns": engine,
        "flags": [],
        "update_id": whole(update_id),
        "bid_levels": cut,
        "ask_levels": len(asks),
        "bid_price": prices[:cut],
        "bid_qty": qtys[:cut],
        "ask_price": prices[cut:],
        "ask_qty": qtys[cut:],
        "bid_count": [whole(_at(level, 2)) for level in bids],
        "ask_count": [whole(_at(level, 2)) for level in asks],
    }


def trade(symbol: str, trade_id: int, price: Any, qty: Any, *, sold: bool, event: int | None, engine: int | None, **more: Any) -> Line:
    """A trade whose taker sold, or bought. `more`: flags, kind."""
    return {
        "record": "trade",
        "symbol": symbol,
        "event_ns": event,
        "engine_ns": engine,
        "flags": more.get("flags", []),
        "trade_id": trade_id,
        "price": texts([price])[0],
        "qty": texts([qty])[0],
        "buyer_is_maker": sold,
        "kind": more.get("kind", "market"),
    }


def _at(level: list[Any], i: int) -> Any:
    return level[i] if i < len(level) else None


def whole(text: Any) -> int | None:
    return None if text in (None, "") else int(text)


def milliseconds(text: Any) -> int | None:
    return None if text in (None, "") else int(text) * 1_000_000


def texts(values: list[Any]) -> list[str | None]:
    """Prices, or quantities, of one record: all with as many fraction digits as the longest of them, or as fit 64 bits."""
    decimals = [None if value in (None, "") else Decimal(value) for value in values]
    fraction = max((max(0, -int(one.as_tuple().exponent)) for one in decimals if one is not None), default=0)
    while fraction > 0 and any(abs(one) * 10**fraction > 2**63 - 1 for one in decimals if one is not None):
        fraction -= 1
    return [None if one is None else f"{one:.{fraction}f}".replace("-0", "-0" if one else "0") for one in decimals]
