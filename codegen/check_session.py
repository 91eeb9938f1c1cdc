"""Manners of connections: addresses, requests, probes; and which messages may be pushed or fetched at all.

May import `about`, `bind`, `check_names`, `fields`, `ir`, `spec`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from . import bind, ir
from .about import About
from .check_names import CLOCK, known_names, unknown
from .fields import is_depth
from .spec import Spec

_SESSION_NAMES = ("id", "args", *CLOCK)
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SAMPLE_SYMBOL = "FOOBAR"


def check(spec: Spec, exchange: ir.Exchange, messages: tuple[About, ...]) -> None:
    """Finds what keeps K4 from connecting, subscribing, asking and fetching as the spec means it."""
    for product in exchange.products:
        here = [about for about in messages if product.name in about.message.products]
        streams = [about for about in here if about.message.channel is not None and not about.fetched]
        _url(spec, exchange, product, streams)
        _subscribing(spec, exchange, product, streams)
        _ping(spec, product, here)
    for about in messages:
        _kind(about)
        if about.fetched:
            _fetched(about, messages)
    _told_apart(messages)
    _one_order(exchange, messages)


def _who(spec: Spec, product: ir.Product, key: str) -> str:
    """Which part of the spec gives a product this key of the session."""
    return f'product "{product.name}"' if ("product", product.name, key) in spec.lines else "session"


# --------------------------------------------------------------------------- addresses


def _url(spec: Spec, exchange: ir.Exchange, product: ir.Product, streams: list[About]) -> None:
    line = spec.line(("product", product.name, "url"))
    who = f'product "{product.name}"'
    if wrong := address(product.url, "wss://"):
        spec.find(line, who, f'url = "{product.url.source}": {wrong}')
    known = {*_SESSION_NAMES, *dict(product.vars), *bind.fetched_names(exchange, product.name), "symbol", "channel"}
    _stream_names(spec, product, streams, "url", product.url, (line, who), known)


def address(url: ir.Text, scheme: str) -> str:
    """What is wrong with where a url leads; empty if nothing is, or if that is only known at run time."""
    start = url.parts[0] if url.parts else ir.Lit("")
    if not isinstance(start, ir.Lit):
        return ""
    if not start.text.startswith(scheme):
        return f"must begin with {scheme}"
    host, end = re.split(r"([/?]|$)", start.text.removeprefix(scheme), maxsplit=1)[:2]
    whole = bool(end) or len(url.parts) == 1
    if whole and not _HOST.fullmatch(host):
        return f'"{host}" is no host; write it like {scheme}ws.example.com or {scheme}ws.example.com:8443'
    return "a url holds no white space" if re.search(r"\s", url.source) else ""


def _stream_names(
    spec: Spec, product: ir.Product, streams: list[About], key: str, text: ir.Text, place: tuple[int, str], known: set[str]
) -> None:
    """Names in a text that every stream of a product fills in: unknown to all is the text's fault, to some is theirs."""
    for name in bind.names_in(text):
        lacking = [about for about in streams if name not in known and name not in dict(about.message.vars)]
        if name not in known and len(lacking) == len(streams):
            shown = [*dict(product.vars), *sorted(known - set(dict(product.vars)))]
            spec.find(*place, f"{key}: {unknown(name, shown)}")
            continue
        for about in lacking:
            about.find(about.line("channel"), unknown(name, known_names(about, product)))


# --------------------------------------------------------------------------- requests


def _subscribing(spec: Spec, exchange: ir.Exchange, product: ir.Product, streams: list[About]) -> None:
    in_url = set(bind.names_in(product.url)) & {"args", "channel", "symbol"}
    subscribe = product.session.subscribe
    if streams and subscribe is None and not in_url:
        what = "messages have a channel, but nothing subscribes it; write subscribe = { send = '…', arg = '…' } under [session]"
        spec.find(product.line, f'product "{product.name}"', what)
    if "args" in in_url and (subscribe is None or subscribe.arg is None):
        what = "url holds $args, but subscribe has no arg; write what one stream's part is: subscribe = { send = '…', arg = '…' }"
        spec.find(spec.line(("product", product.name, "url")), f'product "{product.name}"', what)
    for key, request in (("subscribe", subscribe), ("unsubscribe", product.session.unsubscribe)):
        if request is None:
            continue
        place = (request.line, _who(spec, product, key))
        uses = "args" in bind.names_in(request.send)
        if uses and request.arg is None:
            spec.find(*place, f"{key}.send holds $args, but there is no arg; write arg = '…', one stream's part of it")
            continue
        if request.arg is not None and not uses:
            spec.find(*place, f"{key}.arg is given, but {key}.send holds no $args; write $args where the list of them stands")
            continue
        known = {*_SESSION_NAMES, *dict(product.vars), *bind.fetched_names(exchange, product.name), "symbol", "channel"}
        _stream_names(spec, product, streams, f"{key}.send", request.send, place, known)
        if request.arg is not None:
            _stream_names(spec, product, streams, f"{key}.arg", request.arg, place, known - {"args"})
        any(_rendered(spec, product, key, request, about) for about in streams)


