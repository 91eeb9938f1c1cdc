/* One connection of a feed: bytes and messages in, records to the feed, everything else to the queue of events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_feed.h"

/* ---------------------------------------------------------------- events */

static void clear_events(k4_conn *conn)
{
    conn->event_count = conn->event_next = 0;
}

/* A place at the end of the queue; NULL: full, counted. Messages that are no market data are rare, so this may allocate. */
static k4_event *push_event(k4_conn *conn)
{
    if (conn->event_count == conn->event_room) {
        uint32_t room = 2 * conn->event_room;
        k4_event *events = room > K4_EVENTS_MAX ? NULL : realloc(conn->events, room * sizeof *events);
        if (events == NULL) {
            conn->stats.events_lost++;
            return NULL;
        }
        conn->events = events;
        conn->event_room = room;
    }
    return &conn->events[conn->event_count++];
}

/* The waiting event of that kind (and skip reason), or a new one: of a flood only the newest is kept. */
static k4_event *newest_event(k4_conn *conn, int kind, int skip)
{
    for (uint32_t i = conn->event_count; i > conn->event_next; i--)
        if (conn->events[i - 1].kind == kind && conn->events[i - 1].skip == skip)
            return &conn->events[i - 1];
    return push_event(conn);
}

int k4_conn_event(k4_conn *conn, k4_event *out)
{
    if (conn->event_next == conn->event_count) {
        clear_events(conn);
        return 0;
    }
    *out = conn->events[conn->event_next++];
    return 1;
}

static void push_control(k4_conn *conn, int kind, uint8_t *keep, const struct k4_ws_frame *frame)
{
    k4_event *event = newest_event(conn, kind, 0);
    if (event == NULL)
        return;
    memcpy(keep, frame->data, frame->len);
    *event = (k4_event){.kind = kind, .message = -1, .data = keep, .len = frame->len};
}

static void push_close(k4_conn *conn, const struct k4_ws_frame *frame)
{
    k4_event *event = push_event(conn);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_CLOSE, .code = frame->code, .message = -1, .data = frame->data, .len = frame->len};
}

static int message_number(uint16_t message)
{
    return message == K4_NO_MESSAGE ? -1 : message;
}

/* A message that gave nothing: is it one that Python acts on? */
static void push_message(k4_conn *conn, int skip, uint16_t message)
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
        if (conn->sampled & 1u << skip)
            return;
        conn->sampled |= 1u << skip;
        break;
    default:
        return;
    }
    bool newest = skip == K4_SKIP_PING || skip == K4_SKIP_PONG;
    k4_event *event = newest ? newest_event(conn, K4_EVENT_MESSAGE, skip) : push_event(conn);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_MESSAGE, .skip = skip, .message = message_number(message), .data = conn->text, .len = conn->text_len};
}

static void push_refusal(k4_conn *conn, const struct k4_item *item)
{
    conn->stats.refused++;
    uint16_t message = item->message < conn->product->message_count ? item->message : conn->product->message_count;
    if (item->refusal == K4_REFUSED_MISSING)
        conn->drift[message].missing++;
    else
        conn->drift[message].refused++;
    if (conn->refused[message] & 1u << item->refusal)
        return;
    conn->refused[message] = (uint16_t)(conn->refused[message] | 1u << item->refusal);
    k4_event *event = push_event(conn);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_REFUSED, .code = item->refusal, .message = message_number(item->message), .offset = item->offset,
                            .data = conn->text, .len = conn->text_len};
}

/* ---------------------------------------------------------------- books */

static bool admit_book(void *context, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    k4_conn *conn = context;
    const bool known = k4_feed_knows(conn->feed, conn, record, symbol, symbol_len);
    conn->stats.unknown_symbol += !known;
    return known;
}

static bool push_book(void *context, const struct k4_kept_book *kept, uint16_t message)
{
    k4_conn *conn = context;
    k4_event *event = push_event(conn);
    if (event == NULL)
        return false;
    conn->stats.stale_books += !kept->book.live;
    *event = (k4_event){.kind = K4_EVENT_BOOK, .code = kept->book.fault, .message = message, .data = kept->symbol, .len = kept->symbol_len};
    return true;
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
            push_refusal(conn, item);
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
        for (uint32_t i = 0; i < scratch->count; i++)
            k4_feed_look(conn->feed, conn, &scratch->items[i]);
        if (conn->shared && scratch->count == 1)
            k4_feed_remember(conn->feed, conn, text, len, &scratch->items[0]);
    }
    conn->stats.fast++;
    conn->turn++;
    if (scratch->count == 0) {
        conn->text = text;
        conn->text_len = len;
        push_message(conn, scratch->skip, scratch->skip_message);
    }
    if (__builtin_expect(scratch->count > 0 && scratch->items[0].record == 0, 0)) { /* a book that cannot be shown, alone in its frame */
        conn->text = text;
        conn->text_len = len;
        push_refusal(conn, &scratch->items[0]);
        scratch->count = 0;
    }
    scratch = &conn->scratch[(conn->turn + K4_CONN_AHEAD / 2) % K4_CONN_AHEAD];
    for (uint32_t i = 0; i < scratch->count; i++)
        k4_feed_look_again(conn->feed, &scratch->items[i]);
    return true;
}

