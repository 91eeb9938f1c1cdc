"""Seeds for the framing target: short server streams of every case family, with the three bytes in front that say how to read them."""

from __future__ import annotations

import struct

from k4.sim.frames import BINARY, CLOSE, PING, PONG, TEXT, frame


def streams() -> list[bytes]:
    """One stream per thing that can be right or wrong."""
    kosme = "κόσμε".encode()
    out = [frame(opcode, b"x" * size) for opcode in (TEXT, BINARY) for size in (0, 1, 125, 126, 300)]
    out += [frame(opcode, b"p" * size) for opcode in (PING, PONG) for size in (0, 1, 125)]
    out += [frame(TEXT, b"a", rsv=rsv) for rsv in (1, 2, 4)] + [frame(opcode, b"a") for opcode in (3, 7, 11, 15)]
    out += [frame(TEXT, b"a", mask=True), frame(PING, b"x" * 126), frame(PING, fin=False), frame(0, b"a"), frame(0, b"a", fin=False)]
    out += [frame(TEXT, b"a", form=126), frame(TEXT, b"a", form=127), b"\x82\x7f\xff" + bytes(7), b"\x82\x7f" + struct.pack(">Q", 1 << 40)]
    out += [
        frame(CLOSE),
        frame(CLOSE, b"\x03"),
        *(frame(CLOSE, struct.pack(">H", code)) for code in (999, 1000, 1005, 1011, 1015, 2999, 4999)),
    ]
    out += [frame(CLOSE, b"\x03\xe8" + reason) for reason in (b"bye", kosme, b"\xff", b"\xe2\x82")] + [
        frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late")
    ]
    for text in (kosme, b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xe2\x82", "😀".encode(), b"a" * 70 + b"\xff"):
        out.append(frame(TEXT, text))
        out.append(frame(TEXT, text[:2], fin=False) + frame(PING, b"between") + frame(0, text[2:]))
        out.append(b"".join([frame(TEXT, fin=False), *(frame(0, bytes([byte]), fin=False) for byte in text), frame(0)]))
    out.append(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"))
    out.append(frame(BINARY, fin=False) + frame(0, fin=False) * 20 + frame(0))
    out.append(frame(BINARY, b"x" * 40, fin=False) + frame(0, b"y" * 40, fin=False) + frame(0, b"z" * 60))
    out.append(b"".join(frame(TEXT, b"%d" % n) for n in range(20)))
    return out


def seeds() -> list[bytes]:
    """Every stream with several caps, sizes of reads and turns in front."""
    return [bytes([n % 8, 1 + n % 200, n * 7 % 256]) + stream for n, stream in enumerate(streams())] + [
        bytes([7, step, 40]) + stream for step in (1, 255) for stream in streams()
    ]
