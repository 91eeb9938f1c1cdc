"""Is each guard guarded? Takes one away at a time, in a copy of the sources, and expects the named test to fail.

A row is a change of text that must fit exactly once, the test that has to notice, and what it must say, so that a test that fails for
another reason (or does not compile) does not count. All named tests run on an unchanged copy, too, where they must pass. `make mutants` runs all,
`mutants.py NAME...` those whose names contain a word. Not part of `make test`: a mutant takes as long as its test, and a build.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.codegen.compiled import FUNCTIONS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("codegen", "config", "csrc", "docs", "examples", "k4", "schema", "templates", "tests")
LIMIT_S = 600
QUICK = f"-O0 '{FUNCTIONS}'"  # nothing that a mutant fails for is a matter of speed


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` becomes `new` in `file`. `test`: a pytest node, `ctest NAME` for a program of tests/c, or `fuzz NAME`. `says`: a regular expression."""

    name: str
    file: str
    old: str
    new: str
    test: str
    says: str = r"^FAILED tests/|^ERROR tests/.*Assert"


WS = "csrc/k4_ws.c"
USUAL = "csrc/k4_ws.h"
FRAMING = "tests/test_framing.py::"
FAST = "tests/codegen/test_fast.py::"
SBE = "tests/codegen/test_sbe_decode.py::"
FAULT = "tests/test_faults.py::test_fault"
PROPERTIES = "tests/test_arbiter_properties.py::"
WEAK = "tests/test_weak_memory.py::test_every_execution_is_right"
STRESS = "tests/test_stress.py::test_every_record_kind_at_every_size"
READER = "csrc/k4_reader.h"
INFLATE = "csrc/k4_inflate.c"
STREAMS = "tests/test_inflate.py::test_streams_as_zlib_reads_them"
HEADER = "tests/test_reader.py::test_no_header_value_is_trusted"
JSON = r"test_json\s+exit -6|ERROR: AddressSanitizer"
LATEST = "            k4_segment_put(segment->latest + (size_t)instrument * segment->stride, n, slot[1], slot + 1, segment->words);\n"

