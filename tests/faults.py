"""The network faults K4 survives: one table of what goes wrong, how it is injected, and what has to come of it.

`tests/test_faults.py` runs every row over the real connection, in a process of its own, against `tests.fault_server`; `python -m
tests.faults` prints the table as docs/faults.md has it. A row's script is given the client's second link; the first was good, and the
next is again, so that each row also shows that the connection comes back and that data goes on.
"""

from __future__ import annotations

import itertools
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fault_server import Wire
from tests.fuzz.frames import BINARY, CLOSE, PING, PONG, TEXT, frame

RECORD = '{{"stream":"foobar@bookTicker","data":{{"u":{},"s":"FOOBAR","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}}}'
MEMORY_MB = 8.0
STALL_MS = 5.0
CAP = 1 << 20
BROKE = "the peer broke the protocol: "


def record(update_id: int) -> bytes:
    """A good quote, framed."""
    return frame(TEXT, RECORD.format(update_id).encode())


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    `inject`: the server's side of the faulty link; None: not over a socket (the storm). `how`, `expect`: the same in words.
    `close`: the close code the peer sees, None: none is sent. `reason`: the end of the log's reason, a regular expression; "": the link
    lives on. `counted`: the counter that goes up by one. `published`: records the fault itself brings. `settings`: of the client.
    """

    name: str
    how: str
    expect: str
    inject: Callable[[Wire], None] | None
    reason: str = ""
    close: int | None = None
    counted: str = ""
    published: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    memory_mb: float = MEMORY_MB
    stall_ms: float = STALL_MS
    check: Callable[[Wire], None] | None = None  # looks at what the client said

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


# --------------------------------------------------------------------------- handshake


def until_gone(wire: Wire, *steps: Callable[[], None], every_s: float = 0.0) -> None:
    """Takes the steps again and again until the client hangs up."""
    for step in itertools.cycle(steps):
        step()
        wire.listen(every_s) if every_s else None
        if wire.gone:
            return


def _silent_tcp(wire: Wire) -> None:
    _hold(wire)


def _hold(wire: Wire, seconds: float = 3.0) -> None:
    """Keeps the TCP connection and says nothing."""
    wire.raw.settimeout(seconds)
    try:
        while wire.raw.recv(65536):
            pass
    except OSError:
        pass


def _raw(data: bytes) -> Callable[[Wire], None]:
    """These bytes, without TLS."""

    def script(wire: Wire) -> None:
        wire.raw.sendall(data)
        _hold(wire)

    return script


def _answer(data: bytes) -> Callable[[Wire], None]:
    """This answer to the request."""

    def script(wire: Wire) -> None:
        wire.ask()
        wire.send(data)
        wire.listen()

    return script


def _response(**changes: Any) -> Callable[[Wire], None]:
    """The usual answer, changed."""

    def script(wire: Wire) -> None:
        wire.ask()
        wire.send(wire.response(**changes))
        wire.listen()

    return script


def _no_response(wire: Wire) -> None:
    wire.ask()
    wire.listen()


def _slow_response(wire: Wire) -> None:
    wire.ask()
    for byte in wire.response(add="X-Slow: " + "x" * 4000 + "\r\n"):
        wire.send(bytes([byte]))
        wire.listen(0.02)
        if wire.gone:
            return


def _hang_up(wire: Wire) -> None:
    wire.close()


def _reset(wire: Wire) -> None:
    wire.reset()


def _cut_response(wire: Wire) -> None:
    wire.ask()
    wire.send(wire.response()[:60])
    wire.close()


def _endless_body(wire: Wire) -> None:
    wire.ask()
    wire.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    body = b"busy " * 13000
    until_gone(wire, lambda: wire.send(body))


def _endless_head(wire: Wire) -> None:
    wire.ask()
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    line = b"X-More: " + b"x" * 1000 + b"\r\n"
    until_gone(wire, lambda: wire.send(line))


REFUSED = "handshake refused: HTTP "
# TCP's end without TLS's is what a reset is: both are told as what they are, a connection lost.
CUT = r"(connection lost(: .*)?|the peer closed the connection)"
CUT_SHORT = r"(Connection reset by peer|the peer closed the connection during the TLS handshake)"
DIAL = {"dial_s": 0.4}
NO_CONNECTION = "no connection within 0.4 s"
DROP = "the dial fails with this reason in the log, and is tried again with backoff"

HANDSHAKE = (
    Fault("stuck TCP", "accepts TCP, never answers TLS", DROP, _silent_tcp, NO_CONNECTION, settings=DIAL),
    Fault("stuck handshake", "TLS comes up, the request is never answered", DROP, _no_response, NO_CONNECTION, settings=DIAL),
    Fault("slow-loris handshake", "the response comes a byte every 20 ms", DROP, _slow_response, NO_CONNECTION, settings=DIAL),
    Fault("hangs up at once", "accepts TCP and closes it", DROP, _hang_up, CUT_SHORT),
    Fault("resets at once", "accepts TCP and resets it", DROP, _reset, CUT_SHORT),
    Fault("TLS garbage", "random bytes instead of a TLS handshake", DROP, _raw(bytes(range(7, 250)) * 3), r"TLS failed: .*; does this port speak TLS\?"),
    Fault("plain HTTP port", "an HTTP error instead of a TLS handshake", DROP, _raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), r"TLS failed: .*; does this port speak TLS\?"),
    Fault("HTTP 200", "the request is answered by a page", DROP, _answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), REFUSED + "200 OK: hello"),
    Fault("HTTP 301", "the request is redirected elsewhere", DROP + "; a redirect is not followed", _answer(b"HTTP/1.1 301 Moved Permanently\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n"), REFUSED + "301 Moved Permanently"),
    Fault("HTTP 503, endless body", "a refusal whose body does not end", DROP, _endless_body, REFUSED + "503 Service Unavailable.*"),
    Fault("wrong accept key", "Sec-WebSocket-Accept is that of another request", DROP, _response(key=b"bm90IHlvdXIga2V5"), "handshake: invalid Sec-WebSocket-Accept header: bm90IHlvdXIga2V5"),
    Fault("no accept key", "101 without Sec-WebSocket-Accept", DROP, _response(drop="Sec-"), "handshake: missing Sec-WebSocket-Accept header"),
    Fault("no Upgrade", "101 without the Upgrade header", DROP, _response(drop="Upgrade"), "handshake: missing Upgrade header"),
    Fault("no Connection", "101 without the Connection header", DROP, _response(drop="Connection"), "handshake: missing Connection header"),
    Fault("extension not offered", "the peer turns on permessage-deflate unasked", DROP, _response(add="Sec-WebSocket-Extensions: permessage-deflate\r\n"), "handshake: no extensions supported"),
    Fault("subprotocol not offered", "the peer chooses a subprotocol nobody offered", DROP, _response(add="Sec-WebSocket-Protocol: mqtt\r\n"), "handshake: no subprotocols supported"),
    Fault("huge header", "one header of 40 000 bytes", DROP, _response(add="X-Huge: " + "x" * 40000 + "\r\n"), "handshake: the response head is longer than 32768 bytes"),
    Fault("endless headers", "headers without end", DROP, _endless_head, "handshake: the response head is longer than 32768 bytes"),
    Fault("not HTTP", "the request is answered in another protocol", DROP, _answer(b"220 mail.example ready\r\n\r\n"), r"handshake: the peer answers b'220 mail\.example.*, not HTTP; is this the right address\?"),
    Fault("handshake cut off", "the response ends after 60 bytes", DROP, _cut_response, CUT),
)  # fmt: skip

# --------------------------------------------------------------------------- frames


def _frames(data: bytes) -> Callable[[Wire], None]:
    """An open connection, then these bytes; a good record right behind them, which must not be taken."""

    def script(wire: Wire) -> None:
        wire.accept()
        wire.send(data + record(50))
        wire.listen()

    return script


def _endless(first: bytes, piece: bytes, times: int = 1) -> Callable[[Wire], None]:
    """An open connection, `first`, then `piece` until the client hangs up."""
    many = piece * times

    def script(wire: Wire) -> None:
        wire.accept(first)
        until_gone(wire, lambda: wire.send(many))

    return script


def _breach(name: str, how: str, data: bytes, text: str, close: int = 1002) -> Fault:
    counter = {1002: "failed_protocol", 1007: "failed_utf8", 1009: "failed_size"}[close]
    expect = f"closed with {close} at once, counted in {counter}; nothing behind it is taken; redialled"
    return Fault(name, how, expect, _frames(data), BROKE + text, close, counter)


def _closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


RESERVED = "reserved bit set in a frame"
LENGTH = "frame length not in its shortest form"
SIZE = "message larger than the message cap"
TEXT_UTF8 = "text message that is not UTF-8"
SIZE_EXPECT = "closed with 1009 when the cap is passed, counted in failed_size; redialled"

FRAMES = (
    _breach("RSV1", "first reserved bit set (compression nobody agreed on)", frame(TEXT, b"a", rsv=4), RESERVED),
    _breach("RSV2", "second reserved bit set", frame(BINARY, b"a", rsv=2), RESERVED),
    _breach("RSV3", "third reserved bit set, on a ping", frame(PING, b"a", rsv=1), RESERVED),
    _breach("bad opcode", "data opcode 3", frame(3, b"a"), "reserved opcode"),
    _breach("bad control opcode", "control opcode 11", frame(11, b"a"), "reserved opcode"),
    _breach("masked server frame", "a text frame with a mask", frame(TEXT, RECORD.format(50).encode(), mask=True), "masked frame from a server"),
    _breach("orphan continuation", "a continuation frame of nothing", frame(0, RECORD.format(50).encode()), "continuation frame without a message"),
    _breach("interleaved messages", "a new message inside a fragmented one", frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), "new message inside an unfinished one"),
    _breach("long control frame", "a ping of 126 bytes", frame(PING, b"x" * 126), "control frame longer than 125 bytes"),
    _breach("fragmented control frame", "a ping without FIN", frame(PING, b"x", fin=False), "fragmented control frame"),
    _breach("fragmented close", "a close frame without FIN", frame(CLOSE, b"\x03\xe8", fin=False), "fragmented control frame"),
    _breach("non-minimal length", "10 bytes with a length of 16 bits", frame(TEXT, b"x" * 10, form=126), LENGTH),
    _breach("non-minimal 64-bit length", "10 bytes with a length of 64 bits", frame(TEXT, b"x" * 10, form=127), LENGTH),
    _breach("64-bit length, top bit", "a length of 2^63", b"\x81\x7f\x80" + bytes(7), LENGTH),
    _breach("64-bit length", "a length of 2^62", b"\x82\x7f\x40" + bytes(7), SIZE, 1009),
    _breach("oversized message", "a text frame of the cap and one byte", frame(TEXT, b"x" * (CAP + 1)), SIZE, 1009),
    Fault("oversized message, endless", "a frame of 1 TiB, sent as long as it is read", SIZE_EXPECT,
          _endless(b"\x82\x7f" + struct.pack(">Q", 1 << 40), b"x" * 65536), BROKE + SIZE, 1009, "failed_size"),
    Fault("endless fragments", "fragments of 64 KiB without end", SIZE_EXPECT,
          _endless(frame(BINARY, fin=False), frame(0, b"x" * 65536, fin=False)), BROKE + SIZE, 1009, "failed_size"),
    Fault("endless small fragments", "fragments of 100 bytes without end", SIZE_EXPECT,
          _endless(frame(TEXT, fin=False), frame(0, b"x" * 100, fin=False), 640), BROKE + SIZE, 1009, "failed_size"),
    _breach("bad UTF-8", "a text with a byte that no text has", frame(TEXT, b'{"a":"\xff"}'), TEXT_UTF8, 1007),
    _breach("overlong UTF-8", "a slash in two bytes", frame(TEXT, b'{"a":"\xc0\xaf"}'), TEXT_UTF8, 1007),
    _breach("UTF-8 surrogate", "half a surrogate pair in three bytes", frame(TEXT, b'{"a":"\xed\xa0\x80"}'), TEXT_UTF8, 1007),
    _breach("bad UTF-8 in a fragment", "a bad byte in the first of several fragments", frame(TEXT, b'{"a":"\xff', fin=False), TEXT_UTF8, 1007),
    _breach("UTF-8 cut off", "a text that ends inside a character", frame(TEXT, b'"\xe2\x82'), TEXT_UTF8, 1007),
    _breach("close of one byte", "a close frame with half a code", frame(CLOSE, b"\x03"), "close frame with a payload of one byte"),
    _breach("close code 1005", "a close code that is never sent", _closing(1005), "close code that may not be sent"),
    _breach("close code 999", "a close code below all", _closing(999), "close code that may not be sent"),
    _breach("close code 2999", "a close code nobody has defined", _closing(2999), "close code that may not be sent"),
    _breach("close reason no UTF-8", "a close frame with bytes for a reason", _closing(1000, b"\xff\xfe"), "close reason that is not UTF-8", 1007),
)  # fmt: skip

# --------------------------------------------------------------------------- what takes time


def _slow_frame(wire: Wire) -> None:
    wire.accept()
    for byte in frame(TEXT, b"x" * 300):
        wire.send(bytes([byte]))
        wire.listen(0.02)
        if wire.gone:
            return


def _empty_fragments(wire: Wire) -> None:
    wire.accept(frame(TEXT, fin=False))
    many = frame(0, fin=False) * 8000
    until_gone(wire, lambda: wire.send(many), every_s=0.001)


def _truncated(end: Callable[[Wire], None]) -> Callable[[Wire], None]:
    def script(wire: Wire) -> None:
        wire.accept()
        wire.send(record(50)[:-7])
        wire.listen(0.05)
        end(wire)

    return script


def _deaf(wire: Wire) -> None:
    """Open, then neither reads nor writes."""
    wire.accept()
    time.sleep(2.2)
    wire.listen(0.3)


def _half_open(wire: Wire) -> None:
    wire.accept()
    wire.listen(0.1)
    wire.vanish()


def _flood(seconds: float) -> Callable[[Wire], None]:
    """Pings as fast as they go, numbered, while nothing is read; then it listens, and a good record ends it."""

    def script(wire: Wire) -> None:
        wire.accept()
        until = time.monotonic() + seconds
        numbers = itertools.count()
        block = b""
        while time.monotonic() < until:
            block = block or b"".join(frame(PING, b"%-125d" % next(numbers)) for _ in range(500))
            block = block[wire.push(block) :]
        wire.send(block + frame(PING, b"last"))
        wire.listen(0.6)
        wire.send(record(51))
        wire.listen()

    return script


def _pong_flood(wire: Wire) -> None:
    wire.accept()
    block = frame(PONG, b"x" * 125) * 500
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        wire.send(block)
    wire.send(record(51))
    wire.listen()


def _newest_only(most: int) -> Callable[[Wire], None]:
    def check(wire: Wire) -> None:
        pongs = wire.pongs()
        numbers = [int(pong) for pong in pongs if pong != b"last"]
        assert numbers == sorted(set(numbers)), "answered in order, each once"
        assert len(pongs) <= most, f"{len(pongs)} pongs"
        assert pongs[-1] == b"last", "the newest is answered"

    return check


def _after_close(code: int) -> Callable[[Wire], None]:
    def script(wire: Wire) -> None:
        wire.accept()
        wire.send(_closing(code, b"bye") + record(50))
        with_more = record(52) * 200
        wire.listen(0.02)
        until_gone(wire, lambda: wire.send(with_more))

    return script


def _byte_by_byte(wire: Wire) -> None:
    wire.ask()
    for byte in wire.response() + record(50) + frame(PING, b"x") + record(51) + record(52):
        wire.send(bytes([byte]))
    wire.send(record(53))
    wire.listen()


def _tls_broken(wire: Wire) -> None:
    wire.accept()
    wire.listen(0.1)
    wire.raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xa5" * 32)
    _hold(wire)


def _burst(wire: Wire) -> None:
    wire.accept()
    wire.send(b"".join(record(50 + n) for n in range(20_000)))
    wire.send(record(30_000))
    wire.listen()


def _largest(wire: Wire) -> None:
    wire.accept()
    for _ in range(4):
        wire.send(frame(TEXT, b'{"x":"' + b"x" * (CAP - 8) + b'"}'))
    wire.send(record(51))
    wire.listen()


def _many_messages_no_one_knows(wire: Wire) -> None:
    wire.accept()
    wire.send(b"".join(frame(TEXT, b'{"what":%d}' % n) for n in range(20_000)))
    wire.send(record(51))
    wire.listen()


def _answers(count: int) -> Callable[[Wire], None]:
    """So many answers to requests nobody made, at once."""

    def script(wire: Wire) -> None:
        wire.accept()
        wire.send(b"".join(frame(TEXT, b'{"result":null,"id":%d}' % n) for n in range(count)))
        wire.send(record(51))
        wire.listen()

    return script


def _long_answer(wire: Wire) -> None:
    wire.accept()
    wire.send(frame(TEXT, b'{"result":null,"id":"' + b"7" * (CAP - 100) + b'"}'))
    wire.send(record(51))
    wire.listen()


def _lingers(wire: Wire) -> None:
    wire.accept()
    wire.send(_closing(1001, b"for tonight"))
    wire.listen(0.2)
    _hold(wire)


SILENCE = {"silence_s": 0.8}
STAYS = "the link lives on and data with it"

STREAMS = (
    Fault("slow-loris frame", "a frame comes a byte every 20 ms: signs of life, no message", "closed with 1000 after silence_s without a whole frame; redialled",
          _slow_frame, r"no frame for 0\.8 s", 1000, settings=SILENCE),
    Fault("endless empty fragments", "empty fragments as fast as they go: no byte of a message, no message", "no memory is taken; closed with 1000 after silence_s; redialled",
          _empty_fragments, r"no frame for 0\.8 s", 1000, settings=SILENCE),
    Fault("truncated message", "the connection ends inside a frame", "redialled; the part is never published", _truncated(Wire.close), CUT),
    Fault("truncated message, reset", "the connection is reset inside a frame", "redialled; the part is never published", _truncated(Wire.reset), CUT),
    Fault("silent link", "the peer neither sends nor answers nor closes", "probed after 0.5 s, dropped 1 s later, redialled", _deaf, "no answer to a probe for 1 s"),
    Fault("half-open link", "the peer forgets the connection without a word (TCP_REPAIR)", "the first probe finds out; redialled", _half_open, r"(connection lost.*|no answer to a probe for 1 s)"),
    Fault("ping flood, venue's limit", "pings for a second while the peer reads nothing", STAYS + "; the newest ping is answered, within the venue's rate", _flood(1.0), check=_newest_only(12)),
    Fault("ping flood, no limit", "the same where the venue sets no rate", STAYS + "; the newest ping of a read is answered, and none while the write buffer is full", _flood(1.0),
          settings={"requests": []}, check=_newest_only(20_000)),
    Fault("pong flood", "pongs nobody asked for, for half a second", STAYS, _pong_flood),
    Fault("data after close", "a close frame, then records without end", "answered with the same code; nothing behind it is taken; redialled", _after_close(1000), r"the peer closed the connection: 1000 bye", 1000),
    Fault("close that lingers", "a close frame, then the TCP connection is left open", "answered and dropped; redialled", _lingers, "the peer closed the connection: 1001 for tonight", 1001),
    Fault("byte by byte", "handshake, records and a ping, one byte per TLS record", STAYS + "; every record is published", _byte_by_byte, published=3),
    Fault("TLS broken later", "a TLS record that does not decrypt", "dropped; redialled", _tls_broken, r"connection lost.*"),
    Fault("burst", "20 000 records at once", STAYS + "; every one is published", _burst, published=20_000),
    Fault("largest messages", "four messages of exactly the cap", STAYS, _largest),
    Fault("many answers", "1 000 answers nobody asked for, at once", STAYS + "; they are read in slices of half a millisecond", _answers(1000)),
    Fault("flood of answers", "200 000 answers nobody asked for", "closed with 1008 once 2 048 wait to be read; redialled", _answers(200_000),
          "the peer floods with messages that are no market data", 1008),
    Fault("endless answer", "an answer as long as a message may be", STAYS + "; it is named and not read", _long_answer),
    Fault("flood of unknown messages", "20 000 messages of a kind no spec knows", STAYS + "; the first is shown", _many_messages_no_one_knows),
)  # fmt: skip

STORM = Fault(
    "reconnect storm", "a virtual clock; every dial is accepted, gives one record, and is closed (or refused): one connection, and forty of one host, for an hour",
    "full jitter up to 30 s; never more than 70 % of the venue's dials in any window; backoff starts over only after 60 s of good data", None,
)  # fmt: skip

FAULTS = (*HANDSHAKE, *FRAMES, *STREAMS)
assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def _row(fault: Fault, limits: str) -> str:
    return f"| {fault.name} | {fault.how} | {fault.expect} | {fault.close or 'none'} | {limits} |"


def markdown() -> str:
    """The table for docs/faults.md."""
    lines = ["| fault | injected | expected | close code | memory, MB | stall, ms |", "|---|---|---|---|---|---|"]
    lines += [_row(fault, f"{fault.memory_mb:g} | {fault.stall_ms:g}") for fault in FAULTS]
    lines.append(_row(STORM, "not measured | not measured"))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
