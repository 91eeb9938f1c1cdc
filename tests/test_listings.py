"""The lists of instruments of the built-in exchanges: captured bodies against an oracle that reads them by itself; large ones in time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k4 import listing
from k4._codegen import exchange, fbs, ir
from k4.errors import K4Error
from k4.instrument import Listing
from k4.listing import Source
from tests import logs

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def specs() -> dict[str, ir.Exchange]:
    files = sorted((ROOT / "schema/exchange").glob("*.toml"))
    return {file.stem: exchange.load(file, RECORDS) for file in files}


def fetched(spec: ir.Exchange, product: str, body: bytes, asked: list[str] | None = None) -> Listing:
    """What one page gives; a second one is empty."""
    pages = [body]

    async def get(url: str, _body: str | None, _weight: int) -> bytes:
        if asked is not None:
            asked.append(url)
        return pages.pop(0)

    return asyncio.run(listing.fetch(Source(spec, product, RECORDS), get, logs.logger()))


# --------------------------------------------------------------------------- the oracle: plain Python over json

Row = dict[str, Any]


def plain(value: object) -> str | None:
    """A positive decimal with neither exponent nor zeros behind; else None."""
    number = Decimal(str(value)) if value not in {None, ""} else Decimal(0)
    return f"{number.normalize():f}" if number > 0 else None


def some(value: object) -> object:
    return None if value in {None, ""} else value


def ms(value: object, kind: str) -> int | None:
    return int(str(value)) * 1_000_000 if kind == "future" and value not in {None, "", "0"} else None


def okx(one: Row) -> Row | None:
    spot, dated = one["instType"] == "SPOT", one["instType"] == "FUTURES"
    base, quote = (one["baseCcy"], one["quoteCcy"]) if spot else one["instFamily"].split("-")
    quote = quote.split("_")[0]
    size = None if spot else plain(Decimal(one["ctVal"]) * Decimal(one["ctMult"]))
    return {
        "symbol": one["instId"], "kind": "spot" if spot else "future" if dated else "perpetual", "base": some(base), "quote": some(quote),
        "settle": None if spot else some(one["settleCcy"]), "price_step": plain(one["tickSz"]), "qty_step": plain(one["lotSz"]),
        "contract_size": size, "contract_currency": None if spot else some(one["ctValCcy"]), "qty_unit": "base" if spot else "contract",
        "trading": one["state"] == "live", "expiry_ns": ms(one["expTime"], "future") if dated else None,
        "unified": f"{base}-{quote}" + ("" if spot else one["instId"][-7:] if dated else "-PERP") if base else None,
    }  # fmt: skip


def bybit(one: Row, product: str) -> Row:
    future = product != "spot" and not one["contractType"].endswith("Perpetual")
    kind = "spot" if product == "spot" else "future" if future else "perpetual"
    lot = one["lotSizeFilter"]
    suffix = {"spot": "", "perpetual": "-PERP"}.get(kind)
    return {
        "symbol": one["symbol"], "kind": kind, "base": one["baseCoin"], "quote": one["quoteCoin"], "settle": one.get("settleCoin"),
        "price_step": plain(one["priceFilter"]["tickSize"]), "qty_step": plain(lot["basePrecision" if product == "spot" else "qtyStep"]),
        "contract_size": "1" if product == "inverse" else None, "contract_currency": one["quoteCoin"] if product == "inverse" else None,
        "qty_unit": "contract" if product == "inverse" else "base", "trading": one["status"] == "Trading",
        "expiry_ns": ms(one.get("deliveryTime"), kind), "unified": f"{one['baseCoin']}-{one['quoteCoin']}{suffix}",
    }  # fmt: skip


def bitget(one: Row, product: str) -> Row:
    common: Row = {
        "symbol": one["symbol"],
        "base": one["baseCoin"],
        "quote": one["quoteCoin"],
        "contract_size": None,
        "contract_currency": None,
    }
    common |= {"qty_unit": "base", "expiry_ns": None}
    pair = f"{one['baseCoin']}-{one['quoteCoin']}"
    if product == "spot":
        steps: Row = {"price_step": f"{Decimal(1).scaleb(-int(one['pricePrecision'])):f}"}
        steps["qty_step"] = f"{Decimal(1).scaleb(-int(one['quantityPrecision'])):f}"
        return {**common, **steps, "kind": "spot", "settle": None, "trading": one["status"] == "online", "unified": pair}
    assert one["symbolType"] == "perpetual"
    steps = {"price_step": plain(Decimal(one["priceEndStep"]).scaleb(-int(one["pricePlace"]))), "qty_step": plain(one["sizeMultiplier"])}
    trading = one["symbolStatus"] == "normal"
    return {**common, **steps, "kind": "perpetual", "settle": one["supportMarginCoins"][0], "trading": trading, "unified": f"{pair}-PERP"}


def bodies(captures: Path, name: str) -> Iterator[tuple[bytes, Any]]:
    for line in (captures / name).read_bytes().splitlines():
        yield line, json.loads(line)


def same(found: Listing, wanted: list[Row]) -> None:
    assert [one.to_json() for one in found.instruments] == wanted
    assert wanted


@pytest.mark.parametrize(
    ("name", "count"), [("fastmm.rest-instruments.jsonl", 2), ("nautilus-docs.rest-instruments.jsonl", 3), ("roq-okx.rest.jsonl", 1)]
)
def test_okx(captures: Path, specs: dict[str, ir.Exchange], name: str, count: int) -> None:
    seen = 0
    for body, value in bodies(captures, f"okx/{name}"):
        rows = value["data"] if "code" in value else []
        product = (
            {"SPOT": "spot", "SWAP": "swap", "FUTURES": "futures"}.get(rows[0].get("instType", ""))
            if rows and "tickSz" in rows[0]
            else None
        )
        if product is not None:
            seen += 1
            same(fetched(specs["okx"], product, body), [row for one in rows if (row := okx(one)) is not None])
    assert seen == count


def test_bybit(captures: Path, specs: dict[str, ir.Exchange]) -> None:
    seen: list[str] = []
    for name in ("nautilus-docs.rest-instruments.jsonl", "roq-bybit.rest.jsonl"):
        for body, value in bodies(captures, f"bybit/{name}"):
            rows = value["result"].get("list", [])
            if not rows or "priceFilter" not in rows[0] or "optionsType" in rows[0]:
                continue
            kind = rows[0].get("contractType", "")
            product = "inverse" if kind.startswith("Inverse") else "linear" if kind else "spot"
            seen.append(product)
            same(fetched(specs["bybit"], product, body), [bybit(one, product) for one in rows])
    assert sorted(seen) == ["inverse", "inverse", "linear", "linear", "linear", "spot", "spot", "spot"]


def test_bitget(captures: Path, specs: dict[str, ir.Exchange]) -> None:
    (spot, spot_value), (futures, futures_value) = bodies(captures, "bitget/jkorf-docs.rest-instruments.jsonl")
    same(fetched(specs["bitget"], "spot", spot), [bitget(one, "spot") for one in spot_value["data"]])
    same(fetched(specs["bitget"], "usdt-futures", futures), [bitget(one, "usdt-futures") for one in futures_value["data"]])


def test_an_error_is_no_list(captures: Path, specs: dict[str, ir.Exchange]) -> None:
    errors = [body for body, value in bodies(captures, "bybit/roq-bybit.rest.jsonl") if value["retCode"] != 0]
    assert len(errors) == 1
    with pytest.raises(K4Error, match=r"the body does not match: .*error sign"):
        fetched(specs["bybit"], "linear", errors[0])


# --------------------------------------------------------------------------- what no capture shows

ASKED = {
    ("binance", "spot"): "https://api.binance.com/api/v3/exchangeInfo?showPermissionSets=false",
    ("binance", "ubase"): "https://fapi.binance.com/fapi/v1/exchangeInfo",
    ("binance", "cbase"): "https://dapi.binance.com/dapi/v1/exchangeInfo",
    ("bitget", "spot"): "https://api.bitget.com/api/v2/spot/public/symbols",
    ("bitget", "usdt-futures"): "https://api.bitget.com/api/v2/mix/market/contracts?productType=USDT-FUTURES",
    ("bitget", "coin-futures"): "https://api.bitget.com/api/v2/mix/market/contracts?productType=COIN-FUTURES",
    ("bitget", "usdc-futures"): "https://api.bitget.com/api/v2/mix/market/contracts?productType=USDC-FUTURES",
    ("bybit", "spot"): "https://api.bybit.com/v5/market/instruments-info?category=spot&limit=1000&cursor=",
    ("bybit", "linear"): "https://api.bybit.com/v5/market/instruments-info?category=linear&limit=1000&cursor=",
    ("bybit", "inverse"): "https://api.bybit.com/v5/market/instruments-info?category=inverse&limit=1000&cursor=",
    ("okx", "spot"): "https://www.okx.com/api/v5/public/instruments?instType=SPOT",
    ("okx", "swap"): "https://www.okx.com/api/v5/public/instruments?instType=SWAP",
    ("okx", "futures"): "https://www.okx.com/api/v5/public/instruments?instType=FUTURES",
}


def test_every_product_has_a_list(specs: dict[str, ir.Exchange]) -> None:
    """Each product's example, fetched: where it is asked for, and that its names and units are what readers need."""
    seen = set()
    for name, spec in specs.items():
        for product in spec.products:
            examples = [
                example for message in spec.messages if message.record == "instrument" and product.name in message.products
                for example in message.examples
            ]  # fmt: skip
            asked: list[str] = []
            try:
                found = fetched(spec, product.name, examples[0].wire.encode(), asked)
            except IndexError:  # its example has a second page
                found = fetched(spec, product.name, examples[0].wire.replace("first%3DFOO%26last", "").encode())
                assert asked[1] == asked[0] + "first%3DFOO%26last"
            seen.add((name, product.name))
            assert asked[0] == ASKED[name, product.name]
            assert all(one.unified and one.qty_unit and one.price_step for one in found.instruments if one.trading)
    assert seen == set(ASKED)


