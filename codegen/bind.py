"""Closes the names of a spec per product: what is known when the code is generated is put in its place.

`bind` gives the messages of a product with every `vars` name and `$channel` replaced; the position in its result is the index of
the message everywhere else (C tables, refusals). What is left as `ir.Ref` is known only at run time: captures, and `$symbol`,
`$id`, `$args`, `$now_s`, `$now_ms` in what is sent. `render` fills those in. May import `ir`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from json import JSONDecodeError, loads

from . import ir

_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})

_Parts = tuple[ir.Lit | ir.Ref | ir.Star, ...]


def lower(text: str) -> str:
    """Lower case of ASCII letters only, as `${name:lower}` writes it."""
    return text.translate(_LOWER)


def bind(exchange: ir.Exchange, product: str) -> tuple[ir.Message, ...]:
    """The messages that exist in `product`, in file order, with known names replaced. Raises KeyError for an unknown product.

    Examples stay complete, those of other products included: `example.product` says whose wire each is.
    """
    found = exchange.product(product)
    if found is None:
        raise KeyError(product)
    return tuple(bind_message(message, found) for message in exchange.messages if product in message.products)


def bind_message(message: ir.Message, product: ir.Product) -> ir.Message:
    """One message as it is in `product`."""
    return _bind(message, dict(product.vars))


def fetched_names(exchange: ir.Exchange, product: str) -> tuple[str, ...]:
    """Names that fetched `vars` messages bring before a connection is made."""
    names: list[str] = []
    for message in exchange.messages:
        if message.record == "vars" and product in message.products:
            names += [field.name for field in message.fields]
            names += [name for match in message.match for pattern in match.patterns for name in names_in(pattern)]
    return tuple(dict.fromkeys(names))


def stream_url(product: ir.Product, message: ir.Message) -> ir.Text:
    """Where the stream of `message` (bound or not) is: the product's `url`, or that of its SBE, with the names of both put in."""
    url = product.url if message.template is None or product.sbe is None else product.sbe.url
    return _text(url, _known(message, dict(product.vars)))


def _known(message: ir.Message, names: Mapping[str, str]) -> dict[str, _Parts]:
    known: dict[str, _Parts] = {name: (ir.Lit(text),) if text else () for name, text in {**names, **dict(message.vars)}.items()}
    if message.channel is not None:
        known["channel"] = _text(message.channel, known).parts
    return known


def _bind(message: ir.Message, names: Mapping[str, str]) -> ir.Message:
    known = _known(message, names)
    return replace(
        message,
        channel=None if message.channel is None else _text(message.channel, known),
        match=tuple(
            replace(
                match,
                patterns=tuple(_text(pattern, known) for pattern in match.patterns),
                excluded=tuple(_text(pattern, known) for pattern in match.excluded),
            )
            for match in message.match
        ),
        fields=tuple(replace(field, source=_source(field.source, known)) for field in message.fields),
        url=None if message.url is None else _text(message.url, known),
        send=None if message.send is None else _text(message.send, known),
    )


def _source(source: ir.Source, known: Mapping[str, _Parts]) -> ir.Source:
    if isinstance(source, ir.FromFirst):
        return ir.FromFirst(tuple(_one(item, known) for item in source.sources))
    return _one(source, known)


def _one(
    source: ir.FromPath | ir.FromMap | ir.FromText | ir.FromName, known: Mapping[str, _Parts]
) -> ir.FromPath | ir.FromMap | ir.FromText | ir.FromName:
    if isinstance(source, ir.FromName) and source.name in known:
        parts = known[source.name]
        if all(isinstance(part, ir.Lit) for part in parts):
            return ir.FromText("".join(part.text for part in parts if isinstance(part, ir.Lit)))
    return source


def _text(text: ir.Text, known: Mapping[str, _Parts]) -> ir.Text:
    parts: list[ir.Lit | ir.Ref | ir.Star] = []
    for part in text.parts:
        if not isinstance(part, ir.Ref) or part.name not in known:
            _append(parts, part)
            continue
        for inner in known[part.name]:
            _append(parts, _lowered(inner) if part.lower else inner)
    return ir.Text(tuple(parts), text.source)


def _append(parts: list[ir.Lit | ir.Ref | ir.Star], part: ir.Lit | ir.Ref | ir.Star) -> None:
    last = parts[-1] if parts else None
    if isinstance(part, ir.Lit) and isinstance(last, ir.Lit):
        parts[-1] = ir.Lit(last.text + part.text)
    elif not (isinstance(part, ir.Star) and isinstance(last, ir.Star)):
        parts.append(part)


def _lowered(part: ir.Lit | ir.Ref | ir.Star) -> ir.Lit | ir.Ref | ir.Star:
    if isinstance(part, ir.Lit):
        return ir.Lit(lower(part.text))
    return ir.Ref(part.name, True) if isinstance(part, ir.Ref) else part


# --------------------------------------------------------------------------- rendering


def names_in(text: ir.Text) -> tuple[str, ...]:
    """The names a text still leaves open, each once, in order."""
    return tuple(dict.fromkeys(part.name for part in text.parts if isinstance(part, ir.Ref)))


def render(text: ir.Text, values: Mapping[str, str], unset: str | None = None) -> str:
    """The template with `values` filled in. A name without a value becomes `unset`; KeyError where that is None. `*` stays `*`."""
    out: list[str] = []
    for part in text.parts:
        if isinstance(part, ir.Lit):
            out.append(part.text)
        elif isinstance(part, ir.Star):
            out.append("*")
        else:
            value = values.get(part.name, unset)
            if value is None:
                raise KeyError(part.name)
            out.append(lower(value) if part.lower else value)
    return "".join(out)


def request_args(args: Iterable[str]) -> str:
    """`$args` in a request: rendered args as they are, parted by commas."""
    return ",".join(args)


def url_args(args: Iterable[str]) -> str:
    """`$args` in a `url`: parted by `/`; an arg that is a JSON string stands as its content, so that one `arg` serves both."""
    return "/".join(_unquoted(arg) for arg in args)


def _unquoted(arg: str) -> str:
    if not arg.startswith('"'):
        return arg
    try:
        content = loads(arg)
    except JSONDecodeError:
        return arg
    return content if isinstance(content, str) else arg
