/* What a connection has to tell Python: a queue that a read fills and Python empties after it.
 *
 * Messages that are no market data are rare, so the queue may allocate. What can come in floods is told by samples: of several pings the
 * newest, of frames that the spec does not know and of refusals one of a kind per TCP connection.
 */
#ifndef K4_EVENTS_H
#define K4_EVENTS_H

#include <stdbool.h>

#include "k4_api.h"
#include "k4_decode.h"
#include "k4_ws.h"

/* K4_EVENTS_MAX: what one read may hand to Python; that many hold its event loop for less than 5 ms. */
enum { K4_EVENTS_FIRST = 64, K4_EVENTS_MAX = 1024 };

struct k4_events {
    k4_event *queue;
    uint32_t count;
    uint32_t next;
    uint32_t room;
    uint64_t lost;     /* had no place in the queue */
    uint32_t sampled;  /* skip reasons of which a sample was given, as bits */
    uint32_t messages; /* of the product */
    uint16_t *refused; /* per message, and one more for the frame as a whole: codes of which a sample was given, as bits */
    uint8_t ping[K4_WS_CONTROL_MAX];
    uint8_t pong[K4_WS_CONTROL_MAX];
};

/* 0, or -1: no memory. */
__attribute__((warn_unused_result)) int k4_events_init(struct k4_events *events, uint16_t messages);
void k4_events_fini(struct k4_events *events);
/* A new TCP connection: empty, and samples are given anew. */
void k4_events_reset(struct k4_events *events);
/* Empty; what it pointed into may go. */
void k4_events_clear(struct k4_events *events);
/* The next one; false: there is none, and the queue is empty. */
bool k4_events_next(struct k4_events *events, k4_event *out);

/* Copied, for what stands between fragments is overwritten when these are joined; all below point to where the bytes are. */
void k4_events_ping(struct k4_events *events, const struct k4_ws_frame *frame);
void k4_events_pong(struct k4_events *events, const struct k4_ws_frame *frame);
void k4_events_close(struct k4_events *events, const struct k4_ws_frame *frame);
void k4_events_message(struct k4_events *events, int skip, uint16_t message, const uint8_t *text, size_t len);
void k4_events_refused(struct k4_events *events, const struct k4_item *item, const uint8_t *text, size_t len);
/* `fault`: K4_BOOK_*. False: there was no place for it. */
bool k4_events_book(struct k4_events *events, int fault, uint16_t message, const uint8_t *symbol, size_t len);

#endif
