/* Blocks, codes and gzip headers. See k4_inflate.h. */
#include "k4_inflate.h"

#include <string.h>

enum { MOST_BITS = 15, QUICK_BITS = 9, LITERALS = 288, DISTANCES = 30, END = 256 };

/* ---- bits: the lowest of a byte first */

struct bits {
    const uint8_t *next;
    const uint8_t *end;
    uint64_t hold;
    unsigned count; /* of those in `hold` */
};

static inline void refill(struct bits *in)
{
    while (in->count <= 56 && in->next < in->end) {
        in->hold |= (uint64_t)*in->next++ << in->count;
        in->count += 8;
    }
}

/* Takes `n` bits, at most 16; false: there are none left. */
static inline bool take(struct bits *in, unsigned n, unsigned *value)
{
    refill(in);
    if (in->count < n)
        return false;
    *value = (unsigned)(in->hold & ((UINT64_C(1) << n) - 1));
    in->hold >>= n;
    in->count -= n;
    return true;
}

/* The next whole byte: what is left of the one in hand means nothing. */
static const uint8_t *behind(const struct bits *in)
{
    return in->next - in->count / 8;
}

/* ---- codes */

/* A canonical Huffman code. Short words are looked up, the lowest bit first; longer ones are counted through, length by length. */
struct code {
    uint16_t quick[1 << QUICK_BITS]; /* symbol << 4 | length; 0: longer, or none */
    uint16_t count[MOST_BITS + 1];
    uint16_t symbol[LITERALS];
};

static unsigned reversed(unsigned word, unsigned len)
{
    unsigned out = 0;
    for (; len > 0; len--, word >>= 1)
        out = out << 1 | (word & 1);
    return out;
}

/* False: words are missing, or there are too many of them. Unless it shall be `whole`, a code of one bit may have one word, or none. */
static bool make_code(struct code *code, const uint8_t *lengths, unsigned n, bool whole)
{
    uint16_t place[MOST_BITS + 1];
    unsigned next[MOST_BITS + 1];
    unsigned word = 0, longest = 0;
    int left = 1;
    memset(code, 0, sizeof *code);
    for (unsigned i = 0; i < n; i++)
        code->count[lengths[i]]++;
    code->count[0] = 0;
    place[1] = 0;
    for (unsigned len = 1; len <= MOST_BITS; len++) {
        left = 2 * left - code->count[len];
        if (left < 0)
            return false;
        next[len] = word;
        word = (word + code->count[len]) << 1;
        if (len < MOST_BITS)
            place[len + 1] = (uint16_t)(place[len] + code->count[len]);
        if (code->count[len] > 0)
            longest = len;
    }
    if (left > 0 && (whole || longest > 1))
        return false;
    for (unsigned i = 0; i < n; i++) {
        const unsigned len = lengths[i];
        if (len == 0)
            continue;
        code->symbol[place[len]++] = (uint16_t)i;
        for (unsigned at = reversed(next[len]++, len); len <= QUICK_BITS && at < 1 << QUICK_BITS; at += 1u << len)
            code->quick[at] = (uint16_t)(i << 4 | len);
    }
    return true;
}

/* The next symbol; -1: no word of the code, or no bits left. */
static int symbol_of(const struct code *code, struct bits *in)
{
    refill(in);
    const unsigned quick = code->quick[in->hold & ((1u << QUICK_BITS) - 1)];
    if (quick != 0) {
        const unsigned len = quick & 15;
        if (len > in->count)
            return -1;
        in->hold >>= len;
        in->count -= len;
        return (int)(quick >> 4);
    }
    unsigned word = 0, first = 0, index = 0;
    for (unsigned len = 1; len <= MOST_BITS && len <= in->count; len++) {
        word = word << 1 | (unsigned)(in->hold >> (len - 1) & 1);
        if (word - first < code->count[len]) {
            in->hold >>= len;
            in->count -= len;
            return code->symbol[index + word - first];
        }
        index += code->count[len];
        first = (first + code->count[len]) << 1;
    }
    return -1;
}

/* ---- blocks */

struct flow {
    struct bits in;
    uint8_t *out;
    size_t len;
    size_t room;
    struct code literals;
    struct code distances;
};

