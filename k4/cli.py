"""The command line: what can be typed, and nothing of what is then done.

Each command imports its module when it runs, so that `k4 --help` stays fast; typer, `errors` and `version` are all that is loaded
before. Every command's work is a function that returns an exit code: 0 done, 1 failed or refused, 2 wrong usage.
Imports `check`, `config`, `decode`, `errors`, `generate`, `instruments`, `reload`, `runner`, `shm`, `specs`, `k4.sim.command`,
`k4.sim.faults`, `tail`, `version`.
"""

from __future__ import annotations

import enum
import math
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import K4Error, UsageError, shown
from .version import VERSION

app = typer.Typer(
    name="k4",
    help="Low-latency crypto market data: exchange specs in, lock-free shared memory out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Check a configuration, or print its JSON Schema.", no_args_is_help=True, rich_markup_mode=None)
shm_app = typer.Typer(help="List, inspect and remove shared-memory segments.", no_args_is_help=True, rich_markup_mode=None)
spec_app = typer.Typer(help="Compare specs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config_app, name="config")
app.add_typer(spec_app, name="spec")
app.add_typer(shm_app, name="shm")


class LogLevel(enum.StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Start(enum.StrEnum):
    oldest = "oldest"
    newest = "newest"


SpecDirs = Annotated[
    list[Path] | None,
    typer.Option("--spec", metavar="DIR", help="A folder of exchange specs of your own (*.toml); may be given several times."),
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The JSON configuration file.")]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number of anything.")
    return value


Seconds = Annotated[
    float | None, typer.Option("--for", metavar="SECONDS", min=0.0, callback=_finite, help="Stop by itself after this time.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line, also on a terminal.")]


def _faults(value: bool) -> None:
    if value:
        from .sim import faults

        sys.stdout.write(faults.listing())
        raise typer.Exit


def _version(value: bool) -> None:
    if value:
        print(f"k4 {VERSION}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass


@app.command()
def codegen(
    spec: SpecDirs = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also write the reader headers here.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Report findings only; compile nothing.")] = False,
) -> None:
    """Compile the exchange specs into one extension."""
    from . import generate

    _exit(generate.codegen(spec or [], out, check))


@app.command()
def headers(
    copy: Annotated[Path | None, typer.Option("--copy", metavar="DIR", help="Copy the headers into this folder.")] = None,
) -> None:
    """Say where the reader headers are, or copy them."""
    from . import generate

    _exit(generate.headers(copy))


@app.command()
def run(
    config: ConfigFile,
    log_level: Annotated[LogLevel | None, typer.Option("--log-level", help="Overrides log.level of the configuration.")] = None,
    seconds: Seconds = None,
    sim: Annotated[
        str | None, typer.Option("--sim", metavar="HOST:PORT", help="Connect to a simulator there instead of the exchanges.")
    ] = None,
    spec: SpecDirs = None,
) -> None:
    """Receive market data into shared memory until stopped."""
    from . import runner

    level = None if log_level is None else log_level.value
    _exit(runner.run(config, level=level, seconds=seconds, sim=sim, spec=spec or []))


@app.command()
def reload(config: ConfigFile) -> None:
    """Tell the run of a configuration to read it anew, and say what that changed."""
    from . import reload as work

    _exit(work.run(config))


@app.command()
def sim(
    config: ConfigFile,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve; port 0 = any free one.")] = "127.0.0.1:9443",
    replay: Annotated[
        list[str] | None,
        typer.Option("--replay", metavar="[EXCHANGE.PRODUCT=]JSONL", help="Serve these recorded frames instead of a market (repeatable)."),
    ] = None,
    speed: Annotated[
        str | None, typer.Option("--speed", metavar="X|max", help="Replay X times as fast as recorded (default 1), or without waiting.")
    ] = None,
    delay: Annotated[str, typer.Option("--delay", metavar="MS,...", help="Delay in ms of the 1st, 2nd, ... redundant connection.")] = "0",
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", min=0.0, callback=_finite, help="Market updates per second and product, 50 if not given."),
    ] = None,
    load: Annotated[
        bool, typer.Option("--load", help="Send rendered frames as fast as clients take them, or --rate N a second of each product.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="NAME[@KEY=VALUE,...]", help="Let this go wrong, as in cut@conn=1,every=10 (repeatable)."),
    ] = None,
    fault_file: Annotated[
        Path | None, typer.Option("--fault-file", metavar="JSON", help='Faults from a file: a list of {"fault": NAME, KEY: VALUE}.')
    ] = None,
    faults: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--faults", is_eager=True, callback=_faults, help="List the faults and their keys, and exit.")
    ] = False,
    instruments: Annotated[
        int, typer.Option("--instruments", metavar="N", min=1, max=100_000, help="How many instruments a pattern (*USDT) stands for.")
    ] = 3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same market.")] = 1,
    seconds: Seconds = None,
    spec: SpecDirs = None,
) -> None:
    """Serve the exchanges of a configuration on loopback, over TLS."""
    from .sim import command

    _exit(
        command.run(
            config,
            listen=listen,
            replay=replay or [],
            speed=speed,
            delay=_delays(delay),
            rate=rate,
            seed=seed,
            seconds=seconds,
            spec=spec or [],
            load=load,
            instruments=instruments,
            fault=fault or [],
            fault_file=fault_file,
        )
    )


@app.command()
def decode(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Frames, one per line (- = standard input). *.hex: binary ones, a line of hex each; *.bin: one binary frame.",
        ),
    ],
    exchange: Annotated[str, typer.Option("--exchange", metavar="E", help="Name of the exchange spec.")],
    product: Annotated[str, typer.Option("--product", metavar="P", help="Product of that exchange.")],
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="S", help="The one symbol of the connection, where frames do not name it.")
    ] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Use the Python reference interpreter, not the compiled parsers.")] = False,
    json_output: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if anything was refused.")] = False,
    drift: Annotated[
        bool, typer.Option("--drift", help="Tell instead, per message of the spec, how far the frames have drifted from it.")
    ] = False,
    spec: SpecDirs = None,
) -> None:
    """Show the records that recorded frames give."""
    from . import decode as work

    _exit(
        work.run(
            exchange,
            product,
            files,
            symbol=symbol,
            reference=reference,
            json_output=json_output,
            strict=strict,
            drift=drift,
            spec=spec or [],
        )
    )


