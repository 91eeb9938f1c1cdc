"""Judges what a spec says: names, fields, manners, examples. Every finding at once.

The shape of the file has been read by `exchange`; here its meaning is held against the records and against its own examples.
The checks stand by noun in `check_names`, `check_fields`, `check_session`, `check_sbe` and `check_examples`; this module runs them in
order.
May import `check_*`, `about`, `errors`, `ir`, `spec`.
"""

from __future__ import annotations

from . import check_examples, check_fields, check_names, check_sbe, check_session, ir
from .about import about_all
from .errors import Finding
from .spec import Spec


def check(spec: Spec, exchange: ir.Exchange) -> tuple[Finding, ...]:
    """What is wrong with an exchange beyond its shape, unsorted. `spec` is the reading that `exchange` came from.

    Examples are decoded only where nothing else is wrong with their message, so that one fault is told once.
    """
    before = len(spec.findings)
    messages = about_all(spec, exchange)
    check_session.check(spec, exchange, messages)
    for about in messages:
        check_names.check(about)
        check_fields.check(about)
    check_sbe.check(spec, exchange, messages)
    check_examples.check(exchange, messages)
    return tuple(spec.findings[before:])
