/* The receive region: where bytes land, what moves, what grows; and random streams in random pieces against a plain parser.
 * Which frames are legal is tested in tests/test_framing.py. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "k4_decode.h"
#include "k4_ws.h"

static uint64_t random_state = 42;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % below);
}

/* Appends one frame; returns the new length. */
static size_t put_frame(uint8_t *to, size_t at, unsigned first, const uint8_t *payload, size_t len)
{
    to[at++] = (uint8_t)first;
    if (len < 126) {
        to[at++] = (uint8_t)len;
    } else {
        unsigned bytes = len < 65536 ? 2 : 8;
        to[at++] = bytes == 2 ? 126 : 127;
        for (unsigned i = bytes; i-- > 0;)
            to[at++] = (uint8_t)(len >> 8 * i);
    }
    memcpy(to + at, payload, len);
    return at + len;
}

static void feed(struct k4_ws *ws, const uint8_t *data, size_t len)
{
    while (len != 0) {
        uint8_t *out;
        size_t room = k4_ws_buffer(ws, &out);
        size_t n = len < room ? len : room;
        memcpy(out, data, n);
        k4_ws_landed(ws, n);
        data += n;
        len -= n;
        if (len != 0) {
            struct k4_ws_frame frame;
            EQUAL(k4_ws_next(ws, &frame), K4_WS_MORE);
        }
    }
}

static void reads_land_at_one_address(void)
{
    struct k4_ws ws;
    struct k4_ws_frame frame;
    CHECK(k4_ws_init(&ws, 1 << 20) == 0);
    uint8_t *first, *again;
    size_t room = k4_ws_buffer(&ws, &first);
    EQUAL(room, K4_WS_REGION - K4_WS_HEADROOM);
    /* one whole frame and the front of the next */
    memcpy(first, "\x81\x02hi\x81\x05wor", 9);
    k4_ws_landed(&ws, 9);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_TEXT);
    EQUAL(frame.len, 2);
    CHECK(memcmp(frame.data, "hi", 2) == 0);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_MORE);
    EQUAL(k4_ws_buffer(&ws, &again), room);
    CHECK(again == first);
    memcpy(again, "ld", 2);
    k4_ws_landed(&ws, 2);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_TEXT);
    CHECK(frame.len == 5 && memcmp(frame.data, "world", 5) == 0);
    CHECK(frame.data + 5 == first + 2);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_MORE);
    k4_ws_fini(&ws);
}

/* Reads K4_SLACK bytes around a message at both ends of the region; a sanitizer sees if they are not ours. */
static void slack_is_readable(void)
{
    enum { CAP = 1 << 20 };
    struct k4_ws ws;
    struct k4_ws_frame frame;
    uint8_t *stream = malloc(CAP + 32), *payload = malloc(CAP);
    CHECK(stream != NULL && payload != NULL && k4_ws_init(&ws, CAP) == 0);
    memset(payload, 'x', CAP);
    size_t sizes[] = {0, 1, K4_WS_REGION - K4_WS_HEADROOM - 10, K4_WS_REGION - 10, CAP};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = put_frame(stream, 0, 0x82, payload, sizes[i]);
        feed(&ws, stream, len);
        EQUAL(k4_ws_next(&ws, &frame), K4_WS_BINARY);
        EQUAL(frame.len, sizes[i]);
        unsigned sum = 0;
        for (const uint8_t *p = frame.data - K4_SLACK; p < frame.data + frame.len + K4_SLACK; p++)
            sum += *p;
        CHECK(sum != 1);
        CHECK(ws.capacity <= CAP + K4_WS_ROOM);
    }
    k4_ws_fini(&ws);
    free(stream);
    free(payload);
}

static void a_placed_message_leaves_frames_alone(void)
{
    struct k4_ws ws;
    struct k4_ws_frame frame;
    uint8_t *out;
    CHECK(k4_ws_init(&ws, 300000) == 0);
    k4_ws_buffer(&ws, &out);
    memcpy(out, "\x01\x03" "abc\x80\x05" "de", 9); /* a fragment, and the front of the last one */
    k4_ws_landed(&ws, 9);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_MORE);
    for (size_t len = 1; len <= 300000; len = len * 7 + 12345 > 300000 && len < 300000 ? 300000 : len * 7 + 12345) {
        uint8_t *place = k4_ws_place(&ws, len);
        CHECK(place != NULL);
        if (place == NULL)
            return;
        memset(place - 0, 'z', len);
        unsigned sum = 0;
        for (const uint8_t *p = place - K4_SLACK; p < place + len + K4_SLACK; p++)
            sum += *p;
        CHECK(sum > 0);
    }
    CHECK(k4_ws_place(&ws, 300001) == NULL);
    k4_ws_buffer(&ws, &out);
    memcpy(out, "fgh", 3);
    k4_ws_landed(&ws, 3);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_TEXT);
    CHECK(frame.len == 8 && memcmp(frame.data, "abcdefgh", 8) == 0);
    k4_ws_fini(&ws);
}

