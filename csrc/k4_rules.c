#include "k4_rules.h"

#define NEVER INT64_MIN

typedef struct k4_arbiter_instrument instrument_t;
typedef struct k4_arbiter_seen seen_t;
typedef struct k4_arrival arrival_t;

/* ---------------------------------------------------------------- engine times and patience */

/* Is `a` at least a second after `b`? Less proves nothing: transports cut the same time to different precision. */
static bool later(int64_t a, int64_t b)
{
    return a != K4_ABSENT && b != K4_ABSENT && a > b && (uint64_t)a - (uint64_t)b >= (uint64_t)K4_ARBITER_SETTLE_NS;
}

static bool anchored(const seen_t *seen)
{
    return seen->target == NEVER;
}

/* Nothing that the connection brings is behind any more. */
static void is_level(seen_t *seen, int64_t id)
{
    seen->behind_ns = NEVER;
    if (id >= seen->target)
        seen->target = NEVER;
}

/* A record that is behind although ids rise on its connection: has that gone on, while the others were silent, for `patience`? */
static bool overdue(seen_t *seen, const instrument_t *in, int64_t patience, int64_t now_ns)
{
    if (seen->behind_ns == NEVER) {
        seen->behind_ns = now_ns;
        return false;
    }
    return now_ns - seen->behind_ns >= patience && now_ns - in->top_ns >= patience;
}

/* ---------------------------------------------------------------- lead and lag */

static void remember(const struct k4_arbiter *arbiter, instrument_t *in, const arrival_t *a)
{
    k4_arbiter_remember(arbiter, in, a->conn, a->id, a->now_ns);
}

static struct k4_verdict drop(instrument_t *in, enum k4_cause cause, const arrival_t *a)
{
    struct k4_verdict v = {.cause = (uint8_t)cause, .lag_ns = -1};
    if (cause == K4_CAUSE_DUPLICATE || cause == K4_CAUSE_BEHIND)
        k4_arbiter_lag(in, a->id, a->now_ns, &v);
    return v;
}

/* ---------------------------------------------------------------- epochs */

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* Is this, on a connection that we know nothing of, a record from before a reset? By its engine time, or, while such records can
 * still be under way, by standing nearer to where the old ids ended than to where the new ones are. */
static bool from_before(const instrument_t *in, const arrival_t *a)
{
    if (a->id <= in->id || in->old_id == K4_ABSENT)
        return false;
    if (later(in->engine_ns, a->engine_ns))
        return true;
    return a->now_ns - in->begun_ns < K4_ARBITER_SETTLE_NS && distance(a->id, in->old_id) < distance(a->id, in->id);
}

/* The connection's first record for the instrument: which epoch does it stand in? `target`: what it must reach to be anchored. */
static void enter(const struct k4_arbiter *arbiter, const instrument_t *in, const arrival_t *a, int64_t target)
{
    seen_t *seen = a->seen;
    *seen = (seen_t){.id = a->id, .target = NEVER, .behind_ns = NEVER, .epoch = in->epoch, .life = arbiter->life[a->conn]};
    if (!in->started)
        return;
    if (a->flags & K4_FLAG_RESET) {
        /* Is it the reset that we know of already, or one more? */
        bool known = a->id == in->first_id && !later(a->engine_ns, in->first_engine_ns) && !later(in->first_engine_ns, a->engine_ns);
        seen->epoch += known ? 0 : 1;
    } else if (from_before(in, a)) {
        seen->epoch--;
    } else {
        seen->target = target;
    }
}

static void next_epoch(seen_t *seen)
{
    seen->epoch++;
    seen->target = NEVER;
    seen->behind_ns = NEVER;
}

/* Opens the epoch in which the connection stands. */
static void begin(instrument_t *in, const arrival_t *a, bool soft)
{
    in->epoch = a->seen->epoch;
    in->old_id = in->id;
    in->begun_ns = a->now_ns;
    in->id = in->first_id = a->id;
    in->engine_ns = in->first_engine_ns = a->engine_ns;
    in->soft = soft;
    in->set.count = 0;
    in->mark.known = 0;
    for (int i = 0; i < K4_ARBITER_RECENT; i++)
        in->recent[i].known = 0;
}

static bool in_older_epoch(const instrument_t *in, const seen_t *seen)
{
    return (int32_t)(seen->epoch - in->epoch) < 0;
}

/* A state lower than the connection's last one, which was `before`: did the venue send it out of order, rather than start anew? So it is
 * within what its epoch has counted through. */
static bool out_of_order(const instrument_t *in, const arrival_t *a, int64_t before)
{
    if (a->id >= before || later(a->engine_ns, in->engine_ns))
        return false;
    if (in_older_epoch(in, a->seen))
        return from_before(in, a);
    return a->seen->epoch == in->epoch && a->id > in->first_id;
}

