"""Nanoseconds per update of a book: text to changed book to record, by tier and by how much an update changes; memory per book.

The frames are of a made-up venue, with `depth5` cut from the book. May import `bench.tools` and `k4._codegen`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import sys
import tempfile
import zlib
from pathlib import Path

from bench.tools import BenchError, Figure, command, compile_driver, run
from k4._codegen import exchange, fbs, generate, places

UPDATES = 4000
FLAGS = ("-O2",)
SPEC = """
name = "made"
[product.spot]
url = "wss://feed.example/ws"
[session]
subscribe = { send = '{"op":"sub","args":[$args]}', arg = '"$channel"' }
[[message]]
record = "depth5"
channel = "book.$symbol"
match = { topic = "$channel" }
order = "increasing"
[message.fields]
event_ns = { ts = "ms" }
snapshot = { type = { snapshot = true, delta = false } }
update_id = "data.u"
SUMbid_price = "data.b[*][0]"
bid_qty = "data.b[*][1]"
ask_price = "data.a[*][0]"
ask_qty = "data.a[*][1]"
[[message.example]]
wire = '{"topic":"book.FOOBAR","type":"snapshot","ts":1700000000100,"data":{"b":[["10.5","2.0"]],"a":[["10.6","3.0"]],"u":4EXTRA}}'
expect = [{ symbol = "FOOBAR", event_ns = 1700000000100000000, update_id = 4, bid_price = ["10.5"], bid_qty = ["2.0"], ask_price = ["10.6"], ask_qty = ["3.0"] }]
"""  # noqa: E501
# name → levels of a side, changes per update, how deep they reach, checksum
SHAPES = {
    "1 change, 50 levels": (50, 1, 50, False),
    "4 changes, 50 levels": (50, 4, 50, False),
    "20 changes, 1000 levels": (1000, 20, 200, False),
    "4 changes, 400 levels, checksum": (400, 4, 25, True),
}


class _Book:
    """A side per dict, prices in tenths."""

    def __init__(self, levels: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.bids = {700000 - i: self.qty() for i in range(levels)}
        self.asks = {700001 + i: self.qty() for i in range(levels)}

    def qty(self) -> str:
        return f"{self.random.randrange(1, 5_000_000) / 1000:.3f}"

    def change(self, count: int, depth: int) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """Quantities change near the touch, more often the nearer; now and then a level goes and comes back."""
        changes: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
        for _ in range(count):
            side = self.random.randrange(2)
            book, first, step = (self.bids, 700000, -1) if side == 0 else (self.asks, 700001, 1)
            price = first + step * int(depth * self.random.random() ** 2)
            qty = "0" if price in book and self.random.random() < 0.2 and len(book) > 30 else self.qty()
            changes[side].append((price, qty))
            if qty == "0":
                del book[price]
            else:
                book[price] = qty
        return changes

    def checksum(self) -> int:
        bids, asks = sorted(self.bids, reverse=True)[:25], sorted(self.asks)[:25]
        parts = [part for bid, ask in zip(bids, asks, strict=True) for part in (_price(bid), self.bids[bid], _price(ask), self.asks[ask])]
        return zlib.crc32(":".join(parts).encode())


def _price(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}"


def _frames(shape: tuple[int, int, int, bool]) -> bytes:
    levels, count, depth, summed = shape
    book = _Book(levels, 1)
    out = b""
    for step in range(UPDATES):
        bids, asks = ([*book.bids.items()], [*book.asks.items()]) if step == 0 else book.change(count, depth)
        sides = (",".join(f'["{_price(price)}","{qty}"]' for price, qty in side) for side in (bids, asks))
        head = f'"type":"{"delta" if step else "snapshot"}","ts":{1700000000100 + step}'
        total = f',"sum":{book.checksum()}' if summed else ""
        text = '{{"topic":"book.FOOBAR",{},"data":{{"b":[{}],"a":[{}],"u":{}{}}}}}'.format(head, *sides, step + 1, total).encode()
        out += struct.pack("<I", len(text)) + text
    return out


def _driver(folder: Path, summed: bool) -> Path:
    folder.mkdir()
    records = fbs.load(places.schema() / "records.fbs")
    file = folder / "made.toml"
    rule = 'checksum = { "data.sum" = { 0 = "", "*" = "crc32-interleaved-25" } }\n' if summed else ""
    file.write_text(SPEC.replace("SUM", rule).replace("EXTRA", ',"sum":0' if summed else ""))
    spec = exchange.load(file, records)
    for name, text in generate.generate(records, [spec], "bench").items():
        (folder / name).write_text(text)
    return compile_driver(folder, "books", FLAGS)


def measure(options: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="k4-bench-") as made:
        folder = Path(made)
        drivers = {summed: _driver(folder / str(summed), summed) for summed in (False, True)}
        for name, shape in SHAPES.items():
            (folder / "frames").write_bytes(_frames(shape))
            lines = run([drivers[shape[3]], folder / "frames", str(options.rounds)]).splitlines()
            records = {line.split()[1] for line in lines[:2]}
            if len(records) != 1:
                raise BenchError(f"{name}: the tiers gave {' and '.join(sorted(records))} records")
            for line in lines[:2]:
                tier, _, *rounds = line.split()
                figures.append(Figure(f"{name}: {tier}", "ns", statistics.median(map(float, rounds))))
            figures.append(Figure(f"{name}: memory", "bytes", float(lines[2].split()[1])))
    return figures


def main(arguments: list[str]) -> int:
    return command("books", __doc__, arguments, measure, rounds=21)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
