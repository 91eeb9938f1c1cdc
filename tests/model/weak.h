/* A weak memory for C code that uses the compilers' __atomic builtins, and a search through everything it can do.
 *
 * Included in front of that code, this header redefines the builtins, so that the very text that is shipped is run: no model of it has to
 * be believed. Threads are coroutines; whenever the memory may answer in several ways (which of the stored values a load gets, which
 * thread goes on, where a writer is killed), weak_explore tries all of them, one execution each, by depth-first replay.
 *
 * The memory is C11's for relaxed, acquire, release and full (seq_cst) fences, as views: every place keeps all values ever stored, oldest
 * first; a thread's view says below which of them it cannot read any more. A release store hands its thread's view to who acquires the
 * value, fences do it for the relaxed accesses around them, and full fences are in one order that all views follow. Three things differ
 * from C11, none of which K4's code can notice: the values of a place are ordered as they were executed (all places have one writer, but for the
 * sleepers' count, which is only ever changed by read-modify-write), a load never gets a value that is stored later (no reader stores what
 * a writer's load decides on), and a seq_cst access is an acquire or release one between two full fences (rather stronger, and used only
 * beside system calls).
 *
 * A futex is a queue under a lock, as in the kernel: who waits looks at the word under the lock and is queued or sent away, who wakes
 * takes the queue. Nobody is woken by time: a thread that sleeps when all others ended is a lost wake-up.
 */
#ifndef WEAK_H
#define WEAK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { WEAK_PLACES = 48, WEAK_VALUES = 48, WEAK_THREADS = 4, WEAK_DEPTH = 4096, WEAK_EVENTS = 512, WEAK_STACK = 64 * 1024, WEAK_HASH = 256, WEAK_LOADS = 1000 };

struct weak_view {
    uint8_t at[WEAK_PLACES];
};

struct weak_value {
    uint64_t value;
    struct weak_view view; /* what its reader learns by acquiring it */
};

struct weak_place {
    const void *address;
    int count;
    struct weak_value values[WEAK_VALUES];
};

enum { WEAK_RUNS, WEAK_SLEEPS, WEAK_ENDED, WEAK_KILLED };

struct weak_thread {
    jmp_buf start; /* at the beginning of its function */
    jmp_buf at;    /* where it left off */
    bool made;
    struct weak_view now;     /* what it has seen */
    struct weak_view pending; /* what an acquire fence would add: views of values read relaxed */
    struct weak_view given;   /* what its relaxed stores hand over: its view at the last release fence */
    bool loaded; /* its last step was a load */
    int state;
    const void *asleep_on;
    char stack[WEAK_STACK];
};

struct weak_program {
    const char *name;
    void (*setup)(void);
    void (*threads[WEAK_THREADS])(void);
    int count;
    bool in_turn;      /* each thread starts when the one before it ended: complete where no thread reads what a later one stores */
    bool yield_stores; /* places have several writers: their order is tried as well */
    int stale;         /* loads of an execution that may get old values; those after them get the newest, so that retries end */
    void (*end)(void); /* after all threads, with everything seen */
};

struct weak_event {
    int8_t thread;
    char what;
    int16_t place;
    int16_t index;
    uint64_t value;
};

static struct {
    struct weak_place places[WEAK_PLACES];
    int place_count;
    uint8_t hash[WEAK_HASH];
    struct weak_thread threads[WEAK_THREADS + 1];
    int running; /* WEAK_THREADS: setup and end, outside of all threads */
    jmp_buf scheduler;
    struct weak_view fences; /* what the full fences so far have seen */
    struct weak_view queue;  /* what the futex queue's lock hands on */
    struct {
        uint16_t picked, count;
    } choices[WEAK_DEPTH];
    int depth, recorded;
    int loads;
    bool given_up;
    int mortal; /* the thread that may be killed before any of its stores, -1: none */
    struct weak_event events[WEAK_EVENTS];
    int event_count;
    const struct weak_program *program;
    unsigned long long executions, given_up_count;
    char failure[512];
    struct {
        const void *address;
        char name[32];
    } names[WEAK_PLACES];
    int name_count;
} weak = {.mortal = -1};

