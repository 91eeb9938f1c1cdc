/* Unit tests of segment, symbol table and reader within one process, in a directory of their own.
 * With the argument `bench` prints nanoseconds per publish and per symbol lookup instead. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_reader.h"
#include "k4_segment.h"
#include "k4_view.h"

#include "check.h"
#include "segment_steps.h"

#include <sys/wait.h>

static const char *dir;
static struct k4_trade trade(uint32_t instrument, int64_t id)
{
    struct k4_trade t = {.instrument = instrument, .event_ns = id * 10, .recv_ns = id * 10 + 1, .price_exp = -2, .trade_id = id, .price = id * 100, .qty = id};
    return t;
}

static uint64_t put(struct k4_segment *segment, uint32_t instrument, int64_t id)
{
    struct k4_trade t = trade(instrument, id);
    return k4_segment_publish(segment, instrument, &t);
}

/* ---------------------------------------------------------------- reading */

static void test_publish_and_read(void)
{
    struct k4_segment segment = writer_open("values", &small);
    struct k4_trade got;
    uint64_t n = 99, first, last;
    EQUAL(add(&segment, "AAA"), 0);
    EQUAL(add(&segment, "BBB"), 1);
    EQUAL(add(&segment, "AAA"), 0);
    struct k4_reader reader = reader_open("values");
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_NOTHING);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 0);
    EQUAL(put(&segment, 0, 7), 0);
    EQUAL(put(&segment, 1, 8), 1);
    EQUAL(put(&segment, 0, 9), 2);
    for (int64_t id = 7; id <= 9; id++) {
        struct k4_trade want = trade(id == 8, id);
        EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
        EQUAL(n, id - 7);
        CHECK(memcmp(&got, &want, sizeof got) == 0);
    }
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_NOTHING);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 9);
    EQUAL(n, 2);
    EQUAL(k4_reader_latest(&reader, 1, &got, &n), 1);
    EQUAL(got.trade_id, 8);
    EQUAL(n, 1);
    EQUAL(k4_reader_latest(&reader, 2, &got, &n), 0);
    EQUAL(k4_reader_latest(&reader, 4000000, &got, &n), 0);
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_ALIVE);
    EQUAL(k4_reader_find(&reader, "BBB", NULL, NULL), 1);
    EQUAL(k4_reader_find(&reader, "BBB", "nova", "spot"), 1);
    EQUAL(k4_reader_find(&reader, "BBB", "nova", "perp"), -1);
    EQUAL(k4_reader_find(&reader, "BB", "", ""), -1);
    put(&segment, 1, 10);
    k4_segment_close(&segment);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 10);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), -K4_WRITER_CLOSED);
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_CLOSED);
    k4_reader_close(&reader);
}

static void test_lost_range(void)
{
    struct k4_segment segment = writer_open("lapped", &small);
    struct k4_trade got;
    uint64_t n, first = 0, last = 0;
    add(&segment, "AAA");
    struct k4_reader reader = reader_open("lapped");
    for (int64_t id = 0; id < 8; id++)
        put(&segment, 0, id);
    /* All eight stand in the ring, though the slot of 0 is the next to be written. */
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(n, 0);
    for (int64_t id = 8; id < 21; id++)
        put(&segment, 0, id);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 1);
    EQUAL(last, 13); /* 20 is the newest; 13 shares its slot with 21, which may come any moment */
    for (uint64_t want = 14; want < 21; want++) {
        EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
        EQUAL(n, want);
        EQUAL(got.trade_id, want);
    }
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_NOTHING);
    k4_reader_seek(&reader, k4_reader_oldest(&reader));
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(n, 14);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* A record is in the ring before it is in its latest slot: a reader that took it must not be given an older latest. */
static void test_latest_never_goes_back(void)
{
    struct k4_segment segment = writer_open("latest", &small);
    struct k4_trade got;
    uint64_t n, first, last;
    add(&segment, "AAA");
    add(&segment, "BBB");
    struct k4_reader reader = reader_open("latest");
    put(&segment, 0, 1);
    struct k4_trade second = trade(0, 2);
    uint64_t *slot = (uint64_t *)(void *)(segment.ring + segment.stride);
    uint64_t *latest = (uint64_t *)(void *)segment.latest;
    const k4_word *words = (const k4_word *)(const void *)&second;
    k4_segment_put((uint8_t *)slot, 1, words[0], words, segment.words);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 1); /* not yet seen from the ring: the older one is right */
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 2);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 2);
    EQUAL(n, 1);
    EQUAL(k4_reader_latest(&reader, 1, &got, &n), 0);
    k4_reader_seek(&reader, 0); /* reading an old one again forgets nothing */
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 1);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 2);
    latest[0] = 3; /* its writer died in the latest slot of record 1 */
    latest[5] = 12345;
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 2);
    CHECK(memcmp(&got, &second, sizeof got) == 0);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* ---------------------------------------------------------------- taking over */