static enum k4_inflated stored(struct flow *flow)
{
    unsigned spare, len, twin;
    if (!take(&flow->in, flow->in.count % 8, &spare) || !take(&flow->in, 16, &len) || !take(&flow->in, 16, &twin) || len != (~twin & 0xffff))
        return K4_INFLATE_BROKEN;
    flow->in = (struct bits){.next = behind(&flow->in), .end = flow->in.end};
    if ((size_t)(flow->in.end - flow->in.next) < len)
        return K4_INFLATE_BROKEN;
    if (flow->room - flow->len < len)
        return K4_INFLATE_LONG;
    memcpy(flow->out + flow->len, flow->in.next, len);
    flow->in.next += len;
    flow->len += len;
    return K4_INFLATED;
}

/* What a symbol stands for, and how many more bits tell which of them. */
struct range {
    uint16_t base;
    uint8_t bits;
};

static const struct range lengths_of[29] = {
    {3, 0},  {4, 0},  {5, 0},  {6, 0},  {7, 0},  {8, 0},  {9, 0},  {10, 0},  {11, 1},  {13, 1},  {15, 1},  {17, 1},  {19, 2},  {23, 2},  {27, 2},
    {31, 2}, {35, 3}, {43, 3}, {51, 3}, {59, 3}, {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
};
static const struct range distances_of[DISTANCES] = {
    {1, 0},   {2, 0},   {3, 0},   {4, 0},   {5, 1},   {7, 1},    {9, 2},    {13, 2},   {17, 3},   {25, 3},   {33, 4},   {49, 4},    {65, 5},    {97, 5},    {129, 6},
    {193, 6}, {257, 7}, {385, 7}, {513, 8}, {769, 8}, {1025, 9}, {1537, 9}, {2049, 10}, {3073, 10}, {4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13},
};

static bool take_range(struct bits *in, const struct range *range, unsigned *value)
{
    unsigned more;
    if (!take(in, range->bits, &more))
        return false;
    *value = range->base + more;
    return true;
}

/* A piece of what was put out before, which may reach into itself. */
static enum k4_inflated repeat(struct flow *flow, unsigned symbol)
{
    unsigned len, back;
    if (symbol >= sizeof lengths_of / sizeof *lengths_of || !take_range(&flow->in, &lengths_of[symbol], &len))
        return K4_INFLATE_BROKEN;
    const int far = symbol_of(&flow->distances, &flow->in);
    if (far < 0 || far >= DISTANCES || !take_range(&flow->in, &distances_of[far], &back) || back > flow->len)
        return K4_INFLATE_BROKEN;
    if (flow->room - flow->len < len)
        return K4_INFLATE_LONG;
    uint8_t *to = flow->out + flow->len;
    flow->len += len;
    if (back >= len) {
        memcpy(to, to - back, len);
        return K4_INFLATED;
    }
    for (; len > 0; len--, to++)
        *to = *(to - back);
    return K4_INFLATED;
}

static enum k4_inflated coded(struct flow *flow)
{
    for (;;) {
        const int symbol = symbol_of(&flow->literals, &flow->in);
        if (symbol < 0)
            return K4_INFLATE_BROKEN;
        if (symbol == END)
            return K4_INFLATED;
        if (symbol > END) {
            const enum k4_inflated status = repeat(flow, (unsigned)symbol - END - 1);
            if (status != K4_INFLATED)
                return status;
        } else {
            if (flow->len == flow->room)
                return K4_INFLATE_LONG;
            flow->out[flow->len++] = (uint8_t)symbol;
        }
    }
}

static bool fixed_codes(struct flow *flow)
{
    uint8_t lengths[LITERALS];
    for (unsigned i = 0; i < LITERALS; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    bool made = make_code(&flow->literals, lengths, LITERALS, true);
    memset(lengths, 5, 32);
    return made && make_code(&flow->distances, lengths, 32, true);
}

/* The lengths of both codes' words, themselves coded: a length, or how often the last one, or 0, comes again. */
static bool word_lengths(struct flow *flow, const struct code *code, uint8_t *lengths, unsigned n)
{
    static const struct range again[3] = {{3, 2}, {3, 3}, {11, 7}};
    for (unsigned i = 0; i < n;) {
        const int symbol = symbol_of(code, &flow->in);
        unsigned times;
        if (symbol < 0 || (symbol == 16 && i == 0))
            return false;
        if (symbol < 16) {
            lengths[i++] = (uint8_t)symbol;
            continue;
        }
        const uint8_t len = symbol == 16 ? lengths[i - 1] : 0;
        if (!take_range(&flow->in, &again[symbol - 16], &times) || times > n - i)
            return false;
        memset(lengths + i, len, times);
        i += times;
    }
    return true;
}

static bool own_codes(struct flow *flow)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    struct code words;
    uint8_t lengths[LITERALS + DISTANCES] = {0};
    unsigned literals, distances, given, len;
    if (!take(&flow->in, 5, &literals) || !take(&flow->in, 5, &distances) || !take(&flow->in, 4, &given))
        return false;
    literals += END + 1;
    distances += 1;
    if (literals > LITERALS - 2 || distances > DISTANCES)
        return false;
    for (unsigned i = 0; i < given + 4; i++) {
        if (!take(&flow->in, 3, &len))
            return false;
        lengths[order[i]] = (uint8_t)len;
    }
    if (!make_code(&words, lengths, sizeof order, true))
        return false;
    memset(lengths, 0, sizeof order);
    return word_lengths(flow, &words, lengths, literals + distances) && lengths[END] != 0
        && make_code(&flow->literals, lengths, literals, false) && make_code(&flow->distances, lengths + literals, distances, false);
}

static enum k4_inflated flow_out(struct flow *flow)
{
    unsigned last, kind;
    do {
        enum k4_inflated status = K4_INFLATE_BROKEN;
        if (!take(&flow->in, 1, &last) || !take(&flow->in, 2, &kind))
            return status;
        if (kind == 0)
            status = stored(flow);
        else if ((kind == 1 && fixed_codes(flow)) || (kind == 2 && own_codes(flow)))
            status = coded(flow);
        if (status != K4_INFLATED)
            return status;
    } while (last == 0);
    return K4_INFLATED;
}

/* ---- gzip */

/* Behind the header of a member; NULL: it is none. */
static const uint8_t *gzip_body(const struct k4_crc32 *crc, const uint8_t *in, const uint8_t *end)
{
    enum { HAS_CRC = 2, HAS_EXTRA = 4, HAS_NAME = 8, HAS_COMMENT = 16, RESERVED = 0xe0, HEADER = 10 };
    if (end - in < HEADER || memcmp(in, "\x1f\x8b\x08", 3) != 0 || (in[3] & RESERVED) != 0)
        return NULL;
    const uint8_t *p = in + HEADER;
    if ((in[3] & HAS_EXTRA) != 0) {
        if (end - p < 2 || end - p - 2 < (p[0] | p[1] << 8))
            return NULL;
        p += 2 + (p[0] | p[1] << 8);
    }
    for (unsigned text = HAS_NAME; text <= HAS_COMMENT; text *= 2) {
        const uint8_t *zero = (in[3] & text) == 0 ? NULL : memchr(p, 0, (size_t)(end - p));
        if (zero == NULL && (in[3] & text) != 0)
            return NULL;
        p = zero == NULL ? p : zero + 1;
    }
    if ((in[3] & HAS_CRC) != 0) {
        const uint32_t sum = k4_crc32_add(crc, 0, in, (size_t)(p - in)) & 0xffff;
        if (end - p < 2 || sum != (uint32_t)(p[0] | p[1] << 8))
            return NULL;
        p += 2;
    }
    return p;
}

static uint32_t word_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum k4_inflated k4_inflate(
    const struct k4_crc32 *crc, enum k4_encoding encoding, const uint8_t *in, size_t len, uint8_t *out, size_t room, size_t *out_len)
{
    enum { TRAILER = 8 };
    const uint8_t *end = in + len;
    struct flow flow;
    const uint8_t *body = encoding == K4_ENCODING_GZIP ? gzip_body(crc, in, end) : in;
    *out_len = 0;
    if (body == NULL)
        return K4_INFLATE_BROKEN;
    flow.in = (struct bits){.next = body, .end = end};
    flow.out = out;
    flow.len = 0;
    flow.room = room;
    const enum k4_inflated status = flow_out(&flow);
    *out_len = flow.len;
    if (status != K4_INFLATED)
        return status;
    const uint8_t *p = behind(&flow.in);
    if (encoding == K4_ENCODING_GZIP) {
        if (end - p < TRAILER || word_at(p) != k4_crc32_add(crc, 0, out, flow.len) || word_at(p + 4) != (uint32_t)flow.len)
            return K4_INFLATE_BROKEN;
        p += TRAILER;
    }
    return p == end ? K4_INFLATED : K4_INFLATE_BROKEN;
}
