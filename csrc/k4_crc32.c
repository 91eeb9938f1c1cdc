#include "k4_crc32.h"

void k4_crc32_init(struct k4_crc32 *crc)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t sum = i;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? UINT32_C(0xedb88320) : 0);
        crc->table[0][i] = sum;
    }
    for (int behind = 1; behind < 8; behind++)
        for (uint32_t i = 0; i < 256; i++)
            crc->table[behind][i] = crc->table[behind - 1][i] >> 8 ^ crc->table[0][crc->table[behind - 1][i] & 0xff];
}

uint32_t k4_crc32_add(const struct k4_crc32 *crc, uint32_t sum, const uint8_t *bytes, size_t len)
{
    const uint32_t(*t)[256] = crc->table;
    sum = ~sum;
    for (; len >= 8; bytes += 8, len -= 8) {
        const uint32_t a = sum ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
        sum = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^ t[3][bytes[4]] ^ t[2][bytes[5]] ^ t[1][bytes[6]]
            ^ t[0][bytes[7]];
    }
    for (; len > 0; bytes++, len--)
        sum = sum >> 8 ^ t[0][(sum ^ *bytes) & 0xff];
    return ~sum;
}
