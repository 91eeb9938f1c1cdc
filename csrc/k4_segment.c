#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_segment.h"

#include <limits.h>

#include "k4_reader.h"
#include "k4_shmfile.h"
#include "k4_takeover.h"

#define fail k4_reader_fail

/* ---------------------------------------------------------------- mapping */

static void point_into(struct k4_segment *segment, void *map)
{
    uint8_t *base = map;
    struct k4_shm_header *header = map;
    segment->header = header;
    segment->size = (size_t)header->size;
    segment->symbols = (struct k4_symbol_entry *)(void *)(base + header->symbols_at);
    segment->sources = (struct k4_shm_source *)(void *)(base + header->sources_at);
    segment->latest = base + header->latest_at;
    segment->ring = base + header->ring_at;
    segment->mask = header->ring_slots - 1;
    segment->stride = header->stride;
    segment->words = header->record_size / 8;
    segment->head = header->head;
}

static int lock_pages(const struct k4_segment *segment, const void *map, size_t bytes, char *error, size_t size)
{
    if (!segment->lock_memory || mlock(map, bytes) == 0)
        return 0;
    return -fail(error, size, K4_NO_MEMORY, "segment %s: %llu bytes cannot be locked in memory: %s; raise ulimit -l or leave it unlocked", segment->name,
                 (unsigned long long)bytes, strerror(errno));
}

/* A complete, empty segment in the file `fresh`. */
static int build(const struct k4_segment *segment, const struct k4_shmfile_paths *paths, uint32_t record, uint32_t slots, uint32_t symbols,
                 int64_t wall_ns, void **map, char *error, size_t size)
{
    struct k4_shm_header header;
    memset(&header, 0, sizeof header);
    k4_shm_place(&header, k4_record_size[record], slots, symbols);
    int status = k4_shmfile_create(paths->fresh, header.size, segment->mode, map, error, size);
    if (status != 0)
        return status;
    status = lock_pages(segment, *map, (size_t)header.size, error, size);
    if (status != 0) {
        (void)munmap(*map, (size_t)header.size);
        (void)unlink(paths->fresh);
        return status;
    }
    header.magic = K4_SHM_MAGIC;
    header.version = K4_SEGMENT_VERSION;
    header.layout_hash = k4_layout_hash[record];
    header.record = record;
    header.created_ns = wall_ns;
    header.heartbeat_ns = wall_ns;
    header.epoch = 1;
    header.writer_pid = getpid();
    header.writer_start = k4_shm_process_start(getpid());
    (void)snprintf(header.name, sizeof header.name, "%s", segment->name);
    (void)snprintf(header.word, sizeof header.word, "%s", k4_record_name[record]);
    (void)snprintf(header.layout, sizeof header.layout, "%s", k4_record_layout[record]);
    memcpy(*map, &header, sizeof header);
    return 0;
}

