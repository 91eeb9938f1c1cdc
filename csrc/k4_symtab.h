/* From (product, symbol) to the index in a segment's symbol table.
 *
 * Open addressing with linear probing, at most half full. A slot holds the first and last eight bytes of its symbol, which for
 * symbols up to 16 bytes is all of it, so that the usual lookup touches one cache line and compares three words.
 * Lookups allocate nothing; adding may grow the table. One thread.
 */
#ifndef K4_SYMTAB_H
#define K4_SYMTAB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct k4_symtab_slot {
    uint64_t first; /* bytes 0..7, zero behind a shorter symbol */
    uint64_t last;  /* the last eight bytes; 0 for symbols up to 8 bytes */
    uint32_t product;
    uint32_t len; /* 0: free slot */
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

/* The two words a symbol is found by, without reading a byte outside it. */
static inline void k4_symtab_words(const uint8_t *symbol, uint32_t len, uint64_t *first, uint64_t *last)
{
    uint64_t a = 0, b = 0;
    if (len >= 8) {
        memcpy(&a, symbol, 8);
        if (len > 8)
            memcpy(&b, symbol + len - 8, 8);
    } else if (len >= 4) {
        uint32_t low, high; /* overlapping loads; the product of overlap and shift is the same as byte by byte */
        memcpy(&low, symbol, 4);
        memcpy(&high, symbol + len - 4, 4);
        a = low | (uint64_t)high << (8 * (len - 4));
    } else {
        for (uint32_t i = 0; i < len; i++)
            a |= (uint64_t)symbol[i] << (8 * i);
    }
    *first = a;
    *last = b;
}

static inline uint32_t k4_symtab_hash(uint64_t first, uint64_t last, uint32_t product, uint32_t len)
{
    uint64_t h = (first ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
    h ^= (last + len + ((uint64_t)product << 8)) * UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 32;
    return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Index of the symbol, or -1. Reads exactly `len` bytes. */
static inline int32_t k4_symtab_find(const struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len)
{
    uint64_t first, last;
    if (len == 0)
        return -1;
    k4_symtab_words(symbol, len, &first, &last);
    uint32_t at = k4_symtab_hash(first, last, product, len) & table->mask;
    for (;; at = (at + 1) & table->mask) {
        const struct k4_symtab_slot *slot = &table->slots[at];
        if (slot->len == 0)
            return -1;
        if (slot->first == first && slot->last == last && slot->len == len && slot->product == product
            && (len <= 16 || memcmp(table->texts + slot->text, symbol, len) == 0))
            return slot->index;
    }
}

/* 0, or -1: no memory. `capacity`: symbols expected; more may be added. */
int k4_symtab_init(struct k4_symtab *table, uint32_t capacity);
void k4_symtab_fini(struct k4_symtab *table);
/* Adds what is not yet in it, 1 to 48 bytes. 0, or -1: no memory (the table is as before). */
int k4_symtab_add(struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len, int32_t index);

#endif
