/* SBE frames: what is refused, what is skipped, and symbols that are more than a few letters. See k4_sbe.h. */
#include "k4_sbe.h"

#include "k4_utf8.h"

void k4_sbe_refuse(struct k4_sbe *sbe, const struct k4_get *get, uint16_t message)
{
    struct k4_item *item = k4_sbe_items(sbe, 1);
    item->record = 0;
    item->refusal = (uint8_t)get->refusal;
    item->message = message;
    item->offset = get->offset;
    item->symbol = NULL;
    item->symbol_len = 0;
    sbe->scratch->count++;
    sbe->emitted++;
}

void k4_sbe_skip(struct k4_sbe *sbe, uint16_t skip, uint16_t message)
{
    if (sbe->skip == K4_SKIP_NOT) {
        sbe->skip = skip;
        sbe->skip_message = message;
    }
}

void k4_sbe_end(struct k4_sbe *sbe)
{
    const bool gave = sbe->emitted > 0;
    sbe->scratch->skip = gave ? (uint16_t)K4_SKIP_NOT : sbe->skip;
    sbe->scratch->skip_message = gave ? K4_NO_MESSAGE : sbe->skip_message;
}

enum k4_status_of_place k4_sbe_take_symbol_slow(const struct k4_sbe *sbe, uint32_t at, uint32_t len, struct k4_get *get, struct k4_item *item)
{
    if (!k4_utf8_whole(sbe->text + at, len))
        return k4_sbe_wrong(K4_REFUSED_UTF8, at, get);
    const struct k4_text whole = {sbe->text + at, len, at, K4_STRING, 0, 0};
    get->text = whole;
    return k4_take_symbol(get, item);
}
