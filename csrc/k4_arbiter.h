/* Which of several connections' records are published: every update once, whatever the interleaving.
 *
 * One arbiter per segment; each instrument follows the rule of its product's messages (docs/arbitration.md tells the rules with a
 * worked example). A decision depends on nothing but the arguments and what was decided before: no clock, no I/O.
 *
 * An id epoch is a stretch in which a venue's ids only rise. Every connection counts the resets that it sees itself (TCP keeps
 * order), the arbiter follows the highest count; so the reset is found by whoever sees it first and a late sibling's old records
 * lose. A connection whose count nothing proves (it joined with ids below ours) is `unanchored`.
 *
 *     instrument:  epoch, newest id | set of recent ids         connection x instrument:  epoch, last id, target, behind since
 *
 * Memory: per instrument 256 bytes, with ids of events 8 x window more and where ids are hashes 16 x window, per connection and
 * instrument 32; all of it mapped at once and touched only by instruments that have records. Adding instruments may move it;
 * deciding never allocates.
 */
#ifndef K4_ARBITER_H
#define K4_ARBITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_idset.h"

enum {
    K4_ARBITER_CONNECTIONS = 128, /* at a time: 64 sources, each of which may be replaced while it lives */
    K4_ARBITER_RECENT = 4,        /* arrivals remembered per instrument, to tell lead and lag */
};
#define K4_ARBITER_MARK_NS INT64_C(1000000000) /* once in so long an arrival is remembered beside the recent ones, for siblings further behind */
#define K4_ARBITER_SETTLE_NS INT64_C(1000000000)  /* "one second" of the rules */
#define K4_ARBITER_GIVE_UP_NS INT64_C(10000000000) /* the same for what the order of TCP contradicts */
#define K4_ARBITER_COPY_NS INT64_C(250000000) /* a standby's copy of what the leader brought follows within this */

enum k4_rule {
    K4_RULE_UNSET = 0,  /* nobody asked for the instrument: nothing is published */
    K4_RULE_ALL,        /* no order: everything is published */
    K4_RULE_INCREASING, /* state: newer than (epoch, id) */
    K4_RULE_STEPPING,   /* state whose ids step by one: as increasing, holes are counted */
    K4_RULE_WINDOW,     /* events: not in the set of recent ids */
    K4_RULE_CONTIGUOUS, /* events whose ids step by one: as window, holes are counted */
    K4_RULE_LEADER,     /* no ids: one connection at a time */
};

/* Why. */
enum k4_cause {
    K4_CAUSE_NEW = 0,
    K4_CAUSE_LATE,      /* published: fills a hole */
    K4_CAUSE_DUPLICATE, /* published before */
    K4_CAUSE_BEHIND,    /* state older than what is published */
    K4_CAUSE_EPOCH,     /* of an older epoch */
    K4_CAUSE_UNDER,     /* event under the floor: too old to tell */
    K4_CAUSE_STANDBY,   /* another connection leads */
    K4_CAUSE_UNSET,     /* the instrument has no rule */
};

struct k4_verdict {
    bool publish;
    uint8_t cause;    /* enum k4_cause */
    uint16_t flags;   /* GAP RESET LATE SWITCH, to be set in the record */
    uint64_t gap;     /* ids missing between the last published one and this */
    int64_t lag_ns;   /* a duplicate: so long after the winner; -1: not known */
    uint16_t winner;  /* whose source that was */
    bool runner_up;   /* the first duplicate: lag_ns is also the winner's lead */
};

struct k4_arbiter_recent {
    int64_t id;
    int64_t at_ns;
    uint16_t source;
    uint8_t known;
    uint8_t answered;
};

