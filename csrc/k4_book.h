/* One order book: two ladders of exact levels, and the rules by which updates go on from one another.
 *
 *     ladder   worst ... second, best        the best stands last, so that what happens near the touch moves few levels
 *
 * Prices are compared by value, 71423.80 like 71423.8. A level keeps its digits as received (zeros at the end included), since
 * checksums are made of them. A ladder holds K4_BOOK_LEVELS levels; of more, the worst are given up, and the ladder knows from which price
 * on it knows nothing. When fewer than K4_BOOK_SURE levels are left above that price the book is stale, never wrong.
 * Memory grows with the levels met and stays: 24 bytes a level, at most 2 * K4_BOOK_LEVELS * 24 = 384 KiB a book.
 */
#ifndef K4_BOOK_H
#define K4_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_api.h"
#include "k4_crc32.h"
#include "k4_decimal.h"
#include "k4_decode.h"

enum { K4_BID, K4_ASK };
enum { K4_BOOK_LEVELS = 8192, K4_BOOK_SURE = 25, K4_BOOK_TOP = 20 };
enum { K4_LEVEL_FRACTION_MAX = 255 }; /* digits of a fraction as received */

/* Price and quantity are mantissas of 10^-fraction, within +-INT64_MAX; `zeros` more stood behind those digits, and count in a checksum. */
struct k4_level {
    int64_t price;
    int64_t qty;
    int32_t count; /* orders; K4_ABSENT_COUNT: not given */
    uint8_t price_fraction; /* 0 .. 128 */
    uint8_t qty_fraction;
    uint8_t price_zeros;
    uint8_t qty_zeros;
};

_Static_assert(sizeof(struct k4_level) == 24, "the memory that a book takes is stated above");

struct k4_ladder {
    struct k4_level *levels;
    uint32_t count;
    uint32_t room;
};

enum k4_checksum_rule { K4_CHECKSUM_NONE = 0, K4_CHECKSUM_INTERLEAVED_25, K4_CHECKSUM_DIGITS_10 };

/* What a message says to a book. Levels in any order; quantity 0 deletes. Ids are K4_ABSENT where not given. */
struct k4_update {
    int64_t event_ns;
    int64_t engine_ns;
    int64_t update_id;
    int64_t first_id;
    int64_t prev_id;
    uint16_t flags; /* of the records that come of it */
    uint8_t snapshot;
    uint8_t order; /* enum k4_order */
    uint8_t rule;  /* enum k4_checksum_rule */
    uint32_t checksum;
    uint32_t unfit; /* where the first value stands that no level can hold; UINT32_MAX: all fit */
    struct k4_ladder side[2];
};

/* The best levels as they were, of the sides that an update touched there; best last. */
struct k4_picture {
    bool taken[2];
    uint32_t count[2];
    struct k4_level top[2][K4_BOOK_TOP];
};

struct k4_book {
    struct k4_ladder side[2];
    struct k4_level border[2]; /* where `cut`: from this price on nothing is known */
    bool cut[2];
    bool live;
    bool fresh; /* nothing was applied since the snapshot */
    uint8_t fault; /* why it is stale: K4_BOOK_* */
    int64_t id; /* K4_ABSENT: none */
};

/* All zero is a book that has seen nothing. */
void k4_book_fini(struct k4_book *book);
/* Nothing is known from here on. Its memory stays. */
void k4_book_clear(struct k4_book *book);

/* Takes an update: K4_SKIP_NOT, K4_SKIP_UNCHANGED for one that is in already, or K4_SKIP_STALE_BOOK; then `fault` says why. May sort the
 * update's levels. `picture` is filled for k4_book_changed(). */
enum k4_skip k4_book_apply(struct k4_book *book, struct k4_update *update, struct k4_picture *picture, const struct k4_crc32 *crc);
/* Whether the best `n` <= K4_BOOK_TOP levels of a side are others, by value, than before the update. */
bool k4_book_changed(const struct k4_book *book, const struct k4_picture *picture, uint32_t n);
/* The checksum of the best levels by a rule, unsigned. */
uint32_t k4_book_checksum(const struct k4_book *book, enum k4_checksum_rule rule, const struct k4_crc32 *crc);

/* -1, 0, 1: the first price is lower, the same, higher. */
int k4_price_order_slow(const struct k4_level *a, const struct k4_level *b);

static inline int k4_price_order(const struct k4_level *a, const struct k4_level *b)
{
    if (__builtin_expect(a->price_fraction != b->price_fraction, 0))
        return k4_price_order_slow(a, b);
    return (a->price > b->price) - (a->price < b->price);
}

/* The i-th best level of a side. */
static inline const struct k4_level *k4_book_level(const struct k4_book *book, unsigned side, uint32_t i)
{
    return &book->side[side].levels[book->side[side].count - 1 - i];
}

/* Puts an update's levels into a side, each by its price; the picture is taken before the top of it changes. False: no memory, and the
 * side is void. May sort the levels. */
bool k4_book_set_side(struct k4_book *book, unsigned side, struct k4_ladder *levels, struct k4_picture *picture);
/* Equal by value. */
bool k4_level_same(const struct k4_level *a, const struct k4_level *b);
/* Room for that many levels; false: no memory. What is in it stays. */
bool k4_ladder_room(struct k4_ladder *ladder, uint32_t count);

/* Puts a decimal into a level, slowly; false: it does not fit. */
bool k4_level_price_slow(struct k4_level *level, const struct k4_decimal *value);
bool k4_level_qty_slow(struct k4_level *level, const struct k4_decimal *value);

static inline bool k4_level_price(struct k4_level *level, const struct k4_decimal *value)
{
    if (__builtin_expect((value->state | (uint32_t)value->zeros) != 0 || value->fraction > 18, 0))
        return k4_level_price_slow(level, value);
    level->price = value->mantissa;
    level->price_fraction = (uint8_t)value->fraction;
    level->price_zeros = 0;
    return true;
}

static inline bool k4_level_qty(struct k4_level *level, const struct k4_decimal *value)
{
    if (__builtin_expect((value->state | (uint32_t)value->zeros) != 0 || value->fraction > 18, 0))
        return k4_level_qty_slow(level, value);
    level->qty = value->mantissa;
    level->qty_fraction = (uint8_t)value->fraction;
    level->qty_zeros = 0;
    return true;
}

#endif
