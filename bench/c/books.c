/* Measures updates of books: frames (32-bit length, then the text, again and again), the first one a snapshot, over and over.
 *
 *   books FILE ROUNDS      a line per tier: name, records per round, nanoseconds per frame of each round, bytes of the book
 */
#define _POSIX_C_SOURCE 199309L

#include "frames.h"
#include "k4_books.h"
#include "k4_decode.h"

static struct frame frames[MAX_FRAMES];
static struct k4_scratch scratch;
static struct k4_books books;

static void never(void *context, struct k4_scratch *full)
{
    (void)context;
    (void)full;
    abort();
}

/* The records that all frames gave; exits where one is not taken. */
static size_t once(bool fast, size_t count)
{
    size_t records = 0;
    for (const struct frame *f = frames; f < frames + count; f++) {
        if (!fast)
            k4_products[0]->tolerant(f->text, f->len, &scratch);
        else if (!k4_products[0]->fast(f->text, f->len, &scratch)) {
            fprintf(stderr, "books: the fast tier declined: %.*s\n", (int)f->len, (const char *)f->text);
            exit(1);
        }
        records += scratch.count;
    }
    return records;
}

int main(int argc, char **argv)
{
    const size_t count = argc == 3 ? load_frames(argv[1], frames) : 0;
    const int rounds = argc == 3 ? atoi(argv[2]) : 0;
    if (count == 0 || rounds < 1 || k4_books_init(&books) != 0)
        return 2;
    scratch.flush = never;
    scratch.books = &books;
    for (int tier = 0; tier < 2; tier++) {
        printf("%s %zu", tier == 0 ? "fast" : "tolerant", once(tier == 0, count));
        for (int round = 0; round < rounds; round++) {
            const double start = spent_ns();
            (void)once(tier == 0, count);
            printf(" %.1f", (spent_ns() - start) / (double)count);
        }
        printf("\n");
    }
    size_t bytes = sizeof(struct k4_kept_book);
    for (unsigned side = K4_BID; side <= K4_ASK; side++)
        bytes += books.all[0]->book.side[side].room * sizeof(struct k4_level);
    printf("bytes %zu\n", bytes);
    return 0;
}
