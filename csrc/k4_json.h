/* One validating pass over JSON text, and cheap steps over text that it has proven.
 *
 * Generated walkers call these. A walker goes through an object once, proves its grammar and leaves a mark at every place that
 * some path names; what no path names is proven by k4_json_skip(). The first byte that cannot continue ends the pass at once
 * (`malformed` wins over all). Bad UTF-8 and too deep nesting are noted, first one only, and the pass goes on.
 *
 * Bounds: text[-K4_SLACK .. end + K4_SLACK) is readable but says nothing outside [text, end). Loops test `end`; single bytes behind a
 * token are read without a test, and each separator, key and element is tested, so that a pass never gets further than one
 * token past the end before it finds out. A token that crosses the end is found at the next test: malformed at `end`.
 */
#ifndef K4_JSON_H
#define K4_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What stands at a place. From K4_FALSE on it is present; K4_NULL and K4_EMPTY ("") are absent though a key is there. */
enum k4_type {
    K4_NOTHING = 0,
    K4_NULL,
    K4_EMPTY,
    K4_FALSE,
    K4_TRUE,
    K4_NUMBER,
    K4_STRING,
    K4_OBJECT,
    K4_ARRAY,
    K4_TYPE_MASK = 0x0f,
    K4_ESCAPED = 0x10, /* a string that holds a backslash */
    K4_BARE = 0x40, /* the frame itself as plain text: a string without quotes */
    K4_TWICE = 0x20, /* its key was given again: the mark is that of the first, `second` says where the other is */
};

/* Offsets in the frame: the value is [at, end). Valid where the type byte is not K4_NOTHING; `second` only with K4_TWICE. */
struct k4_mark {
    uint32_t at;
    uint32_t end;
    uint32_t second;
};

struct k4_json {
    const uint8_t *text;
    const uint8_t *end;
    uint32_t bad; /* where it is malformed; valid after a NULL */
    uint32_t finding; /* enum k4_refusal: 0, utf8 or depth, the first of them */
    uint32_t finding_at;
    uint32_t twice; /* marked keys given again */
    uint64_t unknown; /* keys that no path names */
    struct k4_mark nowhere; /* of values that need no mark; their type goes to nothing */
    uint8_t nothing;
};

struct k4_key {
    const uint8_t *at; /* behind the opening quote */
    uint32_t len;
    uint32_t escaped;
};

/* Cold parts, in k4_json.c. All give the place behind, or NULL when the text is malformed. */
const uint8_t *k4_json_string_slow(struct k4_json *json, const uint8_t *quote, const uint8_t *from, uint8_t *type);
const uint8_t *k4_json_number_slow(struct k4_json *json, const uint8_t *p);
/* A value that begins with neither a quote nor a digit. */
const uint8_t *k4_json_other(struct k4_json *json, const uint8_t *p, unsigned open, uint8_t *type);
/* A container, proven by grammar; `open`: containers open around it. */
const uint8_t *k4_json_container(struct k4_json *json, const uint8_t *p, unsigned open);

static inline const uint8_t *k4_json_fail(struct k4_json *json, const uint8_t *p)
{
    json->bad = (uint32_t)((p < json->end ? p : json->end) - json->text);
    return NULL;
}

static inline void k4_json_note(struct k4_json *json, uint32_t refusal, const uint8_t *p)
{
    if (json->finding == 0) {
        json->finding = refusal;
        json->finding_at = (uint32_t)(p - json->text);
    }
}

static inline const uint8_t *k4_json_space(const struct k4_json *json, const uint8_t *p)
{
    while (__builtin_expect(*p <= ' ', 0) && p < json->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Blocks of bytes are looked at together. Each has a naive twin in the tests: going through them one by one. */
#if defined(__SSE2__)

#define K4_JSON_BLOCK 16

/* How many bytes from `p` on are plain ASCII text: no quote, backslash, control character, nor 0x80 and above. */
static inline unsigned k4_json_plain(const uint8_t *p)
{
    const __m128i text = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('"')), _mm_cmpeq_epi8(text, _mm_set1_epi8('\\')));
    const __m128i special = _mm_or_si128(ends, _mm_cmplt_epi8(text, _mm_set1_epi8(' '))); /* signed: 0x80 and above are less */
    return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(special) | 1u << K4_JSON_BLOCK);
}

