"""Faults of framing: what no peer may send. Imports `fault`, `frames`, `line`."""

from __future__ import annotations

import struct

from k4.sim.fault import Fault, Link
from k4.sim.frames import BINARY, CLOSE, PING, TEXT, closing, frame
from k4.sim.line import Line, Script

CAP = 1 << 20  # of a message, as clients have it
BROKE = "the peer broke the protocol: "


def _frames(data: bytes) -> Script:
    """These bytes; a good record right behind them, which must not be taken."""

    async def script(line: Line) -> None:
        line.take()
        await line.send(data + await line.tell.more(1))
        await line.listen()

    return script


def endless(first: bytes, piece: bytes, times: int = 1) -> Script:
    """`first`, then `piece` until the client hangs up."""
    many = piece * times

    async def script(line: Line) -> None:
        line.take()
        await line.send(first)
        await line.until_gone(many)

    return script


def _breach(name: str, how: str, data: bytes, text: str, close: int = 1002) -> Fault:
    counter = {1002: "failed_protocol", 1007: "failed_utf8", 1009: "failed_size"}[close]
    expect = f"closed with {close} at once, counted in {counter}; nothing behind it is taken; redialled"
    return Fault(name, how, expect, Link(_frames(data)), BROKE + text, close, counter)


RESERVED = "reserved bit set in a frame"
LENGTH = "frame length not in its shortest form"
SIZE = "message larger than the message cap"
TEXT_UTF8 = "text message that is not UTF-8"
SIZE_EXPECT = "closed with 1009 when the cap is passed, counted in failed_size; redialled"
MAY_NOT = "close code that may not be sent"

FRAMES = (
    _breach("rsv", "first reserved bit set (compression nobody agreed on)", frame(TEXT, b"a", rsv=4), RESERVED),
    _breach("rsv2", "second reserved bit set", frame(BINARY, b"a", rsv=2), RESERVED),
    _breach("rsv3", "third reserved bit set, on a ping", frame(PING, b"a", rsv=1), RESERVED),
    _breach("bad-opcode", "data opcode 3", frame(3, b"a"), "reserved opcode"),
    _breach("bad-control-opcode", "control opcode 11", frame(11, b"a"), "reserved opcode"),
    _breach("masked", "a text frame with a mask", frame(TEXT, b"{}", mask=True), "masked frame from a server"),
    _breach("orphan-continuation", "a continuation frame of nothing", frame(0, b"{}"), "continuation frame without a message"),
    _breach("interleaved", "a new message inside a fragmented one", frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), "new message inside an unfinished one"),
    _breach("long-control", "a ping of 126 bytes", frame(PING, b"x" * 126), "control frame longer than 125 bytes"),
    _breach("fragmented-control", "a ping without FIN", frame(PING, b"x", fin=False), "fragmented control frame"),
    _breach("fragmented-close", "a close frame without FIN", frame(CLOSE, b"\x03\xe8", fin=False), "fragmented control frame"),
    _breach("long-form-16", "10 bytes with a length of 16 bits", frame(TEXT, b"x" * 10, form=126), LENGTH),
    _breach("long-form-64", "10 bytes with a length of 64 bits", frame(TEXT, b"x" * 10, form=127), LENGTH),
    _breach("length-top-bit", "a length of 2^63", b"\x81\x7f\x80" + bytes(7), LENGTH),
    _breach("length-64-bit", "a length of 2^62", b"\x82\x7f\x40" + bytes(7), SIZE, 1009),
    _breach("oversized", "a text frame of the cap and one byte", frame(TEXT, b"x" * (CAP + 1)), SIZE, 1009),
    Fault("oversized-endless", "a frame of 1 TiB, sent as long as it is read", SIZE_EXPECT,
          Link(endless(b"\x82\x7f" + struct.pack(">Q", 1 << 40), b"x" * 65536)), BROKE + SIZE, 1009, "failed_size"),
    Fault("endless-fragments", "fragments of 64 KiB without end", SIZE_EXPECT,
          Link(endless(frame(BINARY, fin=False), frame(0, b"x" * 65536, fin=False))), BROKE + SIZE, 1009, "failed_size"),
    Fault("endless-small-fragments", "fragments of 100 bytes without end", SIZE_EXPECT,
          Link(endless(frame(TEXT, fin=False), frame(0, b"x" * 100, fin=False), 640)), BROKE + SIZE, 1009, "failed_size"),
    _breach("bad-utf8", "a text with a byte that no text has", frame(TEXT, b'{"a":"\xff"}'), TEXT_UTF8, 1007),
    _breach("overlong-utf8", "a slash in two bytes", frame(TEXT, b'{"a":"\xc0\xaf"}'), TEXT_UTF8, 1007),
    _breach("surrogate-utf8", "half a surrogate pair in three bytes", frame(TEXT, b'{"a":"\xed\xa0\x80"}'), TEXT_UTF8, 1007),
    _breach("bad-utf8-fragment", "a bad byte in the first of several fragments", frame(TEXT, b'{"a":"\xff', fin=False), TEXT_UTF8, 1007),
    _breach("cut-utf8", "a text that ends inside a character", frame(TEXT, b'"\xe2\x82'), TEXT_UTF8, 1007),
    _breach("close-one-byte", "a close frame with half a code", frame(CLOSE, b"\x03"), "close frame with a payload of one byte"),
    _breach("close-1005", "a close code that is never sent", closing(1005), MAY_NOT),
    _breach("close-999", "a close code below all", closing(999), MAY_NOT),
    _breach("close-2999", "a close code nobody has defined", closing(2999), MAY_NOT),
    _breach("close-bad-reason", "a close frame with bytes for a reason", closing(1000, b"\xff\xfe"), "close reason that is not UTF-8", 1007),
)  # fmt: skip
