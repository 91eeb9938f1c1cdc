"""What frames give, written down a second time: from the venues' documentation, with json and decimal, and without a line of the
generator or the core. The oracles know valid frames only: whatever a well-behaved venue may send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import binance, bitget, bybit, okx
from .book import Book
from .common import Line, load

Books = dict[str, Book]

_ORACLES: dict[str, Callable[[str, Any, Books], list[Line]]] = {
    "binance": binance.lines,
    "bitget": bitget.lines,
    "bybit": bybit.lines,
    "okx": okx.lines,
}


class Oracle:
    """The lines that `k4 decode` shall give for the frames of a product, in sequence: it keeps the books."""

    def __init__(self, exchange: str, product: str) -> None:
        self.exchange = exchange
        self.product = product
        self.books: Books = {}

    def lines(self, frame: bytes) -> list[Line]:
        found = _ORACLES[self.exchange](self.product, load(frame), self.books)
        head = {"exchange": self.exchange, "product": self.product}
        return [{"record": line["record"], **head, **line} if "record" in line else line for line in found]


def expected(exchange: str, product: str, frame: bytes) -> list[Line]:
    """The lines of one frame that stands alone."""
    return Oracle(exchange, product).lines(frame)
