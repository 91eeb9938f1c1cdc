/* Frames of a file through what fuzz_decode.h claims of every input: `replay FILE EXCHANGE PRODUCT`.
 *
 * In the file: `struct head`, then the bytes, again and again. A frame that is to be cut is also tried as each of its beginnings, while
 * what was cut off stands in the slack: a parser that goes on there finds everything in order. Prints what was tried; a claim that does
 * not hold aborts.
 */
#include "fuzz_decode.h"

#include "k4_api.h"

enum { TEXT, BINARY, FETCHED };

struct head {
    uint32_t len;
    uint16_t message; /* of what is fetched */
    uint8_t kind;
    uint8_t cut;
};

static struct outcome plain, other;

static void run_fetched(struct outcome *outcome, const struct k4_product *product, uint16_t message, const uint8_t *body, size_t len, unsigned fill)
{
    static const uint8_t symbol[2 * K4_SLACK] = "FOOBAR";
    uint8_t *block = place(body, len, fill);
    clear(outcome, symbol, 6);
    product->fetched(message, block + K4_SLACK, len, &outcome->scratch);
    note(outcome);
    free(block);
}

static void run_one(struct outcome *outcome, const struct k4_product *product, const struct head *head, const uint8_t *bytes, size_t len, unsigned fill)
{
    switch (head->kind) {
    case BINARY:
        run_sbe(outcome, product, bytes, len, fill);
        break;
    case FETCHED:
        run_fetched(outcome, product, head->message, bytes, len, fill);
        break;
    default:
        clear(outcome, NULL, 0);
        run_tolerant(outcome, product, bytes, len, fill);
        break;
    }
}

/* The first `len` bytes of a longer frame, in front of zeros and in front of the others. */
static void try_beginning(const struct k4_product *product, const struct head *head, const uint8_t *bytes, size_t len)
{
    rest = bytes + len;
    rest_len = head->len - len;
    run_one(&plain, product, head, bytes, len, ZEROS);
    check_whole(product, &plain, len);
    run_one(&other, product, head, bytes, len, REST);
    same(&plain, &other);
    if (head->kind != TEXT)
        return;
    clear(&other, NULL, 0);
    run_fast(&other, product, bytes, len, REST);
    if (other.taken)
        same(&plain, &other);
}

/* Every claim about the whole frame. Returns whether the fast tier took it. */
static bool try_whole(const struct k4_product *product, const struct head *head, const uint8_t *bytes)
{
    if (head->kind == BINARY) {
        fuzz_binary(product, bytes, head->len);
        return false;
    }
    if (head->kind == FETCHED) {
        run_fetched(&plain, product, head->message, bytes, head->len, ZEROS);
        run_fetched(&other, product, head->message, bytes, head->len, PUNCTUATION);
        same(&plain, &other);
        return false;
    }
    fuzz_decode(product, bytes, head->len);
    clear(&other, NULL, 0);
    run_fast(&other, product, bytes, head->len, ZEROS);
    return other.taken;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    const struct k4_product *product = argc == 4 ? k4_product_find(argv[2], argv[3]) : NULL;
    if (file == NULL || product == NULL) {
        fprintf(stderr, "usage: replay FILE EXCHANGE PRODUCT\n");
        return 2;
    }
    unsigned long frames = 0, beginnings = 0, fast = 0;
    struct head head;
    while (fread(&head, sizeof head, 1, file) == 1) {
        uint8_t *bytes = malloc((size_t)head.len + 1);
        if (bytes == NULL || fread(bytes, 1, head.len, file) != head.len)
            return 2;
        fast += try_whole(product, &head, bytes);
        frames++;
        for (size_t len = 0; head.cut && len < head.len; len++, beginnings++)
            try_beginning(product, &head, bytes, len);
        free(bytes);
    }
    fclose(file);
    printf("%lu frames, %lu by the fast tier, %lu beginnings\n", frames, fast, beginnings);
    return 0;
}
