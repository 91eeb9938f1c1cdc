#include "k4_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_conn.h"

/* ---------------------------------------------------------------- rules */

static bool is_event(int record)
{
    return record == K4_RECORD_TRADE || record == K4_RECORD_AGGTRADE;
}

/* `book`: a message cuts the record from a book, whose updates do not all show in it: ids that are missing there are no holes. Where ids
 * step by one, the book itself sees to it. */
static enum k4_rule rule_of(enum k4_order order, int record, bool book)
{
    switch (order) {
    case K4_ORDER_INCREASING:
        return K4_RULE_INCREASING;
    case K4_ORDER_WINDOW:
        return K4_RULE_WINDOW;
    case K4_ORDER_CONTIGUOUS:
        return is_event(record) ? K4_RULE_CONTIGUOUS : book ? K4_RULE_INCREASING : K4_RULE_STEPPING;
    case K4_ORDER_LEADER:
        return K4_RULE_LEADER;
    case K4_ORDER_NONE:
        break;
    }
    return K4_RULE_ALL;
}

enum k4_rule k4_feed_rule(const struct k4_product *product, int record, int *line_a, int *line_b)
{
    const struct k4_message *first = NULL;
    bool book = false;
    *line_a = *line_b = 0;
    for (int i = 0; i < product->message_count; i++) {
        const struct k4_message *m = &product->messages[i];
        if ((m->records >> record & 1) == 0 || m->order == K4_ORDER_NONE)
            continue;
        book |= m->book;
        if (first == NULL) {
            first = m;
        } else if (m->order != first->order) {
            *line_a = first->line;
            *line_b = m->line;
        }
    }
    return first == NULL ? K4_RULE_ALL : rule_of((enum k4_order)first->order, record, book);
}

static bool gives(const struct k4_product *product, int record)
{
    for (int i = 0; i < product->message_count; i++)
        if (product->messages[i].records >> record & 1)
            return true;
    return false;
}

/* ---------------------------------------------------------------- feed and segments */

k4_feed *k4_feed_open(void)
{
    k4_feed *feed = calloc(1, sizeof *feed);
    if (feed != NULL && k4_memo_init(&feed->memo) != 0) {
        free(feed);
        feed = NULL;
    }
    return feed;
}

static void end_feed(k4_feed *feed, void (*end_segment)(struct k4_segment *))
{
    if (feed == NULL)
        return;
    while (feed->conns != NULL)
        k4_conn_close(feed->conns);
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        struct k4_lane *lane = &feed->lanes[record];
        free(lane->surveyed);
        if (!lane->open)
            continue;
        k4_arbiter_fini(&lane->arbiter);
        end_segment(&lane->segment);
    }
    k4_memo_fini(&feed->memo);
    free(feed);
}

void k4_feed_close(k4_feed *feed)
{
    end_feed(feed, k4_segment_close);
}

void k4_feed_discard(k4_feed *feed)
{
    end_feed(feed, k4_segment_discard);
}

struct seeding {
    struct k4_arbiter *arbiter;
    int record;
};

static void seed(void *context, uint32_t instrument, uint64_t sequence, const void *record)
{
    (void)sequence;
    const struct seeding *s = context;
    union k4_record as;
    memcpy(&as, record, k4_record_size[s->record]);
    /* The shared front of every record. */
    k4_arbiter_seed(s->arbiter, instrument, k4_feed_id(s->record, &as), as.bbo.engine_ns, as.bbo.flags);
}

static struct k4_lane *lane_of(k4_feed *feed, int record)
{
    if (record < 1 || record > K4_RECORD_COUNT || !feed->lanes[record].open)
        return NULL;
    return &feed->lanes[record];
}

