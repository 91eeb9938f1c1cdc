"""The laws of docs/architecture.md, held against the code as it is: who imports whom, what a template may do, where names may stand.

`python tests/test_architecture.py` prints the sizes alone: files over 400 lines, functions of the core over 60. They are reported, not
judged: a long table is no fault.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import jinja2.nodes
import pytest

ROOT = Path(__file__).resolve().parent.parent
LONG_FILE = 400
LONG_FUNCTION = 60

# --------------------------------------------------------------------------- modules and what they import


def module_files() -> dict[str, Path]:
    """Module name → file; the generator under the one name by which it is imported, `k4._codegen`."""
    found = {f"k4._codegen.{file.stem}": file for file in (ROOT / "codegen").glob("*.py")}
    found |= {f"k4.{file.stem}": file for file in (ROOT / "k4").glob("*.py")}
    found |= {f"k4.sim.{file.stem}": file for file in (ROOT / "k4/sim").glob("*.py")}
    return {name.removesuffix(".__init__"): file for name, file in sorted(found.items())}


MODULES = module_files()


def package_of(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Import:
    target: str  # a module of the project, or the first part of a foreign one
    at_start: bool  # runs when the module is imported: not inside a function, not only for types
    line: int


@functools.cache
def imports(module: str) -> list[Import]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    late = {id(node) for scope in ast.walk(tree) if _is_late(scope) for node in ast.walk(scope)}
    return [
        Import(target, id(node) not in late, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in _targets(module, node)
    ]


def _is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _targets(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        base, names = "", [alias.name for alias in node.names]
    else:
        above = package_of(module).split(".")
        above = above[: len(above) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        names = [f"{base}.{alias.name}" for alias in node.names]
    for name in names:
        if name in MODULES:
            yield name
        elif base in MODULES and base not in {"k4", "k4._codegen", "k4.sim"}:
            yield base
        else:
            yield name.split(".")[0] if not name.startswith(("k4.", "codegen")) else base or name


def project_imports(module: str) -> set[str]:
    return {found.target for found in imports(module) if found.target in MODULES} - {"k4"}


# --------------------------------------------------------------------------- what a docstring allows

_SENTENCE = re.compile(r"\b(?:May import|Imports)\b(.*?)\.(?:\s|$)", re.DOTALL)
_NAME = re.compile(r"`([\w.*]+)`")


def allowed(module: str) -> list[str] | None:
    """Patterns of module names that the docstring's sentence about imports gives; None: it has no such sentence.

    A name alone is a module of the same room, `k4.x` one of k4, and what follows the words "of the generator" is the generator's.
    """
    text = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))) or ""
    sentence = _SENTENCE.search(text)
    if sentence is None:
        return None
    own, _, generator = sentence[1].partition("of the generator")
    patterns = [name if name.startswith("k4.") else f"{package_of(module)}.{name}" for name in _NAME.findall(own)]
    return patterns + [f"k4._codegen.{name}" for name in _NAME.findall(generator)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_docstring_allows(module: str) -> None:
    patterns = allowed(module)
    assert patterns is not None, f"{MODULES[module]}: the docstring has no sentence that begins with `May import` or `Imports`"
    more = sorted(name for name in project_imports(module) if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns))
    assert not more, f"{module} imports {more}; its docstring allows {patterns}"
    gone = [pattern for pattern in patterns if not fnmatch.filter(MODULES, pattern)]
    assert not gone, f"{module}: its docstring names modules that do not exist: {gone}"


def test_the_docstring_is_read_as_it_is_meant() -> None:
    assert allowed("k4._codegen.errors") == []
    assert allowed("k4._codegen.layout") == ["k4._codegen.ir", "k4._codegen.errors"]
    assert "k4._codegen.digest" in (allowed("k4.native") or [])
    assert "k4.errors" in (allowed("k4.native") or [])


# --------------------------------------------------------------------------- rooms


def closure(module: str, *, at_start: bool = False) -> set[str]:
    """Everything of the project that importing `module` can bring in."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [i.target for i in imports(name) if i.target in MODULES and (i.at_start or not at_start)]
    return found


