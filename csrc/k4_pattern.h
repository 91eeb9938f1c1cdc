/* Patterns with captures, and what they have captured. Rule 10 of docs/decoding.md. */
#ifndef K4_PATTERN_H
#define K4_PATTERN_H

#include "k4_text.h"

enum k4_part_kind { K4_PART_LITERAL, K4_PART_NAME, K4_PART_STAR };

struct k4_part {
    uint8_t kind;
    uint8_t name; /* index into the message's names */
    uint8_t lower; /* ${name:lower}: compared without regard to case, captured in upper case */
    uint32_t len;
    const char *text;
};

/* What a pattern is made of: nothing, which is absent; a star, which is any value that is there; one literal; literals and stars; names, too. */
enum k4_pattern_kind { K4_PATTERN_ABSENT, K4_PATTERN_ANY, K4_PATTERN_WORD, K4_PATTERN_STARS, K4_PATTERN_NAMES };

struct k4_pattern {
    const struct k4_part *parts;
    uint32_t count;
    uint8_t kind;
};

#define K4_MAX_NAMES 32

/* What is known while one frame is read for one message. */
struct k4_names {
    uint32_t known; /* bit per name */
    struct k4_text of[K4_MAX_NAMES];
};

static inline void k4_names_set(struct k4_names *names, unsigned name, struct k4_text text)
{
    names->of[name] = text;
    names->known |= 1u << name;
}

/* Does a present scalar fit? Names that were unknown and stand in the pattern are known afterwards, if it does. */
bool k4_pattern_fits(const struct k4_pattern *pattern, const struct k4_text *text, struct k4_names *names);

/* The value of a `match` path (type K4_NOTHING, K4_NULL, K4_EMPTY: absent) against its patterns: the first `excluded` of them must not
 * fit, then the first that fits counts. */
bool k4_match(const struct k4_pattern *patterns, uint32_t excluded, uint32_t count, const struct k4_text *text, struct k4_names *names);

#endif
