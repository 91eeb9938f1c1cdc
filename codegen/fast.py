"""The fast tier: the layouts of a product as one prefix tree, and the model from which templates spell its C.

What all layouts begin with is read once; where they part, the text just read or the next byte decides; only where neither does are
they tried in turn, the one that hit last first. May import `bind`, `fastputs`, `fastslots`, `faststeps`, `ir`, `layouts`,
`layouttokens`, `render`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import ir
from .bind import bind
from .fastputs import Puts
from .fastslots import Names
from .faststeps import SLACK, At, Step, Steps, spelled
from .layouts import layouts
from .layouttokens import Check, Layout, Literal, Loop, Token
from .render import c_text, identifier, render


@dataclass(frozen=True, slots=True)
class Branch:
    """A way on from a node. `op`: framed or word (a text just read), byte (the next one), or attempt."""

    op: str
    node: Node
    slot: str = ""
    text: str = ""
    suffix: str = ""
    word: int = -1
    only: bool = True  # no other way on is to be tried


@dataclass(slots=True)
class Node:
    """A run of steps, then a leaf (`put` or `took`, with the number of the layout) or branches. `first`..`last`: the layouts below."""

    number: int
    steps: tuple[Step, ...]
    branches: tuple[Branch, ...] = ()
    took: str = ""  # the frame gives no record: this is why
    message: int = 0
    put: str = ""
    book: str = ""  # what the update that was put is given to
    many: bool = False  # each element of a loop gave its record already
    late: str = ""  # fills those records with what stands behind the elements
    back: str = ""  # those records, of this word, stand the other way round
    first: int = 0
    last: int = 0


def render_exchange(exchange: ir.Exchange, records: ir.Records) -> str:
    """The text of `k4_<exchange>_fast.c`: one function per product, and what it calls. Products that differ in words alone share it."""
    neutral = [_Product(exchange, records, product.name, "").model() for product in exchange.products]
    groups: list[dict[str, object]] = []
    like: list[dict[str, object]] = []
    for product, model in zip(exchange.products, neutral, strict=True):
        shape = {key: value for key, value in model.items() if key not in ("name", "words")}
        if shape not in like:
            like.append(shape)
            groups.append(_Product(exchange, records, product.name, identifier(product.name)).model() | {"users": []})
        users = groups[like.index(shape)]["users"]
        assert isinstance(users, list)
        users.append({"name": product.name, "ident": identifier(product.name), "words": model["words"]})
    return render("fast.c.j2", sources=[records.file, exchange.file], exchange=identifier(exchange.name), groups=groups)


class _Product:
    """The model of one product's parser. `symbol`: what its functions are named by."""

    def __init__(self, exchange: ir.Exchange, records: ir.Records, product: str, symbol: str) -> None:
        self.name = product
        self.symbol = f"read_{symbol}"
        self.messages = bind(exchange, product)
        self.layouts, _ = layouts(exchange, records, product)
        self.names = Names()
        self.puts = Puts(exchange.name, records, self.messages, self.names, self.symbol)
        self.steps = Steps(self.names, self.puts.name)
        self.nodes: list[Node] = []
        self.leaves = 0

    def model(self) -> dict[str, object]:
        """What the template needs."""
        entries = [(spelled(layout.tokens), layout) for layout in self.layouts]
        root = self._node(entries, At(0)) if entries else None
        puts = self.puts.models()
        for node in self.nodes:
            node.steps = tuple(map(self.steps.unread, node.steps))
        return {
            "name": self.name,
            "symbol": self.symbol,
            "slots": self.names.members(),
            "nodes": self.nodes,
            "root": root,
            "puts": puts,
            "words": self.steps.words,
        }

    def _node(self, entries: Sequence[tuple[tuple[Token, ...], Layout]], at: At) -> Node:
        """The tree of what the layouts still have before them."""
        common, rest = _common([tokens for tokens, _ in entries])
        steps, at = self.steps.of(common, at, 0, entries[0][1], last=not rest[0])
        node = Node(0, tuple(steps), first=self.leaves)
        if not rest[0]:
            self.leaves += 1
            layout = entries[0][1]
            if not layout.record:
                node.took, node.message = self.messages[layout.message].reason, layout.message
                node.last = self.leaves - 1
                return self._numbered(node)
            node.put = self.puts.name(layout)
            node.book, node.message = self.puts.book(layout.message), layout.message
            node.many = any(isinstance(token, Loop) and token.most == 0 for token in layout.tokens)
            node.back = layout.record if layout.back else ""
            node.late = f"{node.put}_late" if any(put.late for put in layout.puts) else ""
        else:
            if at.past + 1 > SLACK:
                node.steps += (Step("end"),)
                at = at.checked()
            node.branches = tuple(self._branches([(tokens, layout) for tokens, (_, layout) in zip(rest, entries, strict=True)], at))
        node.last = self.leaves - 1
        return self._numbered(node)

    def _numbered(self, node: Node) -> Node:
        node.number = len(self.nodes)
        self.nodes.append(node)
        return node

    def _branches(self, entries: list[tuple[tuple[Token, ...], Layout]], at: At) -> Iterable[Branch]:
        groups: dict[tuple[int, Token | int], list[tuple[tuple[Token, ...], Layout]]] = {}
        for tokens, layout in entries:
            head = tokens[0]
            rank = 0 if isinstance(head, Check) else 1 if isinstance(head, Literal) else 2
            groups.setdefault((rank, head.data[0] if isinstance(head, Literal) else head), []).append((tokens, layout))
        last = max(rank for rank, _ in groups)
        for (rank, key), members in sorted(groups.items(), key=lambda item: item[0][0]):
            only = rank == last  # what is tried behind it may read this, too
            if isinstance(key, Check):
                node = self._node([(tokens[1:], layout) for tokens, layout in members], at)
                step = self.steps.check(key)
                yield Branch(step.op, node, step.slot, step.text, step.suffix, step.word, only)
            elif isinstance(key, int):
                yield Branch("byte", self._node(members, at), text=c_text(bytes([key])), only=only)
            else:
                yield Branch("attempt", self._node(members, at))


def _common(sequences: Sequence[tuple[Token, ...]]) -> tuple[list[Token], list[tuple[Token, ...]]]:
    """What all begin with, and what each has behind that. A literal may be cut."""
    out: list[Token] = []
    rest = list(sequences)
    while all(rest):
        heads = [tokens[0] for tokens in rest]
        if all(head == heads[0] for head in heads):
            out.append(heads[0])
            rest = [tokens[1:] for tokens in rest]
            continue
        literals = [head.data for head in heads if isinstance(head, Literal)]
        if len(literals) < len(heads):
            break
        same = _shared(literals)
        if not same:
            break
        out.append(Literal(same))
        rest = [_behind(tokens, len(same)) for tokens in rest]
    return out, rest


def _behind(tokens: tuple[Token, ...], count: int) -> tuple[Token, ...]:
    """The tokens without the first bytes of the literal they begin with."""
    head = tokens[0]
    if not isinstance(head, Literal):
        raise TypeError("only a literal can be cut")
    return (Literal(head.data[count:]), *tokens[1:]) if len(head.data) > count else tokens[1:]


def _shared(texts: Sequence[bytes]) -> bytes:
    first, last = min(texts), max(texts)
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]
