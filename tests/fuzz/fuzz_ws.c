/* libFuzzer target: whatever a server sends, framing gives the same messages for any reads, keeps its bounds, and delivers no text
 * that is not UTF-8.
 *
 * An input is: cap (1 byte, index), size of the reads (1 byte), where a second way to cut changes its step (1 byte), the stream. It
 * is fed whole and in pieces to two drivers that live on from input to input, so what a reset leaves behind would show, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../c/ws_driver.c"
#include "k4_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t caps[] = {1, 64, 125, 126, 4096, 65535, 65536, 70000};

static struct driver *whole, *pieces;

static void claim(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

static void begin(struct driver **d, size_t cap)
{
    if (*d == NULL)
        *d = driver_open(1);
    k4_ws_reset(&(*d)->ws);
    (*d)->ws.message_cap = cap;
    (*d)->len = 0;
    (*d)->failed = 0;
}

/* One scalar value at text[0 .. len), its length or 0: by the table of the standard, as plainly as can be. */
static size_t scalar(const uint8_t *text, size_t len)
{
    size_t want = text[0] < 0x80 ? 1 : text[0] < 0xc0 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf8 ? 4 : 0;
    if (want == 0 || want > len)
        return 0;
    uint32_t value = want == 1 ? text[0] : text[0] & (0x7fu >> want);
    for (size_t i = 1; i < want; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return value < least[want] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : want;
}

static bool is_utf8(const uint8_t *text, size_t len)
{
    for (size_t at = 0, step; at < len; at += step) {
        step = scalar(text + at, len - at);
        if (step == 0)
            return false;
    }
    return true;
}

static uint32_t number(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* What the log may hold: nothing over a cap, texts that are texts, close codes that may be sent, nothing behind an end. */
static void check_log(const struct driver *d, size_t cap)
{
    bool ended = false;
    for (size_t at = 0; at < d->len;) {
        unsigned kind = d->log[at];
        uint32_t code = number(d->log + at + 1), len = number(d->log + at + 5);
        const uint8_t *payload = d->log + at + 9;
        claim(!ended, "nothing comes after a failure or a close frame");
        if (kind == K4_WS_TEXT || kind == K4_WS_BINARY)
            claim(len <= cap, "a message is within the cap");
        else
            claim(len <= K4_WS_CONTROL_MAX, "a control frame is short");
        if (kind == K4_WS_TEXT || kind == K4_WS_CLOSE)
            claim(is_utf8(payload, len), "text is UTF-8");
        if (kind == K4_WS_CLOSE)
            claim(code == 1005 || k4_ws_close_code_valid(code), "a close code may be sent");
        if (kind == K4_WS_FAILED)
            claim(k4_ws_close_code((enum k4_ws_cause)code) != 0, "a failure has a close code");
        ended = kind == K4_WS_CLOSE || kind == K4_WS_FAILED;
        at += 9 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t cap = caps[data[0] % (sizeof caps / sizeof caps[0])];
    size_t step = data[1] == 0 ? 1 : data[1];
    size_t turn = data[2];
    data += 3;
    size -= 3;
    begin(&whole, cap);
    begin(&pieces, cap);
    driver_feed(whole, data, size, size == 0 ? 1 : size);
    size_t first = turn < size ? turn : size;
    driver_feed(pieces, data, first, step);
    driver_feed(pieces, data + first, size - first, 1 + turn % 7);
    check_log(whole, cap);
    claim(whole->len == pieces->len, "any reads give as much");
    claim(whole->len == 0 || memcmp(whole->log, pieces->log, whole->len) == 0, "any reads give the same");
    claim(whole->ws.capacity <= (size_t)K4_WS_REGION + K4_WS_ROOM && pieces->ws.capacity <= (size_t)K4_WS_REGION + K4_WS_ROOM, "memory is bounded");
    return 0;
}
