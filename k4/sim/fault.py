"""What a row of the table of faults is. Imports `line`, `net`, `tamper`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from k4.sim.line import Below, Script
from k4.sim.net import Peer
from k4.sim.tamper import Alter


@dataclass(frozen=True, slots=True)
class Door:
    """Instead of TLS: the script has the TCP connection, which ends with it."""

    script: Below


@dataclass(frozen=True, slots=True)
class Greeting:
    """Instead of the answer to the request for a WebSocket: the script has the connection, which ends with it."""

    script: Script


@dataclass(frozen=True, slots=True)
class Link:
    """On an open link, beside what the venue goes on saying. `before`: what is done with it before its handshake is answered.

    `ends`: the connection ends with the script.
    """

    script: Script
    before: Callable[[Peer], None] | None = None
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """On a message that is to be told. `lasting`: once begun, on all that follow and for all connections."""

    alter: Alter
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """On a request to subscribe: `reject`, `half` (every second stream stays silent), `silent`, `mute` (no answer)."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Reply:
    """To what is fetched. `garbage`: a page instead of the body; `cut`: half of it."""

    status: int
    garbage: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Not by the simulator: `test` is where it is shown."""

    test: str


Inject = Door | Greeting | Link | Message | Request | Reply | Elsewhere


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    `how`, `expect`: what is injected and what has to come of it, in words. `reason`: the end of the log's reason why the link was lost,
    a regular expression; "": the link lives on. `close`: the close code that the peer sees; None: none is sent. `counted`: the counter
    that goes up by one. `published`: good records that the fault itself brings. `code`: by which a message is refused. `options`: its own, with what they are where not given.
    """

    name: str
    how: str
    expect: str
    inject: Inject
    reason: str = ""
    close: int | None = None
    counted: str = ""
    published: int = 0
    code: str = ""
    options: Mapping[str, float | str] = field(default_factory=dict)
