/* A feed from bytes to segment, with the product of made_up.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "feed_bench.h"

static void records_arrive(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    EQUAL(FRAMES(a, "\x81\x07" "b BTC 5" "\x81\x11" "b ETH 7;b DOGE 1;" "\x81\x07" "t BTC 1"), 0);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 2);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, 1);
    mono += 1000000;
    EQUAL(message(b, "b BTC 5;b SOL 9;t BTC 4"), 0);
    const struct k4_bbo *r = published(feed, K4_RECORD_BBO, 1);
    EQUAL(r->instrument, 1);
    EQUAL(r->source, 0);
    EQUAL(r->update_id, 7);
    EQUAL(r->flags, K4_FLAG_ONE_SIDED);
    EQUAL(r->recv_ns, wall + mono - 1000000);
    r = published(feed, K4_RECORD_BBO, 2);
    EQUAL(r->instrument, 2);
    EQUAL(r->source, 1);
    r = published(feed, K4_RECORD_TRADE, 1);
    EQUAL(r->flags, K4_FLAG_GAP);
    EQUAL(k4_feed_last_recv_ns(feed, K4_RECORD_BBO, 0), wall + mono); /* a duplicate is a sign of life */
    EQUAL(k4_feed_last_recv_ns(feed, K4_RECORD_BBO, 9), K4_ABSENT);
    EQUAL(k4_feed_last_recv_ns(feed, K4_RECORD_DEPTH5, 0), K4_ABSENT);

    k4_conn_stats s;
    k4_conn_stats_get(a, &s);
    EQUAL(s.frames, 3);
    EQUAL(s.messages, 3);
    EQUAL(s.records, 4);
    EQUAL(s.wins, 3);
    EQUAL(s.unknown_symbol, 1);
    k4_conn_stats_get(b, &s);
    EQUAL(s.wins, 2);
    EQUAL(s.duplicates, 1);
    EQUAL(s.gaps, 2);
    const struct k4_shm_source *sources = feed->lanes[K4_RECORD_BBO].segment.sources;
    EQUAL(sources[0].wins, 2);
    EQUAL(sources[1].wins, 1);
    EQUAL(sources[1].duplicates, 1);
    EQUAL(sources[1].lag[k4_histogram_bucket(1000000)], 1);
    EQUAL(sources[0].lead[k4_histogram_bucket(1000000)], 1);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.sources[1].gaps, 2);

    message(a, "t BTC 3");
    EQUAL(published(feed, K4_RECORD_TRADE, 2)->flags, K4_FLAG_LATE);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.sources[0].late, 1);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.sources[1].late, 0);
    k4_conn_stats_get(a, &s);
    EQUAL(s.late, 1);
    k4_conn_close(a);
    k4_conn *again = open_conn(feed, "a");
    message(again, "t BTC 5");
    EQUAL(published(feed, K4_RECORD_TRADE, 3)->source, 0);
    EQUAL(published(feed, K4_RECORD_TRADE, 3)->flags, 0); /* the late one was not the newest */
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.sources[0].wins, 3);
    k4_feed_close(feed);
}

/* A removed instrument is not published, whoever brings it; added again it goes on where it was. */
static void removed_instruments_are_silent(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    message(conn, "b BTC 5;b ETH 7;t BTC 1");
    const struct k4_segment *quotes = &feed->lanes[K4_RECORD_BBO].segment, *trades = &feed->lanes[K4_RECORD_TRADE].segment;
    EQUAL(quotes->head, 2);
    EQUAL(k4_feed_remove(feed, K4_RECORD_BBO, 0, wall), K4_OK);
    EQUAL(k4_feed_remove(feed, K4_RECORD_TRADE, 0, wall), K4_OK);
    EQUAL(k4_feed_remove(feed, K4_RECORD_BBO, 99, wall), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_remove(feed, K4_RECORD_DEPTH20, 0, wall), K4_BAD_ARGUMENT);
    EQUAL(quotes->symbols[0].state, K4_STATE_REMOVED);
    EQUAL(quotes->symbols[0].state_since_ns, wall);
    mono += 1000000;
    message(conn, "b BTC 6;b ETH 8;t BTC 2");
    EQUAL(quotes->head, 3);
    EQUAL(trades->head, 1);
    EQUAL(quotes->symbols[0].last_recv_ns, wall + mono - 1000000);
    k4_conn_stats s;
    k4_conn_stats_get(conn, &s);
    EQUAL(s.unknown_symbol, 2);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"BTC", 3, "base", ""), 0);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 0, K4_STATE_STALE, wall), K4_OK);
    message(conn, "b BTC 6;b BTC 6;b BTC 9");
    EQUAL(quotes->head, 5);
    EQUAL(published(feed, K4_RECORD_BBO, 3)->update_id, 6);
    EQUAL(published(feed, K4_RECORD_BBO, 4)->update_id, 9);
    k4_feed_close(feed);
}

