/* What generated fast parsers are made of: values read in place from text whose keys and punctuation are known.
 *
 * The idea: after a literal has been compared there is a value, and the next literal begins with the byte that must end it.
 * So a reader here only finds out how far its value goes and what it is; it leaves the byte behind it to that comparison.
 * Every reader returns the first byte behind its value, or NULL when it is not certain: then the frame is declined and the
 * tolerant tier says what is the matter. There are no refusals here.
 *
 * Reading: behind the end of the text stand K4_SLACK bytes that may be read. Readers may be called there: what they find is
 * thrown away, since the parser compares its place with the end often enough and at last. A reader looks at most 20 bytes
 * further than its place, or as far as `stops` go, which are made for 64 bytes and only at or before the end. Strings and
 * ignored values, of any length, take `end` and never lead behind it.
 */
#ifndef K4_FAST_H
#define K4_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_digits.h"
#include "k4_number.h"

/* Most levels a record keeps of a side. */
#define K4_FAST_LEVELS 20

/* Most digits read here: any so long fits an int64. */
#define K4_FAST_DIGITS 18

/* A decimal as written: mantissa * 10^-fraction. */
struct k4_fast_decimal {
    int64_t mantissa;
    uint32_t fraction;
};

/* Digits as written, without sign and leading zero: at most 19, fitting an int64. */
struct k4_fast_digits {
    int64_t value;
    uint32_t count;
};

/* What stands between two quotes: printable ASCII without escapes. */
struct k4_fast_text {
    const uint8_t *start;
    uint32_t len;
};

/* ---------------------------------------------------------------- literals */

/* Is the text at p this string literal? Word by word; both length and words are known when compiling. */
#define K4_FAST_SAME(p, literal) k4_fast_same((p), literal "\0\0\0\0\0\0\0", sizeof(literal) - 1)

/* Same as: memcmp(p, literal, len) == 0. Reads 8 bytes where len is less; so does `literal`, which has 7 more. */
K4_FAST_INLINE bool k4_fast_same(const uint8_t *p, const char *literal, size_t len)
{
    uint64_t differing = 0;
    uint64_t there;
    uint64_t wanted;
    if (len == 0)
        return true;
#pragma GCC unroll 4
    for (size_t i = 0; i + 8 <= len; i += 8) {
        memcpy(&there, p + i, sizeof there);
        memcpy(&wanted, literal + i, sizeof wanted);
        differing |= there ^ wanted;
    }
    if (len > 8 && len % 8 != 0) {
        memcpy(&there, p + len - 8, sizeof there);
        memcpy(&wanted, literal + len - 8, sizeof wanted);
        differing |= there ^ wanted;
    } else if (len < 8) {
        memcpy(&there, p, sizeof there);
        memcpy(&wanted, literal, sizeof wanted);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        differing = (there ^ wanted) >> (64 - 8 * len);
#else
        differing = (there ^ wanted) << (64 - 8 * len);
#endif
    }
    return differing == 0;
}

/* ---------------------------------------------------------------- where values end */

/* What a parser waits for is where a value ends, because the next one is found from there. So the ends are marked for 64 bytes at
 * a time: bit i of `stops` says that a value may end at p[i]. As p moves on, stops are shifted along, and from one value to the
 * next it takes a count of zeros and a shift instead of a load and a comparison. No bit set: nobody has looked so far. */

#if defined(__AVX2__)

typedef __m256i k4_fast_block;
enum { K4_FAST_BLOCK = 32 };
#define k4_fast_block_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define k4_fast_block_fill(byte) _mm256_set1_epi8((char)(byte))
#define k4_fast_block_add _mm256_add_epi8
#define k4_fast_block_above _mm256_cmpgt_epi8
#define k4_fast_block_same _mm256_cmpeq_epi8
#define k4_fast_block_or _mm256_or_si256
#define k4_fast_block_bits(block) ((uint64_t)(uint32_t)_mm256_movemask_epi8(block))

#elif defined(__SSE2__)

typedef __m128i k4_fast_block;
enum { K4_FAST_BLOCK = 16 };
#define k4_fast_block_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define k4_fast_block_fill(byte) _mm_set1_epi8((char)(byte))
#define k4_fast_block_add _mm_add_epi8
#define k4_fast_block_above _mm_cmpgt_epi8
#define k4_fast_block_same _mm_cmpeq_epi8
#define k4_fast_block_or _mm_or_si128
#define k4_fast_block_bits(block) ((uint64_t)(uint32_t)_mm_movemask_epi8(block))

