"""The reference page says what the checker knows: its tables are the checker's, its specs pass, its findings are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k4._codegen import fields, ir, keys, specdoc

from .specs import RECORDS, ROOT, findings
from .test_check import SAMPLES

PAGE = (ROOT / "docs/spec-language.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCHEMAS = {str(re.search('package="(\\w+)"', text)[1]): text for kind, text in BLOCKS if kind == "xml"}  # type: ignore[index]
SPECS = [text for kind, text in BLOCKS if kind == "toml"]


@pytest.mark.parametrize("text", SPECS, ids=lambda text: str(text).split('"')[1])
def test_specs_of_the_page_pass(text: str, tmp_path: Path) -> None:
    for name, schema in SCHEMAS.items():
        (tmp_path / f"{name}.xml").write_text(schema)
    assert findings(text, tmp_path, text.split('"')[1] + ".toml") == []


def test_page_has_specs() -> None:
    assert [text.split('"')[1] for text in SPECS] == ["orbit", "lumen", "tide", "buoy"]


def test_tables_are_up_to_date() -> None:
    assert specdoc.refresh(PAGE, RECORDS) == PAGE, "run: python -m codegen.specdoc"


def test_every_key_word_and_field_is_on_the_page() -> None:
    tables = dict(re.findall(r"<!-- table: (\w+) -->\n(.*?)<!-- end -->", PAGE, re.DOTALL))
    assert set(tables) == set(specdoc.tables(RECORDS))
    for key in keys.KEYS:
        assert f"| `{key.name}` | {', '.join(key.tables)} |" in tables["keys"]
    assert len(keys.KEYS) == 27
    for limit in keys.LIMITS:
        assert f"| `{limit.name}` |" in tables["limits"]
    for word in fields.all_words():
        assert f"| `{word}` |" in tables["words"]
    for record in (*ir.MARKET_RECORDS, "instrument", "ack"):
        for rule in fields.rules(record, RECORDS):
            assert f"`{rule.name}`" in tables[record]
    for record in (*ir.MARKET_RECORDS, *ir.CONTROL_RECORDS, *ir.FETCHED_RECORDS):
        assert re.search(rf"^### .*\b{record}\b", PAGE, re.MULTILINE), record


def test_findings_of_the_page_are_real() -> None:
    shown = [line for kind, text in BLOCKS if kind == "text" for line in text.splitlines()]
    real = [f"nova.toml:{expected[-1]}" for _, expected in SAMPLES]
    assert shown == real
