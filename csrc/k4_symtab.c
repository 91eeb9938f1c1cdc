#include "k4_symtab.h"

#include <stdlib.h>

enum { TEXT_SIZE = 48 };

static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)count)
        slots *= 2;
    return slots;
}

static void place(struct k4_symtab_slot *slots, uint32_t mask, const struct k4_symtab_slot *entry, const uint8_t *texts)
{
    uint32_t at = k4_symtab_hash(texts + entry->text, (uint32_t)entry->kind, (uint32_t)(entry->kind >> 32), entry->first, entry->second) & mask;
    while (slots[at].kind != 0)
        at = (at + 1) & mask;
    slots[at] = *entry;
}

int k4_symtab_init(struct k4_symtab *table, uint32_t capacity)
{
    uint32_t count = slots_for(capacity);
    memset(table, 0, sizeof *table);
    table->slots = calloc(count, sizeof *table->slots);
    table->texts = malloc((size_t)TEXT_SIZE * (capacity ? capacity : 1));
    if (table->slots == NULL || table->texts == NULL) {
        k4_symtab_fini(table);
        return -1;
    }
    table->mask = count - 1;
    table->text_room = capacity ? capacity : 1;
    return 0;
}

void k4_symtab_fini(struct k4_symtab *table)
{
    free(table->slots);
    free(table->texts);
    memset(table, 0, sizeof *table);
}

/* Room for one more symbol, everything else as it is. */
static int grow(struct k4_symtab *table)
{
    if (table->count == table->text_room) {
        uint8_t *texts = realloc(table->texts, (size_t)TEXT_SIZE * table->text_room * 2);
        if (texts == NULL)
            return -1;
        table->texts = texts;
        table->text_room *= 2;
    }
    if (2 * (uint64_t)(table->count + 1) <= (uint64_t)table->mask + 1)
        return 0;
    uint32_t count = slots_for(table->count + 1);
    struct k4_symtab_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return -1;
    for (uint32_t i = 0; i <= table->mask; i++)
        if (table->slots[i].kind != 0)
            place(slots, count - 1, &table->slots[i], table->texts);
    free(table->slots);
    table->slots = slots;
    table->mask = count - 1;
    return 0;
}

int k4_symtab_add(struct k4_symtab *table, uint32_t product, const uint8_t *symbol, uint32_t len, int32_t index)
{
    struct k4_symtab_slot entry = {.kind = k4_symtab_kind(product, len), .index = index};
    if (k4_symtab_find(table, product, symbol, len) >= 0)
        return 0;
    if (grow(table) != 0)
        return -1;
    entry.text = table->count * TEXT_SIZE;
    uint8_t *text = table->texts + entry.text;
    memset(text, 0, TEXT_SIZE);
    memcpy(text, symbol, len);
    k4_symtab_words(text, len, &entry.first, &entry.second);
    place(table->slots, table->mask, &entry, table->texts);
    table->count++;
    return 0;
}
