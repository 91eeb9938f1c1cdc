"""WebSocket clients that take what bench/serve.py sends: K4 as its worker receives, and its peers, each in a process of its own.

    python bench/clients.py NAME MODE COUNT PORT [tls]

Prints one line of JSON: processor ns per message (bulk), or the samples of latency in ns. Peers turn prices and quantities into
floats with orjson. May import `k4` and the peers.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import uvloop
from websockets.uri import parse_uri

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

BASE = 10**18


class Tally:
    """What arrived: in bulk the processor time from the first message to the last, else each message's latency."""

    def __init__(self, count: int, timed: bool) -> None:
        self.count = count
        self.seen = 0
        self.timed = timed
        self.samples: list[int] = []
        self.began = 0
        self.spent = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def message(self, data: bytes | str | memoryview) -> None:
        """One message of a peer."""
        values = orjson.loads(data)["data"]
        float(values["b"]), float(values["B"]), float(values["a"]), float(values["A"])  # what most clients do
        if self.timed:
            self.samples.append(time.monotonic_ns() - (values["u"] - BASE))
        self.add(1)

    def add(self, many: int) -> None:
        if self.seen == 0:
            self.began = time.process_time_ns()
        self.seen += many
        if self.seen >= self.count and not self.done.done():
            self.spent = time.process_time_ns() - self.began
            self.done.set_result(None)


async def _websockets(url: str, tls: ssl.SSLContext | None, tally: Tally) -> None:
    from websockets.asyncio.client import connect

    async with connect(url, ssl=tls, compression=None, max_size=None, ping_interval=None) as socket:
        while not tally.done.done():
            tally.message(await socket.recv(decode=False))


async def _aiohttp(url: str, tls: ssl.SSLContext | None, tally: Tally) -> None:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=tls or True, compress=0, max_msg_size=0, autoping=False) as socket,
    ):
        while not tally.done.done():
            tally.message((await socket.receive()).data)


async def _picows(url: str, tls: ssl.SSLContext | None, tally: Tally) -> None:
    import picows

    class Listener(picows.WSListener):  # type: ignore[misc,unused-ignore]
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:  # noqa: ARG002 (picows' signature)
            tally.message(frame.get_payload_as_memoryview())

    transport, _ = await picows.ws_connect(Listener, url, ssl_context=tls)
    await tally.done
    transport.disconnect()


async def _k4(url: str, tls: ssl.SSLContext | None, tally: Tally, *, busy: bool = False) -> None:
    """The worker's own link, connection, arbiter and segment; no part of the road is left out. `busy`: as with `busy_poll`."""
    import aiofastnet

    import k4
    from k4 import native
    from k4.clock import Clock
    from k4.link import Event, Link, Resolver, dial
    from k4.worker import stay_awake

    class Owner:
        def event(self, link: Link, event: Event) -> None:  # noqa: ARG002 (k4.link.Owner)
            raise RuntimeError(f"not market data: {event}")

        def writable(self, link: Link) -> None:
            pass

    built = native.load()
    ffi, lib = built.ffi, built.lib
    with tempfile.TemporaryDirectory(dir="/dev/shm") as segments:
        lib.k4_shm_dir_set(segments.encode())
        error = ffi.new("char[512]")
        product = lib.k4_product_find(b"binance", b"spot")
        feed = lib.k4_feed_open()
        options = {"ring_slots": 65536, "symbol_capacity": 4096, "window_ids": 4096, "mode": 0o600, "lock_memory": 0}
        if lib.k4_feed_segment(feed, 1, b"bench", ffi.new("k4_segment_options *", options), error, 512):
            raise RuntimeError(ffi.string(error).decode())
        for symbol in _symbols():
            lib.k4_feed_instrument(feed, product, 1, symbol, len(symbol), b"", b"")
        conn = lib.k4_conn_open(feed, product, b"a", b"json", b"", 1 << 20, error, 512)
        link = Link(Owner(), lib, ffi, conn, parse_uri(url), Clock())
        stats = ffi.new("k4_conn_stats *")
        taken, counted, clock = link.buffer_updated, lib.k4_conn_stats_get, time.monotonic_ns
        reader = k4.open("bench") if tally.timed else None
        marks: list[tuple[int, int]] = []  # the clock when the last record of a read stood in the ring, and how many had been published

        def updated(nbytes: int) -> None:
            taken(nbytes)
            now = clock()
            counted(conn, stats)
            marks.append((now, stats.wins))
            if reader is not None and stats.wins == tally.count:
                due = reader.drain(65536)["update_id"] - BASE  # type: ignore[index]
                published = [0, *(wins for _, wins in marks)]
                for (now, _), first, last in zip(marks, published, published[1:], strict=False):
                    tally.samples += (now - due[first:last]).tolist()
            if stats.wins > tally.seen:
                tally.add(stats.wins - tally.seen)

        link.buffer_updated = updated  # type: ignore[method-assign]
        if busy:
            stay_awake(asyncio.get_running_loop())
        if tls is None:  # K4 dials nothing but wss, so this is its dial without TLS
            await aiofastnet.create_connection(asyncio.get_running_loop(), lambda: link, "127.0.0.1", parse_uri(url).port)
            if (refused := await link.opened) is not None:
                raise RuntimeError(refused)
        else:
            await dial(link, url, tls, Resolver())
        ends: list[asyncio.Future[Any]] = [tally.done, link.lost]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if stats.wins != tally.count or stats.fast != tally.count:
            raise RuntimeError(f"{stats.wins} of {tally.count} messages were published")
        link.drop("measured")
        if reader is not None:
            reader.close()
        lib.k4_conn_close(conn)
        lib.k4_feed_close(feed)


