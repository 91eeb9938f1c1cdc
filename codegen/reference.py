"""The reference interpreter: what a frame gives by the letter of docs/decoding.md, in plain Python straight from the IR.

Nothing is generated, nothing is fast. The checker tries examples with it, `k4 decode --reference` shows it, tests hold the generated
parsers against it. May import `fields`, `ir`, `sbebind` and the other `ref*` modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal

from . import ir, refsbe, refunpack, sbebind
from .fields import OTHER_RECORDS, book_of
from .refbook import UNCHANGED, Book
from .reffields import FieldReader, Fields, Gone, Level, Sides, text_of
from .refjson import STRING, FrameError, Node, parse
from .refmatch import hold
from .refpath import Element, Wrong, elements, second_keys
from .refrecord import Draft, Drafter, Record, Values, build, levels_of, symbol_of
from .refvalue import Dec, Place, RefusedError

_JSON_STARTS = frozenset(b'{["-0123456789tfn')
_EXACT = Context(prec=200)
_ROOT = (ir.Path(False, (), False, "."),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused element. `message` None: the frame as a whole. `field`: the record field that failed, where it was one."""

    code: str
    message: int | None
    offset: int
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a frame gave. `skip` only where there are no items; `skip_message`: who took it, None when nothing did."""

    items: tuple[Record | Refusal, ...]
    skip: str | None
    skip_message: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that is no market record: its index, and its captures and fields as text."""

    message: int
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched body: a row per element, what was refused, and what `match` captured (a paging key, say).

    A row is field → value: bool, int (integers, and times in ns), or text, decimals among them, spelled without an exponent.
    """

    rows: tuple[dict[str, object], ...]
    refusals: tuple[Refusal, ...]
    captures: dict[str, str]


class FetchError(Exception):
    """A fetched body that is no answer: not JSON, or not what `match` wants."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message that takes the frame. `names`: what is known and captured; elements with what their own `match` captured."""

    index: int
    message: ir.Message
    root: Node
    names: dict[str, Place]
    elements: list[tuple[Element, dict[str, Place]] | Wrong]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as the messages see it. `plain`: no JSON, but a text that a `match` on `.` may fit."""

    root: Node
    raw: bytes
    plain: bool


class Interpreter:
    """Decodes the frames of one product on one connection, in sequence: it keeps the books.

    `others`: messages of the exchange's other products, for `other_product`. `symbol`: the one stream's symbol (`$symbol`). `schema`: what
    binary frames are read by, where the product has one; `encoding`: else how they are packed. `sure`: no frame is another product's, so
    that what a `match` asks offline is not asked.
    """

    def __init__(
        self,
        records: ir.Records,
        messages: tuple[ir.Message, ...],
        others: tuple[tuple[ir.Message, ...], ...] = (),
        symbol: str | None = None,
        schema: ir.SbeSchema | None = None,
        encoding: str | None = None,
        *,
        sure: bool = False,
    ) -> None:
        self.records = records
        self.messages = messages
        self.schema = schema
        self.encoding = encoding
        self.sure = sure
        self.bound = sbebind.bind_all(messages, schema, records)
        self.others = others
        self.known: dict[str, Place] = {} if symbol is None else {"symbol": Place(symbol, 0)}
        self.books: dict[tuple[str, str], Book] = {}
        self.drafters = {i: Drafter(records, m) for i, m in enumerate(messages) if records.record(m.record) is not None}

    # ----------------------------------------------------------------------- frames

    def decode(self, frame: bytes, binary: bool = False) -> Outcome:
        """What `frame` gives; a `binary` one is SBE where the product has a schema, or compressed. Never raises on any bytes."""
        if binary and self.schema is not None:
            return self._decode_sbe(frame, self.schema)
        try:
            if binary and self.encoding is not None:
                frame = refunpack.unpack(frame, self.encoding)
            taken = self._classify(frame)
        except FrameError as error:
            return Outcome((Refusal(error.code, None, error.offset),), None, None)
        if not taken:
            return Outcome((), self._nobody(frame), None)
        items: list[Record | Refusal] = []
        reasons: list[tuple[str, int]] = []
        for one in taken:
            if self.records.record(one.message.record) is None:
                reasons.append((one.message.reason, one.index))
                continue
            if not one.elements:
                reasons.append(("empty", one.index))
            for outcome in self._elements(one):
                if isinstance(outcome, str):
                    reasons.append((outcome, one.index))
                else:
                    items.append(outcome)
        if items or not reasons:
            return Outcome(tuple(items), None, None)
        return Outcome((), *reasons[0])

    def _decode_sbe(self, raw: bytes, schema: ir.SbeSchema) -> Outcome:
        try:
            frame = refsbe.parse(raw, schema, tuple(bound.template for bound in self.bound))
        except FrameError as error:
            return Outcome((Refusal(error.code, None, error.offset),), None, None)
        except refsbe.UnknownError:
            return Outcome((), "unknown_template", None)
        items: list[Record | Refusal] = []
        reasons: list[tuple[str, int]] = []
        for bound in self.bound:
            if bound.template != frame.template:
                continue
            if self.records.record(bound.message.record) is None:
                reasons.append(("dropped_class" if bound.message.record == "dropped" else bound.message.record, bound.index))
                continue
            elements = [refsbe.SbeReader(bound, frame, blocks) for blocks in refsbe.elements(frame, bound.each)]
            if not elements:
                reasons.append(("empty", bound.index))
            for reader in elements:
                for outcome in self._element(bound.index, bound.message, reader):
                    if isinstance(outcome, str):
                        reasons.append((outcome, bound.index))
                    else:
                        items.append(outcome)
        return Outcome(tuple(items), None, None) if items or not reasons else Outcome((), *reasons[0])

    def read(self, frame: bytes) -> tuple[Reading, ...]:
        """The messages in a frame that are no market records, with their captures and fields as text. Empty where there are none."""
        try:
            taken = self._classify(frame)
        except FrameError:
            return ()
        return tuple(
            Reading(one.index, self._texts(one, element, names, frame))
            for one in taken
            if self.records.record(one.message.record) is None
            for element, names in _good(one.elements)
        )

    def _classify(self, raw: bytes) -> list[_Taken]:
        """Who takes the frame. Raises FrameError where it is refused as a whole."""
        frame = self._plain(raw)
        if frame is not None:
            taken = self._takers(self.messages, frame)
            if taken:
                return taken
        root = parse(raw)
        pushed = [message for message in self.messages if message.json]
        paths = [match.path for message in pushed for match in message.match if not match.path.element]
        seconds = [offset for path in paths for offset in second_keys(root, path.steps)]
        if seconds:
            raise FrameError("duplicate", min(seconds))
        return self._takers(self.messages, _Frame(root, raw, False))

    def _plain(self, raw: bytes) -> _Frame | None:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        return _Frame(Node(STRING, 0, len(raw), text), raw, True)

    def _nobody(self, raw: bytes) -> str:
        frame = _Frame(parse(raw), raw, False)
        for messages in self.others:
            if self._takers(messages, frame):
                return "other_product"
        return "other_channel"

    def _takers(self, messages: tuple[ir.Message, ...], frame: _Frame) -> list[_Taken]:
        found: list[_Taken] = []
        for index, message in enumerate(messages):
            if message.json and (not frame.plain or _fits_plain(message, frame.raw)):
                taken = self._take(index, message, frame, self.known)
                if taken is not None:
                    found.append(taken)
        return found

    def _take(self, index: int, message: ir.Message, frame: _Frame, known: Mapping[str, Place]) -> _Taken | None:
        """The message's part of the frame, or None where its `match` does not hold. Raises FrameError for a repeated `match` key."""
        names = dict(known)
        for match in message.match:
            if match.path.element or (match.offline and self.sure):
                continue
            try:
                captures = hold(match, frame.root, 0, names)
            except RefusedError:
                return None  # said of the frame already; here only reached for another product's messages
            if captures is None:
                return None
            names.update(captures)
        if self.records.record(message.record) is not None and not _names_symbol(message, known):
            return None
        reached = elements(frame.root, message.each or _ROOT, names)
        chosen = [self._choose(message, element, names) for element in reached]
        kept = [one for one in chosen if one is not None]
        if not kept and any(match.path.element for match in message.match):
            return None
        return _Taken(index, message, frame.root, names, kept)

    def _choose(
        self, message: ir.Message, element: Element | Wrong, names: Mapping[str, Place]
    ) -> tuple[Element, dict[str, Place]] | Wrong | None:
        """The element with its own captures, or None where a `match` with `@` says that it is not this message's."""
        if isinstance(element, Wrong):
            return element
        own = {**names, **element.captures}
        for match in message.match:
            if not match.path.element or (match.offline and self.sure):
                continue
            try:
                captures = hold(match, element.node, element.trail, own)
            except RefusedError as error:
                return Wrong(error.code, error.offset)
            if captures is None:
                return None
            own.update(captures)
        return element, own

    # ----------------------------------------------------------------------- elements

    def _elements(self, taken: _Taken) -> Iterator[Record | Refusal | str]:
        """Per element its records, its refusal, or the reason why it gives nothing."""
        for one in taken.elements:
            if isinstance(one, Wrong):
                yield Refusal(one.code, taken.index, one.offset)
                continue
            element, names = one
            yield from self._element(taken.index, taken.message, FieldReader(taken.message, taken.root, element.node, element.trail, names))

    def _element(self, index: int, message: ir.Message, reader: Fields) -> list[Record | Refusal | str]:
        try:
            return self._records(index, message, self.drafters[index].draft(reader))
        except RefusedError as error:
            self._spoil(message, reader)
            return [Refusal(error.code, index, error.offset, error.field)]

    def _records(self, index: int, message: ir.Message, draft: Draft) -> list[Record | Refusal | str]:
        if draft.update is None:
            return [build(self.records, word, index, draft, self._cut(draft.sides, word), frozenset()) for word in message.records]
        book = self.books.setdefault((draft.symbol, book_of(self.messages, message)), Book(message.order or ""))
        before = {word: _picture(book.cut(self._depth(word))) for word in message.records}
        reason = book.apply(draft.update)
        if reason is not None:
            return [reason]
        found: list[Record | Refusal | str] = []
        for word in message.records:
            sides = book.cut(self._depth(word))
            first = word not in book.shown  # since the snapshot, which may have come by a message that does not give it
            if first or _picture(sides) != before[word]:
                try:
                    found.append(build(self.records, word, index, draft, sides, frozenset({"SNAPSHOT"} if first else ())))
                except RefusedError as error:  # the digits that do not fit may stand in another frame
                    raise RefusedError(error.code, 0, error.field) from None
                book.shown.add(word)
        return found or [UNCHANGED]

    def _cut(self, sides: Sides | None, word: str) -> Sides | None:
        most = self._depth(word)
        return None if sides is None else Sides(sides.bid[:most], sides.ask[:most])

    def _depth(self, word: str) -> int:
        return levels_of(self.records, word) or 1

    def _spoil(self, message: ir.Message, reader: Fields) -> None:
        """An update that was refused is a hole in its book, whether or not the venue's ids would show it."""
        try:
            book = self.books.get((symbol_of(reader), book_of(self.messages, message)))
        except RefusedError:
            return
        if book is not None:
            book.live = False

    # ----------------------------------------------------------------------- what is no market record

    def fetch(self, message: int, body: bytes, known: Mapping[str, str] | None = None) -> tuple[dict[str, object], ...]:
        """The rows of a fetched message, as `fetched` gives them. Raises FetchError also for a refused row."""
        fetched = self.fetched(message, body, known)
        for refusal in fetched.refusals:
            raise FetchError(f"{refusal.field or 'an element'} is refused: {refusal.code} at byte {refusal.offset}")
        return fetched.rows

    def fetched(
        self, message: int, body: bytes, known: Mapping[str, str] | None = None, reader: Callable[[bytes], Node] = parse
    ) -> Fetched:
        """Everything a fetched body gives. `known`: names beside the product's own, `symbol` among them. Raises FetchError.

        `reader`: `refload.load` for a large body, whose refusals then have no offset.
        """
        taken = self._fetched(message, body, known or {}, reader)
        rows: list[dict[str, object]] = []
        refusals: list[Refusal] = []
        for one in taken.elements:
            if isinstance(one, Wrong):
                refusals.append(Refusal(one.code, message, one.offset))
                continue
            try:
                rows.append(self._row(taken, *one))
            except RefusedError as error:
                refusals.append(Refusal(error.code, message, error.offset, error.field))
        given = self._given(message, known or {})
        own = {name: place.text for name, place in taken.names.items() if name not in given}
        return Fetched(tuple(rows), tuple(refusals), own)

    def decode_fetched(self, message: int, body: bytes, known: Mapping[str, str]) -> Outcome:
        """A fetched market record: a book's snapshot, say. Raises FetchError."""
        taken = self._fetched(message, body, known)
        items = [item for item in self._elements(taken) if not isinstance(item, str)]
        return Outcome(tuple(items), None if items else "empty", None if items else message)

    def _fetched(self, index: int, body: bytes, known: Mapping[str, str], reader: Callable[[bytes], Node] = parse) -> _Taken:
        message = self.messages[index]
        try:
            root = reader(body)
        except FrameError as error:
            raise FetchError(f"the body is {error.code} at byte {error.offset}") from error
        taken = self._take(index, message, _Frame(root, body, False), self._given(index, known))
        if taken is None:
            raise FetchError("the body does not match")
        return taken

    def _given(self, index: int, known: Mapping[str, str]) -> dict[str, Place]:
        """What is known before a body is read. What its `match` captures for its own `url` is read anew from each page."""
        message = self.messages[index]
        paging = {part.name for part in (message.url.parts if message.url else ()) if isinstance(part, ir.Ref)} & captured(message)
        paging -= {"symbol"}
        return {**self.known, **{name: Place(text, 0) for name, text in known.items() if name not in paging}}

    def _row(self, taken: _Taken, element: Element, names: dict[str, Place]) -> dict[str, object]:
        reader = FieldReader(taken.message, taken.root, element.node, element.trail, names)
        row: dict[str, object] = {}
        kinds = {rule.name: rule.kind for rule in OTHER_RECORDS[taken.message.record]}
        for field in taken.message.fields:
            try:
                value = reader.get(field.name, kinds.get(field.name, "text"))
            except RefusedError as error:
                raise RefusedError(error.code, error.offset, field.name) from None
            if not isinstance(value, Gone):
                row[field.name] = _spelled(value) if isinstance(value, Dec) else value
            elif not value.allowed:
                raise RefusedError("missing", value.offset, field.name)
        # A capture named like a field fills it, where `fields` does not; every name is a field of `vars`.
        may = captured(taken.message) if taken.message.record == "vars" else kinds.keys()
        return {**{name: place.text for name, place in names.items() if name in may and name not in row}, **row}

    def _texts(self, taken: _Taken, element: Element, names: dict[str, Place], raw: bytes) -> dict[str, str]:
        reader = FieldReader(taken.message, taken.root, element.node, element.trail, names)
        texts = {name: place.text for name, place in names.items() if name not in self.known}
        for field in taken.message.fields:
            text = text_of(field.source, reader, raw)
            texts.pop(field.name, None)
            if text is not None:
                texts[field.name] = text
        return texts


