/* Frames that a sibling brought a moment ago: recognised by their bytes (k4_memo.h), and published once. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "feed_bench.h"

/* A read of `count` frames `B SYMBOL ID` whose ids rise from `id` on, zeros in front to make a text of `len` bytes (126 to 999). */
static void numbered_of(k4_conn *conn, const char *symbol, int64_t id, int count, size_t len)
{
    static char bytes[1 << 18];
    size_t size = 0;
    for (int i = 0; i < count; i++, id++) {
        const uint8_t head[] = {0x81, 126, (uint8_t)(len >> 8), (uint8_t)len};
        memcpy(bytes + size, head, sizeof head);
        snprintf(bytes + size + sizeof head, len + 1, "B %s %0*lld", symbol, (int)len - 6, (long long)id);
        size += sizeof head + len;
    }
    EQUAL(frames(conn, bytes, size), 0);
}

static void numbered(k4_conn *conn, int64_t id, int count, size_t len)
{
    numbered_of(conn, "BTC", id, count, len);
}

static uint64_t bbos(const k4_feed *feed)
{
    return feed->lanes[K4_RECORD_BBO].segment.head;
}

static void copies_are_recognised(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    k4_conn_stats s;
    numbered(a, 1, 1, 200); /* nobody else is at work yet */
    numbered(b, 1, 1, 200);
    numbered(a, 2, 20, 200);
    fast_calls = 0;
    numbered(b, 2, 20, 200);
    EQUAL(fast_calls, 0);
    EQUAL(bbos(feed), 21);
    numbered(b, 22, 3, 200); /* who is first changes */
    EQUAL(fast_calls, 3);
    numbered(a, 22, 3, 200);
    EQUAL(fast_calls, 3);
    EQUAL(bbos(feed), 24);
    EQUAL(published(feed, K4_RECORD_BBO, 23)->update_id, 24);
    EQUAL(published(feed, K4_RECORD_BBO, 23)->source, 1);
    numbered(a, 25, 10, 200);
    numbered(b, 28, 5, 200); /* some that are expected do not come */
    EQUAL(fast_calls, 13);
    numbered(b, 33, 1, 201); /* the same update in other bytes */
    EQUAL(fast_calls, 14);
    k4_conn_stats_get(b, &s);
    EQUAL(s.wins, 3);
    EQUAL(s.duplicates, 1 + 20 + 5 + 1);
    EQUAL(s.fast, s.messages);
    mono += K4_CONN_SHARED_NS;
    numbered(b, 50, 1, 200);
    mono += K4_CONN_SHARED_NS;
    numbered(b, 51, 4, 200); /* alone again: nothing is left for a sibling */
    numbered(a, 51, 4, 200);
    EQUAL(fast_calls, 14 + 1 + 4 + 4);
    EQUAL(bbos(feed), 24 + 10 + 1 + 4);
    k4_feed_close(feed);
}

/* What a copy's id is compared with depends on its flags. */
static void copies_of_hashed_ids_are_recognised(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    message(a, "H BTC 9");
    message(b, "H BTC 9");
    message(a, "H BTC 7");
    fast_calls = 0;
    message(b, "H BTC 7");
    EQUAL(fast_calls, 0);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, 2);
    EQUAL(published(feed, K4_RECORD_TRADE, 1)->flags, K4_FLAG_HASHED_ID);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.sources[1].duplicates, 2);
    k4_feed_close(feed);
}

/* Texts longer than any usual frame are decoded by each: the memo is for a thousand small ones. */
static void long_copies_are_decoded(void)
{
    enum { LEN = 400000 };
    k4_feed *feed = open_feed();
    k4_conn *conns[2];
    for (int i = 0; i < 2; i++)
        conns[i] = k4_conn_open(feed, &product, i == 0 ? "a" : "b", "json", "", 1 << 20, error, sizeof error);
    message(conns[0], "B BTC 1");
    message(conns[1], "B BTC 1");
    char *text = malloc(LEN + 1);
    CHECK(text != NULL);
    const int lens[] = {K4_MEMO_MOST, K4_MEMO_MOST + 1, LEN};
    for (int n = 0; n < 3; n++) {
        memset(text, '0', LEN);
        memcpy(text, "B BTC ", 6);
        text[lens[n] - 1] = (char)('2' + n);
        text[lens[n]] = 0;
        message(conns[0], text);
        fast_calls = 0;
        message(conns[1], text);
        EQUAL(fast_calls, n != 0);
        EQUAL(bbos(feed), (uint64_t)n + 2);
        EQUAL(published(feed, K4_RECORD_BBO, (uint64_t)n + 1)->update_id, n + 2);
    }
    free(text);
    k4_feed_close(feed);
}