struct seen {
    uint64_t sequence[64];
    int64_t id[64];
    uint32_t instrument[64];
    int count;
};

static void note(void *context, uint32_t instrument, uint64_t sequence, const void *record)
{
    struct seen *seen = context;
    seen->sequence[seen->count] = sequence;
    seen->instrument[seen->count] = instrument;
    seen->id[seen->count++] = ((const struct k4_trade *)record)->trade_id;
}

static void test_takeover(void)
{
    struct k4_segment segment = writer_open("takeover", &small);
    struct k4_trade got;
    struct seen seen = {.count = 0};
    uint64_t n, first, last;
    CHECK(!segment.taken_over);
    EQUAL(segment.header->epoch, 1);
    add(&segment, "AAA");
    add(&segment, "BBB");
    put(&segment, 1, 50);
    for (int64_t id = 1; id <= 12; id++)
        put(&segment, 0, id);
    int source = k4_segment_source(&segment, "x#0", "ws");
    k4_segment_count(&segment.sources[source].wins, 13);
    struct k4_reader reader = reader_open("takeover");
    k4_segment_close(&segment);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), -K4_WRITER_CLOSED);

    segment = writer_open("takeover", &small);
    CHECK(segment.taken_over);
    EQUAL(segment.header->epoch, 2);
    EQUAL(segment.head, 13);
    EQUAL(k4_segment_find(&segment, (uint32_t)k4_segment_product(&segment, "nova", "spot"), (const uint8_t *)"BBB", 3), 1);
    EQUAL(k4_segment_source(&segment, "x#0", "ws"), source);
    EQUAL(segment.sources[source].wins, 13);
    EQUAL(k4_segment_source(&segment, "x#0", "sbe"), source + 1); /* another transport is another source */
    EQUAL(segment.sources[source + 1].wins, 0);
    k4_segment_seed(&segment, note, &seen);
    EQUAL(seen.count, 9); /* BBB's latest, which the ring lost, then the eight of the ring */
    EQUAL(seen.sequence[0], 0);
    EQUAL(seen.instrument[0], 1);
    EQUAL(seen.id[0], 50);
    for (int i = 1; i < 9; i++) {
        EQUAL(seen.sequence[i], 4 + i);
        EQUAL(seen.id[i], 4 + i);
    }
    add(&segment, "CCC");
    put(&segment, 0, 13);
    put(&segment, 0, 14);
    put(&segment, 1, 51);
    put(&segment, 2, 70);
    static const int flags[] = {K4_FLAG_RESTART, 0, K4_FLAG_RESTART, 0}; /* CCC is new: nothing before it */
    for (int i = 0; i < 4; i++) {
        EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
        EQUAL(n, 13 + i);
        EQUAL(got.flags, flags[i]);
    }
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* Every state a killed writer can leave, made by hand; random kills do the rest elsewhere. */
static void test_repair(void)
{
    for (int stage = 0; stage < 6; stage++) {
        char name[32];
        struct k4_trade torn = trade(1, 100), got;
        uint64_t n, first, last;
        (void)snprintf(name, sizeof name, "repair%d", stage);
        struct k4_segment segment = writer_open(name, &small);
        add(&segment, "AAA");
        add(&segment, "BBB");
        for (int64_t id = 0; id < 10; id++)
            put(&segment, (uint32_t)id % 2, id);
        uint64_t head = segment.head;
        uint64_t *slot = (uint64_t *)(void *)(segment.ring + (head & segment.mask) * segment.stride);
        uint64_t *latest = (uint64_t *)(void *)(segment.latest + segment.stride);
        const k4_word *words = (const k4_word *)(const void *)&torn;
        if (stage >= 1) { /* in the ring slot */
            slot[0] = 2 * head + 1;
            memcpy(slot + 1, words, 24);
        }
        if (stage >= 2) /* ring slot complete */
            k4_segment_put((uint8_t *)slot, head, words[0], words, segment.words);
        struct k4_reader reader = reader_open(name);
        if (stage >= 3) { /* in the latest slot */
            latest[0] = 2 * head + 1;
            memcpy(latest + 1, words, 16);
        }
        if (stage >= 4) /* latest slot complete */
            k4_segment_put((uint8_t *)latest, head, words[0], words, segment.words);
        if (stage >= 5) /* head too */
            segment.header->head = head + 1;
        if (stage >= 2 && stage < 5) { /* readers may take it before the successor is there */
            EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
            EQUAL(got.trade_id, 100);
            k4_reader_seek(&reader, head);
        }
        writer_dies(&segment);
        EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_GONE);

        struct k4_segment next = writer_open(name, &small);
        EQUAL(next.head, stage >= 2 ? head + 1 : head);
        EQUAL(k4_reader_latest(&reader, 1, &got, &n), 1);
        EQUAL(got.trade_id, stage >= 2 ? 100 : 9);
        EQUAL(got.price, stage >= 2 ? 10000 : 900);
        EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
        EQUAL(got.trade_id, 8);
        k4_reader_seek(&reader, head);
        if (stage >= 2) {
            EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
            CHECK(memcmp(&got, &torn, sizeof got) == 0);
        }
        EQUAL(put(&next, 1, 200), next.head - 1);
        EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
        EQUAL(got.trade_id, 200);
        EQUAL(got.flags, K4_FLAG_RESTART);
        k4_reader_close(&reader);
        k4_segment_close(&next);
    }
}

