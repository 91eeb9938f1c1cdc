/* What a glance at a walk's marks says of an entry of `match`: most messages of a product are turned away, and most entries of the right one
 * found to hold, without a pattern being looked at. What no glance decides, k4_holds() does.
 */
#ifndef K4_MATCH_H
#define K4_MATCH_H

#include "k4_parse.h"

/* What shows at a glance of an entry of `match`, where no key is given twice (walk->twice is 0): then whatever is wrong on the way just does
 * not hold. */
static inline bool k4_there(const struct k4_walk *walk, unsigned node)
{
    return (walk->types[node] & K4_TYPE_MASK) > K4_EMPTY;
}

static inline bool k4_plain_text(const struct k4_walk *walk, unsigned node)
{
    return (walk->types[node] & ~K4_TWICE) == K4_STRING;
}

/* False only if the value at `node` is a text that does not end with `tail`, or a container. */
K4_FAST_INLINE bool k4_may_end(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const char *tail, uint32_t len)
{
    const struct k4_mark *mark = &walk->marks[node];
    if (!k4_plain_text(walk, node))
        return (walk->types[node] & K4_TYPE_MASK) < K4_OBJECT;
    return mark->end - mark->at >= len + 2 && memcmp(frame->json.text + mark->end - 1 - len, tail, len) == 0;
}

/* The same for what it begins with. */
K4_FAST_INLINE bool k4_may_begin(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const char *head, uint32_t len)
{
    const struct k4_mark *mark = &walk->marks[node];
    if (!k4_plain_text(walk, node))
        return (walk->types[node] & K4_TYPE_MASK) < K4_OBJECT;
    return mark->end - mark->at >= len + 2 && memcmp(frame->json.text + mark->at + 1, head, len) == 0;
}

/* What the pattern that is the product's own ends or begins with: a literal. */
static inline const struct k4_part *k4_tail(const struct k4_frame *frame, unsigned pattern)
{
    const struct k4_pattern *own = &frame->patterns[pattern];
    return &own->parts[own->count - 1];
}

static inline const struct k4_part *k4_head(const struct k4_frame *frame, unsigned pattern)
{
    return frame->patterns[pattern].parts;
}

static inline bool k4_may_end_own(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned pattern)
{
    const struct k4_part *tail = k4_tail(frame, pattern);
    return k4_may_end(frame, walk, node, tail->text, tail->len);
}

static inline bool k4_may_begin_own(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned pattern)
{
    const struct k4_part *head = k4_head(frame, pattern);
    return k4_may_begin(frame, walk, node, head->text, head->len);
}

/* The same text, once that is so: is the rest, in front of a tail of `tail` or behind a head of `head`, a name? False: not told here. */
static inline bool k4_rest_is_name(
    struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned name, bool lower, uint32_t head, uint32_t tail)
{
    const struct k4_mark *mark = &walk->marks[node];
    if (walk->types[node] != K4_STRING || walk->twice != 0 || (frame->names.known >> name & 1) != 0)
        return false;
    if (mark->end - mark->at <= head + tail + 2)
        return false;
    const uint32_t len = mark->end - mark->at - 2 - head - tail;
    k4_names_set(&frame->names, name, (struct k4_text){frame->json.text + mark->at + 1 + head, len, mark->at, K4_STRING, 0, lower});
    return true;
}

/* False only if the value at `node` is an ordinary one and not this word, or a container. */
K4_FAST_INLINE bool k4_may_be(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const char *word, uint32_t len)
{
    const struct k4_mark *mark = &walk->marks[node];
    const unsigned type = walk->types[node] & ~(unsigned)K4_TWICE;
    const unsigned quote = type == K4_STRING;
    if (type > K4_STRING)
        return (type & K4_TYPE_MASK) < K4_OBJECT;
    return mark->end - mark->at == len + 2 * quote && memcmp(frame->json.text + mark->at + quote, word, len) == 0;
}

static inline bool k4_may_be_own(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned pattern)
{
    const struct k4_part *word = k4_tail(frame, pattern);
    return k4_may_be(frame, walk, node, word->text, word->len);
}

/* Is it an ordinary one, of which the above tells all? */
static inline bool k4_is_told(const struct k4_walk *walk, unsigned node)
{
    return walk->types[node] > K4_EMPTY && walk->types[node] <= K4_STRING && walk->twice == 0;
}

/* Is the value absent from a container that is there? False: not told here. */
static inline bool k4_lacks(const struct k4_walk *walk, unsigned node, unsigned parent, uint8_t container)
{
    return !k4_there(walk, node) && walk->types[parent] == container && walk->twice == 0;
}

#endif
