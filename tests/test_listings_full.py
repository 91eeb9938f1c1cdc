"""Lists of instruments as the venues send them, key for key with invented values: what captures do not have, or only in part.

Each row is written in full, with its filters and with the states, kinds and gaps that a venue's list holds on any day; what is wanted of it
stands beside it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from k4 import listing
from k4._codegen import exchange, fbs
from k4.instrument import Listing
from k4.listing import Source
from tests import logs

ROOT = Path(__file__).resolve().parent.parent
RECORDS = fbs.load(ROOT / "schema/records.fbs")
Row = dict[str, Any]
SHOWN = ("symbol", "unified", "kind", "base", "quote", "settle", "price_step", "qty_step", "contract_size", "contract_currency", "qty_unit")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fetched(name: str, product: str, *pages: object) -> tuple[Listing, list[str]]:
    """What the pages give, and where each was asked for."""
    spec = exchange.load(ROOT / f"schema/exchange/{name}.toml", RECORDS)
    left = [json.dumps(page).encode() for page in pages]
    asked: list[str] = []

    async def get(url: str, _body: str | None, _weight: int) -> bytes:
        asked.append(url)
        return left.pop(0)

    found = asyncio.run(listing.fetch(Source(spec, product, RECORDS), get, logs.logger()))
    assert not left
    return found, asked


def shown(found: Listing) -> list[str]:
    """One line an instrument: all that stands in it, `-` where nothing does."""
    lines = []
    for one in found.instruments:
        values = one.to_json()
        words = ["-" if values[name] is None else str(values[name]) for name in SHOWN]
        lines.append(" ".join([*words, {True: "trading", False: "not"}[one.trading is True], str(one.expiry_ns or "-")]))
    return lines


# --------------------------------------------------------------------------- Binance


def spot_filters(tick: str, step: str) -> list[Row]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "118.11180500", "stepSize": "0.00000000"},
        {
            "filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000, "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "5",
            "askMultiplierDown": "0.2", "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False, "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]  # fmt: skip


def spot_row(symbol: str, status: str, base: str, quote: str, filters: list[Row]) -> Row:
    return {
        "symbol": symbol, "status": status, "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote, "quotePrecision": 8,
        "quoteAssetPrecision": 8, "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"], "icebergAllowed": True,
        "ocoAllowed": True, "otoAllowed": True, "opoAllowed": True, "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True,
        "cancelReplaceAllowed": True, "amendAllowed": True, "pegInstructionsAllowed": True, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "filters": filters, "permissions": [], "permissionSets": [["SPOT", "TRD_GRP_004"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER", "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "DECREMENT"],
    }  # fmt: skip


def test_binance_spot() -> None:
    body = {
        "timezone": "UTC",
        "serverTime": 1790000000123,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        ],
        "exchangeFilters": [],
        "symbols": [
            spot_row("FOOUSDT", "TRADING", "FOO", "USDT", spot_filters("0.01000000", "0.00001000")),
            spot_row("1000SATSTRY", "TRADING", "1000SATS", "TRY", spot_filters("0.00000001", "1.00000000")),
            spot_row("某币USDT", "TRADING", "某币", "USDT", list(reversed(spot_filters("0.00000100", "1.00000000")))),
            spot_row("OLDBTC", "BREAK", "OLD", "BTC", spot_filters("0.00000001", "1.00000000")),
            spot_row("HALTBTC", "HALT", "HALT", "BTC", []),
            spot_row("FREEBTC", "TRADING", "FREE", "BTC", spot_filters("0.00000000", "0.00000000")),
        ],
    }
    found, asked = fetched("binance", "spot", body)
    assert asked == ["https://api.binance.com/api/v3/exchangeInfo?showPermissionSets=false"]
    assert shown(found) == [
        "FOOUSDT FOO-USDT spot FOO USDT - 0.01 0.00001 - - base trading -",
        "1000SATSTRY 1000SATS-TRY spot 1000SATS TRY - 0.00000001 1 - - base trading -",
        "某币USDT 某币-USDT spot 某币 USDT - 0.000001 1 - - base trading -",
        "OLDBTC OLD-BTC spot OLD BTC - 0.00000001 1 - - base not -",
        "HALTBTC HALT-BTC spot HALT BTC - - - - - base not -",
        "FREEBTC FREE-BTC spot FREE BTC - - - - - base trading -",
    ]


def futures_filters(tick: str, step: str) -> list[Row]:
    """As both kinds of futures have them: the type stands anywhere in its object."""
    return [
        {"maxPrice": "4529764", "filterType": "PRICE_FILTER", "minPrice": "556.80", "tickSize": tick},
        {"filterType": "LOT_SIZE", "maxQty": "1000", "minQty": step, "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": "120", "minQty": "0.1", "stepSize": "0.1"},
        {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
        {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"},
        {"notional": "50", "filterType": "MIN_NOTIONAL"},
        {"multiplierDown": "0.9500", "multiplierUp": "1.0500", "multiplierDecimal": "4", "filterType": "PERCENT_PRICE"},
        {"positionControlSide": "NONE", "filterType": "POSITION_RISK_CONTROL"},
    ]


def ubase_row(symbol: str, pair: str, kind: str, delivery: int, status: str, base: str, quote: str) -> Row:
    return {
        "symbol": symbol, "pair": pair, "contractType": kind, "deliveryDate": delivery, "onboardDate": 1569398400000, "status": status,
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "baseAsset": base, "quoteAsset": quote, "marginAsset": quote,
        "pricePrecision": 2, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "underlyingSubType": ["PoW"], "triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000, "filters": futures_filters("0.10", "0.001"),
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD", "RPI"], "permissionSets": ["GRID", "COPY"],
    }  # fmt: skip


def test_binance_ubase() -> None:
    never = 4133404800000
    body = {
        "timezone": "UTC", "serverTime": 1790000000123, "futuresType": "U_MARGINED",
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}], "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [
            ubase_row("FOOUSDT", "FOOUSDT", "PERPETUAL", never, "TRADING", "FOO", "USDT"),
            ubase_row("FOOUSDC", "FOOUSDC", "PERPETUAL", never, "TRADING", "FOO", "USDC"),
            ubase_row("1000BARUSDT", "1000BARUSDT", "PERPETUAL", never, "PENDING_TRADING", "1000BAR", "USDT"),
            ubase_row("SHAREUSDT", "SHAREUSDT", "TRADIFI_PERPETUAL", never, "TRADING", "SHARE", "USDT"),
            ubase_row("FOOUSDT_270326", "FOOUSDT", "CURRENT_QUARTER", 1806048000000, "TRADING", "FOO", "USDT"),
            ubase_row("FOOUSDT_261225", "FOOUSDT", "CURRENT_QUARTER DELIVERING", 1798185600000, "DELIVERING", "FOO", "USDT"),
            ubase_row("GONEUSDT", "GONEUSDT", "PERPETUAL_DELIVERING", never, "SETTLING", "GONE", "USDT"),
            ubase_row("WENTUSDT", "WENTUSDT", "", 1766000000000, "CLOSE", "WENT", "USDT"),
        ],
    }  # fmt: skip
    found, asked = fetched("binance", "ubase", body)
    assert asked == ["https://fapi.binance.com/fapi/v1/exchangeInfo"]
    assert shown(found) == [
        "FOOUSDT FOO-USDT-PERP perpetual FOO USDT USDT 0.1 0.001 - - base trading -",
        "FOOUSDC FOO-USDC-PERP perpetual FOO USDC USDC 0.1 0.001 - - base trading -",
        "1000BARUSDT 1000BAR-USDT-PERP perpetual 1000BAR USDT USDT 0.1 0.001 - - base not -",
        "SHAREUSDT SHARE-USDT-PERP perpetual SHARE USDT USDT 0.1 0.001 - - base trading -",
        "FOOUSDT_270326 FOO-USDT-270326 future FOO USDT USDT 0.1 0.001 - - base trading 1806048000000000000",
        "FOOUSDT_261225 FOO-USDT-261225 future FOO USDT USDT 0.1 0.001 - - base not 1798185600000000000",
        "GONEUSDT GONE-USDT-PERP perpetual GONE USDT USDT 0.1 0.001 - - base not -",
        "WENTUSDT - - WENT USDT USDT 0.1 0.001 - - base not 1766000000000000000",
    ]


def cbase_row(symbol: str, kind: str, delivery: int, status: str, base: str, size: int) -> Row:
    return {
        "filters": futures_filters("0.1", "1"), "orderTypes": ["LIMIT", "MARKET", "STOP", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"], "liquidationFee": "0.015000", "marketTakeBound": "0.30", "symbol": symbol,
        "pair": f"{base}USD", "contractType": kind, "deliveryDate": delivery, "onboardDate": 1597042800000, "contractStatus": status,
        "contractSize": size, "marginAsset": base, "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "baseAsset": base,
        "quoteAsset": "USD", "pricePrecision": 1, "quantityPrecision": 0, "baseAssetPrecision": 8, "quotePrecision": 8,
        "equalQtyPrecision": 4, "maxMoveOrderLimit": 10000, "triggerProtect": "0.0500", "underlyingType": "COIN", "underlyingSubType": [],
    }  # fmt: skip


def test_binance_cbase() -> None:
    body = {
        "timezone": "UTC", "serverTime": 1790000000123, "rateLimits": [], "exchangeFilters": [],
        "symbols": [
            cbase_row("BTCUSD_PERP", "PERPETUAL", 4133404800000, "TRADING", "BTC", 100),
            cbase_row("FOOUSD_PERP", "PERPETUAL", 4133404800000, "TRADING", "FOO", 10),
            cbase_row("BTCUSD_270326", "NEXT_QUARTER", 1806048000000, "TRADING", "BTC", 100),
            cbase_row("BTCUSD_261225", "CURRENT_QUARTER DELIVERING", 1798185600000, "PRE_DELIVERING", "BTC", 100),
            cbase_row("OLDUSD_PERP", "PERPETUAL DELIVERING", 1798185600000, "DELIVERING", "OLD", 10),
        ],
    }  # fmt: skip
    found, asked = fetched("binance", "cbase", body)
    assert asked == ["https://dapi.binance.com/dapi/v1/exchangeInfo"]
    assert shown(found) == [
        "BTCUSD_PERP BTC-USD-PERP perpetual BTC USD BTC 0.1 1 100 USD contract trading -",
        "FOOUSD_PERP FOO-USD-PERP perpetual FOO USD FOO 0.1 1 10 USD contract trading -",
        "BTCUSD_270326 BTC-USD-270326 future BTC USD BTC 0.1 1 100 USD contract trading 1806048000000000000",
        "BTCUSD_261225 BTC-USD-261225 future BTC USD BTC 0.1 1 100 USD contract not 1798185600000000000",
        "OLDUSD_PERP OLD-USD-PERP perpetual OLD USD OLD 0.1 1 10 USD contract not -",
    ]


# --------------------------------------------------------------------------- OKX


def okx_row(kind: str, name: str, **values: object) -> Row:
    return {
        "alias": "", "auctionEndTime": "", "baseCcy": "", "category": "1", "contTdSwTime": "", "ctMult": "", "ctType": "", "ctVal": "",
        "ctValCcy": "", "expTime": "", "futureSettlement": False, "instFamily": "", "instId": name, "instIdCode": 10459, "instType": kind,
        "lever": "10", "listTime": "1611907686000", "lotSz": "0.01", "maxIcebergSz": "100000000", "maxLmtAmt": "20000000",
        "maxLmtSz": "100000000", "maxMktAmt": "", "maxMktSz": "35000", "maxStopSz": "35000", "maxTriggerSz": "100000000",
        "maxTwapSz": "100000000", "minSz": "0.01", "optType": "", "openType": "", "preMktSwTime": "", "quoteCcy": "",
        "tradeQuoteCcyList": [], "settleCcy": "", "state": "live", "ruleType": "normal", "stk": "", "tickSz": "0.1", "uly": "",
        "groupId": "1", "upcChg": [], **values,
    }  # fmt: skip


def okx_body(*rows: Row) -> Row:
    return {"code": "0", "data": list(rows), "msg": ""}


def test_okx() -> None:
    spot = okx_body(
        okx_row("SPOT", "FOO-USDT", baseCcy="FOO", quoteCcy="USDT", tickSz="0.0001", lotSz="0.000001", tradeQuoteCcyList=["USDT"]),
        okx_row("SPOT", "PEPE-TRY", baseCcy="PEPE", quoteCcy="TRY", tickSz="0.00000001", lotSz="1", state="suspend"),
        okx_row("SPOT", "NEXT-USDT", tickSz="", lotSz="", state="preopen", listTime="", instIdCode=None),
    )
    swap = okx_body(
        okx_row(
            "SWAP", "FOO-USDT-SWAP", ctMult="1", ctType="linear", ctVal="0.01", ctValCcy="FOO", instFamily="FOO-USDT", uly="FOO-USDT",
            settleCcy="USDT",
        ),
        okx_row(
            "SWAP", "FOO-USD-SWAP", ctMult="1", ctType="inverse", ctVal="100", ctValCcy="USD", instFamily="FOO-USD", uly="FOO-USD",
            settleCcy="FOO", lotSz="1",
        ),
        okx_row(
            "SWAP", "CAT-USDC-SWAP", ctMult="1000", ctType="linear", ctVal="0.1", ctValCcy="CAT", instFamily="CAT-USDC", uly="CAT-USDC",
            settleCcy="USDC", state="post_only", tickSz="0.00000001",
        ),
    )  # fmt: skip
    futures = okx_body(
        okx_row(
            "FUTURES", "FOO-USD-261225", alias="quarter", ctMult="1", ctType="inverse", ctVal="100", ctValCcy="USD", instFamily="FOO-USD",
            uly="FOO-USD", settleCcy="FOO", lotSz="1", expTime="1798185600000",
        ),
        okx_row(
            "FUTURES", "FOO-USD_UM_XPERP-310404", ctMult="1", ctType="linear", ctVal="0.01", ctValCcy="FOO",
            instFamily="FOO-USD_UM_XPERP", uly="FOO-USD", settleCcy="USDC", expTime="1933056000000",
        ),
    )  # fmt: skip
    found, _ = fetched("okx", "spot", spot)
    assert shown(found) == [
        "FOO-USDT FOO-USDT spot FOO USDT - 0.0001 0.000001 - - base trading -",
        "PEPE-TRY PEPE-TRY spot PEPE TRY - 0.00000001 1 - - base not -",
        "NEXT-USDT - spot - - - - - - - base not -",
    ]
    found, _ = fetched("okx", "swap", swap)
    assert shown(found) == [
        "FOO-USDT-SWAP FOO-USDT-PERP perpetual FOO USDT USDT 0.1 0.01 0.01 FOO contract trading -",
        "FOO-USD-SWAP FOO-USD-PERP perpetual FOO USD FOO 0.1 1 100 USD contract trading -",
        "CAT-USDC-SWAP CAT-USDC-PERP perpetual CAT USDC USDC 0.00000001 0.01 100 CAT contract not -",
    ]
    found, _ = fetched("okx", "futures", futures)
    assert shown(found) == [
        "FOO-USD-261225 FOO-USD-261225 future FOO USD FOO 0.1 1 100 USD contract trading 1798185600000000000",
        "FOO-USD_UM_XPERP-310404 FOO-USD-310404 future FOO USD USDC 0.1 0.01 0.01 FOO contract trading 1933056000000000000",
    ]


# --------------------------------------------------------------------------- Bitget


def bitget_contract(symbol: str, base: str, quote: str, margins: list[str], **values: object) -> Row:
    return {
        "symbol": symbol, "baseCoin": base, "quoteCoin": quote, "buyLimitPriceRatio": "0.05", "sellLimitPriceRatio": "0.05",
        "feeRateUpRatio": "0.005", "makerFeeRate": "0.0002", "takerFeeRate": "0.0006", "openCostUpRatio": "0.01",
        "supportMarginCoins": margins, "minTradeNum": "0.0001", "priceEndStep": "1", "volumePlace": "4", "pricePlace": "1",
        "sizeMultiplier": "0.0001", "symbolType": "perpetual", "minTradeUSDT": "5", "maxSymbolOrderNum": "200",
        "maxProductOrderNum": "1000", "maxPositionNum": "150", "symbolStatus": "normal", "offTime": "-1", "limitOpenTime": "-1",
        "deliveryTime": "", "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "", "fundInterval": "8", "minLever": "1",
        "maxLever": "125", "posLimit": "0.1", "maintainTime": "", "openTime": "", "maxMarketOrderQty": "220", "maxOrderQty": "1200",
        "isRwa": "NO", **values,
    }  # fmt: skip


def bitget_body(*rows: Row) -> Row:
    return {"code": "00000", "msg": "success", "requestTime": 1790000000123, "data": list(rows)}


def test_bitget() -> None:
    spot_row = {
        "symbol": "FOOUSDT", "baseCoin": "FOO", "quoteCoin": "USDT", "minTradeAmount": "0", "maxTradeAmount": "900000000000000000000",
        "takerFeeRate": "0.002", "makerFeeRate": "0.002", "pricePrecision": "2", "quantityPrecision": "6", "quotePrecision": "8",
        "status": "online", "minTradeUSDT": "1", "buyLimitPriceRatio": "0.05", "sellLimitPriceRatio": "0.05", "areaSymbol": "no",
        "orderQuantity": "200", "openTime": "1532454360000", "offTime": "",
    }  # fmt: skip
    catty = {**spot_row, "symbol": "CATUSDC", "baseCoin": "CAT", "quoteCoin": "USDC", "pricePrecision": "12", "quantityPrecision": "0"}
    found, _ = fetched(
        "bitget", "spot", bitget_body(spot_row, {**catty, "status": "gray"}, {**catty, "symbol": "CATEUR", "status": "halt"})
    )
    assert shown(found) == [
        "FOOUSDT FOO-USDT spot FOO USDT - 0.01 0.000001 - - base trading -",
        "CATUSDC CAT-USDC spot CAT USDC - 0.000000000001 1 - - base not -",
        "CATEUR CAT-USDC spot CAT USDC - 0.000000000001 1 - - base not -",
    ]
    found, asked = fetched(
        "bitget", "usdt-futures",
        bitget_body(
            bitget_contract("FOOUSDT", "FOO", "USDT", ["USDT"]),
            bitget_contract("CATUSDT", "CAT", "USDT", ["USDT"], priceEndStep="5", pricePlace="7", sizeMultiplier="10", volumePlace="0"),
            bitget_contract("OLDUSDT", "OLD", "USDT", ["USDT"], symbolStatus="off", offTime="1780000000000"),
        ),
    )  # fmt: skip
    assert asked == ["https://api.bitget.com/api/v2/mix/market/contracts?productType=USDT-FUTURES"]
    assert shown(found) == [
        "FOOUSDT FOO-USDT-PERP perpetual FOO USDT USDT 0.1 0.0001 - - base trading -",
        "CATUSDT CAT-USDT-PERP perpetual CAT USDT USDT 0.0000005 10 - - base trading -",
        "OLDUSDT OLD-USDT-PERP perpetual OLD USDT USDT 0.1 0.0001 - - base not -",
    ]
    pledged = ["BTC", "STETH", "XRP", "ETH", "USDC", "BGB"]  # what may be pledged is not what it is settled in
    dated = {"symbolType": "delivery", "deliveryPeriod": "this_quarter", "deliveryTime": "1798185600000"}
    found, _ = fetched(
        "bitget", "coin-futures",
        bitget_body(bitget_contract("ETHUSD", "ETH", "USD", pledged), bitget_contract("ETHUSDZ26", "ETH", "USD", pledged, **dated)),
    )  # fmt: skip
    assert shown(found) == [
        "ETHUSD ETH-USD-PERP perpetual ETH USD ETH 0.1 0.0001 - - base trading -",
        "ETHUSDZ26 ETH-USD-261225 future ETH USD ETH 0.1 0.0001 - - base trading 1798185600000000000",
    ]
    found, _ = fetched("bitget", "usdc-futures", bitget_body(bitget_contract("BTCPERP", "BTC", "USDC", pledged)))
    assert shown(found) == ["BTCPERP BTC-USDC-PERP perpetual BTC USDC USDC 0.1 0.0001 - - base trading -"]


# --------------------------------------------------------------------------- Bybit


def bybit_row(symbol: str, kind: str, base: str, quote: str, settle: str, **values: object) -> Row:
    return {
        "symbol": symbol, "symbolId": 7, "contractType": kind, "status": "Trading", "baseCoin": base, "quoteCoin": quote,
        "launchTime": "1585526400000", "deliveryTime": "0", "deliveryFeeRate": "", "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001", "postOnlyMaxOrderQty": "1190.000",
            "maxMktOrderQty": "500.000", "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True, "fundingInterval": 480, "settleCoin": settle, "copyTrading": "both", "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005", "isPreListing": False, "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"}, "displayName": "", "symbolType": "", **values,
    }  # fmt: skip


def bybit_body(category: str, cursor: str, *rows: Row) -> Row:
    result = {"category": category, "list": list(rows), "nextPageCursor": cursor}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1790000000123}


def test_bybit() -> None:
    spot = {
        "symbol": "FOOUSDC", "baseCoin": "FOO", "quoteCoin": "USDC", "innovation": "0", "status": "Trading", "marginTrading": "utaOnly",
        "stTag": "0", "lotSizeFilter": {
            "basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderQty": "0.000011", "maxOrderQty": "83",
            "minOrderAmt": "5", "maxOrderAmt": "8000000", "maxLimitOrderQty": "83", "maxMarketOrderQty": "41.5",
        },
        "priceFilter": {"tickSize": "0.1"}, "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
    }  # fmt: skip
    body = {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": [spot]}, "retExtInfo": {}, "time": 1790000000123}
    found, _ = fetched("bybit", "spot", body)  # without pages there is no key of the next
    assert shown(found) == ["FOOUSDC FOO-USDC spot FOO USDC - 0.1 0.000001 - - base trading -"]
    found, asked = fetched(
        "bybit", "linear",
        bybit_body(
            "linear", "first%3D1000CATUSDT%26last%3DFOOUSDT",
            bybit_row("1000CATUSDT", "LinearPerpetual", "1000CAT", "USDT", "USDT"),
            bybit_row("FOOPERP", "LinearPerpetual", "FOO", "USDC", "USDC"),
        ),
        bybit_body(
            "linear", "",
            bybit_row("FOOUSDT-25DEC26", "LinearFutures", "FOO", "USDT", "USDT", deliveryTime="1798185600000"),
            bybit_row("FOO-25DEC26", "LinearFutures", "FOO", "USDC", "USDC", deliveryTime="1798185600000", status="Delivering"),
            bybit_row(
                "NEWUSDT", "LinearPerpetual", "NEW", "USDT", "USDT", status="PreLaunch", isPreListing=True,
                preListingInfo={"curAuctionPhase": "ContinuousTrading", "phases": [], "auctionFeeInfo": {"auctionFeeRate": "0"}},
            ),
        ),
    )  # fmt: skip
    first = "https://api.bybit.com/v5/market/instruments-info?category=linear&limit=1000&cursor="
    assert asked == [first, first + "first%3D1000CATUSDT%26last%3DFOOUSDT"]
    assert shown(found) == [
        "1000CATUSDT 1000CAT-USDT-PERP perpetual 1000CAT USDT USDT 0.1 0.001 - - base trading -",
        "FOOPERP FOO-USDC-PERP perpetual FOO USDC USDC 0.1 0.001 - - base trading -",
        "FOOUSDT-25DEC26 FOO-USDT-261225 future FOO USDT USDT 0.1 0.001 - - base trading 1798185600000000000",
        "FOO-25DEC26 FOO-USDC-261225 future FOO USDC USDC 0.1 0.001 - - base not 1798185600000000000",
        "NEWUSDT NEW-USDT-PERP perpetual NEW USDT USDT 0.1 0.001 - - base not -",
    ]
    lot = {"maxOrderQty": "25000000", "minOrderQty": "1", "qtyStep": "1", "postOnlyMaxOrderQty": "25000000"}
    found, _ = fetched(
        "bybit", "inverse",
        bybit_body(
            "inverse", "",
            bybit_row("FOOUSD", "InversePerpetual", "FOO", "USD", "FOO", lotSizeFilter=lot),
            bybit_row("FOOUSDZ26", "InverseFutures", "FOO", "USD", "FOO", lotSizeFilter=lot, deliveryTime="1798185600000"),
        ),
    )  # fmt: skip
    assert shown(found) == [
        "FOOUSD FOO-USD-PERP perpetual FOO USD FOO 0.1 1 1 USD contract trading -",
        "FOOUSDZ26 FOO-USD-261225 future FOO USD FOO 0.1 1 1 USD contract trading 1798185600000000000",
    ]
