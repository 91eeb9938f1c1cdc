"""Receiving over loopback ws and wss beside picows, aiohttp and websockets: processor time in bulk, latency paced and in bursts.

Every client runs in a process of its own against bench/serve.py, which has rendered all it sends beforehand; on uvloop. K4's way ends
with the record in ring and latest table, a peer's with orjson's dictionary and four floats; `bare` is K4's way without C: bytes that
nobody looks into. May import what stands in bench.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.tools import ROOT, BenchError, Figure, command, spread

PEERS = ("picows", "aiohttp", "websockets")
BUSY = "k4 busy_poll"
BUSY_GOAL_US, BUSY_FACTOR = 10.0, 4.0  # paced p50, and how many times that picows takes
FACTOR = {False: 20.0, True: 3.0}  # how many times picows' processor time in bulk


def main(arguments: Sequence[str]) -> int:
    """Runs and prints."""
    realtime = "latency with real-time priority, by `chrt -f`: for a shared machine, whose other programs then wait; takes root"
    return command("receive", __doc__, arguments, measure, switches={"realtime": realtime}, rounds=3, count=200000)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Bulk, paced and bursts, without and with TLS."""
    clients = ["bare", "k4"]
    for peer in PEERS:
        if importlib.util.find_spec(peer) is None:
            print(f"not measured: {peer}, it is not installed (pip install k4[bench])")
        else:
            clients.append(peer)
    out: list[Figure] = []
    for secure in (False, True):
        scheme = "wss" if secure else "ws"
        bulk: dict[str, list[float]] = {client: [] for client in clients}
        for _ in range(options.rounds):
            for client in clients:
                count = options.count * (5 if client in {"bare", "k4"} and not secure else 1)
                bulk[client].append(float(one(client, "bulk", count, secure)["ns"]) / 1000)  # type: ignore[arg-type]
        out += [spread(f"{scheme} bulk, {client}", "µs CPU", bulk[client]) for client in clients]
        if "picows" in clients:
            ratio = statistics.median(bulk["picows"]) / statistics.median(bulk["k4"])
            out.append(Figure(f"{scheme} bulk, picows : k4", "times", ratio, goal=FACTOR[secure], less=False))
        for mode, count in (("paced", 20000), ("burst", 12000)):
            latency = {client: _latency(scheme, mode, client, count, options) for client in [*clients, BUSY]}
            if mode == "paced":
                latency[BUSY] = replace(latency[BUSY], goal=BUSY_GOAL_US)
            out += latency.values()
            if "picows" in clients and mode == "paced":
                p50 = {client: figure.value for client, figure in latency.items()}
                out.append(Figure(f"{scheme} paced p50, k4 : picows", "times", p50["k4"] / p50["picows"], goal=1.0))
                out.append(Figure(f"{scheme} paced p50, picows : {BUSY}", "times", p50["picows"] / p50[BUSY], goal=BUSY_FACTOR, less=False))
            if "picows" in clients and mode == "burst":
                ratio = (latency["picows"].p99 or 0) / (latency["k4"].p99 or 1)
                out.append(Figure(f"{scheme} burst p99, picows : k4", "times", ratio, goal=2.5, less=False))
    return out


def _latency(scheme: str, mode: str, client: str, count: int, options: argparse.Namespace) -> Figure:
    """Of several runs the one with the lowest median: on a shared machine the others show its other programs."""
    runs = []
    for _ in range(options.rounds):
        samples = [float(ns) / 1000 for ns in one(client, mode, count, scheme == "wss", options.realtime)["samples"]]  # type: ignore[attr-defined]
        runs.append(spread(f"{scheme} {mode}, {client}", "µs", samples[len(samples) // 10 :]))
    return min(runs, key=lambda figure: figure.value)


def one(client: str, mode: str, count: int, secure: bool, realtime: bool = False) -> dict[str, object]:
    """A server and a client, each in its own process. Raises BenchError."""
    tls = ["tls"] * secure
    first = ["chrt", "-f", "10"] * realtime
    program: list[str | Path] = [*first, sys.executable]
    with subprocess.Popen([*program, ROOT / "bench/serve.py", mode, str(count), *tls], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            words = [*program, ROOT / "bench/clients.py", client, mode, str(count), port, *tls]
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{client} {mode}: nothing after {error.timeout:.0f} s") from error
        finally:
            server.kill()
    if done.returncode != 0:
        raise BenchError(f"{client} {mode}: {done.stderr.strip()[-1500:]}")
    result: dict[str, object] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
