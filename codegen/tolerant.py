"""The tolerant parser of an exchange as C: for each product one validating walk, `match` on its marks, then the fields of what holds.

`parserbuild` decides what the parsers do; templates/parser*.j2 spell it, and csrc/k4_parse.h is what it is spelled with. May import
`fields`, `ir`, `parserbuild`, `parsermodel`, `parsershare`, `render`, `tree`.
"""

from __future__ import annotations

from . import fields, ir
from .parserbuild import Builder
from .parsermodel import ProductModel
from .parsershare import share
from .render import c_text, identifier, render
from .tree import Node, Tree


def render_exchange(exchange: ir.Exchange, records: ir.Records) -> str:
    """The text of `k4_<exchange>.c`. The exchange must be valid."""
    products = _products(exchange, records)
    fetched = [Builder(exchange, product, records, fetched=True).build() for product in exchange.products]
    fetched = share([product for product in fetched if product.messages], exchange)
    parsers = products + fetched
    used = [record for record in records.records if any(record in m.records for p in parsers for m in p.messages)]
    scalars = [f for p in parsers for m in p.messages for e in m.elements for f in e.scalars]
    named = {f.enum for f in scalars if f.enum is not None and f.sources}
    return render(
        "parser.c.j2",
        exchange=exchange.name,
        ident=identifier(exchange.name),
        sources=[records.file, exchange.file],
        records=used,
        market=[record.word for record in records.records],
        enums=[e for e in records.enums if e.name in named],
        enum_names={e.name: _enum_names(e) for e in records.enums},
        products=products,
        fetched=fetched,
        parsers=parsers,
        encodings={product.name: product.session.encoding for product in exchange.products},
        binary=[product.name for product in exchange.products if product.sbe is not None],
        books={message.book: message for parser in parsers for message in parser.messages if message.book},
        quote=quote,
        by_length=by_length,
        letters_of=letters_of,
        walked=walked,
        shift=fields.shift,
        time_words=fields.TIME_WORDS,
    )


def leaders(exchange: ir.Exchange, records: ir.Records) -> tuple[str, ...]:
    """The products with code of their own: all others share it with one of them."""
    return tuple(product.name for product in _products(exchange, records) if product.code == product.ident)


def _products(exchange: ir.Exchange, records: ir.Records) -> list[ProductModel]:
    return share([Builder(exchange, product, records).build() for product in exchange.products], exchange)


def quote(text: str) -> str:
    return c_text(text.encode())


def size(text: str) -> int:
    return len(text.encode())


def by_length(keys: dict[str, int]) -> list[tuple[int, list[tuple[str, int]]]]:
    """Keys of an object by their length in bytes: what a lookup switches on."""
    lengths = sorted({size(key) for key in keys})
    return [(n, [(key, node) for key, node in keys.items() if size(key) == n]) for n in lengths]


def letters_of(keys: dict[str, int]) -> list[tuple[str, int]]:
    """Keys that are one plain character, which are told apart without a look at their end."""
    return [(key, node) for key, node in keys.items() if len(key) == 1 and " " <= key < "\x7f" and key not in '"\\']


def walked(product: ProductModel, tree: Tree, node: Node) -> list[Node]:
    """The members of an object that are gone into themselves."""
    members = [tree.nodes[child] for child in node.keys.values()]
    return [member for member in members if member.walked or product.keeps(tree.number, member.index)]


def _enum_names(enum: ir.EnumType) -> list[str]:
    names = {number: name for name, number in enum.values}
    return [names.get(i, "") for i in range(max(names) + 1)]
