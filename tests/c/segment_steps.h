/* Short hands for tests of segments of trades: opened, read, left as a killed process leaves them; whatever cannot be opened ends the test. */
#ifndef SEGMENT_STEPS_H
#define SEGMENT_STEPS_H

#include "k4_reader.h"
#include "k4_segment.h"

#include "segment_dir.h"

static char error[1024];
static const k4_segment_options small = {.ring_slots = 8, .symbol_capacity = 4, .mode = 0600};

static inline struct k4_segment writer_open(const char *name, const k4_segment_options *options)
{
    struct k4_segment segment;
    if (k4_segment_open(&segment, name, K4_RECORD_TRADE, options, 1000, error, sizeof error) != K4_OK) {
        printf("cannot open %s: %s\n", name, error);
        exit(1);
    }
    return segment;
}

static inline struct k4_reader reader_open(const char *name)
{
    struct k4_reader reader;
    if (k4_reader_open(&reader, segment_dir_path, name, K4_RECORD_TRADE, error, sizeof error) != K4_OK) {
        printf("cannot read %s: %s\n", name, error);
        exit(1);
    }
    return reader;
}

/* As the kernel does for a killed process: the lock goes, the segment stays as it is. */
static inline void writer_dies(struct k4_segment *segment)
{
    (void)close(segment->lock_fd);
    (void)munmap(segment->header, segment->size);
    (void)munmap(segment->wait, 4096);
    k4_symtab_fini(&segment->symtab);
    free(segment->restart);
}

static inline int add(struct k4_segment *segment, const char *symbol)
{
    int product = k4_segment_product(segment, "nova", "spot");
    return k4_segment_instrument(segment, (uint32_t)product, (const uint8_t *)symbol, (uint32_t)strlen(symbol), "", "");
}

#endif
