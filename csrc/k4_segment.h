/* The writer's side of a segment (layout: k4_shm.h; readers: k4_reader.h; products, symbols and sources are in k4_entries.c).
 *
 * One process owns a segment at a time, by the lock on k4.<name>.lock; one thread writes. Opening a segment that is there takes it
 * over: what a killed writer left half-done is repaired, the epoch goes up by one, and each known instrument's first record carries
 * RESTART. A segment of another layout is replaced by a new file, the old one marked for its readers.
 *
 * `struct k4_segment` may be read by its owner (`head`, `sources[i]`, `symbols[i]`, `epoch` in header); no pointer into the mapping
 * may be kept across k4_segment_instrument, which maps a larger segment when the symbol table is full.
 */
#ifndef K4_SEGMENT_H
#define K4_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_api.h"
#include "k4_shm.h"
#include "k4_symtab.h"

#define K4_PRODUCTS_MAX 64

/* A record seen as words: allowed to alias its members. */
typedef uint64_t __attribute__((__may_alias__)) k4_word;

struct k4_segment {
    /* what publishing touches */
    uint8_t *ring;
    uint8_t *latest;
    uint64_t head;
    uint32_t mask;
    uint32_t stride;
    uint32_t words;    /* of a record */
    uint32_t restarts; /* instruments that still owe their RESTART */
    uint8_t *restart;  /* per instrument */
    struct k4_shm_header *header;
    struct k4_symbol_entry *symbols;
    struct k4_shm_source *sources;
    struct k4_shm_wait *wait;
    struct k4_symtab symtab;
    /* what the rest needs */
    size_t size;
    bool made, made_wait, made_lock; /* these files are not older than this opening */
    bool taken_over; /* the ring holds records of an earlier writer: seed the dedup memory (k4_segment_seed) */
    bool lock_memory;
    int lock_fd;
    uint32_t mode;
    uint64_t claimed; /* sources that this writer has given out, as bits */
    uint32_t product_count;
    struct {
        char exchange[32];
        char name[32];
    } products[K4_PRODUCTS_MAX];
    char name[K4_SHM_NAME_MAX + 1];
    char dir[512];
};

/* Creates segment `name` for record number `record`, or takes it over. 0, or a k4_status with a sentence in `error`: what is wrong,
 * where, what to do; then nothing is held and nothing is left behind. `wall_ns` goes into created_ns and the heartbeat. */
__attribute__((warn_unused_result)) int k4_segment_open(struct k4_segment *segment, const char *name, int record,
                                                        const k4_segment_options *options, int64_t wall_ns, char *error, size_t error_size);
/* Marks the segment closed, wakes its readers, lets go of the lock. The files stay: a later writer takes them over. */
void k4_segment_close(struct k4_segment *segment);
/* As k4_segment_close, and takes away the files that opening it made: for a writer that never began. */
void k4_segment_discard(struct k4_segment *segment);

/* A number for (exchange, product), to be used with k4_segment_find and k4_segment_instrument: >= 0, or -(k4_status). */
int k4_segment_product(struct k4_segment *segment, const char *exchange, const char *product);
/* Adds a symbol (1 to 48 bytes without control characters; that they are UTF-8 is the caller's word), or finds it: its instrument >= 0, or
 * -(k4_status). When the table is full the segment is replaced by one of twice the capacity that carries everything on: all pointers into it
 * move. What the symbol's quantities count: unit ("base", "quote", "contract", or "") and size (decimal text, or ""); a new symbol has them
 * before readers see it, they replace what a known one had, unless both are "". */
int k4_segment_instrument(struct k4_segment *segment, uint32_t product, const uint8_t *symbol, uint32_t symbol_len, const char *qty_unit,
                          const char *contract_size);
/* A segment of twice the capacity in the place of this one, everything carried on; the old one's readers are told to open anew. 0, or
 * -(k4_status). What k4_segment_instrument does when the table is full. */
int k4_segment_enlarge(struct k4_segment *segment);
/* One of K4_STATE_*; `now_ns` is kept when the state changes. */
void k4_segment_state(struct k4_segment *segment, uint32_t instrument, uint32_t state, int64_t now_ns);
/* The source's index for records: the one that already has this name (its counters go on), or a new one; or -K4_SOURCES_FULL. When the
 * table is full, the place of a source that this writer has no use for is given away: one of an earlier writer, or one that was released. */
int k4_segment_source(struct k4_segment *segment, const char *name, const char *transport);
/* Nobody publishes as this source any more; its entry stays until its place is needed. */
void k4_segment_release_source(struct k4_segment *segment, int source);
void k4_segment_heartbeat(struct k4_segment *segment, int64_t wall_ns, int64_t mono_ns);

/* What was published before: first the latest records of instruments that the ring no longer holds, then the ring from its oldest
 * record to its newest. `record` is valid during the call. */
typedef void (*k4_segment_visit)(void *context, uint32_t instrument, uint64_t sequence, const void *record);
void k4_segment_seed(const struct k4_segment *segment, k4_segment_visit visit, void *context);

/* ---------------------------------------------------------------- per record */

/* Index of a symbol, or -1: not in the table. */
static inline int32_t k4_segment_find(const struct k4_segment *segment, uint32_t product, const uint8_t *symbol, uint32_t len)
{
    return k4_symtab_find(&segment->symtab, product, symbol, len);
}

