"""The fast tier against the reference: what it takes, it takes exactly right; what it should take, it takes; it never reads too far."""

from __future__ import annotations

import atexit
import functools
import random
import shutil
import struct
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k4._codegen import exchange, fast, fbs, generate, ir, places
from k4._codegen.layouts import layouts
from k4._codegen.layouttokens import Check, Layout, Literal, Loop, Own, Token, Value
from k4._codegen.render import identifier
from tests.codegen.compiled import SKIPS, STRICT, Item, Reference

ROOT = Path(__file__).resolve().parents[2]
RECORDS = fbs.load(places.schema() / "records.fbs")
SPECS = {"binance": places.schema() / "exchange/binance.toml", "quick": ROOT / "tests/cases/specs/quick.toml"}
PRODUCTS = [("binance", "spot"), ("quick", "spot"), ("quick", "perp")]
SLACK = 64
PARTS = ("json", "text", "number", "xxh64", "symtab", "crc32", "ladder", "checksum", "book", "books")


def _gcc(*words: str) -> None:
    checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DK4_FAST_INLINE=static __attribute__((unused))")
    command = ("gcc", *STRICT, "-O1", "-g", *checks, f"-I{places.csrc()}", *words)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[:4000]


@functools.cache
def _core(flags: tuple[str, ...]) -> tuple[str, ...]:
    """What every tier is linked with, compiled once."""
    folder = Path(tempfile.mkdtemp(prefix="k4-fast-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "k4_records.h").write_text(generate.records_header(RECORDS))
    sources = [Path(__file__).with_name("fast_runner.c"), *(places.csrc() / f"k4_{part}.c" for part in PARTS)]
    for source in sources:
        _gcc(*flags, f"-I{folder}", "-c", str(source), "-o", str(folder / f"{source.stem}.o"))
    return tuple(str(folder / f"{source.stem}.o") for source in sources)


class Fast:
    """The fast tier of one product, compiled with both sanitizers, run over batches of frames."""

    def __init__(self, folder: Path, spec: Path, product: str, *flags: str) -> None:
        loaded = exchange.load(spec, RECORDS)
        # Without books: what comes of their updates depends on what came before (tests/test_books.py).
        whole = replace(loaded, messages=tuple(message for message in loaded.messages if message.field("snapshot") is None))
        self.reference = Reference(whole, product)
        self.product = product
        first = whole.product(product)
        assert first is not None
        alone = replace(whole, products=(first, *(p for p in whole.products if p.name != product)))
        self.exchange = alone
        (folder / "k4_records.h").write_text(generate.records_header(RECORDS))
        (folder / "fast.c").write_text(fast.render_exchange(alone, RECORDS))
        (folder / "products.c").write_text(_PRODUCTS.format(symbol=f"k4_fast_{alone.name}_{identifier(product)}"))
        self.program = folder / "runner"
        sources = [folder / "fast.c", folder / "products.c"]
        _gcc(*flags, f"-I{folder}", *map(str, sources), *_core(flags), "-o", str(self.program))

    def __call__(self, frames: list[bytes], behind: list[bytes] | None = None) -> list[tuple[Item, ...] | None]:
        """What each frame gave, None where it was declined: records, or one reason why there is none. `behind`: what stands in the slack after each text."""
        after = behind or [b""] * len(frames)
        blocks = [
            struct.pack("<I", len(frame)) + b"9" * SLACK + frame + rest[:SLACK].ljust(SLACK, b"9")
            for frame, rest in zip(frames, after, strict=True)
        ]
        result = subprocess.run([str(self.program)], input=b"".join(blocks), capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()[:4000]
        lines = result.stdout.decode().splitlines()
        assert len(lines) == len(frames)
        return [None if line == "-" else _items(line) for line in lines]

    def taken(self, frames: list[bytes], behind: list[bytes] | None = None) -> int:
        """How many of the frames were taken. Each of those gave what the reference gives."""
        count = 0
        for frame, items in zip(frames, self(frames, behind), strict=True):
            if items is None:
                continue
            expected = self.reference(frame)
            assert items == (expected.items if expected.skip is None else (("skip", expected.skip, expected.skip_message),)), frame
            count += 1
        return count

    @functools.cached_property
    def layouts(self) -> tuple[Layout, ...]:
        return layouts(self.exchange, RECORDS, self.product)[0]

    def examples(self) -> list[bytes]:
        """The wires of all messages that are pushed, of this product."""
        pushed = [m for m in self.exchange.messages if self.product in m.products and m.json]
        return [e.wire.encode() for m in pushed for e in m.examples if e.product == self.product]


_PRODUCTS = """#include "k4_decode.h"
bool {symbol}(const uint8_t *text, size_t len, struct k4_scratch *scratch);
static const struct k4_product product = {{.fast = {symbol}}};
const struct k4_product *const k4_products[] = {{&product, NULL}};
"""


def _items(line: str) -> tuple[Item, ...]:
    if line.startswith("skip "):
        _, reason, message = line.split()
        return (("skip", SKIPS[int(reason)], int(message)),)
    words = iter(line.split(" ")[:-1])
    return tuple(
        ("record", RECORDS.records[int(record) - 1].word, int(message), bytes.fromhex(symbol).decode(), bytes.fromhex(data))
        for record, message, symbol, data in zip(words, words, words, words, strict=True)
    )


@pytest.fixture(scope="module", params=PRODUCTS, ids=lambda one: f"{one[0]}-{one[1]}")
def tier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fast:
    name, product = request.param
    return Fast(tmp_path_factory.mktemp("fast"), SPECS[name], product)


# --------------------------------------------------------------------------- examples


def test_every_example_is_taken(tier: Fast) -> None:
    frames = tier.examples()
    assert frames
    assert tier.taken(frames) == len(frames)


def test_no_example_is_left_out() -> None:
    for name, product in PRODUCTS:
        assert layouts(exchange.load(SPECS[name], RECORDS), RECORDS, product)[1] == ()


@pytest.mark.parametrize("tier", [product for product in PRODUCTS if product[0] == "quick"], indirect=True, ids=str)
def test_layouts_serve_every_product_with_its_own_match_words(tier: Fast) -> None:
    market = tier.product.upper().encode()
    other = {b"SPOT": b"PERP", b"PERP": b"SPOT"}[market]
    wires = [e.wire.encode() for m in tier.exchange.messages for e in m.examples if b"mkt" in e.wire.encode()]
    own = [wire.replace(other, market) for wire in wires]
    assert tier.taken(own) == len(own)
    assert tier([wire.replace(market, other) for wire in own]) == [None] * len(own)


# --------------------------------------------------------------------------- damaged frames


def test_a_text_cut_anywhere_is_declined_whatever_stands_behind_it(tier: Fast) -> None:
    for wire in tier.examples():
        cuts = range(len(wire))
        assert tier([wire[:i] for i in cuts], [wire[i:] for i in cuts]) == [None] * len(wire)
        assert tier([wire[:i] for i in cuts]) == [None] * len(wire)


def test_a_text_with_more_behind_it_is_declined(tier: Fast) -> None:
    frames = [wire + tail for wire in tier.examples() for tail in (b"}", b" ", b",", wire, b"\0")]
    assert tier.taken(frames) == 0


def test_every_byte_changed(tier: Fast) -> None:
    others = b'"\\,:{}[]0159-+.eEtfnxXZ@ \x00\x1f\x7f\x80\xc3\xff'
    rng = random.Random(5)
    for wire in tier.examples():
        frames = [
            wire[:i] + bytes([other]) + wire[i + 1 :]
            for i in range(len(wire))
            for other in (*rng.choices(others, k=5), ord("1"))
            if wire[i] != other
        ]
        assert 0 < tier.taken(frames) < len(frames)


def test_every_byte_left_out_or_given_twice(tier: Fast) -> None:
    for wire in tier.examples():
        frames = [wire[:i] + wire[i + 1 :] for i in range(len(wire))] + [wire[:i] + wire[i - 1 :] for i in range(1, len(wire))]
        assert 0 < tier.taken(frames) < len(frames)


# --------------------------------------------------------------------------- varied values

_DECIMALS = [
    "0", "0.0", "1", "25.35190000", "0.00000001", "95311.64000000", "123456789.12345678", "0.123456789", "12345678.12345678",
    "999999999999999999", "9999999999999999.99", "1234567890123456789", "0.000000000000000001", "-1.5", "-0", "-0.00", "01", "1.",
    ".5", "1e5", "1.5E-3", "-", "", "00.1", "1.2.3", "+1", "1 ", "NaN", "9223372036.854775807", "1e", "--1", "100000000",
    "12345678", "0.10", "1234567890123456", "12345678901234567", "0123456789012345", "-1234567890123456",
]  # fmt: skip
_DIGITS = [
    "0", "1", "12345678", "123456789", "1700000000", "1700000000123", "1700000000123456", "1700000000123456789",
    "9223372036854775807", "9223372036854775808", "9999999999999999999", "12345678901234567890", "9223372036854", "9999999999999",
    "01", "-1", "-0", "1.0", "1e3", "", "null", "2147483647", "2147483648", "0000000000000", "00", "12345678901234567",
]  # fmt: skip
_TEXTS = [
    "FOOBAR", "A", "", "a" * 48, "A" * 49, "x" * 70, "B\\u0041", 'B\\"', "caf\xe9", "\u6d4b\u8bd5USDT", "with space", "tab\t",
    "del\x7f", "brace}", "comma,", "1700000000", "buy", "sell", "normal", "forced", "yes", "no", "SPOT", "PERP", "~|^`{",
    "x" * 31, "x" * 32, "x" * 63, "trades.X", "top.x", "top.", "trades.", "book5.Q", "foobar@trade", "a@bookTicker", "@trade",
    "x@depth5@100ms", "Zz@aggTrade",
]  # fmt: skip
_WORDS = {"side": ["buy", "sell"], "class": ["normal", "forced", "odd"], "late": ["yes", "no"]}
_OTHERS = [
    "true", "false", "null", "[]", "{}", '""', '"x"', "0", "-1.5", "1e3", "tru", "TRUE", '"\\n"', "-", "01", "1.", '{"a":1}',
    "12345678901234567890123",
]  # fmt: skip


def _value(token: Value, rng: random.Random, odd: bool) -> str:
    """A value for a place of a layout: an ordinary one, or, when `odd`, anything."""
    if odd and rng.random() < 0.3:
        return rng.choice(_OTHERS)
    quote = '"' if (token.quoted if token.quoted is not None else rng.random() < 0.5) is not (odd and rng.random() < 0.2) else ""
    if token.kind == "decimal":
        text = rng.choice(_DECIMALS) if odd else f"{rng.choice((0, rng.randrange(1000), rng.randrange(10**8)))}.{rng.randrange(10**8):08d}"
    elif token.kind in ("digits", "signed"):
        text = "-" if token.kind == "signed" and rng.random() < 0.5 else ""
        text += (
            rng.choice(_DIGITS)
            if odd
            else str(rng.randrange(10 ** rng.randint(1, 12)) if rng.random() < 0.5 else 1700000000123 + rng.randrange(99))
        )
    elif token.kind == "text":
        text = rng.choice(_WORDS.get(str(token.path[-1]), _TEXTS) if rng.random() < 0.9 else _TEXTS)
    else:
        return rng.choice(_OTHERS) if odd else rng.choice(("true", "false"))
    return f"{quote}{text}{quote}"


def _frame(tokens: tuple[Token, ...], rng: random.Random, odd: float) -> str:
    out = []
    for i, token in enumerate(tokens):
        check = tokens[i + 1] if i + 1 < len(tokens) else None
        if isinstance(token, Literal | Own):
            out.append(token.data.decode())
        elif isinstance(check, Check) and rng.random() < 0.9:
            middle = "" if check.whole else rng.choice(("foobar", "X", "b-2_usdt", "Ab"))
            out.append(f'"{check.prefix.decode()}{middle}{check.suffix.decode()}"')
        elif isinstance(token, Value):
            out.append(_value(token, rng, rng.random() < odd))
        elif isinstance(token, Loop):
            count = rng.choice((0, 1, 2, 5, 6, 9)) if odd else rng.randint(1, 5)
            out.append("[" + ",".join(_frame(token.tokens, rng, odd) for _ in range(count)) + "]")
    return "".join(out)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), odd=st.sampled_from((0.0, 0.05, 0.3)))
def test_what_is_taken_is_what_the_reference_gives(tier: Fast, seed: int, odd: float) -> None:
    rng = random.Random(seed)
    tier.taken([_frame(rng.choice(tier.layouts).tokens, rng, odd).encode() for _ in range(40)])


def test_ordinary_values_are_taken(tier: Fast) -> None:
    """The other way round: what the reference reads as records of ordinary values is not left to the tolerant tier."""
    rng = random.Random(7)
    frames = [_frame(rng.choice(tier.layouts).tokens, rng, 0).encode() for _ in range(400)]
    plain = [f for f in frames if f.isascii() and b"\\" not in f and b"\x7f" not in f and b"\t" not in f]
    good = [f for f in plain if (found := tier.reference(f)).items and all(item[0] == "record" for item in found.items)]
    assert len(good) > 50
    assert tier.taken(good) == len(good)


@pytest.mark.parametrize("tier", [("quick", "spot")], indirect=True, ids=str)
def test_values_at_their_ends(tier: Fast) -> None:
    """What a record just holds is taken, one more is left to the tier that says why not."""
    usual = {"s": "FOOBAR", "f": 2, "l": 4, "p": "1.5", "q": "2"}
    cases: list[tuple[dict[str, object], bool]] = [
        ({"f": 0, "l": (1 << 31) - 2}, True),
        ({"f": 0, "l": (1 << 31) - 1}, False),
        ({"f": 5, "l": 5}, True),
        ({"f": 5, "l": 4}, False),
        ({"s": "A" * 48}, True),
        ({"s": "A" * 49}, False),
        ({"s": ""}, False),
        ({"p": "123456789.123456789"}, True),
        ({"p": "-99999999999999999.9"}, True),
        ({"p": "1234567890.123456789"}, False),
        ({"p": "0123456789.5"}, False),
        ({"p": "-01.5"}, False),
        ({"p": "-0.5"}, True),
        ({"f": (1 << 63) - 1, "l": (1 << 63) - 1}, True),
        ({"f": 1 << 63, "l": 1 << 63}, False),
        ({"f": "07", "l": "08"}, False),
    ]
    for changes, taken in cases:
        v = usual | changes
        frame = f'{{"note":"text","kind":"agg","s":"{v["s"]}","a":1,"f":{v["f"]},"l":{v["l"]},"p":"{v["p"]}","q":"{v["q"]}","m":true}}'
        assert (tier.taken([frame.encode()]) == 1) is taken, frame


@pytest.mark.parametrize("tier", [("binance", "spot")], indirect=True, ids=str)
def test_levels_that_no_record_keeps_have_no_say(tier: Fast) -> None:
    """In how many fraction digits there are, which would be more than any of them fits with."""
    wires = [wire for wire in tier.examples() if b'"bids":[[' in wire and b"depth5" in wire]
    assert wires
    level = b',["0.00000000000001","1.5"]'
    for wire in wires:
        end = wire.rindex(b"]]") + 1
        assert tier.taken([wire.replace(b']],"asks"', b"]" + level + b'],"asks"'), wire[:end] + level + wire[end:]]) == 2


@pytest.mark.parametrize("flags", [("-U__SSE2__",), ("-march=x86-64-v3",)], ids=["plain C", "v3"])
def test_other_instruction_sets_read_the_same(flags: tuple[str, ...], tmp_path: Path) -> None:
    if flags == ("-march=x86-64-v3",) and " avx2 " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no x86-64-v3")
    tier = Fast(tmp_path, SPECS["binance"], "spot", *flags)
    rng = random.Random(3)
    examples = tier.examples()
    assert tier.taken(examples) == len(examples)
    cut = [wire[:i] for wire in examples for i in range(len(wire))]
    assert tier(cut) == [None] * len(cut)
    assert tier.taken([_frame(rng.choice(tier.layouts).tokens, rng, 0.2).encode() for _ in range(300)]) > 20


@pytest.mark.parametrize(("venue", "product"), [("binance", "ubase"), ("okx", "swap"), ("bitget", "usdt-futures"), ("bybit", "linear")])
def test_every_exchange_is_read_as_the_reference_does(venue: str, product: str, tmp_path: Path) -> None:
    tier = Fast(tmp_path, places.schema() / f"exchange/{venue}.toml", product)
    rng = random.Random(11)
    market = [m for m in tier.exchange.messages if product in m.products and m.json and m.record in ir.MARKET_RECORDS]
    examples = [e.wire.encode() for m in market for e in m.examples if e.product == product]
    assert examples
    assert tier.taken(examples) == len(examples)
    frames = [_frame(rng.choice(tier.layouts).tokens, rng, 0.05).encode() for _ in range(600)]
    assert tier.taken(frames) > 60
    for wire in [frame for frame, items in zip(frames, tier(frames), strict=True) if items is not None][:20]:
        cuts = range(len(wire))
        assert tier([wire[:i] for i in cuts], [wire[i:] for i in cuts]) == [None] * len(wire)


def test_an_empty_text_is_not_any_other_value_of_a_map(tier: Fast) -> None:
    wires = [wire for wire in tier.examples() if b'"class":"normal"' in wire]
    for wire in wires:
        assert tier.taken([wire.replace(b'"normal"', b'"new"')]) == 1
        assert tier([wire.replace(b'"normal"', b'""')]) == [None]
        assert tier([wire.replace(b'"yes"', b'"perhaps"')]) == [None]
    assert bool(wires) == ((tier.exchange.name, tier.product) == ("quick", "spot"))


def test_more_elements_than_the_scratch_holds_are_declined(tier: Fast) -> None:
    loops = [layout for layout in tier.layouts if any(isinstance(token, Loop) and token.most == 0 for token in layout.tokens)]
    for layout in loops:
        market = tier.product.upper().encode()
        wires = [e.wire.encode().replace(b"SPOT", market) for m in tier.exchange.messages for e in m.examples]
        wire = next(wire for wire in wires if b'"rows"' in wire)
        head, _, tail = wire.partition(b'"rows":[')
        row = tail[: tail.index(b"}") + 1]
        assert layout.record == "trade"
        assert tier.taken([head + b'"rows":[' + b",".join([row] * count) + b"]}" for count in (1, 63, 64)]) == 3
        assert tier([head + b'"rows":[' + b",".join([row] * count) + b"]}" for count in (0, 65)]) == [None, None]


# --------------------------------------------------------------------------- no layout where it is not certain


def _left_out(text: str, folder: Path, name: str = "doubt") -> list[str]:
    path = folder / f"{name}.toml"
    path.write_text(text)
    spec = exchange.load(path, RECORDS)
    return [one.reason for one in layouts(spec, RECORDS, "spot")[1]]


_DOUBT = """name = "doubt"
[product.spot]
url = "wss://doubt.example/x"
[session]
ping = {{}}
[[message]]
record  = "trade"
match   = {match}
order   = "window"
fields  = {{ symbol = "s", trade_id = "i", price = {price}, qty = "q", buyer_is_maker = "m" }}
example = [{{ wire = '''{wire}''', expect = [{{ symbol = "X", trade_id = 1, price = "2", qty = "3", buyer_is_maker = true }}] }}]
"""
_PLAIN = '{"e":"t","s":"X","i":1,"p":"2","q":"3","m":true,"o":"z"}'


@pytest.mark.parametrize(
    ("match", "price", "wire", "extra", "reason"),
    [
        ('{ e = "t" }', '"p"', _PLAIN, "", None),
        ('{ e = "t" }', '{ "p" = "abs" }', _PLAIN, "", "price: price read as abs"),
        ('{ e = "t" }', '"p"', '{"e":"t","s":"X","i":1,"p":"2","q":"3","m":true,"o":1,"o":2}', "", "a key is given twice in the example"),
        ('{ e = "t" }', '"p"', '{"e":"t","s":"X","i":1,"\\u0070":"2","q":"3","m":true}', "", "a key is escaped in the example"),
        (
            '{ e = "t" }', '"p"', _PLAIN,
            "[[message]]\nrecord = \"notice\"\nmatch = { o = \"bye\" }\nexample = [{ wire = '{\"o\":\"bye\"}', expect = [{}] }]\n",
            'message "notice" of line 12 may take such a frame too',
        ),
        (
            '{ e = "t" }', '"p"', _PLAIN,
            "[[message]]\nrecord = \"notice\"\nmatch = { o = \"bye\", e = \"\" }\nexample = [{ wire = '{\"o\":\"bye\"}', expect = [{}] }]\n",
            None,
        ),
    ],
)  # fmt: skip
def test_doubt_leaves_a_message_to_the_tolerant_tier(
    match: str, price: str, wire: str, extra: str, reason: str | None, tmp_path: Path
) -> None:
    assert _left_out(_DOUBT.format(match=match, price=price, wire=wire) + extra, tmp_path) == ([] if reason is None else [reason])


_TWO = """name = "two"
[product.all]
url  = "wss://two.example/x"
vars = {{ tail = "{tail_all}" }}
[product.some]
url  = "wss://two.example/x"
vars = {{ tail = "{tail_some}" }}
[session]
ping = {{}}
[[message]]
record  = "trade"
match   = {{ e = "t", s = "*$tail" }}
order   = "window"
fields  = {{ symbol = "s", trade_id = "i", price = "p", qty = "q", buyer_is_maker = "m" }}
example = [{{ wire = '{wire}', expect = [{{ symbol = "{symbol}", trade_id = 1, price = "2", qty = "3", buyer_is_maker = true }}] }}]
"""


@pytest.mark.parametrize(("tails", "product"), [(("", "-X"), "some"), (("-X", ""), "all")])
def test_an_example_of_another_product_is_matched_by_ones_own_patterns(tails: tuple[str, str], product: str, tmp_path: Path) -> None:
    """One product takes any symbol, the other those with an ending; the example is of the first."""
    symbol = "FOO" + tails[0]
    path = tmp_path / "two.toml"
    wire = _PLAIN.replace('"X"', f'"{symbol}"')
    path.write_text(_TWO.format(tail_all=tails[0], tail_some=tails[1], wire=wire, symbol=symbol))
    for name in ("all", "some"):
        folder = tmp_path / name
        folder.mkdir()
        tier = Fast(folder, path, name)
        found = tier([_PLAIN.replace('"X"', f'"{text}"').encode() for text in ("FOO-X", "FOO", "-Y", "F-XO")])
        taken = [items is not None for items in found]
        assert taken == ([True, False, False, False] if name == product else [True] * 4)


_BEHIND = """name = "behind"
[product.spot]
url = "wss://behind.example/x"
[session]
ping = {{}}
[[message]]
record  = "trade"
match   = {{ e = "t" }}
each    = "rows[*]"
order   = "window"
fields  = {{ symbol = "@.s", event_ns = {{ "at" = "ms" }}, engine_ns = {{ "@.at" = "auto" }}, trade_id = "@.i", price = "@.p", qty = {qty}, buyer_is_maker = "@.m" }}
[[message.example]]
wire   = '{wire}'
expect = [{{ symbol = "X", event_ns = 1700000000123000000, engine_ns = 1700000000100000000, trade_id = 1, price = "2", qty = "3", buyer_is_maker = true }}]
"""
_ROW = '{"s":"X","i":1,"p":"2","q":"3","m":true,"at":"1700000000100"}'


def test_values_behind_the_elements_are_those_of_the_same_frame(tmp_path: Path) -> None:
    """The elements are read before what stands behind them, and so are their records."""
    path = tmp_path / "behind.toml"
    wire = f'{{"e":"t","rows":[{_ROW}],"at":1700000000123}}'
    path.write_text(_BEHIND.format(qty='"@.q"', wire=wire))
    tier = Fast(tmp_path, path, "spot")
    frames = [wire.replace("1700000000123", f"17000000{n:05}").replace(_ROW, ",".join([_ROW] * (1 + n % 3))).encode() for n in range(40)]
    assert tier.taken(frames) == len(frames)
    broken = [wire.replace("1700000000123", "x").encode(), wire.replace("1700000000123", "99999999999999999").encode()]
    assert tier(broken) == [None, None]


def test_only_times_and_ids_are_filled_from_behind(tmp_path: Path) -> None:
    wire = f'{{"e":"t","rows":[{_ROW}],"at":1700000000123,"q":"3"}}'
    assert _left_out(_BEHIND.format(qty='"q"', wire=wire), tmp_path, "behind") == ["qty: a value behind the elements that give the records"]


_SIGNED = """name = "signed"
[product.spot]
url = "wss://signed.example/x"
[session]
ping = {}
[[message]]
record = "bbo"
match  = { e = "q" }
order  = "increasing"
[message.fields]
symbol    = "s"
update_id = "u"
bid_price = "b"
bid_qty   = "B"
ask_price = "a"
ask_qty   = "A"
[[message.example]]
wire   = '{"e":"q","s":"X","u":7,"b":"1.5","B":"2","a":"1.6","A":"3","n":12}'
expect = [{ symbol = "X", update_id = 7, bid_price = "1.5", bid_qty = "2", ask_price = "1.6", ask_qty = "3" }]
[[message.example]]
wire   = '{"e":"q","s":"X","u":-1,"b":"1.5","B":"2","a":"1.6","A":"3","n":0}'
expect = [{ symbol = "X", update_id = -1, bid_price = "1.5", bid_qty = "2", ask_price = "1.6", ask_qty = "3" }]
"""


def test_integers_that_an_example_has_below_zero_have_a_sign(tmp_path: Path) -> None:
    path = tmp_path / "signed.toml"
    path.write_text(_SIGNED)
    tier = Fast(tmp_path, path, "spot")
    good = ["0", "-0", "-1", "12345", "-9876543210", "1700000000123456", "-1700000000123456", "-123456789012345678", "9223372036854775807"]
    wires = [f'{{"e":"q","s":"X","u":{u},"b":"1.5","B":"2","a":"1.6","A":"3","n":0}}'.encode() for u in (*good, "-9223372036854775807")]
    assert tier.taken(wires) == len(wires)
    bad = [
        "--1",
        "-",
        "-01",
        "01",
        "+1",
        "-1.0",
        "-1e3",
        "-9223372036854775808",
        "-92233720368547758070",
        "9223372036854775808",
        '"-1"',
        "null",
    ]
    assert tier([wires[0].replace(b'"u":0', f'"u":{u}'.encode()) for u in bad]) == [None] * len(bad)


def test_what_is_ignored_is_proven_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "signed.toml"
    path.write_text(_SIGNED)
    tier = Fast(tmp_path, path, "spot")
    wire = b'{"e":"q","s":"X","u":7,"b":"1.5","B":"2","a":"1.6","A":"3","n":12}'
    good = [
        "0",
        "9",
        "1234567890123456",
        "12345678901234567",
        "9" * 70,
        "-5",
        "1.25",
        "-0.5",
        "true",
        "false",
        "null",
        '""',
        '"a b"',
        '"' + "x" * 90 + '"',
    ]
    assert tier.taken([wire.replace(b"12", n.encode()) for n in good]) == len(good)
    bad = ["", "01", "00", "1.", "1..2", "-", "1e", "1x", "1 2", "tru", "nul", '"a', '"\\u00"', "[", "1]", "0x10", "1-2", "1/2", "1:2"]
    assert tier([wire.replace(b"12", n.encode()) for n in bad]) == [None] * len(bad)


# --------------------------------------------------------------------------- the text


def test_the_same_spec_gives_the_same_text_whatever_was_rendered_before() -> None:
    spec = exchange.load(SPECS["binance"], RECORDS)
    first = fast.render_exchange(spec, RECORDS)
    fast.render_exchange(exchange.load(SPECS["quick"], RECORDS), RECORDS)
    assert fast.render_exchange(spec, RECORDS) == first


def test_a_product_without_layouts_declines(tmp_path: Path) -> None:
    text = _DOUBT.format(match='{ e = "t" }', price='{ "p" = "abs" }', wire=_PLAIN)
    path = tmp_path / "doubt.toml"
    path.write_text(text)
    spec: ir.Exchange = exchange.load(path, RECORDS)
    tier = Fast(tmp_path, path, "spot")
    assert [e.wire for m in spec.messages for e in m.examples] == [_PLAIN]
    assert tier([_PLAIN.encode()]) == [None]
