#include "k4_books.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BOOKS = 16, FIRST_HELD = 4096, IDLE_LEVELS = 16384 };

int k4_books_init(struct k4_books *books)
{
    *books = (struct k4_books){0};
    k4_crc32_init(&books->crc);
    return k4_symtab_init(&books->index, FIRST_BOOKS);
}

void k4_books_fini(struct k4_books *books)
{
    for (uint32_t i = 0; i < books->count; i++) {
        k4_book_fini(&books->all[i]->book);
        free(books->all[i]->held);
        free(books->all[i]);
    }
    free(books->all);
    free(books->update.side[K4_BID].levels);
    free(books->update.side[K4_ASK].levels);
    k4_symtab_fini(&books->index);
}

static void drop_held(struct k4_kept_book *kept)
{
    free(kept->held);
    kept->held = NULL;
    kept->held_len = kept->held_room = 0;
}

void k4_books_clear(struct k4_books *books)
{
    for (uint32_t i = 0; i < books->count; i++) {
        k4_book_clear(&books->all[i]->book);
        drop_held(books->all[i]);
        books->all[i]->told = false;
    }
}

/* ---------------------------------------------------------------- updates */

struct k4_update *k4_books_begin(struct k4_books *books)
{
    struct k4_update *update = &books->update;
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        struct k4_ladder *ladder = &update->side[side];
        ladder->count = 0;
        if (ladder->room > IDLE_LEVELS) { /* after a monstrous message */
            free(ladder->levels);
            *ladder = (struct k4_ladder){0};
        }
    }
    update->event_ns = update->engine_ns = update->update_id = update->first_id = update->prev_id = K4_ABSENT;
    update->flags = 0;
    update->snapshot = 0;
    update->order = K4_ORDER_NONE;
    update->rule = K4_CHECKSUM_NONE;
    update->unfit = UINT32_MAX;
    return update;
}

struct k4_level *k4_update_push_slow(struct k4_books *books, unsigned side)
{
    struct k4_ladder *ladder = &books->update.side[side];
    if (!k4_ladder_room(ladder, ladder->count + 1)) {
        books->no_memory = true;
        return NULL;
    }
    return &ladder->levels[ladder->count++];
}

struct k4_level *k4_update_take(struct k4_books *books, unsigned side, uint32_t count)
{
    struct k4_ladder *ladder = &books->update.side[side];
    if (!k4_ladder_room(ladder, count)) {
        books->no_memory = true;
        return NULL;
    }
    ladder->count = count;
    return ladder->levels;
}

/* ---------------------------------------------------------------- books by symbol */

static struct k4_kept_book *numbered(const struct k4_books *books, int32_t number)
{
    return number < 0 ? NULL : books->all[number];
}

static struct k4_kept_book *make(struct k4_books *books, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    if (books->admits != NULL && !books->admits(books->context, record, symbol, symbol_len))
        return NULL;
    if (books->count == books->room) {
        uint32_t room = books->room == 0 ? FIRST_BOOKS : 2 * books->room;
        struct k4_kept_book **all = realloc(books->all, room * sizeof *all);
        books->no_memory |= all == NULL;
        if (all == NULL)
            return NULL;
        books->all = all;
        books->room = room;
    }
    struct k4_kept_book *kept = calloc(1, sizeof *kept);
    if (kept == NULL || k4_symtab_add(&books->index, record, symbol, symbol_len, (int32_t)books->count) != 0) {
        books->no_memory = true;
        free(kept);
        return NULL;
    }
    k4_book_clear(&kept->book);
    kept->record = (uint8_t)record;
    kept->number = books->count;
    kept->symbol_len = symbol_len;
    memcpy(kept->symbol, symbol, symbol_len);
    return books->all[books->count++] = kept;
}

/* Says what became of a book that was live or not, if it is news. */
static void tell(struct k4_books *books, struct k4_kept_book *kept, bool was, uint16_t message)
{
    const bool live = kept->book.live;
    if (books->turned == NULL || (live ? was : kept->told))
        return;
    const bool taken = books->turned(books->context, kept, message);
    kept->told = !live && taken;
}

/* ---------------------------------------------------------------- held updates */

