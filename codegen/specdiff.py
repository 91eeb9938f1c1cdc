"""What a changed spec or schema means for those who are there already: the venue's wire, shared memory, readers.

    compatible   nothing that reads shared memory need care
    rebuild      readers built against the old header are refused by name of the field; built anew they work unchanged
    break        what a reader's source or a stored value relies on is gone, or means something else

May import `exchange`, `fbs`, `fields`, `ir`, `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import exchange, fbs, fields, ir, layout

COMPATIBLE, REBUILD, BREAK = "compatible", "rebuild", "break"
RANK = {COMPATIBLE: 0, REBUILD: 1, BREAK: 2}
_SECTIONS = ("subscribe", "unsubscribe", "ping", "limits", "encoding")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, where it stands (in the old file if only that has it), and what it means."""

    file: str
    line: int
    means: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.means}: {self.text}"


def schemas(old: Path, new: Path) -> list[Change]:
    """Between two record schemas. Raises FindingsError for a file that is none, OSError."""
    return sorted(_schemas(fbs.load(old), fbs.load(new)), key=lambda change: (change.file != str(old), change.line))


def specs(old: Path, new: Path, records: ir.Records) -> list[Change]:
    """Between two exchange specs. Raises FindingsError for one that is not valid, OSError."""
    found = _Specs(exchange.load(old, records), exchange.load(new, records), records).changes()
    return sorted(found, key=lambda change: (change.file != str(old), change.line))


# --------------------------------------------------------------------------- records


def _schemas(old: ir.Records, new: ir.Records) -> Iterator[Change]:
    for before in old.records:
        after = new.record(before.word)
        if after is None:
            yield Change(old.file, before.line, BREAK, f"record {before.word} is gone: its segments and what reads them")
        else:
            yield from _record(old.file, new.file, before, after)
    for after in new.records:
        if old.record(after.word) is None:
            yield Change(new.file, after.line, COMPATIBLE, f"record {after.word} is new, with segments and a vector of its own")
    yield from _enums(old, new)


def _record(old_file: str, new_file: str, old: ir.RecordType, new: ir.RecordType) -> Iterator[Change]:
    who = f"record {new.word}"
    if old.number != new.number:
        what = f"{who} has number {new.number}, had {old.number}: segments are told apart by it; put new records at the end"
        yield Change(new_file, new.line, BREAK, what)
    for before in old.fields:
        after = new.field(before.name)
        if before.kind == "pad":
            continue
        if after is None:
            yield Change(old_file, before.line, BREAK, f"{who}: {before.name} is gone; readers name it")
        else:
            yield from _member(new_file, who, before, after)
    for after in new.fields:
        if after.kind != "pad" and old.field(after.name) is None:
            what = f"{who}: {after.name} is new: another layout, segments are replaced, both ends of the wire change together"
            yield Change(new_file, after.line, REBUILD, what)
    same_names = [f.name for f in old.fields if f.kind != "pad"] == [f.name for f in new.fields if f.kind != "pad"]
    if layout.layout_hash(old) != layout.layout_hash(new) and same_names and not _typed_otherwise(old, new):
        yield Change(new_file, new.line, REBUILD, f"{who}: its pads have changed: another layout, segments are replaced")


def _typed_otherwise(old: ir.RecordType, new: ir.RecordType) -> bool:
    def places(record: ir.RecordType) -> list[object]:
        return [(f.scalar, f.length, f.offset) for f in record.fields if f.kind != "pad"]

    return places(old) != places(new)


def _member(file: str, who: str, old: ir.RecordField, new: ir.RecordField) -> Iterator[Change]:
    types = [layout.type_text(one.scalar, one.length) for one in (old, new)]
    if types[0] != types[1]:
        yield Change(file, new.line, BREAK, f"{who}: {new.name} is {types[1]}, was {types[0]}; readers' variables are of that type")
    elif (old.kind, old.enum) != (new.kind, new.enum):
        meanings = [" ".join(filter(None, (one.kind, one.enum))) for one in (old, new)]
        yield Change(file, new.line, BREAK, f"{who}: {new.name} means {meanings[1]}, meant {meanings[0]}")
    elif old.offset != new.offset:
        what = f"{who}: {new.name} is at {new.offset}, was at {old.offset}: another layout, segments are replaced"
        yield Change(file, new.line, REBUILD, what)
    if old.needed and not new.needed:
        yield Change(file, new.line, COMPATIBLE, f"{who}: {new.name} is no longer needed; it may be absent")
    elif new.needed and not old.needed:
        yield Change(file, new.line, COMPATIBLE, f"{who}: {new.name} is needed now; specs that do not give it are refused")


