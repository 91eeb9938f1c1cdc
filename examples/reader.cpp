// Prints the records of a segment as `k4 tail --json` does, one JSON object a line, until the writer closes it.
//
//     g++ -std=c++17 -O2 -Wall -Wextra -Werror -I"$(k4 headers)" examples/reader.cpp -o reader
//     ./reader SEGMENT [oldest|newest] [COUNT]
//
// Needs k4.h and the standard library. Lost ranges are lines of their own and not counted.
#include <k4.h>

#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

// Owns the reader; throws what could not be opened.
class Segment {
public:
    explicit Segment(const char *name)
    {
        char error[1024];
        if (k4_reader_open(&reader_, nullptr, name, 0, error, sizeof error) != K4_OK)
            throw std::runtime_error(error);
    }
    ~Segment() { k4_reader_close(&reader_); }
    Segment(const Segment &) = delete;
    Segment &operator=(const Segment &) = delete;
    k4_reader *get() { return &reader_; }

private:
    k4_reader reader_;
};

// mantissa * 10^exponent, exactly: as many fraction digits as the exponent says.
std::string decimal(int64_t mantissa, int exponent)
{
    if (mantissa == K4_ABSENT)
        return "null";
    std::string digits = std::to_string(mantissa < 0 ? 0 - static_cast<uint64_t>(mantissa) : static_cast<uint64_t>(mantissa));
    if (exponent >= 0) {
        digits.append(static_cast<std::size_t>(exponent), '0');
    } else {
        const auto places = static_cast<std::size_t>(-exponent);
        if (digits.size() <= places)
            digits.insert(0, places + 1 - digits.size(), '0');
        digits.insert(digits.size() - places, 1, '.');
    }
    return (mantissa < 0 ? "\"-" : "\"") + digits + '"';
}

// One JSON object; members in the order they are added.
class Line {
public:
    void text(std::string_view name, std::string_view value)
    {
        key(name) += '"';
        for (char c : value.substr(0, value.find('\0'))) {
            if (c == '"' || c == '\\')
                out_ += '\\';
            out_ += c;
        }
        out_ += '"';
    }
    void number(std::string_view name, int64_t value) { key(name) += std::to_string(value); }
    void integer(std::string_view name, int64_t value) { key(name) += value == K4_ABSENT ? "null" : std::to_string(value); }
    void count(std::string_view name, int32_t value) { key(name) += one_count(value); }
    void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
    void price(std::string_view name, int64_t mantissa, int exponent) { key(name) += decimal(mantissa, exponent); }
    void prices(std::string_view name, const int64_t *mantissas, int levels, int exponent)
    {
        list(name, levels, [&](int i) { return decimal(mantissas[i], exponent); });
    }
    void counts(std::string_view name, const int32_t *values, int levels)
    {
        list(name, levels, [&](int i) { return one_count(values[i]); });
    }
    void flags(std::string_view name, unsigned bits)
    {
        std::string names;
        for (int bit = 0; bit < K4_FLAG_COUNT; bit++)
            if (bits >> bit & 1U)
                names += (names.empty() ? "\"" : ",\"") + std::string(k4_flag_name[bit]) + '"';
        key(name) += '[' + names + ']';
    }
    std::string end() { return out_ + '}'; }

private:
    static std::string one_count(int32_t value) { return value == K4_ABSENT_COUNT ? "null" : std::to_string(value); }
    template <typename Each> void list(std::string_view name, int levels, Each each)
    {
        key(name) += '[';
        for (int i = 0; i < levels; i++)
            out_ += (i > 0 ? "," : "") + each(i);
        out_ += ']';
    }
    std::string &key(std::string_view name)
    {
        out_ += out_.empty() ? "{\"" : ",\"";
        out_ += name;
        return out_ += "\":";
    }
    std::string out_;
};

void own(Line &line, const k4_bbo &r)
{
    line.integer("update_id", r.update_id);
    line.price("bid_price", r.bid_price, r.price_exp);
    line.price("bid_qty", r.bid_qty, r.qty_exp);
    line.price("ask_price", r.ask_price, r.price_exp);
    line.price("ask_qty", r.ask_qty, r.qty_exp);
    line.count("bid_count", r.bid_count);
    line.count("ask_count", r.ask_count);
}

