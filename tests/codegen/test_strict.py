"""What is generated compiles without a warning, optimised, by each compiler that is there: here and not beside the tests of what it does,
which `make test` runs only as `make coverage` compiles them. What is generated of the built-in specs, `make ctest` compiles as strictly.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k4._codegen import exchange, fast, generate
from tests.codegen import compiled
from tests.codegen.compiled import RECORDS
from tests.codegen.test_fast import SPECS
from tests.codegen.test_sbe_decode import YARD
from tests.codegen.test_tolerant import PROBE, load

V3 = ("-march=x86-64-v3",)


@pytest.fixture(params=["gcc", "clang"])
def compiler(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def test_tolerant_tier(tmp_path: Path, compiler: str) -> None:
    """Of a spec that uses every construct."""
    source = compiled.write_sources(tmp_path, load(tmp_path, PROBE, "probe"))[0]
    compiled.compile_all(tmp_path, [source], tmp_path / "part.o", "-c", "-O2", compiler=compiler)


@pytest.mark.parametrize(("name", "flags"), [("binance", V3), ("quick", ()), ("quick", V3)], ids=["binance-v3", "quick-baseline", "quick-v3"])
def test_fast_tier(tmp_path: Path, compiler: str, name: str, flags: tuple[str, ...]) -> None:
    (tmp_path / "k4_records.h").write_text(generate.records_header(RECORDS))
    source = tmp_path / f"{name}.c"
    source.write_text(fast.render_exchange(exchange.load(SPECS[name], RECORDS), RECORDS))
    compiled.compile_all(tmp_path, [source], tmp_path / "part.o", "-c", "-O2", *flags, compiler=compiler)


@pytest.mark.parametrize("optimised", ["-O0", "-O3"])
def test_sbe(tmp_path: Path, compiler: str, optimised: str) -> None:
    """Of every construct of a schema."""
    for name, text in generate.generate(RECORDS, [exchange.load(YARD, RECORDS)]).items():
        (tmp_path / name).write_text(text)
    compiled.compile_all(tmp_path, [tmp_path / "k4_yard_sbe.c"], tmp_path / "part.o", "-c", optimised, compiler=compiler)