def _rendered(spec: Spec, product: ir.Product, key: str, request: ir.Request, about: About) -> bool:
    """A request for one stream, as it will go out: whether something is wrong with it."""
    values = _samples(about, product)
    try:
        if request.arg is not None:
            values["args"] = bind.request_args([bind.render(request.arg, values)])
        text = bind.render(request.send, values)
    except KeyError:
        return False  # an unknown name, told elsewhere
    place = (request.line, _who(spec, product, key))
    if wrong := not_json(text):
        spec.find(*place, f"{key} for {about.who} gives {text}, which is not the JSON that its braces promise: {wrong}")
    limit, size = product.session.limits.bytes, len(text.encode())
    if limit is not None and size > limit:
        spec.find(*place, f"{key} for {about.who} has {size} bytes, more than limits.bytes = {limit}; raise the limit or write less")
        return True
    return bool(wrong)


def _samples(about: About, product: ir.Product) -> dict[str, str]:
    """Values as they may be at run time, the symbol from the first example that has one."""
    expected = (dict(record).get("symbol") for example in about.message.examples for record in example.expect)
    symbol = next((value for value in expected if isinstance(value, str)), _SAMPLE_SYMBOL)
    values = dict.fromkeys(bind.fetched_names(about.exchange, product.name), "x")
    values |= {"symbol": symbol, "id": "1", "now_s": "1700000000", "now_ms": "1700000000000"}
    values |= {**dict(product.vars), **dict(about.message.vars)}
    if about.message.channel is not None:
        values["channel"] = bind.render(about.message.channel, values, unset="x")
    return values


