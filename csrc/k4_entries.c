/* Whom a segment's records are of: its products, symbols and sources. Readers may look at an entry while it changes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_segment.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- products and symbols */

int k4_segment_product(struct k4_segment *segment, const char *exchange, const char *product)
{
    for (uint32_t i = 0; i < segment->product_count; i++)
        if (strcmp(segment->products[i].exchange, exchange) == 0 && strcmp(segment->products[i].name, product) == 0)
            return (int)i;
    if (strlen(exchange) >= sizeof segment->products->exchange || strlen(product) >= sizeof segment->products->name)
        return -K4_BAD_ARGUMENT;
    if (segment->product_count == K4_PRODUCTS_MAX)
        return -K4_SYMBOLS_FULL;
    uint32_t i = segment->product_count++;
    (void)snprintf(segment->products[i].exchange, sizeof segment->products[i].exchange, "%s", exchange);
    (void)snprintf(segment->products[i].name, sizeof segment->products[i].name, "%s", product);
    return (int)i;
}

static bool symbol_ok(const uint8_t *symbol, uint32_t len)
{
    if (len == 0 || len > sizeof ((struct k4_symbol_entry *)0)->symbol)
        return false;
    for (uint32_t i = 0; i < len; i++)
        if (symbol[i] < 0x20 || symbol[i] == 0x7f)
            return false;
    return true;
}

/* Word by word: a reader of a known symbol sees each word as it was or as it is. */
static void put_words(char *field, size_t room, const char *text)
{
    char whole[32] = {0};
    size_t len = strlen(text);
    memcpy(whole, text, len < room ? len : room);
    for (size_t i = 0; i < room; i += 8) {
        uint64_t word;
        memcpy(&word, whole + i, 8);
        __atomic_store_n((uint64_t *)(void *)(field + i), word, __ATOMIC_RELAXED);
    }
}

static void put_unit(struct k4_symbol_entry *entry, const char *qty_unit, const char *contract_size)
{
    if (qty_unit[0] == 0 && contract_size[0] == 0)
        return;
    put_words((char *)entry->qty_unit, sizeof entry->qty_unit, qty_unit);
    put_words((char *)entry->contract_size, sizeof entry->contract_size, contract_size);
}

int k4_segment_instrument(struct k4_segment *segment, uint32_t product, const uint8_t *symbol, uint32_t symbol_len, const char *qty_unit,
                          const char *contract_size)
{
    if (product >= segment->product_count)
        return -K4_BAD_ARGUMENT;
    if (!symbol_ok(symbol, symbol_len))
        return -K4_BAD_SYMBOL;
    int32_t found = k4_symtab_find(&segment->symtab, product, symbol, symbol_len);
    if (found >= 0) {
        put_unit(&segment->symbols[found], qty_unit, contract_size);
        return found;
    }
    uint32_t i = segment->header->symbol_count;
    if (i == segment->header->symbol_capacity) {
        int status = k4_segment_enlarge(segment);
        if (status != 0)
            return status;
    }
    if (k4_symtab_add(&segment->symtab, product, symbol, symbol_len, (int32_t)i) != 0)
        return -K4_NO_MEMORY;
    struct k4_symbol_entry *entry = &segment->symbols[i];
    memset(entry, 0, sizeof *entry);
    memcpy(entry->symbol, symbol, symbol_len);
    entry->symbol_len = symbol_len;
    memcpy(entry->exchange, segment->products[product].exchange, strlen(segment->products[product].exchange));
    memcpy(entry->product, segment->products[product].name, strlen(segment->products[product].name));
    entry->last_recv_ns = K4_ABSENT;
    entry->state_since_ns = K4_ABSENT;
    entry->state = K4_STATE_STALE; /* nothing has come yet */
    put_unit(entry, qty_unit, contract_size);
    /* Release: pairs with the acquire in k4_reader_symbol_count. */
    __atomic_store_n(&segment->header->symbol_count, i + 1, __ATOMIC_RELEASE);
    return (int)i;
}

void k4_segment_state(struct k4_segment *segment, uint32_t instrument, uint32_t state, int64_t now_ns)
{
    struct k4_symbol_entry *entry = &segment->symbols[instrument];
    if (entry->state == state && entry->state_since_ns != K4_ABSENT)
        return;
    __atomic_store_n(&entry->state_since_ns, now_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->state, state, __ATOMIC_RELEASE);
}

/* ---------------------------------------------------------------- sources */

_Static_assert(K4_SOURCES == 64, "a bit of `claimed` each");

static void put_text(char *field, size_t room, const char *text)
{
    size_t len = strlen(text);
    memset(field, 0, room);
    memcpy(field, text, len < room ? len : room);
}

/* Another source in the place of one that is over, word by word: a reader that looks meanwhile may see some of both. */
static void give_away(struct k4_shm_source *source, const char *name, const char *transport)
{
    struct k4_shm_source fresh;
    uint64_t word;
    memset(&fresh, 0, sizeof fresh);
    put_text(fresh.name, sizeof fresh.name - 1, name);
    put_text(fresh.transport, sizeof fresh.transport - 1, transport);
    for (size_t i = 0; i < sizeof fresh; i += sizeof word) {
        memcpy(&word, (const char *)&fresh + i, sizeof word);
        __atomic_store_n((k4_word *)(void *)((char *)source + i), word, __ATOMIC_RELAXED);
    }
}

int k4_segment_source(struct k4_segment *segment, const char *name, const char *transport)
{
    uint32_t count = segment->header->source_count;
    size_t len = strnlen(name, sizeof segment->sources->name - 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct k4_shm_source *source = &segment->sources[i];
        if (strncmp(source->name, name, len) == 0 && source->name[len] == 0
            && strncmp(source->transport, transport, sizeof source->transport - 1) == 0) {
            segment->claimed |= UINT64_C(1) << i;
            return (int)i;
        }
    }
    if (count == K4_SOURCES) {
        if (segment->claimed == UINT64_MAX)
            return -K4_SOURCES_FULL;
        int free_one = __builtin_ctzll(~segment->claimed);
        give_away(&segment->sources[free_one], name, transport);
        segment->claimed |= UINT64_C(1) << free_one;
        return free_one;
    }
    struct k4_shm_source *source = &segment->sources[count];
    segment->claimed |= UINT64_C(1) << count;
    memset(source, 0, sizeof *source);
    memcpy(source->name, name, len);
    put_text(source->transport, sizeof source->transport - 1, transport);
    /* Release: pairs with the acquire of source_count in readers. */
    __atomic_store_n(&segment->header->source_count, count + 1, __ATOMIC_RELEASE);
    return (int)count;
}

void k4_segment_release_source(struct k4_segment *segment, int source)
{
    segment->claimed &= ~(UINT64_C(1) << source);
}
