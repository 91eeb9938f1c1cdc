/* Unpacks a file of payloads: encoding as 4 bytes, room as 4, length as 4, then the bytes. Input and output stand in memory of their own size.
 * A line for each: what came of it, how many bytes, their CRC-32. */
#include <stdio.h>
#include <stdlib.h>

#include "k4_inflate.h"

int main(int argc, char **argv)
{
    static const char *const names[] = {"inflated", "broken", "long", "no memory"};
    struct k4_crc32 crc;
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    uint32_t head[3];
    if (file == NULL) {
        fprintf(stderr, "usage: drive_inflate FILE\n");
        return 2;
    }
    k4_crc32_init(&crc);
    while (fread(head, sizeof head, 1, file) == 1) {
        uint8_t *in = malloc(head[2] + (head[2] == 0));
        uint8_t *out = malloc(head[1] + (head[1] == 0));
        size_t len;
        if (in == NULL || out == NULL || fread(in, 1, head[2], file) != head[2])
            return 2;
        const enum k4_inflated status = k4_inflate(&crc, (enum k4_encoding)head[0], in, head[2], out, head[1], &len);
        if (len > head[1])
            return 1;
        printf("%s %zu %u\n", names[status], status == K4_INFLATED ? len : 0, status == K4_INFLATED ? k4_crc32_add(&crc, 0, out, len) : 0);
        free(in);
        free(out);
    }
    fclose(file);
    return 0;
}
