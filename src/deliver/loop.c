// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c - the thread of production: takes a step when there is news and when something is due.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "deliver/inside.h"

#define SLEEP_MAX_MS 5000

struct deliver_loop {
    pthread_t thread;
    struct mono stop_at; // under the lock
    bool stopping;
};

// Until `wake`, or news.
static void sleep_until(struct deliver *d, struct wall wake, bool stopping) {
    int64_t ms = stopping ? 100 : SLEEP_MAX_MS;
    if (wall_set(wake)) {
        int64_t ahead = wake.ms - clock_wall(d->o.clock).ms;
        ms = ahead < 0 ? 0 : ahead < ms ? ahead : ms;
    }
    int64_t at = clock_mono(&clock_system).ns + ms * 1000000;
    struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    pthread_mutex_lock(&d->lock);
    while (!d->kicked && pthread_cond_timedwait(&d->changed, &d->lock, &until) != ETIMEDOUT) {
    }
    d->kicked = false;
    pthread_mutex_unlock(&d->lock);
}

static void *run(void *arg) {
    struct deliver *d = arg;
    struct deliver_loop *l = d->loop;
    for (;;) {
        struct wall wake = WALL_NONE;
        struct err err = {0};
        pthread_mutex_lock(&d->lock);
        d->stopping = l->stopping;
        struct mono stop_at = l->stop_at;
        pthread_mutex_unlock(&d->lock);
        if (deliver_step(d, &wake, &err))
            log_warn("deliver.trouble", LOG_ERR(&err));
        if (d->stopping && ((deliver_quiet(d) && d->leases_dropped) || clock_mono(&clock_system).ns >= stop_at.ns))
            return NULL;
        sleep_until(d, wake, d->stopping);
    }
}

enum err_kind deliver_run(struct deliver *d, struct err *err) {
    CHECK(!d->loop);
    d->loop = xcalloc(1, sizeof *d->loop);
    d->stopping = d->leases_dropped = false;
    int r = pthread_create(&d->loop->thread, NULL, run, d);
    if (r == 0)
        return ERR_NONE;
    free(d->loop);
    d->loop = NULL;
    return err_set(err, ERR_INTERNAL, "no thread for deliveries: %s", strerror(r));
}

void deliver_stop(struct deliver *d, int drain_ms) {
    struct deliver_loop *l = d->loop;
    if (!l)
        return;
    pthread_mutex_lock(&d->lock);
    l->stopping = true;
    l->stop_at = (struct mono){clock_mono(&clock_system).ns + (int64_t)(drain_ms < 0 ? 0 : drain_ms) * 1000000};
    d->kicked = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
    free(l);
    d->loop = NULL;
}
