"""Nanoseconds per message of every kind of market data of every built-in exchange, JSON and SBE: a row each.

Frames are the specs' own examples with other digits: every number is drawn anew, in as many digits, where the message takes that. All
decoders are compiled in one program with the same flags. May import `k4._codegen`, the peers and what stands in bench.
"""

from __future__ import annotations

import json
import os
import random
import re
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.tools import ROOT, BenchError, Figure, compiler, run, spread
from k4._codegen import bind, exchange, fbs, generate, ir, places
from k4._codegen.reference import Interpreter

COUNT = 512  # frames of each kind
FAST, TOLERANT = 3.0, 0.75  # how many times longer yyjson must take, at least
SBE_NS = {"bestBidAsk": 15.0}  # by the channel's own word
_VALUE = re.compile(r'(?<=[:\[,])"?(-?[0-9]+(?:\.[0-9]+)?)"?(?=[,\]}])')


@dataclass(frozen=True, slots=True)
class Kind:
    """A message of a product. `word`: its channel without the symbol; `name`: exchange, product and that."""

    exchange: ir.Exchange
    product: ir.Product
    index: int
    message: ir.Message
    word: str
    name: str

    @property
    def binary(self) -> bool:
        return self.message.template is not None


def kinds() -> Iterator[Kind]:
    """One of each that is pushed: products that share a message are told once."""
    records = fbs.load(places.schema() / "records.fbs")
    for file in sorted((places.schema() / "exchange").glob("*.toml")):
        spec = exchange.load(file, records)
        met: set[int] = set()
        for product in spec.products:
            for index, message in enumerate(bind.bind(spec, product.name)):
                own = [example for example in message.examples if example.product == product.name]
                if message.channel is None or message.record not in ir.MARKET_RECORDS or message.line in met or not own:
                    continue
                met.add(message.line)
                word = re.sub(r"\$\{?[\w:]+\}?", "", message.channel.source).strip("@.:-")
                yield Kind(spec, product, index, message, word, f"{spec.name} {product.name} {word}{' sbe' if message.template else ''}")


def frames(kind: Kind, count: int, symbols: Sequence[str] = ()) -> list[bytes]:
    """`count` frames, all of which the reference interpreter takes; the same every time. `symbols`: of SBE, which come in turn, and one
    trade a frame."""
    rng = random.Random(kind.name)
    own = [example for example in kind.message.examples if example.product == kind.product.name]
    if kind.message.field("snapshot") is not None and not kind.binary:
        own = [example for example in own if _changes(kind, example)] or own
    return list(_binary(kind, own, rng, count, symbols) if kind.binary else _text(kind, own, rng, count))


def _changes(kind: Kind, example: ir.Example) -> bool:
    """Whether it changes a book: what comes all the time, where a snapshot comes once."""
    records = fbs.load(places.schema() / "records.fbs")
    fresh = Interpreter(records, bind.bind(kind.exchange, kind.product.name))
    return fresh.decode(example.wire.encode()).skip == "stale_book"


def _text(kind: Kind, own: Sequence[ir.Example], rng: random.Random, count: int) -> Iterator[bytes]:
    records = fbs.load(places.schema() / "records.fbs")
    messages = bind.bind(kind.exchange, kind.product.name)

    reference = Interpreter(records, messages)

    def taken(wire: str) -> bool:
        outcome = reference.decode(wire.encode())
        items = {item.message for item in outcome.items}
        good = all(hasattr(item, "record") for item in outcome.items)
        return good and (
            items == {kind.index} or (not items and outcome.skip in ("stale_book", "unchanged") and outcome.skip_message == kind.index)
        )

    examples = [(one.wire, [span for span in _spans(one.wire) if taken(_drawn(one.wire, [span], random.Random(7)))]) for one in own]
    examples = [(wire, spans) for wire, spans in examples if taken(wire)]
    if not examples:
        raise BenchError(f"{kind.name}: no example stands alone")
    made = 0
    for _ in range(100 * count):
        wire = _drawn(*rng.choice(examples), rng)
        if made == count:
            return
        if taken(wire):  # digits that each are good may not be together: a first id above the last, say
            made += 1
            yield wire.encode()


