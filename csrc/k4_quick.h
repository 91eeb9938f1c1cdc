/* Ordinary values, read straight from their marks: what nearly every field of nearly every frame holds.
 *
 * Each reader gives the value, as the complete readers of k4_number.h would, or false where it is not certain: then those say what
 * there is. They take values of one type, without escapes; `found` is what is marked. On ways with repeated keys they must not be used.
 */
#ifndef K4_QUICK_H
#define K4_QUICK_H

#include "k4_digits.h"
#include "k4_parse.h"

/* The text of a value of this type; quotes left out. */
struct k4_quick {
    const uint8_t *at;
    uint32_t len;
};

static inline bool k4_quick_text(
    const struct k4_frame *frame, uint8_t found, const struct k4_mark *mark, enum k4_type type, struct k4_quick *out)
{
    const uint32_t quote = type == K4_STRING;
    out->at = frame->json.text + mark->at + quote;
    out->len = mark->end - mark->at - 2 * quote;
    return found == type;
}

/* A decimal of 1 to 8 digits on both sides of its point, or of so many and none. */
static inline bool k4_quick_decimal(
    const struct k4_frame *frame, uint8_t found, const struct k4_mark *mark, enum k4_type type, struct k4_decimal *out)
{
    struct k4_quick text;
    if (__builtin_expect(!k4_quick_text(frame, found, mark, type, &text) || text.len > 17, 0))
        return false;
    const unsigned whole = k4_json_digits(text.at);
    if (whole == text.len && whole - 1 <= 7) {
        const uint32_t value = k4_digits_two(text.at, whole, text.at, whole).first;
        *out = (struct k4_decimal){.mantissa = (int64_t)value, .offset = mark->at};
        return value >= k4_digits_least[whole];
    }
    const unsigned fraction = text.len - whole - 1;
    if (__builtin_expect(whole - 1 > 7 || fraction - 1 > 7 || text.at[whole] != '.' || k4_json_digits(text.at + whole + 1) < fraction, 0))
        return false;
    const struct k4_digits_pair pair = k4_digits_two(text.at, whole, text.at + whole + 1, fraction);
    if (__builtin_expect(pair.first < k4_digits_least[whole], 0)) /* a leading zero */
        return false;
    *out = (struct k4_decimal){.mantissa = (int64_t)pair.first * k4_power10[fraction] + (int64_t)pair.second,
        .fraction = (int32_t)fraction,
        .offset = mark->at};
    return true;
}

/* An integer of up to 19 digits. */
static inline bool k4_quick_integer(const struct k4_frame *frame, uint8_t found, const struct k4_mark *mark, enum k4_type type, int64_t *out)
{
    struct k4_quick text;
    uint64_t value;
    if (__builtin_expect(!k4_quick_text(frame, found, mark, type, &text) || text.len - 1 > 18, 0))
        return false;
    const bool read = text.len <= 16 ? k4_digits_upto16(text.at, text.len, &value) : k4_digits_many(text.at, text.len, &value);
    if (__builtin_expect(!read || value < k4_digits_least[text.len], 0))
        return false;
    *out = (int64_t)value;
    return true;
}

static inline bool k4_quick_count(const struct k4_frame *frame, uint8_t found, const struct k4_mark *mark, enum k4_type type, int32_t *out)
{
    int64_t value;
    if (!k4_quick_integer(frame, found, mark, type, &value) || value > INT32_MAX)
        return false;
    *out = (int32_t)value;
    return true;
}

/* A time in whole units. */
static inline bool k4_quick_time(
    const struct k4_frame *frame, uint8_t found, const struct k4_mark *mark, enum k4_type type, enum k4_unit unit, int64_t *out)
{
    static const int64_t nanoseconds[] = {[K4_UNIT_S] = 1000000000, [K4_UNIT_MS] = 1000000, [K4_UNIT_US] = 1000, [K4_UNIT_NS] = 1};
    int64_t value;
    if (!k4_quick_integer(frame, found, mark, type, &value))
        return false;
    if (unit == K4_UNIT_AUTO) {
        if (value >= 1000000000000 && value <= 9999999999999)
            unit = K4_UNIT_MS;
        else if (value >= 1000000000000000)
            unit = K4_UNIT_US;
        else
            return false;
    }
    return !__builtin_mul_overflow(value, nanoseconds[unit], out);
}

#endif
