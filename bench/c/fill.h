/* What peers need beside a JSON reader to fill K4's structs: digits to numbers by a plain loop, one exponent for the numbers of a record. */
#ifndef K4_BENCH_FILL_H
#define K4_BENCH_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_books.h"
#include "k4_decode.h"

/* Mantissa of 10^-fraction; K4_ABSENT: none. */
struct digits {
    int64_t mantissa;
    uint32_t fraction;
};

static const struct digits no_digits = {K4_ABSENT, 0};

static const int64_t powers_of_ten[19] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000};

/* The digits at p, with at most one point, up to the first byte that is neither. */
static inline struct digits digits_at(const char *p)
{
    const bool negative = *p == '-';
    uint64_t mantissa = 0;
    uint32_t fraction = 0;
    p += negative;
    for (; (unsigned)(*p - '0') < 10; p++)
        mantissa = mantissa * 10 + (unsigned)(*p - '0');
    if (*p == '.') {
        const char *first = ++p;
        for (; (unsigned)(*p - '0') < 10; p++)
            mantissa = mantissa * 10 + (unsigned)(*p - '0');
        fraction = (uint32_t)(p - first);
    }
    return (struct digits){negative ? -(int64_t)mantissa : (int64_t)mantissa, fraction};
}

static inline int64_t integer_at(const char *p)
{
    const bool negative = *p == '-';
    uint64_t value = 0;
    for (p += negative; (unsigned)(*p - '0') < 10; p++)
        value = value * 10 + (unsigned)(*p - '0');
    return negative ? -(int64_t)value : (int64_t)value;
}

/* Seconds, or milli-, micro-, nanoseconds, as the number's size says. */
static inline int64_t ns_of_auto(int64_t time)
{
    if (time >= 1000000000000000000)
        return time;
    if (time >= 1000000000000000)
        return time * 1000;
    return time >= 1000000000000 ? time * 1000000 : time * 1000000000;
}

/* Brings two numbers to one exponent, which is the result. */
static inline int8_t exponent_of_two(struct digits *a, struct digits *b)
{
    if (a->fraction < b->fraction && a->mantissa != K4_ABSENT) {
        a->mantissa *= powers_of_ten[b->fraction - a->fraction];
        a->fraction = b->fraction;
    } else if (b->fraction < a->fraction && b->mantissa != K4_ABSENT) {
        b->mantissa *= powers_of_ten[a->fraction - b->fraction];
    }
    return (int8_t)-(int)(a->fraction > b->fraction ? a->fraction : b->fraction);
}

enum { SIDE_LEVELS = 20 };

/* How many fraction digits the numbers of both sides have. */
struct fractions {
    uint32_t least;
    uint32_t most;
    uint8_t of[2][SIDE_LEVELS];
};

static inline int64_t noted(struct fractions *all, unsigned side, uint32_t i, struct digits value)
{
    all->least = value.fraction < all->least ? value.fraction : all->least;
    all->most = value.fraction > all->most ? value.fraction : all->most;
    all->of[side][i] = (uint8_t)value.fraction;
    return value.mantissa;
}

/* Brings the numbers of both sides to one exponent, which is the result. */
static inline int8_t exponent_of_sides(const struct fractions *all, int64_t *bids, uint32_t bid_count, int64_t *asks, uint32_t ask_count)
{
    if (all->least < all->most) {
        for (uint32_t i = 0; i < bid_count; i++)
            bids[i] *= powers_of_ten[all->most - all->of[K4_BID][i]];
        for (uint32_t i = 0; i < ask_count; i++)
            asks[i] *= powers_of_ten[all->most - all->of[K4_ASK][i]];
    }
    return (int8_t)-(int)all->most;
}

/* The rest of a side, absent. */
static inline void fill_up(int64_t *price, int64_t *qty, int32_t *count, uint32_t from, uint32_t levels)
{
    for (uint32_t i = from; i < levels; i++) {
        price[i] = K4_ABSENT;
        qty[i] = K4_ABSENT;
        count[i] = K4_ABSENT_COUNT;
    }
}

/* An update is complete: it is told whose it is, and there is no book for it. */
static inline void update_filled(struct k4_scratch *scratch, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    (void)scratch->books->admits(scratch->books->context, record, symbol, symbol_len);
    scratch->skip = K4_SKIP_STALE_BOOK;
}

/* Upper case of ASCII letters. */
static inline void fold_up(uint8_t *to, const char *from, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        to[i] = (uint8_t)(from[i] >= 'a' && from[i] <= 'z' ? from[i] - 32 : from[i]);
}

#endif