#endif

/* Stops of numbers: whatever is no digit. */
K4_FAST_INLINE uint64_t k4_fast_numbers(const uint8_t *p)
{
    uint64_t stops = 0;
#if defined(__SSE2__)
    /* moved so that the digits are the 10 smallest signed bytes */
    const k4_fast_block moved = k4_fast_block_fill(128 - '0');
    const k4_fast_block nine = k4_fast_block_fill(-128 + 9);
#pragma GCC unroll 4
    for (int i = 0; i < 64; i += K4_FAST_BLOCK)
        stops |= k4_fast_block_bits(k4_fast_block_above(k4_fast_block_add(k4_fast_block_load(p + i), moved), nine)) << i;
#else
    for (int i = 0; i < 64; i++)
        stops |= (uint64_t)((uint8_t)(p[i] - '0') > 9) << i;
#endif
    return stops;
}

/* Stops of words, and of digits too: all outside '-' .. '|' (quotes, commas, closing braces, control characters, what is not
 * ASCII), and the backslash. */
K4_FAST_INLINE uint64_t k4_fast_words(const uint8_t *p)
{
    uint64_t stops = 0;
#if defined(__SSE2__)
    const k4_fast_block moved = k4_fast_block_fill(128 - '-');
    const k4_fast_block last = k4_fast_block_fill(-128 + '|' - '-');
    const k4_fast_block backslash = k4_fast_block_fill('\\');
#pragma GCC unroll 4
    for (int i = 0; i < 64; i += K4_FAST_BLOCK) {
        const k4_fast_block text = k4_fast_block_load(p + i);
        const k4_fast_block outside = k4_fast_block_above(k4_fast_block_add(text, moved), last);
        stops |= k4_fast_block_bits(k4_fast_block_or(outside, k4_fast_block_same(text, backslash))) << i;
    }
#else
    for (int i = 0; i < 64; i++)
        stops |= (uint64_t)(p[i] < '-' || p[i] > '|' || p[i] == '\\') << i;
#endif
    return stops;
}

/* ---------------------------------------------------------------- digits */

/* An integer without sign, up to 19 digits. `stops` begin at p, and may be those of words. Returns the count of digits, 0: none
 * that is read here. */
K4_FAST_INLINE uint32_t k4_fast_digits_at(const uint8_t *p, uint64_t stops, struct k4_fast_digits *out)
{
    uint64_t value;
    if ((stops & 0xffffeu) == 0 || (stops & 1u) != 0)
        return 0; /* 20 digits or more, or none */
    const uint32_t count = (uint32_t)__builtin_ctzll(stops);
    if (__builtin_expect(count > 16, 0) ? !k4_digits_many(p, count, &value) : !k4_digits_upto16(p, count, &value))
        return 0;
    if (value < k4_digits_least[count])
        return 0; /* begins with 0: told by the value, since the first byte cannot be foretold */
    out->value = (int64_t)value;
    out->count = count;
    return count;
}

/* What k4_fast_decimal leaves: a sign, no fraction, more than 8 digits on a side. */
K4_FAST_RARE uint32_t k4_fast_odd_decimal(const uint8_t *p, uint64_t stops, struct k4_fast_decimal *out)
{
    const uint32_t sign = *p == '-';
    stops >>= sign;
    p += sign;
    if (stops == 0 || (stops & 1u) != 0)
        return 0;
    const uint64_t more = stops & (stops - 1);
    const uint32_t whole = (uint32_t)__builtin_ctzll(stops);
    uint32_t fraction = 0;
    uint32_t len = whole;
    if (p[whole] == '.') {
        if (more == 0)
            return 0;
        len = (uint32_t)__builtin_ctzll(more);
        fraction = len - whole - 1;
        if (fraction == 0)
            return 0;
    }
    if (whole + fraction > K4_FAST_DIGITS || (*p == '0' && whole != 1))
        return 0;
    out->mantissa = (int64_t)k4_digits_plain(p, whole) * k4_power10[fraction] + (int64_t)k4_digits_plain(p + len - fraction, fraction);
    out->mantissa = sign ? -out->mantissa : out->mantissa;
    out->fraction = fraction;
    return sign + len;
}