/* Whole cache lines, what every record touches in the first. */
struct k4_arbiter_instrument {
    int64_t id;           /* state: newest published; events: that of the newest non-late one */
    int64_t engine_ns;    /* latest of this epoch */
    int64_t top_ns;       /* when last something at or above `id` (state) or over the floor (events) came */
    uint32_t epoch;
    uint8_t rule;         /* enum k4_rule */
    uint8_t started;      /* something was published */
    uint8_t soft;         /* this epoch was found by silence or engine time, so siblings did not see it begin */
    uint8_t late_seed;    /* the set holds only late ids of an earlier writer */
    struct k4_idset set;
    struct k4_hashset hashes;
    uint32_t leader_life; /* generation of the leader's connection */
    uint16_t leader;      /* connection + 1; 0: none */
    struct k4_arbiter_recent mark; /* one that would have been forgotten; beside the place that it comes from */
    struct k4_arbiter_recent recent[K4_ARBITER_RECENT];
    int64_t first_id;     /* the epoch began with these */
    int64_t first_engine_ns;
    int64_t begun_ns;     /* when it did */
    int64_t old_id;       /* `id` at the end of the epoch before; INT64_MIN: none */
    int64_t leader_ns;    /* when the leader last brought something */
    int64_t waiting_ns;   /* since when a standby has records that the leader has not; INT64_MIN: it has not */
} __attribute__((aligned(64)));

struct k4_arbiter_seen {
    int64_t id;        /* the last one */
    int64_t target;    /* unanchored until an id reaches it; INT64_MIN: anchored */
    int64_t behind_ns; /* since when all it brings is behind; INT64_MIN: it is not */
    uint32_t epoch;
    uint32_t life;     /* generation of the connection that this is about */
};

/* A zeroed mapping that knows its size and can be widened. */
struct k4_area {
    void *memory;
    size_t size;
};

struct k4_arbiter {
    struct k4_area instruments;                  /* struct k4_arbiter_instrument each */
    struct k4_area ids;                          /* window int64_t each; unmapped while no rule needs them */
    struct k4_area hashes;                       /* K4_HASHSET_BYTES each; likewise */
    struct k4_area seen[K4_ARBITER_CONNECTIONS]; /* struct k4_arbiter_seen per instrument */
    uint32_t capacity;
    uint32_t mask; /* window - 1 */
    uint32_t life[K4_ARBITER_CONNECTIONS]; /* generations; 0: never used */
    uint16_t source[K4_ARBITER_CONNECTIONS];
    bool used[K4_ARBITER_CONNECTIONS];
};

/* `window` ids per instrument, rounded up to a power of two. `events`: records have ids of events. 0, or -1: no memory. */
__attribute__((warn_unused_result)) int k4_arbiter_init(struct k4_arbiter *arbiter, uint32_t capacity, uint32_t window, bool events);
void k4_arbiter_fini(struct k4_arbiter *arbiter);
/* Room for `capacity` instruments. 0, or -1: no memory (the arbiter is as before). */
__attribute__((warn_unused_result)) int k4_arbiter_reserve(struct k4_arbiter *arbiter, uint32_t capacity);
/* The rule of an instrument (within capacity), before its first record. 0, or -1: no memory. */
__attribute__((warn_unused_result)) int k4_arbiter_rule(struct k4_arbiter *arbiter, uint32_t instrument, enum k4_rule rule);

/* A connection begins to compete as `source`: its number, or -1: no memory, -2: too many. */
int k4_arbiter_join(struct k4_arbiter *arbiter, uint16_t source);
/* It is a new TCP connection from now on: what it sent before says nothing about what comes. */
void k4_arbiter_renew(struct k4_arbiter *arbiter, int conn);
void k4_arbiter_leave(struct k4_arbiter *arbiter, int conn);

/* What an earlier writer published, oldest first, before the first decision. `flags` are the record's. */
void k4_arbiter_seed(struct k4_arbiter *arbiter, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags);

/* Decides about one record. `id`, `engine_ns`: INT64_MIN = absent. `flags`: the record's as the parser set them; RESET is the
 * venue's own signal, HASHED_ID says what the id is, BACKFILL that it may repeat old ids. `now_ns`: monotonic. */
struct k4_verdict k4_arbitrate(struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id, int64_t engine_ns, uint16_t flags,
                               int64_t now_ns);

#endif
