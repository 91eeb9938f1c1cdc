/* The levels of a side of a book: values, order, and how an update is put into place. See k4_book.h. */
#include "k4_book.h"

#include <stdlib.h>
#include <string.h>

/* How many levels from the best on are looked at one by one before the others are searched. */
#define NEAR 8
/* From so many levels on an update is sorted and merged, where it is moved into place level by level otherwise. */
#define MANY 64

/* ---------------------------------------------------------------- values */

/* a * 10^-more against b, `more` > 0. */
static int order_scaled(int64_t a, unsigned more, int64_t b)
{
    if (more > 18) /* below 1, or next to nothing */
        return b != 0 ? (b > 0 ? -1 : 1) : (a > 0) - (a < 0);
    const int64_t power = k4_power10[more];
    const int64_t whole = a / power;
    const int64_t rest = a % power;
    if (whole != b)
        return whole > b ? 1 : -1;
    return (rest > 0) - (rest < 0);
}

static int order_values(int64_t a, unsigned a_fraction, int64_t b, unsigned b_fraction)
{
    if (a_fraction > b_fraction)
        return order_scaled(a, a_fraction - b_fraction, b);
    if (a_fraction < b_fraction)
        return -order_scaled(b, b_fraction - a_fraction, a);
    return (a > b) - (a < b);
}

int k4_price_order_slow(const struct k4_level *a, const struct k4_level *b)
{
    return order_values(a->price, a->price_fraction, b->price, b->price_fraction);
}

bool k4_level_same(const struct k4_level *a, const struct k4_level *b)
{
    return a->count == b->count && k4_price_order(a, b) == 0 && order_values(a->qty, a->qty_fraction, b->qty, b->qty_fraction) == 0;
}

/* The value by itself, as a record would hold it. */
static bool fit(const struct k4_decimal *value, int64_t *mantissa, uint8_t *fraction, uint8_t *zeros)
{
    struct k4_decimal alone = *value;
    int8_t exponent;
    if (value->state == K4_DECIMAL_ABSENT || value->fraction > K4_LEVEL_FRACTION_MAX || k4_decimal_align(&alone, 1, &exponent) >= 0)
        return false;
    *mantissa = alone.mantissa;
    *fraction = (uint8_t)-exponent;
    *zeros = (uint8_t)(value->fraction + exponent);
    return true;
}

bool k4_level_price_slow(struct k4_level *level, const struct k4_decimal *value)
{
    return fit(value, &level->price, &level->price_fraction, &level->price_zeros);
}

bool k4_level_qty_slow(struct k4_level *level, const struct k4_decimal *value)
{
    return fit(value, &level->qty, &level->qty_fraction, &level->qty_zeros);
}

/* ---------------------------------------------------------------- ladders */

bool k4_ladder_room(struct k4_ladder *ladder, uint32_t count)
{
    uint32_t room = ladder->room < 32 ? 32 : ladder->room;
    if (count <= ladder->room)
        return true;
    while (room < count)
        room *= 2;
    struct k4_level *levels = realloc(ladder->levels, room * sizeof *levels);
    if (levels == NULL)
        return false;
    ladder->levels = levels;
    ladder->room = room;
    return true;
}

/* Above 0: `a` is the better price. */
static inline int order(unsigned side, const struct k4_level *a, const struct k4_level *b)
{
    return side == K4_BID ? k4_price_order(a, b) : -k4_price_order(a, b);
}

