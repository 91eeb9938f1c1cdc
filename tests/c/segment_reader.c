/* A reader that stays attached whatever its writer does, and notes all it is told: tests/kills.py judges it.
 *
 *     segment_reader SEGMENT NAP_MS FILE      from the newest record on, until standard input ends; says "ready" when it is there
 *
 * NAP_MS 0: it waits asleep and reads what wakes it. Else it looks only every so often, and is lapped meanwhile.
 * FILE gets rows of eight int64: what (1 record, 2 lost, 3 gone), sequence, last sequence, instrument, id, flags, recv_ns, when it was read.
 */
#include <k4.h> /* before any other header: it needs GNU features */

#include <poll.h>
#include <stdlib.h>

enum { RECORD = 1, LOST = 2, GONE = 3 };

struct row {
    int64_t what, sequence, last, instrument, id, flags, recv_ns, read_ns;
};

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t id_of(const struct k4_reader *reader, const union k4_record *record)
{
    switch (reader->record) {
    case K4_RECORD_TRADE: return record->trade.trade_id;
    case K4_RECORD_AGGTRADE: return record->aggtrade.agg_id;
    default: return record->bbo.update_id;
    }
}

/* Notes what there is now. 1: nothing more, 0: the writer is gone as well, -1: the segment is closed or replaced. */
static int take_all(struct k4_reader *reader, FILE *file)
{
    union k4_record record;
    uint64_t sequence, first, last;
    for (;;) {
        int got = k4_reader_next(reader, &record, &sequence, &first, &last);
        struct row row = {.read_ns = now_ns()};
        if (got == K4_READ_RECORD) {
            const struct k4_common *common = &record.common;
            row.what = RECORD;
            row.sequence = row.last = (int64_t)sequence;
            row.instrument = common->instrument;
            row.id = id_of(reader, &record);
            row.flags = common->flags;
            row.recv_ns = common->recv_ns;
        } else if (got == K4_READ_LOST) {
            row.what = LOST;
            row.sequence = (int64_t)first;
            row.last = (int64_t)last;
        } else if (got == -K4_WRITER_GONE) {
            row.what = GONE;
            row.sequence = row.last = (int64_t)reader->next;
        } else {
            return got == K4_READ_NOTHING ? 1 : -1;
        }
        if (fwrite(&row, sizeof row, 1, file) != 1)
            abort();
        if (got == -K4_WRITER_GONE)
            return 0;
    }
}

static int input_ended(int timeout_ms)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, timeout_ms) > 0;
}

int main(int count, char **arguments)
{
    struct k4_reader reader;
    char error[1024];
    if (count != 4)
        return 2;
    int nap_ms = atoi(arguments[2]);
    FILE *file = fopen(arguments[3], "wb");
    if (file == NULL || k4_reader_open(&reader, NULL, arguments[1], 0, error, sizeof error) != K4_OK) {
        fprintf(stderr, "%s\n", file == NULL ? arguments[3] : error);
        return 1;
    }
    k4_reader_seek(&reader, k4_reader_head(&reader));
    puts("ready");
    fflush(stdout);
    int open = 1;
    while (open && !input_ended(nap_ms)) {
        open = take_all(&reader, file) >= 0;
        if (nap_ms == 0)
            (void)k4_reader_wait(&reader, K4_READER_SLEEP_NS);
    }
    (void)take_all(&reader, file);
    k4_reader_close(&reader);
    return fclose(file) == 0 ? 0 : 1;
}