/* ---------------------------------------------------------------- choosing */

/* One of 0 .. count-1; every one of them is tried. */
static int weak_choose(int count)
{
    if (count <= 1)
        return 0;
    if (weak.depth == WEAK_DEPTH) {
        fprintf(stderr, "%s: an execution is longer than this search can hold\n", weak.program->name);
        exit(2);
    }
    if (weak.depth == weak.recorded) {
        weak.choices[weak.recorded].picked = 0;
        weak.choices[weak.recorded].count = (uint16_t)count;
        weak.recorded++;
    } else if (weak.choices[weak.depth].count != count) {
        fprintf(stderr, "%s: it does not do the same thing twice\n", weak.program->name);
        exit(2);
    }
    return weak.choices[weak.depth++].picked;
}

/* Onwards to the next execution; false: all were tried. */
static bool weak_next(void)
{
    while (weak.recorded > 0 && weak.choices[weak.recorded - 1].picked + 1 == weak.choices[weak.recorded - 1].count)
        weak.recorded--;
    if (weak.recorded == 0)
        return false;
    weak.choices[weak.recorded - 1].picked++;
    return true;
}

/* ---------------------------------------------------------------- views, places, events */

static void weak_join(struct weak_view *into, const struct weak_view *from)
{
    for (int i = 0; i < WEAK_PLACES; i++)
        into->at[i] = into->at[i] > from->at[i] ? into->at[i] : from->at[i];
}

static uint64_t weak_raw(const void *address, size_t size)
{
    uint64_t wide;
    uint32_t narrow;
    if (size == 8) {
        memcpy(&wide, address, 8);
        return wide;
    }
    memcpy(&narrow, address, 4);
    return narrow;
}

static int weak_place(const void *address, size_t size)
{
    unsigned slot = (unsigned)((uintptr_t)address >> 2) * 37u % WEAK_HASH;
    for (; weak.hash[slot] != 0; slot = (slot + 1) % WEAK_HASH)
        if (weak.places[weak.hash[slot] - 1].address == address)
            return weak.hash[slot] - 1;
    if (weak.place_count == WEAK_PLACES) {
        fprintf(stderr, "%s: more places than this search can hold\n", weak.program->name);
        exit(2);
    }
    struct weak_place *place = &weak.places[weak.place_count];
    place->address = address;
    place->count = 1;
    place->values[0].value = weak_raw(address, size);
    memset(&place->values[0].view, 0, sizeof place->values[0].view);
    weak.hash[slot] = (uint8_t)++weak.place_count;
    return weak.place_count - 1;
}

static void weak_log(char what, int place, int index, uint64_t value)
{
    struct weak_event *event = &weak.events[weak.event_count % WEAK_EVENTS];
    *event = (struct weak_event){(int8_t)weak.running, what, (int16_t)place, (int16_t)index, value};
    weak.event_count++;
}

static inline void weak_name(const void *address, const char *format, int i, int j)
{
    if (weak.name_count == WEAK_PLACES)
        return;
    weak.names[weak.name_count].address = address;
    (void)snprintf(weak.names[weak.name_count].name, sizeof weak.names->name, format, i, j);
    weak.name_count++;
}

/* ---------------------------------------------------------------- threads */

/* Jumps between stacks, without the system calls that swapcontext makes. */
static void weak_leave(void)
{
    if (_setjmp(weak.threads[weak.running].at) == 0)
        _longjmp(weak.scheduler, 1);
}

static __attribute__((noinline)) void weak_resume(int thread)
{
    weak.running = thread;
    if (_setjmp(weak.scheduler) == 0)
        _longjmp(weak.threads[thread].at, 1);
}

/* A point at which another thread may go on: before a load or anything stronger. Not where the thread's last step was a load: that could as
 * well have been made now, with the same value, which is then an old one. Nor before a store: made early it gives others more to
 * read and takes nothing, as long as its place has no other writer (yield_stores). */
