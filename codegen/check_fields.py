"""Fields, paths and order of a message, held against the record it gives.

May import `about`, `errors`, `fields`, `ir`.
"""

from __future__ import annotations

import re

from . import ir
from .about import About
from .errors import did_you_mean, nearest
from .fields import LEVEL_NEEDED, SIDED_NEEDED, TIME_WORDS, WORDS, FieldRule, all_words, is_depth, word_allowed

ORDERS = {"trade": ("window", "contiguous", "leader"), "state": ("increasing", "contiguous", "leader")}
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_LEVEL_PRICES = (*LEVEL_NEEDED, "bid_count", "ask_count")


def check(about: About) -> None:
    """Finds unknown and missing fields, sources that do not suit their field, and paths that cannot stand where they do."""
    _records(about)
    _paths(about)
    for field in about.message.fields:
        before = about.wrong
        _field(about, field)
        if about.wrong > before:
            about.faulty.add(field.name)
    _constants(about)
    if any(is_depth(word) for word in about.message.records):
        _whole(about)
    _needed(about)
    _order(about)


def _field(about: About, field: ir.Field) -> None:
    rule = about.rules.get(field.name)
    if rule is None and about.message.record != "vars":
        _unknown(about, field)
        return
    sources = field.source.sources if isinstance(field.source, ir.FromFirst) else (field.source,)
    for source in sources:
        _source(about, field, rule or FieldRule(field.name, "text", False, ""), source)


def _records(about: About) -> None:
    records = about.message.records
    if len(records) == 1:
        return
    depths = [word for word in records if is_depth(word)]
    if not depths or any(word != "bbo" and not is_depth(word) for word in records) or len(set(records)) < len(records):
        what = "several records are cut from the same levels only; write a depth record, with bbo or another depth"
        what += ", and a message for each other"
        about.find(about.line("record"), f"record = [{', '.join(records)}]: {what}", blocks=True)


def _unknown(about: About, field: ir.Field) -> None:
    if not about.rules:
        about.find(field.line, f'unknown field "{field.name}"; record "{about.message.record}" has none, take it out')
    else:
        meant = nearest(field.name, about.rules)
        about.faulty |= {meant} if meant else set()
        about.find(field.line, f'unknown field "{field.name}"{did_you_mean(field.name, about.rules)}')


# --------------------------------------------------------------------------- paths


def _many(path: ir.Path) -> list[ir.Step]:
    return [step for step in path.steps if isinstance(step, ir.Every | ir.Members)]


def _paths(about: About) -> None:
    for path in about.message.each:
        if path.element:
            what = f'each = "{path.source}": `each` says what @ is, so it starts at the root; write it without @'
            about.find(about.line("each"), what, blocks=True)
    for match in about.message.match:
        if _many(match.path):
            what = f'match "{match.path.source}" needs one value; put the [*] or .$name into each, and write the path from @'
            about.find(match.line, what, blocks=True)


def _levels(about: About, field: ir.Field, rule: FieldRule, path: ir.Path) -> None:
    steps = _many(path)
    if not rule.level:
        if steps:
            about.find(field.line, f'{field.name} = "{path.source}": one value is wanted, not every one; write [0], or put [*] into each')
        return
    if rule.name in SIDED_NEEDED and not steps:
        return
    if len(steps) == 1 and isinstance(steps[0], ir.Every):
        if isinstance(field.source, ir.FromFirst):
            what = "levels stand in one place; write a message for each form that a frame has"
            about.find(field.line, f"{field.name}: {what}", field.name)
        return
    if not steps:
        hint = path.source.replace("[0]", "[*]", 1) if "[0]" in path.source else "levels[*].price"
        about.find(field.line, f'{field.name} = "{path.source}": one value per level is wanted; write it with [*], as in "{hint}"')
    else:
        what = "one [*] and nothing else of its kind may stand in it, levels best first ([-*]: best last)"
        about.find(field.line, f'{field.name} = "{path.source}": {what}')


