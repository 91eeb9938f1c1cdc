/* UTF-8 as Unicode defines it (table 3-7): no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef K4_UTF8_H
#define K4_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence that `lead` opens, and the range its second byte must be in; 0: never a lead byte. */
static inline unsigned k4_utf8_lead(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0)
            *low = 0xa0;
        if (lead == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0)
            *low = 0x90;
        if (lead == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

/* How many bytes in front are proven; less than len means that a sequence is cut off by the end there. *bad is set when the bytes at the
 * returned place can never become UTF-8. Reads only text[0 .. len). */
size_t k4_utf8_proven(const uint8_t *text, size_t len, bool *bad);

static inline bool k4_utf8_whole(const uint8_t *text, size_t len)
{
    bool bad;
    return k4_utf8_proven(text, len, &bad) == len;
}

#endif
