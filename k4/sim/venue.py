"""What clients ask of the venue of one product: the spec's own texts, read backwards.

`k4.session` renders URLs and requests from the spec; this module undoes that with patterns of its own, so that a wrong rendering is
not understood here. Imports, of the generator, `bind`, `ir`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from k4._codegen import ir
from k4._codegen.bind import bind, render, stream_url

NONE: Mapping[str, str] = {}
_HOST = re.compile(r"^\w+://([^/?:$]*)")


@dataclass(frozen=True, slots=True)
class Stream:
    """A subscribed thing: the message of the spec (index among the product's) and the native symbol, "" where one stream serves all."""

    message: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One part of a request: its channel and symbol as far as they can be told, and the streams it means, of which there may be none.

    `foreign`: it has not the form of this product's.
    """

    channel: str
    symbol: str
    streams: tuple[Stream, ...]
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request understood: what to do, its parts, and its id as JSON text."""

    action: str  # "subscribe" or "unsubscribe"
    wanted: tuple[Wanted, ...] = ()
    id: str = "null"


class Venue:
    """One product, ready to understand its clients. `secrets`: values that headers of its SBE endpoint hold, as far as they are known."""

    def __init__(self, exchange: ir.Exchange, product: ir.Product, secrets: Mapping[str, str] = NONE) -> None:
        self.exchange = exchange
        self.product = product
        self.messages = bind(exchange, product.name)
        self._vars = dict(product.vars)
        self._channels = [(index, m) for index, m in enumerate(self.messages) if m.channel is not None and m.url is None]
        self._addresses = {index: _address(self.url_of(index)) for index, _ in self._channels}
        own = [product.url.source, *(render(m.url, {}, "") for m in self.messages if m.url)]
        self._sbe_host = "" if product.sbe is None else host_of(product.sbe.url.source)
        self._headers = [
            (name.lower(), _regex(text, {**self._vars, **secrets})) for name, text in (product.sbe.headers if product.sbe else ())
        ]
        self.hosts = {host for host in (*map(host_of, own), self._sbe_host) if host}

    # ------------------------------------------------------------------ URLs

    def url_of(self, index: int) -> ir.Text:
        """The URL that carries a message."""
        message, sbe = self.messages[index], self.product.sbe
        return stream_url(self.product if message.template is None or sbe is None else replace(self.product, url=sbe.url), message)

    def transport(self, target: str, host: str, headers: Mapping[str, str]) -> str:
        """Which of the product's endpoints an upgrade request means: by its host; where that names none of them, by the headers that only
        one wants, or by streams that only one has."""
        if self.product.sbe is None:
            return "json"
        json_host = host_of(self.product.url.source)
        if host in (json_host, self._sbe_host) and json_host != self._sbe_host:
            return "sbe" if host == self._sbe_host else "json"
        if self._headers and all(name in headers for name, _ in self._headers):
            return "sbe"
        asked = {one: {w.channel for found in (self.served_at(target, one) or {}).values() for w in found} for one in ("json", "sbe")}
        return "sbe" if asked["sbe"] - asked["json"] else "json"

    def refuses(self, transport: str, headers: Mapping[str, str]) -> str | None:
        """Which header is not what the endpoint wants; None: all are."""
        wanted = self._headers if transport == "sbe" else []
        return next((name for name, pattern in wanted if re.fullmatch(pattern, headers.get(name, "")) is None), None)

    def served_at(self, target: str, transport: str = "json") -> dict[int, tuple[Wanted, ...]] | None:
        """The messages that a connection to `target` (path and query) of an endpoint can carry, each with what the URL subscribes of it.

        None: no address of this product.
        """
        path = unquote(target)
        own = {index: address for index, address in self._addresses.items() if self.messages[index].transport == transport}
        found = {index: match for index, address in own.items() if (match := address.fullmatch(path)) is not None}
        if not found:
            return None
        return {index: self._by_url(index, match.groupdict()) for index, match in found.items()}

    def _by_url(self, index: int, groups: Mapping[str, str | None]) -> tuple[Wanted, ...]:
        args = groups.get("args")
        if args is not None:
            wanted = (self._want(index, arg, in_url=True) for arg in args.split("/") if arg)
            return tuple(one for one in wanted if one is not None)
        if {"symbol", "symbol_lower"} & set(groups):
            symbol = _symbol(groups)
            return (Wanted(self._channel(index, symbol), symbol, (Stream(index, symbol),)),)
        return ()

    # ------------------------------------------------------------------ requests

    def read_request(self, text: str) -> Asked | None:
        """What a client's text asks for; None: no request of this venue."""
        session = self.product.session
        for action, request in (("subscribe", session.subscribe), ("unsubscribe", session.unsubscribe)):
            if request is None:
                continue
            asked = self._listed(action, request, text) if request.arg is not None else self._single(action, request, text)
            if asked is not None:
                return asked
        return None

    def _listed(self, action: str, request: ir.Request, text: str) -> Asked | None:
        found = _read(_regex(request.send, self._vars), text)
        if found is None:
            return None
        groups = found.groupdict()
        parts = []
        for arg in _split(groups.get("args") or ""):
            known = [one for index, _ in self._channels if (one := self._want(index, arg)) is not None]
            if known:
                streams = tuple(stream for one in known for stream in one.streams)
                parts.append(Wanted(known[0].channel, known[0].symbol, streams))
            else:
                parts.append(self._unknown(arg))
        return Asked(action, tuple(parts), _id(found))

    def _single(self, action: str, request: ir.Request, text: str) -> Asked | None:
        """A request of one stream, which stands in the text itself."""
        found = _read(_regex(request.send, self._vars), text)
        if found is None:
            return None
        streams: list[Stream] = []
        for index, message in self._channels:
            own = _read(_regex(request.send, {**self._vars, **dict(message.vars)}, message.channel), text)
            if own is not None:
                streams.append(Stream(index, _symbol(own.groupdict())))
        groups = found.groupdict()
        symbol = streams[0].symbol if streams else _symbol(groups)
        channel = self._channel(streams[0].message, symbol) if streams else groups.get("channel") or ""
        return Asked(action, (Wanted(channel, symbol, tuple(streams)),), _id(found))

    def id_of(self, text: str) -> str:
        """The id of a request that was not understood, as JSON text: under the key where requests have theirs."""
        subscribe = self.product.session.subscribe
        key = re.search(r'"(\w+)"\s*:\s*"?\0', "" if subscribe is None else render(subscribe.send, {"id": "\0"}, ""))
        try:
            value = json.loads(text)
        except ValueError:
            return "null"
        return json.dumps(value.get(key.group(1))) if isinstance(value, dict) and key is not None else "null"

    def read_ping(self, text: str) -> str | None:
        """The id of a text that is a ping of this venue, `null` if it has none; None: it is no ping."""
        ping = self.product.session.ping
        if ping is None or ping.send is None:
            return None
        found = _read(_regex(ping.send, self._vars), text)
        return None if found is None else _id(found)

    def _want(self, index: int, arg: str, *, in_url: bool = False) -> Wanted | None:
        """What an argument asks of one message; None: nothing."""
        message = self.messages[index]
        subscribe = self.product.session.subscribe
        if message.channel is None:
            return None
        text = message.channel if subscribe is None or subscribe.arg is None else subscribe.arg
        pattern = _regex(text, {**self._vars, **dict(message.vars)}, message.channel)
        if in_url and pattern.startswith('"') and pattern.endswith('"'):
            pattern = pattern[1:-1]  # in a URL an argument that is a JSON string stands as its content
        found = re.fullmatch(pattern, arg)
        if found is None:
            return None
        symbol = _symbol(found.groupdict())
        return Wanted(self._channel(index, symbol), symbol, (Stream(index, symbol),))

    def _unknown(self, arg: str) -> Wanted:
        """Channel and symbol of an argument whose channel nobody has, as far as its form tells them."""
        subscribe = self.product.session.subscribe
        assert subscribe is not None
        assert subscribe.arg is not None
        own = re.fullmatch(_regex(subscribe.arg, self._vars), arg)
        found = own or re.fullmatch(_regex(subscribe.arg, {}), arg)
        groups = found.groupdict() if found else {}
        return Wanted(groups.get("channel") or arg.strip('"'), _symbol(groups), (), foreign=own is None)

    def _channel(self, index: int, symbol: str) -> str:
        message = self.messages[index]
        return "" if message.channel is None else render(message.channel, {"symbol": symbol}, "")


def _address(url: ir.Text) -> re.Pattern[str]:
    """A URL's path and query as a pattern: scheme and host belong to whoever listens."""
    pattern = re.sub(r"^wss?:(\\?/){2}[^/?]*", "", _regex(url, {}))
    return re.compile(pattern if pattern.startswith(("/", "\\/")) else "/" + pattern)


def host_of(url: str) -> str:
    """The host of a URL, without port; "" where it is not written out."""
    found = _HOST.match(url)
    return found.group(1) if found else ""


def answers(template: ir.Text, captures: Mapping[str, str], text: str) -> bool:
    """Is `text` what a client says when `template` is to be sent?"""
    return _read(_regex(template, dict(captures)), text) is not None


def _read(pattern: str, text: str) -> re.Match[str] | None:
    """Matches as it is, or without the white space that JSON allows."""
    found = re.fullmatch(pattern, text)
    if found is None:
        try:
            found = re.fullmatch(pattern, json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False))
        except ValueError:
            return None
    return found


