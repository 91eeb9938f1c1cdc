#include "k4_utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Where the run of ASCII that begins at `at` ends, same as: while (at < len && text[at] < 0x80) at++; */
static size_t ascii_run(const uint8_t *text, size_t at, size_t len)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t word;
#ifdef __SSE2__
    for (; len - at >= 64; at += 64) {
        const __m128i *p = (const __m128i *)(const void *)(text + at);
        __m128i low = _mm_or_si128(_mm_loadu_si128(p), _mm_loadu_si128(p + 1));
        if (_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(_mm_loadu_si128(p + 2), _mm_loadu_si128(p + 3)))) != 0)
            break;
    }
    for (; len - at >= 16; at += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(text + at))) != 0)
            break;
#endif
    while (len - at >= 8) {
        memcpy(&word, text + at, 8);
        if (word & high)
            break;
        at += 8;
    }
    if (len >= 8 && len - at < 8) { /* the rest at once, by a load that overlaps what is proven */
        memcpy(&word, text + len - 8, 8);
        if ((word & high) == 0)
            return len;
    }
    while (at < len && text[at] < 0x80)
        at++;
    return at;
}

size_t k4_utf8_proven(const uint8_t *text, size_t len, bool *bad)
{
    *bad = false;
    size_t at = 0;
    for (;;) {
        at = ascii_run(text, at, len);
        if (at == len)
            return len;
        uint8_t low, high;
        unsigned want = k4_utf8_lead(text[at], &low, &high);
        if (want == 0) {
            *bad = true;
            return at;
        }
        for (unsigned i = 1; i < want; i++) {
            if (at + i == len)
                return at;
            uint8_t c = text[at + i];
            if (c < (i == 1 ? low : 0x80) || c > (i == 1 ? high : 0xbf)) {
                *bad = true;
                return at;
            }
        }
        at += want;
    }
}
