"""Texts through the compiled tolerant tier, the reference interpreter, and JSON parsers of others: all must agree.

The reference gives the same items, byte by byte. Whether a text is JSON at all is judged by two parsers that know nothing of this
project: orjson, and the standard library's for the few things orjson does not allow though they are grammatical (numbers no double
can hold, lone surrogates).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from k4._codegen import ir
from tests.codegen import compiled

# A text refused as a whole with one of these is no JSON text; `depth` says nothing about that.
NO_JSON = ("malformed", "utf8")
SPACE = b" \t\n\r"


@dataclass(frozen=True, slots=True)
class Compared:
    """`given`: what each text gave, without a symbol. `judged`: how many texts the other JSON parsers were asked about."""

    frames: int
    judged: int
    differences: list[str]
    given: list[compiled.Given]


def _no_constant(text: str) -> object:
    raise ValueError(text)


def is_json(frame: bytes) -> bool | None:
    """Is the text JSON, None where the parsers are no judge of it (a byte order mark, nesting beyond what they go)."""
    try:
        orjson.loads(frame)
    except orjson.JSONDecodeError:
        pass
    else:
        return True
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        return False
    if text.startswith("\ufeff"):
        return False
    try:
        # Unlike orjson it takes NaN, which is refused here, and any digits; so texts only it takes are looked at again.
        json.loads(text, parse_constant=_no_constant, parse_int=str, parse_float=str)
    except RecursionError:
        return None
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _library(exchange: ir.Exchange, file: Path | None) -> Iterator[ctypes.CDLL]:
    if file is not None:
        yield ctypes.CDLL(str(file))
        return
    with tempfile.TemporaryDirectory(prefix="k4-differential-") as made:
        yield compiled.build(Path(made), exchange)


def compare(exchange: ir.Exchange, product: str, frames: list[bytes], file: Path | None = None) -> Compared:
    """Puts all frames through everything. `differences`: a line for each. `file`: a library that has the exchange's parsers; without it
    they are compiled."""
    differences: list[str] = []
    given: list[compiled.Given] = []
    with _library(exchange, file) as library:
        for symbol in ("", "FOOBAR"):
            tolerant = compiled.Tolerant(library, exchange, product, symbol)
            reference = compiled.Reference(exchange, product, symbol)
            for frame in frames:
                ours, theirs = tolerant(frame), reference(frame)
                if ours != theirs:
                    differences.append(f"{frame!r} with symbol {symbol!r}: compiled {ours}, reference {theirs}")
                if symbol:
                    continue
                given.append(ours)
                wrong = _against_json(frame, ours)
                if wrong:
                    differences.append(f"{frame!r}: {wrong}")
            tolerant.close()
    return Compared(len(frames), len(given), differences, given)


def compare_binary(exchange: ir.Exchange, product: str, frames: list[bytes], file: Path | None = None) -> list[str]:
    """The same for SBE frames, of which the reference is the only other reader."""
    with _library(exchange, file) as library:
        native = compiled.Tolerant(library, exchange, product)
        reference = compiled.Reference(exchange, product)
        pairs = [(frame, native(frame, True), reference(frame, True)) for frame in frames]
        native.close()
    return [f"{frame.hex()}: compiled {one}, reference {other}" for frame, one, other in pairs if one != other]


def _against_json(frame: bytes, given: compiled.Given) -> str | None:
    """What is wrong with `given`, if a JSON parser is right about the frame."""
    first = given.items[0] if given.items else ("", "", None)
    # A refusal that belongs to a message is about one value in it (an escaped lone surrogate as a symbol is `utf8`, and JSON).
    refused = first[1] if first[0] == "refused" and first[2] is None else None
    opinion = is_json(frame)
    if refused == "depth" or opinion is None:
        return None
    if refused in NO_JSON and opinion:
        return f"refused as {refused}, but other parsers take it for JSON"
    # Plain words are no JSON, and still a message where a spec says so.
    plain = given.skip is not None and frame.strip(SPACE)[:1] not in (b"{", b"[", b'"')
    if refused not in NO_JSON and not opinion and not plain:
        return "taken, but other parsers do not take it for JSON"
    return None
