/* Checksums over the best levels of a book, made of the digits as they were received. */
#include "k4_book.h"

#include <string.h>

struct sum {
    const struct k4_crc32 *crc;
    uint32_t value;
    uint32_t len;
    uint8_t text[2048];
};

static void flush(struct sum *sum)
{
    sum->value = k4_crc32_add(sum->crc, sum->value, sum->text, sum->len);
    sum->len = 0;
}

/* The digits of a value, without a point and without zeros in front: none for 0. */
static uint32_t digits_of(int64_t mantissa, unsigned zeros, uint8_t out[20 + K4_LEVEL_FRACTION_MAX])
{
    uint8_t reversed[20];
    uint32_t len = 0;
    uint32_t count = 0;
    for (uint64_t rest = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa; rest != 0; rest /= 10)
        reversed[count++] = (uint8_t)('0' + rest % 10);
    while (count > 0)
        out[len++] = reversed[--count];
    if (len > 0)
        memset(out + len, '0', zeros);
    return len > 0 ? len + zeros : 0;
}

static void add_digits(struct sum *sum, int64_t mantissa, unsigned zeros)
{
    if (sizeof sum->text - sum->len < 20 + K4_LEVEL_FRACTION_MAX)
        flush(sum);
    if (mantissa < 0)
        sum->text[sum->len++] = '-';
    sum->len += digits_of(mantissa, zeros, sum->text + sum->len);
}

/* The value as a decimal with all its digits, and a colon behind it. */
static void add_decimal(struct sum *sum, int64_t mantissa, unsigned fraction, unsigned zeros)
{
    uint8_t digits[20 + K4_LEVEL_FRACTION_MAX];
    const uint32_t len = digits_of(mantissa, zeros, digits);
    fraction += zeros;
    if (sizeof sum->text - sum->len < 2 * (20 + K4_LEVEL_FRACTION_MAX))
        flush(sum);
    uint8_t *out = sum->text + sum->len;
    if (mantissa < 0)
        *out++ = '-';
    uint32_t whole = len > fraction ? len - fraction : 0;
    memcpy(out, digits, whole);
    out += whole;
    if (whole == 0)
        *out++ = '0';
    if (fraction > 0) {
        *out++ = '.';
        memset(out, '0', fraction - (len - whole));
        out += fraction - (len - whole);
        memcpy(out, digits + whole, len - whole);
        out += len - whole;
    }
    *out++ = ':';
    sum->len = (uint32_t)(out - sum->text);
}

static void add_interleaved(struct sum *sum, const struct k4_book *book)
{
    for (uint32_t i = 0; i < 25; i++) {
        for (unsigned side = K4_BID; side <= K4_ASK; side++) {
            if (i >= book->side[side].count)
                continue;
            const struct k4_level *level = k4_book_level(book, side, i);
            add_decimal(sum, level->price, level->price_fraction, level->price_zeros);
            add_decimal(sum, level->qty, level->qty_fraction, level->qty_zeros);
        }
    }
    if (sum->len > 0)
        sum->len--; /* no colon behind the last */
}

static void add_all_digits(struct sum *sum, const struct k4_book *book, unsigned side)
{
    for (uint32_t i = 0; i < 10 && i < book->side[side].count; i++) {
        const struct k4_level *level = k4_book_level(book, side, i);
        add_digits(sum, level->price, level->price_zeros);
        add_digits(sum, level->qty, level->qty_zeros);
    }
}

uint32_t k4_book_checksum(const struct k4_book *book, enum k4_checksum_rule rule, const struct k4_crc32 *crc)
{
    struct sum sum;
    sum.crc = crc;
    sum.value = sum.len = 0;
    if (rule == K4_CHECKSUM_INTERLEAVED_25) {
        add_interleaved(&sum, book);
    } else {
        add_all_digits(&sum, book, K4_ASK);
        add_all_digits(&sum, book, K4_BID);
    }
    flush(&sum);
    return sum.value;
}
