/* Reading a segment, from any process, without a library and without ever writing to it (layout: k4_shm.h).
 *
 *     struct k4_reader reader;
 *     char error[512];
 *     if (k4_reader_open(&reader, NULL, "venue_spot_bbo", K4_RECORD_BBO, error, sizeof error) != K4_OK) ...
 *     for (;;) {
 *         struct k4_bbo bbo; uint64_t n, first, last;
 *         int got = k4_reader_next(&reader, &bbo, &n, &first, &last);
 *         if (got == K4_READ_RECORD) use(&bbo);
 *         else if (got == K4_READ_LOST) lost(first, last);             // overwritten before we came; go on
 *         else if (got == K4_READ_NOTHING) k4_reader_wait(&reader, 100000000);   // or spin
 *         else break;                                                  // -K4_WRITER_CLOSED, -K4_WRITER_GONE, -K4_REPLACED
 *     }
 *
 * The writer never waits for a reader: who is too slow learns exactly which sequences it lost. One reader struct, one thread.
 * Valid C11 and C++17 under GNU features (define _GNU_SOURCE, or include this before any other header).
 */
#ifndef K4_READER_H
#define K4_READER_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "k4_shm.h"

#ifndef F_OFD_GETLK
#error "define _GNU_SOURCE, or include this header before any other"
#endif

enum { K4_READ_NOTHING = 0, K4_READ_RECORD = 1, K4_READ_LOST = 2 };
enum { K4_WRITER_IS_ALIVE = 1, K4_WRITER_IS_CLOSED = 0, K4_WRITER_IS_GONE = -1 };

#define K4_READER_SLEEP_NS INT64_C(100000000) /* nobody sleeps longer than this at a time */

struct k4_reader {
    const struct k4_shm_header *header;
    const struct k4_symbol_entry *symbols;
    const struct k4_shm_source *sources;
    const uint8_t *latest;
    const uint8_t *ring;
    struct k4_shm_wait *wait; /* NULL: not ours to write; then sleeps go by the clock */
    uint64_t next;            /* sequence of the next record wanted */
    uint64_t seen;            /* sequence + 1 of the newest record taken from the ring, 0: none */
    uint32_t seen_instrument;
    uint32_t mask;
    uint32_t stride;
    uint32_t words;
    uint32_t record;
    uint32_t symbol_capacity;
    uint64_t slots;
    size_t size;
    int lock_fd; /* -1: may not be opened; then the writer is told by its pid */
    int gone;    /* found gone while waiting, to be said by the next read */
};

__attribute__((format(printf, 4, 5))) static inline int k4_reader_fail(char *error, size_t size, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (size > 0)
        (void)vsnprintf(error, size, format, args);
    va_end(args);
    return status;
}

/* ---------------------------------------------------------------- opening */

/* Appends "name: type@offset here, type@offset there" for every field in which two layouts differ. */
static inline void k4_reader_differing(const char *ours, const char *theirs, char *out, size_t size)
{
    size_t at = strlen(out);
    for (int turn = 0; turn < 2; turn++) {
        const char *text = turn == 0 ? ours : theirs, *other = turn == 0 ? theirs : ours;
        for (const char *field = text; *field != 0;) {
            size_t len = strcspn(field, " "), name = strcspn(field, ": ");
            const char *twin = other;
            size_t twin_len = 0;
            for (; *twin != 0; twin += twin_len + (twin[twin_len] == ' ')) {
                twin_len = strcspn(twin, " ");
                if (strcspn(twin, ": ") == name && memcmp(twin, field, name) == 0)
                    break;
            }
            int absent = *twin == 0;
            if ((absent || (turn == 0 && (twin_len != len || memcmp(twin, field, len) != 0))) && at + 1 < size && name < len) {
                int type = (int)(len - name - 1);
                int put;
                if (absent)
                    put = snprintf(out + at, size - at, "; %.*s: %s%.*s%s", (int)name, field, turn == 0 ? "" : "not there here, ", type, field + name + 1,
                                   turn == 0 ? " here, not there in the segment" : " in the segment");
                else
                    put = snprintf(out + at, size - at, "; %.*s: %.*s here, %.*s in the segment", (int)name, field, type, field + name + 1,
                                   (int)(twin_len - name - 1), twin + name + 1);
                at += put > 0 ? (size_t)put : 0;
            }
            field += len + (field[len] == ' ');
        }
    }
}