/* A decimal without exponent, at most 18 digits. `stops` of numbers begin at p, two at least. Returns its length, 0: none that is
 * read here. */
K4_FAST_INLINE uint32_t k4_fast_decimal_at(const uint8_t *p, uint64_t stops, struct k4_fast_decimal *out)
{
    const uint64_t more = stops & (stops - 1);
    const uint32_t whole = (uint32_t)__builtin_ctzll(stops);
    const uint32_t len = (uint32_t)__builtin_ctzll(more);
    const uint32_t fraction = len - whole - 1;
    if (__builtin_expect(((whole - 1) | (fraction - 1)) > 7 || p[whole] != '.', 0))
        return k4_fast_odd_decimal(p, stops, out);
    const struct k4_digits_pair pair = k4_digits_two(p, whole, p + whole + 1, fraction);
    if (pair.first < k4_digits_least[whole])
        return 0;
    out->mantissa = (int64_t)pair.first * k4_power10[fraction] + (int64_t)pair.second;
    out->fraction = fraction;
    return len;
}

/* An integer without sign. `numbers`: which stops to make where there are none. */
K4_FAST_INLINE const uint8_t *
k4_fast_digits(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    if (__builtin_expect(*stops == 0, 0)) {
        if (p > end)
            return NULL;
        *stops = numbers ? k4_fast_numbers(p) : k4_fast_words(p);
    }
    const uint32_t count = k4_fast_digits_at(p, *stops, out);
    *stops >>= count;
    return count != 0 ? p + count : NULL;
}

/* A decimal without exponent. */
K4_FAST_INLINE const uint8_t *k4_fast_decimal(const uint8_t *p, const uint8_t *end, uint64_t *stops, struct k4_fast_decimal *out)
{
    if (__builtin_expect((*stops & (*stops - 1)) == 0, 0)) { /* the point is in sight, but not the end */
        if (p > end)
            return NULL;
        *stops = k4_fast_numbers(p);
        if ((*stops & (*stops - 1)) == 0)
            return NULL;
    }
    const uint32_t len = k4_fast_decimal_at(p, *stops, out);
    *stops >>= len;
    return len != 0 ? p + len : NULL;
}

/* The same two, with a quote on both sides or none. */
K4_FAST_INLINE const uint8_t *
k4_fast_quoted_digits(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_digits *out)
{
    const uint32_t quote = *p == '"';
    *stops >>= quote;
    p = k4_fast_digits(p + quote, end, stops, numbers, out);
    *stops >>= quote;
    return p != NULL && (quote == 0 || *p == '"') ? p + quote : NULL;
}

K4_FAST_INLINE const uint8_t *
k4_fast_quoted_decimal(const uint8_t *p, const uint8_t *end, uint64_t *stops, struct k4_fast_decimal *out)
{
    const uint32_t quote = *p == '"';
    *stops >>= quote;
    p = k4_fast_decimal(p + quote, end, stops, out);
    *stops >>= quote;
    return p != NULL && (quote == 0 || *p == '"') ? p + quote : NULL;
}

/* Writes more fraction digits: `to` of them, not fewer than there are. False: it does not fit. */
K4_FAST_INLINE bool k4_fast_raise(struct k4_fast_decimal *value, uint32_t to)
{
    const uint32_t by = to - value->fraction;
    if (__builtin_expect(by == 0, 1))
        return true;
    value->fraction = to;
    return !__builtin_mul_overflow(value->mantissa, k4_power10[by], &value->mantissa) && value->mantissa != INT64_MIN;
}

K4_FAST_INLINE uint32_t k4_fast_most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- levels */

/* The prices or quantities of one side; those past the levels that a record has go to the last place, again and again. */
struct k4_fast_levels {
    uint32_t any; /* all fractions, or-ed */
    uint32_t all; /* and and-ed: the same if they are even */
    uint32_t fraction[K4_FAST_LEVELS + 1];
    int64_t mantissa[K4_FAST_LEVELS + 1];
};

K4_FAST_INLINE void k4_fast_no_levels(struct k4_fast_levels *levels)
{
    levels->any = 0;
    levels->all = UINT32_MAX;
}

