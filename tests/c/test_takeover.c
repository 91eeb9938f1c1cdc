/* What an opening makes of what it finds, and what it leaves when it is given up: counts, counters and times that are carried on, slots
 * that a killed writer left, who is woken, which files stay. Kills at every instruction are in test_segment_crash.c.
 *
 * link: -Wl,--wrap=fcntl
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_reader.h"
#include "k4_segment.h"
#include "k4_view.h"

#include "check.h"
#include "segment_steps.h"

static const char *dir;
static const char *swapped; /* this file is removed and made anew by somebody else just before it is locked */

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *what = va_arg(args, void *);
    va_end(args);
    if (command == F_OFD_SETLK && swapped != NULL) {
        (void)unlink(swapped);
        (void)close(open(swapped, O_RDWR | O_CREAT, 0600));
        swapped = NULL;
    }
    return __real_fcntl(fd, command, what);
}

static uint64_t put(struct k4_segment *segment, uint32_t instrument, int64_t id)
{
    const struct k4_trade t = {.instrument = instrument, .event_ns = id * 10, .recv_ns = id * 10 + 1, .trade_id = id, .price = id, .qty = id};
    return k4_segment_publish(segment, instrument, &t);
}

static uint64_t *ring_slot(const struct k4_segment *segment, uint64_t n)
{
    return (uint64_t *)(void *)(segment->ring + (n & segment->mask) * segment->stride);
}

static bool exists(const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/k4.%s", dir, name);
    return access(path, F_OK) == 0;
}

static unsigned mode_of(const char *name)
{
    char path[600];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s/k4.%s", dir, name);
    return stat(path, &about) == 0 ? about.st_mode & 07777 : 0;
}

struct seen {
    unsigned count;
    uint64_t first;
    int64_t id;
};

static void note(void *context, uint32_t instrument, uint64_t sequence, const void *record)
{
    struct seen *seen = context;
    (void)instrument;
    if (seen->count++ == 0) {
        seen->first = sequence;
        memcpy(&seen->id, (const uint8_t *)record + offsetof(struct k4_trade, trade_id), sizeof seen->id);
    }
}

/* A writer that died over record 20: the slot, which held record 12, is under the pen. */
static void the_record_under_the_pen_is_lost(void)
{
    k4_segment_options more = small;
    for (int turn = 0; turn < 2; turn++) {
        const char *name = turn == 0 ? "pen" : "pen-more";
        struct k4_segment segment = writer_open(name, &small);
        struct seen seen = {.count = 0};
        add(&segment, "AAA");
        for (int64_t id = 0; id < 20; id++)
            put(&segment, 0, id);
        ring_slot(&segment, 20)[0] = 2 * 20 + 1;
        ring_slot(&segment, 20)[9] = 666;
        writer_dies(&segment);
        more.ring_slots = turn == 0 ? 8 : 32;
        segment = writer_open(name, &more);
        EQUAL(segment.head, 20);
        EQUAL(segment.header->first, turn == 0 ? 0 : 13);
        k4_segment_seed(&segment, note, &seen);
        EQUAL(seen.count, 7);
        EQUAL(seen.first, 13);
        EQUAL(seen.id, 13);
        k4_segment_close(&segment);
    }
}