/* How many bytes from `p` on are digits. */
static inline unsigned k4_json_digits(const uint8_t *p)
{
    const __m128i moved = _mm_add_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8(128 - '0'));
    return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(moved, _mm_set1_epi8(-128 + 9))) | 1u << K4_JSON_BLOCK);
}

#else

#define K4_JSON_BLOCK 8
#define K4_JSON_ONES 0x0101010101010101u

/* Of the bits in `found` at the top of bytes, the lowest is exact; higher ones may be wrong. */
static inline unsigned k4_json_first(uint64_t found)
{
    found &= K4_JSON_ONES * 0x80;
    return found == 0 ? K4_JSON_BLOCK : (unsigned)__builtin_ctzll(found) >> 3;
}

static inline unsigned k4_json_plain(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t quote = word ^ (K4_JSON_ONES * '"');
    uint64_t slash = word ^ (K4_JSON_ONES * '\\');
    return k4_json_first(
        ((quote - K4_JSON_ONES) & ~quote) | ((slash - K4_JSON_ONES) & ~slash) | ((word - K4_JSON_ONES * ' ') & ~word) | word);
}

static inline unsigned k4_json_digits(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return k4_json_first((word - K4_JSON_ONES * '0') | (word + K4_JSON_ONES * (0x7f - '9')) | word);
}

#endif

/* `p` at the opening quote; *type becomes K4_STRING or K4_EMPTY, with K4_ESCAPED. */
static inline const uint8_t *k4_json_string(struct k4_json *json, const uint8_t *p, uint8_t *type)
{
    const uint8_t *s = p + 1;
    unsigned plain;
    while ((plain = k4_json_plain(s)) == K4_JSON_BLOCK) {
        s += K4_JSON_BLOCK;
        if (s >= json->end)
            return k4_json_fail(json, s);
    }
    s += plain;
    if (__builtin_expect(*s != '"', 0))
        return k4_json_string_slow(json, p, s, type);
    *type = s == p + 1 ? K4_EMPTY : K4_STRING;
    return s + 1;
}

/* A key with its colon: `p` at the quote (or at what stands there instead), the result at the value. */
static inline const uint8_t *k4_json_key(struct k4_json *json, const uint8_t *p, struct k4_key *key)
{
    if (__builtin_expect(p >= json->end || *p != '"', 0))
        return k4_json_fail(json, p);
    uint8_t type;
    const uint8_t *after = k4_json_string(json, p, &type);
    if (__builtin_expect(after == NULL, 0))
        return NULL;
    key->at = p + 1;
    key->len = (uint32_t)(after - p - 2);
    key->escaped = type & K4_ESCAPED;
    p = k4_json_space(json, after);
    if (__builtin_expect(*p != ':' || p >= json->end, 0))
        return k4_json_fail(json, p);
    return k4_json_space(json, p + 1);
}

/* A number; short integers without sign at a glance. */
static inline const uint8_t *k4_json_number(struct k4_json *json, const uint8_t *p)
{
    unsigned len = k4_json_digits(p);
    const uint8_t *after = p + len;
    if (len - 1 < K4_JSON_BLOCK - 1 && after <= json->end && *after != '.' && (*after | 0x20) != 'e' && (*p != '0' || len == 1))
        return after;
    return k4_json_number_slow(json, p);
}

/* The byte of a key that is one plain character, its colon directly behind it and no white space behind that: 0 where there is
 * another key. The value is at p + 4. */
