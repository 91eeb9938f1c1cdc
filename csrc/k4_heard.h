/* What each connection has brought of each instrument of a lane, and what only others have: by that a stream is found that is stuck on a
 * link that lives.
 *
 *     record ─▶ its mark = 1          survey, now and then ─▶ a mark: heard now │ none, and another has published: missing since now
 *
 * A record costs two instructions and no look at a clock. Surveys have a time of their own, which goes on by K4_HEARD_STEP_NS from one to
 * the next at most: when the thread stood still, nobody was silent.
 */
#ifndef K4_HEARD_H
#define K4_HEARD_H

#include <stdint.h>

#define K4_HEARD_STEP_NS INT64_C(1000000000)

/* In the time of surveys, which begins at 1. */
struct k4_heard_times {
    int64_t heard_ns;   /* 0: never */
    int64_t missing_ns; /* since when another has published what it has not brought; 0: nobody has */
};

/* Of one connection in one lane, by instrument. All zero at first. */
struct k4_heard {
    uint8_t *marks;
    struct k4_heard_times *times;
    uint32_t capacity;
};

/* Room for `capacity` instruments. Those for which there was none before count as heard at the next survey. 0, or -1: no memory (it is as
 * before). */
__attribute__((warn_unused_result)) int k4_heard_reserve(struct k4_heard *heard, uint32_t capacity);
void k4_heard_fini(struct k4_heard *heard);

#endif
