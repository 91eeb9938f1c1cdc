/* Texts that fitted before are told by their bytes: exactly those, whatever comes between. */
#include <string.h>

#include "check.h"
#include "k4_told.h"

static struct k4_told told;
static const char mine, others; /* two products' patterns */

/* With room behind it, where something stands that is no part of it. */
static const uint8_t *spelled(const char *text, char behind)
{
    static uint8_t room[128];
    memset(room, behind, sizeof room);
    memcpy(room + 16, text, strlen(text));
    return room + 16;
}

static void keep(const void *product, uint32_t which, const char *text)
{
    k4_told_keep(&told, product, which, spelled(text, 'x'), (uint32_t)strlen(text));
}

static bool knows(const void *product, uint32_t which, const char *text)
{
    return k4_told_knows(&told, product, which, spelled(text, 'y'), (uint32_t)strlen(text));
}

static void test_exactly_what_was_kept(void)
{
    static const char *const texts[] = {"A", "FOO-BAR", "FOO-BAR-SWAP", "FOO-BAR-261225-X", "FOO-BAR-261225-XY", "FOO-BAR-261225-100000-C",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char changed[64];
        const size_t len = strlen(texts[i]);
        told = (struct k4_told){0};
        CHECK(!knows(&mine, 0, texts[i]));
        keep(&mine, 0, texts[i]);
        CHECK(knows(&mine, 0, texts[i]));
        CHECK(!knows(&others, 0, texts[i])); /* another product's patterns */
        CHECK(!knows(&mine, 1, texts[i]));   /* another of its patterns */
        for (size_t at = 0; at < len; at++) {
            strcpy(changed, texts[i]);
            changed[at] ^= 1;
            CHECK(!knows(&mine, 0, changed));
        }
        memcpy(changed, texts[i], len);
        memcpy(changed + len, "-", 2); /* the same and more, and less of it */
        CHECK(!knows(&mine, 0, changed));
        changed[len - 1] = '\0';
        CHECK(!knows(&mine, 0, changed));
    }
}

static void test_nothing_fits_an_empty_memory(void)
{
    told = (struct k4_told){0};
    CHECK(!knows(&mine, 0, ""));
    CHECK(!knows(&mine, 0, "FOO"));
}

static void test_what_is_too_long_is_not_kept(void)
{
    char text[64] = {0};
    memset(text, 'a', K4_TOLD_LONGEST + 1);
    told = (struct k4_told){0};
    keep(&mine, 0, text);
    CHECK(!knows(&mine, 0, text));
    text[K4_TOLD_LONGEST] = '\0';
    keep(&mine, 0, text);
    CHECK(knows(&mine, 0, text));
    text[K4_TOLD_LONGEST] = 'a';
    CHECK(!knows(&mine, 0, text));
}

static uint32_t place_of(const char *text)
{
    uint64_t first, second;
    const uint32_t len = (uint32_t)strlen(text);
    const uint8_t *at = spelled(text, 'z');
    k4_symtab_words(at, len, &first, &second);
    return k4_told_place(at, len, first, second);
}

/* Two texts of one place drive each other out, and are never taken for each other. */
static void test_a_place_holds_the_last_one(void)
{
    char other[16];
    for (unsigned i = 0;; i++) {
        snprintf(other, sizeof other, "N%u-BAR", i);
        if (place_of(other) == place_of("FOO-BAR"))
            break;
    }
    told = (struct k4_told){0};
    keep(&mine, 0, "FOO-BAR");
    CHECK(!knows(&mine, 0, other));
    keep(&mine, 0, other);
    CHECK(knows(&mine, 0, other));
    CHECK(!knows(&mine, 0, "FOO-BAR"));
    keep(&mine, 0, "FOO-BAR");
    CHECK(knows(&mine, 0, "FOO-BAR"));
    CHECK(!knows(&mine, 0, other));
}

/* A flood of names: none is told that was not kept; of the rest the last of each place. */
static void test_a_flood_of_names(void)
{
    enum { NAMES = 50000 };
    char text[16];
    static unsigned last[K4_TOLD_PLACES];
    told = (struct k4_told){0};
    memset(last, 0, sizeof last);
    for (unsigned i = 1; i <= NAMES; i++) {
        snprintf(text, sizeof text, "F%u-BAR", i);
        if (i % 2 == 0)
            continue; /* does not fit */
        keep(&mine, 0, text);
        last[place_of(text)] = i;
    }
    unsigned known = 0, filled = 0;
    for (unsigned i = 1; i <= NAMES; i++) {
        snprintf(text, sizeof text, "F%u-BAR", i);
        const bool is = knows(&mine, 0, text);
        EQUAL(is, last[place_of(text)] == i);
        known += is;
    }
    for (unsigned i = 0; i < K4_TOLD_PLACES; i++)
        filled += last[i] != 0;
    EQUAL(known, filled);
    EQUAL(filled, K4_TOLD_PLACES); /* no place is left out */
    EQUAL(sizeof told, 65536);
}

int main(void)
{
    test_exactly_what_was_kept();
    test_nothing_fits_an_empty_memory();
    test_what_is_too_long_is_not_kept();
    test_a_place_holds_the_last_one();
    test_a_flood_of_names();
    return check_failures != 0;
}
