/* What a connection receives: bytes and messages in, records to the feed, everything else to the queue of events. */
#include <stdlib.h>
#include <string.h>

#include "k4_conn.h"
#include "k4_feed.h"
#include "k4_utf8.h"

/* ---------------------------------------------------------------- what gave no record */

static k4_conn_drift *drift_of(k4_conn *conn, uint16_t message)
{
    return &conn->drift[message < conn->product->message_count ? message : conn->product->message_count];
}

/* The message in hand gave nothing: is it one that Python acts on? */
static void tell_skipped(k4_conn *conn, int skip, uint16_t message)
{
    conn->stats.skipped++;
    switch (skip) {
    case K4_SKIP_CONTROL:
    case K4_SKIP_ACK:
    case K4_SKIP_ERROR:
    case K4_SKIP_PONG:
    case K4_SKIP_PING:
    case K4_SKIP_NOTICE:
    case K4_SKIP_INSTRUMENT:
    case K4_SKIP_VARS:
        conn->stats.control++;
        break;
    case K4_SKIP_OTHER_CHANNEL:
    case K4_SKIP_OTHER_PRODUCT:
        break;
    default:
        return;
    }
    k4_events_message(&conn->events, skip, message, conn->text, conn->text_len);
}

static void tell_refused(k4_conn *conn, const struct k4_item *item)
{
    conn->stats.refused++;
    if (item->refusal == K4_REFUSED_MISSING)
        drift_of(conn, item->message)->missing++;
    else
        drift_of(conn, item->message)->refused++;
    k4_events_refused(&conn->events, item, conn->text, conn->text_len);
}

/* ---------------------------------------------------------------- books */

static bool admit_book(void *context, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    k4_conn *conn = context;
    const bool known = k4_feed_knows(conn->feed, conn, record, symbol, symbol_len);
    conn->stats.unknown_symbol += !known;
    return known;
}

static bool tell_book(void *context, const struct k4_kept_book *kept, uint16_t message)
{
    k4_conn *conn = context;
    const bool told = k4_events_book(&conn->events, kept->book.fault, message, kept->symbol, kept->symbol_len);
    conn->stats.stale_books += told && !kept->book.live;
    return told;
}

/* ---------------------------------------------------------------- messages */

static void take_all(k4_conn *conn, struct k4_scratch *scratch)
{
    for (uint32_t i = 0; i < scratch->count; i++)
        k4_feed_take(conn->feed, conn, &scratch->items[i]);
    scratch->count = 0;
}

/* Takes what waits, the oldest frame first. */
static void settle(k4_conn *conn)
{
    for (uint32_t i = 0; i < K4_CONN_AHEAD; i++)
        take_all(conn, &conn->scratch[(conn->turn + i) % K4_CONN_AHEAD]);
}

static inline void look(k4_conn *conn, struct k4_scratch *scratch)
{
    for (uint32_t i = 0; i < scratch->count; i++)
        k4_feed_look(conn->feed, conn, &scratch->items[i]);
}

/* At what was looked at half a round of scratches ago: what that fetched is there by now. */
static inline void look_again(k4_conn *conn)
{
    struct k4_scratch *scratch = &conn->scratch[(conn->turn + K4_CONN_AHEAD / 2) % K4_CONN_AHEAD];
    for (uint32_t i = 0; i < scratch->count; i++)
        k4_feed_look_again(conn->feed, &scratch->items[i]);
}

/* What the tolerant tier found. */
static void take_items(void *context, struct k4_scratch *scratch)
{
    k4_conn *conn = context;
    if (conn->taken == K4_NO_MESSAGE && scratch->count > 0)
        conn->taken = scratch->items[0].message;
    for (uint32_t i = 0; i < scratch->count; i++) {
        struct k4_item *item = &scratch->items[i];
        if (item->record != 0) {
            k4_feed_look(conn->feed, conn, item);
            k4_feed_take(conn->feed, conn, item);
        } else {
            tell_refused(conn, item);
        }
    }
    scratch->count = 0;
}

/* The fast tier, in the scratch whose turn it is, or what is known of a sibling's copy of the frame. Its records are looked up and wait
 * there while the next frames are decoded. */
static inline bool take_fast(k4_conn *conn, const uint8_t *text, size_t len)
{
    struct k4_scratch *scratch = &conn->scratch[conn->turn % K4_CONN_AHEAD];
    take_all(conn, scratch);
    if (!conn->shared || !k4_feed_recall(conn->feed, conn, text, len, scratch)) {
        if (!conn->product->fast(text, len, scratch)) {
            scratch->count = 0;
            return false;
        }
        look(conn, scratch);
        if (conn->shared && scratch->count == 1)
            k4_feed_remember(conn->feed, conn, text, len, &scratch->items[0]);
    }
    conn->stats.fast++;
    conn->turn++;
    if (scratch->count == 0) {
        conn->text = text;
        conn->text_len = len;
        tell_skipped(conn, scratch->skip, scratch->skip_message);
    }
    if (__builtin_expect(scratch->count > 0 && scratch->items[0].record == 0, 0)) { /* a book that cannot be shown, alone in its frame */
        conn->text = text;
        conn->text_len = len;
        tell_refused(conn, &scratch->items[0]);
        scratch->count = 0;
    }
    look_again(conn);
    return true;
}

