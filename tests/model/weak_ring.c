/* The ring under a weak memory: k4_segment.h, k4_segment.c, k4_takeover.c and k4_reader.h themselves, on the memory of weak.h, through
 * everything it may do. Segments are tiny (two slots, two instruments, records of two words), which is all that these rules need: a slot
 * that is lapped, a reader between any two stores, a writer killed before any of them.
 *
 * Usage: weak_ring [SCENARIO...]; without names, all of them. Exits 0 when nothing is wrong in any execution. */
#include "weak.h"

#include "k4_segment.c"
#undef fail
#include "k4_takeover.c"

enum { SLOTS = 2, INSTRUMENTS = 2, WORDS = 2, STRIDE = 64, RECORDS_MAX = 8 };

static struct k4_shm_header header;
static struct k4_symbol_entry symbols[INSTRUMENTS];
static _Alignas(64) uint8_t latest[INSTRUMENTS * STRIDE];
static _Alignas(64) uint8_t ring[SLOTS * STRIDE];
static struct k4_shm_wait wait_page;
static uint8_t owed[INSTRUMENTS];
static struct k4_segment writer;
static uint64_t taken_at; /* records below it are the first writer's */

/* ---------------------------------------------------------------- the segment */

static void point(void)
{
    memset(&writer, 0, sizeof writer);
    writer.ring = ring;
    writer.latest = latest;
    writer.mask = SLOTS - 1;
    writer.stride = STRIDE;
    writer.words = WORDS;
    writer.header = &header;
    writer.symbols = symbols;
    writer.wait = &wait_page;
    writer.restart = owed;
    writer.head = header.head;
}

static void setup(void)
{
    memset(&header, 0, sizeof header);
    memset(symbols, 0, sizeof symbols);
    memset(latest, 0, sizeof latest);
    memset(ring, 0, sizeof ring);
    memset(&wait_page, 0, sizeof wait_page);
    memset(owed, 0, sizeof owed);
    header.ring_slots = SLOTS;
    header.symbol_capacity = header.symbol_count = INSTRUMENTS;
    header.writer_pid = getpid();
    for (int i = 0; i < INSTRUMENTS; i++)
        symbols[i].symbol_len = 1;
    taken_at = UINT64_MAX;
    point();
}

static void name_places(void)
{
    weak_name(&header.head, "head", 0, 0);
    weak_name(&header.wake, "wake", 0, 0);
    weak_name(&header.closed, "closed", 0, 0);
    weak_name(&wait_page.sleepers, "sleepers", 0, 0);
    for (int i = 0; i < SLOTS; i++)
        for (int j = 0; j <= WORDS; j++)
            weak_name(ring + i * STRIDE + 8 * j, j ? "ring[%d] word %d" : "ring[%d] sequence", i, j - 1);
    for (int i = 0; i < INSTRUMENTS; i++)
        for (int j = 0; j <= WORDS; j++)
            weak_name(latest + i * STRIDE + 8 * j, j ? "latest[%d] word %d" : "latest[%d] sequence", i, j - 1);
}

/* Records 0 and 1 are of instruments 0 and 1, then 0 0 1 0 0 1 ...: laps with and without a change of owner. */
static uint32_t instrument_of(uint64_t n)
{
    return n == 1 || n % 3 == 1 ? 1 : 0;
}

/* Sequence + 1 of the instrument's newest record below `head`, 0: none. */
static uint64_t newest_of(uint32_t instrument, uint64_t head)
{
    while (head > 0 && instrument_of(head - 1) != instrument)
        head--;
    return head;
}

static uint64_t word_of(uint64_t n, unsigned epoch)
{
    return n * 16 + epoch + 1000;
}

static void publish(uint64_t n, unsigned epoch)
{
    union k4_record record;
    memset(&record, 0, sizeof record);
    record.common.instrument = instrument_of(n);
    record.common.source = (uint16_t)word_of(n, epoch);
    record.common.event_ns = (int64_t)word_of(n, epoch);
    uint64_t got = k4_segment_publish(&writer, record.common.instrument, &record);
    if (got != n)
        weak_fail("record %llu was published as %llu", (unsigned long long)n, (unsigned long long)got);
}

/* ---------------------------------------------------------------- a reader and what it may be given */

struct look {
    struct k4_reader reader;
    uint64_t expected;
    uint64_t newest[INSTRUMENTS]; /* sequence + 1 */
};

static void look_init(struct look *look)
{
    memset(look, 0, sizeof *look);
    look->reader.header = &header;
    look->reader.symbols = symbols;
    look->reader.latest = latest;
    look->reader.ring = ring;
    look->reader.wait = &wait_page;
    look->reader.slots = SLOTS;
    look->reader.mask = SLOTS - 1;
    look->reader.stride = STRIDE;
    look->reader.words = WORDS;
    look->reader.symbol_capacity = INSTRUMENTS;
    look->reader.lock_fd = -1;
}