def _spans(wire: str) -> list[tuple[int, int]]:
    return [match.span(1) for match in _VALUE.finditer(wire)]


def _drawn(wire: str, spans: Sequence[tuple[int, int]], rng: random.Random) -> str:
    """The text with other digits at these places: as many, and the first two of long ones stay, so that times keep their century."""
    out, at = [], 0
    for start, end in spans:
        text = wire[start:end]
        kept = 2 if len(text) > 10 and "." not in text else 0
        drawn = "".join(c if i < kept or not c.isdigit() else str(rng.randrange(1, 10)) for i, c in enumerate(text))
        out += [wire[at:start], drawn]
        at = end
    return "".join(out) + wire[at:]


def _binary(kind: Kind, own: Sequence[ir.Example], rng: random.Random, count: int, symbols: Sequence[str]) -> Iterator[bytes]:
    """SBE frames from the simulator's packer: prices, sizes, ids and levels drawn, twenty levels a side, one to four trades."""
    from decimal import Decimal

    from k4.sim.sbe import Packet

    schema = kind.exchange.schema(kind.product)
    assert schema is not None
    packet = Packet(kind.message, schema, kind.message.frame(own[0]))

    def number(digits: int) -> Decimal:
        return Decimal(rng.randrange(1, 10 ** rng.randrange(4, 10))).scaleb(-digits)

    for n in range(count):
        base: dict[str, object] = {
            "update_id": 10**10 + n * 7,
            "first_id": 10**10 + n * 7 - 6,
            "event_ns": 1_768_627_409_826_000_000 + n * 1000,
        }
        drawn = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randrange(2, 6))) + rng.choice(("USDT", "BTC"))
        base["symbol"] = symbols[n % len(symbols)] if symbols else drawn
        base["engine_ns"] = base["event_ns"]
        rows: list[dict[str, object]]
        depth = 20 if kind.message.field("snapshot") is None else rng.randrange(1, 12)
        levels = {
            name: [number(2 if "price" in name else 5) for _ in range(depth)] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")
        }
        if kind.message.record == "trade":
            rows = [
                {**base, "trade_id": 10**9 + 4 * n + i, "price": number(2), "qty": number(5), "buyer_is_maker": rng.random() < 0.5}
                for i in range(1 if symbols else rng.choice((1, 1, 1, 2, 4)))
            ]
        elif kind.message.record == "bbo":
            rows = [{**base, **{name: column[0] for name, column in levels.items()}}]
        else:
            rows = [{**base, **levels}]
        yield packet.say(rows)[0]


# --------------------------------------------------------------------------- measuring


@contextmanager
def generated() -> Iterator[Path]:
    """A folder with the generated C of all built-in exchanges; gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = fbs.load(places.schema() / "records.fbs")
        specs = [exchange.load(file, records) for file in sorted((places.schema() / "exchange").glob("*.toml"))]
        for file, text in generate.generate(records, specs, "bench").items():
            (folder / file).write_text(text)
        yield folder


def compile_driver(folder: Path, build: str, flags: Sequence[str], yyjson: Path | None) -> Path:
    """The driver with every exchange's parsers and, where it is there, yyjson, all with the same flags."""
    own = ROOT / "bench/c"
    words: list[str | Path] = [f"-I{folder}", f"-I{ROOT / 'csrc'}", f"-I{own}"]
    sources = [own / "kinds.c", *sorted(folder.glob("*.c")), *sorted((ROOT / "csrc").glob("*.c"))]
    if yyjson is not None:
        words += ["-DK4_BENCH_YYJSON", f"-I{yyjson}"]
        sources.append(yyjson / "yyjson.c")
    objects = [folder / f"{source.stem}-{build}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = [
            pool.submit(run, [compiler(), "-std=c11", *flags, *words, "-c", one, "-o", out])
            for one, out in zip(sources, objects, strict=True)
        ]
        for one in made:
            one.result()
    driver = folder / f"kinds-{build}"
    run([compiler(), *objects, "-o", driver])
    return driver


