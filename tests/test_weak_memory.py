"""The ring's code on a weak memory (tests/model): right in every execution, and wrong in one as soon as any of its rules is taken out.

x86 hides most missing fences, so a processor cannot test them; a search through all executions can.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import segments as s

MODEL = s.ROOT / "tests" / "model"
SCENARIOS = ("order", "latest", "snapshot", "head", "takeover", "wake", "wake-again", "wake-both", "close")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`file` of csrc with `old` replaced by `new` must fail in `scenario`, saying `says`. Two edits: `old` and `new` cut by a line of `&`."""

    name: str
    file: str
    old: str
    new: str
    scenario: str
    says: str

    def apply(self, text: str) -> str:
        for old, new in zip(self.old.split("&\n"), self.new.split("&\n"), strict=True):
            assert text.count(old) == 1, f"{self.file} no longer has what this mutant takes out: {old}"
            text = text.replace(old, new)
        return text


WRITER, READER, SEGMENT, TAKEOVER = "k4_segment.h", "k4_reader.h", "k4_segment.c", "k4_takeover.c"
ODD = "    __atomic_store_n(sequence, 2 * n + 1, __ATOMIC_RELAXED);\n    k4_fence_release();\n"
PUT_RING = "    k4_segment_put(segment->ring + (size_t)(n & segment->mask) * segment->stride, n, word, words, segment->words);\n"
PUT_LATEST = "    k4_segment_put(segment->latest + (size_t)instrument * segment->stride, n, word, words, segment->words);\n"
HEAD = "    __atomic_store_n(&segment->header->head, n + 1, __ATOMIC_RELEASE);\n    return n;\n"
AGAIN = "    k4_fence_acquire();\n    *before = __atomic_load_n(words, __ATOMIC_RELAXED);\n"
FIRST, LOOSE = "    if (sequence != 2 * n + 2)\n", "    if (sequence == 0 || (sequence & 1) != 0)\n"
EXACT = "    return *before == 2 * n + 2;\n"
REPAIR_HEAD = "        segment->head = n + 1;\n        __atomic_store_n(&segment->header->head, n + 1, __ATOMIC_RELEASE);\n"
REPAIR_LATEST = (
    "            k4_segment_put(segment->latest + (size_t)instrument * segment->stride, n, slot[1], slot + 1, segment->words);\n"
)
WAKE_FENCE = "    k4_fence_full();\n    if (__atomic_load_n(&segment->wait->sleepers, __ATOMIC_RELAXED) != 0)\n"
WAIT_FENCE = "        k4_fence_full();\n        if (k4_reader_ready(reader))\n"
COUNT = "        (void)__atomic_fetch_add(&reader->wait->sleepers, 1, __ATOMIC_RELAXED);\n"
LOOK = "        if (k4_reader_ready(reader))\n            return 1;\n        pause"
WORD = "    uint32_t wake = __atomic_load_n(&reader->header->wake, __ATOMIC_ACQUIRE);\n"
BUMP = "    __atomic_store_n(&segment->header->wake, segment->header->wake + 1, __ATOMIC_RELAXED);\n    (void)syscall"
CLOSED = "    uint32_t closed = __atomic_load_n(&reader->header->closed, __ATOMIC_ACQUIRE);\n    if (k4_reader_copy"
TORN, BACK, ASLEEP = "torn", "went back", "sleeps and nobody will wake it"

