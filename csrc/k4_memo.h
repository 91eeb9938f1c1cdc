/* Frames of a moment ago and whose update they were, so that a sibling's copy is recognised by its bytes and not decoded again.
 *
 * What the fast tier makes of a text depends on nothing but the text and the product (connections that keep books leave nothing here); so
 * equal bytes are the same update, and all that arbitration asks about it is known. Siblings bring the same frames in nearly the same order:
 * who is first leaves what it has decoded, one frame behind the other in a ring of bytes, and the others follow, each with a cursor of its own.
 *
 *     … │ entry, text │ entry, text │ entry, text │ head           cursor: the entry whose copy is expected next
 *
 * Positions only rise; an entry is whole while head is at most K4_MEMO_BYTES past its beginning. One thread.
 */
#ifndef K4_MEMO_H
#define K4_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    K4_MEMO_BYTES = 1 << 18, /* about a thousand best bids and offers; stays in a second-level cache */
    K4_MEMO_MOST = 4096,     /* of a text */
    K4_MEMO_LINE = 64,
    K4_MEMO_PEEK = 8,      /* entries that are compared with a frame */
    K4_MEMO_PATIENCE = 16, /* frames without a match, after which a cursor gives up what is ahead of it */
};

/* One frame's one record, as far as arbitration asks. Its text follows. */
struct k4_memo_entry {
    const void *product; /* whose frame it is; NULL: a gap before the ring's end */
    uint32_t size;       /* to the next entry */
    uint32_t len;
    int64_t id;
    int64_t engine_ns;
    uint32_t instrument;
    uint16_t flags;
    uint8_t record;
};

struct k4_memo {
    uint8_t *ring; /* K4_MEMO_BYTES */
    uint64_t head; /* position of the next entry, in whole lines */
};

/* A connection's place in it; all zero at first. */
struct k4_memo_cursor {
    uint64_t at;
    uint32_t missed; /* frames since the last match, while something was ahead */
};

/* 0, or -1: no memory. Nothing is written to before the first k4_memo_keep. */
__attribute__((warn_unused_result)) int k4_memo_init(struct k4_memo *memo);
void k4_memo_fini(struct k4_memo *memo);

static inline struct k4_memo_entry *k4_memo_at(const struct k4_memo *memo, uint64_t at)
{
    return (struct k4_memo_entry *)(void *)(memo->ring + at % K4_MEMO_BYTES);
}

/* The entry of this very text, or NULL: it is not among those that are expected. */
static inline const struct k4_memo_entry *
k4_memo_find(const struct k4_memo *memo, struct k4_memo_cursor *cursor, const void *product, const uint8_t *text, size_t len)
{
    uint64_t at = cursor->at;
    if (memo->head - at > K4_MEMO_BYTES) /* fallen behind, or new */
        at = cursor->at = memo->head;
    if (at == memo->head)
        return NULL;
    for (int n = 0; n < K4_MEMO_PEEK && at != memo->head; n++) {
        const struct k4_memo_entry *entry = k4_memo_at(memo, at);
        at += entry->size;
        if (entry->len == len && entry->product == product && memcmp(entry + 1, text, len) == 0) {
            cursor->at = at;
            cursor->missed = 0;
            return entry;
        }
    }
    if (++cursor->missed == K4_MEMO_PATIENCE) {
        cursor->at = memo->head;
        cursor->missed = 0;
    }
    return NULL;
}

/* Leaves a text of `entry.len` bytes for the siblings. */
static inline void k4_memo_keep(struct k4_memo *memo, struct k4_memo_cursor *cursor, const uint8_t *text, struct k4_memo_entry entry)
{
    if (entry.len > K4_MEMO_MOST)
        return;
    const bool first = cursor->at == memo->head;
    const size_t left = K4_MEMO_BYTES - memo->head % K4_MEMO_BYTES;
    entry.size = (uint32_t)((sizeof entry + entry.len + K4_MEMO_LINE - 1) / K4_MEMO_LINE * K4_MEMO_LINE);
    if (entry.size > left) { /* in one piece */
        *k4_memo_at(memo, memo->head) = (struct k4_memo_entry){.size = (uint32_t)left};
        memo->head += left;
    }
    struct k4_memo_entry *place = k4_memo_at(memo, memo->head);
    *place = entry;
    memcpy(place + 1, text, entry.len);
    memo->head += entry.size;
    if (first)
        cursor->at = memo->head; /* its own copy will not come */
}

#endif
