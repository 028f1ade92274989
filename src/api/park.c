// SPDX-License-Identifier: Apache-2.0
/*
 * park.c - parked calls, and the thread that turns them round.
 */
#include "api/park.h"

#include <pthread.h>
#include <string.h>

#include "api/idem.h"
#include "api/import_upkeep.h"
#include "api/retention.h"
#include "api/state.h"

#define TURN_MS 1000 // when nothing is parked

void park_open(struct api *api) {
    pthread_mutex_init(&api->park.lock, NULL);
    pthread_cond_init(&api->park.changed, NULL);
}

void park_close(struct api *api) {
    pthread_cond_destroy(&api->park.changed);
    pthread_mutex_destroy(&api->park.lock);
}

bool park(struct call *c) {
    struct park *p = &c->api->park;
    pthread_mutex_lock(&p->lock);
    bool room = !p->stopped && p->n < PARKED_MAX;
    if (room) {
        c->parked_next = p->first;
        p->first = c;
        p->n++;
        if (p->n == 1)
            pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

void park_wake(struct api *api) {
    struct park *p = &api->park;
    pthread_mutex_lock(&p->lock);
    p->woken = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static struct call *take_all(struct park *p) {
    pthread_mutex_lock(&p->lock);
    struct call *first = p->first;
    p->first = NULL;
    p->n = 0;
    pthread_mutex_unlock(&p->lock);
    return first;
}

void api_turn(struct api *api) {
    for (struct call *c = take_all(&api->park), *next; c; c = next) {
        next = c->parked_next; // a call that is submitted is no longer ours
        if (!call_go_on(c))
            http_resume(c->x);
    }
    waits_turn(api->waits);
    if (!api->o.upkeep)
        return;
    idem_upkeep(api, clock_mono(api->o.clock));
    retention_upkeep(api, clock_mono(api->o.clock));
    import_upkeep(api, clock_mono(api->o.clock));
}

// ---- the thread ----

// With the lock held: until the time is over, the server stops or somebody wakes, or (if asked) until a call is parked.
static void sleep_for(struct park *p, int64_t ms, bool or_parked) {
    int64_t until = clock_mono(&clock_system).ns + ms * 1000000;
    struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    while (!p->stopped && !p->woken && !(or_parked && p->n > 0))
        if (pthread_cond_clockwait(&p->changed, &p->lock, CLOCK_MONOTONIC, &at) != 0)
            break;
}

static void *turn_main(void *ctx) {
    struct api *api = ctx;
    struct park *p = &api->park;
    pthread_mutex_lock(&p->lock);
    while (!p->stopped) {
        sleep_for(p, TURN_MS, true);
        if (p->n > 0)
            sleep_for(p, PARK_MS, false);
        p->woken = false;
        pthread_mutex_unlock(&p->lock);
        api_turn(api);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err_kind api_run(struct api *api, struct err *err) {
    CHECK(!api->park.running);
    enum err_kind kind = waits_run(api->waits, err);
    if (kind)
        return kind;
    int rc = pthread_create(&api->park.thread, NULL, turn_main, api);
    if (rc != 0)
        return err_set(err, ERR_INTERNAL, "no thread for the API: %s", strerror(rc));
    api->park.running = true;
    return ERR_NONE;
}

void api_stop(struct api *api) {
    struct park *p = &api->park;
    waits_stop(api->waits);
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->running)
        CHECK(pthread_join(p->thread, NULL) == 0);
    p->running = false;
    for (struct call *c = take_all(p), *next; c; c = next) {
        next = c->parked_next;
        c->failed = err_set(&c->err, ERR_BUSY, "the server is stopping");
        http_resume(c->x);
    }
}
