/* Everything Python calls. This header is also cffi's cdef: declarations only, no macros, no attributes.
 *
 * One `k4_feed` is one group: segments, arbiters and the connections that compete in them, driven by one thread.
 * Time is an argument everywhere (wall and monotonic ns): the core knows no clock and no socket.
 */
#ifndef K4_API_H
#define K4_API_H

#include <stddef.h>
#include <stdint.h>

typedef struct k4_product k4_product;
typedef struct k4_decoder k4_decoder;
typedef struct k4_feed k4_feed;
typedef struct k4_conn k4_conn;

/* ---------------------------------------------------------------- what was generated */
const char *k4_build_digest(void); /* digest of every generator input, hex */
const k4_product *k4_product_find(const char *exchange, const char *product); /* NULL: not built */
int k4_product_message_count(const k4_product *product);
const char *k4_product_message_kind(const k4_product *product, int message);

/* ---------------------------------------------------------------- offline decoding */
typedef struct {
    int record;      /* record number, 0 = refused */
    int refusal;     /* enum k4_refusal */
    int message;     /* -1: the frame as a whole */
    uint32_t offset;
    uint32_t symbol_len;
    const uint8_t *symbol;
    const uint8_t *data; /* the record's bytes, as in shared memory */
    uint32_t size;
} k4_decoded;

/* tier: 0 = as at run time, 1 = fast only, 2 = tolerant only. symbol: "" = none given. NULL: no memory. */
k4_decoder *k4_decoder_open(const k4_product *product, const char *symbol, int tier);
void k4_decoder_close(k4_decoder *decoder);
/* From now on no frame is another product's, as on a connection. */
void k4_decoder_sure(k4_decoder *decoder);
/* Decodes one frame (copied to a place with slack). Returns the number of items (all of them, however many), or
 * -1: the tier asked for declined, -2: out of memory. */
int k4_decoder_push(k4_decoder *decoder, const uint8_t *text, size_t len);
/* The same for the payload of a binary frame: SBE where the product has a schema, compressed where its `encoding` says so, else text like any. */
int k4_decoder_push_binary(k4_decoder *decoder, const uint8_t *bytes, size_t len);
void k4_decoder_item(const k4_decoder *decoder, int i, k4_decoded *out);
/* The same for a body that was fetched for a message of the product and a symbol. */
int k4_decoder_fetched(k4_decoder *decoder, int message, const uint8_t *symbol, uint32_t symbol_len, const uint8_t *body, size_t len);
int k4_decoder_skip(const k4_decoder *decoder);         /* enum k4_skip of the last frame */
int k4_decoder_skip_message(const k4_decoder *decoder); /* -1: none */
int k4_decoder_tier(const k4_decoder *decoder);         /* enum k4_tier that answered last */
/* Of all frames so far, by the tolerant tier: keys that no path of the spec reads, needed values of another JSON type than its examples have. */
void k4_decoder_drift(const k4_decoder *decoder, uint64_t *unknown_keys, uint64_t *retyped);

/* ---------------------------------------------------------------- feed: segments */
typedef struct {
    uint32_t ring_slots;      /* power of two */
    uint32_t symbol_capacity;
    uint32_t window_ids;      /* recent ids kept per instrument by `window` and `contiguous` events */
    uint32_t mode;            /* file mode, 0600 unless configured */
    int lock_memory;          /* mlock */
} k4_segment_options;

k4_feed *k4_feed_open(void);
void k4_feed_close(k4_feed *feed); /* marks segments closed, releases locks */
/* Closes a feed that never began: the segments that opening it made are taken away, older ones stay. */
void k4_feed_discard(k4_feed *feed);
/* Creates or takes over segment `name` for record number `record`. 0 = ok; else a k4_status, with a sentence in `error`
 * that says what, where and what to do. */
int k4_feed_segment(k4_feed *feed, int record, const char *name, const k4_segment_options *options, char *error, size_t error_size);
/* Adds a symbol to the record's segment: index >= 0, or -(k4_status). What its quantities count: unit ("base", "quote", "contract" or "")
 * and size (decimal text or ""). Adding it again gives the same index; a unit or size that is given then replaces the one before. */
int k4_feed_instrument(k4_feed *feed, const k4_product *product, int record, const uint8_t *symbol, uint32_t symbol_len, const char *qty_unit,
                       const char *contract_size);
/* States as in the symbol table: 0 LIVE 1 STALE 2 RESYNC 3 REMOVED. */
int k4_feed_symbol_state(k4_feed *feed, int record, int instrument, int state, int64_t now_ns);
/* From now on nothing of the instrument is published, and it is REMOVED; k4_feed_instrument brings it back. K4_BAD_ARGUMENT: no such. */
int k4_feed_remove(k4_feed *feed, int record, int instrument, int64_t now_ns);
/* Last receive time of (record, instrument), INT64_MIN = none yet: for the watchdog. */
int64_t k4_feed_last_recv_ns(const k4_feed *feed, int record, int instrument);
void k4_feed_heartbeat(k4_feed *feed, int64_t wall_ns, int64_t mono_ns);
/* Notes what each connection has brought since the last survey, for k4_conn_stuck; about twice a second. */
void k4_feed_survey(k4_feed *feed, int64_t mono_ns);

