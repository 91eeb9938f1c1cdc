/* One decoder that is measured: reads all frames, returns a checksum of the values it read (the same for all decoders). */
#ifndef K4_BENCH_PEER_H
#define K4_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

struct frame {
    const uint8_t *text;
    size_t len;
};

/* UINT64_MAX: a frame was not read. */
uint64_t yyjson_all(const struct frame *frames, size_t count);
uint64_t simdjson_all(const struct frame *frames, size_t count);

/* Mixes one record's values: all that a decoder must have read. */
static inline uint64_t checksum_of(uint64_t id, const int64_t *prices, const int64_t *quantities, size_t levels, size_t symbol_len)
{
    uint64_t sum = id * 31 + symbol_len;
    for (size_t i = 0; i < levels; i++)
        sum = sum + (uint64_t)prices[i] * 3 + (uint64_t)quantities[i];
    return sum;
}

#endif
