"""`k4 decode`: what recorded frames give, one line per record, refusal, or frame that gave nothing.

The compiled parsers and the reference interpreter are two sources of the same lines; everything that is printed is made here, from
what either says. May import `drift`, `errors`, `native`, `record` and, of the generator, what finds, reads and interprets specs
(`bind`, `cache`, `compiler`, `digest`, `errors`, `exchange`, `fbs`, `ir`, `places`, `reference`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import native, record
from ._codegen import bind, ir
from .drift import Recorded
from .errors import K4Error, UsageError

# As csrc/k4_decode.h numbers them.
_REFUSALS = ("", "malformed", "depth", "utf8", "missing", "duplicate", "type", "range", "unmapped", "symbol")
_SKIPS = (
    "", "control", "ack", "error", "pong", "ping", "notice", "instrument", "vars", "empty", "unchanged", "other_channel", "other_product",
    "dropped_class", "stale_book", "unknown_template",
)  # fmt: skip
_TIERS = {"any": 0, "fast": 1, "tolerant": 2, "sbe": 3}

# Files of binary frames: one frame, or one per line.
_BINARY = (".bin", ".hex")

Line = dict[str, object]


class DeclinedError(Exception):
    """The tier that was asked for leaves this frame to another."""


def run(
    exchange: str,
    product: str,
    files: Sequence[Path],
    *,
    symbol: str | None = None,
    reference: bool = False,
    json_output: bool = False,
    strict: bool = False,
    drift: bool = False,
    spec: Sequence[Path] = (),
) -> int:
    """Prints what the frames of `files` give (`-`: standard input), or how far they have drifted from the spec. Returns the exit code;
    raises K4Error for wrong names and I/O."""
    if drift and reference:
        raise UsageError("--drift is told by the compiled parsers; leave out --reference")
    decoder = open_reference(exchange, product, symbol, spec) if reference else open_native(exchange, product, symbol, spec)
    if drift:
        assert isinstance(decoder, NativeDecoder)
        return _drift(decoder, files, strict=strict)
    refused = False
    show = _show_json if json_output or not sys.stdout.isatty() else _show_columns
    for path in files:
        binary = path.suffix in _BINARY
        for number, frame in _frames(path):
            head: Line = {"frame": number, "file": str(path)} if len(files) > 1 else {"frame": number}
            for line in decoder.lines(frame, binary):
                refused = refused or "refused" in line
                show({**head, **line})
    sys.stdout.flush()
    return 1 if strict and refused else 0


def _drift(decoder: NativeDecoder, files: Sequence[Path], *, strict: bool) -> int:
    recorded = decoder.recorded()
    for path in files:
        for _, frame in _frames(path):
            recorded.frame(decoder.push(frame, path.suffix in _BINARY), decoder.item_at)
    lines = recorded.lines()
    for line in lines:
        _show_json(line)
    sys.stdout.flush()
    return 1 if strict and any(line["missing"] or line["refused"] for line in lines) else 0


# --------------------------------------------------------------------------- the two sources


@dataclass(frozen=True, slots=True)
class _Shape:
    """What lines are made of: the schema, and whose frames they are."""

    records: ir.Records
    exchange: str
    product: str

    def record(self, kind: ir.RecordType, symbol: str, values: record.Values, flags: int, price_exp: int, qty_exp: int) -> Line:
        fields = record.fields_json(self.records, kind, values, flags, price_exp, qty_exp)
        return {"record": kind.word, "exchange": self.exchange, "product": self.product, "symbol": symbol, **fields}


def _refused(code: str, kind: str | None, offset: int) -> Line:
    return {"refused": code, "kind": kind, "offset": offset}


class ReferenceDecoder:
    """Lines by the reference interpreter. `sure`: as on a connection, where no frame is another product's."""

    def __init__(self, records: ir.Records, exchange: ir.Exchange, product: str, symbol: str | None, *, sure: bool = False) -> None:
        from ._codegen.reference import Interpreter

        self.shape = _Shape(records, exchange.name, product)
        self.messages = bind.bind(exchange, product)
        others = tuple(bind.bind(exchange, other.name) for other in exchange.products if other.name != product)
        found = exchange.product(product)
        assert found is not None
        self.interpreter = Interpreter(records, self.messages, others, symbol, exchange.schema(found), found.session.encoding, sure=sure)

    def lines(self, frame: bytes, binary: bool = False) -> list[Line]:
        from ._codegen.reference import Refusal

        outcome = self.interpreter.decode(frame, binary)
        if outcome.skip is not None:
            return [{"skipped": outcome.skip}]
        lines: list[Line] = []
        for item in outcome.items:
            if isinstance(item, Refusal):
                lines.append(_refused(item.code, None if item.message is None else self.messages[item.message].record, item.offset))
                continue
            kind = self.shape.records.record(item.record)
            assert kind is not None
            lines.append(self.shape.record(kind, item.symbol, item.values, item.flags, item.price_exp, item.qty_exp))
        return lines