void own(Line &line, const k4_trade &r)
{
    static constexpr const char *kinds[] = {"market", "rpi", "block", "liquidation", "adl", "insurance", "other"};
    line.integer("trade_id", r.trade_id);
    line.price("price", r.price, r.price_exp);
    line.price("qty", r.qty, r.qty_exp);
    line.boolean("buyer_is_maker", r.buyer_is_maker != 0);
    if (r.kind < sizeof kinds / sizeof *kinds)
        line.text("kind", kinds[r.kind]);
    else
        line.number("kind", r.kind);
}

void own(Line &line, const k4_aggtrade &r)
{
    line.integer("agg_id", r.agg_id);
    line.integer("first_id", r.first_id);
    line.integer("last_id", r.last_id);
    line.count("count", r.count);
    line.price("price", r.price, r.price_exp);
    line.price("qty", r.qty, r.qty_exp);
    line.boolean("buyer_is_maker", r.buyer_is_maker != 0);
}

template <typename Depth> void own(Line &line, const Depth &r) // k4_depth5, k4_depth20
{
    line.integer("update_id", r.update_id);
    line.number("bid_levels", r.bid_levels);
    line.number("ask_levels", r.ask_levels);
    line.prices("bid_price", r.bid_price, r.bid_levels, r.price_exp);
    line.prices("bid_qty", r.bid_qty, r.bid_levels, r.qty_exp);
    line.prices("ask_price", r.ask_price, r.ask_levels, r.price_exp);
    line.prices("ask_qty", r.ask_qty, r.ask_levels, r.qty_exp);
    line.counts("bid_count", r.bid_count, r.bid_levels);
    line.counts("ask_count", r.ask_count, r.ask_levels);
}

std::string json(const k4_reader &reader, const k4_record &record)
{
    const k4_common &c = record.common;
    k4_symbol_entry entry = {};
    if (c.instrument < k4_reader_symbol_count(&reader))
        entry = reader.symbols[c.instrument];
    Line line;
    line.text("record", k4_record_name[reader.record]);
    line.text("exchange", std::string_view(entry.exchange, sizeof entry.exchange));
    line.text("product", std::string_view(entry.product, sizeof entry.product));
    line.text("symbol", std::string_view(entry.symbol, sizeof entry.symbol));
    line.number("instrument", c.instrument);
    line.number("source", c.source);
    line.flags("flags", c.flags);
    line.integer("event_ns", c.event_ns);
    line.integer("engine_ns", c.engine_ns);
    line.integer("recv_ns", c.recv_ns);
    line.number("price_exp", c.price_exp);
    line.number("qty_exp", c.qty_exp);
    switch (reader.record) {
    case K4_RECORD_BBO: own(line, record.bbo); break;
    case K4_RECORD_TRADE: own(line, record.trade); break;
    case K4_RECORD_AGGTRADE: own(line, record.aggtrade); break;
    case K4_RECORD_DEPTH5: own(line, record.depth5); break;
    case K4_RECORD_DEPTH20: own(line, record.depth20); break;
    default: break;
    }
    return line.end();
}

void follow(Segment &segment, long long left)
{
    k4_reader *reader = segment.get();
    k4_record record;
    uint64_t sequence, first, last;
    while (left != 0) {
        const int got = k4_reader_next(reader, &record, &sequence, &first, &last);
        if (got == K4_READ_RECORD) {
            std::cout << json(*reader, record) << '\n';
            left -= left > 0;
        } else if (got == K4_READ_LOST) {
            std::cout << "{\"lost\":[" << first << ',' << last << "]}\n";
        } else if (got == K4_READ_NOTHING) {
            std::cout.flush();
            (void)k4_reader_wait(reader, 100000000);
        } else if (got == -K4_WRITER_GONE) {
            std::cerr << "the writer is gone, waiting for its successor\n";
        } else {
            break; // closed, or replaced by another segment
        }
    }
    std::cout.flush();
}

} // namespace

int main(int count, char **arguments)
{
    if (count < 2) {
        std::cerr << "usage: reader SEGMENT [oldest|newest] [COUNT]\n";
        return 2;
    }
    try {
        Segment segment(arguments[1]);
        if (count > 2 && std::string_view(arguments[2]) == "oldest")
            k4_reader_seek(segment.get(), k4_reader_oldest(segment.get()));
        follow(segment, count > 3 ? std::stoll(arguments[3]) : -1);
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return std::cout ? 0 : 1;
}
