"""The fetcher against an HTTPS server of aiohttp's, by itself, through its socket, and as a process that the supervisor keeps."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from k4 import fetch, fetcher, supervisor
from k4.errors import K4Error
from k4.fetch import Asked, Fetch, FetchError
from k4.fetcher import Fetcher
from k4.job import FetcherJob
from tests import logs
from tests.https_server import Handler, serving
from tests.venue_server import Authority, authority


async def get(tls: Authority, handler: Handler, path: str = "/x?a=1", *, body: str | None = None, most: int = 1 << 20) -> bytes:
    async with serving(tls, handler) as base, Fetcher() as made:
        return await made.fetch(Asked(base + path, body, (str(tls.ca_file),), most))


def failed(tls: Authority, handler: Handler, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as raised:
        asyncio.run(get(tls, handler, **options))
    return raised.value


async def echo(request: web.Request) -> web.Response:
    seen = {"method": request.method, "target": request.raw_path, "body": await request.text(), "type": request.content_type}
    return web.json_response(seen, headers={"Set-Cookie": "a=b"})


def test_get_and_post(tls: Authority) -> None:
    assert json.loads(asyncio.run(get(tls, echo))) == {
        "method": "GET", "target": "/x?a=1", "body": "", "type": "application/octet-stream",
    }  # fmt: skip
    posted = json.loads(asyncio.run(get(tls, echo, body='{"ü":1}')))
    assert posted == {"method": "POST", "target": "/x?a=1", "body": '{"ü":1}', "type": "application/json"}


def test_what_is_escaped_in_an_address_stays_as_it_is(tls: Authority) -> None:
    said = json.loads(asyncio.run(get(tls, echo, path="/a?next=0%2C500%26x%3D&s=%E6%B5%8B")))
    assert said["target"] == "/a?next=0%2C500%26x%3D&s=%E6%B5%8B"


def test_the_certificate_is_verified(tls: Authority, tmp_path: Path) -> None:
    async def ask(*ca_files: str) -> None:
        async with serving(tls, echo) as base, Fetcher() as made:
            await made.fetch(Asked(base, None, ca_files, 100))

    with pytest.raises(FetchError, match="the certificate is not trusted: unable to get local issuer certificate") as raised:
        asyncio.run(ask())
    assert raised.value.hint == "is its CA in tls.ca_file?"
    other = authority(tmp_path)
    with pytest.raises(FetchError, match="the certificate is not trusted"):
        asyncio.run(ask(str(other.ca_file)))
    with pytest.raises(FetchError, match="holds no certificate that can be read"):
        asyncio.run(ask(str(tmp_path / "none.pem")))


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "ftp://h", "https://", "x"])
def test_only_https(url: str) -> None:
    async def ask() -> None:
        async with Fetcher() as made:
            await made.fetch(Asked(url, None, (), 100))

    with pytest.raises(FetchError, match="not an https:// address"):
        asyncio.run(ask())


def test_a_body_is_bounded_however_it_is_packed(tls: Authority) -> None:
    async def exact(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    assert asyncio.run(get(tls, exact, most=1000)) == b"x" * 1000
    assert "the answer has more than 999 bytes" in str(failed(tls, exact, most=999))

    async def packed(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"})

    assert "the answer has more than 100000 bytes" in str(failed(tls, packed, most=100_000))
    assert len(asyncio.run(get(tls, packed, most=10_000_000))) == 10_000_000


def test_other_answers_are_errors_in_the_venues_words(tls: Authority) -> None:
    async def wrong(_: web.Request) -> web.Response:
        return web.Response(status=400, text='{"code":-1121,"msg":"Invalid symbol."}')

    error = failed(tls, wrong)
    assert error.status == 400
    assert str(error).endswith('/x?a=1: status 400: {"code":-1121,"msg":"Invalid symbol."}')

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://elsewhere.example/"})

    assert failed(tls, elsewhere).status == 302


def test_a_server_that_ends_early_or_says_nothing(tls: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    async def early(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    assert "payload" in str(failed(tls, early))
    monkeypatch.setattr(fetcher, "TOTAL_S", 0.3)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    assert "no answer within 0.3 s" in str(failed(tls, silent))


def test_nobody_is_there() -> None:
    async def ask(port: int) -> None:
        async with Fetcher() as made:
            await made.fetch(Asked(f"https://127.0.0.1:{port}/x", None, (), 100))

    with socket.socket() as deaf:  # it does not listen, and nobody else can have its port
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        with pytest.raises(FetchError, match=f"https://127.0.0.1:{port}/x: Connect call failed"):
            asyncio.run(ask(port))


def test_requests_keep_to_the_pace_of_their_host(tls: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PACE", ((3, 0.4),))
    times: list[float] = []

    async def note(_: web.Request) -> web.Response:
        times.append(time.monotonic())
        return web.Response(body=b"{}")

    async def ask() -> None:
        async with serving(tls, note) as base, Fetcher() as made:
            await asyncio.gather(*(made.fetch(Asked(f"{base}/{n}", None, (str(tls.ca_file),), 100)) for n in range(7)))

    began = time.monotonic()
    asyncio.run(ask())
    assert len(times) == 7
    since = sorted(at - began for at in times)
    assert (since[3] > 0.4, since[6] > 0.8) == (True, True)


def test_a_pause_that_the_venue_asks_for_is_kept(tls: Authority) -> None:
    came: list[float] = []

    async def busy(_: web.Request) -> web.Response:
        came.append(time.monotonic())
        status = {1: 429, 2: 200}.get(len(came), 418)
        return web.Response(status=status, headers={"Retry-After": "1" if len(came) == 1 else "3600"}, text="slow down")

    async def ask() -> None:
        async with serving(tls, busy) as base, Fetcher() as made:
            asked = Asked(base, None, (str(tls.ca_file),), 100)
            with pytest.raises(FetchError, match="status 429: slow down"):
                await made.fetch(asked)
            assert await made.fetch(asked) == b"slow down"
            assert came[1] - came[0] >= 1.0
            with pytest.raises(FetchError, match="status 418"):
                await made.fetch(asked)
            with pytest.raises(FetchError, match=r"the venue wants no requests for another 3[56]\d\d s"):
                await made.fetch(asked)
            assert len(came) == 3

    asyncio.run(ask())


def test_runs_share_the_weight_and_the_pause_of_a_host(tls: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fetchers, as of two runs: ten requests of weight 30 where 300 in a second are allowed, so seven of them in any second; then one of them
    is told to stop for a second, and neither asks before that is over."""
    monkeypatch.setenv("K4_SHM_DIR", str(tmp_path))
    came: list[float] = []

    async def serve(request: web.Request) -> web.Response:
        came.append(time.monotonic())
        if len(came) == 11:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(text="ok")

    async def ask() -> None:
        async with serving(tls, serve) as base, Fetcher() as one, Fetcher() as other:
            asked = Asked(base, None, (str(tls.ca_file),), 100, 30, ((300, 1.0),), shared=True)
            await asyncio.gather(*((one, other)[n % 2].fetch(asked) for n in range(10)))
            (file,) = tmp_path.iterdir()  # noqa: ASYNC240 (small, and here)
            turns = sorted(when / 1e9 for when, _ in struct.iter_unpack("<qq", file.read_bytes()))
            assert len(turns) == 10
            assert all(later - at >= 1.0 for at, later in zip(turns, turns[7:], strict=False))
            assert all(at <= when for at, when in zip(turns, came, strict=True)), "none before its turn"
            await asyncio.sleep(1.1)
            with pytest.raises(FetchError, match="status 429"):
                await one.fetch(asked)
            await asyncio.gather(one.fetch(asked), other.fetch(asked))
            assert came[11] - came[10] >= 1.0

    asyncio.run(ask())
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(f"k4.fetches.{os.getuid()}.127.0.0.1_")