K4_FAST_INLINE void k4_fast_level(struct k4_fast_levels *levels, uint32_t n, struct k4_fast_decimal value)
{
    levels->any |= value.fraction;
    levels->all &= value.fraction;
    levels->fraction[n] = value.fraction;
    levels->mantissa[n] = value.mantissa;
}

K4_FAST_INLINE uint32_t k4_fast_kept(uint32_t count, uint32_t most)
{
    return count < most ? count : most;
}

K4_FAST_RARE bool k4_fast_raise_levels(struct k4_fast_levels *levels, uint32_t count, uint32_t to)
{
    for (uint32_t i = 0; i < count; i++) {
        struct k4_fast_decimal value = {levels->mantissa[i], levels->fraction[i]};
        if (!k4_fast_raise(&value, to))
            return false;
        levels->mantissa[i] = value.mantissa;
    }
    return true;
}

K4_FAST_RARE bool
k4_fast_align_uneven(struct k4_fast_levels *bids, uint32_t bid_count, struct k4_fast_levels *asks, uint32_t ask_count, uint32_t *fraction)
{
    uint32_t to = 0;
    for (uint32_t i = 0; i < bid_count; i++)
        to = k4_fast_most(to, bids->fraction[i]);
    for (uint32_t i = 0; i < ask_count; i++)
        to = k4_fast_most(to, asks->fraction[i]);
    *fraction = to;
    return k4_fast_raise_levels(bids, bid_count, to) && k4_fast_raise_levels(asks, ask_count, to);
}

/* Gives both sides as many fraction digits as the value with most of them has. `most`: levels that a record keeps; what was read
 * behind them has no say. False: it does not fit. */
K4_FAST_INLINE bool k4_fast_align(
    struct k4_fast_levels *bids, uint32_t bid_count, struct k4_fast_levels *asks, uint32_t ask_count, uint32_t most, uint32_t *fraction)
{
    *fraction = bids->any | asks->any;
    if (__builtin_expect(*fraction == (bids->all & asks->all) && bid_count <= most && ask_count <= most, 1))
        return true;
    return k4_fast_align_uneven(bids, k4_fast_kept(bid_count, most), asks, k4_fast_kept(ask_count, most), fraction);
}

/* ---------------------------------------------------------------- what digits mean */

/* `per_unit` nanoseconds each. False: outside int64. */
K4_FAST_INLINE bool k4_fast_time(const struct k4_fast_digits *digits, int64_t per_unit, int64_t *out)
{
    return !__builtin_mul_overflow(digits->value, per_unit, out);
}

/* The unit goes by the number of digits. False: it tells none. */
K4_FAST_INLINE bool k4_fast_auto_time(const struct k4_fast_digits *digits, int64_t *out)
{
    switch (digits->count) {
    case 13:
        return k4_fast_time(digits, 1000000, out);
    case 16:
        return k4_fast_time(digits, 1000, out);
    case 10:
        return k4_fast_time(digits, 1000000000, out);
    case 19:
        return k4_fast_time(digits, 1, out);
    default:
        return false;
    }
}

K4_FAST_INLINE bool k4_fast_count(const struct k4_fast_digits *digits, int32_t *out)
{
    *out = (int32_t)digits->value;
    return digits->value <= INT32_MAX;
}

/* How many ids there are from first to last. False: none, or more than a count holds. */
K4_FAST_INLINE bool k4_fast_spanned(int64_t first, int64_t last, int32_t *out)
{
    const int64_t apart = last - first; /* both are not negative */
    *out = (int32_t)(apart + 1);
    return apart >= 0 && apart < INT32_MAX;
}

/* ---------------------------------------------------------------- words and texts */

/* Branch-free, since neither value is the usual one. */
K4_FAST_INLINE const uint8_t *k4_fast_bool(const uint8_t *p, bool *out)
{
    uint32_t word;
    uint32_t wanted_true;
    uint32_t wanted_false;
    memcpy(&word, p, sizeof word);
    memcpy(&wanted_true, "true", sizeof wanted_true);
    memcpy(&wanted_false, "fals", sizeof wanted_false);
    const bool yes = word == wanted_true;
    const bool no = (word == wanted_false) & (p[4] == 'e');
    *out = yes;
    return (yes | no) ? p + 5 - yes : NULL;
}