/* Room for `capacity` instruments in all that is kept by instrument. The arbiter's comes last: it is what tells whether there is room. */
static int reserve(struct k4_feed *feed, int record, uint32_t capacity)
{
    struct k4_lane *lane = &feed->lanes[record];
    if (capacity > lane->surveyed_room) {
        uint64_t *surveyed = realloc(lane->surveyed, capacity * sizeof *surveyed);
        if (surveyed == NULL)
            return -1;
        memset(surveyed + lane->surveyed_room, 0, (capacity - lane->surveyed_room) * sizeof *surveyed);
        lane->surveyed = surveyed;
        lane->surveyed_room = capacity;
    }
    for (k4_conn *conn = feed->conns; conn != NULL; conn = conn->next)
        if (conn->berths[record].product >= 0 && k4_heard_reserve(&conn->berths[record].heard, capacity) != 0)
            return -1;
    return k4_arbiter_reserve(&lane->arbiter, capacity);
}

int k4_feed_segment(k4_feed *feed, int record, const char *name, const k4_segment_options *options, char *error, size_t error_size)
{
    if (record < 1 || record > K4_RECORD_COUNT) {
        snprintf(error, error_size, "segment %s: there is no record number %d; records are 1 to %d", name, record, K4_RECORD_COUNT);
        return K4_BAD_ARGUMENT;
    }
    struct k4_lane *lane = &feed->lanes[record];
    if (lane->open) {
        snprintf(error, error_size, "segment %s: this group publishes %s to segment %s already; name one segment per record", name,
                 k4_record_name[record], lane->segment.name);
        return K4_BAD_ARGUMENT;
    }
    int status = k4_segment_open(&lane->segment, name, record, options, 0, error, error_size);
    if (status != K4_OK)
        return status;
    const uint32_t capacity = lane->segment.header->symbol_capacity;
    if (k4_arbiter_init(&lane->arbiter, capacity, options->window_ids, is_event(record)) != 0 || reserve(feed, record, capacity) != 0) {
        k4_arbiter_fini(&lane->arbiter);
        snprintf(error, error_size, "segment %s: no memory for the ids of %u symbols; lower symbol_capacity or the window", name, capacity);
        k4_segment_discard(&lane->segment);
        return K4_NO_MEMORY;
    }
    if (lane->segment.taken_over)
        k4_segment_seed(&lane->segment, seed, &(struct seeding){&lane->arbiter, record});
    lane->open = true;
    lane->dirty = lane->stepped = false;
    for (k4_conn *conn = feed->conns; conn != NULL && status == K4_OK; conn = conn->next)
        status = k4_feed_berth(feed, conn, record, error, error_size);
    return status;
}

int k4_feed_instrument(k4_feed *feed, const k4_product *product, int record, const uint8_t *symbol, uint32_t symbol_len, const char *qty_unit,
                       const char *contract_size)
{
    struct k4_lane *lane = lane_of(feed, record);
    if (lane == NULL)
        return -K4_BAD_ARGUMENT;
    int number = k4_segment_product(&lane->segment, product->exchange, product->name);
    if (number < 0)
        return number;
    int instrument = k4_segment_instrument(&lane->segment, (uint32_t)number, symbol, symbol_len, qty_unit, contract_size);
    if (instrument < 0)
        return instrument;
    int line_a, line_b;
    if (reserve(feed, record, lane->segment.header->symbol_capacity) != 0
        || k4_arbiter_rule(&lane->arbiter, (uint32_t)instrument, k4_feed_rule(product, record, &line_a, &line_b)) != 0)
        return -K4_NO_MEMORY;
    return instrument;
}

static bool known(const struct k4_lane *lane, int instrument)
{
    return lane != NULL && instrument >= 0 && (uint32_t)instrument < lane->segment.header->symbol_count;
}

int k4_feed_symbol_state(k4_feed *feed, int record, int instrument, int state, int64_t now_ns)
{
    struct k4_lane *lane = lane_of(feed, record);
    if (!known(lane, instrument) || state < K4_STATE_LIVE || state > K4_STATE_REMOVED)
        return K4_BAD_ARGUMENT;
    k4_segment_state(&lane->segment, (uint32_t)instrument, (uint32_t)state, now_ns);
    return K4_OK;
}

