"""Reads one `[[message]]` of a spec: its keys, its sources, its examples → `ir.Message`.

May import `errors`, `ir`, `keys`, `spec`.
"""

from __future__ import annotations

from . import ir, keys
from .errors import did_you_mean, nearest
from .spec import Spec, Table, type_name

# Without these keys read right, the rest of a message says something else than was meant.
_FRAME = ("product", "vars", "channel", "match", "each", "fields", "url", "template", "example")


def read_message(spec: Spec, table: Table, products: tuple[str, ...]) -> ir.Message | None:
    """The message, or None when not even its records can be told (a finding says so). `products`: all of the exchange."""
    table.who = "message"
    records = tuple(name for _, name in table.texts_of("record"))
    if not records:
        table.only(*keys.of(keys.MESSAGE))
        if not any(nearest(key, keys.of(keys.MESSAGE)) == "record" for key in table.values):
            spec.find(table.line, table.who, 'record is missing; write record = "…"')
        return None
    table.who = f'message "{records[0]}"'
    table.only(*keys.of(keys.MESSAGE))
    known = (*(record.word for record in spec.records.records), *ir.CONTROL_RECORDS, *ir.FETCHED_RECORDS)
    for name in records:
        if name not in known:
            table.wrong("record", f'unknown record "{name}"{did_you_mean(name, known)}')
    if any(name not in known for name in records):
        return None
    allowed = keys.of(keys.MESSAGE)
    misspelt = any(key not in allowed and nearest(key, allowed) in _FRAME for key in table.values)
    fields, order, send = _fields(table), table.text("order"), table.template("send")
    before = len(spec.findings)
    of = _products(table, products)
    each = tuple(path for line, text in table.texts_of("each") if (path := table.path(line, "each", text)))
    message = ir.Message(
        records=records,
        products=of,
        channel=table.template("channel"),
        vars=table.vars(),
        match=_match(table),
        each=each or (ir.Path(False, (), False, "."),),
        fields=fields,
        order=order,
        url=table.template("url"),
        send=send,
        examples=_examples(table, of),
        line=table.line,
        template=table.text("template"),
        silence_s=table.seconds("silence_s"),
        weight=table.count("weight") or 1,
    )
    spec.messages.append(table.where)
    if misspelt or len(spec.findings) > before or not isinstance(table.values.get("fields", {}), dict):
        spec.broken.add(table.where)
    return message


def _products(table: Table, products: tuple[str, ...]) -> tuple[str, ...]:
    named = table.texts_of("product")
    for line, name in named:
        if name not in products:
            table.spec.find(line, table.who, f'unknown product "{name}"{did_you_mean(name, products)}')
    chosen = {name for _, name in named}
    return tuple(name for name in products if name in chosen) or products


# --------------------------------------------------------------------------- match


def _match(table: Table) -> tuple[ir.Match, ...]:
    inner = table.sub("match")
    entries: list[ir.Match] = []
    for source, value in (inner.values if inner else {}).items():
        where = (*table.where, "match", source)
        line = table.spec.line(where)
        excluded: tuple[ir.Text, ...] | None = ()
        offline = False
        if isinstance(value, dict) and value.keys() & {"not", "offline"} and value.keys() <= {"is", "not", "offline"}:
            excluded = _patterns(table, line, source, value["not"]) if "not" in value else ()
            offline = "offline" in value
            if offline and value["offline"] is not True:
                table.spec.find(line, table.who, f'match "{source}": offline is true or not there')
            value = value.get("is", "*")  # noqa: PLW2901
        if isinstance(value, dict):
            table.spec.find(line, table.who, f'match: a path with dots stands in quotes; write "{_dotted(source, value)}" = …')
            continue
        path = table.path(line, "match", source)
        patterns = _patterns(table, line, source, value)
        if path is not None and patterns is not None and excluded is not None:
            entries.append(ir.Match(path, patterns, line, excluded, offline))
    return tuple(entries)


