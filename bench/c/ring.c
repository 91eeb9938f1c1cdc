/* Measures the ring: what a publish costs its writer, and how long a record takes to another process.
 *
 *   ring publish RECORD READERS ROUNDS SLOTS    "publish NS..." and "copies NS...", per record and round; copies: two plain copies of as
 *                                         many bytes to the same kind of places
 *   ring hop ROUNDS                       "record NS..." and "line NS...": one way between two processes on two cores, by ring and
 *                                         by a bare cache line that is thrown to and fro; half of each round trip
 */
#define _GNU_SOURCE

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "k4_reader.h"
#include "k4_segment.h"

enum { BATCH = 4096, INSTRUMENTS = 16, TRIPS = 1000, MAX_ROUNDS = 10000 };

static k4_segment_options options = {.ring_slots = 4096, .symbol_capacity = INSTRUMENTS, .mode = 0600};
static char error[1024];

static void die(const char *what)
{
    fprintf(stderr, "ring: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void open_segment(struct k4_segment *segment, const char *name, int record)
{
    if (k4_segment_open(segment, name, record, &options, 1, error, sizeof error) != K4_OK)
        die(error);
    const int product = k4_segment_product(segment, "bench", "ring");
    for (int i = 0; i < INSTRUMENTS; i++) {
        char symbol[16];
        const int len = snprintf(symbol, sizeof symbol, "S%d", i);
        if (product < 0 || k4_segment_instrument(segment, (uint32_t)product, (const uint8_t *)symbol, (uint32_t)len, "", "") != i)
            die("a symbol that has no place");
    }
}

static pid_t start(void (*body)(void))
{
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    _exit(0);
}

static void stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* ---------------------------------------------------------------- publish */

static void read_on(void)
{
    struct k4_reader reader;
    static union k4_record record;
    uint64_t sequence, first, last;
    if (k4_reader_open(&reader, NULL, "bench", 0, error, sizeof error) != K4_OK)
        _exit(1);
    for (;;)
        (void)k4_reader_next(&reader, &record, &sequence, &first, &last);
}

static double publish_batch(struct k4_segment *segment, union k4_record *record)
{
    const int64_t begun = now_ns();
    for (uint32_t i = 0; i < BATCH; i++) {
        record->bbo.instrument = i % INSTRUMENTS;
        record->bbo.update_id = i;
        (void)k4_segment_publish(segment, i % INSTRUMENTS, record);
    }
    return (double)(now_ns() - begun) / BATCH;
}

static double copy_batch(uint8_t *ring, uint8_t *latest, const struct k4_segment *segment, union k4_record *record)
{
    static uint64_t at;
    const size_t size = 8 * (size_t)segment->words;
    const int64_t begun = now_ns();
    for (uint32_t i = 0; i < BATCH; i++, at++) {
        record->bbo.update_id = i;
        memcpy(ring + (at & segment->mask) * segment->stride, record, size);
        memcpy(latest + (size_t)(i % INSTRUMENTS) * segment->stride, record, size);
        __asm__ volatile("" ::: "memory");
    }
    return (double)(now_ns() - begun) / BATCH;
}

static void publish(int record, int readers, int rounds)
{
    static double published[MAX_ROUNDS], copied[MAX_ROUNDS];
    static struct k4_segment segment;
    static union k4_record as;
    pid_t pids[8];
    open_segment(&segment, "bench", record);
    uint8_t *ring = aligned_alloc(4096, (size_t)options.ring_slots * segment.stride), *latest = aligned_alloc(4096, (size_t)INSTRUMENTS * segment.stride);
    if (ring == NULL || latest == NULL || readers > 8)
        die("no memory");
    memset(ring, 1, (size_t)options.ring_slots * segment.stride);
    for (int i = 0; i < readers; i++)
        pids[i] = start(read_on);
    for (int round = -1 - (int)options.ring_slots / BATCH; round < rounds; round++) { /* the first only warm up */
        const double p = publish_batch(&segment, &as), c = copy_batch(ring, latest, &segment, &as);
        if (round >= 0) {
            published[round] = p;
            copied[round] = c;
        }
    }
    for (int i = 0; i < readers; i++)
        stop(pids[i]);
    k4_segment_close(&segment);
    printf("publish");
    for (int round = 0; round < rounds; round++)
        printf(" %.2f", published[round]);
    printf("\ncopies");
    for (int round = 0; round < rounds; round++)
        printf(" %.2f", copied[round]);
    printf("\n");
}

/* ---------------------------------------------------------------- hop */

struct line {
    uint64_t value;
    uint8_t pad[120];
};

static struct line *lines; /* shared: [0] to the child, [1] back */

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void wait_record(struct k4_reader *reader, union k4_record *record)
{
    uint64_t sequence, first, last;
    while (k4_reader_next(reader, record, &sequence, &first, &last) != K4_READ_RECORD)
        ;
}

static void open_reader(struct k4_reader *reader, const char *name)
{
    while (k4_reader_open(reader, NULL, name, K4_RECORD_BBO, error, sizeof error) != K4_OK)
        (void)usleep(1000);
}

/* Sends everything back. */
static void echo(void)
{
    static struct k4_segment pong;
    static struct k4_reader ping;
    static union k4_record record;
    pin(1);
    open_segment(&pong, "pong", K4_RECORD_BBO);
    open_reader(&ping, "ping");
    __atomic_store_n(&lines[1].value, 1, __ATOMIC_RELEASE);
    for (uint64_t n = 1;; n += TRIPS) {
        for (int i = 0; i < TRIPS; i++) {
            wait_record(&ping, &record);
            (void)k4_segment_publish(&pong, 0, &record);
        }
        for (uint64_t i = 1; i <= TRIPS; i++) {
            while (__atomic_load_n(&lines[0].value, __ATOMIC_ACQUIRE) != n + i)
                ;
            __atomic_store_n(&lines[1].value, n + i, __ATOMIC_RELEASE);
        }
    }
}

static void hop(int rounds)
{
    static struct k4_segment ping;
    static struct k4_reader pong;
    static union k4_record record;
    lines = mmap(NULL, 2 * sizeof *lines, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double *by_ring = malloc(sizeof *by_ring * (size_t)rounds * TRIPS), *by_line = malloc(sizeof *by_line * (size_t)rounds * TRIPS);
    if (lines == MAP_FAILED || by_ring == NULL || by_line == NULL)
        die("no memory");
    pin(0);
    open_segment(&ping, "ping", K4_RECORD_BBO);
    const pid_t child = start(echo);
    while (__atomic_load_n(&lines[1].value, __ATOMIC_ACQUIRE) != 1)
        (void)usleep(1000);
    open_reader(&pong, "pong");
    uint64_t n = 1;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < TRIPS; i++) {
            const int64_t begun = now_ns();
            (void)k4_segment_publish(&ping, 0, &record);
            wait_record(&pong, &record);
            by_ring[round * TRIPS + i] = (double)(now_ns() - begun) / 2;
        }
        for (int i = 0; i < TRIPS; i++) {
            const int64_t begun = now_ns();
            __atomic_store_n(&lines[0].value, ++n, __ATOMIC_RELEASE);
            while (__atomic_load_n(&lines[1].value, __ATOMIC_ACQUIRE) != n)
                ;
            by_line[round * TRIPS + i] = (double)(now_ns() - begun) / 2;
        }
    }
    stop(child);
    k4_segment_close(&ping);
    printf("record");
    for (int i = 0; i < rounds * TRIPS; i++)
        printf(" %.0f", by_ring[i]);
    printf("\nline");
    for (int i = 0; i < rounds * TRIPS; i++)
        printf(" %.0f", by_line[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "publish") == 0 && atoi(argv[4]) <= MAX_ROUNDS) {
        options.ring_slots = (uint32_t)atoi(argv[5]);
        publish(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    } else if (argc == 3 && strcmp(argv[1], "hop") == 0) {
        hop(atoi(argv[2]));
    } else {
        die("publish RECORD READERS ROUNDS SLOTS, or hop ROUNDS");
    }
    return 0;
}
