/* One writer and two readers at full speed in one process, so that ThreadSanitizer sees both sides. Every record proves itself;
 * read and lost ranges together are every sequence exactly once; latest never goes back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>

#include "k4_reader.h"
#include "k4_segment.h"

#include "segment_checked.h"
#include "segment_dir.h"

enum { RECORDS = 400000, SYMBOLS = 5 };

static struct k4_segment segment;
static const char *dir;

struct outcome {
    int sleeper;
    uint64_t read, lost, wrong, out_of_order, latest_back, latest_wrong, latest_read;
};

static void look_at_latest(struct k4_reader *reader, struct outcome *outcome, uint64_t *newest, uint32_t instrument)
{
    struct k4_trade t;
    uint64_t n;
    if (k4_reader_latest(reader, instrument, &t, &n) != 1)
        return;
    outcome->latest_read++;
    outcome->latest_wrong += !checked_ok(&t, n) || t.instrument != instrument;
    outcome->latest_back += n + 1 < newest[instrument];
    newest[instrument] = n + 1;
}

static void *read_all(void *context)
{
    struct outcome *outcome = context;
    struct k4_reader reader;
    char error[256];
    uint64_t newest[SYMBOLS] = {0}, expected = 0, n, first, last;
    struct k4_trade t;
    if (k4_reader_open(&reader, dir, "threads", K4_RECORD_TRADE, error, sizeof error) != K4_OK) {
        outcome->wrong = 1;
        return NULL;
    }
    k4_reader_seek(&reader, 0);
    while (expected < RECORDS) {
        int got = k4_reader_next(&reader, &t, &n, &first, &last);
        if (got == K4_READ_RECORD) {
            outcome->read++;
            outcome->wrong += !checked_ok(&t, n);
            outcome->out_of_order += n != expected;
            expected = n + 1;
            if (n + 1 > newest[t.instrument])
                newest[t.instrument] = n + 1;
            look_at_latest(&reader, outcome, newest, t.instrument);
        } else if (got == K4_READ_LOST) {
            outcome->lost += last - first + 1;
            outcome->out_of_order += first != expected || last < first;
            expected = last + 1;
        } else if (outcome->sleeper) {
            (void)k4_reader_wait(&reader, 1000000);
        }
        look_at_latest(&reader, outcome, newest, (uint32_t)(expected % SYMBOLS));
    }
    k4_reader_close(&reader);
    return NULL;
}

int main(void)
{
    static const k4_segment_options options = {.ring_slots = 64, .symbol_capacity = 8, .mode = 0600};
    static const char *const names[SYMBOLS] = {"A", "B", "C", "D", "E"};
    char error[256];
    struct outcome outcome[2] = {{.sleeper = 0}, {.sleeper = 1}};
    pthread_t readers[2];
    dir = segment_dir_make();
    if (k4_segment_open(&segment, "threads", K4_RECORD_TRADE, &options, 0, error, sizeof error) != K4_OK) {
        puts(error);
        return 1;
    }
    for (int i = 0; i < SYMBOLS; i++)
        if (k4_segment_instrument(&segment, (uint32_t)k4_segment_product(&segment, "nova", "spot"), (const uint8_t *)names[i], 1, "", "") != i)
            return 1;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&readers[i], NULL, read_all, &outcome[i]) != 0)
            return 1;
    for (uint64_t n = 0; n < RECORDS; n++) {
        struct k4_trade t;
        uint32_t instrument = (uint32_t)(checked_mix(n) % SYMBOLS);
        checked_fill(&t, n, instrument, 1);
        k4_segment_publish(&segment, instrument, &t);
        if (n % 8 == 0)
            k4_segment_wake(&segment);
        if (n % 256 == 0)
            (void)sched_yield();
    }
    k4_segment_wake(&segment);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(readers[i], NULL);
    k4_segment_close(&segment);
    segment_dir_remove();
    int bad = 0;
    for (int i = 0; i < 2; i++) {
        const struct outcome *o = &outcome[i];
        printf("%s: %llu read, %llu lost, %llu latest; wrong %llu, out of order %llu, latest wrong %llu, back %llu\n", o->sleeper ? "sleeper" : "spinner",
               (unsigned long long)o->read, (unsigned long long)o->lost, (unsigned long long)o->latest_read, (unsigned long long)o->wrong,
               (unsigned long long)o->out_of_order, (unsigned long long)o->latest_wrong, (unsigned long long)o->latest_back);
        bad |= o->wrong || o->out_of_order || o->latest_back || o->latest_wrong || o->read + o->lost != RECORDS || o->read == 0 || o->latest_read == 0;
    }
    return bad;
}
