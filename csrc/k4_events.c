#include "k4_events.h"

#include <stdlib.h>
#include <string.h>

int k4_events_init(struct k4_events *events, uint16_t messages)
{
    *events = (struct k4_events){.room = K4_EVENTS_FIRST, .messages = messages};
    events->queue = malloc(K4_EVENTS_FIRST * sizeof *events->queue);
    events->refused = calloc((size_t)messages + 1, sizeof *events->refused);
    if (events->queue != NULL && events->refused != NULL)
        return 0;
    k4_events_fini(events);
    return -1;
}

void k4_events_fini(struct k4_events *events)
{
    free(events->queue);
    free(events->refused);
    events->queue = NULL;
    events->refused = NULL;
}

void k4_events_reset(struct k4_events *events)
{
    k4_events_clear(events);
    events->sampled = 0;
    memset(events->refused, 0, ((size_t)events->messages + 1) * sizeof *events->refused);
}

void k4_events_clear(struct k4_events *events)
{
    events->count = events->next = 0;
}

bool k4_events_next(struct k4_events *events, k4_event *out)
{
    if (events->next == events->count) {
        k4_events_clear(events);
        return false;
    }
    *out = events->queue[events->next++];
    return true;
}

/* A place at the end of the queue; NULL: full, counted. */
static k4_event *push(struct k4_events *events)
{
    if (events->count == events->room) {
        uint32_t room = 2 * events->room;
        k4_event *queue = room > K4_EVENTS_MAX ? NULL : realloc(events->queue, room * sizeof *queue);
        if (queue == NULL) {
            events->lost++;
            return NULL;
        }
        events->queue = queue;
        events->room = room;
    }
    return &events->queue[events->count++];
}

/* The waiting event of that kind (and skip reason), or a new one: of a flood only the newest is kept. */
static k4_event *newest(struct k4_events *events, int kind, int skip)
{
    for (uint32_t i = events->count; i > events->next; i--)
        if (events->queue[i - 1].kind == kind && events->queue[i - 1].skip == skip)
            return &events->queue[i - 1];
    return push(events);
}

static int message_number(uint16_t message)
{
    return message == K4_NO_MESSAGE ? -1 : message;
}

static void push_beat(struct k4_events *events, int kind, uint8_t *keep, const struct k4_ws_frame *frame)
{
    k4_event *event = newest(events, kind, 0);
    if (event == NULL)
        return;
    memcpy(keep, frame->data, frame->len);
    *event = (k4_event){.kind = kind, .message = -1, .data = keep, .len = frame->len};
}

void k4_events_ping(struct k4_events *events, const struct k4_ws_frame *frame)
{
    push_beat(events, K4_EVENT_PING, events->ping, frame);
}

void k4_events_pong(struct k4_events *events, const struct k4_ws_frame *frame)
{
    push_beat(events, K4_EVENT_PONG, events->pong, frame);
}

void k4_events_close(struct k4_events *events, const struct k4_ws_frame *frame)
{
    k4_event *event = push(events);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_CLOSE, .code = frame->code, .message = -1, .data = frame->data, .len = frame->len};
}

void k4_events_message(struct k4_events *events, int skip, uint16_t message, const uint8_t *text, size_t len)
{
    if (skip == K4_SKIP_OTHER_CHANNEL || skip == K4_SKIP_OTHER_PRODUCT) {
        if (events->sampled & 1u << skip)
            return;
        events->sampled |= 1u << skip;
    }
    const bool flood = skip == K4_SKIP_PING || skip == K4_SKIP_PONG;
    k4_event *event = flood ? newest(events, K4_EVENT_MESSAGE, skip) : push(events);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_MESSAGE, .skip = skip, .message = message_number(message), .data = text, .len = len};
}

void k4_events_refused(struct k4_events *events, const struct k4_item *item, const uint8_t *text, size_t len)
{
    uint16_t *given = &events->refused[item->message < events->messages ? item->message : events->messages];
    if (*given & 1u << item->refusal)
        return;
    *given = (uint16_t)(*given | 1u << item->refusal);
    k4_event *event = push(events);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_REFUSED, .code = item->refusal, .message = message_number(item->message), .offset = item->offset,
                            .data = text, .len = len};
}

bool k4_events_book(struct k4_events *events, int fault, uint16_t message, const uint8_t *symbol, size_t len)
{
    k4_event *event = push(events);
    if (event != NULL)
        *event = (k4_event){.kind = K4_EVENT_BOOK, .code = fault, .message = message, .data = symbol, .len = len};
    return event != NULL;
}
