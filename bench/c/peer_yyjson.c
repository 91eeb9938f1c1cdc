/* yyjson as a peer: the whole text becomes its document, then the same values are taken out of it, keys in the order in which they
 * come (its fastest way), decimals exact. Its memory is a fixed pool, so that nothing is allocated per frame. */
#include <string.h>

#include "peer.h"
#include "yyjson.h"

static char pool[1 << 20];

/* Mantissa of a text of digits with at most one point: what a hand-written decoder on top of yyjson does. */
static int64_t mantissa_of(yyjson_val *value)
{
    const char *p = yyjson_get_str(value);
    int64_t mantissa = 0;
    if (p == NULL)
        return INT64_MIN;
    for (; *p != '\0'; p++)
        if (*p != '.')
            mantissa = mantissa * 10 + (*p - '0');
    return mantissa;
}

static uint64_t number_of(yyjson_obj_iter *at, const char *key)
{
    return yyjson_get_uint(yyjson_obj_iter_get(at, key));
}

static void levels_of(yyjson_val *side, size_t levels, int64_t *prices, int64_t *quantities)
{
    yyjson_arr_iter rows;
    yyjson_arr_iter_init(side, &rows);
    for (size_t i = 0; i < levels; i++) {
        yyjson_val *row = yyjson_arr_iter_next(&rows);
        prices[i] = mantissa_of(yyjson_arr_get_first(row));
        quantities[i] = mantissa_of(yyjson_arr_get(row, 1));
    }
}

static uint64_t book_ticker(yyjson_val *data)
{
    yyjson_obj_iter at;
    int64_t prices[2];
    int64_t quantities[2];
    yyjson_obj_iter_init(data, &at);
    const uint64_t id = number_of(&at, "u");
    const size_t symbol_len = yyjson_get_len(yyjson_obj_iter_get(&at, "s"));
    prices[0] = mantissa_of(yyjson_obj_iter_get(&at, "b"));
    quantities[0] = mantissa_of(yyjson_obj_iter_get(&at, "B"));
    prices[1] = mantissa_of(yyjson_obj_iter_get(&at, "a"));
    quantities[1] = mantissa_of(yyjson_obj_iter_get(&at, "A"));
    return checksum_of(id, prices, quantities, 2, symbol_len);
}

static uint64_t trade(yyjson_val *data)
{
    yyjson_obj_iter at;
    yyjson_obj_iter_init(data, &at);
    uint64_t id = number_of(&at, "E") * 1000000;
    const size_t symbol_len = yyjson_get_len(yyjson_obj_iter_get(&at, "s"));
    id += number_of(&at, "t");
    const int64_t price = mantissa_of(yyjson_obj_iter_get(&at, "p"));
    const int64_t quantity = mantissa_of(yyjson_obj_iter_get(&at, "q"));
    id += number_of(&at, "T") * 1000000;
    id += yyjson_get_bool(yyjson_obj_iter_get(&at, "m"));
    return checksum_of(id, &price, &quantity, 1, symbol_len);
}

static uint64_t agg_trade(yyjson_val *data)
{
    yyjson_obj_iter at;
    yyjson_obj_iter_init(data, &at);
    uint64_t id = number_of(&at, "E") * 1000000;
    const size_t symbol_len = yyjson_get_len(yyjson_obj_iter_get(&at, "s"));
    id += number_of(&at, "a");
    const int64_t price = mantissa_of(yyjson_obj_iter_get(&at, "p"));
    const int64_t quantity = mantissa_of(yyjson_obj_iter_get(&at, "q"));
    const uint64_t first = number_of(&at, "f");
    id += number_of(&at, "l") - first + 1;
    id += number_of(&at, "T") * 1000000;
    id += yyjson_get_bool(yyjson_obj_iter_get(&at, "m"));
    return checksum_of(id, &price, &quantity, 1, symbol_len);
}

static uint64_t depth(yyjson_val *data, size_t levels, size_t symbol_len)
{
    yyjson_obj_iter at;
    int64_t prices[20];
    int64_t quantities[20];
    yyjson_obj_iter_init(data, &at);
    const uint64_t id = number_of(&at, "lastUpdateId");
    levels_of(yyjson_obj_iter_get(&at, "bids"), levels, prices, quantities);
    const uint64_t sum = checksum_of(id, prices, quantities, levels, symbol_len);
    levels_of(yyjson_obj_iter_get(&at, "asks"), levels, prices, quantities);
    return sum + checksum_of(0, prices, quantities, levels, 0);
}

uint64_t yyjson_all(const struct frame *frames, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        yyjson_alc memory;
        yyjson_alc_pool_init(&memory, pool, sizeof pool);
        yyjson_doc *document = yyjson_read_opts((char *)(uintptr_t)frames[i].text, frames[i].len, 0, &memory, NULL);
        yyjson_val *root = yyjson_doc_get_root(document);
        yyjson_val *stream = yyjson_obj_get(root, "stream");
        yyjson_val *data = yyjson_obj_get(root, "data");
        const char *name = yyjson_get_str(stream);
        const char *channel = name == NULL ? NULL : strchr(name, '@');
        if (channel == NULL)
            return UINT64_MAX;
        if (strcmp(channel, "@bookTicker") == 0)
            sum += book_ticker(data);
        else if (strcmp(channel, "@trade") == 0)
            sum += trade(data);
        else if (strcmp(channel, "@aggTrade") == 0)
            sum += agg_trade(data);
        else if (strcmp(channel, "@depth5@100ms") == 0)
            sum += depth(data, 5, (size_t)(channel - name));
        else if (strcmp(channel, "@depth20@100ms") == 0)
            sum += depth(data, 20, (size_t)(channel - name));
        else
            return UINT64_MAX;
    }
    return sum;
}
