/* Surveys: what each of two connections has brought, and what only the other has. The product is that of made_up.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"
#include "k4_feed.h"
#include "made_up.h"
#include "segment_dir.h"

#define SECOND INT64_C(1000000000)
#define NEVER INT64_MAX

static const k4_segment_options options = {.ring_slots = 256, .symbol_capacity = 2, .window_ids = 64, .mode = 0600};
static char error[1024];
static int64_t mono;
static k4_feed *feed;
static k4_conn *a, *b;

static void message(k4_conn *conn, const char *text)
{
    (void)k4_conn_message(conn, (const uint8_t *)text, strlen(text), mono, mono);
}

/* Half a second later. */
static void survey(void)
{
    mono += SECOND / 2;
    k4_feed_survey(feed, mono);
}

static void surveys(int count)
{
    while (count-- > 0)
        survey();
}

/* Instruments 0 to 2 that are stuck on the connection, as bits. */
static unsigned stuck(const k4_conn *conn, int record, int64_t silence_ns, int64_t missing_ns)
{
    static const uint32_t all[] = {0, 1, 2, 4000000000u};
    uint32_t out[4];
    unsigned bits = 0;
    const uint32_t count = k4_conn_stuck(conn, record, all, 4, silence_ns, missing_ns, out);
    for (uint32_t i = 0; i < count; i++)
        bits |= 1u << out[i];
    return bits;
}

static void open_all(void)
{
    static const char *const symbols[] = {"BTC", "ETH", "SOL"}; /* the table grows with the third */
    mono = 5 * SECOND;
    feed = k4_feed_open();
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "nova_bbo", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_segment(feed, K4_RECORD_TRADE, "nova_trade", &options, error, sizeof error), K4_OK);
    a = k4_conn_open(feed, &product, "a", "json", "", 1000, error, sizeof error);
    b = k4_conn_open(feed, &product, "b", "json", "", 1000, error, sizeof error);
    for (int i = 0; i < 3; i++)
        EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)symbols[i], 3, "", ""), i);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_TRADE, (const uint8_t *)"BTC", 3, "", ""), 0);
    k4_conn_asked(a);
    k4_conn_asked(b);
    survey();
}

/* Both bring two instruments; then `b` goes on with one of them, and nobody has the third. */
static void what_only_a_sibling_brings_is_missing(void)
{
    open_all();
    message(a, "b BTC 1;b ETH 1;t BTC 1");
    message(b, "b BTC 1;b ETH 1;t BTC 1");
    survey();
    message(a, "b BTC 2;b ETH 2"); /* missing on `b` from the next survey on */
    message(b, "b ETH 2");
    survey();
    for (int i = 3; i < 7; i++) {
        char text[40];
        snprintf(text, sizeof text, "b BTC %d;b ETH %d", i, i);
        message(a, text);
        message(b, text + 8); /* ETH alone */
        survey();
    }
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 2 * SECOND), 0); /* for just so long */
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 2 * SECOND - 1), 1u << 0);
    EQUAL(stuck(a, K4_RECORD_BBO, NEVER, 0), 0);
    EQUAL(stuck(b, K4_RECORD_TRADE, NEVER, 0), 0);
    EQUAL(stuck(b, K4_RECORD_DEPTH5, 0, 0), 0); /* no such segment */
    EQUAL(stuck(b, 0, 0, 0), 0);
    EQUAL(stuck(b, K4_RECORD_COUNT + 1, 0, 0), 0);
    message(b, "b BTC 6"); /* as new as all */
    survey();
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 0), 0);
    surveys(100);
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 0), 0); /* nobody has anything newer */
    k4_feed_close(feed);
}

/* A copy of what the other brought before says nothing about the other. */
static void who_is_ahead_misses_nothing(void)
{
    open_all();
    message(b, "b BTC 1");
    survey();
    message(a, "b BTC 1");
    surveys(100);
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 0), 0);
    EQUAL(stuck(a, K4_RECORD_BBO, NEVER, 0), 0);
    k4_conn_reset(b); /* what it published on its last link is no other's */
    message(b, "b BTC 2");
    k4_conn_reset(b);
    survey();
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 0), 0);
    surveys(1);
    EQUAL(stuck(a, K4_RECORD_BBO, NEVER, 0), 1u << 0);
    k4_feed_close(feed);
}

