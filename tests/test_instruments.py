"""Instruments: rows to records, names, lists fetched page by page and kept, symbols looked up in them."""

from __future__ import annotations

import asyncio
import json
import random
import re
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from k4 import instrument, instruments, listing, lookup, symbols, weights
from k4._codegen import exchange, fbs, ir
from k4.errors import K4Error
from k4.instrument import Instrument, Listing
from k4.listing import Source
from k4.lookup import Asking
from tests import logs
from tests.https_server import serving
from tests.logs import Lines
from tests.venue_server import Authority

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")
NOVA = ROOT / "tests/cases/specs/nova.toml"


# --------------------------------------------------------------------------- one instrument


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"price_step": "0.01000000"}, {"price_step": "0.01"}),
        ({"price_step": "100"}, {"price_step": "100"}),
        ({"price_step": "0.5", "price_digits": 1}, {"price_step": "0.05"}),
        ({"price_digits": 4, "qty_digits": 0}, {"price_step": "0.0001", "qty_step": "1"}),
        ({"qty_step": "10", "qty_digits": -1}, {"qty_step": "100"}),
        ({"price_step": "0", "qty_step": "0.00000000"}, {}),
        ({"contract_size": "0.01", "contract_mult": "10"}, {"contract_size": "0.1"}),
        ({"contract_size": "100"}, {"contract_size": "100"}),
        ({"contract_mult": "10"}, {}),
        ({"kind": "future", "expiry_ns": 1782432000000000000}, {"kind": "future", "expiry_ns": 1782432000000000000}),
        ({"kind": "perpetual", "expiry_ns": 4133404800000000000}, {"kind": "perpetual"}),
        ({"kind": "future", "expiry_ns": 0}, {"kind": "future"}),
        ({"trading": False, "qty_unit": "base"}, {"trading": False, "qty_unit": "base"}),
    ],
)
def test_rows(row: dict[str, object], expected: dict[str, Any]) -> None:
    assert instrument.of_row({"symbol": "A", **row}) == Instrument("A", **expected)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"symbol": ""},
        {"symbol": "x" * 49},
        {"symbol": "A", "price_step": "1", "price_digits": 31},
        {"symbol": "A", "contract_size": "0." + "1" * 40},
        {"symbol": "A", "contract_size": "1e999999"},  # which nobody writes out to see that it does not fit
        {"symbol": "A", "contract_size": "1e-999999"},
        {"symbol": "A", "price_step": "1e9999999"},
        {"symbol": "A\x1b[1m"},
        {"symbol": "A B"},
        {"symbol": "A", "base": "symbols\n"},
    ],
)
def test_rows_that_are_none(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"symbol|digits") as caught:
        instrument.of_row(row)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (Instrument("x", kind="spot", base="BTC", quote="USDT"), "BTC-USDT"),
        (Instrument("x", kind="spot", base="btc", quote="usdt"), "BTC-USDT"),
        (Instrument("x", kind="perpetual", base="BTC", quote="USD"), "BTC-USD-PERP"),
        (Instrument("x", kind="future", base="BTC", quote="USDT", expiry_ns=1798185600000000000), "BTC-USDT-261225"),
        (Instrument("x", kind="future", base="BTC", quote="USDT"), None),
        (Instrument("x", kind="option", base="BTC", quote="USDT", expiry_ns=1798185600000000000), None),
        (Instrument("x", base="BTC", quote="USDT"), None),
        (Instrument("x", kind="spot", base="BTC"), None),
        (Instrument("x", kind="spot", base="B-C", quote="USDT"), None),
    ],
)
def test_unified_names(one: Instrument, name: str | None) -> None:
    assert one.unified == name


# --------------------------------------------------------------------------- what symbols mean

LIST = Listing(
    [
        Instrument("BTCUSDT", kind="spot", base="BTC", quote="USDT", trading=True),
        Instrument("ETHUSDT", kind="spot", base="ETH", quote="USDT", trading=True),
        Instrument("OLDUSDT", kind="spot", base="OLD", quote="USDT", trading=False),
        Instrument("BTCUSD_PERP", kind="perpetual", base="BTC", quote="USD"),
        Instrument("A1", kind="spot", base="AAA", quote="B", trading=True),
        Instrument("A2", kind="spot", base="AAA", quote="B", trading=True),
        Instrument("C1", kind="spot", base="CCC", quote="B", trading=True),
        Instrument("C2", kind="spot", base="CCC", quote="B", trading=False),
        Instrument("测试USDT", kind="spot", base="测试", quote="USDT", trading=True),
    ],
    time.time_ns(),
)


