"""What the templates of the tolerant parser see: the model of one product, built by `parserbuild`. May import `ir`, `tree`."""

from __future__ import annotations

from dataclasses import dataclass

from . import ir
from .tree import Tree


@dataclass(frozen=True, slots=True)
class HopModel:
    number: int
    step: ir.Every | ir.Members | ir.Index | ir.Find
    tree: int
    leaf: int
    name: int
    next: int | None


@dataclass(frozen=True, slots=True)
class PlaceModel:
    """Where a source looks: a node of the frame's tree or of the element's (`walk`), and hops behind it."""

    walk: str  # "root" or "element"
    node: int
    hop: int | None


@dataclass(frozen=True, slots=True)
class SourceModel:
    """One source of a field. `how`: path, name, text. `odd`: the type that examples never have here."""

    how: str
    place: PlaceModel | None
    optional: bool
    name: int
    text: str
    text_type: str
    map: int | None
    word: str | None
    odd: str | None


@dataclass(frozen=True, slots=True)
class FieldModel:
    """`kind` as in records.fbs. `out`: member of the record. `node`: where `@` is in the element's tree."""

    name: str
    kind: str
    sources: tuple[SourceModel, ...]
    node: int
    enum: str | None
    needed: bool
    left_out: bool

    @property
    def one_walk(self) -> bool:
        """Whether all its sources are marked by the walk of the first one, which then tells of all of them whether a key is given twice."""
        places = [source.place for source in self.sources if source.place is not None]
        return len({place.walk for place in places}) == 1 and all(place.hop is None for place in places)


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """One field of a depth record. `list`: the list of levels it is read from, None: the spec gives none. `sibling`: the list that must
    not be longer."""

    name: str
    side: str
    half: str
    kind: str
    field: FieldModel | None
    list: int | None
    optional: bool
    sibling: int | None


@dataclass(frozen=True, slots=True)
class ListModel:
    """A list of levels in an element: where it is and the tree over each level. `back`: from the last one on."""

    number: int
    place: PlaceModel
    tree: int
    back: bool


@dataclass(frozen=True, slots=True)
class HalfModel:
    """Side, price or quantity of levels of mixed sides: one value for all of them, or one per level of a list. `rank`: in which errors
    count. `optional`: that list may be absent."""

    name: str
    rank: int
    field: FieldModel
    list: int | None
    optional: bool


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A list at `node` of the tree `owner`, whose first `limit` elements are walked, and their marks kept, as the value around it is.

    They stand behind the marks of that tree's nodes: at `base` how many there are and where they end, then those of each, `stride` of
    them, of `tree`. `holder`: the node of the object that it is a member of. `copies`: by index, nodes that paths with that index name,
    each with the node of `tree` that has the same mark.
    """

    owner: int
    node: int
    tree: int
    limit: int
    stride: int
    base: int
    holder: int
    copies: dict[int, list[tuple[int, int]]]

    def slot(self, index: int) -> int:
        """Where the marks of the element with this index begin."""
        return self.base + 1 + self.stride * index


@dataclass(frozen=True, slots=True)
class AnchorModel:
    """The literal that a pattern, by its number, ends with, or else begins with."""

    pattern: int
    ends: bool
    text: str


@dataclass(frozen=True, slots=True)
class MatchModel:
    """One entry of `match`. Of its `count` patterns the first `excluded` must not fit.

    `wants`: what shows at once that it cannot hold: "absent", "present", "" for neither. `anchors`: what each of the patterns for what is
    there ends or begins with, where all of them do; `rest`: the name that is all else in the only one; `words`: nothing else is in any of
    them. `never`: words that must not be there. `lacking`: what is absent fits. `varies`: another product that shares the code has other
    patterns.
    """

    place: PlaceModel
    patterns: int
    excluded: int
    count: int
    wants: str
    anchors: tuple[AnchorModel, ...]
    rest: PartModel | None
    words: bool
    never: tuple[str, ...]
    lacking: bool
    offline: bool
    varies: bool = False


@dataclass(frozen=True, slots=True)
class ElementModel:
    """How elements of one path of `each` are read."""

    number: int
    tree: int
    node: int
    each: PlaceModel
    match: tuple[MatchModel, ...]
    scalars: tuple[FieldModel, ...]
    lists: tuple[ListModel, ...]
    columns: tuple[ColumnModel, ...]
    halves: tuple[HalfModel, ...]  # in place of columns, where levels say which side they are on
    kept: tuple[FieldModel, ...]  # what only a book takes

    @property
    def fields(self) -> tuple[FieldModel, ...]:
        return self.scalars + self.kept

    def rank(self, column: ColumnModel) -> int:
        """Where a column stands in record order, in which errors count."""
        return self.columns.index(column)

    def field(self, name: str) -> FieldModel | None:
        return next((one for one in self.scalars if one.name == name), None)


@dataclass(frozen=True, slots=True)
class MessageModel:
    """`book`: the function that cuts its records out of a book, "" where it keeps none; `holds`: that book's snapshots are fetched."""

    index: int
    source: ir.Message
    record: ir.RecordType | None  # of several: the one with the most levels
    records: tuple[ir.RecordType, ...]
    levels: int
    needs_symbol: bool
    match: tuple[MatchModel, ...]
    elements: tuple[ElementModel, ...]
    whole: bool
    loose: bool
    begins: tuple[int, ...]  # of a whole text that fits, the first byte is one of these; none: any
    book: str
    holds: bool
    book_record: str  # whose books they are


