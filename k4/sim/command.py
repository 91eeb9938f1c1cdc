"""`k4 sim`: serves what a config names on loopback, or replays a recording.

Imports `k4.config`, `k4.errors`, `k4.native` (for the built specs, not their parsers), `k4.secrets`, `desk`, `fault`, `names`, `order`,
`replay`,
`server`, `tls`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from k4 import native, secrets
from k4.config import Config, load_reported
from k4.errors import K4Error, UsageError
from k4.sim import order
from k4.sim.desk import Desk
from k4.sim.fault import Message
from k4.sim.names import BASES, Names
from k4.sim.replay import recordings
from k4.sim.server import Simulator
from k4.sim.tls import ca_file

RATE = 50.0  # market updates per second


def run(
    config: Path,
    *,
    listen: str,
    replay: Sequence[str],
    speed: str | None,
    delay: Sequence[float],
    rate: float | None,
    seed: int,
    seconds: float | None,
    spec: Sequence[Path],
    load: bool = False,
    fault: Sequence[str] = (),
    fault_file: Path | None = None,
    instruments: int = len(BASES),
) -> int:
    """Runs a simulator for every product `config` names, until a signal or for `seconds`. Returns the exit code.

    `rate`: market updates per second and product, `RATE` if None; with `load`, messages per second and product, without limit if None.
    `delay`: milliseconds, given to connections in turn. `speed` of the replay: a factor, or `max`; 1 if None. `instruments`: how many a
    pattern of the config stands for.
    Raises K4Error (address in use, recording not readable) and UsageError (an option's value).
    """
    host, port = parse_listen(listen)
    if rate is not None and rate <= 0:
        raise UsageError(f"--rate {rate}: must be above 0")
    if load and replay:
        raise UsageError("--load and --replay cannot be given together: a load is rendered, a recording is served as it is")
    if replay and rate is not None:
        raise UsageError("--rate and --replay cannot be given together: a recording has a pace of its own; see --speed")
    if speed is not None and not replay:
        raise UsageError(f"--speed {speed}: there is no --replay to be faster or slower; see --rate")
    if any(ms < 0 for ms in delay):
        raise UsageError(f"--delay {','.join(map(str, delay))}: milliseconds must not be negative")
    ordered = [order.parse(text) for text in fault] + ([] if fault_file is None else order.load(fault_file))
    tampering = next((one.fault.name for one in ordered if isinstance(one.fault.inject, Message)), None)
    if load and tampering is not None:
        raise UsageError(f"--fault {tampering} changes messages, those of --load are rendered before; leave one of them out")
    built = native.load(spec or None)
    served = desks(load_reported(config, built.exchanges), built, seed, instruments)
    order.check_products(ordered, [desk.name.replace(" ", ".") for desk in served])
    frames = recordings(replay, served, speed or "1")
    delays_s = [ms / 1000 for ms in delay]
    paced = (rate or 0.0) if load else None
    simulator = Simulator(served, delays_s=delays_s, rate=rate or RATE, replay=frames, load=paced, faults=ordered, seed=seed)
    uvloop.run(_serve(simulator, host, port, seconds, load=load))
    return 0


async def _serve(simulator: Simulator, host: str, port: int, seconds: float | None, *, load: bool) -> None:
    try:
        bound = await simulator.start(host, port)
    except OSError as error:
        raise K4Error(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --listen HOST:PORT") from error
    products = ", ".join(f"{desk.name} ({len(desk.symbols)} symbols)" for desk in simulator.desks)
    sys.stdout.write(f"k4 sim: listening on {host}:{bound}: {products}; clients trust {ca_file()}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    report = loop.create_task(_report(simulator)) if load else None
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    if report is not None:
        report.cancel()
    await simulator.close()


async def _report(simulator: Simulator) -> None:
    """Says each second how much the load was, while there is any."""
    counts = simulator.counts
    at, frames, size = time.monotonic(), counts.frames, counts.bytes
    while True:
        await asyncio.sleep(1.0)
        now = time.monotonic()
        rate, volume = (counts.frames - frames) / (now - at), (counts.bytes - size) / (now - at)
        at, frames, size = now, counts.frames, counts.bytes
        if rate:
            sys.stdout.write(f"k4 sim: {rate:,.0f} messages/s, {volume / 1e6:,.1f} MB/s to {len(simulator.clients)} client(s)\n")
            sys.stdout.flush()


def desks(config: Config, built: native.Native, seed: int, instruments: int = len(BASES)) -> list[Desk]:
    """One desk per (exchange, product) of the config, with every symbol any of its entries names, in their order; a pattern names
    `instruments` of them."""
    symbols: dict[tuple[str, str], dict[str, None]] = {}
    keys: dict[tuple[str, str], dict[str, str]] = {}
    for entry in config.connections:
        symbols.setdefault((entry.exchange, entry.product), {}).update(dict.fromkeys(entry.symbols))
        for name, secret in entry.secrets.items():
            with contextlib.suppress(K4Error):  # not set for this process: whatever a client shows will do
                keys.setdefault((entry.exchange, entry.product), {})[name] = secrets.read(name, env=secret.env, file=secret.file).reveal()
    out = []
    for (exchange_name, product_name), names in symbols.items():
        exchange = built.exchanges[exchange_name]
        product = exchange.product(product_name)
        if product is None:
            raise K4Error(f'exchange "{exchange_name}" has no product "{product_name}"')
        listing = next((m for m in exchange.messages if m.record == "instrument" and product_name in m.products), None)
        listed = Names(listing, product_name).listed
        native_names = tuple(dict.fromkeys(symbol for name in names for symbol in listed(name, instruments)))
        out.append(Desk(exchange, product, native_names, seed, keys.get((exchange_name, product_name))))
    return out


def parse_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[::1]:PORT`; port 0 takes any free one."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or not host:
        raise UsageError(f'--listen "{text}": write HOST:PORT with a port of 0 to 65535, say 127.0.0.1:9443')
    return host.strip("[]"), int(port)