static void everything_else_is_an_event(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    k4_event event;
    EQUAL(FRAMES(conn, "\x89\x02" "p1" "\x81\x03" "ack" "\x89\x02" "p2" "\x81\x06" "noise1" "\x81\x06" "noise2" "\x81\x05" "empty"
                       "\x81\x05" "ping1" "\x81\x05" "ping2" "\x8a\x01" "q" "\x81\x07" "b X 1;!" "\x88\x05\x03\xe9" "bye" "junk"),
          K4_CONN_EVENTS);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_PING && event.len == 2 && memcmp(event.data, "p2", 2) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_MESSAGE && event.skip == K4_SKIP_ACK && event.message == 2);
    CHECK(event.len == 3 && memcmp(event.data, "ack", 3) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_MESSAGE && event.skip == K4_SKIP_OTHER_CHANNEL && event.message == -1);
    CHECK(event.len == 6 && memcmp(event.data, "noise1", 6) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_MESSAGE && event.skip == K4_SKIP_PING && memcmp(event.data, "ping2", 5) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_PONG && event.len == 1 && event.data[0] == 'q');
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_REFUSED && event.code == K4_REFUSED_RANGE && event.offset == 6);
    CHECK(event.len == 7 && memcmp(event.data, "b X 1;!", 7) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_CLOSE && event.code == 1001 && event.len == 3);
    EQUAL(k4_conn_event(conn, &event), 0);
    k4_conn_stats s;
    k4_conn_stats_get(conn, &s);
    EQUAL(s.pings, 2);
    EQUAL(s.control, 3);
    EQUAL(s.skipped, 6);
    EQUAL(s.refused, 1);
    EQUAL(s.events_lost, 0);

    k4_conn_drift drift;
    k4_conn_drift_get(conn, 0, &drift);
    EQUAL(drift.refused, 1);
    EQUAL(drift.missing, 0);
    k4_conn_drift_get(conn, -1, &drift); /* what none took */
    EQUAL(drift.refused, 0);

    /* The second refusal of a kind is counted, not shown; after a reset it is shown again. */
    k4_conn_reset(conn);
    EQUAL(message(conn, "!"), K4_CONN_EVENTS);
    EQUAL(message(conn, "!"), 0);
    k4_conn_reset(conn);
    EQUAL(message(conn, "!"), K4_CONN_EVENTS);
    EQUAL(message(conn, "?"), K4_CONN_EVENTS); /* for another reason */
    k4_conn_drift_get(conn, 0, &drift);
    EQUAL(drift.refused, 4);
    EQUAL(drift.missing, 1);
    k4_feed_close(feed);
}

static k4_conn *fetching;

/* A body is a snapshot of its symbol's book, `bad`: one with another checksum, or `no`: nothing for it. */
static void fetched(uint16_t kind, const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    EQUAL(kind, 3);
    EQUAL(scratch->symbol_len, 3);
    CHECK(memcmp(scratch->symbol, "ETH", 3) == 0);
    scratch->count = 0;
    if (len != 3)
        return;
    const bool bad = memcmp(text, "bad", 3) == 0;
    struct k4_update *update = k4_books_begin(&fetching->books);
    update->snapshot = 1;
    update->rule = bad ? K4_CHECKSUM_DIGITS_10 : K4_CHECKSUM_NONE;
    update->checksum = 1;
    EQUAL(k4_books_apply(&fetching->books, K4_RECORD_DEPTH5, 0, scratch->symbol, scratch->symbol_len, false), bad ? K4_SKIP_STALE_BOOK : K4_SKIP_NOT);
}

