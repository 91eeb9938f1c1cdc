"""The configuration: its models, how a file becomes them, and everything that can be wrong with it, found at once.

Two passes: pydantic checks shape, types and ranges; `k4.configcheck` checks what the models cannot know (the built specs, segments
that several entries name). Every finding has file, line, key path, value and what is allowed.
The built specs are passed in.
Imports pydantic, `configcheck`, `errors`, `instrument`, `keypath`, `log`, `segments` and, of the generator, `errors` and `ir`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from . import configcheck, instrument, keypath, segments
from ._codegen import ir
from ._codegen.errors import Finding, FindingsError, did_you_mean
from .errors import K4Error
from .log import default_dir

RecordWord = Literal["bbo", "trade", "aggtrade", "depth5", "depth20"]
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,47}")
_ENDPOINT = re.compile(r"(wss|https)://(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}\.?)(:[0-9]{1,5})?")

# Keys of the agreed configuration that are valid but not there yet: they are refused, never ignored.
NOT_BUILT = {
    ("trading",),
    ("secrets",),
    ("connections", "*", "trading"),
    ("connections", "*", "udp"),
    ("connections", "*", "carries"),
}


class _WrongError(ValueError):
    """A value that its validator refuses; the text says what is allowed."""


_NAMES = "1 to 48 letters, digits, '_', '-' or '.', not beginning with '-' or '.'"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise _WrongError(_NAMES)
    return text


def _segment(text: str) -> str:
    if not _NAME.fullmatch(text) or text.endswith(segments.BESIDE):
        raise _WrongError(f"{_NAMES}, not ending with .lock, .wait or .new")
    return text


def _symbol(text: str) -> str:
    if not instrument.is_symbol(text):
        raise _WrongError("1 to 48 bytes of UTF-8 without blanks and control characters")
    return text


def _path(what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text or "\0" in text:
            raise _WrongError(what)
        return text

    return check


def _secret_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text, re.ASCII):
        raise _WrongError("letters, digits and '_', not beginning with a digit")
    return text


def _power_of_two(number: int) -> int:
    if number & (number - 1):
        raise _WrongError(f"a power of two; the next one is {1 << number.bit_length()}")
    return number


def _transport(text: str) -> str:
    if text == "udp":
        raise _WrongError("not built yet; json and sbe are")
    if text not in ("json", "sbe"):
        raise _WrongError("json sbe")
    return text


def _is_host(text: str) -> bool:
    """Whether what is in brackets is an address."""
    try:
        return not text.startswith("[") or bool(ipaddress.IPv6Address(text[1:-1]))
    except ValueError:
        return False


def _endpoint(scheme: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        match = _ENDPOINT.fullmatch(text)
        if match is None or match[1] != scheme or not 0 < int((match[3] or ":443")[1:]) < 65536 or not _is_host(match[2]):
            raise _WrongError(f"{scheme}://HOST or {scheme}://HOST:PORT, without path (the path is the exchange spec's)")
        return text

    return check


Name = Annotated[str, AfterValidator(_name)]
Segment = Annotated[str, AfterValidator(_segment)]
File = Annotated[str, AfterValidator(_path("the path of a file"))]
Symbol = Annotated[str, AfterValidator(_symbol)]
SecretName = Annotated[str, AfterValidator(_secret_name)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Redundancy(_Model):
    connections: int = Field(
        default=1, ge=1, le=16, description="Connections of each transport that carry the same streams and compete in one arbiter."
    )
    transports: list[Annotated[str, AfterValidator(_transport)]] = Field(
        default_factory=lambda: ["json"],
        min_length=1,
        description="What to receive by: `json`, `sbe` where the spec has it; of both, the first arrival of an update counts.",
    )
    reset_slowest: int | None = Field(
        default=None,
        ge=10,
        le=86400,
        description="Dial a connection anew that has been clearly the slowest of its transport for so many seconds; null = never.",
    )


class Endpoints(_Model):
    ws: Annotated[str, AfterValidator(_endpoint("wss"))] | None = Field(
        default=None, description="`wss://HOST[:PORT]` to connect to instead of the spec's; path and query stay."
    )
    sbe: Annotated[str, AfterValidator(_endpoint("wss"))] | None = Field(
        default=None, description="`wss://HOST[:PORT]` to connect to for SBE instead of the spec's; path and query stay."
    )
    rest: Annotated[str, AfterValidator(_endpoint("https"))] | None = Field(
        default=None, description="`https://HOST[:PORT]` to fetch from instead of the spec's; path and query stay."
    )


class Secret(_Model):
    """Where a value stands that no configuration may hold."""

    env: str | None = Field(default=None, min_length=1, description="Environment variable that holds it.")
    file: File | None = Field(default=None, description="File of mode 0600 that holds nothing else; relative to this file's folder.")

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise _WrongError('one of { "env": "NAME" } and { "file": "PATH" }')
        return self


class Tls(_Model):
    ca_file: File | None = Field(default=None, description="PEM file of further CAs to trust; relative to this file's folder.")


class Connection(_Model):
    """One entry of `connections`: streams of one product, over one or more redundant connections."""

    name: Name = Field(description="Appears in logs and, as `name#0` …, in the segments' source tables.")
    exchange: str = Field(description="Name of an exchange spec.")
    product: str = Field(description="A product of that exchange.")
    symbols: list[Symbol] = Field(
        min_length=1,
        description="The venue's own symbols; unified ones (`BTC-USDT`, `BTC-USDT-PERP`, `BTC-USDT-261225`); patterns (`*USDT`).",
    )
    records: list[RecordWord] = Field(min_length=1, description="What to receive.")
    shm: dict[RecordWord, Segment] = Field(
        default_factory=dict, description="Segment per record; `<exchange>_<product>_<record>` where not given."
    )
    ring_slots: Annotated[int, Field(ge=2, le=1 << 26), AfterValidator(_power_of_two)] = Field(
        default=65536, description="Records that each ring holds, a power of two."
    )
    symbol_capacity: int = Field(default=4096, ge=1, le=1 << 20, description="Symbols that each segment has room for.")
    redundancy: Redundancy = Field(default_factory=Redundancy)
    cpu: int | None = Field(default=None, ge=0, description="Pin the worker of this group to this CPU.")
    busy_poll: bool = Field(
        default=False, description="The worker of this group never sleeps while it waits: some microseconds less, for all of a CPU."
    )
    endpoints: Endpoints = Field(default_factory=Endpoints)
    tls: Tls = Field(default_factory=Tls)
    secrets: dict[SecretName, Secret] = Field(
        default_factory=dict,
        description='Name → `{ "env": "NAME" }` or `{ "file": "PATH" }`: what the spec\'s `headers` put in for `$name`.',
    )

    def segments(self) -> dict[str, str]:
        """Record word → segment name, for every record of this entry."""
        return {record: self.shm.get(record, f"{self.exchange}_{self.product}_{record}") for record in self.records}


class Log(_Model):
    dir: Annotated[str, AfterValidator(_path("the path of a folder, or null"))] | None = Field(
        default_factory=lambda: str(default_dir()),
        description="Folder of the daily files, relative to this file's folder; null = no file. Default: `$XDG_STATE_HOME/k4/log`.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged.")
    retain_days: int = Field(default=14, ge=1, le=3650, description="Days that a log file is kept.")


class Config(_Model):
    """A K4 configuration file."""

    connections: list[Connection] = Field(min_length=1, description="What to receive.")
    log: Log = Field(default_factory=Log)


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that name the same segments: one worker process, one arbiter per (exchange, product, record)."""

    name: str
    connections: tuple[Connection, ...]

    @property
    def segments(self) -> dict[str, str]:
        """Record word → segment name."""
        return self.connections[0].segments()


