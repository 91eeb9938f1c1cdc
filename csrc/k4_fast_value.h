/* Numbers of fast parsers, and what they mean: digits, decimals, levels, times, counts.
 *
 * Readers return the first byte behind their value, or NULL where they are not certain; see k4_fast.h.
 */
#ifndef K4_FAST_VALUE_H
#define K4_FAST_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_digits.h"
#include "k4_fast_stops.h"

/* Most levels a record keeps of a side. */
#define K4_FAST_LEVELS 20

/* Most digits of a decimal read here: any so long fits an int64. */
#define K4_FAST_DIGITS 18

/* A decimal as written: mantissa * 10^-fraction. */
struct k4_fast_decimal {
    int64_t mantissa;
    uint32_t fraction;
};

/* Digits as written, with no leading zero: at most 19, fitting an int64. */
struct k4_fast_digits {
    int64_t value;
    uint32_t count;
};

/* ---------------------------------------------------------------- digits */

/* An integer without sign, up to 19 digits. There are `stops`, which begin at p; of numbers (`numbers`), or of words. False: none that
 * is read here. */
K4_FAST_INLINE bool k4_fast_digits_at(const uint8_t *p, uint64_t stops, bool numbers, struct k4_fast_digits *out)
{
    uint64_t value;
    const uint32_t count = (uint32_t)__builtin_ctzll(stops);
    if (__builtin_expect(count - 1 > 15, 0)) { /* it may be none, too */
        uint64_t many; /* apart: what a function writes to is kept in memory */
        if (count - 1 > 18 || !k4_digits_many(p, count, &many))
            return false;
        value = many;
    } else if (numbers) {
        value = k4_digits_known16(p, count);
    } else if (!k4_digits_upto16(p, count, &value)) {
        return false;
    }
    out->value = (int64_t)value;
    out->count = count;
    return value >= k4_digits_least[count]; /* else it begins with 0: told by the value, since the first byte cannot be foretold */
}

K4_FAST_INLINE uint64_t k4_fast_plain(const uint8_t *p, uint32_t count)
{
    return __builtin_expect(count <= 16, 1) ? k4_digits_known16(p, count) : k4_digits_plain(p, count);
}

/* What k4_fast_decimal leaves: a sign, more than 8 digits on a side, an integer of 17 or 18. Returns its length, 0: none that is read here. */
K4_FAST_APART uint32_t k4_fast_odd_decimal(const uint8_t *p, uint64_t stops, struct k4_fast_decimal *out)
{
    const uint32_t sign = *p == '-';
    stops >>= sign;
    p += sign;
    if (stops == 0 || (stops & 1u) != 0)
        return 0;
    const uint64_t more = stops & (stops - 1);
    const uint32_t whole = (uint32_t)__builtin_ctzll(stops);
    uint32_t fraction = 0;
    uint32_t len = whole;
    if (p[whole] == '.') {
        if (more == 0)
            return 0;
        len = (uint32_t)__builtin_ctzll(more);
        fraction = len - whole - 1;
        if (fraction == 0)
            return 0;
    }
    if (whole + fraction > K4_FAST_DIGITS || (*p == '0' && whole != 1))
        return 0;
    int64_t mantissa = (int64_t)k4_fast_plain(p, whole);
    if (fraction != 0)
        mantissa = mantissa * k4_power10[fraction] + (int64_t)k4_fast_plain(p + whole + 1, fraction);
    out->mantissa = sign ? -mantissa : mantissa;
    out->fraction = fraction;
    return sign + len;
}

/* An integer without sign. `numbers`: what stops there are, and which to make where there are none. */
K4_FAST_INLINE const uint8_t *
k4_fast_digits(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    if (__builtin_expect(*stops == 0, 0)) {
        if (p > end || (*stops = k4_fast_look(p, numbers)) == 0)
            return NULL;
    }
    if (!k4_fast_digits_at(p, *stops, numbers, out))
        return NULL;
    *stops >>= out->count;
    return p + out->count;
}

/* The same, maybe with a minus. */
K4_FAST_INLINE const uint8_t *
k4_fast_signed(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    const uint32_t sign = *p == '-';
    *stops >>= sign;
    p = k4_fast_digits(p + sign, end, stops, numbers, out);
    if (p != NULL && sign)
        out->value = -out->value;
    return p;
}