/* A string that does not end within its stops, or has other characters than those it holds without a stop. */
K4_FAST_RARE const uint8_t *k4_fast_odd_string(const uint8_t *p, const uint8_t *end, struct k4_fast_text *out)
{
    const uint8_t *at = p;
    while (at < end && *at != '"' && *at != '\\' && *at >= ' ' && *at < 0x7f)
        at++;
    if (at >= end || *at != '"')
        return NULL;
    out->start = p;
    out->len = (uint32_t)(at - p);
    return at + 1;
}

/* The rest of a string whose opening quote is before p. Returns the place behind the closing quote. */
K4_FAST_INLINE const uint8_t *k4_fast_string(const uint8_t *p, const uint8_t *end, uint64_t *stops, struct k4_fast_text *out)
{
    if (*stops == 0 && p <= end)
        *stops = k4_fast_words(p);
    const uint32_t len = *stops != 0 ? (uint32_t)__builtin_ctzll(*stops) : 0;
    if (__builtin_expect(p + len >= end || p[len] != '"', 0)) {
        *stops = 0;
        return k4_fast_odd_string(p, end, out);
    }
    out->start = p;
    out->len = len;
    *stops = *stops >> len >> 1;
    return p + len + 1;
}

/* Is the text `prefix`, then at least one character, then `suffix`? (string literals) */
#define K4_FAST_FRAMED(text, prefix, suffix)                                                                  \
    ((text)->len > sizeof(prefix) - 1 + sizeof(suffix) - 1 && K4_FAST_SAME((text)->start, prefix) &&            \
     K4_FAST_SAME((text)->start + (text)->len - (sizeof(suffix) - 1), suffix))

/* Is the text this word? */
#define K4_FAST_WORD(text, word) ((text)->len == sizeof(word) - 1 && K4_FAST_SAME((text)->start, word))

/* Part of a pattern, between two of its stars. */
struct k4_fast_piece {
    const char *text;
    uint32_t len;
};

/* Is the text made of these pieces, with any run of characters between each two of them? */
#define K4_FAST_LIKE(text, ...)                                                                               \
    k4_fast_like((text), (const struct k4_fast_piece[]){__VA_ARGS__},                                          \
        sizeof((const struct k4_fast_piece[]){__VA_ARGS__}) / sizeof(struct k4_fast_piece))

/* Mostly the first byte tells. */
K4_FAST_INLINE bool k4_fast_begins(const uint8_t *p, const struct k4_fast_piece *piece)
{
    return piece->len == 0 || (*p == (uint8_t)piece->text[0] && memcmp(p + 1, piece->text + 1, piece->len - 1) == 0);
}

K4_FAST_INLINE bool k4_fast_like(const struct k4_fast_text *text, const struct k4_fast_piece *pieces, size_t count)
{
    const struct k4_fast_piece *first = &pieces[0];
    const struct k4_fast_piece *last = &pieces[count - 1];
    const uint8_t *p = text->start;
    if (count == 1)
        return text->len == first->len && memcmp(p, first->text, first->len) == 0;
    if (text->len < first->len + last->len)
        return false;
    const uint8_t *const end = p + text->len - last->len;
    if (!k4_fast_begins(p, first) || !k4_fast_begins(end, last))
        return false;
    p += first->len;
    for (size_t i = 1; i + 1 < count; i++) {
        const struct k4_fast_piece *piece = &pieces[i];
        for (;; p++) {
            if ((size_t)(end - p) < piece->len)
                return false;
            if (k4_fast_begins(p, piece))
                break;
        }
        p += piece->len;
    }
    return true;
}

/* Is the text this word? For one that is not the same in all products. */
K4_FAST_INLINE bool k4_fast_is(const struct k4_fast_text *text, const struct k4_fast_piece *word)
{
    return text->len == word->len && memcmp(text->start, word->text, word->len) == 0;
}

/* Copies ASCII text with small letters made capital, 8 bytes at a time: up to 7 more are written, and mean nothing. */
K4_FAST_INLINE void k4_fast_upper(const uint8_t *text, uint32_t len, uint8_t *out)
{
    for (uint32_t i = 0; i < len; i += 8) {
        /* From 'a' on the first sum has the top bit set, from behind 'z' on the second. */
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        const uint64_t low = word & 0x7f7f7f7f7f7f7f7fu;
        const uint64_t small = (low + 0x1f1f1f1f1f1f1f1fu) & ~(low + 0x0505050505050505u) & 0x8080808080808080u;
        const uint64_t upper = word ^ (small >> 2);
        memcpy(out + i, &upper, sizeof upper);
    }
}