/* A latest slot left odd whose record the ring lost: restored from what the ring still has, or cleared. */
static void test_repair_without_ring(void)
{
    struct k4_segment segment = writer_open("cleared", &small);
    struct k4_trade got;
    uint64_t n;
    add(&segment, "AAA");
    add(&segment, "BBB");
    put(&segment, 1, 5);
    for (int64_t id = 10; id < 30; id++)
        put(&segment, 0, id);
    *(uint64_t *)(void *)(segment.latest + segment.stride) = 1;
    *(uint64_t *)(void *)segment.latest = 2 * 20 + 1;
    struct k4_reader reader = reader_open("cleared");
    k4_segment_close(&segment);
    segment = writer_open("cleared", &small);
    EQUAL(k4_reader_latest(&reader, 1, &got, &n), 0);
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 1);
    EQUAL(got.trade_id, 29);
    EQUAL(n, 20);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

static void test_other_counts_carry_on(void)
{
    k4_segment_options more = small;
    struct seen seen = {.count = 0};
    struct k4_trade got;
    uint64_t n, first, last;
    struct k4_segment segment = writer_open("counts", &small);
    add(&segment, "AAA");
    add(&segment, "BBB");
    put(&segment, 1, 77);
    for (int64_t id = 1; id <= 20; id++)
        put(&segment, 0, id);
    struct k4_reader old = reader_open("counts");
    k4_segment_close(&segment);
    more.ring_slots = 32;
    segment = writer_open("counts", &more);
    EQUAL(k4_reader_next(&old, &got, &n, &first, &last), -K4_REPLACED);
    k4_reader_close(&old);
    EQUAL(segment.head, 21);
    EQUAL(segment.header->epoch, 2);
    k4_segment_seed(&segment, note, &seen);
    EQUAL(seen.count, 9);
    EQUAL(seen.id[0], 77);
    EQUAL(seen.id[1], 13);
    EQUAL(seen.id[8], 20);
    struct k4_reader reader = reader_open("counts");
    k4_reader_seek(&reader, 0);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 0);
    EQUAL(last, 12);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 13);
    put(&segment, 1, 78);
    EQUAL(k4_reader_latest(&reader, 1, &got, &n), 1);
    EQUAL(got.flags, K4_FLAG_RESTART);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
    more.ring_slots = 4; /* smaller: the newest four stay */
    segment = writer_open("counts", &more);
    EQUAL(segment.header->first, 18);
    k4_segment_close(&segment);
    segment = writer_open("counts", &more); /* and what stands there passes the checks of a takeover */
    EQUAL(segment.head, 22);
    k4_segment_close(&segment);
}

