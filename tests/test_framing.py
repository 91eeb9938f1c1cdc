"""WebSocket framing: a table of byte streams and what must come of them, each cut at every byte; and properties.

The families are those of Autobahn's groups 1 to 7, 9 and 10, and what they leave out: long forms of lengths, masks, caps. Drives csrc/k4_ws.c with k4_utf8.c alone, compiled here with sanitizers off and warnings as errors.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k4.sim.frames import frame
from tests.conftest import Once

ROOT = Path(__file__).resolve().parent.parent
CAP = 1 << 20
MORE, TEXT, BINARY, PING, PONG, CLOSE, FAILED = range(7)
# enum k4_ws_cause
RESERVED_BITS, OPCODE, MASKED, CONTROL_LONG, CONTROL_FRAGMENT, LENGTH, ORPHAN, INTERLEAVED = range(1, 9)
CLOSE_PAYLOAD, CLOSE_CODE, TEXT_UTF8, CLOSE_UTF8, TOO_BIG, NO_MEMORY = range(9, 15)
CLOSE_CODES = dict.fromkeys(range(1, 11), 1002) | {TEXT_UTF8: 1007, CLOSE_UTF8: 1007, TOO_BIG: 1009, NO_MEMORY: 1009}

Entry = tuple[int, int, bytes]


def text(payload: bytes) -> bytes:
    return frame(1, payload)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack(">H", code) + reason)


def failed(cause: int) -> Entry:
    return (FAILED, cause, b"")


class Driver:
    """The compiled driver."""

    def __init__(self, library: Path) -> None:
        lib = ctypes.CDLL(str(library))
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        for name, result, arguments in (
            ("driver_open", pointer, [size]),
            ("driver_close", None, [pointer]),
            ("driver_feed", None, [pointer, ctypes.c_char_p, size, size]),
            ("driver_log", pointer, [pointer, ctypes.POINTER(size)]),
            ("driver_capacity", size, [pointer]),
            ("driver_split", ctypes.c_long, [size, ctypes.c_char_p, size, size, size]),
            ("k4_utf8_proven", size, [ctypes.c_char_p, size, ctypes.POINTER(ctypes.c_bool)]),
            ("k4_ws_close_code", ctypes.c_int, [ctypes.c_int]),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self.lib = lib

    def run(self, stream: bytes, *, cap: int = CAP, piece: int | None = None) -> list[Entry]:
        return self.run_reads([stream], cap=cap, piece=piece)[0]

    def run_reads(self, reads: list[bytes], *, cap: int = CAP, piece: int | None = None) -> tuple[list[Entry], int]:
        """What came out, and the largest size of the region."""
        handle = self.lib.driver_open(cap)
        try:
            for read in reads:
                self.lib.driver_feed(handle, read, len(read), piece or max(len(read), 1))
            n = ctypes.c_size_t()
            at = self.lib.driver_log(handle, ctypes.byref(n))
            log = ctypes.string_at(at, n.value) if n.value else b""
            return list(entries(log)), int(self.lib.driver_capacity(handle))
        finally:
            self.lib.driver_close(handle)


def entries(log: bytes) -> list[Entry]:
    out, at = [], 0
    while at < len(log):
        kind, code, n = struct.unpack_from("<BII", log, at)
        out.append((kind, code, log[at + 9 : at + 9 + n]))
        at += 9 + n
    return out


def compile_driver(folder: Path, headers: Path) -> None:
    strict = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
    include = (f"-I{headers}", f"-I{ROOT / 'csrc'}")
    sources = (str(ROOT / "tests/c/ws_driver.c"), str(ROOT / "csrc/k4_ws.c"), str(ROOT / "csrc/k4_utf8.c"))
    subprocess.run(["gcc", *strict, "-shared", "-fPIC", *include, *sources, "-o", str(folder / "ws_driver.so")], check=True)


@pytest.fixture(scope="session")
def driver(once: Once, headers: Path) -> Driver:
    return Driver(once("ws", lambda folder: compile_driver(folder, headers)) / "ws_driver.so")


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    stream: bytes
    expect: tuple[Entry, ...]
    cap: int = CAP


def data_cases() -> list[Case]:
    out = []
    for n in (0, 1, 125, 126, 127, 128, 65535, 65536):
        out.append(Case(f"text of {n}", text(b"*" * n), ((TEXT, 0, b"*" * n),)))
        out.append(Case(f"binary of {n}", frame(2, b"\xfe" * n), ((BINARY, 0, b"\xfe" * n),)))
    out.append(Case("three in a row", text(b"a") + frame(2, b"b") + text(b"c"), ((TEXT, 0, b"a"), (BINARY, 0, b"b"), (TEXT, 0, b"c"))))
    for form, n in ((126, 0), (126, 125), (127, 0), (127, 125), (127, 126), (127, 65535)):
        out.append(Case(f"length {n} in form {form}", frame(1, b"*" * n, form=form), (failed(LENGTH),)))
    out.append(Case("length with the top bit", b"\x82\x7f\x80" + bytes(7), (failed(LENGTH),)))
    out.append(Case("masked text", text(b"ok") + frame(1, b"hi", mask=True), ((TEXT, 0, b"ok"), failed(MASKED))))
    out.append(Case("masked ping", frame(9, b"", mask=True), (failed(MASKED),)))
    return out


def control_cases() -> list[Case]:
    out = []
    for payload in (b"", b"Hello", bytes(range(8)), b"\xfe" * 125):
        out.append(Case(f"ping of {len(payload)}", frame(9, payload), ((PING, 0, payload),)))
        out.append(Case(f"pong of {len(payload)}", frame(10, payload), ((PONG, 0, payload),)))
    out.append(Case("pongs, then a ping", frame(10) + frame(10, b"q") + frame(9, b"p"), ((PONG, 0, b""), (PONG, 0, b"q"), (PING, 0, b"p"))))
    out.append(Case("ten pings", b"".join(frame(9, b"%d" % i) for i in range(10)), tuple((PING, 0, b"%d" % i) for i in range(10))))
    for opcode in (8, 9, 10):
        out.append(Case(f"control {opcode} of 126", frame(opcode, b"\0" * 126), (failed(CONTROL_LONG),)))
        out.append(Case(f"control {opcode} in 64-bit form", frame(opcode, b"", form=127), (failed(CONTROL_LONG),)))
        out.append(Case(f"control {opcode} without FIN", frame(opcode, b"x", fin=False), (failed(CONTROL_FRAGMENT),)))
    return out


def header_cases() -> list[Case]:
    out = []
    for rsv in range(1, 8):
        for opcode in (0, 1, 2, 8, 9, 10):
            stream = text(b"before") + frame(opcode, b"", rsv=rsv) + text(b"never")
            out.append(Case(f"reserved bits {rsv} in {opcode}", stream, ((TEXT, 0, b"before"), failed(RESERVED_BITS))))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"x"):
            stream = text(b"before") + frame(opcode, payload) + frame(9)
            out.append(Case(f"opcode {opcode} of {len(payload)}", stream, ((TEXT, 0, b"before"), failed(OPCODE))))
    return out


def fragment_cases() -> list[Case]:
    a, b, c = frame(1, b"one ", fin=False), frame(0, b"two ", fin=False), frame(0, b"three")
    whole = (TEXT, 0, b"one two three")
    ping, pong = frame(9, b"p"), frame(10, b"q")
    return [
        Case("three fragments", a + b + c, (whole,)),
        Case(
            "control frames between fragments", a + ping + b + pong + ping + c, ((PING, 0, b"p"), (PONG, 0, b"q"), (PING, 0, b"p"), whole)
        ),
        Case("empty fragments", frame(1, fin=False) + frame(0, fin=False) + frame(0), ((TEXT, 0, b""),)),
        Case("empty, middle, empty", frame(1, fin=False) + frame(0, b"middle", fin=False) + frame(0), ((TEXT, 0, b"middle"),)),
        Case("binary fragments", frame(2, b"\xff", fin=False) + frame(0, b"\xfe"), ((BINARY, 0, b"\xff\xfe"),)),
        Case(
            "single bytes",
            frame(1, fin=False) + b"".join(frame(0, bytes([65 + i]), fin=False) for i in range(20)) + frame(0, b"!"),
            ((TEXT, 0, bytes(range(65, 85)) + b"!"),),
        ),
        Case("two fragmented messages", a + c + a + b + c, ((TEXT, 0, b"one three"), whole)),
        Case("fragments, then a whole message", a + c + text(b"next"), ((TEXT, 0, b"one three"), (TEXT, 0, b"next"))),
        Case(
            "ping in a large message",
            frame(1, b"x" * 40000, fin=False) + ping + frame(0, b"y" * 40000),
            ((PING, 0, b"p"), (TEXT, 0, b"x" * 40000 + b"y" * 40000)),
        ),
        Case(
            "pings between five fragments",
            b"".join(
                (
                    frame(1, b"a", fin=False),
                    frame(0, b"b", fin=False),
                    ping,
                    frame(0, b"c", fin=False),
                    frame(0, b"d", fin=False),
                    ping,
                    frame(0, b"e"),
                )
            ),
            ((PING, 0, b"p"), (PING, 0, b"p"), (TEXT, 0, b"abcde")),
        ),
        Case("close inside a message", a + close(1000) + b, ((CLOSE, 1000, b""),)),
        Case("orphan continuation", frame(0, b"x"), (failed(ORPHAN),)),
        Case("orphan unfinished continuation", frame(0, b"x", fin=False), (failed(ORPHAN),)),
        Case("orphan after a message", text(b"x") + c, ((TEXT, 0, b"x"), failed(ORPHAN))),
        Case("orphan after a fragmented message", a + c + c, ((TEXT, 0, b"one three"), failed(ORPHAN))),
        Case("text inside a message", a + text(b"x"), (failed(INTERLEAVED),)),
        Case("unfinished binary inside a message", a + frame(2, b"x", fin=False), (failed(INTERLEAVED),)),
    ]


GOOD_UTF8 = (
    "κόσμε",
    "\0",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\ufffe",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "a" * 31 + "é" + "b" * 40,
    "€" * 30,
    # the last two of every plane, which are no characters and are UTF-8 all the same
    *(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF)),
)
BAD_UTF8 = (
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc3(",
    b"\xe2\x82(",
    b"\xe2(\xa1",
    b"\xf0\x9f\x98(",
)
CUT_UTF8 = (b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xce\xba\xe1\xbd")


def expected_utf8(raw: bytes) -> tuple[int, bool]:
    """By Python's own decoder: where it stops, and whether more bytes could mend it."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start, error.reason != "unexpected end of data"
    return len(raw), False


