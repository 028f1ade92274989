// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c - the thread of production: a libuv loop that takes a step when woken and when something is due.
 *
 * Pokes come from the store's writer, from peers and from whoever calls engine_wake; they go through the engine's lock, so that none comes
 * after the loop is gone.
 */
#include <errno.h>

#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "engine/inside.h"

#define SLEEP_MAX_MS 5000 // then it looks for work that nobody told of

struct loop {
    struct engine *e;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t timer;
    pthread_t thread;
    _Atomic int drain_ms; // -1: not stopping
    struct mono stop_at;
};

void loop_poke(struct loop *l) {
    uv_async_send(&l->async);
}

void engine_wake(struct engine *e) {
    atomic_store(&e->kicked, true);
    pthread_mutex_lock(&e->lock);
    if (e->loop)
        loop_poke(e->loop);
    pthread_mutex_unlock(&e->lock);
}

void engine_news(void *engine, unsigned news UNUSED) {
    engine_wake(engine);
}

static void on_timer(uv_timer_t *timer);

static void end(struct loop *l) {
    pthread_mutex_lock(&l->e->lock);
    l->e->loop = NULL;
    pthread_mutex_unlock(&l->e->lock);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->timer, NULL);
}

static void step(struct loop *l) {
    struct engine *e = l->e;
    int drain_ms = atomic_load(&l->drain_ms);
    if (drain_ms >= 0 && !e->stopping) {
        e->stopping = true;
        l->stop_at = (struct mono){clock_mono(&clock_system).ns + (int64_t)drain_ms * 1000000};
    }
    struct wall wake;
    struct err err = {0};
    enum err_kind k = engine_turn(e, false, &wake, &err);
    if (k)
        log_warn("engine.trouble", LOG_ERR(&err));
    if (e->stopping && (engine_quiet(e) || clock_mono(&clock_system).ns >= l->stop_at.ns)) {
        end(l);
        return;
    }
    int64_t ms = e->stopping ? 100 : SLEEP_MAX_MS;
    if (wall_set(wake)) {
        int64_t ahead = wake.ms - clock_wall(e->o.clock).ms;
        ms = ahead < 0 ? 0 : ahead < ms ? ahead : ms;
    }
    uv_update_time(&l->uv);
    uv_timer_start(&l->timer, on_timer, (uint64_t)ms, 0);
}

static void on_timer(uv_timer_t *timer) {
    step(timer->data);
}

static void on_async(uv_async_t *async) {
    step(async->data);
}

static void *run(void *arg) {
    struct loop *l = arg;
    step(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    return NULL;
}

enum err_kind engine_run(struct engine *e, struct err *err) {
    CHECK(!e->runner);
    struct loop *l = xcalloc(1, sizeof(*l));
    l->e = e;
    atomic_store(&l->drain_ms, -1);
    int r = uv_loop_init(&l->uv);
    if (r < 0) {
        free(l);
        return err_set(err, ERR_INTERNAL, "no event loop: %s", uv_strerror(r));
    }
    r = uv_async_init(&l->uv, &l->async, on_async);
    if (r < 0) {
        CHECK(uv_loop_close(&l->uv) == 0);
        free(l);
        return err_set(err, ERR_INTERNAL, "no event loop: %s", uv_strerror(r));
    }
    uv_timer_init(&l->uv, &l->timer);
    l->async.data = l->timer.data = l;
    e->stopping = false;
    pthread_mutex_lock(&e->lock);
    e->loop = l;
    pthread_mutex_unlock(&e->lock);
    r = pthread_create(&l->thread, NULL, run, l);
    if (r != 0) {
        end(l);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&l->uv) == 0);
        free(l);
        return err_set(err, ERR_INTERNAL, "no thread for the engine: %s", strerror(r));
    }
    e->runner = l;
    return ERR_NONE;
}

void engine_stop(struct engine *e, int drain_ms) {
    struct loop *l = e->runner;
    if (!l)
        return;
    atomic_store(&l->drain_ms, drain_ms < 0 ? 0 : drain_ms);
    pthread_mutex_lock(&e->lock);
    if (e->loop)
        loop_poke(e->loop);
    pthread_mutex_unlock(&e->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
    CHECK(uv_loop_close(&l->uv) == 0);
    free(l);
    e->runner = NULL;
}
