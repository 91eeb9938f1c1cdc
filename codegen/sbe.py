"""Reads an SBE schema (version 1.0 of the standard): XML → `ir.SbeSchema`, with every finding of the file at once.

Names are kept as the schema has them; what cannot be laid out is refused with file, line, and what to write instead. What says nothing
about the bytes (descriptions, semantic types, ids of fields, ranges) is passed over. May import `errors`, `ir`, `sbetypes`, `sbexml`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from . import ir
from .errors import Finding, FindingsError, did_you_mean
from .sbetypes import MOST, UNSIGNED, Types, limits, named, null_of
from .sbexml import Element, Reading

_MESSAGE = ("name", "id", "blockLength", "sinceVersion")
_FIELD = ("name", "type", "presence", "offset", "valueRef", "sinceVersion")
_GROUP = ("name", "dimensionType", "blockLength", "sinceVersion")
_DATA = ("name", "type", "sinceVersion")
_SCHEMA = ("package", "id", "version", "byteOrder", "headerType")
_DEEPEST = 8  # groups inside each other


def load(path: Path) -> ir.SbeSchema:
    """The schema in `path`, named after the file. Raises FindingsError with all that is wrong, OSError if unreadable."""
    schema, findings = read(path)
    if findings or schema is None:
        raise FindingsError(findings)
    return schema


def read(path: Path) -> tuple[ir.SbeSchema | None, tuple[Finding, ...]]:
    """The schema as far as it could be read, and everything that is wrong with it. None where it is no schema at all."""
    reading = Reading()
    root = reading.read(path)
    schema = None
    if root is not None and root.tag != "messageSchema":
        reading.find(root, "is no SBE schema; its root is messageSchema")
    elif root is not None:
        schema = _Schema(reading, root, path).schema()
    return schema, FindingsError(reading.findings).findings


class _Schema:
    def __init__(self, reading: Reading, root: Element, path: Path) -> None:
        self.reading = reading
        self.root = root
        self.path = path
        reading.only(root, "types", "message")
        reading.spelled(root, *_SCHEMA)
        parts = [element for element in root.children if element.tag == "types"]
        types = [child for part in parts for child in part.children if child.space in ("", part.space)]
        self.types = Types(reading, types)

    def schema(self) -> ir.SbeSchema:
        number = self.reading.number
        order = self.root.attributes.get("byteOrder", "littleEndian")
        if order not in ("littleEndian", "bigEndian"):
            self.reading.find(self.root, f'byteOrder="{order}" is not known{did_you_mean(order, ("littleEndian", "bigEndian"))}')
        header_type = self.root.attributes.get("headerType", "messageHeader")
        header = self.composite(self.root, header_type, "blockLength", "templateId", "schemaId", "version")
        messages: list[ir.SbeMessage] = []
        for element in self.root.children:
            if element.tag != "message":
                continue
            message = self.message(element)
            for other in messages:
                if other.id == message.id or other.name == message.name:
                    same = "name" if other.name == message.name else "id"
                    self.reading.find(element, f"its {same} is given before, in line {other.line}; give it another")
            messages.append(message)
        size, (block, template, schema, acting) = header
        for message in messages:
            if message.id > limits(template.primitive)[1]:
                where = next(element for element in self.root.children if element.tag == "message" and element.line == message.line)
                self.reading.find(where, f'id="{message.id}" does not fit the templateId of {header_type}, a {template.primitive}')
        if number(self.root, "id", 0, MOST) > limits(schema.primitive)[1]:
            self.reading.find(self.root, f"its id does not fit the schemaId of {header_type}, a {schema.primitive}")
        return ir.SbeSchema(
            name=self.path.stem,
            file=str(self.path),
            id=number(self.root, "id", 0, MOST),
            version=number(self.root, "version", 0, MOST),
            big_endian=order == "bigEndian",
            header=size,
            block=block,
            template=template,
            schema=schema,
            acting=acting,
            enums=tuple(self.types.enums.values()),
            messages=tuple(messages),
        )

    def composite(self, by: Element, kind: str, *sizes: str) -> tuple[int, tuple[ir.SbeSize, ...]]:
        """A composite that says what follows: its size, and where in it the named numbers are."""
        element = self.types.named.get(kind)
        if element is None or element.tag != "composite":
            known = [name for name, one in self.types.named.items() if one.tag == "composite"]
            what = f'needs a composite "{kind}" with {" and ".join(sizes)}'
            self.reading.find(by, what if element is None else f'{what}; "{kind}" is a {element.tag}, write one of {" ".join(known)}')
            return 0, tuple(ir.SbeSize("uint16", 0) for _ in sizes)
        laid = self.types.laid(element)
        found: list[ir.SbeSize] = []
        for name in sizes:
            field = next((one for one in laid.fields if one.name == name), None)
            if field is None or field.primitive not in UNSIGNED or field.length or field.constant is not None:
                line = element if field is None else next(c for c in element.children if c.name == name)
                self.reading.find(line, f'as part of "{kind}", {name} must be there as one of {" ".join(UNSIGNED)}')
                found.append(ir.SbeSize("uint16", 0))
            else:
                found.append(ir.SbeSize(field.primitive, field.offset))
        return laid.size, tuple(found)

    def message(self, element: Element) -> ir.SbeMessage:
        self.reading.spelled(element, *_MESSAGE)
        name = self.reading.text(element, "name") or ""
        self.reading.text(element, "id")
        number = self.reading.number(element, "id", 0, MOST)
        return ir.SbeMessage(name, number, _Block(self, element, ()).body(), element.line)


class _Block:
    """The block of a message or of a group's entry. `around`: the fields of the blocks it stands in."""

    def __init__(self, schema: _Schema, element: Element, around: tuple[tuple[ir.SbeField, ...], ...]) -> None:
        self.schema = schema
        self.reading = schema.reading
        self.types = schema.types
        self.element = element
        self.around = around
        self.fields: list[ir.SbeField] = []
        self.groups: list[ir.SbeGroup] = []
        self.data: list[ir.SbeData] = []
        self.end = 0
        self.lengths: dict[int, int] = {0: 0}
        self.names: set[str] = set()

    def body(self) -> ir.SbeBlock:
        self.reading.only(self.element, "field", "group", "data")
        stage = 0
        stages = ("field", "group", "data")
        for child in self.element.children:
            if child.tag not in stages:
                continue
            if stages.index(child.tag) < stage:
                self.reading.find(child, f"stands behind a {stages[stage]}; fields come first, then groups, then data")
            stage = max(stage, stages.index(child.tag))
            self.reading.text(child, "name")
            if child.name in self.names:
                self.reading.find(child, f"the name is given before in {self.element.who}; give it another")
            self.names.add(child.name)
            {"field": self.field, "group": self.group, "data": self.datum}[child.tag](child)
        self._exponents()
        declared = self.reading.number(self.element, "blockLength", self.end, MOST)
        if declared < self.end:
            self.reading.find(self.element, f'blockLength="{declared}": its fields end at {self.end}; write {self.end} or more')
        lengths: list[tuple[int, int]] = []
        for version in sorted(self.lengths):
            length = max(self.lengths[version], lengths[-1][1] if lengths else 0)
            if not lengths or length > lengths[-1][1]:
                lengths.append((version, length))
        return ir.SbeBlock(tuple(lengths), max(declared, self.end), tuple(self.fields), tuple(self.groups), tuple(self.data))

    # ----- fields

    def field(self, element: Element) -> None:
        self.reading.only(element)
        self.reading.spelled(element, *_FIELD)
        kind = self.reading.text(element, "type")
        laid = self.types.find(kind, element) if kind is not None else None
        if laid is None:
            return
        if laid.varies:
            self.reading.find(element, f'type "{kind}" has no length of its own; only data can have it')
            return
        since = self.reading.number(element, "sinceVersion", 0, MOST)
        form = laid.fields[0] if laid.fields and laid.fields[0].name == "" else None
        presence = self.types.presence(element)
        if form is not None and (presence == "constant" or form.constant is not None):
            constant = form.constant
            if presence == "constant" and constant is None:
                constant = self._constant(element, form)
            self._add(element, [replace(form, constant=constant, length=0)], self.end, since)
            return
        at = self.types.place(element, self.end, self.element.who) if "offset" in element.attributes else self.end
        fields = list(laid.fields)
        if form is not None and len(fields) == 1 and "presence" in element.attributes:
            fields = [replace(form, null=self._null(element, form) if presence == "optional" else None)]
        self._add(element, fields, at, since)
        self.end = at + laid.size
        self.lengths[since] = max(self.lengths.get(since, 0), self.end)

    def _constant(self, element: Element, form: ir.SbeField) -> int | str | None:
        if "valueRef" in element.attributes or element.text.strip():
            return self.types.constant(element, form.primitive, element.text)
        self.reading.find(element, 'presence="constant", but no value; write valueRef="Enum.Name", or give the type its value')
        return None

    def _null(self, element: Element, form: ir.SbeField) -> int | None:
        if form.null is not None:
            return form.null
        kind = self.types.named.get(element.attributes["type"])
        if kind is not None and kind.tag == "type":
            return self.types.null(kind, form.primitive)
        return null_of(form.primitive)

    def _add(self, element: Element, fields: list[ir.SbeField], at: int, since: int) -> None:
        exponent = element.foreign.get("exponent")
        for field in fields:
            one = replace(named(element.name, field, at, since), line=element.line)
            if exponent is not None and field.name == "":
                one = replace(one, exponent=exponent)
            self.fields.append(one)

    def _exponents(self) -> None:
        """The field that an `exponent` attribute names is there, in this block or one around it."""
        for field in self.fields:
            if not isinstance(field.exponent, str):
                continue
            known = [one for block in (tuple(self.fields), *self.around) for one in block]
            found = next((one for one in known if one.name == field.exponent), None)
            if found is None or found.primitive not in ir.SBE_SIZES or found.primitive in ("float", "double", "char") or found.length:
                integers = [one.name for one in known if one.primitive not in ("float", "double", "char") and not one.length]
                where = Element("field", "", {"name": field.name}, {}, self.element.file, field.line)
                self.reading.find(where, f'exponent="{field.exponent}" is no integer field of it{did_you_mean(field.exponent, integers)}')

    # ----- what varies

    def group(self, element: Element) -> None:
        self.reading.spelled(element, *_GROUP)
        if len(self.around) >= _DEEPEST:
            self.reading.find(element, f"stands deeper than {_DEEPEST} groups inside each other")
            return
        kind = element.attributes.get("dimensionType", "groupSizeEncoding")
        header, (block, count) = self.schema.composite(element, kind, "blockLength", "numInGroup")
        body = _Block(self.schema, element, (tuple(self.fields), *self.around)).body()
        since = self.reading.number(element, "sinceVersion", 0, MOST)
        self.groups.append(ir.SbeGroup(element.name, header, block, count, body, since, element.line))

    def datum(self, element: Element) -> None:
        self.reading.only(element)
        self.reading.spelled(element, *_DATA)
        kind = self.reading.text(element, "type")
        if kind is None:
            return
        header, (length,) = self.schema.composite(element, kind, "length")
        composite = self.types.named.get(kind)
        if composite is not None and composite.tag == "composite":
            last = composite.children[-1] if composite.children else composite
            if last.name != "varData" or ir.SBE_SIZES.get(last.attributes.get("primitiveType", ""), 0) != 1:
                self.reading.find(last, f'as type of data, "{kind}" must end in varData of char or uint8')
            elif not self.types.laid(last).varies:
                header -= self.types.laid(last).size  # older schemas leave its length="0" out
        since = self.reading.number(element, "sinceVersion", 0, MOST)
        self.data.append(ir.SbeData(element.name, header, length, since, element.line))
