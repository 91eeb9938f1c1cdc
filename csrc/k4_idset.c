#include "k4_idset.h"

/* How many of the set's ids are smaller than `id`, knowing that id <= top. */
static uint32_t rank(const struct k4_idset *set, const int64_t *ring, uint32_t mask, int64_t id)
{
    const int64_t *r = ring;
    /* Ids differ by at least one, so between id and the top there are at most top - id others. */
    uint64_t apart = (uint64_t)set->top - (uint64_t)id;
    uint32_t low = 0, high = set->count - 1;
    if (apart < set->count) {
        low = set->count - 1 - (uint32_t)apart;
        if (r[(set->first + low) & mask] == id)
            return low;
    }
    /* Gallop from the end: duplicates of a slower connection are never far from it. */
    for (uint32_t step = 1; high > low; step *= 2) {
        uint32_t probe = high - low > step ? high - step : low;
        if (r[(set->first + probe) & mask] < id) {
            low = probe + 1;
            break;
        }
        high = probe;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r[(set->first + middle) & mask] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_smallest(struct k4_idset *set, const int64_t *ring, uint32_t mask)
{
    set->floor = ring[set->first & mask];
    set->first = (set->first + 1) & mask;
    set->count--;
}

enum k4_idset_result k4_idset_add(struct k4_idset *set, int64_t *ring, uint32_t mask, int64_t id)
{
    if (set->count == 0) {
        set->floor = id == INT64_MIN ? id : id - 1;
        set->first &= mask;
        set->count = 1;
        ring[set->first] = set->top = id;
        return K4_IDSET_TOP;
    }
    if (id > set->top) {
        if (set->count > mask)
            drop_smallest(set, ring, mask);
        ring[(set->first + set->count) & mask] = set->top = id;
        set->count++;
        return K4_IDSET_TOP;
    }
    if (id <= set->floor)
        return K4_IDSET_UNDER;
    uint32_t at = rank(set, ring, mask, id);
    if (ring[(set->first + at) & mask] == id)
        return K4_IDSET_DUPLICATE;
    if (set->count > mask) {
        if (at == 0) { /* between the floor and a full set: it is the smallest, so it goes at once */
            set->floor = id;
            return K4_IDSET_LATE;
        }
        drop_smallest(set, ring, mask);
        at--;
    }
    for (uint32_t i = set->count; i > at; i--)
        ring[(set->first + i) & mask] = ring[(set->first + i - 1) & mask];
    ring[(set->first + at) & mask] = id;
    set->count++;
    return K4_IDSET_LATE;
}

/* ---------------------------------------------------------------- hashed ids */

static uint32_t home(int64_t id, uint32_t table_mask)
{
    return (uint32_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & table_mask;
}

/* Takes the id at `place` out of the table, moving later members of its probe run up so that no run is broken. */
static void forget(const int64_t *ids, uint32_t *table, uint32_t table_mask, uint32_t place)
{
    uint32_t at = home(ids[place], table_mask);
    while (table[at] != place + 1)
        at = (at + 1) & table_mask;
    uint32_t hole = at;
    for (;;) {
        at = (at + 1) & table_mask;
        if (table[at] == 0)
            break;
        uint32_t wanted = home(ids[table[at] - 1], table_mask);
        /* May stay unless its home lies at or before the hole (cyclically). */
        if (((at - wanted) & table_mask) >= ((at - hole) & table_mask)) {
            table[hole] = table[at];
            hole = at;
        }
    }
    table[hole] = 0;
}

int k4_hashset_add(struct k4_hashset *set, void *memory, uint32_t mask, int64_t id)
{
    int64_t *ids = memory;
    uint32_t *table = (uint32_t *)(ids + (uint64_t)mask + 1); /* place + 1; 0: free */
    uint32_t table_mask = 2 * mask + 1;
    for (uint32_t at = home(id, table_mask); table[at] != 0; at = (at + 1) & table_mask)
        if (ids[table[at] - 1] == id)
            return 0;
    if (set->count > mask)
        forget(ids, table, table_mask, set->next);
    else
        set->count++;
    ids[set->next] = id;
    uint32_t at = home(id, table_mask);
    while (table[at] != 0)
        at = (at + 1) & table_mask;
    table[at] = set->next + 1;
    set->next = (set->next + 1) & mask;
    return 1;
}
