"""Faults of a connection's beginning: below TLS, and in the answer to the request for a WebSocket. Imports `fault`, `line`."""

from __future__ import annotations

from typing import Any

from k4.sim.fault import Door, Fault, Greeting
from k4.sim.line import Below, Line, Script, Wire


async def _hold(wire: Wire) -> None:
    await wire.last()


async def _hang_up(_: Wire) -> None:
    pass


async def _reset(wire: Wire) -> None:
    wire.reset()


def _raw(data: bytes) -> Below:
    """These bytes, without TLS."""

    async def script(wire: Wire) -> None:
        await wire.send(data)
        await wire.last()

    return script


def _answer(data: bytes) -> Script:
    """This answer to the request."""

    async def script(line: Line) -> None:
        await line.send(data)
        await line.last()

    return script


def _response(**changes: Any) -> Script:
    """The usual answer, changed."""

    async def script(line: Line) -> None:
        await line.send(line.response(**changes))
        await line.last()

    return script


async def _no_response(line: Line) -> None:
    await line.last()


async def _slow_response(line: Line) -> None:
    await line.drop_by_drop(line.response(add="X-Slow: " + "x" * 4000 + "\r\n"), 0.02)


async def _cut_response(line: Line) -> None:
    await line.send(line.response()[:60])
    line.close()


async def _endless_body(line: Line) -> None:
    await line.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    await line.until_gone(b"busy " * 13000)


async def _endless_head(line: Line) -> None:
    await line.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    await line.until_gone((b"X-More: " + b"x" * 1000 + b"\r\n") * 4)


REFUSED = "handshake refused: HTTP "
# TCP's end without TLS's is what a reset is: both are told as what they are, a connection lost.
CUT = r"(connection lost(: .*)?|the peer closed the connection)"
CUT_SHORT = r"(Connection reset by peer|the peer closed the connection during the TLS handshake)"
NO_TLS = r"TLS failed: .*; does this port speak TLS\?"
NO_CONNECTION = r"no connection within [\d.]+ s"
DROP = "the dial fails with this reason in the log, and is tried again with backoff"

HANDSHAKE = (
    Fault("stuck-tcp", "accepts TCP, never answers TLS", DROP, Door(_hold), NO_CONNECTION),
    Fault("stuck-handshake", "TLS comes up, the request is never answered", DROP, Greeting(_no_response), NO_CONNECTION),
    Fault("slow-handshake", "the response comes a byte every 20 ms", DROP, Greeting(_slow_response), NO_CONNECTION),
    Fault("accept-close", "accepts TCP and closes it", DROP, Door(_hang_up), CUT_SHORT),
    Fault("accept-reset", "accepts TCP and resets it", DROP, Door(_reset), CUT_SHORT),
    Fault("tls-garbage", "random bytes instead of a TLS handshake", DROP, Door(_raw(bytes(range(7, 250)) * 3)), NO_TLS),
    Fault("plain-http", "an HTTP error instead of a TLS handshake", DROP, Door(_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")), NO_TLS),
    Fault("http-200", "the request is answered by a page", DROP, Greeting(_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")), REFUSED + "200 OK: hello"),
    Fault("http-301", "the request is redirected elsewhere", DROP + "; a redirect is not followed", Greeting(_answer(b"HTTP/1.1 301 Moved Permanently\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n")), REFUSED + "301 Moved Permanently"),
    Fault("http-503-endless", "a refusal whose body does not end", DROP, Greeting(_endless_body), REFUSED + "503 Service Unavailable.*"),
    Fault("wrong-accept-key", "Sec-WebSocket-Accept is that of another request", DROP, Greeting(_response(key=b"bm90IHlvdXIga2V5")), "handshake: invalid Sec-WebSocket-Accept header: bm90IHlvdXIga2V5"),
    Fault("no-accept-key", "101 without Sec-WebSocket-Accept", DROP, Greeting(_response(drop="Sec-")), "handshake: missing Sec-WebSocket-Accept header"),
    Fault("no-upgrade", "101 without the Upgrade header", DROP, Greeting(_response(drop="Upgrade")), "handshake: missing Upgrade header"),
    Fault("no-connection", "101 without the Connection header", DROP, Greeting(_response(drop="Connection")), "handshake: missing Connection header"),
    Fault("unasked-extension", "the peer turns on permessage-deflate unasked", DROP, Greeting(_response(add="Sec-WebSocket-Extensions: permessage-deflate\r\n")), "handshake: no extensions supported"),
    Fault("unasked-subprotocol", "the peer chooses a subprotocol nobody offered", DROP, Greeting(_response(add="Sec-WebSocket-Protocol: mqtt\r\n")), "handshake: no subprotocols supported"),
    Fault("huge-header", "one header of 40 000 bytes", DROP, Greeting(_response(add="X-Huge: " + "x" * 40000 + "\r\n")), "handshake: the response head is longer than 32768 bytes"),
    Fault("endless-headers", "headers without end", DROP, Greeting(_endless_head), "handshake: the response head is longer than 32768 bytes"),
    Fault("not-http", "the request is answered in another protocol", DROP, Greeting(_answer(b"220 mail.example ready\r\n\r\n")), r"handshake: the peer answers b'220 mail\.example.*, not HTTP; is this the right address\?"),
    Fault("cut-handshake", "the response ends after 60 bytes", DROP, Greeting(_cut_response), CUT),
)  # fmt: skip
