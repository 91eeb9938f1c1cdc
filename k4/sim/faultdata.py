"""Faults of data: messages that are lost, repeated, wrong, and answers that are not as they should be. Imports `fault`, `tamper`, `tampersbe`."""

from __future__ import annotations

from k4.sim import tamper, tampersbe
from k4.sim.fault import Fault, Message, Reply, Request

REFUSED = "refused with this code and the place, counted; nothing of it is published; what comes next is; a book is asked for anew"
ONCE = "every update once, by whichever connection brings it"
EPOCH = "a new epoch: at once, or after a second in which nobody brings an id from before; its first record carries RESET, no symbol is silenced"


def _refused(name: str, how: str, alter: tamper.Alter, code: str) -> Fault:
    return Fault(name, how, REFUSED, Message(alter), code=code)


DATA = (
    Fault("gap", "a message is left out", "a sibling fills it in; alone: gaps counted and flagged where ids step by one, a book resyncs", Message(tamper.gap)),
    Fault("stuck-stream", "a stream stops on a link that goes on with others, until it is subscribed anew there", "subscribed anew on that connection after the venue's own silence, or 10 s after a sibling went on with it; siblings are left alone, every update once",
          Message(tamper.stuck)),
    Fault("duplicate", "a message comes twice", ONCE + "; the second is a duplicate", Message(tamper.duplicate)),
    Fault("reorder", "a message comes behind the next of its stream", ONCE + "; of events the later one carries LATE, of states the newest counts, a book resyncs", Message(tamper.reorder)),
    Fault("late", "a message comes so many milliseconds late, others pass it", ONCE + "; of events it carries LATE, of states the newest counts, a book resyncs", Message(tamper.late), options={"ms": 100.0}),
    Fault("id-reset", "ids begin anew at 1, on all connections from then on", EPOCH, Message(tamper.id_reset, lasting=True)),
    Fault("id-zero", "a message whose ids are 0", "dropped or a moment's epoch; no symbol is silenced, the next ids go on within a second", Message(tamper.id_zero)),
    Fault("id-wrap", "ids run up to 2^63 - 1 and begin anew at 0, on all connections", EPOCH, Message(tamper.id_wrap, lasting=True), options={"left": 50.0}),
    _refused("malformed", "half a text", tamper.malformed, "malformed"),
    _refused("missing-key", "a needed value is not there", tamper.missing_key, "missing"),
    _refused("double-key", "a key on the way to a needed value stands twice", tamper.double_key, "duplicate"),
    _refused("renamed-key", "a key on the way to a needed value has another name", tamper.renamed_key, "missing"),
    _refused("retyped", "a needed number is a truth value", tamper.token("true"), "type"),
    _refused("huge-number", "a needed number of 24 digits that does not fit 64 bits", tamper.value("123456789012345678901234"), "range"),
    _refused("huge-exponent", "a needed number is 1e999", tamper.value("1e999"), "range"),
    _refused("nan", "a needed number is NaN, in quotes", tamper.token('"NaN"'), "type"),
    _refused("bare-nan", "a needed number is NaN, which is no JSON", tamper.token("NaN"), "malformed"),
    _refused("infinity", "a needed number is Infinity, in quotes", tamper.token('"Infinity"'), "type"),
    _refused("empty-string", "a needed number is an empty text", tamper.token('""'), "missing"),
    _refused("long-symbol", "a symbol of 49 bytes", tamper.symbol("X" * 49), "symbol"),
    Fault("unknown-symbol", "a symbol that nobody asked for", "counted; no slot is made for it, nothing is published", Message(tamper.symbol("K4UNKNOWN"))),
    Fault("foreign-symbol", "a symbol in letters beyond ASCII that nobody asked for", "counted; no slot is made for it, nothing is published", Message(tamper.symbol("测试测试"))),
    Fault("extra-key", "one more key in every object", "data goes on, by the tolerant parser; counted and shown", Message(tamper.extra_key)),
    Fault("crossed-quote", "the prices of a quote's two sides change places", "published as the venue says it", Message(tamper.crossed)),
    Fault("checksum", "a book's checksum is another", "that book is stale and is asked for anew; siblings go on, and so do quotes and trades", Message(tamper.checksum)),
    Fault("chain-break", "an update of a book says that it follows one that has not come", "that book is stale and is asked for anew; siblings go on, and so do quotes and trades", Message(tamper.chain_break)),
)  # fmt: skip

SBE = (
    _refused("sbe-short", "half an SBE message", tampersbe.sbe(tampersbe.short), "malformed"),
    _refused("sbe-tail", "bytes behind an SBE message", tampersbe.sbe(tampersbe.tail), "malformed"),
    _refused("sbe-schema", "the id of another SBE schema", tampersbe.sbe(tampersbe.schema_id), "malformed"),
    _refused("sbe-block", "an SBE block shorter than its fields", tampersbe.sbe(tampersbe.block), "malformed"),
    _refused("sbe-group", "an SBE group of as many entries as can be said, of no bytes each", tampersbe.sbe(tampersbe.group), "malformed"),
    _refused("sbe-exponent", "exponents that leave no room for a price", tampersbe.sbe(tampersbe.exponent), "range"),
    Fault("sbe-template", "an SBE message that no spec names", "skipped unread, counted; data goes on", Message(tampersbe.sbe(tampersbe.template_id))),
    Fault("sbe-version", "an SBE message of the schema's next version", "data goes on", Message(tampersbe.sbe(tampersbe.version))),
)  # fmt: skip

REQUESTS = (
    Fault("reject-subscribe", "a request to subscribe is refused", "named in the log, by symbol; its streams are STALE; asked for again later", Request("reject")),
    Fault("half-accept", "every second stream of a request is acknowledged and stays silent", "after the venue's own silence or 30 s named in the log, by symbol; STALE", Request("half")),
    Fault("silent-stream", "what is asked for is acknowledged and stays silent", "after the venue's own silence or 30 s named in the log, by symbol; STALE", Request("silent")),
    Fault("no-ack", "a request is not answered at all", "after 10 s named in the log, by symbol", Request("mute")),
)  # fmt: skip

ASKED_AGAIN = "told in the log; asked for again after 5 s, 10 s and so on; a book stays RESYNC meanwhile, quotes and trades go on"
REST = (
    Fault("rest-429", "fetching is answered by 429 and Retry-After", "no request to that host for so long; " + ASKED_AGAIN, Reply(429), options={"retry": 2.0}),
    Fault("rest-418", "fetching is answered by 418 and Retry-After", "no request to that host for so long; " + ASKED_AGAIN, Reply(418), options={"retry": 2.0}),
    Fault("rest-500", "fetching is answered by 500", ASKED_AGAIN, Reply(500)),
    Fault("rest-slow", "the answer to fetching comes so many seconds late", "waited for up to 50 s; updates are held meanwhile", Reply(200), options={"wait": 2.0}),
    Fault("rest-garbage", "fetching is answered by a page", ASKED_AGAIN, Reply(200, garbage=True)),
    Fault("rest-cut", "the answer to fetching ends half-way", ASKED_AGAIN, Reply(200, cut=True)),
)  # fmt: skip
