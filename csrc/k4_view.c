/* What Python sees of a segment: k4_view_* of k4_api.h over the reader that users include (k4_reader.h). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_view.h"

#include "k4_segment.h"

static char set_dir[512]; /* empty: not set */

void k4_shm_dir_set(const char *dir)
{
    (void)snprintf(set_dir, sizeof set_dir, "%s", dir);
}

const char *k4_shm_dir(void)
{
    return set_dir[0] ? set_dir : k4_shm_default_dir();
}

const char *k4_status_text(int status)
{
    static const char *const text[] = {
        [K4_OK] = "ok",
        [K4_NO_SEGMENT] = "no such segment",
        [K4_BAD_SEGMENT] = "the file is no segment, or damaged",
        [K4_OTHER_LAYOUT] = "the segment has another layout",
        [K4_LOCKED] = "the segment has a writer already",
        [K4_REFUSED_FILE] = "the file is a link, belongs to somebody else, or may not be opened",
        [K4_NO_SPACE] = "the file system of the segments is full",
        [K4_NO_MEMORY] = "out of memory",
        [K4_SYSTEM] = "a system call failed",
        [K4_BAD_NAME] = "not a name for a segment",
        [K4_BAD_ARGUMENT] = "an argument is out of range",
        [K4_BAD_SYMBOL] = "a symbol is 1 to 48 bytes without control characters",
        [K4_SYMBOLS_FULL] = "the symbol table is full",
        [K4_SOURCES_FULL] = "the source table is full",
        [K4_WRITER_CLOSED] = "the writer closed the segment",
        [K4_WRITER_GONE] = "the writer is gone",
        [K4_REPLACED] = "another segment took its place",
    };
    if (status < 0)
        status = -status;
    return (size_t)status < sizeof text / sizeof *text ? text[status] : "unknown status";
}

/* ---------------------------------------------------------------- a view */

k4_view *k4_view_open(const char *name, char *error, size_t error_size)
{
    k4_view *view = malloc(sizeof *view);
    if (view == NULL) {
        (void)k4_reader_fail(error, error_size, K4_NO_MEMORY, "out of memory");
        return NULL;
    }
    if (k4_reader_open(&view->reader, k4_shm_dir(), name, 0, error, error_size) != K4_OK) {
        free(view);
        return NULL;
    }
    return view;
}

void k4_view_close(k4_view *view)
{
    if (view == NULL)
        return;
    k4_reader_close(&view->reader);
    free(view);
}

int k4_view_next(k4_view *view, void *out, uint64_t *sequence, uint64_t *lost_first, uint64_t *lost_last)
{
    return k4_reader_next(&view->reader, out, sequence, lost_first, lost_last);
}

int k4_view_drain(k4_view *view, void *out, uint32_t max, uint32_t *taken, uint64_t *sequence, uint64_t *lost_first, uint64_t *lost_last)
{
    struct k4_reader *reader = &view->reader;
    size_t size = (size_t)reader->words * 8;
    uint64_t n;
    *taken = 0;
    while (*taken < max) {
        /* A gap ends the batch, so that sequences in it are consecutive; it is reported by the next call. */
        int got = k4_reader_next(reader, (char *)out + size * *taken, &n, lost_first, lost_last);
        if (got == K4_READ_RECORD) {
            if (*taken == 0)
                *sequence = n;
            ++*taken;
            continue;
        }
        if (*taken == 0)
            return got;
        if (got == K4_READ_LOST)
            reader->next = *lost_first;
        break;
    }
    return *taken ? K4_READ_RECORD : K4_READ_NOTHING;
}

void k4_view_seek(k4_view *view, int oldest)
{
    k4_reader_seek(&view->reader, oldest ? k4_reader_oldest(&view->reader) : k4_reader_head(&view->reader));
}

uint64_t k4_view_head(const k4_view *view)
{
    return k4_reader_head(&view->reader);
}

uint64_t k4_view_position(const k4_view *view)
{
    return view->reader.next;
}

void k4_view_seek_to(k4_view *view, uint64_t sequence)
{
    k4_reader_seek(&view->reader, sequence);
}

int k4_view_latest(k4_view *view, uint32_t instrument, void *out, uint64_t *sequence)
{
    return k4_reader_latest(&view->reader, instrument, out, sequence);
}

int k4_view_wait(k4_view *view, int64_t timeout_ns)
{
    return k4_reader_wait(&view->reader, timeout_ns);
}

int k4_view_writer(const k4_view *view)
{
    return k4_reader_writer(&view->reader);
}

