/* Numbers of any length, ids and times from texts. See k4_number.h. */
#include "k4_number.h"

#include "k4_xxh64.h"

/* ---- characters */

struct reader {
    const uint8_t *p;
    const uint8_t *end;
    bool escaped;
};

static struct reader reader_of(const struct k4_text *text)
{
    return (struct reader){text->at, text->at + text->len, text->escaped != 0};
}

/* The next character if it is ASCII, 0xff if it is another, -1 at the end. */
static int next(struct reader *reader)
{
    if (reader->p >= reader->end)
        return -1;
    uint8_t out[4];
    return k4_text_char(&reader->p, reader->end, reader->escaped, out) == 1 ? out[0] : 0xff;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* ---- numbers by grammar */

/* A JSON number, digit for digit: value = (its significant digits as an integer) * 10^(exponent - fraction). */
struct number {
    uint64_t head; /* the first 19 significant digits */
    int64_t digits; /* significant ones: from the first that is not 0 on; 0 for zero */
    int64_t zeros; /* of these at the end */
    int64_t fraction; /* digits behind the point */
    int64_t exponent;
    bool negative;
    bool whole; /* no point, no exponent */
};

#define EXPONENT_CAP 1000000000000

static void take_digit(struct number *number, int c)
{
    unsigned digit = (unsigned)(c - '0');
    if (number->digits == 0 && digit == 0)
        return;
    number->zeros = digit == 0 ? number->zeros + 1 : 0;
    if (number->digits++ < 19)
        number->head = number->head * 10 + digit;
}

/* Reads the exponent behind its letter; gives the character behind, -2 if there is no digit. */
static int scan_exponent(struct reader *reader, struct number *number)
{
    int c = next(reader);
    bool negative = c == '-';
    if (c == '+' || c == '-')
        c = next(reader);
    if (!is_digit(c))
        return -2;
    for (; is_digit(c); c = next(reader)) {
        if (number->exponent < EXPONENT_CAP)
            number->exponent = number->exponent * 10 + (c - '0');
    }
    if (negative)
        number->exponent = -number->exponent;
    return c;
}

/* Is the whole text one JSON number? */
static bool scan(const struct k4_text *text, struct number *number)
{
    *number = (struct number){.whole = true};
    if (text->type != K4_STRING && text->type != K4_NUMBER)
        return false;
    struct reader reader = reader_of(text);
    int c = next(&reader);
    number->negative = c == '-';
    if (c == '-')
        c = next(&reader);
    if (!is_digit(c))
        return false;
    bool zero = c == '0';
    for (int i = 0; is_digit(c); i++, c = next(&reader)) {
        if (zero && i > 0)
            return false;
        take_digit(number, c);
    }
    if (c == '.') {
        number->whole = false;
        for (c = next(&reader); is_digit(c); c = next(&reader)) {
            number->fraction++;
            take_digit(number, c);
        }
        if (number->fraction == 0)
            return false;
    }
    if (c == 'e' || c == 'E') {
        number->whole = false;
        c = scan_exponent(&reader, number);
    }
    return c == -1;
}

/* The first `count` significant digits as an integer, 1 <= count <= 19; digits past the last one are 0. */
static uint64_t leading(const struct number *number, int64_t count)
{
    uint64_t head = number->head;
    int64_t have = number->digits < 19 ? number->digits : 19;
    for (int64_t i = count; i < have; i++)
        head /= 10;
    for (int64_t i = have; i < count; i++)
        head *= 10;
    return head;
}

/* ---- decimals */

static int32_t clamp(int64_t value)
{
    return value > 1000000000 ? 1000000000 : (int32_t)value;
}

uint32_t k4_read_decimal_slow(const struct k4_text *text, int shift, struct k4_decimal *out)
{
    struct number number;
    if (!scan(text, &number))
        return K4_REFUSED_TYPE;
    int64_t places = number.fraction - number.exponent - shift;
    int64_t digits = number.digits; /* kept in the mantissa */
    int64_t zeros = places < 0 ? -places : 0;
    if (digits > 18) {
        digits -= number.zeros;
        zeros += number.zeros;
    }
    *out = (struct k4_decimal){.fraction = clamp(places > 0 ? places : 0), .zeros = clamp(zeros), .offset = text->offset};
    if (number.digits == 0) {
        out->zeros = 0;
        return 0;
    }
    uint64_t mantissa = digits <= 19 ? leading(&number, digits) : UINT64_MAX;
    if (mantissa > INT64_MAX) {
        out->state = K4_DECIMAL_HUGE;
        out->mantissa = number.negative ? -1 : 1; /* for its sign */
        return 0;
    }
    if (zeros > 0 && digits + zeros <= 18) {
        mantissa *= (uint64_t)k4_power10[zeros];
        out->zeros = 0;
    }
    out->mantissa = number.negative ? -(int64_t)mantissa : (int64_t)mantissa;
    return 0;
}

/* The fraction digits a value needs. */
static int32_t least_fraction(const struct k4_decimal *value)
{
    if ((value->mantissa == 0 && value->state != K4_DECIMAL_HUGE) || value->fraction <= value->zeros)
        return 0;
    return value->fraction - value->zeros;
}

static bool scale(const struct k4_decimal *value, int32_t fraction, int64_t *out)
{
    int64_t shift = (int64_t)fraction - value->fraction + value->zeros;
    if (value->state == K4_DECIMAL_HUGE)
        return false;
    *out = value->mantissa;
    if (value->mantissa == 0 || shift == 0)
        return true;
    return shift <= 18 && !__builtin_mul_overflow(value->mantissa, k4_power10[shift], out) && *out != INT64_MIN;
}

/* The first present value that does not fit at `fraction`, or -1. */
static int misfit(const struct k4_decimal *values, int count, int32_t fraction)
{
    int64_t scaled;
    for (int i = 0; i < count; i++) {
        if (values[i].state != K4_DECIMAL_ABSENT && !scale(&values[i], fraction, &scaled))
            return i;
    }
    return -1;
}

int k4_decimal_align_slow(struct k4_decimal *values, int count, int8_t *exponent)
{
    int32_t most = 0;
    int32_t least = 0;
    for (int i = 0; i < count; i++) {
        struct k4_decimal *value = &values[i];
        if (value->state == K4_DECIMAL_ABSENT)
            continue;
        for (; value->mantissa != 0 && value->mantissa % 10 == 0; value->mantissa /= 10)
            value->zeros++;
        int32_t needs = least_fraction(value);
        most = value->fraction > most ? value->fraction : most;
        least = needs > least ? needs : least;
    }
    int32_t fraction = most;
    if (most > 128)
        fraction = least > 128 ? least : 128;
    int bad = misfit(values, count, fraction);
    while (bad >= 0 && fraction > least)
        bad = misfit(values, count, --fraction);
    if (bad >= 0)
        return bad;
    for (int i = 0; i < count; i++) {
        if (values[i].state == K4_DECIMAL_ABSENT)
            values[i].mantissa = K4_DECIMAL_NONE;
        else if (fraction > 128 && least_fraction(&values[i]) > 128)
            return i;
        else
            (void)scale(&values[i], fraction, &values[i].mantissa);
    }
    *exponent = (int8_t)-fraction;
    return -1;
}

/* ---- integers, counts, ids */

uint32_t k4_read_integer(const struct k4_text *text, int64_t *out)
{
    struct number number;
    if (!text->escaped && text->type == K4_NUMBER && text->len <= 18 && *text->at != '-') {
        int64_t value = 0;
        uint32_t i = 0;
        for (; i < text->len && is_digit(text->at[i]); i++)
            value = value * 10 + (text->at[i] - '0');
        *out = value;
        return i == text->len ? 0 : K4_REFUSED_TYPE;
    }
    if (!scan(text, &number) || !number.whole)
        return K4_REFUSED_TYPE;
    if (number.digits > 19 || number.head > INT64_MAX)
        return K4_REFUSED_RANGE;
    *out = number.negative ? -(int64_t)number.head : (int64_t)number.head;
    return 0;
}

uint32_t k4_read_count(const struct k4_text *text, int32_t *out)
{
    int64_t value;
    uint32_t refusal = k4_read_integer(text, &value);
    if (refusal != 0)
        return refusal;
    if (value < 0 || value > INT32_MAX)
        return K4_REFUSED_RANGE;
    *out = (int32_t)value;
    return 0;
}

static int64_t hash_of(const struct k4_text *text)
{
    struct k4_xxh64 hash;
    k4_xxh64_init(&hash);
    if (!text->escaped && !text->upper)
        k4_xxh64_add(&hash, text->at, text->len);
    else {
        for (const uint8_t *p = text->at; p < text->at + text->len;) {
            uint8_t out[4];
            unsigned len = k4_text_char(&p, text->at + text->len, text->escaped, out);
            if (len == 1 && text->upper && out[0] >= 'a' && out[0] <= 'z')
                out[0] = (uint8_t)(out[0] - 32);
            k4_xxh64_add(&hash, out, len);
        }
    }
    return (int64_t)(k4_xxh64_value(&hash) & INT64_MAX);
}

uint32_t k4_read_id(const struct k4_text *text, int64_t *out, unsigned *hashed)
{
    struct number number;
    if (text->type == K4_NUMBER) {
        if (*text->at == '-')
            return K4_REFUSED_TYPE;
        return k4_read_integer(text, out);
    }
    if (text->type != K4_STRING)
        return K4_REFUSED_TYPE;
    if (scan(text, &number) && number.whole && !number.negative && number.digits <= 19 && number.head <= INT64_MAX) {
        *out = (int64_t)number.head;
        return 0;
    }
    if (!k4_text_sound(text))
        return K4_REFUSED_UTF8;
    *out = hash_of(text);
    *hashed = 1;
    return 0;
}

/* ---- times */

static uint32_t nanoseconds(const struct number *number, int power, int64_t *out)
{
    int64_t count = number->digits + number->exponent - number->fraction + power; /* integer digits of the result */
    *out = 0;
    if (number->digits == 0 || count <= 0)
        return 0;
    if (count > 19)
        return K4_REFUSED_RANGE;
    uint64_t value = leading(number, count);
    if (value > INT64_MAX)
        return K4_REFUSED_RANGE;
    *out = number->negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

/* `count` digits as a number, or -1. */
static int fixed(struct reader *reader, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        int c = next(reader);
        if (!is_digit(c))
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

/* Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day ends one. */
static int64_t days(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_date(int year, int month, int day)
{
    static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 0 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= length[month - 1] + (leap && month == 2);
}

/* The zone that begins with `c`, in seconds to take away; false if it is none or something stands behind it. */
static bool scan_zone(struct reader *reader, int c, int64_t *seconds)
{
    *seconds = 0;
    if (c == '+' || c == '-') {
        int hour = fixed(reader, 2);
        if (hour < 0 || hour > 23 || next(reader) != ':')
            return false;
        int minute = fixed(reader, 2);
        if (minute < 0 || minute > 59)
            return false;
        *seconds = (c == '+' ? 1 : -1) * (hour * 60 + minute) * 60;
    } else if (c != 'Z')
        return false;
    return next(reader) == -1;
}

static uint32_t read_iso(const struct k4_text *text, int64_t *out)
{
    struct reader reader = reader_of(text);
    static const char mark[5] = {'-', '-', 'T', ':', ':'};
    int part[6];
    for (int i = 0; i < 6; i++) {
        part[i] = fixed(&reader, i == 0 ? 4 : 2);
        if (part[i] < 0)
            return K4_REFUSED_TYPE;
        int c = i < 5 ? next(&reader) : 0;
        if (i < 5 && c != mark[i] && !(i == 2 && c == ' '))
            return K4_REFUSED_TYPE;
    }
    if (!is_date(part[0], part[1], part[2]) || part[3] > 23 || part[4] > 59 || part[5] > 59)
        return K4_REFUSED_TYPE;
    int c = next(&reader);
    int64_t nanos = 0;
    if (c == '.') {
        int64_t unit = 100000000;
        c = next(&reader);
        if (!is_digit(c))
            return K4_REFUSED_TYPE;
        for (; is_digit(c); c = next(&reader), unit /= 10)
            nanos += (c - '0') * unit;
    }
    int64_t zone;
    if (!scan_zone(&reader, c, &zone))
        return K4_REFUSED_TYPE;
    int64_t seconds = ((days(part[0], part[1], part[2]) * 24 + part[3]) * 60 + part[4]) * 60 + part[5] - zone;
    if (seconds < 0 && nanos > 0) { /* both of one sign, so that only what really overflows does */
        seconds++;
        nanos -= 1000000000;
    }
    if (__builtin_mul_overflow(seconds, 1000000000, out) || __builtin_add_overflow(*out, nanos, out) || *out == INT64_MIN)
        return K4_REFUSED_RANGE;
    return 0;
}

uint32_t k4_read_time(const struct k4_text *text, enum k4_unit unit, int64_t *out)
{
    static const int power[4] = {9, 6, 3, 0};
    struct number number;
    if (unit == K4_UNIT_ISO)
        return text->type == K4_STRING ? read_iso(text, out) : K4_REFUSED_TYPE;
    if (!text->escaped && text->type == K4_NUMBER && text->len == 13 && (unit == K4_UNIT_AUTO || unit == K4_UNIT_MS)) {
        int64_t ms;
        if (k4_read_integer(text, &ms) == 0 && ms >= 1000000000000 && ms < INT64_MAX / 1000000) {
            *out = ms * 1000000;
            return 0;
        }
    }
    if (!scan(text, &number))
        return K4_REFUSED_TYPE;
    if (unit == K4_UNIT_AUTO) {
        int64_t count = number.digits + number.exponent - number.fraction;
        if (number.digits == 0 || (count != 10 && count != 13 && count != 16 && count != 19))
            return K4_REFUSED_RANGE;
        unit = count == 10 ? K4_UNIT_S : count == 13 ? K4_UNIT_MS : count == 16 ? K4_UNIT_US : K4_UNIT_NS;
    }
    return nanoseconds(&number, power[unit], out);
}

/* ---- symbols */

#define ONES 0x0101010101010101u

/* Nonzero if one of the 8 bytes at `p` is a control character. */
static uint64_t controls(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t del = word ^ (ONES * 0x7f);
    return (((word - ONES * ' ') & ~word) | ((del - ONES) & ~del)) & (ONES * 0x80);
}

static bool is_symbol(const uint8_t *symbol, uint32_t len)
{
    if (len < 1 || len > K4_SYMBOL_MAX)
        return false;
    if (len >= 8) { /* the last 8 may be looked at twice */
        uint64_t found = controls(symbol + len - 8);
        for (uint32_t i = 0; i + 8 <= len; i += 8)
            found |= controls(symbol + i);
        return found == 0;
    }
    if (len >= 4) {
        uint32_t ends[2];
        memcpy(&ends[0], symbol, 4);
        memcpy(&ends[1], symbol + len - 4, 4);
        return controls((const uint8_t *)ends) == 0;
    }
    uint8_t word[8] = "AAAAAAAA";
    for (uint32_t i = 0; i < len; i++)
        word[i] = symbol[i];
    return controls(word) == 0;
}

/* Makes the ASCII letters of 48 bytes upper case. */
static void upper(uint8_t *text)
{
    for (int i = 0; i < K4_SYMBOL_MAX; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        uint64_t low = word & (ONES * 0x7f);
        uint64_t small = (low + ONES * (0x80 - 'a')) & ~(low + ONES * (0x7f - 'z')) & ~word & (ONES * 0x80);
        word ^= small >> 2;
        memcpy(text + i, &word, sizeof word);
    }
}

uint32_t k4_read_symbol(const struct k4_text *text, struct k4_item *item)
{
    if (text->type != K4_STRING && text->type != K4_NUMBER)
        return K4_REFUSED_TYPE;
    item->symbol = text->at;
    item->symbol_len = text->len;
    if (text->escaped) {
        int len = k4_text_copy(text, item->folded, K4_SYMBOL_MAX);
        if (len < 0)
            return len == -2 ? K4_REFUSED_UTF8 : K4_REFUSED_SYMBOL;
        item->symbol = item->folded;
        item->symbol_len = (uint32_t)len;
    } else if (text->upper) {
        if (text->len > K4_SYMBOL_MAX)
            return K4_REFUSED_SYMBOL;
        memcpy(item->folded, text->at, text->len);
        upper(item->folded);
        item->symbol = item->folded;
    }
    return is_symbol(item->symbol, item->symbol_len) ? 0 : K4_REFUSED_SYMBOL;
}
