/* Texts as they stand in a frame, and the patterns of a spec.
 *
 * A text is never copied to be looked at: where it holds escapes it is read character by character, so its length has no limit
 * and nothing is allocated. A capture is a piece of a text. Escaped or not, the same characters compare equal.
 */
#ifndef K4_TEXT_H
#define K4_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k4_json.h"

/* The content of a string (without quotes), or a number, literal or container as written. */
struct k4_text {
    const uint8_t *at;
    uint32_t len;
    uint32_t offset; /* where a refusal says it stands */
    uint8_t type; /* enum k4_type without flags */
    uint8_t escaped; /* holds backslashes that mean something */
    uint8_t upper; /* reads as if its ASCII letters were upper case */
};

static inline struct k4_text k4_text_of(const uint8_t *frame, uint8_t type, uint32_t at, uint32_t end)
{
    struct k4_text text = {frame + at, end - at, at, type & K4_TYPE_MASK, 0, 0};
    if ((text.type == K4_STRING || text.type == K4_EMPTY) && (type & K4_BARE) == 0) {
        text.at += 1;
        text.len -= 2;
        text.escaped = type & K4_ESCAPED;
    }
    return text;
}

/* One character at *p as UTF-8 in out[0..3]; its length, or 0 for an escaped lone surrogate, which no UTF-8 can hold (its three bytes
 * would be in `out`). *p moves on. */
unsigned k4_text_char(const uint8_t **p, const uint8_t *end, bool escaped, uint8_t out[4]);
/* False if it holds an escaped lone surrogate. */
bool k4_text_sound(const struct k4_text *text);
bool k4_text_is_slow(const struct k4_text *text, const char *other, uint32_t len);
/* The same for texts that k4_text_same() says are the same. */
uint32_t k4_text_hash(const struct k4_text *text);
bool k4_text_same(const struct k4_text *a, const struct k4_text *b, bool fold);
/* Does `b` begin at *p of `a`? Then *p is behind it. */
bool k4_text_begins(const struct k4_text *a, const uint8_t **p, const struct k4_text *b, bool fold);
/* The characters themselves, at most `room` bytes: their number, -1: more than that, -2: an escaped lone surrogate. */
int k4_text_copy(const struct k4_text *text, uint8_t *out, int room);

static inline bool k4_text_is(const struct k4_text *text, const char *other, uint32_t len)
{
    if (__builtin_expect(text->escaped | text->upper, 0))
        return k4_text_is_slow(text, other, len);
    return text->len == len && (len == 0 || (*text->at == (uint8_t)*other && memcmp(text->at, other, len) == 0));
}

/* A key of a frame that holds a backslash, against one that a path names. */
static inline bool k4_text_key_is(const struct k4_key *key, const char *other, uint32_t len)
{
    struct k4_text text = {key->at, key->len, 0, K4_STRING, 1, 0};
    return k4_text_is_slow(&text, other, len);
}

/* ---- steps that choose an element; over proven text */

/* [key=text]: the first element of the array at `array` that is an object whose member `key` is `text`; NULL if there is none. An
 * object on the way that gives `key` twice ends the search: then *second is where, else NULL. */
const uint8_t *k4_text_find(
    const uint8_t *array, const char *key, uint32_t key_len, const char *other, uint32_t len, const uint8_t **second);
/* [-n] with n from 1: the n-th element from the end; NULL past the beginning. `end`: behind the array. */
const uint8_t *k4_text_from_end(const uint8_t *array, const uint8_t *end, uint32_t n);

#endif
