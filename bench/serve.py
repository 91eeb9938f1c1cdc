"""A load server that is never the bottleneck: every byte is rendered, and for wss encrypted, before the first is sent.

    python bench/serve.py MODE COUNT [tls]

Prints its port, serves one connection, ends with it. Frames are bookTickers whose update id is the time at which they are due (monotonic
ns) in the modes paced and burst, and rises by one in bulk. Imports nothing of the project but, for TLS, the simulator's certificate.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import hashlib
import re
import socket
import ssl
import struct
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import frames

FIRST_ID = 1_000_000_000_000_000_000
PACE_S = 1 / 20000
BURST, BURST_S = 60, 0.005
CHUNK = 1 << 18
NEAR_NS = 1_000_000  # so long before a message is due nothing but waiting is done
RENDER_NS = 100_000  # given for a message to be rendered and sealed, before the first is due


def wires(count: int) -> list[bytes]:
    """WebSocket frames with ids of 19 digits that rise by one."""
    texts = frames.frames("bookTicker", 4096)
    out = []
    for n in range(count):
        text = re.sub(rb'"u":\d+', b'"u":%d' % (FIRST_ID + n), texts[n % len(texts)], count=1)
        head = b"\x81" + (bytes([len(text)]) if len(text) < 126 else b"\x7e" + struct.pack(">H", len(text)))
        out.append(head + text)
    return out


class Peer:
    """One client's connection; TLS over memory, so that what is sent can be encrypted beforehand."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        self._connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls: ssl.SSLObject | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        if context is not None:
            self._tls = context.wrap_bio(self._in, self._out, server_side=True)
            self._until(self._tls.do_handshake)
            connection.sendall(self._out.read())

    def _until(self, step: object) -> object:
        while True:
            try:
                return step()  # type: ignore[operator]
            except ssl.SSLWantReadError:
                self._connection.sendall(self._out.read())
                self._in.write(self._connection.recv(65536))

    def read(self) -> bytes:
        tls = self._tls
        return self._connection.recv(65536) if tls is None else bytes(self._until(lambda: tls.read(65536)))  # type: ignore[call-overload]

    def seal(self, plain: bytes) -> bytes:
        """One TLS record, or the bytes as they are."""
        if self._tls is None:
            return plain
        self._tls.write(plain)
        return self._out.read()

    def send(self, sealed: bytes | memoryview) -> None:
        self._connection.sendall(sealed)


def serve(mode: str, count: int, tls: bool) -> None:
    context = None
    if tls:
        from k4.sim.tls import server_context

        context = server_context(["127.0.0.1", "localhost"])
    listener = socket.create_server(("127.0.0.1", 0))
    rendered = wires(count)
    print(listener.getsockname()[1], flush=True)
    peer = Peer(listener.accept()[0], context)
    request = b""
    while b"\r\n\r\n" not in request:
        request += peer.read()
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept
    peer.send(peer.seal(head))
    time.sleep(0.3)  # the client is at home by then
    if mode == "bulk":
        _bulk(peer, rendered)
    else:
        _timed(peer, rendered, BURST if mode == "burst" else 1, BURST_S if mode == "burst" else PACE_S)
    listener.close()
    while peer.read():  # until the client has gone
        pass


def _bulk(peer: Peer, rendered: list[bytes]) -> None:
    whole = memoryview(b"".join(map(peer.seal, rendered)))
    for at in range(0, len(whole), CHUNK):
        peer.send(whole[at : at + CHUNK])


def _timed(peer: Peer, rendered: list[bytes], burst: int, every_s: float) -> None:
    """`burst` frames in one go, each with its own TLS record, all with the time at which they are due; that begins when all is sealed."""
    every_ns = round(every_s * 1e9)
    start = time.monotonic_ns() + 500_000_000 + len(rendered) * RENDER_NS
    digits = str(FIRST_ID)[:10].encode()
    packets: list[tuple[int, bytes]] = []
    for n in range(0, len(rendered), burst):
        due = start + n // burst * every_ns
        parts = []
        for i, wire in enumerate(rendered[n : n + burst]):
            at = wire.index(digits)
            # Rising, at most `burst` ns ahead of the clock, so that no two are duplicates of each other.
            parts.append(peer.seal(wire[:at] + b"%019d" % (FIRST_ID + due + i) + wire[at + 19 :]))
        packets.append((due, b"".join(parts)))
    late = time.monotonic_ns() - start
    if late > 0:
        sys.exit(f"serve: sealing took {late / 1e9:.1f} s longer than it was given")
    gc.disable()
    clock, send = time.monotonic_ns, peer.send
    for due, packet in packets:
        left = due - clock()
        if left > 2 * NEAR_NS:
            time.sleep((left - NEAR_NS) / 1e9)
        while clock() < due:
            pass
        send(packet)


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the client has gone
        serve(sys.argv[1], int(sys.argv[2]), tls=sys.argv[3:] == ["tls"])
