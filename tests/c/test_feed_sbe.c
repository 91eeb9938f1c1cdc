/* Binary frames of a product with an SBE schema, from a connection to segments; the language is that of made_up.h in both kinds of frames. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "k4_feed.h"
#include "made_up.h"
#include "segment_dir.h"

static char error[1024];
static const int64_t wall = INT64_C(1700000000000000000), mono = 5 * INT64_C(1000000000);
static struct k4_product both;

static k4_feed *open_feed(void)
{
    const k4_segment_options options = {.ring_slots = 256, .symbol_capacity = 2, .window_ids = 64, .mode = 0600};
    k4_feed *feed = k4_feed_open();
    CHECK(feed != NULL);
    both = product;
    both.sbe = parse;
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "nova_bbo", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_segment(feed, K4_RECORD_TRADE, "nova_trade", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_instrument(feed, &both, K4_RECORD_BBO, (const uint8_t *)"BTC", 3, "", ""), 0);
    EQUAL(k4_feed_instrument(feed, &both, K4_RECORD_TRADE, (const uint8_t *)"BTC", 3, "", ""), 0);
    return feed;
}

static k4_conn *open_conn(k4_feed *feed, const char *name)
{
    k4_conn *conn = k4_conn_open(feed, &both, name, "sbe", "", 2000, error, sizeof error);
    if (conn == NULL) {
        printf("%s\n", error);
        exit(1);
    }
    return conn;
}

/* Adds a frame to a read; `kind`: its first byte. */
static size_t frame(uint8_t *at, uint8_t kind, const char *text)
{
    const size_t len = strlen(text), head = len < 126 ? 2 : 4;
    at[0] = kind;
    at[1] = (uint8_t)(len < 126 ? len : 126);
    if (head == 4) {
        at[2] = (uint8_t)(len >> 8);
        at[3] = (uint8_t)len;
    }
    memcpy(at + head, text, len);
    return head + len;
}

static int reads(k4_conn *conn, int64_t at_ns, int count, const uint8_t *kinds, const char *const *texts)
{
    uint8_t *out;
    size_t len = 0;
    CHECK(k4_conn_buffer(conn, &out) > 4000);
    for (int i = 0; i < count; i++)
        len += frame(out + len, kinds[i], texts[i]);
    return k4_conn_recv(conn, len, wall + at_ns, at_ns);
}
#define READS(conn, at_ns, kinds, ...) reads(conn, at_ns, (int)sizeof(kinds) - 1, (const uint8_t *)(kinds), (const char *const[]){__VA_ARGS__})

static int64_t quote(k4_feed *feed, uint64_t n)
{
    const struct k4_segment *segment = &feed->lanes[K4_RECORD_BBO].segment;
    CHECK(n < segment->head);
    return ((const struct k4_bbo *)(const void *)(segment->ring + (n & segment->mask) * segment->stride + 8))->update_id;
}

static void they_are_published_in_their_order(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    k4_conn_stats s;
    /* the last one in two fragments */
    EQUAL(READS(conn, mono, "\x82\x81\x82\x82\x02\x80", "b BTC 5", "B BTC 6", "b BTC 7;t BTC 1", "b SOL 1", "b BT", "C 9"), 0);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 4);
    static const int64_t ids[] = {5, 6, 7, 9};
    for (uint64_t i = 0; i < 4; i++)
        EQUAL(quote(feed, i), ids[i]);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, 1);
    k4_conn_stats_get(conn, &s);
    EQUAL(s.sbe, 4);
    EQUAL(s.fast, 1);
    EQUAL(s.messages, 5);
    EQUAL(s.unknown_symbol, 1);
    k4_feed_close(feed);
}

static void what_gives_no_record_is_told(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    k4_event event;
    EQUAL(READS(conn, mono, "\x82\x82\x82\x82", "b BTC 5", "ack", "empty", "b BTC 6;!;b BTC 7"), K4_CONN_EVENTS);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_MESSAGE && event.skip == K4_SKIP_ACK && event.message == 2);
    CHECK(event.len == 3 && memcmp(event.data, "ack", 3) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_REFUSED && event.code == K4_REFUSED_RANGE && event.offset == 8);
    CHECK(event.len == 17 && memcmp(event.data, "b BTC 6;!;b BTC 7", 17) == 0);
    EQUAL(k4_conn_event(conn, &event), 0);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 3);
    for (uint64_t i = 0; i < 3; i++)
        EQUAL(quote(feed, i), 5 + (int)i);
    k4_feed_close(feed);
}

/* More of one frame than a scratch holds, behind one that still waits. */
static void a_long_one_goes_in_parts(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    char text[2000];
    size_t len = 0;
    for (int id = 101; id <= 100 + 2 * K4_SCRATCH_ITEMS + 3; id++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%sb BTC %d", id > 101 ? ";" : "", id);
    EQUAL(READS(conn, mono, "\x82\x82", "b BTC 100", text), 0);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 2 * K4_SCRATCH_ITEMS + 4);
    for (uint64_t i = 0; i < 2 * K4_SCRATCH_ITEMS + 4; i++)
        EQUAL(quote(feed, i), 100 + (int)i);
    k4_feed_close(feed);
}

/* How much later than the first a connection was: one sample a record, in the step that holds it. */
static void lags_are_counted(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    uint64_t lags[K4_LAG_STEPS];
    EQUAL(READS(a, mono, "\x82\x82", "b BTC 5", "t BTC 1"), 0);
    EQUAL(READS(b, mono + 70000, "\x82\x81", "b BTC 5", "T BTC 1"), 0);
    k4_conn_lags(a, lags);
    for (int i = 0; i < K4_LAG_STEPS; i++)
        EQUAL(lags[i], 0);
    k4_conn_lags(b, lags);
    int steps = 0;
    for (int i = 0; i < K4_LAG_STEPS - 1; i++) {
        const bool holds = k4_lag_floor((uint32_t)i) <= 70000 && 70000 < k4_lag_floor((uint32_t)i + 1);
        EQUAL(lags[i], holds ? 2 : 0);
        steps += holds;
    }
    EQUAL(steps, 1);
    EQUAL(lags[K4_LAG_STEPS - 1], 0);
    k4_feed_close(feed);
}

int main(void)
{
    void (*const tests[])(void) = {
        they_are_published_in_their_order,
        what_gives_no_record_is_told,
        a_long_one_goes_in_parts,
        lags_are_counted,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        segment_dir_make();
        tests[i]();
        segment_dir_remove();
    }
    return check_failures != 0;
}
