"""Compressed payloads for the reference interpreter, by zlib. May import `refjson`."""

from __future__ import annotations

import zlib

from .refjson import FrameError

MOST = 64 << 20  # bytes of one payload's text
_BITS = {"gzip": 31, "deflate": -15}


def unpack(payload: bytes, encoding: str) -> bytes:
    """The text of one whole stream. Raises FrameError `malformed` at 0: what is not unpacked has no text for an offset to point into."""
    stream = zlib.decompressobj(_BITS[encoding])
    try:
        text = stream.decompress(payload, MOST + 1)
    except zlib.error as error:
        raise FrameError("malformed", 0) from error
    if len(text) > MOST or not stream.eof or stream.unused_data:
        raise FrameError("malformed", 0)
    return text
