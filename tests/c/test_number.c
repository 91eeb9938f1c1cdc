/* Decimals, ids and times: the quick ways against the slow ones, and alignment against its naive twin. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_fast_value.h"
#include "k4_number.h"
#include "k4_xxh64.h"

__extension__ typedef __int128 wide;

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static char buffer[4096];

static struct k4_text string(const char *text)
{
    memset(buffer, '7', sizeof buffer); /* what stands behind a text must not matter */
    memcpy(buffer + K4_SLACK, text, strlen(text));
    return (struct k4_text){(const uint8_t *)buffer + K4_SLACK, (uint32_t)strlen(text), 0, K4_STRING, 0, 0};
}

static void test_decimal_texts(void)
{
    static const struct {
        const char *text;
        int64_t mantissa;
        int32_t fraction;
        int32_t zeros;
    } good[] = {
        {"0", 0, 0, 0},
        {"-0", 0, 0, 0},
        {"0.00", 0, 2, 0},
        {"10.50", 1050, 2, 0},
        {"-0.001", -1, 3, 0},
        {"1.50e1", 150, 1, 0},
        {"1e2", 100, 0, 0},
        {"1.5e-3", 15, 4, 0},
        {"0e999", 0, 0, 0},
        {"95311.64000000", 9531164000000, 8, 0},
        {"123456789012345678", 123456789012345678, 0, 0},
        {"9223372036854775807", INT64_MAX, 0, 0},
        {"1000000000000000000000", 1, 0, 21},
        {"1.000000000000000000000", 1, 21, 21},
        {"12345678.12345678", 1234567812345678, 8, 0},
    };
    static const char *const bad[] = {
        "", "-", "+1", "1.", ".5", "01", "-01", "1e", "1e+", "1 ", " 1", "NaN", "1x", "1.2.3", "0x1", "1e5.", "--1",
    };
    struct k4_decimal value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct k4_text text = string(good[i].text);
        for (int slow = 0; slow < 2; slow++) {
            assert((slow ? k4_read_decimal_slow(&text, 0, &value) : k4_read_decimal(&text, &value)) == 0);
            assert(value.mantissa == good[i].mantissa && value.fraction == good[i].fraction && value.zeros == good[i].zeros);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct k4_text text = string(bad[i]);
        assert(k4_read_decimal(&text, &value) == K4_REFUSED_TYPE);
        assert(k4_read_decimal_slow(&text, 0, &value) == K4_REFUSED_TYPE);
    }
    struct k4_text text = string("12345678901234567890.5");
    assert(k4_read_decimal(&text, &value) == 0 && value.state == K4_DECIMAL_HUGE && value.fraction == 1 && value.mantissa > 0);
    text = string("-12345678901234567890.5"); /* its sign may be all that is asked for */
    assert(k4_read_decimal(&text, &value) == 0 && value.state == K4_DECIMAL_HUGE && value.fraction == 1 && value.mantissa < 0);
}

static void test_quick_decimals(void)
{
    for (int round = 0; round < 200000; round++) {
        char text[48];
        int len = 0;
        if (draw(4) == 0)
            text[len++] = '-';
        for (uint32_t n = draw(12); n > 0; n--)
            text[len++] = (char)('0' + draw(draw(2) ? 10 : 2));
        if (draw(3) != 0)
            text[len++] = '.';
        for (uint32_t n = draw(20); n > 0; n--)
            text[len++] = (char)('0' + draw(draw(2) ? 10 : 1));
        if (draw(20) == 0)
            text[len++] = "e.-x"[draw(4)];
        text[len] = 0;
        struct k4_text one = string(text);
        struct k4_decimal quick;
        struct k4_decimal slow;
        uint32_t refusal = k4_read_decimal(&one, &quick);
        assert(refusal == k4_read_decimal_slow(&one, 0, &slow));
        if (refusal == 0)
            assert(quick.mantissa == slow.mantissa && quick.fraction == slow.fraction && quick.zeros == slow.zeros);
    }
}

