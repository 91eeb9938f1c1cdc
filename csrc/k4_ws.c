#include "k4_ws.h"

#include <stdlib.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_utf8.h"

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum { HEADER_MAX = 14, READ_MIN = 16 * 1024 };

static uint8_t *base(const struct k4_ws *ws)
{
    return k4_ws_base(ws);
}

/* ---------------------------------------------------------------- text */

bool k4_ws_prove(struct k4_ws *ws, const struct k4_ws_frame *frame)
{
    if (k4_utf8_whole(frame->data, frame->len))
        return true;
    k4_ws_fail(ws, K4_WS_TEXT_UTF8);
    return false;
}

/* ---------------------------------------------------------------- life */

int k4_ws_init(struct k4_ws *ws, size_t message_cap)
{
    memset(ws, 0, sizeof *ws);
    ws->memory = malloc(K4_WS_REGION + 2 * K4_SLACK);
    if (ws->memory == NULL)
        return -1;
    /* The slack is read, never trusted; setting it keeps memory checkers quiet. */
    memset(ws->memory, 0, K4_SLACK);
    ws->capacity = K4_WS_REGION;
    memset(base(ws) + ws->capacity, 0, K4_SLACK);
    ws->message_cap = message_cap == 0 ? 1 : message_cap;
    k4_ws_reset(ws);
    return 0;
}

void k4_ws_fini(struct k4_ws *ws)
{
    free(ws->memory);
    ws->memory = NULL;
}

void k4_ws_reset(struct k4_ws *ws)
{
    ws->at = ws->end = ws->landing = K4_WS_HEADROOM;
    ws->begin = ws->at;
    ws->need = ws->joined = ws->checked = 0;
    ws->opcode = ws->closed = 0;
    ws->cause = K4_WS_FINE;
}

void k4_ws_fail(struct k4_ws *ws, enum k4_ws_cause cause)
{
    if (ws->cause == K4_WS_FINE)
        ws->cause = (uint8_t)cause;
}

int k4_ws_close_code(enum k4_ws_cause cause)
{
    switch (cause) {
    case K4_WS_FINE:
    case K4_WS_CAUSES:
        return 0;
    case K4_WS_TEXT_UTF8:
    case K4_WS_CLOSE_UTF8:
        return 1007;
    case K4_WS_TOO_BIG:
    case K4_WS_NO_MEMORY:
        return 1009;
    default:
        return 1002;
    }
}

const char *k4_ws_cause_text(enum k4_ws_cause cause)
{
    static const char *const text[K4_WS_CAUSES] = {
        [K4_WS_FINE] = "nothing wrong",
        [K4_WS_RESERVED_BITS] = "reserved bit set in a frame",
        [K4_WS_OPCODE] = "reserved opcode",
        [K4_WS_MASKED] = "masked frame from a server",
        [K4_WS_CONTROL_LONG] = "control frame longer than 125 bytes",
        [K4_WS_CONTROL_FRAGMENT] = "fragmented control frame",
        [K4_WS_LENGTH] = "frame length not in its shortest form",
        [K4_WS_ORPHAN] = "continuation frame without a message",
        [K4_WS_INTERLEAVED] = "new message inside an unfinished one",
        [K4_WS_CLOSE_PAYLOAD] = "close frame with a payload of one byte",
        [K4_WS_CLOSE_CODE] = "close code that may not be sent",
        [K4_WS_TEXT_UTF8] = "text message that is not UTF-8",
        [K4_WS_CLOSE_UTF8] = "close reason that is not UTF-8",
        [K4_WS_TOO_BIG] = "message larger than the message cap",
        [K4_WS_NO_MEMORY] = "no memory for a large message",
    };
    return (unsigned)cause < K4_WS_CAUSES ? text[cause] : "unknown";
}

