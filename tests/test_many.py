"""Two thousand instruments of a venue from one line of a configuration, over as many connections as its limits ask for."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import k4
from k4 import config as configuration
from k4 import lookup
from k4.errors import K4Error
from k4.instrument import Instrument, Listing
from k4.native import Native
from k4.reader import Reader
from k4.sim.desk import Desk
from k4.sim.market import Event

from .test_venues_run import keys, same
from .theatre import Said, Stage, Theatre, wait_for

COUNT = 2000
# Per product: the line, and how many connections two thousand quotes take within the limits that the venue states.
VENUES = {
    ("binance", "spot"): ("*USDT", 2),
    ("okx", "swap"): ("*-USDT-SWAP", 20),
    ("bitget", "usdt-futures"): ("*USDT", 40),
    ("bybit", "linear"): ("*USDT", 4),
}


def entry(exchange: str, product: str, *symbols: str, **changes: Any) -> dict[str, Any]:
    return {"name": "all", "exchange": exchange, "product": product, "symbols": list(symbols), "records": ["bbo"], **changes}


def write(stage: Stage, *entries: dict[str, Any]) -> Path:
    path = stage.folder / "config.json"
    path.write_text(json.dumps({"connections": list(entries), "log": {"dir": str(stage.folder / "log")}}))
    return path


def opened(segment: str) -> Reader | None:
    try:
        return k4.open(segment, oldest=True)
    except K4Error:
        return None


def states(segment: str) -> dict[str, str]:
    reader = opened(segment)
    if reader is None:
        return {}
    with reader:
        return {symbol.symbol: symbol.state for symbol in reader.symbols}


def live(segment: str, symbols: tuple[str, ...]) -> bool:
    found = states(segment)
    return all(found.get(symbol) == "LIVE" for symbol in symbols)


def carried(theatre: Theatre) -> dict[str, int]:
    """Symbol → the connection on which it is subscribed."""
    return {stream.symbol: client.number for client in list(theatre.simulator.clients) for _, stream in list(client.streams)}


def take_turns(desk: Desk) -> None:
    """Quotes of all its instruments, one after the other: by chance, some of two thousand would wait for long."""
    turns = itertools.cycle(desk.market.instruments.values())

    def step(now_ns: int) -> Iterator[Event]:
        instrument = next(turns)
        instrument.now_ns = now_ns
        yield desk.market._quote(instrument, now_ns)

    desk.market.step = step  # type: ignore[method-assign]


def check_values(segment: str, desk: Desk, said: list[Said]) -> None:
    """Each symbol's newest record is one that was sent for it, value by value."""
    by_id: dict[tuple[str, object], list[Said]] = {}
    for one in said:
        if "bbo" in one.records or one.kind in {"bbo", "book"}:
            for key in keys(one.values.get("update_id")):
                by_id.setdefault((one.symbol, key), []).append(one)
    with k4.open(segment) as reader:
        assert sorted(symbol.symbol for symbol in reader.symbols if symbol.state != "REMOVED") == sorted(desk.symbols)
        for symbol in desk.symbols:
            newest = reader.latest(symbol)
            assert newest is not None, symbol
            line = newest.to_json()
            sent = by_id.get((symbol, line["update_id"]))
            assert sent, f"{symbol}: {line}"
            assert any(same("bbo", line, one) for one in sent), (line, sent[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("venue", VENUES, ids="-".join)
def test_two_thousand_instruments(stage: Stage, venue: tuple[str, str]) -> None:
    exchange, product = venue
    pattern, connections = VENUES[venue]
    segment = f"{exchange}_{product}_bbo"
    config = write(stage, entry(exchange, product, pattern))
    with Theatre(config, instruments=COUNT + 50, rate=400) as theatre:
        (desk,) = theatre.said
        take_turns(desk)
        everything = desk.symbols
        desk.symbols = everything[:COUNT]
        with stage.running("run", config, "--sim", theatre.address) as output:
            wait_for(lambda: live(segment, desk.symbols), lambda: f"two thousand: {output.read_text()[-3000:]}", 240)
            begun = len(output.read_text())
            before = theatre.numbers()
            assert len(before) == connections
            with k4.open(segment) as reader:
                assert {source.name for source in reader.sources} == {"all#0", *(f"all#0.{part}" for part in range(1, connections))}
            theatre.simulator.still = True
            time.sleep(1.0)
            check_values(segment, desk, theatre.said[desk])
            theatre.simulator.still = False
            # Fifty are listed no more, fifty are new: these take the places of those, everything else stays where it is.
            wait_for(lambda: carried(theatre).keys() == set(desk.symbols), "all streams")  # one that was quiet for long is subscribed anew
            where = carried(theatre)
            gone = desk.symbols[7::40]
            desk.symbols = tuple(symbol for symbol in everything if symbol not in gone)
            done = stage.k4("reload", config)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("all: 50 symbols added: "), done.stdout
            assert "; 50 symbols removed: " in done.stdout
            wait_for(lambda: live(segment, desk.symbols), lambda: f"those that are new: {output.read_text()[-3000:]}", 120)
            assert {symbol for symbol, state in states(segment).items() if state == "REMOVED"} == set(gone)
            assert theatre.numbers() == before, "no connection was made or lost"
            wait_for(lambda: carried(theatre).keys() == set(desk.symbols), "all streams")
            now = carried(theatre)
            assert all(now[symbol] == where[symbol] for symbol in desk.symbols if symbol in where and symbol in now)
        log = output.read_text()
    for trouble in ("refused", "not answered", "unexpected", "broke the protocol"):
        assert f"] {trouble}" not in log, log[-3000:]
    # While all of them come at once, the simulator may be busy for longer than a probe waits.
    assert "link lost" not in log[begun:], log[begun:]


# --------------------------------------------------------------------------- what one segment cannot name


def listing(count: int) -> Listing:
    return Listing([Instrument(f"K{n:04}USDT", kind="perpetual", base=f"K{n:04}", quote="USDT", trading=True) for n in range(count)], time.time_ns())


def resolved(stage: Stage, native: Native, *entries: dict[str, Any], count: int) -> configuration.Config:
    config = write(stage, *entries)
    return lookup.resolve(config, configuration.load_reported(config, native.exchanges), native.exchanges, lambda _: listing(count))


def test_more_connections_than_a_segment_names_are_refused(stage: Stage, native: Native) -> None:
    twice = entry("bitget", "usdt-futures", "*USDT", redundancy={"connections": 2})
    assert len(resolved(stage, native, twice, count=1600).connections[0].symbols) == 1600
    with pytest.raises(K4Error) as caught:
        resolved(stage, native, twice, count=1601)
    assert str(caught.value) == (
        f"{stage.folder}/config.json: 1 finding\n"
        f"{stage.folder}/config.json:1: connections[0]: 66 connections would write to each segment of the group, and a segment names 64; "
        "this entry makes 2 times 33, with 50 streams at most on each. Lower redundancy.connections, name fewer symbols or records, or divide "
        "them among entries with segments of their own (shm)"
    )


def test_the_entry_that_makes_most_connections_is_named(stage: Stage, native: Native) -> None:
    few = entry("bitget", "usdt-futures", "K0000USDT") | {"name": "few"}
    with pytest.raises(K4Error, match=r"connections\[1\]: 66 connections .* this entry makes 1 times 65, with 50 streams"):
        resolved(stage, native, few, entry("bitget", "usdt-futures", "*USDT"), count=3201)
    apart = entry("bitget", "usdt-futures", "*USDT", shm={"bbo": "apart"})
    resolved(stage, native, few, apart, count=3200)


@pytest.mark.parametrize("venue", VENUES, ids="-".join)
def test_the_manual_says_what_two_thousand_take(stage: Stage, native: Native, venue: tuple[str, str]) -> None:
    exchange, product = venue
    found = native.exchanges[exchange].product(product)
    assert found is not None
    streams = found.session.limits.streams
    assert streams is not None
    (one,) = resolved(stage, native, entry(*venue, "*USDT"), count=COUNT).connections
    assert lookup.parts(one, native.exchanges) == VENUES[venue][1] == -(-COUNT // streams)
    fits = min(16, lookup.SOURCES // VENUES[venue][1])
    manual = (Path(__file__).resolve().parent.parent / "docs/running.md").read_text()
    (line,) = [line for line in manual.splitlines() if line.lower().startswith(f"| {exchange} | ")]
    numbers = [int(digits.replace(" ", "")) for digits in re.findall(r"\d[\d ]*\d|\d", line)]
    assert numbers == [streams, VENUES[venue][1], fits]
