/* Hops, for those who follow them: k4_parse.c to one place, k4_parse_each.c to every element. */
#ifndef K4_PARSE_HOP_H
#define K4_PARSE_HOP_H

#include "k4_parse.h"

static inline enum k4_status_of_place k4_place_wrong(struct k4_get *get, uint32_t refusal, uint32_t offset)
{
    get->refusal = refusal;
    get->offset = offset;
    return K4_WRONG;
}

/* Room for a tree over one element. */
struct k4_room {
    uint8_t types[K4_ROOM_MAX];
    struct k4_mark marks[K4_ROOM_MAX];
};

static inline struct k4_walk k4_hop_walk(
    struct k4_frame *frame, const struct k4_hop *hop, const uint8_t *p, uint32_t trail, struct k4_room *room)
{
    (void)hop->walk(&frame->json, p, room->types, room->marks);
    return (struct k4_walk){room->types, room->marks, hop->nodes, trail, frame->json.twice};
}

/* The one element that a hop chooses in the array at get->text: in *p. */
enum k4_status_of_place k4_hop_choose(const struct k4_frame *frame, const struct k4_hop *hop, struct k4_get *get, const uint8_t **p);

#endif
