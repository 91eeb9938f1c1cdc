/* A decoder that is measured: fills a scratch with what one frame gives, as K4's own tiers do. */
#ifndef K4_BENCH_PEER_H
#define K4_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct k4_scratch;

/* False: not read. */
typedef bool peer_decode(const uint8_t *text, size_t len, struct k4_scratch *scratch);

struct peer {
    const char *exchange;
    const char *product;
    peer_decode *decode;
};

/* One per product, the last without a name. */
extern const struct peer yyjson_peers[];
extern const struct peer simdjson_peers[];

peer_decode yyjson_document; /* the document alone: nothing is looked up */

#endif
