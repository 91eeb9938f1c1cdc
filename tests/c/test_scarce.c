/* Every call to the system that can fail fails once, one after the other, and then all from some call on: what asked for it says so in a
 * sentence or goes on, gives everything back (AddressSanitizer looks), and leaves nothing that stops the next start.
 *
 * link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=mmap -Wl,--wrap=mremap -Wl,--wrap=open -Wl,--wrap=fstat
 *       -Wl,--wrap=lstat -Wl,--wrap=pread -Wl,--wrap=pwrite -Wl,--wrap=fcntl -Wl,--wrap=fchmod -Wl,--wrap=posix_fallocate -Wl,--wrap=rename
 *       -Wl,--wrap=mlock
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "check.h"
#include "k4_view.h"
#include "made_up.h"
#include "segment_dir.h"

/* ---------------------------------------------------------------- calls that fail */

static long until; /* calls that still succeed; negative: none fails */
static bool for_ever;
static int why;
static long failures;

static bool fails(void)
{
    if (until < 0 || until-- > 0)
        return false;
    if (for_ever)
        until = 0;
    failures++;
    errno = why;
    return true;
}

void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__real_mremap(void *old, size_t len, size_t wanted, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __real_fstat(int fd, struct stat *about);
int __real_lstat(const char *path, struct stat *about);
ssize_t __real_pread(int fd, void *out, size_t len, off_t offset);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
int __real_fcntl(int fd, int command, ...);
int __real_fchmod(int fd, mode_t mode);
int __real_posix_fallocate(int fd, off_t offset, off_t len);
int __real_rename(const char *from, const char *to);
int __real_mlock(const void *at, size_t len);

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mremap(void *old, size_t len, size_t wanted, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_fstat(int fd, struct stat *about);
int __wrap_lstat(const char *path, struct stat *about);
ssize_t __wrap_pread(int fd, void *out, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_posix_fallocate(int fd, off_t offset, off_t len);
int __wrap_rename(const char *from, const char *to);
int __wrap_mlock(const void *at, size_t len);

#include "failing_malloc.h"

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

void *__wrap_mremap(void *old, size_t len, size_t wanted, int flags, ...)
{
    return fails() ? MAP_FAILED : __real_mremap(old, len, wanted, flags);
}

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return fails() ? -1 : __real_open(path, flags, mode);
}

int __wrap_fstat(int fd, struct stat *about)
{
    return fails() ? -1 : __real_fstat(fd, about);
}

int __wrap_lstat(const char *path, struct stat *about)
{
    return fails() ? -1 : __real_lstat(path, about);
}

ssize_t __wrap_pread(int fd, void *out, size_t len, off_t offset)
{
    return fails() ? -1 : __real_pread(fd, out, len, offset);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return fails() ? -1 : __real_pwrite(fd, data, len, offset);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return fails() ? -1 : __real_fcntl(fd, command, argument);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return fails() ? -1 : __real_fchmod(fd, mode);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t len)
{
    return fails() ? why : __real_posix_fallocate(fd, offset, len);
}

int __wrap_rename(const char *from, const char *to)
{
    return fails() ? -1 : __real_rename(from, to);
}

int __wrap_mlock(const void *at, size_t len)
{
    return fails() ? -1 : __real_mlock(at, len);
}

/* ---------------------------------------------------------------- what is tried */

enum { SYMBOLS = 40, ACKS = 200, LONG = 300000 };

static char error[1024];
static char text[LONG + 64];
static int64_t mono = 5 * INT64_C(1000000000);
static const int64_t wall = INT64_C(1700000000000000000);

/* A failure must come with a sentence. */
static bool told(void)
{
    CHECK(error[0] != '\0');
    return false;
}

static bool symbols(k4_feed *feed, int record)
{
    for (int i = 0; i < SYMBOLS; i++) {
        char symbol[16];
        (void)snprintf(symbol, sizeof symbol, "S%d", i);
        const int index = k4_feed_instrument(feed, &product, record, (const uint8_t *)symbol, (uint32_t)strlen(symbol), "", "");
        if (index < 0) {
            CHECK(-index <= K4_REPLACED);
            CHECK(strcmp(k4_status_text(-index), "unknown status") != 0);
            return false;
        }
        EQUAL(index, i);
    }
    return true;
}

/* A message of LONG bytes in a frame of its own, as reads bring it. False: the connection failed, and says why. */
static bool long_message(k4_conn *conn)
{
    static uint8_t frame[LONG + 10] = {0x81, 127, 0, 0, 0, 0, (uint8_t)(LONG >> 24), (uint8_t)(LONG >> 16), (uint8_t)(LONG >> 8), (uint8_t)LONG};
    memset(frame + 10, ' ', LONG);
    memcpy(frame + 10, "EMPTY", 5);
    for (size_t done = 0; done < sizeof frame;) {
        uint8_t *out;
        size_t room = k4_conn_buffer(conn, &out);
        CHECK(room > 0);
        room = sizeof frame - done < room ? sizeof frame - done : room;
        memcpy(out, frame + done, room);
        done += room;
        if (k4_conn_recv(conn, room, wall, mono) & K4_CONN_FAILED) {
            const char *reason = NULL;
            CHECK(k4_conn_failure(conn, &reason) >= 1000);
            CHECK(reason != NULL && reason[0] != '\0');
            return false;
        }
    }
    return true;
}

static int message(k4_conn *conn, const char *what)
{
    mono += 1000;
    return k4_conn_message(conn, (const uint8_t *)what, strlen(what), wall + mono, mono);
}

static bool converse(k4_feed *feed)
{
    k4_conn *first = k4_conn_open(feed, &product, "first", "json", "", 1 << 20, error, sizeof error);
    k4_conn *second = first == NULL ? NULL : k4_conn_open(feed, &product, "second", "json", "S1", 1 << 20, error, sizeof error);
    if (second == NULL)
        return told();
    uint8_t *out;
    if (k4_conn_buffer(first, &out) < 5 * ACKS)
        abort();
    for (int i = 0; i < ACKS; i++)
        memcpy(out + 5 * i, "\x81\x03" "ack", 5); /* more events than there is room for at first; lost ones are counted */
    EQUAL(k4_conn_recv(first, 5 * ACKS, wall, mono), K4_CONN_EVENTS);
    k4_conn_stats stats;
    k4_conn_stats_get(first, &stats);
    k4_event event;
    uint64_t events = stats.events_lost;
    while (k4_conn_event(first, &event))
        events++;
    EQUAL(events, ACKS);
    (void)message(first, "b S1 10;t S1 10;t S2 11;!");
    (void)message(second, "b S1 10;t S1 10;t S1 13");
    (void)message(second, "t S1 11");
    const bool read = long_message(first);
    k4_conn_close(second);
    return read;
}

static bool look(const char *name)
{
    k4_view *view = k4_view_open(name, error, sizeof error);
    if (view == NULL)
        return told();
    union k4_record record;
    uint64_t sequence, first, last;
    k4_view_seek(view, 1);
    while (k4_view_next(view, &record, &sequence, &first, &last) > 0)
        continue;
    EQUAL(k4_view_latest(view, 1, &record, &sequence), 1);
    EQUAL(record.bbo.instrument, 1);
    (void)k4_view_writer(view);
    (void)k4_view_wait(view, 1);
    k4_view_close(view);
    return true;
}

static bool feed_once(const k4_segment_options *options)
{
    k4_feed *feed = k4_feed_open();
    if (feed == NULL)
        return false;
    bool done = k4_feed_segment(feed, K4_RECORD_BBO, "scarce_bbo", options, error, sizeof error) == K4_OK
                && k4_feed_segment(feed, K4_RECORD_TRADE, "scarce_trade", options, error, sizeof error) == K4_OK;
    if (!done)
        (void)told();
    done = done && symbols(feed, K4_RECORD_BBO) && symbols(feed, K4_RECORD_TRADE) && converse(feed);
    k4_feed_heartbeat(feed, wall + mono, mono);
    if (done) /* a reader's failure is not the writer's */
        done = look("scarce_bbo");
    k4_feed_close(feed);
    return done;
}

/* More items than a decoder has room for at first, twice. */
static bool decode_once(void)
{
    k4_decoder *decoder = k4_decoder_open(&product, "S1", 2);
    if (decoder == NULL)
        return false;
    bool done = true;
    for (int elements = 3; done && elements < 3000; elements *= 10) {
        char *at = text;
        for (int i = 0; i < elements; i++)
            at += sprintf(at, "%sb S1 %d", i == 0 ? "" : ";", i);
        const int count = k4_decoder_push(decoder, (const uint8_t *)text, strlen(text));
        CHECK(count == elements || count == -2);
        done = count == elements;
    }
    k4_decoder_close(decoder);
    return done;
}

/* A first start, a second that takes over, one that wants another size, and decoding. */
static bool all(void)
{
    k4_segment_options options = {.ring_slots = 64, .symbol_capacity = 2, .window_ids = 64, .mode = 0600};
    error[0] = '\0';
    if (!feed_once(&options) || !feed_once(&options))
        return false;
    options.ring_slots = 128;
    return feed_once(&options) && decode_once();
}

static void fail_from(long call, int reason, bool ever)
{
    until = call;
    why = reason;
    for_ever = ever;
    failures = 0;
    const bool done = all();
    until = -1;
    if (ever && failures > 0)
        CHECK(!done);
}

int main(void)
{
    static const int reasons[] = {ENOMEM, ENOSPC, EACCES, EIO};
    until = -1;
    (void)segment_dir_make();
    CHECK(all());
    long calls = 0;
    for (;; calls++) {
        fail_from(calls, reasons[calls % 4], true);
        if (failures == 0)
            break;
        CHECK(all()); /* nothing is left in the way */
    }
    CHECK(calls > 50);
    for (long call = 0; call < calls; call++) {
        fail_from(call, reasons[call % 4], false);
        fail_from(call, reasons[(call + 1) % 4], false);
    }
    CHECK(all());
    printf("%ld calls failed, alone and with all behind them\n", calls);
    segment_dir_remove();
    return check_failures != 0;
}