/* ---------------------------------------------------------------- feed: connections */
/* `name` and `transport` ("json" or "sbe") appear in the source tables. message_cap: largest message in bytes. symbol: "" unless the
 * connection carries one stream. NULL with a sentence in `error`. */
k4_conn *k4_conn_open(k4_feed *feed, const k4_product *product, const char *name, const char *transport, const char *symbol,
                      uint32_t message_cap, char *error, size_t error_size);
void k4_conn_close(k4_conn *conn);
/* A fresh TCP connection on the same source: framing state and per-connection ids start anew. */
void k4_conn_reset(k4_conn *conn);
/* Where the next bytes go: at least 1 byte, *out valid until the next call on this connection. */
size_t k4_conn_buffer(k4_conn *conn, uint8_t **out);
/* `count` bytes have landed there. Handles every whole frame. Returns a set of K4_CONN_* bits; 0 = nothing for Python to do. */
int k4_conn_recv(k4_conn *conn, size_t count, int64_t wall_ns, int64_t mono_ns);
/* One unframed message, as if it had come in a text frame: recordings, replay, tests. */
int k4_conn_message(k4_conn *conn, const uint8_t *text, size_t len, int64_t wall_ns, int64_t mono_ns);

/* A body that was fetched for a message of the product and a symbol: the snapshot of a book. Returns bits as k4_conn_recv, and
 * K4_CONN_TOOK if that book is live now. */
int k4_conn_fetched(k4_conn *conn, int message, const uint8_t *symbol, uint32_t symbol_len, const uint8_t *body, size_t len, int64_t wall_ns,
                    int64_t mono_ns);

/* Everything has been asked for on its link: all its streams count as heard at the next survey. */
void k4_conn_asked(k4_conn *conn);
/* Which of these instruments, as of the last survey, the connection has not brought for more than `silence_ns`, or for more than `missing_ns`
 * since another published something newer. Writes them to `out`, which has room for all; returns how many. */
uint32_t k4_conn_stuck(const k4_conn *conn, int record, const uint32_t *instruments, uint32_t count, int64_t silence_ns, int64_t missing_ns,
                       uint32_t *out);

enum { K4_CONN_EVENTS = 1, K4_CONN_FAILED = 2, K4_CONN_TOOK = 4 };

enum { K4_EVENT_NONE = 0, K4_EVENT_PING = 1, K4_EVENT_PONG = 2, K4_EVENT_CLOSE = 3, K4_EVENT_MESSAGE = 4, K4_EVENT_REFUSED = 5, K4_EVENT_BOOK = 6 };

/* Why a book is stale; LIVE: it is not. */
enum { K4_BOOK_LIVE = 0, K4_BOOK_GAP = 1, K4_BOOK_CHECKSUM = 2, K4_BOOK_REFUSED = 3, K4_BOOK_NO_SNAPSHOT = 4, K4_BOOK_NO_MEMORY = 5 };

/* PING, PONG: payload. CLOSE: the peer's close (code, reason as payload). MESSAGE: a frame that is no market data (`skip`,
 * `message`, bytes of the frame). REFUSED: the first refusal of its kind and code on this connection (sample of the frame).
 * BOOK: the book of a symbol (bytes) that a message keeps has become live, or is stale and wants a snapshot (code).
 * Pointers are valid until the next k4_conn_buffer. Of several pings only the newest is kept. */
typedef struct {
    int kind;
    int code;    /* CLOSE: status code. REFUSED: enum k4_refusal. BOOK: K4_BOOK_* */
    int skip;    /* MESSAGE: enum k4_skip */
    int message; /* MESSAGE, REFUSED: index, or -1. BOOK: index */
    uint32_t offset;
    const uint8_t *data;
    size_t len;
} k4_event;

int k4_conn_event(k4_conn *conn, k4_event *out); /* 1: filled, 0: no more */
/* After K4_CONN_FAILED: the close code to send (1002 protocol, 1007 UTF-8, 1009 too big) and what was wrong. */
int k4_conn_failure(const k4_conn *conn, const char **reason);

/* Since k4_conn_open, k4_conn_reset or not. frames: WebSocket frames; messages: whole text or binary messages; records: decoded;
 * wins: published; duplicates: published before, or superseded; gaps: ids missing in front of its wins; late: wins that filled a
 * hole behind others; control: messages that are no market data; skipped: messages that gave no record; stale: dropped as too
 * late to judge; sbe: messages by SBE; no_segment: records that no segment takes; failed_*: failures with 1002, 1007, 1009;
 * stale_books: times that a book became stale. */
