/* What the decoding targets and replay.c have in common: one text through the tiers of one product, in memory that ends with the slack.
 *
 * Checked on every input:
 *   - no byte outside text and slack is read (AddressSanitizer; each text stands in a block of its own);
 *   - what stands in the slack changes nothing: the text is read with different surroundings, a cut one with what was cut off;
 *   - what the fast tier takes, the tolerant tier gives too: the same items and reasons, records byte by byte;
 *   - a text that is refused as a whole gives one refusal and nothing else, with its offset inside the text;
 *   - with a given symbol the fast tier declines.
 */
#ifndef FUZZ_DECODE_H
#define FUZZ_DECODE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_books.h"
#include "k4_decode.h"

/* All items of one text, however many. */
struct outcome {
    struct k4_item *items;
    size_t count, room;
    bool taken;
    uint16_t skip, skip_message;
    bool begun;
    struct k4_books books; /* each text meets books that have seen nothing */
    struct k4_scratch scratch;
};

static void claim(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

static void keep(void *context, struct k4_scratch *scratch)
{
    struct outcome *outcome = context;
    claim(scratch->count <= K4_SCRATCH_ITEMS, "no more items than there is room");
    if (outcome->count + scratch->count > outcome->room) {
        outcome->room = 2 * (outcome->count + scratch->count);
        outcome->items = realloc(outcome->items, outcome->room * sizeof *outcome->items);
        if (outcome->items == NULL)
            abort();
    }
    for (uint32_t i = 0; i < scratch->count; i++) {
        struct k4_item *to = &outcome->items[outcome->count++];
        const struct k4_item *from = &scratch->items[i];
        *to = *from;
        if (from->record == 0)
            continue;
        /* A symbol points into a text that will be gone, or into the item that was reused: kept by value. */
        claim(from->symbol_len <= K4_SYMBOL_MAX, "a symbol is short");
        uint8_t symbol[K4_SYMBOL_MAX];
        memcpy(symbol, from->symbol, from->symbol_len);
        memcpy(to->folded, symbol, from->symbol_len);
        to->symbol = to->folded;
    }
    scratch->count = 0;
}

enum { ZEROS, DIGITS, PUNCTUATION, NO_UTF8, REST };

/* What stands behind a text that is cut: used with REST. */
static const uint8_t *rest;
static size_t rest_len;

/* `text` in a block of exactly its size and the slack, which `fill` says: zeros, digits, what a JSON text would go on with, or did. */
static uint8_t *place(const uint8_t *text, size_t len, unsigned fill)
{
    static const char *const around[] = {[ZEROS] = "\0", [DIGITS] = "9", [PUNCTUATION] = "\"}]},{\"", [NO_UTF8] = "\xff", [REST] = "9"};
    const char *pattern = around[fill];
    size_t period = fill == ZEROS ? 1 : strlen(pattern);
    uint8_t *block = malloc(len + 2 * K4_SLACK);
    if (block == NULL)
        abort();
    for (size_t i = 0; i < K4_SLACK; i++) {
        block[i] = (uint8_t)pattern[i % period];
        block[K4_SLACK + len + i] = (uint8_t)pattern[i % period];
    }
    if (len != 0)
        memcpy(block + K4_SLACK, text, len);
    if (fill == REST)
        memcpy(block + K4_SLACK + len, rest, rest_len < K4_SLACK ? rest_len : K4_SLACK);
    return block;
}

static void clear(struct outcome *outcome, const uint8_t *symbol, size_t symbol_len)
{
    struct k4_scratch *scratch = &outcome->scratch;
    memset(scratch->items, 0xa5, 2 * sizeof scratch->items[0]); /* what a parser leaves unfilled shows */
    scratch->count = 0;
    scratch->skip = K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    scratch->symbol = symbol;
    scratch->symbol_len = (uint32_t)symbol_len;
    scratch->flush = keep;
    scratch->context = outcome;
    scratch->books = &outcome->books;
    if (!outcome->begun && k4_books_init(&outcome->books) != 0)
        abort();
    outcome->begun = true;
    k4_books_clear(&outcome->books);
    outcome->count = 0;
}

static void note(struct outcome *outcome)
{
    keep(outcome, &outcome->scratch);
    outcome->skip = outcome->scratch.skip;
    outcome->skip_message = outcome->scratch.skip_message;
}

static void run_tolerant(struct outcome *outcome, const struct k4_product *product, const uint8_t *text, size_t len, unsigned fill)
{
    uint8_t *block = place(text, len, fill);
    product->tolerant(block + K4_SLACK, len, &outcome->scratch);
    note(outcome);
    free(block);
}

static void run_fast(struct outcome *outcome, const struct k4_product *product, const uint8_t *text, size_t len, unsigned fill)
{
    uint8_t *block = place(text, len, fill);
    outcome->taken = product->fast(block + K4_SLACK, len, &outcome->scratch);
    if (outcome->taken)
        note(outcome);
    free(block);
}

static void same_item(const struct k4_item *a, const struct k4_item *b)
{
    claim(a->record == b->record && a->message == b->message, "record and message agree");
    if (a->record == 0) {
        claim(a->refusal == b->refusal && a->offset == b->offset, "refusal and offset agree");
        return;
    }
    claim(a->symbol_len == b->symbol_len && memcmp(a->symbol, b->symbol, a->symbol_len) == 0, "symbols agree");
    claim(memcmp(&a->as, &b->as, k4_record_size[a->record]) == 0, "records agree byte by byte");
}

static void same(const struct outcome *a, const struct outcome *b)
{
    claim(a->count == b->count, "as many items");
    claim(a->skip == b->skip && a->skip_message == b->skip_message, "skip reasons agree");
    for (size_t i = 0; i < a->count; i++)
        same_item(&a->items[i], &b->items[i]);
}

static void check_whole(const struct k4_product *product, const struct outcome *outcome, size_t len)
{
    claim((outcome->count == 0) == (outcome->skip != K4_SKIP_NOT), "items, or a reason why there are none");
    for (size_t i = 0; i < outcome->count; i++) {
        const struct k4_item *item = &outcome->items[i];
        if (item->record != 0) {
            claim(item->record <= K4_RECORD_COUNT && item->message < product->message_count, "a record comes of a message");
            continue;
        }
        claim(item->refusal != K4_REFUSED_NOT && item->refusal <= K4_REFUSED_SYMBOL, "a refusal has a code");
        claim(item->offset <= len, "and a place in the text");
        if (item->refusal == K4_REFUSED_MALFORMED || item->refusal == K4_REFUSED_DEPTH)
            claim(item->message == K4_NO_MESSAGE, "a text that is none is refused as a whole");
        if (item->message == K4_NO_MESSAGE)
            claim(outcome->count == 1, "what is refused as a whole gives nothing else");
    }
}

static void run_sbe(struct outcome *outcome, const struct k4_product *product, const uint8_t *bytes, size_t len, unsigned fill)
{
    uint8_t *block = place(bytes, len, fill);
    clear(outcome, NULL, 0);
    product->sbe(block + K4_SLACK, len, &outcome->scratch);
    note(outcome);
    free(block);
}

/* One frame of SBE: what stands in the slack changes nothing, a frame gives items or a reason. */
static __attribute__((unused)) void fuzz_binary(const struct k4_product *product, const uint8_t *bytes, size_t len)
{
    static struct outcome first, again;
    run_sbe(&first, product, bytes, len, ZEROS);
    check_whole(product, &first, len);
    for (unsigned fill = DIGITS; fill <= NO_UTF8; fill++) {
        run_sbe(&again, product, bytes, len, fill);
        same(&first, &again);
    }
}

static __attribute__((unused)) void fuzz_decode(const struct k4_product *product, const uint8_t *text, size_t len)
{
    static struct outcome tolerant, again, fast;
    static const uint8_t symbol[2 * K4_SLACK] = "FOOBAR";
    clear(&tolerant, NULL, 0);
    run_tolerant(&tolerant, product, text, len, ZEROS);
    check_whole(product, &tolerant, len);
    for (unsigned fill = DIGITS; fill <= NO_UTF8; fill++) {
        clear(&fast, NULL, 0);
        run_fast(&fast, product, text, len, fill);
        if (fast.taken) {
            claim((fast.count > 0) == (fast.skip == K4_SKIP_NOT), "what is taken gives items, or a reason why not");
            same(&tolerant, &fast);
        }
    }
    clear(&again, NULL, 0);
    run_tolerant(&again, product, text, len, DIGITS + (unsigned)(len % 3));
    same(&tolerant, &again);
    clear(&again, symbol, 6);
    run_tolerant(&again, product, text, len, PUNCTUATION);
    check_whole(product, &again, len);
    clear(&fast, symbol, 6);
    run_fast(&fast, product, text, len, PUNCTUATION);
    claim(!fast.taken, "with a given symbol the fast tier declines");
}

#endif
