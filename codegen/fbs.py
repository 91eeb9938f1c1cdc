"""Reads a FlatBuffers schema of records: the subset in which every byte's place is fixed.

    namespace NAME;  attribute "NAME";
    enum NAME : SCALAR [(bit_flags)] { NAME [= N], ... }
    struct NAME { NAME : SCALAR | ENUM | [SCALAR:N] [(ATTRIBUTE, ...)]; ... }

`///` in front of something documents it; `//` and `/* */` are comments. Tables, unions, strings and vectors have no fixed
layout and are refused, as is everything that would leave a byte to the compiler. All findings are reported at once.
Imports `ir`, `errors` and `layout` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from . import ir, layout
from .errors import Finding, FindingsError

UNSIGNED_BITS = {"ubyte": 8, "ushort": 16, "uint": 32, "ulong": 64}
NOT_BUILT = ("table", "union", "include", "root_type", "file_identifier", "file_extension", "rpc_service")
DECLARATIONS = "namespace, attribute, enum, struct"

_TOKEN = re.compile(
    r"(?P<doc>///[^\n]*)|(?P<space>[ \t\r\n]+|//[^\n]*|/\*.*?\*/)|(?P<name>[A-Za-z_]\w*)|(?P<number>-?\d+)"
    r'|(?P<string>"[^"\n]*")|(?P<punct>[{}()\[\]:;,=.])|(?P<wrong>.)',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # name, number, string, punct, end
    text: str
    line: int
    doc: str  # the `///` lines right in front, joined by a space


@dataclass(slots=True)
class Member:
    """A struct's member as written, before its place is known."""

    name: str
    type: str
    length: int
    attributes: tuple[tuple[str, int], ...]
    doc: str
    line: int


@dataclass(slots=True)
class Struct:
    name: str
    members: list[Member]
    doc: str
    line: int


class _GiveUpError(Exception):
    """A declaration cannot be read on; the finding is noted already."""


