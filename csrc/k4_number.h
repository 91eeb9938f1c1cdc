/* What a text means as a value of a record: decimals, integers, counts, ids, times. Rules 11 to 14 of docs/decoding.md.
 *
 * Every reader takes a text with its type and gives 0 and the value, or an enum k4_refusal; where the refusal stands is the
 * text's own offset. Short plain digits are read at once, all else character by character: any length, escaped or not.
 */
#ifndef K4_NUMBER_H
#define K4_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_decimal.h"
#include "k4_decode.h"
#include "k4_text.h"

enum k4_unit { K4_UNIT_S, K4_UNIT_MS, K4_UNIT_US, K4_UNIT_NS, K4_UNIT_AUTO, K4_UNIT_ISO };

/* `shift` moves the decimal point, as e-4 does with -4. */
uint32_t k4_read_decimal_slow(const struct k4_text *text, int shift, struct k4_decimal *out);
uint32_t k4_read_integer(const struct k4_text *text, int64_t *out);
uint32_t k4_read_count(const struct k4_text *text, int32_t *out);
/* *hashed is set to 1 when the id is the hash of a text, else left as it is. */
uint32_t k4_read_id(const struct k4_text *text, int64_t *out, unsigned *hashed);
uint32_t k4_read_time(const struct k4_text *text, enum k4_unit unit, int64_t *out);
/* Into item->symbol, or item->folded where the bytes are not in the frame as such. */
uint32_t k4_read_symbol(const struct k4_text *text, struct k4_item *item);

/* Eight digits at once, or -1. Same as reading them one by one. */
static inline int64_t k4_eight_digits(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t low = word - 0x3030303030303030u;
    if (((word + 0x4646464646464646u) | low) & 0x8080808080808080u)
        return -1;
    low = low * 10 + (low >> 8); /* pairs in every other byte */
    return (int64_t)(((low & 0x000000ff000000ffu) * 0x000f424000000064u + ((low >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u) >> 32);
}

/* Digits with at most one point, 18 at most, no exponent, in [p, end); stops at the first other byte, which it gives back. *count: how
 * many digits; 0 where they are no number. */
static inline const uint8_t *k4_plain_digits(const uint8_t *p, const uint8_t *end, int64_t *mantissa, int32_t *fraction, unsigned *count)
{
    const uint8_t *start = p;
    const uint8_t *limit = end - p < 18 ? end : p + 18;
    int64_t value = 0;
    while (p < limit && (uint8_t)(*p - '0') <= 9)
        value = value * 10 + (*p++ - '0');
    *count = (unsigned)(p - start);
    *fraction = 0;
    if (p < end && *p == '.' && *count > 0) {
        const uint8_t *point = p++;
        limit = end - start < 19 ? end : start + 19;
        int64_t eight = limit - p >= 8 ? k4_eight_digits(p) : -1;
        if (eight >= 0) {
            value = value * 100000000 + eight;
            p += 8;
        }
        while (p < limit && (uint8_t)(*p - '0') <= 9)
            value = value * 10 + (*p++ - '0');
        *fraction = (int32_t)(p - point - 1);
        *count = *fraction == 0 ? 0 : *count + (unsigned)*fraction;
    }
    *mantissa = value;
    return p;
}

static inline uint32_t k4_read_decimal(const struct k4_text *text, struct k4_decimal *out)
{
    if (__builtin_expect(!text->escaped && (text->type == K4_STRING || text->type == K4_NUMBER), 1)) {
        const uint8_t *p = text->at;
        const uint8_t *end = p + text->len;
        bool negative = *p == '-';
        unsigned count;
        p += negative;
        bool padded = end - p > 1 && p[0] == '0' && p[1] != '.';
        const uint8_t *stop = k4_plain_digits(p, end, &out->mantissa, &out->fraction, &count);
        if (__builtin_expect(stop == end && count > 0 && count <= 18 && !padded, 1)) {
            if (negative)
                out->mantissa = -out->mantissa;
            out->zeros = 0;
            out->state = K4_DECIMAL_PRESENT;
            out->offset = text->offset;
            return 0;
        }
    }
    return k4_read_decimal_slow(text, 0, out);
}

#endif