def test_the_generator_knows_nothing_of_k4() -> None:
    for module in MODULES:
        if module.startswith("k4._codegen"):
            wrong = [i for i in imports(module) if i.target.split(".")[0] == "k4" and not i.target.startswith("k4._codegen")]
            wrong += [i for i in imports(module) if i.target.startswith("codegen")]  # by its folder's name it would be a second copy
            assert not wrong, f"{module}: {wrong}"


def test_k4_imports_the_generator_by_its_one_name() -> None:
    wrong = {m: i for m in MODULES for i in imports(m) if i.target == "codegen" or i.target.startswith("codegen.")}
    assert not wrong


# Parsers of schemas and writers of code meet only in the IR. Every module of the generator stands in one of these.
PARSERS = {"about", "exchange", "expected", "fbs", "keylines", "keys", "pathtext", "sbe", "sbetypes", "sbexml", "spec", "specmessage"}
PARSERS |= {name.rpartition(".")[2] for name in MODULES if name.startswith("k4._codegen.check")}
WRITERS = {"cdef", "fast", "fastputs", "fastslots", "faststeps", "generate", "layoutmatch", "layouts", "layouttokens", "layoutwords"}
WRITERS |= {"kept", "parserbuild", "parserfields", "parsermodel", "parsershare", "puts", "render", "sbegen", "sizes", "tolerant", "tree"}
# The waist, and facts about it: the records' layout, what the language's words mean, the interpreter that says what is right.
SHARED = {"bind", "errors", "fields", "ir", "layout", "notation", "sbebind", "xxh64"}
SHARED |= {name.rpartition(".")[2] for name in MODULES if name.startswith("k4._codegen.ref")}
# Files and folders, and those who bring the two sides together.
OUTSIDE = {"build", "cache", "compiler", "digest", "objects", "places", "specdiff", "specdoc"}


def test_every_module_of_the_generator_has_its_side() -> None:
    sides = [PARSERS, WRITERS, SHARED, OUTSIDE]
    here = {name.rpartition(".")[2] for name in MODULES if name.startswith("k4._codegen.")}
    assert here == set().union(*sides), "put the new module into PARSERS, WRITERS, SHARED or OUTSIDE"
    assert sum(map(len, sides)) == len(here), "a module stands on two sides"


def test_parsers_and_writers_meet_only_in_the_ir() -> None:
    def reached(name: str) -> set[str]:
        return {found.rpartition(".")[2] for found in closure(f"k4._codegen.{name}")}

    for name in PARSERS:
        assert not reached(name) & WRITERS, f"the parser {name} reaches writers"
    for name in WRITERS:
        assert not reached(name) & PARSERS, f"the writer {name} reaches parsers"
    for name in SHARED:
        assert not reached(name) & (PARSERS | WRITERS), f"{name}, which both sides use, reaches one of them"
    assert reached("ir") == {"ir"}


def test_no_module_imports_itself_by_a_detour() -> None:
    for module in MODULES:
        for found in imports(module):
            if found.at_start and found.target in MODULES and found.target not in {"k4", "k4.sim"}:
                assert module not in closure(found.target, at_start=True), f"{module} and {found.target} import each other"


def test_the_simulator_has_no_parser_of_those_it_tests() -> None:
    """It takes the specs' IR; the compiled core it neither loads (but to learn which specs are built) nor calls."""
    for module, file in MODULES.items():
        if not module.startswith("k4.sim"):
            continue
        text = file.read_text(encoding="utf-8")
        used = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        assert not used & {"lib", "ffi"}, f"{module} calls the compiled core"
        names = {name.removeprefix("k4.") for name in project_imports(module)}
        assert not names & {"decode", "reader", "segments", "record", "values", "link", "connection", "venue", "group"}, module
        assert module == "k4.sim.command" or "native" not in names
        assert "_codegen.tolerant" not in names
        assert "_codegen.fast" not in names


