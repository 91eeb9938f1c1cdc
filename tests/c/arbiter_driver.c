/* Gives Python the arbiter as plain functions. */
#include <stdlib.h>

#include "k4_arbiter.h"

struct k4_arbiter *driver_open(uint32_t capacity, uint32_t window, int events)
{
    struct k4_arbiter *arbiter = malloc(sizeof *arbiter);
    if (arbiter == NULL || k4_arbiter_init(arbiter, capacity, window, events != 0) != 0)
        abort();
    return arbiter;
}

void driver_close(struct k4_arbiter *arbiter)
{
    k4_arbiter_fini(arbiter);
    free(arbiter);
}

void driver_decide(struct k4_arbiter *arbiter, int conn, uint32_t instrument, int64_t id, int64_t engine_ns, unsigned flags, int64_t now_ns,
                   struct k4_verdict *out)
{
    *out = k4_arbitrate(arbiter, conn, instrument, id, engine_ns, (uint16_t)flags, now_ns);
}
