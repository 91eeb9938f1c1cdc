/* The cold parts of k4_json.h: odd strings, numbers, literals, values that nobody named, and nesting without limit. */
#include "k4_json.h"

#include "k4_decode.h"
#include "k4_utf8.h"

/* Bytes of the well-formed sequence at `p`, 0 if it is none. Reads at most 3 bytes behind `p`. */
static unsigned sequence(const uint8_t *p)
{
    uint8_t low, high;
    const unsigned len = k4_utf8_lead(p[0], &low, &high);
    if (len == 0 || p[1] < low || p[1] > high)
        return 0;
    for (unsigned i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* Behind the escape whose backslash is at `p`. */
static const uint8_t *escape(struct k4_json *json, const uint8_t *p)
{
    p++;
    if (p >= json->end)
        return k4_json_fail(json, p);
    switch (*p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        for (int i = 0; i < 4; i++) {
            p++;
            if (p >= json->end || !is_hex(*p))
                return k4_json_fail(json, p);
        }
        return p + 1;
    default:
        return k4_json_fail(json, p);
    }
}

const uint8_t *k4_json_string_slow(struct k4_json *json, const uint8_t *quote, const uint8_t *from, uint8_t *type)
{
    const uint8_t *p = from;
    uint8_t escaped = 0;
    bool broken = false;
    for (;;) {
        if (p >= json->end)
            return k4_json_fail(json, p);
        if (*p == '"')
            break;
        if (*p == '\\') {
            escaped = K4_ESCAPED;
            p = escape(json, p);
            if (p == NULL)
                return NULL;
        } else if (*p < ' ')
            return k4_json_fail(json, p);
        else if (*p < 0x80)
            p++;
        else {
            unsigned len = sequence(p);
            broken |= len == 0;
            p += len == 0 ? 1 : len;
        }
    }
    if (broken)
        k4_json_note(json, K4_REFUSED_UTF8, quote);
    *type = (uint8_t)(p == quote + 1 ? K4_EMPTY : K4_STRING | escaped);
    return p + 1;
}

/* Where a text leaves `word`. */
static const uint8_t *no_literal(struct k4_json *json, const uint8_t *p, const char *word)
{
    while (p < json->end && *p == (uint8_t)*word) {
        p++;
        word++;
    }
    return k4_json_fail(json, p);
}

static const uint8_t *digits(struct k4_json *json, const uint8_t *p)
{
    if (p >= json->end || (uint8_t)(*p - '0') > 9)
        return k4_json_fail(json, p);
    do
        p++;
    while (p < json->end && (uint8_t)(*p - '0') <= 9);
    return p;
}

const uint8_t *k4_json_number_slow(struct k4_json *json, const uint8_t *p)
{
    p += *p == '-';
    if (p < json->end && *p == '0')
        p++;
    else if ((p = digits(json, p)) == NULL)
        return NULL;
    if (p < json->end && *p == '.' && (p = digits(json, p + 1)) == NULL)
        return NULL;
    if (p < json->end && (*p | 0x20) == 'e') {
        p++;
        p += p < json->end && (*p == '+' || *p == '-');
        p = digits(json, p);
    }
    return p;
}

const uint8_t *k4_json_other(struct k4_json *json, const uint8_t *p, unsigned open, uint8_t *type)
{
    switch (*p) {
    case '{':
        *type = K4_OBJECT;
        return k4_json_container(json, p, open);
    case '[':
        *type = K4_ARRAY;
        return k4_json_container(json, p, open);
    case 't':
        *type = K4_TRUE;
        return json->end - p >= 4 && memcmp(p, "true", 4) == 0 ? p + 4 : no_literal(json, p, "true");
    case 'f':
        *type = K4_FALSE;
        return json->end - p >= 5 && memcmp(p, "false", 5) == 0 ? p + 5 : no_literal(json, p, "false");
    case 'n':
        *type = K4_NULL;
        return json->end - p >= 4 && memcmp(p, "null", 4) == 0 ? p + 4 : no_literal(json, p, "null");
    case '-':
        *type = K4_NUMBER;
        return k4_json_number_slow(json, p);
    default:
        return k4_json_fail(json, p);
    }
}

/* ---- containers that nobody named: a bit per open container instead of recursion */

/* Bits of the innermost DEEP_BITS open containers, 1 = object. Levels further out are found again by reading the text from its
 * start, which only a frame nested deeper than that many brackets needs. */
#define DEEP_BITS 65536u

struct stack {
    uint8_t bits[DEEP_BITS / 8];
    uint32_t level; /* containers open */
    uint32_t held; /* how many of the innermost the bits know */
};

static void push(struct stack *stack, bool object)
{
    uint32_t slot = stack->level++ % DEEP_BITS;
    uint8_t bit = (uint8_t)(1u << (slot % 8));
    stack->bits[slot / 8] = (uint8_t)(object ? stack->bits[slot / 8] | bit : stack->bits[slot / 8] & ~bit);
    if (stack->held < DEEP_BITS)
        stack->held++;
}

static void pop(struct stack *stack)
{
    stack->level--;
    stack->held--;
}

static bool innermost_is_object(const struct stack *stack)
{
    uint32_t slot = (stack->level - 1) % DEEP_BITS;
    return (stack->bits[slot / 8] >> (slot % 8)) & 1;
}

/* The stack as it is at `to`, from [from, to), which is proven. */
static void recall(struct stack *stack, const uint8_t *from, const uint8_t *to)
{
    stack->level = 0;
    stack->held = 0;
    for (const uint8_t *p = from; p < to; p++) {
        if (*p == '"') {
            for (p++; *p != '"'; p++)
                p += *p == '\\';
        } else if (*p == '{' || *p == '[')
            push(stack, *p == '{');
        else if ((*p == '}' || *p == ']') && stack->held > 0)
            pop(stack);
        else if (*p == '}' || *p == ']')
            stack->level--; /* its bit was overwritten, and is not asked for */
    }
}

/* The grammar of the container at `p`, however deep. */
static const uint8_t *deep(struct k4_json *json, const uint8_t *p)
{
    const uint8_t *start = p;
    struct stack stack = {.level = 0}; /* and all bits: push writes into bytes that it did not fill */
    for (;;) {
        bool more = true;
        if (p >= json->end)
            return k4_json_fail(json, p);
        if (*p == '{' || *p == '[') {
            bool object = *p == '{';
            push(&stack, object);
            p = k4_json_space(json, p + 1);
            if (p < json->end && *p == (object ? '}' : ']')) {
                p++;
                more = false;
            }
        } else {
            uint8_t type;
            p = k4_json_value(json, p, 0, &type);
            if (p == NULL || (p = k4_json_next(json, p, innermost_is_object(&stack) ? '}' : ']', &more)) == NULL)
                return NULL;
        }
        while (!more) {
            pop(&stack);
            if (stack.level == 0)
                return p;
            if (stack.held == 0)
                recall(&stack, start, p);
            if ((p = k4_json_next(json, p, innermost_is_object(&stack) ? '}' : ']', &more)) == NULL)
                return NULL;
        }
        struct k4_key key;
        if (innermost_is_object(&stack) && (p = k4_json_key(json, p, &key)) == NULL)
            return NULL;
    }
}

const uint8_t *k4_json_container(struct k4_json *json, const uint8_t *p, unsigned open)
{
    uint64_t objects = 0; /* a bit per container open here, the innermost lowest */
    unsigned level = 0;
    for (;;) {
        bool more = true;
        if (p >= json->end)
            return k4_json_fail(json, p);
        if ((*p == '{' || *p == '[') && open + level >= K4_MAX_DEPTH) {
            k4_json_note(json, K4_REFUSED_DEPTH, p);
            p = deep(json, p);
            if (p == NULL || level == 0)
                return p;
            if ((p = k4_json_next(json, p, objects & 1 ? '}' : ']', &more)) == NULL)
                return NULL;
        } else if (*p == '{' || *p == '[') {
            bool object = *p == '{';
            objects = objects << 1 | object;
            level++;
            p = k4_json_space(json, p + 1);
            if (p < json->end && *p == (object ? '}' : ']')) {
                p++;
                more = false;
            }
        } else {
            uint8_t type;
            p = k4_json_value(json, p, 0, &type);
            if (p == NULL || (p = k4_json_next(json, p, objects & 1 ? '}' : ']', &more)) == NULL)
                return NULL;
        }
        while (!more) {
            objects >>= 1;
            if (--level == 0)
                return p;
            if ((p = k4_json_next(json, p, objects & 1 ? '}' : ']', &more)) == NULL)
                return NULL;
        }
        struct k4_key key;
        if ((objects & 1) != 0 && (p = k4_json_key(json, p, &key)) == NULL)
            return NULL;
    }
}

/* ---- over proven text */

static const uint8_t *over_string(const uint8_t *p)
{
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

const uint8_t *k4_json_over(const uint8_t *p)
{
    if (*p == '"')
        return over_string(p);
    if (*p != '{' && *p != '[') {
        while (*p != ',' && *p != '}' && *p != ']' && *p > ' ')
            p++;
        return p;
    }
    unsigned level = 0;
    for (;;) {
        if (*p == '"') {
            p = over_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            level++;
        else if ((*p == '}' || *p == ']') && --level == 0)
            return p + 1;
        p++;
    }
}

/* The opening quote of the string that ends at `p` (its closing quote): the nearest quote with an even number of backslashes
 * in front of it. */
static const uint8_t *back_string(const uint8_t *p)
{
    for (;;) {
        p--;
        if (*p != '"')
            continue;
        const uint8_t *s = p;
        while (s[-1] == '\\')
            s--;
        if (((p - s) & 1) == 0)
            return p;
    }
}

const uint8_t *k4_json_back(const uint8_t *p, const uint8_t *begin)
{
    unsigned level = 0;
    p--;
    for (;;) {
        if (*p == '"')
            p = back_string(p);
        else if (*p == '}' || *p == ']')
            level++;
        else if (*p == '{' || *p == '[')
            level--;
        else if (level == 0) { /* a number or literal */
            while (p > begin && p[-1] > ' ' && p[-1] != ',' && p[-1] != '[' && p[-1] != ':')
                p--;
        }
        if (level == 0)
            return p;
        p--;
    }
}

const uint8_t *k4_json_each_back(const uint8_t *p, const uint8_t *open, const uint8_t **end)
{
    do
        p--;
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t');
    if (p == open)
        return NULL;
    if (*p == ',') {
        do
            p--;
        while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t');
    }
    *end = p + 1;
    return k4_json_back(p + 1, open + 1);
}

uint8_t k4_json_type(const uint8_t *p, const uint8_t *end)
{
    switch (*p) {
    case '{':
        return K4_OBJECT;
    case '[':
        return K4_ARRAY;
    case 't':
        return K4_TRUE;
    case 'f':
        return K4_FALSE;
    case 'n':
        return K4_NULL;
    case '"':
        if (end == p + 2)
            return K4_EMPTY;
        return (uint8_t)(memchr(p, '\\', (size_t)(end - p)) != NULL ? K4_STRING | K4_ESCAPED : K4_STRING);
    default:
        return K4_NUMBER;
    }
}
