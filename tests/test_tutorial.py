"""docs/add-an-exchange.md, typed in: its files are put where it says, its commands run in order, what it shows is what they print."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from k4.native import Native

PAGE = (Path(__file__).resolve().parent.parent / "docs/add-an-exchange.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PAGE_PORT = "127.0.0.1:9443"


def files() -> dict[str, str]:
    """Every file of the page; blocks of one file follow each other, with a blank line between."""
    found: dict[str, list[str]] = {}
    for _, name, text in BLOCKS:
        if name:
            found.setdefault(name, []).append(text)
    return {name: "\n".join(texts) for name, texts in found.items()}


def commands() -> list[tuple[str, list[str]]]:
    """Every command of the page with the lines that it prints there."""
    found: list[tuple[str, list[str]]] = []
    for kind, _, text in BLOCKS:
        for line in text.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_the_spec_is_short() -> None:
    assert files().keys() == {"frames.jsonl", "venues/tern.toml", "tern.json"}
    assert files()["venues/tern.toml"].count("\n") < 100


class Typist:
    """Runs the commands in a folder, with shared memory, cache and simulator of their own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env
        self.address = PAGE_PORT
        self.simulator: subprocess.Popen[str] | None = None

    def type(self, command: str) -> list[str]:
        """What a command prints. One that ends in & goes on until the end; it listens on a free port."""
        words = shlex.split(command.removesuffix("&").replace(PAGE_PORT, self.address))
        assert words[0] == "k4"
        if command.endswith("&"):
            self.start([sys.executable, "-m", "k4", *words[1:]])
            return []
        done = subprocess.run(
            [sys.executable, "-m", "k4", *words[1:]],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()

    def start(self, command: list[str]) -> None:
        place = command.index(PAGE_PORT)
        command[place] = "127.0.0.1:0"
        self.simulator = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True)
        assert self.simulator.stdout is not None
        said = self.simulator.stdout.readline()
        found = re.search(r"listening on (\S+:\d+): tern spot", said)
        assert found, said
        self.address = found[1]

    def end(self) -> None:
        if self.simulator is not None:
            with self.simulator as simulator:
                simulator.terminate()
                try:
                    assert simulator.wait(60) == 0
                finally:
                    simulator.kill()


@pytest.fixture
def typist(native: Native, tmp_path: Path) -> Iterator[Typist]:
    shm = tmp_path / "shm"
    shm.mkdir()
    cache = tmp_path / "cache" / "k4"
    cache.mkdir(parents=True, mode=0o700)
    users = native.file.parent.parent.parent  # what is compiled once need not be again
    (cache / "builds").symlink_to(users / "builds")
    (cache / "objects").mkdir(mode=0o700)  # no link: code is loaded from there
    for file in (users / "objects").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another build has tidied up
            shutil.copy2(file, cache / "objects")
    for name, text in files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = Typist(tmp_path, {**os.environ, "K4_SHM_DIR": str(shm), "XDG_CACHE_HOME": str(cache.parent), "XDG_STATE_HOME": str(tmp_path)})
    yield made
    made.end()


@pytest.mark.slow
def test_the_page_typed_in(typist: Typist) -> None:
    printed = {}
    for command, shown in commands():
        printed[command] = typist.type(command)
        if shown:
            assert printed[command] == shown, command
    for word, record in (("quotes", "bbo"), ("trades", "trade"), ("ladders", "depth5")):
        lines = [json.loads(line) for line in typist.type(f"k4 tail tern_spot_{record} --json --from oldest --count 3")]
        assert [line["record"] for line in lines] == [record] * 3, word
        assert {line["symbol"] for line in lines} == {"FOOBAR"}
    last = [json.loads(line) for line in printed["k4 tail tern_spot_trade --json --from oldest --count 3"]]
    assert all(Decimal(line["price"]) > 0 and Decimal(line["qty"]) > 0 for line in last)
    (entry,) = json.loads("\n".join(typist.type("k4 shm inspect tern_spot_bbo --json")))["symbols"]
    assert (entry["symbol"], entry["qty_unit"]) == ("FOOBAR", "base")
    log = "".join(file.read_text() for file in sorted((typist.folder / "log").glob("*.log")))
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert "connected" in events
    assert not {"refused", "messages differ from the spec", "the spec has no message for a frame", "subscription not answered"} & set(
        events
    )


def test_commands_are_read_as_they_are_meant() -> None:
    names = [shlex.split(command)[1] for command, _ in commands()]
    assert names == ["codegen", "codegen", "decode", "sim", "instruments", "run", "tail"]
