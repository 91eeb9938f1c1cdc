/* Runs of digits as numbers, several digits at once; what both parser tiers read values with.
 *
 * Runs are read from their ends, together with up to 16 bytes before them, which must be readable and say nothing.
 */
#ifndef K4_DIGITS_H
#define K4_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Only what is used: all that a processor may have takes the compiler 0.4 s in each file. */
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Builds that look for errors and not for speed may define it as `static`, which compiles sooner. */
#ifndef K4_FAST_INLINE
#define K4_FAST_INLINE static inline __attribute__((always_inline, unused))
#endif
/* What is called and no rarity, and what is one: whatever leads there is laid out as never taken. */
#define K4_FAST_APART static __attribute__((noinline, unused))
#define K4_FAST_RARE static __attribute__((noinline, cold, unused))

static const int64_t k4_power10[19] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
};

/* Masks that keep the last n of 8 bytes (from 8 + n on) or the last n of 16 (from n on); of digits, their values. */
static const uint8_t k4_digits_tail[32] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};
static const uint8_t k4_digits_values[32] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
};

/* Two numbers of up to 8 digits each. */
struct k4_digits_pair {
    uint32_t first;
    uint32_t second;
};

#if defined(__SSE2__)

#define k4_digits_low8(p) _mm_loadl_epi64((const __m128i *)(const void *)(p))
#define k4_digits_load16(p) _mm_loadu_si128((const __m128i *)(const void *)(p))

/* 16 values of digits to two numbers of 8 digits: pairs, fours, eights. */
K4_FAST_INLINE struct k4_digits_pair k4_digits_eights(__m128i digits)
{
#if defined(__SSSE3__)
    const __m128i pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
#else
    /* (a + 256 b) * 2561 is 256 * (10 a + b) + a, and what is past 16 bits; in one multiplication, not in the shifts and sums that a
     * compiler makes of a factor it sees */
    __m128i factor = _mm_set1_epi16(2561);
    __asm__("" : "+x"(factor));
    const __m128i pairs = _mm_srli_epi16(_mm_mullo_epi16(digits, factor), 8);
#endif
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00010064));
    const __m128i eights = _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(0x00012710));
    const uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    return (struct k4_digits_pair){(uint32_t)both, (uint32_t)(both >> 32)};
}

/* Is none of 16 values above 9? */
K4_FAST_INLINE bool k4_digits_nines(__m128i digits)
{
    const __m128i above = _mm_subs_epu8(digits, _mm_set1_epi8(9));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(above, _mm_setzero_si128())) == 0xffff;
}

#endif

/* Same as: value = value * 10 + digit, for each. */
K4_FAST_INLINE uint64_t k4_digits_plain(const uint8_t *p, uint32_t count)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < count; i++)
        value = value * 10 + (uint8_t)(p[i] - '0');
    return value;
}

/* Two runs of 0 to 8 digits. They are read from their ends, together with what stands before them. */
K4_FAST_INLINE struct k4_digits_pair k4_digits_two(const uint8_t *p, size_t p_len, const uint8_t *q, size_t q_len)
{
#if defined(__SSE2__)
    const __m128i text = _mm_unpacklo_epi64(k4_digits_low8(p + p_len - 8), k4_digits_low8(q + q_len - 8));
    const __m128i mask = _mm_unpacklo_epi64(k4_digits_low8(k4_digits_values + 8 + p_len), k4_digits_low8(k4_digits_values + 8 + q_len));
    return k4_digits_eights(_mm_and_si128(text, mask));
#else
    return (struct k4_digits_pair){(uint32_t)k4_digits_plain(p, (uint32_t)p_len), (uint32_t)k4_digits_plain(q, (uint32_t)q_len)};
#endif
}

/* The number that 0 to 16 digits stand for. */
K4_FAST_INLINE uint64_t k4_digits_known16(const uint8_t *p, uint32_t count)
{
#if defined(__SSE2__)
    const struct k4_digits_pair pair =
        k4_digits_eights(_mm_and_si128(k4_digits_load16(p + count - 16), k4_digits_load16(k4_digits_values + count)));
    return (uint64_t)pair.first * 100000000u + pair.second;
#else
    return k4_digits_plain(p, count);
#endif
}

/* Are these 1 to 16 bytes all digits? */
K4_FAST_INLINE bool k4_digits_only(const uint8_t *p, uint32_t count)
{
#if defined(__SSE2__)
    const __m128i moved = _mm_sub_epi8(k4_digits_load16(p + count - 16), _mm_set1_epi8('0'));
    return k4_digits_nines(_mm_and_si128(moved, k4_digits_load16(k4_digits_tail + count)));
#else
    for (uint32_t i = 0; i < count; i++)
        if ((uint8_t)(p[i] - '0') > 9)
            return false;
    return true;
#endif
}

/* The number that 1 to 16 bytes stand for. False: not all are digits. */
K4_FAST_INLINE bool k4_digits_upto16(const uint8_t *p, uint32_t count, uint64_t *out)
{
#if defined(__SSE2__)
    const __m128i moved = _mm_sub_epi8(k4_digits_load16(p + count - 16), _mm_set1_epi8('0'));
    const __m128i digits = _mm_and_si128(moved, k4_digits_load16(k4_digits_tail + count));
    const struct k4_digits_pair pair = k4_digits_eights(digits);
    *out = (uint64_t)pair.first * 100000000u + pair.second;
    return k4_digits_nines(digits);
#else
    *out = k4_digits_plain(p, count);
    return k4_digits_only(p, count);
#endif
}

/* The least number of so many digits without a leading zero; of one digit that is 0. */
static const uint64_t k4_digits_least[20] = {
    0, 0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000,
    10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
};

/* 17 to 19 digits. */
K4_FAST_APART bool k4_digits_many(const uint8_t *p, uint32_t count, uint64_t *out)
{
    const uint32_t ahead = count - 16;
    *out = k4_digits_known16(p, ahead) * 10000000000000000u + k4_digits_known16(p + ahead, 16);
    return k4_digits_only(p, ahead) && k4_digits_only(p + ahead, 16) && *out <= INT64_MAX;
}

#endif
