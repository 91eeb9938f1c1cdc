/* What generated parsers read updates of books with: levels of any number, in one pass, and the fields that only a book takes.
 *
 * Errors count in record order: all of a column, level by level, before the next column. One pass over a list reads several columns, so it
 * keeps the first error by rank and stops reading what stands behind it.
 */
#ifndef K4_PARSE_BOOK_H
#define K4_PARSE_BOOK_H

#include "k4_books.h"
#include "k4_parse.h"

/* The first thing that is wrong with an update, by the rank of its column. */
struct k4_first {
    uint32_t rank; /* UINT32_MAX: nothing */
    struct k4_get get;
};

static inline void k4_first_note(struct k4_first *first, uint32_t rank, const struct k4_get *get, uint32_t refusal, uint32_t offset)
{
    if (rank >= first->rank)
        return;
    first->rank = rank;
    first->get = *get;
    first->get.refusal = refusal;
    first->get.offset = offset;
}

/* The level with that number on a side, which may be one more than there are; NULL: no memory. */
static inline struct k4_level *k4_update_level(struct k4_books *books, unsigned side, uint32_t i)
{
    struct k4_ladder *ladder = &books->update.side[side];
    if (i < ladder->count)
        return &ladder->levels[i];
    struct k4_level *level = k4_update_push(books, side);
    if (level != NULL)
        *level = (struct k4_level){.count = K4_ABSENT_COUNT};
    return level;
}

/* A list of levels: whether it is there (WRONG also where it is no list), the trail to it, how many were read. */
struct k4_list {
    enum k4_status_of_place status;
    uint32_t trail;
    uint32_t count;
    const uint8_t *at; /* the first level, NULL: none */
};

static inline struct k4_list k4_list_of(enum k4_status_of_place status, struct k4_get *get)
{
    if (status == K4_FOUND && get->text.type != K4_ARRAY) {
        get->refusal = K4_REFUSED_TYPE;
        get->offset = get->text.offset;
        status = K4_WRONG;
    }
    return (struct k4_list){status, get->offset, 0, status == K4_FOUND ? k4_json_each(get->text.at + 1) : NULL};
}

static inline enum k4_status_of_place k4_take_checksum(struct k4_get *get, enum k4_checksum_rule rule, struct k4_update *out)
{
    int64_t value;
    uint32_t refusal = k4_read_integer(&get->text, &value);
    out->rule = (uint8_t)rule;
    out->checksum = (uint32_t)value; /* venues give the 32 bits signed or unsigned */
    return k4_taken(get, refusal);
}

/* A map that tells the rule by the value, or that there is none. */
K4_SLOW static enum k4_status_of_place k4_map_checksum(const struct k4_map *map, struct k4_get *get, struct k4_update *out)
{
    const struct k4_text written = get->text;
    enum k4_status_of_place status = k4_map_text(map, get);
    if (status != K4_FOUND)
        return status;
    const bool digits = get->text.len == sizeof "crc32-digits-10" - 1;
    get->text = written;
    return k4_take_checksum(get, digits ? K4_CHECKSUM_DIGITS_10 : K4_CHECKSUM_INTERLEAVED_25, out);
}

#endif
