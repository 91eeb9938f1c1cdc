#include "k4_book.h"

#include <stdlib.h>

void k4_book_fini(struct k4_book *book)
{
    free(book->side[K4_BID].levels);
    free(book->side[K4_ASK].levels);
}

void k4_book_clear(struct k4_book *book)
{
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        book->side[side].count = 0;
        book->cut[side] = false;
    }
    book->live = book->fresh = false;
    book->fault = K4_BOOK_NO_SNAPSHOT;
    book->id = K4_ABSENT;
}

/* Whether a change goes on from what the book holds: K4_SKIP_NOT if so. The rules are those of the spec language. */
static enum k4_skip goes_on(const struct k4_book *book, const struct k4_update *update)
{
    const int64_t new = update->update_id, old = book->id, first = update->first_id, prev = update->prev_id;
    if (update->order == K4_ORDER_LEADER && prev == K4_ABSENT && first == K4_ABSENT)
        return K4_SKIP_NOT;
    if (old == K4_ABSENT || new == K4_ABSENT) {
        const bool judged = new == K4_ABSENT && update->rule != K4_CHECKSUM_NONE; /* without ids, the checksum tells */
        return old == K4_ABSENT && (book->fresh || judged) ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
    }
    if (prev != K4_ABSENT && prev == old)
        return K4_SKIP_NOT; /* also where the new id is lower: the venue's own reset */
    if (new <= old)
        return K4_SKIP_UNCHANGED;
    const bool spans = first != K4_ABSENT && first - 1 <= old; /* old < new here */
    if (prev != K4_ABSENT) /* a snapshot's id need not be one that an update ends with */
        return book->fresh && spans ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
    if (first != K4_ABSENT)
        return spans ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
    if (update->order == K4_ORDER_CONTIGUOUS)
        return new - 1 == old ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
    return K4_SKIP_NOT;
}

static enum k4_skip spoil(struct k4_book *book, int fault)
{
    book->live = false;
    book->fault = (uint8_t)fault;
    return K4_SKIP_STALE_BOOK;
}

enum k4_skip k4_book_apply(struct k4_book *book, struct k4_update *update, struct k4_picture *picture, const struct k4_crc32 *crc)
{
    picture->taken[K4_BID] = picture->taken[K4_ASK] = false;
    if (update->snapshot) {
        k4_book_clear(book);
        book->live = book->fresh = true;
        book->fault = K4_BOOK_LIVE;
    } else {
        if (!book->live)
            return K4_SKIP_STALE_BOOK;
        enum k4_skip verdict = goes_on(book, update);
        if (verdict == K4_SKIP_STALE_BOOK)
            return spoil(book, K4_BOOK_GAP);
        if (verdict != K4_SKIP_NOT)
            return verdict;
        book->fresh = false;
    }
    if (update->snapshot || update->update_id != K4_ABSENT)
        book->id = update->update_id;
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        if (!k4_book_set_side(book, side, &update->side[side], picture))
            return spoil(book, K4_BOOK_NO_MEMORY);
        if (book->cut[side] && book->side[side].count < K4_BOOK_SURE)
            return spoil(book, K4_BOOK_GAP);
    }
    if (update->rule != K4_CHECKSUM_NONE && k4_book_checksum(book, (enum k4_checksum_rule)update->rule, crc) != update->checksum)
        return spoil(book, K4_BOOK_CHECKSUM);
    return K4_SKIP_NOT;
}

bool k4_book_changed(const struct k4_book *book, const struct k4_picture *picture, uint32_t n)
{
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        if (!picture->taken[side])
            continue;
        const uint32_t was = picture->count[side] < n ? picture->count[side] : n;
        const uint32_t is = book->side[side].count < n ? book->side[side].count : n;
        if (was != is)
            return true;
        for (uint32_t i = 0; i < n && i < is; i++)
            if (!k4_level_same(k4_book_level(book, side, i), &picture->top[side][picture->count[side] - 1 - i]))
                return true;
    }
    return false;
}