def test_units_as_readers_see_them(specs: dict[str, ir.Exchange]) -> None:
    from k4 import lookup

    def unit(name: str, product: str) -> tuple[str, str]:
        (example,) = (m.examples[0] for m in specs[name].messages if m.record == "instrument" and product in m.products)
        found = fetched(specs[name], product, example.wire.replace("first%3DFOO%26last", "").encode())
        return lookup.unit(found.instruments[0])

    assert unit("binance", "cbase") == ("quote", "100")
    assert unit("binance", "ubase") == ("base", "")
    assert unit("okx", "swap") == ("base", "0.01")
    assert unit("okx", "futures") == ("quote", "100")
    assert unit("bybit", "inverse") == ("quote", "1")
    assert unit("bybit", "linear") == ("base", "")


def large(template: Row, rows: Callable[[Row], list[Row]], count: int) -> bytes:
    (one,) = rows(template)[:1]
    made = [{**one, "symbol": f"S{n}"} if "symbol" in one else {**one, "instId": f"S{n}-B-SWAP"} for n in range(count)]
    rows(template)[:] = made
    return json.dumps(template).encode()


@pytest.mark.parametrize(
    ("name", "product", "rows"),
    [("binance", "spot", lambda v: v["symbols"]), ("okx", "swap", lambda v: v["data"]), ("bybit", "linear", lambda v: v["result"]["list"])],
)
def test_thousands_of_instruments_take_seconds(
    specs: dict[str, ir.Exchange], name: str, product: str, rows: Callable[[Row], list[Row]]
) -> None:
    (example,) = (m.examples[0] for m in specs[name].messages if m.record == "instrument" and product in m.products)
    body = large(json.loads(example.wire.replace("first%3DFOO%26last", "")), rows, 3000)
    began = time.process_time()
    found = fetched(specs[name], product, body)
    assert len(found.instruments) == 3000
    assert time.process_time() - began < 10
