/* What the next writer does with a segment that is there already. Only k4_segment.c uses this; k4_segment_seed, which belongs here
 * too, is declared in k4_segment.h. `segment` needs no more than its pointers into the mapping and `head`.
 *
 * A writer publishes in this order, and can die between any two steps (n is head):
 *
 *     ring slot n: odd | words | 2n+2     latest slot: odd | words | 2n+2     head = n+1
 *     ^ nothing to see, or odd: nobody    ^ readers may have record n: it     ^ done
 *       accepts it; written anew            counts, latest and head follow
 */
#ifndef K4_TAKEOVER_H
#define K4_TAKEOVER_H

#include "k4_segment.h"

/* Whether counts, symbols and every sequence word of the ring are what some writer can have left: 0, or -K4_BAD_SEGMENT and why.
 * A segment that contradicts itself is refused, not guessed at. */
int k4_takeover_check(const struct k4_segment *segment, char *error, size_t size);
/* Finishes what a killed writer left half-done. Readers go on meanwhile. */
void k4_takeover_repair(struct k4_segment *segment);
/* Everything of segment `from` into the empty one `to`: same record, other counts. Sequences go on. */
void k4_takeover_carry(const struct k4_segment *from, struct k4_segment *to);

#endif
