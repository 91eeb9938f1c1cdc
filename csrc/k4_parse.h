/* What a generated parser is made of, between the marks of a frame and the fields of a record.
 *
 * A parser's paths form trees of keys and indices. One walk of a tree over a value leaves a type and a mark per node. Where a path
 * goes on behind a step that chooses among elements ([*], [-1], [key=text], .$name), a hop leads from a node of one tree
 * to the root of the next, which is walked over the element when it is asked for. Of many lists the first elements are walked along
 * the way: their marks are kept behind those of the tree, at `base` how many there are and where they end, then those of each.
 *
 *   frame ── walk ──▶ types, marks ── place ──▶ text and offset ── [map] ── take ──▶ value | gone | wrong
 */
#ifndef K4_PARSE_H
#define K4_PARSE_H

#include "k4_decimal.h"
#include "k4_decode.h"
#include "k4_json.h"
#include "k4_number.h"
#include "k4_pattern.h"

#define K4_TREE_MAX 255 /* nodes of a tree */
#define K4_ROOM_MAX 512 /* marks of a tree over elements, with those of the lists in it */

/* A function for what is rare, kept out of those that call it. */
#define K4_SLOW __attribute__((noinline, unused))

/* How a node is reached from its parent: step is K4_OBJECT for a key, K4_ARRAY for an index. The root has step 0. */
struct k4_node {
    uint8_t parent;
    uint8_t step;
};

/* Walks a whole tree over the value at `p`; clears the types and json->twice first. */
typedef const uint8_t *k4_walker(struct k4_json *json, const uint8_t *p, uint8_t *types, struct k4_mark *marks);

/* The marks of one tree over one value. */
struct k4_walk {
    const uint8_t *types;
    const struct k4_mark *marks;
    const struct k4_node *nodes;
    uint32_t trail; /* innermost object on the way to the root of the tree */
    uint32_t twice; /* 0: no marked key was given again */
};

enum k4_hop_kind { K4_HOP_EVERY, K4_HOP_EVERY_BACK, K4_HOP_MEMBERS, K4_HOP_FROM_END, K4_HOP_FIND };

/* From a node to elements of its value, a tree over each, and the node of that tree where the path goes on. */
struct k4_hop {
    uint8_t kind;
    uint8_t name; /* MEMBERS: what captures the key */
    uint8_t leaf;
    uint32_t n; /* FROM_END: 1 = the last */
    const char *key; /* FIND */
    uint32_t key_len;
    const char *text;
    uint32_t text_len;
    k4_walker *walk;
    const struct k4_node *nodes;
    uint16_t kept; /* EVERY, EVERY_BACK: so many elements at most are kept; 0: none ever */
    uint16_t stride;
    uint16_t base;
    const struct k4_hop *next; /* NULL: the path ends at `leaf` */
};

enum k4_status_of_place { K4_FOUND, K4_GONE, K4_WRONG };

/* What a source gave. FOUND: `text`. GONE: `offset` is where `missing` would stand, `allowed` whether the spec says that it may be.
 * WRONG: `refusal` at `offset`. */
struct k4_get {
    struct k4_text text;
    uint32_t offset;
    uint32_t refusal;
    bool allowed;
};

/* One frame being read for one product. */
struct k4_frame {
    struct k4_json json;
    struct k4_scratch *scratch;
    struct k4_walk root;
    uint32_t emitted; /* items, flushed ones included */
    uint32_t kept; /* elements of the current message that are its own */
    uint16_t message; /* the current one */
    bool dry; /* only to learn whether another product would take it */
    bool quiet; /* the current message is no market record: its elements give nothing */
    bool took; /* dry: it would */
    const struct k4_pattern *patterns; /* of the product, where it shares its code with others */
    struct k4_names names;
};

/* ---- frames

 * In this order: start, [plain, messages], prove, twice, messages, [others], end. */
