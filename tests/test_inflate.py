"""Compressed payloads against zlib: every stream that it unpacks comes out the same, every other one is broken, and none leaves its room."""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from k4._codegen import generate, places
from tests.codegen import compiled

GZIP, DEFLATE = 1, 2
BITS = {GZIP: 31, DEFLATE: -15}
SOURCES = ("k4_inflate", "k4_crc32")

Case = tuple[int, int, bytes]  # encoding, room, payload


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inflate")
    (folder / "k4_records.h").write_text(generate.records_header(compiled.RECORDS))
    sources = [Path(__file__).parent / "c/drive_inflate.c", *(places.csrc() / f"{name}.c" for name in SOURCES)]
    program = folder / "drive"
    compiled.compile_all(folder, sources, program, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return program


def unpacked(driver: Path, folder: Path, cases: list[Case]) -> list[str]:
    file = folder / "payloads"
    file.write_bytes(b"".join(struct.pack("<III", encoding, room, len(payload)) + payload for encoding, room, payload in cases))
    done = subprocess.run([driver, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return done.stdout.splitlines()


def expected(encoding: int, room: int, payload: bytes) -> str:
    stream = zlib.decompressobj(BITS[encoding])
    try:
        out = stream.decompress(payload, room + 1)
        if len(out) <= room and not stream.eof:
            out += stream.flush()  # the end of a stream that has filled its room
    except zlib.error:
        return "broken 0 0"
    if len(out) > room:
        return "long 0 0"
    return f"inflated {len(out)} {zlib.crc32(out)}" if stream.eof and not stream.unused_data else "broken 0 0"


def packed(text: bytes, encoding: int, rng: random.Random) -> bytes:
    """The text in one of the many ways there are."""
    level, strategy, memory = (
        rng.choice((0, 1, 1, 6, 9)),
        rng.choice((0, 0, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)),
        rng.choice((1, 8, 9)),
    )
    stream = zlib.compressobj(level, zlib.DEFLATED, BITS[encoding], memory, strategy)
    out = b""
    for at in range(0, len(text), 900):
        out += stream.compress(text[at : at + 900])
        if rng.random() < 0.1:
            out += stream.flush(rng.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH)))
    return out + stream.flush()


def text_of(rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(3000))
    if kind == 1:
        return bytes([rng.randrange(256)]) * rng.randrange(70_000)
    if kind == 2:
        return bytes(rng.choices(b"ab", k=rng.randrange(2000)))
    words = [
        f'{{"p":"{rng.randrange(10**6)}","q":"{rng.random():.3f}","s":"{rng.choice("AB")}"}}' for _ in range(rng.choice((1, 20, 1500)))
    ]
    return ("[" + ",".join(words) + "]").encode()


def damaged(payload: bytes, rng: random.Random) -> bytes:
    data = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data[at:at] = rng.randbytes(rng.choice((1, 3)))
        elif kind == 2:
            data = data[:at] + data[at + 1 :]
        elif data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
    return bytes(data)


def test_streams_as_zlib_reads_them(driver: Path, tmp_path: Path) -> None:
    rng = random.Random(20261129)
    cases: list[Case] = []
    for _ in range(4000):
        encoding, text = rng.choice((GZIP, DEFLATE)), text_of(rng)
        payload = packed(text, encoding, rng)
        room = rng.choice((len(text), len(text), len(text) + 50, max(0, len(text) - 1), len(text) // 2))
        cases.append((encoding, room, payload))
        cases += [(encoding, len(text) + rng.choice((0, 300)), damaged(payload, rng)) for _ in range(3)]
    cases += [(DEFLATE, 500, rng.randbytes(rng.randrange(60))) for _ in range(8000)]
    found = unpacked(driver, tmp_path, cases)
    wanted = [expected(*case) for case in cases]
    kinds = [line.split()[0] for line in wanted]
    assert min(kinds.count(kind) for kind in ("inflated", "broken", "long")) > 500
    for case, one, other in zip(cases, found, wanted, strict=True):
        # Where a stream is both too long and broken, how far zlib looks is its own affair.
        assert one == other or {one, other} == {"long 0 0", "broken 0 0"}, (case, one, other)


def test_headers_of_gzip(driver: Path, tmp_path: Path) -> None:
    """Every optional part of the header, cut at every byte; a member behind the first; bits that mean nothing yet."""
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = raw.compress(b"to and fro") + raw.flush()
    trailer = struct.pack("<II", zlib.crc32(b"to and fro"), 10)

    def member(flags: int) -> bytes:
        head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff"
        head += b"\x03\0abc" if flags & 4 else b""
        head += b"name\0" if flags & 8 else b""
        head += b"comment\0" if flags & 16 else b""
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & 2 else b""
        return head + body + trailer

    whole = [member(flags) for flags in range(32)]
    cases = [(GZIP, 10, one) for one in whole] + [(GZIP, 10, member(31)[:n]) for n in range(len(member(31)))]
    cases += [
        (GZIP, 10, one)
        for one in (
            whole[0] * 2,
            whole[0] + b"\0",
            member(32),
            member(128),
            b"\x1f\x8b\x07" + whole[0][3:],
            whole[2][:10] + b"\0\0" + body + trailer,
        )
    ]
    found = unpacked(driver, tmp_path, cases)
    good = f"inflated 10 {zlib.crc32(b'to and fro')}"
    assert found == [good] * 32 + ["broken 0 0"] * (len(cases) - 32)
    assert found == [expected(*case) for case in cases]


def test_a_bomb_stays_in_its_room(driver: Path, tmp_path: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    assert len(payload) < 70_000
    assert unpacked(driver, tmp_path, [(DEFLATE, 1000, payload), (DEFLATE, 64 << 20, payload)]) == [
        "long 0 0", f"inflated {64 << 20} {zlib.crc32(bytes(64 << 20))}",
    ]  # fmt: skip