static void a_body_is_of_its_symbol_alone(void)
{
    struct k4_product fetches = product;
    fetches.fetched = fetched;
    k4_feed *feed = open_feed();
    k4_conn *conn = fetching = k4_conn_open(feed, &fetches, "a", "json", "BTC", 1000, error, sizeof error);
    const uint8_t *symbol = (const uint8_t *)"ETH", *body = symbol;
    conn->books.admits = NULL;
    EQUAL(k4_conn_fetched(conn, 3, symbol, 3, body, 3, wall, mono), K4_CONN_EVENTS | K4_CONN_TOOK); /* the event: the book lives */
    EQUAL(k4_conn_fetched(conn, 3, symbol, 3, (const uint8_t *)"no", 2, wall, mono), 0);
    for (int i = 0; i < K4_CONN_AHEAD; i++) {
        EQUAL(conn->scratch[i].symbol_len, 3);
        CHECK(memcmp(conn->scratch[i].symbol, "BTC", 3) == 0); /* the link's own one */
    }
    k4_books_refused(&conn->books, K4_RECORD_DEPTH5, 0, symbol, 3);
    EQUAL(k4_conn_fetched(conn, 3, symbol, 3, (const uint8_t *)"no", 2, wall, mono), 0);
    EQUAL(k4_conn_fetched(conn, 3, symbol, 3, (const uint8_t *)"bad", 3, wall, mono), K4_CONN_EVENTS);
    EQUAL(k4_conn_fetched(conn, 3, (const uint8_t *)"a symbol that is longer than any that a segment can have", 56, body, 3, wall, mono), 0);
    k4_feed_close(feed);
}

static void a_flood_of_answers_is_bounded(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    uint8_t *out;
    size_t room = k4_conn_buffer(conn, &out), len = 0;
    uint64_t sent = 0;
    for (; len + 5 <= room; len += 5, sent++)
        memcpy(out + len, "\x81\x03" "ack", 5);
    EQUAL(k4_conn_recv(conn, len, wall, mono), K4_CONN_EVENTS);
    k4_event event;
    uint64_t got = 0;
    while (k4_conn_event(conn, &event))
        got++;
    EQUAL(got, K4_EVENTS_MAX);
    k4_conn_stats s;
    k4_conn_stats_get(conn, &s);
    EQUAL(s.events_lost, sent - got);
    k4_feed_close(feed);
}

static void failures_are_final_and_counted(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    const char *reason;
    EQUAL(FRAMES(conn, "\x81\x07" "b BTC 5" "\xc1\x00" "\x81\x07" "b BTC 6"), K4_CONN_FAILED);
    EQUAL(k4_conn_failure(conn, &reason), 1002);
    CHECK(strcmp(reason, "reserved bit set in a frame") == 0);
    EQUAL(FRAMES(conn, "\x81\x07" "b BTC 7"), K4_CONN_FAILED);
    EQUAL(message(conn, "b BTC 8"), K4_CONN_FAILED);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 1);
    k4_conn_reset(conn);
    EQUAL(message(conn, "b BTC 9;b \xc0\xaf 1"), K4_CONN_FAILED);
    EQUAL(k4_conn_failure(conn, &reason), 1007);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 1);
    k4_conn_reset(conn);
    EQUAL(FRAMES(conn, "\x81\x01\xff"), K4_CONN_FAILED);
    EQUAL(k4_conn_failure(conn, &reason), 1007);
    k4_conn_reset(conn);
    EQUAL(FRAMES(conn, "\x81\x7e\x03\xe9"), K4_CONN_FAILED);
    EQUAL(k4_conn_failure(conn, &reason), 1009);
    k4_conn_reset(conn);
    char *big = calloc(1, 1002);
    CHECK(big != NULL);
    memset(big, 'x', 1001);
    EQUAL(message(conn, big), K4_CONN_FAILED);
    free(big);
    k4_conn_reset(conn);
    EQUAL(k4_conn_failure(conn, &reason), 0);
    EQUAL(message(conn, "b BTC 8"), 0);
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 2);
    k4_conn_stats s;
    k4_conn_stats_get(conn, &s);
    EQUAL(s.failed_protocol, 1);
    EQUAL(s.failed_utf8, 2);
    EQUAL(s.failed_size, 2);
    k4_feed_close(feed);
}

