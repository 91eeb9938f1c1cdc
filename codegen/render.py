"""Turns templates and a model into text. Templates spell; what is not in the model is an error, never empty text.

Imports `places` only.
"""

from __future__ import annotations

import functools
import re
from typing import NoReturn

import jinja2

from . import places


class TemplateError(Exception):
    """A template met a case it does not know: its dispatch is closed."""


def fail(message: str) -> NoReturn:
    """For the last `else` of a template's dispatch."""
    raise TemplateError(message)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 (writes C, not HTML)
        loader=jinja2.FileSystemLoader(places.templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals["fail"] = fail
    return environment


def identifier(name: str) -> str:
    """A name as part of a C identifier."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def c_text(data: bytes) -> str:
    """Bytes as the inside of a C string literal."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\?' else "\\" + (chr(byte) if byte in b'"\\?' else f"{byte:03o}")
        for byte in data
    )


def book_function(exchange: str, line: int, message: int) -> str:
    """What the parsers of both tiers call to give an update to its book: the same for all products where the message has that number."""
    return f"k4_book_{identifier(exchange)}_{line}_{message}"


def render(template: str, **model: object) -> str:
    """The text of `template` (a name in the templates folder) for this model.

    Raises jinja2.UndefinedError for a name the model lacks and TemplateError for a case the template does not know.
    """
    return _environment().get_template(template).render(**model)