void k4_frame_start(struct k4_frame *frame, const uint8_t *text, size_t len, struct k4_scratch *scratch);
/* Proves the whole text; false: it is refused as a whole, and that is written. */
bool k4_frame_prove(struct k4_frame *frame, k4_walker *walk, const struct k4_node *nodes, uint8_t *types, struct k4_mark *marks);
/* Makes the text as it is the value of the root; false: it is not UTF-8. */
bool k4_frame_plain(struct k4_frame *frame, const struct k4_node *nodes, uint8_t *types, struct k4_mark *marks, size_t count);
/* Can its first byte begin JSON? */
bool k4_frame_is_json(const struct k4_frame *frame);
void k4_frame_refuse(struct k4_frame *frame, uint32_t refusal, uint32_t offset, uint16_t message);
/* A second look at the proven frame for another product: nothing is given, only `took` says what came of it. */
void k4_frame_dry(struct k4_frame *dry, const struct k4_frame *frame, k4_walker *walk, const struct k4_node *nodes, uint8_t *types,
    struct k4_mark *marks);
/* Of the root's `nodes`, which `match` paths need: where a key stands a second time, the first of them, or UINT32_MAX. */
uint32_t k4_frame_twice(const struct k4_frame *frame, const uint8_t *nodes, uint32_t count);
/* Nothing more comes of the frame. */
void k4_frame_end(struct k4_frame *frame, bool other_product);
/* Names and counters for the next message: only `$symbol` is known, where the connection has one. */
void k4_frame_message(struct k4_frame *frame, uint16_t message, bool quiet);
/* The current message takes the frame; `skip`: why it gives nothing by itself. */
void k4_frame_take(struct k4_frame *frame, uint16_t skip);

/* Room for `count` items in a row. */
static inline struct k4_item *k4_frame_items(struct k4_frame *frame, uint32_t count)
{
    struct k4_scratch *scratch = frame->scratch;
    if (__builtin_expect(scratch->count + count > K4_SCRATCH_ITEMS, 0)) {
        scratch->flush(scratch->context, scratch);
        scratch->count = 0;
    }
    return &scratch->items[scratch->count];
}

/* The symbol of `from`, in another item. */
static inline void k4_item_same_symbol(struct k4_item *item, const struct k4_item *from)
{
    item->symbol = from->symbol;
    item->symbol_len = from->symbol_len;
    if (from->symbol == from->folded) {
        memcpy(item->folded, from->folded, sizeof item->folded);
        item->symbol = item->folded;
    }
}

static inline void k4_frame_give(struct k4_frame *frame, struct k4_item *item, uint8_t record)
{
    item->record = record;
    item->refusal = K4_REFUSED_NOT;
    item->message = frame->message;
    item->offset = 0;
    frame->scratch->count++;
    frame->emitted++;
}

/* ---- places */

/* The value at `node`, whatever is wrong on the way; sets get->offset to the trail also where it is found. */
enum k4_status_of_place k4_place_slow(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, struct k4_get *get);
/* The same at the end of hops that start at `node`. */
enum k4_status_of_place k4_place_hop(
    struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop, struct k4_get *get);
/* Where keys on the way of hops stand a second time: the first of them, or UINT32_MAX. */
uint32_t k4_twice_hop(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop);

static inline enum k4_status_of_place k4_place(
    const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, struct k4_get *get)
{
    uint8_t type = walk->types[node];
    if (__builtin_expect((type & K4_TYPE_MASK) > K4_EMPTY && walk->twice == 0, 1)) {
        get->text = k4_text_of(frame->json.text, type, walk->marks[node].at, walk->marks[node].end);
        return K4_FOUND;
    }
    return k4_place_slow(frame, walk, node, get);
}

/* With get->offset as k4_place_slow() sets it. `holder`: the node of the innermost object around it, K4_NO_HOLDER: there is none. */
#define K4_NO_HOLDER 255

static inline enum k4_status_of_place k4_place_held(
    const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned holder, struct k4_get *get)
{
    const uint8_t type = walk->types[node];
    const bool there = (type & K4_TYPE_MASK) > K4_EMPTY;
    if (__builtin_expect(walk->twice != 0 || (node != 0 && holder == K4_NO_HOLDER), 0))
        return k4_place_slow(frame, walk, node, get);
    if (!there && (node == 0 || walk->nodes[node].parent != holder || walk->types[holder] != K4_OBJECT))
        return k4_place_slow(frame, walk, node, get);
    get->offset = node == 0 ? walk->trail : walk->marks[holder].at;
    if (!there)
        return K4_GONE;
    get->text = k4_text_of(frame->json.text, type, walk->marks[node].at, walk->marks[node].end);
    return K4_FOUND;
}

