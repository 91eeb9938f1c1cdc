"""The commands `k4 codegen` and `k4 headers`. May import `errors` and, of the generator, `build`, `cache`, `compiler`, `digest`,
`errors`, `fbs`, `generate` and `places`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ._codegen import cache, digest, places
from ._codegen.compiler import BuildError
from ._codegen.errors import Finding, FindingsError
from .errors import K4Error

HEADERS = ("k4.h", "k4_records.h")


def codegen(spec: Sequence[Path], out: Path | None, check: bool) -> int:
    """Compiles the built-in specs and those of the folders `spec`, unless that was done before, and remembers them as the set in use.

    `out`: also write the reader headers there. `check`: report findings only. Returns 1 if there are any.
    """
    try:
        if check:
            return _check(spec)
        cache.check_folders(spec)
        folder = cache.folder_for(digest.content(spec))
        if not folder.is_dir():
            from ._codegen import build

            build.build(spec)
        cache.remember(spec)
        print(folder)
        if out is not None:
            _copy_headers(folder, out)
    except FindingsError as error:
        return _report(error.findings)
    except BuildError as error:
        raise K4Error(str(error), hint=error.hint) from error
    return 0


def headers(copy: Path | None) -> int:
    """Prints the folder of the reader header `k4.h`, made if need be (no compiler needed); `copy`: puts it there instead."""
    try:
        folder = cache.cache() / "headers" / digest.content(())[:32]
        if not (folder / HEADERS[0]).is_file():
            _write_headers(folder)
    except FindingsError as error:
        return _report(error.findings)
    except BuildError as error:
        raise K4Error(str(error), hint=error.hint) from error
    if copy is None:
        print(folder)
    else:
        _copy_headers(folder, copy)
    return 0


def _check(spec: Sequence[Path]) -> int:
    from ._codegen import build

    records, exchanges = build.load(spec)
    words = " ".join(record.word for record in records.records)
    print(f"exchanges: {' '.join(e.name for e in exchanges)}; records: {words}; no findings")
    return 0


def _report(findings: Iterable[Finding]) -> int:
    count = 0
    for finding in findings:
        print(finding, file=sys.stderr)
        count += 1
    print(f"k4: error: {count} finding{'s' if count != 1 else ''}; nothing was compiled", file=sys.stderr)
    return 1


def _write_headers(folder: Path) -> None:
    from ._codegen import fbs, generate

    records = fbs.load(places.schema() / digest.RECORDS)
    cache.make(folder)
    for name, text in ((HEADERS[1], generate.records_header(records)), (HEADERS[0], generate.reader_header(records))):
        cache.write(folder / name, text.encode())


def _copy_headers(folder: Path, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in HEADERS:
            (out / name).write_bytes((folder / name).read_bytes())
            print(out / name)
    except OSError as error:
        raise K4Error(f"{out}: headers cannot be written there: {error.strerror}", hint="name another folder") from error