MUTANTS = (
    # fences and orders
    Mutant("no release fence behind the odd sequence", WRITER, ODD, ODD.replace("    k4_fence_release();\n", ""), "order", TORN),
    Mutant("no acquire fence before the second look", READER, AGAIN, AGAIN.replace("    k4_fence_acquire();\n", ""), "order", TORN),
    Mutant("even sequence stored relaxed", WRITER, "2 * n + 2, __ATOMIC_RELEASE", "2 * n + 2, __ATOMIC_RELAXED", "order", TORN),
    Mutant(
        "first look relaxed", READER, "__atomic_load_n(words, __ATOMIC_ACQUIRE)", "__atomic_load_n(words, __ATOMIC_RELAXED)", "order", TORN
    ),
    Mutant("head stored relaxed", WRITER, HEAD, HEAD.replace("RELEASE", "RELAXED"), "head", "head is"),
    Mutant(
        "head loaded relaxed",
        READER,
        "&reader->header->head, __ATOMIC_ACQUIRE",
        "&reader->header->head, __ATOMIC_RELAXED",
        "snapshot",
        BACK,
    ),
    Mutant("no full fence in wake", WRITER, WAKE_FENCE, WAKE_FENCE.replace("    k4_fence_full();\n", ""), "wake", ASLEEP),
    Mutant("no full fence in wait", READER, WAIT_FENCE, WAIT_FENCE.replace("        k4_fence_full();\n", ""), "wake", ASLEEP),
    Mutant(
        "release instead of full fence in wake", WRITER, WAKE_FENCE, WAKE_FENCE.replace("k4_fence_full", "k4_fence_release"), "wake", ASLEEP
    ),
    Mutant(
        "closed stored relaxed",
        SEGMENT,
        "&header->closed, how, __ATOMIC_RELEASE",
        "&header->closed, how, __ATOMIC_RELAXED",
        "close",
        "the end was said",
    ),
    Mutant("closed loaded relaxed", READER, CLOSED, CLOSED.replace("ACQUIRE", "RELAXED"), "close", "the end was said"),
    # order of steps
    Mutant("no odd sequence", WRITER, ODD, "    k4_fence_release();\n", "order", TORN),
    Mutant("latest before ring", WRITER, PUT_RING + PUT_LATEST, PUT_LATEST + PUT_RING, "takeover", ""),
    Mutant("head before the slots", WRITER, PUT_RING, HEAD.replace("    return n;\n", "") + PUT_RING, "snapshot", ""),
    Mutant("sleeper not counted", READER, COUNT, "", "wake", ASLEEP),
    Mutant("sleeper does not look again", READER, LOOK, "        pause", "wake", ASLEEP),
    Mutant(
        "wake word read late",
        READER,
        WORD + "&\n" + LOOK,
        "    uint32_t wake = 0;\n&\n" + LOOK.replace("        pause", WORD.replace("uint32_t wake =", "wake =") + "        pause"),
        "wake",
        ASLEEP,
    ),
    Mutant("wake word left as it is when the count is taken", SEGMENT, BUMP, "    (void)syscall", "wake-again", ASLEEP),
    # the exact-sequence rule
    Mutant("any even pair is taken", READER, FIRST + "&\n" + EXACT, LOOSE + "&\n" + "    return *before == sequence;\n", "order", ""),
    Mutant("any even first look is taken", READER, FIRST, LOOSE, "order", TORN),
    Mutant("no second look", READER, EXACT, "    return 1;\n", "order", TORN),
    Mutant("latest forgets what the ring gave", READER, "reader->seen_instrument == instrument ? reader->seen : 0", "0", "latest", BACK),
    # repair
    Mutant("repair omitted", TAKEOVER, "    if (slot[0] == 2 * n + 2) {\n", "    if (0) {\n", "takeover", ""),
    Mutant("repair forgets head", TAKEOVER, REPAIR_HEAD, "", "takeover", ""),
    Mutant("repair forgets latest", TAKEOVER, REPAIR_LATEST, "            (void)instrument;\n", "takeover", ""),
    # lost ranges
    Mutant("lost one too many", READER, "*last = oldest - 1;", "*last = oldest;", "order", ""),
    Mutant("lost one too few", READER, "*last = oldest - 1;", "*last = oldest - 2;", "order", ""),
    Mutant("goes on one too early", READER, "reader->next = oldest;", "reader->next = oldest - 1;", "order", ""),
    Mutant(
        "gives up one that is held",
        READER,
        "head + 1 > reader->slots ? head + 1 - reader->slots : 0",
        "head + 2 > reader->slots ? head + 2 - reader->slots : 0",
        "order",
        "which the ring still holds",
    ),
)


def gcc(*words: str | Path) -> None:
    done = subprocess.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Werror", *words], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, headers: Path) -> tuple[Path, ...]:
    """What the models call besides the code they search through, compiled as usual."""
    folder = tmp_path_factory.mktemp("core")
    objects = tuple(folder / f"k4_{part}.o" for part in ("symtab", "entries", "shmfile", "view"))
    for made in objects:
        gcc(f"-I{headers}", "-c", s.ROOT / "csrc" / f"{made.stem}.c", "-o", made)
    return objects


def compile_model(name: str, csrc: Path, headers: Path, folder: Path, core: tuple[Path, ...] = ()) -> Path:
    program = folder / name
    gcc(f"-I{csrc}", f"-I{headers}", f"-I{MODEL}", MODEL / f"{name}.c", *core, "-o", program)
    return program


def run(program: Path, *scenarios: str) -> tuple[int, str]:
    done = subprocess.run([program, *scenarios], check=False, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def test_the_memory_gives_what_c11_allows_and_nothing_else(tmp_path: Path, headers: Path) -> None:
    code, said = run(compile_model("weak_litmus", s.ROOT / "csrc", headers, tmp_path))
    assert code == 0, said
    assert said.count("ok: ") == 23


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory, headers: Path, core: tuple[Path, ...]) -> Path:
    return compile_model("weak_ring", s.ROOT / "csrc", headers, tmp_path_factory.mktemp("weak"), core)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_execution_is_right(ring: Path, scenario: str) -> None:
    code, said = run(ring, scenario)
    assert code == 0, said
    words = said.split()
    assert words[:2] == ["ok:", f"{scenario}:"]
    assert int(words[2]) >= 80  # it did search
    assert "given up" not in said


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_without_the_rule_an_execution_is_wrong(mutant: Mutant, tmp_path: Path, headers: Path, core: tuple[Path, ...]) -> None:
    csrc = tmp_path / "csrc"
    shutil.copytree(s.ROOT / "csrc", csrc)
    file = csrc / mutant.file
    file.write_text(mutant.apply(file.read_text(encoding="utf-8")), encoding="utf-8")
    code, said = run(compile_model("weak_ring", csrc, headers, tmp_path, core), mutant.scenario)
    assert code == 1, said
    assert f"FAILED: {mutant.scenario}: " in said
    assert mutant.says in said.partition("\n")[0]
