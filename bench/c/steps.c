/* What callgrind counts the instructions of: each road a message can take, for each kind of message.
 *
 *   steps DIR SYMBOLS FILE...      a folder for segments, a file with one symbol per line, a file of frames per kind (SBE: NAME.sbe)
 *
 * For each FILE in turn, the roads in the order below. The first quarter of its frames only warms up: what is counted happens inside the
 * functions named steps_count_*, and steps_done says that one count is over. Everything else is outside of any count.
 */
#define _POSIX_C_SOURCE 199309L

#include "frames.h"
#include "k4_api.h"
#include "k4_decode.h"

enum { READ = 16, HEADER = 4 }; /* frames per socket read; bytes of header before each frame */

#define APART __attribute__((noinline, noclone))

static struct frame frames[MAX_FRAMES];
static struct k4_scratch scratch;
static const struct k4_product *product;
static int64_t now_ns = 1700000000000000000;
static uint64_t failed;
static int binary; /* the frames are SBE: one road instead of two */

void steps_count_fast(const struct frame *all, size_t count);
void steps_count_sbe(const struct frame *all, size_t count);
void steps_count_tolerant(const struct frame *all, size_t count);
void steps_count_recv(k4_conn *conn, size_t len);
void steps_done(const char *road, size_t count);

static void stop(const char *what)
{
    fprintf(stderr, "steps: %s\n", what);
    exit(1);
}

/* No frame here gives more than one item, so nothing is ever flushed. */
static void never(void *context, struct k4_scratch *full)
{
    (void)context;
    (void)full;
    stop("a frame gave many records");
}

APART void steps_count_fast(const struct frame *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        failed += !product->fast(all[i].text, all[i].len, &scratch);
}

APART void steps_count_tolerant(const struct frame *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        product->tolerant(all[i].text, all[i].len, &scratch);
        failed += scratch.count != 1 || scratch.items[0].record == 0;
    }
}

APART void steps_count_sbe(const struct frame *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        scratch.count = 0;
        product->sbe(all[i].text, all[i].len, &scratch);
        failed += scratch.count > 0 ? scratch.items[0].record == 0 : scratch.skip != K4_SKIP_STALE_BOOK;
    }
}

APART void steps_count_recv(k4_conn *conn, size_t len)
{
    failed += k4_conn_recv(conn, len, now_ns, now_ns) != 0;
}

/* The end of a count, told to callgrind by its name, and to who reads the counts by this line. */
APART void steps_done(const char *road, size_t count)
{
    printf("%s %zu\n", road, count);
}

/* An unmasked frame as servers send them; returns its length. */
static size_t wrap(uint8_t *out, const struct frame *frame)
{
    const size_t header = frame->len < 126 ? 2 : HEADER;
    out[0] = binary ? 0x82 : 0x81;
    out[1] = frame->len < 126 ? (uint8_t)frame->len : 126;
    if (header == HEADER) {
        out[2] = (uint8_t)(frame->len >> 8);
        out[3] = (uint8_t)frame->len;
    }
    memcpy(out + header, frame->text, frame->len);
    return header + frame->len;
}

/* READ frames per socket read; what is not `counted` goes in by another road to the same function. */
static void feed(k4_conn *conn, const struct frame *all, size_t count, int counted)
{
    static uint8_t bytes[READ * 65536];
    for (size_t i = 0; i < count; i += READ) {
        size_t len = 0;
        for (size_t k = i; k < count && k < i + READ; k++)
            len += wrap(bytes + len, &all[k]);
        now_ns += 1000000;
        for (size_t done = 0; done < len;) {
            uint8_t *out;
            const size_t room = k4_conn_buffer(conn, &out);
            const size_t part = len - done < room ? len - done : room;
            memcpy(out, bytes + done, part);
            if (counted)
                steps_count_recv(conn, part);
            else if (k4_conn_recv(conn, part, now_ns, now_ns) != 0)
                stop("a frame was refused while warming up");
            done += part;
        }
    }
}

static k4_conn *connect_to(k4_feed *to, const char *name)
{
    char error[512];
    k4_conn *conn = k4_conn_open(to, product, name, "json", "", 1 << 20, error, sizeof error);
    if (conn == NULL)
        stop(error);
    return conn;
}

