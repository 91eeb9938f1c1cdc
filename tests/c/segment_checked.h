/* Records that prove themselves: every member of the trade with sequence n follows from n, its instrument and its writer. */
#ifndef SEGMENT_CHECKED_H
#define SEGMENT_CHECKED_H

#include "k4_records.h"

static inline uint64_t checked_mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (x ^ (x >> 32)) & INT64_MAX;
}

static inline void checked_fill(struct k4_trade *t, uint64_t n, uint32_t instrument, uint64_t writer)
{
    uint64_t seed = checked_mix(n * 1000003 + instrument) + writer;
    *t = (struct k4_trade){.instrument = instrument, .trade_id = (int64_t)n};
    t->source = (uint16_t)(n % 64);
    t->event_ns = (int64_t)writer;
    t->engine_ns = (int64_t)checked_mix(seed + 1);
    t->recv_ns = (int64_t)checked_mix(seed + 2);
    t->price = (int64_t)checked_mix(seed + 3);
    t->qty = (int64_t)checked_mix(seed + 4);
    t->buyer_is_maker = n & 1;
    t->kind = K4_TRADEKIND_OTHER;
}

/* 1: the record is the one of sequence n, whole. RESTART may be set, which the segment itself does. */
static inline int checked_ok(const struct k4_trade *t, uint64_t n)
{
    struct k4_trade want;
    checked_fill(&want, n, t->instrument, (uint64_t)t->event_ns);
    want.flags = t->flags & K4_FLAG_RESTART;
    return __builtin_memcmp(&want, t, sizeof want) == 0;
}

#endif
