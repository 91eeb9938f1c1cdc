/* The validating pass: word scanning against its naive twin, where malformed texts end, and steps over proven text. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_decode.h"
#include "k4_text.h"

/* A text in memory of its size, slack filled with `fill`; the caller frees what `memory` says. */
static struct k4_json text_of(const char *text, char fill, uint8_t **memory)
{
    size_t len = strlen(text);
    *memory = malloc(len + 2 * K4_SLACK);
    assert(*memory != NULL);
    memset(*memory, fill, len + 2 * K4_SLACK);
    memcpy(*memory + K4_SLACK, text, len);
    return (struct k4_json){.text = *memory + K4_SLACK, .end = *memory + K4_SLACK + len};
}

struct expected {
    const char *text;
    int bad; /* -1: well-formed */
    uint32_t finding;
    uint32_t at;
};

static void check(const struct expected *one)
{
    static const char fills[] = {0, ' ', '"', '}', ']', '1', '\\', '{'};
    for (size_t i = 0; i < sizeof fills; i++) {
        uint8_t *memory;
        struct k4_json json = text_of(one->text, fills[i], &memory);
        const uint8_t *p = k4_json_space(&json, json.text);
        p = p < json.end ? k4_json_skip(&json, p, 0) : k4_json_fail(&json, p);
        if (p != NULL) {
            p = k4_json_space(&json, p);
            if (p != json.end)
                p = k4_json_fail(&json, p);
        }
        int bad = p == NULL ? (int)json.bad : -1;
        if (bad != one->bad || (bad < 0 && (json.finding != one->finding || json.finding_at != one->at))) {
            printf("%s: bad %d finding %u at %u\n", one->text, bad, json.finding, json.finding_at);
            abort();
        }
        free(memory);
    }
}