/* Checks everything a header says before anything is believed. `file_size` is the file's real size. K4_OK, or a status and why. */
static inline int k4_shm_check(const struct k4_shm_header *header, uint64_t file_size, uint32_t record, char *error, size_t size)
{
    struct k4_shm_header want;
    if (header->magic == __builtin_bswap64(K4_SHM_MAGIC))
        return k4_reader_fail(error, size, K4_OTHER_LAYOUT, "it was written by a machine of the other byte order");
    if (header->magic != K4_SHM_MAGIC)
        return k4_reader_fail(error, size, K4_BAD_SEGMENT, "it is not a K4 segment");
    if (header->version != K4_SEGMENT_VERSION)
        return k4_reader_fail(error, size, K4_OTHER_LAYOUT, "it has version %u, this program reads version %u", header->version, (unsigned)K4_SEGMENT_VERSION);
    if (memchr(header->name, 0, sizeof header->name) == NULL || memchr(header->word, 0, sizeof header->word) == NULL
        || memchr(header->layout, 0, sizeof header->layout) == NULL)
        return k4_reader_fail(error, size, K4_BAD_SEGMENT, "a text in its header does not end");
    if (record != 0 && header->record != record)
        return k4_reader_fail(error, size, K4_OTHER_LAYOUT, "it holds %s records, not %s", header->word, k4_record_name[record]);
    if (header->record == 0 || header->record > K4_RECORD_COUNT)
        return k4_reader_fail(error, size, K4_OTHER_LAYOUT, "it holds %s records (number %u), which this program does not know", header->word, header->record);
    if (header->layout_hash != k4_layout_hash[header->record]) {
        k4_reader_fail(error, size, 0, "its %s records have another layout", header->word);
        k4_reader_differing(k4_record_layout[header->record], header->layout, error, size);
        return K4_OTHER_LAYOUT;
    }
    if (header->ring_slots == 0 || header->ring_slots > K4_RING_SLOTS_MAX || (header->ring_slots & (header->ring_slots - 1)) != 0
        || header->symbol_capacity == 0 || header->symbol_capacity > K4_SYMBOLS_MAX)
        return k4_reader_fail(error, size, K4_BAD_SEGMENT, "its header is damaged: %u ring slots, %u symbols", header->ring_slots, header->symbol_capacity);
    k4_shm_place(&want, k4_record_size[header->record], header->ring_slots, header->symbol_capacity);
    if (header->record_size != want.record_size || header->stride != want.stride || header->source_capacity != want.source_capacity
        || header->symbol_size != want.symbol_size || header->source_size != want.source_size || header->symbols_at != want.symbols_at
        || header->sources_at != want.sources_at || header->latest_at != want.latest_at || header->ring_at != want.ring_at || header->size != want.size)
        return k4_reader_fail(error, size, K4_BAD_SEGMENT, "its header is damaged: sizes and offsets do not fit together");
    if (file_size != header->size)
        return k4_reader_fail(error, size, K4_BAD_SEGMENT, "it is cut off: the file has %llu bytes, its header says %llu", (unsigned long long)file_size,
                              (unsigned long long)header->size);
    return K4_OK;
}

/* A regular file of our own (or root's, or of the user $K4_SHM_OWNER), no link. An fd, or -(k4_status) and why. */
static inline int k4_shm_open_file(const char *path, int flags, struct stat *about, char *error, size_t size)
{
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int why = errno;
        if (why == ENOENT)
            return -k4_reader_fail(error, size, K4_NO_SEGMENT, "%s: there is no such file", path);
        if (why == ELOOP)
            return -k4_reader_fail(error, size, K4_REFUSED_FILE, "%s is a symbolic link; links are not followed: remove it", path);
        return -k4_reader_fail(error, size, why == EACCES || why == EPERM ? K4_REFUSED_FILE : K4_SYSTEM, "%s cannot be opened: %s", path, strerror(why));
    }
    const char *trusted = getenv("K4_SHM_OWNER");
    if (fstat(fd, about) != 0 || !S_ISREG(about->st_mode)) {
        (void)close(fd);
        return -k4_reader_fail(error, size, K4_REFUSED_FILE, "%s is not a regular file: remove it", path);
    }
    if (about->st_uid != geteuid() && about->st_uid != 0 && !(trusted && *trusted && strtoul(trusted, NULL, 10) == about->st_uid)) {
        (void)close(fd);
        return -k4_reader_fail(error, size, K4_REFUSED_FILE, "%s belongs to user %u, not to user %u: not trusted (K4_SHM_OWNER=%u would trust it)", path,
                               (unsigned)about->st_uid, (unsigned)geteuid(), (unsigned)about->st_uid);
    }
    return fd;
}

