/* The parts of k4_parse.h that are not on the shortest way. */
#include "k4_parse_hop.h"
#include "k4_parse_list.h"
#include "k4_utf8.h"

/* ---- frames */

void k4_frame_start(struct k4_frame *frame, const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    frame->json = (struct k4_json){.text = text, .end = text + len};
    frame->scratch = scratch;
    frame->emitted = 0;
    frame->dry = false;
    frame->took = false;
    scratch->count = 0;
    scratch->skip = K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    scratch->tier = K4_TIER_TOLERANT;
}

void k4_frame_refuse(struct k4_frame *frame, uint32_t refusal, uint32_t offset, uint16_t message)
{
    struct k4_item *item = k4_frame_items(frame, 1);
    item->record = 0;
    item->refusal = (uint8_t)refusal;
    item->message = message;
    item->offset = offset;
    item->symbol = NULL;
    item->symbol_len = 0;
    frame->scratch->count++;
    frame->emitted++;
}

bool k4_frame_prove(struct k4_frame *frame, k4_walker *walk, const struct k4_node *nodes, uint8_t *types, struct k4_mark *marks)
{
    struct k4_json *json = &frame->json;
    const uint8_t *p = k4_json_space(json, json->text);
    p = p < json->end ? walk(json, p, types, marks) : k4_json_fail(json, p);
    if (p != NULL) {
        p = k4_json_space(json, p);
        if (p != json->end)
            p = k4_json_fail(json, p);
    }
    if (p == NULL)
        k4_frame_refuse(frame, K4_REFUSED_MALFORMED, json->bad, K4_NO_MESSAGE);
    else if (json->finding != 0)
        k4_frame_refuse(frame, json->finding, json->finding_at, K4_NO_MESSAGE);
    frame->root = (struct k4_walk){types, marks, nodes, 0, json->twice};
    return p != NULL && json->finding == 0;
}

bool k4_frame_plain(struct k4_frame *frame, const struct k4_node *nodes, uint8_t *types, struct k4_mark *marks, size_t count)
{
    const struct k4_json *json = &frame->json;
    if (!k4_utf8_whole(json->text, (size_t)(json->end - json->text)))
        return false;
    memset(types, 0, count);
    types[0] = json->text == json->end ? K4_EMPTY | K4_BARE : K4_STRING | K4_BARE;
    marks[0] = (struct k4_mark){0, (uint32_t)(json->end - json->text), 0};
    frame->root = (struct k4_walk){types, marks, nodes, 0, 0};
    return true;
}

bool k4_frame_is_json(const struct k4_frame *frame)
{
    const uint8_t *p = k4_json_space(&frame->json, frame->json.text);
    return p < frame->json.end && memchr("{[\"-0123456789tfn", *p, 17) != NULL;
}

void k4_frame_dry(struct k4_frame *dry, const struct k4_frame *frame, k4_walker *walk, const struct k4_node *nodes, uint8_t *types,
    struct k4_mark *marks)
{
    dry->json = (struct k4_json){.text = frame->json.text, .end = frame->json.end};
    dry->scratch = frame->scratch;
    dry->emitted = 0;
    dry->dry = true;
    dry->took = false;
    (void)walk(&dry->json, k4_json_space(&dry->json, dry->json.text), types, marks);
    dry->root = (struct k4_walk){types, marks, nodes, 0, dry->json.twice};
}

uint32_t k4_frame_twice(const struct k4_frame *frame, const uint8_t *nodes, uint32_t count)
{
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; frame->root.twice != 0 && i < count; i++) {
        if ((frame->root.types[nodes[i]] & K4_TWICE) != 0 && frame->root.marks[nodes[i]].second < first)
            first = frame->root.marks[nodes[i]].second;
    }
    return first;
}

void k4_frame_end(struct k4_frame *frame, bool other_product)
{
    struct k4_scratch *scratch = frame->scratch;
    scratch->unknown_keys += frame->json.unknown;
    if (frame->emitted > 0) {
        scratch->skip = K4_SKIP_NOT;
        scratch->skip_message = K4_NO_MESSAGE;
    } else if (!frame->took)
        scratch->skip = other_product ? K4_SKIP_OTHER_PRODUCT : K4_SKIP_OTHER_CHANNEL;
}

void k4_frame_message(struct k4_frame *frame, uint16_t message, bool quiet)
{
    const struct k4_scratch *scratch = frame->scratch;
    frame->message = message;
    frame->quiet = quiet;
    frame->kept = 0;
    frame->names.known = 0;
    if (scratch->symbol != NULL)
        k4_names_set(&frame->names, 0, (struct k4_text){scratch->symbol, scratch->symbol_len, 0, K4_STRING, 0, 0});
}

