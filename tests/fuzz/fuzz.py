"""libFuzzer over framing and over the decoders of every product: `fuzz.py run --seconds N`, `fuzz.py corpus --seconds N`.

`run` compiles the targets with address and undefined-behaviour checks, starts each from the kept corpus, and gives what it found to
the reference interpreter and to other JSON parsers (`differential.py`). It fails on the first input that breaks a claim, and says how
to repeat it. `corpus` writes the kept corpus anew: seeds made from the specs' examples and grown by fuzzing, cut down to what adds
coverage. Without a clang that brings libFuzzer one line says that nothing was run.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from k4._codegen import bind, exchange, fbs, generate, ir, places, tolerant
from k4._codegen.render import identifier, render
from tests.fuzz import frames
from tests.mutate import NUMBERS, OTHERS, STRINGS, Mutator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CORPUS = HERE / "corpus"
FOUND = ROOT / "fuzz-found"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
# The fast tier's readers are functions here: the targets compile in seconds and find the same.
CHECKED = (
    "-O1",
    "-g",
    "-fsanitize=fuzzer,address,undefined",
    "-fno-sanitize-recover=all",
    "-DK4_FAST_INLINE=static __attribute__((unused))",
)
CORE = (
    "k4_json", "k4_text", "k4_pattern", "k4_number", "k4_xxh64", "k4_parse", "k4_parse_each", "k4_symtab", "k4_crc32", "k4_ladder", "k4_checksum",
    "k4_book", "k4_books", "k4_sbe", "k4_utf8", "k4_inflate", "k4_unpack",
)  # fmt: skip
LONGEST = {"ws": 4096}
LONGEST_TEXT = 2048


@dataclass(frozen=True, slots=True)
class Target:
    """One fuzz target. `spec`: None for framing. `binary`: frames of the product's SBE, not its texts."""

    name: str
    spec: Path | None = None
    product: str = ""
    binary: bool = False


# Specs that use what no built-in one does; one product of each is enough.
CASES = (("decode/zoo.toml", "spot"), ("specs/quick.toml", "perp"))
BINARY_CASES = (("sbe/yard.toml", "spot"),)


@functools.cache
def load(spec: Path) -> ir.Exchange:
    return exchange.load(spec, fbs.load(places.schema() / "records.fbs"))


def targets() -> list[Target]:
    """Framing, every product of every built-in exchange that has code of its own, and the cases."""
    found = [Target("ws")]
    for spec in sorted((places.schema() / "exchange").glob("*.toml")):
        records = fbs.load(places.schema() / "records.fbs")
        found += [Target(f"{spec.stem}_{product}", spec, product) for product in tolerant.leaders(load(spec), records)]
        found += [Target(f"{spec.stem}_{product.name}_sbe", spec, product.name, True) for product in load(spec).products if product.sbe]
    for names, binary in ((CASES, False), (BINARY_CASES, True)):
        cases = [(ROOT / "tests" / "cases" / file, product) for file, product in names]
        found += [Target(f"{spec.stem}_{product}{'_sbe' * binary}", spec, product, binary) for spec, product in cases]
    return found


# --------------------------------------------------------------------------- seeds and the kept corpus


def wires(target: Target) -> list[str]:
    """The examples of a product: what its messages look like, market data or not."""
    assert target.spec is not None
    messages = [message for message in bind.bind(load(target.spec), target.product) if message.json]
    return list(dict.fromkeys(example.wire for message in messages for example in message.examples))


def binaries(target: Target) -> list[bytes]:
    """The examples of a product's SBE."""
    assert target.spec is not None
    messages = [message for message in bind.bind(load(target.spec), target.product) if message.template is not None]
    return [message.frame(example) for message in messages for example in message.examples]


def seeds(target: Target, count: int = 1500) -> list[bytes]:
    """Examples and what a few changes make of them; for framing, streams of every case family; for SBE, examples and their beginnings."""
    if target.spec is None:
        return frames.seeds()
    if target.binary:
        return [frame[:end] for frame in binaries(target) for end in (len(frame), *range(0, len(frame), 7))]
    own = wires(target)
    mutator = Mutator(own, seed=1)
    return [*(wire.encode() for wire in own), *(mutator.frame() for _ in range(count))]


def dictionary(target: Target) -> str:
    """Words of the product and awkward values, in libFuzzer's form."""
    words = {b"\\u0041", b"\\ud800", b"\xff", b"\xe2\x82"}
    if target.spec is None:
        words = {b"\x81\x7e", b"\x82\x7f", b"\x88\x02", b"\x89\x7d", b"\x8a\x00", b"\x01\x01", b"\x80\x01", b"\xed\xa0\x80"}
    elif target.binary:
        words = {frame[:4] for frame in binaries(target)} | {frame[4:8] for frame in binaries(target)}
        words |= {b"\x00\x00", b"\xff\xff", b"\x7f\xff\xff\xff", b"\x80" + bytes(7), bytes(7) + b"\x80", b"\xff" * 8}
    else:
        mutator = Mutator(wires(target), seed=1)
        words |= {f"{key}:".encode() for key in mutator.keys} | {value.encode() for value in mutator.values if len(value) < 60}
        words |= {text.encode() for text in (*NUMBERS.split(), *OTHERS)} | {f'"{text}"'.encode() for text in STRINGS.split()}
    return "".join('"{}"\n'.format("".join(f"\\x{byte:02x}" for byte in word)) for word in sorted(words) if word)


