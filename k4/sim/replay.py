"""Recordings: frames with their times, and which of a product's connections each belongs to.

Imports `desk`, `example`, `k4.errors` and, of the generator, `bind`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from k4._codegen.bind import stream_url
from k4.errors import K4Error, UsageError
from k4.sim.desk import Desk
from k4.sim.example import holds

UNTIMED_RATE = 1000.0  # frames per second of a recording without times, at speed 1

Recording = Sequence[tuple[float, str]]  # seconds since the first frame, frame


def routed(desk: Desk, frames: Recording) -> list[tuple[float, str, int | None]]:
    """The frames of a product with the message each is, which says by which URLs it comes; None: by any of them."""
    pushed = [(index, message) for index, message in enumerate(desk.venue.messages) if message.channel is not None and message.json]
    if len({stream_url(desk.venue.product, message) for _, message in pushed}) <= 1:
        return [(at, text, None) for at, text in frames]
    return [(at, text, next((index for index, message in pushed if holds(message, text)), None)) for at, text in frames]


def recordings(given: Sequence[str], desks: Sequence[Desk], speed: str) -> dict[Desk, Recording]:
    """What `--replay` names: `FILE` where one product is served, else `EXCHANGE.PRODUCT=FILE` for each. Raises UsageError, K4Error."""
    names = {desk.name.replace(" ", "."): desk for desk in desks}
    found: dict[Desk, Recording] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or (name not in names and Path(text).exists()):
            name, file = "", text
        if not name and len(desks) != 1:
            raise UsageError(f"--replay {text}: whose is it? write EXCHANGE.PRODUCT=FILE with one of: {' '.join(names)}")
        if name and name not in names:
            raise UsageError(f"--replay {text}: the configuration has no {name}; it has: {' '.join(names)}")
        desk = names[name] if name else desks[0]
        if desk in found:
            raise UsageError(f"--replay {text}: {desk.name} has a recording already")
        found[desk] = read_recording(Path(file), speed)
    return found


def read_recording(file: Path, speed: str) -> list[tuple[float, str]]:
    """The frames of a `.jsonl` file with the second each is sent at, counted from the first.

    Times come from the file of the same name ending in `.recv_ts` (seconds, one per line) where there is one. `speed`
    divides them; `max` sends everything at once.
    """
    try:
        factor = float("inf") if speed == "max" else float(speed)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise UsageError(f'--speed "{speed}": write a factor above 0, or max')
    try:
        # at line feeds only: other line separators of Unicode may stand inside a frame
        frames = [line.removesuffix(b"\r").decode() for line in file.read_bytes().split(b"\n")]
        stamps = file.with_suffix(".recv_ts")
        times = [float(line) for line in stamps.read_text().split()] if stamps.exists() else []
    except (OSError, ValueError) as error:
        raise K4Error(f"cannot read the recording {file}: {error}") from error
    frames = [frame for frame in frames if frame]
    if not frames:
        raise K4Error(f"the recording {file} holds no frame; one frame per line is expected")
    if times and len(times) != len(frames):
        raise K4Error(f"{stamps} holds {len(times)} times, {file} {len(frames)} frames; they must go together, or remove the times")
    if not times:
        times = [i / UNTIMED_RATE for i in range(len(frames))]
    return [((at - times[0]) / factor, frame) for at, frame in zip(times, frames, strict=True)]