int k4_feed_remove(k4_feed *feed, int record, int instrument, int64_t now_ns)
{
    int status = k4_feed_symbol_state(feed, record, instrument, K4_STATE_REMOVED, now_ns);
    if (status != K4_OK)
        return status;
    k4_arbiter_instrument_at(&feed->lanes[record].arbiter, (uint32_t)instrument)->rule = K4_RULE_UNSET;
    return K4_OK;
}

int64_t k4_feed_last_recv_ns(const k4_feed *feed, int record, int instrument)
{
    if (record < 1 || record > K4_RECORD_COUNT || !feed->lanes[record].open || !known(&feed->lanes[record], instrument))
        return K4_ABSENT;
    return feed->lanes[record].segment.symbols[instrument].last_recv_ns;
}

void k4_feed_heartbeat(k4_feed *feed, int64_t wall_ns, int64_t mono_ns)
{
    k4_feed_clock(feed, wall_ns, mono_ns);
    for (int record = 1; record <= K4_RECORD_COUNT; record++)
        if (feed->lanes[record].open)
            k4_segment_heartbeat(&feed->lanes[record].segment, wall_ns, mono_ns);
}

/* ---------------------------------------------------------------- connections' places */

int k4_feed_berth(struct k4_feed *feed, k4_conn *conn, int record, char *error, size_t error_size)
{
    struct k4_lane *lane = lane_of(feed, record);
    struct k4_berth *berth = &conn->berths[record];
    if (lane == NULL || berth->product >= 0 || !gives(conn->product, record))
        return K4_OK;
    int number = k4_segment_product(&lane->segment, conn->product->exchange, conn->product->name);
    int source = number < 0 ? number : k4_segment_source(&lane->segment, conn->name, conn->transport);
    if (source < 0) {
        snprintf(error, error_size, "connection %s: segment %s cannot take it: %s", conn->name, lane->segment.name, k4_status_text(-source));
        return -source;
    }
    int place = k4_heard_reserve(&berth->heard, lane->arbiter.capacity);
    if (place == 0)
        place = k4_arbiter_join(&lane->arbiter, (uint16_t)source);
    if (place < 0) {
        snprintf(error, error_size, "connection %s: %s in segment %s", conn->name,
                 place == -1 ? "no memory to compete" : "more than 128 connections at a time", lane->segment.name);
        return place == -1 ? K4_NO_MEMORY : K4_SOURCES_FULL;
    }
    berth->product = number;
    berth->source = source;
    berth->number = place;
    return K4_OK;
}

void k4_feed_leave(struct k4_feed *feed, const k4_conn *conn, int record)
{
    struct k4_lane *lane = lane_of(feed, record);
    const struct k4_berth *berth = &conn->berths[record];
    if (lane == NULL || berth->product < 0)
        return;
    k4_arbiter_leave(&lane->arbiter, berth->number);
    for (const k4_conn *other = feed->conns; other != NULL; other = other->next)
        if (other->berths[record].product >= 0 && other->berths[record].source == berth->source)
            return;
    k4_segment_release_source(&lane->segment, berth->source);
}

/* ---------------------------------------------------------------- per read */

void k4_feed_clock(struct k4_feed *feed, int64_t wall_ns, int64_t mono_ns)
{
    int64_t offset = wall_ns - mono_ns;
    int64_t moved = offset - feed->clock_offset_ns;
    if (feed->clock_known && (moved >= K4_CLOCK_STEP_NS || moved <= -K4_CLOCK_STEP_NS))
        for (int record = 1; record <= K4_RECORD_COUNT; record++)
            feed->lanes[record].stepped = true;
    const int64_t passed = mono_ns - feed->clock_ns;
    feed->time_ns = !feed->clock_known ? mono_ns : feed->time_ns + (passed < K4_FEED_STEP_NS ? passed : K4_FEED_STEP_NS);
    feed->clock_ns = mono_ns;
    feed->clock_known = true;
    feed->clock_offset_ns = offset;
}

void k4_feed_wake(struct k4_feed *feed)
{
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        if (!feed->lanes[record].dirty)
            continue;
        feed->lanes[record].dirty = false;
        k4_segment_wake(&feed->lanes[record].segment);
    }
}
