/* See k4_unpack.h. */
#include "k4_unpack.h"

#include <stdlib.h>
#include <string.h>

struct k4_unpack_block {
    struct k4_unpack_block *older;
    size_t used;
    size_t room;
    uint8_t bytes[];
};

void k4_unpack_init(struct k4_unpack *unpack, size_t most)
{
    k4_crc32_init(&unpack->crc);
    unpack->blocks = NULL;
    unpack->most = most;
    unpack->held = 0;
}

static void drop_blocks(struct k4_unpack *unpack, size_t kept)
{
    while (unpack->blocks != NULL && (unpack->blocks->older != NULL || unpack->blocks->room > kept)) {
        struct k4_unpack_block *block = unpack->blocks;
        unpack->blocks = block->older;
        unpack->held -= block->room;
        free(block);
    }
}

void k4_unpack_fini(struct k4_unpack *unpack)
{
    drop_blocks(unpack, 0);
}

void k4_unpack_clear(struct k4_unpack *unpack)
{
    drop_blocks(unpack, K4_UNPACK_BLOCK);
    if (unpack->blocks != NULL)
        unpack->blocks->used = 0;
}

/* A new block, twice as large as the last one, for a payload that has found no room in it. */
static enum k4_inflated grow(struct k4_unpack *unpack)
{
    struct k4_unpack_block *last = unpack->blocks;
    const size_t most = unpack->most + 2 * K4_SLACK;
    size_t room = last == NULL ? K4_UNPACK_BLOCK : 2 * last->room;
    if (room > most)
        room = most > K4_UNPACK_BLOCK ? most : K4_UNPACK_BLOCK;
    if (last != NULL && last->used == 0) { /* nothing is in it */
        unpack->blocks = last->older;
        unpack->held -= last->room;
        free(last);
    }
    if (unpack->held + room > most + K4_UNPACK_ROOM)
        return K4_INFLATE_LONG;
    struct k4_unpack_block *block = calloc(1, sizeof *block + room);
    if (block == NULL)
        return K4_INFLATE_NO_MEMORY;
    block->older = unpack->blocks;
    block->room = room;
    unpack->blocks = block;
    unpack->held += room;
    return K4_INFLATED;
}

enum k4_inflated k4_unpack_text(
    struct k4_unpack *unpack, enum k4_encoding encoding, const uint8_t *in, size_t len, const uint8_t **text, size_t *text_len)
{
    for (;;) {
        struct k4_unpack_block *block = unpack->blocks;
        enum k4_inflated status = K4_INFLATE_LONG;
        size_t room = block == NULL || block->room - block->used < 2 * K4_SLACK ? 0 : block->room - block->used - 2 * K4_SLACK;
        room = room < unpack->most ? room : unpack->most;
        if (room > 0) {
            uint8_t *place = block->bytes + block->used + K4_SLACK;
            status = k4_inflate(&unpack->crc, encoding, in, len, place, room, text_len);
            if (status == K4_INFLATED) {
                memset(place + *text_len, 0, K4_SLACK);
                block->used += *text_len + 2 * K4_SLACK;
                *text = place;
            }
        }
        if (status != K4_INFLATE_LONG || room == unpack->most)
            return status;
        status = grow(unpack);
        if (status != K4_INFLATED)
            return status;
    }
}
