/* Elements: every place that a path of `each` reaches. See k4_parse.h. */
#include "k4_parse_hop.h"

void k4_refuse_place(struct k4_frame *frame, const struct k4_get *get)
{
    frame->kept++;
    if (!frame->dry && !frame->quiet)
        k4_frame_refuse(frame, get->refusal, get->offset, frame->message);
}

static enum k4_status_of_place spread(
    struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, struct k4_get *get, k4_element *element);
static void expand(struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, k4_element *element);

static void refuse_in_each(struct k4_frame *frame, uint32_t refusal, uint32_t offset)
{
    struct k4_get get = {.refusal = refusal, .offset = offset};
    k4_refuse_place(frame, &get);
}

/* Gives the element at `p`. */
static void one_element(
    struct k4_frame *frame, const struct k4_hop *hop, const uint8_t *p, uint32_t trail, k4_element *element, struct k4_room *room)
{
    uint32_t known = frame->names.known;
    struct k4_walk inner = k4_hop_walk(frame, hop, p, trail, room);
    expand(frame, &inner, hop, element);
    frame->names.known = known;
}

/* Gives an element whose marks are kept, `n` from the first. */
static void kept_element(
    struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, uint32_t n, uint32_t trail, k4_element *element)
{
    const uint32_t at = hop->base + 1u + n * hop->stride;
    uint32_t known = frame->names.known;
    struct k4_walk inner = {walk->types + at, walk->marks + at, hop->nodes, trail, walk->twice};
    expand(frame, &inner, hop, element);
    frame->names.known = known;
}

/* Every element of the array at get->text, those first whose marks are kept. */
static void each_element(
    struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, const struct k4_get *get, k4_element *element)
{
    const uint32_t kept = hop->kept > 0 ? walk->marks[hop->base].at : 0;
    const uint8_t *p = k4_json_each(hop->kept > 0 ? frame->json.text + walk->marks[hop->base].end : get->text.at + 1);
    for (uint32_t i = 0; i < kept; i++)
        kept_element(frame, walk, hop, i, get->offset, element);
    struct k4_room room;
    for (; p != NULL; p = k4_json_each(frame->json.text + room.marks[0].end))
        one_element(frame, hop, p, get->offset, element, &room);
}

/* The same, the last one first. */
static void each_element_back(
    struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, const struct k4_get *get, k4_element *element)
{
    if (hop->kept > 0 && k4_json_each(frame->json.text + walk->marks[hop->base].end) == NULL) {
        for (uint32_t i = walk->marks[hop->base].at; i > 0; i--)
            kept_element(frame, walk, hop, i - 1, get->offset, element);
        return;
    }
    struct k4_room room;
    const uint8_t *end;
    const uint8_t *p = get->text.at + get->text.len - 1;
    while ((p = k4_json_each_back(p, get->text.at, &end)) != NULL)
        one_element(frame, hop, p, get->offset, element, &room);
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
    struct k4_frame *frame, const struct k4_hop *hop, const struct k4_get *get, k4_element *element)
{
    const struct k4_text *object = &get->text;
    struct keys keys;
    struct k4_room room;
    uint32_t known = frame->names.known;
    note_keys(frame, object, &keys);
    for (const uint8_t *p = k4_json_each(object->at + 1); p != NULL; p = next_key(p)) {
        if (take_member(frame, hop, object, &keys, p))
            one_element(frame, hop, k4_json_blank(k4_json_blank(k4_json_over(p)) + 1), object->offset, element, &room);
        frame->names.known = known;
    }
}

/* The one element that `hop` chooses in the array at get->text, and what `hop->next` reaches from there. */
static enum k4_status_of_place chosen_element(struct k4_frame *frame, const struct k4_hop *hop, struct k4_get *get, k4_element *element)
{
    struct k4_room room;
    const uint8_t *p;
    enum k4_status_of_place status = k4_hop_choose(frame, hop, get, &p);
    if (status != K4_FOUND)
        return status;
    struct k4_walk inner = k4_hop_walk(frame, hop, p, get->offset, &room);
    status = k4_place_slow(frame, &inner, hop->leaf, get);
    if (status == K4_FOUND && hop->next != NULL)
        return spread(frame, &inner, hop->next, get, element);
    if (status == K4_FOUND)
        element(frame, &inner);
    return status;
}

/* The elements that `hop` reaches in the value at get->text, which is marked in `walk` and whose trail is get->offset. */
static enum k4_status_of_place spread(
    struct k4_frame *frame, const struct k4_walk *walk, const struct k4_hop *hop, struct k4_get *get, k4_element *element)
{
    if (get->text.type != (hop->kind == K4_HOP_MEMBERS ? K4_OBJECT : K4_ARRAY))
        return k4_place_wrong(get, K4_REFUSED_TYPE, get->text.offset);
    if (hop->kind == K4_HOP_EVERY)
        each_element(frame, walk, hop, get, element);
    else if (hop->kind == K4_HOP_EVERY_BACK)
        each_element_back(frame, walk, hop, get, element);
    else if (hop->kind == K4_HOP_MEMBERS)
        each_member(frame, hop, get, element);
    else
        return chosen_element(frame, hop, get, element);
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
        status = spread(frame, walk, hop->next, &get, element);
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
        enum k4_status_of_place status = k4_place_held(frame, &frame->root, paths[i].node, paths[i].holder, &get);
        if (status == K4_FOUND && paths[i].hop != NULL)
            status = spread(frame, &frame->root, paths[i].hop, &get, paths[i].element);
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
