/* A product that knows no market data: every message, of any bytes, is handed to Python as it came. With the core it makes a library
 * whose connections can be driven by any WebSocket server, Autobahn's fuzzing server above all. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_decode.h"

static const struct k4_message messages[] = {{.kind = "control", .skip = K4_SKIP_CONTROL, .line = 1}};

static bool decline(const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    (void)text;
    (void)len;
    (void)scratch;
    return false;
}

static void hand_over(const uint8_t *text, size_t len, struct k4_scratch *scratch)
{
    (void)text;
    (void)len;
    scratch->tier = K4_TIER_TOLERANT;
    scratch->skip = K4_SKIP_CONTROL;
    scratch->skip_message = 0;
}

static const struct k4_product echo = {.exchange = "echo", .name = "any", .messages = messages, .message_count = 1, .fast = decline, .tolerant = hand_over};

const struct k4_product *const k4_products[] = {&echo, NULL};