/* The connection counts an older epoch than we do. Does it stand in ours all the same? */
static bool catches_up(const instrument_t *in, const arrival_t *a)
{
    seen_t *seen = a->seen;
    if (later(a->engine_ns, in->engine_ns))
        return true;
    /* Before an epoch found by silence or engine time nothing came for a second, so nothing can be on its way: who has not
     * proven to be in the old one is in the new one, and so is whose engine time says so. */
    bool timed = a->engine_ns != K4_ABSENT && in->first_engine_ns != K4_ABSENT;
    if (in->soft && !later(in->first_engine_ns, a->engine_ns) && (!anchored(seen) || timed))
        return true;
    if (overdue(seen, in, K4_ARBITER_SETTLE_NS, a->now_ns))
        return true;
    return a->now_ns - seen->behind_ns >= K4_ARBITER_GIVE_UP_NS;
}

static void joins_epoch(const instrument_t *in, seen_t *seen)
{
    seen->epoch = in->epoch;
    seen->behind_ns = NEVER;
}

/* What every publication leaves behind. */
static void published(const struct k4_arbiter *arbiter, instrument_t *in, const arrival_t *a)
{
    if (!in->started) {
        in->started = 1;
        in->first_id = a->id;
        in->first_engine_ns = a->engine_ns;
        in->engine_ns = K4_ABSENT;
        in->old_id = K4_ABSENT;
    }
    in->top_ns = a->now_ns;
    k4_arbiter_note_engine(in, a->engine_ns);
    is_level(a->seen, a->id);
    remember(arbiter, in, a);
}

/* ---------------------------------------------------------------- state */

static struct k4_verdict publish_state(const struct k4_arbiter *arbiter, instrument_t *in, const arrival_t *a, unsigned flags)
{
    struct k4_verdict v = {.publish = true, .lag_ns = -1};
    if (in->rule == K4_RULE_STEPPING && in->started && (flags & K4_FLAG_RESET) == 0)
        v.gap = (uint64_t)a->id - (uint64_t)in->id - 1;
    v.flags = (uint16_t)(flags | (v.gap != 0 ? K4_FLAG_GAP : 0));
    in->id = a->id;
    published(arbiter, in, a);
    return v;
}

/* In the connection's own epoch, with an id below ours: has the venue started anew without a word? */
static bool started_anew(instrument_t *in, const arrival_t *a, bool rising)
{
    seen_t *seen = a->seen;
    if (!anchored(seen) && later(a->engine_ns, in->engine_ns))
        return true;
    /* TCP's order contradicts it on a connection that is known to be in this epoch: wait longer. */
    int64_t patience = anchored(seen) ? K4_ARBITER_GIVE_UP_NS : K4_ARBITER_SETTLE_NS;
    bool waited = overdue(seen, in, patience, a->now_ns); /* from the fall on; the verdict needs ids that rise again */
    if (waited && rising)
        return true;
    if (a->id >= seen->target)
        seen->target = NEVER;
    return false;
}

struct k4_verdict k4_rule_state(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a)
{
    seen_t *seen = a->seen;
    bool rising = true, reset = (a->flags & K4_FLAG_RESET) != 0, soft = false;
    int64_t before = NEVER;
    if (seen->life != arbiter->life[a->conn]) {
        enter(arbiter, in, a, in->id);
    } else if ((a->flags & K4_FLAG_BACKFILL) && a->id <= seen->id) {
        return drop(in, K4_CAUSE_BEHIND, a); /* sent again on purpose: says nothing about epochs */
    } else {
        before = seen->id;
        rising = a->id > before;
        if (reset || (a->id < before && !out_of_order(in, a, before)))
            next_epoch(seen);
        else if (a->id < before && seen->epoch == in->epoch && anchored(seen))
            seen->target = before; /* should it go on below, nothing proves any more where it stands */
        seen->id = a->id;
    }
    if (!in->started)
        return publish_state(arbiter, in, a, reset ? K4_FLAG_RESET : 0);
    if (in_older_epoch(in, seen)) {
        /* It brings, or brought just before, what was published last: they count the same ids, and what began the epoch was an error. */
        bool alike = in->id == a->id || in->id == before;
        if (!alike && !catches_up(in, a))
            return drop(in, K4_CAUSE_EPOCH, a);
        joins_epoch(in, seen);
    }
    if (seen->epoch == in->epoch) {
        if (a->id > in->id)
            return publish_state(arbiter, in, a, 0);
        if (a->id == in->id) { /* a sign of life */
            in->top_ns = a->now_ns;
            k4_arbiter_note_engine(in, a->engine_ns);
            is_level(seen, a->id);
            return drop(in, K4_CAUSE_DUPLICATE, a);
        }
        if (!started_anew(in, a, rising))
            return drop(in, K4_CAUSE_BEHIND, a);
        next_epoch(seen);
        soft = true;
    }
    begin(in, a, soft);
    return publish_state(arbiter, in, a, K4_FLAG_RESET);
}

/* ---------------------------------------------------------------- events */

