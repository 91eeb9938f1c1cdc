/* What a generated SBE decoder is made of: numbers from the wire, and the sizes that say what follows them.
 *
 * A decoder first walks a whole frame by its sizes, which proves that every block, entry and text it will read lies within; only then it
 * reads values, at the offsets of the schema.
 *
 *     header │ block │ group: dimensions, entries (each a block, groups, data) │ … │ data: length, bytes │ …
 *
 * Every size comes from the frame: blocks longer than the schema's are skipped to their end, so appended fields do no harm.
 */
#ifndef K4_SBE_H
#define K4_SBE_H

#include "k4_parse.h"

/* ---- numbers; the names are the schema's primitive types */

#define K4_SBE_SWAPPED_1(value) (value)
#define K4_SBE_SWAPPED_2(value) __builtin_bswap16(value)
#define K4_SBE_SWAPPED_4(value) __builtin_bswap32(value)
#define K4_SBE_SWAPPED_8(value) __builtin_bswap64(value)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define K4_SBE_LITTLE(bytes, value) (value)
#define K4_SBE_BIG(bytes, value) K4_SBE_SWAPPED_##bytes(value)
#else
#define K4_SBE_LITTLE(bytes, value) K4_SBE_SWAPPED_##bytes(value)
#define K4_SBE_BIG(bytes, value) (value)
#endif

#define K4_SBE_LOAD(name, type, raw_type, bytes, order) \
    static inline __attribute__((unused)) type k4_sbe_##name(const uint8_t *p) \
    { \
        raw_type raw; \
        memcpy(&raw, p, sizeof raw); \
        return (type)order(bytes, raw); \
    }
