"""Every fault of data, of requests and of fetching, injected by the simulator into a real feed, for venues of several manners.

What is expected of a frame that was really sent is the reference interpreter's answer; that each update is published once, with its values, is
held against what the market did.
"""

from __future__ import annotations

import itertools
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import k4
from k4 import native, stuck
from k4._codegen import exchange, fbs
from k4._codegen.reference import Interpreter, Refusal
from k4._codegen.refrecord import Record
from k4.sim.desk import Desk
from k4.sim.fault import Fault, Message
from k4.sim.faultdata import DATA, SBE
from k4.sim.order import parse
from k4.sim.tamper import Told
from tests.codegen.compiled import build_extension
from tests.feed_stage import Run, payload
from tests.test_sim_spoken import symbols_of
from tests.theatre import wait_for

ROOT = Path(__file__).resolve().parent.parent
CASES = [*sorted((ROOT / "tests/cases/sim").glob("*.toml")), ROOT / "tests/cases/specs/nova.toml"]
IDS = {"bbo": "update_id", "trade": "trade_id", "aggtrade": "agg_id"}
BINANCE = {"exchange": "binance", "product": "spot", "symbols": ["FOOBAR", "BARFOO"], "records": list(IDS)}
DEPOT = {"exchange": "depot", "product": "spot", "symbols": ["FOO-BAR", "QUX-BAR"], "records": ["bbo", "trade", "depth5"]}
RELAY = {"exchange": "relay", "product": "perp", "symbols": ["FOOBAR"], "records": ["bbo", "aggtrade", "depth20"]}
REFUSED = [fault for fault in DATA if fault.code]
TWO = {"redundancy": {"connections": 2}}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's own venues, compiled."""
    folder = tmp_path_factory.mktemp("spec")
    for file in CASES:
        shutil.copy(file, folder)
    build_extension(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: native.Native) -> Path:
    (tmp_path / "shm").mkdir()
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path / "shm"))
    return tmp_path


def struck(run: Run) -> int:
    """How often the orders have struck."""
    saboteur = run.simulator.saboteur
    return sum(saboteur._fired.values())


def by_reference(run: Run, number: int = 0, after: int = 0) -> tuple[list[Record], list[Refusal]]:
    """What the frames that a connection was sent give, by the letter; without the first `after`."""
    reader = Interpreter(run.native.records, run.desk.venue.messages, schema=run.desk.venue.exchange.schema(run.desk.venue.product))
    items = [item for frame in run.sent[number][after:] for item in reader.decode(payload(frame), binary=frame[0] == 0x82).items]
    return [item for item in items if isinstance(item, Record)], [item for item in items if isinstance(item, Refusal)]


@pytest.mark.parametrize("fault", REFUSED, ids=[fault.name for fault in REFUSED])
def test_what_is_wrong_is_refused(fault: Fault, folder: Path) -> None:
    """One connection: what is refused is refused with the table's code, counted and told, and everything else is published."""
    run = Run(folder, BINANCE)
    with run.running():
        run.order(f"{fault.name}@every=0.1")
        wait_for(lambda: struck(run) >= 6, "six of them")
        run.calm()
        wait_for(run.live, "all to be live")
    records, refusals = by_reference(run)
    assert {refusal.code for refusal in refusals} == {fault.code}
    assert len(refusals) == struck(run) >= 6
    stats = run.stats()
    assert stats["refused"] == len(refusals)
    told = run.events("refused")
    assert [line["code"] for line in told] == [fault.code] * len(told)
    assert told
    assert not run.events("link lost")
    for record, name in IDS.items():
        wanted = [(one.symbol, one.values[name]) for one in records if one.record == record]
        assert [(line["symbol"], line[name]) for line in run.published(record)] == wanted


