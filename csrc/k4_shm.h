/* The layout of a segment in shared memory: one record kind, one writer, any number of readers that never write to it.
 *
 *     header | symbols[symbol_capacity] | sources[K4_SOURCES] | latest[symbol_capacity] | ring[ring_slots]
 *
 * A slot (of `latest` and of `ring` alike) is a sequence word and a record. Record n of the segment goes to ring slot
 * n mod ring_slots and to its instrument's latest slot. A slot's sequence is 2n+1 while record n is being written, 2n+2 once it
 * stands there, 0 before the first. `stride` is the distance of slots; record i's bytes begin 8 bytes into its slot.
 *
 * Files: k4.<name> the segment; k4.<name>.wait the only page that readers may write; k4.<name>.lock holds the writer's lock.
 * magic, version and closed keep their places in every version. Valid C11 and C++17; atomics are the compilers' builtins, so that
 * the words are plain integers for both languages.
 */
#ifndef K4_SHM_H
#define K4_SHM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "k4_records.h" /* generated: records, struct k4_symbol_entry, k4_layout_hash[], K4_SEGMENT_VERSION */

#define K4_SHM_ASSERT(condition) K4_STATIC_ASSERT(condition, #condition)

#define K4_SHM_MAGIC UINT64_C(0x4b34534547000d0a) /* byte-swapped it is another number: foreign byte order shows */
#define K4_WAIT_MAGIC UINT64_C(0x4b34574149540d0a)
#define K4_SHM_NAME_MAX 63 /* bytes of a segment's name */
#define K4_SHM_LAYOUT_MAX 3584
#define K4_SOURCES 64
#define K4_HISTOGRAM_BUCKETS 256
#define K4_RING_SLOTS_MAX (UINT32_C(1) << 28)
#define K4_SYMBOLS_MAX (UINT32_C(1) << 20)

enum k4_status {
    K4_OK = 0,
    K4_NO_SEGMENT,     /* no such segment */
    K4_BAD_SEGMENT,    /* the file is no segment, cut off, or its header contradicts itself */
    K4_OTHER_LAYOUT,   /* a segment of another version, record or layout */
    K4_LOCKED,         /* another writer holds it */
    K4_REFUSED_FILE,   /* a link, a foreign owner, no permission */
    K4_NO_SPACE,       /* the file system is full */
    K4_NO_MEMORY,
    K4_SYSTEM,         /* a system call failed in a way that has no own status */
    K4_BAD_NAME,       /* not a segment's name */
    K4_BAD_ARGUMENT,
    K4_BAD_SYMBOL,     /* empty, too long, or with control characters */
    K4_SYMBOLS_FULL,
    K4_SOURCES_FULL,
    K4_WRITER_CLOSED,  /* the writer closed the segment; a later one may take it over */
    K4_WRITER_GONE,    /* nobody holds the lock and nobody closed the segment; a later writer repairs it */
    K4_REPLACED,       /* another segment of that name took its place: open it anew */
};

enum { K4_STATE_LIVE = 0, K4_STATE_STALE = 1, K4_STATE_RESYNC = 2, K4_STATE_REMOVED = 3 };
enum { K4_SHM_OPEN = 0, K4_SHM_CLOSED = 1, K4_SHM_REPLACED = 2 };

struct k4_shm_header {
    uint64_t magic;
    uint32_t version;
    uint32_t closed; /* K4_SHM_OPEN, K4_SHM_CLOSED, K4_SHM_REPLACED */
    uint64_t layout_hash;
    uint64_t size; /* of the whole file */
    uint32_t record;
    uint32_t record_size;
    uint32_t stride;
    uint32_t ring_slots; /* power of two */
    uint32_t symbol_capacity;
    uint32_t source_capacity;
    uint32_t symbol_size;
    uint32_t source_size;
    uint64_t symbols_at; /* offsets from the start of the file */
    uint64_t sources_at;
    uint64_t latest_at;
    uint64_t ring_at;
    int64_t created_ns;
    uint64_t pad0[3];

    int64_t writer_pid;
    uint64_t writer_start; /* the writer's start time in clock ticks since boot: pids are used again */
    uint64_t epoch;        /* 1 at first, one more with every writer that takes over */
    int64_t heartbeat_ns;  /* wall clock */
    int64_t heartbeat_mono_ns;
    uint32_t symbol_count; /* release: entries below it are complete */
    uint32_t source_count; /* release: entries below it are complete */
    uint64_t first;        /* no record below it was ever in this file: it took the place of a segment of other counts */
    uint64_t pad1;

    uint64_t head; /* sequence of the next record; all below it have been published */
    uint64_t pad2[7];

    uint32_t wake; /* futex; bumped whenever sleepers are woken */
    uint32_t pad3[15];

    char name[64];   /* the segment's */
    char word[16];   /* the record's: bbo, trade ... */
    uint64_t pad4[14];
    char layout[K4_SHM_LAYOUT_MAX]; /* name:type@offset of every field, blank between: what a mismatch is explained from */
};

struct k4_shm_source {
    char name[64];
    char transport[16]; /* what brings it: json, sbe */
    uint64_t wins;
    uint64_t duplicates;
    uint64_t gaps;
    uint64_t late;
    uint64_t pad0[2];
    uint64_t lead[K4_HISTOGRAM_BUCKETS]; /* by how much its wins came before the runner-up, ns */
    uint64_t lag[K4_HISTOGRAM_BUCKETS];  /* by how much its duplicates came after the winner, ns */
};