def utf8_cases() -> list[Case]:
    out = []
    for good in GOOD_UTF8:
        raw = good.encode()
        out.append(Case(f"text {good!a:.30}", text(raw), ((TEXT, 0, raw),)))
        single = frame(1, fin=False) + b"".join(frame(0, raw[i : i + 1], fin=False) for i in range(len(raw))) + frame(0)
        out.append(Case(f"text {good!a:.30} by bytes", single, ((TEXT, 0, raw),)))
    for bad in BAD_UTF8:
        out.append(Case(f"bad {bad!r}", text(b"ok " + bad + b" on"), (failed(TEXT_UTF8),)))
        out.append(
            Case(
                f"bad {bad!r} in the second of three",
                frame(1, b"ok", fin=False) + frame(0, bad, fin=False) + frame(9),
                (failed(TEXT_UTF8),),
            )
        )
        out.append(Case(f"binary {bad!r}", frame(2, bad), ((BINARY, 0, bad),)))
    for cut in CUT_UTF8:
        out.append(Case(f"cut {cut!r}", text(cut), (failed(TEXT_UTF8),)))
        out.append(Case(f"cut {cut!r} at the end of fragments", frame(1, b"ok", fin=False) + frame(0, cut), (failed(TEXT_UTF8),)))
    kosme = "κόσμε".encode()
    for n in range(1, len(kosme) + 1):
        whole = expected_utf8(kosme[:n]) == (n, False)
        out.append(Case(f"the first {n} bytes of kosme", text(kosme[:n]), ((TEXT, 0, kosme[:n]),) if whole else (failed(TEXT_UTF8),)))
    out.append(Case("bad after a sequence cut by fragments", frame(1, b"\xe2\x82", fin=False) + frame(0, b"x"), (failed(TEXT_UTF8),)))
    return out


