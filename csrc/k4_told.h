/* Texts that fitted patterns before: a name that comes again is told by its bytes, not by trying the patterns again.
 *
 * On some venues only the name of an instrument tells what it is, and a connection brings the same few hundred names over and over. A text
 * that fitted is kept with whose patterns these were and which of them; the same bytes in the same length then fit again, nothing else does.
 *
 *     text ─ hash ─▶ place: product, which, length, bytes         the last text that fitted and came to this place
 *
 * What fits depends on the bytes and on patterns that never change, so nothing in here can become wrong, whatever connects, ends or is
 * reloaded; what was driven out is tried again. Its size is fixed: names that nobody listed cannot make it grow. All zero is empty. One thread.
 */
#ifndef K4_TOLD_H
#define K4_TOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "k4_symtab.h"

enum { K4_TOLD_PLACES = 1024, K4_TOLD_LONGEST = 48 };

struct k4_told_text {
    const void *product; /* whose patterns: their address; NULL: nothing is here */
    uint64_t first;      /* as k4_symtab_words() */
    uint64_t second;
    uint32_t kind;     /* which of the product's patterns, and the length */
    uint8_t rest[36]; /* behind the first 16 bytes */
};

struct k4_told {
    struct k4_told_text at[K4_TOLD_PLACES];
};

_Static_assert(sizeof(struct k4_told_text) == 64, "a text takes one cache line");

static inline uint32_t k4_told_kind(uint32_t which, uint32_t len)
{
    return which << 8 | len;
}

/* Of a longer text its end counts, too. */
static inline uint32_t k4_told_place(const uint8_t *text, uint32_t len, uint64_t first, uint64_t second)
{
    uint64_t h = first * UINT64_C(0xff51afd7ed558ccd) + second * UINT64_C(0xc4ceb9fe1a85ec53);
    if (__builtin_expect(len > 16, 0)) {
        uint64_t end;
        memcpy(&end, text + len - 8, 8);
        h += end * UINT64_C(0x9e3779b97f4a7c15);
    }
    return (uint32_t)(h >> 54);
}

/* Did this text fit before? `which`: of the product's patterns, below 1 << 24. Reads `len` bytes, and K4_SYMTAB_SLACK if that is more. */
static inline bool k4_told_knows(const struct k4_told *told, const void *product, uint32_t which, const uint8_t *text, uint32_t len)
{
    uint64_t first, second;
    k4_symtab_words(text, len, &first, &second);
    const struct k4_told_text *place = &told->at[k4_told_place(text, len, first, second)];
    return place->first == first && place->second == second && place->kind == k4_told_kind(which, len) && place->product == product
        && (__builtin_expect(len <= 16, 1) || (len <= K4_TOLD_LONGEST && memcmp(place->rest, text + 16, len - 16) == 0));
}

/* It fits. One that is longer than any symbol is not kept. */
static inline void k4_told_keep(struct k4_told *told, const void *product, uint32_t which, const uint8_t *text, uint32_t len)
{
    uint64_t first, second;
    if (len > K4_TOLD_LONGEST)
        return;
    k4_symtab_words(text, len, &first, &second);
    struct k4_told_text *place = &told->at[k4_told_place(text, len, first, second)];
    *place = (struct k4_told_text){.product = product, .first = first, .second = second, .kind = k4_told_kind(which, len)};
    if (len > 16)
        memcpy(place->rest, text + 16, len - 16);
}

_Static_assert(K4_TOLD_PLACES == 1 << (64 - 54), "a place is the upper bits of a hash");

#endif
