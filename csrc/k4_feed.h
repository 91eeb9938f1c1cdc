/* A group: its segments with their arbiters, and the connections that compete in them. One thread.
 *
 *     conn ─ bytes ─▶ frames ─▶ items ─▶ lane of the record: instrument ─▶ verdict ─▶ segment
 *
 * A lane is one segment and its arbiter; there is at most one per record kind. Connections: k4_conn.h. Functions for Python: k4_api.h.
 */
#ifndef K4_FEED_H
#define K4_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "k4_api.h"
#include "k4_arbiter.h"
#include "k4_decode.h"
#include "k4_memo.h"
#include "k4_rules.h"
#include "k4_segment.h"

/* How far the wall clock must move against the monotonic one to be called a step. */
#define K4_CLOCK_STEP_NS INT64_C(10000000)
/* Heartbeats come ten times a second: a longer step from one look at the clock to the next is time in which this thread stood still. */
#define K4_FEED_STEP_NS INT64_C(500000000)

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
    int64_t clock_ns;        /* monotonic, the last look */
    int64_t time_ns;         /* of arbitration: the same, but it goes on by K4_FEED_STEP_NS from one look to the next at most */
};

/* The rule that `record` follows in `product`; *line_a, *line_b: two messages that contradict each other, or 0. */
enum k4_rule k4_feed_rule(const struct k4_product *product, int record, int *line_a, int *line_b);

/* Where in a record stands what its order compares. */
static inline size_t k4_feed_id_place(int record)
{
    static const uint16_t place[K4_RECORD_COUNT + 1] = {
        [K4_RECORD_BBO] = offsetof(struct k4_bbo, update_id),
        [K4_RECORD_TRADE] = offsetof(struct k4_trade, trade_id),
        [K4_RECORD_AGGTRADE] = offsetof(struct k4_aggtrade, agg_id),
        [K4_RECORD_DEPTH5] = offsetof(struct k4_depth5, update_id),
        [K4_RECORD_DEPTH20] = offsetof(struct k4_depth20, update_id),
    };
    return place[record];
}

static inline int64_t k4_feed_id(int record, const union k4_record *as)
{
    int64_t id;
    memcpy(&id, (const uint8_t *)as + k4_feed_id_place(record), sizeof id);
    return id;
}

/* Gives a connection its place in a lane that is open. 0, or a k4_status with a sentence in `error`. */
int k4_feed_berth(struct k4_feed *feed, k4_conn *conn, int record, char *error, size_t error_size);
/* Takes it back from a connection that is none of the feed's any more; the source goes with the last of those that share it. */
void k4_feed_leave(struct k4_feed *feed, const k4_conn *conn, int record);

/* Looks at the clocks of a read. Afterwards `time_ns` is what arbitration measures by: while the thread stood still, nobody was silent. */
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