K4_FAST_INLINE const uint8_t *k4_fast_odd(const uint8_t *p, uint64_t *stops, struct k4_fast_decimal *out)
{
    struct k4_fast_decimal odd; /* apart, so that `out` may be in registers */
    const uint32_t len = k4_fast_odd_decimal(p, *stops, &odd);
    *out = odd;
    *stops >>= len;
    return len == 0 ? NULL : p + len;
}

/* A decimal without exponent, at most 18 digits. */
K4_FAST_INLINE const uint8_t *k4_fast_decimal(const uint8_t *p, const uint8_t *end, uint64_t *stops, struct k4_fast_decimal *out)
{
    if (__builtin_expect((*stops & (*stops - 1)) == 0, 0)) { /* the point is in sight, but not the end */
        if (p > end)
            return NULL;
        *stops = k4_fast_look(p, true);
        if ((*stops & (*stops - 1)) == 0)
            return NULL;
    }
    const uint64_t whole = (uint64_t)__builtin_ctzll(*stops);
    const uint64_t behind = (uint64_t)__builtin_ctzll(*stops & (*stops - 1));
    const uint64_t fraction = behind - whole - 1;
    if (p[whole] != '.') { /* an integer, as likely in many places */
        if (__builtin_expect(whole - 1 > 15, 0))
            return k4_fast_odd(p, stops, out);
        const uint64_t value = k4_digits_known16(p, (uint32_t)whole);
        *out = (struct k4_fast_decimal){.mantissa = (int64_t)value, .fraction = 0};
        *stops >>= whole;
        return value < k4_digits_least[whole] ? NULL : p + whole;
    }
    if (__builtin_expect(((whole - 1) | (fraction - 1)) > 7, 0))
        return k4_fast_odd(p, stops, out);
    const struct k4_digits_pair pair = k4_digits_two(p, whole, p + whole + 1, fraction);
    if (pair.first < k4_digits_least[whole])
        return NULL;
    *out = (struct k4_fast_decimal){
        .mantissa = (int64_t)pair.first * k4_power10[fraction] + (int64_t)pair.second, .fraction = (uint32_t)fraction};
    *stops >>= behind;
    return p + behind;
}

/* The same three, with a quote on both sides or none. */
#define K4_FAST_QUOTED(p, stops, read)                                                                        \
    const uint32_t quote = *(p) == '"';                                                                        \
    *(stops) >>= quote;                                                                                        \
    (p) += quote;                                                                                              \
    (p) = (read);                                                                                              \
    *(stops) >>= quote;                                                                                        \
    return (p) != NULL && (quote == 0 || *(p) == '"') ? (p) + quote : NULL

K4_FAST_INLINE const uint8_t *
k4_fast_quoted_digits(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    K4_FAST_QUOTED(p, stops, k4_fast_digits(p, end, stops, numbers, out));
}

K4_FAST_INLINE const uint8_t *
k4_fast_quoted_signed(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    K4_FAST_QUOTED(p, stops, k4_fast_signed(p, end, stops, numbers, out));
}

K4_FAST_INLINE const uint8_t *
k4_fast_quoted_decimal(const uint8_t *p, const uint8_t *end, uint64_t *stops, struct k4_fast_decimal *out)
{
    K4_FAST_QUOTED(p, stops, k4_fast_decimal(p, end, stops, out));
}

/* Writes more fraction digits: `to` of them, not fewer than there are. False: it does not fit. */
K4_FAST_INLINE bool k4_fast_raise(struct k4_fast_decimal *value, uint32_t to)
{
    const uint32_t by = to - value->fraction;
    if (__builtin_expect(by == 0, 1))
        return true;
    value->fraction = to;
    return !__builtin_mul_overflow(value->mantissa, k4_power10[by], &value->mantissa); /* INT64_MIN ends in no 0 */
}

K4_FAST_INLINE uint32_t k4_fast_most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- levels */

/* The prices or quantities of one side; those past the levels that a record has go to the last place, again and again. */
struct k4_fast_levels {
    uint32_t any; /* bit i: a value has i fraction digits */
    uint32_t fraction[K4_FAST_LEVELS + 1];
    int64_t mantissa[K4_FAST_LEVELS + 1];
};