def meant(*asked: str, sure: bool = True, listing: Listing | None = LIST) -> tuple[list[str], list[str]]:
    found = symbols.resolve(asked, listing, title="nova spot", sure=sure)
    return list(found.symbols), [f"{place}: {message}" for place, message in found.wrong]


def test_native_unified_and_patterns() -> None:
    assert meant("BTCUSDT", "ETH-USDT", "BTC-USD-PERP", "测试USDT", "OLDUSDT") == (
        ["BTCUSDT", "ETHUSDT", "BTCUSD_PERP", "测试USDT", "OLDUSDT"],
        [],
    )
    assert meant("*USDT") == (["BTCUSDT", "ETHUSDT", "测试USDT"], [])
    assert meant("BTC*") == (["BTCUSDT", "BTCUSD_PERP"], [])
    assert meant("*-PERP", "BTCUSDT") == (["BTCUSD_PERP", "BTCUSDT"], [])
    assert meant("BTCUSDT", "*USDT") == (["BTCUSDT", "ETHUSDT", "测试USDT"], [])
    assert meant("*USDT", "ETH-USDT") == (["BTCUSDT", "ETHUSDT", "测试USDT"], [])
    assert meant("CCC-B") == (["C1"], [])


def test_what_a_symbol_cannot_be() -> None:
    assert meant("BTCUSDR") == ([], ['0: "BTCUSDR" is no instrument of nova spot; did you mean "BTCUSDT"?'])
    assert meant("btcusdt") == ([], ['0: "btcusdt" is no instrument of nova spot; did you mean "BTCUSDT"?'])
    assert meant("BTC-USD-PERB") == ([], ['0: "BTC-USD-PERB" is no instrument of nova spot; did you mean "BTC-USD-PERP"?'])
    assert meant("zzzzzzzzz") == ([], ['0: "zzzzzzzzz" is no instrument of nova spot; `k4 instruments nova spot` lists them'])
    assert meant("BTCUSDT", "BTC-USDT") == (
        ["BTCUSDT"], ['1: "BTC-USDT" is "BTCUSDT", which "BTCUSDT" names already; keep one of them'],
    )  # fmt: skip
    assert meant("AAA-B") == ([], ['0: "AAA-B" is several instruments of nova spot; write the one that is meant: A1 A2'])
    assert meant("*XYZ") == ([], ['0: "*XYZ": no instrument of nova spot that is traded has such a name'])
    assert meant("OLD*") == ([], ['0: "OLD*": no instrument of nova spot that is traded has such a name'])
    assert meant(".*") == ([], ['0: ".*": no instrument of nova spot that is traded has such a name'])


def test_an_old_list_may_lack_what_is_new_and_no_list_knows_nothing() -> None:
    assert meant("NEWUSDT", "ETH-USDT", sure=False) == (["NEWUSDT", "ETHUSDT"], [])
    assert meant("NEWUSDT", "ETH-USDT", listing=None) == (["NEWUSDT", "ETH-USDT"], [])
    assert meant("*USDT", listing=None) == (
        [], ['0: "*USDT": a pattern needs the list of instruments of nova spot, which cannot be had'],
    )  # fmt: skip


# --------------------------------------------------------------------------- lists

Get = Callable[[str, str | None, int], Awaitable[bytes]]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Source(exchange.load(NOVA, RECORDS), "spot", RECORDS)


def row(name: str, step: object = "0.5", state: str = "open") -> dict[str, object]:
    return {"name": name, "base": name[:3], "quote": name[3:], "state": state, "rules": [{"type": "SIZE"}, {"type": "PRICE", "step": step}]}


def page(*rows: object, next_: str | None = "") -> bytes:
    return json.dumps({"ok": True, "next": next_, "rows": rows}).encode()


class Venue:
    """Serves pages by the key that is asked for, and remembers what was asked."""

    def __init__(self, **pages: bytes) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def get(self, url: str, body: str | None, weight: int) -> bytes:
        assert (body, weight) == (None, 1)
        self.asked.append(url)
        return self.pages[parse_qs(urlsplit(url).query, keep_blank_values=True)["after"][0] or "first"]


def fetched(source: Source, venue: Venue) -> Listing:
    return asyncio.run(listing.fetch(source, venue.get, logs.logger()))