/* A RESET opens the set; all others were added to it by look_up. */
static struct k4_verdict publish_event(const struct k4_arbiter *arbiter, instrument_t *in, const arrival_t *a, unsigned flags)
{
    struct k4_verdict v = {.publish = true, .lag_ns = -1};
    bool late = (flags & K4_FLAG_LATE) != 0;
    if (!in->started || (flags & K4_FLAG_RESET))
        (void)k4_idset_add(&in->set, k4_arbiter_ids_at(arbiter, a->instrument), arbiter->mask, a->id);
    else if (in->rule == K4_RULE_CONTIGUOUS && !late)
        v.gap = (uint64_t)a->id - (uint64_t)in->id - 1;
    v.flags = (uint16_t)(flags | (v.gap != 0 ? K4_FLAG_GAP : 0));
    if (late)
        v.cause = K4_CAUSE_LATE;
    else
        in->id = a->id;
    published(arbiter, in, a);
    return v;
}

/* In the connection's own epoch: is the id new? *anew: it proves that ids started anew. */
static enum k4_idset_result look_up(const struct k4_arbiter *arbiter, instrument_t *in, const arrival_t *a, bool rising, bool *anew)
{
    enum k4_idset_result found = k4_idset_add(&in->set, k4_arbiter_ids_at(arbiter, a->instrument), arbiter->mask, a->id);
    *anew = false;
    if (found == K4_IDSET_TOP || found == K4_IDSET_LATE)
        return found;
    if (later(a->engine_ns, in->engine_ns)) {
        *anew = true; /* an old id with a time newer than all: it is another event */
    } else if (found == K4_IDSET_UNDER) {
        /* The clock starts with the fall itself, the verdict needs ids that rise again. */
        bool waited = (a->flags & K4_FLAG_BACKFILL) == 0 && overdue(a->seen, in, K4_ARBITER_SETTLE_NS, a->now_ns);
        *anew = waited && rising;
    } else { /* a sign of life */
        in->top_ns = a->now_ns;
        is_level(a->seen, a->id);
    }
    return found;
}

struct k4_verdict k4_rule_event(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a)
{
    seen_t *seen = a->seen;
    bool reset = (a->flags & K4_FLAG_RESET) != 0, resent = (a->flags & K4_FLAG_BACKFILL) != 0;
    bool rising = true, fell = false, soft = false;
    if (seen->life != arbiter->life[a->conn]) {
        enter(arbiter, in, a, in->set.floor + 1);
    } else {
        if (reset)
            next_epoch(seen);
        rising = a->id > seen->id;
        fell = !resent && a->id < seen->id;
        seen->id = a->id;
    }
    if (!in->started)
        return publish_event(arbiter, in, a, reset ? K4_FLAG_RESET : 0);
    if (in_older_epoch(in, seen)) {
        /* Ids that fell on a connection into the range of the newer epoch: it has come to the reset, too. */
        bool arrived = fell && a->id > in->set.floor && a->id <= in->id;
        if (!arrived && !catches_up(in, a))
            return drop(in, K4_CAUSE_EPOCH, a);
        joins_epoch(in, seen);
    }
    if (seen->epoch == in->epoch) {
        bool anew;
        enum k4_idset_result found = look_up(arbiter, in, a, rising, &anew);
        if (found == K4_IDSET_TOP || found == K4_IDSET_LATE)
            return publish_event(arbiter, in, a, found == K4_IDSET_LATE ? K4_FLAG_LATE : 0);
        if (!anew)
            return drop(in, found == K4_IDSET_UNDER ? K4_CAUSE_UNDER : K4_CAUSE_DUPLICATE, a);
        next_epoch(seen);
        soft = true;
    }
    begin(in, a, soft);
    return publish_event(arbiter, in, a, K4_FLAG_RESET);
}

struct k4_verdict k4_rule_hashed(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a)
{
    if (!k4_hashset_add(&in->hashes, k4_arbiter_hashes_at(arbiter, a->instrument), arbiter->mask, a->id))
        return drop(in, K4_CAUSE_DUPLICATE, a);
    remember(arbiter, in, a);
    return (struct k4_verdict){.publish = true, .flags = a->flags & K4_FLAG_RESET, .lag_ns = -1};
}

/* ---------------------------------------------------------------- no ids */

struct k4_verdict k4_rule_leader(struct k4_arbiter *arbiter, struct k4_arbiter_instrument *in, const struct k4_arrival *a)
{
    struct k4_verdict v = {.publish = true, .flags = a->flags & K4_FLAG_RESET, .lag_ns = -1};
    bool lives = in->leader != 0 && in->leader_life == arbiter->life[in->leader - 1];
    if (!lives || in->leader != a->conn + 1) {
        /* Soon after the leader's last record this is its copy, later one that the leader does not have. */
        if (lives && in->waiting_ns == NEVER && a->now_ns - in->leader_ns >= K4_ARBITER_COPY_NS)
            in->waiting_ns = a->now_ns;
        if (lives && (in->waiting_ns == NEVER || a->now_ns - in->waiting_ns < K4_ARBITER_SETTLE_NS))
            return (struct k4_verdict){.cause = K4_CAUSE_STANDBY, .lag_ns = -1};
        if (in->leader != 0)
            v.flags |= K4_FLAG_SWITCH;
        in->leader = (uint16_t)(a->conn + 1);
        in->leader_life = arbiter->life[a->conn];
    }
    in->leader_ns = a->now_ns;
    in->waiting_ns = NEVER;
    return v;
}
