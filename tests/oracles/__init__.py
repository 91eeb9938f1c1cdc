"""What frames give, written down a second time: from the venues' documentation, with json and decimal, and without a line of the
generator or the core. The oracles know valid frames only: whatever a well-behaved venue may send. They keep no books: of channels that
change a book they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import binance, bitget, bybit, okx
from .common import Line, load

_ORACLES: dict[str, Callable[[str, Any], list[Line]]] = {
    "binance": binance.lines,
    "bitget": bitget.lines,
    "bybit": bybit.lines,
    "okx": okx.lines,
}


def expected(exchange: str, product: str, frame: bytes) -> list[Line]:
    """The lines that `k4 decode` shall give for a frame."""
    return [
        {"record": line["record"], "exchange": exchange, "product": product, **line} if "record" in line else line
        for line in _ORACLES[exchange](product, load(frame))
    ]
