"""Bitget public channels, v2 and v3: the latter has other names and the product in small letters."""

from __future__ import annotations

from typing import Any

from .book import Book, Change, chained
from .common import Line, depth, milliseconds, quote, skipped, trade, whole

_EVENTS = {"subscribe": "ack", "unsubscribe": "ack", "error": "error", "login": "control"}
_PRODUCTS = ("spot", "usdt-futures", "coin-futures", "usdc-futures")


def lines(product: str, message: Any, books: dict[str, Book]) -> list[Line]:
    if message == "pong":
        return skipped("pong")
    if "event" in message:
        return skipped(_EVENTS.get(message["event"], "other_channel"))
    arg = message.get("arg", {})
    old = "channel" in arg
    reader = {"books1": _bbo, "books5": _depth, "trade" if old else "publicTrade": _trade}.get(arg.get("channel" if old else "topic"))
    kind = arg.get("instType", "")
    owner = kind.lower() if kind == (kind.upper() if old else kind.lower()) else ""
    kept = arg.get("channel" if old else "topic") == "books" and message.get("action") in ("snapshot", "update")
    if (reader is None and not kept) or owner not in _PRODUCTS:
        return skipped("other_channel")
    if owner != product:
        return skipped("other_product")
    symbol = arg["instId"] if old else arg.get("symbol") or arg["instId"]
    data = message["data"]
    if reader is None:
        return books.setdefault(symbol, Book()).take(_change(symbol, data[0], message), (20,))
    return [reader(symbol, one, message) for one in (reversed(data) if reader is _trade else data)] or skipped("empty")


def _sides(one: dict[str, Any]) -> list[list[Any]]:
    return [one["bids" if "bids" in one else "b"], one["asks" if "asks" in one else "a"]]


def _bbo(symbol: str, one: dict[str, Any], message: dict[str, Any]) -> Line:
    bid, ask = ([*side, []][0] for side in _sides(one))
    return quote(symbol, one.get("seq"), bid, ask, event=milliseconds(message["ts"]), engine=milliseconds(one["ts"]))


def _depth(symbol: str, one: dict[str, Any], message: dict[str, Any]) -> Line:
    bids, asks = _sides(one)
    return depth(5, symbol, one.get("seq"), bids, asks, event=milliseconds(message["ts"]), engine=milliseconds(one["ts"]))


def _change(symbol: str, one: dict[str, Any], message: dict[str, Any]) -> Change:
    own = whole(one.get("seq"))
    bids, asks = _sides(one)
    return Change(
        symbol,
        message["action"] == "snapshot",
        own,
        bids,
        asks,
        chained(one.get("pseq"), own),
        one.get("checksum"),
        event=milliseconds(message["ts"]),
        engine=milliseconds(one["ts"]),
    )


def _trade(symbol: str, one: dict[str, Any], message: dict[str, Any]) -> Line:
    new = "p" in one
    names = ("i", "p", "v", "S", "T") if new else ("tradeId", "price", "size", "side", "ts")
    id_, price, qty, side, moment = (one[name] for name in names)
    return trade(
        symbol,
        int(id_),
        price,
        qty,
        sold={"buy": False, "sell": True}[side],
        event=milliseconds(message["ts"]),
        engine=milliseconds(moment),
        flags=["BACKFILL"] if message["action"] == "snapshot" else [],
        kind="rpi" if new and one.get("isRPI") == "yes" else "market",
    )