static void weak_yield(bool is_load)
{
    if (weak.running == WEAK_THREADS || weak.program->in_turn)
        return;
    if (!weak.threads[weak.running].loaded || weak.program->yield_stores)
        weak_leave();
    weak.threads[weak.running].loaded = is_load;
}

static void weak_give_up(void)
{
    weak.given_up = true;
    if (weak.running < WEAK_THREADS)
        weak_leave();
}

/* The calling thread has seen all that was stored so far, as one that was started, or got a lock, after it. */
static inline void weak_synchronise(void)
{
    struct weak_thread *me = &weak.threads[weak.running];
    for (int i = 0; i < weak.place_count; i++)
        me->now.at[i] = (uint8_t)(weak.places[i].count - 1);
    me->pending = me->now;
}

static void weak_fail(const char *format, ...)
{
    va_list args;
    if (weak.failure[0] != 0)
        return;
    va_start(args, format);
    (void)vsnprintf(weak.failure, sizeof weak.failure, format, args);
    va_end(args);
    weak_give_up();
}

/* ---------------------------------------------------------------- accesses */

static bool weak_acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool weak_releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static void weak_fence_now(int order)
{
    struct weak_thread *me = &weak.threads[weak.running];
    if (weak_acquires(order))
        me->now = me->pending;
    if (order == __ATOMIC_SEQ_CST) {
        weak_join(&me->now, &weak.fences);
        weak_join(&me->pending, &me->now);
        weak.fences = me->now;
    }
    if (weak_releases(order))
        me->given = me->now;
    weak_log('f', -1, 0, (uint64_t)order);
}

static void weak_fence(int order)
{
    if (order == __ATOMIC_SEQ_CST)
        weak_yield(false);
    weak_fence_now(order);
}

static void weak_take(int p, int index, int order)
{
    struct weak_thread *me = &weak.threads[weak.running];
    const struct weak_value *got = &weak.places[p].values[index];
    me->now.at[p] = (uint8_t)index;
    me->pending.at[p] = me->pending.at[p] > index ? me->pending.at[p] : (uint8_t)index;
    weak_join(&me->pending, &got->view);
    if (weak_acquires(order))
        weak_join(&me->now, &got->view);
}

static uint64_t weak_load(const void *address, size_t size, int order)
{
    weak_yield(true);
    if (++weak.loads > WEAK_LOADS) {
        weak_give_up(); /* a reader that retries for ever: counted */
        return 0;
    }
    if (order == __ATOMIC_SEQ_CST)
        weak_fence_now(order);
    int p = weak_place(address, size);
    int least = weak.threads[weak.running].now.at[p], newest = weak.places[p].count - 1;
    /* The newest first, so that the usual execution comes first. */
    int index = weak.loads <= weak.program->stale ? newest - weak_choose(newest - least + 1) : newest;
    weak_take(p, index, order);
    weak_log('l', p, index, weak.places[p].values[index].value);
    return weak.places[p].values[index].value;
}

static void weak_put(int p, void *address, size_t size, uint64_t value, int order, const struct weak_view *read)
{
    struct weak_thread *me = &weak.threads[weak.running];
    struct weak_place *place = &weak.places[p];
    if (place->count == WEAK_VALUES) {
        fprintf(stderr, "%s: more values than this search can hold\n", weak.program->name);
        exit(2);
    }
    int index = place->count++;
    struct weak_value *put = &place->values[index];
    put->value = value;
    me->now.at[p] = (uint8_t)index;
    me->pending.at[p] = (uint8_t)index;
    put->view = weak_releases(order) ? me->now : me->given;
    put->view.at[p] = (uint8_t)index;
    if (read)
        weak_join(&put->view, read); /* a read-modify-write carries on what the value before it handed over */
    if (size == 8)
        memcpy(address, &value, 8);
    else {
        uint32_t narrow = (uint32_t)value;
        memcpy(address, &narrow, 4);
    }
    weak_log('s', p, index, value);
}

