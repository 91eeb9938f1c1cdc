/* What generated fast parsers are made of: values read in place from text whose keys and punctuation are known.
 *
 * The idea: after a literal has been compared there is a value, and the next literal begins with the byte that must end it.
 * So a reader here only finds out how far its value goes and what it is; it leaves the byte behind it to that comparison.
 * Every reader returns the first byte behind its value, or NULL when it is not certain: then the frame is declined and the
 * tolerant tier says what is the matter. There are no refusals here.
 *
 * Reading: a reader called at `p` looks at no byte past p + K4_FAST_READ, and may be called up to K4_SLACK - K4_FAST_READ
 * bytes behind the end of the text: it reads what stands there, and the parser, which compares its place with the end often
 * enough and at last, throws the result away. Readers that know no bound (strings, ignored values) take `end` and never
 * return a place behind it.
 */
#ifndef K4_FAST_H
#define K4_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "k4_decode.h"

/* Bytes a reader may look at: one sign and a block of 32. */
#define K4_FAST_READ 33

/* Most digits read here: any so long fits an int64. */
#define K4_FAST_DIGITS 18

/* A decimal as written: mantissa * 10^-fraction. */
struct k4_fast_decimal {
    int64_t mantissa;
    uint32_t fraction;
};

/* Digits as written, without sign and leading zero: at most 19, fitting an int64. */
struct k4_fast_digits {
    int64_t value;
    uint32_t count;
};

/* What stands between two quotes: printable ASCII without escapes. */
struct k4_fast_text {
    const uint8_t *start;
    uint32_t len;
};

/* Is the text at p this string literal? The length is known when compiling, so this becomes a few word comparisons. */
#define K4_FAST_SAME(p, literal) (memcmp((p), (literal), sizeof(literal) - 1) == 0)

#define K4_FAST_INLINE static inline __attribute__((always_inline, unused))
#define K4_FAST_RARE static __attribute__((noinline, cold, unused))

static const int64_t k4_fast_pow10[K4_FAST_DIGITS + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000,
    10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
};

K4_FAST_INLINE uint64_t k4_fast_load(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* ---------------------------------------------------------------- 32 bytes at once */

/* Bit i: p[i] is no digit. */
K4_FAST_INLINE uint32_t k4_fast_stops(const uint8_t *p)
{
#if defined(__AVX2__)
    /* '0'..'9' moved to the 10 smallest signed bytes */
    const __m256i moved = _mm256_add_epi8(_mm256_loadu_si256((const __m256i *)(const void *)p), _mm256_set1_epi8(128 - '0'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(moved, _mm256_set1_epi8(-128 + 9)));
#elif defined(__SSE2__)
    const __m128i move = _mm_set1_epi8(128 - '0');
    const __m128i nine = _mm_set1_epi8(-128 + 9);
    const __m128i low = _mm_add_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), move);
    const __m128i high = _mm_add_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16)), move);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(low, nine)) | (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(high, nine)) << 16;
#else
    uint32_t stops = 0;
    for (uint32_t i = 0; i < 32; i++)
        stops |= (uint32_t)((uint8_t)(p[i] - '0') > 9) << i;
    return stops;
#endif
}

#if defined(__SSE2__) && !defined(__AVX2__)
K4_FAST_INLINE uint32_t k4_fast_unplain16(const uint8_t *p)
{
    const __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i quote = _mm_or_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('"')), _mm_cmpeq_epi8(text, _mm_set1_epi8('\\')));
    const __m128i other = _mm_or_si128(_mm_cmplt_epi8(text, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(text, _mm_set1_epi8(0x7f)));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(quote, other));
}
#endif

/* Bit i: p[i] is a quote, a backslash, a control character or not ASCII (as a signed byte that is below a space, too). */
K4_FAST_INLINE uint32_t k4_fast_unplain(const uint8_t *p)
{
#if defined(__AVX2__)
    const __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i quote = _mm256_or_si256(_mm256_cmpeq_epi8(text, _mm256_set1_epi8('"')), _mm256_cmpeq_epi8(text, _mm256_set1_epi8('\\')));
    const __m256i other = _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(' '), text), _mm256_cmpeq_epi8(text, _mm256_set1_epi8(0x7f)));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(quote, other));
#elif defined(__SSE2__)
    return k4_fast_unplain16(p) | k4_fast_unplain16(p + 16) << 16;
#else
    uint32_t unplain = 0;
    for (uint32_t i = 0; i < 32; i++)
        unplain |= (uint32_t)(p[i] == '"' || p[i] == '\\' || p[i] < ' ' || p[i] >= 0x7f) << i;
    return unplain;
#endif
}

/* ---------------------------------------------------------------- digits */

