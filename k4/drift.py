"""How far what a venue sends has drifted from its spec, per message kind: of recorded frames, and of a connection at work.

    tolerant      frames that only the tolerant tier took: it has no fast layout, another order of keys, or one of the reasons below
    unknown_keys  keys that no path of the spec reads
    retyped       needed values of another JSON type than the examples have
    missing       elements refused since a needed key was not there
    refused       elements refused for another reason

A frame counts with the first message that took it; one that none took has no message. Imports, of the generator, `ir`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from ._codegen import ir

COUNTERS = ("tolerant", "unknown_keys", "retyped", "missing", "refused")
_MISSING = 4  # K4_REFUSED_MISSING in csrc/k4_decode.h
_FAST, _TOLERANT = 1, 2  # K4_TIER_*

Counts = dict[str, int]


def title(message: ir.Message | None) -> str:
    """A message by its record and the line of its spec: several may give one record."""
    return "none" if message is None else f"{'+'.join(message.records)}:{message.line}"


def of_connections(lib: Any, ffi: Any, conns: Sequence[Any], messages: Sequence[ir.Message]) -> dict[str, Counts]:
    """The counters of a connection's C sides together, of those messages that have any."""
    found: dict[str, Counts] = {}
    out = ffi.new("k4_conn_drift *")
    for index, message in enumerate([*messages, None]):
        total = dict.fromkeys(COUNTERS, 0)
        for conn in conns:
            lib.k4_conn_drift_get(conn, index, out)
            for name in COUNTERS:
                total[name] += int(getattr(out, name))
        if any(total.values()):
            found[title(message)] = {name: count for name, count in total.items() if count}
    return found


def quick(lib: Any, ffi: Any, product: Any, messages: Sequence[ir.Message], name: str) -> frozenset[str]:
    """The messages of a product that the fast tier has layouts for: it takes their examples. `product`: its `k4_product *`."""
    decoder = ffi.gc(lib.k4_decoder_open(product, b"", _FAST), lib.k4_decoder_close)
    found = set()
    for message in messages:
        wires = [example.wire.encode() for example in message.examples if example.product == name] if message.url is None else []
        if any(lib.k4_decoder_push(decoder, wire, len(wire)) >= 0 for wire in wires):
            found.add(title(message))
    return frozenset(found)


def differing(counts: Mapping[str, Counts], expected: Container[str]) -> dict[str, Counts]:
    """What of a connection's counters says that messages are not as in the spec. `expected`: those that `quick` names: that the tolerant
    tier takes another, and meets keys there that nothing reads, is no sign of anything."""
    return {
        name: count
        for name, count in counts.items()
        if name != "none" and (name in expected or any(count.get(sign) for sign in ("retyped", "missing", "refused")))
    }


class Recorded:
    """Counts the frames that an offline decoder is given, one by one. `decoder`: a `k4_decoder *`."""

    def __init__(self, lib: Any, ffi: Any, decoder: Any, messages: Sequence[ir.Message]) -> None:
        self._lib = lib
        self._decoder = decoder
        self._unknown = ffi.new("uint64_t *")
        self._retyped = ffi.new("uint64_t *")
        self._before = (0, 0)
        self._messages: list[ir.Message | None] = [*messages, None]  # the last: none
        self._counts = [dict.fromkeys(("frames", *COUNTERS), 0) for _ in self._messages]

    def frame(self, items: int, item: Callable[[int], Any]) -> None:
        """The decoder was given a frame that has `items`, each a `k4_decoded`."""
        first = item(0).message if items else self._lib.k4_decoder_skip_message(self._decoder)
        counts = self._counts[first]
        counts["frames"] += 1
        counts["tolerant"] += self._lib.k4_decoder_tier(self._decoder) == _TOLERANT
        self._lib.k4_decoder_drift(self._decoder, self._unknown, self._retyped)
        unknown, retyped = int(self._unknown[0]), int(self._retyped[0])
        counts["unknown_keys"] += unknown - self._before[0]
        counts["retyped"] += retyped - self._before[1]
        self._before = (unknown, retyped)
        for i in range(items):
            one = item(i)
            if one.record == 0:
                self._counts[one.message]["missing" if one.refusal == _MISSING else "refused"] += 1

    def lines(self) -> list[dict[str, object]]:
        """One line per message that took a frame, in the order of the spec; last what none took."""
        pairs = zip(self._messages, self._counts, strict=True)
        return [{"message": title(message), **counts} for message, counts in pairs if counts["frames"] or any(counts.values())]
