"""`k4 tail`: the records of a segment as they come.

May import `errors`, `reader`, `segments`, `values`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal

import orjson

from .reader import Lost, Reader
from .segments import ReplacedError, WriterGoneError
from .values import Record

Line = Mapping[str, object]


def run(segment: str, *, json_output: bool, start: Literal["oldest", "newest"], count: int | None) -> int:
    """Prints records until `count` of them, the end of the segment, or Ctrl-C. Lost ranges are lines too, and not counted.

    A dead writer is said on stderr and waited for; a replaced segment is opened anew. Returns the exit code.
    """
    as_json = json_output or not sys.stdout.isatty()
    left = count
    reader = Reader(segment, oldest=start == "oldest")
    try:
        while left is None or left > 0:
            try:
                item = reader.read()
            except WriterGoneError as gone:
                _flush()
                print(f"k4: warning: {gone}; waiting for its successor", file=sys.stderr, flush=True)
                continue
            except ReplacedError as replaced:
                _flush()
                print(f"k4: warning: {replaced}; going on with the new one", file=sys.stderr, flush=True)
                reader = _follow(reader)
                continue
            if item is None:
                _flush()
                if reader.closed:
                    break
                reader.wait(1.0)
                continue
            _show(item, as_json)
            if left is not None and isinstance(item, Record):
                left -= 1
        _flush()
    except KeyboardInterrupt:
        _flush()
    finally:
        reader.close()
    return 0


def _follow(old: Reader) -> Reader:
    """The segment that took `old`'s place, at the same sequence where it carries the old one's records on, else at its beginning."""
    position, epoch = old.position, old.info.epoch
    old.close()
    new = Reader(old.name, oldest=True)
    if new.info.epoch >= epoch and new.info.head >= position:
        new.seek_to(position)
    return new


def _show(item: Record | Lost, as_json: bool) -> None:
    if isinstance(item, Lost):
        if as_json:
            sys.stdout.buffer.write(orjson.dumps({"lost": [item.first, item.last]}) + b"\n")
        else:
            sys.stdout.write(f"lost      {item.count} records, {item.first} to {item.last}\n")
        return
    line = item.to_json()
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    else:
        sys.stdout.write(columns(line) + "\n")


def _flush() -> None:
    """A pipe gets what there is as soon as there is no more: a reader behind us waits for nothing."""
    sys.stdout.flush()


def columns(line: Line) -> str:
    """A record for a reader at a terminal: clock time, symbol, then its own members; levels as price x quantity, best first."""
    own = {name: value for name, value in line.items() if name not in _HEAD}
    parts = [f"{_clock(line['recv_ns'])}  {line['record']!s:<8} {line['symbol']!s:<14}"]
    flags = line["flags"]
    for name, value in own.items():
        if isinstance(value, list):
            if name.endswith("_price"):
                side = name.removesuffix("_price")
                quantities = own.get(f"{side}_qty")
                pairs = zip(value, quantities if isinstance(quantities, list) else [], strict=False)
                parts.append(f"{side} " + " ".join(f"{_text(price)}x{_text(qty)}" for price, qty in pairs))
        elif value is not None and not name.endswith("_levels"):
            parts.append(f"{name} {_text(value)}")
    if isinstance(flags, list) and flags:
        parts.append(" ".join(map(str, flags)))
    return "  ".join(parts)


_HEAD = frozenset(
    {"record", "exchange", "product", "symbol", "instrument", "source", "event_ns", "engine_ns", "recv_ns", "flags", "price_exp", "qty_exp"}
)


def _text(value: object) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _clock(ns: object) -> str:
    """UTC time of day with microseconds."""
    if not isinstance(ns, int):
        return " " * 15
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest // 1000:06}"
