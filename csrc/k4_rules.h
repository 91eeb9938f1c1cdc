/* The rules of arbitration, one function each: what k4_arbitrate chooses from. For k4_arbiter.c only. */
#ifndef K4_RULES_H
#define K4_RULES_H

#include "k4_arbiter.h"

/* One record on its way. */
struct k4_arrival {
    int conn;
    uint32_t instrument;
    int64_t id;
    int64_t engine_ns;
    int64_t now_ns;
    struct k4_arbiter_seen *seen; /* what this connection brought for the instrument before */
    uint16_t flags;
};

struct k4_verdict k4_rule_state(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a);
struct k4_verdict k4_rule_event(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a);
struct k4_verdict k4_rule_hashed(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a);
struct k4_verdict k4_rule_leader(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a);

static inline size_t k4_arbiter_ids_bytes(const struct k4_arbiter *arbiter, uint32_t capacity)
{
    return (size_t)capacity * (arbiter->mask + 1) * sizeof(int64_t);
}

static inline size_t k4_arbiter_hashes_bytes(const struct k4_arbiter *arbiter, uint32_t capacity)
{
    return (size_t)capacity * K4_HASHSET_BYTES(arbiter->mask);
}

static inline struct k4_arbiter_instrument *k4_arbiter_instrument_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (struct k4_arbiter_instrument *)arbiter->instruments.memory + instrument;
}

static inline int64_t *k4_arbiter_ids_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (int64_t *)arbiter->ids.memory + (size_t)instrument * (arbiter->mask + 1);
}

static inline void *k4_arbiter_hashes_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (uint8_t *)arbiter->hashes.memory + k4_arbiter_hashes_bytes(arbiter, instrument);
}

static inline void k4_arbiter_note_engine(struct k4_arbiter_instrument *in, int64_t engine_ns)
{
    if (engine_ns > in->engine_ns) /* absent is smaller than every time */
        in->engine_ns = engine_ns;
}

#endif
