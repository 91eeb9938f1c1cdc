/* Is the memory of weak.h the right one? The standard litmus tests, each with exactly the outcomes that C11 allows it. Where C11 allows more
 * (a load that gets a value stored later, LB), the test says so. */
#include "weak.h"

static uint64_t x, y, z;
static int r[4];
static uint64_t seen[4]; /* bit set of outcomes, outcome = sum of r[i] << 2i */

#define RELAXED __ATOMIC_RELAXED
#define ACQUIRE __ATOMIC_ACQUIRE
#define RELEASE __ATOMIC_RELEASE
#define FULL __ATOMIC_SEQ_CST
#define LOAD(i, place, order) (r[i] = (int)__atomic_load_n(&(place), order))
#define STORE(place, value, order) __atomic_store_n(&(place), value, order)
#define FENCE(order) __atomic_thread_fence(order)

static void reset(void)
{
    x = y = z = 0;
    memset(r, 0, sizeof r);
}

static void note(void)
{
    int outcome = 0;
    for (int i = 0; i < 4; i++)
        outcome |= r[i] << 2 * i;
    seen[outcome / 64] |= UINT64_C(1) << outcome % 64;
}

/* Message passing: data, then flag. */
static void mp_w_relaxed(void) { STORE(x, 1, RELAXED); STORE(y, 1, RELAXED); }
static void mp_w_release(void) { STORE(x, 1, RELAXED); STORE(y, 1, RELEASE); }
static void mp_w_fence(void) { STORE(x, 1, RELAXED); FENCE(RELEASE); STORE(y, 1, RELAXED); }
static void mp_r_relaxed(void) { LOAD(0, y, RELAXED); LOAD(1, x, RELAXED); }
static void mp_r_acquire(void) { LOAD(0, y, ACQUIRE); LOAD(1, x, RELAXED); }
static void mp_r_fence(void) { LOAD(0, y, RELAXED); FENCE(ACQUIRE); LOAD(1, x, RELAXED); }
/* Store buffering. */
static void sb_0(void) { STORE(x, 1, RELAXED); LOAD(0, y, RELAXED); }
static void sb_1(void) { STORE(y, 1, RELAXED); LOAD(1, x, RELAXED); }
static void sb_0_ra(void) { STORE(x, 1, RELEASE); LOAD(0, y, ACQUIRE); }
static void sb_1_ra(void) { STORE(y, 1, RELEASE); LOAD(1, x, ACQUIRE); }
static void sb_0_full(void) { STORE(x, 1, RELAXED); FENCE(FULL); LOAD(0, y, RELAXED); }
static void sb_1_full(void) { STORE(y, 1, RELAXED); FENCE(FULL); LOAD(1, x, RELAXED); }
/* Load buffering. */
static void lb_0(void) { LOAD(0, x, RELAXED); STORE(y, 1, RELAXED); }
static void lb_1(void) { LOAD(1, y, RELAXED); STORE(x, 1, RELAXED); }
/* Independent reads of independent writes. */
static void iriw_x(void) { STORE(x, 1, RELEASE); }
static void iriw_y(void) { STORE(y, 1, RELEASE); }
static void iriw_xy(void) { LOAD(0, x, ACQUIRE); LOAD(1, y, ACQUIRE); }
static void iriw_yx(void) { LOAD(2, y, ACQUIRE); LOAD(3, x, ACQUIRE); }
static void iriw_xy_full(void) { LOAD(0, x, RELAXED); FENCE(FULL); LOAD(1, y, RELAXED); }
static void iriw_yx_full(void) { LOAD(2, y, RELAXED); FENCE(FULL); LOAD(3, x, RELAXED); }
/* Coherence: one place, two looks. */
static void co_w(void) { STORE(x, 1, RELAXED); STORE(x, 2, RELAXED); }
static void co_r(void) { LOAD(0, x, RELAXED); LOAD(1, x, RELAXED); }
static void co_wr(void) { STORE(x, 1, RELAXED); LOAD(0, x, RELAXED); }
static void co_w2(void) { STORE(x, 2, RELAXED); }
/* Write to read causality. */
static void wrc_0(void) { STORE(x, 1, RELAXED); }
static void wrc_1(void) { LOAD(0, x, RELAXED); STORE(y, 1, RELEASE); }
static void wrc_2(void) { LOAD(1, y, ACQUIRE); LOAD(2, x, RELAXED); }
static void wrc_1_relaxed(void) { LOAD(0, x, RELAXED); STORE(y, 1, RELAXED); }
/* Two hand-overs in a row. */
static void isa_0(void) { STORE(x, 1, RELAXED); STORE(y, 1, RELEASE); }
static void isa_1(void) { LOAD(0, y, ACQUIRE); STORE(z, 1, RELEASE); }
static void isa_2(void) { LOAD(1, z, ACQUIRE); LOAD(2, x, RELAXED); }
/* A relaxed read-modify-write carries a release on; a relaxed store of another thread does not. */
static void rs_0(void) { STORE(x, 1, RELAXED); STORE(y, 1, RELEASE); }
static void rs_1(void) { (void)__atomic_fetch_add(&y, 1, RELAXED); }
static void rs_2(void) { LOAD(0, y, ACQUIRE); LOAD(1, x, RELAXED); }
/* No two read-modify-writes get the same value. */
static void rmw_0(void) { r[0] = (int)__atomic_fetch_add(&x, 1, RELAXED); }
static void rmw_1(void) { r[1] = (int)__atomic_fetch_add(&x, 1, RELAXED); }

