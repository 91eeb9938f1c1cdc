/* What generated fast parsers are made of: values read in place from text whose keys and punctuation are known.
 *
 * The idea: after a literal has been compared there is a value, and the next literal begins with the byte that must end it.
 * So a reader here only finds out how far its value goes and what it is; it leaves the byte behind it to that comparison.
 * Every reader returns the first byte behind its value, or NULL when it is not certain: then the frame is declined and the
 * tolerant tier says what is the matter. There are no refusals here.
 *
 * Reading: behind the end of the text stand K4_SLACK bytes that may be read. Readers may be called there: what they find is
 * thrown away, since the parser compares its place with the end often enough and at last. A reader looks at most 23 bytes
 * further than its place, or as far as `stops` go, which are made for 64 bytes and only at or before the end. Strings and
 * ignored values, of any length, take `end` and never lead behind it.
 */
#ifndef K4_FAST_H
#define K4_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_fast_text.h"
#include "k4_fast_value.h"

/* Swaps two items as far as `size` bytes of them go. */
K4_FAST_INLINE void k4_fast_swap(struct k4_item *a, struct k4_item *b, size_t size)
{
    const bool a_folded = a->symbol == a->folded;
    const bool b_folded = b->symbol == b->folded;
    uint64_t from_a;
    uint64_t from_b;
#pragma GCC unroll 4
    for (size_t i = 0; i < size; i += sizeof from_a) {
        memcpy(&from_a, (uint8_t *)a + i, sizeof from_a);
        memcpy(&from_b, (uint8_t *)b + i, sizeof from_b);
        memcpy((uint8_t *)a + i, &from_b, sizeof from_b);
        memcpy((uint8_t *)b + i, &from_a, sizeof from_a);
    }
    if (b_folded)
        a->symbol = a->folded;
    if (a_folded)
        b->symbol = b->folded;
}

/* The items the other way round: what the venue sends newest first. `record`: bytes of each one's record. */
K4_FAST_APART void k4_fast_turn(struct k4_scratch *scratch, size_t record)
{
    _Static_assert(offsetof(struct k4_item, as) % 8 == 0 && sizeof(struct k4_item) % 8 == 0, "items are swapped by words");
    const size_t size = offsetof(struct k4_item, as) + record;
    for (uint32_t i = 0, j = scratch->count - 1; i < j; i++, j--)
        k4_fast_swap(&scratch->items[i], &scratch->items[j], size);
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

/* The update of a book is applied: what came of it, as the function that cuts its records says. */
K4_FAST_INLINE bool k4_fast_booked(struct k4_scratch *scratch, enum k4_skip skip, uint32_t given, uint16_t message, uint16_t layout)
{
    (void)k4_fast_took(scratch, given, layout);
    if (skip != K4_SKIP_NOT) {
        scratch->skip = (uint16_t)skip;
        scratch->skip_message = message;
    } else if (__builtin_expect(given == 0, 0)) { /* no exponent fits what is to be seen */
        scratch->count = 1;
        scratch->items[0].record = 0;
        scratch->items[0].refusal = K4_REFUSED_RANGE;
        scratch->items[0].message = message;
        scratch->items[0].offset = 0;
    }
    return true;
}

/* A message that is no market record took the frame. */
static inline bool k4_fast_skipped(struct k4_scratch *scratch, uint16_t skip, uint16_t message)
{
    scratch->count = 0;
    scratch->skip = skip;
    scratch->skip_message = message;
    scratch->tier = K4_TIER_FAST;
    return true;
}

#endif