static void test_symbols_full(void)
{
    struct k4_segment segment = writer_open("full", &small);
    struct k4_trade got;
    uint64_t n, first, last;
    static const char *const names[] = {"A", "BB", "CCC", "DDDD", "EEEEE", "FFFFFF", "GGGGGGG", "HHHHHHHH", "IIIIIIIII"};
    for (int i = 0; i < 4; i++)
        EQUAL(add(&segment, names[i]), i);
    put(&segment, 3, 1);
    struct k4_reader old = reader_open("full");
    EQUAL(add(&segment, names[4]), 4);
    EQUAL(segment.header->symbol_capacity, 8);
    EQUAL(k4_reader_next(&old, &got, &n, &first, &last), -K4_REPLACED);
    put(&segment, 4, 2);
    for (int i = 5; i < 9; i++)
        EQUAL(add(&segment, names[i]), i);
    EQUAL(segment.header->symbol_capacity, 16);
    put(&segment, 8, 3);
    struct k4_reader reader = reader_open("full");
    k4_reader_seek(&reader, k4_reader_oldest(&reader));
    for (int64_t id = 1; id <= 3; id++) {
        EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
        EQUAL(got.trade_id, id);
        EQUAL(got.flags, 0);
    }
    for (int i = 0; i < 9; i++)
        EQUAL(k4_reader_find(&reader, names[i], NULL, NULL), i);
    k4_reader_close(&old);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
    segment = writer_open("full", &small); /* what it has grown to is kept */
    EQUAL(segment.header->symbol_capacity, 16);
    EQUAL(segment.header->symbol_count, 9);
    k4_segment_close(&segment);
}

static void test_symbol_rules(void)
{
    struct k4_segment segment = writer_open("rules", &small);
    char fits[49], longer[50];
    memset(fits, 'x', 48);
    fits[48] = 0;
    memset(longer, 'x', 49);
    longer[49] = 0;
    EQUAL(add(&segment, fits), 0);
    EQUAL(add(&segment, longer), -K4_BAD_SYMBOL);
    EQUAL(add(&segment, ""), -K4_BAD_SYMBOL);
    EQUAL(add(&segment, "a\nb"), -K4_BAD_SYMBOL);
    EQUAL(add(&segment, "\xe5\xb8\x81\xe5\xae\x89"), 1);
    EQUAL(k4_segment_instrument(&segment, 7, (const uint8_t *)"A", 1, "", ""), -K4_BAD_ARGUMENT);
    int perp = k4_segment_product(&segment, "nova", "perp");
    /* another product, another instrument */
    EQUAL(k4_segment_instrument(&segment, (uint32_t)perp, (const uint8_t *)fits, 48, "base", "123456789.123456789012345678901"), 2);
    EQUAL(k4_segment_instrument(&segment, (uint32_t)perp, (const uint8_t *)fits, 48, "contract", "0.001"), 2);
    EQUAL(k4_segment_instrument(&segment, (uint32_t)perp, (const uint8_t *)fits, 48, "", ""), 2); /* what is not known takes nothing away */
    k4_segment_state(&segment, 2, K4_STATE_STALE, 12345);
    k4_segment_alive(&segment, 2, 777);
    struct k4_reader reader = reader_open("rules");
    EQUAL(k4_reader_find(&reader, fits, NULL, NULL), -2);
    EQUAL(k4_reader_find(&reader, fits, NULL, "perp"), 2);
    k4_reader_close(&reader);
    k4_shm_dir_set(dir);
    k4_view *view = k4_view_open("rules", error, sizeof error);
    k4_symbol_info info;
    CHECK(view != NULL && k4_view_symbol(view, 2, &info) == 1);
    CHECK(strcmp(info.symbol, fits) == 0 && strcmp(info.product, "perp") == 0 && strcmp(info.qty_unit, "contract") == 0);
    CHECK(strcmp(info.contract_size, "0.001") == 0);
    EQUAL(info.state, K4_STATE_STALE);
    EQUAL(info.state_since_ns, 12345);
    EQUAL(info.last_recv_ns, 777);
    EQUAL(k4_view_symbol(view, 3, &info), 0);
    k4_view_close(view);
    k4_segment_close(&segment);
}

