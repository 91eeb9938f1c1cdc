/* One writer process and readers in processes of their own at full speed, every record proving itself.
 *
 * Usage: ring [--reads N] [--slots N] [--record N] [--readers N] [--seconds N]
 *
 * Readers read on until each has been given N records by the ring and by latest together. The writer changes its pace every 16 384
 * records from as fast as it can to slower than any reader, and the readers dawdle now and then, so that they keep up as well as fall
 * behind and are lapped in the middle of a copy. Checked for every read: all words are those of the sequence it came with (torn), the
 * sequence is the one expected (backwards, skipped), an instrument's latest is not older than any record given before; for every
 * loss: it begins at the expected sequence, and its last record was overwritten, or was about to be. At the end each reader drains the
 * closed segment: what it read and what it lost is then every sequence from 0 to head, once. Prints one line, exits 1 when anything was
 * wrong. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <sched.h>
#include <sys/wait.h>

#include "k4_reader.h"
#include "k4_segment.h"

#include "../c/segment_dir.h"

enum { INSTRUMENTS = 7, READERS_MAX = 8, WORDS_MAX = sizeof(union k4_record) / 8 };

struct outcome {
    uint64_t ring, latest, lost, ranges, torn, backwards, wrong_loss, old_latest, total;
    int done;
};

struct shared {
    uint64_t stop; /* readers that have enough */
    struct outcome outcomes[READERS_MAX];
};

static uint64_t wanted = 1000000, slots = 1024, record = K4_RECORD_TRADE, readers = 1, seconds = 300;
static uint32_t words;
static const char *dir;

/* ---------------------------------------------------------------- records that prove themselves */

/* Any two sequences differ in every word but the first, and the words of one sequence in one record differ from one another. */
static inline uint64_t word_of(uint64_t n, uint32_t i)
{
    return (n + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline uint32_t instrument_of(uint64_t n)
{
    return (uint32_t)((n * 5) % INSTRUMENTS);
}

static inline void fill(uint64_t *out, uint64_t n)
{
    struct k4_common common = {.instrument = instrument_of(n), .source = (uint16_t)n};
    memcpy(out, &common, 8);
    for (uint32_t i = 1; i < words; i++)
        out[i] = word_of(n, i);
}

static inline int whole(const uint64_t *got, uint64_t n)
{
    struct k4_common common;
    uint64_t different = 0;
    memcpy(&common, got, 8);
    for (uint32_t i = 1; i < words; i++)
        different |= got[i] ^ word_of(n, i);
    return different == 0 && common.instrument == instrument_of(n) && common.source == (uint16_t)n && common.flags == 0;
}

/* ---------------------------------------------------------------- a reader */

struct reading {
    struct k4_reader reader;
    struct outcome *out;
    uint64_t expected;
    uint64_t newest[INSTRUMENTS]; /* sequence + 1 */
};

/* The slot's owner was read before head, but is stored after it: wait for it to be seen. */
static int overwritten(struct reading *r, uint64_t last)
{
    for (int turn = 0; turn < 1000000; turn++)
        if (last + slots <= k4_reader_head(&r->reader))
            return 1;
    return 0;
}

static int take(struct reading *r)
{
    uint64_t got[WORDS_MAX], n = 0, first = 0, last = 0;
    int what = k4_reader_next(&r->reader, got, &n, &first, &last);
    if (what == K4_READ_RECORD) {
        r->out->ring++;
        r->out->torn += !whole(got, n);
        r->out->backwards += n != r->expected;
        r->expected = n + 1;
        r->newest[instrument_of(n)] = n + 1 > r->newest[instrument_of(n)] ? n + 1 : r->newest[instrument_of(n)];
    } else if (what == K4_READ_LOST) {
        r->out->ranges++;
        r->out->lost += last - first + 1;
        r->out->wrong_loss += first != r->expected || last < first || !overwritten(r, last);
        r->expected = last + 1;
    }
    return what;
}

static void look_at_latest(struct reading *r, uint32_t instrument)
{
    uint64_t got[WORDS_MAX], n;
    if (k4_reader_latest(&r->reader, instrument, got, &n) != 1)
        return;
    r->out->latest++;
    r->out->torn += !whole(got, n) || instrument_of(n) != instrument;
    r->out->old_latest += n + 1 < r->newest[instrument];
    r->newest[instrument] = n + 1;
}

static void dawdle(const struct reading *r)
{
    /* The writer runs away by more than the ring. */
    uint64_t until = k4_reader_head(&r->reader) + slots + slots / 2;
    struct timespec pause = {.tv_nsec = 200000};
    for (int turn = 0; turn < 100 && k4_reader_head(&r->reader) < until; turn++)
        (void)nanosleep(&pause, NULL);
}

static int run_reader(struct shared *shared, struct outcome *out)
{
    static struct reading r;
    char error[512];
    r.out = out;
    if (k4_reader_open(&r.reader, dir, "stress", (uint32_t)record, error, sizeof error) != K4_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    k4_reader_seek(&r.reader, 0);
    uint32_t instrument = 0;
    for (uint64_t turn = 0; out->ring + out->latest < wanted; turn++) {
        int what = take(&r);
        if (what == K4_READ_NOTHING && (turn & 63) == 0)
            (void)sched_yield();
        if (what < 0)
            break;
        if ((turn & (what == K4_READ_NOTHING ? 7 : 1)) == 0) {
            look_at_latest(&r, instrument);
            instrument = instrument + 1 == INSTRUMENTS ? 0 : instrument + 1;
        }
        if ((turn & 0x3ffff) == 0x3ffff)
            dawdle(&r);
    }
    (void)__atomic_fetch_add(&shared->stop, 1, __ATOMIC_RELEASE);
    while (take(&r) >= 0)
        (void)k4_reader_wait(&r.reader, 1000000);
    for (uint32_t i = 0; i < INSTRUMENTS; i++)
        look_at_latest(&r, i);
    out->total = k4_reader_head(&r.reader);
    out->wrong_loss += r.expected != out->total || out->ring + out->lost != out->total;
    out->done = 1;
    k4_reader_close(&r.reader);
    return 0;
}

/* ---------------------------------------------------------------- the writer */

static inline void breathe(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static int run_writer(struct k4_segment *segment, const struct shared *shared)
{
    static const int paces[] = {0, 0, 1, 1, 2, 2, 3, 4};
    struct timespec now, pause = {.tv_nsec = 30000};
    union k4_record filled;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    time_t end = now.tv_sec + (time_t)seconds;
    for (uint64_t n = 0;; n++) {
        fill((uint64_t *)(void *)&filled, n);
        (void)k4_segment_publish(segment, instrument_of(n), &filled);
        for (int turn = paces[n >> 14 & 7]; turn > 0; turn--)
            breathe();
        if ((n & 15) == 15)
            k4_segment_wake(segment);
        if ((n & 0xfff) != 0)
            continue;
        if (__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE) == readers)
            break;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end)
            break;
        if ((n & 0xffff) == 0)
            (void)nanosleep(&pause, NULL);
    }
    k4_segment_close(segment);
    return now.tv_sec >= end;
}

/* ---------------------------------------------------------------- */

static void options(int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"--reads", &wanted}, {"--slots", &slots}, {"--record", &record}, {"--readers", &readers}, {"--seconds", &seconds}};
    for (int i = 1; i < argc; i += 2) {
        uint64_t *value = NULL;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            if (strcmp(argv[i], known[j].name) == 0)
                value = known[j].value;
        if (value == NULL || i + 1 == argc || readers > READERS_MAX) {
            fprintf(stderr, "usage: ring [--reads N] [--slots N] [--record N] [--readers N (at most %d)] [--seconds N]\n", READERS_MAX);
            exit(2);
        }
        *value = strtoull(argv[i + 1], NULL, 10);
    }
}