/* The next TCP connection: nothing that the last one brought says where this one stands. */
static void a_link_begins_with_nothing_of_the_last(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    k4_conn_stats s;
    static const uint8_t symbol[K4_SYMTAB_SLACK] = "BTC";
    message(conn, "b BTC 10");
    EQUAL(message(conn, "noise"), K4_CONN_EVENTS);
    EQUAL(message(conn, "noise"), 0); /* one of a kind is shown */
    conn->books.admits = NULL;
    k4_books_begin(&conn->books)->snapshot = 1;
    EQUAL(k4_books_apply(&conn->books, K4_RECORD_DEPTH5, 0, symbol, 3, false), K4_SKIP_NOT);
    CHECK(conn->books.all[0]->book.live);
    k4_conn_reset(conn);
    EQUAL(message(conn, "noise"), K4_CONN_EVENTS);
    CHECK(!conn->books.all[0]->book.live);
    EQUAL(conn->books.all[0]->book.fault, K4_BOOK_NO_SNAPSHOT);
    message(conn, "b BTC 9"); /* older than what the last link brought, and no new beginning of the venue's ids */
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 1);
    k4_conn_stats_get(conn, &s);
    EQUAL(s.duplicates, 1);
    message(conn, "b BTC 8"); /* lower than before in the same order: a new beginning */
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 2);
    EQUAL(published(feed, K4_RECORD_BBO, 1)->flags, K4_FLAG_ONE_SIDED | K4_FLAG_RESET);
    k4_feed_close(feed);
}

static void a_step_of_the_clock_is_flagged_once_per_segment(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    const char *text[] = {"b BTC 1", "b BTC 2", "b BTC 3;b BTC 4", "t BTC 1;b BTC 5"};
    const int64_t stepped[] = {0, 9999999, 19999999, 19999999}; /* 9.999999 ms is none, 10 ms is one */
    for (int i = 0; i < 4; i++)
        k4_conn_message(conn, (const uint8_t *)text[i], strlen(text[i]), wall + mono + stepped[i], mono);
    const int expect[] = {0, 0, K4_FLAG_CLOCK_STEP, 0, 0};
    for (int i = 0; i < 5; i++)
        EQUAL(published(feed, K4_RECORD_BBO, (uint64_t)i)->flags & K4_FLAG_CLOCK_STEP, expect[i]);
    EQUAL(published(feed, K4_RECORD_TRADE, 0)->flags & K4_FLAG_CLOCK_STEP, K4_FLAG_CLOCK_STEP);
    const int64_t back[] = {10000000, 0}; /* 9.999999 ms back, then 10 ms */
    for (int i = 0; i < 2; i++) {
        const char *later[] = {"b BTC 6", "b BTC 7"};
        k4_conn_message(conn, (const uint8_t *)later[i], strlen(later[i]), wall + mono + back[i], mono);
        EQUAL(published(feed, K4_RECORD_BBO, 5 + (uint64_t)i)->flags & K4_FLAG_CLOCK_STEP, i == 0 ? 0 : K4_FLAG_CLOCK_STEP);
    }
    k4_feed_close(feed);
}

/* RESET is of the first record that is published of an epoch, not of whichever says it. */
static void a_reset_is_flagged_once(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    message(a, "b BTC 50");
    message(b, "b BTC 50");
    message(a, "r BTC 1;b BTC 2");
    message(b, "r BTC 3"); /* its own first one behind the same reset */
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 4);
    EQUAL(published(feed, K4_RECORD_BBO, 1)->flags, K4_FLAG_RESET);
    EQUAL(published(feed, K4_RECORD_BBO, 2)->flags, K4_FLAG_ONE_SIDED);
    EQUAL(published(feed, K4_RECORD_BBO, 3)->flags, 0);
    EQUAL(published(feed, K4_RECORD_BBO, 3)->update_id, 3);
    k4_feed_close(feed);
}

