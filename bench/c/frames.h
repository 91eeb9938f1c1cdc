/* What the drivers share: frames from a file (32-bit length, then the bytes, again and again) and the clock. */
#ifndef K4_BENCH_FRAMES_H
#define K4_BENCH_FRAMES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "k4_decode.h"

enum { MAX_FRAMES = 1 << 16 };

struct frame {
    const uint8_t *text;
    size_t len;
};

/* Reads them one behind the other into one region, as they do behind each other's headers in a receive region; it keeps K4_SLACK bytes
 * before the first and behind the last. Returns how many, 0 where the file cannot be read. */
static inline size_t load_frames(const char *name, struct frame *frames)
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

/* Processor time: what other programs take of a shared machine does not count. */
static inline double spent_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

#endif
