/* Prints the records of a segment as `k4 tail --json` does, one JSON object a line, until the writer closes it.
 *
 *     gcc -std=c11 -O2 -Wall -Wextra -Werror -I"$(k4 headers)" examples/reader.c -o reader
 *     ./reader SEGMENT [oldest|newest] [COUNT]
 *
 * Needs k4.h and nothing else. Lost ranges are lines of their own and not counted.
 */
#include <k4.h> /* before any other header: it needs GNU features */

#include <inttypes.h>
#include <stdbool.h>

/* ---------------------------------------------------------------- values */

static void print_int(const char *name, int64_t value)
{
    if (value == K4_ABSENT)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRId64, name, value);
}

/* mantissa * 10^exponent, exactly: as many fraction digits as the exponent says. */
static void print_decimal(int64_t mantissa, int exponent)
{
    if (mantissa == K4_ABSENT) {
        fputs("null", stdout);
        return;
    }
    char digits[160];
    int places = exponent < 0 ? -exponent : 0;
    uint64_t whole = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    int len = snprintf(digits, sizeof digits, "%0*" PRIu64, places + 1, whole);
    printf("\"%s%.*s", mantissa < 0 ? "-" : "", len - places, digits);
    for (int i = 0; i < exponent; i++)
        putchar('0');
    printf(places ? ".%s\"" : "\"", digits + len - places);
}

static void print_named_decimal(const char *name, int64_t mantissa, int exponent)
{
    printf(",\"%s\":", name);
    print_decimal(mantissa, exponent);
}

static void print_count(const char *name, int32_t value)
{
    if (value == K4_ABSENT_COUNT)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRId32, name, value);
}

static void print_levels(const char *name, const int64_t *mantissas, int levels, int exponent)
{
    printf(",\"%s\":[", name);
    for (int i = 0; i < levels; i++) {
        if (i > 0)
            putchar(',');
        print_decimal(mantissas[i], exponent);
    }
    putchar(']');
}

static void print_level_counts(const char *name, const int32_t *counts, int levels)
{
    printf(",\"%s\":[", name);
    for (int i = 0; i < levels; i++) {
        if (counts[i] == K4_ABSENT_COUNT)
            printf(i > 0 ? ",null" : "null");
        else
            printf(i > 0 ? ",%" PRId32 : "%" PRId32, counts[i]);
    }
    putchar(']');
}

/* A text of the symbol table: UTF-8 that ends at a zero byte or at the end of its field. */
static void print_text(const char *name, const char *text, size_t room)
{
    printf("\"%s\":\"", name);
    for (size_t i = 0; i < room && text[i] != 0; i++) {
        if (text[i] == '"' || text[i] == '\\')
            putchar('\\');
        putchar(text[i]);
    }
    putchar('"');
}

static void print_flags(unsigned flags)
{
    bool first = true;
    fputs(",\"flags\":[", stdout);
    for (int bit = 0; bit < K4_FLAG_COUNT; bit++)
        if (flags >> bit & 1) {
            printf("%s\"%s\"", first ? "" : ",", k4_flag_name[bit]);
            first = false;
        }
    putchar(']');
}

/* ---------------------------------------------------------------- records */

static void print_bbo(const struct k4_bbo *r)
{
    print_int("update_id", r->update_id);
    print_named_decimal("bid_price", r->bid_price, r->price_exp);
    print_named_decimal("bid_qty", r->bid_qty, r->qty_exp);
    print_named_decimal("ask_price", r->ask_price, r->price_exp);
    print_named_decimal("ask_qty", r->ask_qty, r->qty_exp);
    print_count("bid_count", r->bid_count);
    print_count("ask_count", r->ask_count);
}

static void print_trade(const struct k4_trade *r)
{
    static const char *const kinds[] = {"market", "rpi", "block", "liquidation", "adl", "insurance", "other"};
    print_int("trade_id", r->trade_id);
    print_named_decimal("price", r->price, r->price_exp);
    print_named_decimal("qty", r->qty, r->qty_exp);
    printf(",\"buyer_is_maker\":%s", r->buyer_is_maker ? "true" : "false");
    if (r->kind < sizeof kinds / sizeof *kinds)
        printf(",\"kind\":\"%s\"", kinds[r->kind]);
    else
        printf(",\"kind\":%d", r->kind);
}

