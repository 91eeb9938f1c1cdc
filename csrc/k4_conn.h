/* One connection of a feed.
 *
 *     bytes ─ k4_ws ─▶ frames ─ parser ─▶ scratches: items that were looked at, and wait ─ k4_feed_take ─▶ segments
 *                        └─ what gave no record ─▶ events, for Python
 *
 * A connection holds, per lane of the feed, its number among the lane's products, its place in the source table and its number in the
 * arbiter, so that nothing is looked up by name but the symbol. Functions for Python: k4_api.h.
 */
#ifndef K4_CONN_H
#define K4_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_api.h"
#include "k4_books.h"
#include "k4_decode.h"
#include "k4_events.h"
#include "k4_heard.h"
#include "k4_memo.h"
#include "k4_told.h"
#include "k4_unpack.h"
#include "k4_ws.h"

enum { K4_CONN_NAME_MAX = 63 };

/* For so long after the last read of another connection, frames are left for it to recognise. */
#define K4_CONN_SHARED_NS INT64_C(1000000000)

/* So many frames of a read are decoded before the records of the first are taken; a power of two. What an instrument's records
 * touch is spread over memory, and is fetched meanwhile. */
enum { K4_CONN_AHEAD = 4 };

/* A connection's place in a lane. `product` < 0: its product has no such record, or the lane is not open. */
struct k4_berth {
    int product;
    int source;
    int number;
    struct k4_heard heard;
};

/* About 410 KiB, and per lane 17 bytes for each instrument there is room for and 32 for each it has brought: the region of k4_ws, 64 items of
 * scratch, names told before, events. Of the other scratches usually only the first item is ever touched. Books take what k4_book.h says, each. */
struct k4_conn {
    struct k4_feed *feed;
    const struct k4_product *product;
    struct k4_ws ws;
    struct k4_berth berths[K4_RECORD_COUNT + 1];
    k4_conn *next;
    int64_t wall_ns; /* of the read in hand */
    int64_t mono_ns;
    const uint8_t *text; /* the message in hand */
    size_t text_len;
    struct k4_events events;
    k4_conn_drift *drift; /* per message, and one more for frames that none took */
    uint16_t taken;    /* the message of the first item of the frame in hand */
    bool failed;       /* and counted */
    k4_conn_stats stats;
    bool shared;       /* siblings are at work: frames are looked for in the feed's memo and left there */
    struct k4_memo_cursor memo;
    uint32_t turn;     /* the scratch of the next frame, without its upper bits */
    struct k4_books books;
    struct k4_told told;
    struct k4_unpack unpack;
    uint8_t *body;     /* the last one fetched, with slack: events point into it */
    struct k4_scratch scratch[K4_CONN_AHEAD]; /* the tolerant tier has the first, with nothing waiting in the others */
    uint8_t symbol[K4_SYMBOL_MAX + K4_SYMTAB_SLACK];
    char name[K4_CONN_NAME_MAX + 1];
    char transport[16];
};

/* What decoders of a connection fill, and whom they call; its symbol stands in it already. */
void k4_conn_recv_init(k4_conn *conn, uint32_t symbol_len);

#endif
