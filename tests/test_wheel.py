"""The wheel: it holds all that is needed, prebuilt, and works in a fresh environment where there is no checkout and no compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("codegen", "config", "csrc", "k4", "schema", "templates", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignore)
        else:
            shutil.copyfile(ROOT / part, source / part)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(out), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.mark.slow
def test_what_the_wheel_holds(wheel: Path) -> None:
    assert wheel.name.startswith("k4-0.1.0-cp311-abi3-linux_")
    names = set(zipfile.ZipFile(wheel).namelist())
    for part, folder, patterns in (
        ("_codegen", "codegen", ["*.py"]),
        ("_csrc", "csrc", ["*.c", "*.h"]),
        ("_templates", "templates", ["*.j2"]),
        ("_schema", "schema", ["*.fbs", "exchange/*.toml"]),
        ("", "k4", ["*.py", "sim/*.py", "py.typed"]),
    ):
        for pattern in patterns:
            files = list((ROOT / folder).glob(pattern))
            assert files, pattern
            for file in files:
                name = "/".join(filter(None, ["k4", part, str(file.relative_to(ROOT / folder))]))
                assert name in names, name
    assert {"k4/_k4.abi3.so", "k4/_k4_ir.py"} <= names
    assert not [name for name in names if name.startswith(("codegen/", "tests/"))]


@pytest.mark.slow
def test_it_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("python3*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, capture_output=True)
    # The pinned dependencies as they are here; a path in a .pth brings no .pth of its own, so not the editable install.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    environment = {
        "PATH": str(tmp_path / "nothing"),
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }

    def run(*words: str) -> str:
        command = [str(venv / "bin" / "python"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    script = "import json, k4, k4.native; n = k4.native.load(); print(json.dumps([k4.__file__, str(n.file), sorted(n.exchanges)]))"
    package, extension, exchanges = json.loads(run("-c", script))
    assert package == str(site / "k4" / "__init__.py")
    assert extension == str(site / "k4" / "_k4.abi3.so")
    assert exchanges == sorted(file.stem for file in (ROOT / "schema" / "exchange").glob("*.toml"))
    assert "no findings" in run("-m", "k4", "codegen", "--check")
    folder = Path(run("-m", "k4", "headers").strip())
    assert (folder / "k4.h").is_file()
    assert run("-m", "k4", "--version") == "k4 0.1.0\n"
