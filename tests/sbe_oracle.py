"""Frames of Spot's SBE streams with random values, and the records they give: packed and worked out by hand, nothing of the project is asked."""

from __future__ import annotations

import random
import struct
from typing import Any

Expected = tuple[str, str, dict[str, Any]]
_ABSENT = -(1 << 63)
_SYMBOLS = ("BTCUSDT", "A", "1000PEPEUSDC", "测试USDT", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def frame(chance: random.Random) -> tuple[bytes, list[Expected]]:
    """One frame and its records: (word, symbol, members)."""
    return chance.choice((_bbo, _trades, _depth))(chance)


def _mantissa(chance: random.Random) -> int:
    return chance.randint(0, 10 ** chance.randint(1, 18))


def _head(chance: random.Random, template: int, block: bytes, extra: bytes = b"") -> tuple[bytes, bytes, int]:
    """Header and block, now and then with appended bytes and a later version."""
    version = chance.choice((0, 0, 0, 3))
    extra = chance.randbytes(chance.randint(1, 9)) if version else extra
    return struct.pack("<HHHH", len(block) + len(extra), template, 1, version), block + extra, version


def _symbol(chance: random.Random) -> tuple[str, bytes]:
    symbol = chance.choice(_SYMBOLS)
    return symbol, bytes([len(symbol.encode())]) + symbol.encode()


def _moment(chance: random.Random) -> int:
    return chance.randint(1_500_000_000_000_000, 1_900_000_000_000_000)


def _exponents(chance: random.Random) -> tuple[int, int]:
    return chance.randint(-12, 0), chance.randint(-12, 0)


def _bbo(chance: random.Random) -> tuple[bytes, list[Expected]]:
    at, number = _moment(chance), chance.randrange(1 << 62)
    price_exp, qty_exp = _exponents(chance)
    four = [_mantissa(chance) for _ in range(4)]
    head, block, _ = _head(chance, 10001, struct.pack("<qqbbqqqq", at, number, price_exp, qty_exp, *four))
    symbol, tail = _symbol(chance)
    names = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    want = {"event_ns": at * 1000, "engine_ns": _ABSENT, "update_id": number, "price_exp": price_exp, "qty_exp": qty_exp, "flags": 0}
    return head + block + tail, [("bbo", symbol, {**want, **dict(zip(names, four, strict=True)), "bid_count": -1})]


def _trades(chance: random.Random) -> tuple[bytes, list[Expected]]:
    at, engine = _moment(chance), _moment(chance)
    price_exp, qty_exp = _exponents(chance)
    head, block, version = _head(chance, 10000, struct.pack("<qqbb", at, engine, price_exp, qty_exp))
    symbol, tail = _symbol(chance)
    extra = chance.randint(1, 5) if version else 0
    rows = [
        (chance.randrange(1 << 62), _mantissa(chance), _mantissa(chance), chance.randrange(2))
        for _ in range(chance.choice((0, 1, 2, 3, 70)))
    ]
    entries = b"".join(struct.pack("<qqqB", *row) + chance.randbytes(extra) for row in rows)
    group = struct.pack("<HI", 25 + extra, len(rows)) + entries
    common = {"event_ns": at * 1000, "engine_ns": engine * 1000, "price_exp": price_exp, "qty_exp": qty_exp, "kind": 0, "flags": 0}
    names = ("trade_id", "price", "qty", "buyer_is_maker")
    return head + block + group + tail, [("trade", symbol, {**common, **dict(zip(names, row, strict=True))}) for row in rows]


def _depth(chance: random.Random) -> tuple[bytes, list[Expected]]:
    at, number = _moment(chance), chance.randrange(1 << 62)
    price_exp, qty_exp = _exponents(chance)
    head, block, _ = _head(chance, 10002, struct.pack("<qqbb", at, number, price_exp, qty_exp))
    symbol, tail = _symbol(chance)
    sides = [[(_mantissa(chance), _mantissa(chance)) for _ in range(chance.choice((0, 1, 4, 5, 20, 25)))] for _ in range(2)]
    groups = b"".join(struct.pack("<HH", 16, len(side)) + b"".join(struct.pack("<qq", *row) for row in side) for side in sides)
    found: list[Expected] = []
    for word, most in (("depth20", 20), ("depth5", 5)):
        want: dict[str, Any] = {"event_ns": at * 1000, "update_id": number, "flags": 0}
        for name, side in zip(("bid", "ask"), sides, strict=True):
            cut = side[:most]
            want[f"{name}_levels"] = len(cut)
            want[f"{name}_price"] = [price for price, _ in cut] + [_ABSENT] * (most - len(cut))
            want[f"{name}_qty"] = [qty for _, qty in cut] + [_ABSENT] * (most - len(cut))
        any_level = any(sides)
        found.append((word, symbol, {**want, "price_exp": price_exp if any_level else 0, "qty_exp": qty_exp if any_level else 0}))
    return head + block + groups + tail, found