def loaded_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    return set(done.stdout.split())


def test_a_worker_loads_only_what_feeding_needs() -> None:
    loaded = loaded_by("import k4.worker, k4.group, k4.connection, k4.link")
    assert "k4.link" in loaded
    assert not {name.split(".")[0] for name in loaded} & {"aiohttp", "cryptography", "jinja2", "pydantic", "rich", "typer"}
    assert not {name for name in loaded if name.startswith("k4.sim")}
    assert not {name.rpartition(".")[2] for name in loaded if name.startswith("k4._codegen.")} & (PARSERS | WRITERS)


def test_a_run_starts_its_first_worker_before_anything_heavy_is_loaded() -> None:
    loaded = loaded_by("import k4.runner")
    assert not {name.split(".")[0] for name in loaded} & {"pydantic", "websockets", "uvloop", "aiofastnet", "_k4"}
    assert not {name for name in loaded if name in {"k4.config", "k4.native", "k4.worker", "k4.link"}}


def test_importing_k4_loads_nothing_heavy() -> None:
    loaded = loaded_by("import k4")
    assert not {name.split(".")[0] for name in loaded} & {"numpy", "cffi", "pydantic", "typer", "jinja2", "_k4"}


# --------------------------------------------------------------------------- names of exchanges


def sources(*rooms: str) -> list[Path]:
    """All text of the rooms that is ours, whatever its ending."""
    found = (file for room in rooms for file in (ROOT / room).rglob("*") if file.is_file())
    return sorted(f for f in found if not {"__pycache__", "_codegen"} & set(f.relative_to(ROOT).parts) and f.suffix not in {".so", ".pyc"})


def exchange_names() -> set[str]:
    files = sorted((ROOT / "schema/exchange").glob("*.toml"))
    assert files
    named = {str(tomllib.loads(file.read_text(encoding="utf-8")).get("name", file.stem)) for file in files}
    return {name.lower() for name in named | {file.stem for file in files}}


def test_no_exchange_is_named_where_all_are_served() -> None:
    # `_` and digits end a name here: binance_spot names one as much as binance does.
    pattern = re.compile(rf"(?<![a-z])(?:{'|'.join(map(re.escape, exchange_names()))})(?![a-z])", re.IGNORECASE)
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sources("csrc", "codegen", "templates", "k4")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


# --------------------------------------------------------------------------- C, templates

# What a line of C looks like and a sentence or a spec does not: directives, a type before a name, calls that end in ;, -> and casts.
_C_LIKE = re.compile(
    r"^\s*#\s*(?:include|define|if|ifdef|ifndef|endif|pragma)\b"
    r"|\b(?:u?int(?:8|16|32|64)_t|size_t|uintptr_t)\s+\*?\w+"
    r"|\b(?:static|extern)\s+(?:inline|const|void|int|char|unsigned|struct)\b"
    r"|\bstruct\s+\w+\s*[{*]"
    r"|\b(?:return|break|continue|goto \w+)\b[^.\n]*;\s*$"
    r"|\w\([^()\n]*\);\s*$"
    r"|\b\w+->\w+"
    r"|^\s*(?:if|for|while|switch)\s*\(.*\)\s*\{?\s*$",
    re.MULTILINE,
)


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module but docstrings, f-strings with their holes as `{}`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skip: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skip.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skip |= {id(value) for value in ast.walk(node) if value is not node}
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "text",
    [
        "#include <stdint.h>", "static const uint8_t {}[] = {", "    return {};", "k4_take({}, {});", "x->len", "uint64_t sum", "if (a < b) {",
    ],
)  # fmt: skip
def test_c_is_known_when_it_is_seen(text: str) -> None:
    assert _C_LIKE.search(text)


