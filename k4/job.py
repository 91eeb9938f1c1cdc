"""What the processes of a run are told: a worker the entries of its group, checked and complete; the fetcher where to listen.

Plain data that travels as one line of JSON, so that a worker loads neither the configuration's models nor what checks them. The fields
are those of `k4.config`, which a test compares. Imports nothing of the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# A worker's exit code: it cannot run, and would not be able to next time either.
REFUSED = 3


@dataclass(frozen=True, slots=True)
class Redundancy:
    connections: int
    transports: tuple[str, ...]
    reset_slowest: int | None


@dataclass(frozen=True, slots=True)
class Endpoints:
    ws: str | None
    sbe: str | None
    rest: str | None


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a value stands; the value itself goes nowhere."""

    env: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class Tls:
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `connections`; paths are absolute."""

    name: str
    exchange: str
    product: str
    symbols: tuple[str, ...]
    records: tuple[str, ...]
    shm: Mapping[str, str]
    ring_slots: int
    symbol_capacity: int
    redundancy: Redundancy
    cpu: int | None
    busy_poll: bool
    endpoints: Endpoints
    tls: Tls
    secrets: Mapping[str, Secret]

    @staticmethod
    def of(values: Mapping[str, Any]) -> Entry:
        """From JSON values."""
        redundancy = values["redundancy"]
        parts = {
            "symbols": tuple(values["symbols"]),
            "records": tuple(values["records"]),
            "redundancy": Redundancy(**{**redundancy, "transports": tuple(redundancy["transports"])}),
            "endpoints": Endpoints(**values["endpoints"]),
            "tls": Tls(**values["tls"]),
            "secrets": {name: Secret(**secret) for name, secret in values["secrets"].items()},
        }
        return Entry(**{**values, **parts})

    def segments(self) -> dict[str, str]:
        """Record word → segment name, for every record of this entry."""
        return {record: self.shm.get(record, f"{self.exchange}_{self.product}_{record}") for record in self.records}


@dataclass(frozen=True, slots=True)
class Job:
    """One group for one worker. `sim`: HOST:PORT of a simulator that stands for every endpoint, `sim_ca` its CA file. `fetch`: where
    `k4.fetcher` listens. `build`: folder of the extension that was found to match; None: the worker looks for it.
    `units`: entry → symbol → what its quantities count, as qty_unit and contract_size, of those that are known."""

    group: str
    connections: tuple[Entry, ...]
    level: str
    log_dir: str | None
    retain_days: int
    sim: str | None = None
    sim_ca: str | None = None
    spec: tuple[str, ...] = ()
    fetch: str | None = None
    build: str | None = None
    units: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    @property
    def segments(self) -> dict[str, str]:
        """Record word → segment name; all entries of a group name the same."""
        return self.connections[0].segments()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Job:
        values = json.loads(text)
        connections = tuple(Entry.of(entry) for entry in values["connections"])
        return Job(**{**values, "connections": connections, "spec": tuple(values["spec"])})


@dataclass(frozen=True, slots=True)
class FetcherJob:
    """What the fetcher is told. `fd`: a listening socket that it inherits. `group`: how logs call it, as no group can be called."""

    fd: int
    level: str
    log_dir: str | None
    retain_days: int
    group: str = "(fetcher)"

    def to_json(self) -> str:
        return json.dumps(asdict(self))