/* The same in fewer steps; K4_SYMTAB_SLACK bytes are read at `symbol`, whatever its length. */
static inline int32_t k4_segment_find_slack(const struct k4_segment *segment, uint32_t product, const uint8_t *symbol, uint32_t len)
{
    return k4_symtab_find_slack(&segment->symtab, product, symbol, len);
}

/* A record of the instrument will be counted soon: fetches what that writes to. Changes nothing. */
static inline void k4_segment_expect_alive(const struct k4_segment *segment, uint32_t instrument)
{
    __builtin_prefetch(&segment->symbols[instrument].last_recv_ns, 1);
}

/* The same for one that will perhaps be published. */
static inline void k4_segment_expect(const struct k4_segment *segment, uint32_t instrument)
{
    const uint8_t *slot = segment->latest + (size_t)instrument * segment->stride;
    k4_segment_expect_alive(segment, instrument);
    __builtin_prefetch(slot, 1);
    __builtin_prefetch(slot + 64, 1);
}

/* The slow road of publishing: an instrument's first record after a takeover. */
uint64_t k4_segment_publish_restart(struct k4_segment *segment, uint32_t instrument, const void *record);

/* Record `n` into one slot; `word` is its first. Readers accept it only when the sequence word is 2n+2 before and after their copy. */
static inline void k4_segment_put(uint8_t *slot, uint64_t n, uint64_t word, const k4_word *words, uint32_t count)
{
    uint64_t *sequence = (uint64_t *)(void *)slot;
    /* Odd: being written. Pairs with the reader's second look at the word: a reader whose copy saw one of our words also sees at
     * least this value there (release fence here, its acquire fence between copy and second look). */
    __atomic_store_n(sequence, 2 * n + 1, __ATOMIC_RELAXED);
    k4_fence_release();
    __atomic_store_n(sequence + 1, word, __ATOMIC_RELAXED);
    uint64_t *to = sequence + 2;
    const uint64_t *end = sequence + 1 + count;
    for (words++; end - to >= 4; to += 4, words += 4) { /* same as the loop below; compilers do not unroll atomics */
        __atomic_store_n(to, words[0], __ATOMIC_RELAXED);
        __atomic_store_n(to + 1, words[1], __ATOMIC_RELAXED);
        __atomic_store_n(to + 2, words[2], __ATOMIC_RELAXED);
        __atomic_store_n(to + 3, words[3], __ATOMIC_RELAXED);
    }
    for (; to != end; to++, words++)
        __atomic_store_n(to, *words, __ATOMIC_RELAXED);
    /* Release: pairs with the reader's acquire of the word before its copy. */
    __atomic_store_n(sequence, 2 * n + 2, __ATOMIC_RELEASE);
}

/* Publishes a complete record (record_size bytes, 8-byte aligned, its `instrument` being `instrument`); returns its sequence. */
static inline __attribute__((always_inline)) uint64_t k4_segment_publish(struct k4_segment *segment, uint32_t instrument, const void *record)
{
    if (__builtin_expect(segment->restarts != 0, 0) && segment->restart[instrument])
        return k4_segment_publish_restart(segment, instrument, record);
    const k4_word *words = (const k4_word *)record;
    const struct k4_common *common = (const struct k4_common *)record;
    /* As words[0], but its parts were stored one by one a moment ago: loading them as one word would wait for those stores. */
    uint64_t word = common->instrument | (uint64_t)common->source << 32 | (uint64_t)common->flags << 48;
    uint64_t n = segment->head;
    k4_segment_put(segment->ring + (size_t)(n & segment->mask) * segment->stride, n, word, words, segment->words);
    k4_segment_put(segment->latest + (size_t)instrument * segment->stride, n, word, words, segment->words);
    segment->head = n + 1;
    /* Release: who acquires head sees every slot below it, ring and latest. Pairs with k4_reader_head and with repair. */
    __atomic_store_n(&segment->header->head, n + 1, __ATOMIC_RELEASE);
    return n;
}

/* Something arrived for the instrument, published or not. */
static inline void k4_segment_alive(struct k4_segment *segment, uint32_t instrument, int64_t recv_ns)
{
    __atomic_store_n(&segment->symbols[instrument].last_recv_ns, recv_ns, __ATOMIC_RELAXED);
}

/* The system call of k4_segment_wake. */
void k4_segment_wake_sleepers(struct k4_segment *segment);

/* Once per socket read, after the last publish. Costs a fence; a system call only when somebody sleeps. */
static inline void k4_segment_wake(struct k4_segment *segment)
{
    /* Pairs with the full fence in k4_reader_wait: of "sleeper counted" and "record published" at least one is seen by the other. */
    k4_fence_full();
    if (__atomic_load_n(&segment->wait->sleepers, __ATOMIC_RELAXED) != 0)
        k4_segment_wake_sleepers(segment);
}

/* Counters and histograms: one writer, read from outside at any time. */
static inline void k4_segment_count(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

static inline void k4_segment_sample(uint64_t *histogram, int64_t ns)
{
    k4_segment_count(&histogram[k4_histogram_bucket(ns > 0 ? (uint64_t)ns : 0)], 1);
}

#endif
