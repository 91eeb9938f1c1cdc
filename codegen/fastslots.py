"""The values of a product that the fast tier holds while it reads: a member of a struct each, and how C spells what is read.

May import `puts`, `render`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .puts import BOOL, DECIMAL, DIGITS, SIGNED, TEXT, Path
from .render import identifier

_TYPES = {
    DIGITS: "struct k4_fast_digits",
    DECIMAL: "struct k4_fast_decimal",
    TEXT: "struct k4_fast_text",
    BOOL: "bool",
}
_C_WORDS = frozenset(
    (
        "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "false",
        "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
        "static", "struct", "switch", "true", "typedef", "union", "unsigned", "void", "volatile", "while",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    type: str
    length: int  # 0: one value


@dataclass(slots=True)
class Names:
    """Slots of a product's values, by place. `wanted`: those of texts that something is made of or compared with; `here`: held
    where they are read alone."""

    taken: dict[tuple[Path, str, str], str] = field(default_factory=dict)
    here: set[str] = field(default_factory=set)
    slots: dict[str, Slot] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)

    def read(self, path: Path, kind: str, length: int = 0) -> str:
        """What the value at a place is read into: inside an array of so many levels, one more, since those past them go there."""
        name = self._slot(path, kind, length + 1 if length else 0, "kept" if length else "")
        return f"{name}[n]" if length and kind != DECIMAL else name

    def compared(self, path: Path, length: int) -> str:
        """The same of a text that is looked at."""
        name = self.read(path, TEXT, length)
        self.wanted.add(name.removesuffix("[n]"))
        return name

    def slot(self, path: Path, kind: str, *, kept: bool = False) -> str:
        """The member that holds the values at a place, or, `kept`, of all levels there."""
        name = self._slot(path, kind, 0, "kept" if kept else "")
        self.wanted.add(name)
        return name

    def half(self, path: Path, kind: str) -> str:
        """The variable for part of a level of a book, which is used up before the next level is read."""
        name = self._slot(path, kind, 0, "half")
        self.here.add(name)
        return f"{name}_"  # no other variable ends so

    def members(self) -> list[Slot]:
        """All but the texts that nobody wants, and what is held elsewhere."""
        held = [slot for name, slot in self.slots.items() if name not in self.here]
        return [slot for slot in held if slot.name in self.wanted or slot.type != _TYPES[TEXT]]

    def _slot(self, path: Path, kind: str, length: int, kept: str) -> str:
        kind = DIGITS if kind == SIGNED else kind
        key = (path, kind, kept)
        known = self.taken.get(key)
        if known is None:
            words = [part if isinstance(part, str) else str(part) for part in path if part != "*"]
            known = identifier("_".join(words)) or "value"
            known = f"at{known}" if known[0].isdigit() else known
            while known in self.slots or known in _C_WORDS or known == "words":
                known += "_"
            self.taken[key] = known
            levels = length > 0 and kind == DECIMAL
            type_ = "uint32_t" if kind == "count" else "struct k4_fast_levels" if levels else _TYPES[kind]
            self.slots[known] = Slot(known, type_, 0 if levels else length)
        return known


def array(path: Path) -> Path:
    """The last array on the way: that of the levels."""
    at = len(path) - 1 - path[::-1].index("*")
    return path[:at]


def place_of(path: Path) -> str:
    return (
        "".join(f"[{part}]" if isinstance(part, int) or part == "*" else f".{part}" for part in path).removeprefix(".").replace("*/", "* /")
    )