/* ---------------------------------------------------------------- drain, symbol table, histogram */

static void test_drain(void)
{
    struct k4_segment segment = writer_open("drain", &small);
    struct k4_trade got[16];
    uint64_t n, first, last;
    uint32_t taken;
    add(&segment, "AAA");
    k4_view *view = k4_view_open("drain", error, sizeof error);
    EQUAL(k4_view_drain(view, got, 16, &taken, &n, &first, &last), K4_READ_NOTHING);
    for (int64_t id = 0; id < 5; id++)
        put(&segment, 0, id);
    EQUAL(k4_view_drain(view, got, 3, &taken, &n, &first, &last), K4_READ_RECORD);
    EQUAL(taken, 3);
    EQUAL(n, 0);
    EQUAL(got[2].trade_id, 2);
    for (int64_t id = 5; id < 20; id++)
        put(&segment, 0, id);
    EQUAL(k4_view_drain(view, got, 16, &taken, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 3);
    EQUAL(last, 12);
    EQUAL(k4_view_drain(view, got, 16, &taken, &n, &first, &last), K4_READ_RECORD);
    EQUAL(taken, 7);
    EQUAL(n, 13);
    EQUAL(got[6].trade_id, 19);
    EQUAL(k4_view_position(view), 20);
    k4_view_close(view);
    k4_segment_close(&segment);
}

static void test_symtab(void)
{
    struct k4_symtab table;
    EQUAL(k4_symtab_init(&table, 2), 0);
    for (int32_t i = 0; i < 5000; i++) {
        char text[49];
        int len = snprintf(text, sizeof text, "%dLONGISH_MIDDLE_%d_%s", i % 7, i, i % 3 ? "TAIL_OF_IT" : "X");
        CHECK(k4_symtab_find(&table, (uint32_t)i % 2, (const uint8_t *)text, (uint32_t)len) == -1);
        EQUAL(k4_symtab_add(&table, (uint32_t)i % 2, (const uint8_t *)text, (uint32_t)len, i), 0);
    }
    for (int32_t i = 0; i < 5000; i++) {
        char text[49];
        int len = snprintf(text, sizeof text, "%dLONGISH_MIDDLE_%d_%s", i % 7, i, i % 3 ? "TAIL_OF_IT" : "X");
        EQUAL(k4_symtab_find(&table, (uint32_t)i % 2, (const uint8_t *)text, (uint32_t)len), i);
        EQUAL(k4_symtab_find(&table, 1 - (uint32_t)i % 2, (const uint8_t *)text, (uint32_t)len), -1);
    }
    /* Lengths 1 to 48 over the same bytes are all different symbols, and one byte changed anywhere is another one. */
    const char *all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV";
    for (int32_t len = 1; len <= 48; len++)
        EQUAL(k4_symtab_add(&table, 9, (const uint8_t *)all, (uint32_t)len, len), 0);
    for (int32_t len = 1; len <= 48; len++) {
        EQUAL(k4_symtab_find(&table, 9, (const uint8_t *)all, (uint32_t)len), len);
        for (int32_t at = 0; at < len; at++) {
            uint8_t changed[48];
            memcpy(changed, all, 48);
            changed[at] = '!';
            EQUAL(k4_symtab_find(&table, 9, changed, (uint32_t)len), -1);
        }
    }
    k4_symtab_fini(&table);
}

static void test_histogram(void)
{
    EQUAL(k4_histogram_bucket(k4_histogram_floor(K4_HISTOGRAM_BUCKETS) - 1), K4_HISTOGRAM_BUCKETS - 1);
    EQUAL(k4_histogram_bucket(k4_histogram_floor(K4_HISTOGRAM_BUCKETS)), K4_HISTOGRAM_BUCKETS - 1); /* all that is longer, too */
    for (uint64_t ns = 0; ns < UINT64_C(1) << 40; ns = ns * 9 / 8 + 13) {
        uint32_t bucket = k4_histogram_bucket(ns);
        CHECK(k4_histogram_floor(bucket) <= ns);
        if (bucket + 1 < K4_HISTOGRAM_BUCKETS) {
            CHECK(k4_histogram_floor(bucket + 1) > ns);
            if (ns >= 1024) /* an eighth at most */
                CHECK((k4_histogram_floor(bucket + 1) - k4_histogram_floor(bucket)) * 8 <= k4_histogram_floor(bucket));
        }
    }
    EQUAL(k4_histogram_bucket(UINT64_MAX), K4_HISTOGRAM_BUCKETS - 1);
    struct k4_segment segment = writer_open("histogram", &small);
    int source = k4_segment_source(&segment, "x#1", "ws");
    for (int i = 0; i < 98; i++)
        k4_segment_sample(segment.sources[source].lag, 100000);
    for (int i = 0; i < 2; i++)
        k4_segment_sample(segment.sources[source].lag, 900000000);
    k4_view *view = k4_view_open("histogram", error, sizeof error);
    k4_source_info info;
    EQUAL(k4_view_source(view, 0, &info), 1);
    CHECK(strcmp(info.name, "x#1") == 0 && strcmp(info.transport, "ws") == 0);
    CHECK(info.lag_p50_ns <= 100000 && info.lag_p50_ns >= 87500);
    CHECK(info.lag_p99_ns <= 900000000 && info.lag_p99_ns >= 787500000);
    EQUAL(info.lead_p50_ns, -1);
    EQUAL(k4_view_source(view, 1, &info), 0);
    k4_view_close(view);
    k4_segment_close(&segment);
}

static void test_sources_full(void)
{
    struct k4_segment segment = writer_open("sources", &small);
    char name[80];
    for (int i = 0; i < K4_SOURCES; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        EQUAL(k4_segment_source(&segment, name, "ws"), i);
    }
    EQUAL(k4_segment_source(&segment, "one more", "ws"), -K4_SOURCES_FULL);
    EQUAL(k4_segment_source(&segment, "s17", "ws"), 17);
    EQUAL(k4_segment_source(&segment, "s1", "ws"), 1);
    k4_segment_count(&segment.sources[9].wins, 5);
    k4_segment_sample(segment.sources[9].lag, 100000);
    k4_segment_release_source(&segment, 9);
    EQUAL(k4_segment_source(&segment, "s9", "ws"), 9); /* it is back before its place was needed */
    EQUAL(segment.sources[9].wins, 5);
    k4_segment_release_source(&segment, 9);
    k4_segment_release_source(&segment, 63);
    EQUAL(k4_segment_source(&segment, "another", "sbe"), 9);
    EQUAL(segment.sources[9].wins, 0);
    EQUAL(segment.sources[9].lag[k4_histogram_bucket(100000)], 0);
    CHECK(strcmp(segment.sources[9].name, "another") == 0 && strcmp(segment.sources[9].transport, "sbe") == 0);
    EQUAL(k4_segment_source(&segment, "one more", "ws"), 63);
    EQUAL(k4_segment_source(&segment, "too many", "ws"), -K4_SOURCES_FULL);
    k4_segment_close(&segment);
    segment = writer_open("sources", &small); /* what an earlier writer called its sources holds no place */
    EQUAL(segment.header->source_count, K4_SOURCES);
    EQUAL(k4_segment_source(&segment, "s5", "ws"), 5);
    for (int i = 1; i < K4_SOURCES; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        int source = k4_segment_source(&segment, name, "ws");
        CHECK(source >= 0 && source != 5);
    }
    EQUAL(k4_segment_source(&segment, "t64", "ws"), -K4_SOURCES_FULL);
    k4_segment_close(&segment);
}

/* ---------------------------------------------------------------- waiting */

static int64_t mono_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A busy machine only adds to a time: of so many the best is judged, until one is good. */
enum { WAITS = 50 };

/* How long a wait takes in which nothing comes. */
static int64_t waits_in_vain(struct k4_reader *reader)
{
    const int64_t start = mono_ns();
    EQUAL(k4_reader_wait(reader, INT64_C(10000000000)), 0);
    return mono_ns() - start;
}

/* How long one takes in which a record comes after 30 ms, from another process. */
static int64_t waits_for_a_record(struct k4_segment *segment, struct k4_reader *reader)
{
    struct k4_trade got;
    uint64_t n, first, last;
    const pid_t child = fork();
    if (child == 0) {
        struct timespec pause = {0, 30000000};
        (void)nanosleep(&pause, NULL);
        put(segment, 0, 1);
        k4_segment_wake(segment);
        _exit(0);
    }
    const int64_t start = mono_ns();
    while (k4_reader_wait(reader, 100000000) == 0)
        ;
    const int64_t took = mono_ns() - start;
    EQUAL(k4_reader_next(reader, &got, &n, &first, &last), K4_READ_RECORD);
    (void)waitpid(child, NULL, 0);
    segment->head = segment->header->head; /* the child shares the mapping, not our copy */
    return took;
}

static void test_wait(void)
{
    struct k4_segment segment = writer_open("wait", &small);
    struct k4_trade got;
    uint64_t n, first, last;
    int64_t vain = INT64_MAX, woken = INT64_MAX, took;
    add(&segment, "AAA");
    struct k4_reader reader = reader_open("wait");
    EQUAL(k4_reader_wait(&reader, 0), 0);
    for (int turn = 0; turn < WAITS && vain >= 1000000000; turn++)
        vain = (took = waits_in_vain(&reader)) < vain ? took : vain;
    CHECK(vain >= 90000000 && vain < 1000000000); /* never over 100 ms */
    CHECK(segment.wait->sleepers > 0); /* timed out, still counted, until the writer looks */
    k4_segment_wake(&segment);
    EQUAL(segment.wait->sleepers, 0);
    for (int turn = 0; turn < WAITS && woken >= 90000000; turn++)
        woken = (took = waits_for_a_record(&segment, &reader)) < woken ? took : woken;
    CHECK(woken < 90000000); /* not slept through */
    (void)close(segment.lock_fd);
    segment.lock_fd = -1;
    EQUAL(k4_reader_wait(&reader, 1000000), 1); /* nobody holds the lock */
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), -K4_WRITER_GONE);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_NOTHING); /* said once */
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* ---------------------------------------------------------------- speed */