def kept_file(name: str) -> Path:
    return CORPUS / f"{name}.txt"


def kept(name: str) -> list[bytes]:
    """The kept inputs of a target: one Python bytes literal per line, so that a change shows in a diff."""
    file = kept_file(name)
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def keep(name: str, inputs: Iterable[bytes]) -> None:
    lines = sorted({repr(one) for one in inputs}, key=lambda text: (len(text), text))
    head = f"# Inputs of the fuzz target {name}, minimised: each adds coverage. Written by tests/fuzz/fuzz.py corpus.\n"
    kept_file(name).write_text(head + "\n".join(lines) + "\n", encoding="ascii")


def unpack(inputs: Iterable[bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (folder / f"{number:05}").write_bytes(data)
    return folder


# --------------------------------------------------------------------------- compiling and running


def why_not() -> str | None:
    """None where clang can link libFuzzer; else the line that says why nothing is run."""
    if shutil.which("clang") is None:
        return "not run: fuzzing, clang is not installed (Debian packages clang, libclang-rt-14-dev)"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text(
            "int LLVMFuzzerTestOneInput(const char *d, unsigned long n); int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }\n"
        )
        command = ["clang", "-fsanitize=fuzzer,address,undefined", str(source), "-o", f"{folder}/empty"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "not run: fuzzing, clang has no libFuzzer here (Debian package libclang-rt-14-dev)"


def compile_targets(wanted: list[Target], folder: Path, pool: concurrent.futures.Executor) -> list[Path]:
    """The programs, each in a folder of its own; what several are linked from is compiled once. Raises with what the compiler said."""
    records = fbs.load(places.schema() / "records.fbs")
    (folder / generate.RECORDS_HEADER).write_text(generate.records_header(records), encoding="utf-8")
    core = {name: places.csrc() / f"{name}.c" for name in CORE}
    sources: dict[Target, list[Path]] = {}
    for target in wanted:
        made = folder / target.name
        made.mkdir()
        (made / "words").write_text(dictionary(target), encoding="ascii")
        if target.spec is None:
            sources[target] = [HERE / "fuzz_ws.c", places.csrc() / "k4_ws.c", core["k4_utf8"]]
        else:
            sources[target] = [harness(target, made), *parsers(target.spec, folder), *core.values()]
    needed = list(dict.fromkeys(source for of in sources.values() for source in of))
    # The largest first, or one of them is compiled alone at the end.
    needed.sort(key=lambda source: -source.stat().st_size)
    jobs = {source: pool.submit(compile_object, source, folder / f"{number}.o", folder) for number, source in enumerate(needed)}
    objects = {source: job.result() for source, job in jobs.items()}
    links = [
        pool.submit(_clang, *(str(objects[source]) for source in of), "-o", str(folder / target.name / "target"))
        for target, of in sources.items()
    ]
    for link in links:
        link.result()
    return [folder / target.name / "target" for target in wanted]


def harness(target: Target, folder: Path) -> Path:
    """What libFuzzer calls, for one product."""
    assert target.spec is not None
    exchange = load(target.spec).name
    symbol = f"{identifier(exchange)}_{identifier(target.product)}"
    template = "fuzz_sbe.c.j2" if target.binary else "fuzz.c.j2"
    made = folder / "fuzz.c"
    made.write_text(render(template, source=target.spec.name, exchange=exchange, product=target.product, symbol=symbol), encoding="utf-8")
    return made


@functools.cache
def parsers(spec: Path, folder: Path) -> tuple[Path, ...]:
    """Writes the generated sources of an exchange."""
    made = []
    for file, text in generate.generate(fbs.load(places.schema() / "records.fbs"), [load(spec)]).items():
        if file.startswith(f"k4_{identifier(load(spec).name)}"):
            made.append(folder / file)
            made[-1].write_text(text, encoding="utf-8")
    return tuple(made)


def compile_object(source: Path, output: Path, include: Path) -> Path:
    _clang(*STRICT, f"-I{include}", f"-I{places.csrc()}", f"-I{HERE}", "-c", str(source), "-o", str(output))
    return output


def _clang(*words: str) -> None:
    done = subprocess.run(["clang", *CHECKED, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} does not compile:\n{done.stderr[:8000]}")


@dataclass(frozen=True, slots=True)
class Run:
    """How one target did. `finding`: the input that broke a claim, and what was said about it."""

    target: Target
    runs: int
    seconds: float
    coverage: int
    inputs: list[bytes]
    finding: tuple[bytes, str] | None


def fuzz(target: Target, program: Path, seconds: float, start: list[bytes]) -> Run:
    """Fuzzes for `seconds` of wall clock."""
    folder = program.parent
    work = unpack(start, folder / "work")
    artifacts = folder / "found-"
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={LONGEST.get(target.name, LONGEST_TEXT)}",
        f"-dict={folder / 'words'}",
        f"-artifact_prefix={artifacts}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    began = time.monotonic()
    done = subprocess.run([str(program), *options, str(work)], capture_output=True, text=True, errors="replace", check=False)
    took = time.monotonic() - began
    found = sorted(folder.glob("found-*"))
    finding = None
    if done.returncode or found:
        data = found[0].read_bytes() if found else b""
        finding = (data, done.stderr[-6000:])
    count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    inputs = [path.read_bytes() for path in sorted(work.iterdir())]
    return Run(target, int(count[1]) if count else 0, took, int(covered[-1]) if covered else 0, inputs, finding)


def minimise(target: Target, program: Path, inputs: list[bytes]) -> list[bytes]:
    """A few inputs that together go wherever all of them go. Only in framing, which is small, does it count how often."""
    folder = program.parent
    counters = f"-use_counters={int(target.spec is None)}"
    into = folder / "small"
    into.mkdir()
    command = [str(program), "-set_cover_merge=1", counters, "-max_len=4096", str(into), str(unpack(inputs, folder / "all"))]
    subprocess.run(command, capture_output=True, check=True)
    return [path.read_bytes() for path in sorted(into.iterdir())]


def run_all(wanted: list[Target], seconds: float, *, grow: bool) -> int:
    """Every target, as many at a time as there are processors, `seconds` of wall clock in all; `grow`: the kept corpus is written anew."""
    at_once = min(os.cpu_count() or 1, len(wanted))
    each = seconds * at_once / len(wanted)
    with tempfile.TemporaryDirectory(prefix="k4-fuzz-") as made, concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        programs = compile_targets(wanted, Path(made), pool)
        starts = [kept(target.name) + (seeds(target) if grow else []) for target in wanted]
        results = list(pool.map(fuzz, wanted, programs, [each] * len(wanted), starts))
        for result in results:
            line = f"{result.target.name}: {result.runs} runs in {result.seconds:.0f} s, {result.coverage} places covered, {len(result.inputs)} inputs"
            print(line, flush=True)
        broken = [result for result in results if result.finding is not None]
        for result in broken:
            report(result)
        if grow and not broken:
            found = pool.map(minimise, wanted, programs, [result.inputs for result in results])
            for result, small in zip(results, found, strict=True):
                keep(result.target.name, small)
                print(f"{result.target.name}: {len(small)} inputs kept, {sum(map(len, small))} bytes")
        # The kept ones are compared by tests/test_fuzz.py already.
        new = [sorted(set(result.inputs) - set(start)) for result, start in zip(results, starts, strict=True)]
        differs = [line for result, inputs in zip(results, new, strict=True) for line in against_others(result.target, inputs)]
    for line in differs:
        print(line)
    return 1 if broken or differs else 0


def report(result: Run) -> None:
    assert result.finding is not None
    data, said = result.finding
    FOUND.mkdir(exist_ok=True)
    file = FOUND / f"{result.target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    print(f"{result.target.name}: an input breaks a claim, kept as {file}:\n{data!r}\n{said}", file=sys.stderr)


def against_others(target: Target, inputs: list[bytes]) -> list[str]:
    """What other readers of the same inputs say differently, as lines."""
    from tests.fuzz import differential

    if target.spec is None:
        return []
    if target.binary:
        return [f"{target.name}: {line}" for line in differential.compare_binary(load(target.spec), target.product, inputs)]
    checked = differential.compare(load(target.spec), target.product, inputs)
    print(f"{target.name}: {checked.frames} new inputs against the reference, {checked.judged} against other JSON parsers", flush=True)
    return [f"{target.name}: {line}" for line in checked.differences]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz.py", description=__doc__)
    parser.add_argument("command", choices=("run", "corpus"))
    parser.add_argument("--seconds", type=float, default=30.0, help="wall clock in all")
    parser.add_argument("targets", nargs="*", help="names, as printed; all if none is given")
    options = parser.parse_intermixed_args(arguments)
    reason = why_not()
    if reason is not None:
        print(reason)
        return 0
    wanted = [target for target in targets() if not options.targets or target.name in options.targets]
    if not wanted:
        parser.error(f"no such target; there are: {' '.join(target.name for target in targets())}")
    return run_all(wanted, options.seconds, grow=options.command == "corpus")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