/* A second of rising ids below ours begins an epoch; one in which the thread stood still does not: what is newer waits to be read. */
static void a_thread_that_stood_still_begins_no_epoch(void)
{
    k4_feed *feed = open_feed();
    k4_conn *a = open_conn(feed, "a"), *b = open_conn(feed, "b");
    message(a, "b BTC 10");
    message(b, "b BTC 5"); /* it joins behind */
    for (int i = 0; i < 2; i++) {
        mono += 3 * INT64_C(1000000000);
        message(b, i == 0 ? "b BTC 6" : "b BTC 7");
        EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, (uint64_t)i + 1);
        message(a, i == 0 ? "b BTC 11" : "b BTC 12");
        EQUAL(published(feed, K4_RECORD_BBO, (uint64_t)i + 1)->flags & K4_FLAG_RESET, 0);
    }
    message(b, "b BTC 8");
    for (int i = 0; i < 10; i++) {
        mono += 100000000;
        k4_feed_heartbeat(feed, wall + mono, mono);
    }
    message(b, "b BTC 9");
    EQUAL(published(feed, K4_RECORD_BBO, 3)->flags & K4_FLAG_RESET, K4_FLAG_RESET);
    k4_feed_close(feed);
}

/* How far the second one is behind is the winner's lead; further copies tell of themselves alone. */
static void a_lead_is_over_the_runner_up(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conns[] = {open_conn(feed, "a"), open_conn(feed, "b"), open_conn(feed, "c")};
    for (int i = 0; i < 3; i++) {
        message(conns[i], "b BTC 1");
        mono += 1000000;
    }
    const struct k4_shm_source *sources = feed->lanes[K4_RECORD_BBO].segment.sources;
    EQUAL(sources[0].lead[k4_histogram_bucket(1000000)], 1);
    EQUAL(sources[0].lead[k4_histogram_bucket(2000000)], 0);
    EQUAL(sources[1].lag[k4_histogram_bucket(1000000)], 1);
    EQUAL(sources[2].lag[k4_histogram_bucket(2000000)], 1);
    k4_feed_close(feed);
}

static void a_takeover_publishes_nothing_twice(void)
{
    k4_feed *feed = open_feed();
    k4_conn *conn = open_conn(feed, "a");
    uint64_t bbos = feed->lanes[K4_RECORD_BBO].segment.head, trades = feed->lanes[K4_RECORD_TRADE].segment.head;
    message(conn, "b BTC 105;b ETH 107;t BTC 101;t BTC 104;t BTC 102");
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, bbos + 2);
    k4_feed_close(feed);
    feed = open_feed();
    conn = open_conn(feed, "a");
    message(conn, "b BTC 104;b BTC 105;b ETH 107;t BTC 101;t BTC 102;t BTC 104");
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, bbos + 2);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, trades + 3);
    message(conn, "b BTC 106;b BTC 107;t BTC 103;t BTC 106");
    EQUAL(published(feed, K4_RECORD_BBO, bbos + 2)->flags, K4_FLAG_ONE_SIDED | K4_FLAG_RESTART);
    EQUAL(published(feed, K4_RECORD_BBO, bbos + 3)->flags, K4_FLAG_ONE_SIDED);
    EQUAL(published(feed, K4_RECORD_TRADE, trades + 3)->flags, K4_FLAG_LATE | K4_FLAG_RESTART);
    EQUAL(published(feed, K4_RECORD_TRADE, trades + 4)->flags, K4_FLAG_GAP);
    k4_feed_close(feed);
}