def _whole(about: About) -> None:
    """What cannot be said of levels: halves of a book that are not there, and prices that come by another way than their quantities."""
    message = about.message
    given = {name: field for name in (*LEVEL_NEEDED, *SIDED_NEEDED, "checksum") if (field := message.field(name)) is not None}
    if message.book:
        for name, field in given.items():
            if not _read(field) and name != "side":
                what = "its rule and its place" if name == "checksum" else "both halves of every level, with their paths"
                about.find(field.line, f"{name}: a book needs {what}", name)
    price, qty, side = (given.get(name) for name in ("price", "qty", "side"))
    if side is not None and message.template is not None:
        about.find(side.line, f"side: the levels of a side are a group of their own in SBE; write {' '.join(LEVEL_NEEDED)}", "side")
    if side is None or price is None or qty is None or about.faulty & {"price", "qty", "side"}:
        return
    if _listed(price) != _listed(qty):
        about.find(qty.line, "qty: price and qty of a level stand alike; write both with [*], or neither where a level comes alone", "qty")
    elif _listed(side) and not _listed(price):
        about.find(side.line, "side: one side is wanted for one level; write it without [*]", "side")


def _read(field: ir.Field) -> bool:
    return isinstance(field.source, ir.FromPath | ir.FromMap | ir.FromFirst)


def _listed(field: ir.Field) -> bool:
    return isinstance(field.source, ir.FromPath | ir.FromMap) and bool(_many(field.source.path))


# --------------------------------------------------------------------------- sources


def _source(about: About, field: ir.Field, rule: FieldRule, source: ir.Source) -> None:
    if isinstance(source, ir.FromPath):
        _levels(about, field, rule, source.path)
        _word(about, field, rule, source)
    elif isinstance(source, ir.FromMap):
        _levels(about, field, rule, source.path)
        _map(about, field, rule, source)


def _word(about: About, field: ir.Field, rule: FieldRule, source: ir.FromPath) -> None:
    name, path, word = field.name, source.path.source, source.word
    if word is None:
        if rule.kind == "time":
            units = f'write {name} = {{ "{path}" = "ms" }} (one of {" ".join(TIME_WORDS)})'
            about.find(field.line, f'{name} = "{path}": a time needs its unit; {units}')
        elif rule.kind == "checksum":
            what = f'write {name} = {{ "{path}" = "{WORDS["checksum"][0]}" }} (one of {" ".join(WORDS["checksum"])})'
            about.find(field.line, f'{name} = "{path}": a checksum needs its rule; {what}')
        return
    if word_allowed(rule.kind, word):
        return
    allowed = WORDS[rule.kind]
    known = word_allowed("price", word) or word in all_words()
    if rule.kind == "time" and not known:
        hint = f"; write one of {' '.join(TIME_WORDS)}"
    elif allowed:
        hint = did_you_mean(word, allowed) if not known else f"; write one of {' '.join(allowed)}"
    else:
        hint = f'; write {name} = "{path}", or a map {{ "{path}" = {{ … }} }}'
    kind = "is not known" if not known else f"does not read {_kind(rule.kind)}"
    about.find(field.line, f'{name} = {{ "{path}" = "{word}" }}: word "{word}" {kind}{hint}')


def _kind(kind: str) -> str:
    return {"id": "an id", "integer": "an integer", "enum": "an enum", "qty": "a quantity"}.get(kind, f"a {kind}")


def _map(about: About, field: ir.Field, rule: FieldRule, source: ir.FromMap) -> None:
    if rule.kind == "time":
        what = f"a time cannot be mapped, it is read by a word ({' '.join(TIME_WORDS)})"
        about.find(field.line, f"{field.name}: {what}")
        return
    results = [*source.entries, *((("*", source.default[0]),) if source.default else ())]
    if not results:
        about.find(field.line, f'{field.name}: the map of "{source.path.source}" is empty; write what each value means')
    for key, result in results:
        if result is not None and (wrong := _misfit(rule, result)):
            about.find(field.line, f'{field.name}: map result of "{key}" {wrong}')