static void check_record(const union k4_record *record, uint64_t n, const char *from)
{
    unsigned epoch = n < taken_at ? 1 : 2;
    unsigned long long at = (unsigned long long)n;
    if (record->common.instrument != instrument_of(n) || record->common.event_ns != (int64_t)word_of(n, epoch)
        || record->common.source != (uint16_t)word_of(n, epoch))
        weak_fail("%s gave a torn or wrong record %llu: words %u %u, %lld; should be %u %u, %lld", from, at, record->common.instrument,
                  record->common.source, (long long)record->common.event_ns, instrument_of(n), (unsigned)(uint16_t)word_of(n, epoch),
                  (long long)word_of(n, epoch));
}

/* What k4_reader_next returned. */
static int look_next(struct look *look)
{
    union k4_record record;
    uint64_t n = 0, first = 0, last = 0;
    int got = k4_reader_next(&look->reader, &record, &n, &first, &last);
    if (weak.given_up)
        return K4_READ_NOTHING;
    if (got == K4_READ_RECORD) {
        check_record(&record, n, "next");
        if (n != look->expected)
            weak_fail("next gave %llu instead of %llu", (unsigned long long)n, (unsigned long long)look->expected);
        look->expected = n + 1;
        if (n + 1 > look->newest[instrument_of(n)])
            look->newest[instrument_of(n)] = n + 1;
    } else if (got == K4_READ_LOST) {
        if (first != look->expected || last < first)
            weak_fail("lost %llu to %llu, expected from %llu", (unsigned long long)first, (unsigned long long)last, (unsigned long long)look->expected);
        if (last + SLOTS > writer.head)
            weak_fail("lost up to %llu, which the ring still holds", (unsigned long long)last);
        look->expected = last + 1;
    }
    return got;
}

static void look_latest(struct look *look, uint32_t instrument, uint64_t least)
{
    union k4_record record;
    uint64_t n = 0;
    int got = k4_reader_latest(&look->reader, instrument, &record, &n);
    if (weak.given_up)
        return;
    if (least < look->newest[instrument])
        least = look->newest[instrument];
    if (got == 1 && instrument_of(n) != instrument)
        weak_fail("latest of %u gave record %llu, which is the other's", instrument, (unsigned long long)n);
    else if (got == 1)
        check_record(&record, n, "latest");
    if ((got == 1 ? n + 1 : 0) < least)
        weak_fail("latest of %u went back: %llu, had %llu (sequences + 1)", instrument, (unsigned long long)(got == 1 ? n + 1 : 0), (unsigned long long)least);
    look->newest[instrument] = got == 1 ? n + 1 : 0;
}

/* Looks of any kind in any order. */
static void read_freely(int steps)
{
    static struct look look;
    look_init(&look);
    for (int step = 0; step < steps; step++) {
        int what = weak_choose(1 + INSTRUMENTS);
        if (what == 0)
            (void)look_next(&look);
        else
            look_latest(&look, (uint32_t)what - 1, 0);
    }
}

static void read_thrice(void)
{
    read_freely(3);
}

static void read_twice(void)
{
    read_freely(2);
}

/* Readers that come when all is over: one asks for latest only, one misses nothing and gets to the end. */
static void read_to_the_end(void)
{
    static struct look look;
    int got;
    look_init(&look);
    for (uint32_t i = 0; i < INSTRUMENTS; i++)
        look_latest(&look, i, newest_of(i, header.head));
    look_init(&look);
    while ((got = look_next(&look)) == K4_READ_RECORD || got == K4_READ_LOST)
        ;
    if (look.expected != header.head || header.head != writer.head)
        weak_fail("a late reader came to %llu, head is %llu", (unsigned long long)look.expected, (unsigned long long)header.head);
}

/* ---------------------------------------------------------------- scenarios */

static void write_four(void)
{
    for (uint64_t n = 0; n < 4; n++)
        publish(n, 1);
}

static void read_in_order(void)
{
    static struct look look;
    look_init(&look);
    for (int step = 0; step < 4; step++)
        (void)look_next(&look);
}

/* Head, all latest, then on from head: together every record from somewhere on. */
static void snapshot(void)
{
    static struct look look;
    look_init(&look);
    uint64_t head = k4_reader_head(&look.reader);
    for (uint32_t i = 0; i < INSTRUMENTS; i++)
        look_latest(&look, i, newest_of(i, head));
    k4_reader_seek(&look.reader, head);
    look.expected = head;
    (void)look_next(&look);
}

