/* Runs the fast tier of the first product over frames from standard input, each in a block of its own that ends exactly with the
 * slack: under AddressSanitizer a byte read too far is an error.
 *
 * In: 32-bit length of the text, then slack, text, slack. Out: a line per frame, `-` where it was declined, `skip`, reason and message
 * where it gives no record, else per item record number, message, symbol and record in hex.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_told.h"

static struct k4_scratch scratch;
static struct k4_told names;

static void print_hex(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        printf("%02x", bytes[i]);
}

static void print_item(const struct k4_item *item)
{
    printf("%u %u ", item->record, item->message);
    print_hex(item->symbol, item->symbol_len);
    printf(" ");
    print_hex(&item->as, k4_record_size[item->record]);
    printf(" ");
}

int main(void)
{
    uint32_t len;
    scratch.told = &names;
    while (fread(&len, sizeof len, 1, stdin) == 1) {
        uint8_t *block = malloc((size_t)len + 2 * K4_SLACK);
        if (block == NULL || fread(block, 1, (size_t)len + 2 * K4_SLACK, stdin) != (size_t)len + 2 * K4_SLACK)
            return 1;
        if (k4_products[0]->fast(block + K4_SLACK, len, &scratch)) {
            bool gave = scratch.count != 0;
            if (scratch.tier != K4_TIER_FAST || (scratch.skip == K4_SKIP_NOT) != gave || (scratch.skip_message == K4_NO_MESSAGE) != gave)
                return 1;
            if (!gave)
                printf("skip %u %u", scratch.skip, scratch.skip_message);
            for (uint32_t i = 0; i < scratch.count; i++)
                print_item(&scratch.items[i]);
        } else {
            printf("-");
        }
        printf("\n");
        free(block);
        memset(scratch.items, 0xa5, 2 * sizeof scratch.items[0]); /* what is left unfilled shows */
    }
    return 0;
}
