/* The parts of k4_parse.h that are not on the shortest way. */
#include "k4_parse_list.h"

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
    if (!k4_json_utf8(json->text, json->end))
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

static enum k4_status_of_place wrong(struct k4_get *get, uint32_t refusal, uint32_t offset)
{
    get->refusal = refusal;
    get->offset = offset;
    return K4_WRONG;
}

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
            return wrong(get, K4_REFUSED_TYPE, walk->marks[at].at);
        if (type == K4_OBJECT) {
            if ((walk->types[child] & K4_TWICE) != 0)
                return wrong(get, K4_REFUSED_DUPLICATE, walk->marks[child].second);
            get->offset = walk->marks[at].at;
        }
        at = child;
    }
    if ((walk->types[at] & K4_TYPE_MASK) <= K4_EMPTY)
        return K4_GONE;
    get->text = k4_text_of(frame->json.text, walk->types[at], walk->marks[at].at, walk->marks[at].end);
    return K4_FOUND;
}

/* Room for a tree over one element. */
struct room {
    uint8_t types[K4_TREE_MAX];
    struct k4_mark marks[K4_TREE_MAX];
};

static struct k4_walk walk_element(
    struct k4_frame *frame, const struct k4_hop *hop, const uint8_t *p, uint32_t trail, struct room *room)
{
    (void)hop->walk(&frame->json, p, room->types, room->marks);
    return (struct k4_walk){room->types, room->marks, hop->nodes, trail, frame->json.twice};
}

/* The one element that a hop chooses in the array at get->text: in *p. */
static enum k4_status_of_place choose(const struct k4_frame *frame, const struct k4_hop *hop, struct k4_get *get, const uint8_t **p)
{
    const uint8_t *array = get->text.at;
    const uint8_t *second = NULL;
    if (get->text.type != K4_ARRAY)
        return wrong(get, K4_REFUSED_TYPE, get->text.offset);
    if (hop->kind == K4_HOP_FROM_END)
        *p = k4_text_from_end(array, array + get->text.len, hop->n);
    else
        *p = k4_text_find(array, hop->key, hop->key_len, hop->text, hop->text_len, &second);
    if (second != NULL)
        return wrong(get, K4_REFUSED_DUPLICATE, (uint32_t)(second - frame->json.text));
    return *p == NULL ? K4_GONE : K4_FOUND;
}

enum k4_status_of_place k4_place_hop(
    struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop, struct k4_get *get)
{
    const uint8_t *p;
    struct room room;
    enum k4_status_of_place status = k4_place_slow(frame, walk, node, get);
    if (status == K4_FOUND)
        status = choose(frame, hop, get, &p);
    if (status != K4_FOUND)
        return status;
    struct k4_walk inner = walk_element(frame, hop, p, get->offset, &room);
    if (hop->next != NULL)
        return k4_place_hop(frame, &inner, hop->leaf, hop->next, get);
    return k4_place_slow(frame, &inner, hop->leaf, get);
}

