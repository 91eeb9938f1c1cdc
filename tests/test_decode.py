"""`k4 decode`: the reference and the compiled parsers against an expectation of their own, on captured and on generated frames; then
the command itself: files, line ends, exit codes, errors."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k4 import decode
from k4.decode import DeclinedError, NativeDecoder, open_reference
from k4.errors import K4Error, UsageError
from k4.native import Native
from tests.oracles import expected

ROOT = Path(__file__).resolve().parent.parent

Lines = Callable[[bytes], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def reference() -> Lines:
    decoder = open_reference("binance", "spot", None, ())
    return decoder.lines


@pytest.fixture(scope="session", params=["reference", "any", "tolerant"])
def lines(request: pytest.FixtureRequest) -> Lines:
    """What gives lines: the reference, the parsers as at run time, the tolerant one alone."""
    if request.param == "reference":
        found: Lines = request.getfixturevalue("reference")
        return found
    return NativeDecoder(request.getfixturevalue("native"), "binance", "spot", None, request.param).lines


# --------------------------------------------------------------------------- generated frames


class Raw(str):
    """A number as it shall be written."""

    __slots__ = ()


digits = st.text("0123456789", min_size=1, max_size=8)
whole = st.integers(0, 9 * 10**8).map(str)  # with ten fraction digits, the most that come up here, still inside int64
plain = st.builds(lambda a, b: f"{a}.{b}", whole, digits) | whole
scientific = st.builds(lambda a, b, e: f"{a}.{b}e{e}", st.integers(0, 99), digits, st.integers(-2, 6))
decimals = plain | scientific
values = decimals | decimals.map(Raw)
ids = st.integers(0, 2**62).map(lambda n: Raw(str(n))) | st.integers(0, 2**62).map(str)
symbols = st.sampled_from(["BTCUSDT", "A", "1000PEPEUSDC", "测试USDT", "é\\"])
times = st.integers(1_000_000_000_000, 9_200_000_000_000) | st.integers(1_000_000_000_000_000, 9_000_000_000_000_000)
anything = st.recursive(
    st.none() | st.booleans() | decimals.map(Raw) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
UNKNOWN = st.dictionaries(st.sampled_from(["Q", "nQ", "ps", "xt", "id2", "eE", ""]), anything, max_size=2)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """(kind, symbol, payload) of one of the four streams."""
    kind = draw(st.sampled_from(["bookTicker", "trade", "aggTrade", "depth5@100ms"]))
    symbol = draw(symbols)
    if kind == "depth5@100ms":
        sides = {side: draw(st.lists(st.tuples(values, values).map(list), max_size=7)) for side in ("bids", "asks")}
        return kind, symbol, {"lastUpdateId": draw(ids), **sides}
    if kind == "bookTicker":
        data: dict[str, Any] = {"u": draw(ids), "s": symbol}
        for price, qty in (("b", "B"), ("a", "A")):
            absent = draw(st.sampled_from(["", None, "gone"])) if draw(st.integers(0, 3)) == 0 else False
            if absent is False:
                data |= {price: draw(values), qty: draw(values)}
            elif absent != "gone":
                data |= {price: absent, qty: absent}
        return kind, symbol, data
    moment = {key: Raw(str(draw(times))) for key in "ET"}
    data = {"e": kind, **moment, "s": symbol, "p": draw(values), "q": draw(values), "m": draw(st.booleans()), "M": True}
    if kind == "trade":
        return kind, symbol, {**data, "t": draw(ids)}
    first = draw(st.integers(0, 2**60))
    last = first + draw(st.integers(0, 2**31 - 2))
    return kind, symbol, {**data, "a": draw(ids), "f": Raw(str(first)), "l": str(last)}


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A valid frame: any key order, white space, escapes, unknown keys, raw or combined."""
    kind, symbol, data = draw(payloads())
    message: dict[str, Any] = {**data, **draw(UNKNOWN)}
    if kind.startswith("depth") or draw(st.booleans()):
        stream = "".join(c.lower() if c.isascii() else c for c in symbol) + "@" + kind
        message = {"stream": stream, "data": message, **draw(UNKNOWN)}
    text: list[str] = []
    _write(draw, message, text, draw(st.booleans()), draw(st.integers(0, 4)) == 0)
    return "".join(text).encode()


