"""Load at a pace: what was rendered before, told in real time, so that every client hears the same updates with the same ids at once.

A product's reel goes round at so many messages a second. Clients that asked for the same streams share a `Track`: one buffer, cut anew for
every tick. Imports `client`, `desk`, `load`, `net`, `venue`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np

from k4.sim.client import Client, Counts
from k4.sim.desk import Desk
from k4.sim.load import Lap, Reel, told_first
from k4.sim.venue import Stream

TICK_S = 0.001
KEPT = 4  # tracks that nobody hears any more: to render one anew takes a while, in which all others hear nothing


class Track:
    """The messages of one set of streams. `positions`: where in the reel each of them stands."""

    def __init__(self, reel: Reel, streams: frozenset[Stream], counts: Counts) -> None:
        self.streams = streams
        self.clients: list[Client] = []
        self.lap = Lap(reel, streams)
        self._positions = np.array([i for i, one in enumerate(reel.messages) if _asked(streams, one.stream)], dtype=np.int64)
        self._counts = counts
        self._round = -1
        self._bytes = b""

    def tell(self, number: int, start: int, end: int, now: float) -> None:
        """Sends what stands from `start` to `end` in round `number` of the reel."""
        first, last = (int(at) for at in np.searchsorted(self._positions, (start, end)))
        if first == last or not self.clients:
            return
        if number != self._round:
            self._round, self._bytes = number, self.lap.bytes_of(number)
        data = self._bytes[self.lap.starts[first] : self.lap.starts[last]]
        self.clients.reverse()  # so that nobody is always first
        for client in self.clients:
            self._counts.frames += last - first
            self._counts.bytes += len(data)
            client.peer.push(data, due=now + client.delay_s)


class Pace:
    """One product. `rate`: messages a second over all its streams. Renders when it is made."""

    def __init__(self, desk: Desk, rate: float, counts: Counts) -> None:
        self.desk = desk
        self.reel = Reel(desk, time.time_ns())
        self.tracks: list[Track] = []
        self._rate = rate
        self._counts = counts
        self._round = -1

    async def run(self, clients: Callable[[], Sequence[Client]]) -> None:
        """Goes round until it is cancelled. `clients`: all of the simulator."""
        total = len(self.reel.messages)
        started, done = time.monotonic(), 0
        known: list[tuple[int, int]] = []
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            due = int((time.monotonic() - started) * self._rate)
            asked = [(client.number, client.asked) for client in clients()]
            if asked != known:
                known = asked
                self._place(clients(), beginning=False)
            while done < due:
                number, at = divmod(done, total)
                if number != self._round:
                    self._round = number
                    self.reel.snapshots_at(number + 1)
                    self._place(clients(), beginning=True)
                end = min(total, due - number * total)
                for track in self.tracks:
                    track.tell(number, at, end, loop.time())
                done = number * total + end

    def _place(self, clients: Sequence[Client], *, beginning: bool) -> None:
        """Puts every client where its streams are; one that asks for books begins with a round, for that is where they begin."""
        for track in self.tracks:
            track.clients[:] = [client for client in track.clients if client.peer.connected]
        for client in clients:
            asked = frozenset(stream for of, stream in client.streams if of is self.desk)
            before = next((track for track in self.tracks if client in track.clients), None)
            known = frozenset[Stream]() if before is None else before.streams
            if asked == known or not client.peer.connected:
                continue
            new = [stream for stream in asked - known if stream in self.reel.first]
            if new and not beginning:
                continue
            if before is not None:
                before.clients.remove(client)
            if asked:
                self._track(asked).clients.append(client)
            for stream in sorted(new, key=lambda one: (one.message, one.symbol)):
                for frame in told_first(self.reel, stream, self._round):
                    client.peer.push(frame, due=asyncio.get_running_loop().time() + client.delay_s)

    def _track(self, streams: frozenset[Stream]) -> Track:
        found = next((track for track in self.tracks if track.streams == streams), None)
        if found is None:
            idle = [track for track in self.tracks if not track.clients]
            for track in idle[: max(0, len(idle) - KEPT)]:
                self.tracks.remove(track)
            found = Track(self.reel, streams, self._counts)
            self.tracks.append(found)
        return found


def _asked(streams: frozenset[Stream], stream: Stream) -> bool:
    return stream in streams or Stream(stream.message, "") in streams