def groups(config: Config) -> tuple[Group, ...]:
    """The groups of a checked configuration, in file order, named after their first entry."""
    found: dict[frozenset[str], list[Connection]] = {}
    for entry in config.connections:
        found.setdefault(frozenset(entry.segments().values()), []).append(entry)
    return tuple(Group(members[0].name, tuple(members)) for members in found.values())


def parse(text: str, file: str, exchanges: Mapping[str, ir.Exchange], *, cpus: Iterable[int] | None = None) -> Config:
    """Reads the text of a configuration file. Raises FindingsError with everything that is wrong.

    `exchanges`: the built specs. `cpus`: those this process may use (default: asks the system).
    """
    value = _json(text, file)
    places = keypath.places(text)
    findings = [Finding(file, line, f"{keypath.show(keys)}: this key is given twice; keep one of them") for keys, line in places.twice]
    config: Config | None = None
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        findings += [Finding(file, places.line(_keys(e)), _sentence(e)) for e in error.errors()]
    if isinstance(value, dict):
        usable = set(os.sched_getaffinity(0) if cpus is None else cpus)
        found = configcheck.findings(value, exchanges, usable, shape)
        findings += [Finding(file, places.line(item.keys), item.message) for item in found]
    if findings or config is None:
        raise FindingsError(findings)
    return config