/* mantissa * 10^zeros * 10^(fraction wanted - fraction), if that is a whole number within int64; values kept small enough for 128 bits. */
static bool naive_scale(const struct k4_decimal *value, int fraction, int64_t *out)
{
    int shift = fraction - value->fraction + value->zeros;
    wide scaled = value->mantissa;
    for (; shift > 0 && scaled != 0; shift--) {
        scaled *= 10;
        if (scaled > INT64_MAX || scaled < -INT64_MAX)
            return false;
    }
    for (; shift < 0; shift++) {
        assert(scaled % 10 == 0);
        scaled /= 10;
    }
    *out = (int64_t)scaled;
    return true;
}

static bool digit_is_zero(const struct k4_decimal *value, int fraction)
{
    if (value->mantissa == 0 || value->fraction - value->zeros < fraction)
        return value->mantissa == 0 || value->fraction < fraction || value->zeros > 0 || value->mantissa % 10 == 0;
    wide mantissa = value->mantissa;
    for (int i = value->fraction - value->zeros; i > fraction; i--)
        mantissa /= 10;
    return mantissa % 10 == 0;
}

static int naive_align(const struct k4_decimal *values, int count, int64_t *out, int *exponent)
{
    int fraction = 0;
    for (int i = 0; i < count; i++)
        fraction = values[i].fraction > fraction ? values[i].fraction : fraction;
    for (;; fraction--) {
        int bad = -1;
        bool stuck = fraction == 0;
        for (int i = count - 1; i >= 0; i--) {
            if (!naive_scale(&values[i], fraction, &out[i]))
                bad = i;
            stuck |= fraction > 0 && !digit_is_zero(&values[i], fraction);
        }
        *exponent = -fraction;
        if (bad < 0 || stuck)
            return bad;
    }
}

static void test_align(void)
{
    for (int round = 0; round < 100000; round++) {
        struct k4_decimal values[4];
        struct k4_decimal copy[4];
        int64_t expected[4];
        int count = 1 + (int)draw(4);
        for (int i = 0; i < count; i++) {
            int64_t mantissa = (int64_t)draw(1000) * k4_power10[draw(16)];
            values[i] = (struct k4_decimal){.mantissa = draw(2) ? mantissa : -mantissa, .fraction = (int32_t)draw(24)};
            if (draw(4) == 0)
                values[i].zeros = (int32_t)draw(6);
        }
        memcpy(copy, values, sizeof values);
        int exponent;
        int8_t aligned = 0;
        int bad = naive_align(copy, count, expected, &exponent);
        assert(k4_decimal_align(values, count, &aligned) == bad);
        if (bad >= 0)
            continue;
        assert(aligned == exponent);
        for (int i = 0; i < count; i++)
            assert(values[i].mantissa == expected[i]);
    }
    struct k4_decimal none[2] = {{.state = K4_DECIMAL_ABSENT}, {.state = K4_DECIMAL_ABSENT}};
    int8_t exponent = 9;
    assert(k4_decimal_align(none, 2, &exponent) == -1 && exponent == 0 && none[0].mantissa == K4_DECIMAL_NONE);
    struct k4_decimal deep[2] = {{.mantissa = 0, .fraction = 200}, {.mantissa = 0, .fraction = 3}};
    assert(k4_decimal_align(deep, 2, &exponent) == -1 && exponent == -128);
    struct k4_decimal finer[1] = {{.mantissa = 1, .fraction = 129}};
    assert(k4_decimal_align(finer, 1, &exponent) == 0);
}

