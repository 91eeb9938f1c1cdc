"""Autobahn's fuzzing server against K4's link and framing: `make autobahn`, or `run.py [--report DIR] [CASE...]`, as in `6.* 7.1.1`.

Autobahn's 301 cases of groups 1 to 7, 9 and 10 are each one connection: TLS, handshake, `k4.link` and the core's own `k4_conn` and
framing, over a product (echo_product.c) that hands every message to Python, where it is sent back. Autobahn judges what it sees.
It needs Python 2.7 (`PYTHON2`, else found by itself) and is installed with pip into .venv/autobahn, with what it pins itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cffi
import uvloop

from k4._codegen import cdef, fbs, generate, places
from k4.clock import Clock
from k4.link import Event, Link, LinkError, Resolver, dial, target
from tests.venue_server import Authority, authority

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SUITE = "autobahntestsuite==25.10.1"
INSTALLED = ROOT / ".venv" / "autobahn"
AGENT = "k4"
CASES = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
# Cases whose messages are binary; in all others they are text. What K4 reads makes no difference between them, an echo has to.
BINARY = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.")
# Largest message of the suite is 16 MiB.
MESSAGE_CAP = 32 << 20
CASE_S = 120.0
AT_ONCE = 2
# What Autobahn calls right; right, if not as early as could be; and what the specification leaves open.
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
# Judged as failed, and meant to be so: cases → why.
ON_PURPOSE = {
    "2.10": "of several pings that come in one read the newest is answered, as RFC 6455 5.5.3 allows and a ping flood demands",
    "2.11": "as 2.10",
}


# --------------------------------------------------------------------------- what it takes


def python2() -> str | None:
    """A Python 2.7, by $PYTHON2, PATH, or where version managers keep them."""
    kept = sorted(map(str, Path.home().glob(".pyenv/versions/2.7*/bin/python2.7")))
    for name in (os.environ.get("PYTHON2"), shutil.which("python2.7"), *kept):
        if name and subprocess.run([name, "-c", "import ssl, zlib"], check=False, capture_output=True).returncode == 0:
            return name
    return None


def install(python: str) -> None:
    """Autobahn in INSTALLED, once."""
    done = INSTALLED / "done"
    if done.exists():
        return
    shutil.rmtree(INSTALLED, ignore_errors=True)
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(INSTALLED), SUITE]
    subprocess.run([python, "-W", "ignore", *words], check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    done.touch()


def compile_core(folder: Path) -> tuple[Any, Any]:
    """The core with the product that echoes: (ffi, lib), as `k4.native` has them."""
    (folder / generate.RECORDS_HEADER).write_text(generate.records_header(fbs.load(places.schema() / "records.fbs")), encoding="utf-8")
    library = folder / "echo.so"
    sources = [HERE / "echo_product.c", *sorted(places.csrc().glob("*.c"))]
    subprocess.run(
        ["gcc", "-std=c11", "-O2", "-shared", "-fPIC", f"-I{folder}", f"-I{places.csrc()}", *map(str, sources), "-lm", "-o", str(library)],
        check=True,
    )
    ffi = cffi.FFI()
    ffi.cdef(cdef.declarations())
    return ffi, ffi.dlopen(str(library))


@contextlib.contextmanager
def fuzzing_server(python: str, folder: Path, tls: Authority, cases: list[str]) -> Iterator[int]:
    """Autobahn's server on a free port; its report is in folder/report when it has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    spec = {"url": f"wss://127.0.0.1:{port}", "outdir": "report", "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="ascii")
    command = [python, str(HERE / "server.py"), str(INSTALLED), "spec.json", str(tls.chain_file)]
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"Autobahn's server does not start:\n{(folder / 'server.log').read_text(encoding='utf-8')}")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)


# --------------------------------------------------------------------------- the client