#define K4_SBE_LOADS(name, type, raw_type, bytes) \
    K4_SBE_LOAD(little_##name, type, raw_type, bytes, K4_SBE_LITTLE) \
    K4_SBE_LOAD(big_##name, type, raw_type, bytes, K4_SBE_BIG)

K4_SBE_LOADS(char, uint8_t, uint8_t, 1)
K4_SBE_LOADS(int8, int8_t, uint8_t, 1)
K4_SBE_LOADS(uint8, uint8_t, uint8_t, 1)
K4_SBE_LOADS(int16, int16_t, uint16_t, 2)
K4_SBE_LOADS(uint16, uint16_t, uint16_t, 2)
K4_SBE_LOADS(int32, int32_t, uint32_t, 4)
K4_SBE_LOADS(uint32, uint32_t, uint32_t, 4)
K4_SBE_LOADS(int64, int64_t, uint64_t, 8)
K4_SBE_LOADS(uint64, uint64_t, uint64_t, 8)

/* ---- sizes */

/* A frame being taken apart. `at`: what is not walked yet. */
struct k4_sbe {
    const uint8_t *text;
    uint32_t len;
    uint32_t at;
    uint64_t version; /* the acting one */
    struct k4_scratch *scratch;
    uint32_t emitted; /* items, flushed ones included */
    uint16_t skip;    /* why the first message that took the frame gives nothing by itself */
    uint16_t skip_message;
};

/* Entries of a group, the first at `first`. */
struct k4_sbe_group {
    uint32_t first;
    uint32_t block; /* bytes of the fixed part of each */
    uint32_t count;
    bool there; /* false: the acting version has no such group */
};

struct k4_sbe_text {
    uint32_t at;
    uint32_t len;
};

/* What the frame gave as a whole, when all is done. */
void k4_sbe_end(struct k4_sbe *sbe);
/* A message that took the frame and gives nothing by itself. */
void k4_sbe_skip(struct k4_sbe *sbe, uint16_t skip, uint16_t message);
/* An element, or with K4_NO_MESSAGE the whole frame, is refused. */
void k4_sbe_refuse(struct k4_sbe *sbe, const struct k4_get *get, uint16_t message);
/* A text as a symbol; get->offset is where it stands. */
enum k4_status_of_place k4_sbe_take_symbol_slow(const struct k4_sbe *sbe, uint32_t at, uint32_t len, struct k4_get *get, struct k4_item *item);

/* The frame as a whole is refused: its sizes do not add up. Gives false. */
static inline bool k4_sbe_malformed(struct k4_sbe *sbe, uint32_t offset)
{
    const struct k4_get get = {.refusal = K4_REFUSED_MALFORMED, .offset = offset};
    k4_sbe_refuse(sbe, &get, K4_NO_MESSAGE);
    return false;
}

/* Moves on by `count` bytes; false: the frame ends before. */
static inline bool k4_sbe_pass(struct k4_sbe *sbe, uint64_t count)
{
    if (__builtin_expect(count > sbe->len - sbe->at, 0))
        return k4_sbe_malformed(sbe, sbe->len);
    sbe->at += (uint32_t)count;
    return true;
}

/* The dimensions of a group, read; `told`: where its block length is. `least`: bytes that an entry of the acting version has. `flat`: an
 * entry is nothing but its block, and so all of them are passed. */
static inline bool k4_sbe_enter(
    struct k4_sbe *sbe, uint64_t block, uint64_t count, uint32_t told, uint64_t least, bool flat, struct k4_sbe_group *group)
{
    if (__builtin_expect(count > 0 && (block < least || (flat && block == 0)), 0))
        return k4_sbe_malformed(sbe, told);
    const uint64_t left = sbe->len - sbe->at;
    if (__builtin_expect(count > 0 && (block > left || (block > 0 && count > left / block)), 0))
        return k4_sbe_malformed(sbe, sbe->len);
    /* Entries without a block take a byte each at least, or they are refused: more than there are bytes there cannot be. */
    group->first = sbe->at;
    group->block = count > 0 ? (uint32_t)block : 0;
    group->count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    group->there = true;
    if (flat)
        sbe->at += group->block * group->count;
    return true;
}

/* ---- items */

static inline struct k4_item *k4_sbe_items(struct k4_sbe *sbe, uint32_t count)
{
    struct k4_scratch *scratch = sbe->scratch;
    if (__builtin_expect(scratch->count + count > K4_SCRATCH_ITEMS, 0)) {
        scratch->flush(scratch->context, scratch);
        scratch->count = 0;
    }
    return &scratch->items[scratch->count];
}

static inline void k4_sbe_give(struct k4_sbe *sbe, struct k4_item *item, uint8_t record, uint16_t message)
{
    item->record = record;
    item->refusal = K4_REFUSED_NOT;
    item->message = message;
    item->offset = 0;
    sbe->scratch->count++;
    sbe->emitted++;
}

/* ---- values */

/* A number that is there or not; `at`: where it stands, and where the block around it begins, if it is absent. */
struct k4_sbe_number {
    uint64_t bits; /* of an int64, or of a uint64 where `wide` */
    uint32_t at;
    bool there;
    bool wide;
};

static inline struct k4_sbe_number k4_sbe_signed(int64_t value, uint32_t at, bool there)
{
    return (struct k4_sbe_number){(uint64_t)value, at, there, false};
}

static inline struct k4_sbe_number k4_sbe_unsigned(uint64_t value, uint32_t at, bool there)
{
    return (struct k4_sbe_number){value, at, there, value > INT64_MAX};
}

static inline enum k4_status_of_place k4_sbe_gone(uint32_t block, bool optional, struct k4_get *get)
{
    get->offset = block;
    get->allowed = optional;
    return K4_GONE;
}

static inline enum k4_status_of_place k4_sbe_wrong(uint32_t refusal, uint32_t at, struct k4_get *get)
{
    get->refusal = refusal;
    get->offset = at;
    return K4_WRONG;
}

/* Whether an exponent is one of fraction digits, as many as a record can say. */
static inline bool k4_sbe_fraction(int64_t exponent)
{
    return exponent <= 0 && exponent >= -128;
}

/* Whether so many digits of a fraction are what a level of a book takes as they stand. */
static inline bool k4_sbe_shown(int64_t fraction)
{
    return fraction >= 0 && fraction <= 18;
}

/* mantissa * 10^exponent, digit for digit. An exponent so far out that nothing fits is as good as any other such. */
static inline void k4_sbe_decimal(struct k4_sbe_number number, int64_t exponent, unsigned how, struct k4_decimal *out)
{
    int32_t power = exponent < -1000 ? -1000 : exponent > 1000 ? 1000 : (int32_t)exponent;
    *out = (struct k4_decimal){.mantissa = (int64_t)number.bits,
        .fraction = power < 0 ? -power : 0,
        .zeros = power > 0 ? power : 0,
        .offset = number.at};
    if (__builtin_expect(number.wide || out->mantissa == INT64_MIN, 0)) {
        uint64_t digits = number.bits;
        for (; digits > INT64_MAX && digits % 10 == 0; digits /= 10)
            out->zeros++;
        out->state = digits > INT64_MAX ? K4_DECIMAL_HUGE : K4_DECIMAL_PRESENT;
        out->mantissa = digits > INT64_MAX ? 1 : (int64_t)digits;
    }
    if ((how & K4_ABS) != 0 && out->mantissa < 0)
        out->mantissa = -out->mantissa;
}

/* An integer within bounds, which exclude the sentinel. */
static inline enum k4_status_of_place k4_sbe_integer(struct k4_sbe_number number, int64_t least, int64_t most, struct k4_get *get, int64_t *out)
{
    *out = (int64_t)number.bits;
    return __builtin_expect(number.wide || *out < least || *out > most, 0) ? k4_sbe_wrong(K4_REFUSED_RANGE, number.at, get) : K4_FOUND;
}

/* `unit`: nanoseconds each, 0: by the number of digits. */
static inline enum k4_status_of_place k4_sbe_time(struct k4_sbe_number number, int64_t unit, struct k4_get *get, int64_t *out)
{
    const int64_t value = (int64_t)number.bits;
    if (unit == 0) {
        const uint64_t digits = value < 0 ? -number.bits : number.bits;
        unit = digits - 1000000000 < 9000000000                                 ? 1000000000
            : digits - 1000000000000 < 9000000000000                           ? 1000000
            : digits - 1000000000000000 < 9000000000000000                     ? 1000
            : digits - 1000000000000000000 < UINT64_C(9000000000000000000)     ? 1
                                                                               : 0;
    }
    if (__builtin_expect(number.wide || unit == 0 || __builtin_mul_overflow(value, unit, out) || *out == INT64_MIN, 0))
        return k4_sbe_wrong(K4_REFUSED_RANGE, number.at, get);
    return K4_FOUND;
}

/* Eight bytes that are printable ASCII, told at once. */
static inline bool k4_sbe_printable(uint64_t word)
{
    return ((word | (word - 0x2020202020202020u) | (word + 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

/* The first `len` bytes of a word that lies in memory, 1 to 8, are printable ASCII. */
static inline bool k4_sbe_printable_part(uint64_t word, uint64_t len)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t kept = UINT64_MAX >> (64 - 8 * len);
    return k4_sbe_printable((word & kept) | (~kept & 0x2020202020202020u));
#else
    (void)len;
    return k4_sbe_printable(word); /* what stands behind it counts, too: what it refuses is looked at byte by byte */
#endif
}

/* Whether a text is 1 to 16 bytes of plain ASCII, looked at as words; behind it there is slack. */
static inline bool k4_sbe_usual_symbol(const uint8_t *at, uint64_t len)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    if (__builtin_expect(len - 1 < 8, 1))
        return k4_sbe_printable_part(word, len);
    uint64_t more;
    memcpy(&more, at + 8, sizeof more);
    return len - 9 < 8 && k4_sbe_printable(word) && k4_sbe_printable_part(more, len - 8);
}

/* The text [at, at + len) as a symbol. `block`: where the block around it begins. Up to 16 bytes of plain ASCII are looked at as words;
 * behind the text there is slack. */
static inline enum k4_status_of_place k4_sbe_symbol(
    const struct k4_sbe *sbe, uint32_t at, uint32_t len, uint32_t block, struct k4_get *get, struct k4_item *item)
{
    if (__builtin_expect(len == 0, 0))
        return k4_sbe_gone(block, false, get);
    if (__builtin_expect(k4_sbe_usual_symbol(sbe->text + at, len), 1)) {
        item->symbol = sbe->text + at;
        item->symbol_len = len;
        return K4_FOUND;
    }
    return k4_sbe_take_symbol_slow(sbe, at, len, get, item);
}

/* How long the text in an array of `length` characters is: up to the first NUL. */
static inline uint32_t k4_sbe_array(const struct k4_sbe *sbe, uint32_t at, uint32_t length)
{
    const uint8_t *end = memchr(sbe->text + at, 0, length);
    return end == NULL ? length : (uint32_t)(end - (sbe->text + at));
}

#endif
