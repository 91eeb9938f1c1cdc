"""Python decoders as peers: the same values out of the same frames, prices and quantities as floats, as most clients read them.

Each entry of `PEERS` makes a function that decodes a list of frames of one kind, or None where its package is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Decode = Callable[[list[bytes]], None]


def _orjson(kind: str) -> Decode | None:
    try:
        import orjson
    except ImportError:
        return None
    return _loading(orjson.loads, kind)


def _json(kind: str) -> Decode:
    return _loading(json.loads, kind)


def _loading(loads: Callable[[bytes], Any], kind: str) -> Decode:
    take = _TAKE[kind]

    def decode(wires: list[bytes]) -> None:
        for wire in wires:
            take(loads(wire)["data"])

    return decode


def _take_ticker(data: dict[str, Any]) -> tuple[object, ...]:
    return data["s"], data["u"], float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])


def _take_trade(data: dict[str, Any]) -> tuple[object, ...]:
    return data["s"], data["E"], data["t"], float(data["p"]), float(data["q"]), data["T"], data["m"]


def _take_agg(data: dict[str, Any]) -> tuple[object, ...]:
    return data["s"], data["E"], data["a"], data["f"], data["l"], float(data["p"]), float(data["q"]), data["T"], data["m"]


def _take_depth(data: dict[str, Any]) -> tuple[object, ...]:
    bids = [(float(price), float(qty)) for price, qty in data["bids"]]
    return data["lastUpdateId"], bids, [(float(price), float(qty)) for price, qty in data["asks"]]


_TAKE: dict[str, Callable[[dict[str, Any]], tuple[object, ...]]] = {
    "bookTicker": _take_ticker,
    "trade": _take_trade,
    "aggTrade": _take_agg,
    "depth5": _take_depth,
    "depth20": _take_depth,
}


def _msgspec(kind: str) -> Decode | None:
    try:
        import msgspec
    except ImportError:
        return None
    levels = list[tuple[float, float]]
    fields: dict[str, list[tuple[str, type]]] = {
        "bookTicker": [("u", int), ("s", str), ("b", float), ("B", float), ("a", float), ("A", float)],
        "trade": [("E", int), ("s", str), ("t", int), ("p", float), ("q", float), ("T", int), ("m", bool)],
        "aggTrade": [("E", int), ("s", str), ("a", int), ("p", float), ("q", float), ("f", int), ("l", int), ("T", int), ("m", bool)],
        "depth5": [("lastUpdateId", int), ("bids", levels), ("asks", levels)],
        "depth20": [("lastUpdateId", int), ("bids", levels), ("asks", levels)],
    }
    data = msgspec.defstruct("Data", fields[kind], gc=False)
    frame = msgspec.defstruct("Frame", [("stream", str), ("data", data)], gc=False)
    read = msgspec.json.Decoder(frame, strict=False).decode

    def decode(wires: list[bytes]) -> None:
        for wire in wires:
            read(wire)

    return decode


PEERS: dict[str, Callable[[str], Decode | None]] = {
    "msgspec, typed floats": _msgspec,
    "orjson + float": _orjson,
    "json + float": _json,
}