/* The link that takes over from another one of the same connection: what the old one brings is the connection's own. */
static void what_the_link_before_brings_is_not_missing(void)
{
    open_all();
    k4_conn *next = k4_conn_open(feed, &product, "b", "json", "", 1000, error, sizeof error);
    k4_conn_asked(next);
    survey();
    message(b, "b BTC 1");
    surveys(10);
    EQUAL(stuck(next, K4_RECORD_BBO, NEVER, 0), 0);
    EQUAL(stuck(a, K4_RECORD_BBO, NEVER, 4 * SECOND), 1u << 0);
    EQUAL(stuck(next, K4_RECORD_BBO, 5 * SECOND, NEVER), 0); /* that it is silent itself is told by the other limit */
    EQUAL(stuck(next, K4_RECORD_BBO, 5 * SECOND - 1, NEVER), 7);
    k4_feed_close(feed);
}

/* Copies and what is dropped are signs of life; a link on which all was asked for begins anew. */
static void silence_is_measured_on_each_connection(void)
{
    open_all();
    message(a, "b BTC 5;b ETH 5");
    message(b, "b BTC 5");
    surveys(5); /* heard at the first of them, two seconds ago; SOL half a second before */
    EQUAL(stuck(a, K4_RECORD_BBO, 2 * SECOND, NEVER), 1u << 2);
    EQUAL(stuck(a, K4_RECORD_BBO, 2 * SECOND - 1, NEVER), 7);
    EQUAL(stuck(b, K4_RECORD_BBO, 2 * SECOND, NEVER), 1u << 1 | 1u << 2);
    message(b, "b BTC 5;b ETH 4"); /* again, and behind */
    survey();
    EQUAL(stuck(b, K4_RECORD_BBO, 1, NEVER), 1u << 2);
    EQUAL(stuck(b, K4_RECORD_TRADE, 1, NEVER), 3); /* that table has room for two */
    k4_conn_asked(b);
    survey();
    EQUAL(stuck(b, K4_RECORD_BBO, 0, 0), 0);
    EQUAL(stuck(a, K4_RECORD_BBO, 2 * SECOND, NEVER), 7);
    k4_feed_close(feed);
}

/* The thread stood still for a minute: one second of it counts. */
static void a_standstill_is_no_silence(void)
{
    open_all();
    message(a, "b BTC 1");
    survey();
    mono += 60 * SECOND;
    k4_feed_survey(feed, mono);
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, SECOND), 0);
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, SECOND - 1), 1u << 0);
    EQUAL(stuck(b, K4_RECORD_BBO, 3 * SECOND / 2, NEVER), 0);
    EQUAL(stuck(b, K4_RECORD_BBO, 3 * SECOND / 2 - 1, NEVER), 7);
    k4_feed_close(feed);
}

/* What an earlier writer left is nobody's news. */
static void a_takeover_is_no_news(void)
{
    open_all();
    message(a, "b BTC 1");
    k4_feed_close(feed);
    open_all();
    surveys(100);
    EQUAL(stuck(b, K4_RECORD_BBO, NEVER, 0), 0);
    k4_feed_close(feed);
}

/* An instrument that is added to streams which run already, of all symbols say, counts as heard from then on: the table may grow for it. */
static void what_is_added_was_not_silent(void)
{
    open_all();
    surveys(20);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"XRP", 3, "", ""), 3);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"DOT", 3, "", ""), 4); /* the table grows with this one */
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_TRADE, (const uint8_t *)"ETH", 3, "", ""), 1);
    surveys(5); /* two seconds after the first */
    static const uint32_t added[] = {3, 4};
    uint32_t out[2];
    EQUAL(k4_conn_stuck(a, K4_RECORD_BBO, added, 2, 2 * SECOND, NEVER, out), 0);
    EQUAL(k4_conn_stuck(a, K4_RECORD_BBO, added, 2, 2 * SECOND - 1, NEVER, out), 2);
    EQUAL(stuck(a, K4_RECORD_TRADE, 2 * SECOND, NEVER), 1u << 0);
    k4_feed_close(feed);
}

int main(void)
{
    void (*const tests[])(void) = {
        what_only_a_sibling_brings_is_missing,
        who_is_ahead_misses_nothing,
        what_the_link_before_brings_is_not_missing,
        silence_is_measured_on_each_connection,
        a_standstill_is_no_silence,
        a_takeover_is_no_news,
        what_is_added_was_not_silent,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        segment_dir_make();
        tests[i]();
        segment_dir_remove();
    }
    return check_failures != 0;
}
