/* A writer for tests in other languages: does what its standard input says, one command a line, and answers each with one line.
 *
 *     open NAME RECORD SLOTS SYMBOLS   ok HEAD EPOCH | error TEXT
 *     symbol EXCHANGE PRODUCT SYMBOL   ok INSTRUMENT
 *     unit EXCHANGE PRODUCT SYMBOL QTY_UNIT CONTRACT_SIZE   ok INSTRUMENT (- = "")
 *     put INSTRUMENT HEX               ok SEQUENCE      the record's bytes; a short one is filled up with zeros
 *     many INSTRUMENT COUNT HEX        ok SEQUENCE      the same record COUNT times; its 8 bytes at 40 count up
 *     state INSTRUMENT STATE NS        ok
 *     source NAME TRANSPORT            ok INDEX
 *     beat WALL_NS                     ok
 *     wake | close                     ok
 * End of input without `close` is a writer that dies. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_segment.h"

#include <stdio.h>

static struct k4_segment segment;

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
    size_t count = 0;
    for (; hex[0] && hex[1] && count < room; hex += 2) {
        char pair[3] = {hex[0], hex[1], 0};
        out[count++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count;
}

static void answer(int result)
{
    if (result < 0)
        printf("error %s\n", k4_status_text(result));
    else
        printf("ok %d\n", result);
}

static void do_put(uint32_t instrument, uint64_t count, const char *hex)
{
    union k4_record record;
    uint64_t sequence = 0;
    int64_t id;
    memset(&record, 0, sizeof record);
    (void)from_hex(hex, (uint8_t *)&record, sizeof record);
    record.common.instrument = instrument;
    for (uint64_t i = 0; i < count; i++) {
        sequence = k4_segment_publish(&segment, instrument, &record);
        memcpy(&id, (char *)&record + sizeof(struct k4_common), sizeof id);
        id++;
        memcpy((char *)&record + sizeof(struct k4_common), &id, sizeof id);
    }
    printf("ok %llu\n", (unsigned long long)sequence);
}

static void do_open(const char *name, int record, uint32_t slots, uint32_t symbols)
{
    k4_segment_options options = {.ring_slots = slots, .symbol_capacity = symbols, .mode = 0600};
    char error[1024];
    if (k4_segment_open(&segment, name, record, &options, 0, error, sizeof error) != K4_OK)
        printf("error %s\n", error);
    else
        printf("ok %llu %llu\n", (unsigned long long)segment.head, (unsigned long long)segment.header->epoch);
}

int main(void)
{
    static char line[8192], a[4096], b[4096], c[4096], d[4096], e[4096];
    unsigned x, y;
    unsigned long long n;
    long long ns;
    int record;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "open %4095s %d %u %u", a, &record, &x, &y) == 4)
            do_open(a, record, x, y);
        else if (sscanf(line, "symbol %4095s %4095s %4095s", a, b, c) == 3)
            answer(k4_segment_instrument(&segment, (uint32_t)k4_segment_product(&segment, a, b), (const uint8_t *)c, (uint32_t)strlen(c), "", ""));
        else if (sscanf(line, "unit %4095s %4095s %4095s %4095s %4095s", a, b, c, d, e) == 5)
            answer(k4_segment_instrument(&segment, (uint32_t)k4_segment_product(&segment, a, b), (const uint8_t *)c, (uint32_t)strlen(c),
                                         strcmp(d, "-") == 0 ? "" : d, strcmp(e, "-") == 0 ? "" : e));
        else if (sscanf(line, "put %u %4095s", &x, a) == 2)
            do_put(x, 1, a);
        else if (sscanf(line, "many %u %llu %4095s", &x, &n, a) == 3)
            do_put(x, n, a);
        else if (sscanf(line, "state %u %u %lld", &x, &y, &ns) == 3) {
            k4_segment_state(&segment, x, y, ns);
            answer(0);
        } else if (sscanf(line, "source %4095s %4095s", a, b) == 2)
            answer(k4_segment_source(&segment, a, b));
        else if (sscanf(line, "beat %lld", &ns) == 1) {
            k4_segment_heartbeat(&segment, ns, ns);
            answer(0);
        } else if (strncmp(line, "wake", 4) == 0) {
            k4_segment_wake(&segment);
            answer(0);
        } else if (strncmp(line, "close", 5) == 0) {
            k4_segment_close(&segment);
            answer(0);
        } else
            printf("error unknown command\n");
        (void)fflush(stdout);
    }
    return 0;
}
