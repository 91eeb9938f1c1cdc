"""gcc's analyzer sees what is wrong inside a generated function that is read apart from all others, and says the right line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from k4._codegen import build, generate
from tests.c import analyze

TEXT = """#include <stdlib.h>
#define K4_SLOW __attribute__((cold, noinline))
int *made(
    int value);
static K4_SLOW int taken(
    const int *p) /* what stands at p */
{
    return *p;
}

static inline int *room(void)
{
    return NULL;
}

int *made(
    int value)
{
    int *p = malloc(sizeof *p);
    if (p != NULL)
        *p = taken(&value);
    return p;
}
"""
WRONG = TEXT.replace("    if (p != NULL)\n", "    (void)room();\n")


def test_a_function_apart_is_analyzed_and_its_lines_are_kept(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there")
    source = tmp_path / "one.c"
    source.write_text(analyze.apart(TEXT))
    assert re.findall(r"\bapart_\w+", source.read_text()) == ["apart_taken", "apart_room", "apart_made"]
    assert analyze.analyze(source, [])[1] == ""
    source.write_text(analyze.apart(WRONG))
    assert re.search(
        r"one\.c:21:12: warning: dereference of possibly-NULL .*-Wanalyzer-possible-null-dereference", analyze.analyze(source, [])[1]
    )


def test_every_function_of_generated_c_is_apart() -> None:
    for name, text in generate.generate(*build.load()).items():
        if name.endswith(".c"):
            assert len(re.findall(r"\bapart_\w+", analyze.apart(text))) == len(re.findall(r"^\{", text, re.MULTILINE)), name