/* The innermost object on the way to `node`. */
static inline uint32_t k4_trail(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node)
{
    struct k4_get get = {.offset = walk->trail};
    if (node != 0)
        (void)k4_place_slow(frame, walk, node, &get);
    return get.offset;
}

/* A capture, or `$symbol`; `walk` and `node` are `@`. */
static inline enum k4_status_of_place k4_place_name(
    const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned name, struct k4_get *get)
{
    if (__builtin_expect((frame->names.known >> name & 1) == 0, 0)) {
        get->offset = k4_trail(frame, walk, node);
        return K4_GONE;
    }
    get->text = frame->names.of[name];
    return K4_FOUND;
}

/* A constant; `len` 0: the venue does not give it. */
static inline enum k4_status_of_place k4_place_text(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node,
    const char *text, uint32_t len, uint8_t type, struct k4_get *get)
{
    get->offset = k4_trail(frame, walk, node);
    get->text = (struct k4_text){(const uint8_t *)text, len, get->offset, type, 0, 0};
    return len > 0 ? K4_FOUND : K4_GONE;
}

/* ---- match */

/* The value at a match path against its patterns; a way that is wrong does not hold. `twice`: set where a key on the way is given
 * twice. */
bool k4_holds(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop,
    const struct k4_pattern *patterns, uint32_t excluded, uint32_t count, uint32_t *twice);

/* ---- each */

/* Called for every element: `@` is the node of the tree in `walk` that the element function knows. */
typedef void k4_element(struct k4_frame *frame, const struct k4_walk *walk);

/* One path of `each`. */
struct k4_each_path {
    uint8_t node;
    uint8_t holder; /* as in k4_place_held() */
    const struct k4_hop *hop;
    k4_element *element;
};

/* Gives every element of the first path that exists. A path that ends in another kind of value does not; if none exists, the
 * first such is refused, and so is a key on the way that is given twice. */
void k4_each(struct k4_frame *frame, const struct k4_each_path *paths, uint32_t count);
/* An element, or a place of `each`, that is refused: the message keeps it, and it gives a refusal unless `quiet`. */
void k4_refuse_place(struct k4_frame *frame, const struct k4_get *get);

/* ---- maps and values */

struct k4_entry {
    const char *text;
    uint32_t len;
    uint8_t type; /* of the result: K4_STRING, K4_NUMBER, K4_TRUE, K4_FALSE; K4_NOTHING: absent */
    const char *result;
    uint32_t result_len;
};

struct k4_map {
    const struct k4_entry *entries;
    uint32_t count;
    const struct k4_entry *other; /* "*", or NULL */
};

enum k4_status_of_place k4_map_text(const struct k4_map *map, struct k4_get *get);

enum { K4_ABS = 1, K4_NONZERO = 2, K4_NEGATIVE = 4 };

static inline enum k4_status_of_place k4_taken(struct k4_get *get, uint32_t refusal)
{
    if (__builtin_expect(refusal == 0, 1))
        return K4_FOUND;
    get->refusal = refusal;
    get->offset = get->text.offset;
    return K4_WRONG;
}

static inline enum k4_status_of_place k4_take_decimal(struct k4_get *get, int shift, unsigned how, struct k4_decimal *out)
{
    uint32_t refusal = shift == 0 ? k4_read_decimal(&get->text, out) : k4_read_decimal_slow(&get->text, shift, out);
    if (refusal != 0)
        return k4_taken(get, refusal);
    if ((how & K4_NONZERO) != 0 && out->mantissa == 0) {
        out->state = K4_DECIMAL_ABSENT;
        return K4_GONE;
    }
    if ((how & K4_ABS) != 0 && out->mantissa < 0)
        out->mantissa = -out->mantissa;
    return K4_FOUND;
}