/* Tells the readers of a mapped segment that it ends here. */
static void end(struct k4_shm_header *header, uint32_t how)
{
    /* Release: pairs with the acquire of closed in k4_reader_next; all records are published before it. */
    __atomic_store_n(&header->closed, how, __ATOMIC_RELEASE);
    (void)__atomic_fetch_add(&header->wake, 1, __ATOMIC_SEQ_CST);
    (void)syscall(SYS_futex, &header->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int put_in_place(const struct k4_shmfile_paths *paths, char *error, size_t size)
{
    if (rename(paths->fresh, paths->segment) == 0)
        return 0;
    int why = errno;
    (void)unlink(paths->fresh);
    return -fail(error, size, K4_SYSTEM, "%s cannot be put in place: %s", paths->segment, strerror(why));
}

/* ---------------------------------------------------------------- taking over */

static int find_products(struct k4_segment *segment)
{
    if (k4_symtab_init(&segment->symtab, segment->header->symbol_capacity) != 0)
        return -K4_NO_MEMORY;
    for (uint32_t i = 0; i < segment->header->symbol_count; i++) {
        const struct k4_symbol_entry *entry = &segment->symbols[i];
        char exchange[sizeof entry->exchange + 1] = "", product[sizeof entry->product + 1] = "";
        memcpy(exchange, entry->exchange, sizeof entry->exchange);
        memcpy(product, entry->product, sizeof entry->product);
        int number = k4_segment_product(segment, exchange, product);
        if (number < 0)
            return number;
        if (k4_symtab_add(&segment->symtab, (uint32_t)number, (const uint8_t *)entry->symbol, entry->symbol_len, (int32_t)i) != 0)
            return -K4_NO_MEMORY;
    }
    return 0;
}

static int owe_restarts(struct k4_segment *segment)
{
    segment->restart = calloc(segment->header->symbol_capacity, 1);
    if (segment->restart == NULL)
        return -K4_NO_MEMORY;
    if (segment->taken_over) {
        segment->restarts = segment->header->symbol_count;
        memset(segment->restart, 1, segment->restarts);
    }
    return 0;
}

/* The segment that stands there, as `old`: 0 and old->header NULL when there is none that can be carried on. */
static int map_existing(struct k4_segment *segment, const struct k4_shmfile_paths *paths, struct k4_segment *old, int *fd_out, char *error,
                        size_t size)
{
    struct k4_shm_header header;
    struct stat about;
    char why[1024];
    old->header = NULL;
    *fd_out = -1;
    int fd = k4_shm_open_file(paths->segment, O_RDWR, &about, error, size);
    if (fd < 0)
        return fd == -K4_NO_SEGMENT ? 0 : fd;
    memset(&header, 0, sizeof header);
    ssize_t got = pread(fd, &header, sizeof header, 0); /* read, not mapped: the file may be cut off */
    int status = got < 0 ? fail(why, sizeof why, K4_BAD_SEGMENT, "it cannot be read: %s", strerror(errno))
                         : k4_shm_check(&header, (uint64_t)about.st_size, 0, why, sizeof why);
    if (status == K4_OTHER_LAYOUT) {
        *fd_out = fd;
        return 0;
    }
    void *map = MAP_FAILED;
    if (status == K4_OK) {
        map = mmap(NULL, (size_t)header.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (map == MAP_FAILED)
            status = fail(why, sizeof why, K4_NO_MEMORY, "it cannot be mapped: %s", strerror(errno));
    }
    if (status == K4_OK) {
        point_into(old, map);
        status = -k4_takeover_check(old, why, sizeof why);
    }
    if (status != K4_OK) {
        if (map != MAP_FAILED)
            (void)munmap(map, (size_t)header.size);
        (void)close(fd);
        old->header = NULL;
        return -fail(error, size, status, "%s cannot be taken over: %s; if nobody needs it: k4 shm rm %s", paths->segment, why, segment->name);
    }
    (void)fchmod(fd, (mode_t)segment->mode);
    (void)close(fd);
    return 0;
}

/* A segment of another version or layout: its readers learn that it is over. The place of `closed` is the same in every version. */
static void end_foreign(int fd)
{
    struct k4_shm_header header;
    uint32_t closed = K4_SHM_REPLACED;
    if (pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header && header.magic == K4_SHM_MAGIC) {
        if (header.version == K4_SEGMENT_VERSION) {
            void *map = mmap(NULL, sizeof header, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (map != MAP_FAILED) {
                end(map, K4_SHM_REPLACED);
                (void)munmap(map, sizeof header);
            }
        } else if (pwrite(fd, &closed, sizeof closed, (off_t)offsetof(struct k4_shm_header, closed)) < 0) {
            /* its readers notice by the lock that its writer is gone */
        }
    }
    (void)close(fd);
}

/* Holding the lock: takes over what is there, or makes it new. */
static int settle(struct k4_segment *segment, const struct k4_shmfile_paths *paths, uint32_t record, uint32_t slots, uint32_t symbols,
                  int64_t wall_ns, char *error, size_t size)
{
    struct k4_segment old = {.header = NULL};
    int foreign = -1;
    void *map = NULL;
    int status = map_existing(segment, paths, &old, &foreign, error, size);
    if (status != 0)
        return status;
    if (old.header != NULL && old.header->record == record) {
        k4_takeover_repair(&old);
        segment->taken_over = true;
        if (old.header->ring_slots == slots && old.header->symbol_capacity >= symbols) {
            status = lock_pages(segment, old.header, old.size, error, size);
            if (status != 0) {
                (void)munmap(old.header, old.size);
                return status;
            }
            point_into(segment, old.header);
            segment->header->epoch++;
            return 0;
        }
        if (symbols < old.header->symbol_capacity)
            symbols = old.header->symbol_capacity;
    }
    status = build(segment, paths, record, slots, symbols, wall_ns, &map, error, size);
    if (status == 0) {
        segment->made = old.header == NULL && foreign < 0;
        point_into(segment, map);
        if (segment->taken_over) {
            k4_takeover_carry(&old, segment);
            segment->header->epoch++;
        }
        status = put_in_place(paths, error, size);
        if (status != 0) {
            (void)munmap(map, segment->size);
            segment->header = NULL;
        }
    }
    if (old.header != NULL) {
        if (status == 0)
            end(old.header, K4_SHM_REPLACED);
        (void)munmap(old.header, old.size);
    }
    if (foreign >= 0) {
        if (status == 0)
            end_foreign(foreign);
        else
            (void)close(foreign);
    }
    return status;
}

static int check_options(const k4_segment_options *options, const char *name, int record, uint32_t *slots, uint32_t *symbols, uint32_t *mode,
                         char *error, size_t size)
{
    *slots = options->ring_slots ? options->ring_slots : 65536;
    *symbols = options->symbol_capacity ? options->symbol_capacity : 4096;
    *mode = options->mode ? options->mode : 0600;
    if (record < 1 || record > K4_RECORD_COUNT)
        return -fail(error, size, K4_BAD_ARGUMENT, "segment %s: there is no record number %d (1 to %d)", name, record, K4_RECORD_COUNT);
    if (*slots < 2 || *slots > K4_RING_SLOTS_MAX || (*slots & (*slots - 1)) != 0)
        return -fail(error, size, K4_BAD_ARGUMENT, "segment %s: ring_slots is %u, it must be a power of two from 2 to %u", name, *slots, K4_RING_SLOTS_MAX);
    if (*symbols > K4_SYMBOLS_MAX)
        return -fail(error, size, K4_BAD_ARGUMENT, "segment %s: symbol_capacity is %u, at most %u fit", name, *symbols, K4_SYMBOLS_MAX);
    if ((*mode & ~0644u) != 0 || (*mode & 0600) != 0600)
        return -fail(error, size, K4_BAD_ARGUMENT, "segment %s: mode is %03o, it may be 600, 640, 604 or 644: only the writer writes", name, *mode);
    return 0;
}

int k4_segment_open(struct k4_segment *segment, const char *name, int record, const k4_segment_options *options, int64_t wall_ns,
                    char *error, size_t error_size)
{
    struct k4_shmfile_paths paths;
    uint32_t slots, symbols;
    bool new_lock = false, new_wait = false;
    memset(segment, 0, sizeof *segment);
    segment->lock_fd = -1;
    int status = k4_shmfile_paths(&paths, k4_shm_dir(), name, error, error_size);
    if (status == 0)
        status = check_options(options, name, record, &slots, &symbols, &segment->mode, error, error_size);
    if (status != 0)
        return -status;
    segment->lock_memory = options->lock_memory != 0;
    (void)snprintf(segment->name, sizeof segment->name, "%s", name);
    (void)snprintf(segment->dir, sizeof segment->dir, "%s", k4_shm_dir());
    segment->lock_fd = k4_shmfile_lock(paths.lock, name, segment->mode, &new_lock, error, error_size);
    if (segment->lock_fd < 0)
        return -segment->lock_fd;
    status = k4_shmfile_wait(&paths, segment->mode, &segment->wait, &new_wait, error, error_size);
    if (status == 0)
        status = settle(segment, &paths, (uint32_t)record, slots, symbols, wall_ns, error, error_size);
    if (status == 0) {
        status = find_products(segment);
        if (status == 0)
            status = owe_restarts(segment);
        if (status != 0)
            (void)fail(error, error_size, 0, "segment %s: %s", name, k4_status_text(-status));
    }
    if (status != 0) {
        if (segment->header != NULL)
            (void)munmap(segment->header, segment->size);
        if (segment->wait != NULL)
            (void)munmap(segment->wait, 4096);
        k4_symtab_fini(&segment->symtab);
        free(segment->restart);
        if (new_wait)
            (void)unlink(paths.wait);
        if (new_lock)
            (void)unlink(paths.lock);
        (void)close(segment->lock_fd);
        memset(segment, 0, sizeof *segment);
        segment->lock_fd = -1;
        return -status;
    }
    segment->made_wait = new_wait;
    segment->made_lock = new_lock;
    segment->header->writer_start = k4_shm_process_start(getpid());
    __atomic_store_n(&segment->header->writer_pid, (int64_t)getpid(), __ATOMIC_RELAXED);
    if (wall_ns != 0)
        __atomic_store_n(&segment->header->heartbeat_ns, wall_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&segment->header->closed, (uint32_t)K4_SHM_OPEN, __ATOMIC_RELEASE);
    if (segment->taken_over)
        k4_segment_wake(segment); /* a killed writer may have published and not come to waking */
    return K4_OK;
}

void k4_segment_close(struct k4_segment *segment)
{
    if (segment->header == NULL)
        return;
    end(segment->header, K4_SHM_CLOSED);
    (void)munmap(segment->header, segment->size);
    (void)munmap(segment->wait, 4096);
    k4_symtab_fini(&segment->symtab);
    free(segment->restart);
    (void)close(segment->lock_fd);
    memset(segment, 0, sizeof *segment);
    segment->lock_fd = -1;
}

void k4_segment_discard(struct k4_segment *segment)
{
    struct k4_shmfile_paths paths;
    char ignored[8];
    if (segment->header == NULL)
        return;
    if (segment->made && k4_shmfile_paths(&paths, segment->dir, segment->name, ignored, sizeof ignored) == 0) {
        (void)unlink(paths.segment);
        if (segment->made_wait)
            (void)unlink(paths.wait);
        if (segment->made_lock)
            (void)unlink(paths.lock); /* still held: who waits for it finds that it is gone and makes a new one */
    }
    k4_segment_close(segment);
}

/* ---------------------------------------------------------------- more room */

int k4_segment_enlarge(struct k4_segment *segment)
{
    struct k4_shmfile_paths paths;
    struct k4_segment old = *segment;
    char ignored[8];
    void *map = NULL;
    uint32_t capacity = segment->header->symbol_capacity;
    if (capacity > K4_SYMBOLS_MAX / 2)
        return -K4_SYMBOLS_FULL;
    uint8_t *restart = realloc(segment->restart, (size_t)capacity * 2);
    if (restart == NULL)
        return -K4_NO_MEMORY;
    segment->restart = restart;
    memset(restart + capacity, 0, capacity);
    int status = k4_shmfile_paths(&paths, segment->dir, segment->name, ignored, sizeof ignored);
    if (status == 0)
        status = build(segment, &paths, segment->header->record, segment->header->ring_slots, capacity * 2, segment->header->created_ns, &map, ignored,
                       sizeof ignored);
    if (status != 0)
        return status;
    point_into(segment, map);
    k4_takeover_carry(&old, segment);
    segment->header->heartbeat_ns = old.header->heartbeat_ns;
    segment->header->heartbeat_mono_ns = old.header->heartbeat_mono_ns;
    status = put_in_place(&paths, ignored, sizeof ignored);
    if (status != 0) {
        (void)munmap(map, segment->size);
        point_into(segment, old.header);
        return status;
    }
    end(old.header, K4_SHM_REPLACED);
    (void)munmap(old.header, old.size);
    return 0;
}

/* ---------------------------------------------------------------- records */

void k4_segment_heartbeat(struct k4_segment *segment, int64_t wall_ns, int64_t mono_ns)
{
    __atomic_store_n(&segment->header->heartbeat_mono_ns, mono_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&segment->header->heartbeat_ns, wall_ns, __ATOMIC_RELAXED);
}

uint64_t k4_segment_publish_restart(struct k4_segment *segment, uint32_t instrument, const void *record)
{
    union k4_record flagged;
    memcpy(&flagged, record, (size_t)segment->words * 8);
    flagged.common.flags |= K4_FLAG_RESTART;
    segment->restart[instrument] = 0;
    segment->restarts--;
    return k4_segment_publish(segment, instrument, &flagged);
}

void k4_segment_wake_sleepers(struct k4_segment *segment)
{
    /* The whole count is taken: sleepers that were killed or timed out are forgotten with it. Who was counted and has not gone to sleep
     * yet is in no count from now on: the new wake word keeps it from sleeping, as it took the old one before it was counted. */
    (void)__atomic_exchange_n(&segment->wait->sleepers, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&segment->header->wake, segment->header->wake + 1, __ATOMIC_RELAXED);
    (void)syscall(SYS_futex, &segment->header->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