def _write(draw: st.DrawFn, value: Any, text: list[str], loose: bool, escaped: bool) -> None:
    def space() -> None:
        if loose:
            text.append(draw(st.sampled_from(["", "", " ", "\n\t", "\r "])))

    def string(content: str) -> None:
        if escaped and content and draw(st.booleans()):
            text.append('"' + "".join(f"\\u{ord(c):04x}" for c in content) + '"')
        else:
            text.append(json.dumps(content, ensure_ascii=draw(st.booleans())))

    space()
    if isinstance(value, dict):
        text.append("{")
        keys = draw(st.permutations(list(value))) if loose else list(value)
        for i, key in enumerate(keys):
            text.append("," if i else "")
            space()
            string(key)
            space()
            text.append(":")
            _write(draw, value[key], text, loose, escaped)
        text.append("}")
    elif isinstance(value, list):
        text.append("[")
        for i, item in enumerate(value):
            text.append("," if i else "")
            _write(draw, item, text, loose, escaped)
        text.append("]")
    elif isinstance(value, Raw):
        text.append(value)
    elif isinstance(value, str):
        string(value)
    else:
        text.append(json.dumps(value))
    space()


quickly = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@quickly
@given(frames())
def test_generated_frames(lines: Lines, frame: bytes) -> None:
    assert lines(frame) == expected("binance", "spot", frame)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A frame with a few bytes taken out, put in or changed: mostly refused, somehow."""
    data = draw(frames())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.sampled_from([b"", b'"', b"null", b"[]", b"{}", b"-", b"1e999", b"\xff", b"\\ud800", b"true", b",", b'"s":"A",', b"0"])
        )
        data = data[:at] + piece + data[at + draw(st.sampled_from([0, 1, 1, 3])) :]
    return data


@pytest.mark.parametrize("tier", ["any", "tolerant", "fast"])
@quickly
@given(frame=broken() | frames())
def test_compiled_parsers_agree_with_the_reference(request: pytest.FixtureRequest, reference: Lines, tier: str, frame: bytes) -> None:
    decoder = _native(request, tier)
    try:
        found = decoder.lines(frame)
    except DeclinedError:
        assert tier == "fast"
        return
    assert found == reference(frame)


_OPEN: dict[str, NativeDecoder] = {}


def _native(request: pytest.FixtureRequest, tier: str) -> NativeDecoder:
    if tier not in _OPEN:
        _OPEN[tier] = NativeDecoder(request.getfixturevalue("native"), "binance", "spot", None, tier)
    return _OPEN[tier]


# --------------------------------------------------------------------------- the command


QUOTE = b'{"u":1,"s":"A","b":"1.5","B":"2","a":null,"A":""}'
QUOTE_LINE = {
    "record": "bbo", "exchange": "binance", "product": "spot", "symbol": "A", "event_ns": None, "engine_ns": None, "flags": ["ONE_SIDED"],
    "update_id": 1, "bid_price": "1.5", "bid_qty": "2", "ask_price": None, "ask_qty": None, "bid_count": None, "ask_count": None,
}  # fmt: skip


def run(capfdbinary: pytest.CaptureFixture[bytes], *files: Path, exit_code: int = 0, **options: Any) -> list[dict[str, Any]]:
    code = decode.run("binance", "spot", list(files), reference=True, **options)
    out, err = capfdbinary.readouterr()
    assert (code, err) == (exit_code, b"")
    return [json.loads(line) for line in out.splitlines()]


def test_frames_are_lines_and_only_the_line_end_is_taken_off(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "frames"
    file.write_bytes(QUOTE + b"\r\n\n\r\n" + QUOTE + b" \r\r\n\xff\xfe\n \n[1\n" + QUOTE)
    assert run(capfdbinary, file) == [
        {"frame": 1, **QUOTE_LINE},
        {"frame": 4, **QUOTE_LINE},
        {"frame": 5, "refused": "malformed", "kind": None, "offset": 0},
        {"frame": 6, "refused": "malformed", "kind": None, "offset": 1},
        {"frame": 7, "refused": "malformed", "kind": None, "offset": 2},
        {"frame": 8, **QUOTE_LINE},
    ]


def test_keys_stand_in_the_order_of_the_schema(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "frames"
    file.write_bytes(QUOTE)
    assert list(run(capfdbinary, file)[0]) == ["frame", *QUOTE_LINE]
    lines = run(capfdbinary, file, file)
    assert [list(line)[:3] for line in lines] == [["frame", "file", "record"]] * 2
    assert [line["file"] for line in lines] == [str(file)] * 2


def test_kinds_of_refusals_and_skipped_frames(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "frames"
    file.write_bytes(
        b'{"u":1,"s":"A","b":"x","B":"2"}\n{"result":null,"id":1}\n{"stream":"a@kline","data":{}}\n{"e":"trade","e":"trade"}\n'
    )
    wanted = [
        {"frame": 1, "refused": "type", "kind": "bbo", "offset": 19},
        {"frame": 2, "skipped": "ack"},
        {"frame": 3, "skipped": "other_channel"},
        {"frame": 4, "refused": "duplicate", "kind": None, "offset": 13},
    ]
    assert run(capfdbinary, file) == wanted
    assert run(capfdbinary, file, strict=True, exit_code=1) == wanted


def test_strict_is_content_with_skipped_frames(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "frames"
    file.write_bytes(b'{"result":null,"id":1}\n')
    assert run(capfdbinary, file, strict=True) == [{"frame": 1, "skipped": "ack"}]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(QUOTE + b"\n")))
    assert run(capfdbinary, Path("-")) == [{"frame": 1, **QUOTE_LINE}]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(K4Error, match="nowhere/frames: No such file or directory"):
        decode.run("binance", "spot", [Path("nowhere/frames")], reference=True)
    with pytest.raises(UsageError, match='unknown exchange "binanse"; there is: binance'):
        decode.run("binanse", "spot", [], reference=True)
    with pytest.raises(UsageError, match='binance has no product "perp"; it has: spot'):
        decode.run("binance", "perp", [], reference=True)
    with pytest.raises(K4Error, match="no such folder"):
        decode.run("binance", "spot", [], reference=True, spec=[Path("nowhere")])


def test_a_spec_of_ones_own_and_a_symbol(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    file = tmp_path / "frames"
    file.write_bytes(b'{"topic":"top.foobar","mkt":"SPOT","t":1,"d":{"bid":["1","2"],"ask":[],"seq":1}}\n')
    folder = tmp_path / "specs"
    folder.mkdir()
    shutil.copy(ROOT / "tests" / "cases" / "specs" / "nova.toml", folder)
    shown = {}
    for symbol in (None, "FOOBAR", "OTHER"):
        assert decode.run("nova", "spot", [file], reference=True, spec=[folder], symbol=symbol) == 0
        shown[symbol] = json.loads(capfdbinary.readouterr().out)
    assert (shown[None]["symbol"], shown[None]["flags"], shown[None]["event_ns"]) == ("FOOBAR", ["RESET", "ONE_SIDED"], 1_000_000)
    assert shown["FOOBAR"] == shown[None]
    assert shown["OTHER"] == {"frame": 1, "skipped": "other_channel"}


def test_columns_for_a_reader() -> None:
    lists = {"bid_price": ["1.5"], "bid_qty": ["2"], "ask_price": [], "ask_qty": [], "bid_count": [None], "ask_count": []}
    head = {"frame": 3, "record": "depth5", "exchange": "x", "product": "y", "symbol": "A", "event_ns": None, "engine_ns": 5}
    depth = {**head, "flags": ["SNAPSHOT"], "update_id": 7, "bid_levels": 1, "ask_levels": 0, **lists}
    assert decode.columns(depth) == "engine_ns=5  SNAPSHOT  update_id=7  bid=2@1.5"


@pytest.mark.parametrize("options", [["--reference"], []])
def test_the_command_line(tmp_path: Path, native: Any, options: list[str]) -> None:
    command = [sys.executable, "-m", "k4", "decode", "--exchange", "binance", "--product", "spot", *options, "--strict", "-"]
    done = subprocess.run(command, input=QUOTE + b"\n{\n", capture_output=True, cwd=ROOT, timeout=60, check=False)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"frame": 1, **QUOTE_LINE},
        {"frame": 2, "refused": "malformed", "kind": None, "offset": 1},
    ]
    assert (done.returncode, done.stderr) == (1, b"")


# --------------------------------------------------------------------------- drift

DRIFT = [
    # as the spec has it: the fast tier takes it
    '{"stream":"foobar@bookTicker","data":{"u":1,"s":"FOOBAR","b":"1.5","B":"2","a":"1.6","A":"3"}}',
    # another order of keys
    '{"stream":"foobar@bookTicker","data":{"s":"FOOBAR","u":2,"b":"1.5","B":"2","a":"1.6","A":"3"}}',
    # two keys that are not known, in front of each other
    '{"stream":"foobar@bookTicker","data":{"x":[1,{"y":2}],"u":3,"z":"","s":"FOOBAR","b":"1.5","B":"2","a":"1.6","A":"3"}}',
    # three values retyped
    '{"stream":"foobar@bookTicker","data":{"u":"4","s":"FOOBAR","b":1.5,"B":"2","a":"1.6","A":3}}',
    # a key that went, one that no longer parses
    '{"stream":"foobar@trade","data":{"e":"trade","E":1700000000124,"s":"FOOBAR","t":1,"p":"1","T":1700000000123,"m":true,"M":true}}',
    '{"stream":"foobar@trade","data":{"e":"trade","E":1700000000124,"s":"FOOBAR","t":1,"p":"dear","q":"1","T":1700000000123,"m":true,"M":true}}',
    '{"result":null,"id":7}',
    '{"something":"else"}',
    "no json",
]
COUNTED = [  # of a trade, `M` is not read
    {"message": "bbo", "frames": 4, "tolerant": 3, "unknown_keys": 2, "retyped": 3, "missing": 0, "refused": 0},
    {"message": "trade", "frames": 2, "tolerant": 2, "unknown_keys": 2, "retyped": 0, "missing": 1, "refused": 1},
    {"message": "ack", "frames": 1, "tolerant": 0, "unknown_keys": 0, "retyped": 0, "missing": 0, "refused": 0},
    {"message": "none", "frames": 2, "tolerant": 2, "unknown_keys": 1, "retyped": 0, "missing": 0, "refused": 1},
]


def test_drift_is_told_per_message(native: Native, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "frames"
    file.write_text("\n".join(DRIFT) + "\n")
    assert decode.run("binance", "spot", [file], drift=True, strict=True) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{**line, "message": line["message"].partition(":")[0]} for line in lines] == COUNTED
    specs = {message.line: message.record for message in native.exchanges["binance"].messages}
    assert [specs[int(line["message"].partition(":")[2])] for line in lines[:-1]] == ["bbo", "trade", "ack"]
    with pytest.raises(UsageError, match="leave out --reference"):
        decode.run("binance", "spot", [file], drift=True, reference=True)


def test_a_connection_counts_the_same_drift(native: Native, tmp_path: Path) -> None:
    """Fed to the C entry of a connection as WebSocket frames: the counters of `k4 run` are those of `k4 decode --drift`."""
    from k4.drift import of_connections
    from tests.venue_server import frame

    lib, ffi = native.lib, native.ffi
    lib.k4_shm_dir_set(str(tmp_path).encode())
    feed = lib.k4_feed_open()
    product = lib.k4_product_find(b"binance", b"spot")
    error = ffi.new("char[256]")
    conn = lib.k4_conn_open(feed, product, b"one", b"json", b"", 1 << 20, error, 256)
    out = ffi.new("uint8_t **")
    for text in DRIFT:
        data = frame(text.encode())
        room = lib.k4_conn_buffer(conn, out)
        assert room >= len(data)
        ffi.memmove(out[0], data, len(data))
        assert lib.k4_conn_recv(conn, len(data), 1, 1) >= 0
    from k4._codegen.bind import bind

    found = of_connections(lib, ffi, [conn], bind(native.exchanges["binance"], "spot"))
    lib.k4_conn_close(conn)
    lib.k4_feed_close(feed)
    lib.k4_shm_dir_set(b"")
    named = {title.partition(":")[0]: counts for title, counts in found.items()}
    wanted = {str(line["message"]): {k: v for k, v in line.items() if k not in {"message", "frames"} and v} for line in COUNTED}
    assert named == {title: counts for title, counts in wanted.items() if counts}


def test_only_what_should_be_fast_differs_by_being_tolerant(native: Native) -> None:
    from k4._codegen.bind import bind
    from k4.drift import differing, quick, title

    messages = bind(native.exchanges["binance"], "spot")
    expected = quick(native.lib, native.ffi, native.lib.k4_product_find(b"binance", b"spot"), messages, "spot")
    assert {name.partition(":")[0] for name in expected} >= {"bbo", "trade", "aggtrade", "depth5", "ack"}
    assert {title(message) for message in messages if message.url is not None}.isdisjoint(expected)
    slow: dict[str, dict[str, int]] = {"depth20:9": {"tolerant": 5, "unknown_keys": 7}, "none": {"tolerant": 3, "refused": 1}}
    known: dict[str, dict[str, int]] = {"bbo:15": {"tolerant": 1}}
    wrong: dict[str, dict[str, int]] = {"depth20:9": {"tolerant": 5, "missing": 1}}
    assert differing(slow, {"bbo:15"}) == {}
    assert differing(known, {"bbo:15"}) == known
    assert differing(wrong, {"bbo:15"}) == wrong