def _symbols() -> set[bytes]:
    from bench import frames

    return {orjson.loads(wire)["data"]["s"].encode() for wire in frames.frames("bookTicker", 4096)}


class _Bare(asyncio.BufferedProtocol):
    """Counts bytes and notes when they came; nobody looks into them before."""

    def __init__(self, tally: Tally, request: bytes, size: int) -> None:
        self._tally = tally
        self._request = request
        self._size = size  # of all messages together, as the server has rendered them
        self._memory = memoryview(bytearray(1 << 18))
        self._answered = False
        self._seen = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's signature)
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        now = time.monotonic_ns()
        tally = self._tally
        if not self._answered:  # the server sends nothing more for a while
            self._answered = b"\r\n\r\n" in bytes(self._memory[:nbytes])
        elif tally.timed:
            text = self._rest + bytes(self._memory[:nbytes])
            ids = re.findall(rb'"u":(\d{19})', text)
            self._rest = text[text.rfind(b'"u":') + 5 :] if ids else text
            tally.samples += [now - (int(id_) - BASE) for id_ in ids]
            tally.add(len(ids))
        else:
            self._seen += nbytes
            tally.add(self._seen * tally.count // self._size - tally.seen)


async def _bare(url: str, tls: ssl.SSLContext | None, tally: Tally) -> None:
    """The floor of all others: uvloop and aiofastnet alone."""
    import aiofastnet
    from websockets.client import ClientProtocol

    from bench.serve import wires

    wire = ClientProtocol(parse_uri(url))
    wire.send_request(wire.connect())
    request = b"".join(wire.data_to_send())
    size = sum(map(len, wires(tally.count)))
    loop = asyncio.get_running_loop()
    await aiofastnet.create_connection(loop, lambda: _Bare(tally, request, size), "127.0.0.1", parse_uri(url).port, ssl=tls)
    await tally.done


CLIENTS: dict[str, Callable[[str, ssl.SSLContext | None, Tally], Awaitable[None]]] = {
    "bare": _bare,
    "k4": _k4,
    "k4 busy_poll": partial(_k4, busy=True),
    "picows": _picows,
    "aiohttp": _aiohttp,
    "websockets": _websockets,
}


async def _run(name: str, mode: str, count: int, port: int, secure: bool) -> None:
    tls = None
    if secure:
        from k4.sim.tls import ca_file

        tls = ssl.create_default_context(cafile=str(ca_file()))
    tally = Tally(count, mode != "bulk")
    client = asyncio.ensure_future(CLIENTS[name](f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/stream", tls, tally))
    await asyncio.wait([client, tally.done], return_when=asyncio.FIRST_COMPLETED)
    if not tally.done.done():
        await client
    print(json.dumps({"ns": tally.spent / tally.count, "samples": tally.samples}), flush=True)
    client.cancel()


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:] == ["tls"]))