static inline enum k4_status_of_place k4_take_time(struct k4_get *get, enum k4_unit unit, int64_t *out)
{
    return k4_taken(get, k4_read_time(&get->text, unit, out));
}

static inline enum k4_status_of_place k4_take_integer(struct k4_get *get, unsigned how, int64_t *out)
{
    uint32_t refusal = k4_read_integer(&get->text, out);
    if (refusal == 0 && (how & K4_NONZERO) != 0 && *out == 0) {
        *out = K4_ABSENT;
        return K4_GONE;
    }
    return k4_taken(get, refusal);
}

static inline enum k4_status_of_place k4_take_count(struct k4_get *get, unsigned how, int32_t *out)
{
    uint32_t refusal = k4_read_count(&get->text, out);
    if (refusal == 0 && (how & K4_NONZERO) != 0 && *out == 0) {
        *out = K4_ABSENT_COUNT;
        return K4_GONE;
    }
    return k4_taken(get, refusal);
}

static inline enum k4_status_of_place k4_take_id(struct k4_get *get, unsigned how, int64_t *out, unsigned *hashed)
{
    unsigned is_hash = 0;
    uint32_t refusal = k4_read_id(&get->text, out, &is_hash);
    if (refusal == 0 && (how & K4_NONZERO) != 0 && *out == 0 && !is_hash) {
        *out = K4_ABSENT;
        return K4_GONE;
    }
    *hashed |= is_hash;
    return k4_taken(get, refusal);
}

static inline enum k4_status_of_place k4_take_bool(struct k4_get *get, unsigned how, uint8_t *out)
{
    if ((how & K4_NEGATIVE) != 0) {
        struct k4_decimal value;
        uint32_t refusal = k4_read_decimal(&get->text, &value);
        *out = refusal == 0 && value.mantissa < 0;
        return k4_taken(get, refusal);
    }
    *out = get->text.type == K4_TRUE;
    return k4_taken(get, get->text.type == K4_TRUE || get->text.type == K4_FALSE ? 0 : K4_REFUSED_TYPE);
}

/* `names` are the enum's, by number, `count` of them; "" where a number has none. */
enum k4_status_of_place k4_take_enum(struct k4_get *get, const char *const *names, unsigned count, uint8_t *out);

static inline enum k4_status_of_place k4_take_symbol(struct k4_get *get, struct k4_item *item)
{
    return k4_taken(get, k4_read_symbol(&get->text, item));
}

/* A symbol that the spec names, as a text or in a map: whoever looks it up reads K4_SYMTAB_SLACK bytes, which a constant does not have. */
static inline enum k4_status_of_place k4_take_symbol_of_spec(struct k4_get *get, struct k4_item *item)
{
    const enum k4_status_of_place status = k4_take_symbol(get, item);
    if (status == K4_FOUND && item->symbol != item->folded) {
        memcpy(item->folded, item->symbol, item->symbol_len);
        item->symbol = item->folded;
    }
    return status;
}

/* Whether a field that is not found refuses its element; then get->refusal and get->offset say how. */
static inline bool k4_refuses(enum k4_status_of_place status, struct k4_get *get)
{
    if (__builtin_expect(status == K4_FOUND, 1) || (status == K4_GONE && get->allowed))
        return false;
    if (status == K4_GONE)
        get->refusal = K4_REFUSED_MISSING;
    return true;
}

/* ---- exponents */

/* Aligns prices and quantities, of which the first `bids` belong to the bid side; false with get->refusal, get->offset at the
 * first value in record order (bid price, bid qty, ask price, ask qty) that does not fit. */
bool k4_misaligned(
    const struct k4_decimal *price, const struct k4_decimal *qty, int bad_price, int bad_qty, int bids, struct k4_get *get);

static inline bool k4_align(
    struct k4_decimal *price, struct k4_decimal *qty, int count, int bids, struct k4_common *common, struct k4_get *get)
{
    int bad_price = k4_decimal_align(price, count, &common->price_exp);
    int bad_qty = k4_decimal_align(qty, count, &common->qty_exp);
    return __builtin_expect((bad_price & bad_qty) < 0, 1) || k4_misaligned(price, qty, bad_price, bad_qty, bids, get);
}

#endif
