"""docs/shared-memory.md is true: its table has the compiler's offsets, and its programs run and print what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import segments as s

TEXT = (s.ROOT / "docs" / "shared-memory.md").read_text(encoding="utf-8")
TYPES = {"u64": ("uint64_t", 8), "u32": ("uint32_t", 4), "i64": ("int64_t", 8)}


@pytest.fixture
def trades(shm: Path, program: Path) -> None:
    writer = s.Writer(program)
    writer.open("doc_trades", "trade", slots=8)
    writer.symbol("AAAUSDT")
    writer.many(0, 10, s.trade(100, 12345, 5))
    writer.close()
    writer.end()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_table_has_the_compilers_offsets(tmp_path: Path, headers: Path) -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| ([\w\[\]]+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 31
    lines = []
    for offset, name, kind in rows:
        size = int(m.group(1)) if (m := re.fullmatch(r"char\[(\d+)\]", kind)) else TYPES[kind][1]
        lines.append(f'_Static_assert(offsetof(struct k4_shm_header, {name}) == {offset}, "{name}");')
        lines.append(f'_Static_assert(sizeof ((struct k4_shm_header *)0)->{name} == {size}, "{name}");')
    header = (s.ROOT / "csrc" / "k4_shm.h").read_text(encoding="utf-8")
    body = re.search(r"^struct k4_shm_header \{\n(.*?)^\};", header, re.MULTILINE | re.DOTALL)
    assert body
    members = re.findall(r"^    \w+ (\w+)(?:\[\w+\])?;", body[1], re.MULTILINE)
    assert [name for _, name, _ in rows] == [name for name in members if not name.startswith("pad")]
    source = tmp_path / "offsets.c"
    source.write_text("\n".join(["#include <k4.h>", *lines, "int main(void) { return 0; }"]))
    subprocess.run(["gcc", "-std=c11", f"-I{headers}", source, "-o", tmp_path / "offsets"], check=True, timeout=60)


@pytest.mark.usefixtures("trades")
def test_the_c_program(tmp_path: Path, headers: Path) -> None:
    (source,) = blocks("c")
    (tmp_path / "doc.c").write_text(source)
    subprocess.run(["gcc", "-std=c11", *s.STRICT, f"-I{headers}", tmp_path / "doc.c", "-o", tmp_path / "doc"], check=True, timeout=60)
    done = subprocess.run([tmp_path / "doc"], check=True, timeout=10, capture_output=True, text=True)
    assert done.stdout == "".join(f"{n}: 12345 at 10^-2\n" for n in range(3, 10))


@pytest.mark.usefixtures("trades")
def test_the_python_programs() -> None:
    printed = []
    for source in blocks("python"):
        done = subprocess.run([sys.executable, "-c", source], check=True, timeout=20, capture_output=True, text=True, cwd=s.ROOT)
        printed.append(done.stdout)
    assert printed == [
        "".join(f"{n} AAAUSDT 123.45 0.0005 -\n" for n in range(3, 10)) + "newest 109 123.45\n",
        "drained 7 35\nwhole 8\n",
    ]
