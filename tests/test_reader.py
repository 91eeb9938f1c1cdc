"""k4.open against a writer in another process: values, order, loss, latest, snapshot, waiting, arrays, errors."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest

import k4
from k4.reader import Lost, Reader
from k4.segments import NoSegmentError, NoSymbolError, ReplacedError, SegmentError, WriterGoneError
from k4.values import Record

from . import segments as s


def record(item: Record | Lost | None) -> Record:
    assert isinstance(item, Record)
    return item


def ids(items: list[Record | Lost]) -> list[object]:
    return [item if isinstance(item, Lost) else item.trade_id for item in items]


def all_now(reader: Reader) -> list[Record | Lost]:
    found: list[Record | Lost] = []
    while (item := reader.read()) is not None:
        found.append(item)
    return found


def test_values_of_a_bbo(writer: s.Writer) -> None:
    writer.open("b", "bbo")
    writer.symbol("AAA")
    writer.symbol("币安人生USDT", "nova", "perp")
    with k4.open("b") as reader:
        assert reader.read() is None
        writer.put(1, s.bbo(77, 123456, 10000, 123457, 5, source=3, flags=0b10010001, event=1700000000123456789, recv=5))
        r = record(reader.read())
        assert (r.sequence, r.instrument, r.source) == (0, 1, 3)
        assert (r.symbol, r.exchange, r.product) == ("币安人生USDT", "nova", "perp")
        assert (r.event_ns, r.engine_ns, r.recv_ns) == (1700000000123456789, None, 5)
        assert (r.bid_price, r.ask_price) == (Decimal("1234.56"), Decimal("1234.57"))
        assert str(r.bid_qty) == "1.0000"
        assert str(r.ask_qty) == "0.0005"
        assert (r.bid_count, r.ask_count) == (None, None)
        assert (r.mantissa("bid_price"), r.float("bid_price"), r.float("ask_qty")) == (123456, 1234.56, 0.0005)
        assert [flag.name for flag in r.flags] == ["GAP", "ONE_SIDED", "RESTART"]
        assert r.to_json() == {
            "record": "bbo", "exchange": "nova", "product": "perp", "symbol": "币安人生USDT", "instrument": 1, "source": 3,
            "flags": ["GAP", "ONE_SIDED", "RESTART"], "event_ns": 1700000000123456789, "engine_ns": None, "recv_ns": 5, "price_exp": -2,
            "qty_exp": -4, "update_id": 77, "bid_price": "1234.56", "bid_qty": "1.0000", "ask_price": "1234.57", "ask_qty": "0.0005",
            "bid_count": None, "ask_count": None,
        }  # fmt: skip
        with pytest.raises(AttributeError, match="a bbo record has no member 'price'; it has instrument, source"):
            _ = r.price
        with pytest.raises(AttributeError, match="'update_id' is no price or quantity of a bbo record; those are bid_price, bid_qty"):
            r.float("update_id")


def test_absent_and_extreme_values(writer: s.Writer) -> None:
    writer.open("b", "bbo")
    writer.symbol("AAA")
    with k4.open("b") as reader:
        writer.put(0, s.bbo(s.ABSENT, s.ABSENT, s.ABSENT, (1 << 63) - 1, -(1 << 63) + 1, price_exp=-18, qty_exp=-128))
        r = record(reader.read())
        assert (r.update_id, r.bid_price, r.bid_qty, r.float("bid_price"), r.mantissa("bid_qty")) == (None, None, None, None, None)
        with localcontext() as context:  # exact whatever precision its reader works with
            context.prec = 3
            assert str(r.ask_price) == "9.223372036854775807"
        assert r.ask_qty == Decimal((1, tuple(map(int, str((1 << 63) - 1))), -128))
        assert r.float("ask_price") == float("9.223372036854775807")


def test_values_of_trades_and_depths(writer: s.Writer) -> None:
    writer.open("t", "trade")
    writer.symbol("AAA")
    with k4.open("t") as reader:
        writer.put(0, s.trade(9, 5, 7, maker=True, kind=3))
        r = record(reader.read())
        assert (r.trade_id, r.price, r.qty, r.buyer_is_maker, r.kind) == (9, Decimal("0.05"), Decimal("0.0007"), True, "liquidation")
    writer.close()
    writer.open("a", "aggtrade")
    writer.symbol("AAA")
    with k4.open("a") as reader:
        writer.put(0, s.aggtrade(4, 10, 12, 3, 100, 200))
        r = record(reader.read())
        assert (r.agg_id, r.first_id, r.last_id, r.count) == (4, 10, 12, 3)
        assert (r.price, r.qty, r.buyer_is_maker) == (Decimal(1), Decimal("0.02"), False)
    writer.close()
    for levels in (5, 20):
        writer.open(f"d{levels}", f"depth{levels}")
        writer.symbol("AAA")
        with k4.open(f"d{levels}") as reader:
            writer.put(0, s.depth(levels, 6, [(300, 1), (200, 2), (100, 3)], [(400, 4)]))
            r = record(reader.read())
            assert (r.bid_levels, r.ask_levels) == (3, 1)
            assert r.bid_price == (Decimal(3), Decimal(2), Decimal(1))
            assert r.ask_qty == (Decimal("0.0004"),)
            assert r.bid_count == (None, None, None)
            assert r.mantissa("bid_qty") == (1, 2, 3)
            assert r.float("bid_price") == (3.0, 2.0, 1.0)
        writer.close()


def test_lost_ranges_are_exact(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=8)
    writer.symbol("AAA")
    with k4.open("t") as reader:
        writer.many(0, 30, s.trade(1000, 1, 1))
        # 29 is the newest; 22 shares its slot with 30, the next one
        assert ids(all_now(reader)) == [Lost(0, 22), *range(1023, 1030)]
        assert reader.position == 30
        reader.seek_to(25)
        assert ids(all_now(reader)) == list(range(1025, 1030))
        reader.seek_to(3)
        assert reader.read() == Lost(3, 22)
        assert reader.position == 23
        assert ids(all_now(reader)) == list(range(1023, 1030))
        assert Lost(3, 22).count == 20
    with k4.open("t", oldest=True) as reader:
        assert ids(all_now(reader)) == list(range(1023, 1030))


def test_more_than_one_batch_keeps_order(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=1024)
    writer.symbol("AAA")
    with k4.open("t") as reader:
        writer.many(0, 500, s.trade(0, 1, 1))
        first = [reader.read() for _ in range(10)]
        assert [record(item).sequence for item in first] == list(range(10))
        assert reader.position == 10
        array = reader.drain(5)  # goes on exactly where reading stopped
        assert isinstance(array, np.ndarray)
        assert array["trade_id"].tolist() == [10, 11, 12, 13, 14]
        assert reader.position == 15
        assert ids(all_now(reader)) == list(range(15, 500))


def test_drain_gives_arrays_and_lost_ranges(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=16)
    writer.symbol("AAA")
    with k4.open("t") as reader:
        empty = reader.drain()
        assert isinstance(empty, np.ndarray)
        assert len(empty) == 0
        writer.many(0, 40, s.trade(100, 7, 9, recv=33))
        assert reader.drain() == Lost(0, 24)
        array = reader.drain()
        assert isinstance(array, np.ndarray)
        assert array.dtype.itemsize == 72
        assert array["trade_id"].tolist() == list(range(125, 140))
        assert set(array["price"].tolist()) == {7}
        assert set(array["recv_ns"].tolist()) == {33}
        assert reader.position - len(array) == 25


def test_latest(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=8)
    for symbol in ("BTCUSDT", "ETHUSDT", "QUIET"):
        writer.symbol(symbol)
    with k4.open("t") as reader:
        assert reader.latest("BTCUSDT") is None
        writer.put(0, s.trade(1, 10, 1))
        writer.many(1, 50, s.trade(100, 20, 1))
        assert record(reader.latest("BTCUSDT")).trade_id == 1  # long out of the ring
        newest = record(reader.latest("ETHUSDT"))
        assert (newest.trade_id, newest.sequence, newest.symbol) == (149, 50, "ETHUSDT")
        assert reader.latest("QUIET") is None
        with pytest.raises(NoSymbolError, match="segment t has no symbol BTCUSD") as caught:
            reader.latest("BTCUSD")
        assert caught.value.hint == "did you mean BTCUSDT?"
        with pytest.raises(NoSymbolError) as caught:
            reader.latest("ZZZ")
        assert caught.value.hint == "it has 3: BTCUSDT, ETHUSDT, QUIET"
        writer.symbol("ETHUSDT", "nova", "perp")
        with pytest.raises(NoSymbolError, match=r"has ETHUSDT more than once \(nova spot, nova perp\)"):
            reader.latest("ETHUSDT")
        assert reader.latest("ETHUSDT", product="perp") is None
        assert record(reader.latest("ETHUSDT", product="spot")).trade_id == 149


def test_snapshot_then_follow_misses_and_repeats_nothing(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=32)
    for symbol in "ABC":
        writer.symbol(symbol)
    with k4.open("t") as reader:
        writer.many(0, 40, s.trade(0, 1, 1))
        writer.put(1, s.trade(500, 1, 1))
        taken = reader.snapshot()
        assert [(r.symbol, r.trade_id) for r in taken] == [("A", 39), ("B", 500)]
        writer.put(2, s.trade(900, 1, 1))
        writer.put(0, s.trade(40, 1, 1))
        assert ids(all_now(reader)) == [900, 40]


def test_snapshot_skips_what_it_already_has(writer: s.Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that come between reading head and reading latest are in the snapshot, so they must not come again."""
    writer.open("t", "trade", slots=32)
    for symbol in "AB":
        writer.symbol(symbol)
    with k4.open("t") as reader:
        writer.put(0, s.trade(1, 1, 1))
        original = Reader._latest

        def racing(self: Reader, instrument: int) -> Record | None:
            if instrument == 0:
                writer.put(0, s.trade(2, 1, 1))
                writer.put(1, s.trade(50, 1, 1))
            found = original(self, instrument)
            if instrument == 0:
                writer.put(0, s.trade(3, 1, 1))
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Reader, "_latest", racing)
            assert [r.trade_id for r in reader.snapshot()] == [2, 50]
        assert ids(all_now(reader)) == [3]
        writer.put(1, s.trade(51, 1, 1))
        assert ids(all_now(reader)) == [51]
        with monkeypatch.context() as patch:
            patch.setattr(Reader, "_latest", racing)
            assert [r.trade_id for r in reader.snapshot()] == [2, 50]
        reader.seek(oldest=True)  # who goes elsewhere wants all that is there
        assert ids(all_now(reader)) == [1, 2, 50, 3, 51, 2, 50, 3]


