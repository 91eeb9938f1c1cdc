"""Frames that no capture holds, in the venues' wire form with invented values: older and newer forms, optional keys, sides that are empty, ids
past 2^53, prices of 1e-8, quantities of 17 digits, odd names, answers and notices.

What a frame gives is written by hand, beside it. It is the same by the reference, by the parsers as at run time and by the tolerant one
alone, and so it is with the keys in another order, white space, and keys that nobody knows.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.oracles.common import load
from tests.test_venues import lines_of
from tests.test_venues_shuffled import written

ROUNDS = 3


def ms(value: int | None) -> str:
    """A time as the frames below write it; fractions of a millisecond where there are any."""
    return "-" if value is None else f"{value // 1_000_000}" + (f".{value % 1_000_000:06}".rstrip("0") if value % 1_000_000 else "")


def side(line: dict[str, Any], name: str) -> str:
    price, qty, count = (line[f"{name}_{half}"] for half in ("price", "qty", "count"))
    levels = [(price, qty, count)] if not isinstance(price, list) else list(zip(price, qty, count, strict=True))
    return ",".join(f"{p}x{q}" + (f"/{c}" if c is not None else "") for p, q, c in levels if p is not None)


def brief(line: dict[str, Any]) -> str:
    """A line of `k4 decode` in a few words: record, symbol, times of push and engine, ids, values, flags."""
    if "record" not in line:
        return str(line.get("skipped") or f"{line['refused']} {line['kind']} {line['offset']}")
    words = [line["record"], line["symbol"], ms(line["event_ns"]), ms(line["engine_ns"])]
    if line["record"] in ("trade", "aggtrade"):
        aggregate = line["record"] == "aggtrade"
        words.append(f"{line['agg_id']}={line['first_id']}..{line['last_id']}/{line['count']}" if aggregate else str(line["trade_id"]))
        words += [f"{line['price']}x{line['qty']}", "sold" if line["buyer_is_maker"] else "bought", *([] if aggregate else [line["kind"]])]
    else:
        words += ["-" if line["update_id"] is None else str(line["update_id"]), f"{side(line, 'bid')}|{side(line, 'ask')}"]
    return " ".join([*words, *line["flags"]])


# --------------------------------------------------------------------------- the frames

SPOT = [
    # quotes: combined and raw, the largest id, a tick of 1e-8, a name that is not ASCII, a side that is null
    (
        '{"stream":"1000satstry@bookTicker","data":{"u":9223372036854775807,"s":"1000SATSTRY","b":"0.00000001","B":"91234567890.00000000","a":"0.00000002","A":"0.10000000"}}',
        "bbo 1000SATSTRY - - 9223372036854775807 0.00000001x91234567890.00000000|0.00000002x0.10000000",
    ),
    (
        '{"stream":"某币usdt@bookTicker","data":{"u":77,"s":"某币USDT","b":"0.5","B":"1","a":"0.6","A":"2"}}',
        "bbo 某币USDT - - 77 0.5x1|0.6x2",
    ),
    (
        '{"u":9007199254740993,"s":"FOOUSDC","b":"1234567890.12345678","B":"12345678901234567.00","a":"1234567890.12345679","A":"0.00000000"}',
        "bbo FOOUSDC - - 9007199254740993 1234567890.12345678x12345678901234567.00|1234567890.12345679x0.00",
    ),
    (
        '{"stream":"foousdc@bookTicker","data":{"u":78,"s":"FOOUSDC","b":null,"B":null,"a":"0.6","A":"2"}}',
        "bbo FOOUSDC - - 78 |0.6x2 ONE_SIDED",
    ),
    # trades: today's form, with the order ids of earlier years, in microseconds, with numbers for texts
    (
        '{"stream":"fooeur@trade","data":{"e":"trade","E":1799000000002,"s":"FOOEUR","t":4611686018427387905,"p":"0.00001234","q":"98765432.10000000","T":1799000000001,"m":true,"M":true}}',
        "trade FOOEUR 1799000000002 1799000000001 4611686018427387905 0.00001234x98765432.10000000 sold market",
    ),
    (
        '{"e":"trade","E":1570000000002,"s":"FOOBTC","t":11,"p":"0.03120000","q":"2.50000000","b":900719925474,"a":900719925475,"T":1570000000001,"m":false,"M":true}',
        "trade FOOBTC 1570000000002 1570000000001 11 0.03120000x2.50000000 bought market",
    ),
    (
        '{"stream":"fooeur@trade","data":{"e":"trade","E":1799000000002345,"s":"FOOEUR","t":12,"p":"5.1","q":"7","T":1799000000001999,"m":true,"M":true}}',
        "trade FOOEUR 1799000000002.345 1799000000001.999 12 5.1x7 sold market",
    ),
    (
        '{"stream":"fooeur@trade","data":{"e":"trade","E":"1799000000002","s":"FOOEUR","t":"13","p":5.10,"q":7e-3,"T":"1799000000001","m":true,"M":true}}',
        "trade FOOEUR 1799000000002 1799000000001 13 5.10x0.007 sold market",
    ),
    # aggregated trades
    (
        '{"stream":"foousdt@aggTrade","data":{"e":"aggTrade","E":1799000000005,"s":"FOOUSDT","a":3814332999,"p":"95311.64000000","q":"0.00084000","f":5782154285,"l":5782154297,"T":1799000000004,"m":false,"M":true}}',
        "aggtrade FOOUSDT 1799000000005 1799000000004 3814332999=5782154285..5782154297/13 95311.64000000x0.00084000 bought",
    ),
    (
        '{"e":"aggTrade","E":1799000000005123,"s":"FOOUSDT","a":3814333000,"p":"95311.65000000","q":"3.00000000","f":5782154298,"l":5782154298,"T":1799000000004000,"m":true,"M":true}',
        "aggtrade FOOUSDT 1799000000005.123 1799000000004 3814333000=5782154298..5782154298/1 95311.65000000x3.00000000 sold",
    ),
    # the best levels, at every speed; a side may be empty, and more levels than a record holds may come
    (
        '{"stream":"foousdt@depth5@100ms","data":{"lastUpdateId":501,"bids":[["9.5","1"],["9.4","2"],["9.3","3"],["9.2","4"],["9.1","5"],["9.0","6"]],"asks":[]}}',
        "depth5 FOOUSDT - - 501 9.5x1,9.4x2,9.3x3,9.2x4,9.1x5|",
    ),
    ('{"stream":"foousdt@depth5","data":{"lastUpdateId":502,"bids":[],"asks":[["9.6","0.5"]]}}', "depth5 FOOUSDT - - 502 |9.6x0.5"),
    ('{"stream":"foousdt@depth5@100ms","data":{"lastUpdateId":503,"bids":[],"asks":[]}}', "depth5 FOOUSDT - - 503 |"),
    (
        '{"stream":"foousdt@depth20@100ms","data":{"lastUpdateId":504,"bids":[["9.5","1"]],"asks":[["9.6","0.5"]]}}',
        "depth20 FOOUSDT - - 504 9.5x1.0|9.6x0.5",
    ),
    ('{"stream":"foousdt@depth20","data":{"lastUpdateId":505,"bids":[["9.5","1"]],"asks":[]}}', "depth20 FOOUSDT - - 505 9.5x1|"),
    ('{"lastUpdateId":504,"bids":[["9.5","1"]],"asks":[]}', "other_channel"),
    ('{"stream":"foousdt@depth10@100ms","data":{"lastUpdateId":504,"bids":[["9.5","1"]],"asks":[]}}', "other_channel"),
    # changes wait for a snapshot that is fetched, whatever their speed and envelope
    (
        '{"stream":"foousdt@depth@100ms","data":{"e":"depthUpdate","E":1799000000007,"s":"FOOUSDT","U":506,"u":509,"b":[["9.5","0.00000000"]],"a":[]}}',
        "stale_book",
    ),
    ('{"stream":"foousdt@depth","data":{"e":"depthUpdate","E":1799000000007,"s":"FOOUSDT","U":506,"u":509,"b":[],"a":[]}}', "stale_book"),
    ('{"e":"depthUpdate","E":1799000000007123,"s":"FOOUSDT","U":506,"u":509,"b":[["9.5","1"]],"a":[["9.6","0"]]}', "stale_book"),
    # what is of no record
    ('{"stream":"foousdt@kline_1m","data":{"e":"kline","E":1799000000007,"s":"FOOUSDT","k":{"t":1,"o":"1"}}}', "other_channel"),
    ('{"stream":"foousdt@avgPrice","data":{"e":"avgPrice","E":1,"s":"FOOUSDT","i":"5m","w":"25.7","T":2}}', "other_channel"),
    ('{"stream":"foousdt@referencePrice","data":{"e":"referencePrice","s":"FOOUSDT","r":"25.7","t":2}}', "other_channel"),
    ('{"stream":"foousdt@blockTrade","data":{"e":"blockTrade","E":1,"s":"FOOUSDT","t":2,"p":"1","q":"1","T":1,"m":true}}', "other_channel"),
    ('{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","E":1,"s":"FOOUSDT","c":"1"}]}', "other_channel"),
    # answers: both shapes of an error, every kind of id; what a client asks is no answer
    ('{"result":null,"id":4294967297}', "ack"),
    ('{"result":null,"id":"a1b2"}', "ack"),
    ('{"result":[],"id":7}', "ack"),
    ('{"result":["foousdt@depth5@100ms"],"id":7}', "ack"),
    ('{"result":false,"id":8}', "ack"),
    ('{"method":"SUBSCRIBE","params":["foousdt@trade"],"id":9}', "other_channel"),
    ('{"code":0,"msg":"Unknown property","id":10}', "error"),
    ('{"code":3,"msg":"Invalid JSON: trailing comma at line 1 column 9"}', "error"),
    ('{"error":{"code":2,"msg":"Invalid request: streams must be an array"},"id":5000001}', "error"),
    ('{"id":null,"status":400,"error":{"code":-1000,"msg":"Invalid JSON request."}}', "error"),
    ('{"e":"serverShutdown","E":1799000000009}', "notice"),
    ('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1799000000009}}', "notice"),
    ('{"event":{"e":"serverShutdown","E":1799000000009}}', "notice"),
    ('{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1799000000009,"a":"FOO","d":"1","T":1799000000008}}', "other_channel"),
]

# USD-M and COIN-M; `st`, `ps` and `nq` came in the course of 2025 and 2026
UBASE = [
    (
        '{"stream":"foousdt_270326@bookTicker","data":{"e":"bookTicker","u":11289273849020,"s":"FOOUSDT_270326","ps":"FOOUSDT","b":"1878.49","B":"12.204","a":"1878.50","A":"3.771","T":1799000000003,"E":1799000000004,"st":1}}',
        "bbo FOOUSDT_270326 1799000000004 1799000000003 11289273849020 1878.49x12.204|1878.50x3.771",
    ),
    (
        '{"stream":"foousdt@bookTicker","data":{"u":11289273849021,"e":"bookTicker","s":"FOOUSDT","b":"1878.49","B":"12.204","a":"1878.50","A":"3.771","T":1630000000003,"E":1630000000004}}',
        "bbo FOOUSDT 1630000000004 1630000000003 11289273849021 1878.49x12.204|1878.50x3.771",
    ),
    # one stream of every symbol, on both hosts
    (
        '{"stream":"!bookTicker","data":{"e":"bookTicker","u":11289273849022,"s":"1000FOOUSDC","ps":"1000FOOUSDC","b":"0.0080010","B":"1234567890","a":"0.0080020","A":"3","T":1799000000003,"E":1799000000004,"st":1}}',
        "bbo 1000FOOUSDC 1799000000004 1799000000003 11289273849022 0.0080010x1234567890|0.0080020x3",
    ),
    (
        '{"stream":"!bookTicker","data":{"e":"bookTicker","u":11289273849023,"s":"FOOUSD_PERP","ps":"FOOUSD","b":"0.1","B":"1","a":"0.2","A":"3","T":1799000000003,"E":1799000000004,"st":2}}',
        "other_product",
    ),
    (
        '{"stream":"某币usdt@aggTrade","data":{"e":"aggTrade","E":1799000000005,"a":3404749954,"s":"某币USDT","p":"0.64990","q":"2002","nq":"0","f":7960913511,"l":7960913515,"T":1799000000004,"m":true,"st":1}}',
        "aggtrade 某币USDT 1799000000005 1799000000004 3404749954=7960913511..7960913515/5 0.64990x2002 sold",
    ),
    (
        '{"e":"aggTrade","E":1799000000005,"a":3404749955,"s":"FOOUSDT","p":"64990.90","q":"0.002","f":7960913516,"l":7960913516,"T":1799000000004,"m":false,"st":1}',
        "aggtrade FOOUSDT 1799000000005 1799000000004 3404749955=7960913516..7960913516/1 64990.90x0.002 bought",
    ),
    # trades by their class
    (
        '{"stream":"foousdt@trade","data":{"e":"trade","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","t":7947574407,"p":"63437.30","q":"0.003","X":"RPI","m":true,"st":1}}',
        "trade FOOUSDT 1799000000005 1799000000004 7947574407 63437.30x0.003 sold rpi",
    ),
    (
        '{"e":"trade","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","t":7947574408,"p":"63437.30","q":"0.003","X":"MARKET","m":false,"st":1}',
        "trade FOOUSDT 1799000000005 1799000000004 7947574408 63437.30x0.003 bought market",
    ),
    *(
        (
            f'{{"stream":"foousdt@trade","data":{{"e":"trade","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","t":7947574409,"p":"{p}","q":"{p}","X":"{kind}","m":true,"st":1}}}}',
            "dropped_class",
        )
        for kind, p in (("NA", "0"), ("INSURANCE_FUND", "63437.3"), ("ADL", "63437.3"))
    ),
    # depth: the stream's name alone tells levels from changes
    (
        '{"stream":"foousdt@depth5@500ms","data":{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","ps":"FOOUSDT","U":21,"u":29,"pu":-1,"b":[["1.5","0.2"]],"a":[],"st":1}}',
        "depth5 FOOUSDT 1799000000005 1799000000004 29 1.5x0.2|",
    ),
    (
        '{"stream":"foousdt@depth5","data":{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","U":30,"u":39,"pu":29,"b":[["1.5","0.2"],["1.4","0.10"]],"a":[["1.6","1000000"]]}}',
        "depth5 FOOUSDT 1799000000005 1799000000004 39 1.5x0.20,1.4x0.10|1.6x1000000.00",
    ),
    *(
        (
            f'{{"stream":"foousdt@depth{speed}","data":{{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","ps":"FOOUSDT","U":30,"u":39,"pu":29,"b":[["1.5","0"]],"a":[],"st":1}}}}',
            "stale_book",
        )
        for speed in ("@100ms", "@500ms", "")
    ),
    (
        '{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","U":30,"u":39,"pu":29,"b":[["1.5","0.2"]],"a":[],"st":1}',
        "other_channel",
    ),
    (
        '{"stream":"foousdt@rpiDepth@500ms","data":{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","U":30,"u":39,"pu":29,"b":[],"a":[],"st":1}}',
        "other_channel",
    ),
    (
        '{"stream":"foousdt@forceOrder","data":{"e":"forceOrder","E":1,"o":{"s":"FOOUSDT","S":"SELL","q":"1","p":"2","st":1}}}',
        "other_channel",
    ),
    ('{"stream":"!contractInfo","data":{"e":"contractInfo","E":1,"s":"FOOUSDT","ct":"PERPETUAL","cs":"TRADING","st":1}}', "other_channel"),
    (
        '{"stream":"foousdt@markPrice@1s","data":{ "e":"markPriceUpdate", "E":1, "s":"FOOUSDT", "p":"1", "ap":"1", "st":1 }}',
        "other_channel",
    ),
    ('{"result":null,"id":3}', "ack"),
]

CBASE = [
    (
        '{"stream":"foousd_perp@bookTicker","data":{"u":155,"e":"bookTicker","s":"FOOUSD_PERP","ps":"FOOUSD","b":"83732.4","B":"680","a":"83732.5","A":"2458","T":1630000000003,"E":1630000000004}}',
        "bbo FOOUSD_PERP 1630000000004 1630000000003 155 83732.4x680|83732.5x2458",
    ),
    (
        '{"stream":"!bookTicker","data":{"e":"bookTicker","u":156,"s":"FOOUSD_261225","ps":"FOOUSD","b":"0.1","B":"1","a":"0.2","A":"3","T":1799000000003,"E":1799000000004,"st":2}}',
        "bbo FOOUSD_261225 1799000000004 1799000000003 156 0.1x1|0.2x3",
    ),
    (
        '{"stream":"foousd_perp@trade","data":{"e":"trade","E":1799000000005,"T":1799000000004,"s":"FOOUSD_PERP","t":1155839922,"p":"83781.6","q":"1","X":"MARKET","m":false,"st":2}}',
        "trade FOOUSD_PERP 1799000000005 1799000000004 1155839922 83781.6x1 bought market",
    ),
    (
        '{"stream":"foousd_261225@depth5@100ms","data":{"e":"depthUpdate","E":1799000000005,"T":1799000000004,"s":"FOOUSD_261225","ps":"FOOUSD","U":9,"u":9,"pu":-1,"b":[],"a":[["83732.5","2458"]],"st":2}}',
        "depth5 FOOUSD_261225 1799000000005 1799000000004 9 |83732.5x2458",
    ),
    (
        '{"stream":"foousdt@trade","data":{"e":"trade","E":1799000000005,"T":1799000000004,"s":"FOOUSDT","t":1,"p":"1","q":"1","X":"ADL","m":true,"st":1}}',
        "other_product",
    ),
]

OKX_SPOT = [
    # a book without orders, with one side, with more in a level than is known, before ids came, and with the largest id
    (
        '{"arg":{"channel":"bbo-tbt","instId":"FOO-USDT"},"data":[{"asks":[],"bids":[],"ts":"1799000000190","seqId":9223372036854775807}]}',
        "bbo FOO-USDT - 1799000000190 9223372036854775807 | ONE_SIDED",
    ),
    (
        '{"arg":{"channel":"bbo-tbt","instId":"SHIB-USDT"},"data":[{"asks":[["0.00000002","99999999999999999","0","70"]],"bids":[["1e-8","1.5E3","0","3"]],"ts":"1799000000190"}]}',
        "bbo SHIB-USDT - 1799000000190 - 0.00000001x1500/3|0.00000002x99999999999999999/70",
    ),
    (
        '{"arg":{"channel":"books5","instId":"PERP-USDT"},"data":[{"asks":[["0.773","2.160647","0","2"]],"bids":[],"instId":"PERP-USDT","ts":"1799000000200","seqId":-1}]}',
        "depth5 PERP-USDT - 1799000000200 -1 |0.773x2.160647/2",
    ),
    # several trades in a frame; count, source and seqId are of later years
    (
        '{"arg":{"channel":"trades","instId":"FOO-USDT"},"data":[{"instId":"FOO-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897"},{"instId":"FOO-USDT","tradeId":"130639475","px":"42220","sz":"1","side":"sell","ts":"1630048897898","count":"3","source":"1","seqId":5}]}',
        "trade FOO-USDT - 1630048897897 130639474 42219.9x0.12060306 bought market + trade FOO-USDT - 1630048897898 130639475 42220x1 sold rpi",
    ),
    ('{"arg":{"channel":"trades","instId":"FOO-USDT"},"data":[]}', "empty"),
    # other kinds of instruments share the socket
    ('{"arg":{"channel":"trades","instId":"FOO-USDT-SWAP"},"data":[]}', "other_product"),
    ('{"arg":{"channel":"bbo-tbt","instId":"FOO-USD-261225-50000-C"},"data":[]}', "other_channel"),
    ('{"arg":{"channel":"trades-all","instId":"FOO-USDT"},"data":[{"instId":"FOO-USDT","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1"}]}', "other_channel"),
    ('{"arg":{"channel":"books50-l2-tbt","instId":"FOO-USDT"},"action":"snapshot","data":[]}', "other_channel"),
    ('{"arg":{"channel":"tickers","instId":"FOO-USDT"},"data":[{"instType":"SPOT","instId":"FOO-USDT","last":"1"}]}', "other_channel"),
    ('{"arg":{"channel":"status"},"data":[{"title":"","state":"scheduled","begin":"1","end":"2"}]}', "other_channel"),
    # answers and notices
    ('{"event":"subscribe","arg":{"channel":"trades","instId":"FOO-USDT"},"connId":"a4d3ae55","id":"1513"}', "ack"),
    ('{"id":"1","event":"unsubscribe","arg":{"channel":"books","instId":"FOO-USDT"},"connId":"a4d3ae55"}', "ack"),
    ('{"event":"error","msg":"Illegal request","code":"60012","connId":"a4d3ae55"}', "error"),
    ('{"event":"error","code":"60014","msg":"Requests too frequent","connId":"a4d3ae55"}', "error"),
    ('{"event":"channel-conn-count","channel":"orders","connCount":"3","connId":"abcd1234"}', "control"),
    ('{"event":"channel-conn-count-error","channel":"orders","connCount":"30","connId":"abcd1234"}', "control"),
    ('{"event":"login","code":"0","msg":"","connId":"a4d3ae55"}', "control"),
    ('{"event":"notice","msg":"The connection will soon be closed for a service upgrade.","code":"64008","connId":"a4d3ae55"}', "notice"),
    ("pong", "pong"),
]  # fmt: skip


def okx_book(action: str, seq: int, previous: int, bids: str, asks: str = "") -> str:
    return (
        f'{{"arg":{{"channel":"books","instId":"FOO-USD-SWAP"}},"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],'
        f'"ts":"1799000000500","checksum":0,"seqId":{seq},"prevSeqId":{previous}}}]}}'
    )


# A maintenance of the venue in the middle: 10, 15 behind 10, 15 behind 15 (nothing new), 3 behind 15 (begun anew), 5 behind 3, then a hole.
OKX_SWAP = [
    (okx_book("update", 9, 8, '["1.5","1","0","1"]'), "stale_book"),
    (
        okx_book("snapshot", 10, -1, '["1.5","1","0","1"]', '["1.6","2.5","0","2"]'),
        "depth20 FOO-USD-SWAP - 1799000000500 10 1.5x1.0/1|1.6x2.5/2 SNAPSHOT",
    ),
    (okx_book("update", 15, 10, '["1.5","3","0","2"]'), "depth20 FOO-USD-SWAP - 1799000000500 15 1.5x3.0/2|1.6x2.5/2"),
    (okx_book("update", 15, 15, ""), "unchanged"),
    (okx_book("update", 3, 15, "", '["1.6","0","0","0"],["1.65","7","0","1"]'), "depth20 FOO-USD-SWAP - 1799000000500 3 1.50x3/2|1.65x7/1"),
    (okx_book("update", 5, 3, '["0.00001","9","0","4"]'), "depth20 FOO-USD-SWAP - 1799000000500 5 1.50000x3/2,0.00001x9/4|1.65000x7/1"),
    (okx_book("update", 9, 7, '["1.5","1","0","1"]'), "stale_book"),
    (okx_book("update", 10, 9, '["1.5","1","0","1"]'), "stale_book"),
    (okx_book("snapshot", 4, -1, '["1.4","1","0","1"]'), "depth20 FOO-USD-SWAP - 1799000000500 4 1.4x1/1| SNAPSHOT"),
]
OKX_FUTURES = [
    (
        '{"arg":{"channel":"bbo-tbt","instId":"FOO-USD_UM_XPERP-310404"},"data":[{"asks":[["84093.5","0.01","0","7"]],"bids":[["84093.4","570.15","0","83"]],"ts":"1799000000190","seqId":8}]}',
        "bbo FOO-USD_UM_XPERP-310404 - 1799000000190 8 84093.4x570.15/83|84093.5x0.01/7",
    ),
    (
        '{"arg":{"channel":"trades","instId":"FOO-USD-261225"},"data":[{"instId":"FOO-USD-261225","tradeId":"5","px":"1","sz":"0.1","side":"sell","ts":"1799000000190","count":"1","source":"0","seqId":8}]}',
        "trade FOO-USD-261225 - 1799000000190 5 1x0.1 sold market",
    ),
    ('{"arg":{"channel":"bbo-tbt","instId":"FOO-USDT-SWAP"},"data":[]}', "other_product"),
]


def bitget_book(action: str, ids: str, bids: str, asks: str = "") -> str:
    return (
        f'{{"action":"{action}","arg":{{"instType":"SPOT","channel":"books","instId":"FOOUSDT"}},"data":[{{"asks":[{asks}],"bids":[{bids}],'
        f'"ts":"1799000000500",{ids}}}],"ts":1799000000501}}'
    )


BITGET_SPOT = [
    # quotes: a side that is empty, both; a checksum without ids as in 2024, with ids as in the spring of 2026
    (
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"books1","instId":"FOOUSDT"},"data":[{"asks":[],"bids":[["25.34","0.7443"]],"checksum":0,"ts":"1799000000101"}],"ts":1799000000103}',
        "bbo FOOUSDT 1799000000103 1799000000101 - 25.34x0.7443| ONE_SIDED",
    ),
    (
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"books1","instId":"FOOUSDT"},"data":[{"asks":[],"bids":[],"ts":"1799000000101","seq":3,"pseq":0}],"ts":1799000000103}',
        "bbo FOOUSDT 1799000000103 1799000000101 3 | ONE_SIDED",
    ),
    (
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"books5","instId":"CATUSDT"},"data":[{"asks":[["0.00000002","12345678901234567"]],"bids":[["0.00000001","1.5"]],"checksum":-7,"ts":"1799000000101","seq":4,"pseq":0}],"ts":1799000000103}',
        "depth5 CATUSDT 1799000000103 1799000000101 4 0.00000001x1.5|0.00000002x12345678901234567.0",
    ),
    # trades are told oldest first; those of the first frame are past ones
    (
        '{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"FOOUSDT"},"data":[{"ts":"1799000000120","price":"25.36","size":"0.1","side":"buy","tradeId":"9223372036854775807"},{"ts":"1799000000119","price":"25.35","size":"0.5","side":"sell","tradeId":"1478949840000000004"}],"ts":1799000000121}',
        "trade FOOUSDT 1799000000121 1799000000119 1478949840000000004 25.35x0.5 sold market + trade FOOUSDT 1799000000121 1799000000120 9223372036854775807 25.36x0.1 bought market",
    ),
    (
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"trade","instId":"FOOUSDT"},"data":[{"ts":"1799000000120","price":"25.36","size":"0.1","side":"buy","tradeId":"5"}],"ts":1799000000121}',
        "trade FOOUSDT 1799000000121 1799000000120 5 25.36x0.1 bought market BACKFILL",
    ),
    # a book by its ids, and one by nothing but its checksum
    (bitget_book("snapshot", '"seq":100,"pseq":0', '["3.5","1"]', '["3.6","2"]'), "depth20 FOOUSDT 1799000000501 1799000000500 100 3.5x1|3.6x2 SNAPSHOT"),
    (bitget_book("update", '"seq":105,"pseq":100', '["3.5","0"],["9","0"],["3.4","1"]'), "depth20 FOOUSDT 1799000000501 1799000000500 105 3.4x1|3.6x2"),
    (bitget_book("update", '"seq":105,"pseq":100', '["3.5","4"]'), "unchanged"),
    (bitget_book("update", '"seq":106,"pseq":0', '["3.4","2"]'), "stale_book"),
    (
        bitget_book("snapshot", '"checksum":0', '["3366.1","7"],["3366","7"]', '["3366.8","9"],["3368","8"]'),
        "depth20 FOOUSDT 1799000000501 1799000000500 - 3366.1x7,3366.0x7|3366.8x9,3368.0x8 SNAPSHOT",
    ),
    (
        bitget_book("update", '"checksum":-1881014294', '["3366","6"]'),
        "depth20 FOOUSDT 1799000000501 1799000000500 - 3366.1x7,3366.0x6|3366.8x9,3368.0x8",
    ),
    (bitget_book("update", '"checksum":831078360', '["3366","0"]', '["3372","8"]'), "depth20 FOOUSDT 1799000000501 1799000000500 - 3366.1x7|3366.8x9,3368.0x8,3372.0x8"),
    (bitget_book("update", '"checksum":831078361', '["3366","1"]'), "stale_book"),
    # the same by version 3
    (
        '{"data":[{"a":[["1","2"]],"b":[["0.5","1"]],"seq":427583480559,"pseq":0,"ts":"1799000000101","maxDepth":"1000"}],"arg":{"instType":"spot","topic":"books1","symbol":"FOOUSDT"},"action":"snapshot","ts":1799000000103}',
        "bbo FOOUSDT 1799000000103 1799000000101 427583480559 0.5x1|1.0x2",
    ),
    (
        '{"action":"update","arg":{"instType":"spot","topic":"publicTrade","symbol":"FOOUSDT"},"data":[{"i":"6","p":"7.2","v":"0.1","S":"sell","T":"1799000000101"},{"i":"5","p":"7.1","v":"0.2","S":"buy","T":"1799000000100","L":"9","isRPI":"yes"}],"ts":1799000000103}',
        "trade FOOUSDT 1799000000103 1799000000100 5 7.1x0.2 bought rpi + trade FOOUSDT 1799000000103 1799000000101 6 7.2x0.1 sold market",
    ),
    ('{"action":"snapshot","arg":{"instType":"spot","topic":"books50","symbol":"FOOUSDT"},"data":[],"ts":1}', "other_channel"),
    ('{"action":"snapshot","arg":{"instType":"SPOT","channel":"books15","instId":"FOOUSDT"},"data":[],"ts":1}', "other_channel"),
    ('{"action":"snapshot","arg":{"instType":"USDT-FUTURES","channel":"books1","instId":"FOOUSDT"},"data":[],"ts":1}', "other_product"),
    # answers: a code is a number on the wire, a text in the documentation
    ('{"event":"error","arg":{"instType":"SPOT","channel":"books50","instId":"FOOUSDT"},"code":30016,"msg":"Param error","op":"subscribe"}', "error"),
    ('{"event":"error","code":"30002","msg":"Unrecognized request"}', "error"),
    ('{"event":"login","code":"0","msg":""}', "control"),
    ("pong", "pong"),
]  # fmt: skip
BITGET_COIN = [
    (
        '{"action":"snapshot","arg":{"instType":"COIN-FUTURES","channel":"books1","instId":"FOOUSDZ26"},"data":[{"asks":[["25.35","0.25"]],"bids":[["25.34","7"]],"ts":"1799000000101","seq":1480000000000000123,"pseq":0}],"ts":1799000000103}',
        "bbo FOOUSDZ26 1799000000103 1799000000101 1480000000000000123 25.34x7.00|25.35x0.25",
    ),
    (
        '{"action":"snapshot","arg":{"instType":"coin-futures","topic":"books5","symbol":"FOOUSD_CM"},"data":[{"a":[["25.35","0.25"]],"b":[],"ts":"1799000000101","seq":1480000000000000124,"pseq":0}],"ts":1799000000103}',
        "depth5 FOOUSD_CM 1799000000103 1799000000101 1480000000000000124 |25.35x0.25",
    ),
]
BITGET_USDC = [
    (
        '{"action":"snapshot","arg":{"instType":"USDC-FUTURES","channel":"books1","instId":"FOOPERP"},"data":[{"asks":[["25.35","0.25"]],"bids":[["25.34","7"]],"ts":"1799000000101","seq":5,"pseq":0}],"ts":1799000000103}',
        "bbo FOOPERP 1799000000103 1799000000101 5 25.34x7.00|25.35x0.25",
    ),
]


def bybit_book(kind: str, update: int, bids: str, asks: str) -> str:
    return (
        f'{{"topic":"orderbook.50.FOOPERP","type":"{kind}","ts":1799000000507,"data":{{"s":"FOOPERP","b":[{bids}],"a":[{asks}],"u":{update},'
        '"seq":546137900086},"cts":1799000000504}'
    )


def bybit_levels(head: str, levels: str, *flags: str) -> str:
    return " + ".join(
        " ".join([f"{record} FOOPERP 1799000000507 1799000000504 {head} {levels}", *flags]) for record in ("depth5", "depth20")
    )


BYBIT_LINEAR = [
    # quotes: without `cts` as before 2024, the same id again after 3 s, a restart, a prefix in the name
    (
        '{"topic":"orderbook.1.1000CATUSDT","ts":1799000000643,"type":"snapshot","data":{"s":"1000CATUSDT","b":[["0.00000001","12345678901234567"]],"a":[["0.00000002","0.1"]],"u":9007199254740993,"seq":2189232157}}',
        "bbo 1000CATUSDT 1799000000643 - 9007199254740993 0.00000001x12345678901234567.0|0.00000002x0.1",
    ),
    *(
        (
            f'{{"topic":"orderbook.1.FOO-27MAR26","ts":{ts},"type":"snapshot","data":{{"s":"FOO-27MAR26","b":[["71423.8","1"]],"a":[],"u":{u},"seq":7}},"cts":1799000000598}}',
            f"bbo FOO-27MAR26 {ts} 1799000000598 {u} 71423.8x1| ONE_SIDED",
        )
        for ts, u in ((1799000000643, 5), (1799000003643, 5), (1799000003700, 1))
    ),
    # a book: changes of any side, a duplicate, a hole, a restart; 71401.80 and 71401.8 are one price
    (bybit_book("snapshot", 40, '["71401.80","1"]', '["71407.90","0.006"]'), bybit_levels("40", "71401.80x1.000|71407.90x0.006", "SNAPSHOT")),
    (bybit_book("delta", 41, '["71401.8","0"],["71400.2","0.159"]', ""), bybit_levels("41", "71400.20x0.159|71407.90x0.006")),
    (bybit_book("delta", 41, "", '["71407.9","0"]'), "unchanged"),
    (bybit_book("delta", 42, "", '["71407.9","0.0070"]'), bybit_levels("42", "71400.2x0.1590|71407.9x0.0070")),
    (bybit_book("delta", 44, "", '["71407.9","1"]'), "stale_book"),
    (bybit_book("snapshot", 1, "", '["71407.9","1"]'), bybit_levels("1", "|71407.9x1", "SNAPSHOT")),
    # trades: a UUID is hashed; BT and RPI came one after the other
    (
        '{"topic":"publicTrade.FOOUSDT","type":"snapshot","ts":1799000000012,"data":[{"T":1799000000011,"s":"FOOUSDT","S":"Buy","v":"0.014","p":"82640.10","L":"PlusTick","i":"0a1b2c3d-4e5f-5a6b-8c7d-9e0f1a2b3c4d","BT":false},{"T":1799000000011,"s":"FOOUSDT","S":"Sell","v":"2","p":"82640.2","L":"ZeroMinusTick","i":"0a1b2c3d-4e5f-5a6b-8c7d-9e0f1a2b3c4e","BT":true,"RPI":false,"seq":8}]}',
        "trade FOOUSDT 1799000000012 1799000000011 2787860791549023153 82640.10x0.014 bought market HASHED_ID + trade FOOUSDT 1799000000012 1799000000011 2563828827160494899 82640.2x2 sold block HASHED_ID",
    ),
    (
        '{"topic":"publicTrade.FOOUSDC","ts":1799000000012,"type":"snapshot","data":[{"i":"2290000000188691533","T":1799000000011,"p":"0.00001","v":"5","S":"Sell","seq":9,"s":"FOOUSDC","BT":false,"RPI":true}]}',
        "trade FOOUSDC 1799000000012 1799000000011 2290000000188691533 0.00001x5 sold rpi",
    ),
    ('{"topic":"publicTrade.FOOUSDT","type":"snapshot","ts":1799000000012,"data":[]}', "empty"),
    # what is of no record
    ('{"topic":"orderbook.200.FOOUSDT","type":"delta","ts":1,"data":{"s":"FOOUSDT","b":[],"a":[],"u":2,"seq":1}}', "other_channel"),
    ('{"topic":"orderbook.rpi.FOOUSDT","type":"snapshot","ts":1,"data":{"s":"FOOUSDT","b":[["1","2","3"]],"a":[],"u":2,"seq":1}}', "other_channel"),
    ('{"topic":"tickers.FOOUSDT","type":"delta","data":{"symbol":"FOOUSDT","indexPrice":"1"},"cs":7,"ts":1}', "other_channel"),
    ('{"topic":"allLiquidation.FOOUSDT","type":"snapshot","ts":1,"data":[{"T":1,"s":"FOOUSDT","S":"Sell","v":"1","p":"2"}]}', "other_channel"),
    # answers, pongs of every socket
    ('{"success":true,"ret_msg":"subscribe","conn_id":"d967","op":"subscribe"}', "ack"),
    ('{"success":true,"ret_msg":"","conn_id":"d6ki","req_id":"","op":"unsubscribe"}', "ack"),
    ('{"success":true,"conn_id":"a","data":{"failTopics":[],"successTopics":["tickers.FOO-28APR23-30000-C"]},"type":"COMMAND_RESP"}', "ack"),
    ('{"success":false,"conn_id":"a","data":{"failTopics":["tickers.FOO"],"successTopics":[]},"type":"COMMAND_RESP"}', "error"),
    ('{"success":false,"ret_msg":"error:already subscribed,topic:orderbook.50.FOOUSDT","conn_id":"a","req_id":"x","op":"subscribe"}', "error"),
    ('{"success":false,"ret_msg":"args size \\u003e10","conn_id":"a","req_id":"2000001","op":"subscribe"}', "error"),
    ('{"success":true,"ret_msg":"pong","conn_id":"a","op":"ping"}', "pong"),
    ('{"op":"pong","args":["1753340000127"],"conn_id":"a","req_id":"p1"}', "pong"),
    ('{"retCode":0,"retMsg":"OK","op":"pong","data":["1711002002529"],"connId":"a"}', "pong"),
    ('{"retCode":0,"retMsg":"OK","op":"auth","connId":"a"}', "control"),
    ('{"success":false,"ret_msg":"","op":"auth","conn_id":"a"}', "error"),
]  # fmt: skip

CASES = [
    ("binance", "spot", SPOT), ("binance", "ubase", UBASE), ("binance", "cbase", CBASE), ("okx", "spot", OKX_SPOT),
    ("okx", "swap", OKX_SWAP), ("okx", "futures", OKX_FUTURES), ("bitget", "spot", BITGET_SPOT), ("bitget", "coin-futures", BITGET_COIN),
    ("bitget", "usdc-futures", BITGET_USDC), ("bybit", "linear", BYBIT_LINEAR),
]  # fmt: skip
SOURCES = ("reference", "any", "tolerant")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("exchange", "product", "frames"), CASES)
def test_invented_frames(request: pytest.FixtureRequest, exchange: str, product: str, frames: list[tuple[str, str]], source: str) -> None:
    lines = lines_of(request, exchange, product, source)
    told = [(frame, " + ".join(brief(line) for line in lines(frame.encode()))) for frame, _ in frames]
    assert told == frames


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("exchange", "product", "frames"), CASES)
def test_in_other_words(request: pytest.FixtureRequest, exchange: str, product: str, frames: list[tuple[str, str]], source: str) -> None:
    rng = random.Random(20261129)
    for _ in range(ROUNDS):
        lines = lines_of(request, exchange, product, source)
        for frame, wanted in frames:
            other = written(load(frame.encode()), rng) if frame.startswith("{") else frame
            found = " + ".join(brief(line) for line in lines(other.encode()))
            assert found == wanted, other
