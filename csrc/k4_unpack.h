/* Where compressed payloads are unpacked to: blocks that hold the texts of one read, each with slack on both sides.
 *
 *     payload ─▶ k4_inflate ─▶ text ─▶ parser
 *
 * A text stays where it is until k4_unpack_clear: events and records that wait point into it. One payload holds at most `most` bytes, all of a
 * read together at most K4_UNPACK_ROOM more. Between reads one block is kept, of K4_UNPACK_BLOCK bytes.
 */
#ifndef K4_UNPACK_H
#define K4_UNPACK_H

#include "k4_inflate.h"

enum { K4_UNPACK_BLOCK = 64 * 1024, K4_UNPACK_ROOM = 8 * 1024 * 1024 };

struct k4_unpack_block;
struct k4_unpack {
    struct k4_crc32 crc;
    struct k4_unpack_block *blocks; /* the newest first */
    size_t most;
    size_t held; /* bytes of all blocks */
};

/* Takes no memory until it is used. */
void k4_unpack_init(struct k4_unpack *unpack, size_t most);
void k4_unpack_fini(struct k4_unpack *unpack);
void k4_unpack_clear(struct k4_unpack *unpack);
/* A payload's text. LONG: it, or all since the last clear, is more than allowed. */
enum k4_inflated k4_unpack_text(
    struct k4_unpack *unpack, enum k4_encoding encoding, const uint8_t *in, size_t len, const uint8_t **text, size_t *text_len);

#endif
