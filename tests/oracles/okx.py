"""OKX v5 public channels. `instId`: FOO-BAR is spot, FOO-BAR-SWAP a swap, anything else of three parts a future; of more, an option."""

from __future__ import annotations

from typing import Any

from .book import Book, Change, chained
from .common import Line, depth, milliseconds, quote, skipped, trade, whole

_EVENTS = {
    "subscribe": "ack",
    "unsubscribe": "ack",
    "error": "error",
    "notice": "notice",
    "login": "control",
    "channel-conn-count": "control",
    "channel-conn-count-error": "control",
}


def lines(product: str, message: Any, books: dict[str, Book]) -> list[Line]:
    if message == "pong":
        return skipped("pong")
    if "event" in message:
        return skipped(_EVENTS.get(message["event"], "other_channel"))
    arg = message.get("arg", {})
    reader = {"bbo-tbt": _bbo, "trades": _trade, "books5": _depth}.get(arg.get("channel"))
    kept = arg.get("channel") == "books" and message.get("action") in ("snapshot", "update")
    if reader is None and not kept:
        return skipped("other_channel")
    owner = _owner(arg["instId"])
    if owner != product:
        return skipped("other_product" if owner else "other_channel")
    if reader is None:
        (one,) = message["data"]
        return books.setdefault(arg["instId"], Book()).take(_change(arg["instId"], one, message["action"] == "snapshot"), (20,))
    return [reader(arg["instId"], element) for element in message["data"]] or skipped("empty")


def _owner(symbol: str) -> str | None:
    parts = symbol.split("-")
    if len(parts) <= 2:
        return "spot"
    return None if len(parts) > 3 else "swap" if parts[2] == "SWAP" else "futures"


def _level(level: list[Any]) -> list[Any]:
    """Price, size and number of orders; what stands between is dead."""
    return [level[0], level[1], level[3] if len(level) > 3 else None]


def _bbo(symbol: str, one: dict[str, Any]) -> Line:
    bid, ask = ([*map(_level, one[side]), []][0] for side in ("bids", "asks"))
    return quote(symbol, one.get("seqId"), bid, ask, event=None, engine=milliseconds(one["ts"]))


def _trade(symbol: str, one: dict[str, Any]) -> Line:
    kind = {None: "market", "": "market", "0": "market", "1": "rpi"}.get(one.get("source"), "other")
    sold = {"buy": False, "sell": True}[one["side"]]
    return trade(symbol, int(one["tradeId"]), one["px"], one["sz"], sold=sold, event=None, engine=milliseconds(one["ts"]), kind=kind)


def _change(symbol: str, one: dict[str, Any], snapshot: bool) -> Change:
    bids, asks = ([*map(_level, one[side])] for side in ("bids", "asks"))
    own = whole(one.get("seqId"))
    goes_on, engine = chained(one.get("prevSeqId"), own), milliseconds(one["ts"])
    return Change(symbol, snapshot, own, bids, asks, goes_on, one.get("checksum"), engine=engine)


def _depth(symbol: str, one: dict[str, Any]) -> Line:
    bids, asks = ([*map(_level, one[side])] for side in ("bids", "asks"))
    return depth(5, symbol, one.get("seqId"), bids, asks, event=None, engine=milliseconds(one["ts"]))
