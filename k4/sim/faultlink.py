"""Faults of a link's life: it falls silent, slows down, floods, is cut or announced to end. Imports `fault`, `faultframes`, `faulthandshake`,
`frames`, `line`, `net`."""

from __future__ import annotations

import itertools

from k4.sim.fault import Fault, Link
from k4.sim.faultframes import CAP
from k4.sim.faulthandshake import CUT
from k4.sim.frames import PING, PONG, TEXT, closing, frame
from k4.sim.line import Line, Script, Valve
from k4.sim.net import Peer

# --------------------------------------------------------------------------- the end


async def _cut(line: Line) -> None:
    line.close()


async def _reset(line: Line) -> None:
    line.reset()


async def _vanish(line: Line) -> None:
    line.take()
    line.vanish()


async def _truncate(line: Line) -> None:
    """A message begins."""
    line.take()
    await line.send((await line.tell.more(1) or frame(TEXT, b"{}"))[:-1])
    await line.listen(0.05)


async def _truncated(line: Line) -> None:
    await _truncate(line)
    line.close()


async def _truncated_reset(line: Line) -> None:
    await _truncate(line)
    line.reset()


async def _tls_broken(line: Line) -> None:
    line.below(b"\x17\x03\x03\x00\x20" + b"\xa5" * 32)
    await line.listen()


async def _data_after_close(line: Line) -> None:
    line.take()
    more = await line.tell.more(1)
    await line.send(closing(1000, b"bye") + more)
    await line.listen(0.02)
    await line.until_gone((more or frame(TEXT, b"{}")) * 200)


async def _lingers(line: Line) -> None:
    line.take()
    await line.send(closing(1001, b"for tonight"))
    Valve(line.peer, 0)
    await line.listen(2.0)


async def _notice(line: Line) -> None:
    """The announcement, and `grace` seconds later the end."""
    await line.send(line.tell.pack(line.tell.notice()))
    await line.listen(line.option("grace"))
    line.peer.close(1001, "shutdown")
    await line.listen(1.0)


async def _aged(line: Line) -> None:
    line.peer.close(1000, "age limit")
    await line.listen(1.0)


# --------------------------------------------------------------------------- silence and slowness


async def _stall(line: Line) -> None:
    """Nothing is sent, read or answered; what was to be sent leaves when it is over."""
    valve = Valve(line.peer, 0)
    line.peer.deafen()
    try:
        await line.last_deaf()
    finally:
        line.peer.hear()  # which shows the end, where there has been one
        valve.open()


async def _slow(line: Line) -> None:
    valve = Valve(line.peer, line.option("rate"))
    try:
        await line.last()
    finally:
        valve.open()


async def _slow_frame(line: Line) -> None:
    line.take()
    Valve(line.peer, 0)
    for byte in frame(TEXT, b"x" * 300):
        line.peer.raw(bytes([byte]))
        await line.listen(0.02)


async def _empty_fragments(line: Line) -> None:
    line.take()
    await line.send(frame(TEXT, fin=False))
    await line.until_gone(frame(0, fin=False) * 8000, every_s=0.001)


def _bytewise(peer: Peer) -> None:
    def write(data: bytes) -> None:
        for byte in data:
            peer.raw(bytes([byte]))

    peer.bend = write


async def _byte_by_byte(line: Line) -> None:
    await line.send(await line.tell.more(1) + frame(PING, b"x") + await line.tell.more(2))
    await line.last()
    line.peer.bend = None


async def _corrupt(line: Line) -> None:
    """Bytes of what is sent become a control character: no JSON has it, and no frame's head can."""

    def write(data: bytes) -> None:
        bad = bytearray(data)
        mean = max(1.0, 1 / line.option("share"))
        at = int(line.random.expovariate(1 / mean))
        while at < len(bad):
            bad[at] = 0x01
            at += 1 + int(line.random.expovariate(1 / mean))
        line.peer.raw(bytes(bad))

    line.peer.bend = write
    try:
        await line.last()
    finally:
        line.peer.bend = None


# --------------------------------------------------------------------------- floods


async def _ping_flood(line: Line) -> None:
    """Pings as fast as they go, numbered, while nothing is read; then it listens, and a good record ends it."""
    line.take()
    line.peer.deafen()
    numbers = itertools.count()
    await line.send_for(lambda: b"".join(frame(PING, b"%-125d" % next(numbers)) for _ in range(500)), line.option("seconds"))
    line.peer.hear()
    await line.send(frame(PING, b"last"))
    await line.listen(0.6)
    await line.send(await line.tell.more(1))
    await line.listen()


async def _pong_flood(line: Line) -> None:
    block = frame(PONG, b"x" * 125) * 500
    await line.send_for(lambda: block, 0.5)
    await line.send(await line.tell.more(1))
    await line.last()


def _messages(make: Script) -> Script:
    """What `make` sends, then a good record."""

    async def script(line: Line) -> None:
        await make(line)
        await line.send(await line.tell.more(1))
        await line.last()

    return script


async def _burst(line: Line) -> None:
    await line.send(await line.tell.more(20_000))
    await line.last()