/* What head promises: each record below it stands in its ring slot and in its latest slot, or a newer one does. */
static void believe_head(void)
{
    static struct look look;
    look_init(&look);
    uint64_t head = k4_reader_head(&look.reader);
    for (uint64_t n = 0; n < head; n++) {
        const uint8_t *slots[] = {ring + (n & (SLOTS - 1)) * STRIDE, latest + instrument_of(n) * STRIDE};
        for (int i = 0; i < 2; i++)
            if (__atomic_load_n((const uint64_t *)(const void *)slots[i], __ATOMIC_RELAXED) < 2 * n + 2)
                weak_fail("head is %llu, but record %llu is not in its %s slot", (unsigned long long)head, (unsigned long long)n, i ? "latest" : "ring");
    }
}

static void write_and_die(void)
{
    publish(0, 1);
    publish(1, 1);
    weak.mortal = weak.running;
    publish(2, 1);
    weak.mortal = -1;
}

static void take_over(void)
{
    char error[256];
    weak_synchronise(); /* the lock was let go of by the kernel, after everything the dead writer did */
    point();
    if (k4_takeover_check(&writer, error, sizeof error) != 0)
        weak_fail("what a killed writer left was refused: %s", error);
    k4_takeover_repair(&writer);
    taken_at = writer.head;
    if (taken_at < 2 || taken_at > 3)
        weak_fail("repaired to head %llu", (unsigned long long)taken_at);
    writer.restarts = INSTRUMENTS;
    memset(owed, 1, sizeof owed);
    for (int more = weak_choose(3); more > 0; more--)
        publish(writer.head, 2);
}

static void write_then_wake(void)
{
    publish(0, 1);
    k4_segment_wake(&writer);
}

static void write_then_wake_twice(void)
{
    publish(0, 1);
    k4_segment_wake(&writer);
    publish(1, 1);
    k4_segment_wake(&writer);
}

static void sleep_until_all(void)
{
    static struct look looks[WEAK_THREADS];
    struct look *look = &looks[weak.running];
    look_init(look);
    while (look->expected < (weak.program->threads[0] == write_then_wake_twice ? 2 : 1))
        if (look_next(look) == K4_READ_NOTHING)
            (void)k4_reader_wait(&look->reader, 100000000);
}

static void write_then_close(void)
{
    publish(0, 1);
    end(&header, K4_SHM_CLOSED);
}

static void sleep_until_closed(void)
{
    static struct look look;
    int got;
    look_init(&look);
    while ((got = look_next(&look)) >= 0)
        if (got == K4_READ_NOTHING)
            (void)k4_reader_wait(&look.reader, 100000000);
    if (got != -K4_WRITER_CLOSED || look.expected != 1 || k4_reader_head(&look.reader) != 1)
        weak_fail("the end was said after %llu records of 1, at head %llu", (unsigned long long)look.expected,
                  (unsigned long long)k4_reader_head(&look.reader));
}

static const struct weak_program scenarios[] = {
    {.name = "order", .setup = setup, .threads = {write_four, read_in_order}, .count = 2, .in_turn = true, .stale = 100, .end = read_to_the_end},
    {.name = "latest", .setup = setup, .threads = {write_four, read_thrice}, .count = 2, .in_turn = true, .stale = 16, .end = read_to_the_end},
    {.name = "snapshot", .setup = setup, .threads = {write_four, snapshot}, .count = 2, .in_turn = true, .stale = 20, .end = read_to_the_end},
    {.name = "head", .setup = setup, .threads = {write_four, believe_head}, .count = 2, .in_turn = true, .stale = 100},
    {.name = "takeover", .setup = setup, .threads = {write_and_die, take_over, read_twice}, .count = 3, .in_turn = true, .stale = 10, .end = read_to_the_end},
    {.name = "wake", .setup = setup, .threads = {write_then_wake, sleep_until_all}, .count = 2, .stale = 100, .end = read_to_the_end},
    {.name = "wake-again", .setup = setup, .threads = {write_then_wake_twice, sleep_until_all}, .count = 2, .stale = 20, .end = read_to_the_end},
    {.name = "wake-both", .setup = setup, .threads = {write_then_wake, sleep_until_all, sleep_until_all}, .count = 3, .stale = 10, .end = read_to_the_end},
    {.name = "close", .setup = setup, .threads = {write_then_close, sleep_until_closed}, .count = 2, .stale = 100, .end = read_to_the_end},
};

int main(int argc, char **argv)
{
    int bad = 0;
    name_places();
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        bool wanted = argc == 1;
        for (int j = 1; j < argc; j++)
            wanted |= strcmp(argv[j], scenarios[i].name) == 0;
        if (wanted)
            bad |= weak_explore(&scenarios[i]);
        (void)fflush(stdout);
    }
    return bad;
}
