"""An SBE schema as XML: elements with their file and line, `xi:include` put in place, and the findings made on the way.

Knows XML's traps (entities, other folders); knows nothing of what the elements mean. May import `errors`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from .errors import Finding, did_you_mean, nearest

_XINCLUDE = "http://www.w3.org/2001/XInclude"
_DEEPEST = 32  # elements inside each other, and files that include each other


@dataclass(slots=True)
class Element:
    """`attributes` are those without a namespace, `foreign` those with one, by their local names. `space`: the element's own namespace."""

    tag: str
    space: str
    attributes: dict[str, str]
    foreign: dict[str, str]
    file: str
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    @property
    def who(self) -> str:
        """How a finding names it."""
        return f'{self.tag} "{self.name}"' if self.name else self.tag


class Reading:
    """One schema while it is read."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def find(self, element: Element, what: str) -> None:
        self.findings.append(Finding(element.file, element.line, f"{element.who}: {what}"))

    def only(self, element: Element, *children: str) -> None:
        """Finds children that do not belong here; those of another namespace are somebody else's and passed over."""
        for child in element.children:
            if child.tag not in children and child.space in ("", element.space):
                hint = did_you_mean(child.tag, children) if children else "; nothing stands in it"
                self.find(child, f"does not belong into {element.who}{hint}")

    def spelled(self, element: Element, *known: str) -> None:
        """Finds attributes that are nearly one that shapes the bytes; any other means nothing here."""
        for name in element.attributes:
            meant = nearest(name, known) if name not in known else None
            if meant is not None and meant not in element.attributes and len(name) > 3 and _alike(name, meant):
                self.find(element, f'unknown attribute "{name}"; did you mean "{meant}"?')

    def text(self, element: Element, name: str) -> str | None:
        """An attribute that must be there."""
        value = element.attributes.get(name)
        if value is None:
            self.find(element, f'{name} is missing; write {name}="…"')
        return value

    def number(self, element: Element, name: str, default: int, most: int) -> int:
        value = element.attributes.get(name)
        if value is None:
            return default
        number = int(value) if value.strip().isascii() and value.strip().isdigit() and len(value) <= 20 else -1
        if not 0 <= number <= most:
            self.find(element, f'{name}="{value}": must be a whole number from 0 to {most}')
            return default
        return number

    # ----- files

    def read(self, path: Path, above: tuple[Path, ...] = ()) -> Element | None:
        """The root element; None, with a finding, if it is no XML. Raises OSError."""
        data = path.read_bytes()
        builder = _Builder(str(path))
        try:
            builder.parser.Parse(data, True)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            self.findings.append(Finding(str(path), error.lineno, f"not XML: {what}, at column {error.offset + 1}"))
            return None
        except _RefusedError as error:
            self.findings.append(Finding(str(path), error.line, str(error)))
            return None
        if builder.root is not None:
            self._include(builder.root, path, (*above, path))
        return builder.root

    def _include(self, element: Element, path: Path, above: tuple[Path, ...]) -> None:
        put: list[Element] = []
        for child in element.children:
            if (child.space, child.tag) != (_XINCLUDE, "include"):
                self._include(child, path, above)
                put.append(child)
                continue
            href = child.attributes.get("href", "")
            file = path.parent / href
            if not href or Path(href).name != href:
                self.find(child, f'href="{href}": must be the name of a file beside this one')
            elif file in above or len(above) >= _DEEPEST:
                self.find(child, f'href="{href}": includes itself')
            else:
                try:
                    found = self.read(file, above)
                except OSError as error:
                    self.find(child, f'href="{href}": {error.strerror}; it must stand beside this file')
                    continue
                put += [] if found is None else [found]
        element.children = put


def _alike(a: str, b: str) -> bool:
    """Whether `a` is no word of its own, but a slip of `b`: the same letters but for two."""
    short, long = sorted((a.lower(), b.lower()), key=len)
    rest = iter(long)
    return len(long) - len(short) <= 2 and sum(c in rest for c in short) >= len(short) - 1


class _RefusedError(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Element | None = None
        self.open: list[Element] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) >= _DEEPEST:
            raise _RefusedError(self.parser.CurrentLineNumber, f"elements stand deeper than {_DEEPEST} inside each other")
        space, _, local = tag.rpartition(" ")
        own = {name: value for name, value in attributes.items() if " " not in name}
        foreign = {name.rpartition(" ")[2]: value for name, value in attributes.items() if " " in name}
        element = Element(local, space, own, foreign, self.file, self.parser.CurrentLineNumber)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def _end(self, _tag: str) -> None:
        self.open.pop()

    def _text(self, data: str) -> None:
        self.open[-1].text += data

    def _entity(self, *_: object) -> None:
        raise _RefusedError(self.parser.CurrentLineNumber, "an entity is declared; a schema needs none, and none is read")
