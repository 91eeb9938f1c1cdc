/* XXH64, seed 0. See k4_xxh64.h. */
#include "k4_xxh64.h"

#include <string.h>

#define PRIME1 11400714785074694791u
#define PRIME2 14029467366897019727u
#define PRIME3 1609587929392839161u
#define PRIME4 9650029242287828579u
#define PRIME5 2870177450012600261u

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
    return rotate(lane + input * PRIME2, 31) * PRIME1;
}

static void take_block(struct k4_xxh64 *hash, const uint8_t *block)
{
    for (int i = 0; i < 4; i++)
        hash->lane[i] = mix(hash->lane[i], load64(block + 8 * i));
}

void k4_xxh64_init(struct k4_xxh64 *hash)
{
    *hash = (struct k4_xxh64){.lane = {PRIME1 + PRIME2, PRIME2, 0, 0 - PRIME1}};
}

void k4_xxh64_add(struct k4_xxh64 *hash, const uint8_t *bytes, size_t len)
{
    hash->total += len;
    while (len > 0) {
        size_t room = sizeof hash->block - hash->held;
        size_t part = len < room ? len : room;
        memcpy(hash->block + hash->held, bytes, part);
        hash->held += (uint32_t)part;
        bytes += part;
        len -= part;
        if (hash->held == sizeof hash->block) {
            take_block(hash, hash->block);
            hash->held = 0;
        }
    }
}

uint64_t k4_xxh64_value(const struct k4_xxh64 *hash)
{
    uint64_t h = PRIME5;
    if (hash->total >= 32) {
        h = rotate(hash->lane[0], 1) + rotate(hash->lane[1], 7) + rotate(hash->lane[2], 12) + rotate(hash->lane[3], 18);
        for (int i = 0; i < 4; i++)
            h = (h ^ mix(0, hash->lane[i])) * PRIME1 + PRIME4;
    }
    h += hash->total;
    const uint8_t *p = hash->block;
    const uint8_t *end = p + hash->held;
    for (; end - p >= 8; p += 8)
        h = rotate(h ^ mix(0, load64(p)), 27) * PRIME1 + PRIME4;
    if (end - p >= 4) {
        uint32_t x;
        memcpy(&x, p, sizeof x);
        h = rotate(h ^ x * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
    }
    for (; p < end; p++)
        h = rotate(h ^ *p * PRIME5, 11) * PRIME1;
    h = (h ^ h >> 33) * PRIME2;
    h = (h ^ h >> 29) * PRIME3;
    return h ^ h >> 32;
}