@dataclass(slots=True)
class _Reader:
    file: str
    tokens: list[Token]
    at: int = 0
    findings: list[Finding] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)
    enums: list[ir.EnumType] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)

    # ------------------------------------------------------------------ tokens

    def note(self, line: int, message: str) -> None:
        self.findings.append(Finding(self.file, line, message))

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, text: str) -> bool:
        if self.token.kind == "punct" and self.token.text == text:
            self.at += 1
            return True
        return False

    def expect(self, text: str, where: str) -> None:
        if not self.accept(text):
            self.stop(f'"{text}" is missing {where}')

    def stop(self, message: str) -> None:
        """Notes that `message` holds where the current token stands and gives the declaration up."""
        # What is missing at a line's end is wrong in that line, not in the next one, where the following token stands.
        previous = self.tokens[max(self.at - 1, 0)]
        found = "the file ends" if self.token.kind == "end" else f'found "{self.token.text}"'
        self.note(previous.line if self.at else self.token.line, f"{message}; {found}")
        raise _GiveUpError

    def name(self, what: str) -> Token:
        if self.token.kind != "name":
            self.stop(f"{what} needs a name")
        return self.take()

    def number(self, what: str) -> int:
        if self.token.kind != "number":
            self.stop(f"{what} needs a whole number")
        return int(self.take().text)

    def skip_past(self, ends: str) -> None:
        """Goes on behind the next of `ends`, as far as the current braces reach."""
        while self.token.kind != "end":
            token = self.take()
            if token.kind == "punct" and token.text in ends:
                return

    # ------------------------------------------------------------------ declarations

    def read(self) -> None:
        while self.token.kind != "end":
            start = self.at
            try:
                self.declaration()
            except _GiveUpError:
                self.skip_declaration(start)

    def skip_declaration(self, start: int) -> None:
        """Behind the declaration that began at `start`: its closing brace, or its semicolon if it has no body."""
        self.at = start
        while self.token.kind != "end":
            token = self.take()
            if token.kind == "punct" and token.text in "{;":
                if token.text == "{":
                    self.skip_past("}")
                return

    def declaration(self) -> None:
        token = self.take()
        if token.kind != "name":
            self.note(token.line, f'"{token.text}" cannot stand here; allowed: {DECLARATIONS}')
            raise _GiveUpError
        if token.text == "namespace":
            self.name("namespace")
            self.expect(";", "behind the namespace")
        elif token.text == "attribute":
            if self.token.kind not in ("string", "name"):
                self.stop('attribute needs a name in quotes, as in attribute "time";')
            self.attributes[self.take().text.strip('"')] = token.line
            self.expect(";", "behind the attribute")
        elif token.text == "enum":
            self.enum(token)
        elif token.text == "struct":
            self.struct(token)
        elif token.text in NOT_BUILT:
            self.note(token.line, f'"{token.text}" is not built yet; allowed: {DECLARATIONS}')
            raise _GiveUpError
        else:
            self.note(token.line, f'unknown declaration "{token.text}"; allowed: {DECLARATIONS}')
            raise _GiveUpError

    def enum(self, start: Token) -> None:
        name = self.name("enum")
        self.expect(":", f"behind enum {name.text}: it needs its type, as in enum {name.text} : ubyte")
        base = self.name("an enum's type")
        attributes = self.attribute_list()
        for word, line in attributes:
            if word != "bit_flags":
                self.note(line, f'enum {name.text}: unknown attribute "{word}"; allowed: bit_flags')
        bit_flags = any(word == "bit_flags" for word, _ in attributes)
        self.expect("{", f"behind enum {name.text}")
        values: list[tuple[str, int]] = []
        lines: list[int] = []
        following = 0
        while not self.accept("}"):
            value = self.name(f"a value of enum {name.text}")
            number = self.number(f"{name.text}.{value.text} =") if self.accept("=") else following
            following = number + 1
            values.append((value.text, number))
            lines.append(value.line)
            if self.token.text != "}":
                self.expect(",", f"behind {name.text}.{value.text}")
        enum = ir.EnumType(name.text, base.text, bit_flags, tuple(values), start.doc, start.line)
        self.check_enum(enum, lines)
        self.declare(enum.name, enum.line)
        self.enums.append(enum)

    def check_enum(self, enum: ir.EnumType, lines: list[int]) -> None:
        bits = UNSIGNED_BITS.get(enum.base)
        if bits is None:
            self.note(enum.line, f'enum {enum.name}: type "{enum.base}"; allowed: {", ".join(UNSIGNED_BITS)}')
            bits = 64
        limit = bits if enum.bit_flags else 1 << bits
        if not enum.values:
            self.note(enum.line, f"enum {enum.name} has no values; give it at least one")
        names: set[str] = set()
        last = -1
        for (name, number), line in zip(enum.values, lines, strict=True):
            if name in names:
                self.note(line, f"{enum.name}.{name} is given twice; remove one")
            names.add(name)
            if not 0 <= number < limit:
                what = "bit position" if enum.bit_flags else "value"
                self.note(line, f"{enum.name}.{name} = {number}: a {what} of {enum.base} is 0 to {limit - 1}")
            elif number <= last:
                self.note(line, f"{enum.name}.{name} = {number}: values rise; write a number above {last}")
            last = max(last, number)

    def struct(self, start: Token) -> None:
        name = self.name("struct")
        for word, line in self.attribute_list():
            self.note(line, f'struct {name.text}: unknown attribute "{word}"; a struct takes none, its alignment is that of its members')
        self.expect("{", f"behind struct {name.text}")
        struct = Struct(name.text, [], start.doc, start.line)
        while not self.accept("}"):
            if self.token.kind == "end":
                self.note(start.line, f'struct {name.text} is not closed; "}}" is missing')
                break
            try:
                struct.members.append(self.member(struct))
            except _GiveUpError:
                self.skip_member()
        self.declare(struct.name, struct.line)
        self.structs.append(struct)

    def skip_member(self) -> None:
        while self.token.kind != "end" and self.token.text != "}":
            if self.take().text == ";":
                return

    def member(self, struct: Struct) -> Member:
        name = self.name(f"a member of struct {struct.name}")
        self.expect(":", f'behind "{name.text}"')
        length = 0
        if self.accept("["):
            type_ = self.name(f'"{name.text}": an array')
            if not self.accept(":"):
                self.stop(f'"{name.text}": a vector has no fixed size; write [{type_.text}:N] with the number of elements')
            length = self.number(f'"{name.text}": the array')
            self.expect("]", f'behind the array of "{name.text}"')
            if not 1 <= length <= 65535:
                self.note(name.line, f'"{name.text}": an array of {length}; allowed: 1 to 65535')
                length = 1
        else:
            type_ = self.name(f'"{name.text}": the type')
        if self.accept("="):
            self.note(name.line, f'"{name.text}" has a default; members of a struct have none, remove it')
            self.take()
        attributes = self.attribute_list()
        self.expect(";", f'behind "{name.text}"')
        if any(name.text == m.name for m in struct.members):
            self.note(name.line, f'struct {struct.name}: "{name.text}" is given twice; rename one')
        return Member(name.text, type_.text, length, attributes, name.doc, name.line)

    def attribute_list(self) -> tuple[tuple[str, int], ...]:
        if not self.accept("("):
            return ()
        out: list[tuple[str, int]] = []
        while not self.accept(")"):
            token = self.name("an attribute")
            out.append((token.text, token.line))
            if self.token.text != ")":
                self.expect(",", f'behind attribute "{token.text}"')
        return tuple(out)

    def declare(self, name: str, line: int) -> None:
        if name in {*(e.name for e in self.enums), *(s.name for s in self.structs)}:
            self.note(line, f'"{name}" is declared twice; rename one')


def _scan(file: str, text: str) -> tuple[list[Token], list[Finding]]:
    tokens: list[Token] = []
    findings: list[Finding] = []
    line = 1
    doc: list[str] = []
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup or "wrong", match.group()
        if kind == "doc":
            doc.append(piece[3:].strip())
        elif kind == "wrong":
            findings.append(Finding(file, line, f'"{piece}" cannot stand in a schema; remove it'))
        elif kind != "space":
            tokens.append(Token(kind, piece, line, " ".join(doc)))
            doc = []
        line += piece.count("\n")
    tokens.append(Token("end", "", line, ""))
    return tokens, findings


