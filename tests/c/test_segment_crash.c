/* Writers that are killed: once after every single instruction of one publish, of an instrument's first record after a takeover and of
 * any other, then 200 times at random while readers follow. Whatever they leave, no reader is ever given a wrong record, made to wait
 * for ever, or told that what it had never was; and the next writer goes on. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_reader.h"
#include "k4_segment.h"

#include "segment_checked.h"
#include "segment_dir.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

enum { SYMBOLS = 3 };

/* Instructions between two kills: all of them, but for sanitizers, whose checks are instructions too. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 61 };
#else
enum { STRIDE = 1 };
#endif

#ifdef __x86_64__
#define STOP() __asm__ volatile("int3" ::: "memory")
#else
#define STOP() (void)raise(SIGTRAP)
#endif

static const char *dir;
static const k4_segment_options options = {.ring_slots = 16, .symbol_capacity = 4, .mode = 0600};

static void must(int condition, const char *what)
{
    if (!condition) {
        printf("not so: %s\n", what);
        exit(1);
    }
}

static void writer_open(struct k4_segment *segment, const char *name)
{
    static const char *const names[SYMBOLS] = {"A", "B", "C"};
    char error[256];
    if (k4_segment_open(segment, name, K4_RECORD_TRADE, &options, 0, error, sizeof error) != K4_OK) {
        printf("%s: %s\n", name, error);
        exit(1);
    }
    for (int i = 0; i < SYMBOLS; i++)
        must(k4_segment_instrument(segment, (uint32_t)k4_segment_product(segment, "nova", "spot"), (const uint8_t *)names[i], 1, "", "") == i, "symbol keeps its index");
}

static uint32_t instrument_of(uint64_t n)
{
    return (uint32_t)(checked_mix(n) % SYMBOLS);
}

static void publish(struct k4_segment *segment, uint32_t instrument)
{
    struct k4_trade t;
    checked_fill(&t, segment->head, instrument, segment->header->epoch);
    k4_segment_publish(segment, instrument, &t);
}

static void publish_next(struct k4_segment *segment)
{
    publish(segment, instrument_of(segment->head));
}

static void reader_open(struct k4_reader *reader, const char *name)
{
    char error[256];
    if (k4_reader_open(reader, dir, name, K4_RECORD_TRADE, error, sizeof error) != K4_OK) {
        printf("%s: %s\n", name, error);
        exit(1);
    }
}

/* ---------------------------------------------------------------- every instruction */

/* How far a killed writer had come with its record. */
enum phase { BEFORE, RING_ODD, RING_WHOLE, LATEST_ODD, LATEST_WHOLE, HEAD_MOVED, PHASES };

/* A reader that lives through every kill. */
struct watcher {
    struct k4_reader reader;
    uint64_t expected;        /* the next record from the ring */
    uint64_t newest[SYMBOLS]; /* behind the newest record it was given of each instrument, from wherever */
    struct k4_trade last;     /* record expected - 1 */
};

static volatile long published; /* in the writer: it is through */

__attribute__((noinline)) static void traced_publish(struct k4_segment *segment)
{
    publish_next(segment);
    k4_segment_wake(segment);
}

/* `warm`: the instrument has had its first record from this writer. */
static void child_publish(int warm)
{
    struct k4_segment segment;
    writer_open(&segment, "steps");
    if (warm)
        publish(&segment, instrument_of(segment.head + 1));
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    STOP();
    traced_publish(&segment);
    published = 1;
    _exit(0);
}