static void bench(void)
{
    static const k4_segment_options large = {.ring_slots = 65536, .symbol_capacity = 4096, .mode = 0600};
    struct k4_segment segment = writer_open("bench", &large);
    enum { SYMBOLS = 1000, ROUNDS = 20000000 };
    char names[SYMBOLS][16];
    for (int i = 0; i < SYMBOLS; i++) {
        (void)snprintf(names[i], sizeof names[i], "SYM%dUSDT", i * 7919);
        add(&segment, names[i]);
    }
    for (int spread = 1; spread <= SYMBOLS; spread *= 1000) {
        int64_t start = mono_ns();
        struct k4_trade t = trade(0, 1);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            t.instrument = i % (uint32_t)spread;
            t.trade_id = i;
            k4_segment_publish(&segment, t.instrument, &t);
        }
        printf("publish %u bytes, %d instruments: %.2f ns\n", segment.words * 8, spread, (double)(mono_ns() - start) / ROUNDS);
    }
    uint64_t sum = 0;
    uint32_t len[SYMBOLS];
    for (int i = 0; i < SYMBOLS; i++)
        len[i] = (uint32_t)strlen(names[i]);
    int64_t start = mono_ns();
    for (uint32_t i = 0; i < ROUNDS; i++)
        sum += (uint64_t)k4_segment_find(&segment, 0, (const uint8_t *)names[i % SYMBOLS], len[i % SYMBOLS]);
    printf("find in %d symbols: %.2f ns (%llu)\n", SYMBOLS, (double)(mono_ns() - start) / ROUNDS, (unsigned long long)sum);
    k4_segment_close(&segment);
}

int main(int count, char **arguments)
{
    dir = segment_dir_make();
    if (count > 1 && strcmp(arguments[1], "bench") == 0) {
        bench();
        segment_dir_remove();
        return 0;
    }
    test_publish_and_read();
    test_lost_range();
    test_latest_never_goes_back();
    test_takeover();
    test_repair();
    test_repair_without_ring();
    test_other_counts_carry_on();
    test_symbols_full();
    test_symbol_rules();
    test_drain();
    test_symtab();
    test_histogram();
    test_sources_full();
    test_wait();
    segment_dir_remove();
    printf(check_failures ? "%d not as expected\n" : "ok\n", check_failures);
    return check_failures != 0;
}
