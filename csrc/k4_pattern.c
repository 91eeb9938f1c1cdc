/* See k4_pattern.h. */
#include "k4_pattern.h"

struct fit {
    const struct k4_part *parts;
    uint32_t count;
    const struct k4_text *text;
    const uint8_t *end;
    struct k4_names *names;
};

static bool fits(const struct fit *fit, uint32_t i, const uint8_t *p);

static void capture(const struct fit *fit, const struct k4_part *part, const uint8_t *from, const uint8_t *to)
{
    struct k4_text piece = *fit->text;
    piece.at = from;
    piece.len = (uint32_t)(to - from);
    piece.type = K4_STRING;
    piece.upper = part->lower;
    k4_names_set(fit->names, part->name, piece);
}

/* Ordinary texts: what stands between a place and the literal that ends the pattern, or the end itself, is the only run that fits. */
static bool fits_rest(const struct fit *fit, uint32_t i, const uint8_t *p)
{
    const struct k4_part *part = &fit->parts[i];
    uint32_t tail = i + 2 == fit->count ? fit->parts[i + 1].len : 0;
    if ((uint64_t)(fit->end - p) < (uint64_t)tail + (part->kind == K4_PART_NAME))
        return false;
    if (tail != 0 && memcmp(fit->end - tail, fit->parts[i + 1].text, tail) != 0)
        return false;
    if (part->kind == K4_PART_NAME)
        capture(fit, part, p, fit->end - tail);
    return true;
}

/* Behind the character at `p`. */
static const uint8_t *over_char(const struct fit *fit, const uint8_t *p)
{
    uint8_t out[4];
    k4_text_char(&p, fit->end, fit->text->escaped, out);
    return p;
}

/* Where a run that reaches `to` may end: in ordinary texts, where the literal behind it begins. NULL: nowhere. */
static const uint8_t *run_end(const struct fit *fit, uint32_t i, const uint8_t *to)
{
    const struct k4_part *behind = &fit->parts[i + 1];
    if (fit->text->escaped || fit->text->upper || behind->kind != K4_PART_LITERAL)
        return to;
    return memchr(to, behind->text[0], (size_t)(fit->end - to));
}

static bool fits_run(const struct fit *fit, uint32_t i, const uint8_t *p)
{
    const struct k4_part *part = &fit->parts[i];
    bool last = i + 1 == fit->count;
    if (last || (!fit->text->escaped && i + 2 == fit->count && fit->parts[i + 1].kind == K4_PART_LITERAL))
        return fits_rest(fit, i, p);
    const uint8_t *to = p;
    if (part->kind == K4_PART_NAME) {
        if (p >= fit->end)
            return false;
        to = over_char(fit, p);
    }
    uint32_t known = fit->names->known;
    while ((to = run_end(fit, i, to)) != NULL) {
        if (part->kind == K4_PART_NAME)
            capture(fit, part, p, to);
        if (fits(fit, i + 1, to))
            return true;
        fit->names->known = known;
        if (to >= fit->end)
            return false;
        to = over_char(fit, to);
    }
    return false;
}

static bool fits(const struct fit *fit, uint32_t i, const uint8_t *p)
{
    for (; i < fit->count; i++) {
        const struct k4_part *part = &fit->parts[i];
        if (part->kind == K4_PART_STAR || (part->kind == K4_PART_NAME && !(fit->names->known >> part->name & 1)))
            return fits_run(fit, i, p);
        struct k4_text literal = {(const uint8_t *)part->text, part->len, 0, K4_STRING, 0, 0};
        const struct k4_text *other = part->kind == K4_PART_NAME ? &fit->names->of[part->name] : &literal;
        if (!k4_text_begins(fit->text, &p, other, part->lower))
            return false;
    }
    return p == fit->end;
}

bool k4_pattern_fits(const struct k4_pattern *pattern, const struct k4_text *text, struct k4_names *names)
{
    const struct k4_part *last = &pattern->parts[pattern->count - 1];
    if (!text->escaped) {
        if (last->kind == K4_PART_LITERAL
            && (text->len < last->len || memcmp(text->at + text->len - last->len, last->text, last->len) != 0))
            return false;
    } else if (!k4_text_sound(text))
        return false;
    uint32_t known = names->known;
    struct fit fit = {pattern->parts, pattern->count, text, text->at + text->len, names};
    if (fits(&fit, 0, text->at))
        return true;
    names->known = known;
    return false;
}

/* ---- literals and stars alone, in texts whose bytes are their characters */

/* Where the literal stands first in [p, end), NULL: nowhere. */
static const uint8_t *seek(const uint8_t *p, const uint8_t *end, const struct k4_part *literal)
{
    const uint8_t first = (uint8_t)*literal->text;
    if ((size_t)(end - p) < literal->len)
        return NULL;
    for (const uint8_t *last = end - literal->len; p <= last; p++) { /* short texts: no call is worth it */
        if (*p == first && (literal->len == 1 || memcmp(p, literal->text, literal->len) == 0))
            return p;
    }
    return NULL;
}

/* Each literal where it stands first behind the one before it; the last one at the end. */
static bool fits_stars(const struct k4_pattern *pattern, const uint8_t *p, const uint8_t *end)
{
    const struct k4_part *part = pattern->parts;
    const struct k4_part *last = part + pattern->count - 1;
    if (last->kind == K4_PART_LITERAL) {
        if ((size_t)(end - p) < last->len || end[-1] != (uint8_t)last->text[last->len - 1]
            || memcmp(end - last->len, last->text, last->len) != 0)
            return false;
        end -= last->len;
    }
    if (part->kind == K4_PART_LITERAL) {
        if ((size_t)(end - p) < part->len || memcmp(p, part->text, part->len) != 0)
            return false;
        p += part->len;
    }
    for (part++; part < last; part++) {
        if (part->kind == K4_PART_STAR)
            continue;
        p = seek(p, end, part);
        if (p == NULL)
            return false;
        p += part->len;
    }
    return true;
}

static bool matches(const struct k4_pattern *pattern, const struct k4_text *text, struct k4_names *names)
{
    const struct k4_part *first = pattern->parts;
    const bool scalar = text->type > K4_EMPTY && text->type < K4_OBJECT;
    switch ((enum k4_pattern_kind)pattern->kind) {
    case K4_PATTERN_ABSENT:
        return text->type <= K4_EMPTY;
    case K4_PATTERN_ANY:
        return text->type > K4_EMPTY;
    case K4_PATTERN_WORD:
        return scalar && k4_text_is(text, first->text, first->len);
    case K4_PATTERN_STARS:
        if (scalar && (text->escaped | text->upper) == 0)
            return fits_stars(pattern, text->at, text->at + text->len);
        break;
    case K4_PATTERN_NAMES:
    default:
        break;
    }
    return scalar && k4_pattern_fits(pattern, text, names);
}

bool k4_match(const struct k4_pattern *patterns, uint32_t excluded, uint32_t count, const struct k4_text *text, struct k4_names *names)
{
    for (uint32_t i = 0; i < count; i++) {
        if (matches(&patterns[i], text, names))
            return i >= excluded;
    }
    return false;
}
