"""JSON and SBE connections of one group, through `k4 run` against the simulator: every update once, whichever brings it first; with either gone
nothing is missed.
"""

from __future__ import annotations

import http
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import k4
from k4 import native
from k4.sim.client import Client
from k4.sim.net import Answer, Request

from .test_venues_run import check, live
from .theatre import Said, Stage, Theatre, wait_for

SYMBOLS = ["FOOBAR", "BARBAZ"]
RECORDS = ("bbo", "trade", "aggtrade", "depth5", "depth20")
BOTH = ("bbo", "trade", "depth5", "depth20")
IDS = {"bbo": "update_id", "trade": "trade_id"}
KEY = "Zx81-not-to-be-seen"
BEHIND_S = 0.03  # a connection that comes anew must not outdate what the other still has on the way


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: native.Native) -> Stage:
    del native  # compiled by then
    (tmp_path / "shm").mkdir()
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path / "shm"))
    monkeypatch.setenv("K4_TEST_API_KEY", KEY)
    return Stage(tmp_path)


def config(folder: Path) -> Path:
    entry = {
        "name": "main",
        "exchange": "binance",
        "product": "spot",
        "symbols": SYMBOLS,
        "records": list(RECORDS),
        "redundancy": {"connections": 1, "transports": ["json", "sbe"]},
        "secrets": {"api_key": {"env": "K4_TEST_API_KEY"}},
    }
    file = folder / "both.json"
    file.write_text(json.dumps({"connections": [entry], "log": {"dir": str(folder / "log")}}))
    return file


def transport(client: Client) -> str:
    venue = client.desk.venue
    (found,) = {venue.messages[message].transport for messages in client.carries.values() for message in messages}
    return found


class Door:
    """Who of the two is let in."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.shut: set[str] = set()
        self._admit = theatre.simulator.admit
        theatre.simulator.admit = self.admit  # type: ignore[method-assign]

    def admit(self, request: Request) -> Answer | None:
        speaks = "sbe" if "x-mbx-apikey" in request.headers else "json"
        return Answer(http.HTTPStatus.SERVICE_UNAVAILABLE, b"shut\n") if speaks in self.shut else self._admit(request)

    def clients(self) -> dict[str, Client]:
        return {transport(client): client for client in list(self.theatre.simulator.clients)}

    def away(self, speaks: str, seconds: float) -> None:
        """Cuts a connection, keeps it out for a time, and waits until it is back, behind the other."""
        self.shut.add(speaks)
        number = self.clients()[speaks].number
        self.theatre.drop(number)
        wait_for(lambda: speaks not in self.clients(), f"{speaks} to be gone")
        time.sleep(seconds)
        self.shut.clear()
        wait_for(lambda: speaks in self.clients(), f"{speaks} to be back", 40)
        time.sleep(0.5)


def wins(record: str) -> dict[str, int]:
    """Updates that each transport brought first."""
    with k4.open(f"binance_spot_{record}") as reader:
        found: dict[str, int] = {}
        for source in reader.sources:
            found[source.transport] = found.get(source.transport, 0) + source.wins
        return found


def said_ids(told: list[Said], record: str, symbol: str) -> list[int]:
    """The ids that the simulator told of, once each, in order."""
    return list(dict.fromkeys(int(str(one.values[IDS[record]])) for one in told if record in one.records and one.symbol == symbol))


def newest(record: str) -> list[int]:
    with k4.open(f"binance_spot_{record}") as reader:
        return [getattr(found, IDS[record]) for symbol in SYMBOLS if (found := reader.latest(symbol)) is not None]


def newest_said(told: list[Said], record: str) -> list[int]:
    return [said_ids(told, record, symbol)[-1] for symbol in SYMBOLS]


@pytest.mark.timeout(600)
def test_every_update_once_by_either_and_none_missed_without_one(stage: Stage) -> None:
    file = config(stage.folder)
    with Theatre(file, delays_s=(0.0, 0.02), rate=250.0) as theatre:
        (desk,) = theatre.said
        told = theatre.said[desk]
        door = Door(theatre)
        with stage.running("run", file, "--sim", theatre.address) as output:
            segments = [f"binance_spot_{record}" for record in RECORDS]
            wait_for(lambda: all(live(name, 20) for name in segments), lambda: f"records: {output.read_text()}", 60)
            began = len(told)
            assert {transport(client) for client in theatre.simulator.clients} == {"json", "sbe"}

            def ahead(speaks: str, done: Callable[[], bool]) -> None:
                for name, client in door.clients().items():
                    client.delay_s = 0.0 if name == speaks else 0.02
                wait_for(done, f"{speaks} to win")

            for speaks in ("sbe", "json", "sbe"):
                before = {record: wins(record)[speaks] for record in BOTH}
                ahead(speaks, lambda before=before, speaks=speaks: all(wins(r)[speaks] > before[r] + 10 for r in BOTH))  # type: ignore[misc]
            theatre.simulator._delays_s = (BEHIND_S,)
            assert door.clients()["sbe"].delay_s == 0.0
            door.away("json", 1.5)
            theatre.simulator._delays_s = (2 * BEHIND_S,)
            door.away("sbe", 1.5)
            wait_for(lambda: all(live(f"binance_spot_{record}", 20) for record in BOTH), "all symbols to be live")
            ended = len(told)
            theatre.simulator.still = True
            time.sleep(0.5)  # what it is about to say
            wait_for(lambda: all(newest(record) == newest_said(told, record) for record in IDS), "all to have come")
            for record in BOTH:
                check(stage, f"binance_spot_{record}", record, told, began, ended)
            for record in ("bbo", "trade"):
                lines = stage.lines(f"binance_spot_{record}")
                for symbol in SYMBOLS:
                    published = [int(str(line[IDS[record]])) for line in lines if line["symbol"] == symbol]
                    wanted = said_ids(told, record, symbol)
                    wanted = wanted[wanted.index(published[0]) :]
                    assert published == wanted, (record, symbol, set(wanted) ^ set(published))
                    assert len(published) > 100
            for record in BOTH:
                with k4.open(f"binance_spot_{record}") as reader:
                    assert {(source.name, source.transport) for source in reader.sources} == {("main#0", "json"), ("main#1", "sbe")}
                    assert all(source.wins > 20 for source in reader.sources), (record, reader.sources)
                    if record in IDS:  # the ids of books depend on when they are cut
                        assert all(source.duplicates > 20 and source.gaps == 0 for source in reader.sources), (record, reader.sources)
            assert wins("aggtrade")["sbe"] == 0  # which has none
        log = output.read_text()
    assert KEY not in log
    assert log.count("connected") >= 4