static int report(const struct shared *shared, double took)
{
    struct outcome all = {0};
    int bad = 0;
    for (uint64_t i = 0; i < readers; i++) {
        const struct outcome *o = &shared->outcomes[i];
        all.ring += o->ring;
        all.latest += o->latest;
        all.lost += o->lost;
        all.ranges += o->ranges;
        all.torn += o->torn;
        all.backwards += o->backwards;
        all.wrong_loss += o->wrong_loss;
        all.old_latest += o->old_latest;
        all.total = o->total;
        bad |= !o->done || o->ring + o->latest < wanted || o->ring == 0 || o->latest == 0;
    }
    bad |= all.torn || all.backwards || all.wrong_loss || all.old_latest;
    printf("%s: %s, %" PRIu64 " slots: %" PRIu64 " published, %" PRIu64 " read (%" PRIu64 " ring, %" PRIu64 " latest), %" PRIu64 " lost in %" PRIu64
           " ranges; torn %" PRIu64 ", backwards %" PRIu64 ", latest backwards %" PRIu64 ", wrong losses %" PRIu64 "; %.1f s\n",
           bad ? "FAILED" : "ok", k4_record_name[record], slots, all.total, all.ring + all.latest, all.ring, all.latest, all.lost, all.ranges, all.torn,
           all.backwards, all.old_latest, all.wrong_loss, took);
    return bad;
}

int main(int argc, char **argv)
{
    static struct k4_segment segment;
    struct timespec before, after;
    char error[512], name[8];
    options(argc, argv);
    dir = segment_dir_make();
    words = k4_record_size[record] / 8;
    k4_segment_options wants = {.ring_slots = (uint32_t)slots, .symbol_capacity = 8, .mode = 0600};
    if (k4_segment_open(&segment, "stress", (int)record, &wants, 0, error, sizeof error) != K4_OK) {
        fprintf(stderr, "%s\n", error);
        segment_dir_remove();
        return 1;
    }
    int product = k4_segment_product(&segment, "nova", "spot");
    for (int i = 0; i < INSTRUMENTS; i++) {
        int len = snprintf(name, sizeof name, "S%d", i);
        if (k4_segment_instrument(&segment, (uint32_t)product, (const uint8_t *)name, (uint32_t)len, "", "") != i)
            return 1;
    }
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    for (uint64_t i = 0; i < readers; i++) {
        pid_t child = fork();
        if (child < 0)
            return 1;
        if (child == 0) {
            (void)close(segment.lock_fd);
            _exit(run_reader(shared, &shared->outcomes[i]));
        }
    }
    int late = run_writer(&segment, shared), bad = 0, status;
    for (uint64_t i = 0; i < readers; i++)
        bad |= wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    segment_dir_remove();
    double took = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    if (late)
        fprintf(stderr, "not enough reads in %" PRIu64 " seconds\n", seconds);
    return report(shared, took) || bad || late;
}
