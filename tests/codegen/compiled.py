"""Generated parsers, compiled into a throw-away library, and the reference interpreter, both as plain outcomes that compare equal."""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from k4._codegen import bind, fbs, generate, ir, places, sbegen, tolerant
from k4._codegen import build as builder
from k4._codegen.reference import Interpreter, Outcome, Record, Refusal
from k4._codegen.render import identifier

RECORDS = fbs.load(places.schema() / "records.fbs")
REFUSALS = ("", "malformed", "depth", "utf8", "missing", "duplicate", "type", "range", "unmapped", "symbol")
SKIPS = (
    None, "control", "ack", "error", "pong", "ping", "notice", "instrument", "vars", "empty", "unchanged", "other_channel", "other_product",
    "dropped_class", "stale_book", "unknown_template",
)  # fmt: skip
# The fast tier's readers as functions: it compiles in seconds.
FUNCTIONS = "-DK4_FAST_INLINE=static __attribute__((unused))"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
SOURCES = (
    "k4_json", "k4_text", "k4_pattern", "k4_number", "k4_xxh64", "k4_parse", "k4_parse_each", "k4_decode", "k4_product",
    "k4_symtab", "k4_crc32", "k4_ladder", "k4_checksum", "k4_book", "k4_books", "k4_sbe", "k4_utf8",
    "k4_inflate", "k4_unpack",
)  # fmt: skip
_FORMATS = {"byte": "b", "ubyte": "B", "bool": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "long": "q", "ulong": "Q"}
_INT64_MIN = -(1 << 63)
_NO_FAST = """#include "k4_decode.h"
bool {name}(const uint8_t *text, size_t len, struct k4_scratch *scratch);
bool {name}(const uint8_t *text, size_t len, struct k4_scratch *scratch)
{{
    (void)text;
    (void)len;
    (void)scratch;
    return false;
}}
"""

Item = tuple[object, ...]  # ("record", word, message, symbol, bytes) or ("refused", code, message, offset)


@dataclass(frozen=True, slots=True)
class Given:
    """What a frame gave, whoever read it."""

    items: tuple[Item, ...]
    skip: str | None
    skip_message: int | None


class _Decoded(ctypes.Structure):
    _fields_ = (
        ("record", ctypes.c_int),
        ("refusal", ctypes.c_int),
        ("message", ctypes.c_int),
        ("offset", ctypes.c_uint32),
        ("symbol_len", ctypes.c_uint32),
        ("symbol", ctypes.POINTER(ctypes.c_uint8)),
        ("data", ctypes.POINTER(ctypes.c_uint8)),
        ("size", ctypes.c_uint32),
    )


def write_sources(folder: Path, exchange: ir.Exchange) -> list[Path]:
    """The generated files of one exchange, with a fast tier that declines all: what to compile, core included."""
    (folder / "k4_records.h").write_text(generate.records_header(RECORDS))
    (folder / "parser.c").write_text(tolerant.render_exchange(exchange, RECORDS))
    (folder / "products.c").write_text(generate.products_source([exchange], "test"))
    names = [f"k4_fast_{identifier(exchange.name)}_{identifier(product.name)}" for product in exchange.products]
    for i, name in enumerate(names):
        (folder / f"fast{i}.c").write_text(_NO_FAST.format(name=name))
    (folder / "sbe.c").write_text(sbegen.render_exchange(exchange, RECORDS) or '#include "k4_sbe.h"\n')
    made = [folder / "parser.c", folder / "sbe.c", folder / "products.c", *(folder / f"fast{i}.c" for i in range(len(names)))]
    return made + [places.csrc() / f"{name}.c" for name in SOURCES]


def compile_all(folder: Path, sources: list[Path], output: Path, *flags: str, compiler: str = "gcc") -> None:
    command = [compiler, *STRICT, *flags, f"-I{folder}", f"-I{places.csrc()}", *map(str, sources), "-o", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[:4000]


class Tolerant:
    """The tolerant tier of one product, compiled."""

    def __init__(self, library: ctypes.CDLL, exchange: ir.Exchange, product: str, symbol: str = "") -> None:
        self.library = library
        library.k4_product_find.restype = ctypes.c_void_p
        library.k4_decoder_open.restype = ctypes.c_void_p
        library.k4_decoder_open.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
        library.k4_decoder_push.argtypes = library.k4_decoder_push_binary.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        library.k4_decoder_item.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Decoded))
        for name in ("skip", "skip_message", "close"):
            getattr(library, f"k4_decoder_{name}").argtypes = (ctypes.c_void_p,)
        found = library.k4_product_find(exchange.name.encode(), product.encode())
        assert found, product
        self.decoder = library.k4_decoder_open(found, symbol.encode(), 2)

        library.k4_decoder_fetched.argtypes = (
            ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t,
        )  # fmt: skip

    def close(self) -> None:
        self.library.k4_decoder_close(self.decoder)

    def __call__(self, frame: bytes, binary: bool = False) -> Given:
        push = self.library.k4_decoder_push_binary if binary else self.library.k4_decoder_push
        return self._given(push(self.decoder, frame, len(frame)))

    def fetched(self, message: int, symbol: str, body: bytes) -> Given:
        """What a fetched body gives, and what was held for it."""
        name = symbol.encode()
        return self._given(self.library.k4_decoder_fetched(self.decoder, message, name, len(name), body, len(body)))

    def _given(self, count: int) -> Given:
        assert count >= 0
        items = tuple(self._item(i) for i in range(count))
        taker = self.library.k4_decoder_skip_message(self.decoder)
        return Given(items, SKIPS[self.library.k4_decoder_skip(self.decoder)], None if taker < 0 else taker)

    def places(self, i: int) -> tuple[int, int]:
        """Where in memory the symbol and the record of an item stand."""
        out = _Decoded()
        self.library.k4_decoder_item(self.decoder, i, ctypes.byref(out))
        return tuple(ctypes.cast(pointer, ctypes.c_void_p).value or 0 for pointer in (out.symbol, out.data))  # type: ignore[return-value]

    def _item(self, i: int) -> Item:
        out = _Decoded()
        self.library.k4_decoder_item(self.decoder, i, ctypes.byref(out))
        message = None if out.message < 0 else out.message
        if out.record == 0:
            return ("refused", REFUSALS[out.refusal], message, out.offset)
        word = RECORDS.records[out.record - 1].word
        return ("record", word, message, ctypes.string_at(out.symbol, out.symbol_len).decode(), ctypes.string_at(out.data, out.size))