static void mistakes_are_told(void)
{
    static const struct k4_message two[] = {
        {.kind = "bbo", .records = 1u << K4_RECORD_BBO, .order = K4_ORDER_INCREASING, .line = 10},
        {.kind = "bbo", .records = 1u << K4_RECORD_BBO, .order = K4_ORDER_LEADER, .line = 14},
    };
    static const struct k4_product torn = {.exchange = "nova", .name = "swap", .messages = two, .message_count = 2, .fast = fast, .tolerant = parse};
    k4_feed *feed = open_feed();
    CHECK(k4_conn_open(feed, &torn, "x", "json", "", 1000, error, sizeof error) == NULL);
    CHECK(strstr(error, "lines 10 and 14") != NULL);
    CHECK(k4_conn_open(feed, &product, "", "json", "", 1000, error, sizeof error) == NULL);
    CHECK(strstr(error, "name must have 1 to 63 bytes") != NULL);
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "other", &options, error, sizeof error), K4_BAD_ARGUMENT);
    CHECK(strstr(error, "publishes bbo to segment nova_bbo already") != NULL);
    EQUAL(k4_feed_segment(feed, 99, "other", &options, error, sizeof error), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_DEPTH5, (const uint8_t *)"BTC", 3, "", ""), -K4_BAD_ARGUMENT);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"", 0, "", ""), -K4_BAD_SYMBOL);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 77, K4_STATE_STALE, 1), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 0, K4_STATE_STALE, 1), K4_OK);
    /* A segment that comes after the connection is served, too. */
    k4_conn *conn = open_conn(feed, "late");
    k4_conn_stats s;
    k4_conn_stats_get(conn, &s);
    EQUAL(s.no_segment, 0);
    k4_feed_close(feed);

    feed = k4_feed_open();
    conn = open_conn(feed, "early");
    message(conn, "b BTC 500");
    EQUAL(k4_feed_segment(feed, K4_RECORD_BBO, "fresh", &options, error, sizeof error), K4_OK);
    EQUAL(k4_feed_instrument(feed, &product, K4_RECORD_BBO, (const uint8_t *)"BTC", 3, "", ""), 0);
    message(conn, "b BTC 501;t BTC 1");
    EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 1);
    k4_conn_stats_get(conn, &s);
    EQUAL(s.no_segment, 2);
    k4_feed_close(feed);
}

/* Records wait while later frames are decoded, whichever tier they come from: their order must not show it. */
static void a_read_is_published_in_its_order(void)
{
    static const char *const read[] = {"B BTC 1", "B ETH 1", "B SOL 1", "B BTC 2", "B ETH 2", "b SOL 2;b BTC 3;b XRP 9", "B ETH 3", "ack", "B BTC 4",
                                       "B XRP 5", "T BTC 1", "EMPTY",   "B SOL 3", "!",       "B BTC 5",                 "T ETH 8", "B BTC 6"};
    static const int64_t expected[][2] = {{0, 1}, {1, 1}, {2, 1}, {0, 2}, {1, 2}, {2, 2}, {0, 3}, {1, 3}, {0, 4}, {2, 3}, {0, 5}, {0, 6}};
    char bytes[1024];
    for (size_t many = 1; many <= sizeof read / sizeof *read; many++) { /* however the frames are spread over reads */
        segment_dir_remove();
        segment_dir_make();
        k4_feed *feed = open_feed();
        k4_conn *conn = open_conn(feed, "a");
        for (size_t first = 0; first < sizeof read / sizeof *read; first += many) {
            size_t len = 0;
            for (size_t i = first; i < first + many && i < sizeof read / sizeof *read; i++)
                len += (size_t)sprintf(bytes + len, "\x81%c%s", (char)strlen(read[i]), read[i]);
            EQUAL(frames(conn, bytes, len) & K4_CONN_FAILED, 0);
        }
        const struct k4_segment *bbo = &feed->lanes[K4_RECORD_BBO].segment;
        EQUAL(bbo->head, sizeof expected / sizeof *expected);
        for (size_t n = 0; n < sizeof expected / sizeof *expected; n++) {
            struct k4_bbo record;
            memcpy(&record, bbo->ring + n * bbo->stride + 8, sizeof record);
            EQUAL(record.instrument, expected[n][0]);
            EQUAL(record.update_id, expected[n][1]);
        }
        EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, 1);
        k4_conn_stats s;
        k4_conn_stats_get(conn, &s);
        EQUAL(s.messages, sizeof read / sizeof *read);
        EQUAL(s.fast, 14);
        EQUAL(s.tolerant, 3);
        EQUAL(s.unknown_symbol, 3); /* XRP twice, ETH has no place among trades */
        EQUAL(s.refused, 1);
        EQUAL(s.skipped, 2);
        k4_feed_close(feed);
    }
}

