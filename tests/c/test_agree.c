/* The fast parser says what the tolerant one says, or nothing: on invented frames of the built-in products, and on all that becomes of them
 * when they are cut at every length (with the rest still standing behind, as in a receive region), when any byte is another, when any
 * number or text is another, and when several such things happen at once. What gives records is also published and counted.
 *
 * Agreement with the reference interpreter is tested from Python; here it is every byte, under sanitizers, in a second. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "k4_api.h"
#include "k4_books.h"
#include "k4_decode.h"

static const char *const frames[] = {
    "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"u\":400900217,\"s\":\"BTCUSDT\",\"b\":\"25.35190000\",\"B\":\"31.21000000\",\"a\":\"25.36520000\","
    "\"A\":\"40.66000000\"}}",
    "{\"u\":400900217,\"s\":\"BTCUSDT\",\"b\":\"25.35190000\",\"B\":\"31.21000000\",\"a\":\"25.36520000\",\"A\":\"40.66000000\"}",
    "{\"stream\":\"bnbbtc@trade\",\"data\":{\"e\":\"trade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"T\":1672515782137,"
    "\"m\":true,\"M\":true}}",
    "{\"e\":\"trade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"T\":1672515782137,\"m\":false,\"M\":true}",
    "{\"stream\":\"bnbbtc@trade\",\"data\":{\"e\":\"trade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\",\"b\":88,\"a\":50,"
    "\"T\":1672515782137,\"m\":true,\"M\":true}}",
    "{\"stream\":\"bnbbtc@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"a\":12345,\"p\":\"0.001\",\"q\":\"100\",\"f\":100,"
    "\"l\":105,\"T\":1672515782136,\"m\":true,\"M\":true}}",
    "{\"e\":\"aggTrade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"a\":12345,\"p\":\"0.001\",\"q\":\"100\",\"f\":100,\"l\":105,\"T\":1672515782136,\"m\":false,"
    "\"M\":true}",
    "{\"stream\":\"btcusdt@depth5@100ms\",\"data\":{\"lastUpdateId\":160,\"bids\":[[\"0.0024\",\"10\"],[\"0.0022\",\"11.5\"]],\"asks\":[[\"0.0026\",\"100\"],"
    "[\"0.003\",\"7\"],[\"0.0031\",\"7\"]]}}",
    "{\"stream\":\"btcusdt@depth5@100ms\",\"data\":{\"lastUpdateId\":161,\"bids\":[],\"asks\":[]}}",
    "{\"stream\":\"btcusdt@depth5@100ms\",\"data\":{\"lastUpdateId\":162,\"bids\":[[\"5\",\"1\"],[\"4\",\"1\"],[\"3\",\"1\"],[\"2\",\"1\"],[\"1\",\"1\"]],"
    "\"asks\":[[\"6\",\"1\"],[\"7\",\"1\"],[\"8\",\"1\"],[\"9\",\"1\"],[\"10\",\"1\"],[\"11\",\"1\"]]}}",
    "{\"result\":null,\"id\":1}",
    "{\"code\":2,\"msg\":\"Invalid request: wrong\",\"id\":7}",
    "{\"error\":{\"code\":2,\"msg\":\"Invalid request\"},\"id\":7}",
};

static const char *const numbers[] = {
    "0", "-0", "-1", "7", "00", "1.", ".5", "+1", "1e5", "1.50e1", "1E-3", "1e", "1e-200", "1e999", "0e999", "0.000", "12.3456789", "\"3\"", "null", "true",
    "[]", "{}", "[1,[2,{\"a\":3}]]", "\"\"", "999999999999999999", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616",
    "123456789012345678901234567890", "0.1234567890123456789", "1234567890.12345678", "92233720368.54775807", "92233720368.54775808", "1672515782136123",
    "1672515782136123456", "1672515782", "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
    "2147483647", "2147483648",
};

static const char *const texts[] = {
    "", "0", "-1.5", "1e2", "00.1", "x", "A", "\xc3\xa9", "\xff", "\xed\xa0\x80", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\n", "a\\", "\n", "\\\"", "\\x",
    "123456789012345678", "1234567890123456789", "12345678.12345678", "0.12345678901234567890", "99999999999.99999999", "BTCUSDT", "bookTicker", "trade",
    "btcusdt@trade", "@depth5@100ms", "x@depth10@100ms", "x@kline_1m", "0123456789012345678901234567890123456789012345678901234567890123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLM@bookTicker",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROOM = 4096 };

static uint8_t memory[ROOM + 2 * K4_SLACK];
static uint8_t *const text = memory + K4_SLACK;
static struct k4_scratch fast, tolerant;
static const struct k4_product *product;
static unsigned long asked, taken, refused;

static void never(void *context, struct k4_scratch *full)
{
    (void)context;
    (void)full;
    abort(); /* no frame here gives as many records */
}

