/* A feed of two segments, its connections, and what they are told; the product is that of made_up.h. */
#ifndef FEED_BENCH_H
#define FEED_BENCH_H

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "k4_conn.h"
#include "k4_feed.h"
#include "made_up.h"
#include "segment_dir.h"

static const k4_segment_options options = {.ring_slots = 256, .symbol_capacity = 2, .window_ids = 64, .mode = 0600};
static char error[1024];
static int64_t mono = 5 * INT64_C(1000000000);
static const int64_t wall = INT64_C(1700000000000000000);

static inline k4_feed *open_feed(void)
{
    k4_feed *feed = k4_feed_open();
    CHECK(feed != NULL);
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "nova_bbo", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_segment(feed, K4_RECORD_TRADE, "nova_trade", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"BTC", 3, "", ""), 0);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"ETH", 3, "", ""), 1);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"SOL", 3, "", ""), 2); /* the table grows */
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_TRADE, (const uint8_t *)"BTC", 3, "", ""), 0);
    return feed;
}

static inline k4_conn *open_conn(k4_feed *feed, const char *name)
{
    k4_conn *conn = k4_conn_open(feed, &product, name, "json", "", 1000, error, sizeof error);
    if (conn == NULL) {
        printf("%s\n", error);
        exit(1);
    }
    return conn;
}

static inline int message(k4_conn *conn, const char *text)
{
    return k4_conn_message(conn, (const uint8_t *)text, strlen(text), wall + mono, mono);
}

/* The frames as they come from a socket, in one read. */
static inline int frames(k4_conn *conn, const char *bytes, size_t len)
{
    uint8_t *out;
    CHECK(k4_conn_buffer(conn, &out) >= len);
    memcpy(out, bytes, len);
    return k4_conn_recv(conn, len, wall + mono, mono);
}
#define FRAMES(conn, literal) frames(conn, literal, sizeof(literal) - 1)

/* Record `n` of the segment that `record` goes to, straight from the ring. */
static inline const struct k4_bbo *published(k4_feed *feed, int record, uint64_t n)
{
    const struct k4_segment *segment = &feed->lanes[record].segment;
    CHECK(n < segment->head);
    return (const struct k4_bbo *)(const void *)(segment->ring + (n & segment->mask) * segment->stride + 8);
}

#endif
