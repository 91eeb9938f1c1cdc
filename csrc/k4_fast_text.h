/* Literals, words and texts of fast parsers, and values that nobody wants.
 *
 * Readers return the first byte behind their value, or NULL where they are not certain; see k4_fast.h.
 */
#ifndef K4_FAST_TEXT_H
#define K4_FAST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_fast_stops.h"
#include "k4_number.h"
#include "k4_told.h"

/* What stands between two quotes: printable ASCII without escapes. */
struct k4_fast_text {
    const uint8_t *start;
    uint32_t len;
};

/* ---------------------------------------------------------------- literals */

/* Is the text at p this string literal? */
#define K4_FAST_SAME(p, literal) k4_fast_same((p), literal, sizeof(literal) - 1)

/* Same as: memcmp(p, literal, len) == 0. Word by word; both length and words are known when compiling, and what is left over is
 * compared together with what stands before it. */
K4_FAST_INLINE bool k4_fast_same(const uint8_t *p, const char *literal, size_t len)
{
    const size_t rest = len % 8;
#pragma GCC unroll 4
    for (size_t i = 0; i + 8 <= len; i += 8)
        if (memcmp(p + i, literal + i, 8) != 0)
            return false;
    if (rest > 4 && len > 8)
        return memcmp(p + len - 8, literal + len - 8, 8) == 0;
    if (rest > 4 && memcmp(p, literal, 4) != 0)
        return false;
    if (rest == 4 || (rest != 0 && len > 4))
        return memcmp(p + len - 4, literal + len - 4, 4) == 0;
    if (rest >= 2 && memcmp(p, literal, 2) != 0)
        return false;
    return rest % 2 == 0 || p[rest - 1] == (uint8_t)literal[rest - 1];
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

/* A string of any length, of all the characters that are read here. */
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

/* A string that does not end where its stops say. */
K4_FAST_APART const uint8_t *k4_fast_far_string(const uint8_t *p, const uint8_t *end, struct k4_fast_text *out)
{
    const uint64_t stops = p <= end ? k4_fast_words(p, 64) : 0;
    const uint32_t len = stops != 0 ? (uint32_t)__builtin_ctzll(stops) : 0;
    if (__builtin_expect(p + len >= end || p[len] != '"', 0))
        return k4_fast_odd_string(p, end, out);
    out->start = p;
    out->len = len;
    return p + len + 1;
}

/* The rest of a string whose opening quote is before p. Returns the place behind the closing quote. `numbers`: what stops there are:
 * of these only the quote behind digits is an end. */
K4_FAST_INLINE const uint8_t *
k4_fast_string(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers, struct k4_fast_text *out)
{
    if (*stops == 0 && p <= end)
        *stops = k4_fast_look(p, numbers);
    const uint32_t len = *stops != 0 ? (uint32_t)__builtin_ctzll(*stops) : 0;
    if (__builtin_expect(p + len >= end || p[len] != '"', 0)) {
        *stops = 0;
        return k4_fast_far_string(p, end, out);
    }
    out->start = p;
    out->len = len;
    *stops = *stops >> len >> 1;
    return p + len + 1;
}

/* One that nobody wants. */
K4_FAST_INLINE const uint8_t *k4_fast_skip_string(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers)
{
    struct k4_fast_text text;
    return k4_fast_string(p, end, stops, numbers, &text);
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

/* One of them: `literal` as the C spells it, `count` its bytes; it is read as a word of 8. */
#define K4_FAST_PIECE(literal, count) {literal "\0\0\0\0\0\0\0", count}

/* Mostly it is short. */
K4_FAST_INLINE bool k4_fast_begins(const uint8_t *p, const struct k4_fast_piece *piece)
{
    if (piece->len == 0)
        return true;
    if (__builtin_expect(piece->len > 8, 0))
        return memcmp(p, piece->text, piece->len) == 0;
    uint64_t there;
    uint64_t wanted;
    memcpy(&there, p, sizeof there);
    memcpy(&wanted, piece->text, sizeof wanted);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (there ^ wanted) >> (64 - 8 * piece->len) == 0;
#else
    return (there ^ wanted) << (64 - 8 * piece->len) == 0;
#endif
}

/* The first such byte from p on, NULL: none before `end`. */
K4_FAST_INLINE const uint8_t *k4_fast_next(const uint8_t *p, const uint8_t *end, uint8_t byte)
{
#if defined(__SSE2__)
    for (; p < end; p += K4_FAST_BLOCK) {
        const uint64_t bits = k4_fast_block_bits(k4_fast_block_same(k4_fast_block_load(p), k4_fast_block_fill(byte)));
        if (bits != 0) {
            p += __builtin_ctzll(bits);
            return p < end ? p : NULL;
        }
    }
    return NULL;
#else
    return p < end ? memchr(p, byte, (size_t)(end - p)) : NULL;
#endif
}

/* Do these pieces follow each other, with any run of characters around each? */
K4_FAST_APART bool k4_fast_follow(const uint8_t *p, const uint8_t *end, const struct k4_fast_piece *pieces, size_t count)
{
    for (const struct k4_fast_piece *piece = pieces; piece < pieces + count; piece++) {
        if (piece->len == 0)
            continue;
        for (;; p++) {
            p = k4_fast_next(p, end, (uint8_t)piece->text[0]);
            if (p == NULL || (size_t)(end - p) < piece->len)
                return false;
            if (piece->len == 1 || k4_fast_begins(p, piece))
                break;
        }
        p += piece->len;
    }
    return true;
}

/* Is the text made of these pieces, with any run of characters between each two of them? `count` is known when compiling. */
K4_FAST_INLINE bool k4_fast_like(const struct k4_fast_text *text, const struct k4_fast_piece *pieces, size_t count)
{
    const struct k4_fast_piece *first = &pieces[0];
    const struct k4_fast_piece *last = &pieces[count - 1];
    const uint8_t *p = text->start;
    if (count == 1)
        return text->len == first->len && k4_fast_begins(p, first);
    if (text->len < first->len + last->len)
        return false;
    const uint8_t *const end = p + text->len - last->len;
    if (!k4_fast_begins(p, first) || !k4_fast_begins(end, last))
        return false;
    return count == 2 || k4_fast_follow(p + first->len, end, pieces + 1, count - 2);
}

/* The same of a product's own pattern, which may be one that any text fits. */
K4_FAST_INLINE bool k4_fast_fits(const struct k4_fast_text *text, const struct k4_fast_piece *pieces, size_t count)
{
    return pieces->text == NULL || k4_fast_like(text, pieces, count);
}

/* Did the text fit all that stands under this number before? */
K4_FAST_INLINE bool k4_fast_told(const struct k4_scratch *scratch, const void *words, uint32_t number, const struct k4_fast_text *text)
{
    return scratch->told != NULL && k4_told_knows(scratch->told, words, number, text->start, text->len);
}

/* It does. */
K4_FAST_APART void k4_fast_tell(const struct k4_scratch *scratch, const void *words, uint32_t number, const struct k4_fast_text *text)
{
    if (scratch->told != NULL)
        k4_told_keep(scratch->told, words, number, text->start, text->len);
}

/* Is the text this word? For one that is not the same in all products. */
K4_FAST_INLINE bool k4_fast_is(const struct k4_fast_text *text, const struct k4_fast_piece *word)
{
    return text->len == word->len && k4_fast_begins(text->start, word);
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
K4_FAST_APART const uint8_t *k4_fast_skip(const uint8_t *p, const uint8_t *end)
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

/* The same for what is digits in the examples; `stops` as for k4_fast_digits. */
K4_FAST_INLINE const uint8_t *k4_fast_skip_digits(const uint8_t *p, const uint8_t *end, uint64_t *stops, bool numbers)
{
    if (__builtin_expect(*stops == 0, 0)) {
        if (p > end)
            return NULL;
        *stops = k4_fast_look(p, numbers);
    }
    const uint32_t count = (uint32_t)__builtin_ctzll(*stops | 1ull << 63);
    const bool plain = count - 1 < 16 && p[count] != '.' && (*p != '0' || count == 1) && (numbers || k4_digits_only(p, count));
    if (__builtin_expect(!plain, 0)) {
        *stops = 0;
        return k4_fast_skip(p, end);
    }
    *stops >>= count;
    return p + count;
}

#endif
