/* Measures decoders of any exchange's messages over a file of frames.
 *
 *   decode EXCHANGE PRODUCT text|binary FILE ROUNDS      a line per decoder, in columns parted by tabs: name, what the fast tier declined
 *                                                        in percent, nanoseconds per frame of each round
 *
 * First every frame is given to every decoder, and what they fill in is compared: symbols and records, or the update of a book, byte for
 * byte. Books are given no place, so that an update is read and nothing more. Rounds of the decoders alternate, so that a machine that
 * slows down slows all of them.
 */
#define _POSIX_C_SOURCE 199309L

#include "frames.h"
#include "k4_api.h"
#include "k4_books.h"
#include "k4_decode.h"
#include "k4_told.h"
#include "peer.h"

enum { MAX_ROUNDS = 1000, MAX_DECODERS = 5 };

struct decoder {
    const char *name;
    peer_decode *decode;
    bool whole; /* fills everything in */
    double measured[MAX_ROUNDS];
};

static struct frame frames[MAX_FRAMES];
static struct decoder decoders[MAX_DECODERS];
static size_t decoder_count;
static struct k4_scratch scratch;
static struct k4_books books;
static struct k4_told names;
static const struct k4_product *product;

/* Whose the last update was. */
static const uint8_t *told;
static uint32_t told_len;

static bool nobody(void *context, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    (void)context;
    (void)record;
    told = symbol;
    told_len = symbol_len;
    return false;
}

static void spill(void *context, struct k4_scratch *full)
{
    (void)context;
    full->count = 0;
}

static bool answered(void)
{
    return scratch.count > 0 ? scratch.items[0].record != 0 : scratch.skip == K4_SKIP_STALE_BOOK;
}

/* As frames are received: what the fast tier declines, the tolerant one reads. */
static bool fast(const uint8_t *text, size_t len, struct k4_scratch *out)
{
    k4_decode(product, text, len, out);
    return answered();
}

static bool tolerant(const uint8_t *text, size_t len, struct k4_scratch *out)
{
    product->tolerant(text, len, out);
    return answered();
}

static bool sbe(const uint8_t *text, size_t len, struct k4_scratch *out)
{
    product->sbe(text, len, out);
    return answered();
}

static void add(const char *name, peer_decode *decode, bool whole)
{
    decoders[decoder_count++] = (struct decoder){.name = name, .decode = decode, .whole = whole};
}

static void add_peer(const char *name, const struct peer *peers)
{
    for (const struct peer *peer = peers; peer->exchange != NULL; peer++)
        if (strcmp(peer->exchange, product->exchange) == 0 && strcmp(peer->product, product->name) == 0)
            add(name, peer->decode, true);
}

static void choose(const char *mode)
{
    (void)add_peer;
    if (strcmp(mode, "binary") == 0) {
        add("sbe", sbe, true);
        return;
    }
    add("fast", fast, true);
    add("tolerant", tolerant, true);
#if defined(K4_BENCH_YYJSON)
    add_peer("yyjson", yyjson_peers);
    add("yyjson, document", yyjson_document, false);
#endif
#if defined(K4_BENCH_SIMDJSON)
    add_peer("simdjson", simdjson_peers);
#endif
}

/* ---------------------------------------------------------------- what was filled in */

static uint64_t mixed(uint64_t sum, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t sum_of_update(void)
{
    const struct k4_update *update = &books.update;
    const int64_t fields[] = {update->event_ns, update->engine_ns, update->update_id, update->first_id, update->prev_id, update->snapshot,
        update->rule, update->rule == K4_CHECKSUM_NONE ? 0 : update->checksum};
    uint64_t sum = mixed(mixed(1, fields, sizeof fields), told, told_len);
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        sum = mixed(sum, &update->side[side].count, sizeof update->side[side].count);
        sum = mixed(sum, update->side[side].levels, update->side[side].count * sizeof(struct k4_level));
    }
    return sum;
}

static uint64_t sum_of_item(uint64_t sum, struct k4_item *item)
{
    struct k4_common *common = (struct k4_common *)&item->as;
    common->instrument = 0; /* these are the feed's */
    common->source = 0;
    common->recv_ns = 0;
    sum = mixed(sum, &item->record, sizeof item->record);
    sum = mixed(sum, item->symbol, item->symbol_len);
    return mixed(sum, &item->as, k4_record_size[item->record]);
}

/* Of everything that the last frame gave. */
static uint64_t sum_of_scratch(void)
{
    if (scratch.count == 0)
        return sum_of_update();
    uint64_t sum = 0;
    for (uint32_t i = 0; i < scratch.count; i++)
        sum = sum_of_item(sum, &scratch.items[i]);
    return sum;
}

static bool decoded(const struct decoder *decoder, const struct frame *frame)
{
    scratch.count = 0;
    scratch.skip = K4_SKIP_NOT;
    return decoder->decode(frame->text, frame->len, &scratch);
}

/* Gives every frame to every decoder. False, with a sentence, where one reads it otherwise than the first. */
static bool agree(size_t count, double *declined)
{
    size_t other_tier = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t first = 0;
        for (size_t d = 0; d < decoder_count; d++) {
            told_len = 0;
            memset(scratch.items, 0xa5, sizeof scratch.items); /* what is not filled in differs */
            const bool read = decoded(&decoders[d], &frames[i]);
            const uint64_t sum = read && decoders[d].whole ? sum_of_scratch() : 0;
            other_tier += d == 0 && scratch.tier == K4_TIER_TOLERANT;
            first = d == 0 ? sum : first;
            if (!read || (decoders[d].whole && sum != first)) {
                const char *what = read ? "reads otherwise than the first decoder" : "does not read";
                fprintf(stderr, "%s %s frame %zu: %.*s\n", decoders[d].name, what, i, (int)frames[i].len, (const char *)frames[i].text);
                return false;
            }
        }
    }
    *declined = 100.0 * (double)other_tier / (double)count;
    return true;
}

/* ---------------------------------------------------------------- measuring */

static double round_of(const struct decoder *decoder, size_t count)
{
    size_t unread = 0;
    const double start = spent_ns();
    for (size_t i = 0; i < count; i++)
        unread += !decoded(decoder, &frames[i]);
    const double spent = spent_ns() - start;
    if (unread != 0)
        abort(); /* it did before */
    return spent / (double)count;
}

int main(int argc, char **argv)
{
    product = argc == 6 ? k4_product_find(argv[1], argv[2]) : NULL;
    const size_t count = product != NULL ? load_frames(argv[4], frames) : 0;
    const int rounds = count > 0 ? atoi(argv[5]) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS || k4_books_init(&books) != 0) {
        fprintf(stderr, "decode EXCHANGE PRODUCT text|binary FILE ROUNDS: a product, a file of frames, 1 to %d rounds\n", MAX_ROUNDS);
        return 2;
    }
    books.admits = nobody;
    scratch.books = &books;
    scratch.told = &names;
    scratch.sure = true;
    scratch.flush = spill;
    choose(argv[3]);
    double declined = 0;
    if (!agree(count, &declined))
        return 1;
    for (int round = 0; round < rounds; round++)
        for (size_t d = 0; d < decoder_count; d++)
            decoders[d].measured[round] = round_of(&decoders[d], count);
    for (size_t d = 0; d < decoder_count; d++) {
        printf("%s\t%.1f", decoders[d].name, d == 0 ? declined : 0.0);
        for (int round = 0; round < rounds; round++)
            printf("\t%.2f", decoders[d].measured[round]);
        printf("\n");
    }
    return 0;
}