/* The fast tier sees text before it is proven UTF-8. */
static void bytes_that_are_no_utf8_publish_nothing(void)
{
    static const char good[] = "\x81\x07" "B BTC 1" "\x81\x07" "B BTC 2";
    for (size_t at = 11; at < sizeof good - 1; at++) {
        char bytes[sizeof good];
        memcpy(bytes, good, sizeof good);
        bytes[at] = (char)0xff;
        segment_dir_remove();
        segment_dir_make();
        k4_feed *feed = open_feed();
        k4_conn *conn = open_conn(feed, "a");
        const char *reason;
        EQUAL(frames(conn, bytes, sizeof good - 1), K4_CONN_FAILED);
        EQUAL(k4_conn_failure(conn, &reason), 1007);
        EQUAL(feed->lanes[K4_RECORD_BBO].segment.head, 1);
        k4_conn_stats s;
        k4_conn_stats_get(conn, &s);
        EQUAL(s.failed_utf8, 1);
        EQUAL(s.messages, 1);
        EQUAL(s.frames, 2);
        k4_feed_close(feed);
    }
}

/* Whatever a caller gets wrong is answered, not followed. */
static void wrong_arguments_are_answered(void)
{
    static const int records[] = {-1, 0, K4_RECORD_COUNT + 1, K4_RECORD_DEPTH20};
    k4_feed *feed = open_feed();
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        EQUAL(k4_feed_instrument(feed, &product, records[i], (const uint8_t *)"BTC", 3, "", ""), -K4_BAD_ARGUMENT);
        EQUAL(k4_feed_symbol_state(feed, records[i], 0, K4_STATE_LIVE, wall), K4_BAD_ARGUMENT);
        EQUAL(k4_feed_last_recv_ns(feed, records[i], 0), K4_ABSENT);
        if (i < 3)
            EQUAL(k4_feed_segment(feed, records[i], "other", &options, error, sizeof error), K4_BAD_ARGUMENT);
    }
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, -1, K4_STATE_LIVE, wall), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 3, K4_STATE_LIVE, wall), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 0, K4_STATE_LIVE - 1, wall), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 0, K4_STATE_REMOVED + 1, wall), K4_BAD_ARGUMENT);
    EQUAL(k4_feed_symbol_state(feed, K4_RECORD_BBO, 0, K4_STATE_REMOVED, wall), K4_OK);
    EQUAL(k4_feed_last_recv_ns(feed, K4_RECORD_BBO, -1), K4_ABSENT);
    EQUAL(k4_feed_last_recv_ns(feed, K4_RECORD_BBO, 3), K4_ABSENT);
    char name[80], symbol[80];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    CHECK(k4_conn_open(feed, &product, name, "json", "", 1000, error, sizeof error) == NULL);
    CHECK(strstr(error, "name must have 1 to 63 bytes") != NULL);
    memset(symbol, 'S', sizeof symbol);
    symbol[K4_SYMBOL_MAX + 1] = '\0';
    CHECK(k4_conn_open(feed, &product, "a", "json", symbol, 1000, error, sizeof error) == NULL);
    k4_conn_close(NULL);
    k4_feed_close(feed);
    k4_feed_close(NULL);
    k4_decoder_close(NULL);
}