# --------------------------------------------------------------------------- through the socket


@asynccontextmanager
async def client(tls: Authority, base: str | None = None) -> AsyncIterator[Fetch]:
    with fetch.listening() as (path, fd):
        async with Fetcher() as made:
            server = await asyncio.start_unix_server(
                lambda r, w: fetcher.answer(made, r, w, logs.logger()), sock=socket.socket(fileno=os.dup(fd))
            )
            async with server:
                yield Fetch(path, base=base, ca_files=[str(tls.ca_file)])


def test_a_client_gets_the_body_or_the_reason(tls: Authority) -> None:
    async def serve(request: web.Request) -> web.Response:
        if request.path == "/big":
            return web.Response(body=bytes(range(256)) * 20_000)
        return web.Response(status=404, text="none here")

    async def ask() -> None:
        async with serving(tls, serve) as base, client(tls, base) as asker:
            assert await asker.get("https://venue.example/big") == bytes(range(256)) * 20_000
            with pytest.raises(FetchError, match=rf"{base}/small\?x=1: status 404: none here") as raised:
                await asker.get("https://venue.example/small?x=1")
            assert raised.value.status == 404
            with pytest.raises(FetchError, match="more than 10 bytes"):
                await asker.get("https://venue.example/big", most=10)

    asyncio.run(ask())


