"""The real C arbiter, compiled for a test and driven by ctypes. Imports nothing of k4."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
ABSENT = -(1 << 63)
SECOND = 1_000_000_000

# enum k4_rule
UNSET, ALL, INCREASING, STEPPING, WINDOW, CONTIGUOUS, LEADER = range(7)
RULES = {"all": ALL, "increasing": INCREASING, "stepping": STEPPING, "window": WINDOW, "contiguous": CONTIGUOUS, "leader": LEADER}
# enum k4_cause
CAUSES = ("new", "late", "duplicate", "behind", "epoch", "under", "standby", "unset")
# record flags
GAP, RESET, BACKFILL, LATE, HASHED_ID, SWITCH = 1, 2, 4, 8, 32, 256
FLAG_NAMES = {GAP: "GAP", RESET: "RESET", LATE: "LATE", SWITCH: "SWITCH"}


class _Verdict(ctypes.Structure):
    _fields_ = (
        ("publish", ctypes.c_bool),
        ("cause", ctypes.c_uint8),
        ("flags", ctypes.c_uint16),
        ("gap", ctypes.c_uint64),
        ("lag_ns", ctypes.c_int64),
        ("winner", ctypes.c_uint16),
        ("runner_up", ctypes.c_bool),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    publish: bool
    cause: str
    flags: int
    gap: int
    lag_ns: int
    winner: int
    runner_up: bool

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)


LIBRARY = "arbiter_driver.so"


def compile_library(folder: Path, headers: Path) -> None:
    strict = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
    sources = (ROOT / "tests/c/arbiter_driver.c", *(ROOT / "csrc" / name for name in ("k4_arbiter.c", "k4_rules.c", "k4_idset.c")))
    include = (f"-I{headers}", f"-I{ROOT / 'csrc'}")
    command = ["gcc", *strict, "-shared", "-fPIC", *include, *map(str, sources), "-o", str(folder / LIBRARY)]
    subprocess.run(command, check=True)


def load_library(folder: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(folder / LIBRARY))
    pointer, u32, i64, integer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int
    for name, result, arguments in (
        ("driver_open", pointer, [u32, u32, integer]),
        ("driver_close", None, [pointer]),
        ("driver_decide", None, [pointer, integer, u32, i64, i64, ctypes.c_uint, i64, ctypes.POINTER(_Verdict)]),
        ("k4_arbiter_rule", integer, [pointer, u32, integer]),
        ("k4_arbiter_reserve", integer, [pointer, u32]),
        ("k4_arbiter_join", integer, [pointer, ctypes.c_uint16]),
        ("k4_arbiter_renew", None, [pointer, integer]),
        ("k4_arbiter_leave", None, [pointer, integer]),
        ("k4_arbiter_seed", None, [pointer, u32, i64, i64, ctypes.c_uint16]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Arbiter:
    """One arbiter; `rule` for instrument 0 and as many more as asked for."""

    def __init__(self, lib: ctypes.CDLL, rule: int, *, window: int = 4096, instruments: int = 1) -> None:
        self.lib = lib
        self.handle = lib.driver_open(instruments, window, int(rule in (WINDOW, CONTIGUOUS)))
        for i in range(instruments):
            assert lib.k4_arbiter_rule(self.handle, i, rule) == 0

    def close(self) -> None:
        self.lib.driver_close(self.handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def join(self, source: int = 0) -> int:
        conn = int(self.lib.k4_arbiter_join(self.handle, source))
        assert conn >= 0
        return conn

    def renew(self, conn: int) -> None:
        self.lib.k4_arbiter_renew(self.handle, conn)

    def leave(self, conn: int) -> None:
        self.lib.k4_arbiter_leave(self.handle, conn)

    def seed(self, identity: int, *, engine: int = ABSENT, flags: int = 0, instrument: int = 0) -> None:
        self.lib.k4_arbiter_seed(self.handle, instrument, identity, engine, flags)

    def decide(self, conn: int, identity: int, now: int, *, engine: int = ABSENT, flags: int = 0, instrument: int = 0) -> Verdict:
        out = _Verdict()
        self.lib.driver_decide(self.handle, conn, instrument, identity, engine, flags, now, ctypes.byref(out))
        return Verdict(out.publish, CAUSES[out.cause], out.flags, out.gap, out.lag_ns, out.winner, out.runner_up)
