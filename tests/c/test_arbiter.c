/* The arbiter by the clock: epochs found by silence and by engine time, leaders, takeovers, lead and lag, growth; and the sets of
 * ids against a plain search. Properties under generated interleavings: tests/test_arbiter_properties.py. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "k4_arbiter.h"
#include "k4_records.h"
#include "k4_rules.h"

#define MS INT64_C(1000000)
#define S INT64_C(1000000000)
#define NO_TIME K4_ABSENT

static struct k4_arbiter arbiter;
static int64_t now;

static void start(enum k4_rule rule)
{
    CHECK(k4_arbiter_init(&arbiter, 2, 16, rule == K4_RULE_WINDOW || rule == K4_RULE_CONTIGUOUS) == 0);
    CHECK(k4_arbiter_rule(&arbiter, 0, rule) == 0);
    now = 1000 * S;
}

/* What became of a record: its flags when published, else -cause. */
static int say(int conn, int64_t id, int64_t engine_ns, unsigned flags)
{
    struct k4_verdict v = k4_arbitrate(&arbiter, conn, 0, id, engine_ns, (uint16_t)flags, now);
    return v.publish ? v.flags : -v.cause;
}

static int say_id(int conn, int64_t id)
{
    return say(conn, id, NO_TIME, 0);
}

static void state_by_silence(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say_id(a, 1000), 0);
    k4_arbiter_leave(&arbiter, a);
    now += 5 * S;
    int b = k4_arbiter_join(&arbiter, 1), c = k4_arbiter_join(&arbiter, 2);
    EQUAL(say_id(b, 5), -K4_CAUSE_BEHIND);
    EQUAL(say_id(c, 5), -K4_CAUSE_BEHIND);
    now += 999 * MS;
    EQUAL(say_id(b, 6), -K4_CAUSE_BEHIND);
    now += 1 * MS;
    EQUAL(say_id(b, 7), K4_FLAG_RESET);
    /* its sibling is in the new epoch, too */
    EQUAL(say_id(c, 7), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(c, 8), 0);
    k4_arbiter_fini(&arbiter);
}

static void state_by_engine_time(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say(a, 1000, 50 * S, 0), 0);
    int b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say(b, 990, 50 * S + 999 * MS, 0), -K4_CAUSE_BEHIND); /* less than a second proves nothing */
    int c = k4_arbiter_join(&arbiter, 2);
    EQUAL(say(c, 3, 52 * S, 0), K4_FLAG_RESET);
    EQUAL(say(b, 991, 50 * S + 999 * MS, 0), -K4_CAUSE_EPOCH);
    /* the old connection comes to the reset: one epoch, not two */
    EQUAL(say(a, 1001, 50 * S + 1, 0), -K4_CAUSE_EPOCH);
    EQUAL(say(a, 3, 52 * S, 0), -K4_CAUSE_DUPLICATE);
    EQUAL(say(a, 4, 52 * S, 0), 0);
    k4_arbiter_fini(&arbiter);
}

/* Ids begin anew above the first one that was published: as little is known of that connection as of one that begins there. */
static void state_that_falls_within_its_count(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 10), 0);
    EQUAL(say_id(b, 10), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 1000), 0);
    EQUAL(say_id(a, 500), -K4_CAUSE_BEHIND);
    EQUAL(say_id(a, 1001), 0); /* it was one out of order */
    now += 5 * S;
    EQUAL(say_id(b, 1001), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 20), -K4_CAUSE_BEHIND);
    now += 500 * MS;
    EQUAL(say_id(a, 21), -K4_CAUSE_BEHIND);
    EQUAL(say_id(b, 1002), 0); /* the old ids go on elsewhere */
    EQUAL(say_id(b, 22), -K4_CAUSE_BEHIND);
    now += 999 * MS;
    EQUAL(say_id(a, 23), -K4_CAUSE_BEHIND);
    EQUAL(say_id(b, 24), -K4_CAUSE_BEHIND);
    now += 1 * MS;
    EQUAL(say_id(a, 22), -K4_CAUSE_BEHIND); /* ids must rise */
    EQUAL(say_id(a, 24), K4_FLAG_RESET);
    EQUAL(say_id(b, 25), 0);
    k4_arbiter_fini(&arbiter);
}

