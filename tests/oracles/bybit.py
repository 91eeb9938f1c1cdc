"""Bybit v5 public topics. Nothing in a frame says which category it is of, so none is another product's."""

from __future__ import annotations

from typing import Any

from .book import Book, Change
from .common import Line, milliseconds, quote, skipped, trade
from .xxh64 import xxh64


def lines(_: str, message: Any, books: dict[str, Book]) -> list[Line]:
    topic = str(message.get("topic", ""))
    if topic.startswith("orderbook.1."):
        return [_bbo(message)] if message["type"] == "snapshot" else skipped("dropped_class")
    if topic.startswith("orderbook.50."):
        change = _change(message)
        return books.setdefault(change.symbol, Book()).take(change, (5, 20))
    if topic.startswith("publicTrade."):
        return [_trade(one, message) for one in message["data"]] or skipped("empty")
    if topic:
        return skipped("other_channel")
    if message.get("ret_msg") == "pong" or message.get("op") == "pong":
        return skipped("pong")
    if message.get("success") is False:
        return skipped("error")
    if message.get("op") in ("subscribe", "unsubscribe") or message.get("type") == "COMMAND_RESP":
        return skipped("ack")
    return skipped("control" if message.get("op") == "auth" else "other_channel")


def _bbo(message: dict[str, Any]) -> Line:
    data = message["data"]
    bid, ask = ([*data[side], []][0] for side in "ba")
    return quote(data["s"], data["u"], bid, ask, event=milliseconds(message["ts"]), engine=milliseconds(message.get("cts")))


def _change(message: dict[str, Any]) -> Change:
    data = message["data"]
    own = int(data["u"])

    def goes_on(last: int | None) -> bool | None:
        return None if last is None or own <= last else own == last + 1

    event, engine = milliseconds(message["ts"]), milliseconds(message.get("cts"))
    return Change(data["s"], message["type"] == "snapshot", own, data["b"], data["a"], goes_on, event=event, engine=engine)


def _trade(one: dict[str, Any], message: dict[str, Any]) -> Line:
    id_ = one["i"]
    number = int(id_) if id_.isdecimal() and str(int(id_)) == id_ and int(id_) < 2**63 else None
    hashed = xxh64(id_.encode()) & (2**63 - 1)
    return trade(
        one["s"],
        hashed if number is None else number,
        one["p"],
        one["v"],
        sold={"Buy": False, "Sell": True}[one["S"]],
        event=milliseconds(message["ts"]),
        engine=milliseconds(one["T"]),
        flags=["HASHED_ID"] if number is None else [],
        kind="block" if one.get("BT") else "rpi" if one.get("RPI") else "market",
    )