def _patterns(table: Table, line: int, source: str, value: object) -> tuple[ir.Text, ...] | None:
    """One pattern or several; None where one of them is none."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        table.spec.find(line, table.who, f'match: "{source}" has an empty list of patterns; write at least one')
    patterns = [_pattern(table, line, source, item) for item in listed]
    kept = tuple(pattern for pattern in patterns if pattern is not None)
    return kept if kept and len(kept) == len(patterns) else None


def _pattern(table: Table, line: int, source: str, value: object) -> ir.Text | None:
    if isinstance(value, bool):
        text = "true" if value else "false"
        return ir.Text((ir.Lit(text),), text)
    if isinstance(value, int | float):
        return ir.Text((ir.Lit(str(value)),), str(value))
    if isinstance(value, str):
        return table.notated(line, f'match "{source}"', value, pattern=True)
    table.spec.find(line, table.who, f'match: "{source}" = {type_name(value)}; a pattern is a text, a number or a bool')
    return None


def _dotted(name: str, value: object) -> str:
    while isinstance(value, dict) and len(value) == 1:
        key, value = next(iter(value.items()))
        name = f"{name}.{key}"
    return name


# --------------------------------------------------------------------------- fields


def _fields(table: Table) -> tuple[ir.Field, ...]:
    inner = table.sub("fields")
    fields: list[ir.Field] = []
    for name, value in (inner.values if inner else {}).items():
        line = table.spec.line((*table.where, "fields", name))
        source = _source(table, line, name, value)
        if source is not None:
            fields.append(ir.Field(name, source, line))
    return tuple(fields)


def _source(table: Table, line: int, name: str, value: object) -> ir.Source | None:
    if not isinstance(value, list):
        return _simple(table, line, name, value)
    if not value:
        table.spec.find(line, table.who, f"{name}: an empty list; write the sources to try, first one first")
        return None
    sources = [_simple(table, line, name, item) for item in value]
    kept = tuple(source for source in sources if source is not None)
    return ir.FromFirst(kept) if len(kept) == len(sources) else None


def _simple(table: Table, line: int, name: str, value: object) -> ir.FromPath | ir.FromMap | ir.FromText | ir.FromName | None:
    if isinstance(value, str):
        if value.startswith("="):
            return ir.FromText(value[1:])
        if value.startswith("$"):
            return _name(table, line, name, value)
        path = table.path(line, name, value)
        return None if path is None else ir.FromPath(path, None)
    if isinstance(value, dict):
        return _read(table, line, name, value)
    what = type_name(value)
    constant = str(value).lower() if isinstance(value, bool) else str(value)
    hint = f'; a constant is written {name} = "={constant}"' if isinstance(value, bool | int | float) else "; lists cannot be nested"
    table.spec.find(line, table.who, f"{name} is {what}{hint}")
    return None


def _name(table: Table, line: int, field: str, value: str) -> ir.FromName | None:
    text = table.notated(line, field, value, pattern=False)
    if text is None:
        return None
    if len(text.parts) == 1 and isinstance(text.parts[0], ir.Ref) and not text.parts[0].lower:
        return ir.FromName(text.parts[0].name)
    table.spec.find(line, table.who, f'{field} = "{value}": a source is one name as it is; write {field} = "$name"')
    return None


def _read(table: Table, line: int, name: str, value: dict[str, object]) -> ir.FromPath | ir.FromMap | None:
    if len(value) != 1:
        what = f'{name} = {{ … }} holds {len(value)} paths; write one path and how to read it, as in {{ "a.b" = "ms" }}'
        table.spec.find(line, table.who, what)
        return None
    source, how = next(iter(value.items()))
    path = table.path(line, name, source)
    if path is None:
        return None
    if isinstance(how, str):
        return ir.FromPath(path, how)
    if not isinstance(how, dict):
        table.spec.find(line, table.who, f'{name} = {{ "{source}" = {type_name(how)} }}: right of a path stands a word or a map')
        return None
    entries: list[tuple[str, str | bool | int | None]] = []
    default: tuple[str | bool | int | None] | None = None
    for key, result in how.items():
        if not isinstance(result, str | bool | int | float):
            dotted = _dotted(f"{source}.{key}", result)
            what = f'{name}: map result of "{key}" is {type_name(result)}; if a path is meant, write it in quotes: "{dotted}"'
            table.spec.find(line, table.who, what)
            return None
        mapped = None if result == "" else str(result) if isinstance(result, float) else result
        if key == "*":
            default = (mapped,)
        else:
            entries.append((key, mapped))
    return ir.FromMap(path, tuple(entries), default)


# --------------------------------------------------------------------------- examples


def _examples(table: Table, products: tuple[str, ...]) -> tuple[ir.Example, ...]:
    examples: list[ir.Example] = []
    for number, inner in enumerate(table.tables("example"), start=1):
        inner.who = f"{table.who}, example {number}"
        inner.only(*keys.of(keys.EXAMPLE))
        wire = inner.text("wire", required=True)
        if wire is not None and "template" in table.values and not _is_hex(wire):
            inner.wrong("wire", "wire of an SBE message is hex: two digits per byte, blanks between them at will")
            wire = None
        product = inner.text("product")
        if product is not None and product not in products:
            inner.wrong("product", f'product = "{product}" is none of the message\'s{did_you_mean(product, products)}')
            product = None
        expect = tuple(tuple((key, _frozen(value)) for key, value in record.values.items()) for record in inner.tables("expect"))
        if wire is not None:
            examples.append(ir.Example(wire, expect, product or (products[0] if products else ""), inner.at("wire")))
    return tuple(examples)


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
