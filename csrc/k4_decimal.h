/* Exact decimals on their way from text to a record.
 *
 * A text of digits becomes mantissa, fraction and zeros: its value is mantissa * 10^zeros * 10^-fraction. `fraction` is the
 * number of fraction digits as written, after the exponent was applied, never negative (1.50e1 has one, 1e2 none).
 * Up to 18 digits the mantissa holds all of them and `zeros` is 0. Longer digits give up trailing zeros, which `zeros` counts; what
 * does not fit int64 even so is K4_DECIMAL_HUGE: its mantissa says nothing, fraction and zeros stay right.
 *
 * k4_decimal_align() brings all values of one kind in one record to a common exponent. Its naive twin, by which tests judge it:
 *
 *   F = most fraction digits of the present values
 *   while some value * 10^F does not fit +-INT64_MAX, or F > 128:
 *       if F == 0, or digit F of some value's fraction is not 0: give up
 *       F = F - 1
 */
#ifndef K4_DECIMAL_H
#define K4_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_digits.h"

enum { K4_DECIMAL_PRESENT = 0, K4_DECIMAL_ABSENT = 1, K4_DECIMAL_HUGE = 2 };

struct k4_decimal {
    int64_t mantissa; /* within +-INT64_MAX */
    int32_t fraction;
    int32_t zeros;
    uint32_t state; /* K4_DECIMAL_* */
    uint32_t offset; /* where the value stands in the frame; the aligner does not read it */
};

#define K4_DECIMAL_NONE INT64_MIN /* the mantissa of an absent value in a record */

/* The same for every input, long digits and overflow included; in k4_number.c. */
int k4_decimal_align_slow(struct k4_decimal *values, int count, int8_t *exponent);

/* Brings all present values to the common exponent of docs/decoding.md rule 11 and stores it (0 when all are absent). Afterwards
 * every `mantissa` is what the record holds, K4_DECIMAL_NONE for an absent value. Returns -1, or the index of the first value
 * that does not fit; the values are void then. */
static inline int k4_decimal_align(struct k4_decimal *values, int count, int8_t *exponent)
{
    int32_t most = 0;
    int32_t least = INT32_MAX;
    uint32_t odd = 0;
    for (int i = 0; i < count; i++) {
        int32_t fraction = values[i].fraction;
        most = fraction > most ? fraction : most;
        least = fraction < least ? fraction : least;
        odd |= values[i].state | (uint32_t)values[i].zeros;
    }
    if (odd != 0 || most > 128)
        return k4_decimal_align_slow(values, count, exponent);
    if (count > 0 && most != least) {
        for (int i = 0; i < count; i++) {
            int32_t shift = most - values[i].fraction;
            if (shift == 0)
                continue;
            int64_t scaled;
            if (shift > 18 || __builtin_mul_overflow(values[i].mantissa, k4_power10[shift], &scaled) || scaled == INT64_MIN)
                return k4_decimal_align_slow(values, count, exponent); /* what is scaled already still has its value */
            values[i].mantissa = scaled;
            values[i].fraction = most;
        }
    }
    *exponent = (int8_t)-most;
    return -1;
}

#endif
