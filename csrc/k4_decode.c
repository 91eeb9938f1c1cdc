/* One frame through the tiers, and the offline decoder that tools use.
 *
 * The offline decoder is the only part that allocates: it copies a frame to a place with slack and keeps all items of it, however
 * many, where a connection would hand them on.
 */
#include "k4_decode.h"

#include <stdlib.h>
#include <string.h>

#include "k4_api.h"
#include "k4_books.h"
#include "k4_told.h"
#include "k4_unpack.h"

/* The most that a payload may hold. */
enum { UNPACKED_MAX = 64 * 1024 * 1024 };

void k4_decode(const struct k4_product *product, const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    if (product->fast(text, len, scratch)) {
        scratch->tier = K4_TIER_FAST;
        return;
    }
    product->tolerant(text, len, scratch);
    scratch->tier = K4_TIER_TOLERANT;
}

/* ---- offline */

struct k4_decoder {
    const struct k4_product *product;
    int tier;
    bool no_memory;
    uint8_t *frame; /* room for `room` bytes, slack on both sides */
    size_t room;
    struct k4_item *items; /* all of the last frame */
    size_t count;
    size_t capacity;
    uint8_t *symbol;
    uint32_t symbol_len;
    uint8_t known[K4_SYMBOL_MAX + K4_SLACK]; /* what the last body was fetched for */
    struct k4_books books; /* of every symbol met */
    struct k4_told told;
    struct k4_unpack unpack;
    struct k4_scratch scratch;
};

/* An item in a place of its own: a symbol that was rewritten stands in the item itself. */
static void copy_item(struct k4_item *to, const struct k4_item *from)
{
    *to = *from;
    if (from->symbol == from->folded)
        to->symbol = to->folded;
}

static void keep(void *context, struct k4_scratch *scratch)
{
    struct k4_decoder *decoder = context;
    size_t wanted = decoder->count + scratch->count;
    if (wanted > decoder->capacity && !decoder->no_memory) {
        size_t capacity = wanted < 64 ? 64 : 2 * wanted;
        struct k4_item *items = malloc(capacity * sizeof *items);
        if (items == NULL) {
            decoder->no_memory = true;
            return;
        }
        for (size_t i = 0; i < decoder->count; i++)
            copy_item(&items[i], &decoder->items[i]);
        free(decoder->items);
        decoder->items = items;
        decoder->capacity = capacity;
    }
    for (uint32_t i = 0; i < scratch->count && !decoder->no_memory; i++)
        copy_item(&decoder->items[decoder->count++], &scratch->items[i]);
}

k4_decoder *k4_decoder_open(const k4_product *product, const char *symbol, int tier)
{
    struct k4_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL || k4_books_init(&decoder->books) != 0) {
        free(decoder);
        return NULL;
    }
    k4_unpack_init(&decoder->unpack, UNPACKED_MAX);
    decoder->product = product;
    decoder->tier = tier;
    decoder->scratch.flush = keep;
    decoder->scratch.context = decoder;
    decoder->scratch.books = &decoder->books;
    decoder->scratch.told = &decoder->told;
    size_t len = strlen(symbol);
    if (len > 0) {
        decoder->symbol = calloc(1, len + 2 * K4_SLACK);
        if (decoder->symbol == NULL) {
            k4_decoder_close(decoder);
            return NULL;
        }
        memcpy(decoder->symbol + K4_SLACK, symbol, len);
        decoder->scratch.symbol = decoder->symbol + K4_SLACK;
        decoder->scratch.symbol_len = decoder->symbol_len = (uint32_t)len;
    }
    return decoder;
}

void k4_decoder_close(k4_decoder *decoder)
{
    if (decoder == NULL)
        return;
    free(decoder->frame);
    free(decoder->items);
    free(decoder->symbol);
    k4_books_fini(&decoder->books);
    k4_unpack_fini(&decoder->unpack);
    free(decoder);
}

void k4_decoder_sure(k4_decoder *decoder)
{
    decoder->scratch.sure = true;
}

static bool make_room(struct k4_decoder *decoder, size_t len)
{
    if (decoder->frame != NULL && len <= decoder->room)
        return true;
    size_t room = len < 4096 ? 4096 : 2 * len;
    uint8_t *frame = calloc(1, room + 2 * K4_SLACK);
    if (frame == NULL)
        return false;
    free(decoder->frame);
    decoder->frame = frame;
    decoder->room = room;
    return true;
}

/* The frame in its own place, with nothing of the one before. NULL: no memory. */
static uint8_t *begin(struct k4_decoder *decoder, const uint8_t *bytes, size_t len)
{
    if (!make_room(decoder, len))
        return NULL;
    uint8_t *frame = decoder->frame + K4_SLACK;
    if (len > 0)
        memcpy(frame, bytes, len);
    memset(frame + len, 0, K4_SLACK);
    decoder->count = 0;
    decoder->no_memory = decoder->books.no_memory = false;
    return frame;
}

