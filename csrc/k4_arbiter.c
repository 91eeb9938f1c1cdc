#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mremap */
#endif
#include "k4_arbiter.h"

#include <string.h>
#include <sys/mman.h>

#include "k4_records.h"

#define NEVER INT64_MIN

typedef struct k4_arbiter_instrument instrument_t;
typedef struct k4_arbiter_seen seen_t;

/* ---------------------------------------------------------------- memory */

/* Makes or widens an area. Pages cost nothing until they are written to. On failure the area is as before. */
static int widen(struct k4_area *area, size_t size)
{
    if (size <= area->size)
        return 0;
    void *p = area->memory == NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                   : mremap(area->memory, area->size, size, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return -1;
    area->memory = p;
    area->size = size;
    return 0;
}

static void unmap(struct k4_area *area)
{
    if (area->memory != NULL)
        munmap(area->memory, area->size);
    area->memory = NULL;
    area->size = 0;
}

static size_t ids_bytes(const struct k4_arbiter *arbiter, uint32_t capacity)
{
    return (size_t)capacity * (arbiter->mask + 1) * sizeof(int64_t);
}

static size_t hashes_bytes(const struct k4_arbiter *arbiter, uint32_t capacity)
{
    return (size_t)capacity * K4_HASHSET_BYTES(arbiter->mask);
}

static instrument_t *instrument_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (instrument_t *)arbiter->instruments.memory + instrument;
}

static int64_t *ids_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (int64_t *)arbiter->ids.memory + (size_t)instrument * (arbiter->mask + 1);
}

static void *hashes_at(const struct k4_arbiter *arbiter, uint32_t instrument)
{
    return (uint8_t *)arbiter->hashes.memory + hashes_bytes(arbiter, instrument);
}

/* Sets of ids for all instruments, when the first rule or id asks for them. */
static int want_sets(struct k4_arbiter *arbiter)
{
    if (widen(&arbiter->ids, ids_bytes(arbiter, arbiter->capacity)) != 0)
        return -1;
    return widen(&arbiter->hashes, hashes_bytes(arbiter, arbiter->capacity));
}

int k4_arbiter_init(struct k4_arbiter *arbiter, uint32_t capacity, uint32_t window, bool events)
{
    memset(arbiter, 0, sizeof *arbiter);
    uint32_t ids = 16;
    while (ids < window && ids < UINT32_C(1) << 24)
        ids *= 2;
    arbiter->mask = ids - 1;
    if (k4_arbiter_reserve(arbiter, capacity == 0 ? 1 : capacity) == 0 && (!events || want_sets(arbiter) == 0))
        return 0;
    k4_arbiter_fini(arbiter);
    return -1;
}

void k4_arbiter_fini(struct k4_arbiter *arbiter)
{
    unmap(&arbiter->instruments);
    unmap(&arbiter->ids);
    unmap(&arbiter->hashes);
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++)
        unmap(&arbiter->seen[i]);
}

int k4_arbiter_reserve(struct k4_arbiter *arbiter, uint32_t capacity)
{
    if (capacity <= arbiter->capacity)
        return 0;
    if (widen(&arbiter->instruments, capacity * sizeof(instrument_t)) != 0)
        return -1;
    if (arbiter->ids.memory != NULL && widen(&arbiter->ids, ids_bytes(arbiter, capacity)) != 0)
        return -1;
    if (arbiter->hashes.memory != NULL && widen(&arbiter->hashes, hashes_bytes(arbiter, capacity)) != 0)
        return -1;
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++)
        if (arbiter->seen[i].memory != NULL && widen(&arbiter->seen[i], capacity * sizeof(seen_t)) != 0)
            return -1;
    arbiter->capacity = capacity;
    return 0;
}

int k4_arbiter_rule(struct k4_arbiter *arbiter, uint32_t instrument, enum k4_rule rule)
{
    instrument_t *in = instrument_at(arbiter, instrument);
    if (rule == K4_RULE_WINDOW || rule == K4_RULE_CONTIGUOUS) {
        if (want_sets(arbiter) != 0)
            return -1;
        /* Seeded before anybody knew that the set would be wanted. */
        if (in->started && in->set.count == 0 && in->id != K4_ABSENT)
            (void)k4_idset_add(&in->set, ids_at(arbiter, instrument), arbiter->mask, in->id);
    }
    in->rule = (uint8_t)rule;
    return 0;
}

/* ---------------------------------------------------------------- connections */