def _misfit(rule: FieldRule, result: str | bool | int) -> str:
    """What keeps a constant from being a value of this field; empty if nothing does."""
    shown = str(result).lower() if isinstance(result, bool) else result
    text = str(shown)
    if rule.kind == "bool":
        if isinstance(result, bool):
            return ""
        return f'is "{text}"; write true or false without quotes' if text in ("true", "false") else f"is {text!r}; write true or false"
    if rule.kind == "enum":
        return "" if text in rule.results else f'is "{text}"{did_you_mean(text, rule.results)}'
    if rule.kind == "checksum":
        return "" if text in WORDS["checksum"] else f'is "{text}"; write {" or ".join(WORDS["checksum"])}, or "" for a value that is none'
    if rule.kind in ("price", "qty", "decimal"):
        good = not isinstance(result, bool) and _DECIMAL.fullmatch(text)
        return "" if good else f'is "{text}"; write a decimal number'
    if rule.kind in ("integer", "count", "time"):
        good = not isinstance(result, bool) and _INTEGER.fullmatch(text)
        return "" if good else f'is "{text}"; write a whole number'
    return ""


def _constants(about: About) -> None:
    """`=text`, and names whose value is known per product."""
    for bound in about.bound.values():
        for field in bound.fields:
            rule = about.rules.get(field.name)
            sources = field.source.sources if isinstance(field.source, ir.FromFirst) else (field.source,)
            for source in sources:
                if rule is None or not isinstance(source, ir.FromText) or not source.text:
                    continue
                value: str | bool = source.text == "true" if rule.kind == "bool" and source.text in ("true", "false") else source.text
                if wrong := _misfit(rule, value):
                    about.find(field.line, f"{field.name}: the constant {wrong}", field.name)


# --------------------------------------------------------------------------- what is needed


def _needed(about: About) -> None:
    given = about.given()
    names = [rule.name for rule in about.rules.values() if rule.needed]
    if any(is_depth(word) for word in about.message.records):
        names = ["symbol", *_depth_needed(about, given)]
    for name in names:
        if name in given:
            continue
        about.faulty.add(name)
        if about.tried(name, "fields"):
            continue
        if name == "symbol":
            what = 'symbol is needed; take it from a path, or out of the channel: match = { "…" = "$channel" }'
            about.find(about.message.line, what)
        else:
            about.find(about.message.line, f'{name} is needed; if the venue does not give it, write {name} = "="')


def _depth_needed(about: About, given: set[str]) -> tuple[str, ...]:
    sided = [name for name in SIDED_NEEDED if name in given]
    if not sided:
        return LEVEL_NEEDED
    mixed = [name for name in _LEVEL_PRICES if name in given]
    for name in mixed:
        field = about.message.field(name)
        what = f"{name} cannot stand beside {sided[0]}; write either side price qty, or {' '.join(LEVEL_NEEDED)}"
        about.find(field.line if field else about.message.line, what, name)
    return SIDED_NEEDED


def _order(about: About) -> None:
    message, given = about.message, about.given()
    if "first_id" in about.rules and is_depth(message.record) and "first_id" in given and "update_id" not in given:
        field = message.field("first_id")
        about.find(field.line if field else message.line, "first_id needs update_id beside it; give update_id as well", "update_id")
    if not about.market or about.fetched:
        if message.order is not None:
            about.find(about.line("order"), "order is for market data that is pushed; take it out")
        return
    allowed = ORDERS["trade" if "trade" in message.record else "state"]
    if message.order is None and about.tried("order"):
        return
    if message.order is None:
        about.find(message.line, f'order is missing; write order = "{allowed[0]}" (one of {" ".join(allowed)})')
        return
    if message.order not in allowed:
        known = {word for words in ORDERS.values() for word in words}
        what = f"is not for {message.record}; write one of {' '.join(allowed)}" if message.order in known else ""
        about.find(about.line("order"), f'order = "{message.order}" {what}' if what else _misspelt(message.order, allowed))
        return
    compared = {"trade": "trade_id", "aggtrade": "agg_id"}.get(message.record, "update_id")
    if message.order != "leader" and compared not in given and not ("trade" in message.record and "update_id" in given):
        what = f'compares {compared}, which is not given; give it, or write order = "leader"'
        about.find(about.line("order"), f'order = "{message.order}" {what}', compared)


def _misspelt(order: str, allowed: tuple[str, ...]) -> str:
    return f'order = "{order}" is not known{did_you_mean(order, allowed)}'
