"""What a reload does: per group, the difference of two jobs, and what came of it.

Pure. Imports `job`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from .job import Entry, FetcherJob, Job


@dataclass(frozen=True, slots=True)
class Difference:
    """From one job of a group to another. `restart`: the keys that a worker at work cannot change, as `entry.key`. `redundancy`: the
    entries that have another one."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    restart: tuple[str, ...]
    redundancy: tuple[str, ...] = ()


def between(old: Job | FetcherJob, new: Job | FetcherJob) -> Difference:
    """Symbols, what they count, and the number of connections, where they are of one transport, change while a worker works; how these are
    made and what they write to does not."""
    if not isinstance(old, Job) or not isinstance(new, Job):
        return Difference((), (), ())
    before, after = _symbols(old), _symbols(new)
    added = tuple(symbol for symbol in after if symbol not in before)
    removed = tuple(symbol for symbol in before if symbol not in after)
    if [entry.name for entry in old.connections] != [entry.name for entry in new.connections]:
        return Difference(added, removed, ("connections",))
    pairs = list(zip(old.connections, new.connections, strict=True))
    keys = tuple(f"{a.name}.{key}" for a, b in pairs for key in _keys(a, b) if key != "redundancy" or not _counts_alone(a, b))
    return Difference(added, removed, keys, tuple(a.name for a, b in pairs if a.redundancy != b.redundancy))


def _symbols(job: Job) -> dict[str, None]:
    return dict.fromkeys(symbol for entry in job.connections for symbol in entry.symbols)


def _counts_alone(old: Entry, new: Entry) -> bool:
    """With several transports the numbers of the later ones move when the first has more."""
    return old.redundancy.transports == new.redundancy.transports and len(new.redundancy.transports) == 1


def _keys(old: Entry, new: Entry) -> Iterable[str]:
    names = (field.name for field in fields(Entry) if field.name != "symbols")
    return (name for name in names if getattr(old, name) != getattr(new, name))


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload did to a group. `how`: `changed`, `restarted`, `started`, `ended`, or `refused`, with the reason."""

    group: str
    how: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reason: str = ""
    redundancy: tuple[str, ...] = ()

    @property
    def happened(self) -> bool:
        return bool(self.how != "changed" or self.added or self.removed or self.redundancy)

    def __str__(self) -> str:
        told = [f"{self.how}{f': {self.reason}' if self.reason else ''}"] if self.how != "changed" else []
        if self.redundancy and self.how == "changed":
            told.append(f"redundancy of {' '.join(self.redundancy)} changed")
        for what, names in (("added", self.added), ("removed", self.removed)):
            if names and self.how in {"changed", "restarted"}:
                told.append(f"{len(names)} symbol{'' if len(names) == 1 else 's'} {what}: {_listed(names)}")
        return f"{self.group}: {'; '.join(told)}"


def _listed(names: Sequence[str], most: int = 20) -> str:
    return " ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