static void hold(struct k4_books *books, struct k4_kept_book *kept)
{
    const struct k4_update *update = &books->update;
    size_t bids = update->side[K4_BID].count * sizeof(struct k4_level);
    size_t asks = update->side[K4_ASK].count * sizeof(struct k4_level);
    size_t wanted = kept->held_len + sizeof *update + bids + asks;
    if (wanted > K4_BOOKS_HELD) {
        drop_held(kept);
        return;
    }
    if (wanted > kept->held_room) {
        uint32_t room = kept->held_room == 0 ? FIRST_HELD : kept->held_room;
        while (room < wanted)
            room *= 2;
        uint8_t *held = realloc(kept->held, room);
        if (held == NULL) {
            books->no_memory = true;
            drop_held(kept);
            return;
        }
        kept->held = held;
        kept->held_room = room;
    }
    uint8_t *out = kept->held + kept->held_len;
    memcpy(out, update, sizeof *update);
    if (bids > 0)
        memcpy(out + sizeof *update, update->side[K4_BID].levels, bids);
    if (asks > 0)
        memcpy(out + sizeof *update + bids, update->side[K4_ASK].levels, asks);
    kept->held_len = (uint32_t)wanted;
}

/* Applies what was held behind the snapshot; the update then says what the last of it said. What a snapshot does not reach stays held
 * for a newer one. */
static enum k4_skip replay(struct k4_books *books, struct k4_kept_book *kept)
{
    for (uint32_t at = 0; at < kept->held_len;) {
        const uint32_t start = at;
        struct k4_update held;
        memcpy(&held, kept->held + at, sizeof held);
        at += (uint32_t)sizeof held;
        for (unsigned side = K4_BID; side <= K4_ASK; side++) {
            held.side[side].levels = (struct k4_level *)(void *)(kept->held + at); /* all parts are of whole words */
            at += held.side[side].count * (uint32_t)sizeof(struct k4_level);
        }
        const enum k4_skip skip = k4_book_apply(&kept->book, &held, &books->picture, &books->crc);
        if (skip == K4_SKIP_STALE_BOOK && kept->book.fault == K4_BOOK_GAP && !kept->book.cut[K4_BID] && !kept->book.cut[K4_ASK]) {
            kept->held_len -= start;
            memmove(kept->held, kept->held + start, kept->held_len);
            return skip;
        }
        if (skip == K4_SKIP_STALE_BOOK) {
            drop_held(kept);
            return skip;
        }
        if (skip != K4_SKIP_NOT)
            continue;
        books->update.event_ns = held.event_ns;
        books->update.engine_ns = held.engine_ns;
        books->update.update_id = held.update_id;
        books->update.flags |= held.flags;
    }
    drop_held(kept);
    return K4_SKIP_NOT;
}

/* ---------------------------------------------------------------- what happens to a book */

enum k4_skip k4_books_apply(
    struct k4_books *books, unsigned record, uint16_t message, const uint8_t *symbol, uint32_t symbol_len, bool holds)
{
    struct k4_update *update = &books->update;
    struct k4_kept_book *kept = numbered(books, k4_symtab_find_slack(&books->index, record, symbol, symbol_len));
    if (kept == NULL)
        kept = make(books, record, symbol, symbol_len);
    if (kept == NULL)
        return K4_SKIP_STALE_BOOK;
    books->book = kept;
    const bool was = kept->book.live;
    if (update->snapshot) {
        kept->told = false; /* one that does not help is news again */
        kept->shown = 0;
    }
    enum k4_skip skip = k4_book_apply(&kept->book, update, &books->picture, &books->crc);
    if (skip == K4_SKIP_NOT && update->snapshot && kept->held != NULL)
        skip = replay(books, kept);
    if (skip == K4_SKIP_STALE_BOOK && holds && !update->snapshot)
        hold(books, kept);
    tell(books, kept, was, message);
    return skip;
}

void k4_books_refused(struct k4_books *books, unsigned record, uint16_t message, const uint8_t *symbol, uint32_t symbol_len)
{
    struct k4_kept_book *kept = numbered(books, k4_symtab_find(&books->index, record, symbol, symbol_len));
    if (kept == NULL)
        return;
    const bool was = kept->book.live;
    drop_held(kept); /* what comes cannot go on from it */
    kept->book.live = false;
    kept->book.fault = K4_BOOK_REFUSED;
    tell(books, kept, was, message);
}

void k4_books_cut(const struct k4_book *book, uint32_t n, struct k4_decimal *price, struct k4_decimal *qty, int32_t *bid_count,
    int32_t *ask_count, uint32_t *bids, uint32_t *asks)
{
    int32_t *counts[2] = {bid_count, ask_count};
    uint32_t at = 0;
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        const uint32_t count = book->side[side].count < n ? book->side[side].count : n;
        for (uint32_t i = 0; i < count; i++, at++) {
            const struct k4_level *level = k4_book_level(book, side, i);
            price[at] = (struct k4_decimal){.mantissa = level->price, .fraction = level->price_fraction};
            qty[at] = (struct k4_decimal){.mantissa = level->qty, .fraction = level->qty_fraction};
            counts[side][i] = level->count;
        }
        *(side == K4_BID ? bids : asks) = count;
    }
}