class Reference:
    """The reference interpreter of the same product."""

    def __init__(self, exchange: ir.Exchange, product: str, symbol: str = "") -> None:
        others = tuple(bind.bind(exchange, other.name) for other in exchange.products if other.name != product)
        found = exchange.product(product)
        assert found is not None
        encoding = found.session.encoding
        self.interpreter = Interpreter(RECORDS, bind.bind(exchange, product), others, symbol or None, exchange.schema(found), encoding)

    def __call__(self, frame: bytes, binary: bool = False) -> Given:
        return given(self.interpreter.decode(frame, binary))


def given(outcome: Outcome) -> Given:
    """The reference's outcome, records as the bytes they are in shared memory."""
    return Given(tuple(_plain(item) for item in outcome.items), outcome.skip, outcome.skip_message)


def _plain(item: Record | Refusal) -> Item:
    if isinstance(item, Refusal):
        return ("refused", item.code, item.message, item.offset)
    return ("record", item.record, item.message, item.symbol, pack(item))


def pack(item: Record) -> bytes:
    """A record as its layout has it: absent values as sentinels, pads zero, what the feed fills in as a parser leaves it."""
    record = RECORDS.record(item.record)
    assert record is not None
    own = {"instrument": 0, "source": 0, "recv_ns": None, "flags": item.flags, "price_exp": item.price_exp, "qty_exp": item.qty_exp}
    out = b""
    for field in record.fields:
        value = 0 if field.kind == "pad" else own[field.name] if field.name in own else item.values[field.name]
        values = value if isinstance(value, list) else [value]
        missing = -1 if field.kind == "count" else _INT64_MIN
        filler = 0 if field.kind == "pad" else None
        values = values + [filler] * (max(field.length, 1) - len(values))
        out += b"".join(struct.pack(f"<{_FORMATS[field.scalar]}", missing if one is None else one) for one in values)
    assert len(out) == record.size
    return out


def unpack(record: ir.RecordType, data: bytes) -> dict[str, tuple[int, ...]]:
    """The members of a record's bytes, each as all of its values."""
    found: dict[str, tuple[int, ...]] = {}
    at = 0
    for field in record.fields:
        form = f"<{max(field.length, 1)}{_FORMATS[field.scalar]}"
        found[field.name] = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
    return found


def build(folder: Path, exchange: ir.Exchange, compiler: str = "gcc") -> ctypes.CDLL:
    """Compiles the exchange's parsers into a shared library and loads it."""
    library = folder / "parser.so"
    compile_all(folder, write_sources(folder, exchange), library, "-O1", "-shared", "-fPIC", compiler=compiler)
    return ctypes.CDLL(str(library))


def build_extension(folder: Path) -> None:
    """The extension that knows the specs in `folder`, too, for `k4 --spec`: made in a third of the usual time, for it need not be fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("K4_CFLAGS", f"-O0 '{FUNCTIONS}'")
        builder.build([folder])


FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
LIBRARY, REPLAY = "parsers.so", "replay"


def build_built_in(folder: Path) -> None:
    """All built-in exchanges with everything that is generated for them, as a library and as the program of fuzz/replay.c."""
    records, exchanges = builder.load()
    for name, text in generate.generate(records, exchanges).items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = [FUZZ / "replay.c", *sorted(folder.glob("*.c")), *sorted(places.csrc().glob("*.c"))]
    objects = [folder / f"{source.stem}.o" for source in sources]
    flags = (*STRICT, "-O1", "-fPIC", FUNCTIONS, f"-I{folder}", f"-I{places.csrc()}", f"-I{FUZZ}")

    def compiled(source: Path, output: Path) -> None:
        subprocess.run(["gcc", *flags, "-c", str(source), "-o", str(output)], check=True, timeout=300)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(compiled, sources, objects))
    subprocess.run(["gcc", "-shared", *map(str, objects[1:]), "-lm", "-o", str(folder / LIBRARY)], check=True, timeout=60)
    subprocess.run(["gcc", *map(str, objects), "-lm", "-o", str(folder / REPLAY)], check=True, timeout=60)
