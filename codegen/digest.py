"""What a build is made of, as one hash: equal digest, equal build.

The content digest covers everything the generator reads: templates, C sources, the generator itself, the record schema, the
exchange specs and SBE schemas. It is compiled into the extension, so that whoever loads one knows whether it is the right one. The build
key adds what turns the same text into other machine code: compiler, flags, versions of Python and cffi. Imports `places` only.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

import _cffi_backend

from . import places

RECORDS = "records.fbs"


def spec_files(specs: Sequence[Path]) -> tuple[Path, ...]:
    """The built-in exchange specs and then those of the folders `specs`, each folder in name order."""
    return tuple(file for folder in (places.schema() / "exchange", *specs) for file in sorted(folder.glob("*.toml")))


def schema_files(specs: Sequence[Path]) -> tuple[Path, ...]:
    """The SBE schemas that specs may name, likewise."""
    return tuple(file for folder in (places.schema() / "sbe", *specs) for file in sorted(folder.glob("*.xml")))


def content(specs: Sequence[Path]) -> str:
    """The content digest, hex. Names count without their folder, so that it is the same wherever K4 is installed."""
    own = (
        ("csrc", sorted((*places.csrc().glob("*.c"), *places.csrc().glob("*.h")))),
        ("templates", sorted(places.templates().glob("*.j2"))),
        ("codegen", sorted(places.codegen().glob("*.py"))),
        ("schema", [places.schema() / RECORDS]),
    )
    files = [(f"{part}/{file.name}", file) for part, found in own for file in found]
    files += [(f"spec/{file.name}", file) for file in (*spec_files(specs), *schema_files(specs))]
    return _hash(item for name, file in files for item in (name.encode(), file.read_bytes()))


def short(text: str) -> str:
    """A few characters that stand for `text` in a file name."""
    return _hash([text.encode()])[:16]


def key(content_digest: str, compiler: str, flags: Sequence[str]) -> str:
    """The name of the build's folder: content, compiler (its path and version), flags, platform, cffi."""
    parts = [content_digest, compiler, *flags, os.uname().machine, sysconfig.get_config_var("SOABI") or "", _cffi_backend.__version__]
    return _hash(part.encode() for part in parts)[:32]


def _hash(items: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for item in items:
        # With its length in front, so that no two lists of items give the same bytes.
        total.update(len(item).to_bytes(8, "little"))
        total.update(item)
    return total.hexdigest()