/* Where engine times tell, nobody waits; and a lower id than the first one published is a new beginning at once. */
static void state_that_falls_and_tells_why(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say(a, 10, 50 * S, 0), 0);
    EQUAL(say(a, 1000, 60 * S, 0), 0);
    EQUAL(say(a, 500, 60 * S + 999 * MS, 0), -K4_CAUSE_BEHIND);
    EQUAL(say(a, 1001, 61 * S, 0), 0);
    EQUAL(say(a, 500, 62 * S, 0), K4_FLAG_RESET);
    EQUAL(say(a, 600, 62 * S, 0), 0);
    EQUAL(say(a, 501, 62 * S, 0), -K4_CAUSE_BEHIND);
    EQUAL(say(a, 500, 62 * S, 0), K4_FLAG_RESET); /* with the very first one it begins again */
    k4_arbiter_fini(&arbiter);
}

/* The newer epoch has begun at one connection; what its sibling still has of the older one comes out of order. */
static void state_out_of_order_before_a_reset(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 1000), 0);
    EQUAL(say_id(b, 1000), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(b, 1002), 0);
    EQUAL(say_id(a, 1), K4_FLAG_RESET);
    EQUAL(say_id(b, 1004), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 1003), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 1), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(b, 2), 0);
    k4_arbiter_fini(&arbiter);
}

static void state_while_others_live(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    /* b is 50 updates behind for minutes; that is no new epoch as long as a goes on */
    for (int i = 0; i < 1000; i++) {
        EQUAL(say_id(a, 1000 + i), 0);
        if (i >= 50)
            EQUAL(say_id(b, 1000 + i - 50), -K4_CAUSE_BEHIND);
        now += 200 * MS;
    }
    k4_arbiter_leave(&arbiter, a);
    for (int i = 950; i < 999; i++)
        EQUAL(say_id(b, 1000 + i), -K4_CAUSE_BEHIND);
    EQUAL(say_id(b, 1999), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(b, 2000), 0);
    k4_arbiter_fini(&arbiter);
}

static void state_by_signal(void)
{
    start(K4_RULE_STEPPING);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say(a, 7, NO_TIME, K4_FLAG_RESET), K4_FLAG_RESET);
    EQUAL(say(b, 7, NO_TIME, K4_FLAG_RESET), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 8), 0);
    EQUAL(say_id(a, 10), K4_FLAG_GAP);
    /* the venue starts at 12 although that is higher: no gap, an epoch */
    EQUAL(say(a, 12, NO_TIME, K4_FLAG_RESET), K4_FLAG_RESET);
    EQUAL(say_id(b, 11), -K4_CAUSE_EPOCH);
    EQUAL(say(b, 12, NO_TIME, K4_FLAG_RESET), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(b, 13), 0);
    /* sent again on purpose: no epoch */
    EQUAL(say(b, 12, NO_TIME, K4_FLAG_BACKFILL), -K4_CAUSE_BEHIND);
    EQUAL(say_id(b, 14), 0);
    k4_arbiter_fini(&arbiter);
}

static void events_by_silence(void)
{
    start(K4_RULE_CONTIGUOUS);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 500), 0);
    EQUAL(say_id(a, 503), K4_FLAG_GAP);
    EQUAL(say_id(b, 501), K4_FLAG_LATE);
    EQUAL(say_id(b, 499), -K4_CAUSE_UNDER);
    now += 1 * S;
    EQUAL(say_id(a, 1), -K4_CAUSE_UNDER); /* the venue starts anew */
    now += 500 * MS;
    EQUAL(say_id(a, 2), -K4_CAUSE_UNDER);
    now += 500 * MS;
    EQUAL(say_id(a, 3), K4_FLAG_RESET);
    EQUAL(say_id(a, 4), 0);
    EQUAL(say_id(b, 502), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 4), -K4_CAUSE_DUPLICATE); /* its ids fell into ours */
    EQUAL(say_id(b, 5), 0);
    k4_arbiter_fini(&arbiter);
}

