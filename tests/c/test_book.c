/* Books against a plain table of prices: random changes, long updates, the cap, the chain rules, checksums, held updates, and every
 * allocation failing in turn.
 *
 * link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
 */
#include "check.h"
#include "k4_books.h"

/* With as many bytes as a search reads. */
static const uint8_t btc[K4_SYMTAB_SLACK] = "BTC";
static const uint8_t eth[K4_SYMTAB_SLACK] = "ETH";

/* ---------------------------------------------------------------- allocations that fail */

static long until = -1; /* calls that still succeed; negative: none fails */

static bool fails(void)
{
    return until >= 0 && until-- == 0;
}

#include "failing_malloc.h"

/* ---------------------------------------------------------------- helpers */

static struct k4_crc32 crc;
static struct k4_picture picture;

static uint32_t below(uint32_t n)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static bool push(struct k4_books *books, unsigned side, int64_t price, int32_t price_fraction, int64_t qty, int32_t qty_fraction)
{
    struct k4_level *level = k4_update_push(books, side);
    if (level == NULL)
        return false;
    *level = (struct k4_level){.count = K4_ABSENT_COUNT};
    const struct k4_decimal p = {.mantissa = price, .fraction = price_fraction}, q = {.mantissa = qty, .fraction = qty_fraction};
    return k4_level_price(level, &p) && k4_level_qty(level, &q);
}

static struct k4_update *begin(struct k4_books *books, bool snapshot, int64_t id)
{
    struct k4_update *update = k4_books_begin(books);
    update->snapshot = snapshot;
    update->update_id = id;
    update->order = K4_ORDER_INCREASING;
    return update;
}

static enum k4_skip apply(struct k4_books *books, bool holds)
{
    return k4_books_apply(books, K4_RECORD_DEPTH5, 0, btc, 3, holds);
}

/* ---------------------------------------------------------------- the twin: quantities by price in ten-thousandths */

enum { PRICES = 40000 };
static int64_t twin[2][PRICES];

static void agree(const struct k4_book *book, uint32_t most)
{
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        uint32_t i = 0;
        for (int n = 0; n < PRICES && i < most; n++) {
            const int price = side == K4_BID ? PRICES - 1 - n : n;
            if (twin[side][price] == 0)
                continue;
            CHECK(i < book->side[side].count);
            const struct k4_level *level = k4_book_level(book, side, i++);
            EQUAL(level->price * k4_power10[4 - level->price_fraction], price);
            EQUAL(level->qty, twin[side][price]);
        }
        if (i < most)
            EQUAL(book->side[side].count, i);
    }
}

/* The best five of both sides as the twin has them. */
static void best(int64_t out[2][5][2])
{
    memset(out, 0, 2 * sizeof *out);
    for (unsigned side = K4_BID; side <= K4_ASK; side++) {
        int i = 0;
        for (int n = 0; n < PRICES && i < 5; n++) {
            const int price = side == K4_BID ? PRICES - 1 - n : n;
            if (twin[side][price] == 0)
                continue;
            out[side][i][0] = price;
            out[side][i++][1] = twin[side][price];
        }
    }
}

/* A price in as many fraction digits as it needs, or more. */
static void put(struct k4_books *books, unsigned side, int price, int64_t qty)
{
    int32_t fraction = 4;
    int64_t mantissa = price;
    while (fraction > 0 && mantissa % 10 == 0 && below(2) != 0) {
        mantissa /= 10;
        fraction--;
    }
    CHECK(push(books, side, mantissa, fraction, qty, 0));
    twin[side][price] = qty;
}

