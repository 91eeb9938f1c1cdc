/* Measures the whole road of a frame on one core: framing, decoding, symbol, arbitration, ring and latest table.
 *
 *   pipeline FILE RECORD KEY CONNECTIONS READ ROUNDS      frames as 32-bit length and text, again and again
 *
 * RECORD: the number of the record that the frames give. KEY: what stands before the id that is compared ("u": as it is written).
 * Every round raises that id in every frame, so that nothing but what a sibling brought is a duplicate. All connections get the
 * same frames, READ of them per read; who is first changes from read to read. One line per kind of arrival:
 *
 *   published NS...   duplicate NS...      nanoseconds per message of each read, of every round
 *
 * A read's bytes are copied to the receive region before the clock starts, as the kernel would have done.
 */
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "k4_api.h"
#include "k4_decode.h"

enum { MAX_FRAMES = 1 << 17, MAX_CONNECTIONS = 64, HEADER = 4, MAX_SAMPLES = 1 << 22 };

struct frame {
    uint8_t *wire; /* a whole WebSocket frame */
    uint32_t len;
    uint8_t *id; /* its digits */
    uint32_t digits;
};

static struct frame frames[MAX_FRAMES];
static size_t frame_count;
static float *samples[2]; /* 0 published, 1 duplicate */
static size_t sample_count[2];
static k4_feed *feed;
static k4_conn *conns[MAX_CONNECTIONS];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "pipeline: %s\n", what);
    exit(1);
}

/* Frames with their headers, one behind the other. */
static void load(const char *name, const char *key)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die("the file of frames cannot be read");
    const size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *memory = malloc(size + HEADER * (size_t)MAX_FRAMES);
    uint32_t len;
    while (memory != NULL && frame_count < MAX_FRAMES && fread(&len, sizeof len, 1, file) == 1) {
        struct frame *f = &frames[frame_count++];
        const uint32_t head = len < 126 ? 2 : 4;
        f->wire = memory;
        f->len = head + len;
        memory += f->len;
        f->wire[0] = 0x81;
        f->wire[1] = (uint8_t)(len < 126 ? len : 126);
        if (head == 4) {
            f->wire[2] = (uint8_t)(len >> 8);
            f->wire[3] = (uint8_t)len;
        }
        if (len >= 65536 || fread(f->wire + head, 1, len, file) != len)
            die("the file of frames is cut off");
        f->id = memmem(f->wire + head, len, key, strlen(key));
        if (f->id == NULL)
            die("a frame without the key");
        f->id += strlen(key);
        while (f->id[f->digits] >= '0' && f->id[f->digits] <= '9')
            f->digits++;
    }
    fclose(file);
    if (frame_count == 0)
        die("no frames");
}

/* Adds `by` to a frame's id, in its own digits. */
static void raise_id(struct frame *f, uint64_t by)
{
    uint64_t carry = by;
    for (uint32_t i = f->digits; i-- > 0 && carry != 0; carry /= 10) {
        carry += (uint64_t)(f->id[i] - '0');
        f->id[i] = (uint8_t)('0' + carry % 10);
    }
    if (carry != 0)
        die("an id that is out of digits");
}

static void keep(int kind, int64_t spent, size_t messages)
{
    if (sample_count[kind] < MAX_SAMPLES)
        samples[kind][sample_count[kind]++] = (float)spent / (float)messages;
}

/* `count` frames from `first` on, in one read, for a connection. Returns what the read took. */
static int64_t read_one(k4_conn *conn, size_t first, size_t count)
{
    uint8_t *out;
    size_t room = k4_conn_buffer(conn, &out), len = 0;
    for (size_t i = first; i < first + count; i++) {
        if (len + frames[i].len > room)
            die("a read that does not fit the region");
        memcpy(out + len, frames[i].wire, frames[i].len);
        len += frames[i].len;
    }
    const int64_t start = now_ns();
    const int result = k4_conn_recv(conn, len, start + 1700000000000000000, start);
    const int64_t spent = now_ns() - start;
    if (result != 0)
        die("a read that was not pure market data");
    return spent;
}

static void run_round(int connections, size_t read, bool counts)
{
    static int turn;
    for (size_t first = 0; first + read <= frame_count; first += read, turn++) {
        for (int c = 0; c < connections; c++) {
            const int64_t spent = read_one(conns[(turn + c) % connections], first, read);
            if (counts)
                keep(c != 0, spent, read);
        }
    }
}

static void open_all(int record, int connections)
{
    char error[512];
    const k4_product *product = k4_products[0];
    const k4_segment_options options = {.ring_slots = 65536, .symbol_capacity = 4096, .window_ids = 4096};
    static struct k4_scratch scratch;
    feed = k4_feed_open();
    if (feed == NULL || k4_feed_segment(feed, record, "bench", &options, error, sizeof error) != 0)
        die(error);
    for (size_t i = 0; i < frame_count; i++) {
        const uint32_t head = frames[i].wire[1] < 126 ? 2 : 4;
        scratch.count = 0;
        if (!product->fast(frames[i].wire + head, frames[i].len - head, &scratch) || scratch.count != 1)
            die("a frame that the fast tier does not take");
        if (k4_feed_instrument(feed, product, record, scratch.items[0].symbol, scratch.items[0].symbol_len, "", "") < 0)
            die("a symbol that has no place");
    }
    for (int c = 0; c < connections; c++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", c);
        conns[c] = k4_conn_open(feed, product, name, "json", "", 1 << 20, error, sizeof error);
        if (conns[c] == NULL)
            die(error);
    }
}

/* Every message must have gone the way that was meant. */
static void check(int connections, size_t messages)
{
    k4_conn_stats all = {0}, one;
    for (int c = 0; c < connections; c++) {
        k4_conn_stats_get(conns[c], &one);
        all.wins += one.wins;
        all.duplicates += one.duplicates;
        all.fast += one.fast;
    }
    if (all.wins != messages || all.duplicates != messages * (size_t)(connections - 1) || all.fast != messages * (size_t)connections)
    {
        fprintf(stderr, "%zu messages: %llu published, %llu duplicates, %llu by the fast tier\n", messages, (unsigned long long)all.wins,
                (unsigned long long)all.duplicates, (unsigned long long)all.fast);
        die("messages were not published once each");
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "pipeline FILE RECORD KEY CONNECTIONS READ ROUNDS\n");
        return 2;
    }
    const int record = atoi(argv[2]), connections = atoi(argv[4]), rounds = atoi(argv[6]);
    const size_t read = (size_t)atoi(argv[5]);
    if (connections < 1 || connections > MAX_CONNECTIONS || read < 1)
        die("1 to 64 connections, at least one frame per read");
    load(argv[1], argv[3]);
    frame_count -= frame_count % read;
    open_all(record, connections);
    for (int kind = 0; kind < 2; kind++)
        if ((samples[kind] = malloc(MAX_SAMPLES * sizeof *samples[kind])) == NULL)
            die("no memory");
    for (int round = -1; round < rounds; round++) { /* the first only warms up */
        run_round(connections, read, round >= 0);
        for (size_t i = 0; i < frame_count; i++)
            raise_id(&frames[i], 7 * frame_count);
    }
    check(connections, frame_count * (size_t)(rounds + 1));
    for (int kind = 0; kind < 2; kind++) {
        printf("%s", kind == 0 ? "published" : "duplicate");
        for (size_t i = 0; i < sample_count[kind]; i++)
            printf(" %.1f", (double)samples[kind][i]);
        printf("\n");
    }
    k4_feed_close(feed);
    return 0;
}