/* A message that the fast tier declined. */
static void take_tolerant(k4_conn *conn, const uint8_t *text, size_t len)
{
    struct k4_scratch *scratch = &conn->scratch[0];
    uint64_t unknown_keys = scratch->unknown_keys, retyped = scratch->retyped;
    settle(conn);
    conn->taken = K4_NO_MESSAGE;
    conn->text = text;
    conn->text_len = len;
    conn->stats.tolerant++;
    scratch->skip = K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    conn->product->tolerant(text, len, scratch);
    if (scratch->skip != K4_SKIP_NOT) {
        scratch->count = 0;
        tell_skipped(conn, scratch->skip, scratch->skip_message);
    } else {
        take_items(conn, scratch);
    }
    k4_conn_drift *drift = drift_of(conn, scratch->skip != K4_SKIP_NOT ? scratch->skip_message : conn->taken);
    drift->tolerant++;
    drift->unknown_keys += scratch->unknown_keys - unknown_keys;
    drift->retyped += scratch->retyped - retyped;
}

/* More items of one SBE frame than a scratch holds: what waits of older frames goes first. */
static void take_behind(void *context, struct k4_scratch *scratch)
{
    k4_conn *conn = context;
    for (uint32_t i = 1; i < K4_CONN_AHEAD; i++)
        take_all(conn, &conn->scratch[(conn->turn + i) % K4_CONN_AHEAD]);
    take_items(conn, scratch);
}

/* The payload of a binary frame of a product that has an SBE schema. Records wait in their scratch as those of the fast tier do. */
static void take_sbe(k4_conn *conn, const uint8_t *bytes, size_t len)
{
    struct k4_scratch *scratch = &conn->scratch[conn->turn % K4_CONN_AHEAD];
    take_all(conn, scratch);
    conn->text = bytes;
    conn->text_len = len;
    conn->stats.sbe++;
    scratch->flush = take_behind;
    conn->product->sbe(bytes, len, scratch);
    scratch->flush = take_items;
    bool waits = true;
    for (uint32_t i = 0; i < scratch->count; i++)
        waits = waits && scratch->items[i].record != 0;
    if (!waits) {
        take_behind(conn, scratch);
    } else if (scratch->count == 0) {
        if (scratch->skip != K4_SKIP_NOT)
            tell_skipped(conn, scratch->skip, scratch->skip_message);
    } else {
        look(conn, scratch);
    }
    conn->turn++;
    look_again(conn);
}

static void take_message(k4_conn *conn, const uint8_t *text, size_t len)
{
    if (!take_fast(conn, text, len))
        take_tolerant(conn, text, len);
}

/* The payload of a binary frame of a product that compresses them. One that is too large for the connection ends it. */
static void take_packed(k4_conn *conn, const uint8_t *bytes, size_t len)
{
    const struct k4_item broken = {.refusal = K4_REFUSED_MALFORMED, .message = K4_NO_MESSAGE};
    const uint8_t *text;
    size_t text_len;
    switch (k4_unpack_text(&conn->unpack, conn->product->encoding, bytes, len, &text, &text_len)) {
    case K4_INFLATED:
        take_message(conn, text, text_len);
        break;
    case K4_INFLATE_BROKEN:
        conn->text = bytes;
        conn->text_len = len;
        conn->stats.tolerant++;
        tell_refused(conn, &broken);
        break;
    case K4_INFLATE_LONG:
        k4_ws_fail(&conn->ws, K4_WS_TOO_BIG);
        break;
    case K4_INFLATE_NO_MEMORY:
        k4_ws_fail(&conn->ws, K4_WS_NO_MEMORY);
        break;
    }
}

void k4_conn_recv_init(k4_conn *conn, uint32_t symbol_len)
{
    for (int i = 0; i < K4_CONN_AHEAD; i++) {
        struct k4_scratch *scratch = &conn->scratch[i];
        scratch->symbol = symbol_len == 0 ? NULL : conn->symbol;
        scratch->symbol_len = symbol_len;
        scratch->sure = true; /* the connection's address says so */
        scratch->flush = take_items;
        scratch->context = conn;
        scratch->books = &conn->books;
        scratch->told = &conn->told;
    }
    conn->books.admits = admit_book;
    conn->books.turned = tell_book;
    conn->books.context = conn;
}

/* ---------------------------------------------------------------- reads */

static void begin_read(k4_conn *conn, int64_t wall_ns, int64_t mono_ns)
{
    k4_feed_clock(conn->feed, wall_ns, mono_ns);
    conn->wall_ns = wall_ns;
    conn->mono_ns = conn->feed->time_ns;
    if (conn->feed->reading != conn) {
        conn->feed->turned = conn->feed->reading != NULL;
        conn->feed->turned_ns = mono_ns;
        conn->feed->reading = conn;
    }
    conn->shared = conn->feed->turned && mono_ns - conn->feed->turned_ns < K4_CONN_SHARED_NS;
}