class NativeDecoder:
    """Lines by the compiled parsers. `tier`: any (as at run time), fast or tolerant alone; then a frame may raise DeclinedError.
    `sure`: as on a connection, where no frame is another product's.
    """

    def __init__(
        self, built: native.Native, exchange: str, product: str, symbol: str | None, tier: str = "any", *, sure: bool = False
    ) -> None:
        self.shape = _Shape(built.records, exchange, product)
        self.messages = bind.bind(built.exchanges[exchange], product) if exchange in built.exchanges else ()
        self.ffi: Any = built.ffi
        self.lib: Any = built.lib
        self.kinds = {kind.number: kind for kind in built.records.records}
        self.product = self.lib.k4_product_find(exchange.encode(), product.encode())
        if self.product == self.ffi.NULL:
            raise K4Error(f"{exchange} {product} is not in the compiled extension", hint="type: k4 codegen")
        opened = self.lib.k4_decoder_open(self.product, (symbol or "").encode(), _TIERS[tier])
        if opened == self.ffi.NULL:
            raise K4Error("no memory for a decoder")
        self.decoder = self.ffi.gc(opened, self.lib.k4_decoder_close)
        if sure:
            self.lib.k4_decoder_sure(self.decoder)
        self.item = self.ffi.new("k4_decoded *")

    def push(self, frame: bytes, binary: bool = False) -> int:
        """Decodes a frame: how many items it gives."""
        push = self.lib.k4_decoder_push_binary if binary else self.lib.k4_decoder_push
        count: int = push(self.decoder, frame, len(frame))
        if count == -1:
            raise DeclinedError
        if count < 0:
            raise K4Error(f"no memory to decode a frame of {len(frame)} bytes")
        return count

    def item_at(self, i: int) -> Any:
        """An item of the last frame, a `k4_decoded`, until the next call."""
        self.lib.k4_decoder_item(self.decoder, i, self.item)
        return self.item

    def recorded(self) -> Recorded:
        """What counts the drift of the frames that are pushed from now on."""
        return Recorded(self.lib, self.ffi, self.decoder, self.messages)

    def lines(self, frame: bytes, binary: bool = False) -> list[Line]:
        count = self.push(frame, binary)
        if count == 0:
            return [{"skipped": _SKIPS[self.lib.k4_decoder_skip(self.decoder)]}]
        return [self._line(i) for i in range(count)]

    @property
    def tier(self) -> str:
        """Which tier answered last."""
        number = self.lib.k4_decoder_tier(self.decoder)
        return next(name for name, value in _TIERS.items() if value == number)

    def _line(self, i: int) -> Line:
        item = self.item_at(i)
        if item.record == 0:
            kind = self.lib.k4_product_message_kind(self.product, item.message)
            return _refused(_REFUSALS[item.refusal], None if kind == self.ffi.NULL else self.ffi.string(kind).decode(), item.offset)
        record_type = self.kinds[item.record]
        values = record.unpack(record_type, bytes(self.ffi.buffer(item.data, item.size)))
        symbol = bytes(self.ffi.buffer(item.symbol, item.symbol_len)).decode()
        price_exp, qty_exp, flags = (_int(values[name]) for name in ("price_exp", "qty_exp", "flags"))
        return self.shape.record(record_type, symbol, values, flags, price_exp, qty_exp)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def open_native(exchange: str, product: str, symbol: str | None, spec: Sequence[Path]) -> NativeDecoder:
    """The compiled parsers of a product. Raises K4Error: no such exchange or product, no extension that matches the specs."""
    built = native.load(list(spec) or None)
    _find(built.exchanges, exchange, product)
    return NativeDecoder(built, exchange, product, symbol)