def measure(build: str, flags: Sequence[str], yyjson: Path | None, rounds: int, only: str = "") -> list[Figure]:
    """A figure per decoder and kind, then the ratios that the goals are about. Raises BenchError."""
    out: list[Figure] = []
    with generated() as folder:
        driver = compile_driver(folder, build, flags, yyjson)
        for kind in kinds():
            if only in kind.name:
                wires = frames(kind, COUNT)
                file = folder / "frames"
                file.write_bytes(b"".join(struct.pack("<I", len(wire)) + wire for wire in wires))
                out += _kind(driver, file, kind, wires, build, rounds)
    return out


def _kind(driver: Path, file: Path, kind: Kind, wires: list[bytes], build: str, rounds: int) -> Iterator[Figure]:
    mode = "binary" if kind.binary else "text"
    ns: dict[str, float] = {}
    goal = next((ns_ for word, ns_ in SBE_NS.items() if kind.binary and word in kind.name), None)
    try:
        lines = run([driver, kind.exchange.name, kind.product.name, mode, file, str(rounds)]).splitlines()
    except BenchError as error:
        raise BenchError(f"{kind.name}: {error}") from error
    for line in lines:
        decoder, *rest = line.split()
        if decoder == "declined":
            if not kind.binary:
                yield Figure(f"{build}/{kind.name}: declined", "%", float(rest[0]))
            continue
        figure = spread(f"{build}/{kind.name}: {decoder}", "ns", [float(one) for one in rest], goal if decoder == "sbe" else None)
        ns[decoder] = figure.value
        yield figure
    if not kind.binary:
        yield from _python(kind, wires, build, rounds)
    if "yyjson" in ns:
        yield Figure(f"{build}/{kind.name}: yyjson / fast", "times", ns["yyjson"] / ns["fast"], goal=FAST, less=False)
        yield Figure(f"{build}/{kind.name}: yyjson / tolerant", "times", ns["yyjson"] / ns["tolerant"], goal=TOLERANT, less=False)


def _python(kind: Kind, wires: list[bytes], build: str, rounds: int) -> Iterator[Figure]:
    """orjson, which makes the frame a tree, and the standard library's json; no value is taken out of it."""
    loads: dict[str, Callable[[bytes], object]] = {"json, loaded": json.loads}
    try:
        import orjson
    except ImportError:
        pass
    else:
        loads["orjson, loaded"] = orjson.loads
    for name, load in loads.items():
        times = []
        for _ in range(max(3, rounds // 6)):
            start = time.process_time_ns()
            for wire in wires:
                load(wire)
            times.append((time.process_time_ns() - start) / len(wires))
        yield spread(f"{build}/{kind.name}: {name}", "ns", times)


def show(figures: Sequence[Figure]) -> str:
    """A row per kind: nanoseconds, and how many times longer yyjson takes than the fast tier."""
    rows: dict[str, dict[str, float]] = {}
    for figure in figures:
        kind, _, decoder = figure.name.partition(": ")
        rows.setdefault(kind, {})[decoder] = figure.value
    names = ("fast", "declined", "tolerant", "sbe", "yyjson", "orjson, loaded", "json, loaded")
    out = ["ns per message, median of rounds".ljust(56) + "".join(name.rjust(16) for name in names) + "yyjson / fast".rjust(16)]
    for kind, values in rows.items():
        cells = [f"{values[name]:.1f}" if name in values else "-" for name in names]
        ratio = values.get("yyjson / fast")
        out.append(kind.ljust(56) + "".join(cell.rjust(16) for cell in cells) + ("-" if ratio is None else f"{ratio:.2f}").rjust(16))
    return "\n".join(out)