struct litmus {
    const char *name;
    void (*threads[WEAK_THREADS])(void);
    const char *outcomes; /* all of them: digits r0 r1 r2 r3 */
};

static const struct litmus table[] = {
    {"MP relaxed", {mp_w_relaxed, mp_r_relaxed}, "0000 0100 1000 1100"},
    {"MP release, acquire", {mp_w_release, mp_r_acquire}, "0000 0100 1100"},
    {"MP fences", {mp_w_fence, mp_r_fence}, "0000 0100 1100"},
    {"MP release, acquire fence", {mp_w_release, mp_r_fence}, "0000 0100 1100"},
    {"MP release fence, acquire", {mp_w_fence, mp_r_acquire}, "0000 0100 1100"},
    {"MP release alone", {mp_w_release, mp_r_relaxed}, "0000 0100 1000 1100"},
    {"MP acquire alone", {mp_w_relaxed, mp_r_acquire}, "0000 0100 1000 1100"},
    {"MP release fence alone", {mp_w_fence, mp_r_relaxed}, "0000 0100 1000 1100"},
    {"MP acquire fence alone", {mp_w_relaxed, mp_r_fence}, "0000 0100 1000 1100"},
    {"SB relaxed", {sb_0, sb_1}, "0000 0100 1000 1100"},
    {"SB release, acquire", {sb_0_ra, sb_1_ra}, "0000 0100 1000 1100"},
    {"SB full fences", {sb_0_full, sb_1_full}, "0100 1000 1100"},
    {"SB one full fence", {sb_0_full, sb_1}, "0000 0100 1000 1100"},
    {"LB (1100 is C11's, not this memory's)", {lb_0, lb_1}, "0000 0100 1000"},
    {"IRIW release, acquire", {iriw_x, iriw_y, iriw_xy, iriw_yx}, "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 1111"},
    {"IRIW full fences", {iriw_x, iriw_y, iriw_xy_full, iriw_yx_full}, "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111"},
    {"CoRR", {co_w, co_r}, "0000 0100 0200 1100 1200 2200"},
    {"CoWR", {co_wr, co_w2}, "1000 2000"},
    {"WRC release", {wrc_0, wrc_1, wrc_2}, "0000 0010 0100 0110 1000 1010 1110"},
    {"WRC relaxed", {wrc_0, wrc_1_relaxed, wrc_2}, "0000 0010 0100 0110 1000 1010 1100 1110"},
    {"ISA2", {isa_0, isa_1, isa_2}, "0000 0010 0100 0110 1000 1010 1110"},
    {"release sequence", {rs_0, rs_1, rs_2}, "0000 0100 1000 1100 2100"},
    {"RMW", {rmw_0, rmw_1}, "0100 1000"},
};

static void print_outcomes(char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int digits = 0; digits < 10000 && at + 6 < size; digits++) {
        int v[4] = {digits / 1000, digits / 100 % 10, digits / 10 % 10, digits % 10};
        if (v[0] > 3 || v[1] > 3 || v[2] > 3 || v[3] > 3)
            continue;
        int outcome = v[0] | v[1] << 2 | v[2] << 4 | v[3] << 6;
        if ((seen[outcome / 64] >> outcome % 64 & 1) != 0)
            at += (size_t)snprintf(out + at, size - at, "%s%04d", at ? " " : "", digits);
    }
}

int main(void)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct weak_program program = {.name = table[i].name, .setup = reset, .yield_stores = true, .stale = 100, .end = note};
        char outcomes[256];
        for (; program.count < WEAK_THREADS && table[i].threads[program.count]; program.count++)
            program.threads[program.count] = table[i].threads[program.count];
        memset(seen, 0, sizeof seen);
        bad |= weak_explore(&program);
        print_outcomes(outcomes, sizeof outcomes);
        if (strcmp(outcomes, table[i].outcomes) != 0) {
            printf("FAILED: %s: outcomes are %s, expected %s\n", table[i].name, outcomes, table[i].outcomes);
            bad = 1;
        }
    }
    return bad;
}
