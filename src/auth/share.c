// SPDX-License-Identifier: Apache-2.0
#include "auth/share.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/store_node.h"

#define WINDOW_MS 60000
#define PARTS 20          // of the limit, divided among the nodes
#define UNCOUNTED_MS 1000 // after the store could not be asked
#define SHARDS 64
#define WAYS 8 // windows that share a place
#define PLACES (SHARE_WINDOWS / SHARDS / WAYS)
#define NODES_MEMORY ((size_t)1 << 20)

struct window {
    int64_t partner_id; // 0: free
    const char *bucket;
    int64_t number;          // of the minute
    int64_t granted, used;   // of it, to this node
    int64_t taken;           // by all nodes, as far as known
    int64_t limit;           // as asked last
    int64_t uncounted_until; // real time in ms; the store is in trouble
    bool asking, exhausted;
    int64_t n_waiting;
    struct rate_wait *waiting; // for what is asked for
};
struct shard {
    pthread_mutex_t lock;
    struct window windows[PLACES][WAYS];
};
struct shares {
    struct store *store;
    const struct clock *clock;
    int64_t node;
    _Atomic int64_t nodes; // that answer requests
    struct shard shards[SHARDS];
};

// A part that is asked for.
struct ask {
    struct store_job job;
    struct shares *s;
    uint64_t place;
    int64_t partner_id;
    const char *bucket;
    int64_t number, waiting, limit;
    int64_t wanted, granted, taken, nodes; // what came of it
};

struct shares *shares_open(struct store *store, const struct clock *clock, int64_t node) {
    struct shares *s = xcalloc(1, sizeof *s);
    s->store = store;
    s->clock = clock;
    s->node = node;
    s->nodes = 1;
    for (size_t i = 0; i < SHARDS; i++)
        CHECK(pthread_mutex_init(&s->shards[i].lock, NULL) == 0);
    return s;
}

void shares_close(struct shares *s) {
    if (!s)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&s->shards[i].lock);
    free(s);
}

// The same on every node.
static uint64_t place_of(int64_t partner_id, const char *bucket) {
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)partner_id;
    for (const char *p = bucket; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static struct shard *shard_of(struct shares *s, uint64_t place) {
    return &s->shards[place % SHARDS];
}

// The window, or NULL; with the lock.
static struct window *find(struct shares *s, uint64_t place, int64_t partner_id, const char *bucket) {
    struct window *ways = shard_of(s, place)->windows[place / SHARDS % PLACES];
    for (size_t i = 0; i < WAYS; i++)
        if (ways[i].partner_id == partner_id && (ways[i].bucket == bucket || strcmp(ways[i].bucket, bucket) == 0))
            return &ways[i];
    return NULL;
}

// The same; when it is new it takes a free place, or that of the one with the oldest minute that asks for nothing.
static struct window *find_or_make(struct shares *s, uint64_t place, int64_t partner_id, const char *bucket) {
    struct window *w = find(s, place, partner_id, bucket), *ways = shard_of(s, place)->windows[place / SHARDS % PLACES];
    for (size_t i = 0; !w && i < WAYS; i++)
        if (ways[i].partner_id == 0)
            w = &ways[i];
    if (w && w->partner_id)
        return w;
    for (size_t i = 0; !w && i < WAYS; i++)
        if (!ways[i].asking && (!w || ways[i].number < w->number))
            w = &ways[i];
    if (w)
        *w = (struct window){.partner_id = partner_id, .bucket = bucket, .number = -1};
    return w;
}

static void go_all(struct rate_wait *waiting) {
    while (waiting) {
        struct rate_wait *next = waiting->next; // it may be gone when it has been told
        waiting->go(waiting->ctx);
        waiting = next;
    }
}

static int64_t part_of(int64_t limit, int64_t nodes) {
    int64_t part = limit / (PARTS * (nodes > 0 ? nodes : 1));
    return part > 1 ? part : 1;
}

// ---- asking ----

static enum err_kind ask_run(struct tx *tx, void *ctx, struct err *err) {
    struct ask *a = ctx;
    struct node_row *rows = NULL;
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, NODES_MEMORY);
    enum err_kind kind = store_node_list(tx, &arena, &rows, &n, err);
    a->nodes = 0;
    for (size_t i = 0; !kind && i < n; i++)
        a->nodes += rows[i].role != NODE_ENGINE && rows[i].lease_until.ms > tx_now(tx).ms;
    arena_release(&arena);
    a->wanted = part_of(a->limit, a->nodes) + a->waiting;
    return kind ? kind
                : store_rate_take(tx, a->partner_id, str_of(a->bucket), a->s->node, a->number, a->wanted, a->limit, &a->granted, &a->taken,
                                  err);
}