static void count_drift(k4_conn *conn, uint16_t message, uint64_t unknown_keys, uint64_t retyped)
{
    k4_conn_drift *drift = &conn->drift[message < conn->product->message_count ? message : conn->product->message_count];
    drift->tolerant++;
    drift->unknown_keys += unknown_keys;
    drift->retyped += retyped;
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
        push_message(conn, scratch->skip, scratch->skip_message);
    } else {
        take_items(conn, scratch);
    }
    count_drift(conn, scratch->skip != K4_SKIP_NOT ? scratch->skip_message : conn->taken, scratch->unknown_keys - unknown_keys,
                scratch->retyped - retyped);
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
            push_message(conn, scratch->skip, scratch->skip_message);
    } else {
        for (uint32_t i = 0; i < scratch->count; i++)
            k4_feed_look(conn->feed, conn, &scratch->items[i]);
    }
    conn->turn++;
    scratch = &conn->scratch[(conn->turn + K4_CONN_AHEAD / 2) % K4_CONN_AHEAD];
    for (uint32_t i = 0; i < scratch->count; i++)
        k4_feed_look_again(conn->feed, &scratch->items[i]);
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
        push_refusal(conn, &broken);
        break;
    case K4_INFLATE_LONG:
        k4_ws_fail(&conn->ws, K4_WS_TOO_BIG);
        break;
    case K4_INFLATE_NO_MEMORY:
        k4_ws_fail(&conn->ws, K4_WS_NO_MEMORY);
        break;
    }
}

/* ---------------------------------------------------------------- life */

k4_conn *k4_conn_open(k4_feed *feed, const k4_product *product, const char *name, const char *transport, const char *symbol,
                      uint32_t message_cap, char *error, size_t error_size)
{
    size_t symbol_len = strlen(symbol);
    if (strlen(name) > K4_CONN_NAME_MAX || name[0] == '\0' || symbol_len > K4_SYMBOL_MAX) {
        snprintf(error, error_size, "connection %.80s: its name must have 1 to %d bytes and its symbol at most %d", name, K4_CONN_NAME_MAX, K4_SYMBOL_MAX);
        return NULL;
    }
    for (int record = 1, a, b; record <= K4_RECORD_COUNT; record++) {
        (void)k4_feed_rule(product, record, &a, &b);
        if (a != 0) {
            snprintf(error, error_size, "connection %s: %s %s gives %s in two orders, at lines %d and %d of its spec; give both messages the same order",
                     name, product->exchange, product->name, k4_record_name[record], a, b);
            return NULL;
        }
    }
    k4_conn *conn = calloc(1, sizeof *conn);
    if (conn != NULL) {
        conn->events = malloc(K4_EVENTS_FIRST * sizeof *conn->events);
        conn->event_room = K4_EVENTS_FIRST;
        conn->refused = calloc((size_t)product->message_count + 1, sizeof *conn->refused);
        conn->drift = calloc((size_t)product->message_count + 1, sizeof *conn->drift);
    }
    if (conn == NULL || conn->events == NULL || conn->refused == NULL || conn->drift == NULL || k4_books_init(&conn->books) != 0
        || k4_ws_init(&conn->ws, message_cap) != 0) {
        snprintf(error, error_size, "connection %s: no memory", name);
        if (conn != NULL) {
            k4_books_fini(&conn->books);
            free(conn->events);
            free(conn->refused);
            free(conn->drift);
            free(conn);
        }
        return NULL;
    }
    k4_unpack_init(&conn->unpack, message_cap);
    conn->feed = feed;
    conn->product = product;
    snprintf(conn->name, sizeof conn->name, "%s", name);
    snprintf(conn->transport, sizeof conn->transport, "%s", transport);
    memcpy(conn->symbol, symbol, symbol_len);
    for (int i = 0; i < K4_CONN_AHEAD; i++) {
        struct k4_scratch *scratch = &conn->scratch[i];
        scratch->symbol = symbol_len == 0 ? NULL : conn->symbol;
        scratch->symbol_len = (uint32_t)symbol_len;
        scratch->sure = true; /* the connection's address says so */
        scratch->flush = take_items;
        scratch->context = conn;
        scratch->books = &conn->books;
        scratch->told = &conn->told;
    }
    conn->books.admits = admit_book;
    conn->books.turned = push_book;
    conn->books.context = conn;
    for (int record = 0; record <= K4_RECORD_COUNT; record++)
        conn->berths[record].product = -1;
    conn->next = feed->conns;
    feed->conns = conn;
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        if (k4_feed_berth(feed, conn, record, error, error_size) != K4_OK) {
            k4_conn_close(conn);
            return NULL;
        }
    }
    return conn;
}