/* An id that may be any text; `hashed`: it is no number. */
K4_FAST_INLINE bool k4_fast_id(const struct k4_fast_text *text, int64_t *out, bool *hashed)
{
    const struct k4_text id = {.at = text->start, .len = text->len, .type = K4_STRING};
    unsigned is_hash = 0;
    if (text->len == 0 || k4_read_id(&id, out, &is_hash) != K4_REFUSED_NOT)
        return false;
    *hashed = is_hash != 0;
    return true;
}

/* ---------------------------------------------------------------- ignored values */

K4_FAST_RARE const uint8_t *k4_fast_skip_number(const uint8_t *p, const uint8_t *end)
{
    p += *p == '-';
    const uint8_t *start = p;
    while (p < end && (uint8_t)(*p - '0') <= 9)
        p++;
    if (p == start || (*start == '0' && p != start + 1))
        return NULL;
    if (p < end && *p == '.') {
        start = ++p;
        while (p < end && (uint8_t)(*p - '0') <= 9)
            p++;
        if (p == start)
            return NULL;
    }
    return p; /* an exponent is left to the next literal, which it does not fit */
}

/* A string, a number without exponent, a word. Anything else is declined. */
K4_FAST_INLINE const uint8_t *k4_fast_skip(const uint8_t *p, const uint8_t *end)
{
    struct k4_fast_text text;
    bool truth;
    switch (*p) {
    case '"':
        return k4_fast_odd_string(p + 1, end, &text);
    case 't':
    case 'f':
        p = k4_fast_bool(p, &truth);
        return p != NULL && p <= end ? p : NULL;
    case 'n':
        return K4_FAST_SAME(p, "null") && p + 4 <= end ? p + 4 : NULL;
    default:
        return k4_fast_skip_number(p, end);
    }
}

K4_FAST_RARE void k4_fast_swap(struct k4_item *a, struct k4_item *b)
{
    const bool a_folded = a->symbol == a->folded;
    const bool b_folded = b->symbol == b->folded;
    const struct k4_item kept = *a;
    *a = *b;
    *b = kept;
    if (b_folded)
        a->symbol = a->folded;
    if (a_folded)
        b->symbol = b->folded;
}

/* The items the other way round: what the venue sends newest first. */
K4_FAST_INLINE void k4_fast_turn(struct k4_scratch *scratch)
{
    for (uint32_t i = 0, j = scratch->count - 1; i < j; i++, j--)
        k4_fast_swap(&scratch->items[i], &scratch->items[j]);
}

/* The frame is taken: `count` items, by the layout with this number. */
K4_FAST_INLINE bool k4_fast_took(struct k4_scratch *scratch, uint32_t count, uint16_t layout)
{
    scratch->count = count;
    scratch->skip = K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    scratch->tier = K4_TIER_FAST;
    scratch->hint = layout;
    return true;
}

/* The update of a book is applied: what came of it, as the function that cuts its records says. */
K4_FAST_INLINE bool k4_fast_booked(struct k4_scratch *scratch, enum k4_skip skip, uint32_t given, uint16_t message, uint16_t layout)
{
    (void)k4_fast_took(scratch, given, layout);
    if (skip != K4_SKIP_NOT) {
        scratch->skip = (uint16_t)skip;
        scratch->skip_message = message;
    } else if (__builtin_expect(given == 0, 0)) { /* no exponent fits what is to be seen */
        scratch->count = 1;
        scratch->items[0].record = 0;
        scratch->items[0].refusal = K4_REFUSED_RANGE;
        scratch->items[0].message = message;
        scratch->items[0].offset = 0;
    }
    return true;
}

/* A message that is no market record took the frame. */
static inline bool k4_fast_skipped(struct k4_scratch *scratch, uint16_t skip, uint16_t message)
{
    scratch->count = 0;
    scratch->skip = skip;
    scratch->skip_message = message;
    scratch->tier = K4_TIER_FAST;
    return true;
}

#endif