void k4_frame_take(struct k4_frame *frame, uint16_t skip)
{
    struct k4_scratch *scratch = frame->scratch;
    frame->took = true;
    if (!frame->dry && skip != K4_SKIP_NOT && scratch->skip == K4_SKIP_NOT) {
        scratch->skip = skip;
        scratch->skip_message = frame->message;
    }
}

/* ---- places */

/* The nodes from below the root down to `node` stand at the end of `way`; returns the first one's place. */
static unsigned way_to(const struct k4_walk *walk, unsigned node, uint8_t way[K4_TREE_MAX])
{
    unsigned first = K4_TREE_MAX;
    for (unsigned n = node; n != 0 && first > 0; n = walk->nodes[n].parent)
        way[--first] = (uint8_t)n;
    return first;
}

enum k4_status_of_place k4_place_slow(const struct k4_frame *frame, const struct k4_walk *walk, unsigned node, struct k4_get *get)
{
    uint8_t way[K4_TREE_MAX];
    unsigned at = 0;
    get->offset = walk->trail;
    for (unsigned i = way_to(walk, node, way); i < K4_TREE_MAX; i++) {
        uint8_t type = walk->types[at] & K4_TYPE_MASK;
        unsigned child = way[i];
        if (type <= K4_EMPTY)
            return K4_GONE;
        if (type != walk->nodes[child].step)
            return k4_place_wrong(get, K4_REFUSED_TYPE, walk->marks[at].at);
        if (type == K4_OBJECT) {
            if ((walk->types[child] & K4_TWICE) != 0)
                return k4_place_wrong(get, K4_REFUSED_DUPLICATE, walk->marks[child].second);
            get->offset = walk->marks[at].at;
        }
        at = child;
    }
    if ((walk->types[at] & K4_TYPE_MASK) <= K4_EMPTY)
        return K4_GONE;
    get->text = k4_text_of(frame->json.text, walk->types[at], walk->marks[at].at, walk->marks[at].end);
    return K4_FOUND;
}

enum k4_status_of_place k4_hop_choose(const struct k4_frame *frame, const struct k4_hop *hop, struct k4_get *get, const uint8_t **p)
{
    const uint8_t *array = get->text.at;
    const uint8_t *second = NULL;
    if (get->text.type != K4_ARRAY)
        return k4_place_wrong(get, K4_REFUSED_TYPE, get->text.offset);
    if (hop->kind == K4_HOP_FROM_END)
        *p = k4_text_from_end(array, array + get->text.len, hop->n);
    else
        *p = k4_text_find(array, hop->key, hop->key_len, hop->text, hop->text_len, &second);
    if (second != NULL)
        return k4_place_wrong(get, K4_REFUSED_DUPLICATE, (uint32_t)(second - frame->json.text));
    return *p == NULL ? K4_GONE : K4_FOUND;
}

enum k4_status_of_place k4_place_hop(
    struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop, struct k4_get *get)
{
    const uint8_t *p;
    struct k4_room room;
    enum k4_status_of_place status = k4_place_slow(frame, walk, node, get);
    if (status == K4_FOUND)
        status = k4_hop_choose(frame, hop, get, &p);
    if (status != K4_FOUND)
        return status;
    struct k4_walk inner = k4_hop_walk(frame, hop, p, get->offset, &room);
    if (hop->next != NULL)
        return k4_place_hop(frame, &inner, hop->leaf, hop->next, get);
    return k4_place_slow(frame, &inner, hop->leaf, get);
}

uint32_t k4_twice_hop(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop)
{
    const uint8_t *p;
    struct k4_room room;
    struct k4_get get;
    uint8_t way[K4_TREE_MAX];
    uint32_t first = UINT32_MAX;
    /* What is given twice in front of the hop is found already; the way goes on through the first of them all the same. */
    if ((walk->types[node] & K4_TYPE_MASK) != K4_ARRAY)
        return first;
    get.text = k4_text_of(frame->json.text, walk->types[node], walk->marks[node].at, walk->marks[node].end);
    enum k4_status_of_place status = k4_hop_choose(frame, hop, &get, &p);
    if (status != K4_FOUND)
        return status == K4_WRONG && get.refusal == K4_REFUSED_DUPLICATE ? get.offset : first;
    struct k4_walk inner = k4_hop_walk(frame, hop, p, 0, &room);
    for (unsigned i = way_to(&inner, hop->leaf, way); i < K4_TREE_MAX; i++) {
        if ((inner.types[way[i]] & K4_TWICE) != 0 && inner.marks[way[i]].second < first)
            first = inner.marks[way[i]].second;
    }
    uint32_t further = hop->next == NULL ? UINT32_MAX : k4_twice_hop(frame, &inner, hop->leaf, hop->next);
    return further < first ? further : first;
}

