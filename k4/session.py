"""What K4 says to a venue, rendered from its spec: streams, URLs, subscribe requests, pings and answers.

Pure functions over the IR: nothing here knows a socket, a clock or an exchange. Imports, of the generator, `ir` and `bind`.
Where the pieces come from: a stream is a (channel, symbol); the product's `url` decides which streams share a connection;
`session.subscribe` turns the streams that the URL does not name into requests.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ._codegen import bind, ir

# Servers commonly refuse a request line above 8 KiB; what does not fit is subscribed by message, or on one more connection.
URL_BYTES = 8000

# What may stand unescaped in the part of a URL that `$args`, `$channel` and `$symbol` fill (path segment and query value).
_URL_SAFE = "-._~!$'()*+,;:@="

Names = Mapping[str, str]
NONE: Names = {}


@dataclass(frozen=True, slots=True)
class Stream:
    """One thing to subscribe. `symbol` None: one stream for all symbols. `messages`: indices into the product's bound messages."""

    channel: str
    symbol: str | None
    messages: tuple[int, ...]
    records: tuple[str, ...]
    vars: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        return self.channel if self.symbol is None else f"{self.symbol} {'+'.join(self.records)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one connection carries. `by_url` streams are subscribed by `url` itself, `by_message` ones by requests after the handshake.

    `symbol` is "" unless the URL makes this a connection of one stream, whose frames need not name their symbol.
    """

    url: str
    by_url: tuple[Stream, ...]
    by_message: tuple[Stream, ...]
    symbol: str

    @property
    def streams(self) -> tuple[Stream, ...]:
        return self.by_url + self.by_message


@dataclass(frozen=True, slots=True)
class Step:
    """From one plan to another on the same link: streams to subscribe and to unsubscribe."""

    new: tuple[Stream, ...]
    gone: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One message to send and the streams it asks for; `id` is what the venue's answer will carry, if it carries one."""

    id: int
    text: str
    streams: tuple[Stream, ...]


def streams(
    product: ir.Product, messages: Sequence[ir.Message], records: Iterable[str], symbols: Iterable[str], transport: str = "json"
) -> tuple[Stream, ...]:
    """The streams that bring `records` of `symbols` by a transport. `messages`: as `bind` gives them for the product.

    Messages on one channel share a stream; a message without a channel comes along with others and needs none. There is one stream
    per symbol where the channel, the request or the URL names it, else one for all. Levels that are cut from a book are not asked for on
    another channel that tells them whole: of one link, two streams of a state would not be in order.
    """
    wanted = tuple(records)
    subscribe = product.session.subscribe
    asking = [product.url] if subscribe is None else [product.url, subscribe.arg or subscribe.send]
    asked_by_symbol = any("symbol" in bind.names_in(text) for text in asking)
    found: dict[tuple[str, str | None, tuple[tuple[str, str], ...]], tuple[list[int], list[str]]] = {}
    asked = [(i, m) for i, m in enumerate(messages) if m.channel is not None and m.transport == transport]
    cut = {record for _, m in asked if m.book for record in m.records if record.startswith("depth")}
    for index, message in asked:
        given = [record for record in message.records if record in wanted and (record not in cut or message.book)]
        if not given or message.channel is None:
            continue
        per_symbol: list[str | None] = [*symbols] if asked_by_symbol or "symbol" in bind.names_in(message.channel) else [None]
        for symbol in per_symbol:
            channel = bind.render(message.channel, {**dict(message.vars), "symbol": symbol or ""}, "")
            indices, words = found.setdefault((channel, symbol, message.vars), ([], []))
            indices.append(index)
            words.extend(record for record in given if record not in words)
    return tuple(
        Stream(channel=channel, symbol=symbol, messages=tuple(indices), records=tuple(words), vars=vars_)
        for (channel, symbol, vars_), (indices, words) in found.items()
    )


def silence_s(messages: Sequence[ir.Message], record: str) -> float | None:
    """How long the stream that brings a record of a symbol is quiet at most; None: as long as it likes."""
    limits = [message.silence_s for message in messages if record in message.records and message.channel is not None]
    known = [limit for limit in limits if limit is not None]
    return max(known) if known and len(known) == len(limits) else None


def fetches(messages: Sequence[ir.Message], records: Iterable[str], transports: Iterable[str]) -> bool:
    """Whether receiving `records` takes what must be fetched: names that a connect needs, snapshots of books."""
    wanted, over = {*records}, {*transports}
    waiting = [message for message in messages if message.waits and message.transport in over and wanted & {*message.records}]
    return bool(waiting) or any(message.record == "vars" for message in messages)


def of_one_stream(product: ir.Product) -> bool:
    """Whether the URL names a channel or symbol: then a connection is for one stream, and no message changes which."""
    return not {"channel", "symbol"}.isdisjoint(bind.names_in(product.url))


