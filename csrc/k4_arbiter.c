#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mremap */
#endif
#include "k4_arbiter.h"

#include <string.h>
#include <sys/mman.h>

#include "k4_records.h"
#include "k4_rules.h"

/* ---------------------------------------------------------------- memory */

/* Makes or widens an area. Pages cost nothing until they are written to. On failure the area is as before. */
static int widen(struct k4_area *area, size_t size)
{
    if (size <= area->size)
        return 0;
    void *p = area->memory == NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                   : mremap(area->memory, area->size, size, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return -1;
    area->memory = p;
    area->size = size;
    return 0;
}

static void unmap(struct k4_area *area)
{
    if (area->memory != NULL)
        munmap(area->memory, area->size);
    area->memory = NULL;
    area->size = 0;
}

/* Sets of ids for all instruments, when the first rule or id asks for them. */
static int want_sets(struct k4_arbiter *arbiter)
{
    if (widen(&arbiter->ids, k4_arbiter_ids_bytes(arbiter, arbiter->capacity)) != 0)
        return -1;
    return widen(&arbiter->hashes, k4_arbiter_hashes_bytes(arbiter, arbiter->capacity));
}

int k4_arbiter_init(struct k4_arbiter *arbiter, uint32_t capacity, uint32_t window, bool events)
{
    memset(arbiter, 0, sizeof *arbiter);
    uint32_t ids = 16;
    while (ids < window && ids < UINT32_C(1) << 24)
        ids *= 2;
    arbiter->mask = ids - 1;
    if (k4_arbiter_reserve(arbiter, capacity == 0 ? 1 : capacity) == 0 && (!events || want_sets(arbiter) == 0))
        return 0;
    k4_arbiter_fini(arbiter);
    return -1;
}

void k4_arbiter_fini(struct k4_arbiter *arbiter)
{
    unmap(&arbiter->instruments);
    unmap(&arbiter->ids);
    unmap(&arbiter->hashes);
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++)
        unmap(&arbiter->seen[i]);
}

int k4_arbiter_reserve(struct k4_arbiter *arbiter, uint32_t capacity)
{
    if (capacity <= arbiter->capacity)
        return 0;
    if (widen(&arbiter->instruments, capacity * sizeof(struct k4_arbiter_instrument)) != 0)
        return -1;
    if (arbiter->ids.memory != NULL && widen(&arbiter->ids, k4_arbiter_ids_bytes(arbiter, capacity)) != 0)
        return -1;
    if (arbiter->hashes.memory != NULL && widen(&arbiter->hashes, k4_arbiter_hashes_bytes(arbiter, capacity)) != 0)
        return -1;
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++)
        if (arbiter->seen[i].memory != NULL && widen(&arbiter->seen[i], capacity * sizeof(struct k4_arbiter_seen)) != 0)
            return -1;
    arbiter->capacity = capacity;
    return 0;
}

int k4_arbiter_rule(struct k4_arbiter *arbiter, uint32_t instrument, enum k4_rule rule)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    if (rule == K4_RULE_WINDOW || rule == K4_RULE_CONTIGUOUS) {
        if (want_sets(arbiter) != 0)
            return -1;
        /* The sets lie a power of two apart: began they alike, all of their next places would fight for the same lines of a cache. */
        if (in->set.count == 0)
            in->set.first = 8 * 5 * instrument;
        /* Seeded before anybody knew that the set would be wanted. */
        if (in->started && in->set.count == 0 && in->id != K4_ABSENT)
            (void)k4_idset_add(&in->set, k4_arbiter_ids_at(arbiter, instrument), arbiter->mask, in->id);
    }
    in->rule = (uint8_t)rule;
    return 0;
}

/* ---------------------------------------------------------------- connections */

int k4_arbiter_join(struct k4_arbiter *arbiter, uint16_t source)
{
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++) {
        if (arbiter->used[i])
            continue;
        if (widen(&arbiter->seen[i], arbiter->capacity * sizeof(struct k4_arbiter_seen)) != 0)
            return -1;
        arbiter->used[i] = true;
        arbiter->source[i] = source;
        k4_arbiter_renew(arbiter, i);
        return i;
    }
    return -2;
}

void k4_arbiter_renew(struct k4_arbiter *arbiter, int conn)
{
    arbiter->life[conn]++;
}

void k4_arbiter_leave(struct k4_arbiter *arbiter, int conn)
{
    k4_arbiter_renew(arbiter, conn);
    arbiter->used[conn] = false;
}

/* ---------------------------------------------------------------- decisions */

void k4_arbiter_seed(struct k4_arbiter *arbiter, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    if (id == K4_ABSENT)
        return;
    if (flags & K4_FLAG_HASHED_ID) {
        if (arbiter->hashes.memory != NULL)
            (void)k4_hashset_add(&in->hashes, k4_arbiter_hashes_at(arbiter, instrument), arbiter->mask, id);
        return;
    }
    bool late = (flags & K4_FLAG_LATE) != 0;
    if (!in->started || (flags & K4_FLAG_RESET) || (in->late_seed && !late)) {
        in->set.count = 0;
        in->first_id = id;
        in->first_engine_ns = in->engine_ns = engine_ns;
        in->old_id = K4_ABSENT;
        in->late_seed = late;
    }
    if (arbiter->ids.memory != NULL)
        (void)k4_idset_add(&in->set, k4_arbiter_ids_at(arbiter, instrument), arbiter->mask, id);
    if (!in->started || !late)
        in->id = id;
    in->started = 1;
    in->top_ns = INT64_MIN / 2; /* long ago, and far enough from the ends of int64 to subtract from */
    k4_arbiter_note_engine(in, engine_ns);
}

struct k4_verdict k4_arbitrate(struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags,
                               int64_t now_ns)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    struct k4_verdict usual;
    if (k4_rule_usual(arbiter, conn, instrument, id, engine_ns, flags, now_ns, &usual))
        return usual;
    struct k4_arrival arrival = {.conn = conn, .instrument = instrument, .id = id, .engine_ns = engine_ns, .flags = flags, .now_ns = now_ns};
    arrival.seen = k4_arbiter_seen_at(arbiter, conn, instrument);
    if (in->rule == K4_RULE_UNSET)
        return (struct k4_verdict){.cause = K4_CAUSE_UNSET, .lag_ns = -1};
    if (in->rule == K4_RULE_ALL)
        return (struct k4_verdict){.publish = true, .flags = flags & K4_FLAG_RESET, .lag_ns = -1};
    if (in->rule == K4_RULE_LEADER || id == K4_ABSENT)
        return k4_rule_leader(arbiter, in, &arrival);
    if ((flags & K4_FLAG_HASHED_ID) && arbiter->hashes.memory != NULL)
        return k4_rule_hashed(arbiter, in, &arrival);
    if (in->rule == K4_RULE_INCREASING || in->rule == K4_RULE_STEPPING)
        return k4_rule_state(arbiter, in, &arrival);
    return k4_rule_event(arbiter, in, &arrival);
}
