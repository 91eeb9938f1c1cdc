"""Every network fault of `tests.faults`, over the real connection: what the peer sees, what is counted and logged, what it costs.

Memory is the growth of the client's resident peak over what it had on a good link. K4_FAULT_FIGURES=FILE appends a line per fault.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from k4.native import Native
from tests.fault_server import Script, Server, Wire, serve
from tests.faults import FAULTS, STORM, Fault, markdown, record
from tests.venue_server import Authority, authority

ROOT = Path(__file__).resolve().parent.parent
# The claim is STALL_MS of the table on a quiet machine; a test on a busy one only catches what is far beyond it.
SLACK = 4
GOOD = 60_000


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
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def client(native: Native) -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def run(client: Client, tls: Authority, fault: Fault) -> tuple[dict[str, Any], Wire, Server]:
    """One good link, the faulty one, a good one again."""
    go = threading.Event()

    def warm_up(wire: Wire) -> None:
        wire.accept(record(1))
        go.wait(15)

    def good(wire: Wire) -> None:
        wire.accept(record(GOOD))
        wire.listen(10)

    def script(number: int) -> Script:
        assert fault.inject is not None
        return warm_up if number == 0 else fault.inject if number == 1 else good

    with serve(tls.server(), script) as server:
        client.order({"port": server.port, "ca": str(tls.ca_file), "wins": 2 + fault.published, "settings": fault.settings})
        try:
            assert client.answer() == {"ready": True}
        finally:
            go.set()
        answer = client.answer()
    return answer, server.wires[1], server


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_fault(fault: Fault, client: Client, tls: Authority) -> None:
    answer, wire, server = run(client, tls, fault)
    keep_figures(fault, answer)
    if any(isinstance(error, PermissionError) for error in server.errors):
        pytest.skip("not run: TCP_REPAIR needs CAP_NET_ADMIN")
    assert server.errors == []
    # The first is the good link that the server ended.
    reasons = [reason.partition(": ")[2] if reason.startswith("127.0.0.1:") else reason for reason in answer["reasons"][1:]]
    if fault.reason:
        assert len(reasons) == 1, answer["warnings"]
        assert re.fullmatch(fault.reason, reasons[0]), reasons
    else:
        assert reasons == []
    assert answer["timely"], answer
    assert answer["wins"] == 2 + fault.published, "every good record is published, and nothing else"
    assert len(server.wires) == (3 if fault.reason else 2), "dialled as often as it had to be"
    closes = wire.close_codes()
    assert closes == ([] if fault.close is None else [fault.close]) or (not fault.reason and closes == [1000])
    failures = {name: count for name, count in answer["counted"].items() if name.startswith("failed_") and count}
    assert failures == ({fault.counted: 1} if fault.counted else {})
    # Beyond what one read may hand to Python the core counts and drops; only a link that is given up for it comes to that.
    assert answer["counted"]["events_lost"] == 0 or fault.close == 1008
    if fault.check is not None:
        fault.check(wire)
    assert answer["grown_kb"] <= fault.memory_mb * 1024, f"memory grew by {answer['grown_kb']} KiB"
    assert answer["stall_busy_ms"] <= SLACK * fault.stall_ms, f"the loop was held for {answer['stall_busy_ms']:.1f} ms"


def keep_figures(fault: Fault, answer: dict[str, Any]) -> None:
    if "K4_FAULT_FIGURES" in os.environ:
        line = {"fault": fault.name, **{name: answer[name] for name in ("grown_kb", "stall_busy_ms", "stall_wall_ms")}}
        with Path(os.environ["K4_FAULT_FIGURES"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def test_the_documented_table_is_this_one() -> None:
    """docs/faults.md holds what `python -m tests.faults` prints."""
    assert markdown() in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert STORM.inject is None
