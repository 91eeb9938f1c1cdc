"""Names that a connect needs and the venue serves by REST: fetched before each dial, and what happens when they cannot be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from k4 import session
from k4._codegen import exchange
from k4.connection import Connection
from k4.fetch import Fetch, FetchError
from k4.venue import Venue
from tests.links import Bench, run, running, until
from tests.logs import Lines
from tests.venue_server import Authority, Peer, serve

TOKEN = """
[[message]]
record = "vars"
product = "spot"
url    = "https://api.probe.example/endpoints?of=$market"
match  = { "list[0].host" = "$host" }
fields = { path = "list[0].path" }
[[message.example]]
wire   = '{"list":[{"host":"wss://a.example","path":"p"}]}'
expect = [{ host = "wss://a.example", path = "p" }]
[[message]]
record = "vars"
product = "spot"
url    = "https://api.probe.example/token?path=$path"
send   = '{"path":"$path"}'
fields = { token = "t" }
[[message.example]]
wire   = '{"t":"abc"}'
expect = [{ token = "abc" }]
"""


class Answers:
    """Stands for the fetcher: answers in turn, an exception by raising it."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []

    async def get(self, url: str, body: str | None = None, *, most: int = 0, weight: int = 1) -> bytes:
        self.asked.append((url, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetching(bench: Bench, tmp_path: Path, port: int, answers: Answers) -> Connection:
    """A connection of the spot product, whose address and token are fetched."""
    spec = tmp_path / "binance.toml"
    text = (Path(__file__).parent.parent / "schema/exchange/binance.toml").read_text()
    first, rest = text.index("url ="), text.index("sbe =")
    head = 'url = "$host/$path?streams=$args&k=$token"\nvars = { market = "SPOT" }\n'
    spec.write_text(text[:first] + head + text[rest:] + TOKEN)
    loaded = exchange.load(spec, bench.native.records)
    bench.venue = Venue(loaded, "spot", bench.native.records)
    (plan,) = session.plans(bench.venue.product, session.streams(bench.venue.product, bench.venue.messages, ["bbo"], ("FOOBAR",)))
    made = bench.carrying(plan)
    made._shared = replace(made._shared, fetch=cast("Fetch", answers), base=f"wss://127.0.0.1:{port}" if port else None)
    return made


def test_names_are_fetched_before_each_connect(bench: Bench, tls: Authority, tmp_path: Path) -> None:
    host = b'{"list":[{"host":"wss://a.example","path":"x/y"}]}'
    answers = Answers(host, b'{"t":"one=="}', host, b'{"t":"two %"}')

    async def script(peer: Peer) -> None:
        await peer.handshake()
        if peer.target.endswith("one=="):
            await asyncio.sleep(0.1)
            return
        await peer.listen()

    async def main() -> None:
        async with serve(tls.server(), script) as server:
            connection = fetching(bench, tmp_path, server.port, answers)
            async with running(connection):
                await until(lambda: connection.links == 2)
            assert [peer.target for peer in server.peers] == [
                "/x/y?streams=foobar@bookTicker&k=one==",
                "/x/y?streams=foobar@bookTicker&k=two%20%",
            ]

    run(main())
    urls = [("https://api.probe.example/endpoints?of=SPOT", None), ("https://api.probe.example/token?path=x/y", '{"path":"x/y"}')]
    assert answers.asked == urls * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FetchError("https://h: status 500: out of order"), "https://h: status 500: out of order"),
        (b'{"list":[]}', 'https://api.probe.example/endpoints?of=SPOT: the body does not match: {"list":[]}'),
        (b"<html>", "https://api.probe.example/endpoints?of=SPOT: the body is malformed at byte 0: <html>"),
        (b'{"list":[{"host":"wss://h","path":{}}]}', "https://api.probe.example/endpoints?of=SPOT: path is refused: type at byte 34"),
        (b'{"list":[{"host":"ws://h","path":"p"}]}', "'ws://h/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"h","path":"p"}]}', "'h/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"wss://h:99999","path":"p"}]}', "'wss://h:99999/p', which was fetched, is no wss:// address"),
        (b'{"list":[{"host":"wss://[::zz","path":"p"}]}', "'wss://[::zz/p', which was fetched, is no wss:// address"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_tried_again(
    answer: bytes | Exception, reason: str, bench: Bench, tls: Authority, tmp_path: Path, lines: Lines
) -> None:
    more = [b'{"t":"secret"}'] if isinstance(answer, bytes) and b"h" in answer and b'"p"' in answer else []
    answers = Answers(answer, *more, b'{"list":[{"host":"wss://127.0.0.1:1","path":"p"}]}', *[FetchError("gone")] * 1000)

    async def main() -> None:
        connection = fetching(bench, tmp_path, 0, answers)
        async with running(connection):
            await until(lambda: len(lines) >= 2)
        assert connection.links == 0

    run(main())
    assert lines[0]["event"] == "what a connect needs could not be fetched"
    assert lines[0]["reason"] == reason
    assert lines[1]["reason"] == "gone"
    assert "secret" not in str(lines)


def test_stop_does_not_wait_for_what_is_fetched(bench: Bench, tmp_path: Path) -> None:
    class Silent(Answers):
        async def get(self, url: str, body: str | None = None, *, most: int = 0, weight: int = 1) -> bytes:
            await asyncio.sleep(3600)
            return b""

    async def main() -> None:
        connection = fetching(bench, tmp_path, 0, Silent())
        async with running(connection):
            await asyncio.sleep(0.05)

    run(main())
