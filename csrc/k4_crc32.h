/* CRC-32 as zlib, PNG and Ethernet have it (reflected, polynomial 0xedb88320), eight bytes at a time. */
#ifndef K4_CRC32_H
#define K4_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of a byte behind 0 to 7 others. */
struct k4_crc32 {
    uint32_t table[8][256];
};

void k4_crc32_init(struct k4_crc32 *crc);
/* Goes on from `sum`, 0 at the start. */
uint32_t k4_crc32_add(const struct k4_crc32 *crc, uint32_t sum, const uint8_t *bytes, size_t len);

#endif