static void count_failure(k4_conn *conn)
{
    switch (k4_ws_close_code((enum k4_ws_cause)conn->ws.cause)) {
    case 1007:
        conn->stats.failed_utf8++;
        break;
    case 1009:
        conn->stats.failed_size++;
        break;
    default:
        conn->stats.failed_protocol++;
    }
}

static int end_read(k4_conn *conn)
{
    settle(conn);
    k4_feed_wake(conn->feed);
    bool failed = conn->ws.cause != K4_WS_FINE;
    if (failed && !conn->failed)
        count_failure(conn);
    conn->failed = failed;
    return (conn->events.next != conn->events.count ? K4_CONN_EVENTS : 0) | (failed ? K4_CONN_FAILED : 0);
}

size_t k4_conn_buffer(k4_conn *conn, uint8_t **out)
{
    k4_events_clear(&conn->events);
    k4_unpack_clear(&conn->unpack);
    return k4_ws_buffer(&conn->ws, out);
}

int k4_conn_recv(k4_conn *conn, size_t count, int64_t wall_ns, int64_t mono_ns)
{
    struct k4_ws_frame frame;
    begin_read(conn, wall_ns, mono_ns);
    conn->stats.bytes += count;
    k4_ws_landed(&conn->ws, count);
    for (;;) {
        if (k4_ws_usual(&conn->ws, K4_WS_WHOLE_TEXT, &frame)) {
            /* What the fast tier takes is UTF-8 (k4_decode.h); all else has to be proven before anybody looks at it. */
            if (!take_fast(conn, frame.data, frame.len) && k4_ws_prove(&conn->ws, &frame))
                take_tolerant(conn, frame.data, frame.len);
            continue;
        }
        if (conn->product->sbe != NULL && k4_ws_usual(&conn->ws, K4_WS_WHOLE_BINARY, &frame)) {
            take_sbe(conn, frame.data, frame.len);
            continue;
        }
        switch (k4_ws_next(&conn->ws, &frame)) {
        case K4_WS_BINARY:
            if (conn->product->sbe != NULL) {
                take_sbe(conn, frame.data, frame.len);
                break;
            }
            if (conn->product->encoding != K4_ENCODING_NONE) {
                take_packed(conn, frame.data, frame.len);
                break;
            }
            __attribute__((fallthrough));
        case K4_WS_TEXT:
            take_message(conn, frame.data, frame.len);
            break;
        case K4_WS_PING:
            conn->stats.pings++;
            k4_events_ping(&conn->events, &frame);
            break;
        case K4_WS_PONG:
            k4_events_pong(&conn->events, &frame);
            break;
        case K4_WS_CLOSE:
            k4_events_close(&conn->events, &frame);
            break;
        case K4_WS_MORE:
        case K4_WS_FAILED:
            return end_read(conn);
        }
    }
}

int k4_conn_message(k4_conn *conn, const uint8_t *text, size_t len, int64_t wall_ns, int64_t mono_ns)
{
    begin_read(conn, wall_ns, mono_ns);
    k4_events_clear(&conn->events);
    if (conn->failed)
        return end_read(conn);
    conn->stats.bytes += len;
    uint8_t *place = k4_ws_place(&conn->ws, len);
    if (place == NULL) {
        k4_ws_fail(&conn->ws, K4_WS_TOO_BIG);
    } else {
        memcpy(place, text, len);
        if (k4_utf8_whole(place, len))
            take_message(conn, place, len);
        else
            k4_ws_fail(&conn->ws, K4_WS_TEXT_UTF8);
    }
    return end_read(conn);
}

int k4_conn_fetched(k4_conn *conn, int message, const uint8_t *symbol, uint32_t symbol_len, const uint8_t *body, size_t len, int64_t wall_ns,
                    int64_t mono_ns)
{
    struct k4_scratch *scratch = &conn->scratch[0];
    const uint8_t *own = scratch->symbol;
    const uint32_t own_len = scratch->symbol_len;
    uint8_t known[K4_SYMBOL_MAX + K4_SLACK] = {0};
    begin_read(conn, wall_ns, mono_ns);
    settle(conn);
    k4_events_clear(&conn->events);
    free(conn->body);
    conn->body = len > INT32_MAX ? NULL : calloc(1, len + 2 * K4_SLACK);
    if (conn->body == NULL || conn->product->fetched == NULL || symbol_len > K4_SYMBOL_MAX)
        return end_read(conn);
    if (len > 0)
        memcpy(conn->body + K4_SLACK, body, len);
    memcpy(known, symbol, symbol_len);
    conn->text = conn->body + K4_SLACK;
    conn->text_len = len;
    conn->books.book = NULL;
    scratch->symbol = known;
    scratch->symbol_len = symbol_len;
    scratch->skip = K4_SKIP_NOT;
    conn->product->fetched((uint16_t)message, conn->text, len, scratch);
    take_items(conn, scratch);
    scratch->symbol = own;
    scratch->symbol_len = own_len;
    return end_read(conn) | (conn->books.book != NULL && conn->books.book->book.live ? K4_CONN_TOOK : 0);
}
