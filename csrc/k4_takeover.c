#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_takeover.h"

#include "k4_reader.h"

#define fail k4_reader_fail

static uint64_t *slot_at(uint8_t *base, uint32_t stride, uint64_t i)
{
    return (uint64_t *)(void *)(base + (size_t)i * stride);
}

int k4_takeover_check(const struct k4_segment *segment, char *error, size_t size)
{
    const struct k4_shm_header *header = segment->header;
    uint64_t head = segment->head, slots = header->ring_slots;
    if (header->symbol_count > header->symbol_capacity || header->source_count > K4_SOURCES || head > UINT64_MAX / 4
        || header->first > head)
        return -fail(error, size, K4_BAD_SEGMENT, "it is damaged: %u symbols, %u sources, head %llu", header->symbol_count, header->source_count,
                     (unsigned long long)head);
    for (uint32_t i = 0; i < header->symbol_count; i++)
        if (segment->symbols[i].symbol_len == 0 || segment->symbols[i].symbol_len > sizeof segment->symbols[i].symbol)
            return -fail(error, size, K4_BAD_SEGMENT, "it is damaged: symbol %u has %u bytes", i, segment->symbols[i].symbol_len);
    for (uint64_t i = 0; i < slots; i++) {
        uint64_t found = *slot_at(segment->ring, segment->stride, i);
        uint64_t n = (head & ~(slots - 1)) + i; /* the record at or above head that belongs here, less one lap where it was written */
        if (n > head)
            n -= slots; /* wraps below 0 where nothing was written yet */
        int was_written = n <= head && n >= header->first;
        uint64_t before = n >= slots + header->first ? 2 * (n - slots) + 2 : 0;
        if (was_written ? !(found == 2 * n + 2 || (n == head && (found == 2 * n + 1 || found == before))) : found != 0)
            return -fail(error, size, K4_BAD_SEGMENT, "it is damaged: ring slot %llu holds sequence word %llu, head is %llu", (unsigned long long)i,
                         (unsigned long long)found, (unsigned long long)head);
    }
    return 0;
}

/* The newest complete record of `instrument` in the ring below head, into its latest slot; or the slot cleared. */
static void restore_latest(struct k4_segment *segment, uint32_t instrument)
{
    uint64_t *latest = slot_at(segment->latest, segment->stride, instrument);
    uint64_t slots = (uint64_t)segment->mask + 1;
    uint64_t oldest = segment->head > slots ? segment->head - slots : 0;
    if (oldest < segment->header->first)
        oldest = segment->header->first;
    for (uint64_t n = segment->head; n > oldest; n--) {
        const uint64_t *slot = slot_at(segment->ring, segment->stride, (n - 1) & segment->mask);
        uint32_t owner;
        memcpy(&owner, slot + 1, sizeof owner);
        if (slot[0] == 2 * (n - 1) + 2 && owner == instrument) {
            k4_segment_put((uint8_t *)latest, n - 1, slot[1], slot + 1, segment->words);
            return;
        }
    }
    __atomic_store_n(latest, 0, __ATOMIC_RELEASE);
}

void k4_takeover_repair(struct k4_segment *segment)
{
    uint64_t n = segment->head;
    const uint64_t *slot = slot_at(segment->ring, segment->stride, n & segment->mask);
    /* Complete: readers may have taken it, so it counts. Odd: nobody ever accepts it, the next publish writes it anew. */
    if (slot[0] == 2 * n + 2) {
        uint32_t instrument;
        memcpy(&instrument, slot + 1, sizeof instrument);
        if (instrument < segment->header->symbol_count)
            k4_segment_put(segment->latest + (size_t)instrument * segment->stride, n, slot[1], slot + 1, segment->words);
        segment->head = n + 1;
        __atomic_store_n(&segment->header->head, n + 1, __ATOMIC_RELEASE);
    }
    for (uint32_t i = 0; i < segment->header->symbol_capacity; i++) {
        uint64_t sequence = *slot_at(segment->latest, segment->stride, i);
        if ((sequence & 1) != 0 || sequence > 2 * segment->head)
            restore_latest(segment, i);
    }
}

void k4_takeover_carry(const struct k4_segment *from, struct k4_segment *to)
{
    const struct k4_shm_header *old = from->header;
    uint32_t symbols = old->symbol_count;
    uint64_t keep = old->ring_slots < to->header->ring_slots ? old->ring_slots : to->header->ring_slots;
    memcpy(to->symbols, from->symbols, (size_t)symbols * sizeof *to->symbols);
    memcpy(to->sources, from->sources, (size_t)old->source_count * sizeof *to->sources);
    memcpy(to->latest, from->latest, (size_t)symbols * to->stride);
    uint64_t first = from->head > keep ? from->head - keep : 0;
    if (first < old->first)
        first = old->first;
    if (first < from->head && *slot_at(from->ring, from->stride, first & from->mask) != 2 * first + 2)
        first++; /* the oldest was being overwritten when its writer died */
    for (uint64_t n = first; n < from->head; n++)
        memcpy(slot_at(to->ring, to->stride, n & to->mask), slot_at(from->ring, from->stride, n & from->mask), to->stride);
    to->header->first = first;
    to->header->symbol_count = symbols;
    to->header->source_count = old->source_count;
    to->header->epoch = old->epoch;
    to->header->head = from->head;
    to->head = from->head;
}

void k4_segment_seed(const struct k4_segment *segment, k4_segment_visit visit, void *context)
{
    uint64_t slots = (uint64_t)segment->mask + 1;
    uint64_t oldest = segment->head > slots ? segment->head - slots : 0;
    if (oldest < segment->header->first)
        oldest = segment->header->first;
    if (oldest < segment->head && *slot_at(segment->ring, segment->stride, oldest & segment->mask) != 2 * oldest + 2)
        oldest++; /* the slot of head was under the pen: its older record is lost */
    for (uint32_t i = 0; i < segment->header->symbol_count; i++) {
        const uint64_t *slot = slot_at(segment->latest, segment->stride, i);
        if (slot[0] != 0 && slot[0] / 2 - 1 < oldest)
            visit(context, i, slot[0] / 2 - 1, slot + 1);
    }
    for (uint64_t n = oldest; n < segment->head; n++) {
        const uint64_t *slot = slot_at(segment->ring, segment->stride, n & segment->mask);
        uint32_t instrument;
        memcpy(&instrument, slot + 1, sizeof instrument);
        if (instrument < segment->header->symbol_count)
            visit(context, instrument, n, slot + 1);
    }
}
