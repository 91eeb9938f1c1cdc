"""Where templates, C sources and schemas are: beside this folder in a checkout, inside the package when installed.

Imports nothing of the project.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _place(name: str) -> Path:
    # Installed: k4/_codegen beside k4/_templates. Checkout, also through the link k4/_codegen: codegen beside templates.
    installed = _HERE.parent / f"_{name}"
    return installed if _HERE.name == "_codegen" else _HERE.parent / name


def templates() -> Path:
    return _place("templates")


def csrc() -> Path:
    return _place("csrc")


def schema() -> Path:
    return _place("schema")


def codegen() -> Path:
    return _HERE