int k4_arbiter_join(struct k4_arbiter *arbiter, uint16_t source)
{
    for (int i = 0; i < K4_ARBITER_CONNECTIONS; i++) {
        if (arbiter->used[i])
            continue;
        if (widen(&arbiter->seen[i], arbiter->capacity * sizeof(seen_t)) != 0)
            return -1;
        arbiter->used[i] = true;
        arbiter->source[i] = source;
        k4_arbiter_renew(arbiter, i);
        return i;
    }
    return -2;
}

void k4_arbiter_renew(struct k4_arbiter *arbiter, int conn)
{
    arbiter->life[conn]++;
}

void k4_arbiter_leave(struct k4_arbiter *arbiter, int conn)
{
    k4_arbiter_renew(arbiter, conn);
    arbiter->used[conn] = false;
}

/* ---------------------------------------------------------------- engine times and patience */

/* Is `a` at least a second after `b`? Less proves nothing: transports cut the same time to different precision. */
static bool later(int64_t a, int64_t b)
{
    return a != K4_ABSENT && b != K4_ABSENT && a > b && (uint64_t)a - (uint64_t)b >= (uint64_t)K4_ARBITER_SETTLE_NS;
}

static void note_engine(instrument_t *in, int64_t engine_ns)
{
    if (engine_ns > in->engine_ns) /* absent is smaller than every time */
        in->engine_ns = engine_ns;
}

