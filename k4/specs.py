"""`k4 spec diff`: what a change of a spec, or of the records' schema, means for wire, shared memory and readers.

Imports `errors` and, of the generator, `errors`, `fbs`, `places` and `specdiff`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ._codegen import fbs, places, specdiff
from ._codegen.errors import FindingsError
from .errors import K4Error, UsageError

# Beside 0 (compatible), 1 (an error) and 2 (wrong usage).
CODES = {specdiff.COMPATIBLE: 0, specdiff.REBUILD: 3, specdiff.BREAK: 4}
_SAYS = {
    specdiff.COMPATIBLE: "compatible: readers go on as they are",
    specdiff.REBUILD: "rebuild: readers must be built again, their source stays",
    specdiff.BREAK: "break: readers must be looked at",
}


def diff(old: Path, new: Path) -> int:
    """Prints each change and what it means, then what all of them mean. Returns the exit code. Raises K4Error for what is no spec."""
    kinds = {old.suffix, new.suffix}
    if kinds not in ({".toml"}, {".fbs"}):
        raise UsageError(f"{old} and {new}: two exchange specs (*.toml) are needed, or two schemas of records (*.fbs)")
    try:
        records = fbs.load(places.schema() / "records.fbs")
        found = specdiff.schemas(old, new) if kinds == {".fbs"} else specdiff.specs(old, new, records)
    except FindingsError as error:
        raise K4Error("\n".join(str(finding) for finding in error.findings), hint="correct this first") from error
    except OSError as error:
        raise K4Error(f"{error.filename}: {error.strerror}") from error
    for change in found:
        print(change)
    worst = max((change.means for change in found), key=specdiff.RANK.__getitem__, default=specdiff.COMPATIBLE)
    print(_SAYS[worst] if found else "no difference", file=sys.stderr)
    return CODES[worst]