const uint8_t *k4_view_ring(const k4_view *view, uint32_t *stride, uint32_t *slots)
{
    *stride = view->reader.stride;
    *slots = view->reader.mask + 1;
    return view->reader.ring + 8;
}

/* ---------------------------------------------------------------- what a segment says about itself */

static uint32_t source_count(const struct k4_reader *reader)
{
    /* Acquire: pairs with the release in k4_segment_source; entries below it are complete. */
    uint32_t count = __atomic_load_n(&reader->header->source_count, __ATOMIC_ACQUIRE);
    return count < K4_SOURCES ? count : K4_SOURCES;
}

void k4_view_info(const k4_view *view, k4_segment_info *out)
{
    const struct k4_reader *reader = &view->reader;
    const struct k4_shm_header *header = reader->header;
    memset(out, 0, sizeof *out);
    memcpy(out->name, header->name, sizeof out->name - 1);
    out->record = (int)reader->record;
    out->closed = (int)__atomic_load_n(&header->closed, __ATOMIC_ACQUIRE);
    out->record_size = reader->words * 8;
    out->ring_slots = reader->mask + 1;
    out->symbol_capacity = reader->symbol_capacity;
    out->symbol_count = k4_reader_symbol_count(reader);
    out->source_count = source_count(reader);
    out->layout_hash = header->layout_hash;
    out->head = k4_reader_head(reader);
    out->oldest = k4_reader_oldest(reader);
    out->epoch = __atomic_load_n(&header->epoch, __ATOMIC_RELAXED);
    out->writer_pid = __atomic_load_n(&header->writer_pid, __ATOMIC_RELAXED);
    out->heartbeat_ns = __atomic_load_n(&header->heartbeat_ns, __ATOMIC_RELAXED);
}

/* Copies a text field that need not end, into one that does. */
#define copy_text(to, from) memcpy((to), (from), sizeof(from) < sizeof(to) ? sizeof(from) : sizeof(to) - 1)

int k4_view_symbol(const k4_view *view, uint32_t instrument, k4_symbol_info *out)
{
    if (instrument >= k4_reader_symbol_count(&view->reader))
        return 0;
    const struct k4_symbol_entry *entry = &view->reader.symbols[instrument];
    memset(out, 0, sizeof *out);
    copy_text(out->symbol, entry->symbol);
    copy_text(out->exchange, entry->exchange);
    copy_text(out->product, entry->product);
    copy_text(out->qty_unit, entry->qty_unit);
    copy_text(out->contract_size, entry->contract_size);
    out->state = (int)__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
    out->state_since_ns = __atomic_load_n(&entry->state_since_ns, __ATOMIC_RELAXED);
    out->last_recv_ns = __atomic_load_n(&entry->last_recv_ns, __ATOMIC_RELAXED);
    return 1;
}

int k4_view_find(const k4_view *view, const char *symbol, const char *exchange, const char *product)
{
    return k4_reader_find(&view->reader, symbol, exchange, product);
}

/* The value below which `share` of the samples lie, by the floor of its bucket; -1: no sample. */
static int64_t quantile(const uint64_t *histogram, double share)
{
    uint64_t counts[K4_HISTOGRAM_BUCKETS], total = 0, below = 0;
    for (uint32_t i = 0; i < K4_HISTOGRAM_BUCKETS; i++)
        total += counts[i] = __atomic_load_n(&histogram[i], __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < K4_HISTOGRAM_BUCKETS; i++) {
        below += counts[i];
        if (total != 0 && (double)below >= share * (double)total)
            return (int64_t)k4_histogram_floor(i);
    }
    return -1;
}

int k4_view_source(const k4_view *view, uint32_t source, k4_source_info *out)
{
    if (source >= source_count(&view->reader))
        return 0;
    const struct k4_shm_source *entry = &view->reader.sources[source];
    memset(out, 0, sizeof *out);
    copy_text(out->name, entry->name);
    copy_text(out->transport, entry->transport);
    out->wins = __atomic_load_n(&entry->wins, __ATOMIC_RELAXED);
    out->duplicates = __atomic_load_n(&entry->duplicates, __ATOMIC_RELAXED);
    out->gaps = __atomic_load_n(&entry->gaps, __ATOMIC_RELAXED);
    out->late = __atomic_load_n(&entry->late, __ATOMIC_RELAXED);
    out->lead_p50_ns = quantile(entry->lead, 0.5);
    out->lead_p99_ns = quantile(entry->lead, 0.99);
    out->lag_p50_ns = quantile(entry->lag, 0.5);
    out->lag_p99_ns = quantile(entry->lag, 0.99);
    return 1;
}