/* A venue that begins at 1 again while our set begins at 1, too: only the engine time can tell. */
/* Ids that fall below all that is known do not show that their connection has come to the reset which others saw. */
static void events_that_fall_below_the_floor(void)
{
    start(K4_RULE_WINDOW);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 1000), 0);
    EQUAL(say_id(b, 1000), -K4_CAUSE_DUPLICATE);
    EQUAL(say(a, 500, NO_TIME, K4_FLAG_RESET), K4_FLAG_RESET);
    EQUAL(say_id(a, 503), 0);
    EQUAL(say_id(b, 1001), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 499), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 1002), -K4_CAUSE_EPOCH);
    EQUAL(say_id(b, 501), K4_FLAG_LATE); /* into the new range: it has come there */
    EQUAL(say_id(b, 504), 0);
    k4_arbiter_fini(&arbiter);
}

static void events_by_engine_time(void)
{
    start(K4_RULE_WINDOW);
    int a = k4_arbiter_join(&arbiter, 0);
    for (int i = 1; i <= 10; i++)
        EQUAL(say(a, i, 100 * S + i, 0), 0);
    EQUAL(say(a, 10, 100 * S + 10 + 999 * MS, 0), -K4_CAUSE_DUPLICATE);
    EQUAL(say(a, 1, 103 * S, 0), K4_FLAG_RESET);
    EQUAL(say(a, 2, 103 * S, 0), 0);
    k4_arbiter_fini(&arbiter);
}

static void leaders(void)
{
    start(K4_RULE_LEADER);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 1), 0);
    EQUAL(say_id(b, 1), -K4_CAUSE_STANDBY);
    EQUAL(say_id(a, 2), 0);
    now += 30 * S; /* a quiet instrument is no silence */
    EQUAL(say_id(b, 2), -K4_CAUSE_STANDBY);
    EQUAL(say_id(a, 2), 0);
    EQUAL(say_id(b, 2), -K4_CAUSE_STANDBY); /* a copy */
    now += 250 * MS;
    EQUAL(say_id(b, 3), -K4_CAUSE_STANDBY);
    now += 999 * MS;
    EQUAL(say_id(b, 4), -K4_CAUSE_STANDBY);
    now += 1 * MS;
    EQUAL(say_id(b, 5), K4_FLAG_SWITCH);
    EQUAL(say_id(a, 4), -K4_CAUSE_STANDBY);
    k4_arbiter_leave(&arbiter, b);
    EQUAL(say_id(a, 5), K4_FLAG_SWITCH);
    EQUAL(say_id(a, 6), 0);
    k4_arbiter_renew(&arbiter, a);
    EQUAL(say_id(a, 7), K4_FLAG_SWITCH);
    k4_arbiter_fini(&arbiter);
}

/* A record without the optional id of its stream cannot be compared: one connection brings those. */
static void missing_ids(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
    EQUAL(say_id(a, 1), 0);
    EQUAL(say_id(a, K4_ABSENT), 0);
    EQUAL(say_id(b, K4_ABSENT), -K4_CAUSE_STANDBY);
    EQUAL(say_id(b, 2), 0);
    EQUAL(say_id(a, K4_ABSENT), 0);
    k4_arbiter_fini(&arbiter);
}

