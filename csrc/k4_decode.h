/* What generated parsers and the core say to each other.
 *
 * A parser turns one frame into items: a record or a refusal per element, in element order, or else one reason why the
 * frame gave nothing. A frame is atomic: a parser may write items while it reads, but nobody looks at them before it has
 * proven the whole text well-formed. Three tiers answer alike on every input: `fast` may decline (returns false, and then
 * what it wrote is void), `tolerant` always answers; the third is the Python interpreter in codegen/reference.py.
 */
#ifndef K4_DECODE_H
#define K4_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_records.h" /* generated: struct k4_bbo ..., enum K4_RECORD_*, union k4_record, K4_FLAG_* */

/* Bytes that may be read, never trusted, before and after a frame's text: word-wise loads need no end check per byte. */
#define K4_SLACK 64

#define K4_MAX_DEPTH 32
#define K4_SYMBOL_MAX 48
#define K4_SCRATCH_ITEMS 64
#define K4_NO_MESSAGE 0xffffu

/* Why an element (or a whole frame) was refused. Names without prefix, lower case, are what tools print. */
enum k4_refusal {
    K4_REFUSED_NOT = 0,
    K4_REFUSED_MALFORMED, /* not JSON; offset: first byte that cannot continue. Wins over all */
    K4_REFUSED_DEPTH,     /* nested deeper than K4_MAX_DEPTH; offset: the first bracket too deep */
    K4_REFUSED_UTF8,      /* bytes that are no UTF-8; offset: the opening quote of the string they stand in */
    K4_REFUSED_MISSING,   /* offset: the innermost object that is present on the way */
    K4_REFUSED_DUPLICATE, /* offset: the second key */
    K4_REFUSED_TYPE,      /* this and below: first byte of the value (the quote, if it is a string) */
    K4_REFUSED_RANGE,
    K4_REFUSED_UNMAPPED,
    K4_REFUSED_SYMBOL, /* longer than K4_SYMBOL_MAX bytes, or with control characters */
};

/* Why a frame gave no record. */
enum k4_skip {
    K4_SKIP_NOT = 0,
    K4_SKIP_CONTROL,
    K4_SKIP_ACK,
    K4_SKIP_ERROR,
    K4_SKIP_PONG,
    K4_SKIP_PING,
    K4_SKIP_NOTICE,
    K4_SKIP_INSTRUMENT,
    K4_SKIP_VARS,
    K4_SKIP_EMPTY,
    K4_SKIP_UNCHANGED,
    K4_SKIP_OTHER_CHANNEL,
    K4_SKIP_OTHER_PRODUCT,
    K4_SKIP_DROPPED_CLASS,
    K4_SKIP_STALE_BOOK,
    K4_SKIP_UNKNOWN_TEMPLATE,
};

enum k4_order { K4_ORDER_NONE = 0, K4_ORDER_INCREASING, K4_ORDER_WINDOW, K4_ORDER_CONTIGUOUS, K4_ORDER_LEADER };

/* How the payload of binary frames is packed. */
enum k4_encoding { K4_ENCODING_NONE = 0, K4_ENCODING_GZIP, K4_ENCODING_DEFLATE };

enum k4_tier { K4_TIER_ANY = 0, K4_TIER_FAST, K4_TIER_TOLERANT, K4_TIER_SBE };

/* One element's outcome. `record` 0: refused, then `refusal` and `offset` say why and where.
 * A parser fills the record completely (sentinels, zero pads, flags it knows: BACKFILL ONE_SIDED HASHED_ID, and RESET
 * where the message's `reset` says so), except instrument, source and recv_ns, which belong to the feed. */
struct k4_item {
    uint8_t record;  /* K4_RECORD_BBO ..., 0 = refused */
    uint8_t refusal; /* enum k4_refusal */
    uint16_t message; /* index into product->messages; K4_NO_MESSAGE: the frame as a whole */
    uint32_t offset;
    const uint8_t *symbol; /* in the frame, or in `folded` where it was rewritten (case, escapes) or the spec names it; not terminated */
    uint32_t symbol_len;
    uint8_t folded[K4_SYMBOL_MAX + 8];
    union k4_record as;
};

struct k4_product;

/* Where a parser writes. Fixed size, owned by the caller, one per connection: nothing is allocated per frame.
 * `flush`: called by the tolerant tier, once the text is proven, when `items` is full; it consumes them and the parser goes
 * on at 0. The fast tier declines a frame that gives more than K4_SCRATCH_ITEMS. */
struct k4_scratch {
    uint32_t count;
    uint16_t skip;         /* enum k4_skip, when the frame gave no item at all */
    uint16_t skip_message; /* the message that took it, or K4_NO_MESSAGE */
    uint16_t tier;         /* enum k4_tier that answered */
    uint16_t hint;         /* the layout that hit last; the fast tier's own */
    bool sure;             /* no frame is another product's: what a `match` asks offline is not asked */
    uint64_t unknown_keys; /* counters, only ever added to: keys no path names (tolerant tier) */
    uint64_t retyped;      /* needed values given as number where the examples have a string, or the reverse */
    const uint8_t *symbol; /* the one stream's symbol (`$symbol`), or NULL; then the fast tier must decline */
    uint32_t symbol_len;
    struct k4_books *books; /* of the connection (k4_books.h); NULL: updates of books are `stale_book` */
    struct k4_told *told;   /* of the connection (k4_told.h); NULL: nothing is remembered */
    void (*flush)(void *context, struct k4_scratch *scratch);
    void *context;
    struct k4_item items[K4_SCRATCH_ITEMS];
};

struct k4_message {
    const char *kind; /* the `record` word as tools print it: bbo, trade, ack ... */
    uint8_t records;  /* what it gives, a bit 1 << K4_RECORD_* each; 0: no market record */
    uint8_t skip;     /* enum k4_skip for a message that is no market record */
    uint8_t order;    /* enum k4_order */
    bool book;        /* its records are cut from a book, and only where they differ from the last */
    uint16_t line;    /* where the spec says it */
};

struct k4_product {
    const char *exchange;
    const char *name;
    const struct k4_message *messages;
    uint16_t message_count;
    /* text[-K4_SLACK .. len + K4_SLACK) must be readable; len <= 2^31. `fast` may be given any bytes, and takes none that are
     * not UTF-8; `tolerant` is given UTF-8 only, if they came in a text frame. */
    bool (*fast)(const uint8_t *text, size_t len, struct k4_scratch *scratch);
    void (*tolerant)(const uint8_t *text, size_t len, struct k4_scratch *scratch);
    /* A body that was fetched for `message`, whose symbol is scratch->symbol; NULL: there are none. As `tolerant`. */
    void (*fetched)(uint16_t message, const uint8_t *text, size_t len, struct k4_scratch *scratch);
    /* Binary frames, where the product has an SBE schema, else NULL. Any bytes; answers and flushes like `tolerant`. */
    void (*sbe)(const uint8_t *text, size_t len, struct k4_scratch *scratch);
    uint8_t encoding; /* enum k4_encoding: binary frames are text, packed so */
};

extern const struct k4_product *const k4_products[]; /* generated, NULL-terminated */

/* Both tiers in order: fast, then tolerant. */
void k4_decode(const struct k4_product *product, const uint8_t *text, size_t len, struct k4_scratch *scratch);

#endif