MUTANTS = (
    # Framing: what a length may be, and how much of a frame there is.
    Mutant("frame length without its cap", WS, "if ((p[0] & 0x08) == 0 && len > ws->message_cap - ws->joined)", "if ((p[0] & 0x08) == 0 && len >> 40 != 0)",
           FRAMING + "test_memory_of_endless_fragments_is_bounded"),
    Mutant("cap forgets what is joined", WS, "len > ws->message_cap - ws->joined", "len > ws->message_cap", FRAMING + "test_memory_of_endless_fragments_is_bounded"),
    Mutant("usual frame not looked at for its end", USUAL, "if (have - head < len || len > ws->message_cap)", "if (len > ws->message_cap)", FRAMING + "test_case"),
    Mutant("frame taken before it is whole", WS, "    if (have < ws->need)\n", "    if (have + 1 < ws->need)\n", FRAMING + "test_case"),
    Mutant("long length form for a short one", WS, "if (bytes == 2 ? len < 126 : (len < 65536 || len >> 63 != 0))", "if (bytes == 8 && len >> 63 != 0)", FRAMING + "test_case"),
    Mutant("usual frame in a long form", USUAL, "        if (len < 126)\n            return false;\n", "", FRAMING + "test_case"),
    # Framing: what the first two bytes may say.
    Mutant("reserved bits not looked at", WS, "    if (first & 0x70)\n        return K4_WS_RESERVED_BITS;\n", "", FRAMING + "test_case"),
    Mutant("one reserved bit not looked at", WS, "first & 0x70", "first & 0x60", FRAMING + "test_case"),
    Mutant("reserved opcodes taken", WS, "(opcode > OP_BINARY && opcode < OP_CLOSE) || opcode > OP_PONG", "opcode > OP_PONG", FRAMING + "test_case"),
    Mutant("masked frames taken", WS, "    if (second & 0x80)\n        return K4_WS_MASKED;\n", "    second &= 0x7f;\n", FRAMING + "test_case"),
    Mutant("long control frames taken", WS, "second > K4_WS_CONTROL_MAX ?", "second > 127 ?", FRAMING + "test_case"),
    Mutant("fragmented control frames taken", WS, "        if ((first & 0x80) == 0)\n            return K4_WS_CONTROL_FRAGMENT;\n", "", FRAMING + "test_case"),
    Mutant("orphan continuations taken", WS, "return ws->opcode == 0 ? K4_WS_ORPHAN : K4_WS_FINE;", "return K4_WS_FINE;", FRAMING + "test_case"),
    Mutant("surrogates are UTF-8", "csrc/k4_utf8.h", "        if (lead == 0xed)\n            *high = 0x9f;\n", "", FRAMING + "test_utf8_agrees_with_pythons_decoder"),
    Mutant("a fragmented text may end inside a character", WS, "bad || (last && ws->checked != ws->joined)", "bad", FRAMING + "test_case"),
    Mutant("data after close is taken", WS, "    ws->closed = 1;\n    return K4_WS_CLOSE;", "    return K4_WS_CLOSE;", FRAMING + "test_case"),
    # Fast tier: every comparison with the text's end.
    Mutant("fast: one record, end not compared", "templates/fast_steps.j2", "    if (p != end || !{{ node.put }}(v, &scratch->items[0]))", "    if (end == NULL || !{{ node.put }}(v, &scratch->items[0]))",
           FAST + "test_a_text_cut_anywhere_is_declined_whatever_stands_behind_it"),
    Mutant("fast: many records, end not compared", "templates/fast_steps.j2", "    if (p != end || scratch->count == 0)", "    if (scratch->count == 0)",
           FAST + "test_a_text_cut_anywhere_is_declined_whatever_stands_behind_it"),
    Mutant("fast: more behind the end", "templates/fast_steps.j2", "    if (p != end || !{{ node.put }}(v, &scratch->items[0]))", "    if (p > end || !{{ node.put }}(v, &scratch->items[0]))",
           FAST + "test_a_text_with_more_behind_it_is_declined"),
    Mutant("fast: a given symbol is read past", "templates/fast.c.j2", "    if (scratch->symbol != NULL)\n        return false;", "    if (scratch->symbol == (const uint8_t *)text)\n        return false;",
           "fuzz quick_perp", "does not hold: with a given symbol the fast tier declines"),
    # The fuzz targets find by themselves what the tests above were written for.
    Mutant("fuzz: usual frame not looked at for its end", USUAL, "if (have - head < len || len > ws->message_cap)", "if (len > ws->message_cap)",
           "fuzz ws", "does not hold: any reads give|ERROR: AddressSanitizer"),
    Mutant("fuzz: fast tier, end not compared", "templates/fast_steps.j2", "    if (p != end || !{{ node.put }}(v, &scratch->items[0]))", "    if (end == NULL || !{{ node.put }}(v, &scratch->items[0]))",
           "fuzz quick_perp", "does not hold: as many items|does not hold: record"),
    # Connections.
    Mutant("the peer's close is not answered", "k4/link.py", "self.drop(reason, None if ours else answer)", "self.drop(reason, None)", FAULT + "[data-after-close]"),
    Mutant("a failure is not told the peer", "k4/link.py", 'self.drop(f"the peer broke the protocol: {text}", code)', 'self.drop(f"the peer broke the protocol: {text}")', FAULT + "[rsv]"),
    Mutant("response head without a limit", "k4/link.py", "            if self._head_len == len(self._head):", "            if self._head_len == 1 << 30:", FAULT + "[endless-headers]"),
    Mutant("a symbol that the spec names is left in its constant", "templates/parser_read.j2", 'k4_take_symbol{{ "_of_spec" if source.map is not none or source.how == "text" }}(get, out)', "k4_take_symbol(get, out)",
           "tests/codegen/test_tolerant.py::test_a_symbol_that_the_spec_names_stands_in_its_item"),
    Mutant("a dial that ends leaves its transport to TLS", "k4/link.py", "                link.abort()\n                raise", "                raise",
           "tests/test_link.py::test_a_stop_just_when_tls_is_up_lets_go_of_the_transport"),
    Mutant("a silent link is kept", "k4/life.py", "if self._probe_ns and now_ns - self._probe_ns >= PROBE_DEAD_NS:", "if self._probe_ns and now_ns < self._probe_ns:", FAULT + "[stall]"),
    Mutant("a thread's own absence is a second of ids", "csrc/k4_feed.c", "(passed < K4_FEED_STEP_NS ? passed : K4_FEED_STEP_NS)", "passed", "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("a worker's own absence is a peer's silence", "k4/life.py", "if self._probe_ns and held_up:", "if self._probe_ns < 0 and held_up:", "tests/test_held_up.py::test_a_peer_that_was_held_up_as_well_has_time_to_answer"),
    Mutant("every ping of a read is kept", "csrc/k4_events.c", "    k4_event *event = newest(events, kind, 0);", "    k4_event *event = push(events);", FAULT + "[ping-flood-unlimited]"),
    Mutant("a backlog without bounds", "k4/inbox.py", "BACKLOG_MESSAGES = 2048\nBACKLOG_BYTES = 256 * 1024", "BACKLOG_MESSAGES = 1 << 40\nBACKLOG_BYTES = 1 << 40", FAULT + "[answer-flood]"),
    Mutant("a success ends the backoff", "k4/backoff.py", "if good_for >= self._good:", "if good_for >= 0:", "tests/test_storm.py::test_one_connection_is_patient_and_never_in_step"),
    Mutant("backoff without jitter", "k4/backoff.py", "wait = self._rng.uniform(0.0, min(self.ceiling, most))", "wait = min(self.ceiling, most)", "tests/test_storm.py::test_one_connection_is_patient_and_never_in_step"),
    Mutant("dials without their lock", "k4/ledger.py", "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "        fcntl.flock(file, fcntl.LOCK_UN)\n",
           "tests/test_dials.py::test_a_lock_that_is_held_is_waited_for_but_not_for_ever"),
    Mutant("dials not counted", "k4/dials.py", "            rows.append((at,))\n", "", "tests/test_storm.py::test_many_connections_stay_inside_the_hosts_limit"),
    Mutant("a refused request is not split", "k4/subscription.py", "                self._ask_again(streams[middle:])\n", "", "tests/test_subscription.py::test_a_request_refused_as_a_whole_is_asked_for_in_halves"),
    Mutant("a quiet stream stays LIVE", "k4/watch.py", " and not quiet else STALE", " else STALE",
           "tests/test_run_parts.py::test_a_stream_quiet_for_longer_than_the_venue_says_is_stale"),
    Mutant("a stuck stream is left alone while a sibling brings it", "csrc/k4_heard.c", "heard->times[i].missing_ns = feed->survey_ns;", "heard->times[i].missing_ns = 0;",
           "tests/test_fault_data.py::test_a_stream_that_is_stuck_on_one_of_two_connections_is_subscribed_anew_there[bbo]"),
    Mutant("siblings grow old together", "k4/connection.py", "AGE_SPREAD = 0.45", "AGE_SPREAD = 0.0", "tests/test_rotation.py::test_two_days_of_two_siblings_in_two_parts"),
    Mutant("a request weighs one, whatever it weighs", "k4/weights.py", "rows.append((at, weight))", "rows.append((at, 1))", "tests/test_weights.py::test_heavy_requests_are_rarer_than_light_ones"),
    Mutant("pongs take all that may be sent", "k4/life.py", "self._budget.take(time.monotonic(), 1)", "self._budget.take(time.monotonic())",
           "tests/test_life.py::test_the_venues_keepalive_is_kept_while_data_flows_and_inside_its_limit"),
    Mutant("the slowest in one window is the slowest", "k4/slowest.py", "        if self._windows < WINDOWS:", "        if self._windows < 1:", "tests/test_slowest.py::test_one_that_is_slow_now_and_then_is_left_alone"),
    # The ring: fences (a weak memory shows what x86 hides), the exact sequence, repair.
    Mutant("ring: no release fence behind the odd sequence", "csrc/k4_segment.h", "    __atomic_store_n(sequence, 2 * n + 1, __ATOMIC_RELAXED);\n    k4_fence_release();\n",
           "    __atomic_store_n(sequence, 2 * n + 1, __ATOMIC_RELAXED);\n", WEAK + "[order]"),
    Mutant("ring: no acquire fence before the second look", READER, "    k4_fence_acquire();\n", "", WEAK + "[order]"),
    Mutant("ring: no full fence before a writer looks for sleepers", "csrc/k4_segment.h", "    k4_fence_full();\n", "", WEAK + "[wake]"),
    Mutant("ring: any even sequence will do", READER, "    if (sequence != 2 * n + 2)\n", "    if (sequence == 0 || (sequence & 1) != 0)\n", WEAK + "[order]"),
    Mutant("ring: no second look", READER, "    return *before == 2 * n + 2;\n", "    return 1;\n", STRESS + "[trade-4]", "torn [1-9]"),
    Mutant("ring: no odd sequence", "csrc/k4_segment.h", "    __atomic_store_n(sequence, 2 * n + 1, __ATOMIC_RELAXED);\n", "", STRESS + "[trade-4]", "torn [1-9]"),
    Mutant("ring: a complete record of a killed writer is forgotten", "csrc/k4_takeover.c", "    if (slot[0] == 2 * n + 2) {\n", "    if (0) {\n",
           "ctest segment_crash", "not so: the successor counts what readers may have seen"),
    Mutant("ring: repair forgets latest", "csrc/k4_takeover.c", LATEST, "            (void)instrument;\n", "ctest segment_crash", "not so: one instrument's latest is the newest record|not so: latest"),
    # Readers: nothing in shared memory is believed.
    Mutant("reader: places as the header says", READER, " || header->ring_at != want.ring_at", "", HEADER),
    Mutant("reader: any number of slots", READER, "(header->ring_slots & (header->ring_slots - 1)) != 0", "header->ring_slots == 0", HEADER),
    Mutant("reader: a text without an end", READER, "\n        || memchr(header->layout, 0, sizeof header->layout) == NULL)", ")", HEADER),
    Mutant("reader: links are followed", READER, "flags | O_NOFOLLOW |", "flags |", "tests/test_reader.py::test_links_and_foreign_files_are_refused"),
    Mutant("reader: the first record lost is not told", READER, "        *first = n;\n", "        *first = n + 1;\n", "tests/test_reader.py::test_lost_ranges_are_exact"),
    # Numbers and texts: how much there may be.
    Mutant("told: by another product's patterns", "csrc/k4_told.h", "place->product == product", "product != NULL", "ctest told", r"test_told\.c:\d+: not so"),
    Mutant("told: by the first sixteen bytes", "csrc/k4_told.h", " && memcmp(place->rest, text + 16, len - 16) == 0", "", "ctest told", r"test_told\.c:\d+: not so"),
    Mutant("nesting without end", "csrc/k4_json.c", "if ((*p == '{' || *p == '[') && open + level >= K4_MAX_DEPTH)", "if ((*p == '{' || *p == '[') && open + level > K4_MAX_DEPTH)",
           "ctest json", r"test_json\s+exit -6"),
    Mutant("a number past 64 bits", "csrc/k4_number.c", "shift <= 18 && !__builtin_mul_overflow(value->mantissa, k4_power10[shift], out)",
           "shift <= 18 && (__builtin_mul_overflow(value->mantissa, k4_power10[shift], out) || true)", "ctest number", "Assertion.*k4_decimal_align"),
    # JSON: where a text ends, and what it may hold.
    Mutant("json: a string past the end", "csrc/k4_json.c", "        if (p >= json->end)\n            return k4_json_fail(json, p);\n        if (*p == '\"')\n", "        if (*p == '\"')\n",
           "ctest json", JSON),
    Mutant("json: a line end in a string", "csrc/k4_json.c", "else if (*p < ' ')", "else if (*p < '\\b')", "ctest json", JSON),
    Mutant("json: any four characters behind \\u", "csrc/k4_json.c", "!is_hex(*p)", "(!is_hex(*p) && *p < '0')", "ctest json", JSON),
    Mutant("json: two bytes for ASCII", "csrc/k4_utf8.h", "lead >= 0xc2 &&", "lead >= 0xc0 &&", "ctest json", JSON),
    Mutant("json: three bytes for what takes two", "csrc/k4_utf8.h", "        if (lead == 0xe0)\n            *low = 0xa0;\n", "", "ctest json", JSON),
    Mutant("json: four bytes for what takes three", "csrc/k4_utf8.h", "        if (lead == 0xf0)\n            *low = 0x90;\n", "", "ctest json", JSON),
    Mutant("json: a number that begins with 0", "csrc/k4_json.h", "(*p != '0' || len == 1)", "(*p != '0' || len > 0)", "ctest json", JSON),
    # Inflating: every length and distance comes from the peer.
    Mutant("inflate: from before the beginning", INFLATE, " || back > flow->len", "", STREAMS),
    Mutant("inflate: a distance that is none", INFLATE, "far < 0 || far >= DISTANCES ||", "far < 0 ||", STREAMS),
    Mutant("inflate: a piece past the room", INFLATE, "    if (flow->room - flow->len < len)\n        return K4_INFLATE_LONG;\n    uint8_t *to", "    uint8_t *to", STREAMS),
    Mutant("inflate: a byte past the room", INFLATE, "            if (flow->len == flow->room)\n                return K4_INFLATE_LONG;\n", "", STREAMS),
    Mutant("inflate: stored bytes past the end", INFLATE, "    if ((size_t)(flow->in.end - flow->in.next) < len)\n        return K4_INFLATE_BROKEN;\n", "", STREAMS),
    Mutant("inflate: lengths past their table", INFLATE, " || times > n - i", "", STREAMS),
    Mutant("inflate: more words than there are", INFLATE, "        if (left < 0)\n            return false;\n", "", STREAMS),
    Mutant("inflate: the checksum is not looked at", INFLATE, " || word_at(p) != k4_crc32_add(crc, 0, out, flow.len)", "", STREAMS),
    # Copies that are not decoded.
    Mutant("as long is taken for equal", "csrc/k4_memo.h", " && memcmp(entry + 1, text, len) == 0", " && text != NULL", "ctest copies", r"test_copies\.c:\d+: "),
    Mutant("what was overwritten is compared", "csrc/k4_memo.h", "memo->head - at > K4_MEMO_BYTES", "memo->head - at > 4 * K4_MEMO_BYTES", "ctest copies", r"test_copies\.c:\d+: |ERROR: AddressSanitizer|runtime error"),
    # Books: what a change must go on from, and what the venue's checksum is for.
    Mutant("book: a previous id that is another's", "csrc/k4_book.c", "        return book->fresh && spans ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;\n", "        return K4_SKIP_NOT;\n",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a first id behind a hole", "csrc/k4_book.c", "        return spans ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;\n", "        return K4_SKIP_NOT;\n",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a step left out", "csrc/k4_book.c", "return new - 1 == old ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;", "return K4_SKIP_NOT;", "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: the checksum is not looked at", "csrc/k4_book.c", "crc) != update->checksum)\n", "crc) != update->checksum && book == NULL)\n", "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a side without end", "csrc/k4_ladder.c", "if (count - skip > K4_BOOK_LEVELS) {", "if (count - skip > 2 * K4_BOOK_LEVELS) {", "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: levels from behind the border", "csrc/k4_ladder.c", "    if (book->cut[side] && order(side, level, &book->border[side]) <= 0)\n        return true;\n    uint32_t at",
           "    uint32_t at", "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a snapshot in any order is a ladder", "csrc/k4_ladder.c", "(i > 0 && order(side, &levels->levels[i - 1]", "(i > levels->count && order(side, &levels->levels[i - 1]",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: updates are held without end", "csrc/k4_books.c", "if (wanted > K4_BOOKS_HELD) {", "if (wanted > 64 * K4_BOOKS_HELD) {", "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: goes on from what was refused", "csrc/k4_books.c", "    kept->book.live = false;\n    kept->book.fault = K4_BOOK_REFUSED;\n", "    kept->book.fault = K4_BOOK_REFUSED;\n",
           "ctest book", r"test_book\.c:\d+: "),
    # SBE: every size comes from the frame.
    Mutant("sbe: a block past the end", "csrc/k4_sbe.h", "if (__builtin_expect(count > sbe->len - sbe->at, 0))", "if (__builtin_expect(count > UINT32_MAX, 0))",
           SBE + "test_cut_at_every_byte[yard]"),
    Mutant("sbe: a group of more than there is", "csrc/k4_sbe.h", "(block > left || (block > 0 && count > left / block))", "block > left", SBE + "test_counts_that_promise_too_much"),
    Mutant("sbe: blocks shorter than what is read", "csrc/k4_sbe.h", "(block < least || (flat && block == 0))", "((flat && block == 0) || least > UINT32_MAX)",
           SBE + "test_every_byte_made_hostile[yard]"),
    Mutant("a sketch is published", "csrc/k4_feed_take.c", "        complete(conn, item);\n", "        (void)complete;\n", "ctest copies", r"test_copies\.c:\d+: "),
    # Arbitration: each update once.
    Mutant("increasing: an equal id is new", "csrc/k4_rules.c", "        if (a->id > in->id)\n            return publish_state", "        if (a->id >= in->id)\n            return publish_state",
           PROPERTIES + "test_state_is_published_once_in_order_and_never_late"),
    Mutant("window: an id of the set is new", "csrc/k4_idset.c", "        return K4_IDSET_DUPLICATE;\n", "        return K4_IDSET_LATE;\n", PROPERTIES + "test_events_agree_with_a_plain_set"),
    Mutant("hashed: an id of the set is new", "csrc/k4_idset.c", "        if (ids[table[at] - 1] == id)\n            return 0;\n", "        if (ids[table[at] - 1] == id)\n            return 1;\n",
           PROPERTIES + "test_hashed_ids_are_a_set_of_the_last_n"),
    Mutant("a state out of order makes an epoch", "csrc/k4_rules.c", "!out_of_order(in, a, before))", "(in != NULL || !out_of_order(in, a, before)))",
           PROPERTIES + "test_state_is_published_once_in_order_and_never_late"),
    Mutant("after a wrong id siblings stand aside", "csrc/k4_rules.c", "if (!alike && !catches_up(in, a))", "if ((void)alike, !catches_up(in, a))",
           PROPERTIES + "test_a_single_wrong_id_sends_no_sibling_away"),
    Mutant("leader: everybody leads", "csrc/k4_rules.c", "return (struct k4_verdict){.cause = K4_CAUSE_STANDBY, .lag_ns = -1};", "return v;", "ctest arbiter", "not so|expected"),
    Mutant("a takeover forgets what was published", "csrc/k4_feed.c", "        k4_segment_seed(&lane->segment, seed, &(struct seeding){&lane->arbiter, record});\n", "        (void)seed;\n",
           "ctest feed", "not so|expected"),
    Mutant("stepping: holes are not counted", "csrc/k4_rules.c", "in->started && (flags & K4_FLAG_RESET) == 0)", "in->started && flags == UINT32_MAX)",
           PROPERTIES + "test_state_that_steps_by_one_counts_its_holes"),
    Mutant("window: late ones are not marked", "csrc/k4_rules.c", "return publish_event(arbiter, in, a, found == K4_IDSET_LATE ? K4_FLAG_LATE : 0);", "return publish_event(arbiter, in, a, 0);",
           PROPERTIES + "test_events_are_published_once_and_in_order_but_for_late_ones"),
    Mutant("ids that start anew without a word stay behind", "csrc/k4_rules.c", "    if (waited && rising)\n", "    if (waited && rising && in == NULL)\n", PROPERTIES + "test_nothing_is_silenced_for_good"),
    Mutant("heard: one's own absence is the stream's silence", "csrc/k4_heard.c", "passed < K4_HEARD_STEP_NS ? passed : K4_HEARD_STEP_NS", "passed", "ctest heard", r"test_heard\.c:\d+: "),
    Mutant("window: under the floor is new", "csrc/k4_idset.c", "    if (id <= set->floor)\n        return K4_IDSET_UNDER;\n", "", PROPERTIES + "test_events_agree_with_a_plain_set"),
    # Counters, new links, takeovers, ends of ranges.
    Mutant("heard: what the link before brings is another's", "csrc/k4_heard.c", "source >= 0 && source != conn->berths[record].source && heard", "source >= 0 && heard",
           "ctest heard", r"test_heard\.c:\d+: "),
    Mutant("feed: late ones are not counted", "csrc/k4_feed_take.c", "        k4_segment_count(&source->late, 1);\n", "",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("feed: every copy is a runner-up", "csrc/k4_feed_take.c", "        if (v->runner_up)\n", "",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("feed: a clock steps forward only", "csrc/k4_feed.c", "(moved >= K4_CLOCK_STEP_NS || moved <= -K4_CLOCK_STEP_NS)", "(moved >= K4_CLOCK_STEP_NS)",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("feed: every RESET of the wire is told", "csrc/k4_feed_take.c", "(front->flags & ~(unsigned)K4_FLAG_RESET) | v->flags", "front->flags | v->flags",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("memo: a copy without its flags", "csrc/k4_feed_take.c", "front->flags = entry->flags;", "front->flags = 0;",
           "ctest copies", r"test_copies\.c:\d+: "),
    Mutant("conn: a link begins with the books of the last", "csrc/k4_conn.c", "    k4_ws_reset(&conn->ws);\n    k4_books_clear(&conn->books);\n", "    k4_ws_reset(&conn->ws);\n",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: a link stands where the last one stood", "csrc/k4_conn.c", "            k4_arbiter_renew(&conn->feed->lanes[record].arbiter, conn->berths[record].number);\n", "            (void)record;\n",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: keys that are missing are not told apart", "csrc/k4_conn_recv.c", "        drift_of(conn, item->message)->missing++;", "        drift_of(conn, item->message)->refused++;",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: a body leaves its symbol to the link", "csrc/k4_conn_recv.c", "    scratch->symbol = own;\n    scratch->symbol_len = own_len;\n    return end_read", "    (void)own, (void)own_len;\n    return end_read",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: a snapshot helps, whatever became of it", "csrc/k4_conn_recv.c", "(conn->books.book != NULL && conn->books.book->book.live ? K4_CONN_TOOK : 0)", "(conn->books.book != NULL ? K4_CONN_TOOK : 0)",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: a link that failed goes on", "csrc/k4_conn_recv.c", "    if (conn->failed)\n        return end_read(conn);\n", "",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("conn: a message is not proven", "csrc/k4_conn_recv.c", "if (k4_utf8_whole(place, len))", "if (k4_utf8_whole(place, len) || len > 0)",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("hashed: no RESET", "csrc/k4_rules.c", "    remember(arbiter, in, a);\n    return (struct k4_verdict){.publish = true, .flags = a->flags & K4_FLAG_RESET, .lag_ns = -1};", "    remember(arbiter, in, a);\n    return (struct k4_verdict){.publish = true, .lag_ns = -1};",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("window: a late one is the newest", "csrc/k4_rules.c", "    if (late)\n        v.cause = K4_CAUSE_LATE;\n    else\n        in->id = a->id;", "    if (late)\n        v.cause = K4_CAUSE_LATE;\n    in->id = a->id;",
           "ctest feed", r"test_feed\.c:\d+: "),
    Mutant("epoch: the mark of the last one stays", "csrc/k4_rules.c", "    in->mark.known = 0;\n", "",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("epoch: arrivals of the last one stay", "csrc/k4_rules.c", "        in->recent[i].known = 0;", "        (void)i;",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("epoch: any fall is an arrival", "csrc/k4_rules.c", "bool arrived = fell && a->id > in->set.floor && a->id <= in->id;", "bool arrived = fell && a->id <= in->id;",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("usual: who proves nothing stands in the epoch", "csrc/k4_rules.h", " || seen->target != INT64_MIN)", ")",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("usual: the last link says where this one stands", "csrc/k4_rules.h", "seen->life != arbiter->life[conn] || ", "",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("takeover: a late one was the newest", "csrc/k4_arbiter.c", "    if (!in->started || !late)\n        in->id = id;", "    in->id = id;",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("takeover: a reset is forgotten", "csrc/k4_arbiter.c", "(flags & K4_FLAG_RESET) || (in->late_seed && !late)", "(in->late_seed && !late)",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("takeover: a set that is wanted late is empty", "csrc/k4_arbiter.c", "if (in->started && in->set.count == 0 && in->id != K4_ABSENT)", "if (in->started && in->set.count == 0 && in->id == K4_ABSENT)",
           "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("arbiter: hashes do not grow", "csrc/k4_arbiter.c", "    if (arbiter->hashes.memory != NULL && widen(&arbiter->hashes, k4_arbiter_hashes_bytes(arbiter, capacity)) != 0)\n        return -1;\n    for", "    for",
           "ctest arbiter", r"test_arbiter\.c:\d+: |AddressSanitizer|runtime error|exit -"),
    Mutant("book: a snapshot excuses every change", "csrc/k4_book.c", "        book->fresh = false;\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: orders of a level do not count", "csrc/k4_ladder.c", "a->count == b->count && k4_price_order", "k4_price_order",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: what is given up is taken up again", "csrc/k4_ladder.c", "    book->cut[side] = true;\n    ladder->count -= count;", "    ladder->count -= count;",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: the last place shown is not looked at", "csrc/k4_ladder.c", "if (behind < K4_BOOK_TOP)", "if (behind + 1 < K4_BOOK_TOP)",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a level among those given up", "csrc/k4_ladder.c", "        if (order(side, level, &book->border[side]) <= 0)\n            return true;\n        at -=", "        at -=",
           "ctest book", r"test_book\.c:\d+: |AddressSanitizer|runtime error|exit -"),
    Mutant("book: flags of held updates are lost", "csrc/k4_books.c", "        books->update.flags |= held.flags;\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: what a snapshot does not reach is dropped", "csrc/k4_books.c", "            kept->held_len -= start;\n            memmove(kept->held, kept->held + start, kept->held_len);\n            return skip;", "            (void)start;\n            drop_held(kept);\n            return skip;",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: a stale book is told once for all links", "csrc/k4_books.c", "        books->all[i]->told = false;\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: checksums without signs", "csrc/k4_checksum.c", "    if (mantissa < 0)\n        sum->text[sum->len++] = '-';\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: checksums of nine levels", "csrc/k4_checksum.c", "i < 10 && i < book", "i < 9 && i < book",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("takeover: the table shrinks", "csrc/k4_segment.c", "        if (symbols < old.header->symbol_capacity)\n            symbols = old.header->symbol_capacity;\n", "",
           "ctest takeover", r"test_takeover\.c:\d+|AddressSanitizer"),
    Mutant("segment: others may write", "csrc/k4_segment.c", "(*mode & ~0644u) != 0 ||", "(*mode & ~0664u) != 0 ||",
           "ctest takeover", r"test_takeover\.c:\d+|AddressSanitizer"),
    Mutant("segment: new symbols owe a RESTART", "csrc/k4_segment.c", "    memset(restart + capacity, 0, capacity);", "    memset(restart + capacity, 1, capacity);",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: the writer is the last one", "csrc/k4_segment.c", "    __atomic_store_n(&segment->header->writer_pid, (int64_t)getpid(), __ATOMIC_RELAXED);\n", "",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: who sleeps sleeps on", "csrc/k4_segment.c", "        k4_segment_wake(segment); /* a killed", "        (void)segment; /* a killed",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("segment: one that is given up takes away what was there", "csrc/k4_segment.c", "    if (segment->made && k4_shmfile_paths", "    if (k4_shmfile_paths",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: slots ahead of head", "csrc/k4_takeover.c", ": found != 0)", ": false)",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: latest ahead of head", "csrc/k4_takeover.c", " || sequence > 2 * segment->head)", ")",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: the record under the pen is carried on", "csrc/k4_takeover.c", "*slot_at(from->ring, from->stride, first & from->mask) != 2 * first + 2)\n        first++;", "false)\n        first++;",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: the record under the pen is a seed", "csrc/k4_takeover.c", "        oldest++; /* the slot of head", "        oldest += 0; /* the slot of head",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("takeover: records that were never there", "csrc/k4_takeover.c", "    if (first < old->first)\n        first = old->first;\n    if (first < from->head", "    if (first < from->head",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("segment: a lock on a file that is gone", "csrc/k4_shmfile.c", "lstat(path, &there) != 0 || there.st_ino != mine.st_ino || there.st_dev != mine.st_dev", "lstat(path, &there) != 0",
           "ctest takeover", r"test_takeover\.c:\d+|AddressSanitizer"),
    Mutant("reader: any page to sleep by", "csrc/k4_reader.h", "    if (((struct k4_shm_wait *)page)->magic != K4_WAIT_MAGIC) {", "    if (page == NULL) {",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("reader: any process of that number", "csrc/k4_reader.h", "return k4_shm_process_start(pid) == start ?", "return k4_shm_process_start(pid) != 0 || start == 0 ?",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("view: a loss behind a batch is forgotten", "csrc/k4_view.c", "            reader->next = *lost_first;", "            (void)0;",
           "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("histogram: a bucket too many", "csrc/k4_shm.h", "return bucket < K4_HISTOGRAM_BUCKETS ? bucket : K4_HISTOGRAM_BUCKETS - 1u;", "return bucket <= K4_HISTOGRAM_BUCKETS ? bucket : K4_HISTOGRAM_BUCKETS - 1u;",
           "ctest segment", r"test_segment\.c:\d+: "),
    Mutant("a count past 32 bits", "csrc/k4_number.c", "value < 0 || value > INT32_MAX", "value < 0",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("an integer past 64 bits", "csrc/k4_number.c", "    if (number.digits > 19 || number.head > INT64_MAX)\n        return K4_REFUSED_RANGE;\n    *out = number.negative", "    if (number.digits > 19)\n        return K4_REFUSED_RANGE;\n    *out = number.negative",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("an id below 0", "csrc/k4_number.c", "        if (*text->at == '-')\n            return K4_REFUSED_TYPE;\n        return k4_read_integer(text, out);", "        return k4_read_integer(text, out);",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("thirteen digits are milliseconds", "csrc/k4_number.c", "text->len == 13 && (unit == K4_UNIT_AUTO || unit == K4_UNIT_MS)", "text->len == 13 && unit != K4_UNIT_S",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("what is too long has no sign", "csrc/k4_number.c", "out->mantissa = number.negative ? -1 : 1; /* for its sign */", "out->mantissa = 1; /* for its sign */",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("an exponent of three digits", "csrc/k4_number.c", "#define EXPONENT_CAP 1000000000000", "#define EXPONENT_CAP 100",
           "ctest number", r"test_number\.c:\d+: |cases|exit -6"),
    Mutant("reader: arrays have again what a snapshot had", "k4/reader.py", "found = self._unskipped(array[:taken]) if self._skip else array[:taken]", "found = array[:taken]",
           "tests/test_reader.py::test_arrays_skip_what_a_snapshot_has"),
    Mutant("reader: stands at what was lost", "k4/reader.py", "self._next = lost.last + 1", "self._next = lost.last",
           "tests/test_reader.py::test_lost_ranges_are_exact"),
    Mutant("reader: what a snapshot had is left out wherever one goes", "k4/reader.py", "        self._next = sequence\n        self._skip = {}\n", "        self._next = sequence\n",
           "tests/test_reader.py::test_snapshot_skips_what_it_already_has"),
    Mutant("a book is stale while one connection lacks it", "k4/watch.py", "if up and all(stream.key in carrier.stale_books", "if up and any(stream.key in carrier.stale_books",
           "tests/test_run_parts.py::test_a_book_is_resynced_while_none_of_its_connections_has_a_good_one"),
    Mutant("a stream is silent since the newest link", "k4/watch.py", "elif not stream.silent and stream.changed_ns < min(up) and now_ns - min(up) >= _SILENT_NS", "elif not stream.silent and stream.changed_ns < max(up) and now_ns - max(up) >= _SILENT_NS",
           "tests/test_run_parts.py::test_a_stream_is_silent_since_the_first_of_its_connections_is_up"),
    Mutant("how often a stream was stuck is forgotten", "k4/stuck.py", "                        of.renewed = before[id(carrier)].renewed\n", "                        pass\n",
           "tests/test_run_parts.py::test_what_is_stuck_on_a_connection_is_subscribed_anew_there_and_ever_more_rarely"),
    Mutant("whoever is slow counts on", "k4/slowest.py", "if slow and slow == self._slow else", "if slow else",
           "tests/test_slowest.py::test_two_that_are_slow_by_turns_are_left_alone"),
    Mutant("config: a port too many", "k4/config.py", "< 65536 or not", "<= 65536 or not",
           "tests/test_config.py::test_a_wrong_entry_is_named"),
    Mutant("dials: files that others may write", "k4/ledger.py", "status.st_mode & 0o022", "status.st_mode & 0o002",
           "tests/test_dials.py::test_a_file_that_is_not_ours_is_refused"),
    Mutant("what is ended is late", "k4/subscription.py", "if sent.adds and not sent.reported and now", "if not sent.reported and now",
           "tests/test_subscription.py::test_what_is_ended_without_an_answer_is_not_late"),
    Mutant("a backlog counts what was read", "k4/inbox.py", "            self._bytes -= len(event.data)\n", "",
           "tests/test_inbox.py::test_what_was_read_does_not_count_though_some_always_waits"),
    Mutant("a link that begins makes its connection's books stale", "k4/connection.py", "frozenset.intersection(*(life.stale_books", "frozenset.union(*(life.stale_books",
           "tests/test_run_parts.py::test_a_connection_lacks_what_none_of_its_links_has"),
    Mutant("always the first address of a host", "k4/connection.py", "            self._turn += 1  # the next try goes to the next address of the host\n", "",
           "tests/test_link.py::test_the_addresses_of_a_host_are_tried_in_turn"),
    Mutant("memo: texts of any length", "csrc/k4_memo.h", "    if (entry.len > K4_MEMO_MOST)\n        return;\n", "", "ctest copies", r"test_copies\.c:\d+: |AddressSanitizer"),
    Mutant("book: many levels from behind the border", "csrc/k4_ladder.c", "    while (book->cut[side] && skip < count && order(side, &all[skip], &book->border[side]) <= 0)\n        skip++;\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("book: what is held and wrong is held on", "csrc/k4_books.c", "        if (skip == K4_SKIP_STALE_BOOK) {\n            drop_held(kept);\n            return skip;\n        }\n", "",
           "ctest book", r"test_book\.c:\d+: "),
    Mutant("epoch: resets of one id are one reset", "csrc/k4_rules.c", "!later(a->engine_ns, in->first_engine_ns) && ", "", "ctest arbiter", r"test_arbiter\.c:\d+: "),
    Mutant("reader: a loss of nothing", "csrc/k4_reader.h", "        if (oldest <= n)\n            oldest = n + 1;\n", "", "ctest takeover", r"test_takeover\.c:\d+: "),
    Mutant("a new link takes over at once", "k4/connection.py", "now >= ready + OVERLAP_S", "now >= ready",
           "tests/test_handover.py::test_a_proven_link_and_the_old_one_go_on_together_for_a_while"),
    Mutant("a new link with worse books takes over", "k4/connection.py", " and new.stale_books <= old.stale_books", "",
           "tests/test_handover.py::test_a_link_with_worse_books_takes_over_when_they_are_good"),
    Mutant("a new link's time begins before it has asked", "k4/connection.py", "if not patience and new.subscriptions.next is None:", "if not patience:",
           "tests/test_handover.py::test_a_link_that_proves_nothing_takes_over_in_the_end"),
    Mutant("a plan that changes while its link is dialled", "k4/connection.py", "        if life.plan is not self.plan:\n            life.change(self.plan)", "        if life.plan is None:\n            life.change(self.plan)",
           "tests/test_life.py::test_a_plan_that_changes_while_its_link_is_dialled_is_carried"),
    Mutant("sbe: DEL in a symbol", "csrc/k4_sbe.h", "((word | (word - 0x2020202020202020u) | (word + 0x0101010101010101u)) &", "((word | (word - 0x2020202020202020u)) &",
           "tests/codegen/test_sbe_decode.py::test_refusals_of_quotes"),
    Mutant("tolerant: asks of a cut begin behind its bids", "templates/parser_give.j2", "memcpy(cut_price + cut_bids, price + bids, cut_asks * sizeof *price);", "memcpy(cut_price + cut_bids, price + cut_bids, cut_asks * sizeof *price);",
           "tests/codegen/test_tolerant.py::test_frames_as_they_are"),
    Mutant("tolerant: a count of 32 bits and one", "templates/parser_give.j2", "trades >= INT32_MAX", "trades > INT32_MAX",
           "tests/codegen/test_tolerant.py::test_an_aggregate_sums_what_a_count_holds"),
    Mutant("subscriptions without their own pace", "k4/life.py", "            self._subscribes.spend(now)\n", "", "tests/test_life.py::test_subscriptions_have_a_pace_of_their_own"),
    Mutant("the venue's keepalive is done all the time", "k4/life.py", "        self._duty_ns = now_ns\n", "",
           "tests/test_life.py::test_the_venues_keepalive_is_kept_while_data_flows_and_inside_its_limit"),
    Mutant("codes of a venue's own are answered by 1000", "k4/link.py", "3000 <= event.code < 5000", "3000 <= event.code < 4000", "tests/test_life.py::test_a_close_is_answered_by_its_own_code"),
    Mutant("texts behind a close", "k4/link.py", "    def send_text(self, text: str) -> None:\n        if self.state is State.OPEN:", "    def send_text(self, text: str) -> None:\n        if self.state is not State.LOST:",
           "tests/test_life.py::test_nothing_is_said_behind_a_close", r"^FAILED tests/"),
    Mutant("mixed sides: a level too many", "templates/parser_mixed.j2", "level_side == K4_ASK && asks < {{ n }}", "level_side == K4_ASK && asks <= {{ n }}",
           "tests/test_decode_language.py::test_levels_of_every_kind_agree_with_the_reference"),
    Mutant("stuck before it was asked for", "k4/life.py", " or self.replace.done() or self.subscriptions.next is not None:", " or self.replace.done():",
           "tests/test_run_parts.py::test_a_link_is_stuck_on_nothing_before_all_was_asked_for_or_while_it_is_replaced"),
    Mutant("snapshots for links that are lost", "k4/life.py", "        for task in self._snapshots:\n            task.cancel()\n", "", "tests/test_run_parts.py::test_a_link_that_is_lost_waits_for_no_snapshot"),
    Mutant("sbe: the number that stands for absent is a price", "templates/sbe_quick.j2", "                none = none || {{ out }}->{{ column.name }}[i] == INT64_MIN;\n", "",
           "tests/codegen/test_sbe_decode.py::test_the_number_that_stands_for_absent_at_every_place"),
    Mutant("fast: levels that are not kept have a say", "csrc/k4_fast_value.h", "    if (__builtin_expect((bids_kept != bid_count) | (asks_kept != ask_count), 0)) {", "    if (bids_kept > bid_count) {",
           FAST + "test_levels_that_no_record_keeps_have_no_say"),
    Mutant("fast: a long number that begins with 0", "csrc/k4_fast_value.h", " || (*p == '0' && whole != 1))", ")", FAST + "test_values_at_their_ends"),
)  # fmt: skip


def copy(folder: Path) -> Path:
    """The sources, as they are now."""
    folder.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run(folder: Path, kind: str, tests: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of tests of one kind over the copy."""
    commands = {
        "ctest": ["tests/c/run.py", "--setting", "gcc address,undefined"],
        "fuzz": ["-m", "tests.fuzz.fuzz", "run", "--seconds", "4"],
        "pytest": ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"],
    }
    command = [sys.executable, *commands[kind], *tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),  # one for all: builds are found by their content
        "K4_CFLAGS": QUICK,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "examples.db"),
    }
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LIMIT_S * len(tests),
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {LIMIT_S * len(tests)} s"
    return done.returncode, done.stdout + done.stderr


def kind_of(test: str) -> tuple[str, list[str]]:
    kind, _, name = test.rpartition(" ")
    return kind or "pytest", [name]


def judge(mutant: Mutant, folder: Path) -> str | None:
    """None where the mutant is caught, else why that does not count."""
    place = copy(folder)
    file = place / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"its text is there {text.count(mutant.old)} times in {mutant.file}: bring the row up to date"
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    code, said = run(place, *kind_of(mutant.test))
    shutil.rmtree(place)
    if code == 0:
        return f"lives: {mutant.test} passes"
    if code != 1 or not re.search(mutant.says, said, re.MULTILINE):
        return f"{mutant.test} ends with {code}, but not by what it should say:\n{said[-1500:]}"
    return None


def main(words: list[str]) -> int:
    wanted = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    if not wanted:
        raise SystemExit("no mutant of that name")
    failures = 0
    with tempfile.TemporaryDirectory(prefix="k4-mutants-") as made, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        (Path(made) / "cache").mkdir()
        whole = copy(Path(made) / "unchanged")
        tests: dict[str, set[str]] = {}
        for mutant in wanted:
            kind, names = kind_of(mutant.test)
            tests.setdefault(kind, set()).update(names)
        plain = [pool.submit(run, whole, kind, sorted(names)) for kind, names in tests.items()]
        jobs = [pool.submit(judge, mutant, Path(made) / f"m{n}") for n, mutant in enumerate(wanted)]
        wrong = [said for code, said in (job.result() for job in plain) if code != 0]
        for said in wrong:
            print(f"fails without any mutant:\n{said[-3000:]}", flush=True)
        for mutant, job in zip(wanted, jobs, strict=True):
            why = job.result()
            failures += why is not None
            print(
                f"{'caught' if why is None else 'NOT CAUGHT'}: {mutant.name} ({mutant.test}){'' if why is None else ': ' + why}", flush=True
            )
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of processor time")
    print(f"{len(wanted) - failures} of {len(wanted)} mutants caught")
    return 1 if failures or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