def _json(text: str, file: str) -> object:
    if not text.strip():
        raise FindingsError([Finding(file, 1, "the file is empty; `k4 config schema` says what may stand in it")])
    if text.startswith("\ufeff"):
        raise FindingsError([Finding(file, 1, "not JSON: it begins with a byte order mark; save it without one")])
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_int)
    except json.JSONDecodeError as error:
        raise FindingsError([Finding(file, error.lineno, f"not JSON at column {error.colno}: {error.msg}")]) from error
    except _WrongError as error:
        raise FindingsError([Finding(file, 1, f"not JSON: {error}")]) from error
    except RecursionError as error:
        raise FindingsError([Finding(file, 1, "not JSON: nested too deeply")]) from error


def load(path: Path, exchanges: Mapping[str, ir.Exchange]) -> Config:
    """Reads a configuration file; `log.dir` and `tls.ca_file` come back as absolute paths. Raises K4Error or FindingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise K4Error(f"configuration {str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise K4Error(f"configuration {str(path)!r} is not UTF-8 at byte {error.start}") from error
    config = parse(text, str(path), exchanges)
    placed = _Placed(path, text)
    log = config.log.model_copy(update={"dir": placed.path(config.log.dir, ("log", "dir"))})
    entries: list[Connection] = []
    for index, entry in enumerate(config.connections):
        keys = ("connections", index)
        secrets = {
            name: secret if secret.file is None else Secret(file=placed.path(secret.file, (*keys, "secrets", name, "file")))
            for name, secret in entry.secrets.items()
        }
        tls = Tls(ca_file=placed.file(entry.tls.ca_file, (*keys, "tls", "ca_file")))
        entries.append(entry.model_copy(update={"secrets": secrets, "tls": tls}))
    if placed.findings:
        raise FindingsError(placed.findings)
    return config.model_copy(update={"log": log, "connections": entries})


class _Placed:
    """Paths of a configuration made absolute: they are relative to its folder, `~` is a home folder. What is wrong: in `findings`."""

    def __init__(self, config: Path, text: str) -> None:
        self._config = config
        self._places = keypath.places(text)
        self.findings: list[Finding] = []

    def path(self, path: str | None, keys: keypath.Keys) -> str | None:
        if path is None:
            return None
        try:
            return str(self._config.resolve().parent / Path(path).expanduser())
        except RuntimeError:
            self._wrong(keys, f"{keypath.quoted(path)} begins with ~, but that user has no home folder; write a path without it")
            return path

    def file(self, path: str | None, keys: keypath.Keys) -> str | None:
        """The same of a PEM file, which must be there."""
        found = len(self.findings)
        path = self.path(path, keys)
        if path is not None and len(self.findings) == found and not os.path.isfile(path):  # noqa: PTH113 (False for names too long, too)
            self._wrong(keys, f'"{path}" is not a file; write the path of a PEM file')
        return path

    def _wrong(self, keys: keypath.Keys, message: str) -> None:
        self.findings.append(Finding(str(self._config), self._places.line(keys), f"{keypath.show(keys)}: {message}"))


def load_reported(path: Path, exchanges: Mapping[str, ir.Exchange]) -> Config:
    """`load`, with the findings as one K4Error whose message lists them all."""
    try:
        return load(path, exchanges)
    except FindingsError as error:
        raise findings_error(path, error.findings) from error


def findings_error(path: Path, findings: Sequence[Finding]) -> K4Error:
    """All findings as one error."""
    count = len(findings)
    return K4Error(f"{path}: {count} finding{'s' if count > 1 else ''}\n" + "\n".join(str(f) for f in findings))


def schema() -> int:
    """`k4 config schema`: prints the JSON Schema of the configuration."""
    print(json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False))
    return 0


def _no_constant(text: str) -> object:
    raise _WrongError(f"{text} is not a JSON number")


def _int(text: str) -> int:
    """Nothing here takes so many digits, and Python refuses thousands of them in words of its own."""
    if len(text) > 400:
        raise _WrongError(f"a number of {len(text)} digits")
    return int(text)


def shape(entry: Mapping[str, object]) -> configcheck.Shape | None:
    """What an entry asks of its segments; None where it is not well-formed by itself."""
    try:
        checked = Connection.model_validate(entry)
    except ValidationError:
        return None
    return configcheck.Shape(
        segments=checked.segments(),
        symbols=frozenset((checked.exchange, checked.product, symbol) for symbol in checked.symbols),
        symbol_capacity=checked.symbol_capacity,
        alike={
            "ring_slots": checked.ring_slots,
            "symbol_capacity": checked.symbol_capacity,
            "cpu": checked.cpu,
            "busy_poll": checked.busy_poll,
        },
    )


# --------------------------------------------------------------------------- findings of the models


def _keys(error: ErrorDetails) -> keypath.Keys:
    # For a wrong key of a dict pydantic appends "[key]"; the key itself is the place.
    return tuple(part for part in error["loc"] if part != "[key]")


def _sentence(error: ErrorDetails) -> str:
    keys = _keys(error)
    where = keypath.show(keys) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        if tuple("*" if isinstance(key, int) else key for key in keys) in NOT_BUILT:
            return f"{where}: not built yet; remove it"
        return f"{where}: unknown key{did_you_mean(str(keys[-1]), _allowed_keys(keys[:-1]))}"
    if kind == "missing":
        return f"{where}: is needed"
    context = error.get("ctx", {})
    value = keys[-1] if "[key]" in error["loc"] else error["input"]
    shown = keypath.quoted(value)
    if "secrets" in keys:
        shown = "what stands there"  # it may be the value itself, written where it must not be
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        guess = did_you_mean(str(value), allowed)
        return f"{where}: {shown} is not allowed{guess}" + ("" if guess.startswith("; write") else f" allowed: {' '.join(allowed)}")
    if kind == "value_error":
        reason = str(context.get("error", error["msg"]))
        not_built = reason.startswith("not built")
        return f"{where}: {shown} is {reason}" if not_built else f"{where}: {shown} is wrong; allowed: {reason}"
    allowed_text = _ALLOWED.get(kind)
    return f"{where}: {shown} is wrong; {error['msg'] if allowed_text is None else allowed_text.format(**context)}"


_ALLOWED = {
    "string_type": "allowed: a text in quotes",
    "string_unicode": "allowed: a text in quotes",
    "string_too_short": "at least {min_length} character is needed",
    "int_type": "allowed: a whole number",
    "bool_type": "allowed: true or false",
    "list_type": "allowed: a list in [ ]",
    "dict_type": "allowed: an object in {{ }}",
    "model_type": "allowed: an object in {{ }}",
    "model_attributes_type": "allowed: an object in {{ }}",
    "too_short": "at least {min_length} is needed",
    "greater_than_equal": "allowed: {ge} and above",
    "less_than_equal": "allowed: up to {le}",
}


def _allowed_keys(keys: keypath.Keys) -> list[str]:
    """The keys that may stand in the object at `keys`."""
    model: type[BaseModel] = Config
    for key in keys:
        if isinstance(key, str):
            model = _MODELS.get(key, model)
    return list(model.model_fields)


_MODELS: dict[str, type[BaseModel]] = {
    "connections": Connection,
    "log": Log,
    "redundancy": Redundancy,
    "endpoints": Endpoints,
    "tls": Tls,
    "secrets": Secret,
}