K4_FAST_INLINE void k4_fast_no_levels(struct k4_fast_levels *levels)
{
    levels->any = 0;
}

K4_FAST_INLINE void k4_fast_level(struct k4_fast_levels *levels, uint32_t n, struct k4_fast_decimal value)
{
    levels->any |= 1u << value.fraction;
    levels->fraction[n] = value.fraction;
    levels->mantissa[n] = value.mantissa;
}

K4_FAST_INLINE uint32_t k4_fast_kept(uint32_t count, uint32_t most)
{
    return count < most ? count : most;
}

/* The most of the fraction digits that `any` tells. */
K4_FAST_INLINE uint32_t k4_fast_highest(uint32_t any)
{
    return 31 - (uint32_t)__builtin_clz(any | 1u);
}

/* Which numbers of fraction digits the values that are kept have. */
K4_FAST_RARE uint32_t k4_fast_any(const struct k4_fast_levels *levels, uint32_t count)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < count; i++)
        any |= 1u << levels->fraction[i];
    return any;
}

K4_FAST_APART bool k4_fast_raise_levels(struct k4_fast_levels *levels, uint32_t count, uint32_t to)
{
    bool over = false;
    for (uint32_t i = 0; i < count; i++)
        over |= __builtin_mul_overflow(levels->mantissa[i], k4_power10[to - levels->fraction[i]], &levels->mantissa[i]);
    return !over;
}

/* Gives both sides as many fraction digits as the value with most of them has. `most`: levels that a record keeps; what was read
 * behind them has no say. False: it does not fit. */
K4_FAST_INLINE bool k4_fast_align(
    struct k4_fast_levels *bids, uint32_t bid_count, struct k4_fast_levels *asks, uint32_t ask_count, uint32_t most, uint32_t *fraction)
{
    uint32_t any = bids->any | asks->any;
    *fraction = k4_fast_highest(any);
    if ((any & (any - 1)) == 0)
        return true; /* all have as many */
    const uint32_t bids_kept = k4_fast_kept(bid_count, most);
    const uint32_t asks_kept = k4_fast_kept(ask_count, most);
    if (__builtin_expect((bids_kept != bid_count) | (asks_kept != ask_count), 0)) {
        any = k4_fast_any(bids, bids_kept) | k4_fast_any(asks, asks_kept);
        *fraction = k4_fast_highest(any);
    }
    return k4_fast_raise_levels(bids, bids_kept, *fraction) && k4_fast_raise_levels(asks, asks_kept, *fraction);
}

/* ---------------------------------------------------------------- what digits mean */

/* A number on its way to a record, in a register of its own: two read back at once would each be part of another write, and a processor waits
 * until those are done. */
K4_FAST_INLINE int64_t k4_fast_alone(int64_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

/* `per_unit` nanoseconds each. False: outside int64. */
K4_FAST_INLINE bool k4_fast_time(const struct k4_fast_digits *digits, int64_t per_unit, int64_t *out)
{
    return !__builtin_mul_overflow(digits->value, per_unit, out);
}

/* The unit goes by the number of digits. False: it tells none. */
K4_FAST_INLINE bool k4_fast_auto_time(const struct k4_fast_digits *digits, int64_t *out)
{
    switch (digits->count) {
    case 13:
        return k4_fast_time(digits, 1000000, out);
    case 16:
        return k4_fast_time(digits, 1000, out);
    case 10:
        return k4_fast_time(digits, 1000000000, out);
    case 19:
        return k4_fast_time(digits, 1, out);
    default:
        return false;
    }
}

K4_FAST_INLINE bool k4_fast_count(const struct k4_fast_digits *digits, int32_t *out)
{
    *out = (int32_t)digits->value;
    return digits->value <= INT32_MAX;
}

/* How many ids there are from first to last. False: none, or more than a count holds. */
K4_FAST_INLINE bool k4_fast_spanned(int64_t first, int64_t last, int32_t *out)
{
    const int64_t apart = last - first; /* both are not negative */
    *out = (int32_t)(apart + 1);
    return apart >= 0 && apart < INT32_MAX;
}

#endif
