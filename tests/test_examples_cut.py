"""Every market example of the built-in specs, as WebSocket frames cut in two at every byte, gives the same records in the ring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k4._codegen import ir
from k4.native import Native
from k4.sim import frames


def _published(
    native: Native, exchange: str, product: str, record: int, symbol: bytes, pieces: list[bytes]
) -> tuple[list[bytes], int, int, int]:
    """Records that the pieces leave in a new ring, and how many messages each tier took, SBE last."""
    ffi, lib = native.ffi, native.lib
    error = ffi.new("char[512]")
    options = ffi.new("k4_segment_options *", {"ring_slots": 8, "symbol_capacity": 4, "window_ids": 16, "mode": 0o600})
    feed = lib.k4_feed_open()
    built = lib.k4_product_find(exchange.encode(), product.encode())
    try:
        assert lib.k4_feed_segment(feed, record, b"cut", options, error, 512) == 0, ffi.string(error)
        assert lib.k4_feed_instrument(feed, built, record, symbol, len(symbol), b"", b"") == 0
        conn = lib.k4_conn_open(feed, built, b"one", b"json", b"", 1 << 20, error, 512)
        assert conn != ffi.NULL, ffi.string(error)
        view = lib.k4_view_open(b"cut", error, 512)
        assert view != ffi.NULL, ffi.string(error)
        out = ffi.new("uint8_t **")
        for piece in pieces:
            assert lib.k4_conn_buffer(conn, out) >= len(piece)
            ffi.memmove(out[0], piece, len(piece))
            assert lib.k4_conn_recv(conn, len(piece), 1_700_000_000_000_000_000, 1_000_000) == 0
        stats = ffi.new("k4_conn_stats *")
        lib.k4_conn_stats_get(conn, stats)
        found = []
        data, sequence, first, last = ffi.new("uint8_t[1024]"), ffi.new("uint64_t *"), ffi.new("uint64_t *"), ffi.new("uint64_t *")
        size = next(one.size for one in native.records.records if one.number == record)
        while lib.k4_view_next(view, data, sequence, first, last) == 1:
            found.append(bytes(ffi.buffer(data, size)))
        lib.k4_view_close(view)
        return found, stats.fast, stats.tolerant, stats.sbe
    finally:
        lib.k4_feed_close(feed)
        for file in Path(ffi.string(lib.k4_shm_dir()).decode()).iterdir():
            file.unlink()


def _examples(native: Native) -> list[tuple[ir.Exchange, ir.Message, ir.RecordType, ir.Example]]:
    found = []
    for exchange in native.exchanges.values():
        for message in exchange.messages:
            record = native.records.record(message.record)
            if record is not None and message.url is None and message.field("snapshot") is None:  # an update of a book does not stand alone
                found += [(exchange, message, record, example) for example in message.examples]
    return found


def test_examples_cut_at_every_byte(native: Native, shm: Path) -> None:
    native.lib.k4_shm_dir_set(b"")
    examples = _examples(native)
    assert examples
    for exchange, message, record, example in examples:
        expected: dict[str, Any] = dict(example.expect[0])
        frame = frames.frame(frames.BINARY if message.template is not None else frames.TEXT, message.frame(example))
        about = (native, exchange.name, example.product, record.number, str(expected["symbol"]).encode())
        whole = _published(*about, [frame])
        count = sum(dict(one).get("record", record.word) == record.word for one in example.expect)
        assert (len(whole[0]), *whole[1:]) == ((count, 1, 0, 0) if message.json else (count, 0, 0, 1)), example.wire
        for at in range(1, len(frame)):
            assert _published(*about, [frame[:at], frame[at:]]) == whole, (example.wire, at)
