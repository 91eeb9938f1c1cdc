/* Measures updates of books: frames (32-bit length, then the text, again and again), the first one a snapshot, over and over.
 *
 *   books FILE ROUNDS      a line per tier: name, records per round, nanoseconds per frame of each round, bytes of the book
 */
#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "k4_books.h"
#include "k4_decode.h"

static struct k4_scratch scratch;
static struct k4_books books;

static void never(void *context, struct k4_scratch *full)
{
    (void)context;
    (void)full;
    abort();
}

/* Processor time: what other programs take of a shared machine does not count. */
static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The records that all frames gave; exits where one is not taken. */
static size_t once(bool fast, const uint8_t *region, size_t size, size_t *count)
{
    size_t records = 0;
    *count = 0;
    for (const uint8_t *p = region; p < region + size; ++*count) {
        uint32_t len;
        memcpy(&len, p, sizeof len);
        if (!fast)
            k4_products[0]->tolerant(p + sizeof len, len, &scratch);
        else if (!k4_products[0]->fast(p + sizeof len, len, &scratch)) {
            fprintf(stderr, "books: the fast tier declined: %.*s\n", (int)len, (const char *)p + sizeof len);
            exit(1);
        }
        records += scratch.count;
        p += sizeof len + len;
    }
    return records;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    const int rounds = argc == 3 ? atoi(argv[2]) : 0;
    if (file == NULL || rounds < 1 || fseek(file, 0, SEEK_END) != 0 || k4_books_init(&books) != 0)
        return 2;
    const size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *region = calloc(1, size + 2 * K4_SLACK);
    if (region == NULL || fread(region + K4_SLACK, 1, size, file) != size)
        return 2;
    scratch.flush = never;
    scratch.books = &books;
    for (int tier = 0; tier < 2; tier++) {
        size_t count, records = once(tier == 0, region + K4_SLACK, size, &count);
        printf("%s %zu", tier == 0 ? "fast" : "tolerant", records);
        for (int round = 0; round < rounds; round++) {
            const double start = now_ns();
            (void)once(tier == 0, region + K4_SLACK, size, &count);
            printf(" %.1f", (now_ns() - start) / (double)count);
        }
        printf("\n");
    }
    size_t bytes = sizeof(struct k4_kept_book);
    for (unsigned side = K4_BID; side <= K4_ASK; side++)
        bytes += books.all[0]->book.side[side].room * sizeof(struct k4_level);
    printf("bytes %zu\n", bytes);
    free(region);
    return 0;
}
