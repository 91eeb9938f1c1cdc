"""A simulator and a real feed (what a worker runs) on threads of one process: what was sent is known frame by frame, counters are at hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import uvloop

import k4
from k4 import native
from k4.config import load_reported
from k4.fetcher import Fetcher, answer
from k4.group import Feed
from k4.job import Entry, Job
from k4.sim.client import Client
from k4.sim.order import parse
from k4.sim.tls import ca_file
from tests import logs
from tests.theatre import Theatre, everything, wait_for


class Run:
    """A group of one entry, fed by a simulator. `sent`: the frames of market data that each connection was sent, by arrival."""

    def __init__(self, folder: Path, entry: dict[str, Any], spec: Sequence[Path] | None = None, rate: float = 400.0) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.config.write_text(json.dumps({"connections": [{"name": "one", **entry}]}))
        self.entry = entry
        self.spec = spec
        self.native = native.load(spec)
        self.theatre = Theatre(self.config, spec=spec, rate=rate)
        self.simulator = self.theatre.simulator
        (self.desk,) = self.theatre.said
        self.sent: dict[int, list[bytes]] = {}
        self.lines: list[Any] = []
        self.feed: Feed | None = None
        self._final: dict[str, int] = {}
        self._failed: list[BaseException] = []
        push = self.simulator._push

        def noted(client: Client, frame: bytes) -> None:
            self.sent.setdefault(client.number, []).append(frame)
            push(client, frame)

        self.simulator._push = noted  # type: ignore[method-assign]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the block's end, when all that was sent has been read."""
        (entry,) = load_reported(self.config, self.native.exchanges).connections
        with self.theatre, logs.captured() as self.lines:
            ready, stop = Flag(), Flag()
            socket = self.folder / "fetch"
            spec = tuple(str(one) for one in self.spec or ())
            job = Job("one", (Entry.of(entry.model_dump()),), "info", None, 1, self.theatre.address, str(ca_file()), spec, str(socket))

            async def feeding() -> None:
                self.feed = Feed(self.native, job, logs.logger())
                ended = asyncio.Event()
                async with Fetcher() as fetcher:
                    server = await asyncio.start_unix_server(lambda r, w: answer(fetcher, r, w, logs.logger()), socket)
                    task = asyncio.create_task(self.feed.run(ended))
                    ready.set()
                    while not stop.is_set() and not task.done():  # noqa: ASYNC110 (a flag of another thread)
                        await asyncio.sleep(0.02)
                    ended.set()
                    await task
                    server.close()

            def work() -> None:
                try:
                    uvloop.run(feeding())
                except BaseException as error:  # noqa: BLE001 (told below)
                    self._failed.append(error)
                    ready.set()

            thread = Thread(target=work, daemon=True)
            thread.start()
            try:
                assert ready.wait(60)
                assert not self._failed, self._failed
                wait_for(self.live, lambda: f"data of every stream: {self.lines}")
                yield
                self.theatre.simulator.still = True
                time.sleep(0.4)
            finally:
                stop.set()
                thread.join(60)
                if self.feed is not None:
                    self._final = self.stats()
                    self.feed.close()
        assert not self._failed, self._failed

    def do(self, act: Callable[[], Any]) -> Any:
        """On the simulator's thread."""

        async def work() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(work(), self.theatre._loop).result(30)

    def order(self, text: str) -> None:
        self.do(lambda: self.simulator.saboteur.add(parse(text)))

    def calm(self) -> None:
        self.do(self.simulator.saboteur.clear)

    def segments(self) -> dict[str, str]:
        return {record: f"{self.entry['exchange']}_{self.entry['product']}_{record}" for record in self.entry["records"]}

    def live(self) -> bool:
        for segment in self.segments().values():
            try:
                with k4.open(segment) as reader:
                    if not all(symbol.state == "LIVE" for symbol in reader.symbols):
                        return False
            except k4.errors.K4Error:
                return False
        return True

    def published(self, record: str) -> list[dict[str, Any]]:
        return everything(self.segments()[record])

    def stats(self) -> dict[str, int]:
        """Over all connections, as they are or as they were at the end."""
        assert self.feed is not None
        if self._final:
            return self._final
        total: dict[str, int] = {}
        for connection in self.feed.connections:
            for name, count in connection.stats().items():
                total[name] = total.get(name, 0) + count
        return total

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in [*self.lines] if line["event"] == event]


def payload(frame: bytes) -> bytes:
    """Of a server's frame."""
    size = frame[1]
    return frame[2:] if size < 126 else frame[4:] if size == 126 else frame[10:]