@app.command()
def tail(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="Name of the segment, as `k4 shm ls` lists it.")],
    json_output: Json = False,
    start: Annotated[Start, typer.Option("--from", help="Begin with the oldest record still held, or with the next one.")] = Start.newest,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=0, help="Stop after N records.")] = None,
) -> None:
    """Follow the records of a segment."""
    from . import tail as work

    _exit(work.run(segment, json_output=json_output, start=start.value, count=count))


@app.command()
def instruments(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Name of the exchange spec.")],
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Product of that exchange.")],
    json_output: Json = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the venue, however fresh the kept list is.")] = False,
    sim: Annotated[str | None, typer.Option("--sim", metavar="HOST:PORT", help="Ask a simulator there instead of the exchange.")] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", metavar="PEM", help="Further CAs to trust.")] = None,
    spec: SpecDirs = None,
) -> None:
    """List the instruments of a product, as the venue has them."""
    from . import instruments as work

    _exit(work.run(exchange, product, json_output=json_output, refresh=refresh, spec=spec or [], sim=sim, ca_file=ca_file))


@config_app.command("check")
def config_check(config: ConfigFile, spec: SpecDirs = None) -> None:
    """Validate a configuration without connecting; report every finding."""
    from . import check as work

    _exit(work.check(config, spec=spec or []))


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of the configuration."""
    from . import config as work

    _exit(work.schema())


@spec_app.command("diff")
def spec_diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The spec, or the schema of records, as it was.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="As it is.")],
) -> None:
    """Say what a change means for wire, shared memory and readers; exit 0: compatible, 3: rebuild readers, 4: break."""
    from . import specs

    _exit(specs.diff(old, new))


@shm_app.command("ls")
def shm_ls(json_output: Json = False) -> None:
    """List the segments."""
    from . import shm

    _exit(shm.ls(json_output))


@shm_app.command("inspect")
def shm_inspect(name: Annotated[str, typer.Argument(metavar="SEGMENT", help="Name of the segment.")], json_output: Json = False) -> None:
    """Show a segment's header, symbols and sources."""
    from . import shm

    _exit(shm.inspect(name, json_output))


@shm_app.command("rm")
def shm_rm(name: Annotated[str, typer.Argument(metavar="SEGMENT", help="Name of the segment.")]) -> None:
    """Remove a segment that no living writer holds."""
    from . import shm

    _exit(shm.rm(name))


def _delays(text: str) -> list[float]:
    """`"0,2.5"` → `[0.0, 2.5]`, milliseconds per redundant connection."""
    try:
        delays = [float(part) for part in text.split(",")]
    except ValueError:
        delays = [-1.0]
    if not all(0 <= delay < float("inf") for delay in delays):
        raise UsageError(f"--delay {text!r}: milliseconds are needed, zero or more, one per connection, joined by commas: --delay 0,2.5")
    return delays


def _exit(code: int) -> None:
    raise typer.Exit(code)


def main() -> None:
    """Runs what was typed. Expected errors end here, as one line on stderr."""
    _complete()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # what cannot be written is told here, not when the interpreter ends
    except K4Error as error:
        print(f"k4: error: {shown(str(error))}", file=sys.stderr)
        if error.hint:
            print(f"  {shown(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`k4 tail x | head`): nothing to say and nobody to say it to.
        _mute()
        sys.exit(1)
    except OSError as error:
        # Whatever is expected of a file is told where it is used; this is for output to a full disk, and what nobody thought of.
        print(f"k4: error: {error.filename or 'what is printed'}: {error.strerror or error}", file=sys.stderr)
        _mute()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _complete() -> None:
    """Standard streams that the caller closed lead nowhere; else the next file that is opened would get their number."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == fd:
            os.set_inheritable(fd, True)  # the same is so for workers
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w"))


def _mute() -> None:
    """Nothing more is printed: what is left in buffers would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