def test_a_list_of_several_pages(source: Source) -> None:
    venue = Venue(first=page(row("AAABBB"), row("CCCBBB", 0.25), next_="p2"), p2=page(row("DDDBBB", "1e-3", "shut"), next_=None))
    found = fetched(source, venue)
    url = "https://api.nova.example/v1/markets?type=SPOT&after="
    assert venue.asked == [url, url + "p2"]
    common = {"base": "AAA", "quote": "BBB", "qty_unit": "base"}
    assert found.instruments == (
        Instrument("AAABBB", price_step="0.5", trading=True, **common),  # type: ignore[arg-type]
        Instrument("CCCBBB", price_step="0.25", trading=True, **{**common, "base": "CCC"}),  # type: ignore[arg-type]
        Instrument("DDDBBB", price_step="0.001", trading=False, **{**common, "base": "DDD"}),  # type: ignore[arg-type]
    )
    again = listing.cached(source)
    assert again is not None
    assert again.instruments == found.instruments
    assert again.fetched_ns == found.fetched_ns
    assert listing.fresh(found)
    assert not listing.fresh(found, found.fetched_ns + 3600 * 10**9)
    assert not listing.fresh(found, found.fetched_ns - 1)
    assert source.file().stat().st_mode & 0o777 == 0o600


def test_the_host_can_be_another(source: Source) -> None:
    venue = Venue(first=page(row("AAABBB")))
    other = Source(source.exchange, "spot", RECORDS, "https://127.0.0.1:7")
    fetched(other, venue)
    assert venue.asked == ["https://127.0.0.1:7/v1/markets?type=SPOT&after="]
    assert listing.cached(source) is None, "what another host said is not the venue's"
    assert listing.cached(other) is not None


def test_a_simulators_list_is_not_kept(source: Source) -> None:
    passing = Source(source.exchange, "spot", RECORDS, "https://127.0.0.1:7", kept=False)
    found = fetched(passing, Venue(first=page(row("AAABBB"))))
    assert len(found.instruments) == 1
    assert listing.cached(passing) is None
    assert not passing.file().exists()


def test_what_is_wrong_in_a_list_is_left_out_and_told(source: Source) -> None:
    with logs.captured() as lines:
        found = fetched(source, Venue(first=page(row("AAABBB"), row("CCCBBB", "much"), {"name": 7}, "x", row("x" * 60))))
    assert [one.symbol for one in found.instruments] == ["AAABBB"]
    url = "https://api.nova.example/v1/markets?type=SPOT&after="
    said = {"product": "nova spot", "count": 4, "first": f"{url}: price_step is refused: type"}
    assert lines == [{"level": "warning", "event": "instruments are left out", **said}]


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ({"first": b"<html>busy</html>"}, "the body is malformed at byte 0: <html>busy</html>"),
        ({"first": b'{"ok":false,"why":"closed"}'}, 'the body does not match: {"ok":false,"why":"closed"}'),
        ({"first": page(row("A", "x"))}, "nova spot: every instrument of the list is refused: "),
        ({"first": page(next_="p2"), "p2": page(next_="p2")}, "the venue gives a page that it has given before"),
    ],
)
def test_what_is_no_list(source: Source, pages: dict[str, bytes], reason: str) -> None:
    with pytest.raises(K4Error) as raised:
        fetched(source, Venue(**pages))
    assert reason in str(raised.value)
    assert listing.cached(source) is None


