"""Where fields stand: against flatc and numpy, in C and C++; what the layout hash depends on; doubles rounded correctly."""

from __future__ import annotations

import dataclasses
import random
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from k4._codegen import fbs, ir, layout, places
from k4._codegen.render import TemplateError, render

SCHEMA = places.schema() / "records.fbs"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
COMPILERS = [["gcc", "-std=c11", "-xc"], ["clang", "-std=c11", "-xc"], ["g++", "-std=c++17", "-xc++"], ["clang++", "-std=c++17", "-xc++"]]


@pytest.fixture(scope="module")
def records() -> ir.Records:
    return fbs.load(SCHEMA)


def test_flatc_puts_every_field_at_the_same_place(records: ir.Records, tmp_path: Path) -> None:
    if shutil.which("flatc") is None:
        pytest.skip("flatc is not installed (Debian package flatbuffers-compiler)")
    # The struct in flatc's C++ lists every member in its place, its own padding included, and its size is asserted.
    subprocess.run(["flatc", "--cpp", "-o", str(tmp_path), str(SCHEMA)], check=True)
    text = (tmp_path / "records_generated.h").read_text(encoding="utf-8")
    for record in records.records:
        assert f"FLATBUFFERS_STRUCT_END({record.name}, {record.size});" in text
        body = text[text.index(f"FLATBUFFERS_MANUALLY_ALIGNED_STRUCT(8) {record.name} FLATBUFFERS_FINAL_CLASS {{") :]
        members = re.findall(r"^  (u?int(?:8|16|32|64)_t) (\w+)_(?:\[(\d+)\])?;", body[: body.index(" public:")], re.MULTILINE)
        offset = 0
        found = []
        for type_, name, length in members:
            size = int(re.sub(r"\D", "", type_)) // 8
            assert not name.startswith("padding"), f"flatc pads {record.name} itself, before {name}"
            assert offset % size == 0, f"{record.name}.{name}"
            found.append((name, offset, size * int(length or 1)))
            offset += size * int(length or 1)
        assert found == [(f.name, f.offset, f.size) for f in record.fields]


def test_numpy_agrees(records: ir.Records) -> None:
    for record in records.records:
        dtype = np.dtype(layout.numpy_fields(record))
        assert dtype.itemsize == record.size
        assert dtype.fields is not None
        assert {name: field[1] for name, field in dtype.fields.items()} == {f.name: f.offset for f in record.fields}


def test_layout_hash_is_fixed(records: ir.Records) -> None:
    """These numbers stand in segments that live longer than a process: a change here is a change of format."""
    assert {r.word: f"{layout.layout_hash(r):016x}" for r in records.records} == HASHES


HASHES = {
    "bbo": "765eb4653f5e6915",
    "trade": "9d027bf91fdd81cc",
    "aggtrade": "414aff82a52e8152",
    "depth5": "c868214bfd31d0a8",
    "depth20": "4127dad4e6a1239d",
}


def test_layout_hash_sees_layout_only(records: ir.Records) -> None:
    text = SCHEMA.read_text(encoding="utf-8")

    def hashes(changed: str) -> dict[str, int]:
        return {r.word: layout.layout_hash(r) for r in fbs.parse(changed, "records.fbs").records}

    now = hashes(text)
    assert len(set(now.values())) == len(now)
    assert hashes(text.replace("///", "//").replace("orders at", "how many at")) == now
    assert hashes(text.replace("  FORWARDED", "  FORWARDED,\n  TWELFTH").replace("(price, needed)", "(price)")) == now
    renamed = hashes(text.replace("trade_id:long (id)", "trade_no:long (id)"))
    assert {word for word in now if renamed[word] != now[word]} == {"trade"}
    first, last = "first_id:long (integer);", "last_id:long (integer);"
    swapped = hashes(text.replace(f"{first}\n  {last}", f"{last}\n  {first}"))
    assert {word for word in now if swapped[word] != now[word]} == {"aggtrade"}
    retyped = hashes(text.replace("count:int (count);\n  pad1:[ubyte:4] (pad);", "count:long (integer);"))
    assert {word for word in now if retyped[word] != now[word]} == {"aggtrade"}