static void print_aggtrade(const struct k4_aggtrade *r)
{
    print_int("agg_id", r->agg_id);
    print_int("first_id", r->first_id);
    print_int("last_id", r->last_id);
    print_count("count", r->count);
    print_named_decimal("price", r->price, r->price_exp);
    print_named_decimal("qty", r->qty, r->qty_exp);
    printf(",\"buyer_is_maker\":%s", r->buyer_is_maker ? "true" : "false");
}

/* The same for five and for twenty levels. */
#define PRINT_DEPTH(r)                                                               \
    do {                                                                             \
        print_int("update_id", (r)->update_id);                                      \
        printf(",\"bid_levels\":%d,\"ask_levels\":%d", (r)->bid_levels, (r)->ask_levels); \
        print_levels("bid_price", (r)->bid_price, (r)->bid_levels, (r)->price_exp);  \
        print_levels("bid_qty", (r)->bid_qty, (r)->bid_levels, (r)->qty_exp);        \
        print_levels("ask_price", (r)->ask_price, (r)->ask_levels, (r)->price_exp);  \
        print_levels("ask_qty", (r)->ask_qty, (r)->ask_levels, (r)->qty_exp);        \
        print_level_counts("bid_count", (r)->bid_count, (r)->bid_levels);            \
        print_level_counts("ask_count", (r)->ask_count, (r)->ask_levels);            \
    } while (0)

static void print_record(const struct k4_reader *reader, const union k4_record *record)
{
    const struct k4_common *c = &record->common;
    static const struct k4_symbol_entry unknown;
    const struct k4_symbol_entry *entry = c->instrument < k4_reader_symbol_count(reader) ? &reader->symbols[c->instrument] : &unknown;
    printf("{\"record\":\"%s\",", k4_record_name[reader->record]);
    print_text("exchange", entry->exchange, sizeof entry->exchange);
    putchar(',');
    print_text("product", entry->product, sizeof entry->product);
    putchar(',');
    print_text("symbol", entry->symbol, sizeof entry->symbol);
    printf(",\"instrument\":%" PRIu32 ",\"source\":%d", c->instrument, c->source);
    print_flags(c->flags);
    print_int("event_ns", c->event_ns);
    print_int("engine_ns", c->engine_ns);
    print_int("recv_ns", c->recv_ns);
    printf(",\"price_exp\":%d,\"qty_exp\":%d", c->price_exp, c->qty_exp);
    switch (reader->record) {
    case K4_RECORD_BBO: print_bbo(&record->bbo); break;
    case K4_RECORD_TRADE: print_trade(&record->trade); break;
    case K4_RECORD_AGGTRADE: print_aggtrade(&record->aggtrade); break;
    case K4_RECORD_DEPTH5: PRINT_DEPTH(&record->depth5); break;
    case K4_RECORD_DEPTH20: PRINT_DEPTH(&record->depth20); break;
    default: break;
    }
    puts("}");
}

int main(int count, char **arguments)
{
    struct k4_reader reader;
    union k4_record record;
    uint64_t sequence, first, last;
    char error[1024];
    if (count < 2) {
        fputs("usage: reader SEGMENT [oldest|newest] [COUNT]\n", stderr);
        return 2;
    }
    if (k4_reader_open(&reader, NULL, arguments[1], 0, error, sizeof error) != K4_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    if (count > 2 && strcmp(arguments[2], "oldest") == 0)
        k4_reader_seek(&reader, k4_reader_oldest(&reader));
    long long left = count > 3 ? atoll(arguments[3]) : -1;
    while (left != 0) {
        int got = k4_reader_next(&reader, &record, &sequence, &first, &last);
        if (got == K4_READ_RECORD) {
            print_record(&reader, &record);
            left -= left > 0;
        } else if (got == K4_READ_LOST) {
            printf("{\"lost\":[%" PRIu64 ",%" PRIu64 "]}\n", first, last);
        } else if (got == K4_READ_NOTHING) {
            fflush(stdout);
            (void)k4_reader_wait(&reader, 100000000);
        } else if (got == -K4_WRITER_GONE) {
            fputs("the writer is gone, waiting for its successor\n", stderr);
        } else {
            break; /* closed, or replaced by another segment */
        }
    }
    k4_reader_close(&reader);
    return fflush(stdout) == 0 ? 0 : 1;
}
