#include "k4_heard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "k4_conn.h"
#include "k4_feed.h"

int k4_heard_reserve(struct k4_heard *heard, uint32_t capacity)
{
    if (capacity <= heard->capacity)
        return 0;
    const size_t more = capacity - heard->capacity;
    uint8_t *marks = realloc(heard->marks, capacity * sizeof *marks);
    if (marks == NULL)
        return -1;
    heard->marks = marks;
    struct k4_heard_times *times = realloc(heard->times, capacity * sizeof *times);
    if (times == NULL)
        return -1;
    heard->times = times;
    memset(marks + heard->capacity, heard->capacity != 0, more * sizeof *marks);
    memset(times + heard->capacity, 0, more * sizeof *times);
    heard->capacity = capacity;
    return 0;
}

void k4_heard_fini(struct k4_heard *heard)
{
    free(heard->marks);
    free(heard->times);
    *heard = (struct k4_heard){0};
}

/* ---------------------------------------------------------------- surveys */

/* Who has published something of the instrument since the last survey: its newest record's source; -1: nobody. */
static int published_by(struct k4_lane *lane, uint32_t instrument)
{
    const uint64_t *slot = (const uint64_t *)(const void *)(lane->segment.latest + (size_t)instrument * lane->segment.stride);
    /* The writer's own words; readers only read them. */
    const uint64_t sequence = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (sequence == lane->surveyed[instrument])
        return -1;
    lane->surveyed[instrument] = sequence;
    return (int)(__atomic_load_n(slot + 1, __ATOMIC_RELAXED) >> 32 & UINT16_MAX);
}

static void survey_lane(struct k4_feed *feed, int record)
{
    struct k4_lane *lane = &feed->lanes[record];
    const uint32_t count = lane->segment.header->symbol_count < lane->surveyed_room ? lane->segment.header->symbol_count : lane->surveyed_room;
    for (uint32_t i = 0; i < count; i++) {
        const int source = published_by(lane, i);
        for (k4_conn *conn = feed->conns; conn != NULL; conn = conn->next) {
            struct k4_heard *heard = &conn->berths[record].heard;
            if (i >= heard->capacity)
                continue;
            if (heard->marks[i] != 0) {
                heard->marks[i] = 0;
                heard->times[i] = (struct k4_heard_times){.heard_ns = feed->survey_ns};
            } else if (source >= 0 && source != conn->berths[record].source && heard->times[i].missing_ns == 0) {
                heard->times[i].missing_ns = feed->survey_ns;
            }
        }
    }
}

void k4_feed_survey(k4_feed *feed, int64_t mono_ns)
{
    const int64_t passed = mono_ns - feed->surveyed_ns;
    feed->survey_ns += feed->survey_ns == 0 ? 1 : passed < K4_HEARD_STEP_NS ? passed : K4_HEARD_STEP_NS;
    feed->surveyed_ns = mono_ns;
    for (int record = 1; record <= K4_RECORD_COUNT; record++)
        if (feed->lanes[record].open)
            survey_lane(feed, record);
}

void k4_conn_asked(k4_conn *conn)
{
    for (int record = 1; record <= K4_RECORD_COUNT; record++)
        if (conn->berths[record].heard.capacity != 0)
            memset(conn->berths[record].heard.marks, 1, conn->berths[record].heard.capacity);
}

uint32_t k4_conn_stuck(const k4_conn *conn, int record, const uint32_t *instruments, uint32_t count, int64_t silence_ns, int64_t missing_ns,
                       uint32_t *out)
{
    uint32_t found = 0;
    if (record < 1 || record > K4_RECORD_COUNT)
        return 0;
    const struct k4_heard *heard = &conn->berths[record].heard;
    const int64_t now_ns = conn->feed->survey_ns;
    for (uint32_t i = 0; i < count; i++) {
        if (instruments[i] >= heard->capacity)
            continue;
        const struct k4_heard_times *times = &heard->times[instruments[i]];
        if (now_ns - times->heard_ns > silence_ns || (times->missing_ns != 0 && now_ns - times->missing_ns > missing_ns))
            out[found++] = instruments[i];
    }
    return found;
}