static void takeover(void)
{
    start(K4_RULE_WINDOW);
    /* The ring begins in the middle of history: a late id, then what came in order. */
    k4_arbiter_seed(&arbiter, 0, 90, NO_TIME, K4_FLAG_LATE);
    k4_arbiter_seed(&arbiter, 0, 101, NO_TIME, 0);
    k4_arbiter_seed(&arbiter, 0, 104, NO_TIME, 0);
    k4_arbiter_seed(&arbiter, 0, 102, NO_TIME, K4_FLAG_LATE);
    int a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say_id(a, 95), -K4_CAUSE_UNDER); /* may have been published before the ring begins */
    EQUAL(say_id(a, 101), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 102), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 103), K4_FLAG_LATE);
    EQUAL(say_id(a, 104), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 105), 0);
    k4_arbiter_fini(&arbiter);

    start(K4_RULE_STEPPING);
    k4_arbiter_seed(&arbiter, 0, 50, NO_TIME, K4_FLAG_RESET);
    k4_arbiter_seed(&arbiter, 0, 51, NO_TIME, 0);
    a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say(a, 50, NO_TIME, K4_FLAG_RESET), -K4_CAUSE_BEHIND); /* the reset that was published */
    EQUAL(say_id(a, 51), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 54), K4_FLAG_GAP); /* what was missed while nobody wrote */
    k4_arbiter_fini(&arbiter);

    start(K4_RULE_CONTIGUOUS);
    k4_arbiter_seed(&arbiter, 0, 100, NO_TIME, 0);
    k4_arbiter_seed(&arbiter, 0, 5, NO_TIME, K4_FLAG_RESET); /* ids began anew */
    k4_arbiter_seed(&arbiter, 0, 7, NO_TIME, K4_FLAG_GAP);
    k4_arbiter_seed(&arbiter, 0, 6, NO_TIME, K4_FLAG_LATE);
    a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say_id(a, 5), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 6), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 8), 0); /* behind 7, not behind the late 6 or the old 100 */
    EQUAL(say_id(a, 100), K4_FLAG_GAP);
    k4_arbiter_fini(&arbiter);

    CHECK(k4_arbiter_init(&arbiter, 2, 16, false) == 0); /* that a set will be wanted is known after the seeds */
    k4_arbiter_seed(&arbiter, 0, 50, NO_TIME, 0);
    k4_arbiter_seed(&arbiter, 0, 51, NO_TIME, 0);
    CHECK(k4_arbiter_rule(&arbiter, 0, K4_RULE_WINDOW) == 0);
    CHECK(k4_arbiter_rule(&arbiter, 1, K4_RULE_WINDOW) == 0);
    a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say_id(a, 50), -K4_CAUSE_UNDER);
    EQUAL(say_id(a, 51), -K4_CAUSE_DUPLICATE);
    EQUAL(say_id(a, 52), 0);
    CHECK(k4_arbitrate(&arbiter, a, 1, 1, NO_TIME, 0, now).publish); /* nothing was seeded there */
    k4_arbiter_fini(&arbiter);

    start(K4_RULE_WINDOW);
    k4_arbiter_seed(&arbiter, 0, 77, NO_TIME, K4_FLAG_HASHED_ID);
    a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say(a, 77, NO_TIME, K4_FLAG_HASHED_ID), -K4_CAUSE_DUPLICATE);
    EQUAL(say(a, 76, NO_TIME, K4_FLAG_HASHED_ID), 0);
    EQUAL(say(a, 75, NO_TIME, K4_FLAG_HASHED_ID | K4_FLAG_RESET), K4_FLAG_RESET); /* the venue's own word is passed on */
    k4_arbiter_fini(&arbiter);
}

/* A connection's first record says RESET: with the id that began this epoch it is the one that we know, but for a time that is another's. */
static void resets_that_look_alike(void)
{
    static const struct {
        int64_t id, engine_ns;
        int what;
    } cases[] = {
        {7, 20 * S, -K4_CAUSE_DUPLICATE},
        {7, 21 * S - 1, -K4_CAUSE_DUPLICATE},
        {7, NO_TIME, -K4_CAUSE_DUPLICATE},
        {7, 21 * S, K4_FLAG_RESET},
        {7, 19 * S, K4_FLAG_RESET},
        {8, 20 * S, K4_FLAG_RESET},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(K4_RULE_INCREASING);
        int a = k4_arbiter_join(&arbiter, 0), b = k4_arbiter_join(&arbiter, 1);
        EQUAL(say(a, 100, 10 * S, 0), 0);
        EQUAL(say(a, 7, 20 * S, K4_FLAG_RESET), K4_FLAG_RESET);
        EQUAL(say(b, cases[i].id, cases[i].engine_ns, K4_FLAG_RESET), cases[i].what);
        k4_arbiter_fini(&arbiter);
    }
}