struct k4_shm_wait {
    uint64_t magic;
    uint32_t sleepers; /* readers that went to sleep since the writer last looked */
    uint32_t pad0[13];
};

K4_SHM_ASSERT(offsetof(struct k4_shm_header, magic) == 0);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, version) == 8);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, closed) == 12);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, layout_hash) == 16);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, size) == 24);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, record) == 32);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, record_size) == 36);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, stride) == 40);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, ring_slots) == 44);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, symbol_capacity) == 48);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, source_capacity) == 52);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, symbol_size) == 56);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, source_size) == 60);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, symbols_at) == 64);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, sources_at) == 72);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, latest_at) == 80);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, ring_at) == 88);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, created_ns) == 96);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, writer_pid) == 128);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, writer_start) == 136);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, epoch) == 144);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, heartbeat_ns) == 152);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, heartbeat_mono_ns) == 160);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, symbol_count) == 168);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, source_count) == 172);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, first) == 176);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, head) == 192);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, wake) == 256);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, name) == 320);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, word) == 384);
K4_SHM_ASSERT(offsetof(struct k4_shm_header, layout) == 512);
K4_SHM_ASSERT(sizeof(struct k4_shm_header) == 4096);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, transport) == 64);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, wins) == 80);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, duplicates) == 88);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, gaps) == 96);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, late) == 104);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, lead) == 128);
K4_SHM_ASSERT(offsetof(struct k4_shm_source, lag) == 128 + 8 * K4_HISTOGRAM_BUCKETS);
K4_SHM_ASSERT(sizeof(struct k4_shm_source) == 128 + 16 * K4_HISTOGRAM_BUCKETS);
K4_SHM_ASSERT(sizeof(struct k4_shm_wait) == 64);
K4_SHM_ASSERT(sizeof(struct k4_symbol_entry) % 64 == 0);

/* Fences. gcc's ThreadSanitizer knows none and refuses to compile them; it needs none either, as every shared word is an atomic. There the
 * order is kept by the hardware it is run on and by the calls it makes of atomics. */
static inline void k4_fence_acquire(void)
{
#ifdef __SANITIZE_THREAD__
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

static inline void k4_fence_release(void)
{
#ifdef __SANITIZE_THREAD__
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

static inline void k4_fence_full(void)
{
#ifdef __SANITIZE_THREAD__
    uint32_t word = 0;
    (void)__atomic_exchange_n(&word, 1u, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Where everything stands follows from three numbers. Writers place by it, readers refuse a header that says otherwise. */
static inline void k4_shm_place(struct k4_shm_header *header, uint32_t record_size, uint32_t ring_slots, uint32_t symbol_capacity)
{
    const uint64_t page = 4096;
    header->record_size = record_size;
    header->stride = (record_size + 8u + 63u) & ~63u; /* whole cache lines: slots never share one */
    header->ring_slots = ring_slots;
    header->symbol_capacity = symbol_capacity;
    header->source_capacity = K4_SOURCES;
    header->symbol_size = (uint32_t)sizeof(struct k4_symbol_entry);
    header->source_size = (uint32_t)sizeof(struct k4_shm_source);
    header->symbols_at = sizeof(struct k4_shm_header);
    header->sources_at = header->symbols_at + (uint64_t)symbol_capacity * header->symbol_size;
    header->latest_at = (header->sources_at + (uint64_t)K4_SOURCES * header->source_size + page - 1) & ~(page - 1);
    header->ring_at = (header->latest_at + (uint64_t)symbol_capacity * header->stride + page - 1) & ~(page - 1);
    header->size = (header->ring_at + (uint64_t)ring_slots * header->stride + page - 1) & ~(page - 1);
}

/* 1: a segment may be called that: letters, digits, '_', '-' and '.', not first '.', at most K4_SHM_NAME_MAX bytes, and not one
 * of the endings that name a segment's other files. */
static inline int k4_shm_name_ok(const char *name)
{
    static const char *const endings[] = {".lock", ".wait", ".new"};
    size_t len = strlen(name);
    if (len == 0 || len > K4_SHM_NAME_MAX || name[0] == '.')
        return 0;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
            return 0;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (len >= n && memcmp(name + len - n, endings[i], n) == 0)
            return 0;
    }
    return 1;
}

/* Log-linear histogram over nanoseconds in units of 64: eight buckets per power of two, so a bucket is at most 12.5 % wide. */
static inline uint32_t k4_histogram_bucket(uint64_t ns)
{
    uint64_t v = ns >> 6;
    if (v < 8)
        return (uint32_t)v;
    uint32_t top = 63u - (uint32_t)__builtin_clzll(v);
    uint32_t bucket = (top - 2u) * 8u + (uint32_t)((v >> (top - 3u)) & 7u);
    return bucket < K4_HISTOGRAM_BUCKETS ? bucket : K4_HISTOGRAM_BUCKETS - 1u;
}

/* The smallest nanoseconds that fall into `bucket`. */
static inline uint64_t k4_histogram_floor(uint32_t bucket)
{
    if (bucket < 8)
        return (uint64_t)bucket << 6;
    return (uint64_t)(8u + bucket % 8u) << (bucket / 8u - 1u) << 6;
}

/* Directory of the segments unless the caller names one. */
static inline const char *k4_shm_default_dir(void)
{
    const char *dir = getenv("K4_SHM_DIR");
    return dir && *dir ? dir : "/dev/shm";
}

#endif