static void weak_store(void *address, size_t size, uint64_t value, int order)
{
    if (weak.program->yield_stores)
        weak_yield(false);
    weak.threads[weak.running].loaded = false;
    if (weak.running == weak.mortal && weak_choose(2) == 1) {
        weak.threads[weak.running].state = WEAK_KILLED;
        weak_log('k', -1, 0, 0);
        weak_leave();
    }
    int p = weak_place(address, size);
    if (order == __ATOMIC_SEQ_CST)
        weak_fence_now(order);
    weak_put(p, address, size, value, order, NULL);
    if (order == __ATOMIC_SEQ_CST)
        weak_fence_now(order);
}

static uint64_t weak_change(void *address, size_t size, uint64_t operand, bool add, int order)
{
    weak_yield(false);
    int p = weak_place(address, size), last = weak.places[p].count - 1;
    if (order == __ATOMIC_SEQ_CST)
        weak_fence_now(order);
    weak_take(p, last, order);
    struct weak_value before = weak.places[p].values[last];
    weak_put(p, address, size, add ? before.value + operand : operand, order, &before.view);
    if (order == __ATOMIC_SEQ_CST)
        weak_fence_now(order);
    return before.value;
}

static inline long weak_futex(const void *address, int operation, uint64_t value)
{
    weak_yield(false);
    struct weak_thread *me = &weak.threads[weak.running];
    weak_join(&me->now, &weak.queue);
    weak_join(&me->pending, &me->now);
    if (operation == FUTEX_WAKE) {
        weak.queue = me->now;
        for (int i = 0; i < WEAK_THREADS; i++)
            if (weak.threads[i].state == WEAK_SLEEPS && weak.threads[i].asleep_on == address) {
                weak.threads[i].state = WEAK_RUNS;
                weak_join(&weak.threads[i].now, &me->now);
                weak_join(&weak.threads[i].pending, &me->now);
            }
        weak_log('w', -1, 0, 0);
        return 0;
    }
    int p = weak_place(address, 4), newest = weak.places[p].count - 1;
    int index = newest - weak_choose(newest - me->now.at[p] + 1);
    weak_take(p, index, __ATOMIC_RELAXED);
    weak.queue = me->now;
    weak_log('z', p, index, weak.places[p].values[index].value);
    if (weak.places[p].values[index].value != value)
        return -1;
    me->state = WEAK_SLEEPS;
    me->asleep_on = address;
    weak_leave();
    return 0;
}

/* ---------------------------------------------------------------- running */

static void weak_entry(int thread)
{
    struct weak_thread *me = &weak.threads[thread];
    if (_setjmp(me->start) == 0)
        _longjmp(weak.scheduler, 1);
    weak.program->threads[weak.running]();
    weak.threads[weak.running].state = WEAK_ENDED;
    _longjmp(weak.scheduler, 1);
}

/* A stack with weak_entry at its bottom, once; every execution then starts there anew. */
static __attribute__((noinline)) void weak_make(int i)
{
    static ucontext_t here, there;
    struct weak_thread *thread = &weak.threads[i];
    if (!thread->made) {
        thread->made = true;
        (void)getcontext(&there);
        there.uc_stack.ss_sp = thread->stack;
        there.uc_stack.ss_size = sizeof thread->stack;
        there.uc_link = NULL;
        makecontext(&there, (void (*)(void))weak_entry, 1, i);
        if (_setjmp(weak.scheduler) == 0)
            (void)swapcontext(&here, &there);
    }
    memcpy(&thread->at, &thread->start, sizeof thread->at);
}

static void weak_schedule(const struct weak_program *program)
{
    while (!weak.given_up) {
        int runnable[WEAK_THREADS], count = 0, asleep = 0;
        for (int i = 0; i < program->count; i++) {
            asleep += weak.threads[i].state == WEAK_SLEEPS;
            if (weak.threads[i].state == WEAK_RUNS)
                runnable[count++] = i;
        }
        if (count == 0 && asleep != 0) {
            weak.running = WEAK_THREADS;
            weak_fail("a reader sleeps and nobody will wake it");
        }
        if (count == 0)
            return;
        weak_resume(runnable[program->in_turn ? 0 : weak_choose(count)]);
    }
}

