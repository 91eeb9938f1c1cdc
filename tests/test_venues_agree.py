"""The frames of tests/test_venues_mutated.py in the extension as it is installed, in order, so that books are kept: both tiers say what the
reference says.
"""

from __future__ import annotations

import pytest

from k4.decode import NativeDecoder, open_reference
from k4.native import Native
from tests.test_venues import PRODUCTS
from tests.test_venues_mutated import BINARY, FETCHED, changed, specs, spoken

SAID, ASKED = 300, 20  # so many of the simulator's, one of so many changed ones


@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_the_reference_says_the_same(native: Native, exchange: str, product: str) -> None:
    frames = changed(specs()[exchange], product)
    reference = open_reference(exchange, product, None, ())
    decoders = [NativeDecoder(native, exchange, product, None, tier) for tier in ("any", "tolerant")]
    said = spoken(exchange, product)[:SAID]
    asked = [(kind == BINARY, frame) for kind, _, frame in (*said, *frames[::ASKED], *said) if kind != FETCHED]
    for binary, frame in asked:
        wanted = reference.lines(frame, binary)
        for decoder in decoders:
            assert decoder.lines(frame, binary) == wanted, frame