static bool same(const struct k4_item *a, const struct k4_item *b)
{
    return a->record == b->record && a->message == b->message && a->symbol_len == b->symbol_len && memcmp(a->symbol, b->symbol, a->symbol_len) == 0
           && memcmp(&a->as, &b->as, k4_record_size[a->record]) == 0;
}

static void agree(size_t len)
{
    memset(&fast.items[0].as, 0, sizeof fast.items[0].as); /* what a parser leaves as it was is no difference */
    memset(&tolerant.items[0].as, 0, sizeof tolerant.items[0].as);
    tolerant.count = 0;
    tolerant.skip = K4_SKIP_NOT;
    tolerant.skip_message = K4_NO_MESSAGE;
    k4_books_clear(fast.books); /* each frame meets books that have seen nothing */
    k4_books_clear(tolerant.books);
    product->tolerant(text, len, &tolerant);
    asked++;
    for (uint32_t i = 0; i < tolerant.count; i++) {
        refused += tolerant.items[i].record == 0;
        CHECK(tolerant.items[i].record != 0 || (tolerant.items[i].refusal != 0 && tolerant.items[i].offset <= len));
    }
    if (!product->fast(text, len, &fast))
        return;
    taken++;
    if (fast.count != tolerant.count) {
        printf("%.*s: %u items and %u\n", (int)len, (const char *)text, fast.count, tolerant.count);
        check_failures++;
        return;
    }
    for (uint32_t i = 0; i < fast.count; i++) {
        if (!same(&fast.items[i], &tolerant.items[i])) {
            printf("%.*s: item %u differs\n", (int)len, (const char *)text, i);
            check_failures++;
        }
    }
}

static size_t set(const char *frame)
{
    size_t len = strlen(frame);
    memcpy(text, frame, len);
    memset(text + len, 0, K4_SLACK);
    return len;
}

/* Puts `with` in place of `part` bytes at `at`; the new length. */
static size_t put(size_t len, size_t at, size_t part, const char *with)
{
    const size_t more = strlen(with);
    if (len - part + more > ROOM)
        return len;
    memmove(text + at + more, text + at + part, len - at - part);
    memcpy(text + at, with, more);
    len = len - part + more;
    memset(text + len, 0, K4_SLACK);
    return len;
}

/* The extent of the number or text that begins at `at`; 0: none does. `*inner`: where its content is. */
static size_t extent(size_t len, size_t at, bool *number)
{
    size_t end = at;
    *number = text[at] != '"';
    if (!*number) {
        for (end++; end < len && text[end] != '"'; end++)
            continue;
        return end < len ? end - at - 1 : 0;
    }
    while (end < len && strchr("0123456789.-+eE", text[end]) != NULL && text[end] != 0)
        end++;
    return end - at;
}

static void cut(const char *frame)
{
    const size_t len = set(frame);
    for (size_t to = 0; to <= len; to++)
        agree(to);
    for (size_t to = 0; to <= len; to++) { /* and with the beginning of the next frame behind it */
        (void)set(frame);
        memcpy(text + to, "\x81\x0f{\"e\":\"trade\",\"", 16);
        agree(to);
        memset(text + to, '9', K4_SLACK);
        agree(to);
        memset(text + to, '"', K4_SLACK);
        agree(to);
    }
}

static void other_bytes(const char *frame)
{
    static const char bytes[] = "\"\\{}[],:09-.eEx \n\t\x01\x7f\x80\xc3\xff";
    const size_t len = set(frame);
    for (size_t at = 0; at < len; at++) {
        const uint8_t was = text[at];
        for (size_t i = 0; i < sizeof bytes - 1; i++) {
            text[at] = (uint8_t)bytes[i];
            agree(len);
        }
        text[at] = was;
        (void)put(len, at, 1, "");
        agree(len - 1);
        (void)set(frame);
        (void)put(len, at, 0, " ");
        agree(len + 1);
        (void)set(frame);
    }
}

