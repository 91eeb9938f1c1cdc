"""`k4 decode` of SBE frames: files of binary frames, against the values told beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k4 import decode
from k4.errors import K4Error


def test_sbe_frames(captures: Path, native: Any, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    """The made-up frames beside the captures, by both decoders, as `.bin` files and as lines of hex. Changes of a book say nothing alone."""
    folder = captures / "binance" / "sbe_md_synthetic"
    told = json.loads((folder / "expected.json").read_text())
    files = [folder / f"{name}.bin" for name in ("bestbidask_10001", "depthsnapshot_10002", "trades_10000", "depthdiff_10003")]
    bbo, depth, trades, _ = (told[file.stem] for file in files)
    common = {"exchange": "binance", "product": "spot", "symbol": "BTCUSDT", "flags": []}
    sides = {f"{side}_{half}": [row[i] for row in depth[f"{side}s"]] for side in ("bid", "ask") for i, half in enumerate(("price", "qty"))}
    levels = {"bid_levels": len(depth["bids"]), "ask_levels": len(depth["asks"])} | sides
    counts = {f"{side}_count": [None] * len(depth[f"{side}s"]) for side in ("bid", "ask")}
    quote = {f"{side}_{half}": bbo[side][i] for side in ("bid", "ask") for i, half in enumerate(("price", "qty"))}
    depth_of = {"event_ns": depth["eventTime"] * 1000, "engine_ns": None, "update_id": depth["bookUpdateId"], **levels, **counts}
    expected: list[dict[str, Any]] = [
        {
            "record": "bbo",
            "event_ns": bbo["eventTime"] * 1000,
            "engine_ns": None,
            "update_id": bbo["bookUpdateId"],
            **quote,
            "bid_count": None,
            "ask_count": None,
        },
        {"record": "depth20", **depth_of},
        {"record": "depth5", **depth_of},
    ]
    moments = {"event_ns": trades["eventTime"] * 1000, "engine_ns": trades["transactTime"] * 1000}
    for number, price, qty, maker in trades["trades"]:
        expected.append(
            {"record": "trade", **moments, "trade_id": number, "price": price, "qty": qty, "buyer_is_maker": maker, "kind": "market"}
        )
    wanted = [{**common, **line} for line in expected] + [{"skipped": "stale_book"}]
    hexed = tmp_path / "all.hex"
    hexed.write_text("\n".join(file.read_bytes().hex(" ") for file in files) + "\n")
    for paths in (files, [hexed]):
        for reference in (False, True):
            assert decode.run("binance", "spot", paths, reference=reference, json_output=True, strict=True) == 0
            lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
            for line in lines:
                line.pop("file", None)
                line.pop("frame")
            assert lines == wanted


def test_hex_that_is_none(tmp_path: Path, native: Any) -> None:
    file = tmp_path / "bad.hex"
    file.write_text("32 00\nnot hex\n")
    with pytest.raises(K4Error, match=r"bad\.hex:2: not hex"):
        decode.run("binance", "spot", [file], json_output=True)


def test_what_a_binary_frame_is_hangs_on_its_file(tmp_path: Path, native: Any, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The same bytes are JSON in one file and SBE in another."""
    for name, code in (
        ("one.jsonl", b'{"frame":1,"skipped":"ack"}\n'),
        ("one.bin", b'{"frame":1,"refused":"malformed","kind":null,"offset":4}\n'),
    ):
        file = tmp_path / name
        file.write_text('{"result":null,"id":7}')
        assert decode.run("binance", "spot", [file], json_output=True) == 0
        assert capsysbinary.readouterr().out == code
