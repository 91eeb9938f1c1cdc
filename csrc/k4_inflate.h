/* Compressed payloads: DEFLATE (RFC 1951) by itself, or inside gzip (RFC 1952), one whole stream a payload.
 *
 * Nothing of the input is trusted: output is bounded by the room given, whatever the stream says, and every reference backwards stays inside
 * what was put out. Written here, since a build of K4 needs nothing but a C compiler.
 */
#ifndef K4_INFLATE_H
#define K4_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_crc32.h"
#include "k4_decode.h"

enum k4_inflated {
    K4_INFLATED = 0,
    K4_INFLATE_BROKEN, /* no such stream, or one that ends too early or too late */
    K4_INFLATE_LONG,   /* more than there is room for */
    K4_INFLATE_NO_MEMORY, /* k4_unpack.h */
};

/* The whole payload at once. *out_len: bytes put out, also where it breaks. */
enum k4_inflated k4_inflate(
    const struct k4_crc32 *crc, enum k4_encoding encoding, const uint8_t *in, size_t len, uint8_t *out, size_t room, size_t *out_len);

#endif
