#include "k4_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k4_feed.h"

/* ---------------------------------------------------------------- life */

static k4_conn *allocate(const k4_product *product, uint32_t message_cap)
{
    k4_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->drift = calloc((size_t)product->message_count + 1, sizeof *conn->drift);
    if (conn->drift != NULL && k4_events_init(&conn->events, product->message_count) == 0 && k4_books_init(&conn->books) == 0
        && k4_ws_init(&conn->ws, message_cap) == 0) {
        k4_unpack_init(&conn->unpack, message_cap);
        return conn;
    }
    k4_books_fini(&conn->books);
    k4_events_fini(&conn->events);
    free(conn->drift);
    free(conn);
    return NULL;
}

k4_conn *k4_conn_open(k4_feed *feed, const k4_product *product, const char *name, const char *transport, const char *symbol,
                      uint32_t message_cap, char *error, size_t error_size)
{
    size_t symbol_len = strlen(symbol);
    if (strlen(name) > K4_CONN_NAME_MAX || name[0] == '\0' || symbol_len > K4_SYMBOL_MAX) {
        snprintf(error, error_size, "connection %.80s: its name must have 1 to %d bytes and its symbol at most %d", name, K4_CONN_NAME_MAX, K4_SYMBOL_MAX);
        return NULL;
    }
    for (int record = 1, a, b; record <= K4_RECORD_COUNT; record++) {
        (void)k4_feed_rule(product, record, &a, &b);
        if (a != 0) {
            snprintf(error, error_size, "connection %s: %s %s gives %s in two orders, at lines %d and %d of its spec; give both messages the same order",
                     name, product->exchange, product->name, k4_record_name[record], a, b);
            return NULL;
        }
    }
    k4_conn *conn = allocate(product, message_cap);
    if (conn == NULL) {
        snprintf(error, error_size, "connection %s: no memory", name);
        return NULL;
    }
    conn->feed = feed;
    conn->product = product;
    snprintf(conn->name, sizeof conn->name, "%s", name);
    snprintf(conn->transport, sizeof conn->transport, "%s", transport);
    memcpy(conn->symbol, symbol, symbol_len);
    k4_conn_recv_init(conn, (uint32_t)symbol_len);
    for (int record = 0; record <= K4_RECORD_COUNT; record++)
        conn->berths[record].product = -1;
    conn->next = feed->conns;
    feed->conns = conn;
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        if (k4_feed_berth(feed, conn, record, error, error_size) != K4_OK) {
            k4_conn_close(conn);
            return NULL;
        }
    }
    return conn;
}

void k4_conn_close(k4_conn *conn)
{
    if (conn == NULL)
        return;
    k4_conn **link = &conn->feed->conns;
    while (*link != conn)
        link = &(*link)->next;
    *link = conn->next;
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        k4_feed_leave(conn->feed, conn, record);
        k4_heard_fini(&conn->berths[record].heard);
    }
    k4_ws_fini(&conn->ws);
    k4_books_fini(&conn->books);
    k4_unpack_fini(&conn->unpack);
    k4_events_fini(&conn->events);
    free(conn->body);
    free(conn->drift);
    free(conn);
}

void k4_conn_reset(k4_conn *conn)
{
    k4_ws_reset(&conn->ws);
    k4_books_clear(&conn->books);
    k4_events_reset(&conn->events);
    conn->failed = false;
    for (int record = 1; record <= K4_RECORD_COUNT; record++)
        if (conn->berths[record].product >= 0)
            k4_arbiter_renew(&conn->feed->lanes[record].arbiter, conn->berths[record].number);
}

/* ---------------------------------------------------------------- what it tells of itself */

int k4_conn_event(k4_conn *conn, k4_event *out)
{
    return k4_events_next(&conn->events, out);
}

int k4_conn_failure(const k4_conn *conn, const char **reason)
{
    enum k4_ws_cause cause = (enum k4_ws_cause)conn->ws.cause;
    *reason = k4_ws_cause_text(cause);
    return k4_ws_close_code(cause);
}

void k4_conn_stats_get(const k4_conn *conn, k4_conn_stats *out)
{
    *out = conn->stats;
    out->messages = conn->stats.fast + conn->stats.tolerant + conn->stats.sbe;
    out->frames = conn->ws.frames;
    out->unknown_keys = conn->scratch[0].unknown_keys;
    out->retyped = conn->scratch[0].retyped;
    out->events_lost = conn->events.lost;
}

void k4_conn_lags(const k4_conn *conn, uint64_t *out)
{
    _Static_assert(K4_LAG_STEPS == K4_HISTOGRAM_BUCKETS, "a step is a bucket");
    memset(out, 0, K4_LAG_STEPS * sizeof *out);
    for (int record = 1; record <= K4_RECORD_COUNT; record++) {
        const struct k4_berth *berth = &conn->berths[record];
        if (berth->product < 0)
            continue;
        const uint64_t *lag = conn->feed->lanes[record].segment.sources[berth->source].lag;
        for (int i = 0; i < K4_LAG_STEPS; i++)
            out[i] += lag[i];
    }
}

int64_t k4_lag_floor(uint32_t step)
{
    return (int64_t)k4_histogram_floor(step);
}

void k4_conn_drift_get(const k4_conn *conn, int message, k4_conn_drift *out)
{
    *out = conn->drift[message < 0 || message > conn->product->message_count ? conn->product->message_count : message];
}