def not_json(text: str) -> str:
    """What is wrong with a text that begins like a JSON object or array; empty for valid JSON and for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return ""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error.msg} at column {error.colno}"
    return ""


def _ping(spec: Spec, product: ir.Product, here: list[About]) -> None:
    ping = product.session.ping
    if ping is None or ping.send is None:
        return
    place = (ping.line, _who(spec, product, "ping"))
    if not any(about.message.record == "pong" for about in here):
        spec.find(*place, 'ping.send is given, but no message has record = "pong"')
    known: Mapping[str, str] = {**dict(product.vars), "id": "1", "now_s": "1700000000", "now_ms": "1700000000000"}
    for name in bind.names_in(ping.send):
        if name not in known:
            spec.find(*place, f"ping.send: {unknown(name, known)}")
    text = bind.render(ping.send, known, unset="x")
    if wrong := not_json(text):
        spec.find(*place, f"ping.send gives {text}, which is not the JSON that its braces promise: {wrong}")


# --------------------------------------------------------------------------- what may be pushed and fetched


def _kind(about: About) -> None:
    message, find = about.message, about.find
    if message.silence_s is not None and (message.channel is None or about.fetched):
        find(about.line("silence_s"), "silence_s is for a message with a channel of its own; take it out")
    if message.weight != 1 and not about.fetched:
        find(about.line("weight"), "weight is for a message that is fetched; take it out")
    for product in about.products:
        for count, seconds in product.session.limits.weight if about.fetched else ():
            if message.weight > count:
                what = f'weight = {message.weight} is more than product "{product.name}" allows in {seconds:g} s, {count}'
                find(about.line("weight"), f"{what}; correct one of them")
    if about.fetched:
        if message.url is not None and (wrong := address(message.url, "https://")):
            find(about.line("url"), f'url = "{message.url.source}": {wrong}')
        if message.channel is not None:
            find(about.line("channel"), "a message is either pushed (channel) or fetched (url); take one of them out", blocks=True)
        return
    if message.record in ir.FETCHED_RECORDS:
        find(message.line, f"{message.record} is fetched; write its url", blocks=True)
    elif not message.match and message.template is None:
        find(message.line, 'match is missing; a pushed message must say how it is recognised, as in match = { "…" = "…" }', blocks=True)
    if message.record == "ping" and message.send is None:
        find(message.line, "send is missing; write what answers this ping")
    if message.record != "ping" and message.send is not None:
        find(about.line("send"), "send is for the answer to a ping and the body of what is fetched; take it out")


def _fetched(about: About, messages: tuple[About, ...]) -> None:
    message = about.message
    if message.record == "instrument":
        return
    if message.record == "vars":
        if not _vars_asked(about, messages):
            about.find(message.line, "nothing asks for this: no url, request or message uses a name that it brings")
        return
    if not is_depth(message.record):
        about.find(about.line("url"), f"{message.record} cannot be fetched, nothing asks for it; take out url", blocks=True)
        return
    snapshot = message.field("snapshot")
    if snapshot is None or snapshot.source != ir.FromText("true"):
        line = snapshot.line if snapshot is not None else message.line
        about.find(line, 'a fetched book is a snapshot; write snapshot = "=true"', "snapshot")
    if not any(_book(other, about) for other in messages):
        what = f"nothing asks for this: no pushed {message.record} keeps a book; give one `snapshot`, or take this out"
        about.find(message.line, what)


def _book(other: About, about: About) -> bool:
    shared = set(other.message.products) & set(about.message.products)
    same = about.message.record in other.message.records and bool(shared)
    return same and not other.fetched and other.message.book


def _vars_asked(about: About, messages: tuple[About, ...]) -> bool:
    brings = {field.name for field in about.message.fields} | set(about.captures())
    texts: list[ir.Text | None] = []
    for product in about.products:
        session = product.session
        texts.append(product.url)
        texts += [text for request in (session.subscribe, session.unsubscribe) if request for text in (request.send, request.arg)]
        texts.append(session.ping.send if session.ping else None)
    for other in messages:
        if other is not about:
            message = other.message
            texts += [message.url, message.send, message.channel]
            texts += [pattern for match in message.match for pattern in (*match.patterns, *match.excluded)]
            brings -= set() if not _reads(other, brings) else brings
    return not brings or any(text is not None and set(bind.names_in(text)) & brings for text in texts)


def _reads(about: About, names: set[str]) -> bool:
    """Whether a field takes one of these names."""
    for field in about.message.fields:
        sources = field.source.sources if isinstance(field.source, ir.FromFirst) else (field.source,)
        if any(isinstance(source, ir.FromName) and source.name in names for source in sources):
            return True
    return False


def _told_apart(messages: tuple[About, ...]) -> None:
    """Two products on one address need something in `match` that differs, or one takes the other's data."""
    seen: dict[object, str] = {}
    for about in messages:
        if about.fetched or not about.market or about.message.channel is None:
            continue
        for product in about.products:
            bound = about.bound[product.name]
            asked = tuple((match.path, _shapes(match)) for match in bound.match if not match.offline)
            key = (bind.stream_url(product, bound).parts, bound.template, asked)
            other = seen.setdefault(key, product.name)
            if other != product.name:
                what = f'products "{other}" and "{product.name}" share a url, and no `match` tells them apart'
                about.find(about.line("match"), f"{what}; match something that differs, as a name in their vars")


def _one_order(exchange: ir.Exchange, messages: tuple[About, ...]) -> None:
    """Messages that give one record in one product compete by the same ids, so they share one order."""
    for product in exchange.products:
        first: dict[str, About] = {}
        for about in messages:
            if about.fetched or about.message.order is None or product.name not in about.message.products:
                continue
            for word in about.message.records:
                other = first.setdefault(word, about)
                if other.message.order != about.message.order:
                    what = f'order = "{about.message.order}", but {word} of line {other.message.line} has "{other.message.order}"'
                    about.find(about.line("order"), f"{what}; all messages that give one record have one order")


def _shapes(match: ir.Match) -> tuple[tuple[tuple[ir.Lit | ir.Ref | ir.Star, ...], ...], ...]:
    return tuple(tuple(pattern.parts for pattern in patterns) for patterns in (match.patterns, match.excluded))
