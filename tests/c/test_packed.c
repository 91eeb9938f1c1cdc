/* Compressed frames, from a connection to segments. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "feed_bench.h"

/* A deflate payload, in a binary frame: bytes as they are, then `again` times 258 more of the last one. */
struct packed {
    uint8_t bytes[256];
    size_t len;
    uint64_t hold;
    unsigned count;
};

static void put_bits(struct packed *out, unsigned value, unsigned n)
{
    out->hold |= (uint64_t)value << out->count;
    for (out->count += n; out->count >= 8; out->count -= 8, out->hold >>= 8)
        out->bytes[out->len++] = (uint8_t)out->hold;
}

static void put_word(struct packed *out, unsigned word, unsigned n)
{
    while (n-- > 0)
        put_bits(out, word >> n & 1, 1);
}

static struct packed packed_frame(const char *text, unsigned again)
{
    struct packed out = {.bytes = {0x82, 0}, .len = 2};
    put_bits(&out, 1 | 1 << 1, 3); /* the last block, with the fixed codes */
    for (const char *c = text; *c != 0; c++)
        put_word(&out, 0x30u + (unsigned char)*c, 8);
    for (; again > 0; again--) {
        put_word(&out, 0xc5, 8);
        put_word(&out, 0, 5);
    }
    put_word(&out, 0, 7);
    put_bits(&out, 0, 7);
    out.bytes[1] = (uint8_t)(out.len - 2);
    return out;
}

static void packed_frames_are_read(void)
{
    struct k4_product packs = product;
    packs.encoding = K4_ENCODING_DEFLATE;
    k4_feed *feed = open_feed();
    k4_conn *conn = k4_conn_open(feed, &packs, "a", "json", "", 1000, error, sizeof error);
    k4_event event;
    uint8_t *out, *at;
    const char *reason;
    CHECK(conn != NULL);
    const char *texts[] = {"b BTC 5", "ack", "T BTC 1", "noise"};
    CHECK(k4_conn_buffer(conn, &out) > 1000);
    at = out;
    for (unsigned i = 0; i < 4; i++) { /* several in one read: what they are stays where it is */
        const struct packed frame = packed_frame(texts[i], 0);
        memcpy(at, frame.bytes, frame.len);
        at += frame.len;
    }
    memcpy(at, "\x82\x02" "\x07\x00" "\x81\x07" "b BTC 6", 13); /* no such stream; and text as it is */
    EQUAL(k4_conn_recv(conn, (size_t)(at - out) + 13, wall + mono, mono), K4_CONN_EVENTS);
    EQUAL(published(feed, K4_RECORD_BBO, 0)->update_id, 5);
    EQUAL(published(feed, K4_RECORD_BBO, 1)->update_id, 6);
    EQUAL(feed->lanes[K4_RECORD_TRADE].segment.head, 1);
    CHECK(k4_conn_event(conn, &event) && event.skip == K4_SKIP_ACK && event.len == 3 && memcmp(event.data, "ack", 3) == 0);
    CHECK(k4_conn_event(conn, &event) && event.skip == K4_SKIP_OTHER_CHANNEL && event.len == 5 && memcmp(event.data, "noise", 5) == 0);
    CHECK(k4_conn_event(conn, &event) && event.kind == K4_EVENT_REFUSED && event.code == K4_REFUSED_MALFORMED && event.message == -1);
    EQUAL(k4_conn_event(conn, &event), 0);

    struct packed frame = packed_frame("noise", 3); /* 779 bytes */
    EQUAL(frames(conn, (const char *)frame.bytes, frame.len), 0);
    frame = packed_frame("noise", 4); /* 1037: more than a message may have */
    EQUAL(frames(conn, (const char *)frame.bytes, frame.len), K4_CONN_FAILED);
    EQUAL(k4_conn_failure(conn, &reason), 1009);
    k4_conn_reset(conn);
    frame = packed_frame("b BTC 7", 0);
    EQUAL(frames(conn, (const char *)frame.bytes, frame.len), 0);
    EQUAL(published(feed, K4_RECORD_BBO, 2)->update_id, 7);
    k4_feed_close(feed);
}

int main(void)
{
    void (*const tests[])(void) = {
        packed_frames_are_read,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        segment_dir_make();
        tests[i]();
        segment_dir_remove();
    }
    return check_failures != 0;
}