def plans(product: ir.Product, wanted: Sequence[Stream]) -> tuple[Plan, ...]:
    """Spreads `wanted` over connections: streams whose URLs render alike share one, as far as `limits.streams` allows."""
    return tuple(spread(product, wanted, {}).values())


def spread(product: ir.Product, wanted: Sequence[Stream], kept: Mapping[int, Plan]) -> dict[int, Plan]:
    """The same where connections are there already, by number: a stream stays on the one that carries it, a new one goes where there is
    room, else onto a connection with the lowest number that is free. Those that carry nothing any more are left out."""
    sharing = _Sharing(product)
    at = {stream: number for number, plan in kept.items() for stream in plan.streams}
    members: dict[int, list[Stream]] = {}
    new: list[Stream] = []
    for stream in wanted:
        if stream in at:
            members.setdefault(at[stream], []).append(stream)
        else:
            new.append(stream)
    open_: dict[str, list[int]] = {}  # connections with room, by what their streams have in common
    for number in sorted(members):
        open_.setdefault(sharing.key(members[number][0]), []).append(number)
    numbers = itertools.count()
    for stream in new:
        there = open_.setdefault(sharing.key(stream), [])
        while there and not sharing.fits(members[there[0]], stream):
            there.pop(0)
        if not there:
            number = next(n for n in numbers if n not in members)
            members[number] = []
            there.append(number)
        members[there[0]].append(stream)
    result: dict[int, Plan] = {}
    for number, streams_ in sorted(members.items()):
        old = kept.get(number)
        same = old is not None and set(old.streams) == set(streams_)
        result[number] = old if old is not None and same else sharing.plan(streams_)
    return result


class _Sharing:
    """Which streams of a product go onto one connection, and its plan."""

    def __init__(self, product: ir.Product) -> None:
        self._product = product
        self._single = of_one_stream(product)
        self._listed = "args" in bind.names_in(product.url)
        self._by_itself = self._single or product.session.subscribe is None  # nothing but the URL can subscribe here
        self._most = 1 if self._single else product.session.limits.streams
        self._keys: dict[tuple[tuple[str, str], ...], str] = {}

    def key(self, stream: Stream) -> str:
        """What all streams of a connection have in common: the URL without what it lists."""
        if self._single:
            return f"{_url(self._product, stream, '')}\0{stream.channel}\0{stream.symbol}"
        if stream.vars not in self._keys:
            self._keys[stream.vars] = _url(self._product, stream, "")
        return self._keys[stream.vars]

    def fits(self, members: list[Stream], stream: Stream) -> bool:
        if self._most is not None and len(members) >= self._most:
            return False
        bounded = self._by_itself and self._listed
        return not bounded or _fitting(self._product, [*members, stream]) > len(members)

    def plan(self, members: Sequence[Stream]) -> Plan:
        named = _fitting(self._product, members) if self._listed else len(members) if self._by_itself else 0
        url = _url(self._product, members[0], _args_of_url(self._product, members[:named]))
        symbol = (members[0].symbol or "") if self._single else ""
        return Plan(url=url, by_url=tuple(members[:named]), by_message=tuple(members[named:]), symbol=symbol)


def step(product: ir.Product, old: Plan, new: Plan) -> Step | None:
    """What to ask for on a link that carries `old`, so that it carries `new`; None: there is no message for that."""
    before, after = set(old.streams), set(new.streams)
    added = tuple(stream for stream in new.streams if stream not in before)
    gone = tuple(stream for stream in old.streams if stream not in after)
    manners = product.session
    if (added and manners.subscribe is None) or (gone and manners.unsubscribe is None):
        return None
    # A link stays where its URL leads, and one that is opened for a stream keeps it.
    if old.symbol != new.symbol or _url(product, old.streams[0], "") != _url(product, new.streams[0], ""):
        return None
    return Step(added, gone)


def connect_url(product: ir.Product, plan: Plan, fetched: Names) -> str:
    """The URL of `plan` with the names that had to be fetched for it."""
    given = {name: _as_given(value) for name, value in fetched.items()}
    return _url(product, plan.streams[0], _args_of_url(product, plan.by_url), given)


def requests(
    product: ir.Product, request: ir.Request, wanted: Sequence[Stream], first_id: int, fetched: Names = NONE
) -> tuple[Request, ...]:
    """The messages that ask for `wanted` (`request`: the session's `subscribe` or `unsubscribe`), with ids from `first_id` on.

    Streams whose `send` renders alike share a request, up to `limits.args` of them and `limits.bytes` bytes of text.
    """
    alike: dict[str, list[tuple[Stream, dict[str, str]]]] = {}
    for stream in wanted:
        names = _names(product, stream, fetched)
        shape = bind.render(request.send, {**names, "args": "\0", "id": "\0"}, "")
        key = shape if request.arg is not None else f"{shape}\0{stream.channel}\0{stream.symbol}"
        alike.setdefault(key, []).append((stream, names))
    result: list[Request] = []
    for members in alike.values():
        args = ["" if request.arg is None else bind.render(request.arg, names, "") for _, names in members]
        at = 0
        while at < len(members):
            number = first_id + len(result)
            around = {**members[at][1], "id": str(number)}
            empty = bind.render(request.send, {**around, "args": ""}, "")
            count = 1 if request.arg is None else _sharing_request(product.session.limits, empty, args, at)
            text = bind.render(request.send, {**around, "args": ",".join(args[at : at + count])}, "")
            result.append(Request(id=number, text=text, streams=tuple(stream for stream, _ in members[at : at + count])))
            at += count
    return tuple(result)