def close_cases() -> list[Case]:
    out = [
        Case("close without payload", frame(8), ((CLOSE, 1005, b""),)),
        Case("close with one byte", frame(8, b"\x03"), (failed(CLOSE_PAYLOAD),)),
        Case("close with reason", close(1000, b"bye"), ((CLOSE, 1000, b"bye"),)),
        Case("close with the longest reason", close(1000, b"*" * 123), ((CLOSE, 1000, b"*" * 123),)),
        Case("close with a bad reason", close(1000, b"\xce\xba\xff"), (failed(CLOSE_UTF8),)),
        Case("close with a cut reason", close(1000, b"\xce"), (failed(CLOSE_UTF8),)),
        Case("two closes", close(1000) + close(1001), ((CLOSE, 1000, b""),)),
        Case("ping after close", close(1000) + frame(9), ((CLOSE, 1000, b""),)),
        Case("close after a large message", text(b"x" * 262144) + close(1000) + frame(9), ((TEXT, 0, b"x" * 262144), (CLOSE, 1000, b""))),
        Case("text after close", text(b"x") + close(1001) + text(b"y"), ((TEXT, 0, b"x"), (CLOSE, 1001, b""))),
        Case("garbage after close", close(1000) + b"\xff" * 300, ((CLOSE, 1000, b""),)),
    ]
    fine = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    wrong = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    out += [Case(f"close {code}", close(code), ((CLOSE, code, b""),)) for code in fine]
    return out + [Case(f"close {code}", close(code), (failed(CLOSE_CODE),)) for code in wrong]