@dataclass(frozen=True, slots=True)
class PartModel:
    kind: str
    name: int
    lower: bool
    text: str


@dataclass(frozen=True, slots=True)
class PatternModel:
    number: int
    parts: tuple[PartModel, ...]

    @property
    def kind(self) -> str:
        kinds = {part.kind for part in self.parts}
        if not kinds:
            return "K4_PATTERN_ABSENT"
        if "K4_PART_NAME" in kinds:
            return "K4_PATTERN_NAMES"
        if len(self.parts) > 1:
            return "K4_PATTERN_STARS"
        return "K4_PATTERN_ANY" if kinds == {"K4_PART_STAR"} else "K4_PATTERN_WORD"


@dataclass(frozen=True, slots=True)
class EntryModel:
    text: str
    result: str
    type: str


@dataclass(frozen=True, slots=True)
class MapModel:
    number: int
    entries: tuple[EntryModel, ...]
    other: EntryModel | None


@dataclass(frozen=True, slots=True)
class ProductModel:
    name: str
    ident: str
    table: tuple[ir.Message, ...]
    trees: list[Tree]
    hops: list[HopModel]
    patterns: list[PatternModel]
    maps: list[MapModel]
    messages: tuple[MessageModel, ...]
    match_nodes: tuple[int, ...]
    match_hops: tuple[PlaceModel, ...]
    kept: tuple[KeptModel, ...]
    code: str = ""  # the `ident` of the product whose code this one shares, or its own

    @property
    def marks(self) -> int:
        """How many marks the frame's tree takes, those of kept elements included."""
        return self.size(0)

    def size(self, tree: int) -> int:
        """The same of any tree."""
        return len(self.trees[tree].nodes) + sum(1 + one.limit * one.stride for one in self.kept if one.owner == tree)

    @property
    def alone(self) -> set[int]:
        """The trees that are walked over a value by itself: the frame's, and those that no pass over what is around them always walks."""
        lists = ((message, element, one) for message in self.messages for element in message.elements for one in element.lists)
        return {0, *(hop.tree for hop in self.hops), *(one[-1].tree for one in lists if not self.kept_whole(*one))}

    def keeps(self, owner: int, node: int) -> KeptModel | None:
        return next((one for one in self.kept if (one.owner, one.node) == (owner, node)), None)

    def copied(self, owner: int, node: int) -> bool:
        """Whether this node's mark is that of an element which is kept."""
        lists = (pairs for one in self.kept if one.owner == owner for pairs in one.copies.values())
        return any(node == at for pairs in lists for at, _ in pairs)

    def holder(self, tree: int, node: int) -> int | str:
        """The node of the innermost object around a place."""
        found = self.trees[tree].holder(node)
        return "K4_NO_HOLDER" if found is None else found

    def kept_over(self, tree: int) -> KeptModel | None:
        """The kept list whose elements this tree is over."""
        return next((one for one in self.kept if one.tree == tree), None)

    def kept_for(self, one: ListModel) -> KeptModel | None:
        """The kept list that a list of levels can be read from."""
        return self.kept_over(one.tree) if one.place.hop is None and not one.back else None

    def kept_whole(self, message: MessageModel, element: ElementModel, one: ListModel) -> KeptModel | None:
        """The same where it holds all that the message reads: updates of books and levels of mixed sides may have more than are kept."""
        return self.kept_for(one) if not message.book and not element.halves else None
