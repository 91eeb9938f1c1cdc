"""The `types` of an SBE schema: what a name stands for on the wire, as fields of a block with offsets of their own.

May import `errors`, `ir`, `sbexml`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import ir
from .errors import did_you_mean
from .sbexml import Element, Reading

UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_INTEGERS = ("char", "int8", "int16", "int32", "int64", *UNSIGNED)
_PRESENCES = ("required", "optional", "constant")
_TYPE = ("name", "primitiveType", "length", "presence", "nullValue", "offset", "sinceVersion", "valueRef", "characterEncoding")
MOST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Laid:
    """Something with a place on the wire: `size` bytes, and the values in them, by names of which "" is itself.

    `varies`: of length 0, which stands at the end of a composite for bytes of any number.
    """

    size: int
    fields: tuple[ir.SbeField, ...]
    varies: bool = False


def limits(primitive: str) -> tuple[int, int]:
    """The least and greatest number of an integer type."""
    bits = 8 * ir.SBE_SIZES[primitive]
    return (0, (1 << bits) - 1) if primitive in UNSIGNED or primitive == "char" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def null_of(primitive: str) -> int | None:
    """The number that means absent unless a schema says another. None: a floating point number, whose NaN is no number."""
    if primitive in ("float", "double"):
        return None
    least, most = limits(primitive)
    return 0 if primitive == "char" else most if primitive in UNSIGNED else least


class Types:
    """Every named type of a schema, laid out when it is asked for."""

    def __init__(self, reading: Reading, elements: list[Element]) -> None:
        self.reading = reading
        self.named: dict[str, Element] = {}
        self.enums: dict[str, ir.SbeEnum] = {}
        self._laid: dict[int, Laid] = {}
        self._open: list[Element] = []
        for element in elements:
            first = self.named.setdefault(element.name, element)
            if first is not element:
                self.reading.find(element, f"the name is given before, in line {first.line}; give it another")
        for element in elements:
            self.laid(element)

    def find(self, name: str, by: Element) -> Laid | None:
        """The type of that name, a primitive one included; None, with a finding, if there is none."""
        if name in self.named:
            return self.laid(self.named[name])
        if name in ir.SBE_SIZES:
            return Laid(ir.SBE_SIZES[name], (ir.SbeField("", name, 0, line=by.line),))
        self.reading.find(by, f'type "{name}" is not known{did_you_mean(name, [*self.named, *ir.SBE_SIZES])}')
        return None

    def laid(self, element: Element) -> Laid:
        if id(element) not in self._laid:
            if any(one is element for one in self._open):
                self.reading.find(element, "is part of itself")
                return Laid(0, ())
            self._open.append(element)
            self._laid[id(element)] = self._lay(element)
            self._open.pop()
        return self._laid[id(element)]

    def _lay(self, element: Element) -> Laid:
        self.reading.text(element, "name")
        match element.tag:
            case "type":
                return self._type(element)
            case "composite":
                return self._composite(element)
            case "enum":
                return self._enum(element)
            case "set":
                return self._set(element)
        self.reading.find(element, "does not belong into types; write one of type composite enum set")
        return Laid(0, ())

    # ----- one value

    def _type(self, element: Element) -> Laid:
        self.reading.only(element)
        self.reading.spelled(element, *_TYPE)
        primitive = self.reading.text(element, "primitiveType") or "uint8"
        base = self.named.get(primitive)
        if primitive not in ir.SBE_SIZES:
            hint = "; a type is made of a primitive one" if base is not None else ""
            self.reading.find(element, f'primitiveType="{primitive}" is not known{hint or did_you_mean(primitive, ir.SBE_SIZES)}')
            return Laid(0, ())
        length = self.reading.number(element, "length", 1, MOST)
        since = self.reading.number(element, "sinceVersion", 0, MOST)
        text = primitive == "char" or "characterEncoding" in element.attributes
        form = ir.SbeField("", primitive, 0, 0 if length == 1 else length, text, line=element.line, since=since)
        presence = self.presence(element)
        if presence == "constant":
            return Laid(0, (replace(form, constant=self.constant(element, primitive, element.text), length=0),))
        if presence == "optional":
            form = replace(form, null=self.null(element, primitive))
        if length == 0:
            return Laid(0, (), varies=True)
        return Laid(ir.SBE_SIZES[primitive] * length, (form,))

    def presence(self, element: Element) -> str:
        presence = element.attributes.get("presence", "required")
        if presence not in _PRESENCES:
            self.reading.find(element, f'presence="{presence}" is not known{did_you_mean(presence, _PRESENCES)}')
        return presence

    def null(self, element: Element, primitive: str) -> int | None:
        value = element.attributes.get("nullValue")
        if value is None or primitive in ("float", "double"):
            return null_of(primitive)
        return self.integer(element, primitive, value, f'nullValue="{value}"')

    def constant(self, element: Element, primitive: str, text: str) -> int | str | None:
        """The value of a constant: its text, or what `valueRef` names."""
        ref = element.attributes.get("valueRef")
        if ref is not None:
            return self.value_of(element, ref)
        text = text.strip()
        if primitive in ("float", "double"):
            return text
        if primitive == "char":
            return ord(text) if len(text) == 1 and text.isascii() else text
        return self.integer(element, primitive, text, f'the constant "{text}"')

    def value_of(self, element: Element, ref: str) -> int | None:
        """The number of `Enum.Name`."""
        name, _, value = ref.partition(".")
        at = self.named.get(name)
        if at is not None and at.tag == "enum":
            self.laid(at)
        enum = self.enums.get(name)
        numbers = dict(enum.values) if enum else {}
        if value not in numbers:
            hint = did_you_mean(value, numbers) if numbers else did_you_mean(name, self.enums)
            self.reading.find(element, f'valueRef="{ref}" names no value of an enum{hint}')
            return None
        return numbers[value]

    def integer(self, element: Element, primitive: str, text: str, what: str) -> int | None:
        """A number as a schema writes it; of a char also the character itself."""
        least, most = limits(primitive)
        if primitive == "char" and len(text) == 1 and text.isascii():
            return ord(text)  # a blank is one, too
        text = text.strip()
        try:
            value = int(text, 16) if text[:2].lower() == "0x" else int(text) if len(text) <= 24 else most + 1
        except ValueError:
            value = ord(text) if primitive == "char" and len(text) == 1 else most + 1
        if primitive == "char" and len(text) == 1:
            value = ord(text)
        if not least <= value <= most:
            self.reading.find(element, f"{what} is no {primitive} ({least} to {most})")
            return None
        return value

    # ----- made of others

    def _composite(self, element: Element) -> Laid:
        self.reading.only(element, "type", "composite", "enum", "set", "ref")
        at = 0
        fields: list[ir.SbeField] = []
        names: set[str] = set()
        varies = False
        for child in element.children:
            if child.tag not in ("type", "composite", "enum", "set", "ref"):
                continue
            if child.name in names:
                self.reading.find(child, f"the name is given before in {element.who}; give it another")
            names.add(child.name)
            laid = self._member(child)
            at = self.place(child, at, element.who) if "offset" in child.attributes else at
            since = self.reading.number(child, "sinceVersion", 0, MOST)
            fields += (named(child.name, one, at, since) for one in laid.fields)
            varies = varies or laid.varies
            at += laid.size
        return Laid(at, tuple(_decimals(fields)), varies)

    def _member(self, child: Element) -> Laid:
        if child.tag != "ref":
            if child.tag in ("enum", "set", "composite") and "type" in child.attributes:
                self.reading.find(child, "has a type; write <ref> for a type that stands elsewhere")
            return self.laid(child)
        self.reading.spelled(child, "name", "type", "offset", "sinceVersion")
        self.reading.text(child, "name")
        kind = self.reading.text(child, "type")
        return (self.find(kind, child) if kind is not None else None) or Laid(0, ())

    def place(self, element: Element, least: int, where: str) -> int:
        """Where an element with an `offset` begins."""
        offset = self.reading.number(element, "offset", least, MOST)
        if offset < least:
            self.reading.find(element, f'offset="{offset}": what stands before it in {where} ends at {least}; write {least} or more')
            return least
        return offset

    def encoding(self, element: Element) -> tuple[str, int | None]:
        """The primitive type of an enum or a set, and its null."""
        kind = self.reading.text(element, "encodingType") or "uint8"
        base = self.named.get(kind)
        if kind not in ir.SBE_SIZES and base is not None and base.tag == "type":
            form = next(iter(self.laid(base).fields), None)
            if form is not None and form.length == 0 and form.constant is None:
                return form.primitive, form.null
        if kind not in _INTEGERS:
            self.reading.find(element, f'encodingType="{kind}" is no integer type{did_you_mean(kind, _INTEGERS)}')
            return "uint8", None
        return kind, None

    def _enum(self, element: Element) -> Laid:
        self.reading.only(element, "validValue")
        self.reading.spelled(element, "name", "encodingType", "nullValue", "offset", "sinceVersion")
        primitive, null = self.encoding(element)
        values: dict[str, int] = {}
        for child in element.children:
            number = self.integer(child, primitive, child.text, f'"{child.text.strip()}"') if child.tag == "validValue" else None
            if number is None:
                continue
            if child.name in values or number in values.values():
                self.reading.find(child, f"its {'name' if child.name in values else 'number'} is given before in {element.who}")
            values[child.name] = number
        key = element.name if self.named.get(element.name) is element else f"{element.name}@{element.line}"
        self.enums[key] = ir.SbeEnum(key, tuple(values.items()))
        if null is None:
            null = self.null(element, primitive)
        # A valid value may well be the number that would mean absent.
        form = ir.SbeField("", primitive, 0, null=None if null in values.values() else null, enum=key, line=element.line)
        return Laid(ir.SBE_SIZES[primitive], (form,))

    def _set(self, element: Element) -> Laid:
        self.reading.only(element, "choice")
        self.reading.spelled(element, "name", "encodingType", "offset", "sinceVersion")
        primitive, _ = self.encoding(element)
        form = ir.SbeField("", primitive, 0, line=element.line)
        fields = [form]
        if primitive not in UNSIGNED:
            self.reading.find(element, f"encodingType of a set is unsigned; write one of {' '.join(UNSIGNED)}")
            return Laid(ir.SBE_SIZES[primitive], (form,))
        bits: dict[int, str] = {}
        for child in element.children:
            if child.tag != "choice":
                continue
            self.reading.text(child, "name")
            text = child.text.strip()
            bit = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
            if not 0 <= bit < 8 * ir.SBE_SIZES[primitive]:
                self.reading.find(child, f'"{text}" is no bit of {primitive} (0 to {8 * ir.SBE_SIZES[primitive] - 1})')
            elif bit in bits or child.name in bits.values():
                self.reading.find(child, f"its {'bit' if bit in bits else 'name'} is given before in {element.who}")
            else:
                bits[bit] = child.name
                fields.append(replace(form, name=child.name, bit=bit, line=child.line))
        return Laid(ir.SBE_SIZES[primitive], tuple(fields))


def named(name: str, field: ir.SbeField, at: int, since: int) -> ir.SbeField:
    """A value of something that stands at `at` under that name."""
    exponent = f"{name}.{field.exponent}" if isinstance(field.exponent, str) else field.exponent
    full = f"{name}.{field.name}" if field.name else name
    return replace(field, name=full, offset=at + field.offset, exponent=exponent, since=max(since, field.since))


def _decimals(fields: list[ir.SbeField]) -> Iterator[ir.SbeField]:
    """The values of a composite. One that has a mantissa and an exponent is a decimal itself."""
    by_name = {field.name: field for field in fields}
    mantissa, exponent = by_name.get("mantissa"), by_name.get("exponent")
    if mantissa is not None and exponent is not None and mantissa.primitive in _INTEGERS and mantissa.constant is None:
        power = exponent.constant if isinstance(exponent.constant, int) else "exponent"
        yield replace(mantissa, name="", exponent=power)
    yield from fields
