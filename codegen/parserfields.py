"""Where the tolerant parser finds the fields of a message, and what each is read with.

May import `fields`, `ir`, `parsermodel`, `tree`, and from the reference interpreter what tells the types of the examples' values
(`refjson`, `refpath`, `refvalue`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import fields, ir, refjson, refpath
from .parsermodel import ColumnModel, EntryModel, FieldModel, HalfModel, HopModel, ListModel, MapModel, PlaceModel, SourceModel
from .refvalue import Place
from .tree import Forest, Hop, Spot

_ROOT = ir.Path(False, (), False, ".")
_JSON_TYPES = {refjson.STRING: "K4_STRING", refjson.NUMBER: "K4_NUMBER"}
_SIDES = ("bid", "ask")
_HALVES = (("side", "side"), ("price", "price"), ("qty", "qty"))


class Ground:
    """What is numbered for all messages of a product, as it is met: the trees of its paths, hops between these, maps."""

    def __init__(self) -> None:
        self.forest = Forest()
        self.hops: list[HopModel] = []
        self.maps: list[MapModel] = []

    def place(self, walk: str, spot: Spot, names: tuple[str, ...]) -> PlaceModel:
        return PlaceModel(walk, spot.node, self.chain(spot.hops, names))

    def chain(self, hops: tuple[Hop, ...], names: tuple[str, ...]) -> int | None:
        """The number of the first hop; the last ones come first, so that each can point to the next."""
        following: int | None = None
        for hop in reversed(hops):
            name = names.index(hop.step.name) if isinstance(hop.step, ir.Members) else 0
            like = (hop.step, hop.tree, hop.leaf, name, following)
            same = next((h for h in self.hops if (h.step, h.tree, h.leaf, h.name, h.next) == like), None)
            if same is None:
                same = HopModel(len(self.hops), hop.step, hop.tree, hop.leaf, name, following)
                self.hops.append(same)
            following = same.number
        return following

    def map(self, source: ir.FromMap) -> int:
        entries = tuple(_entry(text, result) for text, result in source.entries)
        other = None if source.default is None else _entry("", source.default[0])
        self.maps.append(MapModel(len(self.maps), entries, other))
        return len(self.maps) - 1


def _entry(text: str, result: str | bool | int | None) -> EntryModel:
    if result is None:
        return EntryModel(text, "", "K4_NOTHING")
    if isinstance(result, bool):
        return EntryModel(text, "true" if result else "false", "K4_TRUE" if result else "K4_FALSE")
    return EntryModel(text, str(result), "K4_NUMBER" if isinstance(result, int) else "K4_STRING")


class Reader:
    """The fields of one message, from one kind of element; `at`: tree and node of `@`."""

    def __init__(self, ground: Ground, message: ir.Message, at: tuple[int, int], names: tuple[str, ...]) -> None:
        self.ground = ground
        self.message = message
        self.at = at
        self.names = names

    def source(self, name: str) -> ir.Source | None:
        field = self.message.field(name)
        if field is not None:
            return field.source
        return ir.FromName(name) if name in self.names else None

    def field(self, rule: fields.FieldRule, record: ir.RecordType) -> FieldModel:
        source = self.source(rule.name)
        member = record.field(rule.name)
        simple = source.sources if isinstance(source, ir.FromFirst) else () if source is None else (source,)
        models = tuple(self.simple(one, self.at, "element", ()) for one in simple)
        return FieldModel(rule.name, rule.kind, models, self.at[1], member.enum if member else None, rule.needed, source == ir.FromText(""))

    def simple(
        self, source: ir.FromPath | ir.FromMap | ir.FromText | ir.FromName, at: tuple[int, int], walk: str, before: tuple[ir.Step, ...]
    ) -> SourceModel:
        """`before`: steps of the path that lead to `at` already."""
        if isinstance(source, ir.FromText):
            kind = "K4_STRING" if source.text not in ("true", "false") else f"K4_{source.text.upper()}"
            return SourceModel("text", None, True, 0, source.text, kind, None, None, None)
        if isinstance(source, ir.FromName):
            known = source.name in self.names
            index = self.names.index(source.name) if known else 0
            return SourceModel("name" if known else "text", None, True, index, "", "K4_STRING", None, None, None)
        path = source.path
        if not path.element and not before:
            at, walk = (0, 0), "root"
        spot = self.ground.forest.spot(path.steps[len(before) :], at)
        place = self.ground.place(walk, spot, self.names)
        mapped = self.ground.map(source) if isinstance(source, ir.FromMap) else None
        word = source.word if isinstance(source, ir.FromPath) else None
        return SourceModel("path", place, path.optional, 0, "", "", mapped, word, self._odd(path))

    def halves(self, lists: list[ListModel]) -> list[HalfModel]:
        """Levels that say themselves which side they are on."""
        return [self._half(rank, name, kind, lists) for rank, (name, kind) in enumerate(_HALVES)]

    def _half(self, rank: int, name: str, kind: str, lists: list[ListModel]) -> HalfModel:
        field, number, optional = self._column(name, kind, lists)
        if field is None:
            source = self.source(name)
            assert source is not None
            simple = source.sources if isinstance(source, ir.FromFirst) else (source,)
            models = tuple(self.simple(one, self.at, "element", ()) for one in simple)
            field = FieldModel(name, kind, models, self.at[1], None, True, False)
        return HalfModel(name, rank, field, number, optional)

    def columns(self, lists: list[ListModel]) -> list[ColumnModel]:
        plans: dict[str, tuple[FieldModel | None, int | None, bool]] = {}
        for half, kind in (("price", "price"), ("qty", "qty"), ("count", "count")):
            for side in _SIDES:
                plans[f"{side}_{half}"] = self._column(f"{side}_{half}", kind, lists)
        columns: list[ColumnModel] = []
        for half, partner in (("price", "qty"), ("qty", "price")):
            columns += [self._column_model(plans, side, half, plans[f"{side}_{partner}"][1]) for side in _SIDES]
        columns.sort(key=lambda column: _SIDES.index(column.side))
        columns += [self._column_model(plans, side, "count", None) for side in _SIDES]
        return columns

    def _column_model(
        self, plans: dict[str, tuple[FieldModel | None, int | None, bool]], side: str, half: str, sibling: int | None
    ) -> ColumnModel:
        field, number, optional = plans[f"{side}_{half}"]
        return ColumnModel(f"{side}_{half}", side, half, half, field, number, optional, sibling)

    def _column(self, name: str, kind: str, lists: list[ListModel]) -> tuple[FieldModel | None, int | None, bool]:
        source = self.source(name)
        if not isinstance(source, ir.FromPath | ir.FromMap):
            return None, None, True  # a constant, or nothing: no levels of it
        path = source.path
        star = next((i for i, step in enumerate(path.steps) if isinstance(step, ir.Every)), None)
        if star is None:
            return None, None, True
        every = path.steps[star]
        before = path.steps[: star + 1]
        start = self.at if path.element else (0, 0)
        spot = self.ground.forest.spot(before, start)
        # The last hop is the levels' own; what is in front of it leads to the list.
        front = spot.hops[:-1]
        place = PlaceModel("element" if path.element and self.at[0] else "root", spot.node, self.ground.chain(front, self.names))
        tree = spot.hops[-1].tree
        back = every == ir.Every(True)
        found = next((one for one in lists if (one.place, one.tree, one.back) == (place, tree, back)), None)
        if found is None:
            found = ListModel(len(lists), place, tree, back)
            lists.append(found)
        model = self.simple(source, (tree, 0), "element", before)
        return FieldModel(name, kind, (model,), 0, None, False, False), found.number, path.optional

    def _odd(self, path: ir.Path) -> str | None:
        """The type that no example has at this path, where all have the other."""
        kinds = {node.kind for example in self.message.examples for node in _example_values(self.message, example, path)}
        if kinds == {refjson.STRING}:
            return _JSON_TYPES[refjson.NUMBER]
        return _JSON_TYPES[refjson.STRING] if kinds == {refjson.NUMBER} else None


# --------------------------------------------------------------------------- what the examples have


def _example_values(message: ir.Message, example: ir.Example, path: ir.Path) -> Iterator[refjson.Node]:
    try:
        root = refjson.parse(example.wire.encode())
    except refjson.FrameError:
        return
    starts: Iterable[refjson.Node] = (root,)
    if path.element:
        known: dict[str, Place] = {}
        reached = refpath.elements(root, message.each or (_ROOT,), known)
        starts = [one.node for one in reached if isinstance(one, refpath.Element)]
    for start in starts:
        yield from _values(start, path.steps)


def _values(node: refjson.Node, steps: tuple[ir.Step, ...]) -> Iterator[refjson.Node]:
    before, step, rest = refpath.split(steps)
    reach = refpath.walk(node, 0, before)
    if not isinstance(reach, refpath.Found):
        return
    if step is None:
        yield reach.node
        return
    for item in reach.node.items:
        yield from _values(item, rest)