/* Whatever else is changed, the table never shrinks, counters and the first record's number go on. */
static void other_counts_lose_nothing(void)
{
    k4_segment_options other = small;
    struct k4_reader reader;
    struct k4_trade got;
    uint64_t n, first, last;
    struct k4_segment segment = writer_open("counts", &small);
    EQUAL(add(&segment, "AAA"), 0);
    EQUAL(add(&segment, "BBB"), 1);
    const int source = k4_segment_source(&segment, "x#0", "json");
    k4_segment_count(&segment.sources[source].wins, 7);
    for (int64_t id = 0; id < 20; id++)
        put(&segment, 1, id);
    k4_segment_close(&segment);
    other.ring_slots = 32;
    other.symbol_capacity = 1;
    segment = writer_open("counts", &other);
    EQUAL(segment.header->symbol_capacity, 4);
    EQUAL(segment.header->symbol_count, 2);
    EQUAL(segment.header->first, 12);
    EQUAL(k4_segment_source(&segment, "x#0", "json"), source);
    EQUAL(segment.sources[source].wins, 7);
    k4_segment_close(&segment);
    other.ring_slots = 64; /* room for more than there is */
    segment = writer_open("counts", &other);
    EQUAL(segment.header->first, 12);
    EQUAL(k4_reader_open(&reader, dir, "counts", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    k4_reader_seek(&reader, 0);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 0);
    EQUAL(last, 11);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 12);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* The table grows after a takeover: who owes a RESTART still does, who is new never did; times and counters go on. */
static void growing_changes_nothing_else(void)
{
    static const char *const names[] = {"A", "B", "C", "D", "E"};
    struct k4_segment segment = writer_open("grows", &small);
    for (int i = 0; i < 4; i++)
        EQUAL(add(&segment, names[i]), i);
    put(&segment, 0, 1);
    k4_segment_close(&segment);
    segment = writer_open("grows", &small);
    k4_segment_heartbeat(&segment, 123, 456);
    EQUAL(k4_segment_source(&segment, "x#01", "json"), 0); /* begins alike and is another */
    const int source = k4_segment_source(&segment, "x#0", "json");
    EQUAL(source, 1);
    k4_segment_count(&segment.sources[source].late, 3);
    EQUAL(add(&segment, names[4]), 4);
    EQUAL(segment.header->symbol_capacity, 8);
    EQUAL(segment.header->heartbeat_ns, 123);
    EQUAL(segment.header->heartbeat_mono_ns, 456);
    EQUAL(segment.header->epoch, 2);
    EQUAL(segment.sources[source].late, 3);
    EQUAL(k4_segment_source(&segment, "x#0", "json"), source);
    static const uint32_t published[] = {4, 0, 3, 0, 4};
    static const unsigned flags[] = {0, K4_FLAG_RESTART, K4_FLAG_RESTART, 0, 0};
    for (int i = 0; i < 5; i++) {
        const uint64_t n = put(&segment, published[i], 10 + i);
        struct k4_trade record;
        memcpy(&record, ring_slot(&segment, n) + 1, sizeof record);
        EQUAL(record.flags, flags[i]);
    }
    k4_segment_close(&segment);
}

static void the_successor_says_who_it_is_and_wakes(void)
{
    struct k4_segment segment = writer_open("who", &small);
    struct k4_reader reader;
    add(&segment, "AAA");
    EQUAL(k4_reader_open(&reader, dir, "who", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    segment.header->writer_pid = 1;
    segment.header->writer_start = 1;
    put(&segment, 0, 1);
    segment.wait->sleepers = 2; /* they went to sleep before that, and their writer died before it woke them */
    const uint32_t wake = segment.header->wake;
    writer_dies(&segment);
    segment = writer_open("who", &small);
    EQUAL(segment.header->writer_pid, getpid());
    EQUAL(segment.header->writer_start, k4_shm_process_start(getpid()));
    EQUAL(segment.header->heartbeat_ns, 1000);
    EQUAL(segment.header->wake, wake + 1);
    EQUAL(segment.wait->sleepers, 0);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
    EQUAL(segment.lock_fd, -1);
}

/* What no writer can have left is refused; what one that died may have left is put right. */
static void damage(void)
{
    struct k4_segment segment = writer_open("damaged", &small);
    add(&segment, "AAA");
    for (int64_t id = 0; id < 3; id++)
        put(&segment, 0, id);
    uint64_t *unwritten = ring_slot(&segment, 5), *latest = (uint64_t *)(void *)segment.latest;
    unwritten[0] = 2 * 5 + 2; /* ahead of head by more than one */
    struct k4_segment again;
    (void)close(segment.lock_fd);
    EQUAL(k4_segment_open(&again, "damaged", K4_RECORD_TRADE, &small, 0, error, sizeof error), K4_BAD_SEGMENT);
    CHECK(strstr(error, "ring slot 5 holds sequence word 12, head is 3") != NULL);
    unwritten[0] = 0;
    latest[0] = 2 * 9 + 2; /* newer than anything that was published */
    segment.lock_fd = open("/dev/null", O_RDONLY);
    writer_dies(&segment);
    segment = writer_open("damaged", &small);
    EQUAL(*(const uint64_t *)(const void *)segment.latest, 2 * 2 + 2);
    k4_segment_close(&segment);
}

/* A reader over memory that somebody damaged gets an answer, and never hangs. */
static void readers_of_damage(void)
{
    struct k4_segment segment = writer_open("spoilt", &small);
    struct k4_reader reader;
    struct k4_trade got, many[8];
    uint64_t n, first, last;
    uint32_t taken;
    add(&segment, "AAA");
    for (int64_t id = 0; id < 8; id++)
        put(&segment, 0, id);
    EQUAL(k4_reader_open(&reader, dir, "spoilt", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    uint64_t *latest = (uint64_t *)(void *)segment.latest;
    latest[0] = 2 * 100 + 1; /* under the pen for ever, and nowhere in the ring */
    EQUAL(k4_reader_latest(&reader, 0, &got, &n), 0);
    k4_reader_close(&reader);
    ring_slot(&segment, 1)[0] = 2 * 2 + 1; /* a slot of another record, as no writer leaves it: one step on at least */
    EQUAL(k4_reader_open(&reader, dir, "spoilt", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    k4_reader_seek(&reader, 1);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 1);
    EQUAL(last, 1);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 2);
    k4_reader_close(&reader);
    /* As if the writer had lapped us between two records of one batch. */
    ring_slot(&segment, 1)[0] = 2 * 9 + 2;
    k4_view *view = k4_view_open("spoilt", error, sizeof error);
    CHECK(view != NULL);
    k4_view_seek_to(view, 0);
    EQUAL(k4_view_drain(view, many, 8, &taken, &n, &first, &last), K4_READ_RECORD);
    EQUAL(taken, 1);
    EQUAL(many[0].trade_id, 0);
    EQUAL(k4_view_position(view), 1);
    EQUAL(k4_view_drain(view, many, 8, &taken, &n, &first, &last), K4_READ_LOST);
    EQUAL(first, 1);
    EQUAL(last, 1);
    k4_view_close(view);
    k4_segment_close(&segment);
}

/* That a writer was found gone is said until something else is there to be said. */
static void a_successor_that_publishes(void)
{
    struct k4_segment segment = writer_open("gone", &small);
    struct k4_reader reader;
    struct k4_trade got;
    uint64_t n, first, last;
    add(&segment, "AAA");
    put(&segment, 0, 1);
    EQUAL(k4_reader_open(&reader, dir, "gone", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    writer_dies(&segment);
    EQUAL(k4_reader_wait(&reader, 1000), 1);
    segment = writer_open("gone", &small);
    put(&segment, 0, 2);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_RECORD);
    EQUAL(got.trade_id, 2);
    EQUAL(k4_reader_next(&reader, &got, &n, &first, &last), K4_READ_NOTHING);
    k4_reader_close(&reader);
    k4_segment_close(&segment);
}

/* A file in the place of the wait page that is none: readers sleep by the clock, the next writer makes a page. */
static void wait_pages(void)
{
    for (int cut = 0; cut < 2; cut++) {
        struct k4_segment segment = writer_open("page", &small);
        struct k4_reader reader;
        char path[600];
        (void)snprintf(path, sizeof path, "%s/k4.page.wait", dir);
        if (cut != 0)
            EQUAL(truncate(path, 4095), 0);
        else
            segment.wait->magic = 0;
        EQUAL(k4_reader_open(&reader, dir, "page", K4_RECORD_TRADE, error, sizeof error), K4_OK);
        CHECK(reader.wait == NULL);
        EQUAL(k4_reader_wait(&reader, 1000), 0);
        k4_reader_close(&reader);
        k4_segment_close(&segment);
        segment = writer_open("page", &small);
        EQUAL(segment.wait->magic, K4_WAIT_MAGIC);
        EQUAL(k4_reader_open(&reader, dir, "page", K4_RECORD_TRADE, error, sizeof error), K4_OK);
        CHECK(reader.wait != NULL);
        k4_reader_close(&reader);
        k4_segment_close(&segment);
    }
}

/* The lock that counts is on the file that stands there: one who locked what was removed meanwhile would write beside another. */
static void a_lock_file_that_was_changed(void)
{
    char path[600];
    struct stat locked, there;
    (void)snprintf(path, sizeof path, "%s/k4.locked.lock", dir);
    (void)close(open(path, O_RDWR | O_CREAT, 0600));
    swapped = path;
    struct k4_segment segment = writer_open("locked", &small), second;
    CHECK(swapped == NULL);
    CHECK(fstat(segment.lock_fd, &locked) == 0 && stat(path, &there) == 0);
    EQUAL(locked.st_ino, there.st_ino);
    EQUAL(k4_segment_open(&second, "locked", K4_RECORD_TRADE, &small, 0, error, sizeof error), K4_LOCKED);
    k4_segment_close(&segment);
}

/* Where the lock may not be looked at, a writer is told by its pid, and another process of that number by when it began. */
static void writers_told_by_pid(void)
{
    struct k4_segment segment = writer_open("pid", &small);
    struct k4_reader reader;
    EQUAL(k4_reader_open(&reader, dir, "pid", K4_RECORD_TRADE, error, sizeof error), K4_OK);
    (void)close(reader.lock_fd);
    reader.lock_fd = -1;
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_ALIVE);
    segment.header->writer_start++;
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_GONE);
    segment.header->writer_start--;
    segment.header->writer_pid = INT32_MAX;
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_GONE);
    k4_segment_close(&segment);
    EQUAL(k4_reader_writer(&reader), K4_WRITER_IS_CLOSED);
    k4_reader_close(&reader);
}

static void names(void)
{
    static const char *const good[] = {"a", "A.b-c_9", "x.lock2", "new", "lock"}, *const bad[] = {"", ".a", "a/b", "a b", "x.lock", "x.wait", "x.new", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(k4_shm_name_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!k4_shm_name_ok(bad[i]));
    char longest[K4_SHM_NAME_MAX + 2] = "";
    memset(longest, 'x', K4_SHM_NAME_MAX);
    CHECK(k4_shm_name_ok(longest));
    longest[K4_SHM_NAME_MAX] = 'x';
    CHECK(!k4_shm_name_ok(longest));
}

/* A writer that never began takes away what it made, and nothing that was there. */
static void a_writer_that_never_began(void)
{
    struct k4_segment segment = writer_open("never", &small);
    k4_segment_discard(&segment);
    CHECK(!exists("never") && !exists("never.lock") && !exists("never.wait") && !exists("never.new"));
    segment = writer_open("never", &small);
    add(&segment, "AAA");
    put(&segment, 0, 1);
    k4_segment_close(&segment);
    segment = writer_open("never", &small);
    k4_segment_discard(&segment);
    CHECK(exists("never") && exists("never.lock") && exists("never.wait"));
    segment = writer_open("never", &small);
    EQUAL(segment.head, 1);
    EQUAL(segment.header->epoch, 3);
    k4_segment_close(&segment);
}

/* Who may read a segment may write to its wait page, and nobody but its owner to the segment. */
static void modes(void)
{
    static const uint32_t good[] = {0600, 0640, 0604, 0644}, bad[] = {0666, 0660, 0620, 0602, 0400, 0700, 01644};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        k4_segment_options options = small;
        options.mode = good[i];
        struct k4_segment segment = writer_open("mode", &options);
        EQUAL(mode_of("mode"), good[i]);
        EQUAL(mode_of("mode.wait"), good[i] | (good[i] & 0044) >> 1);
        k4_segment_discard(&segment);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        k4_segment_options options = small;
        struct k4_segment segment;
        options.mode = bad[i];
        EQUAL(k4_segment_open(&segment, "mode", K4_RECORD_TRADE, &options, 0, error, sizeof error), K4_BAD_ARGUMENT);
        CHECK(!exists("mode"));
    }
}

static void symbols_begin_stale_and_change_once(void)
{
    struct k4_segment segment = writer_open("states", &small);
    EQUAL(add(&segment, "A\x7f"), -K4_BAD_SYMBOL);
    EQUAL(add(&segment, "A\x1f"), -K4_BAD_SYMBOL);
    EQUAL(add(&segment, "A \xc3\xa9"), 0);
    EQUAL(segment.symbols[0].state, K4_STATE_STALE);
    EQUAL(segment.symbols[0].state_since_ns, K4_ABSENT);
    k4_segment_state(&segment, 0, K4_STATE_STALE, 5);
    EQUAL(segment.symbols[0].state_since_ns, 5);
    k4_segment_state(&segment, 0, K4_STATE_STALE, 9);
    EQUAL(segment.symbols[0].state_since_ns, 5); /* since then */
    k4_segment_state(&segment, 0, K4_STATE_LIVE, 11);
    EQUAL(segment.symbols[0].state, K4_STATE_LIVE);
    EQUAL(segment.symbols[0].state_since_ns, 11);
    k4_segment_close(&segment);
}

int main(void)
{
    dir = segment_dir_make();
    the_record_under_the_pen_is_lost();
    other_counts_lose_nothing();
    growing_changes_nothing_else();
    the_successor_says_who_it_is_and_wakes();
    damage();
    readers_of_damage();
    a_successor_that_publishes();
    wait_pages();
    a_lock_file_that_was_changed();
    writers_told_by_pid();
    names();
    a_writer_that_never_began();
    modes();
    symbols_begin_stale_and_change_once();
    segment_dir_remove();
    return check_failures != 0;
}