static void test_times(void)
{
    static const struct {
        const char *text;
        enum k4_unit unit;
        uint32_t refusal;
        int64_t ns;
    } cases[] = {
        {"1700000000", K4_UNIT_AUTO, 0, 1700000000000000000},
        {"1700000000123", K4_UNIT_AUTO, 0, 1700000000123000000},
        {"1700000000123456", K4_UNIT_AUTO, 0, 1700000000123456000},
        {"1700000000123456789", K4_UNIT_AUTO, 0, 1700000000123456789},
        {"17000000001", K4_UNIT_AUTO, K4_REFUSED_RANGE, 0},
        {"1700000000123", K4_UNIT_MS, 0, 1700000000123000000}, /* the usual, and as long in other units */
        {"1700000000123", K4_UNIT_US, 0, 1700000000123000},
        {"1700000000123", K4_UNIT_NS, 0, 1700000000123},
        {"1700000000123", K4_UNIT_S, K4_REFUSED_RANGE, 0},
        {"9223372036854", K4_UNIT_MS, 0, 9223372036854000000},
        {"9223372036855", K4_UNIT_MS, K4_REFUSED_RANGE, 0},
        {"0000000000123", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"1700000000.1234567899", K4_UNIT_S, 0, 1700000000123456789},
        {"-1.5", K4_UNIT_MS, 0, -1500000},
        {"9223372036854775808", K4_UNIT_NS, K4_REFUSED_RANGE, 0},
        {"1970-01-01T00:00:00Z", K4_UNIT_ISO, 0, 0},
        {"1969-12-31T23:59:59.999999999Z", K4_UNIT_ISO, 0, -1},
        {"2024-02-29 12:00:00.5+02:30", K4_UNIT_ISO, 0, 1709199000500000000},
        {"2023-02-29T12:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2262-04-11T23:47:16.854775807Z", K4_UNIT_ISO, 0, INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", K4_UNIT_ISO, K4_REFUSED_RANGE, 0},
        {"1677-09-21T00:12:43.145224193Z", K4_UNIT_ISO, 0, -INT64_MAX},
        {"1677-09-21T00:12:43.145224192Z", K4_UNIT_ISO, K4_REFUSED_RANGE, 0},
        {"2024-01-01T00:00:00", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00-00:30", K4_UNIT_ISO, 0, 1704069000000000000},
        {"2024-01-01T00:00:00+23:59", K4_UNIT_ISO, 0, 1703980860000000000},
        {"2024-01-01T00:00:00+24:00", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00+1:00", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00+0100", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00+01:60", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00+01:", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00Zz", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:00.Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T24:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:60:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01T00:00:60Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-00-01T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-13-01T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-00T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-04-31T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"1900-02-29T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2000-02-29T00:00:00Z", K4_UNIT_ISO, 0, 951782400000000000},
        {"0000-01-01T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_RANGE, 0},
        {"2024/01/01T00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
        {"2024-01-01_00:00:00Z", K4_UNIT_ISO, K4_REFUSED_TYPE, 0},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct k4_text text = string(cases[i / 2].text);
        int64_t ns = 0;
        if (i % 2 != 0 && cases[i / 2].unit != K4_UNIT_ISO)
            text.type = K4_NUMBER;
        uint32_t refusal = k4_read_time(&text, cases[i / 2].unit, &ns);
        if (refusal != cases[i / 2].refusal || (refusal == 0 && ns != cases[i / 2].ns)) {
            printf("%s: %u %lld\n", cases[i / 2].text, refusal, (long long)ns);
            abort();
        }
    }
}

static void test_ids(void)
{
    int64_t id = 0;
    unsigned hashed = 0;
    struct k4_text text = string("9223372036854775807");
    assert(k4_read_id(&text, &id, &hashed) == 0 && id == INT64_MAX && hashed == 0);
    text = string("007");
    assert(k4_read_id(&text, &id, &hashed) == 0 && hashed == 1);
    text = string("abc"); /* the published vector of XXH64, seed 0 */
    assert(k4_read_id(&text, &id, &hashed) == 0 && (uint64_t)id == (0x44bc2cf5ad770999u & INT64_MAX));
    struct k4_text escaped = string("\\u0061bc");
    int64_t same = 0;
    escaped.escaped = 1;
    assert(k4_read_id(&escaped, &same, &hashed) == 0 && same == id);
    struct k4_xxh64 empty;
    k4_xxh64_init(&empty);
    assert(k4_xxh64_value(&empty) == 0xef46db3751d8e999u);
}

/* What is a number in JSON, and the same digits in a string. */
static void test_integers(void)
{
    static const struct {
        const char *text;
        uint32_t refusal;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"7", 0, 7},
        {"-7", 0, -7},
        {"999999999999999999", 0, 999999999999999999},
        {"1000000000000000000", 0, 1000000000000000000},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", K4_REFUSED_RANGE, 0},
        {"9999999999999999999", K4_REFUSED_RANGE, 0},
        {"-9223372036854775807", 0, -INT64_MAX},
        {"-9223372036854775808", K4_REFUSED_RANGE, 0}, /* stands for absent */
        {"18446744073709551617", K4_REFUSED_RANGE, 0},
        {"1.0", K4_REFUSED_TYPE, 0},
        {"1e2", K4_REFUSED_TYPE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int quoted = 0; quoted < 2; quoted++) {
            struct k4_text text = string(cases[i].text);
            text.type = (uint8_t)(quoted ? K4_STRING : K4_NUMBER);
            int64_t value = 5;
            int32_t count = 5;
            unsigned hashed = 0;
            assert(k4_read_integer(&text, &value) == cases[i].refusal);
            if (cases[i].refusal != 0)
                continue;
            assert(value == cases[i].value);
            const bool counts = value >= 0 && value <= INT32_MAX;
            assert(k4_read_count(&text, &count) == (counts ? 0 : K4_REFUSED_RANGE));
            assert(!counts || count == value);
            /* A sign makes a number no id, and a string an id that is hashed. */
            const bool sign = cases[i].text[0] == '-';
            assert(k4_read_id(&text, &value, &hashed) == (sign && !quoted ? K4_REFUSED_TYPE : 0));
            assert(hashed == (sign && quoted) && (sign || value == cases[i].value));
        }
    }
    int32_t count;
    struct k4_text text = string("2147483647");
    assert(k4_read_count(&text, &count) == 0 && count == INT32_MAX);
    text = string("2147483648");
    assert(k4_read_count(&text, &count) == K4_REFUSED_RANGE);
}

/* Of a captured name in capitals the hash is that of the capitals, from the first letter to the last. */
static void test_hashes_of_capitals(void)
{
    struct k4_text low = string("azAZ-09{`"), high;
    int64_t id, same;
    unsigned hashed = 0;
    low.upper = 1;
    assert(k4_read_id(&low, &id, &hashed) == 0 && hashed == 1);
    high = string("AZAZ-09{`");
    assert(k4_read_id(&high, &same, &hashed) == 0 && same == id);
}

/* A fraction of a thousand zeros, and an exponent that takes them back. */
static void test_long_exponents(void)
{
    char text[1300] = "0.";
    struct k4_decimal value;
    memset(text + 2, '0', 1100);
    strcpy(text + 1102, "125e1103");
    struct k4_text number = string(text);
    assert(k4_read_decimal_slow(&number, 0, &value) == 0);
    assert(value.mantissa == 125 && value.fraction == 0 && value.zeros == 0 && value.state == K4_DECIMAL_PRESENT);
    strcpy(text + 1102, "125e1101");
    number = string(text);
    assert(k4_read_decimal_slow(&number, 0, &value) == 0);
    assert(value.mantissa == 125 && value.fraction == 2);
    number = string("1e99999999999999999999999999");
    assert(k4_read_decimal_slow(&number, 0, &value) == 0 && value.mantissa == 1 && value.zeros == 1000000000);
    number = string("1e-99999999999999999999999999");
    assert(k4_read_decimal_slow(&number, 0, &value) == 0 && value.mantissa == 1 && value.fraction == 1000000000);
}

/* The fast tier's: where there is no number, what stood at `out` before is not touched. */
static void test_fast_signs(void)
{
    static const struct {
        const char *text;
        int64_t value;
        int length; /* 0: none that is read there */
    } all[] = {
        {"-1,", -1, 2}, {"-0,", 0, 2}, {"7,", 7, 1}, {"-9223372036854775807,", -INT64_MAX, 20},
        {"-,", INT64_MIN, 0}, {"--1,", INT64_MIN, 0}, {"-x", INT64_MIN, 0}, {"-", INT64_MIN, 0}, {",", INT64_MIN, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct k4_text text = string(all[i].text);
        memset(buffer + K4_SLACK + text.len, ' ', K4_SLACK);
        struct k4_fast_digits out = {.value = INT64_MIN};
        uint64_t stops = k4_fast_numbers(text.at, 64);
        const uint8_t *behind = k4_fast_signed(text.at, text.at + text.len, &stops, true, &out);
        assert(behind == (all[i].length == 0 ? NULL : text.at + all[i].length));
        assert(out.value == all[i].value);
    }
}

/* Those that may stand in quotes: both of them or none. */
static void test_fast_quotes(void)
{
    static const struct {
        const char *text;
        int64_t digits, is_signed, mantissa; /* INT64_MIN: none that is read there */
        uint32_t fraction;
        int length; /* of the decimal; 0: none */
    } all[] = {
        {"12,", 12, 12, 12, 0, 2},
        {"\"12\",", 12, 12, 12, 0, 4},
        {"\"-12\",", INT64_MIN, -12, -12, 0, 5},
        {"1.25,", 1, 1, 125, 2, 4},
        {"\"1.25\",", INT64_MIN, INT64_MIN, 125, 2, 6},
        {"\"-0.5\",", INT64_MIN, INT64_MIN, -5, 1, 6},
        {"\"1.5,\"", INT64_MIN, INT64_MIN, INT64_MIN, 0, 0},
        {"\"7,\"", INT64_MIN, INT64_MIN, INT64_MIN, 0, 0},
        {"\"\",", INT64_MIN, INT64_MIN, INT64_MIN, 0, 0},
        {"x", INT64_MIN, INT64_MIN, INT64_MIN, 0, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (int looked = 0; looked < 2; looked++) { /* whether the stops are known, or have to be looked for */
            const struct k4_text text = string(all[i].text);
            memset(buffer + K4_SLACK + text.len, ' ', K4_SLACK);
            const uint8_t *end = text.at + text.len;
            const uint64_t known = looked ? k4_fast_numbers(text.at, 64) : 0;
            struct k4_fast_digits digits = {.value = 0};
            struct k4_fast_decimal decimal = {.mantissa = 0};
            uint64_t stops = known;
            const uint8_t *behind = k4_fast_quoted_digits(text.at, end, &stops, true, &digits);
            assert((behind == NULL) == (all[i].digits == INT64_MIN) && (behind == NULL || digits.value == all[i].digits));
            stops = known;
            behind = k4_fast_quoted_signed(text.at, end, &stops, true, &digits);
            assert((behind == NULL) == (all[i].is_signed == INT64_MIN) && (behind == NULL || digits.value == all[i].is_signed));
            stops = known;
            behind = k4_fast_quoted_decimal(text.at, end, &stops, &decimal);
            assert(behind == (all[i].length == 0 ? NULL : text.at + all[i].length));
            assert(behind == NULL || (decimal.mantissa == all[i].mantissa && decimal.fraction == all[i].fraction));
        }
    }
}

int main(void)
{
    test_decimal_texts();
    test_quick_decimals();
    test_align();
    test_times();
    test_ids();
    test_integers();
    test_hashes_of_capitals();
    test_long_exponents();
    test_fast_signs();
    test_fast_quotes();
    puts("number: ok");
    return 0;
}