static void weak_run_once(const struct weak_program *program)
{
    weak.place_count = weak.depth = weak.loads = weak.event_count = 0;
    weak.given_up = false;
    weak.mortal = -1;
    memset(weak.hash, 0, sizeof weak.hash);
    memset(&weak.fences, 0, sizeof weak.fences);
    memset(&weak.queue, 0, sizeof weak.queue);
    for (int i = 0; i <= WEAK_THREADS; i++) {
        struct weak_thread *thread = &weak.threads[i];
        memset(&thread->now, 0, sizeof thread->now);
        memset(&thread->pending, 0, sizeof thread->pending);
        memset(&thread->given, 0, sizeof thread->given);
        thread->state = WEAK_RUNS;
        thread->loaded = false;
    }
    weak.running = WEAK_THREADS;
    if (program->setup)
        program->setup();
    for (int i = 0; i < program->count; i++)
        weak_make(i);
    weak_schedule(program);
    if (!weak.given_up && program->end) {
        weak.running = WEAK_THREADS;
        weak_synchronise();
        program->end();
    }
    weak.executions++;
    weak.given_up_count += weak.given_up && weak.failure[0] == 0;
}

static const char *weak_name_of(int place)
{
    static char text[32];
    for (int i = 0; place >= 0 && i < weak.name_count; i++)
        if (weak.names[i].address == weak.places[place].address)
            return weak.names[i].name;
    (void)snprintf(text, sizeof text, "place %d", place);
    return text;
}

static void weak_print_events(void)
{
    static const char *const words[] = {['l'] = "loads", ['s'] = "stores", ['f'] = "fence", ['k'] = "is killed", ['w'] = "wakes", ['z'] = "would sleep on"};
    int first = weak.event_count > WEAK_EVENTS ? weak.event_count - WEAK_EVENTS : 0;
    for (int i = first; i < weak.event_count; i++) {
        const struct weak_event *e = &weak.events[i % WEAK_EVENTS];
        printf("    thread %d %s", e->thread, words[(int)e->what]);
        if (e->place >= 0)
            printf(" %s: %llu (value %d of %d)", weak_name_of(e->place), (unsigned long long)e->value, e->index, weak.places[e->place].count - 1);
        printf("\n");
    }
}

/* Tries everything the program can do. 0: all of it is well; 1: something is not, which is printed with the execution that shows it. */
static int weak_explore(const struct weak_program *program)
{
    weak.program = program;
    weak.recorded = 0;
    weak.executions = weak.given_up_count = 0;
    weak.failure[0] = 0;
    do
        weak_run_once(program);
    while (weak.failure[0] == 0 && weak_next());
    if (weak.failure[0] == 0) {
        printf("ok: %s: %llu executions, all there are", program->name, weak.executions);
        printf(weak.given_up_count ? " (%llu given up as too long)\n" : "\n", weak.given_up_count);
        return 0;
    }
    printf("FAILED: %s: %s (execution %llu)\n", program->name, weak.failure, weak.executions);
    weak_print_events();
    return 1;
}

#undef syscall
#define __atomic_load_n(place, order) ((__typeof__(+*(place)))weak_load((place), sizeof *(place), (order)))
#define __atomic_store_n(place, value, order) weak_store((place), sizeof *(place), (uint64_t)(value), (order))
#define __atomic_fetch_add(place, value, order) ((__typeof__(+*(place)))weak_change((place), sizeof *(place), (uint64_t)(value), true, (order)))
#define __atomic_exchange_n(place, value, order) ((__typeof__(+*(place)))weak_change((place), sizeof *(place), (uint64_t)(value), false, (order)))
#define __atomic_thread_fence(order) weak_fence(order)
#define syscall(number, address, operation, value, ...) weak_futex((address), (operation), (uint64_t)(value))

#endif
