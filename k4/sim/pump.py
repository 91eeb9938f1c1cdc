"""Feeds clients under load: whole laps of what they asked for, round after round. Imports `client`, `desk`, `load`, `venue`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from k4.sim.client import Client, Counts
from k4.sim.desk import Desk
from k4.sim.load import Lap, Reel, told_first
from k4.sim.venue import Stream

SETTLE_S = 0.05  # subscriptions come in bursts


class Pump:
    """As fast as clients take it, each for itself. Renders when it is made."""

    def __init__(self, desks: Sequence[Desk], counts: Counts) -> None:
        self._reels = {desk: Reel(desk, time.time_ns()) for desk in desks}
        self._rounds = dict.fromkeys(desks, 0)  # the newest that any client has begun
        self._counts = counts

    async def run(self, client: Client) -> None:
        """Feeds one client until it is gone. What it asks for later begins with its next round."""
        laps: dict[Desk, tuple[frozenset[Stream], Lap]] = {}
        rounds = {desk: self._rounds[desk] - 1 for desk in client.carries}
        while client.peer.connected:
            asked = {desk: frozenset(stream for of, stream in client.streams if of is desk) for desk in client.carries}
            if not any(asked.values()) or any(asked[desk] != laps[desk][0] if desk in laps else asked[desk] for desk in asked):
                await asyncio.sleep(SETTLE_S)
                asked = {desk: frozenset(stream for of, stream in client.streams if of is desk) for desk in client.carries}
            for desk, streams in asked.items():
                known = laps[desk][0] if desk in laps else frozenset()
                if streams != known:
                    laps[desk] = streams, Lap(self._reels[desk], streams)
                if not streams:
                    continue
                rounds[desk] = number = max(rounds[desk] + 1, 0)
                self._begin(desk, number)
                for stream in sorted(streams - known, key=lambda one: (one.message, one.symbol)):
                    await self._send(client, told_first(self._reels[desk], stream, number))
                for data, frames in laps[desk][1].round(number):
                    if not await client.peer.pump(data):
                        return
                    self._counts.frames += frames
                    self._counts.bytes += len(data)
                    await asyncio.sleep(0)

    def _begin(self, desk: Desk, number: int) -> None:
        if number >= self._rounds[desk]:
            self._rounds[desk] = number
            self._reels[desk].snapshots_at(number + 1)

    async def _send(self, client: Client, frames: Iterable[bytes]) -> None:
        for frame in frames:
            if await client.peer.pump(frame):
                self._counts.frames += 1
                self._counts.bytes += len(frame)