def test_layout_hash_covers_version_and_symbol_entry(records: ir.Records, monkeypatch: pytest.MonkeyPatch) -> None:
    record = records.records[0]
    now = layout.layout_hash(record)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "SEGMENT_VERSION", layout.SEGMENT_VERSION + 1)
        assert layout.layout_hash(record) != now
    with monkeypatch.context() as patch:
        longer = dataclasses.replace(layout.SYMBOL_ENTRY[0], length=56)
        patch.setattr(layout, "SYMBOL_ENTRY", (longer, *layout.SYMBOL_ENTRY[1:]))
        assert layout.layout_hash(record) != now
    assert layout.layout_hash(record) == now


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda words: words[0])
def test_headers_compile_strictly(compiler: list[str], headers: Path, tmp_path: Path) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    for header in ("k4_records.h", "k4.h"):
        source = tmp_path / "use.c"
        source.write_text(f'#include "{header}"\nint main(void) {{ return (int)sizeof(union k4_record) == K4_RECORD_SIZE_MAX ? 0 : 1; }}\n')
        subprocess.run([*compiler, *WARNINGS, "-O2", f"-I{headers}", str(source), "-o", str(tmp_path / "use")], check=True)
        assert subprocess.run([str(tmp_path / "use")], check=False).returncode == 0


def test_doubles_are_rounded_once_and_correctly(headers: Path, tmp_path: Path) -> None:
    """Against exact rational arithmetic, whose conversion to float rounds to nearest, ties to even."""
    source = tmp_path / "value.c"
    source.write_text("""#include "k4.h"
int main(void) {
    long long mantissa;
    int exponent;
    while (scanf("%lld %d", &mantissa, &exponent) == 2)
        printf("%a\\n", k4_value(mantissa, exponent));
    return 0;
}
""")
    subprocess.run(["gcc", "-std=c11", *WARNINGS, "-O2", f"-I{headers}", str(source), "-o", str(tmp_path / "value")], check=True)
    random.seed(7)
    big = 2**63 - 1
    cases = [(0, 0), (0, -128), (1, -1), (-5, -1), (2**53, -22), (2**53 + 1, 0), (2**53 + 1, -1), (big, -128), (-big, -18), (9, 127)]
    cases += [(random.choice((-1, 1)) * random.getrandbits(random.randint(1, 63)), random.randint(-40, 5)) for _ in range(5000)]
    given = "".join(f"{m} {e}\n" for m, e in cases)
    done = subprocess.run([str(tmp_path / "value")], input=given, capture_output=True, text=True, check=True)
    got = [float.fromhex(line) for line in done.stdout.split()]
    assert got == [float(Fraction(m) * Fraction(10) ** e) for m, e in cases]


def test_accessors(headers: Path, tmp_path: Path) -> None:
    source = tmp_path / "access.c"
    source.write_text("""#include "k4.h"
int main(void) {
    struct k4_bbo b = {.bid_price = 12345, .bid_qty = 5, .ask_price = K4_ABSENT, .price_exp = -2, .qty_exp = -1};
    struct k4_depth5 d = {.ask_qty = {1, 2, 3, 4, 5}, .qty_exp = -3};
    printf("%.17g %.17g %.17g ", k4_bbo_bid_price(&b), k4_bbo_bid_qty(&b), k4_bbo_ask_price(&b));
    printf("%.17g %.17g\\n", k4_depth5_ask_qty(&d, 4), k4_depth5_ask_qty(&d, 5));
    return 0;
}
""")
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", f"-I{headers}", str(source), "-o", str(tmp_path / "access")], check=True)
    done = subprocess.run([str(tmp_path / "access")], capture_output=True, text=True, check=True)
    assert done.stdout.replace("-nan", "nan") == "123.45 0.5 nan 0.0050000000000000001 nan\n"


def test_a_template_knows_all_cases_or_fails(records: ir.Records) -> None:
    record = records.records[0]
    odd = dataclasses.replace(record, fields=(dataclasses.replace(record.fields[0], scalar="double"), *record.fields[1:]))
    from k4._codegen import generate

    with pytest.raises(TemplateError, match="no C type for double"):
        generate.records_header(dataclasses.replace(records, records=(odd,)))
    with pytest.raises(Exception, match="'records' is undefined"):
        render("values.h.j2")


def test_generated_text_is_deterministic(records: ir.Records) -> None:
    from k4._codegen import generate

    again = fbs.load(SCHEMA)
    assert generate.records_header(records) == generate.records_header(again)
    text = generate.reader_header(records)
    assert text == generate.reader_header(again)
    assert text.startswith("/* Generated by k4 codegen from schema/records.fbs, csrc/k4_reader.h, csrc/k4_shm.h. Do not edit:")
    assert '#include "k4' not in text
    assert str(places.schema().parent) not in text
