"""C and C++ sources of peers: yyjson and simdjson, as their packages on PyPI carry them.

`python -m bench peers` downloads those packages with pip, whose hashes stand in bench/peers.lock, into build/peers; a folder of one's own
is named by `--yyjson DIR`, `--simdjson DIR` or K4_YYJSON, K4_SIMDJSON. Imports `tools`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.tools import ROOT, BenchError

FOLDER = ROOT / "build/peers"
FILES = {"yyjson": ("yyjson.c", "yyjson.h"), "simdjson": ("simdjson.cpp", "simdjson.h")}


def main(arguments: Sequence[str]) -> int:
    """`python -m bench peers`: downloads what is not there yet."""
    parser = argparse.ArgumentParser("bench peers", description="downloads the sources of yyjson and simdjson into build/peers, by pip")
    parser.parse_args(arguments)
    if all((FOLDER / peer / file).is_file() for peer, files in FILES.items() for file in files):
        return 0
    with tempfile.TemporaryDirectory() as name:
        # Their own build is not run: only what is in the archive is wanted.
        words = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        command = [sys.executable, "-m", "pip", *words, "--dest", name, "--requirement", str(ROOT / "bench/peers.lock")]
        if subprocess.run(command, check=False).returncode != 0:
            print("bench: error: the peers' sources could not be downloaded; see above", file=sys.stderr)
            return 1
        for archive in Path(name).glob("*.tar.gz"):
            _unpack(archive)
    return 0


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            place = Path(member.name)
            if member.isfile() and place.name in FILES.get(place.parent.name, ()):
                folder = FOLDER / place.parent.name
                folder.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                (folder / place.name).write_bytes(source.read())


def find(peer: str, named: Path | None) -> Path | None:
    """The folder of a peer's sources: `named`, $K4_<PEER>, else what was downloaded. None, with a line that says so, if there is none.

    Raises BenchError where a folder that was named does not hold them.
    """
    asked = os.environ.get(f"K4_{peer.upper()}")
    folder = named or (Path(asked) if asked else None)
    if folder is None:
        folder = FOLDER / peer
        if not all((folder / file).is_file() for file in FILES[peer]):
            print(f"not measured: {peer}; type: python -m bench peers, or name a folder with its {' and '.join(FILES[peer])} (--{peer})")
            return None
    elif not all((folder / file).is_file() for file in FILES[peer]):
        raise BenchError(f"{folder} does not hold {' and '.join(FILES[peer])}")
    return folder