/* How many levels are worse. */
static uint32_t worse_than(const struct k4_ladder *ladder, unsigned side, const struct k4_level *level)
{
    uint32_t low = 0, high = ladder->count;
    for (int i = 0; i < NEAR; i++, high--)
        if (high == 0 || order(side, level, &ladder->levels[high - 1]) > 0)
            return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (order(side, level, &ladder->levels[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_picture(const struct k4_book *book, unsigned side, struct k4_picture *picture)
{
    const struct k4_ladder *ladder = &book->side[side];
    const uint32_t count = ladder->count < K4_BOOK_TOP ? ladder->count : K4_BOOK_TOP;
    if (picture->taken[side])
        return;
    picture->taken[side] = true;
    picture->count[side] = count;
    if (count > 0)
        memcpy(picture->top[side], ladder->levels + ladder->count - count, count * sizeof *ladder->levels);
}

/* Gives up the worst levels, and what they said about the prices from there on. */
static void cut_off(struct k4_book *book, unsigned side, uint32_t count)
{
    struct k4_ladder *ladder = &book->side[side];
    book->border[side] = ladder->levels[count - 1];
    book->cut[side] = true;
    ladder->count -= count;
    memmove(ladder->levels, ladder->levels + count, ladder->count * sizeof *ladder->levels);
}

static bool set_level(struct k4_book *book, unsigned side, const struct k4_level *level, struct k4_picture *picture)
{
    struct k4_ladder *ladder = &book->side[side];
    if (book->cut[side] && order(side, level, &book->border[side]) <= 0)
        return true;
    uint32_t at = worse_than(ladder, side, level);
    const bool there = at < ladder->count && k4_price_order(level, &ladder->levels[at]) == 0;
    if (!there && level->qty == 0)
        return true;
    const uint32_t behind = ladder->count - at - there; /* better ones */
    if (behind < K4_BOOK_TOP)
        take_picture(book, side, picture);
    if (there && level->qty != 0) {
        ladder->levels[at] = *level;
        return true;
    }
    if (there) {
        ladder->count--;
        memmove(ladder->levels + at, ladder->levels + at + 1, behind * sizeof *level);
        return true;
    }
    if (ladder->count == K4_BOOK_LEVELS) {
        cut_off(book, side, K4_BOOK_LEVELS / 8); /* many at a time: the rest is moved */
        if (order(side, level, &book->border[side]) <= 0)
            return true;
        at -= K4_BOOK_LEVELS / 8;
    } else if (!k4_ladder_room(ladder, ladder->count + 1))
        return false;
    memmove(ladder->levels + at + 1, ladder->levels + at, behind * sizeof *level);
    ladder->levels[at] = *level;
    ladder->count++;
    return true;
}

/* ---------------------------------------------------------------- many levels at once */

/* Worst first, equal prices as they come; `other` has as much room. */
static void sort_levels(struct k4_level *levels, struct k4_level *other, uint32_t count, unsigned side)
{
    struct k4_level *from = levels, *to = other;
    for (uint32_t run = 1; run < count; run *= 2) {
        for (uint32_t start = 0; start < count; start += 2 * run) {
            const uint32_t middle = count - start < run ? count : start + run;
            const uint32_t end = count - start < 2 * run ? count : start + 2 * run;
            uint32_t a = start, b = middle;
            for (uint32_t i = start; i < end; i++)
                to[i] = b == end || (a < middle && order(side, &from[a], &from[b]) <= 0) ? from[a++] : from[b++];
        }
        struct k4_level *swap = from;
        from = to;
        to = swap;
    }
    if (from != levels && count > 0)
        memcpy(levels, from, count * sizeof *levels);
}

/* Of equal prices the last one counts, and it has the say over what the ladder has. */
static uint32_t merge(struct k4_level *out, const struct k4_ladder *old, const struct k4_ladder *new, unsigned side)
{
    uint32_t count = 0, a = 0, b = 0;
    while (a < old->count || b < new->count) {
        const int which = a == old->count ? 1 : b == new->count ? -1 : order(side, &old->levels[a], &new->levels[b]);
        if (which < 0) {
            out[count++] = old->levels[a++];
            continue;
        }
        a += which == 0;
        while (b + 1 < new->count && k4_price_order(&new->levels[b], &new->levels[b + 1]) == 0)
            b++;
        if (new->levels[b].qty != 0)
            out[count++] = new->levels[b];
        b++;
    }
    return count;
}

static bool set_many(struct k4_book *book, unsigned side, struct k4_ladder *levels, struct k4_picture *picture)
{
    struct k4_ladder *ladder = &book->side[side];
    struct k4_level *all = malloc(((size_t)ladder->count + levels->count) * sizeof *all);
    if (all == NULL)
        return false;
    take_picture(book, side, picture);
    sort_levels(levels->levels, all, levels->count, side);
    uint32_t count = merge(all, ladder, levels, side);
    uint32_t skip = 0; /* the worst: behind the border, or too many */
    while (book->cut[side] && skip < count && order(side, &all[skip], &book->border[side]) <= 0)
        skip++;
    if (count - skip > K4_BOOK_LEVELS) {
        skip = count - K4_BOOK_LEVELS;
        book->border[side] = all[skip - 1];
        book->cut[side] = true;
    }
    count -= skip;
    const bool room = k4_ladder_room(ladder, count);
    if (room) {
        if (count > 0)
            memcpy(ladder->levels, all + skip, count * sizeof *all);
        ladder->count = count;
    }
    free(all);
    return room;
}

/* Is it a whole side, best first, each price once? */
static bool is_ladder(const struct k4_ladder *levels, unsigned side)
{
    for (uint32_t i = 0; i < levels->count; i++)
        if (levels->levels[i].qty == 0 || (i > 0 && order(side, &levels->levels[i - 1], &levels->levels[i]) <= 0))
            return false;
    return levels->count <= K4_BOOK_LEVELS;
}

bool k4_book_set_side(struct k4_book *book, unsigned side, struct k4_ladder *levels, struct k4_picture *picture)
{
    struct k4_ladder *ladder = &book->side[side];
    if (ladder->count == 0 && !book->cut[side] && levels->count > 1 && is_ladder(levels, side)) {
        take_picture(book, side, picture);
        if (!k4_ladder_room(ladder, levels->count))
            return false;
        for (uint32_t i = 0; i < levels->count; i++)
            ladder->levels[levels->count - 1 - i] = levels->levels[i];
        ladder->count = levels->count;
        return true;
    }
    if (levels->count >= MANY)
        return set_many(book, side, levels, picture);
    for (uint32_t i = 0; i < levels->count; i++)
        if (!set_level(book, side, &levels->levels[i], picture))
            return false;
    return true;
}