def _regex(text: ir.Text, names: Mapping[str, str], channel: ir.Text | None = None) -> str:
    """A template as a regular expression; names that are not known become groups, a second time they mean the same."""
    out: list[str] = []
    seen: set[str] = set()
    _append(out, seen, text, names, channel)
    return "".join(out)


def _append(out: list[str], seen: set[str], text: ir.Text, names: Mapping[str, str], channel: ir.Text | None) -> None:
    for part in text.parts:
        match part:
            case ir.Lit(literal):
                out.append(re.escape(literal).replace('\\"', '"'))
            case ir.Ref("channel", _) if channel is not None:
                _append(out, seen, channel, names, None)
            case ir.Ref(name, lower) if name in names:
                out.append(re.escape(names[name].lower() if lower else names[name]))
            case ir.Ref(name, lower):
                group = f"{name}_lower" if lower else name
                out.append(f"(?P={group})" if group in seen else f"(?P<{group}>{_GROUPS.get(name, '.+?')})")
                seen.add(group)
            case ir.Star():
                out.append(".*")


_GROUPS = {"args": ".*", "id": r'-?\w+|"[^"]*"', "now_s": r"\d+", "now_ms": r"\d+", "symbol": r'[^"]+?'}


def _symbol(groups: Mapping[str, str | None]) -> str:
    lowered = groups.get("symbol_lower")
    return groups.get("symbol") or (_upper(lowered) if lowered else "")


def _split(args: str) -> list[str]:
    """The arguments of a request: JSON values as compact text where they are JSON, else cut at commas."""
    try:
        return [json.dumps(value, separators=(",", ":"), ensure_ascii=False) for value in json.loads(f"[{args}]")]
    except ValueError:
        return [arg for arg in args.split(",") if arg]


def _id(found: re.Match[str]) -> str:
    """The id of a request as JSON text: the quotes that stand around it in the request belong to it."""
    if found.groupdict().get("id") is None:
        return "null"
    start, end = found.span("id")
    return found.string[start - 1 : end + 1] if found.string[start - 1 : start] == '"' else found.string[start:end]


def _upper(text: str) -> str:
    """ASCII letters only: a venue's own upper case stops there."""
    return "".join(c.upper() if c.isascii() else c for c in text)