bool k4_ws_close_code_valid(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/* ---------------------------------------------------------------- region */

/* Gives the region room for `want` bytes. The bytes of [0, keep) survive. */
static bool grow(struct k4_ws *ws, size_t want, size_t keep)
{
    uint8_t *memory = malloc(want + 2 * K4_SLACK);
    if (memory == NULL)
        return false;
    memset(memory, 0, K4_SLACK);
    memcpy(memory + K4_SLACK, base(ws), keep);
    memset(memory + K4_SLACK + want, 0, K4_SLACK);
    free(ws->memory);
    ws->memory = memory;
    ws->capacity = want;
    return true;
}

/* Moves what must be kept to `to`, without the hole between the assembled part and the unfinished frame. */
static void gather(struct k4_ws *ws, size_t to)
{
    size_t tail = ws->end - ws->at;
    /* The order matters where old and new place overlap: the part that moves away from the other goes first. */
    if (to + ws->joined <= ws->at) {
        memmove(base(ws) + to, base(ws) + ws->begin, ws->joined);
        memmove(base(ws) + to + ws->joined, base(ws) + ws->at, tail);
    } else {
        memmove(base(ws) + to + ws->joined, base(ws) + ws->at, tail);
        memmove(base(ws) + to, base(ws) + ws->begin, ws->joined);
    }
    ws->begin = to;
    ws->at = to + ws->joined;
    ws->end = ws->at + tail;
}

size_t k4_ws_buffer(struct k4_ws *ws, uint8_t **out)
{
    if (ws->cause != K4_WS_FINE || ws->closed) {
        ws->at = ws->end = K4_WS_HEADROOM;
        ws->joined = 0;
    }
    size_t keep = ws->joined + (ws->end - ws->at);
    if (keep <= K4_WS_HEADROOM) {
        gather(ws, K4_WS_HEADROOM - keep);
    } else {
        gather(ws, 0);
        if (ws->capacity - keep < READ_MIN) {
            size_t limit = ws->message_cap + K4_WS_ROOM;
            size_t want = ws->capacity > limit / 2 ? limit : 2 * ws->capacity;
            /* A frame whose length is known is made room for at once, not by doubling several times. */
            if (ws->need != 0 && ws->joined + ws->need + K4_WS_ROOM / 2 > want)
                want = ws->joined + ws->need + K4_WS_ROOM / 2;
            if (!grow(ws, want, keep)) {
                k4_ws_fail(ws, K4_WS_NO_MEMORY);
                return k4_ws_buffer(ws, out);
            }
        }
    }
    ws->landing = ws->end;
    *out = base(ws) + ws->end;
    return ws->capacity - ws->end;
}

void k4_ws_landed(struct k4_ws *ws, size_t count)
{
    size_t room = ws->capacity - ws->landing;
    ws->end = ws->landing + (count < room ? count : room);
}

uint8_t *k4_ws_place(struct k4_ws *ws, size_t len)
{
    if (len > ws->message_cap)
        return NULL;
    uint8_t *out;
    size_t room = k4_ws_buffer(ws, &out);
    if (len > room) {
        /* The unfinished bytes end at ws->end, wherever they begin: all in front of it is kept. */
        if (!grow(ws, ws->end + len, ws->end))
            return NULL;
        out = base(ws) + ws->end;
    }
    return out;
}

/* ---------------------------------------------------------------- frames */

static enum k4_ws_kind fail(struct k4_ws *ws, enum k4_ws_cause cause)
{
    k4_ws_fail(ws, cause);
    return K4_WS_FAILED;
}

/* Everything the first two bytes can be wrong about. */
static enum k4_ws_cause judge(const struct k4_ws *ws, unsigned first, unsigned second)
{
    unsigned opcode = first & 0x0f;
    if (first & 0x70)
        return K4_WS_RESERVED_BITS;
    if ((opcode > OP_BINARY && opcode < OP_CLOSE) || opcode > OP_PONG)
        return K4_WS_OPCODE;
    if (second & 0x80)
        return K4_WS_MASKED;
    if (opcode >= OP_CLOSE) {
        if ((first & 0x80) == 0)
            return K4_WS_CONTROL_FRAGMENT;
        return second > K4_WS_CONTROL_MAX ? K4_WS_CONTROL_LONG : K4_WS_FINE;
    }
    if (opcode == OP_CONTINUATION)
        return ws->opcode == 0 ? K4_WS_ORPHAN : K4_WS_FINE;
    return ws->opcode != 0 ? K4_WS_INTERLEAVED : K4_WS_FINE;
}

static uint64_t big_endian(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static enum k4_ws_kind take_close(struct k4_ws *ws, struct k4_ws_frame *out)
{
    out->code = 1005;
    if (out->len == 1)
        return fail(ws, K4_WS_CLOSE_PAYLOAD);
    if (out->len >= 2) {
        out->code = (int)big_endian(out->data, 2);
        out->data += 2;
        out->len -= 2;
        if (!k4_ws_close_code_valid((unsigned)out->code))
            return fail(ws, K4_WS_CLOSE_CODE);
        if (!k4_utf8_whole(out->data, out->len))
            return fail(ws, K4_WS_CLOSE_UTF8);
    }
    ws->closed = 1;
    return K4_WS_CLOSE;
}

/* Adds one fragment. Returns MORE when the message goes on. */
static enum k4_ws_kind join(struct k4_ws *ws, struct k4_ws_frame *out, unsigned opcode, bool last)
{
    if (opcode != OP_CONTINUATION) {
        ws->opcode = (uint8_t)opcode;
        ws->begin = (size_t)(out->data - base(ws));
        ws->joined = ws->checked = 0;
    }
    uint8_t *message = base(ws) + ws->begin;
    memmove(message + ws->joined, out->data, out->len);
    ws->joined += out->len;
    if (ws->opcode == OP_TEXT) {
        bool bad;
        ws->checked += k4_utf8_proven(message + ws->checked, ws->joined - ws->checked, &bad);
        if (bad || (last && ws->checked != ws->joined))
            return fail(ws, K4_WS_TEXT_UTF8);
    }
    if (!last)
        return K4_WS_MORE;
    enum k4_ws_kind kind = ws->opcode == OP_TEXT ? K4_WS_TEXT : K4_WS_BINARY;
    out->data = message;
    out->len = ws->joined;
    ws->opcode = 0;
    ws->joined = 0;
    return kind;
}

/* Reads the header at `at`: K4_WS_MORE when it or its payload is not whole, K4_WS_TEXT (any whole frame) with the payload
 * in `out`, K4_WS_FAILED. */
static enum k4_ws_kind header(struct k4_ws *ws, struct k4_ws_frame *out)
{
    size_t have = ws->end - ws->at;
    const uint8_t *p = base(ws) + ws->at;
    ws->need = 0;
    if (have < 2)
        return K4_WS_MORE;
    enum k4_ws_cause cause = judge(ws, p[0], p[1]);
    if (cause != K4_WS_FINE)
        return fail(ws, cause);
    uint64_t len = p[1];
    unsigned head = 2;
    if (len >= 126) {
        unsigned bytes = len == 126 ? 2 : 8;
        head = 2 + bytes;
        if (have < head)
            return K4_WS_MORE;
        len = big_endian(p + 2, bytes);
        if (bytes == 2 ? len < 126 : (len < 65536 || len >> 63 != 0))
            return fail(ws, K4_WS_LENGTH);
    }
    /* Said by the header alone: an oversized message is refused before its bytes are taken in. */
    if ((p[0] & 0x08) == 0 && len > ws->message_cap - ws->joined)
        return fail(ws, K4_WS_TOO_BIG);
    ws->need = head + (size_t)len;
    if (have < ws->need)
        return K4_WS_MORE;
    out->data = p + head;
    out->len = (size_t)len;
    return K4_WS_TEXT;
}

enum k4_ws_kind k4_ws_next(struct k4_ws *ws, struct k4_ws_frame *out)
{
    for (;;) {
        if (ws->cause != K4_WS_FINE)
            return K4_WS_FAILED;
        if (ws->closed)
            return K4_WS_MORE;
        if (k4_ws_usual(ws, K4_WS_WHOLE_BINARY, out))
            return K4_WS_BINARY;
        if (k4_ws_usual(ws, K4_WS_WHOLE_TEXT, out))
            return k4_utf8_whole(out->data, out->len) ? K4_WS_TEXT : fail(ws, K4_WS_TEXT_UTF8);
        enum k4_ws_kind kind = header(ws, out);
        if (kind != K4_WS_TEXT)
            return kind;
        unsigned first = base(ws)[ws->at];
        ws->at += ws->need;
        ws->need = 0;
        ws->frames++;
        out->code = 0;
        if (first == (0x80 | OP_TEXT))
            return k4_utf8_whole(out->data, out->len) ? K4_WS_TEXT : fail(ws, K4_WS_TEXT_UTF8);
        switch (first & 0x0f) {
        case OP_CLOSE:
            return take_close(ws, out);
        case OP_PING:
            return K4_WS_PING;
        case OP_PONG:
            return K4_WS_PONG;
        default:
            kind = join(ws, out, first & 0x0f, (first & 0x80) != 0);
            if (kind != K4_WS_MORE)
                return kind;
        }
    }
}
