// SPDX-License-Identifier: Apache-2.0
#include "auth/rate.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS 64
#define WAYS 8 // windows that share a place
#define PLACES (RATE_WINDOWS / SHARDS / WAYS)

struct window {
    int64_t partner_id; // 0: free
    const char *bucket;
    int64_t calls;
    struct mono began;
    struct wall reset; // told to every caller alike, so that it does not wander with the rounding of two clocks
};
struct shard {
    pthread_mutex_t lock;
    struct window windows[PLACES][WAYS];
};
struct rate_table {
    struct shard shards[SHARDS];
};

struct rate_table *rate_open(void) {
    struct rate_table *t = xcalloc(1, sizeof(*t));
    for (size_t i = 0; i < SHARDS; i++)
        CHECK(pthread_mutex_init(&t->shards[i].lock, NULL) == 0);
    return t;
}

void rate_close(struct rate_table *t) {
    if (!t)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    free(t);
}

static uint64_t place_of(int64_t partner_id, const char *bucket) {
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)partner_id;
    for (const char *p = bucket; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

// The caller's window, or the one that gives way for it: a free one, else the oldest.
static struct window *window_for(struct window *place, int64_t partner_id, const char *bucket) {
    struct window *to = place;
    for (size_t i = 0; i < WAYS; i++) {
        struct window *w = &place[i];
        if (w->partner_id == partner_id && (w->bucket == bucket || strcmp(w->bucket, bucket) == 0))
            return w;
        if (to->partner_id != 0 && (w->partner_id == 0 || w->began.ns < to->began.ns))
            to = w;
    }
    *to = (struct window){.partner_id = partner_id, .bucket = bucket, .began = {INT64_MIN / 2}};
    return to;
}

void rate_count(struct rate_table *t, int64_t partner_id, const char *bucket, int64_t limit, struct wall now, struct mono mono,
                struct rate_state *out) {
    uint64_t h = place_of(partner_id, bucket);
    struct shard *s = &t->shards[h % SHARDS];
    pthread_mutex_lock(&s->lock);
    struct window *w = window_for(s->windows[h / SHARDS % PLACES], partner_id, bucket);
    int64_t age_ms = mono_ms_between(w->began, mono);
    if (age_ms >= RATE_WINDOW_MS) {
        w->began = mono;
        w->reset = wall_plus_ms(now, RATE_WINDOW_MS);
        w->calls = 0;
        age_ms = 0;
    }
    bool allowed = w->calls < limit;
    if (allowed)
        w->calls++;
    *out = (struct rate_state){.limit = limit,
                               .remaining = limit > w->calls ? limit - w->calls : 0,
                               .reset = w->reset,
                               .allowed = allowed,
                               .retry_after_s = allowed ? 0 : (RATE_WINDOW_MS - age_ms + 999) / 1000};
    pthread_mutex_unlock(&s->lock);
}