uint32_t k4_twice_hop(struct k4_frame *frame, const struct k4_walk *walk, unsigned node, const struct k4_hop *hop)
{
    const uint8_t *p;
    struct room room;
    struct k4_get get;
    uint8_t way[K4_TREE_MAX];
    uint32_t first = UINT32_MAX;
    /* What is given twice in front of the hop is found already; the way goes on through the first of them all the same. */
    if ((walk->types[node] & K4_TYPE_MASK) != K4_ARRAY)
        return first;
    get.text = k4_text_of(frame->json.text, walk->types[node], walk->marks[node].at, walk->marks[node].end);
    enum k4_status_of_place status = choose(frame, hop, &get, &p);
    if (status != K4_FOUND)
        return status == K4_WRONG && get.refusal == K4_REFUSED_DUPLICATE ? get.offset : first;
    struct k4_walk inner = walk_element(frame, hop, p, 0, &room);
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

/* ---- each */

void k4_refuse_place(struct k4_frame *frame, const struct k4_get *get)
{
    frame->kept++;
    if (!frame->dry && !frame->quiet)
        k4_frame_refuse(frame, get->refusal, get->offset, frame->message);
}

static void expand(struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, k4_element *element);

static void refuse_in_each(struct k4_frame *frame, uint32_t refusal, uint32_t offset)
{
    struct k4_get get = {.refusal = refusal, .offset = offset};
    k4_refuse_place(frame, &get);
}

static void one_element(
    struct k4_frame *frame, const struct k4_hop *hop, const uint8_t *p, uint32_t trail, k4_element *element, struct room *room)
{
    uint32_t known = frame->names.known;
    struct k4_walk inner = walk_element(frame, hop, p, trail, room);
    expand(frame, &inner, hop, element);
    frame->names.known = known;
}

/* Which keys of an object may stand twice in it: a bit per hash, set when a key has it, and again when a second one has. Only such
 * keys are looked for one by one. As many bits as the object may hold keys eight times over, within limits. */
#define KEY_BITS_MIN 512u
#define KEY_BITS_MAX (1u << 20)

struct keys {
    uint64_t once[KEY_BITS_MAX / 64];
    uint64_t again[KEY_BITS_MAX / 64];
    uint32_t shift; /* a hash's upper bits are its place */
};

static struct k4_text key_at(const struct k4_frame *frame, const uint8_t *quote)
{
    const uint8_t *text = frame->json.text;
    const uint8_t *after = k4_json_over(quote);
    struct k4_text key = k4_text_of(text, k4_json_type(quote, after), (uint32_t)(quote - text), (uint32_t)(after - text));
    key.type = K4_STRING;
    return key;
}

/* From one key of a proven object to the next, NULL behind the last. */
static const uint8_t *next_key(const uint8_t *quote)
{
    return k4_json_each(k4_json_over(k4_json_blank(k4_json_blank(k4_json_over(quote)) + 1)));
}

static void note_keys(const struct k4_frame *frame, const struct k4_text *object, struct keys *keys)
{
    uint32_t bits = KEY_BITS_MIN;
    while (bits < KEY_BITS_MAX && bits < object->len)
        bits *= 2;
    keys->shift = 32 - (uint32_t)__builtin_ctz(bits);
    memset(keys->once, 0, bits / 8);
    memset(keys->again, 0, bits / 8);
    for (const uint8_t *p = k4_json_each(object->at + 1); p != NULL; p = next_key(p)) {
        struct k4_text key = key_at(frame, p);
        uint32_t place = k4_text_hash(&key) >> keys->shift;
        uint64_t bit = (uint64_t)1 << place % 64;
        keys->again[place / 64] |= keys->once[place / 64] & bit;
        keys->once[place / 64] |= bit;
    }
}

/* Where the second of the keys like `key` stands, or NULL. */
static const uint8_t *second_key(
    const struct k4_frame *frame, const struct k4_text *object, const struct keys *keys, const struct k4_text *key)
{
    uint32_t place = k4_text_hash(key) >> keys->shift;
    unsigned seen = 0;
    if ((keys->again[place / 64] >> place % 64 & 1) == 0)
        return NULL;
    for (const uint8_t *p = k4_json_each(object->at + 1); p != NULL; p = next_key(p)) {
        struct k4_text other = key_at(frame, p);
        if (k4_text_same(key, &other, false) && ++seen == 2)
            return p;
    }
    return NULL;
}

/* The member whose key stands at `quote`, if its name agrees with what is known and is not given again. */
static bool take_member(
    struct k4_frame *frame, const struct k4_hop *hop, const struct k4_text *object, const struct keys *keys, const uint8_t *quote)
{
    struct k4_text name = key_at(frame, quote);
    if ((frame->names.known >> hop->name & 1) != 0 && !k4_text_same(&name, &frame->names.of[hop->name], false))
        return false;
    const uint8_t *second = second_key(frame, object, keys, &name);
    if (second != NULL)
        refuse_in_each(frame, K4_REFUSED_DUPLICATE, (uint32_t)(second - frame->json.text));
    else if (!k4_text_sound(&name))
        refuse_in_each(frame, K4_REFUSED_UTF8, name.offset);
    else {
        k4_names_set(&frame->names, hop->name, name);
        return true;
    }
    return false;
}

/* Not inlined: only who has members shall pay for the stack. */
__attribute__((noinline)) static void each_member(
    struct k4_frame *frame, const struct k4_hop *hop, const struct k4_text *object, k4_element *element, struct room *room)
{
    struct keys keys;
    uint32_t known = frame->names.known;
    note_keys(frame, object, &keys);
    for (const uint8_t *p = k4_json_each(object->at + 1); p != NULL; p = next_key(p)) {
        if (take_member(frame, hop, object, &keys, p))
            one_element(frame, hop, k4_json_blank(k4_json_blank(k4_json_over(p)) + 1), object->offset, element, room);
        frame->names.known = known;
    }
}

/* The elements that `hop` reaches in the value at get->text, whose trail is get->offset. */
static enum k4_status_of_place spread(struct k4_frame *frame, const struct k4_hop *hop, struct k4_get *get, k4_element *element)
{
    struct room room;
    const uint8_t *p;
    bool members = hop->kind == K4_HOP_MEMBERS;
    if (get->text.type != (members ? K4_OBJECT : K4_ARRAY))
        return wrong(get, K4_REFUSED_TYPE, get->text.offset);
    if (members)
        each_member(frame, hop, &get->text, element, &room);
    else if (hop->kind == K4_HOP_EVERY) {
        for (p = k4_json_each(get->text.at + 1); p != NULL; p = k4_json_each(k4_json_over(p)))
            one_element(frame, hop, p, get->offset, element, &room);
    } else if (hop->kind == K4_HOP_EVERY_BACK) {
        const uint8_t *end;
        p = get->text.at + get->text.len - 1;
        while ((p = k4_json_each_back(p, get->text.at, &end)) != NULL)
            one_element(frame, hop, p, get->offset, element, &room);
    } else {
        enum k4_status_of_place status = choose(frame, hop, get, &p);
        if (status != K4_FOUND)
            return status;
        struct k4_walk inner = walk_element(frame, hop, p, get->offset, &room);
        if (hop->next != NULL) {
            status = k4_place_slow(frame, &inner, hop->leaf, get);
            return status == K4_FOUND ? spread(frame, hop->next, get, element) : status;
        }
        status = k4_place_slow(frame, &inner, hop->leaf, get);
        if (status == K4_FOUND)
            element(frame, &inner);
        return status;
    }
    return K4_FOUND;
}

/* Behind a hop that reached one of several: what is wrong from here on refuses that place only. */
static void expand(struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, k4_element *element)
{
    struct k4_get get;
    if (hop->next == NULL && hop->leaf == 0) { /* also where it is null: that it lacks its fields is then said of it */
        element(frame, walk);
        return;
    }
    enum k4_status_of_place status = k4_place_slow(frame, walk, hop->leaf, &get);
    if (status == K4_FOUND && hop->next != NULL)
        status = spread(frame, hop->next, &get, element);
    else if (status == K4_FOUND)
        element(frame, walk);
    if (status == K4_WRONG)
        k4_refuse_place(frame, &get);
}

void k4_each(struct k4_frame *frame, const struct k4_each_path *paths, uint32_t count)
{
    struct k4_get first = {.refusal = K4_REFUSED_NOT};
    for (uint32_t i = 0; i < count; i++) {
        struct k4_get get;
        uint32_t known = frame->names.known;
        enum k4_status_of_place status = k4_place_slow(frame, &frame->root, paths[i].node, &get);
        if (status == K4_FOUND && paths[i].hop != NULL)
            status = spread(frame, paths[i].hop, &get, paths[i].element);
        else if (status == K4_FOUND)
            paths[i].element(frame, &frame->root);
        frame->names.known = known;
        if (status == K4_WRONG && get.refusal == K4_REFUSED_DUPLICATE)
            k4_refuse_place(frame, &get);
        if (status == K4_FOUND || (status == K4_WRONG && get.refusal == K4_REFUSED_DUPLICATE))
            return;
        if (status == K4_WRONG && first.refusal == K4_REFUSED_NOT)
            first = get;
    }
    if (first.refusal != K4_REFUSED_NOT)
        k4_refuse_place(frame, &first);
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
    for (unsigned i = 0; get->text.type < K4_OBJECT && i < count; i++) {
        if (names[i][0] != 0 && k4_text_is(&get->text, names[i], (uint32_t)strlen(names[i]))) {
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
        status = wrong(get, K4_REFUSED_TYPE, get->text.offset);
    out->status = status;
    out->get = *get;
    if (status != K4_FOUND)
        return;
    struct k4_list list = k4_list_of(status, back, get);
    while (out->count < limit && k4_list_next(&list, &frame->json, walk, types + out->count * stride, marks + out->count * stride)) {
        out->twice += frame->json.twice;
        out->count++;
    }
}

void k4_levels_kept(struct k4_frame *frame, unsigned node, unsigned holder, unsigned base, uint32_t limit, struct k4_levels *out)
{
    const struct k4_walk *root = &frame->root;
    out->types = root->types + base + 1;
    out->marks = root->marks + base + 1;
    out->twice = root->twice;
    out->count = 0;
    if (__builtin_expect(root->types[node] == K4_ARRAY && root->twice == 0, 1)) {
        out->status = K4_FOUND;
        out->get.offset = root->marks[holder].at;
    } else {
        out->status = k4_place_slow(frame, root, node, &out->get);
        if (out->status == K4_FOUND && out->get.text.type != K4_ARRAY)
            out->status = wrong(&out->get, K4_REFUSED_TYPE, out->get.text.offset);
    }
    if (out->status == K4_FOUND)
        out->count = root->marks[base].at < limit ? root->marks[base].at : limit;
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
