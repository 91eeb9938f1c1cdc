"""The kept inputs of the fuzz targets, without libFuzzer: compiled parsers, the reference interpreter and other JSON parsers agree.

`make fuzz` looks for new inputs; what it kept is tried here in every run. What a fuzzer has to prove about itself is here, too: the
corpora are those of the targets there are, and its seeds and words say something about each.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from k4._codegen import ir, places
from tests.codegen import compiled
from tests.fuzz import differential, frames, fuzz
from tests.test_framing import CAP, CLOSE_CODES, FAILED, Driver, driver  # noqa: F401 (a fixture)

TEXTS = [target for target in fuzz.targets() if target.spec is not None and not target.binary]
BINARIES = [target for target in fuzz.targets() if target.binary]


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert sorted(path.stem for path in fuzz.CORPUS.glob("*.txt")) == sorted(target.name for target in fuzz.targets())
    for target in fuzz.targets():
        assert len(fuzz.kept(target.name)) > 20, target.name
        assert fuzz.dictionary(target).count("\n") > 5


def library_of(target: fuzz.Target, built_in: Path) -> Path | None:
    """Where the target's parsers are compiled already."""
    assert target.spec is not None
    return built_in / compiled.LIBRARY if target.spec.is_relative_to(places.schema()) else None


@pytest.fixture(scope="module", params=TEXTS, ids=[target.name for target in TEXTS])
def checked(request: pytest.FixtureRequest, built_in: Path) -> tuple[fuzz.Target, differential.Compared]:
    """The kept texts and the examples of one target, through everything."""
    target: fuzz.Target = request.param
    assert target.spec is not None
    inputs = [*fuzz.kept(target.name), *(wire.encode() for wire in fuzz.wires(target))]
    return target, differential.compare(fuzz.load(target.spec), target.product, inputs, library_of(target, built_in))


def test_kept_texts_agree_everywhere(checked: tuple[fuzz.Target, differential.Compared]) -> None:
    target, compared = checked
    assert compared.differences == []
    assert compared.frames == compared.judged > len(fuzz.kept(target.name))


def _held(message: ir.Message) -> bool:
    """Whether it only changes a book whose snapshot is fetched: alone it gives nothing."""
    snapshot = message.field("snapshot")
    return snapshot is not None and snapshot.source == ir.FromText("false")


def test_kept_texts_walk_the_main_roads(checked: tuple[fuzz.Target, differential.Compared]) -> None:
    """The corpus is worth its place: it gives every record of the product, refusals of every sort, and skipped frames."""
    target, compared = checked
    assert target.spec is not None
    kept = compared.given[: len(fuzz.kept(target.name))]
    items = [item for given in kept for item in given.items]
    messages = [m for m in fuzz.load(target.spec).messages if target.product in m.products and m.json and not _held(m)]
    wanted = {m.record for m in messages if compiled.RECORDS.record(m.record)}
    assert {item[1] for item in items if item[0] == "record"} >= wanted
    assert {item[1] for item in items if item[0] == "refused"} >= {"malformed", "depth", "missing", "duplicate", "type", "range"}
    assert {given.skip for given in kept} > {None, "other_channel"}


@pytest.mark.parametrize("target", BINARIES, ids=[target.name for target in BINARIES])
def test_kept_binary_frames_agree(target: fuzz.Target, built_in: Path) -> None:
    assert target.spec is not None
    inputs = [*fuzz.kept(target.name), *fuzz.binaries(target)]
    assert differential.compare_binary(fuzz.load(target.spec), target.product, inputs, library_of(target, built_in)) == []


def test_kept_streams_are_the_same_for_any_reads(driver: Driver) -> None:  # noqa: F811
    """Each stream whole, and byte by byte."""
    streams = [data[3:] for data in fuzz.kept("ws") if len(data) > 3] + frames.streams()
    causes = set()
    for stream in streams:
        whole = driver.run(stream)
        assert driver.run(stream, piece=1) == whole
        causes |= {code for kind, code, _ in whole if kind == FAILED}
    assert causes >= set(CLOSE_CODES) - {14}, "every cause but the lack of memory"
    assert max(len(stream) for stream in streams) < CAP


def test_what_other_parsers_say_is_understood() -> None:
    """The oracle's own cases: what JSON is and is not, whatever one parser makes of it."""
    good = [b"1e999", b'"\\ud800"', b"[" * 40 + b"]" * 40, b' {"a":[1,-0.5e+1,null,true]} ', b"9" * 400, b'{"a":1,"a":2}']
    bad = [b"", b"NaN", b"-Infinity", b"[1,]", b"{'a':1}", b"01", b"1.", b'"\x01"', b'"\xff"', b"\xef\xbb\xbf{}", b'"\\x"', b"tru", b"[1]2"]
    assert [differential.is_json(text) for text in good] == [True] * len(good)
    assert [differential.is_json(text) for text in bad] == [False] * len(bad)