/* The same ids of the epoch before are other updates: nobody is behind those. */
static void lag_is_of_the_present_epoch(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 10), b = k4_arbiter_join(&arbiter, 11);
    EQUAL(say_id(a, 4), 0);
    EQUAL(say_id(a, 7), 0);
    now += 2 * S;
    EQUAL(say_id(a, 8), 0); /* the first one is kept for siblings far behind */
    now += MS;
    struct k4_verdict v = k4_arbitrate(&arbiter, b, 0, 4, NO_TIME, 0, now);
    EQUAL(v.lag_ns, 2 * S + MS);
    EQUAL(say(a, 2, NO_TIME, K4_FLAG_RESET), K4_FLAG_RESET);
    EQUAL(say_id(a, 9), 0);
    now += MS;
    v = k4_arbitrate(&arbiter, b, 0, 2, NO_TIME, K4_FLAG_RESET, now);
    EQUAL(v.cause, K4_CAUSE_BEHIND);
    EQUAL(v.lag_ns, MS);
    for (int64_t id = 4; id < 9; id++) {
        v = k4_arbitrate(&arbiter, b, 0, id, NO_TIME, 0, now);
        EQUAL(v.cause, K4_CAUSE_BEHIND);
        EQUAL(v.lag_ns, -1);
    }
    k4_arbiter_fini(&arbiter);
}

/* Who is behind by more than four updates is measured by one of them a second. */
static void lag_of_who_is_far_behind(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 10), b = k4_arbiter_join(&arbiter, 11), c = k4_arbiter_join(&arbiter, 12);
    unsigned measured = 0, leads = 0;
    for (int i = 0; i < 2400; i++) { /* a thousand a second; b is 20 ms behind, c 500 ms */
        EQUAL(say_id(a, 4000 + i), 0);
        const struct {
            int conn, behind;
        } late[] = {{b, 20}, {c, 500}};
        for (int n = 0; n < 2; n++) {
            if (i < late[n].behind)
                continue;
            struct k4_verdict v = k4_arbitrate(&arbiter, late[n].conn, 0, 4000 + i - late[n].behind, NO_TIME, 0, now);
            if (v.lag_ns < 0)
                continue;
            EQUAL(v.lag_ns, late[n].behind * MS);
            EQUAL(v.winner, 10);
            EQUAL(v.runner_up, n == 0);
            measured += n == 0 ? 1 : 100;
            leads += v.runner_up;
        }
        now += 1 * MS;
    }
    /* 4000, 4996 and 5992 were kept when 4004, 5000 and 5996 took their places; c has not come to the last one */
    EQUAL(measured, 203);
    EQUAL(leads, 3);
    EQUAL(sizeof(struct k4_arbiter_instrument), 256);
    k4_arbiter_fini(&arbiter);
}

static void lead_and_lag(void)
{
    start(K4_RULE_INCREASING);
    int a = k4_arbiter_join(&arbiter, 10), b = k4_arbiter_join(&arbiter, 11), c = k4_arbiter_join(&arbiter, 12);
    EQUAL(say_id(a, 1), 0);
    now += 3 * MS;
    struct k4_verdict v = k4_arbitrate(&arbiter, b, 0, 1, NO_TIME, 0, now);
    CHECK(!v.publish && v.lag_ns == 3 * MS && v.winner == 10 && v.runner_up);
    EQUAL(say_id(b, 2), 0);
    now += 4 * MS;
    v = k4_arbitrate(&arbiter, c, 0, 1, NO_TIME, 0, now);
    CHECK(!v.publish && v.lag_ns == 7 * MS && v.winner == 10 && !v.runner_up);
    v = k4_arbitrate(&arbiter, c, 0, 2, NO_TIME, 0, now);
    CHECK(!v.publish && v.lag_ns == 4 * MS && v.winner == 11 && v.runner_up);
    v = k4_arbitrate(&arbiter, c, 0, 0, NO_TIME, 0, now);
    EQUAL(v.lag_ns, -1);
    k4_arbiter_fini(&arbiter);
}

