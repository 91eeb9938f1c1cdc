/* Feeds a file of frames (length as 4 bytes, then the bytes) to a product's tolerant tier. Every frame stands in memory of its own
 * size with K4_SLACK around it; the slack is filled with bytes that would go on with almost any token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_api.h"
#include "k4_decode.h"

static unsigned long items;

static void count(void *context, struct k4_scratch *scratch)
{
    (void)context;
    items += scratch->count;
}

int main(int argc, char **argv)
{
    static struct k4_scratch scratch;
    static const char slack[] = "\"1,{[:9]}\\";
    unsigned long frames = 0;
    FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    const struct k4_product *product = argc == 4 ? k4_product_find(argv[2], argv[3]) : NULL;
    if (file == NULL || product == NULL) {
        fprintf(stderr, "usage: drive_frames FILE EXCHANGE PRODUCT\n");
        return 2;
    }
    scratch.flush = count;
    uint32_t len;
    while (fread(&len, sizeof len, 1, file) == 1) {
        for (unsigned fill = 0; fill < sizeof slack - 1; fill++) {
            uint8_t *memory = malloc(len + 2 * K4_SLACK);
            if (memory == NULL)
                return 2;
            memset(memory, slack[fill], len + 2 * K4_SLACK);
            if (fill == 0 && fread(memory + K4_SLACK, 1, len, file) != len)
                return 2;
            if (fill > 0 && (fseek(file, -(long)len, SEEK_CUR) != 0 || fread(memory + K4_SLACK, 1, len, file) != len))
                return 2;
            product->tolerant(memory + K4_SLACK, len, &scratch);
            items += scratch.count;
            for (uint32_t i = 0; i < scratch.count; i++) {
                const struct k4_item *item = &scratch.items[i];
                if (item->record != 0 && (item->symbol_len < 1 || item->symbol_len > K4_SYMBOL_MAX))
                    return 1;
                if (item->record == 0 && item->offset > len)
                    return 1;
            }
            free(memory);
        }
        frames++;
    }
    fclose(file);
    printf("%lu frames, %lu items\n", frames, items);
    return 0;
}
