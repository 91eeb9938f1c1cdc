/* Prints the source table of a segment, a line for each source: name, transport, wins, duplicates, gaps, late, then `lead` and `lag` as
 * floor:count of every bucket that is not empty.
 *
 *     segment_sources SEGMENT
 */
#include <k4.h> /* before any other header: it needs GNU features */

#include <inttypes.h>

static void print_histogram(const char *name, const uint64_t *counts)
{
    printf(" %s", name);
    for (uint32_t i = 0; i < K4_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = __atomic_load_n(&counts[i], __ATOMIC_RELAXED);
        if (count != 0)
            printf(" %" PRIu64 ":%" PRIu64, k4_histogram_floor(i), count);
    }
}

int main(int count, char **arguments)
{
    struct k4_reader reader;
    char error[1024];
    if (count != 2)
        return 2;
    if (k4_reader_open(&reader, NULL, arguments[1], 0, error, sizeof error) != K4_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    uint32_t sources = __atomic_load_n(&reader.header->source_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < sources && i < K4_SOURCES; i++) {
        const struct k4_shm_source *source = &reader.sources[i];
        printf("%.64s %.16s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, source->name, source->transport, source->wins, source->duplicates, source->gaps,
               source->late);
        print_histogram("lead", source->lead);
        print_histogram("lag", source->lag);
        putchar('\n');
    }
    k4_reader_close(&reader);
    return 0;
}