typedef struct {
    uint64_t bytes, frames, messages, records, wins, duplicates, gaps, late, refused, unknown_symbol, fast, tolerant, sbe, unknown_keys;
    uint64_t retyped, pings, control, skipped, stale, no_segment, failed_protocol, failed_utf8, failed_size, events_lost, stale_books;
} k4_conn_stats;
void k4_conn_stats_get(const k4_conn *conn, k4_conn_stats *out);
/* How far one kind of message has drifted from its spec, since k4_conn_open: frames that only the tolerant tier took, keys in them that
 * no path of the spec reads, needed values of another JSON type than its examples have; elements refused because a needed key was missing, and
 * for any other reason. A frame counts with the first message that took it. */
typedef struct {
    uint64_t tolerant, unknown_keys, retyped, missing, refused;
} k4_conn_drift;
/* `message`: index into the product's messages; their count: frames that none of them took. */
void k4_conn_drift_get(const k4_conn *conn, int message, k4_conn_drift *out);

/* How much later than the first a connection brought what siblings had brought: counts by steps, over all records and since the segments
 * began; k4_lag_floor: the least nanoseconds of a step. */
enum { K4_LAG_STEPS = 256 };
void k4_conn_lags(const k4_conn *conn, uint64_t *out);
int64_t k4_lag_floor(uint32_t step);

/* ---------------------------------------------------------------- readers (the same code as the generated header) */
typedef struct k4_view k4_view; /* one reader's position in one segment */

k4_view *k4_view_open(const char *name, char *error, size_t error_size);
void k4_view_close(k4_view *view);
/* Next record: 1 = copied into `out` (record_size bytes), 0 = nothing yet, 2 = lapped: *lost_first..*lost_last were
 * overwritten, call again, < 0 = -(k4_status): the writer closed the segment or is gone and everything is read. */
int k4_view_next(k4_view *view, void *out, uint64_t *sequence, uint64_t *lost_first, uint64_t *lost_last);
/* Up to `max` records at once, contiguous in `out`; same meaning, count in *taken. */
int k4_view_drain(k4_view *view, void *out, uint32_t max, uint32_t *taken, uint64_t *sequence, uint64_t *lost_first, uint64_t *lost_last);
void k4_view_seek(k4_view *view, int oldest); /* 1: oldest still held, 0: newest (only what comes after) */
/* The sequence of the next record: k4_view_seek_to(k4_view_head) reads only what comes. Any sequence may be sought; what the ring
 * no longer holds is reported as lost. */
uint64_t k4_view_head(const k4_view *view);
uint64_t k4_view_position(const k4_view *view);
void k4_view_seek_to(k4_view *view, uint64_t sequence);
int k4_view_latest(k4_view *view, uint32_t instrument, void *out, uint64_t *sequence); /* 1 copied, 0 none yet */
int k4_view_wait(k4_view *view, int64_t timeout_ns); /* sleeps, at most 100 ms at a time; 1 = there is something */
int k4_view_writer(const k4_view *view); /* 1 alive, 0 closed, -1 gone */

typedef struct {
    char name[64];
    int record, closed; /* closed: 0 open, 1 closed by its writer, 2 replaced by another segment */
    uint32_t record_size, ring_slots, symbol_capacity, symbol_count, source_count;
    uint64_t layout_hash, head, epoch, oldest;
    int64_t writer_pid, heartbeat_ns;
} k4_segment_info;
void k4_view_info(const k4_view *view, k4_segment_info *out);

typedef struct {
    char symbol[64], exchange[32], product[32];
    int state;
    int64_t state_since_ns, last_recv_ns;
    char qty_unit[16], contract_size[32];
} k4_symbol_info;
int k4_view_symbol(const k4_view *view, uint32_t instrument, k4_symbol_info *out); /* 1 filled, 0 no such */
int k4_view_find(const k4_view *view, const char *symbol, const char *exchange, const char *product); /* index, -1 none, -2 ambiguous; "" = any */

typedef struct {
    char name[64], transport[16];
    uint64_t wins, duplicates, gaps, late;
    int64_t lead_p50_ns, lead_p99_ns, lag_p50_ns, lag_p99_ns; /* from histograms, at most 12.5 % too low; -1: no sample */
} k4_source_info;
int k4_view_source(const k4_view *view, uint32_t source, k4_source_info *out);

/* The ring's memory, for zero-copy views: base of slot 0's record, stride in bytes between records. */
const uint8_t *k4_view_ring(const k4_view *view, uint32_t *stride, uint32_t *slots);

const char *k4_status_text(int status);
/* Directory of the segments: what was set ("": nothing), else $K4_SHM_DIR, else /dev/shm. */
void k4_shm_dir_set(const char *dir);
const char *k4_shm_dir(void);

#endif
