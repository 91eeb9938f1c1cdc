"""Reads an exchange spec: TOML → `ir.Exchange`, with every finding of the file at once.

This module knows the shape of the language: which key stands where and of what type its value is. What the words in those
places mean is judged by `check` afterwards. May import `check`, `errors`, `ir`, `keylines`, `keys`, `places`, `sbe`,
`spec`, `specmessage`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

from . import check, ir, keylines, keys, places, sbe
from .errors import Finding, FindingsError
from .spec import Spec, Table
from .specmessage import read_message

_RATE = re.compile(r"([1-9][0-9]*)/([0-9]+(?:\.[0-9]+)?)s")


# What the handshake itself says.
_OWN_HEADERS = (
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)


def load(path: Path, records: ir.Records) -> ir.Exchange:
    """The exchange that `path` describes, its examples tried. Raises FindingsError with all that is wrong, OSError if unreadable."""
    exchange, findings = read(path, records)
    if findings or exchange is None:
        raise FindingsError(findings)
    return exchange


def read(path: Path, records: ir.Records) -> tuple[ir.Exchange | None, tuple[Finding, ...]]:
    """The exchange as far as it could be read, and everything that is wrong with it, in file order.

    None when the file is no TOML. An exchange that comes with findings is only good for looking at.
    """
    exchange, spec, findings = _parse(path, records)
    if exchange is not None and spec is not None:
        findings = (*findings, *check.check(spec, exchange))
    return exchange, FindingsError(findings).findings


def _parse(path: Path, records: ir.Records) -> tuple[ir.Exchange | None, Spec | None, tuple[Finding, ...]]:
    file = str(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, None, (Finding(file, line, f"byte 0x{data[error.start]:02x} is not UTF-8; a spec is a UTF-8 text"),)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, None, (_toml_finding(file, text, str(error)),)
    spec = Spec(file, keylines.scan(text), records)
    exchange = _exchange(spec, spec.table(content, ()), path.stem)
    schemas, findings = _schemas(spec, exchange, path.parent)
    return replace(exchange, schemas=schemas), spec, (*spec.findings, *findings)


def _schemas(spec: Spec, exchange: ir.Exchange, folder: Path) -> tuple[tuple[ir.SbeSchema, ...], list[Finding]]:
    """The SBE schemas that the products name, each once, and what is wrong with them."""
    found: dict[str, ir.SbeSchema] = {}
    findings: list[Finding] = []
    for endpoint in (product.sbe for product in exchange.products):
        if endpoint is None or endpoint.schema in ("", *found):
            continue
        files = [place / f"{endpoint.schema}.xml" for place in (folder, places.schema() / "sbe")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            spec.find(endpoint.line, "", f'schema = "{endpoint.schema}": there is no {endpoint.schema}.xml beside this file')
            continue
        schema, wrong = sbe.read(file)
        findings += wrong
        if schema is not None and not wrong:
            found[endpoint.schema] = schema
    return tuple(found.values()), findings


def _toml_finding(file: str, text: str, message: str) -> Finding:
    place = re.search(r" \(at line ([0-9]+), column ([0-9]+)\)", message)
    what = re.sub(r" \(at .*\)$", "", message)
    if place:
        return Finding(file, int(place[1]), f"not TOML: {what}, at column {place[2]}")
    return Finding(file, text.rstrip("\n").count("\n") + 1, f"not TOML: {what}, at the end of the file")


def _exchange(spec: Spec, top: Table, stem: str) -> ir.Exchange:
    top.only(*keys.of(keys.TOP))
    name = top.text("name", required=True)
    if name is not None and name != stem:
        spec.find(top.at("name"), "", f'name = "{name}" must equal the file name; write name = "{stem}" or call the file {name}.toml')
    if name is not None and not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        spec.find(top.at("name"), "", f'name = "{name}": a name is lower-case letters, digits, - and _, and begins with a letter')
    common = top.sub("session")
    defaults = {}
    if common:
        common.only(*keys.of(keys.SESSION))
        defaults = dict(common.values)
    products = tuple(_product(spec, table, name, common, defaults) for name, table in top.subs("product"))
    if not products:
        spec.find(1, "", "no product; write [product.NAME] with a url")
    names = tuple(product.name for product in products)
    messages = tuple(message for table in top.tables("message") if (message := read_message(spec, table, names)) is not None)
    if not messages and "message" not in top.values:
        spec.find(1, "", "no message; write [[message]] with a record")
    return ir.Exchange(stem if name is None else name, spec.file, products, messages)


def _product(spec: Spec, table: Table, name: str, common: Table | None, defaults: dict[str, object]) -> ir.Product:
    table.who = f'product "{name}"'
    table.only(*keys.of(keys.PRODUCT))
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        spec.find(table.line, table.who, "a product's name is lower-case letters, digits, - and _, and begins with a letter")
    url = table.template("url", required=True)
    own = {key: table for key in keys.of(keys.SESSION) if key in table.values}

    def side(key: str) -> Table | None:
        if key in own:
            return own[key]
        return common if common is not None and key in defaults else None

    encoding_at = side("encoding")
    encoding = encoding_at.text("encoding") if encoding_at else None
    if encoding_at and encoding is not None and encoding not in ("gzip", "deflate"):
        spec.find(encoding_at.at("encoding"), encoding_at.who, f'encoding = "{encoding}" is not known; write one of gzip deflate')
    elif encoding_at and encoding is not None and "sbe" in table.values:
        what = f'encoding = "{encoding}" of product "{name}", whose binary frames are SBE; take one of them out'
        spec.find(encoding_at.at("encoding"), encoding_at.who, what)
    session = ir.Session(
        subscribe=_request(side("subscribe"), "subscribe"),
        unsubscribe=_request(side("unsubscribe"), "unsubscribe"),
        ping=_ping(side("ping")),
        limits=_limits(side("limits")),
        encoding=encoding,
    )
    return ir.Product(name, url or ir.Text((), ""), table.vars(), session, table.line, _sbe(table))


def _sbe(parent: Table) -> ir.Sbe | None:
    table = parent.sub("sbe")
    if table is None:
        return None
    table.only(*keys.of(keys.SBE))
    schema, url = table.text("schema", required=True), table.template("url", required=True)
    if schema is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", schema):
        table.wrong("schema", f'schema = "{schema}": a name of letters, digits, - and _, without folder and ending')
        schema = None
    inner = table.sub("headers")
    headers: list[tuple[str, ir.Text]] = []
    for name in inner.values if inner else ():
        text = inner.template(name) if inner else None
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in _OWN_HEADERS:
            table.spec.find(
                table.spec.line((*table.where, "headers", name)), table.who, f'headers: "{name}" is no header that can be added'
            )
        elif text is not None:
            headers.append((name, text))
    return ir.Sbe(schema or "", url or ir.Text((), ""), tuple(headers), table.line)


def _request(parent: Table | None, key: str) -> ir.Request | None:
    table = parent.sub(key) if parent else None
    if table is None:
        return None
    table.only(*keys.of(key))
    send = table.template("send", required=True)
    return ir.Request(send, table.template("arg"), table.line) if send is not None else None


def _ping(parent: Table | None) -> ir.Ping | None:
    table = parent.sub("ping") if parent else None
    if table is None:
        return None
    table.only(*keys.of(keys.PING))
    return ir.Ping(table.template("send"), table.seconds("every_s"), table.line)


def _limits(parent: Table | None) -> ir.Limits:
    table = parent.sub("limits") if parent else None
    if table is None:
        return ir.Limits()
    table.only(*(limit.name for limit in keys.LIMITS), what="limit")
    return ir.Limits(
        silence_s=table.seconds("silence_s"),
        age_s=table.seconds("age_s"),
        streams=table.count("streams"),
        args=table.count("args"),
        bytes=table.count("bytes"),
        requests=_rates(table, "requests"),
        connects=_rates(table, "connects"),
        subscribes=_rates(table, "subscribes"),
        weight=_rates(table, "weight"),
    )


def _rates(table: Table, key: str) -> tuple[tuple[int, float], ...]:
    rates: list[tuple[int, float]] = []
    for line, value in table.texts_of(key):
        match = _RATE.fullmatch(value)
        if match and float(match[2]) > 0:
            rates.append((int(match[1]), float(match[2])))
        else:
            table.spec.find(line, table.who, f'{key} = "{value}": a rate is COUNT/SECONDSs; write it like "5/1s" or "300/3600s"')
    return tuple(rates)
