"""A venue on loopback for the tests of connections: TLS with a CA of its own, and a script per connection.

Deliberately small and deliberately able to misbehave; the simulator of `k4 sim` is another thing.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT, *, first: int | None = None) -> bytes:
    """A frame as servers send it. `first`: overrides the first byte (FIN, reserved bits, opcode)."""
    head = bytes([0x80 | opcode if first is None else first])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + bytes([126]) + struct.pack(">H", len(payload)) + payload


@dataclass
class Peer:
    """One client, as the server sees it. `frames`: everything it sent after the handshake, (opcode, payload)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    pongs: bool = True  # answer pings
    close_back: bool = True

    async def handshake(self, extra: bytes = b"", *, key: str | None = None) -> None:
        """Reads the request and accepts it; `extra` leaves in the same write."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        self.target = first.split(" ")[1]
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
        if "sec-websocket-key" not in self.headers:
            self.send_raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            raise ConnectionError("this is plain HTTP")
        digest = hashlib.sha1((self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        accept = base64.b64encode(digest).decode() if key is None else key
        answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        self.send_raw(answer.encode() + extra)

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, text: str) -> None:
        self.send_raw(frame(text.encode()))

    async def listen(self) -> None:
        """Notes every frame of the client until it is gone; answers pings and the close."""
        try:
            while True:
                first, second = await self.reader.readexactly(2)
                assert second & 0x80, "a client masks"
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack(">H", await self.reader.readexactly(2))
                mask = await self.reader.readexactly(4)
                masked = await self.reader.readexactly(size)
                payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked))
                self.frames.append((first & 0x0F, payload))
                if first & 0x0F == PING and self.pongs:
                    self.send_raw(frame(payload, PONG))
                if first & 0x0F == CLOSE and self.close_back:
                    self.send_raw(frame(payload, CLOSE))
                    self.writer.close()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()

    def said(self, opcode: int) -> list[bytes]:
        return [payload for code, payload in self.frames if code == opcode]


Script = Callable[[Peer], Awaitable[None]]


async def quiet(peer: Peer) -> None:
    """A well-behaved venue that says nothing by itself."""
    await peer.handshake()
    await peer.listen()


@dataclass
class Server:
    port: int
    peers: list[Peer]


@asynccontextmanager
async def serve(context: ssl.SSLContext | None, script: Script, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Serves every client by `script`; `server.peers` grows with each. The script's end closes the connection."""
    peers: list[Peer] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(peer: Peer) -> None:
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.gone.set()
            peer.writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        task = asyncio.ensure_future(one(peers[-1]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, port, ssl=context)
    try:
        yield Server(server.sockets[0].getsockname()[1], peers)
    finally:
        server.close()
        for task in [*tasks]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Authority:
    """A CA file and a server certificate for 127.0.0.1 and localhost that it signed."""

    ca_file: Path
    chain_file: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


def authority(folder: Path) -> Authority:
    """Makes a throw-away CA in `folder`."""
    now = dt.datetime.now(dt.UTC)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def certificate(name: str, own: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test ca")]))
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    made = Authority(folder / "ca.pem", folder / "chain.pem")
    made.ca_file.write_bytes(certificate("test ca", ca_key, ca=True).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    made.chain_file.write_bytes(private + certificate("localhost", key, ca=False).public_bytes(pem))
    return made
