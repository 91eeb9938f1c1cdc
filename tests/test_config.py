"""The configuration: what is accepted, and every way it can be wrong, each with place, value and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k4 import config, keypath
from k4._codegen import exchange, fbs, ir, places
from k4._codegen.errors import FindingsError
from k4.errors import K4Error

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def exchanges() -> dict[str, ir.Exchange]:
    records = fbs.load(places.schema() / "records.fbs")
    return {name: exchange.load(places.schema() / "exchange" / f"{name}.toml", records) for name in ("binance", "okx")}


@pytest.fixture(scope="module")
def built_in() -> dict[str, ir.Exchange]:
    records = fbs.load(places.schema() / "records.fbs")
    return {file.stem: exchange.load(file, records) for file in (places.schema() / "exchange").glob("*.toml")}


def entry(**changes: Any) -> dict[str, Any]:
    """A good entry with some keys changed; `...` removes one."""
    good: dict[str, Any] = {"name": "one", "exchange": "binance", "product": "spot", "symbols": ["FOOBAR"], "records": ["bbo"]}
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


def findings(value: object, exchanges: dict[str, ir.Exchange]) -> list[str]:
    """The messages for a configuration, without file and line."""
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(FindingsError) as caught:
        config.parse(text, "c.json", exchanges, cpus={0, 1})
    return [finding.message for finding in caught.value.findings]


def test_defaults_are_those_of_the_documentation(exchanges: dict[str, ir.Exchange]) -> None:
    made = config.parse(json.dumps({"connections": [entry()]}), "c.json", exchanges)
    one = made.connections[0]
    assert (one.ring_slots, one.symbol_capacity, one.cpu, one.endpoints.ws, one.tls.ca_file) == (65536, 4096, None, None, None)
    assert (one.redundancy.connections, one.redundancy.transports) == (1, ["json"])
    assert (made.log.level, made.log.retain_days) == ("info", 14)
    assert one.segments() == {"bbo": "binance_spot_bbo"}


def test_every_example_configuration_is_good(built_in: dict[str, ir.Exchange]) -> None:
    files = sorted((ROOT / "config").glob("*.json"))
    assert [file.stem for file in files] == ["binance", "binance_spot", "binance_spot_sbe", "bitget", "bybit", "everything", "okx"]
    for file in files:
        made = config.load(file, built_in)
        assert [group.name for group in config.groups(made)] == [c.name for c in made.connections]


NAMES = "1 to 48 letters, digits, '_', '-' or '.', not beginning with '-' or '.'"
SEGMENTS = f"{NAMES}, not ending with .lock, .wait or .new"
SYMBOLS = "1 to 48 bytes of UTF-8 without blanks and control characters"
ENDPOINTS = "wss://HOST or wss://HOST:PORT, without path (the path is the exchange spec's)"
ENTRIES: list[tuple[dict[str, Any], str]] = [
    ({"name": ...}, "connections[0].name: is needed"),
    ({"name": "-x"}, f'connections[0].name: "-x" is wrong; allowed: {NAMES}'),
    ({"name": ".x"}, f'connections[0].name: ".x" is wrong; allowed: {NAMES}'),
    ({"name": "x" * 49}, f'connections[0].name: "{"x" * 49}" is wrong; allowed: {NAMES}'),
    ({"name": 7}, "connections[0].name: 7 is wrong; allowed: a text in quotes"),
    ({"exchange": "binanc"}, 'connections[0].exchange: no spec of "binanc" is built; did you mean "binance"?'),
    ({"exchange": "udp"}, 'connections[0].exchange: "udp" is not built yet; remove the entry'),
    ({"product": "sport"}, 'connections[0].product: "binance" has no product "sport"; did you mean "spot"?'),
    ({"symbols": []}, "connections[0].symbols: [] is wrong; at least 1 is needed"),
    ({"symbols": "FOOBAR"}, 'connections[0].symbols: "FOOBAR" is wrong; allowed: a list in [ ]'),
    ({"symbols": ["FOOBAR", "FOOBAR"]}, 'connections[0].symbols[1]: "FOOBAR" is given twice; keep one of them'),
    ({"symbols": ["foobar"]}, 'connections[0].symbols[0]: "foobar": symbols are in upper case here; write "FOOBAR"'),
    (
        {"symbols": ["FOO BAR"]},
        'connections[0].symbols[0]: "FOO BAR" is wrong; allowed: 1 to 48 bytes of UTF-8 without blanks and control characters',
    ),
    (
        {"symbols": ["Ä" * 25]},
        'connections[0].symbols[0]: "' + "Ä" * 25 + '" is wrong; allowed: 1 to 48 bytes of UTF-8 without blanks and control characters',
    ),
    (
        {"records": ["depht5"]},
        'connections[0].records[0]: "depht5" is not allowed; did you mean "depth5"? allowed: bbo trade aggtrade depth5 depth20',
    ),
    (
        {"exchange": "okx", "symbols": ["FOO-BAR"], "records": ["aggtrade"]},
        'connections[0].records[0]: okx spot gives no "aggtrade"; allowed: bbo trade depth5 depth20',
    ),
    ({"records": ["bbo", "bbo"]}, 'connections[0].records[1]: "bbo" is given twice; keep one of them'),
    ({"shm": {"trade": "x"}}, 'connections[0].shm.trade: "trade" is not in records; add it there or remove this'),
    (
        {"shm": {"bbbo": "x"}},
        'connections[0].shm.bbbo: "bbbo" is not allowed; did you mean "bbo"? allowed: bbo trade aggtrade depth5 depth20',
    ),
    (
        {"shm": {"bbo": "../x"}},
        f'connections[0].shm.bbo: "../x" is wrong; allowed: {SEGMENTS}',
    ),
    ({"shm": {"bbo": "x.lock"}}, f'connections[0].shm.bbo: "x.lock" is wrong; allowed: {SEGMENTS}'),
    ({"symbols": ["A\x9b1B"]}, f'connections[0].symbols[0]: "A\\u009b1B" is wrong; allowed: {SYMBOLS}'),
    ({"symbols": ["A\ud800"]}, f'connections[0].symbols[0]: "A\\ud800" is wrong; allowed: {SYMBOLS}'),
    ({"symbols": ["X" * 5000]}, f'connections[0].symbols[0]: "{"X" * 56}... is wrong; allowed: {SYMBOLS}'),
    ({"exchange": "x" * 5000}, f'connections[0].exchange: no spec of "{"x" * 56}... is built; write one of binance okx'),
    ({"exchange": "\x1b[1m"}, 'connections[0].exchange: no spec of "\\u001b[1m" is built; write one of binance okx'),
    ({"records": ["b\ud800"]}, 'connections[0].records[0]: "b\\ud800" is wrong; allowed: a text in quotes'),
    ({"endpoints": {"ws": "wss://a..b"}}, f'connections[0].endpoints.ws: "wss://a..b" is wrong; allowed: {ENDPOINTS}'),
    ({"endpoints": {"ws": "wss://[::::]"}}, f'connections[0].endpoints.ws: "wss://[::::]" is wrong; allowed: {ENDPOINTS}'),
    ({"endpoints": {"ws": "wss://[1.2.3.4]"}}, f'connections[0].endpoints.ws: "wss://[1.2.3.4]" is wrong; allowed: {ENDPOINTS}'),
    ({"endpoints": {"ws": "wss://h:70000"}}, f'connections[0].endpoints.ws: "wss://h:70000" is wrong; allowed: {ENDPOINTS}'),
    ({"endpoints": {"ws": "wss://h:65536"}}, f'connections[0].endpoints.ws: "wss://h:65536" is wrong; allowed: {ENDPOINTS}'),
    ({"endpoints": {"ws": "wss://h:0"}}, f'connections[0].endpoints.ws: "wss://h:0" is wrong; allowed: {ENDPOINTS}'),
    ({"tls": {"ca_file": "a\0b"}}, 'connections[0].tls.ca_file: "a\\u0000b" is wrong; allowed: the path of a file'),
    ({"ring_slots": 1000}, "connections[0].ring_slots: 1000 is wrong; allowed: a power of two; the next one is 1024"),
    ({"ring_slots": 1}, "connections[0].ring_slots: 1 is wrong; allowed: 2 and above"),
    ({"ring_slots": "64"}, 'connections[0].ring_slots: "64" is wrong; allowed: a whole number'),
    ({"symbol_capacity": 0}, "connections[0].symbol_capacity: 0 is wrong; allowed: 1 and above"),
    (
        {"symbol_capacity": 1, "symbols": ["FOOBAR", "BARBAZ"]},
        'connections[0].symbol_capacity: 1 is too small: segment "binance_spot_bbo" holds 2 symbols',
    ),
    ({"redundancy": {"connections": 17}}, "connections[0].redundancy.connections: 17 is wrong; allowed: up to 16"),
    (
        {"redundancy": {"reset_slowest": True}},
        "connections[0].redundancy.reset_slowest: true is wrong; allowed: a whole number",
    ),
    (
        {"redundancy": {"reset_slowest": 5}},
        "connections[0].redundancy.reset_slowest: 5 is wrong; allowed: 10 and above",
    ),
    ({"redundancy": {"transports": ["udp"]}}, 'connections[0].redundancy.transports[0]: "udp" is not built yet; json and sbe are'),
    ({"redundancy": {"transports": ["xml"]}}, 'connections[0].redundancy.transports[0]: "xml" is wrong; allowed: json sbe'),
    ({"redundancy": {"transports": ["json", "json"]}}, 'connections[0].redundancy.transports[1]: "json" is given twice; keep one of them'),
    (
        {"redundancy": {"transports": ["sbe"]}},
        (
            'connections[0]: binance spot needs the secret "api_key" for its SBE endpoint; write "secrets": { "api_key": { "env": "NAME" } }, '
            'or { "file": "PATH" }'
        ),
    ),
    (
        {"secrets": {"api_key": {"env": "KEY"}}},
        'connections[0].secrets.api_key: "api_key" is put in nowhere; remove it, or write "sbe" into redundancy.transports',
    ),
    (
        {"redundancy": {"transports": ["sbe"]}, "secrets": {"api_key": {"env": "KEY", "file": "key"}}},
        'connections[0].secrets.api_key: what stands there is wrong; allowed: one of { "env": "NAME" } and { "file": "PATH" }',
    ),
    (
        {"redundancy": {"transports": ["sbe"]}, "secrets": {"api_key": "Zx81"}},
        "connections[0].secrets.api_key: what stands there is wrong; allowed: an object in { }",
    ),
    (
        {"product": "ubase", "redundancy": {"transports": ["json", "sbe"]}},
        'connections[0].redundancy.transports[1]: binance ubase has no "sbe"; allowed: json',
    ),
    (
        {"records": ["aggtrade"], "redundancy": {"transports": ["json", "sbe"]}, "secrets": {"api_key": {"env": "KEY"}}},
        'connections[0].redundancy.transports[1]: "sbe" brings none of the records; it has: bbo depth20 depth5 trade',
    ),
    ({"redundancy": 2}, "connections[0].redundancy: 2 is wrong; allowed: an object in { }"),
    ({"redundancy": {"conections": 2}}, 'connections[0].redundancy.conections: unknown key; did you mean "connections"?'),
    ({"cpu": 64}, "connections[0].cpu: 64 is not a CPU this process may use; allowed: 0 1"),
    ({"busy_poll": 1}, "connections[0].busy_poll: 1 is wrong; allowed: true or false"),
    (
        {"endpoints": {"ws": "ws://h"}},
        f'connections[0].endpoints.ws: "ws://h" is wrong; allowed: {ENDPOINTS}',
    ),
    (
        {"endpoints": {"rest": "wss://h"}},
        f'connections[0].endpoints.rest: "wss://h" is wrong; allowed: {ENDPOINTS.replace("wss", "https")}',
    ),
    ({"tls": {"verify": False}}, "connections[0].tls.verify: unknown key; write one of ca_file"),
    ({"udp": {"to": "h:1"}}, "connections[0].udp: not built yet; remove it"),
    ({"carries": {}}, "connections[0].carries: not built yet; remove it"),
    ({"trading": {}}, "connections[0].trading: not built yet; remove it"),
    ({"simbols": ["X"]}, 'connections[0].simbols: unknown key; did you mean "symbols"?'),
]


@pytest.mark.parametrize(("changes", "message"), ENTRIES, ids=[message[:60] for _, message in ENTRIES])
def test_a_wrong_entry_is_named(changes: dict[str, Any], message: str, exchanges: dict[str, ir.Exchange]) -> None:
    assert findings({"connections": [entry(**changes)]}, exchanges) == [message]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 48, "symbols": ["Ä" * 24], "shm": {"bbo": "x" * 48}},
        {"ring_slots": 2, "symbol_capacity": 1},
        {"ring_slots": 1 << 26, "symbol_capacity": 1 << 20},
        {"redundancy": {"connections": 16, "reset_slowest": 10}},
        {"redundancy": {"reset_slowest": 86400}},
        {"endpoints": {"ws": "wss://h:1", "rest": "https://h.:65535"}},
        {"endpoints": {"ws": "wss://[::1]:65535"}},
    ],
    ids="+".join,
)
def test_what_is_just_allowed(changes: dict[str, Any], exchanges: dict[str, ir.Exchange]) -> None:
    made = config.parse(json.dumps({"connections": [entry(**changes)]}), "c.json", exchanges).connections[0]
    for key, value in changes.items():
        told = getattr(made, key)
        assert (told.model_dump(exclude_unset=True) if isinstance(value, dict) and key != "shm" else told) == value


TOPS: list[tuple[object, str]] = [
    ({"connections": []}, "connections: [] is wrong; at least 1 is needed"),
    ({}, "connections: is needed"),
    ([], "the file: [] is wrong; allowed: an object in { }"),
    ({"connections": [5]}, "connections[0]: 5 is wrong; allowed: an object in { }"),
    ({"connections": [entry()], "trading": {}}, "trading: not built yet; remove it"),
    ({"connections": [entry()], "secrets": {}}, "secrets: not built yet; remove it"),
    ({"connections": [entry()], "logs": {}}, 'logs: unknown key; did you mean "log"?'),
    ({"connections": [entry()], "log": {"level": "loud"}}, 'log.level: "loud" is not allowed; write one of debug info warning error'),
    ({"connections": [entry()], "log": {"retain_days": 0}}, "log.retain_days: 0 is wrong; allowed: 1 and above"),
    ({"connections": [entry()], "log": {"dir": 1}}, "log.dir: 1 is wrong; allowed: a text in quotes"),
    ({"connections": [entry()], "log": {"dir": ""}}, 'log.dir: "" is wrong; allowed: the path of a folder, or null'),
    ({"connections": [entry()], "log": {"dir": "a\0b"}}, 'log.dir: "a\\u0000b" is wrong; allowed: the path of a folder, or null'),
    ({"connections": [entry()], "a\x1b[1m": 1}, "a\\x1b[1m: unknown key; write one of connections log"),
]


@pytest.mark.parametrize(("value", "message"), TOPS, ids=[message[:60] for _, message in TOPS])
def test_a_wrong_file_is_named(value: object, message: str, exchanges: dict[str, ir.Exchange]) -> None:
    assert findings(value, exchanges) == [message]


def test_entries_share_all_segments_or_none(exchanges: dict[str, ir.Exchange]) -> None:
    both = {"bbo": "a", "trade": "b"}
    one = entry(records=["bbo", "trade"], shm=both)
    same = config.parse(json.dumps({"connections": [one, {**one, "name": "two", "symbols": ["BARBAZ"]}]}), "c", exchanges)
    assert [[c.name for c in group.connections] for group in config.groups(same)] == [["one", "two"]]
    apart = config.parse(json.dumps({"connections": [one, entry(name="two", shm={"bbo": "c"})]}), "c", exchanges)
    assert [group.segments for group in config.groups(apart)] == [both, {"bbo": "c"}]
    some = {"connections": [one, entry(name="two", shm={"bbo": "a"})]}
    assert findings(some, exchanges) == [
        'connections[1].shm.bbo: segment "a" is shared with connections[0], but not all their segments are; share all of them or none'
    ]
    kinds = {"connections": [entry(records=["bbo", "trade"], shm={"bbo": "a", "trade": "a"})]}
    assert findings(kinds, exchanges) == [
        'connections[0].shm.trade: segment "a" is also of record "bbo" (connections[0]); one segment holds one kind'
    ]


def test_entries_of_a_group_agree_on_sizes_and_on_their_worker(exchanges: dict[str, ir.Exchange]) -> None:
    value = {"connections": [entry(), entry(name="two", ring_slots=1024, cpu=1, busy_poll=True)]}
    assert findings(value, exchanges) == [
        "connections[1].ring_slots: 1024, but 65536 in connections[0] of the same group; make them equal",
        "connections[1].cpu: 1, but null in connections[0] of the same group; make them equal",
        "connections[1].busy_poll: true, but false in connections[0] of the same group; make them equal",
    ]


def test_names_are_unique(exchanges: dict[str, ir.Exchange]) -> None:
    value = {"connections": [entry(), entry(shm={"bbo": "other"})]}
    assert findings(value, exchanges) == ['connections[1].name: "one" is also the name of connections[0]; names are unique']


def test_all_findings_come_at_once_with_their_lines(exchanges: dict[str, ir.Exchange]) -> None:
    text = """{
  "connections": [
    {"name": "one", "exchange": "binance", "product": "spot",
     "symbols": ["FOOBAR",
                 "BAD SYMBOL"],
     "records": ["bbo"], "cpu": 0,
     "cpu": 1},
    {"name": "two"}
  ],
  "log": {
    "levle": "info"
  }
}"""
    with pytest.raises(FindingsError) as caught:
        config.parse(text, "c.json", exchanges, cpus={0, 1})
    assert [(finding.line, finding.message.split(":")[0]) for finding in caught.value.findings] == [
        (5, "connections[0].symbols[1]"),
        (7, "connections[0].cpu"),
        (8, "connections[1].exchange"),
        (8, "connections[1].product"),
        (8, "connections[1].symbols"),
        (8, "connections[1].records"),
        (11, "log.levle"),
    ]
    assert "given twice" in caught.value.findings[1].message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n "connections": [\n', 3, "not JSON at column 1: Expecting value"),
        ('{"a": 1,}', 1, "not JSON at column 9: Expecting property name enclosed in double quotes"),
        ('{"connections": NaN}', 1, "not JSON: NaN is not a JSON number"),
        ("", 1, "the file is empty; `k4 config schema` says what may stand in it"),
        ("\ufeff{}", 1, "not JSON: it begins with a byte order mark; save it without one"),
        ("[" * 100_000, 1, "not JSON: nested too deeply"),
        ('{"connections": ' + "9" * 5000 + "}", 1, "not JSON: a number of 5000 digits"),
    ],
)
def test_what_is_no_json_is_told_with_line_and_column(text: str, line: int, message: str, exchanges: dict[str, ir.Exchange]) -> None:
    with pytest.raises(FindingsError) as caught:
        config.parse(text, "c.json", exchanges)
    assert [(f.line, f.message) for f in caught.value.findings] == [(line, message)]


def test_files_that_cannot_be_read(tmp_path: Path, exchanges: dict[str, ir.Exchange]) -> None:
    with pytest.raises(K4Error, match=r"configuration '.*none\.json' cannot be read: No such file or directory"):
        config.load(tmp_path / "none.json", exchanges)
    (tmp_path / "latin").write_bytes(b'{"a": "\xe4"}')
    with pytest.raises(K4Error, match="is not UTF-8 at byte 7"):
        config.load(tmp_path / "latin", exchanges)


def test_paths_are_relative_to_the_file(tmp_path: Path, exchanges: dict[str, ir.Exchange]) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"connections": [entry(tls={"ca_file": "ca.pem"})], "log": {"dir": "logs"}}, indent=1))
    with pytest.raises(FindingsError) as caught:
        config.load(file, exchanges)
    assert str(caught.value) == (f'{file}:14: connections[0].tls.ca_file: "{tmp_path}/ca.pem" is not a file; write the path of a PEM file')
    (tmp_path / "ca.pem").write_text("")
    made = config.load(file, exchanges)
    assert (made.connections[0].tls.ca_file, made.log.dir) == (str(tmp_path / "ca.pem"), str(tmp_path / "logs"))


def test_paths_that_lead_nowhere(tmp_path: Path, exchanges: dict[str, ir.Exchange], monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.json"

    def message(value: object) -> str:
        file.write_text(json.dumps(value))
        with pytest.raises(FindingsError) as caught:
            config.load(file, exchanges)
        return str(caught.value).removeprefix(f"{file}:1: ")

    nobody = "begins with ~, but that user has no home folder; write a path without it"
    assert message({"connections": [entry()], "log": {"dir": "~nobody-here/log"}}) == f'log.dir: "~nobody-here/log" {nobody}'
    assert message({"connections": [entry(tls={"ca_file": "~nobody-here/ca"})]}) == (
        f'connections[0].tls.ca_file: "~nobody-here/ca" {nobody}'
    )
    long = message({"connections": [entry(tls={"ca_file": "x" * 300})]})
    assert long == f'connections[0].tls.ca_file: "{tmp_path}/{"x" * 300}" is not a file; write the path of a PEM file'
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a user number that the system knows nothing of
    file.write_text(json.dumps({"connections": [entry()]}))
    with pytest.raises(K4Error, match="no home folder is known") as caught:
        config.load(file, exchanges)
    assert caught.value.hint == 'name a folder: "log": { "dir": "PATH" } (null: no file), or set XDG_STATE_HOME'


def test_the_report_lists_every_finding(tmp_path: Path, exchanges: dict[str, ir.Exchange]) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"connections": [entry(ring_slots=3, udp={})]}))
    with pytest.raises(K4Error) as caught:
        config.load_reported(file, exchanges)
    assert str(caught.value).splitlines() == [
        f"{file}: 2 findings",
        f"{file}:1: connections[0].ring_slots: 3 is wrong; allowed: a power of two; the next one is 4",
        f"{file}:1: connections[0].udp: not built yet; remove it",
    ]


def test_the_schema_names_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert config.schema() == 0
    schema = json.loads(capsys.readouterr().out)
    assert sorted(schema["$defs"]["Connection"]["properties"]) == sorted(config.Connection.model_fields)
    assert schema["additionalProperties"] is False


def test_key_places_agree_with_the_parser() -> None:
    text = '{"a": [1, {"b\\"c": "x, ] } :"}, [], [[true]]],\n "d": {"e": null,\n"é": -1.5e3}, "d": 2}'
    places = keypath.places(text)
    assert places.twice == ((("d",), 3),)
    assert places.lines[("a", 1, 'b"c')] == 1
    assert places.lines[("a", 3, 0, 0)] == 1
    assert places.lines[("d", "é")] == 3
    assert places.line(("a", 1, "none", 5)) == 1

    def leaves(value: object, keys: keypath.Keys = ()) -> list[keypath.Keys]:
        if isinstance(value, dict):
            return [keys, *(leaf for key, item in value.items() for leaf in leaves(item, (*keys, key)))]
        if isinstance(value, list):
            return [keys, *(leaf for n, item in enumerate(value) for leaf in leaves(item, (*keys, n)))]
        return [keys]

    assert set(leaves(json.loads(text))) <= set(places.lines)
    assert keypath.show(("connections", 0, "symbols", 3)) == "connections[0].symbols[3]"


def table() -> str:
    """The reference of docs/running.md, made from the models."""
    schema = config.Config.model_json_schema()
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]

    def kind(field: dict[str, Any]) -> str:
        if "enum" in field:
            return " ".join(f"`{word}`" for word in field["enum"])
        if "anyOf" in field:
            return " or ".join(kind(option) for option in field["anyOf"])
        if field.get("type") == "array":
            return f"list of {kind(field['items'])}"
        if field.get("type") == "object":
            return "object"
        low, high = field.get("minimum"), field.get("maximum")
        bounds = "" if low is None else f" ≥ {low}" if high is None else f" {low} to {high}"
        return {"integer": "whole number", "string": "text", "null": "null", "boolean": "true or false"}[field["type"]] + bounds

    def walk(model: dict[str, Any], prefix: str) -> None:
        for name, field in model["properties"].items():
            items = field.get("items", {})
            reference = field.get("$ref") or items.get("$ref")
            if reference is not None:
                walk(schema["$defs"][reference.rsplit("/", 1)[1]], f"{prefix}{name}{'[]' if items else ''}.")
                continue
            default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
            default = "**needed**" if name in model.get("required", []) else default
            rows.append(f"| `{prefix}{name}` | {kind(field)} | {default} | {field['description']} |")

    walk(schema, "")
    return "\n".join(rows)


def test_the_documentation_has_every_key() -> None:
    text = (ROOT / "docs" / "running.md").read_text()
    begin = "<!-- table: from the models in k4/config.py; tests/test_config.py compares -->\n"
    documented = text.split(begin)[1].split("<!-- end of table -->")[0].strip()
    assert documented == table(), f"docs/running.md should have this table:\n{table()}"
