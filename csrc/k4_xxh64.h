/* XXH64 with seed 0 (the published algorithm of Yann Collet), in pieces: ids that are texts become numbers. */
#ifndef K4_XXH64_H
#define K4_XXH64_H

#include <stddef.h>
#include <stdint.h>

struct k4_xxh64 {
    uint64_t lane[4];
    uint64_t total;
    uint8_t block[32];
    uint32_t held; /* bytes in `block` */
};

void k4_xxh64_init(struct k4_xxh64 *hash);
void k4_xxh64_add(struct k4_xxh64 *hash, const uint8_t *bytes, size_t len);
uint64_t k4_xxh64_value(const struct k4_xxh64 *hash);

#endif