def _enums(old: ir.Records, new: ir.Records) -> Iterator[Change]:
    later = {enum.name: enum for enum in new.enums}
    for before in old.enums:
        after = later.pop(before.name, None)
        if after is None:
            yield Change(old.file, before.line, BREAK, f"enum {before.name} is gone")
            continue
        if (before.base, before.bit_flags) != (after.base, after.bit_flags):
            yield Change(new.file, after.line, BREAK, f"enum {after.name} is of another type")
        was, now = dict(before.values), dict(after.values)
        for name, number in was.items():
            if name not in now:
                yield Change(new.file, after.line, BREAK, f"enum {after.name}: {name} is gone")
            elif now[name] != number:
                what = f"enum {after.name}: {name} is {now[name]}, was {number}; stored records have the old one"
                yield Change(new.file, after.line, BREAK, what)
        for name in now.keys() - was.keys():
            what = f"enum {after.name}: {name} is new; readers that are not rebuilt see its number, {now[name]}"
            yield Change(new.file, after.line, COMPATIBLE, what)
    for added in later.values():
        yield Change(new.file, added.line, COMPATIBLE, f"enum {added.name} is new")


# --------------------------------------------------------------------------- exchanges


class _Specs:
    def __init__(self, old: ir.Exchange, new: ir.Exchange, records: ir.Records) -> None:
        self.old = old
        self.new = new
        self.records = records

    def changes(self) -> Iterator[Change]:
        if self.old.name != self.new.name:
            what = f'the exchange is called "{self.new.name}", was "{self.old.name}": so do segments and the symbols in them'
            yield Change(self.new.file, 1, BREAK, what)
        yield from self._products()
        yield from self._given()
        before, after = list(self.old.messages), list(self.new.messages)
        for pair in _pairs(before, after):
            yield from self._message(*pair)
        for gone in before:
            yield Change(self.old.file, gone.line, COMPATIBLE, f"{_who(gone)} is gone; the venue may still send it")
        for added in after:
            yield Change(self.new.file, added.line, COMPATIBLE, f"{_who(added)} is new")

    def _products(self) -> Iterator[Change]:
        for before in self.old.products:
            after = self.new.product(before.name)
            if after is None:
                yield Change(self.old.file, before.line, BREAK, f'product "{before.name}" is gone: its segments are written no more')
                continue
            who = f'wire: product "{after.name}"'
            if _text(before.url) != _text(after.url):
                yield Change(self.new.file, after.line, COMPATIBLE, f"{who} is at {_text(after.url)}, was at {_text(before.url)}")
            for name in dict.fromkeys([*dict(before.vars), *dict(after.vars)]):
                was, now = dict(before.vars).get(name), dict(after.vars).get(name)
                if was != now:
                    yield Change(self.new.file, after.line, COMPATIBLE, f"{who}: ${name} is {_quoted(now)}, was {_quoted(was)}")
            for section in _SECTIONS:
                if _plain(getattr(before.session, section)) != _plain(getattr(after.session, section)):
                    yield Change(self.new.file, after.line, COMPATIBLE, f"{who}: {section} differs")
        for after in self.new.products:
            if self.old.product(after.name) is None:
                yield Change(self.new.file, after.line, COMPATIBLE, f'product "{after.name}" is new')

    def _given(self) -> Iterator[Change]:
        """Records that a product no longer gives, or gives now."""
        for product in self.old.products:
            if self.new.product(product.name) is None:
                continue
            was, now = _records(self.old, product.name), _records(self.new, product.name)
            for word in [word for word in was if word not in now]:
                what = f'product "{product.name}" gives no {word} any more: its segment is written no more'
                yield Change(self.old.file, was[word], BREAK, what)
            for word in [word for word in now if word not in was]:
                yield Change(self.new.file, now[word], COMPATIBLE, f'product "{product.name}" gives {word} now')

    def _message(self, old: ir.Message, new: ir.Message) -> Iterator[Change]:
        who, file = _who(new), self.new.file
        for key in ("channel", "url", "send"):
            was, now = getattr(old, key), getattr(new, key)
            if (was and _text(was)) != (now and _text(now)):
                what = f"wire: {who}: {key} is {_quoted(now and _text(now))}, was {_quoted(was and _text(was))}"
                yield Change(file, new.line, COMPATIBLE, what)
        if [_plain(one) for one in old.match] != [_plain(one) for one in new.match]:
            yield Change(file, new.line, COMPATIBLE, f"wire: {who}: match differs; other frames are taken for it")
        if _plain(old.each) != _plain(new.each):
            yield Change(file, new.line, COMPATIBLE, f"wire: {who}: each differs; its elements are found elsewhere")
        for key in ("silence_s", "weight"):
            if getattr(old, key) != getattr(new, key):
                yield Change(file, new.line, COMPATIBLE, f"wire: {who}: {key} is {getattr(new, key)}, was {getattr(old, key)}")
        if old.order != new.order:
            what = f"{who}: order is {new.order}, was {old.order}: GAP, LATE and RESET follow the new rule"
            yield Change(file, new.line, COMPATIBLE, what)
        rules = fields.message_rules(new, self.records)
        for before in old.fields:
            after = new.field(before.name)
            if after is None or after.source == ir.FromText(""):
                if before.source != ir.FromText(""):
                    means = BREAK if before.name in rules and not rules[before.name].kept else COMPATIBLE
                    line, where = (after.line, file) if after else (before.line, self.old.file)
                    yield Change(where, line, means, f"{who}: {before.name} is no longer given; readers find it absent")
            else:
                yield from self._field(who, rules.get(before.name), before, after)
        for after in new.fields:
            before_ = old.field(after.name)
            if after.source != ir.FromText("") and (before_ is None or before_.source == ir.FromText("")):
                yield Change(file, after.line, COMPATIBLE, f"{who}: {after.name} is given now; it was absent")

    def _field(self, who: str, rule: fields.FieldRule | None, old: ir.Field, new: ir.Field) -> Iterator[Change]:
        if old.source in {new.source, ir.FromText("")}:
            return
        name, line, file = new.name, new.line, self.new.file
        was, now = _sources(old.source), _sources(new.source)
        if [_reading(one) for one in was] != [_reading(one) for one in now]:
            yield Change(file, line, BREAK, f"{who}: {name} is read in another way; the same bytes give another value")
        elif rule is not None and rule.kind in {"id", "integer"} and name.endswith("_id") and _where(was) != _where(now):
            what = f"{who}: {name} is another id, {_where(now)} for {_where(was)}, not comparable with what came before"
            yield Change(file, line, BREAK, what)
        elif _where(was) != _where(now):
            yield Change(file, line, COMPATIBLE, f"wire: {who}: {name} is at {_where(now)}, was at {_where(was)}")
        if _optional(now) and not _optional(was):
            yield Change(file, line, COMPATIBLE, f"{who}: {name} may be absent now")