static void other_values(const char *frame)
{
    const size_t whole = set(frame);
    for (size_t at = 0; at < whole; at++) {
        bool number;
        size_t part = extent(whole, at, &number);
        if (part == 0 && text[at] != '"')
            continue;
        const size_t from = number ? at : at + 1;
        for (size_t i = 0; i < (number ? COUNT(numbers) : COUNT(texts)); i++) {
            const size_t len = put(set(frame), from, part, number ? numbers[i] : texts[i]);
            agree(len);
        }
        if (!number) /* without its quotes */
            for (size_t i = 0; i < COUNT(numbers); i++)
                agree(put(set(frame), at, part + 2, numbers[i]));
        (void)set(frame);
        at += number ? part : part + 1;
    }
}

static uint32_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

/* Up to four values and bytes of any frame at once; a symbol or a level may be another one too. */
static void several(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        size_t len = set(frames[dice(COUNT(frames))]);
        for (uint32_t n = dice(4) + 1; n > 0; n--) {
            size_t at = dice((uint32_t)len);
            bool number;
            while (at < len && text[at] != '"' && (text[at] < '0' || text[at] > '9'))
                at++;
            if (at == len)
                break;
            const size_t part = extent(len, at, &number);
            const uint32_t what = dice(8);
            if (what == 0)
                text[at] = (uint8_t)dice(256);
            else if (number)
                len = put(len, at, part, numbers[dice(COUNT(numbers))]);
            else if (what == 1)
                len = put(len, at, part + 2 <= len - at ? part + 2 : 1, numbers[dice(COUNT(numbers))]);
            else
                len = put(len, at + 1, part, texts[dice(COUNT(texts))]);
        }
        agree(len);
    }
}

/* Brackets in brackets, up to and beyond what is read. */
static void deep(void)
{
    for (unsigned depth = 1; depth < 200; depth++) {
        for (unsigned shape = 0; shape < 3; shape++) {
            size_t len = set("{\"e\":\"trade\",\"E\":1,\"x\":");
            for (unsigned i = 0; i < depth; i++)
                len = put(len, len, 0, shape == 0 || (shape == 2 && i % 2) ? "[" : "{\"a\":");
            len = put(len, len, 0, "1");
            for (unsigned i = depth; i-- > 0;)
                len = put(len, len, 0, shape == 0 || (shape == 2 && i % 2) ? "]" : "}");
            len = put(len, len, 0, "}");
            agree(len);
            agree(len - 1);
            agree(len - 2);
        }
    }
}

static void names(void)
{
    CHECK(k4_product_find("binance", "spot") == product);
    CHECK(k4_product_find("binance", "nothing") == NULL);
    CHECK(k4_product_find("nowhere", "spot") == NULL);
    const int count = k4_product_message_count(product);
    CHECK(count > 4);
    CHECK(k4_product_message_kind(product, 0) != NULL);
    CHECK(k4_product_message_kind(product, count - 1) != NULL);
    CHECK(k4_product_message_kind(product, count) == NULL);
    CHECK(k4_product_message_kind(product, -1) == NULL);
    CHECK(strlen(k4_build_digest()) < 65);
}

int main(void)
{
    product = k4_product_find("binance", "spot");
    if (product == NULL)
        return 2;
    static struct k4_books books[2];
    fast.flush = tolerant.flush = never;
    fast.books = &books[0];
    tolerant.books = &books[1];
    if (k4_books_init(fast.books) != 0 || k4_books_init(tolerant.books) != 0)
        return 2;
    names();
    for (size_t i = 0; i < COUNT(frames); i++) {
        const unsigned long before = taken;
        agree(set(frames[i]));
        CHECK(i >= 10 || taken == before + 1); /* what is market data is taken by the fast tier */
        cut(frames[i]);
        other_bytes(frames[i]);
        other_values(frames[i]);
    }
    several(200000);
    deep();
    CHECK(taken > 10000 && refused > 10000 && asked > 250000);
    k4_books_fini(fast.books);
    k4_books_fini(tolerant.books);
    printf("%lu frames, %lu taken by the fast tier, %lu refused\n", asked, taken, refused);
    return check_failures != 0;
}
