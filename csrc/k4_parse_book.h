/* What generated parsers read updates of books with: the update's levels, and the fields that only a book takes. */
#ifndef K4_PARSE_BOOK_H
#define K4_PARSE_BOOK_H

#include "k4_books.h"
#include "k4_parse_list.h"

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