def _pairs(old: list[ir.Message], new: list[ir.Message]) -> Iterator[tuple[ir.Message, ir.Message]]:
    """Messages that are the same thing before and after, taken out of both lists: alike in ever less."""
    keys: tuple[Callable[[ir.Message], object], ...] = (
        lambda m: (m.records, m.products, m.channel and _text(m.channel), m.url and _text(m.url), tuple(map(_plain, m.match))),
        lambda m: (m.records, m.products, m.channel and _text(m.channel), m.url and _text(m.url)),
        lambda m: (m.records, m.products, tuple(map(_plain, m.match))),
        lambda m: (m.records, m.products, m.channel is None, m.url is None),
        lambda m: (m.records, m.channel is None, m.url is None),
    )
    for key in keys:
        for before in [*old]:
            after = next((one for one in new if key(one) == key(before)), None)
            if after is not None:
                old.remove(before)
                new.remove(after)
                yield before, after


def _records(spec: ir.Exchange, product: str) -> dict[str, int]:
    """Market record → the line of the first message of the product that gives it."""
    found: dict[str, int] = {}
    for message in spec.messages:
        if product in message.products and message.url is None:
            for word in message.records:
                if word in ir.MARKET_RECORDS:
                    found.setdefault(word, message.line)
    return found


def _who(message: ir.Message) -> str:
    return f'message "{"+".join(message.records)}" of {", ".join(message.products)}'


def _text(text: ir.Text) -> str:
    return text.source


def _quoted(text: str | None) -> str:
    return "absent" if text is None else f'"{text}"'


def _plain(value: object) -> object:
    """An IR value without the lines that it stands at."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    slots = getattr(type(value), "__slots__", None)
    return value if slots is None else (type(value).__name__, *(_plain(getattr(value, name)) for name in slots if name != "line"))


def _sources(source: ir.Source) -> Sequence[ir.FromPath | ir.FromMap | ir.FromText | ir.FromName]:
    return source.sources if isinstance(source, ir.FromFirst) else (source,)


def _reading(source: ir.FromPath | ir.FromMap | ir.FromText | ir.FromName) -> object:
    """How the text at a path becomes a value."""
    if isinstance(source, ir.FromPath):
        return source.word
    return (source.entries, source.default) if isinstance(source, ir.FromMap) else source


def _where(sources: Sequence[ir.FromPath | ir.FromMap | ir.FromText | ir.FromName]) -> str:
    return " or ".join(f'"{s.path.source.removesuffix("?")}"' for s in sources if isinstance(s, ir.FromPath | ir.FromMap)) or "no path"


def _optional(sources: Sequence[ir.FromPath | ir.FromMap | ir.FromText | ir.FromName]) -> bool:
    return all(isinstance(one, ir.FromPath | ir.FromMap) and one.path.optional for one in sources)
