"""The command line: every command is there, errors are one line, exit codes are what the documentation says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from k4 import cli, home, reader, segments
from k4 import shm as commands
from k4.errors import K4Error, UsageError
from k4.segments import NoSegmentError
from k4.version import VERSION

COMMANDS = [
    "codegen",
    "headers",
    "run",
    "reload",
    "sim",
    "decode",
    "tail",
    "instruments",
    "config check",
    "config schema",
    "spec diff",
    "shm ls",
    "shm inspect",
    "shm rm",
]


def k4(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "k4", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = k4(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: python -m k4 {command} ")


def test_the_help_imports_nothing_heavy() -> None:
    """What keeps `k4 --help` fast; bench/ has the figure."""
    heavy = {"pydantic", "numpy", "cffi", "asyncio", "jinja2"}
    code = f"import sys, k4.cli; print(*({heavy!r} & {{name.split('.')[0] for name in sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_the_version() -> None:
    done = k4("--version")
    assert (done.returncode, done.stdout) == (0, f"k4 {VERSION}\n")


USAGE = [
    (["frob"], "No such command 'frob'"),
    (["run"], "Missing argument 'CONFIG'"),
    (["run", "x", "--for", "soon"], "Invalid value for '--for'"),
    (["run", "x", "--log-level", "loud"], "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
    (["tail", "x", "--from", "middle"], "'middle' is not one of 'oldest', 'newest'"),
    (["decode", "x"], "Missing option '--exchange'"),
    (["sim", "x", "--delay", "1,soon"], "k4: error: --delay '1,soon': milliseconds are needed"),
    (["run", "x", "--sim", "nowhere"], "k4: error: --sim 'nowhere': HOST:PORT is needed"),
    (["run", "x", "--sim", "h:70000"], "k4: error: --sim 'h:70000': HOST:PORT is needed"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_wrong_usage_is_exit_code_2(words: list[str], message: str) -> None:
    done = k4(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_expected_error_is_one_line_and_its_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: K4Error) -> tuple[object, str]:
        def app() -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr().err

    assert fail(K4Error("it broke", hint="mend it")) == (1, "k4: error: it broke\n  mend it\n")
    assert fail(K4Error("it broke", exit_code=7)) == (7, "k4: error: it broke\n")
    assert fail(UsageError("not so")) == (2, "k4: error: not so\n")
    assert fail(K4Error("two\nlines of a \x1b[1mvenue\x9b1m\x07 é\ud800")) == (
        1,
        "k4: error: two\nlines of a \\x1b[1mvenue\\x9b1m\\x07 é\\ud800\n",
    )


def test_no_simulator_has_run(tmp_path: Path) -> None:
    done = k4("run", "x", "--sim", "127.0.0.1:9", env={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == (
        f"k4: error: '{tmp_path}/k4/sim/ca.pem' is not there: no simulator has run for this user\n  start one first: k4 sim CONFIG\n"
    )


def test_a_configuration_that_is_not_there(native: object, tmp_path: Path) -> None:
    done = k4("run", str(tmp_path / "none.json"))
    assert done.returncode == 1
    assert done.stderr == f"k4: error: configuration '{tmp_path}/none.json' cannot be read: No such file or directory\n"


def test_delays() -> None:
    assert cli._delays("0,2.5") == [0.0, 2.5]
    for text in ("", "-1", "nan", "inf", "1;2"):
        with pytest.raises(UsageError, match="milliseconds are needed"):
            cli._delays(text)


def test_a_user_whom_the_system_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(K4Error, match="no home folder is known to keep builds in") as caught:
        home.folder("sim")
    assert caught.value.hint == "set XDG_CACHE_HOME to a folder of your own"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")  # which is none, says its standard
    with pytest.raises(K4Error, match="no home folder"):
        home.folder("sim")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert home.folder("sim") == Path("/c/k4/sim")


@pytest.mark.parametrize("command", ["headers", "codegen"])
def test_a_full_disk_is_told_and_leaves_nothing_behind(command: str, tmp_path: Path) -> None:
    """The limit for a file's size stands for the disk's end."""
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); from k4 import cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"k4: error: {tmp_path}/k4/")
    assert "cannot be written: File too large\n  " in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.rglob("*") if file.is_file() and file.name != "lock"] == []


def test_output_that_cannot_be_written_is_told() -> None:
    for words in (["config", "schema"], ["--help"], ["sim", "--faults", "x"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "k4", *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
        assert (done.returncode, done.stderr) == (1, "k4: error: what is printed: No space left on device\n")


def test_streams_that_are_closed_lead_nowhere() -> None:
    """Else the first file that is opened would be standard output."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m k4 config schema >&- && {sys.executable} -m k4 shm rm none 2>&-; echo $?"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_streams_that_are_closed_lead_nowhere_in_what_is_started_too() -> None:
    code = "import os, subprocess, sys; from k4 import cli; cli._complete(); "
    code += "sys.exit(subprocess.run([sys.executable, '-c', 'import os; os.fstat(2)']).returncode)"
    done = subprocess.run(["/bin/sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0


def test_ctrl_c_while_it_is_being_loaded(tmp_path: Path) -> None:
    """Most of the time of a short command: what it imports is stood for by a module that says when it is there, and takes its time."""
    (tmp_path / "typer.py").write_text("import sys, time; sys.stdout.write('loading\\n'); sys.stdout.flush(); time.sleep(20)")
    # Who runs the tests in the background of a shell ignores SIGINT, and what it starts would, too.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "k4", "--version"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        assert (process.wait(10), process.stderr.read()) == (-signal.SIGINT, "")


def test_what_no_shell_would_take_as_a_compiler() -> None:
    done = k4("codegen", env={"CC": "gcc '"})
    assert (done.returncode, done.stderr) == (1, "k4: error: CC=gcc ': No closing quotation\n  quote it as a shell wants it\n")


def test_a_spec_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "nova.toml").mkdir()
    done = k4("codegen", "--check", "--spec", str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        f"k4: error: {tmp_path}/nova.toml is not a file that can be read\n  make it one, or take it out of the folder\n",
    )


def test_names_that_no_segment_has(native: object, shm: Path) -> None:
    for name in ("x" * 300, "../x", "x.lock", "", "a\0b"):
        for work in (reader.open, commands.rm):
            with pytest.raises(NoSegmentError) as caught:
                work(name)
            assert str(caught.value) == f"there is no segment {name} in {shm}"
    (shm / "k4.\x1b[31mred").write_bytes(b"\x0a\x0d\x00GES4K" + bytes(4096))  # whoever may write there
    assert segments.names() == []