static void random_changes(void)
{
    struct k4_books books;
    int64_t was[2][5][2], is[2][5][2];
    CHECK(k4_books_init(&books) == 0);
    memset(twin, 0, sizeof twin);
    for (int64_t id = 0; id < 6000; id++) {
        const bool snapshot = id == 0 || below(400) == 0;
        const int width = below(20) == 0 ? PRICES : 60; /* near one another, mostly */
        best(was);
        if (snapshot)
            memset(twin, 0, sizeof twin);
        (void)begin(&books, snapshot, id);
        for (uint32_t n = below(12) == 0 ? 60 + below(300) : below(6); n > 0; n--)
            put(&books, below(2), (int)below((uint32_t)width), below(3) == 0 ? 0 : 1 + below(5));
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        best(is);
        EQUAL(k4_book_changed(&books.book->book, &books.picture, 5) || snapshot, memcmp(was, is, sizeof is) != 0 || snapshot);
        agree(&books.book->book, UINT32_MAX);
    }
    k4_books_fini(&books);
}

/* More levels than a side holds: the best of them stay right, or the book is stale. */
static void the_cap(void)
{
    struct k4_books books;
    CHECK(k4_books_init(&books) == 0);
    memset(twin, 0, sizeof twin);
    (void)begin(&books, true, 0);
    for (int i = 0; i < 12000; i++)
        put(&books, K4_BID, 10000 + (i * 7919) % 20000, 1);
    EQUAL(apply(&books, false), K4_SKIP_NOT);
    EQUAL(books.book->book.side[K4_BID].count, K4_BOOK_LEVELS);
    agree(&books.book->book, K4_BOOK_LEVELS);
    int64_t id = 1;
    for (int i = 0; i < 30; i++, id++) { /* one by one, on both sides of what is known */
        (void)begin(&books, false, id);
        put(&books, K4_BID, 29999 - 2 * i, 3);
        put(&books, K4_BID, 1 + i, 3);
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        agree(&books.book->book, 2000);
        CHECK(books.book->book.side[K4_BID].count <= K4_BOOK_LEVELS);
    }
    enum k4_skip skip = K4_SKIP_NOT;
    int at = PRICES - 1;
    for (; skip == K4_SKIP_NOT && at > 0; id++) { /* until what is known comes to its end */
        (void)begin(&books, false, id);
        for (int i = 0; i < 5; i++, at--)
            put(&books, K4_BID, at, 0);
        skip = apply(&books, false);
        if (skip == K4_SKIP_NOT)
            agree(&books.book->book, 25);
    }
    EQUAL(skip, K4_SKIP_STALE_BOOK);
    EQUAL(books.book->book.fault, K4_BOOK_GAP);
    CHECK(books.book->book.side[K4_BID].count < K4_BOOK_SURE);
    k4_books_fini(&books);
}

/* A side that is just full, and one level more: the worst eighth is given up, and what is among it is not taken up again. */
static void one_more_than_the_cap(void)
{
    for (int worse = 0; worse < 3; worse++) {
        struct k4_books books;
        CHECK(k4_books_init(&books) == 0);
        memset(twin, 0, sizeof twin);
        (void)begin(&books, true, 0);
        for (int i = 0; i < K4_BOOK_LEVELS; i++)
            put(&books, K4_BID, 20000 + 2 * (K4_BOOK_LEVELS - 1 - i), 1);
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        const struct k4_book *book = &books.book->book;
        EQUAL(book->side[K4_BID].count, K4_BOOK_LEVELS);
        CHECK(!book->cut[K4_BID]);
        (void)begin(&books, false, 1);
        /* the best of all; among what is given up; just above that */
        const int price = worse == 0 ? PRICES - 1 : worse == 1 ? 20101 : 20001 + 2 * (K4_BOOK_LEVELS / 8 - 1);
        put(&books, K4_BID, price, 5);
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        const uint32_t left = K4_BOOK_LEVELS - K4_BOOK_LEVELS / 8;
        EQUAL(book->side[K4_BID].count, left + (worse != 1));
        CHECK(book->cut[K4_BID]);
        agree(book, left + (worse != 1));
        (void)begin(&books, false, 2);
        put(&books, K4_BID, 20003, 7); /* as deep as what was given up */
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        EQUAL(book->side[K4_BID].count, left + (worse != 1));
        (void)begin(&books, false, 3); /* so many at once that they are merged: half of them as deep, half of them new ones above */
        for (int i = 0; i < 50; i++) {
            put(&books, K4_BID, 20000 + 40 * i + 1, 7);
            put(&books, K4_BID, 36001 + 2 * i, 7);
        }
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        EQUAL(book->side[K4_BID].count, left + (worse != 1) + 50);
        agree(book, left + (worse != 1) + 50);
        k4_books_fini(&books);
    }
}