static int end(struct k4_decoder *decoder)
{
    keep(decoder, &decoder->scratch);
    decoder->scratch.count = 0;
    return decoder->no_memory || decoder->books.no_memory ? -2 : (int)decoder->count;
}

int k4_decoder_push(k4_decoder *decoder, const uint8_t *text, size_t len)
{
    struct k4_scratch *scratch = &decoder->scratch;
    uint8_t *frame = begin(decoder, text, len);
    if (frame == NULL)
        return -2;
    if (decoder->tier == K4_TIER_TOLERANT)
        decoder->product->tolerant(frame, len, scratch);
    else if (decoder->tier == K4_TIER_FAST) {
        if (!decoder->product->fast(frame, len, scratch))
            return -1;
        scratch->tier = K4_TIER_FAST;
    } else
        k4_decode(decoder->product, frame, len, scratch);
    return end(decoder);
}

int k4_decoder_fetched(k4_decoder *decoder, int message, const uint8_t *symbol, uint32_t symbol_len, const uint8_t *body, size_t len)
{
    struct k4_scratch *scratch = &decoder->scratch;
    if (decoder->product->fetched == NULL || symbol_len > K4_SYMBOL_MAX)
        return -1;
    const uint8_t *text = begin(decoder, body, len);
    if (text == NULL)
        return -2;
    memcpy(decoder->known, symbol, symbol_len);
    scratch->symbol = decoder->known;
    scratch->symbol_len = symbol_len;
    decoder->product->fetched((uint16_t)message, text, len, scratch);
    scratch->symbol = decoder->symbol == NULL ? NULL : decoder->symbol + K4_SLACK;
    scratch->symbol_len = decoder->symbol_len;
    return end(decoder);
}

/* What cannot be unpacked has no text that an offset could point into. */
static int push_packed(k4_decoder *decoder, const uint8_t *bytes, size_t len)
{
    const uint8_t *text;
    size_t text_len;
    k4_unpack_clear(&decoder->unpack);
    const enum k4_inflated status = k4_unpack_text(&decoder->unpack, decoder->product->encoding, bytes, len, &text, &text_len);
    if (status == K4_INFLATED)
        return k4_decoder_push(decoder, text, text_len);
    if (status == K4_INFLATE_NO_MEMORY || begin(decoder, bytes, 0) == NULL)
        return -2;
    decoder->scratch.count = 1;
    decoder->scratch.skip = K4_SKIP_NOT;
    decoder->scratch.tier = K4_TIER_TOLERANT;
    decoder->scratch.items[0] = (struct k4_item){.refusal = K4_REFUSED_MALFORMED, .message = K4_NO_MESSAGE};
    return end(decoder);
}

int k4_decoder_push_binary(k4_decoder *decoder, const uint8_t *bytes, size_t len)
{
    if (decoder->product->encoding != K4_ENCODING_NONE)
        return push_packed(decoder, bytes, len);
    if (decoder->product->sbe == NULL)
        return k4_decoder_push(decoder, bytes, len);
    const uint8_t *frame = begin(decoder, bytes, len);
    if (frame == NULL)
        return -2;
    decoder->product->sbe(frame, len, &decoder->scratch);
    decoder->scratch.tier = K4_TIER_SBE;
    return end(decoder);
}

void k4_decoder_item(const k4_decoder *decoder, int i, k4_decoded *out)
{
    const struct k4_item *item = &decoder->items[i];
    *out = (k4_decoded){
        .record = item->record,
        .refusal = item->refusal,
        .message = item->message == K4_NO_MESSAGE ? -1 : item->message,
        .offset = item->offset,
        .symbol_len = item->symbol_len,
        .symbol = item->symbol,
        .data = (const uint8_t *)&item->as,
        .size = item->record == 0 ? 0 : k4_record_size[item->record],
    };
}

int k4_decoder_skip(const k4_decoder *decoder)
{
    return decoder->scratch.skip;
}

int k4_decoder_skip_message(const k4_decoder *decoder)
{
    return decoder->scratch.skip_message == K4_NO_MESSAGE ? -1 : decoder->scratch.skip_message;
}

int k4_decoder_tier(const k4_decoder *decoder)
{
    return decoder->scratch.tier;
}

void k4_decoder_drift(const k4_decoder *decoder, uint64_t *unknown_keys, uint64_t *retyped)
{
    *unknown_keys = decoder->scratch.unknown_keys;
    *retyped = decoder->scratch.retyped;
}