static void growth(void)
{
    start(K4_RULE_WINDOW);
    int a = k4_arbiter_join(&arbiter, 0);
    EQUAL(say_id(a, 5), 0);
    CHECK(k4_arbiter_reserve(&arbiter, 5000) == 0);
    EQUAL(say_id(a, 5), -K4_CAUSE_DUPLICATE);
    EQUAL(k4_arbitrate(&arbiter, a, 4999, 5, NO_TIME, 0, now).cause, K4_CAUSE_UNSET);
    CHECK(k4_arbiter_rule(&arbiter, 4998, K4_RULE_INCREASING) == 0);
    CHECK(k4_arbitrate(&arbiter, a, 4998, 5, NO_TIME, K4_FLAG_HASHED_ID, now).publish);
    CHECK(!k4_arbitrate(&arbiter, a, 4998, 5, NO_TIME, K4_FLAG_HASHED_ID, now).publish);
    CHECK(k4_arbiter_rule(&arbiter, 4999, K4_RULE_CONTIGUOUS) == 0);
    CHECK(k4_arbitrate(&arbiter, a, 4999, 5, NO_TIME, 0, now).publish);
    CHECK(!k4_arbitrate(&arbiter, a, 4999, 5, NO_TIME, 0, now).publish);
    EQUAL(say_id(a, 6), 0);
    for (int i = 1; i < K4_ARBITER_CONNECTIONS; i++)
        CHECK(k4_arbiter_join(&arbiter, 0) >= 0);
    EQUAL(k4_arbiter_join(&arbiter, 0), -2);
    k4_arbiter_leave(&arbiter, a);
    EQUAL(k4_arbiter_join(&arbiter, 0), a);
    k4_arbiter_fini(&arbiter);
}

/* The arbiter without the short road of the usual arrival. */
static struct k4_verdict by_rule(struct k4_arbiter *twin, int conn, int64_t id, int64_t engine_ns, unsigned flags)
{
    struct k4_arbiter_instrument *in = k4_arbiter_instrument_at(twin, 0);
    const struct k4_arrival a = {.conn = conn, .id = id, .engine_ns = engine_ns, .now_ns = now, .seen = k4_arbiter_seen_at(twin, conn, 0),
                                 .flags = (uint16_t)flags};
    return in->rule == K4_RULE_INCREASING ? k4_rule_state(twin, in, &a) : k4_rule_event(twin, in, &a);
}

/* Three connections, each some ids behind the one before, that lose some, are dialled anew, fall back, and meet resets. */
static void usual_arrivals_like_their_rules(void)
{
    static const enum k4_rule rules[] = {K4_RULE_INCREASING, K4_RULE_WINDOW, K4_RULE_CONTIGUOUS};
    uint64_t random_state = 11;
    for (unsigned round = 0; round < 900; round++) {
        struct k4_arbiter twin;
        const enum k4_rule rule = rules[round % 3];
        int64_t at[3] = {1000, 997, 990};
        start(rule);
        CHECK(k4_arbiter_init(&twin, 2, 16, rule != K4_RULE_INCREASING) == 0);
        CHECK(k4_arbiter_rule(&twin, 0, rule) == 0);
        for (int i = 0; i < 3; i++)
            EQUAL(k4_arbiter_join(&twin, (uint16_t)(10 + i)), k4_arbiter_join(&arbiter, (uint16_t)(10 + i)));
        for (int i = 0; i < 200; i++) {
            random_state = random_state * UINT64_C(6364136223846793005) + 1;
            const unsigned dice = (unsigned)(random_state >> 56), more = (unsigned)(random_state >> 48) & 0xff;
            const int conn = (int)(random_state >> 40 & 0xff) % 3;
            unsigned flags = 0;
            now += dice < 4 ? 3 * S / 2 : more < 3 ? 11 * S : (int64_t)more * MS;
            if (dice < 6) { /* another link */
                k4_arbiter_renew(&arbiter, conn);
                k4_arbiter_renew(&twin, conn);
            } else if (dice < 12) {
                at[conn] -= more % 16;
            } else if (dice < 16) {
                at[conn] = 1;
                flags = K4_FLAG_RESET;
            } else if (dice < 20) {
                flags = K4_FLAG_BACKFILL;
            } else if (dice < 23) {
                at[conn] += 10 + more;
            }
            const int64_t engine_ns = more % 4 == 0 ? NO_TIME : round % 2 == 0 ? now : now - more * MS * 8;
            const int64_t id = at[conn]++;
            const struct k4_verdict v = k4_arbitrate(&arbiter, conn, 0, id, engine_ns, (uint16_t)flags, now);
            const struct k4_verdict w = by_rule(&twin, conn, id, engine_ns, flags);
            EQUAL(v.publish, w.publish);
            EQUAL(v.flags, w.flags);
            EQUAL(v.cause, w.cause);
            EQUAL(v.gap, w.gap);
            EQUAL(v.lag_ns, w.lag_ns);
            EQUAL(v.winner, w.winner);
            EQUAL(v.runner_up, w.runner_up);
            if (check_failures != 0)
                return;
        }
        k4_arbiter_fini(&twin);
        k4_arbiter_fini(&arbiter);
    }
}