static void test_grammar(void)
{
    static const struct expected cases[] = {
        {"", 0, 0, 0},
        {"  ", 2, 0, 0},
        {"1", -1, 0, 0},
        {" [1, 2.5e-7 ,true,false,null,\"x\"] ", -1, 0, 0},
        {"{\"a\":{},\"b\":[]}", -1, 0, 0},
        {"{\"a\":{},}", 8, 0, 0},
        {"[1,]", 3, 0, 0},
        {"[,1]", 1, 0, 0},
        {"{\"a\" 1}", 5, 0, 0},
        {"{a:1}", 1, 0, 0},
        {"[1}", 2, 0, 0},
        {"[1", 2, 0, 0},
        {"[1]x", 3, 0, 0},
        {"01", 1, 0, 0},
        {"-", 1, 0, 0},
        {"-x", 1, 0, 0},
        {"1.", 2, 0, 0},
        {"[1.]", 3, 0, 0},
        {"1e+", 3, 0, 0},
        {"tru", 3, 0, 0},
        {"trux", 3, 0, 0},
        {"nul1", 3, 0, 0},
        {"\"abc", 4, 0, 0},
        {"\"a\nb\"", 2, 0, 0},
        {"\"\\x\"", 2, 0, 0},
        {"\"\\u12g4\"", 5, 0, 0},
        {"\"\\", 2, 0, 0},
        {"\"12345678\\n12345678\"", -1, 0, 0},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", -1, 0, 0},
        {"[\"\xc3\"]", -1, K4_REFUSED_UTF8, 1},
        {"[1,\"\xed\xa0\x80\"]", -1, K4_REFUSED_UTF8, 3},
        {"[\"\xc0\x80\",\"\xf4\x90\x80\x80\"]", -1, K4_REFUSED_UTF8, 1},
        {"[\"\xe0\x9f\xbf\"]", -1, K4_REFUSED_UTF8, 1},
        {"[\"\xf0\x8f\xbf\xbf\"]", -1, K4_REFUSED_UTF8, 1},
        {"[\"\xff\",]", 5, 0, 0},
        {"\"\xe2\x82", 3, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void test_depth(void)
{
    char text[400];
    for (int depth = 1; depth < 150; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        struct expected one = {text, -1, depth > K4_MAX_DEPTH ? K4_REFUSED_DEPTH : 0, depth > K4_MAX_DEPTH ? K4_MAX_DEPTH : 0};
        check(&one);
        text[2 * depth - 1] = '}';
        one = (struct expected){text, 2 * depth - 1, 0, 0};
        check(&one);
    }
}

/* The naive twins of k4_json_plain and k4_json_digits. */
static unsigned plain_bytes(const uint8_t *p)
{
    unsigned i = 0;
    while (i < K4_JSON_BLOCK && p[i] != '"' && p[i] != '\\' && p[i] >= 0x20 && p[i] < 0x80)
        i++;
    return i;
}

static unsigned digit_bytes(const uint8_t *p)
{
    unsigned i = 0;
    while (i < K4_JSON_BLOCK && p[i] >= '0' && p[i] <= '9')
        i++;
    return i;
}

static void test_blocks(void)
{
    static const uint8_t odd[] = {'"', '\\', 0x1f, 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xff, 0x00, '0', '9', '/', ':'};
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        uint8_t block[K4_JSON_BLOCK];
        for (int i = 0; i < K4_JSON_BLOCK; i++) {
            state = state * 1664525u + 1013904223u;
            bool digit = (round & 2) != 0 && (state >> 16 & 7) != 0;
            block[i] = digit ? (uint8_t)('0' + state % 10) : (round & 1) != 0 ? odd[state >> 28] : (uint8_t)(state >> 24);
        }
        assert(k4_json_plain(block) == plain_bytes(block));
        assert(k4_json_digits(block) == digit_bytes(block));
    }
}

static void test_backwards(void)
{
    uint8_t *memory;
    const char *text = "[ 1 ,\"a\\\\\\\"]\", {\"k\":[1,\"}\"]} ,[],-2.5e7,null , \"\" ]";
    static const char *const values[] = {"\"\"", "null", "-2.5e7", "[]", "{\"k\":[1,\"}\"]}", "\"a\\\\\\\"]\"", "1"};
    struct k4_json json = text_of(text, ' ', &memory);
    const uint8_t *p = json.end - 1;
    const uint8_t *end;
    for (size_t i = 0; i < 7; i++) {
        p = k4_json_each_back(p, json.text, &end);
        assert(p != NULL && (size_t)(end - p) == strlen(values[i]) && memcmp(p, values[i], strlen(values[i])) == 0);
        assert(k4_json_over(p) == end);
        assert(k4_text_from_end(json.text, json.end, (uint32_t)i + 1) == p);
    }
    assert(k4_json_each_back(p, json.text, &end) == NULL);
    assert(k4_text_from_end(json.text, json.end, 8) == NULL);
    size_t count = 0;
    for (p = k4_json_each(json.text + 1); p != NULL; p = k4_json_each(k4_json_over(p)))
        count++;
    assert(count == 7);
    free(memory);
}

static void test_find(void)
{
    uint8_t *memory;
    const uint8_t *second;
    struct k4_json json = text_of("[1,{\"t\":\"A\"},{\"t\":7},{\"\\u0074\":\"\\u0042\"},{\"t\":\"C\",\"x\":{},\"t\":1}]", ' ', &memory);
    assert(k4_text_find(json.text, "t", 1, "A", 1, &second) == json.text + 3 && second == NULL);
    assert(k4_text_find(json.text, "t", 1, "7", 1, &second) == json.text + 13);
    assert(k4_text_find(json.text, "t", 1, "B", 1, &second) == json.text + 21);
    assert(k4_text_find(json.text, "t", 1, "C", 1, &second) == NULL);
    assert(second != NULL && memcmp(second, "\"t\":1", 5) == 0);
    free(memory);
}

int main(void)
{
    test_grammar();
    test_depth();
    test_blocks();
    test_backwards();
    test_find();
    puts("json: ok");
    return 0;
}