/* More connections than a lane's sources or its arbiter take: the first that does not fit is told so. */
static void connections_are_counted(void)
{
    k4_feed *feed = open_feed();
    int opened = 0;
    char name[32];
    while (opened < 200) {
        (void)snprintf(name, sizeof name, "c%d", opened);
        if (k4_conn_open(feed, &product, name, "json", "", 1000, error, sizeof error) == NULL)
            break;
        opened++;
    }
    EQUAL(opened, 64);
    CHECK(strstr(error, "64") != NULL);
    k4_conn *last = feed->conns, *twin = k4_conn_open(feed, &product, "c63", "json", "", 1000, error, sizeof error);
    CHECK(twin != NULL); /* a link in the place of another has the same source */
    k4_conn_close(last);
    CHECK(k4_conn_open(feed, &product, "new", "json", "", 1000, error, sizeof error) == NULL);
    k4_conn_close(twin);
    CHECK(k4_conn_open(feed, &product, "new", "json", "", 1000, error, sizeof error) != NULL);
    CHECK(strcmp(feed->lanes[K4_RECORD_BBO].segment.sources[63].name, "new") == 0);
    k4_feed_close(feed);
    segment_dir_remove();
    segment_dir_make();
    feed = open_feed();
    for (opened = 0; opened < 200; opened++)
        if (k4_conn_open(feed, &product, "same", "json", "", 1000, error, sizeof error) == NULL)
            break;
    EQUAL(opened, K4_ARBITER_CONNECTIONS);
    CHECK(strstr(error, "more than 128 connections at a time") != NULL);
    k4_feed_close(feed);
}

/* Which rule follows from the order a spec gives. */
static void orders_become_rules(void)
{
    static const struct {
        int record, order, rule;
        bool book;
    } cases[] = {
        {K4_RECORD_BBO, K4_ORDER_INCREASING, K4_RULE_INCREASING, false},
        {K4_RECORD_TRADE, K4_ORDER_WINDOW, K4_RULE_WINDOW, false},
        {K4_RECORD_TRADE, K4_ORDER_CONTIGUOUS, K4_RULE_CONTIGUOUS, false},
        {K4_RECORD_AGGTRADE, K4_ORDER_CONTIGUOUS, K4_RULE_CONTIGUOUS, false},
        {K4_RECORD_DEPTH5, K4_ORDER_CONTIGUOUS, K4_RULE_STEPPING, false},
        {K4_RECORD_BBO, K4_ORDER_LEADER, K4_RULE_LEADER, false},
        {K4_RECORD_BBO, K4_ORDER_NONE, K4_RULE_ALL, false},
        /* Of a book only what differs is published: a missing id is no hole. */
        {K4_RECORD_DEPTH5, K4_ORDER_CONTIGUOUS, K4_RULE_INCREASING, true},
        {K4_RECORD_BBO, K4_ORDER_LEADER, K4_RULE_LEADER, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct k4_message one = {.kind = "x", .line = 3};
        one.records = (uint8_t)(1u << cases[i].record);
        one.order = (uint8_t)cases[i].order;
        one.book = cases[i].book;
        const struct k4_product made = {.exchange = "nova", .name = "spot", .messages = &one, .message_count = 1, .fast = fast, .tolerant = parse};
        int a, b;
        EQUAL(k4_feed_rule(&made, cases[i].record, &a, &b), cases[i].rule);
        EQUAL(a, 0);
        EQUAL(k4_feed_rule(&made, K4_RECORD_DEPTH20, &a, &b), K4_RULE_ALL);
    }
}

int main(void)
{
    void (*const tests[])(void) = {
        wrong_arguments_are_answered,
        connections_are_counted,
        orders_become_rules,
        records_arrive,
        removed_instruments_are_silent,
        everything_else_is_an_event,
        a_body_is_of_its_symbol_alone,
        a_flood_of_answers_is_bounded,
        failures_are_final_and_counted,
        a_link_begins_with_nothing_of_the_last,
        a_step_of_the_clock_is_flagged_once_per_segment,
        a_reset_is_flagged_once,
        a_thread_that_stood_still_begins_no_epoch,
        a_lead_is_over_the_runner_up,
        a_takeover_publishes_nothing_twice,
        a_read_is_published_in_its_order,
        bytes_that_are_no_utf8_publish_nothing,
        mistakes_are_told,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        segment_dir_make();
        tests[i]();
        segment_dir_remove();
    }
    return check_failures != 0;
}
