"""Messages in SBE and the endpoint they come from: is the schema there, does it have what the spec names, can the address be made?

May import `about`, `bind`, `check_session`, `ir`, `sbebind`, `spec`.
"""

from __future__ import annotations

from . import bind, ir, sbebind
from .about import About
from .check_session import address
from .spec import Spec


def check(spec: Spec, exchange: ir.Exchange, messages: tuple[About, ...]) -> None:
    """Finds endpoints that lead nowhere, and templates, fields and values that the schema does not have."""
    for product in exchange.products:
        if product.sbe is not None:
            _endpoint(spec, product, product.sbe, [about for about in messages if product.name in about.message.products])
    for index, about in enumerate(messages):
        if about.message.template is not None:
            _message(exchange, about, index)


def _endpoint(spec: Spec, product: ir.Product, endpoint: ir.Sbe, here: list[About]) -> None:
    who = f'product "{product.name}", sbe'
    line = spec.line(("product", product.name, "sbe", "url"))
    if endpoint.url.parts and (wrong := address(endpoint.url, "wss://")):
        spec.find(line, who, f'url = "{endpoint.url.source}": {wrong}')
    if not any(about.message.template is not None for about in here):
        spec.find(endpoint.line, who, "no message comes from it; write messages with a template, or take it out")
    known = {*dict(product.vars), "args"}
    for name in bind.names_in(endpoint.url):
        if name not in known:
            spec.find(line, who, f"url: ${{{name}}} is not known; known here: {', '.join(sorted(known))}")


def _message(exchange: ir.Exchange, about: About, index: int) -> None:
    message = about.message
    line = about.line("template")
    for product in about.products:
        if product.sbe is None:
            what = (
                f'template = "{message.template}", but product "{product.name}" has no sbe; write sbe = {{ schema = "…", url = "…" }} there'
            )
            about.find(line, what, blocks=True)
            return
    if message.match:
        about.find(about.line("match"), "an SBE message is recognised by its template; take match out", blocks=True)
    if message.url is not None:
        about.find(about.line("url"), "what is fetched is no SBE; take url or template out", blocks=True)
    if not about.market and message.record not in sbebind.PLAIN:
        what = f"{message.record} is not read from SBE; a message with a template gives market data, or is {' or '.join(sbebind.PLAIN)}"
        about.find(message.line, what, blocks=True)
        return
    for product in about.products:
        schema = exchange.schema(product)
        if schema is None or about.blocked:
            about.blocked = True  # what is wrong with the schema is told by itself
            return
        try:
            sbebind.bind(index, about.bound[product.name], schema, about.spec.records)
        except sbebind.UnboundError as error:
            for field, what in error.faults:
                if field in about.faulty:
                    about.blocked = True  # told as of any message
                    continue
                at = {"": line, "each": about.line("each")}.get(field, about.line("fields", field))
                about.find(at, what, field if field not in ("", "each") else "", blocks=True)
            return