/* ---- match */

bool k4_holds(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop,
    const struct k4_pattern *patterns, uint32_t excluded, uint32_t count, uint32_t *twice)
{
    struct k4_get get;
    enum k4_status_of_place status =
        hop == NULL ? k4_place(frame, walk, node, &get) : k4_place_hop(frame, walk, node, hop, &get);
    if (status == K4_WRONG) {
        if (get.refusal == K4_REFUSED_DUPLICATE)
            *twice = get.offset;
        return false;
    }
    if (status == K4_GONE)
        get.text.type = K4_NOTHING;
    return k4_match(patterns, excluded, count, &get.text, &frame->names);
}

/* ---- maps and enums */

enum k4_status_of_place k4_map_text(const struct k4_map *map, struct k4_get *get)
{
    const struct k4_entry *entry = map->other;
    for (uint32_t i = 0; get->text.type < K4_OBJECT && i < map->count; i++) {
        if (k4_text_is(&get->text, map->entries[i].text, map->entries[i].len)) {
            entry = &map->entries[i];
            break;
        }
    }
    if (entry == NULL)
        return k4_taken(get, K4_REFUSED_UNMAPPED);
    if (entry->type == K4_NOTHING) {
        get->allowed = true;
        return K4_GONE;
    }
    get->text = (struct k4_text){(const uint8_t *)entry->result, entry->result_len, get->text.offset, entry->type, 0, 0};
    return K4_FOUND;
}

enum k4_status_of_place k4_take_enum(struct k4_get *get, const char *const *names, unsigned count, uint8_t *out)
{
    const bool odd = (get->text.escaped | get->text.upper) != 0;
    for (unsigned i = 0; get->text.type < K4_OBJECT && i < count; i++) {
        if (names[i][0] != 0 && (odd || (uint8_t)names[i][0] == *get->text.at) && k4_text_is(&get->text, names[i], (uint32_t)strlen(names[i]))) {
            *out = (uint8_t)i;
            return K4_FOUND;
        }
    }
    return k4_taken(get, K4_REFUSED_UNMAPPED);
}

/* ---- levels */

void k4_levels_walk(struct k4_frame *frame, enum k4_status_of_place status, struct k4_get *get, bool back, uint32_t limit,
    k4_walker *walk, uint32_t stride, uint8_t *types, struct k4_mark *marks, struct k4_levels *out)
{
    out->count = 0;
    out->twice = 0;
    out->types = types;
    out->marks = marks;
    if (status == K4_FOUND && get->text.type != K4_ARRAY)
        status = k4_place_wrong(get, K4_REFUSED_TYPE, get->text.offset);
    out->status = status;
    out->get = *get;
    if (status != K4_FOUND)
        return;
    struct k4_list list = k4_list_of(status, back, get);
    struct k4_walk level;
    while (out->count < limit && k4_list_next(&list, frame, walk, types + out->count * stride, marks + out->count * stride, &level)) {
        out->twice += level.twice;
        out->count++;
    }
}

void k4_levels_kept(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, unsigned holder, unsigned base, uint32_t limit,
    struct k4_levels *out)
{
    out->types = walk->types + base + 1;
    out->marks = walk->marks + base + 1;
    out->twice = walk->twice;
    out->count = 0;
    if (__builtin_expect(walk->types[node] == K4_ARRAY && walk->twice == 0, 1)) {
        out->status = K4_FOUND;
        out->get.offset = walk->marks[holder].at;
    } else {
        out->status = k4_place_slow(frame, walk, node, &out->get);
        if (out->status == K4_FOUND && out->get.text.type != K4_ARRAY)
            out->status = k4_place_wrong(&out->get, K4_REFUSED_TYPE, out->get.text.offset);
    }
    if (out->status == K4_FOUND)
        out->count = walk->marks[base].at < limit ? walk->marks[base].at : limit;
}

/* ---- exponents */

bool k4_misaligned(
    const struct k4_decimal *price, const struct k4_decimal *qty, int bad_price, int bad_qty, int bids, struct k4_get *get)
{
    bool price_first = bad_qty < 0 || (bad_price >= 0 && (bad_price < bids || bad_qty >= bids));
    get->refusal = K4_REFUSED_RANGE;
    get->offset = price_first ? price[bad_price].offset : qty[bad_qty].offset;
    return false;
}
