/* Finds what was generated: products by name, and what their messages are. */
#include "k4_api.h"
#include "k4_decode.h"

#include <string.h>

const k4_product *k4_product_find(const char *exchange, const char *product)
{
    for (const struct k4_product *const *at = k4_products; *at; at++)
        if (strcmp((*at)->exchange, exchange) == 0 && strcmp((*at)->name, product) == 0)
            return *at;
    return NULL;
}

int k4_product_message_count(const k4_product *product)
{
    return product->message_count;
}

const char *k4_product_message_kind(const k4_product *product, int message)
{
    return message >= 0 && message < product->message_count ? product->messages[message].kind : NULL;
}
