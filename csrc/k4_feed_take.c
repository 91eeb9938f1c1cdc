/* What a feed does with one record: whose it is, whether it is the first, where it goes. */
#include <string.h>

#include "k4_conn.h"
#include "k4_feed.h"

static inline void count_win(k4_conn *conn, struct k4_shm_source *source, const struct k4_verdict *v)
{
    conn->stats.wins++;
    k4_segment_count(&source->wins, 1);
    if (v->gap != 0) {
        conn->stats.gaps += v->gap;
        k4_segment_count(&source->gaps, v->gap);
    }
    if (v->cause == K4_CAUSE_LATE) {
        conn->stats.late++;
        k4_segment_count(&source->late, 1);
    }
}

static inline void count_loss(k4_conn *conn, struct k4_segment *segment, struct k4_shm_source *source, const struct k4_verdict *v)
{
    if (v->cause == K4_CAUSE_EPOCH || v->cause == K4_CAUSE_UNDER) {
        conn->stats.stale++;
        return;
    }
    conn->stats.duplicates++;
    k4_segment_count(&source->duplicates, 1);
    if (v->lag_ns >= 0) {
        k4_segment_sample(source->lag, v->lag_ns);
        if (v->runner_up)
            k4_segment_sample(segment->sources[v->winner].lead, v->lag_ns);
    }
}

bool k4_feed_knows(const struct k4_feed *feed, const k4_conn *conn, unsigned record, const uint8_t *symbol, uint32_t symbol_len)
{
    unsigned gives_too = 0; /* what is cut from the same book */
    for (int i = 0; i < conn->product->message_count; i++)
        if (conn->product->messages[i].records >> record & 1)
            gives_too |= conn->product->messages[i].records;
    for (int other = 1; other <= K4_RECORD_COUNT; other++) {
        const struct k4_lane *lane = &feed->lanes[other];
        if ((gives_too >> other & 1) != 0 && conn->berths[other].product >= 0
            && k4_segment_find(&lane->segment, (uint32_t)conn->berths[other].product, symbol, symbol_len) >= 0)
            return true;
    }
    return false;
}

void k4_feed_look(const struct k4_feed *feed, const k4_conn *conn, struct k4_item *item)
{
    const struct k4_berth *berth = &conn->berths[item->record];
    struct k4_bbo *front = &item->as.bbo; /* every record begins alike */
    front->instrument = K4_NO_INSTRUMENT;
    if (berth->product < 0)
        return;
    const struct k4_lane *lane = &feed->lanes[item->record];
    const uint32_t instrument = (uint32_t)k4_segment_find_slack(&lane->segment, (uint32_t)berth->product, item->symbol, item->symbol_len);
    if (instrument >= lane->arbiter.capacity) /* -1, too */
        return;
    front->instrument = instrument;
    k4_arbiter_expect(&lane->arbiter, berth->number, instrument, k4_feed_id(item->record, &item->as));
    k4_segment_expect(&lane->segment, instrument);
}

bool k4_feed_recall(const struct k4_feed *feed, k4_conn *conn, const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    const struct k4_memo_entry *entry = k4_memo_find(&feed->memo, &conn->memo, conn->product, text, len);
    if (entry == NULL || scratch->symbol != NULL)
        return false;
    const struct k4_lane *lane = &feed->lanes[entry->record];
    const struct k4_berth *berth = &conn->berths[entry->record];
    if (berth->product < 0)
        return false;
    struct k4_item *item = &scratch->items[0];
    struct k4_bbo *front = &item->as.bbo;
    item->record = entry->record;
    item->symbol = text;
    item->symbol_len = (uint32_t)len;
    front->instrument = entry->instrument;
    front->source = K4_SKETCH;
    front->flags = entry->flags;
    front->engine_ns = entry->engine_ns;
    memcpy((uint8_t *)&item->as + k4_feed_id_place(entry->record), &entry->id, sizeof entry->id);
    scratch->count = 1;
    k4_arbiter_expect(&lane->arbiter, berth->number, entry->instrument, entry->id);
    k4_segment_expect_alive(&lane->segment, entry->instrument);
    return true;
}