def _sharing_request(limits: ir.Limits, empty: str, args: Sequence[str], at: int) -> int:
    """How many of `args` from `at` on fit into a request whose text without any is `empty`; at least one."""
    most = min(len(args) - at, limits.args or len(args))
    if limits.bytes is None:
        return most
    size = len(empty.encode()) + len(args[at].encode())
    count = 1
    while count < most and (size := size + 1 + len(args[at + count].encode())) <= limits.bytes:
        count += 1
    return count


def ping_text(product: ir.Product, *, number: int, now_ns: int, fetched: Names = NONE) -> str | None:
    """What makes the venue answer; None = a WebSocket ping."""
    ping = product.session.ping
    if ping is None or ping.send is None:
        return None
    return bind.render(ping.send, {**fetched, **dict(product.vars), "id": str(number), **_now(now_ns)}, "")


def answer(product: ir.Product, message: ir.Message, captures: Names, *, number: int, now_ns: int, fetched: Names = NONE) -> str | None:
    """The answer to a message the venue wants answered (`record = "ping"` with `send`); None = it has none."""
    if message.send is None:
        return None
    own = {**fetched, **dict(product.vars), **dict(message.vars), **captures}
    return bind.render(message.send, {**own, "id": str(number), **_now(now_ns)}, "")


def fetch_url(product: ir.Product, message: ir.Message, known: Names, *, now_ns: int) -> str:
    """Where a fetched message is asked for; a name without a value stays empty."""
    assert message.url is not None
    given = {name: _url_text(value) if name == "symbol" else _as_given(value) for name, value in known.items()}
    return bind.render(message.url, {**dict(product.vars), **dict(message.vars), **given, **_now(now_ns)}, "")


def fetch_body(product: ir.Product, message: ir.Message, known: Names, *, now_ns: int) -> str | None:
    """What is POSTed to fetch a message; None: it is a GET."""
    if message.send is None:
        return None
    return bind.render(message.send, {**dict(product.vars), **dict(message.vars), **known, **_now(now_ns)}, "")


def replace_host(url: str, base: str) -> str:
    """`url` with scheme, host and port of `base`: `wss://host[:port]`. Path and query stay."""
    _, _, rest = url.partition("://")
    cut = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    return base.rstrip("/") + rest[cut:]


def _names(product: ir.Product, stream: Stream, fetched: Names = NONE) -> dict[str, str]:
    # Inside a request these stand in JSON strings, so they are escaped as such.
    names = {**fetched, **dict(product.vars), **dict(stream.vars), "channel": stream.channel, "symbol": stream.symbol or ""}
    return {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in names.items()}


def _now(now_ns: int) -> dict[str, str]:
    return {"now_s": str(now_ns // 1_000_000_000), "now_ms": str(now_ns // 1_000_000)}


def _url(product: ir.Product, stream: Stream, args: str, fetched: Names = NONE) -> str:
    own = {"channel": _url_text(stream.channel), "symbol": _url_text(stream.symbol or "")}
    return bind.render(product.url, {**fetched, **dict(product.vars), **dict(stream.vars), **own, "args": args}, "")


def _args_of_url(product: ir.Product, members: Sequence[Stream]) -> str:
    return "/".join(_url_arg(product, stream) for stream in members)


def _url_arg(product: ir.Product, stream: Stream) -> str:
    """One stream's part of `$args` in a URL: its rendered `arg`; a JSON string without its quotes, since a URL has none."""
    subscribe = product.session.subscribe
    if subscribe is None or subscribe.arg is None:
        return _url_text(stream.channel)
    arg = bind.render(subscribe.arg, _names(product, stream), "")
    return _url_text(bind.url_args([arg]))


def _url_text(text: str) -> str:
    return quote(text, safe=_URL_SAFE)


def _as_given(text: str) -> str:
    """What a venue gave to be put into a URL: an address, a token, a page's key. It has escaped in it what it must."""
    return quote(text, safe=_URL_SAFE + "%/?&#[]")


def _fitting(product: ir.Product, members: Sequence[Stream]) -> int:
    """How many of `members` fit into one URL; at least one."""
    length = len(_url(product, members[0], ""))
    for count, stream in enumerate(members):
        length += len(_url_arg(product, stream)) + 1
        if length > URL_BYTES and count > 0:
            return count
    return len(members)
