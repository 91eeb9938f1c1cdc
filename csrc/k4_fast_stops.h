/* Where the values of a text end.
 *
 * What a fast parser waits for is where a value ends, because the next one is found from there. So the ends are marked for 32 or 64
 * bytes at a time: bit i of `stops` says that a value may end at p[i]. As p moves on, stops are shifted along, and from one value to
 * the next it takes a count of zeros and a shift instead of a load and a comparison. No bit set: nobody has looked so far.
 */
#ifndef K4_FAST_STOPS_H
#define K4_FAST_STOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_digits.h"

#if defined(__AVX2__)

typedef __m256i k4_fast_block;
enum { K4_FAST_BLOCK = 32 };
#define k4_fast_block_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define k4_fast_block_fill(byte) _mm256_set1_epi8((char)(byte))
#define k4_fast_block_add _mm256_add_epi8
#define k4_fast_block_above _mm256_cmpgt_epi8
#define k4_fast_block_same _mm256_cmpeq_epi8
#define k4_fast_block_without(block, other) _mm256_andnot_si256((other), (block))
#define k4_fast_block_bits(block) ((uint64_t)(uint32_t)_mm256_movemask_epi8(block))

#elif defined(__SSE2__)

typedef __m128i k4_fast_block;
enum { K4_FAST_BLOCK = 16 };
#define k4_fast_block_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define k4_fast_block_fill(byte) _mm_set1_epi8((char)(byte))
#define k4_fast_block_add _mm_add_epi8
#define k4_fast_block_above _mm_cmpgt_epi8
#define k4_fast_block_same _mm_cmpeq_epi8
#define k4_fast_block_without(block, other) _mm_andnot_si128((other), (block))
#define k4_fast_block_bits(block) ((uint64_t)(uint32_t)_mm_movemask_epi8(block))

#endif

/* The others of `count` bytes, 32 or 64. What is asked of each byte is whether it is none: one instruction a block less. */
K4_FAST_INLINE uint64_t k4_fast_others(uint64_t bits, int count)
{
    return count == 64 ? ~bits : (uint32_t)~bits;
}

/* Stops of numbers: whatever is no digit. `count`: of bytes, 32 or 64. */
K4_FAST_INLINE uint64_t k4_fast_numbers(const uint8_t *p, int count)
{
    uint64_t digits = 0;
#if defined(__SSE2__)
    /* moved so that the digits are the 10 smallest signed bytes */
    const k4_fast_block moved = k4_fast_block_fill(128 - '0');
    const k4_fast_block ten = k4_fast_block_fill(-128 + 10);
#pragma GCC unroll 4
    for (int i = 0; i < count; i += K4_FAST_BLOCK)
        digits |= k4_fast_block_bits(k4_fast_block_above(ten, k4_fast_block_add(k4_fast_block_load(p + i), moved))) << i;
#else
    for (int i = 0; i < count; i++)
        digits |= (uint64_t)((uint8_t)(p[i] - '0') <= 9) << i;
#endif
    return k4_fast_others(digits, count);
}

/* Stops of words, and of digits too: all outside '-' .. '|' (quotes, commas, closing braces, control characters, what is not
 * ASCII), and the backslash. */
K4_FAST_INLINE uint64_t k4_fast_words(const uint8_t *p, int count)
{
    uint64_t plain = 0;
#if defined(__SSE2__)
    const k4_fast_block moved = k4_fast_block_fill(128 - '-');
    const k4_fast_block behind = k4_fast_block_fill(-128 + '|' - '-' + 1);
    const k4_fast_block backslash = k4_fast_block_fill('\\');
#pragma GCC unroll 4
    for (int i = 0; i < count; i += K4_FAST_BLOCK) {
        const k4_fast_block text = k4_fast_block_load(p + i);
        const k4_fast_block within = k4_fast_block_above(behind, k4_fast_block_add(text, moved));
        plain |= k4_fast_block_bits(k4_fast_block_without(within, k4_fast_block_same(text, backslash))) << i;
    }
#else
    for (int i = 0; i < count; i++)
        plain |= (uint64_t)(p[i] >= '-' && p[i] <= '|' && p[i] != '\\') << i;
#endif
    return k4_fast_others(plain, count);
}

/* The same two where it is known when compiling which. Apart, since a parser seldom has to look where none was foreseen. */
K4_FAST_APART uint64_t k4_fast_more_numbers(const uint8_t *p)
{
    return k4_fast_numbers(p, 64);
}

K4_FAST_APART uint64_t k4_fast_more_words(const uint8_t *p)
{
    return k4_fast_words(p, 64);
}

/* Stops at p, which is not behind the end. */
K4_FAST_INLINE uint64_t k4_fast_look(const uint8_t *p, bool numbers)
{
    return numbers ? k4_fast_more_numbers(p) : k4_fast_more_words(p);
}

#endif
