"""Adds to the wheel what pyproject.toml cannot say: the prebuilt extension of the built-in specs.

It is compiled by the same road as `k4 codegen`. An editable install carries none: there `k4 codegen` builds it.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


class BuildExtension(build_ext):
    """Generates and compiles the extension, and puts it where the wheel expects it."""

    def run(self) -> None:
        if not self.editable_mode:
            super().run()

    def build_extension(self, ext: Extension) -> None:
        sys.path.insert(0, str(ROOT))
        build = importlib.import_module("codegen.build")  # only now: an isolated build has cffi and jinja2 while it builds
        cache = importlib.import_module("codegen.cache")

        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = build.compile_into(Path(self.build_temp) / "k4", specs=())
        shutil.copyfile(folder / cache.EXTENSION, target)
        shutil.copyfile(folder / cache.LITERAL, target.parent / cache.LITERAL)


setup(
    ext_modules=[Extension("k4._k4", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
