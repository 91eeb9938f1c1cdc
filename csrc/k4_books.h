/* The books of one connection, or of one offline decoder: one per (record, symbol).
 *
 *     parser ─ begin ─▶ update ◀─ levels ─ parser ─ apply ─▶ book ─ changed? ─▶ records
 *
 * A parser fills the one update there is, then says whose it is; what it then cuts out of the book are ordinary items. Where a
 * message's snapshots are fetched, updates are held until one comes: those that it holds already fall away, the others follow.
 * Held are K4_BOOKS_HELD bytes a book at most; of more, all are dropped, and the next snapshot finds that it does not reach.
 * Allocates for symbols, levels and what is held as they are first met. One thread.
 */
#ifndef K4_BOOKS_H
#define K4_BOOKS_H

#include "k4_book.h"
#include "k4_symtab.h"

enum { K4_BOOKS_HELD = 1 << 20 };

/* A book and whose it is. */
struct k4_kept_book {
    struct k4_book book;
    uint8_t record; /* of the message, the first where it gives several */
    bool told;      /* that it is stale: once, until it is live again */
    uint16_t shown; /* records cut since the snapshot, a bit each */
    uint32_t number;
    uint32_t symbol_len;
    uint8_t symbol[K4_SYMBOL_MAX + K4_SYMTAB_SLACK];
    uint8_t *held;
    uint32_t held_len;
    uint32_t held_room;
};

struct k4_books {
    struct k4_symtab index;
    struct k4_kept_book **all;
    uint32_t count;
    uint32_t room;
    bool no_memory; /* since it was last cleared by the owner */
    struct k4_kept_book *book; /* the one that the last apply found */
    /* Whether a book may be made for a symbol not met before; NULL: any. */
    bool (*admits)(void *context, unsigned record, const uint8_t *symbol, uint32_t symbol_len);
    /* A book has become live or stale; stale also where it never was live. False: could not be taken, say it again. NULL: nobody asks. */
    bool (*turned)(void *context, const struct k4_kept_book *book, uint16_t message);
    void *context;
    struct k4_update update;
    struct k4_picture picture;
    struct k4_crc32 crc;
};

/* 0, or -1: no memory. */
int k4_books_init(struct k4_books *books);
void k4_books_fini(struct k4_books *books);
/* A new connection: every book has to begin anew. Their memory stays, what was held goes. */
void k4_books_clear(struct k4_books *books);

/* The update that a parser fills, empty. Its ladders keep their room. */
struct k4_update *k4_books_begin(struct k4_books *books);
/* Gives the update to the book of (record, symbol): K4_SKIP_NOT, or why there is nothing to publish. `holds`: its snapshots are fetched.
 * Behind K4_SKIP_NOT, books->book is that book, and the update says what its newest change said. Of a shorter symbol K4_SYMTAB_SLACK bytes
 * are read. */
enum k4_skip k4_books_apply(
    struct k4_books *books, unsigned record, uint16_t message, const uint8_t *symbol, uint32_t symbol_len, bool holds);
/* An update of that book was refused: a hole, whether or not the ids would show it. */
void k4_books_refused(struct k4_books *books, unsigned record, uint16_t message, const uint8_t *symbol, uint32_t symbol_len);

/* A level more for a side, or NULL: no memory. */
struct k4_level *k4_update_push_slow(struct k4_books *books, unsigned side);

K4_FAST_INLINE struct k4_level *k4_update_push(struct k4_books *books, unsigned side)
{
    struct k4_ladder *ladder = &books->update.side[side];
    if (__builtin_expect(ladder->count == ladder->room, 0))
        return k4_update_push_slow(books, side);
    return &ladder->levels[ladder->count++];
}

/* Makes a side of the update `count` levels long, for the caller to fill; NULL: no memory, or no levels. */
struct k4_level *k4_update_take(struct k4_books *books, unsigned side, uint32_t count);

/* The best levels of both sides, at most `n` of each, as decimals: bids, then asks. */
void k4_books_cut(const struct k4_book *book, uint32_t n, struct k4_decimal *price, struct k4_decimal *qty, int32_t *bid_count,
    int32_t *ask_count, uint32_t *bids, uint32_t *asks);

#endif