static void a_new_connection_starts_clean(void)
{
    struct k4_ws ws;
    struct k4_ws_frame frame;
    CHECK(k4_ws_init(&ws, 1000) == 0);
    feed(&ws, (const uint8_t *)"\x01\x02hi\x83", 5);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_MORE);
    feed(&ws, (const uint8_t *)"\x00", 1);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_FAILED);
    EQUAL(ws.cause, K4_WS_OPCODE);
    feed(&ws, (const uint8_t *)"\x81\x00", 2);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_FAILED);
    k4_ws_reset(&ws);
    feed(&ws, (const uint8_t *)"\x81\x02ok", 4);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_TEXT);
    EQUAL(frame.len, 2);
    feed(&ws, (const uint8_t *)"\x88\x00", 2);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_CLOSE);
    EQUAL(frame.code, 1005);
    k4_ws_reset(&ws);
    feed(&ws, (const uint8_t *)"\x89\x00", 2);
    EQUAL(k4_ws_next(&ws, &frame), K4_WS_PING);
    k4_ws_fini(&ws);
}

/* Random messages in random fragments and random reads; the sum over what comes out must be that over what went in. */
static void random_streams(void)
{
    enum { CAP = 500000 };
    uint8_t *stream = malloc(2 * CAP), *payload = malloc(CAP);
    CHECK(stream != NULL && payload != NULL);
    for (int round = 0; round < 300; round++) {
        struct k4_ws ws;
        struct k4_ws_frame frame;
        CHECK(k4_ws_init(&ws, CAP) == 0);
        uint64_t want[8], have[8];
        unsigned messages = 1 + pick(8), got = 0;
        size_t len = 0;
        for (unsigned m = 0; m < messages; m++) {
            size_t size = pick(4) == 0 ? pick(100000) : pick(300);
            uint64_t sum = size;
            for (size_t i = 0; i < size; i++) {
                payload[i] = (uint8_t)pick(256);
                sum = sum * 31 + payload[i];
            }
            want[m] = sum;
            size_t at = 0;
            for (unsigned part = 0;; part++) {
                bool last = pick(3) != 0;
                size_t n = last ? size - at : pick((uint32_t)(size - at) + 1);
                len = put_frame(stream, len, (last ? 0x80u : 0u) | (part == 0 ? 2u : 0u), payload + at, n);
                at += n;
                if (last)
                    break;
                if (pick(2))
                    len = put_frame(stream, len, 0x8a, payload, pick(126) % (unsigned)(size < 125 ? size + 1 : 126));
            }
        }
        for (size_t at = 0; at < len;) {
            uint8_t *out;
            size_t room = k4_ws_buffer(&ws, &out), n = 1 + pick(pick(2) ? 200 : 90000);
            n = n < room ? n : room;
            n = n < len - at ? n : len - at;
            memcpy(out, stream + at, n);
            k4_ws_landed(&ws, n);
            at += n;
            enum k4_ws_kind kind;
            while ((kind = k4_ws_next(&ws, &frame)) != K4_WS_MORE) {
                if (kind == K4_WS_PONG)
                    continue;
                EQUAL(kind, K4_WS_BINARY);
                uint64_t sum = frame.len;
                for (size_t i = 0; i < frame.len; i++)
                    sum = sum * 31 + frame.data[i];
                if (kind != K4_WS_BINARY || got == messages)
                    exit(1);
                have[got++] = sum;
            }
        }
        EQUAL(got, messages);
        CHECK(got == messages && memcmp(want, have, got * sizeof *want) == 0);
        k4_ws_fini(&ws);
    }
    free(stream);
    free(payload);
}

int main(void)
{
    reads_land_at_one_address();
    slack_is_readable();
    a_placed_message_leaves_frames_alone();
    a_new_connection_starts_clean();
    random_streams();
    return check_failures != 0;
}
