"""Every network fault of `k4.sim.faults`, injected by the simulator into the real connection: what the peer sees, what is counted and logged,
what it costs.

In each row the link before the fault was good, and the link after it (or the same one, where it lives on) carries data again. Memory is the
growth of the client's resident peak over what it had on a good link. K4_FAULT_FIGURES=FILE appends a line per fault.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, cast

import pytest

from k4.config import load_reported
from k4.native import Native
from k4.sim.command import desks
from k4.sim.fault import Fault
from k4.sim.faults import FAULTS, GROUPS
from k4.sim.frames import CLOSE, PONG
from k4.sim.net import Peer, Request
from k4.sim.order import Order
from k4.sim.server import Simulator
from k4.sim.tls import ca_file
from tests.theatre import wait_for

ROOT = Path(__file__).resolve().parent.parent
# What a fault may cost (docs/faults.md): memory beyond a good link's, and how long the loop is held on a quiet machine; a test on a busy one
# only catches what is far beyond it.
MEMORY_MB = 8
STALL_MS = 5
SLACK = 4
NETWORK = ("Handshake", "Framing", "Link")
# What the client's limits are in these tests, so that they end soon.
SILENCE = {"silence_s": 0.8}
SETTINGS: dict[str, dict[str, Any]] = {
    "stuck-tcp": {"dial_s": 1.0},
    "stuck-handshake": {"dial_s": 1.0},
    "slow-handshake": {"dial_s": 1.0},
    "slow-frame": SILENCE,
    "empty-fragments": SILENCE,
}
# They show only beside a sibling, or under a load: tests/test_redundancy.py.
BESIDE = ("slow", "corrupt", "shutdown-notice")
ROWS = [fault for name, faults in GROUPS if name in NETWORK for fault in faults if fault.name not in BESIDE]


class Client:
    """The process of `tests.fault_client`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault_client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the client ended"
        answer = json.loads(line)
        assert "crashed" not in answer, answer
        return cast("dict[str, Any]", answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        with self.process:
            self.process.stdin.close()
            try:
                self.process.wait(60)
            finally:
                self.process.kill()


class House(Simulator):
    """Its market stands still. Whoever comes is told one quote, unless a fault is to have the link; what those say is `heard`."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.still = True
        self.heard: list[tuple[int, bytes]] = []

    def opened(self, peer: Peer, request: Request) -> None:
        super().opened(peer, request)
        client = self._by_peer[peer]
        if client not in self.saboteur._tasks.values():
            while not peer.waiting:
                self.step(client.desk)

    def left(self, peer: Peer) -> None:
        client = self._by_peer[peer]
        super().left(peer)
        if client.line is None:
            return
        self.heard += client.line.heard.said
        closed = None if peer._ws is None else peer._ws.close_rcvd
        if closed is not None:
            self.heard.append((CLOSE, closed.serialize()))

    def break_next(self, order: Order) -> None:
        """Ends the link there is; the order meets the next."""
        self.saboteur.orders[:] = [order]
        self.saboteur.failed.clear()
        self.heard.clear()
        for client in [*self.clients]:
            client.peer.abort()


class Street:
    """A house on a thread of its own."""

    def __init__(self, config: Path, native: Native) -> None:
        self.house = House(desks(load_reported(config, native.exchanges), native, seed=5))
        self.port = 0
        self.ca = str(ca_file())
        self._loop = asyncio.new_event_loop()
        self._ready = Flag()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self.port = self._loop.run_until_complete(self.house.start("127.0.0.1", 0))
        self._ready.set()
        self._loop.run_forever()

    def do(self, act: Callable[[], Any]) -> Any:
        async def work() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(60)

    def close(self) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self.house.close(), self._loop).result(60)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
        self._loop.close()


@pytest.fixture(scope="module")
def client(native: Native) -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def street(native: Native, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    entry = {"name": "one", "exchange": "binance", "product": "spot", "symbols": ["FOOBAR"], "records": ["bbo"]}
    config = folder / "config.json"
    config.write_text(json.dumps({"connections": [entry]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        made = Street(config, native)
    yield made
    made.close()


def run(client: Client, street: Street, fault: Fault, settings: dict[str, Any]) -> dict[str, Any]:
    """One good link, the faulty one, a good one again. The client's answer, with `links`: how often it came."""
    accepted = street.house.accepted
    wins = 1 + fault.published + (1 if fault.reason else 0)
    client.order({"port": street.port, "ca": street.ca, "wins": wins, "settings": settings})
    assert client.answer() == {"ready": True}
    street.do(lambda: street.house.break_next(Order(fault, times=1, options=fault.options)))
    answer = client.answer()
    wait_for(lambda: not street.house.clients, "the client's end")
    return {**answer, "links": street.house.accepted - accepted, "wanted": wins}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("fault", "settings"),
    [(fault, SETTINGS.get(fault.name, {})) for fault in ROWS] + [(FAULTS["ping-flood"], {"requests": []})],
    ids=[*(fault.name for fault in ROWS), "ping-flood-unlimited"],
)
def test_fault(fault: Fault, settings: dict[str, Any], client: Client, street: Street) -> None:
    answer = run(client, street, fault, settings)
    keep_figures(fault, answer)
    if street.house.saboteur.failed:
        pytest.skip("not run: TCP_REPAIR needs CAP_NET_ADMIN")
    # The first is the good link that the server ended.
    reasons = [reason.partition(": ")[2] if reason.startswith("127.0.0.1:") else reason for reason in answer["reasons"][1:]]
    if fault.reason:
        assert len(reasons) == 1, answer["warnings"]
        assert re.fullmatch(fault.reason, reasons[0]), reasons
    else:
        assert reasons == []
    assert answer["timely"], answer
    assert answer["wins"] == answer["wanted"], "every good record is published, and nothing else"
    assert answer["links"] == (3 if fault.reason else 2), "dialled as often as it had to be"
    heard = street.do(lambda: [*street.house.heard])
    closes = [int.from_bytes(payload[:2]) for opcode, payload in heard if opcode == CLOSE]
    assert closes == ([] if fault.close is None else [fault.close]) or (not fault.reason and closes == [1000])
    failures = {name: count for name, count in answer["counted"].items() if name.startswith("failed_") and count}
    assert failures == ({fault.counted: 1} if fault.counted else {})
    # Beyond what one read may hand to Python the core counts and drops; only a link that is given up for it comes to that.
    assert answer["counted"]["events_lost"] == 0 or fault.close == 1008
    if fault.name == "ping-flood":
        _newest_only([payload for opcode, payload in heard if opcode == PONG and payload != b"k4 sim"], 20_000 if settings else 12)
    assert answer["grown_kb"] <= MEMORY_MB * 1024, f"memory grew by {answer['grown_kb']} KiB"
    assert answer["stall_busy_ms"] <= SLACK * STALL_MS, f"the loop was held for {answer['stall_busy_ms']:.1f} ms"


def _newest_only(pongs: list[bytes], most: int) -> None:
    numbers = [int(pong) for pong in pongs if pong != b"last"]
    assert numbers == sorted(set(numbers)), "answered in order, each once"
    assert len(pongs) <= most, f"{len(pongs)} pongs"
    assert pongs[-1] == b"last", "the newest is answered"


def keep_figures(fault: Fault, answer: dict[str, Any]) -> None:
    if "K4_FAULT_FIGURES" in os.environ:
        line = {"fault": fault.name, **{name: answer[name] for name in ("grown_kb", "stall_busy_ms", "stall_wall_ms")}}
        with Path(os.environ["K4_FAULT_FIGURES"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