void k4_conn_close(k4_conn *conn)
{
    if (conn == NULL)
        return;
    k4_conn **link = &conn->feed->conns;
    while (*link != conn)
        link = &(*link)->next;
    *link = conn->next;
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        k4_feed_leave(conn->feed, conn, record);
        k4_heard_fini(&conn->berths[record].heard);
    }
    k4_ws_fini(&conn->ws);
    k4_books_fini(&conn->books);
    k4_unpack_fini(&conn->unpack);
    free(conn->body);
    free(conn->events);
    free(conn->refused);
    free(conn->drift);
    free(conn);
}

void k4_conn_reset(k4_conn *conn)
{
    k4_ws_reset(&conn->ws);
    k4_books_clear(&conn->books);
    clear_events(conn);
    conn->failed = false;
    conn->sampled = 0;
    memset(conn->refused, 0, ((size_t)conn->product->message_count + 1) * sizeof *conn->refused);
    for (int record = 1; record <= K4_RECORD_COUNT; record++)
        if (conn->berths[record].product >= 0)
            k4_arbiter_renew(&conn->feed->lanes[record].arbiter, conn->berths[record].number);
}

/* ---------------------------------------------------------------- reads */

static void begin_read(k4_conn *conn, int64_t wall_ns, int64_t mono_ns)
{
    conn->wall_ns = wall_ns;
    conn->mono_ns = mono_ns;
    if (conn->feed->reading != conn) {
        conn->feed->turned = conn->feed->reading != NULL;
        conn->feed->turned_ns = mono_ns;
        conn->feed->reading = conn;
    }
    conn->shared = conn->feed->turned && mono_ns - conn->feed->turned_ns < K4_CONN_SHARED_NS;
    k4_feed_clock(conn->feed, wall_ns, mono_ns);
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
    return (conn->event_next != conn->event_count ? K4_CONN_EVENTS : 0) | (failed ? K4_CONN_FAILED : 0);
}

size_t k4_conn_buffer(k4_conn *conn, uint8_t **out)
{
    clear_events(conn);
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
            push_control(conn, K4_EVENT_PING, conn->ping, &frame);
            break;
        case K4_WS_PONG:
            push_control(conn, K4_EVENT_PONG, conn->pong, &frame);
            break;
        case K4_WS_CLOSE:
            push_close(conn, &frame);
            break;
        case K4_WS_MORE:
        case K4_WS_FAILED:
            return end_read(conn);
        }
    }
}

int k4_conn_message(k4_conn *conn, const uint8_t *text, size_t len, int64_t wall_ns, int64_t mono_ns)
{
    bool bad;
    begin_read(conn, wall_ns, mono_ns);
    clear_events(conn);
    if (conn->failed)
        return end_read(conn);
    conn->stats.bytes += len;
    uint8_t *place = k4_ws_place(&conn->ws, len);
    if (place == NULL) {
        k4_ws_fail(&conn->ws, K4_WS_TOO_BIG);
    } else {
        memcpy(place, text, len);
        if (k4_utf8_proven(place, len, &bad) == len)
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
    clear_events(conn);
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

int k4_conn_failure(const k4_conn *conn, const char **reason)
{
    enum k4_ws_cause cause = (enum k4_ws_cause)conn->ws.cause;
    *reason = k4_ws_cause_text(cause);
    return k4_ws_close_code(cause);
}

void k4_conn_stats_get(const k4_conn *conn, k4_conn_stats *out)
{
    *out = conn->stats;
    out->messages = conn->stats.fast + conn->stats.tolerant + conn->stats.sbe;
    out->frames = conn->ws.frames;
    out->unknown_keys = conn->scratch[0].unknown_keys;
    out->retyped = conn->scratch[0].retyped;
}

void k4_conn_lags(const k4_conn *conn, uint64_t *out)
{
    _Static_assert(K4_LAG_STEPS == K4_HISTOGRAM_BUCKETS, "a step is a bucket");
    memset(out, 0, K4_LAG_STEPS * sizeof *out);
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        const struct k4_berth *berth = &conn->berths[record];
        if (berth->product < 0)
            continue;
        const uint64_t *lag = conn->feed->lanes[record].segment.sources[berth->source].lag;
        for (int i = 0; i < K4_LAG_STEPS; i++)
            out[i] += lag[i];
    }
}

int64_t k4_lag_floor(uint32_t step)
{
    return (int64_t)k4_histogram_floor(step);
}

void k4_conn_drift_get(const k4_conn *conn, int message, k4_conn_drift *out)
{
    *out = conn->drift[message < 0 || message > conn->product->message_count ? conn->product->message_count : message];
}
