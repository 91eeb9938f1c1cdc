"""A server made to misbehave: blocking sockets, one thread per client, bytes exactly as a fault wants them, below TLS too.

`Wire` is one client as the server sees it. Scripts (of `tests.faults`) are handed one and do with it what they like; they may write
while the client hangs up on them, and may stop reading. What the client said is kept and looked at afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

# A script that has not come to its end by then has met a client that hangs.
PATIENCE_S = 20.0
# Small, so that a peer that does not read is felt soon.
RECEIVE_BYTES = 32 * 1024
_TCP_REPAIR = 19
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class GoneError(Exception):
    """The client has hung up."""


class Wire:
    """`said`: what the client sent since the handshake, (opcode, payload). `gone`: it has hung up."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = sock.dup()  # the TCP connection below TLS, for bytes that TLS would not send
        self.said: list[tuple[int, bytes]] = []
        self.request = b""
        self.gone = False
        self._plain = sock
        self._context = context
        self._tls: ssl.SSLSocket | None = None
        self._in = bytearray()
        self._until = time.monotonic() + PATIENCE_S

    # ------------------------------------------------------------------ beginning

    def secure(self) -> None:
        """The TLS handshake."""
        self._plain.settimeout(5.0)
        try:
            self._tls = self._context.wrap_socket(self._plain, server_side=True)
        except OSError as error:
            raise GoneError from error
        self._tls.setblocking(False)

    def ask(self) -> None:
        """TLS, then the client's request for a WebSocket."""
        self.secure()
        while b"\r\n\r\n" not in self._in:
            self._take(1.0)
        head, _, rest = bytes(self._in).partition(b"\r\n\r\n")
        self.request, self._in = head, bytearray(rest)

    def accept(self, extra: bytes = b"") -> None:
        """Everything up to the open connection; `extra` leaves with the response."""
        self.ask()
        self.send(self.response() + extra)

    def response(self, *, key: bytes | None = None, drop: str = "", add: str = "") -> bytes:
        """The answer to the request. `key`: instead of the right one; `drop`: a header to leave out; `add`: header lines."""
        asked = next(line.split(b": ")[1] for line in self.request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(asked + _GUID).digest()) if key is None else key
        lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept.decode()}"]
        kept = "".join(f"{line}\r\n" for line in lines if not drop or not line.startswith(drop))
        return f"HTTP/1.1 101 Switching Protocols\r\n{kept}{add}\r\n".encode()

    # ------------------------------------------------------------------ speaking and listening

    def send(self, data: bytes) -> None:
        """Sends all of it, reading what the client says meanwhile. Raises GoneError."""
        view = memoryview(data)
        while view:
            view = view[self._give(view) :]
            if not view:
                return
            self._wait(write=True)
            self._take(0.0)

    def push(self, data: bytes) -> int:
        """Sends what the kernel takes at once, and reads nothing."""
        return self._give(memoryview(data))

    def listen(self, seconds: float = PATIENCE_S) -> None:
        """Reads until the client hangs up, or for so long."""
        until = time.monotonic() + seconds
        with suppress(GoneError):
            while (left := until - time.monotonic()) > 0:
                self._take(min(left, 0.1))

    def pongs(self) -> list[bytes]:
        return [payload for opcode, payload in self.said if opcode == 10]

    def close_codes(self) -> list[int]:
        return [int.from_bytes(payload[:2], "big") for opcode, payload in self.said if opcode == 8]

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """The TCP connection ends, in order but without a word of TLS."""
        with suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """The TCP connection is torn down."""
        with suppress(OSError):
            self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._release()

    def vanish(self) -> None:
        """The TCP connection is forgotten without a word, as by a machine that lost power. Raises PermissionError without the right to."""
        self.raw.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        self._release()

    def _release(self) -> None:
        # Closing TLS's socket says nothing of TLS; the last of the two to go ends the connection.
        for sock in (self._tls or self._plain, self.raw):
            with suppress(OSError):
                sock.close()

    def end(self) -> None:
        """Gives everything back, whatever the script did."""
        for sock in (self._tls, self._plain, self.raw):
            with suppress(OSError):
                if sock is not None:
                    sock.close()

    # ------------------------------------------------------------------ inside

    def _give(self, view: memoryview) -> int:
        try:
            return self._stream.send(view[:65536])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            return 0
        except OSError as error:
            self._drain()
            self.gone = True
            raise GoneError from error

    @property
    def _stream(self) -> socket.socket:
        return self._plain if self._tls is None else self._tls

    def _wait(self, *, write: bool) -> None:
        if time.monotonic() > self._until:
            raise TimeoutError(f"a script is not done after {PATIENCE_S:g} s")
        select.select([self._stream], [self._stream] if write else [], [], 0.1)

    def _drain(self) -> None:
        """What the client said before it hung up lies in the socket still."""
        with suppress(GoneError):
            for _ in range(100):
                self._take(0.0)

    def _take(self, seconds: float) -> None:
        """Takes what has come, waiting for it at most so long. Raises GoneError at the end."""
        if time.monotonic() > self._until:
            raise TimeoutError(f"a script is not done after {PATIENCE_S:g} s")
        if seconds > 0 and not (self._tls and self._tls.pending()):
            select.select([self._stream], [], [], seconds)
        try:
            data = self._stream.recv(65536)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError as error:
            self.gone = True
            raise GoneError from error
        if not data:
            self.gone = True
            raise GoneError
        self._in += data
        if self.request:
            self._parse()

    def _parse(self) -> None:
        """The client's frames: short and masked, or it is no client of ours."""
        while len(self._in) >= 2:
            first, second = self._in[0], self._in[1]
            assert second & 0x80, "a client masks"
            assert second != 0xFF, "a client has nothing so long to say"
            wide = second & 0x7F == 126
            head = 8 if wide else 6
            if len(self._in) < head:
                return
            size = int.from_bytes(self._in[2:4], "big") if wide else second & 0x7F
            if len(self._in) < head + size:
                return
            mask, masked = self._in[head - 4 : head], self._in[head : head + size]
            self.said.append((first & 0x0F, bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked))))
            del self._in[: head + size]


Script = Callable[[Wire], None]


@dataclass
class Server:
    """`wires`: every client so far, in the order they came. `errors`: what scripts raised, other than that the client was gone."""

    port: int
    wires: list[Wire] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


@contextmanager
def serve(context: ssl.SSLContext, script_for: Callable[[int], Script]) -> Iterator[Server]:
    """Serves client n by `script_for(n)` on a free port of loopback; a script's end closes the connection."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.settimeout(0.1)
        server = Server(listener.getsockname()[1])
        stopped = threading.Event()
        threads: list[threading.Thread] = []

        def one(wire: Wire, script: Script) -> None:
            try:
                script(wire)
            except GoneError:
                pass
            except BaseException as error:  # noqa: BLE001 (told by the test, not by the thread)
                server.errors.append(error)
            finally:
                wire.end()

        def accept() -> None:
            while not stopped.is_set():
                try:
                    sock, _ = listener.accept()
                except TimeoutError:
                    continue
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire = Wire(sock, context)
                server.wires.append(wire)
                threads.append(threading.Thread(target=one, args=(wire, script_for(len(server.wires) - 1)), daemon=True))
                threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            stopped.set()
            acceptor.join()
            for thread in threads:
                thread.join(PATIENCE_S)