/* Kills the writer after `steps` instructions; 0: it was through with it before. */
static int kill_after(long steps, int warm)
{
    int status;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        child_publish(warm);
    must(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the writer stops before it publishes");
    for (long i = 0; i < steps; i++) {
        must(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0, "a single step");
        must(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the writer steps");
    }
    int through = ptrace(PTRACE_PEEKDATA, child, (void *)(uintptr_t)&published, NULL) != 0;
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return !through;
}

static uint64_t sequence_word(const uint8_t *slot)
{
    return __atomic_load_n((const uint64_t *)(const void *)slot, __ATOMIC_ACQUIRE);
}

static enum phase phase_of(const struct k4_reader *reader, uint64_t n)
{
    uint64_t ring = sequence_word(reader->ring + (size_t)(n & reader->mask) * reader->stride);
    uint64_t latest = sequence_word(reader->latest + (size_t)instrument_of(n) * reader->stride);
    if (k4_reader_head(reader) > n)
        return HEAD_MOVED;
    if (latest > 2 * n)
        return latest == 2 * n + 1 ? LATEST_ODD : LATEST_WHOLE;
    return ring > 2 * n ? (ring == 2 * n + 1 ? RING_ODD : RING_WHOLE) : BEFORE;
}

/* Takes what there is, from the ring and from latest. */
static void watch(struct watcher *watcher)
{
    struct k4_reader *reader = &watcher->reader;
    struct k4_trade t;
    uint64_t n, first, last;
    int got;
    while ((got = k4_reader_next(reader, &t, &n, &first, &last)) == K4_READ_RECORD) {
        must(n == watcher->expected && checked_ok(&t, n), "every record is whole, in order, and given once");
        watcher->expected = n + 1;
        watcher->last = t;
        if (n + 1 > watcher->newest[t.instrument])
            watcher->newest[t.instrument] = n + 1;
    }
    must(got == K4_READ_NOTHING, "nothing is lost");
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        if (k4_reader_latest(reader, i, &t, &n) != 1) {
            must(watcher->newest[i] == 0, "an instrument that had a record has one");
            continue;
        }
        must(checked_ok(&t, n) && t.instrument == i, "latest is whole");
        must(n + 1 >= watcher->newest[i], "latest does not go back");
        watcher->newest[i] = n + 1;
    }
}

/* One that waits is told that its writer is gone, and is not left asleep. */
static void wait_in_vain(struct watcher *watcher)
{
    struct k4_trade t;
    uint64_t n, first, last;
    must(k4_reader_wait(&watcher->reader, 100000) == 1, "a wait ends when the writer is gone");
    must(k4_reader_next(&watcher->reader, &t, &n, &first, &last) == -K4_WRITER_GONE, "and says so");
}

/* The writer died over record n. */
static enum phase check_after_kill(struct watcher *watcher, uint64_t n)
{
    struct k4_segment segment;
    struct k4_reader fresh;
    struct k4_trade t;
    uint64_t got, first, last;
    enum phase phase = phase_of(&watcher->reader, n);
    watch(watcher);
    uint64_t given = watcher->newest[instrument_of(n)] > n;
    must(watcher->expected == n + given, "what latest gives the ring gives too");
    must(given == (phase >= RING_WHOLE), "a record counts from the moment its slot is whole");
    must(k4_reader_writer(&watcher->reader) == K4_WRITER_IS_GONE, "the writer is gone");
    wait_in_vain(watcher);
    writer_open(&segment, "steps");
    must(segment.head == n + given, "the successor counts what readers may have seen, and only that");
    must(k4_reader_head(&watcher->reader) == segment.head, "and says so to readers");
    publish_next(&segment);
    reader_open(&fresh, "steps");
    k4_reader_seek(&fresh, k4_reader_oldest(&fresh));
    for (uint64_t want = k4_reader_oldest(&fresh); want < segment.head; want++) {
        must(k4_reader_next(&fresh, &t, &got, &first, &last) == K4_READ_RECORD && got == want && checked_ok(&t, got), "all that the ring holds is whole");
        must(want + 1 != watcher->expected || memcmp(&t, &watcher->last, sizeof t) == 0, "what a reader had is what the ring has");
    }
    k4_reader_close(&fresh);
    watch(watcher);
    must(watcher->expected == segment.head, "who followed all the time has everything");
    uint64_t newest = 0;
    for (uint32_t i = 0; i < SYMBOLS; i++)
        newest = watcher->newest[i] > newest ? watcher->newest[i] : newest;
    must(newest == segment.head, "one instrument's latest is the newest record");
    k4_segment_close(&segment);
    return phase;
}

static void test_every_instruction(int warm)
{
    static const char *const names[PHASES] = {"before", "ring half", "ring whole", "latest half", "latest whole", "head"};
    struct k4_segment segment;
    struct watcher watcher = {.expected = 0};
    long steps = 0, stops[PHASES] = {0};
    writer_open(&segment, "steps");
    for (int i = 0; i < 40; i++)
        publish_next(&segment);
    reader_open(&watcher.reader, "steps");
    watcher.expected = k4_reader_oldest(&watcher.reader);
    k4_reader_seek(&watcher.reader, watcher.expected);
    watch(&watcher);
    k4_segment_close(&segment);
    for (; kill_after(steps, warm); steps += STRIDE)
        stops[check_after_kill(&watcher, watcher.expected + (uint64_t)warm)]++;
    k4_reader_close(&watcher.reader);
    printf("killed at each of %ld instructions (%s record):", steps, warm ? "a usual" : "a first");
    for (int i = 0; i < PHASES; i++)
        printf(" %s %ld", names[i], stops[i]);
    printf("\n");
    if (STRIDE == 1) {
        for (int i = 0; i < PHASES; i++)
            must(stops[i] > 0, "the steps go through every part of a publish");
        must(stops[RING_ODD] >= (long)(sizeof(struct k4_trade) / 8) && stops[LATEST_ODD] >= (long)(sizeof(struct k4_trade) / 8), "and stop at every word");
    }
    must(steps > 50, "the steps go through a publish");
}

/* ---------------------------------------------------------------- random kills under readers */

static int follow(int stop)
{
    struct k4_reader reader;
    struct k4_trade t;
    uint64_t expected = 0, n, first, last, read_count = 0, newest[SYMBOLS] = {0};
    reader_open(&reader, "kills");
    k4_reader_seek(&reader, 0);
    for (;;) {
        int got = k4_reader_next(&reader, &t, &n, &first, &last);
        if (got == K4_READ_RECORD) {
            must(n == expected && checked_ok(&t, n), "every record is whole and in order");
            read_count++;
            expected = n + 1;
            newest[t.instrument] = n + 1;
        } else if (got == K4_READ_LOST) {
            must(first == expected && last >= first, "the lost range begins where reading stopped");
            expected = last + 1;
        } else {
            char byte;
            if (read(stop, &byte, 1) == 0 && got == -K4_WRITER_CLOSED)
                break;
        }
        uint32_t i = (uint32_t)(expected % SYMBOLS);
        if (k4_reader_latest(&reader, i, &t, &n) == 1) {
            must(checked_ok(&t, n) && t.instrument == i, "latest is whole");
            must(n + 1 >= newest[i], "latest does not go back");
            newest[i] = n + 1;
        }
    }
    must(read_count > 0, "the reader read something");
    must(k4_reader_head(&reader) == expected, "read and lost are all there was");
    k4_reader_close(&reader);
    return 0;
}

static void test_random_kills(void)
{
    int stop[2], status;
    struct k4_segment segment;
    uint64_t half = 0;
    must(pipe2(stop, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
    writer_open(&segment, "kills");
    k4_segment_close(&segment);
    (void)fflush(stdout);
    pid_t follower = fork();
    if (follower == 0) {
        (void)close(stop[1]);
        _exit(follow(stop[0]));
    }
    (void)close(stop[0]);
    for (int turn = 0; turn < 200; turn++) {
        int ready[2];
        char byte;
        must(pipe2(ready, O_CLOEXEC) == 0, "a pipe");
        pid_t child = fork();
        if (child == 0) {
            writer_open(&segment, "kills");
            (void)!write(ready[1], "x", 1);
            for (;;)
                publish_next(&segment);
        }
        must(read(ready[0], &byte, 1) == 1, "the writer has taken over");
        struct timespec pause = {0, (long)(checked_mix((uint64_t)turn) % 2000000)};
        (void)nanosleep(&pause, NULL);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        (void)close(ready[0]);
        (void)close(ready[1]);
        struct k4_reader reader;
        reader_open(&reader, "kills");
        uint64_t head = k4_reader_head(&reader);
        const uint64_t *slot = (const uint64_t *)(const void *)(reader.ring + (size_t)(head & reader.mask) * reader.stride);
        half += *slot == 2 * head + 1 || *slot == 2 * head + 2;
        k4_reader_close(&reader);
    }
    writer_open(&segment, "kills");
    must(segment.header->epoch == 202, "every takeover is an epoch");
    for (int i = 0; i < 3; i++)
        publish_next(&segment);
    uint64_t total = segment.head;
    k4_segment_close(&segment);
    (void)close(stop[1]);
    must(waitpid(follower, &status, 0) == follower && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the reader agrees");
    printf("killed 200 times in %llu records, %llu times within a publish\n", (unsigned long long)total, (unsigned long long)half);
}

int main(void)
{
    dir = segment_dir_make();
    test_every_instruction(0);
    test_every_instruction(1);
    test_random_kills();
    segment_dir_remove();
    return 0;
}