/* The wait page for readers and writer alike; NULL where it cannot be had. */
static inline struct k4_shm_wait *k4_shm_map_wait(const char *path)
{
    struct stat about;
    char ignored[8];
    int fd = k4_shm_open_file(path, O_RDWR, &about, ignored, sizeof ignored);
    if (fd < 0)
        return NULL;
    void *page = about.st_size >= 4096 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    (void)close(fd);
    if (page == MAP_FAILED)
        return NULL;
    if (((struct k4_shm_wait *)page)->magic != K4_WAIT_MAGIC) {
        (void)munmap(page, 4096);
        return NULL;
    }
    return (struct k4_shm_wait *)page;
}

static inline void k4_reader_close(struct k4_reader *reader)
{
    if (reader->header)
        (void)munmap((void *)(uintptr_t)reader->header, reader->size);
    if (reader->wait)
        (void)munmap(reader->wait, 4096);
    if (reader->lock_fd >= 0)
        (void)close(reader->lock_fd);
    memset(reader, 0, sizeof *reader);
    reader->lock_fd = -1;
}

static inline uint64_t k4_reader_head(const struct k4_reader *reader)
{
    /* Acquire: pairs with the release of head in k4_segment_publish; every slot below it is complete, latest included. */
    return __atomic_load_n(&reader->header->head, __ATOMIC_ACQUIRE);
}

/* The oldest sequence that the ring still holds for sure: the slot of `head` may be under the pen. */
static inline uint64_t k4_reader_oldest(const struct k4_reader *reader)
{
    uint64_t head = k4_reader_head(reader), first = reader->header->first;
    uint64_t oldest = head + 1 > reader->slots ? head + 1 - reader->slots : 0;
    return oldest > first ? oldest : first;
}

/* The next record read is `sequence` (k4_reader_head: only what comes; k4_reader_oldest: all that is there). */
static inline void k4_reader_seek(struct k4_reader *reader, uint64_t sequence)
{
    reader->next = sequence;
}

/* Opens segment `name` in `dir` (NULL: $K4_SHM_DIR, else /dev/shm). `record`: the kind wanted (K4_RECORD_BBO ...), 0 = any kind
 * this header knows. Stands at the newest: only what comes after is read. K4_OK, or a status with a sentence in `error`. */