async def _largest(line: Line) -> None:
    for _ in range(4):
        await line.send(frame(TEXT, b'{"x":"' + b"x" * (CAP - 8) + b'"}'))


async def _unknown(line: Line) -> None:
    await line.send(b"".join(frame(TEXT, b'{"what":%d}' % n) for n in range(20_000)))


def _answers(count: int) -> Script:
    """So many answers to requests nobody made, at once."""

    async def script(line: Line) -> None:
        first = 100_000_000
        one = line.tell.pack(line.tell.answer(first))
        await line.send(b"".join(one.replace(b"%d" % first, b"%d" % (first + n)) for n in range(count)))

    return script


async def _long_answer(line: Line) -> None:
    await line.send(line.tell.pack(line.tell.answer(7).replace("7", "7" * (CAP - 200), 1)))


STAYS = "the link lives on and data with it"
NO_PROBE = "no answer to a probe for 1 s"
QUIET = r"no frame for [\d.]+ s"
GONE = "dropped; redialled"

LINKS = (
    Fault("cut", "the TCP connection ends without a word", "redialled; a redundant sibling loses nothing", Link(_cut), CUT),
    Fault("reset", "the TCP connection is reset", "redialled; a redundant sibling loses nothing", Link(_reset), CUT),
    Fault("truncate", "the connection ends inside a frame", "redialled; the part is never published", Link(_truncated), CUT),
    Fault("truncate-reset", "the connection is reset inside a frame", "redialled; the part is never published", Link(_truncated_reset), CUT),
    Fault("stall", "the peer neither sends nor answers nor closes; what it had to send comes when it is over", "probed after 0.5 s, dropped 1 s later, redialled", Link(_stall, ends=False), NO_PROBE),
    Fault("vanish", "the peer forgets the connection without a word (TCP_REPAIR)", "the first probe finds out; redialled", Link(_vanish), f"(connection lost.*|{NO_PROBE})"),
    Fault("slow", "so many bytes a second and no more", STAYS + ", later and later; a redundant sibling wins", Link(_slow, ends=False), options={"rate": 20_000.0}),
    Fault("corrupt", "bytes become 0x01, this share of them: frames' heads are broken, messages malformed", "a message is refused as malformed, a head closes the link with 1002; redialled",
          Link(_corrupt, ends=False), options={"share": 0.0005}),
    Fault("slow-frame", "a frame comes a byte every 20 ms: signs of life, no message", "closed with 1000 after silence_s without a whole frame; redialled", Link(_slow_frame), QUIET, 1000),
    Fault("empty-fragments", "empty fragments as fast as they go: no byte of a message, no message", "no memory is taken; closed with 1000 after silence_s; redialled",
          Link(_empty_fragments), QUIET, 1000),
    Fault("shutdown-notice", "the venue says that it will close the link, and does after a while", "a new link is proven first, the old one closed after; nothing is missed", Link(_notice), options={"grace": 10.0}),
    Fault("age-limit", "the venue closes a link of its age, with 1000", "answered with the same code; redialled", Link(_aged), "the peer closed the connection: 1000 age limit", 1000),
    Fault("ping-flood", "pings for a second while the peer reads nothing; where the venue sets no rate, too", STAYS + "; the newest ping is answered, within the venue's rate, and none while the write buffer is full",
          Link(_ping_flood), options={"seconds": 1.0}, published=1),
    Fault("pong-flood", "pongs nobody asked for, for half a second", STAYS, Link(_pong_flood, ends=False), published=1),
    Fault("data-after-close", "a close frame, then records without end", "answered with the same code; nothing behind it is taken; redialled", Link(_data_after_close), "the peer closed the connection: 1000 bye", 1000),
    Fault("lingering-close", "a close frame, then the TCP connection is left open", "answered and dropped; redialled", Link(_lingers), "the peer closed the connection: 1001 for tonight", 1001),
    Fault("byte-by-byte", "handshake, records and a ping, one byte per TLS record", STAYS + "; every record is published", Link(_byte_by_byte, before=_bytewise, ends=False), published=3),
    Fault("tls-broken", "a TLS record that does not decrypt", GONE, Link(_tls_broken), r"connection lost.*"),
    Fault("burst", "20 000 records at once", STAYS + "; every one is published", Link(_burst, ends=False), published=20_000),
    Fault("largest", "four messages of exactly the cap", STAYS, Link(_messages(_largest), ends=False), published=1),
    Fault("many-answers", "1 000 answers nobody asked for, at once", STAYS + "; they are read in slices of half a millisecond", Link(_messages(_answers(1000)), ends=False), published=1),
    Fault("answer-flood", "200 000 answers nobody asked for", "closed with 1008 once 2 048 wait to be read; redialled", Link(_messages(_answers(200_000))),
          "the peer floods with messages that are no market data", 1008),
    Fault("endless-answer", "an answer as long as a message may be", STAYS + "; it is named and not read", Link(_messages(_long_answer), ends=False), published=1),
    Fault("unknown-flood", "20 000 messages of a kind no spec knows", STAYS + "; the first is shown", Link(_messages(_unknown), ends=False), published=1),
)  # fmt: skip