/* What the last place that is shown says is a change, the one behind it is none. */
static void changes_at_the_last_place(void)
{
    struct k4_books books;
    CHECK(k4_books_init(&books) == 0);
    for (int place = 1; place <= K4_BOOK_TOP + 1; place++) {
        (void)begin(&books, true, 0);
        for (int i = 1; i <= K4_BOOK_TOP + 1; i++)
            CHECK(push(&books, K4_ASK, 100 + i, 0, 1, 0));
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        (void)begin(&books, false, 1);
        CHECK(push(&books, K4_ASK, 100 + place, 0, 2, 0));
        EQUAL(apply(&books, false), K4_SKIP_NOT);
        EQUAL(k4_book_changed(&books.book->book, &books.picture, K4_BOOK_TOP), place <= K4_BOOK_TOP);
        EQUAL(k4_book_changed(&books.book->book, &books.picture, 5), place <= 5);
    }
    k4_books_fini(&books);
}

/* ---------------------------------------------------------------- values */

static void prices_by_value(void)
{
    static const struct {
        int64_t a;
        uint8_t a_fraction;
        int64_t b;
        uint8_t b_fraction;
        int order;
    } cases[] = {
        {714238, 1, 7142380, 2, 0},
        {714238, 1, 7142381, 2, -1},
        {-5, 1, -50, 2, 0},
        {-5, 1, -51, 2, 1},
        {0, 0, 0, 128, 0},
        {1, 128, 0, 0, 1},
        {-1, 128, 0, 0, -1},
        {INT64_MAX, 128, 1, 0, -1},
        {1, 0, INT64_MAX, 18, -1},
        {1, 0, 999999999999999999, 18, 1},
        {-INT64_MAX, 19, -1, 0, 1},
        {9, 0, 9, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct k4_level a = {.price = cases[i].a, .price_fraction = cases[i].a_fraction};
        const struct k4_level b = {.price = cases[i].b, .price_fraction = cases[i].b_fraction};
        EQUAL(k4_price_order(&a, &b), cases[i].order);
        EQUAL(k4_price_order(&b, &a), -cases[i].order);
    }
    struct k4_level level;
    CHECK(!k4_level_price(&level, &(struct k4_decimal){.mantissa = 1, .fraction = 256}));
    CHECK(!k4_level_price(&level, &(struct k4_decimal){.mantissa = 1, .zeros = 19}));
    CHECK(!k4_level_qty(&level, &(struct k4_decimal){.state = K4_DECIMAL_ABSENT}));
    CHECK(k4_level_qty(&level, &(struct k4_decimal){.mantissa = 1, .zeros = 29, .fraction = 30}));
    EQUAL(level.qty_fraction + level.qty_zeros, 30);
    struct k4_level other = level;
    CHECK(k4_level_same(&level, &other));
    other.count++; /* the same amount in more orders is another level to a record */
    CHECK(!k4_level_same(&level, &other));
}

/* ---------------------------------------------------------------- checksums */

static void checksums(void)
{
    static const uint8_t digits[] = "123456789";
    struct k4_books books;
    CHECK(k4_books_init(&books) == 0);
    EQUAL(k4_crc32_add(&crc, 0, digits, 9), 0xcbf43926u);
    EQUAL(k4_crc32_add(&crc, k4_crc32_add(&crc, 0, digits, 4), digits + 4, 5), 0xcbf43926u);
    struct k4_update *update = begin(&books, true, 1);
    CHECK(push(&books, K4_BID, 33661, 1, 7, 0) && push(&books, K4_BID, 3366, 0, 6, 0));
    CHECK(push(&books, K4_ASK, 33668, 1, 9, 0) && push(&books, K4_ASK, 3368, 0, 8, 0));
    update->rule = K4_CHECKSUM_INTERLEAVED_25;
    update->checksum = (uint32_t)-1881014294; /* of "3366.1:7:3366.8:9:3366:6:3368:8" */
    EQUAL(apply(&books, false), K4_SKIP_NOT);
    const uint32_t wanted = k4_crc32_add(&crc, 0, (const uint8_t *)"3366893368833661733666", 22);
    EQUAL(k4_book_checksum(&books.book->book, K4_CHECKSUM_DIGITS_10, &crc), wanted);
    update = begin(&books, false, 2);
    CHECK(push(&books, K4_ASK, 500, 3, 120, 2)); /* 0.500: another best, and digits that count */
    update->rule = K4_CHECKSUM_INTERLEAVED_25;
    update->checksum = k4_crc32_add(&crc, 0, (const uint8_t *)"3366.1:7:0.500:1.20:3366:6:3366.8:9:3368:8", 42);
    EQUAL(apply(&books, false), K4_SKIP_NOT);
    update = begin(&books, false, 3);
    update->rule = K4_CHECKSUM_DIGITS_10;
    update->checksum = 7;
    EQUAL(apply(&books, false), K4_SKIP_STALE_BOOK);
    EQUAL(books.book->book.fault, K4_BOOK_CHECKSUM);
    (void)begin(&books, true, 4);
    EQUAL(k4_books_apply(&books, K4_RECORD_DEPTH5, 0, eth, 3, false), K4_SKIP_NOT);
    EQUAL(k4_book_checksum(&books.book->book, K4_CHECKSUM_INTERLEAVED_25, &crc), 0);
    /* Ten levels of each side, asks first, each value with its sign. */
    (void)begin(&books, true, 5);
    for (int i = 0; i < 11; i++)
        CHECK(push(&books, K4_ASK, -10 + i, 1, 8, 0) && push(&books, K4_BID, -20 - i, 0, 5, 1));
    EQUAL(apply(&books, false), K4_SKIP_NOT);
    static const uint8_t ten[] = "-108-98-88-78-68-58-48-38-28-18-205-215-225-235-245-255-265-275-285-295";
    EQUAL(k4_book_checksum(&books.book->book, K4_CHECKSUM_DIGITS_10, &crc), k4_crc32_add(&crc, 0, ten, sizeof ten - 1));
    k4_books_fini(&books);
}

/* ---------------------------------------------------------------- who goes on from what */

static void chains(void)
{
    enum { SPAN = 6 };
    struct k4_book book = {0};
    /* Every small combination against the rules as the language says them. */
    for (int order = K4_ORDER_INCREASING; order <= K4_ORDER_LEADER; order++)
        for (int fresh = 0; fresh < 2; fresh++)
            for (int64_t first = -1; first < SPAN; first++)
                for (int64_t prev = -1; prev < SPAN; prev++)
                    for (int64_t id = -1; id < SPAN; id++)
                        for (int64_t old = -1; old < SPAN; old++) {
                            struct k4_update update = {.update_id = id < 0 ? K4_ABSENT : id,
                                .first_id = first < 0 ? K4_ABSENT : first,
                                .prev_id = prev < 0 ? K4_ABSENT : prev,
                                .order = (uint8_t)order};
                            enum k4_skip wanted;
                            book.live = true;
                            book.fresh = fresh != 0;
                            book.id = old < 0 ? K4_ABSENT : old;
                            if (order == K4_ORDER_LEADER && first < 0 && prev < 0)
                                wanted = K4_SKIP_NOT;
                            else if (old < 0)
                                wanted = fresh ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
                            else if (id < 0)
                                wanted = K4_SKIP_STALE_BOOK;
                            else if (prev >= 0 && prev == old)
                                wanted = K4_SKIP_NOT;
                            else if (id <= old)
                                wanted = K4_SKIP_UNCHANGED;
                            else if (prev >= 0)
                                wanted = fresh && first >= 0 && first <= old + 1 ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
                            else if (first >= 0)
                                wanted = first <= old + 1 ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
                            else
                                wanted = order != K4_ORDER_CONTIGUOUS || id == old + 1 ? K4_SKIP_NOT : K4_SKIP_STALE_BOOK;
                            EQUAL(k4_book_apply(&book, &update, &picture, &crc), wanted);
                            EQUAL(book.live, wanted != K4_SKIP_STALE_BOOK);
                            EQUAL(book.fresh, fresh && wanted != K4_SKIP_NOT); /* one change goes on from a snapshot */
                            if (wanted == K4_SKIP_NOT)
                                EQUAL(book.id, id >= 0 ? id : old >= 0 ? old : K4_ABSENT);
                        }
    k4_book_fini(&book);
}

/* ---------------------------------------------------------------- held updates, and what is told */

static int turns, faults[32];

static bool turned(void *context, const struct k4_kept_book *book, uint16_t message)
{
    CHECK(context == &turns && message == 0);
    faults[turns++] = book->book.fault;
    return true;
}

static void held_updates(void)
{
    struct k4_books books;
    CHECK(k4_books_init(&books) == 0);
    books.turned = turned;
    books.context = &turns;
    turns = 0;
    for (int64_t id = 10; id < 50; id += 10) { /* each covers ten ids */
        struct k4_update *update = begin(&books, false, id + 9);
        update->first_id = id;
        update->event_ns = 1000 + id;
        update->flags = id == 10 ? K4_FLAG_RESET : id == 30 ? K4_FLAG_BACKFILL : 0;
        CHECK(push(&books, K4_BID, id, 0, id, 0));
        EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
    }
    EQUAL(turns, 1); /* asked once */
    EQUAL(faults[0], K4_BOOK_NO_SNAPSHOT);
    (void)begin(&books, true, 25);
    CHECK(push(&books, K4_BID, 1, 0, 1, 0) && push(&books, K4_ASK, 99, 0, 1, 0));
    EQUAL(apply(&books, true), K4_SKIP_NOT);
    EQUAL(turns, 2);
    EQUAL(faults[1], K4_BOOK_LIVE);
    const struct k4_book *book = &books.book->book;
    EQUAL(book->id, 49);
    EQUAL(books.update.update_id, 49);
    EQUAL(books.update.event_ns, 1040);
    EQUAL(books.update.flags, K4_FLAG_BACKFILL); /* of what was applied */
    EQUAL(book->side[K4_BID].count, 4); /* 1, 20, 30, 40: what ended at 19 fell away */
    EQUAL(k4_book_level(book, K4_BID, 0)->price, 40);
    CHECK(books.book->held == NULL);
    /* A hole, then a snapshot that is too old to reach what is held: asked for again, and again. */
    for (int round = 0; round < 2; round++) {
        struct k4_update *update = begin(&books, false, 69);
        update->first_id = 60;
        EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
        EQUAL(turns, 3 + 2 * round - round);
        (void)begin(&books, true, 50);
        EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
        EQUAL(turns, 4 + round);
        EQUAL(faults[turns - 1], K4_BOOK_GAP);
    }
    (void)begin(&books, true, 59); /* what was held all the time goes on from this one */
    EQUAL(apply(&books, true), K4_SKIP_NOT);
    EQUAL(book->id, 69);
    CHECK(book->live && books.book->held == NULL);
    /* Too many: they are dropped, not kept for ever. */
    for (int64_t id = 100; id < 600; id++) {
        struct k4_update *update = begin(&books, false, id);
        update->first_id = id;
        for (int i = 0; i < 100; i++)
            CHECK(push(&books, K4_ASK, 1000 + i, 0, 1, 0));
        EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
        CHECK(books.book->held_room <= K4_BOOKS_HELD);
    }
    k4_books_clear(&books);
    CHECK(books.book->held == NULL && !books.book->book.live);
    const int told = turns;
    (void)begin(&books, false, 700);
    EQUAL(apply(&books, false), K4_SKIP_STALE_BOOK);
    EQUAL(turns, told + 1); /* a new link, so it is news again */
    (void)begin(&books, true, 1);
    EQUAL(apply(&books, true), K4_SKIP_NOT);
    k4_books_refused(&books, K4_RECORD_DEPTH5, 0, btc, 3);
    EQUAL(faults[turns - 1], K4_BOOK_REFUSED);
    k4_books_refused(&books, K4_RECORD_DEPTH5, 0, (const uint8_t *)"XRP", 3); /* no such book */
    k4_books_fini(&books);
}

/* One of them contradicts its checksum: all of them are dropped, and the next snapshot stands by itself. */
static void held_updates_that_are_wrong(void)
{
    struct k4_books books;
    CHECK(k4_books_init(&books) == 0);
    for (int64_t id = 11; id < 14; id++) {
        struct k4_update *update = begin(&books, false, id);
        update->first_id = id;
        CHECK(push(&books, K4_BID, id, 0, 1, 0));
        update->rule = id == 12 ? K4_CHECKSUM_DIGITS_10 : K4_CHECKSUM_NONE;
        update->checksum = 1;
        EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
    }
    (void)begin(&books, true, 10);
    EQUAL(apply(&books, true), K4_SKIP_STALE_BOOK);
    EQUAL(books.book->book.fault, K4_BOOK_CHECKSUM);
    CHECK(books.book->held == NULL && !books.book->book.live);
    (void)begin(&books, true, 10);
    EQUAL(apply(&books, true), K4_SKIP_NOT);
    EQUAL(books.book->book.id, 10);
    EQUAL(books.book->book.side[K4_BID].count, 0);
    k4_books_fini(&books);
}

/* ---------------------------------------------------------------- memory that is not there */

static void run_scarcely(void)
{
    struct k4_books books;
    if (k4_books_init(&books) != 0) {
        k4_books_fini(&books);
        return;
    }
    for (int64_t id = 1; id < 40; id++) {
        char symbol[K4_SYMTAB_SLACK] = "";
        const uint32_t len = (uint32_t)snprintf(symbol, sizeof symbol, "S%d", (int)(id % 20));
        struct k4_update *update = begin(&books, id < 20, id);
        bool whole = true;
        for (int i = 0; i < 70 && whole; i++)
            whole = push(&books, (unsigned)i % 2, i % 2 ? 1000 + i : 500 - i, 0, 1 + id, 0);
        update->first_id = id;
        if (!whole)
            k4_books_refused(&books, K4_RECORD_DEPTH5, 0, (const uint8_t *)symbol, len);
        else if (k4_books_apply(&books, K4_RECORD_DEPTH5, 0, (const uint8_t *)symbol, len, id % 3 == 0) == K4_SKIP_NOT && id < 20)
            EQUAL(books.book->book.side[K4_BID].count, 35); /* all of it, or nothing is published */
    }
    k4_books_fini(&books);
}

static void no_memory(void)
{
    for (long i = 0; i < 400; i++) {
        until = i;
        run_scarcely();
        if (until >= 0)
            CHECK(i > 50); /* all calls were tried */
        until = -1;
    }
}

int main(void)
{
    k4_crc32_init(&crc);
    prices_by_value();
    random_changes();
    the_cap();
    one_more_than_the_cap();
    changes_at_the_last_place();
    checksums();
    chains();
    held_updates();
    held_updates_that_are_wrong();
    no_memory();
    return check_failures != 0;
}
