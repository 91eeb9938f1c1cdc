/* Texts with escapes. See k4_text.h. */
#include "k4_text.h"

static unsigned hex4(const uint8_t *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = p[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static unsigned encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    unsigned len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (unsigned i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0) | c);
    return len;
}

/* Behind the backslash at p[-1]; the text is proven. */
static unsigned unescape(const uint8_t **p, const uint8_t *end, uint8_t out[4])
{
    uint8_t byte = *(*p)++;
    if (byte != 'u') {
        out[0] = byte == 'b'   ? '\b'
                 : byte == 'f' ? '\f'
                 : byte == 'n' ? '\n'
                 : byte == 'r' ? '\r'
                 : byte == 't' ? '\t'
                               : byte;
        return 1;
    }
    uint32_t c = hex4(*p);
    *p += 4;
    (void)encode(c, out); /* also where it is a lone surrogate: two of them are told apart by it */
    if (c >= 0xdc00 && c <= 0xdfff)
        return 0;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
            return 0;
        uint32_t low = hex4(*p + 2);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return encode(c, out);
}

unsigned k4_text_char(const uint8_t **p, const uint8_t *end, bool escaped, uint8_t out[4])
{
    uint8_t byte = *(*p)++;
    if (byte == '\\' && escaped)
        return unescape(p, end, out);
    unsigned len = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    out[0] = byte;
    for (unsigned i = 1; i < len; i++)
        out[i] = *(*p)++;
    return len;
}

static uint8_t to_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

static unsigned next_char(const struct k4_text *text, const uint8_t **p, uint8_t out[4])
{
    unsigned len = k4_text_char(p, text->at + text->len, text->escaped, out);
    if (len == 1 && text->upper)
        out[0] = to_upper(out[0]);
    return len;
}

uint32_t k4_text_hash(const struct k4_text *text)
{
    uint32_t hash = 2166136261u;
    for (const uint8_t *p = text->at; p < text->at + text->len;) {
        uint8_t out[4];
        unsigned len = next_char(text, &p, out);
        for (unsigned i = 0; i < (len == 0 ? 3 : len); i++)
            hash = (hash ^ out[i]) * 16777619u;
    }
    return hash * 2654435769u;
}

bool k4_text_sound(const struct k4_text *text)
{
    if (!text->escaped)
        return true;
    uint8_t out[4];
    for (const uint8_t *p = text->at; p < text->at + text->len;) {
        if (k4_text_char(&p, text->at + text->len, true, out) == 0)
            return false;
    }
    return true;
}

bool k4_text_is_slow(const struct k4_text *text, const char *other, uint32_t len)
{
    const uint8_t *p = text->at;
    uint32_t at = 0;
    while (p < text->at + text->len) {
        uint8_t out[4];
        unsigned n = next_char(text, &p, out);
        if (n == 0 || n > len - at || memcmp(out, other + at, n) != 0)
            return false;
        at += n;
    }
    return at == len;
}

/* Character by character, where one of them has escapes. */
static bool begins_slow(const struct k4_text *a, const uint8_t **p, const struct k4_text *b, bool fold)
{
    const uint8_t *q = b->at;
    while (q < b->at + b->len) {
        uint8_t ca[4];
        uint8_t cb[4];
        if (*p >= a->at + a->len)
            return false;
        unsigned na = next_char(a, p, ca);
        unsigned nb = next_char(b, &q, cb);
        if (fold && na == 1 && nb == 1) {
            ca[0] = to_upper(ca[0]);
            cb[0] = to_upper(cb[0]);
        }
        if (na != nb || memcmp(ca, cb, na == 0 ? 3 : na) != 0)
            return false;
    }
    return true;
}

/* Without escapes, the same bytes are the same characters. */
bool k4_text_begins(const struct k4_text *a, const uint8_t **p, const struct k4_text *b, bool fold)
{
    if ((a->escaped | b->escaped) != 0)
        return begins_slow(a, p, b, fold);
    if ((size_t)(a->at + a->len - *p) < b->len)
        return false;
    if (!fold && (a->upper | b->upper) == 0) {
        if (memcmp(*p, b->at, b->len) != 0)
            return false;
    } else {
        for (uint32_t i = 0; i < b->len; i++) {
            uint8_t ca = fold || a->upper ? to_upper((*p)[i]) : (*p)[i];
            uint8_t cb = fold || b->upper ? to_upper(b->at[i]) : b->at[i];
            if (ca != cb)
                return false;
        }
    }
    *p += b->len;
    return true;
}

bool k4_text_same(const struct k4_text *a, const struct k4_text *b, bool fold)
{
    const uint8_t *p = a->at;
    return k4_text_begins(a, &p, b, fold) && p == a->at + a->len;
}

int k4_text_copy(const struct k4_text *text, uint8_t *out, int room)
{
    int len = 0;
    bool long_ = false;
    for (const uint8_t *p = text->at; p < text->at + text->len;) {
        uint8_t c[4];
        unsigned n = next_char(text, &p, c);
        if (n == 0)
            return -2;
        long_ |= (int)n > room - len;
        if (!long_) {
            memcpy(out + len, c, n);
            len += (int)n;
        }
    }
    return long_ ? -1 : len;
}

/* ---- steps that choose an element */

/* The member `key` of the proven object at `object`: its value, or NULL; *second as in k4_text_find. */
static const uint8_t *member(const uint8_t *object, const char *key, uint32_t key_len, const uint8_t **second)
{
    const uint8_t *value = NULL;
    for (const uint8_t *p = k4_json_each(object + 1); p != NULL;) {
        const uint8_t *after = k4_json_over(p);
        const uint8_t *at = k4_json_blank(k4_json_blank(after) + 1);
        struct k4_text name = {p + 1, (uint32_t)(after - p - 2), 0, K4_STRING, 1, 0};
        if (k4_text_is_slow(&name, key, key_len)) {
            if (value != NULL) {
                *second = p;
                return NULL;
            }
            value = at;
        }
        p = k4_json_each(k4_json_over(at));
    }
    return value;
}

const uint8_t *k4_text_find(
    const uint8_t *array, const char *key, uint32_t key_len, const char *other, uint32_t len, const uint8_t **second)
{
    *second = NULL;
    for (const uint8_t *p = k4_json_each(array + 1); p != NULL; p = k4_json_each(k4_json_over(p))) {
        const uint8_t *value = *p == '{' ? member(p, key, key_len, second) : NULL;
        if (*second != NULL)
            return NULL;
        if (value == NULL)
            continue;
        const uint8_t *end = k4_json_over(value);
        struct k4_text text = k4_text_of(value, k4_json_type(value, end), 0, (uint32_t)(end - value));
        if (text.type != K4_NULL && text.type < K4_OBJECT && k4_text_is(&text, other, len))
            return p;
    }
    return NULL;
}

const uint8_t *k4_text_from_end(const uint8_t *array, const uint8_t *end, uint32_t n)
{
    const uint8_t *p = end - 1;
    for (; n > 0; n--) {
        const uint8_t *behind;
        p = k4_json_each_back(p, array, &behind);
        if (p == NULL)
            return NULL;
    }
    return p;
}