def test_no_c_stands_in_python_strings() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text!r}"
        for file in sources("codegen", "k4")
        if file.suffix == ".py"
        for line, text in texts(file)
        if _C_LIKE.search(text)
    ]
    assert not found, "\n".join(found)


_ARITHMETIC = tuple(getattr(jinja2.nodes, name) for name in ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"))
_COUNTING = {"sum", "round", "abs", "int", "float"}


def arithmetic(text: str) -> list[int]:
    """Lines of a template that compute."""
    tree = jinja2.Environment(autoescape=False).parse(text)
    lines = [node.lineno for kind in _ARITHMETIC for node in tree.find_all(kind)]
    return sorted(lines + [node.lineno for node in tree.find_all(jinja2.nodes.Filter) if node.name in _COUNTING])


def test_arithmetic_is_known_when_it_is_seen() -> None:
    assert arithmetic("a\n{{ n + 1 }}\n{% if x.y % 2 %}{% endif %}{{ z | sum }}") == [2, 3, 3]
    assert arithmetic("{{ n ~ 1 }} + {{ loop.index0 }} {% if a > 1 %}{% endif %}") == []


@pytest.mark.parametrize("file", sorted((ROOT / "templates").glob("*.j2")), ids=lambda file: file.name)
def test_templates_do_not_compute(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [f"{file.name}:{number}: {lines[number - 1].strip()}" for number in arithmetic("\n".join(lines))]
    assert not found, "the model should bring it:\n" + "\n".join(found)


# The core is sans-I/O. Memory that is shared is a file, and a reader may sleep: these files alone may use more than plain C.
_PLAIN = {
    "stdint.h",
    "stddef.h",
    "string.h",
    "stdbool.h",
    "stdlib.h",
    "stdio.h",
    "stdarg.h",
    "limits.h",
    "immintrin.h",
    "emmintrin.h",
    "tmmintrin.h",
}
_PLAIN |= {"sys/mman.h"}  # memory in large pages
_SYSTEM = {"k4_reader.h", "k4_shmfile.c", "k4_segment.c", "k4_takeover.c", "k4_view.c", "k4_view.h"}


def included(file: Path) -> tuple[set[str], set[str]]:
    """What a file of the core includes: of the system, of its own."""
    text = re.sub(r"/\*.*?\*/", " ", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    system, own = (set(re.findall(rf"^\s*#\s*include\s*{shape}", text, re.MULTILINE)) for shape in ("<([^>]+)>", '"([^"]+)"'))
    return system, own


def test_these_files_alone_see_the_system() -> None:
    """Whatever includes one of them sees it, too, so none is on the list that need not be."""
    files = {file.name: included(file) for file in (ROOT / "csrc").glob("*.[ch]")}
    seeing = {name for name, (system, _) in files.items() if not system <= _PLAIN}
    while more := {name for name, (_, own) in files.items() if own & seeing} - seeing:
        seeing |= more
    assert seeing == _SYSTEM


def test_the_core_knows_no_socket_and_no_clock() -> None:
    for file in sorted((ROOT / "csrc").glob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/", " ", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        system, _ = included(file)
        if file.name not in _SYSTEM:
            assert system <= _PLAIN, f"{file.name} includes {system - _PLAIN}"
            assert not re.search(r"\b(?:nano|u)?sleep\s*\(", text), f"{file.name} sleeps"
        assert not {name for name in system if name.startswith(("netinet/", "arpa/", "pthread")) or "socket" in name or "poll" in name}
        calls = re.findall(r"\b(?:clock_gettime|gettimeofday|time|socket|connect|recv|send|rand)\s*\(", text)
        assert not calls, f"{file.name}: {calls}"


def test_the_core_includes_only_itself() -> None:
    own = {file.name for file in (ROOT / "csrc").glob("*.h")} | {"k4_records.h"}
    for file in sorted((ROOT / "csrc").glob("*.[ch]")):
        _, named = included(file)
        assert named <= own, f"{file.name} includes {named - own}"


# --------------------------------------------------------------------------- generated files

_GENERATE = """
import json, sys
from pathlib import Path
from k4._codegen import build, generate
records, exchanges = build.load([Path(folder) for folder in sys.argv[1:]])
print(json.dumps(generate.generate(records, exchanges, "digest")))
"""


def generated(*, seed: str, cwd: Path) -> str:
    """All generated text, made by a process of its own whose hashes fall differently."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo" if seed == "2" else "UTC"}
    done = subprocess.run(
        [sys.executable, "-c", _GENERATE], capture_output=True, text=True, check=True, cwd=cwd, env=environment, timeout=100
    )
    return done.stdout


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    from k4._codegen import build, generate

    records, exchanges = build.load()
    return generate.generate(records, exchanges, "digest")


def test_generating_again_gives_the_same_bytes(made: dict[str, str], tmp_path: Path) -> None:
    import json

    one, two = generated(seed="1", cwd=ROOT), generated(seed="2", cwd=tmp_path)
    assert one == two
    assert json.loads(one) == made


def test_generated_files_name_their_sources_and_no_date(made: dict[str, str]) -> None:
    from k4._codegen import places

    specs = sorted(file.name for file in (places.schema() / "exchange").glob("*.toml"))
    for name, text in made.items():
        banner = text[:400]
        assert "Generated by k4 codegen from" in banner, name
        assert "Do not edit" in banner, name
        named = re.findall(r"(?:schema|csrc)/[\w./-]+\.\w+", banner)
        assert named, f"{name} names no source"
        for source in named:
            assert (ROOT / source).is_file(), f"{name} names {source}, which is not there"
        assert not re.search(r"\b20\d\d-[01]\d-[0-3]\d\b|__DATE__|__TIME__", banner), name
        if name.endswith((".c", ".h")):
            assert not re.search(r"__DATE__|__TIME__|__TIMESTAMP__", text), name
        assert str(ROOT) not in text, f"{name} tells where it was made"
    assert {f"k4_{Path(spec).stem}.c" for spec in specs} <= set(made)


def test_nothing_generated_is_committed(made: dict[str, str]) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    names = {Path(line).name for line in done.stdout.splitlines()}
    assert not names & set(made)


# --------------------------------------------------------------------------- sizes, reported


def long_files() -> list[tuple[int, str]]:
    rooms = sources("csrc", "codegen", "templates", "k4", "tests", "bench", "examples", "schema")
    counted = [(file.read_bytes().count(b"\n"), str(file.relative_to(ROOT))) for file in rooms]
    return sorted(((lines, name) for lines, name in counted if lines > LONG_FILE), reverse=True)


def long_functions() -> list[tuple[int, str]]:
    """Functions of the core: here one begins with a { alone at a line's start, and ends with the } there."""
    found = []
    for file in sorted((ROOT / "csrc").glob("*.[ch]")):
        lines = file.read_text(encoding="utf-8").splitlines()
        start = None
        for number, line in enumerate(lines):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start - 1 > LONG_FUNCTION:
                    head = next(lines[i] for i in range(start - 1, -1, -1) if lines[i][:1].isalpha())
                    found.append((number - start - 1, f"{file.relative_to(ROOT)}:{start + 1}: {head}"))
                start = None
    return sorted(found, reverse=True)


def size_report() -> str:
    out = [f"files over {LONG_FILE} lines:", *(f"  {lines:5} {name}" for lines, name in long_files())]
    out += [f"functions of csrc over {LONG_FUNCTION} lines:", *(f"  {lines:5} {name}" for lines, name in long_functions())]
    return "\n".join(out)


def test_sizes_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + size_report())


if __name__ == "__main__":
    print(size_report())
