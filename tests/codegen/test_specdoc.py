"""The reference page says what the checker knows: its tables are the checker's, its specs pass, its findings are real."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from k4._codegen import exchange, fields, ir, keys, notation, pathtext, specdoc
from k4._codegen.check_fields import ORDERS

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
    assert len(keys.KEYS) == 29
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


# --------------------------------------------------------------------------- the notations


def test_every_notation_is_told() -> None:
    assert {row.made for row in notation.PATHS} - {None} == set(typing.get_args(ir.Step))
    assert {row.made for row in notation.TEXTS} - {None} == {ir.Lit, ir.Ref, ir.Star}
    assert {row.made for row in notation.SOURCES} == set(typing.get_args(ir.Source))
    assert set(notation.WORDS) == set(fields.all_words())
    assert set(notation.TYPES) == set(fields.WORDS) - {"qty", "decimal"}
    assert set(notation.RECORDS) == {*ir.MARKET_RECORDS, *ir.CONTROL_RECORDS, *ir.FETCHED_RECORDS}
    assert set(notation.ORDERS) == {order for orders in ORDERS.values() for order in orders}


@pytest.mark.parametrize("row", notation.PATHS, ids=lambda row: row.samples[0])
def test_paths_read_as_they_are_told(row: notation.Notation) -> None:
    for sample in row.samples:
        path = pathtext.parse_path(sample)
        assert row.made is None or row.made in [type(step) for step in path.steps]
        assert (path.element, path.optional) == (sample.startswith("@"), sample.endswith("?"))


@pytest.mark.parametrize("row", notation.TEXTS, ids=lambda row: row.samples[0] or "absent")
def test_texts_read_as_they_are_told(row: notation.Notation) -> None:
    for sample in row.samples:
        parts = pathtext.parse_text(sample, True).parts
        assert [type(part) for part in parts] == ([row.made] if row.made else [])
        assert parts != () or sample == ""


def test_sources_read_as_they_are_told(tmp_path: Path) -> None:
    """The samples as the fields of a message."""
    lines = "\n".join(sample for row in notation.SOURCES for sample in row.samples)
    text = f'name = "probe"\n[[message]]\nrecord = "trade"\n[message.fields]\n{lines}\n'
    (tmp_path / "probe.toml").write_text(text)
    read, _ = exchange.read(tmp_path / "probe.toml", RECORDS)
    assert read is not None
    made = [type(field.source) for field in read.messages[0].fields]
    assert made == [row.made for row in notation.SOURCES for _ in row.samples]


@pytest.mark.parametrize("name", notation.NAMES)
def test_vars_may_not_take_the_names_of_the_language(name: str, tmp_path: Path) -> None:
    text = f'name = "probe"\n[product.spot]\nurl = "wss://h.example/x"\nvars = {{ {name} = "x" }}\n'
    assert f'probe.toml:4: product "spot": vars: "{name}" has a meaning of its own; choose another name' in findings(
        text, tmp_path, "probe.toml"
    )