/* A set of ids, by plain search. */
static void idset_like_its_twin(void)
{
    enum { MASK = 31 };
    uint64_t random_state = 7;
    for (int round = 0; round < 400; round++) {
        int64_t ring[MASK + 1], twin[MASK + 1], floor = 0;
        struct k4_idset set = {0};
        int count = 0;
        int64_t at = round % 3 == 0 ? INT64_MIN + 1000 : round % 3 == 1 ? 0 : INT64_MAX - 400;
        for (int i = 0; i < 300; i++) {
            random_state = random_state * UINT64_C(6364136223846793005) + 1;
            int64_t id = at + i + (int64_t)(random_state >> 59) - 16 + ((random_state & 0xff0000) == 0 ? 60 : 0);
            int smaller = 0, equal = 0;
            for (int k = 0; k < count; k++) {
                smaller += twin[k] < id;
                equal += twin[k] == id;
            }
            enum k4_idset_result expect = count == 0         ? K4_IDSET_TOP
                                          : id <= floor      ? K4_IDSET_UNDER
                                          : equal != 0       ? K4_IDSET_DUPLICATE
                                          : smaller == count ? K4_IDSET_TOP
                                                             : K4_IDSET_LATE;
            EQUAL(k4_idset_add(&set, ring, MASK, id), expect);
            if (count == 0)
                floor = id - 1;
            if (expect != K4_IDSET_TOP && expect != K4_IDSET_LATE)
                continue;
            if (count > MASK) {
                if (smaller == 0) {
                    floor = id;
                    continue;
                }
                floor = twin[0];
                memmove(twin, twin + 1, MASK * sizeof *twin);
                smaller--;
                count--;
            }
            memmove(twin + smaller + 1, twin + smaller, (size_t)(count - smaller) * sizeof *twin);
            twin[smaller] = id;
            count++;
            EQUAL(set.floor, floor);
            EQUAL(set.count, count);
            EQUAL(set.top, twin[count - 1]);
        }
    }
}

/* A set of hashes, by plain search over the last ones. */
static void hashset_like_its_twin(void)
{
    enum { MASK = 31 };
    static uint64_t memory[K4_HASHSET_BYTES(MASK) / 8];
    struct k4_hashset set = {0};
    int64_t twin[MASK + 1];
    uint64_t random_state = 9;
    int count = 0, oldest = 0;
    for (int i = 0; i < 20000; i++) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1;
        int64_t id = (int64_t)(random_state >> 58) * (i < 10000 ? 1 : INT64_C(0x123456789abcd));
        int found = 0;
        for (int k = 0; k < count; k++)
            found += twin[k] == id;
        EQUAL(k4_hashset_add(&set, memory, MASK, id), !found);
        if (found)
            continue;
        if (count <= MASK)
            twin[count++] = id;
        else
            twin[oldest++ & MASK] = id;
    }
}

int main(void)
{
    state_by_silence();
    state_by_engine_time();
    state_that_falls_within_its_count();
    state_that_falls_and_tells_why();
    state_out_of_order_before_a_reset();
    state_while_others_live();
    state_by_signal();
    events_by_silence();
    events_that_fall_below_the_floor();
    events_by_engine_time();
    leaders();
    missing_ids();
    takeover();
    lead_and_lag();
    resets_that_look_alike();
    lag_is_of_the_present_epoch();
    lag_of_who_is_far_behind();
    growth();
    usual_arrivals_like_their_rules();
    idset_like_its_twin();
    hashset_like_its_twin();
    return check_failures != 0;
}