def test_arrays_skip_what_a_snapshot_has(writer: s.Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for arrays, of which each is of sequences in a row."""
    writer.open("t", "trade", slots=32)
    for symbol in "AB":
        writer.symbol(symbol)
    with k4.open("t") as reader:
        writer.put(0, s.trade(1, 1, 1))
        original = Reader._latest

        def racing(self: Reader, instrument: int) -> Record | None:
            if instrument == 0:
                for trade_id in (2, 3):
                    writer.put(0, s.trade(trade_id, 1, 1))
            found = original(self, instrument)
            if instrument == 0:
                writer.put(0, s.trade(4, 1, 1))
                writer.put(1, s.trade(50, 1, 1))
                writer.put(0, s.trade(5, 1, 1))
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Reader, "_latest", racing)
            assert [r.trade_id for r in reader.snapshot()] == [3, 50]
        writer.put(1, s.trade(51, 1, 1))
        seen = []
        while not isinstance(array := reader.drain(3), Lost) and len(array):
            seen.append((reader.position - len(array), array["trade_id"].tolist()))
        assert seen == [(3, [4]), (5, [5, 51])]
        assert reader.position == 7
        writer.put(0, s.trade(6, 1, 1))
        assert [r.trade_id for r in all_now(reader) if isinstance(r, Record)] == [6]


def test_iteration_waits_and_ends_when_the_writer_closes(writer: s.Writer) -> None:
    writer.open("t", "trade")
    writer.symbol("AAA")
    found: list[object] = []
    with k4.open("t") as reader:

        def follow() -> None:
            found.extend(item.trade_id for item in reader if isinstance(item, Record))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        for n in range(5):
            writer.put(0, s.trade(n, 1, 1))
            writer.do("wake")
        writer.close()
        thread.join(60)
        assert not thread.is_alive()
    assert found == [0, 1, 2, 3, 4]


@pytest.mark.alone
def test_waiting_is_woken_and_never_long(writer: s.Writer) -> None:
    """A busy machine only adds to a time: the best of several is judged."""
    writer.open("t", "trade")
    writer.symbol("AAA")
    slept, woken = [], []
    with k4.open("t") as reader:
        for n in range(5):
            start = time.monotonic()
            assert reader.wait(0.15) is False
            slept.append(time.monotonic() - start)
            timer = threading.Timer(0.02, lambda n=n: (writer.put(0, s.trade(n, 1, 1)), writer.do("wake")))
            timer.start()
            start = time.monotonic()
            assert reader.wait(60.0) is True
            woken.append(time.monotonic() - start)
            timer.join()
            assert record(reader.read()).trade_id == n
    assert 0.14 < min(slept) < 1.0
    assert min(woken) < 0.09  # sleeping through would have taken 100 ms


def test_a_stale_wait_page_costs_nothing(writer: s.Writer, shm: Path) -> None:
    """Sleepers that were killed stay counted; the writer forgets them the next time it looks."""
    writer.open("t", "trade")
    writer.symbol("AAA")
    page = shm / "k4.t.wait"
    with page.open("r+b") as file:
        file.seek(8)
        file.write(struct.pack("<I", 12345))
    writer.do("wake")
    assert struct.unpack_from("<I", page.read_bytes(), 8) == (0,)
    page.write_bytes(b"not a wait page")
    writer.close()
    writer.open("t", "trade")  # made anew
    assert struct.unpack_from("<Q", page.read_bytes()) == (0x4B34574149540D0A,)
    with k4.open("t") as reader:
        writer.put(0, s.trade(1, 1, 1))
        assert reader.wait(1.0) is True


def test_ring_is_a_view_without_a_copy(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=8)
    writer.symbol("AAA")
    reader = k4.open("t")
    ring = reader.ring()
    assert (len(ring), ring.dtype.itemsize, ring.flags.writeable) == (8, 128, False)
    writer.many(0, 10, s.trade(100, 42, 1))
    assert ring["trade_id"].tolist() == [108, 109, 102, 103, 104, 105, 106, 107]
    assert ring["sequence"].tolist() == [18, 20, 6, 8, 10, 12, 14, 16]
    assert ring["price"].tolist() == [42] * 8
    with pytest.raises(ValueError, match="read-only"):
        ring["price"][0] = 1
    reader.close()
    writer.put(0, s.trade(777, 1, 1))
    assert ring["trade_id"][2] == 777  # still mapped
    with pytest.raises(k4.K4Error, match="the reader of segment t is closed"):
        reader.read()


def test_a_dead_writer_is_told_from_a_silent_one(writer: s.Writer, program: Path) -> None:
    writer.open("t", "trade")
    writer.symbol("AAA")
    with k4.open("t") as reader:
        writer.put(0, s.trade(1, 1, 1))
        pid = writer.process.pid
        assert reader.info.writer == "alive"
        assert reader.info.writer_pid == pid
        writer.kill()
        items = iter(reader)
        assert record(next(items)).trade_id == 1
        with pytest.raises(WriterGoneError, match=rf"the writer of segment t \(process {pid}\) is gone"):
            next(items)
        assert reader.info.writer == "gone"
        successor = s.Writer(program)
        assert successor.open("t", "trade") == [1, 2]
        successor.put(0, s.trade(2, 1, 1))
        again = record(next(iter(reader)))
        assert again.trade_id == 2
        assert [flag.name for flag in again.flags] == ["RESTART"]
        assert (reader.info.writer, reader.info.epoch) == ("alive", 2)
        successor.end()


def test_a_replaced_segment(writer: s.Writer) -> None:
    writer.open("t", "trade", symbols=2)
    writer.symbol("A")
    writer.symbol("B")
    with k4.open("t") as reader:
        writer.put(1, s.trade(1, 1, 1))
        assert writer.symbol("C") == 2  # did not fit: a larger segment takes its place
        writer.put(2, s.trade(2, 1, 1))
        assert record(reader.read()).trade_id == 1
        with pytest.raises(ReplacedError, match="segment t was replaced by another"):
            reader.read()
        assert reader.info.writer == "replaced"
        assert not reader.closed  # what took its place goes on
    with k4.open("t", oldest=True) as reader:
        assert ids(all_now(reader)) == [1, 2]
        assert [symbol.symbol for symbol in reader.symbols] == ["A", "B", "C"]


def test_symbols_sources_and_info(writer: s.Writer) -> None:
    writer.open("t", "trade", slots=16, symbols=4)
    writer.symbol("A")
    writer.do("state 0 1 12345")
    writer.do("source nova#0 ws")
    writer.do("beat 999")
    writer.many(0, 20, s.trade(1, 1, 1))
    with k4.open("t") as reader:
        (symbol,) = reader.symbols
        assert (symbol.symbol, symbol.exchange, symbol.product) == ("A", "nova", "spot")
        assert (symbol.state, symbol.state_since_ns, symbol.last_recv_ns) == ("STALE", 12345, None)
        (source,) = reader.sources
        assert (source.name, source.transport, source.wins, source.lead_p50_ns) == ("nova#0", "ws", 0, None)
        info = reader.info
        assert (info.name, info.record, info.record_size, info.ring_slots, info.symbol_capacity) == ("t", "trade", 72, 16, 4)
        assert (info.head, info.oldest, info.epoch, info.heartbeat_ns, info.sources) == (20, 5, 1, 999, 1)


UNITS = [
    # qty_unit, contract_size, then 3 units at 40.00 in base and quote
    ("base", "-", "3", "120.00"),
    ("base", "0.01", "0.03", "1.2000"),
    ("quote", "100", "7.5", "300"),
    ("quote", "-", "0.075", "3"),
    ("contract", "5", None, None),
    ("-", "-", None, None),
]


@pytest.mark.parametrize(("unit", "size", "base", "quote"), UNITS)
def test_quantities_are_converted_as_the_symbol_says(
    unit: str, size: str, base: str | None, quote: str | None, writer: s.Writer, headers: Path, tmp_path: Path
) -> None:
    writer.open("t", "bbo")
    assert writer.do(f"unit nova perp A {unit} {size}") == [0]
    writer.put(0, s.bbo(1, s.ABSENT, s.ABSENT, 4000, 3, price_exp=-2, qty_exp=0))
    with k4.open("t", oldest=True) as reader:
        found = record(reader.read())
        assert (found.base("ask_qty"), found.quote("ask_qty")) == (base and Decimal(base), quote and Decimal(quote))
        assert (found.base("bid_qty"), found.quote("bid_qty")) == (None, None)
        with pytest.raises(AttributeError, match="'ask_price' is a price; quantities are converted"):
            found.base("ask_price")
        with pytest.raises(AttributeError, match="no price or quantity"):
            found.base("flags")
        symbol = reader.symbols[0]
        assert (symbol.qty_unit or "-", symbol.contract_size or "-") == (unit, size)
    source = tmp_path / "unit.c"
    source.write_text("""#include "k4.h"
int main(int n, char **args)
{
    struct k4_reader reader;
    struct k4_bbo bbo;
    uint64_t at, first, last;
    char error[256];
    if (n != 2 || k4_reader_open(&reader, args[1], "t", K4_RECORD_BBO, error, sizeof error) != K4_OK)
        return 1;
    k4_reader_seek(&reader, k4_reader_oldest(&reader));
    if (k4_reader_next(&reader, &bbo, &at, &first, &last) != K4_READ_RECORD)
        return 2;
    const struct k4_symbol_entry *symbol = &reader.symbols[bbo.instrument];
    double qty = k4_bbo_ask_qty(&bbo), price = k4_bbo_ask_price(&bbo);
    printf("%.17g %.17g\\n", k4_base_qty(symbol, qty, price), k4_quote_qty(symbol, qty, price));
    k4_reader_close(&reader);
    return 0;
}
""")
    subprocess.run(["gcc", "-std=c11", *s.STRICT, "-O1", f"-I{headers}", str(source), "-o", str(tmp_path / "unit")], check=True)
    shm = os.environ["K4_SHM_DIR"]
    done = subprocess.run([str(tmp_path / "unit"), shm], capture_output=True, text=True, check=True)
    wanted = [float(value) if value is not None else float("nan") for value in (base, quote)]
    assert [float(word) for word in done.stdout.split()] == pytest.approx(wanted, rel=4e-16, nan_ok=True)


def test_depth_quantities_are_converted_level_by_level(writer: s.Writer) -> None:
    writer.open("t", "depth5")
    writer.do("unit nova perp A quote 10")
    writer.put(0, s.depth(5, 1, [(200, 4), (100, 1)], [], price_exp=-2, qty_exp=0))
    with k4.open("t", oldest=True) as reader:
        found = record(reader.read())
        assert found.base("bid_qty") == (Decimal(20), Decimal(10))
        assert found.quote("bid_qty") == (Decimal(40), Decimal(10))
        assert found.base("ask_qty") == ()


@pytest.mark.parametrize("size", ["x", "1e5", "-1", "1.2.3", "12345678901234567890"])
def test_a_contract_size_that_is_none(size: str, headers: Path, tmp_path: Path) -> None:
    source = tmp_path / "size.c"
    source.write_text(f"""#include "k4.h"
int main(void)
{{
    struct k4_symbol_entry symbol = {{.contract_size = "{size}", .qty_unit = "base"}};
    double base = k4_base_qty(&symbol, 1.0, 1.0);
    return base != base ? 0 : 1;
}}
""")
    subprocess.run(["gcc", "-std=c11", *s.STRICT, f"-I{headers}", str(source), "-o", str(tmp_path / "size")], check=True)
    assert subprocess.run([str(tmp_path / "size")], check=False).returncode == 0


def test_no_such_segment_names_those_that_are(writer: s.Writer, shm: Path) -> None:
    with pytest.raises(NoSegmentError) as caught:
        k4.open("x")
    assert (str(caught.value), caught.value.hint) == (f"there is no segment x in {shm}", "there is none: start a writer with k4 run")
    writer.open("t", "trade")
    (shm / "k4.dials.0.host").write_text("something else")
    with pytest.raises(NoSegmentError) as caught:
        k4.open("x")
    assert caught.value.hint == "there are: t"
    with pytest.raises(NoSegmentError):
        k4.open("../t")


def test_a_segment_of_another_layout_names_the_fields(writer: s.Writer, shm: Path) -> None:
    writer.open("t", "trade")
    writer.close()
    path = shm / "k4.t"
    whole = bytearray(path.read_bytes())
    other = bytearray(whole)
    other[16:24] = b"\x01" * 8
    place = whole.index(b"price:long@48")
    other[place : place + 13] = b"price:long@56"
    gone = whole.index(b"kind:ubyte@65")
    other[gone : gone + 4] = b"sort"
    path.write_bytes(other)
    with pytest.raises(SegmentError) as caught:
        k4.open("t")
    text = str(caught.value)
    assert text.startswith(f"{path} cannot be read: its trade records have another layout; ")
    assert "; price: long@48 here, long@56 in the segment; kind: " in text
    assert "kind: ubyte@65 here, not there in the segment" in text
    assert "sort: not there here, ubyte@65 in the segment" in text


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, struct.pack(">Q", 0x4B34534547000D0A), "written by a machine of the other byte order"),
        (0, b"12345678", "it is not a K4 segment"),
        (8, struct.pack("<I", 7), "it has version 7, this program reads version 1"),
        (32, struct.pack("<I", 99), r"holds trade records \(number 99\), which this program does not know"),
        (44, struct.pack("<I", 63), "damaged: 63 ring slots"),
        (44, struct.pack("<I", 1 << 27), "cut off: the file has|do not fit together"),
        (48, struct.pack("<I", 0), "damaged: 64 ring slots, 0 symbols"),
        (40, struct.pack("<I", 64), "sizes and offsets do not fit together"),
        (88, struct.pack("<Q", 1 << 60), "sizes and offsets do not fit together"),
        (24, struct.pack("<Q", 4096), "sizes and offsets do not fit together"),
        (320, b"x" * 64, "a text in its header does not end"),
        (512, b"x" * 3584, "a text in its header does not end"),
    ],
)
def test_no_header_value_is_trusted(writer: s.Writer, shm: Path, place: int, value: bytes, says: str) -> None:
    writer.open("t", "trade")
    writer.close()
    path = shm / "k4.t"
    with path.open("r+b") as file:
        file.seek(place)
        file.write(value)
    with pytest.raises(SegmentError, match=says):
        k4.open("t")


@pytest.mark.parametrize("size", [0, 5, 100, 4095, 4096, 8192])
def test_a_cut_off_file_is_an_error(writer: s.Writer, shm: Path, size: int) -> None:
    writer.open("t", "trade")
    writer.close()
    with (shm / "k4.t").open("r+b") as file:
        file.truncate(size)
    with pytest.raises(SegmentError, match=r"cut off|not a K4 segment"):
        k4.open("t")
    answer = writer.ask("open t 2 64 8")
    assert answer.startswith(f"error {shm}/k4.t cannot be taken over: ")
    assert answer.endswith("if nobody needs it: k4 shm rm t")


def test_links_and_foreign_files_are_refused(writer: s.Writer, shm: Path) -> None:
    writer.open("t", "trade")
    (shm / "k4.link").symlink_to(shm / "k4.t")
    with pytest.raises(SegmentError, match=r"k4.link is a symbolic link; links are not followed"):
        k4.open("link")
    (shm / "k4.dir").mkdir()
    with pytest.raises(SegmentError, match=r"k4.dir is not a regular file"):
        k4.open("dir")
