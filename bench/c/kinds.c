/* Measures decoders of any exchange's messages over a file of frames (32-bit length, then the bytes, again and again).
 *
 *   kinds EXCHANGE PRODUCT text|binary FILE ROUNDS      a line per decoder: name, nanoseconds per frame of each round; then what the
 *                                                           fast tier declined, in percent
 *
 * Books are given no place, so that an update is read and nothing more. Rounds of the decoders alternate.
 */
#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "k4_api.h"
#include "k4_books.h"
#include "k4_decode.h"
#include "peer.h"

#if defined(K4_BENCH_YYJSON)
#include "yyjson.h"
#endif

enum { MAX_FRAMES = 1 << 16, MAX_ROUNDS = 1000, DECODERS = 3 };

typedef uint64_t decode_all(const struct frame *, size_t);

static struct frame frames[MAX_FRAMES];
static double measured[DECODERS][MAX_ROUNDS];
static struct k4_scratch scratch;
static struct k4_books books;
static const struct k4_product *product;

static bool nobody(void *context, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    (void)context;
    (void)record;
    (void)symbol;
    (void)symbol_len;
    return false;
}

static void spill(void *context, struct k4_scratch *full)
{
    (void)context;
    full->count = 0;
}

static uint64_t refusals(void)
{
    return scratch.count > 0 ? scratch.items[0].record == 0 : scratch.skip != K4_SKIP_STALE_BOOK && scratch.skip != K4_SKIP_NOT;
}

static uint64_t declined; /* by the fast tier, in its last round */

/* As frames are received: what the fast tier declines, the tolerant one reads. How many neither did. */
static uint64_t fast_all(const struct frame *all, size_t count)
{
    uint64_t refused = 0;
    declined = 0;
    for (size_t i = 0; i < count; i++) {
        scratch.skip = K4_SKIP_NOT;
        k4_decode(product, all[i].text, all[i].len, &scratch);
        declined += scratch.tier != K4_TIER_FAST;
        refused += refusals();
    }
    return refused;
}

static uint64_t tolerant_all(const struct frame *all, size_t count)
{
    uint64_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        scratch.skip = K4_SKIP_NOT;
        product->tolerant(all[i].text, all[i].len, &scratch);
        refused += refusals();
    }
    return refused;
}

static uint64_t sbe_all(const struct frame *all, size_t count)
{
    uint64_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        scratch.count = 0;
        product->sbe(all[i].text, all[i].len, &scratch);
        refused += refusals();
    }
    return refused;
}

#if defined(K4_BENCH_YYJSON)
static char pool[1 << 22];

/* The document, and every number and text of digits in it as a mantissa: the least that any decoder on top of it does. */
static uint64_t mantissas(yyjson_val *value)
{
    uint64_t sum = 0;
    if (yyjson_is_str(value)) {
        for (const char *p = yyjson_get_str(value); (*p >= '0' && *p <= '9') || *p == '.'; p++)
            if (*p != '.')
                sum = sum * 10 + (uint64_t)(*p - '0');
    } else if (yyjson_is_num(value)) {
        sum = yyjson_get_uint(value);
    } else if (yyjson_is_obj(value)) {
        yyjson_obj_iter at;
        yyjson_obj_iter_init(value, &at);
        for (yyjson_val *key; (key = yyjson_obj_iter_next(&at)) != NULL;)
            sum += mantissas(yyjson_obj_iter_get_val(key));
    } else if (yyjson_is_arr(value)) {
        yyjson_arr_iter at;
        yyjson_arr_iter_init(value, &at);
        for (yyjson_val *item; (item = yyjson_arr_iter_next(&at)) != NULL;)
            sum += mantissas(item);
    }
    return sum;
}

static uint64_t sink;

static uint64_t yyjson_each(const struct frame *all, size_t count)
{
    uint64_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        yyjson_alc memory;
        yyjson_alc_pool_init(&memory, pool, sizeof pool);
        yyjson_doc *document = yyjson_read_opts((char *)(uintptr_t)all[i].text, all[i].len, 0, &memory, NULL);
        refused += document == NULL;
        if (document != NULL)
            sink += mantissas(yyjson_doc_get_root(document));
    }
    return refused;
}
#endif

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

static size_t choose(const char *mode, const char **names, decode_all **all)
{
    size_t count = 0;
    if (strcmp(mode, "binary") == 0) {
        names[count] = "sbe";
        all[count++] = sbe_all;
        return count;
    }
    names[count] = "fast";
    all[count++] = fast_all;
    names[count] = "tolerant";
    all[count++] = tolerant_all;
#if defined(K4_BENCH_YYJSON)
    names[count] = "yyjson";
    all[count++] = yyjson_each;
#endif
    return count;
}

int main(int argc, char **argv)
{
    const char *names[DECODERS];
    decode_all *all[DECODERS];
    product = argc == 6 ? k4_product_find(argv[1], argv[2]) : NULL;
    const size_t count = product != NULL ? load(argv[4]) : 0;
    const int rounds = count > 0 ? atoi(argv[5]) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS || k4_books_init(&books) != 0) {
        fprintf(stderr, "kinds EXCHANGE PRODUCT text|binary FILE ROUNDS: a product, a file of frames, 1 to %d rounds\n", MAX_ROUNDS);
        return 2;
    }
    books.admits = nobody;
    scratch.books = &books;
    scratch.sure = true;
    scratch.flush = spill;
    const size_t decoders = choose(argv[3], names, all);
    for (int round = -1; round < rounds; round++) { /* the first only warms up */
        for (size_t d = 0; d < decoders; d++) {
            const double start = now_ns();
            const uint64_t unread = all[d](frames, count);
            const double spent = now_ns() - start;
            if (unread != 0) {
                fprintf(stderr, "%s did not read %llu of %zu frames\n", names[d], (unsigned long long)unread, count);
                return 1;
            }
            if (round >= 0)
                measured[d][round] = spent / (double)count;
        }
    }
    for (size_t d = 0; d < decoders; d++) {
        printf("%s", names[d]);
        for (int round = 0; round < rounds; round++)
            printf(" %.2f", measured[d][round]);
        printf("\n");
    }
    printf("declined %.1f\n", 100.0 * (double)declined / (double)count);
    return 0;
}
