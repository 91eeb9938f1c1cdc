"""The table of faults: everything that can go wrong with a feed, by name, how it is injected and what has to come of it.

It stands once. `k4 sim --fault` injects its rows, the tests walk over them, docs/faults.md is compared with it (`python -m k4.sim.faults`
prints what stands there). Imports `fault`, `faultdata`, `faultframes`, `faulthandshake`, `faultlink`.
"""

from __future__ import annotations

import sys

from k4.sim.fault import Elsewhere, Fault
from k4.sim.faultdata import DATA, REQUESTS, REST, SBE
from k4.sim.faultframes import FRAMES
from k4.sim.faulthandshake import HANDSHAKE
from k4.sim.faultlink import LINKS

AROUND = (
    Fault("reconnect-storm", "a virtual clock; every dial is accepted, gives one record, and is closed (or refused): one connection, and forty of one host, for an hour",
          "full jitter up to 30 s; never more than 70 % of the venue's dials in any window; backoff starts over only after 60 s of good data",
          Elsewhere("tests/test_storm.py::test_one_connection_is_patient_and_never_in_step")),
    Fault("blackhole", "the network loses a connection's packets from one moment on, both ways and without a word", "probed after 0.5 s, dropped 1 s later, redialled; a redundant sibling loses nothing",
          Elsewhere("tests/test_redundancy.py::test_one_of_two_in_trouble")),
    Fault("dns", "names cannot be resolved", "the dial fails with this reason; the loop is not held meanwhile", Elsewhere("tests/test_link.py::test_a_name_that_cannot_be_resolved")),
    Fault("clock-jump", "the wall clock steps", "deadlines are of the monotonic clock and stay; the step is told", Elsewhere("tests/test_run_parts.py::test_a_real_step_is_seen_at_once_and_once")),
)  # fmt: skip

GROUPS: tuple[tuple[str, tuple[Fault, ...]], ...] = (
    ("Handshake", HANDSHAKE),
    ("Framing", FRAMES),
    ("Link", LINKS),
    ("Data", DATA),
    ("Data in SBE", SBE),
    ("Requests", REQUESTS),
    ("Fetching", REST),
    ("Around it", AROUND),
)
FAULTS: dict[str, Fault] = {fault.name: fault for _, faults in GROUPS for fault in faults}


def listing() -> str:
    """What `k4 sim --faults` shows."""
    lines: list[str] = []
    for group, faults in GROUPS:
        lines.append(f"{group}:")
        for fault in faults:
            options = " ".join(f"{name}={value}" for name, value in fault.options.items())
            where = f" (not by k4 sim: {fault.inject.test})" if isinstance(fault.inject, Elsewhere) else ""
            lines.append(f"  {fault.name:24} {fault.how}{f' [{options}]' if options else ''}{where}")
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The tables of docs/faults.md."""
    out: list[str] = []
    for group, faults in GROUPS:
        out += [f"### {group}", "", "| fault | injected | expected | code |", "|---|---|---|---|"]
        out += [f"| `{fault.name}` | {_injected(fault)} | {fault.expect} | {fault.close or fault.code or 'none'} |" for fault in faults]
        out.append("")
    return "\n".join(out)


def _injected(fault: Fault) -> str:
    options = ", ".join(f"`{name}={value}`" for name, value in fault.options.items())
    shown = f" (shown by `{fault.inject.test}`)" if isinstance(fault.inject, Elsewhere) else ""
    return f"{fault.how}{f' ({options})' if options else ''}{shown}"


if __name__ == "__main__":
    sys.stdout.write(markdown())
