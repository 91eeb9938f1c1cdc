"""Names in the texts of a message: is each known where it stands, and is each capture of use?

May import `about`, `bind`, `fields`, `ir`.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import bind, ir
from .about import About

CLOCK = ("now_s", "now_ms")


def check(about: About) -> None:
    """Finds unknown names in what the message sends or fetches, and captures that lead nowhere."""
    message = about.message
    for product in about.products:
        known = known_names(about, product)
        if message.channel is not None:
            _text(about, "channel", about.line("channel"), message.channel, [name for name in known if name != "channel"], known)
        if message.url is not None:
            _text(about, "url", about.line("url"), message.url, [*known, *about.captures(), *CLOCK])
        if message.send is not None:
            _text(about, "send", about.line("send"), message.send, [*known, *about.captures(), *CLOCK])
        _fields(about, known)
    _captures(about)
    _excluded(about)
    if not about.fetched:
        _fetched(about)


def known_names(about: About, product: ir.Product) -> list[str]:
    """Names with a value before any frame is read: vars of product and message, fetched vars, then `symbol` and `channel`."""
    names = [*dict(product.vars), *dict(about.message.vars), *bind.fetched_names(about.exchange, product.name)]
    return list(dict.fromkeys([*names, "symbol", *(["channel"] if about.message.channel is not None else [])]))


def _text(about: About, key: str, line: int, text: ir.Text, known: Iterable[str], shown: Iterable[str] | None = None) -> None:
    names = list(dict.fromkeys(known))
    for name in bind.names_in(text):
        if name not in names:
            about.find(line, unknown(name, shown if shown is not None else names, key if name == key else ""))


def unknown(name: str, known: Iterable[str], itself: str = "") -> str:
    """The wording of an unknown name."""
    if itself:
        return f"${{{name}}} stands in {itself} itself; write what it is made of"
    return f"${{{name}}} is not known; known here: {', '.join(dict.fromkeys(known))}"


def _fields(about: About, known: list[str]) -> None:
    names = list(dict.fromkeys([*known, *about.captures()]))
    for field in about.message.fields:
        sources = field.source.sources if isinstance(field.source, ir.FromFirst) else (field.source,)
        for source in sources:
            if isinstance(source, ir.FromName) and source.name not in names:
                about.find(field.line, f"{field.name}: {unknown(source.name, names)}", field.name)


# --------------------------------------------------------------------------- captures


def _captures(about: About) -> None:
    message = about.message
    captures = about.captures()
    fields = {field.name for field in message.fields}
    within_channel = set(bind.names_in(message.channel)) if message.channel is not None else set()
    used = {source.name for field in message.fields for source in _names(field.source)}
    for text in (message.url, message.send):
        used |= set(bind.names_in(text)) if text is not None else set()
    passed = {step.name for path in message.each for step in path.steps if isinstance(step, ir.Members)}  # no other step means any member
    for name, times in captures.items():
        fills = message.record == "vars" or (name in about.rules and name not in fields)
        if not (fills or name in used or name in within_channel or name in passed or times > 1):
            about.find(_place(about, name), _useless(about, name, fields))
    if about.market or message.record == "instrument":
        _whole(about, fields)


def _excluded(about: About) -> None:
    for index, match in enumerate(about.message.match):
        for bound in about.bound.values():
            names = [name for pattern in bound.match[index].excluded for name in bind.names_in(pattern)]
            if names:
                about.find(match.line, f'match "{match.path.source}": ${names[0]} is not known, and `not` captures nothing; write "*"')
                break
            taken = [name for pattern in bound.match[index].patterns for name in bind.names_in(pattern)] if match.offline else []
            if taken:
                what = f"${taken[0]} is taken out of recorded frames alone, which is what offline says"
                about.find(match.line, f'match "{match.path.source}": {what}; write "*"')
                break


def _fetched(about: About) -> None:
    """What is fetched before a connect serves what K4 says and fetches. Parsers are made before, and know none of it."""
    message, told = about.message, "is fetched: known to url, send and arg alone"
    names = {name for product in about.products for name in bind.fetched_names(about.exchange, product.name)}
    for name in names & set(bind.names_in(message.channel) if message.channel is not None else ()):
        about.find(about.line("channel"), f"channel: ${name} {told}; put it into the arg of subscribe")
    for match in message.match:
        for name in sorted(names & {name for pattern in match.patterns for name in bind.names_in(pattern)}):
            about.find(match.line, f'match "{match.path.source}": ${name} {told}; write "*" in its place, or another name for a capture')
    for field in message.fields:
        for source in _names(field.source):
            if source.name in names:
                about.find(field.line, f"{field.name}: ${source.name} {told}", field.name)


def _useless(about: About, name: str, fields: set[str]) -> str:
    if name in about.rules and name in fields:
        return f'capture ${name} is not used, since fields gives {name}; write "*" in its place, or take {name} out of fields'
    kind = " ".join(about.rules) or "none"
    return f'capture ${name} is not used; write "*" in its place, or name a field of {about.message.record} ({kind})'


def _names(source: ir.Source) -> list[ir.FromName]:
    sources = source.sources if isinstance(source, ir.FromFirst) else (source,)
    return [item for item in sources if isinstance(item, ir.FromName)]


def _place(about: About, name: str) -> int:
    for match in about.message.match:
        if any(name in bind.names_in(pattern) for pattern in match.patterns):
            return match.line
    return about.line("each")


def _whole(about: About, fields: set[str]) -> None:
    """`"x" = "$symbol"`: a field can say that better than a capture."""
    for match in about.message.match:
        part = match.patterns[0].parts[0] if len(match.patterns) == 1 and len(match.patterns[0].parts) == 1 else None
        if isinstance(part, ir.Ref) and not part.lower and part.name in about.rules and part.name not in fields:
            path = match.path.source
            if about.fetched and part.name == "symbol":
                continue
            about.find(match.line, f'match "{path}" = "${part.name}" takes the whole value; write {part.name} = "{path}" in fields')