class Echo:
    """One link; sends back what comes. `said`: every message. With `quiet` it only listens."""

    def __init__(self, ffi: Any, lib: Any, *, binary: bool = False, quiet: bool = False) -> None:
        self.ffi, self.lib = ffi, lib
        self.binary, self.quiet = binary, quiet
        self.said: list[bytes] = []
        self.feed = lib.k4_feed_open()
        error = ffi.new("char[256]")
        self.conn = lib.k4_conn_open(self.feed, lib.k4_product_find(b"echo", b"any"), b"echo", b"json", b"", MESSAGE_CAP, error, 256)
        assert self.conn != ffi.NULL, ffi.string(error)

    async def visit(self, url: str, tls: Any) -> str:
        """Connects and stays until the link is lost; why it was."""
        link = Link(self, self.lib, self.ffi, self.conn, target(url), Clock())
        try:
            await dial(link, url, tls, Resolver())
            async with asyncio.timeout(CASE_S):
                return await asyncio.shield(link.lost)
        except LinkError as error:
            return str(error)
        except TimeoutError:
            link.drop("no end")
            return f"no end after {CASE_S:g} s"
        finally:
            self.lib.k4_conn_close(self.conn)
            self.lib.k4_feed_discard(self.feed)

    def event(self, link: Link, event: Event) -> None:
        if event.kind == self.lib.K4_EVENT_PING:
            link.send_pong(event.data)
        elif event.kind == self.lib.K4_EVENT_MESSAGE and self.quiet:
            self.said.append(event.data)
        elif event.kind == self.lib.K4_EVENT_MESSAGE:
            # A market-data client has no binary to send: that is done here.
            (link._wire.send_binary if self.binary else link._wire.send_text)(event.data)
            link._flush()

    def writable(self, link: Link) -> None:
        pass


async def run_all(ffi: Any, lib: Any, port: int, tls: Any) -> None:
    """Every case, then the report."""
    url = f"wss://127.0.0.1:{port}"

    async def ask(path: str) -> Any:
        client = Echo(ffi, lib, quiet=True)
        why = await client.visit(url + path, tls)
        if len(client.said) != 1:
            raise SystemExit(f"Autobahn's server does not answer {path}: {why}")
        return json.loads(client.said[0])

    async def one(number: int) -> None:
        async with slots:
            name = (await ask(f"/getCaseInfo?case={number}"))["id"]
            await Echo(ffi, lib, binary=name.startswith(BINARY)).visit(f"{url}/runCase?case={number}&agent={AGENT}", tls)

    slots = asyncio.Semaphore(AT_ONCE)
    count = await ask("/getCaseCount")
    await asyncio.gather(*(one(number) for number in range(1, count + 1)))
    await Echo(ffi, lib, quiet=True).visit(f"{url}/updateReports?agent={AGENT}", tls)


# --------------------------------------------------------------------------- the report


def judge(report: dict[str, dict[str, Any]]) -> tuple[list[str], list[str]]:
    """A table by group, and what failed without meaning to."""
    lines = [f"{'group':>5}{'cases':>7}" + "".join(f"{word:>15}" for word in (*GOOD, "on purpose", "FAILED"))]
    failed = []
    groups: dict[int, list[str]] = {}
    for name, result in report.items():
        good = result["behavior"] in GOOD and result["behaviorClose"] in GOOD
        verdict = result["behavior"] if good else "on purpose" if name in ON_PURPOSE else "FAILED"
        groups.setdefault(int(name.partition(".")[0]), []).append(verdict)
        if verdict == "FAILED":
            failed.append(f"{name}: {result['behavior']}, its end {result['behaviorClose']}")
    words = (*GOOD, "on purpose", "FAILED")
    lines += [f"{g:5}{len(v):7}" + "".join(f"{v.count(word):15}" for word in words) for g, v in sorted(groups.items())]
    every = [verdict for verdicts in groups.values() for verdict in verdicts]
    lines.append(f"{'all':>5}{len(every):7}" + "".join(f"{every.count(word):15}" for word in words))
    return lines, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="autobahn", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report", type=Path, metavar="DIR", help="keep Autobahn's report (index.html) there")
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE")
    chosen = parser.parse_args()
    python = python2()
    if python is None:
        print("not run: Autobahn's test suite, it needs Python 2.7 with ssl and zlib (set PYTHON2=/path/to/python2.7)")
        return 1
    install(python)
    with tempfile.TemporaryDirectory(prefix="k4-autobahn-") as made:
        folder = Path(made)
        tls = authority(folder)
        ffi, lib = compile_core(folder)
        with fuzzing_server(python, folder, tls, chosen.cases) as port:
            uvloop.run(run_all(ffi, lib, port, tls.client()))
        if chosen.report:
            shutil.copytree(folder / "report", chosen.report, dirs_exist_ok=True)
        report = json.loads((folder / "report" / "index.json").read_text(encoding="utf-8"))[AGENT]
    lines, failed = judge(report)
    print("\n".join(lines + failed))
    return 1 if failed or not report else 0


if __name__ == "__main__":
    sys.exit(main())
