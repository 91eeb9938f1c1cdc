"""WebSocket frames as no honest server writes them: every bit is the caller's. Imports the standard library only."""

from __future__ import annotations

import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = False, form: int | None = None) -> bytes:
    """A server's frame; `form` 126 or 127 forces a form of the length."""
    size = len(payload)
    form = (size if size < 126 else 126 if size < 65536 else 127) if form is None else form
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if mask else 0) | (form if form > 125 else size)])
    if form > 125:
        head += struct.pack(">H" if form == 126 else ">Q", size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, struct.pack(">H", code) + reason)


class Listener:
    """A client's frames, taken apart: short and masked, or it is no client of ours. `said`: (opcode, payload)."""

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []
        self._in = bytearray()

    def take(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 2:
            first, second = self._in[0], self._in[1]
            assert second & 0x80, "a client masks"
            assert second != 0xFF, "a client has nothing so long to say"
            wide = second & 0x7F == 126
            head = 8 if wide else 6
            if len(self._in) < head:
                return
            size = int.from_bytes(self._in[2:4]) if wide else second & 0x7F
            if len(self._in) < head + size:
                return
            mask, masked = self._in[head - 4 : head], self._in[head : head + size]
            self.said.append((first & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked))))
            del self._in[: head + size]