def _good(found: list[tuple[Element, dict[str, Place]] | Wrong]) -> Iterator[tuple[Element, dict[str, Place]]]:
    return (one for one in found if not isinstance(one, Wrong))


def _picture(sides: Sides) -> tuple[object, ...]:
    """Levels as values, so that 1.0 and 1.00 are no change."""

    def level(one: Level) -> tuple[object, ...]:
        return one.price and one.price.key, one.qty and one.qty.key, one.orders

    return tuple(level(one) for one in sides.bid), tuple(level(one) for one in sides.ask)


def _names_symbol(message: ir.Message, known: Mapping[str, Place]) -> bool:
    """Whether the frame, or what is known beside it, says which instrument is meant."""
    field = message.field("symbol")
    if "symbol" in known or (field is not None and field.source != ir.FromName("symbol")):
        return True
    in_match = (part for match in message.match for pattern in match.patterns for part in pattern.parts)
    in_each = (step for path in message.each for step in path.steps)
    return any(isinstance(part, ir.Ref) and part.name == "symbol" for part in in_match) or ir.Members("symbol") in in_each


def _spelled(dec: Dec) -> str:
    return f"{_EXACT.scaleb(Decimal(dec.digits), -dec.fraction):f}"


def captured(message: ir.Message) -> set[str]:
    """The names that the `match` of a message takes out of what it reads."""
    return {part.name for match in message.match for pattern in match.patterns for part in pattern.parts if isinstance(part, ir.Ref)}


def _fits_plain(message: ir.Message, raw: bytes) -> bool:
    """Whether the message may take a frame as plain text. A pattern that any text fits takes only what cannot be JSON."""
    whole = [match for match in message.match if not match.path.element and not match.path.steps]
    if not whole:
        return False
    start = raw.lstrip(b" \t\r\n")[:1]
    loose = any(len(pattern.parts) == 1 and not isinstance(pattern.parts[0], ir.Lit) for match in whole for pattern in match.patterns)
    return not loose or not start or start[0] not in _JSON_STARTS


__all__ = ["FetchError", "Fetched", "Interpreter", "Outcome", "Reading", "Record", "Refusal", "Values", "captured"]
