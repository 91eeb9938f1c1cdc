"""Names of instruments: how a venue puts base and quote together, told by the example of its listing.

Imports, of the generator, `ir`.
"""

from __future__ import annotations

import re

from k4._codegen import ir

# Where nothing separates the two, these are taken for the quote.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "BTC", "ETH", "BNB")
BASES = ("BTC", "ETH", "SOL")  # what a pattern finds; more are invented
_DATE = re.compile(r"[0-9]{6}$")
_DATED = re.compile(r"[0-9]{2}$")
_UNIFIED = re.compile(r"([^-]+)-([^-]+)(-PERP)?")


class Names:
    """`listing`: the message that lists instruments, if the spec has one."""

    def __init__(self, listing: ir.Message | None, product: str) -> None:
        self._example = _example(listing, product)
        symbol, base, quote = (self._example.get(name, "") for name in ("symbol", "base", "quote"))
        self._parts: tuple[str, str, str] | None = None
        if base and quote and symbol.startswith(base) and quote in symbol[len(base) :]:
            between, _, behind = symbol[len(base) :].partition(quote)
            self._parts = "", between, behind

    def split(self, symbol: str) -> tuple[str, str]:
        """Base and quote of a native symbol; of one that is put together in another way, itself and the example's quote."""
        found = self._read(symbol)
        return found or (symbol, self._example.get("quote", "") or "USD")

    def native(self, symbol: str) -> str:
        """The venue's own name: of `BASE-QUOTE` or `BASE-QUOTE-PERP`, if that is not how the venue itself writes one."""
        unified = _UNIFIED.fullmatch(symbol)
        if unified is None or self._parts is None or self._read(symbol) is not None:
            return symbol
        _, between, behind = self._parts
        return f"{unified[1]}{between}{unified[2]}{behind}"

    def listed(self, symbol: str, count: int = len(BASES)) -> tuple[str, ...]:
        """The native symbols that a configuration's name stands for: a pattern for `count`."""
        if "*" in symbol:
            bases = [*BASES, *(f"K{number:04}" for number in range(len(BASES), count))][:count]
            return tuple(self.native(symbol.replace("*", base)) for base in bases)
        return (self.native(symbol),)

    def kind(self, symbol: str) -> str | None:
        """What kind of instrument a native symbol names: the example's, or by whether it ends in a date. None: the spec does not tell."""
        kind = self._example.get("kind")
        if kind in (None, "spot"):
            return kind
        return "future" if _DATED.search(symbol) else "perpetual"

    def like(self, name: str, base: str, quote: str) -> str | None:
        """A currency of an instrument: whichever of its two the example has there; None: neither."""
        example = self._example.get(name, "")
        for of, currency in (("base", base), ("quote", quote)):
            if example and example == self._example.get(of):
                return currency
        return None

    def _read(self, symbol: str) -> tuple[str, str] | None:
        if self._parts is None:
            return None
        _, between, behind = self._parts
        behind = _DATE.sub("[0-9]{6}", re.escape(behind))
        for quote in (*QUOTES, self._example["quote"]):
            found = re.fullmatch(rf"([^-_/:]+){re.escape(between)}({quote}){behind}", symbol)
            if found is not None:
                return found[1], found[2]
        found = re.fullmatch(rf"([^-_/:]+){re.escape(between)}([^-_/:]{{3,}}?){behind}", symbol) if between else None
        return (found[1], found[2]) if found is not None else None


def _example(listing: ir.Message | None, product: str) -> dict[str, str]:
    if listing is None:
        return {}
    own = [example for example in listing.examples if example.product == product and example.expect]
    for example in own or [example for example in listing.examples if example.expect]:
        rows = [{name: str(value) for name, value in record} for record in example.expect]
        return next((row for row in rows if row.get("kind") in (None, "spot", "perpetual")), rows[0])
    return {}