static void add_symbols(k4_feed *to, int record, const char *file)
{
    char line[256];
    FILE *symbols = fopen(file, "r");
    if (symbols == NULL)
        stop("the file of symbols cannot be read");
    while (fgets(line, sizeof line, symbols) != NULL)
        if (k4_feed_instrument(to, product, record, (const uint8_t *)line, (uint32_t)strcspn(line, "\n"), "", "") < 0)
            stop("a symbol was refused");
    fclose(symbols);
}

static void expect(k4_conn *conn, uint64_t wins, uint64_t duplicates)
{
    k4_conn_stats stats;
    k4_conn_stats_get(conn, &stats);
    if (stats.wins != wins || stats.duplicates != duplicates)
        stop("not every message was published once");
}

static k4_feed *open_to(const char *name, const char *symbols)
{
    char error[512];
    scratch.count = 0;
    (binary ? product->sbe : product->tolerant)(frames[0].text, frames[0].len, &scratch);
    const int record = scratch.items[0].record;
    const k4_segment_options options = {.ring_slots = 1024, .symbol_capacity = 1024, .window_ids = 4096, .mode = 0600};
    k4_feed *to = k4_feed_open();
    if (to == NULL)
        stop("no memory");
    if (k4_feed_segment(to, record, name, &options, error, sizeof error) != 0)
        stop(error);
    add_symbols(to, record, symbols);
    return to;
}

/* The whole road from bytes to the ring. */
static void alone(const char *symbols, size_t warm, size_t count)
{
    k4_feed *to = open_to("alone", symbols);
    k4_conn *conn = connect_to(to, "one");
    feed(conn, frames, warm, 0);
    feed(conn, frames + warm, count - warm, 1);
    steps_done("publish", count - warm);
    expect(conn, count, 0);
    k4_feed_close(to);
}

/* Two connections in turn, a read each: what the first of them does, or the second. */
static void in_turn(const char *symbols, const char *road, int which, size_t warm, size_t count)
{
    k4_feed *to = open_to(road, symbols);
    k4_conn *conns[] = {connect_to(to, "first"), connect_to(to, "second")};
    for (size_t i = 0; i < count; i += READ)
        for (int c = 0; c < 2; c++)
            feed(conns[c], frames + i, i + READ < count ? READ : count - i, c == which && i >= warm);
    steps_done(road, count - warm);
    expect(conns[0], count, 0);
    expect(conns[1], 0, count);
    k4_feed_close(to);
}

static void decoders(size_t warm, size_t count)
{
    if (binary) {
        steps_count_sbe(frames + warm, count - warm);
        steps_done("sbe", count - warm);
        return;
    }
    for (size_t i = 0; i < warm; i++) {
        product->fast(frames[i].text, frames[i].len, &scratch);
        product->tolerant(frames[i].text, frames[i].len, &scratch);
    }
    steps_count_fast(frames + warm, count - warm);
    steps_done("fast", count - warm);
    steps_count_tolerant(frames + warm, count - warm);
    steps_done("tolerant", count - warm);
}

/* As load_frames(), each of a length that its header holds. */
static size_t load(const char *name)
{
    const size_t count = load_frames(name, frames);
    if (count == 0)
        stop("a file of frames cannot be read");
    for (size_t i = 0; i < count; i++)
        if (frames[i].len > 65535)
            stop("a frame is too long");
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "steps DIR SYMBOLS FILE...\n");
        return 2;
    }
    product = k4_products[0];
    scratch.flush = never;
    scratch.sure = true;
    for (int i = 3; i < argc; i++) {
        char folder[4096];
        if (snprintf(folder, sizeof folder, "%s/%d", argv[1], i) >= (int)sizeof folder)
            stop("the folder's name is too long");
        k4_shm_dir_set(folder); /* one per kind, so that every segment is new */
        const size_t count = load(argv[i]);
        binary = strcmp(argv[i] + strlen(argv[i]) - strlen(".sbe"), ".sbe") == 0;
        decoders(count / 4, count);
        if (binary && scratch.count == 0)
            continue; /* changes of a book, which nobody keeps here */
        alone(argv[2], count / 4, count);
        in_turn(argv[2], "first", 0, count / 4, count);
        in_turn(argv[2], "duplicate", 1, count / 4, count);
    }
    if (failed != 0)
        stop("a frame was refused while counting");
    return 0;
}
