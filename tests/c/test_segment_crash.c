/* Writers that are killed: once after every single instruction of one publish, then 200 times at random while readers follow.
 * Whatever they leave, the next writer goes on and no reader is ever given a wrong record. */
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
        must(k4_segment_symbol(segment, (uint32_t)k4_segment_product(segment, "nova", "spot"), (const uint8_t *)names[i], 1) == i, "symbol keeps its index");
}

static void publish_next(struct k4_segment *segment)
{
    struct k4_trade t;
    uint64_t n = segment->head;
    uint32_t instrument = (uint32_t)(checked_mix(n) % SYMBOLS);
    checked_fill(&t, n, instrument, segment->header->epoch);
    k4_segment_publish(segment, instrument, &t);
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

static volatile long published; /* in the writer: it is through */

__attribute__((noinline)) static void traced_publish(struct k4_segment *segment)
{
    publish_next(segment);
    k4_segment_wake(segment);
}

static void child_publish(void)
{
    struct k4_segment segment;
    writer_open(&segment, "steps");
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    STOP();
    traced_publish(&segment);
    published = 1;
    _exit(0);
}

/* Kills the writer after `steps` instructions; 0: it was through with it before. */
static int kill_after(long steps)
{
    int status;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        child_publish();
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

static int check_after_kill(uint64_t before, uint64_t *torn)
{
    struct k4_reader reader;
    struct k4_segment segment;
    struct k4_trade t;
    uint64_t n, first, last, given = 0, instrument = checked_mix(before) % SYMBOLS;
    reader_open(&reader, "steps");
    /* What a reader is given while nobody writes, it must also find afterwards. */
    k4_reader_seek(&reader, before);
    if (k4_reader_next(&reader, &t, &n, &first, &last) == K4_READ_RECORD) {
        must(n == before && checked_ok(&t, n), "the record of a killed writer is whole");
        given = 1;
    }
    if (k4_reader_latest(&reader, (uint32_t)instrument, &t, &n) == 1) {
        must(checked_ok(&t, n), "latest beside a killed writer is whole");
        must(!given || n == before, "latest is not older than what the reader had");
        given |= n == before;
    }
    must(k4_reader_writer(&reader) == K4_WRITER_IS_GONE, "the writer is gone");
    uint64_t head = k4_reader_head(&reader);
    writer_open(&segment, "steps");
    must(segment.head == before + given, "the successor counts what readers may have seen, and only that");
    *torn += segment.head != head;
    publish_next(&segment);
    k4_reader_seek(&reader, k4_reader_oldest(&reader));
    for (uint64_t want = k4_reader_oldest(&reader); want < segment.head; want++)
        must(k4_reader_next(&reader, &t, &n, &first, &last) == K4_READ_RECORD && n == want && checked_ok(&t, n), "all that the ring holds is whole");
    uint64_t newest = 0;
    for (uint32_t i = 0; i < SYMBOLS; i++)
        if (k4_reader_latest(&reader, i, &t, &n) == 1) {
            must(checked_ok(&t, n) && t.instrument == i, "latest is whole");
            newest = n + 1 > newest ? n + 1 : newest;
        }
    must(newest == segment.head, "one instrument's latest is the newest record");
    k4_segment_close(&segment);
    k4_reader_close(&reader);
    return 0;
}

static void test_every_instruction(void)
{
    struct k4_segment segment;
    uint64_t before, torn = 0;
    long steps = 0;
    writer_open(&segment, "steps");
    for (int i = 0; i < 40; i++)
        publish_next(&segment);
    before = segment.head;
    k4_segment_close(&segment);
    for (;; steps += STRIDE) {
        if (!kill_after(steps))
            break;
        check_after_kill(before, &torn);
        struct k4_reader reader;
        reader_open(&reader, "steps");
        before = k4_reader_head(&reader);
        k4_reader_close(&reader);
    }
    printf("killed within %ld instructions, %llu times between slot and head\n", steps, (unsigned long long)torn);
    must(steps > 50 && torn > 1, "the steps go through a publish");
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
    test_every_instruction();
    test_random_kills();
    segment_dir_remove();
    return 0;
}
