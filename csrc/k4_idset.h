/* Exact sets of recent ids, in memory the caller owns.
 *
 * k4_idset: integer ids over a floor. A ring of ascending ids; the usual id is greater than all (append) or stands near the
 * end (found by a guess: ids that step by one stand exactly `top - id` places before the end). A full set lets its smallest id
 * go and raises the floor to it: what is not over the floor is never judged new.
 *
 * k4_hashset: ids without order (hashes of id texts). The last N in order of arrival, found through a table of their places.
 */
#ifndef K4_IDSET_H
#define K4_IDSET_H

#include <stdint.h>

enum k4_idset_result {
    K4_IDSET_TOP,       /* new, over all others */
    K4_IDSET_LATE,      /* new, below the greatest */
    K4_IDSET_DUPLICATE, /* in the set */
    K4_IDSET_UNDER,     /* at or below the floor: cannot be judged */
};

struct k4_idset {
    int64_t floor;
    int64_t top;    /* the greatest */
    uint32_t first; /* place of the smallest */
    uint32_t count; /* 0: empty, floor means nothing */
};

/* `ring` has mask + 1 places, a power of two. An empty set takes any id, at `first`, and puts the floor just below it. */
enum k4_idset_result k4_idset_add(struct k4_idset *set, int64_t *ring, uint32_t mask, int64_t id);

/* Where the next greatest id will go, and near which a sibling's copies are looked up. */
static inline const int64_t *k4_idset_next(const struct k4_idset *set, const int64_t *ring, uint32_t mask)
{
    return &ring[(set->first + set->count) & mask];
}

struct k4_hashset {
    uint32_t next; /* place of the next id */
    uint32_t count;
};

/* Bytes of memory for mask + 1 ids: the ids, then a table of twice as many places. Zero it before use. */
#define K4_HASHSET_BYTES(mask) (((uint64_t)(mask) + 1) * (8 + 2 * 4))

/* 1: new and added (the oldest gave way if full), 0: in the set. */
int k4_hashset_add(struct k4_hashset *set, void *memory, uint32_t mask, int64_t id);

#endif