/* The number that 1 to 8 digits at p stand for. Same as: for each, value = value * 10 + digit. */
K4_FAST_INLINE uint64_t k4_fast_upto8(const uint8_t *p, uint32_t count)
{
    /* The first digit is in the lowest byte: what follows the digits is shifted out, zeros come in as leading digits. */
    uint64_t word = (k4_fast_load(p) ^ 0x3030303030303030u) << (64 - 8 * count);
    word = word * 10 + (word >> 8); /* pairs, in every second byte */
    return (((word & 0x000000ff000000ffu) * 0x000f424000000064u) + (((word >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u)) >> 32;
}

/* The number that 1 to 19 digits at p stand for. */
K4_FAST_INLINE uint64_t k4_fast_upto19(const uint8_t *p, uint32_t count)
{
    if (count <= 8)
        return k4_fast_upto8(p, count);
    if (count <= 16)
        return k4_fast_upto8(p, count - 8) * 100000000u + k4_fast_upto8(p + count - 8, 8);
    return (k4_fast_upto8(p, count - 16) * 100000000u + k4_fast_upto8(p + count - 16, 8)) * 100000000u + k4_fast_upto8(p + count - 8, 8);
}

/* An integer without sign. */
K4_FAST_INLINE const uint8_t *k4_fast_digits(const uint8_t *p, struct k4_fast_digits *out)
{
    const uint32_t stops = k4_fast_stops(p);
    if ((stops & 0xffffeu) == 0 || (stops & 1u) != 0)
        return NULL; /* 20 digits or more, or none */
    const uint32_t count = (uint32_t)__builtin_ctz(stops);
    if (*p == '0' && count != 1)
        return NULL;
    const uint64_t value = k4_fast_upto19(p, count);
    if (value > INT64_MAX)
        return NULL;
    out->value = (int64_t)value;
    out->count = count;
    return p + count;
}

/* Reads what k4_fast_decimal leaves: long digit runs. `whole` digits, then a point and `fraction` digits if any. */
K4_FAST_INLINE const uint8_t *k4_fast_long(const uint8_t *p, uint32_t whole, uint32_t fraction, struct k4_fast_decimal *out)
{
    if (whole + fraction > K4_FAST_DIGITS)
        return NULL;
    out->mantissa = (int64_t)k4_fast_upto19(p, whole);
    out->fraction = fraction;
    if (fraction == 0)
        return p + whole;
    out->mantissa = out->mantissa * k4_fast_pow10[fraction] + (int64_t)k4_fast_upto19(p + whole + 1, fraction);
    return p + whole + 1 + fraction;
}

K4_FAST_INLINE const uint8_t *k4_fast_unsigned(const uint8_t *p, struct k4_fast_decimal *out)
{
    const uint32_t stops = k4_fast_stops(p);
    const uint32_t more = stops & (stops - 1);
    if (more == 0 || (stops & 1u) != 0)
        return NULL; /* longer than anything read here, or no digit at all */
    const uint32_t whole = (uint32_t)__builtin_ctz(stops);
    if (*p == '0' && whole != 1)
        return NULL;
    if (p[whole] != '.')
        return k4_fast_long(p, whole, 0, out);
    const uint32_t fraction = (uint32_t)__builtin_ctz(more) - whole - 1;
    if (fraction == 0)
        return NULL;
    if (whole > 8 || fraction > 8)
        return k4_fast_long(p, whole, fraction, out);
    out->mantissa = (int64_t)k4_fast_upto8(p, whole) * k4_fast_pow10[fraction] + (int64_t)k4_fast_upto8(p + whole + 1, fraction);
    out->fraction = fraction;
    return p + whole + 1 + fraction;
}

/* A decimal without exponent, at most 18 digits. */
K4_FAST_INLINE const uint8_t *k4_fast_decimal(const uint8_t *p, struct k4_fast_decimal *out)
{
    if (__builtin_expect(*p != '-', 1))
        return k4_fast_unsigned(p, out);
    p = k4_fast_unsigned(p + 1, out);
    if (p != NULL)
        out->mantissa = -out->mantissa;
    return p;
}

/* The same two, with a quote on both sides or none. */
K4_FAST_INLINE const uint8_t *k4_fast_quoted_digits(const uint8_t *p, struct k4_fast_digits *out)
{
    const uint32_t quote = *p == '"';
    p = k4_fast_digits(p + quote, out);
    return p != NULL && (quote == 0 || *p == '"') ? p + quote : NULL;
}

K4_FAST_INLINE const uint8_t *k4_fast_quoted_decimal(const uint8_t *p, struct k4_fast_decimal *out)
{
    const uint32_t quote = *p == '"';
    p = k4_fast_decimal(p + quote, out);
    return p != NULL && (quote == 0 || *p == '"') ? p + quote : NULL;
}

/* Writes more fraction digits: `to` of them, not fewer than there are. False: it does not fit. */
K4_FAST_INLINE bool k4_fast_raise(struct k4_fast_decimal *value, uint32_t to)
{
    const uint32_t by = to - value->fraction;
    if (__builtin_expect(by == 0, 1))
        return true;
    value->fraction = to;
    return !__builtin_mul_overflow(value->mantissa, k4_fast_pow10[by], &value->mantissa) && value->mantissa != INT64_MIN;
}

K4_FAST_INLINE uint32_t k4_fast_most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- what digits mean */

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

/* ---------------------------------------------------------------- words and texts */

/* Branch-free, since neither value is the usual one. */
K4_FAST_INLINE const uint8_t *k4_fast_bool(const uint8_t *p, bool *out)
{
    uint32_t word;
    uint32_t wanted_true;
    uint32_t wanted_false;
    memcpy(&word, p, sizeof word);
    memcpy(&wanted_true, "true", sizeof wanted_true);
    memcpy(&wanted_false, "fals", sizeof wanted_false);
    const bool yes = word == wanted_true;
    const bool no = (word == wanted_false) & (p[4] == 'e');
    *out = yes;
    return (yes | no) ? p + 5 - yes : NULL;
}

K4_FAST_RARE const uint8_t *k4_fast_long_string(const uint8_t *p, const uint8_t *end, struct k4_fast_text *out)
{
    const uint8_t *at = p;
    uint32_t unplain = 0;
    for (; unplain == 0; at += 32) {
        if (at >= end)
            return NULL;
        unplain = k4_fast_unplain(at);
    }
    at += __builtin_ctz(unplain) - 32;
    if (at >= end || *at != '"')
        return NULL;
    out->start = p;
    out->len = (uint32_t)(at - p);
    return at + 1;
}

/* The rest of a string whose opening quote is behind p. Returns the place behind the closing one. */
K4_FAST_INLINE const uint8_t *k4_fast_string(const uint8_t *p, const uint8_t *end, struct k4_fast_text *out)
{
    const uint32_t unplain = k4_fast_unplain(p);
    if (__builtin_expect(unplain == 0, 0))
        return k4_fast_long_string(p, end, out);
    const uint32_t len = (uint32_t)__builtin_ctz(unplain);
    out->start = p;
    out->len = len;
    return p[len] == '"' && p + len < end ? p + len + 1 : NULL;
}

/* Is the text `prefix`, then at least one character, then `suffix`? (string literals) */
#define K4_FAST_FRAMED(text, prefix, suffix)                                                                                       \
    ((text)->len > sizeof(prefix) - 1 + sizeof(suffix) - 1 && memcmp((text)->start, (prefix), sizeof(prefix) - 1) == 0 &&            \
     memcmp((text)->start + (text)->len - (sizeof(suffix) - 1), (suffix), sizeof(suffix) - 1) == 0)

/* Is the text this word? */
#define K4_FAST_WORD(text, word) ((text)->len == sizeof(word) - 1 && memcmp((text)->start, (word), sizeof(word) - 1) == 0)

/* Copies ASCII text with small letters made capital, 8 bytes at a time: up to 7 more are written, and mean nothing. */
K4_FAST_INLINE void k4_fast_upper(const uint8_t *text, uint32_t len, uint8_t *out)
{
    for (uint32_t i = 0; i < len; i += 8) {
        /* From 'a' on the first sum has the top bit set, from behind 'z' on the second. Carries reach only bytes further on,
         * and none leaves ASCII. */
        const uint64_t word = k4_fast_load(text + i);
        const uint64_t small = (word + 0x1f1f1f1f1f1f1f1fu) & ~(word + 0x0505050505050505u) & 0x8080808080808080u;
        const uint64_t upper = word ^ (small >> 2);
        memcpy(out + i, &upper, sizeof upper);
    }
}

/* ---------------------------------------------------------------- ignored values */

K4_FAST_RARE const uint8_t *k4_fast_skip_number(const uint8_t *p, const uint8_t *end)
{
    p += *p == '-';
    const uint8_t *start = p;
    while (p < end && (uint8_t)(*p - '0') <= 9)
        p++;
    if (p == start || (*start == '0' && p != start + 1))
        return NULL;
    if (p < end && *p == '.') {
        start = ++p;
        while (p < end && (uint8_t)(*p - '0') <= 9)
            p++;
        if (p == start)
            return NULL;
    }
    return p; /* an exponent is left to the next literal, which it does not fit */
}

/* A string, a number without exponent, a word. Anything else is declined. */
K4_FAST_INLINE const uint8_t *k4_fast_skip(const uint8_t *p, const uint8_t *end)
{
    struct k4_fast_text text;
    bool truth;
    switch (*p) {
    case '"':
        return k4_fast_string(p + 1, end, &text);
    case 't':
    case 'f':
        p = k4_fast_bool(p, &truth);
        return p != NULL && p <= end ? p : NULL;
    case 'n':
        return K4_FAST_SAME(p, "null") && p + 4 <= end ? p + 4 : NULL;
    default:
        return k4_fast_skip_number(p, end);
    }
}

/* The frame is taken: `count` items, by the layout with this number. */
K4_FAST_INLINE bool k4_fast_took(struct k4_scratch *scratch, uint32_t count, uint16_t layout)
{
    scratch->count = count;
    scratch->skip = K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    scratch->tier = K4_TIER_FAST;
    scratch->hint = layout;
    return true;
}

#endif
