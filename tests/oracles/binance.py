"""Binance JSON streams. Spot and the futures differ in a few keys; where `st` is missing, COIN-M is told by names like FOOUSD_PERP."""

from __future__ import annotations

from typing import Any

from .book import Book
from .common import Line, depth, milliseconds, quote, skipped, texts, trade, whole

_PRODUCTS = ("spot", "ubase", "cbase")


def lines(product: str, message: Any, _: dict[str, Book]) -> list[Line]:
    if not isinstance(message, dict):
        return skipped("other_channel")
    stream = message.get("stream")
    if stream is None:
        return _bare(product, message)
    if stream == "!serverShutdown":
        return skipped("notice")
    name, kind = [*str(stream).split("@", 1), ""][:2]
    kinds = {"bookTicker": "bookTicker", "trade": "trade", "aggTrade": "aggTrade", "depth5@100ms": "depth", "depth@100ms": "changes"}
    symbol = "".join(c.upper() if c.isascii() else c for c in name)
    return _data(product, kinds.get(kind), message.get("data") or {}, symbol)


def _bare(product: str, message: dict[str, Any]) -> list[Line]:
    """A raw stream's payload, or an answer."""
    event = message.get("e")
    if event == "serverShutdown":
        return skipped("notice")
    error = message.get("error")
    if ("code" in message and "msg" in message) or (isinstance(error, dict) and "code" in error and "msg" in error):
        return skipped("error")
    if event in ("trade", "aggTrade", "bookTicker"):
        return _data(product, event, message, "")
    if event is None and "s" in message:
        return _data(product, "bookTicker", message, "")
    if "id" in message and "result" in message and "status" not in message:
        return skipped("ack")
    return skipped("other_channel")


def _owners(kind: str, data: dict[str, Any]) -> list[str]:
    """Whose data it may be."""
    st = data.get("st")
    marked = st in ("1", "2") or "X" in data or "nq" in data
    if kind == "changes" and "pu" not in data:
        return ["spot"] if st is None else []
    old_style = "M" in data or (kind == "bookTicker" and "e" not in data) or "lastUpdateId" in data
    coin = "USD_" in data.get("s", "")
    owners = []
    if not marked and (old_style or kind in ("trade", "aggTrade")) and not (kind == "aggTrade" and "_" in data["s"]):
        owners.append("spot")
    if not old_style:
        owners += [name for name, mark in (("ubase", "1"), ("cbase", "2")) if st in (None, mark) and coin == (name == "cbase")]
    return owners


def _data(product: str, kind: str | None, data: dict[str, Any], symbol: str) -> list[Line]:
    if kind is None:
        return skipped("other_channel")
    owners = _owners(kind, data)
    if product not in owners:
        return skipped("other_product" if owners else "other_channel")
    if kind == "trade" and product != "spot" and data.get("X", "MARKET") not in ("MARKET", "RPI"):
        return skipped("dropped_class")
    if kind == "changes":
        return skipped("stale_book")  # its snapshot is fetched, and no frame
    readers = {"bookTicker": _quote, "trade": _trade, "aggTrade": _aggregate, "depth": _depth}
    return [readers[kind](data, data.get("s", symbol))]


def _quote(data: dict[str, Any], symbol: str) -> Line:
    return quote(
        symbol,
        data["u"],
        [data.get("b"), data.get("B")],
        [data.get("a"), data.get("A")],
        event=milliseconds(data.get("E")),
        engine=milliseconds(data.get("T")),
    )


def _trade(data: dict[str, Any], symbol: str) -> Line:
    kind = {"RPI": "rpi"}.get(data.get("X", ""), "market")
    event, engine = _moment(data["E"]), _moment(data["T"])
    return trade(symbol, int(data["t"]), data["p"], data["q"], sold=data["m"], event=event, engine=engine, kind=kind)


def _aggregate(data: dict[str, Any], symbol: str) -> Line:
    first, last = int(data["f"]), int(data["l"])
    return {
        "record": "aggtrade",
        "symbol": symbol,
        "event_ns": _moment(data["E"]),
        "engine_ns": _moment(data["T"]),
        "flags": [],
        "agg_id": int(data["a"]),
        "first_id": first,
        "last_id": last,
        "count": last - first + 1,
        "price": texts([data["p"]])[0],
        "qty": texts([data["q"]])[0],
        "buyer_is_maker": data["m"],
    }


def _depth(data: dict[str, Any], symbol: str) -> Line:
    if "lastUpdateId" in data:
        return depth(5, symbol, data["lastUpdateId"], data["bids"], data["asks"], event=None, engine=None)
    return depth(5, symbol, whole(data["u"]), data["b"], data["a"], event=milliseconds(data["E"]), engine=milliseconds(data["T"]))


def _moment(text: str) -> int:
    """Milliseconds, or on Spot the microseconds that an address may ask for: 16 digits for a few centuries."""
    return int(text) * (1_000 if len(text) == 16 else 1_000_000)
