/* A group: its segments with their arbiters, and the connections that compete in them. One thread.
 *
 *     conn ─ bytes ─▶ frames ─▶ items ─▶ lane of the record: instrument ─▶ verdict ─▶ segment
 *
 * A lane is one segment and its arbiter; there is at most one per record kind. A connection holds, per lane, its number among
 * the lane's products, its place in the source table and its number in the arbiter, so that nothing is looked up by name
 * but the symbol. Functions for Python: k4_api.h.
 */
#ifndef K4_FEED_H
#define K4_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "k4_api.h"
#include "k4_arbiter.h"
#include "k4_books.h"
#include "k4_decode.h"
#include "k4_heard.h"
#include "k4_memo.h"
#include "k4_rules.h"
#include "k4_segment.h"
#include "k4_told.h"
#include "k4_unpack.h"
#include "k4_ws.h"

/* How far the wall clock must move against the monotonic one to be called a step. */
#define K4_CLOCK_STEP_NS INT64_C(10000000)

/* K4_EVENTS_MAX: what one read may hand to Python; that many hold its event loop for less than 5 ms. */
enum { K4_CONN_NAME_MAX = 63, K4_EVENTS_FIRST = 64, K4_EVENTS_MAX = 1024 };

/* For so long after the last read of another connection, frames are left for it to recognise. */
#define K4_CONN_SHARED_NS INT64_C(1000000000)

/* So many frames of a read are decoded before the records of the first are taken; a power of two. What an instrument's records
 * touch is spread over memory, and is fetched meanwhile. */
enum { K4_CONN_AHEAD = 4 };

struct k4_lane {
    bool open;
    bool dirty;   /* published since the last wake */
    bool stepped; /* the next record carries CLOCK_STEP */
    uint32_t surveyed_room;
    uint64_t *surveyed; /* per instrument: the sequence word of its latest slot at the last survey */
    struct k4_segment segment;
    struct k4_arbiter arbiter;
};

struct k4_feed {
    struct k4_lane lanes[K4_RECORD_COUNT + 1]; /* by record number */
    k4_conn *conns;
    const k4_conn *reading; /* whose read was the last one */
    bool turned;            /* it was another one before */
    int64_t turned_ns;      /* monotonic, when that changed */
    int64_t surveyed_ns;    /* monotonic, the last survey; survey_ns: the same in the time of surveys (k4_heard.h), 0: none yet */
    int64_t survey_ns;
    struct k4_memo memo;
    struct k4_scratch again; /* for a copy that is published after all */
    bool clock_known;
    int64_t clock_offset_ns; /* wall - monotonic at the last look */
};

/* A connection's place in a lane. `product` < 0: its product has no such record, or the lane is not open. */
struct k4_berth {
    int product;
    int source;
    int number;
    struct k4_heard heard;
};

/* About 410 KiB, and per lane 17 bytes for each instrument there is room for and 32 for each it has brought: the region of k4_ws, 64 items of
 * scratch, events. Of the other scratches usually only the first item is ever touched. Books take what k4_book.h says, each. */
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
    k4_event *events;
    uint32_t event_count;
    uint32_t event_next;
    uint32_t event_room;
    uint16_t *refused; /* per message, and one more for the frame as a whole: codes of which a sample was given, as bits */
    k4_conn_drift *drift; /* likewise */
    uint16_t taken;    /* the message of the first item of the frame in hand */
    bool failed;       /* and counted */
    uint32_t sampled;  /* skip reasons of which a sample was given, as bits */
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
    uint8_t ping[K4_WS_CONTROL_MAX];
    uint8_t pong[K4_WS_CONTROL_MAX];
    char name[K4_CONN_NAME_MAX + 1];
    char transport[16];
};

/* The rule that `record` follows in `product`; *line_a, *line_b: two messages that contradict each other, or 0. */
enum k4_rule k4_feed_rule(const struct k4_product *product, int record, int *line_a, int *line_b);

/* Gives a connection its place in a lane that is open. 0, or a k4_status with a sentence in `error`. */
int k4_feed_berth(struct k4_feed *feed, k4_conn *conn, int record, char *error, size_t error_size);
/* Takes it back from a connection that is none of the feed's any more; the source goes with the last of those that share it. */
void k4_feed_leave(struct k4_feed *feed, const k4_conn *conn, int record);

/* Looks at the clocks of a read. */
void k4_feed_clock(struct k4_feed *feed, int64_t wall_ns, int64_t mono_ns);

/* Whether some lane has that symbol for a message that gives `record`: what else a connection brings gets no book. */
bool k4_feed_knows(const struct k4_feed *feed, const k4_conn *conn, unsigned record, const uint8_t *symbol, uint32_t symbol_len);

/* What k4_feed_look writes as instrument of a record that goes nowhere. */
#define K4_NO_INSTRUMENT UINT32_MAX

/* A decoded record's instrument, written into the record; and fetches what taking it will touch. */
void k4_feed_look(const struct k4_feed *feed, const k4_conn *conn, struct k4_item *item);

/* What k4_feed_recall writes as source of an item of which only what arbitration asks is there. Its symbol is then the whole text. */
#define K4_SKETCH UINT16_MAX

/* Is this a copy of what a sibling brought a moment ago? Then scratch holds that as a sketch, looked at. */
bool k4_feed_recall(const struct k4_feed *feed, k4_conn *conn, const uint8_t *text, size_t len, struct k4_scratch *scratch);
/* Leaves a frame that gave this one item, which was looked at, for the siblings. */
void k4_feed_remember(struct k4_feed *feed, k4_conn *conn, const uint8_t *text, size_t len, const struct k4_item *item);

/* A while later: fetches what only now can be told where it is. */
static inline void k4_feed_look_again(const struct k4_feed *feed, const struct k4_item *item)
{
    const struct k4_lane *lane = &feed->lanes[item->record];
    if (lane->arbiter.ids.memory != NULL && item->as.bbo.instrument != K4_NO_INSTRUMENT)
        k4_arbiter_expect_id(&lane->arbiter, item->as.bbo.instrument);
}

/* Judges one record that was looked at and publishes it or not; counts into the connection and its source. */
void k4_feed_take(struct k4_feed *feed, k4_conn *conn, struct k4_item *item);

/* Wakes the readers of what was published since the last call. */
void k4_feed_wake(struct k4_feed *feed);

#endif