__attribute__((warn_unused_result)) static inline int k4_reader_open(struct k4_reader *reader, const char *dir, const char *name, uint32_t record,
                                                                     char *error, size_t size)
{
    struct k4_shm_header header;
    struct stat about;
    char path[1024], why[1024];
    memset(reader, 0, sizeof *reader);
    reader->lock_fd = -1;
    if (!k4_shm_name_ok(name) || record > K4_RECORD_COUNT)
        return k4_reader_fail(error, size, K4_BAD_NAME, "\"%.80s\" is not a segment's name (letters, digits, _ - . and at most %d of them)", name, K4_SHM_NAME_MAX);
    if (dir == NULL)
        dir = k4_shm_default_dir();
    if (snprintf(path, sizeof path, "%s/k4.%s", dir, name) >= 900)
        return k4_reader_fail(error, size, K4_BAD_NAME, "the directory's name is too long");
    int fd = k4_shm_open_file(path, O_RDONLY, &about, error, size);
    if (fd < 0)
        return -fd;
    /* Read, not mapped: a file that is too short must be an error, not a SIGBUS. */
    ssize_t got = pread(fd, &header, sizeof header, 0);
    int status;
    if (got < 16)
        status = k4_reader_fail(why, sizeof why, K4_BAD_SEGMENT, "it is not a K4 segment: %lld bytes", (long long)about.st_size);
    else if (got < (ssize_t)sizeof header && header.magic == K4_SHM_MAGIC)
        status = k4_reader_fail(why, sizeof why, K4_BAD_SEGMENT, "it is cut off: %lld bytes", (long long)about.st_size);
    else {
        if (got < (ssize_t)sizeof header)
            memset((char *)&header + got, 0, sizeof header - (size_t)got);
        status = k4_shm_check(&header, (uint64_t)about.st_size, record, why, sizeof why);
    }
    if (status != K4_OK) {
        (void)close(fd);
        return k4_reader_fail(error, size, status, "%s cannot be read: %s", path, why);
    }
    void *map = mmap(NULL, (size_t)header.size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    (void)close(fd);
    if (map == MAP_FAILED)
        return k4_reader_fail(error, size, K4_NO_MEMORY, "%s cannot be mapped (%llu bytes): %s", path, (unsigned long long)header.size, strerror(errno));
    const uint8_t *base = (const uint8_t *)map;
    reader->header = (const struct k4_shm_header *)map;
    reader->symbols = (const struct k4_symbol_entry *)(const void *)(base + header.symbols_at);
    reader->sources = (const struct k4_shm_source *)(const void *)(base + header.sources_at);
    reader->latest = base + header.latest_at;
    reader->ring = base + header.ring_at;
    reader->size = (size_t)header.size;
    reader->slots = header.ring_slots;
    reader->mask = header.ring_slots - 1;
    reader->stride = header.stride;
    reader->words = header.record_size / 8;
    reader->record = header.record;
    reader->symbol_capacity = header.symbol_capacity;
    reader->next = k4_reader_head(reader);
    size_t end = strlen(path);
    (void)snprintf(path + end, sizeof path - end, ".wait");
    reader->wait = k4_shm_map_wait(path);
    (void)snprintf(path + end, sizeof path - end, ".lock");
    int lock = k4_shm_open_file(path, O_RDONLY, &about, why, sizeof why);
    reader->lock_fd = lock >= 0 ? lock : -1;
    return K4_OK;
}

/* ---------------------------------------------------------------- reading */

/* A slot's words into `out`: 1 when they are record n, whole. `before` is the slot's sequence word as last seen. */
static inline int k4_reader_copy(const struct k4_reader *reader, const uint8_t *slot, uint64_t n, void *out, uint64_t *before)
{
    const uint64_t *words = (const uint64_t *)(const void *)slot;
    /* Acquire: pairs with the release store of 2n+2 in k4_segment_put; the words we load are those of record n or newer. */
    uint64_t sequence = __atomic_load_n(words, __ATOMIC_ACQUIRE);
    *before = sequence;
    if (sequence != 2 * n + 2)
        return 0;
    for (uint32_t i = 0; i < reader->words; i++) {
        uint64_t word = __atomic_load_n(words + 1 + i, __ATOMIC_RELAXED);
        memcpy((char *)out + 8 * (size_t)i, &word, 8);
    }
    /* Pairs with the release fence in k4_segment_put: had a word been a newer record's, this load would see its odd sequence. */
    k4_fence_acquire();
    *before = __atomic_load_n(words, __ATOMIC_RELAXED);
    return *before == 2 * n + 2;
}

/* The next record, copied into `out` (record_size bytes): K4_READ_RECORD with its sequence; K4_READ_NOTHING: not yet;
 * K4_READ_LOST: sequences *first to *last were overwritten, call again; < 0: nothing left, and -K4_WRITER_CLOSED, -K4_REPLACED, or
 * (said once each time k4_reader_wait finds it) -K4_WRITER_GONE. */
static inline int k4_reader_next(struct k4_reader *reader, void *out, uint64_t *sequence, uint64_t *first, uint64_t *last)
{
    uint64_t n = reader->next, found;
    /* Closed is looked at before the slot: what the writer published before it closed is then seen. Acquire: pairs with the
     * release in k4_segment_close. */
    uint32_t closed = __atomic_load_n(&reader->header->closed, __ATOMIC_ACQUIRE);
    if (k4_reader_copy(reader, reader->ring + (size_t)(n & reader->mask) * reader->stride, n, out, &found)) {
        uint32_t instrument;
        memcpy(&instrument, out, sizeof instrument);
        reader->next = n + 1;
        if (n >= reader->seen) { /* not so after seeking back */
            reader->seen = n + 1;
            reader->seen_instrument = instrument;
        }
        reader->gone = 0;
        *sequence = n;
        return K4_READ_RECORD;
    }
    if (found > 2 * n + 2 || n < reader->header->first) {
        /* The slot belongs to record m > n, so at least all up to m - slots are overwritten; head may say more. */
        uint64_t m = found != 0 ? (found - 1) / 2 : 0, oldest = k4_reader_oldest(reader);
        if (m + 1 > reader->slots && m + 1 - reader->slots > oldest)
            oldest = m + 1 - reader->slots;
        if (oldest <= n)
            oldest = n + 1;
        *first = n;
        *last = oldest - 1;
        reader->next = oldest;
        return K4_READ_LOST;
    }
    if (closed != K4_SHM_OPEN)
        return closed == K4_SHM_REPLACED ? -K4_REPLACED : -K4_WRITER_CLOSED;
    if (reader->gone) {
        reader->gone = 0;
        return -K4_WRITER_GONE;
    }
    return K4_READ_NOTHING;
}

/* The instrument's newest record: 1 and its sequence, or 0: none yet. Never older than what this reader has already been given. */
static inline int k4_reader_latest(struct k4_reader *reader, uint32_t instrument, void *out, uint64_t *sequence)
{
    if (instrument >= reader->symbol_capacity)
        return 0;
    const uint8_t *slot = reader->latest + (size_t)instrument * reader->stride;
    for (uint32_t turn = 0;; turn++) {
        uint64_t found = __atomic_load_n((const uint64_t *)(const void *)slot, __ATOMIC_ACQUIRE);
        int whole = found != 0 && (found & 1) == 0 && k4_reader_copy(reader, slot, found / 2 - 1, out, &found);
        /* A record is in the ring a moment before it is in its latest slot. If we had that one from the ring already, or the slot is
         * under the pen (for ever, should its writer have died there), the ring has it. */
        uint64_t least = reader->seen_instrument == instrument ? reader->seen : 0;
        if (whole && found / 2 >= least) {
            *sequence = found / 2 - 1;
            return 1;
        }
        if (found == 0 && least == 0)
            return 0;
        uint64_t n = UINT64_MAX, ignored; /* the record to take from the ring; none: the slot was overwritten while we copied it */
        if ((found & 1) != 0)
            n = found / 2 + 1 >= least ? found / 2 : least - 1;
        else if (found / 2 < least)
            n = least - 1;
        if (n != UINT64_MAX && k4_reader_copy(reader, reader->ring + (size_t)(n & reader->mask) * reader->stride, n, out, &ignored)) {
            *sequence = n;
            return 1;
        }
        /* Overwritten in the ring as well: the writer is alive and well ahead, so the latest slot moves on. Bounded all the same:
         * memory that anybody damaged must not hang a reader. */
        if (turn > 1000000)
            return 0;
    }
}

/* ---------------------------------------------------------------- symbols */

static inline uint32_t k4_reader_symbol_count(const struct k4_reader *reader)
{
    /* Acquire: pairs with the release in k4_segment_instrument; entries below it are complete. */
    uint32_t count = __atomic_load_n(&reader->header->symbol_count, __ATOMIC_ACQUIRE);
    return count < reader->symbol_capacity ? count : reader->symbol_capacity;
}

static inline int k4_reader_text_is(const char *text, size_t room, const char *wanted)
{
    size_t len = strlen(wanted);
    return len <= room && memcmp(text, wanted, len) == 0 && (len == room || text[len] == 0);
}

/* The instrument called that: its index, -1: none, -2: several. NULL or "" for exchange or product: any. */
static inline int k4_reader_find(const struct k4_reader *reader, const char *symbol, const char *exchange, const char *product)
{
    uint32_t count = k4_reader_symbol_count(reader);
    int found = -1;
    for (uint32_t i = 0; i < count; i++) {
        const struct k4_symbol_entry *entry = &reader->symbols[i];
        if (!k4_reader_text_is((const char *)entry->symbol, sizeof entry->symbol, symbol)
            || (exchange && *exchange && !k4_reader_text_is((const char *)entry->exchange, sizeof entry->exchange, exchange))
            || (product && *product && !k4_reader_text_is((const char *)entry->product, sizeof entry->product, product)))
            continue;
        if (found >= 0)
            return -2;
        found = (int)i;
    }
    return found;
}

/* ---------------------------------------------------------------- the writer, and waiting */

/* Start time of a process in clock ticks since boot, 0: no such process. */
static inline uint64_t k4_shm_process_start(int64_t pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[got > 0 ? got : 0] = 0;
    const char *at = strrchr(text, ')'); /* the name may hold anything, brackets too */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? (uint64_t)strtoull(at + 1, NULL, 10) : 0;
}

/* 1: somebody holds the writer's lock. */
static inline int k4_shm_locked(int lock_fd)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    return fcntl(lock_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* K4_WRITER_IS_ALIVE, _CLOSED or _GONE. One or two system calls. */
static inline int k4_reader_writer(const struct k4_reader *reader)
{
    if (__atomic_load_n(&reader->header->closed, __ATOMIC_ACQUIRE) != K4_SHM_OPEN)
        return K4_WRITER_IS_CLOSED;
    if (reader->lock_fd >= 0)
        return k4_shm_locked(reader->lock_fd) ? K4_WRITER_IS_ALIVE : K4_WRITER_IS_GONE;
    int64_t pid = __atomic_load_n(&reader->header->writer_pid, __ATOMIC_RELAXED);
    uint64_t start = __atomic_load_n(&reader->header->writer_start, __ATOMIC_RELAXED);
    return k4_shm_process_start(pid) == start ? K4_WRITER_IS_ALIVE : K4_WRITER_IS_GONE;
}

/* 1: the next k4_reader_next has something to say. */
static inline int k4_reader_ready(const struct k4_reader *reader)
{
    const uint8_t *slot = reader->ring + (size_t)(reader->next & reader->mask) * reader->stride;
    uint64_t found = __atomic_load_n((const uint64_t *)(const void *)slot, __ATOMIC_ACQUIRE);
    return found >= 2 * reader->next + 2 || reader->gone || __atomic_load_n(&reader->header->closed, __ATOMIC_ACQUIRE) != K4_SHM_OPEN;
}

/* Sleeps until the writer publishes, at most `timeout_ns` and never over 100 ms. 1: k4_reader_next has something to say, 0: not. */
static inline int k4_reader_wait(struct k4_reader *reader, int64_t timeout_ns)
{
    struct timespec pause;
    int64_t ns = timeout_ns < K4_READER_SLEEP_NS ? timeout_ns : K4_READER_SLEEP_NS;
    uint32_t wake = __atomic_load_n(&reader->header->wake, __ATOMIC_ACQUIRE);
    if (k4_reader_ready(reader))
        return 1;
    if (ns <= 0)
        return 0;
    if (reader->wait) {
        /* Counted, and never counted back: the writer takes the whole count when it wakes, so a sleeper that was killed costs one
         * system call and no more. */
        (void)__atomic_fetch_add(&reader->wait->sleepers, 1, __ATOMIC_RELAXED);
        /* Pairs with the full fence in k4_segment_wake: either the writer sees us counted, or we see its record or its wake word. */
        k4_fence_full();
        if (k4_reader_ready(reader))
            return 1;
        pause.tv_sec = 0;
        pause.tv_nsec = (long)ns;
        (void)syscall(SYS_futex, &reader->header->wake, FUTEX_WAIT, wake, &pause, NULL, 0);
    } else {
        pause.tv_sec = 0;
        pause.tv_nsec = (long)(ns < 1000000 ? ns : 1000000);
        (void)nanosleep(&pause, NULL);
    }
    if (k4_reader_ready(reader))
        return 1;
    /* Only where the writer has not moved all the time: is it still there? */
    if (__atomic_load_n(&reader->header->wake, __ATOMIC_RELAXED) == wake && k4_reader_writer(reader) == K4_WRITER_IS_GONE)
        reader->gone = 1;
    return reader->gone;
}

#endif