/* More than the memo holds: whoever has fallen behind decodes, and everything is published once all the same. */
static void copies_come_too_late(void)
{
    enum { READ = 100, LEN = 990, ROUNDS = 30 };
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    k4_conn_stats s;
    numbered(a, 1, 1, LEN);
    numbered(b, 1, 1, LEN);
    fast_calls = 0;
    for (int i = 0; i < ROUNDS; i++) { /* the ring's end lies at another place in every round */
        numbered(a, 2 + READ * i, READ, LEN);
        numbered(b, 2 + READ * i, READ, LEN);
        EQUAL(fast_calls, (unsigned)READ * (unsigned)(i + 1));
        EQUAL(bbos(feed), 1 + READ * (uint64_t)(i + 1));
    }
    const int64_t next = 2 + READ * ROUNDS;
    for (int i = 0; i < 4; i++)
        numbered(a, next + READ * i, READ, LEN);
    fast_calls = 0;
    for (int i = 0; i < 4; i++)
        numbered(b, next + READ * i, READ, LEN);
    EQUAL(fast_calls, 4 * READ);
    numbered(a, next + 4 * READ, READ, LEN); /* from here on it follows again */
    numbered(b, next + 4 * READ, READ, LEN);
    EQUAL(fast_calls, 5 * READ);
    EQUAL(bbos(feed), 1 + READ * (uint64_t)(ROUNDS + 5));
    k4_conn_stats_get(b, &s);
    EQUAL(s.duplicates, 1 + READ * (uint64_t)(ROUNDS + 5));
    k4_feed_close(feed);
}

/* Entries whose copies never come are passed over, and given up when there are too many. */
static void copies_that_do_not_come(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    numbered(a, 1, 1, 200);
    numbered(b, 1, 1, 200);
    numbered(a, 2, 40, 200);
    fast_calls = 0;
    numbered(b, 2 + K4_MEMO_PEEK - 1, 1, 200); /* the last of those that are looked at */
    EQUAL(fast_calls, 0);
    numbered_of(b, "ETH", 1, K4_MEMO_PATIENCE - 1, 200); /* nobody has brought these */
    EQUAL(fast_calls, K4_MEMO_PATIENCE - 1);
    numbered(b, 10, 1, 200); /* still the next one: patience has not run out */
    EQUAL(fast_calls, K4_MEMO_PATIENCE - 1);
    numbered_of(b, "ETH", 30, K4_MEMO_PATIENCE, 200); /* now it has */
    numbered(b, 11, 1, 200);
    EQUAL(fast_calls, 2 * K4_MEMO_PATIENCE);
    numbered_of(a, "ETH", 1, K4_MEMO_PATIENCE - 1, 200); /* and the other one follows these */
    EQUAL(fast_calls, 2 * K4_MEMO_PATIENCE);
    k4_feed_close(feed);
}

/* Without an order everything is published: a copy, too, whole. */
static void copies_that_are_published(void)
{
    static const struct k4_message unordered[] = {{.kind = "bbo", .records = 1u << K4_RECORD_BBO, .order = K4_ORDER_NONE, .line = 1}};
    static const struct k4_product all = {.exchange = "nova", .name = "all", .messages = unordered, .message_count = 1, .fast = fast, .tolerant = parse};
    k4_feed *feed = k4_feed_open();
    CHECK(feed != NULL);
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "nova_all", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_instrument(feed, &all, K4_RECORD_BBO, (const uint8_t *)"BTC", 3, "", ""), 0);
    k4_conn *a = k4_conn_open(feed, &all, "a", "json", "", 1000, error, sizeof error), *b = k4_conn_open(feed, &all, "b", "json", "", 1000, error, sizeof error);
    CHECK(a != NULL && b != NULL);
    numbered(a, 1, 1, 200);
    numbered(b, 1, 1, 200);
    numbered(a, 7, 3, 200);
    mono += 5;
    numbered(b, 7, 3, 200);
    EQUAL(bbos(feed), 8);
    for (uint64_t n = 2; n < 5; n++) {
        struct k4_bbo one = *published(feed, K4_RECORD_BBO, n), two = *published(feed, K4_RECORD_BBO, n + 3);
        EQUAL(two.update_id, (int64_t)n + 5);
        EQUAL(two.source, 1);
        EQUAL(two.recv_ns, one.recv_ns + 5);
        two.source = one.source;
        two.recv_ns = one.recv_ns;
        CHECK(memcmp(&one, &two, sizeof one) == 0);
    }
    k4_feed_close(feed);
}

int main(void)
{
    void (*const tests[])(void) = {
        copies_are_recognised,
        copies_of_hashed_ids_are_recognised,
        long_copies_are_decoded,
        copies_come_too_late,
        copies_that_do_not_come,
        copies_that_are_published,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        segment_dir_make();
        tests[i]();
        segment_dir_remove();
    }
    return check_failures != 0;
}