def test_the_socket_is_private_and_goes_with_its_owner() -> None:
    with fetch.listening() as (path, _):
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.is_socket()
    assert not path.parent.exists()


def test_no_fetcher_is_said_at_once_and_a_dumb_one_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the fetcher is not there"):
        asyncio.run(Fetch(tmp_path / "none").get("https://h/x"))
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.2)
    with fetch.listening() as (path, _), pytest.raises(FetchError, match=r"https://h/x: no answer within 0.2 s"):
        asyncio.run(Fetch(path).get("https://h/x"))


def test_the_client_loads_no_http() -> None:
    code = "import sys, k4.fetch; print({'aiohttp', 'cryptography'} & {m.split('.')[0] for m in sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


# --------------------------------------------------------------------------- as a process


def test_the_fetcher_is_started_anew_and_nobody_must_know(tls: Authority, tmp_path: Path) -> None:
    """Killed between two requests, it serves the third: the one that comes while it is away waits in the socket."""

    def processes() -> list[int]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        found = []
        for pid in children:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found += [int(pid)] * (b"k4.fetcher" in Path(f"/proc/{pid}/cmdline").read_bytes())
        return found

    async def ask() -> None:
        with fetch.listening() as (path, fd):
            job = FetcherJob(fd, "info", str(tmp_path), 14)
            keeper = supervisor.Supervisor([job], logs.logger(), backoff_s=(0.05, 0.1))
            run = asyncio.create_task(keeper.run())
            async with serving(tls, echo) as base:
                asker = Fetch(path, base=base, ca_files=[str(tls.ca_file)])
                assert json.loads(await asker.get("https://h/1"))["target"] == "/1"
                before = processes()
                assert len(before) == 1
                os.kill(before[0], signal.SIGKILL)
                assert json.loads(await asker.get("https://h/2"))["target"] == "/2"
                assert processes() != before
            keeper.stop()
            assert await asyncio.wait_for(run, 60) == 0

    asyncio.run(ask())


def test_the_fetcher_ends_with_who_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "k4.fetcher"]
    with (
        fetch.listening() as (_, fd),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(fd,)) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(FetcherJob(fd, "info", str(tmp_path), 14).to_json().encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b'{"said": "begun"}\n'
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("name", ["none", "x" * 120])
def test_where_no_socket_can_be_made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    if name != "none":
        folder.mkdir()  # longer than a socket's address
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    with pytest.raises(K4Error, match="no socket for the fetcher can be made in") as caught, fetch.listening():
        pass
    assert caught.value.hint == "set XDG_RUNTIME_DIR, or TMPDIR, to a folder of yours with a short name"
    assert not folder.is_dir() or list(folder.iterdir()) == []
