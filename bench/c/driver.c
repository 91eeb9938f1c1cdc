/* Measures decoders over a file of frames (32-bit length, then the text, again and again).
 *
 *   driver FILE ROUNDS      one line per decoder: name, checksum, nanoseconds per frame of each round
 *
 * The frames lie one behind the other in one region, as they do behind each other's headers in a receive region. Rounds of the
 * decoders alternate, so that a machine that slows down slows all of them.
 */
#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "k4_decode.h"
#include "peer.h"

enum { MAX_FRAMES = 1 << 16, MAX_ROUNDS = 1000 };

static struct frame frames[MAX_FRAMES];
static struct k4_scratch scratch;
static const struct k4_product *product;

/* The values of the one record a frame gave. */
static uint64_t item_sum(const struct k4_item *item)
{
    switch (item->record) {
    case K4_RECORD_BBO: {
        const int64_t prices[2] = {item->as.bbo.bid_price, item->as.bbo.ask_price};
        const int64_t quantities[2] = {item->as.bbo.bid_qty, item->as.bbo.ask_qty};
        return checksum_of((uint64_t)item->as.bbo.update_id, prices, quantities, 2, item->symbol_len);
    }
    case K4_RECORD_TRADE: {
        const struct k4_trade *r = &item->as.trade;
        const uint64_t id = (uint64_t)r->trade_id + (uint64_t)r->event_ns + (uint64_t)r->engine_ns + r->buyer_is_maker;
        return checksum_of(id, &r->price, &r->qty, 1, item->symbol_len);
    }
    case K4_RECORD_AGGTRADE: {
        const struct k4_aggtrade *r = &item->as.aggtrade;
        const uint64_t id = (uint64_t)r->agg_id + (uint64_t)r->event_ns + (uint64_t)r->engine_ns + r->buyer_is_maker + (uint64_t)r->count;
        return checksum_of(id, &r->price, &r->qty, 1, item->symbol_len);
    }
    case K4_RECORD_DEPTH5: {
        const struct k4_depth5 *r = &item->as.depth5;
        return checksum_of((uint64_t)r->update_id, r->bid_price, r->bid_qty, 5, item->symbol_len) + checksum_of(0, r->ask_price, r->ask_qty, 5, 0);
    }
    case K4_RECORD_DEPTH20: {
        const struct k4_depth20 *r = &item->as.depth20;
        return checksum_of((uint64_t)r->update_id, r->bid_price, r->bid_qty, 20, item->symbol_len) + checksum_of(0, r->ask_price, r->ask_qty, 20, 0);
    }
    default:
        return 0;
    }
}

/* No frame here gives more than one item, so nothing is ever flushed. */
static void never(void *context, struct k4_scratch *full)
{
    (void)context;
    (void)full;
    abort();
}

static uint64_t fast_all(const struct frame *all, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (!product->fast(all[i].text, all[i].len, &scratch) || scratch.count != 1)
            return UINT64_MAX;
        sum += item_sum(&scratch.items[0]);
    }
    return sum;
}

static uint64_t tolerant_all(const struct frame *all, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        product->tolerant(all[i].text, all[i].len, &scratch);
        if (scratch.count != 1 || scratch.items[0].record == 0)
            return UINT64_MAX;
        sum += item_sum(&scratch.items[0]);
    }
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*all)(const struct frame *, size_t);
} decoders[] = {
    {"fast", fast_all},
    {"tolerant", tolerant_all},
#if defined(K4_BENCH_YYJSON)
    {"yyjson", yyjson_all},
#endif
#if defined(K4_BENCH_SIMDJSON)
    {"simdjson", simdjson_all},
#endif
};

enum { DECODERS = sizeof decoders / sizeof decoders[0] };

static double measured[DECODERS][MAX_ROUNDS];
static uint64_t sums[DECODERS];

/* Processor time: what other programs take of a shared machine does not count. */
static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Returns the number of frames; the region keeps K4_SLACK bytes before the first and behind the last. */
static size_t load(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        return 0;
    const long size = ftell(file);
    rewind(file);
    uint8_t *region = size > 0 ? calloc(1, (size_t)size + 2 * K4_SLACK) : NULL;
    if (region == NULL || fread(region + K4_SLACK, 1, (size_t)size, file) != (size_t)size)
        return 0;
    fclose(file);
    size_t count = 0;
    for (const uint8_t *p = region + K4_SLACK; p < region + K4_SLACK + size && count < MAX_FRAMES; count++) {
        uint32_t len;
        memcpy(&len, p, sizeof len);
        frames[count] = (struct frame){p + sizeof len, len};
        p += sizeof len + len;
    }
    return count;
}

int main(int argc, char **argv)
{
    const size_t count = argc == 3 ? load(argv[1]) : 0;
    const int rounds = argc == 3 ? atoi(argv[2]) : 0;
    if (count == 0 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "driver FILE ROUNDS: a file of frames, 1 to %d rounds\n", MAX_ROUNDS);
        return 2;
    }
    product = k4_products[0];
    scratch.flush = never;
    scratch.sure = true;
    for (int round = -1; round < rounds; round++) { /* the first only warms up */
        for (int d = 0; d < DECODERS; d++) {
            const double start = now_ns();
            sums[d] = decoders[d].all(frames, count);
            const double spent = now_ns() - start;
            if (round >= 0)
                measured[d][round] = spent / (double)count;
        }
    }
    for (int d = 0; d < DECODERS; d++) {
        printf("%s %llu", decoders[d].name, (unsigned long long)sums[d]);
        for (int round = 0; round < rounds; round++)
            printf(" %.2f", measured[d][round]);
        printf("\n");
    }
    return 0;
}