def _kind(reader: _Reader, struct: Struct, member: Member, enum: ir.EnumType | None) -> str:
    """What the member's value means, from its attributes and type; notes what is wrong with either."""
    where = f'struct {struct.name}: "{member.name}"'
    kinds: list[str] = []
    wrong = False
    for word, line in member.attributes:
        if word in layout.KIND_SCALARS:
            kinds.append(word)
        elif word != "needed":
            reader.note(line, f'{where}: unknown attribute "{word}"; allowed: {", ".join(layout.KIND_SCALARS)}, needed')
            wrong = True
            continue
        if word not in reader.attributes:
            reader.note(line, f'{where}: attribute "{word}" is not declared; write attribute "{word}"; at the top')
    if enum is not None or member.type == "bool":
        if kinds:
            reader.note(member.line, f'{where}: "{kinds[0]}" on a {member.type}; a {member.type} says by itself what it means, remove it')
        if member.length:
            reader.note(member.line, f"{where}: an array of {member.type}; allowed as arrays: {', '.join(layout.ARRAY_KINDS)}")
        return "enum" if enum is not None else "bool"
    if len(kinds) != 1:
        if not kinds and wrong:
            return "integer"
        what = f'"{kinds[0]}" and "{kinds[1]}" at once' if kinds else "nothing says what it means"
        reader.note(member.line, f"{where}: {what}; write one of ({') ('.join(layout.KIND_SCALARS)})")
        return kinds[0] if kinds else "integer"
    kind = kinds[0]
    if member.type in layout.SCALAR_SIZE and member.type not in layout.KIND_SCALARS[kind]:
        reader.note(member.line, f'{where}: "{kind}" on {member.type}; allowed: {" ".join(layout.KIND_SCALARS[kind])}')
    if member.length and kind not in layout.ARRAY_KINDS:
        reader.note(member.line, f"{where}: an array of {kind}; allowed as arrays: {', '.join(layout.ARRAY_KINDS)}")
    if kind == "pad" and any(word == "needed" for word, _ in member.attributes):
        reader.note(member.line, f'{where}: a pad is zero and comes from nowhere; remove "needed"')
    return kind


def _record(reader: _Reader, struct: Struct, number: int) -> ir.RecordType | None:
    """The record with every member at its place; None when a member is wrong, for then nothing behind it has a sure place."""
    enums = {e.name: e for e in reader.enums}
    fields: list[ir.RecordField] = []
    offset = 0
    before = len(reader.findings)
    for member in struct.members:
        enum = enums.get(member.type)
        scalar = enum.base if enum else member.type
        if scalar not in layout.SCALAR_SIZE:
            if enum is None:
                what = f'struct {struct.name}: "{member.name}": type "{member.type}" has no fixed size'
                reader.note(member.line, f"{what}; allowed: {', '.join([*layout.SCALAR_SIZE, *enums])}")
            continue
        kind = _kind(reader, struct, member, enum)
        size = layout.SCALAR_SIZE[scalar] * max(member.length, 1)
        needed = any(word == "needed" for word, _ in member.attributes)
        name = enum.name if enum else None
        fields.append(ir.RecordField(member.name, scalar, member.length, kind, name, needed, offset, size, member.doc, member.line))
        offset += size
    if len(reader.findings) > before:
        return None
    return ir.RecordType(struct.name, struct.name.lower(), number, tuple(fields), offset, struct.doc, struct.line)


def _check_records(reader: _Reader, records: list[ir.RecordType]) -> None:
    words: dict[str, str] = {}
    for record in records:
        reader.findings += layout.check_common(reader.file, record) or layout.check_padding(reader.file, record)
        if record.word in words:
            reader.note(record.line, f'struct {record.name} and {words[record.word]} are both called "{record.word}"; rename one')
        words[record.word] = record.name
    flags = next((e for e in reader.enums if e.name == layout.FLAG_ENUM), None)
    if not reader.structs:
        reader.note(1, "no struct: there is no record; write at least one")
    if flags is None or not flags.bit_flags or flags.base != "ushort":
        reader.note(flags.line if flags else 1, f'the flags of records need "enum {layout.FLAG_ENUM} : ushort (bit_flags)"')


def parse(text: str, file: str) -> ir.Records:
    """The records `text` defines. `file` is what findings call it. Raises FindingsError with everything that is wrong."""
    tokens, findings = _scan(file, text)
    reader = _Reader(file, tokens, findings=findings)
    reader.read()
    made = [_record(reader, struct, number) for number, struct in enumerate(reader.structs, 1)]
    _check_records(reader, [r for r in made if r is not None])
    if reader.findings:
        raise FindingsError(reader.findings)
    return ir.Records(file, tuple(reader.enums), tuple(r for r in made if r is not None))


def load(path: Path) -> ir.Records:
    """Reads a schema file. Raises FindingsError, also when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FindingsError([Finding(str(path), 1, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise FindingsError([Finding(str(path), 1, f"is not UTF-8: byte {error.start}; write it as UTF-8")]) from error
    return parse(text, str(path))
