/* A product whose language is made up for tests:
 * `b SYMBOL ID` a bbo, `r SYMBOL ID` one with which the venue's ids begin anew, `t SYMBOL ID` a trade, `!` a refused element, `?` one that
 * lacks a key, joined by `;`; or one of ack, ping, noise, empty.
 * The fast tier takes what begins with a capital: `B SYMBOL ID` and `T SYMBOL ID`, alone, `H SYMBOL ID`, a trade
 * whose id is a hash, and `EMPTY`. */
#ifndef MADE_UP_H
#define MADE_UP_H

#include <stdlib.h>
#include <string.h>

#include "k4_feed.h"

static const struct k4_message messages[] = {
    {.kind = "bbo", .records = 1u << K4_RECORD_BBO, .order = K4_ORDER_INCREASING, .line = 10},
    {.kind = "trade", .records = 1u << K4_RECORD_TRADE, .order = K4_ORDER_CONTIGUOUS, .line = 20},
    {.kind = "ack", .skip = K4_SKIP_ACK, .line = 30},
    {.kind = "ping", .skip = K4_SKIP_PING, .line = 40},
};

static void parse(const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    char copy[4096];
    scratch->tier = K4_TIER_TOLERANT;
    if (len >= sizeof copy)
        abort();
    memcpy(copy, text, len);
    copy[len] = '\0';
    const char *skips[] = {"ack", "ping", "noise", "empty"};
    const uint16_t reasons[] = {K4_SKIP_ACK, K4_SKIP_PING, K4_SKIP_OTHER_CHANNEL, K4_SKIP_EMPTY};
    if (scratch->count != 0)
        abort(); /* the tolerant tier begins with an empty scratch */
    for (unsigned i = 0; i < 4; i++) {
        if (strncmp(copy, skips[i], strlen(skips[i])) == 0) {
            scratch->skip = reasons[i];
            scratch->skip_message = i < 2 ? (uint16_t)(2 + i) : K4_NO_MESSAGE;
            return;
        }
    }
    for (char *part = strtok(copy, ";"); part != NULL; part = strtok(NULL, ";")) {
        if (scratch->count == K4_SCRATCH_ITEMS) {
            scratch->flush(scratch->context, scratch);
            scratch->count = 0;
        }
        struct k4_item *item = &scratch->items[scratch->count++];
        memset(item, 0, sizeof *item);
        if (part[0] == '!' || part[0] == '?') {
            item->refusal = part[0] == '!' ? K4_REFUSED_RANGE : K4_REFUSED_MISSING;
            item->offset = (uint32_t)(part - copy);
            continue;
        }
        char *symbol = part + 2, *end = strchr(symbol, ' ');
        const bool bbo = part[0] != 't';
        item->record = bbo ? K4_RECORD_BBO : K4_RECORD_TRADE;
        item->message = bbo ? 0 : 1;
        item->symbol = text + (symbol - copy);
        item->symbol_len = (uint32_t)(end - symbol);
        item->as.bbo.engine_ns = item->as.bbo.event_ns = K4_ABSENT;
        item->as.bbo.flags = part[0] == 'b' ? K4_FLAG_ONE_SIDED : part[0] == 'r' ? K4_FLAG_RESET : 0;
        if (bbo)
            item->as.bbo.update_id = strtoll(end, NULL, 10);
        else
            item->as.trade.trade_id = strtoll(end, NULL, 10);
    }
}

static unsigned fast_calls;

static bool fast(const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    fast_calls++;
    scratch->count = 1; /* void when it declines */
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 0x80)
            return false;
    if (len < 5 || (text[0] != 'B' && text[0] != 'T' && text[0] != 'H' && text[0] != 'E'))
        return false;
    scratch->skip = text[0] == 'E' ? K4_SKIP_EMPTY : K4_SKIP_NOT;
    scratch->skip_message = K4_NO_MESSAGE;
    scratch->count = text[0] != 'E';
    struct k4_item *item = &scratch->items[0];
    memset(item, 0, sizeof *item);
    const uint8_t *end = memchr(text + 2, ' ', len - 2);
    item->record = text[0] == 'B' ? K4_RECORD_BBO : K4_RECORD_TRADE;
    item->symbol = text + 2;
    item->symbol_len = end == NULL ? 0 : (uint32_t)(end - text - 2);
    item->as.bbo.engine_ns = item->as.bbo.event_ns = K4_ABSENT;
    item->as.bbo.flags = text[0] == 'H' ? K4_FLAG_HASHED_ID : 0;
    int64_t id = 0;
    for (const uint8_t *at = end == NULL ? text + len : end + 1; text[0] != 'E' && at < text + len; at++)
        id = 10 * id + (*at - '0');
    if (text[0] == 'B')
        item->as.bbo.update_id = id;
    else
        item->as.trade.trade_id = id;
    return true;
}

static const struct k4_product product = {.exchange = "nova", .name = "spot", .messages = messages, .message_count = 4, .fast = fast, .tolerant = parse};

#endif
