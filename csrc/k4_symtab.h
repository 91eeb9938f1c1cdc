/* From (product, symbol) to the index in a segment's symbol table.
 *
 * Open addressing with linear probing, at most half full. A slot holds the first 16 bytes of its symbol, which nearly always is
 * all of it, so that the usual lookup touches one cache line and compares three words.
 * Lookups allocate nothing; adding may grow the table. One thread.
 */
#ifndef K4_SYMTAB_H
#define K4_SYMTAB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that a lookup reads at a symbol of any length. */
#define K4_SYMTAB_SLACK 16

struct k4_symtab_slot {
    uint64_t first;  /* bytes 0..7, zero behind a shorter symbol */
    uint64_t second; /* bytes 8..15, likewise */
    uint64_t kind;   /* k4_symtab_kind; 0: free slot */
    int32_t index;
    uint32_t text; /* where the whole symbol stands in `texts` */
};

struct k4_symtab {
    struct k4_symtab_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint8_t *texts; /* 48 bytes per symbol, in order of adding */
    uint32_t text_room;
};

/* Keeps the first n of 16 bytes, from 16 - n on. */
static const uint8_t k4_symtab_keep[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The first 16 bytes with zeros behind a shorter symbol, without a branch on the length; reads K4_SYMTAB_SLACK bytes. */
static inline void k4_symtab_words(const uint8_t *symbol, uint32_t len, uint64_t *first, uint64_t *second)
{
    const uint8_t *keep = k4_symtab_keep + (len < 16 ? 16 - len : 0);
    uint64_t a, b, keep_a, keep_b;
    memcpy(&a, symbol, 8);
    memcpy(&b, symbol + 8, 8);
    memcpy(&keep_a, keep, 8);
    memcpy(&keep_b, keep + 8, 8);
    *first = a & keep_a;
    *second = b & keep_b;
}

/* Product and length as one word. */
static inline uint64_t k4_symtab_kind(uint32_t product, uint32_t len)
{
    return (uint64_t)product << 32 | len;
}

/* Of a longer symbol its end counts, too: options of one underlying begin alike. */
static inline uint32_t k4_symtab_hash(const uint8_t *symbol, uint32_t len, uint32_t product, uint64_t first, uint64_t second)
{
    uint64_t h = (first ^ product) * UINT64_C(0xff51afd7ed558ccd);
    if (__builtin_expect(len > 16, 0)) {
        uint64_t end;
        memcpy(&end, symbol + len - 8, 8);
        h ^= (end + len) * UINT64_C(0x9e3779b97f4a7c15);
    }
    h ^= second * UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 32;
    return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Index of the symbol, or -1. Reads `len` bytes, and K4_SYMTAB_SLACK if that is more. */
static inline int32_t k4_symtab_find_slack(const struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len)
{
    uint64_t first, second, kind = k4_symtab_kind(product, len);
    if (len == 0)
        return -1;
    k4_symtab_words(symbol, len, &first, &second);
    uint32_t at = k4_symtab_hash(symbol, len, product, first, second) & table->mask;
    for (;; at = (at + 1) & table->mask) {
        const struct k4_symtab_slot *slot = &table->slots[at];
        if (slot->first == first && slot->second == second && slot->kind == kind
            && (__builtin_expect(len <= 16, 1) || memcmp(table->texts + slot->text, symbol, len) == 0))
            return slot->index;
        if (slot->kind == 0)
            return -1;
    }
}

/* The same, reading exactly `len` bytes. */
static inline int32_t k4_symtab_find(const struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len)
{
    uint8_t padded[K4_SYMTAB_SLACK] = {0};
    if (len >= K4_SYMTAB_SLACK)
        return k4_symtab_find_slack(table, product, symbol, len);
    memcpy(padded, symbol, len);
    return k4_symtab_find_slack(table, product, padded, len);
}

/* 0, or -1: no memory. `capacity`: symbols expected; more may be added. */
int k4_symtab_init(struct k4_symtab *table, uint32_t capacity);
void k4_symtab_fini(struct k4_symtab *table);
/* Adds what is not yet in it, 1 to 48 bytes. 0, or -1: no memory (the table is as before). */
int k4_symtab_add(struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len, int32_t index);

#endif