static void ask_done(void *ctx, enum err_kind kind, const struct err *err) {
    struct ask *a = ctx;
    struct shares *s = a->s;
    struct shard *shard = shard_of(s, a->place);
    if (kind == ERR_NONE)
        atomic_store(&s->nodes, a->nodes);
    else
        log_warn("auth.rate_not_counted", LOG_INT("partner", a->partner_id), LOG_ERR(err));
    pthread_mutex_lock(&shard->lock);
    struct window *w = find(s, a->place, a->partner_id, a->bucket); // it is there: who asks keeps its place
    CHECK(w && w->asking);
    w->asking = false;
    if (kind != ERR_NONE) {
        w->uncounted_until = clock_wall(s->clock).ms + UNCOUNTED_MS;
    } else if (w->number == a->number) {
        w->granted += a->granted;
        w->taken = a->taken;
        w->exhausted = a->granted < a->wanted;
    }
    struct rate_wait *waiting = w->waiting;
    w->waiting = NULL;
    w->n_waiting = 0;
    pthread_mutex_unlock(&shard->lock);
    go_all(waiting);
    free(a);
}

// With the lock; to be submitted without it.
static struct ask *ask_new(struct shares *s, struct window *w, uint64_t place, int64_t limit) {
    struct ask *a = xcalloc(1, sizeof *a);
    *a = (struct ask){.s = s, .place = place, .partner_id = w->partner_id, .bucket = w->bucket, .number = w->number, .limit = limit};
    a->waiting = w->n_waiting;
    a->job = (struct store_job){.run = ask_run, .done = ask_done, .ctx = a};
    w->asking = true;
    return a;
}

static void ask_submit(struct ask *a) {
    struct err err = {0};
    enum err_kind kind = store_submit(a->s->store, &a->job, &err);
    if (kind != ERR_NONE)
        ask_done(a, kind, &err);
}

// ---- counting ----

bool shares_count(struct shares *s, int64_t partner_id, const char *bucket, int64_t limit, struct rate_wait *wait, struct rate_state *out) {
    uint64_t place = place_of(partner_id, bucket);
    int64_t now = clock_wall(s->clock).ms, shifted = now + (int64_t)(place % WINDOW_MS), number = shifted / WINDOW_MS;
    struct wall reset = {now + WINDOW_MS - shifted % WINDOW_MS};
    int64_t part = part_of(limit, atomic_load(&s->nodes));
    struct shard *shard = shard_of(s, place);
    struct ask *ask = NULL;
    bool known = true;
    *out = (struct rate_state){.limit = limit, .remaining = limit, .reset = reset, .allowed = true};

    pthread_mutex_lock(&shard->lock);
    struct window *w = find_or_make(s, place, partner_id, bucket);
    if (w && w->number != number) {
        w->number = number;
        w->granted = w->used = w->taken = 0;
        w->exhausted = false;
    }
    if (w && w->limit != limit) { // the operator has changed it: there may be more now
        w->limit = limit;
        w->exhausted = false;
    }
    if (w && w->uncounted_until <= now) {
        int64_t left = w->granted - w->used;
        if (left <= 0 && !w->exhausted && wait) {
            wait->next = w->waiting;
            w->waiting = wait;
            w->n_waiting++;
            known = false;
        } else if (left <= 0 && w->exhausted) {
            out->allowed = false;
            out->retry_after_s = (reset.ms - now + 999) / 1000;
        } else if (left > 0) {
            w->used++;
            left--;
        }
        // What nobody has taken, and what we have.
        int64_t free_of_all = limit - w->taken;
        out->remaining = (free_of_all > 0 ? free_of_all : 0) + (left > 0 ? left : 0);
        if (!out->allowed)
            out->remaining = 0;
        if (left <= part / 2 && !w->exhausted && !w->asking)
            ask = ask_new(s, w, place, limit);
    }
    pthread_mutex_unlock(&shard->lock);
    if (ask)
        ask_submit(ask);
    return known;
}