def size_cases() -> list[Case]:
    big = b"z" * 300
    return [
        Case("at the cap", text(big), ((TEXT, 0, big),), cap=300),
        Case("over the cap", text(big), (failed(TOO_BIG),), cap=299),
        Case("over the cap by its header", b"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", (failed(TOO_BIG),)),
        Case("fragments at the cap", frame(2, big, fin=False) + frame(0, big), ((BINARY, 0, big + big),), cap=600),
        Case("fragments over the cap", frame(2, big, fin=False) + frame(9) + frame(0, big), ((PING, 0, b""), failed(TOO_BIG)), cap=599),
        Case("the cap is per message", text(big) + text(big), ((TEXT, 0, big), (TEXT, 0, big)), cap=300),
        Case("control frames are not capped", frame(9, b"12345"), ((PING, 0, b"12345"),), cap=1),
    ]


def in_frames(opcode: int, payload: bytes, size: int) -> bytes:
    """One message in fragments of `size`."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return b"".join(frame(0 if n else opcode, part, fin=n == len(parts) - 1) for n, part in enumerate(parts))


def large_cases() -> list[Case]:
    out = []
    for opcode, kind, unit in ((1, TEXT, "aé€😀".encode()), (2, BINARY, b"\xfe\x00\x81")):
        for n in (1 << 18, 1 << 20, 1 << 22, 1 << 24):
            payload = (unit * (n // len(unit))).ljust(n, b".")
            out.append(Case(f"message {opcode} of {n}", frame(opcode, payload), ((kind, 0, payload),), cap=n))
        payload = (unit * (CAP // len(unit))).ljust(CAP, b".")
        sizes = (64, 256, 1024, 4096, 16384, 65536, 262144, 1 << 20)
        out += [Case(f"message {opcode} in frames of {n}", in_frames(opcode, payload, n), ((kind, 0, payload),)) for n in sizes]
    return out


def many_cases() -> list[Case]:
    out = [Case("frames of 1300", in_frames(1, b"*" * 65536, 1300), ((TEXT, 0, b"*" * 65536),))]
    for opcode, kind in ((1, TEXT), (2, BINARY)):
        sizes = (0, 16, 64, 256, 1024, 4096)
        out += [Case(f"a thousand messages {opcode} of {n}", frame(opcode, b"*" * n) * 1000, ((kind, 0, b"*" * n),) * 1000) for n in sizes]
    return out


# Autobahn's groups: 1, 2, 3 and 4, 5, 6, 7, 9, 9 and 10; the last has what it lacks.
FAMILIES = (data_cases, control_cases, header_cases, fragment_cases, utf8_cases, close_cases, large_cases, many_cases, size_cases)
CASES = [case for family in FAMILIES for case in family()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(driver: Driver, case: Case) -> None:
    assert driver.run(case.stream, cap=case.cap) == list(case.expect)
    for piece in (1,) if len(case.stream) < 5000 else (64, 997, 2048):
        assert driver.run(case.stream, cap=case.cap, piece=piece) == list(case.expect)
    if len(case.stream) <= 5000:
        cuts = [(0, len(case.stream) + 1)]
    else:  # cutting a long payload at every byte shows nothing new: its ends and the headers do
        some = 200 if len(case.stream) < 100_000 else 12
        cuts = [
            (0, some),
            (len(case.stream) // 2 - some // 4, len(case.stream) // 2 + some // 4),
            (len(case.stream) - some, len(case.stream) + 1),
        ]
    for first, last in cuts:
        assert driver.lib.driver_split(case.cap, case.stream, len(case.stream), first, last) == -1


def test_close_code_of_every_cause(driver: Driver) -> None:
    assert {cause: driver.lib.k4_ws_close_code(cause) for cause in CLOSE_CODES} == CLOSE_CODES


def proven(driver: Driver, raw: bytes) -> tuple[int, bool]:
    bad = ctypes.c_bool()
    return int(driver.lib.k4_utf8_proven(raw, len(raw), ctypes.byref(bad))), bad.value


UTF8_PIECES = [g.encode() for g in GOOD_UTF8] + list(BAD_UTF8) + list(CUT_UTF8) + [b"a", b"bcdefgh" * 3]


@given(st.lists(st.one_of(st.sampled_from(UTF8_PIECES), st.binary(max_size=3)), max_size=6))
@settings(max_examples=2000, deadline=None)
def test_utf8_agrees_with_pythons_decoder(driver: Driver, pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    assert proven(driver, raw) == expected_utf8(raw)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Entry]]:
    """Valid messages, fragmented at will with control frames between, and what must come out."""
    stream, expect = b"", []
    for _ in range(draw(st.integers(1, 6))):
        is_text = draw(st.booleans())
        size = draw(st.sampled_from([0, 1, 100, 126, 5000, 40000, 70000]))
        payload = ("aé€😀"[draw(st.integers(0, 3))] * size).encode()[:size] if not is_text else ("é" * (size // 2)).encode()
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for i, part in enumerate(parts):
            stream += frame((1 if is_text else 2) if i == 0 else 0, part, fin=i == len(parts) - 1)
            if i < len(parts) - 1 and draw(st.booleans()):
                stream += frame(9, b"ping%d" % i)
                expect.append((PING, 0, b"ping%d" % i))
        expect.append((TEXT if is_text else BINARY, 0, payload))
    return stream, expect


@given(streams(), st.lists(st.integers(1, 70000), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_reads_give_the_same_messages(driver: Driver, case: tuple[bytes, list[Entry]], sizes: list[int]) -> None:
    stream, expect = case
    reads: list[bytes] = []
    at = 0
    while at < len(stream):
        n = sizes[len(reads) % len(sizes)]
        reads.append(stream[at : at + n])
        at += n
    assert driver.run_reads(reads)[0] == expect


def test_memory_of_endless_fragments_is_bounded(driver: Driver) -> None:
    """Ten megabytes of fragments end at the cap; a hundred thousand empty ones take nothing."""
    piece = frame(0, b"x" * 60000, fin=False)
    log, capacity = driver.run_reads([frame(2, fin=False)] + [piece] * 170)
    assert log == [failed(TOO_BIG)]
    assert capacity <= CAP + 64 * 1024
    log, capacity = driver.run_reads([frame(1, fin=False) + frame(0, fin=False) * 100_000 + frame(9, b"end")])
    assert log == [(PING, 0, b"end")]
    assert capacity == 256 * 1024


def test_region_grows_only_for_what_does_not_fit(driver: Driver) -> None:
    log, capacity = driver.run_reads([text(b"x" * 200_000)] * 20)
    assert len(log) == 20
    assert capacity == 256 * 1024
    log, capacity = driver.run_reads([text(b"x" * CAP)])
    assert log == [(TEXT, 0, b"x" * CAP)]
    assert capacity <= CAP + 64 * 1024
