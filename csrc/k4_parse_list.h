/* What generated parsers read lists of levels with: those that a record shows, or, one by one, any number of them.
 *
 * Errors count in record order: all of a column, level by level, before the next column. One pass over a list reads several columns, so it
 * keeps the first error by rank and stops reading what stands behind it.
 */
#ifndef K4_PARSE_LIST_H
#define K4_PARSE_LIST_H

#include "k4_book.h"
#include "k4_parse.h"

/* ---- of any number */

/* The first thing that is wrong with an element, by the rank of its column. */
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

/* A list of levels: whether it is there (WRONG also where it is no list), the trail to it, how many were walked. */
struct k4_list {
    enum k4_status_of_place status;
    uint32_t trail;
    uint32_t count;
    const uint8_t *at; /* the next level, NULL: none */
    const uint8_t *open; /* the opening bracket where levels come from the last one on, else NULL */
    uint32_t kept; /* of the first levels, whose marks are there, so many are left: */
    uint32_t stride;
    struct k4_walk next;
    const uint8_t *behind; /* the last of them */
};

static inline struct k4_list k4_list_of(enum k4_status_of_place status, bool back, struct k4_get *get)
{
    const uint8_t *end;
    if (status == K4_FOUND && get->text.type != K4_ARRAY) {
        get->refusal = K4_REFUSED_TYPE;
        get->offset = get->text.offset;
        status = K4_WRONG;
    }
    struct k4_list list = {.status = status, .trail = get->offset};
    if (status != K4_FOUND)
        return list;
    if (!back) {
        list.at = k4_json_each(get->text.at + 1);
    } else {
        list.open = get->text.at;
        list.at = k4_json_each_back(get->text.at + get->text.len - 1, list.open, &end);
    }
    return list;
}

/* A list at `node` whose first levels were walked along the way: `holder` as in k4_place_held(), `base` and `stride` as in k4_hop. */
static inline struct k4_list k4_list_kept(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned holder,
    unsigned base, uint32_t stride, struct k4_get *get)
{
    const enum k4_status_of_place status = k4_place_held(frame, walk, node, holder, get);
    struct k4_list list = k4_list_of(status, false, get);
    if (list.at == NULL)
        return list;
    const struct k4_mark *first = &walk->marks[base];
    list.kept = first->at;
    list.stride = stride;
    list.next = (struct k4_walk){walk->types + base + 1, first + 1, NULL, 0, walk->twice};
    list.behind = frame->json.text + first->end;
    return list;
}

/* The next level; false: there is none left. Marks that are not kept get into `types` and `marks`, to which `level` points. */
static inline bool k4_list_next(struct k4_list *list, struct k4_frame *frame, k4_walker *walk, uint8_t *types, struct k4_mark *marks,
    struct k4_walk *level)
{
    const uint8_t *end;
    if (list->at == NULL)
        return false;
    list->count++;
    if (list->kept > 0) {
        level->types = list->next.types;
        level->marks = list->next.marks;
        level->twice = list->next.twice;
        list->next.types += list->stride;
        list->next.marks += list->stride;
        if (--list->kept == 0)
            list->at = k4_json_each(list->behind);
        return true;
    }
    const uint8_t *behind = walk(&frame->json, list->at, types, marks);
    level->twice = frame->json.twice;
    list->at = list->open == NULL ? k4_json_each(behind) : k4_json_each_back(list->at, list->open, &end);
    return true;
}

/* ---- of which no more than a record holds */

/* A list of levels, up to a limit of them, each walked. `status` FOUND: `count` of them are there, one behind the other. */
struct k4_levels {
    enum k4_status_of_place status;
    uint32_t count;
    const uint8_t *types;
    const struct k4_mark *marks;
    struct k4_get get; /* GONE, WRONG: as of the list; `offset` is its trail also where it is found */
    uint32_t twice;
};

/* `back`: from the last one on. `stride`: nodes of the level's tree; types and marks have `limit` times as many. */
void k4_levels_walk(struct k4_frame *frame, enum k4_status_of_place status, struct k4_get *get, bool back, uint32_t limit,
    k4_walker *walk, uint32_t stride, uint8_t *types, struct k4_mark *marks, struct k4_levels *out);

/* A list at `node` whose levels were walked along the way: `base` as in k4_hop. `holder`: the node of the innermost object around it. */
void k4_levels_kept(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned holder, unsigned base, uint32_t limit,
    struct k4_levels *out);

/* Which side of a book a level is on: "bid" or "ask". */
static inline enum k4_status_of_place k4_take_side(struct k4_get *get, uint8_t *out)
{
    if (get->text.type < K4_OBJECT && k4_text_is(&get->text, "bid", 3))
        *out = K4_BID;
    else if (get->text.type < K4_OBJECT && k4_text_is(&get->text, "ask", 3))
        *out = K4_ASK;
    else
        return k4_taken(get, K4_REFUSED_UNMAPPED);
    return K4_FOUND;
}

#endif
