/* Drives k4_ws from Python: feeds a byte stream in pieces and writes down what came out.
 *
 * The log is a run of entries: kind (1 byte), code (4, little endian), length (4), payload. A failure is logged once, with the
 * cause as code. */
#include <stdlib.h>
#include <string.h>

#include "k4_ws.h"

struct driver {
    struct k4_ws ws;
    uint8_t *log;
    size_t len, room;
    int failed;
};

struct driver *driver_open(size_t cap)
{
    struct driver *d = calloc(1, sizeof *d);
    if (d == NULL || k4_ws_init(&d->ws, cap) != 0)
        abort();
    return d;
}

void driver_close(struct driver *d)
{
    k4_ws_fini(&d->ws);
    free(d->log);
    free(d);
}

static void note(struct driver *d, unsigned kind, unsigned code, const uint8_t *data, size_t len)
{
    while (d->len + 9 + len > d->room) {
        d->room = d->room == 0 ? 4096 : 2 * d->room;
        d->log = realloc(d->log, d->room);
        if (d->log == NULL)
            abort();
    }
    uint8_t *p = d->log + d->len;
    p[0] = (uint8_t)kind;
    for (unsigned i = 0; i < 4; i++) {
        p[1 + i] = (uint8_t)(code >> 8 * i);
        p[5 + i] = (uint8_t)(len >> 8 * i);
    }
    if (len != 0)
        memcpy(p + 9, data, len);
    d->len += 9 + len;
}

static void drain(struct driver *d)
{
    struct k4_ws_frame frame;
    for (;;) {
        enum k4_ws_kind kind = k4_ws_next(&d->ws, &frame);
        if (kind == K4_WS_MORE)
            return;
        if (kind == K4_WS_FAILED) {
            if (!d->failed)
                note(d, K4_WS_FAILED, d->ws.cause, NULL, 0);
            d->failed = 1;
            return;
        }
        note(d, kind, (unsigned)frame.code, frame.data, frame.len);
    }
}

/* Feeds `len` bytes in reads of at most `piece`. */
void driver_feed(struct driver *d, const uint8_t *data, size_t len, size_t piece)
{
    while (len != 0) {
        uint8_t *out;
        size_t room = k4_ws_buffer(&d->ws, &out);
        size_t n = len < piece ? len : piece;
        n = n < room ? n : room;
        memcpy(out, data, n);
        k4_ws_landed(&d->ws, n);
        drain(d);
        data += n;
        len -= n;
    }
}

const uint8_t *driver_log(const struct driver *d, size_t *len)
{
    *len = d->len;
    return d->log;
}

size_t driver_capacity(const struct driver *d)
{
    return d->ws.capacity;
}

/* Feeds the stream cut in two at every place in [first, last). The first place where the log differs from that of one piece, or -1. */
long driver_split(size_t cap, const uint8_t *data, size_t len, size_t first, size_t last)
{
    struct driver *whole = driver_open(cap);
    driver_feed(whole, data, len, len);
    long differs = -1;
    for (size_t at = first; at < last && differs < 0; at++) {
        struct driver *d = driver_open(cap);
        driver_feed(d, data, at, len);
        driver_feed(d, data + at, len - at, len);
        if (d->len != whole->len || (d->len != 0 && memcmp(d->log, whole->log, d->len) != 0))
            differs = (long)at;
        driver_close(d);
    }
    driver_close(whole);
    return differs;
}