void k4_feed_remember(struct k4_feed *feed, k4_conn *conn, const uint8_t *text, size_t len, const struct k4_item *item)
{
    const struct k4_bbo *front = &item->as.bbo;
    /* What comes of a book's update depends on the book, and every connection needs it for its own. */
    if (front->instrument == K4_NO_INSTRUMENT || conn->scratch[0].symbol != NULL || conn->books.count != 0)
        return;
    const int64_t id = k4_feed_id(item->record, &item->as);
    if (id <= k4_arbiter_instrument_at(&feed->lanes[item->record].arbiter, front->instrument)->id)
        return; /* a copy itself, most likely */
    k4_memo_keep(&feed->memo, &conn->memo, text,
                 (struct k4_memo_entry){.product = conn->product, .len = (uint32_t)len, .instrument = front->instrument, .id = id,
                                        .engine_ns = front->engine_ns, .flags = front->flags, .record = item->record});
}

/* A copy that is not one to the arbiter (of a sibling's frame that was lost to an epoch, say): its record, whole. */
static __attribute__((noinline, cold)) void complete(const k4_conn *conn, struct k4_item *item)
{
    struct k4_scratch *again = &conn->feed->again;
    const uint32_t instrument = item->as.bbo.instrument;
    /* The same bytes as before, so it is taken as before. */
    (void)conn->product->fast(item->symbol, item->symbol_len, again);
    memcpy(&item->as, &again->items[0].as, k4_record_size[item->record]);
    item->as.bbo.instrument = instrument;
}

/* Does what the verdict says. */
static inline __attribute__((always_inline)) void
carry_out(k4_conn *conn, struct k4_lane *lane, const struct k4_berth *berth, struct k4_item *item, const struct k4_verdict *v)
{
    struct k4_bbo *front = &item->as.bbo;
    struct k4_segment *segment = &lane->segment;
    struct k4_shm_source *source = &segment->sources[berth->source];
    k4_segment_alive(segment, front->instrument, conn->wall_ns);
    berth->heard.marks[front->instrument] = 1;
    if (!v->publish) {
        count_loss(conn, segment, source, v);
        return;
    }
    if (__builtin_expect(front->source == K4_SKETCH, 0))
        complete(conn, item);
    unsigned flags = (front->flags & ~(unsigned)K4_FLAG_RESET) | v->flags;
    if (lane->stepped) {
        flags |= K4_FLAG_CLOCK_STEP;
        lane->stepped = false;
    }
    front->source = (uint16_t)berth->source;
    front->recv_ns = conn->wall_ns;
    front->flags = (uint16_t)flags;
    k4_segment_publish(segment, front->instrument, front);
    lane->dirty = true;
    count_win(conn, source, v);
}

/* Whatever k4_feed_take does not decide on the spot. Apart from it, so that the short road needs no stack. */
static __attribute__((noinline)) void take_slowly(k4_conn *conn, struct k4_lane *lane, const struct k4_berth *berth, struct k4_item *item, int64_t id)
{
    const struct k4_bbo *front = &item->as.bbo;
    if (front->instrument == K4_NO_INSTRUMENT) {
        if (berth->product < 0)
            conn->stats.no_segment++;
        else
            conn->stats.unknown_symbol++;
        return;
    }
    const struct k4_verdict v =
        k4_arbitrate(&lane->arbiter, berth->number, front->instrument, id, front->engine_ns, front->flags, conn->mono_ns);
    if (v.cause == K4_CAUSE_UNSET)
        conn->stats.unknown_symbol++;
    else
        carry_out(conn, lane, berth, item, &v);
}

void k4_feed_take(struct k4_feed *feed, k4_conn *conn, struct k4_item *item)
{
    const int record = item->record;
    const struct k4_berth *berth = &conn->berths[record];
    struct k4_lane *lane = &feed->lanes[record];
    const struct k4_bbo *front = &item->as.bbo;
    const int64_t id = k4_feed_id(record, &item->as);
    struct k4_verdict v;
    conn->stats.records++;
    if (front->instrument != K4_NO_INSTRUMENT
        && k4_rule_usual(&lane->arbiter, berth->number, front->instrument, id, front->engine_ns, front->flags, conn->mono_ns, &v))
        carry_out(conn, lane, berth, item, &v);
    else
        take_slowly(conn, lane, berth, item, id);
}