static inline uint8_t k4_json_letter(const struct k4_json *json, const uint8_t *p)
{
    static const uint8_t frame[4] = {'"', 0, '"', ':'};
    static const uint8_t mask[4] = {0xff, 0, 0xff, 0xff};
    uint32_t word, wanted, kept;
    memcpy(&word, p, 4);
    memcpy(&wanted, frame, 4);
    memcpy(&kept, mask, 4);
    const uint8_t letter = p[1];
    if ((word & kept) != wanted || json->end - p <= 4 || p[4] <= ' ')
        return 0;
    return (uint8_t)(letter - ' ') < 0x60 && letter != '"' && letter != '\\' ? letter : 0;
}

/* Any value, proven by grammar and typed. */
static inline const uint8_t *k4_json_value(struct k4_json *json, const uint8_t *p, unsigned open, uint8_t *type)
{
    if (*p == '"')
        return k4_json_string(json, p, type);
    if ((uint8_t)(*p - '0') > 9)
        return k4_json_other(json, p, open, type);
    *type = K4_NUMBER;
    return k4_json_number(json, p);
}

static inline const uint8_t *k4_json_skip(struct k4_json *json, const uint8_t *p, unsigned open)
{
    uint8_t type;
    return k4_json_value(json, p, open, &type);
}

/* A value with a mark. */
static inline const uint8_t *k4_json_leaf(struct k4_json *json, const uint8_t *p, unsigned open, uint8_t *type, struct k4_mark *mark)
{
    mark->at = (uint32_t)(p - json->text);
    p = k4_json_value(json, p, open, type);
    if (p != NULL)
        mark->end = (uint32_t)(p - json->text);
    return p;
}

/* Notes that a marked key came again. */
static inline void k4_json_again(struct k4_json *json, const struct k4_key *key, uint8_t *type, struct k4_mark *mark)
{
    if ((*type & K4_TWICE) == 0) {
        *type |= K4_TWICE;
        mark->second = (uint32_t)(key->at - 1 - json->text);
        json->twice++;
    }
}

/* A value that leaves no mark: of a key that no path names (`node` 0), or of a marked one that came again. */
static inline void k4_json_unmarked(
    struct k4_json *json, const struct k4_key *key, unsigned node, uint8_t **type, struct k4_mark **mark)
{
    if (node == 0)
        json->unknown++;
    else
        k4_json_again(json, key, *type, *mark);
    *type = &json->nothing;
    *mark = &json->nowhere;
}

/* Behind a member or element: at the next one (`*more` true) or behind the container that `close` ends. */
static inline const uint8_t *k4_json_next(struct k4_json *json, const uint8_t *p, uint8_t close, bool *more)
{
    p = k4_json_space(json, p);
    if (__builtin_expect(p >= json->end, 0))
        return k4_json_fail(json, p);
    *more = *p == ',';
    if (*more)
        return k4_json_space(json, p + 1);
    if (__builtin_expect(*p != close, 0))
        return k4_json_fail(json, p);
    return p + 1;
}

/* ---- over text that was proven; no way to fail */

/* Behind the value at `p`. */
const uint8_t *k4_json_over(const uint8_t *p);
/* The first byte of the value whose last byte is p[-1]; [begin, p) is inside one container or is the whole text. */
const uint8_t *k4_json_back(const uint8_t *p, const uint8_t *begin);

static inline const uint8_t *k4_json_blank(const uint8_t *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

/* The elements of a proven array or members of a proven object, one after the other: `p` starts behind the bracket.
 * Gives the first byte of the next one, or NULL at the closing bracket. */
static inline const uint8_t *k4_json_each(const uint8_t *p)
{
    p = k4_json_blank(p);
    if (*p == ',')
        p = k4_json_blank(p + 1);
    return *p == ']' || *p == '}' ? NULL : p;
}

/* The same from the last one on: `p` starts at the closing bracket, `open` is the opening one. Gives the first byte, and in *end
 * the place behind the element; go on with `p` = that first byte. NULL when there is none left. */
const uint8_t *k4_json_each_back(const uint8_t *p, const uint8_t *open, const uint8_t **end);

/* The type of the value at `p`, without marking it. */
uint8_t k4_json_type(const uint8_t *p, const uint8_t *end);

#endif
