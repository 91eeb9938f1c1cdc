"""Which streams a connection asked for: the spec's own texts, read backwards.

A `Venue` is one product of one exchange. `k4.session` renders URLs and requests from the spec; this module undoes that with
patterns of its own, so that a wrong rendering is not understood here. Imports, of the generator, `ir` and `bind`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import unquote

from k4._codegen import ir
from k4._codegen.bind import bind


@dataclass(frozen=True, slots=True)
class Stream:
    """A subscribed thing: the message of the spec (index among the product's) and the native symbol, "" where one stream serves all."""

    message: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request understood: what to do, the streams it names, the names nobody knows, and the request's id as JSON text."""

    action: str  # "subscribe", "unsubscribe", or "error"
    streams: tuple[Stream, ...] = ()
    unknown: tuple[str, ...] = ()
    id: str = "null"


class Venue:
    """One product, ready to understand its clients."""

    def __init__(self, exchange: ir.Exchange, product: ir.Product) -> None:
        self.exchange = exchange
        self.product = product
        self.messages = bind(exchange, product.name)
        self._vars = dict(product.vars)
        self._path = self._path_pattern(product.url)
        self._channels = [(index, message) for index, message in enumerate(self.messages) if message.channel is not None]

    # ------------------------------------------------------------------ URLs

    def streams_of_url(self, target: str) -> tuple[Stream, ...] | None:
        """The streams that a request target (path and query) subscribes by itself; None: no address of this product."""
        found = self._path.fullmatch(unquote(target))
        if found is None:
            return None
        groups = found.groupdict()
        if "args" in groups:
            streams, _ = self._find_streams(list(filter(None, (groups["args"] or "").split("/"))), in_url=True)
            return streams
        return ()

    def _path_pattern(self, url: ir.Text) -> re.Pattern[str]:
        """The URL's path and query as a pattern: scheme and host belong to whoever listens."""
        return re.compile(re.sub(r"^wss?:(\\?/){2}[^/]*", "", _regex(url, self._vars)))

    # ------------------------------------------------------------------ requests

    def read_request(self, text: str) -> Asked | None:
        """What a client's text asks for; None: no request of this venue (a ping, say)."""
        session = self.product.session
        for action, request in (("subscribe", session.subscribe), ("unsubscribe", session.unsubscribe)):
            if request is None:
                continue
            found = re.fullmatch(_regex(request.send, self._vars), text)
            if found is None:
                continue
            groups = found.groupdict()
            streams, unknown = self._find_streams(_split(groups.get("args") or ""), in_url=False)
            return Asked(action, streams, unknown, groups.get("id") or "null")
        return Asked("error", id=_id_of(text)) if _is_object(text) else None

    def _find_streams(self, args: list[str], *, in_url: bool) -> tuple[tuple[Stream, ...], tuple[str, ...]]:
        streams: list[Stream] = []
        unknown: list[str] = []
        for arg in args:
            found = [stream for index, message in self._channels if (stream := self._stream(index, message, arg, in_url=in_url))]
            streams += found
            if not found:
                unknown.append(arg)
        return tuple(streams), tuple(unknown)

    def _stream(self, index: int, message: ir.Message, arg: str, *, in_url: bool) -> Stream | None:
        subscribe = self.product.session.subscribe
        if message.channel is None or subscribe is None or subscribe.arg is None:
            return None
        pattern = _regex(subscribe.arg, {**self._vars, **dict(message.vars)}, channel=message.channel)
        if in_url and pattern.startswith('"') and pattern.endswith('"'):
            pattern = pattern[1:-1]  # in a URL an argument that is a JSON string stands as its content
        found = re.fullmatch(pattern, arg)
        if found is None:
            return None
        groups = found.groupdict()
        if "symbol_lower" in groups:
            return Stream(index, _upper(groups["symbol_lower"]))
        return Stream(index, groups.get("symbol") or "")


def _regex(text: ir.Text, names: dict[str, str], channel: ir.Text | None = None) -> str:
    """A template as a regular expression; names that are not known become groups."""
    out: list[str] = []
    seen: set[str] = set()
    for part in text.parts:
        match part:
            case ir.Lit(literal):
                out.append(re.escape(literal).replace('\\"', '"'))
            case ir.Ref("channel", _) if channel is not None:
                out.append(_regex(channel, names))
            case ir.Ref(name, lower) if name in names:
                out.append(re.escape(names[name].lower() if lower else names[name]))
            case ir.Ref(name, lower):
                group = f"{name}_lower" if lower else name
                out.append(f"(?P={group})" if group in seen else f"(?P<{group}>{_GROUPS.get(name, '.+?')})")
                seen.add(group)
            case ir.Star():
                out.append(".*")
    return "".join(out)


_GROUPS = {"args": ".*", "id": r'-?\d+|"[^"]*"|null'}


def _split(args: str) -> list[str]:
    """The arguments of a request: JSON values as compact text where they are JSON, else cut at commas."""
    try:
        return [json.dumps(value, separators=(",", ":"), ensure_ascii=False) for value in json.loads(f"[{args}]")]
    except ValueError:
        return args.split(",")


def _is_object(text: str) -> bool:
    return text.lstrip().startswith("{")


def _id_of(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return "null"
    return json.dumps(value.get("id")) if isinstance(value, dict) else "null"


def _upper(text: str) -> str:
    """ASCII letters only: a venue's own upper case stops there."""
    return "".join(c.upper() if c.isascii() else c for c in text)