static bool anchored(const seen_t *seen)
{
    return seen->target == NEVER;
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

static void remember(const struct k4_arbiter *arbiter, instrument_t *in, int conn, int64_t id, int64_t now_ns)
{
    struct k4_arbiter_recent *r = &in->recent[(uint64_t)id % K4_ARBITER_RECENT];
    *r = (struct k4_arbiter_recent){.id = id, .at_ns = now_ns, .source = arbiter->source[conn], .known = 1};
}

static struct k4_verdict drop(instrument_t *in, enum k4_cause cause, int64_t id, int64_t now_ns)
{
    struct k4_verdict v = {.cause = (uint8_t)cause, .lag_ns = -1};
    struct k4_arbiter_recent *r = &in->recent[(uint64_t)id % K4_ARBITER_RECENT];
    if ((cause == K4_CAUSE_DUPLICATE || cause == K4_CAUSE_BEHIND) && r->known && r->id == id) {
        v.lag_ns = now_ns - r->at_ns;
        v.winner = r->source;
        v.runner_up = !r->answered;
        r->answered = 1;
    }
    return v;
}

/* ---------------------------------------------------------------- epochs */

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* Is this, on a connection that we know nothing of, a record from before a reset? By its engine time, or, while such records can
 * still be under way, by standing nearer to where the old ids ended than to where the new ones are. */
static bool from_before(const instrument_t *in, int64_t id, int64_t engine_ns, int64_t now_ns)
{
    if (id <= in->id || in->old_id == K4_ABSENT)
        return false;
    if (later(in->engine_ns, engine_ns))
        return true;
    return now_ns - in->begun_ns < K4_ARBITER_SETTLE_NS && distance(id, in->old_id) < distance(id, in->id);
}

/* The connection's first record for the instrument: which epoch does it stand in? */
static void enter(const struct k4_arbiter *arbiter, const instrument_t *in, seen_t *seen, int conn, int64_t id, int64_t engine_ns, bool reset,
                  int64_t now_ns)
{
    *seen = (seen_t){.id = id, .target = NEVER, .behind_ns = NEVER, .epoch = in->epoch, .life = arbiter->life[conn]};
    if (!in->started)
        return;
    if (reset) {
        /* Is it the reset that we know of already, or one more? */
        bool known = id == in->first_id && !later(engine_ns, in->first_engine_ns) && !later(in->first_engine_ns, engine_ns);
        seen->epoch += known ? 0 : 1;
    } else if (from_before(in, id, engine_ns, now_ns)) {
        seen->epoch--;
    } else {
        seen->target = in->id;
    }
}

/* Opens the epoch in which the connection stands. */
static void begin(instrument_t *in, const seen_t *seen, int64_t id, int64_t engine_ns, bool soft, int64_t now_ns)
{
    in->epoch = seen->epoch;
    in->old_id = in->id;
    in->begun_ns = now_ns;
    in->id = in->first_id = id;
    in->engine_ns = in->first_engine_ns = engine_ns;
    in->soft = soft;
    in->set.count = 0;
    for (int i = 0; i < K4_ARBITER_RECENT; i++)
        in->recent[i].known = 0;
}

/* The very first record. */
static void start(instrument_t *in, int64_t id, int64_t engine_ns)
{
    in->first_id = id;
    in->first_engine_ns = engine_ns;
    in->engine_ns = K4_ABSENT;
    in->old_id = K4_ABSENT;
}

static bool in_older_epoch(const instrument_t *in, const seen_t *seen)
{
    return (int32_t)(seen->epoch - in->epoch) < 0;
}

/* The connection counts an older epoch than we do. Does it stand in ours all the same? */
static bool catches_up(const instrument_t *in, seen_t *seen, int64_t engine_ns, int64_t now_ns)
{
    if (later(engine_ns, in->engine_ns))
        return true;
    /* Before an epoch found by silence or engine time nothing came for a second, so nothing can be on its way: who has not
     * proven to be in the old one is in the new one, and so is whose engine time says so. */
    if (in->soft && !later(in->first_engine_ns, engine_ns) && (!anchored(seen) || (engine_ns != K4_ABSENT && in->first_engine_ns != K4_ABSENT)))
        return true;
    if (overdue(seen, in, K4_ARBITER_SETTLE_NS, now_ns))
        return true;
    return now_ns - seen->behind_ns >= K4_ARBITER_GIVE_UP_NS;
}

static void is_level(seen_t *seen, int64_t id)
{
    seen->behind_ns = NEVER;
    if (id >= seen->target)
        seen->target = NEVER;
}

/* ---------------------------------------------------------------- state */

static struct k4_verdict publish_state(struct k4_arbiter *arbiter, instrument_t *in, seen_t *seen, int conn, int64_t id, int64_t engine_ns,
                                       uint16_t flags, int64_t now_ns)
{
    struct k4_verdict v = {.publish = true, .flags = flags, .lag_ns = -1};
    if (in->rule == K4_RULE_STEPPING && in->started && (flags & K4_FLAG_RESET) == 0)
        v.gap = (uint64_t)id - (uint64_t)in->id - 1;
    if (v.gap != 0)
        v.flags |= K4_FLAG_GAP;
    if (!in->started)
        start(in, id, engine_ns);
    in->started = 1;
    in->id = id;
    in->top_ns = now_ns;
    note_engine(in, engine_ns);
    is_level(seen, id);
    remember(arbiter, in, conn, id, now_ns);
    return v;
}

static struct k4_verdict state(struct k4_arbiter *arbiter, instrument_t *in, seen_t *seen, int conn, int64_t id, int64_t engine_ns, uint16_t flags,
                               int64_t now_ns)
{
    bool rising = true, reset = (flags & K4_FLAG_RESET) != 0;
    if (seen->life != arbiter->life[conn]) {
        enter(arbiter, in, seen, conn, id, engine_ns, reset, now_ns);
    } else if ((flags & K4_FLAG_BACKFILL) && id <= seen->id) {
        return drop(in, K4_CAUSE_BEHIND, id, now_ns); /* sent again on purpose: says nothing about epochs */
    } else {
        if (reset || id < seen->id) {
            seen->epoch++;
            seen->target = NEVER;
            seen->behind_ns = NEVER;
        }
        rising = id > seen->id;
        seen->id = id;
    }
    if (!in->started)
        return publish_state(arbiter, in, seen, conn, id, engine_ns, reset ? K4_FLAG_RESET : 0, now_ns);
    if (in_older_epoch(in, seen)) {
        if (!catches_up(in, seen, engine_ns, now_ns))
            return drop(in, K4_CAUSE_EPOCH, id, now_ns);
        seen->epoch = in->epoch;
        seen->behind_ns = NEVER;
    }
    bool soft = false;
    if (seen->epoch == in->epoch) {
        if (id > in->id)
            return publish_state(arbiter, in, seen, conn, id, engine_ns, 0, now_ns);
        if (id == in->id) {
            in->top_ns = now_ns;
            note_engine(in, engine_ns);
            is_level(seen, id);
            return drop(in, K4_CAUSE_DUPLICATE, id, now_ns);
        }
        bool proven = !anchored(seen) && later(engine_ns, in->engine_ns);
        int64_t patience = anchored(seen) ? K4_ARBITER_GIVE_UP_NS : K4_ARBITER_SETTLE_NS;
        if (!proven && !(rising && overdue(seen, in, patience, now_ns))) {
            if (id >= seen->target)
                seen->target = NEVER;
            return drop(in, K4_CAUSE_BEHIND, id, now_ns);
        }
        seen->epoch++;
        seen->target = NEVER;
        soft = true;
    }
    begin(in, seen, id, engine_ns, soft, now_ns);
    return publish_state(arbiter, in, seen, conn, id, engine_ns, K4_FLAG_RESET, now_ns);
}

/* ---------------------------------------------------------------- events */

static struct k4_verdict publish_event(struct k4_arbiter *arbiter, instrument_t *in, seen_t *seen, int conn, uint32_t instrument, int64_t id,
                                       int64_t engine_ns, uint16_t flags, int64_t now_ns)
{
    struct k4_verdict v = {.publish = true, .flags = flags, .lag_ns = -1};
    int64_t before = in->id;
    if (!in->started)
        start(in, id, engine_ns);
    if (!in->started || (flags & K4_FLAG_RESET))
        (void)k4_idset_add(&in->set, ids_at(arbiter, instrument), arbiter->mask, id);
    else if (in->rule == K4_RULE_CONTIGUOUS && (flags & K4_FLAG_LATE) == 0)
        v.gap = (uint64_t)id - (uint64_t)before - 1;
    if (v.gap != 0)
        v.flags |= K4_FLAG_GAP;
    if (flags & K4_FLAG_LATE)
        v.cause = K4_CAUSE_LATE;
    else
        in->id = id;
    in->started = 1;
    in->top_ns = now_ns;
    note_engine(in, engine_ns);
    is_level(seen, id);
    remember(arbiter, in, conn, id, now_ns);
    return v;
}

/* In the connection's own epoch: is the id new? `*again` when it proves that ids started anew. */
static enum k4_idset_result look_up(struct k4_arbiter *arbiter, instrument_t *in, seen_t *seen, uint32_t instrument, int64_t id, int64_t engine_ns,
                                    bool rising, int64_t now_ns, bool *again)
{
    enum k4_idset_result found = k4_idset_add(&in->set, ids_at(arbiter, instrument), arbiter->mask, id);
    *again = false;
    if (found == K4_IDSET_TOP || found == K4_IDSET_LATE)
        return found;
    if (later(engine_ns, in->engine_ns)) {
        *again = true;
    } else if (found == K4_IDSET_UNDER) {
        *again = rising && overdue(seen, in, K4_ARBITER_SETTLE_NS, now_ns);
    } else {
        in->top_ns = now_ns;
        is_level(seen, id);
    }
    return found;
}

static struct k4_verdict event(struct k4_arbiter *arbiter, instrument_t *in, seen_t *seen, int conn, uint32_t instrument, int64_t id,
                               int64_t engine_ns, uint16_t flags, int64_t now_ns)
{
    bool rising = (flags & K4_FLAG_BACKFILL) == 0, fell = false, reset = (flags & K4_FLAG_RESET) != 0;
    if (seen->life != arbiter->life[conn]) {
        enter(arbiter, in, seen, conn, id, engine_ns, reset, now_ns);
        if (seen->target != NEVER)
            seen->target = in->set.floor + 1;
    } else {
        if (reset) {
            seen->epoch++;
            seen->target = NEVER;
            seen->behind_ns = NEVER;
        }
        rising = rising && id > seen->id;
        fell = id < seen->id && (flags & K4_FLAG_BACKFILL) == 0;
        seen->id = id;
    }
    if (!in->started)
        return publish_event(arbiter, in, seen, conn, instrument, id, engine_ns, reset ? K4_FLAG_RESET : 0, now_ns);
    if (in_older_epoch(in, seen)) {
        /* Ids that fell on a connection into the range of the newer epoch: it has come to the reset, too. */
        bool arrived = fell && id > in->set.floor && id <= in->id;
        if (!arrived && !catches_up(in, seen, engine_ns, now_ns))
            return drop(in, K4_CAUSE_EPOCH, id, now_ns);
        seen->epoch = in->epoch;
        seen->behind_ns = NEVER;
    }
    bool soft = false;
    if (seen->epoch == in->epoch) {
        bool again;
        enum k4_idset_result found = look_up(arbiter, in, seen, instrument, id, engine_ns, rising, now_ns, &again);
        if (found == K4_IDSET_TOP || found == K4_IDSET_LATE)
            return publish_event(arbiter, in, seen, conn, instrument, id, engine_ns, found == K4_IDSET_LATE ? K4_FLAG_LATE : 0, now_ns);
        if (!again)
            return drop(in, found == K4_IDSET_UNDER ? K4_CAUSE_UNDER : K4_CAUSE_DUPLICATE, id, now_ns);
        seen->epoch++;
        seen->target = NEVER;
        soft = true;
    }
    begin(in, seen, id, engine_ns, soft, now_ns);
    return publish_event(arbiter, in, seen, conn, instrument, id, engine_ns, K4_FLAG_RESET, now_ns);
}

static struct k4_verdict hashed(struct k4_arbiter *arbiter, instrument_t *in, int conn, uint32_t instrument, int64_t id, uint16_t flags,
                                int64_t now_ns)
{
    if (!k4_hashset_add(&in->hashes, hashes_at(arbiter, instrument), arbiter->mask, id))
        return drop(in, K4_CAUSE_DUPLICATE, id, now_ns);
    remember(arbiter, in, conn, id, now_ns);
    return (struct k4_verdict){.publish = true, .flags = flags & K4_FLAG_RESET, .lag_ns = -1};
}

/* ---------------------------------------------------------------- no ids */

static struct k4_verdict leader(struct k4_arbiter *arbiter, instrument_t *in, int conn, uint16_t flags, int64_t now_ns)
{
    struct k4_verdict v = {.publish = true, .flags = flags & K4_FLAG_RESET, .lag_ns = -1};
    bool lives = in->leader != 0 && in->leader_life == arbiter->life[in->leader - 1];
    if (!lives || in->leader != conn + 1) {
        if (lives) {
            if (in->waiting_ns == NEVER)
                in->waiting_ns = now_ns;
            if (now_ns - in->waiting_ns < K4_ARBITER_SETTLE_NS) {
                v.publish = false;
                v.cause = K4_CAUSE_STANDBY;
                return v;
            }
        }
        if (in->led)
            v.flags |= K4_FLAG_SWITCH;
        in->leader = (uint16_t)(conn + 1);
        in->leader_life = arbiter->life[conn];
        in->led = 1;
    }
    in->top_ns = now_ns;
    in->waiting_ns = NEVER;
    return v;
}

/* ---------------------------------------------------------------- decisions */

void k4_arbiter_seed(struct k4_arbiter *arbiter, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags)
{
    instrument_t *in = instrument_at(arbiter, instrument);
    if (id == K4_ABSENT)
        return;
    if (flags & K4_FLAG_HASHED_ID) {
        if (arbiter->hashes.memory != NULL)
            (void)k4_hashset_add(&in->hashes, hashes_at(arbiter, instrument), arbiter->mask, id);
        return;
    }
    bool late = (flags & K4_FLAG_LATE) != 0;
    if (!in->started || (flags & K4_FLAG_RESET) || (in->late_seed && !late)) {
        in->set.count = 0;
        in->first_id = id;
        in->first_engine_ns = in->engine_ns = engine_ns;
        in->old_id = K4_ABSENT;
        in->late_seed = late;
    }
    if (arbiter->ids.memory != NULL)
        (void)k4_idset_add(&in->set, ids_at(arbiter, instrument), arbiter->mask, id);
    if (!in->started || !late)
        in->id = id;
    in->started = 1;
    in->top_ns = NEVER / 2; /* long ago, and far enough from the ends of int64 to subtract from */
    note_engine(in, engine_ns);
}

struct k4_verdict k4_arbitrate(struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags,
                               int64_t now_ns)
{
    instrument_t *in = instrument_at(arbiter, instrument);
    seen_t *seen = (seen_t *)arbiter->seen[conn].memory + instrument;
    if (in->rule == K4_RULE_UNSET)
        return (struct k4_verdict){.cause = K4_CAUSE_UNSET, .lag_ns = -1};
    if (in->rule == K4_RULE_ALL)
        return (struct k4_verdict){.publish = true, .flags = flags & K4_FLAG_RESET, .lag_ns = -1};
    if (in->rule == K4_RULE_LEADER || id == K4_ABSENT)
        return leader(arbiter, in, conn, flags, now_ns);
    if ((flags & K4_FLAG_HASHED_ID) && arbiter->hashes.memory != NULL)
        return hashed(arbiter, in, conn, instrument, id, flags, now_ns);
    if (in->rule == K4_RULE_INCREASING || in->rule == K4_RULE_STEPPING)
        return state(arbiter, in, seen, conn, id, engine_ns, flags, now_ns);
    return event(arbiter, in, seen, conn, instrument, id, engine_ns, flags, now_ns);
}
