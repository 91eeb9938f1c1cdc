// simdjson's On-Demand as a peer: keys taken in the order in which they come (its fastest way), texts unescaped in place, decimals
// exact by the same digit loop as yyjson's peer. Its parser and buffers are made once.
#include <string_view>

#include "simdjson.h"

extern "C" {
#include "peer.h"
}

namespace {

using simdjson::ondemand::array;
using simdjson::ondemand::object;
using simdjson::ondemand::value;

int64_t mantissa_of(std::string_view text)
{
    int64_t mantissa = 0;
    for (const char c : text)
        if (c != '.')
            mantissa = mantissa * 10 + (c - '0');
    return mantissa;
}

int64_t decimal(object &at, const char *key)
{
    return mantissa_of(std::string_view(at.find_field(key).get_string()));
}

uint64_t number(object &at, const char *key)
{
    return uint64_t(at.find_field(key).get_uint64());
}

size_t levels_of(array side, int64_t *prices, int64_t *quantities)
{
    size_t count = 0;
    for (array row : side) {
        size_t column = 0;
        for (value cell : row) {
            int64_t *out = column++ == 0 ? prices : quantities;
            out[count] = mantissa_of(std::string_view(cell.get_string()));
        }
        count++;
    }
    return count;
}

uint64_t book_ticker(object data)
{
    int64_t prices[2];
    int64_t quantities[2];
    const uint64_t id = number(data, "u");
    const size_t symbol_len = std::string_view(data.find_field("s").get_string()).size();
    prices[0] = decimal(data, "b");
    quantities[0] = decimal(data, "B");
    prices[1] = decimal(data, "a");
    quantities[1] = decimal(data, "A");
    return checksum_of(id, prices, quantities, 2, symbol_len);
}

uint64_t trade(object data)
{
    uint64_t id = number(data, "E") * 1000000;
    const size_t symbol_len = std::string_view(data.find_field("s").get_string()).size();
    id += number(data, "t");
    const int64_t price = decimal(data, "p");
    const int64_t quantity = decimal(data, "q");
    id += number(data, "T") * 1000000;
    id += bool(data.find_field("m").get_bool());
    return checksum_of(id, &price, &quantity, 1, symbol_len);
}

uint64_t agg_trade(object data)
{
    uint64_t id = number(data, "E") * 1000000;
    const size_t symbol_len = std::string_view(data.find_field("s").get_string()).size();
    id += number(data, "a");
    const int64_t price = decimal(data, "p");
    const int64_t quantity = decimal(data, "q");
    const uint64_t first = number(data, "f");
    id += number(data, "l") - first + 1;
    id += number(data, "T") * 1000000;
    id += bool(data.find_field("m").get_bool());
    return checksum_of(id, &price, &quantity, 1, symbol_len);
}

uint64_t depth(object data, size_t symbol_len)
{
    int64_t prices[20];
    int64_t quantities[20];
    const uint64_t id = number(data, "lastUpdateId");
    size_t levels = levels_of(data.find_field("bids").get_array(), prices, quantities);
    const uint64_t sum = checksum_of(id, prices, quantities, levels, symbol_len);
    levels = levels_of(data.find_field("asks").get_array(), prices, quantities);
    return sum + checksum_of(0, prices, quantities, levels, 0);
}

} // namespace

extern "C" uint64_t simdjson_all(const struct frame *frames, size_t count)
{
    static simdjson::ondemand::parser parser;
    uint64_t sum = 0;
    try {
        for (size_t i = 0; i < count; i++) {
            const simdjson::padded_string_view text(frames[i].text, frames[i].len, frames[i].len + simdjson::SIMDJSON_PADDING);
            simdjson::ondemand::document document = parser.iterate(text);
            object root = document.get_object();
            const std::string_view stream = root.find_field("stream").get_string();
            object data = root.find_field("data").get_object();
            const size_t at = stream.find('@');
            if (at == std::string_view::npos)
                return UINT64_MAX;
            const std::string_view channel = stream.substr(at);
            if (channel == "@bookTicker")
                sum += book_ticker(data);
            else if (channel == "@trade")
                sum += trade(data);
            else if (channel == "@aggTrade")
                sum += agg_trade(data);
            else if (channel == "@depth5@100ms" || channel == "@depth20@100ms")
                sum += depth(data, at);
            else
                return UINT64_MAX;
        }
    } catch (const simdjson::simdjson_error &) {
        return UINT64_MAX;
    }
    return sum;
}
