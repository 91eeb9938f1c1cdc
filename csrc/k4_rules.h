/* The rules of arbitration, one function each: what k4_arbitrate chooses from; and the usual arrival's short road for the feed. */
#ifndef K4_RULES_H
#define K4_RULES_H

#include "k4_arbiter.h"
#include "k4_records.h"

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

static inline struct k4_arbiter_seen *k4_arbiter_seen_at(const struct k4_arbiter *arbiter, int conn, uint32_t instrument)
{
    return (struct k4_arbiter_seen *)arbiter->seen[conn].memory + instrument;
}

static inline struct k4_arbiter_recent *k4_arbiter_recent_at(struct k4_arbiter_instrument *in, int64_t id)
{
    return &in->recent[(uint64_t)id % K4_ARBITER_RECENT];
}

/* What stands in the first place is about to be overwritten: it becomes the mark. */
static __attribute__((noinline, cold, unused)) void k4_arbiter_keep(struct k4_arbiter_instrument *in)
{
    if (in->recent[0].known)
        in->mark = in->recent[0];
}

/* So that siblings can tell how far they are behind. */
static inline void k4_arbiter_remember(const struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, int conn, int64_t id, int64_t now_ns)
{
    struct k4_arbiter_recent *r = k4_arbiter_recent_at(in, id);
    if (__builtin_expect((id % K4_ARBITER_RECENT == 0) & (now_ns - in->mark.at_ns >= K4_ARBITER_MARK_NS), 0))
        k4_arbiter_keep(in);
    *r = (struct k4_arbiter_recent){.id = id, .at_ns = now_ns, .source = arbiter->source[conn], .known = 1};
}

/* How long after the winner, if that is still known. */
static inline void k4_arbiter_lag(struct k4_arbiter_instrument *in, int64_t id, int64_t now_ns, struct k4_verdict *v)
{
    struct k4_arbiter_recent *r = k4_arbiter_recent_at(in, id);
    if (__builtin_expect(!r->known || r->id != id, 0)) {
        r = &in->mark;
        if (!r->known || r->id != id)
            return;
    }
    v->lag_ns = now_ns - r->at_ns;
    v->winner = r->source;
    v->runner_up = !r->answered;
    r->answered = 1;
}

/* Fetches what a decision will look at. Changes nothing. */
static inline void k4_arbiter_expect(const struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    __builtin_prefetch(in, 1);
    __builtin_prefetch(k4_arbiter_recent_at(in, id), 1);
    __builtin_prefetch(k4_arbiter_seen_at(arbiter, conn, instrument), 1);
}

/* The same for the ids of events, once what k4_arbiter_expect asked for is there. */
static inline void k4_arbiter_expect_id(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    const struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    __builtin_prefetch(k4_idset_next(&in->set, k4_arbiter_ids_at(arbiter, instrument), arbiter->mask), 1);
}

/* What the usual publication leaves behind. */
static inline void k4_arbiter_newest(const struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, struct k4_arbiter_seen *seen, int conn,
                                     int64_t id, int64_t engine_ns, int64_t now_ns)
{
    in->id = seen->id = id;
    in->top_ns = now_ns;
    seen->behind_ns = INT64_MIN;
    k4_arbiter_note_engine(in, engine_ns);
    k4_arbiter_remember(arbiter, in, conn, id, now_ns);
}

static inline __attribute__((always_inline)) bool
k4_rule_usual_state(const struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, struct k4_arbiter_seen *seen, int conn, int64_t id,
                    int64_t engine_ns, int64_t now_ns, struct k4_verdict *v)
{
    if (id > in->id) {
        k4_arbiter_newest(arbiter, in, seen, conn, id, engine_ns, now_ns);
        v->publish = true;
        return true;
    }
    if (id == in->id) {
        in->top_ns = now_ns;
        seen->behind_ns = INT64_MIN;
        k4_arbiter_note_engine(in, engine_ns);
        v->cause = K4_CAUSE_DUPLICATE;
    } else {
        /* Silence of the others would make it more than late: not the usual. */
        if (now_ns - in->top_ns >= K4_ARBITER_SETTLE_NS || (engine_ns != K4_ABSENT && engine_ns > in->engine_ns))
            return false;
        if (seen->behind_ns == INT64_MIN)
            seen->behind_ns = now_ns;
        v->cause = K4_CAUSE_BEHIND;
    }
    seen->id = id;
    k4_arbiter_lag(in, id, now_ns, v);
    return true;
}

/* An event over all others, or a copy that stands where ids that step by one put it. */
static __attribute__((noinline, unused)) bool
k4_rule_usual_event(const struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, struct k4_arbiter_seen *seen, int conn,
                    uint32_t instrument, int64_t id, int64_t engine_ns, int64_t now_ns, struct k4_verdict *v)
{
    struct k4_idset *set = &in->set;
    int64_t *ids = k4_arbiter_ids_at(arbiter, instrument);
    if (set->count == 0)
        return false;
    if (id > set->top) {
        (void)k4_idset_add(set, ids, arbiter->mask, id);
        if (in->rule == K4_RULE_CONTIGUOUS)
            v->gap = (uint64_t)id - (uint64_t)in->id - 1;
        v->flags = v->gap != 0 ? K4_FLAG_GAP : 0;
        v->publish = true;
        k4_arbiter_newest(arbiter, in, seen, conn, id, engine_ns, now_ns);
        return true;
    }
    const uint64_t apart = (uint64_t)set->top - (uint64_t)id;
    if (apart >= set->count || ids[(set->first + set->count - 1 - (uint32_t)apart) & arbiter->mask] != id
        || (engine_ns != K4_ABSENT && engine_ns > in->engine_ns))
        return false;
    seen->id = id;
    seen->behind_ns = INT64_MIN;
    in->top_ns = now_ns;
    v->cause = K4_CAUSE_DUPLICATE;
    k4_arbiter_lag(in, id, now_ns, v);
    return true;
}

/* Nearly every arrival: ids rise on a connection that is known to stand in the present epoch. True: *v is what k4_rule_state or
 * k4_rule_event would have answered, and everything is as it would have left it; else nothing has changed. */
static inline __attribute__((always_inline)) bool
k4_rule_usual(const struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id, int64_t engine_ns, unsigned flags, int64_t now_ns,
              struct k4_verdict *v)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(arbiter, instrument);
    struct k4_arbiter_seen *seen = k4_arbiter_seen_at(arbiter, conn, instrument);
    if (!in->started || seen->life != arbiter->life[conn] || seen->epoch != in->epoch || id <= seen->id
        || (flags & (K4_FLAG_RESET | K4_FLAG_BACKFILL | K4_FLAG_HASHED_ID)) != 0 || seen->target != INT64_MIN)
        return false;
    *v = (struct k4_verdict){.lag_ns = -1};
    if (in->rule == K4_RULE_INCREASING)
        return k4_rule_usual_state(arbiter, in, seen, conn, id, engine_ns, now_ns, v);
    if (in->rule == K4_RULE_CONTIGUOUS || in->rule == K4_RULE_WINDOW)
        return k4_rule_usual_event(arbiter, in, seen, conn, instrument, id, engine_ns, now_ns, v);
    return false;
}

#endif