def open_reference(exchange: str, product: str, symbol: str | None, spec: Sequence[Path]) -> ReferenceDecoder:
    """The reference interpreter of a product, straight from the specs: nothing need be compiled. Raises K4Error."""
    from ._codegen import cache, digest, fbs, places
    from ._codegen import exchange as specs
    from ._codegen.compiler import BuildError
    from ._codegen.errors import FindingsError

    try:
        folders = tuple(spec) or cache.remembered()
        cache.check_folders(folders)
        records = fbs.load(places.schema() / digest.RECORDS)
        exchanges = [specs.load(file, records) for file in digest.spec_files(folders)]
    except FindingsError as error:
        raise K4Error("\n".join(str(finding) for finding in error.findings), hint="correct the spec") from error
    except BuildError as error:
        raise K4Error(str(error), hint=error.hint) from error
    return ReferenceDecoder(records, _find({one.name: one for one in exchanges}, exchange, product), product, symbol)


def _find(exchanges: Mapping[str, ir.Exchange], exchange: str, product: str) -> ir.Exchange:
    found = exchanges.get(exchange)
    if found is None:
        raise UsageError(f'unknown exchange "{exchange}"; there is: {", ".join(sorted(exchanges))}', hint="--spec DIR adds your own")
    if found.product(product) is None:
        raise UsageError(f'{exchange} has no product "{product}"; it has: {", ".join(one.name for one in found.products)}')
    return found


# --------------------------------------------------------------------------- frames in, lines out


def _frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """The frames of a file with their line numbers, from 1. Only the line end is taken off; an empty line is no frame.

    A file `.bin` is one binary frame, each line of a file `.hex` is one.
    """
    try:
        if path.suffix == ".bin":
            yield 1, path.read_bytes()
            return
        stream = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with stream:
            for number, line in enumerate(stream, 1):
                frame = line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line
                if frame:
                    yield number, _unhexed(path, number, frame) if path.suffix == ".hex" else frame
    except OSError as error:
        raise K4Error(f"{path}: {error.strerror}", hint="FILE holds one frame per line; - is standard input") from error


def _unhexed(path: Path, number: int, line: bytes) -> bytes:
    try:
        return bytes.fromhex(line.decode("ascii"))
    except ValueError as error:
        raise K4Error(
            f"{path}:{number}: not hex", hint="a line of a .hex file is one frame: two digits per byte, blanks at will"
        ) from error


def _show_json(line: Line) -> None:
    import orjson

    if isinstance(file := line.get("file"), str):
        line["file"] = file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")


def _show_columns(line: Line) -> None:
    """For a reader at a terminal: the place, the kind, then name=value, levels as price x qty."""
    place = f"{line['file']}:{line['frame']}" if "file" in line else str(line["frame"])
    if "skipped" in line:
        text = f"{place:>6}  -         {line['skipped']}"
    elif "refused" in line:
        text = f"{place:>6}  {line['kind'] or 'frame'!s:<9} refused: {line['refused']} at byte {line['offset']}"
    else:
        text = f"{place:>6}  {line['record']!s:<9} {line['symbol']!s:<16} {columns(line)}"
    sys.stdout.write(text + "\n")


def columns(line: Mapping[str, object]) -> str:
    """The fields of a record's line for a reader: `name=value`, what is absent left out, each side of a depth as `qty@price …`."""
    shown: list[str] = []
    for name, value in line.items():
        if name in ("frame", "file", "record", "exchange", "product", "symbol") or value is None or value == []:
            continue
        if isinstance(value, list):
            if name == "flags":
                shown.append("+".join(value))
            elif name.endswith("_price"):
                side = name.removesuffix("_price")
                qtys = line[f"{side}_qty"]
                assert isinstance(qtys, list)
                shown.append(f"{side}=" + " ".join(f"{qty}@{price}" for price, qty in zip(value, qtys, strict=True)))
            continue
        if not name.endswith("_levels"):
            shown.append(f"{name}={str(value).lower() if isinstance(value, bool) else value}")
    return "  ".join(shown)
