"""What a publish costs, how long a record takes to another process, and what reading costs in Python.

Beside it, in the same run: two plain copies of as many bytes, a bare cache line thrown to and fro, and pyzmq over ipc. May import
`k4`, `k4._codegen` and what stands in bench.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by its path: what it imports stands beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.tools import Figure, command, compile_driver, generated, run, spread

RECORDS = {"bbo": 1, "trade": 2, "depth5": 4, "depth20": 5}
SHAPES = (("bbo", 0, 4096), ("bbo", 0, 65536), ("bbo", 1, 4096), ("trade", 0, 4096), ("depth5", 0, 4096), ("depth20", 0, 4096))
WRITTEN = 60000  # records of the Python readers' ring; fewer than its slots


def main(arguments: Sequence[str]) -> int:
    """Runs and prints."""
    return command("ring", __doc__, arguments, measure, rounds=400)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Publish for each size of record, hop, and Python's readers."""
    out: list[Figure] = []
    with generated("binance") as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as segments:
        driver = compile_driver(folder, "ring", ("-O2",))
        for word, readers, slots in SHAPES:
            shape = [str(number) for number in (RECORDS[word], readers, options.rounds, slots)]
            found = _lines(run([driver, "publish", *shape], K4_SHM_DIR=segments))
            copies = statistics.median(found["copies"])
            goal = 12.0 if word in {"bbo", "trade"} else 3 * copies
            out.append(spread(f"publish {word}, {readers} readers, {slots} slots", "ns", found["publish"], goal))
            out.append(spread(f"  two copies of a {word}, {slots} slots", "ns", found["copies"]))
            for file in Path(segments).iterdir():
                file.unlink()
        if (os.cpu_count() or 1) < 2:
            print("not measured: hop, it takes two cores")
        else:
            found = _lines(run([driver, "hop", str(max(1, options.rounds // 8))], K4_SHM_DIR=segments))
            out.append(spread("hop by ring, one way", "ns", found["record"], 2 * statistics.median(found["line"])))
            out.append(spread("  hop of a bare cache line", "ns", found["line"]))
    out += _zmq(2000)
    return out + _python(options.rounds // 40 or 1)


def _lines(text: str) -> dict[str, list[float]]:
    return {line.split()[0]: [float(value) for value in line.split()[1:]] for line in text.splitlines()}


# --------------------------------------------------------------------------- Python's readers


def _python(rounds: int) -> list[Figure]:
    """One record at a time, and as arrays of 256."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as segments:
        os.environ["K4_SHM_DIR"] = segments
        import k4
        from k4 import native

        built = native.load()
        writer = _write(built, WRITTEN)
        with k4.open("bench", oldest=True) as reader:
            single, drained = [], []
            for _ in range(rounds):
                reader.seek(oldest=True)
                begun = time.process_time_ns()
                for _ in range(WRITTEN):
                    reader.read()
                single.append((time.process_time_ns() - begun) / WRITTEN)
                reader.seek(oldest=True)
                begun = time.process_time_ns()
                taken = 0
                while taken < WRITTEN:
                    taken += len(reader.drain(256))  # type: ignore[arg-type]
                drained.append((time.process_time_ns() - begun) / WRITTEN)
        built.lib.k4_feed_close(writer)
    return [spread("Python, one by one", "ns", single), spread("Python, numpy drain of 256", "ns", drained, 40.0)]


def _write(built: Any, count: int) -> Any:
    """A segment with `count` records, by the road that records take."""
    ffi, lib = built.ffi, built.lib
    error = ffi.new("char[512]")
    product = lib.k4_product_find(b"binance", b"spot")
    feed = lib.k4_feed_open()
    options = {"ring_slots": 65536, "symbol_capacity": 16, "window_ids": 4096, "mode": 0o600, "lock_memory": 0}
    lib.k4_feed_segment(feed, 1, b"bench", ffi.new("k4_segment_options *", options), error, 512)
    lib.k4_feed_instrument(feed, product, 1, b"FOOBAR", 6, b"", b"")
    conn = lib.k4_conn_open(feed, product, b"a", b"json", b"", 1 << 20, error, 512)
    for n in range(count):
        wire = b'{"stream":"foobar@bookTicker","data":{"u":%d,"s":"FOOBAR","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}}' % (n + 1)
        lib.k4_conn_message(conn, wire, len(wire), 1700000000000000000 + n, n)
    return feed


# --------------------------------------------------------------------------- pyzmq


def _echo(address: str) -> None:
    import zmq  # type: ignore[import-not-found,unused-ignore]

    socket = zmq.Context().socket(zmq.PAIR)
    socket.connect(address)
    while message := socket.recv():
        socket.send(message)


def _zmq(trips: int) -> list[Figure]:
    """The same hop by pyzmq over ipc, 128 bytes."""
    try:
        import zmq
    except ImportError:
        print("not measured: pyzmq, it is not installed (pip install k4[bench])")
        return []
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/socket"
        socket = zmq.Context().socket(zmq.PAIR)
        socket.bind(address)
        child = multiprocessing.get_context("spawn").Process(target=_echo, args=(address,), daemon=True)
        child.start()
        times = []
        for _ in range(trips):
            begun = time.perf_counter_ns()
            socket.send(b"x" * 128)
            socket.recv()
            times.append((time.perf_counter_ns() - begun) / 2)
        socket.send(b"")
        child.join(5)
        socket.close(0)
    return [spread("  hop by pyzmq, ipc", "ns", times[trips // 4 :])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
