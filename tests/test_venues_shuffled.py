"""Captured market frames in other words: keys in any order, white space, keys that nobody knows; the values stay what an oracle says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import expected
from tests.oracles.common import Number, load
from tests.test_venues import PRODUCTS, frames_of, lines_of

MOST = 120
KINDS = ("bbo", "trade", "aggtrade")  # what a frame gives by itself


def written(value: Any, rng: random.Random, top: bool = True) -> str:
    """The value as JSON, numbers as they were."""
    gap = rng.choice(("", "", " ", "\n\t"))
    if isinstance(value, dict):
        members = [f"{gap}{json.dumps(key)}{gap}:{written(inner, rng, False)}" for key, inner in value.items()]
        members += ['"unheard":[{"of":[null,-1.5e3]}]'] * rng.randint(0, 1)
        rng.shuffle(members)
        return f"{gap}{{{','.join(members)}}}{gap}" if not top else f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(written(inner, rng, False) for inner in value)}]{gap}"
    return gap + (str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=rng.random() < 0.5))


@pytest.mark.parametrize("source", ["any", "tolerant"])
@pytest.mark.parametrize(("exchange", "product"), PRODUCTS)
def test_shuffled_frames(request: pytest.FixtureRequest, captures: Path, exchange: str, product: str, source: str) -> None:
    rng = random.Random(11)
    lines = lines_of(request, exchange, product, source)
    frames = [frame for _, _, frame in frames_of(captures, exchange)]
    market = [frame for frame in frames if (found := expected(exchange, product, frame)) and found[0].get("record") in KINDS]
    for frame in rng.sample(market, min(MOST, len(market))):
        told = written(load(frame), rng).encode()
        assert lines(told) == expected(exchange, product, frame), told