@pytest.mark.parametrize("fault", SBE, ids=[fault.name for fault in SBE])
def test_what_is_wrong_in_sbe(fault: Fault, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One SBE connection: the same; what is only unknown or newer costs nothing but itself."""
    monkeypatch.setenv("K4_TEST_API_KEY", "any")
    records = ["bbo", "trade", "depth20"]
    secrets = {"api_key": {"env": "K4_TEST_API_KEY"}}
    run = Run(folder, {**BINANCE, "records": records, "redundancy": {"transports": ["sbe"]}, "secrets": secrets})
    with run.running():
        run.order(f"{fault.name}@every=0.1")
        wait_for(lambda: struck(run) >= 6, "six of them")
        run.calm()
        wait_for(run.live, "all to be live")
    expected, refusals = by_reference(run)
    assert [refusal.code for refusal in refusals] == [fault.code] * (struck(run) if fault.code else 0)
    assert run.stats()["refused"] == len(refusals)
    assert [line["code"] for line in run.events("refused")] == [fault.code] * len(run.events("refused"))
    assert not run.events("link lost")
    for record in records[:2]:
        wanted = [(one.symbol, one.values[IDS[record]]) for one in expected if one.record == record]
        assert [(line["symbol"], line[IDS[record]]) for line in run.published(record)] == wanted


@pytest.mark.parametrize("name", ["gap", "duplicate", "reorder", "late"])
def test_redundant_connections_make_up_for_it(name: str, folder: Path) -> None:
    """Two connections, one of them at fault: every update once, in order but for LATE."""
    run = Run(folder, {**BINANCE, **TWO})
    with run.running():
        began = {desk: len(said) for desk, said in run.theatre.said.items()}[run.desk]
        run.order(f"{name}@conn=0,every=0.02")
        wait_for(lambda: struck(run) >= 30, "thirty of them")
        run.calm()
        time.sleep(0.3)
        ended = len(run.theatre.said[run.desk])
        time.sleep(0.3)
    for record, id_name in IDS.items():
        said = [(one.symbol, one.values[id_name]) for one in run.theatre.said[run.desk][began:ended] if record in one.records]
        lines = run.published(record)
        published = [(line["symbol"], line[id_name]) for line in lines]
        missed = set(said) - set(published)
        # A newer state outdates an older one that the sibling has still to bring; events are all told.
        assert len(missed) <= (struck(run) if record == "bbo" else 0), f"{record}: {sorted(missed)} missed"
        assert len(published) == len(set(published)), "nothing twice"
        assert not [line for line in lines if "RESET" in line["flags"]], "one out of order is no new beginning"
        for symbol in BINANCE["symbols"]:
            last = -1
            for line in lines:
                if line["symbol"] == symbol and "LATE" not in line["flags"]:
                    assert line[id_name] > last
                    last = line[id_name]
    assert not run.events("link lost")


@pytest.mark.parametrize("record", ["bbo", "trade"])
def test_a_stream_that_is_stuck_on_one_of_two_connections_is_subscribed_anew_there(
    record: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers see LIVE and every update once; the connection is made to bring it again, by a message, and nothing else is asked for."""
    monkeypatch.setattr(stuck, "MISSING_S", 2.0)
    run = Run(folder, {**BINANCE, **TWO})
    with run.running():
        assert run.feed is not None
        two = run.feed.connections
        began = len(run.theatre.said[run.desk])
        at = time.monotonic()
        run.order(f"stuck-stream@conn=0,symbol=FOOBAR,record={record},times=1")
        wait_for(lambda: struck(run) == 1, "it to be stuck")
        wait_for(lambda: any(one.renewed for one in two), "it to be subscribed anew")
        # Which of the two the simulator accepted first is chance; if it was the other one, nothing would come again there.
        ill, well = sorted(two, key=lambda one: -one.renewed)
        took_s = time.monotonic() - at
        assert run.live()
        healed = len(run.sent[0])
        wait_for(
            lambda: any(one.symbol == "FOOBAR" and one.record == record for one in by_reference(run, after=healed)[0]),
            "it to come again on that connection",
        )
        time.sleep(3.0)
        ended = len(run.theatre.said[run.desk])
        time.sleep(0.3)
    (told,) = run.events("stuck on this connection, subscribed anew")
    assert (told["connection"], told["streams"]) == (ill.name, f"FOOBAR {record}")
    assert (ill.renewed, well.renewed, ill.links, well.links) == (1, 0, 1, 1)
    assert took_s > 1.9
    id_name = IDS[record]
    said = [(one.symbol, one.values[id_name]) for one in run.theatre.said[run.desk][began:ended] if record in one.records]
    published = [(line["symbol"], line[id_name]) for line in run.published(record)]
    assert len(published) == len(set(published)), "nothing twice"
    assert set(said) <= set(published), "nothing missed"
    assert {line["connection"]: line["renewed"] for line in run.events("counters")} == {ill.name: 1, well.name: 0}


def test_alone_a_gap_is_counted_and_flagged(folder: Path) -> None:
    run = Run(folder, BINANCE)
    with run.running():
        run.order("gap@every=0.05,record=trade")
        wait_for(lambda: struck(run) >= 10, "ten of them")
        run.calm()
    lines = run.published("trade")
    missing, flagged = 0, 0
    for symbol in BINANCE["symbols"]:
        own = [line for line in lines if line["symbol"] == symbol]
        for before, after in itertools.pairwise(own):
            hole = after["trade_id"] - before["trade_id"] - 1
            missing += hole
            flagged += "GAP" in after["flags"]
            assert ("GAP" in after["flags"]) == (hole > 0)
    assert run.stats()["gaps"] == missing == struck(run)
    assert 0 < flagged <= missing


@pytest.mark.alone
@pytest.mark.parametrize("name", ["id-reset", "id-wrap"])
def test_ids_that_begin_anew(name: str, folder: Path) -> None:
    """Two connections whose ids begin anew: within seconds every stream goes on, its first record with RESET, and nothing comes twice."""
    run = Run(folder, {**BINANCE, **TWO})

    def own(record: str, symbol: str) -> list[dict[str, Any]]:
        return [line for line in run.published(record) if line["symbol"] == symbol]

    def falls(lines: list[dict[str, Any]], id_name: str) -> list[int]:
        return [i for i in range(1, len(lines)) if lines[i][id_name] < lines[i - 1][id_name] and "LATE" not in lines[i]["flags"]]

    def goes_on(record: str, symbol: str) -> bool:
        lines = own(record, symbol)
        return any(len(lines) > fall + 10 for fall in falls(lines, IDS[record]))

    with run.running():
        run.order(f"{name}@at=0")
        wait_for(lambda: struck(run) >= 1, "the beginning")
        wait_for(lambda: all(goes_on(record, symbol) for record in IDS for symbol in BINANCE["symbols"]), "every stream to go on")
        assert run.live(), "no stream is silenced"
    for record, id_name in IDS.items():
        for symbol in BINANCE["symbols"]:
            lines = own(record, symbol)
            assert len(falls(lines, id_name)) == 1
            (fall,) = falls(lines, id_name)
            assert "RESET" in lines[fall]["flags"], lines[fall]
            gap_ns = int(lines[fall]["recv_ns"]) - int(lines[fall - 1]["recv_ns"])
            # The rule's second begins anew while the other connection brings ids from before still.
            assert gap_ns < 3e9, f"{record} {symbol}: {gap_ns / 1e9} s of silence"
            ids = [line[id_name] for line in lines[fall:]]
            assert len(ids) == len(set(ids)) > 10


def test_an_id_of_0_silences_nobody(folder: Path) -> None:
    run = Run(folder, {**BINANCE, **TWO})
    with run.running():
        run.order("id-zero@conn=0,every=0.2")
        wait_for(lambda: struck(run) >= 5, "five of them")
        run.calm()
        heads = {record: len(run.published(record)) for record in IDS}
        wait_for(lambda: all(len(run.published(record)) > heads[record] + 50 for record in IDS), "fifty more of each")
        assert run.live()


@pytest.mark.parametrize("name", ["unknown-symbol", "foreign-symbol"])
def test_a_symbol_that_nobody_asked_for(name: str, folder: Path) -> None:
    run = Run(folder, BINANCE)
    with run.running():
        before = run.stats()
        run.order(f"{name}@every=0.05")
        wait_for(lambda: struck(run) >= 10, "ten of them")
        run.calm()
    after = run.stats()
    records, refusals = by_reference(run)
    assert refusals == []
    strange = sum(one.symbol not in BINANCE["symbols"] for one in records)
    assert strange == struck(run)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert strange in {count for name, count in grown.items() if "symbol" in name or "unknown" in name}, grown
    for record in IDS:
        with k4.open(run.segments()[record]) as reader:
            assert [symbol.symbol for symbol in reader.symbols] == BINANCE["symbols"]
        assert {line["symbol"] for line in run.published(record)} == set(BINANCE["symbols"])


@pytest.mark.parametrize("name", ["extra-key", "crossed-quote"])
def test_data_goes_on(name: str, folder: Path) -> None:
    """What the spec allows is published as it comes."""
    run = Run(folder, BINANCE)
    with run.running():
        run.order(f"{name}@every=0.05")
        wait_for(lambda: struck(run) >= 10, "ten of them")
        run.calm()
    records, refusals = by_reference(run)
    assert refusals == []
    stats = run.stats()
    assert stats["refused"] == 0
    assert stats["tolerant"] == (struck(run) if name == "extra-key" else 0)
    crossed = 0
    for record, id_name in IDS.items():
        lines = run.published(record)
        assert [(line["symbol"], line[id_name]) for line in lines] == [
            (one.symbol, one.values[id_name]) for one in records if one.record == record
        ]
        crossed += sum(float(line["bid_price"]) > float(line["ask_price"]) for line in lines if record == "bbo")
    assert crossed == (struck(run) if name == "crossed-quote" else 0)


@pytest.mark.parametrize(("name", "reason"), [("checksum", "checksum"), ("chain-break", "gap")])
def test_a_book_that_breaks_is_asked_for_anew(name: str, reason: str, folder: Path, cases: Path) -> None:
    """One of two connections: its book is stale with that reason and comes back; the sibling's goes on, and so do quotes and trades."""
    run = Run(folder, {**DEPOT, **TWO}, [cases])
    with run.running():
        run.order(f"{name}@conn=0,symbol=FOO-BAR,times=1")
        wait_for(lambda: bool(run.events("book stale")), "a stale book")
        heads = {record: len(run.published(record)) for record in DEPOT["records"]}
        wait_for(lambda: bool(run.events("book live")), "the book to come back")
        wait_for(lambda: all(len(run.published(record)) > heads[record] for record in DEPOT["records"]), "more of each")
        assert run.live(), "the sibling has a good book all the time"
    (stale,) = run.events("book stale")
    assert (stale["symbol"], stale["reason"]) == ("FOO-BAR", reason)
    assert not run.events("link lost")
    assert run.stats()["refused"] == 0


@pytest.mark.parametrize("name", ["reject-subscribe", "half-accept", "silent-stream", "no-ack"])
def test_requests_that_are_not_granted(name: str, folder: Path, cases: Path) -> None:
    """They are named in the log by symbol, and their streams are STALE; what was granted is LIVE."""
    run = Run(folder, {**DEPOT, "records": ["bbo", "trade"]}, [cases])
    run.simulator.saboteur.add(parse(name))
    run.live = lambda: True  # type: ignore[method-assign]  # it is not going to be

    def states(state: str) -> int:
        count = 0
        for record in ("bbo", "trade"):
            with k4.open(run.segments()[record]) as reader:
                count += sum(symbol.state == state for symbol in reader.symbols)
        return count

    with run.running():
        event = {"reject-subscribe": "the venue reports an error", "no-ack": "subscription not answered"}.get(name)
        if event is not None:
            wait_for(lambda: bool(run.events(event)), lambda: f"the log's line: {run.lines}")
            assert "FOO-BAR" in str(run.events(event))
        elif name == "half-accept":
            wait_for(lambda: states("LIVE") == 2, "what was granted")
        time.sleep(1.0)
        live, stale = states("LIVE"), states("STALE")
    assert (live, stale) == ((2, 2) if name == "half-accept" else (0, 4))


@pytest.mark.parametrize("name", ["rest-429", "rest-418", "rest-500", "rest-slow", "rest-garbage", "rest-cut"])
def test_books_when_fetching_fails(name: str, folder: Path, cases: Path) -> None:
    """The snapshot cannot be had: told, asked for again, the book stale meanwhile; quotes and trades go on. Then it comes."""
    run = Run(folder, RELAY, [cases])
    run.simulator.saboteur.add(parse(f"{name}@times=1,path=/v1/depth*"))
    live, run.live = run.live, lambda: True  # type: ignore[method-assign]
    with run.running():
        wait_for(lambda: struck(run) == 1, "the first snapshot to be asked for")
        with k4.open("relay_perp_depth20") as depth, k4.open("relay_perp_bbo") as bbo:
            wait_for(lambda: bbo.info.head > 20, "quotes")
            if name != "rest-slow":
                wait_for(
                    lambda: bool(run.events("a book's snapshot could not be fetched") + run.events("a book's snapshot does not help")),
                    "the log's line",
                )
            assert depth.info.head == 0
            assert {symbol.state for symbol in depth.symbols} <= {"RESYNC", "STALE"}
            wait_for(lambda: depth.info.head > 5, lambda: f"the book: {run.lines}")
        wait_for(live, "all to be live")
    assert run.stats()["refused"] == (1 if name == "rest-garbage" else 0)
    assert not run.events("link lost")


# --------------------------------------------------------------------------- by the spec alone

RECORDS = fbs.load(ROOT / "schema/records.fbs")
SPECS = sorted([*(ROOT / "schema/exchange").glob("*.toml"), *CASES])


def products() -> list[tuple[Path, str]]:
    return [(file, product.name) for file in SPECS for product in exchange.load(file, RECORDS).products]


@pytest.mark.parametrize(("file", "product"), products(), ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_every_venues_messages_can_be_tampered_with(file: Path, product: str) -> None:
    """Whatever a product says: what is to be refused is, with the table's code; what changes ids changes them; nothing else is touched."""
    found = exchange.load(file, RECORDS)
    named = found.product(product)
    assert named is not None
    desk = Desk(found, named, symbols_of(found, product)[:2], seed=3)
    reader = Interpreter(RECORDS, desk.venue.messages)
    frames = [
        (stream, said)
        for step in range(300)
        for stream, texts in desk.live(1_700_000_000_000_000_000 + step * 1_000_000, lambda _: True)
        for said in texts
        if isinstance(said, str)
    ]
    own = [[one for one in frames if one[0].message == message] for message in {stream.message for stream, _ in frames}]
    some = [one for many in own for one in many[:4]]
    assert some
    for fault in DATA:
        assert isinstance(fault.inject, Message)
        changed = 0
        for stream, said in some:
            told = Told(said, desk.venue.messages[stream.message], stream.symbol, fault.options, random.Random(1), {}, {})
            out = fault.inject.alter(told)
            if out is None or fault.name in ("gap", "stuck-stream", "duplicate", "reorder", "late"):
                continue
            ((_, text),) = out
            assert isinstance(text, str)
            assert text != said or fault.name.startswith("id-"), fault.name
            changed += 1
            outcome = reader.decode(text.encode())
            items = outcome.items
            if fault.code:
                refusals = [item for item in items if isinstance(item, Refusal)]
                if fault.name == "long-symbol" and outcome.skip is not None:
                    continue  # what kind of instrument it is stands in the name, too
                assert refusals, (fault.name, text)
                assert {item.code for item in refusals} == {fault.code}, (fault.name, text, refusals)
            elif fault.name == "extra-key":
                before = [item.values for item in reader.decode(said.encode()).items if isinstance(item, Record)]
                assert [item.values for item in items if isinstance(item, Record)] == before
        if fault.code or fault.name in ("extra-key", "unknown-symbol", "foreign-symbol"):
            assert changed > 0 or "symbol" in fault.name, fault.name