def test_pages_without_end(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_PAGES", 5)
    pages = {f"p{n}": page(row(f"AAA{n}"), next_=f"p{n + 1}") for n in range(20)}
    with pytest.raises(K4Error, match="more than 5 pages"):
        fetched(source, Venue(first=pages["p0"], **pages))


def test_a_damaged_cache_is_no_list(source: Source) -> None:
    fetched(source, Venue(first=page(row("AAABBB"))))
    whole = source.file().read_bytes()
    random.seed(3)
    for _ in range(300):
        at = random.randrange(len(whole))
        source.file().write_bytes(whole[:at] if random.random() < 0.5 else whole[:at] + random.randbytes(1) + whole[at + 1 :])
        kept = listing.cached(source)
        assert kept is None or all(isinstance(one, Instrument) for one in kept.instruments)
    for text in (
        "[]",
        "{}",
        '{"fetched_ns":1,"instruments":[{}]}',
        '{"fetched_ns":1,"instruments":[{"symbol":7}]}',
        '{"fetched_ns":"x","instruments":[]}',
    ):
        source.file().write_text(text)
        assert listing.cached(source) is None, text


def test_a_run_takes_what_it_can_have(source: Source, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    async def gone(_url: str, _body: str | None, _weight: int) -> bytes:
        raise K4Error("no route")

    async def slow(_url: str, _body: str | None, _weight: int) -> bytes:
        await asyncio.sleep(10)
        return b""

    def have(get: Get) -> list[str] | None:
        found = asyncio.run(listing.have(source, get, logs.logger()))
        return None if found is None else [one.symbol for one in found.instruments]

    assert have(gone) is None
    told = {name: value for name, value in lines[-1].items() if name not in {"event", "level"}}
    assert told == {"product": "nova spot", "reason": "no route", "kept_one_is_old_s": None}
    monkeypatch.setattr(listing, "WAIT_S", 0.1)
    assert have(slow) is None
    assert lines[-1]["reason"] == "no answer within 0.1 s"
    venue = Venue(first=page(row("AAABBB")))
    assert have(venue.get) == ["AAABBB"]
    assert have(gone) == ["AAABBB"], "fresh: nobody is asked"
    assert len(lines) == 2
    old = json.loads(source.file().read_text())
    source.file().write_text(json.dumps({**old, "fetched_ns": old["fetched_ns"] - 7200 * 10**9}))
    assert have(gone) == ["AAABBB"]
    assert 7200 <= lines[-1]["kept_one_is_old_s"] < 7300
    venue.pages["first"] = page(row("CCCBBB"))
    assert have(venue.get) == ["CCCBBB"]


# --------------------------------------------------------------------------- counted with what else is fetched


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ir.Exchange:
    """A page of the list weighs 7, of which 70 fit into what is used of a minute; counts are of this test alone."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = NOVA.read_text(encoding="utf-8")
    for old, new in (
        ('record = "instrument"\n', 'record = "instrument"\nweight = 7\n'),
        ("limits      = {", 'limits      = { weight = "100/60s",'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file = tmp_path / "nova.toml"
    file.write_text(text)
    return exchange.load(file, RECORDS)


def counted(base: str, folder: Path) -> list[tuple[float, int]]:
    """(monotonic seconds, weight) of what was fetched from there; a weight of 0 is a pause until then."""
    path = weights.path_for(folder, urlsplit(base).netloc)
    return [(when / 1e9, weight) for when, weight in struct.iter_unpack("<qq", path.read_bytes())] if path.exists() else []


@pytest.mark.parametrize("kept", [True, False])
def test_lists_count_in_what_all_processes_fetch(kept: bool, heavy: ir.Exchange, tls: Authority, tmp_path: Path) -> None:
    """Except those of a simulator, which nobody limits."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=page(row("AAABBB"), next_="" if request.query["after"] else "p2"))

    async def main() -> None:
        async with serving(tls, handler) as base:
            asking = Asking(Source(heavy, "spot", RECORDS, base, kept), (str(tls.ca_file),))
            (found,) = (await lookup.lists([asking], logs.logger())).values()
            assert found is not None
            assert [weight for _, weight in counted(base, tmp_path)] == ([7, 7] if kept else [])

    asyncio.run(main())


def test_lists_wait_their_turn_and_their_pauses_are_everybodys(heavy: ir.Exchange, tls: Authority, tmp_path: Path, lines: Lines) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.query["after"])
        return web.Response(status=429, headers={"Retry-After": "40"})

    async def main() -> None:
        async with serving(tls, handler) as base:
            asking = Asking(Source(heavy, "spot", RECORDS, base), (str(tls.ca_file),))
            other = weights.Weights(weights.path_for(tmp_path, urlsplit(base).netloc))
            began = time.monotonic()
            assert list((await lookup.lists([asking], logs.logger())).values()) == [None]
            (_, weight), (until, pause) = counted(base, tmp_path)
            assert (weight, pause) == (7, 0)
            assert began + 40 <= until <= time.monotonic() + 40
            now = time.monotonic()
            assert other.paused(now) == pytest.approx(until - now, abs=0.001)
            other.close()
            # Somebody else has fetched all that is used of the minute.
            other = weights.Weights(weights.path_for(tmp_path, "full"))
            assert other.reserve(70, ((70, 60.0),), time.monotonic(), 1.0) == 0
            other.close()
            weights.path_for(tmp_path, "full").rename(weights.path_for(tmp_path, urlsplit(base).netloc))
            assert list((await lookup.lists([asking], logs.logger())).values()) == [None]
            assert asked == [""], "the second was not made"

    asyncio.run(main())
    assert [line["event"] for line in lines] == ["instruments cannot be listed"] * 2
    assert re.search(r"status 429", str(lines[0]["reason"]))
    assert re.search(r"others come first; its turn is in (5\d|60) s", str(lines[1]["reason"]))


def test_what_a_venue_says_is_no_order_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    instruments._Warnings().warning("instruments are left out", count=1, first="A\x1b[2J")
    assert capsys.readouterr().err == "k4: warning: instruments are left out: count=1, first=A\\x1b[2J\n"
